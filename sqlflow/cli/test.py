"""`sqlflow test`: the unit tests of models."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from sqlflow.cli.build import show_warnings
from sqlflow.cli.opening import read_settings
from sqlflow.cli.reading import OpenProject, chosen, reading
from sqlflow.cli.render import diagnostics_json, to_json
from sqlflow.cli.units import is_called, of_models, print_result, result_json, run_checked, summarize
from sqlflow.core.diagnostics import ProjectError
from sqlflow.core.units import UnitTest
from sqlflow.project.units import read_units
from sqlflow.unit.run import Outcome, UnitResult


def run_tests(
    selection: Sequence[str],
    exclude: Sequence[str],
    project: Path | None,
    target: str | None,
    variables: Sequence[str],
    *,
    threads: int | None,
    json: bool,
) -> int:
    """Run unit tests and print how each came out. Exit code 1 when one fails."""
    config = read_settings(project, target, variables)
    tests, wrong = read_units(config)
    try:
        with reading(project, target, variables, wait=0, without_database=True, caching=True) as found:
            wanted = _wanted(tests, selection, exclude, found)
            color = sys.stdout.isatty() and "NO_COLOR" not in os.environ

            def done(result: UnitResult) -> None:
                if not json:
                    print_result(result, color=color)

            at_once = threads or os.cpu_count() or 1
            results, warnings = run_checked(wanted, found.checked, found.opened, at_once, done, wrong)
    except ProjectError as error:
        raise ProjectError(list(dict.fromkeys([*error.diagnostics, *wrong]))) from error
    if json:
        answer = {"tests": [result_json(result) for result in results], "problems": diagnostics_json(warnings)}
        print(to_json(answer))
    show_warnings(warnings)
    if tests:
        summarize(results)
    else:
        print(
            "there are no unit tests: they are written in tests/*.yml; "
            "`sqlflow check` runs the checks of tables and the queries in tests/",
            file=sys.stderr,
        )
    return 1 if any(result.outcome is not Outcome.PASSED for result in results) else 0


def _wanted(
    tests: Sequence[UnitTest], selection: Sequence[str], exclude: Sequence[str], found: OpenProject
) -> tuple[UnitTest, ...]:
    """The tests that are called so, and those of the models that are selected. Raises ProjectError."""
    wanted = tests if not selection else _picked(tests, selection, found)
    left_out = _picked(tests, exclude, found) if exclude else ()
    return tuple(test for test in tests if test in wanted and test not in left_out)


def _picked(tests: Sequence[UnitTest], terms: Sequence[str], found: OpenProject) -> tuple[UnitTest, ...]:
    named = tuple(test for test in tests if any(is_called(test, term) for term in terms))
    tags = {f"tag:{tag}" for model in found.checked.compiled.project.models for tag in model.header.tags}
    others = [term for term in terms if term in tags or not any(is_called(test, term) for test in tests)]
    if not others:
        return named
    return (*named, *of_models(tests, chosen(found, others, ())))
