"""A session of `sqlflow watch --json` in a process of its own, and the events that it tells."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from queue import Empty, Queue
from typing import Any

from children import Child

PATIENCE = 240.0  # a machine that runs other tests at the same time may be slow
Event = dict[str, Any]


class Session:
    """`told`: all events so far."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.process = Child("watch", "--json", *options, cwd=folder)
        self.told: list[Event] = []
        self._arriving: Queue[Event | None] = Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        for line in self.process.stdout:
            self._arriving.put(json.loads(line))
        self._arriving.put(None)

    def until(self, name: str, when: Callable[[Event], bool] = lambda event: True) -> list[Event]:
        """The events up to the first of this name for which `when` holds."""
        end = time.monotonic() + PATIENCE
        found: list[Event] = []
        while True:
            try:
                event = self._arriving.get(timeout=max(0.01, end - time.monotonic()))
            except Empty:
                raise AssertionError(f"no `{name}` came, only {found}") from None
            if event is None:
                raise AssertionError(f"the session ended: {self.process.stderr.read()}")
            found.append(event)
            self.told.append(event)
            if event["event"] == name and when(event):
                return found

    def settled(self) -> list[Event]:
        """The events until nothing goes on."""
        return self.until("idle")

    def after(self, change: Callable[[], object]) -> list[Event]:
        """The events that a change of files brings about, until nothing goes on."""
        change()
        return [*self.until("changed"), *self.settled()]

    def silent(self, seconds: float) -> bool:
        """Whether nothing is told for so long."""
        try:
            event = self._arriving.get(timeout=seconds)
        except Empty:
            return True
        self._arriving.put(event)
        return False

    def megabytes(self) -> float:
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        found = re.search(r"VmRSS:\s+(\d+)", text)
        assert found is not None
        return int(found[1]) / 1024

    def stop(self, number: int = signal.SIGINT) -> tuple[int, str]:
        """The exit code, and what was said on stderr."""
        self.process.send_signal(number)
        code = self.process.wait(PATIENCE)
        return code, self.process.stderr.read()


@contextlib.contextmanager
def watching(folder: Path, *options: str) -> Iterator[Session]:
    """A session that has said what is to be said at its start."""
    session = Session(folder, *options)
    try:
        session.settled()
        yield session
    finally:
        session.process.kill()
        session.process.wait(60)
        session.process.close()


def one(events: list[Event], name: str) -> Event:
    """The last event of this name."""
    return [event for event in events if event["event"] == name][-1]


def errors(events: list[Event]) -> list[str]:
    """`code file:line` of each problem told last."""
    return [f"{p['code']} {p['file']}:{p['line']}" for p in one(events, "problems")["problems"]]


def write(root: Path, files: Mapping[str, str]) -> Path:
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    return root


def replace(path: Path, text: str) -> None:
    """Save as editors do: a file beside it, renamed over it."""
    beside = path.with_name(f".{path.name}.swp")
    beside.write_text(text)
    os.replace(beside, path)
