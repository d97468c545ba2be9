"""A history is what a replay of its source gives: events in any order and in any split into builds give one history, and states
of a source give the history of the builds that saw them. Held against a few lines of Python."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from every_engine import NewProject, on_every_engine
from lawful import Lawful

from sqlflow.cli.verify import verify_tables

Key = int | None
Value = str | None
Time = tuple[int, int]  # (0, an hour of 2024) or (1, the number of a build)
Version = tuple[Key, Value, Time, Time | None, bool, bool]  # key, value, from, to, is current, is a tombstone

FIRST = datetime(2024, 1, 1)
KEYS: tuple[Key, ...] = (1, 2, 3, None)
VALUES: tuple[Value, ...] = ("a", "b", None)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    on_every_engine(
        metafunc, short=("test_a_history_is_what_a_replay_gives", "test_an_edit_opens_versions_for_what_differs")
    )


class Line:
    """The history of keys: at a time a key had a value, or was missing (1) or told to be deleted (2)."""

    def __init__(self, *, stones: bool = False) -> None:
        self.events: dict[Key, dict[Time, tuple[int, Value]]] = defaultdict(dict)
        self.cursors: dict[Key, dict[int, Time]] = defaultdict(dict)
        self.stones = stones

    def has(self, key: Key, at: Time, value: Value, gone: int = 0) -> None:
        if gone or self.events[key].get(at, (0, None))[0] == 0:
            self.events[key][at] = (gone, value)

    def last(self, key: Key) -> tuple[int, Value] | None:
        line = self.events[key]
        return line[max(line)] if line else None

    def ends(self, key: Key, build: int) -> None:
        last = self.last(key)
        if last is not None and last[0] == 0:
            self.has(key, (1, build), last[1], 1)

    def versions(self) -> list[Version]:
        found: list[Version] = []
        for key, line in self.events.items():
            times = sorted(line)
            for at, after in zip(times, [*times[1:], None], strict=True):
                gone, value = line[at]
                if not gone or self.stones:
                    found.append((key, value, at, after, after is None and not gone, gone > 0))
        return sorted(found, key=repr)


def history(project: Lawful, table: str, *, stones: bool = False) -> list[Version]:
    """The table, with the moments of builds by their order."""
    mark = "is_deleted" if stones else "FALSE"
    rows = project.rows(f"SELECT id, v, valid_from, valid_to, is_current, {mark} FROM {table}")
    naive = [[t.replace(tzinfo=None) if isinstance(t, datetime) else t for t in row] for row in rows]
    builds = sorted({t for row in naive for t in row if isinstance(t, datetime) and t.year > 2024})

    def time(at: object) -> Time | None:
        if not isinstance(at, datetime):
            return None
        return (1, builds.index(at)) if at in builds else (0, round((at - FIRST) / timedelta(hours=1)))

    return sorted(((r[0], r[1], time(r[2]), time(r[3]), r[4], r[5]) for r in naive), key=repr)  # type: ignore[misc]


def by_order(versions: Iterable[Version]) -> list[Version]:
    """The versions of a model, with the builds numbered by those that are told of."""
    found = list(versions)
    builds = sorted({t[1] for v in found for t in v[2:4] if t is not None and t[0] == 1})

    def time(at: Time | None) -> Time | None:
        return at if at is None or at[0] == 0 else (1, builds.index(at[1]))

    return sorted(((k, v, time(s), time(e), c, d) for k, v, s, e, c, d in found), key=repr)  # type: ignore[misc]


MODELS = {
    "models/e/closed.sql": "-- @mode: snapshot\n-- @key: id\n-- @cursor: c\n-- @deleted: {column: op, values: [D]}\n"
    "SELECT id, v, op, c FROM ext.events\n",
    "models/e/stones.sql": "-- @mode: snapshot\n-- @key: id\n-- @cursor: c\n-- @deleted: op = 'D'\n-- @deleted_rows: tombstone\n"
    "SELECT id, v, op, c FROM ext.events\n",
    "models/e/fresh.sql": "-- @mode: snapshot\n-- @key: id\n-- @cursor: c\n-- @deleted: op = 'D'\nSELECT id, v, op, c FROM ext.fresh\n",
    "models/r/closed.sql": "-- @mode: snapshot\n-- @key: id\n-- @cursor: c\nSELECT id, v, c FROM ext.states\n",
    "models/r/stones.sql": "-- @mode: snapshot\n-- @key: id\n-- @cursor: c\n-- @deleted_rows: tombstone\nSELECT id, v, c FROM ext.states\n",
    "models/r/ignored.sql": "-- @mode: snapshot\n-- @key: id\n-- @cursor: c\n-- @deleted_rows: ignore\nSELECT id, v, c FROM ext.states\n",
    "models/c/closed.sql": "-- @mode: snapshot\n-- @key: id\nSELECT id, v FROM ext.states\n",
    "models/c/stones.sql": "-- @mode: snapshot\n-- @key: id\n-- @deleted_rows: tombstone\nSELECT id, v FROM ext.states\n",
    "models/c/ignored.sql": "-- @mode: snapshot\n-- @key: id\n-- @deleted_rows: ignore\n-- @compare: v\nSELECT id, v, c FROM ext.states\n",
    "models/read/current.sql": "-- @strategy: delta\nSELECT id, v FROM c.stones WHERE is_current\n",
    "models/read/lengths.sql": "-- @strategy: delta\nSELECT id, count(*) AS n, count(valid_to) AS ended FROM e.closed GROUP BY id\n",
}


def _begun(project: Lawful) -> Lawful:
    project.begin(MODELS)
    columns = "id INTEGER, v VARCHAR, op VARCHAR, c TIMESTAMP"
    project.sql(
        "CREATE SCHEMA ext",
        f"CREATE TABLE ext.events ({columns})",
        f"CREATE TABLE ext.fresh ({columns})",
        "CREATE TABLE ext.states (id INTEGER, v VARCHAR, c TIMESTAMP)",
    )
    return project


def _verified(project: Lawful) -> bool:
    return verify_tables((), (), project.root, None, (), release=False, wait=0, json=False) == 0


def _text(value: object) -> str:
    return "NULL" if value is None else f"'{value}'" if isinstance(value, str) else str(value)


def _hour(at: int) -> str:
    return f"TIMESTAMP '{FIRST + timedelta(hours=at)}'"


@pytest.mark.parametrize("seed", [1, 2, *(pytest.param(seed, marks=pytest.mark.long) for seed in range(3, 12))])
def test_a_history_is_what_a_replay_gives(new_project: NewProject, tmp_path: Path, seed: int) -> None:
    dice = random.Random(seed)
    project = _begun(new_project(tmp_path))
    told = {(dice.choice(KEYS), dice.randrange(30), dice.choice(VALUES), dice.choice("UUUD")) for _ in range(24)}
    events = list(told)
    dice.shuffle(events)
    if dice.random() < 0.5:
        events.sort(key=lambda event: event[1] + dice.randrange(8))
    closed, stones, fresh = Line(), Line(stones=True), Line()
    rows, buried, ignored = Line(), Line(stones=True), Line()
    compared, compared_stones, compared_ignored = Line(), Line(stones=True), Line()
    state: dict[Key, tuple[Value, int]] = {}
    seen: set[tuple[Key, int]] = set()
    builds = 6
    for build in range(builds):
        project.sql("DELETE FROM ext.fresh WHERE TRUE")
        share = [event for n, event in enumerate(events) if n % builds == build]
        for key, at, value, op in share:
            row = f"({_text(key)}, {_text(value)}, '{op}', {_hour(at)})"
            project.sql(f"INSERT INTO ext.events VALUES {row}")
            if (key, at) not in seen:
                project.sql(f"INSERT INTO ext.fresh VALUES {row}")
                fresh.has(key, (0, at), value, 2 if op == "D" else 0)
            seen.add((key, at))
            for line in (closed, stones):
                known = line.events[key].get((0, at))
                new = (2 if op == "D" else 0, value)
                if known is None or (new[0], new[1] is not None, new[1] or "") > (
                    known[0],
                    known[1] is not None,
                    known[1] or "",
                ):
                    line.events[key][0, at] = new
        _change(dice, state, build)
        project.sql("DELETE FROM ext.states WHERE TRUE")
        for key, (value, at) in state.items():
            project.sql(f"INSERT INTO ext.states VALUES ({_text(key)}, {_text(value)}, {_hour(at)})")
        for line in (rows, buried, ignored):
            _by_cursor(line, state, build, vanish=line is not ignored)
        for line in (compared, compared_stones, compared_ignored):
            _by_comparison(line, state, build, vanish=line is not compared_ignored)
        built = project.build()
        assert built.code == 0, built.told
    expected: Mapping[str, Line] = {
        "e.closed": closed, "e.stones": stones, "e.fresh": fresh, "r.closed": rows, "r.stones": buried, "r.ignored": ignored,
        "c.closed": compared, "c.stones": compared_stones, "c.ignored": compared_ignored,
    }  # fmt: skip
    for table, line in expected.items():
        assert history(project, table, stones=line.stones) == by_order(line.versions()), table
    assert _verified(project)
    assert project.planned() == []


def _change(dice: random.Random, state: dict[Key, tuple[Value, int]], build: int) -> None:
    """New, changed, removed and returning keys; those that come may have an old cursor."""
    for key in KEYS:
        match dice.randrange(6):
            case 0 | 1:
                if dice.random() < 0.8:
                    state[key] = (dice.choice(VALUES), build * 5 + dice.randrange(5))
                elif key not in state:
                    state[key] = (dice.choice(VALUES), 0)
            case 2:
                state.pop(key, None)
            case _:
                pass


def _by_cursor(line: Line, state: Mapping[Key, tuple[Value, int]], build: int, *, vanish: bool) -> None:
    for key, (value, at) in state.items():
        place = line.cursors[key].get(at, (0, at))
        line.cursors[key][at] = place
        line.has(key, place, value)
        last = line.last(key)
        if last is not None and last[0] == 1:
            line.has(key, (1, build), value)
            line.cursors[key][at] = (1, build)
    if vanish:
        for key in set(line.events) - set(state):
            line.ends(key, build)


def _by_comparison(line: Line, state: Mapping[Key, tuple[Value, int]], build: int, *, vanish: bool) -> None:
    for key, (value, _) in state.items():
        if line.last(key) != (0, value):
            line.has(key, (1, build), value)
    if vanish:
        for key in set(line.events) - set(state):
            line.ends(key, build)


def test_an_edit_opens_versions_for_what_differs(new_project: NewProject, tmp_path: Path) -> None:
    project = _begun(new_project(tmp_path))
    project.sql(
        "INSERT INTO ext.events VALUES (1, 'a', 'U', TIMESTAMP '2024-01-01'), (1, 'b', 'U', TIMESTAMP '2024-01-02'), "
        "(2, NULL, 'U', TIMESTAMP '2024-01-01')",
        "INSERT INTO ext.states VALUES (1, 'a', TIMESTAMP '2024-01-01'), (2, NULL, TIMESTAMP '2024-01-01')",
    )
    assert project.build().code == 0
    for path in ("models/e/closed.sql", "models/c/closed.sql"):
        project.write({path: MODELS[path].replace("SELECT id, v", "SELECT id, upper(v) AS v")})
    built = project.build()
    assert built.code == 0, built.told
    assert history(project, "e.closed") == [
        (1, "B", (1, 0), None, True, False),
        (1, "a", (0, 0), (0, 24), False, False),
        (1, "b", (0, 24), (1, 0), False, False),
        (2, None, (0, 0), None, True, False),
    ]
    assert history(project, "c.closed") == [
        (1, "A", (1, 1), None, True, False),
        (1, "a", (1, 0), (1, 1), False, False),
        (2, None, (1, 0), None, True, False),
    ]
    # What was edited is not taken for another value of the same cursor when it is read again.
    project.sql("INSERT INTO ext.events VALUES (3, 'c', 'U', TIMESTAMP '2024-01-01')")
    assert project.build().code == 0
    assert (1, "b", (0, 24), (1, 0), False, False) in history(project, "e.closed")
    assert _verified(project)
