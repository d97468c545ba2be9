"""Partitions of inputs -> intervals of the output's time column."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from sqlflow.core.compiled import CompiledModel
from sqlflow.core.intervals import BEGINNING, END, Duration, Grain, Interval, IntervalSet, floor, following

_LAST = datetime(9999, 12, 31, tzinfo=UTC)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def changed_partitions(model: CompiledModel, names: Collection[str], zone: ZoneInfo | None) -> IntervalSet:
    """The time that partitions cover, named as in `changes/signatures.py`; the NULL partition covers none.

    `zone`: the project's time zone for a TIMESTAMPTZ column, None for any other.
    """
    grain = model.model.header.grain
    found = []
    for name in names:
        key = name.partition(":")[2]
        if key == "null":
            continue
        start = _moment(key)
        # An hour begins where the zone's clock shows a full hour, which need not be a full hour of UTC.
        end = start + timedelta(hours=1) if grain is Grain.HOUR and start < _LAST else following(start, grain, zone)
        found.append(Interval(start, END if start >= _LAST else end))
    return IntervalSet.of(found).aligned(grain, zone)


def _moment(key: str) -> datetime:
    """Times that Python has no datetime for count as the first or the last of what it has."""
    if key in ("inf", "-inf"):
        return _LAST if key == "inf" else BEGINNING
    try:
        found = _EPOCH + timedelta(microseconds=int(key))
    except OverflowError:
        return _LAST if int(key) > 0 else BEGINNING
    return min(found, _LAST)


def cut(
    wanted: IntervalSet, known: IntervalSet, batch: Duration, grain: Grain, zone: ZoneInfo | None
) -> list[IntervalSet]:
    """`wanted` in pieces no longer than `batch`, oldest first.

    `known`: the time that the inputs have rows for. What lies before it belongs to the first piece and what lies
    after it to the last, so that the pieces together are all of `wanted`.
    """
    inner = wanted & _hull(known)
    pieces: list[IntervalSet] = []
    for interval in inner:
        start = interval.start
        while start < interval.end:
            end = min(max(floor(batch.after(start), grain, zone), following(start, grain, zone)), interval.end)
            pieces.append(IntervalSet((Interval(start, end),)))
            start = end
    if not pieces:
        return [wanted] if wanted else []
    outside = wanted - inner
    first = pieces[0].intervals[0].start
    pieces[0] |= outside & IntervalSet.between(BEGINNING, first)
    pieces[-1] |= outside - IntervalSet.between(BEGINNING, first)
    return pieces


def _hull(known: IntervalSet) -> IntervalSet:
    if not known:
        return known
    return IntervalSet((Interval(known.intervals[0].start, known.intervals[-1].end),))
