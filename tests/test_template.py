"""The template project on its real data: built, built again to nothing, a week later, and proven."""

from __future__ import annotations

import shutil
from pathlib import Path

import duckdb
import pytest
from markdown_cases import sqlflow

# What the data says, counted by hand in data/README.md: model -> rows up to 2013-06-30, and with the first week of July.
ROWS = {
    "staging.flights": (166_102, 172_316),
    "staging.weather": (26_112, 26_112),
    "intermediate.airport_days": (543, 564),
    "intermediate.cancellations": (4_881, 5_057),
    "intermediate.aircraft_last_seen": (3_825, 3_840),
    "intermediate.flights_with_weather": (166_102, 172_316),
    "marts.delays": (2_679, 2_783),
    "marts.carrier_ranking": (92, 107),
    "marts.daily_traffic": (181, 188),
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "flights_project"
    assert sqlflow(tmp_path, f"sqlflow init {folder.name}").code == 0
    return folder


def rows(project: Path) -> dict[str, int]:
    with duckdb.connect(str(project / "flights.duckdb"), read_only=True) as connection:
        return {name: connection.execute(f"SELECT count(*) FROM {name}").fetchall()[0][0] for name in ROWS}


def test_a_week_later_only_the_changed_days_are_written_and_all_equals_a_full_rebuild(project: Path) -> None:
    first = sqlflow(project, "sqlflow build")
    assert first.code == 0, first
    assert rows(project) == {name: before for name, (before, _) in ROWS.items()}
    assert "nothing to do" in sqlflow(project, "sqlflow build").err

    shutil.copy(project / "data/arriving/2013-07-week1.parquet", project / "data/flights")
    second = sqlflow(project, "sqlflow build")
    assert second.code == 0, second
    assert "marts.delays                       replace 2013-06-21 .. 2013-07-08, 253 rows" in second.err
    assert rows(project) == {name: after for name, (_, after) in ROWS.items()}
    assert "nothing to do" in sqlflow(project, "sqlflow build").err

    assert sqlflow(project, "sqlflow build --target rebuild").code == 0
    proof = sqlflow(project, "sqlflow diff --with rebuild")
    assert proof.code == 0, proof
    assert "17 compared: 17 equal, 0 differ" in proof.err


def test_the_dirt_of_the_data_is_told_as_warnings(project: Path) -> None:
    assert sqlflow(project, "sqlflow build").code == 0
    checked = sqlflow(project, "sqlflow check")
    assert checked.code == 0, checked
    assert "9 warned, 0 failed" in checked.err
    assert "references(destination -> seeds.airports.faa)  3,889 rows" in checked.out


def test_the_unit_tests_pass_before_anything_is_built(project: Path) -> None:
    tested = sqlflow(project, "sqlflow test")
    assert tested.code == 0, tested
    assert tested.err == "2 unit tests: 2 passed\n"
    assert not (project / "flights.duckdb").exists()
