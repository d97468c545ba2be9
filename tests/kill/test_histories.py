"""A history by comparison, whose versions begin with the moment of a build: one that is killed, at any statement, and run again
leaves what one leaves that was not killed, but for the moment."""

from __future__ import annotations

from pathlib import Path

import pytest
from every_engine import NewProject
from every_mode import child
from lawful import Lawful

FILES = {
    "models/h/all.sql": "-- @mode: snapshot\n-- @key: id\nSELECT id, v FROM ext.t\n",
    "models/h/stones.sql": "-- @mode: snapshot\n-- @key: id\n-- @deleted_rows: tombstone\nSELECT id, v FROM ext.t\n",
    "models/h/sums.sql": "-- @strategy: delta\nSELECT v, count(*) AS n, count(valid_to) AS ended FROM h.all GROUP BY v\n",
}


def _history(project: Lawful) -> list[list[tuple[object, ...]]]:
    """The tables with the moments by their order, and whether a version has the moment of its build alone."""
    return project.rows_of(
        [
            "SELECT id, v, dense_rank() OVER (ORDER BY valid_from) AS begun, valid_to IS NULL AS open, is_current FROM h.all ORDER BY 1, 3",
            "SELECT id, v, dense_rank() OVER (ORDER BY valid_from) AS begun, is_current, is_deleted FROM h.stones ORDER BY 1, 3",
            "SELECT v, n, ended FROM h.sums ORDER BY 1",
        ]
    )


def _changed(project: Lawful) -> Lawful:
    project.begin(FILES)
    project.sql("CREATE SCHEMA ext", "CREATE TABLE ext.t AS SELECT i AS id, i % 3 AS v FROM range(20) t(i)")
    assert project.build().code == 0
    project.sql(
        "UPDATE ext.t SET v = 7 WHERE id < 3", "DELETE FROM ext.t WHERE id > 16", "INSERT INTO ext.t VALUES (99, 1)"
    )
    return project


@pytest.mark.parametrize("new_project", ["duckdb", pytest.param("postgres", marks=pytest.mark.long)], indirect=True)
def test_a_history_that_was_killed_while_it_grew_is_none_that_was_not(new_project: NewProject, tmp_path: Path) -> None:
    undisturbed = _changed(new_project(tmp_path / "undisturbed"))
    count = tmp_path / "count"
    process = child(undisturbed, "build", "--threads", "1", ALONE=1, COUNT=count)
    _, told = process.communicate(timeout=60)
    assert process.returncode == 0, told
    expected, statements = _history(undisturbed), int(count.read_text())
    killed = 0
    project = _changed(new_project(tmp_path / "killed"))
    for part in range(1, 6):  # each gets a little further
        process = child(project, "build", "--threads", "1", ALONE=1, KILL_AT=statements * part // 6)
        process.communicate(timeout=60)
        killed += process.returncode != 0
    assert killed >= 3
    assert project.build().code == 0
    assert project.planned() == []
    assert _history(project) == expected
