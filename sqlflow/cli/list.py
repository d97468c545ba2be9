"""`sqlflow list` and `sqlflow lint`."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from sqlflow.cli.reading import chosen, reading
from sqlflow.cli.render import diagnostics_json, render_diagnostics, render_table, to_json
from sqlflow.core.clock import ClockRule, Nature, depends_on, words_of
from sqlflow.core.compiled import ColumnLineage, Compiled, CompiledModel
from sqlflow.core.diagnostics import Diagnostic, Severity
from sqlflow.core.names import TableName
from sqlflow.core.source import Span


def list_project(
    selection: Sequence[str],
    exclude: Sequence[str],
    project: Path | None,
    target: str | None,
    variables: Sequence[str],
    *,
    json: bool,
) -> int:
    """Print what a selection stands for. The exit code."""
    with reading(project, target, variables, without_database=True) as found:
        compiled = found.checked.compiled
        rows = [_row(compiled, name) for name in sorted(chosen(found, selection, exclude))]
    if json:
        print(to_json(rows))
    else:
        shown = ("name", "kind", "tags", "description")
        width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
        print(render_table(shown, [[str(row[key]) for key in shown] for row in rows], width=width))
    return 0


def _row(compiled: Compiled, name: TableName) -> dict[str, object]:
    model = next((m for m in compiled.project.models if m.name == name), None)
    if model is not None:
        made = compiled.models.get(name)
        return {
            "name": str(name),
            "kind": str(model.header.mode),
            "tags": ", ".join(sorted(model.header.tags)),
            "description": model.header.description.split("\n")[0],
            "owner": model.header.owner,
            "file": str(model.file.path),
            "columns": [c.name for c in made.schema] if made else [],
        }
    seed = compiled.project.seeds.get(name)
    if seed is not None:
        return {"name": str(name), "kind": "seed", "tags": "", "description": seed.description, "file": seed.path}
    source = compiled.project.sources[name]
    where = source.path or str(source.table or name)
    return {"name": str(name), "kind": "source", "tags": "", "description": source.description, "file": where}


def lint_project(project: Path | None, target: str | None, variables: Sequence[str], *, json: bool) -> int:
    """Print what is allowed but worth a look. The exit code is 0: nothing of it is an error. Raises ProjectError
    for unit tests that are wrong."""
    with reading(project, target, variables, without_database=True) as found:
        problems = [*found.checked.warnings, *_worth_a_look(found.checked.compiled)]
        if (found.opened.config.root / "tests").is_dir():
            from sqlflow.cli.units import warnings_of_units

            problems += warnings_of_units(found.checked, found.opened)
    if json:
        print(to_json(diagnostics_json(problems)))
    elif problems:
        print(render_diagnostics(problems, color=sys.stdout.isatty()))
    else:
        print("nothing to report", file=sys.stderr)
    return 0


def _worth_a_look(compiled: Compiled) -> list[Diagnostic]:
    found = []
    for name in compiled.undeclared:
        readers = [m for m in compiled.models.values() if name in m.parents]
        found.append(
            Diagnostic(
                "undeclared-source",
                f"`{name}` is read by {', '.join(f'`{m.name}`' for m in readers)} and declared nowhere",
                readers[0].query.span(0) if readers else None,
                "declare it in sources/*.yml, so that its columns and its cursor are known",
                Severity.WARNING,
            )
        )
    for model in compiled.models.values():
        found += _about_the_clock(compiled, model)
        if not model.lineage.complete and not model.header.promise.tests:
            found.append(
                Diagnostic(
                    "opaque-query",
                    f"SQLFlow cannot trace all columns of `{model.name}`",
                    model.query.span(0),
                    "each edit of what it reads rebuilds it",
                    Severity.WARNING,
                )
            )
    return found


def _holds_data(compiled: Compiled, column: ColumnLineage) -> bool:
    """Whether a column that tells when its row was written is made of data as well, views looked through."""
    for ref in column.direct:
        parent = compiled.models.get(ref.table)
        if parent is None or ref.column.lower() not in parent.written or not parent.header.promise.is_view:
            return True
        if any(_holds_data(compiled, c) for c in parent.lineage.columns if c.name.lower() == ref.column.lower()):
            return True
    return False


def _about_the_clock(compiled: Compiled, model: CompiledModel) -> Iterator[Diagnostic]:
    """What of a table depends on when it is built, by whom, or on chance."""
    rule, name = model.header.clock, model.name
    place = model.header.spans.get("clock", model.query.span(0))
    unknown = [item for item in model.clock if item.nature is Nature.UNKNOWN]
    known = [item for item in model.clock if item.nature is not Nature.UNKNOWN]
    drawn = [item for item in known if item.nature is Nature.CHANCE]
    stored = not model.header.promise.is_view  # a view keeps nothing, so nothing in it becomes old
    if rule is ClockRule.WRITTEN and known:
        yield _warning(
            f"the rows of `{name}` depend on {words_of(known)}, and `@clock: written` keeps those of the last build",
            place,
            "leave `@clock` out to rebuild the table when they may be others",
        )
    elif rule is ClockRule.AUTO and model.stale_by and stored:
        when = "in every build"
        if all(item.every is not None for item in model.stale_by):
            when = f"when {depends_on(model.stale_by)} changes"
        yield _warning(
            f"the rows of `{name}` depend on {words_of(model.stale_by)}, so it is built again {when}, even if no input changed",
            place,
            "use a variable or a column of the data instead, or say `-- @clock: written` to keep the rows of the last build",
        )
    if drawn:
        yield _warning(
            f"the rows of `{name}` are drawn by chance ({words_of(drawn)}): each rebuild gives others",
            place,
            "`sqlflow verify` cannot compare it",
        )
    for column in model.lineage.columns:
        items = model.written.get(column.name.lower(), ())
        if items and stored and rule is ClockRule.AUTO and _holds_data(compiled, column):
            every = next((item.every for item in items if item.every is not None), None)
            yield _warning(
                f"`{column.name}` of `{name}` is computed from data and {words_of(items)}: it keeps the value of the build "
                "that wrote the row",
                place,
                f"say `-- @clock: {every or 'always'}` to rebuild the table, or compute the column in a view",
            )
    if unknown:
        yield Diagnostic(
            "unsteady-function",
            f"`{name}` calls {words_of(unknown)}; neither SQLFlow nor the engine knows whether that gives the same each time",
            place,
            "if it depends on the time, say so with `-- @clock: always`",
            Severity.WARNING,
        )


def _warning(message: str, place: Span, hint: str) -> Diagnostic:
    return Diagnostic("depends-on-time", message, place, hint, Severity.WARNING)
