"""Whether an expression surely is a list, and which fields a struct has, as far as the columns in it tell."""

from __future__ import annotations

from collections.abc import Callable

from sqlglot import exp

from sqlflow.compiler.functions.vocabulary import LIST_FUNCTIONS
from sqlflow.compiler.resolving.value_types import ValueType, element_of, field_of, is_list, type_named
from sqlflow.compiler.scopes import Alias, Direct, Expression, Feature, Field, Reference, Select, SourceKind
from sqlflow.core.names import ColumnRef


class NestedTypes:
    """`type_of`: the type of a base column, where it is known."""

    def __init__(self, type_of: Callable[[ColumnRef], str | None], dialect: str) -> None:
        self._type_of_column = type_of
        self._dialect = dialect

    def is_list(self, expression: Expression) -> bool:
        return is_list(self._type(expression))

    def _type(self, expression: Expression, depth: int = 0) -> ValueType | None:
        """The type of an expression as far as the columns in it tell; None where it is not known."""
        if expression.node is None:
            return self._type_of(expression.references[0], depth)
        node = expression.node.unalias()
        while isinstance(node, exp.Paren):
            node = node.this
        if (bound := expression.bindings.get(id(node))) is not None:
            return self._type_of(bound, depth)
        if isinstance(node, exp.Cast):
            return node.to
        if isinstance(node, exp.Dot) and isinstance(node.expression, exp.Identifier):
            return field_of(self._type(_within(expression, node.this), depth), (node.expression.name,))
        if isinstance(node, (*EXPLODING, exp.Bracket)) and not isinstance(node.this, exp.Query):
            single = not isinstance(node, exp.Bracket) or len(node.expressions) == 1
            return element_of(self._type(_within(expression, node.this), depth)) if single else None
        return None

    def _type_of(self, reference: Reference, depth: int) -> ValueType | None:
        if depth > _DEEPEST:
            return None
        match reference:
            case Direct(source, index):
                if source.table is not None:
                    known = index < len(source.base_columns)
                    column = ColumnRef(source.table, source.base_columns[index]) if known else None
                    return type_named(self._type_of_column(column) if column is not None else None, self._dialect)
                if source.kind is SourceKind.UNNEST and source.arguments and index == 0:
                    call = source.arguments[0]
                    many = call.node.expressions if call.node is not None else []
                    if len(many) != 1:
                        return None
                    return element_of(self._type(_within(call, many[0]), depth + 1))
                relation = source.relation
                if isinstance(relation, Select) and relation.outputs is not None:
                    return self._type(relation.outputs[index].expression, depth + 1)
                return None
            case Alias(output):
                return self._type(output.expression, depth + 1)
            case Field(of, path):
                return field_of(self._type_of(of, depth), path)
            case _:
                return None


def unnested(call: exp.Expr) -> exp.Expr:
    """What `unnest(x)` takes apart."""
    argument = call.this
    while isinstance(argument, exp.Paren):
        argument = argument.this
    assert isinstance(argument, exp.Expr)
    return argument


def gives_a_list(node: exp.Expr) -> bool:
    """Whether a call gives a list, whatever is in it."""
    if isinstance(node, exp.Anonymous):
        return str(node.this).lower() in LIST_FUNCTIONS
    return isinstance(node, _LIST_NODES)


def _within(expression: Expression, node: exp.Expr) -> Expression:
    """A part of an expression, with the same names."""
    return Expression(node, expression.references, expression.bindings, expression.nested, Feature.NONE)


_DEEPEST = 40

EXPLODING = frozenset({exp.Explode, exp.ExplodeOuter, exp.Posexplode, exp.Unnest, exp.Inline})
_LIST_NODES = (
    exp.Array,
    exp.GenerateSeries,
    exp.GenerateDateArray,
    exp.GenerateTimestampArray,
    exp.Split,
    exp.RegexpExtractAll,
    exp.ArrayFilter,
    exp.Transform,
    exp.ArrayConcat,
)
