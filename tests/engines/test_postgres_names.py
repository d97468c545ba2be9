"""Names on PostgreSQL, which keeps 63 bytes of each."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from lawful import Lawful
from on_postgres import LawfulPostgres

from sqlflow.core.diagnostics import ProjectError

LONG = "orders_per_customer_and_country_with_all_returns_and_more_of"  # 60 bytes


@pytest.fixture
def project(tmp_path: Path) -> Iterator[LawfulPostgres]:
    made = LawfulPostgres(tmp_path / "project")
    made.begin({})
    yield made
    made.drop()


def test_names_that_would_be_cut_are_refused(project: LawfulPostgres) -> None:
    project.write(
        {
            f"models/a/{LONG}_one.sql": "SELECT 1 AS x",
            f"models/a/{LONG}_two.sql": "SELECT 2 AS x",
            f"seeds/{LONG}_seed.csv": "id\n1\n",
            "seeds/wide.csv": f"{LONG}_column\n1\n",
            f"sources/{LONG}.yml": f"raw.{LONG}_source: {{table: ext.t}}\n",
        }
    )
    with pytest.raises(ProjectError) as stopped:
        project.build()
    assert [problem.code for problem in stopped.value.diagnostics].count("name-too-long") == 5


def test_long_names_are_as_good_as_short_ones(project: LawfulPostgres) -> None:
    merged, twin, days, parts, followed = (f"{LONG}{ending}" for ending in ("_1a", "_2a", "_3a", "_4a", "_5a"))
    project.sql("CREATE SCHEMA ext")
    project.sql(
        "CREATE TABLE ext.src AS SELECT i::INTEGER AS id, DATE '2024-01-01' + i::INTEGER AS d, i::BIGINT AS v, "
        "'I' AS op FROM range(5) AS r(i)"
    )
    merge = "-- @mode: merge\n-- @key: id\n-- @cursor: v\n-- @deleted: {column: op, values: [D]}\n"
    project.write(
        {
            f"models/a/{merged}.sql": f"{merge}SELECT id, v, op FROM ext.src",
            f"models/a/{twin}.sql": f"{merge}SELECT id, v, op FROM ext.src WHERE id > 1",
            f"models/a/{days}.sql": "-- @mode: incremental\n-- @time: d\n-- @batch: 2 days\n-- @start: 2024-01-01\n"
            "SELECT d, count(*) AS n FROM ext.src GROUP BY d",
            f"models/a/{parts}.sql": "-- @mode: incremental\n-- @time: d\n-- @partition_by: {column: d, by: day}\n"
            "SELECT d, id FROM ext.src",
            f"models/a/{followed}.sql": f"-- @strategy: delta\nSELECT v % 2 AS odd, count(*) AS n FROM a.{merged} GROUP BY 1",
        }
    )
    for change in (
        "INSERT INTO ext.src VALUES (1, '2024-01-02', 10, 'D'), (7, '2024-01-08', 11, 'I')",
        "INSERT INTO ext.src VALUES (1, '2024-01-02', NULL, 'I')",
        "UPDATE ext.src SET d = '2024-01-05' WHERE id = 3",
    ):
        built = project.build()
        assert built.code == 0, built.told
        assert project.planned() == []
        project.sql(change)
    built = project.build()
    assert built.code == 0, built.told
    assert project.planned() == []
    assert [row[0] for row in project.rows(f"SELECT id FROM a.{merged} ORDER BY id")] == [0, 2, 3, 4, 7]
    assert [row[0] for row in project.rows(f"SELECT id FROM a.{twin} ORDER BY id")] == [2, 3, 4, 7]
    for query, table in (
        ("SELECT d, count(*) AS n FROM ext.src GROUP BY d", days),
        ("SELECT d, id FROM ext.src", parts),
        (f"SELECT v % 2 AS odd, count(*) AS n FROM a.{merged} GROUP BY 1", followed),
    ):
        assert sorted(map(repr, project.rows(query))) == sorted(map(repr, project.rows(f"SELECT * FROM a.{table}")))


def test_a_model_whose_name_has_capitals_is_read_in_any_case_by_the_sql_of_duckdb(project: LawfulPostgres) -> None:
    project.write(
        {
            "models/b/Model7.sql": "SELECT 1 AS id",
            "models/a/one.sql": "SELECT id FROM b.Model7",
            "models/a/two.sql": "SELECT Model7.id FROM b.MODEL7",
            "models/a/three.sql": "SELECT x.id FROM b.Model7 x JOIN b.model7 ON model7.id = x.id",
            "models/a/four.sql": 'SELECT id FROM b."Model7"',
        }
    )
    built = project.build()
    assert built.code == 0, built.told
    assert project.planned() == []
    assert (
        project.rows("SELECT id FROM a.one UNION ALL SELECT id FROM a.two UNION ALL SELECT id FROM a.three")
        == [(1,)] * 3
    )


@pytest.mark.parametrize("dialect", ["duckdb", "postgres"])
def test_a_table_whose_name_has_capitals_is_read_in_any_case(project: LawfulPostgres, dialect: str) -> None:
    settings = (project.root / "sqlflow.yml").read_text()
    project.write(
        {
            "sqlflow.yml": settings.replace("dialect: duckdb", f"dialect: {dialect}"),
            "sources/raw.yml": "raw.Customers: {table: ext.c}\n",
            "models/a/declared.sql": "SELECT Customers.id FROM raw.Customers JOIN RAW.customers AS o ON o.id = Customers.id",
            "models/a/undeclared.sql": 'SELECT id FROM ext.ORDERS UNION ALL SELECT "orders".id FROM ext."orders"',
        }
    )
    project.own_sql(
        "CREATE SCHEMA ext", "CREATE TABLE ext.c AS SELECT 1 AS id", 'CREATE TABLE ext."Orders" AS SELECT 2 AS id'
    )
    for _ in range(2):
        built = project.build()
        assert built.code == 0, built.told
        assert project.planned() == []
        project.own_sql("UPDATE ext.c SET id = 5", 'UPDATE ext."Orders" SET id = 6')
    assert project.build().code == 0
    assert project.rows("SELECT id FROM a.declared") == [(5,)]
    assert project.rows("SELECT id FROM a.undeclared") == [(6,), (6,)]


def test_two_tables_whose_names_differ_only_in_case_are_refused(project: LawfulPostgres) -> None:
    project.own_sql("CREATE SCHEMA ext")
    for name, number in (('"Customers"', 1), ("customers", 2), ('"Other"', 3), ("other", 4)):
        project.own_sql(f"CREATE TABLE ext.{name} AS SELECT {number} AS id")
    project.write({"models/a/t.sql": "SELECT id FROM ext.customers", "sources/raw.yml": "raw.o: {table: ext.other}\n"})
    with pytest.raises(ProjectError) as stopped:
        project.build()
    told = {str(problem.span): problem.message for problem in stopped.value.diagnostics}
    assert all(problem.code == "ambiguous-table" for problem in stopped.value.diagnostics)
    assert told.keys() == {"models/a/t.sql:1:16", "sources/raw.yml:1:1"}
    assert '`"ext"."Customers"`, `"ext"."customers"`' in told["models/a/t.sql:1:16"]
    project.own_sql('ALTER TABLE ext."Customers" RENAME TO old', 'DROP TABLE ext."Other"')
    built = project.build()
    assert built.code == 0, built.told
    assert project.rows("SELECT id FROM a.t") == [(2,)]


CAPITALS = {
    "b/ids": 'SELECT i AS id, i * 10 AS "Val" FROM range(1, 4) AS r(i)',
    "a/joined": "SELECT c.id, NAME, \"order\", low, Val FROM seeds.codes AS c JOIN b.ids USING (ID) WHERE name <> 'zz'",
    "a/within": 'WITH x AS (SELECT id, name AS "Name" FROM seeds.codes) SELECT name AS "Shown", count(*) AS n FROM x GROUP BY ALL',
    "a/some": "SELECT * FROM seeds.codes WHERE ID = 1",
    "a/everything": "SELECT * FROM seeds.codes",
    "a/given": 'SELECT codes.ID AS "ID" FROM seeds.codes ORDER BY id',
    "a/followed": "-- @strategy: delta\nSELECT Name, sum(id) AS total FROM seeds.codes GROUP BY name",
}


def test_a_column_with_capitals_is_read_in_any_case_by_the_sql_of_duckdb(
    project: LawfulPostgres, tmp_path: Path
) -> None:
    here = Lawful(tmp_path / "here")
    here.begin({})
    for made in (here, project):
        made.write({f"models/{path}.sql": query for path, query in CAPITALS.items()})
        for rows in ("1,a,5,x\n2,b,6,y\n", "1,a,5,x\n2,b,6,z\n3,a,7,y\n"):
            made.write({"seeds/codes.csv": f"Id,Name,Order,low\n{rows}"})
            built = made.build()
            assert built.code == 0, built.told
            assert made.planned() == []
    for path in CAPITALS:
        found = [sorted(made.rows(f"SELECT * FROM {path.replace('/', '.')}")) for made in (here, project)]
        assert found[0] == found[1], path
    listed = "SELECT attname FROM pg_attribute WHERE attrelid = '{}'::regclass AND attnum > 0 ORDER BY attnum"
    columns = {path: _asked(project, listed.format(path.replace("/", "."))) for path in CAPITALS}
    assert columns["a/everything"] == ["Id", "Name", "Order", "low"], "what is not read by name stays as it is"
    assert columns["a/given"] == ["ID"]
    assert columns["a/within"] == ["Shown", "n"]


def _asked(project: LawfulPostgres, query: str) -> list[object]:
    with psycopg.connect(project.url) as connection:
        return [value for (value,) in connection.execute(query.encode()).fetchall()]


def test_a_column_with_capitals_is_told_with_its_quotes(project: LawfulPostgres) -> None:
    settings = (project.root / "sqlflow.yml").read_text().replace("dialect: duckdb", "dialect: postgres")
    project.write(
        {"sqlflow.yml": settings, "seeds/codes.csv": "Id,Name\n1,a\n", "models/a/t.sql": "SELECT Id FROM seeds.codes"}
    )
    with pytest.raises(ProjectError) as stopped:
        project.build()
    (problem,) = stopped.value.diagnostics
    assert problem.hint is not None
    assert 'write `"Id"`, with quotes' in problem.hint
