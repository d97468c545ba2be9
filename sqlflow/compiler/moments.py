"""Expressions that are one column, shifted, cut and taken to another zone; and how far such functions move a time.

A chain f is a sequence of functions of time over one column. Two things are known of each function g, for all times
x and y, as bounds in microseconds (times of a TIMESTAMPTZ are instants, of the other types what the clock shows):

- its error: g(x) - x lies in them;
- what it makes of a distance: if x - y lies in [low, high], then g(x) - g(y) lies in `carried`.

For a cut to a unit of fixed length u: g(x) = x - r with 0 <= r < u, so g(x) - g(y) < high + u, and it is a multiple
of u: at most `high` rounded up to u, at least `low` rounded down. For months and longer r is less than the longest
unit; the function is monotone, so that 0 stays a bound. A shift by a fixed length changes no distance. One by months
moves by 0 to 3 days more or less than another one (28 to 31 days; the last day of the month is a limit), so it may
change a distance by less than 4 days, also below 0. What depends on a zone's clock changes a distance by no more than
the clock was ever set, less than 25 hours, per conversion.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from msgspec import Struct
from sqlglot import exp

from sqlflow.core.intervals import Grain
from sqlflow.core.reach import CLOCK, DAY, HOUR, OFFSET, SECOND, Reach, TimeStep

ZONED = "TIMESTAMP WITH TIME ZONE"
# The types whose functions are known; the other TIMESTAMP types are rounded on the way.
KNOWN = ("DATE", "TIMESTAMP", ZONED)
TIMES = (*KNOWN, "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS")


class Chain(Struct, frozen=True):
    """`leaf`: the column's node. `steps`: innermost first. `nodes` and `types`: the tree after so many steps (0: the
    column) and its type."""

    leaf: exp.Expr
    steps: tuple[TimeStep, ...]
    nodes: tuple[exp.Expr, ...]
    types: tuple[str, ...]

    @property
    def type(self) -> str:
        return self.types[-1]

    def without_shifts(self, *, steady: bool) -> tuple[int, tuple[int, int]]:
        """How many steps there are before the last shifts, and the bounds of what these add."""
        count, low, high = len(self.steps), 0, 0
        while count and self.steps[count - 1].kind == "shift":
            one, two = error(self.steps[count - 1], self.types[count - 1], steady=steady)
            low, high, count = low + one, high + two, count - 1
        return count, (low, high)


def chain(tree: exp.Expr, type_of: Callable[[exp.Expr], str | None], *, cuts_days: bool = True) -> Chain | None:
    """An expression as a chain; None if it is none. `type_of`: the type of a column's node, None for any other node.
    `cuts_days`: `date_trunc` of a DATE is a TIMESTAMP."""
    if isinstance(tree, exp.Paren):
        return chain(tree.this, type_of, cuts_days=cuts_days)
    leaf_type = type_of(tree)
    if leaf_type is not None:
        return Chain(tree, (), (tree,), (leaf_type,)) if leaf_type in TIMES else None
    for inner, step_of in _forms(tree):
        below = chain(inner, type_of, cuts_days=cuts_days)
        if below is None:
            continue
        if below.type not in KNOWN:
            return None
        if below.type == "DATE" and not cuts_days and isinstance(tree, (exp.DateTrunc, exp.TimestampTrunc)):
            return None
        found = step_of(below.type)
        if found is None:
            return None
        step, made = found
        return Chain(below.leaf, (*below.steps, step), (*below.nodes, tree), (*below.types, made))
    return None


_StepOf = Callable[[str], tuple[TimeStep, str] | None]


def _forms(tree: exp.Expr) -> list[tuple[exp.Expr, _StepOf]]:
    """The argument that the time may come from, and what step the function is for its type."""
    match tree:
        case exp.Cast() if type(tree) is exp.Cast and not tree.to.expressions:  # to so many digits, it is rounded
            kind = tree.to.sql("duckdb").upper()
            return [(tree.this, lambda type_: _cast(type_, kind))]
        case exp.TsOrDsToDate() | exp.Date() if not tree.args.get("expressions") and not tree.args.get("zone"):
            return [(tree.this, lambda type_: _cast(type_, "DATE"))]
        case exp.DateTrunc() | exp.TimestampTrunc() if not tree.args.get("zone"):
            unit = tree.text("unit").lower()
            if unit not in set(Grain):
                return []
            return [(tree.this, lambda type_: (TimeStep("cut", unit), ZONED if type_ == ZONED else "TIMESTAMP"))]
        case exp.Add():
            return [
                (tree.this, lambda type_: _shift(type_, tree.expression, 1)),
                (tree.expression, lambda type_: _shift(type_, tree.this, 1)),
            ]
        case exp.Sub():
            return [(tree.this, lambda type_: _shift(type_, tree.expression, -1))]
        case exp.DateAdd() if isinstance(tree.expression, exp.Interval) and not tree.args.get("unit"):
            return [(tree.this, lambda type_: _shift(type_, tree.expression, 1))]
        case exp.AtTimeZone() if isinstance(tree.args.get("zone"), exp.Literal):
            return [(tree.this, lambda type_: _zone(type_, tree.args["zone"]))]
        case exp.Anonymous() if tree.name.lower() == "timezone" and len(tree.expressions) == 2:
            return [(tree.expressions[1], lambda type_: _zone(type_, tree.expressions[0]))]
        case _:
            return []


def _cast(type_: str, kind: str) -> tuple[TimeStep, str] | None:
    match kind:
        case "DATE":
            return TimeStep("date"), "DATE"
        case "TIMESTAMP" if type_ == ZONED:
            return TimeStep("zone"), "TIMESTAMP"
        case "TIMESTAMP":
            return TimeStep("shift"), "TIMESTAMP"
        case "TIMESTAMPTZ" | "TIMESTAMP WITH TIME ZONE" if type_ == ZONED:
            return TimeStep("shift"), ZONED
        case "TIMESTAMPTZ" | "TIMESTAMP WITH TIME ZONE":
            return TimeStep("zone"), ZONED
        case _:
            return None


def _zone(type_: str, zone: exp.Expr) -> tuple[TimeStep, str] | None:
    # AT TIME ZONE of a DATE goes through other types.
    if type_ == "DATE" or not isinstance(zone, exp.Literal) or not zone.is_string or not zone.name:
        return None
    return TimeStep("zone", zone=zone.name), "TIMESTAMP" if type_ == ZONED else ZONED


def _shift(type_: str, length: exp.Expr, sign: int) -> tuple[TimeStep, str] | None:
    whole = whole_number(length)
    if whole is not None:
        return (TimeStep("shift", days=sign * whole), "DATE") if type_ == "DATE" else None
    found = interval(length)
    if found is None:
        return None
    months, days, micros = found
    step = TimeStep("shift", months=sign * months, days=sign * days, micros=sign * micros)
    return step, ZONED if type_ == ZONED else "TIMESTAMP"


# ---------------------------------------------------------------------- constant intervals

_UNITS: dict[str, tuple[int, int, int]] = {
    "millennium": (12000, 0, 0), "century": (1200, 0, 0), "decade": (120, 0, 0), "year": (12, 0, 0),
    "quarter": (3, 0, 0), "month": (1, 0, 0), "week": (0, 7, 0), "day": (0, 1, 0), "hour": (0, 0, HOUR),
    "minute": (0, 0, 60 * SECOND), "second": (0, 0, SECOND), "millisecond": (0, 0, 1000), "microsecond": (0, 0, 1),
}  # fmt: skip
_PART = re.compile(r"\s*([+-]?\d+)\s*([A-Za-z]+)")
_CLOCK_PART = re.compile(r"\s*([+-]?)(\d+):(\d\d)(?::(\d\d))?\s*")
_MOST = 10**6


def interval(node: exp.Expr) -> tuple[int, int, int] | None:
    """A constant INTERVAL as months, days and microseconds; None for anything else."""
    match node:
        case exp.Paren():
            return interval(node.this)
        case exp.Neg():
            found = interval(node.this)
            return None if found is None else (-found[0], -found[1], -found[2])
        case exp.Interval():
            unit = node.args.get("unit")
            if unit is None:
                return _written(node.this.name) if isinstance(node.this, exp.Literal) else None
            count = whole_number(node.this)
            return None if count is None or not isinstance(unit, exp.Var) else _times(count, unit.name)
        case exp.Cast() if node.to.sql("duckdb").upper() == "INTERVAL" and isinstance(node.this, exp.Literal):
            return _written(node.this.name)
        case exp.Mul():
            for count, of in ((whole_number(node.this), node.expression), (whole_number(node.expression), node.this)):
                one = interval(of) if count is not None else None
                if count is not None and one is not None and abs(count) <= _MOST:
                    return count * one[0], count * one[1], count * one[2]
            return None
        case exp.ToDays():
            count = whole_number(node.this)
            return None if count is None else _times(count, "day")
        case exp.Anonymous() if node.name.lower().startswith("to_") and len(node.expressions) == 1:
            count = whole_number(node.expressions[0])
            return None if count is None else _times(count, node.name[3:])
        case _:
            return None


def _times(count: int, unit: str) -> tuple[int, int, int] | None:
    word = unit.lower()
    found = _UNITS.get(word) or _UNITS.get(word.removesuffix("s"))
    if found is None or abs(count) > _MOST * 1000:
        return None
    return count * found[0], count * found[1], count * found[2]


def _written(text: str) -> tuple[int, int, int] | None:
    """`1 month 2 days`, `36:00:00`."""
    position, total = 0, (0, 0, 0)
    while position < len(text) and text[position:].strip():
        part = _PART.match(text, position)
        clock = _CLOCK_PART.match(text, position) if part is None else None
        if part is not None:
            found = _times(int(part[1]), part[2])
            position = part.end()
        elif clock is not None:
            seconds = int(clock[2]) * 3600 + int(clock[3]) * 60 + int(clock[4] or 0)
            found = (0, 0, seconds * SECOND * (-1 if clock[1] == "-" else 1))
            position = clock.end()
        else:
            return None
        if found is None:
            return None
        total = (total[0] + found[0], total[1] + found[1], total[2] + found[2])
    return total if position else None


def whole_number(node: exp.Expr) -> int | None:
    """A constant integer; None for anything else."""
    match node:
        case exp.Paren():
            return whole_number(node.this)
        case exp.Neg():
            found = whole_number(node.this)
            return None if found is None else -found
        case exp.Literal():
            text = str(node.this).strip()
            return int(text) if re.fullmatch(r"[+-]?\d{1,9}", text) else None
        case _:
            return None


# ---------------------------------------------------------------------- how far they move

Bounds = tuple[int, int]
_SHORTEST = (0, 28, 59, 89, 120, 150, 181, 212, 242, 273, 303, 334)
_LONGEST = (0, 31, 62, 92, 123, 153, 184, 215, 245, 276, 306, 337)
_FIXED = {"hour": HOUR, "day": DAY, "week": 7 * DAY}
_LONG = {"month": 31 * DAY, "quarter": 92 * DAY, "year": 366 * DAY}
_MONTHS = 4 * DAY


def length(months: int, days: int, micros: int, *, zoned: bool, steady: bool) -> Bounds:
    """How much time it is to go so many months, days and microseconds on, at least and at most."""
    years, rest = divmod(abs(months), 12)
    leap = 1 if years else 0
    low = 365 * years + years // 4 - years // 100 - leap + _SHORTEST[rest] - 3 if months else 0
    high = 365 * years + years // 4 + leap + _LONGEST[rest] if months else 0
    if months < 0:
        # Back from the 31st to the 28th is further than on from there.
        low, high = -high - 3, -low
    fixed = days * DAY + micros
    loose = CLOCK if zoned and not steady and (months or days) else 0
    return low * DAY + fixed - loose, high * DAY + fixed + loose


def error(step: TimeStep, type_: str, *, steady: bool = False) -> Bounds:
    """The bounds of g(x) - x, for x of a type. `steady`: the session's clock shows UTC."""
    zoned = type_ == ZONED
    match step.kind:
        case "cut":
            unit = _FIXED.get(step.unit) or _LONG[step.unit]
            return (-unit, 0) if not zoned or steady else (-unit - CLOCK, CLOCK)
        case "date":
            return (-DAY, 0) if not zoned or steady else (-DAY - OFFSET, OFFSET)
        case "zone":
            return (0, 0) if steady and not step.zone else (-OFFSET, OFFSET)
        case _:
            return length(step.months, step.days, step.micros, zoned=zoned, steady=steady)


def errors(steps: Sequence[TimeStep], types: Sequence[str], *, steady: bool) -> Bounds:
    """The bounds of what a whole chain adds."""
    low = high = 0
    for step, type_ in zip(steps, types, strict=False):
        one, two = error(step, type_, steady=steady)
        low, high = low + one, high + two
    return low, high


def carried(reach: Reach, step: TimeStep, type_: str, *, steady: bool) -> Reach:
    """What a distance becomes when both times go through `step`."""
    low, high = reach.first, reach.last
    loose = 0 if type_ != ZONED or steady else 2 * CLOCK
    match step.kind:
        case "cut" | "date":
            unit = step.unit if step.kind == "cut" else "day"
            if (low, high) == (0, 0):
                return reach
            loose = loose // 2 if step.kind == "date" else loose  # there, and back again only for a cut
            low, high = _plus(low, -loose), _plus(high, loose)
            if unit in _FIXED and not (loose and step.kind == "cut"):
                size = _FIXED[unit]
                return Reach(
                    None if low is None else low // size * size, None if high is None else -(-high // size) * size
                )
            size = _FIXED.get(unit) or _LONG[unit]
            # The start of a unit is monotone in the time, but for a clock that is set back.
            return Reach(
                low if low is None or low >= 0 else low - size, high if high is None or high <= 0 else high + size
            )
        case "zone":
            # The same instant is the same reading, but two instants may have one reading, and the engine picks.
            if (low, high) == (0, 0) or (steady and not step.zone):
                return reach
            return Reach(_plus(low, -CLOCK), _plus(high, CLOCK))
        case _:
            if (low, high) == (0, 0):
                return reach
            loose = loose if step.months or step.days else 0
            loose += _MONTHS if step.months else 0
            return Reach(_plus(low, -loose), _plus(high, loose))


def carried_by(reach: Reach, steps: Sequence[TimeStep], types: Sequence[str], *, steady: bool) -> Reach:
    """What a distance becomes when both times go through a chain."""
    for step, type_ in zip(steps, types, strict=False):
        reach = carried(reach, step, type_, steady=steady)
    return reach


def _plus(one: int | None, two: int) -> int | None:
    return None if one is None else one + two


def common_steps(one: Sequence[TimeStep], two: Sequence[TimeStep]) -> int:
    """How many steps two chains begin with that are the same."""
    count = 0
    while count < min(len(one), len(two)) and one[count] == two[count]:
        count += 1
    return count
