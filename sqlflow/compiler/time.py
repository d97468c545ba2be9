"""How the rows of a query's inputs map to its output's time column.

The mapping of a table is an expression E over its columns with this promise: if rows of the table
are added, removed or changed, and E of all of them (old and new) lies in a set P of values, then
only output rows whose time lies in P, or is NULL, can change.

Why it holds. Walking down from the output, the time column is always one expression over the columns of
what is read, and each step keeps rows of different times apart:

- a filter, a projection, UNION [ALL], EXCEPT and INTERSECT look at one row, or at equal rows;
- GROUP BY and DISTINCT, when the time is made of the keys; window functions, when it is made of
  the PARTITION BY; DISTINCT ON, when it is made of its keys;
- a join, for the source S that the time comes from: each output row has S's time, or S is null
  extended, and then E(NULL, ..) must be NULL: where an outer join may do that, E may only contain
  what turns NULL into NULL;
- a join, for another source B with `S.d = B.d` for every column d in E: a row of B meets only rows
  of S with the same values, whatever the kind of join; a row of S that gains or loses its partner
  has them too. The columns must have one type, or equal values might differ in E; the caller
  checks `same_type`. The equality may also stand in WHERE, which drops the other rows.

So far times stay what they are. Some constructs let rows of different times meet, but no further apart than a bound
that is known: then the promise is about a *reach* [first, last], and rows at E change only output rows whose time lies
in [E + first, E + last], or is NULL. Reaches add up on the way down: if a row of an inner relation touches the times
in E + r of what reads it, and that touches E + s, then it touches E + r + s.

- A window function that is ordered by O, where T = f(O) or both are chains over one column (`moments`). Its value at a
  row depends only on rows whose O is within the frame's bounds of its own: O - 6 days up to O for `RANGE BETWEEN
  INTERVAL 6 DAYS PRECEDING AND CURRENT ROW`; whatever comes before, peers included, for an unbounded frame, for ROWS
  and GROUPS (how far they reach depends on the rows), and for ROW_NUMBER, RANK, DENSE_RANK and LAG; whatever comes after
  for LEAD. A changed row at O thus touches [O, O + 6 days], and its own row. `moments.carried_by` turns that into a
  distance of T. PARTITION BY, FILTER, EXCLUDE and IGNORE NULLS only leave rows out. A row whose O is NULL meets others
  only in a frame without an end on the side where NULLs stand; that side must be the other one.
- A join, for another source B, when conjuncts bound the distance of a chain over the time's one column in S from a
  chain over a column of B: `B.d = S.d - INTERVAL 7 DAY`, `B.ts BETWEEN S.ts - INTERVAL 1 HOUR AND S.ts`. With
  w = g(S.d) and z = h(B.d), w - z in [low, high] and T = f(w): a row of B meets only rows of S whose T lies within
  `carried_by([low, high], f)` of f(z). So f(z) is B's E, and that distance is its reach. Only conditions count that
  would as equalities above. One inequality leaves an end open (a running total, ASOF): still only later, or only
  earlier times are touched, as NULL satisfies none. A DATE compared with a TIMESTAMP is its midnight; what is made
  a DATE in E is cut to the day. Types must be known and both with a time zone or both without.

P may be widened by NULL at every step (NULL groups with NULL, equals nothing, and E(NULL) is NULL
where that matters), so rows with NULL time disturb only each other.

Filters may be pushed for the same reason: with Q the output times that are wanted, and P those from which Q can be
touched (Q widened the other way round, by each reach), putting `E in P` on a table removes rows with E in the
complement of P or NULL, so by the promise only output rows of times outside of Q change, and those in Q
stay. Hence every mapped occurrence that stands in the text is pushable, also one that is
null-extended or inside an outer or semi join: unmatched partners it leaves have times outside P.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

from msgspec import Struct, field
from msgspec.structs import replace
from sqlglot import exp

from sqlflow.compiler.lineage import canonical
from sqlflow.compiler.moments import (
    KNOWN,
    ZONED,
    Chain,
    carried,
    carried_by,
    chain,
    errors,
    interval,
    length,
    whole_number,
)
from sqlflow.compiler.scopes import (
    Alias,
    Direct,
    Expression,
    Feature,
    JoinOn,
    Merged,
    Named,
    Opaque,
    Output,
    Reference,
    Relation,
    Resolved,
    Select,
    SetOperation,
    Source,
    SourceKind,
    ValuesList,
    base_column,
    output_names,
)
from sqlflow.core.names import ColumnRef, TableName
from sqlflow.core.reach import HERE, Reach, TimeStep
from sqlflow.core.syntax import place_of

_Pairs = tuple[tuple[ColumnRef, ColumnRef], ...]


class Occurrence(Struct, frozen=True):
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


class TimeMapping(Struct, frozen=True):
    """How the rows of a table map to output times, for all of its occurrences.

    It holds only if the columns of each pair in `same_type` have the same type.
    """

    occurrences: tuple[Occurrence, ...]
    same_type: _Pairs


class Unmapped(Struct, frozen=True):
    """Any change of the table may touch any output row; why, where in the text, and the construct to blame."""

    reason: str
    start: int | None
    end: int | None
    construct: str = ""


TimeMappings = Mapping[TableName, TimeMapping | Unmapped]


class Types(Struct, frozen=True):
    """What is known of times: the type of a base column (empty when unknown), and whether the session's clock is UTC."""

    of: Callable[[ColumnRef], str]
    steady: bool = False
    cuts_days: bool = True  # `date_trunc` of a DATE is a TIMESTAMP


def time_mappings(resolved: Resolved, output_column: str, types: Types | None = None) -> TimeMappings:
    """For each base table of a query, how its rows map to the output column.

    Without `types` every reach is zero: rows of one value of E touch output rows of that value and no others.
    """
    walk = _Walk(resolved, types)
    names = output_names(resolved.query) or ()
    places = [i for i, name in enumerate(names) if (name or "").lower() == output_column.lower()]
    if len(places) == 1:
        leaf = exp.column(output_column)
        walk.relation(resolved.query, _Time(leaf, {id(leaf): places[0]}))
    else:
        walk.skip(resolved.query, _Why(f"`{output_column}` is not one column of the query"))
    return walk.result()


def key_mappings(resolved: Resolved, output_column: str) -> tuple[TimeMappings, bool]:
    """The same for any column of the output, and whether rows where it is NULL may come and go with changes of rows
    whose expression is not NULL, because an outer join nulls it."""
    walk = _Walk(resolved, None)
    names = output_names(resolved.query) or ()
    places = [i for i, name in enumerate(names) if (name or "").lower() == output_column.lower()]
    if len(places) != 1:
        return {}, False
    leaf = exp.column(output_column)
    walk.relation(resolved.query, _Time(leaf, {id(leaf): places[0]}))
    return walk.result(), walk.nulled


def through(mapping: TimeMapping, view: Resolved, types: Types | None = None) -> TimeMappings:
    """The mapping of a view, carried to the tables that the view's query reads.

    Its occurrences have no place in the reader's text, so nothing is pushable.
    """
    walk = _Walk(view, types, direct=False)
    names = [(name or "").lower() for name in output_names(view.query) or ()]
    for occurrence in mapping.occurrences:
        tree = occurrence.expression.copy()
        leaves: dict[int, int] = {}
        known = True
        for column in tree.find_all(exp.Column):
            name = column.name.lower()
            if names.count(name) == 1 and column.args.get("table") is None:
                leaves[id(column)] = names.index(name)
            else:
                known = False
        if known:
            for reach in occurrence.reaches:
                walk.relation(view.query, _Time(tree, leaves, mapping.same_type, reach))
        else:
            walk.skip(view.query, _Why("the view does not have the columns of the time"))
    return walk.result()


class _Time(Struct, frozen=True):
    """The output time over the columns of a relation: a tree, and which leaf is which column."""

    tree: exp.Expr
    leaves: Mapping[int, int]
    same_type: _Pairs = ()
    reach: Reach = HERE
    timed: bool = True  # a distance here is one of the output's time


class _Local(Struct, frozen=True):
    """The output time over the sources of one SELECT."""

    tree: exp.Expr
    leaves: Mapping[int, Direct]
    same_type: _Pairs
    reach: Reach = HERE
    timed: bool = True


class _Why(Struct, frozen=True):
    """Why there is no mapping, and the piece of the query to blame."""

    reason: str
    node: exp.Expr | None = None


class _Seen(Struct):
    source: Source
    expressions: list[tuple[exp.Expr, Reach]] = field(default_factory=list)
    same_type: list[tuple[ColumnRef, ColumnRef]] = field(default_factory=list)
    why: _Why | None = None


class _Walk:
    def __init__(self, resolved: Resolved, types: Types | None, *, direct: bool = True) -> None:
        self.pinned = resolved.pinned
        self.dialect = resolved.dialect
        self.types = types
        self.direct = direct
        self.nulled = False  # an outer join may null the columns of the time
        self.seen: dict[int, _Seen] = {}
        self.skipped: set[int] = set()
        # A CTE read many times, each time for the same expression.
        self.done: set[tuple[int, str, _Pairs, Reach]] = set()

    def result(self) -> TimeMappings:
        tables: dict[TableName, TimeMapping | Unmapped] = {}
        by_table: dict[TableName, list[_Seen]] = {}
        for seen in self.seen.values():
            if seen.source.table is not None:
                by_table.setdefault(seen.source.table, []).append(seen)
        for table, all_seen in by_table.items():
            why = next((seen.why for seen in all_seen if seen.why is not None), None)
            if why is not None:
                tables[table] = Unmapped(why.reason, *place_of(why.node), _shown(why.node))
                continue
            occurrences = tuple(occurrence for seen in all_seen for occurrence in self._occurrences(seen))
            pairs = dict.fromkeys(pair for seen in all_seen for pair in seen.same_type)
            tables[table] = TimeMapping(occurrences, tuple(pairs))
        return tables

    def _occurrences(self, seen: _Seen) -> list[Occurrence]:
        source = seen.source
        distinct = {expression.sql(self.dialect): expression for expression, _ in seen.expressions}
        reaches: dict[str, dict[Reach, None]] = {}
        for expression, reach in seen.expressions:
            reaches.setdefault(expression.sql(self.dialect), {})[reach] = None
        pushable = (
            self.direct
            and source.start is not None
            and source not in self.pinned
            and not source.sampled
            and len(distinct) == 1
        )
        start, end = (source.start, source.end) if self.direct else (None, None)
        aliased = source.node.args.get("alias") is not None
        return [
            Occurrence(expression, start, end, aliased, pushable, tuple(reaches[text]))
            for text, expression in distinct.items()
        ]

    # Down, with the time in hand

    def relation(self, relation: Relation, time: _Time) -> None:
        text = canonical(
            Expression(time.tree, (), {}, {}, Feature.NONE),
            lambda _: None,
            lambda _: None,
        )
        places = ",".join(str(place) for place in time.leaves.values())
        key = (id(relation), f"{text} {places}", time.same_type, time.reach)
        if key in self.done:
            return
        self.done.add(key)
        match relation:
            case Select():
                self._select(relation, time)
            case SetOperation():
                self._set_operation(relation, time)
            case ValuesList():
                self.skip(relation, _Why("the time comes from VALUES", relation.node))
            case Opaque():
                self.skip(relation, _Why("what is in here is not looked into", relation.node))

    def _set_operation(self, node: SetOperation, time: _Time) -> None:
        why = None
        if node.recursion:
            why = _Why("the query is recursive", node.node)
        elif node.limit:
            why = _Why("LIMIT or OFFSET picks among all rows", node.limit[0].node)
        elif node.outputs is None:
            why = _Why("the output columns are not known", node.node)
        if why is not None or node.outputs is None:
            self.skip(node, why or _Why(""))
            return
        pairs = _one_type(node, time)
        timed = time.timed and self.types is not None and _both_timed(node, time, self.types)
        for branch, places in (
            (node.left, [output.left for output in node.outputs]),
            (node.right, [output.right for output in node.outputs]),
        ):
            leaves = {leaf: places[index] for leaf, index in time.leaves.items()}
            known = {leaf: place for leaf, place in leaves.items() if place is not None}
            if len(known) < len(leaves):
                self.skip(branch, _Why("a branch does not have the time column", node.node))
            elif pairs is None:
                reason = "the branches may have different types, and the time is computed from them"
                self.skip(branch, _Why(reason, node.node))
            else:
                self.relation(branch, _Time(time.tree, known, (*time.same_type, *pairs), time.reach, timed))

    def _select(self, select: Select, time: _Time) -> None:
        local = self._local(select, time)
        if isinstance(local, _Why):
            self.skip(select, local)
            return
        types = self.types if local.timed else None
        mixed = _mixes_times(select, local, types)
        if isinstance(mixed, _Why):
            self.skip(select, mixed)
            return
        if mixed != HERE:
            local = replace(local, reach=local.reach.then(mixed))
            if local.reach.unknown:
                self.skip(select, _Why("window functions look back and ahead without an end", select.node))
                return
        main = next(iter(local.leaves.values())).source
        place = next(i for i, source in enumerate(select.sources) if source is main)
        if place in _nullable(select.joins):
            if not _strict(local):
                reason = "an outer join may null the columns, and the time is then not NULL"
                self.skip(select, _Why(reason, select.node))
                return
            self.nulled = True
        for expression in _expressions(select):
            for inner in expression.nested.values():
                self.skip(
                    inner,
                    _Why("it is read by a subquery in an expression", expression.node),
                )
        times = self._spread(select, main, local)
        for source in select.sources:
            found = times.get(id(source))
            if found is None:
                reason = "it is joined without a condition that ties it to the time"
                self._skip_source(source, _Why(reason, source.node))
            else:
                self._source(source, found)

    def _source(self, source: Source, local: _Local) -> None:
        if source.sampled:
            self._skip_source(source, _Why("a sample of it is read", source.node))
        elif source.table is not None:
            self._table(source, source.table, local)
        elif source.relation is not None:
            leaves = {leaf: direct.index for leaf, direct in local.leaves.items()}
            self.relation(source.relation, _Time(local.tree, leaves, local.same_type, local.reach, local.timed))
        else:
            self._skip_source(source, _Why("the time comes from a function", source.node))

    def _table(self, source: Source, table: TableName, local: _Local) -> None:
        def own(direct: Direct) -> exp.Expr | None:
            if direct.index >= len(source.base_columns):
                return None
            return exp.column(source.base_columns[direct.index], quoted=True)

        tree = _replaced(local.tree, local.leaves, own)
        seen = self.seen.setdefault(id(source), _Seen(source))
        if tree is None:
            seen.why = _Why("the columns of the table are not known", source.node)
        else:
            seen.expressions.append((tree, local.reach))
            seen.same_type.extend(local.same_type)

    def _local(self, select: Select, time: _Time) -> _Local | _Why:
        """The time over the sources of a SELECT, by putting in what its columns are."""
        if select.outputs is None:
            return _Why("the output columns are not known", select.node)
        leaves: dict[int, Direct] = {}
        outputs = select.outputs

        def put(index: int) -> exp.Expr | None:
            return _expanded(outputs[index].expression, leaves)

        tree = _replaced(time.tree, time.leaves, put)
        if tree is None:
            blame = next(iter(time.leaves.values()), 0)
            node = outputs[blame].expression.node or select.node
            return _Why("the time is not a plain expression of columns", node)
        sources = {id(direct.source) for direct in leaves.values()}
        if len(sources) != 1:
            return _Why("the time is not made of the columns of one table", select.node)
        if not any(id(source) in sources for source in select.sources):
            return _Why("the time comes from outside of the subquery", select.node)
        return _Local(tree, leaves, time.same_type, time.reach, time.timed)

    def _spread(self, select: Select, main: Source, local: _Local) -> dict[int, _Local]:
        """The time over each source: over the first, and by equalities over the others."""
        times = {id(main): local}
        equal = _equalities(select)
        distances = _distances(select, self.types) if self.types is not None and local.timed else []
        pairs = {(id(one), id(two)): (one, two) for one, two in _met(equal, distances)}
        # Distances with one end are taken where nothing else is found.
        for half in (False, True):
            changed = True
            while changed:
                changed = False
                for known, other in pairs.values():
                    if id(known) not in times or id(other) in times:
                        continue
                    found = self._far(times[id(known)], known, other, distances, half=False)
                    found = found or self._across(times[id(known)], known, other, equal)
                    if found is None and half:
                        found = self._far(times[id(known)], known, other, distances, half=True)
                    if found is not None:
                        times[id(other)] = found
                        changed = True
        return times

    def _far(
        self, local: _Local, known: Source, other: Source, distances: list[_Distance], *, half: bool
    ) -> _Local | None:
        """The time over `other`, when it is a chain and its distance from one over `known` has bounds.

        With `half` one bound is enough.
        """
        if self.types is None:
            return None
        steady = self.types.steady
        time = _local_chain(local, self.types)
        if time is None:
            return None
        leaf = local.leaves[id(time.leaf)]
        # What is tied: the time's value after so many steps, and the other side's, up to its shifts.
        bounds: dict[tuple[int, str], tuple[_Side, int, Reach]] = {}
        for distance in distances:
            for here, there, low, high in distance.both_ways():
                if here.column.source is not known or here.column.index != leaf.index:
                    continue
                if there.column.source is not other:
                    continue
                mine, (low_here, high_here) = here.chain.without_shifts(steady=steady)
                theirs, (low_there, high_there) = there.chain.without_shifts(steady=steady)
                same = _common(time.steps, here.chain.steps[:mine])
                low_error, high_error = errors(here.chain.steps[same:mine], here.chain.types[same:mine], steady=steady)
                # here + its shifts - (there + its shifts) in [low, high]
                first = None if low is None else low + low_there - high_here - high_error
                last = None if high is None else high + high_there - low_here - low_error
                key = (same, f"{there.column.index} {there.chain.nodes[theirs].sql(self.dialect)}")
                before = bounds.get(key)
                if before is not None:
                    first, last = _tighter(before[2], Reach(first, last))
                bounds[key] = (there, theirs, Reach(first, last))
        found: list[tuple[int, _Local]] = []
        for (same, _), (there, theirs, reach) in bounds.items():
            if reach.unknown or (not reach.bounded and not half):
                continue
            made = self._tied(local, time, same, there, theirs, reach)
            if made is not None:
                size = (made.reach.last or 0) - (made.reach.first or 0)
                found.append((size if made.reach.bounded else 2**62, made))
        return min(found, key=lambda item: item[0])[1] if found else None

    def _tied(self, local: _Local, time: Chain, same: int, there: _Side, theirs: int, reach: Reach) -> _Local | None:
        """The time with the value after `same` steps replaced by that of `there` after `theirs` steps."""
        assert self.types is not None
        steady = self.types.steady
        wanted, given = time.types[same], there.chain.types[theirs]
        if (wanted == ZONED) != (given == ZONED) or (wanted != given and not {wanted, given} <= set(KNOWN)):
            return None
        if reach.first is not None and reach.last is not None and reach.first > reach.last:
            reach = Reach(reach.last, reach.first)  # no row satisfies both conditions
        leaves: dict[int, Direct] = {}

        def put(reference: Reference) -> exp.Expr | None:
            direct = _plain(reference)
            if direct is None:
                return None
            new = exp.column("_")
            leaves[id(new)] = direct
            return new

        node = there.chain.nodes[theirs]
        piece = _replaced(node, there.bindings, put)
        if piece is None:
            return None
        if wanted == "DATE" and given != "DATE":
            piece = exp.Cast(this=_bracketed(piece), to=exp.DataType.build("DATE", dialect="duckdb"))
            # The other side of the condition is a day, so it is its own day.
            reach = carried(reach, TimeStep("date"), given, steady=steady)
        elif wanted == "TIMESTAMP" and given == "DATE" and len(time.steps) > same:
            piece = exp.Cast(this=_bracketed(piece), to=exp.DataType.build("TIMESTAMP", dialect="duckdb"))
        reach = carried_by(reach, time.steps[same:], time.types[same:], steady=steady)
        tree = _replaced(local.tree, {id(time.nodes[same]): True}, lambda _: piece)
        if tree is None:
            return None
        return _Local(tree, leaves, local.same_type, local.reach.then(reach), local.timed)

    def _across(
        self,
        local: _Local,
        known: Source,
        other: Source,
        equal: list[tuple[Direct, Direct]],
    ) -> _Local | None:
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

        tree = _replaced(local.tree, local.leaves, swap)
        if tree is None:
            return None
        return _Local(tree, leaves, (*local.same_type, *pairs), local.reach, local.timed)

    # Down, without it

    def skip(self, relation: Relation, why: _Why) -> None:
        """Marks every table below as unmapped."""
        if id(relation) in self.skipped:
            return
        self.skipped.add(id(relation))
        match relation:
            case Select():
                for source in relation.sources:
                    self._skip_source(source, why)
                for expression in _expressions(relation):
                    self._skip_nested(expression, why)
            case SetOperation():
                self.skip(relation.left, why)
                self.skip(relation.right, why)
                for expression in (*relation.limit, *relation.order):
                    self._skip_nested(expression, why)
            case ValuesList():
                for row in relation.rows:
                    for expression in row:
                        self._skip_nested(expression, why)
            case Opaque():
                for source in relation.sources:
                    self._skip_source(source, why)

    def _skip_nested(self, expression: Expression, why: _Why) -> None:
        for inner in expression.nested.values():
            self.skip(inner, why)

    def _skip_source(self, source: Source, why: _Why) -> None:
        if source.table is not None:
            seen = self.seen.setdefault(id(source), _Seen(source))
            seen.why = seen.why or why
        if source.relation is not None:
            self.skip(source.relation, why)


# Whether a SELECT keeps the times apart


def _mixes_times(select: Select, local: _Local, types: Types | None) -> _Why | Reach:
    """How far apart times can be whose rows meet in a SELECT; what lets them meet where that has no bound."""
    if select.sampled:
        return _Why("a sample picks among all rows", select.node)
    if select.limit:
        return _Why("LIMIT or OFFSET picks among all rows", select.limit[0].node)
    for join in select.joins:
        if join.method == "POSITIONAL":
            return _Why("a positional join pairs rows by their place", select.node)
    for source in select.sources:
        if source.kind in (
            SourceKind.FUNCTION,
            SourceKind.RECURSION,
            SourceKind.UNKNOWN,
        ):
            return _Why("what this reads is not known", source.node)
    if select.grouping_sets:
        return _Why("grouping sets put all times into one row", select.node.args.get("group"))
    expressions = _expressions(select)
    if select.group is not None:
        if not _made_of(local, select.group):
            return _Why("the time is not among the GROUP BY keys", select.node.args.get("group"))
    else:
        for expression in expressions:
            if expression.features & Feature.AGGREGATE:
                return _Why("an aggregate over all rows", expression.node)
    if select.distinct_on and not _made_of(local, select.distinct_on):
        return _Why("the time is not among the keys of DISTINCT ON", select.distinct_on[0].node)
    reach = HERE
    for expression in expressions:
        if not expression.features & Feature.WINDOW:
            continue
        for window in _windows(expression):
            if _made_of(local, _partition(window, expression)):
                continue
            found = _window_reach(window, expression, local, types)
            if isinstance(found, _Why):
                return found
            reach = _hull(reach, found)
    return reach


def _windows(expression: Expression) -> Iterable[exp.Expr]:
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


def _partition(window: exp.Expr, expression: Expression) -> list[Expression]:
    """PARTITION BY of a window, also where the WINDOW clause has it."""
    nodes = list(window.args.get("partition_by") or ())
    named = expression.bindings.get(id(window))
    while isinstance(named, Named):
        nodes += named.window.args.get("partition_by") or ()
        named = expression.bindings.get(id(named.window))
    return [Expression(node, (), expression.bindings, expression.nested, Feature.NONE) for node in nodes]


def _made_of(local: _Local, keys: Iterable[Expression]) -> bool:
    """Whether rows that agree in the keys agree in the time."""
    texts = {text for key in keys if (text := _text(key)) is not None}
    bindings: dict[int, Reference] = dict(local.leaves)

    def covered(node: exp.Expr) -> bool:
        piece = Expression(node, (), bindings, {}, Feature.NONE)
        if _text(piece) in texts:
            return True
        if id(node) in bindings:
            return False
        return all(covered(child) for child in node.iter_expressions())

    try:
        return covered(local.tree)
    except RecursionError:
        return False


def _text(expression: Expression) -> str | None:
    return canonical(expression, _reference_text, lambda relation: None)


def _reference_text(reference: Reference) -> str | None:
    match reference:
        case Direct(source, index):
            return f"{id(source)}.{index}"
        case Merged(left, _, side) if side in ("", "LEFT"):
            return _reference_text(left)
        case Alias(output):
            return _text(output.expression)
        case _:
            return None


def _nullable(joins: Iterable[JoinOn]) -> set[int]:
    """The places of sources whose columns an outer join may turn into NULL."""
    places: set[int] = set()
    for join in joins:
        if join.side in ("LEFT", "FULL"):
            places.update(range(join.middle, join.end))
        if join.side in ("RIGHT", "FULL"):
            places.update(range(join.start, join.middle))
    return places


def _strict(local: _Local) -> bool:
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


def _one_type(node: SetOperation, time: _Time) -> _Pairs | None:
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


def _equalities(select: Select) -> list[tuple[Direct, Direct]]:
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
            one, two = _plain(left), _plain(right)
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
            one = _plain(expression.bindings.get(id(node.this)))
            two = _plain(expression.bindings.get(id(node.expression)))
            if one is not None and two is not None and one.source is not two.source:
                pairs.append((one, two))
    return pairs


def _plain(reference: Reference | None) -> Direct | None:
    """The one column that a name is; the left one of a USING that cannot null it."""
    if isinstance(reference, Direct):
        return reference
    if isinstance(reference, Merged) and reference.side in ("", "LEFT"):
        return _plain(reference.left)
    return None


# How far rows of different times can meet


class _Side(Struct, frozen=True):
    """A chain over one column of a source, in a condition."""

    column: Direct
    chain: Chain
    bindings: Mapping[int, Reference]


class _Distance(Struct, frozen=True):
    """`left` - `right` lies between `low` and `high`, None: without an end."""

    left: _Side
    right: _Side
    low: int | None
    high: int | None

    def both_ways(self) -> Iterable[tuple[_Side, _Side, int | None, int | None]]:
        yield self.left, self.right, self.low, self.high
        low = None if self.high is None else -self.high
        yield self.right, self.left, low, None if self.low is None else -self.low


def _met(equal: Iterable[tuple[Direct, Direct]], distances: Iterable[_Distance]) -> Iterable[tuple[Source, Source]]:
    """The pairs of sources that a condition ties, both ways."""
    for left, right in equal:
        yield left.source, right.source
        yield right.source, left.source
    for distance in distances:
        yield distance.left.column.source, distance.right.column.source
        yield distance.right.column.source, distance.left.column.source


def _tighter(one: Reach, two: Reach) -> tuple[int | None, int | None]:
    """The bounds that hold when both do."""
    lows = [bound for bound in (one.first, two.first) if bound is not None]
    highs = [bound for bound in (one.last, two.last) if bound is not None]
    return max(lows, default=None), min(highs, default=None)


def _hull(one: Reach, two: Reach) -> Reach:
    return Reach(
        None if one.first is None or two.first is None else min(one.first, two.first),
        None if one.last is None or two.last is None else max(one.last, two.last),
    )


def _common(one: Sequence[TimeStep], two: Sequence[TimeStep]) -> int:
    """How many steps two chains begin with that are the same."""
    count = 0
    while count < min(len(one), len(two)) and one[count] == two[count]:
        count += 1
    return count


def _bracketed(tree: exp.Expr) -> exp.Expr:
    return tree if isinstance(tree, _ATOMS) else exp.Paren(this=tree)


def _local_chain(local: _Local, types: Types) -> Chain | None:
    def type_of(node: exp.Expr) -> str | None:
        direct = local.leaves.get(id(node))
        return _type(direct, types) if direct is not None else None

    return chain(local.tree, type_of, cuts_days=types.cuts_days)


def _side(node: exp.Expr, bindings: Mapping[int, Reference], types: Types) -> _Side | None:
    columns: dict[int, Direct] = {}

    def type_of(leaf: exp.Expr) -> str | None:
        direct = _plain(bindings.get(id(leaf)))
        if direct is None:
            return None
        columns[id(leaf)] = direct
        return _type(direct, types)

    found = chain(node, type_of, cuts_days=types.cuts_days)
    return None if found is None else _Side(columns[id(found.leaf)], found, bindings)


def _type(direct: Direct, types: Types, depth: int = 0) -> str:
    """The type of a source's column: of a base column, or of a chain over one; empty when it is not known."""
    source, relation = direct.source, direct.source.relation
    if source.table is not None:
        if direct.index >= len(source.base_columns):
            return ""
        return types.of(ColumnRef(source.table, source.base_columns[direct.index]))
    return "" if relation is None or depth > _DEEPEST else _output_type(relation, direct.index, types, depth)


def _output_type(relation: Relation, index: int, types: Types, depth: int) -> str:
    if isinstance(relation, SetOperation):
        if relation.recursion or relation.outputs is None or index >= len(relation.outputs):
            return ""
        output = relation.outputs[index]
        if output.left is None or output.right is None:
            return ""
        left = _output_type(relation.left, output.left, types, depth + 1)
        return left if left == _output_type(relation.right, output.right, types, depth + 1) else ""
    if not isinstance(relation, Select) or relation.outputs is None or index >= len(relation.outputs):
        return ""
    leaves: dict[int, Direct] = {}
    tree = _expanded(relation.outputs[index].expression, leaves)
    if tree is None:
        return ""

    def type_of(node: exp.Expr) -> str | None:
        direct = leaves.get(id(node))
        return _type(direct, types, depth + 1) if direct is not None else None

    found = chain(tree, type_of, cuts_days=types.cuts_days)
    return found.type if found is not None else ""


def _both_timed(node: SetOperation, time: _Time, types: Types) -> bool:
    """Whether the branches have times with a zone, or times without one, in the columns of the time."""
    for index in time.leaves.values():
        output = (node.outputs or ())[index]
        if output.left is None or output.right is None:
            return False
        left = _output_type(node.left, output.left, types, 0)
        right = _output_type(node.right, output.right, types, 0)
        if not left or not right or (left == ZONED) != (right == ZONED):
            return False
    return True


def _distances(select: Select, types: Types) -> list[_Distance]:
    """What conditions say of how far times of two sources are apart, in every row that a join matches or WHERE keeps."""
    found: list[_Distance] = []
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


def _compared(expression: Expression, types: Types) -> Iterable[_Distance]:
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
) -> Iterable[_Distance]:
    one, two = _side(left, expression.bindings, types), _side(right, expression.bindings, types)
    if one is None or two is None or one.column.source is two.column.source:
        return
    first, second = one.chain.type, two.chain.type
    if first == second or (first != ZONED and second != ZONED and {first, second} <= set(KNOWN)):
        yield _Distance(one, two, low, high)


def _window_reach(window: exp.Expr, expression: Expression, local: _Local, types: Types | None) -> _Why | Reach:
    """How far a changed row's effect on a window function's values goes, in the time's own terms."""
    refused = _Why("a window function whose PARTITION BY lacks the time", window)
    order, spec = _order(window, expression)
    if types is None or not order:
        return refused
    leaves: dict[int, Direct] = {}
    piece = Expression(order[0].this, (), expression.bindings, expression.nested, Feature.NONE)
    tree = _expanded(piece, leaves) if not expression.nested else None
    time = _local_chain(local, types)
    by = _local_chain(_Local(tree, leaves, ()), types) if tree is not None else None
    if time is None or by is None:
        return refused
    mine, theirs = local.leaves[id(time.leaf)], leaves[id(by.leaf)]
    if mine.source is not theirs.source or mine.index != theirs.index:
        return refused
    frame = _frame(window, spec, by.type, types)
    if isinstance(frame, _Why):
        return frame
    back, ahead = frame
    nulls_first = bool(order[0].args.get("nulls_first"))
    if (back is None and nulls_first) or (ahead is None and not nulls_first):
        return _Why("rows without a time are in the frame of this window function", window)
    # A row sees what is up to `back` before it and `ahead` after it, so it is seen from `ahead` before and `back` after.
    seen = Reach(None if ahead is None else -ahead, back)
    if order[0].args.get("desc"):
        seen = Reach(None if back is None else -back, ahead)
    if seen.unknown:
        return _Why("this window function looks back and ahead without an end", window)
    same = _common(time.steps, by.steps)
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
    for _ in range(_DEEPEST):
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


def _frame(window: exp.Expr, spec: exp.Expr | None, by: str, types: Types) -> _Why | tuple[int | None, int | None]:
    """How far before and after its own a row of a window function looks, in the order; None: without an end."""
    function = window.this
    while isinstance(function, (exp.IgnoreNulls, exp.RespectNulls, exp.Filter)):
        function = function.this
    if any(True for _ in function.find_all(exp.Ordered)):
        return _Why("a window function with an ORDER BY of its arguments", window)
    if isinstance(function, _BEFORE) and not function.expressions:
        return None, 0
    if isinstance(function, (exp.Lag, exp.Lead)):
        offset = function.args.get("offset")
        if offset is not None and (count := whole_number(offset)) is not None and count < 0:
            offset = exp.null()
        if offset is not None and whole_number(offset) is None:
            return _Why("LAG or LEAD by a number that is not known", window)
        return (None, 0) if isinstance(function, exp.Lag) else (0, None)
    if not isinstance(function, (exp.AggFunc, *_FRAMED)) or isinstance(function, _NO_FRAME):
        return _Why("a window function that looks at all rows, or is not known", window)
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


def _expressions(select: Select) -> list[Expression]:
    """Every expression of a SELECT."""
    found = [output.expression for output in select.outputs or ()]
    found += select.hidden
    found += [join.on for join in select.joins if join.on is not None]
    found += [clause for clause in (select.where, select.having, select.qualify) if clause is not None]
    for several in (select.group or (), select.distinct_on, select.order, select.limit):
        found += several
    for source in select.sources:
        found += source.arguments
    return found


# Trees


def _expanded(expression: Expression, leaves: dict[int, Direct], depth: int = 0) -> exp.Expr | None:
    """An expression as a new tree over columns of sources; None if it is no plain function."""
    if expression.nested or expression.features or depth > _DEEPEST:
        return None

    def put(reference: Reference) -> exp.Expr | None:
        if isinstance(reference, Alias):
            return _expanded(reference.output.expression, leaves, depth + 1)
        direct = _plain(reference)
        if direct is None:
            return None
        leaf = exp.column("_")
        leaves[id(leaf)] = direct
        return leaf

    if expression.node is None:
        return put(expression.references[0])
    return _replaced(expression.node, expression.bindings, put)


_Leaf = TypeVar("_Leaf")

_DEEPEST = 16
_LARGEST = 2000


def _replaced(tree: exp.Expr, leaves: Mapping[int, _Leaf], put: Callable[[_Leaf], exp.Expr | None]) -> exp.Expr | None:
    """A copy of a tree with something else in the place of each leaf; None if one has nothing."""
    root = leaves.get(id(tree))
    if root is not None:
        return put(root)
    copy = tree.copy()
    nodes = list(zip(tree.walk(), copy.walk(), strict=True))
    if len(nodes) > _LARGEST:
        return None
    for old, new in nodes:
        leaf = leaves.get(id(old))
        if leaf is None:
            continue
        found = put(leaf)
        if found is None:
            return None
        new.replace(found if isinstance(found, _ATOMS) else exp.Paren(this=found))
    return copy


# What needs no brackets wherever it is put.
_ATOMS = (exp.Column, exp.Literal, exp.Func, exp.Paren)


def _shown(node: exp.Expr | None) -> str:
    """A construct in a few words; nothing for a whole query."""
    if node is None or isinstance(node, (exp.Query, exp.Values)):
        return ""
    try:
        text = " ".join(node.sql("duckdb", comments=False).split())
    except (ValueError, RecursionError):
        return ""
    return text if len(text) <= 80 else f"{text[:77]}..."
