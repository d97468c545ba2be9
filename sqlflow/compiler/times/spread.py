"""The time over each source of a SELECT: of the one that it is made of, and of those that a condition ties to it.

A join, for another source B, when conjuncts bound the distance of a chain over the time's one column in S from a
chain over a column of B: `B.d = S.d - INTERVAL 7 DAY`, `B.ts BETWEEN S.ts - INTERVAL 1 HOUR AND S.ts`. With
w = g(S.d) and z = h(B.d), w - z in [low, high] and T = f(w): a row of B meets only rows of S whose T lies within
`carried_by([low, high], f)` of f(z). So f(z) is B's E, and that distance is its reach. Only conditions count that
would as equalities above. One inequality leaves an end open (a running total, ASOF): still only later, or only
earlier times are touched, as NULL satisfies none. A DATE compared with a TIMESTAMP is its midnight; what is made
a DATE in E is cut to the day. Types must be known and both with a time zone or both without.
"""

from __future__ import annotations

from collections.abc import Iterable

from sqlglot import exp

from sqlflow.compiler.moments import KNOWN, ZONED, Chain, carried, carried_by, common_steps, errors
from sqlflow.compiler.relations import plain_column
from sqlflow.compiler.scopes import Direct, Reference, Select, Source, base_column
from sqlflow.compiler.times.conditions import Distance, Side, distances_of, equalities_of
from sqlflow.compiler.times.trees import bracketed, replaced
from sqlflow.compiler.times.types import local_chain
from sqlflow.compiler.times.values import Local, Types
from sqlflow.core.names import ColumnRef
from sqlflow.core.reach import Reach, TimeStep


def spread(select: Select, main: Source, local: Local, types: Types | None, dialect: str) -> dict[int, Local]:
    """The time over each source: over the first, and by equalities over the others."""
    times = {id(main): local}
    equal = equalities_of(select)
    distances = distances_of(select, types) if types is not None and local.timed else []
    pairs = {(id(one), id(two)): (one, two) for one, two in _met(equal, distances)}
    # Distances with one end are taken where nothing else is found.
    for half in (False, True):
        changed = True
        while changed:
            changed = False
            for known, other in pairs.values():
                if id(known) not in times or id(other) in times:
                    continue
                found = _far(times[id(known)], known, other, distances, types, dialect, half=False)
                found = found or _across(times[id(known)], known, other, equal)
                if found is None and half:
                    found = _far(times[id(known)], known, other, distances, types, dialect, half=True)
                if found is not None:
                    times[id(other)] = found
                    changed = True
    return times


def _met(equal: Iterable[tuple[Direct, Direct]], distances: Iterable[Distance]) -> Iterable[tuple[Source, Source]]:
    """The pairs of sources that a condition ties, both ways."""
    for left, right in equal:
        yield left.source, right.source
        yield right.source, left.source
    for distance in distances:
        yield distance.left.column.source, distance.right.column.source
        yield distance.right.column.source, distance.left.column.source


def _far(
    local: Local,
    known: Source,
    other: Source,
    distances: list[Distance],
    types: Types | None,
    dialect: str,
    *,
    half: bool,
) -> Local | None:
    """The time over `other`, when it is a chain and its distance from one over `known` has bounds.

    With `half` one bound is enough.
    """
    if types is None:
        return None
    steady = types.steady
    time = local_chain(local, types)
    if time is None:
        return None
    leaf = local.leaves[id(time.leaf)]
    # What is tied: the time's value after so many steps, and the other side's, up to its shifts.
    bounds: dict[tuple[int, str], tuple[Side, int, Reach]] = {}
    for distance in distances:
        for here, there, low, high in distance.both_ways():
            if here.column.source is not known or here.column.index != leaf.index:
                continue
            if there.column.source is not other:
                continue
            mine, (low_here, high_here) = here.chain.without_shifts(steady=steady)
            theirs, (low_there, high_there) = there.chain.without_shifts(steady=steady)
            same = common_steps(time.steps, here.chain.steps[:mine])
            low_error, high_error = errors(here.chain.steps[same:mine], here.chain.types[same:mine], steady=steady)
            # here + its shifts - (there + its shifts) in [low, high]
            first = None if low is None else low + low_there - high_here - high_error
            last = None if high is None else high + high_there - low_here - low_error
            key = (same, f"{there.column.index} {there.chain.nodes[theirs].sql(dialect)}")
            before = bounds.get(key)
            if before is not None:
                first, last = _tighter(before[2], Reach(first, last))
            bounds[key] = (there, theirs, Reach(first, last))
    found: list[tuple[int, Local]] = []
    for (same, _), (there, theirs, reach) in bounds.items():
        if reach.unknown or (not reach.bounded and not half):
            continue
        made = _tied(local, time, same, there, theirs, reach, steady=steady)
        if made is not None:
            size = (made.reach.last or 0) - (made.reach.first or 0)
            found.append((size if made.reach.bounded else 2**62, made))
    return min(found, key=lambda item: item[0])[1] if found else None


def _tied(
    local: Local, time: Chain, same: int, there: Side, theirs: int, reach: Reach, *, steady: bool
) -> Local | None:
    """The time with the value after `same` steps replaced by that of `there` after `theirs` steps."""
    wanted, given = time.types[same], there.chain.types[theirs]
    if (wanted == ZONED) != (given == ZONED) or (wanted != given and not {wanted, given} <= set(KNOWN)):
        return None
    if reach.first is not None and reach.last is not None and reach.first > reach.last:
        reach = Reach(reach.last, reach.first)  # no row satisfies both conditions
    leaves: dict[int, Direct] = {}

    def put(reference: Reference) -> exp.Expr | None:
        direct = plain_column(reference)
        if direct is None:
            return None
        new = exp.column("_")
        leaves[id(new)] = direct
        return new

    node = there.chain.nodes[theirs]
    piece = replaced(node, there.bindings, put)
    if piece is None:
        return None
    if wanted == "DATE" and given != "DATE":
        piece = exp.Cast(this=bracketed(piece), to=exp.DataType.build("DATE", dialect="duckdb"))
        # The other side of the condition is a day, so it is its own day.
        reach = carried(reach, TimeStep("date"), given, steady=steady)
    elif wanted == "TIMESTAMP" and given == "DATE" and len(time.steps) > same:
        piece = exp.Cast(this=bracketed(piece), to=exp.DataType.build("TIMESTAMP", dialect="duckdb"))
    reach = carried_by(reach, time.steps[same:], time.types[same:], steady=steady)
    tree = replaced(local.tree, {id(time.nodes[same]): True}, lambda _: piece)
    if tree is None:
        return None
    return Local(tree, leaves, local.same_type, local.reach.then(reach), local.timed)


def _tighter(one: Reach, two: Reach) -> tuple[int | None, int | None]:
    """The bounds that hold when both do."""
    lows = [bound for bound in (one.first, two.first) if bound is not None]
    highs = [bound for bound in (one.last, two.last) if bound is not None]
    return max(lows, default=None), min(highs, default=None)


def _across(
    local: Local,
    known: Source,
    other: Source,
    equal: list[tuple[Direct, Direct]],
) -> Local | None:
    partners: dict[int, Direct] = {}
    for left, right in equal:
        for mine, theirs in ((left, right), (right, left)):
            if mine.source is known and theirs.source is other:
                partners.setdefault(mine.index, theirs)
    pairs: list[tuple[ColumnRef, ColumnRef]] = []
    leaves: dict[int, Direct] = {}

    def swap(direct: Direct) -> exp.Expr | None:
        theirs = partners.get(direct.index)
        if theirs is None:
            return None
        one, two = base_column(direct), base_column(theirs)
        if one is None or two is None:
            return None
        pairs.append((one, two))
        leaf = exp.column("_")
        leaves[id(leaf)] = theirs
        return leaf

    tree = replaced(local.tree, local.leaves, swap)
    if tree is None:
        return None
    return Local(tree, leaves, (*local.same_type, *pairs), local.reach, local.timed)
