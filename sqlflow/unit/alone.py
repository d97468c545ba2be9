"""A model compiled by itself: what it reads are plain tables, whatever they are in the project."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from msgspec.structs import replace

from sqlflow.build.examine import Checked
from sqlflow.compiler.compile import compile_models, parse_models
from sqlflow.core.cache import NoCache
from sqlflow.core.compiled import Compiled
from sqlflow.core.diagnostics import Diagnostic
from sqlflow.core.graph import ModelGraph
from sqlflow.core.model import Model, Project, Source
from sqlflow.core.names import TableName
from sqlflow.core.schema import Schema
from sqlflow.core.workshop import Workshop
from sqlflow.graph.link import link


class Surroundings:
    """A compiled project, asked what a model reads."""

    def __init__(self, checked: Checked) -> None:
        self.compiled: Compiled = checked.compiled
        self._readers = {reader.name: reader for reader in checked.graph.readers}
        self._graph: ModelGraph = checked.graph
        self.models = {model.name: model for model in checked.compiled.project.models}

    def read_by(
        self, name: TableName, tables: Collection[TableName]
    ) -> tuple[tuple[TableName, ...], tuple[TableName, ...]]:
        """The tables that a model reads, and the inline models that are put into it. `tables`: inline models that are tables
        for once."""
        read: dict[TableName, None] = {}
        inlined: dict[TableName, None] = {}
        stack = [name]
        while stack:
            for edge in self._readers[stack.pop()].edges:
                model = self.models.get(edge.table)
                inline = model is not None and model.header.promise.inlined and edge.table not in tables
                if inline and edge.table not in inlined:
                    inlined[edge.table] = None
                    stack.append(edge.table)
                elif not inline:
                    read[edge.table] = None
        return tuple(read), tuple(inlined)

    def columns(self, name: TableName) -> Schema:
        model = self.compiled.models.get(name)
        return model.schema if model is not None else self.compiled.columns[name]

    def source(self, name: TableName) -> Source | None:
        """What is declared of an input, as of a table of that name."""
        found = self.compiled.project.sources.get(name)
        return None if found is None else replace(found, path=None, table=name, types={}, spans={})


def compiled_alone(
    model: Model,
    inlined: Collection[Model],
    inputs: Mapping[TableName, Schema],
    sources: Mapping[TableName, Source],
    workshop: Workshop,
) -> tuple[Checked, list[Diagnostic]]:
    """A project of one model, without what is about other tables or outside of it: checks, hooks, and its place in an order."""
    project = Project(tuple(map(_bare, (*inlined, model))), sources, {})
    parsed, malformed = parse_models(project, workshop, {}, ())
    linked, unlinked = link(project, parsed, set(inputs), workshop.config.default_schema, (), NoCache(), None)
    judged, wrong = compile_models(project, linked.graph, parsed, inputs, workshop, {})
    return Checked(judged.compiled, linked.graph, ()), [*malformed, *unlinked, *wrong]


def _bare(model: Model) -> Model:
    header = replace(model.header, checks=(), before=(), after=(), depends_on=())
    return replace(model, header=header)
