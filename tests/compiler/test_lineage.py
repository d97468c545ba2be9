"""Column lineage, checked by hand-written cases and by changing columns in DuckDB."""

from __future__ import annotations

import json
import random
from collections import Counter
from pathlib import Path

import duckdb
import pytest
from sqlglot import exp, parse_one

from sqlflow.compiler.lineage import Kind, TracedQuery, trace
from sqlflow.compiler.resolve import resolve
from sqlflow.core.names import ColumnRef, TableName

CASES = json.loads((Path(__file__).parent.parent / "cases" / "lineage.json").read_text())
TABLES: dict[str, list[str]] = CASES["tables"]
COLUMNS = {TableName("main", name): tuple(columns) for name, columns in TABLES.items()}


def lineage(sql: str) -> TracedQuery:
    tree = parse_one(sql, dialect="duckdb")
    return trace(resolve(tree, COLUMNS, name_of))


def name_of(table: exp.Table) -> TableName:
    return TableName(table.db or "main", table.name)


def direct(found: TracedQuery) -> dict[str | None, list[str]]:
    assert found.columns is not None
    return {column.name: short(column.direct) for column in found.columns}


def short(refs: frozenset[ColumnRef]) -> list[str]:
    return sorted(f"{ref.table.name}.{ref.column}" for ref in refs)


@pytest.mark.parametrize("case", CASES["cases"], ids=lambda case: case["id"])
def test_the_shared_cases(case: dict[str, object]) -> None:
    assert direct(lineage(str(case["sql"]))) == case["direct"]


def test_indirect_columns_are_told_apart_by_what_they_do() -> None:
    found = lineage(
        """select x.a, count(*) as n from x left join y on x.a = y.d
           where x.b > 1 group by x.a having max(y.e) > 3
           qualify row_number() over (order by x.a) < 9 order by 1 limit 5"""
    )
    assert {kind: short(refs) for kind, refs in found.indirect.items()} == {
        "filter": ["x.b", "y.e"],
        "group": ["x.a"],
        "join": ["x.a", "y.d"],
        "sort": ["x.a"],
        "window": ["x.a"],
    }


def test_kinds() -> None:
    found = lineage("with c as (select a, b + 1 as t, sum(c) as s from x group by all) from c")
    assert found.columns is not None
    assert [column.kind for column in found.columns] == [
        Kind.IDENTITY,
        Kind.TRANSFORMATION,
        Kind.AGGREGATION,
    ]


def test_the_right_arm_of_an_except_only_decides_which_rows_are() -> None:
    found = lineage("SELECT a, b FROM x EXCEPT SELECT d, e FROM y")
    assert direct(found) == {"a": ["x.a"], "b": ["x.b"]}
    assert short(found.indirect["set"]) == ["x.a", "x.b", "y.d", "y.e"]
    # A value of an INTERSECT is one of both arms, which are equal but may be written otherwise.
    assert direct(lineage("SELECT a FROM x INTERSECT SELECT d FROM y")) == {"a": ["x.a", "y.d"]}
    for join in ("SEMI", "ANTI"):
        assert direct(lineage(f"SELECT a FROM x {join} JOIN y ON x.a = y.d")) == {"a": ["x.a"]}


def test_columns_of_a_query_in_the_list_stay_its_own() -> None:
    found = lineage("SELECT d, (SELECT max(COLUMNS('a')) FROM x) AS m FROM y")
    assert direct(found) == {"d": ["y.d"], "m": ["x.a"]}


def test_the_final_order_decides_nothing_without_a_limit() -> None:
    assert not lineage("select a from x order by b").rows
    assert short(lineage("select a from x order by b limit 1").rows) == ["x.b"]


def test_tables_whose_rows_are_only_counted_are_named() -> None:
    found = lineage("select (select count(*) from y) as n from x")
    assert {table.name for table in found.tables} == {"x", "y"}


@pytest.mark.parametrize(
    "sql",
    [
        "select * from nowhere.t",
        "select s.x from x as s, query('select 1')",
        "from (pivot x on a using sum(b))",
        "select unnest(a) from x",
        "select rowid from x",
    ],
)
def test_what_is_unknown_is_said_to_be(sql: str) -> None:
    tree = parse_one(sql, dialect="duckdb")
    known = resolve(tree, COLUMNS, lambda t: name_of(t) if t.db in ("", "main") else None)
    assert not trace(known).complete


# Changing one column and looking at what comes out. Where the claim says that an output column
# does not depend on it, the column must stay as it is, as a multiset.
QUERIES = [
    "select a as p, b + c as q from x",
    "select * from x join y using (a)",
    "select * from x left join y using (a)",
    "select * from x full join y using (a)",
    "select * from x right join y using (a)",
    "select a, x.a as xa, y.a as ya, d from x full join y using (a)",
    "select * from x natural join y",
    "select x.b, y.d from x semi join y using (a), y where y.e > 2",
    "select b from x anti join y on x.a = y.d",
    "with c1(m, n) as (select a, b from x), c2 as (select n as o, m from c1) select o, m from c2",
    "select a, b from x union all by name select e as b, d as a from y",
    "select a, b from x union select d, e from y",
    "select a, b from x except select d, e from y",
    "select a from x intersect select d from y",
    "select a, sum(b) as s, count(*) as n from x group by a having max(c) > 3",
    "select a + 1 as k, sum(b) as s from x group by k",
    "select b % 2 as k, max(c) as m from x group by all",
    "select a, b, sum(c) as s from x group by rollup(a, b)",
    "select 1 as one, count(*) as n from x group by cube(1, a)",
    "select case when a > 4 then b else c end as k from x",
    "select a, (select max(d) from y where e > 3) as m from x",
    "select a, (select max(d) from y where y.a = x.b) as m from x",
    "select b from x where exists (select 1 from y where y.a = x.a) and c in (select e from y)",
    "select unnest([a, b]) as u, c from x",
    "select u, c from x, unnest([a, b]) as t(u)",
    "select i from x, range(b % 4) as r(i)",
    "select a, sum(c) filter (where b = 1) as one from x group by a",
    "select columns(lambda c: c in ('b', 'c')) + 1 from x",
    "select columns('a|b') from x",
    "select coalesce(*columns(*)) as k from x",
    "select * exclude (b) replace (a + 1 as a) rename (c as z) from x",
    "select p from (select a as p, b as gone from x) s",
    "select a, row_number() over (partition by b order by c) as r from x",
    "select a, sum(c) over w as r from x window w as (partition by b order by a)",
    "select a from x qualify row_number() over (partition by b order by c, a) = 1",
    "select distinct on (b) a from x order by b, c, a",
    "select distinct a % 2 as k from x",
    "select a from x order by c, a limit 3",
    "select count(*) as n from (select a from x order by b, a, c limit 4) where a > 2",
    "select a from x limit (select count(*) from y where d > 3)",
    "select a + 1 as n, n * 2 as m, b as a from x",
    "select a as b, c from x where b > 2",
    "select a as k, max(b) as b from x group by a having b > 3",
    """with recursive r(n, m) as (select a, b from x union all
       select n + 1, m from r join z on z.k = r.n where n < 5) select n, m from r""",
    """with recursive r as (select k as n from z union
       select v as n from z join r on z.k = r.n) select n from r""",
    "select t from x as t",
    "select count(t) as n, t.b from x t group by t.b",
    "select l.s, x.a from x, lateral (select sum(d) as s from y where y.a = x.b) l",
    "select x.b, z.v from x left join (y join z on y.d = z.k) on x.a = y.a",
    "select k.b, k.e from (x join y using (a)) as k",
    "select x.b, y.e from x positional join y",
    "select x.a, y.d from x asof join y on x.a = y.a and x.b >= y.d",
    "select list(b) as l from (select b from x order by c, a, b)",
    "select [e + a for e in [b, c]] as l from x",
    "select list_transform([b], lambda q: q + a) as l from x",
    "select {'f': b}.f as f, c from x",
    "select s.f from (select {'f': b, 'g': a} as s from x)",
    "(select a from x order by b, a limit 2) union all select v from z",
    "select a from x union all select v from z order by a limit 3",
    "from (values (1), (2)) as v(i) join x on x.a = i",
    "with c as (select a from x) select (with c as (select d as a from y) select max(a) from c) m, a from c",
    "select a from x where (a, b) in (select d, e from y)",
    "select q.a from (select a, b from x where c > 2) q join (select d from y) r on q.b = r.d",
    "select a, b in (select d from y) as f from x",
    "select a > all (select d from y where e > 4) as f from x",
]


@pytest.mark.parametrize("sql", QUERIES)
def test_a_column_changes_only_with_what_it_claims(sql: str) -> None:
    found = lineage(sql)
    assert found.complete
    assert found.columns is not None
    assert observe(sql, found) == []


def observe(sql: str, found: TracedQuery, rounds: int = 2) -> list[str]:
    """The output columns that changed with a base column they do not claim."""
    random_ = random.Random(7)
    broken = []
    with duckdb.connect(config={"threads": 1}) as connection:
        for _ in range(rounds):
            for name, columns in TABLES.items():
                connection.execute(f"create or replace table {name} ({ints(columns)})")
                rows = [[value(random_) for _ in columns] for _ in range(7)]
                connection.executemany(f"insert into {name} values ({marks(columns)})", rows)
            before = columns_of(connection, sql)
            for name, columns in TABLES.items():
                for changed in columns:
                    ref = ColumnRef(TableName("main", name), changed)
                    connection.execute(f"create or replace temp table keep as from {name}")
                    shift = random_.choice(["+ 1", "% 2", "* 3 % 7"])
                    connection.execute(f"update {name} set {changed} = {changed} {shift}")
                    after = columns_of(connection, sql)
                    connection.execute(f"delete from {name}")
                    connection.execute(f"insert into {name} from keep")
                    for place, column in enumerate(found.columns or ()):
                        if ref in column.direct or ref in found.rows:
                            continue
                        if before[place] != after[place]:
                            broken.append(f"{column.name} changed with {ref}")
    return broken


def ints(columns: list[str]) -> str:
    return ", ".join(f"{column} int" for column in columns)


def marks(columns: list[str]) -> str:
    return ", ".join("?" for _ in columns)


def value(random_: random.Random) -> int | None:
    return None if random_.random() < 0.1 else random_.randrange(7)


def columns_of(connection: duckdb.DuckDBPyConnection, sql: str) -> list[Counter[str]]:
    rows = connection.execute(sql).fetchall()
    width = len(connection.description or ())
    return [Counter(repr(row[place]) for row in rows) for place in range(width)]


def test_the_experiment_sees_a_missing_claim() -> None:
    sql = "select a from x where b > 3"
    found = lineage(sql)
    blind = TracedQuery(found.columns, {}, found.tables, True, None, names_seen=False)
    assert "a changed with main.x.b" in observe(sql, blind)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("select a, b from x", "select b as z, a from (select * from x)"),
        ("select a+1 as k from x", "with c as (select A + 1 k from main.x) select k from c"),
        ("select a from x where (b > 1)", "SELECT a /* why */ FROM x t WHERE t.b > 1 ORDER BY a"),
        (
            "select sum(a) over w from x window w as (order by b)",
            "select sum(a) over v from x window v as (order by b)",
        ),
    ],
)
def test_spelling_does_not_change_fingerprints(before: str, after: str) -> None:
    one, two = lineage(before), lineage(after)
    assert one.rows_fingerprint == two.rows_fingerprint is not None
    texts = [{column.fingerprint for column in found.columns or ()} for found in (one, two)]
    assert texts[0] == texts[1]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            "select sum(b) over () as s from x where a > 1",
            "select s from (select a, sum(b) over () as s from x) where a > 1",
        ),
        ("select p.a from x p, x q", "select q.a from x p, x q"),
        (
            "select k from x left join (select 1 as k) s on x.a = 1",
            "select 1 as k from x left join (select 1 as k) s on x.a = 1",
        ),
        (
            "select sum(a) over w from x window w as (order by b)",
            "select sum(a) over w from x window w as (order by c)",
        ),
        ("select a from x where b = 'a'", "select a from x where b = 'A'"),
        ("select a from x limit 3", "select a from x limit 4"),
        ("select a from x limit 3", "select a from x offset 3"),
        ("select a from x order by b limit 3", "select a from x order by b desc limit 3"),
        ("select a from x join y using (a)", "select a from x full join y using (a)"),
        ("select distinct a from x", "select a from x"),
        ("select distinct a, b from x", "select distinct a, c as b from x"),
        ("select a from x union select d from y", "select a from x union all select d from y"),
        (
            "select a from x where exists (select 1 from y where y.a = x.a)",
            "select a from x where exists (select 1 from y where y.a = x.b)",
        ),
        (
            "select (select max(d) from y where e > 3) as m from x",
            "select (select max(d) from y where e > 4) as m from x",
        ),
        ("select count(*) as n from x", "select a as n from x"),
        ("select a from x using sample 3 rows", "select a from x"),
    ],
)
def test_meaning_changes_fingerprints(before: str, after: str) -> None:
    one, two = lineage(before), lineage(after)

    def prints(found: TracedQuery) -> tuple[object, ...]:
        return (found.rows_fingerprint, *(column.fingerprint for column in found.columns or ()))

    assert prints(one) != prints(two)


def test_a_long_chain_stays_small() -> None:
    steps = ", ".join(f"c{i} as (select k + k as k from c{i - 1})" for i in range(1, 60))
    found = lineage(f"with c0 as (select a as k from x), {steps} select k from c59")
    assert direct(found) == {"k": ["x.a"]}
    assert found.columns is not None
    assert len(found.columns[0].fingerprint or "") < 200
