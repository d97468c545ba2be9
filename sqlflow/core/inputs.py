"""What is known of the tables that models read, as they stand when a build is planned."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct, field

from sqlflow.core.engine import Found
from sqlflow.core.names import TableName
from sqlflow.core.plan import Load, SignatureUpdate
from sqlflow.core.records import TableRecord
from sqlflow.core.sql import Sql


class Growth(Struct, frozen=True):
    """All that happened to an input since the remembered version is that these rows were added: `relation` is SQL that
    can stand after FROM, `rows` their number, `proof` in words how it is known."""

    relation: Sql
    rows: int
    proof: str


class InputState(Struct, frozen=True):
    """A seed, a source or an undeclared table.

    `record`: what is true of it now; its version is one above the remembered one if the content changed.
    `changed`: what changed, in words; empty when nothing did. `relation`: SQL that can stand after FROM.
    `loads`: files that must be copied into its table first. `work`: the statement that must run before it can be read (a view over files, the load of a seed), if any.
    `growth`: that rows were only added, where it is proven. `rows`: how many it has, where it is known.
    """

    record: TableRecord
    relation: Sql
    changed: str = ""
    work: tuple[Sql, ...] = ()
    loads: tuple[Load, ...] = ()
    reloads: bool = False
    growth: Growth | None = None
    rows: int | None = None


class Inputs(Struct, frozen=True):
    """The warehouse and the files, looked at once before planning.

    `tables`: everything in the database. `records`: what the commit records say. `states`: seeds, sources and
    undeclared tables. `partitions`: (model, input) -> the partitions of the input that differ from when the model
    last read it. `collated`: tables with columns in which different texts count as equal. `notes`: what somebody should
    know of them. `others`: what other projects made, and which. `lost`: tables that SQLFlow made and of which the
    warehouse has lost the record. `kept`: SQLFlow's own tables with their columns.
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
