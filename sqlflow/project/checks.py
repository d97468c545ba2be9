"""Checks as they are written, for all kinds in `quality/kinds.py`: items of `@checks`, and words behind a column."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import date

from sqlflow.core.checks import (
    Aggregate,
    ArgumentValue,
    CheckSpec,
    Columns,
    Condition,
    Flag,
    Length,
    Limit,
    Number,
    OtherColumn,
    OtherTable,
    Tolerance,
    Types,
    Values,
    Word,
)
from sqlflow.core.diagnostics import Diagnostic, Severity
from sqlflow.core.intervals import Duration
from sqlflow.core.names import ColumnRef, TableName
from sqlflow.core.source import Span
from sqlflow.core.text import Edit, MappedText
from sqlflow.project import yaml
from sqlflow.project.snippets import Vocabulary, condition, sql_type
from sqlflow.project.tokens import LexProblem, lex
from sqlflow.project.values import Given, root_of
from sqlflow.quality.forms import Argument, Check, Form, Query, Total
from sqlflow.quality.kinds import CHECKS, NOT_YET, instead_of
from sqlflow.quality.uniqueness import UNIQUE

_ALWAYS = ("where", "severity", "warn_if", "error_if", "name", "tags", "description")
"""What a check of every kind may have."""


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


def read_check(
    check: Check, inside: Given, item: Given, vocabulary: Vocabulary, column: str | None = None
) -> CheckSpec | None:
    """A check of this kind. `inside`: its arguments; `item`: all of it; `column`: the one that it is about, when that is told by
    its place."""
    before = len(item.problems)
    if isinstance(inside.value, dict):
        fields = _fields(check, inside, column)
    elif check.short and column is None:
        fields = {check.short: inside}
    else:
        inside.expected("a mapping", f"write `- {check.example}`")
        return None
    return _read(check, fields, inside, item.span, vocabulary, column, before)


def read_behind(
    check: Check,
    text: MappedText,
    inside: tuple[int, int] | None,
    span: Span,
    column: str,
    vocabulary: Vocabulary,
    problems: list[Diagnostic],
) -> CheckSpec | None:
    """A check behind a column. `inside`: what stands in its brackets, as characters of the text."""
    before, label = len(problems), f"@{check.kind}"
    whole = Given(None, label, span, problems)
    begin, end = inside or (0, 0)
    first_named, equals = _named(text.text[begin:end], check)
    named, positional = begin + first_named, text.text[begin : begin + first_named].strip().removesuffix(",").strip()
    required = any(argument.required for argument in check.brackets)
    if not positional and named >= end and required:
        problems.append(Diagnostic("invalid-check", f"`{label}` needs arguments", span, f"write `{check.behind}`"))
        return None
    if positional and not check.brackets:
        hint = "for several columns write it into `@checks`"
        problems.append(Diagnostic("invalid-check", f"`{label}` takes no arguments here", span, hint))
        return None
    fields: dict[str, Given] = {}
    if named < end:
        edits = [Edit(begin + place, begin + place + 1, ": ") for place in equals]
        document = yaml.load(text.edit([Edit(0, named, "{"), *edits, Edit(end, len(text.text), "}")]), problems)
        if document is None:
            return None
        fields = _fields(check, root_of(document, problems, label), column, lenient=bool(positional))
    if positional:
        fields |= _positional(check, positional, text, (begin, named), whole)
    if len(problems) > before:
        return None
    return _read(check, fields, whole, span, vocabulary, column, before)


_NAMED = re.compile(r"\s*([a-z_]\w*)\s*(=)(?!=)")
_RAW = (Form.SQL, Form.OTHER_COLUMN, Form.TABLE, Form.PATTERN, Form.TYPE, Form.STEP, Form.DURATION)
"""Forms of which all that stands in brackets is one, commas and all."""


def _named(text: str, check: Check) -> tuple[int, list[int]]:
    """Where in a text the first `name=` begins an item, and where the signs of all of them are."""
    known = {*_ALWAYS, *(name for argument in check.arguments for name in argument.names)}
    strict = bool(check.brackets) and check.brackets[0].form in _RAW
    first, equals = len(text), list[int]()
    depth, quote, fresh = 0, "", True
    for index, character in enumerate(text):
        if fresh and (match := _NAMED.match(text, index)) is not None and (match[1] in known or not strict):
            first = min(first, index)
            equals.append(match.start(2))
        fresh = False
        if quote:
            quote = "" if character == quote else quote
        elif character in "'\"":
            quote = character
        elif character in "([{":
            depth += 1
        elif character in ")]}":
            depth -= 1
        elif character == "," and depth == 0:
            fresh = True
    return first, equals


def _positional(check: Check, written: str, text: MappedText, place: tuple[int, int], whole: Given) -> dict[str, Given]:
    """What stands in brackets without a name."""
    first, *_ = check.brackets
    if first.form in _RAW:
        if len(written) > 1 and written[0] == written[-1] and written[0] in "'\"":
            written = written[1:-1].replace(written[0] * 2, written[0])
        return {first.name: Given("".join(written.splitlines()), whole.label, whole.place, whole.problems)}
    stop = place[0] + len(text.text[place[0] : place[1]].rstrip().removesuffix(","))
    edits = [Edit(0, place[0], "["), Edit(stop, len(text.text), "]")]
    document = yaml.load(text.edit(edits), whole.problems)
    if document is None:
        return {}
    listed = root_of(document, whole.problems, whole.label)
    if first.form is Form.VALUES:
        return {first.name: listed}
    items = listed.items()
    if len(items) > len(check.brackets):
        whole.fail("has more arguments than there are", "invalid-check", f"write `{check.behind}`")
        return {}
    return {argument.name: item for argument, item in zip(check.brackets, items, strict=False)}


def _fields(check: Check, inside: Given, column: str | None, *, lenient: bool = False) -> dict[str, Given]:
    """The arguments of a mapping. `lenient`: some of them are given elsewhere."""
    told = check.about if column is not None else None
    arguments = [argument for argument in check.arguments if argument is not told]
    known = [name for argument in arguments for name in argument.names]
    required = [argument.name for argument in arguments if argument.required and not argument.also]
    return inside.fields((*known, *_ALWAYS), () if lenient else required)


def _read(
    check: Check,
    fields: Mapping[str, Given],
    inside: Given,
    span: Span,
    vocabulary: Vocabulary,
    column: str | None,
    before: int,
) -> CheckSpec | None:
    """The check with these arguments; None where something is wrong, of which the problems behind `before` tell."""
    problems = inside.problems
    arguments: dict[str, ArgumentValue] = {}
    for argument in check.arguments:
        value: ArgumentValue | None = None
        if column is not None and argument is check.about:
            value = Columns((column,))
        else:
            value = _argument(argument, fields, vocabulary)
        if value is not None:
            arguments[argument.name] = value
    hint = f"write `{check.behind}`" if column is not None else f"write `- {check.example}`"
    if len(problems) == before and any(a.required and a.name not in arguments for a in check.arguments):
        inside.fail("no column is named", "invalid-check", hint)
    found = _modified(CheckSpec(check.kind, span, arguments), check, fields, vocabulary)
    if len(problems) == before and (wrong := check.wrong(found)) is not None:
        inside.fail(wrong.message, "invalid-check", hint if wrong.hinted else None)
    return found if len(problems) == before else None


def _modified(found: CheckSpec, check: Check, fields: Mapping[str, Given], vocabulary: Vocabulary) -> CheckSpec:
    """The check with what every kind may have."""
    severity = _severity(fields["severity"]) if "severity" in fields else Severity.ERROR
    limits = {word: _limit(fields[word], check) for word in ("warn_if", "error_if") if word in fields}
    if severity is Severity.WARNING and "error_if" in fields:
        fields["error_if"].fail("`severity: warn` never blocks", "invalid-check", "keep one of them")
    if "severity" in fields and severity is Severity.ERROR and "warn_if" in fields and "error_if" not in fields:
        hint = 'add `error_if: "> 100"`, or leave `severity` out: then it is only told'
        fields["severity"].fail("with `warn_if` alone nothing blocks", "invalid-check", hint)
    name = fields["name"].text() if "name" in fields else None
    description = fields["description"].text() if "description" in fields else None
    return CheckSpec(
        found.kind,
        found.span,
        found.arguments,
        condition(fields["where"], vocabulary) if "where" in fields else None,
        severity,
        limits.get("warn_if"),
        limits.get("error_if"),
        (name or "").strip(),
        fields["tags"].names() if "tags" in fields else (),
        description or "",
    )


_LIMIT = re.compile(r"\s*(>=?)\s*(\d+(?:\.\d+)?)\s*(%|rows?)?\s*")


def _limit(given: Given, check: Check) -> Limit | None:
    hint = 'write `"> 10"` or `"> 1%"`'
    if not check.has_share and not (isinstance(check.judge, Query)):
        how = "has ages of its own" if isinstance(check.judge, Total) and check.judge.stages else "has no failing rows"
        given.fail(f"`{check.kind}` {how}", "invalid-check", "leave it out, or write `severity: warn`")
        return None
    match = _LIMIT.fullmatch(given.value) if isinstance(given.value, str) else None
    if match is None:
        given.expected("how many rows are too many", hint)
        return None
    percent = match[3] == "%"
    if percent and not check.has_share:
        given.fail(f"`{check.kind}` has no share of rows", "invalid-check", 'write a number of them: `"> 10"`')
        return None
    amount = float(match[2]) if "." in match[2] else int(match[2])
    if percent and amount > 100:
        given.fail("there is no share above 100%", "invalid-value", hint)
        return None
    return Limit(amount, percent, match[1] == ">=")


def _argument(argument: Argument, fields: Mapping[str, Given], vocabulary: Vocabulary) -> ArgumentValue | None:
    """An argument under its name, or under both of its names."""
    reader = _READERS[argument.form]
    found = [reader(fields[name], vocabulary, argument) for name in argument.names if name in fields]
    columns = [name for one in found if isinstance(one, Columns) for name in one.names]
    return Columns(tuple(columns)) if columns else next(iter(found), None)


# ---------------------------------------------------------------------- forms


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
    text = condition(given, vocabulary)
    return None if text is None else Condition(text)


def _aggregate(given: Given, vocabulary: Vocabulary, _: Argument) -> Aggregate | None:
    text = condition(given, vocabulary)
    return None if text is None else Aggregate(text)


def _other_aggregate(given: Given, vocabulary: Vocabulary, _: Argument) -> Aggregate | None:
    text = condition(given, vocabulary)
    return None if text is None else Aggregate(text, other=True)


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


def _severity(given: Given) -> Severity:
    word = given.choice("severity", ("error", "warn"))
    return Severity.WARNING if word == "warn" else Severity.ERROR
