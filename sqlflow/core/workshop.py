"""What compiling needs of the outside."""

from __future__ import annotations

from msgspec import Struct

from sqlflow.core.cache import Cache
from sqlflow.core.config import Config
from sqlflow.core.engine import Binder


class Workshop(Struct, frozen=True):
    """What compiling needs of the outside. `version`: of the programs whose judgement the cache may hold."""

    config: Config
    binder: Binder
    cache: Cache
    version: str
