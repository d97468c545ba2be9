"""Sequences of changes that once ended with a wrong table, as small as they get. See test_incremental_equals_full.py."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest
from every_engine import NewProject, on_every_engine
from lawful import Lawful


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    on_every_engine(metafunc, short=SHORT)


# Those that always run on PostgreSQL too.
SHORT = ("test_a_late_row_when_the_lookback_grows", "test_a_day_that_vanishes_after_a_full_refresh")


def _built(project: Lawful) -> None:
    built = project.build()
    assert built.code == 0, built.told
    assert project.planned() == []


def test_a_day_that_vanishes_after_another_input_changed_everything(tmp_path: Path, new_project: NewProject) -> None:
    project = new_project(tmp_path)
    project.begin(
        {
            "models/inc/days.sql": "-- @mode: incremental\n-- @time: day\n"
            "SELECT e.day, d.name FROM raw.events AS e LEFT JOIN seeds.dims AS d ON d.k = e.k",
            "seeds/dims.csv": "k,name\n1,a\n",
        }
    )
    project.sql(
        "CREATE SCHEMA raw",
        "CREATE TABLE raw.events AS SELECT DATE '2024-01-01' + i::INT AS day, 1 AS k FROM range(3) t(i)",
    )
    _built(project)
    project.write({"seeds/dims.csv": "k,name\n1,b\n"})
    _built(project)
    project.sql("DELETE FROM raw.events WHERE day = '2024-01-02'")
    _built(project)
    assert project.rows("SELECT day FROM inc.days ORDER BY 1") == [(dt.date(2024, 1, 1),), (dt.date(2024, 1, 3),)]


def test_a_day_that_vanishes_after_a_full_refresh(tmp_path: Path, new_project: NewProject) -> None:
    project = new_project(tmp_path)
    project.begin({"models/inc/days.sql": "-- @mode: incremental\n-- @time: day\nSELECT day FROM raw.events"})
    project.sql(
        "CREATE SCHEMA raw", "CREATE TABLE raw.events AS SELECT DATE '2024-01-01' + i::INT AS day FROM range(3) t(i)"
    )
    _built(project)
    assert project.build(full_refresh=True).code == 0
    project.sql("DELETE FROM raw.events WHERE day = '2024-01-02'")
    _built(project)
    assert project.rows("SELECT count(*) FROM inc.days") == [(2,)]


def test_a_child_that_did_not_care_about_a_version_of_its_parent_that_failed(
    tmp_path: Path, new_project: NewProject
) -> None:
    project = new_project(tmp_path)
    parent = "models/a/parent.sql"
    project.begin({parent: "SELECT k, v, k AS w FROM raw.events", "models/a/child.sql": "SELECT k, v FROM a.parent"})
    project.sql("CREATE SCHEMA raw", "CREATE TABLE raw.events AS SELECT 1 AS k, 1 AS v")
    _built(project)
    project.write({parent: "-- @checks: [{expression: 'k > 5'}]\nSELECT k, v, k + 1 AS w FROM raw.events"})
    assert project.build().code == 1
    project.write({parent: "SELECT k, v + 100 AS v, k AS w FROM raw.events"})
    _built(project)
    assert project.rows("FROM a.child") == [(1, 101)]


def test_a_row_without_cursor_does_not_beat_a_newer_one(tmp_path: Path, new_project: NewProject) -> None:
    project = new_project(tmp_path)
    project.begin({"models/a/m.sql": "-- @mode: merge\n-- @key: k\n-- @cursor: c\nSELECT k, c FROM raw.events"})
    project.sql(
        "CREATE SCHEMA raw",
        "CREATE TABLE raw.events (k INT, c INT)",
        "INSERT INTO raw.events VALUES (1, NULL), (1, 5), (2, 6)",
    )
    _built(project)
    project.sql("INSERT INTO raw.events VALUES (3, 10)")
    _built(project)
    assert project.rows("FROM a.m ORDER BY k") == [(1, 5), (2, 6), (3, 10)]


def test_a_late_row_when_the_lookback_grows(tmp_path: Path, new_project: NewProject) -> None:
    project = new_project(tmp_path)
    model = "-- @mode: append\n-- @cursor: c\n{}SELECT c FROM raw.events"
    project.begin({"models/a/m.sql": model.format("")})
    project.sql(
        "CREATE SCHEMA raw", "CREATE TABLE raw.events AS SELECT DATE '2024-01-01' + i::INT AS c FROM range(10) t(i)"
    )
    _built(project)
    project.write({"models/a/m.sql": model.format("-- @lookback: 5 days\n")})
    project.sql("INSERT INTO raw.events VALUES ('2023-01-01')")
    _built(project)
    assert project.rows("SELECT count(*) FROM a.m") == [(11,)]


def test_late_rows_that_are_not_added_are_told(tmp_path: Path, new_project: NewProject) -> None:
    """As many rows came late as others vanished: the number of rows says nothing."""
    project = new_project(tmp_path)
    project.begin({"models/a/m.sql": "-- @mode: append\n-- @cursor: c\nSELECT c FROM raw.events"})
    project.sql(
        "CREATE SCHEMA raw", "CREATE TABLE raw.events AS SELECT DATE '2024-01-01' + i::INT AS c FROM range(10) t(i)"
    )
    _built(project)
    project.sql("DELETE FROM raw.events WHERE c = '2024-01-01'", "INSERT INTO raw.events VALUES ('2023-01-01')")
    told = project.build().told
    assert "late" in told or project.rows("SELECT count(*) FROM a.m") == [(11,)]


def test_nothing_is_left_of_a_batched_build_that_was_given_up(tmp_path: Path, new_project: NewProject) -> None:
    """A batch fails, the edit is undone: the half-built table beside the real one goes away."""
    project = new_project(tmp_path)
    model = "-- @mode: incremental\n-- @time: day\n-- @batch: 2 days\nSELECT day, {} AS x FROM raw.events"
    project.begin({"models/inc/days.sql": model.format("1")})
    project.sql(
        "CREATE SCHEMA raw", "CREATE TABLE raw.events AS SELECT DATE '2024-01-01' + i::INT AS day FROM range(9) t(i)"
    )
    _built(project)
    before = project.rows("SELECT table_name FROM information_schema.tables WHERE table_schema = 'inc'")
    failing = "CASE WHEN day > DATE '2024-01-06' THEN CAST('no' || CAST(day AS VARCHAR) AS INTEGER) ELSE 2 END"
    project.write({"models/inc/days.sql": model.format(failing)})
    assert project.build().code == 1
    project.write({"models/inc/days.sql": model.format("1")})
    _built(project)
    assert project.rows("SELECT table_name FROM information_schema.tables WHERE table_schema = 'inc'") == before
