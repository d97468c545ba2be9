"""Macros: `CREATE MACRO` statements of macros/*.sql, expanded where they are called.

A macro becomes a template: its body with the macros that it calls already expanded, and a hole for each use of a
parameter. Arguments go into the holes as they are written, in parentheses, so operators keep their meaning and a
name inside an argument cannot be taken for a parameter of another macro.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec import Struct
from sqlglot import TokenType

from sqlflow.core.diagnostics import Diagnostic, Note
from sqlflow.core.source import SourceFile, Span
from sqlflow.project.calls import (
    Calls,
    Lookup,
    MacroParameter,
    Template,
    between,
    closing,
    split_arguments,
    table_positions,
)
from sqlflow.project.replace import Parts, Replacement
from sqlflow.project.tokens import (
    CLOSING,
    OPENING,
    Lexed,
    LexProblem,
    is_word,
    lex,
    unbalanced,
)
from sqlflow.project.variables import At, interval_bounds, put_in_variables

_DEEPEST = 50
_NOT_NAMES = frozenset(
    [
        "all",
        "and",
        "any",
        "as",
        "between",
        "by",
        "case",
        "cast",
        "distinct",
        "else",
        "end",
        "except",
        "exists",
        "filter",
        "from",
        "group",
        "having",
        "in",
        "intersect",
        "is",
        "join",
        "lateral",
        "like",
        "limit",
        "not",
        "on",
        "or",
        "order",
        "over",
        "partition",
        "qualify",
        "select",
        "then",
        "union",
        "using",
        "values",
        "when",
        "where",
        "with",
    ]
)
# Words of expressions that sqlglot has no token for; a name behind them is no alias.
_OPERATORS = frozenset({"zone", "to", "both", "leading", "trailing", "by", "lambda"})
# Words behind which a name of another kind stands: of a collation, a window; or `first` and `last`.
_NAMES_FOLLOW = frozenset({"collate", "over", "nulls"})
_ENDS_OPERAND = frozenset(
    {
        TokenType.VAR,
        TokenType.IDENTIFIER,
        TokenType.STRING,
        TokenType.NUMBER,
        TokenType.R_PAREN,
        TokenType.R_BRACKET,
        TokenType.R_BRACE,
        TokenType.END,
    }
)


class _Macro(Struct, frozen=True):
    """A macro as it is written: its body is the tokens `[first, last)` of its file."""

    name: str
    span: Span
    parameters: tuple[MacroParameter, ...]
    table: bool
    file: SourceFile
    lexed: Lexed
    first: int
    last: int
    variables: Mapping[int, Replacement]
    sound: bool


def read_macros(
    files: Iterable[SourceFile],
    dialect: str,
    variables: Mapping[str, object],
    problems: list[Diagnostic],
) -> dict[str, Template]:
    """The macros that the files define, by name in lower case."""
    macros: dict[str, _Macro] = {}
    for file in files:
        for macro in _definitions(file, dialect, variables, problems):
            first = macros.setdefault(macro.name.lower(), macro)
            if first is not macro:
                problems.append(
                    Diagnostic(
                        "duplicate-name",
                        f"the macro `{macro.name}` is defined in `{first.file.path}` and in `{file.path}`",
                        macro.span,
                        "rename one of them",
                        notes=(Note("first defined here", first.span),),
                    )
                )
    return _templates(macros, dialect, problems)


# ---------------------------------------------------------------- definitions


class _Malformed(Exception):
    def __init__(self, message: str, index: int, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.index = index
        self.hint = hint


_FORM = "write `CREATE MACRO name(a, b := 1) AS expression;` or `... AS TABLE SELECT ...;`"


def _definitions(
    file: SourceFile, dialect: str, variables: Mapping[str, object], problems: list[Diagnostic]
) -> list[_Macro]:
    lexed = lex(file.text, dialect)
    if isinstance(lexed, LexProblem):
        span = file.span(lexed.start, lexed.end)
        problems.append(Diagnostic("sql-syntax", lexed.message, span, lexed.hint))
        return []
    macros: list[_Macro] = []
    first = 0
    for last in _statement_ends(lexed):
        if first < last:
            try:
                macros.append(_definition(file, lexed, first, last, variables, problems))
            except _Malformed as wrong:
                token = lexed.tokens[min(wrong.index, last - 1)]
                span = file.span(token.start, token.end + 1)
                hint = wrong.hint or _FORM
                problems.append(Diagnostic("macro-syntax", wrong.message, span, hint))
        first = last + 1
    return macros


def _statement_ends(lexed: Lexed) -> list[int]:
    ends = [index for index, token in enumerate(lexed.tokens) if token.token_type is TokenType.SEMICOLON]
    return [*ends, len(lexed.tokens)]


def _definition(
    file: SourceFile,
    lexed: Lexed,
    first: int,
    last: int,
    variables: Mapping[str, object],
    problems: list[Diagnostic],
) -> _Macro:
    def word(index: int) -> str:
        return lexed.source(index).lower() if index < last else ""

    def at(start: int, end: int) -> Span:
        return file.span(start, end)

    before = len(problems)
    index = first
    if word(index) != "create":
        raise _Malformed("a file in macros/ holds only `CREATE MACRO` statements", index)
    index += 1
    if (word(index), word(index + 1)) == ("or", "replace"):
        index += 2
    if word(index) in ("temp", "temporary"):
        index += 1
    if word(index) not in ("macro", "function"):
        raise _Malformed("a file in macros/ holds only `CREATE MACRO` statements", index)
    index += 1
    if (word(index), word(index + 1), word(index + 2)) == ("if", "not", "exists"):
        index += 3
    if index >= last or not is_word(lexed, index):
        raise _Malformed("the name of the macro is missing", index)
    if word(index + 1) == ".":
        raise _Malformed("a macro has no schema", index, "write its name alone")
    if word(index) in _NOT_NAMES:
        raise _Malformed(f"`{word(index)}` cannot be the name of a macro", index)
    token = lexed.tokens[index]
    name, span = token.text, file.span(token.start, token.end + 1)
    if word(index + 1) != "(":
        raise _Malformed(f"the parameters of `{name}` are missing", index, f"write `{name}()`")
    close = closing(lexed, index + 1, last)
    if close is None:
        raise _Malformed("`(` is never closed", index + 1)
    parameters = _parameters(lexed, index + 2, close, variables, at, problems)
    index = close + 1
    if word(index) != "as":
        raise _Malformed("`AS` is missing behind the parameters", index)
    index += 1
    table = word(index) == "table"
    index += table
    if index >= last:
        raise _Malformed(f"the body of `{name}` is missing", index)
    if (wrong := unbalanced(lexed, index, last)) is not None:
        where = next(i for i, t in enumerate(lexed.tokens) if t.start == wrong.start)
        raise _Malformed(wrong.message, where)
    _check_body(lexed, index, last, table)
    for start, end in interval_bounds(lexed, index, last):
        bound = lexed.text[start:end]
        hint = f"add a parameter, and call the macro with `{bound}`"
        message = f"`{bound}` cannot be used inside a macro"
        problems.append(Diagnostic("interval-bounds", message, at(start, end), hint))
    put_in = put_in_variables(lexed, index, last, variables, at, problems)
    return _Macro(name, span, parameters, table, file, lexed, index, last, put_in, len(problems) == before)


def _check_body(lexed: Lexed, first: int, last: int, table: bool) -> None:
    opening = lexed.source(first).lower()
    if table:
        if opening not in ("select", "with", "from", "values", "("):
            raise _Malformed("the body of a table macro is a query", first)
        return
    if opening in ("select", "with", "from", "values"):
        hint = "write `AS TABLE SELECT ...`, or put the query in parentheses"
        raise _Malformed("the body of a macro is an expression", first, hint)
    depth = 0
    for index in range(first, last):
        kind = lexed.tokens[index].token_type
        depth += (kind in OPENING) - (kind in CLOSING)
        if depth == 0 and kind is TokenType.COMMA:
            hint = "give each number of parameters a macro of its own name"
            raise _Malformed("a macro has one body", index, hint)


def _parameters(
    lexed: Lexed,
    first: int,
    close: int,
    variables: Mapping[str, object],
    at: At,
    problems: list[Diagnostic],
) -> tuple[MacroParameter, ...]:
    found: dict[str, MacroParameter] = {}
    for begin, end in split_arguments(lexed, first, close):
        if begin == end or not is_word(lexed, begin):
            raise _Malformed("the name of a parameter is missing", begin)
        name = lexed.tokens[begin].text
        default: Parts | None = None
        if end - begin > 1:
            if lexed.tokens[begin + 1].token_type is not TokenType.COLON_EQ:
                hint = f"write `{name}`, or `{name} := default`; to fix a type, cast in the body"
                raise _Malformed(f"the parameter `{name}` is not understood", begin + 1, hint)
            if end - begin == 2:
                raise _Malformed(f"the default of `{name}` is missing", begin + 1)
            put_in = put_in_variables(lexed, begin + 2, end, variables, at, problems)
            default = between(lexed, begin + 2, end, put_in.values())
        elif any(parameter.default is not None for parameter in found.values()):
            raise _Malformed(f"`{name}` has no default but stands behind one that has", begin)
        if name.lower() in found:
            raise _Malformed(f"there are two parameters `{name}`", begin)
        found[name.lower()] = MacroParameter(name, default)
    return tuple(found.values())


# ---------------------------------------------------------------- templates


def _templates(macros: Mapping[str, _Macro], dialect: str, problems: list[Diagnostic]) -> dict[str, Template]:
    done: dict[str, Template] = {}
    chain: list[str] = []

    def build(key: str, called_at: Span) -> Template | None:
        if key in done:
            return done[key]
        macro = macros[key]
        if key in chain:
            ring = [*chain[chain.index(key) :], key]
            names = " -> ".join(macros[name].name for name in ring)
            problems.append(
                Diagnostic(
                    "macro-recursion",
                    f"a macro calls itself: {names}",
                    called_at,
                    "a macro cannot be recursive; use a recursive CTE",
                )
            )
            return None
        if len(chain) > _DEEPEST:
            message = f"macros call each other more than {_DEEPEST} levels deep"
            problems.append(Diagnostic("macro-call", message, called_at))
            return None
        chain.append(key)
        before = len(problems)
        parts = _body(macro, macros, build, dialect, problems)
        if len(problems) > before or not macro.sound:
            parts = None
        chain.pop()
        done[key] = Template(macro.name, macro.span, macro.parameters, macro.table, parts)
        return done[key]

    for key, macro in macros.items():
        build(key, macro.span)
    return done


def _body(
    macro: _Macro,
    macros: Mapping[str, _Macro],
    lookup: Lookup,
    dialect: str,
    problems: list[Diagnostic],
) -> Parts | None:
    holes = _holes(macro)
    put_in = {**macro.variables, **holes}
    file = macro.file
    calls = Calls(macro.lexed, put_in, macros, lookup, dialect, file.span, problems)
    replacements = calls.replacements(macro.first, macro.last)
    if calls.broken:
        return None
    return between(macro.lexed, macro.first, macro.last, replacements)


def _holes(macro: _Macro) -> dict[int, Replacement]:
    """The places of a macro's body where a parameter stands as a value, by token index."""
    lexed, first, last = macro.lexed, macro.first, macro.last
    numbers = {p.name.lower(): n for n, p in enumerate(macro.parameters)}
    if not numbers:
        return {}
    tables = table_positions(lexed, first, last)
    variables = lexed.parameter_tokens(first, last)
    brackets: list[int] = []
    lambdas: list[tuple[int, set[str]]] = []  # depth of a lambda, and the names it binds
    holes: dict[int, Replacement] = {}
    for index in range(first, last):
        token = lexed.tokens[index]
        kind = token.token_type
        if kind in OPENING:
            brackets.append(index)
        elif kind in CLOSING:
            brackets.pop()
        while lambdas and (
            len(brackets) < lambdas[-1][0] or (kind is TokenType.COMMA and len(brackets) == lambdas[-1][0])
        ):
            if kind is TokenType.COMMA and _in_lambda_names(lexed, index, first):
                break
            lambdas.pop()
        if kind is TokenType.VAR and token.text.lower() == "lambda":
            lambdas.append((len(brackets), _lambda_names(lexed, index + 1, last)))
        number = numbers.get(token.text.lower())
        if (
            number is None
            or index in tables
            or index in variables
            or not is_word(lexed, index)
            or any(token.text.lower() in names for _, names in lambdas)
            or not _is_value(lexed, index, first, last, brackets)
        ):
            continue
        holes[index] = Replacement(token.start, token.end + 1, (number,))
    return holes


def _lambda_names(lexed: Lexed, index: int, last: int) -> set[str]:
    names: set[str] = set()
    while index < last and lexed.tokens[index].token_type is not TokenType.COLON:
        names.add(lexed.tokens[index].text.lower())
        index += 1
    return names


def _in_lambda_names(lexed: Lexed, index: int, first: int) -> bool:
    """Whether the comma at `index` stands between the names of `lambda x, y: ...`."""
    while index > first:
        index -= 1
        token = lexed.tokens[index]
        if token.token_type is TokenType.VAR and token.text.lower() == "lambda":
            return True
        if token.token_type not in (TokenType.VAR, TokenType.IDENTIFIER, TokenType.COMMA):
            return False
    return False


def _is_value(lexed: Lexed, index: int, first: int, last: int, brackets: list[int]) -> bool:
    """Whether a name stands for a value: no part of a longer name, no alias, no key, no column list."""

    def kind(at: int) -> TokenType | None:
        return lexed.tokens[at].token_type if first <= at < last else None

    before, after = kind(index - 1), kind(index + 1)
    if before in (TokenType.DOT, TokenType.ALIAS, TokenType.DCOLON):
        return False
    if index > first and lexed.tokens[index - 1].text.lower() in _NAMES_FOLLOW:
        return False
    if after is TokenType.STRING:
        return False  # DATE '2024-01-01'
    if (
        before is TokenType.L_PAREN
        and after is TokenType.FROM
        and lexed.source(max(index - 2, first)).lower() == "extract"
    ):
        return False  # extract(year FROM day)
    if after in (TokenType.L_PAREN, TokenType.COLON_EQ, TokenType.FARROW):
        return False
    if before in _ENDS_OPERAND and lexed.tokens[index - 1].text.lower() not in _OPERATORS:
        return False
    if after is TokenType.ALIAS and kind(index + 2) is TokenType.L_PAREN:
        return False  # WITH name AS (
    if after is TokenType.COLON and not (brackets and lexed.tokens[brackets[-1]].token_type is TokenType.L_BRACKET):
        return False  # {name: 1} and SELECT name: 1, but not list[name:3]
    if brackets and brackets[-1] > first:
        opener = brackets[-1] - 1
        owner = lexed.tokens[opener]
        if owner.token_type is TokenType.USING or owner.text.lower() == "exclude":
            return False
        if kind(opener - 1) is TokenType.ALIAS and is_word(lexed, opener):
            return False  # AS t(name)
    return True
