"""Each option, directive and key changes something that a user can see. A new one needs a line here."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import cache, partial
from itertools import count, zip_longest
from pathlib import Path
from shutil import copytree
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import typer
from markdown_cases import change_database, sqlflow

from sqlflow.cli.app import app
from sqlflow.project.directives import DIRECTIVES
from sqlflow.project.seeds import _KEYS as SEED_KEYS
from sqlflow.project.sources import _KEYS as SOURCE_KEYS

CONFIG = """\
name: tiny
targets: {dev: {engine: duckdb, path: tiny.duckdb}, other: {engine: duckdb, path: other.duckdb}}
default_target: dev
variables: {n: 1}
"""
MODEL = "SELECT id, d, v, op FROM raw.src WHERE v > 0\n"
SEED = "a;b\n1;NA\n"


def written(root: Path, header: str, query: str = MODEL, **more: str) -> Path:
    """A project with one model, and a table that it reads."""
    files = {
        "sqlflow.yml": CONFIG,
        "sources/raw.yml": more.get("source", "raw.src: {table: ext.src}"),
        "seeds/codes.csv": SEED,
        "seeds/seeds.yml": more.get("seed", "codes: {delimiter: ';'}"),
        "models/other.sql": "SELECT $n AS n",
        "models/one.sql": header + query,
        "tests/none.sql": more.get("test", "SELECT id FROM main.one WHERE id > 9"),
    }
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    columns = "i AS id, DATE '2024-01-01' + CAST(i AS INTEGER) AS d, i AS v, 'I' AS op"
    change_database(root, f"CREATE SCHEMA ext; CREATE TABLE ext.src AS SELECT {columns} FROM range(1, 4) AS r(i)")
    for path in ("data.csv", "more/a.csv", "more/b.csv", "day=1/a.csv", "less/a.csv"):
        (root / path).parent.mkdir(exist_ok=True)
        (root / path).write_text("id,d,v,op\n1,2024-01-01,1,I\n")
    (root / "times.csv").write_text("id,d,v,op\n1,03/02/2024 10:00,1,I\n")
    (root / "less/b.csv").write_text("id,d,op\n1,2024-01-01,I\n")
    return root


def seen(root: Path) -> Iterator[str]:
    """What a user sees of a project: its plan, its tables, and its plan after the data and after the query were changed."""
    yield from (_run(root, "build --dry-run --json"), _run(root, "list --json"))
    yield _run(root, "build")
    change_database(root, "INSERT INTO ext.src VALUES (2, DATE '2024-01-20', 9, 'D'), (7, DATE '2023-12-30', 0, 'I')")
    for command in ("build --dry-run --sql", "build", "lint"):
        yield _run(root, command)
    change_database(root, "UPDATE ext.src SET op = 'U' WHERE id = 1")  # no cursor tells
    (root / "more/b.csv").unlink()
    yield _run(root, "build --dry-run")
    path = root / "models/one.sql"
    path.write_text(path.read_text().replace("SELECT id", "SELECT 1 AS extra, id"))
    yield _run(root, "build --dry-run --sql")
    yield _run(root, "check")


class Seen:
    """The same of a project with this header, and this source, as far as somebody looks."""

    def __init__(self, header: str, source: str) -> None:
        self._told: list[str] = []
        self._folder = TemporaryDirectory()
        self._more = seen(written(Path(self._folder.name), header, source=f"raw.src: {{{source}}}"))

    def __iter__(self) -> Iterator[str]:
        for number in count():
            if number == len(self._told):
                try:
                    self._told.append(next(self._more))
                except StopIteration:
                    return
            yield self._told[number]


@cache
def seen_of(header: str, source: str = "table: ext.src") -> Seen:
    return Seen(header, source)


def differ(one: Iterable[str], other: Iterable[str]) -> bool:
    """Whether any two things that are seen differ. What comes after the first that do is not looked at."""
    return any(a != b for a, b in zip_longest(one, other))


def _run(root: Path, command: str) -> str:
    ran = sqlflow(root, f"sqlflow {command}")
    text = f"{ran.code}\n{ran.out}\n{ran.err}".replace(str(root), "PROJECT")
    text = re.sub(r"\d{8}T\d{6}-[0-9a-f]+|\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+)?(?:\+00(?::00)?)?", "NOW", text)
    text = re.sub(r"models/one\.sql:\d+:\d+|^ *\d* \|.*$|\b[0-9a-f]{32,}\b", "", text, flags=re.MULTILINE)
    return re.sub(r"\b\d+(?:\.\d+)?m?s\b|\"expected_seconds\":[^,]*", "TIME", text)


HISTORY = "-- @mode: snapshot\n-- @key: id\n"
INCREMENTAL = "-- @mode: incremental\n-- @time: d\n"
MERGE = "-- @mode: merge\n-- @key: id\n"

# Directive -> the header without it, and what is added.
HEADERS = {
    "mode": ("", "-- @mode: view\n"),
    "key": ("", "-- @key: [id, v]\n"),
    "time": ("-- @mode: incremental\n", "-- @time: d\n"),
    "grain": (INCREMENTAL, "-- @grain: month\n"),
    "cursor": (MERGE, "-- @cursor: v\n"),
    "lookback": (MERGE + "-- @cursor: d\n", "-- @lookback: 300 days\n"),
    "start": (INCREMENTAL, "-- @start: 2024-01-03\n"),
    "batch": (INCREMENTAL, "-- @batch: 1 days\n"),
    "strategy": ("", "-- @strategy: full\n"),
    "conflict": (MERGE, "-- @conflict: target_wins\n"),
    "deleted": (MERGE + "-- @cursor: v\n", "-- @deleted: op = 'D'\n"),
    "full_refresh": ("", "-- @full_refresh: never\n"),
    "incremental": (INCREMENTAL, "-- @incremental: off\n"),
    "checks": ("", "-- @checks:\n--   - unique: op\n"),
    "tags": ("", "-- @tags: daily\n"),
    "owner": ("", "-- @owner: me\n"),
    "description": ("", "-- @description: What it is\n"),
    "enabled": ("", "-- @enabled: false\n"),
    "index": ("", "-- @index: id\n"),
    "partition_by": ("", "-- @partition_by: d\n"),
    "depends_on": ("", "-- @depends_on: main.other\n"),
    "before": ("", "-- @before: SELECT 1\n"),
    "after": ("", "-- @after: SELECT 1\n"),
    "schema": ("", "-- @schema: elsewhere\n"),
    "name": ("", "-- @name: otherwise\n"),
    "contract": ("", "-- @contract: true\n"),
    "pii": ("", "-- @pii: [id]\n"),
    "compare": (HISTORY, "-- @compare: [v]\n"),
    "deleted_rows": (HISTORY, "-- @deleted_rows: ignore\n"),
    "validity": (HISTORY, "-- @validity: {start: since}\n"),
}  # fmt: skip
ELSEWHERE = {"columns", "severity", "clock", "on_schema_change"}  # below; tests/cases/modes.md


@pytest.mark.parametrize("directive", sorted(DIRECTIVES.keys() - ELSEWHERE))
def test_each_directive_has_an_effect(directive: str) -> None:
    without, added = HEADERS[directive]
    assert differ(seen_of(without), seen_of(without + added))


def test_what_columns_mean_is_in_the_manifest(tmp_path: Path) -> None:
    assert "The identity" in _run(written(tmp_path, "-- @columns: {id: The identity}\n"), "compile --json")


def test_the_severity_of_a_test_decides_how_a_build_ends(tmp_path: Path) -> None:
    query = "SELECT id FROM main.one"
    assert _run(written(tmp_path, "", test="-- @severity: warn\n" + query), "build").startswith("0")
    (tmp_path / "tests/none.sql").write_text(query)
    assert _run(tmp_path, "build").startswith("1")


SOURCES = {
    "table": ("path: data.csv", "table: ext.src"),
    "path": ("table: ext.src", "path: data.csv"),
    "time": ("table: ext.src", "table: ext.src, time: nothing"),
    "cursor": ("table: ext.src", "table: ext.src, cursor: v"),
    "key": ("table: ext.src", "table: ext.src, key: nothing"),
    "append_only": ("table: ext.src, cursor: d", "table: ext.src, cursor: d, append_only: true"),
    "freshness": ("table: ext.src", "table: ext.src, freshness: {column: d, warn: 6h}"),
    "checks": ("table: ext.src", "table: ext.src, checks: [{unique: op}]"),
    "columns": ("path: data.csv", "path: data.csv, columns: {id: VARCHAR, d: DATE, v: INTEGER, op: VARCHAR}"),
    "description": ("table: ext.src", "table: ext.src, description: What comes"),
    "on_missing_file": ("path: more/*.csv", "path: more/*.csv, on_missing_file: fail"),
    "on_missing_column": ("path: less/*.csv", "path: less/*.csv, on_missing_column: 'null'"),
    "hive": ("path: day=1/*.csv", "path: day=1/*.csv, hive: false"),
    "delimiter": ("path: data.csv", "path: data.csv, delimiter: ';'"),
    "skip": ("path: data.csv", "path: data.csv, skip: 1"),
    "nulls": ("path: data.csv", "path: data.csv, nulls: [I]"),
    "date_format": ("path: data.csv", "path: data.csv, date_format: '%d/%m/%Y'"),
    "timestamp_format": ("path: times.csv", "path: times.csv, timestamp_format: '%m/%d/%Y %H:%M'"),
}


@pytest.mark.parametrize("key", SOURCE_KEYS)
def test_each_key_of_a_source_has_an_effect(key: str) -> None:
    without, given = SOURCES[key]
    assert differ(seen_of("", without), seen_of("", given))


SEEDS = {
    "columns": "columns: {'a': VARCHAR}, delimiter: ';'",
    "nulls": "nulls: NA, delimiter: ';'",
    "delimiter": "description: ''",
    "description": "description: Codes, delimiter: ';'",
    "date_format": "date_format: '%d/%m/%Y', delimiter: ';'",
    "timestamp_format": "timestamp_format: '%d/%m/%Y', delimiter: ';'",
    "checks": "checks: [{row_count: {min: 100}}], delimiter: ';'",
}


@pytest.mark.parametrize("key", SEED_KEYS)
def test_each_key_of_a_seed_has_an_effect(tmp_path: Path, key: str) -> None:
    roots = tmp_path / "without", tmp_path / "given"
    for root, fields in zip(roots, ("delimiter: ';'", SEEDS[key]), strict=True):
        root.mkdir()
        written(root, "", "SELECT * FROM seeds.codes\n", seed=f"codes: {{{fields}}}", test="SELECT 1 WHERE false")
    commands = ("list --json", "build --dry-run --sql", "build", "show main.one")
    assert differ(*(map(partial(_run, root), commands) for root in roots))


# Command -> option -> the command line without and with it.
OPTIONS: dict[str, dict[str, tuple[str, str]]] = {
    "init": {"--empty": ("init x", "init x --empty")},
    "build": {
        "--exclude": ("build --dry-run", "build --dry-run --exclude other"),
        "--dry-run": ("build", "build --dry-run"),
        "--sql": ("build --dry-run", "build --dry-run --sql"),
        "--full-refresh": ("build one", "build one --full-refresh"),
        "--start": ("build one --end 2024-01-03", "build one --start 2024-01-02 --end 2024-01-03"),
        "--end": ("build one --start 2024-01-02", "build one --start 2024-01-02 --end 2024-01-03"),
        "--threads": ("build", "build --threads none"),
        "--fail-fast": ("build --var n=9", "build --var n=9 --fail-fast"),
        "--wait": ("build", "build --wait none"),
        "--test": ("build", "build --test"),
        "--discard-history": ("build --full-refresh", "build --full-refresh --discard-history"),
    },
    "compile": {
        "--exclude": ("compile --dry-run", "compile --dry-run --exclude other"),
        "--dry-run": ("compile", "compile --dry-run"),
        "--sql": ("compile --dry-run", "compile --dry-run --sql"),
        "--wait": ("compile", "compile --wait 1"),
    },
    "list": {"--exclude": ("list", "list --exclude other")},
    "show": {
        "--limit": ("show one", "show one --limit 1"),
        "--wait": ("show one", "show one --wait none"),
        "--profile": ("show one", "show one --profile"),
        "--suggest": ("show one --profile", "show one --profile --suggest"),
    },
    "check": {
        "--exclude": ("check", "check --exclude none"),
        "--wait": ("check", "check --wait none"),
        "--failures": ("check", "check --failures"),
        "--report": ("check", "check --report markdown"),
        "--tag": ("check", "check --tag small"),
    },
    "test": {
        "--exclude": ("test", "test --exclude of_one"),
        "--threads": ("test", "test --threads none"),
        "--record": ("test", "test --record one"),
        "--rows": ("test --record one", "test --record one --rows 1"),
        "--wait": ("test --record one", "test --record one --wait none"),
    },
    "verify": {
        "--exclude": ("verify", "verify --exclude other"),
        "--release": ("verify", "verify --release"),
        "--wait": ("verify", "verify --wait none"),
    },
    "diff": {
        "--with": ("diff one", "diff one --with dev"),
        "--limit": ("diff bad new", "diff bad new --limit 0"),
        "--wait": ("diff one one", "diff one one --wait none"),
    },
    "lineage": {"--mermaid": ("lineage one", "lineage one --mermaid"), "--downstream": ("lineage one", "lineage one --downstream")},
    "clean": {
        "--drop": ("clean", "clean --drop"),
        "--dry-run": ("clean --drop", "clean --drop --dry-run"),
        "--wait": ("clean", "clean --wait none"),
        "--discard-history": ("clean --drop", "clean --drop --discard-history"),
    },
    "runs": {"--limit": ("runs", "runs --limit 1")},
    "migrate dbt": {
        "--out": ("migrate dbt dbt", "migrate dbt dbt --out elsewhere"),
        "--target": ("migrate dbt dbt", "migrate dbt dbt --target postgres"),
        "--profiles": ("migrate dbt dbt", "migrate dbt dbt --profiles nowhere"),
        "--dbt-target": ("migrate dbt dbt", "migrate dbt dbt --dbt-target prod"),
        "--dialect": ("migrate dbt dbt", "migrate dbt dbt --dialect snowflake"),
        "--vars": ("migrate dbt dbt", "migrate dbt dbt --vars '{n: 7}'"),
        "--manifest": ("migrate dbt dbt", "migrate dbt dbt --manifest nowhere.json"),
        "--check": ("migrate dbt dbt", "migrate dbt dbt --check"),
        "--verify": ("migrate dbt dbt", "migrate dbt dbt --verify"),
        "--dbt-database": ("migrate dbt dbt --verify", "migrate dbt dbt --verify --dbt-database nowhere.duckdb"),
    },
    "explain": {},
    "lint": {},
    "state show": {},
    "state schema": {},
    "state rebuild": {"--wait": ("state rebuild", "state rebuild --wait none")},
    "state unlock": {},
}  # fmt: skip
ARGUMENTS = {
    "migrate dbt": " dbt",
    "show": " one",
    "diff": " one one",
    "lineage": " one",
    "state schema": " one",
    "explain": " cycle",
}
EVERYWHERE = {
    "--project": " --project nowhere",
    "--target": " --target nowhere",
    "--var": " --var nothing=1",
    "--json": " --json",
}
IN_A_TERMINAL = {"watch"}  # tests/commands/test_watch.py
OF_OLDER_VERSIONS = {"--unclaimed"}  # tests/cases/projects.md

UNIT = """\
of_one:
  model: main.unbuilt
  expect: [{a: 2}]
"""
DBT = {
    "dbt_project.yml": "name: small\nprofile: small\nversion: '1'\nvars: {n: 3}\n",
    "profiles.yml": "small: {target: dev, outputs: {dev: {type: duckdb, path: d.db}, prod: {type: postgres, host: h, schema: s}}}\n",
    "models/some.sql": "SELECT {{ var('n') }} AS n, IFF(true, 1, 2) AS one, '{{ target.name }}' AS t",
}


def _options() -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []

    def walk(command: Any, name: str) -> None:
        for below, inner in getattr(command, "commands", {}).items():
            walk(inner, f"{name} {below}".strip())
        if name and not getattr(command, "commands", {}):
            found.extend((name, max(p.opts, key=len)) for p in command.params if p.param_type_name == "option")

    walk(typer.main.get_command(app), "")
    return [
        (command, option)
        for command, option in found
        if command not in IN_A_TERMINAL and option not in OF_OLDER_VERSIONS
    ]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project that was built twice, and has a table of a model that is gone, one that fails for n=9, and one that is new."""
    root = written(tmp_path_factory.mktemp("built"), INCREMENTAL)
    (root / "models/gone.sql").write_text("SELECT 1 AS a")
    (root / "models/bad.sql").write_text("SELECT CASE WHEN $n = 9 THEN error('x') END AS a")
    assert _run(root, "build").startswith("0")
    (root / "models/gone.sql").unlink()
    warned = "-- @checks: [{row_count: {min: 9, severity: warn, tags: [small]}}]\n"
    (root / "models/new.sql").write_text(warned + "SELECT count(*) AS a FROM main.other WHERE $n < 99")
    assert _run(root, "build main.new").startswith("0")
    (root / "models/unbuilt.sql").write_text("SELECT 1 AS a")
    (root / "models/history.sql").write_text(HISTORY + "SELECT id, v FROM raw.src")
    (root / "models/history_gone.sql").write_text(HISTORY + "SELECT id, v FROM raw.src")
    assert _run(root, "build main.history main.history_gone").startswith("0")
    (root / "models/history_gone.sql").unlink()
    (root / "tests/of_one.yml").write_text(UNIT)
    for path, text in DBT.items():
        (root / "dbt" / path).parent.mkdir(parents=True, exist_ok=True)
        (root / "dbt" / path).write_text(text)
    return root


def _left_by(built: Path, line: str) -> Iterator[str]:
    """What a command tells, and what it leaves behind in a copy of the project."""
    with TemporaryDirectory() as folder:
        root = copytree(built, Path(folder).resolve() / "project")
        yield _run(root, line)
        yield _run(root, "clean")
        for path in sorted([*root.rglob("*.sql"), *root.rglob("sqlflow.yml")]):
            yield f"{path.relative_to(root)}\n{path.read_text()}"


@pytest.mark.parametrize(("command", "option"), _options())
def test_each_option_has_an_effect(built: Path, command: str, option: str) -> None:
    line = command + ARGUMENTS.get(command, "")
    without, given = OPTIONS[command].get(option) or (line, line + EVERYWHERE[option])
    assert differ(_left_by(built, without), _left_by(built, given))
