"""What the conditions of a SELECT say of two sources: columns that are equal, chains whose distance has bounds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec import Struct
from sqlglot import exp

from sqlflow.compiler.moments import KNOWN, ZONED, Chain, chain
from sqlflow.compiler.relations import plain_column
from sqlflow.compiler.scopes import Direct, Expression, Reference, Select
from sqlflow.compiler.times.types import column_type
from sqlflow.compiler.times.values import Types


class Side(Struct, frozen=True):
    """A chain over one column of a source, in a condition."""

    column: Direct
    chain: Chain
    bindings: Mapping[int, Reference]


class Distance(Struct, frozen=True):
    """`left` - `right` lies between `low` and `high`, None: without an end."""

    left: Side
    right: Side
    low: int | None
    high: int | None

    def both_ways(self) -> Iterable[tuple[Side, Side, int | None, int | None]]:
        yield self.left, self.right, self.low, self.high
        low = None if self.high is None else -self.high
        yield self.right, self.left, low, None if self.low is None else -self.low


def equalities_of(select: Select) -> list[tuple[Direct, Direct]]:
    """The pairs of columns that are equal in every row that a join matches or WHERE keeps."""
    pairs: list[tuple[Direct, Direct]] = []
    for join in select.joins:
        # A condition between two tables of one side decides a match, but holds without one too.
        sides = (
            {id(source) for source in select.sources[join.start : join.middle]},
            {id(source) for source in select.sources[join.middle : join.end]},
        )
        if join.on is not None:
            pairs += [pair for pair in _conjuncts(join.on) if _across_sides(pair, sides)]
        # The last column of an ASOF join's USING is compared, not equal.
        for left, right in join.using[:-1] if join.method == "ASOF" else join.using:
            one, two = plain_column(left), plain_column(right)
            if one is not None and two is not None:
                pairs.append((one, two))
    if select.where is not None:
        pairs += _conjuncts(select.where)
    return pairs


def _across_sides(pair: tuple[Direct, Direct], sides: tuple[set[int], set[int]]) -> bool:
    one, two = (id(direct.source) for direct in pair)
    return (one in sides[0] and two in sides[1]) or (one in sides[1] and two in sides[0])


def _conjuncts(expression: Expression) -> list[tuple[Direct, Direct]]:
    pairs = []
    todo = [expression.node]
    while todo:
        node = todo.pop()
        if isinstance(node, exp.Paren):
            todo.append(node.this)
        elif isinstance(node, exp.And):
            todo += [node.this, node.expression]
        elif isinstance(node, exp.EQ):
            one = plain_column(expression.bindings.get(id(node.this)))
            two = plain_column(expression.bindings.get(id(node.expression)))
            if one is not None and two is not None and one.source is not two.source:
                pairs.append((one, two))
    return pairs


def distances_of(select: Select, types: Types) -> list[Distance]:
    """What conditions say of how far times of two sources are apart, in every row that a join matches or WHERE keeps."""
    found: list[Distance] = []
    for join in select.joins:
        sides = (
            {id(source) for source in select.sources[join.start : join.middle]},
            {id(source) for source in select.sources[join.middle : join.end]},
        )
        if join.on is not None:
            found += [d for d in _compared(join.on, types) if _across_sides((d.left.column, d.right.column), sides)]
    if select.where is not None:
        found += _compared(select.where, types)
    return found


def _compared(expression: Expression, types: Types) -> Iterable[Distance]:
    """The comparisons of two chains among the conjuncts of a condition."""
    todo = [expression.node]
    while todo:
        node = todo.pop()
        match node:
            case exp.Paren():
                todo.append(node.this)
            case exp.And():
                todo += [node.this, node.expression]
            case exp.Between() if not node.args.get("symmetric"):
                yield from _compare(node.this, node.args["low"], 0, None, expression, types)
                yield from _compare(node.this, node.args["high"], None, 0, expression, types)
            case exp.EQ():
                yield from _compare(node.this, node.expression, 0, 0, expression, types)
            case exp.LTE() | exp.LT():
                yield from _compare(node.this, node.expression, None, 0, expression, types)
            case exp.GTE() | exp.GT():
                yield from _compare(node.this, node.expression, 0, None, expression, types)
            case _:
                pass


def _compare(
    left: exp.Expr, right: exp.Expr, low: int | None, high: int | None, expression: Expression, types: Types
) -> Iterable[Distance]:
    one, two = _side(left, expression.bindings, types), _side(right, expression.bindings, types)
    if one is None or two is None or one.column.source is two.column.source:
        return
    first, second = one.chain.type, two.chain.type
    if first == second or (first != ZONED and second != ZONED and {first, second} <= set(KNOWN)):
        yield Distance(one, two, low, high)


def _side(node: exp.Expr, bindings: Mapping[int, Reference], types: Types) -> Side | None:
    columns: dict[int, Direct] = {}

    def type_of(leaf: exp.Expr) -> str | None:
        direct = plain_column(bindings.get(id(leaf)))
        if direct is None:
            return None
        columns[id(leaf)] = direct
        return column_type(direct, types)

    found = chain(node, type_of, cuts_days=types.cuts_days)
    return None if found is None else Side(columns[id(found.leaf)], found, bindings)
