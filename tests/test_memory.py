"""Builds with little memory or disk: they end with the same tables, or say what is missing and leave the tables alone."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from every_mode import child
from lawful import Lawful

from sqlflow.engines import duckdb as adapter

ROWS = 400_000
EVENTS = f"SELECT i AS id, 'note ' || hash(i) AS note FROM range({ROWS}) AS ids(i)"
GROUPED = "SELECT note, count(*) AS n, max(id) AS latest FROM events GROUP BY note"
LISTED = "SELECT list(repeat(note, 4)) AS notes FROM events"


def _project(root: Path, options: str, **models: str) -> Lawful:
    made = Lawful(root)
    made.begin({f"models/{name}.sql": query for name, query in models.items()})
    _target(made, options)
    return made


def _target(made: Lawful, options: str) -> None:
    made.write({"sqlflow.yml": f"name: lawful\ntargets: {{dev: {{engine: duckdb, path: lawful.duckdb, {options}}}}}\n"})


def test_the_options_of_a_target_are_in_force(tmp_path: Path) -> None:
    settings = ("memory_limit", "threads", "temp_directory", "max_temp_directory_size")
    query = "SELECT " + ", ".join(f"current_setting('{name}') AS {name}" for name in settings)
    made = _project(
        tmp_path,
        "memory_limit: 123MiB, threads: 3, temp_directory: spill/here, max_temp_directory_size: 2GiB",
        settings=query,
    )
    assert made.build().code == 0
    assert made.rows("FROM settings") == [("123.0 MiB", 3, str(tmp_path / "spill/here"), "2.0 GiB")]
    assert (tmp_path / "spill/here").is_dir()


def test_without_a_limit_a_build_takes_no_more_than_it_should(tmp_path: Path) -> None:
    made = _project(tmp_path, "threads: 2", settings="SELECT current_setting('memory_limit') AS memory")
    assert made.build().code == 0
    assert made.rows("FROM settings") == [("1.3 GiB",)]


def test_what_does_not_fit_into_memory_is_moved_to_disk(tmp_path: Path) -> None:
    made = _project(tmp_path, "memory_limit: 30MB, temp_directory: spill", events=EVENTS, grouped=GROUPED)
    built = made.build()
    assert built.code == 0, built.told
    assert made.rows("SELECT count(*), sum(n), sum(latest) FROM grouped") == [(ROWS, ROWS, ROWS * (ROWS - 1) // 2)]
    assert list((tmp_path / "spill").iterdir()) == []
    assert made.planned() == []


def test_what_cannot_be_moved_to_disk_is_told_and_the_table_stays(tmp_path: Path) -> None:
    made = _project(
        tmp_path,
        "memory_limit: 30MB",
        events="SELECT 1 AS id, 'one' AS note",
        listed=LISTED,
        ids="SELECT id FROM events",
    )
    assert made.build().code == 0
    made.write({"models/events.sql": EVENTS})
    built = made.build()
    assert built.code == 1
    assert "error[out-of-memory]: there is not enough memory: 30 MB are allowed" in built.told
    assert "raise `memory_limit`" in built.told
    assert "--> models/listed.sql:1:1" in built.told
    assert made.rows("SELECT notes FROM listed") == [(["oneoneoneone"],)]
    assert made.rows("SELECT count(*) FROM ids") == [(ROWS,)], built.told
    _target(made, "memory_limit: 2GB")
    built = made.build()
    assert built.code == 0, built.told
    assert made.rows("SELECT len(notes) FROM listed") == [(ROWS,)]
    assert made.planned() == []


def test_a_full_temporary_folder_is_told(tmp_path: Path) -> None:
    made = _project(tmp_path, "memory_limit: 30MB, max_temp_directory_size: 5MB", events=EVENTS, grouped=GROUPED)
    built = made.build()
    assert built.code == 1
    assert "error[out-of-memory]: there is not enough space on disk for what does not fit into memory" in built.told
    assert "raise `max_temp_directory_size`" in built.told
    _target(made, "memory_limit: 30MB")
    assert made.build("state:failed+").code == 0
    assert made.rows("SELECT count(*) FROM grouped") == [(ROWS,)]


def test_models_that_do_not_fit_side_by_side_run_one_after_the_other(tmp_path: Path) -> None:
    many = {f"grouped_{number}": GROUPED for number in range(3)}
    made = _project(tmp_path, "memory_limit: 30MB, threads: 2", events=EVENTS, **many)
    built = made.build(threads=4)
    assert built.code == 0, built.told
    for name in many:
        assert made.rows(f"SELECT count(*) FROM {name}") == [(ROWS,)]


def test_a_limit_that_nobody_asked_for_gives_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adapter, "_MEMORY", 30_000_000)
    monkeypatch.setattr(adapter, "_MEMORY_PER_THREAD", 0)
    made = _project(tmp_path, "threads: 2", events=EVENTS, listed=LISTED, grouped=GROUPED)
    built = made.build()
    assert built.code == 0, built.told
    assert built.told.count("30 MB of memory were not enough") == 1
    assert made.rows("SELECT len(notes) FROM listed") == [(ROWS,)]
    assert made.planned() == []


def test_a_source_that_needs_more_memory_than_the_limit_is_looked_at_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is asked before the plan is made is no task that could be tried again."""
    monkeypatch.setattr(adapter, "_MEMORY", 30_000_000)
    monkeypatch.setattr(adapter, "_MEMORY_PER_THREAD", 0)
    made = _project(tmp_path, "threads: 2", counted="SELECT count(*) AS n FROM ext.listed")
    made.sql("CREATE SCHEMA ext", f"CREATE VIEW ext.listed AS SELECT unnest(list(note)) AS note FROM ({EVENTS})")
    built = made.build()
    assert built.code == 0, built.told
    assert made.rows("FROM counted") == [(ROWS,)]


def test_a_temporary_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    made = _project(tmp_path, "temp_directory: taken/here", one="SELECT 1 AS x")
    made.sql("SELECT 1")
    ran = _sqlflow(tmp_path, "build")
    assert ran.returncode == 1
    assert "error[database-error]: `temp_directory` of the target `dev` cannot be made: Not a directory" in ran.stderr


def test_a_full_disk_is_told_and_the_tables_stay(tmp_path: Path) -> None:
    made = _project(tmp_path, "threads: 2", events="SELECT 1 AS id, 'one' AS note")
    assert made.build().code == 0
    made.write({"models/events.sql": EVENTS})
    ran = _sqlflow(tmp_path, "build", most_bytes=2_500_000)
    assert ran.returncode == 1, ran.stderr
    assert "error[disk-full]: " in ran.stderr
    assert "no space is left on the disk of the database" in ran.stderr
    assert "Traceback" not in ran.stderr
    assert made.rows("FROM events") == [(1, "one")]
    built = made.build()
    assert built.code == 0, built.told
    assert made.rows("SELECT count(*) FROM events") == [(ROWS,)]


@pytest.mark.parametrize("there", [False, True])
def test_a_project_for_which_there_is_no_space_is_not_begun(tmp_path: Path, there: bool) -> None:
    if there:
        (tmp_path / "shop").mkdir()
    ran = _sqlflow(tmp_path, "init", "shop", most_bytes=100_000)
    assert ran.returncode == 1, ran.stderr
    assert ran.stderr.startswith("error[disk-full]: `shop/"), ran.stderr
    assert ran.stderr.count("no space is left on the disk") == 1
    assert sorted(tmp_path.rglob("*")) == ([tmp_path / "shop"] if there else [])
    assert _sqlflow(tmp_path, "init", "shop").returncode == 0


def test_a_run_state_file_that_cannot_be_written_costs_no_table(tmp_path: Path) -> None:
    made = _project(tmp_path, "threads: 2", one="SELECT 1 AS x")
    assert made.build().code == 0
    made.write({"models/one.sql": "SELECT 2 AS x, " + ", ".join(f"{i} AS a_column_{i}" for i in range(400))})
    size = max((tmp_path / ".sqlflow/state.db").stat().st_size, made.database.stat().st_size)
    ran = _sqlflow(tmp_path, "build", most_bytes=size + 2_000_000, state_bytes=True)
    assert ran.returncode == 0, ran.stderr
    assert ran.stderr.count("the run-state file cannot be written") == 1
    assert made.rows("SELECT x FROM one") == [(2,)]
    built = made.build()
    assert built.code == 0
    assert "by a build that the run-state file had not seen" in built.told


def _sqlflow(
    root: Path, *words: str, most_bytes: int | None = None, state_bytes: bool = False
) -> subprocess.CompletedProcess[str]:
    """A command in a child process whose files cannot grow beyond `most_bytes`; SQLite's, with `state_bytes`, not at all."""
    begin = "import resource, sqlite3, sys; from sqlflow.cli.app import main\n"
    if most_bytes is not None:
        begin += f"resource.setrlimit(resource.RLIMIT_FSIZE, ({most_bytes}, {most_bytes}))\n"
    if state_bytes:
        begin += _NO_PAGES
    begin += f"sys.argv = {['sqlflow', *words]!r}\nmain()\n"
    return subprocess.run([sys.executable, "-c", begin], cwd=root, capture_output=True, text=True, timeout=120)


# SQLite's own way to say that a file is full: no more pages than it has.
_NO_PAGES = """
from sqlflow.state import file
opened = file._open
def full(path, writing, emit):
    connection = opened(path, writing, emit)
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    connection.execute(f"PRAGMA max_page_count = {pages}")
    return connection
file._open = full
"""


DAILY = "SELECT day, note, count(*) AS n, max(id) AS latest FROM ext.events GROUP BY day, note"
IN_BATCHES = "-- @mode: incremental\n-- @time: day\n" + DAILY


def _daily(root: Path, options: str, model: str) -> Lawful:
    """A project of one incremental model over fifty days of 8,000 rows."""
    made = _project(root, options, days=model)
    made.sql(
        "CREATE SCHEMA ext",
        f"CREATE TABLE ext.events AS SELECT id, DATE '2024-01-01' + CAST(id // 8000 AS INTEGER) AS day, note FROM ({EVENTS})",
        "INSERT INTO ext.events VALUES (-1, NULL, 'no day')",
    )
    return made


def _is_right(made: Lawful, model: str = DAILY) -> None:
    for left, right in (("FROM days", model), (model, "FROM days")):
        assert made.rows(f"SELECT count(*) FROM ({left} EXCEPT ALL {right})") == [(0,)]
    assert made.planned() == []


def test_what_reads_more_than_fits_into_memory_is_cut_into_batches(tmp_path: Path) -> None:
    made = _daily(tmp_path, "memory_limit: 17MB, threads: 1", IN_BATCHES)
    built = made.build()
    assert built.code == 0, built.told
    assert built.told.count("build 2024-") == 2, built.told
    _is_right(made)
    made.sql("UPDATE ext.events SET note = note || '!' WHERE id % 8000 = 1")
    planned = made.planned()
    assert len(planned) == 3, planned
    assert (
        "in 3 batches, as it reads about 400,000 rows of 44 bytes, 18 MB, and 17 MB of memory may be used" in planned[0]
    )
    built = made.build()
    assert built.code == 0, built.told
    _is_right(made)
    made.sql("UPDATE ext.events SET note = note || '?' WHERE id < 1000")
    assert len(made.planned()) == 1
    assert made.build().code == 0
    _is_right(made)
    assert made.build(full_refresh=True).told.count("days  build ") == 3
    _is_right(made)


@pytest.mark.parametrize(
    ("header", "query"),
    [
        ("-- @batch: none\n", DAILY),  # the author forbids it
        ("", DAILY.replace("day,", "CAST(concat(day) AS DATE) AS day,", 1)),  # each batch would read everything
    ],
)
def test_what_should_not_be_cut_stays_whole(tmp_path: Path, header: str, query: str) -> None:
    made = _daily(tmp_path, "memory_limit: 17MB, threads: 1", f"-- @mode: incremental\n-- @time: day\n{header}{query}")
    assert len(made.planned()) == 1


@pytest.mark.parametrize("batch", ["", "-- @batch: 10 days\n"], ids=["by memory", "by days"])
def test_batches_go_on_where_a_build_was_killed(tmp_path: Path, batch: str) -> None:
    made = _daily(tmp_path, "memory_limit: 17MB, threads: 1", batch + IN_BATCHES)
    in_all = len(made.planned())
    # Kill before the statements of the last batch but one: each batch is a transaction of several statements.
    for at in (28, 34):
        killed = child(made, "build", KILL_AT=at, ALONE=1)
        killed.communicate(timeout=120)
        assert killed.returncode == -signal.SIGKILL
    left = len(made.planned())
    assert 0 < left < in_all, (left, in_all)
    built = made.build()
    assert built.code == 0, built.told
    _is_right(made)
    _target(made, "memory_limit: 2GB")
    assert len(made.planned()) == 0


def test_memory_that_nobody_limited_is_used_when_there_is_no_room_on_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adapter, "_MEMORY", 30_000_000)
    monkeypatch.setattr(adapter, "_MEMORY_PER_THREAD", 0)
    made = _project(tmp_path, "threads: 2, max_temp_directory_size: 1MB", events=EVENTS, grouped=GROUPED)
    built = made.build()
    assert built.code == 0, built.told
    assert "30 MB of memory were not enough" in built.told
