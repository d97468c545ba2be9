"""A query's text -> what can be told from it alone: tables it names, functions that depend on the time, its meaning.

`parse` is a pure function of text and dialect, so its results are kept in the compile cache.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from functools import cache

from msgspec.structs import replace
from sqlglot import exp
from sqlglot.errors import ParseError, SqlglotError
from sqlglot.tokenizer_core import Token, TokenType

from sqlflow.compiler.functions.spelled import named_in
from sqlflow.core.beyond import readable
from sqlflow.core.clock import Moving, Nature
from sqlflow.core.engine import Binder, BindError, ReadTable, may_be_catalogue
from sqlflow.core.intervals import Grain
from sqlflow.core.known import Parsed
from sqlflow.core.syntax import (
    VALUES_WITHOUT_BRACKETS,
    named_tables,
    place_of,
    sqlglot_dialect,
    statements_of,
    tree_of,
)

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
        try:
            found = binder.parse(masked)
        except RecursionError:
            found = BindError("too-deep", "the query is nested more deeply than SQLFlow can read", 0)
        if isinstance(found, BindError):
            return Parsed(error=found if found.start is not None else _beyond(found, masked, tokens, dialect)), None
        tables = found
    else:
        tables, forbidden = named_tables(tree, query, dialect)
        if (changing := _changing_columns(tree)) is not None:
            return Parsed(error=changing), None
    meant, spelled = meaning(tokens, query, dialect)
    parsed = Parsed(
        tables=tables,
        clock=_clock(tokens, tables, binder.traits.clock_texts, dialect),
        bounds=tuple(_bounds(query, tokens)) if "$" in query else (),
        meaning=meant,
        spelling=spelled,
        forbidden=forbidden,
        opaque=tree is None,
    )
    return parsed, tree


def _beyond(error: BindError, query: str, tokens: Sequence[Token], dialect: str) -> BindError:
    """The error, at the word at which SQLFlow's own parser gives up."""
    if error.code == "too-deep":
        return error
    try:
        statements_of(readable(tokens) if dialect == "postgres" else tokens, query, dialect)
    except RecursionError:
        return BindError("too-deep", "the query is nested more deeply than SQLFlow can read", 0)
    except SqlglotError as given_up:
        word, start = _word_of(given_up, query)
        if start is not None:
            return replace(error, message=f"{error.message}, from `{word}` on", start=start, end=start + len(word))
    return error


def _word_of(error: Exception, query: str) -> tuple[str, int | None]:
    """The word at which the parser gave up, and where it stands."""
    details = error.errors[0] if isinstance(error, ParseError) and error.errors else {}
    word, line, column = str(details.get("highlight") or ""), details.get("line"), details.get("col")
    if not word or not isinstance(line, int) or not isinstance(column, int):
        return "", None
    return word, sum(len(each) + 1 for each in query.split("\n")[: line - 1]) + column - len(word)


def parse_foreign(query: str, dialect: str, binder: Binder) -> tuple[Parsed, exp.Query | None]:
    """The same of a query in another SQL than the engine's, of which only SQLFlow's own parser can tell."""
    masked = _BOUND.sub(lambda found: "0" * len(found[0]), query) if "$" in query else query
    try:
        statement = statements_of(sqlglot_dialect(dialect).tokenize(masked), masked, dialect)[0]
    except (SqlglotError, RecursionError) as error:
        return Parsed(error=_unread(error, query, dialect)), None
    if not isinstance(statement, exp.Query):
        return Parsed(error=BindError("not-translatable", f"this is no query that can be read as {dialect}", 0)), None
    return parse(query, dialect, binder)


def _unread(error: Exception, query: str, dialect: str) -> BindError:
    """Where SQLFlow's parser gave up, and at which word."""
    said = f"SQLFlow cannot read this query as {dialect}, so it cannot translate it"
    word, start = _word_of(error, query)
    if start is None:
        return BindError("not-translatable", said, 0)
    return BindError("not-translatable", f"{said}: it is understood up to `{word}`", start, start + len(word))


def _clock(
    tokens: Sequence[Token], tables: Sequence[ReadTable], texts: frozenset[str], dialect: str
) -> tuple[Moving, ...]:
    """What may be something else in another build, for a query that nothing else is known of."""
    found = set(named_in(_called(tokens), dialect))
    found |= {Moving(table.name.lower(), Nature.OUTSIDE) for table in tables if may_be_catalogue(table)}
    for token in tokens if texts else ():
        if token.token_type is TokenType.STRING and (text := token.text.strip().lower()) in texts:
            found.add(Moving(text, Nature.CLOCK, None if text == "now" else Grain.DAY))
    return tuple(sorted(found))


def _called(tokens: Sequence[Token]) -> Iterator[tuple[str, bool]]:
    """The words, and whether each is called."""
    for index, token in enumerate(tokens):
        if token.token_type in (TokenType.STRING, TokenType.NUMBER):
            continue
        before = tokens[index - 1].token_type if index else None
        called = index + 1 < len(tokens) and tokens[index + 1].token_type is TokenType.L_PAREN
        if before is TokenType.ALIAS:
            continue
        if before is TokenType.L_PAREN and index > 1 and tokens[index - 2].text.upper() == "OPERATOR":
            continue  # `OPERATOR(pg_catalog.+)`
        if not called and (token.token_type is TokenType.IDENTIFIER or before is TokenType.DOT):
            continue
        yield token.text.lower(), called


def _changing_columns(tree: exp.Query) -> BindError | None:
    """A PIVOT whose columns are the values that happen to be in the data: the table would be another one each time."""
    for pivot in tree.find_all(exp.Pivot):
        if pivot.args.get("unpivot"):
            continue
        for on in pivot.args.get("fields") or pivot.expressions:
            inside = (*on.expressions, on.args.get("query")) if isinstance(on, exp.In) else ()
            if not isinstance(on, exp.In) or any(isinstance(value, exp.Query) for value in inside):
                start, end = place_of(on)
                return BindError("pivot-columns", "the columns of this PIVOT depend on the rows", start, end)
    return None


def _bounds(query: str, tokens: Sequence[Token]) -> Iterator[tuple[int, int, str]]:
    for token in tokens:
        written = query[token.start : token.end + 1].lower()
        if token.token_type is TokenType.NUMBER and written in ("$start", "$end"):
            yield token.start, token.end + 1, written[1:]


_SAME = {"!=": "<>", "==": "="}
_MOST_WORDS = 100_000
_words: dict[str, dict[str, tuple[str, str]]] = {}  # dialect -> as it is written -> what it means, and its spelling


def meaning(tokens: Sequence[Token], query: str, dialect: str) -> tuple[str, str]:
    """Two hashes that formatting, comments, the case of keywords and an optional AS do not change.

    The case of names does not change the first. It changes the second, which counts where names become values, as in
    `to_json(t)`.
    """
    words = _words.setdefault(dialect, {})  # the same few words make up most of all queries
    if len(words) > _MOST_WORDS:
        words.clear()
    meant: list[str] = []
    spelled: list[str] = []
    last = len(tokens) - 1
    for number, token in enumerate(tokens):
        written = query[token.start : token.end + 1]
        known = words.get(written)
        if known is None:
            known = _meant(token, written, dialect)
            if token.token_type is not TokenType.IDENTIFIER:
                words[written] = known
        part, spelling = known
        if part:
            meant.append(part)
            called = number < last and tokens[number + 1].token_type is TokenType.L_PAREN
            spelled.append(part if called else spelling)
    return _digest(meant), _digest(spelled)


def _digest(parts: Sequence[str]) -> str:
    return hashlib.blake2b("\x1f".join(parts).encode(), digest_size=16).hexdigest()


def _meant(token: Token, written: str, dialect: str) -> tuple[str, str]:
    """What a token means, and its spelling where that may matter."""
    if token.token_type is TokenType.IDENTIFIER:
        return _name_meant(token.text, dialect)
    if "'" in written or written.startswith("$"):
        return written, written  # a string of any kind, letter by letter
    lower = written.lower()
    if lower == "as":
        return "", ""
    # One token may be several words: how far `GROUP` stands from `BY` means nothing.
    part = "\x1f".join([_SAME.get(word, word) for word in lower.split()])
    # In PostgreSQL a name without quotes is in lower case however it is written.
    return part, written if token.token_type is TokenType.VAR and dialect != "postgres" else part


def _name_meant(name: str, dialect: str) -> tuple[str, str]:
    """A name in quotes, which means the same without them unless the word alone is something else."""
    lower = name.lower()
    if dialect == "postgres":
        plain = name == lower and _is_plain(lower, dialect)
        return (name, name) if plain else (f'"{name}"', f'"{name}"')
    return (lower, name) if _is_plain(lower, dialect) else (f'"{lower}"', f'"{name}"')


@cache
def _is_plain(word: str, dialect: str) -> bool:
    """Whether a word is nothing but a name where it stands without quotes."""
    if not word.isidentifier() or word in VALUES_WITHOUT_BRACKETS:
        return False
    try:
        tokens = sqlglot_dialect(dialect).tokenize(word)
    except SqlglotError:
        return False
    return len(tokens) == 1 and tokens[0].token_type is TokenType.VAR
