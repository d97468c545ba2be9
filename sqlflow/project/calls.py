"""Calls of macros: finding them in a query, and putting the macro in."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from msgspec import Struct
from sqlglot import TokenType

from sqlflow.core.diagnostics import Diagnostic, Note, did_you_mean
from sqlflow.core.source import Span
from sqlflow.core.sql import quoted
from sqlflow.core.text import Argument
from sqlflow.project.replace import Mark, Parts, Replacement, joined_text, replaced, with_arguments
from sqlflow.project.tokens import CLOSING, OPENING, Lexed, is_word
from sqlflow.project.variables import At

# What can follow a table in FROM without being its alias.
_AFTER_TABLE = frozenset(
    [
        "anti",
        "asof",
        "cross",
        "except",
        "fetch",
        "for",
        "from",
        "full",
        "group",
        "having",
        "inner",
        "intersect",
        "join",
        "lateral",
        "left",
        "limit",
        "natural",
        "offset",
        "on",
        "order",
        "outer",
        "pivot",
        "positional",
        "qualify",
        "right",
        "sample",
        "select",
        "semi",
        "tablesample",
        "union",
        "unpivot",
        "using",
        "where",
        "window",
        "with",
    ]
)


class MacroParameter(Struct, frozen=True):
    """`default`: the SQL used when the call does not give it."""

    name: str
    default: Parts | None = None


class Template(Struct, frozen=True):
    """A macro that can be put in. `parts` is None when its definition has problems, which are told already."""

    name: str
    span: Span
    parameters: tuple[MacroParameter, ...]
    table: bool
    parts: Parts | None

    def size(self, arguments: list[int]) -> int:
        """The length of the text that comes of arguments of these lengths."""
        parts = self.parts or ()
        return sum(arguments[p] + 2 if isinstance(p, int) else len(p) for p in parts if not isinstance(p, Mark))


LONGEST = 1_000_000
_DEEPEST = 50

Lookup = Callable[[str, Span], Template | None]


def expand_calls(
    lexed: Lexed,
    first: int,
    last: int,
    variables: Mapping[int, Replacement],
    macros: Mapping[str, Template],
    dialect: str,
    at: At,
    problems: list[Diagnostic],
) -> list[Replacement]:
    """What to put in place of the macro calls and variables in a range of tokens, in order.

    `variables`: token index -> its replacement. `at` makes a span of two offsets.
    """
    if not macros:
        return list(variables.values())
    calls = Calls(lexed, variables, macros, lambda name, span: macros[name], dialect, at, problems)
    return calls.replacements(first, last)


class Calls:
    """Finds the macro calls of one text: `f(x)`, `main.f(x)`, and in DuckDB `x.f()`.

    `names`: the macros there are; `lookup` gives one of them.
    """

    def __init__(
        self,
        lexed: Lexed,
        put_in: Mapping[int, Replacement],
        names: Mapping[str, object],
        lookup: Lookup,
        dialect: str,
        at: At,
        problems: list[Diagnostic],
    ) -> None:
        self.chains = dialect == "duckdb"
        self.lexed = lexed
        self.put_in = put_in
        self.names = names
        self.lookup = lookup
        self.at = at
        self.problems = problems
        self.broken = False
        self.tables: set[int] | None = None
        self.depth = 0

    def replacements(self, first: int, last: int) -> list[Replacement]:
        if self.tables is None:
            self.tables = table_positions(self.lexed, first, last)
        found: list[Replacement] = []
        index = first
        while index < last:
            close = self.call(index, first, last)
            if close is not None:
                begin, operand = self.before(index, first)
                replacement = self.expanded(index, close, begin, operand, first, last)
                if replacement is None:
                    self.broken = True
                else:
                    found = [item for item in found if item.start < replacement.start]
                    found.append(replacement)
                index = close
            elif index in self.put_in:
                found.append(self.put_in[index])
            index += 1
        return found

    def before(self, index: int, first: int) -> tuple[int, bool]:
        """Where the call of the name at `index` begins, and whether an operand stands in front of its point."""
        tokens = self.lexed.tokens
        if index - 2 < first or tokens[index - 1].token_type is not TokenType.DOT:
            return index, False
        if _is_main(self.lexed, index - 2, first):
            return index - 2, False
        return _operand(self.lexed, index - 2, first), True

    def call(self, index: int, first: int, last: int) -> int | None:
        """The index of the `)` of the call that begins here."""
        lexed, tokens = self.lexed, self.lexed.tokens
        if index + 1 >= last or tokens[index + 1].token_type is not TokenType.L_PAREN:
            return None
        if tokens[index].text.lower() not in self.names or not is_word(lexed, index):
            return None
        before = tokens[index - 1].token_type if index > first else None
        if before is TokenType.ALIAS:
            return None
        if before is TokenType.DOT and not _is_main(lexed, index - 2, first):
            begin = _operand(lexed, index - 2, first) if self.chains and index - 2 >= first else index
            if begin == index or begin in (self.tables or ()):
                return None
        close = closing(lexed, index + 1, last)
        if close is None:
            return None
        is_cte = (
            before in (TokenType.WITH, TokenType.RECURSIVE, TokenType.COMMA)
            and close + 2 < last
            and tokens[close + 1].token_type is TokenType.ALIAS
            and tokens[close + 2].text.lower() in ("(", "not", "materialized")
        )
        return None if is_cte else close

    def expanded(self, index: int, close: int, begin: int, operand: bool, first: int, last: int) -> Replacement | None:
        """What a call becomes whose name stands at `index`. `begin`: where it starts, with what stands before a point."""
        tokens = self.lexed.tokens
        start, end = tokens[begin].start, tokens[close].end + 1
        start -= begin in self.lexed.parameter_tokens(begin, begin + 1)  # the `$`
        span = self.at(start, end)
        template = self.lookup(tokens[index].text.lower(), span)
        if template is None or template.parts is None:
            return None
        if self.depth > _DEEPEST:
            message = f"macro calls are nested more than {_DEEPEST} levels deep"
            self.wrong(message, span, None, template)
            return None
        in_from = begin in (self.tables or ())
        before = tokens[begin - 1].token_type if begin > first else None
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
                f"write `FROM {template.name}(...)`",
                template,
            )
            return None
        broken, self.broken = self.broken, False
        chained = self.rendered(begin, index - 1) if operand else None
        arguments = self.arguments(template, index, close, span, chained)
        if arguments is None or self.broken:
            return None
        self.broken = broken
        if template.size([parts_size(argument) for argument in arguments]) > LONGEST:
            message = f"`{template.name}` expands to more than {LONGEST} characters here"
            self.wrong(message, span, "use a macro less deep inside itself", template)
            return None
        parts: Parts = (Mark.CALL, "(", *with_arguments(template.parts, arguments), ")", Mark.CALL_END)
        if template.table and not self.has_alias(close + 1, last):
            parts = (*parts, f" AS {quoted(tokens[index].text)}")
        return Replacement(start, end, parts)

    def arguments(
        self, template: Template, index: int, close: int, span: Span, chained: Parts | None
    ) -> list[Parts] | None:
        """The arguments of a call in the order of the parameters; None when they do not fit. `chained`: the first one,
        where it stands before the name."""
        lexed, tokens = self.lexed, self.lexed.tokens
        names = {p.name.lower(): n for n, p in enumerate(template.parameters)}
        given: dict[int, Parts] = {}
        named = False
        pieces = list(split_arguments(lexed, index + 2, close))
        positional = 0
        if chained is not None:
            given[0] = chained
            positional = 1
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
        missing = [p.name for n, p in enumerate(template.parameters) if n not in given and p.default is None]
        if positional > wanted or missing:
            takes = "no arguments" if wanted == 0 else f"{_count(template)} argument{'s' * (wanted != 1)}"
            message = f"`{template.name}` takes {takes}, {len(pieces) + (chained is not None)} given"
            names_missing = ", ".join(f"`{name}`" for name in missing)
            hint = f"missing: {names_missing}" if missing else None
            self.wrong(message, span, hint, template)
            return None
        return [given.get(n, parameter.default or ()) for n, parameter in enumerate(template.parameters)]

    def rendered(self, begin: int, end: int) -> Parts:
        self.depth += 1
        parts = between(self.lexed, begin, end, self.replacements(begin, end))
        self.depth -= 1
        return parts

    def has_alias(self, index: int, last: int) -> bool:
        if index >= last:
            return False
        token = self.lexed.tokens[index]
        if token.token_type in (TokenType.ALIAS, TokenType.IDENTIFIER):
            return True
        return is_word(self.lexed, index) and self.lexed.source(index).split()[0].lower() not in _AFTER_TABLE

    def wrong(self, message: str, span: Span, hint: str | None, template: Template) -> None:
        note = Note(f"`{template.name}` is defined here", template.span)
        self.problems.append(Diagnostic("macro-call", message, span, hint, notes=(note,)))


def _is_main(lexed: Lexed, index: int, first: int) -> bool:
    """Whether the schema in which macros are stands at `index`."""
    alone = index == first or lexed.tokens[index - 1].token_type is not TokenType.DOT
    return index >= first and alone and lexed.tokens[index].text.lower() == "main" and is_word(lexed, index)


def _operand(lexed: Lexed, index: int, first: int) -> int:
    """The index of the first token of the operand that ends at `index`: `a.b`, `(a + b)`, `f(x)[1]`, `'text'`."""
    tokens = lexed.tokens
    while True:
        if tokens[index].token_type in CLOSING:
            depth = 0
            while index >= first:
                kind = tokens[index].token_type
                depth += (kind in CLOSING) - (kind in OPENING)
                if depth == 0:
                    break
                index -= 1
            ends = index > first and tokens[index].token_type is not TokenType.L_BRACE and _ends_name(lexed, index - 1)
            if not ends:
                return max(index, first)
            index -= 1
        elif index > first + 1 and tokens[index - 1].token_type is TokenType.DOT:
            index -= 2
        else:
            return index


def _ends_name(lexed: Lexed, index: int) -> bool:
    """Whether a bracket behind this token belongs to it: a call, or a place in a list."""
    kind = lexed.tokens[index].token_type
    return kind in CLOSING or kind is TokenType.IDENTIFIER or (kind is TokenType.VAR and is_word(lexed, index))


def arguments_in(replacements: Iterable[Replacement], shift: int) -> tuple[Argument, ...]:
    """Where arguments of macros stand in a text after the replacements were made in it. `shift`: the offset in the file at
    which the text begins."""
    found: list[Argument] = []
    grown = 0
    for replacement in replacements:
        at = replacement.start - shift + grown
        calls: list[tuple[int, list[tuple[int, int]]]] = []
        open_: list[int] = []
        for part in replacement.parts:
            if isinstance(part, str):
                at += len(part)
            elif part is Mark.CALL:
                calls.append((at, []))
            elif part is Mark.ARGUMENT:
                open_.append(at)
            elif part is Mark.ARGUMENT_END:
                calls[-1][1].append((open_.pop(), at))
            elif part is Mark.CALL_END:
                start, ranges = calls.pop()
                written = (replacement.start, replacement.end)
                found += [Argument(begin, end, (start, at), written) for begin, end in ranges]
        grown += parts_size(replacement.parts) - (replacement.end - replacement.start)
    return tuple(found)


def parts_size(parts: Parts) -> int:
    """The length of the text of parts, their holes left out."""
    return sum(len(part) for part in parts if isinstance(part, str))


def _count(template: Template) -> str:
    wanted = len(template.parameters)
    least = sum(parameter.default is None for parameter in template.parameters)
    return str(wanted) if least == wanted else f"{least} to {wanted}"


def closing(lexed: Lexed, index: int, last: int) -> int | None:
    """The index of the bracket that closes the one at `index`."""
    depth = 0
    for place in range(index, last):
        kind = lexed.tokens[place].token_type
        depth += (kind in OPENING) - (kind in CLOSING)
        if depth == 0:
            return place
    return None


def split_arguments(lexed: Lexed, first: int, close: int) -> list[tuple[int, int]]:
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


def between(lexed: Lexed, first: int, last: int, replacements: Iterable[Replacement]) -> Parts:
    """The text from the first to the last token of a range, with replacements made."""
    replacements = list(replacements)
    start, end = lexed.tokens[first].start, lexed.tokens[last - 1].end + 1
    if first in lexed.parameter_tokens(first, first + 1):
        start -= 1  # the `$`
    return replaced(lexed.text, start, end, replacements)


def text_of(replacement: Replacement) -> str:
    """The text that a replacement puts in, outside of any macro."""
    return joined_text(replacement.parts)


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
