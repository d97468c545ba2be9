"""One scan of a table that counts each value of each column, and what follows from those counts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from msgspec import Struct

from sqlflow.core.engine import Session
from sqlflow.core.schema import Column, Schema
from sqlflow.core.sql import Ident, Sql, compose, joined
from sqlflow.core.types import Family, parsed
from sqlflow.core.wording import Wording

BUCKETS = 12
_MOST_COLUMNS = 30  # PostgreSQL's GROUPING takes 31
_TOP = 5
_QUANTILES = (25, 50, 75)
_ORDERED = frozenset(
    {Family.INTEGER, Family.DECIMAL, Family.FLOAT, Family.TEXT, Family.DATE, Family.TIME, Family.TIMESTAMP}
)


class ColumnProfile(Struct, frozen=True):
    """What the values of a column are like. `least`, `greatest`, `quantiles`: as text, of types that have an order.
    `top`: the most frequent values, with how often they are there. `histogram`: how many values lie in each part of the way from
    the least to the greatest, of numbers and moments."""

    column: Column
    rows: int
    nulls: int = 0
    distinct: int = 0
    least: str | None = None
    greatest: str | None = None
    quantiles: tuple[str | None, ...] = ()
    top: tuple[tuple[str, int], ...] = ()
    histogram: tuple[int, ...] = ()


class Profile(Struct, frozen=True):
    """A table. `columns`: those whose values can be told apart; `others`: the rest."""

    rows: int
    columns: tuple[ColumnProfile, ...]
    others: tuple[Column, ...]
    scans: int


def profile(session: Session, relation: Sql, schema: Schema) -> Profile:
    """Count the values of all columns, thirty of them in a scan. Raises EngineError."""
    with_equality = {name.lower() for name in session.wording.equal_by_value(schema)}
    columns = [column for column in schema if column.name.lower() in with_equality]
    others = tuple(column for column in schema if column.name.lower() not in with_equality)
    found: list[ColumnProfile] = []
    scans = 0
    for start in range(0, len(columns), _MOST_COLUMNS):
        part = columns[start : start + _MOST_COLUMNS]
        found += _read(part, session.fetch(_query(relation, part, session.wording)))
        scans += 1
    rows = found[0].rows if found else int(str(session.fetch(compose("SELECT count(*) FROM {r}", r=relation))[0][0]))
    return Profile(rows, tuple(found), others, max(1, scans))


def _query(relation: Sql, columns: Sequence[Column], words: Wording) -> Sql:
    """A row for each fact: column, fact, place, value, number."""
    names = [Ident(column.name) for column in columns]
    counts = compose(
        "WITH _counts AS MATERIALIZED (SELECT {names}, GROUPING({names}) AS _sqlflow_set, count(*) AS _sqlflow_n "
        "FROM {relation} GROUP BY GROUPING SETS ({sets}))",
        names=names, relation=relation, sets=[compose("({n})", n=name) for name in names],
    )  # fmt: skip
    everything = 2 ** len(columns) - 1
    facts: list[Sql] = []
    for number, column in enumerate(columns):
        values = compose(
            "(SELECT {name} AS v, _sqlflow_n AS n FROM _counts WHERE _sqlflow_set = {mask})",
            name=Ident(column.name), mask=everything - 2 ** (len(columns) - 1 - number),
        )  # fmt: skip
        facts += [
            compose(
                "SELECT {number} AS c, {fact} AS f, p, v, n FROM ({select}) AS _fact",
                number=number,
                fact=fact,
                select=select,
            )
            for fact, select in _facts(column, values, words)
        ]
    return compose("{counts} {facts}", counts=counts, facts=joined(" UNION ALL ", facts))


def _facts(column: Column, values: Sql, words: Wording) -> Iterator[tuple[int, Sql]]:
    type_ = parsed(column.type)
    nothing = Sql("CAST(NULL AS VARCHAR)")
    yield _ROWS, compose("SELECT 0 AS p, {no} AS v, CAST(sum(n) AS BIGINT) AS n FROM {v} AS _v", no=nothing, v=values)
    yield (
        _NULLS,
        compose(
            "SELECT 0 AS p, {no} AS v, CAST(sum(n) AS BIGINT) AS n FROM {v} AS _v WHERE v IS NULL", no=nothing, v=values
        ),
    )
    yield _DISTINCT, compose("SELECT 0 AS p, {no} AS v, count(v) AS n FROM {v} AS _v", no=nothing, v=values)
    yield _TOPS, compose(
        "SELECT row_number() OVER (ORDER BY n DESC, CAST(v AS VARCHAR)) AS p, CAST(v AS VARCHAR) AS v, n FROM {v} AS _v "
        "WHERE v IS NOT NULL ORDER BY 1 LIMIT {top}",
        v=values, top=_TOP,
    )  # fmt: skip
    if type_.family in _ORDERED:
        yield _ENDS, compose("SELECT 0 AS p, CAST(min(v) AS VARCHAR) AS v, 0 AS n FROM {v} AS _v", v=values)
        yield _ENDS, compose("SELECT 1 AS p, CAST(max(v) AS VARCHAR) AS v, 0 AS n FROM {v} AS _v", v=values)
    if not (type_.is_number or type_.is_moment):
        return
    for quantile in _QUANTILES:
        yield _QUANTILE, compose(
            "SELECT {q} AS p, CAST(min(v) AS VARCHAR) AS v, 0 AS n FROM (SELECT v, sum(n) OVER (ORDER BY v) AS upto, sum(n) OVER () "
            "AS total FROM {v} AS _v WHERE v IS NOT NULL) AS _v WHERE upto * 100 >= total * {q}",
            q=quantile, v=values,
        )  # fmt: skip
    number = Sql(
        "CAST(extract(epoch FROM v) AS DOUBLE PRECISION)" if type_.is_moment else "CAST(v AS DOUBLE PRECISION)"
    )
    yield _BUCKET, compose(
        "SELECT p, {no} AS v, CAST(sum(n) AS BIGINT) AS n FROM (SELECT n, CASE WHEN high = low THEN 0 ELSE least({last}, "
        "CAST(floor((x - low) / (high - low) * {buckets}) AS INTEGER)) END AS p FROM (SELECT x, n, min(x) OVER () AS low, "
        "max(x) OVER () AS high FROM (SELECT {x} AS x, n FROM {v} AS _v WHERE v IS NOT NULL) AS _x WHERE {finite}) AS _x) AS _p "
        "GROUP BY p",
        no=nothing, last=BUCKETS - 1, buckets=BUCKETS, x=number, v=values, finite=words.finite(Sql("x")),
    )  # fmt: skip


_ROWS, _NULLS, _DISTINCT, _TOPS, _ENDS, _QUANTILE, _BUCKET = range(7)


def _read(columns: Sequence[Column], rows: Sequence[tuple[object, ...]]) -> Iterator[ColumnProfile]:
    facts: dict[tuple[int, int], dict[int, tuple[str | None, int]]] = {}
    for column, fact, place, value, number in rows:
        of_fact = facts.setdefault((_int(column), _int(fact)), {})
        of_fact[_int(place)] = (None if value is None else str(value), _int(number))
    for number, column in enumerate(columns):

        def of(fact: int, number: int = number) -> dict[int, tuple[str | None, int]]:
            return facts.get((number, fact), {})

        ends, buckets = of(_ENDS), of(_BUCKET)
        yield ColumnProfile(
            column,
            rows=of(_ROWS).get(0, (None, 0))[1],
            nulls=of(_NULLS).get(0, (None, 0))[1],
            distinct=of(_DISTINCT).get(0, (None, 0))[1],
            least=ends.get(0, (None, 0))[0],
            greatest=ends.get(1, (None, 0))[0],
            quantiles=tuple(of(_QUANTILE).get(q, (None, 0))[0] for q in _QUANTILES) if of(_QUANTILE) else (),
            top=tuple((str(value), count) for _, (value, count) in sorted(of(_TOPS).items())),
            histogram=tuple(buckets.get(b, (None, 0))[1] for b in range(BUCKETS)) if buckets else (),
        )


def _int(value: object) -> int:
    return 0 if value is None else int(str(value))
