"""Checks: the items of `@checks`, and the `@words` in the comments of columns."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date
from difflib import get_close_matches

from msgspec import Struct

from sqlflow.core.diagnostics import Severity, did_you_mean
from sqlflow.core.model import CheckKind, CheckSpec
from sqlflow.project.snippets import Vocabulary, condition
from sqlflow.project.tokens import LexProblem, lex
from sqlflow.project.values import Given

NOT_YET = frozenset(
    [
        "missing",
        "matches",
        "range",
        "type",
        "compare",
        "sum",
        "avg",
        "quantile",
        "schema",
        "contract",
        "freshness",
        "anomaly",
    ]
)

_ALWAYS = ("where", "severity")


class CheckForm(Struct, frozen=True):
    """How a check is written. `short`: the one argument that may stand alone. `doc`: one line for the reference."""

    arguments: tuple[str, ...]
    required: tuple[str, ...]
    short: str | None
    example: str
    doc: str


CHECKS: Mapping[CheckKind, CheckForm] = {
    CheckKind.NOT_NULL: CheckForm(
        ("columns", "column"),
        (),
        "columns",
        "not_null: [flight_date, carrier]",
        "no row has NULL in one of the columns",
    ),
    CheckKind.UNIQUE: CheckForm(
        ("columns", "column"),
        (),
        "columns",
        "unique: [flight_date, carrier]",
        "no two rows have the same values in the columns",
    ),
    CheckKind.IN: CheckForm(
        ("column", "values"),
        ("column", "values"),
        None,
        "in: {column: status, values: [open, closed]}",
        "the column has only these values",
    ),
    CheckKind.REFERENCES: CheckForm(
        ("column", "to"),
        ("column", "to"),
        None,
        "references: {column: carrier, to: seeds.airlines.carrier}",
        "each value of the column stands in the other table's column",
    ),
    CheckKind.EXPRESSION: CheckForm(
        ("sql",),
        ("sql",),
        "sql",
        'expression: "avg_delay < 500"',
        "the condition is not false for any row",
    ),
    CheckKind.ROW_COUNT: CheckForm(
        ("min", "max"),
        (),
        None,
        "row_count: {min: 1}",
        "the table has at least `min` and at most `max` rows",
    ),
}


def read_checks(given: Given, vocabulary: Vocabulary) -> tuple[CheckSpec, ...]:
    """The items of a list of checks."""
    found = (_check(item, vocabulary) for item in given.items())
    return tuple(check for check in found if check is not None)


def check_kind(word: str, fail: Callable[[str, str, str | None], None]) -> CheckKind | None:
    """The kind of check that a word names; else `fail` is told message, code and hint."""
    if word in set(CheckKind):
        return CheckKind(word)
    if word in NOT_YET:
        instead = "write it as `expression`, or as a query in tests/ that must return no rows"
        fail(f"the check `{word}` is not available yet", "not-available-yet", instead)
        return None
    hint = near_check(word) or did_you_mean(word, CheckKind)
    known = "checks: " + ", ".join(f"`{kind}`" for kind in CheckKind)
    fail(f"there is no check `{word}`", "unknown-check", hint or known)
    return None


def near_check(word: str) -> str | None:
    """A hint when a word is the name of a check with a slip in it."""
    squeezed = {kind.value.replace("_", ""): kind.value for kind in CheckKind}
    bare = word.lower().replace("_", "").replace("-", "")
    near = [bare] if bare in squeezed else get_close_matches(bare, squeezed, n=1, cutoff=0.8)
    return f"did you mean `{squeezed[near[0]]}`?" if near else None


def reference(given: Given, dialect: str) -> tuple[str, ...] | None:
    """`schema.table.column` as its three names."""
    if (text := given.text()) is None:
        return None
    names: list[str] = text.strip().split(".")
    if '"' in text:
        lexed = lex(text, dialect)
        tokens = [] if isinstance(lexed, LexProblem) else lexed.tokens
        dots = all(token.text == "." for token in tokens[1::2])
        names = [token.text for token in tokens[::2]] if dots else []
    names = [name.strip() for name in names]
    if len(names) != 3 or not all(names):
        given.fail(f"`{text}` is not a column of a table", "invalid-value", "write `schema.table.column`")
        return None
    return tuple(names)


def _check(given: Given, vocabulary: Vocabulary) -> CheckSpec | None:
    if isinstance(given.value, str):
        kind = check_kind(given.value, lambda *problem: given.fail(*problem))
        if kind is not None:
            given.fail(f"`{kind}` needs arguments", "invalid-check", f"write `- {CHECKS[kind].example}`")
        return None
    if not isinstance(given.value, dict):
        given.expected("a check", f"write `- {CHECKS[CheckKind.UNIQUE].example}`")
        return None
    entries = given.entries()
    if len(entries) != 1:
        hint = "write `- unique: {columns: [a, b], severity: warn}`"
        given.fail("a check is one key with its arguments", "invalid-check", hint)
        return None
    [(word, inside)] = entries.items()

    def fail(message: str, code: str, hint: str | None) -> None:
        inside.fail(message, code, hint, at_key=True)

    kind = check_kind(word, fail)
    return None if kind is None else _read(kind, inside, given, vocabulary)


def _read(kind: CheckKind, inside: Given, item: Given, vocabulary: Vocabulary) -> CheckSpec | None:
    form = CHECKS[kind]
    before = len(item.problems)
    if isinstance(inside.value, dict):
        fields = inside.fields((*form.arguments, *_ALWAYS), form.required)
    elif form.short is not None:
        fields = {form.short: inside}
    else:
        inside.expected("a mapping", f"write `- {form.example}`")
        return None
    columns: tuple[str, ...] = ()
    for key in ("columns", "column"):
        if key in fields:
            columns += fields[key].names()
    if "columns" in form.arguments and not columns and len(item.problems) == before:
        inside.fail("no column is named", "invalid-check", f"write `- {form.example}`")
    if "columns" not in form.arguments and len(columns) > 1:
        fields["column"].expected("one column")
    to = reference(fields["to"], vocabulary.dialect) if "to" in fields else None
    values = _values(fields["values"]) if "values" in fields else ()
    sql = condition(fields["sql"], vocabulary) if "sql" in fields else None
    where = condition(fields["where"], vocabulary) if "where" in fields else None
    minimum = fields["min"].integer() if "min" in fields else None
    maximum = fields["max"].integer() if "max" in fields else None
    severity = _severity(fields["severity"]) if "severity" in fields else Severity.ERROR
    if kind is CheckKind.ROW_COUNT and len(item.problems) == before:
        if minimum is None and maximum is None:
            inside.fail("neither `min` nor `max` is given", "invalid-check", f"write `- {form.example}`")
        elif minimum is not None and maximum is not None and minimum > maximum:
            inside.fail("`min` is greater than `max`", "invalid-check")
    if len(item.problems) > before:
        return None
    return CheckSpec(kind, item.span, columns, values, to or (), sql, minimum, maximum, where, severity)


def _values(given: Given) -> tuple[object, ...]:
    found: list[object] = []
    for item in given.items():
        if isinstance(item.value, str | int | float | date):
            found.append(item.value)
        else:
            item.expected("a value", "NULL passes this check; add `not_null` to refuse it")
    if given.value == []:
        given.expected("one value or more")
    return tuple(found)


def _severity(given: Given) -> Severity:
    word = given.choice("severity", ("error", "warn"))
    return Severity.WARNING if word == "warn" else Severity.ERROR
