"""Somebody who writes while a build runs: the adapter of an engine that lets a writer act before chosen statements.

    with moving(made, {12: ["INSERT INTO ext.ev VALUES (1)"]}): made.build(threads=1)

runs the statement, committed by somebody else, before the twelfth statement of the build. On PostgreSQL that is another
connection. A DuckDB file has only one process, so there it is another connection of that one, and the adapter does not
say that the build is alone.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import psycopg
from hooked_engine import HookedEngine, module_of
from lawful import Lawful
from on_postgres import LawfulPostgres, Translating

from sqlflow.core.config import Config
from sqlflow.core.engine import Binder, Engine
from sqlflow.core.events import Emit
from sqlflow.engines import ENGINES
from sqlflow.engines.duckdb import DuckDBEngine
from sqlflow.runner import execute

Act = str | Callable[[], None]
"""A statement in DuckDB's SQL, or anything else that is done."""


class Writer:
    """Acts before the n-th statement. `number`: of statements so far, `acted`: what was done."""

    def __init__(self, made: Lawful, acts: Mapping[int, Sequence[Act]]) -> None:
        self.number = 0
        self.acted = 0
        self.engine: Engine | None = None
        self._made = made
        self._left = [(at, act) for at in sorted(acts) for act in acts[at]]
        self._lock = threading.RLock()

    def __call__(self) -> None:
        with self._lock:
            self.number += 1
            while self._left and self._left[0][0] <= self.number:
                self._act(self._left.pop(0)[1])

    def finish(self) -> None:
        """Do what is left, when the build has ended."""
        self.engine = None
        while self._left:
            self._act(self._left.pop(0)[1])

    def _act(self, act: Act) -> None:
        self.acted += 1
        if callable(act):
            act()
        elif isinstance(self._made, LawfulPostgres):
            self._write(self._made, act)
        elif self.engine is None:
            self._made.sql(act)
        else:
            assert isinstance(self.engine, DuckDBEngine)
            self.engine.session().connection.execute(act)

    def _write(self, made: LawfulPostgres, sql: str) -> None:
        with psycopg.connect(made.url, autocommit=True) as connection:
            connection.execute("SET lock_timeout = '100ms'")
            try:
                Translating(connection).execute(sql)
            except psycopg.errors.LockNotAvailable:
                # The build that would have to go on is the one that waits for this.
                Translating(connection).execute(sql.replace("TRUNCATE", "DELETE FROM"))


class SharedEngine(HookedEngine):
    """A database to which others write."""

    def untouched_since(self, moment: str) -> bool:
        return not isinstance(self.engine, DuckDBEngine) and self.engine.untouched_since(moment)


_WRITERS: list[Writer] = []


@contextmanager
def moving(made: Lawful, acts: Mapping[int, Sequence[Act]] | None = None, *, alone: bool = False) -> Iterator[Writer]:
    """Builds inside are written to by others. `alone`: each task has a transaction of its own, as long ones have."""
    writer, before, seconds = Writer(made, acts or {}), dict(ENGINES), execute.GROUP_SECONDS
    execute.GROUP_SECONDS = -1.0 if alone else seconds
    _WRITERS.append(writer)
    ENGINES.update(dict.fromkeys(ENGINES, "moving_engine"))
    try:
        yield writer
    finally:
        execute.GROUP_SECONDS = seconds
        ENGINES.update(before)
        _WRITERS.pop()


def open_engine(
    config: Config, *, writing: bool, create: bool, wait: float, emit: Emit, files: Sequence[str]
) -> Engine | None:
    engine = module_of(config).open_engine(config, writing=writing, create=create, wait=wait, emit=emit, files=files)
    if engine is None:
        return None
    _WRITERS[-1].engine = engine
    return SharedEngine(engine, _WRITERS[-1])


def open_binder(config: Config, *, files: Sequence[str]) -> Binder:
    return module_of(config).open_binder(config, files=files)


def attach(engine: Engine, other: Config) -> str:
    return module_of(other).attach(engine, other)
