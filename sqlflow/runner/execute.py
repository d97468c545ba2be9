"""Run a plan: transactions that hold one large task or many small ones, on several connections.

A small model costs more to commit than to compute, so a transaction takes further tasks until it is
`GROUP_SECONDS` old. When one task of it fails, all is rolled back and the others are done again one by one.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime

from msgspec import Struct
from msgspec.structs import replace

from sqlflow.core.diagnostics import Diagnostic, Severity
from sqlflow.core.engine import Engine, EngineError, Interrupted, Session
from sqlflow.core.events import Clock, Emit, TaskFinished, TaskStarted, Told
from sqlflow.core.names import TableName
from sqlflow.core.plan import Plan, SignatureUpdate, Task
from sqlflow.core.records import CheckResult, Status, TableRecord, TaskResult
from sqlflow.core.ways import Fact, Method
from sqlflow.core.witness import Witnesses
from sqlflow.runner.schedule import Board, Failed
from sqlflow.runner.task import Outcome, TaskError, run_task, stay

GROUP_SECONDS = 0.25
_MOST_TRIES = 5
_PAUSE_SECONDS = 0.05
# Work whose commit may have been done, or that nobody may commit any more, is not done again task by task.
_NOT_ALONE_EITHER = ("commit-unknown", "lock-lost")

Signatures = Sequence[tuple[TableName, Sequence[SignatureUpdate]]]
WriteRecords = Callable[[Session, Sequence[TableRecord], Signatures, Sequence[TableName]], None]
Blame = Callable[[TableName, Diagnostic], Diagnostic]
"""What is behind the problem of a table."""
Committed = Callable[[Sequence[TableRecord], Sequence[TableName]], None]


def of_itself(table: TableName, problem: Diagnostic) -> Diagnostic:
    """Nothing is known to be behind a problem."""
    return problem


class _Done(Struct, frozen=True):
    task: Task
    outcome: Outcome
    started_at: datetime
    seconds: float


def execute(
    plan: Plan,
    engine: Engine,
    *,
    write_records: WriteRecords,
    committed: Committed,
    witnesses: Witnesses,
    emit: Emit,
    clock: Clock,
    threads: int,
    fail_fast: bool,
    already: Sequence[TaskResult] = (),
    blame: Blame = of_itself,
) -> tuple[TaskResult, ...]:
    """Run the tasks of a plan; how each ended, in the order in which they ended. `already`: how some of them have ended
    before; those are not run again, nor are they among the results.

    `write_records` writes records into an open transaction; `committed` is called after each commit with the
    records that are now true and the names of tables that are gone. `witnesses` say what tasks have read. On Ctrl-C or SIGTERM running statements are
    cancelled and rolled back, and the rest is reported as cancelled.
    """
    run = _Run(plan, engine, write_records, committed, witnesses, emit, clock, fail_fast, blame, one=threads == 1)
    run.go_on_after(already)
    count = min(threads, len(plan.tasks) - len(already))
    run.working = count
    with _signals_noted(run.interrupted):
        for number in range(count):
            threading.Thread(target=run.work, name=f"sqlflow-{number}", daemon=True).start()
        while count and not run.idle.wait(0.1):
            if run.interrupted.is_set():
                run.cancel()
                engine.interrupt()
    if run.interrupted.is_set():
        run.cancel()
    run.close()
    run.tell_what_moved()
    return tuple(run.results)


@contextmanager
def _signals_noted(noted: threading.Event) -> Iterator[None]:
    """While workers run, Ctrl-C and SIGTERM only set the event, which workers look at between statements.

    An exception in the middle of anything here would close the engine under a statement that still runs.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, lambda *_: noted.set()) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)


class _Run:
    """What the workers share, guarded by one condition."""

    def __init__(
        self,
        plan: Plan,
        engine: Engine,
        write_records: WriteRecords,
        committed: Committed,
        witnesses: Witnesses,
        emit: Emit,
        clock: Clock,
        fail_fast: bool,
        blame: Blame,
        *,
        one: bool,
    ) -> None:
        self._blame = blame
        self._blaming = threading.Lock()
        self.results: list[TaskResult] = []
        self.cancelled = False
        self.working = 0
        self.idle = threading.Event()  # all workers have ended
        self.interrupted = threading.Event()  # somebody pressed Ctrl-C
        self._board = Board(plan.tasks, one=one)
        self._changed = threading.Condition()
        self._engine = engine
        self._write_records = write_records
        self._committed = committed
        self._witnesses = witnesses
        self._moved: set[TableName] = set()  # inputs that changed meanwhile
        self._emit = emit
        self._clock = clock
        self._fail_fast = fail_fast
        self._tries: dict[str, int] = {}
        self._running = 0
        self._ended = 0
        self._one_at_a_time = False  # since there was too little memory for several transactions at once
        self._same: set[TableName] = set()  # tables that were written, or not, and are what they were
        self._crash: BaseException | None = None

    def go_on_after(self, already: Sequence[TaskResult]) -> None:
        """Take over how some tasks have ended."""
        for result in already:
            task = self._board.withdraw(result.task)
            if result.status in (Status.DONE, Status.CANCELLED):
                self._board.committed([task])
            else:
                self._skip(self._board.failed(task))
        if any(result.status is Status.CANCELLED for result in already):
            self.interrupted.set()  # so what waited for it is cancelled, too
        failed = next((result.table for result in already if result.status is Status.FAILED), None)
        if self._fail_fast and failed is not None:
            self._give_up(Status.SKIPPED, failed)

    def cancel(self) -> None:
        with self._changed:
            if self.cancelled:
                return
            self.cancelled = True
            self._give_up(Status.CANCELLED, None)
            self._changed.notify_all()

    def close(self) -> None:
        """Raise what went wrong inside a worker, which is a bug of ours and not a failed task."""
        if self._crash is not None:
            raise self._crash

    def tell_what_moved(self) -> None:
        for name in sorted(self._moved):
            told = self._witnesses.told(name)
            self._emit(Told(f"{told} changed while the build ran; what came later is for the next build"))

    def work(self) -> None:
        try:
            session = self._engine.session()
            while (task := self._next()) is not None:
                self._transaction(session, task)
                with self._changed:
                    self._running -= 1
                    self._ended += 1
                    self._changed.notify_all()
        except BaseException as error:  # noqa: BLE001 - handed to the main thread by close()
            with self._changed:
                self._crash = self._crash or error
                self._board.abandon()
                self.cancelled = True
                self._changed.notify_all()
        finally:
            with self._changed:
                self.working -= 1
                if self.working == 0:
                    self.idle.set()

    def _next(self) -> Task | None:
        with self._changed:
            while True:
                if self.cancelled or self.interrupted.is_set() or self._board.finished:
                    self._changed.notify_all()
                    return None
                busy = self._one_at_a_time and self._running
                task = None if busy else self._board.take(frozenset(), None)
                if task is not None:
                    self._running += 1
                    return task
                self._changed.wait()

    def _transaction(self, session: Session, task: Task | None) -> None:
        """One transaction that begins with `task` and takes more tasks while it is young."""
        with self._changed:
            begun, ended = self._board.commits, self._ended
        began = time.monotonic()
        done: list[_Done] = []
        while task is not None:
            self._emit(TaskStarted(task))
            started_at, started = self._clock(), time.monotonic()
            try:
                if not done:
                    _begin(session, task)
                if task.idle is not None and self._unchanged(task, done):
                    outcome = stay(session, task)
                else:
                    outcome = run_task(session, task, self._witnesses.of(task), self._stop)
                    self._witnesses.recorded(outcome.record)
            except TaskError as error:
                _rollback_quietly(session)
                again = error.conflict or (error.problem.code == "out-of-memory" and self._was_beside_others(ended))
                if again and self._tries.setdefault(task.id, 0) < _MOST_TRIES:
                    self._again([*(item.task for item in done), task])
                    return
                self._failed(task, error.problem, error.checks, started_at, time.monotonic() - started, done)
                return
            except Interrupted:
                _rollback_quietly(session)
                self._interrupted([*(item.task for item in done), task])
                return
            seconds = time.monotonic() - started
            record = replace(_timed(outcome, seconds), committed_at=started_at, seconds=round(seconds, 4))
            done.append(_Done(task, replace(outcome, record=record), started_at, seconds))
            task = self._more(task, done, begun, began)
        self._commit(session, done, ended)

    def _was_beside_others(self, ended: int) -> bool:
        """Whether other transactions took some of the memory; from now on there is only one at a time. `ended`: how many
        had ended when this one began."""
        with self._changed:
            beside = self._running > 1 or self._ended > ended
            self._one_at_a_time |= beside
            return beside

    def _unchanged(self, task: Task, done: list[_Done]) -> bool:
        """Whether nothing that caused this task has changed its table after all."""
        with self._changed:
            same = self._same | {item.task.table for item in done if item.outcome.facts.get(Fact.CHANGED) == 0}
        return bool(task.causes) and task.causes <= same

    def _stop(self) -> None:
        if self.cancelled or self.interrupted.is_set():
            raise Interrupted

    def _more(self, last: Task, done: list[_Done], begun: int, began: float) -> Task | None:
        if time.monotonic() - began > GROUP_SECONDS:
            return None
        with self._changed:
            if self.cancelled or self._board.is_alone(last):
                return None
            return self._board.take({item.task.id for item in done}, begun)

    def _commit(self, session: Session, done: list[_Done], ended: int) -> None:
        records = _last_of_each([item.outcome.record for item in done])
        signatures = [(d.task.table, u) for d in done for u in (d.task.signatures, d.outcome.signatures) if u]
        gone = [name for item in done for name in item.task.forgotten]
        records = [record for record in records if record.table not in gone]
        try:
            self._write_records(session, records, signatures, gone)
            self._stop()
            session.commit()
        except EngineError as error:
            _rollback_quietly(session)
            self._commit_failed(done, error, ended)
            return
        except Interrupted:
            _rollback_quietly(session)
            self._interrupted([item.task for item in done])
            return
        with self._changed:
            self._committed(records, gone)
            self._same |= {item.task.table for item in done if item.outcome.facts.get(Fact.CHANGED) == 0}
            self._moved |= {name for item in done for name in item.outcome.moved}
            self._board.committed([item.task for item in done])
            for item in done:
                self._finish(_succeeded(item))
            wrong = next((item.task.table for item in done if item.outcome.problem is not None), None)
            if self._fail_fast and wrong is not None:
                self._give_up(Status.SKIPPED, wrong)
            self._changed.notify_all()
        for item in done:
            for notice in item.outcome.notices:
                self._emit(Told(f"{item.task.table}: {notice}", Severity.WARNING))

    def _commit_failed(self, done: list[_Done], error: EngineError, ended: int) -> None:
        again = error.conflict or (error.code == "out-of-memory" and self._was_beside_others(ended))
        if again and self._tries.setdefault(done[-1].task.id, 0) < _MOST_TRIES:
            self._again([item.task for item in done])
            return
        if len(done) > 1 and error.code not in _NOT_ALONE_EITHER:
            with self._changed:
                self._board.give_back([item.task for item in done])
                self._changed.notify_all()
            return
        first, *rest = error.message.splitlines()
        hint = "\n".join(rest) or None if error.code != "statement-failed" else None
        for item in done:
            problem = Diagnostic(error.code, f"the commit failed: {first}", item.task.span, hint)
            self._failed(item.task, problem, (), item.started_at, item.seconds, [])

    def _failed(
        self,
        task: Task,
        problem: Diagnostic,
        checks: tuple[CheckResult, ...],
        started_at: datetime,
        seconds: float,
        rolled_back: list[_Done],
    ) -> None:
        with self._blaming:
            problem = self._blame(task.table, problem)
        with self._changed:
            self._board.give_back([item.task for item in rolled_back])
            result = _result(task, Status.FAILED, started_at, seconds)
            self._finish(replace(result, error=problem, checks=checks))
            self._skip(self._board.failed(task))
            if self._fail_fast or problem.code == "lock-lost":
                self._give_up(Status.SKIPPED, task.table)
            self._changed.notify_all()

    def _skip(self, given_up: Sequence[Failed]) -> None:
        for item in given_up:
            skipped = _result(item.task, Status.SKIPPED, self._clock(), 0.0)
            self._finish(replace(skipped, blame=item.cause.table))

    def _again(self, tasks: list[Task]) -> None:
        """Another transaction was in the way: each task is tried again by itself."""
        time.sleep(_PAUSE_SECONDS * 2 ** self._tries[tasks[-1].id])
        with self._changed:
            self._tries[tasks[-1].id] += 1
            self._board.give_back(tasks)
            self._changed.notify_all()

    def _interrupted(self, tasks: list[Task]) -> None:
        with self._changed:
            self._board.give_back(tasks)
            self._give_up(Status.CANCELLED, None)
            self._changed.notify_all()

    def _give_up(self, status: Status, blame: TableName | None) -> None:
        for task in self._board.abandon():
            self._finish(replace(_result(task, status, self._clock(), 0.0), blame=blame))

    def _finish(self, result: TaskResult) -> None:
        self.results.append(result)
        self._emit(TaskFinished(result))


def _timed(outcome: Outcome, seconds: float) -> TableRecord:
    """The record, with what the method took: seconds, and for how many changed rows."""
    record, method = outcome.record, outcome.strategy
    if method in (Method.NONE, Method.UNCHANGED) or Fact.CHECKED_ROWS in outcome.facts:
        return record  # nothing was done, or more than that: what a self-check takes is no cost of the method
    known = {
        other: took for other, took in record.costs.items() if other is not Method.NONE
    }  # a word of another version
    record = replace(record, costs={**known, method: round(seconds, 4)})
    added, removed = outcome.facts.get(Fact.ADDED_ROWS), outcome.facts.get(Fact.REMOVED_ROWS)
    if isinstance(added, int) and isinstance(removed, int) and method is not Method.FULL:
        record = replace(record, followed={**record.followed, method: added + removed})
    return record


def _last_of_each(records: Sequence[TableRecord]) -> list[TableRecord]:
    """Two batches of one table may share a transaction; what is true after the last one counts."""
    return list({record.table: record for record in records}.values())


def _succeeded(item: _Done) -> TaskResult:
    result = _result(item.task, Status.DONE, item.started_at, item.seconds)
    outcome = item.outcome
    if outcome.strategy is Method.UNCHANGED:
        result = replace(result, action="leave as it is", reason="its inputs were rewritten with identical rows")
    if outcome.strategy is Method.FULL and item.task.strategy not in (Method.FULL, Method.NONE):
        result = replace(result, action="rebuild table")
    if outcome.problem is not None:
        # Committed, so that its readers go on; but the run must not look as if all were well.
        result = replace(result, status=Status.FAILED, error=outcome.problem)
    return replace(result, rows=outcome.rows, checks=outcome.checks, strategy=outcome.strategy, facts=outcome.facts)


def _result(task: Task, status: Status, started_at: datetime, seconds: float) -> TaskResult:
    return TaskResult(
        task=task.id,
        table=task.table,
        action=task.action,
        status=status,
        started_at=started_at,
        seconds=round(seconds, 4),
        reason=str(task.reason),
        kind=task.kind,
    )


def _begin(session: Session, task: Task) -> None:
    try:
        session.begin()
    except EngineError as error:
        first, *rest = error.message.splitlines()
        problem = Diagnostic(error.code, first, task.span, "\n".join(rest) or None)
        raise TaskError(problem, conflict=error.conflict) from error


def _rollback_quietly(session: Session) -> None:
    """After a failed commit or an interrupt the transaction may be gone already."""
    try:
        session.rollback()
    except (EngineError, Interrupted):
        return
