"""`sqlflow migrate dbt`: a dbt project as a SQLFlow project, with a report of what became of everything."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import yaml
from msgspec import Struct

from sqlflow.cli.render import to_json
from sqlflow.core.diagnostics import one_problem
from sqlflow.migrate.migrate import migrate, write
from sqlflow.migrate.reading import read_dbt_project
from sqlflow.migrate.report import as_json, markdown, totals


class Asked(Struct, frozen=True):
    """What the command line said."""

    path: Path
    out: Path | None
    engine: str | None
    profiles: Path | None
    profile_target: str | None
    dialect: str | None
    variables: str
    manifest: Path | None
    check: bool
    json: bool


def migrate_dbt(asked: Asked) -> int:
    """Convert, write and report. The exit code: 1 when a model needs a hand."""
    root = asked.path.resolve()
    project = read_dbt_project(
        root, asked.profiles, _variables(asked.variables), os.environ, asked.dialect, asked.profile_target
    )
    target = (asked.out or root.parent / f"{root.name}_sqlflow").resolve()
    migration = migrate(project, asked.engine, target)
    report = migration.report
    if not asked.check:
        if target.exists() and any(target.iterdir()) and not (target / "sqlflow.yml").exists():
            raise one_problem("folder-not-empty", f"`{target}` is not empty", None, "give another folder with `--out`")
        write(migration, root, target)
        (target / "migration-report.md").write_text(markdown(report), encoding="utf-8")
        (target / "migration-report.json").write_text(to_json(as_json(report)) + "\n", encoding="utf-8")
        print(f"written to {asked.out or target}", file=sys.stderr)
    if asked.json:
        print(to_json(as_json(report)))
    else:
        print(totals(report))
        if asked.check:
            print(markdown(report))
    return 0


def _variables(text: str) -> dict[str, object]:
    try:
        found = yaml.safe_load(text) if text.strip() else {}
    except yaml.YAMLError:
        found = None
    if not isinstance(found, dict):
        raise one_problem(
            "bad-variable", "`--vars` takes a mapping in YAML", None, "write `--vars '{first_day: 2024-01-01}'`"
        )
    return found
