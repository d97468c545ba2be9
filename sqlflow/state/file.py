"""The run-state file: SQLite, one file for all targets of a project.

It is a copy of what the warehouse knows plus the history of runs. It can be deleted at any time.
"""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, LiteralString, TypeVar

from sqlflow.core.codec import decode, encode
from sqlflow.core.diagnostics import one_problem
from sqlflow.core.events import Emit, Told
from sqlflow.core.names import TableName
from sqlflow.core.records import RunRecord, TableRecord
from sqlflow.core.schema import Schema

T = TypeVar("T")

FORMAT = 2
_PATIENCE = 3.0  # seconds for somebody else who writes: the next build repairs what this one cannot write
_TABLES = """
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS tables (
    target TEXT NOT NULL, name TEXT NOT NULL, record TEXT NOT NULL, PRIMARY KEY (target, name)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS sources (
    target TEXT NOT NULL, name TEXT NOT NULL, columns TEXT NOT NULL, PRIMARY KEY (target, name)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS schemas (
    target TEXT NOT NULL, name TEXT NOT NULL, columns TEXT NOT NULL, run_id TEXT NOT NULL, at TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS runs (
    run_id TEXT PRIMARY KEY, target TEXT NOT NULL, started_at TEXT NOT NULL, record TEXT NOT NULL
);
"""


def open_state(path: Path, target: str, emit: Emit, *, writing: bool) -> FileStore | None:
    """The run-state file at `path`, made if it is not there; None when not `writing` and there is none.

    A file that is not readable is set aside and told, never fatal. An older format is upgraded after a copy.
    Raises ProjectError for a format that a newer SQLFlow wrote.
    """
    if not writing and not path.exists():
        return None
    if writing:
        path.parent.mkdir(parents=True, exist_ok=True)
    try:
        return FileStore(_open(path, writing, emit), target, emit)
    except sqlite3.DatabaseError as error:
        if "disk is full" in str(error):
            raise one_problem(
                "disk-full",
                f"no space is left on the disk for the run-state file `{path.name}`",
                hint="free some space",
            ) from error
        if isinstance(error, sqlite3.OperationalError) and "locked" in str(error):
            raise one_problem(
                "state-locked", f"the run-state file `{path.name}` is locked by another process", hint="try again"
            ) from error
        if not writing:
            emit(Told(f"the run-state file `{path.name}` cannot be read ({error}); going on without it"))
            return None
        aside = _set_aside(path)
        emit(
            Told(
                f"the run-state file was not readable ({error}); it is kept as `{aside.name}` and made anew "
                "from the warehouse"
            )
        )
        return FileStore(_open(path, writing, emit), target, emit)


def _open(path: Path, writing: bool, emit: Emit) -> sqlite3.Connection:
    if writing:
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=_PATIENCE)
    else:
        connection = sqlite3.connect(
            f"{path.resolve().as_uri()}?mode=ro", uri=True, isolation_level=None, timeout=_PATIENCE
        )
    try:
        _upgrade(connection, path, writing, emit)
    except BaseException:
        connection.close()
        raise
    return connection


def _upgrade(connection: sqlite3.Connection, path: Path, writing: bool, emit: Emit) -> None:
    found = connection.execute("SELECT name FROM sqlite_master WHERE name = 'meta'").fetchone()
    version = None
    if found:
        row = connection.execute("SELECT value FROM meta WHERE key = 'format'").fetchone()
        if row is None or not str(row[0]).isdigit():
            raise sqlite3.DatabaseError("it has no format number")
        version = int(row[0])
    elif connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
        raise sqlite3.DatabaseError("it is a database of another program")
    if version is not None and version > FORMAT:
        raise one_problem(
            "state-newer",
            f"the run-state file `{path.name}` has format {version}; this version of SQLFlow knows {FORMAT}",
            hint="upgrade SQLFlow, or delete the file: it is made anew from the warehouse",
        )
    if not writing:
        if version != FORMAT:
            raise sqlite3.DatabaseError(f"it has the older format {version}; a build upgrades it")
        connection.execute("SELECT count(*) FROM tables").fetchone()
        return
    if version is not None and version < FORMAT:
        copy = path.with_name(f"{path.name}.format-{version}")
        shutil.copyfile(path, copy)
        emit(Told(f"the run-state file was upgraded from format {version} to {FORMAT}; the old one is `{copy.name}`"))
    # No WAL: a reader of one makes files beside it, and a dry run must not. No waiting for the disk either: a killed
    # process loses nothing, and after a power failure the file is made anew from the warehouse.
    connection.execute("PRAGMA journal_mode = DELETE")
    connection.execute("PRAGMA synchronous = OFF")
    if version == FORMAT:
        connection.execute("SELECT count(*) FROM tables").fetchone()
        return
    connection.execute("BEGIN IMMEDIATE")
    if version is not None:
        # What an older version knew of the tables is read anew from the warehouse; only the history is kept.
        connection.execute("DROP TABLE IF EXISTS tables")
    for statement in _TABLES.split(";"):
        if statement.strip():
            connection.execute(statement)
    connection.execute("INSERT OR REPLACE INTO meta VALUES ('format', ?)", (str(FORMAT),))
    connection.execute("COMMIT")


def _set_aside(path: Path) -> Path:
    number = 1
    while (aside := path.with_name(f"{path.name}.corrupt-{number}")).exists():
        number += 1
    path.rename(aside)
    for suffix in ("-journal", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    return aside


class FileStore:
    """The records of one target in the run-state file. Meets `core.store.StateStore`."""

    def __init__(self, connection: sqlite3.Connection, target: str, emit: Emit) -> None:
        self._connection = connection
        self._target = target
        self._emit = emit
        self._told = False

    def load(self) -> Mapping[TableName, TableRecord]:
        records: dict[TableName, TableRecord] = {}
        for (text,) in self._read("SELECT record FROM tables WHERE target = ?", self._target):
            record = _decoded(text, TableRecord)  # one that cannot be read is in the warehouse, too, and is repaired
            if record is not None:
                records[record.table] = record
        return records

    def _read(self, query: LiteralString, *parameters: object) -> list[tuple[Any, ...]]:
        """The rows of a query; none when the file cannot be read now, which is told."""
        try:
            return self._connection.execute(query, parameters).fetchall()
        except sqlite3.DatabaseError as error:
            self._tell(f"the run-state file cannot be read ({error}); going on without it")
            return []

    def _tell(self, message: str) -> None:
        if not self._told:
            self._emit(Told(message))
        self._told = True

    def put(self, records: Iterable[TableRecord], gone: Iterable[TableName] = ()) -> None:
        def work() -> None:
            for name in gone:
                self._connection.execute("DELETE FROM tables WHERE target = ? AND name = ?", (self._target, _key(name)))
            for record in records:
                self._put_schema(record)
                self._connection.execute(
                    "INSERT OR REPLACE INTO tables VALUES (?, ?, ?)", (self._target, _key(record.table), encode(record))
                )

        self._write(work)

    def _write(self, work: Callable[[], None]) -> None:
        """Write all of it, or nothing. When it cannot be written, because the disk is full or somebody holds the file, that is
        told and no more: the tables are right without it, and the next build repairs the file from the warehouse."""
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            work()
            self._connection.execute("COMMIT")
        except sqlite3.DatabaseError as error:
            self._roll_back()
            self._tell(f"the run-state file cannot be written ({error}); the next build repairs it")
            self._connection.execute("PRAGMA busy_timeout = 0")  # who holds it has been waited for once
        except BaseException:
            self._roll_back()
            raise

    def _roll_back(self) -> None:
        if self._connection.in_transaction:  # SQLite has done it already on some errors
            with suppress(sqlite3.DatabaseError):
                self._connection.execute("ROLLBACK")

    def _put_schema(self, record: TableRecord) -> None:
        columns = encode(record.schema)
        last = self._connection.execute(
            "SELECT columns FROM schemas WHERE target = ? AND name = ? ORDER BY rowid DESC LIMIT 1",
            (self._target, _key(record.table)),
        ).fetchone()
        if last is None or last[0] != columns:
            self._connection.execute(
                "INSERT INTO schemas VALUES (?, ?, ?, ?, ?)",
                (self._target, _key(record.table), columns, record.run_id, record.committed_at.isoformat()),
            )

    def append(self, run: RunRecord) -> None:
        def work() -> None:
            self._connection.execute(
                "INSERT OR REPLACE INTO runs VALUES (?, ?, ?, ?)",
                (run.run_id, self._target, run.started_at.isoformat(), encode(run)),
            )

        self._write(work)

    def runs(self, limit: int) -> Sequence[RunRecord]:
        rows = self._read(
            "SELECT record FROM runs WHERE target = ? ORDER BY started_at DESC, rowid DESC LIMIT ?", self._target, limit
        )
        return [run for (text,) in rows if (run := _decoded(text, RunRecord)) is not None]

    def sources(self) -> Mapping[TableName, Schema]:
        rows = self._read("SELECT name, columns FROM sources WHERE target = ?", self._target)
        found = {TableName.parse(str(name)): _decoded(columns, Schema) for name, columns in rows}
        return {name: schema for name, schema in found.items() if schema is not None}

    def put_sources(self, schemas: Mapping[TableName, Schema]) -> None:
        def work() -> None:
            for name, schema in schemas.items():
                self._connection.execute(
                    "INSERT OR REPLACE INTO sources VALUES (?, ?, ?)", (self._target, str(name), encode(schema))
                )

        self._write(work)

    def schema_history(self, table: TableName) -> Sequence[tuple[str, str, Schema]]:
        """The columns that a table has had: time, run and columns, oldest first."""
        rows = self._read(
            "SELECT at, run_id, columns FROM schemas WHERE target = ? AND name = ? ORDER BY rowid",
            self._target,
            _key(table),
        )
        found = [(str(at), str(run_id), _decoded(columns, Schema)) for at, run_id, columns in rows]
        return [(at, run_id, schema) for at, run_id, schema in found if schema is not None]

    def close(self) -> None:
        self._connection.close()


def _decoded(text: object, kind: type[T]) -> T | None:
    """What was written, or None where somebody wrote something else."""
    try:
        return decode(str(text), kind)
    except ValueError:
        return None


def _key(name: TableName) -> str:
    return ".".join(name.key)
