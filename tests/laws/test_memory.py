"""A project that is kept in memory through edits is the project that is read from its files."""

from __future__ import annotations

import tempfile
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st
from length import at_length
from msgspec.structs import replace

from sqlflow.build.examine import Examined
from sqlflow.core.cache import NoCache
from sqlflow.core.diagnostics import Diagnostic
from sqlflow.core.engine import Found
from sqlflow.core.names import TableName
from sqlflow.core.records import Relation
from sqlflow.core.schema import Column, Schema
from sqlflow.core.workshop import Workshop
from sqlflow.engines.duckdb import open_binder
from sqlflow.project.config import read_config
from sqlflow.watch.memory import Known, Surroundings, again, file_reader, whole

CONFIG = """\
name: kept
targets: {dev: {engine: duckdb, path: kept.duckdb}}
variables: {least: 3}
defaults:
  models/d: {key: id}
"""
FILES = {
    "sqlflow.yml": CONFIG,
    "macros/m.sql": "CREATE MACRO twice(x) AS x * 2;\n",
    "seeds/s/codes.csv": "id,v\n1,2\n",
    "sources/raw.yml": "ext.raw: {table: ext.raw}\n",
}
MODELS = tuple(f"models/{folder}/m{n}.sql" for n, folder in enumerate(("a", "a", "b", "b", "c", "c", "d")))
NAMES = tuple(f"{path.split('/')[1]}.{Path(path).stem}" for path in MODELS)
THERE = {
    TableName("ext", "raw"): Found(Relation.TABLE, Schema((Column("id", "INTEGER"), Column("v", "INTEGER")))),
    TableName("ext", "other"): Found(Relation.TABLE, Schema((Column("id", "BIGINT"), Column("v", "DATE")))),
}

headers = st.sampled_from(
    [
        *[""] * 12,
        "-- just words\n",
        *["-- @mode: view\n"] * 3,
        *["-- @mode: inline\n"] * 3,
        "-- @checks: [{not_null: id}]\n",
        "-- @checks: [{references: {column: id, to: a.m0.id}}]\n",
        "-- @checks: [{references: {column: id, to: b.m2.v}}]\n",
        "-- @depends_on: [a.m1]\n",
        "-- @key: nope\n",
        "-- @mode: incremental\n-- @time: v\n",
        "-- @name: renamed\n",
        "-- @enabled: false\n",
        "-- @mdoe: view\n",
    ]
)
columns = st.sampled_from(
    [
        *["id, v"] * 10,
        "v, id",
        "id, v AS w, v",
        "id, id + 1 AS v",
        "*",
        "id, CAST(v AS VARCHAR) AS v",
        "id, twice(id) AS v",
        "id, $least AS v",
        "id, current_date AS v",
        "id",
        "id, nope AS v",
        "id, nofunction(id) AS v",
        "id, twice() AS v",
        "id, $unknown AS v",
        "id, , v",
        "id, 'open AS v",
    ]
)
parents = st.sampled_from(
    [
        *NAMES,
        *NAMES[:3],
        "m0",
        "m4",
        "ext.raw",
        "ext.raw",
        "ext.other",
        "s.codes",
        "codes",
        "nowhere.at_all",
        "a.renamed",
    ]
)
shapes = st.sampled_from(
    [
        *["SELECT {columns} FROM {one}\n"] * 16,
        "SELECT one.id, two.v FROM {one} AS one JOIN {two} AS two USING (id)\n",
        "WITH c AS (SELECT {columns} FROM {one}) SELECT * FROM c WHERE id IN (SELECT id FROM {two})\n",
        "SELECT {columns} FROM {one} -- the end\n",
        "\n\nSELECT {columns} FROM {one};\n",
        "SELECT {columns} FROM {one}; SELECT 1\n",
        "",
    ]
)


@st.composite
def texts(draw: st.DrawFn) -> str:
    query = draw(shapes).format(columns=draw(columns), one=draw(parents), two=draw(parents))
    return draw(headers) + query


edits = st.lists(st.lists(st.tuples(st.sampled_from(MODELS), texts()), min_size=1, max_size=2), min_size=1, max_size=8)
starts = st.fixed_dictionaries({}, optional={path: texts() for path in MODELS[3:]})


def check(start: dict[str, str], steps: list[list[tuple[str, str]]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder).resolve()
        first = dict.fromkeys(MODELS[:2], "SELECT id, v FROM ext.raw\n")
        chain = {path: f"SELECT id, v FROM {NAMES[n]}\n" for n, path in enumerate(MODELS[2:])}
        for path, text in {**FILES, **first, **chain, **start}.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(text)
        config = read_config(root, None, {}, {})
        workshop = Workshop(config, open_binder(config, files=()), NoCache(), "1")
        surroundings = Surroundings(THERE)
        known = whole(workshop, surroundings)
        for step in steps:
            for path, text in step:
                (root / path).write_text(text)
            found = again(known, workshop, file_reader(workshop), [PurePosixPath(path) for path, _ in step])
            fresh = Workshop(config, open_binder(config, files=()), NoCache(), "1")
            expected = whole(fresh, surroundings)
            fresh.binder.close()
            event("everything" if found is None else "in part")
            if found is not None:
                assert_same(found, expected)
            known = found or expected
        workshop.binder.close()


def assert_same(found: Known, expected: Known) -> None:
    left, right = found.examined, expected.examined
    assert _told(left) == _told(right)
    assert left.project == right.project
    assert left.parsed == right.parsed
    assert left.graph == right.graph
    assert left.compiled.order == right.compiled.order
    assert left.compiled.models == right.compiled.models
    assert replace(left.compiled, models={}) == replace(right.compiled, models={})
    assert found.index.positions == expected.index.positions
    assert found.index.models == expected.index.models
    assert found.index.readers == expected.index.readers
    assert found.index.places == expected.index.places
    assert {n: set(c) for n, c in found.index.children.items()} == {
        n: set(c) for n, c in expected.index.children.items()
    }


def _told(examined: Examined) -> list[Diagnostic]:
    return sorted(set(examined.problems), key=repr)


@settings(max_examples=12)
@given(starts, edits)
def test_after_any_edits_memory_is_what_the_files_say(
    start: dict[str, str], steps: list[list[tuple[str, str]]]
) -> None:
    check(start, steps)


@pytest.mark.long
@settings(max_examples=at_length(120))
@given(starts, edits)
def test_after_any_edits_memory_is_what_the_files_say_at_length(
    start: dict[str, str], steps: list[list[tuple[str, str]]]
) -> None:
    check(start, steps)


checked = st.sampled_from(
    [
        "",
        "-- @mode: view\n",
        "-- @mode: inline\n",
        *[f"-- @checks: [{{references: {{column: id, to: {name}.id}}}}]\n" for name in (*NAMES, "s.codes", "ext.raw")],
        "-- @checks: [{references: {column: v, to: b.m2.v}}]\n",
        "-- @checks: [{references: {column: id, to: nowhere.at_all.id}}]\n",
    ]
)


@st.composite
def edits_beside_checks(draw: st.DrawFn) -> tuple[dict[str, str], list[list[tuple[str, str]]]]:
    """A project with checks that read other tables, and edits in which each model keeps its check, and mostly what it reads."""
    models = {path: (draw(checked), draw(st.sampled_from(["ext.raw", *NAMES[:n]]))) for n, path in enumerate(MODELS)}

    def text(path: str) -> str:
        header, parent = models[path]
        parent = draw(st.sampled_from([*[parent] * 3, "ext.raw", *NAMES]))
        return f"{header}SELECT {draw(columns)} FROM {parent}\n"

    start = {path: text(path) for path in MODELS}
    steps = draw(
        st.lists(st.lists(st.sampled_from(MODELS), min_size=1, max_size=2, unique=True), min_size=1, max_size=6)
    )
    return start, [[(path, text(path)) for path in step] for step in steps]


@settings(max_examples=10)
@given(edits_beside_checks())
def test_after_edits_checks_that_read_other_tables_are_what_the_files_say(
    project: tuple[dict[str, str], list[list[tuple[str, str]]]],
) -> None:
    check(*project)


@pytest.mark.long
@settings(max_examples=2000)
@given(edits_beside_checks())
def test_after_edits_checks_that_read_other_tables_are_what_the_files_say_at_length(
    project: tuple[dict[str, str], list[list[tuple[str, str]]]],
) -> None:
    check(*project)


def test_an_edit_of_columns_is_compiled_alone_beside_a_check_that_reads_another_table(tmp_path: Path) -> None:
    root = tmp_path.resolve()
    checked = "-- @checks: [{references: {column: id, to: a.m0.id}}]\nSELECT id, v FROM ext.raw\n"
    models = dict.fromkeys(MODELS, "SELECT id, v FROM ext.raw\n")
    models |= {MODELS[1]: checked, MODELS[2]: "SELECT id FROM a.m1\n"}
    for path, text in {**FILES, **models}.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    config = read_config(root, None, {}, {})
    workshop = Workshop(config, open_binder(config, files=()), NoCache(), "1")
    known = whole(workshop, Surroundings(THERE))
    (root / MODELS[2]).write_text("SELECT id, 1 AS one FROM a.m1\n")
    found = again(known, workshop, file_reader(workshop), [PurePosixPath(MODELS[2])])
    assert found is not None
    assert found.recompiled == frozenset([TableName("b", "m2")])
    (root / MODELS[0]).write_text("SELECT v FROM ext.raw\n")
    lost = again(found, workshop, file_reader(workshop), [PurePosixPath(MODELS[0])])
    assert lost is not None
    assert [problem.message for problem in _told(lost.examined)] == ["there is no column `id` in `a.m0`"]
    workshop.binder.close()


def test_a_model_that_reads_another_table_is_compiled_alone_beside_a_check_that_orders_two_others(
    tmp_path: Path,
) -> None:
    root = tmp_path.resolve()
    checked = "-- @checks: [{references: {column: id, to: c.m5.id}}]\nSELECT id, v FROM ext.raw\n"
    models = {**dict.fromkeys(MODELS, "SELECT id, v FROM ext.raw\n"), MODELS[0]: checked}
    for path, text in {**FILES, **models}.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    config = read_config(root, None, {}, {})
    workshop = Workshop(config, open_binder(config, files=()), NoCache(), "1")
    known = whole(workshop, Surroundings(THERE))
    (root / MODELS[4]).write_text("SELECT id, v FROM a.m0\n")
    found = again(known, workshop, file_reader(workshop), [PurePosixPath(MODELS[4])])
    assert found is not None
    assert found.recompiled == frozenset([TableName("c", "m4")])
    assert [str(name) for name in found.examined.graph.order].index("c.m5") < [
        str(name) for name in found.examined.graph.order
    ].index("a.m0")
    assert_same(found, whole(workshop, Surroundings(THERE)))
    (root / MODELS[5]).write_text("SELECT id, v FROM c.m4\n")
    assert again(found, workshop, file_reader(workshop), [PurePosixPath(MODELS[5])]) is None, "a check in a circle"
    workshop.binder.close()
