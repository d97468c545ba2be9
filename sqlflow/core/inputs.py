"""What is known of the tables that models read, as they stand when a build is planned."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct, field

from sqlflow.core.engine import Found
from sqlflow.core.names import TableName
from sqlflow.core.plan import Load, SignatureUpdate
from sqlflow.core.records import TableRecord
from sqlflow.core.seen import Content, Files, Question, Read
from sqlflow.core.sql import Sql


class Beyond(Struct, frozen=True):
    """Rows whose `cursor` of the type `type` is greater than `mark`."""

    cursor: str
    type: str
    mark: str


class Growth(Struct, frozen=True):
    """All that happened to an input since the remembered version is that these rows were added: `relation` is SQL that
    can stand after FROM, `rows` their number, `proof` in words how it is known. `since`: what a reader has read that knows
    some of them -> those that it has not."""

    relation: Sql
    rows: int
    proof: str
    since: Mapping[Read, Beyond] = field(default_factory=dict)


class Watch(Struct, frozen=True):
    """How a transaction that reads an input finds out what it has read.

    `question`: its answer is `TableRecord.seen` when the rows are those of the record; `inside`: they are
    rows of this database. `only_added`: a query of one truth value: whether rows were only added to those of the remembered
    version, and to what readers have read since. `folder`: of the project, when files are read in place of a table. `table`: what it is in the database.
    """

    question: Question | None = None
    inside: bool = True
    only_added: Sql | None = None
    folder: str | None = None
    table: TableName | None = None


class Copied(Struct, frozen=True):
    """Files that an input's own task copies into a table, as they were when they were looked at."""

    folder: str
    files: Files


class InputState(Struct, frozen=True):
    """A seed, a source or an undeclared table.

    `record`: what is true of it now; its version is one above the remembered one if the content changed.
    `changed`: what changed, in words; empty when nothing did. `relation`: SQL that can stand after FROM.
    `loads`: files that must be copied into its table first. `work`: the statement that must run before it can be read (a view over files, the load of a seed), if any.
    `growth`: that rows were only added, where it is proven. `rows`: how many it has, where it is known.
    `content`: what tells its rows and columns from all others, and `watch` whether they are what they were; None where only
    SQLFlow itself changes them. `copied`: the files that `loads` or `work` copy.
    """

    record: TableRecord
    relation: Sql
    changed: str = ""
    work: tuple[Sql, ...] = ()
    loads: tuple[Load, ...] = ()
    reloads: bool = False
    growth: Growth | None = None
    rows: int | None = None
    content: Content | None = None
    watch: Watch | None = None
    copied: Copied | None = None


class Inputs(Struct, frozen=True):
    """The warehouse and the files, looked at once before planning.

    `tables`: everything in the database. `records`: what the commit records say. `states`: seeds, sources and
    undeclared tables. `partitions`: (model, input) -> the partitions of the input that differ from when the model
    last read it. `collated`: tables with columns in which different texts count as equal. `notes`: what somebody should
    know of them. `others`: what other projects made, and which. `lost`: tables that SQLFlow made and of which the
    warehouse has lost the record. `kept`: SQLFlow's own tables with their columns.
    `parted`: (model, input) -> a query of all partitions: name, rows, digest. `moment`: of the engine, before any of this was
    looked at.
    """

    tables: Mapping[TableName, Found]
    records: Mapping[TableName, TableRecord]
    states: Mapping[TableName, InputState]
    partitions: Mapping[tuple[TableName, TableName], SignatureUpdate] = field(default_factory=dict)
    collated: frozenset[TableName] = frozenset()
    notes: tuple[str, ...] = ()
    others: Mapping[TableName, str] = field(default_factory=dict)
    lost: frozenset[TableName] = frozenset()
    kept: Mapping[str, frozenset[str]] = field(default_factory=dict)
    parted: Mapping[tuple[TableName, TableName], Sql] = field(default_factory=dict)
    moment: str = ""
