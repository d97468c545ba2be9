"""The syntax tree of a query, and the tables that are named in it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cache

from sqlglot import exp
from sqlglot.dialects.dialect import Dialect
from sqlglot.errors import ParseError, SqlglotError
from sqlglot.tokenizer_core import Token, TokenType

from sqlflow.core.engine import ReadTable


def parse_tree(query: str, dialect: str) -> exp.Query | None:
    """The syntax tree of a query; None where sqlglot cannot read it."""
    try:
        return tree_of(sqlglot_dialect(dialect).tokenize(query), query, dialect)
    except SqlglotError:
        return None


@cache
def sqlglot_dialect(name: str) -> Dialect:
    return Dialect.get_or_raise(name)


def tree_of(tokens: Sequence[Token], query: str, dialect: str) -> exp.Query | None:
    try:
        statements = statements_of(tokens, query, dialect)
    except (ParseError, SqlglotError, RecursionError):
        return None
    tree = statements[0] if len(statements) == 1 else None
    if not isinstance(tree, exp.Query) or tree.find(exp.RecursiveWithSearch):  # of which it keeps no columns
        return None
    return tree


RECURRING = "recurring"
"""Not a schema: how a recursion USING KEY calls all rows that it has found so far."""

VALUES_WITHOUT_BRACKETS = frozenset(
    [
        "user",
        "current_user",
        "session_user",
        "system_user",
        "current_role",
        "current_catalog",
        "current_schema",
        "current_database",
        "current_date",
        "current_time",
        "current_timestamp",
        "localtime",
        "localtimestamp",
        "null",
        "true",
        "false",
        "default",
    ]
)
"""Words that are functions or values where they stand alone without quotes: in DuckDB when no column has the name."""

_MARK = "\x00"
_PARTS = re.compile(r"\s*(-?[0-9]+(?:\.[0-9]+)?)\s*([a-zA-Z]+)\s*")


def statements_of(tokens: Sequence[Token], text: str, dialect: str) -> list[exp.Expr | None]:
    """The syntax trees of a text. Raises SqlglotError.

    Of an interval such as `1 day 02:00` or `1 day ago` sqlglot keeps the first part alone, unless it sees two; so it is
    shown another one, which is taken out again.
    """
    marked = list(tokens)
    for number, token in enumerate(tokens):
        follows = number > 0 and tokens[number - 1].token_type is TokenType.INTERVAL
        if follows and token.token_type is TokenType.STRING and _loses_parts(token.text):
            marked[number] = Token(
                token.token_type, f"{token.text}{_MARK}0 a 0 a", token.line, token.col, token.start, token.end
            )
    try:
        statements: list[exp.Expr | None] = list(sqlglot_dialect(dialect).parser().parse(marked, text))
    except (TypeError, AttributeError) as error:  # of an operator that has nothing beside it, as sqlglot sees it
        raise ParseError(f"this cannot be read: {error}") from error
    if any(new is not old for new, old in zip(marked, tokens, strict=True)):
        for statement in statements:
            for literal in statement.find_all(exp.Literal) if statement is not None else ():
                literal.set("this", str(literal.this).partition(_MARK)[0])
    said = text.upper()
    if any(way in said for way in _WAYS) and any(_is_bound(tokens, number) for number in range(2, len(tokens))):
        for statement in statements:
            for frame in statement.find_all(exp.WindowSpec) if statement is not None else ():
                _untangle_bounds(frame)
    return statements


_WAYS = ("PRECEDING", "FOLLOWING")


def _is_bound(tokens: Sequence[Token], number: int) -> bool:
    """Whether this is the word behind an interval without a unit, `INTERVAL '36:00:00' PRECEDING`."""
    return (
        tokens[number - 2].token_type is TokenType.INTERVAL
        and tokens[number - 1].token_type is TokenType.STRING
        and tokens[number].text.upper() in _WAYS
    )


def _untangle_bounds(frame: exp.WindowSpec) -> None:
    """sqlglot takes that word for the unit."""
    for side in ("start", "end"):
        bound = frame.args.get(side)
        if isinstance(bound, exp.Interval) and not frame.args.get(f"{side}_side"):
            way = bound.text("unit").upper()
            if way in _WAYS:
                bound.set("unit", None)
                frame.set(f"{side}_side", way)


def _loses_parts(interval: str) -> bool:
    return len(_PARTS.findall(interval)) == 1 and _PARTS.fullmatch(interval) is None


def told_again(tree: exp.Expr, text: str, dialect: str) -> bool:
    """Whether SQL that is written from the tree has all the constants of the text: sqlglot translates formats of times
    into its own and back, and what it does not know gets lost on the way."""
    try:
        before = sqlglot_dialect(dialect).tokenize(text)
        after = sqlglot_dialect(dialect).tokenize(tree.sql(dialect))
    except (SqlglotError, ValueError, RecursionError):
        return False
    exactly = tree.find(exp.TimeToStr, exp.StrToTime, exp.StrToDate, exp.ToChar, exp.ToNumber) is not None
    return not Counter(_constants(before, exactly)) - Counter(_constants(after, exactly))


def _constants(tokens: Sequence[Token], exactly: bool) -> Iterator[str]:
    before: TokenType | None = None
    for token in tokens:
        if token.token_type in (TokenType.STRING, TokenType.NUMBER):
            if before is TokenType.INTERVAL:  # '1 day' may become '1' DAY
                yield from re.findall(r"[0-9.]+", token.text)
            elif exactly and not token.text.isalpha():
                yield token.text
            else:
                yield token.text.lower()
        before = token.token_type


def named_tables(tree: exp.Query, query: str, dialect: str) -> tuple[tuple[ReadTable, ...], str]:
    """The tables that stand in the query and are not CTEs of a scope around them, and a statement that is no query."""
    forbidden = ""
    tables: list[ReadTable] = []
    for node in tree.find_all(exp.Table, *_FORBIDDEN):
        if not isinstance(node, exp.Table):
            forbidden = forbidden or node.key.upper()
        elif isinstance(node.this, exp.Identifier):
            table = _read_table(node, query)
            own = table.schema is None or table.schema.lower() == RECURRING
            if not (own and _is_cte(node, table.name.lower(), dialect)):
                tables.append(table)
    return tuple(sorted(tables, key=lambda table: table.start)), forbidden


def qualified_columns(tree: exp.Query) -> list[tuple[int, int]]:
    """Where the schemas stand in `schema.table.column`, with the point behind each."""
    found = []
    for column in tree.find_all(exp.Column):
        schema, table = column.args.get("db"), column.args.get("table")
        if isinstance(schema, exp.Identifier) and isinstance(table, exp.Identifier):
            start, end = schema.meta.get("start"), table.meta.get("start")
            if isinstance(start, int) and isinstance(end, int):
                found.append((start, end))
    return found


def _is_cte(table: exp.Table, name: str, dialect: str) -> bool:
    """Whether a name without a schema is a CTE there: of a query around it, or one that stands before the CTE it is in.

    In its own query the name of a CTE means the CTE only where it may be recursive: in DuckDB behind the last UNION, in
    PostgreSQL anywhere below WITH RECURSIVE, where CTEs that stand later are seen as well.
    """
    node: exp.Expr = table
    side: str | None = None  # of the set operation directly in a CTE that the table stands on
    while (around := node.parent) is not None:
        if isinstance(around, exp.With):
            for cte in around.expressions:
                if cte is node:
                    if around.recursive and dialect == "postgres":
                        continue
                    if around.recursive and side == "expression" and cte.alias.lower() == name:
                        return True
                    break
                if cte.alias.lower() == name:
                    return True
            if around.recursive and dialect == "postgres" and any(c.alias.lower() == name for c in around.expressions):
                return True
            query = around.parent
            if query is None:
                return False
            node, side = query, None
            continue
        with_ = around.args.get("with_") or around.args.get("with")
        if isinstance(with_, exp.With) and any(cte.alias.lower() == name for cte in with_.expressions):
            return True
        if isinstance(around, exp.SetOperation):
            side = node.arg_key
        elif not isinstance(around, exp.CTE):
            side = None
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


def place_of(node: exp.Expr | None) -> tuple[int | None, int | None]:
    """Where a piece of the query stands in the text, as far as its names tell, or those of what it stands in."""
    while node is not None:
        starts, ends = [], []
        for inner in node.walk():
            start, end = inner.meta.get("start"), inner.meta.get("end")
            if isinstance(start, int) and isinstance(end, int):
                starts.append(start)
                ends.append(end + 1)
        if starts:
            return min(starts), max(ends)
        node = node.parent
    return None, None
