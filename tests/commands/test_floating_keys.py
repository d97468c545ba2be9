"""Keys that are floating point numbers: two zeros that are equal, NaN, infinities, and numbers near the end of the range."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from markdown_cases import CONFIG, change_database, sqlflow
from opened import opened

MODELS = {
    "grouped": "SELECT x, count(*) AS n, sum(v) AS total, count(v) AS values FROM ext.t GROUP BY x",
    "extreme": "SELECT x, max(v) AS most, min(id) AS first_id FROM ext.t GROUP BY x",
    "holistic": "SELECT x, median(v) AS middle, count(DISTINCT k) AS ks FROM ext.t GROUP BY x",
    "two_keys": "SELECT k, x, count(*) AS n FROM ext.t GROUP BY ALL HAVING count(*) > 1",
    "distinct_x": "SELECT DISTINCT x FROM ext.t",
    "kept": "SELECT id, x, x * 10 AS more FROM ext.t WHERE x IS NOT NULL",
    "joined": "SELECT t.id, t.x, u.name FROM ext.t AS t JOIN ext.u AS u ON t.x = u.x",
    "lefts": "SELECT t.x, t.id, u.name FROM ext.t AS t LEFT JOIN ext.u AS u ON t.x = u.x",
    "named": "SELECT t.x, u.name, count(*) AS n FROM ext.t AS t LEFT JOIN ext.u AS u USING (x) GROUP BY ALL",
    "semis": "SELECT id, x FROM ext.t AS t SEMI JOIN ext.u AS u ON t.x = u.x",
    "newest": "SELECT x, id, v FROM ext.t QUALIFY row_number() OVER (PARTITION BY x ORDER BY id DESC, v) = 1",
    "singles": "SELECT CAST(x AS FLOAT) AS f, count(*) AS n FROM ext.t WHERE NOT abs(x) BETWEEN 1e38 AND 1e309 GROUP BY 1",
    "child": "SELECT n > 1 AS many, count(*) AS groups, sum(total) AS total FROM main.grouped GROUP BY ALL",
    "child_by_x": "SELECT g.x, g.n, e.most FROM main.grouped AS g JOIN main.extreme AS e ON e.x IS NOT DISTINCT FROM g.x",
}

BEGINNING = """
CREATE SCHEMA ext;
CREATE TABLE ext.t (id INTEGER, x DOUBLE, k INTEGER, v INTEGER);
CREATE TABLE ext.u (x DOUBLE, name VARCHAR);
INSERT INTO ext.t SELECT i, i % 50 + 0.5, i % 3, i FROM range(200) AS r(i);
INSERT INTO ext.t VALUES (1000, '-0.0', 1, 1), (1001, '0.0', 1, 2), (1002, 'NaN', 1, 3), (1003, 'NaN', 2, 4),
    (1004, 'inf', 1, 5), (1005, '-inf', 1, 6), (1006, 1e308, 1, 7), (1007, -1e308, 1, 8), (1008, 5e-324, 1, 9),
    (1009, NULL, 1, 10), (1010, 0.1 + 0.2, 1, 11), (1011, 0.3, 1, 12);
INSERT INTO ext.u VALUES ('0.0', 'zero'), ('NaN', 'none'), (1e308, 'vast'), (0.5, 'half'), (0.3, 'third');
"""
CHANGES = {
    "a zero of the other sign comes": "INSERT INTO ext.t VALUES (2000, '-0.0', 2, 20), (2001, '0.0', 2, 21)",
    "a zero changes its sign": "UPDATE ext.t SET x = CAST('0.0' AS DOUBLE) WHERE id = 1000",
    "a zero changes its sign in the other table": "UPDATE ext.u SET x = CAST('-0.0' AS DOUBLE) WHERE name = 'zero'",
    "one of two zeros goes": "DELETE FROM ext.t WHERE id = 1001",
    "a NaN comes": "INSERT INTO ext.t VALUES (2002, 'NaN', 1, 22)",
    "a NaN goes": "DELETE FROM ext.t WHERE id = 1002",
    "a NaN with its sign set": "INSERT INTO ext.t SELECT 2003, -CAST('NaN' AS DOUBLE), 1, 23",
    "a NaN becomes a number": "UPDATE ext.t SET x = 0.3 WHERE isnan(x) AND id = 1003",
    "a vast number comes and one goes": "INSERT INTO ext.t VALUES (2004, 1e308, 1, 24); DELETE FROM ext.t WHERE id = 1007",
    "one more than that overflows": "UPDATE ext.t SET x = x * 10 WHERE x = 1e308 AND id = 1006",
    "infinities change sides": "UPDATE ext.t SET x = -x WHERE isinf(x)",
    "the smallest number becomes zero": "UPDATE ext.t SET x = x / 2 WHERE id = 1008",
    "numbers that are nearly equal": "UPDATE ext.t SET x = 0.3 WHERE id = 1010",
    "NULL becomes NaN": "UPDATE ext.t SET x = CAST('NaN' AS DOUBLE) WHERE x IS NULL",
    "partners come and go": "DELETE FROM ext.u WHERE isnan(x); INSERT INTO ext.u VALUES ('inf', 'endless'), ('-0.0', 'nil')",
    "all zeros go": "DELETE FROM ext.t WHERE x = 0",
    "all NaN go": "DELETE FROM ext.t WHERE isnan(x)",
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    files = {
        "sqlflow.yml": CONFIG,
        **{f"models/{name}.sql": f"-- @strategy: delta\n{text}\n" for name, text in MODELS.items()},
    }
    for path, text in files.items():
        place = tmp_path / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
    change_database(tmp_path, BEGINNING)
    return tmp_path


def build(root: Path) -> dict[str, str]:
    """Build with the command, and say how each table was brought up to date."""
    ran = sqlflow(root, "sqlflow build")
    assert ran.code == 0, ran.err
    assert "were not those" not in ran.err, ran.err
    newest = json.loads(sqlflow(root, "sqlflow runs --json").out)[0]
    return {result["table"]: result["strategy"] for result in newest["results"]}


def differences(root: Path) -> dict[str, str]:
    """For each table by which rows it differs from its query, by EXCEPT ALL both ways."""
    found = {}
    with opened(root / "tiny.duckdb", read_only=True) as connection:
        for name, text in MODELS.items():
            surplus = connection.execute(f"FROM main.{name} EXCEPT ALL ({text})").fetchall()
            missing = connection.execute(f"({text}) EXCEPT ALL FROM main.{name}").fetchall()
            if surplus or missing:
                found[name] = f"has {surplus}, lacks {missing}"
    return found


def test_each_table_equals_its_query_after_each_change(project: Path) -> None:
    build(project)
    assert differences(project) == {}
    ways: dict[str, set[str]] = {}
    for change, sql in CHANGES.items():
        change_database(project, sql)
        for table, way in build(project).items():
            ways.setdefault(table, set()).add(way)
        assert differences(project) == {}, change
    followed = {name for name in MODELS if ways.get(f"main.{name}", set()) & {"delta", "keys"}}
    assert followed == set(MODELS)
    verified = sqlflow(project, "sqlflow verify")
    assert verified.code == 0, verified.err


def test_each_table_equals_its_query_after_all_changes_at_once(project: Path) -> None:
    build(project)
    change_database(project, "; ".join(CHANGES.values()))
    build(project)
    assert differences(project) == {}
    assert sqlflow(project, "sqlflow verify").code == 0
