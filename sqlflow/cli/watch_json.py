"""A session as JSON, one event to a line; the fields are described in docs/guides/watch.md."""

from __future__ import annotations

import re
from collections import Counter
from threading import Lock
from typing import TextIO

from sqlflow.cli.render import diagnostics_json, task_json
from sqlflow.core.diagnostics import Severity
from sqlflow.core.plan import Plan
from sqlflow.observe.jsonl import event_fields, to_json
from sqlflow.watch.events import (
    Building,
    Built,
    Changed,
    ColumnEdit,
    Idle,
    Impact,
    ModelEdit,
    Noted,
    Planned,
    Problems,
    Rows,
    Stopped,
    Tell,
    WatchEvent,
    Watching,
)

FORMAT = 1


def lines_of_json(stream: TextIO) -> Tell:
    """Writes each event as one line. A reader that has gone ends the session, as it would a pipe."""
    lock = Lock()

    def tell(event: WatchEvent) -> None:
        line = to_json(watch_fields(event)) + "\n"
        with lock:
            stream.write(line)
            stream.flush()

    return tell


def watch_fields(event: WatchEvent) -> dict[str, object]:
    """What the JSON of an event consists of. `event` is its name."""
    name = re.sub(r"(?<!^)(?=[A-Z])", "_", type(event).__name__).lower()
    match event:
        case Watching():
            return {
                "event": name, "format": FORMAT, "project": event.project, "root": event.root, "target": event.target,
                "build": event.build, "sample": event.sample or None,
            }  # fmt: skip
        case Changed():
            return {"event": name, "what": event.what, "files": event.files, "count": event.count}
        case Problems():
            count = {s: sum(d.severity is s for d in event.diagnostics) for s in Severity}
            return {
                "event": name, "sound": event.sound, "errors": count[Severity.ERROR],
                "warnings": count[Severity.WARNING], "models": event.models,
                "recompiled": None if event.recompiled is None else list(event.recompiled),
                "seconds": round(event.seconds, 4), "problems": diagnostics_json(event.diagnostics),
            }  # fmt: skip
        case Impact():
            return {
                "event": name, "count": event.count, "complete": event.complete,
                "edits": [_edit(edit) for edit in event.edits],
            }  # fmt: skip
        case Planned():
            return {
                "event": name,
                "plan": None if event.plan is None else _plan(event.plan),
                "why": event.why or None,
                "problems": diagnostics_json(event.problems),
            }
        case Rows():
            return {
                "event": name, "model": event.model, "origin": event.origin, "columns": event.columns,
                "rows": event.rows, "more": event.more, "why": event.why or None,
            }  # fmt: skip
        case Building():
            return {**event_fields(event.event), "scratch": True}
        case Built():
            return {
                "event": name, "status": event.record.status if event.record else "failed",
                "database": event.database or None, "why": event.why or None,
                "problems": diagnostics_json(event.problems),
            }  # fmt: skip
        case Noted():
            return {"event": name, "message": event.message}
        case Idle() | Stopped():
            return {"event": name}


def _plan(plan: Plan) -> dict[str, object]:
    """As `build --dry-run --json` has it, without statements, and of the models that need nothing only how many."""
    left_out = ("steps", "checks", "audits", "needs")
    tasks = [{key: value for key, value in task_json(task).items() if key not in left_out} for task in plan.tasks]
    skipped = Counter(reason.kind for reason in plan.skipped.values())
    return {"tasks": tasks, "skipped": dict(sorted(skipped.items())), "orphans": sorted(plan.orphans)}


def _edit(edit: ModelEdit) -> dict[str, object]:
    return {
        "model": edit.model,
        "kind": edit.kind,
        "exact": edit.exact,
        "changes": [_column(column) for column in edit.columns],
        "reached": edit.reached,
        "spared": edit.spared,
    }


def _column(column: ColumnEdit) -> dict[str, object]:
    return {
        "column": column.column,
        "kind": column.kind,
        "detail": column.detail or None,
        "reached": [{"model": r.model, "columns": r.columns, "rows": r.rows} for r in column.reached],
    }
