"""A build as plain lines."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from io import StringIO

from sqlflow.core.diagnostics import Severity
from sqlflow.core.events import RunFinished, RunStarted, TaskFinished, TaskStarted, Told
from sqlflow.core.names import TableName
from sqlflow.core.plan import Plan, Reason, ReasonKind, Task
from sqlflow.core.records import (
    CheckResult,
    CheckStatus,
    Fingerprint,
    Relation,
    RunRecord,
    Status,
    TableKind,
    TableRecord,
    TaskResult,
)
from sqlflow.core.schema import Schema
from sqlflow.core.ways import Method
from sqlflow.observe.plain import plain

NOON = datetime(2024, 1, 1, 12, tzinfo=UTC)


def task(name: str) -> Task:
    table = TableName.parse(name)
    record = TableRecord(table, TableKind.MODEL, Relation.TABLE, Fingerprint("q"), Schema(), 1, "r1", NOON)
    reason = Reason(ReasonKind.NEW, "new model")
    return Task(name, table, TableKind.MODEL, "create", "replace", Method.FULL, reason, (), record)


def ended(name: str, status: Status = Status.DONE, **facts: object) -> TaskResult:
    return TaskResult(name, TableName.parse(name), "create", status, NOON, 0.42, **facts)  # type: ignore[arg-type]


def test_each_task_that_ends_is_a_line() -> None:
    stream = StringIO()
    emit = plain(stream)
    warned = CheckResult("not_null(carrier)", CheckStatus.WARNED, 2, ("(NULL)",))
    results = (
        ended("staging.flights", rows=336776),
        ended("marts.delays", rows=1, checks=(warned,)),
    )
    emit(Told("the run-state file was repaired from the warehouse"))
    emit(RunStarted("r1", Plan((task("staging.flights"), task("marts.delays")))))
    for result in results:
        emit(TaskStarted(task(str(result.table))))
        emit(TaskFinished(result))
    emit(Told("no space left", Severity.ERROR))
    end = NOON + timedelta(seconds=62)
    emit(RunFinished(RunRecord("r1", "dev", "build", NOON, end, Status.DONE, results, 3)))
    assert stream.getvalue() == (
        "warning: the run-state file was repaired from the warehouse\n"
        "1/2  done       staging.flights  create, 336,776 rows, 0.4s\n"
        "2/2  done       marts.delays     create, 1 row, 0.4s, 1 check warning\n"
        "  warning: check `not_null(carrier)` has 2 failing rows, such as\n"
        "    (NULL)\n"
        "error: no space left\n"
        "built 2 models in 1m 02s, 3 up to date\n"
    )


def test_every_line_is_flushed_at_once() -> None:
    class Counting(StringIO):
        flushed = 0

        def flush(self) -> None:
            self.flushed += 1

    stream = Counting()
    emit = plain(stream)
    emit(TaskFinished(ended("a.a")))
    emit(TaskStarted(task("a.b")))
    emit(TaskFinished(ended("a.b")))
    assert stream.flushed == 2


def test_a_reader_who_goes_away_does_not_stop_the_build() -> None:
    class Closed(StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    emit = plain(Closed())
    emit(TaskFinished(ended("a.a")))
    emit(TaskFinished(ended("a.b")))
