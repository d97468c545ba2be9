"""Checks as they are written, for all kinds in `quality/kinds.py`: items of `@checks`, and words behind a column."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from sqlflow.core.checks import ArgumentValue, CheckSpec, Columns, Limit
from sqlflow.core.diagnostics import Diagnostic, Severity
from sqlflow.core.source import Span
from sqlflow.core.text import Edit, MappedText
from sqlflow.project import yaml
from sqlflow.project.arguments import read_argument
from sqlflow.project.snippets import Vocabulary, condition
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


def kind_of(word: str, vocabulary: Vocabulary, fail: Callable[[str, str, str | None], None]) -> Check | None:
    """The kind of check that a word names; else `fail` is told message, code and hint."""
    if word in CHECKS:
        return CHECKS[word]
    if word in vocabulary.checks:
        return vocabulary.checks[word].check
    if word in NOT_YET:
        instead = "write it as `expression`, or as a query in tests/ that must return no rows"
        fail(f"the check `{word}` is not available yet", "not-available-yet", instead)
    else:
        fail(f"there is no check `{word}`", "unknown-check", instead_of(word, vocabulary.checks))
    return None


def _check(given: Given, vocabulary: Vocabulary) -> CheckSpec | None:
    if isinstance(given.value, str):
        check = kind_of(given.value, vocabulary, lambda *problem: given.fail(*problem))
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

    check = kind_of(word, vocabulary, fail)
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
    elif column is not None and check.brackets:
        fields = {check.brackets[0].name: inside}
    else:
        inside.expected("a mapping", f"write `- {check.example}`")
        return None
    return _read(check, fields, inside, item.span, vocabulary, column, before)


def read_column_checks(given: Given, column: str, vocabulary: Vocabulary) -> tuple[CheckSpec, ...]:
    """Checks of a column that YAML declares: `[not_null, {range: {min: 0}}, {in: [a, b]}]`."""
    found = (_column_check(item, column, vocabulary) for item in given.one_or_more())
    return tuple(check for check in found if check is not None)


def _column_check(given: Given, column: str, vocabulary: Vocabulary) -> CheckSpec | None:
    word, inside, at_key = given.value, None, False
    if isinstance(given.value, dict) and len(given.value) == 1:
        [(word, inside)] = given.entries().items()
        at_key = True
    if not isinstance(word, str):
        given.expected("a check", "write `not_null`, or `range: {min: 0}`")
        return None

    def fail(message: str, code: str, hint: str | None) -> None:
        (inside or given).fail(message, code, hint, at_key)

    if (check := kind_of(word, vocabulary, fail)) is None:
        return None
    if check.about is None:
        fail(f"`{check.kind}` is not about one column", "invalid-check", "put it into `checks` of the table")
        return None
    if inside is not None:
        return read_check(check, inside, given, vocabulary, column)
    if any(argument.required for argument in check.brackets):
        fail(f"`{check.kind}` needs arguments", "invalid-check", f"write `{check.example}`, without its column")
        return None
    return _read(check, {}, given, given.span, vocabulary, column, len(given.problems))


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
    if len(problems) == before and (own := vocabulary.checks.get(check.kind)) is not None:
        found = own.filled(found, vocabulary, inside)
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
    where = condition(fields["where"], vocabulary) if "where" in fields else None
    return CheckSpec(
        found.kind,
        found.span,
        found.arguments,
        where.sql if where is not None else None,
        severity,
        limits.get("warn_if"),
        limits.get("error_if"),
        (name or "").strip(),
        fields["tags"].names() if "tags" in fields else (),
        description or "",
        where_written=where.written if where is not None else None,
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
    found = [read_argument(argument, fields[name], vocabulary) for name in argument.names if name in fields]
    columns = [name for one in found if isinstance(one, Columns) for name in one.names]
    return Columns(tuple(columns)) if columns else next(iter(found), None)


def _severity(given: Given) -> Severity:
    word = given.choice("severity", ("error", "warn"))
    return Severity.WARNING if word == "warn" else Severity.ERROR
