"""A query's text -> what can be told from it alone: tables it names, functions that depend on the time, its meaning.

`parse` is a pure function of text and dialect, so its results are kept in the compile cache.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence

from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.tokenizer_core import Token, TokenType

from sqlflow.core.engine import Binder, BindError
from sqlflow.core.known import Parsed
from sqlflow.core.syntax import named_tables, sqlglot_dialect, tree_of

_BOUND = re.compile(r"\$(?:start|end)\b", re.IGNORECASE)


def parse(query: str, dialect: str, binder: Binder) -> tuple[Parsed, exp.Query | None]:
    """What the text of a query says by itself, and its syntax tree where there is one."""
    # sqlglot takes `$start,$end` for the beginning of a dollar-quoted string; numbers as long keep the offsets.
    masked = _BOUND.sub(lambda found: "0" * len(found[0]), query) if "$" in query else query
    try:
        tokens = sqlglot_dialect(dialect).tokenize(masked)
    except SqlglotError:
        found = binder.parse(query)
        error = found if isinstance(found, BindError) else BindError("syntax", "this text cannot be read")
        return Parsed(error=error), None
    tree = tree_of(tokens, masked, dialect)
    forbidden = ""
    if tree is None:
        found = binder.parse(query)
        if isinstance(found, BindError):
            return Parsed(error=found), None
        tables = found
    else:
        tables, forbidden = named_tables(tree, query, dialect)
    texts = binder.traits.clock_texts
    parsed = Parsed(
        tables=tables,
        clock=_clock(tokens, texts) if texts or _TIMELY.search(query) else (),
        bounds=tuple(_bounds(query, tokens)) if "$" in query else (),
        meaning=meaning(tokens, query),
        forbidden=forbidden,
        opaque=tree is None,
    )
    return parsed, tree


_CLOCK_WORDS = frozenset({"current_date", "current_timestamp", "current_time", "localtime", "localtimestamp"})
_CLOCK_CALLS = frozenset(
    {
        "now",
        "today",
        "get_current_timestamp",
        "get_current_time",
        "transaction_timestamp",
        "clock_timestamp",
        "statement_timestamp",
        "timeofday",
    }
)
_DAY = frozenset({"current_date", "today"})
_OUTSIDE = frozenset(
    {
        "read_csv", "read_csv_auto", "read_parquet", "parquet_scan", "read_json", "read_json_auto", "read_ndjson",
        "read_text", "read_blob", "glob", "sqlite_scan", "postgres_scan", "iceberg_scan", "delta_scan", "nextval",
        "duckdb_tables", "duckdb_columns", "duckdb_views", "duckdb_settings", "pg_catalog", "information_schema",
    }
)  # fmt: skip


_TIMELY = re.compile(rf"\b(?:{'|'.join(sorted({*_CLOCK_WORDS, *_CLOCK_CALLS, *_OUTSIDE, 'age'}))})\b", re.IGNORECASE)


def _clock(tokens: Sequence[Token], texts: frozenset[str]) -> tuple[str, ...]:
    """Functions, and `texts`, that give something else at another time: `day` for those that change at midnight, else
    the name."""
    found: set[str] = set()
    for index, token in enumerate(tokens):
        if texts and token.token_type is TokenType.STRING and (text := token.text.strip().lower()) in texts:
            found.add(text if text == "now" else "day")
        if token.token_type in (TokenType.STRING, TokenType.NUMBER, TokenType.IDENTIFIER):
            continue
        word = token.text.lower()
        before = tokens[index - 1].token_type if index else None
        called = index + 1 < len(tokens) and tokens[index + 1].token_type is TokenType.L_PAREN
        if before is TokenType.DOT or before is TokenType.ALIAS:
            continue
        if word in _CLOCK_WORDS or (called and word in _CLOCK_CALLS):
            found.add("day" if word in _DAY else word)
        elif word in _OUTSIDE and (called or word in ("pg_catalog", "information_schema")):
            found.add(word)
        elif called and word == "age" and _one_argument(tokens, index + 1):
            found.add("age")
    return tuple(sorted(found))


def _one_argument(tokens: Sequence[Token], opening: int) -> bool:
    depth = 0
    for token in tokens[opening:]:
        if token.token_type in (TokenType.L_PAREN, TokenType.L_BRACKET):
            depth += 1
        elif token.token_type in (TokenType.R_PAREN, TokenType.R_BRACKET):
            depth -= 1
            if depth == 0:
                return True
        elif token.token_type is TokenType.COMMA and depth == 1:
            return False
    return True


def _bounds(query: str, tokens: Sequence[Token]) -> Iterator[tuple[int, int, str]]:
    for token in tokens:
        written = query[token.start : token.end + 1].lower()
        if token.token_type is TokenType.NUMBER and written in ("$start", "$end"):
            yield token.start, token.end + 1, written[1:]


_SAME = {"!=": "<>", "==": "="}
_MOST_WORDS = 100_000
_words: dict[str, str] = {}  # as it is written -> what it means; the same few words make up most of all queries


def meaning(tokens: Sequence[Token], query: str) -> str:
    """A hash that formatting, comments, the case of words and an optional AS do not change."""
    if len(_words) > _MOST_WORDS:
        _words.clear()
    parts: list[str] = []
    for token in tokens:
        written = query[token.start : token.end + 1]
        part = _words.get(written)
        if part is None:
            part = _meant(token, written)
            if token.token_type is not TokenType.IDENTIFIER:
                _words[written] = part
        if part:
            parts.append(part)
    return hashlib.blake2b("\x1f".join(parts).encode(), digest_size=16).hexdigest()


def _meant(token: Token, written: str) -> str:
    if token.token_type is TokenType.IDENTIFIER:
        plain = token.text.isidentifier() and token.text.lower() not in _CLOCK_WORDS
        return token.text.lower() if plain else '"' + token.text.lower() + '"'
    if "'" in written or written.startswith("$"):
        return written  # a string of any kind, letter by letter
    if written.upper() == "AS":
        return ""
    # One token may be several words: how far `GROUP` stands from `BY` means nothing.
    return "\x1f".join([_SAME.get(word, word) for word in written.lower().split()])
