"""SQL that stands in YAML: conditions, statements and types, with variables and macros put in."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Protocol

from msgspec import Struct, field
from msgspec.structs import replace
from sqlglot import TokenType

from sqlflow.core.checks import CheckSpec, Condition
from sqlflow.core.diagnostics import Diagnostic
from sqlflow.core.source import Span
from sqlflow.core.text import Argument, Snippet
from sqlflow.project.calls import Template, arguments_in, expand_calls
from sqlflow.project.replace import Replacement, joined_text, replaced
from sqlflow.project.tokens import CLOSING, OPENING, Lexed, LexProblem, is_word, lex, unbalanced
from sqlflow.project.values import Given
from sqlflow.project.variables import At, interval_bounds, put_in_variables
from sqlflow.quality.forms import Check

_QUERY_WORDS = (TokenType.SELECT, TokenType.WITH, TokenType.FROM, TokenType.VALUES)


class OwnCheck(Protocol):
    """A check of the author's own; see `project/own_checks.py`."""

    @property
    def check(self) -> Check: ...

    def filled(self, check: CheckSpec, vocabulary: Vocabulary, given: Given) -> CheckSpec:
        """A use of the check with its SQL. `given`: where it is used, for what is wrong with it there."""


class Vocabulary(Struct, frozen=True):
    """What names mean in the project's SQL besides tables and columns."""

    dialect: str = "duckdb"
    target: str = "duckdb"
    variables: Mapping[str, object] = field(default_factory=dict)
    macros: Mapping[str, Template] = field(default_factory=dict)
    checks: Mapping[str, OwnCheck] = field(default_factory=dict)


def fill(
    lexed: Lexed,
    first: int,
    last: int,
    vocabulary: Vocabulary,
    at: At,
    problems: list[Diagnostic],
) -> list[Replacement]:
    """What to put in place of variables and macro calls in a range of tokens, in order."""
    if first >= last:
        return []
    literals = put_in_variables(lexed, first, last, vocabulary.variables, at, problems)
    return expand_calls(lexed, first, last, literals, vocabulary.macros, vocabulary.dialect, at, problems)


def condition(given: Given, vocabulary: Vocabulary) -> Condition | None:
    """One SQL expression, as the text that runs."""
    found = _lexed(given, vocabulary)
    if found is None:
        return None
    lexed, text, arguments = found
    kinds = [token.token_type for token in lexed.tokens]
    if TokenType.SEMICOLON in kinds:
        _wrong(given, "a condition cannot contain `;`", "write one SQL expression")
        return None
    if kinds[0] in _QUERY_WORDS:
        _wrong(given, "expected an expression, found a query", "put the query in parentheses")
        return None
    depth = 0
    for kind in kinds:
        depth += (kind in OPENING) - (kind in CLOSING)
        if depth == 0 and kind is TokenType.COMMA:
            _wrong(given, "expected one expression, found a list", "combine them with `AND`")
            return None
    return judged_later(given, text, arguments, vocabulary)


def statement(given: Given, vocabulary: Vocabulary) -> str | None:
    """One SQL statement, as the text that runs, without a semicolon at its end."""
    found = _lexed(given, vocabulary)
    if found is None:
        return None
    lexed, text, _ = found
    if any(token.token_type is TokenType.SEMICOLON for token in lexed.tokens):
        _wrong(given, "expected one statement, found several", "write a list of statements")
        return None
    word = lexed.tokens[0].text.upper() if lexed.tokens else ""
    if word in _NOT_IN_A_TRANSACTION:
        _wrong(given, f"a hook runs inside the model's transaction and cannot be `{word}`", "leave it out")
        return None
    return for_target(given, text, vocabulary)


def for_target(given: Given, text: str, vocabulary: Vocabulary) -> str | None:
    """The text in the SQL of the target."""
    if vocabulary.dialect == vocabulary.target:
        return text
    from sqlflow.translation.translate import Untranslatable, not_translatable, nothing_known, translated

    try:
        return translated(text, vocabulary.dialect, vocabulary.target, nothing_known)
    except Untranslatable as error:
        given.problems.extend(not_translatable(error, vocabulary.dialect, vocabulary.target, given.label, given.span))
        return None


def judged_later(
    given: Given,
    text: str,
    arguments: tuple[Argument, ...],
    vocabulary: Vocabulary,
    parameters: tuple[tuple[int, int], ...] = (),
) -> Condition | None:
    """The text in the SQL of the target, with what can be judged of it only when the columns are known that it reads."""
    handed = arguments or parameters
    written = Snippet(text, given.label, given.span, arguments, parameters)
    if vocabulary.dialect == vocabulary.target:
        return Condition(text, written if handed else None)
    from sqlflow.translation.translate import Untranslatable, not_translatable, nothing_known, translated

    try:
        told = translated(text, vocabulary.dialect, vocabulary.target, nothing_known)
        return Condition(told, written if handed else None)
    except Untranslatable:
        pass
    try:
        translated(text, vocabulary.dialect, vocabulary.target)
    except Untranslatable as error:  # whatever the columns are
        given.problems.extend(not_translatable(error, vocabulary.dialect, vocabulary.target, given.label, given.span))
        return None
    return Condition(text, replace(written, foreign=vocabulary.dialect))


# What would end the transaction that keeps a model's rows and its record together, or reach beyond the database.
_NOT_IN_A_TRANSACTION = frozenset(
    [
        "BEGIN",
        "START",
        "COMMIT",
        "ROLLBACK",
        "END",
        "ABORT",
        "ATTACH",
        "DETACH",
        "USE",
        "SET",
        "RESET",
        "PRAGMA",
        "INSTALL",
        "LOAD",
        "CHECKPOINT",
        "VACUUM",
        "FORCE",
        "IMPORT",
        "EXPORT",
        "EXPLAIN",  # with ANALYZE it runs what it explains, `SET` too
    ]
)


def sql_type(given: Given, dialect: str) -> str | None:
    """The text of a SQL type such as `DECIMAL(10, 2)`."""
    if (text := given.text()) is None:
        return None
    lexed = _lex_type(text, dialect)
    hint = "put a type that contains a comma in quotes" if "(" in text else None
    if isinstance(lexed, LexProblem) or not lexed.tokens or unbalanced(lexed) is not None:
        given.fail(f"`{text}` is not a type", "invalid-value", hint)
        return None
    depth = 0
    for index, token in enumerate(lexed.tokens):
        kind = token.token_type
        depth += (kind in OPENING) - (kind in CLOSING)
        plain = is_word(lexed, index) or kind in OPENING or kind in CLOSING
        if kind is TokenType.SEMICOLON or (depth == 0 and not plain) or "?" in token.text:
            given.fail(f"`{text}` is not a type", "invalid-value", hint)
            return None
    return text[lexed.tokens[0].start : lexed.tokens[-1].end + 1]


_lex_type = lru_cache(maxsize=256)(lex)  # a project has few types, and many columns


def _lexed(given: Given, vocabulary: Vocabulary) -> tuple[Lexed, str, tuple[Argument, ...]] | None:
    """The tokens of a text, without a semicolon at the end; the text that runs, and where in it arguments of macros stand."""
    if (text := given.text()) is None:
        return None
    lexed = lex(text, vocabulary.dialect)
    if isinstance(lexed, LexProblem):
        _wrong(given, lexed.message, lexed.hint)
        return None
    last = len(lexed.tokens)
    while last and lexed.tokens[last - 1].token_type is TokenType.SEMICOLON:
        last -= 1
    if not last:
        _wrong(given, "there is no SQL here")
        return None
    if (problem := unbalanced(lexed, 0, last)) is not None:
        _wrong(given, problem.message)
        return None
    span = given.span

    def at(start: int, end: int) -> Span:
        return span

    before = len(given.problems)
    for start, end in interval_bounds(lexed, 0, last):
        message = f"`{text[start:end]}` can be used only in the query of an incremental model"
        given.fail(message, "interval-bounds")
    replacements = fill(lexed, 0, last, vocabulary, at, given.problems)
    if len(given.problems) > before:
        return None
    begin = lexed.tokens[0].start - (0 in lexed.parameter_tokens(0, 1))
    parts = replaced(text, begin, lexed.tokens[last - 1].end + 1, replacements)
    tokens = Lexed(text, lexed.tokens[:last], lexed.parameters, lexed.dialect)
    return tokens, joined_text(parts), arguments_in(replacements, begin)


def _wrong(given: Given, message: str, hint: str | None = None) -> None:
    given.fail(message, "sql-syntax", hint)
