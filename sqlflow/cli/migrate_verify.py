"""`sqlflow migrate dbt --verify`: the tables of the new project against those that dbt built."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

from sqlflow.cli.opening import clock, files_of
from sqlflow.cli.render import render_table, to_json
from sqlflow.core.diagnostics import one_problem
from sqlflow.core.names import TableName
from sqlflow.engines import engine_module
from sqlflow.migrate.dbt import DbtProject
from sqlflow.migrate.report import Report
from sqlflow.migrate.verify import Proof, Verdict, as_json, database_of, markdown, summary, verify
from sqlflow.project.config import read_config

_TABLES = ("model", "seed", "snapshot")


def prove(project: DbtProject, report: Report, target: Path, profiles: Path | None, given: str | None) -> Proof:
    """Build and compare, and add the evidence to the report in `target`. Raises ProjectError."""
    database, where = database_of(project.output, project.root, given, profiles)
    engine = "postgres" if "://" in database else "duckdb"
    config = read_config(
        target, None, {}, {**os.environ, **({"DATABASE_URL": database} if engine == "postgres" else {})}
    )
    if config.target.engine != engine:
        raise one_problem(
            "not-available-yet",
            f"`--verify` builds in a copy of dbt's database, and {where.partition(',')[0]} is none of {config.target.engine}",
            None,
            f"migrate to {engine} as well, with `--target {engine} --out` another folder, and verify that",
        )
    names = [TableName.parse(one.name) for one in report.entries if one.resource in _TABLES]
    proof = verify(config, engine_module(engine), names, database, where, files_of(config), clock)
    path = target / "migration-report.md"
    path.write_text(f"{path.read_text(encoding='utf-8').rstrip()}\n\n{markdown(proof, _table)}", encoding="utf-8")
    path = target / "migration-report.json"
    said = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(to_json({**said, "verified": as_json(proof)}) + "\n", encoding="utf-8")
    return proof


def told(proof: Proof) -> str:
    """The tables that are not equal, and one line about all of them."""
    wrong = [one for one in proof.tables if one.verdict not in (Verdict.EQUAL, Verdict.NO_TABLE, Verdict.TAKEN_OVER)]
    lines = [f"{one.verdict:9}  {one.table}" + (f"  {one.why}" if one.why else "") for one in wrong]
    return "\n".join([*lines, f"{summary(proof)} (see migration-report.md)"])


def _table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    return render_table(columns, rows, width=None)
