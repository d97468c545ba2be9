"""Law: after any sequence of changes, tables that were kept up bit by bit equal tables made at once.

The oracle shares no code with SQLFlow: the queries below are run as they stand, in order, in an empty DuckDB
that gets a copy of the sources. What `merge` and `append` promise is computed from the sources in plain Python.
"""

from __future__ import annotations

import csv
import datetime as dt
import io
import json
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import duckdb
import pytest
from hypothesis import HealthCheck, Phase, given, note, settings
from hypothesis import strategies as st
from lawful import Built, Lawful
from length import at_length
from opened import scratch

# ---------------------------------------------------------------------- the models


@dataclass(frozen=True, slots=True)
class Spec:
    """A model. `queries`: its variants, the first one is the query at the beginning.

    `kind`: `full` when the table equals the query, else who computes what it must hold. `header`: the directives of a
    random choice. `start`: `start` of the header, which the oracle applies by itself.
    """

    name: str
    queries: Sequence[str]
    headers: Sequence[str] = ("",)
    kind: str = "full"
    time: str = ""
    bounds: str = ""  # the type of $start and $end

    def path(self) -> str:
        return "models/" + self.name.replace(".", "/") + ".sql"


def _incremental(time: str, *more: str) -> tuple[str, ...]:
    """The header of an incremental model, and variants of it."""
    return tuple(f"mode: incremental;time: {time}" + (f";{rest}" if rest else "") for rest in more or ("",))


EVENTS = "SELECT id, ts, CAST(ts AS DATE) AS day, seen, k, v{} FROM raw.events"
_DAYS = "SELECT day, k, count(*) AS n, CAST(sum(v) AS BIGINT) AS total{} FROM staging.events GROUP BY day, k"
SPECS: tuple[Spec, ...] = (
    Spec(
        "staging.events",
        (EVENTS.format(""), EVENTS.format(" + 1 AS v"), EVENTS.format(", v % 2 AS odd"), EVENTS.format("") + " WHERE id % 5 <> 0"),
        ("mode: view", "mode: view", "mode: replace"),
    ),
    Spec("staging.pairs", ("SELECT day, k, n FROM raw.files WHERE n IS NOT NULL", "SELECT day, k, n * 2 AS n FROM raw.files"), ("mode: inline",), "inline"),
    Spec(
        "inc.by_day",
        (_DAYS.format(""), _DAYS.format(", max(v) AS most"), _DAYS.format(", min(v) AS most"), _DAYS.format("").replace("AS n,", "AS rows_there,") + " HAVING count(*) > 0"),
        _incremental("day", "", "grain: week", "lookback: 3 days", "batch: 4 days", "grain: month;batch: 1 month", "start: 2024-03-09"),
        time="day",
    ),
    Spec(
        "inc.by_hour",
        ("SELECT date_trunc('hour', ts) AS hour, count(*) AS n, min(v) AS least FROM raw.events GROUP BY 1",
         "SELECT date_trunc('hour', ts) AS hour, count(*) AS n, max(v) AS least FROM raw.events GROUP BY 1"),
        _incremental("hour", "grain: hour", "grain: day", "grain: hour;batch: 3 days", "grain: hour;start: 2024-03-10 02:30:00"),
        time="hour",
    ),
    Spec(
        "inc.instants",
        ("SELECT seen, id, v FROM raw.events", "SELECT seen, id, v, ts FROM raw.events WHERE v IS DISTINCT FROM 3"),
        _incremental("seen", "grain: day", "grain: hour", "grain: week", "grain: month;batch: 1 month", "start: 2024-03-10;batch: 2 days"),
        time="seen",
    ),
    Spec(
        "inc.zoned_days",
        ("SELECT date_trunc('day', seen) AS d, k, count(*) AS n FROM staging.events GROUP BY ALL",),
        _incremental("d", "", "grain: week"),
        time="d",
    ),
    Spec(
        "inc.joined",
        ("SELECT e.day, e.id, e.v, d.name FROM staging.events AS e LEFT JOIN seeds.dims AS d ON d.k = e.k",
         "SELECT e.day, e.id, e.v, upper(d.name) AS name FROM staging.events AS e LEFT JOIN seeds.dims d USING (k)"),
        _incremental("day", "", "batch: 4 days", "grain: week"),
        time="day",
    ),
    Spec(
        "inc.two_facts",
        ("SELECT e.day, e.k, e.v, f.n FROM staging.events AS e JOIN raw.files AS f ON f.day = e.day AND f.k = e.k",
         "SELECT e.day, e.k, e.v, f.n FROM staging.events AS e LEFT JOIN raw.files AS f ON f.day = e.day AND f.k = e.k",
         "SELECT f.day, e.k, e.v, f.n FROM staging.events AS e RIGHT JOIN raw.files AS f ON f.day = e.day AND f.k = e.k"),
        _incremental("day", "", "grain: week", "batch: 3 days"),
        time="day",
    ),
    Spec(
        "inc.inlined",
        ("SELECT day, sum(n) AS n, count(DISTINCT k) AS ks FROM staging.pairs GROUP BY day",
         "SELECT p.day, p.n, e.v FROM staging.pairs p JOIN staging.events e ON e.day = p.day"),
        _incremental("day", ""),
        time="day",
    ),
    Spec(
        "inc.months",
        ("SELECT CAST(date_trunc('month', day) AS DATE) AS month, CAST(sum(n) AS BIGINT) AS n FROM inc.base GROUP BY 1",),
        _incremental("month", "grain: month", "grain: day"),
        time="month",
    ),
    Spec(
        "inc.second",
        ("SELECT b.day, b.k, b.n, f.n AS other FROM inc.base b LEFT JOIN staging.pairs f ON f.day = b.day AND f.k = b.k",),
        _incremental("day", "", "grain: week"),
        time="day",
    ),
    Spec(
        "inc.bounded",
        ("SELECT ts, id, v FROM raw.events WHERE ts >= $start AND ts < $end",
         "SELECT ts, id, count(*) AS n FROM raw.events WHERE ts >= $start AND ts < $end GROUP BY ALL"),
        _incremental("ts", "", "batch: 2 days", "grain: hour", "grain: month"),
        time="ts",
        bounds="TIMESTAMP",
    ),
    Spec(
        "inc.ranked",
        ("SELECT day, k, v, row_number() OVER (PARTITION BY day ORDER BY v, k, id) AS r FROM staging.events",
         "SELECT day, k, v, sum(v) OVER (ORDER BY day) AS r FROM staging.events"),
        _incremental("day", "", "batch: 5 days"),
        time="day",
    ),
    Spec(
        "inc.united",
        ("SELECT day, k, v FROM staging.events UNION ALL SELECT day, k, n FROM raw.lines",
         "SELECT coalesce(day, DATE '2024-03-11') AS day, k, n FROM raw.lines"),
        _incremental("day", "", "start: 2024-03-11"),
        time="day",
    ),
    Spec("whole.days", ("SELECT * FROM inc.by_day", "SELECT day, n FROM inc.second"), ("", "mode: view", "mode: replace")),
    Spec("whole.top", ("SELECT k, count(*) AS n FROM inc.two_facts GROUP BY k", "SELECT n FROM inc.two_facts WHERE v > 1")),
    Spec("whole.names", ("SELECT name, count(*) AS n FROM inc.joined GROUP BY name", "SELECT * FROM inc.joined WHERE v > 2")),
    Spec("whole.narrow", ("SELECT day, k FROM inc.by_day", "SELECT day, total FROM inc.by_day"), ("", "mode: view")),
    Spec(
        "log.lines",
        ("SELECT c, k, v FROM raw.log",),
        tuple(f"mode: append;cursor: c{more}" for more in ("", ";lookback: 2 days")),
        "append",
    ),
    Spec("log.seen", ("SELECT k, count(*) AS n, max(c) AS newest FROM log.lines GROUP BY k",)),
    *(
        Spec(
            f"keyed.{name}",
            (f"SELECT k1, k2, c, v, op FROM raw.changes{where}",),
            tuple(f"mode: merge;key: [{key}];cursor: c;{more}{lookback}" for lookback in ("", ";lookback: 3 days")),
            kind,
        )
        for name, key, kind, more, where in (
            ("newest", "k1, k2", "source_wins", "conflict: source_wins", ""),
            ("single", "k1", "single", "conflict: source_wins", " WHERE k2 = 1"),
            ("latest", "k1, k2", "latest_wins", "conflict: latest_wins", ""),
            ("first", "k1, k2", "target_wins", "conflict: target_wins", ""),
            ("alive", "k1, k2", "deleted", "deleted: {column: op, values: [D]}", ""),
        )
    ),
    Spec("keyed.counted", ("SELECT k1, k2, count(*) AS n, max(c) AS newest FROM raw.changes GROUP BY ALL",), ("mode: merge;key: [k1, k2]",), "counted"),
    Spec("keyed.manual", ("SELECT DISTINCT k1, c FROM raw.changes",), ("mode: merge;key: [k1, c];conflict: manual",), "manual"),
    Spec("keyed.child", ("SELECT k1, count(*) AS n, max(c) AS c FROM keyed.alive GROUP BY ALL",)),
)  # fmt: skip
BASE = Spec(
    "inc.base",
    ("SELECT day, k, count(*) AS n FROM staging.events GROUP BY day, k",),
    _incremental("day", ""),
    time="day",
)
ORDER: tuple[Spec, ...] = (*SPECS[:2], BASE, *SPECS[2:])
BY_NAME = {spec.name: spec for spec in ORDER}

_SOURCES = """
raw.events: {table: ext.events}
raw.files: {path: data/files/*.parquet, columns: {day: DATE, k: INTEGER, n: INTEGER}}
raw.lines: {path: data/lines.csv, columns: {day: DATE, k: INTEGER, n: INTEGER}}
raw.changes: {table: ext.changes, cursor: c}
"""

# ---------------------------------------------------------------------- the data

ZONES = ("UTC", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe")
_FIRST = dt.datetime(2024, 3, 4)  # a Monday; clocks change in New York on March 10
Moment = tuple[int, int] | None  # day after _FIRST, half hour of the day


def _moment(moment: Moment) -> str:
    if moment is None:
        return "NULL"
    return f"TIMESTAMP '{_FIRST + dt.timedelta(days=moment[0], minutes=30 * moment[1])}'"


def _number(value: int | None) -> str:
    return "NULL" if value is None else str(value)


moments: st.SearchStrategy[Moment] = st.one_of(
    st.tuples(st.integers(0, 20), st.integers(0, 47)),
    st.sampled_from([None, (-9000, 0), (40, 1), (2500, 47), (6, 3), (6, 4), (6, 5), (0, 0), (28, 0)]),
)
small: st.SearchStrategy[int | None] = st.sampled_from([None, 1, 2, 3])
numbers: st.SearchStrategy[int | None] = st.sampled_from([None, 0, 1, 2, 3, 4])
event = st.tuples(moments, moments, small, numbers)
pair = st.tuples(st.one_of(st.none(), st.integers(0, 20)), small, numbers)
pairs = st.lists(pair, max_size=6)
change = st.tuples(
    st.sampled_from([None, 1, 2, 3]),
    st.sampled_from([None, 1, 2]),
    st.integers(0, 30).flatmap(lambda at: st.sampled_from([at] * 24 + [None])),
)

Op = tuple[str, tuple[object, ...]]


def _op(name: str, *arguments: st.SearchStrategy[object]) -> st.SearchStrategy[Op]:
    return st.tuples(st.just(name), st.tuples(*arguments))


_data_ops = (
    _op("insert", st.lists(event, min_size=1, max_size=5)),
    _op("tie", st.integers(0, 12)),
    _op("update", st.integers(1, 6), numbers),
    _op("move", st.integers(1, 6), moments),
    _op("delete", st.integers(1, 6)),
    _op("delete_one", st.integers(0, 12)),
    _op("delete_day", st.integers(0, 20)),
    _op("delete_from", st.integers(0, 20)),
    _op("delete_nulls"),
    _op("file", st.integers(0, 2), pairs),
    _op("unlink", st.integers(1, 2)),
    _op("lines", pairs),
    _op("seed", st.lists(st.tuples(st.integers(1, 3), st.sampled_from(["a", "b", ""])), max_size=3)),
)
_log_ops = (
    _op("log", st.lists(st.tuples(st.one_of(st.none(), st.integers(0, 30)), small, numbers), min_size=1, max_size=4)),
    _op("log_tie"),
)
_key_ops = (
    _op("changes", st.lists(change, min_size=1, max_size=4)),
    _op("changes", st.lists(change, min_size=1, max_size=4)),
    _op("key_tie", st.sampled_from([None, 1, 2, 3])),
    _op("gone", st.sampled_from([1, 2, 3])),
)


@dataclass(frozen=True, slots=True)
class Story:
    """What an example is about: a part of the models, how it begins, and what happens between the builds."""

    zone: str
    models: tuple[str, ...]
    headers: Mapping[str, int]
    events: Sequence[tuple[Moment, Moment, int | None, int | None]]
    files: Sequence[tuple[int | None, int | None, int | None]]
    changes: Sequence[tuple[int | None, int | None, int | None]]
    steps: Sequence[Sequence[Op]]


@st.composite
def stories(draw: st.DrawFn, names: Sequence[str], data_ops: Sequence[st.SearchStrategy[Op]], most: int = 3) -> Story:
    chosen = draw(st.lists(st.sampled_from(names), min_size=1, max_size=most, unique=True))
    models = _with_parents(chosen)
    headed = [name for name in models if len(BY_NAME[name].headers) > 1]
    timed = [name for name in models if BY_NAME[name].time]
    edited = [name for name in models if len(BY_NAME[name].queries) > 1]
    failing = [name for name in models if BY_NAME[name].kind != "inline"]
    code_ops: list[st.SearchStrategy[Op]] = [_op("fail", st.sampled_from(failing)), _op("forget")]
    if headed:
        code_ops.append(_op("direct", st.sampled_from(headed), st.integers(0, 5)))
    if edited:
        code_ops.append(_op("edit", st.sampled_from(edited), st.integers(0, 3)))
    if timed:
        code_ops += [_op("rebuild", st.sampled_from(timed)), _op("drop", st.sampled_from(timed))]
    op = st.one_of(st.one_of(*data_ops), st.one_of(*data_ops), st.one_of(*code_ops))
    return Story(
        zone=draw(st.sampled_from(ZONES)),
        models=models,
        headers=draw(st.dictionaries(st.sampled_from(headed), st.integers(0, 5), max_size=3)) if headed else {},
        events=draw(st.lists(event, min_size=2, max_size=12)),
        files=draw(pairs),
        changes=draw(st.lists(change, max_size=6)),
        steps=draw(st.lists(st.lists(op, min_size=1, max_size=3), min_size=3, max_size=6)),
    )


def _with_parents(chosen: Iterable[str]) -> tuple[str, ...]:
    """The models and all that they read, in order."""
    needed = set(chosen)
    for spec in reversed(ORDER):
        if spec.name in needed:
            needed |= {other.name for other in ORDER if any(other.name in query for query in spec.queries)}
    return tuple(spec.name for spec in ORDER if spec.name in needed)


def _change_row(k1: int | None, k2: int | None, at: int | None) -> tuple[object, ...]:
    """All of a change follows from its key and cursor: the same version of a key is never told in two ways."""
    code = (k1 or 0) + 2 * (k2 or 0) + 3 * (at or 0)
    moment = None if at is None else _FIRST + dt.timedelta(hours=17 * at)
    return (k1, k2, moment, code, "D" if code % 3 == 0 else "U")


def _log_row(at: int | None, k: int | None, v: int | None) -> tuple[object, ...]:
    return (None if at is None else _FIRST + dt.timedelta(hours=9 * at), k, v)


# ---------------------------------------------------------------------- the world


@dataclass(slots=True)
class World:
    """A project, what it must hold, and the changes that can happen to it."""

    project: Lawful
    specs: Sequence[Spec]
    variants: dict[str, int] = field(default_factory=dict)
    headers: dict[str, int] = field(default_factory=dict)
    failing: str | None = None
    refresh: set[str] = field(default_factory=set)
    next_id: int = 0
    reached: dict[str, str] = field(default_factory=dict)
    kept: dict[str, dict[tuple[object, ...], tuple[object, ...]]] = field(default_factory=dict)
    logged: list[tuple[object, ...]] = field(default_factory=list)
    changes: list[tuple[object, ...]] = field(default_factory=list)

    # What happens

    def begin(self, story: Story) -> None:
        self.headers = {name: value % len(BY_NAME[name].headers) for name, value in story.headers.items()}
        self.project.begin({"sources/raw.yml": _SOURCES, "seeds/dims.csv": "k,name\n1,one\n2,two\n"})
        self.project.write({"seeds/seeds.yml": "seeds.dims: {columns: {k: INTEGER, name: VARCHAR}}\n"})
        for spec in self.specs:
            self.write(spec)
        self.project.sql(
            "CREATE SCHEMA ext",
            "CREATE TABLE ext.events (id INTEGER, ts TIMESTAMP, seen TIMESTAMPTZ, k INTEGER, v INTEGER)",
            "CREATE TABLE ext.changes (k1 INTEGER, k2 INTEGER, c TIMESTAMP, v INTEGER, op VARCHAR)",
            "CREATE SCHEMA raw",
            "CREATE TABLE raw.log (c TIMESTAMP, k INTEGER, v INTEGER)",
        )
        self.insert(story.events)
        self.do_file(0, story.files)
        self.do_lines(story.files[1:])
        self.do_changes(story.changes)

    def write(self, spec: Spec) -> None:
        lines = [part for part in spec.headers[self.headers.get(spec.name, 0)].split(";") if part]
        if self.failing == spec.name:
            lines.append("checks: [{row_count: {min: 1000000}}]")
        query = spec.queries[self.variants.get(spec.name, 0)]
        self.project.write({spec.path(): "".join(f"-- @{line}\n" for line in lines) + query + "\n"})

    def do(self, op: Op) -> None:
        act: Callable[..., None] = getattr(self, f"do_{op[0]}")
        act(*op[1])

    def insert(self, rows: Iterable[tuple[Moment, Moment, int | None, int | None]]) -> None:
        values = []
        for at, seen, k, v in rows:
            self.next_id += 1
            values.append(
                f"({self.next_id}, {_moment(at)}, CAST({_moment(seen)} AS TIMESTAMPTZ), {_number(k)}, {_number(v)})"
            )
        if values:
            self.project.sql(f"INSERT INTO ext.events VALUES {', '.join(values)}")

    do_insert = insert

    def do_tie(self, which: int) -> None:
        self.project.sql(f"INSERT INTO ext.events FROM ext.events WHERE id = {which}")

    def do_update(self, modulus: int, value: int | None) -> None:
        self.project.sql(f"UPDATE ext.events SET v = {_number(value)} WHERE id % {modulus} = 0")

    def do_move(self, modulus: int, moment: Moment) -> None:
        at = _moment(moment)
        self.project.sql(
            f"UPDATE ext.events SET ts = {at}, seen = CAST({at} AS TIMESTAMPTZ) WHERE id % {modulus + 1} = 0"
        )

    def do_delete(self, modulus: int) -> None:
        self.project.sql(f"DELETE FROM ext.events WHERE id % {modulus} = 0")

    def do_delete_one(self, which: int) -> None:
        self.project.sql(f"DELETE FROM ext.events WHERE id = {which}")

    def do_delete_day(self, day: int) -> None:
        at = _moment((day, 0))
        self.project.sql(f"DELETE FROM ext.events WHERE CAST(ts AS DATE) = {at} OR CAST(seen AS DATE) = {at}")

    def do_delete_from(self, day: int) -> None:
        self.project.sql(f"DELETE FROM ext.events WHERE ts >= {_moment((day, 0))} OR seen >= {_moment((day, 0))}")

    def do_delete_nulls(self) -> None:
        self.project.sql("DELETE FROM ext.events WHERE ts IS NULL OR seen IS NULL")

    def do_file(self, number: int, rows: Sequence[tuple[int | None, int | None, int | None]]) -> None:
        path = self.project.root / "data" / "files" / f"{number}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        with scratch() as connection:
            connection.execute("CREATE TABLE t (day DATE, k INTEGER, n INTEGER)")
            for row in rows:
                connection.execute("INSERT INTO t VALUES (?, ?, ?)", _pair_row(row))
            connection.execute(f"COPY t TO '{path}' (FORMAT parquet)")

    def do_unlink(self, number: int) -> None:
        (self.project.root / "data" / "files" / f"{number}.parquet").unlink(missing_ok=True)

    def do_lines(self, rows: Sequence[tuple[int | None, int | None, int | None]]) -> None:
        text = io.StringIO()
        writer = csv.writer(text)
        writer.writerow(["day", "k", "n"])
        writer.writerows(_pair_row(row) for row in [*rows, (5, 1, 1)])
        self.project.write({"data/lines.csv": text.getvalue()})

    def do_seed(self, rows: list[tuple[int, str]]) -> None:
        self.project.write({"seeds/dims.csv": "k,name\n7,seven\n" + "".join(f"{k},{name}\n" for k, name in rows)})

    def do_log(self, rows: Sequence[tuple[int | None, int | None, int | None]]) -> None:
        self._log([_log_row(*row) for row in rows])

    def do_log_tie(self) -> None:
        self._log([row for row in self.logged if row[0] is not None][-1:])

    def _log(self, rows: list[tuple[object, ...]]) -> None:
        self.logged += rows
        with self.project.connected() as connection:
            for row in rows:
                connection.execute("INSERT INTO raw.log VALUES (?, ?, ?)", row)

    def do_changes(self, rows: Sequence[tuple[int | None, int | None, int | None]]) -> None:
        made = [_change_row(*row) for row in rows]
        self.changes += made
        with self.project.connected() as connection:
            for row in made:
                connection.execute("INSERT INTO ext.changes VALUES (?, ?, ?, ?, ?)", row)

    def do_key_tie(self, k1: int | None) -> None:
        """Another key with the newest cursor that there is."""
        cursors = [age for row in self.changes if (age := _age(row)) != dt.datetime.min]
        if cursors:
            self.do_changes([(k1, 1, int((max(cursors) - _FIRST) / dt.timedelta(hours=17)))])

    def do_gone(self, k1: int) -> None:
        """All versions of some keys leave the source: a merge keeps what it has."""
        self.changes = [row for row in self.changes if row[0] != k1]
        self.project.sql(f"DELETE FROM ext.changes WHERE k1 = {k1}")

    def do_edit(self, name: str, variant: int) -> None:
        self.variants[name] = variant % len(BY_NAME[name].queries)
        # Readers of a column that an edit takes away must not read it any more.
        if self.variants.get("inc.by_day", 0) == 3 and self.variants.get("whole.narrow", 0) == 1:
            self.variants["whole.narrow"] = 0
        for spec in self.specs:
            if spec.name in (name, "whole.narrow"):
                self.write(spec)

    def do_direct(self, name: str, variant: int) -> None:
        # A rebuilt `append` or `merge` forgets what the source no longer has; only their `lookback` is edited here,
        # which rebuilds nothing.
        self.headers[name] = variant % len(BY_NAME[name].headers)
        self.write(BY_NAME[name])

    def do_rebuild(self, name: str) -> None:
        self.refresh.add(name)

    def do_drop(self, name: str) -> None:
        self.project.sql(f"DROP TABLE IF EXISTS {name}")

    def do_fail(self, name: str) -> None:
        if self.failing is None:
            self.failing = name
            self.write(BY_NAME[name])

    def do_forget(self) -> None:
        self.project.forget_state()

    # What must be true

    def build(self) -> None:
        if self.refresh:
            self._checked(self.project.build(*sorted(self.refresh), full_refresh=True))
            self.refresh.clear()
        built = self.project.build()
        self._promised()
        failing, self.failing = self.failing, None
        if failing is not None:
            assert built.code == 1
            assert failing in built.told
            self.write(BY_NAME[failing])
            return
        assert built.code == 0, built.told
        note(built.told)
        self.compare()
        assert self.project.planned() == []

    def _checked(self, built: Built) -> None:
        assert built.code in (0, 1), built.told

    def _promised(self) -> None:
        """What `merge` tables hold now, computed from what they held and what the source has."""
        for spec in self.specs:
            if spec.kind in _MERGES and spec.name != self.failing:
                self.kept[spec.name] = _MERGES[spec.kind](self.kept.get(spec.name, {}), self.changes)

    def watermarks_grow(self) -> None:
        """Of the modes that read from a watermark on; none of their tables is ever rebuilt here."""
        for name, record in self.project.rows("SELECT name, record FROM _sqlflow.commits"):
            found = json.loads(str(record)).get("watermark")
            kind = BY_NAME[str(name)].kind if str(name) in BY_NAME else ""
            if (kind == "append" or kind in _MERGES) and found is not None:
                assert str(found) >= self.reached.get(str(name), ""), f"the watermark of {name} fell"
                self.reached[str(name)] = str(found)

    def compare(self) -> None:
        self.watermarks_grow()
        with scratch() as oracle:
            oracle.execute(f"SET TimeZone = '{self.project.zone}'")
            oracle.execute(f"ATTACH '{self.project.database}' AS built (READ_ONLY)")
            root = self.project.root
            for schema in ("raw", "ext", "seeds", "staging", "inc", "whole", "log", "keyed"):
                oracle.execute(f"CREATE SCHEMA {schema}")
            oracle.execute("CREATE TABLE raw.events AS FROM built.ext.events")
            oracle.execute("CREATE TABLE raw.changes AS FROM built.ext.changes")
            oracle.execute("CREATE TABLE raw.log AS FROM built.raw.log")
            oracle.execute(f"CREATE TABLE raw.files AS FROM read_parquet('{root}/data/files/*.parquet')")
            types = "{'day': 'DATE', 'k': 'INTEGER', 'n': 'INTEGER'}"
            oracle.execute(f"CREATE TABLE raw.lines AS FROM read_csv('{root}/data/lines.csv', types = {types})")
            types = "{'k': 'INTEGER', 'name': 'VARCHAR'}"
            oracle.execute(
                f"CREATE TABLE seeds.dims AS FROM read_csv('{root}/seeds/dims.csv', header = true, types = {types})"
            )
            for spec in self.specs:
                self._expect(oracle, spec)
                if spec.kind != "inline":
                    _assert_same(oracle, spec.name, exact=type(self.project) is Lawful)

    def _expect(self, oracle: duckdb.DuckDBPyConnection, spec: Spec) -> None:
        """Make the table as it must be."""
        query = spec.queries[self.variants.get(spec.name, 0)]
        if spec.bounds:
            query = query.replace("$start", "TIMESTAMP '0001-01-01'").replace("$end", "TIMESTAMP '9999-12-31'")
        start = spec.headers[self.headers.get(spec.name, 0)].partition("start: ")[2].partition(";")[0]
        if start:
            query = f"SELECT * FROM ({query}) WHERE {spec.time} >= '{start}' OR {spec.time} IS NULL"
        oracle.execute(f"CREATE TABLE {spec.name} AS {query}")
        rows: list[tuple[object, ...]] | None = None
        if spec.kind == "append":
            rows = self.logged
        elif spec.kind in _MERGES:
            rows = list(self.kept[spec.name].values())
        if rows is not None:
            oracle.execute(f"DELETE FROM {spec.name}")
            for row in rows:
                oracle.execute(f"INSERT INTO {spec.name} VALUES ({', '.join('?' for _ in row)})", row)


def _pair_row(row: tuple[int | None, int | None, int | None]) -> tuple[object, ...]:
    return (None if row[0] is None else (_FIRST + dt.timedelta(days=row[0])).date(), row[1], row[2])


def _assert_same(oracle: duckdb.DuckDBPyConnection, table: str, *, exact: bool) -> None:
    expected, found = (
        [(row[0], row[1]) for row in oracle.execute(f"DESCRIBE {place}{table}").fetchall()] for place in ("", "built.")
    )
    if exact:
        assert found == expected, f"the columns of {table} differ"
    missing = oracle.execute(f"FROM {table} EXCEPT ALL FROM built.{table}").fetchall()
    wrong = oracle.execute(f"FROM built.{table} EXCEPT ALL FROM {table}").fetchall()
    assert (missing[:5], wrong[:5]) == ([], []), f"what {table} lacks, and what it has and should not have"


# ---------------------------------------------------------------------- what `merge` promises

_Kept = dict[tuple[object, ...], tuple[object, ...]]


def _age(row: tuple[object, ...]) -> dt.datetime:
    return row[2] if isinstance(row[2], dt.datetime) else dt.datetime.min


def _newest(rows: Iterable[tuple[object, ...]], width: int) -> _Kept:
    found: _Kept = {}
    for row in rows:
        key = row[:width]
        if key not in found or _age(row) > _age(found[key]):
            found[key] = row
    return found


def _source_wins(before: _Kept, rows: Sequence[tuple[object, ...]]) -> _Kept:
    return {**before, **_newest(rows, 2)}


def _single(before: _Kept, rows: Sequence[tuple[object, ...]]) -> _Kept:
    return {**before, **_newest((row for row in rows if row[1] == 1), 1)}


def _latest_wins(before: _Kept, rows: Sequence[tuple[object, ...]]) -> _Kept:
    return _newest([*before.values(), *_newest(rows, 2).values()], 2)


def _target_wins(before: _Kept, rows: Sequence[tuple[object, ...]]) -> _Kept:
    return {**_newest(rows, 2), **before}


def _deleted(before: _Kept, rows: Sequence[tuple[object, ...]]) -> _Kept:
    return {key: row for key, row in _source_wins(before, rows).items() if row[4] != "D"}


def _counted(before: _Kept, rows: Sequence[tuple[object, ...]]) -> _Kept:
    now: _Kept = {}
    for key in {row[:2] for row in rows}:
        ages = [row[2] for row in rows if row[:2] == key]
        now[key] = (*key, len(ages), max((age for age in ages if isinstance(age, dt.datetime)), default=None))
    return {**before, **now}


def _manual(before: _Kept, rows: Sequence[tuple[object, ...]]) -> _Kept:
    return {**before, **{(row[0], row[2]): (row[0], row[2]) for row in rows}}


_MERGES: Mapping[str, Callable[[_Kept, Sequence[tuple[object, ...]]], _Kept]] = {
    "source_wins": _source_wins,
    "single": _single,
    "latest_wins": _latest_wins,
    "target_wins": _target_wins,
    "deleted": _deleted,
    "counted": _counted,
    "manual": _manual,
}

# ---------------------------------------------------------------------- the laws


def _holds(story: Story) -> None:
    with tempfile.TemporaryDirectory(prefix="sqlflow-law-") as folder:
        world = World(Lawful(Path(folder), story.zone), [BY_NAME[name] for name in story.models])
        world.begin(story)
        world.build()
        for happening in story.steps:
            for op in happening:
                world.do(op)
            world.build()
        world.build()


_FAST = settings(
    max_examples=3,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate, Phase.shrink],
    suppress_health_check=list(HealthCheck),
)
_LONG = settings(_FAST, max_examples=at_length(60), derandomize=False)
_SHAPED = [spec.name for spec in ORDER if spec.name.startswith(("inc.", "whole."))]
_KEYED = [spec.name for spec in ORDER if spec.name.startswith("keyed.")]
_time_stories = stories(_SHAPED, _data_ops)
_key_stories = stories(_KEYED, _key_ops, most=6)
_log_stories = stories(["log.lines", "log.seen"], _log_ops)


@_FAST
@given(_time_stories)
def test_incremental_models_and_their_children_equal_their_queries(story: Story) -> None:
    _holds(story)


@settings(_FAST, max_examples=3)
@given(_key_stories)
def test_merged_tables_hold_what_the_mode_promises(story: Story) -> None:
    _holds(story)


@settings(_FAST, max_examples=2)
@given(_log_stories)
def test_appended_tables_hold_every_row_once(story: Story) -> None:
    _holds(story)


@pytest.mark.long
@_LONG
@given(st.one_of(_time_stories, _time_stories, _key_stories, _log_stories))
def test_all_of_it_at_length(story: Story) -> None:
    _holds(story)


def test_a_new_key_that_ties_with_the_watermark_is_merged(tmp_path: Path) -> None:
    project = Lawful(tmp_path)
    project.begin({"models/a/m.sql": "-- @mode: merge\n-- @key: k\n-- @cursor: c\nSELECT k, c FROM raw.events"})
    project.sql(
        "CREATE SCHEMA raw", "CREATE TABLE raw.events (k INT, c INT)", "INSERT INTO raw.events VALUES (1, 5), (2, 6)"
    )
    assert project.build().code == 0
    project.sql("INSERT INTO raw.events VALUES (3, 6), (NULL, 6)")
    assert project.build().code == 0
    assert project.rows("FROM a.m ORDER BY k NULLS LAST") == [(1, 5), (2, 6), (3, 6), (None, 6)]
