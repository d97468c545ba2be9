"""What sqlflow.yml says, checked; and what a command was asked to do."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from msgspec import Struct, field

from sqlflow.core.diagnostics import Diagnostic
from sqlflow.core.source import SourceFile, Span


class Target(Struct, frozen=True):
    """A database to build into. `options` are the engine's own, e.g. `path`, `memory_limit`."""

    name: str
    engine: str
    options: Mapping[str, object]


class DefaultValue(Struct, frozen=True):
    """One header directive given for a folder, with its place in sqlflow.yml."""

    value: object
    span: Span


class Config(Struct, frozen=True):
    """sqlflow.yml, with the target chosen and `--var` applied.

    `defaults`: folder (`models/staging`) -> directive -> value. `variables`: name -> YAML value.
    `verify_every`: how many runs of a model that is not rebuilt lie between two self-checks; 0 for none. `formerly`: names that the
    project had before; what was made under one of them is its own.
    """

    root: Path
    file: SourceFile
    name: str
    target: Target
    targets: Mapping[str, Target]
    dialect: str = "duckdb"
    default_schema: str = "main"
    timezone: str = "UTC"
    variables: Mapping[str, object] = field(default_factory=dict)
    defaults: Mapping[str, Mapping[str, DefaultValue]] = field(default_factory=dict)
    sandbox: bool = False
    allow_outside_paths: bool = False
    verify_every: int = 20
    formerly: tuple[str, ...] = ()
    warnings: tuple[Diagnostic, ...] = ()  # about sqlflow.yml itself, told with those of the other files

    @property
    def target_dialect(self) -> str:
        """The SQL that the target reads, by sqlglot's name for it."""
        return self.target.engine

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.timezone)


class Request(Struct, frozen=True):
    """What `build` was asked: which models, and how.

    `selection`, `exclude`: as typed; empty means everything. `start`, `end`: an interval to compute again.
    """

    selection: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    full_refresh: bool = False
    discard_history: bool = False
    start: datetime | None = None
    end: datetime | None = None
    threads: int = 2
    fail_fast: bool = False
