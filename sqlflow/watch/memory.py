"""A project kept in memory: files that changed are read again, and what they feed is compiled again.

`whole` compiles everything. `again` takes the result and the files that changed since, and gives the same result as
`whole` would, doing only what the change needs; where it cannot be sure of that it gives None.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import PurePath, PurePosixPath

from msgspec import Struct, field
from msgspec.structs import replace

from sqlflow.build.examine import Examined, examine, hopeless, standing_names
from sqlflow.compiler.compile import Trees, compile_models, parse_models
from sqlflow.core.cache import NoCache
from sqlflow.core.compiled import Compiled, CompiledModel
from sqlflow.core.diagnostics import Diagnostic
from sqlflow.core.engine import Found, ReadTable
from sqlflow.core.graph import Edge, ModelGraph, Reader
from sqlflow.core.known import Parsed
from sqlflow.core.later import Later
from sqlflow.core.model import Model, Project, Source
from sqlflow.core.names import TableName
from sqlflow.core.records import TableRecord
from sqlflow.core.schema import Schema
from sqlflow.core.source import Span
from sqlflow.core.workshop import Workshop
from sqlflow.graph.link import link
from sqlflow.project.discover import discover, read_text
from sqlflow.project.fit import unfit
from sqlflow.project.read import doubtful_lines
from sqlflow.project.reader import Reader as FileReader


class Surroundings(Struct, frozen=True):
    """What was last seen of the database: its tables (None when it could not be asked), and what is remembered."""

    tables: Mapping[TableName, Found] | None = None
    remembered: Mapping[TableName, Schema] = field(default_factory=dict)
    records: Mapping[TableName, TableRecord] = field(default_factory=dict)
    server: str = ""  # `Engine.version`


class Known(Struct, frozen=True):
    """A project as it is now. `recompiled`: the models that were compiled for it; None for all."""

    examined: Examined
    surroundings: Surroundings
    index: Index
    recompiled: frozenset[TableName] | None = None


class Index(Struct, frozen=True):
    """Ways into an `Examined`."""

    models: Mapping[TableName, Model]
    positions: Mapping[PurePath, int]  # file -> its place in `project.models`
    places: Mapping[TableName, int]  # model -> its place in `graph.order`
    readers: Mapping[TableName, Reader]
    children: Mapping[TableName, tuple[TableName, ...]]


def whole(workshop: Workshop, surroundings: Surroundings) -> Known:
    """Everything, from the files and the cache."""
    found = examine(workshop, surroundings.tables, surroundings.remembered, surroundings.records)
    models = {model.name: model for model in found.project.models}
    positions: dict[PurePath, int] = {model.file.path: number for number, model in enumerate(found.project.models)}
    readers = {reader.name: reader for reader in found.graph.readers}
    places = {name: place for place, name in enumerate(found.graph.order)}
    return Known(found, surroundings, Index(models, positions, places, readers, _children(readers.values())))


def file_reader(workshop: Workshop) -> FileReader:
    """What reads model files, with the macros and defaults as they are now. Its own problems are known already."""
    ignored: list[Diagnostic] = []
    config = workshop.config
    paths = discover(config.root, config.allow_outside_paths, ignored).macros
    macros = [read_text(config.root, path, ignored) for path in paths]
    return FileReader(config, [file for file in macros if file is not None], ignored)


def again(known: Known, workshop: Workshop, reader: FileReader, changed: Collection[PurePosixPath]) -> Known | None:
    """The project after these model files changed; None when everything must be looked at.

    That is when a model comes, goes, or gets another name, when models come to read each other in a circle, when there are
    checks that read other tables and a model comes to read others than before, and when there are problems that cannot be laid
    at the door of one file.
    """
    config, before = workshop.config, known.examined
    if not _each_of_one_file(before, known.index) or before.project.broken or before.project.doubtful:
        return None
    if any(p.span is None or p.span.path not in known.index.positions for p in before.unreadable):
        return None
    edited = _read_again(known, workshop, reader, changed)
    if edited is None:
        return None
    if not edited.models:
        return replace(known, recompiled=frozenset())
    models, unreadable = edited.models, edited.problems
    if doubtful_lines(unreadable):
        return None
    trees: Trees = {}
    part = Project(tuple(models.values()), {}, {})
    parsed, malformed = parse_models(part, workshop, trees, hopeless(unreadable))
    paths = {model.file.path for model in models.values()}
    all_models = list(before.project.models)
    for model in models.values():
        all_models[known.index.positions[model.file.path]] = model
    project = replace(before.project, models=tuple(all_models))
    facts = dict(before.parsed)
    for name in models:
        facts.pop(name, None)
    facts |= parsed
    relinked = _link_again(known, workshop, models, parsed, project, paths)
    if relinked is None:
        return None
    graph, index, unlinked, stirred = relinked
    index = replace(index, models={**index.models, **models})
    compiled, wrong, recompiled = _compile_again(
        known, workshop, index, project, graph, facts, stirred | set(models), trees
    )
    fresh = [*unreadable, *malformed, *wrong]
    if any(p.span is None or p.span.path not in known.index.positions for p in fresh):
        return None
    if any(p.code == _UNKNOWN_REFERENCE for p in wrong):
        return None
    redone = paths | {index.models[name].file.path for name in recompiled}
    found = Examined(
        project,
        facts,
        graph,
        compiled,
        (*_without(before.unreadable, paths), *unreadable),
        (*_without(before.malformed, paths), *malformed),
        unlinked,
        before.unread,
        (*_without(before.wrong, redone), *wrong),
        unfit(project, config, workshop.binder.traits),
    )
    return Known(found, known.surroundings, index, recompiled)


def _each_of_one_file(before: Examined, index: Index) -> bool:
    """Whether each problem of a model is told at a place in its own file, so that it goes when the file is read again."""
    of_models = (*before.malformed, *before.unlinked, *before.wrong)
    if any(p.span is None or p.span.path not in index.positions for p in of_models):
        return False
    return (
        not any(p.code in _OF_SEVERAL_FILES for p in (*before.unreadable, *before.unlinked))
        and not any(p.notes for p in before.unlinked)
        and not any(p.code == _UNKNOWN_REFERENCE for p in before.wrong)
    )


_UNKNOWN_REFERENCE = "unknown-table"  # of a check: its hint is chosen among all models that compile
_OF_SEVERAL_FILES = frozenset({"duplicate-name", "cycle", "check-circle", "gone-table", "no-database"})


def _without(problems: Iterable[Diagnostic], paths: Collection[PurePath]) -> tuple[Diagnostic, ...]:
    return tuple(p for p in problems if p.span is None or p.span.path not in paths)


# ---------------------------------------------------------------- read


class _Edited(Struct, frozen=True):
    """Models whose file has another text than before, and what is wrong in them."""

    models: Mapping[TableName, Model]
    problems: tuple[Diagnostic, ...]


def _read_again(
    known: Known, workshop: Workshop, reader: FileReader, changed: Collection[PurePosixPath]
) -> _Edited | None:
    root, before = workshop.config.root, known.examined.project.models
    models: dict[TableName, Model] = {}
    problems: list[Diagnostic] = []
    for path in sorted(changed):
        position = known.index.positions.get(path)
        if position is None:
            return None
        old = before[position]
        file = read_text(root, path, [])
        if file is None:
            return None
        if file.text == old.file.text:
            continue
        found = reader.model(file, problems)
        if found is None or found[1] is None or found[0] != old.name or str(found[0]) != str(old.name):
            return None
        models[old.name] = found[1]
    return _Edited(models, tuple(problems))


# ---------------------------------------------------------------- link


def _link_again(
    known: Known,
    workshop: Workshop,
    models: Mapping[TableName, Model],
    parsed: Mapping[TableName, Later[Parsed]],
    project: Project,
    paths: Collection[PurePath],
) -> tuple[ModelGraph, Index, tuple[Diagnostic, ...], set[TableName]] | None:
    """The graph with the edges of these models as they are now; and the models that a link to them was made or lost."""
    before, graph = known.examined, known.examined.graph
    if any(_ordering(model) != _ordering(_old(known, model)) for model in models.values()):
        return None
    told = {p.span.path for p in before.unlinked if p.span is not None}
    fresh: dict[TableName, Reader] = {}
    linked: dict[TableName, Model] = {}
    for name, model in models.items():
        old = known.index.readers[name]
        if name in parsed and name in before.parsed and model.file.path not in told:
            edges = _same_edges(old.edges, parsed[name].get().tables)
            if edges is not None:
                fresh[name] = replace(old, edges=edges)
                continue
        linked[name] = model
    if not linked:
        index = replace(known.index, readers={**known.index.readers, **fresh})
        return _with_readers(graph, fresh), index, before.unlinked, set()
    if any(check.tables for model in project.models for check in model.header.checks):
        return None  # such a check orders models that do not read each other, which only the whole graph shows
    existing, own = standing_names(*_of(known.surroundings))
    problems: tuple[Diagnostic, ...] = ()
    if any(name in parsed for name in linked):
        partial, found = link(
            _as_if_alone(linked, project), {n: parsed[n] for n in linked if n in parsed}, existing,
            workshop.config.default_schema, own, NoCache(), None,
        )  # fmt: skip
        problems = tuple(found)
        if any(p.code in _OF_SEVERAL_FILES or p.notes for p in problems):
            return None
        known_already = {p.message for p in _without(before.unlinked, paths)}
        if any(p.message in known_already for p in problems):
            return None  # several of them may be told as one
        for reader in partial.graph.readers:
            if reader.name in linked:
                fresh[reader.name] = reader
    for name in linked:
        if name not in parsed:
            fresh[name] = Reader(name, (), ())
    return _spliced(known, project, graph, fresh, linked, parsed, problems, paths)


def _spliced(
    known: Known,
    project: Project,
    graph: ModelGraph,
    fresh: dict[TableName, Reader],
    linked: Mapping[TableName, Model],
    parsed: Mapping[TableName, Later[Parsed]],
    problems: tuple[Diagnostic, ...],
    paths: Collection[PurePath],
) -> tuple[ModelGraph, Index, tuple[Diagnostic, ...], set[TableName]] | None:
    before = known.examined
    if any(_references(model) for model in linked.values()) and (graph.broken or problems):
        return None
    for name, model in linked.items():
        kept = {t for t in known.index.readers[name].parents if t in _references(model)}
        fresh[name] = replace(fresh[name], parents=tuple(sorted({*fresh[name].parents, *kept})))
    readers = {**known.index.readers, **fresh}
    moved = [name for name in linked if set(fresh[name].parents) != set(known.index.readers[name].parents)]
    children = _children(readers.values()) if moved else known.index.children
    for name in moved:
        below = _descendants([name], children)
        if any(parent in below for parent in fresh[name].parents):
            return None  # a circle, which is drawn when all is linked
    undeclared = _undeclared(readers.values(), project)
    if undeclared != set(graph.undeclared):
        return None
    wrong = {model.name for model in linked.values() if any(_at(p) == model.file.path for p in problems)}
    roots = _broken_roots(before, known.index) - set(linked)
    roots |= wrong | {name for name in linked if name not in parsed}
    broken = _descendants(roots, children)
    order = graph.order
    if moved or broken != set(graph.broken):
        order = _order(readers, children, broken)
    places = known.index.places if order is graph.order else {name: place for place, name in enumerate(order)}
    index = replace(known.index, readers=readers, children=children, places=places)
    graph = replace(_with_readers(graph, fresh), order=order, broken=tuple(sorted(broken)))
    stirred = broken ^ set(before.graph.broken)
    return graph, index, (*_without(before.unlinked, paths), *problems), stirred


def _ordering(model: Model) -> tuple[object, ...]:
    header = model.header
    return header.depends_on, [check.tables for check in header.checks if check.tables]


def _references(model: Model) -> set[TableName]:
    return {table for check in model.header.checks for table in check.tables}


def _old(known: Known, model: Model) -> Model:
    return known.examined.project.models[known.index.positions[model.file.path]]


def _of(
    surroundings: Surroundings,
) -> tuple[Mapping[TableName, Found] | None, Mapping[TableName, Schema], Mapping[TableName, TableRecord]]:
    return surroundings.tables, surroundings.remembered, surroundings.records


def _same_edges(edges: Sequence[Edge], reads: Sequence[ReadTable]) -> tuple[Edge, ...] | None:
    """The edges at their new places, if the same tables are named in the same order."""
    old = [(e.read.schema, e.read.name) for e in edges]
    if old != [(read.schema, read.name) for read in reads]:
        return None
    return tuple(Edge(edge.table, read) for edge, read in zip(edges, reads, strict=True))


def _with_readers(graph: ModelGraph, fresh: Mapping[TableName, Reader]) -> ModelGraph:
    return replace(graph, reading=Later.of(tuple(fresh.get(reader.name, reader) for reader in graph.readers)))


def _as_if_alone(linked: Mapping[TableName, Model], project: Project) -> Project:
    """These models in a project in which everything else is there already, whatever it is made of."""
    there = Source(TableName("", ""), Span(PurePosixPath("models"), 1, 1))
    others = {model.name: there for model in project.models if model.name not in linked}
    return Project(tuple(linked.values()), {**project.sources, **others}, project.seeds, project.disabled)


def _undeclared(readers: Iterable[Reader], project: Project) -> set[TableName]:
    own = {model.name for model in project.models} | set(project.sources) | set(project.seeds)
    return {edge.table for reader in readers for edge in reader.edges if edge.table not in own}


def _at(problem: Diagnostic) -> PurePath | None:
    return problem.span.path if problem.span is not None else None


def _broken_roots(before: Examined, index: Index) -> set[TableName]:
    """Models that are broken by themselves, and not by what they read."""
    models = before.project.models
    paths = (p.span.path for p in before.unlinked if p.span is not None)
    told = {models[index.positions[path]].name for path in paths if path in index.positions}
    return told | {model.name for model in models if model.name not in before.parsed}


def _children(readers: Iterable[Reader]) -> dict[TableName, tuple[TableName, ...]]:
    found: dict[TableName, list[TableName]] = {}
    for reader in readers:
        for parent in reader.parents:
            found.setdefault(parent, []).append(reader.name)
    return {name: tuple(children) for name, children in found.items()}


def _descendants(names: Iterable[TableName], children: Mapping[TableName, tuple[TableName, ...]]) -> set[TableName]:
    """These and all that is made from them."""
    found, stack = set(names), list(names)
    while stack:
        for child in children.get(stack.pop(), ()):
            if child not in found:
                found.add(child)
                stack.append(child)
    return found


def _order(
    readers: Mapping[TableName, Reader],
    children: Mapping[TableName, tuple[TableName, ...]],
    broken: Collection[TableName],
) -> tuple[TableName, ...]:
    """Parents first, and else by name, as `link` orders them."""
    waits = {name: len(set(reader.parents)) for name, reader in readers.items() if name not in broken}
    nodes = {*waits, *(parent for parent in children if parent not in readers)}
    ready = [(node.key, node) for node in nodes if not waits.get(node)]
    heapq.heapify(ready)
    order = []
    while ready:
        _, node = heapq.heappop(ready)
        if node in readers:
            order.append(node)
        for child in children.get(node, ()):
            if child in waits:
                waits[child] -= 1
                if not waits[child]:
                    heapq.heappush(ready, (child.key, child))
    return tuple(order)


# ---------------------------------------------------------------- compile


def _compile_again(
    known: Known,
    workshop: Workshop,
    index: Index,
    project: Project,
    graph: ModelGraph,
    parsed: Mapping[TableName, Later[Parsed]],
    stirred: Collection[TableName],
    trees: Trees,
) -> tuple[Compiled, list[Diagnostic], frozenset[TableName]]:
    """The `stirred` models, and those below them whose inputs look different now, parents first."""
    before = known.examined.compiled
    places = index.places
    done = dict(before.models)
    if places is not known.index.places:
        done = {name: made for name, made in done.items() if name in places}
    problems: list[Diagnostic] = []
    waiting = [(places[name], name) for name in stirred if name in places]
    heapq.heapify(waiting)
    seen = set(stirred)
    fed: set[TableName] = set()  # those below something that looks different now
    while waiting:
        _, name = heapq.heappop(waiting)
        made, wrong = _compile_one(name, workshop, index, done, before, parsed, trees)
        problems += wrong
        old = before.models.get(name)
        if made is None:
            done.pop(name, None)
        else:
            done[name] = made
        if _looks_alike(made, old, fed=name in fed):
            continue
        for child in index.children.get(name, ()):
            fed.add(child)
            if child in places and child not in seen:
                seen.add(child)
                heapq.heappush(waiting, (places[child], child))
    order = before.order
    if places is not known.index.places or done.keys() != before.models.keys():
        order = tuple(name for name in graph.order if name in done)
    return replace(before, project=project, models=done, order=order), problems, frozenset(seen)


def _looks_alike(made: CompiledModel | None, old: CompiledModel | None, *, fed: bool) -> bool:
    """Whether the readers of a model see in it what they saw before. `fed`: its own inputs look different."""
    if made is None or old is None:
        return made is old
    if made.schema != old.schema:
        return False
    if not (made.model.header.promise.looked_through or old.model.header.promise.looked_through):
        return True
    # Readers look through these at the query.
    same_mode = made.model.header.mode is old.model.header.mode
    return (
        not fed
        and same_mode
        and made.query.text == old.query.text
        and (made.clock, made.written) == (old.clock, old.written)
    )


def _compile_one(
    name: TableName,
    workshop: Workshop,
    index: Index,
    done: Mapping[TableName, CompiledModel],
    before: Compiled,
    parsed: Mapping[TableName, Later[Parsed]],
    trees: Trees,
) -> tuple[CompiledModel | None, list[Diagnostic]]:
    """One model in a project of its own, with the views and inline models that it is read through."""
    models = index.models
    through = _read_through(name, index)
    readers = [index.readers[other] for other in (*through, name)]
    if any(parent in models and parent not in done for reader in readers for parent in reader.parents):
        return None, []
    columns: dict[TableName, Schema] = {}
    references = _references(models[name])
    if references:
        columns = {**before.columns, **{other: made.schema for other, made in done.items() if other != name}}
    for reader in readers:
        for parent in reader.parents:
            if parent in done:
                columns[parent] = done[parent].schema
            elif parent in before.columns:
                columns[parent] = before.columns[parent]
    judged, problems = compile_models(
        Project(tuple(models[other] for other in (*through, name)), {}, {}),
        ModelGraph(Later.of(tuple(readers)), (*through, name)),
        parsed,
        columns,
        workshop,
        trees,
    )
    broken = {f"there is no table `{table}`" for table in references if table in models and table not in done}
    return judged.compiled.models.get(name), [p for p in problems if p.message not in broken]


def _read_through(name: TableName, index: Index) -> tuple[TableName, ...]:
    """The views and inline models that stand between a model and tables, parents first."""
    found: dict[TableName, None] = {}

    def visit(reader: TableName) -> None:
        for parent in index.readers[reader].parents:
            model = index.models.get(parent)
            if model is not None and model.header.promise.looked_through and parent not in found:
                visit(parent)
                found[parent] = None

    visit(name)
    return tuple(found)
