"""What a mode needs to know to write its statements."""

from __future__ import annotations

from collections.abc import Collection
from datetime import date, datetime
from zoneinfo import ZoneInfo

from msgspec import Struct

from sqlflow.core.compiled import CompiledModel
from sqlflow.core.intervals import BEGINNING, END, Interval, IntervalSet
from sqlflow.core.names import TableName
from sqlflow.core.plan import Step, StepKind
from sqlflow.core.records import Relation, TableRecord
from sqlflow.core.sql import Authors, Ident, Sql, Value, compose, joined
from sqlflow.core.text import Edit
from sqlflow.core.ways import Fact
from sqlflow.core.wording import Wording

ZONED = "TIMESTAMP WITH TIME ZONE"


class Subject(Struct, frozen=True):
    """A model that is to be written.

    `before`: what is remembered of it. `standing`: what stands in the database under its name. `fits`: that is a table with
    the columns of the model. `words`: of the engine. `causes`: that it is to be written is because of these tables alone, and
    they may turn out to have changed nothing in this build.
    """

    model: CompiledModel
    before: TableRecord | None
    standing: Relation | None
    zone: ZoneInfo
    words: Wording
    fits: bool = False
    causes: frozenset[TableName] = frozenset()

    @property
    def table(self) -> TableName:
        return self.model.name

    @property
    def query(self) -> Sql:
        return Authors(self.model.query.text)

    @property
    def columns(self) -> tuple[Ident, ...]:
        return tuple(Ident(name) for name in self.model.schema.names)

    def type_of(self, column: str) -> str:
        """The SQL type of an output column that is known to exist."""
        found = self.model.schema.find(column)
        if found is None:
            raise KeyError(column)
        return found.type


def write(
    sql: Sql, *, counts: bool = False, only_if: Sql | None = None, timed: bool = False, fact: Fact | None = None
) -> Step:
    """A step that changes something. `fact`: what the number of its rows is called in the run record."""
    facts = () if fact is None else (fact,)
    return Step(StepKind.WRITE, sql, counts=counts, only_if=only_if, timed=timed, facts=facts)


def unless_still(
    inputs: Collection[TableName], sql: Sql, only_if: Sql | None = None, *, whole: bool = True
) -> tuple[Step, ...]:
    """A statement for when one of the inputs is not what its version is; with `whole` off, or when that is not what the plan
    has seen."""
    names = tuple(sorted(inputs))
    return (Step(StepKind.STILL, sql, only_if=only_if, inputs=names, whole=whole),) if names else ()


def replace_table(subject: Subject, query: Sql) -> tuple[Step, ...]:
    """The table becomes the result of `query`, whatever stood there before."""
    was_view = subject.standing is Relation.VIEW
    published = subject.words.publish(
        subject.table, query, subject.model.schema, fits=subject.fits and subject.standing is Relation.TABLE,
        parts=subject.model.header.partition_by, was_view=was_view,
    )  # fmt: skip
    return tuple(write(sql, counts=sql is published.fill) for sql in published.statements)


def matches(words: Wording, left: str, right: str, key: tuple[str, ...]) -> Sql:
    """The condition that two rows have the same key; NULL is a value like any other."""
    return joined(
        " AND ",
        [
            words.same(compose("{t}.{c}", t=Ident(left), c=Ident(c)), compose("{t}.{c}", t=Ident(right), c=Ident(c)))
            for c in key
        ],
    )


def is_deletion(subject: Subject) -> Sql:
    """The condition that a row means "delete this key"."""
    deleted = subject.model.header.deleted
    if deleted is None:
        return Sql("FALSE")
    if deleted.column is not None:
        values = [Value(value) for value in deleted.values]
        return compose("coalesce({c} IN ({values}), FALSE)", c=Ident(deleted.column), values=values)
    return compose("coalesce(({condition}), FALSE)", condition=Sql(deleted.sql or "FALSE"))


def moment_literal(moment: datetime, kind: str) -> Sql:
    """A point in time as a literal of the time column's own type."""
    naive = moment.replace(tzinfo=None)
    if kind == "DATE":
        return compose("{v}", v=Value(date(naive.year, naive.month, naive.day)))
    if kind == ZONED:
        return compose("{v}", v=Value(moment))
    if kind == "TIMESTAMP":
        return compose("{v}", v=Value(naive))
    return compose("CAST({v} AS {kind})", v=Value(naive), kind=Sql(kind))


def within(column: Sql, kind: str, intervals: IntervalSet, *, nulls: bool) -> Sql:
    """The condition that `column` lies in one of the intervals, or is NULL when `nulls`."""
    if intervals.everything:
        return Sql("TRUE") if nulls else compose("{c} IS NOT NULL", c=column)
    parts = [_inside(column, kind, interval) for interval in intervals]
    if len(parts) > 1:  # the hull lets the engine skip what lies outside all of them
        hull = Interval(intervals.intervals[0].start, intervals.intervals[-1].end)
        inside = compose("({either})", either=joined(" OR ", parts))
        if (hull.start, hull.end) != (BEGINNING, END):
            inside = compose("{hull} AND {inside}", hull=_inside(column, kind, hull), inside=inside)
        parts = [compose("({inside})", inside=inside)]
    if nulls:
        parts.append(compose("{c} IS NULL", c=column))
    return joined(" OR ", parts) if parts else Sql("FALSE")


def _inside(column: Sql, kind: str, interval: Interval) -> Sql:
    bounds = []
    if interval.start != BEGINNING:
        bounds.append(compose("{c} >= {v}", c=column, v=moment_literal(interval.start, kind)))
    if interval.end != END:
        bounds.append(compose("{c} < {v}", c=column, v=moment_literal(interval.end, kind)))
    if not bounds:
        return compose("{c} IS NOT NULL", c=column)
    return compose("({bounds})", bounds=joined(" AND ", bounds))


_FIRST_DAY = datetime.fromisoformat("0001-01-01T00:00:00+00:00")
_FIRST_NS = datetime.fromisoformat("1678-01-01T00:00:00+00:00")  # nanoseconds in 64 bits reach no further
_LAST_NS = datetime.fromisoformat("2262-01-01T00:00:00+00:00")
_LAST_DAY = datetime.fromisoformat("9999-12-31T00:00:00+00:00")


def bounded_query(model: CompiledModel, kind: str, interval: Interval) -> Sql:
    """The model's query with `$start` and `$end` put in as literals of the time column's type."""
    if not model.bounds:
        return Authors(model.query.text)
    first, last = (_FIRST_NS, _LAST_NS) if kind == "TIMESTAMP_NS" else (_FIRST_DAY, _LAST_DAY)
    start = moment_literal(first if interval.start == BEGINNING else interval.start, kind)
    end = moment_literal(last if interval.end == END else interval.end, kind)
    edits = [Edit(at, to, start if word == "start" else end) for at, to, word in model.bounds]
    return Authors(model.query.edit(edits).text)


def watermark_literal(text: str, kind: str) -> Sql:
    """A remembered watermark as a value of its column's type."""
    return compose("CAST({v} AS {kind})", v=Value(text), kind=Sql(kind))
