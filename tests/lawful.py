"""A project on disk that is built in this process: its files, its database, its plan, and tables as sorted rows."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import duckdb

from sqlflow.cli.build import Asked, build

CONFIG = "name: lawful\ntimezone: {zone}\ntargets: {{dev: {{engine: duckdb, path: lawful.duckdb}}}}\n"


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
        with duckdb.connect(str(self.database)) as connection:
            connection.execute(f"SET TimeZone = '{self.zone}'")
            yield connection

    def sql(self, *statements: str) -> None:
        with self.connected() as connection:
            for statement in statements:
                connection.execute(statement)

    def rows(self, query: str) -> list[tuple[object, ...]]:
        with self.connected() as connection:
            return connection.execute(query).fetchall()

    def build(self, *selection: str, full_refresh: bool = False, threads: int = 2) -> Built:
        told = io.StringIO()
        asked = Asked(selection=selection, project=self.root, threads=threads, full_refresh=full_refresh, wait=0)
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
            code = build(Asked(project=self.root, dry_run=True, json=True, wait=0))
        assert code == 0, told.getvalue()
        return out.getvalue()

    def forget_state(self) -> None:
        shutil.rmtree(self.root / ".sqlflow", ignore_errors=True)

    def remove(self, path: str) -> None:
        os.unlink(self.root / path)
