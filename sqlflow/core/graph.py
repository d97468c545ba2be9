"""Which model reads what."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from sqlflow.core.engine import ReadTable
from sqlflow.core.later import Later
from sqlflow.core.names import TableName

if TYPE_CHECKING:
    import networkx as nx


class Edge(Struct, frozen=True):
    """A table that a model names in its query, and what the name stands for."""

    table: TableName
    read: ReadTable


class Reader(Struct, frozen=True):
    """A model with the tables that it names, by place, and all that must be up to date before it (`parents`)."""

    name: TableName
    edges: tuple[Edge, ...]
    parents: tuple[TableName, ...]


class ModelGraph(Struct, frozen=True):
    """`order` has all models that can be compiled, parents first. `broken`: the others, and what depends on them.
    `undeclared`: tables that exist in the database and nowhere in the project."""

    reading: Later[tuple[Reader, ...]]
    order: tuple[TableName, ...]
    broken: tuple[TableName, ...] = ()
    undeclared: tuple[TableName, ...] = ()

    @property
    def readers(self) -> tuple[Reader, ...]:
        return self.reading.get()

    @property
    def graph(self) -> nx.DiGraph[TableName]:
        """An arc from each table to each model that must come after it."""
        import networkx as nx

        graph: nx.DiGraph[TableName] = nx.DiGraph()
        graph.add_nodes_from(reader.name for reader in self.readers)
        graph.add_edges_from((parent, reader.name) for reader in self.readers for parent in reader.parents)
        return graph
