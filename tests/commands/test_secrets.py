"""A value from the environment is never shown or written, by any command or failure."""

from __future__ import annotations

from pathlib import Path

import pytest
from markdown_cases import sqlflow

CANARY = "s3cr3t-canary"
COMMANDS = [
    "build",
    "build --dry-run --sql --json",
    "compile --json",
    "list --json",
    "lint",
    "show a.one",
    "check",
    "lineage a.one",
    "state show",
    "state show a.one",
    "runs --json",
    "clean",
    "diff --with other",
    "diff a.one a.one",
]
TARGETS = {
    "the path": 'dev: {engine: duckdb, path: "${SECRET}.duckdb"}',
    "a folder of the path": 'dev: {engine: duckdb, path: "/nonexistent/${SECRET}/x.duckdb"}',
    "the memory limit": 'dev: {engine: duckdb, path: tiny.duckdb, memory_limit: "${SECRET}"}',
    "the size of the temporary folder": 'dev: {engine: duckdb, path: tiny.duckdb, max_temp_directory_size: "${SECRET}"}',
    "the temporary folder": 'dev: {engine: duckdb, path: tiny.duckdb, temp_directory: "/dev/null/${SECRET}"}',
    "an extension": 'dev: {engine: duckdb, path: tiny.duckdb, extensions: ["${SECRET}"]}',
    "the storage version": 'dev: {engine: duckdb, path: tiny.duckdb, storage_version: "${SECRET}"}',
    "the threads": 'dev: {engine: duckdb, path: tiny.duckdb, threads: "${SECRET}"}',
    "the engine": 'dev: {engine: "${SECRET}", path: tiny.duckdb}',
    "an unknown option": 'dev: {engine: duckdb, path: tiny.duckdb, password: "${SECRET}"}',
    "the URL of another engine": 'dev: {engine: postgres, url: "postgres://u:${SECRET}@localhost/x"}',
    "another target": 'dev: {engine: duckdb, path: tiny.duckdb}\n  other: {engine: duckdb, path: "${SECRET}.duckdb"}',
}


@pytest.mark.parametrize("option", TARGETS.values(), ids=TARGETS)
def test_an_option_of_a_target_is_never_shown(tmp_path: Path, option: str) -> None:
    (tmp_path / "models/a").mkdir(parents=True)
    (tmp_path / "models/a/one.sql").write_text("-- @checks:\n--   - not_null: x\nSELECT 1 AS x")
    (tmp_path / "sqlflow.yml").write_text(f"name: tiny\ntargets:\n  {option}\ndefault_target: dev\n")
    for command in COMMANDS:
        ran = sqlflow(tmp_path, f"SECRET={CANARY} sqlflow {command}")
        assert ran.code in (0, 1), (command, ran)
        assert CANARY not in ran.out + ran.err, command
    for path in tmp_path.rglob("*"):
        if path.is_file() and CANARY not in path.name:
            assert CANARY.encode() not in path.read_bytes(), path


@pytest.mark.parametrize("key", ["timezone", "dialect", "default_target", "sandbox"])
def test_a_wrong_value_from_the_environment_is_not_shown(tmp_path: Path, key: str) -> None:
    (tmp_path / "sqlflow.yml").write_text(
        f'name: tiny\ntargets: {{dev: {{engine: duckdb, path: tiny.duckdb}}}}\n{key}: "${{SECRET}}"\n'
    )
    ran = sqlflow(tmp_path, f"SECRET={CANARY} sqlflow build")
    assert ran.code == 1
    assert CANARY not in ran.out + ran.err


def test_a_value_of_var_is_not_kept_in_the_history(tmp_path: Path) -> None:
    (tmp_path / "models/a").mkdir(parents=True)
    (tmp_path / "models/a/one.sql").write_text("SELECT length($word) AS n")
    (tmp_path / "sqlflow.yml").write_text(
        "name: tiny\ntargets: {dev: {engine: duckdb, path: tiny.duckdb}}\nvariables: {word: x}\n"
    )
    assert sqlflow(tmp_path, f"sqlflow build --var word={CANARY}").code == 0
    assert sqlflow(tmp_path, f"sqlflow build --var=word={CANARY}2").code == 0
    ran = sqlflow(tmp_path, "sqlflow runs --json")
    assert CANARY not in ran.out
