"""A query's text -> what can be told from it alone: tables it names, functions that depend on the time, its meaning.

`parse` is a pure function of text and dialect, so its results are kept in the compile cache.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from functools import cache

from sqlglot import exp
from sqlglot.dialects.dialect import Dialect
from sqlglot.errors import ParseError, SqlglotError
from sqlglot.tokenizer_core import Token, TokenType

from sqlflow.core.engine import Binder, BindError, ReadTable
from sqlflow.core.known import Parsed

_BOUND = re.compile(r"\$(?:start|end)\b", re.IGNORECASE)


def parse(query: str, dialect: str, binder: Binder) -> tuple[Parsed, exp.Query | None]:
    """What the text of a query says by itself, and its syntax tree where there is one."""
    # sqlglot takes `$start,$end` for the beginning of a dollar-quoted string; numbers as long keep the offsets.
    masked = _BOUND.sub(lambda found: "0" * len(found[0]), query) if "$" in query else query
    try:
        tokens = _dialect(dialect).tokenize(masked)
    except SqlglotError:
        found = binder.parse(query)
        error = found if isinstance(found, BindError) else BindError("syntax", "this text cannot be read")
        return Parsed(error=error), None
    tree = _tree(tokens, masked, dialect)
    forbidden = ""
    if tree is None:
        found = binder.parse(query)
        if isinstance(found, BindError):
            return Parsed(error=found), None
        tables = found
    else:
        tables, forbidden = _named(tree, query)
    parsed = Parsed(
        tables=tables,
        clock=_clock(tokens) if _TIMELY.search(query) else (),
        bounds=tuple(_bounds(query, tokens)) if "$" in query else (),
        meaning=meaning(tokens, query),
        forbidden=forbidden,
        opaque=tree is None,
    )
    return parsed, tree


def parse_tree(query: str, dialect: str) -> exp.Query | None:
    """The syntax tree of a query; None where sqlglot cannot read it."""
    try:
        return _tree(_dialect(dialect).tokenize(query), query, dialect)
    except SqlglotError:
        return None


@cache
def _dialect(name: str) -> Dialect:
    return Dialect.get_or_raise(name)


def _tree(tokens: Sequence[Token], query: str, dialect: str) -> exp.Query | None:
    try:
        statements = _dialect(dialect).parser().parse(list(tokens), query)
    except (ParseError, SqlglotError, RecursionError):
        return None
    tree = statements[0] if len(statements) == 1 else None
    return tree if isinstance(tree, exp.Query) else None


def _named(tree: exp.Query, query: str) -> tuple[tuple[ReadTable, ...], str]:
    """The tables that stand in the query and are not CTEs of a scope around them, and a statement that is no query."""
    forbidden = ""
    tables: list[ReadTable] = []
    for node in tree.find_all(exp.Table, *_FORBIDDEN):
        if not isinstance(node, exp.Table):
            forbidden = forbidden or node.key.upper()
        elif isinstance(node.this, exp.Identifier):
            table = _read_table(node, query)
            if table.schema is not None or not _is_cte(node, table.name.lower()):
                tables.append(table)
    return tuple(sorted(tables, key=lambda table: table.start)), forbidden


def _is_cte(table: exp.Table, name: str) -> bool:
    """Whether a name without a schema is a CTE there: of a query around it, or one that stands before the CTE it is in."""
    node: exp.Expr = table
    while (around := node.parent) is not None:
        if isinstance(around, exp.With):
            for cte in around.expressions:
                if cte is node and not around.recursive:
                    break
                if cte.alias.lower() == name:
                    return True
                if cte is node:
                    break
            query = around.parent
            if query is None:
                return False
            node = query
            continue
        with_ = around.args.get("with_") or around.args.get("with")
        if isinstance(with_, exp.With) and any(cte.alias.lower() == name for cte in with_.expressions):
            return True
        node = around
    return False


def _read_table(node: exp.Table, query: str) -> ReadTable:
    name = node.this
    schema = node.args.get("db")
    first = node.args.get("catalog") or schema or name
    start, end = first.meta.get("start", 0), name.meta.get("end", -1) + 1
    if node.args.get("catalog"):
        schema_name: str | None = f"{node.catalog}.{node.db}"
    else:
        schema_name = schema.name if isinstance(schema, exp.Identifier) else None
    return ReadTable(schema_name, name.name, start, end, bool(node.args.get("alias")))


_FORBIDDEN: tuple[type[exp.Expr], ...] = (
    exp.Insert,
    exp.Update,
    exp.Delete,
    exp.Merge,
    exp.Create,
    exp.Drop,
    exp.Command,
    exp.Copy,
    exp.Into,
)


_CLOCK_WORDS = frozenset({"current_date", "current_timestamp", "current_time", "localtime", "localtimestamp"})
_CLOCK_CALLS = frozenset({"now", "today", "get_current_timestamp", "get_current_time", "transaction_timestamp"})
_DAY = frozenset({"current_date", "today"})
_OUTSIDE = frozenset(
    {
        "read_csv", "read_csv_auto", "read_parquet", "parquet_scan", "read_json", "read_json_auto", "read_ndjson",
        "read_text", "read_blob", "glob", "sqlite_scan", "postgres_scan", "iceberg_scan", "delta_scan", "nextval",
        "duckdb_tables", "duckdb_columns", "duckdb_views", "duckdb_settings", "pg_catalog", "information_schema",
    }
)  # fmt: skip


_TIMELY = re.compile(rf"\b(?:{'|'.join(sorted({*_CLOCK_WORDS, *_CLOCK_CALLS, *_OUTSIDE, 'age'}))})\b", re.IGNORECASE)


def _clock(tokens: Sequence[Token]) -> tuple[str, ...]:
    """Functions that give something else at another time: `day` for those that change at midnight, else the name."""
    found: set[str] = set()
    for index, token in enumerate(tokens):
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
