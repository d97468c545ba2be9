"""Every command on a project whose target is on a server, as a user would run it."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from every_mode import FILES, begin, happen
from markdown_cases import sqlflow
from on_postgres import LawfulPostgres
from watching import errors, one, watching, write

MODELS = sum(path.startswith("models/") for path in FILES)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LawfulPostgres]:
    made = LawfulPostgres(tmp_path / "project")
    begin(made)
    monkeypatch.setenv("LAWFUL_URL", made.url)
    assert made.build().code == 0
    yield made
    made.drop()


def _run(project: LawfulPostgres, command: str, code: int = 0) -> str:
    ran = sqlflow(project.root, f"sqlflow {command}")
    assert ran.code == code, (command, ran.out, ran.err)
    return ran.out + ran.err


def test_what_can_be_read_is_read(project: LawfulPostgres) -> None:
    assert "inc.days" in _run(project, "list")
    assert "nothing to report" in _run(project, "lint")
    assert "total" in _run(project, "show inc.days -n 2")
    assert "n" in _run(project, "show staging.pieces -n 2")
    assert "raw.events.day" in _run(project, "lineage inc.days.day")
    assert "4 passed, 0 warned" in _run(project, "check")
    assert "done" in _run(project, "runs")
    assert "total BIGINT" in _run(project, "state show inc.days")
    assert "total BIGINT" in _run(project, "state schema inc.days")
    assert f"compiled {MODELS} models" in _run(project, "compile")
    assert "the build lock of `dev` is free" in _run(project, "state unlock")
    assert "nothing to clean" in _run(project, "clean")


def test_tables_are_verified(project: LawfulPostgres) -> None:
    assert "0 differ" not in _run(project, "verify")
    project.sql("UPDATE kept.keyed SET middle = middle + 1 WHERE k = 1")
    told = _run(project, "verify kept.keyed", 1)
    assert "differs  kept.keyed" in told
    assert "1 only in the query (+), 1 only in the table (-)" in told


def test_two_tables_of_one_database_are_compared(project: LawfulPostgres) -> None:
    project.sql("CREATE TABLE ext.before AS SELECT * FROM inc.days WHERE day <> '2024-01-02'")
    assert "equal   inc.days" in _run(project, "diff inc.days inc.days")
    told = _run(project, "diff inc.days ext.before", 1)
    assert "0 only there" in told
    assert "2024-01-02" in told
    assert "error[unknown-table]: there is no table `ext.nope`" in _run(project, "diff inc.days ext.nope", 1)


def test_what_a_server_does_not_have_is_refused(project: LawfulPostgres) -> None:
    text = (project.root / "sqlflow.yml").read_text()
    other = text.replace("targets: {", "targets: {file: {engine: duckdb, path: x.duckdb}, ")
    (project.root / "sqlflow.yml").write_text(
        other.replace("dev: {", "same: {engine: postgres, url: '${LAWFUL_URL}'}, dev: {") + "default_target: dev\n"
    )
    assert "error[not-available-yet]" in _run(project, "diff --with file", 1)
    assert "error[not-available-yet]" in _run(project, "diff --with same", 1)
    assert "error[not-available-yet]" in _run(project, "watch --build", 1)


def test_orphans_are_dropped(project: LawfulPostgres) -> None:
    project.remove("models/marts/keys.sql")
    project.remove("models/marts/lines.sql")
    assert "orphan  marts.keys" in _run(project, "clean")
    told = _run(project, "clean --drop")
    assert "dropped  marts.keys" in told
    assert "dropped  marts.lines" in told
    assert project.rows("SELECT to_regclass('marts.keys'), to_regclass('marts.lines')") == [(None, None)]
    assert "nothing to clean" in _run(project, "clean")
    assert project.planned() == []


def test_another_machine_carries_on(project: LawfulPostgres, tmp_path: Path) -> None:
    """It has the project's files and the address, and nothing else."""
    shutil.copytree(project.root, tmp_path / "there", ignore=shutil.ignore_patterns(".sqlflow", "target"))
    there = LawfulPostgres(tmp_path / "there", url=project.url)
    assert there.planned() == []
    assert "nothing to do" in there.build().told
    happen(there)
    planned = json.loads(there.plan())["tasks"]
    assert not any(task["table"] == "inc.batched" and task["action"] == "create table" for task in planned)
    assert there.build().code == 0
    shutil.copytree(there.root / "data", project.root / "data", dirs_exist_ok=True)
    for path in ("seeds/dims.csv", "models/inc/days.sql"):
        shutil.copy(there.root / path, project.root / path)
    built = project.build()
    assert "by a build that the run-state file had not seen" in built.told
    assert "nothing to do" in built.told


def test_watching_tells_problems_and_the_plan(project: LawfulPostgres) -> None:
    with watching(project.root) as session:
        assert one(session.told, "problems")["models"] == MODELS
        events = session.after(lambda: write(project.root, {"models/inc/new.sql": "SELECT nope FROM inc.days\n"}))
        assert errors(events) == ["unknown-column models/inc/new.sql:1"]
        events = session.after(lambda: write(project.root, {"models/inc/new.sql": "SELECT day FROM inc.days\n"}))
        assert errors(events) == []
        assert "inc.new" in json.dumps(one(events, "planned"))


def test_a_missing_driver_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "name: tiny\ntargets: {dev: {engine: postgres, url: 'postgresql://u@127.0.0.1:1/x'}}\n"
    write(tmp_path, {"sqlflow.yml": text, "models/a/one.sql": "SELECT 1 AS x\n"})
    monkeypatch.setitem(sys.modules, "psycopg", None)
    ran = sqlflow(tmp_path, "sqlflow build")
    assert ran.code == 1
    assert "error[missing-package]" in ran.err
    assert "pip install 'sqlflow[postgres]'" in ran.err
