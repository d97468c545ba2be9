"""The types of times, as far as columns and chains over them tell."""

from __future__ import annotations

from sqlglot import exp

from sqlflow.compiler.moments import ZONED, Chain, chain
from sqlflow.compiler.scopes import Direct, Relation, Select, SetOperation
from sqlflow.compiler.times.trees import DEEPEST, expanded
from sqlflow.compiler.times.values import Local, Time, Types
from sqlflow.core.names import ColumnRef


def column_type(direct: Direct, types: Types, depth: int = 0) -> str:
    """The type of a source's column: of a base column, or of a chain over one; empty when it is not known."""
    source, relation = direct.source, direct.source.relation
    if source.table is not None:
        if direct.index >= len(source.base_columns):
            return ""
        return types.of(ColumnRef(source.table, source.base_columns[direct.index]))
    return "" if relation is None or depth > DEEPEST else output_type(relation, direct.index, types, depth)


def output_type(relation: Relation, index: int, types: Types, depth: int) -> str:
    if isinstance(relation, SetOperation):
        if relation.recursion or relation.outputs is None or index >= len(relation.outputs):
            return ""
        output = relation.outputs[index]
        if output.left is None or output.right is None:
            return ""
        left = output_type(relation.left, output.left, types, depth + 1)
        return left if left == output_type(relation.right, output.right, types, depth + 1) else ""
    if not isinstance(relation, Select) or relation.outputs is None or index >= len(relation.outputs):
        return ""
    leaves: dict[int, Direct] = {}
    tree = expanded(relation.outputs[index].expression, leaves)
    if tree is None:
        return ""

    def type_of(node: exp.Expr) -> str | None:
        direct = leaves.get(id(node))
        return column_type(direct, types, depth + 1) if direct is not None else None

    found = chain(tree, type_of, cuts_days=types.cuts_days)
    return found.type if found is not None else ""


def both_timed(node: SetOperation, time: Time, types: Types) -> bool:
    """Whether the branches have times with a zone, or times without one, in the columns of the time."""
    for index in time.leaves.values():
        output = (node.outputs or ())[index]
        if output.left is None or output.right is None:
            return False
        left = output_type(node.left, output.left, types, 0)
        right = output_type(node.right, output.right, types, 0)
        if not left or not right or (left == ZONED) != (right == ZONED):
            return False
    return True


def local_chain(local: Local, types: Types) -> Chain | None:
    def type_of(node: exp.Expr) -> str | None:
        direct = local.leaves.get(id(node))
        return column_type(direct, types) if direct is not None else None

    return chain(local.tree, type_of, cuts_days=types.cuts_days)
