"""Laws of half-open time: sets of intervals are sets, grains cut all of time into pieces without gap or overlap."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st

from sqlflow.core.intervals import (
    BEGINNING,
    END,
    EVERYTHING,
    NOTHING,
    Duration,
    Grain,
    Interval,
    IntervalSet,
    ceiling,
    floor,
    following,
)
from sqlflow.plan.partitions import cut

LAW = settings(max_examples=80, deadline=None, derandomize=True, database=None)

# New York: whole hours, clocks change at 2:00. Lord Howe: half an hour of summer time. Santiago and Beirut change at
# midnight, so that some days have none. Apia left out a whole day in 2011.
ZONES = [None, *map(ZoneInfo, ("UTC", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe", "America/Santiago", "Asia/Beirut", "Pacific/Apia"))]  # fmt: skip
zones = st.sampled_from(ZONES)
grains = st.sampled_from(list(Grain))
moments = st.one_of(
    st.datetimes(datetime(1990, 1, 1), datetime(2040, 1, 1)),
    st.datetimes(datetime(2024, 3, 8), datetime(2024, 3, 12)),
    st.datetimes(datetime(2011, 12, 28), datetime(2012, 1, 2)),
    st.datetimes(datetime(1990, 1, 1), datetime(2040, 1, 1)).map(
        lambda m: m.replace(minute=0, second=0, microsecond=0)
    ),
    st.datetimes(datetime(1990, 1, 1), datetime(2040, 1, 1)).map(lambda m: datetime(m.year, m.month, m.day)),
).map(lambda moment: moment.replace(tzinfo=UTC))
places = st.one_of(moments, st.sampled_from([BEGINNING, END]))
durations = st.builds(Duration, st.integers(1, 40), grains)


@st.composite
def sets(draw: st.DrawFn) -> IntervalSet:
    bounds = draw(st.lists(st.tuples(places, places), max_size=4))
    return IntervalSet.of(Interval(min(a, b), max(a, b)) for a, b in bounds if a != b)


def probes(*several: IntervalSet) -> list[datetime]:
    """Moments at, just before and just after every bound: enough to tell two sets apart."""
    bounds = {bound for found in several for interval in found for bound in (interval.start, interval.end)}
    near = {b + step for b in bounds - {BEGINNING, END} for step in (-_TICK, timedelta(0), _TICK)}
    return sorted({*near, BEGINNING, END - _TICK})


_TICK = timedelta(microseconds=1)


# Sets


@LAW
@given(sets(), sets())
def test_sets_of_intervals_are_sets_of_moments(one: IntervalSet, two: IntervalSet) -> None:
    for moment in probes(one, two):
        assert (moment in one | two) == (moment in one or moment in two)
        assert (moment in one & two) == (moment in one and moment in two)
        assert (moment in one - two) == (moment in one and moment not in two)
        assert (moment in one.complement()) == (moment not in one)


@LAW
@given(sets(), sets(), sets())
def test_equal_sets_are_written_alike(one: IntervalSet, two: IntervalSet, three: IntervalSet) -> None:
    assert one | two == two | one
    assert one & two == two & one
    assert (one | two) | three == one | (two | three)
    assert (one & two) & three == one & (two & three)
    assert one & (two | three) == (one & two) | (one & three)
    assert (one | two).complement() == one.complement() & two.complement()
    assert one.complement().complement() == one
    assert one - two == one & two.complement()
    assert one | NOTHING == one == one & EVERYTHING
    assert one - one == NOTHING
    assert one | one.complement() == EVERYTHING


@LAW
@given(sets(), sets())
def test_intervals_are_sorted_apart_and_not_empty(one: IntervalSet, two: IntervalSet) -> None:
    for found in (one, one | two, one & two, one - two, one.complement()):
        assert all(interval.start < interval.end for interval in found)
        assert all(a.end < b.start for a, b in zip(found.intervals, found.intervals[1:], strict=False))


# Grains


@LAW
@given(moments, grains, zones)
def test_a_moment_lies_in_the_interval_of_its_grain(moment: datetime, grain: Grain, zone: ZoneInfo | None) -> None:
    start, after = floor(moment, grain, zone), following(moment, grain, zone)
    assert start <= moment < after
    assert floor(start, grain, zone) == start
    assert floor(after, grain, zone) == after
    assert floor(after - _TICK, grain, zone) == start
    assert following(start, grain, zone) == after
    assert ceiling(moment, grain, zone) == (moment if moment == start else after)


@LAW
@given(moments, moments, grains, zones)
def test_floor_keeps_the_order(one: datetime, two: datetime, grain: Grain, zone: ZoneInfo | None) -> None:
    if one <= two:
        assert floor(one, grain, zone) <= floor(two, grain, zone)
        assert following(one, grain, zone) <= following(two, grain, zone)


@LAW
@given(moments, st.sampled_from([grain for grain in Grain if grain is not Grain.HOUR]), zones)
def test_days_and_longer_begin_where_the_zone_begins_a_day(
    moment: datetime, grain: Grain, zone: ZoneInfo | None
) -> None:
    start = floor(moment, grain, zone).astimezone(zone or UTC)
    before = (floor(moment, grain, zone) - _TICK).astimezone(zone or UTC)
    assert before.date() < start.date() or start.hour == 0
    if grain is Grain.WEEK and start.hour == 0:
        assert start.weekday() == 0
    if grain in (Grain.MONTH, Grain.QUARTER, Grain.YEAR):
        assert start.day == 1


@LAW
@given(sets(), grains, zones)
def test_aligned_is_the_smallest_set_of_whole_intervals(
    found: IntervalSet, grain: Grain, zone: ZoneInfo | None
) -> None:
    aligned = found.aligned(grain, zone)
    assert found - aligned == NOTHING
    assert aligned.aligned(grain, zone) == aligned
    for interval in aligned:
        for bound in {interval.start, interval.end} - {BEGINNING, END}:
            assert floor(bound, grain, zone) == bound
        # Its first and its last piece are there for a reason.
        if interval.start != BEGINNING:
            assert IntervalSet.between(interval.start, following(interval.start, grain, zone)) & found
        if interval.end != END:
            assert IntervalSet.between(floor(interval.end - _TICK, grain, zone), interval.end) & found


@LAW
@given(moments, st.sampled_from(["hour", "day", "week"]), st.integers(1, 1000))
def test_durations_of_fixed_length_go_there_and_back(moment: datetime, unit: str, count: int) -> None:
    length = Duration(count, Grain(unit))
    assert length.before(length.after(moment)) == moment
    assert Duration.parse(str(length)) == length


@LAW
@given(moments, durations)
def test_durations_go_forth_and_keep_to_the_calendar(moment: datetime, length: Duration) -> None:
    assert length.before(moment) < moment < length.after(moment)
    assert Duration.parse(str(length)) == length
    months = {Grain.MONTH: 1, Grain.QUARTER: 3, Grain.YEAR: 12}.get(length.unit)
    if months is not None:
        after = length.after(moment)
        assert (after.year - moment.year) * 12 + after.month - moment.month == months * length.count
        assert after.day == moment.day or (after + timedelta(days=1)).day == 1


@LAW
@given(durations)
def test_durations_stop_at_the_ends_of_time(length: Duration) -> None:
    assert length.after(END) == END
    assert length.before(BEGINNING) == BEGINNING
    assert length.after(END - _TICK) == END
    assert length.before(BEGINNING + _TICK) == BEGINNING


# Batches


@LAW
@given(sets(), sets(), st.builds(Duration, st.integers(1, 12), grains), grains, zones)
def test_batches_are_in_order_apart_and_together_all(
    wanted: IntervalSet, known: IntervalSet, batch: Duration, grain: Grain, zone: ZoneInfo | None
) -> None:
    known = IntervalSet.of(
        Interval(max(i.start, _EARLY), min(i.end, _LATE)) for i in known if max(i.start, _EARLY) < min(i.end, _LATE)
    )
    if grain in (Grain.HOUR, Grain.DAY) and batch.unit in (Grain.HOUR, Grain.DAY):
        batch = Duration(batch.count * 24 * 50, batch.unit)  # not millions of pieces
    wanted = wanted.aligned(grain, zone)
    pieces = cut(wanted, known.aligned(grain, zone), batch, grain, zone)
    together = NOTHING
    for piece in pieces:
        assert piece
        assert piece & together == NOTHING
        assert piece.aligned(grain, zone) == piece
        together |= piece
    assert together == wanted
    starts = [piece.intervals[-1].start for piece in pieces[:-1]]
    assert starts == sorted(starts)
    longest = max(batch.after(_EARLY) - _EARLY, following(_EARLY, grain) - _EARLY) + timedelta(days=4)
    for piece in pieces:
        inner = piece & known
        if inner:  # time without rows costs nothing, and comes on top
            assert inner.intervals[-1].end - inner.intervals[0].start <= longest


_EARLY, _LATE = datetime(1995, 1, 1, tzinfo=UTC), datetime(2030, 1, 1, tzinfo=UTC)
