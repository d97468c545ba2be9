"""Where rows may tie: a window, an aggregate or DISTINCT ON whose order leaves open which of two rows comes first.

The same data may then give other rows each time. An order is total when it has, with the columns that are equal anyway, a
declared key of each table that the rows are made of.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from msgspec import Struct
from sqlglot import exp

from sqlflow.compiler.scopes import Expression, JoinOn, Named, Select, Source, base_column
from sqlflow.core.names import ColumnRef, TableName

Keys = Mapping[TableName, tuple[frozenset[str], ...]]
"""Table -> its declared keys, in lower case."""


class Tie(Struct, frozen=True):
    """Something that may take tied rows in any order."""

    word: str
    node: exp.Expr


def ties_of(select: Select, expressions: Iterable[Expression], keys: Keys) -> Iterator[Tie]:
    """The ties of one SELECT, outside the queries nested in its expressions."""
    rows = _Rows(keys)
    grouped = _bases(select.group or ())
    for expression in expressions:
        for node in _within(expression):
            match node:
                case exp.Window():
                    word = _ordered_window(node)
                    columns = _window_columns(select, node, expression)
                    if word and not rows.told_apart(select, columns) and not _made_of(select, columns):
                        yield Tie(word, node)
                case exp.ArgMax() | exp.ArgMin():
                    by = _columns([node.expression], expression)
                    if not _is_windowed(node) and not rows.of_sources(select, grouped | by):
                        yield Tie(str(node.meta.get("name") or node.key).upper(), node)
                case exp.First() | exp.Last() | exp.AnyValue() | exp.ArrayAgg() | exp.GroupConcat():
                    order = node.find(exp.Order)
                    if order is None or _is_windowed(node) or _orders_by_itself(node, order):
                        continue
                    by = _columns([item.this for item in order.expressions], expression)
                    if not rows.of_sources(select, grouped | by):
                        yield Tie(_WORDS.get(type(node), node.key.upper()), node)
                case _:
                    pass
    columns = _bases((*select.distinct_on, *select.order))
    if select.distinct_on and not rows.told_apart(select, columns) and not _made_of(select, columns):
        yield Tie("DISTINCT ON", select.node)


_WORDS: Mapping[type[exp.Expr], str] = {exp.GroupConcat: "STRING_AGG", exp.ArrayAgg: "LIST", exp.AnyValue: "ANY_VALUE"}

# Window functions to which tied rows are not all alike.
_POSITIONAL = frozenset(
    {
        "row_number", "first_value", "last_value", "nth_value", "lag", "lead", "ntile", "first", "last", "any_value", "list",
        "array_agg", "group_concat", "string_agg", "arg_max", "arg_min", "max_by", "min_by",
    }
)  # fmt: skip


def _ordered_window(node: exp.Window) -> str:
    """The window function, if it depends on which of two tied rows comes first."""
    call = node.this
    while isinstance(call, (exp.IgnoreNulls, exp.RespectNulls, exp.Filter, exp.WithinGroup)):
        call = call.this
    name = (
        str(call.this if isinstance(call, exp.Anonymous) else call.sql_name()).lower()
        if isinstance(call, exp.Func)
        else ""
    )
    spec = node.args.get("spec")
    by_rows = isinstance(spec, exp.WindowSpec) and str(spec.args.get("kind") or "").upper() == "ROWS"
    whole = isinstance(spec, exp.WindowSpec) and all(spec.args.get(end) == "UNBOUNDED" for end in ("start", "end"))
    return name.upper() if name in _POSITIONAL or (by_rows and not whole) else ""


def _window_columns(select: Select, node: exp.Expr, expression: Expression) -> frozenset[ColumnRef]:
    found = _columns([*(node.args.get("partition_by") or ()), *_keys_of(node)], expression)
    named = expression.bindings.get(id(node))
    if isinstance(named, Named):
        return found | _window_columns(select, named.window, expression)
    return found


def _made_of(select: Select, columns: frozenset[ColumnRef]) -> bool:
    """Whether the result has nothing but these columns: then rows that tie in them are the same row to it."""
    for output in select.outputs or ():
        refs = [base_column(reference) for reference in output.expression.references]
        if output.expression.nested or any(ref is None or _folded(ref) not in columns for ref in refs):
            return False
    return select.outputs is not None


def _keys_of(node: exp.Expr) -> list[exp.Expr]:
    order = node.args.get("order")
    return [item.this for item in order.expressions] if isinstance(order, exp.Order) else []


def _orders_by_itself(node: exp.Expr, order: exp.Order) -> bool:
    """`list(x ORDER BY x)`: tied rows give equal values."""
    value = order.this if isinstance(order.this, exp.Expr) else node.this
    return isinstance(value, exp.Expr) and any(item.this == value for item in order.expressions)


def _is_windowed(node: exp.Expr) -> bool:
    parent = node.parent
    while isinstance(parent, (exp.IgnoreNulls, exp.RespectNulls, exp.Filter, exp.WithinGroup)):
        parent = parent.parent
    return isinstance(parent, exp.Window)


def _within(expression: Expression) -> Iterator[exp.Expr]:
    """The nodes of an expression, but for those of queries in it."""
    if expression.node is not None:
        yield from expression.node.walk(prune=lambda node: id(node) in expression.nested)


def _columns(nodes: Sequence[exp.Expr], expression: Expression) -> frozenset[ColumnRef]:
    found = (base_column(expression.bindings.get(id(node))) for node in nodes)
    return frozenset(_folded(ref) for ref in found if ref is not None)


def _bases(expressions: Iterable[Expression]) -> frozenset[ColumnRef]:
    """The base columns among these expressions."""
    found = (base_column(e.references[0]) for e in expressions if len(e.references) == 1 and _is_plain(e))
    return frozenset(_folded(ref) for ref in found if ref is not None)


def _is_plain(expression: Expression) -> bool:
    node = expression.node
    while isinstance(node, (exp.Paren, exp.Ordered)):
        node = node.this
    return node is None or isinstance(node, exp.Column)


def _folded(ref: ColumnRef) -> ColumnRef:
    return ColumnRef(ref.table, ref.column.lower())


class _Rows(Struct):
    """Whether columns tell the rows of a query apart."""

    keys: Keys

    def told_apart(self, select: Select, columns: frozenset[ColumnRef]) -> bool:
        """Of the rows that a SELECT has before DISTINCT and LIMIT."""
        if select.group is None:
            return self.of_sources(select, columns)
        return not select.grouping_sets and all(
            len(key.references) == 1 and _is_plain(key) and _bases((key,)) <= columns and _bases((key,))
            for key in select.group
        )

    def of_sources(self, select: Select, columns: frozenset[ColumnRef]) -> bool:
        tables = [source.table for source in select.sources if source.table is not None]
        if len(tables) != len(set(tables)):
            return False  # a column may be of either
        return all(
            self._source(source, columns) or self._looked_up(select, place)
            for place, source in enumerate(select.sources)
        )

    def _source(self, source: Source, columns: frozenset[ColumnRef]) -> bool:
        if source.table is not None:
            mine = {ref.column for ref in columns if ref.table == source.table}
            return any(key <= mine for key in self.keys.get(source.table, ()))
        inner = source.relation
        if not isinstance(inner, Select) or inner.outputs is None or inner.hidden:
            return False
        return self.told_apart(inner, columns)

    def _looked_up(self, select: Select, place: int) -> bool:
        """Whether a table is joined by a key of its own, so that it gives each row no more than one partner."""
        source = select.sources[place]
        join = next((j for j in select.joins if j.middle <= place < j.end), None)
        if join is None or source.table is None or join.end - join.middle != 1:
            return False
        mine = {ref.column for ref in _equated(join) if ref.table == source.table}
        return any(key <= mine for key in self.keys.get(source.table, ()))


def _equated(join: JoinOn) -> Iterator[ColumnRef]:
    """The columns that a join holds equal to something of the other side."""
    for pair in join.using:
        yield from (_folded(ref) for ref in map(base_column, pair) if ref is not None)
    if join.on is None or join.on.node is None:
        return
    parts = [join.on.node]
    while parts:
        node = parts.pop()
        if isinstance(node, (exp.And, exp.Paren)):
            parts += [part for part in (node.this, node.args.get("expression")) if isinstance(part, exp.Expr)]
        elif isinstance(node, exp.EQ):
            sides = [base_column(join.on.bindings.get(id(side))) for side in (node.this, node.expression)]
            if None not in sides:
                yield from (_folded(ref) for ref in sides if ref is not None)
