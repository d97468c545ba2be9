"""Which model reads what."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import networkx as nx

from sqlflow.core.engine import ReadTable
from sqlflow.core.names import TableName


@dataclass(frozen=True, slots=True)
class Edge:
    """A table that a model names in its query, and what the name stands for."""

    table: TableName
    read: ReadTable


@dataclass(frozen=True, slots=True)
class ModelGraph:
    """`graph` has an arc from each table to each model that reads it; `order` has all models, parents first.

    `edges`: the named tables of each model, by place. `broken`: models that cannot be compiled, and what depends
    on them. `undeclared`: tables that exist in the database and nowhere in the project.
    """

    graph: nx.DiGraph[TableName]
    order: tuple[TableName, ...]
    edges: Mapping[TableName, tuple[Edge, ...]]
    broken: frozenset[TableName] = frozenset()
    undeclared: tuple[TableName, ...] = ()
