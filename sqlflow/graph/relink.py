"""The graph of a project after some of its models were edited, from the graph as it was."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import PurePath, PurePosixPath

from msgspec import Struct
from msgspec.structs import replace

from sqlflow.core.cache import NoCache
from sqlflow.core.diagnostics import Diagnostic
from sqlflow.core.engine import ReadTable
from sqlflow.core.graph import Edge, ModelGraph, Reader
from sqlflow.core.known import Parsed
from sqlflow.core.later import Later
from sqlflow.core.model import Model, Project, Source
from sqlflow.core.names import TableName
from sqlflow.core.source import Span
from sqlflow.graph.arrange import Children, arrange, has_circles
from sqlflow.graph.link import link

OF_SEVERAL_FILES = frozenset({"duplicate-name", "cycle", "check-circle", "gone-table", "no-database"})


class Woven(Struct, frozen=True):
    """A graph and ways into it. `problems`: what was wrong with it. `moved`: the models that come after other tables than
    before, or became broken, or whole."""

    graph: ModelGraph
    readers: Mapping[TableName, Reader]
    children: Children
    problems: tuple[Diagnostic, ...]
    moved: frozenset[TableName] = frozenset()


def relink(
    before: Woven,
    project: Project,
    models: Mapping[TableName, Model],
    edited: Mapping[TableName, Model],
    parsed: Mapping[TableName, Later[Parsed]],
    existing: Collection[TableName],
    gone: Collection[TableName],
    default_schema: str,
) -> Woven | None:
    """What `link` would give, with the names of the `edited` models looked up anew. `edited`: as they were; `models`: all as
    they are now. None where only the whole graph tells: circles, problems of several files, other checks than before."""
    if any(_ordering(models[name]) != _ordering(old) for name, old in edited.items()):
        return None
    paths = {model.file.path for model in edited.values()}
    told = {p.span.path for p in before.problems if p.span is not None}
    fresh: dict[TableName, Reader] = {}
    linked: dict[TableName, Model] = {}
    for name in edited:
        old = before.readers[name]
        edges = None
        # A model that could not be read before has a reader without edges, as one has that reads no table.
        if name in parsed and name not in before.graph.broken and models[name].file.path not in told:
            edges = _same_edges(old.edges, parsed[name].get().tables)
        if edges is None:
            linked[name] = models[name]
        else:
            fresh[name] = replace(old, edges=edges)
    if not linked:
        return replace(before, graph=_with(before.graph, fresh), readers={**before.readers, **fresh}, moved=frozenset())
    alone = {name: parsed[name] for name in linked if name in parsed}
    partial, found = link(_as_if_alone(linked, project), alone, existing, default_schema, gone, NoCache(), None)
    kept = tuple(p for p in before.problems if p.span is None or p.span.path not in paths)
    messages = {p.message for p in kept}
    if any(p.code in OF_SEVERAL_FILES or p.notes or p.message in messages for p in found):
        return None  # several of them may be told as one
    fresh |= {reader.name: reader for reader in partial.graph.readers}
    readers = {**before.readers, **fresh}
    if _undeclared(readers.values(), project) != set(before.graph.undeclared):
        return None
    return _rearranged(before, models, parsed, readers, fresh, (*kept, *found))


def _rearranged(
    before: Woven,
    models: Mapping[TableName, Model],
    parsed: Mapping[TableName, Later[Parsed]],
    readers: Mapping[TableName, Reader],
    fresh: Mapping[TableName, Reader],
    problems: tuple[Diagnostic, ...],
) -> Woven | None:
    named: dict[TableName, Collection[TableName]] = {}
    for name, reader in readers.items():
        own = _named(reader, models[name])
        if own is None:
            return None
        named[name] = own
    if has_circles(named):
        return None
    wrong = {p.span.path for p in problems if p.span is not None}
    by_path: dict[PurePath, TableName] = {model.file.path: name for name, model in models.items()} if wrong else {}
    roots = {name for name in models if name not in parsed} | {by_path[path] for path in wrong if path in by_path}
    circles: list[Diagnostic] = []
    arranged = arrange(models, named, roots, circles)
    if circles:
        return None
    fresh = dict(fresh)
    for name, tables in arranged.parents.items():
        reader = fresh.get(name, readers[name])
        if len(tables) != len(reader.parents) or set(reader.parents) != tables:
            fresh[name] = replace(reader, parents=tuple(sorted(tables)))
    moved = {name for name, reader in fresh.items() if reader.parents != before.readers[name].parents}
    graph = replace(_with(before.graph, fresh), order=arranged.order, broken=tuple(sorted(arranged.broken)))
    moved |= arranged.broken ^ set(before.graph.broken)
    return Woven(graph, {**readers, **fresh}, arranged.children, problems, frozenset(moved))


def _ordering(model: Model) -> tuple[object, ...]:
    header = model.header
    return header.depends_on, [check.tables for check in header.checks if check.tables]


def _named(reader: Reader, model: Model) -> Collection[TableName] | None:
    """What a model names in its query and header, without what only its checks read; None if that cannot be told apart."""
    checked = {table for check in model.header.checks for table in check.tables}
    if not checked:
        return reader.parents
    only_checked = checked.intersection(reader.parents) - {edge.table for edge in reader.edges}
    if only_checked and model.header.depends_on:
        return None
    return [table for table in reader.parents if table not in only_checked]


def _same_edges(edges: Sequence[Edge], reads: Sequence[ReadTable]) -> tuple[Edge, ...] | None:
    """The edges at their new places, if the same tables are named in the same order."""
    old = [(e.read.schema, e.read.name) for e in edges]
    if old != [(read.schema, read.name) for read in reads]:
        return None
    return tuple(Edge(edge.table, read) for edge, read in zip(edges, reads, strict=True))


def _with(graph: ModelGraph, fresh: Mapping[TableName, Reader]) -> ModelGraph:
    return replace(graph, reading=Later.of(tuple(fresh.get(reader.name, reader) for reader in graph.readers)))


def _as_if_alone(linked: Mapping[TableName, Model], project: Project) -> Project:
    """These models in a project in which everything else is there already, whatever it is made of."""
    there = Source(TableName("", ""), Span(PurePosixPath("models"), 1, 1))
    others = {model.name: there for model in project.models if model.name not in linked}
    return Project(tuple(linked.values()), {**project.sources, **others}, project.seeds, project.disabled)


def _undeclared(readers: Iterable[Reader], project: Project) -> set[TableName]:
    own = {model.name for model in project.models} | set(project.sources) | set(project.seeds)
    return {edge.table for reader in readers for edge in reader.edges if edge.table not in own}
