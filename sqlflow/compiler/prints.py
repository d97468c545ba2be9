"""Fingerprints of queries: texts such that equal texts mean equal rows and values, however a query is spelled."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from hashlib import blake2b
from typing import assert_never

from msgspec import Struct, field
from sqlglot import exp

from sqlflow.compiler.scopes import (
    Alias,
    Direct,
    Expression,
    Feature,
    Field,
    JoinOn,
    Merged,
    Named,
    Opaque,
    Reference,
    Relation,
    Select,
    SetOperation,
    Several,
    Source,
    SourceKind,
    Unknown,
    ValuesList,
)


class Prints(Struct, frozen=True):
    """The texts of a relation: of its rows, and of each column given those rows; None where something is unknown.

    `names_seen`: names of columns may be seen in the rows, as those of a row that becomes JSON are.
    """

    rows: str | None
    columns: tuple[str | None, ...] | None
    names_seen: bool = False


def prints_of(query: Relation) -> Prints:
    """The texts of a whole query: its own ORDER BY counts only with LIMIT or DISTINCT ON."""
    printer = _Printer()
    prints = printer.relation(query, outermost=True)
    return Prints(
        prints.rows,
        prints.columns,
        printer.names_seen or any(map(_shows_names, query.node.find_all(*_NAMES_ARE_VALUES))),
    )


class _Printer:
    def __init__(self) -> None:
        self.memo: dict[int, Prints] = {}
        self.names_seen = False
        # The scopes around the relation that is being printed, for correlated names.
        self.around: list[_PrintScope] = []

    def nested(self, relation: Relation) -> str | None:
        """The text of a query inside an expression."""
        prints = self.relation(relation)
        return _labelled("query", (prints.rows, *(prints.columns or (None,))))

    def relation(self, relation: Relation, *, outermost: bool = False) -> Prints:
        known = self.memo.get(id(relation))
        if known is not None:
            return known
        # Met again below itself, only where something is wrong with it.
        self.memo[id(relation)] = Prints(None, None)
        match relation:
            case Select():
                prints = self._select(relation, outermost)
            case SetOperation():
                prints = self._set_operation(relation, outermost)
            case ValuesList():
                prints = self._values(relation)
            case Opaque():
                prints = Prints(None, None)
            case _:
                assert_never(relation)
        self.memo[id(relation)] = prints
        return prints

    def _select(self, select: Select, outermost: bool) -> Prints:
        sources = {id(source): place for place, source in enumerate(select.sources)}
        scope = _PrintScope(self, sources, len(select.sources) == 1)
        self.around.append(scope)
        prints = self._print(select, scope, outermost)
        self.around.pop()
        return prints

    def _print(self, select: Select, scope: _PrintScope, outermost: bool) -> Prints:
        parts: list[str | None] = [self._source(source, scope) for source in select.sources]
        for join in select.joins:
            parts.append(self._join(join, scope))
        plain = len(parts) == 1
        for word, expression in (("where", select.where), ("having", select.having)):
            if expression is not None:
                parts.append(_labelled(word, (scope.text(expression),)))
        if select.group is not None:
            word = "sets" if select.grouping_sets else "group"
            parts.append(_labelled(word, [scope.text(key) for key in select.group]))
            if select.grouping_sets:
                parts.append(_tree(select.node.args.get("group")))
        aggregate = Feature.AGGREGATE | Feature.UNKNOWN_FUNCTION
        outputs = select.outputs or ()
        if select.group is None and any(o.expression.features & aggregate for o in outputs):
            parts.append("aggregated")
        exploding = [o.expression for o in outputs if o.expression.features & Feature.UNNEST]
        if exploding:
            parts.append(_labelled("unnest", [scope.text(item) for item in exploding]))
        # What windows and aggregates see, before QUALIFY, DISTINCT and LIMIT.
        scope.rows = _joined(parts)
        if select.outputs is None:
            return Prints(None, None)
        columns = tuple(scope.column(output.expression) for output in outputs)
        if select.qualify is not None:
            parts.append(_labelled("qualify", (scope.text(select.qualify),)))
        if select.distinct:
            parts.append(_labelled("distinct", sorted({text or "" for text in columns})))
            if None in columns:
                parts.append(None)
        if select.distinct_on:
            parts.append(_labelled("on", [scope.text(key) for key in select.distinct_on]))
        if select.limit:
            parts.append(_labelled("limit", [scope.text(item) for item in select.limit]))
        if select.order and (not outermost or select.limit or select.distinct_on):
            parts.append(_labelled("order", [scope.text(key) for key in select.order]))
            parts.append(_directions(select.node.args.get("order")))
        if select.sampled:
            parts.append(_tree(select.node.args.get("sample")))
        if plain and len(parts) == 1:
            return Prints(parts[0], columns)
        return Prints(_joined(parts), columns)

    def _join(self, join: JoinOn, scope: _PrintScope) -> str | None:
        words = f"{join.start}-{join.middle}-{join.end} {join.method} {join.side} {join.kind}"
        texts = [scope.text(join.on)] if join.on is not None else []
        for left, right in join.using:
            texts += [scope.reference(left), scope.reference(right)]
        return _labelled(words, texts)

    def _source(self, source: Source, scope: _PrintScope) -> str | None:
        if source.sampled:
            return None
        if source.table is not None:
            return f"table {_dotted(*source.table.key)}"
        if source.recursion:
            return f"recursion {source.recursion}"
        if source.relation is not None:
            return self.relation(source.relation).rows
        if source.kind in (SourceKind.UNNEST, SourceKind.FUNCTION):
            texts = [scope.text(argument) for argument in source.arguments]
            return _labelled(source.kind, texts)
        return None

    def _set_operation(self, node: SetOperation, outermost: bool) -> Prints:
        left, right = self.relation(node.left), self.relation(node.right)
        if node.outputs is None or left.columns is None or right.columns is None:
            return Prints(None, None)
        pairs = [
            (
                left.columns[output.left] if output.left is not None else "null",
                right.columns[output.right] if output.right is not None else "null",
            )
            for output in node.outputs
        ]
        word = f"{node.kind} {node.distinct}"
        parts = [_labelled(word, (left.rows, right.rows))]
        if node.distinct or node.kind != "union":
            parts.append(_labelled("all", [text for pair in pairs for text in pair]))
        if node.recursion:
            # The columns of one round make those of the next: all of them are in the rows.
            parts.append(_labelled("recursive", [text for pair in pairs for text in pair]))
            parts.append(_tree(node.node.parent, only=("key_expressions",)))
        scope = _PrintScope(self, {}, True)
        columns = tuple(_labelled(word, pair) for pair in pairs)
        if node.limit:
            parts.append(_labelled("limit", [scope.text(item) for item in node.limit]))
        if node.order and (not outermost or node.limit):
            parts.append(_labelled("order", [scope.text(key, self._own) for key in node.order]))
            parts.append(_directions(node.node.args.get("order")))
        return Prints(_joined(parts), columns)

    def _own(self, reference: Reference) -> str | None:
        """ORDER BY of a set operation: a column of the result."""
        if isinstance(reference, Alias):
            return self._own(reference.output.expression.references[0])
        if isinstance(reference, Direct):
            relation = reference.source.relation
            if isinstance(relation, SetOperation) and relation.outputs is not None:
                output = relation.outputs[reference.index]
                return f"result {output.left} {output.right}"
        return None

    def _values(self, values: ValuesList) -> Prints:
        scope = _PrintScope(self, {}, True)
        texts = [_labelled("row", [scope.text(item) for item in row]) for row in values.rows]
        rows = _labelled("values", texts)
        if rows is None:
            return Prints(None, None)
        columns = tuple(f"{rows}#{place}" for place in range(len(values.names)))
        return Prints(rows, columns)


class _PrintScope(Struct):
    printer: _Printer
    sources: Mapping[int, int]
    # With one source only, and no join that may null it, a column is what it is in the source.
    single: bool
    rows: str | None = None
    texts: dict[int, str | None] = field(default_factory=dict)

    def column(self, expression: Expression) -> str | None:
        """The text of an output column: of its value, and of the rows it looks at around it."""
        text = self.text(expression)
        if expression.features or expression.nested:
            return _labelled("over", (text, self.rows))
        return text

    def text(
        self,
        expression: Expression,
        reference: Callable[[Reference], str | None] | None = None,
    ) -> str | None:
        key = id(expression)
        if key not in self.texts:
            self.texts[key] = canonical(expression, reference or self.reference, self.printer.nested)
        return self.texts[key]

    def reference(self, reference: Reference) -> str | None:
        match reference:
            case Direct(source, index):
                return self._column(source, index)
            case Merged(left, right, side):
                return _labelled(f"using {side}", (self.reference(left), self.reference(right)))
            case Alias(output):
                return self.text(output.expression)
            case Field(of, path):
                self.printer.names_seen = True
                return _labelled(f"field {_dotted(*path)}", (self.reference(of),))
            case Several(parts):
                self.printer.names_seen = True
                return _labelled(f"several {_dotted(*map(_name_in_row, parts))}", map(self.reference, parts))
            case Named():
                return "window"
            case Unknown():
                return None

    def _column(self, source: Source, index: int) -> str | None:
        inner: str | None = None
        if source.table is not None:
            if index < len(source.base_columns):
                inner = _dotted(*source.table.key, source.base_columns[index].lower())
        elif source.recursion:
            inner = f"{source.recursion}.{index}"
        elif source.relation is not None:
            columns = self.printer.relation(source.relation).columns
            if columns is not None and index < len(columns):
                inner = columns[index]
        elif source.kind is SourceKind.UNNEST:
            inner = f"unnested.{index}"
        place = self.sources.get(id(source))
        if inner is None:
            return None
        if place is not None:
            return inner if self.single else f"@{place}({inner})"
        for distance, scope in enumerate(reversed(self.printer.around)):
            outer = scope.sources.get(id(source))
            if outer is not None:
                return f"^{distance}@{outer}({inner})"
        return None


def _name_in_row(part: Reference) -> str:
    """The name that a column has in a row of which it is a part."""
    columns = part.source.columns if isinstance(part, Direct) else None
    return (columns[part.index] if columns is not None and isinstance(part, Direct) else None) or ""


# What makes values out of names, besides whole rows.
_NAMES_ARE_VALUES = (exp.Struct, exp.Columns, exp.Pivot, exp.PropertyEQ, exp.XMLElement, exp.Anonymous)
_SHOW_NAMES = frozenset({"alias", "xmlforest"})


def _shows_names(node: exp.Expr) -> bool:
    return not isinstance(node, exp.Anonymous) or str(node.this).lower() in _SHOW_NAMES


def canonical(
    expression: Expression,
    reference: Callable[[Reference], str | None],
    nested: Callable[[Relation], str | None],
) -> str | None:
    """One text for all spellings of an expression; None if any part of it is unknown.

    `reference` and `nested` give the texts of its columns and of the queries in it.
    """
    if expression.node is None:
        return reference(expression.references[0])
    bindings, queries = expression.bindings, expression.nested
    if type(expression.node) is exp.Column:
        bound = bindings.get(id(expression.node))
        if bound is not None and not isinstance(bound, Named):
            text = reference(bound)
            return None if text is None else _short(text)
    missing = False

    def known(text: str | None) -> str:
        nonlocal missing
        if text is None:
            missing = True
            return ""
        return text

    def walk(node: exp.Expr) -> str:
        kind = type(node)
        if kind is exp.Literal:
            return repr(node.name) if node.args.get("is_string") else node.name
        key = id(node)
        bound = bindings.get(key)
        if bound is not None:
            if isinstance(bound, Named):
                window = bound.window
                base = bindings.get(id(window))
                under = walk(base.window) if isinstance(base, Named) else ""
                return f"{generic(node, ('alias',))}{generic(window, ('alias', 'this'))}{under}"
            return known(reference(bound))
        query = queries.get(key)
        if query is not None:
            return known(nested(query))
        if kind is exp.Paren:
            return walk(node.this)
        return generic(node, ())

    def generic(node: exp.Expr, skip: tuple[str, ...]) -> str:
        parts = []
        for name, value in node.args.items():
            if value is None or value is False or name in skip or name == "quoted":
                continue
            if value.__class__ is list:
                if not value:
                    continue
                items = [walk(item) if isinstance(item, exp.Expr) else repr(item) for item in value]
                parts.append(f"{name}=[{','.join(items)}]")
            elif isinstance(value, exp.Expr):
                parts.append(f"{name}={walk(value)}")
            elif type(node) is exp.Anonymous:
                parts.append(str(value).lower())
            else:
                parts.append(f"{name}={value!r}")
        return f"{type(node).__name__}({','.join(parts)})"

    try:
        text = walk(expression.node)
    except RecursionError:
        return None
    return None if missing else _short(text)


def _tree(node: exp.Expr | None, only: tuple[str, ...] = ()) -> str | None:
    """The text of a piece of the tree whose names need no meaning."""
    if node is None:
        return ""
    return repr([node.args.get(key) for key in only]) if only else repr(node)


def _directions(order: exp.Expr | None) -> str:
    return ",".join(
        f"{bool(item.args.get('desc'))} {item.args.get('nulls_first')}"
        for item in (order.expressions if order is not None else ())
    )


@lru_cache(maxsize=20_000)
def _dotted(*names: str) -> str:
    return ".".join(name if name.isidentifier() else repr(name) for name in names)


def _labelled(word: str, texts: Iterable[str | None]) -> str | None:
    known = []
    for text in texts:
        if text is None:
            return None
        known.append(text)
    return _short(f"{word}({', '.join(known)})")


def _joined(parts: list[str | None]) -> str | None:
    return _labelled("rows", parts)


def _short(text: str) -> str:
    """Long texts become their hash, or a chain of CTEs would double them at each step."""
    if len(text) <= _LONGEST:
        return text
    return f"#{blake2b(text.encode(), digest_size=16).hexdigest()}"


_LONGEST = 160
