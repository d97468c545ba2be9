"""Tables that become stale because time passes: the clock is handed over."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from markdown_cases import sqlflow

from sqlflow.build.examine import compile_project
from sqlflow.build.prepare import prepare_with_problems
from sqlflow.build.run import run
from sqlflow.build.standing import look_at
from sqlflow.cli.opening import new_run_id, opened, read_settings
from sqlflow.core.config import Request
from sqlflow.core.names import TableName

_MODEL = TableName("main", "m")


def _stale(root: Path, model: str, then: datetime, now: datetime, zone: str = "UTC") -> str:
    """Build a model at one time, and say why a build at another would make it again; nothing if it would not."""
    config = f"name: t\ntimezone: {zone}\ntargets: {{dev: {{engine: duckdb, path: t.duckdb}}}}\n"
    files = {"sqlflow.yml": config, "models/m.sql": model, "seeds/s/t.csv": "id,ts\n1,2024-01-01 00:00:00\n"}
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    assert sqlflow(root, "sqlflow build --exclude main.m").code == 0  # which makes the database
    _planned(root, then, built=True)
    return _planned(root, now, built=False)


def _planned(root: Path, moment: datetime, *, built: bool) -> str:
    with opened(read_settings(root, None, ()), lambda _: None, writing=True) as found:
        assert found.engine is not None
        assert found.store is not None
        standing = look_at(found.engine, found.config)
        checked = compile_project(found.workshop, standing.tables, {}, standing.records)
        run_id = new_run_id()

        def clock() -> datetime:
            return moment

        made = prepare_with_problems(found.workshop, checked, standing, found.store, Request(), run_id, clock)
        assert not made.plan.problems
        if built:
            run(made, found.engine, found.store, Request(), "test", "dev", run_id, lambda _: None, clock, found.config)
        return next((str(task.reason) for task in made.plan.tasks if task.table == _MODEL), "")


_NOON = datetime(2026, 3, 31, 12, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("condition", "later", "reason"),
    [
        ("ts < current_date", timedelta(hours=11), ""),
        ("ts < current_date", timedelta(hours=12), "the day has changed"),
        ("ts < today() - 7", timedelta(hours=12), "the day has changed"),
        ("ts < now()::DATE", timedelta(hours=12), "the day has changed"),
        ("ts < date_trunc('hour', now())", timedelta(minutes=29), ""),
        ("ts < date_trunc('hour', now())", timedelta(minutes=31), "the hour has changed"),
        ("ts < date_trunc('week', now())", timedelta(hours=12), ""),
        ("ts < date_trunc('week', now())", timedelta(days=6), "the week has changed"),
        ("ts < date_trunc('month', now())", timedelta(hours=11), ""),
        ("ts < date_trunc('month', current_date)", timedelta(hours=12), "the month has changed"),
        ("year(ts) < extract(year FROM now())", timedelta(days=200), ""),
        ("ts < now()", timedelta(0), "its rows depend on `now`, which may always differ"),
        ("ts < main.now()", timedelta(0), "its rows depend on `now`, which may always differ"),
        ("ts < current_localtimestamp()", timedelta(0), "its rows depend on `current_localtimestamp`, which may always differ"),
        ("TIMESTAMP '2020-01-01'.age() > INTERVAL 1 DAY", timedelta(hours=12), "the day has changed"),
        ("random() < 2", timedelta(days=1), ""),
        ("current_user = 'duckdb'", timedelta(0), "its rows depend on `current_user`, which may always differ"),
        ("EXISTS (FROM glob('*.nothing')) OR TRUE", timedelta(0), "its rows depend on `glob`, which may always differ"),
    ],
)  # fmt: skip
def test_a_table_whose_rows_depend_on_the_clock_is_stale_when_that_changes(
    tmp_path: Path, condition: str, later: timedelta, reason: str
) -> None:
    assert _stale(tmp_path, f"SELECT id FROM s.t WHERE {condition}", _NOON, _NOON + later) == reason


@pytest.mark.parametrize(
    "column",
    ["now()", "uuid()", "random()", "current_user", "version()", "current_setting('TimeZone')", "txid_current()",
     "current_date - ts::DATE", "current_localtimestamp()"],
)  # fmt: skip
def test_a_table_of_which_the_clock_only_fills_columns_is_never_stale(tmp_path: Path, column: str) -> None:
    assert _stale(tmp_path, f"SELECT id, {column} AS c FROM s.t", _NOON, _NOON + timedelta(days=400)) == ""


@pytest.mark.parametrize(
    ("rule", "query", "later", "reason"),
    [
        ("always", "SELECT id FROM s.t", timedelta(0), "`@clock: always`"),
        ("day", "SELECT id, current_date - ts::DATE AS age FROM s.t", timedelta(hours=11), ""),
        ("day", "SELECT id, current_date - ts::DATE AS age FROM s.t", timedelta(hours=12), "the day has changed"),
        ("month", "SELECT id FROM s.t WHERE ts < now()", timedelta(hours=11), ""),
        ("month", "SELECT id FROM s.t WHERE ts < now()", timedelta(hours=12), "the month has changed"),
        ("written", "SELECT id FROM s.t WHERE ts < now()", timedelta(days=99), ""),
    ],
)
def test_the_author_decides_when_a_table_is_stale(
    tmp_path: Path, rule: str, query: str, later: timedelta, reason: str
) -> None:
    assert _stale(tmp_path, f"-- @clock: {rule}\n{query}", _NOON, _NOON + later) == reason


@pytest.mark.parametrize(
    ("zone", "hours", "reason"),
    [
        ("Pacific/Auckland", 0.4, ""),
        ("Asia/Kolkata", 6.4, "the day has changed"),
        ("America/New_York", 12, ""),
        ("America/New_York", 16, "the day has changed"),
    ],
)
def test_days_begin_in_the_time_zone_of_the_project(tmp_path: Path, zone: str, hours: float, reason: str) -> None:
    then = datetime(2026, 3, 31, 12, 30, tzinfo=UTC)
    query = "SELECT id FROM s.t WHERE ts < current_date"
    assert _stale(tmp_path, query, then, then + timedelta(hours=hours), zone) == reason


def test_an_hour_begins_where_the_clock_of_the_zone_shows_a_full_one(tmp_path: Path) -> None:
    query = "SELECT id FROM s.t WHERE ts < date_trunc('hour', now())"
    then = datetime(2026, 3, 31, 12, 10, tzinfo=UTC)  # 17:40 in Kolkata
    assert _stale(tmp_path, query, then, then + timedelta(minutes=21), "Asia/Kolkata") == "the hour has changed"
