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

P may be widened by NULL at every step (NULL groups with NULL, equals nothing, and E(NULL) is NULL
where that matters), so rows with NULL time disturb only each other.

Filters may be pushed for the same reason: putting `E in P` on a table removes rows with E in the
complement of P or NULL, so by the promise only output rows of those times change, and those in P
stay. Hence every mapped occurrence that stands in the text is pushable, also one that is
null-extended or inside an outer or semi join: unmatched partners it leaves have times outside P.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from sqlglot import exp

from sqlflow.compiler.lineage import canonical
from sqlflow.compiler.resolve import (
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

_Pairs = tuple[tuple[ColumnRef, ColumnRef], ...]


@dataclass(frozen=True, slots=True)
class Occurrence:
    """One place where a table is read.

    `expression` is over the table's own columns, unqualified: the output time that a row
    contributes to. `start` and `end` cut the table's name (without alias) out of the query's
    text; None when the table is read inside a view. `aliased` tells that an alias follows.
    """

    expression: exp.Expr
    start: int | None
    end: int | None
    aliased: bool
    pushable: bool


@dataclass(frozen=True, slots=True)
class TimeMapping:
    """How the rows of a table map to output times, for all of its occurrences.

    It holds only if the columns of each pair in `same_type` have the same type.
    """

    occurrences: tuple[Occurrence, ...]
    same_type: _Pairs


@dataclass(frozen=True, slots=True)
class Unmapped:
    """Any change of the table may touch any output row; why, and where in the text."""

    reason: str
    start: int | None
    end: int | None


TimeMappings = Mapping[TableName, TimeMapping | Unmapped]


def time_mappings(resolved: Resolved, output_column: str) -> TimeMappings:
    """For each base table of a query, how its rows map to the output column."""
    walk = _Walk(resolved.pinned)
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
    walk = _Walk(resolved.pinned)
    names = output_names(resolved.query) or ()
    places = [i for i, name in enumerate(names) if (name or "").lower() == output_column.lower()]
    if len(places) != 1:
        return {}, False
    leaf = exp.column(output_column)
    walk.relation(resolved.query, _Time(leaf, {id(leaf): places[0]}))
    return walk.result(), walk.nulled


def through(mapping: TimeMapping, view: Resolved) -> TimeMappings:
    """The mapping of a view, carried to the tables that the view's query reads.

    Its occurrences have no place in the reader's text, so nothing is pushable.
    """
    walk = _Walk(view.pinned, direct=False)
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
            walk.relation(view.query, _Time(tree, leaves, mapping.same_type))
        else:
            walk.skip(view.query, _Why("the view does not have the columns of the time"))
    return walk.result()


@dataclass(frozen=True, slots=True)
class _Time:
    """The output time over the columns of a relation: a tree, and which leaf is which column."""

    tree: exp.Expr
    leaves: Mapping[int, int]
    same_type: _Pairs = ()


@dataclass(frozen=True, slots=True)
class _Local:
    """The output time over the sources of one SELECT."""

    tree: exp.Expr
    leaves: Mapping[int, Direct]
    same_type: _Pairs


@dataclass(frozen=True, slots=True)
class _Why:
    """Why there is no mapping, and the piece of the query to blame."""

    reason: str
    node: exp.Expr | None = None


@dataclass(slots=True)
class _Seen:
    source: Source
    expressions: list[exp.Expr] = field(default_factory=list)
    same_type: list[tuple[ColumnRef, ColumnRef]] = field(default_factory=list)
    why: _Why | None = None


class _Walk:
    def __init__(self, pinned: frozenset[Source], *, direct: bool = True) -> None:
        self.pinned = pinned
        self.direct = direct
        self.nulled = False  # an outer join may null the columns of the time
        self.seen: dict[int, _Seen] = {}
        self.skipped: set[int] = set()
        # A CTE read many times, each time for the same expression.
        self.done: set[tuple[int, str, _Pairs]] = set()

    def result(self) -> TimeMappings:
        tables: dict[TableName, TimeMapping | Unmapped] = {}
        by_table: dict[TableName, list[_Seen]] = {}
        for seen in self.seen.values():
            if seen.source.table is not None:
                by_table.setdefault(seen.source.table, []).append(seen)
        for table, all_seen in by_table.items():
            why = next((seen.why for seen in all_seen if seen.why is not None), None)
            if why is not None:
                tables[table] = Unmapped(why.reason, *_place(why.node))
                continue
            occurrences = tuple(occurrence for seen in all_seen for occurrence in self._occurrences(seen))
            pairs = dict.fromkeys(pair for seen in all_seen for pair in seen.same_type)
            tables[table] = TimeMapping(occurrences, tuple(pairs))
        return tables

    def _occurrences(self, seen: _Seen) -> list[Occurrence]:
        source = seen.source
        distinct = {expression.sql("duckdb"): expression for expression in seen.expressions}
        pushable = (
            self.direct
            and source.start is not None
            and source not in self.pinned
            and not source.sampled
            and len(distinct) == 1
        )
        start, end = (source.start, source.end) if self.direct else (None, None)
        aliased = source.node.args.get("alias") is not None
        return [Occurrence(expression, start, end, aliased, pushable) for expression in distinct.values()]

    # Down, with the time in hand

    def relation(self, relation: Relation, time: _Time) -> None:
        text = canonical(
            Expression(time.tree, (), {}, {}, Feature.NONE),
            lambda _: None,
            lambda _: None,
        )
        places = ",".join(str(place) for place in time.leaves.values())
        key = (id(relation), f"{text} {places}", time.same_type)
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
                self.relation(branch, _Time(time.tree, known, (*time.same_type, *pairs)))

    def _select(self, select: Select, time: _Time) -> None:
        local = self._local(select, time)
        if isinstance(local, _Why):
            self.skip(select, local)
            return
        why = _mixes_times(select, local)
        if why is not None:
            self.skip(select, why)
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
                reason = "it is joined without an equality for each column of the time"
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
            self.relation(source.relation, _Time(local.tree, leaves, local.same_type))
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
            seen.expressions.append(tree)
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
        return _Local(tree, leaves, time.same_type)

    def _spread(self, select: Select, main: Source, local: _Local) -> dict[int, _Local]:
        """The time over each source: over the first, and by equalities over the others."""
        times = {id(main): local}
        equal = _equalities(select)
        changed = bool(equal)
        while changed:
            changed = False
            for left, right in equal:
                for known, other in (
                    (left.source, right.source),
                    (right.source, left.source),
                ):
                    if id(known) not in times or id(other) in times:
                        continue
                    found = self._across(times[id(known)], known, other, equal)
                    if found is not None:
                        times[id(other)] = found
                        changed = True
        return times

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
        return _Local(tree, leaves, (*local.same_type, *pairs))

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


def _mixes_times(select: Select, local: _Local) -> _Why | None:
    """What in a SELECT lets rows of different times meet."""
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
    for expression in expressions:
        if not expression.features & Feature.WINDOW:
            continue
        for window in _windows(expression):
            if not _made_of(local, _partition(window, expression)):
                return _Why("a window function whose PARTITION BY lacks the time", window)
    return None


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
        if isinstance(node, _HANDS_NULL_ON):
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


def _place(node: exp.Expr | None) -> tuple[int | None, int | None]:
    """Where a piece of the query stands in the text, as far as its names tell."""
    starts, ends = [], []
    for inner in node.walk() if node is not None else ():
        start, end = inner.meta.get("start"), inner.meta.get("end")
        if isinstance(start, int) and isinstance(end, int):
            starts.append(start)
            ends.append(end + 1)
    return (min(starts), max(ends)) if starts else (None, None)
