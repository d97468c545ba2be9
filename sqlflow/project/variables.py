"""`$name` in SQL becomes a typed literal, put in by token position and never by splicing text."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from sqlglot import TokenType

from sqlflow.core.diagnostics import Diagnostic, did_you_mean
from sqlflow.core.source import Span
from sqlflow.core.sql import literal
from sqlflow.project.replace import Replacement
from sqlflow.project.tokens import Lexed, is_word

INTERVAL_BOUNDS = ("start", "end")

At = Callable[[int, int], Span]


def put_in_variables(
    lexed: Lexed,
    first: int,
    last: int,
    variables: Mapping[str, object],
    at: At,
    problems: list[Diagnostic],
) -> dict[int, Replacement]:
    """The literal for each `$name` in a range of tokens, by the index of its token. `$start` and `$end` stay.

    `at` makes a span of two offsets. Unknown names and other placeholders are problems.
    """
    if first >= last:
        return {}
    found: dict[int, Replacement] = {}
    for index, parameter in lexed.parameter_tokens(first, last).items():
        name = parameter.name or ""
        if name in INTERVAL_BOUNDS:
            continue
        if name not in variables:
            hint = did_you_mean(name, [*variables, *INTERVAL_BOUNDS])
            problems.append(
                Diagnostic(
                    "unknown-variable",
                    f"there is no variable `${name}`",
                    at(parameter.start, parameter.end),
                    hint or "declare it under `variables` in sqlflow.yml",
                )
            )
            continue
        text = _apart(lexed.text, parameter.start, parameter.end, literal(variables[name]))
        found[index] = Replacement(parameter.start, parameter.end, (text,))
    _refuse_placeholders(lexed, first, last, at, problems)
    return found


def interval_bounds(lexed: Lexed, first: int, last: int) -> list[tuple[int, int]]:
    """The places of `$start` and `$end` in a range of tokens."""
    parameters = lexed.parameter_tokens(first, last).values()
    return [(p.start, p.end) for p in parameters if p.name in INTERVAL_BOUNDS]


def _apart(text: str, start: int, end: int, value: str) -> str:
    """The literal so that it cannot run together with what stands beside it, as in `1-$n` or `'a'$s`."""
    if value.startswith("-"):
        value = f"({value})"
    before = " " if start and (text[start - 1] in "'\"" or text[start - 1].isalnum()) else ""
    after = " " if end < len(text) and text[end] in "'\"" else ""
    return f"{before}{value}{after}"


def _refuse_placeholders(lexed: Lexed, first: int, last: int, at: At, problems: list[Diagnostic]) -> None:
    begin, stop = lexed.tokens[first].start - 1, lexed.tokens[last - 1].end + 1
    hint = "declare a variable in sqlflow.yml and write `$name`"
    for parameter in lexed.parameters:
        if parameter.name is None and begin <= parameter.start < stop:
            text = lexed.text[parameter.start : parameter.end]
            span = at(parameter.start, parameter.end)
            if text.startswith("${"):
                name = text[2:].rstrip("}").strip()
                hint_here = f"write `${name}`" if name.isidentifier() else hint
                message = f"`{text}` is not a variable"
                problems.append(Diagnostic("placeholder", message, span, hint_here))
            else:
                message = f"`{text}` has no value here"
                problems.append(Diagnostic("placeholder", message, span, hint))
    if "?" in lexed.text:
        for index in range(first, last):
            token = lexed.tokens[index]
            if token.token_type is TokenType.PLACEHOLDER and token.text == "?" and not _is_operator(lexed, index):
                span = at(token.start, token.end + 1)
                problems.append(Diagnostic("placeholder", "`?` has no value here", span, hint))


def _is_operator(lexed: Lexed, index: int) -> bool:
    """Whether `?` asks of a JSON value if it has a key: on PostgreSQL, behind something that may be a value."""
    if lexed.dialect != "postgres" or index == 0:
        return False
    before = lexed.tokens[index - 1]
    if before.token_type in (TokenType.R_PAREN, TokenType.R_BRACKET, TokenType.STRING, TokenType.PARAMETER):
        return True
    return is_word(lexed, index - 1) and _BEFORE_A_VALUE.fullmatch(lexed.source(index - 1)) is None


_BEFORE_A_VALUE = re.compile(
    "ALL|AND|ANY|AS|BETWEEN|BY|CASE|DISTINCT|ELSE|EXCEPT|FETCH|FIRST|FROM|HAVING|ILIKE|IN|INTERSECT|INTERVAL|IS|LIKE|LIMIT|NEXT|"
    "NOT|OFFSET|ON|OR|OVER|SELECT|SIMILAR|SOME|SYMMETRIC|THEN|TO|UNION|USING|VALUES|WHEN|WHERE",
    re.IGNORECASE,
)
