"""Values that somebody wrote, as values of a column's type."""

from __future__ import annotations

import re
from datetime import datetime, time
from decimal import Decimal, InvalidOperation

from sqlflow.core.sql import Sql, Value, compose
from sqlflow.core.units import Cell
from sqlflow.core.wording import Wording


def sql_of(cell: Cell | None, kind: str, words: Wording) -> Sql:
    """A value as SQL of a column's type; NULL where there is none."""
    if cell is None or cell.value is None:
        return compose("CAST(NULL AS {kind})", kind=Sql(kind))
    if isinstance(cell.value, list | dict):
        return words.nested(cell.value, kind)
    return compose("CAST({text} AS {kind})", text=Value(cell.text), kind=Sql(kind))


def misfit(cell: Cell, kind: str) -> str | None:
    """Why a value would not be what it says it is in a column of a type; None where the engine may judge it."""
    value, text = cell.value, cell.text.strip()
    if value is None or isinstance(value, list | dict):
        return None
    if _INTEGER.match(kind) or _BINARY.match(kind) or _DECIMAL.match(kind):
        number = _number(text)
        if number is None:
            return "it is no number"
        if _INTEGER.match(kind) and (not number.is_finite() or number != number.to_integral_value()):
            return "it is no whole number"
        sized = _SIZED.match(kind)
        if sized is not None and number.is_finite() and number != round(number, int(sized[2])):
            return f"it has more than {sized[2]} decimal places"
        return None
    if kind.upper() in ("BOOLEAN", "BOOL"):
        return None if text.lower() in _TRUTHS else "it is neither `true` nor `false`"
    if kind.upper() == "DATE":
        moment = value if isinstance(value, datetime) else _moment(text)
        if moment is not None and moment.time() != time():
            return "it has a time of day"
    return None


def _number(text: str) -> Decimal | None:
    try:
        return Decimal(text.replace("_", ""))
    except InvalidOperation:
        return None


def _moment(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


_INTEGER = re.compile(r"U?(?:TINY|SMALL|BIG|HUGE)INT$|U?INT(?:EGER)?$|INT\d+$", re.IGNORECASE)
_BINARY = re.compile(r"(?:FLOAT\d*|REAL|DOUBLE(?: PRECISION)?)$", re.IGNORECASE)
_DECIMAL = re.compile(r"(?:DECIMAL|NUMERIC)\b(?!.*\[)", re.IGNORECASE)
_SIZED = re.compile(r"(?:DECIMAL|NUMERIC)\((\d+), ?(\d+)\)$", re.IGNORECASE)
_TRUTHS = frozenset({"true", "false", "t", "f", "1", "0", "yes", "no", "on", "off", "y", "n"})
