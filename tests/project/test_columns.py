from __future__ import annotations

from pathlib import Path

import pytest
from project.projects import model, model_problems


def test_comments_become_descriptions_checks_and_tags(tmp_path: Path) -> None:
    text = """\
WITH x AS (SELECT b -- @not_null inner
)
SELECT DISTINCT ON (a)
    a,                 -- @not_null @references(seeds.airlines.carrier)  IATA code
    count(*) AS "é n"  -- @in(a, b, 'c, (d)', 3) @core of it
  , t.c /* @unique */, -- the c
    CASE WHEN d IS DISTINCT FROM e THEN 1 END f, -- f here
    {'k': [1, 2]} AS g, 5 AS h, -- only h, a@b.c
    i: j + 1, -- prefixed
    struct.from
FROM x -- @not_null outer
"""
    header = model(tmp_path, text).header
    assert {n: (c.description, c.tags) for n, c in header.columns.items()} == {
        "a": ("IATA code", ()),
        "é n": ("of it", ("core",)),
        "c": ("the c", ()),
        "f": ("f here", ()),
        "h": ("only h, a@b.c", ()),
        "i": ("prefixed", ()),
    }
    assert [check.name for check in header.checks] == [
        "not_null(a)",
        "references(a -> seeds.airlines.carrier)",
        "in(é n)",
        "unique(c)",
    ]
    assert header.checks[2].values == ("a", "b", "c, (d)", 3)
    span = header.checks[1].span
    assert (span.line, span.column, span.length) == (
        4,
        37,
        len("@references(seeds.airlines.carrier)"),
    )


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_every_shape_of_query_has_its_outermost_list(tmp_path: Path, newline: str) -> None:
    for text in (
        "(SELECT a -- doc\nFROM t)",
        "FROM t SELECT a -- doc\n",
        "FROM (SELECT b -- no\n) SELECT a -- doc\n",
        "SELECT a -- doc\nUNION ALL SELECT b -- no\n",
        "WITH RECURSIVE t(n) AS (SELECT 1 -- no\n), u AS NOT MATERIALIZED (SELECT 2) SELECT a, -- doc\nFROM t",
        "SELECT * EXCLUDE (x) -- no\n, a -- doc\n",
        "SELECT a -- doc",
    ):
        header = model(tmp_path, text.replace("\n", newline)).header
        assert {n: c.description for n, c in header.columns.items()} == {"a": "doc"}, text


def test_what_the_header_says_of_a_column_comes_first(tmp_path: Path) -> None:
    text = "-- @columns: {A: {description: header, tags: [x]}}\nSELECT a -- comment @y\n"
    header = model(tmp_path, text).header
    assert {n: (c.description, c.tags) for n, c in header.columns.items()} == {"A": ("header", ("x", "y"))}


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("a -- @notnull", "unknown-check: there is no check `@notnull` [1:13+8]"),
        ("a -- @nope(3)", "unknown-check: there is no check `nope` [1:13+8]"),
        ("a -- @pii", "not-available-yet: `@pii` is not available yet [1:13+4]"),
        ("a + 1 -- @unique", "invalid-check: `@unique` stands on a column without a name [1:17+7]"),
        ("a -- @in", "invalid-check: `@in` needs arguments [1:13+3]"),
        ("a -- @in(b", "invalid-check: the bracket behind `@in` is never closed [1:13+4]"),
        ("a -- @unique(b)", "invalid-check: `@unique` takes no arguments here [1:13+10]"),
        ("a -- @row_count(1)", "invalid-check: `row_count` is not about one column [1:13+13]"),
        (
            "a -- @references(x)",
            "invalid-value: @references: `x` is not a column of a table [1:13+14]",
        ),
        (
            "a -- @mode: view",
            "misplaced-directive: the directive `@mode` stands behind the beginning of the query [1:13+5]",
        ),
    ],
)
def test_what_is_wrong_in_a_comment(tmp_path: Path, line: str, problem: str) -> None:
    assert model_problems(tmp_path, f"SELECT {line}\nFROM t") == [problem]
