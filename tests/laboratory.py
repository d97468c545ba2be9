"""Engines in which the compiler's claims about queries are tried: tables are filled, rows changed, and results compared.

What is written in DuckDB's SQL is put into the engine's words by `own`; everything else is SQL that both take.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import duckdb
import psycopg
from on_postgres import drop_database, new_database

from sqlflow.core.engine import Traits
from sqlflow.engines.duckdb import TRAITS as DUCKDB
from sqlflow.engines.postgres import TRAITS as POSTGRES
from sqlflow.translation.translate import translated


@dataclass(frozen=True, slots=True)
class Lab:
    """A connection to an engine whose session has a time zone."""

    connection: Any
    traits: Traits
    zone: str

    def own(self, sql: str) -> str:
        """DuckDB's SQL in the engine's words."""
        return sql if self.traits.dialect == "duckdb" else translated(sql, "duckdb", self.traits.dialect)

    def run(self, *statements: str) -> None:
        for statement in statements:
            self.connection.execute(statement)

    def rows(self, query: str) -> list[tuple[object, ...]]:
        found: list[tuple[object, ...]] = self.connection.execute(query).fetchall()
        return found

    def micros(self, time: str) -> str:
        """The microseconds since 1970 of a time: of an instant, or of a clock reading as if it were one of UTC."""
        if self.traits.dialect == "duckdb":
            return f"epoch_us({time})"
        return f"cast(extract(epoch from {time}) * 1000000 as bigint)"

    def moment(self, micros: str) -> str:
        """The TIMESTAMP of so many microseconds since 1970."""
        if self.traits.dialect == "duckdb":
            return f"make_timestamp({micros})"
        return f"(timestamp '1970-01-01' + {micros} * interval '1 microsecond')"


@contextmanager
def duckdb_lab(zone: str = "UTC") -> Iterator[Lab]:
    with duckdb.connect(config={"threads": 1}) as connection:
        connection.execute(f"set TimeZone = '{zone}'")
        yield Lab(connection, DUCKDB, zone)


@contextmanager
def postgres_lab(zone: str = "UTC") -> Iterator[Lab]:
    url = new_database()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("set synchronous_commit = off")
        connection.execute(f"set TimeZone = '{zone}'")
        yield Lab(psycopg.RawCursor(connection), POSTGRES, zone)
    drop_database(url)


LABS = {"duckdb": duckdb_lab, "postgres": postgres_lab}


class Labs(ExitStack):
    """Labs by engine and zone, opened when they are first asked for."""

    def __init__(self) -> None:
        super().__init__()
        self._opened: dict[tuple[str, str], Lab] = {}

    def __call__(self, engine: str, zone: str, prepare: Callable[[Lab], None] | None = None) -> Lab:
        """`prepare`: what is done when it is opened."""
        found = self._opened.get((engine, zone))
        if found is None:
            found = self._opened[engine, zone] = self.enter_context(LABS[engine](zone))
            if prepare is not None:
                prepare(found)
        return found
