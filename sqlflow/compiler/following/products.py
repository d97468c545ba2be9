"""A query as a sum of products of the tables that it reads."""

from __future__ import annotations

from msgspec import Struct, field
from sqlglot import exp

from sqlflow.compiler.following.refused import Refused, refusal_at
from sqlflow.compiler.relations import expressions_of, tables_of
from sqlflow.compiler.scopes import Feature, Opaque, Relation, Resolved, Select, SetOperation, Source, ValuesList
from sqlflow.core.following import Refusal
from sqlflow.core.names import TableName
from sqlflow.core.syntax import place_of

MOST_TERMS = 16


MOST_READINGS = 24


class Terms(Struct):
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
                self._fix_all(relation, refusal_at(relation.node, word, f"{word} compares whole rows"))
                return [()]
            case ValuesList():
                return [()]
            case Opaque():
                self._fix_all(relation, refusal_at(relation.node, "query", "it is not looked into"))
                return [()]

    def _select(self, select: Select, *, grouped: bool) -> list[tuple[int, ...]]:
        for expression in expressions_of(select):
            for inner in expression.nested.values():
                self._fix_all(
                    inner, refusal_at(expression.node, "subquery", "it is read by a subquery in an expression")
                )
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
            if len(terms) > MOST_TERMS:
                raise Refused("query", "it multiplies out to too many products")
            if any(len(term) > MOST_READINGS for term in terms):  # a CTE that is read twice, by one that is, and so on
                raise Refused("query", "it reads tables in too many places to be followed")
        return terms

    def _factors(self, source: Source) -> list[tuple[int, ...]]:
        if source.table is not None:
            return [(self.numbers[id(source)],)]
        return [()] if source.relation is None else self._relation(source.relation)


def _not_a_product(select: Select) -> Refusal | None:
    """What makes the rows of a SELECT more than products of the rows it reads."""
    if select.group is not None or select.grouping_sets:
        return refusal_at(
            select.node.args.get("group"), "GROUP BY", "a group inside the query is computed of all its rows"
        )
    if select.distinct or select.distinct_on:
        return refusal_at(select.node, "DISTINCT", "it compares rows with each other")
    for expression in expressions_of(select):
        if expression.features & Feature.WINDOW:
            return refusal_at(expression.node, "window function", "it looks at other rows")
        if expression.features & Feature.AGGREGATE:
            return refusal_at(expression.node, "aggregate", "an aggregate inside the query is computed of all its rows")
    if select.qualify is not None:
        return refusal_at(select.qualify.node, "QUALIFY", "it looks at other rows")
    return None
