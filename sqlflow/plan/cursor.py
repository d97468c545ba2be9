"""The boundary from which an append or a merge reads again."""

from __future__ import annotations

from sqlflow.core.plan import Step
from sqlflow.core.sql import Ident, Sql, Value, compose
from sqlflow.plan.subject import Subject, watermark_literal, write

COUNTED = Ident("_sqlflow_below")


def boundary(subject: Subject, watermark: str | None, top: Sql | None = None) -> Sql:
    """The watermark, or the expression `top` in its place, less `lookback`, as a value of the cursor's type."""
    header = subject.model.model.header
    kind = subject.type_of(header.cursor or "")
    value = top if watermark is None else watermark_literal(watermark, kind)
    assert value is not None
    if header.lookback is None:
        return value
    return compose(
        "CAST({v} - CAST({lookback} AS INTERVAL) AS {kind})",
        v=value, lookback=Value(_interval(str(header.lookback))), kind=Sql(kind),
    )  # fmt: skip


def _interval(lookback: str) -> str:
    """DuckDB has no quarters in intervals."""
    count, _, unit = lookback.partition(" ")
    return f"{int(count) * 3} months" if unit.startswith("quarter") else lookback


def count_below(subject: Subject, cursor: Ident, limit: Sql) -> Step:
    """Count the query's rows below the boundary, with a hash of their cursors and keys, into a temporary table."""
    marks = [Sql(compose("{c}", c=cursor)), *(compose("{k}", k=Ident(k)) for k in subject.model.model.header.key)]
    return write(
        compose(
            "CREATE OR REPLACE TEMP TABLE {counted} AS SELECT count(*) AS n, sum(hash({marks})) AS h "
            "FROM (\n{q}\n) WHERE {c} < {limit}",
            counted=COUNTED,
            marks=marks,
            q=subject.query,
            c=cursor,
            limit=limit,
        )
    )
