"""A macro that SQLFlow puts in gives the rows that DuckDB's own macro gives, or the call is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from lawful import Lawful
from opened import scratch

from sqlflow.core.diagnostics import ProjectError

DATA = [
    "CREATE SCHEMA ext",
    "CREATE TABLE ext.rates (cur VARCHAR, day DATE, rate INTEGER)",
    "INSERT INTO ext.rates VALUES ('a', '2024-01-01', 1), ('a', '2024-02-01', 2), ('b', '2024-01-01', 30)",
    "CREATE TABLE ext.o (cur VARCHAR, day DATE, x INTEGER, l INTEGER[], r STRUCT(day DATE))",
    "INSERT INTO ext.o VALUES ('a', '2024-01-15', 1, [1, 2], {'day': '2024-01-15'}), ('b', '2024-01-20', 2, [3], {'day': '2024-01-20'})",
]
RATE = "CREATE MACRO rate_of(c, d) AS (SELECT max(r.rate) FROM ext.rates AS r WHERE r.cur = c AND r.day <= d)"
LATEST = "CREATE MACRO latest(d) AS (SELECT max(day) FROM ext.rates WHERE day <= d)"
ADDED = "CREATE MACRO added(l, n) AS list_transform(l, lambda x: x + n)"
CALLS = [
    # The macro, the query, and whether it is refused.
    (RATE, "SELECT cur, rate_of(cur, day) AS rate FROM ext.o", True),
    (RATE, "SELECT cur, rate_of(o.cur, o.day) AS rate FROM ext.o AS o", False),
    (RATE, "SELECT r.cur, rate_of(r.cur, r.day) AS rate FROM ext.o AS r", True),
    (RATE, "SELECT cur, rate_of('a', DATE '2024-01-15') AS rate FROM ext.o", False),
    (RATE, "SELECT cur, rate_of(upper(o.cur), o.day + 1) AS rate FROM ext.o AS o", False),
    (RATE, "SELECT cur, rate_of(o.cur, day + 1) AS rate FROM ext.o AS o", True),
    (RATE, "SELECT cur, rate_of(o.cur, (SELECT max(day) FROM ext.o)) AS rate FROM ext.o AS o", False),
    (RATE, "SELECT o.cur FROM ext.o AS o WHERE rate_of(cur, o.day) > 1", True),
    (LATEST, "SELECT x, latest(day) AS d FROM ext.o", True),
    (LATEST, "SELECT x, latest(o.day) AS d FROM ext.o AS o", False),
    (LATEST, "SELECT x, latest(r.day) AS d FROM ext.o", False),
    (
        "CREATE MACRO several(r) AS (SELECT count(*) FROM ext.rates WHERE rate > r)",
        "SELECT cur, several(x) AS n FROM ext.o",
        False,
    ),
    (
        "CREATE MACRO several(r) AS (SELECT count(*) FROM ext.rates WHERE rate > r)",
        "SELECT cur, several(r.x) AS n FROM ext.o AS r",
        False,
    ),
    (
        "CREATE MACRO several(v) AS (SELECT count(*) FROM (SELECT rate AS x FROM ext.rates) WHERE x > v)",
        "SELECT several(x) AS n FROM ext.o",
        True,
    ),
    (
        "CREATE MACRO several(v) AS (WITH o AS (SELECT 9 AS n) SELECT max(n) + v FROM o)",
        "SELECT several((SELECT count(*) FROM o)) AS n FROM (SELECT 1)",
        None,
    ),
    (ADDED, "SELECT added(l, x) AS a FROM ext.o", True),
    (ADDED, "SELECT added(l, o.x) AS a FROM ext.o AS o", False),
    (ADDED, "SELECT added(l, 1) AS a FROM ext.o", False),
    ("CREATE MACRO comp(l, n) AS [x + n FOR x IN l]", "SELECT comp(l, x) AS a FROM ext.o", True),
    ("CREATE MACRO twice(a) AS a + a", "SELECT twice(x) AS t, cur FROM ext.o", False),
    # parameters are names, not words of the language
    ("CREATE MACRO y(year) AS extract(year FROM year)", "SELECT y(day) AS y FROM ext.o", False),
    (
        "CREATE MACRO y(month) AS extract('month' FROM month) + date_part('month', month)",
        "SELECT y(day) AS y FROM ext.o",
        False,
    ),
    ("CREATE MACRO y(day, n) AS day + INTERVAL (n) day", "SELECT y(day, x) AS y FROM ext.o", False),
    ("CREATE MACRO y(date) AS date > DATE '2024-01-16'", "SELECT y(day) AS y FROM ext.o", False),
    (
        "CREATE MACRO y(first) AS (SELECT first FROM ext.rates ORDER BY rate NULLS first LIMIT 1)",
        "SELECT y(x) AS y FROM ext.o",
        False,
    ),
    # other ways to call
    ("CREATE MACRO twice(a) AS a + a", "SELECT main.twice(x) AS t FROM ext.o", False),
    ("CREATE MACRO twice(a) AS a + a", "SELECT x.twice() AS t FROM ext.o", False),
    ("CREATE MACRO twice(a) AS a + a", "SELECT o.x.twice() AS t FROM ext.o AS o", False),
    ("CREATE MACRO twice(a) AS a + a", "SELECT (x + 1).twice() AS t FROM ext.o", False),
    ("CREATE MACRO twice(a) AS a + a", "SELECT x.twice().twice() AS t FROM ext.o", False),
    ("CREATE MACRO twice(a) AS a + a", "SELECT abs(x).twice() AS t, l[1].twice() AS u FROM ext.o", False),
    ("CREATE MACRO plus(a, b) AS a + b", "SELECT x.plus(3) AS t, main.plus(x, 2) AS u FROM ext.o", False),
    ("CREATE MACRO beyond(n) AS TABLE SELECT cur FROM ext.rates WHERE rate > n", "SELECT * FROM main.beyond(1)", False),
    # macros in macros
    (RATE + "; CREATE MACRO now_of(day) AS rate_of('a', day)", "SELECT now_of(o.day) AS n FROM ext.o AS o", False),
    (RATE + "; CREATE MACRO now_of(z) AS rate_of('a', z)", "SELECT now_of(day) AS n FROM ext.o AS o", True),
    (RATE + "; CREATE MACRO best() AS (SELECT max(rate_of(cur, day)) FROM ext.o)", "SELECT best() AS n", True),
    (
        RATE + "; CREATE MACRO best() AS (SELECT max(rate_of(o.cur, o.day)) FROM ext.o AS o)",
        "SELECT best() AS n",
        False,
    ),
]


@pytest.mark.parametrize(("macro", "query", "refused"), CALLS)
def test_rows_are_those_of_the_engines_macro(tmp_path: Path, macro: str, query: str, refused: bool | None) -> None:
    project = Lawful(tmp_path)
    project.begin({"macros/m.sql": macro + ";\n", "models/a/m.sql": query + "\n"})
    project.sql(*DATA)
    try:
        built = project.build()
    except ProjectError as problems:
        codes = {problem.code for problem in problems.diagnostics}
        if refused is not False and codes <= {"macro-capture", "unknown-table"}:
            return
        raise
    assert built.code == 0, built.told
    with scratch() as own:
        for statement in (*DATA, *macro.split(";")):
            if statement.strip():
                own.execute(statement)
        wanted = sorted(map(repr, own.execute(query).fetchall()))
    assert not refused
    assert sorted(map(repr, project.rows("FROM a.m"))) == wanted
