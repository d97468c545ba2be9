"""On which settings the rows of a query depend in DuckDB, by the words that stand in it.

A time with a zone comes from a column, from a type that is named in the query, or from one of few functions. Only by such a
value does the session's time zone reach a row; functions of the clock have it in their names.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable

from sqlflow.core.schema import Schema, names_zone

_WORD = re.compile(r"\w+")
# Functions that make a time with a zone out of values without one, and those that tell the time or the zone; all
# others that have to do with zones are handed one. A test compares this with the catalogue of the engine.
ZONED_FUNCTIONS = frozenset(
    [
        "age",
        "ago",
        "current_date",
        "current_localtime",
        "current_localtimestamp",
        "current_setting",
        "current_time",
        "current_timestamp",
        "get_current_time",
        "get_current_timestamp",
        "localtime",
        "localtimestamp",
        "make_timestamptz",
        "now",
        "pg_conf_load_time",
        "pg_postmaster_start_time",
        "strptime",
        "timezone",
        "to_timestamp",
        "today",
        "transaction_timestamp",
        "try_strptime",
        "uuid_extract_timestamp",
    ]
)


def depends_on_zone(query: str, columns: Iterable[Schema]) -> bool:
    """Whether rows of a query may be others in another time zone. `columns`: of what it reads, and its own."""
    if any(names_zone(column.type) for schema in columns for column in schema):
        return True
    words = {word.lower() for word in _WORD.findall(query)}
    return "zone" in words or not words.isdisjoint(ZONED_FUNCTIONS) or any(map(names_zone, words))


def calls_one_of(query: str, functions: Collection[str]) -> bool:
    """Whether a query may call one of these functions."""
    return any(word.lower() in functions for word in _WORD.findall(query))
