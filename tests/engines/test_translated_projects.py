"""A project whose SQL is another one than its target's, from the command line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import psycopg
import pytest
from lawful import Built
from on_postgres import LawfulPostgres

from sqlflow.core.diagnostics import ProjectError

CONFIG = "name: other\ndialect: postgres\ntargets: {dev: {engine: duckdb, path: other.duckdb}}\n"


@pytest.fixture
def there(tmp_path: Path) -> Iterator[LawfulPostgres]:
    project = LawfulPostgres(tmp_path)
    project.begin({})
    with psycopg.connect(project.url, autocommit=True) as connection:
        connection.execute('CREATE SCHEMA ext; CREATE TABLE ext.t (id int, a int, d float8, "user" text)')
        connection.execute("INSERT INTO ext.t VALUES (1, 7, 2.5, 'anna'), (2, 8, 100, 'anna'), (3, 9, NULL, 'ben')")
    yield project
    project.drop()


def _rows(project: LawfulPostgres, query: str) -> Sequence[tuple[object, ...]]:
    with psycopg.connect(project.url) as connection:
        return connection.execute(query.encode()).fetchall()


def _built(project: LawfulPostgres, query: str) -> Built:
    project.write({"models/m/one.sql": query})
    return project.build()


def _refused(project: LawfulPostgres, query: str) -> tuple[str, tuple[int, int], str]:
    with pytest.raises(ProjectError) as caught:
        _built(project, query)
    problem = caught.value.diagnostics[0]
    assert problem.span is not None
    return problem.code, (problem.span.line, problem.span.column), problem.message


def test_a_column_called_user_is_counted_and_not_the_role(there: LawfulPostgres) -> None:
    assert _built(there, "SELECT user, count(*) AS n FROM ext.t GROUP BY user").code == 0
    assert sorted(_rows(there, "SELECT * FROM m.one")) == [("anna", 2), ("ben", 1)]


def test_what_a_word_means_is_decided_by_the_columns_that_are_read(there: LawfulPostgres) -> None:
    assert _built(there, "SELECT id, a::VARCHAR AS t FROM ext.t").code == 0
    code, place, _ = _refused(there, "SELECT\n    id,\n    d::VARCHAR AS t\nFROM ext.t")
    assert (code, place) == ("not-translatable", (3, 5))


def test_the_error_of_a_translation_is_told_at_the_authors_word_with_the_line_that_runs(there: LawfulPostgres) -> None:
    code, place, message = _refused(there, "SELECT\n    id,\n    nothing + 1 AS t\nFROM ext.t")
    assert (code, place) == ("unknown-column", (3, 5))
    assert "in the translation to postgres: `nothing + 1 AS t`" in message


def test_a_build_after_a_build_of_translated_models_does_nothing(there: LawfulPostgres) -> None:
    there.write({"models/m/two.sql": "-- @mode: inline\nSELECT id, round(d, 1) AS r FROM ext.t"})
    assert _built(there, "SELECT id, r FROM m.two").code == 0
    assert "nothing to do" in there.build().told


def test_functions_side_by_side_in_from_are_no_bug(there: LawfulPostgres) -> None:
    config = there.root / "sqlflow.yml"
    config.write_text(config.read_text().replace("dialect: duckdb", "dialect: postgres"))
    query = "SELECT * FROM ROWS FROM (generate_series(1, 2), generate_series(1, 3)) AS g(a, b)"
    assert _built(there, query).code == 0
    assert _rows(there, "SELECT * FROM m.one ORDER BY b") == [(1, 1), (2, 2), (None, 3)]


@pytest.mark.parametrize("name", ["seen", '"Seen"', "temp seen"])
def test_a_hook_may_make_a_table_anew(there: LawfulPostgres, name: str) -> None:
    temporary, _, bare = name.rpartition(" ")
    table = bare if temporary else f"ext.{bare}"
    kept = f"INSERT INTO ext.t SELECT n, 0, 0, 'seen' FROM {bare}" if temporary else "SELECT 1"
    hook = f"CREATE OR REPLACE {temporary} TABLE {table} AS SELECT count(*) AS n FROM m.one"
    query = f'-- @after: ["{hook.replace(chr(34), chr(92) + chr(34))}", "{kept}"]\nSELECT id FROM ext.t WHERE id < '
    assert _built(there, query + "3").code == 0
    assert _built(there, query + "2").code == 0
    counted = "SELECT id FROM ext.t WHERE a = 0 ORDER BY 1 DESC" if temporary else f"SELECT n FROM {table}"
    assert _rows(there, counted) == ([(2,), (1,)] if temporary else [(1,)])
