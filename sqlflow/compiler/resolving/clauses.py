"""GROUP BY, DISTINCT ON, ORDER BY and LIMIT: expressions, or numbers and names of columns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sqlglot import exp

from sqlflow.compiler.resolving.expressions import Expressions, of_reference
from sqlflow.compiler.resolving.scope import Prefer, Scope
from sqlflow.compiler.scopes import Expression, Feature, Output, Unknown


class Clauses:
    """Resolves what stands after the FROM clause of a SELECT."""

    def __init__(self, expressions: Expressions) -> None:
        self._expressions = expressions

    def group(
        self, group: exp.Expr | None, scope: Scope, outputs: tuple[Output, ...] | None
    ) -> tuple[tuple[Expression, ...] | None, bool]:
        """The keys, None without GROUP BY; whether they make grouping sets."""
        if group is None:
            return None, False
        args = group.args
        keys = list(self.keys(group.expressions, scope, outputs))
        sets = any(isinstance(key.node, _GROUPING) for key in keys)
        for extra in ("grouping_sets", "cube", "rollup"):
            for node in args.get(extra) or ():
                sets = True
                if isinstance(node, exp.Expr):
                    keys.append(self._expressions.bind(node, scope))
        if args.get("totals"):
            sets = True
        if args.get("all"):
            keys += [
                output.expression
                for output in outputs or ()
                if not output.expression.features & (Feature.AGGREGATE | Feature.WINDOW)
            ]
        return tuple(keys), sets

    def keys(
        self, nodes: Iterable[exp.Expr], scope: Scope, outputs: tuple[Output, ...] | None
    ) -> tuple[Expression, ...]:
        """Keys of GROUP BY, DISTINCT ON: expressions, or numbers of columns."""
        keys: list[Expression] = []
        for node in nodes:
            while isinstance(node, exp.Paren):
                node = node.this
            number = _number(node)
            if number is not None and outputs is not None and 0 < number <= len(outputs):
                keys.append(outputs[number - 1].expression)
            elif isinstance(node, exp.Tuple):
                keys.extend(self.keys(node.expressions, scope, outputs))
            else:
                keys.append(self._expressions.bind(node, scope))
        return tuple(keys)

    def order(
        self, args: Mapping[str, object], scope: Scope, outputs: tuple[Output, ...] | None
    ) -> tuple[Expression, ...]:
        order = args.get("order")
        if not isinstance(order, exp.Expr):
            return ()
        keys: list[Expression] = []
        for ordered in order.expressions:
            node = ordered.this if isinstance(ordered, exp.Ordered) else ordered
            number = _number(node)
            if isinstance(node, exp.Var) and node.name.upper() == "ALL":
                if outputs is None:
                    keys.append(of_reference(Unknown(tuple(scope.visible))))
                keys.extend(output.expression for output in outputs or ())
            elif number is not None and outputs is not None and 0 < number <= len(outputs):
                keys.append(outputs[number - 1].expression)
            elif isinstance(node, exp.Column):
                keys.append(self._expressions.bind(node, scope, Prefer.ALIAS))
            else:
                keys.append(self._expressions.bind(node, scope))
        return tuple(keys)

    def limit(self, args: Mapping[str, object], scope: Scope) -> tuple[Expression, ...]:
        limits = []
        for key in ("limit", "offset"):
            node = args.get(key)
            if isinstance(node, exp.Expr):
                # LIMIT reads no column of the query, but may hold a subquery.
                limits.append(self._expressions.bind(node, Scope(scope.parent, scope.ctes)))
        return tuple(limits)


def _number(node: exp.Expr) -> int | None:
    if isinstance(node, exp.Literal) and not node.is_string and node.name.isdigit():
        return int(node.name)
    return None


_GROUPING = (exp.GroupingSets, exp.Rollup, exp.Cube)
