"""The columns that the items of a SELECT list make."""

from __future__ import annotations

from collections.abc import Iterable

from sqlglot import exp

from sqlflow.compiler.resolving.column_tests import like_test, regex_name
from sqlflow.compiler.resolving.expressions import Expressions, of_reference
from sqlflow.compiler.resolving.nested_types import EXPLODING, NestedTypes, gives_a_list, unnested
from sqlflow.compiler.resolving.scope import Scope
from sqlflow.compiler.resolving.stars import Starred, Stars
from sqlflow.compiler.scopes import Direct, Expression, Merged, Output


class SelectList:
    """Resolves SELECT lists, item by item: an alias is in reach of the items after it."""

    def __init__(self, expressions: Expressions, stars: Stars, types: NestedTypes) -> None:
        self._expressions = expressions
        self._stars = stars
        self._types = types

    def outputs(
        self, items: Iterable[exp.Expr], scope: Scope
    ) -> tuple[tuple[Output, ...] | None, tuple[Expression, ...]]:
        """The columns; where they are not all known None, and the expressions of the items."""
        outputs: list[Output] | None = []
        hidden: list[Expression] = []
        for item in items:
            made = self._item(item, scope)
            if made is None:
                hidden.append(self._expressions.bind_loosely(item, scope))
                outputs = None
                continue
            scope.call(made)
            if outputs is None:
                hidden.extend(output.expression for output in made)
            else:
                outputs.extend(made)
        return None if outputs is None else tuple(outputs), tuple(hidden)

    def all(self, scope: Scope) -> list[Output] | None:
        """The columns of all that is in reach."""
        return self._starred(self._stars.all(scope), scope)

    def _item(self, item: exp.Expr, scope: Scope) -> list[Output] | None:
        """The columns that one item of a SELECT list stands for; None if unknown."""
        kind = type(item)
        if kind is exp.Column and type(item.this) is not exp.Star:
            bound = self._expressions.bind(item, scope)
            return [Output(_spelled(item.name, bound), bound)]
        inner = item.unalias() if kind is exp.Alias else item
        while type(inner) is exp.Paren:
            inner = inner.this
        if type(inner) is exp.Star:
            return self._starred(self._stars.all(scope, inner), scope)
        if type(inner) is exp.Column and type(inner.this) is exp.Star:
            return self._starred(self._stars.of_table(inner, scope), scope)
        if type(inner) in _STAR_FILTERS or (type(inner) is exp.Not and type(inner.this) in _STAR_FILTERS):
            like = inner.this if type(inner) is exp.Not else inner
            if type(like.this) is exp.Star:
                return self._star_like(like, type(inner) is exp.Not, scope)
        if type(inner) is exp.PositionalColumn:
            return None
        if type(inner) in EXPLODING and not self._is_one_column(inner, scope):
            return None
        name = item.alias if kind is exp.Alias else _implied_name(inner)
        bound, many = self._expressions.bind_item(inner, scope)
        if many:
            return self._columns(inner, name if kind is exp.Alias else None, scope)
        return [Output(name, bound)]

    def _is_one_column(self, call: exp.Expr, scope: Scope) -> bool:
        """Whether `unnest(x)` surely is one column: a struct would become several."""
        if any(isinstance(extra, (exp.PropertyEQ, exp.Kwarg)) for extra in call.expressions):
            return False
        argument = unnested(call)
        if gives_a_list(argument) or isinstance(argument, exp.Anonymous):
            return gives_a_list(argument)
        return self._types.is_list(self._expressions.bind_again(argument, scope))

    def _starred(self, columns: list[Starred] | None, scope: Scope) -> list[Output] | None:
        if columns is None:
            return None
        return [
            Output(
                column.name,
                of_reference(column.column)
                if column.replaced is None
                else self._expressions.bind(column.replaced, scope),
            )
            for column in columns
        ]

    def _star_like(self, like: exp.Expr, negated: bool, scope: Scope) -> list[Output] | None:
        outputs = self._starred(self._stars.all(scope, like.this), scope)
        test = like_test(like)
        if outputs is None or test is None or any(output.name is None for output in outputs):
            return None
        return [o for o in outputs if o.name is not None and test(o.name) is not negated]

    def _columns(self, inner: exp.Expr, alias: str | None, scope: Scope) -> list[Output] | None:
        """`COLUMNS(...)`: the expression once for each column that is meant."""
        stars = list(inner.find_all(exp.Columns))
        unpacked = any(star.args.get("unpack") for star in stars)
        if unpacked and type(inner) is not exp.Columns:
            return [Output(alias, self._expressions.bind(inner, scope))]
        chosen = self._stars.chosen(stars[0], scope)
        if chosen is None:
            return None
        if len(stars) > 1 and any(star != stars[0] for star in stars):
            return None
        pattern = stars[0].this
        outputs = []
        for column in chosen:
            name = alias or column.name
            if alias is not None and "\\" in alias:
                name = regex_name(alias, pattern, column.name)
                if name is None:
                    return None
            if inner is stars[0]:
                outputs.append(Output(name, of_reference(column.column)))
            else:
                outputs.append(Output(name, self._expressions.bind(inner, scope, star=column.column)))
        return outputs


def _spelled(name: str, bound: Expression) -> str:
    """A column is called as in its table, however the query spells it."""
    reference = bound.references[0] if bound.references else None
    if isinstance(reference, Merged):
        reference = reference.left
    if isinstance(reference, Direct) and reference.source.columns is not None:
        return reference.source.columns[reference.index] or name
    return name


def _implied_name(node: exp.Expr) -> str | None:
    return node.name if type(node) is exp.Column else None


_STAR_FILTERS = frozenset({exp.Like, exp.ILike, exp.SimilarTo, exp.Glob})
