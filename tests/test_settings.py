"""What decides rows besides a query and its data: each setting is fixed, in the text, or part of what a table was made of."""

from __future__ import annotations

from pathlib import Path

import duckdb
import psycopg
import pytest
from lawful import Lawful
from on_postgres import LawfulPostgres

from sqlflow.core.config import Config
from sqlflow.core.model import Header, Seed, Source
from sqlflow.engines.duckdb_settings import ZONED_FUNCTIONS, depends_on_zone
from sqlflow.project import config as reading

# Which kind each thing is that a project says besides its queries. A new one must be put here, and tested if it decides
# rows:  "none": rows are the same under any value. "text": it changes the text of a query or of what reads a file, which is
# in the fingerprint. "name": it changes which table is meant. "header": it is among the directives in the fingerprint.
# "settings": it is in `Fingerprint.settings` of what depends on it. "look": it changes how changes are found, not rows.
CONFIG = {
    "root": "none", "file": "none", "name": "none", "target": "none", "targets": "none", "dialect": "text",
    "default_schema": "name", "timezone": "settings", "variables": "text", "defaults": "header", "sandbox": "none",
    "allow_outside_paths": "none", "verify_every": "none", "formerly": "none",
    "warnings": "none",
}  # fmt: skip
DUCKDB = {
    "engine": "none", "path": "name", "storage_version": "none", "memory_limit": "none", "threads": "none",
    "temp_directory": "none", "max_temp_directory_size": "none", "extensions": "settings",
}  # fmt: skip
POSTGRES = {"engine": "none", "url": "name", "statement_timeout": "none", "connect_timeout": "none"}
SOURCE = {
    "name": "name", "span": "none", "path": "text", "table": "text", "time": "look", "cursor": "look", "key": "look",
    "append_only": "look", "types": "text", "description": "none", "delimiter": "text", "skip": "text", "nulls": "text",
    "date_format": "text", "timestamp_format": "text", "folders": "text", "missing_file": "none",
    "missing_column": "text", "spans": "none", "checks": "none",
}  # fmt: skip
SEED = {
    "name": "name", "path": "text", "types": "text", "nulls": "text", "delimiter": "text", "description": "none",
    "span": "none", "date_format": "text", "timestamp_format": "text", "checks": "none",
}  # fmt: skip
HEADER = {
    "mode": "header", "key": "header", "time": "header", "grain": "header", "cursor": "header", "lookback": "look",
    "start": "header", "batch": "none", "strategy": "none", "incremental": "none", "conflict": "header",
    "deleted": "header", "on_schema_change": "none", "full_refresh": "none", "checks": "none", "columns": "none",
    "tags": "none", "owner": "none", "description": "none", "enabled": "name", "index": "none",
    "partition_by": "header", "depends_on": "none", "before": "header", "after": "header", "schema": "name",
    "name": "name", "spans": "none", "clock": "look", "severity": "none", "compare": "header",
    "deleted_rows": "header", "validity": "header",
}  # fmt: skip


@pytest.mark.parametrize(
    ("said", "kinds"),
    [
        (Config.__struct_fields__, CONFIG),
        (reading._DUCKDB_OPTIONS, DUCKDB),
        (reading._POSTGRES_OPTIONS, POSTGRES),
        (Source.__struct_fields__, SOURCE),
        (Seed.__struct_fields__, SEED),
        (Header.__struct_fields__, HEADER),
    ],
    ids=["sqlflow.yml", "duckdb", "postgres", "sources", "seeds", "headers"],
)
def test_of_each_setting_it_is_known_whether_it_decides_rows(said: tuple[str, ...], kinds: dict[str, str]) -> None:
    assert sorted(said) == sorted(kinds), "say in this file what kind of setting the new one is"


def test_no_function_of_duckdb_makes_a_time_with_a_zone_unnoticed() -> None:
    with duckdb.connect() as connection:
        made = connection.execute(
            """
            WITH f AS (SELECT function_name, coalesce(return_type, '') AS gives, CAST(parameter_types AS VARCHAR) AS takes,
                coalesce(macro_definition, '') AS body FROM duckdb_functions())
            SELECT DISTINCT lower(function_name) FROM f
            WHERE (regexp_matches(gives, 'TIME ZONE|TIMESTAMPTZ') AND NOT regexp_matches(takes, 'TIME ZONE|TIMESTAMPTZ|ANY|<'))
               OR regexp_matches(body, '\\b(now|today|current_(date|time\\w*|local\\w*)|get_current_\\w+)\\b')
            """
        ).fetchall()
    assert {name for (name,) in made} - ZONED_FUNCTIONS == set()


@pytest.mark.parametrize(
    "expression",
    [
        "make_timestamptz(2024, 3, 5, 1, 0, 0)::VARCHAR", "CAST('2024-03-05 01:00:00' AS TIMESTAMPTZ)::VARCHAR", "to_timestamp(1.5)::VARCHAR",
        "date_part('hour', '2024-03-05 01:00:00+00'::TIMESTAMP WITH TIME ZONE)", "strptime('2024-03-05 01 +0000', '%Y-%m-%d %H %z')::VARCHAR",
        "current_setting('TimeZone')", "(TIMESTAMP '2024-03-05 01:00:00' AT TIME ZONE 'Europe/Berlin')::VARCHAR",
        "[TIMESTAMPTZ '2024-03-05 01:00:00+00']::VARCHAR", "try_cast('{\"a\": \"2024-03-05 01:00:00+00\"}'::JSON::STRUCT(a TIMESTAMPTZ) AS VARCHAR)",
        "uuid_extract_timestamp('019233e6-9a5c-7ee0-8a4e-1f1a3b4c5d6e'::UUID)::VARCHAR",
    ],
)  # fmt: skip
def test_an_expression_that_differs_in_another_zone_is_known_to(expression: str) -> None:
    query = f"SELECT {expression} AS x"
    found = []
    for zone in ("UTC", "Pacific/Auckland"):
        with duckdb.connect() as connection:
            connection.execute(f"SET TimeZone = '{zone}'")
            found.append(connection.execute(query).fetchall())
    assert found[0] != found[1], "this expression does not show anything"
    assert depends_on_zone(query, [])


@pytest.mark.parametrize(
    "query",
    ["SELECT id, day::VARCHAR FROM t", "SELECT date_trunc('month', day), strftime(day, '%Y') FROM t", "SELECT DATE '2024-01-01'"],
)  # fmt: skip
def test_a_query_without_zones_depends_on_none(query: str) -> None:
    assert not depends_on_zone(query, [])


# ---------------------------------------------------------------------- PostgreSQL


def _zone(project: Lawful, zone: str) -> None:
    text = (project.root / "sqlflow.yml").read_text()
    before = text.split("timezone: ")[1].split("\n")[0]
    (project.root / "sqlflow.yml").write_text(text.replace(f"timezone: {before}", f"timezone: {zone}"))


def test_on_postgres_another_zone_makes_again_what_depends_on_one(tmp_path: Path) -> None:
    project = LawfulPostgres(tmp_path / "project")
    try:
        project.begin({})
        project.sql("CREATE SCHEMA ext")
        project.sql("CREATE TABLE ext.plain AS SELECT 1 AS id, DATE '2024-01-01' AS day, 'x' AS t")
        project.sql("CREATE TABLE ext.zoned AS SELECT 1 AS id, TIMESTAMPTZ '2024-01-01 20:00:00+00' AS happened")
        project.write(
            {
                "models/a/plain.sql": "SELECT id, day + 1 AS day, upper(t) || 1::VARCHAR AS t FROM ext.plain",
                "models/a/zoned.sql": "SELECT happened::DATE AS day FROM ext.zoned",
                "models/a/hidden.sql": "SELECT id, strftime(day::TIMESTAMPTZ, '%H') AS h FROM ext.plain",
                "models/a/view.sql": "-- @mode: view\nSELECT happened::DATE AS day FROM ext.zoned",
                "models/a/above.sql": "SELECT day AS last FROM a.view",
                "models/a/loaded.sql": "SELECT id, happened::DATE AS day FROM raw.stamped",
                "sources/raw.yml": "raw.stamped: {path: data/s.csv, columns: {id: INTEGER, happened: TIMESTAMPTZ}}",
                "data/s.csv": "id,happened\n1,2024-01-01 10:00:00\n",
            }
        )
        assert project.build().code == 0
        assert project.planned() == []
        _zone(project, "Pacific/Auckland")
        assert "a.plain" not in {task.split(":")[0] for task in project.planned()}
        built = project.build()
        assert built.code == 0, built.told
        rows = project.rows(
            "SELECT (SELECT day::text FROM a.zoned), (SELECT last::text FROM a.above), (SELECT day::text FROM a.loaded)"
        )
        assert rows == [("2024-01-02", "2024-01-02", "2024-01-01")]
        assert project.rows("SELECT extract(epoch FROM happened)::bigint FROM raw.stamped") == [(1704056400,)]
        assert project.planned() == []
    finally:
        project.drop()


_ODD = {
    "TimeZone": "Asia/Tokyo", "DateStyle": "SQL, DMY", "IntervalStyle": "sql_standard", "bytea_output": "escape",
    "extra_float_digits": "-10", "standard_conforming_strings": "off", "timezone_abbreviations": "Australia",
    "transform_null_equals": "on", "array_nulls": "off", "xmlbinary": "hex", "backslash_quote": "on",
}  # fmt: skip


def test_what_a_role_is_set_to_does_not_decide_rows(tmp_path: Path) -> None:
    project = LawfulPostgres(tmp_path / "project")
    query = (
        "SELECT d::text AS d, i::text AS i, b::text AS b, f::text AS f, '\\x' AS s, (n = NULL) IS NULL AS e, "
        "'{NULL}'::text[] AS l, '2024-01-05 10:00 EST'::timestamptz::text AS z FROM ext.all_kinds"
    )
    try:
        project.begin({})
        text = (project.root / "sqlflow.yml").read_text().replace("dialect: duckdb", "dialect: postgres")
        (project.root / "sqlflow.yml").write_text(text)
        project.sql("CREATE SCHEMA ext")
        project.own_sql(
            "CREATE TABLE ext.all_kinds AS SELECT DATE '2024-02-01' AS d, INTERVAL '1 day 2 hours' AS i, "
            "'ab'::bytea AS b, 0.1::double precision + 0.2::double precision AS f, CAST(NULL AS INTEGER) AS n"
        )
        project.write({"models/a/texts.sql": query})
        assert project.build().code == 0
        before = project.rows("SELECT * FROM a.texts")
        with psycopg.connect(project.url, autocommit=True) as connection:
            name = connection.execute("SELECT current_database()").fetchall()[0][0]
            for setting, value in _ODD.items():
                connection.execute(f"ALTER DATABASE {name} SET {setting} = '{value}'".encode())
        assert project.planned() == []
        assert project.build(full_refresh=True).code == 0
        assert project.rows("SELECT * FROM a.texts") == before
    finally:
        project.drop()


def test_another_search_path_makes_again_what_calls_functions_of_the_database(tmp_path: Path) -> None:
    project = LawfulPostgres(tmp_path / "project")
    try:
        project.begin({})
        text = (project.root / "sqlflow.yml").read_text().replace("dialect: duckdb", "dialect: postgres")
        (project.root / "sqlflow.yml").write_text(text)
        with psycopg.connect(project.url, autocommit=True) as connection:
            name = connection.execute("SELECT current_database()").fetchall()[0][0]
            for schema, rate in (("one", 1), ("two", 2)):
                connection.execute(f"CREATE SCHEMA {schema}".encode())
                connection.execute(
                    f"CREATE FUNCTION {schema}.rate(x int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT x * {rate}'".encode()
                )
            connection.execute(f"ALTER DATABASE {name} SET search_path = one".encode())
        project.write({"models/a/rated.sql": "SELECT rate(10) AS r", "models/a/plain.sql": "SELECT abs(-1) + 1 AS one"})
        assert project.build().code == 0
        with psycopg.connect(project.url, autocommit=True) as connection:
            connection.execute(f"ALTER DATABASE {name} SET search_path = two".encode())
        assert [task.split(":")[0] for task in project.planned()] == ["a.rated"]
        assert project.build().code == 0
        assert project.rows("SELECT r FROM a.rated") == [(20,)]
        assert project.planned() == []
    finally:
        project.drop()
