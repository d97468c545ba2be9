"""What a session needs of the outside, and what it was asked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

from msgspec import Struct

from sqlflow.core.config import Config
from sqlflow.core.events import Clock
from sqlflow.engines import EngineModule


class Desk(Struct, frozen=True):
    """`settings` reads sqlflow.yml anew. `version`: of all programs that judge queries, the server's given. `owner`: who we are, for locks. `report`: puts a bug down, and says where. `heard`: whether anybody still reads what is told."""

    root: Path
    settings: Callable[[], Config]
    module: Callable[[Config], EngineModule]
    version: Callable[[Config, str], str]
    files: Callable[[Config], Sequence[str]]
    owner: Callable[[], dict[str, object]]
    clock: Clock
    run_id: Callable[[], str]
    report: Callable[[Exception], str]
    heard: Callable[[], bool]

    @property
    def state(self) -> Path:
        return self.root / ".sqlflow"


class WatchRequest(Struct, frozen=True):
    """The options of `watch`. `limit`, `start`, `end`: how much of each input a scratch build reads."""

    selection: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    build: bool = False
    limit: int | None = None
    start: datetime | None = None
    end: datetime | None = None
    rows: int = 10
    threads: int = 2
