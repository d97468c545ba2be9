"""What is known of a query, in the form that the compile cache keeps. No parser is needed to read it back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sqlflow.core.compiled import Lineage, TimeMapping
from sqlflow.core.engine import BindError, ReadTable
from sqlflow.core.names import TableName
from sqlflow.core.schema import Schema


@dataclass(frozen=True, slots=True)
class Parsed:
    """Facts about one query's text.

    `clock`: what in it changes with the time of the build. `bounds`: offsets of `$start` and `$end`. `forbidden`:
    a statement inside the query that is not a query. `opaque`: SQLFlow's own parser cannot read it although the
    engine can. `error`: it is no SQL at all.
    """

    tables: tuple[ReadTable, ...] = ()
    clock: tuple[str, ...] = ()
    bounds: tuple[tuple[int, int, str], ...] = ()
    meaning: str = ""
    forbidden: str = ""
    opaque: bool = False
    error: BindError | None = None


@dataclass(frozen=True, slots=True)
class TableTimes:
    """`TimeMapping` of one table."""

    table: TableName
    mapping: TimeMapping


@dataclass(frozen=True, slots=True)
class TableReads:
    """The columns that are read of one table, in lower case."""

    table: TableName
    columns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a compiled query. `columns`, `rows`: the hashes for `Fingerprint`."""

    schema: Schema
    lineage: Lineage = field(default_factory=Lineage)
    reads: tuple[TableReads, ...] = ()
    times: tuple[TableTimes, ...] = ()
    columns: Mapping[str, str] = field(default_factory=dict)
    rows: str = ""
