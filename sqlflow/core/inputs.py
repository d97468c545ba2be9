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
    """A seed, a source or an undeclared table."""

    record: TableRecord  # what is true of it now; its version is one above the remembered one if the content changed
    relation: Sql  # SQL that can stand after FROM
    changed: str = ""  # what changed, in words; empty when nothing did
    work: tuple[Sql, ...] = ()  # what must run before it can be read: a view over files, the load of a seed
    loads: tuple[Load, ...] = ()  # files that must be copied into its table first
    reloads: bool = False
    growth: Growth | None = None  # that rows were only added, where it is proven
    rows: int | None = None  # how many it has, where that is known
    # What tells its rows and columns from all others; None where only SQLFlow itself changes them.
    content: Content | None = None
    watch: Watch | None = None  # whether they changed since; None as well where only SQLFlow changes them
    copied: Copied | None = None  # the files that `loads` or `work` copy


class Inputs(Struct, frozen=True):
    """The warehouse and the files, looked at once before planning."""

    tables: Mapping[TableName, Found]  # everything in the database
    records: Mapping[TableName, TableRecord]  # what the commit records say
    states: Mapping[TableName, InputState]  # of seeds, sources and undeclared tables
    # (model, input) -> the partitions of the input that changed since the model read it.
    partitions: Mapping[tuple[TableName, TableName], SignatureUpdate] = field(default_factory=dict)
    collated: frozenset[TableName] = frozenset()  # tables with columns in which different texts count as equal
    notes: tuple[str, ...] = ()  # what somebody should know of them
    others: Mapping[TableName, str] = field(default_factory=dict)  # what other projects made, and which
    lost: frozenset[TableName] = frozenset()  # tables that SQLFlow made and of which the warehouse has lost the record
    kept: Mapping[str, frozenset[str]] = field(default_factory=dict)  # SQLFlow's own tables with their columns
    # (model, input) -> a query of all partitions: name, rows, digest.
    parted: Mapping[tuple[TableName, TableName], Sql] = field(default_factory=dict)
    moment: str = ""  # of the engine, before any of this was looked at
