"""Files as sources of a server: their rows are copied into a table first, and only then is it known which intervals of the
models that read them are concerned."""

from __future__ import annotations

import contextlib
import io
import json
import os
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import duckdb
import pytest
from lawful import Built
from on_postgres import LawfulPostgres

from sqlflow.cli.build import Options, build
from sqlflow.core.engine import EngineError

SOURCE = "raw.t: {path: 'data/*.parquet'}\n"
DAYS = "-- @mode: incremental\n-- @time: day\nSELECT day, count(*) AS n, sum(v) AS total FROM raw.t GROUP BY day\n"
WEEKS = (
    "-- @mode: incremental\n-- @time: week\n-- @grain: week\n-- @full_refresh: never\n"
    "SELECT CAST(date_trunc('week', day) AS DATE) AS week, sum(v) AS total FROM raw.t GROUP BY 1\n"
)


@pytest.fixture
def project(tmp_path: Path) -> Iterator[LawfulPostgres]:
    made = LawfulPostgres(tmp_path / "project")
    made.begin(
        {
            "sources/raw.yml": SOURCE,
            "models/m/days.sql": DAYS,
            "models/m/weeks.sql": WEEKS,
            "models/m/all.sql": "SELECT sum(total) AS total FROM m.days\n",
        }
    )
    (made.root / "data").mkdir()
    for number in range(4):
        fill(made, number)
    yield made
    made.drop()


def fill(project: LawfulPostgres, week: int, more: int = 0) -> None:
    """The file of a week from Monday on, `more` rows on its Wednesday."""
    path = project.root / "data" / f"{week}.parquet"
    duckdb.execute(
        f"COPY (SELECT DATE '2024-01-01' + {week * 7} + CAST(i AS INTEGER) AS day, i AS v FROM range(7) r(i) UNION ALL "
        f"SELECT DATE '2024-01-03' + {week * 7}, 100 FROM range({more})) TO '{path}'"
    )


def same(project: LawfulPostgres) -> None:
    for name, query in (("days", DAYS), ("weeks", WEEKS)):
        text = query.partition("SELECT")[2].replace("raw.t", f"read_parquet('{project.root}/data/*.parquet')")
        expected = duckdb.execute(f"SELECT {text}").fetchall()
        assert sorted(project.rows(f"SELECT * FROM m.{name}")) == sorted(expected)
    assert project.planned() == []


def intervals(project: LawfulPostgres) -> dict[str, str]:
    """Build, and which intervals each task was for, from the reasons of the run."""
    os.environ.update(project.environ())
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(io.StringIO()):
        assert build(Options(project=project.root, json=True, wait=0)) == 0, out.getvalue()
    events = [json.loads(line) for line in out.getvalue().splitlines()]
    started = {event["task"] for event in events if event["event"] == "task_started"}
    (changed,) = [event for event in events if event["event"] == "plan_changed"] or [None]
    if changed is not None:
        assert started == set(changed["tasks"])
    return {event["table"]: event["reason"] for event in events if event["event"] == "task_finished"}


def built(project: LawfulPostgres) -> Built:
    ended = project.build()
    assert ended.code == 0, ended.told
    return ended


def test_only_the_intervals_of_new_and_changed_files_are_computed(project: LawfulPostgres) -> None:
    told = built(project).told
    assert [line.split()[0] for line in told.splitlines()[:-1]] == ["1/4", "2/4", "3/4", "4/4"]
    same(project)
    fill(project, 4)
    reasons = intervals(project)
    assert reasons["m.days"] == "`raw.t` changed: 2024-01-29 .. 2024-02-05"
    assert reasons["m.weeks"] == "`raw.t` changed: 2024-01-29 .. 2024-02-05"
    same(project)
    fill(project, 1, more=3)
    reasons = intervals(project)
    assert reasons["m.days"] == "`raw.t` changed: 2024-01-10 .. 2024-01-11"
    assert reasons["m.weeks"] == "`raw.t` changed: 2024-01-08 .. 2024-01-15"
    same(project)
    (project.root / "data" / "2.parquet").unlink()
    assert intervals(project)["m.days"] == "`raw.t` changed: 2024-01-15 .. 2024-01-22"
    same(project)


def test_a_dry_run_says_that_the_intervals_will_be_known_later(project: LawfulPostgres) -> None:
    built(project)
    fill(project, 4)
    tasks = {task["table"]: task for task in json.loads(project.plan())["tasks"]}
    assert tasks["raw.t"]["action"] == "load files"
    assert "which intervals, will be known when it is loaded" in tasks["m.days"]["reason"]["detail"]
    assert project.planned() != []


def test_files_that_came_with_nothing_new_leave_the_models_alone(project: LawfulPostgres) -> None:
    built(project)
    duckdb.execute(f"COPY (SELECT DATE '2024-01-01' AS day, 1 AS v LIMIT 0) TO '{project.root}/data/9.parquet'")
    assert set(intervals(project)) == {"raw.t"}
    same(project)


def test_a_file_that_cannot_be_loaded_stops_only_its_readers(project: LawfulPostgres) -> None:
    project.write({"models/m/other.sql": "SELECT 1 AS one\n"})
    built(project)
    fill(project, 4)
    broken = project.root / "data" / "5.parquet"
    duckdb.execute(f"COPY (SELECT DATE '2024-02-05' AS day, 1 AS v) TO '{broken}'")
    whole = broken.read_bytes()
    footer = len(whole) - 8 - int.from_bytes(whole[-8:-4], "little")  # which says what columns there are
    broken.write_bytes(whole[:4] + b"\0" * (footer - 4) + whole[footer:])
    project.write({"models/m/other.sql": "SELECT 2 AS one\n"})
    ended = project.build()
    assert ended.code == 1
    broken.write_bytes(whole)
    built(project)
    assert project.rows("SELECT one FROM m.other") == [(2,)]
    same(project)


def test_a_file_that_must_not_go_and_is_gone_stops_the_build(project: LawfulPostgres) -> None:
    project.write({"sources/raw.yml": "raw.t: {path: 'data/*.parquet', on_missing_file: fail}\n"})
    built(project)
    before = project.rows("SELECT * FROM m.days ORDER BY day")
    gone = project.root / "data" / "2.parquet"
    kept = gone.read_bytes()
    gone.unlink()
    ended = project.build()
    assert ended.code == 1
    assert "error[missing-file]: `raw.t`: 1 file gone: `data/2.parquet`" in ended.told
    assert project.rows("SELECT * FROM m.days ORDER BY day") == before
    gone.write_bytes(kept)
    built(project)
    gone.unlink()
    project.write({"sources/raw.yml": "raw.t: {path: 'data/*.parquet', on_missing_file: warn}\n"})
    built(project)
    same(project)


def test_a_line_that_cannot_be_read_is_told_with_its_file(tmp_path: Path) -> None:
    project = LawfulPostgres(tmp_path / "project")
    project.begin(
        {
            "sources/raw.yml": "raw.t: {path: 'data/*.csv', columns: {day: DATE, v: INTEGER}}\n",
            "models/m/all.sql": "SELECT day, v FROM raw.t\n",
            "data/a.csv": "day,v\n2024-01-01,5\n",
        }
    )
    try:
        built(project)
        project.write({"data/b.csv": "day,v\n2024-01-02,6\nnever,7\n"})
        ended = project.build()
        assert ended.code == 1
        assert "`never` in the column `day`, line 3 of `data/b.csv`, is no DATE" in ended.told
        assert "--> sources/raw.yml:1:" in ended.told
        assert project.rows("SELECT v FROM m.all") == [(5,)]
    finally:
        project.drop()


def test_a_load_that_fails_does_not_keep_others_from_being_built(project: LawfulPostgres) -> None:
    project.write({"models/m/other.sql": "SELECT 1 AS one\n"})
    built(project)
    fill(project, 4)
    project.write({"models/m/other.sql": "SELECT 2 AS one\n"})
    project.sql("ALTER TABLE raw.t ADD CONSTRAINT early CHECK (day < '2024-01-29')")
    ended = project.build()
    assert ended.code == 1
    assert "skipped" in ended.told
    assert project.rows("SELECT one FROM m.other") == [(2,)]
    project.sql("ALTER TABLE raw.t DROP CONSTRAINT early")
    built(project)
    same(project)


@pytest.mark.parametrize("fail_fast", [False, True])
def test_one_file_source_fails_and_another_does_not(project: LawfulPostgres, fail_fast: bool) -> None:
    """A table that must never be rebuilt is not, because the files of some other table could not be loaded."""
    project.write(
        {
            "sources/raw.yml": SOURCE + "raw.u: {path: 'other/*.csv', columns: {day: DATE, v: INTEGER}}\n",
            "other/a.csv": "day,v\n2024-01-01,1\n",
            "models/m/other.sql": "-- @mode: incremental\n-- @time: day\nSELECT day, v FROM raw.u\n",
        }
    )
    built(project)
    project.sql("UPDATE m.weeks SET total = -1 WHERE week = '2024-01-01'")  # what only a rebuild would lose
    fill(project, 4)
    project.write({"other/b.csv": "day,v\nnever,1\n"})
    os.environ.update(project.environ())
    told = io.StringIO()
    with contextlib.redirect_stderr(told):
        assert build(Options(project=project.root, wait=0, fail_fast=fail_fast)) == 1, told.getvalue()
    assert "is no DATE" in told.getvalue()
    assert told.getvalue().count("failed     raw.u") == 1
    project.write({"other/b.csv": "day,v\n2024-01-02,1\n"})
    built(project)
    assert project.rows("SELECT total FROM m.weeks WHERE week = '2024-01-01'") == [(-1,)]
    assert project.rows("SELECT count(*) FROM m.weeks") == [(5,)]
    assert project.rows("SELECT count(*) FROM m.other") == [(2,)]
    assert project.planned() == []


class _Meanwhile(io.StringIO):
    """Standard output that does something when it is told that the load of a source has ended."""

    def __init__(self, table: str, action: Callable[[], None]) -> None:
        super().__init__()
        self._table, self._action = table, action

    def write(self, text: str) -> int:
        event = json.loads(text) if text.strip() else {}
        if event.get("event") == "task_finished" and event["table"] == self._table and self._action is not None:
            self._action()
        return super().write(text)


def test_a_file_that_changes_again_after_its_load_is_for_the_next_build(project: LawfulPostgres) -> None:
    """Otherwise the intervals would not be known in this build, and a table that must not be rebuilt would be."""
    built(project)
    project.sql("UPDATE m.weeks SET total = -1 WHERE week = '2024-01-01'")
    fill(project, 4)
    os.environ.update(project.environ())
    out = _Meanwhile("raw.t", lambda: fill(project, 1, more=1))
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(io.StringIO()):
        assert build(Options(project=project.root, wait=0, json=True)) == 0, out.getvalue()
    assert project.rows("SELECT count(*) FROM m.weeks") == [(5,)]
    assert project.rows("SELECT total FROM m.weeks WHERE week = '2024-01-01'") == [(-1,)]
    assert project.rows("SELECT count(*) FROM raw.t WHERE v = 100") == [(0,)], "the test came too late"
    built(project)
    assert project.rows("SELECT count(*) FROM raw.t WHERE v = 100") == [(1,)]
    assert project.rows("SELECT total FROM m.weeks WHERE week = '2024-01-01'") == [(-1,)]
    assert project.rows("SELECT total FROM m.weeks WHERE week = '2024-01-08'") == [(121,)]
    assert project.planned() == []


def _runs(project: LawfulPostgres) -> int:
    with contextlib.closing(sqlite3.connect(project.root / ".sqlflow/state.db")) as state:
        return int(state.execute("SELECT count(*) FROM runs").fetchone()[0])


def test_a_build_that_cannot_go_on_after_its_loads_is_in_the_run_history(project: LawfulPostgres) -> None:
    built(project)
    before = _runs(project)
    fill(project, 4)
    os.environ.update(project.environ())
    others = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    out = _Meanwhile("raw.t", lambda: project.sql(f"SELECT pg_terminate_backend(pid) {others}"))
    quiet = contextlib.redirect_stderr(io.StringIO())
    with contextlib.redirect_stdout(out), quiet, pytest.raises(EngineError, match="connection to the server was lost"):
        build(Options(project=project.root, wait=0, json=True))
    assert _runs(project) == before + 1
    built(project)
    same(project)


def test_models_that_fail_after_the_load_know_their_intervals_the_next_time(project: LawfulPostgres) -> None:
    built(project)
    fill(project, 4)
    fill(project, 0, more=1)
    project.sql("ALTER TABLE m.days ADD CONSTRAINT early CHECK (day < '2024-01-29')")
    assert project.build().code == 1
    project.sql("ALTER TABLE m.days DROP CONSTRAINT early")
    reasons = intervals(project)
    assert "raw.t" not in reasons
    assert reasons["m.days"] == "`raw.t` changed: 2 intervals"
    same(project)
