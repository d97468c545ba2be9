"""What a build tells while it runs."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from msgspec import Struct

from sqlflow.core.diagnostics import Diagnostic, Severity
from sqlflow.core.plan import Plan, Task
from sqlflow.core.records import RunRecord, TaskResult


class RunStarted(Struct, frozen=True):
    run_id: str
    plan: Plan


class PlanChanged(Struct, frozen=True):
    """More is known now: the run has these tasks, some of which have ended."""

    plan: Plan


class TaskStarted(Struct, frozen=True):
    task: Task


class TaskFinished(Struct, frozen=True):
    """The task's transaction is committed, or the task has failed or will not run."""

    result: TaskResult


class RunFinished(Struct, frozen=True):
    record: RunRecord


class Told(Struct, frozen=True):
    """Something a person should know: a repair, a wait, a warning. `problem`: in full, where it has a place."""

    message: str
    severity: Severity = Severity.WARNING
    problem: Diagnostic | None = None


Event = RunStarted | PlanChanged | TaskStarted | TaskFinished | RunFinished | Told
Emit = Callable[[Event], None]
Clock = Callable[[], datetime]
