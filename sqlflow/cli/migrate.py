"""`sqlflow migrate dbt`: a dbt project as a SQLFlow project, with a report of what became of everything."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import yaml
from msgspec import Struct

from sqlflow.build.examine import examine
from sqlflow.cli.migrate_verify import prove, told
from sqlflow.cli.opening import clock, opened, read_settings
from sqlflow.cli.render import to_json
from sqlflow.core.diagnostics import Diagnostic, ProjectError, Severity, one_problem
from sqlflow.core.events import Event
from sqlflow.migrate import verify
from sqlflow.migrate.compiled import compiled_by_dbt
from sqlflow.migrate.dbt import DbtProject
from sqlflow.migrate.files import REPORT, Written, write
from sqlflow.migrate.migrate import Migration, migrate
from sqlflow.migrate.reading import read_dbt_project
from sqlflow.migrate.report import Report, as_json, markdown, totals, with_files, with_problems


class Options(Struct, frozen=True):
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
    verify: bool = False
    database: str | None = None


def migrate_dbt(asked: Options) -> int:
    """Convert, write and report. The exit code: 1 when a table was compared with dbt's and is not proven equal."""
    root = asked.path.resolve()
    project = read_dbt_project(
        root, asked.profiles, _variables(asked.variables), os.environ, asked.dialect, clock(), asked.profile_target
    )
    proof = None
    if asked.check:
        with tempfile.TemporaryDirectory() as folder:
            report, _ = _made(project, asked, Path(folder).resolve())
    else:
        target = (asked.out or root.parent / f"{root.name}_sqlflow").resolve()
        if target.exists() and any(target.iterdir()) and not (target / "sqlflow.yml").exists():
            raise one_problem("folder-not-empty", f"`{target}` is not empty", None, "give another folder with `--out`")
        report, written = _made(project, asked, target)
        (target / "migration-report.md").write_text(markdown(report), encoding="utf-8")
        (target / REPORT).write_text(to_json({**as_json(report), "files": written.hashes}) + "\n", encoding="utf-8")
        print(f"written to {asked.out or target}; what became of each model is in migration-report.md", file=sys.stderr)
        proof = prove(project, report, target, asked.profiles, asked.database) if asked.verify else None
    if asked.json:
        print(to_json(as_json(report) if proof is None else {**as_json(report), "verified": verify.as_json(proof)}))
    else:
        print(totals(report))
        if asked.check:
            print(markdown(report))
        if proof is not None:
            print(told(proof))
    return 0 if proof is None or proof.proven else 1


def _made(project: DbtProject, asked: Options, target: Path) -> tuple[Report, Written]:
    """The new project in a folder, and what SQLFlow itself says of it."""
    migration = migrate(project, asked.engine, target, compiled_by_dbt(project, asked.manifest))
    written = write(migration, project.root, target)
    return with_problems(
        with_files(migration.report, written.kept, written.gone, written.stale), _problems(migration, target)
    ), written


def _problems(migration: Migration, target: Path) -> list[Diagnostic]:
    """What compiling the new project finds. On PostgreSQL that takes a server, so it is left to `sqlflow compile`."""
    if migration.engine != "duckdb":
        return []
    try:
        config = read_settings(target, None, ())
        with opened(config, _silent, writing=False, wait=0, without_database=True) as found:
            tables = found.engine.tables() if found.engine is not None else None
            problems = examine(found.workshop, tables, {}, {}).problems
    except ProjectError as error:
        problems = error.diagnostics
    return [problem for problem in problems if problem.severity is Severity.ERROR]


def _silent(event: Event) -> None:
    """The report tells what is worth telling."""


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
