"""`append`: rows with a cursor beyond what was read are added, once each.

Rows tied with the watermark may have come since: those at or above the boundary (the watermark, less `lookback`)
and those without a cursor are compared with the table as multisets, and what the table lacks is added. Below the
boundary only the number of rows and a hash of their cursors are compared with last time: when they differ, rows may
have come late, and they are added if none that the table has are missing there.
"""

from __future__ import annotations

from sqlflow.core.following import Shape
from sqlflow.core.model import Incremental
from sqlflow.core.plan import Reason, ReasonKind, Step, StepKind
from sqlflow.core.records import TableRecord
from sqlflow.core.sql import Ident, Part, Sql, compose, make_temporary, quoted
from sqlflow.core.ways import Fact, Method
from sqlflow.plan import refusals
from sqlflow.plan.cursor import as_last_time, boundary, count_below, measure
from sqlflow.plan.draft import Decision, Leave, Rebuild, Refuse, Sight, Write, has_new_rows
from sqlflow.plan.following import changelog
from sqlflow.plan.log import Log
from sqlflow.plan.rebuild import rebuilt, record_of
from sqlflow.plan.stale import Effect
from sqlflow.plan.subject import Subject, replace_table, watermark_literal, write
from sqlflow.plan.values import without
from sqlflow.plan.verify import Proof, appended

_BATCH = Ident("_sqlflow_batch")


def update(sight: Sight, subject: Subject, before: TableRecord, effect: Effect, clock: Reason | None) -> Decision:
    """New rows are added; an edit of what it reads makes the table anew."""
    world, header = sight.world, subject.model.header
    if not effect and clock is None:
        return Leave()
    reason = clock or Reason(ReasonKind.INPUT_CHANGED, "; ".join(effect.why))
    if effect.definition and not header.full_refresh:
        return Refuse(refusals.never_rebuilt(subject, Reason(ReasonKind.PARENT_CHANGED, "; ".join(effect.why))))
    if effect.reset and not world.request.full_refresh:
        return Refuse(refusals.reset(subject, "; ".join(effect.why)))
    if effect.definition:
        edited = Reason(ReasonKind.PARENT_CHANGED, f"what it reads was edited: {'; '.join(effect.why)}")
        return Rebuild(edited, subject.causes)
    record = sight.next_record(subject)
    if header.incremental is Incremental.OFF:
        return has_new_rows(sight, subject, "rebuild table", Method.FULL, reason, _anew(subject), record, None)
    record, log = changelog.logged(world, subject.model.schema, before, record)
    return has_new_rows(sight, subject, "append", Method.APPEND, reason, _new_rows(subject, log), record, log)


def rebuild(sight: Sight, subject: Subject, reason: Reason) -> Write:
    """All rows that the query gives now."""
    return rebuilt(sight, subject, reason, _all_rows(subject), record_of(sight, subject, reason))


def proofs(subject: Subject, shape: Shape) -> tuple[Proof, ...]:
    """Each row of the query is there, as often as it gives it."""
    return (appended(subject),)


def _all_rows(subject: Subject) -> tuple[Step, ...]:
    """The first build, or one from scratch: all rows of the query."""
    return (*replace_table(subject, subject.query), measure(subject, subject.table, None))


def _anew(subject: Subject) -> tuple[Step, ...]:
    """The table from all rows of the query, and those that it has and the query has not any more."""
    read = make_temporary(
        _BATCH, "SELECT {cs} FROM (\n{q}\n) AS _q",
        cs=subject.columns, q=subject.query,
    )  # fmt: skip
    parts: dict[str, Part] = {"t": subject.table, "cs": subject.columns, "batch": _BATCH}
    here, there = compose("SELECT {cs} FROM {batch}", **parts), compose("SELECT {cs} FROM {t}", **parts)
    rows = compose("{there} UNION ALL ({new})", there=there, new=without(subject, here, there))
    return (write(read), *replace_table(subject, rows), measure(subject, _BATCH, None))


def _new_rows(subject: Subject, log: Log | None) -> tuple[Step, ...]:
    """Add what is new, and write it down if there is a log."""
    cursor = Ident(subject.model.header.cursor or "")
    before = subject.before
    if before is None or before.watermark is None:
        wanted = compose("SELECT {cs} FROM (\n{q}\n) AS _q", cs=subject.columns, q=subject.query)
        there = compose("SELECT {cs} FROM {t}", cs=subject.columns, t=subject.table)
        missing = compose(
            "INSERT INTO {t} ({cs}) {rows}",
            t=subject.table, cs=subject.columns, rows=without(subject, wanted, there),
        )  # fmt: skip
        gap = () if log is None else (*log.opened(subject.table), log.gap())
        return write(missing, counts=True), measure(subject, subject.table, None), *gap
    kind = subject.type_of(cursor)
    reached = watermark_literal(before.watermark, kind)
    limit = boundary(subject, before.watermark)
    parts: dict[str, Part] = {
        "t": subject.table, "cs": subject.columns, "c": cursor, "q": subject.query, "batch": _BATCH,
        "limit": limit, "reached": reached,
    }  # fmt: skip
    came_late = compose("NOT ({same})", same=as_last_time(before))
    below_now = compose("SELECT {cs} FROM (\n{q}\n) AS _q WHERE {c} < {limit}", **parts)
    below_here = compose("SELECT {cs} FROM {t} WHERE {c} < {limit}", **parts)
    late = without(subject, below_now, below_here)
    others_changed = without(subject, below_here, below_now)
    safe = compose("SELECT ({late}) AND NOT EXISTS ({others})", late=came_late, others=others_changed)
    unsafe = compose("SELECT ({late}) AND EXISTS ({others})", late=came_late, others=others_changed)
    tied = without(
        subject,
        compose("SELECT {cs} FROM {batch} WHERE {c} <= {reached} OR {c} IS NULL", **parts),
        compose("SELECT {cs} FROM {t} WHERE ({c} >= {limit} AND {c} <= {reached}) OR {c} IS NULL", **parts),
    )
    fresh = compose("SELECT {cs} FROM {batch} WHERE {c} > {reached} UNION ALL ({tied})", tied=tied, **parts)
    return (
        count_below(subject, cursor, limit),
        write(
            make_temporary(
                _BATCH,
                "SELECT {cs} FROM (\n{q}\n) AS _q WHERE {c} >= {limit} OR {c} IS NULL",
                **parts,
            )
        ),
        *(() if log is None else log.opened(subject.table)),
        *_add(subject, fresh, log, Fact.ADDED, None),
        *_add(subject, late, log, Fact.ADDED_LATE, safe),
        Step(
            StepKind.NOTICE,
            compose("SELECT count(*) FROM ({late}) AS _q HAVING count(*) > 0", late=late),
            only_if=unsafe,
            message="rows came late, below the watermark, where other rows changed too; they cannot be told apart and "
            "were not added: {rows}. Use `mode: merge` with a key, or build with --full-refresh",
        ),
        measure(subject, _BATCH, limit),
    )


def _add(subject: Subject, rows: Sql, log: Log | None, fact: Fact, only_if: Sql | None) -> tuple[Step, ...]:
    """Add the rows of a query to the table, and to the log."""
    if log is None:
        sql = compose("INSERT INTO {t} ({cs}) {rows}", t=subject.table, cs=subject.columns, rows=rows)
        return (write(sql, counts=True, only_if=only_if, timed=True, fact=fact),)
    kept = make_temporary(_ADDED, rows)
    none = make_temporary(
        _ADDED,
        "SELECT {cs} FROM {t} LIMIT 0",
        cs=subject.columns,
        t=subject.table,
    )
    sql = compose("INSERT INTO {t} ({cs}) SELECT {cs} FROM {added}", t=subject.table, cs=subject.columns, added=_ADDED)
    return (
        write(none),
        write(kept, only_if=only_if, timed=True),
        write(sql, counts=True, timed=True, fact=fact),
        log.rows(Sql(quoted(_ADDED)), 1),
    )


_ADDED = Ident("_sqlflow_added")
