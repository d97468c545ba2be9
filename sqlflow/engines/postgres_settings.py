"""On which settings the rows of a query depend on PostgreSQL, by what the server says that its names stand for.

Most settings that decide rows are fixed when a connection is made. Those are left that a role, a database or the project
decides: the time zone, in which schemas functions are looked for, and how the locale writes numbers and money.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from sqlflow.core.engine import Row
from sqlflow.core.schema import Schema, names_zone
from sqlflow.engines.postgres_functions import CALLED

if TYPE_CHECKING:
    from psycopg import Connection

# Type numbers: times with a zone, their arrays and ranges; SQL's own functions of the clock have a node of their own.
_ZONED = re.compile(
    r"type (?:1184|1185|1266|1270|3910|3911|4534|6153)\b|:(?:resulttype|paramtype) (?:1184|1185|1266|1270)\b|SQLVALUEFUNCTION"
)
_OF_THE_DATABASE = re.compile(r"(?:type|:resulttype) (\d{5,})\b")
_LOCALE = ("lc_monetary", "lc_numeric", "lc_time", "default_text_search_config")
_MONEY = re.compile(r"(?:type|:resulttype) 79[01]\b")
# STABLE functions that do not depend on the locale.
_WITHOUT_LOCALE = re.compile(r"(?:date|time|interval|now|json|concat|array_to_|age\b|extract|generate_series|overlaps)")


def settings_of(connection: Connection[Row], tree: str | None, columns: Iterable[Schema]) -> Mapping[str, str]:
    """The settings that decide rows, with their values. `tree`: the query as the server keeps it; None: it does not."""
    functions = _functions(connection, tree) if tree is not None else ()
    zoned = any(names_zone(column.type) for schema in columns for column in schema)
    found: dict[str, str] = {}
    if tree is None or zoned or _ZONED.search(tree):
        found["timezone"] = _value(connection, "TimeZone")
    if tree is None or _OF_THE_DATABASE.search(tree) or any(schema != "pg_catalog" for schema, _, _ in functions):
        found["search_path"] = _value(connection, "search_path")
    stable = [name for _, name, volatility in functions if volatility == "s"]
    if tree is None or _MONEY.search(tree) or not all(map(_WITHOUT_LOCALE.match, stable)):
        found["locale"] = ", ".join(_value(connection, name) for name in _LOCALE)
    return found


def session_digest(connection: Connection[Row]) -> str:
    """What tells whether a query may mean something else in this session than in the one that compiled it."""
    values = [_value(connection, name) for name in ("search_path", *_LOCALE)]
    return hashlib.blake2b("\x1f".join(values).encode(), digest_size=6).hexdigest()


def _value(connection: Connection[Row], name: str) -> str:
    return str(connection.execute("SELECT current_setting($1)", (name,)).fetchall()[0][0])


def _functions(connection: Connection[Row], tree: str) -> list[tuple[str, str, str]]:
    numbers = sorted({int(number) for number in CALLED.findall(tree)})
    if not numbers:
        return []
    rows = connection.execute(
        "SELECT n.nspname, p.proname, p.provolatile FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace "
        "WHERE p.oid = ANY($1::oid[])",
        (numbers,),
    ).fetchall()
    return [(str(schema), str(name), str(volatility)) for schema, name, volatility in rows]
