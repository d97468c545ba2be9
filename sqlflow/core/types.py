"""Types of columns: parsed from the spelling of an engine, so that nobody compares parts of texts.

What a type is, is asked of its family and of the properties below; how an engine spells it stays with the column.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import StrEnum
from functools import lru_cache

from msgspec import Struct


class Family(StrEnum):
    BOOLEAN = "boolean"
    INTEGER = "integer"
    DECIMAL = "decimal"
    FLOAT = "float"
    TEXT = "text"
    BINARY = "binary"
    BITS = "bits"
    UUID = "uuid"
    DATE = "date"
    TIME = "time"
    TIMESTAMP = "timestamp"
    INTERVAL = "interval"
    JSON = "json"
    ENUM = "enum"
    LIST = "list"
    STRUCT = "struct"
    MAP = "map"
    UNION = "union"
    OTHER = "other"  # of the database's own, or one of which nothing more need be known: by its name


class ColumnType(Struct, frozen=True):
    """A type of a column. What does not apply to its family has its default."""

    family: Family
    name: str  # without sizes, in upper case; the whole spelling where it could not be read
    bits: int = 0  # of an integer or a floating-point number
    signed: bool = True
    precision: int | None = None  # of a decimal: None is any
    scale: int | None = None
    length: int | None = None  # of a text or of bits, the most; of a list, exactly so many
    padded: bool = False  # a text that is filled up with blanks
    digits: int = 6  # of a second
    zone: bool = False  # a time or timestamp with a time zone
    names: tuple[str, ...] = ()  # of the fields of a struct or union; of the values of an enum
    parts: tuple[ColumnType, ...] = ()  # the element of a list, key and value of a map, the fields of a struct or union

    @property
    def is_whole(self) -> bool:
        return self.family is Family.INTEGER

    @property
    def is_exact_number(self) -> bool:
        """Whether sums of its values do not depend on their order."""
        return self.family in (Family.INTEGER, Family.DECIMAL)

    @property
    def is_float(self) -> bool:
        return self.family is Family.FLOAT

    @property
    def decimal_digits(self) -> int | None:
        """To how many digits floating-point numbers are known that were added up in another order; None for other types."""
        return None if not self.is_float else 15 if self.bits == 64 else 6

    @property
    def is_number(self) -> bool:
        return self.is_exact_number or self.is_float

    @property
    def equal_is_same(self) -> bool:
        """Whether values that compare as equal are the same to the last bit, whatever the collation."""
        if self.family is Family.DECIMAL:
            return self.precision is not None  # without a scale there are 1.0 and 1.00
        return self.family in _EQUAL_IS_SAME

    @property
    def has_equality(self) -> bool:
        """Whether PostgreSQL can compare its values; a type of the database's own may hold others that it cannot."""
        if self.family is Family.LIST:
            return self.parts[0].has_equality
        return self.name not in _NO_EQUALITY and "." not in self.name

    @property
    def is_text(self) -> bool:
        return self.family is Family.TEXT

    @property
    def is_moment(self) -> bool:
        """Whether its values are days or points in time."""
        return self.family in (Family.DATE, Family.TIMESTAMP)

    @property
    def is_plain_moment(self) -> bool:
        """Whether it is a date, or a timestamp without a size and no finer than a microsecond."""
        digits = _DIGITS.get(self.name, 6)
        return self.family is Family.DATE or (self.family is Family.TIMESTAMP and self.digits == digits <= 6)

    @property
    def is_nested(self) -> bool:
        return self.family in (Family.LIST, Family.STRUCT, Family.MAP, Family.UNION)

    @property
    def is_list_of_plain(self) -> bool:
        """Whether it is a list of any length of what has no size and nothing inside."""
        if self.family is not Family.LIST or self.length is not None:
            return False
        element = self.parts[0]
        return not element.parts and not element.names and element.precision is None and element.length is None

    @property
    def has_float(self) -> bool:
        """Whether it is one of floating-point numbers, or has one inside."""
        return any(part.is_float for part in self.all())

    @property
    def has_text(self) -> bool:
        """Whether it is a text, or has one inside."""
        return any(part.is_text for part in self.all())

    @property
    def has_zone(self) -> bool:
        """Whether its values are, or may have in them, times with a zone."""
        return any(part.zone or part.name in _MAY_HAVE_ZONE for part in self.all())

    def all(self) -> Iterator[ColumnType]:
        """The type, and those that are inside of it."""
        yield self
        for part in self.parts:
            yield from part.all()


_EQUAL_IS_SAME = frozenset({Family.BOOLEAN, Family.INTEGER, Family.DATE, Family.TIMESTAMP, Family.UUID, Family.BINARY})
_NO_EQUALITY = frozenset({
    "JSON", "JSONPATH", "XML", "POINT", "LSEG", "BOX", "PATH", "POLYGON", "CIRCLE", "LINE", "PG_SNAPSHOT", "TXID_SNAPSHOT",
    "REFCURSOR", "GTSVECTOR",
})  # fmt: skip
_MAY_HAVE_ZONE = ("VARIANT", "TSTZRANGE", "TSTZMULTIRANGE")

_WHOLE = {
    "TINYINT": (8, True), "SMALLINT": (16, True), "INTEGER": (32, True), "BIGINT": (64, True), "HUGEINT": (128, True),
    "UTINYINT": (8, False), "USMALLINT": (16, False), "UINTEGER": (32, False), "UBIGINT": (64, False),
    "UHUGEINT": (128, False), "INT": (32, True),
}  # fmt: skip
_FLOATS = {"FLOAT": 32, "REAL": 32, "DOUBLE": 64, "DOUBLE PRECISION": 64}
_NAMED = {
    "BOOLEAN": Family.BOOLEAN, "BYTEA": Family.BINARY, "BLOB": Family.BINARY, "UUID": Family.UUID, "DATE": Family.DATE,
    "INTERVAL": Family.INTERVAL, "JSON": Family.JSON, "JSONB": Family.JSON,
}  # fmt: skip
_TEXTS = ("VARCHAR", "TEXT", "CHAR", "BPCHAR", "CHARACTER VARYING", "CHARACTER", "STRING")
_DIGITS = {"TIMESTAMP_S": 0, "TIMESTAMP_MS": 3, "TIMESTAMP_NS": 9, "TIME_NS": 9}

_ARRAY = re.compile(r"(.*)\[(\d*)\]", re.DOTALL)
_NESTED = re.compile(r"(STRUCT|MAP|UNION|ENUM)\s*\((.*)\)", re.DOTALL | re.IGNORECASE)
_MOMENT = re.compile(r"(TIMESTAMP|TIME)(_S|_MS|_NS)?(?:\((\d+)\))?( WITH TIME ZONE| WITHOUT TIME ZONE)?")
_SIZED = re.compile(r"([A-Z_][A-Z0-9_ ]*?)\s*(?:\(\s*(\d+)\s*(?:,\s*(-?\d+)\s*)?\))?")
_SHORT = {"TIMESTAMPTZ": "TIMESTAMP WITH TIME ZONE", "TIMETZ": "TIME WITH TIME ZONE", "NUMERIC": "DECIMAL"}


@lru_cache(maxsize=4096)
def parsed(spelled: str) -> ColumnType:
    """The type that DuckDB or PostgreSQL spells so.

    >>> parsed("DECIMAL(10,2)").scale, parsed("TIMESTAMP(3) WITH TIME ZONE").digits, parsed("VARCHAR[]").parts[0].is_text
    (2, 3, True)
    >>> parsed('STRUCT(a INTEGER, "b c" MAP(VARCHAR, DOUBLE[]))').names
    ('a', 'b c')
    """
    text = spelled.strip()
    if found := _ARRAY.fullmatch(text):
        length = int(found[2]) if found[2] else None
        return ColumnType(Family.LIST, "LIST", length=length, parts=(parsed(found[1]),))
    if found := _NESTED.fullmatch(text):
        return _nested(found[1].upper(), found[2], spelled)
    upper = text.upper()
    name, size, tail = upper.partition("(")
    upper = _SHORT.get(name, name) + size + tail
    if found := _MOMENT.fullmatch(upper):
        kind = found[1] + (found[2] or "")
        digits = int(found[3]) if found[3] else _DIGITS.get(kind, 6)
        zone = (found[4] or "").startswith(" WITH ")
        return ColumnType(Family(found[1].lower()), kind, digits=digits, zone=zone)
    return _simple(upper, spelled)


def _simple(upper: str, spelled: str) -> ColumnType:
    found = _SIZED.fullmatch(upper.partition(" COLLATE ")[0])
    if found is None:
        return ColumnType(Family.OTHER, spelled)
    name, size, scale = found[1], int(found[2]) if found[2] else None, int(found[3]) if found[3] else None
    if name in _WHOLE:
        bits, signed = _WHOLE[name]
        return ColumnType(Family.INTEGER, name, bits, signed)
    if name in _FLOATS:
        return ColumnType(Family.FLOAT, name, _FLOATS[name])
    if name == "DECIMAL":
        return ColumnType(Family.DECIMAL, name, precision=size, scale=None if size is None else scale or 0)
    if name in _TEXTS:
        padded = name in ("CHAR", "CHARACTER", "BPCHAR")
        return ColumnType(Family.TEXT, name, length=size, padded=padded)
    if name in ("BIT", "BIT VARYING"):
        return ColumnType(Family.BITS, name, length=size)
    if name.startswith("INTERVAL"):
        return ColumnType(Family.INTERVAL, name, digits=6 if size is None else size)
    if name in _NAMED:
        return ColumnType(_NAMED[name], name)
    if name == "ENUM":
        return ColumnType(Family.ENUM, name)
    return ColumnType(Family.OTHER, upper if size is None else spelled)


def _nested(word: str, inside: str, spelled: str) -> ColumnType:
    items = _split(inside)
    if word == "ENUM":
        return ColumnType(Family.ENUM, word, names=tuple(_unquoted(item) for item in items))
    if word == "MAP":
        if len(items) != 2:
            return ColumnType(Family.OTHER, spelled)
        return ColumnType(Family.MAP, word, parts=tuple(parsed(item) for item in items))
    fields = [_field(item) for item in items]
    return ColumnType(
        Family(word.lower()), word, names=tuple(name for name, _ in fields), parts=tuple(kind for _, kind in fields)
    )


def _split(text: str) -> list[str]:
    """The parts between commas that stand in no brackets and no quotes."""
    found, start, depth, quote = [], 0, 0, ""
    for at, letter in enumerate(text):
        if quote:
            quote = "" if letter == quote else quote
        elif letter in "\"'":
            quote = letter
        elif letter in "([":
            depth += 1
        elif letter in ")]":
            depth -= 1
        elif letter == "," and depth == 0:
            found.append(text[start:at].strip())
            start = at + 1
    return [*found, text[start:].strip()]


def _field(item: str) -> tuple[str, ColumnType]:
    """A field's name, quoted or not, and its type."""
    if item.startswith('"'):
        end = re.match(r'"(?:[^"]|"")*"', item)
        if end is not None:
            return _unquoted(end[0]), parsed(item[end.end() :])
    name, _, kind = item.partition(" ")
    return name, parsed(kind)


def _unquoted(text: str) -> str:
    quote = text[:1]
    return text[1:-1].replace(quote * 2, quote) if quote in ("'", '"') and text.endswith(quote) else text


# ---------------------------------------------------------------------- from one type to another


def widens(old: ColumnType, new: ColumnType) -> bool:
    """Whether each value of the old type is one of the new type: the cast never fails, different values stay different, equal
    ones equal, and their order is what it was.

    A day beyond the year 290,000 is no TIMESTAMP, and the cast of one fails. No other type is a text by this: it has another
    order.

    >>> widens(parsed("INTEGER"), parsed("BIGINT")), widens(parsed("BIGINT"), parsed("DOUBLE"))
    (True, False)
    """
    if old == new:
        return True
    match old.family, new.family:
        case Family.INTEGER, Family.INTEGER:
            return new.bits >= old.bits + (new.signed and not old.signed) and (new.signed or not old.signed)
        case Family.INTEGER, Family.DECIMAL:
            return new.precision is None or new.precision - (new.scale or 0) >= _digits_of(old)
        case Family.INTEGER, Family.FLOAT:
            return old.bits <= (32 if new.bits == 64 else 16)
        case Family.DECIMAL, Family.DECIMAL:
            return _holds(old, new)
        case Family.FLOAT, Family.FLOAT:
            return new.bits >= old.bits
        case Family.TEXT, Family.TEXT:
            return old.padded == new.padded and (
                new.length is None or (old.length is not None and new.length >= old.length)
            )
        case (Family.TIME, Family.TIME) | (Family.TIMESTAMP, Family.TIMESTAMP):
            return old.zone == new.zone and old.name == new.name and new.digits >= old.digits
        case Family.DATE, Family.TIMESTAMP:
            return not new.zone and new.digits <= 6
        case Family.LIST, Family.LIST:
            return new.length in (None, old.length) and widens(old.parts[0], new.parts[0])
        case (Family.STRUCT, Family.STRUCT) | (Family.MAP, Family.MAP):
            pairs = zip(old.parts, new.parts, strict=False)
            return old.names == new.names and len(old.parts) == len(new.parts) and all(widens(o, n) for o, n in pairs)
        case _:
            return False


def _digits_of(whole: ColumnType) -> int:
    return len(str(2 ** (whole.bits - whole.signed)))


def _holds(old: ColumnType, new: ColumnType) -> bool:
    if new.precision is None:
        return True
    if old.precision is None:
        return False
    before, behind = old.precision - (old.scale or 0), old.scale or 0
    return new.precision - (new.scale or 0) >= before and (new.scale or 0) >= behind
