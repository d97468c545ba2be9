"""`append` and `merge` over columns of every odd type: values that compare as equal and are spelled otherwise, and types that
know no equality. The source changes at random between builds; the tables are held against what docs/modes.md says."""

from __future__ import annotations

import contextlib
import io
import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import psycopg
import pytest
from every_engine import projects_on
from lawful import Lawful

from sqlflow.cli.verify import verify_tables
from sqlflow.core.diagnostics import ProjectError


class Odd(NamedTuple):
    """A type, and groups of literals: those of one group are equal. `keyed`: it may be the type of a key. `needs`: what must
    be there first, which some servers do not have."""

    type: str
    groups: Sequence[Sequence[str]]
    keyed: bool = True
    needs: str = ""


_MONTHS = (("'1 month'", "'30 days'"), ("'1 day'", "'24 hours'"), ("'1 year'",), ("NULL",))

DUCKDB: Mapping[str, Odd] = {
    "interval": Odd("INTERVAL", _MONTHS),
    "double": Odd("DOUBLE", (("'0.0'", "'-0.0'"), ("'nan'", "'-nan'"), ("'1.5'",), ("NULL",))),
    "float": Odd("FLOAT", (("'0.0'", "'-0.0'"), ("'inf'",), ("NULL",))),
    "collation": Odd("VARCHAR COLLATE NOCASE", (("'anna'", "'Anna'", "'ANNA'"), ("'bob'", "'BOB'"), ("''",), ("NULL",))),
    "list of intervals": Odd("INTERVAL[]", (("['1 month']", "['30 days']"), ("[NULL]",), ("[]",), ("NULL",))),
    "list of numbers": Odd("INTEGER[][]", (("[[1], [2]]",), ("[[1, 2]]",), ("[]",), ("[NULL]",), ("NULL",))),
    "struct": Odd(
        "STRUCT(a INTERVAL, b DOUBLE)",
        (("{'a': '1 month', 'b': '0.0'}", "{'a': '30 days', 'b': '-0.0'}"), ("{'a': NULL, 'b': NULL}",), ("NULL",)),
    ),
    "map": Odd("MAP(INTEGER, INTEGER)", (("MAP {1: 1, 2: 2}",), ("MAP {2: 2, 1: 1}",), ("MAP {}",), ("NULL",))),
    "union": Odd("UNION(a INTEGER, b INTEGER)", (("union_value(a := 1)",), ("union_value(b := 1)",), ("NULL",))),
    "json": Odd("JSON", (("'{\"a\":1}'",), ("'{\"a\": 1}'",), ("'null'",), ("NULL",))),
    "variant": Odd("VARIANT", (("1::INTEGER", "1::BIGINT"), ("'x'",), ("NULL",))),
    "time with zone": Odd("TIMETZ", (("'12:00:00+00'",), ("'13:00:00+01'",), ("NULL",))),
    "wide number": Odd("HUGEINT", (("0",), ("-1",), ("NULL",))),
    "bits": Odd("BIT", (("'01'",), ("'1'",), ("NULL",))),
    "bytes": Odd("BLOB", (("'a'",), ("'A'",), ("''",), ("NULL",))),
}  # fmt: skip

_ANY_CASE = "CREATE COLLATION ext.any_case (provider = icu, locale = 'und-u-ks-level2', deterministic = false)"
POSTGRES: Mapping[str, Odd] = {
    "interval": Odd("interval", _MONTHS),
    "numeric": Odd("numeric", (("1.0", "1.00", "1"), ("'NaN'",), ("0", "0.000"), ("NULL",))),
    "double": Odd("double precision", (("'0.0'", "'-0.0'"), ("'NaN'",), ("'1.5'",), ("NULL",))),
    "padded": Odd("char(4)", (("'a'", "'a '"), ("'A'",), ("''",), ("NULL",))),
    "collation": Odd("text COLLATE ext.any_case", (("'anna'", "'Anna'", "'ANNA'"), ("'bob'", "'BOB'"), ("''",), ("NULL",)), needs=_ANY_CASE),
    "any case": Odd("public.citext", (("'anna'", "'Anna'"), ("'bob'", "'BOB'"), ("NULL",)), needs="CREATE EXTENSION citext"),
    "jsonb": Odd("jsonb", (("'1.0'", "'1.00'"), ('\'{"a": 1.0}\'', '\'{"a": 1.00}\''), ("'null'",), ("NULL",))),
    "json": Odd("json", (("'1'",), ("'1 '",), ('\'{"a":1}\'',), ('\'{"a": 1}\'',), ("NULL",)), keyed=False),
    "json of a domain": Odd("ext.document", (("'1'",), ("'1 '",), ("NULL",)), keyed=False),
    "point": Odd("point", (("'(1,2)'",), ("'(2,1)'",), ("'(-0,0)'",), ("'(0,0)'",), ("NULL",)), keyed=False),
    "box": Odd("box", (("'(1,1),(0,0)'",), ("'(2,2),(1,1)'",), ("NULL",)), keyed=False),  # of one area
    "path": Odd("path", (("'((0,0),(1,1))'",), ("'((0,0),(2,2))'",), ("NULL",)), keyed=False),  # of one length
    "polygon": Odd("polygon", (("'((0,0),(1,1))'",), ("'((0,0),(2,2))'",), ("NULL",)), keyed=False),
    "circle": Odd("circle", (("'<(0,0),1>'",), ("'<(1,1),1>'",), ("NULL",)), keyed=False),
    "json path": Odd("jsonpath", (("'$.a'",), ("'$.b'",), ("NULL",)), keyed=False),
    "transaction": Odd("xid", (("'1'",), ("'2'",), ("NULL",)), keyed=False),
    "array of json": Odd("json[]", (("'{1,2}'",), ("'{1,\"2 \"}'",), ("'{}'",), ("NULL",)), keyed=False),
    "array of numbers": Odd("numeric[]", (("'{1.0}'", "'{1.00}'"), ("'{NULL}'",), ("'{}'",), ("NULL",))),
    "array of arrays": Odd("int[]", (("'{{1},{2}}'",), ("'{{1,2}}'",), ("'{1,2}'",), ("'{}'",), ("NULL",))),
    "record": Odd("ext.pair", (("ROW('1 month', 1.0)", "ROW('30 days', 1.00)"), ("ROW(NULL, NULL)",), ("NULL",))),
    "record of json": Odd("ext.note", (("ROW(1, '1')",), ("ROW(1, '1 ')",), ("ROW(NULL, NULL)",), ("NULL",)), keyed=False),
    "range": Odd("numrange", (("'[1.0,2.0)'", "'[1.00,2.0)'"), ("'empty'",), ("NULL",))),
    "time with zone": Odd("timetz", (("'12:00:00+00'",), ("'13:00:00+01'",), ("NULL",))),
    "word": Odd("ext.mood", (("'glad'",), ("'sad'",), ("NULL",))),
    "text": Odd("text", (("'a'",), ("'a '",), ("'A'",), ("''",), ("NULL",))),
}  # fmt: skip

_TYPES = (
    "CREATE SCHEMA ext",
    "CREATE DOMAIN ext.document AS json",
    "CREATE TYPE ext.pair AS (a interval, b numeric)",
    "CREATE TYPE ext.note AS (n int, d json)",
    "CREATE TYPE ext.mood AS ENUM ('sad', 'glad')",
)

_FILES = {
    "models/a/added.sql": "-- @mode: append\n-- @cursor: c\nSELECT id, c, v FROM ext.t\n",
    "models/a/looking_back.sql": "-- @mode: append\n-- @cursor: at\n-- @lookback: 2 days\n"
    "SELECT id, c, v, DATE '2024-01-01' + c AS at FROM ext.t\n",
    "models/a/off.sql": "-- @mode: append\n-- @cursor: c\n-- @incremental: off\nSELECT id, c, v FROM ext.t\n",
    "models/a/stamped.sql": "-- @mode: append\n-- @cursor: c\nSELECT id, c, v, now() AS loaded_at FROM ext.t\n",
    "models/a/merged.sql": "-- @mode: merge\n-- @key: id\n-- @cursor: c\nSELECT id, c, v FROM ext.t\n",
    "models/a/streamed.sql": "-- @mode: merge\n-- @key: id\n-- @cursor: c\n-- @conflict: latest_wins\n"
    "-- @deleted: id = -1\n-- @strategy: cdc\nSELECT id, c, v FROM ext.t\n",
    "models/a/agreed.sql": "-- @mode: merge\n-- @key: id\n-- @conflict: manual\nSELECT id, c, v FROM ext.t WHERE id = 0\n",
}
_KEYED = {"models/a/keyed.sql": "-- @mode: merge\n-- @key: v\n-- @cursor: c\nSELECT id, c, v FROM ext.t\n"}
_APPENDED = ("a.added", "a.looking_back", "a.off", "a.stamped")
_MERGED = ("a.merged", "a.streamed", "a.agreed")


class World:
    """A source of rows of an odd type, and the tables that keep them."""

    def __init__(self, project: Lawful, engine: str, odd: Odd, seed: int, files: Mapping[str, str]) -> None:
        self.project, self.odd, self.dice = project, odd, random.Random(seed)
        self.latest = self.last = 1
        project.begin(files)
        settings = (project.root / "sqlflow.yml").read_text()
        project.write({"sqlflow.yml": settings.replace("dialect: duckdb\n", "dialect: postgres\n")})
        project.own_sql(*(_TYPES if engine == "postgres" else _TYPES[:1]))
        try:
            project.own_sql(*filter(None, [odd.needs]))
        except psycopg.errors.FeatureNotSupported as error:
            pytest.skip(str(error))
        project.own_sql(f"CREATE TABLE ext.t (id INTEGER, c INTEGER, v {odd.type})")
        self.insert(0, 1, odd.groups[0][0])

    def insert(self, id: int, c: int, literal: str) -> None:
        self.project.own_sql(f"INSERT INTO ext.t VALUES ({id}, {c}, {literal})")

    def gain(self) -> None:
        """A row that is newer, ties with the newest, or came late; sometimes the same row comes more than once."""
        if self.dice.random() < 0.5:
            self.latest += 1
        c = self.latest if self.dice.random() < 0.8 else self.dice.randint(1, self.latest)
        self.last += 1
        group = self.dice.choice(self.odd.groups)
        for _ in range(self.dice.choice((1, 1, 2, 3))):
            self.insert(self.last, c, self.dice.choice(group))
        if self.dice.random() < 0.5:  # another version of a key, newer than all it has
            self.latest += 1
            self.insert(
                self.dice.randint(1, self.last), self.latest, self.dice.choice(self.dice.choice(self.odd.groups))
            )

    def build(self, *, full_refresh: bool = False) -> None:
        built = self.project.build(full_refresh=full_refresh)
        assert built.code == 0, built.told

    def verify(self, *tables: str) -> None:
        told = io.StringIO()
        with contextlib.redirect_stdout(told), contextlib.redirect_stderr(told):
            code = verify_tables(tables, (), self.project.root, None, (), release=False, wait=0, json=False)
        assert code == 0, told.getvalue()

    def texts(self, table: str) -> Counter[tuple[object, ...]]:
        return Counter(self.project.rows(f"SELECT id, c, CAST(v AS VARCHAR) FROM {table}"))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Each type of each engine; some always, the others in the long form."""
    types = [("duckdb", name) for name in DUCKDB] + [("postgres", name) for name in POSTGRES]
    fits = _FITS.get(metafunc.function.__name__)
    chosen = [(engine, name) for engine, name in types if fits is None or fits(_ODD[engine][name])]
    always = _ALWAYS[::2] if metafunc.function.__name__ in _LONGER else _ALWAYS
    marked = [
        pytest.param(*case, marks=[] if case in always else pytest.mark.long, id="-".join(case)) for case in chosen
    ]
    metafunc.parametrize(("engine", "kind"), marked)


_ODD = {"duckdb": DUCKDB, "postgres": POSTGRES}
_ALWAYS = (("duckdb", "interval"), ("duckdb", "collation"), ("postgres", "numeric"), ("postgres", "json"))
_LONGER = (  # of one type of each engine every day
    "test_tables_that_keep_rows_are_their_query_while_the_source_only_gains",
    "test_a_merge_whose_key_is_odd_has_the_newest_row_of_each_value",
)
_FITS: dict[str, Callable[[Odd], bool]] = {
    "test_a_row_that_is_spelled_otherwise_is_no_new_row": lambda odd: any(len(group) > 1 for group in odd.groups),
    "test_a_merge_whose_key_is_odd_has_the_newest_row_of_each_value": lambda odd: odd.keyed,
    "test_a_key_without_equality_is_refused_by_its_name_and_type": lambda odd: not odd.keyed,
}


def test_tables_that_keep_rows_are_their_query_while_the_source_only_gains(
    engine: str, kind: str, tmp_path: Path
) -> None:
    for seed in range(_seeds(engine, kind)):
        with projects_on(engine) as new_project:
            world = World(new_project(tmp_path / str(seed)), engine, _ODD[engine][kind], seed, _FILES)
            for _ in range(3):
                for _ in range(world.dice.randint(1, 3)):
                    world.gain()
                world.build()
                for table in _APPENDED:
                    assert world.texts(table) == world.texts("ext.t"), table
            world.verify()
            kept = {table: world.texts(table) for table in _MERGED}
            world.build(full_refresh=True)
            assert {table: world.texts(table) for table in _MERGED} == kept
            assert all(world.texts(table) == world.texts("ext.t") for table in _APPENDED)


def _seeds(engine: str, kind: str) -> int:
    return 1 if (engine, kind) in _ALWAYS else 3


def test_a_row_that_is_spelled_otherwise_is_no_new_row(engine: str, kind: str, tmp_path: Path) -> None:
    with projects_on(engine) as new_project:
        odd = _ODD[engine][kind]
        world = World(new_project(tmp_path), engine, odd, 1, _FILES)
        one, other = next(group for group in odd.groups if len(group) > 1)[:2]
        world.insert(1, 1, one)
        world.insert(2, 2, one)
        world.insert(2, 2, other)
        world.build()
        before = {table: world.texts(table) for table in _APPENDED}
        world.project.own_sql("DELETE FROM ext.t")  # DuckDB leaves a value that is updated to an equal one
        for id, c, literal in ((0, 1, odd.groups[0][-1]), (1, 1, other), (2, 2, other), (2, 2, other)):
            world.insert(id, c, literal)
        world.build()
        assert {table: world.texts(table) for table in _APPENDED} == before
        world.verify(*_APPENDED)
        world.insert(2, 2, one)  # one more than there were
        world.insert(3, 1, other)  # late
        world.build()
        for table in _APPENDED:
            added = world.texts(table) - before[table]
            assert sorted(row[:2] for row in added.elements()) == [(2, 2), (3, 1)], table
            assert sum(world.texts(table).values()) == sum(before[table].values()) + 2, table
        world.verify(*_APPENDED)


def test_a_merge_whose_key_is_odd_has_the_newest_row_of_each_value(engine: str, kind: str, tmp_path: Path) -> None:
    for seed in range(_seeds(engine, kind)):
        with projects_on(engine) as new_project:
            odd = _ODD[engine][kind]
            world = World(new_project(tmp_path / str(seed)), engine, odd, seed, _KEYED)
            newest: dict[int, int] = {0: 0}
            kept: Counter[tuple[object, ...]] = Counter()
            cursors = world.dice.sample(range(2, 40), 20)
            for at in range(0, 20, 5):
                for c in cursors[at : at + 5]:
                    group = world.dice.randrange(len(odd.groups))
                    world.insert(c, c, world.dice.choice(odd.groups[group]))
                    newest[group] = max(newest.get(group, 0), c)
                world.build()
                kept = world.texts("a.keyed")
                assert Counter(row[0] for row in kept.elements()) == Counter(newest.values())
                assert not kept - world.texts("ext.t"), "as they are spelled in the source"
            world.verify()
            world.build(full_refresh=True)
            assert world.texts("a.keyed") == kept


def test_a_key_without_equality_is_refused_by_its_name_and_type(engine: str, kind: str, tmp_path: Path) -> None:
    with projects_on(engine) as new_project:
        project = World(new_project(tmp_path), engine, _ODD[engine][kind], 1, _KEYED).project
        with pytest.raises(ProjectError) as found:
            project.build()
        (problem,) = found.value.diagnostics
        assert problem.code == "key-type"
        assert problem.message.startswith("`@key` names `v`, which is ")
        assert problem.span is not None
        assert (str(problem.span.path), problem.span.line) == ("models/a/keyed.sql", 2)
