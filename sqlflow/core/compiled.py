"""Models whose names are resolved and whose columns are known."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from msgspec import Struct, field

from sqlflow.core.clock import Moving, Written
from sqlflow.core.later import Later
from sqlflow.core.model import Header, Model, Project
from sqlflow.core.names import ColumnRef, TableName
from sqlflow.core.reach import HERE, Reach, TimeStep
from sqlflow.core.reading import Reading
from sqlflow.core.records import Fingerprint
from sqlflow.core.schema import Schema
from sqlflow.core.text import MappedText


class ColumnLineage(Struct, frozen=True):
    """One output column: what it is made of. `kind`: identity, transformation or aggregation."""

    name: str
    kind: str
    direct: tuple[ColumnRef, ...]


class Lineage(Struct, frozen=True):
    """Where each output column comes from (`direct`), and the columns that decide which rows exist (`indirect`).

    `indirect`: kind (filter, join, group, window, sort, distinct, set, unnest, limit) -> columns. `complete` is False when some construct could
    not be seen through; then a table may depend on more than is listed.
    """

    columns: tuple[ColumnLineage, ...] = ()
    indirect: Mapping[str, tuple[ColumnRef, ...]] = field(default_factory=dict)
    complete: bool = False


class Occurrence(Struct, frozen=True):
    """One place where a query reads a table, with the output times that a row of it contributes to.

    `expression`: SQL over the table's own columns; a row touches output times that lie within one of `reaches` of it.
    `column`, `type`, `steps`: the one column that `expression` is made of, its type, and the functions of time that
    it goes through, if it is that. `start`, `end`: where the table's name stands in the query's text, when a filter
    may be put there (`pushable`); `name`: what the query calls it if it gives no alias (`aliased`).
    """

    expression: str
    column: str | None = None
    type: str = ""
    steps: tuple[TimeStep, ...] = ()
    reaches: tuple[Reach, ...] = (HERE,)
    name: str = ""
    aliased: bool = False
    start: int | None = None
    end: int | None = None
    pushable: bool = False


class TimeMapping(Struct, frozen=True):
    """How the rows of an input map to the output's time column; no occurrences and a `reason` when unknown.

    `start`, `end`: what to blame, in the text of the query of `view`, or of the model itself.
    """

    occurrences: tuple[Occurrence, ...] = ()
    reason: str = ""
    start: int | None = None
    end: int | None = None
    view: TableName | None = None

    @property
    def expressions(self) -> tuple[str, ...]:
        """The expressions of all occurrences, each once: their order numbers the partitions of an input."""
        return tuple(dict.fromkeys(occurrence.expression for occurrence in self.occurrences))

    def reaches_of(self, expression: str) -> tuple[Reach, ...]:
        """How far rows reach from this expression, wherever it stands."""
        found = [r for o in self.occurrences if o.expression == expression for r in o.reaches]
        return tuple(dict.fromkeys(found))


class Traces(Struct, frozen=True):
    """What is known of the way of the data through one query.

    `times`: table read, views looked through -> mapping, for incremental models. `reads`: parent -> the columns that
    are read of it, in lower case; no entry where that is not known.
    """

    lineage: Lineage = field(default_factory=Lineage)
    times: Mapping[TableName, TimeMapping] = field(default_factory=dict)
    reads: Mapping[TableName, frozenset[str]] = field(default_factory=dict)


class CompiledModel(Struct, frozen=True):
    """A model ready to be planned."""

    model: Model
    query: MappedText  # the text that runs, with inline models put in and names qualified
    schema: Schema
    traces: Later[Traces]  # most of what is known of a model; few commands ask for them all
    # The tables that it reads, as objects in the database: inline models are replaced by what they read.
    parents: tuple[TableName, ...]
    fingerprint: Fingerprint
    clock: tuple[Moving, ...] = ()  # what its rows depend on, and may be something else in another build
    # The columns that say when or by what run a row was written, and decide nothing.
    written: Written = field(default_factory=dict)
    checked_against: tuple[TableName, ...] = ()  # tables that its checks read
    ordered_after: tuple[TableName, ...] = ()  # its `depends_on`
    bounds: tuple[tuple[int, int, str], ...] = ()  # where `$start` and `$end` stand in the query
    # The columns, in lower case, whose type knows no equality, so that their values are told apart by their text;
    # asked of models that keep rows.
    by_text: tuple[str, ...] = ()

    @property
    def name(self) -> TableName:
        return self.model.name

    @property
    def header(self) -> Header:
        return self.model.header

    @property
    def stale_by(self) -> tuple[Moving, ...]:
        """That with which the table becomes stale by itself."""
        return self.header.clock.applied(self.clock)

    @property
    def queried(self) -> Schema:
        """The columns that the query gives; a history has more."""
        added = self.header.added
        return self.schema.without({name.lower() for name in added}) if added else self.schema

    @property
    def kept(self) -> Schema:
        """The columns that a rebuild would give again."""
        return self.queried.without(self.written) if self.written else self.queried

    @property
    def lineage(self) -> Lineage:
        return self.traces.get().lineage

    @property
    def times(self) -> Mapping[TableName, TimeMapping]:
        return self.traces.get().times

    @property
    def reads(self) -> Mapping[TableName, frozenset[str]]:
        return self.traces.get().reads


class Compiled(Struct, frozen=True):
    """A whole project, compiled. `order`: parents first. `columns`: of sources, seeds and undeclared tables too.
    `readings`: how the files of sources are read."""

    project: Project
    models: Mapping[TableName, CompiledModel]
    order: tuple[TableName, ...]
    columns: Mapping[TableName, Schema]
    undeclared: tuple[TableName, ...] = ()
    readings: Mapping[TableName, Reading] = field(default_factory=dict)

    def inputs_of(self, names: Collection[TableName]) -> frozenset[TableName]:
        """All tables and views that these models read, with views looked through; and what their checks read."""
        found: set[TableName] = set()
        stack = [
            parent for name in names for parent in (*self.models[name].parents, *self.models[name].checked_against)
        ]
        while stack:
            name = stack.pop()
            if name in found:
                continue
            found.add(name)
            model = self.models.get(name)
            if model is not None and model.header.promise.is_view:
                stack.extend(model.parents)
        return frozenset(found)
