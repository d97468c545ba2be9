"""Values that somebody wrote, as values of a column's type."""

from __future__ import annotations

from datetime import datetime, time
from decimal import Decimal, InvalidOperation

from sqlflow.core.sql import Sql, Value, compose
from sqlflow.core.types import Family, parsed
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
    if cell.value is None or isinstance(cell.value, list | dict):
        return None
    type_, text = parsed(kind), cell.text.strip()
    if type_.is_number:
        number = _number(text)
        if number is None:
            return "it is no number"
        if type_.is_whole and (not number.is_finite() or number != number.to_integral_value()):
            return "it is no whole number"
        if type_.scale is not None and number.is_finite() and -_exponent(number.normalize()) > type_.scale:
            return f"it has more than {type_.scale} decimal places"
        return None
    if type_.family is Family.BOOLEAN and text.lower() not in _TRUTHS:
        return "it is neither `true` nor `false`"
    if type_.family is Family.DATE:
        moment = cell.value if isinstance(cell.value, datetime) else _moment(text)
        if moment is not None and moment.time() != time():
            return "it has a time of day"
    return None


def _number(text: str) -> Decimal | None:
    try:
        return Decimal(text)
    except InvalidOperation:
        return None


def _exponent(number: Decimal) -> int:
    exponent = number.as_tuple().exponent
    return exponent if isinstance(exponent, int) else 0


def _moment(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


_TRUTHS = frozenset({"true", "false", "t", "f", "1", "0", "yes", "no", "on", "off", "y", "n"})
