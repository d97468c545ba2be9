"""Unit tests of models, chosen, run and printed: for `sqlflow test`, and for a build that begins with them."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from fnmatch import fnmatchcase
from typing import TextIO

from sqlflow.build.examine import Checked
from sqlflow.cli.opening import Opened
from sqlflow.cli.render import diagnostics_json, render_diagnostics, render_table, value_text
from sqlflow.core.amounts import counted
from sqlflow.core.config import Config
from sqlflow.core.diagnostics import Diagnostic, stop_on_errors
from sqlflow.core.names import TableName
from sqlflow.core.plan import Plan
from sqlflow.core.text import MappedText
from sqlflow.core.units import UnitTest
from sqlflow.observe.text import Paint, Style, ansi, uncolored
from sqlflow.project.units import read_units
from sqlflow.unit.alone import Surroundings
from sqlflow.unit.check import check_units, model_called
from sqlflow.unit.compare import Difference, Line, Mark
from sqlflow.unit.run import Outcome, UnitResult, run_units


def of_models(tests: Sequence[UnitTest], names: Collection[TableName]) -> tuple[UnitTest, ...]:
    """The tests of these models."""
    return tuple(test for test in tests if not set(model_called(test.model, names)).isdisjoint(names))


def is_called(test: UnitTest, term: str) -> bool:
    """Whether a term of a selection is the name of a test, a tag of it, or the file or folder in which it stands."""
    folded, path = term.lower().removeprefix("./"), str(test.place.file.path).lower()
    return (
        fnmatchcase(test.name.lower(), folded)
        or path == folded
        or folded in {f"tag:{tag.lower()}" for tag in test.tags}
        or (folded.startswith("tests/") and path.startswith(folded.rstrip("/") + "/"))
    )


def tests_before(plan: Plan, checked: Checked, config: Config) -> tuple[tuple[UnitTest, ...], list[Diagnostic]]:
    """The tests of what a plan builds, and of the inline models in it; and what is wrong with the files of tests."""
    tests, wrong = read_units(config)
    around = Surroundings(checked)
    built = [task.table for task in plan.tasks if task.table in checked.compiled.models]
    inlined = {name for table in built for name in around.read_by(table, ())[1]}
    return of_models(tests, {*built, *inlined}), wrong


def warnings_of_units(checked: Checked, found: Opened) -> list[Diagnostic]:
    """What is worth a look in the files of tests, which are not run. Raises ProjectError when something is wrong."""
    tests, wrong = read_units(found.config)
    if tests:
        wrong += check_units(tests, checked, found.workshop)[1]
    stop_on_errors(wrong)
    return wrong


def run_checked(
    tests: Sequence[UnitTest],
    checked: Checked,
    found: Opened,
    threads: int,
    done: Callable[[UnitResult], None],
    wrong: Sequence[Diagnostic] = (),
) -> tuple[list[UnitResult], list[Diagnostic]]:
    """Run tests on a compiled project; the results, and warnings. Raises ProjectError when one of them is wrong. `wrong`: what
    is known to be."""
    tried, found_wrong = check_units(tests, checked, found.workshop)
    problems = [*wrong, *found_wrong]
    stop_on_errors(problems)
    models = checked.compiled.models

    def query(name: TableName) -> MappedText:
        return models[name].query

    return run_units(tried, query, found.config, found.module, threads, done), problems


# ---------------------------------------------------------------- in words


def print_result(result: UnitResult, *, color: bool, file: TextIO | None = None) -> None:
    """How a test came out, with the rows that differ."""
    out = file or sys.stdout
    paint = ansi if color else uncolored
    style = Style.GOOD if result.outcome is Outcome.PASSED else Style.ERROR
    word = paint(f"{result.outcome:<7}", style)
    print(f"{word} {result.model}  {result.test.name}", file=out)
    for unlike in result.differences:
        if unlike.step:
            print(f"        after step {unlike.step}:", file=out)
        print("\n".join(f"        {line}" for line in difference_lines(unlike.difference, paint)), file=out)
    if result.problem is not None:
        told = render_diagnostics([result.problem], color=color).split("\n\n")[0]
        print("\n".join(f"        {line}".rstrip() for line in told.splitlines()), file=out)


def difference_lines(found: Difference, paint: Paint) -> list[str]:
    """The rows that differ as a table, a cell that differs as `expected -> given`; then how many there are."""
    shown = found.lines[:_MOST_LINES]
    table = render_table(found.columns, [_cells(line) for line in shown], width=None).splitlines()
    lines = ["the rows are as expected, in another order (~, expected -> given):"] if found.only_order else []
    lines += [f"  {text}" for text in table[:2]]
    lines += [paint(f"{line.mark} {text}", _STYLES[line.mark]) for text, line in zip(table[2:], shown, strict=True)]
    if len(found.lines) > len(shown):
        lines.append(f"and {counted(len(found.lines) - len(shown), 'row')} more")
    return lines if found.only_order else [*lines, _summary(found)]


_MOST_LINES = 50
_STYLES = {Mark.DIFFERS: Style.WARNING, Mark.MISSING: Style.ERROR, Mark.SURPLUS: Style.ERROR}


def _cells(line: Line) -> list[str]:
    if line.expected is None or line.given is None:
        only = line.expected if line.given is None else line.given
        return [value_text(value) for value in only or ()]
    cells = []
    for number, (expected, given) in enumerate(zip(line.expected, line.given, strict=True)):
        if number not in line.differing:
            cells.append(value_text(expected))
            continue
        texts = _told_apart(expected), _told_apart(given)
        cells.append(" -> ".join(texts if texts[0] != texts[1] else (repr(expected), repr(given))))
    return cells


def _told_apart(value: object) -> str:
    """A text at whose ends there is something that nobody would see, in quotes."""
    text = value_text(value)
    return f"'{text}'" if isinstance(value, str) and (text != text.strip() or not text or text == "NULL") else text


def _summary(found: Difference) -> str:
    count = Counter(line.mark for line in found.lines)
    parts = []
    if count[Mark.DIFFERS]:
        parts.append(f"{counted(count[Mark.DIFFERS], 'row')} differ{'s' if count[Mark.DIFFERS] == 1 else ''} (~, expected -> given)")  # fmt: skip
    if count[Mark.MISSING]:
        parts.append(f"{counted(count[Mark.MISSING], 'row')} missing (-)")
    if count[Mark.SURPLUS]:
        parts.append(f"{counted(count[Mark.SURPLUS], 'row')} not expected (+)")
    return ", ".join([*parts, f"{counted(found.equal, 'row')} as expected"])


def summarize(results: Sequence[UnitResult]) -> None:
    count = Counter(result.outcome for result in results)
    parts = [f"{count[outcome]:,} {_WORDS[outcome]}" for outcome in Outcome if count[outcome]]
    print(f"{counted(len(results), 'unit test')}: {', '.join(parts)}", file=sys.stderr)


_WORDS = {Outcome.PASSED: "passed", Outcome.FAILED: "failed", Outcome.BROKEN: "could not be run"}


def result_json(result: UnitResult) -> dict[str, object]:
    """A result as values for `to_json`."""
    span = result.test.place.span
    return {
        "test": result.test.name,
        "model": result.model,
        "file": str(span.path),
        "line": span.line,
        "outcome": str(result.outcome),
        "seconds": round(result.seconds, 4),
        "differences": [
            {
                "step": unlike.step or None,
                "columns": list(unlike.difference.columns),
                "only_order": unlike.difference.only_order,
                "equal": unlike.difference.equal,
                "rows": [
                    {
                        "mark": str(line.mark),
                        "expected": None if line.expected is None else list(line.expected),
                        "given": None if line.given is None else list(line.given),
                        "differing": [unlike.difference.columns[number] for number in line.differing],
                    }
                    for line in unlike.difference.lines
                ],
            }
            for unlike in result.differences
        ],
        "problems": diagnostics_json([result.problem] if result.problem is not None else []),
    }
