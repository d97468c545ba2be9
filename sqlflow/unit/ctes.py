"""A CTE of a query, as a query of its own."""

from __future__ import annotations

from sqlflow.core.sql import Ident, render
from sqlflow.project.tokens import Lexed, lex


def queries_of_ctes(text: str, dialect: str) -> dict[str, str]:
    """The CTEs with which a query begins, by name in lower case: each with those before it, in the author's words."""
    lexed = lex(text, dialect)
    if not isinstance(lexed, Lexed) or not lexed.tokens or lexed.source(0).lower() != "with":
        return {}
    found: dict[str, str] = {}
    index = 2 if lexed.source(1).lower() == "recursive" else 1
    while index < len(lexed.tokens):
        name = _plain(lexed.source(index))
        body = _body(lexed, index + 1)
        if body is None:
            return found
        end = _closing(lexed, body)
        until = lexed.tokens[end].end + 1
        found[name.lower()] = f"{text[:until]}\nSELECT * FROM {render(Ident(name)) if _quoted(lexed, index) else name}"
        if end + 1 >= len(lexed.tokens) or lexed.source(end + 1) != ",":
            return found
        index = end + 2
    return found


def _body(lexed: Lexed, index: int) -> int | None:
    """The bracket that opens the query, behind AS and what may stand around it."""
    while index < len(lexed.tokens):
        word = lexed.source(index).lower()
        if word == "(" and lexed.source(index - 1).lower() in ("as", "materialized"):
            return index
        index = _closing(lexed, index) + 1 if word == "(" else index + 1
    return None


def _closing(lexed: Lexed, index: int) -> int:
    depth = 0
    for at in range(index, len(lexed.tokens)):
        word = lexed.source(at)
        depth += (word == "(") - (word == ")")
        if depth == 0:
            return at
    return len(lexed.tokens) - 1


def _quoted(lexed: Lexed, index: int) -> bool:
    return lexed.source(index).startswith('"')


def _plain(name: str) -> str:
    return name[1:-1].replace('""', '"') if name.startswith('"') else name
