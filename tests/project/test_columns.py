from __future__ import annotations

from pathlib import Path

import pytest
from project.projects import model, model_problems, read

from sqlflow.core.diagnostics import Severity


def test_comments_become_descriptions_checks_and_tags(tmp_path: Path) -> None:
    text = """\
WITH x AS (SELECT b -- inner, a@b.c
)
SELECT DISTINCT ON (a)
    a,                 -- @not_null @references(seeds.airlines.carrier)  IATA code
    count(*) AS "é n"  -- @in(a, b, 'c, (d)', 3) @core of it
  , t.c /* @unique */, -- the c
    CASE WHEN d IS DISTINCT FROM e THEN 1 END f, -- f here
    {'k': [1, 2]} AS g, 5 AS h, -- only h, a@b.c
    i: j + 1, -- prefixed
    struct.from
FROM x -- @todo outer
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


def said(root: Path, text: str) -> tuple[list[str], dict[str, str]]:
    """The checks of a model, and what its columns mean."""
    header = model(root, text).header
    checks = [check.name for check in header.checks]
    return checks, {name: note.description for name, note in header.columns.items() if note.description}


@pytest.mark.parametrize(
    "text",
    [
        "SELECT\n    a,  -- @not_null  the a\n    b\nFROM t",
        "SELECT\n    a  -- @not_null  the a\n  , b\nFROM t",
        "SELECT\n    a /* @not_null the a */, b\nFROM t",
        "SELECT\n    a, /* @not_null */ -- the a\n    b\nFROM t",
        "SELECT\n    -- @not_null  the a\n    a,\n    b\nFROM t",
        "SELECT\n\n-- @not_null\n-- the a\n    a,\n    b\nFROM t",
        "SELECT b\n    -- the a\n    -- @not_null\n  , a\nFROM t",
        "SELECT b,\n    /* @not_null\n     * the a */\n    a\nFROM t",
        "SELECT b,\n    /* @not_null the a */ a\nFROM t",
        "SELECT b\n    , /* @not_null the a */ a\nFROM t",
        "SELECT /* @not_null the a */ a, b FROM t",
        "SELECT\n    x + -- @not_null  the a\n    1 AS a,\n    b\nFROM t",
        "SELECT\n    x\n    -- @not_null  the a\n    + 1 AS a,\n    b\nFROM t",
        "SELECT sum(x) OVER (\n        ORDER BY y  -- by y\n    -- @not_null  the a\n    ) AS a\nFROM t",
        "SELECT\n    x\n    -- @not_null  the a\n    + 1\n    AS a,\n    b\nFROM t",
        "SELECT\n    -- @not_null\n    a,  -- the a\n    b\nFROM t",
        "SELECT\n    -- a heading\n    a,  -- @not_null the a\n    b\nFROM t",
        "SELECT\n    -- ---- Keys ----\n    a,  -- @not_null the a\n    b\nFROM t",
        "SELECT b,\n    -- =====\n    -- Keys\n    -- =====\n    -- @not_null\n    -- the a\n    a\nFROM t",
        "SELECT b,\n    -- Keys\n\n    -- @not_null the a\n    a\nFROM t",
        "SELECT b,\n    -- , c -- @unique\n    -- @not_null the a\n    a\nFROM t",
        "SELECT a, -- @not_null the a\n       b,\n       -- c -- @unique\nFROM t",
        "SELECT a, -- @not_null the\n          -- a\n    b\nFROM t",
        "SELECT a --- @not_null the a\nFROM t",
        "SELECT a --@not_null the a\nFROM t",
        "SELECT a /** @not_null the a */\nFROM t",
        "SELECT a, -- @not_null the a\nFROM t",
        "SELECT DISTINCT ON (a) -- one of each\n    a -- @not_null the a\nFROM t",
        "FROM t SELECT a -- @not_null the a\n",
        "((SELECT a -- @not_null the a\nFROM t))",
        "SELECT (SELECT max(x) -- the greatest\nFROM t) AS a -- @not_null the a\nFROM t",
    ],
)
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_a_comment_may_stand_behind_a_column_or_above_it(tmp_path: Path, text: str, newline: str) -> None:
    assert said(tmp_path, text.replace("\n", newline)) == (["not_null(a)"], {"a": "the a"})


@pytest.mark.parametrize(
    "text",
    [
        "WITH final AS (SELECT a -- @not_null the a\nFROM t) SELECT * FROM final",
        "WITH final AS (SELECT a -- @not_null the a\nFROM t) (SELECT * FROM final)",
        "WITH final AS (SELECT a -- @not_null the a\nFROM t) FROM final",
        "WITH final AS (SELECT a -- @not_null the a\nFROM t) FROM final SELECT *",
        "WITH final AS (SELECT a -- @not_null the a\nFROM t) SELECT DISTINCT f.* FROM Final AS f WHERE a > 1 LIMIT 3",
        "WITH final AS (SELECT a -- @not_null the a\nFROM t) SELECT *, 1 AS b FROM final ORDER BY a",
        "WITH final AS (SELECT a, -- @not_null the a\nb FROM t) SELECT * EXCLUDE (b) FROM final",
        "WITH final AS (SELECT x -- @not_null the a\nFROM t) SELECT * RENAME (x AS a) FROM final",
        "WITH final(a) AS (SELECT x -- @not_null the a\nFROM t) SELECT * FROM final",
        "WITH final AS (SELECT x -- @not_null the a\nFROM t) SELECT * FROM final AS f(a)",
        'WITH "the final" AS MATERIALIZED (SELECT a -- @not_null the a\nFROM t) SELECT * FROM "the final"',
        "WITH f AS (SELECT a -- @not_null the a\nFROM t), g AS (SELECT * FROM f), h AS (FROM g) SELECT * FROM h",
        "WITH f AS (WITH g AS (SELECT a -- @not_null the a\nFROM t) SELECT * FROM g) SELECT * FROM f",
        "SELECT * FROM (SELECT a -- @not_null the a\nFROM t) AS s",
        "SELECT a FROM t UNION ALL SELECT b -- @not_null the a\nFROM u",
        "SELECT a FROM t UNION ALL (SELECT b -- @not_null the a\nFROM u) ORDER BY 1",
        "SELECT a -- @not_null the a\nFROM t UNION ALL SELECT b -- @not_null another\nFROM u",
        "SELECT a, b FROM t EXCEPT SELECT x, -- @not_null the a\ny FROM u",
        "SELECT a, b FROM t UNION ALL BY NAME SELECT b, a -- @not_null the a\nFROM u",
        "WITH f AS (SELECT a FROM t), g AS (SELECT b -- @not_null the a\nFROM t) FROM f UNION FROM g",
        "WITH f AS (SELECT a FROM t UNION SELECT b -- @not_null the a\nFROM t) SELECT * FROM f",
        "WITH RECURSIVE f AS (SELECT 1 AS a -- @not_null the a\nUNION ALL SELECT a + 1 FROM f) FROM f",
    ],
)
def test_the_column_may_be_made_in_a_branch_or_in_what_is_passed_on(tmp_path: Path, text: str) -> None:
    assert said(tmp_path, text) == (["not_null(a)"], {"a": "the a"})


@pytest.mark.parametrize(
    "text",
    [
        "SELECT a -- doc of it\n, b FROM t -- where it comes from, see a@b.c\n",
        "SELECT a, -- doc of it\n-- Keys\n\nb\nFROM t",
        "SELECT a, -- doc of it\n-- noqa: LT05\nb,\nFROM t",
        "SELECT CASE x -- first\nWHEN 1 THEN 2 -- second\nEND AS a -- doc of it\nFROM t",
        "SELECT a, -- doc of it\n-- -- @not_null\nb,\nFROM t",
        'SELECT a -- doc of it\n-- below\nFROM t -- "@unique"\n',
        "SELECT -- head\na -- doc of it\nFROM t",
    ],
)
def test_free_text_elsewhere_is_free(tmp_path: Path, text: str) -> None:
    assert said(tmp_path, text) == ([], {"a": "doc of it"})


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("SELECT -- @not_null\na FROM t", "1:11"),
        ("SELECT DISTINCT -- @not_null\na FROM t", "1:20"),
        ("SELECT a, /* @not_null */ b FROM t", "1:14"),
        ("SELECT a\n, -- @not_null\nb FROM t", "2:6"),
        ("SELECT a,\n-- @not_null\n\nb FROM t", "2:4"),
        ("SELECT a\n-- @not_null\nFROM t", "2:4"),
        ("SELECT a FROM t -- @not_null", "1:20"),
        ("SELECT a FROM t\nWHERE b -- (@not_null)\n", "2:13"),
        ("SELECT a FROM t; -- @not_null", "1:21"),
        ("SELECT (SELECT max(x) -- @not_null\nFROM t) AS a FROM t", "1:26"),
        ("SELECT a, -- first,\n          -- and @not_null\n    b\nFROM t", "2:18"),
        ("WITH f AS (SELECT a -- @not_null\nFROM t) SELECT a FROM f", "1:24"),
        ("WITH f AS (SELECT a -- @not_null\nFROM t) SELECT f.* FROM f JOIN u USING (a)", "1:24"),
        ("WITH f AS (SELECT a, b -- @not_null\nFROM t) SELECT * EXCLUDE (b) FROM f", "1:27"),
        ("WITH f AS (SELECT a -- @not_null\nFROM t) SELECT * FROM s.f", "1:24"),
        ("-- @not_null\nSELECT a FROM t", "1:4"),
        ("/* @not_null */\nSELECT a FROM t", "1:4"),
        ("-- The a is @not_null.\nSELECT a FROM t", "1:13"),
    ],
)
def test_a_check_that_belongs_to_no_column_is_an_error(tmp_path: Path, text: str, place: str) -> None:
    line = f"`@not_null` stands in a comment that belongs to no column of the result [{place}+9]"
    assert model_problems(tmp_path, text) == [f"misplaced-check: {line}"]


def test_checks_of_a_branch_behind_a_star_cannot_be_told(tmp_path: Path) -> None:
    text = "SELECT * -- @unique\nFROM t UNION ALL SELECT a -- @not_null\nFROM u"
    assert model_problems(tmp_path, text) == [
        "invalid-check: `@unique` stands on `*`, which is more than one column [1:13+7]",
        "invalid-check: which column of the result `@not_null` is about cannot be told here [2:30+9]",
    ]


def test_arguments_may_go_on_in_the_next_line_of_a_comment_above(tmp_path: Path) -> None:
    text = "SELECT\n    -- @in(open,\n    -- closed) @references(staging.\n    -- states.state)\n    state\nFROM t"
    header = model(tmp_path, text).header
    assert [check.name for check in header.checks] == ["in(state)", "references(state -> staging.states.state)"]
    assert header.checks[0].values == ("open", "closed")


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
        ("a -- @key", "misplaced-directive: the directive `@key` stands behind the beginning of the query [1:13+4]"),
        (
            "a -- @fine, @key",
            "misplaced-directive: the directive `@key` stands behind the beginning of the query [1:20+4]",
        ),
        (
            "a /* @full-refresh */",
            "misplaced-directive: the directive `@full_refresh` stands behind the beginning of the query [1:13+13]",
        ),
        ("a -- @Key", "unknown-directive: there is no directive `@Key` [1:13+4]"),
    ],
)
def test_what_is_wrong_in_a_comment(tmp_path: Path, line: str, problem: str) -> None:
    assert model_problems(tmp_path, f"SELECT {line}\nFROM t") == [problem]


@pytest.mark.parametrize(
    "text", ["-- the @key of it\na", "a -- what is @key?", "a -- Id. @key @fine", "a + 1 -- a @key"]
)
def test_a_directive_in_prose_is_told_and_is_no_tag(tmp_path: Path, text: str) -> None:
    project, found = read(tmp_path, {"models/m.sql": f"SELECT\n{text}\nFROM t"})
    assert [(problem.code, problem.severity) for problem in found] == [("misplaced-directive", Severity.WARNING)]
    assert all("key" not in note.tags for note in project.models[0].header.columns.values())


@pytest.mark.parametrize("text", ["a -- day >= @start", "a -- SET @time = 1", "a -- mail key@key.de", "a -- `@key`"])
def test_a_variable_or_a_quotation_that_is_called_like_a_directive_is_none(tmp_path: Path, text: str) -> None:
    assert model_problems(tmp_path, f"SELECT {text}\nFROM t") == []


def test_a_tag_that_belongs_to_no_column_is_told_wherever_it_stands(tmp_path: Path) -> None:
    _, found = read(tmp_path, {"models/m.sql": "-- see @docs\nSELECT 1 AS a\nFROM t -- @outer, @todo, SET @x = 1\n"})
    assert [problem.message.split("`")[1] for problem in found] == ["@docs", "@outer"]
