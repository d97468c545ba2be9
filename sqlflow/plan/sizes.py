"""How much a model reads for each stretch of time, and pieces of it that fit into memory."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from itertools import pairwise
from zoneinfo import ZoneInfo

from msgspec import Struct

from sqlflow.core.amounts import counted, sized
from sqlflow.core.compiled import CompiledModel
from sqlflow.core.intervals import BEGINNING, END, Interval, IntervalSet
from sqlflow.core.names import TableName
from sqlflow.core.plan import SignatureUpdate
from sqlflow.core.schema import Schema
from sqlflow.core.types import ColumnType, Family
from sqlflow.plan.partitions import changed_partitions


class InputSizes(Struct, frozen=True):
    """What a model reads: rows and bytes in all, and bytes by interval, oldest first."""

    rows: int
    size: int
    sizes: tuple[tuple[Interval, int], ...]

    def __str__(self) -> str:
        return f"about {counted(self.rows, 'row')} of {sized(self.size / max(self.rows, 1))}, {sized(self.size)}"


def reading(
    model: CompiledModel,
    updates: Collection[SignatureUpdate],
    columns: Mapping[TableName, Schema],
    wanted: IntervalSet,
    zone: ZoneInfo | None,
) -> InputSizes | None:
    """What must be read for the `wanted` intervals, as far as the signatures of the inputs tell.

    None where a part of the time could not be read without reading all of it.
    """
    for update in updates:
        mapping = model.times.get(update.input)
        apart = mapping is not None and all(occurrence.pushable for occurrence in mapping.occurrences)
        if not apart and not model.bounds:
            return None
    rows = 0
    sizes: dict[Interval, int] = {}
    for update in updates:
        width = _row_size(columns[update.input], model.reads.get(update.input))
        for name, signature in update.partitions.items():
            for interval in changed_partitions(model, [name], zone) & wanted if signature is not None else ():
                assert signature is not None
                rows += signature.rows
                sizes[interval] = sizes.get(interval, 0) + signature.rows * width
    found = sorted(sizes.items(), key=lambda item: item[0].start)
    return InputSizes(rows, sum(sizes.values()), tuple(found))


def cut(wanted: IntervalSet, found: InputSizes, most: int) -> list[IntervalSet]:
    """`wanted` in pieces that read no more than `most` bytes each, oldest first; one interval is never cut.

    Time that nothing is known of belongs to the piece around it, so that the pieces together are all of `wanted`.
    """
    edges = [BEGINNING]
    filled = 0
    for interval, size in found.sizes:
        if filled and filled + size > most and interval.start > edges[-1]:
            edges.append(interval.start)
            filled = 0
        filled += size
    pieces = [wanted & IntervalSet.between(low, high) for low, high in pairwise([*edges, END])]
    return [piece for piece in pieces if piece]


def _row_size(schema: Schema, read: frozenset[str] | None) -> int:
    """The bytes that a row takes in memory, of the columns that are read; all where that is not known."""
    found = [c for c in schema if read is None or c.name.lower() in read]
    return sum(_size_of(column.parsed) for column in found) or 1


_SIZES = {
    Family.BOOLEAN: 1, Family.DATE: 4, Family.TIME: 8, Family.TIMESTAMP: 8, Family.UUID: 16, Family.INTERVAL: 16,
    Family.TEXT: 32, Family.BINARY: 32, Family.ENUM: 32,
}  # fmt: skip
_NESTED = 64


def _size_of(kind: ColumnType) -> int:
    if kind.bits:
        return kind.bits // 8
    if kind.precision is not None:
        return 8 if kind.precision <= 18 else 16
    return _SIZES.get(kind.family, _NESTED)
