"""The one place where SQL text is put together.

A template is a constant of the program. What goes into it is typed: names are quoted, values become literals,
and only text that is already SQL (`Sql`: an author's query that has been parsed, or an earlier result) goes in as
it is. A plain string is refused, so text of a user cannot get into a statement by accident.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import LiteralString

from msgspec import Struct

from sqlflow.core.names import TableName


class Sql(str):
    """Text that is SQL already."""

    __slots__ = ()


class Authors(Sql):
    """SQL in which a query of an author stands, so that the engine is left to plan it."""

    __slots__ = ()


class Joining(Sql):
    """SQL of ours that joins rows by all of their values, of which an engine may know nothing."""

    __slots__ = ()


class Make(Sql):
    """A statement that makes a table out of a query, in place of one that has its name."""

    __slots__ = ("name", "query", "temporary")

    name: Ident | TableName
    query: Sql
    temporary: bool


class Ident(str):
    """The name of one thing, not yet quoted."""

    __slots__ = ()


class Value(Struct, frozen=True):
    """A value that becomes a literal."""

    value: object


class Typed(Struct, frozen=True):
    """A value of a type that its author names. `type`: text that has been found to be one."""

    value: object
    type: Sql


Part = Sql | Ident | TableName | Value | int | Sequence["Part"]
_PLAIN = frozenset([Sql, Ident, TableName, Value, int])


def compose(template: LiteralString, **parts: Part) -> Sql:
    """The template with `{name}` replaced by the parts; sequences are joined by commas.

    >>> compose("SELECT {c} FROM {t}", c=(Ident("a"), Ident('b"c')), t=TableName("s", "t"))
    'SELECT "a", "b""c" FROM "s"."t"'
    """
    filling = _Filling(parts)
    text = template.format_map(filling)
    return _kind(filling.used)(text)


def joined(separator: LiteralString, parts: Sequence[Sql]) -> Sql:
    """SQL texts one after the other, e.g. conditions with ` AND ` between them."""
    return _kind(parts)(separator.join(parts))


def make(name: Ident | TableName, query: Sql | LiteralString, /, **parts: Part) -> Make:
    """A table with the rows of a query, or of a template of one."""
    return _make("TABLE", name, query if isinstance(query, Sql) else compose(query, **parts))


def make_temporary(name: Ident | TableName, query: Sql | LiteralString, /, **parts: Part) -> Make:
    """A table with the rows of a query, or of a template of one, that nobody else sees, and that goes with the connection."""
    return _make("TEMP TABLE", name, query if isinstance(query, Sql) else compose(query, **parts))


def _make(what: LiteralString, name: Ident | TableName, query: Sql) -> Make:
    made = Make(f"CREATE OR REPLACE {what} {render(name)} AS\n{query}")
    made.name, made.query, made.temporary = name, query, what != "TABLE"
    return made


class _Filling(dict[str, str]):
    """What stands for the names in a template; `used`: the parts that it has."""

    def __init__(self, parts: Mapping[str, Part]) -> None:
        self._parts = parts
        self.used: list[Part] = []

    def __missing__(self, name: str) -> str:
        part = self._parts[name]
        self.used.append(part)
        return render(part)


def _kind(parts: Iterable[Part]) -> type[Sql]:
    """What SQL is that is made of these: of an author if anything in it is, else joining if anything is."""
    found: type[Sql] = Sql
    for part in parts:
        kind = type(part)
        if kind in _PLAIN:
            continue
        if isinstance(part, Make):
            kind = type(part.query)
        elif not isinstance(part, Sql) and isinstance(part, Sequence):
            kind = _kind(part)
        if kind is Authors:
            return Authors
        if kind is Joining:
            found = Joining
    return found


def render(part: Part) -> str:
    match part:
        case Sql():
            return str(part)
        case Ident():
            return quoted(part)
        case TableName():
            return f"{quoted(part.schema)}.{quoted(part.name)}"
        case Value():
            return literal(part.value)
        case bool() | str():
            raise TypeError(f"not a part of a statement: {part!r}")
        case int():
            return str(part)
        case Sequence():
            return ", ".join(render(item) for item in part)
        case _:
            raise TypeError(f"not a part of a statement: {part!r}")


def quoted(name: str) -> str:
    """`name` as a quoted identifier."""
    return '"' + name.replace('"', '""') + '"'


def literal(value: object) -> str:
    """A Python value (also from YAML) as a typed SQL literal. Raises TypeError for what has none."""
    match value:
        case None:
            return "NULL"
        case bool():
            return "TRUE" if value else "FALSE"
        case int():
            return str(value)
        case float():
            return (
                f"CAST('{value!r}' AS DOUBLE PRECISION)"
                if value != value or abs(value) == float("inf")
                else f"{value!r}::DOUBLE PRECISION"
            )
        case Decimal():
            text = format(value, "f")  # with an exponent it would be a floating point number
            return text if "." in text else f"{text}."
        case Typed():
            return f"CAST({literal(value.value)} AS {value.type})"
        case str():
            return "'" + value.replace("'", "''") + "'"
        case datetime():
            if value.tzinfo is not None:
                return f"TIMESTAMPTZ '{value.astimezone(UTC).replace(tzinfo=None).isoformat(' ')}+00'"
            return f"TIMESTAMP '{value.isoformat(' ')}'"
        case date():
            return f"DATE '{value.isoformat()}'"
        case tuple():
            return "ARRAY[" + ", ".join(literal(item) for item in value) + "]"
        case list():
            return "[" + ", ".join(literal(item) for item in value) + "]"
        case _:
            raise TypeError(f"a {type(value).__name__} has no SQL literal")


def as_json(value: object) -> str:
    """A list or a mapping from YAML as JSON text."""
    return json.dumps(value, ensure_ascii=False, default=str)
