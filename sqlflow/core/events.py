"""What a build tells while it runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from sqlflow.core.diagnostics import Severity
from sqlflow.core.plan import Plan, Task
from sqlflow.core.records import RunRecord, TaskResult


@dataclass(frozen=True, slots=True)
class RunStarted:
    run_id: str
    plan: Plan


@dataclass(frozen=True, slots=True)
class PlanChanged:
    """More is known now: the run has these tasks, some of which have ended."""

    plan: Plan


@dataclass(frozen=True, slots=True)
class TaskStarted:
    task: Task


@dataclass(frozen=True, slots=True)
class TaskFinished:
    """The task's transaction is committed, or the task has failed or will not run."""

    result: TaskResult


@dataclass(frozen=True, slots=True)
class RunFinished:
    record: RunRecord


@dataclass(frozen=True, slots=True)
class Told:
    """Something a person should know: a repair, a wait, a warning."""

    message: str
    severity: Severity = Severity.WARNING


Event = RunStarted | PlanChanged | TaskStarted | TaskFinished | RunFinished | Told
Emit = Callable[[Event], None]
Clock = Callable[[], datetime]
