"""The time that is to be written, in batches."""

from __future__ import annotations

from zoneinfo import ZoneInfo

from msgspec.structs import replace

from sqlflow.core.amounts import sized
from sqlflow.core.intervals import BEGINNING, END, NOTHING, IntervalSet
from sqlflow.core.plan import Reason
from sqlflow.plan import partitions, sizes
from sqlflow.plan.subject import ZONED, Subject
from sqlflow.plan.world import World


def pieces_of(
    world: World, subject: Subject, wanted: IntervalSet, known: IntervalSet, reason: Reason
) -> tuple[list[IntervalSet], Reason]:
    """`wanted` in batches, as the author says, or as the memory does; and the reason with the numbers behind them."""
    header, zone, memory = subject.model.header, time_zone(subject), world.traits.memory
    if header.batch is not None:
        return partitions.cut(wanted, known, header.batch, header.grain, zone), reason
    if memory is None or "batch" in header.spans:  # `batch: none`
        return [wanted], reason
    found = sizes.reading(subject.model, world.signatures(subject.table), world.compiled.columns, wanted, zone)
    if found is None or found.size <= memory:
        return [wanted], reason
    pieces = sizes.cut(wanted, found, memory // 2)
    why = f"in {len(pieces)} batches, as it reads {found}, and {sized(memory)} of memory may be used"
    return pieces, replace(reason, detail=f"{reason}; {why}") if len(pieces) > 1 else reason


def known_time(world: World, subject: Subject) -> IntervalSet:
    """The time that the inputs are known to have rows for."""
    found = NOTHING
    for update in world.signatures(subject.table):
        there = [name for name, signature in update.partitions.items() if signature is not None]
        found |= partitions.changed_partitions(subject.model, there, time_zone(subject))
    if subject.before is not None:
        found |= IntervalSet.of(i for i in subject.before.done if i.start != BEGINNING and i.end != END)
    return found


def time_zone(subject: Subject) -> ZoneInfo | None:
    """In which the units of the time column begin; None for a column without a zone."""
    time = subject.model.header.time
    return subject.zone if time is not None and subject.type_of(time) == ZONED else None


def share_of(rows: int | None, piece: IntervalSet, known: IntervalSet) -> int | None:
    """How many of a table's rows lie in a part of the time that they are known to be of, if they lie evenly."""
    whole, part = (sum((i.end - i.start).total_seconds() for i in found) for found in (known, known & piece))
    return round(rows * part / whole) if rows is not None and 0 < part < whole else None


def in_words(intervals: IntervalSet) -> str:
    if len(intervals) == 1 and not intervals.everything:
        return str(intervals.intervals[0])
    return "everything" if intervals.everything else f"{len(intervals)} intervals"
