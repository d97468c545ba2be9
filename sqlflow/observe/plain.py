"""A build as plain lines, for logs and pipes."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from threading import Lock
from typing import TextIO

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
from sqlflow.core.plan import Plan
from sqlflow.observe.observers import Audience
from sqlflow.observe.text import (
    check_warning_lines,
    display_width,
    summary_lines,
    task_line,
    told_lines,
    visible,
)

_WIDEST_NAME = 40


def observer(audience: Audience) -> AbstractContextManager[Emit]:
    return nullcontext(plain(audience.err))


def plain(stream: TextIO) -> Emit:
    """An emitter that writes one line for each task that ends, and the summary."""
    lock = Lock()
    total = finished = names = 0
    planned: frozenset[str] = frozenset()
    closed = False

    def lines_of(event: Event) -> list[str]:
        nonlocal total, finished, names, planned
        match event:
            case RunStarted():
                total, finished, names = len(event.plan.tasks), 0, name_width(event.plan)
                planned = frozenset(task.id for task in event.plan.tasks)
                return []
            case PlanChanged():
                total, names = len(event.plan.tasks), name_width(event.plan)
                planned |= {task.id for task in event.plan.tasks}
                return []
            case TaskStarted():
                return []
            case TaskFinished():
                counts = event.result.task in planned
                finished += counts
                number = f"{finished:>{len(str(total))}}/{total}  " if total else ""
                number = number if counts else " " * len(number)
                return [number + task_line(event.result, names), *check_warning_lines(event.result)]
            case Told():
                return told_lines(event)
            case RunFinished():
                return summary_lines(event.record)

    def emit(event: Event) -> None:
        nonlocal closed
        with lock:
            lines = lines_of(event)
            if closed or not lines:
                return
            try:
                stream.write("\n".join(lines) + "\n")
                stream.flush()
            except BrokenPipeError:
                # Whoever read along has gone; that is no reason for a build to fail.
                closed = True

    return emit


def name_width(plan: Plan) -> int:
    """How wide a column for the names of the plan's tables should be."""
    names = [task.table for task in plan.tasks]
    names += [name for found in plan.unreadable for name in (found.table, *found.models)]
    return min(_WIDEST_NAME, max((display_width(visible(str(name))) for name in names), default=0))
