"""Adapters to databases. `ENGINES` names them; each module is imported when it is chosen."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Protocol, cast

from sqlflow.core.config import Config
from sqlflow.core.engine import Binder, Engine
from sqlflow.core.events import Emit

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from sqlflow.core.names import TableName
    from sqlflow.core.schema import Schema
    from sqlflow.core.sql import Sql


class EngineModule(Protocol):
    """What each module in this package offers."""

    def open_engine(
        self, config: Config, *, writing: bool, create: bool, wait: float, emit: Emit, files: Sequence[str]
    ) -> Engine | None:
        """The target's database, or None when it does not exist and is not to be created.

        `wait`: seconds to wait for a database that somebody else holds. `files`: the paths of file sources and
        seeds, which models may read in a sandbox. Raises ProjectError.
        """

    def attach(self, engine: Engine, other: Config) -> str:
        """Make the database of another target readable beside the one that is open; the name in front of its tables."""

    def scratch_target(self, config: Config, folder: Path) -> AbstractContextManager[Config]:
        """The project with an empty database of its own as its target, which is gone afterwards. `folder`: for files, one for
        each. Raises ProjectError."""

    def copied_target(self, config: Config, folder: Path, database: str) -> AbstractContextManager[Config]:
        """As `scratch_target`, with a copy of a database in it: of a file, or of the one that a URL names. Raises ProjectError."""

    def set_aside(
        self, engine: Engine, config: Config, database: str, tables: Sequence[TableName]
    ) -> Callable[[TableName], tuple[Sql, Schema] | None]:
        """Take tables from their names in a copy of a database. Where the rows of each stand then, None for one that is not there."""

    def open_binder(self, config: Config, *, files: Sequence[str]) -> Binder:
        """The judge of queries for this target."""


ENGINES: dict[str, str] = {"duckdb": "sqlflow.engines.duckdb", "postgres": "sqlflow.engines.postgres"}


def engine_module(name: str) -> EngineModule:
    """The adapter of an engine that `sqlflow.yml` names."""
    return cast(EngineModule, import_module(ENGINES[name]))
