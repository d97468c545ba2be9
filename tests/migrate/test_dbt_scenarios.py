"""Situations that were run with dbt-core 1.12.6 and dbt-duckdb 1.11.1: migrated, and run with SQLFlow, they end with the same
tables, or with what SQLFlow promises instead and says.

Somebody else's writes into a table that dbt made from a seed are made in the seed's file, since SQLFlow loads a seed again
whose table was changed.
"""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import duckdb
import pytest
from markdown_cases import sqlflow

SCENARIOS: list[dict[str, Any]] = json.loads(Path(__file__).with_name("dbt_scenarios.json").read_text(encoding="utf-8"))

OTHERWISE = {
    "INC-04": "No test says that `state` is unique",
    "INC-07": "No test says that `state` is unique",
    "INC-13": "`merge_exclude_columns` has no counterpart",
    "INC-16": "`merge_update_columns` has no counterpart",
    "INC-19": "later runs of dbt run another query",
    "INC-22": "later runs of dbt run another query",
    "OSC-01": "later runs of dbt run another query",
    "MIC-01": "SQLFlow writes the intervals whose inputs changed",
    "MIC-04": "a microbatch model needs `event_time`",
}
"""Where SQLFlow does something else, and what the report says of it."""

NOT_COMPARED = {
    "SED-07": "a seed with other columns is loaded again, without --full-refresh",
    "TST-07": "failing rows are kept by SQLFlow's own means",
    "MIS-01": "there is no --empty",
}
"""What is about commands of dbt, and not about a project."""


SAME = [one for one in SCENARIOS if one["id"] not in OTHERWISE and one["id"] not in NOT_COMPARED]


@pytest.mark.parametrize("scenario", SAME, ids=[one["id"] for one in SAME])
def test_a_migrated_project_gives_the_tables_that_dbt_gave(scenario: dict[str, Any], tmp_path: Path) -> None:
    Run(tmp_path).steps(scenario)


@pytest.mark.parametrize(
    "scenario",
    [one for one in SCENARIOS if one["id"] in OTHERWISE],
    ids=[one["id"] for one in SCENARIOS if one["id"] in OTHERWISE],
)
def test_a_project_whose_tables_would_differ_is_told_in_the_report(scenario: dict[str, Any], tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.write_project(scenario)
    assert sqlflow(tmp_path, "sqlflow migrate dbt dbt --out new").code == 0
    assert OTHERWISE[scenario["id"]] in (tmp_path / "new" / "migration-report.md").read_text(encoding="utf-8")


class Run:
    """A scenario that is being run: a dbt project, and the SQLFlow project that is made of it before each step."""

    def __init__(self, root: Path) -> None:
        self.dbt, self.new = root / "dbt", root / "new"
        self.root = root
        self.database = self.new / "t.duckdb"
        self.failed = ""

    def write_project(self, scenario: dict[str, Any]) -> None:
        self._write("dbt_project.yml", "name: t\nprofile: t\n")
        for name, text in scenario["files"].items():
            self._write(name, text)

    def steps(self, scenario: dict[str, Any]) -> None:
        self.write_project(scenario)
        steps = scenario["trace"]
        tested = any(step.get("dbt") == "test" and not step["success"] for step in steps)
        for step in steps:
            if "dbt" in step:
                self._dbt(step, tested)
            elif "write" in step:
                self._write(step["write"], step["content"])
            elif "sql" in step:
                self._sql(step["sql"])
            elif "query" in step:
                self._query(step)

    def _write(self, name: str, text: str) -> None:
        path = self.dbt / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def _dbt(self, step: dict[str, Any], tested: bool) -> None:
        """`tested`: a test fails later. SQLFlow does not publish such a table in the first place."""
        command, *options = step["dbt"].split()
        for folder in ("models", "seeds", "sources", "tests"):
            shutil.rmtree(self.new / folder, ignore_errors=True)
        self.new.mkdir(exist_ok=True)
        (self.new / "sqlflow.yml").touch()
        migrated = sqlflow(self.root, "sqlflow migrate dbt dbt --out new")
        assert migrated.code == 0, migrated.err
        words = "sqlflow check" if command == "test" else "sqlflow build"
        if command == "snapshot":
            words += " +mode:snapshot"
        if command == "seed":
            words += "".join(f" main.{seed.stem}" for seed in self.dbt.glob("seeds/*.csv"))
        if "--full-refresh" in options:
            words += " --full-refresh"
        ran = sqlflow(self.root, f"{words} --project new")
        if command == "test" and ran.code == 0 and list(self.new.glob("tests/**/*.yml")):
            ran = sqlflow(self.root, "sqlflow test --project new")
        if tested and ("check-failed" in ran.err or "not built yet" in ran.err):
            return
        assert (ran.code == 0) == step["success"], f"{words}: {ran.out}{ran.err}"

    def _sql(self, sql: str) -> None:
        self.database.parent.mkdir(exist_ok=True)
        with duckdb.connect(str(self.database)) as connection:
            connection.execute(sql)
            for seed in self.dbt.glob("seeds/*.csv"):
                connection.execute(f"COPY {seed.stem} TO '{seed}' (HEADER)")

    def _query(self, step: dict[str, Any]) -> None:
        if not self.database.exists():
            assert step["rows"] == [[0]]
            return
        with duckdb.connect(str(self.database), read_only=True) as connection:
            sql = step["query"].replace("information_schema.tables", _OWN_TABLES)
            found = connection.execute(sql)
            assert [one[0] for one in found.description or ()] == step["columns"]
            rows = Counter(tuple(_plain(value) for value in row) for row in found.fetchall())
        assert rows == Counter(tuple(_plain(value) for value in row) for row in step["rows"])


_OWN_TABLES = "(SELECT * FROM information_schema.tables WHERE table_schema <> '_sqlflow') AS t"


def _plain(value: object) -> object:
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)
