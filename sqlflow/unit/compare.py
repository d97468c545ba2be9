"""The rows that a model gave beside those that were expected."""

from __future__ import annotations

import math
from collections.abc import Sequence
from decimal import Decimal
from enum import StrEnum

from msgspec import Struct

from sqlflow.core.engine import Row


class Mark(StrEnum):
    DIFFERS = "~"
    MISSING = "-"
    SURPLUS = "+"


class Line(Struct, frozen=True):
    """A row of a difference: what was expected, and what was given."""

    mark: Mark
    expected: Row | None
    given: Row | None
    differing: tuple[int, ...] = ()


class Difference(Struct, frozen=True):
    """What differs. `equal`: how many rows are as expected; `only_order`: the rows are right, and stand in another order."""

    columns: tuple[str, ...]
    lines: tuple[Line, ...]
    equal: int
    only_order: bool = False


def difference(
    columns: Sequence[str], expected: Sequence[Row], given: Sequence[Row], *, tolerance: float | None, in_order: bool
) -> Difference | None:
    """What differs between two sets of rows; None when nothing does."""
    near = _Near(tolerance)
    lost, surplus = _unmatched(expected, given, near)
    if in_order:
        lines = []
        for number in range(max(len(expected), len(given))):
            want = expected[number] if number < len(expected) else None
            got = given[number] if number < len(given) else None
            if (line := _line(want, got, near)) is not None:
                lines.append(line)
        if not lines:
            return None
        return Difference(tuple(columns), tuple(lines), len(expected) - len(lost), not lost and not surplus)
    if not lost and not surplus:
        return None
    return Difference(tuple(columns), tuple(_paired(lost, surplus, near)), len(expected) - len(lost))


class _Near:
    """Equality of values. Floating point numbers may differ by what their arithmetic does, or by a tolerance."""

    def __init__(self, tolerance: float | None) -> None:
        self._tolerance = tolerance

    def equal(self, left: object, right: object) -> bool:
        if left is None or right is None:
            return left is right
        numbers = isinstance(left, float | Decimal) and isinstance(right, float | Decimal)
        if numbers and (isinstance(left, float) or self._tolerance is not None):
            one, other = float(left), float(right)  # type: ignore[arg-type]
            if math.isnan(one) or math.isnan(other):
                return math.isnan(one) and math.isnan(other)
            if self._tolerance is not None:
                return one == other or abs(one - other) <= self._tolerance
            return math.isclose(one, other, rel_tol=_ARITHMETIC, abs_tol=_ARITHMETIC)
        return left == right

    def rows(self, left: Row, right: Row) -> bool:
        return all(self.equal(one, other) for one, other in zip(left, right, strict=True))


_ARITHMETIC = 1e-9
_MOST_PAIRS = 250_000


def _unmatched(expected: Sequence[Row], given: Sequence[Row], near: _Near) -> tuple[list[Row], list[Row]]:
    """The rows of each side that have no equal one on the other."""
    count: dict[str, list[Row]] = {}
    for row in given:
        count.setdefault(repr(row), []).append(row)
    lost = []
    for row in expected:
        same = count.get(repr(row))
        if same:
            same.pop()
        else:
            lost.append(row)
    surplus = [row for row in given if _taken(count, row)]
    if len(lost) * len(surplus) > _MOST_PAIRS:
        return lost, surplus
    still: list[Row] = []
    for row in lost:
        found = next((number for number, other in enumerate(surplus) if near.rows(row, other)), None)
        if found is None:
            still.append(row)
        else:
            surplus.pop(found)
    return still, surplus


def _taken(left: dict[str, list[Row]], row: Row) -> bool:
    """Take a row of those that are left, if there is one."""
    rows = left.get(repr(row))
    if not rows:
        return False
    rows.pop()
    return True


def _paired(lost: Sequence[Row], surplus: Sequence[Row], near: _Near) -> list[Line]:
    """Each lost row beside the one that is most like it, if they have a value in common."""
    partners: dict[int, int] = {}
    if len(lost) * len(surplus) <= _MOST_PAIRS:
        alike = sorted(
            (-sum(near.equal(a, b) for a, b in zip(row, other, strict=True)), i, j)
            for i, row in enumerate(lost)
            for j, other in enumerate(surplus)
        )
        taken: set[int] = set()
        for score, i, j in alike:
            one_of_each = len(lost) == len(surplus) == 1
            if (score < 0 or one_of_each) and i not in partners and j not in taken:
                partners[i] = j
                taken.add(j)
    lines = [_line(row, surplus[partners[i]] if i in partners else None, near) for i, row in enumerate(lost)]
    rest = [row for j, row in enumerate(surplus) if j not in partners.values()]
    return [line for line in (*lines, *(_line(None, row, near) for row in rest)) if line is not None]


def _line(expected: Row | None, given: Row | None, near: _Near) -> Line | None:
    """A row of the difference; None for rows that are equal."""
    if expected is None or given is None:
        return Line(Mark.SURPLUS if expected is None else Mark.MISSING, expected, given)
    pairs = enumerate(zip(expected, given, strict=True))
    differing = tuple(number for number, (one, other) in pairs if not near.equal(one, other))
    return Line(Mark.DIFFERS, expected, given, differing) if differing else None
