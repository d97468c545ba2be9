"""Commands where their output, their files or their memory fail them: as processes of their own where the system decides."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path
from shutil import copytree

import pytest
from children import Child
from markdown_cases import sqlflow

SQLFLOW = [sys.executable, "-m", "sqlflow"]


def _tiny(folder: Path) -> Path:
    (folder / "models").mkdir()
    (folder / "sqlflow.yml").write_text("name: tiny\ntargets: {dev: {engine: duckdb, path: tiny.duckdb}}\n")
    (folder / "models" / "one.sql").write_text("SELECT 'größe' AS x\n")
    (folder / "models" / "two.sql").write_text('SELECT x AS "größe" FROM main.one\n')
    return folder


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return _tiny(tmp_path)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, built; to be copied."""
    project = _tiny(tmp_path_factory.mktemp("built"))
    assert sqlflow(project, "sqlflow build").code == 0
    return project


def _shell(project: Path, line: str, **environ: str) -> subprocess.CompletedProcess[str]:
    words = " ".join(SQLFLOW)
    return subprocess.run(
        ["bash", "-c", line.replace("sqlflow", words, 1)],
        cwd=project, capture_output=True, text=True, timeout=120, env={**os.environ, **environ},
    )  # fmt: skip


@pytest.mark.parametrize(
    "ending", [">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-", ">/dev/full", "2>/dev/full", "| head -c 1; exit ${PIPESTATUS[0]}"]
)  # fmt: skip
def test_a_build_does_not_need_anybody_to_read_what_it_prints(project: Path, ending: str) -> None:
    ran = _shell(project, f"sqlflow build --json {ending}")
    assert ran.returncode == 0, ran
    assert "Traceback" not in ran.stderr
    assert "Exception ignored" not in ran.stderr
    assert not list(project.glob("sqlflow-bug-*"))
    assert "nothing to do" in sqlflow(project, "sqlflow build").err


def test_what_a_command_is_there_to_print_and_cannot_is_told(project: Path) -> None:
    ran = _shell(project, "sqlflow list >/dev/full")
    assert ran.returncode == 1
    assert "could not be written: no space left on device" in ran.stderr
    assert _shell(project, "sqlflow list --json | head -c 1; exit ${PIPESTATUS[0]}").returncode == 0


def test_a_character_that_the_output_does_not_have_is_written_as_an_escape(project: Path) -> None:
    assert sqlflow(project, "sqlflow build").code == 0
    ran = _shell(project, "sqlflow show two --json", PYTHONIOENCODING="ascii")
    assert ran.returncode == 0, ran.stderr
    assert "größe" in json.dumps(json.loads(ran.stdout), ensure_ascii=False)
    (project / "models" / "two.sql").write_text("SELECT größe FROM main.one\n")
    ran = _shell(project, "sqlflow build", LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0")
    assert ran.returncode == 1
    assert "unknown-column" in ran.stderr


def test_a_run_state_file_that_somebody_holds_does_not_stop_a_build(project: Path) -> None:
    assert sqlflow(project, "sqlflow build").code == 0
    (project / "models" / "one.sql").write_text("SELECT 'another' AS x\n")
    with sqlite3.connect(project / ".sqlflow" / "state.db", isolation_level=None) as holder:
        holder.execute("BEGIN IMMEDIATE")
        ran = sqlflow(project, "sqlflow build")
        holder.execute("ROLLBACK")
    assert ran.code == 0, ran.err
    assert "the run-state file cannot be written (database is locked); the next build repairs it" in ran.err
    assert "built 2 models" in ran.err
    ran = sqlflow(project, "sqlflow build")
    assert "were written by a build that the run-state file had not seen" in ran.err
    assert "nothing to do" in ran.err


@pytest.mark.parametrize("command", ["build", "build --dry-run", "list", "check", "clean", "state show", "verify"])
def test_a_file_in_the_place_of_the_folder_is_told(project: Path, command: str) -> None:
    (project / ".sqlflow").write_text("")
    ran = sqlflow(project, f"sqlflow {command}")
    assert ran.code in (0, 1), ran
    assert "Traceback" not in ran.err
    assert "bug:" not in ran.err


@pytest.mark.parametrize("command", ["build", "build --dry-run", "list", "check", "clean --drop", "verify", "show one"])
def test_a_database_that_is_damaged_is_told(built: Path, tmp_path: Path, command: str) -> None:
    project = copytree(built, tmp_path / "project")
    database = project / "tiny.duckdb"
    content = bytearray(database.read_bytes())
    for start in range(12288, len(content), 4096):
        content[start : start + 2048] = os.urandom(2048)
    database.write_bytes(bytes(content))
    ran = Child(*command.split(), cwd=project)
    _, told = ran.communicate(timeout=120)
    assert ran.returncode in (0, 1), told
    assert "bug:" not in told, told


@pytest.fixture(scope="module")
def imports(tmp_path_factory: pytest.TempPathFactory) -> int:
    """How many modules a build imports: Python tells each of them, which is an event to wait for."""
    project = _tiny(tmp_path_factory.mktemp("imports"))
    ran = _shell(project, "sqlflow build", PYTHONPROFILEIMPORTTIME="1")
    assert ran.returncode == 0, ran.stderr
    return ran.stderr.count("import time:")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("share", [0.2, 0.6, 0.99])
def test_an_interrupt_at_any_time_is_no_traceback(
    project: Path, imports: int, number: signal.Signals, share: float
) -> None:
    with subprocess.Popen(
        [*SQLFLOW, "build"], cwd=project, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True,
        env={**os.environ, "PYTHONPROFILEIMPORTTIME": "1"},
    ) as started:  # fmt: skip
        assert started.stderr is not None
        ours = False
        for seen, line in enumerate(started.stderr):
            ours = ours or "sqlflow.cli.streams" in line  # before that Python itself begins, and nobody can answer
            if ours and seen >= imports * share:
                break
        started.send_signal(number)
        told = "".join(line for line in started.stderr if not line.startswith("import time:"))
    assert started.returncode in (0, 130), told
    assert "Traceback" not in told, told
    assert "Could not import" not in told, told


@pytest.mark.long  # what an address space holds depends on the machine
@pytest.mark.parametrize("kilobytes", range(200_000, 1_000_000, 100_000))
def test_too_little_memory_is_told(project: Path, kilobytes: int) -> None:
    for command in ("build", "build --full-refresh", "verify", "compile"):
        ran = _shell(project, f"ulimit -v {kilobytes}; sqlflow {command}")
        if "ABORT" not in ran.stderr:  # of the C library, which asks nobody
            assert ran.returncode in (0, 1), ran
        assert not list(project.glob("sqlflow-bug-*")), ran
