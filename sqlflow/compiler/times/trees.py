"""Expressions as new trees, with something else in the place of their leaves."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

from sqlglot import exp

from sqlflow.compiler.relations import plain_column
from sqlflow.compiler.scopes import Alias, Direct, Expression, Reference

DEEPEST = 16


def expanded(expression: Expression, leaves: dict[int, Direct], depth: int = 0) -> exp.Expr | None:
    """An expression as a new tree over columns of sources; None if it is no plain function."""
    if expression.nested or expression.features or depth > DEEPEST:
        return None

    def put(reference: Reference) -> exp.Expr | None:
        if isinstance(reference, Alias):
            return expanded(reference.output.expression, leaves, depth + 1)
        direct = plain_column(reference)
        if direct is None:
            return None
        leaf = exp.column("_")
        leaves[id(leaf)] = direct
        return leaf

    if expression.node is None:
        return put(expression.references[0])
    return replaced(expression.node, expression.bindings, put)


_Leaf = TypeVar("_Leaf")


_LARGEST = 2000


def replaced(tree: exp.Expr, leaves: Mapping[int, _Leaf], put: Callable[[_Leaf], exp.Expr | None]) -> exp.Expr | None:
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


def bracketed(tree: exp.Expr) -> exp.Expr:
    return tree if isinstance(tree, _ATOMS) else exp.Paren(this=tree)


def shown(node: exp.Expr | None) -> str:
    """A construct in a few words; nothing for a whole query."""
    if node is None or isinstance(node, (exp.Query, exp.Values)):
        return ""
    try:
        text = " ".join(node.sql("duckdb", comments=False).split())
    except (ValueError, RecursionError):
        return ""
    return text if len(text) <= 80 else f"{text[:77]}..."
