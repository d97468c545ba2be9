"""Whether values are such as they may be."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from sqlflow.core.checks import CheckSpec
from sqlflow.core.sql import Sql, Value, compose
from sqlflow.quality.formats import FORMATS
from sqlflow.quality.forms import (
    COLUMN,
    LEAST,
    MAXIMUM,
    MINIMUM,
    MOST,
    PASSES,
    Argument,
    Category,
    Check,
    Form,
    Rows,
    Shape,
    needs_a_bound,
    outside,
    text_of,
    the_column,
)


def _another(check: CheckSpec) -> Sql:
    values = [Value(value) for value in check.values]
    return compose("{c} IS NOT NULL AND {c} NOT IN ({values})", c=the_column(check), values=values)


IN = Check(
    "in",
    Category.VALIDITY,
    (COLUMN, Argument("values", Form.VALUES, doc="the values that pass")),
    Rows(_another),
    example="in: {column: status, values: [open, closed]}",
    doc="the column has only these values",
    null=PASSES,
    behind="@in(open, closed)",
    everyday=True,
)


def _refused(check: CheckSpec) -> Sql:
    return compose("{c} IN ({values})", c=the_column(check), values=[Value(value) for value in check.values])


NOT_IN = Check(
    "not_in",
    Category.VALIDITY,
    (COLUMN, Argument("values", Form.VALUES, doc="the values that fail")),
    Rows(_refused),
    example="not_in: {column: status, values: [test, deleted]}",
    doc="the column has none of these values",
    null=PASSES,
    behind="@not_in(test, deleted)",
)


def _pattern(check: CheckSpec) -> Sql:
    # What an engine calls a match, of all of the text or of a part, is the same for a pattern of all of the text.
    pattern = check.word("pattern")
    whole = f"(?:.|\n)*(?:{pattern})(?:.|\n)*" if check.flag("anywhere") else pattern
    return compose("{v} ~ {p}", v=text_of(check), p=Value(f"^(?:{whole})$"))


def _unlike(check: CheckSpec) -> Sql:
    return compose("NOT ({matches})", matches=_pattern(check))


_PATTERN = (
    COLUMN,
    Argument("pattern", Form.PATTERN, doc="the pattern, in the database's own kind of regular expressions"),
    Argument("anywhere", Form.FLAG, required=False, default="all of it", doc="a part of the value is enough"),
)

MATCHES = Check(
    "matches",
    Category.VALIDITY,
    _PATTERN,
    Rows(_unlike),
    example="matches: {column: carrier, pattern: '[A-Z0-9]{2}'}",
    doc="the text of each value matches the pattern from its beginning to its end",
    null=PASSES,
    behind="@matches([A-Z0-9]{2})",
    everyday=True,
)

NOT_MATCHES = Check(
    "not_matches",
    Category.VALIDITY,
    _PATTERN,
    Rows(_pattern),
    example="not_matches: {column: name, pattern: '[0-9]', anywhere: true}",
    doc="the text of no value matches the pattern",
    null=PASSES,
    behind="@not_matches([0-9], anywhere=true)",
)


def _outside(check: CheckSpec) -> Sql:
    return outside(check, compose("{c}", c=the_column(check)))


RANGE = Check(
    "range",
    Category.VALIDITY,
    (
        COLUMN,
        MINIMUM,
        MAXIMUM,
        Argument("exclusive", Form.FLAG, required=False, default="`min` and `max` pass", doc="`min` and `max` fail"),
    ),
    Rows(_outside),
    example="range: {column: delay, min: -60, max: 1440}",
    doc="each value is at least `min` and at most `max`; SQL may name another column",
    null=PASSES,
    behind="@range(min=0, max=10)",
    wrong=needs_a_bound,
    everyday=True,
)


def _length(check: CheckSpec) -> Sql:
    return outside(check, compose("length({v})", v=text_of(check)))


LENGTH = Check(
    "length",
    Category.VALIDITY,
    (COLUMN, LEAST, MOST),
    Rows(_length),
    example="length: {column: carrier, min: 2, max: 2}",
    doc="the text of each value has at least `min` and at most `max` characters",
    null=PASSES,
    behind="@length(2, 2)",
    wrong=needs_a_bound,
    everyday=True,
)


def _malformed(check: CheckSpec) -> Sql:
    return compose("NOT ({holds})", holds=FORMATS[check.word("format")](text_of(check)))


FORMAT = Check(
    "format",
    Category.VALIDITY,
    (COLUMN, Argument("format", Form.WORD, choices=tuple(FORMATS), doc="what each value is")),
    Rows(_malformed),
    example="format: {column: contact, format: email}",
    doc="each value is an email address, a UUID, and so on",
    null=PASSES,
    behind="@format(email)",
    everyday=True,
)


def _of_another_type(check: CheckSpec, columns: Mapping[str, str], spelled: Callable[[str], str]) -> tuple[str, ...]:
    name = check.named("column")[0]
    found = columns.get(name.lower(), "")
    wanted = spelled(check.word("type"))
    return () if found == wanted else (f"`{name}` is {found}, and not {wanted}",)


TYPE = Check(
    "type",
    Category.VALIDITY,
    (COLUMN, Argument("type", Form.TYPE, doc="the type, as the database or the project's SQL calls it")),
    Shape(_of_another_type),
    example="type: {column: flight_date, type: DATE}",
    doc="the column has this type; SQLFlow sees that when it compiles the project, and reads no rows",
    behind="@type(DATE)",
    everyday=True,
)

CHECKS = (IN, NOT_IN, MATCHES, NOT_MATCHES, RANGE, LENGTH, FORMAT, TYPE)
