"""Types of nested values, as far as lineage needs them: lists, and structs with their fields."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from sqlglot import exp
from sqlglot.errors import SqlglotError

ValueType = exp.DataType


@lru_cache(maxsize=4096)
def type_named(text: str | None, dialect: str) -> ValueType | None:
    """The type that a database calls so; None for one that is not known."""
    if text is None:
        return None
    try:
        return exp.DataType.build(text, dialect=dialect)
    except (SqlglotError, ValueError):
        return None


def is_list(kind: ValueType | None) -> bool:
    """Whether values of a type are lists or arrays."""
    return kind is not None and kind.this in (exp.DataType.Type.ARRAY, exp.DataType.Type.LIST)


def element_of(kind: ValueType | None) -> ValueType | None:
    """The type of the elements of a list."""
    if kind is None or not is_list(kind) or not kind.expressions:
        return None
    inner = kind.expressions[0]
    return inner if isinstance(inner, exp.DataType) else None


def field_of(kind: ValueType | None, path: Sequence[str]) -> ValueType | None:
    """The type of a field of a struct, or of a field of a field."""
    for name in path:
        if kind is None or kind.this is not exp.DataType.Type.STRUCT:
            return None
        fields = (item for item in kind.expressions if isinstance(item, exp.ColumnDef))
        kind = next((item.args.get("kind") for item in fields if item.name.lower() == name.lower()), None)
    return kind
