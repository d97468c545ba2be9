"""Which changes of its inputs a query can follow without being computed anew, and how. See docs/incremental.md.

The author's text is never generated again: tables in it are replaced by their position. Only what a grouped query
computes of its aggregates, a few scalar expressions, is written from the syntax tree.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec.structs import replace

from sqlflow.compiler.following.counters import Counted, counted, not_exact
from sqlflow.compiler.following.keys import keys_of
from sqlflow.compiler.following.products import MOST_READINGS, MOST_TERMS, Terms
from sqlflow.compiler.following.question import Question, Reads
from sqlflow.compiler.following.refused import Refused
from sqlflow.compiler.following.unfollowable import refuse_unfollowable
from sqlflow.compiler.following.views import ViewText, own_text, with_views
from sqlflow.compiler.scopes import Resolved, output_names
from sqlflow.compiler.ties import Keys
from sqlflow.core.engine import Binder, BindError
from sqlflow.core.following import ReadPlace, Refusal, Shape, Tier
from sqlflow.core.names import TableName
from sqlflow.core.schema import Schema
from sqlflow.core.syntax import told_again


def find_shape(
    query: str,
    view_text: ViewText,
    reads: Reads,
    columns: Mapping[TableName, Schema],
    dialect: str,
    binder: Binder,
    *,
    counters: bool = True,
    written: bool = False,
    keys: Keys | None = None,
    whole: dict[TableName, str] | None = None,
) -> Shape:
    """What a query can follow. `counters`: they may be kept for its groups. `written`: what is never the same in it only
    fills columns, and decides no row. `keys`: the declared keys of the tables that are read. `view_text`: the query of a
    table that is a view. `reads`: (schema, name) in lower case -> table, for the query and the views. `columns`: of everything
    that they read. `whole`: the views of the project that were put together for other queries; more are added. Places in a
    refusal are offsets in `query`."""
    try:
        text, resolved = with_views(own_text(query), view_text, reads, columns, dialect, {} if whole is None else whole)
        question = Question(text, reads, columns, dialect, binder, written, keys or {})
        return _shape_of(question, resolved or question.resolved(text.text), counters=counters)
    except Refused as refused:
        return Shape(Tier.REFUSED, refusal=refused.refusal)


_MOST_KEY_COLUMNS = 12


def _shape_of(question: Question, resolved: Resolved, *, counters: bool) -> Shape:
    refuse_unfollowable(question, resolved.query)
    rewritable = told_again(resolved.query.node, question.text.text, question.dialect)
    if any((name or "").lower() == "rowid" for name in output_names(resolved.query) or ()):
        raise Refused("rowid", "a column of this name hides the engine's own, by which rows are removed")
    if question.binder.traits.wording.row_id("_b", Schema(()), None) is None:
        raise Refused("query", "this version of the engine gives rows no number by which they are found again")
    groups = counted(question, resolved.query, rewritable=rewritable) if counters else None
    why = groups if isinstance(groups, Refusal) else None
    if isinstance(groups, Counted):
        found = _followed(question, question.resolved(groups.body), groups, rewritable=rewritable)
        if found.refusal is None:
            return found
        why = found.refusal
    found = _followed(question, resolved, None, why, rewritable=rewritable)
    if found.refusal is not None and why is not None:
        return replace(found, refusal=question.placed(why))
    return found


def _followed(
    question: Question,
    resolved: Resolved,
    counted: Counted | None,
    why_no_counters: Refusal | None = None,
    *,
    rewritable: bool,
) -> Shape:
    """What can be followed of the query, or of its counters."""
    body = question.text.text if counted is None else counted.body
    grouping = None if counted is None else counted.grouping
    schema = question.binder.bind(body)
    if isinstance(schema, BindError):
        raise Refused("query", f"the engine does not read what is derived from it: {schema.message}")
    if counted is not None and (why := not_exact(schema, counted)) is not None:
        return Shape(Tier.REFUSED, refusal=why)
    multiplied = Terms(resolved, why_no_counters)
    terms = multiplied.top(resolved.query, grouped=grouping is not None)
    for source in multiplied.sources:
        if source in resolved.pinned or source.sampled or source.start is None:
            multiplied.fix(source, "table", "it is read by a name that cannot be replaced")
    if len(terms) > MOST_TERMS or len(multiplied.sources) > MOST_READINGS:
        raise Refused("query", f"it reads tables in {len(multiplied.sources)} places, which is too many to follow")
    comparable = [column.name for column in schema if question.dialect != "postgres" or column.parsed.has_equality]
    names = grouping.keys if grouping is not None else comparable[:_MOST_KEY_COLUMNS]
    keys, narrow, emerging = keys_of(question, resolved, names if rewritable else ())
    readings = tuple(
        ReadPlace(
            source.table or TableName("", ""),
            source.start or 0,
            source.end or 0,
            source.name,
            source.node.args.get("alias") is not None,
            keys.get(id(source), {}),
            narrow.get(id(source), False),
        )
        for source in multiplied.sources
    )
    fixed = {table.id: question.placed(refusal) for table, refusal in multiplied.fixed.items()}
    shape = Shape(Tier.KEYS, body, schema, readings, terms, fixed, grouping, emerging)
    tables = {reading.table for reading in readings}
    linear = [table for table in tables if table.id not in fixed]
    followed = [table for table in tables if table.id not in fixed or shape.key_columns((table,))]
    if not followed:
        first = next(iter(fixed.values()), Refusal("query", "it reads no table"))
        return Shape(Tier.REFUSED, refusal=first)
    tier = Tier.KEYS
    if len(linear) == len(tables):
        tier = Tier.ADDITIVE if grouping is None or grouping.additive else Tier.GROWING
    return replace(shape, tier=tier)
