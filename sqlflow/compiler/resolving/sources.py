"""FROM: tables, CTEs, subqueries and functions, how they are joined, and which of their columns are seen."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from sqlglot import exp

from sqlflow.compiler.resolving.expressions import Expressions
from sqlflow.compiler.resolving.names import Names
from sqlflow.compiler.resolving.scope import Cte, Ctes, Queries, Scope, alias_columns, renamed, seen, with_ctes
from sqlflow.compiler.scopes import (
    Expression,
    JoinOn,
    Merged,
    Opaque,
    Reference,
    Source,
    SourceKind,
    Unknown,
    ValuesList,
    output_names,
)
from sqlflow.core.names import TableName
from sqlflow.core.syntax import RECURRING


class Sources:
    """Puts what stands in FROM into a scope.

    `columns`: those of the tables that the query may read. `resolve_table`: which table a node that is no CTE means.
    """

    def __init__(
        self,
        columns: Mapping[TableName, tuple[str, ...]],
        resolve_table: Callable[[exp.Table], TableName | None],
        names: Names,
        expressions: Expressions,
        queries: Queries,
        dialect: str,
    ) -> None:
        self._columns = columns
        self._resolve_table = resolve_table
        self._names = names
        self._expressions = expressions
        self._queries = queries
        self._dialect = dialect
        self._values_name, self._values_first = ("column", 1) if dialect == "postgres" else ("col", 0)

    def chain(self, first: exp.Expr, joins: Iterable[exp.Expr], scope: Scope) -> None:
        """A chain of joins; some of them hang on the first table, as `WITH ... FROM a, b` does."""
        group = len(scope.sources)
        self._factor(first, scope)
        for join in (*(first.args.get("joins") or ()), *joins):
            args = join.args
            side, kind, method = (str(args.get(key) or "").upper() for key in ("side", "kind", "method"))
            middle = len(scope.sources)
            visible = len(scope.visible)
            on, using = args.get("on"), args.get("using")
            comma = not (side or kind or method or on is not None or using)
            self.chain(join.this, (), scope)
            if comma:
                # A comma binds least: the next JOIN does not reach to the left of it.
                group = middle
                continue
            start = group
            lefts = [s for s in scope.visible[:visible] if s in scope.sources[start:middle]]
            rights = scope.visible[visible:]
            pairs: tuple[tuple[Reference, Reference], ...] = ()
            bound = None
            if using or method == "NATURAL":
                pairs = self._using(using, lefts, rights, scope, side)
            elif on is not None:
                bound = self._on(on, lefts + rights, scope)
            scope.joins.append(JoinOn(start, middle, len(scope.sources), side, kind, method, bound, pairs))
            if kind in ("SEMI", "ANTI"):
                del scope.visible[visible:]

    def source(self, node: exp.Expr, scope: Scope) -> Source:
        """One thing in FROM."""
        if node.args.get("pivots") or node.args.get("rows_from"):
            inner = self.opaque(node, scope)
            return Source(SourceKind.SUBQUERY, node, node.alias, None, relation=inner)
        if isinstance(node, exp.Table):
            if isinstance(node.this, exp.Identifier):
                return self._table(node, scope)
            return self._function(node, node.this, scope)
        if isinstance(node, exp.Lateral):
            if isinstance(node.this, exp.Subquery):
                return self._derived(node, node.this, scope)
            return self._function(node, node.this, scope)
        if isinstance(node, exp.Subquery):
            return self._derived(node, node, scope)
        if isinstance(node, exp.Unnest):
            return self._function(node, node, scope)
        if isinstance(node, exp.Values):
            relation = self.values(node, scope)
            names = renamed(output_names(relation), alias_columns(node))
            return Source(SourceKind.SUBQUERY, node, node.alias, names, relation=relation)
        inner = self.opaque(node, scope)
        return Source(SourceKind.SUBQUERY, node, node.alias_or_name, None, relation=inner)

    def values(self, node: exp.Values, scope: Scope) -> ValuesList:
        bind = self._expressions.bind
        rows = tuple(
            tuple(bind(value, scope) for value in (row.expressions if isinstance(row, exp.Tuple) else (row,)))
            for row in node.expressions
        )
        width = len(rows[0]) if rows else 0
        names = tuple(f"{self._values_name}{self._values_first + place}" for place in range(width))
        return ValuesList(node, names, rows)

    def opaque(self, node: exp.Expr, scope: Scope) -> Opaque:
        """Only what it reads: every table below, as far as it can be named."""
        ctes: Ctes = scope.ctes
        sources: list[Source] = []
        for inner in node.find_all(exp.With):
            ctes = with_ctes(inner, ctes)
        reading = Scope(scope.parent, ctes)
        for table in node.find_all(exp.Table):
            if isinstance(table.this, exp.Identifier):
                sources.append(self._table(table, reading))
            elif table.this is not None:  # ROWS FROM names the functions below
                sources.append(Source(SourceKind.FUNCTION, table, table.alias, None))
        return Opaque(node, tuple(sources))

    def tables(self, node: exp.Expr) -> Opaque:
        """Nothing but the tables with a known name, CTE or not."""
        sources = []
        for table in node.find_all(exp.Table):
            name = self._resolve_table(table)
            if name is not None:
                sources.append(Source(SourceKind.TABLE, table, table.name, None, name))
        return Opaque(node, tuple(sources))

    # Joins

    def _factor(self, node: exp.Expr, scope: Scope) -> None:
        """One table of FROM, or a bracketed join whose tables keep their own names."""
        named = any(node.args.get(key) for key in ("alias", "pivots", "sample"))
        if isinstance(node, exp.Subquery) and is_table(node.this) and not named:
            self.chain(node.this, (), scope)
            return
        scope.add(self.source(node, scope))

    def _on(self, on: exp.Expr, within: list[Source], scope: Scope) -> Expression:
        if len(within) == len(scope.visible):
            return self._expressions.bind(on, scope)
        # Tables before a comma are seen too, like those of an outer query.
        return self._expressions.bind(on, scope.beside(within, scope))

    def _using(
        self,
        using: list[exp.Expr] | None,
        lefts: list[Source],
        rights: list[Source],
        scope: Scope,
        side: str,
    ) -> tuple[tuple[Reference, Reference], ...]:
        if any(source.open for source in lefts + rights):
            scope.blurred = True
            return ((Unknown(tuple(lefts)), Unknown(tuple(rights))),)
        names: list[tuple[str, exp.Expr | None]]
        if using is None:
            mine = {name for source in lefts for name, _ in scope.own(source)}
            theirs = {name for source in rights for name, _ in scope.own(source)}
            names = [(name, None) for name in sorted(mine & theirs)]
        else:
            names = [(identifier.name.lower(), identifier) for identifier in using]
        pairs: list[tuple[Reference, Reference]] = []
        for name, identifier in names:
            found = [scope.places(name, sources) for sources in (lefts, rights)]
            if any(len(places) != 1 for places in found):
                if identifier is not None:
                    self._using_problem(identifier, found, lefts, rights)
                scope.blurred = True
                pairs.append((Unknown(tuple(lefts)), Unknown(tuple(rights))))
                continue
            (source, place), (other, other_place) = found[0][0], found[1][0]
            left = scope.column(source, place)
            right = scope.column(other, other_place)
            scope.merged[id(source), place] = Merged(left, right, side)
            scope.hidden.add((id(other), other_place))
            pairs.append((left, right))
        return tuple(pairs)

    def _using_problem(
        self,
        identifier: exp.Expr,
        found: list[list[tuple[Source, int]]],
        lefts: list[Source],
        rights: list[Source],
    ) -> None:
        for places, sources in zip(found, (lefts, rights), strict=True):
            if len(places) > 1:
                self._names.ambiguous(identifier, [source for source, _ in places])
                return
            if not places:
                self._names.unknown(identifier, sources, {})
                return

    # Sources

    def _table(self, node: exp.Table, scope: Scope) -> Source:
        args = node.args
        name = node.name
        sampled = args.get("sample") is not None or args.get("when") is not None
        schema = args.get("db")
        cte = scope.ctes.get(name.lower())
        if cte is not None and (schema is None or (schema.name.lower() == RECURRING and isinstance(cte, Source))):
            return self._cte(node, cte, sampled)
        start, end = _cut(node)
        table = self._resolve_table(node)
        known = self._columns.get(table) if table is not None else None
        if seen(known, self._dialect) is None:
            known = None
        return Source(
            SourceKind.TABLE if table is not None else SourceKind.UNKNOWN,
            node,
            node.alias or name,
            renamed(known, alias_columns(node)),
            table,
            known or (),
            sampled=sampled,
            start=start,
            end=end,
        )

    def _cte(self, node: exp.Table, cte: Cte | Source, sampled: bool) -> Source:
        start, end = _cut(node)
        if isinstance(cte, Source):
            return Source(
                cte.kind,
                node,
                node.alias or node.name,
                renamed(cte.columns, alias_columns(node)),
                recursion=cte.recursion,
                sampled=sampled,
                start=start,
                end=end,
            )
        relation = self._queries.of_cte(cte)
        names = renamed(seen(output_names(relation), self._dialect), alias_columns(cte.node))
        return Source(
            SourceKind.CTE,
            node,
            node.alias or node.name,
            renamed(names, alias_columns(node)),
            relation=relation,
            sampled=sampled,
            start=start,
            end=end,
        )

    def _derived(self, node: exp.Expr, query: exp.Subquery, scope: Scope) -> Source:
        # DuckDB lets any subquery of FROM read the tables to its left, LATERAL or not.
        around = scope.beside(list(scope.visible), scope.parent)
        relation = self._queries.relation(query, around, scope.ctes)
        names = renamed(seen(output_names(relation), self._dialect), alias_columns(node))
        return Source(SourceKind.SUBQUERY, node, node.alias, names, relation=relation)

    def _function(self, node: exp.Expr, call: exp.Expr, scope: Scope) -> Source:
        alias = node.alias
        arguments = (self._expressions.bind_loosely(call, scope),)
        names: tuple[str | None, ...] | None = None
        kind = SourceKind.FUNCTION
        if isinstance(call, exp.Unnest):
            kind = SourceKind.UNNEST
            names = (alias or "unnest",)
            offset = call.args.get("offset")
            if offset:
                named_offset = (offset.name,) if isinstance(offset, exp.Identifier) else ()
                names = (*names, *(named_offset or ("ordinality",)))
            if len(call.expressions) > 1:
                names = None
        elif isinstance(call, exp.GenerateSeries):
            kind = SourceKind.UNNEST
            exclusive = bool(call.args.get("is_end_exclusive"))
            names = (alias or ("range" if exclusive else "generate_series"),)
        return Source(kind, node, alias, renamed(names, alias_columns(node)), arguments=arguments)


def is_table(node: object) -> bool:
    """A table, or a bracketed table or join: what stands in brackets without being a query."""
    if isinstance(node, exp.Subquery):
        return bool(node.args.get("joins")) or is_table(node.this)
    return isinstance(node, exp.Table)


def _cut(node: exp.Table) -> tuple[int | None, int | None]:
    """Where the name of a table stands, from its first part to its last."""
    first = node.args.get("catalog") or node.args.get("db") or node.this
    start, end = first.meta.get("start"), node.this.meta.get("end")
    return (start, end + 1) if isinstance(start, int) and isinstance(end, int) else (None, None)
