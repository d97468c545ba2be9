"""Ctrl-C in the middle of a build, and two builds at once."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from pathlib import Path

import pytest
from every_mode import begin, child
from lawful import Lawful

SLOW = "SELECT count(*) AS n FROM raw.big a, raw.big b, raw.big c, raw.big d WHERE hash(a.i, b.i, c.i, d.i) = 0\n"


def _runs(project: Lawful) -> list[dict[str, object]]:
    process = child(project, "runs", "--json")
    out, told = process.communicate(timeout=60)
    assert process.returncode == 0, told
    found = json.loads(out)
    runs: list[dict[str, object]] = found["runs"] if isinstance(found, dict) else found
    return runs


def _wait_for_lock(project: Lawful) -> int:
    """The process that holds the build lock."""
    lock = project.root / ".sqlflow" / "build-dev.lock"
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            return int(json.loads(lock.read_text())["pid"])
        except (OSError, ValueError):
            time.sleep(0.01)
    raise AssertionError("the build did not begin")


def test_ctrl_c_cancels_the_running_statement_and_rolls_back(tmp_path: Path) -> None:
    project = Lawful(tmp_path)
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
    process = child(project, "build", "--threads", "1")
    _wait_for_lock(project)
    time.sleep(2)
    assert process.poll() is None, "the build ended too early to be interrupted"
    process.send_signal(signal.SIGINT)
    started = time.monotonic()
    _, told = process.communicate(timeout=20)
    assert time.monotonic() - started < 5
    assert process.returncode == 130, told
    assert _runs(project)[0]["status"] == "cancelled"
    assert project.rows("SELECT n FROM a.slow") == [(0,)]
    project.sql("DELETE FROM raw.big WHERE i > 3")
    built = project.build()
    assert built.code == 0, built.told
    assert project.planned() == []
    assert project.rows("SELECT count(*) FROM a.fast") == [(4,)]


@pytest.mark.parametrize("share", [0.35, 0.6, 0.85])
def test_ctrl_c_between_statements(tmp_path: Path, share: float) -> None:
    whole = begin(Lawful(tmp_path / "whole"))
    count = tmp_path / "count"
    _finish(child(whole, "build", COUNT=count))
    project = begin(Lawful(tmp_path / "interrupted"))
    process = child(project, "build", INTERRUPT_AT=int(int(count.read_text()) * share))
    _, told = process.communicate(timeout=60)
    assert process.returncode == 130, told
    assert "Traceback" not in told
    built = project.build()
    assert built.code == 0, built.told
    assert project.contents() == whole.contents()
    assert project.planned() == []


def test_a_build_beside_another_one_says_whose_turn_it_is(tmp_path: Path) -> None:
    project = begin(Lawful(tmp_path))
    first = child(project, "build", SLOW=0.08)
    pid = _wait_for_lock(project)
    assert pid == first.pid
    refused, waiting = child(project, "build", "--wait", "0"), child(project, "build", "--wait", "60")
    _, told = refused.communicate(timeout=60)
    _, told_later = waiting.communicate(timeout=60)
    assert refused.returncode == 1, told
    assert f"process {pid}" in told
    assert waiting.returncode == 0, told_later
    assert f"process {pid}" in told_later
    _finish(first)
    assert project.planned() == []
    whole = begin(Lawful(tmp_path / "whole"))
    assert whole.build().code == 0
    assert project.contents() == whole.contents()


def test_a_database_that_somebody_else_holds_is_told_with_its_process(tmp_path: Path) -> None:
    project = begin(Lawful(tmp_path))
    assert project.build().code == 0
    with project.connected():
        process = child(project, "build", "--wait", "0.2")
        _, told = process.communicate(timeout=60)
    assert process.returncode == 1, told
    assert "held by process" in told


def _finish(process: subprocess.Popen[str]) -> None:
    _, told = process.communicate(timeout=60)
    assert process.returncode == 0, told
