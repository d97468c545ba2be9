"""Whether a SELECT or a set operation keeps rows of different times apart. The proof is in `sqlflow.compiler.times`."""

from __future__ import annotations

from collections.abc import Iterable

from sqlglot import exp

from sqlflow.compiler.relations import expressions_of, same_text
from sqlflow.compiler.scopes import (
    Alias,
    Expression,
    Feature,
    JoinOn,
    Output,
    Reference,
    Relation,
    Select,
    SetOperation,
    SourceKind,
    base_column,
)
from sqlflow.compiler.times.values import Local, Pairs, Time, Types, Why
from sqlflow.compiler.times.windows import partition_of, window_reach, windows_of
from sqlflow.core.reach import HERE, Reach


def mixes_times(select: Select, local: Local, types: Types | None) -> Why | Reach:
    """How far apart times can be whose rows meet in a SELECT; what lets them meet where that has no bound."""
    if select.sampled:
        return Why("a sample picks among all rows", select.node)
    if select.limit:
        return Why("LIMIT or OFFSET picks among all rows", select.limit[0].node)
    for join in select.joins:
        if join.method == "POSITIONAL":
            return Why("a positional join pairs rows by their place", select.node)
    for source in select.sources:
        if source.kind in (
            SourceKind.FUNCTION,
            SourceKind.RECURSION,
            SourceKind.UNKNOWN,
        ):
            return Why("what this reads is not known", source.node)
    if select.grouping_sets:
        return Why("grouping sets put all times into one row", select.node.args.get("group"))
    expressions = expressions_of(select)
    if select.group is not None:
        if not decided_by(local, select.group):
            return Why("the time is not among the GROUP BY keys", select.node.args.get("group"))
    else:
        for expression in expressions:
            if expression.features & Feature.AGGREGATE:
                return Why("an aggregate over all rows", expression.node)
    if select.distinct_on and not decided_by(local, select.distinct_on):
        return Why("the time is not among the keys of DISTINCT ON", select.distinct_on[0].node)
    reach = HERE
    for expression in expressions:
        if not expression.features & Feature.WINDOW:
            continue
        for window in windows_of(expression):
            if decided_by(local, partition_of(window, expression)):
                continue
            found = window_reach(window, expression, local, types)
            if isinstance(found, Why):
                return found
            reach = hull(reach, found)
    return reach


def hull(one: Reach, two: Reach) -> Reach:
    return Reach(
        None if one.first is None or two.first is None else min(one.first, two.first),
        None if one.last is None or two.last is None else max(one.last, two.last),
    )


def decided_by(local: Local, keys: Iterable[Expression]) -> bool:
    """Whether rows that agree in the keys agree in the time."""
    texts = {text for key in keys if (text := same_text(key)) is not None}
    bindings: dict[int, Reference] = dict(local.leaves)

    def covered(node: exp.Expr) -> bool:
        piece = Expression(node, (), bindings, {}, Feature.NONE)
        if same_text(piece) in texts:
            return True
        if id(node) in bindings:
            return False
        return all(covered(child) for child in node.iter_expressions())

    try:
        return covered(local.tree)
    except RecursionError:
        return False


def nullable(joins: Iterable[JoinOn]) -> set[int]:
    """The places of sources whose columns an outer join may turn into NULL."""
    places: set[int] = set()
    for join in joins:
        if join.side in ("LEFT", "FULL"):
            places.update(range(join.middle, join.end))
        if join.side in ("RIGHT", "FULL"):
            places.update(range(join.start, join.middle))
    return places


def strict(local: Local) -> bool:
    """Whether the time is NULL when its columns are.

    Every branch of the tree must be made only of what hands NULL on, and one column must be there.
    """

    def null(node: exp.Expr) -> bool:
        if id(node) in local.leaves:
            return True
        if isinstance(node, _HANDS_NULL_ON) or (isinstance(node, exp.Anonymous) and node.name.lower() == "timezone"):
            return any(null(child) for child in node.iter_expressions())
        return False

    return null(local.tree)


_HANDS_NULL_ON = (
    exp.Paren,
    exp.Cast,
    exp.TimestampTrunc,
    exp.DateTrunc,
    exp.Extract,
    exp.Add,
    exp.Sub,
    exp.Mul,
    exp.Neg,
    exp.Year,
    exp.Month,
    exp.Day,
    exp.LastDay,
    exp.AtTimeZone,
    exp.DateAdd,
    exp.Date,
    exp.TsOrDsToDate,
)


def one_type(node: SetOperation, time: Time) -> Pairs | None:
    """What must hold so that a computation on a set operation may be done in its branches."""
    if id(time.tree) in time.leaves:
        return ()
    pairs = []
    for index in time.leaves.values():
        output = (node.outputs or ())[index]
        sides = (_output(node.left, output.left), _output(node.right, output.right))
        one, two = (base_column(Alias(side)) if side is not None else None for side in sides)
        if one is not None and two is not None:
            pairs.append((one, two))
            continue
        casts = [_cast(side) for side in sides]
        if casts[0] is None or casts[0] != casts[1]:
            return None
    return tuple(pairs)


def _output(relation: Relation, index: int | None) -> Output | None:
    if not isinstance(relation, Select) or relation.outputs is None or index is None:
        return None
    return relation.outputs[index]


def _cast(output: Output | None) -> exp.Expr | None:
    node = output.expression.node if output is not None else None
    return node.to if isinstance(node, exp.Cast) else None
