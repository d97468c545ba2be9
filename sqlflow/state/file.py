"""The run-state file: SQLite, one file for all targets of a project.

It is a copy of what the warehouse knows plus the history of runs. It can be deleted at any time.
"""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from sqlflow.core.codec import decode, encode
from sqlflow.core.diagnostics import one_problem
from sqlflow.core.events import Emit, Told
from sqlflow.core.names import TableName
from sqlflow.core.records import RunRecord, TableRecord
from sqlflow.core.schema import Schema

FORMAT = 1
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
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=10)
    else:
        connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, isolation_level=None, timeout=10)
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
        self._unwritten = False

    def load(self) -> Mapping[TableName, TableRecord]:
        rows = self._connection.execute("SELECT record FROM tables WHERE target = ?", (self._target,))
        records: dict[TableName, TableRecord] = {}
        for (text,) in rows:
            try:
                record = decode(text, TableRecord)
            except ValueError:
                continue  # the warehouse has it too, and repairs this copy
            records[record.table] = record
        return records

    def put(self, records: Iterable[TableRecord], gone: Iterable[TableName] = ()) -> None:
        with self._transaction():
            for name in gone:
                self._connection.execute("DELETE FROM tables WHERE target = ? AND name = ?", (self._target, _key(name)))
            for record in records:
                self._put_schema(record)
                self._connection.execute(
                    "INSERT OR REPLACE INTO tables VALUES (?, ?, ?)", (self._target, _key(record.table), encode(record))
                )

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """What is written within is written whole or not at all. When it cannot be written, such as on a full disk, that is
        told and no more: the tables are right without it, and the next build repairs the file from the warehouse."""
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            yield
            self._connection.execute("COMMIT")
        except sqlite3.OperationalError as error:
            self._roll_back()
            if not self._unwritten:
                self._emit(Told(f"the run-state file cannot be written ({error}); it lacks what this build did"))
            self._unwritten = True
        except BaseException:
            self._roll_back()
            raise

    def _roll_back(self) -> None:
        if self._connection.in_transaction:  # SQLite has done it already on some errors
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
        with self._transaction():
            self._connection.execute(
                "INSERT OR REPLACE INTO runs VALUES (?, ?, ?, ?)",
                (run.run_id, self._target, run.started_at.isoformat(), encode(run)),
            )

    def runs(self, limit: int) -> Sequence[RunRecord]:
        rows = self._connection.execute(
            "SELECT record FROM runs WHERE target = ? ORDER BY started_at DESC, rowid DESC LIMIT ?",
            (self._target, limit),
        )
        return [decode(text, RunRecord) for (text,) in rows]

    def sources(self) -> Mapping[TableName, Schema]:
        rows = self._connection.execute("SELECT name, columns FROM sources WHERE target = ?", (self._target,))
        return {TableName.parse(name): decode(columns, Schema) for name, columns in rows}

    def put_sources(self, schemas: Mapping[TableName, Schema]) -> None:
        with self._transaction():
            for name, schema in schemas.items():
                self._connection.execute(
                    "INSERT OR REPLACE INTO sources VALUES (?, ?, ?)", (self._target, str(name), encode(schema))
                )

    def schema_history(self, table: TableName) -> Sequence[tuple[str, str, Schema]]:
        """The columns that a table has had: time, run and columns, oldest first."""
        rows = self._connection.execute(
            "SELECT at, run_id, columns FROM schemas WHERE target = ? AND name = ? ORDER BY rowid",
            (self._target, _key(table)),
        )
        return [(at, run_id, decode(columns, Schema)) for at, run_id, columns in rows]

    def close(self) -> None:
        self._connection.close()


def _key(name: TableName) -> str:
    return ".".join(name.key)
