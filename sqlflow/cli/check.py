"""`sqlflow check`: the checks of models on their tables as they stand, and the queries in tests/."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from sqlflow.cli.reading import chosen, reading
from sqlflow.cli.render import to_json
from sqlflow.core.diagnostics import one_problem
from sqlflow.core.model import Mode
from sqlflow.core.names import TableName
from sqlflow.core.records import CheckResult, CheckStatus
from sqlflow.quality.checks import audits
from sqlflow.runner.task import TaskError, run_audits


def run_checks(
    selection: Sequence[str],
    exclude: Sequence[str],
    project: Path | None,
    target: str | None,
    variables: Sequence[str],
    *,
    wait: float,
    json: bool,
) -> int:
    """Run checks and print how each came out. Exit code 1 when a blocking one fails."""
    found: list[tuple[TableName, CheckResult]] = []
    broken: list[str] = []
    missing: list[TableName] = []
    with reading(project, target, variables, wait=wait) as opened:
        engine = opened.opened.engine
        if engine is None:
            raise one_problem("no-database", "there is no database to check yet", None, "`sqlflow build` makes it")
        session = engine.session()
        compiled = opened.checked.compiled
        wanted = chosen(opened.checked, selection, exclude)
        for name in compiled.order:
            model = compiled.models[name]
            if name not in wanted or not model.model.header.checks or model.model.header.mode is Mode.INLINE:
                continue
            if name not in (opened.tables or {}):
                missing.append(name)
                continue
            for audit in audits(name, model.model.header.checks, None, model.schema.names):
                try:
                    found += [(name, result) for result in run_audits(session, (audit,))]
                except TaskError as error:
                    broken.append(f"{name}: {error.problem.message}")
    failed = [result for _, result in found if result.status is CheckStatus.FAILED]
    if json:
        print(to_json({"checks": [_json(name, result) for name, result in found], "errors": broken}))
    else:
        for name, result in found:
            _print(name, result)
    for text in broken:
        print(f"error: {text}", file=sys.stderr)
    for name in missing:
        print(f"warning: `{name}` is not built yet; its checks were not run", file=sys.stderr)
    warned = sum(result.status is CheckStatus.WARNED for _, result in found)
    print(
        f"{len(found)} checks: {len(found) - len(failed) - warned} passed, {warned} warned, {len(failed)} failed",
        file=sys.stderr,
    )
    return 1 if failed or broken else 0


def _json(name: TableName, result: CheckResult) -> dict[str, object]:
    return {
        "table": str(name),
        "check": result.check,
        "status": str(result.status),
        "failing": result.failing,
        "sample": list(result.sample),
    }


def _print(name: TableName, result: CheckResult) -> None:
    rows = f"  {result.failing:,} rows, such as {', '.join(result.sample[:3])}" if result.failing else ""
    print(f"{result.status:<7} {name}  {result.check}{rows}")
