"""Macros: `CREATE MACRO` statements of macros/*.sql, expanded where they are called.

A macro becomes a template: its body with the macros that it calls already expanded, and a hole for each use of a
parameter. Arguments go into the holes as they are written, in parentheses, so operators keep their meaning and a
name inside an argument cannot be taken for a parameter of another macro.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from sqlglot.tokens import TokenType

from sqlflow.core.diagnostics import Diagnostic, Note, did_you_mean
from sqlflow.core.source import SourceFile, Span
from sqlflow.core.sql import quoted
from sqlflow.project.replace import Parts, Replacement, joined_text, replaced, with_arguments
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

_LONGEST = 1_000_000
_NOT_NAMES = frozenset(
    "all and any as between by case cast distinct else end except exists filter from group having in "
    "intersect is join lateral like limit not on or order over partition qualify select then union "
    "using values when where with".split()
)
# What can follow a table in FROM without being its alias.
_AFTER_TABLE = frozenset(
    "anti asof cross except fetch for from full group having inner intersect join lateral left limit "
    "natural offset on order outer pivot positional qualify right sample select semi tablesample union "
    "unpivot using where window with".split()
)
# Words of expressions that sqlglot has no token for; a name behind them is no alias.
_OPERATORS = frozenset({"zone", "to", "both", "leading", "trailing", "by", "lambda"})
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


@dataclass(frozen=True, slots=True)
class MacroParameter:
    """`default`: the SQL used when the call does not give it."""

    name: str
    default: Parts | None = None


@dataclass(frozen=True, slots=True)
class Template:
    """A macro that can be put in. `parts` is None when its definition has problems, which are told already."""

    name: str
    span: Span
    parameters: tuple[MacroParameter, ...]
    table: bool
    parts: Parts | None


@dataclass(frozen=True, slots=True)
class _Macro:
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


Lookup = Callable[[str, Span], Template | None]


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
    return _templates(macros, problems)


def expand_calls(
    lexed: Lexed,
    first: int,
    last: int,
    variables: Mapping[int, Replacement],
    macros: Mapping[str, Template],
    at: At,
    problems: list[Diagnostic],
) -> list[Replacement]:
    """What to put in place of the macro calls and variables in a range of tokens, in order.

    `variables`: token index -> its replacement. `at` makes a span of two offsets.
    """
    if not macros:
        return list(variables.values())
    return _Calls(
        lexed, variables, macros, lambda name, span: macros[name], at, problems
    ).replacements(first, last)


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
    ends = [
        index
        for index, token in enumerate(lexed.tokens)
        if token.token_type is TokenType.SEMICOLON
    ]
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
    close = _closing(lexed, index + 1, last)
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
    return _Macro(name, span, parameters, table, file, lexed, index, last, put_in)


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
    for begin, end in _arguments(lexed, first, close):
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
            default = _between(lexed, begin + 2, end, put_in.values())
        elif any(parameter.default is not None for parameter in found.values()):
            raise _Malformed(f"`{name}` has no default but stands behind one that has", begin)
        if name.lower() in found:
            raise _Malformed(f"there are two parameters `{name}`", begin)
        found[name.lower()] = MacroParameter(name, default)
    return tuple(found.values())


# ---------------------------------------------------------------- templates


def _templates(
    macros: Mapping[str, _Macro], problems: list[Diagnostic]
) -> dict[str, Template]:
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
        chain.append(key)
        before = len(problems)
        parts = _body(macro, macros, build, problems)
        if len(problems) > before:
            parts = None
        elif parts is not None and sum(len(p) for p in parts if isinstance(p, str)) > _LONGEST:
            message = f"the macro `{macro.name}` expands to more than {_LONGEST} characters"
            problems.append(Diagnostic("macro-call", message, macro.span))
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
    problems: list[Diagnostic],
) -> Parts | None:
    holes = _holes(macro)
    put_in = {**macro.variables, **holes}
    file = macro.file
    calls = _Calls(macro.lexed, put_in, macros, lookup, file.span, problems)
    replacements = calls.replacements(macro.first, macro.last)
    if calls.broken:
        return None
    return _between(macro.lexed, macro.first, macro.last, replacements)


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
            len(brackets) < lambdas[-1][0]
            or (kind is TokenType.COMMA and len(brackets) == lambdas[-1][0])
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
    if after in (TokenType.L_PAREN, TokenType.COLON_EQ, TokenType.FARROW):
        return False
    if before in _ENDS_OPERAND and lexed.tokens[index - 1].text.lower() not in _OPERATORS:
        return False
    if after is TokenType.ALIAS and kind(index + 2) is TokenType.L_PAREN:
        return False  # WITH name AS (
    if after is TokenType.COLON and not (
        brackets and lexed.tokens[brackets[-1]].token_type is TokenType.L_BRACKET
    ):
        return False  # {name: 1} and SELECT name: 1, but not list[name:3]
    if brackets and brackets[-1] > first:
        opener = brackets[-1] - 1
        owner = lexed.tokens[opener]
        if owner.token_type is TokenType.USING or owner.text.lower() == "exclude":
            return False
        if kind(opener - 1) is TokenType.ALIAS and is_word(lexed, opener):
            return False  # AS t(name)
    return True


def table_positions(lexed: Lexed, first: int, last: int) -> set[int]:
    """The indexes of the tokens that stand directly behind the FROM or JOIN of a query."""
    found: set[int] = set()
    in_query = [False]
    for index in range(first, last):
        kind = lexed.tokens[index].token_type
        if kind in OPENING:
            in_query.append(False)
        elif kind in CLOSING:
            if len(in_query) > 1:
                in_query.pop()
        elif kind in (TokenType.SELECT, TokenType.WITH):
            in_query[-1] = True
        elif kind in (TokenType.JOIN, TokenType.LATERAL):
            found.add(index + 1)
        elif kind is TokenType.FROM:
            opens = index == first or lexed.tokens[index - 1].token_type in OPENING
            if (in_query[-1] or opens) and not is_distinct_from(lexed, index):
                in_query[-1] = True
                found.add(index + 1)
    return found


def is_distinct_from(lexed: Lexed, index: int) -> bool:
    """Whether the FROM at `index` belongs to `IS [NOT] DISTINCT FROM`."""
    return (
        index >= 2
        and lexed.tokens[index - 1].token_type is TokenType.DISTINCT
        and lexed.tokens[index - 2].token_type in (TokenType.IS, TokenType.NOT)
    )


# ---------------------------------------------------------------- calls


class _Calls:
    """Finds the macro calls of one text. `names`: the macros there are; `lookup` gives one of them."""

    def __init__(
        self,
        lexed: Lexed,
        put_in: Mapping[int, Replacement],
        names: Mapping[str, object],
        lookup: Lookup,
        at: At,
        problems: list[Diagnostic],
    ) -> None:
        self.lexed = lexed
        self.put_in = put_in
        self.names = names
        self.lookup = lookup
        self.at = at
        self.problems = problems
        self.broken = False
        self.tables: set[int] | None = None

    def replacements(self, first: int, last: int) -> list[Replacement]:
        if self.tables is None:
            self.tables = table_positions(self.lexed, first, last)
        found: list[Replacement] = []
        index = first
        while index < last:
            close = self.call(index, first, last)
            if close is not None:
                replacement = self.expanded(index, close, first, last)
                if replacement is None:
                    self.broken = True
                else:
                    found.append(replacement)
                index = close
            elif index in self.put_in:
                found.append(self.put_in[index])
            index += 1
        return found

    def call(self, index: int, first: int, last: int) -> int | None:
        """The index of the `)` of the call that begins here."""
        lexed, tokens = self.lexed, self.lexed.tokens
        if index + 1 >= last or tokens[index + 1].token_type is not TokenType.L_PAREN:
            return None
        if tokens[index].text.lower() not in self.names or not is_word(lexed, index):
            return None
        before = tokens[index - 1].token_type if index > first else None
        if before in (TokenType.DOT, TokenType.ALIAS):
            return None
        close = _closing(lexed, index + 1, last)
        if close is None:
            return None
        is_cte = (
            before in (TokenType.WITH, TokenType.RECURSIVE, TokenType.COMMA)
            and close + 2 < last
            and tokens[close + 1].token_type is TokenType.ALIAS
            and tokens[close + 2].text.lower() in ("(", "not", "materialized")
        )
        return None if is_cte else close

    def expanded(self, index: int, close: int, first: int, last: int) -> Replacement | None:
        lexed, tokens = self.lexed, self.lexed.tokens
        start, end = tokens[index].start, tokens[close].end + 1
        span = self.at(start, end)
        template = self.lookup(tokens[index].text.lower(), span)
        if template is None or template.parts is None:
            return None
        in_from = index in (self.tables or ())
        before = tokens[index - 1].token_type if index > first else None
        if in_from and not template.table:
            self.wrong(
                f"`{template.name}` gives a value, it cannot stand in FROM",
                span,
                "define it with `AS TABLE SELECT ...`",
                template,
            )
            return None
        if template.table and not in_from and before not in (TokenType.COMMA, TokenType.L_PAREN):
            self.wrong(
                f"`{template.name}` gives a table, it can stand only in FROM",
                span,
                f"write `(SELECT ... FROM {template.name}(...))`",
                template,
            )
            return None
        arguments = self.arguments(template, index, close, span)
        if arguments is None:
            return None
        parts: Parts = ("(", *with_arguments(template.parts, arguments), ")")
        if template.table and not self.has_alias(close + 1, last):
            parts = (*parts, f" AS {quoted(tokens[index].text)}")
        return Replacement(start, end, parts)

    def arguments(
        self, template: Template, index: int, close: int, span: Span
    ) -> list[Parts] | None:
        """The arguments of a call in the order of the parameters; None when they do not fit."""
        lexed, tokens = self.lexed, self.lexed.tokens
        names = {p.name.lower(): n for n, p in enumerate(template.parameters)}
        given: dict[int, Parts] = {}
        named = False
        pieces = list(_arguments(lexed, index + 2, close))
        positional = 0
        for begin, end in pieces:
            if begin == end:
                self.wrong(f"an argument of `{template.name}` is empty", span, None, template)
                return None
            is_named = (
                end - begin > 1
                and is_word(lexed, begin)
                and tokens[begin + 1].token_type in (TokenType.COLON_EQ, TokenType.FARROW)
            )
            if is_named:
                named = True
                word = tokens[begin].text
                place = self.at(tokens[begin].start, tokens[begin].end + 1)
                number = names.get(word.lower())
                if number is None:
                    hint = did_you_mean(word, [p.name for p in template.parameters])
                    message = f"`{template.name}` has no parameter `{word}`"
                    self.wrong(message, place, hint, template)
                    return None
                if number in given:
                    self.wrong(f"`{word}` is given twice", place, None, template)
                    return None
                if end - begin == 2:
                    self.wrong(f"`{word}` has no value", place, None, template)
                    return None
                given[number] = self.rendered(begin + 2, end)
                continue
            if named:
                place = self.at(tokens[begin].start, tokens[end - 1].end + 1)
                message = "an argument without a name stands behind one with a name"
                self.wrong(message, place, "name this one too", template)
                return None
            given[positional] = self.rendered(begin, end)
            positional += 1
        wanted = len(template.parameters)
        missing = [
            p.name
            for n, p in enumerate(template.parameters)
            if n not in given and p.default is None
        ]
        if positional > wanted or missing:
            takes = "no arguments" if wanted == 0 else f"{_count(template)} argument{'s' * (wanted != 1)}"
            message = f"`{template.name}` takes {takes}, {len(pieces)} given"
            names_missing = ", ".join(f"`{name}`" for name in missing)
            hint = f"missing: {names_missing}" if missing else None
            self.wrong(message, span, hint, template)
            return None
        return [
            given[n] if n in given else (parameter.default or ())
            for n, parameter in enumerate(template.parameters)
        ]

    def rendered(self, begin: int, end: int) -> Parts:
        return _between(self.lexed, begin, end, self.replacements(begin, end))

    def has_alias(self, index: int, last: int) -> bool:
        if index >= last:
            return False
        token = self.lexed.tokens[index]
        if token.token_type in (TokenType.ALIAS, TokenType.IDENTIFIER):
            return True
        return (
            is_word(self.lexed, index)
            and self.lexed.source(index).split()[0].lower() not in _AFTER_TABLE
        )

    def wrong(self, message: str, span: Span, hint: str | None, template: Template) -> None:
        note = Note(f"`{template.name}` is defined here", template.span)
        self.problems.append(Diagnostic("macro-call", message, span, hint, notes=(note,)))


def _count(template: Template) -> str:
    wanted = len(template.parameters)
    least = sum(parameter.default is None for parameter in template.parameters)
    return str(wanted) if least == wanted else f"{least} to {wanted}"


def _closing(lexed: Lexed, index: int, last: int) -> int | None:
    """The index of the bracket that closes the one at `index`."""
    depth = 0
    for place in range(index, last):
        kind = lexed.tokens[place].token_type
        depth += (kind in OPENING) - (kind in CLOSING)
        if depth == 0:
            return place
    return None


def _arguments(lexed: Lexed, first: int, close: int) -> list[tuple[int, int]]:
    """The token ranges between commas; none at all for `()`."""
    if first == close:
        return []
    depth = 0
    names = False  # between `lambda` and its colon
    begin = first
    found: list[tuple[int, int]] = []
    for index in range(first, close):
        token = lexed.tokens[index]
        kind = token.token_type
        depth += (kind in OPENING) - (kind in CLOSING)
        if kind is TokenType.VAR and depth == 0 and token.text.lower() == "lambda":
            names = index + 1 < close and is_word(lexed, index + 1)
        elif kind is TokenType.COLON:
            names = False
        elif kind is TokenType.COMMA and depth == 0 and not names:
            found.append((begin, index))
            begin = index + 1
    return [*found, (begin, close)]


def _between(
    lexed: Lexed, first: int, last: int, replacements: Iterable[Replacement]
) -> Parts:
    """The text from the first to the last token of a range, with replacements made."""
    replacements = list(replacements)
    start, end = lexed.tokens[first].start, lexed.tokens[last - 1].end + 1
    if first in lexed.parameter_tokens(first, first + 1):
        start -= 1  # the `$`
    return replaced(lexed.text, start, end, replacements)


def text_of(replacement: Replacement) -> str:
    """The text that a replacement puts in, outside of any macro."""
    return joined_text(replacement.parts)
