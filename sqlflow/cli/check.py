"""`sqlflow check`: the checks of models on their tables as they stand, and the queries in tests/."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from sqlflow.cli.opening import clock
from sqlflow.cli.reading import chosen, reading
from sqlflow.cli.render import to_json
from sqlflow.core.amounts import counted
from sqlflow.core.checks import CheckSpec
from sqlflow.core.compiled import Compiled, CompiledModel
from sqlflow.core.diagnostics import did_you_mean, one_problem
from sqlflow.core.engine import Session
from sqlflow.core.names import TableName
from sqlflow.core.plan import Audit, CheckQuery
from sqlflow.core.records import CheckResult, CheckStatus
from sqlflow.core.sql import compose
from sqlflow.core.text import MappedText
from sqlflow.observe.text import visible, visible_lines
from sqlflow.quality.checks import audits, checks_of, checks_of_inputs, test_audits
from sqlflow.runner.task import TaskError, run_audits, show_row


def run_checks(
    selection: Sequence[str],
    exclude: Sequence[str],
    project: Path | None,
    target: str | None,
    variables: Sequence[str],
    *,
    tags: Sequence[str] = (),
    failures: bool,
    form: str | None,
    wait: float,
    json: bool,
) -> int:
    """Run checks and print how each came out, with `failures` the rows too, or as a report. `tags`: only checks with one of
    these. Exit code 1 when a blocking one fails."""
    found: list[tuple[str, CheckResult, CheckQuery]] = []
    rows: dict[int, list[str]] = {}  # of the results that fail, by their place
    broken: list[str] = []
    scans = 0
    missing: list[tuple[str, TableName, int]] = []  # what was not run, the table that is not there, how many checks
    with reading(project, target, variables, wait=wait) as opened:
        engine = opened.opened.engine
        if engine is None:
            raise one_problem("no-database", "there is no database to check yet", None, "`sqlflow build` makes it")
        session = engine.session()
        compiled = opened.checked.compiled
        wanted = chosen(opened, selection, exclude, and_tests=True)
        tables = opened.tables or {}
        _known_tags(compiled, tags)
        for label, queries, needed, query in _asked(compiled, wanted, frozenset(tags)):
            absent = [table for table in needed if table not in tables]
            if queries and absent:
                missing.append((label, absent[0], sum(len(audit.checks) for audit in queries)))
                continue
            for audit in queries:
                scans += audit.scans
                try:
                    results = run_audits(session, (audit,), query=query)
                    for result, check in zip(results, audit.checks, strict=True):
                        if failures and result.sample:
                            rows[len(found)] = _rows(session, check)
                        found.append((label, result, check))
                except TaskError as error:
                    broken.append(f"{label}: {error.problem.message}")
    failed = [result for _, result, _ in found if result.status is CheckStatus.FAILED]
    if form is not None:
        from sqlflow.cli.check_report import Entry, ReportForm, categories, report
        from sqlflow.quality.forms import Category

        about = categories(compiled)
        entries = [
            Entry(label, about.get((label, check.name), Category.BUSINESS), check.blocking, result)
            for label, result, check in found
        ]
        print(report(ReportForm(form), entries, broken))
    elif json:
        told = [{**_json(*one), **({"rows": rows[at]} if at in rows else {})} for at, one in enumerate(found)]
        print(to_json({"checks": told, "errors": broken}))
    else:
        for at, (label, result, check) in enumerate(found):
            _print(label, result)
            if at in rows:
                print(textwrap.indent(str(check.rows), "    "))
                more = result.failing > len(rows[at]) and len(rows[at]) == _MOST_ROWS
                for line in (*rows[at], *(("...",) if more else ())):
                    print(f"      {line}")
    for text in broken:
        print(f"error: {text}", file=sys.stderr)
    for label, table, _ in missing:
        what = "its checks were" if label == str(table) else f"`{label}` was"
        print(f"warning: `{table}` is not built yet; {what} not run", file=sys.stderr)
    warned = sum(result.status is CheckStatus.WARNED for _, result, _ in found)
    counts = [f"{len(found) - len(failed) - warned} passed", f"{warned} warned", f"{len(failed)} failed"]
    counts += [f"{len(broken)} did not work"] if broken else []
    not_run = sum(count for _, _, count in missing)
    counts += [f"{not_run} not run"] if not_run else []
    read = f" in {counted(scans, 'scan')}" if scans else ""
    print(f"{counted(len(found) + len(broken) + not_run, 'check')}{read}: {', '.join(counts)}", file=sys.stderr)
    return 1 if failed or broken else 0


def _known_tags(compiled: Compiled, tags: Sequence[str]) -> None:
    """Raise ProjectError where no check has a tag."""
    known = {tag for checks in checks_of_inputs(compiled.project).values() for check in checks for tag in check.tags}
    for model in compiled.models.values():
        known |= {tag for check in checks_of(model.header) for tag in check.tags}
        known |= set(model.header.tags) if model.header.promise.tests else set()
    for tag in tags:
        if tag not in known:
            there = "known: " + ", ".join(f"`{one}`" for one in sorted(known)[:8]) if known else "no check has tags"
            hint = did_you_mean(tag, sorted(known)) or there
            raise one_problem("unknown-selection", f"no check has the tag `{tag}`", None, hint)


def _asked(
    compiled: Compiled, wanted: Collection[TableName], tags: frozenset[str]
) -> Iterator[tuple[str, tuple[Audit, ...], tuple[TableName, ...], MappedText | None]]:
    """What is checked: its label, the queries, the tables that must be there, and the text of a query in tests/. Sources and
    seeds come first, tests last."""

    def asked_for(checks: Sequence[CheckSpec]) -> list[CheckSpec]:
        return [check for check in checks if not tags or not tags.isdisjoint(check.tags)]

    for name, checks in checks_of_inputs(compiled.project).items():
        if name in wanted and name in compiled.columns:
            yield str(name), audits(name, asked_for(checks), None, compiled.columns[name].names, clock()), (name,), None
    for name in sorted(compiled.order, key=lambda name: compiled.models[name].header.promise.tests):
        model = compiled.models[name]
        if name not in wanted:
            continue
        if model.header.promise.tests:
            if tags and tags.isdisjoint(model.header.tags):
                continue
            parents = tuple(table for table in model.parents if table in compiled.models)
            yield _label(model), test_audits(model), parents, model.query
        elif model.header.promise.stands:
            queries = audits(name, asked_for(checks_of(model.header)), None, model.schema.names, clock())
            yield _label(model), queries, (name,), None


def _label(model: CompiledModel) -> str:
    """A model by its name, a test by its file."""
    return str(model.model.file.path if model.header.promise.tests else model.name)


_MOST_ROWS = 100


def _rows(session: Session, check: CheckQuery) -> list[str]:
    """The first of all rows that fail."""
    return [show_row(row) for row in session.fetch(compose("{rows} LIMIT {n}", rows=check.rows, n=_MOST_ROWS))]


def _json(name: str, result: CheckResult, check: CheckQuery) -> dict[str, object]:
    return {
        "table": name,
        "check": result.check,
        "status": str(result.status),
        "failing": result.failing,
        "sample": list(result.sample),
        "description": check.description,
        "sql": str(check.rows),
    }


_MOST_SAMPLES = 3


def _print(name: str, result: CheckResult) -> None:
    rows = ""
    if result.sample:
        such_as = ", ".join(result.sample[:_MOST_SAMPLES])
        rows = f"  found {such_as}" if result.total else f"  {counted(result.failing, 'row')}, such as {such_as}"
    elif result.failing and result.status is CheckStatus.PASSED:
        rows = f"  {counted(result.failing, 'row')}, as many as may fail"
    print(visible(f"{result.status:<7} {name}  {result.check}{rows}"))
    if result.description and result.status is not CheckStatus.PASSED:
        for line in visible_lines(result.description):
            print(f"        {line}")
