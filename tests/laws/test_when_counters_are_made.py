"""The counters of a grouped table are made by a rebuild that takes its time, after a change that could have been followed."""

from __future__ import annotations

import json
from pathlib import Path

from lawful import Lawful

# Slow on every machine: a rebuild of it is worth following.
QUERY = (
    "SELECT g, sum(length(repeat(md5(md5(md5(CAST(v AS VARCHAR)))), 4))) AS total, count(v) AS n FROM raw.t GROUP BY g"
)


def _more(project: Lawful, first: int, last: int) -> str:
    """Adds rows and builds; the strategy of the build, after the table was compared with its query."""
    project.sql(f"INSERT INTO raw.t SELECT i, i % 9, i FROM range({first}, {last}) AS r(i)")
    (task,) = [task for task in json.loads(project.plan())["tasks"] if task["table"] == "a.kept"]
    built = project.build()
    assert built.code == 0, built.told
    assert project.rows(f"(FROM a.kept EXCEPT ALL {QUERY}) UNION ALL ({QUERY} EXCEPT ALL FROM a.kept)") == []
    return str(task["strategy"])


def _counters(project: Lawful) -> object:
    tables = "SELECT count(*) FROM duckdb_tables() WHERE schema_name = '_sqlflow' AND table_name LIKE 'counters of %'"
    return project.rows(tables)[0][0]


def test_a_small_change_makes_them_and_a_large_one_does_not(tmp_path: Path) -> None:
    project = Lawful(tmp_path)
    project.begin(
        {"sources/raw.yml": "raw.t: {table: raw.t, cursor: id, append_only: true}\n", "models/a/kept.sql": QUERY}
    )
    project.sql("CREATE SCHEMA raw", "CREATE TABLE raw.t (id BIGINT, g INTEGER, v BIGINT)")
    assert _more(project, 0, 300_000) == "full"
    assert _counters(project) == 0
    assert _more(project, 300_000, 900_000) == "full"
    assert _counters(project) == 0, "so large a change would not be followed with them either"
    assert _more(project, 900_000, 900_100) == "full"
    assert _counters(project) == 1
    assert _more(project, 900_100, 900_200) == "delta"
    assert _more(project, 900_200, 2_000_000) == "full"
    assert _counters(project) == 0, "a table for which they are of no use"
    assert project.planned() == []
