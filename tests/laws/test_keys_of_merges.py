"""The key of a merge: its type changes in the source, or one of its columns is the cursor. Rows stay matched by their key, or the
build says why not; `--full-refresh` always works."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest
from every_engine import NewProject, on_every_engine, projects_on
from lawful import Lawful

KEPT = {  # engine -> types before and after, and three keys
    "duckdb": [
        ("INTEGER", "BIGINT", ("1", "2", "3")),
        ("INTEGER", "VARCHAR", ("1", "2", "3")),
        ("VARCHAR", "INTEGER", ("'1'", "'2'", "'3'")),
        ("DATE", "TIMESTAMP", ("'2024-01-01'", "'2024-01-02'", "'2024-01-03'")),
        ("DECIMAL(5,2)", "DOUBLE", ("1.5", "2", "3")),
        ("INTEGER[]", "BIGINT[]", ("[1]", "[2]", "[3]")),
    ],
    "postgres": [
        ("integer", "bigint", ("1", "2", "3")),
        ("varchar(5)", "text", ("'1'", "'2'", "'3'")),
        ("date", "timestamp", ("'2024-01-01'", "'2024-01-02'", "'2024-01-03'")),
        ("integer", "text", ("1", "2", "3")),
        ("text", "integer", ("'1'", "'2'", "'3'")),
        ("integer", "numeric", ("1", "2", "3")),
        ("timestamp", "timestamptz", ("'2024-01-01'", "'2024-01-02'", "'2024-01-03'")),
        ("char(4)", "text", ("'1'", "'2'", "'3'")),
        ("integer[]", "bigint[]", ("'{1}'", "'{2}'", "'{3}'")),
    ],
}
REFUSED = {
    "duckdb": [
        ("VARCHAR", "INTEGER", ("'01'", "'1'", "'3'")),
        ("VARCHAR", "INTEGER", ("'x'", "'1'", "'3'")),
        ("TIMESTAMP", "DATE", ("'2024-01-01 12:00'", "'2024-01-01 13:00'", "'2024-01-03'")),
    ],
    "postgres": [
        ("text", "integer", ("'01'", "'1'", "'3'")),
        ("text", "integer", ("'x'", "'1'", "'3'")),
        ("numeric", "integer", ("1.5", "2", "3")),
        ("text", "varchar(3)", ("'abcd'", "'abce'", "'abc'")),
        ("timestamp", "date", ("'2024-01-01 12:00'", "'2024-01-01 13:00'", "'2024-01-03'")),
    ],
}
_MODELS = {
    "models/a/all.sql": "-- @mode: merge\n-- @key: id\nSELECT id, v FROM ext.t\n",
    "models/a/stream.sql": "-- @mode: merge\n-- @key: id\n-- @cursor: c\n-- @conflict: latest_wins\n-- @deleted: op = 'D'\n"
    "SELECT id, c, v, op FROM ext.t\n",
}


def _cases(of: Mapping[str, Sequence[tuple[str, str, tuple[str, str, str]]]]) -> Iterator[object]:
    for engine, cases in of.items():
        for number, (old, new, keys) in enumerate(cases):
            marks = [] if number == 0 else [pytest.mark.long]
            yield pytest.param(engine, old, new, keys, marks=marks, id=f"{engine}-{old}-{new}-{number}")


def _typed(new_project: NewProject, root: Path, old: str, keys: Sequence[str]) -> Lawful:
    """A source of three keys, of which the third is deleted, merged."""
    project = new_project(root)
    project.begin(_MODELS)
    project.own_sql("CREATE SCHEMA ext", f"CREATE TABLE ext.t (id {old}, c INTEGER, v INTEGER, op VARCHAR(1))")
    for number, key in enumerate(keys, start=1):
        project.own_sql(f"INSERT INTO ext.t VALUES ({key}, {number}, {number}, '{'D' if number == 3 else 'U'}')")
    assert project.build().code == 0
    return project


def _source_of(project: Lawful, new: str, rows: str) -> None:
    project.own_sql("DROP TABLE ext.t", f"CREATE TABLE ext.t (id {new}, c INTEGER, v INTEGER, op VARCHAR(1))")
    project.own_sql(f"INSERT INTO ext.t VALUES {rows}")


@pytest.mark.parametrize(("engine", "old", "new", "keys"), list(_cases(KEPT)))
def test_rows_that_are_kept_stay_matched_when_their_key_has_another_type(
    engine: str, old: str, new: str, keys: Sequence[str], tmp_path: Path
) -> None:
    with projects_on(engine) as new_project:
        project = _typed(new_project, tmp_path, old, keys)
        # The first and the third, which was deleted, are gone from the source; the second is updated.
        quoted = [key if key[0] in "'[" else f"'{key}'" for key in keys]
        _source_of(project, new, f"({quoted[1]}, 4, 20, 'U')")
        built = project.build()
        assert built.code == 0, built.told
        assert project.rows("SELECT v FROM a.all ORDER BY v") == [(1,), (3,), (20,)]
        assert project.rows("SELECT v FROM a.stream ORDER BY v") == [(1,), (20,)]
        assert project.planned() == []
        # The first comes back, and so does the third, older than its deletion.
        project.own_sql(f"INSERT INTO ext.t VALUES ({quoted[0]}, 5, 10, 'U'), ({quoted[2]}, 2, 30, 'U')")
        built = project.build()
        assert built.code == 0, built.told
        assert project.rows("SELECT v FROM a.all ORDER BY v") == [(10,), (20,), (30,)]
        assert project.rows("SELECT v FROM a.stream ORDER BY v") == [(10,), (20,)], "the deletion is remembered"


@pytest.mark.parametrize(("engine", "old", "new", "keys"), list(_cases(REFUSED)))
def test_keys_that_would_be_others_in_their_new_type_stop_the_build_until_a_full_refresh(
    engine: str, old: str, new: str, keys: Sequence[str], tmp_path: Path
) -> None:
    with projects_on(engine) as new_project:
        project = _typed(new_project, tmp_path, old, keys)
        before = project.rows("SELECT v FROM a.all ORDER BY v")
        _source_of(project, new, f"({keys[2]}, 4, 30, 'U')")
        built = project.build()
        assert built.code == 1
        assert "make the table anew with `sqlflow build a.all --full-refresh`" in built.told
        if keys[0] != "'x'":
            assert "error[key-type]: the type of `@key` changed: `id` was " in built.told
        assert project.rows("SELECT v FROM a.all ORDER BY v") == before
        built = project.build(full_refresh=True)
        assert built.code == 0, built.told
        assert project.rows("SELECT v FROM a.all ORDER BY v") == [(30,)]
        assert project.planned() == []


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    on_every_engine(metafunc, short=("test_a_cursor_that_is_one_of_the_keys",))


@pytest.mark.parametrize("engine", ["duckdb", "postgres"])
def test_another_column_whose_kept_values_do_not_fit_its_new_type_is_told_with_what_mends_it(
    engine: str, tmp_path: Path
) -> None:
    with projects_on(engine) as new_project:
        project = new_project(tmp_path)
        project.begin({"models/a/all.sql": "-- @mode: merge\n-- @key: id\nSELECT id, v FROM ext.t\n"})
        project.own_sql("CREATE SCHEMA ext", "CREATE TABLE ext.t (id INTEGER, v VARCHAR(5))")
        project.own_sql("INSERT INTO ext.t VALUES (1, 'x'), (2, '2')")
        assert project.build().code == 0
        project.own_sql("DROP TABLE ext.t", "CREATE TABLE ext.t (id INTEGER, v INTEGER)")
        project.own_sql("INSERT INTO ext.t VALUES (2, 2)")
        built = project.build()
        assert built.code == 1
        assert "make the table anew with `sqlflow build a.all --full-refresh`" in built.told
        assert project.rows("SELECT v FROM a.all ORDER BY id") == [("x",), ("2",)]
        built = project.build(full_refresh=True)
        assert built.code == 0, built.told
        assert project.rows("SELECT id, v FROM a.all") == [(2, 2)]
        assert project.planned() == []


@pytest.mark.parametrize("engine", ["duckdb", "postgres"])
def test_no_array_and_an_empty_one_are_two_keys(engine: str, tmp_path: Path) -> None:
    with projects_on(engine) as new_project:
        project = new_project(tmp_path)
        project.begin(_MODELS)
        nothing, one = ("[]", "[1]") if engine == "duckdb" else ("'{}'", "'{1}'")
        project.own_sql("CREATE SCHEMA ext", "CREATE TABLE ext.t (id INTEGER[], c INTEGER, v INTEGER, op VARCHAR(1))")
        project.own_sql(f"INSERT INTO ext.t VALUES (NULL, 1, 1, 'U'), ({one}, 1, 3, 'U')")
        built = project.build()
        assert built.code == 0, built.told
        project.own_sql("DELETE FROM ext.t", f"INSERT INTO ext.t VALUES ({nothing}, 2, 2, 'U'), ({one}, 2, 4, 'U')")
        built = project.build()
        assert built.code == 0, built.told
        for table in ("a.all", "a.stream"):
            assert project.rows(f"SELECT v FROM {table} ORDER BY v") == [(1,), (2,), (4,)]
        project.own_sql(f"INSERT INTO ext.t VALUES (NULL, 3, 5, 'U'), ({nothing}, 3, 6, 'D')")
        project.own_sql("DELETE FROM ext.t WHERE v = 2")
        built = project.build()
        assert built.code == 0, built.told
        assert project.rows("SELECT v FROM a.stream ORDER BY v") == [(4,), (5,)]
        assert project.rows("SELECT v FROM a.all ORDER BY v") == [(4,), (5,), (6,)]


_DAYS = {
    "models/a/days.sql": "-- @mode: merge\n-- @key: [day, id]\n-- @cursor: day\nSELECT day, id, v FROM ext.t\n",
    "models/a/last.sql": "-- @mode: merge\n-- @key: [id, day]\n-- @cursor: day\n-- @conflict: latest_wins\n"
    "-- @deleted: v < 0\n-- @lookback: 3 days\nSELECT day, id, v FROM ext.t\n",
    "models/a/stream.sql": "-- @mode: merge\n-- @key: [day, id]\n-- @cursor: day\n-- @conflict: latest_wins\n"
    "-- @deleted: v < 0\n-- @strategy: cdc\nSELECT day, id, v FROM ext.t\n",
    "models/a/alone.sql": "-- @mode: merge\n-- @key: day\n-- @cursor: day\nSELECT day, max(v) AS v FROM ext.t GROUP BY day\n",
    "models/a/added.sql": "-- @mode: append\n-- @cursor: day\n-- @key: [day, id]\nSELECT day, id, v FROM ext.t\n",
    "models/a/follows.sql": "-- @strategy: delta\nSELECT id, count(*) AS n, sum(v) AS total FROM a.days GROUP BY id\n",
}


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.long) for seed in range(1, 6))])
def test_a_cursor_that_is_one_of_the_keys(new_project: NewProject, seed: int, tmp_path: Path) -> None:
    """Late rows, ties, rows that move to another day, and rows that go: each key that ever came has its row."""
    dice = random.Random(seed)
    project = new_project(tmp_path)
    project.begin(_DAYS)
    project.sql("CREATE SCHEMA ext", "CREATE TABLE ext.t (day DATE, id INTEGER, v INTEGER)")
    there: dict[tuple[int, int], int] = {}
    kept: dict[tuple[int, int], int] = {}
    for turn in range(5):
        for _ in range(4):
            day, id = dice.choice((turn * 3 + 1, turn * 3 + 2, dice.randint(1, turn * 3 + 2))), dice.randint(0, 4)
            moved = [key for key in there if key[1] == id]
            if moved and dice.random() < 0.4:
                there.pop(dice.choice(moved))
            there.setdefault((day, id), dice.randint(0, 99))
        rows = ", ".join(f"(DATE '2024-01-01' + {day}, {id}, {v})" for (day, id), v in there.items())
        project.sql("DELETE FROM ext.t", f"INSERT INTO ext.t VALUES {rows}")
        kept |= there
        built = project.build()
        assert built.code == 0, built.told
        asked = "SELECT CAST(day - DATE '2024-01-01' AS INTEGER), id, v FROM"
        for table in ("a.days", "a.last", "a.stream"):
            found = {(int(str(day)), id): v for day, id, v in project.rows(f"{asked} {table}")}
            assert found == kept, table
        assert project.rows("SELECT count(*) FROM a.days") == [(len(kept),)]
        alone = {
            int(str(row[0])) for row in project.rows("SELECT CAST(day - DATE '2024-01-01' AS INTEGER) FROM a.alone")
        }
        assert alone == {day for day, _ in kept}
        assert project.planned() == []
    built = project.build(full_refresh=True)
    assert built.code == 0, built.told
    for table in ("a.days", "a.last", "a.stream", "a.added"):
        assert sorted(map(str, project.rows(f"SELECT * FROM {table}"))) == sorted(
            map(str, project.rows("SELECT * FROM ext.t"))
        )
