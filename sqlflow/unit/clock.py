"""A query whose time stands still: literals in the place of `now()`, `current_date` and the like."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from zoneinfo import ZoneInfo

from msgspec.structs import replace
from sqlglot import TokenType

from sqlflow.core.model import Model
from sqlflow.core.sql import literal
from sqlflow.core.text import Edit
from sqlflow.project.tokens import Lexed, lex


def frozen(model: Model, dialect: str, moment: datetime, zone: ZoneInfo) -> Model:
    """The model as if it ran at a moment. `moment`: of the project's time zone, where it has none of its own."""
    lexed = lex(model.query.text, model.dialect or dialect)
    if not isinstance(lexed, Lexed):
        return model
    at = instant(moment, zone)
    edits = list(_edits(lexed, at, at.astimezone(zone)))
    return replace(model, query=model.query.edit(edits)) if edits else model


def instant(moment: datetime, zone: ZoneInfo) -> datetime:
    """A moment that was written, with its zone."""
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=zone)


def _edits(lexed: Lexed, at: datetime, local: datetime) -> Iterator[Edit]:
    tokens = lexed.tokens
    for index, token in enumerate(tokens):
        word = lexed.source(index).lower()
        value = _WORDS.get(word)
        if value is None or (index and tokens[index - 1].token_type in (TokenType.DOT, TokenType.ALIAS)):
            continue
        end, called = token.end + 1, False
        following = [lexed.source(i) for i in range(index + 1, min(index + 4, len(tokens)))]
        if following[:2] == ["(", ")"]:
            end, called = tokens[index + 2].end + 1, True
        elif following[2:3] == [")"] and following[0] == "(" and following[1].isdigit():
            end = tokens[index + 3].end + 1
        elif following[:1] == ["."] or following[:1] == ["("]:
            continue
        if called or word in _WITHOUT_BRACKETS:
            yield Edit(token.start, end, f"({value(at, local)})")


def _moment(at: datetime, local: datetime) -> str:
    return literal(at)


def _day(at: datetime, local: datetime) -> str:
    return literal(local.date())


def _local_moment(at: datetime, local: datetime) -> str:
    return literal(local.replace(tzinfo=None))


def _local_time(at: datetime, local: datetime) -> str:
    return f"TIME '{local.time().isoformat()}'"


def _time(at: datetime, local: datetime) -> str:
    return f"TIME WITH TIME ZONE '{local.timetz().isoformat()}'"


_WORDS: dict[str, Callable[[datetime, datetime], str]] = {
    **dict.fromkeys(
        ("now", "current_timestamp", "get_current_timestamp", "transaction_timestamp", "statement_timestamp",
         "clock_timestamp"),
        _moment,
    ),
    **dict.fromkeys(("current_date", "today"), _day),
    **dict.fromkeys(("localtimestamp", "current_localtimestamp"), _local_moment),
    **dict.fromkeys(("localtime", "current_localtime"), _local_time),
    **dict.fromkeys(("current_time", "get_current_time"), _time),
}  # fmt: skip
_WITHOUT_BRACKETS = frozenset({"current_timestamp", "current_date", "current_time", "localtimestamp", "localtime"})
