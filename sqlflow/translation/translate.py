"""A query in the author's SQL -> the same query in the SQL of the target."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from msgspec import Struct
from sqlglot import exp
from sqlglot.errors import ErrorLevel, ParseError, SqlglotError, UnsupportedError
from sqlglot.tokenizer_core import Token, TokenType

from sqlflow.core.diagnostics import Diagnostic
from sqlflow.core.schema import Schema
from sqlflow.core.source import Span
from sqlflow.core.syntax import sqlglot_dialect, statements_of
from sqlflow.translation import duckdb_to_postgres, postgres_to_duckdb
from sqlflow.translation.cases import in_any_case
from sqlflow.translation.kinds import Columns, find_kinds

_BOUND = re.compile(r"\$(start|end)\b", re.IGNORECASE)
_STAND_IN = "ᛋ"  # a letter, so that places in the text stay what they are


class Reason(Struct, frozen=True):
    """Why something is not translated: what it is, and the characters of the text where it stands, if known."""

    words: str
    start: int | None = None
    end: int | None = None


class Untranslatable(Exception):
    """`reasons`: what in the SQL the target does not have."""

    def __init__(self, reasons: tuple[Reason, ...]) -> None:
        super().__init__("; ".join(reason.words for reason in reasons))
        self.reasons = reasons


def translated(text: str, dialect: str, target: str, columns: Columns | None = None, row: Schema | None = None) -> str:
    """One query, statement or expression in the words of another dialect. Raises Untranslatable.

    Names of tables and columns stay as they are written; `$start` and `$end` too. `columns`: of the tables that are read;
    None where nobody knows them, and what is not known to be different is taken for the same. `row`: the columns that an
    expression is about, if they are known.
    """
    masked = _BOUND.sub(lambda found: f"{_STAND_IN}{found[1].lower()}", text)
    try:
        tokens = sqlglot_dialect(dialect).tokenize(masked)
        if (called := _called_like(tokens)) is not None:
            raise Untranslatable((Reason(f"`{called.text}` as a function", called.start, called.end + 1),))
        tree = statements_of(tokens, masked, dialect)[0]
    except (SqlglotError, RecursionError) as error:
        raise Untranslatable((_unread(error),)) from error
    if tree is None:
        raise Untranslatable((Reason("there is no SQL here"),))
    find_kinds(tree, dialect, columns, row)
    _write_out(tree)
    if (dialect, target) == ("duckdb", "postgres") and columns is not None:
        tree = in_any_case(tree, columns)
    tree, found = _FITTINGS[dialect, target](tree, columns is not None)
    if found:
        raise Untranslatable(tuple(dict.fromkeys(Reason(words, *_place(node)) for words, node in found)))
    dropped = _dropped_first(tree) if target == "postgres" else ""
    try:
        out = dropped + tree.sql(dialect=target, unsupported_level=ErrorLevel.RAISE, comments=False, pretty=True)
    except UnsupportedError as error:
        raise Untranslatable(tuple(map(Reason, _reasons(str(error))))) from error
    return re.sub(rf"{_STAND_IN}(start|end)", r"$\1", out)


def _dropped_first(tree: exp.Expr) -> str:
    """What goes ahead of a CREATE OR REPLACE TABLE, which is made a plain one: PostgreSQL does not have it."""
    if not isinstance(tree, exp.Create) or tree.kind != "TABLE" or not tree.args.get("replace"):
        return ""
    tree.set("replace", False)
    table = tree.find(exp.Table)
    temporary = "pg_temp." if tree.find(exp.TemporaryProperty) else ""
    return "" if table is None else f"DROP TABLE IF EXISTS {temporary}{table.sql(dialect='postgres')};\n"


def not_translatable(error: Untranslatable, dialect: str, target: str, label: str, span: Span) -> list[Diagnostic]:
    """The problems of SQL in a directive or in YAML, which messages call `label`."""
    hint = "write it in another way, or set `dialect` to the target's"
    words = [
        f"{label}: this cannot be translated from {dialect} to {target}: {reason.words}" for reason in error.reasons
    ]
    return [Diagnostic("not-translatable", message, span, hint) for message in words]


def nothing_known(table: exp.Table) -> None:
    """For a text whose tables nobody knows, in which nothing must be different: what may be is refused."""


# What sqlglot's words do not say, by pair of dialects.
_FITTINGS = {("duckdb", "postgres"): duckdb_to_postgres.fit, ("postgres", "duckdb"): postgres_to_duckdb.fit}


_BEFORE_VALUES = frozenset(
    (TokenType.SELECT, TokenType.COMMA, TokenType.L_PAREN, TokenType.WHERE, TokenType.AND, TokenType.OR, TokenType.WHEN,
     TokenType.THEN, TokenType.ELSE, TokenType.ON, TokenType.HAVING, TokenType.DISTINCT)
)  # fmt: skip


def _called_like(tokens: Sequence[Token]) -> Token | None:
    """`like(a, b)`, whose arguments sqlglot turns around."""
    for number in range(1, len(tokens) - 1):
        before, token, after = tokens[number - 1], tokens[number], tokens[number + 1]
        named = token.token_type in (TokenType.LIKE, TokenType.ILIKE)
        if named and after.token_type is TokenType.L_PAREN and before.token_type in _BEFORE_VALUES:
            return token
    return None


def _place(node: exp.Expr) -> tuple[int | None, int | None]:
    """Where a construct stands in the text, as far as its words tell."""
    places = [inner.meta for inner in node.walk() if isinstance(inner.meta.get("start"), int)]
    if not places:
        return (None, None) if node.parent is None else _place(node.parent)
    return min(meta["start"] for meta in places), max(meta["end"] for meta in places) + 1


def _unread(error: Exception) -> Reason:
    """Where sqlglot gives up, and its words."""
    details = error.errors if isinstance(error, ParseError) else []
    return Reason(str(details[0].get("description", "it cannot be read")) if details else _first_line(str(error)))


def _write_out_aliases(select: exp.Select) -> None:
    """`SELECT 1 AS a WHERE a > 0`: without tables, a name can only be that of an item of the list."""
    if select.args.get("from_") or select.args.get("from") or select.args.get("joins"):
        return
    meant: dict[str, exp.Expr] = {}
    for item in select.expressions:
        _put_in(item, select, meant)
        if isinstance(item, exp.Alias):
            meant.setdefault(item.alias.lower(), item.this)
    for clause in ("where", "having", "qualify"):
        if isinstance(inside := select.args.get(clause), exp.Expr):
            _put_in(inside, select, meant)


def _put_in(part: exp.Expr, select: exp.Select, meant: Mapping[str, exp.Expr]) -> None:
    for column in list(part.find_all(exp.Column)):
        value = meant.get(column.name.lower()) if not column.table else None
        if value is not None and column.find_ancestor(exp.Select) is select:
            column.replace(exp.Paren(this=value.copy()))


def _write_out(tree: exp.Expr) -> None:
    """Write out what only the author's dialect says in short."""
    for interval in list(tree.find_all(exp.Interval)):
        count, unit = interval.this, interval.args.get("unit")
        if unit is not None and count is not None and not isinstance(count, exp.Literal):
            one = exp.Interval(this=exp.Literal.string("1"), unit=unit.copy())
            interval.replace(exp.Paren(this=exp.Mul(this=exp.Paren(this=count.copy()), expression=one)))
    for select in list(tree.find_all(exp.Select)):
        _write_out_aliases(select)
        group = select.args.get("group")
        if isinstance(group, exp.Group) and group.args.get("all"):
            keys = [
                exp.Literal.number(place)
                for place, item in enumerate(select.expressions, 1)
                if not _aggregates(item) and not isinstance(item.unalias(), exp.Literal)
            ]
            if keys:
                group.set("all", None)
                group.set("expressions", keys)
            else:
                select.set("group", None)
        order = select.args.get("order")
        if isinstance(order, exp.Order) and [item.name.upper() for item in order.expressions] == ["ALL"]:
            every = order.expressions[0]
            places = [every.copy() for _ in select.expressions]
            for number, place in enumerate(places, 1):
                place.set("this", exp.Literal.number(number))
            order.set("expressions", places)


def _aggregates(item: exp.Expr) -> bool:
    """Whether an item of a SELECT list has an aggregate of that SELECT in it."""
    inside = {id(node) for query in item.find_all(exp.Query) for node in query.walk()}
    return any(
        not isinstance(found.parent, exp.Window) and id(found) not in inside for found in item.find_all(exp.AggFunc)
    )


def _reasons(text: str) -> Iterator[str]:
    for line in text.splitlines():
        if line.strip():
            yield line.strip().rstrip(".")


def _first_line(text: str) -> str:
    return text.splitlines()[0] if text else "it cannot be read"
