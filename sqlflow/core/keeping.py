"""The tables that SQLFlow keeps for itself in the warehouse, beside a table, so that changes can be followed."""

from __future__ import annotations

from collections.abc import Iterable

from sqlflow.core.names import TableName
from sqlflow.core.records import TableRecord

SCHEMA = "_sqlflow"


def log_of(table: TableName) -> TableName:
    """The change log of a table."""
    return TableName(SCHEMA, f"changes of {table.id}")


def image_of(table: TableName) -> TableName:
    """The copy of an input as it was when its changes were last written down."""
    return TableName(SCHEMA, f"image of {table.id}")


def counters_of(table: TableName) -> TableName:
    """The counters of a grouped model."""
    return TableName(SCHEMA, f"counters of {table.id}")


def deletions_of(table: TableName) -> TableName:
    """Where the deletions of a merged table are remembered."""
    return TableName(SCHEMA, f"deleted {table.id}")


_WORDS = ("changes of ", "image of ", "counters of ", "deleted ")


def needless(kept: Iterable[TableName], records: Iterable[TableRecord]) -> tuple[TableName, ...]:
    """Those of the kept tables that no record needs any more."""
    needed: set[TableName] = set()
    for record in records:
        if record.logged is not None:
            needed.add(log_of(record.table))
        if record.image:
            needed.add(image_of(record.table))
        if record.counters:
            needed.add(counters_of(record.table))
        if record.mode == "merge":
            needed.add(deletions_of(record.table))
    return tuple(sorted(t for t in kept if t not in needed and t.name.startswith(_WORDS)))
