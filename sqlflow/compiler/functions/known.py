"""What a function is by its name."""

from __future__ import annotations

from collections.abc import Mapping

from sqlflow.compiler.functions.duckdb import DUCKDB
from sqlflow.compiler.functions.natures import Functions
from sqlflow.compiler.functions.postgres import POSTGRES
from sqlflow.core.clock import Moving
from sqlflow.core.intervals import Grain

ENGINES: Mapping[str, Functions] = {"duckdb": DUCKDB, "postgres": POSTGRES}

RESTLESS_NAMES = frozenset(name for engine in ENGINES.values() for name in engine.natures) | {"error", "assert_true"}
"""Functions that are never followed: those that may give something else in another build, and those that stop it."""


def functions_of(dialect: str) -> Functions:
    return ENGINES.get(dialect, DUCKDB)


def moving(name: str, dialect: str) -> Moving | None:
    nature = functions_of(dialect).nature(name)
    if nature is None:
        return None
    return Moving(name, nature, Grain.DAY if name in _DAILY else None)


_DAILY = frozenset({"current_date", "today", "tomorrow", "yesterday"})
