"""A project kept in memory: files that changed are read again, and what they feed is compiled again.

`whole` compiles everything. `again` takes the result and the files that changed since, and gives the same result as
`whole` would, doing only what the change needs; where it cannot be sure of that it gives None.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterable, Mapping
from pathlib import PurePath, PurePosixPath

from msgspec import Struct, field
from msgspec.structs import replace

from sqlflow.build.examine import Examined, examine, hopeless, standing_names
from sqlflow.compiler.compile import Trees, compile_models, parse_models
from sqlflow.core.compiled import Compiled, CompiledModel
from sqlflow.core.diagnostics import Diagnostic
from sqlflow.core.engine import Found
from sqlflow.core.graph import ModelGraph, Reader
from sqlflow.core.known import Parsed
from sqlflow.core.later import Later
from sqlflow.core.model import Model, Project
from sqlflow.core.names import TableName
from sqlflow.core.records import TableRecord
from sqlflow.core.schema import Schema
from sqlflow.core.workshop import Workshop
from sqlflow.graph.arrange import Children, children_of
from sqlflow.graph.relink import OF_SEVERAL_FILES, Woven, relink
from sqlflow.project.discover import discover, read_text
from sqlflow.project.fit import unfit
from sqlflow.project.read import doubtful_lines
from sqlflow.project.reader import FileReader


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
    index: ProjectIndex
    recompiled: frozenset[TableName] | None = None


class ProjectIndex(Struct, frozen=True):
    """Ways into an `Examined`."""

    models: Mapping[TableName, Model]
    positions: Mapping[PurePath, int]  # file -> its place in `project.models`
    places: Mapping[TableName, int]  # model -> its place in `graph.order`
    readers: Mapping[TableName, Reader]
    children: Children


def whole(workshop: Workshop, surroundings: Surroundings) -> Known:
    """Everything, from the files and the cache."""
    found = examine(workshop, surroundings.tables, surroundings.remembered, surroundings.records)
    models = {model.name: model for model in found.project.models}
    positions: dict[PurePath, int] = {model.file.path: number for number, model in enumerate(found.project.models)}
    readers = {reader.name: reader for reader in found.graph.readers}
    places = {name: place for place, name in enumerate(found.graph.order)}
    return Known(
        found,
        surroundings,
        ProjectIndex(
            models, positions, places, readers, children_of({name: reader.parents for name, reader in readers.items()})
        ),
    )


def file_reader(workshop: Workshop) -> FileReader:
    """What reads model files, with the macros and defaults as they are now. Its own problems are known already."""
    ignored: list[Diagnostic] = []
    config = workshop.config
    paths = discover(config.root, config.allow_outside_paths, ignored).macros
    macros = [read_text(config.root, path, ignored) for path in paths]
    return FileReader(config, [file for file in macros if file is not None], ignored)


def again(known: Known, workshop: Workshop, reader: FileReader, changed: Collection[PurePosixPath]) -> Known | None:
    """The project after these model files changed; None when everything must be looked at.

    That is when a model comes, goes, or gets another name, when models come to read each other in a circle, when a check comes
    to read another table, and when there are problems that cannot be laid at the door of one file.
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
    relinked = _link_again(known, workshop, models, facts, project)
    if relinked is None:
        return None
    woven, index = relinked
    compiled, wrong, recompiled = _compile_again(
        known, workshop, index, project, woven.graph, facts, woven.moved | set(models), trees
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
        woven.graph,
        compiled,
        (*_without(before.unreadable, paths), *unreadable),
        (*_without(before.malformed, paths), *malformed),
        woven.problems,
        before.unread,
        (*_without(before.wrong, redone), *wrong),
        unfit(project, config, workshop.binder.traits),
    )
    return Known(found, known.surroundings, index, recompiled)


def _each_of_one_file(before: Examined, index: ProjectIndex) -> bool:
    """Whether each problem of a model is told at a place in its own file, so that it goes when the file is read again."""
    of_models = (*before.malformed, *before.unlinked, *before.wrong)
    if any(p.span is None or p.span.path not in index.positions for p in of_models):
        return False
    return (
        not any(p.code in OF_SEVERAL_FILES for p in (*before.unreadable, *before.unlinked))
        and not any(p.notes for p in before.unlinked)
        and not any(p.code == _UNKNOWN_REFERENCE for p in before.wrong)
    )


_UNKNOWN_REFERENCE = "unknown-table"  # of a check: its hint is chosen among all models that compile


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
    edited: Mapping[TableName, Model],
    parsed: Mapping[TableName, Later[Parsed]],
    project: Project,
) -> tuple[Woven, ProjectIndex] | None:
    """The graph with the edges of these models as they are now, and the ways into it."""
    index, before = known.index, known.examined
    existing, own = standing_names(*_of(known.surroundings))
    models = {**index.models, **edited}
    old = {name: before.project.models[index.positions[model.file.path]] for name, model in edited.items()}
    was = Woven(before.graph, index.readers, index.children, before.unlinked)
    woven = relink(was, project, models, old, parsed, existing, own, workshop.config.default_schema)
    if woven is None:
        return None
    order = woven.graph.order
    places = index.places if order == before.graph.order else {name: place for place, name in enumerate(order)}
    return woven, ProjectIndex(models, index.positions, places, woven.readers, woven.children)


def _references(model: Model) -> set[TableName]:
    return {table for check in model.header.checks for table in check.tables}


def _of(
    surroundings: Surroundings,
) -> tuple[Mapping[TableName, Found] | None, Mapping[TableName, Schema], Mapping[TableName, TableRecord]]:
    return surroundings.tables, surroundings.remembered, surroundings.records


# ---------------------------------------------------------------- compile


def _compile_again(
    known: Known,
    workshop: Workshop,
    index: ProjectIndex,
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
    if not (made.header.promise.looked_through or old.header.promise.looked_through):
        return True
    # Readers look through these at the query.
    same_mode = made.header.mode is old.header.mode
    return (
        not fed
        and same_mode
        and made.query.text == old.query.text
        and (made.clock, made.written) == (old.clock, old.written)
    )


def _compile_one(
    name: TableName,
    workshop: Workshop,
    index: ProjectIndex,
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


def _read_through(name: TableName, index: ProjectIndex) -> tuple[TableName, ...]:
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
