"""What the commands that only read have in common: a compiled project, and the tables as they stand."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from sqlflow.build.examine import Checked, compile_project
from sqlflow.build.prepare import prepare
from sqlflow.build.selecting import Wanted, universe_of
from sqlflow.build.standing import Standing, look_at
from sqlflow.cli.opening import DEFAULT_WAIT, Opened, clock, new_run_id, opened, read_settings, tell
from sqlflow.core.config import Request
from sqlflow.core.diagnostics import did_you_mean, one_problem, stop_on_errors
from sqlflow.core.engine import Found
from sqlflow.core.names import TableName, unquoted
from sqlflow.core.plan import Plan
from sqlflow.graph.selection import select, with_their_tests


class OpenProject(Struct, frozen=True):
    """An open project that compiles. `tables` is None where the database cannot be asked."""

    opened: Opened
    checked: Checked
    tables: Mapping[TableName, Found] | None
    standing: Standing


@contextmanager
def reading(
    project: Path | None,
    target: str | None,
    variables: Sequence[str],
    *,
    wait: float = DEFAULT_WAIT,
    without_database: bool = False,
    caching: bool = False,
    wanted: Wanted | None = None,
) -> Iterator[OpenProject]:
    """Open and compile a project, or what is `wanted` of it, without writing anything but, when `caching`, what it found out."""
    config = read_settings(project, target, variables)
    with opened(config, tell, writing=False, wait=wait, without_database=without_database, caching=caching) as found:
        standing = look_at(found.engine, config)
        tables = standing.tables if found.engine is not None else None
        remembered = found.store.sources() if found.store is not None and tables is None else {}
        if found.engine is None and found.store is not None:
            standing = replace(standing, records=found.store.load())
        checked = compile_project(found.workshop, tables, remembered, standing.records, wanted)
        yield OpenProject(found, checked, tables, standing)


def chosen(
    found: OpenProject, selection: Sequence[str], exclude: Sequence[str], *, and_tests: bool = False
) -> frozenset[TableName]:
    """The names that a selection stands for. `and_tests`: with the queries in tests/ that read something of it. Raises
    ProjectError."""
    workshop, store, standing = found.opened.workshop, found.opened.store, found.standing

    def plan_all() -> Plan:
        return prepare(workshop, found.checked, standing, store, Request(), new_run_id(), clock).plan

    universe = universe_of(
        found.checked.compiled, found.checked.graph, found.opened.config, standing.records, store, plan_all
    )
    names, problems = select(selection, exclude, universe)
    stop_on_errors(problems)
    return with_their_tests(names, exclude, universe) if and_tests else names


def find_name(checked: Checked, text: str) -> TableName:
    """The model, seed or source that is called so; a bare name will do where only one has it. Raises ProjectError."""
    project = checked.compiled.project
    names = [*(m.name for m in project.models), *project.seeds, *project.sources, *checked.compiled.undeclared]
    called = unquoted(text).lower()
    found = [name for name in names if str(name).lower() == called]
    found = found or [name for name in names if name.name.lower() == called]
    if len(found) == 1:
        return found[0]
    if found:
        listed = " or ".join(f"`{name}`" for name in found)
        raise one_problem(
            "ambiguous-table", f"`{text}` is ambiguous: it may be {listed}", None, "write the schema in front of it"
        )
    hint = did_you_mean(text, [str(name) for name in names]) or "see `sqlflow list`"
    raise one_problem("unknown-table", f"nothing in the project is called `{text}`", None, hint)
