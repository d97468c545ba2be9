"""How far a row reaches in time, and what is known of a chain of time functions: as values, and on sets of intervals.

An input row whose time is E touches output times in [E + first, E + last]. `Reach.touched` gives the output times that
rows of some intervals touch; `Reach.sources` the other way round, the intervals whose rows touch some output times.
`image` and `preimage` do the same for functions of one column (`CAST(ts AS DATE) + 1`). All of them may give more than
is needed, never less.

Where the calendar decides (months, days of a zone whose clock changes) the set is made wider, by a bound that holds for
all dates. Times that Python has no datetime for count as the first or the last of what it has.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

from msgspec import Struct

from sqlflow.core.intervals import BEGINNING, END, NOTHING, Duration, Grain, Interval, IntervalSet, floor

SECOND = 1_000_000
HOUR = 3600 * SECOND
DAY = 24 * HOUR
# The clock of a zone was never set by more than a day at once, and is never further than 16 hours from UTC.
CLOCK = 25 * HOUR
OFFSET = 16 * HOUR

LAST = datetime(9999, 12, 31, tzinfo=UTC)
_EARLIEST = BEGINNING + timedelta(days=2)


class Reach(Struct, frozen=True, order=True):
    """From E + `first` to E + `last`, both included, in microseconds; None: without an end on that side."""

    first: int | None = 0
    last: int | None = 0

    def then(self, other: Reach) -> Reach:
        """What is touched by what this touches."""
        return Reach(_plus(self.first, other.first), _plus(self.last, other.last))

    def or_here(self) -> Reach:
        """The smallest reach that holds this one and the row's own time."""
        return Reach(
            None if self.first is None else min(0, self.first), None if self.last is None else max(0, self.last)
        )

    @property
    def bounded(self) -> bool:
        return self.first is not None and self.last is not None

    @property
    def unknown(self) -> bool:
        """Whether it says nothing: a row may touch any time."""
        return self.first is None and self.last is None

    def touched(self, changed: IntervalSet) -> IntervalSet:
        """The output times that rows whose E lies in these intervals may touch."""
        return _widened(changed, self.first, self.last)

    def sources(self, wanted: IntervalSet) -> IntervalSet:
        """The intervals that hold the E of all rows that may touch these output times."""
        return _widened(wanted, _minus(self.last), _minus(self.first))


HERE = Reach()


class TimeStep(Struct, frozen=True):
    """One function of time in a chain; which one tells `kind`.

    - `cut`: to the start of the `unit`, for a TIMESTAMPTZ by the session's clock;
    - `date`: to the day, a TIMESTAMPTZ by the session's clock;
    - `shift`: by `months`, `days` and `micros`, for a TIMESTAMPTZ months and days by the session's clock;
    - `zone`: AT TIME ZONE `zone`; the session's zone when it is empty (a cast). An instant becomes what that zone's
      clock shows, what a clock shows becomes an instant.
    """

    kind: str
    unit: str = ""
    months: int = 0
    days: int = 0
    micros: int = 0
    zone: str = ""


def image(steps: Sequence[TimeStep], changed: IntervalSet, zoned: bool, session: ZoneInfo) -> tuple[IntervalSet, bool]:
    """Where the chain takes times of these intervals, and whether the result is of TIMESTAMPTZ."""
    for step in steps:
        changed, zoned = _stepped(step, changed, zoned, session)
    return changed, zoned


def preimage(steps: Sequence[TimeStep], wanted: IntervalSet, zoned: bool, session: ZoneInfo) -> IntervalSet:
    """The times of a column (`zoned`: TIMESTAMPTZ) that the chain takes into these intervals."""
    for number in reversed(range(len(steps))):
        wanted = _unstepped(steps[number], wanted, is_zoned(steps[:number], zoned), session)
    return wanted


def is_zoned(steps: Sequence[TimeStep], zoned: bool) -> bool:
    """Whether the chain over a column (`zoned`: TIMESTAMPTZ) gives a TIMESTAMPTZ."""
    for step in steps:
        zoned = not zoned if step.kind == "zone" else zoned and step.kind != "date"
    return zoned


_UTC = ("UTC", "GMT")


def zone_named(name: str, session: ZoneInfo) -> ZoneInfo | None:
    """The zone that an author wrote; None when Python does not know it."""
    if not name:
        return session
    if "/" not in name and name not in _UTC:
        return None  # CET is an offset to some engines, and to others the clock of a place
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, KeyError):
        return None


# ---------------------------------------------------------------------- steps on sets


def _stepped(step: TimeStep, changed: IntervalSet, zoned: bool, session: ZoneInfo) -> tuple[IntervalSet, bool]:
    match step.kind:
        case "cut":
            return _cut(changed, Grain(step.unit), session if zoned else None), zoned
        case "date":
            if zoned:
                changed = _to_clock(changed, session)
            return changed.aligned(Grain.DAY), False
        case "zone":
            zone = zone_named(step.zone, session)
            if zone is None:
                return _widened(changed, -OFFSET, OFFSET), not zoned
            return (_to_clock(changed, zone) if zoned else _to_instants(changed, zone)), not zoned
        case _:
            return _shifted(changed, step.months, step.days, step.micros, session if zoned else None), zoned


def _unstepped(step: TimeStep, wanted: IntervalSet, zoned: bool, session: ZoneInfo) -> IntervalSet:
    """What `step` takes into these intervals, from a column that is `zoned`."""
    match step.kind:
        case "cut":
            return _cut(wanted, Grain(step.unit), session if zoned else None)
        case "date":
            wanted = wanted.aligned(Grain.DAY)
            return _to_instants(wanted, session) if zoned else wanted
        case "zone":
            zone = zone_named(step.zone, session)
            if zone is None:
                return _widened(wanted, -OFFSET, OFFSET)
            if zoned:
                return _to_instants(wanted, zone)
            # A clock reading that was skipped is an instant whose own reading is another one.
            return _widened(_to_clock(wanted, zone), -CLOCK, CLOCK) if not _steady(zone) else _to_clock(wanted, zone)
        case _:
            found = _shifted(wanted, -step.months, -step.days, -step.micros, session if zoned else None)
            return _widened(found, -7 * DAY, 7 * DAY) if step.months else found


def _cut(changed: IntervalSet, grain: Grain, zone: ZoneInfo | None) -> IntervalSet:
    if zone is None:
        return changed.aligned(grain)
    # By the zone's clock and back, which is right also for hours of zones that are half an hour off.
    return _to_instants(_to_clock(changed, zone).aligned(grain), zone)


def _shifted(changed: IntervalSet, months: int, days: int, micros: int, zone: ZoneInfo | None) -> IntervalSet:
    if zone is not None and (months or days) and not _steady(zone):
        local = _shifted(_to_clock(changed, zone), months, days, 0, None)
        return _widened(_to_instants(local, zone), micros, micros)
    if months:
        # Several days may become the last day of a short month, so whole days are shifted.
        changed = IntervalSet.of(
            Interval(
                i.start if i.start == BEGINNING else _month_later(floor(i.start, Grain.DAY), months),
                END if i.end == END else _day_after(_month_later(floor(_just_before(i.end), Grain.DAY), months)),
            )
            for i in changed
        )
    moved = days * DAY + micros
    return _widened(changed, moved, moved)


def _month_later(moment: datetime, months: int) -> datetime:
    return min(max(Duration(months, Grain.MONTH).after(moment), BEGINNING), LAST)


def _day_after(moment: datetime) -> datetime:
    return _moved(moment, DAY)


def _just_before(moment: datetime) -> datetime:
    return moment - timedelta(microseconds=1) if moment > BEGINNING else moment


def _to_clock(changed: IntervalSet, zone: ZoneInfo) -> IntervalSet:
    """Instants -> what the zone's clock shows."""
    return _converted(changed, zone, 1)


def _to_instants(changed: IntervalSet, zone: ZoneInfo) -> IntervalSet:
    """What the zone's clock shows -> instants; for an hour that is there twice both, for one that is skipped both
    readings of it."""
    return _converted(changed, zone, -1)


_QUARTER = timedelta(minutes=15)
_STEPS = 4 * 26  # the quarters of an hour in which a conversion may run backwards


def _converted(changed: IntervalSet, zone: ZoneInfo, sign: int) -> IntervalSet:
    """Each time plus (or minus) the zone's offset there.

    Only within a day of its start can an interval's times come before where its start goes, and likewise at its end:
    there the offset is looked up every quarter of an hour, unless the clock is not set in those hours.
    """
    found = []
    for interval in changed:
        start, end = interval.start, interval.end
        if start != BEGINNING:
            start = min(_edge(start, zone, sign, 1), LAST)
        if end != END:
            end = max(_edge(end, zone, sign, -1), _EARLIEST)
        found.append(Interval(start, end))
    return IntervalSet.of(found)


def _edge(moment: datetime, zone: ZoneInfo, sign: int, way: int) -> datetime:
    """Where the earliest of the times from `moment` on go (`way` 1), or the latest of those before it (-1)."""
    if (moment >= LAST - timedelta(days=3)) if way > 0 else (moment <= _EARLIEST + timedelta(days=3)):
        return _moved(moment, -OFFSET * way)
    few = {_offsets(moment + way * _QUARTER * n, zone, sign) for n in range(0, _STEPS + 1, 13)}
    if len(few) == 1:
        one, two = few.pop()
        return _moved(moment, min(one, two) if way > 0 else max(one, two))
    points = [moment + way * _QUARTER * n for n in range(_STEPS + 1)]
    offsets = [_offsets(point, zone, sign) for point in points]
    pick = min if way > 0 else max
    return pick(_moved(point, pick(*one, *two)) for point, (one, two) in zip(points, pairwise(offsets), strict=False))


def _offsets(moment: datetime, zone: ZoneInfo, sign: int) -> tuple[int, int]:
    """The zone's offsets at a moment in microseconds, of both readings where a clock shows it twice or never."""
    if not BEGINNING + timedelta(days=1) < moment < LAST:
        return -OFFSET, OFFSET
    if sign > 0:
        offset = moment.astimezone(zone).utcoffset() or timedelta()
        return _micros(offset), _micros(offset)
    local = moment.replace(tzinfo=zone)
    one, two = (local.replace(fold=fold).utcoffset() or timedelta() for fold in (0, 1))
    return -_micros(one), -_micros(two)


def _micros(length: timedelta) -> int:
    return length // timedelta(microseconds=1)


def _steady(zone: ZoneInfo) -> bool:
    """Whether the zone's clock was never set."""
    return zone.key in ("UTC", "Etc/UTC", "GMT", "Etc/GMT")


# ---------------------------------------------------------------------- moving bounds


def _widened(changed: IntervalSet, first: int | None, last: int | None) -> IntervalSet:
    """Each [start, end) becomes [start + first, end + last)."""
    if not changed:
        return NOTHING
    found = []
    for interval in changed:
        start = interval.start
        if start != BEGINNING:
            # What lies beyond the last day that Python knows is told as that day.
            start = BEGINNING if first is None else min(_moved(start, first), LAST)
        end = interval.end
        if end != END:
            end = END if last is None else max(_moved(end, last), _EARLIEST)
        if start < end:
            found.append(Interval(start, end))
    return IntervalSet.of(found)


def _moved(moment: datetime, micros: int) -> datetime:
    try:
        return moment + timedelta(microseconds=micros)
    except OverflowError:
        return BEGINNING if micros < 0 else END


def _plus(one: int | None, two: int | None) -> int | None:
    return None if one is None or two is None else one + two


def _minus(one: int | None) -> int | None:
    return None if one is None else -one
