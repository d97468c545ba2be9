"""The baseline: the SQL of a generated project, in order, in one process on DuckDB, and nothing else.

    python benchmarks/plain.py PROJECT DATABASE [--one-transaction]

One CREATE TABLE AS per model, each committed by itself, as anyone would write it; with `--one-transaction` all of it
is one commit. It knows no graph, no change, no check and no lock: what it costs is what DuckDB costs.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import duckdb


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else None)
    parser.add_argument("project", type=Path)
    parser.add_argument("database", type=Path)
    parser.add_argument("--one-transaction", action="store_true")
    asked = parser.parse_args()
    database = asked.database.resolve()
    os.chdir(asked.project)
    order = [line.split() for line in Path("plain/order.txt").read_text().splitlines()]
    with duckdb.connect(str(database)) as connection:
        if asked.one_transaction:
            connection.execute("BEGIN")
        for schema in ("raw", *dict.fromkeys(table.split(".")[0] for table, _ in order)):
            connection.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}")
        connection.execute(Path("plain/sources.sql").read_text())
        for table, path in order:
            connection.execute(f"CREATE OR REPLACE TABLE {table} AS\n{Path(path).read_text()}")
        if asked.one_transaction:
            connection.execute("COMMIT")


if __name__ == "__main__":
    main()
