from __future__ import annotations

from pathlib import Path

import pytest
from project.projects import CONFIG, model, model_problems

VARIABLES = CONFIG + 'variables: {day: 2020-01-31, n: -3, s: "it\'s; --", l: [1, 2], f: 0.5, nothing: null}\n'


def query(tmp_path: Path, text: str) -> str:
    return model(tmp_path, text, {"sqlflow.yml": VARIABLES}).query.text


def test_the_query_goes_from_its_first_to_its_last_token(tmp_path: Path) -> None:
    text = "-- head\n\n/* b */ SELECT 'a;b' AS \"x;y\" -- c;\n FROM t /* d */ ; -- end\n"
    found = model(tmp_path, text).query
    assert found.text == "SELECT 'a;b' AS \"x;y\" -- c;\n FROM t"
    assert str(found.span(0)) == "models/m.sql:3:9"


@pytest.mark.parametrize(
    "text",
    [
        "FROM t",
        "VALUES (1)",
        "(SELECT 1) UNION (SELECT 2)",
        "WITH a AS (SELECT 1) FROM a",
        "select 1;;",
    ],
)
def test_queries_are_accepted(tmp_path: Path, text: str) -> None:
    assert query(tmp_path, text) == text.rstrip(";")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("SELECT 1; SELECT 2", "two-statements: a second statement begins here [1:11+6]"),
        ("DROP TABLE x", "not-a-query: `DROP` is a definition (DDL), not a query [1:1+4]"),
        (
            "insert into a select 1",
            "not-a-query: `INSERT` is a change of data (DML), not a query [1:1+6]",
        ),
        (
            "WITH a AS (SELECT 1) DELETE FROM b",
            "not-a-query: `DELETE` is a change of data (DML), not a query [1:22+6]",
        ),
        (
            "WITH a AS (DELETE FROM b RETURNING 1) SELECT 1",
            "not-a-query: `DELETE` is a change of data (DML), not a query [1:12+6]",
        ),
        *(
            (f"{word} x", f"not-a-query: `{word}` does not begin a query [1:1+{len(word)}]")
            for word in ("COPY", "ATTACH", "INSTALL", "CALL", "EXPLAIN", "PIVOT", "LOAD")
        ),
        ("PRAGMA x", "not-a-query: `PRAGMA` is a setting, not a query [1:1+6]"),
        ("SET x = 1", "not-a-query: `SET` is a setting, not a query [1:1+3]"),
        ("", "empty-model: `models/m.sql` holds no query [1:1+1]"),
        ("-- only\n-- comments", "empty-model: `models/m.sql` holds no query [1:1+1]"),
        (";", "empty-model: the file holds no query [1:1+1]"),
        ("SELECT 'abc\nFROM t", "sql-syntax: a string is never closed [1:8+1]"),
        ('SELECT "abc\nFROM t', "sql-syntax: a quoted name is never closed [1:8+1]"),
        ("SELECT 1 /* abc", "sql-syntax: a comment is never closed [1:10+2]"),
        ("SELECT $a$ abc", "sql-syntax: a string that begins with `$a$` is never closed [1:8+3]"),
        ("SELECT (1", "sql-syntax: `(` is never closed [1:8+1]"),
        ("SELECT 1)", "sql-syntax: `)` closes nothing [1:9+1]"),
        ("SELECT * FROM {{ ref('x') }}", "template: SQLFlow has no templates [1:15+2]"),
        ("{% if x %} SELECT 1", "template: SQLFlow has no templates [1:1+2]"),
        ("SELECT $dya", "unknown-variable: there is no variable `$dya` [1:8+4]"),
        ("SELECT ${day}", "placeholder: `${day}` is not a variable [1:8+6]"),
        ("SELECT $1", "placeholder: `$1` has no value here [1:8+2]"),
        ("SELECT a = ?", "placeholder: `?` has no value here [1:12+1]"),
        (
            "SELECT 1 WHERE t >= $start",
            "interval-bounds: `$start` can be used only with mode `incremental`, this is `auto` [1:21+6]",
        ),
    ],
)
def test_anything_else_is_refused(tmp_path: Path, text: str, problem: str) -> None:
    assert model_problems(tmp_path, text, {"sqlflow.yml": VARIABLES}) == [problem]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("SELECT $day", "SELECT DATE '2020-01-31'"),
        ("SELECT 1-$n", "SELECT 1-(-3)"),
        ("SELECT f($n,$day)", "SELECT f((-3),DATE '2020-01-31')"),
        ("SELECT $s", "SELECT 'it''s; --'"),
        ("SELECT 'x'$s", "SELECT 'x' 'it''s; --'"),
        ("SELECT x IN $l", "SELECT x IN [1, 2]"),
        ("SELECT $f::INT, $nothing", "SELECT 0.5::INT, NULL"),
        ("SELECT '$day', \"$day\", $$ $day $$ -- $day $nope\n, a$day", None),
        ("SELECT e'\\'$day', 1 /* $x /* $y */ ' */", "SELECT e'\\'$day', 1"),
    ],
)
def test_variables_become_typed_literals(tmp_path: Path, text: str, expected: str | None) -> None:
    assert query(tmp_path, text) == (text if expected is None else expected)


def test_interval_bounds_stay_in_an_incremental_query(tmp_path: Path) -> None:
    text = "-- @mode: incremental\n-- @time: t\nSELECT t FROM x WHERE t>=$start AND t<$end AND d=$day"
    assert query(tmp_path, text).endswith("WHERE t>=$start AND t<$end AND d=DATE '2020-01-31'")


def test_positions_behind_a_variable_still_point_into_the_file(tmp_path: Path) -> None:
    found = model(tmp_path, "SELECT $day AS 😀,\n  bad FROM t", {"sqlflow.yml": VARIABLES}).query
    at = found.text.index("bad")
    span = found.span(at, at + 3)
    assert (span.line, span.column, span.length) == (2, 3, 3)
    span = found.span(found.text.index("2020"))
    assert (span.line, span.column, span.length) == (1, 8, 4)
