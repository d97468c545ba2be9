"""What is asked for: selections as names, with what can only be told from records, runs, plans or git."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Collection, Mapping, Sequence

from sqlflow.core.compiled import Compiled
from sqlflow.core.config import Config, Request
from sqlflow.core.diagnostics import Diagnostic, Severity
from sqlflow.core.graph import ModelGraph
from sqlflow.core.model import Project
from sqlflow.core.names import TableName, unquoted
from sqlflow.core.plan import Plan
from sqlflow.core.records import Status, TableRecord
from sqlflow.core.store import StateStore
from sqlflow.graph.selection import Universe, select, with_their_tests

Wanted = Callable[[Project, ModelGraph], Collection[TableName] | None]


def selected_by(selection: Sequence[str], exclude: Sequence[str], config: Config) -> Wanted | None:
    """What a selection asks for; None where that is everything, or can only be told when everything is compiled."""
    if not selection or any("state:" in term for term in (*selection, *exclude)):
        return None

    def wanted(project: Project, graph: ModelGraph) -> Collection[TableName] | None:
        methods = {"git": lambda ref: _changed_since(config, ref, project)}
        universe = Universe(
            lambda: graph.graph,
            {model.name: model for model in project.models},
            (*project.seeds, *project.sources),
            methods,
        )
        names, wrong = select(selection, (), universe)
        return None if wrong else with_their_tests(names, (), universe)

    return wanted


def called(text: str, *, downstream: bool = False) -> Wanted:
    """The model that is called so, with or without its schema, or that a column written so belongs to.

    `downstream`: with all that is made from it.
    """

    def wanted(project: Project, graph: ModelGraph) -> Collection[TableName]:
        plain = unquoted(text).lower()
        spellings = {plain, plain.rpartition(".")[0]}
        names = [n for n in graph.order if n.name.lower() in spellings or str(n).lower() in spellings]
        if not downstream:
            return names
        inputs = (*project.seeds, *project.sources, *graph.undeclared)
        names += [n for n in inputs if n.name.lower() in spellings or str(n).lower() in spellings]
        found = set(names)
        rows = {reader.name: reader.parents for reader in graph.readers}
        for name in graph.order:  # parents first
            if not found.isdisjoint(rows[name]):
                found.add(name)
        return found

    return wanted


def needed(wanted: Wanted | None, project: Project, graph: ModelGraph) -> Collection[TableName] | None:
    """The models that are asked for and all that they read; None for all."""
    asked = wanted(project, graph) if wanted is not None else None
    if asked is None:
        return None
    readers = {reader.name: reader for reader in graph.readers}
    found: set[TableName] = set()
    stack = [name for name in asked if name in readers]
    while stack:
        name = stack.pop()
        if name not in found:
            found.add(name)
            stack.extend(parent for parent in readers[name].parents if parent in readers)
    return found


def made_from(inputs: Collection[TableName], project: Project, graph: ModelGraph) -> frozenset[TableName]:
    """The models that read one of these, themselves or in a check, and all that is made from those or comes after them."""
    children: dict[TableName, list[TableName]] = {}
    for reader in graph.readers if inputs else ():
        for parent in reader.parents:
            children.setdefault(parent, []).append(reader.name)
    for model in project.models if inputs else ():
        for check in model.header.checks:
            for table in check.tables:
                children.setdefault(table, []).append(model.name)
    found: set[TableName] = set()
    stack = list(inputs)
    while stack:
        fresh = [child for child in children.get(stack.pop(), ()) if child not in found]
        found.update(fresh)
        stack += fresh
    return frozenset(found)


def universe_of(
    compiled: Compiled,
    graph: ModelGraph,
    config: Config,
    records: Mapping[TableName, TableRecord],
    store: StateStore | None,
    plan_all: Callable[[], Plan],
) -> Universe:
    """Everything of a project that can be selected. `plan_all` gives the plan of a whole build, for `state:stale`."""
    methods: dict[str, Callable[[str], Collection[TableName] | None]] = {
        "state": lambda state: _in_state(state, compiled, records, store, plan_all),
        "git": lambda ref: _changed_since(config, ref, compiled.project),
    }
    project = compiled.project
    models = {model.name: model for model in project.models}
    return Universe(lambda: graph.graph, models, (*project.seeds, *project.sources), methods)


def _in_state(
    state: str,
    compiled: Compiled,
    records: Mapping[TableName, TableRecord],
    store: StateStore | None,
    plan_all: Callable[[], Plan],
) -> Collection[TableName] | None:
    # Of a model that could not be compiled nobody can say that it is as it was.
    unknown = [model.name for model in compiled.project.models if model.name not in compiled.models]
    match state:
        case "new":
            models = compiled.project.models
            return [m.name for m in models if m.name not in records and not m.header.promise.inlined]
        case "modified":
            changed = [
                name
                for name, model in compiled.models.items()
                if name in records and records[name].fingerprint != model.fingerprint
            ]
            return [*changed, *(name for name in unknown if name in records)]
        case "stale":
            return {task.table for task in plan_all().tasks} | set(unknown)
        case "failed":
            return _failed_last(store, compiled)
        case _:
            return None


def _failed_last(store: StateStore | None, compiled: Compiled) -> Collection[TableName]:
    """Models whose newest result is a failure, or that were not reached because of one."""
    newest: dict[TableName, Status] = {}
    for run_record in store.runs(50) if store is not None else ():
        of_run: dict[TableName, Status] = {}
        for result in run_record.results:
            worst = of_run.get(result.table)
            if worst in (None, Status.DONE):
                of_run[result.table] = result.status
        for name, status in of_run.items():
            newest.setdefault(name, status)
    models = {model.name for model in compiled.project.models}
    return [name for name, status in newest.items() if status is not Status.DONE and name in models]


def _changed_since(config: Config, ref: str, project: Project) -> Collection[TableName] | None:
    """Models whose file differs from what it was at a commit."""
    try:
        commit = _git(config, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}")[0].strip()
        changed = _git(config, "diff", "--name-only", "--relative", "-z", commit, "--")
        changed += _git(config, "ls-files", "--others", "--exclude-standard", "-z")
    except (OSError, subprocess.SubprocessError, UnicodeDecodeError):
        return None
    found = set(changed)
    return [model.name for model in project.models if str(model.file.path) in found]


def _git(config: Config, *arguments: str) -> list[str]:
    done = subprocess.run(
        ["git", "-C", str(config.root), *arguments], capture_output=True, text=True, check=True, timeout=30
    )
    return [text for text in done.stdout.split("\0") if text]


def not_restated(request: Request, selected: Collection[TableName], compiled: Compiled) -> list[Diagnostic]:
    """`--start/--end` mean something only for incremental models."""
    if request.start is None and request.end is None:
        return []
    if request.start is not None and request.end is not None and request.start >= request.end:
        return [Diagnostic("empty-interval", "--start must be before --end; the end itself is not included")]
    if any(model.header.promise.timed for model in compiled.project.models if model.name in selected):
        return []
    return [
        Diagnostic(
            "nothing-to-restate",
            "--start/--end restate intervals of incremental models, and none is selected",
            None,
            "see `sqlflow list mode:incremental`",
            Severity.ERROR,
        )
    ]
