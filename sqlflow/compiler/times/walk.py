"""From the output down to every table that is read, with the time in hand. The proof is in `sqlflow.compiler.times`."""

from __future__ import annotations

from msgspec import Struct, field
from msgspec.structs import replace
from sqlglot import exp

from sqlflow.compiler.prints import canonical
from sqlflow.compiler.relations import expressions_of
from sqlflow.compiler.scopes import (
    Direct,
    Expression,
    Feature,
    Opaque,
    Relation,
    Resolved,
    Select,
    SetOperation,
    Source,
    ValuesList,
    output_names,
)
from sqlflow.compiler.times.keeps import mixes_times, nullable, one_type, strict
from sqlflow.compiler.times.spread import spread
from sqlflow.compiler.times.trees import expanded, replaced, shown
from sqlflow.compiler.times.types import both_timed
from sqlflow.compiler.times.values import Local, Mapped, MappedRead, Pairs, Time, TimeMappings, Types, Unmapped, Why
from sqlflow.core.names import ColumnRef, TableName
from sqlflow.core.reach import HERE, Reach
from sqlflow.core.syntax import place_of


def time_mappings(resolved: Resolved, output_column: str, types: Types | None = None) -> TimeMappings:
    """For each base table of a query, how its rows map to the output column.

    Without `types` every reach is zero: rows of one value of E touch output rows of that value and no others.
    """
    walk = _Walk(resolved, types)
    names = output_names(resolved.query) or ()
    places = [i for i, name in enumerate(names) if (name or "").lower() == output_column.lower()]
    if len(places) == 1:
        leaf = exp.column(output_column)
        walk.relation(resolved.query, Time(leaf, {id(leaf): places[0]}))
    else:
        walk.skip(resolved.query, Why(f"`{output_column}` is not one column of the query"))
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
    walk.relation(resolved.query, Time(leaf, {id(leaf): places[0]}))
    return walk.result(), walk.nulled


def through(mapping: Mapped, view: Resolved, types: Types | None = None) -> TimeMappings:
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
                walk.relation(view.query, Time(tree, leaves, mapping.same_type, reach))
        else:
            walk.skip(view.query, Why("the view does not have the columns of the time"))
    return walk.result()


class _Seen(Struct):
    source: Source
    expressions: list[tuple[exp.Expr, Reach]] = field(default_factory=list)
    same_type: list[tuple[ColumnRef, ColumnRef]] = field(default_factory=list)
    why: Why | None = None


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
        self.done: set[tuple[int, str, Pairs, Reach]] = set()

    def result(self) -> TimeMappings:
        tables: dict[TableName, Mapped | Unmapped] = {}
        by_table: dict[TableName, list[_Seen]] = {}
        for seen in self.seen.values():
            if seen.source.table is not None:
                by_table.setdefault(seen.source.table, []).append(seen)
        for table, all_seen in by_table.items():
            why = next((seen.why for seen in all_seen if seen.why is not None), None)
            if why is not None:
                tables[table] = Unmapped(why.reason, *place_of(why.node), shown(why.node))
                continue
            occurrences = tuple(occurrence for seen in all_seen for occurrence in self._occurrences(seen))
            pairs = dict.fromkeys(pair for seen in all_seen for pair in seen.same_type)
            tables[table] = Mapped(occurrences, tuple(pairs))
        return tables

    def _occurrences(self, seen: _Seen) -> list[MappedRead]:
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
            MappedRead(expression, start, end, aliased, pushable, tuple(reaches[text]))
            for text, expression in distinct.items()
        ]

    # Down, with the time in hand

    def relation(self, relation: Relation, time: Time) -> None:
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
                self.skip(relation, Why("the time comes from VALUES", relation.node))
            case Opaque():
                self.skip(relation, Why("what is in here is not looked into", relation.node))

    def _set_operation(self, node: SetOperation, time: Time) -> None:
        why = None
        if node.recursion:
            why = Why("the query is recursive", node.node)
        elif node.limit:
            why = Why("LIMIT or OFFSET picks among all rows", node.limit[0].node)
        elif node.outputs is None:
            why = Why("the output columns are not known", node.node)
        if why is not None or node.outputs is None:
            self.skip(node, why or Why(""))
            return
        pairs = one_type(node, time)
        timed = time.timed and self.types is not None and both_timed(node, time, self.types)
        for branch, places in (
            (node.left, [output.left for output in node.outputs]),
            (node.right, [output.right for output in node.outputs]),
        ):
            leaves = {leaf: places[index] for leaf, index in time.leaves.items()}
            known = {leaf: place for leaf, place in leaves.items() if place is not None}
            if len(known) < len(leaves):
                self.skip(branch, Why("a branch does not have the time column", node.node))
            elif pairs is None:
                reason = "the branches may have different types, and the time is computed from them"
                self.skip(branch, Why(reason, node.node))
            else:
                self.relation(branch, Time(time.tree, known, (*time.same_type, *pairs), time.reach, timed))

    def _select(self, select: Select, time: Time) -> None:
        local = self._local(select, time)
        if isinstance(local, Why):
            self.skip(select, local)
            return
        types = self.types if local.timed else None
        mixed = mixes_times(select, local, types)
        if isinstance(mixed, Why):
            self.skip(select, mixed)
            return
        if mixed != HERE:
            local = replace(local, reach=local.reach.then(mixed))
            if local.reach.unknown:
                self.skip(select, Why("window functions look back and ahead without an end", select.node))
                return
        main = next(iter(local.leaves.values())).source
        place = next(i for i, source in enumerate(select.sources) if source is main)
        if place in nullable(select.joins):
            if not strict(local):
                reason = "an outer join may null the columns, and the time is then not NULL"
                self.skip(select, Why(reason, select.node))
                return
            self.nulled = True
        for expression in expressions_of(select):
            for inner in expression.nested.values():
                self.skip(
                    inner,
                    Why("it is read by a subquery in an expression", expression.node),
                )
        times = spread(select, main, local, self.types, self.dialect)
        for source in select.sources:
            found = times.get(id(source))
            if found is None:
                reason = "it is joined without a condition that ties it to the time"
                self._skip_source(source, Why(reason, source.node))
            else:
                self._source(source, found)

    def _source(self, source: Source, local: Local) -> None:
        if source.sampled:
            self._skip_source(source, Why("a sample of it is read", source.node))
        elif source.table is not None:
            self._table(source, source.table, local)
        elif source.relation is not None:
            leaves = {leaf: direct.index for leaf, direct in local.leaves.items()}
            self.relation(source.relation, Time(local.tree, leaves, local.same_type, local.reach, local.timed))
        else:
            self._skip_source(source, Why("the time comes from a function", source.node))

    def _table(self, source: Source, table: TableName, local: Local) -> None:
        def own(direct: Direct) -> exp.Expr | None:
            if direct.index >= len(source.base_columns):
                return None
            return exp.column(source.base_columns[direct.index], quoted=True)

        tree = replaced(local.tree, local.leaves, own)
        seen = self.seen.setdefault(id(source), _Seen(source))
        if tree is None:
            seen.why = Why("the columns of the table are not known", source.node)
        else:
            seen.expressions.append((tree, local.reach))
            seen.same_type.extend(local.same_type)

    def _local(self, select: Select, time: Time) -> Local | Why:
        """The time over the sources of a SELECT, by putting in what its columns are."""
        if select.outputs is None:
            return Why("the output columns are not known", select.node)
        leaves: dict[int, Direct] = {}
        outputs = select.outputs

        def put(index: int) -> exp.Expr | None:
            return expanded(outputs[index].expression, leaves)

        tree = replaced(time.tree, time.leaves, put)
        if tree is None:
            blame = next(iter(time.leaves.values()), 0)
            node = outputs[blame].expression.node or select.node
            return Why("the time is not a plain expression of columns", node)
        sources = {id(direct.source) for direct in leaves.values()}
        if len(sources) != 1:
            return Why("the time is not made of the columns of one table", select.node)
        if not any(id(source) in sources for source in select.sources):
            return Why("the time comes from outside of the subquery", select.node)
        return Local(tree, leaves, time.same_type, time.reach, time.timed)

    # Down, without it

    def skip(self, relation: Relation, why: Why) -> None:
        """Marks every table below as unmapped."""
        if id(relation) in self.skipped:
            return
        self.skipped.add(id(relation))
        match relation:
            case Select():
                for source in relation.sources:
                    self._skip_source(source, why)
                for expression in expressions_of(relation):
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

    def _skip_nested(self, expression: Expression, why: Why) -> None:
        for inner in expression.nested.values():
            self.skip(inner, why)

    def _skip_source(self, source: Source, why: Why) -> None:
        if source.table is not None:
            seen = self.seen.setdefault(id(source), _Seen(source))
            seen.why = seen.why or why
        if source.relation is not None:
            self.skip(source.relation, why)
