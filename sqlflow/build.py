"""The life of a build on one screen: read -> link -> compile -> look -> plan -> run -> record.

Commands share these functions by calling them; what they need of the outside (a binder, an engine, a store, a clock)
is handed to them.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from itertools import zip_longest
from pathlib import PurePath, PurePosixPath

from msgspec import Struct
from msgspec.structs import replace

from sqlflow.changes.blame import file_to_blame
from sqlflow.changes.columns import input_columns
from sqlflow.changes.look import Warehouse, look
from sqlflow.changes.witness import RunWitnesses
from sqlflow.compiler.compile import Judged, Trees, compile_models, parse_models
from sqlflow.compiler.shapes import not_followed, shapes_of
from sqlflow.core.cache import Cache
from sqlflow.core.compiled import Compiled
from sqlflow.core.config import Config, Request
from sqlflow.core.delta import Shape
from sqlflow.core.diagnostics import Diagnostic, ProjectError, Severity, stop_on_errors
from sqlflow.core.engine import Binder, Engine, EngineError, Found, Interrupted, Session, Traits
from sqlflow.core.events import Clock, Emit, PlanChanged, RunFinished, RunStarted, Told
from sqlflow.core.graph import ModelGraph
from sqlflow.core.inputs import Inputs
from sqlflow.core.known import KnownModel, KnownProject, Parsed, Settings
from sqlflow.core.later import Later
from sqlflow.core.model import Mode, Project
from sqlflow.core.names import TableName
from sqlflow.core.plan import Plan, Signature
from sqlflow.core.records import RunRecord, Status, TableKind, TableRecord, TaskResult
from sqlflow.core.schema import Schema
from sqlflow.core.source import Span
from sqlflow.core.store import StateStore
from sqlflow.core.words import counted
from sqlflow.graph.link import Linked, link
from sqlflow.graph.selection import Universe, select, with_their_tests
from sqlflow.plan.plan import make_plan
from sqlflow.project.read import (
    Texts,
    broken_macros,
    calls_of,
    keeps_values,
    place_of_call,
    read_project,
    read_texts,
    settings_of,
    still_known,
)
from sqlflow.runner.execute import Blame, execute, of_itself
from sqlflow.state import warehouse as memory


class Workshop(Struct, frozen=True):
    """What compiling needs of the outside. `version`: of the programs whose judgement the cache may hold."""

    config: Config
    binder: Binder
    cache: Cache
    version: str


class Checked(Struct, frozen=True):
    """A project that compiles, its graph, and the warnings about it. `analysed`: the models that were not as they had
    been, so that their queries were judged again, or their judgement looked up."""

    compiled: Compiled
    graph: ModelGraph
    warnings: tuple[Diagnostic, ...]
    analysed: tuple[TableName, ...] = ()


Wanted = Callable[[Project, ModelGraph], Collection[TableName] | None]


class Examined(Struct, frozen=True):
    """All that is known of a project, right or wrong: what each stage made of it, and what each found wrong."""

    project: Project
    parsed: Mapping[TableName, Later[Parsed]]
    graph: ModelGraph
    compiled: Compiled
    unreadable: tuple[Diagnostic, ...] = ()
    malformed: tuple[Diagnostic, ...] = ()
    unlinked: tuple[Diagnostic, ...] = ()
    unread: tuple[Diagnostic, ...] = ()
    wrong: tuple[Diagnostic, ...] = ()
    unfit: tuple[Diagnostic, ...] = ()
    analysed: tuple[TableName, ...] = ()

    @property
    def problems(self) -> tuple[Diagnostic, ...]:
        return (*self.unreadable, *self.malformed, *self.unlinked, *self.unread, *self.wrong, *self.unfit)


def compile_project(
    workshop: Workshop,
    tables: Mapping[TableName, Found] | None,
    remembered: Mapping[TableName, Schema],
    records: Mapping[TableName, TableRecord],
    wanted: Wanted | None = None,
) -> Checked:
    """Read everything and compile what is wanted; see `examine`. Raises ProjectError with every problem of the project."""
    found = examine(workshop, tables, remembered, records, wanted)
    stop_on_errors(found.problems)
    return Checked(found.compiled, found.graph, found.problems, found.analysed)


def examine(
    workshop: Workshop,
    tables: Mapping[TableName, Found] | None,
    remembered: Mapping[TableName, Schema],
    records: Mapping[TableName, TableRecord],
    wanted: Wanted | None = None,
) -> Examined:
    """Read and compile what can be. `tables`: what stands in the database, None when it cannot be asked. `records`: of
    the tables that SQLFlow made; one that nothing in the project makes any more is no source for others. `wanted`: says which
    models are asked for, None for all; others are analysed only if those read them.
    """
    config, cache = workshop.config, workshop.cache
    trees: Trees = {}
    texts = read_texts(config)
    settings = settings_of(config, texts, workshop.version)
    known = cache.known({path: (text.digest, text.file) for path, text in texts.models.items()})
    known = still_known(known, settings, config, texts) if known is not None else None
    project, unreadable = read_project(config, cache, workshop.version, texts, known)
    parsed, malformed = parse_models(
        project,
        config.target_dialect,
        workshop.binder,
        cache,
        workshop.version,
        trees,
        hopeless(unreadable) | calling_broken_macros(texts, unreadable),
        known,
    )
    existing, own = standing_names(tables, remembered, records)
    linked, unlinked = link(project, parsed, existing, config.default_schema, own, cache, known)
    graph = linked.graph
    needed = _needed(wanted, project, graph)
    columns, read, unread = input_columns(
        project,
        graph.undeclared,
        config,
        workshop.binder,
        tables,
        remembered,
        cache,
        workshop.version,
        _wrong_inputs(project, unreadable),
    )
    judged, wrong = compile_models(
        project, graph, parsed, columns, config, workshop.binder, cache, workshop.version, trees, known, needed
    )
    judged = replace(judged, compiled=replace(judged.compiled, readings=read))
    wrong = [_at_its_macro(problem, texts) for problem in wrong]
    wrong += not_followed(judged.compiled, _shapes(workshop, judged.compiled))
    found = Examined(
        project,
        parsed,
        graph,
        judged.compiled,
        tuple(unreadable),
        tuple(malformed),
        tuple(unlinked),
        tuple(unread),
        tuple(wrong),
        unfit(project, config, workshop.binder.traits),
        judged.analysed,
    )
    right = not any(problem.severity is Severity.ERROR for problem in found.problems)
    whole = known is not None and known.linked == linked.digest and len(known.models) == len(project.models)
    if right and (judged.analysed or not whole):
        _remember(cache, settings, texts, project, parsed, linked, judged, known, found.problems)
    return found


def hopeless(unreadable: Iterable[Diagnostic]) -> set[PurePath]:
    """Files in which something is wrong that makes the engine's judgement of the query worthless."""
    return {p.span.path for p in unreadable if p.span is not None and p.code in _HIDES_THE_QUERY}


def calling_broken_macros(texts: Texts, problems: Sequence[Diagnostic]) -> set[PurePath]:
    """Files whose query calls a macro in whose definition something is wrong."""
    names = broken_macros(texts, problems)
    if not names:
        return set()
    return {text.file.path for text in texts.models.values() if not names.isdisjoint(calls_of(text.file.text.lower()))}


def standing_names(
    tables: Mapping[TableName, Found] | None,
    remembered: Mapping[TableName, Schema],
    records: Mapping[TableName, TableRecord],
) -> tuple[set[TableName], set[TableName]]:
    """The tables that are there without the project, and those that SQLFlow made."""
    own = {name for name, record in records.items() if record.made}
    return {*(tables or {}), *remembered} - own, own


def unfit(project: Project, config: Config, traits: Traits) -> tuple[Diagnostic, ...]:
    """What does not go with the target or with its sandbox."""
    return (
        *_like_the_database(project, config),
        *_sandbox_hooks(project, config),
        *_names_that_cannot_be(project, traits.longest_name),
    )


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
        spellings = {text.lower(), text.lower().rpartition(".")[0]}
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


def _needed(wanted: Wanted | None, project: Project, graph: ModelGraph) -> Collection[TableName] | None:
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


def _remember(
    cache: Cache,
    settings: Settings,
    texts: Texts,
    project: Project,
    parsed: Mapping[TableName, Later[Parsed]],
    linked: Linked,
    judged: Judged,
    known: KnownProject | None,
    found: Sequence[Diagnostic],
) -> None:
    """Have the cache give this project the next time, without the models about which there is something to tell."""
    unread = {problem for problem in texts.problems if problem.severity is Severity.WARNING}  # found each time
    told = {str(p.span.path) if p.span is not None else "" for p in found if p not in unread}
    if any(place not in texts.models and not place.startswith(("sources/", "seeds/")) for place in told):
        return
    models: dict[str, KnownModel] = {}
    unlike = _other_rows(known, linked.graph)
    for model in project.models:
        path, name = str(model.file.path), model.name
        before = known.models.get(path) if known is not None else None
        compiled = judged.compiled.models.get(name)
        if path in told or not keeps_values(model):
            continue
        if before is not None and before.compiled.model is model and (compiled is None or compiled is before.compiled):
            if name not in unlike or compiled is not None:
                models[path] = before
            continue
        if compiled is None:
            continue
        models[path] = KnownModel(
            digest=texts.models[path].digest,
            parsed=parsed[name],
            linked=linked.by_model[name],
            columns=judged.columns[name],
            key=judged.keys[name],
            compiled=compiled,
        )
    disabled = {path: texts.models[path].digest for _, path in project.disabled}
    cache.keep(KnownProject(settings, models, disabled, linked.digest, linked.graph))


def _other_rows(known: KnownProject | None, graph: ModelGraph) -> Collection[TableName]:
    """The models that read otherwise than they did: what was not judged now, for nobody asked for it, may be out of date."""
    if known is None or known.graph is graph:
        return ()
    before = {reader.name: reader for reader in known.graph.readers}
    return {reader.name for reader in graph.readers if before.get(reader.name) != reader}


# Problems of a file after which the engine's judgement of the query would only repeat or confuse them.
_HIDES_THE_QUERY = frozenset({"unknown-variable", "placeholder", "macro-call", "template", "interval-bounds"})


def _at_its_macro(problem: Diagnostic, texts: Texts) -> Diagnostic:
    """A function that is unknown, at the macro in whose definition it stands; so it is told once."""
    if problem.code != "unknown-function" or problem.span is None or "`" not in problem.message:
        return problem
    name = problem.message.split("`")[1]
    text = texts.models.get(str(problem.span.path))
    if text is None or name.lower() in calls_of(text.file.text.lower()):
        return problem
    for file in texts.macros:
        if (at := place_of_call(file.text, name)) is not None:
            return replace(problem, span=file.span(at, at + len(name)))
    return problem


def _wrong_inputs(project: Project, problems: list[Diagnostic]) -> set[TableName]:
    """Sources and seeds with an error in their definition: what columns they have is not known then."""
    found: set[TableName] = set()
    errors = [p.span for p in problems if p.span is not None and p.severity is Severity.ERROR]
    defined = [(source.name, source.span) for source in project.sources.values()]
    defined += [(seed.name, seed.span) for seed in project.seeds.values() if seed.span is not None]
    defined.sort(key=lambda item: (str(item[1].path), item[1].line))
    for (name, place), following in zip_longest(defined, defined[1:]):
        last = following[1].line if following is not None and following[1].path == place.path else None
        for span in errors:
            if span.path == place.path and span.line >= place.line and (last is None or span.line < last):
                found.add(name)
    undescribed = [seed for seed in project.seeds.values() if seed.span is None or str(seed.span.path) == seed.path]
    if any(span.path.parts[0] == "seeds" and span.path.suffix != ".csv" for span in errors):
        found |= {seed.name for seed in undescribed}
    return found


def _sandbox_hooks(project: Project, config: Config) -> list[Diagnostic]:
    """Hooks may write anywhere in the database and to files, which is what a sandbox is there to prevent."""
    if not config.sandbox:
        return []
    return [
        Diagnostic(
            "sandbox",
            f"`@{word}` cannot be used in a sandbox",
            model.header.spans.get(word),
            "leave the hook out, or set `sandbox: false` in sqlflow.yml",
        )
        for model in project.models
        for word, statements in (("before", model.header.before), ("after", model.header.after))
        if statements
    ]


def _names_that_cannot_be(project: Project, longest: int | None) -> list[Diagnostic]:
    """Names that the engine would cut, so that two tables could be one, and those that are SQLFlow's own."""
    named = [(model.name, model.place) for model in project.models]
    named += [(seed.name, seed.span or Span(PurePosixPath(seed.path), 1, 1)) for seed in project.seeds.values()]
    named += [(source.name, source.span) for source in project.sources.values()]
    problems: list[Diagnostic] = []
    for table, place in named:
        for part in (table.schema, table.name):
            size = len(part.encode())
            if longest is not None and size > longest:
                message = f"`{part}` has {size} bytes, and the database keeps only {longest} of a name"
                problems.append(Diagnostic("name-too-long", message, place, "give it a shorter name"))
        if table.name.lower().startswith("_sqlflow"):
            message = f"names that begin with `_sqlflow` belong to SQLFlow, and this is `{table}`"
            problems.append(Diagnostic("reserved-name", message, place, "use another name"))
    return problems


def _like_the_database(project: Project, config: Config) -> list[Diagnostic]:
    """DuckDB calls a database by the name of its file, and takes a schema of that name for it."""
    catalog = PurePath(str(config.target.options.get("path", ""))).stem.lower()
    for model in project.models:
        if model.name.schema.lower() == catalog:
            return [
                Diagnostic(
                    "reserved-name",
                    f"the schema `{model.name.schema}` has the name of the database file, and the engine cannot tell them apart",
                    model.query.span(0),
                    f"give the database of the target `{config.target.name}` another `path`, such as `{catalog}_db.duckdb`",
                )
            ]
    return []


Clocked = Callable[[], str]


class Standing(Struct, frozen=True):
    """What stands in the database when a command begins: tables, commit records, and a connection to ask more; and the
    facts about the engine while it is open."""

    tables: Mapping[TableName, Found]
    records: Mapping[TableName, TableRecord]
    session: Session | None
    traits: Traits | None = None
    remembered: memory.Memory = memory.Memory()
    moment: Clocked = str  # of the engine: what `Engine.untouched_since` must be told of now


def look_at(engine: Engine | None, config: Config) -> Standing:
    """The database as it is; nothing at all where there is none yet."""
    if engine is None:
        return Standing({}, {}, None)
    session = engine.session()
    found = memory.load(session, config)
    return Standing(engine.tables(), found.records, session, engine.traits, found, engine.moment)


def adopted(standing: Standing, engine: Engine | None, config: Config, emit: Emit) -> Standing:
    """The database with the records in the form of today, and those that the project wrote under another name as its own."""
    if standing.session is None or not memory.adopt(standing.session, config, standing.remembered, emit):
        return standing
    return look_at(engine, config)


def _shapes(workshop: Workshop, compiled: Compiled) -> Callable[[TableName], Shape]:
    return shapes_of(compiled, workshop.config.target_dialect, workshop.binder, workshop.cache, workshop.version)


class Prepared(Struct, frozen=True):
    """A plan and what it was made from. `again`: makes the plan of the same models once more, after some files have been
    loaded. `blame`: finds the file that is behind the problem of a table."""

    checked: Checked
    inputs: Inputs
    plan: Plan
    selected: frozenset[TableName]
    shape_of: Callable[[TableName], Shape]
    again: Callable[[Standing], Prepared] | None = None
    blame: Blame = of_itself


def prepare(
    workshop: Workshop,
    checked: Checked,
    standing: Standing,
    store: StateStore | None,
    request: Request,
    run_id: str,
    clock: Clock,
) -> Prepared:
    """The plan of a build; nothing is written. Raises ProjectError for a project or selection that is wrong, and for what
    a plan refuses to do."""
    prepared = draw_up(workshop, checked, standing, store, request, run_id, clock)
    stop_on_errors(prepared.plan.problems)
    return prepared


def draw_up(
    workshop: Workshop,
    checked: Checked,
    standing: Standing,
    store: StateStore | None,
    request: Request,
    run_id: str,
    clock: Clock,
) -> Prepared:
    """The plan of a build, with what it refuses to do in `Plan.problems`. Raises ProjectError for a project or selection
    that is wrong."""
    compiled = checked.compiled

    shape_of = _shapes(workshop, compiled)

    def planned(
        selected: Collection[TableName], standing: Standing = standing, known: Inputs | None = None
    ) -> tuple[Inputs, Plan]:
        session = standing.session

        def stored(table: TableName, source: TableName) -> Mapping[str, Signature]:
            known = session is not None and standing.remembered.has_signatures
            return memory.signatures(session, table, source) if session is not None and known else {}

        wanted = [name for name in compiled.order if name in selected]
        also = [name for name in (*compiled.project.seeds, *compiled.project.sources) if name in selected]
        now = clock()
        traits = standing.traits or workshop.binder.traits
        lost = _lost(standing, store)
        warehouse = Warehouse(
            standing.tables,
            standing.records,
            session,
            stored,
            traits,
            standing.remembered.others,
            lost,
            standing.remembered.kept,
            standing.moment(),
        )
        inputs, unreadable = look(
            compiled, workshop.config, warehouse, wanted, also, run_id, now, anew=request.full_refresh, known=known
        )
        stop_on_errors(unreadable)
        return inputs, make_plan(compiled, inputs, workshop.config, request, selected, run_id, now, shape_of, traits)

    universe = universe_of(
        checked, workshop.config, standing.records, store, lambda: planned(frozenset(compiled.models))[1]
    )
    selected, wrong = select(request.selection, request.exclude, universe)
    stop_on_errors([*wrong, *_not_restated(request, selected, compiled)])
    if request.selection:
        selected |= _that_can_run(
            with_their_tests(selected, request.exclude, universe) - selected, selected, compiled, standing
        )
    inputs, plan = planned(selected)

    def again(standing: Standing) -> Prepared:
        later, changed = planned(selected, standing, inputs)
        stop_on_errors(changed.problems)
        return Prepared(checked, later, changed, frozenset(selected), shape_of)

    blame = partial(file_to_blame, compiled, workshop.config, workshop.binder.rows)
    return Prepared(checked, inputs, plan, frozenset(selected), shape_of, again, blame)


def _that_can_run(
    tests: Collection[TableName], selected: Collection[TableName], compiled: Compiled, standing: Standing
) -> frozenset[TableName]:
    """The tests that nobody asked for by name, without those that read something that was never built."""

    def there(name: TableName) -> bool:
        return name not in compiled.models or name in selected or name in standing.tables

    return frozenset(
        test for test in tests if test in compiled.models and all(map(there, compiled.models[test].parents))
    )


def run(
    prepared: Prepared,
    engine: Engine,
    store: StateStore,
    request: Request,
    command: str,
    target: str,
    run_id: str,
    emit: Emit,
    clock: Clock,
    config: Config,
) -> RunRecord:
    """Carry out a plan and record what happened.

    Where the plan depends on files that must be loaded first, these are loaded, each in a transaction of its own, and the
    plan is made again; what needs one that could not be loaded is left out.
    """
    plan, started_at = prepared.plan, clock()
    emit(RunStarted(run_id, plan))
    session = engine.session()

    def done(plan: Plan, inputs: Inputs, already: Sequence[TaskResult] = ()) -> tuple[TaskResult, ...]:
        if plan.tasks or plan.settled or plan.forgotten:
            memory.prepare(session, sorted({t.table.schema for t in plan.tasks if t.kind is not TableKind.TEST}))
            _settle(plan, engine, store, config.name)
        return execute(
            plan,
            engine,
            write_records=partial(memory.write, project=config.name),
            committed=store.put,
            witnesses=RunWitnesses(inputs, engine, memory.signatures),
            emit=emit,
            clock=clock,
            threads=request.threads if engine.traits.side_by_side else 1,
            fail_fast=request.fail_fast,
            already=already,
            blame=prepared.blame,
        )

    loaded: tuple[TaskResult, ...] = ()
    if plan.loads_first and prepared.again is not None:
        first = tuple(task for task in plan.tasks if task.id in plan.loads_first)
        loaded = done(Plan(first), prepared.inputs)
        if any(result.status is Status.CANCELLED for result in loaded):
            results = (*loaded, *done(plan, prepared.inputs, loaded))
        else:
            try:
                later = prepared.again(look_at(engine, config))
                plan = later.plan
            except (ProjectError, EngineError):
                store.append(RunRecord(run_id, target, command, started_at, clock(), Status.FAILED, loaded))
                raise
            ended = {result.task: result.status for result in loaded}
            emit(PlanChanged(replace(plan, tasks=(*(t for t in first if ended[t.id] is Status.DONE), *plan.tasks))))
            still = {task.id for task in plan.tasks if ended.get(task.id, Status.DONE) is not Status.DONE}
            results = (*loaded, *done(plan, later.inputs, [result for result in loaded if result.task in still]))
    else:
        results = done(plan, prepared.inputs)
    status = Status.DONE
    if any(result.status in (Status.FAILED, Status.SKIPPED) for result in results):
        status = Status.FAILED
    if any(result.status is Status.CANCELLED for result in results):
        status = Status.CANCELLED
    up_to_date = sum(reason.kind == "up_to_date" for reason in plan.skipped.values())
    record = RunRecord(run_id, target, command, started_at, clock(), status, results, up_to_date)
    if results:
        _sweep(session, emit)
        store.append(record)
    store.put_sources({name: prepared.checked.compiled.columns[name] for name in prepared.inputs.states})
    emit(RunFinished(record))
    return record


def _sweep(session: Session, emit: Emit) -> None:
    try:
        session.begin()
        memory.sweep(session)
        session.commit()
    except (EngineError, Interrupted) as error:
        with suppress(EngineError, Interrupted):
            session.rollback()
        why = str(error).splitlines()[0] if str(error) else "interrupted"
        emit(Told(f"what no table needs any more was not dropped, the next build does it: {why}", Severity.WARNING))


def _settle(plan: Plan, engine: Engine, store: StateStore, project: str) -> None:
    """Write the records of tables for which nothing is to be done, and drop those of tests that are gone."""
    if not plan.settled and not plan.forgotten:
        return
    session = engine.session()
    session.begin()
    signatures = [(name, updates) for name, updates in plan.settled_signatures.items()]
    memory.write(session, plan.settled, signatures, plan.forgotten, project)
    session.commit()
    store.put(plan.settled, plan.forgotten)


def _lost(standing: Standing, store: StateStore | None) -> frozenset[TableName]:
    """The tables that stand, that SQLFlow made by what the run-state file says, and of which the warehouse has lost the
    record."""
    if store is None or not standing.tables.keys() - standing.records.keys():
        return frozenset()
    return frozenset(
        name
        for name, record in store.load().items()
        if record.made
        and name in standing.tables
        and name not in standing.records
        and name not in standing.remembered.others
    )


def repair(standing: Standing, store: StateStore, emit: Emit) -> None:
    """Make the run-state file say what the warehouse says. Of a table that stands and whose record the warehouse has lost, it
    keeps what it knows."""
    true, believed = standing.records, store.load()
    differing = [record for name, record in true.items() if believed.get(name) != record]
    gone = [name for name in believed if name not in true and name not in standing.tables]
    lost = _lost(standing, store) if standing.remembered.format is None else frozenset()
    if lost:
        what = counted(len(lost), "table")
        emit(Told(f"the warehouse has lost its records of {what}: what can be made again is rebuilt"))
    if differing or gone:
        store.put(differing, gone)
        if not believed:
            emit(Told(f"the run-state was read from the warehouse ({counted(len(true), 'table')})"))
            return
        newer = [record for record in differing if _is_newer(record, believed.get(record.table))]
        if newer:
            emit(Told(f"{_were_written(len(newer))} by a build that the run-state file had not seen; it knows now"))
        if rest := len(differing) + len(gone) - len(newer):
            emit(Told(f"the run-state file was repaired from the warehouse ({counted(rest, 'table')} differed)"))


def _is_newer(record: TableRecord, believed: TableRecord | None) -> bool:
    """Whether a build has written a table since, on another machine or killed before it could say so."""
    return believed is None or record.committed_at > believed.committed_at


def _were_written(count: int) -> str:
    return f"{counted(count, 'table')} {'was' if count == 1 else 'were'} written"


def universe_of(
    checked: Checked,
    config: Config,
    records: Mapping[TableName, TableRecord],
    store: StateStore | None,
    plan_all: Callable[[], Plan],
) -> Universe:
    """Everything of a project that can be selected. `plan_all` gives the plan of a whole build, for `state:stale`."""
    compiled = checked.compiled
    methods: dict[str, Callable[[str], Collection[TableName] | None]] = {
        "state": lambda state: _in_state(state, compiled, records, store, plan_all),
        "git": lambda ref: _changed_since(config, ref, compiled.project),
    }
    project = checked.compiled.project
    models = {model.name: model for model in project.models}
    return Universe(lambda: checked.graph.graph, models, (*project.seeds, *project.sources), methods)


def _in_state(
    state: str,
    compiled: Compiled,
    records: Mapping[TableName, TableRecord],
    store: StateStore | None,
    plan_all: Callable[[], Plan],
) -> Collection[TableName] | None:
    match state:
        case "new":
            return [
                n for n, m in compiled.models.items() if n not in records and m.model.header.mode is not Mode.INLINE
            ]
        case "modified":
            return [
                name
                for name, model in compiled.models.items()
                if name in records and records[name].fingerprint != model.fingerprint
            ]
        case "stale":
            return {task.table for task in plan_all().tasks}
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
    return [name for name, status in newest.items() if status is not Status.DONE and name in compiled.models]


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


def _not_restated(request: Request, selected: Collection[TableName], compiled: Compiled) -> list[Diagnostic]:
    """`--start/--end` mean something only for incremental models."""
    if request.start is None and request.end is None:
        return []
    if request.start is not None and request.end is not None and request.start >= request.end:
        return [Diagnostic("empty-interval", "--start must be before --end; the end itself is not included")]
    if any(compiled.models[n].model.header.mode is Mode.INCREMENTAL for n in selected if n in compiled.models):
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
