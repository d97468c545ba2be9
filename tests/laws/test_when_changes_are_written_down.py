"""A change log is begun for readers that may follow, and for none that is rebuilt faster than any change is followed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from lawful import Lawful

PARENT = "SELECT i, i % 3 AS g FROM raw.t"
READER = "SELECT g, count(*) AS n FROM a.parent GROUP BY g"


def _logs(project: Lawful) -> object:
    tables = "SELECT count(*) FROM duckdb_tables() WHERE schema_name = '_sqlflow' AND table_name LIKE 'changes of %'"
    return project.rows(tables)[0][0]


@pytest.mark.parametrize(
    ("directive", "seconds", "logs"),
    [("", 0.001, 0), ("", 3.0, 1), ("-- @incremental: required\n", 0.001, 1)],
    ids=["a fast reader", "a slow reader", "a reader that insists"],
)
def test_changes_are_written_down_for_those_who_may_follow(
    tmp_path: Path, directive: str, seconds: float, logs: int
) -> None:
    project = Lawful(tmp_path)
    project.begin(
        {
            "sources/raw.yml": "raw.t: {table: raw.t}\n",
            "models/a/parent.sql": PARENT,
            "models/a/reader.sql": directive + READER,
        }
    )
    project.sql("CREATE SCHEMA raw", "CREATE TABLE raw.t AS SELECT i FROM range(100) AS r(i)")
    assert project.build().code == 0
    _remember(project, seconds)
    project.sql("INSERT INTO raw.t VALUES (100)")
    assert project.build().code == 0
    assert _logs(project) == logs
    assert project.rows(f"(FROM a.reader EXCEPT ALL {READER}) UNION ALL ({READER} EXCEPT ALL FROM a.reader)") == []


def _remember(project: Lawful, seconds: float) -> None:
    """As if the last rebuild of the reader had taken so long."""
    ((record,),) = project.rows("SELECT record FROM _sqlflow.commits WHERE name = 'a.reader'")
    changed = json.dumps({**json.loads(str(record)), "costs": {"full": seconds}})
    project.sql(
        f"UPDATE _sqlflow.commits SET record = '{changed.replace(chr(39), chr(39) * 2)}' WHERE name = 'a.reader'"
    )
