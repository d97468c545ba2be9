"""PostgreSQL's types: in the spelling that SQLFlow compares, and for the columns of files.

Spelled in upper case as in the SQL standard where both names are PostgreSQL's own, so that a time is a `TIMESTAMP` here as
with every other engine.
"""

from __future__ import annotations

import re

from sqlflow.core.types import Family, parsed

_SPELLED = {
    "timestamp without time zone": "TIMESTAMP",
    "timestamp with time zone": "TIMESTAMP WITH TIME ZONE",
    "time without time zone": "TIME",
    "time with time zone": "TIME WITH TIME ZONE",
    "character varying": "VARCHAR",
    "character": "CHAR",
    "numeric": "DECIMAL",
}
_FORMATTED = re.compile(r"([^\[(]+?)(\(\d+(?:,-?\d+)?\))?( with(?:out)? time zone)?((?:\[\])*)")

_ALL_DIGITS = "(6)"


def spelled(formatted: str) -> str:
    """What `format_type` says, as SQLFlow writes it.

    Six digits of a second are all that there are, so that saying so says nothing.

    >>> spelled("numeric(10,2)"), spelled("timestamp(3) with time zone"), spelled("text[]")
    ('DECIMAL(10,2)', 'TIMESTAMP(3) WITH TIME ZONE', 'TEXT[]')
    >>> spelled("timestamp(6) without time zone"), spelled("timestamp(6) with time zone")
    ('TIMESTAMP', 'TIMESTAMP WITH TIME ZONE')
    """
    found = _FORMATTED.fullmatch(formatted)
    if found is None or formatted.startswith('"') or "." in found[1]:
        return formatted  # a type of the database's own
    name, size, zone, array = found[1], found[2] or "", found[3] or "", found[4]
    if zone and size == _ALL_DIGITS:
        size = ""
    if zone and size:
        return f"{name.upper()}{size}{zone.upper() if 'without' not in zone else ''}{array}"
    base = _SPELLED.get(name + zone, (name + zone).upper())
    if zone or not size:
        return base + array
    return f"{base}{size}{array}"


_OF_FILES = {
    "TINYINT": "SMALLINT", "UTINYINT": "SMALLINT", "USMALLINT": "INTEGER", "UINTEGER": "BIGINT",
    "UBIGINT": "DECIMAL(20,0)", "HUGEINT": "DECIMAL(38,0)", "UHUGEINT": "DECIMAL(39,0)", "FLOAT": "REAL",
    "DOUBLE": "DOUBLE PRECISION", "VARCHAR": "TEXT", "BLOB": "BYTEA", "JSON": "JSONB", "TIMESTAMP_NS": "TIMESTAMP",
    "TIMESTAMP_S": "TIMESTAMP", "TIMESTAMP_MS": "TIMESTAMP", "BIT": "TEXT",
}  # fmt: skip


def of_file(kind: str) -> str:
    """The column type for values that DuckDB reads from a file as `kind`; nested values become JSON.

    >>> of_file("UBIGINT"), of_file("DECIMAL(10,2)"), of_file("VARCHAR[]"), of_file("STRUCT(a INTEGER)")
    ('DECIMAL(20,0)', 'DECIMAL(10,2)', 'TEXT[]', 'JSONB')
    """
    type_ = parsed(kind)
    if type_.is_list_of_plain:
        return f"{of_file(kind.removesuffix('[]'))}[]"
    if type_.is_nested:
        return "JSONB"
    if type_.family is Family.ENUM:
        return "TEXT"
    return _OF_FILES.get(kind, kind)
