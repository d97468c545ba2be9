"""SQL knows what it is made of, and engines are told by that and not by its spelling."""

from __future__ import annotations

from sqlflow.core.names import TableName
from sqlflow.core.sql import Authors, Ident, Joining, Sql, compose, joined, make, make_temporary
from sqlflow.engines.duckdb_sql import DuckDBWording
from sqlflow.engines.postgres_sql import PostgresWording

OURS = Joining("a.k = b.k")
THEIRS = Authors("SELECT 1")


def test_sql_is_what_is_in_it() -> None:
    assert type(compose("DELETE FROM {t}", t=TableName("s", "t"))) is Sql
    assert type(compose("SELECT 1 WHERE {on}", on=OURS)) is Joining
    assert type(compose("SELECT {cs} WHERE {on}", cs=[Ident("c"), THEIRS], on=OURS)) is Authors
    assert type(joined(" AND ", [Sql("TRUE"), OURS])) is Joining


def test_a_part_that_a_template_leaves_out_is_not_in_it() -> None:
    assert type(compose("SELECT 1 WHERE {on}", on=OURS, query=THEIRS)) is Joining
    assert type(compose("SELECT 1", on=OURS)) is Sql


def test_a_table_is_made_in_the_words_of_each_engine() -> None:
    table, rows = make(TableName("s", "t"), "SELECT 1 AS {c}", c=Ident("x")), make_temporary(Ident("r"), THEIRS)
    assert DuckDBWording().statement(table) == 'CREATE OR REPLACE TABLE "s"."t" AS\nSELECT 1 AS "x"'
    assert PostgresWording().statement(table) == (
        'DROP TABLE IF EXISTS "s"."t";\nCREATE TABLE "s"."t" AS\nSELECT 1 AS "x"'
    )
    assert PostgresWording().statement(rows) == (
        'DROP TABLE IF EXISTS pg_temp."r";\nCREATE TEMP TABLE "r" AS\nSELECT 1'
    )


def test_only_joins_of_ours_are_said_how_to_do() -> None:
    words = PostgresWording()
    assert "enable_mergejoin" in words.statement(make_temporary(Ident("r"), "SELECT 1 WHERE {on}", on=OURS))
    assert "enable_mergejoin" in words.statement(compose("DELETE FROM t USING u WHERE {on}", on=OURS))
    told = words.statement(compose("DELETE FROM t WHERE ARRAY[a] = ARRAY[b]"))
    assert told == "DELETE FROM t WHERE ARRAY[a] = ARRAY[b]"
    assert words.statement(told) == told
    assert "enable" not in words.statement(compose("SELECT 1 FROM ({q}) AS q WHERE {on}", q=THEIRS, on=OURS))
