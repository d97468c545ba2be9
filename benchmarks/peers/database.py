"""What the harness asks of a database, run with the Python of a tool's environment: `database.py JOB`, JSON on stdin
and on stdout."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

import duckdb


def write_files(asked: dict[str, Any]) -> None:
    """Each query's rows as a Parquet file."""
    database = duckdb.connect()
    for query, path in asked["files"]:
        database.execute(f"COPY ({query}) TO '{path}' (FORMAT parquet)")


def make(asked: dict[str, Any]) -> None:
    """A database with a view for each source, in a form that all versions of DuckDB here can read and write."""
    database = duckdb.connect()
    database.execute(f"ATTACH '{asked['path']}' AS made (STORAGE_VERSION 'v1.0.0')")
    database.execute("BEGIN")
    database.execute("CREATE SCHEMA made.raw")
    for name, files in asked["views"]:
        database.execute(f"CREATE VIEW made.raw.{name} AS SELECT * FROM read_parquet('{files}')")
    database.execute("COMMIT")


def sums(asked: dict[str, Any]) -> dict[str, list[str] | None]:
    """Of each table the number of rows and sums that tell its rows from others; null if there is no such table."""
    database = duckdb.connect(asked["path"], read_only=True)
    found: dict[str, list[str] | None] = {}
    for name, table in asked["tables"]:
        query = f"SELECT count(*), sum(id), sum(amount), sum(metric_a), sum(bench_rev), sum(id * metric_a) FROM {table}"
        try:
            (row,) = database.execute(query).fetchall()
            found[name] = [str(value) for value in row]
        except duckdb.CatalogException:
            found[name] = None
    return found


def events(asked: dict[str, Any]) -> dict[str, Any]:
    """The table of events beside the newest version of each event in all files. No table is one without rows."""
    database = duckdb.connect(asked["path"], read_only=True)
    columns = "SELECT id, updated_at, amount FROM"
    newest = f"read_parquet({asked['files']}) QUALIFY row_number() OVER (PARTITION BY id ORDER BY updated_at DESC) = 1"
    database.execute(f"CREATE TEMP TABLE wanted AS {columns} {newest}")
    try:
        database.execute(f"CREATE TEMP VIEW found AS {columns} {asked['table']}")
    except duckdb.CatalogException:
        database.execute("CREATE TEMP VIEW found AS SELECT * FROM wanted WHERE false")

    def value(query: str) -> Any:
        return database.execute(f"SELECT {query}").fetchall()[0][0]

    missing, surplus = (
        value(f"count(*) FROM (FROM {left} EXCEPT ALL FROM {right})")
        for left, right in (("wanted", "found"), ("found", "wanted"))
    )
    return {
        "rows": value("count(*) FROM found"),
        "sum": str(value("sum(amount) FROM found")),
        "right": not missing and not surplus,
        "lost": value("count(*) FROM wanted ANTI JOIN found USING (id)"),
        "doubled": value("count(*) - count(DISTINCT id) FROM found"),
        "stale": value(
            "count(DISTINCT id) FROM found JOIN wanted USING (id) WHERE found.updated_at < wanted.updated_at"
        ),
    }


JOBS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "write_files": write_files, "make": make, "sums": sums, "events": events,
}  # fmt: skip

if __name__ == "__main__":
    print(json.dumps(JOBS[sys.argv[1]](json.load(sys.stdin))))
