"""How a query's result can follow changes of its inputs without being computed anew.

The argument why each of these ways gives what a rebuild would give stands in docs/incremental.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from msgspec import Struct, field

from sqlflow.core.names import TableName
from sqlflow.core.schema import Schema


class Tier(StrEnum):
    """What kind of changes a query can follow: all `rows`, added or removed; `additions`, while removals recompute their
    group; by recomputing the `keys` touched; `none`."""

    ADDITIVE = "rows"
    GROWING = "additions"
    KEYS = "keys"
    REFUSED = "none"


class Refusal(Struct, frozen=True):
    """Why something cannot be followed: the construct, a reason, and where it stands in the query that runs.

    `volatile`: because the query gives other rows each time, by something else than what `CompiledModel.clock` tells.
    `loose`: because the same rows may give other ones, as it leaves their order open.
    """

    construct: str
    reason: str
    start: int | None = None
    end: int | None = None
    volatile: bool = False
    loose: bool = False


class ReadPlace(Struct, frozen=True):
    """One place in `Shape.body` where a table is read; `[start, end)` is its name without an alias.

    `name`: what the query calls it if it gives no alias (`aliased`). `keys`: column of the body's result -> SQL over the
    table's own columns: only rows of the result with one of these values can change when a row here does. `narrow`: the
    reading may be restricted to rows with the wanted values, if there is one expression per column.
    """

    table: TableName
    start: int
    end: int
    name: str
    aliased: bool
    keys: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    narrow: bool = False


class Counter(Struct, frozen=True):
    """A column of the counters of a grouped query: `name` holds the aggregate `kind` (count, sum, min, max, bool_and,
    bool_or) of the rows of a group."""

    name: str
    kind: str


class Grouping(Struct, frozen=True):
    """A query whose groups are kept as counters, of which its rows are computed.

    `keys`: the names of the group's columns in the counters. `rows`: the counter of a group's rows. `items`: the columns
    of the result over the counters, `having`: which groups the result has. `visible`: key -> the column of the result
    that it is.
    """

    keys: tuple[str, ...]
    rows: str
    counters: tuple[Counter, ...]
    items: tuple[str, ...]
    having: str | None
    visible: Mapping[str, str]

    @property
    def additive(self) -> bool:
        """Whether also removed rows can be subtracted."""
        return all(counter.kind in ("count", "sum") for counter in self.counters)


class Shape(Struct, frozen=True):
    """What changes of which inputs a query can follow, and by what.

    `body`: the query with views put in, or for a grouped query the one that computes its counters. `terms`: the body is a
    sum of products of these readings. `fixed`: tables whose changes cannot be multiplied out, and why. `schema`: the
    columns of the body. `emerging`: key columns without a value of which rows may come and go with changes of rows that have one. `refusal`:
    why nothing can be followed.
    """

    tier: Tier
    body: str = ""
    schema: Schema = field(default_factory=Schema)
    readings: tuple[ReadPlace, ...] = ()
    terms: tuple[tuple[int, ...], ...] = ()
    fixed: Mapping[str, Refusal] = field(default_factory=dict)
    grouping: Grouping | None = None
    emerging: tuple[str, ...] = ()
    refusal: Refusal | None = None

    def readings_of(self, table: TableName) -> tuple[int, ...]:
        return tuple(number for number, reading in enumerate(self.readings) if reading.table == table)

    def key_columns(self, tables: tuple[TableName, ...]) -> tuple[str, ...]:
        """The columns of the body by which changes of all these tables can be followed."""
        touched = [self.readings[number] for table in tables for number in self.readings_of(table)]
        return tuple(
            column.name for column in self.schema if touched and all(column.name in reading.keys for reading in touched)
        )


NOT_FOLLOWED = Shape(Tier.REFUSED)
"""For tables that are always rebuilt."""
