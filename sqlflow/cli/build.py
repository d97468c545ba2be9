"""`sqlflow build`, and the plan of one."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from msgspec import Struct

from sqlflow.build.examine import Checked, compile_what_can_be_read
from sqlflow.build.prepare import Prepared, prepare
from sqlflow.build.run import run
from sqlflow.build.selecting import selected_by
from sqlflow.build.standing import Standing, adopted, look_at, repair
from sqlflow.cli.opening import Opened, clock, command_line, new_run_id, opened, read_settings, tell
from sqlflow.cli.render import diagnostics_json, plan_json, render_diagnostics, render_plan, to_json
from sqlflow.core.config import Config, Request
from sqlflow.core.diagnostics import Diagnostic, Severity, one_problem
from sqlflow.core.engine import Engine
from sqlflow.core.events import Emit, Told
from sqlflow.core.intervals import moment_of
from sqlflow.core.records import Status
from sqlflow.observe.observers import Audience, observed
from sqlflow.plan.tiers import with_tiers


class Options(Struct, frozen=True):
    """The options of `build`, as typed."""

    selection: Sequence[str] = ()
    exclude: Sequence[str] = ()
    dry_run: bool = False
    sql: bool = False
    full_refresh: bool = False
    discard_history: bool = False
    start: str | None = None
    end: str | None = None
    threads: int | None = None
    fail_fast: bool = False
    test: bool = False
    project: Path | None = None
    target: str | None = None
    variables: Sequence[str] = ()
    wait: float = 10.0
    json: bool = False


def build(asked: Options) -> int:
    """Build, or print the plan of a build. The exit code."""
    config = read_settings(asked.project, asked.target, asked.variables)
    request = _request(asked)
    if asked.dry_run:
        return _dry_run(asked, config, request)
    audience = Audience(config.root, asked.json, sys.stdout, sys.stderr, os.environ)
    with observed(audience) as emit:
        return _build(asked, config, request, emit)


def _request(asked: Options) -> Request:
    return Request(
        selection=tuple(asked.selection),
        exclude=tuple(asked.exclude),
        full_refresh=asked.full_refresh,
        discard_history=asked.discard_history,
        start=_moment("--start", asked.start),
        end=_moment("--end", asked.end),
        threads=asked.threads or os.cpu_count() or 1,
        fail_fast=asked.fail_fast,
    )


def _moment(option: str, text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        return moment_of(text)
    except (ValueError, OverflowError):
        raise one_problem("bad-date", f"`{option} {text}` is not a date", None, "write it like 2013-07-01") from None


def _dry_run(asked: Options, config: Config, request: Request) -> int:
    with opened(config, tell, writing=False, wait=asked.wait) as found:
        standing = look_at(found.engine, config)
        wanted = selected_by(asked.selection, asked.exclude, config)
        checked = compile_what_can_be_read(found.workshop, standing.tables, standing.records, wanted)
        prepared = prepare(found.workshop, checked, standing, found.store, request, new_run_id(), clock)
        plan = with_tiers(prepared.plan, checked.compiled, prepared.shape_of)
    warnings = prepared.checked.warnings
    show_warnings(warnings)
    unreadable = [problem for found in plan.unreadable for problem in found.problems]
    if unreadable:
        print(render_diagnostics(unreadable, color=_color(sys.stderr.isatty())), file=sys.stderr)
    for note in prepared.inputs.notes:
        tell(Told(note))
    if asked.json:
        answer = plan_json(plan)
        problems = [p for found in (warnings, plan.problems, unreadable) for p in diagnostics_json(found)]
        print(to_json({**answer, "problems": problems, "analysed": sorted(prepared.checked.analysed)}))
    else:
        print(render_plan(plan, sql=asked.sql, color=_color(sys.stdout.isatty())))
    return 1 if unreadable else 0


def _build(asked: Options, config: Config, request: Request, emit: Emit) -> int:
    run_id = new_run_id()
    with opened(config, emit, writing=True, wait=asked.wait) as found:
        assert found.store is not None
        standing = adopted(look_at(found.engine, config), found.engine, config, emit)
        repair(standing, found.store, emit)
        wanted = selected_by(asked.selection, asked.exclude, config)
        checked = compile_what_can_be_read(found.workshop, standing.tables, standing.records, wanted)
        show_warnings(checked.warnings)
        if asked.json:
            for warning in checked.warnings:
                emit(Told(warning.message, warning.severity, warning))
        if asked.test and not _tests_pass(asked, found, checked, standing, request, emit):
            return 1
        with _database(found, asked.wait) as engine:
            if standing.session is None:
                standing = look_at(engine, config)
            prepared = prepare(found.workshop, checked, standing, found.store, request, run_id, clock)
            for note in prepared.inputs.notes:
                emit(Told(note))
            record = run(
                prepared, engine, found.store, request, command_line(), config.target.name, run_id, emit, clock, config
            )
        _tell_orphans(prepared)
    return {Status.DONE: 0, Status.CANCELLED: 130}.get(record.status, 1)


def _tests_pass(
    asked: Options, found: Opened, checked: Checked, standing: Standing, request: Request, emit: Emit
) -> bool:
    """Whether the unit tests pass of all models that will be built, and of the inline models in them. Those that do not are told.
    Raises ProjectError for tests that are wrong."""
    from sqlflow.cli.units import print_result, run_checked, summarize, tests_before
    from sqlflow.unit.run import Outcome, UnitResult

    plan = prepare(found.workshop, checked, standing, found.store, request, new_run_id(), clock).plan
    tests, wrong = tests_before(plan, checked, found.config)

    def done(result: UnitResult) -> None:
        if result.outcome is Outcome.PASSED:
            return
        print_result(result, color=_color(sys.stderr.isatty()), file=sys.stderr)
        if asked.json:
            message = f"the unit test `{result.test.name}` of `{result.model}` {result.outcome}"
            emit(Told(message, Severity.ERROR, Diagnostic("test-failed", message, result.test.place.span)))

    results, problems = run_checked(tests, checked, found, request.threads, done, wrong)
    show_warnings([problem for problem in problems if problem.severity is Severity.WARNING])
    if results:
        summarize(results)
    failed = sum(result.outcome is not Outcome.PASSED for result in results)
    if failed:
        print("nothing was built: mend the models or their tests, or build without --test", file=sys.stderr)
    return not failed


@contextmanager
def _database(found: Opened, wait: float) -> Iterator[Engine]:
    """The open database, or a new one: it is created only when the project is known to be right."""
    if found.engine is not None:
        yield found.engine
        return
    created = found.module.open_engine(
        found.config, writing=True, create=True, wait=wait, emit=found.emit, files=found.files
    )
    assert created is not None
    try:
        yield created
    finally:
        created.close()


def _tell_orphans(prepared: Prepared) -> None:
    orphans = prepared.plan.orphans
    if orphans:
        listed = ", ".join(f"`{name}`" for name in orphans[:5]) + (" and others" if len(orphans) > 5 else "")
        print(
            f"warning: these tables belong to no model any more: {listed}; "
            "`sqlflow clean --drop` drops what is left over",
            file=sys.stderr,
        )


def show_warnings(warnings: Sequence[Diagnostic]) -> None:
    """Warnings in full on stderr, and in one line what is written and not available yet."""
    later = [warning for warning in warnings if warning.code == "not-available-yet"]
    others = [warning for warning in warnings if warning.code != "not-available-yet"]
    if others:
        print(render_diagnostics(others, color=_color(sys.stderr.isatty())), file=sys.stderr)
    if later:
        more = f" (and {len(later) - 1} more, see `sqlflow lint`)" if len(later) > 1 else ""
        print(f"warning: {later[0].message}{more}", file=sys.stderr)


def _color(terminal: bool) -> bool:
    return terminal and "NO_COLOR" not in os.environ
