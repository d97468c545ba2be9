"""Plain connections to DuckDB for tests. To make an instance of DuckDB takes longer than most of what tests do with one (it
registers thousands of functions), so there is one for all of them: files are attached to it, and let go again for a build.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import duckdb

_OF_DUCKDB = frozenset({"memory", "temp", "system", "main"})


class _Instance:
    """`attached`: the names that are taken, with the files that have them."""

    def __init__(self) -> None:
        self.connection = duckdb.connect()
        self.attached: dict[str, str] = dict.fromkeys(_OF_DUCKDB, "")


_instance: _Instance | None = None


def _shared() -> _Instance:
    global _instance
    if _instance is None:
        _instance = _Instance()
    return _instance


@contextlib.contextmanager
def opened(path: Path, *, read_only: bool = False) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection to a database file, as somebody else would open it. Nobody holds the file afterwards."""
    instance, name = _shared(), path.stem
    there = instance.attached.get(name.lower())
    if there == str(path):  # by somebody who has not closed it yet
        with contextlib.closing(instance.connection.cursor()) as another:
            another.execute(f"USE {_quoted(name)}")
            yield another
        return
    if there is not None:
        with duckdb.connect(str(path), read_only=read_only) as own:
            yield own
        return
    with _attached(instance, str(path), name, " (READ_ONLY)" if read_only else "") as connection:
        yield connection


@contextlib.contextmanager
def scratch() -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection to an empty database in memory. What is attached to it goes with it."""
    instance = _shared()
    name = next(
        name for number in range(len(instance.attached) + 1) if (name := f"scratch{number}") not in instance.attached
    )
    with _attached(instance, ":memory:", name, "") as connection:
        try:
            yield connection
        finally:
            there = connection.execute("SELECT database_name FROM duckdb_databases() WHERE NOT internal").fetchall()
            for (other,) in there:
                if other.lower() not in instance.attached:
                    connection.execute(f'DETACH "{other}"')


@contextlib.contextmanager
def _attached(instance: _Instance, place: str, name: str, options: str) -> Iterator[duckdb.DuckDBPyConnection]:
    global _instance
    connection = instance.connection.cursor()
    quoted, literal = _quoted(name), place.replace("'", "''")
    instance.attached[name.lower()] = place
    try:
        connection.execute(f"ATTACH '{literal}' AS {quoted}{options}")
        try:
            connection.execute(f"USE {quoted}")
            yield connection
        finally:
            with contextlib.suppress(duckdb.Error):
                connection.rollback()
            connection.execute("USE memory")
            connection.execute(f"DETACH {quoted}")
    except duckdb.FatalException:  # an instance that is broken lets nobody in any more
        _instance = None
        raise
    finally:
        del instance.attached[name.lower()]
        connection.close()


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
