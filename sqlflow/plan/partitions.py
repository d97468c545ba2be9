"""Partitions of inputs -> intervals of the output's time column."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

from sqlflow.core.compiled import CompiledModel, TimeMapping
from sqlflow.core.intervals import BEGINNING, END, NOTHING, Duration, Grain, Interval, IntervalSet, floor, following
from sqlflow.core.reach import LAST

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def changed_partitions(model: CompiledModel, names: Collection[str], zone: ZoneInfo | None) -> IntervalSet:
    """The time that partitions cover, named as in `changes/signatures.py`; the NULL partition covers none.

    `zone`: the project's time zone for a TIMESTAMPTZ column, None for any other.
    """
    grain = model.header.grain
    found = []
    for name in names:
        key = name.partition(":")[2]
        if key == "null":
            continue
        start = _moment(key)
        # An hour begins where the zone's clock shows a full hour, which need not be a full hour of UTC.
        end = start + timedelta(hours=1) if grain is Grain.HOUR and start < LAST else following(start, grain, zone)
        found.append(Interval(start, END if start >= LAST else end))
    return IntervalSet.of(found).aligned(grain, zone)


def touched_by(
    model: CompiledModel, mapping: TimeMapping, names: Collection[str], zone: ZoneInfo | None
) -> IntervalSet:
    """The output time that rows of these partitions of an input may touch, by how far they reach."""
    found = NOTHING
    for number, expression in enumerate(mapping.expressions):
        mine = [name for name in names if name.partition(":")[0] == str(number)]
        changed = changed_partitions(model, mine, zone)
        for reach in mapping.reaches_of(expression):
            found |= reach.touched(changed)
    return found.aligned(model.header.grain, zone)


def _moment(key: str) -> datetime:
    """Times that Python has no datetime for count as the first or the last of what it has."""
    if key in ("inf", "-inf"):
        return LAST if key == "inf" else BEGINNING
    try:
        found = _EPOCH + timedelta(microseconds=int(key))
    except OverflowError:
        return LAST if int(key) > 0 else BEGINNING
    return min(found, LAST)


def cut(
    wanted: IntervalSet, known: IntervalSet, batch: Duration, grain: Grain, zone: ZoneInfo | None
) -> list[IntervalSet]:
    """`wanted` in pieces no longer than `batch`, oldest first.

    `known`: the time that the inputs have rows for. Time without rows belongs to the piece that follows it, and
    after the last rows to the last piece, so that the pieces together are all of `wanted`.
    """
    ends: list[datetime] = []
    start: datetime | None = None
    for interval in wanted & known:
        position = interval.start
        while position < interval.end:
            if start is None or batch.after(start) <= position:
                start = position
                ends.append(position)
            limit = max(floor(batch.after(start), grain, zone), following(start, grain, zone))
            position = ends[-1] = min(interval.end, limit)
            if position == limit:
                start = None
    if len(ends) < 2:
        return [wanted] if wanted else []
    edges = [BEGINNING, *ends[:-1], END]
    pieces = [wanted & IntervalSet.between(low, high) for low, high in pairwise(edges)]
    return [piece for piece in pieces if piece]
