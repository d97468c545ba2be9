"""What an edit reaches, column by column."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from watching import write

from sqlflow.build.examine import examine
from sqlflow.core.cache import NoCache
from sqlflow.core.compiled import Compiled
from sqlflow.core.engine import Found
from sqlflow.core.names import TableName
from sqlflow.core.records import Relation
from sqlflow.core.schema import Column, Schema
from sqlflow.core.workshop import Workshop
from sqlflow.engines.duckdb import open_binder
from sqlflow.project.config import read_config
from sqlflow.watch.events import ModelEdit
from sqlflow.watch.impact import Before, edited, impact

CONFIG = "name: tiny\ntargets: {dev: {engine: duckdb, path: tiny.duckdb}}\n"
SRC = {TableName("main", "src"): Found(Relation.TABLE, Schema(tuple(Column(n, "INTEGER") for n in ("a", "b", "k"))))}
FILES = {
    "sqlflow.yml": CONFIG,
    "models/s/base.sql": "SELECT a, b, k FROM src\n",
    "models/s/seen.sql": "-- @mode: view\nSELECT a + 1 AS a1, b AS b1, k FROM s.base\n",
    "models/s/sums.sql": "SELECT k, sum(a1) AS total FROM s.seen GROUP BY k\n",
    "models/s/some.sql": "SELECT a1 FROM s.seen WHERE b1 > 3\n",
    "models/s/far.sql": "SELECT total * 2 AS double_total, k FROM s.sums\n",
}


def compiled(root: Path, files: Mapping[str, str]) -> Compiled:
    write(root, files)
    config = read_config(root, None, {}, {})
    found = examine(Workshop(config, open_binder(config, files=()), NoCache(), "1"), SRC, {}, {})
    assert found.problems == ()
    return found.compiled


def edit(root: Path, path: str, text: str) -> list[ModelEdit]:
    before = {n: Before(m.fingerprint, m.schema) for n, m in compiled(root, FILES).models.items()}
    now = compiled(root, {path: text})
    return list(impact(now, before, edited(now, before, ())))


def reached(found: ModelEdit) -> dict[str | None, list[str]]:
    """column -> `model(columns)`, with `*` for rows."""
    return {
        column.column: [
            f"{r.model.name}({', '.join((*r.columns, *(['*'] if r.rows else [])))})" for r in column.reached
        ]
        for column in found.columns
    }


def test_a_column_is_followed_through_views_and_aggregates(tmp_path: Path) -> None:
    (found,) = edit(tmp_path, "models/s/base.sql", "SELECT a * 2 AS a, b, k FROM src\n")
    assert reached(found) == {"a": ["seen(a1)", "some(a1)", "sums(total)", "far(double_total)"]}
    assert found.spared == ()


def test_a_column_in_a_filter_decides_rows(tmp_path: Path) -> None:
    (found,) = edit(tmp_path, "models/s/base.sql", "SELECT a, b + 1 AS b, k FROM src\n")
    assert reached(found) == {"b": ["seen(b1)", "some(*)"]}
    assert [name.name for name in found.spared] == ["sums", "far"]


def test_a_key_of_groups_decides_rows_and_is_a_column(tmp_path: Path) -> None:
    (found,) = edit(tmp_path, "models/s/base.sql", "SELECT a, b, k % 2 AS k FROM src\n")
    assert reached(found) == {"k": ["seen(k)", "sums(k, *)", "far(k, *)"]}
    assert [name.name for name in found.spared] == ["some"]


def test_rows_reach_everything(tmp_path: Path) -> None:
    (found,) = edit(tmp_path, "models/s/base.sql", "SELECT a, b, k FROM src WHERE a > 0\n")
    assert reached(found) == {None: ["seen(*)", "some(*)", "sums(*)", "far(*)"]}


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("SELECT a, b, k, a AS extra FROM src\n", {"extra": "added"}),
        ("SELECT a::BIGINT AS a, b, k FROM src\n", {"a": "type"}),
        ("-- words\nSELECT a,  b, k FROM src\n", None),
        ("SELECT a, b, k FROM src AS s\n", {}),
    ],
)
def test_kinds_of_changes(tmp_path: Path, text: str, kinds: dict[str, str] | None) -> None:
    found = edit(tmp_path, "models/s/base.sql", text)
    if kinds is None:
        assert found == []
    else:
        assert {c.column: c.kind for c in found[0].columns} == kinds
        assert found[0].kind == ("changed" if kinds else "written differently")


def test_an_inline_model_is_told_by_its_readers(tmp_path: Path) -> None:
    files = {
        "models/s/inner.sql": "-- @mode: inline\nSELECT a, k FROM s.base\n",
        "models/s/outer.sql": "SELECT a FROM s.inner\n",
    }
    before = {n: Before(m.fingerprint, m.schema) for n, m in compiled(tmp_path, {**FILES, **files}).models.items()}
    now = compiled(tmp_path, {"models/s/inner.sql": "-- @mode: inline\nSELECT a + 1 AS a, k FROM s.base\n"})
    found = impact(now, before, edited(now, before, ()))
    (outer,) = found
    assert outer.model.name == "outer"
    assert "a" in [column.column for column in outer.columns]


def test_a_new_and_a_removed_model(tmp_path: Path) -> None:
    before = {n: Before(m.fingerprint, m.schema) for n, m in compiled(tmp_path, FILES).models.items()}
    (tmp_path / "models/s/far.sql").unlink()
    now = compiled(tmp_path, {"models/s/fresh.sql": "SELECT k FROM s.base\n"})
    kinds = {
        e.model.name: (e.kind, [c.column for c in e.columns]) for e in impact(now, before, edited(now, before, ()))
    }
    assert kinds == {"fresh": ("new", [None, "k"]), "far": ("removed", [None, "double_total", "k"])}
