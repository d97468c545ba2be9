"""DuckDB's friendly SQL, statement by statement: a table that follows its inputs equals its query after each change.

Each statement is a model of its own in one project. With the strategy `delta` all is followed that can be; what cannot be
is rebuilt, and must be right as well.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from lawful import Lawful

# `ext.t` has k, a, b, s, l, r and day; `ext.u` has k, v and name.
STATEMENTS = [
    # COLUMNS(...) and stars
    "SELECT k, sum(COLUMNS(['a', 'b'])) FROM ext.t GROUP BY k",
    "SELECT k, sum(COLUMNS(lambda c: c IN ('a', 'b'))) FROM ext.t GROUP BY k",
    "SELECT k, sum(COLUMNS('^[ab]$')) FROM ext.t GROUP BY k",
    "SELECT k, max(COLUMNS(* EXCLUDE (k, l, r))) FROM ext.t GROUP BY k",
    "SELECT k, count(COLUMNS(['a', 'b'])) FILTER (WHERE a > 1) FROM ext.t GROUP BY k",
    "SELECT k, sum(COLUMNS(['a', 'b']) + 1) FROM ext.t GROUP BY k",
    "SELECT k, min(COLUMNS(['a', 'b'])) AS 'low_\\0', max(COLUMNS(['a', 'b'])) AS 'top_\\0' FROM ext.t GROUP BY k",
    "SELECT k, avg(COLUMNS(['a', 'b'])) FROM ext.t GROUP BY k",
    "SELECT k, sum(COLUMNS(['a', 'b'])) + count(*) FROM ext.t GROUP BY k",
    "SELECT k, coalesce(*COLUMNS(['a', 'b'])) AS c FROM ext.t",
    "SELECT k, sum(coalesce(*COLUMNS(['a', 'b']))) AS c FROM ext.t GROUP BY k",
    "SELECT k, sum(greatest(*COLUMNS(['a', 'b']))) AS c FROM ext.t GROUP BY ALL",
    "SELECT COLUMNS(['a', 'b']) * 2 FROM ext.t",
    "SELECT t.k, sum(COLUMNS(t.*  EXCLUDE (k, s, l, r, day))) FROM ext.t AS t GROUP BY t.k",
    "SELECT k FROM ext.t WHERE COLUMNS(['a', 'b']) > 0",
    "SELECT k, sum(a) AS a FROM ext.t WHERE COLUMNS(['a', 'b']) > 0 GROUP BY k",
    "SELECT * EXCLUDE (l, r) FROM ext.t",
    "SELECT * REPLACE (a + 1 AS a) FROM ext.t",
    "SELECT * RENAME (a AS aa) FROM ext.t",
    "SELECT t.* EXCLUDE (l), u.v FROM ext.t AS t JOIN ext.u AS u USING (k)",
    "SELECT * LIKE '%a%' FROM ext.t",
    # clauses
    "FROM ext.t",
    "FROM ext.t SELECT k, a WHERE a > 1",
    "FROM ext.t SELECT k, sum(a) AS s GROUP BY k",
    "SELECT k, s, sum(a) AS total FROM ext.t GROUP BY ALL",
    "SELECT k, sum(a) AS total FROM ext.t GROUP BY ALL HAVING total > 2",
    "SELECT a + b AS c, sum(k) AS n FROM ext.t GROUP BY c",
    "SELECT k + 1 AS kk, kk * 2 AS k2 FROM ext.t",
    "SELECT k + 1 AS kk, sum(kk) AS n FROM ext.t GROUP BY kk",
    "SELECT DISTINCT ON (k) k, a FROM ext.t ORDER BY k, a, b, s, day",
    "SELECT k, a FROM ext.t QUALIFY row_number() OVER (PARTITION BY k ORDER BY a, b, s, day, l) = 1",
    "SELECT k, a FROM ext.t QUALIFY count(*) OVER (PARTITION BY k) > 1",
    "SELECT k, sum(a) OVER w AS c FROM ext.t WINDOW w AS (PARTITION BY k)",
    "SELECT k, count(*) AS n FROM ext.t GROUP BY GROUPING SETS ((k), ())",
    "SELECT k, s, count(*) AS n FROM ext.t GROUP BY ROLLUP (k, s)",
    "SELECT k, s, count(*) AS n FROM ext.t GROUP BY CUBE (k, s)",
    "SELECT k: k, doubled: a * 2 FROM ext.t",
    "SELECT k, #2 AS second FROM ext.t",
    "SELECT k, sum(#2) AS second FROM ext.t GROUP BY k",
    # joins and set operations
    "SELECT t.k, t.a FROM ext.t AS t SEMI JOIN ext.u AS u USING (k)",
    "SELECT t.k, t.a FROM ext.t AS t ANTI JOIN ext.u AS u USING (k)",
    "SELECT t.k, u.v FROM ext.t AS t ASOF JOIN ext.u AS u ON t.k = u.k AND t.a >= u.v",
    "SELECT t.k, t.a, u.v FROM ext.t AS t LEFT JOIN ext.u AS u USING (k)",
    "SELECT k, t.a, u.v FROM ext.t AS t FULL JOIN ext.u AS u USING (k)",
    "SELECT * EXCLUDE (l, r) FROM ext.t NATURAL JOIN ext.u",
    "SELECT t.k, x.v FROM ext.t AS t, LATERAL (SELECT max(v) AS v FROM ext.u AS u WHERE u.k = t.k) AS x",
    "SELECT k, a FROM ext.t UNION BY NAME SELECT k, v AS b FROM ext.u",
    "SELECT k, a FROM ext.t UNION ALL BY NAME SELECT v AS a, k FROM ext.u",
    "SELECT k FROM ext.t EXCEPT ALL SELECT k FROM ext.u",
    "SELECT k FROM ext.t INTERSECT SELECT k FROM ext.u",
    "WITH c AS MATERIALIZED (SELECT k, sum(a) AS s FROM ext.t GROUP BY k) SELECT c.k, c.s, u.v FROM c JOIN ext.u AS u USING (k)",
    "SELECT (SELECT max(v) FROM ext.u WHERE u.k = t.k) AS m, k FROM ext.t AS t",
    "SELECT k, a IN (SELECT v FROM ext.u) AS found FROM ext.t",
    "SELECT k, EXISTS (FROM ext.u WHERE u.k = t.k) AS found FROM ext.t AS t",
    # nested values
    "SELECT k, unnest(l) AS e FROM ext.t",
    "SELECT k, count(*) AS n FROM (SELECT k, unnest(l) AS e FROM ext.t) GROUP BY k",
    "SELECT t.k, e.e FROM ext.t AS t, unnest(t.l) AS e(e)",
    "SELECT k, unnest(r) FROM ext.t",
    "SELECT k, r.x + 1 AS x FROM ext.t",
    "SELECT k, t.r.y FROM ext.t AS t",
    "SELECT k, [x * 2 FOR x IN l IF x > 1] AS doubled FROM ext.t",
    "SELECT k, list_transform(l, lambda x: x + a) AS added FROM ext.t",
    "SELECT k, l[1] AS first, l[-1] AS last, l[1:2] AS two FROM ext.t",
    "SELECT k, {'a': a, 'b': b} AS both FROM ext.t",
    "SELECT k, struct_pack(a := a, b := b) AS both FROM ext.t",
    "SELECT k, MAP {coalesce(s, ''): a} AS m FROM ext.t",
    "SELECT k, list(a ORDER BY a, b, s, day) AS many FROM ext.t GROUP BY k",
    "SELECT k, string_agg(s, ',' ORDER BY s) AS words FROM ext.t GROUP BY k",
    "SELECT k, arg_max(a, b) AS m, arg_min(s, a) AS n FROM ext.t GROUP BY k",
    "SELECT k, max(a, 2) AS top FROM ext.t GROUP BY k",
    "SELECT k, histogram(a) AS h FROM ext.t GROUP BY k",
    "SELECT k, count(DISTINCT a) AS d, count(*) AS n FROM ext.t GROUP BY k",
    "SELECT k, median(a) AS m, quantile_cont(a, 0.5) AS q, mode(a) AS o FROM ext.t GROUP BY k",
    "SELECT k, approx_count_distinct(a) AS d FROM ext.t GROUP BY k",
    "SELECT k, bit_xor(a) AS x, bool_or(a > 1) AS o, product(b) AS p FROM ext.t GROUP BY k",
    "SELECT k, count_if(a > 1) AS c, sum_no_overflow(a) AS s, any_value(k) AS v FROM ext.t GROUP BY k",
    # text, time, words without brackets
    "SELECT k, s.upper().lower() AS chained FROM ext.t",
    "SELECT k, s[1] AS initial, s[2:] AS rest FROM ext.t",
    "SELECT k, s GLOB 'x*' AS g, s ~ '^x' AS m, s ^@ 'x' AS p FROM ext.t",
    "SELECT k, date_trunc('month', day) AS month, count(*) AS n FROM ext.t GROUP BY ALL",
    "SELECT k, day + INTERVAL 1 MONTH AS later, day - DATE '2024-01-01' AS days FROM ext.t",
    "SELECT k, time_bucket(INTERVAL '2 days', day) AS bucket, sum(a) AS a FROM ext.t GROUP BY ALL",
    "SELECT k, TRY_CAST(s AS INTEGER) AS number, a::VARCHAR AS text, 7 // 2 AS half FROM ext.t",
    "SELECT 1_000 AS big, 1e3 AS thousand, k FROM ext.t",
    "SELECT k, if(a > 1, 'big', 'small') AS size, a ** 2 AS square, a % 2 = 0 AS even FROM ext.t",
    "FROM (PIVOT ext.u ON name IN ('x', 'y') USING sum(v) GROUP BY k)",
    "FROM (UNPIVOT (SELECT k, a, b FROM ext.t) ON a, b INTO NAME what VALUE n)",
    "SELECT k, generate_series(1, 2) AS two FROM ext.t",
    "SELECT t.k, g.i FROM ext.t AS t, range(t.a) AS g(i)",
    "SELECT k, a FROM ext.t ORDER BY ALL LIMIT 3",
    "VALUES (1, 2), (3, 4)",
]
CHANGES = [
    "INSERT INTO ext.t VALUES (1, 5, -5, 'x5', [5], {'x': 5, 'y': 'v'}, '2024-02-01'), (9, NULL, 1, NULL, NULL, NULL, NULL)",
    "UPDATE ext.t SET b = b + 10, s = 'y' || s WHERE k = 1",
    "DELETE FROM ext.t WHERE k = 2",
    "INSERT INTO ext.u VALUES (1, 100, 'y'), (9, 2, 'x')",
    "DELETE FROM ext.u WHERE k = 1",
    "UPDATE ext.u SET v = 3 WHERE k = 3",
    "INSERT INTO ext.t SELECT k, a + 1, b, s, l, r, day + 1 FROM ext.t WHERE k = 3",
]


def name(number: int) -> str:
    return f"m{number:02}"


@pytest.mark.parametrize("strategy", [pytest.param("auto", marks=pytest.mark.long), "delta"])
def test_a_table_equals_its_query_after_each_change(tmp_path: Path, strategy: str) -> None:
    project = Lawful(tmp_path)
    header = "" if strategy == "auto" else "-- @strategy: delta\n"
    models = {f"models/a/{name(n)}.sql": header + query + "\n" for n, query in enumerate(STATEMENTS)}
    project.begin(models)
    project.sql(
        "CREATE SCHEMA ext",
        "CREATE TABLE ext.t (k INTEGER, a INTEGER, b DECIMAL(9, 2), s VARCHAR, l INTEGER[], r STRUCT(x INTEGER, y VARCHAR), day DATE)",
        "CREATE TABLE ext.u (k INTEGER, v INTEGER, name VARCHAR)",
        """INSERT INTO ext.t SELECT i % 4, i, i * 1.5, 'x' || i, [i, i + 1], {'x': i, 'y': 'y' || i}, DATE '2024-01-01' + i::INTEGER
        FROM range(12) AS r(i)""",
        "INSERT INTO ext.u SELECT i % 5, i, CASE WHEN i % 2 = 0 THEN 'x' ELSE 'y' END FROM range(10) AS r(i)",
    )
    for change in (None, *CHANGES):
        if change is not None:
            project.sql(change)
        built = project.build()
        assert built.code == 0, built.told
        wrong = []
        with project.connected() as connection:
            for n, statement in enumerate(STATEMENTS):
                kept = sorted(map(repr, connection.execute(f"FROM a.{name(n)}").fetchall()))
                queried = sorted(map(repr, connection.execute(f"FROM ({statement})").fetchall()))
                if kept != queried:
                    wrong.append(f"{statement}: {kept} is not {queried}")
        assert not wrong, f"after {change}:\n" + "\n".join(wrong)
    assert project.planned() == []
