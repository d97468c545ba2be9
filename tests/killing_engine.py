"""The adapter of an engine with a hook before every statement: it can count, wait, send itself a signal, or die.

Used only in child processes: `python -m killing_engine build ...` is `sqlflow build ...` with this adapter. Read from the
environment: KILL_AT, the number of the statement before which the process kills itself; INTERRUPT_AT, the same with
Ctrl-C; ALONE, each task has a transaction of its own, as tasks that take long have; SLOW, seconds to wait before each statement; COUNT, a file for the number of statements.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import cast

from sqlflow.core.config import Config
from sqlflow.core.engine import Binder, Engine, Found, Row, Session, Traits
from sqlflow.core.events import Emit
from sqlflow.core.names import TableName
from sqlflow.core.plan import Load
from sqlflow.core.wording import Wording
from sqlflow.engines import ENGINES, EngineModule


class Hook:
    """Called at each boundary between statements, from any thread."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.kill_at = int(environ.get("KILL_AT", "0"))
        self.interrupt_at = int(environ.get("INTERRUPT_AT", "0"))
        self.slow = float(environ.get("SLOW", "0"))
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
        if self.slow:
            time.sleep(self.slow)

    def finish(self) -> None:
        if self.count is not None:
            Path(self.count).write_text(str(self.number))


HOOK = Hook(os.environ)


class HookedSession:
    def __init__(self, session: Session) -> None:
        self._session = session

    def execute(self, sql: str, parameters: Sequence[object] = ()) -> int:
        HOOK()
        return self._session.execute(sql, parameters)

    @property
    def wording(self) -> Wording:
        return self._session.wording

    def fetch(self, sql: str, parameters: Sequence[object] = ()) -> list[Row]:
        HOOK()
        return self._session.fetch(sql, parameters)

    def load(self, load: Load) -> int:
        HOOK()
        return self._session.load(load)

    def begin(self) -> None:
        HOOK()
        self._session.begin()

    def commit(self) -> None:
        HOOK()
        self._session.commit()
        HOOK()  # committed, and nobody knows yet

    def rollback(self) -> None:
        HOOK()
        self._session.rollback()


class HookedEngine:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @property
    def traits(self) -> Traits:
        return self._engine.traits

    @property
    def version(self) -> str:
        return self._engine.version

    def session(self) -> Session:
        return HookedSession(self._engine.session())

    def tables(self) -> Mapping[TableName, Found]:
        HOOK()
        return self._engine.tables()

    def interrupt(self) -> None:
        self._engine.interrupt()

    def close(self) -> None:
        HOOK()
        self._engine.close()


def open_engine(
    config: Config, *, writing: bool, create: bool, wait: float, emit: Emit, files: Sequence[str]
) -> Engine | None:
    HOOK()
    engine = _module(config).open_engine(config, writing=writing, create=create, wait=wait, emit=emit, files=files)
    return HookedEngine(engine) if engine is not None else None


def open_binder(config: Config, *, files: Sequence[str]) -> Binder:
    return _module(config).open_binder(config, files=files)


def attach(engine: Engine, other: Config) -> str:
    return _module(other).attach(engine, other)


def _module(config: Config) -> EngineModule:
    return cast(EngineModule, import_module(f"sqlflow.engines.{config.target.engine}"))


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
