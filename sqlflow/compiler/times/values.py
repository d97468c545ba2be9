"""The mapping of a table, and what the walk has in hand on its way down to it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from msgspec import Struct
from sqlglot import exp

from sqlflow.compiler.scopes import Direct
from sqlflow.core.names import ColumnRef, TableName
from sqlflow.core.reach import HERE, Reach

Pairs = tuple[tuple[ColumnRef, ColumnRef], ...]


class MappedRead(Struct, frozen=True):
    """One place where a table is read.

    `expression` is over the table's own columns, unqualified: the output time that a row
    contributes to, or one that it reaches from by each of `reaches`. `start` and `end` cut the table's name (without alias) out of the query's
    text; None when the table is read inside a view. `aliased` tells that an alias follows.
    """

    expression: exp.Expr
    start: int | None
    end: int | None
    aliased: bool
    pushable: bool
    reaches: tuple[Reach, ...] = (HERE,)


class Mapped(Struct, frozen=True):
    """How the rows of a table map to output times, for all of its occurrences.

    It holds only if the columns of each pair in `same_type` have the same type.
    """

    occurrences: tuple[MappedRead, ...]
    same_type: Pairs


class Unmapped(Struct, frozen=True):
    """Any change of the table may touch any output row; why, where in the text, and the construct to blame."""

    reason: str
    start: int | None
    end: int | None
    construct: str = ""


TimeMappings = Mapping[TableName, Mapped | Unmapped]


class Types(Struct, frozen=True):
    """What is known of times: the type of a base column (empty when unknown), and whether the session's clock is UTC."""

    of: Callable[[ColumnRef], str]
    steady: bool = False
    cuts_days: bool = True  # `date_trunc` of a DATE is a TIMESTAMP


class Time(Struct, frozen=True):
    """The output time over the columns of a relation: a tree, and which leaf is which column."""

    tree: exp.Expr
    leaves: Mapping[int, int]
    same_type: Pairs = ()
    reach: Reach = HERE
    timed: bool = True  # a distance here is one of the output's time


class Local(Struct, frozen=True):
    """The output time over the sources of one SELECT."""

    tree: exp.Expr
    leaves: Mapping[int, Direct]
    same_type: Pairs
    reach: Reach = HERE
    timed: bool = True


class Why(Struct, frozen=True):
    """Why there is no mapping, and the piece of the query to blame."""

    reason: str
    node: exp.Expr | None = None
