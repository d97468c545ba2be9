"""Which changes of its inputs a query can follow without being computed anew, and how. See docs/incremental.md.

The author's text is never generated again: tables in it are replaced by their position. Only what a grouped query
computes of its aggregates, a few scalar expressions, is written from the syntax tree.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import PurePosixPath

from msgspec import Struct, field
from msgspec.structs import replace
from sqlglot import exp
from sqlglot.dialects.dialect import Dialect
from sqlglot.errors import SqlglotError
from sqlglot.tokenizer_core import TokenType

from sqlflow.compiler.facts import resolve_query
from sqlflow.compiler.functions import RESTLESS_NAMES
from sqlflow.compiler.relations import expressions_of, reference_text, relations_of, same_text, tables_of
from sqlflow.compiler.scopes import (
    Alias,
    Direct,
    Expression,
    Feature,
    Opaque,
    Reference,
    Relation,
    Resolved,
    Select,
    SetOperation,
    Source,
    SourceKind,
    ValuesList,
    output_names,
)
from sqlflow.compiler.ties import Keys, ties_of
from sqlflow.compiler.times.values import Unmapped
from sqlflow.compiler.times.walk import key_mappings
from sqlflow.core.delta import Counter, Grouping, Reading, Refusal, Shape, Tier
from sqlflow.core.engine import Binder, BindError
from sqlflow.core.names import ColumnRef, TableName
from sqlflow.core.schema import Schema
from sqlflow.core.source import SourceFile
from sqlflow.core.sql import Ident, Sql, compose, quoted
from sqlflow.core.syntax import parse_tree, place_of, told_again
from sqlflow.core.text import Edit, MappedText
from sqlflow.core.types import ColumnType, Family, parsed
from sqlflow.core.wording import Company

_MOST_TERMS = 16
_MOST_READINGS = 24
_MOST_KEY_COLUMNS = 12

Reads = Mapping[tuple[str, str], TableName]
ViewText = Callable[[TableName], str | None]


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
) -> Shape:
    """What a query can follow. `counters`: they may be kept for its groups. `written`: what is never the same in it only
    fills columns, and decides no row. `keys`: the declared keys of the tables that are read. `view_text`: the query of a table that is a view. `reads`: (schema, name) in lower case
    -> table, for the query and the views. `columns`: of everything that they read. Places in a refusal are offsets in
    `query`."""
    try:
        text = _with_views(_own(query), view_text, reads, columns, dialect, 0)
        return _Finder(text, reads, columns, dialect, binder, written=written, keys=keys or {}).shape(counters=counters)
    except _Refused as refused:
        return Shape(Tier.REFUSED, refusal=refused.refusal)


class _Refused(Exception):
    def __init__(
        self,
        construct: str,
        reason: str,
        start: int | None = None,
        end: int | None = None,
        *,
        volatile: bool = False,
        loose: bool = False,
    ) -> None:
        super().__init__(reason)
        self.refusal = Refusal(construct, reason, start, end, volatile, loose)


_UNORDERED = "without ORDER BY, it takes rows in any order"
_TIED = "rows may tie in its order, and then come in any; order by a declared key too"


def _own(query: str) -> MappedText:
    return MappedText.of(SourceFile(PurePosixPath("query"), query))


def _with_views(
    text: MappedText, view_text: ViewText, reads: Reads, columns: Mapping[TableName, Schema], dialect: str, depth: int
) -> MappedText:
    """The text with the queries of views in the place of their names."""
    if depth > 50:
        raise _Refused("view", "views are nested too deeply")
    resolved = _resolved(text.text, reads, columns, dialect)
    edits = []
    for source in tables_of(resolved.query):
        assert source.table is not None
        inner = view_text(source.table)
        if inner is None:
            continue
        if source.start is None or source.end is None or source in resolved.pinned or source.sampled:
            raise _Refused("view", f"`{source.table}` is read in a way that its query cannot be put in for")
        whole = _with_views(_own(inner), view_text, reads, columns, dialect, depth + 1).text
        names = [Ident(name) for name in source.base_columns]
        # The columns are named again: an unnamed one of the view has a name only as a column of it.
        inside = compose("(SELECT {cs} FROM (\n{whole}\n) AS _view({cs}))", cs=names, whole=Sql(whole))
        aliased = source.node.args.get("alias") is not None
        edits.append(Edit(source.start, source.end, inside if aliased else f"{inside} AS {quoted(source.name)}"))
    return text.edit(edits) if edits else text


def _resolved(text: str, reads: Reads, columns: Mapping[TableName, Schema], dialect: str) -> Resolved:
    tree = parse_tree(text, dialect)
    if tree is None:
        raise _Refused("query", "SQLFlow's own parser cannot read it")
    return resolve_query(tree, columns, reads, dialect)


class _Finder:
    def __init__(
        self,
        text: MappedText,
        reads: Reads,
        columns: Mapping[TableName, Schema],
        dialect: str,
        binder: Binder,
        *,
        written: bool,
        keys: Keys,
    ) -> None:
        self.written = written
        self.declared = keys
        self.text = text
        self.reads = reads
        self.columns = columns
        self.dialect = dialect
        self.binder = binder
        self.rewritable = True
        self.nodes: Mapping[str, exp.Expr] = {}  # the counter of a sum -> the aggregate that needs it

    def shape(self, *, counters: bool) -> Shape:
        resolved = _resolved(self.text.text, self.reads, self.columns, self.dialect)
        self._refuse_everywhere(resolved.query)
        self._refuse_unsteady()
        self._refuse_averages(resolved.query)
        self.rewritable = told_again(resolved.query.node, self.text.text, self.dialect)
        if any((name or "").lower() == "rowid" for name in output_names(resolved.query) or ()):
            raise _Refused("rowid", "a column of this name hides the engine's own, by which rows are removed")
        if self.binder.traits.wording.row_id("_b", Schema(()), None) is None:
            raise _Refused("query", "this version of the engine gives rows no number by which they are found again")
        grouped, why = self._grouped(resolved.query) if counters else (None, None)
        if grouped is not None:
            body, grouping = grouped
            inside = _resolved(body, self.reads, self.columns, self.dialect)
            found = self._followed(body, inside, grouping)
            if found.refusal is None:
                return found
            why = found.refusal
        found = self._followed(self.text.text, resolved, None, why)
        if found.refusal is not None and why is not None:
            return replace(found, refusal=self._placed(why))
        return found

    # ------------------------------------------------------------------ a body

    def _followed(
        self, body: str, resolved: Resolved, grouping: Grouping | None, why_no_counters: Refusal | None = None
    ) -> Shape:
        schema = self.binder.bind(body)
        if isinstance(schema, BindError):
            raise _Refused("query", f"the engine does not read what is derived from it: {schema.message}")
        if grouping is not None and (why := _not_exact(schema, grouping, self.nodes)) is not None:
            return Shape(Tier.REFUSED, refusal=why)
        multiplied = _Terms(resolved, why_no_counters)
        terms = multiplied.top(resolved.query, grouped=grouping is not None)
        for source in multiplied.sources:
            if source in resolved.pinned or source.sampled or source.start is None:
                multiplied.fix(source, "table", "it is read by a name that cannot be replaced")
        if len(terms) > _MOST_TERMS or len(multiplied.sources) > _MOST_READINGS:
            raise _Refused("query", f"it reads tables in {len(multiplied.sources)} places, which is too many to follow")
        comparable = [column.name for column in schema if self.dialect != "postgres" or _has_equality(column.type)]
        names = grouping.keys if grouping is not None else comparable[:_MOST_KEY_COLUMNS]
        keys, narrow, emerging = self._keys(resolved, names)
        readings = tuple(
            Reading(
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
        fixed = {table.id: self._placed(refusal) for table, refusal in multiplied.fixed.items()}
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

    def _placed(self, refusal: Refusal) -> Refusal:
        """A refusal with its place as offsets in the query that the author wrote."""
        if refusal.start is None:
            return refusal
        start, end = self.text.origin(refusal.start)
        if end is None and refusal.end is not None and refusal.end > refusal.start:
            last, last_end = self.text.origin(refusal.end - 1)
            end = last_end if last_end is not None else last + 1
        return replace(refusal, start=start, end=end)

    def _keys(
        self, resolved: Resolved, names: Sequence[str]
    ) -> tuple[dict[int, dict[str, tuple[str, ...]]], dict[int, bool], tuple[str, ...]]:
        """For each reading, by `id` of its source: column -> expressions; whether it may be narrowed; and the columns
        without which rows may emerge."""
        by_place = {(s.start, s.end): id(s) for s in tables_of(resolved.query)}
        keys: dict[int, dict[str, tuple[str, ...]]] = {}
        narrow: dict[int, bool] = {}
        emerging = []
        for name in names if self.rewritable else ():
            mappings, nulled = key_mappings(resolved, name)
            if nulled:
                emerging.append(name)
            for mapping in mappings.values():
                if isinstance(mapping, Unmapped) or not self._same_types(mapping.same_type):
                    continue
                found: dict[int, list[str]] = {}
                for occurrence in mapping.occurrences:
                    place = by_place.get((occurrence.start, occurrence.end))
                    if place is None:
                        continue
                    found.setdefault(place, []).append(occurrence.expression.sql(self.dialect))
                    narrow[place] = narrow.get(place, True) and occurrence.pushable
                for place, expressions in found.items():
                    keys.setdefault(place, {})[name] = tuple(dict.fromkeys(expressions))
        return keys, narrow, tuple(emerging)

    def _same_types(self, pairs: Iterable[tuple[ColumnRef, ColumnRef]]) -> bool:
        def type_of(ref: ColumnRef) -> str | None:
            column = self.columns[ref.table].find(ref.column) if ref.table in self.columns else None
            return column.type if column is not None else None

        # Floating point numbers may be equal and have different texts: 0.0 and -0.0.
        return all(
            (kind := type_of(one)) is not None and kind == type_of(two) and _equal_is_same(parsed(kind))
            for one, two in pairs
        )

    # ------------------------------------------------------------------ what is never followed

    def _refuse_everywhere(self, query: Relation) -> None:
        for relation in relations_of(query):
            match relation:
                case Select():
                    if relation.outputs is None:
                        raise self._refused("*", "the columns that it stands for are not known", relation.node)
                    if relation.sampled:
                        raise self._refused("sample", "it picks rows at random", relation.node, volatile=True)
                    if relation.limit:
                        raise self._refused(
                            "LIMIT", "which rows it keeps depends on all rows", relation.limit[0].node, loose=True
                        )
                    if relation.node.args.get("locks"):
                        raise self._refused("FOR UPDATE", "it locks the rows that it reads", relation.node)
                    for source in relation.sources:
                        self._refuse_source(source)
                    for expression in expressions_of(relation):
                        self._refuse_expression(expression)
                    for tie in ties_of(relation, expressions_of(relation), self.declared):
                        raise self._refused(tie.word, _TIED, tie.node, loose=True)
                case SetOperation():
                    if relation.recursion:
                        raise self._refused("WITH RECURSIVE", "a recursive query", relation.node)
                    if relation.limit:
                        raise self._refused(
                            "LIMIT", "which rows it keeps depends on all rows", relation.limit[0].node, loose=True
                        )
                    if relation.outputs is None:
                        raise self._refused("*", "the columns that it stands for are not known", relation.node)
                case ValuesList():
                    for row in relation.rows:
                        for expression in row:
                            self._refuse_expression(expression)
                case Opaque():
                    raise self._refused(relation.node.key.upper(), "it is not looked into", relation.node)

    def _refuse_unsteady(self) -> None:
        """What the engine itself knows of the functions."""
        for found in self.binder.unsteady(self.text.text):
            if self.written and found.name.lower() in RESTLESS_NAMES:
                continue
            place = re.search(rf"\b{re.escape(found.name)}\b", self.text.text, re.IGNORECASE)
            at = (None, None) if place is None else place.span()
            placed = self._placed(Refusal(f"{found.name}", found.reason, *at))
            volatile = found.volatile and found.name.lower() not in RESTLESS_NAMES
            loose = found.reason == _UNORDERED
            raise _Refused(placed.construct, placed.reason, placed.start, placed.end, volatile=volatile, loose=loose)

    def _refuse_source(self, source: Source) -> None:
        if source.sampled:
            raise self._refused("sample", "it picks rows at random", source.node, volatile=True)
        if source.kind in (SourceKind.FUNCTION, SourceKind.RECURSION, SourceKind.UNKNOWN):
            raise self._refused("function", "what it reads is not known", source.node)

    def _refuse_expression(self, expression: Expression) -> None:
        if expression.features & Feature.VOLATILE and not (self.written and expression.moving):
            raise self._refused("function", "it may give another value each time", expression.node)
        if expression.features & Feature.VOLATILE and expression.features & (Feature.AGGREGATE | Feature.WINDOW):
            raise self._refused("function", "it stands in one expression with an aggregate", expression.node)
        if expression.features & Feature.UNKNOWN_FUNCTION:
            raise self._refused("function", "it is not known what it does", expression.node)
        if expression.node is None or not expression.features & (Feature.AGGREGATE | Feature.WINDOW):
            return
        for node in expression.node.find_all(*_ORDERED):
            ordered = node.this if isinstance(node.this, exp.Order) else node.args.get("order")
            within = isinstance(node.parent, (exp.WithinGroup, exp.Window)) or isinstance(
                getattr(node.parent, "parent", None), exp.Window
            )
            if ordered is None and not within and node.find(exp.Order) is None:
                raise self._refused(_WORDS.get(type(node), node.key.upper()), _UNORDERED, node, loose=True)

    def _refuse_averages(self, query: Relation) -> None:
        """Those that the engine rounds by its statistics: one row may change the averages of groups that it is not in."""
        for relation in relations_of(query):
            if not isinstance(relation, Select) or not relation.group:
                continue
            asked = list(_asked_of(relation))
            for node, within, average in asked:
                if average.kind != "avg":
                    continue
                others = [other for _, _, other in asked if other.canon is None or other.canon != average.canon]
                same = {other.kind for _, _, other in asked if other.canon is not None and other.canon == average.canon}
                company = Company(
                    summed="sum" in same, counted="count" in same, others_counted=any(o.kind != "sum" for o in others)
                )
                kind = self._kind_of(node.this, within)
                if not self.binder.traits.wording.steady_average(kind, company):
                    raise self._refused("AVG", _why_no_average(kind or "numbers"), node)

    def _kind_of(self, argument: exp.Expr, within: Expression) -> str:
        """The type of what is averaged, if it is a column or computed of floating-point numbers; else empty."""
        kinds = []
        for node in argument.walk():
            bound = within.bindings.get(id(node))
            if not isinstance(bound, Direct) or bound.source.columns is None or bound.source.table is None:
                continue
            name = bound.source.columns[bound.index]
            column = self.columns.get(bound.source.table, Schema(())).find(name) if name is not None else None
            kinds.append(column.type if column is not None else "")
        if isinstance(argument, exp.Column):
            return kinds[0] if kinds else ""
        if argument.find(exp.Cast) is not None:
            return argument.to.sql(self.dialect) if isinstance(argument, exp.Cast) else ""
        return next((kind for kind in kinds if kind in ("DOUBLE", "FLOAT")), "")

    def _refused(
        self, construct: str, reason: str, node: exp.Expr | None, *, volatile: bool = False, loose: bool = False
    ) -> _Refused:
        start, end = place_of(node)
        placed = self._placed(Refusal(construct, reason, start, end))
        return _Refused(placed.construct, placed.reason, placed.start, placed.end, volatile=volatile, loose=loose)

    # ------------------------------------------------------------------ grouped queries

    def _grouped(self, query: Relation) -> tuple[tuple[str, Grouping] | None, Refusal | None]:
        """The query that computes the counters of a grouped query, if its groups can be kept as such."""
        if not isinstance(query, Select) or not isinstance(query.node, exp.Select) or query.outputs is None:
            return None, None
        aggregates = query.group is not None or any(
            output.expression.features & Feature.AGGREGATE for output in query.outputs
        )
        if not aggregates and not query.distinct:
            return None, None
        try:
            if not self.rewritable:
                raise _Refused("query", "SQLFlow's own parser cannot write its expressions again as they are")
            return self._counted(query), None
        except _Refused as refused:
            return None, refused.refusal

    def _counted(self, query: Select) -> tuple[str, Grouping]:
        traits = self.binder.traits
        groups = _Groups(self.text.text, query, self.dialect)
        found = groups.found()
        self.nodes = groups.nodes
        if not groups.averages and not (traits.loose_decimals and groups.summed):
            return found
        # What is added up must be known: a decimal that is no number stays in a sum for ever.
        items = ", ".join(f"{sql} AS _s{number}" for number, sql in enumerate(groups.summed))
        kinds = self.binder.bind(groups.over(items))
        if isinstance(kinds, BindError):
            raise _Refused("SUM", f"the engine does not say what is added up: {kinds.message}")
        types = {sql: column.type for sql, column in zip(groups.summed, kinds, strict=True)}
        if traits.loose_decimals and "DECIMAL" in types.values():
            raise _Refused("SUM", "a sum of DECIMAL without a scale may have another one, so it cannot be kept")
        decimals = [sql for sql, kind in types.items() if kind.startswith("DECIMAL(") and traits.loose_decimals]
        divided = {}
        for average in groups.averages:
            total, count = Sql(average.total), Sql(average.count)
            value = traits.wording.average(total, count, types[average.inner], groups.company(average))
            if value is None:
                raise _Refused("AVG", _why_no_average(types[average.inner]), *place_of(average.node))
            divided[average.total, average.count] = value
        return _Groups(self.text.text, query, self.dialect, frozenset(decimals), divided).found()


_WORDS: Mapping[type[exp.Expr], str] = {
    exp.GroupConcat: "STRING_AGG",
    exp.ArrayAgg: "LIST",
    exp.First: "FIRST",
    exp.Last: "LAST",
    exp.AnyValue: "ANY_VALUE",
    exp.Mode: "MODE",
}
_ORDERED = tuple(_WORDS)


def _why_no_average(kind: str) -> str:
    if kind in ("DOUBLE", "FLOAT", "UHUGEINT"):
        return f"an average of {kind} depends on the order of the rows, so it cannot be kept"
    return (
        f"the engine may round an average of {kind} differently, by what else the query counts and whether a NULL was ever "
        "among its values; select the SUM of the same values too, and it can be followed"
    )


def _not_exact(schema: Schema, grouping: Grouping, nodes: Mapping[str, exp.Expr]) -> Refusal | None:
    """Sums of floating point numbers depend on the order of addition, so they cannot be kept. `nodes`: counter -> the
    aggregate that needs it."""
    for counter in grouping.counters:
        column = schema.find(counter.name)
        if counter.kind == "sum" and column is not None and not column.parsed.is_exact_number:
            node = nodes.get(counter.name)
            word = _KINDS.get(type(node), "sum").upper() if node is not None else "SUM"
            return _at(node, word, f"a sum of {column.type} depends on the order of the rows, so it cannot be kept")
    return None


def _equal_is_same(kind: ColumnType) -> bool:
    """Whether values that compare as equal have one text, in a column without a collation."""
    plain = kind.family is Family.ENUM or (kind.family is Family.TIME and not kind.zone)
    return plain or kind.equal_is_same or (kind.is_text and not kind.padded)


_NO_EQUALITY = frozenset({"JSON", "XML", "POINT", "BOX", "PATH", "POLYGON", "LINE"})


def _has_equality(kind: str) -> bool:
    """Whether PostgreSQL can compare values of a type; one of the database's own may hold others that it cannot."""
    return kind.removesuffix("[]") not in _NO_EQUALITY and "." not in kind


# ---------------------------------------------------------------------- sums of products


class _Terms(Struct):
    """A query as a sum of products of the tables that it reads; what is not so is fixed: only its readers may change."""

    resolved: Resolved
    why_no_counters: Refusal | None  # of the groups of the outermost SELECT
    sources: list[Source] = field(default_factory=list)
    fixed: dict[TableName, Refusal] = field(default_factory=dict)
    numbers: dict[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.sources = tables_of(self.resolved.query)
        self.numbers = {id(source): number for number, source in enumerate(self.sources)}

    def top(self, query: Relation, *, grouped: bool) -> tuple[tuple[int, ...], ...]:
        terms = self._select(query, grouped=True) if grouped and isinstance(query, Select) else self._relation(query)
        for term in terms:
            for number in {n for n in term if term.count(n) > 1}:
                self.fix(self.sources[number], "CTE", "it is joined with itself, so a change of it meets itself")
        return tuple(dict.fromkeys(tuple(sorted(term)) for term in terms)) if terms else ()

    def fix(self, source: Source, construct: str, reason: str, node: exp.Expr | None = None) -> None:
        refusal = Refusal(construct, reason, *place_of(node if node is not None else source.node))
        if source.table is not None:
            self.fixed.setdefault(source.table, refusal)
        if source.relation is not None:
            self._fix_all(source.relation, refusal)

    def _fix_all(self, relation: Relation, refusal: Refusal) -> None:
        for source in tables_of(relation):
            if source.table is not None:
                self.fixed.setdefault(source.table, refusal)

    def _relation(self, relation: Relation) -> list[tuple[int, ...]]:
        match relation:
            case Select():
                return self._select(relation, grouped=False)
            case SetOperation():
                if relation.kind == "union" and not relation.distinct:
                    return [*self._relation(relation.left), *self._relation(relation.right)]
                word = relation.kind.upper()
                self._fix_all(relation, _at(relation.node, word, f"{word} compares whole rows"))
                return [()]
            case ValuesList():
                return [()]
            case Opaque():
                self._fix_all(relation, _at(relation.node, "query", "it is not looked into"))
                return [()]

    def _select(self, select: Select, *, grouped: bool) -> list[tuple[int, ...]]:
        for expression in expressions_of(select):
            for inner in expression.nested.values():
                self._fix_all(inner, _at(expression.node, "subquery", "it is read by a subquery in an expression"))
        if not grouped and (why := _not_a_product(select)) is not None:
            if select is self.resolved.query and self.why_no_counters is not None:
                why = self.why_no_counters
            self._fix_all(select, why)
            return [()]
        fixed: dict[int, tuple[str, str]] = {}
        for join in select.joins:
            left, right = range(join.start, join.middle), range(join.middle, join.end)
            side = join.kind if join.kind in ("SEMI", "ANTI") else join.side
            word = f"{join.method} {side} JOIN".strip()
            partner = f"a row of it decides whether a {word} has a partner"
            if join.kind in ("SEMI", "ANTI") or join.side in ("LEFT", "FULL") or join.method in ("ASOF", "POSITIONAL"):
                fixed |= dict.fromkeys(right, (word, partner))
            if join.side in ("RIGHT", "FULL") or join.method == "POSITIONAL":
                fixed |= dict.fromkeys(left, (word, partner))
        terms: list[tuple[int, ...]] = [()]
        for place, source in enumerate(select.sources):
            if place in fixed:
                self.fix(source, *fixed[place])
                continue
            factors = self._factors(source)
            terms = [(*one, *two) for one in terms for two in factors]
            if len(terms) > _MOST_TERMS:
                raise _Refused("query", "it multiplies out to too many products")
            if any(len(term) > _MOST_READINGS for term in terms):  # a CTE that is read twice, by one that is, and so on
                raise _Refused("query", "it reads tables in too many places to be followed")
        return terms

    def _factors(self, source: Source) -> list[tuple[int, ...]]:
        if source.table is not None:
            return [(self.numbers[id(source)],)]
        return [()] if source.relation is None else self._relation(source.relation)


def _at(node: exp.Expr | None, construct: str, reason: str) -> Refusal:
    return Refusal(construct, reason, *place_of(node))


def _not_a_product(select: Select) -> Refusal | None:
    """What makes the rows of a SELECT more than products of the rows it reads."""
    if select.group is not None or select.grouping_sets:
        return _at(select.node.args.get("group"), "GROUP BY", "a group inside the query is computed of all its rows")
    if select.distinct or select.distinct_on:
        return _at(select.node, "DISTINCT", "it compares rows with each other")
    for expression in expressions_of(select):
        if expression.features & Feature.WINDOW:
            return _at(expression.node, "window function", "it looks at other rows")
        if expression.features & Feature.AGGREGATE:
            return _at(expression.node, "aggregate", "an aggregate inside the query is computed of all its rows")
    if select.qualify is not None:
        return _at(select.qualify.node, "QUALIFY", "it looks at other rows")
    return None


# ---------------------------------------------------------------------- groups


class _Asked(Struct, frozen=True):
    """What the query itself asks of its groups, and no FILTER restricts: `kind` of an argument. `canon`: the argument as
    text that equal ones share, None if there is none; `columns`: those that it is made of."""

    kind: str  # sum count
    canon: str | None
    columns: frozenset[str | None]


class _Average(Struct, frozen=True):
    """An average in the query: of `inner`, from the counters `total` and `count`."""

    inner: str
    total: str
    count: str
    canon: str | None
    columns: frozenset[str | None]
    filtered: bool
    node: exp.Expr


class _Groups:
    """A grouped SELECT as a query of counters and expressions over them."""

    def __init__(
        self,
        text: str,
        select: Select,
        dialect: str,
        decimals: frozenset[str] = frozenset(),
        divided: Mapping[tuple[str, str], Sql] | None = None,
    ) -> None:
        """`decimals`: arguments of sums that may be NaN. `divided`: by the counters of its sum and count, an average; without
        them what is found is only good for asking `averages` and `company`."""
        self.text = text
        self.select = select
        self.dialect = dialect
        self.decimals = decimals
        self.divided = divided or {}
        self.summed: dict[str, None] = {}  # the arguments of sums
        self.counters: list[Counter] = []
        self.columns: dict[str, str] = {}  # SQL of an aggregate -> the name of its counter
        self.keys: dict[str, str] = {}  # canonical text of a key -> its name in the counters
        self.averages: list[_Average] = []
        self.nodes: dict[str, exp.Expr] = {}
        self.asked: list[_Asked] = []

    def found(self) -> tuple[str, Grouping]:
        select = self.select
        self._refuse()
        assert select.outputs is not None
        head, tail = self._cuts()
        keys = [output.expression for output in select.outputs] if select.distinct else list(select.group or ())
        texts: list[str] = []
        for key in keys:
            if key.moving and not key.references and not key.nested and select.node.args["group"].args.get("all"):
                continue  # the same in all rows, and named by nobody
            canon = same_text(key)
            if canon is None:
                raise _Refused("GROUP BY", "a key is not a plain expression of columns", *place_of(key.node))
            if canon not in self.keys:
                name = f"_k{len(self.keys)}"
                self.keys[canon] = name
                texts.append(f"{self._sql(key)} AS {name}")
        if keys and not texts:
            raise _Refused("GROUP BY", "it groups by nothing but when its rows are written")
        rows = self._counter("count", "count(*)")
        items = [self._item(output.expression) for output in select.outputs]
        visible: dict[str, str] = {}
        for output in select.outputs:
            canon = same_text(output.expression)
            if canon in self.keys and output.name is not None:
                visible.setdefault(self.keys[canon], output.name)
        having = self._item(select.having) if select.having is not None else None
        texts += [f"{sql} AS {name}" for sql, name in self.columns.items()]
        group = "\nGROUP BY " + ", ".join(str(i + 1) for i in range(len(self.keys))) if self.keys else ""
        body = f"{self.text[: head[0]]}SELECT {', '.join(texts)}\n{self.text[head[1] : tail]}{group}"
        return body, Grouping(
            tuple(self.keys.values()), rows, tuple(self.counters), tuple(items), having, visible
        )  # fmt: skip

    def over(self, items: str) -> str:
        """A query of these items over what is grouped."""
        head, tail = self._cuts()
        return f"{self.text[: head[0]]}SELECT {items}\n{self.text[head[1] : tail]}"

    def _refuse(self) -> None:
        select = self.select
        if select.grouping_sets:
            raise _Refused("GROUPING SETS", "a row adds to several groups", *place_of(select.node.args["group"]))
        if select.distinct_on or (select.distinct and (select.group is not None or select.having is not None)):
            raise _Refused("DISTINCT", "the rows of groups are compared with each other")
        if select.qualify is not None:
            raise _Refused("QUALIFY", "it looks at other groups", *place_of(select.qualify.node))
        for expression in expressions_of(select):
            if expression.features & Feature.WINDOW:
                raise _Refused("window function", "it looks at other groups", *place_of(expression.node))
        for output in select.outputs or ():
            if output.expression.features & Feature.UNNEST:
                raise _Refused("UNNEST", "it makes several rows of a group", *place_of(output.expression.node))
        for clause in (select.where, *(join.on for join in select.joins)):
            if clause is not None and any(isinstance(r, Alias) for r in clause.bindings.values()):
                raise _Refused("alias", "WHERE uses a name of the SELECT list", *place_of(clause.node))

    def _cuts(self) -> tuple[tuple[int, int], int]:
        """Where the SELECT list of the outermost query stands (from SELECT to FROM), and where WHERE ends."""
        try:
            tokens = Dialect.get_or_raise(self.dialect).tokenize(self.text)
        except SqlglotError:
            raise _Refused("query", "its text cannot be cut") from None
        depth = 0
        select = origin = end = None
        for index, token in enumerate(tokens):
            kind = token.token_type
            if kind in (TokenType.L_PAREN, TokenType.L_BRACKET, TokenType.L_BRACE):
                depth += 1
            elif kind in (TokenType.R_PAREN, TokenType.R_BRACKET, TokenType.R_BRACE):
                depth -= 1
            if depth:
                continue
            if kind is TokenType.SELECT and select is None:
                select = token.start
            elif kind is TokenType.FROM and origin is None:
                if index and tokens[index - 1].token_type is TokenType.DISTINCT:
                    continue  # IS DISTINCT FROM
                if select is None:
                    raise _Refused("FROM", "a query that begins with FROM is not cut", token.start, token.end + 1)
                origin = token.start
            elif origin is not None and kind in _TAIL and end is None:
                end = token.start
        if select is None or origin is None:
            raise _Refused("SELECT", "it reads no table")
        return (select, origin), len(self.text) if end is None else end

    def _counter(self, kind: str, sql: str) -> str:
        name = self.columns.get(sql)
        if name is None:
            name = f"_c{len(self.columns)}"
            self.columns[sql] = name
            self.counters.append(Counter(name, kind))
        return name

    def _item(self, expression: Expression) -> str:
        """An expression of a group as SQL over the counters."""
        if expression.nested:
            raise _Refused("subquery", "a group is compared with another query", *place_of(expression.node))
        if expression.node is None:
            canon = same_text(expression)
            if canon is None or canon not in self.keys:
                raise _Refused("*", "it is not a key of the group")
            return self.keys[canon]
        return self._walk(expression.node, expression, 0).sql(self.dialect)

    def _walk(self, node: exp.Expr, within: Expression, depth: int) -> exp.Expr:
        piece = Expression(node, (), within.bindings, {}, Feature.NONE)
        canon = same_text(piece)
        if canon is not None and canon in self.keys:
            return exp.column(self.keys[canon])
        bound = within.bindings.get(id(node))
        if isinstance(bound, Alias) and depth < 16:
            inner = bound.output.expression
            if inner.node is None:
                return exp.column(self._item(inner))
            return exp.Paren(this=self._walk(inner.node, inner, depth + 1))
        if isinstance(node, exp.Filter):
            return self._aggregate(node.this, within, self._sql_of(node.expression.this, within))
        if isinstance(node, exp.AggFunc) or (
            isinstance(node, exp.Anonymous) and str(node.this).lower() in ("countif", "count_star")
        ):
            return self._aggregate(node, within, None)
        if bound is not None or isinstance(node, (exp.Column, exp.Query, exp.Window)):
            raise _Refused("column", "it is not a key of the group", *place_of(node))
        copy = node.copy()
        old_children, new_children = list(node.iter_expressions()), list(copy.iter_expressions())
        for old, new in zip(old_children, new_children, strict=True):
            made = self._walk(old, within, depth)
            if made is not new:
                new.replace(made)
        return copy

    def _aggregate(self, node: exp.Expr, within: Expression, condition: str | None) -> exp.Expr:
        """The value of an aggregate, as an expression over counters."""
        suffix = "" if condition is None else f" FILTER (WHERE {condition})"
        argument = node.this if isinstance(node.this, exp.Expr) else None
        plain = argument is not None and not isinstance(argument, (exp.Distinct, exp.Order, exp.Star))
        extra = [v for k, v in node.args.items() if k not in ("this", "big_int") and v not in (None, [], False)]
        if isinstance(node, exp.Count) and not extra and (argument is None or isinstance(argument, exp.Star)):
            self._ask("count", None, within, condition)
            return exp.column(self._counter("count", f"count(*){suffix}"))
        name = _KINDS.get(type(node))
        if name is None or not plain or extra or argument is None:
            word = str(node.meta.get("name") or node.key).upper()
            if isinstance(argument, exp.Distinct):
                word = f"{word}(DISTINCT ...)"
            raise _Refused(word, "this aggregate cannot be kept as a counter", *place_of(node))
        inner = self._sql_of(argument, within)
        if name in ("count", "sum"):
            self._ask(name, argument, within, condition)
        if name == "count":
            return exp.column(self._counter("count", f"count({inner}){suffix}"))
        if name in ("sum", "avg"):
            self.summed[inner] = None
            loose = inner in self.decimals
            added = f"nullif({inner}, 'NaN')" if loose else inner
            total = exp.column(self._counter("sum", f"sum({added}){suffix}"))
            self.nodes.setdefault(total.name, node)
            count = exp.column(self._counter("count", f"count({inner}){suffix}"))
            value: exp.Expr = total
            if name == "avg":
                canon, columns = _made_of(argument, within)
                found = _Average(inner, total.name, count.name, canon, columns, condition is not None, node)
                self.averages.append(found)
                value = exp.Var(this=str(self.divided.get((total.name, count.name), Sql("NULL"))))
            ifs = [exp.If(this=exp.GT(this=count, expression=exp.Literal.number(0)), true=value)]
            if loose:
                no_numbers = f"{inner} = 'NaN'" if condition is None else f"({inner} = 'NaN') AND ({condition})"
                nothing = exp.column(self._counter("count", f"count(*) FILTER (WHERE {no_numbers})"))
                no_number = exp.cast(exp.Literal.string("NaN"), "DECIMAL", dialect=self.dialect)
                ifs.insert(0, exp.If(this=exp.GT(this=nothing, expression=exp.Literal.number(0)), true=no_number))
            return exp.Paren(this=exp.Case(ifs=ifs))
        return exp.column(self._counter(name, f"{name}({inner}){suffix}"))

    def _ask(self, kind: str, argument: exp.Expr | None, within: Expression, condition: str | None) -> None:
        if condition is None:
            canon, columns = _made_of(argument, within) if argument is not None else ("", frozenset())
            self.asked.append(_Asked(kind, canon, columns))

    def company(self, average: _Average) -> Company:
        """What the engine computes beside an average."""
        if average.filtered or not self.keys:
            return Company(grouped=bool(self.keys), filtered=average.filtered)
        same = {asked.kind for asked in self.asked if asked.canon is not None and asked.canon == average.canon}
        # An argument of the same columns may become the same when the engine simplifies it.
        others = {
            asked.kind for asked in self.asked if asked.canon != average.canon and asked.columns == average.columns
        }
        ordered = any(expression.features & Feature.AGGREGATE for expression in self.select.order)
        if average.canon is None or ordered or (others and "sum" not in same):
            return Company(certain=False)
        return Company(
            summed="sum" in same,
            counted="count" in same,
            others_counted=any(asked.kind == "count" for asked in self.asked)
            or any(asked.canon == other.canon for asked in self.asked for other in self.averages)
            or any(other.canon != average.canon and not other.filtered for other in self.averages),
        )

    def _sql(self, expression: Expression) -> str:
        if expression.node is None:
            return self._named(expression.references[0], "*", None)
        return self._sql_of(expression.node, expression)

    def _named(self, reference: Reference | None, word: str, node: exp.Expr | None) -> str:
        """A column that the author did not write by its name."""
        if isinstance(reference, Direct) and reference.source.columns is not None:
            column = reference.source.columns[reference.index]
            if column is not None:
                return f"{quoted(reference.source.name)}.{quoted(column)}"
        raise _Refused(word, "a column that it stands for cannot be named", *place_of(node))

    def _sql_of(self, node: exp.Expr, within: Expression, depth: int = 0) -> str:
        """An expression over the tables that are read, with aliases of the SELECT list put in."""
        for inner in node.walk():
            if isinstance(inner, exp.Query) or id(inner) in within.nested:
                raise _Refused("subquery", "it is inside an aggregate or a key", *place_of(node))

        def put(old: exp.Expr) -> exp.Expr | None:
            bound = within.bindings.get(id(old))
            if isinstance(old, exp.Columns):
                # It means another column in each output that it is written out to.
                return exp.maybe_parse(self._named(bound, "COLUMNS", old), dialect=self.dialect)
            if isinstance(old, exp.Star) and not isinstance(old.parent, exp.Count):
                raise _Refused("*", "it stands for several columns", *place_of(old.parent))
            if isinstance(bound, Alias):
                if depth > 16 or bound.output.expression.features & (Feature.AGGREGATE | Feature.WINDOW):
                    raise _Refused("alias", "an alias of an aggregate is used in another", *place_of(old))
                inner = bound.output.expression
                sql = self._sql(inner) if inner.node is None else self._sql_of(inner.node, inner, depth + 1)
                parsed = parse_tree(f"SELECT ({sql})", self.dialect)
                assert isinstance(parsed, exp.Select)
                found: exp.Expr = parsed.expressions[0]
                return found
            return None

        root = put(node)
        if root is not None:
            return root.sql(self.dialect)
        copy = node.copy()
        for old, new in list(zip(node.walk(), copy.walk(), strict=True)):
            made = put(old) if old is not node else None
            if made is not None:
                new.replace(made)
        return copy.sql(self.dialect)


_TAIL = frozenset(
    {
        TokenType.GROUP_BY, TokenType.HAVING, TokenType.QUALIFY, TokenType.WINDOW, TokenType.ORDER_BY,
        TokenType.LIMIT, TokenType.OFFSET, TokenType.SEMICOLON,
    }
)  # fmt: skip

_KINDS: Mapping[type[exp.Expr], str] = {
    exp.Count: "count",
    exp.Sum: "sum",
    exp.Avg: "avg",
    exp.Min: "min",
    exp.Max: "max",
    exp.LogicalAnd: "bool_and",
    exp.LogicalOr: "bool_or",
}


def _made_of(argument: exp.Expr, within: Expression) -> tuple[str | None, frozenset[str | None]]:
    """An argument as text that equal ones share, and the columns in it."""
    references = (within.bindings.get(id(node)) for node in argument.walk())
    columns = frozenset(reference_text(found) for found in references if found is not None)
    return same_text(Expression(argument, (), within.bindings, {}, Feature.NONE)), columns


def _asked_of(select: Select) -> Iterator[tuple[exp.Expr, Expression, _Asked]]:
    """Each COUNT, SUM and AVG of the groups of a SELECT, with the expression that it is in."""
    for within in (*[output.expression for output in select.outputs or ()], *select.order, select.having):
        if within is None or within.node is None or not within.features & Feature.AGGREGATE:
            continue
        for node in within.node.walk(prune=lambda inner: isinstance(inner, exp.Query)):
            kind = _KINDS.get(type(node))
            if kind not in ("count", "sum", "avg") or isinstance(node.parent, (exp.Filter, exp.Window)):
                continue
            argument = node.this if isinstance(node.this, exp.Expr) and not isinstance(node.this, exp.Star) else None
            if not isinstance(argument, exp.Distinct):
                canon, columns = _made_of(argument, within) if argument is not None else ("", frozenset())
                yield node, within, _Asked(kind, canon, columns)
