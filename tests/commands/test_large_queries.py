"""Queries that programs write: very long, or nested very deeply. They are built, or refused with a word; never a bug."""

from __future__ import annotations

from pathlib import Path

import pytest
from every_engine import NewProject, on_every_engine
from markdown_cases import sqlflow

LONG = {
    "AND": "SELECT x FROM a.one WHERE " + " AND ".join(f"x <> {n}" for n in range(2, 1500)),
    "OR": "SELECT x FROM a.one WHERE " + " OR ".join(f"x = {n}" for n in range(1500)),
    "IN": "SELECT x FROM a.one WHERE x IN (" + ", ".join(map(str, range(20_000))) + ")",
    "UNION ALL": " UNION ALL ".join(f"SELECT {n} AS x" for n in range(600)),
    "a string": "SELECT x, '" + "a" * 1_000_000 + "' AS s FROM a.one",
    "CTEs that read the one before twice": "WITH c0 AS (SELECT x FROM a.one)"
    + "".join(f", c{n} AS (SELECT l.x FROM c{n - 1} AS l JOIN c{n - 1} AS r ON l.x = r.x)" for n in range(1, 20))
    + " SELECT x FROM c19",
}
DEEP = {
    "NOT": "SELECT x FROM a.one WHERE " + "NOT " * 900 + "(x > 1)",
    "more NOT": "SELECT x FROM a.one WHERE " + "NOT " * 5000 + "(x > 1)",
    "+": "SELECT " + " + ".join(["x"] * 3000) + " AS s FROM a.one",
    "brackets": "SELECT " + "(" * 2000 + "x" + ")" * 2000 + " AS s FROM a.one",
    "CASE": "SELECT " + "CASE WHEN x = 1 THEN 0 ELSE " * 2000 + "x" + " END" * 2000 + " AS s FROM a.one",
    "calls": "SELECT " + "abs(" * 2000 + "x" + ")" * 2000 + " AS s FROM a.one",
    "EXISTS": "SELECT x FROM a.one WHERE " + "EXISTS (SELECT 1 FROM a.one WHERE " * 400 + "x = 1" + ")" * 400,
    "casts": "SELECT x" + "::INTEGER" * 2000 + " AS s FROM a.one",
}


def project(root: Path, query: str) -> Path:
    (root / "models/a").mkdir(parents=True)
    (root / "sqlflow.yml").write_text("name: large\ntargets: {dev: {engine: duckdb, path: large.duckdb}}\n")
    (root / "models/a/one.sql").write_text("SELECT 1 AS x\n")
    (root / "models/a/large.sql").write_text(query + "\n")
    (root / "models/a/reader.sql").write_text("SELECT count(*) AS n FROM a.large\n")
    return root


@pytest.mark.parametrize("what", LONG)
def test_a_long_query_is_built(tmp_path: Path, what: str) -> None:
    ran = sqlflow(project(tmp_path, LONG[what]), "sqlflow build")
    assert ran.code == 0, ran.err[-2000:]


@pytest.mark.parametrize("what", DEEP)
def test_a_query_that_is_nested_too_deeply_is_told_at_its_place_or_built(tmp_path: Path, what: str) -> None:
    ran = sqlflow(project(tmp_path, DEEP[what]), "sqlflow build")
    if ran.code != 0:
        assert ran.code == 1, ran.err[-2000:]
        assert "error[too-deep]" in ran.err, ran.err[-2000:]
        assert "--> models/a/large.sql:1:1" in ran.err
        assert "1 error\n" in ran.err


# ---------------------------------------------------------------- inline models


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    on_every_engine(metafunc, short=["test_inline_models_that_read_the_one_before_twice"])


def test_inline_models_that_read_the_one_before_twice(tmp_path: Path, new_project: NewProject) -> None:
    files = {
        "models/a/one.sql": "SELECT 1 AS x, 2 AS y\n",
        "models/a/c0.sql": "-- @mode: inline\nSELECT x, y FROM a.one\n",
    }
    for n in range(1, 30):
        files[f"models/a/c{n}.sql"] = (
            f"-- @mode: inline\nSELECT l.x, r.y + 1 AS y FROM a.c{n - 1} AS l JOIN c{n - 1} AS r ON l.x = r.x\n"
        )
    files["models/a/last.sql"] = (
        "WITH mine AS (SELECT x, y FROM a.c29)\nSELECT m.x, m.y, c28.y AS z FROM mine AS m JOIN a.c28 ON c28.x = m.x\n"
    )
    there = new_project(tmp_path / "project")
    there.begin(files)
    built = there.build()
    assert built.code == 0, built.told
    with there.connected() as connection:
        assert connection.execute("SELECT x, y, z FROM a.last").fetchall() == [(1, 31, 30)]


def test_a_chain_of_hundreds_of_inline_models_is_one_short_query(tmp_path: Path) -> None:
    root = project(tmp_path, "SELECT x FROM c299")
    (root / "models/a/c0.sql").write_text("-- @mode: inline\nSELECT x FROM a.one\n")
    for n in range(1, 300):
        (root / f"models/a/c{n}.sql").write_text(f"-- @mode: inline\nSELECT x + 1 AS x FROM c{n - 1}\n")
    assert sqlflow(root, "sqlflow build").code == 0
    assert sqlflow(root, "sqlflow show a.large").out.split() == ["x", "---", "300"]
    assert sqlflow(root, "sqlflow compile").code == 0
    assert len((root / "target/compiled/a/large.sql").read_text()) < 300 * 60
    assert sqlflow(root, "sqlflow build").err.startswith("nothing to do")


def test_lineage_goes_through_inline_models_that_have_become_ctes(tmp_path: Path) -> None:
    root = project(tmp_path, "SELECT x FROM c39")
    (root / "models/a/c0.sql").write_text("-- @mode: inline\nSELECT x FROM a.one\n")
    for n in range(1, 40):
        (root / f"models/a/c{n}.sql").write_text(f"-- @mode: inline\nSELECT x + 1 AS x FROM c{n - 1}\n")
    assert "a.one.x" in sqlflow(root, "sqlflow lineage a.large.x").out


def test_an_error_inside_a_shared_inline_model_is_placed_where_it_is_read(tmp_path: Path) -> None:
    root = project(tmp_path, "SELECT\n    l.x\nFROM a.cast_x AS l\nJOIN a.cast_x AS r ON l.x = r.x")
    (root / "models/a/one.sql").write_text("SELECT 'one' AS x\n")
    (root / "models/a/cast_x.sql").write_text("-- @mode: inline\nSELECT x::INTEGER AS x FROM a.one\n")
    ran = sqlflow(root, "sqlflow build")
    assert ran.code == 1
    assert "--> models/a/large.sql:3:6" in ran.err
    assert "note: the engine ran it as `x::INTEGER`" in ran.err


def test_too_many_inline_models_are_told(tmp_path: Path) -> None:
    root = project(tmp_path, "SELECT x FROM c599")
    (root / "models/a/c0.sql").write_text("-- @mode: inline\nSELECT x FROM a.one\n")
    for n in range(1, 600):
        (root / f"models/a/c{n}.sql").write_text(f"-- @mode: inline\nSELECT x + 1 AS x FROM c{n - 1}\n")
    ran = sqlflow(root, "sqlflow build")
    assert ran.code == 1
    assert ran.err.count("error[too-many-inline]") == 1, ran.err[:2000]
