"""Clauses of PostgreSQL that sqlglot cannot read, and that name no table: taken out, the rest tells which tables are read.

A query that is read so has no tree that says what it means; only the server knows that.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.tokenizer_core import Token, TokenType

from sqlflow.core.syntax import sqlglot_dialect, tree_of

_OPERATOR = frozenset("+-*/<>=~!@#%^&|`?")


def tables_tree(query: str, dialect: str) -> exp.Query | None:
    """A tree that has the tables of a query at their places, and perhaps not the meaning; None where there is none."""
    try:
        tokens = sqlglot_dialect(dialect).tokenize(query)
    except SqlglotError:
        return None
    return tree_of(readable(tokens), query, dialect)


def readable(tokens: Sequence[Token]) -> list[Token]:
    """The tokens without what sqlglot cannot read."""
    kept: list[Token] = []
    index = 0
    while index < len(tokens):
        behind = _behind(tokens, index)
        if behind > index:
            index = behind
            continue
        token = tokens[index]
        behind = _behind_run(tokens, index)
        if behind > index + 1:
            kept.append(Token(TokenType.DASH, "-", token.line, token.col, token.start, tokens[behind - 1].end))
            index = behind
            continue
        kept.append(_as_select(token) if _is_values(tokens, index) else token)
        index += 1
    return kept


def behind_searches(tokens: Sequence[Token], index: int) -> int:
    """The index behind the `SEARCH` and `CYCLE` clauses that begin there; the same index where none does."""
    return _behind_cycle(tokens, _behind_search(tokens, index))


def _behind(tokens: Sequence[Token], index: int) -> int:
    """The index behind a clause that is left out."""
    if index == 0:
        return index
    before = tokens[index - 1].token_type
    if before is TokenType.R_PAREN and (behind := behind_searches(tokens, index)) > index:
        return behind
    if _word(tokens, index) == "USING" and (behind := _behind_operator(tokens, index + 1)) > index + 1:
        return behind
    if before is TokenType.R_PAREN and _word(tokens, index) == "AS" and _closes_using(tokens, index - 1):
        return index + 2
    if _word(tokens, index) == "AT" and _word(tokens, index + 1) == "LOCAL":
        return index + 2
    return index


def _behind_search(tokens: Sequence[Token], index: int) -> int:
    """`SEARCH DEPTH FIRST BY a, b SET c`"""
    if _word(tokens, index) != "SEARCH" or _word(tokens, index + 1) not in ("DEPTH", "BREADTH"):
        return index
    if _word(tokens, index + 2) != "FIRST" or _word(tokens, index + 3) != "BY":
        return index
    at = _behind_names(tokens, index + 4)
    return at + 2 if _word(tokens, at) == "SET" else index


def _behind_cycle(tokens: Sequence[Token], index: int) -> int:
    """`CYCLE a, b SET c TO 'y' DEFAULT 'n' USING path`, of which the values are constants."""
    if _word(tokens, index) != "CYCLE":
        return index
    at = _behind_names(tokens, index + 1)
    if _word(tokens, at) != "SET":
        return index
    at += 2
    if _word(tokens, at) == "TO":
        while at < len(tokens) and _word(tokens, at) != "USING":
            if tokens[at].token_type is TokenType.SELECT:
                return index
            at += 1
    return at + 2 if _word(tokens, at) == "USING" else index


def _behind_names(tokens: Sequence[Token], index: int) -> int:
    """The index behind a list of names."""
    while index + 1 < len(tokens) and tokens[index + 1].token_type is TokenType.COMMA:
        index += 2
    return index + 1


def _behind_operator(tokens: Sequence[Token], index: int) -> int:
    """The index behind `>` or `OPERATOR(pg_catalog.>)`."""
    if _word(tokens, index) == "OPERATOR" and _is(tokens, index + 1, TokenType.L_PAREN):
        while index < len(tokens) and tokens[index].token_type is not TokenType.R_PAREN:
            index += 1
        return index + 1
    while index < len(tokens) and _is_operator(tokens[index]):
        index += 1
    return index


def _behind_run(tokens: Sequence[Token], index: int) -> int:
    """The index behind the signs that stand together as one operator, such as `~<~` or that of an extension."""
    behind = index
    while behind < len(tokens) and _is_operator(tokens[behind]):
        if behind > index and tokens[behind].start != tokens[behind - 1].end + 1:
            break
        behind += 1
    return behind


def _is_operator(token: Token) -> bool:
    plain = token.token_type not in (TokenType.STRING, TokenType.IDENTIFIER)
    return plain and bool(token.text) and _OPERATOR.issuperset(token.text)


def _closes_using(tokens: Sequence[Token], index: int) -> bool:
    """Whether a bracket closes that of `JOIN t USING (a, b)`."""
    while index > 0 and tokens[index].token_type is not TokenType.L_PAREN:
        index -= 1
    return index > 0 and tokens[index - 1].token_type is TokenType.USING


def _is_values(tokens: Sequence[Token], index: int) -> bool:
    return _word(tokens, index) == "VALUES" and _is(tokens, index + 1, TokenType.L_PAREN)


def _as_select(token: Token) -> Token:
    """`SELECT (1, 2), (3, 4)` names the same tables as `VALUES (1, 2), (3, 4)`, and may stand behind WITH."""
    return Token(TokenType.SELECT, "SELECT", token.line, token.col, token.start, token.end)


def _word(tokens: Sequence[Token], index: int) -> str:
    if index >= len(tokens) or tokens[index].token_type in (TokenType.IDENTIFIER, TokenType.STRING):
        return ""
    return tokens[index].text.upper()


def _is(tokens: Sequence[Token], index: int, kind: TokenType) -> bool:
    return index < len(tokens) and tokens[index].token_type is kind
