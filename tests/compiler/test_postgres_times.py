"""What is proven of times in PostgreSQL's own SQL, checked by changing rows there and by filtering what is read."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from compiler.test_reach import NEW_YORK, SHAPES, holds_what_is_computed, lacks, leaks, prepare, shown
from laboratory import Lab, Labs

from sqlflow.engines.postgres import TRAITS
from sqlflow.translation.translate import Untranslatable, translated

# What the time column `day` maps to, and how far rows reach, where the session's clock shows UTC.
OWN_SHAPES = {
    "select d as day, id, sum(v) over (order by d desc) as n from a": "a: -",
    "select d as day, id, lag(v) over (order by d desc, id) as n from a": "a: -",
    "select d as day, id, lead(v) over (order by d desc, id) as n from a": "a: d [0, *]",
    "select d as day, id, lag(v) over (order by d, id) as n from a": "a: d [0, *]",
    "select d as day, id, lead(v) over (order by d, id) as n from a": "a: -",
    "select d as day, id, sum(v) over (order by d desc nulls last, id rows between 2 preceding and current row) as n from a": (
        "a: d [*, 0]"
    ),
    "select d as day, id, sum(v) over (order by d, id groups between 1 preceding and current row) as n from a": (
        "a: d [0, *]"
    ),
    "select d as day, id, sum(v) over (order by d groups between 1 preceding and 1 following) as n from a": (
        "a: -"
    ),
    "select d as day, id, sum(v) over (order by d range between interval '6 days' preceding and current row exclude current row) as n from a": (
        "a: d [0, 6d]"
    ),
    "select d as day, id, sum(v) over (order by d range between '6 days' preceding and current row) as n from a": (
        "a: d [0, *]"
    ),
    "select d as day, id, sum(v) over (order by d range between '1 mon' preceding and current row) as n from a": (
        "a: d [0, *]"
    ),
    "select d as day, id, sum(v) over (order by d range between interval '1 month' preceding and current row) as n from a": (
        "a: d [0, 34d]"
    ),
    "select d as day, id, sum(v) over (order by d desc range between interval '1 month' preceding and '1 day' following) as n from a": (
        "a: d [-34d, *]"
    ),
    "select ts as day, id, sum(v) over (order by ts range between '36:00' preceding and current row) as n from a": (
        "a: ts [0, *]"
    ),
    "select z as day, id, sum(v) over (order by z range between interval '1 day' preceding and current row) as n from a": (
        "a: z [0, 1d]"
    ),
    "select z::date as day, id, sum(v) over (order by z range between interval '1 day' preceding and current row) as n from a": (
        "a: CAST(z AS DATE) [0, 1d]"
    ),
    "select z as day, id, sum(v) over (order by date_trunc('day', z) range between interval '1 day' preceding and current row) as n from a": (
        "a: z [-1d, 2d]"
    ),
    "select date_trunc('week', z) as day, id, sum(v) over (order by z range between interval '90 min' preceding and current row) as n from a": (
        "a: DATE_TRUNC('WEEK', z) [0, *]"
    ),
    "select z::timestamptz(0) as day, v from a": "a: CAST(z AS TIMESTAMPTZ(0))",
    "select (z + interval '0.7 seconds')::timestamptz(0) as day, v from a": (
        "a: CAST((z + INTERVAL '0.7 SECONDS') AS TIMESTAMPTZ(0))"
    ),
    "select ts::timestamp(0) as day, v from a": "a: CAST(ts AS TIMESTAMP(0))",
    "select ts::timestamptz(3) as day, v from a": "a: CAST(ts AS TIMESTAMPTZ(3))",
    "select date_trunc('day', d) as day, v from a": "a: DATE_TRUNC('DAY', d)",
    "select date_trunc('week', ts) as day, sum(v) as n from a group by 1": "a: DATE_TRUNC('WEEK', ts)",
    "select date_trunc('day', z, 'Asia/Kolkata') as day, sum(v) as n from a group by 1": (
        "a: DATE_TRUNC('DAY', z, 'Asia/Kolkata')"
    ),
    "select date_bin('1 day', ts, timestamp '2000-01-01 12:00') as day, sum(v) as n from a group by 1": (
        "a: DATE_BIN('1 day', ts, CAST('2000-01-01 12:00' AS TIMESTAMP))"
    ),
    "select date(z) as day, sum(v) as n from a group by 1": "a: DATE(z)",
    "select date(ts) + 1 as day, sum(v) as n from a group by 1": "a: DATE(ts) + 1",
    "select 1 + d as day, v from a": "a: 1 + d",
    "select d + interval '1 mon' as day, v from a": "a: d + INTERVAL '1 MON'",
    "select d + '1 day'::interval as day, v from a": "a: d + CAST('1 day' AS INTERVAL)",
    "select d + 2 * interval '1 day' as day, v from a": "a: d + 2 * INTERVAL '1 DAY'",
    "select d + interval '3' day as day, v from a": "a: d + INTERVAL '3 DAY'",
    "select z + '1 month 1 day'::interval as day, v from a": "a: z + CAST('1 month 1 day' AS INTERVAL)",
    "select z at time zone 'America/New_York' as day, v from a": "a: z AT TIME ZONE 'America/New_York'",
    "select timezone('america/new_york', z) as day, v from a": "a: TIMEZONE('america/new_york', z)",
    "select z at time zone 'EST5EDT' as day, v from a": "a: z AT TIME ZONE 'EST5EDT'",
    "select z at time zone '-05' as day, v from a": "a: z AT TIME ZONE '-05'",
    "select z at time zone interval '-5 hours' as day, v from a": "a: z AT TIME ZONE INTERVAL '-5 HOURS'",
    "select ts at time zone 'UTC' at time zone 'Asia/Kolkata' as day, v from a": (
        "a: ts AT TIME ZONE 'UTC' AT TIME ZONE 'Asia/Kolkata'"
    ),
    "select (z at time zone 'Asia/Kolkata')::date as day, sum(v) as n from a group by 1": (
        "a: CAST((z AT TIME ZONE 'Asia/Kolkata') AS DATE)"
    ),
    "select generate_series(d, d + 2, '1 day') as day, v from a": "a: -",
    "select unnest(array[d, d + 1]) as day, v from a": "a: -",
    "select s as day, v from a, generate_series(d, d + 2, '1 day') as s": "a: -",
    "select d as day, generate_series(1, v) as g from a": "a: d",
    "select l.day, v from a, lateral (select a.d + 1 as day) as l": "a: -",
    "select l.day, l.v from a, lateral (select b.d as day, b.v from b where b.d = a.d) as l": "a: -; b: d",
    "select x.d as day, y.v from a x join b y on y.d between symmetric x.d and x.d - 3": "a: d; b: -",
    "select x.d as day, y.v from a x join b y on (y.d, y.k) >= (x.d, x.k)": "a: d; b: -",
    "select x.d as day, y.v from a x join b y on y.d = any(array[x.d, x.d - 1])": "a: d; b: -",
    "select x.d as day, y.v from a x join b y on y.d in (x.d, x.d - 1)": "a: d; b: -",
    "select x.d as day, y.v from a x join b y on (y.d, y.d) overlaps (x.d, x.d + 1)": "a: d; b: -",
    "select x.d as day, y.v from a x join b y on y.d > x.d - interval '1 mon' and y.d <= x.d": (
        "a: d; b: d [0, *]"
    ),
    "select x.d as day, y.v from a x join b y on x.d - y.d between 0 and 3": "a: d; b: -",
    "select x.z as day, y.v from a x join b y on y.ts between x.z - interval '1 hour' and x.z": "a: z; b: -",
    "select x.z as day, y.v from a x join b y on y.d = x.z::date": "a: z; b: -",
    "select x.z as day, y.v from a x join b y on y.z >= x.z - interval '1 day' and y.z < x.z": (
        "a: z; b: z [0, 1d]"
    ),
    "select x.d as day, y.v from a x join b y on y.z = x.d": "a: d; b: z",
    "select x.d as day, x.v from a x where exists (select from b y where y.d between x.d - 2 and x.d)": (
        "a: d; b: -"
    ),
    "select x.d as day, x.v from a x where not exists (select 1 from b y where y.d = x.d)": "a: d; b: -",
    "select x.d as day, x.v from a x where x.d in (select d from b)": "a: d; b: -",
    "select d as day, v from a order by v, id fetch first 3 rows only": "a: -",
    "select d as day, v from a order by v, id fetch first 2 rows with ties": "a: -",
    "select d as day, v from a order by v, id offset 2": "a: -",
    "select d as day, v from a tablesample bernoulli (50) repeatable (3)": "a: -",
    "select d as day, sum(v) as n from a group by rollup (d)": "a: -",
    "select coalesce(d, date '2024-03-09') as day, sum(v) as n from a group by rollup (d)": "a: -",
    "select d as day, sum(v) as n from a group by grouping sets ((d), ())": "a: -",
    "select d as day, k, sum(v) as n from a group by distinct cube (d, k)": "a: -",
    "select distinct on (d) d as day, v from a order by d desc, id": "a: d",
    "select distinct on (k) d as day, v from a order by k, d desc, id": "a: -",
    "select d as day, row_number() over (partition by d order by id) as n from a": "a: d",
    "select d as day, id, percent_rank() over (order by d) as n from a": "a: -",
    "select d as day, id, nth_value(v, 2) over (order by d, id) as n from a": "a: d [0, *]",
    "select d as day, id, last_value(v) over (order by d) as n, count(*) over (order by d) as c from a": (
        "a: d [0, *]"
    ),
    "select d as day, id, sum(v) over w2 as n from a window w as (order by d), w2 as (w range between interval '2 days' preceding and current row)": (
        "a: d [0, 2d]"
    ),
    "select d as day, id, sum(v) over (w rows between unbounded preceding and current row) as n from a window w as (order by d desc nulls last, id)": (
        "a: d [*, 0]"
    ),
    "select d as day, id, mode() within group (order by v) as n from a group by d, id": "a: d",
    "select d as day, v from a union select d, v from b": "a: d; b: d",
    "select d as day, v from a except all select d, v from b": "a: d; b: d",
    "select d as day, v from a intersect select d, v from b": "a: d; b: d",
    "with w as materialized (select d, sum(v) as n from a group by d) select d + 1 as day, n from w": (
        "a: d + 1"
    ),
    "with recursive r as (select d, 1 as n from a union all select d, n + 1 from r where n < 3) select d as day, n from r": (
        "a: -"
    ),
    "select least(d, d + 1) as day, v from a": "a: LEAST(d, d + 1)",
    "select greatest(d, ts::date) as day, v from a": "a: GREATEST(d, CAST(ts AS DATE))",
    "select make_date(2024, 3, id % 28 + 1) as day, v from a": "a: -",
    "select to_date('2024-03-' || (k + 1)::text, 'YYYY-MM-DD') as day, v from a": (
        "a: TO_DATE('2024-03-' || CAST((k + 1) AS TEXT), 'YYYY-MM-DD')"
    ),
    "select cast(to_char(ts, 'YYYY-MM-01') as date) as day, sum(v) as n from a group by 1": (
        "a: CAST(TO_CHAR(ts, 'YYYY-MM-01') AS DATE)"
    ),
    "select (date_trunc('month', ts) + interval '1 month - 1 day')::date as day, sum(v) as n from a group by 1": (
        "a: CAST((DATE_TRUNC('MONTH', ts) + INTERVAL '1 month - 1 day') AS DATE)"
    ),
    "select date_trunc('month', d)::date as day, sum(v) as n from a group by 1": (
        "a: CAST(DATE_TRUNC('MONTH', d) AS DATE)"
    ),
    "select date_trunc('month', d + interval '0 days') as day, sum(v) as n from a group by 1": (
        "a: DATE_TRUNC('MONTH', d + INTERVAL '0 DAYS')"
    ),
    "select ts - make_interval(days => k) as day, v from a": "a: ts - MAKE_INTERVAL(days => k)",
    "select ts - k * interval '1 day' as day, v from a": "a: ts - k * INTERVAL '1 DAY'",
    "select d as day, v from a where d >= (select max(d) from b) - 3": "a: d; b: -",
    "select d as day, v from only a": "a: d",
    "select d as day, (select max(v) from b where b.d = a.d) as n from a": "a: d; b: -",
    "select x.d as day, y.v from a x full join b y on x.d = y.d": "a: d; b: d",
    "select coalesce(x.d, y.d) as day, x.v, y.v as w from a x full join b y on x.d = y.d": "a: -; b: -",
    "select d as day, x.v, y.v as w from a x full join b y using (d)": "a: -; b: -",
    "select x.d as day, y.v from a x left join b y on y.d = x.d and y.d > x.d - 3": "a: d; b: d",
    "select z::timestamptz(0)::date as day, v from a": "a: CAST(CAST(z AS TIMESTAMPTZ(0)) AS DATE)",
    "select d as day, id, sum(v) over (order by d desc, id rows between 1 preceding and current row) as n from a": (
        "a: -"
    ),
    "select d as day, id, sum(v) over (order by z::date range between interval '1 day' preceding and current row) as n from a": (
        "a: -"
    ),
    "select (z at time zone 'Australia/Lord_Howe') as day, v from a": (
        "a: z AT TIME ZONE 'Australia/Lord_Howe'"
    ),
    "select date_trunc('quarter', z - interval '2 months') as day, sum(v) as n from a group by 1": (
        "a: DATE_TRUNC('QUARTER', z - INTERVAL '2 MONTHS')"
    ),
    "select x.z as day, y.v from a x join b y on y.z::date = x.z::date": "a: z; b: -",
    "select x.z::date as day, y.v from a x join b y on y.z::date = x.z::date - 1": (
        "a: CAST(z AS DATE); b: CAST(z AS DATE) [1d, 1d]"
    ),
    "select x.z as day, y.v from a x left join b y on y.z = x.z + interval '1 month'": (
        "a: z; b: z [-31d, -25d]"
    ),
    "select x.ts as day, y.v from a x join b y on y.d = x.ts": "a: ts; b: d",
    "select x.d as day, y.v from a x join b y on y.ts < x.d and y.ts >= x.d - 1": (
        "a: d; b: CAST(ts AS DATE) [0, 1d]"
    ),
}  # fmt: skip


@pytest.mark.parametrize(("sql", "expected"), OWN_SHAPES.items())
def test_shapes(sql: str, expected: str) -> None:
    assert shown(sql, traits=TRAITS) == expected


# What PostgreSQL has in other words, of which less is proven: `notyet`.
LESS = {
    "select x.d as day, x.v from a x anti join b y on y.d between x.d - 2 and x.d and y.k = x.k": "a: d; b: -",
    "select x.d as day, x.v from a x semi join b y on y.d = x.d + interval 1 month": "a: d; b: -",
}


@pytest.mark.parametrize("sql", SHAPES)
def test_what_is_translated_is_proven_as_before(sql: str) -> None:
    try:
        text = translated(sql, "duckdb", "postgres")
    except Untranslatable:
        assert "asof" in sql
        return
    found = shown(text, traits=TRAITS).replace(" + INTERVAL '0 DAYS'", "")
    expected = LESS.get(sql, SHAPES[sql])
    assert _reaches(found) == _reaches(expected)


def _reaches(mapped: str) -> list[tuple[str, bool, str]]:
    """Of each table: whether it is mapped, and the reaches."""
    found = []
    for part in mapped.split("; "):
        table, _, rest = part.partition(": ")
        found.append((table, rest[:1] == "-", "[".join(rest.split(" [")[1:])))
    return found


@pytest.fixture(scope="module")
def labs() -> Iterator[Labs]:
    with Labs() as made:
        yield made


def _lab(labs: Labs, zone: str) -> Lab:
    return labs("postgres", zone, prepare)


@pytest.mark.parametrize("sql", [sql for sql, mapped in OWN_SHAPES.items() if mapped != "a: -"])
def test_changes_touch_only_what_they_reach_and_no_more_is_needed(sql: str, labs: Labs) -> None:
    lab = _lab(labs, NEW_YORK)
    assert (leaks(sql, lab, rounds=1), lacks(sql, lab, rounds=1)) == (set(), set())


@pytest.mark.long
@pytest.mark.parametrize("zone", ["UTC", NEW_YORK, "Australia/Lord_Howe"])
@pytest.mark.parametrize("sql", [sql for sql, mapped in OWN_SHAPES.items() if mapped != "a: -"])
def test_changes_touch_only_what_they_reach_at_length(sql: str, zone: str, labs: Labs) -> None:
    lab = _lab(labs, zone)
    assert (leaks(sql, lab, rounds=8), lacks(sql, lab, rounds=8)) == (set(), set())


CHAINS = [
    "d + 1", "2 + d", "d - interval '1 month'", "(d + '1 month 1 day'::interval)::date", "ts::date", "date(ts) + 1",
    "date_trunc('week', ts)", "date_trunc('hour', z)", "date_trunc('day', z)", "date_trunc('month', z)", "z::date",
    "date(z)", "z::timestamp", "ts at time zone 'America/New_York'", "z at time zone 'America/New_York'",
    "timezone('america/new_york', z)", "ts::timestamptz", "d::timestamptz", "z + interval '1 day'",
    "z - '1 month 3 hours'::interval", "z + 3 * interval '1 day'", "(z at time zone 'Australia/Lord_Howe')::date + 1",
    "date_trunc('quarter', ts - interval '2 months')", "timezone('Asia/Kolkata', ts) + interval '90 minutes'",
    "z at time zone 'EST5EDT'", "z at time zone 'CET'", "ts at time zone 'Etc/GMT+5'", "date_trunc('year', z) + interval '1 year'",
]  # fmt: skip


@pytest.mark.parametrize("sql", CHAINS)
@pytest.mark.parametrize("zone", ["UTC", NEW_YORK, "Australia/Lord_Howe", "Asia/Kolkata"])
def test_images_hold_what_the_server_computes(sql: str, zone: str, labs: Labs) -> None:
    holds_what_is_computed(_lab(labs, zone), sql)
