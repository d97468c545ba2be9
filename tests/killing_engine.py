"""The adapter of an engine with a hook before every statement: it can count, wait, send itself a signal, or die.

Used only in child processes: `python -m killing_engine build ...` is `sqlflow build ...` with this adapter. Read from the
environment: KILL_AT, the number of the statement before which the process kills itself; INTERRUPT_AT, the same with
Ctrl-C; ALONE, each task has a transaction of its own, as tasks that take long have; SLOW, seconds to wait before each statement; HOLD, a file: while it is there, the process waits in the middle of its
statements, or before statement HOLD_AT, and says so in a file beside it (`held`); COUNT, a file for the number of statements.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from hooked_engine import HookedEngine, module_of

from sqlflow.core.config import Config
from sqlflow.core.engine import Binder, Engine
from sqlflow.core.events import Emit
from sqlflow.engines import ENGINES

_MIDDLE = 60  # a build of `every_mode` has some hundred statements


class Hook:
    """Called at each boundary between statements, from any thread."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.kill_at = int(environ.get("KILL_AT", "0"))
        self.interrupt_at = int(environ.get("INTERRUPT_AT", "0"))
        self.slow = float(environ.get("SLOW", "0"))
        self.hold = Path(environ["HOLD"]) if "HOLD" in environ else None
        self.hold_at = int(environ.get("HOLD_AT", _MIDDLE))
        self.count = environ.get("COUNT")
        self.number = 0
        self._lock = threading.Lock()

    def __call__(self) -> None:
        with self._lock:
            self.number += 1
            if self.number == self.kill_at:
                os.kill(os.getpid(), signal.SIGKILL)
            if self.number == self.interrupt_at:
                os.kill(os.getpid(), signal.SIGINT)
                time.sleep(0.3)
        if self.hold is not None and self.number >= self.hold_at:
            self.hold.with_suffix(".held").touch()
            while self.hold.exists():
                time.sleep(0.02)
        if self.slow:
            time.sleep(self.slow)

    def finish(self) -> None:
        if self.count is not None:
            Path(self.count).write_text(str(self.number))


HOOK = Hook(os.environ)


def open_engine(
    config: Config, *, writing: bool, create: bool, wait: float, emit: Emit, files: Sequence[str]
) -> Engine | None:
    HOOK()
    engine = module_of(config).open_engine(config, writing=writing, create=create, wait=wait, emit=emit, files=files)
    return HookedEngine(engine, HOOK) if engine is not None else None


def open_binder(config: Config, *, files: Sequence[str]) -> Binder:
    return module_of(config).open_binder(config, files=files)


def attach(engine: Engine, other: Config) -> str:
    return module_of(other).attach(engine, other)


def main() -> None:
    from sqlflow.cli.app import main as sqlflow
    from sqlflow.runner import execute

    if "ALONE" in os.environ:
        execute.GROUP_SECONDS = -1.0

    # As `__main__` this module would exist twice, with two counters.
    sys.modules["killing_engine"] = sys.modules[__name__]
    ENGINES.update(dict.fromkeys(ENGINES, "killing_engine"))
    try:
        sqlflow()
    finally:
        HOOK.finish()


if __name__ == "__main__":
    main()
