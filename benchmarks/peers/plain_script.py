"""What anyone would write who has only DuckDB. Run in a generated project, which has its order in plan.json.

plain_script.py run                  every table anew, in order
plain_script.py bind                 each query bound against empty tables of the columns found so far
plain_script.py replace NEW COLUMN   the only table: rows that meet NEW replace those of the same COLUMN
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb

Plan = dict[str, Any]


def main() -> None:
    job, *words = sys.argv[1:]
    plan: Plan = json.loads(Path("plan.json").read_text())
    with duckdb.connect(":memory:" if job == "bind" else "bench.duckdb") as database:
        for table in (*(plan["sources"] if job == "bind" else ()), *(name for name, _ in plan["tables"])):
            database.execute(f"create schema if not exists {table.split('.')[0]}")
        JOBS[job](database, plan, *words)


def run(database: duckdb.DuckDBPyConnection, plan: Plan) -> None:
    for table, path in plan["tables"]:
        database.execute(f"create or replace table {table} as\n{Path(path).read_text()}")


def bind(database: duckdb.DuckDBPyConnection, plan: Plan) -> None:
    # Empty tables: a view would be expanded again in every query above it, at ten times the cost.
    for table, columns in plan["sources"].items():
        database.execute(f"create table {table} ({', '.join(f'{name} {kind}' for name, kind in columns.items())})")
    for table, path in plan["tables"]:
        found = database.execute(f"describe {Path(path).read_text()}").fetchall()
        database.execute(f"create table {table} ({', '.join(f'{name} {kind}' for name, kind, *_ in found)})")


def replace(database: duckdb.DuckDBPyConnection, plan: Plan, new: str, column: str) -> None:
    ((table, path),) = plan["tables"]
    query = Path(path).read_text().replace("qualify", f"where {new.format(table=table)}\nqualify")
    database.execute("begin")
    database.execute(f"create temp table fresh as {query}")
    database.execute(f"delete from {table} where {column} in (select {column} from fresh)")
    database.execute(f"insert into {table} select * from fresh")
    database.execute("commit")


JOBS: dict[str, Callable[..., None]] = {"run": run, "bind": bind, "replace": replace}

if __name__ == "__main__":
    main()
