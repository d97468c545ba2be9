"""Commands that only look write nothing: the whole folder is the same before and after, byte for byte."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from markdown_cases import CONFIG, change_database, sqlflow

FILES = {
    "sqlflow.yml": CONFIG,
    "models/a/one.sql": "-- @checks:\n--   - not_null: x\nSELECT x FROM src",
    "models/a/two.sql": "-- @mode: incremental\n-- @time: d\nSELECT d, x FROM s.days",
    "seeds/s/days.csv": "d,x\n2024-01-01,1\n2024-01-02,2\n",
}
LOOKING = [
    "build --dry-run",
    "build --dry-run --json",
    "build --dry-run --sql --full-refresh",
    "build --dry-run --start 2024-01-01 two",
    "compile --dry-run",
    "compile --dry-run --json",
    "list",
    "lint",
    "state show",
    "runs",
    "clean",
    "clean --drop --dry-run",
    "lineage a.one",
    "show a.one",
    "check",
    "verify",
    "diff a.one a.two",
]


def tree(folder: Path) -> dict[str, str]:
    """Everything in a folder: files by their hash, folders by name."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "folder"
        for path in sorted(folder.rglob("*"))
    }


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for path, text in FILES.items():
        place = tmp_path / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
    return tmp_path


@pytest.mark.parametrize("command", LOOKING)
def test_nothing_is_written_when_there_is_no_database(project: Path, command: str) -> None:
    (project / "models/a/one.sql").write_text("SELECT x FROM s.days")
    before = tree(project)
    ran = sqlflow(project, f"sqlflow {command}")
    assert ran.code in (0, 1), ran
    assert tree(project) == before


def test_nothing_is_written_when_all_is_built(project: Path) -> None:
    change_database(project, "CREATE TABLE src AS SELECT 1 AS x")
    assert sqlflow(project, "sqlflow build").code == 0
    before = tree(project)
    for command in LOOKING:
        ran = sqlflow(project, f"sqlflow {command}")
        assert ran.code in (0, 1), (command, ran)
        assert tree(project) == before, command


def test_nothing_is_written_when_there_is_much_to_do(project: Path) -> None:
    change_database(project, "CREATE TABLE src AS SELECT 1 AS x")
    assert sqlflow(project, "sqlflow build").code == 0
    change_database(project, "INSERT INTO src VALUES (2); DROP TABLE a.two")
    (project / "models/a/three.sql").write_text("SELECT 1 AS x")
    (project / "seeds/s/days.csv").write_text("d,x\n2024-01-05,1\n")
    before = tree(project)
    for command in LOOKING:
        ran = sqlflow(project, f"sqlflow {command}")
        assert ran.code in (0, 1), (command, ran)
        assert tree(project) == before, command


def test_a_wrong_project_leaves_no_database_behind(project: Path) -> None:
    (project / "models/a/one.sql").write_text("SELECT nope FROM s.days")
    assert sqlflow(project, "sqlflow build").code == 1
    assert not (project / "tiny.duckdb").exists()
