"""A session as plain lines, for logs and pipes."""

from __future__ import annotations

from threading import Lock
from typing import TextIO

from sqlflow.cli import watch_text as text
from sqlflow.core.events import Told
from sqlflow.observe.text import told_lines, uncolored
from sqlflow.watch.events import (
    Building,
    Built,
    Changed,
    Idle,
    Impact,
    Noted,
    Planned,
    Problems,
    Rows,
    Stopped,
    Tell,
    WatchEvent,
    Watching,
)


def lines(stream: TextIO) -> Tell:
    """Writes a few lines for each event."""
    lock = Lock()
    sample = ""
    files: tuple[str, ...] = ()

    def lines_of(event: WatchEvent) -> list[str]:
        nonlocal sample, files
        match event:
            case Watching():
                sample = event.sample
                built = " building into a scratch database" if event.build else ""
                return [f"watching {event.project}, target {event.target}{built}; Ctrl-C ends it"]
            case Changed():
                files = event.files
                return ["", f"--- {text.changed_line(event)}"]
            case Problems():
                found = text.problem_lines(event.diagnostics, files, uncolored)
                words = ": ".join(part for part in (text.verdict(event)[0], text.work_line(event)) if part)
                return [*found, *([""] if found else []), words]
            case Impact():
                return text.impact_lines(event, None, uncolored)
            case Planned():
                return ["plan of a build:", *(f"  {line}" for line in text.plan_lines(event, uncolored))]
            case Rows():
                return [f"{text.rows_title(event, sample)}:", *(f"  {line}" for line in text.rows_lines(event, None))]
            case Building():
                return told_lines(event.event) if isinstance(event.event, Told) else []
            case Built():
                return ["scratch build:", *(f"  {line}" for line in text.built_lines(event, sample, uncolored) if line)]
            case Noted():
                return [f"note: {event.message}"]
            case Idle() | Stopped():
                return []

    def tell(event: WatchEvent) -> None:
        with lock:
            found = lines_of(event)
            if found:
                stream.write("\n".join(found) + "\n")
                stream.flush()

    return tell
