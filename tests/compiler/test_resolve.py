"""Names of a query: what DuckDB makes of them is the judge."""

from __future__ import annotations

from collections.abc import Iterator

import duckdb
import pytest
from sqlglot import exp, parse_one

from sqlflow.compiler.lineage import trace
from sqlflow.compiler.resolve import resolve
from sqlflow.compiler.scopes import AmbiguousColumn, Direct, Resolved, Select, SourceKind, UnknownColumn, output_names
from sqlflow.core.names import TableName

SETUP = """
create table x as select * from (values (1, 2, 3), (2, 3, 4)) v(a, b, c);
create table y as select * from (values (1, 5, 6), (7, 8, 9)) v(a, d, e);
create table z as select * from (values (1, 10), (2, 20)) v(k, v);
create table s as select {'f': 1, 'g': {'h': 2}} as s, [1, 2, 3] as l, 4 as f;
"""
COLUMNS = {
    TableName("main", "x"): ("a", "b", "c"),
    TableName("main", "y"): ("a", "d", "e"),
    TableName("main", "z"): ("k", "v"),
    TableName("main", "s"): ("s", "l", "f"),
}


@pytest.fixture(scope="module")
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(config={"threads": 1}) as connection:
        connection.execute(SETUP)
        yield connection


def name_of(table: exp.Table) -> TableName | None:
    name = TableName(table.db or "main", table.name)
    return name if name in COLUMNS else None


def resolved(sql: str) -> Resolved:
    return resolve(
        parse_one(sql, dialect="duckdb"),
        COLUMNS,
        name_of,
        type_of=lambda column: "INTEGER[]" if column.column == "l" else None,
    )


VALID = [
    "from x",
    "from x select b, a",
    "table x",
    "select * exclude (a) replace (b + 1 as b) rename (c as cc) from x",
    "select x.* exclude (a), y.* from x join y using (a)",
    "select * from x join y using (a)",
    "select * from x right join y using (a)",
    "select * from x full join y using (a) join z on a = k",
    "select * from x natural join y",
    "select * from x, (y join z on d = k)",
    "select * from (x join y using (a)), z",
    "with c as (from z) from c, y join x using (a) select v, a, b",
    "select x.b, y.d, z.v from x left join y join z on y.d = z.k on x.a = y.a",
    "select k.a, k.d from (x join y using (a)) as k",
    "select * from x semi join y using (a)",
    "select * from x anti join y on x.a = y.a and d > 3",
    "select * from x positional join z",
    "select * from x asof join y on x.a = y.a and x.b >= y.d",
    "select * from x asof join y using (a)",
    "select * from x p, x q",
    "select columns('^[ab]$') from x",
    "select columns('x_.*|b') from x",
    "select columns(lambda n: n like 'a%' or n in ('c')) + 1 from x",
    "select columns(*)::varchar from x join y using (a)",
    "select columns(x.*), columns(['d', 'e']) from x join y using (a)",
    "select max(columns(* exclude (a))) as m from x",
    "select columns('(.)') as 'col_\\1' from x",
    "select coalesce(*columns(*)) as k from x",
    "select * like 'a%' from x",
    "select * from (select a, b as a, c as a from x)",
    "select a, a_1 from (select a, b as a from x)",
    "with c(m) as (select a, b from x) select m, b from c",
    "with c as (select 1 as v), d as (with c as (select 2 as w) from c) from c, d",
    "with x as (select 5 as q) select x.q, (select max(a) from main.x) as m from x",
    "with recursive r(n) as (select 1 union all select n + 1 from r where n < 3) from r",
    "with recursive x as (select a from x) from x",
    "select a, b from x union all by name select d as b, e from y",
    "select a as k from x union select d from y order by k limit 2",
    "select x.a from x union all select d from y order by x.a",
    "values (1, 2), (3, 4)",
    "select * from (values (1, 2)) as v(p)",
    "select z.p, b from x as z(p)",
    "select main.x.a, x.b from x",
    "select a + 1 as k, k * 2 as m from x where k > 1 order by m + 1",
    "select b as a, a as q from x where a = 1 order by a",
    "select a, count(*) as n from x group by 1 qualify row_number() over (order by n) = 1",
    "select sum(a) over (w order by c) as r from x window w as (partition by b)",
    "select s.f, s.s.f as g, s.g.h, s.s.g.h as i from s",
    "select q.s.f, (q.s).g.h as h from s as q",
    "select s.l[1] as one, s['f'] as f, l.list_sum() as t from s",
    "select unnest(l) as e from s",
    "select e, s.l from s, unnest(s.l) as u(e)",
    "select u, i from s, unnest(s.l) with ordinality as t(u, i)",
    "select range, g from range(2), generate_series(1, 2) as t(g)",
    "select r from range(2) as r",
    "select b, d from z, x join y on k = x.b",
    "select x.a, l.m from x, lateral (select max(d) as m from y where y.a = x.b) l",
    "select j from x, (select x.a + 1 as j)",
    "select [e + a for e in [b, c] if e > 1] as l from x",
    "select list_transform([1], lambda a: a + b) as l from x",
    "select x from x",
    "select count(x.*) as n from x",
    "select a from x where exists (from y where y.a = x.a and d > b)",
    "select (select b) as q from x",
    "select a from x where (a, b) in (select d, e from y)",
    "select current_user is null as u, a from x",
    "select rowid, a from x",
    'select "A", X.B from X',
    "from x limit (select count(*) from y)",
]


@pytest.mark.parametrize("sql", VALID)
def test_the_columns_are_those_that_duckdb_describes(sql: str, connection: duckdb.DuckDBPyConnection) -> None:
    found = resolved(sql)
    assert found.problems == ()
    names = output_names(found.query)
    described = [row[0] for row in connection.execute(f"describe {sql}").fetchall()]
    assert names is not None
    assert [name or real for name, real in zip(names, described, strict=True)] == described


UNKNOWN = [
    "pivot x on a using sum(b)",
    "select * from x unpivot (w for n in (a, b))",
    "select * from read_csv('nothing.csv')",
    "select unnest(s) from s",
    "select * from elsewhere.t",
    "select s.* exclude (f), unnest(s, recursive := true) from s",
    "select #1 from x",
]


@pytest.mark.parametrize("sql", UNKNOWN)
def test_what_cannot_be_known_is_unknown_and_no_problem(sql: str) -> None:
    found = resolved(sql)
    assert output_names(found.query) is None
    assert found.problems == ()


def test_unknown_columns_come_with_their_place_and_near_names() -> None:
    sql = "select aa, x.bee, nope.c from x where exists (select 1 from y where dd = c)"
    problems = resolved(sql).problems
    assert [problem.name for problem in problems] == ["aa", "bee", "nope.c", "dd"]
    assert all(isinstance(problem, UnknownColumn) for problem in problems)
    assert [sql[p.start : p.end] for p in problems] == ["aa", "bee", "nope.c", "dd"]
    assert isinstance(problems[0], UnknownColumn)
    assert problems[0].candidates == ("a",)


def test_ambiguous_columns_name_the_tables() -> None:
    sql = "select b, a from x join y on x.a = y.a"
    (problem,) = resolved(sql).problems
    assert problem == AmbiguousColumn("a", 10, 11, ("x", "y"))


@pytest.mark.parametrize(
    "sql",
    [
        "select nope from x, elsewhere.t",
        "select t.nope from x, elsewhere.t",
        "select nope from (pivot x on a using sum(b))",
        'select "count_star()" from (select count(*) from x)',
        "with c as (select nope from x) select 1",
    ],
)
def test_nothing_is_reported_where_an_unknown_may_excuse_it(sql: str) -> None:
    assert resolved(sql).problems == ()


@pytest.mark.parametrize(
    ("sql", "names"),
    [
        ("select * exclude (nope) from x", ["nope"]),
        ("select * from x join y using (b)", ["b"]),
        ("select d from x semi join y using (a)", ["d"]),
        ("select * from x join y on x.a = y.a join y q using (a)", ["a"]),
        ("select q from x order by w", ["q", "w"]),
        ("select x.a from x as p", ["x.a"]),
    ],
)
def test_other_wrong_names(sql: str, names: list[str], connection: duckdb.DuckDBPyConnection) -> None:
    assert [problem.name for problem in resolved(sql).problems] == names
    with pytest.raises(duckdb.BinderException):
        connection.execute(f"describe {sql}")


def test_sources_say_where_a_table_stands() -> None:
    sql = 'with c as (from main.x) select * from c as k join "y" on k.a = "y".a'
    query = resolved(sql).query
    assert isinstance(query, Select)
    assert [(s.kind, s.name, sql[s.start : s.end]) for s in query.sources] == [
        (SourceKind.CTE, "k", "c"),
        (SourceKind.TABLE, "y", '"y"'),
    ]
    inner = query.sources[0].relation
    assert isinstance(inner, Select)
    (table,) = inner.sources
    assert sql[table.start : table.end] == "main.x"


def test_a_real_column_wins_over_an_alias() -> None:
    query = resolved("select b as a, a + 1 as n from x").query
    assert isinstance(query, Select)
    assert query.outputs is not None
    (reference,) = query.outputs[1].expression.references
    assert isinstance(reference, Direct)
    assert reference.index == 0


def test_the_tree_is_not_changed() -> None:
    for sql in VALID:
        tree = parse_one(sql, dialect="duckdb")
        before = tree.sql("duckdb")
        resolve(tree, COLUMNS, name_of)
        assert tree.sql("duckdb") == before


def test_postgres_names_the_columns_of_values_differently() -> None:
    tree = parse_one("select * from (values (1, 2)) v", dialect="postgres")
    found = resolve(tree, COLUMNS, name_of, dialect="postgres")
    assert output_names(found.query) == ("column1", "column2")


@pytest.mark.parametrize("terms", [400, 5000])
def test_a_very_deep_expression_is_no_failure(terms: int) -> None:
    tree = parse_one("select a as k from x", dialect="duckdb")
    deep: exp.Expr = exp.column("a")
    for _ in range(terms):
        deep = exp.Add(this=deep, expression=exp.column("b"))
    tree.args["expressions"][0].set("this", deep)
    found = resolve(tree, COLUMNS, name_of)
    assert found.problems == ()
    assert {table.name for table in trace(found).tables} == {"x"}
