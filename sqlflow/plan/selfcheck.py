"""The self-check of tables that are kept up to date without being rebuilt: now and then a sample of the rows is computed
by the model's own query and compared with the table, in the transaction that brings it up to date.

A sample is the rows whose hash of some columns falls into one of several parts, so both sides of the comparison pick the
same rows, and each check takes another part.
"""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from sqlflow.core.following import Grouping, Shape
from sqlflow.core.keeping import counters_of
from sqlflow.core.plan import Step, StepKind
from sqlflow.core.schema import Schema
from sqlflow.core.sql import Authors, Ident, Part, Sql, Value, compose, joined, make_temporary, render
from sqlflow.core.ways import Fact
from sqlflow.core.wording import Wording
from sqlflow.plan.compare import Comparison, compare, compared_columns, exact_columns
from sqlflow.plan.log import WEIGHT, names
from sqlflow.plan.subject import Subject, write

_MOST_PARTS = 16
_ROWS_OF_A_PART = 10_000  # tables with fewer rows than two of these are compared as a whole
_SHOWN = 6

_EXPECTED = Ident("_sqlflow_expected")
_EXPECTED_COUNTERS = Ident("_sqlflow_expected_counters")
_WRONG = Ident("_sqlflow_wrong")
_WRONG_COUNTERS = Ident("_sqlflow_wrong_counters")


class SelfCheck(Struct, frozen=True):
    """A self-check that is due.

    `query`: what a rebuild would make the table of. `counters`: the query of the counters that are kept, and its
    columns. `part` of `parts`: the sample. `run`: the id of the run, for the record.
    """

    subject: Subject
    query: Sql
    columns: tuple[str, ...]
    part: int
    parts: int
    run: str
    counters: tuple[Sql, Schema, tuple[str, ...]] | None = None


def due(subject: Subject, shape: Shape | None, query: Sql, every: int, run: str) -> SelfCheck | None:
    """The self-check of the run that is planned, if it has one. `shape`: of the query, if its counters may be kept;
    `every`: how many runs lie between two, 0 for none."""
    before, header = subject.before, subject.model.header
    if not every or before is None or (before.runs + 1) % every or not header.full_refresh:
        return None
    if header.before or header.after:
        return None  # they may change the table
    parts = min(_MOST_PARTS, max(1, (before.rows or 0) // _ROWS_OF_A_PART))
    part = (before.runs + 1) // every % parts
    grouping = shape.grouping if shape is not None else None
    counters = None
    if shape is not None and grouping is not None:
        counters = (Authors(shape.body), shape.schema, _kept_exactly(subject.words, shape.schema, grouping.keys))
    return SelfCheck(subject, query, _sampled_by(subject, grouping), part, parts, run, counters)


def _sampled_by(subject: Subject, grouping: Grouping | None) -> tuple[str, ...]:
    """The columns whose hash picks the sample: of whole groups, keys or times where there are such."""
    header, schema, words = subject.model.header, subject.model.kept, subject.words
    choices = [
        () if grouping is None else tuple(grouping.visible.values()),
        header.key,
        (header.time,) if header.promise.timed and header.time is not None else (),
    ]
    for columns in choices:
        if found := _kept_exactly(words, schema, columns):
            return found
    return exact_columns(words, schema)


def _kept_exactly(words: Wording, schema: Schema, columns: tuple[str, ...]) -> tuple[str, ...]:
    exact = set(exact_columns(words, schema))
    found = [schema.find(column) for column in columns]
    return tuple(column.name for column in found if column is not None and column.name in exact)


def find_wrong(check: SelfCheck) -> tuple[Step, ...]:
    """Compute the sample, and what differs of it."""
    steps = list(_sampled(check, check.query, Sql(render(check.subject.table)), check.subject.model.kept,
                          check.columns, _EXPECTED, _WRONG))  # fmt: skip
    if check.counters is not None:
        body, schema, keys = check.counters
        kept = Sql(render(counters_of(check.subject.table)))
        steps += _sampled(check, body, kept, schema, keys, _EXPECTED_COUNTERS, _WRONG_COUNTERS)
    steps.append(
        Step(StepKind.MEASURE, compose("SELECT count(*) FROM {rows}", rows=_EXPECTED), facts=(Fact.CHECKED_ROWS,))
    )
    return tuple(steps)


def _sampled(
    check: SelfCheck, query: Sql, table: Sql, schema: Schema, columns: tuple[str, ...], expected: Ident, wrong: Ident
) -> tuple[Step, ...]:
    words = check.subject.words
    picked = Sql("TRUE")
    if columns and check.parts > 1:
        picked = compose(
            "abs({h} % {parts}) = {part}",
            h=words.row_hash(schema.only(columns)),
            parts=check.parts,
            part=check.part,
        )
    compared = names(compared_columns(words, schema))
    rows = make_temporary(
        expected, "SELECT {cs} FROM (\n{q}\n) AS _q WHERE {picked}",
        cs=compared, q=query, picked=picked,
    )  # fmt: skip
    found = compose("(SELECT {cs} FROM {t} WHERE {picked})", cs=compared, t=table, picked=picked)
    return (write(rows), *compare(Comparison(Sql(render(expected)), found, schema, wrong, words)))


def is_wrong(check: SelfCheck) -> Sql:
    """The condition that the check has found something."""
    tables = [_WRONG] if check.counters is None else [_WRONG, _WRONG_COUNTERS]
    return joined(" OR ", [compose("EXISTS (SELECT 1 FROM {t})", t=table) for table in tables])


def alarm(check: SelfCheck, failed: Sql) -> tuple[Step, ...]:
    """Tell what was found, and remember it. `failed`: a query of one truth value."""
    table, words = check.subject.table, check.subject.words
    since = f"the self-check of run {check.run} found that it differed from its query"
    steps = [
        _told(words, _WRONG, check.subject.model.kept, f"`{table}` had other rows than its query gives: {{rows}}"),
        Step(StepKind.MEASURE, compose("SELECT {why}, TRUE", why=Value(since)), facts=(Fact.DISTRUSTED, Fact.CHANGED)),
    ]
    if check.counters is not None:
        message = f"the counters kept for `{table}` were not those of its inputs: {{rows}}"
        steps.insert(1, _told(words, _WRONG_COUNTERS, check.counters[1], message))
    return tuple(replace(step, only_if=failed) for step in steps)


def _told(words: Wording, wrong: Ident, schema: Schema, message: str) -> Step:
    parts: dict[str, Part] = {"w": WEIGHT, "cs": names(compared_columns(words, schema)), "wrong": wrong, "n": _SHOWN}
    rows = compose(
        "SELECT CASE WHEN {w} > 0 THEN '+' ELSE '-' END, {cs} FROM {wrong} ORDER BY {cs}, {w} LIMIT {n}", **parts
    )
    return Step(StepKind.ALARM, rows, code="self-check-failed", message=message, hint=_HINT)


_HINT = (
    "`+` is what the query gives, `-` is what was there. The table has been rebuilt, and is only rebuilt until "
    "`sqlflow verify --release` finds it equal. If nobody changed it by hand, please report this"
)
