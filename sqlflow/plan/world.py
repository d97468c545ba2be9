"""`World`: all that is known when a plan is made, and what follows from it for the tables and their readers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from functools import cached_property
from zoneinfo import ZoneInfo

from msgspec import Struct

from sqlflow.core.compiled import Compiled, CompiledModel
from sqlflow.core.config import Config, Request
from sqlflow.core.engine import Traits
from sqlflow.core.following import Shape
from sqlflow.core.inputs import Inputs
from sqlflow.core.model import Header, Incremental
from sqlflow.core.modes import Strategy
from sqlflow.core.names import TableName
from sqlflow.core.plan import SignatureUpdate
from sqlflow.core.wording import Wording

ShapeOf = Callable[[TableName], Shape]


class World(Struct, frozen=True, dict=True):
    """What a plan is made from. `selected`: the models that may be built. `shape_of`: which changes of its inputs a model's
    query can follow."""

    compiled: Compiled
    inputs: Inputs
    config: Config
    request: Request
    selected: frozenset[TableName]
    run_id: str
    now: datetime
    shape_of: ShapeOf
    traits: Traits

    @property
    def words(self) -> Wording:
        return self.traits.wording

    @property
    def zone(self) -> ZoneInfo:
        return self.config.zone

    @property
    def project(self) -> str:
        return self.config.name

    # ------------------------------------------------------------------ what a model reads

    def data_inputs(self, model: CompiledModel) -> tuple[TableName, ...]:
        """The tables that a model reads, views looked through, and the views."""
        return self._looked_through(model.parents)

    def waited_for(self, model: CompiledModel) -> tuple[TableName, ...]:
        """The tables that it, its checks and its hooks read, views looked through, and the views."""
        return self._looked_through((*model.parents, *model.checked_against, *model.ordered_after))

    def _looked_through(self, tables: Iterable[TableName]) -> tuple[TableName, ...]:
        found: dict[TableName, None] = {}
        stack = list(tables)
        while stack:
            name = stack.pop()
            if name in found:
                continue
            found[name] = None
            parent = self.compiled.models.get(name)
            if parent is not None and parent.header.promise.is_view:
                stack.extend(parent.parents)
        return tuple(sorted(found))

    def moving(self, model: CompiledModel) -> tuple[TableName, ...]:
        """What a model reads and others may write to while the build runs."""
        states = self.inputs.states
        return tuple(n for n in self.data_inputs(model) if n in states and states[n].watch is not None)

    def is_files(self, name: TableName) -> bool:
        watch = self.inputs.states[name].watch
        return watch is not None and watch.folder is not None

    def tells(self, name: TableName) -> bool:
        """Whether an input may say row by row what changes in it, without a copy of it."""
        source = self.compiled.project.sources.get(name)
        return name in self.compiled.models or (
            source is not None and (source.path is not None or source.cursor is not None)
        )

    def rows_of(self, name: TableName) -> int | None:
        """How many rows a table has, as far as that is known before the build."""
        state, record = self.inputs.states.get(name), self.inputs.records.get(name)
        return state.rows if state is not None else record.rows if record is not None else None

    def signatures(self, name: TableName) -> tuple[SignatureUpdate, ...]:
        """What a model remembers of the partitions of its inputs when it has read them."""
        return self._signatures.get(name, ())

    @cached_property
    def _signatures(self) -> Mapping[TableName, tuple[SignatureUpdate, ...]]:
        found: dict[TableName, tuple[SignatureUpdate, ...]] = {}
        for (model, _), update in sorted(self.inputs.partitions.items()):
            found[model] = (*found.get(model, ()), update)
        return found

    # ------------------------------------------------------------------ who reads a table

    def is_read(self, name: TableName) -> bool:
        """Whether another model reads a table, views looked through."""
        return name in self._read

    @cached_property
    def _read(self) -> frozenset[TableName]:
        return frozenset(read for model in self.compiled.models.values() for read in self.data_inputs(model))

    def may_follow(self, name: TableName) -> tuple[CompiledModel, ...]:
        """The models that may follow changes of a table by what their headers say, views looked through."""
        return self._readers.get(name, ())

    @cached_property
    def _readers(self) -> Mapping[TableName, tuple[CompiledModel, ...]]:
        found: dict[TableName, list[CompiledModel]] = {}
        for model in self.compiled.models.values():
            if may_follow(model.header):
                for read in self.data_inputs(model):
                    if not self._by_partition(model, read):
                        found.setdefault(read, []).append(model)
        return {name: tuple(models) for name, models in found.items()}

    def _by_partition(self, model: CompiledModel, read: TableName) -> bool:
        """Whether the changes of an input are known by partition, which is enough for a model of intervals."""
        header = model.header
        if not header.promise.timed or header.strategy is Strategy.DELTA:
            return False
        parent = self.compiled.models.get(read)
        return parent is None or parent.header.promise.timed or parent.header.promise.is_view


def may_follow(header: Header) -> bool:
    """Whether a model may follow changes at all."""
    return (
        header.promise.follows
        and header.start is None
        and header.strategy in (Strategy.AUTO, Strategy.DELTA)
        and header.incremental is not Incremental.OFF
        and not header.before
        and not header.after
    )


def insists(header: Header) -> bool:
    """Whether the author wants changes followed, whatever it costs to prepare that."""
    return may_follow(header) and (header.strategy is Strategy.DELTA or header.incremental is Incremental.REQUIRED)
