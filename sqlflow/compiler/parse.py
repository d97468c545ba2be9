"""A query's text -> what can be told from it alone: tables it names, functions that depend on the time, its meaning.

`parse` is a pure function of text and dialect, so its results are kept in the compile cache.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence

import sqlglot
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
    masked = _BOUND.sub(lambda found: "0" * len(found[0]), query)
    try:
        tokens = Dialect.get_or_raise(dialect).tokenize(masked)
    except SqlglotError:
        found = binder.parse(query)
        error = found if isinstance(found, BindError) else BindError("syntax", "this text cannot be read")
        return Parsed(error=error), None
    tree = parse_tree(masked, dialect)
    if tree is None:
        found = binder.parse(query)
        if isinstance(found, BindError):
            return Parsed(error=found), None
        tables = found
    else:
        tables = tuple(_tables(tree, query))
    parsed = Parsed(
        tables=tables,
        clock=_clock(tokens),
        bounds=tuple(_bounds(query, tokens)),
        meaning=meaning(tokens, query),
        forbidden=_forbidden(tree),
        opaque=tree is None,
    )
    return parsed, tree


def parse_tree(query: str, dialect: str) -> exp.Query | None:
    """The syntax tree of a query; None where sqlglot cannot read it."""
    try:
        tree = sqlglot.parse_one(query, dialect=dialect)
    except (ParseError, SqlglotError, RecursionError):
        return None
    return tree if isinstance(tree, exp.Query) else None


def _tables(tree: exp.Query, query: str) -> Iterator[ReadTable]:
    """The tables that stand in the query and are not CTEs of a scope around them."""
    stack: list[tuple[exp.Expr, frozenset[str]]] = [(tree, frozenset())]
    found: list[ReadTable] = []
    while stack:
        node, ctes = stack.pop()
        with_ = node.args.get("with_") or node.args.get("with")
        if isinstance(with_, exp.With):
            for cte in with_.expressions:
                name = cte.alias.lower()
                stack.append((cte.this, ctes | {name} if with_.recursive else ctes))
                ctes |= {name}
        if isinstance(node, exp.Table) and isinstance(node.this, exp.Identifier):
            table = _read_table(node, query)
            if table.schema is not None or table.name.lower() not in ctes:
                found.append(table)
        for child in node.iter_expressions():
            if child is not with_:
                stack.append((child, ctes))
    yield from sorted(found, key=lambda table: table.start)


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


def _forbidden(tree: exp.Query | None) -> str:
    found = None if tree is None else tree.find(*_FORBIDDEN)
    return "" if found is None else found.key.upper()


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


def meaning(tokens: Sequence[Token], query: str) -> str:
    """A hash that formatting, comments, the case of words and an optional AS do not change."""
    parts: list[str] = []
    for token in tokens:
        written = query[token.start : token.end + 1]
        if token.token_type is TokenType.IDENTIFIER:
            plain = token.text.isidentifier() and token.text.lower() not in _CLOCK_WORDS
            parts.append(token.text.lower() if plain else '"' + token.text.lower() + '"')
        elif "'" in written or written.startswith("$"):
            parts.append(written)  # a string of any kind, letter by letter
        elif written.upper() != "AS":
            # One token may be several words: how far `GROUP` stands from `BY` means nothing.
            parts.extend(_SAME.get(word, word) for word in written.lower().split())
    return hashlib.blake2b("\x1f".join(parts).encode(), digest_size=16).hexdigest()
