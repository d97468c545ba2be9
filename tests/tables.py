"""Rows of two engines compared: types and the last digit apart."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Sequence
from decimal import Decimal

Rows = Sequence[tuple[object, ...]]


def same_rows(one: Rows, two: Rows, tolerance: float = 1e-9) -> str:
    """In words how two bags of rows differ; empty when they do not."""
    if len(one) != len(two):
        return f"{len(one)} and {len(two)} rows"
    # Numbers that are nearly equal may sort differently, so they do not decide unless nothing else does.
    left, right = (sorted((_plain(row) for row in rows), key=_order) for rows in (one, two))
    for a, b in zip(left, right, strict=True):
        if not all(_alike(x, y, tolerance) for x, y in zip(a, b, strict=True)):
            return f"{a} and {b}"
    return ""


def _order(row: Sequence[object]) -> tuple[str, str]:
    fixed = [value for value in row if not isinstance(value, float) or value.is_integer()]
    return repr(fixed), repr(row)


def _alike(one: object, two: object, tolerance: float) -> bool:
    if isinstance(one, float) and isinstance(two, float):
        return one == two or math.isclose(one, two, rel_tol=1e-9, abs_tol=tolerance) or (one != one and two != two)
    return one == two


def _plain(row: Sequence[object]) -> list[object]:
    return [_value(value) for value in row]


def _value(value: object) -> object:
    match value:
        case bool():
            return value
        case int() | float() | Decimal():
            return float(value)
        case dt.datetime():
            return value.astimezone(dt.UTC).isoformat() if value.tzinfo else value.isoformat()
        case _:
            return value
