"""Somebody else has the database open, or builds at the same time."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from children import Child
from markdown_cases import CONFIG, change_database, query_table, sqlflow

HOLDER = "import duckdb, sys, time; c = duckdb.connect('tiny.duckdb'); print('held', flush=True); time.sleep(60)"
# It runs for a second or two, and can be interrupted.
SLOW = "SELECT count(*) AS n FROM range(1200) AS a(x), range(60000) AS b(y) WHERE (x * 7919 + y) % 1000003 = 1"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "models/a").mkdir(parents=True)
    (tmp_path / "sqlflow.yml").write_text(CONFIG)
    (tmp_path / "models/a/one.sql").write_text("SELECT x FROM src")
    change_database(tmp_path, "CREATE TABLE src AS SELECT 1 AS x")
    return tmp_path


@contextmanager
def held(project: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that has the database open."""
    with subprocess.Popen([sys.executable, "-c", HOLDER], cwd=project, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline().strip() == "held"
            yield process
        finally:
            process.kill()


@pytest.fixture
def holder(project: Path) -> Iterator[subprocess.Popen[str]]:
    with held(project) as process:
        yield process


def start_build(project: Path, *options: str) -> Child:
    return Child("build", *options, cwd=project)


def wait_for_lock(project: Path) -> None:
    deadline = time.monotonic() + 240
    lock = project / ".sqlflow/build-dev.lock"
    while not (lock.exists() and lock.read_text().strip()):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def wait_for_task(build: Child, table: str) -> None:
    """Read what a build with `--json` tells until the task begins."""
    for line in build.stdout:
        event = json.loads(line)
        if event["event"] == "task_started" and event["table"] == table:
            return
    raise AssertionError(f"the build ended before `{table}`")


def test_a_held_database_names_its_holder_and_waits_with_a_limit(project: Path, holder: subprocess.Popen[str]) -> None:
    began = time.monotonic()
    ran = sqlflow(project, "sqlflow build --wait 0.5")
    assert ran.code == 1
    assert time.monotonic() - began > 0.4
    assert "waited 0.5 s" in ran.err
    assert f"process {holder.pid}" in ran.err
    assert "error[database-locked]" in ran.err
    assert "--wait" in ran.err
    assert "Traceback" not in ran.err


@pytest.mark.parametrize("command", ["build --dry-run", "show a.one", "check", "diff a.one src", "clean"])
def test_readers_of_a_held_database_say_so(project: Path, holder: subprocess.Popen[str], command: str) -> None:
    ran = sqlflow(project, f"sqlflow {command} --wait 0")
    assert ran.code == 1
    assert f"process {holder.pid}" in ran.err


def test_commands_that_need_no_database_do_not_wait_for_it(project: Path) -> None:
    assert sqlflow(project, "sqlflow build").code == 0
    with held(project):
        for command in ("compile", "list", "lineage a.one"):
            ran = sqlflow(project, f"sqlflow {command}")
            assert ran.code == 0, ran
            assert "waiting" not in ran.err


def test_it_goes_on_when_the_holder_lets_go(project: Path, holder: subprocess.Popen[str]) -> None:
    build = start_build(project, "--wait", "20")
    told = build.stderr.readline()
    assert f"process {holder.pid}" in told
    assert "waiting" in told
    holder.kill()
    out, err = build.communicate(timeout=240)
    assert build.returncode == 0, out + err


def test_two_builds_at_once(project: Path) -> None:
    (project / "models/a/slow.sql").write_text(SLOW)
    first = start_build(project)
    wait_for_lock(project)
    refused = sqlflow(project, "sqlflow build --wait 0")
    assert refused.code == 1
    assert str(first.pid) in refused.err
    assert "sqlflow build" in refused.err
    assert sqlflow(project, "sqlflow state unlock").code == 1
    waited = start_build(project, "--wait", "60")
    out, err = first.communicate(timeout=240)
    assert first.returncode == 0, out + err
    out, err = waited.communicate(timeout=240)
    assert waited.returncode == 0, out + err
    assert "nothing to do" in err
    assert sqlflow(project, "sqlflow state unlock").code == 0


def test_a_killed_build_leaves_no_lock_and_no_half_table(project: Path) -> None:
    (project / "models/a/slow.sql").write_text(SLOW)
    build = start_build(project, "--json", "--threads", "1")
    wait_for_task(build, "a.slow")
    build.kill()
    build.communicate()
    (project / "models/a/slow.sql").write_text("SELECT 1 AS n")
    ran = sqlflow(project, "sqlflow build")
    assert ran.code == 0, ran
    assert "1" in query_table(project, "SELECT x FROM a.one")


def test_ctrl_c_cancels_and_the_same_command_goes_on(project: Path) -> None:
    (project / "models/a/slow.sql").write_text(SLOW.replace("1200", "1200000"))
    build = start_build(project, "--json", "--threads", "1")
    wait_for_task(build, "a.slow")
    os.kill(build.pid, signal.SIGINT)
    out, err = build.communicate(timeout=240)
    assert build.returncode == 130, out + err
    assert "Traceback" not in err
    (project / "models/a/slow.sql").write_text("SELECT 1 AS n")
    assert sqlflow(project, "sqlflow build").code == 0
    assert "cancelled" in sqlflow(project, "sqlflow runs").out
