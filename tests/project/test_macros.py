from __future__ import annotations

from pathlib import Path

import duckdb
import pytest
from project.projects import CONFIG, model, problems

MACROS = """\
-- All of them. ;
CREATE MACRO add(a, b := 1) AS a + b; -- end
CREATE OR REPLACE MACRO twice(x) AS add(x, x) * 2;
create temp function "Quoted Name"(x) as coalesce(x, 'a;b') || '--x';
CREATE MACRO shadow(x) AS list_transform([1, 2], lambda x: x + 1) || [x];
CREATE MACRO reduce(l, k) AS list_reduce(l, lambda x, y: x + y + k);
CREATE MACRO aliased(b) AS (SELECT max(v) AS m FROM (VALUES (1), (9)) AS t(v) WHERE v < b);
CREATE MACRO field(s) AS s.a + {'s': 5}.s;
CREATE MACRO part(d) AS extract(year FROM d) + (CASE WHEN d IS DISTINCT FROM DATE '2020-01-01' THEN 1 ELSE 0 END);
CREATE MACRO slice(l, n) AS l[n:n + 1];
CREATE MACRO spread(v) AS sum(v) FILTER (v > 1) / count(*);
CREATE MACRO round(x) AS floor(x + 0.5);
CREATE MACRO numbers(n, k := 2) AS TABLE
    SELECT range AS i, -- the number
           add(range, k) AS plus FROM range(n) WHERE range IS DISTINCT FROM k;
CREATE MACRO joined(n) AS TABLE WITH a AS (FROM numbers(n)) SELECT a.i FROM a JOIN numbers(n, k := 0) b USING (i);
CREATE MACRO zero() AS 0;
CREATE MACRO hygiene(v) AS (SELECT add(v, 10)) + v;
"""

QUERIES = [
    "SELECT add(1), add(1, 2), add(1, b := 5), add(a := 2, b => 3), ADD(1 + 1, 2 * 3) * 2",
    "SELECT twice(3), twice(add(1, -2)), -twice(1) - 1",
    'SELECT "Quoted Name"(NULL), "quoted name"(\'add(1)\')',
    "SELECT shadow(10), reduce([1, 2, 3], 10)",
    "SELECT aliased(5), field({'a': 7}), part(DATE '2020-01-01'), part(DATE '2021-05-05')",
    "SELECT slice([1, 2, 3, 4], 2), round(2.5), zero() + 1",
    "SELECT spread(v) FROM (VALUES (1), (2), (3)) AS t(v)",
    "SELECT * FROM numbers(3) ORDER BY ALL",
    "SELECT n.i, x.plus FROM numbers(4, k := 1) n JOIN numbers(3) AS x ON n.i = x.i ORDER BY ALL",
    "SELECT count(*) FROM numbers(2), numbers(3) AS o WHERE o.i > 0",
    "SELECT * FROM joined(4) ORDER BY ALL",
    "FROM numbers(2) SELECT i ORDER BY i",
    "SELECT v, hygiene(v) FROM (VALUES (1), (2)) AS t(v) ORDER BY ALL",
    "SELECT (SELECT sum(i) FROM numbers(5) WHERE i > add(0)), [add(y) FOR y IN [1, 2]]",
    "WITH add(a, b) AS (SELECT 1, 2) SELECT a, 'add(1)' AS add, \"add\".b FROM add -- add(1)",
]


@pytest.mark.parametrize("text", QUERIES)
def test_the_expanded_query_gives_what_duckdbs_own_macros_give(tmp_path: Path, text: str) -> None:
    own = duckdb.connect()
    own.execute(MACROS)
    expected = own.execute(text).fetchall()
    expanded = model(tmp_path, text, {"macros/m.sql": MACROS}).query.text
    assert duckdb.connect().execute(expanded).fetchall() == expected


def expand(tmp_path: Path, macros: str, text: str) -> str:
    config = CONFIG + "variables: {rate: 0.5}\n"
    return model(tmp_path, text, {"macros/m.sql": macros, "sqlflow.yml": config}).query.text


@pytest.mark.parametrize(
    ("macros", "text", "expected"),
    [
        ("CREATE MACRO f(a) AS a*$rate", "SELECT f(x)", "SELECT ((x)*0.5)"),
        ("CREATE MACRO f(a) AS a.b + c.a + a(a)", "SELECT f(x)", "SELECT ((x).b + c.a + a((x)))"),
        ("CREATE MACRO f() AS TABLE SELECT 1 AS i", "FROM f() x", "FROM (SELECT 1 AS i) x"),
        ("CREATE MACRO f() AS TABLE SELECT 1 AS i", "FROM F()", 'FROM (SELECT 1 AS i) AS "F"'),
        ("CREATE MACRO f(a) AS 'a' || a", "SELECT f($rate)", "SELECT ('a' || (0.5))"),
        ("CREATE MACRO f(a) AS a AT TIME ZONE a", "SELECT f(x)", "SELECT ((x) AT TIME ZONE (x))"),
        (
            "CREATE MACRO f(a) AS a",
            "SELECT f(x -- c\n + 1), t.g(x), f",
            "SELECT ((x -- c\n + 1)), t.g(x), f",
        ),
        (
            "CREATE MACRO f(b) AS (SELECT s.b AS b FROM (SELECT v b, b AS w FROM t) AS s JOIN b USING (b))",
            "SELECT f(1)",
            "SELECT ((SELECT s.b AS b FROM (SELECT v b, (1) AS w FROM t) AS s JOIN b USING (b)))",
        ),
    ],
)
def test_expansion(tmp_path: Path, macros: str, text: str, expected: str) -> None:
    assert expand(tmp_path, macros, text) == expected


def test_macros_work_in_checks(tmp_path: Path) -> None:
    text = '-- @checks:\n--   - expression: "f(a) > 1"\nSELECT 1 AS a'
    found = model(tmp_path, text, {"macros/m.sql": "CREATE MACRO f(x) AS x + 1"})
    assert found.header.checks[0].sql("sql") == "((a) + 1) > 1"


@pytest.mark.parametrize(
    ("macros", "problem"),
    [
        (
            "SELECT 1",
            "macro-syntax: a file in macros/ holds only `CREATE MACRO` statements [macros/m.sql:1:1+6]",
        ),
        (
            "CREATE TABLE x AS SELECT 1",
            "macro-syntax: a file in macros/ holds only `CREATE MACRO` statements [macros/m.sql:1:8+5]",
        ),
        ("CREATE MACRO s.f() AS 1", "macro-syntax: a macro has no schema [macros/m.sql:1:14+1]"),
        (
            "CREATE MACRO f AS 1",
            "macro-syntax: the parameters of `f` are missing [macros/m.sql:1:14+1]",
        ),
        (
            "CREATE MACRO f(a INT) AS 1",
            "macro-syntax: the parameter `a` is not understood [macros/m.sql:1:18+3]",
        ),
        (
            "CREATE MACRO f(a, A) AS 1",
            "macro-syntax: there are two parameters `A` [macros/m.sql:1:19+1]",
        ),
        (
            "CREATE MACRO f(a) AS SELECT 1",
            "macro-syntax: the body of a macro is an expression [macros/m.sql:1:22+6]",
        ),
        (
            "CREATE MACRO f(a) AS a, (a, b) AS a",
            "macro-syntax: a macro has one body [macros/m.sql:1:23+1]",
        ),
        ("CREATE MACRO f(a) AS (a", "macro-syntax: `(` is never closed [macros/m.sql:1:22+1]"),
        ("CREATE MACRO f(a) AS", "macro-syntax: the body of `f` is missing [macros/m.sql:1:19+2]"),
        ("CREATE MACRO f() AS 'x", "sql-syntax: a string is never closed [macros/m.sql:1:21+1]"),
        (
            "CREATE MACRO f() AS $nope",
            "unknown-variable: there is no variable `$nope` [macros/m.sql:1:21+5]",
        ),
        (
            "CREATE MACRO f() AS $start",
            "interval-bounds: `$start` cannot be used inside a macro [macros/m.sql:1:21+6]",
        ),
        (
            "CREATE MACRO f() AS 1; CREATE MACRO F() AS 2",
            "duplicate-name: the macro `F` is defined in `macros/m.sql` and in `macros/m.sql` [macros/m.sql:1:37+1]",
        ),
        (
            "CREATE MACRO a(x) AS b(x); CREATE MACRO b(x) AS c(x); CREATE MACRO c(x) AS a(x)",
            "macro-recursion: a macro calls itself: a -> b -> c -> a [macros/m.sql:1:76+4]",
        ),
        (
            "CREATE MACRO f(x) AS f(x)",
            "macro-recursion: a macro calls itself: f -> f [macros/m.sql:1:22+4]",
        ),
    ],
)
def test_what_is_wrong_in_a_macro(tmp_path: Path, macros: str, problem: str) -> None:
    assert problems(tmp_path, {"macros/m.sql": macros}) == [problem]


@pytest.mark.parametrize(
    ("call", "problem"),
    [
        ("f()", "macro-call: `f` takes 1 to 2 arguments, 0 given [1:8+3]"),
        ("f(1, 2, 3)", "macro-call: `f` takes 1 to 2 arguments, 3 given [1:8+10]"),
        ("f(1, c := 2)", "macro-call: `f` has no parameter `c` [1:13+1]"),
        ("f(1, a := 2)", "macro-call: `a` is given twice [1:13+1]"),
        (
            "f(a := 1, 2)",
            "macro-call: an argument without a name stands behind one with a name [1:18+1]",
        ),
        ("f(1,)", "macro-call: an argument of `f` is empty [1:8+5]"),
        ("t()", "macro-call: `t` gives a table, it can stand only in FROM [1:8+3]"),
        ("1 FROM f(1)", "macro-call: `f` gives a value, it cannot stand in FROM [1:15+4]"),
    ],
)
def test_what_is_wrong_in_a_call(tmp_path: Path, call: str, problem: str) -> None:
    macros = "CREATE MACRO f(a, b := 1) AS a + b; CREATE MACRO t() AS TABLE SELECT 1"
    found = problems(tmp_path, {"macros/m.sql": macros, "models/m.sql": f"SELECT {call}"})
    assert found == [problem]


def test_a_bomb_of_macros_is_refused(tmp_path: Path) -> None:
    macros = "CREATE MACRO m0(x) AS x + x;\n"
    macros += "".join(f"CREATE MACRO m{n}(x) AS m{n - 1}(m{n - 1}(x));\n" for n in range(1, 30))
    found = problems(tmp_path, {"macros/m.sql": macros, "models/m.sql": "SELECT m29(1)"})
    assert found
    assert all(line.startswith("macro-call: ") for line in found)
    deep = "f(" * 2000 + "1" + ")" * 2000
    found = problems(tmp_path, {"macros/m.sql": "CREATE MACRO f(x) AS x+x", "models/m.sql": f"SELECT {deep}"})
    assert len(found) == 1
    assert found[0].startswith("macro-call: ")
