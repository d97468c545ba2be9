"""Columns of a table, with the types as the engine itself writes them."""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Iterator

from msgspec import Struct

from sqlflow.core.diagnostics import Diagnostic
from sqlflow.core.source import Span
from sqlflow.core.types import ColumnType, parsed

_ZONED = re.compile(r"TIME ZONE|TIMESTAMPTZ|TIMETZ|TSTZ|VARIANT", re.IGNORECASE)


def names_zone(kind: str) -> bool:
    """Whether values of a type are, or may have in them, times with a zone."""
    return _ZONED.search(kind) is not None


def reserved_columns(schema: Schema, of: str, span: Span | None) -> list[Diagnostic]:
    """Columns whose names are those that SQLFlow gives to columns of its own."""
    return [
        Diagnostic(
            "reserved-name",
            f"columns that begin with `_sqlflow` belong to SQLFlow, and {of} has `{column.name}`",
            span,
            "give the column another name",
        )
        for column in schema
        if column.name.lower().startswith("_sqlflow")
    ]


def cut_columns(schema: Schema, of: str, span: Span | None, longest: int | None) -> list[Diagnostic]:
    """Columns of which the database would not keep the whole name."""
    return [
        Diagnostic(
            "name-too-long",
            f"the column `{column.name}` of {of} has {len(column.name.encode())} bytes, and the database keeps only {longest} of a name",
            span,
            "give the column a shorter name",
        )
        for column in schema
        if longest is not None and len(column.name.encode()) > longest
    ]


class Column(Struct, frozen=True):
    """`type` is the engine's own canonical spelling (from DESCRIBE), so types compare as text."""

    name: str
    type: str

    @property
    def parsed(self) -> ColumnType:
        """What its type is."""
        return parsed(self.type)


class Schema(Struct, frozen=True):
    """The columns of a table or query, in order."""

    columns: tuple[Column, ...] = ()

    def __iter__(self) -> Iterator[Column]:
        return iter(self.columns)

    def __len__(self) -> int:
        return len(self.columns)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)

    def find(self, name: str) -> Column | None:
        """The column of that name, without regard to case."""
        folded = name.lower()
        return next((c for c in self.columns if c.name.lower() == folded), None)

    def only(self, names: Iterable[str]) -> Schema:
        """The columns of these names, in the order of the names. Raises KeyError for one that is not there."""
        mine = {column.name.lower(): column for column in self.columns}
        return Schema(tuple(mine[name.lower()] for name in names))

    def without(self, names: Container[str]) -> Schema:
        """The columns that are not among these names, which are in lower case."""
        return Schema(tuple(column for column in self.columns if column.name.lower() not in names))

    def differences(self, other: Schema) -> tuple[str, ...]:
        """What `other` has otherwise, in words: `+ b INTEGER`, `- c`, `a: INTEGER -> BIGINT`, `order of columns`."""
        mine = {column.name.lower(): column for column in self.columns}
        theirs = {column.name.lower(): column for column in other.columns}
        found = [f"+ {c.name} {c.type}" for key, c in theirs.items() if key not in mine]
        found += [f"- {c.name}" for key, c in mine.items() if key not in theirs]
        found += [
            f"{c.name}: {mine[key].type} -> {c.type}"
            for key, c in theirs.items()
            if key in mine and mine[key].type != c.type
        ]
        if not found and list(mine) != list(theirs):
            found.append("order of columns")
        return tuple(found)
