"""A query in the author's SQL -> the same query in the SQL of the target."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from sqlglot import exp
from sqlglot.errors import ErrorLevel, SqlglotError, UnsupportedError

from sqlflow.core.syntax import sqlglot_dialect, statements_of
from sqlflow.project import duckdb_to_postgres

_BOUND = re.compile(r"\$(start|end)\b", re.IGNORECASE)
_STAND_IN = "_sqlflow_bound_"


class Untranslatable(Exception):
    """`reasons`: what in the SQL the target does not have, each in one sentence."""

    def __init__(self, reasons: tuple[str, ...]) -> None:
        super().__init__("; ".join(reasons))
        self.reasons = reasons


def translated(text: str, dialect: str, target: str) -> str:
    """One query, statement or expression in the words of another dialect. Raises Untranslatable.

    Names of tables and columns stay as they are written; `$start` and `$end` too.
    """
    masked = _BOUND.sub(lambda found: f"{_STAND_IN}{found[1].lower()}", text)
    try:
        tree = statements_of(sqlglot_dialect(dialect).tokenize(masked), masked, dialect)[0]
    except (SqlglotError, RecursionError) as error:
        raise Untranslatable((_first_line(str(error)),)) from error
    if tree is None:
        raise Untranslatable(("there is no SQL here",))
    _settle(tree)
    if (dialect, target) in _FITTINGS:
        tree, reasons = _FITTINGS[dialect, target](tree)
        if reasons:
            raise Untranslatable(reasons)
    try:
        out = tree.sql(dialect=target, unsupported_level=ErrorLevel.RAISE, comments=False, pretty=True)
    except UnsupportedError as error:
        raise Untranslatable(tuple(_reasons(str(error)))) from error
    return re.sub(rf"{_STAND_IN}(start|end)", r"$\1", out)


# What sqlglot's words do not say, by pair of dialects.
_FITTINGS = {("duckdb", "postgres"): duckdb_to_postgres.fit}


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


def _settle(tree: exp.Expr) -> None:
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
