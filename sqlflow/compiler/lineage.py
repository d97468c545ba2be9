"""Each output column of a query: the base columns it is made of, and those that decide its rows.

The sets are supersets of the truth: `direct` of a column, with `indirect` and `tables` of the query,
hold everything whose change can change that column. Where something is unknown `complete` is
False, and nothing may be concluded from what is missing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from enum import IntEnum
from typing import assert_never

from msgspec import Struct, field
from sqlglot import exp

from sqlflow.compiler.functions.nodes import table_function
from sqlflow.compiler.prints import prints_of
from sqlflow.compiler.scopes import (
    Alias,
    Direct,
    Expression,
    Feature,
    Field,
    Merged,
    Named,
    Opaque,
    Reference,
    Relation,
    Resolved,
    Select,
    SetOperation,
    Several,
    Source,
    SourceKind,
    Unknown,
    ValuesList,
    output_names,
)
from sqlflow.core.clock import Moving, Nature
from sqlflow.core.names import ColumnRef, TableName


class Kind(IntEnum):
    """How a column is made of its sources; the largest of the steps on the way counts."""

    IDENTITY = 0
    TRANSFORMATION = 1
    AGGREGATION = 2


class TracedColumn(Struct, frozen=True):
    """One output column.

    `fingerprint` is a text such that equal texts mean equal values, as long as the queries'
    `rows_fingerprint` are equal too; None if unknown.
    """

    name: str | None
    direct: frozenset[ColumnRef]
    kind: Kind
    fingerprint: str | None
    moving: frozenset[Moving] = frozenset()  # what fills it, and may be something else in another build


class TracedQuery(Struct, frozen=True):
    """Where a query's columns and rows come from.

    `indirect` is by filter, join, group, window, sort, distinct, set, unnest, limit. `tables` are
    all that it reads: a row more or less in any of them may change the result. `columns` is None
    if the output columns are unknown; `complete` is False if any set here may lack something.
    """

    columns: tuple[TracedColumn, ...] | None
    indirect: Mapping[str, frozenset[ColumnRef]]
    tables: frozenset[TableName]
    complete: bool
    rows_fingerprint: str | None
    # Names of columns may be seen in the rows, as those of a row that becomes JSON are.
    names_seen: bool
    moving: frozenset[Moving] = frozenset()  # what decides the rows, and may be something else in another build

    @property
    def rows(self) -> frozenset[ColumnRef]:
        """All indirect columns."""
        return frozenset().union(*self.indirect.values())


def trace(resolved: Resolved) -> TracedQuery:
    """The lineage of a resolved query.

    ORDER BY of the query itself counts only with LIMIT or DISTINCT ON; that of a subquery always
    does, since DuckDB keeps it and what stands around may depend on it.
    """
    tracer = _Tracer(resolved.dialect)
    facts = tracer.relation(resolved.query, outermost=True)
    prints = prints_of(resolved.query)
    names = output_names(resolved.query)
    closure = tracer.closure()
    columns = None
    if names is not None and facts.columns is not None:
        columns = tuple(
            TracedColumn(name, _columns(found := closure(direct)), kind, text, _moving(found))
            for name, (direct, kind), text in zip(
                names, facts.columns, prints.columns or (None,) * len(names), strict=True
            )
        )
    closed = {kind: closure(frozenset(refs)) for kind, refs in sorted(facts.indirect.items())}
    return TracedQuery(
        columns,
        {kind: found for kind, refs in closed.items() if (found := _columns(refs))},
        frozenset(facts.tables),
        facts.complete and columns is not None,
        prints.rows,
        prints.names_seen,
        _moving(frozenset().union(*closed.values())),
    )


def _columns(refs: _Refs) -> frozenset[ColumnRef]:
    return frozenset(ref for ref in refs if isinstance(ref, ColumnRef))


def _moving(refs: _Refs) -> frozenset[Moving]:
    return frozenset(ref for ref in refs if isinstance(ref, Moving))


# A column of a recursive CTE, while its own sources are being found.
class _Again(Struct, frozen=True):
    recursion: str
    index: int


# The clock is a source like any other.
_Ref = ColumnRef | _Again | Moving
_Refs = frozenset[_Ref]
_NOTHING: _Refs = frozenset()


class _Facts(Struct):
    columns: list[tuple[_Refs, Kind]] | None
    indirect: dict[str, set[_Ref]] = field(default_factory=dict)
    tables: set[TableName] = field(default_factory=set)
    complete: bool = True

    def add(self, kind: str, refs: Iterable[_Ref]) -> None:
        self.indirect.setdefault(kind, set()).update(refs)

    def absorb(self, inner: _Facts) -> None:
        """Whatever decides the rows of something read decides the rows of its reader."""
        for kind, refs in inner.indirect.items():
            self.indirect.setdefault(kind, set()).update(refs)
        self.tables |= inner.tables
        self.complete = self.complete and inner.complete


class _Tracer:
    def __init__(self, dialect: str) -> None:
        self.dialect = dialect
        self.memo: dict[int, _Facts] = {}
        # An alias may be read many times; the first reading is in the scope that defines it.
        self.expressions: dict[int, tuple[_Refs, Kind]] = {}
        self.recursions: dict[str, list[tuple[_Refs, Kind]]] = {}

    def relation(self, relation: Relation, *, outermost: bool = False) -> _Facts:
        known = self.memo.get(id(relation))
        if known is not None:
            return known
        match relation:
            case Select():
                facts = self._select(relation, outermost)
            case SetOperation():
                facts = self._set_operation(relation, outermost)
            case ValuesList():
                facts = self._values(relation)
            case Opaque():
                facts = _Facts(None, complete=False)
                for source in relation.sources:
                    self._source(source, facts)
            case _:
                assert_never(relation)
        self.memo[id(relation)] = facts
        return facts

    def closure(self) -> Callable[[_Refs], _Refs]:
        """Replaces the columns of recursive CTEs by what they are made of."""
        if not self.recursions:
            return lambda refs: refs

        def close(refs: _Refs) -> _Refs:
            seen: set[_Ref] = set()
            todo = list(refs)
            while todo:
                ref = todo.pop()
                if ref in seen:
                    continue
                seen.add(ref)
                if isinstance(ref, _Again):
                    columns = self.recursions.get(ref.recursion, [])
                    todo.extend(columns[ref.index][0] if ref.index < len(columns) else ())
            return frozenset(ref for ref in seen if not isinstance(ref, _Again))

        return close

    def _select(self, select: Select, outermost: bool) -> _Facts:
        facts = _Facts([])
        for source in select.sources:
            self._source(source, facts)
        for join in select.joins:
            if join.on is not None:
                facts.add("join", self._refs(join.on, facts))
            for pair in join.using:
                for reference in pair:
                    facts.add("join", self._reference(reference, facts)[0])
        columns = [self._expression(o.expression, facts) for o in select.outputs or ()]
        for output, (refs, _) in zip(select.outputs or (), columns, strict=True):
            if output.expression.features & Feature.UNNEST:
                facts.add("unnest", refs)
        for hidden in select.hidden:
            facts.add("unnest", self._refs(hidden, facts))
        facts.columns = columns if select.outputs is not None else None
        if select.outputs is None:
            facts.complete = False
        if select.where is not None:
            facts.add("filter", self._refs(select.where, facts))
        for key in select.group or ():
            facts.add("group", _grouping(select, self._refs(key, facts)))
        if select.grouping_sets:
            # A key of a set may be the number of a column.
            for output, (refs, _) in zip(select.outputs or (), columns, strict=True):
                if not output.expression.features & Feature.AGGREGATE:
                    facts.add("group", refs)
        if select.having is not None:
            facts.add("filter", self._refs(select.having, facts))
        if select.qualify is not None:
            facts.add("window", self._refs(select.qualify, facts))
        if select.distinct:
            facts.add("distinct", (ref for refs, _ in columns for ref in refs))
        for key in select.distinct_on:
            facts.add("distinct", self._refs(key, facts))
        for limit in select.limit:
            facts.add("limit", self._refs(limit, facts))
        if select.order and (not outermost or select.limit or select.distinct_on):
            for key in select.order:
                facts.add("sort", self._refs(key, facts))
        if select.sampled:
            facts.add("limit", (_SAMPLE,))
        return facts

    def _set_operation(self, node: SetOperation, outermost: bool) -> _Facts:
        facts = _Facts(None)
        left, right = self.relation(node.left), self.relation(node.right)
        facts.absorb(left)
        facts.absorb(right)
        lefts, rights = left.columns, right.columns
        if node.outputs is None or lefts is None or rights is None:
            facts.complete = False
        else:
            facts.columns = [
                _both(
                    lefts[output.left] if output.left is not None else None,
                    # No value of the right arm of an EXCEPT is in the result; it only decides which rows are.
                    rights[output.right] if output.right is not None and node.kind != "except" else None,
                )
                for output in node.outputs
            ]
        if node.distinct or node.kind != "union":
            for columns in (lefts, rights):
                facts.add("set", (ref for refs, _ in columns or () for ref in refs))
        if node.recursion:
            self.recursions[node.recursion] = facts.columns or []
        for limit in node.limit:
            facts.add("limit", self._refs(limit, facts))
        if node.order and (not outermost or node.limit):
            for key in node.order:
                facts.add("sort", self._refs(key, facts))
        return facts

    def _values(self, values: ValuesList) -> _Facts:
        facts = _Facts([])
        columns: list[tuple[_Refs, Kind]] = [(_NOTHING, Kind.TRANSFORMATION)] * len(values.names)
        for row in values.rows:
            for place, expression in enumerate(row):
                found = self._expression(expression, facts)
                if place < len(columns):
                    columns[place] = _both(columns[place], found)
        facts.columns = columns
        return facts

    def _source(self, source: Source, facts: _Facts) -> None:
        if source.table is not None:
            facts.tables.add(source.table)
        if source.kind is SourceKind.UNKNOWN:
            facts.complete = False
        if source.kind is SourceKind.FUNCTION and source.columns is None:
            facts.complete = False
        if source.kind is SourceKind.FUNCTION and (found := table_function(source.node, self.dialect)):
            facts.add("unnest", (found,))
        if source.sampled:
            facts.add("limit", (_SAMPLE,))
        if source.relation is not None:
            facts.absorb(self.relation(source.relation))
        for argument in source.arguments:
            facts.add("unnest", self._refs(argument, facts))

    def _refs(self, expression: Expression, facts: _Facts) -> _Refs:
        return self._expression(expression, facts)[0]

    def _expression(self, expression: Expression, facts: _Facts) -> tuple[_Refs, Kind]:
        """What the value is made of; what decides the rows of nested queries goes to `facts`."""
        references = expression.references
        if expression.node is None and len(references) == 1:
            return self._reference(references[0], facts)
        known = self.expressions.get(id(expression))
        if known is None:
            known = self._compound(expression, facts)
            self.expressions[id(expression)] = known
        return known

    def _compound(self, expression: Expression, facts: _Facts) -> tuple[_Refs, Kind]:
        references = expression.references
        if expression.deciding:
            facts.add("filter", expression.deciding)
        kind = Kind.TRANSFORMATION
        if expression.features & Feature.AGGREGATE:
            kind = Kind.AGGREGATION
        elif _is_column(expression.node):
            kind = Kind.IDENTITY
        if len(references) == 1 and not expression.nested:
            refs, other = self._reference(references[0], facts)
            return refs.union(expression.moving) if expression.moving else refs, max(kind, other)
        found: set[_Ref] = set(expression.moving)
        for reference in references:
            refs, other = self._reference(reference, facts)
            found |= refs
            kind = max(kind, other)
        for relation in expression.nested.values():
            inner = self.relation(relation)
            facts.absorb(inner)
            for refs, other in inner.columns or ():
                found |= refs
                kind = max(kind, other)
        return frozenset(found), kind

    def _reference(self, reference: Reference, facts: _Facts) -> tuple[_Refs, Kind]:
        match reference:
            case Direct(source, index):
                return self._column(source, index, facts)
            case Merged(left, right, side):
                if side in ("", "LEFT"):
                    return self._reference(left, facts)
                refs, kind = _both(self._reference(left, facts), self._reference(right, facts))
                return refs, max(kind, Kind.TRANSFORMATION)
            case Alias(output):
                return self._expression(output.expression, facts)
            case Field(of, _):
                refs, kind = self._reference(of, facts)
                return refs, max(kind, Kind.TRANSFORMATION)
            case Several(parts):
                total: tuple[_Refs, Kind] = (_NOTHING, Kind.TRANSFORMATION)
                for part in parts:
                    total = _both(total, self._reference(part, facts))
                return total
            case Named():
                return _NOTHING, Kind.IDENTITY
            case Unknown(sources):
                facts.complete = False
                total = (_NOTHING, Kind.TRANSFORMATION)
                for source in sources:
                    for index in range(len(source.columns or ())):
                        total = _both(total, self._column(source, index, facts))
                return total

    def _column(self, source: Source, index: int, facts: _Facts) -> tuple[_Refs, Kind]:
        if source.table is not None:
            if index >= len(source.base_columns):
                facts.complete = False
                return _NOTHING, Kind.TRANSFORMATION
            column = ColumnRef(source.table, source.base_columns[index])
            return frozenset((column,)), Kind.IDENTITY
        if source.recursion:
            return frozenset((_Again(source.recursion, index),)), Kind.IDENTITY
        if source.relation is not None:
            inner = self.relation(source.relation)
            if inner.columns is not None and index < len(inner.columns):
                return inner.columns[index]
            facts.complete = False
            return _NOTHING, Kind.TRANSFORMATION
        total: tuple[_Refs, Kind] = (_NOTHING, Kind.TRANSFORMATION)
        for argument in source.arguments:
            total = _both(total, self._expression(argument, facts))
        return total


_SAMPLE = Moving("sample", Nature.CHANCE)


def _grouping(select: Select, key: _Refs) -> Iterable[_Ref]:
    """`GROUP BY ALL` names no key: what is the same for all rows makes no groups."""
    group = select.node.args.get("group")
    if isinstance(group, exp.Group) and group.args.get("all") and key and all(isinstance(ref, Moving) for ref in key):
        return (ref for ref in key if isinstance(ref, Moving) and ref.nature is Nature.CHANCE)
    return key


def _both(one: tuple[_Refs, Kind] | None, other: tuple[_Refs, Kind] | None) -> tuple[_Refs, Kind]:
    if one is None or other is None:
        return one or other or (_NOTHING, Kind.TRANSFORMATION)
    return one[0] | other[0], max(one[1], other[1])


def _is_column(node: exp.Expr | None) -> bool:
    while isinstance(node, exp.Paren):
        node = node.this
    return isinstance(node, (exp.Column, exp.Columns))
