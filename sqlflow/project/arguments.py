"""Arguments of checks as they are written: a reader for each `Form` of `quality/forms.py`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import date

from sqlflow.core.checks import (
    Aggregate,
    ArgumentValue,
    Columns,
    Condition,
    Flag,
    Length,
    Number,
    OtherColumn,
    OtherTable,
    Tolerance,
    Types,
    Values,
    Word,
)
from sqlflow.core.intervals import Duration
from sqlflow.core.names import ColumnRef, TableName
from sqlflow.project.snippets import Vocabulary, condition, sql_type
from sqlflow.project.tokens import LexProblem, lex
from sqlflow.project.values import Given
from sqlflow.quality.forms import Argument, Form


def read_argument(argument: Argument, given: Given, vocabulary: Vocabulary) -> ArgumentValue | None:
    """An argument of a check; None when it is not written so, which is told."""
    return _READERS[argument.form](given, vocabulary, argument)


def _columns(given: Given, *_: object) -> Columns:
    return Columns(given.names())


def _column(given: Given, *_: object) -> Columns:
    found = Columns(given.names())
    if len(found.names) > 1:
        given.expected("one column")
    return found


def _values(given: Given, *_: object) -> Values:
    found: list[object] = []
    for item in given.items():
        if isinstance(item.value, str | int | float | date):
            found.append(item.value)
        elif item.value is None:
            item.expected("a value", "NULL passes this check; add `not_null` to refuse it")
        else:
            item.expected("a value", "put text with special characters in quotes")
    if given.value == []:
        given.expected("one value or more")
    return Values(tuple(found))


def _count(given: Given, *_: object) -> Number | None:
    number = given.integer()
    return None if number is None else Number(number)


def _number(given: Given, *_: object) -> Number | None:
    number = given.number()
    return None if number is None else Number(number)


_PERCENT = re.compile(r"\s*(\d+(?:\.\d+)?)\s*%\s*")


def _share(given: Given, *_: object) -> Number | None:
    if isinstance(given.value, str) and (match := _PERCENT.fullmatch(given.value)):
        number: int | float | None = float(match[1]) / 100
    else:
        number = given.number()
    if number is not None and not 0 <= number <= 1:
        given.expected("a share from 0 to 1, or from 0% to 100%")
    return None if number is None else Number(number)


def _sql(given: Given, vocabulary: Vocabulary, _: Argument) -> Condition | None:
    return condition(given, vocabulary)


def _aggregate(given: Given, vocabulary: Vocabulary, _: Argument) -> Aggregate | None:
    found = condition(given, vocabulary)
    return None if found is None else Aggregate(found.sql, written=found.written)


def _other_aggregate(given: Given, vocabulary: Vocabulary, _: Argument) -> Aggregate | None:
    found = condition(given, vocabulary)
    return None if found is None else Aggregate(found.sql, other=True, written=found.written)


def _bound(given: Given, vocabulary: Vocabulary, argument: Argument) -> ArgumentValue | None:
    if isinstance(given.value, bool) or not isinstance(given.value, int | float | date):
        return _sql(given, vocabulary, argument)
    return Values((given.value,)) if isinstance(given.value, date) else Number(given.value)


def _step(given: Given, vocabulary: Vocabulary, argument: Argument) -> ArgumentValue | None:
    if isinstance(given.value, str) and re.fullmatch(r"\d+", given.value):  # in brackets all is text
        return Number(int(given.value))
    return _length(given, vocabulary, argument) if isinstance(given.value, str) else _number(given)


def _length(given: Given, *_: object) -> Length | None:
    duration: Duration | None = given.duration()
    return None if duration is None else Length(duration)


def _word(given: Given, _: Vocabulary, argument: Argument) -> Word | None:
    found = given.choice(argument.name, argument.choices)
    return None if found is None else Word(found)


def _pattern(given: Given, *_: object) -> Word | None:
    found = given.text()
    return None if found is None else Word(found)


def _type(given: Given, vocabulary: Vocabulary, _: Argument) -> Word | None:
    found = sql_type(given, vocabulary.dialect)
    return None if found is None else Word(found)


def _types(given: Given, vocabulary: Vocabulary, _: Argument) -> Types | None:
    if isinstance(given.value, list):
        return Types(dict.fromkeys(given.names(), ""))
    found = {name: sql_type(inside, vocabulary.dialect) or "" for name, inside in given.entries().items()}
    if given.value == {}:
        given.expected("one column or more")
    return Types(found)


def _flag(given: Given, *_: object) -> Flag | None:
    found = given.boolean()
    return None if found is None else Flag(found)


def _tolerance(given: Given, *_: object) -> Tolerance | None:
    if isinstance(given.value, str) and (match := _PERCENT.fullmatch(given.value)):
        return Tolerance(float(match[1]), percent=True)
    number = given.number()
    if number is not None and number < 0:
        given.expected("a number of at least 0")
    return None if number is None else Tolerance(number)


def _names(given: Given, vocabulary: Vocabulary, what: str, example: str) -> list[str] | None:
    """The names of a text with dots between them."""
    if (text := given.text()) is None:
        return None
    names: list[str] = text.strip().split(".")
    if '"' in text:
        lexed = lex(text, vocabulary.dialect)
        tokens = [] if isinstance(lexed, LexProblem) else lexed.tokens
        dots = all(token.text == "." for token in tokens[1::2])
        names = [token.text for token in tokens[::2]] if dots else []
    names = [name.strip() for name in names]
    if len(names) != example.count(".") + 1 or not all(names):
        given.fail(f"`{text}` is not {what}", "invalid-value", f"write `{example}`")
        return None
    return names


def _other_column(given: Given, vocabulary: Vocabulary, _: Argument) -> OtherColumn | None:
    """`schema.table.column`."""
    if (names := _names(given, vocabulary, "a column of a table", "schema.table.column")) is None:
        return None
    schema, table, column = names
    return OtherColumn(ColumnRef(TableName(schema, table), column))


def _table(given: Given, vocabulary: Vocabulary, _: Argument) -> OtherTable | None:
    names = _names(given, vocabulary, "a table", "schema.table")
    return None if names is None else OtherTable(TableName(*names))


_READERS: Mapping[Form, Callable[[Given, Vocabulary, Argument], ArgumentValue | None]] = {
    Form.COLUMN: _column,
    Form.COLUMNS: _columns,
    Form.VALUES: _values,
    Form.COUNT: _count,
    Form.NUMBER: _number,
    Form.SHARE: _share,
    Form.SQL: _sql,
    Form.AGGREGATE: _aggregate,
    Form.OTHER_AGGREGATE: _other_aggregate,
    Form.BOUND: _bound,
    Form.STEP: _step,
    Form.OTHER_COLUMN: _other_column,
    Form.TABLE: _table,
    Form.DURATION: _length,
    Form.PATTERN: _pattern,
    Form.WORD: _word,
    Form.TYPE: _type,
    Form.TYPES: _types,
    Form.FLAG: _flag,
    Form.TOLERANCE: _tolerance,
    Form.TEXT: _pattern,
}
