"""How far a changed row is felt by window functions.

A window function that is ordered by O, where T = f(O) or both are chains over one column (`moments`). Its value at a
row depends only on rows whose O is within the frame's bounds of its own: O - 6 days up to O for `RANGE BETWEEN
INTERVAL 6 DAYS PRECEDING AND CURRENT ROW`; whatever comes before, peers included, for an unbounded frame, for ROWS
and GROUPS (how far they reach depends on the rows), and for ROW_NUMBER, RANK, DENSE_RANK and LAG; whatever comes after
for LEAD. A changed row at O thus touches [O, O + 6 days], and its own row. `moments.carried_by` turns that into a
distance of T. PARTITION BY, FILTER, EXCLUDE and IGNORE NULLS only leave rows out. A row whose O is NULL meets others
only in a frame without an end on the side where NULLs stand; that side must be the other one.
"""

from __future__ import annotations

from collections.abc import Iterable

from sqlglot import exp

from sqlflow.compiler.moments import KNOWN, ZONED, carried_by, common_steps, errors, interval, length, whole_number
from sqlflow.compiler.scopes import Direct, Expression, Feature, Named
from sqlflow.compiler.times.trees import DEEPEST, expanded
from sqlflow.compiler.times.types import local_chain
from sqlflow.compiler.times.values import Local, Types, Why
from sqlflow.core.reach import Reach


def windows_of(expression: Expression) -> Iterable[exp.Expr]:
    """The window functions of an expression, not those of queries nested in it."""
    if expression.node is None:
        return
    nested = _nested_nodes(expression)
    for window in expression.node.find_all(exp.Window):
        if id(window) not in nested:
            yield window


def _nested_nodes(expression: Expression) -> set[int]:
    """The nodes of nested queries: their windows are their own affair."""
    if not expression.nested or expression.node is None:
        return set()
    return {id(inner) for node in expression.node.walk() if id(node) in expression.nested for inner in node.walk()}


def partition_of(window: exp.Expr, expression: Expression) -> list[Expression]:
    """PARTITION BY of a window, also where the WINDOW clause has it."""
    nodes = list(window.args.get("partition_by") or ())
    named = expression.bindings.get(id(window))
    while isinstance(named, Named):
        nodes += named.window.args.get("partition_by") or ()
        named = expression.bindings.get(id(named.window))
    return [Expression(node, (), expression.bindings, expression.nested, Feature.NONE) for node in nodes]


def window_reach(window: exp.Expr, expression: Expression, local: Local, types: Types | None) -> Why | Reach:
    """How far a changed row's effect on a window function's values goes, in the time's own terms."""
    refused = Why("a window function whose PARTITION BY lacks the time", window)
    order, spec = _order(window, expression)
    if types is None or not order:
        return refused
    leaves: dict[int, Direct] = {}
    piece = Expression(order[0].this, (), expression.bindings, expression.nested, Feature.NONE)
    tree = expanded(piece, leaves) if not expression.nested else None
    time = local_chain(local, types)
    by = local_chain(Local(tree, leaves, ()), types) if tree is not None else None
    if time is None or by is None:
        return refused
    mine, theirs = local.leaves[id(time.leaf)], leaves[id(by.leaf)]
    if mine.source is not theirs.source or mine.index != theirs.index:
        return refused
    frame = _frame(window, spec, by.type, types)
    if isinstance(frame, Why):
        return frame
    back, ahead = frame
    nulls_first = bool(order[0].args.get("nulls_first"))
    if (back is None and nulls_first) or (ahead is None and not nulls_first):
        return Why("rows without a time are in the frame of this window function", window)
    # A row sees what is up to `back` before it and `ahead` after it, so it is seen from `ahead` before and `back` after.
    seen = Reach(None if ahead is None else -ahead, back)
    if order[0].args.get("desc"):
        seen = Reach(None if back is None else -back, ahead)
    if seen.unknown:
        return Why("this window function looks back and ahead without an end", window)
    same = common_steps(time.steps, by.steps)
    low, high = errors(by.steps[same:], by.types[same:], steady=types.steady)
    loose = high - low
    if loose:
        seen = Reach(
            None if seen.first is None else seen.first - loose, None if seen.last is None else seen.last + loose
        )
    return carried_by(seen, time.steps[same:], time.types[same:], steady=types.steady).or_here()


def _order(window: exp.Expr, expression: Expression) -> tuple[list[exp.Expr], exp.Expr | None]:
    """ORDER BY and the frame of a window, also where the WINDOW clause has them."""
    current: exp.Expr = window
    order: list[exp.Expr] = []
    spec: exp.Expr | None = None
    for _ in range(DEEPEST):
        found = current.args.get("order")
        order = order or (list(found.expressions) if found is not None else [])
        spec = spec or current.args.get("spec")
        named = expression.bindings.get(id(current))
        if not isinstance(named, Named):
            break
        current = named.window
    return [item for item in order if isinstance(item, exp.Ordered)], spec


_BEFORE = (exp.RowNumber, exp.Rank, exp.DenseRank)


_FRAMED = (exp.FirstValue, exp.LastValue, exp.NthValue)


# Aggregates to sqlglot, but they look at the whole partition, or have no frame.
_NO_FRAME = tuple(
    kind
    for name in ("Rank", "DenseRank", "PercentRank", "CumeDist", "Ntile", "Lag", "Lead", "RowNumber")
    if (kind := getattr(exp, name, None)) is not None
)


def _frame(window: exp.Expr, spec: exp.Expr | None, by: str, types: Types) -> Why | tuple[int | None, int | None]:
    """How far before and after its own a row of a window function looks, in the order; None: without an end."""
    function = window.this
    while isinstance(function, (exp.IgnoreNulls, exp.RespectNulls, exp.Filter)):
        function = function.this
    if any(True for _ in function.find_all(exp.Ordered)):
        return Why("a window function with an ORDER BY of its arguments", window)
    if isinstance(function, _BEFORE) and not function.expressions:
        return None, 0
    if isinstance(function, (exp.Lag, exp.Lead)):
        offset = function.args.get("offset")
        if offset is not None and (count := whole_number(offset)) is not None and count < 0:
            offset = exp.null()
        if offset is not None and whole_number(offset) is None:
            return Why("LAG or LEAD by a number that is not known", window)
        return (None, 0) if isinstance(function, exp.Lag) else (0, None)
    if not isinstance(function, (exp.AggFunc, *_FRAMED)) or isinstance(function, _NO_FRAME):
        return Why("a window function that looks at all rows, or is not known", window)
    if spec is None:
        return None, 0
    rows = str(spec.args.get("kind") or "RANGE").upper() != "RANGE"
    start = _frame_bound(spec, "start", rows, by, types)
    end = _frame_bound(spec, "end", rows, by, types) if spec.args.get("end") is not None else (0, 0)
    return _looks(None if start is None else -start[0]), _looks(None if end is None else end[1])


def _looks(distance: int | None) -> int | None:
    return None if distance is None else max(distance, 0)


def _frame_bound(spec: exp.Expr, side: str, rows: bool, by: str, types: Types) -> tuple[int, int] | None:
    """Where a frame starts or ends, from the row on, at least and at most; None: without an end."""
    bound, way = spec.args.get(side), str(spec.args.get(f"{side}_side") or "").upper()
    if str(bound).upper() == "CURRENT ROW":
        return 0, 0
    if not isinstance(bound, exp.Expr) or way not in ("PRECEDING", "FOLLOWING"):
        return None
    ahead = way == "FOLLOWING"
    if rows:
        # How far so many rows are is not known, but they are on one side.
        return None if ahead == (side == "end") else (0, 0)
    whole = whole_number(bound)
    months, days, micros = (0, whole, 0) if whole is not None and by == "DATE" else interval(bound) or (0, 0, 0)
    if not (months or days or micros) and whole != 0 and interval(bound) is None:
        return None
    if by not in KNOWN:
        return None
    sign = 1 if ahead else -1
    return length(sign * months, sign * days, sign * micros, zoned=by == ZONED, steady=types.steady)
