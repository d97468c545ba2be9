"""`--json`: stdout is JSON and nothing else, with the fields that are promised."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from markdown_cases import CONFIG, change_database, sqlflow


@pytest.fixture
def project(tmp_path: Path) -> Path:
    files = {
        "sqlflow.yml": CONFIG,
        "models/a/one.sql": "-- The first.\n-- @tags: daily\n-- @checks:\n--   - not_null: x\nSELECT x FROM src",
        "models/a/two.sql": "-- @mode: incremental\n-- @time: d\nSELECT DATE '2024-01-01' AS d, x FROM a.one",
    }
    for path, text in files.items():
        place = tmp_path / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
    change_database(tmp_path, "CREATE TABLE src AS SELECT 1 AS x")
    return tmp_path


def told(project: Path, command: str, code: int = 0) -> Any:
    ran = sqlflow(project, f"sqlflow {command} --json")
    assert ran.code == code, ran
    return json.loads(ran.out)


def test_a_plan(project: Path) -> None:
    plan = told(project, "build --dry-run")
    assert set(plan) == {"tasks", "skipped", "orphans", "problems", "analysed"}
    task = plan["tasks"][0]
    assert task["table"] == "a.one"
    assert task["reason"] == {"kind": "new", "detail": "it is new"}
    assert {"action", "mode", "strategy", "intervals", "steps", "checks", "needs", "expected_rows"} <= set(task)


def test_a_build_is_a_line_for_each_event(project: Path) -> None:
    ran = sqlflow(project, "sqlflow build --json")
    assert ran.code == 0
    events = [json.loads(line) for line in ran.out.splitlines()]
    assert events[0].keys() & {"event", "type"}
    assert len(events) >= 4
    assert "a.one" in ran.out


def test_warnings_of_the_project_are_events_of_a_build_and_problems_of_a_plan(project: Path) -> None:
    (project / "models/schema.yml").write_text("models: []")
    (problem,) = told(project, "build --dry-run")["problems"]
    assert (problem["code"], problem["file"]) == ("unread-file", "models/schema.yml")
    assert told(project, "compile")["problems"] == [problem]
    ran = sqlflow(project, "sqlflow build --json")
    first = json.loads(ran.out.splitlines()[0])
    assert first == {"event": "told", **problem}


def test_a_failed_build_is_json_too(project: Path) -> None:
    (project / "models/a/one.sql").write_text("SELECT CASE WHEN x = 1 THEN error('boom') ELSE x END AS x FROM src")
    ran = sqlflow(project, "sqlflow build --json")
    assert ran.code == 1
    assert all(json.loads(line) for line in ran.out.splitlines())
    assert "boom" in ran.out


@pytest.mark.parametrize(
    "command", ["build", "build --dry-run", "compile", "list", "show a.one", "check", "lineage a.one"]
)
def test_problems(project: Path, command: str) -> None:
    (project / "models/a/one.sql").write_text("SELECT\n  nope FROM src")
    [problem] = told(project, command, 1)["problems"]
    assert problem["code"] == "unknown-column"
    assert problem["severity"] == "error"
    assert "nope" in problem["message"]
    assert "models/a/one.sql" in json.dumps(problem)


def test_a_wrong_sqlflow_yml(project: Path) -> None:
    (project / "sqlflow.yml").write_text("name: [")
    assert told(project, "list", 1)["problems"]


def test_the_manifest(project: Path) -> None:
    manifest = told(project, "compile")
    assert manifest.pop("analysed") == ["a.one", "a.two"]
    assert manifest.pop("problems") == []
    assert json.loads((project / "target/manifest.json").read_text()) == manifest
    model = manifest["models"]["a.one"]
    assert model["file"] == "models/a/one.sql"
    assert model["description"] == "The first."
    assert model["tags"] == ["daily"]
    assert model["checks"] == ["not_null(x)"]
    assert model["columns"] == [
        {"name": "x", "type": "INTEGER", "description": "", "tags": [], "kind": "identity", "from": ["main.src.x"]}
    ]
    assert manifest["models"]["a.two"]["parents"] == ["a.one"]
    assert manifest["undeclared"] == ["main.src"]


def test_readers(project: Path) -> None:
    assert sqlflow(project, "sqlflow build").code == 0
    assert [row["name"] for row in told(project, "list")] == ["a.one", "a.two"]
    assert told(project, "show a.one") == [{"x": 1}]
    check = told(project, "check")["checks"][0]
    assert (check["table"], check["check"], check["status"], check["failing"]) == ("a.one", "not_null(x)", "passed", 0)
    lineage = told(project, "lineage a.two.x")
    assert lineage["direct"] == {"x": ["a.one.x"]}
    assert lineage["complete"] is True
    state = told(project, "state show")
    assert {row["table"] for row in state} >= {"a.one", "a.two"}
    one = told(project, "state show a.two")
    assert one["columns"] == ["d DATE", "x INTEGER"]
    assert told(project, "state schema a.two")[0]["columns"] == [["d", "DATE"], ["x", "INTEGER"]]
    run = told(project, "runs")[0]
    assert run["status"] == "done"
    assert {result["table"] for result in run["results"]} == {"a.one", "a.two"}
    difference = told(project, "diff a.one src", 0)[0]
    assert difference["equal"] is True
    assert told(project, "clean") == []
    assert isinstance(told(project, "lint"), list)


def test_a_failed_check(project: Path) -> None:
    assert sqlflow(project, "sqlflow build").code == 0
    change_database(project, "INSERT INTO a.one VALUES (NULL)")
    check = told(project, "check", 1)["checks"][0]
    assert (check["status"], check["failing"]) == ("failed", 1)
    assert check["sample"]


def test_values_of_all_kinds(project: Path) -> None:
    (project / "models/a/kinds.sql").write_text(
        "SELECT 'NaN'::DOUBLE AS nan, 'inf'::DOUBLE AS inf, 12345678901234567890.12::DECIMAL(38, 2) AS dec, "
        "[1, 2] AS list, {'a': 1} AS struct, '\\x00'::BLOB AS blob, INTERVAL 1 DAY AS step, 'ä\"' AS text, "
        "TIMESTAMPTZ '2024-01-01 00:00+00' AS moment"
    )
    assert sqlflow(project, "sqlflow build").code == 0
    [row] = told(project, "show a.kinds")
    assert row["list"] == [1, 2]
    assert row["struct"] == {"a": 1}
    assert row["text"] == 'ä"'
    assert row["moment"].startswith("2024-01-01")
