"""What a query is, once its names are resolved: selects, their sources and outputs, and what each name refers to."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from msgspec import Struct, field
from sqlglot import exp

from sqlflow.core.clock import Moving
from sqlflow.core.names import ColumnRef, TableName


class UnknownColumn(Struct, frozen=True):
    """A name that nothing in reach has; `start` and `end` cut it out of the text."""

    name: str
    start: int
    end: int
    candidates: tuple[str, ...]


class AmbiguousColumn(Struct, frozen=True):
    """A name that several sources have; `tables` are their names in the query."""

    name: str
    start: int
    end: int
    tables: tuple[str, ...]


Problem = UnknownColumn | AmbiguousColumn


class Feature:
    """What an expression contains, itself or below, outside nested queries: bits of a plain number, as an `IntFlag`
    takes a tenth of the time of compiling."""

    NONE: Final = 0
    AGGREGATE: Final = 1
    WINDOW: Final = 2
    UNNEST: Final = 4
    VOLATILE: Final = 8
    # A function that is not in any list of ours: a macro, perhaps an aggregate.
    UNKNOWN_FUNCTION: Final = 16


class Direct(Struct, frozen=True, eq=False):
    """Column number `index` of a source."""

    source: Source
    index: int


class Merged(Struct, frozen=True, eq=False):
    """The one column that USING makes of two; `side` is the join's side, as written."""

    left: Reference
    right: Reference
    side: str


class Alias(Struct, frozen=True, eq=False):
    """A column of the same SELECT's list, by its name."""

    output: Output


class Field(Struct, frozen=True, eq=False):
    """A field of a struct column: `path` are the names after the column's."""

    of: Reference
    path: tuple[str, ...]


class Several(Struct, frozen=True, eq=False):
    """Several columns at once: a whole row, or a name that may mean any of them."""

    parts: tuple[Reference, ...]


class Named(Struct, frozen=True, eq=False):
    """Not a column: a window that refers to the WINDOW clause."""

    window: exp.Window


class Unknown(Struct, frozen=True, eq=False):
    """A name whose meaning is not known; `sources` are those it may belong to."""

    sources: tuple[Source, ...]


Reference = Direct | Merged | Alias | Field | Several | Named | Unknown


class Expression(Struct, frozen=True, eq=False):
    """An expression of one scope, with the meaning of each name in it.

    `bindings` is by `id()` of the nodes of `node`; a node not in it is not a column. A column that
    a star stands for has no node, and one reference.
    """

    node: exp.Expr | None
    references: tuple[Reference, ...]
    bindings: Mapping[int, Reference]
    # Queries nested in the expression, by `id()` of the node that holds them.
    nested: Mapping[int, Relation]
    features: int  # of `Feature`
    # What may be something else in another build: what fills the value, and what decides which rows it is made of.
    moving: tuple[Moving, ...] = ()
    deciding: tuple[Moving, ...] = ()


class Output(Struct, frozen=True, eq=False):
    """A column that a SELECT returns; the engine makes up a name where `name` is None."""

    name: str | None
    expression: Expression


class UnionOutput(Struct, frozen=True, eq=False):
    """A column of a set operation: its place in each branch, None where BY NAME finds none."""

    name: str | None
    left: int | None
    right: int | None


class SourceKind(StrEnum):
    """What stands in FROM."""

    TABLE = "table"
    CTE = "cte"
    SUBQUERY = "subquery"
    UNNEST = "unnest"
    FUNCTION = "function"
    # A recursive CTE reading itself.
    RECURSION = "recursion"
    UNKNOWN = "unknown"


class Source(Struct, frozen=True, eq=False):
    """One thing in FROM.

    `columns` are the visible names, None for all of them if unknown, and None for one that only
    the engine can name. `start` and `end` cut the table's name, without alias, out of the text.
    """

    kind: SourceKind
    node: exp.Expr
    name: str
    columns: tuple[str | None, ...] | None
    table: TableName | None = None
    # Of a table: its columns as the table names them, whatever the alias calls them.
    base_columns: tuple[str, ...] = ()
    relation: Relation | None = None
    # Of a function or UNNEST: what it is called with.
    arguments: tuple[Expression, ...] = ()
    # Of a recursion: the name of the CTE, made unique.
    recursion: str = ""
    sampled: bool = False
    start: int | None = None
    end: int | None = None
    # The place of each column, by its lower-case name.
    places: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for place, column in enumerate(self.columns or ()):
            if column is not None:
                self.places.setdefault(column.lower(), place)

    @property
    def open(self) -> bool:
        """Whether it may have columns that are not in the list."""
        return self.columns is None or None in self.columns


class JoinOn(Struct, frozen=True, eq=False):
    """How the sources `[middle, end)` are joined to those of `[start, middle)`.

    `side` and `kind` are sqlglot's words (LEFT, FULL; SEMI, ANTI, CROSS), `method` ASOF,
    POSITIONAL or NATURAL.
    """

    start: int
    middle: int
    end: int
    side: str
    kind: str
    method: str
    on: Expression | None
    using: tuple[tuple[Reference, Reference], ...]


class Select(Struct, frozen=True, eq=False):
    """A SELECT, a table in brackets, or a bracketed query with ORDER BY or LIMIT of its own."""

    node: exp.Expr
    sources: tuple[Source, ...]
    joins: tuple[JoinOn, ...]
    outputs: tuple[Output, ...] | None
    # Expressions in the list of a SELECT whose outputs are unknown.
    hidden: tuple[Expression, ...] = ()
    where: Expression | None = None
    group: tuple[Expression, ...] | None = None
    grouping_sets: bool = False
    having: Expression | None = None
    qualify: Expression | None = None
    windows: Mapping[str, exp.Window] = field(default_factory=dict)
    distinct: bool = False
    distinct_on: tuple[Expression, ...] = ()
    order: tuple[Expression, ...] = ()
    limit: tuple[Expression, ...] = ()
    sampled: bool = False


class SetOperation(Struct, frozen=True, eq=False):
    """UNION, EXCEPT or INTERSECT; `recursion` names the recursive CTE that it is."""

    node: exp.Expr
    kind: str
    distinct: bool
    left: Relation
    right: Relation
    outputs: tuple[UnionOutput, ...] | None
    order: tuple[Expression, ...] = ()
    limit: tuple[Expression, ...] = ()
    recursion: str = ""


class ValuesList(Struct, frozen=True, eq=False):
    """VALUES: rows of expressions."""

    node: exp.Expr
    names: tuple[str, ...]
    rows: tuple[tuple[Expression, ...], ...]


class Opaque(Struct, frozen=True, eq=False):
    """What is not looked into (PIVOT, DESCRIBE, ...), and the sources that it reads."""

    node: exp.Expr
    sources: tuple[Source, ...]


Relation = Select | SetOperation | ValuesList | Opaque


class Resolved(Struct, frozen=True, eq=False):
    """A query with the meaning of its names; `problems` in the order of the text.

    `pinned` are the table occurrences whose own name is needed in the query (`main.t.a`,
    `rowid`), so that they cannot be replaced by a subquery.
    """

    query: Relation
    problems: tuple[Problem, ...]
    pinned: frozenset[Source]
    dialect: str = "duckdb"


def output_names(relation: Relation) -> tuple[str | None, ...] | None:
    """The names of the columns that a relation returns, None if unknown."""
    match relation:
        case Select() | SetOperation():
            outputs = relation.outputs
            return None if outputs is None else tuple(output.name for output in outputs)
        case ValuesList():
            return relation.names
        case Opaque():
            return None


def base_column(reference: Reference | None) -> ColumnRef | None:
    """The column of a base table that a reference is, unchanged; None if it is not just one."""
    while True:
        if isinstance(reference, Alias):
            expression = reference.output.expression
        elif isinstance(reference, Direct):
            source = reference.source
            if source.table is not None:
                if reference.index >= len(source.base_columns):
                    return None
                return ColumnRef(source.table, source.base_columns[reference.index])
            relation = source.relation
            if not isinstance(relation, Select) or relation.outputs is None:
                return None
            if relation.grouping_sets:
                # A key is NULL in the rows of the other sets.
                return None
            expression = relation.outputs[reference.index].expression
        else:
            return None
        if expression.node is not None and not is_column(expression.node):
            return None
        if len(expression.references) != 1:
            return None
        reference = expression.references[0]


def is_column(node: exp.Expr) -> bool:
    """Nothing but the name of a column."""
    while isinstance(node, exp.Paren):
        node = node.this
    return isinstance(node, exp.Column)
