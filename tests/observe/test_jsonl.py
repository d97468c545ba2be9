"""A build as JSON lines, and what values look like in JSON."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from io import StringIO
from pathlib import Path, PurePosixPath

import pytest
from msgspec import Struct

from sqlflow.core.diagnostics import Diagnostic, Severity
from sqlflow.core.events import RunFinished, RunStarted, TaskFinished, TaskStarted, Told
from sqlflow.core.intervals import BEGINNING, EVERYTHING, NOTHING, Interval, IntervalSet
from sqlflow.core.names import ColumnRef, TableName
from sqlflow.core.plan import Plan, Reason, ReasonKind, Task
from sqlflow.core.records import (
    Fingerprint,
    Relation,
    RunRecord,
    Status,
    TableKind,
    TableRecord,
    TaskResult,
)
from sqlflow.core.schema import Schema
from sqlflow.core.source import Span
from sqlflow.core.ways import Method
from sqlflow.observe.jsonl import jsonl, to_json

NOON = datetime(2024, 1, 1, 12, tzinfo=UTC)
DELAYS = TableName("marts", "delays")


def delays_task() -> Task:
    record = TableRecord(DELAYS, TableKind.MODEL, Relation.TABLE, Fingerprint("q"), Schema(), 1, "r1", NOON)
    reason = Reason(ReasonKind.NEW, "new model")
    kind = TableKind.MODEL
    return Task("marts.delays", DELAYS, kind, "create", "replace", Method.FULL, reason, (), record)


def test_each_event_is_a_line_that_names_it() -> None:
    stream = StringIO()
    emit = jsonl(stream)
    span = Span(PurePosixPath("models/marts/delays.sql"), 14, 9, 7, "secret source line")
    wrong = Diagnostic("statement-failed", "no\nluck", span, "try again")
    result = TaskResult("marts.delays", DELAYS, "create", Status.FAILED, NOON, 0.5, reason="new model", error=wrong)
    up_to_date = {TableName("a", "b"): Reason(ReasonKind.UP_TO_DATE, "")}
    end = NOON + timedelta(seconds=2)
    emit(RunStarted("r1", Plan((delays_task(),), up_to_date)))
    emit(TaskStarted(delays_task()))
    emit(TaskFinished(result))
    emit(Told("state repaired"))
    emit(RunFinished(RunRecord("r1", "dev", "build", NOON, end, Status.FAILED, (result,), 1)))
    assert [json.loads(line) for line in stream.getvalue().splitlines()] == [
        {"event": "run_started", "run_id": "r1", "tasks": ["marts.delays"], "up_to_date": 1},
        {
            "event": "task_started",
            "task": "marts.delays",
            "table": "marts.delays",
            "action": "create",
            "mode": "replace",
            "strategy": "full",
            "reason": {"kind": "new", "detail": "new model"},
            "expected_seconds": None,
            "expected_rows": None,
        },
        {
            "event": "task_finished",
            "task": "marts.delays",
            "table": "marts.delays",
            "action": "create",
            "status": "failed",
            "started_at": "2024-01-01T12:00:00+00:00",
            "seconds": 0.5,
            "rows": None,
            "reason": "new model",
            "error": {
                "code": "statement-failed",
                "severity": "error",
                "message": "no\nluck",
                "file": "models/marts/delays.sql",
                "line": 14,
                "column": 9,
                "length": 7,
                "hint": "try again",
                "notes": [],
            },
            "blame": None,
            "checks": [],
            "strategy": "",
            "facts": {},
            "kind": "model",
        },
        {"event": "told", "severity": "warning", "message": "state repaired"},
        {
            "event": "run_finished",
            "run_id": "r1",
            "target": "dev",
            "command": "build",
            "status": "failed",
            "started_at": "2024-01-01T12:00:00+00:00",
            "finished_at": "2024-01-01T12:00:02+00:00",
            "seconds": 2.0,
            "done": 0,
            "failed": 1,
            "skipped": 0,
            "cancelled": 0,
            "up_to_date": 1,
        },
    ]


class Pair(Struct, frozen=True):
    left: TableName
    right: tuple[int, ...]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (True, "true"),
        (Severity.ERROR, '"error"'),
        (2**100, "1267650600228229401496703205376"),
        (Decimal("12345678901234567890.10"), "12345678901234567890.10"),
        (Decimal("NaN"), "null"),
        (float("inf"), "null"),
        (date(2013, 1, 2), '"2013-01-02"'),
        (datetime(2013, 1, 2, 3), '"2013-01-02T03:00:00"'),
        (BEGINNING, "null"),
        (timedelta(hours=1), '"1:00:00"'),
        (b"\x00\xff", '"00ff"'),
        (Path("models/a.sql"), '"models/a.sql"'),
        (DELAYS, '"marts.delays"'),
        ({DELAYS: [ColumnRef(DELAYS, "day")]}, '{"marts.delays":["marts.delays.day"]}'),
        ({1: 2}, '{"1":2}'),
        (frozenset({"b", "a"}), '["a","b"]'),
        (Pair(DELAYS, (1, 2)), '{"left":"marts.delays","right":[1,2]}'),
        (NOTHING, "[]"),
        (EVERYTHING, "[[null,null]]"),
        (
            IntervalSet((Interval(BEGINNING, NOON),)),
            '[[null,"2024-01-01T12:00:00+00:00"]]',
        ),
        ("表 \x1b lone \udc80", '"表 \\u001b lone \\\\udc80"'),
    ],
)
def test_values_in_json(value: object, text: str) -> None:
    assert to_json(value) == text
