"""What compiling does again after an edit, seen from the command line; and a cache that is broken in every way."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import stat
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest
from markdown_cases import CONFIG, sqlflow

FILES = {
    "sqlflow.yml": CONFIG + "variables: {least: 1, other: 1}\n",
    "macros/m.sql": "CREATE MACRO twice(x) AS x * 2;\n",
    "macros/n.sql": "CREATE MACRO thrice(x) AS x * 3;\n",
    "seeds/s/days.csv": "d,x\n2024-01-01,1\n2024-01-02,2\n",
    "models/a/one.sql": "SELECT d, twice(x) AS x FROM s.days\n",
    "models/a/two.sql": "SELECT x, count(*) AS n FROM a.one WHERE x >= $least GROUP BY x\n",
    "models/a/three.sql": "SELECT thrice(n) AS n FROM a.two\n",
    "models/b/alone.sql": "SELECT x FROM s.days\n",
    "models/b/after.sql": "SELECT x FROM b.alone\n",
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    root = tmp_path / "here"
    for path, text in FILES.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    return root


def analysed(root: Path, command: str = "compile --json") -> list[str]:
    """The models that a command looked at again."""
    ran = sqlflow(root, f"sqlflow {command}")
    assert ran.code == 0, ran
    found: list[str] = json.loads(ran.out)["analysed"]
    return found


def edit(root: Path, path: str, old: str, new: str) -> None:
    text = (root / path).read_text()
    assert old in text
    (root / path).write_text(text.replace(old, new))


ALL = ["a.one", "a.three", "a.two", "b.after", "b.alone"]


def test_a_second_compile_analyses_nothing(project: Path) -> None:
    assert analysed(project) == ALL
    assert analysed(project) == []
    assert analysed(project, "compile --dry-run --json") == []
    assert sqlflow(project, "sqlflow build").code == 0
    assert analysed(project, "build --dry-run --json") == []


def test_a_build_does_not_find_out_what_only_a_plan_tells(project: Path) -> None:
    for _ in range(2):
        assert sqlflow(project, "sqlflow build").code == 0
        assert keys_of_shapes(project) == []
    edit(project, "seeds/s/days.csv", "01,1", "01,7")
    plan = json.loads(sqlflow(project, "sqlflow build --dry-run --json").out)
    assert {task["table"]: task["tier"] for task in plan["tasks"]} == {
        "s.days": None, "a.one": "rows", "a.two": "rows", "a.three": "rows", "b.alone": "rows", "b.after": "rows",
    }  # fmt: skip


def keys_of_shapes(root: Path) -> list[str]:
    """The queries of which a command found out what changes they can follow."""
    facts = sqlite3.connect(root / ".sqlflow/cache/facts.db")
    try:
        return [key for (key,) in facts.execute("SELECT key FROM facts WHERE key LIKE 'shape:%'")]
    finally:
        facts.close()


@pytest.mark.parametrize(
    ("path", "old", "new", "again"),
    [
        ("models/a/one.sql", "twice(x)", "twice(x) + 1", ["a.one"]),  # its columns are what they were
        ("models/a/one.sql", "AS x", "AS x, 1 AS y", ["a.one", "a.two"]),
        ("models/a/one.sql", "SELECT", "-- words\nSELECT", ["a.one"]),
        ("macros/m.sql", "x * 2", "x * 4", ["a.one"]),
        ("macros/n.sql", "x * 3", "twice(x) * 3", ["a.three"]),
        ("sqlflow.yml", "least: 1", "least: 2", ["a.two"]),
        ("sqlflow.yml", "other: 1", "other: 2", []),
        ("seeds/s/days.csv", "2024-01-02,2", "2024-01-02,2.5", ["a.one", "a.three", "a.two", "b.after", "b.alone"]),
        ("seeds/s/days.csv", "2024-01-02,2", "2024-01-02,3", []),
    ],
)
def test_an_edit_analyses_what_it_changes_and_no_more(
    project: Path, path: str, old: str, new: str, again: list[str]
) -> None:
    analysed(project)
    edit(project, path, old, new)
    assert analysed(project) == again
    assert analysed(project) == []


def test_a_file_that_moves_is_analysed_under_its_new_name(project: Path) -> None:
    analysed(project)
    (project / "models/b/after.sql").rename(project / "models/a/after.sql")
    assert analysed(project) == ["a.after"]
    (project / "models/a/after.sql").unlink()
    assert analysed(project) == []


@pytest.mark.parametrize(
    ("command", "needed"),
    [
        ("build --dry-run --json +b.after", ["b.after", "b.alone"]),
        ("build --dry-run --json +models/a/one.sql", ["a.one"]),
        ("compile --dry-run --json +two", ["a.one", "a.two"]),
        ("lineage --json a.two", ["a.one", "a.two"]),
        ("lineage --json a.one.x", ["a.one"]),
        ("lineage --json --downstream b.alone", ["b.after", "b.alone"]),
        ("build --dry-run --json state:new", ALL),
    ],
)
def test_a_command_analyses_only_what_it_is_asked_for(project: Path, command: str, needed: list[str]) -> None:
    assert analysed(project, command) == needed


def test_a_selected_build_keeps_what_is_known_of_the_others(project: Path) -> None:
    analysed(project)
    edit(project, "models/b/alone.sql", "SELECT x", "SELECT x + 1 AS x")
    assert sqlflow(project, "sqlflow build +a.one").code == 0
    assert analysed(project) == ["b.alone"]


def test_a_name_that_means_something_else_is_looked_at_again_after_a_selected_build(project: Path) -> None:
    with duckdb.connect(str(project / "tiny.duckdb")) as database:
        database.execute("CREATE TABLE outside (x INTEGER)")
    (project / "models/b/reader.sql").write_text("SELECT x FROM outside\n")
    assert analysed(project) == sorted([*ALL, "b.reader"])
    (project / "models/c").mkdir()
    (project / "models/c/outside.sql").write_text("SELECT 'a' AS x\n")
    assert sqlflow(project, "sqlflow build +a.one").code == 0
    assert analysed(project) == ["b.reader", "c.outside"]
    manifest = json.loads((project / "target/manifest.json").read_text())
    assert manifest["models"]["b.reader"]["columns"][0]["type"] == "VARCHAR"


def test_a_cache_that_is_carried_elsewhere_is_used_there(project: Path, tmp_path: Path) -> None:
    analysed(project)
    there = tmp_path / "elsewhere" / "checkout"
    for path, text in FILES.items():
        (there / path).parent.mkdir(parents=True, exist_ok=True)
        (there / path).write_text(text)
    shutil.copytree(project / ".sqlflow/cache", there / ".sqlflow/cache")
    assert analysed(there) == []
    for file in (there / ".sqlflow/cache").iterdir():
        assert str(project).encode() not in file.read_bytes()


def _truncated(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def _one_bit(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[len(data) * 2 // 3] ^= 4
    file.write_bytes(data)


def _of_a_later_version(file: Path) -> None:
    if file.suffix == ".bin":
        file.write_bytes(file.read_bytes().replace(b"sqlflow known ", b"sqlflow known 9", 1))
        return
    with sqlite3.connect(file) as connection:
        connection.execute("ALTER TABLE facts RENAME COLUMN value TO content")
        connection.execute("PRAGMA user_version = 99")
    connection.close()


def _values_of_something_else(file: Path) -> None:
    if file.suffix == ".bin":
        file.write_bytes(b"")
        return
    with sqlite3.connect(file) as connection:
        connection.execute("UPDATE facts SET value = '[1, {}]'")
    connection.close()


@pytest.mark.parametrize(
    "breaks",
    [
        lambda file: file.write_bytes(b""),
        lambda file: file.write_bytes(os.urandom(5000)),
        _truncated,
        _one_bit,
        _of_a_later_version,
        _values_of_something_else,
        lambda file: (file.unlink(), file.mkdir()),
    ],
)
def test_a_broken_cache_changes_nothing_and_is_mended(project: Path, breaks: Callable[[Path], object]) -> None:
    expected = sqlflow(project, "sqlflow compile --json").out
    for file in sorted((project / ".sqlflow/cache").iterdir()):
        breaks(file)
    assert analysed(project, "compile --dry-run --json") == ALL
    ran = sqlflow(project, "sqlflow compile --json")
    assert (ran.code, ran.out, ran.err) == (0, expected, "")


def test_a_broken_cache_is_used_again_after_the_next_compile(project: Path) -> None:
    analysed(project)
    for file in (project / ".sqlflow/cache").iterdir():
        file.write_bytes(b"nothing")
    assert analysed(project) == ALL
    assert analysed(project) == []


def test_a_folder_that_cannot_be_written_is_no_problem(project: Path) -> None:
    cache = project / ".sqlflow" / "cache"
    cache.parent.mkdir()
    cache.write_text("a file, so that there can be no folder here")
    assert analysed(project) == ALL
    cache.unlink()
    cache.mkdir()
    cache.chmod(stat.S_IRUSR | stat.S_IXUSR)
    assert analysed(project) == ALL


def test_a_cache_that_somebody_else_holds_is_no_problem(project: Path) -> None:
    analysed(project)
    edit(project, "models/b/alone.sql", "SELECT x", "SELECT x + 1 AS x")
    holder = sqlite3.connect(project / ".sqlflow/cache/facts.db", isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    try:
        assert analysed(project) == ["b.alone"]
    finally:
        holder.close()
