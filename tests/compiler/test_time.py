"""Time mappings, checked by changing rows in DuckDB and by pushing filters into the text."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator

import pytest
from laboratory import LABS, Lab
from sqlglot import exp, parse_one

from sqlflow.compiler.resolve import resolve
from sqlflow.compiler.scopes import Resolved
from sqlflow.compiler.times import conditions, walk
from sqlflow.compiler.times.values import Mapped, TimeMappings, Unmapped
from sqlflow.compiler.times.walk import through, time_mappings
from sqlflow.core.names import TableName
from sqlflow.core.reach import HERE
from sqlflow.translation.translate import Untranslatable

# Tables `s`, `t` and `u` are alike, so that any query can be tried with any of them.
NAMES = ("s", "t", "u")
SHAPE = "id int, ts timestamp, d date, k int, v int"
COLUMNS: dict[TableName, tuple[str, ...]] = {TableName("main", name): ("id", "ts", "d", "k", "v") for name in NAMES}


def resolved(sql: str, columns: dict[TableName, tuple[str, ...]] = COLUMNS, dialect: str = "duckdb") -> Resolved:
    return resolve(parse_one(sql, dialect=dialect), columns, name_of, dialect=dialect)


def name_of(table: exp.Table) -> TableName:
    return TableName(table.db or "main", table.name)


def mapped(sql: str) -> str:
    """The mappings in short, by table: expressions, or nothing for an unmapped table."""
    return shown(time_mappings(resolved(sql), "day"))


def shown(mappings: TimeMappings) -> str:
    lines = []
    for table, mapping in sorted(mappings.items()):
        if isinstance(mapping, Mapped):
            texts = [o.expression.sql("duckdb").replace('"', "") for o in mapping.occurrences]
            lines.append(f"{table.name}: {' & '.join(texts)}")
        else:
            lines.append(f"{table.name}: -")
    return "; ".join(lines)


# What the time column `day` maps to.
SHAPES = {
    "select d as day, v from s": "s: d",
    "select ts::date as day, v from s where v > 2": "s: CAST(ts AS DATE)",
    "select date_trunc('day', ts)::date as day, sum(v) as n from s group by 1": (
        "s: CAST(DATE_TRUNC('DAY', ts) AS DATE)"
    ),
    "select ts::date as day, k, sum(v) as n from s group by all": "s: CAST(ts AS DATE)",
    "select d as day, count(*) as n from s group by day having count(*) > 1": "s: d",
    "select d + 1 as day, sum(v) as n from s group by d": "s: d + 1",
    "select d as day, sum(v) as n from s group by rollup(d)": "s: -",
    "select d as day, sum(v) as n from s group by cube(d, k)": "s: -",
    "select max(d) as day, k from s group by k": "s: -",
    "select any_value(d) as day from s": "s: -",
    "select d as day, row_number() over (partition by d order by id, v, k, ts) as r from s": "s: d",
    "select d as day, sum(v) over (partition by k, d) as r from s": "s: d",
    "select ts::date as day, sum(v) over w as r from s window w as (partition by ts::date)": ("s: CAST(ts AS DATE)"),
    "select d as day, sum(v) over (order by d) as r from s": "s: -",
    "select d as day, sum(v) over (partition by k) as r from s": "s: -",
    "select d as day, lag(v) over (partition by k order by d, id, v, ts) as r from s": "s: -",
    """select d as day, v from s
       qualify row_number() over (partition by k order by v, id, d, ts) = 1""": "s: -",
    """select d as day, v from s
       qualify row_number() over (partition by d order by v, id, k, ts) = 1""": "s: d",
    "select distinct d as day, k from s": "s: d",
    "select distinct on (d) d as day, v from s order by d, v, id": "s: d",
    "select distinct on (k) d as day, v from s order by k, v, d, id": "s: -",
    "select d as day, v from s order by v, d, id, k, ts limit 3": "s: -",
    "select d as day, v from s using sample 3 rows": "s: -",
    "select d as day, v from s union all select ts::date, k from t": "s: d; t: CAST(ts AS DATE)",
    "select v, d as day from s union by name select d as day, v from t": "s: d; t: d",
    "select v, d as day from s union all by name select v from t": "s: d; t: -",
    "select d as day, k from s except select d, k from t": "s: d; t: d",
    "select d as day, k from s intersect select d, k from t": "s: d; t: d",
    "select day + 1 as day from (select d as day from s union select d from t)": ("s: d + 1; t: d + 1"),
    "select day::date as day from (select d as day from s union all select ts + interval 1 day from t)": "s: -; t: -",
    "select s.d as day, s.v, t.v as w from s join t on s.d = t.d": "s: d; t: d",
    "select s.d as day, s.v, t.v as w from s join t on s.k = t.k": "s: d; t: -",
    "select s.d as day, s.v, t.v as w from s left join t on s.k = t.k and s.d = t.d": "s: d; t: d",
    "select t.d as day, s.v, t.v as w from s left join t on s.k = t.k": "s: -; t: d",
    "select t.d as day, s.v, t.v as w from s left join t on s.d = t.d": "s: d; t: d",
    "select coalesce(t.d, date '2024-01-02') as day, s.v from s left join t on s.d = t.d": ("s: -; t: -"),
    "select coalesce(s.d, date '2024-01-02') as day, t.v from s left join t on s.d = t.d": (
        "s: COALESCE(d, CAST('2024-01-02' AS DATE)); t: COALESCE(d, CAST('2024-01-02' AS DATE))"
    ),
    "select s.d as day, s.v, t.v as w from s right join t on s.d = t.d and s.k < t.k": "s: d; t: d",
    "select s.d as day, s.v, t.v as w from s full join t on s.d = t.d and s.k < t.k": "s: d; t: d",
    "select d as day, s.v, t.v as w from s full join t using (d)": "s: -; t: -",
    "select d as day, s.v, t.v as w from s left join t using (d)": "s: d; t: d",
    "select d as day, count(t.v) as w from s left join t using (d, k) group by all": "s: d; t: d",
    "select s.d as day, s.v from s semi join t on s.d = t.d and s.k = t.k": "s: d; t: d",
    "select s.d as day, s.v from s anti join t on s.d = t.d and s.k = t.k": "s: d; t: d",
    "select s.d as day, s.v from s anti join t on s.k = t.k": "s: d; t: -",
    "select s.d as day, u.v from s, u anti join t on s.d = u.d and u.k = t.k": "s: d; t: -; u: -",
    "select s.d as day, s.v from s, t where s.d = t.d and s.k <= t.v": "s: d; t: d",
    "select s.d as day, s.v, t.v as w from s left join t on s.k = t.k where s.d = t.d": ("s: d; t: d"),
    """select s.d as day, u.v from s left join t on s.d = t.d left join u on u.d = t.d""": ("s: d; t: d; u: d"),
    """select s.d as day, u.v from s left join (t join u on t.d = u.d) on s.d = t.d""": ("s: d; t: d; u: d"),
    "select s.d as day, u.v from s full join t on s.d = t.d full join u on u.d = t.d": ("s: d; t: d; u: d"),
    "select s.d as day, u.v from u cross join s left join t on s.d = u.d and t.k = u.k": ("s: d; t: -; u: -"),
    "select date_trunc('month', s.d)::date as day, sum(t.v) as n from s join t using (d) group by 1": (
        "s: CAST(DATE_TRUNC('MONTH', d) AS DATE); t: CAST(DATE_TRUNC('MONTH', d) AS DATE)"
    ),
    "select s.d as day, t.v from s positional join t": "s: -; t: -",
    """select s.d as day, t.v from s asof join
       (select distinct on (ts) * from t order by ts, id, d, k, v) t on s.ts >= t.ts""": "s: d; t: -",
    """select s.d as day, t.v from s asof left join
       (select distinct on (d, ts) * from t order by d, ts, id, k, v) t
       on s.d = t.d and s.ts >= t.ts""": "s: d; t: d",
    "select d as day, v from s where k in (select k from t)": "s: d; t: -",
    "select d as day, (select max(v) from t where t.d = s.d) as m from s": "s: d; t: -",
    "select d as day, v from s where v > (select avg(v) from s)": "s: -",
    "select a.d as day, b.v from s a join s b on a.d = b.d": "s: d & d",
    "select a.d as day, b.v from s a join s b on a.k = b.k": "s: -",
    "with c as (select d, sum(v) as n from s group by d) select d as day, n from c": "s: d",
    """with c as (select ts::date as day, k, sum(v) as n from s group by all),
       b as (select day, sum(n) as n from c group by day)
       select c.day, c.k, c.n * 1.0 / b.n as share from c join b on c.day = b.day""": "s: -",
    """with c as (select d, k, v from s), b as (select d, sum(v) as n from c group by d)
       select c.d as day, c.k, b.n from c join b on c.d = b.d""": "s: d",
    "with c as (from s limit 3) select d as day, v from c": "s: -",
    """with recursive r as (select d, v from s union all select d, v + 1 from r where v < 3)
       select d as day, v from r""": "s: -",
    "select day, n from (select d as day, k as n from s) where day > date '2024-01-02'": "s: d",
    "select d as day, l.m from s, lateral (select max(t.v) as m from t where t.d = s.d) l": ("s: d; t: -"),
    "select s.d as day, l.v from s, lateral (select d, v from t where t.k = s.k) l where l.d = s.d": ("s: d; t: d"),
    "select d as day, i from s, range(v) r(i)": "s: d",
    "select d as day, unnest([v, k]) as e from s": "s: d",
    "select (d + to_days(v % 2))::date as day, k from s": "s: CAST((d + TO_DAYS(v % 2)) AS DATE)",
    "select (s.d + t.v % 2)::date as day from s join t on s.d = t.d": "s: -; t: -",
    "select current_date as day, v from s": "s: -",
    "select date '2024-01-02' as day, v from s": "s: -",
    "from (pivot s on k using sum(v) group by d) select d as day, * exclude (d)": "s: -",
    "select case when k > 2 then d else ts::date end as day, v from s": (
        "s: CASE WHEN k > 2 THEN d ELSE CAST(ts AS DATE) END"
    ),
}


@pytest.mark.parametrize(("sql", "expected"), SHAPES.items())
def test_shapes(sql: str, expected: str) -> None:
    assert mapped(sql) == expected


@pytest.fixture(scope="module", params=["duckdb", pytest.param("postgres", marks=pytest.mark.long)])
def lab(request: pytest.FixtureRequest) -> Iterator[Lab]:
    with LABS[request.param]() as made:
        for name in (*NAMES, "fresh"):
            made.run(f"create table {name} ({SHAPE})")
        made.run("create table picked (p timestamp)")
        yield made


def told(lab: Lab, sql: str) -> str:
    """The query in the engine's words, or an xfail where it has none."""
    for piece, (reason, error, match) in NEVER.items() if lab.traits.dialect == "postgres" else ():
        if piece in sql:
            with pytest.raises(error, match=match):
                lab.rows(lab.own(sql))
            pytest.xfail(reason)
    return lab.own(sql)


# Pieces of what PostgreSQL has not, and the error.
NEVER: dict[str, tuple[str, type[Exception], str]] = {
    "by name": ("notimpl: columns of a UNION are matched by their places", Untranslatable, "BY NAME"),
    "positional": ("never: rows have no places", Untranslatable, "POSITIONAL JOIN"),
    "asof": ("notimpl: there are no ASOF joins", Untranslatable, "ASOF JOIN"),
    "exclude (": ("notimpl: columns are not left out of a star", Untranslatable, "EXCLUDE"),
}


DETERMINISTIC = [sql for sql in SHAPES if "sample" not in sql]


@pytest.mark.parametrize("sql", DETERMINISTIC)
def test_changes_stay_within_their_times(sql: str, lab: Lab) -> None:
    assert leaks(told(lab, sql), lab) == []


@pytest.mark.parametrize("sql", [sql for sql, shape in SHAPES.items() if shape != "s: -"])
def test_pushed_filters_change_no_row_of_their_times(sql: str, lab: Lab) -> None:
    sql = told(lab, sql)
    for seed in range(3):
        fill(lab, random.Random(seed))
        for mapping in time_mappings(resolved(sql, dialect=lab.traits.dialect), "day").values():
            if not isinstance(mapping, Mapped):
                continue
            for occurrence in mapping.occurrences:
                if not occurrence.pushable or "sample" in sql:
                    continue
                assert occurrence.start is not None
                assert occurrence.end is not None
                name = sql[occurrence.start : occurrence.end]
                pick(lab, [occurrence.expression.sql(lab.traits.dialect)], name, random.Random(seed))
                condition = f"{occurrence.expression.sql(lab.traits.dialect)} in (select p from picked)"
                alias = "" if occurrence.aliased else f" as {name}"
                pushed = (
                    f"{sql[: occurrence.start]}(select * from {name} where {condition}){alias}{sql[occurrence.end :]}"
                )
                inside = "day in (select p from picked)"
                assert rows(lab, sql, inside) == rows(lab, pushed, inside), pushed


def leaks(sql: str, lab: Lab, rounds: int = 5) -> list[str]:
    """The mapped tables whose change was seen outside of the times it was made in."""
    found = []
    for table, mapping in time_mappings(resolved(sql, dialect=lab.traits.dialect), "day").items():
        if isinstance(mapping, Unmapped):
            continue
        texts = sorted({o.expression.sql(lab.traits.dialect) for o in mapping.occurrences})
        for seed in range(rounds):
            random_ = random.Random(seed)
            fill(lab, random_)
            pick(lab, texts, table.name, random_)
            outside = "day not in (select p from picked)"
            before = rows(lab, sql, outside)
            within = " and ".join(f"{text} in (select p from picked)" for text in texts)
            lab.run(f"delete from {table.name} where ({within}) and id % 2 = 0")
            lab.run("delete from fresh")
            insert(lab, "fresh", random_, 6)
            lab.run(f"insert into {table.name} select * from fresh where {within}")
            if rows(lab, sql, outside) != before:
                found.append(table.name)
    return sorted(set(found))


def fill(lab: Lab, random_: random.Random) -> None:
    for name in NAMES:
        lab.run(f"delete from {name}")
        insert(lab, name, random_, random_.randrange(3, 9))


def insert(lab: Lab, name: str, random_: random.Random, count: int) -> None:
    made = []
    for number in range(count):
        day, hour = random_.randrange(1, 5), random_.choice([0, 0, 6, 23])
        ts = "null" if random_.random() < 0.15 else f"timestamp '2024-01-0{day} {hour:02}:00'"
        other = random_.choice([day, random_.randrange(1, 5)])
        d = "null" if random_.random() < 0.15 else f"date '2024-01-0{other}'"
        k, v = random_.randrange(4), random_.randrange(4)
        made.append(f"({number}, {ts}, {d}, {k}, {v})")
    lab.run(f"insert into {name} values {', '.join(made)}")


def pick(lab: Lab, texts: list[str], name: str, random_: random.Random) -> None:
    """Puts some times into the table `picked`."""
    values = {row[0] for text in texts for row in lab.rows(f"select distinct {text} from {name}") if row[0] is not None}
    chosen = [value for value in sorted(map(str, values)) if random_.random() < 0.5]
    lab.run("delete from picked")
    if chosen:
        values_text = ", ".join(f"('{value}')" for value in chosen)
        lab.run(f"insert into picked values {values_text}")


def rows(lab: Lab, sql: str, where: str) -> Counter[str]:
    return Counter(map(repr, lab.rows(f"select * from ({sql}) as found where {where}")))


def suspects(*pieces: str) -> list[str]:
    return [next(sql for sql in DETERMINISTIC if piece in sql) for piece in pieces]


def test_the_experiment_sees_rows_of_different_times_meet(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(walk, "mixes_times", lambda select, local, types: HERE)
    for sql in suspects("over (order by d)", "limit 3", "distinct on (k)", "qualify"):
        assert leaks(told(lab, sql), lab, rounds=30) == ["s"]


def test_the_experiment_sees_a_null_that_becomes_a_time(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(walk, "strict", lambda local: True)
    for sql in suspects("coalesce(t.d"):
        assert leaks(told(lab, sql), lab, rounds=30) != []


def test_the_experiment_sees_an_equality_that_does_not_hold(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conditions, "_across_sides", lambda pair, sides: True)
    pieces = ["u anti join t", "on s.d = u.d and t.k = u.k"]
    if lab.traits.dialect == "postgres":
        pieces = pieces[1:]  # an anti join is a subquery there, which proves nothing
    for sql in suspects(*pieces):
        assert leaks(told(lab, sql), lab, rounds=60) != []


def test_equalities_need_equal_types() -> None:
    mapping = time_mappings(resolved("select s.d as day from s join t on s.d = t.ts"), "day")
    other = mapping[TableName("main", "t")]
    assert isinstance(other, Mapped)
    assert [tuple(map(str, pair)) for pair in other.same_type] == [("main.s.d", "main.t.ts")]
    own = mapping[TableName("main", "s")]
    assert isinstance(own, Mapped)
    assert own.same_type == ()


def test_a_reason_says_what_and_where() -> None:
    sql = "select d as day, sum(v) over (partition by k) as r from s"
    mapping = time_mappings(resolved(sql), "day")[TableName("main", "s")]
    assert isinstance(mapping, Unmapped)
    assert mapping.reason == "a window function whose PARTITION BY lacks the time"
    assert mapping.start is not None
    assert "partition by k" in sql[mapping.start : mapping.end]


def test_a_table_read_by_its_full_name_is_not_replaced() -> None:
    mapping = time_mappings(resolved("select main.s.d as day from main.s"), "day")
    (table,) = mapping.values()
    assert isinstance(table, Mapped)
    assert not table.occurrences[0].pushable


@pytest.mark.parametrize(
    ("view", "sql", "expected"),
    [
        (
            "select ts::date as dd, v from s",
            "select dd + 1 as day from w",
            "s: CAST(ts AS DATE) + 1",
        ),
        ("select d as dd, sum(v) as v from s group by d", "select dd as day, v from w", "s: d"),
        ("select d as dd, sum(v) over () as v from s", "select dd as day, v from w", "s: -"),
        (
            "select d as dd from s union all select d from t",
            "select dd as day from w",
            "s: d; t: d",
        ),
        (
            "select s.d as dd from s join t using (d)",
            "select a.dd as day from w a join w b on a.dd = b.dd",
            "s: d; t: d",
        ),
    ],
)
def test_through_a_view(view: str, sql: str, expected: str) -> None:
    inner = resolved(view)
    columns = {**COLUMNS, TableName("main", "w"): ("dd", "v")}
    mapping = time_mappings(resolved(sql, columns), "day")[TableName("main", "w")]
    assert isinstance(mapping, Mapped)
    result = through(mapping, inner)
    assert shown(result) == expected
    for found in result.values():
        if isinstance(found, Mapped):
            assert not any(o.pushable for o in found.occurrences)
