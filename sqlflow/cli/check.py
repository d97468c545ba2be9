"""`sqlflow check`: the checks of models on their tables as they stand, and the queries in tests/."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from sqlflow.cli.reading import Reading, chosen, reading
from sqlflow.cli.render import to_json
from sqlflow.core.diagnostics import one_problem, stop_on_errors
from sqlflow.core.engine import EngineError, Session
from sqlflow.core.model import Mode
from sqlflow.core.names import TableName
from sqlflow.core.records import CheckResult, CheckStatus
from sqlflow.core.words import counted
from sqlflow.project.read import read_tests
from sqlflow.quality.checks import audits, checks_of
from sqlflow.runner.task import TaskError, run_audits, show_row


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
    found: list[tuple[TableName | str, CheckResult]] = []
    broken: list[str] = []
    missing: list[TableName] = []
    with reading(project, target, variables, wait=wait) as opened:
        engine = opened.opened.engine
        if engine is None:
            raise one_problem("no-database", "there is no database to check yet", None, "`sqlflow build` makes it")
        session = engine.session()
        compiled = opened.checked.compiled
        wanted = chosen(opened, selection, exclude)
        for name in compiled.order:
            model = compiled.models[name]
            if name not in wanted or not checks_of(model.model.header) or model.model.header.mode is Mode.INLINE:
                continue
            if name not in (opened.tables or {}):
                missing.append(name)
                continue
            for audit in audits(name, checks_of(model.model.header), None, model.schema.names):
                try:
                    found += [(name, result) for result in run_audits(session, (audit,))]
                except TaskError as error:
                    broken.append(f"{name}: {error.problem.message}")
        if not selection:
            found += _queries(opened, session, broken)
    failed = [result for _, result in found if result.status is CheckStatus.FAILED]
    if json:
        print(to_json({"checks": [_json(name, result) for name, result in found], "errors": broken}))
    else:
        for label, result in found:
            _print(label, result)
    for text in broken:
        print(f"error: {text}", file=sys.stderr)
    for name in missing:
        print(f"warning: `{name}` is not built yet; its checks were not run", file=sys.stderr)
    warned = sum(result.status is CheckStatus.WARNED for _, result in found)
    print(
        f"{counted(len(found), 'check')}: {len(found) - len(failed) - warned} passed, {warned} warned, {len(failed)} failed",
        file=sys.stderr,
    )
    return 1 if failed or broken else 0


def _queries(opened: Reading, session: Session, broken: list[str]) -> Iterator[tuple[str, CheckResult]]:
    """The queries in tests/: each row that one returns is a failure."""
    tests, problems = read_tests(opened.opened.config)
    stop_on_errors(problems)
    for test in tests:
        path = str(test.file.path)
        try:
            rows = session.fetch(test.query.text)
        except EngineError as error:
            broken.append(f"{path}: {error.message.splitlines()[0]}")
            continue
        status = CheckStatus.FAILED if rows else CheckStatus.PASSED
        yield path, CheckResult("returns no rows", status, len(rows), tuple(show_row(row) for row in rows[:5]))


def _json(name: TableName | str, result: CheckResult) -> dict[str, object]:
    return {
        "table": str(name),
        "check": result.check,
        "status": str(result.status),
        "failing": result.failing,
        "sample": list(result.sample),
    }


def _print(name: TableName | str, result: CheckResult) -> None:
    rows = f"  {counted(result.failing, 'row')}, such as {', '.join(result.sample[:3])}" if result.failing else ""
    print(f"{result.status:<7} {name}  {result.check}{rows}")
