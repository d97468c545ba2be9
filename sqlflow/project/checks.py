"""Checks as they are written: the items of `@checks`, for all kinds in `quality/kinds.py`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date

from sqlflow.core.checks import ArgumentValue, CheckSpec, Columns, Condition, Length, Number, OtherColumn, Values
from sqlflow.core.diagnostics import Severity
from sqlflow.core.names import ColumnRef, TableName
from sqlflow.project.snippets import Vocabulary, condition
from sqlflow.project.tokens import LexProblem, lex
from sqlflow.project.values import Given
from sqlflow.quality.forms import Argument, Check, Form
from sqlflow.quality.kinds import CHECKS, NOT_YET, instead_of
from sqlflow.quality.uniqueness import UNIQUE

_ALWAYS = ("where", "severity")


def read_checks(given: Given, vocabulary: Vocabulary) -> tuple[CheckSpec, ...]:
    """The items of a list of checks."""
    found = (_check(item, vocabulary) for item in given.items())
    return tuple(check for check in found if check is not None)


def kind_of(word: str, fail: Callable[[str, str, str | None], None]) -> Check | None:
    """The kind of check that a word names; else `fail` is told message, code and hint."""
    if word in CHECKS:
        return CHECKS[word]
    if word in NOT_YET:
        instead = "write it as `expression`, or as a query in tests/ that must return no rows"
        fail(f"the check `{word}` is not available yet", "not-available-yet", instead)
    else:
        fail(f"there is no check `{word}`", "unknown-check", instead_of(word))
    return None


def read_argument(form: Form, given: Given, vocabulary: Vocabulary) -> ArgumentValue | None:
    """An argument of a check; None when it is not written so, which is told."""
    return _READERS[form](given, vocabulary)


def _check(given: Given, vocabulary: Vocabulary) -> CheckSpec | None:
    if isinstance(given.value, str):
        check = kind_of(given.value, lambda *problem: given.fail(*problem))
        if check is not None:
            given.fail(f"`{check.kind}` needs arguments", "invalid-check", f"write `- {check.example}`")
        return None
    if not isinstance(given.value, dict):
        given.expected("a check", f"write `- {UNIQUE.example}`")
        return None
    entries = given.entries()
    if len(entries) != 1:
        hint = "write `- unique: {columns: [a, b], severity: warn}`"
        given.fail("a check is one key with its arguments", "invalid-check", hint)
        return None
    [(word, inside)] = entries.items()

    def fail(message: str, code: str, hint: str | None) -> None:
        inside.fail(message, code, hint, at_key=True)

    check = kind_of(word, fail)
    return None if check is None else read_check(check, inside, given, vocabulary)


def read_check(check: Check, inside: Given, item: Given, vocabulary: Vocabulary) -> CheckSpec | None:
    """A check of this kind. `inside`: its arguments; `item`: all of it."""
    before = len(item.problems)
    if isinstance(inside.value, dict):
        known = [name for argument in check.arguments for name in argument.names]
        required = [argument.name for argument in check.arguments if argument.required and not argument.also]
        fields = inside.fields((*known, *_ALWAYS), required)
    elif check.short:
        fields = {check.short: inside}
    else:
        inside.expected("a mapping", f"write `- {check.example}`")
        return None
    read = ((argument, _argument(argument, fields, vocabulary)) for argument in check.arguments)
    arguments = {argument.name: value for argument, value in read if value is not None}
    if len(item.problems) == before and any(a.required and a.name not in arguments for a in check.arguments):
        inside.fail("no column is named", "invalid-check", f"write `- {check.example}`")
    where = condition(fields["where"], vocabulary) if "where" in fields else None
    severity = _severity(fields["severity"]) if "severity" in fields else Severity.ERROR
    found = CheckSpec(check.kind, item.span, arguments, where, severity)
    if len(item.problems) == before and (wrong := check.wrong(found)) is not None:
        inside.fail(wrong.message, "invalid-check", f"write `- {check.example}`" if wrong.hinted else None)
    return found if len(item.problems) == before else None


def _argument(argument: Argument, fields: Mapping[str, Given], vocabulary: Vocabulary) -> ArgumentValue | None:
    """An argument under its name, or under both of its names."""
    found = [read_argument(argument.form, fields[name], vocabulary) for name in argument.names if name in fields]
    columns = [name for one in found if isinstance(one, Columns) for name in one.names]
    return Columns(tuple(columns)) if columns else next(iter(found), None)


# ---------------------------------------------------------------------- forms


def _columns(given: Given, _: Vocabulary) -> Columns:
    return Columns(given.names())


def _column(given: Given, _: Vocabulary) -> Columns:
    found = Columns(given.names())
    if len(found.names) > 1:
        given.expected("one column")
    return found


def _values(given: Given, _: Vocabulary) -> Values:
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


def _count(given: Given, _: Vocabulary) -> Number | None:
    number = given.integer()
    return None if number is None else Number(number)


def _number(given: Given, _: Vocabulary) -> Number | None:
    number = given.number()
    return None if number is None else Number(number)


def _sql(given: Given, vocabulary: Vocabulary) -> Condition | None:
    text = condition(given, vocabulary)
    return None if text is None else Condition(text)


def _length(given: Given, _: Vocabulary) -> Length | None:
    duration = given.duration()
    return None if duration is None else Length(duration)


def _other_column(given: Given, vocabulary: Vocabulary) -> OtherColumn | None:
    """`schema.table.column`."""
    if (text := given.text()) is None:
        return None
    names: list[str] = text.strip().split(".")
    if '"' in text:
        lexed = lex(text, vocabulary.dialect)
        tokens = [] if isinstance(lexed, LexProblem) else lexed.tokens
        dots = all(token.text == "." for token in tokens[1::2])
        names = [token.text for token in tokens[::2]] if dots else []
    names = [name.strip() for name in names]
    if len(names) != 3 or not all(names):
        given.fail(f"`{text}` is not a column of a table", "invalid-value", "write `schema.table.column`")
        return None
    schema, table, column = names
    return OtherColumn(ColumnRef(TableName(schema, table), column))


_READERS: Mapping[Form, Callable[[Given, Vocabulary], ArgumentValue | None]] = {
    Form.COLUMN: _column,
    Form.COLUMNS: _columns,
    Form.VALUES: _values,
    Form.COUNT: _count,
    Form.NUMBER: _number,
    Form.SQL: _sql,
    Form.OTHER_COLUMN: _other_column,
    Form.DURATION: _length,
}


def _severity(given: Given) -> Severity:
    word = given.choice("severity", ("error", "warn"))
    return Severity.WARNING if word == "warn" else Severity.ERROR
