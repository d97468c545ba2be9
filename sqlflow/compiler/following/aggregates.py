"""The aggregates of a grouped query, and what else the engine computes in the same groups."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from msgspec import Struct
from sqlglot import exp

from sqlflow.compiler.relations import reference_text, same_text
from sqlflow.compiler.scopes import Expression, Feature, Select


class OtherAggregate(Struct, frozen=True):
    """What the query itself asks of its groups, and no FILTER restricts: `kind` of an argument. `canon`: the argument as
    text that equal ones share, None if there is none; `columns`: those that it is made of."""

    kind: str  # sum count
    canon: str | None
    columns: frozenset[str | None]


class Average(Struct, frozen=True):
    """An average in the query: of `inner`, from the counters `total` and `count`."""

    inner: str
    total: str
    count: str
    canon: str | None
    columns: frozenset[str | None]
    filtered: bool
    node: exp.Expr


KINDS: Mapping[type[exp.Expr], str] = {
    exp.Count: "count",
    exp.Sum: "sum",
    exp.Avg: "avg",
    exp.Min: "min",
    exp.Max: "max",
    exp.LogicalAnd: "bool_and",
    exp.LogicalOr: "bool_or",
}


def made_of(argument: exp.Expr, within: Expression) -> tuple[str | None, frozenset[str | None]]:
    """An argument as text that equal ones share, and the columns in it."""
    references = (within.bindings.get(id(node)) for node in argument.walk())
    columns = frozenset(reference_text(found) for found in references if found is not None)
    return same_text(Expression(argument, (), within.bindings, {}, Feature.NONE)), columns


def asked_of(select: Select) -> Iterator[tuple[exp.Expr, Expression, OtherAggregate]]:
    """Each COUNT, SUM and AVG of the groups of a SELECT, with the expression that it is in."""
    for within in (*[output.expression for output in select.outputs or ()], *select.order, select.having):
        if within is None or within.node is None or not within.features & Feature.AGGREGATE:
            continue
        for node in within.node.walk(prune=lambda inner: isinstance(inner, exp.Query)):
            kind = KINDS.get(type(node))
            if kind not in ("count", "sum", "avg") or isinstance(node.parent, (exp.Filter, exp.Window)):
                continue
            argument = node.this if isinstance(node.this, exp.Expr) and not isinstance(node.this, exp.Star) else None
            if not isinstance(argument, exp.Distinct):
                canon, columns = made_of(argument, within) if argument is not None else ("", frozenset())
                yield node, within, OtherAggregate(kind, canon, columns)


def why_no_average(kind: str) -> str:
    if kind in ("DOUBLE", "FLOAT", "UHUGEINT"):
        return f"an average of {kind} depends on the order of the rows, so it cannot be kept"
    return (
        f"the engine may round an average of {kind} differently, by what else the query counts and whether a NULL was ever "
        "among its values; select the SUM of the same values too, and it can be followed"
    )
