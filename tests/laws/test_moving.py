"""Law: what is written while builds run is neither lost nor counted twice.

The plan of a build rests on what was seen when it began. Tasks read what is there when they run. Whatever others do in
between, after the last build in quiet every table is what its query gives, and `verify` says so.
"""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest
from every_engine import NewProject, on_every_engine
from lawful import Lawful
from length import at_length
from moving_engine import moving
from moving_worlds import TABLES, World

from sqlflow.cli.verify import verify_tables


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    on_every_engine(metafunc, short=[n for n in globals() if n.startswith("test_")])


# ---------------------------------------------------------------- one at a time

COUNTED = "-- @strategy: delta\nSELECT k, count(*) AS n, CAST(sum(v) AS BIGINT) AS total FROM raw.ev GROUP BY k\n"
SOURCES = {
    "without a cursor": "raw.ev: {table: ext.ev}\n",
    "with a cursor": "raw.ev: {table: ext.ev, cursor: id}\n",
    "with a cursor and a key": "raw.ev: {table: ext.ev, cursor: id, key: id}\n",
    "append only": "raw.ev: {table: ext.ev, cursor: id, append_only: true}\n",
}
EV = (
    "CREATE SCHEMA ext",
    "CREATE TABLE ext.ev AS SELECT i AS id, i % 3 AS k, i AS v, DATE '2024-01-01' + CAST(i % 5 AS INTEGER) AS day FROM range(50) t(i)",
)
INSERTED = "INSERT INTO ext.ev VALUES ({0}, {0} % 3, 7, DATE '2024-01-02')"


def _equal(made: Lawful, table: str, query: str) -> None:
    there, wanted = made.rows(f"SELECT * FROM {table}"), made.rows(query)
    assert sorted(map(repr, there)) == sorted(map(repr, wanted)), table


def _verified(made: Lawful) -> None:
    assert verify_tables((), (), made.root, None, (), release=False, wait=0, json=False) == 0


def _quiet(made: Lawful) -> None:
    """The last build, and after it there is nothing to do."""
    built = made.build(threads=1)
    assert built.code == 0, built.told
    assert made.planned() == []
    _verified(made)


@pytest.mark.parametrize("source", SOURCES)
def test_rows_that_arrive_while_a_build_runs_are_counted_once(
    new_project: NewProject, tmp_path: Path, source: str
) -> None:
    """A row arrives before every statement, and before some of them only."""
    made = new_project(tmp_path)
    made.begin({"sources/raw.yml": SOURCES[source], "models/m/n.sql": COUNTED})
    made.sql(*EV)
    number = iter(range(50, 100_000))
    for points in (range(1, 200), range(1, 200), range(30, 40), range(40, 200)):
        made.sql(INSERTED.format(next(number)))
        with moving(made, {at: [INSERTED.format(next(number))] for at in points}) as writer:
            built = made.build(threads=1)
        assert built.code == 0, built.told
        assert writer.acted
        if points[0] == 1:
            told = "`raw.ev` (`ext.ev`) changed while the build ran; what came later is for the next build"
            assert built.told.count(told) == 1
    _quiet(made)
    _equal(made, "m.n", COUNTED.partition("\n")[2])


@pytest.mark.parametrize("source", ["with a cursor", "append only"])
def test_a_table_that_others_always_write_to_is_followed(new_project: NewProject, tmp_path: Path, source: str) -> None:
    """Also after a first build that has read more than was there when it began."""
    made = new_project(tmp_path)
    made.begin({"sources/raw.yml": SOURCES[source], "models/m/n.sql": COUNTED})
    made.sql(*EV)
    number = iter(range(50, 100_000))
    for done in ("create table", "apply changes", "apply changes"):
        with moving(made, {at: [INSERTED.format(next(number))] for at in range(1, 200)}):
            built = made.build(threads=1)
        assert f"m.n     {done}" in built.told
    _quiet(made)
    _equal(made, "m.n", COUNTED.partition("\n")[2])


@pytest.mark.parametrize("source", ["without a cursor", "append only"])
@pytest.mark.parametrize(
    "mode", ["-- @mode: replace\n", "-- @mode: incremental\n-- @time: day\n"], ids=["replace", "incremental"]
)
def test_a_source_that_is_empty_for_a_moment_leaves_no_empty_table(
    new_project: NewProject, tmp_path: Path, source: str, mode: str
) -> None:
    """It is truncated behind the look, and loaded again with the same rows behind the build."""
    made = new_project(tmp_path)
    query = "SELECT id, v, day FROM raw.ev"
    made.begin({"sources/raw.yml": SOURCES[source], "models/m/n.sql": f"{mode}{query}\n"})
    made.sql(*EV, "CREATE TABLE ext.kept AS SELECT * FROM ext.ev")
    with moving(made) as writer:
        assert made.build(threads=1).code == 0
    length = writer.number
    for at in range(3, length, 15):
        made.sql("DELETE FROM _sqlflow.commits WHERE name = 'm.n'", "DROP TABLE m.n")  # so that it is made again
        with moving(made, {at: ["TRUNCATE ext.ev"], 1000: ["INSERT INTO ext.ev SELECT * FROM ext.kept"]}) as writer:
            assert made.build(threads=1).code == 0
            writer.finish()
        built = made.build(threads=1)
        assert built.code == 0, built.told
        _equal(made, "m.n", query)
    _quiet(made)


def test_a_file_that_is_written_anew_while_it_is_read(new_project: NewProject, tmp_path: Path) -> None:
    """And is what it was when the build has ended; so is a seed."""
    made = new_project(tmp_path)
    made.begin(
        {
            "sources/raw.yml": "raw.lines: {path: lines.csv, columns: {id: BIGINT, day: DATE}}\n",
            "lines.csv": LINES,
            "seeds/dims.csv": "k,name\n1,one\n2,two\n",
            "models/m/n.sql": "SELECT id FROM raw.lines\n",
            "models/m/days.sql": "-- @mode: incremental\n-- @time: day\nSELECT day, count(*) AS n FROM raw.lines GROUP BY day\n",
            "models/m/named.sql": "SELECT name FROM seeds.dims\n",
        }
    )

    def short() -> None:
        made.write({"lines.csv": LINES[:22], "seeds/dims.csv": "k,name\n1,one\n"})

    def whole() -> None:
        made.write({"lines.csv": LINES, "seeds/dims.csv": "k,name\n1,one\n2,two\n"})

    with moving(made) as writer:
        assert made.build(threads=1).code == 0
    length = writer.number
    for at in range(1, length, 20):
        made.write({"lines.csv": LINES + f"{at + 10},2024-01-05\n"})
        assert made.build(threads=1).code == 0
        whole()
        made.write({"seeds/dims.csv": "k,name\n1,eins\n"})
        with moving(made, {at: [short], at + 25: [whole], 1000: [whole]}) as writer:
            made.build(threads=1)
            writer.finish()
        built = made.build(threads=1)
        assert built.code == 0, built.told
        _equal(made, "m.n", "SELECT * FROM (VALUES (1), (2), (3)) AS t(id)")
        _equal(made, "m.named", "SELECT * FROM (VALUES ('one'), ('two')) AS t(name)")
        _equal(made, "m.days", "SELECT day, count(*) AS n FROM raw.lines GROUP BY day")
    _quiet(made)


LINES = "id,day\n1,2024-01-01\n2,2024-01-02\n3,2024-01-02\n"


def test_an_author_s_own_statement_that_writes_to_a_source(new_project: NewProject, tmp_path: Path) -> None:
    made = new_project(tmp_path)
    hooked = "-- @after: INSERT INTO ext.ev SELECT max(id) + 1, 1, 1, DATE '2024-01-03' FROM ext.ev\n"
    made.begin(
        {
            "sources/raw.yml": SOURCES["append only"],
            "models/m/a.sql": f"{hooked}SELECT max(id) AS newest FROM raw.ev\n",
            "models/m/n.sql": f"-- @depends_on: m.a\n{COUNTED}",
            "models/m/before.sql": COUNTED,
        }
    )
    made.sql(*EV)
    for _ in range(3):
        assert made.build(threads=1).code == 0
        made.sql("INSERT INTO ext.ev SELECT max(id) + 1, 1, 1, DATE '2024-01-03' FROM ext.ev")
    made.write({"models/m/a.sql": "SELECT max(id) AS newest FROM raw.ev\n"})
    _quiet(made)
    for table in ("m.n", "m.before"):
        _equal(made, table, COUNTED.partition("\n")[2])


def test_a_join_of_an_input_that_changed_with_one_that_changes_meanwhile(
    new_project: NewProject, tmp_path: Path
) -> None:
    made = new_project(tmp_path)
    query = "SELECT e.id, d.name FROM raw.ev AS e JOIN ext.dim AS d ON d.k = e.k"
    made.begin({"sources/raw.yml": SOURCES["append only"], "models/m/n.sql": f"-- @strategy: delta\n{query}\n"})
    made.sql(*EV, "CREATE TABLE ext.dim AS SELECT i AS k, 'd' AS name FROM range(3) t(i)")
    assert made.build(threads=1).code == 0
    made.sql(INSERTED.format(50))
    assert made.build(threads=1).code == 0
    for number in range(3):
        made.sql(INSERTED.format(51 + number))
        told = {at: [f"INSERT INTO ext.dim VALUES (1, 'd{at}')"] for at in range(20 + number, 200, 9)}
        with moving(made, told):
            assert made.build(threads=1).code == 0
    _quiet(made)
    _equal(made, "m.n", query)


# ---------------------------------------------------------------- all at once

SHORT = 2
LONG = at_length(4)


def _holds(make: NewProject, root: Path, seed: int) -> None:
    world = World(make(root), seed, alone=bool(seed % 2))
    wrong = world.run()
    assert not wrong, "\n".join([*wrong, f"seed {seed}: {', '.join(world.only)}", *world.story])
    _verified(world.made)


def test_whatever_others_write_while_builds_run(new_project: NewProject, tmp_path: Path) -> None:
    for seed in range(SHORT if new_project.engine == "duckdb" else 1):
        _holds(new_project, tmp_path / str(seed), seed)


@pytest.mark.long
@pytest.mark.parametrize("batch", range(3))
def test_whatever_others_write_while_builds_run_at_length(new_project: NewProject, tmp_path: Path, batch: int) -> None:
    first = int(os.environ.get("MOVING_FROM", "1000")) + batch * LONG
    for seed in range(first, first + LONG):
        _holds(new_project, tmp_path / str(seed), seed)
        new_project.drop()


@pytest.mark.parametrize("new_project", ["postgres"], indirect=True)
def test_another_connection_that_never_rests(new_project: NewProject, tmp_path: Path) -> None:
    """Builds on two threads, and a third one that writes to the sources all the time."""
    world = World(new_project(tmp_path), 5, only=BUSY, threads=2)
    made = world.made
    world.begin()
    ended = threading.Event()

    def write() -> None:
        while not ended.is_set():
            for step in world.to_table(world.random.choice(TABLES)):
                for sql in step:
                    made.sql(str(sql).replace("TRUNCATE", "DELETE FROM"))
                time.sleep(world.random.random() / 50)
            world.blinking.clear()

    writing = threading.Thread(target=write)
    writing.start()
    try:
        for _ in range(4):
            built = made.build()
            assert built.code == 0, built.told
    finally:
        ended.set()
        writing.join()
    _quiet(made)
    assert not world.wrong()


BUSY = ("a.of_app", "a.of_cur", "a.of_ev", "a.joined", "i.days", "i.grown", "k.newest", "t.both", "t.one", "t.two")
