"""The compile cache: a folder with a SQLite file of facts by content, and per target the project as it was last.

A bad or missing entry, or file, is never fatal: it is computed again. Nothing in the folder names a place on this
machine, so that it can be restored elsewhere, and it may be deleted at any time.
"""

from __future__ import annotations

import contextlib
import sqlite3
import zlib
from collections.abc import Mapping
from pathlib import Path

from sqlflow.cache.known import read_known, write_known
from sqlflow.core.known import KnownProject
from sqlflow.core.source import SourceFile

MOST_BYTES = 512 * 1024 * 1024
_PATIENCE = 0.5  # seconds for somebody else who writes: what was found out is sooner found out again
_FORM = 5  # grows when entries have another form, or the same question another answer
_CREATE = """CREATE TABLE IF NOT EXISTS facts (
    key TEXT PRIMARY KEY, value BLOB NOT NULL, used INTEGER NOT NULL, size INTEGER NOT NULL) WITHOUT ROWID"""


def open_cache(folder: Path, target: str, *, writing: bool, most_bytes: int = MOST_BYTES) -> FileCache:
    """The cache in `folder`. Without `writing` no file is made or changed."""
    name = "".join(c if c.isalnum() or c in "-_" else "_" for c in target)
    return FileCache(folder / "facts.db", folder / f"known-{name}.bin", writing, most_bytes)


class FileCache:
    """Reads when it is asked, writes when it is closed. Meets `core.cache.Cache`."""

    def __init__(self, facts: Path, known: Path, writing: bool, most_bytes: int) -> None:
        self._facts = facts
        self._known = known
        self._writing = writing
        self._most_bytes = most_bytes
        self._new: dict[str, bytes] = {}
        self._found: set[str] = set()
        self._keep: KnownProject | None = None
        self._connection: sqlite3.Connection | None = None
        self._opened = False

    def get(self, key: str) -> bytes | None:
        if key in self._new:
            return self._new[key]
        connection = self._reading()
        if connection is None:
            return None
        try:
            row = connection.execute("SELECT value FROM facts WHERE key = ?", (key,)).fetchone()
        except sqlite3.Error:
            return None
        value = row[0] if row is not None else None
        if not isinstance(value, bytes) or value[:4] != _checksum(key, value[4:]):
            return None
        self._found.add(key)
        return value[4:]

    def put(self, key: str, value: bytes) -> None:
        self._new[key] = value

    def known(self, files: Mapping[str, tuple[str, SourceFile]]) -> KnownProject | None:
        return read_known(self._known, files)

    def keep(self, known: KnownProject) -> None:
        self._keep = known

    def close(self) -> None:
        """Write what is new, drop what was not used for the longest time beyond the bound, and close."""
        if self._connection is not None:
            self._connection.close()
        if not self._writing:
            return
        if self._new:
            # Somebody else may hold it, or it cannot be written: what was found out is found out again.
            with contextlib.suppress(sqlite3.Error, OSError):
                self._write()
        if self._keep is not None:
            with contextlib.suppress(OSError):
                write_known(self._known, self._keep)

    def _reading(self) -> sqlite3.Connection | None:
        """The file opened to be read, at the first question."""
        if not self._opened:
            self._opened = True
            try:
                uri = f"{self._facts.resolve().as_uri()}?mode=ro"
                self._connection = sqlite3.connect(uri, uri=True, isolation_level=None, timeout=_PATIENCE)
                self._connection.execute("PRAGMA user_version").fetchone()
            except (sqlite3.Error, OSError):
                self._connection = None
        return self._connection

    def _write(self) -> None:
        self._facts.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._insert()
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):
                raise
            self._facts.unlink(missing_ok=True)  # it is no database, or a broken one
            self._insert()

    def _insert(self) -> None:
        connection = sqlite3.connect(self._facts, isolation_level=None, timeout=_PATIENCE)
        try:
            connection.execute("PRAGMA journal_mode = DELETE")  # readers of a WAL make files beside it
            connection.execute("PRAGMA synchronous = OFF")
            connection.execute("BEGIN IMMEDIATE")
            form = connection.execute("PRAGMA user_version").fetchone()[0]
            if form != _FORM:
                connection.execute("DROP TABLE IF EXISTS facts")
                connection.execute(f"PRAGMA user_version = {_FORM}")
            connection.execute(_CREATE)
            newest = connection.execute("SELECT coalesce(max(used), 0) + 1 FROM facts").fetchone()[0]
            connection.executemany(
                "UPDATE facts SET used = ? WHERE key = ? AND used < ?",
                [(newest, key, newest - 1) for key in self._found],
            )
            connection.executemany(
                "INSERT OR REPLACE INTO facts VALUES (?, ?, ?, ?)",
                [
                    (key, _checksum(key, value) + value, newest, len(key) + len(value))
                    for key, value in self._new.items()
                ],
            )
            self._evict(connection)
            connection.execute("COMMIT")
        finally:
            connection.close()

    def _evict(self, connection: sqlite3.Connection) -> None:
        """Drop what was used least recently until the rest fits into three quarters of the bound."""
        held = connection.execute("SELECT coalesce(sum(size), 0) FROM facts").fetchone()[0]
        if held <= self._most_bytes:
            return
        for used, size in connection.execute(
            "SELECT used, sum(size) FROM facts GROUP BY used ORDER BY used"
        ).fetchall():
            connection.execute("DELETE FROM facts WHERE used = ?", (used,))
            held -= size
            if held <= self._most_bytes * 3 // 4:
                break


def _checksum(key: str, value: bytes) -> bytes:
    return zlib.crc32(value, zlib.crc32(key.encode())).to_bytes(4, "little")
