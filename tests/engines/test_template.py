"""The template project on both targets: the same tables, before and after a week arrives."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest
from on_postgres import LawfulPostgres
from tables import same_rows
from test_template import ROWS

from sqlflow.cli.build import Options, build
from sqlflow.cli.compile import compile_project

TEMPLATE = Path(__file__).parents[2] / "project_template"
ZONE = "America/New_York"
# A day of seven, or a cent: halves that a DOUBLE cannot hold are rounded as DECIMAL, which holds them.
ROUNDED = 0.011


@pytest.fixture
def there(tmp_path: Path) -> Iterator[LawfulPostgres]:
    shutil.copytree(TEMPLATE, tmp_path / "flights", ignore=shutil.ignore_patterns("*.duckdb", ".sqlflow"))
    project = LawfulPostgres(tmp_path / "flights", ZONE)
    settings = project.root / "sqlflow.yml"
    target = "  there: {engine: postgres, url: '${LAWFUL_URL}'}\ndefault_target:"
    settings.write_text(settings.read_text().replace("default_target:", target))
    yield project
    project.drop()


def test_the_template_builds_the_same_tables_on_both_targets(
    there: LawfulPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAWFUL_URL", there.url)
    arriving = there.root / "data/arriving/2013-07-week1.parquet"
    assert build(Options(project=there.root, target="there", wait=0)) == 0
    shutil.copy(arriving, there.root / "data/flights")
    for target in ("there", "dev"):
        assert build(Options(project=there.root, target=target, wait=0)) == 0
    with duckdb.connect(str(there.root / "flights.duckdb"), read_only=True) as here, there.connected() as server:
        here.execute(f"SET TimeZone = '{ZONE}'")
        names = here.execute(
            "SELECT schema_name || '.' || table_name FROM duckdb_tables() WHERE schema_name <> '_sqlflow'"
        )
        tables = [name for (name,) in names.fetchall()]
        assert {name for name in ROWS if not name.startswith("staging")} <= set(tables)
        for name in (*tables, "staging.weather", "marts.data_gaps"):
            columns = here.execute(f"FROM {name} LIMIT 0").description or []
            listed = ", ".join(f'"{column[0]}"' for column in columns)
            mine = here.execute(f"SELECT {listed} FROM {name}").fetchall()
            theirs = server.execute(f"SELECT {listed} FROM {name}").fetchall()
            assert len(mine) > 0
            assert same_rows(mine, theirs, ROUNDED) == "", name


def test_compile_shows_both_texts(there: LawfulPostgres, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAWFUL_URL", there.url)
    there.write(
        {
            "sqlflow.yml": "name: two\ndialect: duckdb\ntargets: {there: {engine: postgres, url: '${LAWFUL_URL}'}}\n",
            "sources/raw.yml": "raw.t: {table: ext.t, columns: {k: INTEGER, v: INTEGER}}\n",
        }
    )
    for folder in ("models", "macros", "seeds", "tests"):
        shutil.rmtree(there.root / folder)
    there.write({"models/m/sums.sql": "SELECT k, sum(v) AS n\nFROM raw.t GROUP BY ALL\n"})
    there.sql("CREATE SCHEMA ext", "CREATE TABLE ext.t (k INTEGER, v INTEGER)")
    assert compile_project(there.root, None, (), json=False) == 0
    shown = (there.root / "target/compiled/m/sums.sql").read_text()
    assert shown.startswith("-- As it is written:\n-- SELECT k, sum(v) AS n\n-- FROM raw.t GROUP BY ALL\n\nSELECT\n")
    assert "GROUP BY\n  1" in shown
