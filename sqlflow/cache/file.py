"""The compile cache in a SQLite file. A bad or missing entry, or file, is never fatal: it is computed again."""

from __future__ import annotations

import sqlite3
from pathlib import Path

_MOST_ENTRIES = 200_000


def open_cache(path: Path, *, writing: bool) -> FileCache | None:
    """The cache at `path`; None when it cannot be used (or is not there and `writing` is False)."""
    if not writing and not path.exists():
        return None
    try:
        return FileCache(path, writing)
    except (sqlite3.Error, OSError):
        if not writing:
            return None
    try:
        path.unlink(missing_ok=True)
        return FileCache(path, writing)
    except (sqlite3.Error, OSError):
        return None


class FileCache:
    """Reads at once, writes when it is closed. Meets `core.cache.Cache`."""

    def __init__(self, path: Path, writing: bool) -> None:
        self._writing = writing
        self._new: dict[str, bytes] = {}
        if writing:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(path, isolation_level=None, timeout=5)
            self._connection.execute("PRAGMA journal_mode = DELETE")  # readers of a WAL make files beside it
            self._connection.execute("PRAGMA synchronous = OFF")
            self._connection.execute("CREATE TABLE IF NOT EXISTS facts (key TEXT PRIMARY KEY, value BLOB NOT NULL)")
        else:
            self._connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, isolation_level=None)
        self._connection.execute("SELECT count(*) FROM (SELECT 1 FROM facts LIMIT 1)").fetchone()

    def get(self, key: str) -> bytes | None:
        if key in self._new:
            return self._new[key]
        try:
            row = self._connection.execute("SELECT value FROM facts WHERE key = ?", (key,)).fetchone()
        except sqlite3.Error:
            return None
        return None if row is None else bytes(row[0])

    def put(self, key: str, value: bytes) -> None:
        self._new[key] = value

    def close(self) -> None:
        """Write what is new, drop the oldest entries beyond the bound, and close."""
        try:
            if self._writing and self._new:
                self._connection.execute("BEGIN IMMEDIATE")
                self._connection.executemany("INSERT OR REPLACE INTO facts VALUES (?, ?)", list(self._new.items()))
                self._connection.execute(
                    "DELETE FROM facts WHERE rowid <= (SELECT max(rowid) FROM facts) - ?", (_MOST_ENTRIES,)
                )
                self._connection.execute("COMMIT")
        except sqlite3.Error:
            return
        finally:
            self._connection.close()
