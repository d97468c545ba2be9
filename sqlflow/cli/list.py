"""`sqlflow list` and `sqlflow lint`."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from sqlflow.cli.reading import chosen, reading
from sqlflow.cli.render import diagnostics_json, render_diagnostics, render_table, to_json
from sqlflow.core.compiled import Compiled
from sqlflow.core.diagnostics import Diagnostic, Severity
from sqlflow.core.model import Mode
from sqlflow.core.names import TableName
from sqlflow.project.columns import stray_words


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
    """Print what is allowed but worth a look. The exit code is 0: nothing of it is an error."""
    with reading(project, target, variables, without_database=True) as found:
        compiled, dialect = found.checked.compiled, found.opened.config.dialect
        stray = [problem for model in compiled.project.models for problem in stray_words(model.file, dialect)]
        problems = [*found.checked.warnings, *_worth_a_look(compiled), *stray]
    if json:
        print(to_json(diagnostics_json(problems)))
    elif problems:
        print(render_diagnostics(problems, color=sys.stdout.isatty()))
    else:
        print("nothing to say", file=sys.stderr)
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
        test = model.model.header.mode is Mode.TEST
        if model.clock:
            found.append(
                Diagnostic(
                    "depends-on-time",
                    f"`{model.name}` uses {', '.join(f'`{_word(word)}`' for word in model.clock)}, so it {'runs' if test else 'is built'} again even if nothing changed",
                    model.query.span(0),
                    "use a variable or a column of the data instead",
                    Severity.WARNING,
                )
            )
        if not model.lineage.complete and not test:
            found.append(
                Diagnostic(
                    "opaque-query",
                    f"where the columns of `{model.name}` come from is not wholly known",
                    model.query.span(0),
                    "any edit of what it reads rebuilds it",
                    Severity.WARNING,
                )
            )
    return found


def _word(clock: str) -> str:
    return "current_date" if clock == "day" else clock
