"""Half-open time and its algebra: `[start, end)`, never both ends.

All times are aware and tagged UTC. For DATE and TIMESTAMP columns the tag means nothing (it is the column's own
wall clock); for TIMESTAMPTZ columns it is the instant. `BEGINNING` and `END` stand for no bound at all.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from msgspec import Struct

BEGINNING = datetime.min.replace(tzinfo=UTC)
END = datetime.max.replace(tzinfo=UTC)


class Grain(StrEnum):
    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    QUARTER = "quarter"
    YEAR = "year"


_SHORT = {"h": "hour", "d": "day", "w": "week"}


class Duration(Struct, frozen=True):
    """A length of time as an author writes it: `3 days`, `2 hours`, `1 month`."""

    count: int
    unit: Grain

    def __str__(self) -> str:
        return f"{self.count} {self.unit}{'' if self.count == 1 else 's'}"

    @classmethod
    def parse(cls, text: str) -> Duration:
        """Read `3 days`, `1 week`, `day`, `6h`. Raises ValueError with what is wrong."""
        match = re.fullmatch(r"\s*(?:(\d+)\s*)?([A-Za-z]+)\s*", text)
        unit = match[2].lower().removesuffix("s") if match else ""
        unit = _SHORT.get(unit, unit) if match and match[1] else unit
        if match is None or unit not in set(Grain):
            raise ValueError(f"`{text}` is not a length of time such as `3 days` or `2 hours`")
        return cls(int(match[1] or 1), Grain(unit))

    def before(self, moment: datetime) -> datetime:
        """`moment` minus this length, not before BEGINNING."""
        return self._shift(moment, -self.count)

    def after(self, moment: datetime) -> datetime:
        """`moment` plus this length, not after END."""
        return self._shift(moment, self.count)

    def _shift(self, moment: datetime, count: int) -> datetime:
        if moment == END or (moment == BEGINNING and count < 0):
            return moment
        try:
            match self.unit:
                case Grain.HOUR:
                    return moment + timedelta(hours=count)
                case Grain.DAY:
                    return moment + timedelta(days=count)
                case Grain.WEEK:
                    return moment + timedelta(weeks=count)
                case Grain.MONTH:
                    return _add_months(moment, count)
                case Grain.QUARTER:
                    return _add_months(moment, 3 * count)
                case Grain.YEAR:
                    return _add_months(moment, 12 * count)
        except (OverflowError, ValueError):
            return BEGINNING if count < 0 else END


def _add_months(moment: datetime, count: int) -> datetime:
    months = moment.year * 12 + moment.month - 1 + count
    year, month = divmod(months, 12)
    first = moment.replace(year=year, month=month + 1, day=1)
    following = first.replace(year=year + month // 11, month=(month + 1) % 12 + 1)
    return first.replace(day=min(moment.day, (following - first).days))


def floor(moment: datetime, grain: Grain, zone: ZoneInfo | None = None) -> datetime:
    """The start of the hour, day, week (Monday), month, quarter or year that `moment` lies in.

    With a `zone` the moment is an instant, and days and longer begin at that zone's midnight; hours stay UTC
    hours, so that the repeated hour at the end of summer time is two hours.
    """
    if moment in (BEGINNING, END):
        return moment
    if zone is not None and grain is not Grain.HOUR:
        try:
            local = moment.astimezone(zone).replace(tzinfo=UTC)
            # Where the clock goes back over midnight there are two; the day begins with the first.
            return floor(local, grain).replace(tzinfo=zone, fold=0).astimezone(UTC)
        except OverflowError:
            return BEGINNING if moment.year < 5000 else END
    midnight = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    match grain:
        case Grain.HOUR:
            return moment.replace(minute=0, second=0, microsecond=0)
        case Grain.DAY:
            return midnight
        case Grain.WEEK:
            days = midnight.weekday()
            return BEGINNING if midnight - BEGINNING < timedelta(days) else midnight - timedelta(days)
        case Grain.MONTH:
            return midnight.replace(day=1)
        case Grain.QUARTER:
            return midnight.replace(month=(midnight.month - 1) // 3 * 3 + 1, day=1)
        case Grain.YEAR:
            return midnight.replace(month=1, day=1)


def following(moment: datetime, grain: Grain, zone: ZoneInfo | None = None) -> datetime:
    """The start of the next hour, day, ... after the one that `moment` lies in."""
    if moment == END:
        return moment
    start = floor(moment, grain, zone)
    step = Duration(1, grain)
    if zone is not None and grain is not Grain.HOUR:
        try:
            local = step.after(start if start == BEGINNING else start.astimezone(zone).replace(tzinfo=UTC))
            return local if local == END else local.replace(tzinfo=zone, fold=0).astimezone(UTC)
        except OverflowError:
            return END if moment.year > 5000 else BEGINNING + timedelta(days=2)
    return step.after(start)


def ceiling(moment: datetime, grain: Grain, zone: ZoneInfo | None = None) -> datetime:
    """`moment` itself when it starts an interval of the grain, else the start of the next."""
    return moment if floor(moment, grain, zone) == moment else following(moment, grain, zone)


def moment_of(value: date | datetime | str) -> datetime:
    """A date, datetime or ISO text as an aware UTC time. Raises ValueError."""
    if isinstance(value, str):
        value = datetime.fromisoformat(value.strip())
    if not isinstance(value, datetime):
        return datetime(value.year, value.month, value.day, tzinfo=UTC)
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Interval(Struct, frozen=True, order=True):
    """From `start`, included, to `end`, left out. Never empty."""

    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        if not self.start < self.end:
            raise ValueError(f"an interval ends after it starts: {self.start} .. {self.end}")

    def __str__(self) -> str:
        return f"{_show(self.start)} .. {_show(self.end)}"


class IntervalSet(Struct, frozen=True):
    """A set of moments as sorted, disjoint intervals that do not touch: one form for one set."""

    intervals: tuple[Interval, ...] = ()

    @classmethod
    def of(cls, intervals: Iterable[Interval]) -> IntervalSet:
        merged: list[Interval] = []
        for interval in sorted(intervals):
            if merged and interval.start <= merged[-1].end:
                merged[-1] = Interval(merged[-1].start, max(merged[-1].end, interval.end))
            else:
                merged.append(interval)
        return cls(tuple(merged))

    @classmethod
    def between(cls, start: datetime, end: datetime) -> IntervalSet:
        """`[start, end)`, or nothing when it would be empty."""
        return cls((Interval(start, end),)) if start < end else cls()

    def __iter__(self) -> Iterator[Interval]:
        return iter(self.intervals)

    def __len__(self) -> int:
        return len(self.intervals)

    def __bool__(self) -> bool:
        return bool(self.intervals)

    def __contains__(self, moment: datetime) -> bool:
        return any(i.start <= moment < i.end for i in self.intervals)

    def __or__(self, other: IntervalSet) -> IntervalSet:
        return IntervalSet.of((*self.intervals, *other.intervals))

    def __and__(self, other: IntervalSet) -> IntervalSet:
        return IntervalSet.of(
            Interval(max(a.start, b.start), min(a.end, b.end))
            for a in self.intervals
            for b in other.intervals
            if max(a.start, b.start) < min(a.end, b.end)
        )

    def __sub__(self, other: IntervalSet) -> IntervalSet:
        return self & other.complement()

    def complement(self) -> IntervalSet:
        """All of time without this."""
        gaps: list[Interval] = []
        position = BEGINNING
        for interval in self.intervals:
            if position < interval.start:
                gaps.append(Interval(position, interval.start))
            position = interval.end
        if position < END:
            gaps.append(Interval(position, END))
        return IntervalSet(tuple(gaps))

    def aligned(self, grain: Grain, zone: ZoneInfo | None = None) -> IntervalSet:
        """The smallest set of whole hours, days, ... that holds this one."""
        return IntervalSet.of(
            Interval(floor(i.start, grain, zone), ceiling(i.end, grain, zone)) for i in self.intervals
        )

    @property
    def everything(self) -> bool:
        return self == EVERYTHING

    def __str__(self) -> str:
        if self.everything:
            return "all of time"
        return ", ".join(str(interval) for interval in self.intervals) or "nothing"


NOTHING = IntervalSet()
EVERYTHING = IntervalSet((Interval(BEGINNING, END),))


def _show(moment: datetime) -> str:
    if moment == BEGINNING:
        return "beginning"
    if moment == END:
        return "end"
    if moment.hour or moment.minute or moment.second or moment.microsecond:
        return moment.replace(tzinfo=None).isoformat(" ", "seconds")
    return moment.date().isoformat()
