"""`sqlflow watch` in a process of its own, with files and a database on disk."""

from __future__ import annotations

import hashlib
import os
import pty
import select
import shutil
import signal
import subprocess
import sys
import termios
import time
from functools import partial
from pathlib import Path

import duckdb
import pytest
from children import Child
from length import at_length
from markdown_cases import CONFIG, change_database, query_table, sqlflow
from watching import PATIENCE, Event, Session, errors, one, replace, watching, write

FILES = {
    "sqlflow.yml": CONFIG,
    "models/a/flights.sql": "SELECT id, carrier, delay, day FROM src\n",
    "models/b/late.sql": "SELECT carrier, delay > 10 AS late FROM a.flights\n",
    "models/b/days.sql": "SELECT day, count(*) AS n FROM a.flights GROUP BY day\n",
    "models/c/share.sql": "SELECT carrier, avg(late::INTEGER) AS share FROM b.late GROUP BY carrier\n",
}
FLIGHTS = "models/a/flights.sql"
SOURCE = (
    "CREATE TABLE src AS SELECT i AS id, 'C' || i % 3 AS carrier, i % 20 AS delay, DATE '2024-01-01' + i::INTEGER AS day "
    "FROM range(100) AS t(i)"
)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    write(tmp_path, FILES)
    change_database(tmp_path, SOURCE)
    return tmp_path


@pytest.fixture
def built(project: Path) -> Path:
    assert sqlflow(project, "sqlflow build").code == 0
    return project


# ---------------------------------------------------------------- what is told on a save


def test_a_save_compiles_the_edited_model_and_nothing_that_sees_no_difference(built: Path) -> None:
    with watching(built) as session:
        assert one(session.told, "problems")["models"] == 4
        path = built / FLIGHTS
        events = session.after(lambda: replace(path, "SELECT id, carrier, delay + 1 AS delay, day FROM src\n"))
        assert one(events, "problems")["recompiled"] == ["a.flights"]
        assert one(events, "changed")["files"] == [FLIGHTS]


def test_a_column_that_changes_its_type_is_followed_downstream(built: Path) -> None:
    with watching(built) as session:
        path = built / FLIGHTS
        events = session.after(lambda: replace(path, "SELECT id, carrier, delay::DOUBLE AS delay, day FROM src\n"))
        assert one(events, "problems")["recompiled"] == ["a.flights", "b.days", "b.late"]  # c.share sees the same
        events = session.after(lambda: replace(path, "SELECT id, delay, day FROM src\n"))
        assert errors(events) == ["unknown-column models/b/late.sql:1"]
        problem = one(events, "problems")["problems"][0]
        assert (problem["column"], problem["length"]) == (8, 7)
        events = session.after(lambda: replace(path, FILES[FLIGHTS]))
        assert errors(events) == []


def test_the_impact_is_told_by_column(built: Path) -> None:
    with watching(built) as session:
        text = "SELECT id, carrier, delay * 2 AS delay, day, 1 AS extra FROM src\n"
        events = session.after(lambda: replace(built / FLIGHTS, text))
        (edit,) = one(events, "impact")["edits"]
        assert (edit["model"], edit["kind"], edit["exact"]) == ("a.flights", "changed", True)
        changes = {change["column"]: change for change in edit["changes"]}
        assert {column: change["kind"] for column, change in changes.items()} == {"delay": "changed", "extra": "added"}
        assert changes["extra"]["reached"] == []
        assert changes["delay"]["reached"] == [
            {"model": "b.late", "columns": ["late"], "rows": False},
            {"model": "c.share", "columns": ["share"], "rows": False},
        ]
        assert edit["reached"] == ["b.late", "c.share"]
        assert edit["spared"] == ["b.days"]


def test_an_edit_of_the_rows_reaches_everything_below(built: Path) -> None:
    with watching(built) as session:
        events = session.after(
            lambda: replace(built / FLIGHTS, "SELECT id, carrier, delay, day FROM src WHERE id > 5\n")
        )
        (edit,) = one(events, "impact")["edits"]
        (change,) = edit["changes"]
        assert (change["column"], change["kind"]) == (None, "changed")
        assert [(r["model"], r["rows"]) for r in change["reached"]] == [
            ("b.days", True),
            ("b.late", True),
            ("c.share", True),
        ]
        assert edit["spared"] == []


def test_an_edit_that_changes_no_meaning_has_no_impact_and_no_plan(built: Path) -> None:
    with watching(built) as session:
        events = session.after(lambda: replace(built / FLIGHTS, "-- words\n" + FILES[FLIGHTS].replace(", ", ",  ")))
        assert one(events, "impact")["edits"] == []
        assert one(events, "planned")["plan"]["tasks"] == []


def test_the_plan_is_that_of_a_build_and_the_rows_are_those_of_the_edited_query(built: Path) -> None:
    with watching(built, "--rows", "2") as session:
        events = session.after(
            lambda: replace(built / FLIGHTS, "SELECT id, carrier, 7 AS delay, day FROM src ORDER BY id\n")
        )
        tasks = one(events, "planned")["plan"]["tasks"]
        assert [(task["table"], task["reason"]["kind"]) for task in tasks] == [
            ("a.flights", "query_changed"), ("b.late", "input_changed"), ("c.share", "input_changed"),
        ]  # fmt: skip
        rows = one(events, "rows")
        assert (rows["model"], rows["origin"], rows["more"]) == ("a.flights", "query", True)
        assert rows["rows"] == [[0, "C0", 7, "2024-01-01"], [1, "C1", 7, "2024-01-02"]]
        assert query_table(built, "SELECT max(delay) FROM a.flights").count("19") == 1  # nothing was built


def test_a_selection_narrows_the_plan(built: Path) -> None:
    with watching(built, "a.flights") as session:
        events = session.after(lambda: replace(built / FLIGHTS, "SELECT id, carrier, 7 AS delay, day FROM src\n"))
        plan = one(events, "planned")["plan"]
        assert [task["table"] for task in plan["tasks"]] == ["a.flights"]
        assert plan["skipped"]["not_selected"] == 3


def test_macros_seeds_and_sources_are_watched_too(project: Path) -> None:
    write(project, {"macros/m.sql": "CREATE MACRO much(x) AS x > 10;\n", "seeds/s/k.csv": "k\n1\n"})
    write(project, {"models/b/late.sql": "SELECT carrier, much(delay) AS late FROM a.flights\n"})
    with watching(project) as session:
        assert errors(session.told) == []
        events = session.after(lambda: replace(project / "macros/m.sql", "CREATE MACRO many(x) AS x > 10;\n"))
        assert [error.split()[0] for error in errors(events)] == ["unknown-function"]
        events = session.after(lambda: replace(project / "macros/m.sql", "CREATE MACRO much(x) AS x > 12;\n"))
        assert errors(events) == []
        events = session.after(lambda: write(project, {"models/b/k.sql": "SELECT kk FROM s.k\n"}))
        assert errors(events) == ["unknown-column models/b/k.sql:1"]
        events = session.after(lambda: (project / "seeds/s/k.csv").write_text("kk\n1\n"))
        assert errors(events) == []


# ---------------------------------------------------------------- what editors, people and git do to files


def test_files_that_come_go_and_get_other_names(built: Path) -> None:
    with watching(built) as session:
        events = session.after(lambda: (built / "models/b/late.sql").rename(built / "models/b/tardy.sql"))
        assert errors(events) == ["gone-table models/c/share.sql:1"]
        events = session.after(lambda: (built / "models/b/tardy.sql").rename(built / "models/b/late.sql"))
        assert errors(events) == []
        events = session.after((built / "models/b/late.sql").unlink)
        assert errors(events) == ["gone-table models/c/share.sql:1"]
        events = session.after(lambda: write(built, {"models/b/late.sql": FILES["models/b/late.sql"]}))
        assert errors(events) == []
        events = session.after(lambda: shutil.move(built / "models/c", built / "models/b/deeper"))
        assert errors(events) == []
        assert one(events, "problems")["models"] == 4


def test_an_editor_that_deletes_and_makes_the_file_again_is_one_change(built: Path) -> None:
    path = built / FLIGHTS

    def save() -> None:
        path.unlink()
        path.write_text("SELECT id, carrier, delay - 1 AS delay, day FROM src\n")

    with watching(built) as session:
        events = session.after(save)
        assert errors(events) == []
        assert one(events, "problems")["recompiled"] == ["a.flights"]


def test_a_file_that_is_still_being_written_is_waited_for(built: Path) -> None:
    with watching(built) as session, (built / FLIGHTS).open("w") as file:
        file.write("SELECT id, carrier, ")
        file.flush()
        time.sleep(0.2)
        file.write("delay, day FROM src WHERE id < 50\n")
        file.close()
        events = session.settled()
        assert [event["sound"] for event in events if event["event"] == "problems"] == [True]


def test_a_half_written_file_is_a_problem_until_it_is_whole(built: Path) -> None:
    with watching(built) as session:
        for half in ("SELECT id, carrier, delay, day FROM src WHERE carrier = 'C", "SELECT id, (", "", "-- @mode: vie"):
            events = session.after(partial(replace, built / FLIGHTS, half))
            assert any(FLIGHTS in error for error in errors(events)), half
        assert errors(session.after(lambda: replace(built / FLIGHTS, FILES[FLIGHTS]))) == []


def test_what_editors_leave_behind_is_not_looked_at(built: Path) -> None:
    with watching(built) as session:
        write(built, {"models/a/.flights.sql.swp": "x", "models/a/flights.sql~": "x", "models/a/#flights.sql#": "x"})
        write(built, {"target/x.sql": "x", "notes.txt": "x"})
        assert session.silent(1.5)


def test_a_branch_switch_is_one_pass(project: Path) -> None:
    def git(*words: str) -> None:
        name = ["-c", "user.name=a", "-c", "user.email=a@b"]
        subprocess.run(["git", *name, *words], cwd=project, check=True, capture_output=True)

    count = 400
    write(project, {".gitignore": "tiny.duckdb*\n.sqlflow/\n"})
    write(project, {f"models/many/m{n}.sql": f"SELECT {n} AS n FROM a.flights\n" for n in range(count)})
    git("init", "-q", "-b", "main")
    git("add", "-A")
    git("commit", "-qm", "one")
    git("checkout", "-qb", "other")
    write(project, {f"models/many/m{n}.sql": f"SELECT {n} AS n, id FROM a.flights\n" for n in range(count)})
    write(project, {f"models/more/k{n}.sql": f"SELECT n FROM many.m{n}\n" for n in range(50)})
    git("add", "-A")
    git("commit", "-qm", "two")
    git("checkout", "-q", "main")
    with watching(project) as session:
        assert one(session.told, "problems")["models"] == 4 + count
        for branch, models in (("other", 54 + count), ("main", 4 + count)):
            began = time.monotonic()
            git("checkout", "-q", branch)
            at_once = time.monotonic() - began < 0.2  # else the files may have been quiet in between
            events = session.after(lambda: None)
            while one(events, "problems")["models"] != models:
                assert not at_once
                events += session.after(lambda: None)
            assert errors(events) == []
            assert not at_once or sum(event["event"] == "problems" for event in events) == 1
        assert session.silent(1)


def test_a_broken_project_file_is_a_problem_and_no_end(built: Path) -> None:
    with watching(built) as session:
        events = session.after(lambda: replace(built / "sqlflow.yml", "name: [tiny\n"))
        assert errors(events)[0].startswith("yaml sqlflow.yml")
        events = session.after(
            lambda: replace(built / "sqlflow.yml", CONFIG.replace("engine: duckdb", "engine: duckdbb"))
        )
        assert errors(events) == ["unknown-engine sqlflow.yml:2"] or "sqlflow.yml:2" in errors(events)[0]
        session.after((built / "sqlflow.yml").unlink)
        assert one(session.told, "problems")["problems"][0]["code"] == "no-project"
        replace(built / FLIGHTS, "SELECT nope FROM src\n")
        session.settled()
        events = session.after(lambda: replace(built / "sqlflow.yml", CONFIG))
        assert "unknown-column models/a/flights.sql:1" in errors(events)
        assert errors(session.after(lambda: replace(built / FLIGHTS, FILES[FLIGHTS]))) == []


def test_a_session_begins_with_a_broken_project_file(project: Path) -> None:
    replace(project / "sqlflow.yml", "name: [tiny\n")
    with watching(project) as session:
        assert errors(session.told)[0].startswith("yaml sqlflow.yml")
        assert errors(session.after(lambda: replace(project / "sqlflow.yml", CONFIG))) == []


def test_without_a_project_there_is_nothing_to_watch(tmp_path: Path) -> None:
    ran = sqlflow(tmp_path, "sqlflow watch")
    assert ran.code == 1
    assert "error[no-project]" in ran.err


def test_the_models_folder_may_go_and_come_back(built: Path) -> None:
    with watching(built) as session:
        events = session.after(lambda: shutil.rmtree(built / "models"))
        assert one(events, "problems")["models"] == 0
        events = session.after(lambda: write(built, {p: t for p, t in FILES.items() if p.startswith("models")}))
        while one(events, "problems")["models"] < 4:
            events = session.settled()
        assert errors(events) == []
        events = session.after(lambda: replace(built / FLIGHTS, "SELECT nope FROM src\n"))
        assert errors(events) == ["unknown-column models/a/flights.sql:1"]


# ---------------------------------------------------------------- the database

HOLDER = "import duckdb, time; c = duckdb.connect('tiny.duckdb'); print('held', flush=True); time.sleep(600)"


def test_an_idle_session_holds_no_lock_and_sees_what_others_build(built: Path) -> None:
    with watching(built) as session:
        session.after(lambda: replace(built / FLIGHTS, "SELECT id, carrier, 7 AS delay, day FROM src\n"))
        assert one(session.told, "planned")["plan"]["tasks"] != []
        with duckdb.connect(str(built / "tiny.duckdb")) as connection:
            assert connection.execute("SELECT count(*) FROM a.flights").fetchall() == [(100,)]
        builder = Child("build", "--wait", "60", cwd=built)
        _, told = builder.communicate(PATIENCE)
        assert builder.returncode == 0, told
        session.until("planned", lambda event: bool(event["plan"]) and event["plan"]["tasks"] == [])
        session.settled()
        assert one(session.told, "impact")["edits"] == []


def test_a_database_that_somebody_holds_stops_only_what_needs_it(built: Path) -> None:
    with watching(built) as session:
        with subprocess.Popen([sys.executable, "-c", HOLDER], cwd=built, stdout=subprocess.PIPE, text=True) as holder:
            assert holder.stdout is not None
            assert holder.stdout.readline().strip() == "held"
            events = session.after(lambda: replace(built / FLIGHTS, "SELECT id, carrier, 7 AS delay, day FROM src\n"))
            assert errors(events) == []
            assert one(events, "impact")["edits"][0]["model"] == "a.flights"
            assert f"process {holder.pid}" in one(events, "planned")["why"]
            assert f"process {holder.pid}" in one(events, "rows")["why"]
            events = session.after(lambda: replace(built / FLIGHTS, "SELECT nope FROM src\n"))
            assert errors(events) == ["unknown-column models/a/flights.sql:1"]
            replace(built / FLIGHTS, "SELECT id, carrier, 7 AS delay, day FROM src\n")
            session.settled()
            holder.kill()
        session.until("planned", lambda event: event["plan"] is not None)


def test_a_session_begins_while_somebody_holds_the_database(built: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLDER], cwd=built, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline().strip() == "held"
        with watching(built) as session:
            assert errors(session.told) == []
            assert f"process {holder.pid}" in one(session.told, "planned")["why"]
            holder.kill()
            session.until("planned", lambda event: event["plan"] is not None)


def test_a_query_that_fails_on_the_tables_says_so(built: Path) -> None:
    with watching(built) as session:
        events = session.after(
            lambda: replace(built / FLIGHTS, "SELECT id, carrier, error('boom') AS delay, day FROM src\n")
        )
        assert "boom" in one(events, "rows")["why"]
        assert one(events, "problems")["sound"] is True


# ---------------------------------------------------------------- building


def snapshot(project: Path) -> tuple[str, bytes]:
    """The whole database file, and what the run-state file says."""
    digest = hashlib.sha256((project / "tiny.duckdb").read_bytes()).hexdigest()
    return digest, (project / ".sqlflow/state.db").read_bytes()


def scratch(project: Path, event: Event, query: str) -> list[tuple[object, ...]]:
    """The rows of a query in the scratch database."""
    with duckdb.connect(str(project / event["database"]), read_only=True) as connection:
        connection.execute(f"ATTACH '{project / 'tiny.duckdb'}' AS _other (READ_ONLY)")
        return connection.execute(query).fetchall()


def test_a_scratch_build_has_the_edit_and_what_it_reaches_and_leaves_the_real_tables_alone(built: Path) -> None:
    before = snapshot(built)
    with watching(built, "--build") as session:
        assert "built" not in {event["event"] for event in session.told}
        events = session.after(
            lambda: replace(built / FLIGHTS, "SELECT id, carrier, 15 AS delay, day FROM src ORDER BY id\n")
        )
        started = one(events, "run_started")
        assert started["scratch"] is True
        assert sorted(started["tasks"]) == ["a.flights", "b.late", "c.share", "main.src"]
        assert one(events, "rows")["origin"] == "scratch"
        assert one(events, "rows")["rows"][0] == [0, "C0", 15, "2024-01-01"]
        made = one(events, "built")
        assert made["status"] == "done"
        assert scratch(built, made, "SELECT min(share), count(*) FROM c.share") == [(1.0, 3)]
        # A second save builds only what it must.
        events = session.after(
            lambda: replace(built / "models/c/share.sql", "SELECT carrier, 2 AS share FROM b.late GROUP BY carrier\n")
        )
        assert one(events, "run_started")["tasks"] == ["c.share"]
        assert snapshot(built) == before
        code, _ = session.stop()
        assert code == 130
    assert snapshot(built) == before
    assert not (built / ".sqlflow/watch").exists()


def test_a_sample_limits_what_is_read_and_says_so(built: Path) -> None:
    write(built, {"models/b/late.sql": "-- @checks: [{row_count: {min: 50}}]\n" + FILES["models/b/late.sql"]})
    with watching(built, "--build", "--limit", "10", "b.late+") as session:
        assert one(session.told, "watching")["sample"] == "the first 10 rows of each input"
        made = one(session.told, "built")
        assert made["status"] == "done"  # a check that a sample cannot meet only warns
        assert scratch(built, made, "SELECT count(*) FROM b.late") == [(10,)]
        done = [e for e in session.told if e["event"] == "task_finished" and e["table"] == "b.late"]
        assert done[0]["checks"][0]["status"] == "warned"


def test_a_time_window_limits_inputs_with_a_time_column(project: Path) -> None:
    write(project, {"sources/src.yml": "raw.src: {table: main.src, time: day}\n"})
    write(project, {FLIGHTS: FILES[FLIGHTS].replace("src", "raw.src")})
    assert sqlflow(project, "sqlflow build").code == 0
    with watching(project, "--build", "--start", "2024-01-11", "--end", "2024-01-16", "a.flights") as session:
        made = one(session.told, "built")
        assert scratch(project, made, "SELECT min(day)::VARCHAR, max(day)::VARCHAR FROM a.flights") == [
            ("2024-01-11", "2024-01-15")
        ]


def test_a_project_that_was_never_built_is_built_in_scratch_with_all_it_needs(project: Path) -> None:
    with watching(project, "--build", "c.share") as session:
        made = one(session.told, "built")
        assert made["status"] == "done"
        assert scratch(project, made, "SELECT count(*) FROM c.share") == [(3,)]
    with duckdb.connect(str(project / "tiny.duckdb")) as connection:
        assert connection.execute("SELECT count(*) FROM duckdb_tables()").fetchall() == [(1,)]


def test_every_mode_can_be_built_in_scratch(built: Path) -> None:
    write(
        built,
        {
            "models/d/view.sql": "-- @mode: view\nSELECT * FROM a.flights\n",
            "models/d/inline.sql": "-- @mode: inline\nSELECT * FROM d.view\n",
            "models/d/time.sql": "-- @mode: incremental\n-- @time: day\nSELECT day, count(*) AS n FROM d.inline WHERE day >= $start AND day < $end GROUP BY day\n",
            "models/d/merge.sql": "-- @mode: merge\n-- @key: id\n-- @full_refresh: never\nSELECT id, delay FROM d.view\n",
            "models/d/append.sql": "-- @mode: append\n-- @cursor: id\nSELECT id, delay FROM a.flights\n",
        },
    )
    with watching(built, "--build", "models/d/*") as session:
        assert errors(session.told) == []
        assert one(session.told, "built")["status"] == "done"
        edits = {
            "models/d/time.sql": ("count(*)", "count(*) + 1"),
            "models/d/merge.sql": ("delay", "delay + 1 AS delay"),
            "models/d/append.sql": ("delay", "delay + 1 AS delay"),
            "models/d/view.sql": ("*", "* REPLACE (delay + 1 AS delay)"),
            "models/d/inline.sql": ("*", "* REPLACE (delay + 1 AS delay)"),
        }
        for path, (old, new) in edits.items():
            text = (built / path).read_text().replace(old, new)
            events = session.after(partial(replace, built / path, text))
            assert errors(events) == []
            assert one(events, "built")["status"] == "done", path
            if "inline" not in path:
                assert one(events, "rows")["rows"], path


def test_a_failure_in_a_scratch_build_is_told_and_the_next_save_mends_it(built: Path) -> None:
    with watching(built, "--build") as session:
        events = session.after(
            lambda: replace(built / FLIGHTS, "SELECT id, carrier, error('boom') AS delay, day FROM src\n")
        )
        assert one(events, "built")["status"] == "failed"
        assert any("boom" in str(event.get("error")) for event in events)
        events = session.after(lambda: replace(built / FLIGHTS, "SELECT id, carrier, 3 AS delay, day FROM src\n"))
        assert one(events, "built")["status"] == "done"


def test_a_newer_save_breaks_off_a_slow_build(built: Path) -> None:
    slow = "SELECT a.x AS id, 'c' AS carrier, count(*) AS delay, DATE '2024-01-01' AS day FROM range(100000) AS a(x), range(300000) AS b(y) GROUP BY ALL\n"
    with watching(built, "--build") as session:
        replace(built / FLIGHTS, slow)
        session.until("task_started", lambda event: event["table"] == "a.flights")
        events = session.after(lambda: replace(built / FLIGHTS, "SELECT id, carrier, 4 AS delay, day FROM src\n"))
        assert one(events, "built")["status"] == "done"
        ended = [e["status"] for e in events if e["event"] == "task_finished" and e["table"] == "a.flights"]
        assert ended.count("done") == 1, "the slow one went on to its end"


def test_a_sandbox_builds_in_scratch_too(built: Path) -> None:
    write(built, {"sqlflow.yml": CONFIG + "sandbox: true\n"})
    with watching(built, "--build", "a.flights") as session:
        assert one(session.told, "built")["status"] == "done"
        events = session.after(lambda: replace(built / FLIGHTS, "SELECT id, carrier, 4 AS delay, day FROM src\n"))
        assert one(events, "built")["status"] == "done"


def test_what_a_killed_session_leaves_is_cleaned(built: Path) -> None:
    with watching(built, "--build", "a.flights") as session:
        session.process.kill()
        session.process.wait()
    assert len(list((built / ".sqlflow/watch").iterdir())) == 1
    ran = sqlflow(built, "sqlflow clean")
    assert "scratch" in ran.out
    assert len(list((built / ".sqlflow/watch").iterdir())) == 1
    assert sqlflow(built, "sqlflow clean --drop").code == 0
    assert not (built / ".sqlflow/watch").exists()


def test_two_sessions_do_not_disturb_each_other(built: Path) -> None:
    with watching(built, "--build", "a.flights") as first, watching(built, "--build", "a.flights") as second:
        assert len(list((built / ".sqlflow/watch").iterdir())) == 2
        replace(built / FLIGHTS, "SELECT id, carrier, 4 AS delay, day FROM src\n")
        for session in (first, second):
            assert one(session.until("built"), "built")["status"] == "done"


def test_options_of_a_build_go_with_build(built: Path) -> None:
    assert sqlflow(built, "sqlflow watch --limit 5").code == 2
    ran = sqlflow(built, "sqlflow watch --build --start 2024-02-01 --end 2024-01-01")
    assert ran.code == 1
    assert "error[empty-interval]" in ran.err


# ---------------------------------------------------------------- how it ends, and what it shows


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_session_ends_cleanly(built: Path, number: int) -> None:
    with watching(built) as session:
        code, told = session.stop(number)
        assert code == 130
        assert told.strip() in ("", "interrupted")


@pytest.mark.parametrize("command", ["watch --json | head -1", "watch 2>&1 | head -1"])
def test_a_reader_that_has_gone_ends_the_session(built: Path, command: str) -> None:
    ran = subprocess.run(
        f"{sys.executable} -m sqlflow {command}",
        cwd=built, shell=True, capture_output=True, text=True, timeout=PATIENCE,
    )  # fmt: skip
    assert "watching" in ran.stdout
    assert "Traceback" not in ran.stderr


def test_lines_when_there_is_no_terminal(built: Path) -> None:
    process = Child("watch", cwd=built)
    try:
        text = ""
        while "plan of a build" not in text:
            text += process.stderr.readline()
        assert "watching tiny, target dev; Ctrl-C ends it\n" in text
        assert "\nno problems: 4 models" in text
        replace(built / FLIGHTS, "SELECT id, nope FROM src\n")
        text = ""
        while "plan of a build" not in text:
            text += process.stderr.readline()
        assert f"--- {FLIGHTS} changed" in text
        assert "1 | SELECT id, nope FROM src\n  |            ^^^^\n" in text
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE) == 130
    finally:
        process.kill()
        process.wait()
        process.close()


class Terminal:
    """A terminal of 100 columns and 40 lines with a session in it."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.outer, inner = pty.openpty()
        termios.tcsetwinsize(inner, (40, 100))
        self.before = termios.tcgetattr(inner)
        environment = {**os.environ, "TERM": "xterm-256color"}
        self.process = Child("watch", *options, cwd=folder, environ=environment, terminal=inner)
        self.inner = inner
        self.text = ""

    def until(self, words: str, since: int = 0) -> str:
        """Everything that was drawn after the first `since` characters, once these words are in it."""
        end = time.monotonic() + PATIENCE
        while words not in self.text[since:]:
            assert time.monotonic() < end, f"no `{words}` in {self.text[since:]}"
            if select.select([self.outer], [], [], 0.1)[0]:
                self.text += os.read(self.outer, 65536).decode(errors="replace")
        return self.text[since:]

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self.outer)
        os.close(self.inner)


@pytest.mark.parametrize(("key", "code"), [(b"q", 0), (b"\x03", 130)])
def test_the_screen_shows_what_is_known_and_gives_the_terminal_back(built: Path, key: bytes, code: int) -> None:
    terminal = Terminal(built)
    try:
        terminal.until("save a model to see its first rows")
        terminal.until("nothing to do: all 4 models are up to date")
        replace(built / FLIGHTS, "SELECT id, carrier, 7 AS delay, day, nope FROM src\n")
        shown = terminal.until("it does not compile", len(terminal.text))
        assert "there is no column `nope`" in shown
        assert "1 error" in shown
        replace(built / FLIGHTS, "SELECT id, carrier, 7 AS delay, day FROM src\n")
        shown = terminal.until("2024-01-01", len(terminal.text))
        assert "this edit, not built yet" in shown
        assert "b.late (late)" in shown
        assert "plan of a build" in shown
        if key == b"\x03":
            os.killpg(terminal.process.pid, signal.SIGINT)
        else:
            os.write(terminal.outer, key)
        terminal.until("\x1b[?1049l")  # back from the other screen
        terminal.until("2 changes; no problems")
        assert terminal.process.wait(60) == code
        assert termios.tcgetattr(terminal.inner) == terminal.before
        assert terminal.text.rstrip().endswith(("interrupted", "no problems"))
        assert "\x1b[?25h" in terminal.text[terminal.text.rindex("\x1b[?25l") :]  # the cursor is back
    finally:
        terminal.close()


# ---------------------------------------------------------------- for hours


def edit_many_times(session: Session, project: Path, count: int, settle: int) -> tuple[float, float]:
    """Megabytes after the first `settle` edits, and at the end."""
    before = 0.0
    for number in range(count):
        match number % 4:
            case 0:
                text = f"SELECT id, carrier, delay + {number} AS delay, day FROM src -- {'x' * (number % 50)}\n"
            case 1:
                text = f"SELECT id, carrier, delay, day, {number} AS c{number} FROM src\n"
            case 2:
                text = f"SELECT id, carrier, nope{number} AS delay, day FROM src\n"
            case _:
                text = f"SELECT id, carrier, delay, day FROM src WHERE id <> {number}\n"
        session.after(partial(replace, project / FLIGHTS, text))
        if number == settle:
            before = session.megabytes()
    return before, session.megabytes()


@pytest.mark.long
def test_a_session_does_not_grow(built: Path) -> None:
    with watching(built, "--build", "--limit", "50") as session:
        before, after = edit_many_times(session, built, 60, 30)
        assert after - before < 25, f"{before:.0f} -> {after:.0f} MB"


@pytest.mark.long
def test_a_session_of_hundreds_of_edits_does_not_grow(built: Path) -> None:
    with watching(built, "--build", "--limit", "50") as session:
        before, after = edit_many_times(session, built, at_length(300), at_length(150))
        assert after - before < 40, f"{before:.0f} -> {after:.0f} MB"
