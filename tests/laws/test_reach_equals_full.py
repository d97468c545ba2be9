"""Law: models whose rows reach other times (shifts, frames, joins with offsets) equal their queries, built at once.

Through the command line, on a database file, with inserts, updates, deletes and late rows between the builds. The
oracle is the query, run in an empty DuckDB over a copy of the sources.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from every_engine import NewProject, on_every_engine
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from lawful import Lawful
from length import at_length
from msgspec.structs import force_setattr
from on_postgres import LawfulPostgres
from opened import scratch

from sqlflow.compiler import facts
from sqlflow.compiler.times import walk
from sqlflow.core.reach import Reach, image

_FIRST = dt.date(2024, 2, 26)  # the clocks of New York are set on March 10

# What the models read: `d`, `k` and `n`.
_PARENTS = {
    "staging.rolled": (
        "-- @mode: view\n",
        "SELECT d, k, sum(v) OVER (PARTITION BY k ORDER BY d RANGE BETWEEN INTERVAL 2 DAYS PRECEDING AND CURRENT ROW) AS n "
        "FROM raw.a",
    ),
    "staging.shifted": ("-- @mode: inline\n", "SELECT CAST(d + INTERVAL 1 DAY AS DATE) AS d, k, v AS n FROM raw.a"),
    "inc.base": (
        "-- @mode: incremental\n-- @time: d\n",
        "SELECT d, k, CAST(sum(v) AS BIGINT) AS n FROM raw.a GROUP BY d, k",
    ),
    "inc.later": (
        "-- @mode: incremental\n-- @time: d\n",
        "SELECT d + 3 AS d, k, sum(n) OVER (PARTITION BY k ORDER BY d RANGE BETWEEN 2 PRECEDING AND CURRENT ROW) AS n "
        "FROM staging.rolled",
    ),
}
_SOURCES = ("raw.a", *_PARENTS)
_TEMPLATES = (
    "SELECT d + {p} AS day, k, sum({n}) AS m FROM {src} GROUP BY ALL",
    "SELECT CAST(d - INTERVAL 1 MONTH AS DATE) AS day, k, sum({n}) AS m FROM {src} GROUP BY ALL",
    "SELECT d AS day, k, {n} AS n, sum({n}) OVER (PARTITION BY k ORDER BY d RANGE BETWEEN INTERVAL {p} DAYS PRECEDING "
    "AND INTERVAL {f} DAYS FOLLOWING) AS m FROM {src}",
    "SELECT d AS day, k, {n} AS n, max({n}) OVER (ORDER BY d DESC RANGE BETWEEN {p} PRECEDING AND CURRENT ROW) AS m FROM {src}",
    "SELECT d AS day, k, {n} AS n, lag({n}) OVER (PARTITION BY k ORDER BY d, {n}) AS m FROM {src}",
    "SELECT x.d AS day, x.k, x.{n} AS n, sum(y.{n2}) AS m FROM {src} AS x LEFT JOIN {other} AS y ON y.k = x.k "
    "AND y.d BETWEEN x.d - INTERVAL {p} DAYS AND x.d + INTERVAL {f} DAYS GROUP BY ALL",
    "SELECT x.d AS day, x.k, x.{n} AS n, y.{n2} AS m FROM {src} AS x JOIN {other} AS y ON y.d = x.d - {p}",
    "SELECT x.d AS day, x.k, x.{n} AS n FROM {src} AS x ANTI JOIN {other} AS y ON y.k = x.k AND y.d >= x.d - {p} AND y.d < x.d",
    "SELECT x.d AS day, x.k, x.{n} AS n, y.{n2} AS m FROM {src} AS x LEFT JOIN {other} AS y ON y.d = x.d - INTERVAL 1 MONTH",
    "SELECT CAST(date_trunc('month', d) AS DATE) AS day, sum(m) AS m FROM (SELECT d, sum({n}) OVER (ORDER BY d RANGE "
    "BETWEEN INTERVAL {p} DAYS PRECEDING AND CURRENT ROW) AS m FROM {src}) GROUP BY 1",
    "WITH s AS (SELECT d + {f} AS d, {n} AS n FROM {src}), w AS (SELECT d, n, sum(n) OVER (ORDER BY d RANGE BETWEEN "
    "INTERVAL {p} DAYS PRECEDING AND CURRENT ROW) AS m FROM s) "
    "SELECT w.d AS day, w.n, w.m, o.n AS o FROM w LEFT JOIN s AS o ON o.d = w.d - INTERVAL 7 DAYS",
    "SELECT CAST(z AT TIME ZONE 'America/New_York' AS DATE) AS day, k, v, sum(v) OVER (ORDER BY z RANGE BETWEEN "
    "INTERVAL {p} DAYS PRECEDING AND CURRENT ROW) AS m FROM raw.a",
    "SELECT z AS day, k, count(*) OVER (PARTITION BY k ORDER BY z RANGE BETWEEN INTERVAL 5 HOURS PRECEDING AND CURRENT ROW) "
    "AS m FROM raw.a",
    "SELECT x.z AS day, x.k, y.v FROM raw.a AS x JOIN raw.b AS y ON y.z BETWEEN x.z - INTERVAL {p} HOURS AND x.z",
    "SELECT x.ts AS day, x.k, y.v FROM raw.a AS x JOIN raw.b AS y ON CAST(y.ts AS DATE) = x.d AND x.d = CAST(x.ts AS DATE)",
)  # fmt: skip
_HEADERS = ("", "-- @grain: week\n", "-- @grain: month\n", "-- @batch: 5 days\n", "-- @start: 2024-03-04\n")

Row = tuple[int | None, int, int, int]  # day, quarter of an hour, k, v
Op = tuple[str, tuple[object, ...]]


@dataclass(frozen=True, slots=True)
class Story:
    """Models (header, query), what the two tables hold, and what happens between the builds."""

    zone: str
    models: Sequence[tuple[str, str]]
    rows: Sequence[Sequence[Row]]
    steps: Sequence[Sequence[Op]]


@st.composite
def models(draw: st.DrawFn) -> tuple[str, str]:
    src, other = draw(st.sampled_from(_SOURCES)), draw(st.sampled_from((*_SOURCES, "raw.b")))
    query = draw(st.sampled_from(_TEMPLATES)).format(
        src=src,
        other=other,
        n="v" if src == "raw.a" else "n",
        n2="v" if other.startswith("raw.") else "n",
        p=draw(st.integers(1, 9)),
        f=draw(st.integers(0, 3)),
    )
    return draw(st.sampled_from(_HEADERS)), query


_day = st.integers(0, 40)
_row = st.tuples(
    st.one_of(_day, _day, _day, st.sampled_from([None, 400, 13, 14])),
    st.integers(0, 95),
    st.integers(0, 2),
    st.integers(0, 5),
)
_op = st.one_of(
    st.tuples(st.just("insert"), st.tuples(st.sampled_from("ab"), st.lists(_row, min_size=1, max_size=3))),
    st.tuples(st.just("update"), st.tuples(st.sampled_from("ab"), _day, st.integers(0, 5))),
    st.tuples(st.just("delete"), st.tuples(st.sampled_from("ab"), _day)),
    st.tuples(st.just("move"), st.tuples(st.sampled_from("ab"), _day, _day)),
)  # fmt: skip
stories = st.builds(
    Story,
    st.sampled_from(["UTC", "America/New_York", "Australia/Lord_Howe"]),
    st.lists(models(), min_size=4, max_size=6),
    st.tuples(st.lists(_row, min_size=8, max_size=20), st.lists(_row, min_size=4, max_size=12)),
    st.lists(st.lists(_op, min_size=1, max_size=3), min_size=2, max_size=4),
)


def _values(row: Row) -> str:
    day, quarter, k, v = row
    if day is None:
        return f"(NULL, NULL, NULL, {k}, {v})"
    moment = dt.datetime.combine(_FIRST, dt.time()) + dt.timedelta(days=day, minutes=15 * quarter)
    return f"(DATE '{moment.date()}', TIMESTAMP '{moment}', CAST(TIMESTAMP '{moment}' AS TIMESTAMPTZ), {k}, {v})"


def _happen(project: Lawful, op: Op) -> None:
    name, arguments = op
    table = f"raw.{arguments[0]}"
    if name == "insert":
        rows = arguments[1]
        assert isinstance(rows, list)
        project.sql(f"INSERT INTO {table} VALUES {', '.join(_values(row) for row in rows)}")
        return
    day = arguments[1]
    assert isinstance(day, int)
    there = f"d BETWEEN DATE '{_FIRST}' + {day} AND DATE '{_FIRST}' + {day + 1}"
    if name == "update":
        project.sql(f"UPDATE {table} SET v = {arguments[2]} WHERE {there}")
    elif name == "delete":
        project.sql(f"DELETE FROM {table} WHERE {there}")
    else:
        by = f"INTERVAL ({arguments[2]} - {day}) DAYS"
        project.sql(f"UPDATE {table} SET d = CAST(d + {by} AS DATE), ts = ts + {by}, z = z + {by} WHERE {there}")


def _in_days(query: str) -> str:
    """A frame over a DATE counts in days to DuckDB; PostgreSQL wants an interval."""
    return re.sub(r"RANGE BETWEEN (\d+) PRECEDING", r"RANGE BETWEEN INTERVAL \1 DAYS PRECEDING", query)


def _begin(project: Lawful, story: Story) -> dict[str, tuple[str, str]]:
    """The project, and its models: name -> (what the header adds, query)."""
    made = {name: (header, query) for name, (header, query) in _PARENTS.items()}
    for number, (header, query) in enumerate(story.models):
        made[f"inc.m{number}"] = (f"-- @mode: incremental\n-- @time: day\n{header}", query)
    if isinstance(project, LawfulPostgres):
        made = {name: (header, _in_days(query)) for name, (header, query) in made.items()}
    files = {f"models/{name.replace('.', '/')}.sql": header + query + "\n" for name, (header, query) in made.items()}
    project.begin(files)
    project.sql("CREATE SCHEMA raw")
    for table, rows in zip("ab", story.rows, strict=True):
        project.sql(f"CREATE TABLE raw.{table} (d DATE, ts TIMESTAMP, z TIMESTAMPTZ, k INTEGER, v INTEGER)")
        project.sql(f"INSERT INTO raw.{table} VALUES {', '.join(_values(row) for row in rows)}")
    return made


def _wrong(project: Lawful, made: Mapping[str, tuple[str, str]]) -> list[str]:
    """The tables that are not what their queries give."""
    found = []
    with scratch() as oracle:
        oracle.execute(f"SET TimeZone = '{project.zone}'")
        oracle.execute(f"ATTACH '{project.database}' AS built (READ_ONLY)")
        for schema in ("raw", "staging", "inc"):
            oracle.execute(f"CREATE SCHEMA {schema}")
        for table in "ab":
            oracle.execute(f"CREATE TABLE raw.{table} AS FROM built.raw.{table}")
        for name, (header, query) in made.items():
            kept = f"SELECT * FROM ({query}) WHERE day >= '2024-03-04' OR day IS NULL" if "start" in header else query
            oracle.execute(f"CREATE TABLE {name} AS {kept}")
            if "inline" in header:
                continue
            for one, two in ((name, f"built.{name}"), (f"built.{name}", name)):
                rows = oracle.execute(f"FROM {one} EXCEPT ALL FROM {two}").fetchall()
                if rows:
                    found.append(f"{name}: {query}: only in {one}: {rows[:3]}")
    return found


def _first_wrong(story: Story, new_project: NewProject | None = None) -> list[str]:
    """What is wrong after the first build that leaves something wrong."""
    with tempfile.TemporaryDirectory(prefix="sqlflow-law-") as folder, contextlib.ExitStack() as dropped:
        project = (new_project or NewProject("duckdb"))(Path(folder), story.zone)
        if new_project is not None:
            dropped.callback(new_project.drop)
        made = _begin(project, story)
        for happening in ((), *story.steps):
            for op in happening:
                _happen(project, op)
            built = project.build()
            assert built.code == 0, built.told
            found = _wrong(project, made)
            if found:
                return [*found, built.told]
            assert project.planned() == []
    return []


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    on_every_engine(metafunc, short=("test_every_look_at_other_times_equals_its_query",))


_FAST = settings(
    max_examples=3,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)

# A story in which every template is used, and a row changes that others can see.
_ROWS: tuple[Row, ...] = tuple((day, 30 + day, day % 2, day % 5) for day in range(0, 40, 2))
_EVERY = Story(
    "America/New_York",
    [
        (
            _HEADERS[number % 4],
            template.format(
                src=_SOURCES[number % len(_SOURCES)],
                other=_SOURCES[(number + 2) % len(_SOURCES)],
                n="v" if number % len(_SOURCES) == 0 else "n",
                n2="v" if (number + 2) % len(_SOURCES) == 0 else "n",
                p=3,
                f=1,
            ),
        )
        for number, template in enumerate(_TEMPLATES)
    ],
    (_ROWS, _ROWS),
    [
        [("update", ("a", 14, 5))],
        [("insert", ("b", [(2, 10, 0, 3)])), ("delete", ("a", 20))],
        [("move", ("a", 8, 31)), ("insert", ("a", [(60, 0, 1, 1)]))],
    ],
)


def test_every_look_at_other_times_equals_its_query(new_project: NewProject) -> None:
    assert _first_wrong(_EVERY, new_project) == []


@_FAST
@given(stories)
def test_models_that_look_at_other_times_equal_their_queries(new_project: NewProject, story: Story) -> None:
    assert _first_wrong(story, new_project) == []


@pytest.mark.long
@settings(_FAST, max_examples=at_length(25), derandomize=False)
@given(stories)
def test_models_that_look_at_other_times_at_length(new_project: NewProject, story: Story) -> None:
    assert _first_wrong(story, new_project) == []


# ---------------------------------------------------------------------- faults that the law must see

_FEW = Story(
    "UTC",
    [
        ("", _TEMPLATES[2].format(src="raw.a", n="v", p=3, f=1)),
        ("", _TEMPLATES[6].format(src="raw.a", other="raw.b", n="v", n2="v", p=7)),
    ],
    (_ROWS, _ROWS),
    [[("update", ("a", 14, 7)), ("update", ("b", 20, 7))]],
)


def test_the_law_sees_a_reach_that_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Reach, "touched", lambda self, changed: changed)
    assert _first_wrong(_FEW) != []


def test_the_law_sees_a_scan_that_is_restricted_to_what_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Reach, "sources", lambda self, wanted: wanted)
    assert _first_wrong(_FEW) != []


def test_the_law_sees_a_reach_the_wrong_way_round(monkeypatch: pytest.MonkeyPatch) -> None:
    right = Reach.touched
    monkeypatch.setattr(Reach, "touched", Reach.sources)
    monkeypatch.setattr(Reach, "sources", right)
    assert _first_wrong(_FEW) != []


_THROUGH_A_VIEW = Story(
    "UTC",
    [("", "SELECT d AS day, k, n FROM staging.rolled")],
    (_ROWS, _ROWS),
    [[("update", ("a", 14, 5))]],
)


def test_the_law_sees_a_reach_that_a_view_drops(monkeypatch: pytest.MonkeyPatch) -> None:
    through = walk.through

    def dropped(*arguments: object) -> object:
        found = through(*arguments)  # type: ignore[arg-type]
        for mapping in found.values():
            for occurrence in getattr(mapping, "occurrences", ()):
                force_setattr(occurrence, "reaches", (Reach(),))
        return found

    assert _first_wrong(_THROUGH_A_VIEW) == []
    monkeypatch.setattr(facts, "through", dropped)
    assert _first_wrong(_THROUGH_A_VIEW) != []


_FROM_A_PARENT = Story(
    "UTC",
    [("", "SELECT d AS day, k, sum(n) OVER (ORDER BY d RANGE BETWEEN 4 PRECEDING AND CURRENT ROW) AS m FROM inc.base")],
    (_ROWS, _ROWS),
    [[("update", ("a", 14, 5))]],
)


def test_the_law_sees_intervals_of_a_parent_that_are_not_widened(monkeypatch: pytest.MonkeyPatch) -> None:
    def shortened(*arguments: object) -> object:
        monkeypatch.setattr(Reach, "touched", lambda self, changed: changed)
        return image(*arguments)  # type: ignore[arg-type]

    assert _first_wrong(_FROM_A_PARENT) == []
    monkeypatch.setattr("sqlflow.plan.stale.image", shortened)
    assert _first_wrong(_FROM_A_PARENT) != []
