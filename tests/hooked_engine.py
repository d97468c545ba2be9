"""The adapter of an engine that calls a hook before every statement, and after each commit."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from importlib import import_module
from typing import cast

from sqlflow.core.config import Config
from sqlflow.core.engine import Engine, Found, Row, Session, Traits
from sqlflow.core.names import TableName
from sqlflow.core.plan import Load
from sqlflow.core.wording import Wording
from sqlflow.engines import EngineModule

Hook = Callable[[], None]


class HookedSession:
    def __init__(self, session: Session, hook: Hook) -> None:
        self._session = session
        self._hook = hook

    def execute(self, sql: str, parameters: Sequence[object] = ()) -> int:
        self._hook()
        return self._session.execute(sql, parameters)

    @property
    def wording(self) -> Wording:
        return self._session.wording

    def fetch(self, sql: str, parameters: Sequence[object] = ()) -> list[Row]:
        self._hook()
        return self._session.fetch(sql, parameters)

    def load(self, load: Load) -> int:
        self._hook()
        return self._session.load(load)

    def unwritten(self, table: TableName, rows: int, moment: str) -> bool:
        self._hook()
        return self._session.unwritten(table, rows, moment)

    def reading(self) -> AbstractContextManager[None]:
        self._hook()
        return self._session.reading()

    def begin(self) -> None:
        self._hook()
        self._session.begin()

    def commit(self) -> None:
        self._hook()
        self._session.commit()
        self._hook()  # committed, and nobody knows yet

    def rollback(self) -> None:
        self._hook()
        self._session.rollback()


class HookedEngine:
    def __init__(self, engine: Engine, hook: Hook) -> None:
        self.engine = engine
        self._hook = hook

    @property
    def traits(self) -> Traits:
        return self.engine.traits

    @property
    def version(self) -> str:
        return self.engine.version

    def session(self) -> Session:
        return HookedSession(self.engine.session(), self._hook)

    def moment(self) -> str:
        return self.engine.moment()

    def untouched_since(self, moment: str) -> bool:
        return self.engine.untouched_since(moment)

    def tables(self) -> Mapping[TableName, Found]:
        self._hook()
        return self.engine.tables()

    def interrupt(self) -> None:
        self.engine.interrupt()

    def close(self) -> None:
        self._hook()
        self.engine.close()


def module_of(config: Config) -> EngineModule:
    """The adapter that is hooked."""
    return cast(EngineModule, import_module(f"sqlflow.engines.{config.target.engine}"))
