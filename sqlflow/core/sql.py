"""The one place where SQL text is put together.

A template is a constant of the program. What goes into it is typed: names are quoted, values become literals,
and only text that is already SQL (`Sql`: an author's query that has been parsed, or an earlier result) goes in as
it is. A plain string is refused, so text of a user cannot get into a statement by accident.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import LiteralString

from msgspec import Struct

from sqlflow.core.names import TableName


class Sql(str):
    """Text that is SQL already."""

    __slots__ = ()


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


def compose(template: LiteralString, **parts: Part) -> Sql:
    """The template with `{name}` replaced by the parts; sequences are joined by commas.

    >>> compose("SELECT {c} FROM {t}", c=(Ident("a"), Ident('b"c')), t=TableName("s", "t"))
    'SELECT "a", "b""c" FROM "s"."t"'
    """
    return Sql(template.format(**{name: render(part) for name, part in parts.items()}))


def joined(separator: LiteralString, parts: Sequence[Sql]) -> Sql:
    """SQL texts one after the other, e.g. conditions with ` AND ` between them."""
    return Sql(separator.join(parts))


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
