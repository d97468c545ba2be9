"""How far rows reach in time, checked by changing rows in DuckDB and by filtering what is read."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import psycopg
import pytest
from laboratory import LABS, Lab, Labs
from sqlglot import exp, parse_one

from sqlflow.compiler import moments
from sqlflow.compiler.moments import Chain, chain
from sqlflow.compiler.resolve import resolve
from sqlflow.compiler.scopes import Resolved
from sqlflow.compiler.times.values import Mapped, TimeMappings, Types, Unmapped
from sqlflow.compiler.times.walk import through, time_mappings
from sqlflow.core.engine import Traits
from sqlflow.core.intervals import BEGINNING, END, NOTHING, Grain, Interval, IntervalSet
from sqlflow.core.names import ColumnRef, TableName
from sqlflow.core.reach import DAY, HOUR, Reach, TimeStep, image, is_zoned, preimage
from sqlflow.core.syntax import parse_tree
from sqlflow.engines.duckdb import TRAITS as DUCKDB
from sqlflow.translation.translate import Untranslatable

NEW_YORK = "America/New_York"
FIELDS = {
    "id": "INTEGER",
    "ts": "TIMESTAMP",
    "d": "DATE",
    "z": "TIMESTAMP WITH TIME ZONE",
    "k": "INTEGER",
    "v": "INTEGER",
}
NAMES = ("a", "b", "c")
COLUMNS = {TableName("main", name): tuple(FIELDS) for name in NAMES}


def type_of(ref: ColumnRef) -> str:
    return FIELDS.get(ref.column.lower(), "")


def resolved(sql: str, dialect: str = "duckdb") -> Resolved:
    def table_of(table: exp.Table) -> TableName:
        return TableName(table.db or "main", table.name)

    tree = parse_tree(sql, dialect)
    assert tree is not None
    return resolve(tree, COLUMNS, table_of, dialect=dialect)


def types(zone: str, traits: Traits = DUCKDB) -> Types:
    return Types(type_of, zone == "UTC", traits.cuts_days)


def mappings(lab: Lab, sql: str) -> TimeMappings:
    return time_mappings(resolved(sql, lab.traits.dialect), "day", types(lab.zone, lab.traits))


def shown(sql: str, zone: str = "UTC", traits: Traits = DUCKDB) -> str:
    """The mappings in short: `a: d [0, 6d]`."""
    lines = []
    found = time_mappings(resolved(sql, traits.dialect), "day", types(zone, traits))
    for table, mapping in sorted(found.items()):
        if isinstance(mapping, Unmapped):
            lines.append(f"{table.name}: -")
            continue
        parts = []
        for occurrence in mapping.occurrences:
            reaches = "".join(
                "" if reach == Reach() else f" [{_length(reach.first)}, {_length(reach.last)}]"
                for reach in sorted(occurrence.reaches, key=repr)
            )
            parts.append(occurrence.expression.sql(traits.dialect).replace('"', "") + reaches)
        lines.append(f"{table.name}: {' & '.join(parts)}")
    return "; ".join(lines)


def _length(micros: int | None) -> str:
    if micros is None:
        return "*"
    if micros % DAY == 0:
        return f"{micros // DAY}d" if micros else "0"
    return f"{micros / HOUR:g}h"


SIX = "range between interval 6 days preceding and current row"
# What the time column `day` maps to, and how far rows reach, where the session's clock shows UTC.
SHAPES = {
    # Shifts and zones are in the expression.
    "select d + interval 1 day as day, v from a": "a: d + INTERVAL '1' DAY",
    "select d - 1 as day, sum(v) as n from a group by 1": "a: d - 1",
    "select date_add(ts, interval 2 hours) as day, v from a": "a: ts + INTERVAL '2' HOURS",
    "select ts + to_days(3) as day, v from a": "a: ts + TO_DAYS(3)",
    "select (d + interval '1 month')::date as day, sum(v) as n from a group by all": (
        "a: CAST((d + INTERVAL '1' MONTH) AS DATE)"
    ),
    "select (z at time zone 'Asia/Kolkata')::date as day, sum(v) as n from a group by all": (
        "a: CAST((z AT TIME ZONE 'Asia/Kolkata') AS DATE)"
    ),
    "select timezone('America/New_York', ts) as day, v from a": "a: TIMEZONE('America/New_York', ts)",
    # Window frames.
    f"select d as day, id, sum(v) over (order by d {SIX}) as n from a": "a: d [0, 6d]",
    f"select d as day, id, sum(v) over (partition by k order by d {SIX} exclude ties) as n from a": "a: d [0, 6d]",
    f"select d as day, id, sum(v) over (order by d desc {SIX}) as n from a": "a: d [-6d, 0]",
    "select d as day, id, sum(v) over (order by d range between 2 preceding and 1 following) as n from a": (
        "a: d [-1d, 2d]"
    ),
    "select d as day, id, sum(v) over (order by d range between 3 preceding and 1 preceding) as n from a": (
        "a: d [0, 3d]"
    ),
    "select d as day, id, count(*) over (order by d range between interval 1 day following and interval 2 days following) as n from a": (
        "a: d [-2d, 0]"
    ),
    "select ts as day, id, max(v) over (partition by k order by ts range between interval '36:00:00' preceding and current row) as n from a": (
        "a: ts [0, 36h]"
    ),
    "select ts::date as day, id, max(v) over (order by ts range between interval 5 hours preceding and current row) as n from a": (
        "a: CAST(ts AS DATE) [0, 1d]"
    ),
    "select ts as day, id, sum(v) over (order by ts::date range between interval 1 day preceding and current row) as n from a": (
        "a: ts [-1d, 2d]"
    ),
    "select ts::date as day, id, sum(v) over (order by date_trunc('hour', ts) range between interval 1 day preceding and current row) as n from a": (
        "a: CAST(ts AS DATE) [-1d, 2d]"
    ),
    "select d as day, id, sum(v) over (order by d range between interval 1 month preceding and current row) as n from a": (
        "a: d [0, 34d]"
    ),
    f"select d as day, sum(sum(v)) over (order by d {SIX}) as n from a group by d": "a: d [0, 6d]",
    f"select d + 7 as day, sum(sum(v)) over (order by d {SIX}) as n from a group by d": "a: d + 7 [0, 6d]",
    f"select d as day, id, first_value(v) over w as n, avg(v) filter (where v > 1) over w as m from a window w as (partition by k order by d, id {SIX.replace('range', 'rows').replace('interval 6 days', '6')})": (
        "a: d [0, *]"
    ),
    "select z as day, id, sum(v) over (order by z range between interval 1 day preceding and current row) as n from a": (
        "a: z [0, 1d]"
    ),
    "select (z at time zone 'America/New_York')::date as day, id, sum(v) over (order by z range between interval 1 day preceding and current row) as n from a": (
        "a: CAST((z AT TIME ZONE 'America/New_York') AS DATE) [-2d, 3d]"
    ),
    # Without an end.
    "select d as day, id, sum(v) over (order by d) as n from a": "a: d [0, *]",
    "select d as day, id, lag(v) over (partition by k order by d, id) as n from a": "a: d [0, *]",
    "select d as day, id, lag(v, 2, 0) over (order by d desc, id) as n from a": "a: d [*, 0]",
    "select d as day, id, lag(v, -1) over (order by d, id) as n from a": "a: -",
    "select d as day, id, lead(v) over (order by d nulls first, id) as n from a": "a: d [*, 0]",
    "select d as day, id, lead(v) over (order by d, id) as n from a": "a: -",
    "select d as day, id, row_number() over (order by d, id) as n from a": "a: d [0, *]",
    "select d as day, id, row_number() over (order by d nulls first, id) as n from a": "a: -",
    "select d as day, id, rank() over (order by ts::date) as n from a": "a: -",
    "select d as day, id, ntile(3) over (order by d, id) as n from a": "a: -",
    "select d as day, id, percent_rank() over (order by d) as n from a": "a: -",
    "select d as day, id, sum(v) over (order by d rows between 1 preceding and 1 following) as n from a": "a: -",
    "select d as day, id, sum(v) over (order by d rows between 1 following and unbounded following) as n from a": "a: -",
    "select d as day, id, sum(v) over (order by d nulls first, id rows between 1 following and unbounded following) as n from a": (
        "a: d [*, 0]"
    ),
    "select d as day, id, sum(v) over (order by k range between 1 preceding and current row) as n from a": "a: -",
    f"select d as day, id, sum(v) over (order by (d, k)) as n, sum(v) over (order by d {SIX}) as m from a": "a: -",
    "select d as day, v from a qualify row_number() over (partition by k order by d, id) = 1": "a: d [0, *]",
    # Joins with offsets.
    "select x.d as day, x.v, y.v as w from a x left join b y on y.d = x.d - interval 7 day": "a: d; b: d [7d, 7d]",
    "select x.d as day, x.v, y.v as w from a x left join b y on x.d = y.d + 7 and x.k = y.k": "a: d; b: d [7d, 7d]",
    "select x.ts as day, x.id, count(y.v) as n from a x left join b y on y.ts between x.ts - interval 1 hour and x.ts group by all": (
        "a: ts; b: ts [0, 1h]"
    ),
    "select x.d as day, x.id, sum(y.v) as n from a x join b y on y.d >= x.d - interval 6 day and y.d <= x.d group by all": (
        "a: d; b: d [0, 6d]"
    ),
    "select x.d as day, x.id, sum(y.v) as n from a x, b y where y.d > x.d - 3 and y.d <= x.d + 2 group by all": (
        "a: d; b: d [-2d, 3d]"
    ),
    "select x.d as day, y.v from a x join b y on y.ts::date = x.d": "a: d; b: CAST(ts AS DATE)",
    "select x.d as day, y.v from a x join b y on y.ts = x.d": "a: d; b: CAST(ts AS DATE)",
    "select x.d as day, y.v from a x join b y on y.ts >= x.d and y.ts < x.d + interval 1 day": (
        "a: d; b: CAST(ts AS DATE) [-1d, 0]"
    ),
    "select x.ts as day, y.v from a x join b y on y.d = x.ts::date": "a: ts; b: d [0, 1d]",
    "select x.ts::date as day, y.v from a x join b y on y.d = x.ts::date - 1": "a: CAST(ts AS DATE); b: d [1d, 1d]",
    "select date_trunc('month', x.d) as day, sum(y.v) as n from a x join b y on y.d between x.d - 6 and x.d group by all": (
        "a: DATE_TRUNC('MONTH', d); b: DATE_TRUNC('MONTH', d) [0, 37d]"
    ),
    "select x.d as day, y.v from a x full join b y on y.d = x.d - 1": "a: d; b: d [1d, 1d]",
    "select x.d as day, x.v from a x anti join b y on y.d between x.d - 2 and x.d and y.k = x.k": "a: d; b: d [0, 2d]",
    "select x.d as day, x.v from a x semi join b y on y.d = x.d + interval 1 month": "a: d; b: d [-31d, -25d]",
    "select x.d as day, sum(y.v) as n from a x join b y on y.d <= x.d group by 1": "a: d; b: d [0, *]",
    "select x.d as day, y.v from a x join b y on y.k = x.k and y.d <= y.ts": "a: d; b: -",
    "select x.ts as day, x.id, y.v from a x asof left join (select distinct on (ts) * from b order by ts, id) y on x.ts >= y.ts": (
        "a: ts; b: ts [0, *]"
    ),
    "select x.z as day, y.v from a x join b y on y.z between x.z - interval 1 hour and x.z": "a: z; b: z [0, 1h]",
    "select x.z as day, y.v from a x join b y on y.ts between x.ts - interval 1 hour and x.z": "a: z; b: -",
    "select x.d as day, z.v from a x join b y on y.d = x.d - 1 join c z on z.d = y.d - 2": (
        "a: d; b: d [1d, 1d]; c: d [3d, 3d]"
    ),
    # Reaches add up.
    f"""with w as (select d, sum(v) as n from a group by d), r as (select d, sum(n) over (order by d {SIX}) as n from w)
        select d + 1 as day, n, lag(n) over (order by d) as before from r""": "a: d + 1 [0, *]",
    f"""with r as (select d, k, sum(v) over (order by d {SIX}) as n from a)
        select x.d as day, x.n, y.n as m from r x left join r y on y.d = x.d - 7 and y.k = x.k""": (
        "a: d [0, 6d] [7d, 13d]"
    ),
    f"""select d as day, id, sum(n) over (order by d {SIX}) as m from
        (select d, id, sum(v) over (order by d range between 2 preceding and 1 following) as n from a)""": (
        "a: d [-1d, 8d]"
    ),
    f"""select day, n from (select d as day, sum(v) over (order by d {SIX}) as n from a
        union all select d, v from b) where n > 1""": "a: d [0, 6d]; b: d",
    f"""select day, n from (select ts as day, sum(v) over (order by ts {SIX}) as n from a
        union all select z, v from b)""": "a: -; b: z",
    "select x.d as day, (select sum(y.v) from b y where y.d between x.d - 6 and x.d) as n from a x": "a: d; b: -",
}  # fmt: skip


@pytest.mark.parametrize(("sql", "expected"), SHAPES.items())
def test_shapes(sql: str, expected: str) -> None:
    assert shown(sql) == expected


def test_without_types_no_row_reaches_another_time() -> None:
    sql = f"select x.d as day, y.v, sum(y.v) over (order by x.d {SIX}) as n from a x join b y on y.d = x.d - 7"
    assert all(isinstance(mapping, Unmapped) for mapping in time_mappings(resolved(sql), "day").values())


# Pieces of what PostgreSQL has not, and the error.
NEVER: dict[str, tuple[str, type[Exception], str]] = {
    "range between 2 preceding": (
        "never: frames of days are intervals",
        psycopg.errors.FeatureNotSupported,
        "offset type integer",
    ),
    "range between 3 preceding": (
        "never: frames of days are intervals",
        psycopg.errors.FeatureNotSupported,
        "offset type integer",
    ),
    "asof": ("notimpl: there are no ASOF joins", Untranslatable, "ASOF JOIN"),
}


# ---------------------------------------------------------------------- the experiment


_SHORT = ("duckdb", NEW_YORK)  # whose clock leaps, which is what goes wrong


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(
            (engine, zone), id=f"{engine}-{zone}", marks=[] if (engine, zone) == _SHORT else [pytest.mark.long]
        )
        for engine in LABS
        for zone in ("UTC", NEW_YORK)
    ],
)
def lab(request: pytest.FixtureRequest) -> Iterator[Lab]:
    engine, zone = request.param
    with LABS[engine](zone) as made:
        prepare(made)
        yield made


def prepare(lab: Lab) -> None:
    for name in (*NAMES, "fresh"):
        lab.run(f"create table {name} ({', '.join(f'{field} {kind}' for field, kind in FIELDS.items())})")


def told(lab: Lab, sql: str) -> str:
    """The query in the engine's words, or an xfail where it has none."""
    if lab.traits.dialect == "postgres":
        for piece, (reason, error, match) in NEVER.items():
            if piece in sql:
                with pytest.raises(error, match=match):
                    lab.rows(lab.own(sql))
                pytest.xfail(reason)
    return lab.own(sql)


def leaf_chain(expression: exp.Expr, traits: Traits) -> Chain | None:
    return chain(
        expression,
        lambda node: FIELDS.get(node.name) if isinstance(node, exp.Column) else None,
        cuts_days=traits.cuts_days,
    )


@pytest.mark.parametrize("sql", SHAPES)
def test_changes_touch_only_what_they_reach(sql: str, lab: Lab) -> None:
    assert leaks(told(lab, sql), lab) == set()


@pytest.mark.parametrize("sql", SHAPES)
def test_what_is_wanted_needs_only_what_reaches_it(sql: str, lab: Lab) -> None:
    assert lacks(told(lab, sql), lab) == set()


def leaks(sql: str, lab: Lab, rounds: int = 3) -> set[str]:
    """The tables whose change was seen outside of the times that it reaches."""
    found = set()
    for table, mapping in mappings(lab, sql).items():
        if isinstance(mapping, Unmapped):
            continue
        for seed in range(rounds):
            random_ = random.Random(seed)
            fill(lab, random_)
            picked = pick(lab, mapping, table.name, random_)
            touched = NOTHING
            for occurrence in mapping.occurrences:
                for reach in occurrence.reaches:
                    touched |= reach.touched(picked)
            outside = f"day is not null and not ({condition(lab, 'day', touched)})"
            before = rows(lab, sql, outside)
            within = " and ".join(
                condition(lab, o.expression.sql(lab.traits.dialect), picked) for o in mapping.occurrences
            )
            lab.run(f"delete from {table.name} where ({within}) and id % 2 = 0")
            lab.run("delete from fresh")
            insert(lab, "fresh", random_, 6, 100)
            lab.run(f"insert into {table.name} select * from fresh where {within}")
            if rows(lab, sql, outside) != before:
                found.add(table.name)
    return found


def lacks(sql: str, lab: Lab, rounds: int = 3) -> set[str]:
    """The tables of which more is needed for some output times than the rows that reach them."""
    found = set()
    for table, mapping in mappings(lab, sql).items():
        if isinstance(mapping, Unmapped):
            continue
        for seed in range(rounds):
            random_ = random.Random(seed)
            fill(lab, random_)
            day = datetime(2024, 3, random_.randrange(7, 14), tzinfo=UTC)
            wanted = IntervalSet.of([Interval(day, day + timedelta(hours=random_.choice([6, 24, 48])))])
            inside = condition(lab, "day", wanted)
            before = rows(lab, sql, inside)
            expressions = {o.expression.sql(lab.traits.dialect) for o in mapping.occurrences}
            if len(expressions) > 1:
                continue
            needed = NOTHING
            for occurrence in mapping.occurrences:
                for reach in occurrence.reaches:
                    needed |= reach.sources(wanted)
            keep = condition(lab, expressions.pop(), needed)
            steps = leaf_chain(occurrence.expression, lab.traits)
            if steps is not None:
                zoned = steps.types[0] == moments.ZONED
                column = preimage(steps.steps, needed, zoned, ZoneInfo(lab.zone))
                if steps.types[0] == "DATE":
                    column = column.aligned(Grain.DAY)
                keep = f"{keep} and {condition(lab, steps.leaf.name, column)}"
            lab.run(f"delete from {table.name} where not coalesce({keep}, false)")
            if rows(lab, sql, inside) != before:
                found.add(table.name)
    return found


def condition(lab: Lab, column: str, intervals: IntervalSet) -> str:
    """That a time lies in the intervals: an instant, or a clock reading as if it were one of UTC."""
    parts = []
    for interval in intervals:
        bounds = []
        if interval.start != BEGINNING:
            bounds.append(f"{lab.micros(column)} >= {_epoch(interval.start)}")
        if interval.end != END:
            bounds.append(f"{lab.micros(column)} < {_epoch(interval.end)}")
        parts.append(f"({' and '.join(bounds) or f'({column}) is not null'})")
    return f"({' or '.join(parts)})" if parts else "false"


def _epoch(moment: datetime) -> int:
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def fill(lab: Lab, random_: random.Random) -> None:
    for number, name in enumerate(NAMES):
        lab.run(f"delete from {name}")
        insert(lab, name, random_, random_.randrange(6, 16), 1000 * number)


def insert(lab: Lab, name: str, random_: random.Random, count: int, first: int) -> None:
    """Rows around the night in which the clocks of New York are set."""
    made = []
    for number in range(count):
        values = []
        for kind in ("timestamp", "date", "timestamptz"):
            day, minutes = random_.randrange(3, 20), random_.choice([0, 0, 60, 90, 150, 179, 420, 1439])
            moment = datetime(2024, 3, day) + timedelta(minutes=minutes)
            if random_.random() < 0.12:
                values.append("null")
            elif kind == "date":
                values.append(f"date '{moment.date()}'")
            else:
                values.append(f"{kind} '{moment}'")
        ts, d, z = values
        made.append(f"({first + number}, {ts}, {d}, {z}, {random_.randrange(3)}, {random_.randrange(5)})")
    lab.run(f"insert into {name} values {', '.join(made)}")


def pick(lab: Lab, mapping: Mapped, name: str, random_: random.Random) -> IntervalSet:
    """Some of the times that rows have."""
    values = {
        moment_of(row[0])
        for o in mapping.occurrences
        for row in lab.rows(f"select {lab.micros(o.expression.sql(lab.traits.dialect))} from {name}")
        if row[0] is not None
    }
    found = sorted(values)
    chosen = [m for m in found if random_.random() < 0.3] or found[:1]
    return IntervalSet.of(Interval(m, m + timedelta(microseconds=1)) for m in chosen)


def rows(lab: Lab, sql: str, where: str) -> Counter[str]:
    return Counter(map(repr, lab.rows(f"select * from ({sql}) as found where {where}")))


def suspects(*pieces: str) -> list[str]:
    return [next(sql for sql in SHAPES if piece in sql) for piece in pieces]


def test_the_experiment_sees_a_reach_that_is_forgotten(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Reach, "then", lambda self, other: self)
    found = suspects(f"over (order by d {SIX})", "left join b y on y.d =", "y.ts between x.ts")
    assert all(leaks(told(lab, sql), lab, rounds=12) for sql in found)
    assert any(lacks(told(lab, sql), lab, rounds=12) for sql in found)


def test_the_experiment_sees_a_reach_the_wrong_way_round(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    right = Reach.touched
    monkeypatch.setattr(Reach, "touched", Reach.sources)
    monkeypatch.setattr(Reach, "sources", right)
    found = suspects(f"over (order by d {SIX})", "left join b y on y.d =")
    assert all(leaks(told(lab, sql), lab, rounds=12) for sql in found)
    assert any(lacks(told(lab, sql), lab, rounds=12) for sql in found)


def test_rows_without_a_time_are_in_a_frame_that_has_no_end_there(lab: Lab) -> None:
    """Those stand at the end that LEAD looks at."""
    sql = "select d as day, id, sum(v) over (order by d rows between 1 following and unbounded following) as n from a"
    assert shown(sql) == "a: -"
    fill(lab, random.Random(1))
    before = rows(lab, sql, "day is not null")
    lab.run("insert into a values (999, null, null, null, 1, 1)")
    assert rows(lab, sql, "day is not null") != before


def test_a_view_hands_the_reach_down() -> None:
    outer = f"select d as day, sum(n) over (order by d {SIX}) as m from a"
    mapping = time_mappings(resolved(outer), "day", types("UTC"))[TableName("main", "a")]
    assert isinstance(mapping, Mapped)
    view = resolved("select d, sum(v) over (order by d range between 2 preceding and current row) as n from b")
    found = through(mapping, view, types("UTC"))[TableName("main", "b")]
    assert isinstance(found, Mapped)
    assert [o.reaches for o in found.occurrences] == [(Reach(0, 8 * DAY),)]


# ---------------------------------------------------------------------- functions of time


@pytest.fixture(scope="module")
def labs() -> Iterator[Labs]:
    with Labs() as made:
        yield made


CHAINS = [
    "d + 1", "d - interval 1 month", "(d + interval '1 month 1 day')::date", "ts::date", "date_trunc('week', ts)",
    "date_trunc('hour', z)", "date_trunc('day', z)", "date_trunc('month', z)", "z::date", "z::timestamp",
    "ts at time zone 'America/New_York'", "z at time zone 'America/New_York'", "ts::timestamptz",
    "z + interval 1 day", "z - interval '1 month 3 hours'", "(z at time zone 'Australia/Lord_Howe')::date + 1",
    "date_trunc('quarter', ts - interval 2 month)", "timezone('Asia/Kolkata', ts) + interval 90 minutes",
]  # fmt: skip


@pytest.mark.parametrize("sql", CHAINS)
@pytest.mark.parametrize("zone", ["UTC", NEW_YORK, "Australia/Lord_Howe", "Asia/Kolkata"])
@pytest.mark.parametrize("engine", ["duckdb", pytest.param("postgres", marks=pytest.mark.long)])
def test_images_hold_what_the_engine_computes(engine: str, zone: str, sql: str, labs: Labs) -> None:
    lab = labs(engine, zone)
    holds_what_is_computed(lab, lab.own(sql))


def holds_what_is_computed(lab: Lab, sql: str) -> None:
    found = leaf_chain(parse_one(sql, dialect=lab.traits.dialect), lab.traits)
    assert found is not None
    zoned, session = found.types[0] == moments.ZONED, ZoneInfo(lab.zone)
    text = found.nodes[-1].sql(lab.traits.dialect)
    random_ = random.Random(text + lab.zone)
    for _ in range(8):
        start = datetime(2024, random_.choice([1, 2, 3, 4, 10, 11]), random_.randrange(1, 29), tzinfo=UTC)
        start += timedelta(minutes=random_.choice([0, 0, 30, 90]))
        if found.types[0] == "DATE":
            start = start.replace(hour=0, minute=0)
        changed = IntervalSet.between(start, start + timedelta(hours=random_.choice([1, 24, 50])))
        into, is_now_zoned = image(found.steps, changed, zoned, session)
        assert is_now_zoned == is_zoned(found.steps, zoned)
        back = preimage(found.steps, into, zoned, session)
        assert changed - back == NOTHING
        length = (changed.intervals[0].end - start) // timedelta(minutes=30)
        kind = {"DATE": "date", "TIMESTAMP": "timestamp"}.get(found.types[0], "timestamptz")
        moment = lab.moment(f"({_epoch(start)} + n * 1800000000)")
        value = f"({moment} at time zone 'UTC')" if zoned else f"cast({moment} as {kind})"
        numbers = lab.own(f"select cast(n as bigint) as n from range({length}) as r(n)")
        made = [
            (moment_of(result), moment_of(own))
            for result, own in lab.rows(
                f"select distinct {lab.micros(text)}, {lab.micros(found.leaf.name)} from "
                f"(select {value} as {found.leaf.name} from ({numbers}) as r) as t"
            )
        ]
        assert all(result in into for result, _ in made)
        for result, own in random_.sample(made, min(3, len(made))):
            wanted = IntervalSet.between(result, result + timedelta(microseconds=1))
            assert own in preimage(found.steps, wanted, zoned, session)


def moment_of(micros: object) -> datetime:
    assert isinstance(micros, int)
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=micros)


def test_an_image_is_no_wider_than_it_must_be() -> None:
    day = IntervalSet.between(datetime(2024, 5, 1, tzinfo=UTC), datetime(2024, 5, 2, tzinfo=UTC))
    berlin = ZoneInfo("Europe/Berlin")
    local, zoned = image([TimeStep("zone", zone="Europe/Berlin")], day, True, berlin)
    assert (str(local), zoned) == ("2024-05-01 02:00:00 .. 2024-05-02 02:00:00", False)
    assert image([TimeStep("shift", days=1)], day, False, berlin)[0] == IntervalSet.between(
        datetime(2024, 5, 2, tzinfo=UTC), datetime(2024, 5, 3, tzinfo=UTC)
    )


def test_the_length_of_months_is_within_its_bounds() -> None:
    for months in (*range(-26, 27, 2), 1, -1, 1199, -1201):
        low, high = moments.length(months, 0, 0, zoned=False, steady=True)
        for first in (date(1999, 1, 1), date(2000, 1, 1), date(2096, 1, 1)):
            for day in range(0, 1500, 7):
                here = datetime.combine(first, datetime.min.time()) + timedelta(days=day)
                there = _months_on(here, months)
                assert low <= (there - here) // timedelta(microseconds=1) <= high


def _months_on(moment: datetime, months: int) -> datetime:
    year, month = divmod(moment.year * 12 + moment.month - 1 + months, 12)
    for day in (moment.day, 30, 29, 28):
        try:
            return moment.replace(year=year, month=month + 1, day=min(day, moment.day))
        except ValueError:
            continue
    raise AssertionError
