"""Names of tables and columns. Compared without regard to case, shown as they were written."""

from __future__ import annotations

import hashlib
import re

from msgspec import Struct

LONGEST = 63
"""Bytes that every engine keeps of a name: PostgreSQL cuts what is longer."""


def beside(name: str, ending: str) -> str:
    """A name for something that belongs to a table of that name: short enough to be kept whole, and of no other table."""
    if len(f"{name}{ending}".encode()) <= LONGEST:
        return f"{name}{ending}"
    hashed = hashlib.blake2b(name.lower().encode(), digest_size=8).hexdigest()
    room = LONGEST - len(ending.encode()) - len(hashed) - 1
    return f"{name.encode()[:room].decode(errors='ignore')}_{hashed}{ending}"


_PART = r'(?:"(?:[^"]|"")+"|[^".]+)'
_WRITTEN = re.compile(rf"{_PART}(?:\.{_PART}){{0,2}}")


def unquoted(text: str) -> str:
    """A name as SQL writes it, without its quotes; any other text as it is.

    >>> unquoted('m."My Model"'), unquoted('"a.b"'), unquoted("+m.orders")
    ('m.My Model', 'a.b', '+m.orders')
    """
    if '"' not in text or not _WRITTEN.fullmatch(text):
        return text
    return re.sub('"((?:[^"]|"")+)"', lambda quoted: quoted[1].replace('""', '"'), text)


class TableName(Struct, frozen=True, eq=False):
    """A table, view or seed in the target database: `schema.name`."""

    schema: str
    name: str

    @property
    def key(self) -> tuple[str, str]:
        """What two spellings of one name have in common."""
        return self.schema.lower(), self.name.lower()

    @property
    def id(self) -> str:
        """The name under which it is remembered: equal for all spellings."""
        return f"{self.schema}.{self.name}".lower()

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        return isinstance(other, TableName) and self.key == other.key

    def __ne__(self, other: object) -> bool:  # a Struct has its own, which `__eq__` does not change
        return not self == other

    def __hash__(self) -> int:
        return hash(self.name.lower())

    def __lt__(self, other: TableName) -> bool:
        return self.key < other.key

    def __str__(self) -> str:
        return f"{self.schema}.{self.name}"

    @classmethod
    def parse(cls, text: str, default_schema: str = "main") -> TableName:
        """`"staging.flights"` or `"flights"`; the first dot separates.

        >>> TableName.parse("orders")
        TableName(schema='main', name='orders')
        """
        schema, dot, name = text.partition(".")
        return cls(schema, name) if dot else cls(default_schema, schema)


class ColumnRef(Struct, frozen=True, eq=False):
    """A column of a table, by name."""

    table: TableName
    column: str

    @property
    def key(self) -> tuple[str, str, str]:
        return (*self.table.key, self.column.lower())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ColumnRef) and self.key == other.key

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return hash(self.key)

    def __lt__(self, other: ColumnRef) -> bool:
        return self.key < other.key

    def __str__(self) -> str:
        return f"{self.table}.{self.column}"
