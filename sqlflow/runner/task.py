"""One task inside an open transaction: its steps, then its checks, and the record of what came out."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from math import isfinite

from msgspec import Struct, field
from msgspec.structs import replace

from sqlflow.core.amounts import counted
from sqlflow.core.diagnostics import Diagnostic, Note
from sqlflow.core.engine import EngineError, Row, Session
from sqlflow.core.names import TableName
from sqlflow.core.plan import Audit, CheckQuery, SignatureUpdate, Step, StepKind, Task
from sqlflow.core.records import Change, CheckResult, CheckStatus, Facts, TableKind, TableRecord
from sqlflow.core.seen import Rows
from sqlflow.core.source import Span
from sqlflow.core.text import MappedText
from sqlflow.core.ways import Fact, Method
from sqlflow.core.witness import Witness, Witnessed


class Outcome(Struct, frozen=True):
    """What a task did: its record with what was measured, rows written, how its checks came out, what to tell, the
    strategy that was taken and the facts that decided it. `problem`: what is wrong although it is committed. `signatures`:
    what is to be remembered of partitions in place of what was planned. `moved`: inputs that were not as planned."""

    record: TableRecord
    rows: int | None
    checks: tuple[CheckResult, ...]
    notices: tuple[str, ...]
    strategy: Method = Method.NONE
    facts: Facts = field(default_factory=dict)
    problem: Diagnostic | None = None
    signatures: tuple[SignatureUpdate, ...] = ()
    moved: frozenset[TableName] = frozenset()


class TaskError(Exception):
    """The task must be rolled back; `problem` says why. `conflict`: two transactions wrote the same thing, which may go
    well another time."""

    def __init__(self, problem: Diagnostic, checks: tuple[CheckResult, ...] = (), conflict: bool = False) -> None:
        super().__init__(problem.message)
        self.problem = problem
        self.checks = checks
        self.conflict = conflict


def stay(session: Session, task: Task) -> Outcome:
    """Leave a table as it is, because nothing that it reads has changed after all. Raises TaskError."""
    assert task.idle is not None
    for step in task.idle_steps:
        try:
            session.execute(step.sql)
        except EngineError as error:
            raise TaskError(_statement_problem(error, step, task), conflict=error.conflict) from error
    return Outcome(task.idle, None, (), (), Method.UNCHANGED, {Fact.CHANGED: 0})


def run_task(session: Session, task: Task, witness: Witness, stop: Callable[[], None]) -> Outcome:
    """Do the task's work. `witness` says what was read of its inputs. `stop` is called between statements and may raise.
    Raises TaskError or Interrupted."""
    rows: int | None = None
    record, read = task.record, Witnessed()
    applied = worked = 0.0
    facts: dict[Fact, object] = {}
    notices: list[str] = []
    problem: Diagnostic | None = None
    for step in task.steps:
        stop()
        try:
            if step.only_if is not None and not session.fetch(step.only_if)[0][0]:
                continue
            match step.kind:
                case StepKind.WRITE:
                    started, begun = time.monotonic(), time.process_time()
                    written = session.execute(step.sql)
                    if step.timed:
                        applied += time.monotonic() - started
                        worked += time.process_time() - begun
                    if step.facts:
                        facts[step.facts[0]] = written
                    if step.counts:
                        rows = written + (rows or 0)
                case StepKind.LOAD:
                    assert step.load is not None
                    rows = session.load(step.load) + (rows or 0)
                case StepKind.MEASURE:
                    facts.update(zip(step.facts, session.fetch(step.sql)[0], strict=True))
                    if step.counts:  # what the table has after all, and not what was written on the way
                        rows = int(str(facts[Fact.ROWS]))
                case StepKind.GUARD | StepKind.NOTICE:
                    found = session.fetch(step.sql)
                    if found and step.kind is StepKind.GUARD:
                        raise TaskError(
                            Diagnostic(
                                step.code, step.message.replace("{rows}", show_rows(found)), task.span, step.hint
                            )
                        )
                    if found:
                        notices.append(step.message.replace("{rows}", show_rows(found)))
                case StepKind.ALARM:
                    problem = _alarmed(problem, step, session.fetch(step.sql), task)
                case StepKind.STILL:
                    if not witness.still(session, step):
                        session.execute(step.sql)
                case StepKind.SEEN:
                    read = read.also(witness.read(session, step))
                case StepKind.NOTED:
                    noting = witness.noted(session, record)
                    record = noting.record
                    if not noting.known and step.sql:
                        session.execute(step.sql)
        except EngineError as error:
            raise TaskError(_statement_problem(error, step, task), conflict=error.conflict) from error
    checks = _check(session, task, stop)
    if any(step.timed for step in task.steps):
        facts[Fact.APPLY_SECONDS], facts[Fact.APPLY_CPU_SECONDS] = round(applied, 4), round(worked, 4)
    record = _measured(replace(record, inputs={**record.inputs, **read.inputs}), facts, rows)
    strategy = Method(str(facts.get(Fact.STRATEGY) or task.strategy))
    kept = {str(f): _fact(value) for f, value in facts.items() if not f.is_of_record and _is_known(value)}
    record = replace(record, strategy=strategy, facts=kept, paces=_learned(record.paces, strategy, kept))
    return Outcome(
        record, rows, checks, tuple(notices), strategy, kept, problem, read.signatures, frozenset(witness.moved)
    )


def _alarmed(problem: Diagnostic | None, step: Step, found: list[Row], task: Task) -> Diagnostic | None:
    """The problem of a task with what one more alarm found."""
    if not found:
        return problem
    message = step.message.replace("{rows}", show_signed(found))
    if problem is None:
        return Diagnostic(step.code, message, task.span, step.hint)
    return replace(problem, notes=(*problem.notes, Note(message)))


def _measured(record: TableRecord, facts: Mapping[Fact, object], rows: int | None) -> TableRecord:
    watermark, count = facts.get(Fact.WATERMARK), facts.get(Fact.ROWS, rows)
    changes = record.changes
    if facts.get(Fact.CHANGED) is False and changes:
        # Written, but as it was: no reader has anything to do.
        changes = (*changes[:-1], replace(changes[-1], intervals=None, columns=(), definition=False))
    version = record.version
    if Fact.DISTRUSTED in facts and changes and changes[-1].intervals is not None:
        # Rebuilt, though readers in this run were told of intervals: one more version tells them of the rest.
        version += 1
        changes = (*changes, Change(version))
    return replace(
        record,
        version=version,
        changes=changes,
        watermark=record.watermark if watermark is None else str(watermark),
        seen=_seen(facts) or record.seen,
        rows=int(str(count)) if count is not None else record.rows,
        distrusted=str(facts.get(Fact.DISTRUSTED, record.distrusted)),
    )


def _seen(facts: Mapping[Fact, object]) -> Rows | None:
    rows, digest = facts.get(Fact.SEEN_ROWS), facts.get(Fact.SEEN_DIGEST)
    return None if rows is None else Rows(int(str(rows)), None if digest is None else str(digest))


def _is_known(value: object) -> bool:
    return value is not None and (not isinstance(value, float) or isfinite(value))


def _fact(value: object) -> str | int | float:
    match value:
        case bool():
            return int(value)
        case int() | float() | str():
            return value
        case Decimal():
            return float(value)
        case _:
            return str(value)


_SHORTEST = 0.02  # seconds: of less, the clock tells more about other programs than about the rows


def _learned(paces: Mapping[Method, float], strategy: Method, facts: Facts) -> Mapping[Method, float]:
    """How long each strategy takes against its price: half of what was known, half of what was seen now.

    What is known of the others fades towards the mean, so that one slow run does not rule a strategy out for ever.
    """
    took, expected = facts.get(Fact.APPLY_CPU_SECONDS), facts.get(Fact.PRICE_SECONDS)
    if not isinstance(took, float) or not isinstance(expected, float | int) or expected < _SHORTEST:
        return paces
    pace = took / expected
    mine = (paces[strategy] + pace) / 2 if strategy in paces else pace
    mean = (sum(other for name, other in paces.items() if name != strategy) + mine) / len({*paces, strategy})
    faded = {name: round(other + (mean - other) / 10, 4) for name, other in paces.items()}
    return {**faded, strategy: round(mine, 4)}


def _statement_problem(error: EngineError, step: Step, task: Task) -> Diagnostic:
    lines = [line for line in error.message.splitlines() if line.strip()]
    message = lines[0] if lines else error.kind
    if step.label:
        message = f"the statement in `@{step.label}` failed: {message}"
    hint = "\n".join([*lines[1:4], *filter(None, [step.hint])]) or None
    if step.span is not None:
        return Diagnostic(error.code, message, step.span, hint)
    span, notes = place_of(error, step.sql, task.query)
    return Diagnostic(error.code, message, span or task.span, hint, notes=notes)


def place_of(error: EngineError, statement: str, query: MappedText | None) -> tuple[Span | None, tuple[Note, ...]]:
    """Where in the files the engine's error is, as far as that can be told, and the SQL that nobody wrote."""
    if query is None:
        return None, ()
    found = None if error.position is None else query.found_in(statement, error.position, error.length)
    if found is None:
        one_line = query.pieces[0].verbatim and "\n" not in query.text
        return (None if one_line else query.file.whole), ()
    start, end = found
    written = query.text[start:end]
    if written.startswith("::"):  # the engine blames the cast alone
        written = query.text[query.text.rfind("\n", 0, start) + 1 : start].split(" ")[-1] + written
    span = query.span(start, end)
    same = " ".join(written.split()).lower() in " ".join(span.text.split()).lower()
    return span, () if same else (Note(f"the engine ran it as `{' '.join(written.split())}`"),)


def _check(session: Session, task: Task, stop: Callable[[], None]) -> tuple[CheckResult, ...]:
    results = run_audits(session, task.audits, stop, task.query if task.kind is TableKind.TEST else None)
    failed = [result for result in results if result.status is CheckStatus.FAILED]
    if failed and task.kind is TableKind.TEST:
        message = f"`{task.table}` returned {counted(failed[0].failing, 'row')}, and must return none"
        raise TaskError(Diagnostic("test-failed", message, task.span, _AFTER_TEST), results)
    if failed:
        names = ", ".join(f"`{result.check}` ({counted(result.failing, 'row')})" for result in failed)
        raise TaskError(
            Diagnostic(
                "check-failed",
                f"{'a check' if len(failed) == 1 else 'checks'} of `{task.table}` failed: {names}",
                _span_of(task, failed[0].check) or task.span,
                _AFTER_CHECK if any(step.sql for step in task.steps) else _AFTER_VIEW_CHECK,
            ),
            results,
        )
    return results


_AFTER_CHECK = "the table is as it was before; mend the data or the query and build again"
_AFTER_TEST = "the tables that it reads are built and stay as they are; mend the data or a query and build again"
_AFTER_VIEW_CHECK = "nothing was built from it; mend the data or the query and build again"


def _span_of(task: Task, name: str) -> Span | None:
    return next((check.span for audit in task.audits for check in audit.checks if check.name == name), None)


def run_audits(
    session: Session,
    audits: tuple[Audit, ...],
    stop: Callable[[], None] = lambda: None,
    query: MappedText | None = None,
) -> tuple[CheckResult, ...]:
    """How all the checks come out. `query`: of a file in tests/ that is the check. Raises TaskError when a check's own SQL
    does not work, or Interrupted."""
    results: list[CheckResult] = []
    for audit in audits:
        stop()
        try:
            counts = iter(session.fetch(audit.sql)[0])
            for check in audit.checks:
                failing = int(str(next(counts) or 0))
                results.append(_result(session, check, failing, int(str(next(counts))) if check.share else 0))
        except EngineError as error:
            if query is not None:
                raise TaskError(_query_problem(error, audit, query), conflict=error.conflict) from error
            raise TaskError(
                Diagnostic(
                    error.code,
                    f"the check `{audit.checks[0].name}` does not work: {error.message.splitlines()[0]}",
                    audit.checks[0].span,
                    "\n".join(error.message.splitlines()[1:]) or None if error.code != "statement-failed" else None,
                ),
                conflict=error.conflict,
            ) from error
    return tuple(results)


def _query_problem(error: EngineError, audit: Audit, query: MappedText) -> Diagnostic:
    first, *rest = [line for line in error.message.splitlines() if line.strip()] or [error.kind]
    span, notes = place_of(error, audit.sql, query)
    return Diagnostic(error.code, first, span or query.span(0), "\n".join(rest[:3]) or None, notes=notes)


def _result(session: Session, check: CheckQuery, failing: int, rows: int) -> CheckResult:
    """`rows`: how many were looked at, where that is asked for."""
    blocked = failing > 0 and check.error is not None and check.error.passed(failing, rows)
    if not blocked and not (failing and check.warn.passed(failing, rows)):
        return CheckResult(check.name, CheckStatus.PASSED, failing, description=check.description)
    found = session.fetch(check.sample)
    sample = tuple(_show(row[0]) if check.total else show_row(row) for row in found)
    status = CheckStatus.FAILED if blocked else CheckStatus.WARNED
    return CheckResult(check.name, status, failing, sample, check.total, check.description)


def show_rows(rows: list[Row]) -> str:
    """Rows for a message: `(1, NULL), (2, 'x')`."""
    return ", ".join(show_row(row) for row in rows[:5]) + (", ..." if len(rows) > 5 else "")


def show_signed(rows: Sequence[Row]) -> str:
    """Rows whose first column is a sign: `+ (1, NULL), - (1, 'x')`."""
    return ", ".join(f"{row[0]} {show_row(row[1:])}" for row in rows[:5]) + (", ..." if len(rows) > 5 else "")


def show_row(row: Row) -> str:
    return "(" + ", ".join(_show(value) for value in row) + ")"


def _show(value: object) -> str:
    match value:
        case None:
            return "NULL"
        case str():
            return "'" + (value if len(value) <= 60 else value[:59] + "…") + "'"
        case _:
            text = str(value)
            return text if len(text) <= 60 else text[:59] + "…"
