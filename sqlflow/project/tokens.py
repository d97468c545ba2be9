"""SQL text as tokens with reliable places, and the `$names` in it.

sqlglot's tokenizer takes `$a, $b` for the beginning of a dollar-quoted string when no white space follows, so the
`$` of each parameter is blanked out before it sees the text; all offsets stay the same.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from msgspec import Struct
from sqlglot import Token, TokenType
from sqlglot.dialects.dialect import Dialect
from sqlglot.errors import TokenError

from sqlflow.core.beyond import behind_searches

OPENING = frozenset({TokenType.L_PAREN, TokenType.L_BRACKET, TokenType.L_BRACE})
CLOSING = frozenset({TokenType.R_PAREN, TokenType.R_BRACKET, TokenType.R_BRACE})
_PAIRS = {
    TokenType.R_PAREN: TokenType.L_PAREN,
    TokenType.R_BRACKET: TokenType.L_BRACKET,
    TokenType.R_BRACE: TokenType.L_BRACE,
}
_LEXEME = re.compile(
    r"""
      (?P<comment>--[^\r\n]*)
    | (?P<block>/\*)
    | (?P<escaped>[eE]'(?:[^'\\]|\\.|'')*(?P<escaped_end>')?)
    | (?P<string>'[^']*(?:''[^']*)*(?P<string_end>')?)
    | (?P<quoted>"[^"]*(?:""[^"]*)*(?P<quoted_end>")?)
    | (?P<dollar>\$(?:[^\W\d]\w*)?\$)
    | (?P<brace>\$\{[^}\r\n]*\}?)
    | (?P<name>\$[^\W\d]\w*)
    | (?P<number>\$\d+)
    | [^\W\d][\w$]*
    | \d+
    """,
    re.VERBOSE | re.DOTALL,
)
_BLOCK_EDGE = re.compile(r"/\*|\*/")


class Parameter(Struct, frozen=True):
    """`$name`, or something else with a `$` that only looks like a parameter (`name` is then None)."""

    start: int
    end: int
    name: str | None


class Lexed(Struct, frozen=True):
    """A text and its tokens. `parameters`: in order; the word of a `$name` is a token of its own too."""

    text: str
    tokens: Sequence[Token]
    parameters: tuple[Parameter, ...] = ()
    dialect: str = ""

    def source(self, index: int) -> str:
        """A token as it is written."""
        token = self.tokens[index]
        return self.text[token.start : token.end + 1]

    def parameter_tokens(self, first: int = 0, last: int | None = None) -> dict[int, Parameter]:
        """Token index -> the `$name` it belongs to."""
        if not self.parameters:
            return {}
        by_start = {p.start + 1: p for p in self.parameters if p.name is not None}
        stop = len(self.tokens) if last is None else last
        return {
            index: by_start[self.tokens[index].start]
            for index in range(first, stop)
            if self.tokens[index].start in by_start
        }


class LexProblem(Struct, frozen=True):
    """Text that cannot be cut into tokens: what is wrong at `[start, end)`."""

    message: str
    start: int
    end: int
    hint: str | None = None


def lex(text: str, dialect: str) -> Lexed | LexProblem:
    """The tokens of a text, without comments."""
    parameters: tuple[Parameter, ...] = ()
    plain = text
    if "$" in text:
        found = _scan(text)
        if isinstance(found, LexProblem):
            return found
        parameters = found
        characters = list(text)
        for parameter in parameters:
            characters[parameter.start] = " "
        plain = "".join(characters)
    try:
        tokens = Dialect.get_or_raise(dialect).tokenize(plain)
    except TokenError:
        found = _scan(text)
        if isinstance(found, LexProblem):
            return found
        return LexProblem("the SQL cannot be read", 0, len(text))
    return Lexed(text, tokens, parameters, dialect)


def unbalanced(lexed: Lexed, first: int = 0, last: int | None = None) -> LexProblem | None:
    """The first bracket in a range of tokens that is closed without being open, or never closed."""
    open_: list[Token] = []
    for token in lexed.tokens[first:last]:
        if token.token_type in OPENING:
            open_.append(token)
        elif token.token_type in CLOSING:
            if not open_ or open_[-1].token_type is not _PAIRS[token.token_type]:
                return LexProblem(f"`{token.text}` closes nothing", token.start, token.end + 1)
            open_.pop()
    if open_:
        token = open_[0]
        return LexProblem(f"`{token.text}` is never closed", token.start, token.end + 1)
    return None


def is_word(lexed: Lexed, index: int) -> bool:
    """Whether a token is a name or keyword, quoted or not."""
    token = lexed.tokens[index]
    if token.token_type in (TokenType.VAR, TokenType.IDENTIFIER):
        return True
    first = lexed.text[token.start]
    return (first.isalpha() or first == "_") and token.text.replace(" ", "_").isidentifier()


def after_ctes(lexed: Lexed, first: int, last: int) -> int:
    """The index of the token with which the main query begins, behind `WITH a AS (...), ...`."""
    index = first
    if index >= last or lexed.tokens[index].token_type is not TokenType.WITH:
        return index
    depth = 0
    closed = False
    skip = first
    for index in range(first + 1, last):
        if index < skip:
            continue
        kind = lexed.tokens[index].token_type
        if depth == 0 and closed:
            if kind is not TokenType.COMMA:
                # `WITH a(x) AS (...)`, `USING KEY (x) AS (...)`: a list of columns is not yet the end.
                if kind is TokenType.ALIAS or kind is TokenType.USING:
                    closed = False
                    continue
                if (behind := behind_searches(lexed.tokens, index)) > index:
                    skip = behind
                    continue
                return index
            closed = False
        if kind in OPENING:
            depth += 1
        elif kind in CLOSING:
            depth -= 1
            closed = depth == 0
    return last


def _scan(text: str) -> tuple[Parameter, ...] | LexProblem:
    """The parameters in a text, or where a string, name or comment in it is never closed."""
    parameters: list[Parameter] = []
    position = 0
    while match := _LEXEME.search(text, position):
        position = match.end()
        start = match.start()
        match match.lastgroup:
            case "block":
                end = end_of_block(text, start)
                if end is None:
                    return LexProblem("a comment is never closed", start, start + 2, "close it with `*/`")
                position = end
            case "escaped" | "string" if not (match["escaped_end"] or match["string_end"]):
                return _open("a string", start, "'")
            case "quoted" if not match["quoted_end"]:
                return _open("a quoted name", start, '"')
            case "dollar":
                end = text.find(match[0], match.end())
                if end < 0:
                    return LexProblem(f"a string that begins with `{match[0]}` is never closed", start, position)
                position = end + len(match[0])
            case "name":
                parameters.append(Parameter(start, position, match[0][1:]))
            case "brace" | "number":
                parameters.append(Parameter(start, position, None))
            case _:
                pass
    return tuple(parameters)


def _open(what: str, start: int, quote: str) -> LexProblem:
    hint = f"close it with `{quote}`; a `{quote}` inside is written twice"
    return LexProblem(f"{what} is never closed", start, start + 1, hint)


def end_of_block(text: str, start: int) -> int | None:
    """Where the block comment that begins at `start` ends, with those inside it; None where it is never closed."""
    depth = 0
    for edge in _BLOCK_EDGE.finditer(text, start):
        depth += 1 if edge[0] == "/*" else -1
        if depth == 0:
            return edge.end()
    return None
