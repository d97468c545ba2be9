"""A build as JSON, one event to a line; and how values look in all JSON output."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Set
from contextlib import AbstractContextManager, nullcontext
from datetime import date, datetime, time
from decimal import Decimal
from enum import Enum
from math import isfinite
from threading import Lock
from typing import TextIO

from msgspec import Struct, structs

from sqlflow.core.diagnostics import Diagnostic
from sqlflow.core.events import (
    Emit,
    Event,
    PlanChanged,
    RunFinished,
    RunStarted,
    TaskFinished,
    TaskStarted,
    Told,
)
from sqlflow.core.intervals import BEGINNING, END, IntervalSet
from sqlflow.core.names import ColumnRef, TableName
from sqlflow.core.plan import ReasonKind, Task
from sqlflow.core.records import Status, TaskResult
from sqlflow.core.source import Span
from sqlflow.observe.observers import Audience
from sqlflow.observe.text import tables_by_status


def observer(audience: Audience) -> AbstractContextManager[Emit]:
    return nullcontext(jsonl(audience.out))


def jsonl(stream: TextIO) -> Emit:
    """An emitter that writes each event as one line of JSON."""
    lock = Lock()
    closed = False

    def emit(event: Event) -> None:
        nonlocal closed
        line = to_json(event_fields(event)) + "\n"
        with lock:
            if closed:
                return
            try:
                stream.write(line)
                stream.flush()
            except BrokenPipeError:
                # Whoever read along has gone; that is no reason for a build to fail.
                closed = True

    return emit


def event_fields(event: Event) -> dict[str, object]:
    """What the JSON of an event consists of. `event` is its name: `task_finished`."""
    name = re.sub(r"(?<!^)(?=[A-Z])", "_", type(event).__name__).lower()
    return {"event": name, **_content(event)}


def _content(event: Event) -> dict[str, object]:
    match event:
        case RunStarted(run_id, plan):
            reasons = Counter(reason.kind for reason in plan.skipped.values())
            return {
                "run_id": run_id,
                "tasks": [task.id for task in plan.tasks],
                "up_to_date": reasons[ReasonKind.UP_TO_DATE],
            }
        case PlanChanged(plan):
            return {"tasks": [task.id for task in plan.tasks]}
        case TaskStarted(task):
            return _task_fields(task)
        case TaskFinished(result):
            return result_fields(result)
        case Told(message, severity, problem):
            told: dict[str, object] = {"severity": severity, "message": message}
            return {**told, **diagnostic_fields(problem)} if problem is not None else told
        case RunFinished(record):
            count = tables_by_status(record)
            return {
                "run_id": record.run_id,
                "target": record.target,
                "command": record.command,
                "status": record.status,
                "started_at": record.started_at,
                "finished_at": record.finished_at,
                "seconds": (record.finished_at - record.started_at).total_seconds(),
                **{status.value: count[status] for status in Status},
                "up_to_date": record.up_to_date,
            }


def _task_fields(task: Task) -> dict[str, object]:
    return {
        "task": task.id,
        "table": task.table,
        "action": task.action,
        "mode": task.mode,
        "strategy": task.strategy,
        "reason": task.reason,
        "expected_seconds": task.expected_seconds,
        "expected_rows": task.expected_rows,
    }


def result_fields(result: TaskResult) -> dict[str, object]:
    """How a task ended, with its error as in `diagnostic_fields`."""
    own = structs.asdict(result)
    return {**own, "error": result.error and diagnostic_fields(result.error)}


def diagnostic_fields(diagnostic: Diagnostic) -> dict[str, object]:
    """A problem, with the place as `file`, `line`, `column`, `length` (null when it has none)."""
    return {
        "code": diagnostic.code,
        "severity": diagnostic.severity,
        "message": diagnostic.message,
        **_place(diagnostic.span),
        "hint": diagnostic.hint,
        "notes": [{"message": n.message, **_place(n.span)} for n in diagnostic.notes],
    }


def _place(span: Span | None) -> dict[str, object]:
    if span is None:
        return dict.fromkeys(("file", "line", "column", "length"))
    if not span.line:
        return {**dict.fromkeys(("file", "line", "column", "length")), "file": str(span.path)}
    return {
        "file": str(span.path),
        "line": span.line,
        "column": span.column,
        "length": span.length,
    }


def to_json(value: object) -> str:
    """Any value of the program, or of a table, as one line of JSON.

    Names of tables become `"schema.name"`, times ISO 8601, intervals `[start, end]` with null for no bound,
    decimals numbers with all their digits; NaN and infinity, which JSON has not, null.
    """
    from msgspec.json import Encoder

    return Encoder(decimal_format="number").encode(_plain(value)).decode()


def _plain(value: object) -> object:
    match value:
        case Enum():
            return _plain(value.value)
        case None | bool():
            return value
        case str():
            return value.encode("utf-8", "backslashreplace").decode()
        case int():
            return value if -(2**63) <= value < 2**64 else Decimal(value)
        case float():
            return value if isfinite(value) else None
        case Decimal():
            return value if value.is_finite() else None
        case datetime():
            return None if value in (BEGINNING, END) else value.isoformat()
        case date() | time():
            return value.isoformat()
        case bytes() | bytearray() | memoryview():
            return bytes(value).hex()
        case TableName() | ColumnRef():
            return _plain(str(value))
        case IntervalSet():
            return [[_plain(i.start), _plain(i.end)] for i in value]
        case Mapping():
            return {_key(key): _plain(item) for key, item in value.items()}
        case list() | tuple():
            return [_plain(item) for item in value]
        case Set():
            return [_plain(item) for item in sorted(value, key=str)]
        case Struct():
            return {name: _plain(part) for name, part in structs.asdict(value).items()}
        case _:
            return _plain(str(value))


def _key(key: object) -> str:
    shown = _plain(key)
    return shown if isinstance(shown, str) else to_json(key)
