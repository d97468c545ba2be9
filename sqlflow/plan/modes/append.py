"""`append`: rows with a cursor beyond what was read are added, once each.

Rows tied with the watermark may have come since: those at or above the boundary (the watermark, less `lookback`)
and those without a cursor are compared with the table as multisets, and what the table lacks is added. Below the
boundary only the number of rows is compared with last time: when there are more, rows came late, and they are
added if nothing else changed there.
"""

from __future__ import annotations

from sqlflow.core.plan import Step, StepKind
from sqlflow.core.sql import Ident, Part, Sql, compose
from sqlflow.plan.cursor import COUNTED, boundary, count_below
from sqlflow.plan.subject import Subject, replace_table, watermark_literal, write

_BATCH = Ident("_sqlflow_batch")


def rebuild(subject: Subject) -> tuple[Step, ...]:
    """The first build, or one from scratch: all rows of the query."""
    return (*replace_table(subject, subject.query), *_measure(subject, None))


def update(subject: Subject) -> tuple[Step, ...]:
    """Add what is new."""
    cursor = Ident(subject.model.model.header.cursor or "")
    before = subject.before
    if before is None or before.watermark is None:
        missing = compose(
            "INSERT INTO {t} ({cs}) SELECT {cs} FROM (\n{q}\n) EXCEPT ALL SELECT {cs} FROM {t}",
            t=subject.table, cs=subject.columns, q=subject.query,
        )  # fmt: skip
        return (write(missing, counts=True), *_measure(subject, None))
    kind = subject.type_of(cursor)
    reached = watermark_literal(before.watermark, kind)
    limit = boundary(subject, before.watermark)
    parts: dict[str, Part] = {
        "t": subject.table, "cs": subject.columns, "c": cursor, "q": subject.query, "batch": _BATCH,
        "limit": limit, "reached": reached,
    }  # fmt: skip
    came_late = compose("SELECT n > {known} FROM {counted}", known=_known(before.below), counted=COUNTED)
    others_changed = compose(
        "SELECT {cs} FROM {t} WHERE {c} < {limit} EXCEPT ALL SELECT {cs} FROM (\n{q}\n) WHERE {c} < {limit} LIMIT 1",
        **parts,
    )
    late = compose(
        "SELECT {cs} FROM (\n{q}\n) WHERE {c} < {limit} EXCEPT ALL SELECT {cs} FROM {t} WHERE {c} < {limit}", **parts
    )
    safe = compose("SELECT ({late}) AND NOT EXISTS ({others})", late=came_late, others=others_changed)
    unsafe = compose("SELECT ({late}) AND EXISTS ({others})", late=came_late, others=others_changed)
    return (
        count_below(subject, cursor, limit),
        write(
            compose(
                "CREATE OR REPLACE TEMP TABLE {batch} AS SELECT {cs} FROM (\n{q}\n) WHERE {c} >= {limit} OR {c} IS NULL",
                **parts,
            )
        ),
        write(
            compose(
                "INSERT INTO {t} ({cs}) SELECT {cs} FROM {batch} WHERE {c} > {reached} UNION ALL "
                "(SELECT {cs} FROM {batch} WHERE {c} <= {reached} OR {c} IS NULL "
                "EXCEPT ALL SELECT {cs} FROM {t} WHERE ({c} >= {limit} AND {c} <= {reached}) OR {c} IS NULL)",
                **parts,
            ),
            counts=True,
        ),
        write(compose("INSERT INTO {t} ({cs}) {late}", late=late, **parts), counts=True, only_if=safe),
        Step(
            StepKind.NOTICE,
            compose("SELECT count(*) FROM ({late})", late=late),
            only_if=unsafe,
            message="rows came late, below the watermark, where other rows changed too; they cannot be told apart and "
            "were not added: {rows}. Use `mode: merge` with a key, or build with --full-refresh",
        ),
        *_measure(subject, limit),
    )


def _known(below: str | None) -> int:
    return int(below) if below is not None and below.isdigit() else 0


def _measure(subject: Subject, limit: Sql | None) -> tuple[Step, ...]:
    """The new watermark, and how many rows of the query lie below the next boundary."""
    cursor = Ident(subject.model.model.header.cursor or "")
    top = compose("(SELECT max({c}) FROM {t})", c=cursor, t=subject.table)
    lowered = boundary(subject, None, top)
    if limit is None:
        below = compose("(SELECT count(*) FROM {t} WHERE {c} < {top})", t=subject.table, c=cursor, top=lowered)
    else:
        below = compose(
            "(SELECT n FROM {counted}) + (SELECT count(*) FROM {batch} WHERE {c} < {top})",
            counted=COUNTED, batch=_BATCH, c=cursor, top=lowered,
        )  # fmt: skip
    return (
        Step(
            StepKind.MEASURE,
            compose("SELECT CAST({top} AS VARCHAR), {below}", top=top, below=below),
            facts=("watermark", "below"),
        ),
    )
