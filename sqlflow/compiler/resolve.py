"""What every name of a query means: sources, output columns and references, scope by scope.

One pass over a parsed query, without rewriting it. What cannot be known (the columns of a PIVOT, a
table without a schema) is marked unknown, never guessed: the engine's binder stays the judge of
validity, and a problem is reported only where no unknown could excuse it.

Here is the walk from query to query; what the parts of one query stand for is in `resolving`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from sqlglot import exp

from sqlflow.compiler.resolving.clauses import Clauses
from sqlflow.compiler.resolving.expressions import Expressions
from sqlflow.compiler.resolving.names import Names
from sqlflow.compiler.resolving.nested_types import NestedTypes
from sqlflow.compiler.resolving.scope import Cte, Ctes, Prefer, Scope, alias_columns, renamed, seen, with_ctes
from sqlflow.compiler.resolving.select_list import SelectList
from sqlflow.compiler.resolving.sources import Sources, is_table
from sqlflow.compiler.resolving.stars import Stars
from sqlflow.compiler.scopes import (
    Expression,
    Relation,
    Resolved,
    Select,
    SetOperation,
    Source,
    SourceKind,
    UnionOutput,
    output_names,
)
from sqlflow.core.names import ColumnRef, TableName


def resolve(
    query: exp.Expr,
    columns: Mapping[TableName, tuple[str, ...]],
    resolve_table: Callable[[exp.Table], TableName | None],
    *,
    type_of: Callable[[ColumnRef], str | None] = lambda column: None,
    dialect: str = "duckdb",
) -> Resolved:
    """The scopes of a parsed query, and the names in it that are wrong.

    `columns` are the columns of the tables it may read, `resolve_table` says which table a node
    that is no CTE means. `type_of` is the type of a base column, where it is known: `unnest(column)` in a SELECT list is
    one column if it is of a list, and several if it is of a struct.
    """
    resolver = _Resolver(columns, resolve_table, type_of, dialect)
    names = resolver.names
    try:
        relation = resolver.relation(query, None, {})
    except RecursionError:
        # Deeper than anybody writes by hand: only the tables are told.
        names.problems.clear()
        relation = resolver.sources.tables(query)
    problems = dict.fromkeys(names.problems)
    return Resolved(
        relation,
        tuple(sorted(problems, key=lambda problem: problem.start)),
        frozenset(names.pinned),
        dialect,
    )


class _Resolver:
    """Walks from query to query: it is the `Queries` that sources and expressions ask."""

    def __init__(
        self,
        columns: Mapping[TableName, tuple[str, ...]],
        resolve_table: Callable[[exp.Table], TableName | None],
        type_of: Callable[[ColumnRef], str | None],
        dialect: str,
    ) -> None:
        self.names = Names(dialect)
        stars = Stars(self.names)
        self._expressions = Expressions(self.names, stars, self, dialect)
        self.sources = Sources(columns, resolve_table, self.names, self._expressions, self, dialect)
        self._select_list = SelectList(self._expressions, stars, NestedTypes(type_of, dialect))
        self._clauses = Clauses(self._expressions)
        self._dialect = dialect
        self._recursions = 0

    def relation(self, node: exp.Expr, parent: Scope | None, ctes: Ctes) -> Relation:
        with_ = node.args.get("with_")
        if with_ is not None:
            ctes = with_ctes(with_, ctes)
        if isinstance(node, exp.Select):
            return self._select(node, parent, ctes)
        if isinstance(node, exp.SetOperation):
            return self._set_operation(node, parent, ctes)
        if isinstance(node, exp.Subquery) and not node.args.get("pivots"):
            return self._bracketed(node, parent, ctes)
        if isinstance(node, exp.Values):
            return self.sources.values(node, Scope(parent, ctes))
        return self.sources.opaque(node, Scope(parent, ctes))

    def of_cte(self, cte: Cte) -> Relation:
        if cte.relation is None:
            body = cte.node.this
            if cte.recursive and isinstance(body, exp.SetOperation):
                with_ = body.args.get("with_")
                ctes = cte.ctes if with_ is None else with_ctes(with_, cte.ctes)
                cte.relation = self._set_operation(body, None, ctes, cte.node)
            else:
                cte.relation = self.relation(body, None, cte.ctes)
        return cte.relation

    def _select(self, node: exp.Select, parent: Scope | None, ctes: Ctes) -> Relation:
        args = node.args
        bind, clauses = self._expressions.bind, self._clauses
        scope = Scope(parent, ctes)
        for window in args.get("windows") or ():
            scope.windows[window.this.name.lower()] = window
        from_ = args.get("from_")
        if from_ is not None:
            self.sources.chain(from_.this, args.get("joins") or (), scope)
        for lateral in args.get("laterals") or ():
            scope.add(self.sources.source(lateral, scope))
        outputs, hidden = self._select_list.outputs(node.expressions, scope)
        where = args.get("where")
        having = args.get("having")
        qualify = args.get("qualify")
        distinct = args.get("distinct")
        on = distinct.args.get("on") if distinct is not None else None
        group, sets = clauses.group(args.get("group"), scope, outputs)
        return Select(
            node,
            tuple(scope.sources),
            tuple(scope.joins),
            outputs,
            hidden,
            bind(where.this, scope) if where is not None else None,
            group,
            sets,
            bind(having.this, scope, Prefer.BOTH) if having is not None else None,
            bind(qualify.this, scope) if qualify is not None else None,
            scope.windows,
            distinct is not None and on is None,
            clauses.keys(on.expressions if on is not None else (), scope, outputs),
            clauses.order(args, scope, outputs),
            clauses.limit(args, scope),
            args.get("sample") is not None,
        )

    def _bracketed(self, node: exp.Subquery, parent: Scope | None, ctes: Ctes) -> Relation:
        args = node.args
        plain = not any(args.get(key) for key in ("order", "limit", "offset", "sample"))
        inner = node.this
        query = isinstance(inner, exp.Query) and not is_table(inner)
        if plain and query:
            return self.relation(inner, parent, ctes)
        scope = Scope(parent, ctes)
        if not query and not is_table(inner):
            return self.sources.opaque(node, scope)
        if query:
            self._add_rows(node, self.relation(inner, parent, ctes), scope)
        else:
            self.sources.chain(inner, (), scope)
        outputs = self._select_list.all(scope)
        known = tuple(outputs) if outputs is not None else None
        scope.call(known or ())
        return Select(
            node,
            tuple(scope.sources),
            tuple(scope.joins),
            known,
            order=self._clauses.order(args, scope, known),
            limit=self._clauses.limit(args, scope),
            sampled=args.get("sample") is not None,
        )

    def _set_operation(
        self,
        node: exp.SetOperation,
        parent: Scope | None,
        ctes: Ctes,
        cte: exp.CTE | None = None,
    ) -> Relation:
        left = self.relation(node.this, parent, ctes)
        recursion = ""
        if cte is not None and _reads(node.expression, cte.alias.lower()):
            self._recursions += 1
            recursion = f"{cte.alias.lower()}#{self._recursions}"
            names = renamed(seen(output_names(left), self._dialect), alias_columns(cte))
            ctes = {
                **ctes,
                cte.alias.lower(): Source(SourceKind.RECURSION, cte, cte.alias, names, recursion=recursion),
            }
        right = self.relation(node.expression, parent, ctes)
        outputs = _union_outputs(left, right, bool(node.args.get("by_name")))
        args = node.args
        scope = Scope(parent, ctes)
        if args.get("order") or args.get("limit") or args.get("offset"):
            # ORDER BY sees the columns of the result, by name or number.
            self._add_rows(node, SetOperation(node, "", False, left, right, outputs), scope)
        return SetOperation(
            node,
            type(node).__name__.lower(),
            bool(args.get("distinct")),
            left,
            right,
            outputs,
            self._set_order(args, scope),
            self._clauses.limit(args, scope),
            recursion,
        )

    def _add_rows(self, node: exp.Expr, relation: Relation, scope: Scope) -> None:
        """The rows of a query, for the clauses after it."""
        names = seen(output_names(relation), self._dialect)
        scope.add(Source(SourceKind.SUBQUERY, node, "", names, relation=relation))

    def _set_order(self, args: Mapping[str, object], scope: Scope) -> tuple[Expression, ...]:
        """ORDER BY of a set operation; a name of a branch's table is good there too."""
        stars = self._select_list.all(scope) if args.get("order") is not None else None
        with self.names.quietly():
            return self._clauses.order(args, scope, tuple(stars) if stars is not None else None)


def _reads(node: exp.Expr, name: str) -> bool:
    return any(table.name.lower() == name and table.args.get("db") is None for table in node.find_all(exp.Table))


def _union_outputs(left: Relation, right: Relation, by_name: bool) -> tuple[UnionOutput, ...] | None:
    lefts, rights = output_names(left), output_names(right)
    if lefts is None or rights is None:
        return None
    if not by_name:
        if len(lefts) != len(rights):
            return None
        return tuple(UnionOutput(name, place, place) for place, name in enumerate(lefts))
    if None in lefts or None in rights:
        return None
    places = {(name or "").lower(): place for place, name in enumerate(rights)}
    outputs = [UnionOutput(name, place, places.pop((name or "").lower(), None)) for place, name in enumerate(lefts)]
    return (
        *outputs,
        *(UnionOutput(rights[place], None, place) for place in places.values()),
    )
