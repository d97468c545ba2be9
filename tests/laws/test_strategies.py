"""Law: every strategy of a merge gives the same table, and it is the one that the mode promises.

Random histories of a change stream: events come in order, late, again, in overlapping windows that replace the source, or
leave it, or rows are updated in place. One model per strategy reads the same stream; their tables are compared with each
other, with that of a model that reads all rows each time, and with what plain Python makes of the events. `auto` is pushed to each of its ways by what is remembered of past run times, as slow runs
would push it.
"""

from __future__ import annotations

import datetime as dt
import json
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from every_engine import NewProject, on_every_engine
from hypothesis import HealthCheck, Phase, given, note, settings
from hypothesis import strategies as st
from lawful import Lawful
from length import at_length

_FIRST = dt.datetime(2024, 3, 4)
Event = tuple[int | None, int | None]  # key, hours after _FIRST
Row = tuple[int | None, dt.datetime | None, str, float, str]

_SLOW = 1e9
_PUSHED = {"auto": {}, "auto_changes": {"merge": _SLOW, "swap": _SLOW}, "auto_swap": {"merge": _SLOW, "changes": _SLOW, "cdc": _SLOW}}  # fmt: skip
_EXPLICIT = ("merge", "swap")
_HEADERS: Mapping[str, str] = {
    "latest_wins": "-- @conflict: latest_wins\n-- @deleted: {column: op, values: [D]}\n",
    "source_wins": "-- @deleted: \"op = 'D'\"\n",
    "target_wins": "-- @conflict: target_wins\n-- @deleted: {column: op, values: [D]}\n",
    "plain": "",
    "counted": '-- @deleted: "n = 2"\n',
}
_PROMISES = tuple(_HEADERS)
_CURSOR = "-- @cursor: c\n"
_STREAM = "SELECT k, c, note, n, op FROM raw.events\n"
_COUNTED = "SELECT k, max(c) AS c, 'x' AS note, CAST(count(*) AS DOUBLE) AS n, 'U' AS op FROM raw.events GROUP BY k\n"


def _strategies(promise: str) -> list[str]:
    return [*_PUSHED, *_EXPLICIT, *(("cdc",) if promise == "latest_wins" else ())]


def _models(promises: Sequence[str], lookback: bool) -> dict[str, str]:
    """Promise and strategy -> a model; `counted` has no cursor."""
    found = {}
    for promise in promises:
        lines = f"-- @mode: merge\n-- @key: k\n{_HEADERS[promise]}"
        if promise != "counted":
            lines += _CURSOR + ("-- @lookback: 5 hours\n" if lookback else "")
        query = _COUNTED if promise == "counted" else _STREAM
        for strategy in _strategies(promise):
            chosen = "" if strategy.startswith("auto") else f"-- @strategy: {strategy}\n"
            found[f"models/{promise}/by_{strategy}.sql"] = lines + chosen + query
        found[f"models/{promise}/by_all.sql"] = f"{lines}-- @incremental: off\n{query}"
    return found


def _row(event: Event) -> Row:
    """All of an event follows from its key and cursor: one version of a key is never told in two ways."""
    key, at = event
    code = (key or 0) + 5 * (at or 0)
    moment = None if at is None else _FIRST + dt.timedelta(hours=at)
    number = (-0.0, 0.0, float("nan"), 1.5)[code % 4]
    return key, moment, ("a", "A", "")[code % 3], number, "D" if code % 3 == 0 else "U"


@dataclass(slots=True)
class World:
    project: Lawful
    promises: Sequence[str]
    source: list[Event] = field(default_factory=list)
    seen: list[Event] = field(default_factory=list)
    grew: bool = True  # the source never lost a row
    tables: dict[str, dict[int | None, Row]] = field(default_factory=dict)
    counted: dict[int | None, tuple[object, ...]] = field(default_factory=dict)
    ways: set[str] = field(default_factory=set)

    def deliver(self, how: str, events: Sequence[Event]) -> None:
        if how == "window":  # the source is only what was delivered last
            self.grew = False
            self.source = list(events)
            self.project.sql("DELETE FROM ext.events")
        elif how == "update":  # newer than all that the source has: rows of the key are overwritten
            for key, _ in events:
                kept = [event for event in self.source if event[0] != key]
                newest = max((at for _, at in self.source if at is not None), default=0)
                self.source = [*kept, (key, newest + 1)]
                with self.project.connected() as connection:
                    connection.execute("DELETE FROM ext.events WHERE k IS NOT DISTINCT FROM ?", [key])
                    connection.execute("INSERT INTO ext.events VALUES (?, ?, ?, ?, ?)", _row((key, newest + 1)))
            return
        elif how == "again":
            events = self.seen[: len(events)]
            self.source += events
        elif how == "leave":
            gone = {key for key, _ in events}
            if len(self.source) > len(events):
                self.grew = False
            self.source = [event for event in self.source if event[0] not in gone]
            for key in gone:
                self.project.sql(
                    f"DELETE FROM ext.events WHERE k IS NOT DISTINCT FROM {'NULL' if key is None else key}"
                )
            return
        else:
            self.source += events
        with self.project.connected() as connection:
            for event in events:
                connection.execute("INSERT INTO ext.events VALUES (?, ?, ?, ?, ?)", _row(event))

    def push(self) -> None:
        """What past run times would push `auto` to."""
        with self.project.connected() as connection:
            for name, record in self._records():
                paces = _PUSHED.get(name.rpartition(".by_")[2])
                if paces:
                    pushed = json.dumps({**record, "paces": {**record.get("paces", {}), **paces}})
                    connection.execute("UPDATE _sqlflow.commits SET record = ? WHERE name = ?", [pushed, name])

    def _records(self) -> list[tuple[str, dict[str, Any]]]:
        rows = self.project.rows("SELECT name, record FROM _sqlflow.commits")
        return [(str(name), record if isinstance(record, dict) else json.loads(str(record))) for name, record in rows]

    def build(self) -> None:
        built = self.project.build()
        assert built.code == 0, built.told
        note(built.told)
        self.seen += self.source
        self.ways |= {str(record.get("strategy")) for name, record in self._records() if "by_auto" in name}
        self.promised()
        names = [f"{promise}.by_{s}" for promise in self.promises for s in _strategies(promise)]
        found = dict(zip(names, self.project.rows_of(f"FROM {name}" for name in names), strict=True))
        for promise in self.promises:
            tables = {s: sorted(map(_shown, found[f"{promise}.by_{s}"])) for s in _strategies(promise)}
            first = tables["merge"]
            for strategy, rows in tables.items():
                assert rows == first, f"{promise}: {strategy} differs from merge"
            if self.grew and promise != "counted":
                assert self.rows(f"{promise}.by_all") == first, f"{promise}: reading all rows differs"
            expected = self.expected(promise)
            if expected is not None:
                assert first == sorted(map(_shown, expected)), promise

    def rows(self, table: str) -> list[str]:
        return sorted(_shown(row) for row in self.project.rows(f"FROM {table}"))

    def promised(self) -> None:
        now = _newest(self.source)
        kept = self.tables.setdefault("target_wins", {})
        for key, row in now.items():
            if row[4] == "D":
                kept.pop(key, None)
            else:
                kept.setdefault(key, row)
        counts: dict[int | None, list[Event]] = {}
        for event in self.source:
            counts.setdefault(event[0], []).append(event)
        for key, events in counts.items():
            ages = [_row(event)[1] for event in events]
            newest = max((age for age in ages if age is not None), default=None)
            self.counted[key] = (key, newest, "x", float(len(events)), "U")
            if len(events) == 2:
                del self.counted[key]

    def expected(self, promise: str) -> Iterable[tuple[object, ...]] | None:
        """What the table must hold; None where that depends on what the source has lost since."""
        alive = [row for row in _newest(self.seen).values() if row[4] != "D"]
        match promise:
            case "latest_wins":
                return alive
            case "source_wins" if self.grew:
                return alive
            case "plain" if self.grew:
                return _newest(self.seen).values()
            case "target_wins" if self.grew:
                return self.tables["target_wins"].values()
            case "counted":
                return self.counted.values()
            case _:
                return None


def _newest(events: Iterable[Event]) -> dict[int | None, Row]:
    found: dict[int | None, Row] = {}
    for event in events:
        row = _row(event)
        old = found.get(row[0])
        if old is None or (row[1] is not None and (old[1] is None or row[1] > old[1])):
            found[row[0]] = row
    return found


def _shown(row: Iterable[object]) -> str:
    return repr(tuple(row))


_keys = st.sampled_from([None, 1, 2, 3, 4])
_events = st.lists(
    st.tuples(_keys, st.one_of(st.integers(0, 20), st.integers(0, 20), st.none())), min_size=1, max_size=6
)
_delivery = st.tuples(
    st.sampled_from(["more", "more", "more", "again", "update", "update", "window", "window", "leave"]), _events
)
_histories = st.tuples(
    st.booleans(), _events, st.lists(st.lists(_delivery, min_size=1, max_size=2), min_size=3, max_size=5)
)
_History = tuple[bool, list[Event], list[list[tuple[str, list[Event]]]]]


def _holds(history: _History, ways: set[str], new_project: NewProject, promises: Sequence[str]) -> None:
    lookback, first, steps = history
    collation = "" if new_project.engine == "postgres" else " COLLATE NOCASE"
    with tempfile.TemporaryDirectory(prefix="sqlflow-law-") as folder:
        world = World(new_project(Path(folder)), promises, ways=ways)
        world.project.begin({"sources/raw.yml": "raw.events: {table: ext.events}\n", **_models(promises, lookback)})
        world.project.sql(
            "CREATE SCHEMA ext",
            f"CREATE TABLE ext.events (k INT, c TIMESTAMP, note VARCHAR{collation}, n DOUBLE, op VARCHAR)",
        )
        world.deliver("more", first)
        world.build()
        for step in steps:
            for how, events in step:
                world.deliver(how, events)
            world.push()
            world.build()
        assert world.project.planned() == []
    new_project.drop()


_FAST = settings(
    max_examples=4,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate, Phase.shrink],
    suppress_health_check=list(HealthCheck),
)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    on_every_engine(metafunc)


def _told(most: int, promises: Sequence[str], new_project: NewProject) -> set[str]:
    """The ways that `auto` went in so many histories."""
    ways: set[str] = set()

    @settings(_FAST, max_examples=most)
    @given(_histories)
    def hold(history: _History) -> None:
        _holds(history, ways, new_project, promises)

    hold()
    return ways


def test_all_strategies_of_a_merge_give_the_promised_table(new_project: NewProject) -> None:
    ways = _told(4, _PROMISES, new_project)
    assert {"append", "merge", "changes", "cdc", "swap"} <= ways, ways


@pytest.mark.parametrize("new_project", ["postgres"], indirect=True)
def test_the_strategies_of_one_promise(new_project: NewProject) -> None:
    _told(1, ("latest_wins",), new_project)


@pytest.mark.long
@pytest.mark.parametrize("_batch", range(3))
@settings(_FAST, max_examples=at_length(6), derandomize=False)
@given(_histories)
def test_all_strategies_of_a_merge_at_length(new_project: NewProject, _batch: int, history: _History) -> None:
    _holds(history, set(), new_project, _PROMISES)
