"""A project on disk that is built in this process: its files, its database, its plan, and tables as sorted rows."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import duckdb
from opened import opened

from sqlflow.cli.build import Options, build

CONFIG = "name: lawful\ntimezone: {zone}\ntargets: {{dev: {{engine: duckdb, path: lawful.duckdb}}}}\n"

Contents = dict[str, tuple[list[tuple[str, str]], list[str]]]
"""Tables by name: columns with types, and rows."""


@dataclass(frozen=True, slots=True)
class Built:
    """How a build ended."""

    code: int
    told: str


@dataclass(frozen=True, slots=True)
class Lawful:
    """A project folder whose database is `lawful.duckdb`."""

    root: Path
    zone: str = "UTC"

    @property
    def database(self) -> Path:
        return self.root / "lawful.duckdb"

    def begin(self, files: Mapping[str, str]) -> None:
        self.write({"sqlflow.yml": CONFIG.format(zone=self.zone), **files})

    def write(self, files: Mapping[str, str]) -> None:
        for path, text in files.items():
            place = self.root / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(text)

    @contextmanager
    def connected(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A plain connection, closed afterwards so that a build gets the file."""
        with opened(self.database) as connection:
            connection.execute(f"SET TimeZone = '{self.zone}'")
            yield connection

    def sql(self, *statements: str) -> None:
        with self.connected() as connection:
            for statement in statements:
                connection.execute(statement)

    def own_sql(self, *statements: str) -> None:
        """Statements in the SQL of the engine, which are not translated."""
        self.sql(*statements)

    def rows(self, query: str) -> list[tuple[object, ...]]:
        with self.connected() as connection:
            return connection.execute(query).fetchall()

    def rows_of(self, queries: Iterable[str]) -> list[list[tuple[object, ...]]]:
        """The rows of each query, by one connection: opening one takes longer than a query."""
        with self.connected() as connection:
            return [connection.execute(query).fetchall() for query in queries]

    def build(self, *selection: str, full_refresh: bool = False, threads: int = 2) -> Built:
        told = io.StringIO()
        asked = Options(selection=selection, project=self.root, threads=threads, full_refresh=full_refresh, wait=0)
        with contextlib.redirect_stderr(told):
            code = build(asked)
        return Built(code, told.getvalue())

    def planned(self) -> list[str]:
        """The tasks of a build now: table and reason."""
        tasks = json.loads(self.plan())["tasks"]
        return [f"{task['table']}: {task['action']}: {task['reason']}" for task in tasks]

    def plan(self) -> str:
        """The plan of a build now, as JSON."""
        out, told = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(told):
            code = build(Options(project=self.root, dry_run=True, json=True, wait=0))
        assert code == 0, told.getvalue()
        return out.getvalue()

    def contents(self) -> Contents:
        """Every table and view but SQLFlow's own, and the deletions it remembers."""
        found: Contents = {}
        with self.connected() as connection:
            names = connection.execute(
                "SELECT format('{}.\"{}\"', table_schema, table_name) FROM information_schema.tables "
                "WHERE table_schema <> '_sqlflow' OR starts_with(table_name, 'deleted ') ORDER BY 1"
            ).fetchall()
            for (name,) in names:
                columns = [(row[0], row[1]) for row in connection.execute(f"DESCRIBE {name}").fetchall()]
                found[name] = (columns, sorted(repr(row) for row in connection.execute(f"FROM {name}").fetchall()))
        return found

    def environ(self) -> dict[str, str]:
        """What a process needs to be told to build this project."""
        return {}

    def copy(self, to: Path) -> Lawful:
        """The same project with the same tables in another folder."""
        shutil.copytree(self.root, to)
        return Lawful(to, self.zone)

    def drop(self) -> None:
        """Remove the folder and the tables."""
        shutil.rmtree(self.root, ignore_errors=True)

    def forget_state(self) -> None:
        shutil.rmtree(self.root / ".sqlflow", ignore_errors=True)

    def remove(self, path: str) -> None:
        os.unlink(self.root / path)
