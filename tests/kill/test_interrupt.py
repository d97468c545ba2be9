"""Ctrl-C in the middle of a build, and two builds at once, on every engine."""

from __future__ import annotations

import json
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from children import Child
from every_mode import ONE_OF_EACH, begin, child, held, wait_for_lock
from lawful import Lawful
from on_postgres import LawfulPostgres

SLOW = "SELECT count(*) AS n FROM raw.big a, raw.big b, raw.big c, raw.big d WHERE a.i * b.i + c.i * d.i = 777\n"
Make = Callable[[str], Lawful]


@pytest.fixture(params=[Lawful, LawfulPostgres], ids=["duckdb", "postgres"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Make]:
    """Makes projects in folders of that name."""
    made: list[Lawful] = []

    def project(name: str) -> Lawful:
        made.append(request.param(tmp_path / name))
        return made[-1]

    yield project
    for one in made:
        one.drop()


def _runs(project: Lawful) -> list[dict[str, object]]:
    process = child(project, "runs", "--json")
    out, told = process.communicate(timeout=240)
    assert process.returncode == 0, told
    found = json.loads(out)
    runs: list[dict[str, object]] = found["runs"] if isinstance(found, dict) else found
    return runs


def _wait_for_task(process: Child, table: str) -> None:
    """Read what a build with `--json` tells until the task begins."""
    for line in process.stdout:
        event = json.loads(line)
        if event["event"] == "task_started" and event["table"] == table:
            return
    raise AssertionError(f"the build ended before `{table}`")


def _worked(process: Child) -> int:
    """For how many hundredths of a second a process has worked, in all its threads."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def _statements_on(project: Lawful) -> list[str]:
    """What runs on the project's server, if it has one."""
    if not isinstance(project, LawfulPostgres):
        return []
    return [
        str(text)
        for (text,) in project.rows(
            "SELECT query FROM pg_stat_activity WHERE datname = current_database() AND state <> 'idle' AND pid <> pg_backend_pid()"
        )
    ]


def test_ctrl_c_cancels_the_running_statement_and_rolls_back(make: Make) -> None:
    project = make("project")
    project.begin(
        {
            "models/a/slow.sql": SLOW,
            "models/a/fast.sql": "SELECT i FROM raw.big",
            "models/a/child.sql": "SELECT n FROM a.slow",
        }
    )
    project.sql("CREATE SCHEMA raw", "CREATE TABLE raw.big AS SELECT i FROM range(0) t(i)")
    assert project.build().code == 0
    project.sql("INSERT INTO raw.big SELECT i FROM range(20000) t(i)")
    process = child(project, "build", "--json", "--threads", "1")
    _wait_for_task(process, "a.slow")
    begun = _worked(process)
    while not (_statements_on(project) if isinstance(project, LawfulPostgres) else _worked(process) > begun + 20):
        assert process.poll() is None, "the build ended too early to be interrupted"
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=240)  # the statement would take hours
    assert process.returncode == 130, told
    assert _statements_on(project) == []
    assert _runs(project)[0]["status"] == "cancelled"
    assert project.rows("SELECT n FROM a.slow") == [(0,)]
    project.sql("DELETE FROM raw.big WHERE i > 3")
    built = project.build()
    assert built.code == 0, built.told
    assert project.planned() == []
    assert project.rows("SELECT count(*) FROM a.fast") == [(4,)]


@pytest.mark.parametrize(
    "share", [pytest.param(0.35, marks=pytest.mark.long), 0.6, pytest.param(0.85, marks=pytest.mark.long)]
)
def test_ctrl_c_between_statements(make: Make, tmp_path: Path, share: float) -> None:
    whole = begin(make("whole"), ONE_OF_EACH)
    count = tmp_path / "count"
    _finish(child(whole, "build", COUNT=count))
    project = begin(make("interrupted"), ONE_OF_EACH)
    process = child(project, "build", INTERRUPT_AT=int(int(count.read_text()) * share))
    _, told = process.communicate(timeout=240)
    assert process.returncode == 130, told
    assert "Traceback" not in told
    built = project.build()
    assert built.code == 0, built.told
    assert project.contents() == whole.contents()
    assert project.planned() == []


def test_a_build_beside_another_one_says_whose_turn_it_is(make: Make, tmp_path: Path) -> None:
    project = begin(make("project"), ONE_OF_EACH)
    with held(project, tmp_path) as first:
        assert wait_for_lock(project) == first.pid
        refused, waiting = child(project, "build", "--wait", "0"), child(project, "build", "--wait", "60")
        _, told = refused.communicate(timeout=240)
        told_at_once = _first_line(waiting)
    _, told_later = waiting.communicate(timeout=240)
    assert refused.returncode == 1, told
    assert f"process {first.pid}" in told
    assert f"process {first.pid}" in told_at_once
    assert waiting.returncode == 0, told_later
    _finish(first)
    assert project.planned() == []
    whole = begin(make("whole"), ONE_OF_EACH)
    assert whole.build().code == 0
    assert project.contents() == whole.contents()


def test_a_database_that_somebody_else_holds_is_told_with_its_process(tmp_path: Path) -> None:
    project = begin(Lawful(tmp_path), ONE_OF_EACH)
    assert project.build().code == 0
    with project.connected():
        process = child(project, "build", "--wait", "0.2")
        _, told = process.communicate(timeout=240)
    assert process.returncode == 1, told
    assert "held by process" in told


def _first_line(process: Child) -> str:
    return process.stderr.readline()


def _finish(process: Child) -> None:
    _, told = process.communicate(timeout=240)
    assert process.returncode == 0, told


def test_two_folders_with_one_target_do_not_build_it_at_once(tmp_path: Path) -> None:
    """Two machines share no file, only the server."""
    here = LawfulPostgres(tmp_path / "here")
    begin(here, ONE_OF_EACH)
    shutil.copytree(here.root, tmp_path / "there")
    there = LawfulPostgres(tmp_path / "there", url=here.url)
    with held(here, tmp_path) as first:
        refused, waiting = child(there, "build", "--wait", "0"), child(there, "build", "--wait", "60")
        _, told = refused.communicate(timeout=240)
        told_at_once = _first_line(waiting)
    assert refused.returncode == 1, told
    # The two of `there` share a folder and its lock file, so one of them may be in the way of the other.
    assert f"pid {first.pid} on" in told or f"process {waiting.pid}" in told
    _, told = waiting.communicate(timeout=240)
    assert waiting.returncode == 0, told
    assert "another build" in told_at_once + told
    _finish(first)
    assert here.planned() == there.planned() == []
    whole = begin(LawfulPostgres(tmp_path / "whole"), ONE_OF_EACH)
    assert whole.build().code == 0
    assert here.contents() == whole.contents()
    here.drop()
    whole.drop()


def test_a_killed_build_leaves_no_lock_and_no_statement_behind(tmp_path: Path) -> None:
    project = LawfulPostgres(tmp_path / "project")
    project.begin({"models/a/slow.sql": SLOW})
    project.sql("CREATE SCHEMA raw", "CREATE TABLE raw.big AS SELECT i FROM range(20000) t(i)")
    process = child(project, "build")
    deadline = time.monotonic() + 240
    while not any("raw" in text and "big" in text for text in _statements_on(project)):
        assert time.monotonic() < deadline, "the build did not begin"
        time.sleep(0.05)
    process.kill()
    process.communicate(timeout=240)
    project.sql("DELETE FROM raw.big WHERE i > 3")
    built = project.build()
    assert built.code == 0, built.told
    while _statements_on(project):  # the server looks every two seconds whether anybody listens
        assert time.monotonic() < deadline, "a statement of the killed build runs on"
        time.sleep(0.1)
    project.drop()
