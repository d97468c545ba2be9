"""What no change is followed through, wherever it stands: what is never the same, or takes rows in any order."""

from __future__ import annotations

import re
from collections.abc import Mapping

from sqlglot import exp

from sqlflow.compiler.following.aggregates import asked_of, why_no_average
from sqlflow.compiler.following.question import Question
from sqlflow.compiler.following.refused import Refused
from sqlflow.compiler.functions.known import RESTLESS_NAMES
from sqlflow.compiler.relations import expressions_of, relations_of
from sqlflow.compiler.scopes import (
    Direct,
    Expression,
    Feature,
    Opaque,
    Relation,
    Select,
    SetOperation,
    Source,
    SourceKind,
    ValuesList,
)
from sqlflow.compiler.ties import ties_of
from sqlflow.core.following import Refusal
from sqlflow.core.schema import Schema
from sqlflow.core.types import parsed
from sqlflow.core.wording import OtherAggregates


def refuse_unfollowable(question: Question, query: Relation) -> None:
    """Raises `Refused` for what no change can be followed through, wherever it stands in the query."""
    _refuse_everywhere(question, query)
    _refuse_unsteady(question)
    _refuse_averages(question, query)


def _refuse_everywhere(question: Question, query: Relation) -> None:
    for relation in relations_of(query):
        match relation:
            case Select():
                if relation.outputs is None:
                    raise question.refused("*", "the columns that it stands for are not known", relation.node)
                if relation.sampled:
                    raise question.refused("sample", "it picks rows at random", relation.node, volatile=True)
                if relation.limit:
                    raise question.refused(
                        "LIMIT", "which rows it keeps depends on all rows", relation.limit[0].node, loose=True
                    )
                if relation.node.args.get("locks"):
                    raise question.refused("FOR UPDATE", "it locks the rows that it reads", relation.node)
                for source in relation.sources:
                    _refuse_source(question, source)
                for expression in expressions_of(relation):
                    _refuse_expression(question, expression)
                for tie in ties_of(relation, expressions_of(relation), question.keys):
                    raise question.refused(tie.word, _TIED, tie.node, loose=True)
            case SetOperation():
                if relation.recursion:
                    raise question.refused("WITH RECURSIVE", "a recursive query", relation.node)
                if relation.limit:
                    raise question.refused(
                        "LIMIT", "which rows it keeps depends on all rows", relation.limit[0].node, loose=True
                    )
                if relation.outputs is None:
                    raise question.refused("*", "the columns that it stands for are not known", relation.node)
            case ValuesList():
                for row in relation.rows:
                    for expression in row:
                        _refuse_expression(question, expression)
            case Opaque():
                raise question.refused(relation.node.key.upper(), "it is not looked into", relation.node)


def _refuse_unsteady(question: Question) -> None:
    """What the engine itself knows of the functions."""
    for found in question.binder.unsteady(question.text.text):
        if question.written and found.name.lower() in RESTLESS_NAMES:
            continue
        place = re.search(rf"\b{re.escape(found.name)}\b", question.text.text, re.IGNORECASE)
        at = (None, None) if place is None else place.span()
        placed = question.placed(Refusal(f"{found.name}", found.reason, *at))
        volatile = found.volatile and found.name.lower() not in RESTLESS_NAMES
        loose = found.reason == _UNORDERED
        raise Refused(placed.construct, placed.reason, placed.start, placed.end, volatile=volatile, loose=loose)


def _refuse_source(question: Question, source: Source) -> None:
    if source.sampled:
        raise question.refused("sample", "it picks rows at random", source.node, volatile=True)
    if source.kind in (SourceKind.FUNCTION, SourceKind.RECURSION, SourceKind.UNKNOWN):
        raise question.refused("function", "what it reads is not known", source.node)


def _refuse_expression(question: Question, expression: Expression) -> None:
    if expression.features & Feature.VOLATILE and not (question.written and expression.moving):
        raise question.refused("function", "it may give another value each time", expression.node)
    if expression.features & Feature.VOLATILE and expression.features & (Feature.AGGREGATE | Feature.WINDOW):
        raise question.refused("function", "it stands in one expression with an aggregate", expression.node)
    if expression.features & Feature.UNKNOWN_FUNCTION:
        raise question.refused("function", "it is not known what it does", expression.node)
    if expression.node is None or not expression.features & (Feature.AGGREGATE | Feature.WINDOW):
        return
    for node in expression.node.find_all(*_ORDERED):
        ordered = node.this if isinstance(node.this, exp.Order) else node.args.get("order")
        within = isinstance(node.parent, (exp.WithinGroup, exp.Window)) or isinstance(
            getattr(node.parent, "parent", None), exp.Window
        )
        if ordered is None and not within and node.find(exp.Order) is None:
            raise question.refused(_WORDS.get(type(node), node.key.upper()), _UNORDERED, node, loose=True)


_UNORDERED = "without ORDER BY, it takes rows in any order"


_TIED = "rows may tie in its order, and then come in any; order by a declared key too"


_WORDS: Mapping[type[exp.Expr], str] = {
    exp.GroupConcat: "STRING_AGG",
    exp.ArrayAgg: "LIST",
    exp.First: "FIRST",
    exp.Last: "LAST",
    exp.AnyValue: "ANY_VALUE",
    exp.Mode: "MODE",
}


_ORDERED = tuple(_WORDS)


def _refuse_averages(question: Question, query: Relation) -> None:
    """Those that the engine rounds by its statistics: one row may change the averages of groups that it is not in."""
    for relation in relations_of(query):
        if not isinstance(relation, Select) or not relation.group:
            continue
        asked = list(asked_of(relation))
        for node, within, average in asked:
            if average.kind != "avg":
                continue
            others = [other for _, _, other in asked if other.canon is None or other.canon != average.canon]
            same = {other.kind for _, _, other in asked if other.canon is not None and other.canon == average.canon}
            company = OtherAggregates(
                summed="sum" in same, counted="count" in same, others_counted=any(o.kind != "sum" for o in others)
            )
            kind = _kind_of(question, node.this, within)
            if not question.binder.traits.wording.steady_average(kind, company):
                raise question.refused("AVG", why_no_average(kind or "numbers"), node)


def _kind_of(question: Question, argument: exp.Expr, within: Expression) -> str:
    """The type of what is averaged, if it is a column or computed of floating-point numbers; else empty."""
    kinds = []
    for node in argument.walk():
        bound = within.bindings.get(id(node))
        if not isinstance(bound, Direct) or bound.source.columns is None or bound.source.table is None:
            continue
        name = bound.source.columns[bound.index]
        column = question.columns.get(bound.source.table, Schema(())).find(name) if name is not None else None
        kinds.append(column.type if column is not None else "")
    if isinstance(argument, exp.Column):
        return kinds[0] if kinds else ""
    if argument.find(exp.Cast) is not None:
        return argument.to.sql(question.dialect) if isinstance(argument, exp.Cast) else ""
    return next((kind for kind in kinds if parsed(kind).is_float), "")
