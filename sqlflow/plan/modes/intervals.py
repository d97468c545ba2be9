"""The statements of `incremental`: only intervals of the time column are replaced, each by the query's rows for it.

The rows of an interval are those of the whole query whose time lies in it, so replacing all intervals gives the
whole query. Rows without a time are a partition of their own and are replaced with every write.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from msgspec.structs import replace

from sqlflow.core.compiled import Occurrence
from sqlflow.core.intervals import BEGINNING, END, EVERYTHING, NOTHING, Grain, Interval, IntervalSet
from sqlflow.core.names import TableName
from sqlflow.core.plan import Step, StepKind
from sqlflow.core.reach import is_zoned, preimage
from sqlflow.core.records import Relation
from sqlflow.core.sql import Authors, Ident, Sql, compose, joined, make_temporary, render
from sqlflow.core.text import Edit
from sqlflow.core.ways import Fact
from sqlflow.plan import selfcheck
from sqlflow.plan.selfcheck import SelfCheck
from sqlflow.plan.subject import (
    ZONED,
    Subject,
    bounded_query,
    replace_table,
    unless_still,
    watermark_literal,
    within,
    write,
)

_REPLACED = Ident("_sqlflow_replaced")
_CHECKED = Ident("_sqlflow_checked")


def domain(subject: Subject) -> IntervalSet:
    """All the time that the table is about: from `start` on."""
    start = subject.model.header.start
    return EVERYTHING if start is None else IntervalSet.between(in_column_terms(subject, start), END)


def in_column_terms(subject: Subject, moment: datetime) -> datetime:
    """A date that an author or a user wrote: for a TIMESTAMPTZ column, that wall clock in the project's time zone."""
    if moment in (BEGINNING, END) or _time(subject)[1] != ZONED:
        return moment
    try:
        return moment.replace(tzinfo=subject.zone).astimezone(UTC)
    except OverflowError:
        return BEGINNING if moment.year < 5000 else END


def rebuild(subject: Subject) -> tuple[Step, ...]:
    """The whole table, from `start` on."""
    return (*replace_table(subject, whole_query(subject)), *_measure(subject, fresh=True))


def whole_query(subject: Subject) -> Sql:
    """The query of all the rows that the table is about."""
    return _rows(subject, domain(subject), nulls=True)


def first_batch(subject: Subject, intervals: IntervalSet) -> tuple[Step, ...]:
    """A table with the rows of the first intervals, for a table that is built batch by batch."""
    return (*replace_table(subject, _rows(subject, intervals, nulls=True)), *_measure(subject, fresh=True))


def update(subject: Subject, intervals: IntervalSet, *, nulls: bool = True) -> tuple[Step, ...]:
    """Replace the rows of these intervals, and those without a time when `nulls`."""
    time, kind = _time(subject)
    condition = within(Sql(render(time)), kind, intervals, nulls=nulls)
    parts = subject.model.header.partition_by
    if parts is not None and parts.column.lower() == str(time).lower() and not subject.model.bounds:
        rows = _rows(subject, intervals, nulls=nulls)
        kept = make_temporary(_REPLACED, rows)
        replaced = subject.words.replace_partitions(subject.table, _REPLACED, subject.model.schema, parts, condition)
        return (write(kept, counts=True), write(replaced), *_measure(subject, fresh=False))
    steps = [write(compose("DELETE FROM {t} WHERE {condition}", t=subject.table, condition=condition))]
    for part, with_nulls in _parts(subject, intervals, nulls):
        steps.append(
            write(
                compose(
                    "INSERT INTO {t} ({cs}) {rows}",
                    t=subject.table, cs=subject.columns, rows=_rows(subject, part, nulls=with_nulls),
                ),
                counts=True,
            )
        )  # fmt: skip
    return (*steps, *_measure(subject, fresh=False))


def measured(subject: Subject) -> tuple[Step, ...]:
    """The watermark of a table that was brought up to date in another way."""
    return _measure(subject, fresh=False)


def checked(check: SelfCheck, gap: tuple[Step, ...], moving: Collection[TableName]) -> tuple[Step, ...]:
    """The self-check behind a replacement of intervals: the table is rebuilt if it finds something. `gap`: what tells the
    readers of its change log. `moving`: tables to which others write; there is no check when one of them is not what the
    plan has seen, of which not all intervals may have been read."""
    still = compose("SELECT still FROM {checked}", checked=_CHECKED)
    failed = compose("SELECT failed FROM {checked}", checked=_CHECKED)
    found = compose("UPDATE {checked} SET failed = {wrong}", checked=_CHECKED, wrong=selfcheck.is_wrong(check))
    anew = (*rebuild(check.subject), *gap)
    return (
        write(
            make_temporary(
                _CHECKED,
                "SELECT TRUE AS still, FALSE AS failed",
            )
        ),
        *unless_still(moving, compose("UPDATE {checked} SET still = FALSE", checked=_CHECKED), whole=False),
        *(replace(step, only_if=still) for step in (*selfcheck.find_wrong(check), write(found))),
        *(replace(step, only_if=failed) for step in anew),
        *selfcheck.alarm(check, failed),
    )


def swap(subject: Subject, staged: Subject) -> tuple[Step, ...]:
    """Put the table that was built batch by batch in the place of the old one."""
    was_view = subject.standing is Relation.VIEW
    fits = None if subject.standing is None else subject.fits and not was_view
    swapped = subject.words.swap_in(staged.table, subject.table, subject.model.schema, fits=fits, was_view=was_view)
    return (*(write(sql) for sql in swapped), *_measure(subject, fresh=True))


def _parts(subject: Subject, intervals: IntervalSet, nulls: bool) -> list[tuple[IntervalSet, bool]]:
    """A query with `$start` and `$end` sees one interval at a time; any other takes all at once."""
    if not subject.model.bounds or len(intervals) < 2:
        return [(intervals, nulls)]
    return [(IntervalSet((interval,)), nulls and number == 0) for number, interval in enumerate(intervals)]


def _time(subject: Subject) -> tuple[Ident, str]:
    name = subject.model.header.time or ""
    return Ident(name), subject.type_of(name)


def _rows(subject: Subject, intervals: IntervalSet, *, nulls: bool) -> Sql:
    """The query's rows for these intervals."""
    time, kind = _time(subject)
    hull = Interval(
        intervals.intervals[0].start if intervals else BEGINNING, intervals.intervals[-1].end if intervals else END
    )
    plain = bounded_query(subject.model, kind, hull)
    if intervals.everything and nulls:
        return plain
    parts = []
    if intervals:
        query = _pushed(subject, kind, intervals, hull)
        parts.append((query, within(Sql(render(time)), kind, intervals, nulls=False)))
    if nulls:
        # Not through the pushed restriction: an outer join whose partner is cut off would make rows without a time.
        parts.append((plain, compose("{c} IS NULL", c=time)))
    return joined(
        "\nUNION ALL\n",
        [
            compose(
                "SELECT {cs} FROM (\n{q}\n) AS _q WHERE {condition}", cs=subject.columns, q=query, condition=condition
            )
            for query, condition in parts
        ],
    )


def _pushed(subject: Subject, kind: str, intervals: IntervalSet, hull: Interval) -> Sql:
    """The query with the restriction also put on the tables whose rows map to the output's time.

    The outer restriction stays: this one only spares reading rows that could not matter. Engines push a condition
    through projections and grouping by themselves, but not into a CTE that is used twice.
    """
    pushable = [o for mapping in subject.model.times.values() for o in mapping.occurrences if o.pushable]
    if subject.model.bounds or not pushable:
        return bounded_query(subject.model, kind, hull)
    text = subject.model.query
    edits = [
        Edit(o.start, o.end, _filtered(text.text[o.start : o.end], o, kind, intervals, subject.zone))
        for o in pushable
        if o.start is not None and o.end is not None
    ]
    return Authors(text.edit(edits).text)


def _filtered(table: str, occurrence: Occurrence, kind: str, intervals: IntervalSet, zone: ZoneInfo) -> str:
    """A table with only the rows that may touch these intervals.

    Of a column whose functions of time are known the column itself is restricted, so that the engine can skip what
    lies outside.
    """
    wanted = NOTHING
    for reach in occurrence.reaches:
        wanted |= reach.sources(intervals)
    time, time_kind = compose("CAST({e} AS {kind})", e=Sql(occurrence.expression), kind=Sql(kind)), kind
    zoned = occurrence.type == ZONED
    if occurrence.column is not None and is_zoned(occurrence.steps, zoned) == (kind == ZONED):
        time, time_kind = Sql(render(Ident(occurrence.column))), occurrence.type
        wanted = preimage(occurrence.steps, wanted, zoned, zone)
    if time_kind not in (
        "TIMESTAMP",
        ZONED,
    ):  # its values have no microseconds: a bound between two of them is moved out
        wanted = wanted.aligned(Grain.DAY if time_kind == "DATE" else Grain.HOUR)
    condition = within(time, time_kind, wanted, nulls=False)
    alias = Sql("") if occurrence.aliased else compose(" AS {name}", name=Ident(occurrence.name))
    return compose("(SELECT * FROM {t} WHERE {condition}){alias}", t=Sql(table), condition=condition, alias=alias)


def _measure(subject: Subject, *, fresh: bool) -> tuple[Step, ...]:
    """The greatest time that was written, never less than before, and the table's rows."""
    time, kind = _time(subject)
    top = compose("(SELECT max({c}) FROM {t})", c=time, t=subject.table)
    before = subject.before
    if not fresh and before is not None and before.watermark is not None:
        top = compose("greatest({top}, {old})", top=top, old=watermark_literal(before.watermark, kind))
    return (
        Step(
            StepKind.MEASURE,
            compose("SELECT CAST({top} AS VARCHAR), (SELECT count(*) FROM {t})", top=top, t=subject.table),
            facts=(Fact.WATERMARK, Fact.ROWS),
        ),
    )
