"""What every name of a query means: sources, output columns and references, scope by scope.

One pass over a parsed query, without rewriting it. What cannot be known (the columns of a PIVOT, a
table without a schema) is marked unknown, never guessed: the engine's binder stays the judge of
validity, and a problem is reported only where no unknown could excuse it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from difflib import get_close_matches
from enum import StrEnum

from msgspec import Struct, field
from sqlglot import exp

from sqlflow.compiler import functions
from sqlflow.compiler.column_tests import _like, name_test, regex_name
from sqlflow.compiler.scopes import (
    Alias,
    AmbiguousColumn,
    Direct,
    Expression,
    Feature,
    Field,
    JoinOn,
    Merged,
    Named,
    Opaque,
    Output,
    Problem,
    Reference,
    Relation,
    Resolved,
    Select,
    SetOperation,
    Several,
    Source,
    SourceKind,
    UnionOutput,
    Unknown,
    UnknownColumn,
    ValuesList,
    output_names,
)
from sqlflow.compiler.value_types import ValueType, element_of, field_of, is_list, type_named
from sqlflow.compiler.vocabulary import AGGREGATES, LIST_FUNCTIONS, SCALARS
from sqlflow.core.clock import Moving, Nature
from sqlflow.core.intervals import Grain
from sqlflow.core.names import ColumnRef, TableName
from sqlflow.core.syntax import RECURRING, VALUES_WITHOUT_BRACKETS


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
    try:
        relation = resolver.relation(query, None, {})
    except RecursionError:
        # Deeper than anybody writes by hand: only the tables are told.
        relation = resolver.tables(query)
    problems = dict.fromkeys(resolver.problems)
    return Resolved(
        relation,
        tuple(sorted(problems, key=lambda problem: problem.start)),
        frozenset(resolver.pinned),
        dialect,
    )


class _Cte(Struct, eq=False):
    """A CTE, resolved when it is first read: the engine does not bind those that nobody reads."""

    node: exp.CTE
    ctes: _Ctes
    recursive: bool
    relation: Relation | None = None


_Ctes = Mapping[str, "_Cte | Source"]


class _Scope(Struct, eq=False):
    """The names that an expression of one SELECT can reach."""

    parent: _Scope | None
    ctes: _Ctes
    visible: list[Source] = field(default_factory=list)
    sources: list[Source] = field(default_factory=list)
    joins: list[JoinOn] = field(default_factory=list)
    # What USING did: the first of the shared columns stands for all, the others are hidden.
    merged: dict[tuple[int, int], Merged] = field(default_factory=dict)
    hidden: set[tuple[int, int]] = field(default_factory=set)
    # A NATURAL or USING join over unknown columns: no name is certain any more.
    blurred: bool = False
    aliases: dict[str, Output] = field(default_factory=dict)
    windows: dict[str, exp.Window] = field(default_factory=dict)


class _Prefer(StrEnum):
    """What a name means that is both a column and an alias of the SELECT list."""

    COLUMN = "column"
    ALIAS = "alias"
    BOTH = "both"


class _Binding(Struct, eq=False):
    """An expression in the making."""

    scope: _Scope
    prefer: _Prefer
    bindings: dict[int, Reference] = field(default_factory=dict)
    nested: dict[int, Relation] = field(default_factory=dict)
    features: int = 0
    moving: list[Moving] = field(default_factory=list)
    deciding: list[Moving] = field(default_factory=list)
    # Parameters of lambdas and comprehensions around the node.
    locals: tuple[str, ...] = ()
    # The column that COLUMNS(...) stands for in this copy of the expression.
    star: Reference | None = None


class _Resolver:
    def __init__(
        self,
        columns: Mapping[TableName, tuple[str, ...]],
        resolve_table: Callable[[exp.Table], TableName | None],
        type_of: Callable[[ColumnRef], str | None],
        dialect: str,
    ) -> None:
        self.columns = columns
        self.resolve_table = resolve_table
        self.type_of = type_of
        self.dialect = dialect
        self.restless = functions.CALLS | (functions.CASTS if dialect == "postgres" else frozenset())
        self.values_name, self.values_first = ("column", 1) if dialect == "postgres" else ("col", 0)
        self.problems: list[Problem] = []
        self.pinned: set[Source] = set()
        self.recursions = 0
        # Whether the expression that was bound last has COLUMNS(...) in it.
        self.many = False

    # Relations

    def relation(self, node: exp.Expr, parent: _Scope | None, ctes: _Ctes) -> Relation:
        with_ = node.args.get("with_")
        if with_ is not None:
            ctes = self._with(with_, ctes)
        if isinstance(node, exp.Select):
            return self._select(node, parent, ctes)
        if isinstance(node, exp.SetOperation):
            return self._set_operation(node, parent, ctes)
        if isinstance(node, exp.Subquery) and not node.args.get("pivots"):
            return self._bracketed(node, parent, ctes)
        if isinstance(node, exp.Values):
            return self._values(node, _Scope(parent, ctes))
        return self._opaque(node, _Scope(parent, ctes))

    def tables(self, node: exp.Expr) -> Opaque:
        """Nothing but the tables with a known name, CTE or not."""
        self.problems.clear()
        found = []
        for table in node.find_all(exp.Table):
            name = self.resolve_table(table)
            if name is not None:
                found.append(Source(SourceKind.TABLE, table, table.name, None, name))
        return Opaque(node, tuple(found))

    def _with(self, with_: exp.Expr, ctes: _Ctes) -> _Ctes:
        recursive = bool(with_.args.get("recursive"))
        inner = dict(ctes)
        for cte in with_.expressions:
            inner[cte.alias.lower()] = _Cte(cte, dict(inner), recursive)
        return inner

    def _select(self, node: exp.Select, parent: _Scope | None, ctes: _Ctes) -> Relation:
        args = node.args
        scope = _Scope(parent, ctes)
        for window in args.get("windows") or ():
            scope.windows[window.this.name.lower()] = window
        from_ = args.get("from_")
        if from_ is not None:
            self._from(from_.this, args.get("joins") or (), scope)
        for lateral in args.get("laterals") or ():
            self._add(self._source(lateral, scope), scope)
        outputs: list[Output] | None = []
        hidden: list[Expression] = []
        for item in node.expressions:
            found = self._item(item, scope)
            if found is None:
                hidden.append(self._loose(item, scope))
                outputs = None
                continue
            for output in found:
                if output.name is not None:
                    scope.aliases.setdefault(output.name.lower(), output)
            if outputs is None:
                hidden.extend(output.expression for output in found)
            else:
                outputs.extend(found)
        outputs_known = None if outputs is None else tuple(outputs)
        where = args.get("where")
        having = args.get("having")
        qualify = args.get("qualify")
        distinct = args.get("distinct")
        on = distinct.args.get("on") if distinct is not None else None
        group, sets = self._group(args.get("group"), scope, outputs_known)
        return Select(
            node,
            tuple(scope.sources),
            tuple(scope.joins),
            outputs_known,
            tuple(hidden),
            self._bind(where.this, scope) if where is not None else None,
            group,
            sets,
            self._bind(having.this, scope, _Prefer.BOTH) if having is not None else None,
            self._bind(qualify.this, scope) if qualify is not None else None,
            scope.windows,
            distinct is not None and on is None,
            self._keys(on.expressions if on is not None else (), scope, outputs_known),
            self._order(args, scope, outputs_known),
            self._limit(args, scope),
            args.get("sample") is not None,
        )

    def _bracketed(self, node: exp.Subquery, parent: _Scope | None, ctes: _Ctes) -> Relation:
        args = node.args
        plain = not any(args.get(key) for key in ("order", "limit", "offset", "sample"))
        inner = node.this
        query = isinstance(inner, exp.Query) and not _is_table(inner)
        if plain and query:
            return self.relation(inner, parent, ctes)
        scope = _Scope(parent, ctes)
        if not query and not _is_table(inner):
            return self._opaque(node, scope)
        if query:
            relation = self.relation(inner, parent, ctes)
            names = self._seen(output_names(relation))
            self._add(Source(SourceKind.SUBQUERY, node, "", names, relation=relation), scope)
        else:
            self._from(inner, (), scope)
        outputs = self._star(scope)
        known = tuple(outputs) if outputs is not None else None
        for output in outputs or ():
            if output.name is not None:
                scope.aliases.setdefault(output.name.lower(), output)
        return Select(
            node,
            tuple(scope.sources),
            tuple(scope.joins),
            known,
            order=self._order(args, scope, known),
            limit=self._limit(args, scope),
            sampled=args.get("sample") is not None,
        )

    def _set_operation(
        self,
        node: exp.SetOperation,
        parent: _Scope | None,
        ctes: _Ctes,
        cte: exp.CTE | None = None,
    ) -> Relation:
        left = self.relation(node.this, parent, ctes)
        recursion = ""
        if cte is not None and _reads(node.expression, cte.alias.lower()):
            self.recursions += 1
            recursion = f"{cte.alias.lower()}#{self.recursions}"
            names = _renamed(self._seen(output_names(left)), _alias_columns(cte))
            ctes = {
                **ctes,
                cte.alias.lower(): Source(SourceKind.RECURSION, cte, cte.alias, names, recursion=recursion),
            }
        right = self.relation(node.expression, parent, ctes)
        outputs = _union_outputs(left, right, bool(node.args.get("by_name")))
        args = node.args
        scope = _Scope(parent, ctes)
        if args.get("order") or args.get("limit") or args.get("offset"):
            # ORDER BY sees the columns of the result, by name or number.
            own = SetOperation(node, "", False, left, right, outputs)
            names = self._seen(output_names(own))
            self._add(Source(SourceKind.SUBQUERY, node, "", names, relation=own), scope)
        return SetOperation(
            node,
            type(node).__name__.lower(),
            bool(args.get("distinct")),
            left,
            right,
            outputs,
            self._set_order(args, scope),
            self._limit(args, scope),
            recursion,
        )

    def _set_order(self, args: Mapping[str, object], scope: _Scope) -> tuple[Expression, ...]:
        """ORDER BY of a set operation; a name of a branch's table is good there too."""
        stars = self._star(scope) if args.get("order") is not None else None
        before = len(self.problems)
        order = self._order(args, scope, tuple(stars) if stars is not None else None)
        del self.problems[before:]
        return order

    def _values(self, node: exp.Values, scope: _Scope) -> Relation:
        rows = tuple(
            tuple(self._bind(value, scope) for value in (row.expressions if isinstance(row, exp.Tuple) else (row,)))
            for row in node.expressions
        )
        width = len(rows[0]) if rows else 0
        names = tuple(f"{self.values_name}{self.values_first + place}" for place in range(width))
        return ValuesList(node, names, rows)

    def _opaque(self, node: exp.Expr, scope: _Scope) -> Opaque:
        """Only what it reads: every table below, as far as it can be named."""
        ctes = scope.ctes
        found: list[Source] = []
        for inner in node.find_all(exp.With):
            ctes = self._with(inner, ctes)
        reading = _Scope(scope.parent, ctes)
        for table in node.find_all(exp.Table):
            if isinstance(table.this, exp.Identifier):
                found.append(self._table(table, reading))
            elif table.this is not None:  # ROWS FROM names the functions below
                found.append(Source(SourceKind.FUNCTION, table, table.alias, None))
        return Opaque(node, tuple(found))

    # FROM

    def _from(self, first: exp.Expr, joins: Iterable[exp.Expr], scope: _Scope) -> None:
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
            self._from(join.this, (), scope)
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

    def _factor(self, node: exp.Expr, scope: _Scope) -> None:
        """One table of FROM, or a bracketed join whose tables keep their own names."""
        named = any(node.args.get(key) for key in ("alias", "pivots", "sample"))
        if isinstance(node, exp.Subquery) and _is_table(node.this) and not named:
            self._from(node.this, (), scope)
            return
        self._add(self._source(node, scope), scope)

    def _add(self, source: Source, scope: _Scope) -> None:
        scope.sources.append(source)
        scope.visible.append(source)

    def _on(self, on: exp.Expr, within: list[Source], scope: _Scope) -> Expression:
        if len(within) == len(scope.visible):
            return self._bind(on, scope)
        # Tables before a comma are seen too, like those of an outer query.
        inner = _Scope(scope, scope.ctes, within)
        inner.merged, inner.hidden, inner.blurred = scope.merged, scope.hidden, scope.blurred
        return self._bind(on, inner)

    def _using(
        self,
        using: list[exp.Expr] | None,
        lefts: list[Source],
        rights: list[Source],
        scope: _Scope,
        side: str,
    ) -> tuple[tuple[Reference, Reference], ...]:
        if any(source.open for source in lefts + rights):
            scope.blurred = True
            return ((Unknown(tuple(lefts)), Unknown(tuple(rights))),)
        names: list[tuple[str, exp.Expr | None]]
        if using is None:
            mine = {name for source in lefts for name, _ in self._own(source, scope)}
            theirs = {name for source in rights for name, _ in self._own(source, scope)}
            names = [(name, None) for name in sorted(mine & theirs)]
        else:
            names = [(identifier.name.lower(), identifier) for identifier in using]
        pairs: list[tuple[Reference, Reference]] = []
        for name, identifier in names:
            found = [self._places(name, sources, scope) for sources in (lefts, rights)]
            if any(len(places) != 1 for places in found):
                if identifier is not None:
                    self._using_problem(identifier, found, lefts, rights)
                scope.blurred = True
                pairs.append((Unknown(tuple(lefts)), Unknown(tuple(rights))))
                continue
            (source, place), (other, other_place) = found[0][0], found[1][0]
            left = self._place(source, place, scope)
            right = self._place(other, other_place, scope)
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
                self._ambiguous(identifier, [source for source, _ in places])
                return
            if not places:
                self._unknown(identifier, sources, {})
                return

    def _seen(self, names: tuple[str | None, ...] | None) -> tuple[str | None, ...] | None:
        """The names under which the columns of something in FROM are seen. None where PostgreSQL tells `"A"` from `a`,
        as names are compared without their case here."""
        unique = _unique(names)
        return None if self.dialect == "postgres" and unique != names else unique

    def _own(self, source: Source, scope: _Scope) -> Iterator[tuple[str, int]]:
        for place, name in enumerate(source.columns or ()):
            if name is not None and (id(source), place) not in scope.hidden:
                yield name.lower(), place

    def _places(self, name: str, sources: Iterable[Source], scope: _Scope) -> list[tuple[Source, int]]:
        found = []
        for source in sources:
            place = source.places.get(name)
            if place is not None and (id(source), place) not in scope.hidden:
                found.append((source, place))
        return found

    def _place(self, source: Source, place: int, scope: _Scope) -> Reference:
        return scope.merged.get((id(source), place)) or Direct(source, place)

    def _source(self, node: exp.Expr, scope: _Scope) -> Source:
        if node.args.get("pivots") or node.args.get("rows_from"):
            inner = self._opaque(node, scope)
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
            relation = self._values(node, scope)
            names = _renamed(output_names(relation), _alias_columns(node))
            return Source(SourceKind.SUBQUERY, node, node.alias, names, relation=relation)
        inner = self._opaque(node, scope)
        return Source(SourceKind.SUBQUERY, node, node.alias_or_name, None, relation=inner)

    def _table(self, node: exp.Table, scope: _Scope) -> Source:
        args = node.args
        name = node.name
        sampled = args.get("sample") is not None or args.get("when") is not None
        schema = args.get("db")
        cte = scope.ctes.get(name.lower())
        if cte is not None and (schema is None or (schema.name.lower() == RECURRING and isinstance(cte, Source))):
            return self._cte(node, cte, sampled)
        start, end = _cut(node)
        table = self.resolve_table(node)
        known = self.columns.get(table) if table is not None else None
        if self._seen(known) is None:
            known = None
        return Source(
            SourceKind.TABLE if table is not None else SourceKind.UNKNOWN,
            node,
            node.alias or name,
            _renamed(known, _alias_columns(node)),
            table,
            known or (),
            sampled=sampled,
            start=start,
            end=end,
        )

    def _cte(self, node: exp.Table, cte: _Cte | Source, sampled: bool) -> Source:
        start, end = _cut(node)
        if isinstance(cte, Source):
            return Source(
                cte.kind,
                node,
                node.alias or node.name,
                _renamed(cte.columns, _alias_columns(node)),
                recursion=cte.recursion,
                sampled=sampled,
                start=start,
                end=end,
            )
        if cte.relation is None:
            body = cte.node.this
            if cte.recursive and isinstance(body, exp.SetOperation):
                ctes = cte.ctes
                with_ = body.args.get("with_")
                if with_ is not None:
                    ctes = self._with(with_, ctes)
                cte.relation = self._set_operation(body, None, ctes, cte.node)
            else:
                cte.relation = self.relation(body, None, cte.ctes)
        names = _renamed(self._seen(output_names(cte.relation)), _alias_columns(cte.node))
        return Source(
            SourceKind.CTE,
            node,
            node.alias or node.name,
            _renamed(names, _alias_columns(node)),
            relation=cte.relation,
            sampled=sampled,
            start=start,
            end=end,
        )

    def _derived(self, node: exp.Expr, query: exp.Subquery, scope: _Scope) -> Source:
        # DuckDB lets any subquery of FROM read the tables to its left, LATERAL or not.
        around = _Scope(scope.parent, scope.ctes, list(scope.visible))
        around.merged, around.hidden, around.blurred = (
            scope.merged,
            scope.hidden,
            scope.blurred,
        )
        relation = self.relation(query, around, scope.ctes)
        names = _renamed(self._seen(output_names(relation)), _alias_columns(node))
        return Source(SourceKind.SUBQUERY, node, node.alias, names, relation=relation)

    def _function(self, node: exp.Expr, call: exp.Expr, scope: _Scope) -> Source:
        alias = node.alias
        named = _alias_columns(node)
        arguments = (self._loose(call, scope),)
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
        return Source(kind, node, alias, _renamed(names, named), arguments=arguments)

    # The SELECT list

    def _item(self, item: exp.Expr, scope: _Scope) -> list[Output] | None:
        """The columns that one item of a SELECT list stands for; None if unknown."""
        kind = type(item)
        if kind is exp.Column and type(item.this) is not exp.Star:
            bound = self._bind(item, scope)
            return [Output(_spelled(item.name, bound), bound)]
        inner = item.unalias() if kind is exp.Alias else item
        while type(inner) is exp.Paren:
            inner = inner.this
        if type(inner) is exp.Star:
            return self._star(scope, inner)
        if type(inner) is exp.Column and type(inner.this) is exp.Star:
            return self._table_star(inner, scope)
        if type(inner) in _STAR_FILTERS or (type(inner) is exp.Not and type(inner.this) in _STAR_FILTERS):
            like = inner.this if type(inner) is exp.Not else inner
            if type(like.this) is exp.Star:
                return self._star_like(like, type(inner) is exp.Not, scope)
        if type(inner) is exp.PositionalColumn:
            return None
        if type(inner) in _EXPLODING:
            single = self._is_list(inner, scope)
            if not single:
                return None
        name = item.alias if kind is exp.Alias else _implied_name(inner)
        self.many = False
        bound = self._bind(inner, scope)
        if self.many:
            return self._columns(item, inner, name if kind is exp.Alias else None, scope)
        return [Output(name, bound)]

    def _is_list(self, call: exp.Expr, scope: _Scope) -> bool:
        """Whether `unnest(x)` surely is one column: a struct would become several."""
        if any(isinstance(extra, (exp.PropertyEQ, exp.Kwarg)) for extra in call.expressions):
            return False
        argument = call.this
        while isinstance(argument, exp.Paren):
            argument = argument.this
        if isinstance(argument, _LIST_NODES):
            return True
        if isinstance(argument, exp.Anonymous):
            return str(argument.this).lower() in LIST_FUNCTIONS
        return is_list(self._type(self._quietly(argument, scope)))

    def _quietly(self, node: exp.Expr, scope: _Scope) -> Expression:
        """An expression that is bound a second time, so its problems are told elsewhere."""
        before = len(self.problems)
        bound = self._bind(node, scope)
        del self.problems[before:]
        return bound

    def _type(self, expression: Expression, depth: int = 0) -> ValueType | None:
        """The type of an expression as far as the columns in it tell; None where it is not known."""
        if expression.node is None:
            return self._type_of(expression.references[0], depth)
        node = expression.node.unalias()
        while isinstance(node, exp.Paren):
            node = node.this
        if (bound := expression.bindings.get(id(node))) is not None:
            return self._type_of(bound, depth)
        if isinstance(node, exp.Cast):
            return node.to
        if isinstance(node, exp.Dot) and isinstance(node.expression, exp.Identifier):
            inner = Expression(node.this, expression.references, expression.bindings, expression.nested, Feature.NONE)
            return field_of(self._type(inner, depth), (node.expression.name,))
        if isinstance(node, (*_EXPLODING, exp.Bracket)) and not isinstance(node.this, exp.Query):
            inner = Expression(node.this, expression.references, expression.bindings, expression.nested, Feature.NONE)
            single = not isinstance(node, exp.Bracket) or len(node.expressions) == 1
            return element_of(self._type(inner, depth)) if single else None
        return None

    def _type_of(self, reference: Reference, depth: int) -> ValueType | None:
        if depth > _DEEPEST_TYPE:
            return None
        match reference:
            case Direct(source, index):
                if source.table is not None:
                    known = index < len(source.base_columns)
                    named = ColumnRef(source.table, source.base_columns[index]) if known else None
                    return type_named(self.type_of(named) if named is not None else None, self.dialect)
                if source.kind is SourceKind.UNNEST and source.arguments and index == 0:
                    call = source.arguments[0]
                    many = call.node.expressions if call.node is not None else []
                    if len(many) != 1:
                        return None
                    inner = Expression(many[0], call.references, call.bindings, call.nested, Feature.NONE)
                    return element_of(self._type(inner, depth + 1))
                relation = source.relation
                if isinstance(relation, Select) and relation.outputs is not None:
                    return self._type(relation.outputs[index].expression, depth + 1)
                return None
            case Alias(output):
                return self._type(output.expression, depth + 1)
            case Field(of, path):
                return field_of(self._type_of(of, depth), path)
            case _:
                return None

    def _star(self, scope: _Scope, star: exp.Expr | None = None) -> list[Output] | None:
        if scope.blurred or any(source.columns is None for source in scope.visible):
            return None
        columns = [
            (name, source, place)
            for source in scope.visible
            for place, name in enumerate(source.columns or ())
            if (id(source), place) not in scope.hidden
        ]
        return self._expand(columns, star, scope, qualified=False)

    def _table_star(self, node: exp.Expr, scope: _Scope) -> list[Output] | None:
        source = self._source_named(node, scope)
        if source is None or source.columns is None:
            return None
        columns = [(name, source, place) for place, name in enumerate(source.columns)]
        return self._expand(columns, node.this, scope, qualified=True)

    def _source_named(self, node: exp.Expr, scope: _Scope) -> Source | None:
        table = node.args.get("table")
        if table is None or node.args.get("catalog") is not None:
            return None
        name = table.name.lower()
        schema = node.args.get("db")
        around: _Scope | None = scope
        while around is not None:
            for source in around.visible:
                if source.name.lower() == name and _in_schema(source, schema):
                    if schema is not None:
                        self.pinned.add(source)
                    return source
            around = around.parent
        return None

    def _expand(
        self,
        columns: list[tuple[str | None, Source, int]],
        star: exp.Expr | None,
        scope: _Scope,
        *,
        qualified: bool,
    ) -> list[Output] | None:
        """The columns of a star, less EXCLUDE, with REPLACE and RENAME."""
        args = star.args if star is not None else {}
        if any(value and key not in _STAR_ARGS for key, value in args.items()):
            return None
        excluded: set[str] = set()
        names = [name.lower() if name is not None else "" for name, _, _ in columns]
        for node in args.get("except_") or ():
            if not isinstance(node, (exp.Column, exp.Identifier)):
                return None
            if node.args.get("table") is not None:
                return None
            if self._listed(node, names, scope):
                excluded.add(node.name.lower())
        replaced: dict[str, exp.Expr] = {}
        for node in args.get("replace") or ():
            if not isinstance(node, exp.Alias) or names.count(node.alias.lower()) > 1:
                return None
            if self._listed(node.args["alias"], names, scope):
                replaced[node.alias.lower()] = node.this
        renamed: dict[str, str] = {}
        for node in args.get("rename") or ():
            if not isinstance(node, exp.Alias) or not isinstance(node.this, exp.Column):
                return None
            if node.this.args.get("table") is not None:
                return None
            if self._listed(node.this, names, scope):
                renamed[node.this.name.lower()] = node.alias
        outputs = []
        for (name, source, place), lower in zip(columns, names, strict=True):
            if lower in excluded:
                continue
            if lower in replaced:
                outputs.append(Output(name, self._bind(replaced[lower], scope)))
                continue
            reference = Direct(source, place) if qualified else self._place(source, place, scope)
            outputs.append(Output(renamed.get(lower, name), _single(reference)))
        return outputs

    def _listed(self, node: exp.Expr, names: list[str], scope: _Scope) -> bool:
        if node.name.lower() in names:
            return True
        if "" not in names:
            self._unknown(_last(node), scope.visible, {})
        return False

    def _star_like(self, like: exp.Expr, negated: bool, scope: _Scope) -> list[Output] | None:
        outputs = self._star(scope, like.this)
        test = _like(like)
        if outputs is None or test is None or any(output.name is None for output in outputs):
            return None
        return [o for o in outputs if o.name is not None and test(o.name) is not negated]

    def _columns(self, item: exp.Expr, inner: exp.Expr, alias: str | None, scope: _Scope) -> list[Output] | None:
        """`COLUMNS(...)`: the expression once for each column that is meant."""
        stars = list(inner.find_all(exp.Columns))
        unpacked = any(star.args.get("unpack") for star in stars)
        if unpacked and type(inner) is not exp.Columns:
            return [Output(alias, self._bind(inner, scope))]
        chosen = self._chosen(stars[0], scope)
        if chosen is None:
            return None
        if len(stars) > 1 and any(star != stars[0] for star in stars):
            return None
        pattern = stars[0].this
        outputs = []
        for output in chosen:
            name = alias or output.name
            if alias is not None and "\\" in alias:
                name = regex_name(alias, pattern, output.name)
                if name is None:
                    return None
            reference = output.expression.references[0]
            if inner is stars[0]:
                outputs.append(Output(name, output.expression))
            else:
                outputs.append(Output(name, self._bind(inner, scope, star=reference)))
        return outputs

    def _chosen(self, node: exp.Expr, scope: _Scope) -> list[Output] | None:
        """The columns that `COLUMNS(...)` chooses."""
        which = node.this
        if isinstance(which, exp.Star):
            return self._plain(self._star(scope, which))
        if isinstance(which, exp.Column) and isinstance(which.this, exp.Star):
            return self._plain(self._table_star(which, scope))
        outputs = self._star(scope)
        if outputs is None or any(output.name is None for output in outputs):
            return None
        if isinstance(which, exp.Array):
            by_name = {(output.name or "").lower(): output for output in outputs}
            wanted = [literal.name.lower() for literal in which.expressions]
            if not all(name in by_name for name in wanted):
                return None
            return [by_name[name] for name in wanted]
        test = name_test(which)
        if test is None:
            return None
        return [output for output in outputs if test(output.name or "")]

    def _plain(self, outputs: list[Output] | None) -> list[Output] | None:
        """Not a star whose REPLACE put an expression in the place of a column."""
        if outputs is None or any(output.expression.node is not None for output in outputs):
            return None
        return outputs

    # The other clauses

    def _group(
        self, group: exp.Expr | None, scope: _Scope, outputs: tuple[Output, ...] | None
    ) -> tuple[tuple[Expression, ...] | None, bool]:
        if group is None:
            return None, False
        args = group.args
        keys = list(self._keys(group.expressions, scope, outputs))
        sets = any(isinstance(key.node, _GROUPING) for key in keys)
        for extra in ("grouping_sets", "cube", "rollup"):
            for node in args.get(extra) or ():
                sets = True
                if isinstance(node, exp.Expr):
                    keys.append(self._bind(node, scope))
        if args.get("totals"):
            sets = True
        if args.get("all"):
            keys += [
                output.expression
                for output in outputs or ()
                if not output.expression.features & (Feature.AGGREGATE | Feature.WINDOW)
            ]
        return tuple(keys), sets

    def _keys(
        self,
        nodes: Iterable[exp.Expr],
        scope: _Scope,
        outputs: tuple[Output, ...] | None,
    ) -> tuple[Expression, ...]:
        """Keys of GROUP BY, DISTINCT ON: expressions, or numbers of columns."""
        keys = []
        for node in nodes:
            while isinstance(node, exp.Paren):
                node = node.this
            number = _number(node)
            if number is not None and outputs is not None and 0 < number <= len(outputs):
                keys.append(outputs[number - 1].expression)
            elif isinstance(node, exp.Tuple):
                keys.extend(self._keys(node.expressions, scope, outputs))
            else:
                keys.append(self._bind(node, scope))
        return tuple(keys)

    def _order(
        self,
        args: Mapping[str, object],
        scope: _Scope,
        outputs: tuple[Output, ...] | None,
    ) -> tuple[Expression, ...]:
        order = args.get("order")
        if not isinstance(order, exp.Expr):
            return ()
        keys: list[Expression] = []
        for ordered in order.expressions:
            node = ordered.this if isinstance(ordered, exp.Ordered) else ordered
            number = _number(node)
            if isinstance(node, exp.Var) and node.name.upper() == "ALL":
                if outputs is None:
                    keys.append(_single(Unknown(tuple(scope.visible))))
                keys.extend(output.expression for output in outputs or ())
            elif number is not None and outputs is not None and 0 < number <= len(outputs):
                keys.append(outputs[number - 1].expression)
            elif isinstance(node, exp.Column):
                keys.append(self._bind(node, scope, _Prefer.ALIAS))
            else:
                keys.append(self._bind(node, scope))
        return tuple(keys)

    def _limit(self, args: Mapping[str, object], scope: _Scope) -> tuple[Expression, ...]:
        found = []
        for key in ("limit", "offset"):
            node = args.get(key)
            if isinstance(node, exp.Expr):
                # LIMIT reads no column of the query, but may hold a subquery.
                found.append(self._bind(node, _Scope(scope.parent, scope.ctes)))
        return tuple(found)

    # Expressions

    def _bind(
        self,
        node: exp.Expr,
        scope: _Scope,
        prefer: _Prefer = _Prefer.COLUMN,
        star: Reference | None = None,
    ) -> Expression:
        binding = _Binding(scope, prefer, star=star)
        self._walk(node, binding)
        bindings = binding.bindings
        return Expression(
            node,
            tuple(bindings.values()),
            bindings,
            binding.nested,
            binding.features,
            tuple(dict.fromkeys(binding.moving)),
            tuple(dict.fromkeys(binding.deciding)),
        )

    def _loose(self, node: exp.Expr, scope: _Scope) -> Expression:
        """An expression whose stars, if any, mean every column in reach."""
        return self._bind(node, scope, star=Unknown(tuple(scope.visible)))

    def _walk(self, node: exp.Expr, binding: _Binding) -> None:
        kind = type(node)
        if kind in _LEAVES:
            return
        if kind is exp.Column:
            self._walk_column(node, binding)
            return
        if kind in _SPECIAL:
            if kind in _QUERIES:
                binding.nested[id(node)] = self.relation(node, binding.scope, binding.scope.ctes)
                return
            if self._walk_special(node, kind, binding):
                return
        feature = _feature(kind, node)
        if feature:
            binding.features |= feature
        if kind in self.restless and self._moves(node, binding):
            return
        if kind in _DECIDING:
            self._walk_deciding(node, binding)
        elif feature & Feature.AGGREGATE:
            self._walk_aggregate(node, binding)
        else:
            self._walk_below(node, binding)

    def _walk_below(self, node: exp.Expr, binding: _Binding) -> None:
        for value in node.args.values():
            if value.__class__ is list:
                for item in value:
                    if isinstance(item, exp.Expr):
                        self._walk(item, binding)
            elif isinstance(value, exp.Expr):
                self._walk(value, binding)

    def _moves(self, node: exp.Expr, binding: _Binding) -> bool:
        """Note what may be something else in another build; whether there is no more to see below the node."""
        cut = functions.slowed(node)
        if cut is not None:
            found = functions.moving_of(cut[0], self.dialect) or self._text_of_now(cut[0])
            if found is not None and found.nature is Nature.CLOCK:
                every = max(cut[1], found.every or cut[1], key=_GRAINS.index)
                binding.moving.append(Moving(found.word, found.nature, every))
                binding.features |= Feature.VOLATILE
                return True
        found = functions.moving_of(node, self.dialect) or self._text_of_now(node)
        if found is not None:
            binding.moving.append(found)
            if found.nature is not Nature.UNKNOWN:
                binding.features |= Feature.VOLATILE
        for text in node.iter_expressions() if isinstance(node, functions.COMPARING) else ():
            if isinstance(text, exp.Literal) and (found := self._text_of_now(text)) is not None:
                binding.moving.append(found)
                binding.features |= Feature.VOLATILE
        return False

    def _text_of_now(self, node: exp.Expr) -> Moving | None:
        return functions.text_of_now(node) if self.dialect == "postgres" else None

    def _walk_aggregate(self, node: exp.Expr, binding: _Binding) -> None:
        """A clock that an aggregate holds against its rows decides which of them it is made of."""
        moving, names = len(binding.moving), len(binding.bindings) + len(binding.nested)
        self._walk_below(node, binding)
        if len(binding.bindings) + len(binding.nested) > names:
            binding.deciding += binding.moving[moving:]

    def _walk_deciding(self, node: exp.Expr, binding: _Binding) -> None:
        """FILTER, and the order in which an aggregate takes its rows."""
        if isinstance(node, (exp.Filter, exp.WithinGroup)):
            self._walk(node.this, binding)
            node = node.expression
        moving = len(binding.moving)
        self._walk_below(node, binding)
        binding.deciding += binding.moving[moving:]

    def _walk_column(self, node: exp.Expr, binding: _Binding) -> None:
        if binding.locals:
            args = node.args
            first = args.get("catalog") or args.get("db") or args.get("table") or args["this"]
            if first.name.lower() in binding.locals:
                return
        if type(node.this) is exp.Star:
            source = self._source_named(node, binding.scope)
            binding.bindings[id(node)] = (
                self._row(source) if source is not None else Unknown(tuple(binding.scope.visible))
            )
            return
        reference = self._lookup(node, binding.scope, binding.prefer)
        if reference is not None:
            binding.bindings[id(node)] = reference
        elif (found := functions.moving(node.name.lower(), self.dialect)) is not None:
            binding.moving.append(found)
            binding.features |= Feature.VOLATILE

    def _row(self, source: Source) -> Reference:
        if source.columns is None:
            return Unknown((source,))
        return Several(tuple(Direct(source, place) for place in range(len(source.columns))))

    def _walk_special(self, node: exp.Expr, kind: type[exp.Expr], binding: _Binding) -> bool:
        """True when the children of the node have been looked after."""
        if kind is exp.Lambda or kind is exp.Comprehension:
            self._walk_local(node, kind, binding)
            return True
        if kind is exp.Star:
            if not isinstance(node.parent, exp.Count):
                reference = binding.star or Unknown(tuple(binding.scope.visible))
                binding.bindings[id(node)] = reference
            return True
        if kind is exp.Columns:
            self._walk_columns(node, binding)
            return True
        if kind is exp.Window:
            self._walk_window(node, binding)
            return True
        if kind is exp.PositionalColumn:
            binding.bindings[id(node)] = Unknown(tuple(binding.scope.visible))
            return True
        first = node.this
        if type(first) is exp.Identifier and first.name.lower() not in binding.locals:
            # `name.upper()` keeps the column as a bare identifier; `main.f()` is a function.
            found = self._find(first, binding.scope, binding.prefer, report=False)
            if found is not None:
                binding.bindings[id(first)] = found
        return False

    def _walk_local(self, node: exp.Expr, kind: type[exp.Expr], binding: _Binding) -> None:
        outside = binding.locals
        if kind is exp.Lambda:
            names = tuple(parameter.name.lower() for parameter in node.expressions)
            inside = [node.this]
        else:
            self._walk(node.args["iterator"], binding)
            parameters = (node.args.get("expression"), node.args.get("position"))
            names = tuple(p.name.lower() for p in parameters if p is not None)
            inside = [node.this, node.args.get("condition")]
        binding.locals = (*outside, *names)
        for part in inside:
            if part is not None:
                self._walk(part, binding)
        binding.locals = outside

    def _walk_columns(self, node: exp.Expr, binding: _Binding) -> None:
        self.many = True
        reference = binding.star
        if reference is None or node.args.get("unpack"):
            chosen = self._chosen(node, binding.scope)
            if chosen is None:
                reference = Unknown(tuple(binding.scope.visible))
            else:
                reference = Several(tuple(part for output in chosen for part in output.expression.references))
        binding.bindings[id(node)] = reference

    def _walk_window(self, node: exp.Expr, binding: _Binding) -> None:
        features = binding.features
        call = node.this
        while isinstance(call, (exp.IgnoreNulls, exp.RespectNulls, exp.Filter, exp.WithinGroup)):
            for value in (call.args.get("expression"),):
                if isinstance(value, exp.Expr):
                    moving = len(binding.moving)
                    self._walk(value, binding)
                    binding.deciding += binding.moving[moving:]
            call = call.this
        if isinstance(call, exp.Identifier):
            features |= Feature.WINDOW
        else:
            # The function itself is a window function; what it is called with may aggregate.
            self._walk_aggregate(call, binding)
        moving = len(binding.moving)
        for key in ("partition_by", "order", "spec"):
            value = node.args.get(key)
            for item in value if isinstance(value, list) else (value,):
                if isinstance(item, exp.Expr):
                    self._walk(item, binding)
        binding.deciding += binding.moving[moving:]
        binding.features |= features | Feature.WINDOW
        name = node.args.get("alias")
        if name is not None and not isinstance(node.this, exp.Identifier):
            self._named_window(node, name.name.lower(), binding)

    def _named_window(self, node: exp.Expr, name: str, binding: _Binding) -> None:
        definition = binding.scope.windows.get(name)
        if definition is None or not isinstance(definition, exp.Window):
            binding.bindings[id(node)] = Unknown(tuple(binding.scope.visible))
            return
        binding.bindings[id(node)] = Named(definition)
        if id(definition) in binding.bindings:
            return
        self._walk_window(definition, binding)
        base = definition.args.get("alias")
        if base is not None:
            self._named_window(definition, base.name.lower(), binding)

    # Names

    def _lookup(self, node: exp.Expr, scope: _Scope, prefer: _Prefer, *, report: bool = True) -> Reference | None:
        """What a column node means; None for what is no column (`current_user`)."""
        args = node.args
        table = args.get("table")
        if table is None:
            if self._is_value(args["this"]):
                return None
            return self._name(args["this"], scope, prefer, report=report)
        parts = [args.get("catalog"), args.get("db"), table, args["this"]]
        names = [part for part in parts if part is not None]
        qualified = self._qualified(names, scope)
        if qualified is not None:
            return qualified
        # Not a table: the first part may be a struct, and the rest its fields.
        struct = self._find(names[0], scope, prefer, report=report)
        if struct is not None:
            return _field(struct, names[1:])
        if report:
            self._unknown_qualified(names, scope)
        return Unknown(tuple(scope.visible))

    def _is_value(self, identifier: exp.Expr) -> bool:
        """Whether a word is never a column: PostgreSQL's `user`, which is the role even beside a column of that name."""
        return (
            self.dialect == "postgres"
            and not identifier.args.get("quoted")
            and identifier.name.lower() in VALUES_WITHOUT_BRACKETS
        )

    def _qualified(self, names: list[exp.Expr], scope: _Scope) -> Reference | None:
        around: _Scope | None = scope
        wild: Reference | None = None
        while around is not None:
            for depth in range(min(len(names) - 1, 3), 0, -1):
                table = names[depth - 1].name.lower()
                schema = names[depth - 2] if depth > 1 else None
                column = names[depth].name.lower()
                for source in around.visible:
                    if source.name.lower() != table or not _in_schema(source, schema):
                        continue
                    place = source.places.get(column)
                    if place is not None:
                        if depth > 1:
                            self.pinned.add(source)
                        return _field(Direct(source, place), names[depth + 1 :])
                    if column == "rowid" and source.kind is SourceKind.TABLE:
                        self.pinned.add(source)
                        return Unknown((source,))
                    if source.open and wild is None:
                        if depth > 1:
                            self.pinned.add(source)
                        wild = Unknown((source,))
            if wild is not None:
                return wild
            around = around.parent
        return None

    def _name(
        self,
        identifier: exp.Expr,
        scope: _Scope,
        prefer: _Prefer,
        *,
        report: bool = True,
    ) -> Reference | None:
        """What a name without a table means; None for what is no column."""
        found = self._find(identifier, scope, prefer, report=report)
        if found is not None:
            return found
        name = identifier.name.lower()
        if name in VALUES_WITHOUT_BRACKETS:
            return None
        row = self._whole_row(name, scope)
        if row is not None:
            return row
        if report:
            self._unknown(identifier, list(_reach(scope)), scope.aliases)
        return Unknown(tuple(scope.visible))

    def _find(self, identifier: exp.Expr, scope: _Scope, prefer: _Prefer, *, report: bool) -> Reference | None:
        """The column or alias that a name means; None if nothing in reach can have it."""
        name = identifier.name.lower()
        alias = scope.aliases.get(name)
        if alias is not None and prefer is _Prefer.ALIAS:
            return Alias(alias)
        own = self._column(name, identifier, scope, report=report)
        if own is not None:
            if alias is not None and (prefer is _Prefer.BOTH or isinstance(own, Unknown)):
                return Several((own, Alias(alias)))
            return own
        outer = self._outer(name, identifier, scope, report=report)
        if alias is not None:
            return Alias(alias) if outer is None else Several((Alias(alias), outer))
        return outer

    def _column(self, name: str, identifier: exp.Expr, scope: _Scope, *, report: bool) -> Reference | None:
        found = self._places(name, scope.visible, scope)
        if len(found) == 1:
            source, place = found[0]
            if scope.blurred and len(scope.visible) > 1:
                return Unknown(tuple(scope.visible))
            return self._place(source, place, scope)
        if found:
            if report and not scope.blurred:
                self._ambiguous(identifier, [source for source, _ in found])
            return Unknown(tuple(source for source, _ in found))
        # A source with columns that are not known may be what is meant.
        candidates = tuple(source for source in scope.visible if source.open)
        if name == "rowid":
            self.pinned.update(scope.visible)
            return Unknown(tuple(scope.visible)) if scope.visible else None
        return Unknown(candidates) if candidates else None

    def _outer(self, name: str, identifier: exp.Expr, scope: _Scope, *, report: bool) -> Reference | None:
        around = scope.parent
        while around is not None:
            found = self._column(name, identifier, around, report=report)
            if found is not None:
                return found
            alias = around.aliases.get(name)
            if alias is not None:
                return Alias(alias)
            around = around.parent
        return None

    def _whole_row(self, name: str, scope: _Scope) -> Reference | None:
        around: _Scope | None = scope
        while around is not None:
            for source in around.visible:
                if source.name.lower() == name:
                    return self._row(source)
                if source.kind is SourceKind.UNNEST and name == "unnest" and not source.open:
                    return self._row(source)
            around = around.parent
        return None

    # Problems

    def _unknown_qualified(self, names: list[exp.Expr], scope: _Scope) -> None:
        table = names[-2].name.lower()
        named = [source for source in _reach(scope) if source.name.lower() == table]
        if named:
            self._unknown(names[-1], named, {})
            return
        known = [source.name for source in _reach(scope) if source.name]
        close = get_close_matches(table, [name.lower() for name in known], 3, 0.5)
        candidates = [name for name in known if name.lower() in close]
        start, end = _offsets(names[0], names[-1])
        self.problems.append(
            UnknownColumn(
                ".".join(part.name for part in names),
                start,
                end,
                tuple(f"{name}.{names[-1].name}" for name in dict.fromkeys(candidates)),
            )
        )

    def _unknown(
        self,
        identifier: exp.Expr,
        sources: Iterable[Source],
        aliases: Mapping[str, Output],
    ) -> None:
        spelled = {name.lower(): name for source in sources for name in source.columns or () if name is not None}
        spelled.update((name, output.name or name) for name, output in aliases.items())
        close = get_close_matches(identifier.name.lower(), spelled, 3, 0.5)
        start, end = _offsets(identifier, identifier)
        self.problems.append(UnknownColumn(identifier.name, start, end, tuple(spelled[name] for name in close)))

    def _ambiguous(self, identifier: exp.Expr, sources: Iterable[Source]) -> None:
        start, end = _offsets(identifier, identifier)
        tables = tuple(source.name or "subquery" for source in sources)
        self.problems.append(AmbiguousColumn(identifier.name, start, end, tables))


def _field(reference: Reference, path: list[exp.Expr]) -> Reference:
    if not path or isinstance(reference, Unknown):
        return reference
    return Field(reference, tuple(part.name for part in path))


def _single(reference: Reference) -> Expression:
    return Expression(None, (reference,), _EMPTY, _EMPTY_NESTED, Feature.NONE)


_EMPTY: Mapping[int, Reference] = {}
_EMPTY_NESTED: Mapping[int, Relation] = {}


def _reach(scope: _Scope | None) -> Iterator[Source]:
    while scope is not None:
        yield from scope.visible
        scope = scope.parent


def _is_table(node: object) -> bool:
    """A table, or a bracketed table or join: what stands in brackets without being a query."""
    if isinstance(node, exp.Subquery):
        return bool(node.args.get("joins")) or _is_table(node.this)
    return isinstance(node, exp.Table)


def _reads(node: exp.Expr, name: str) -> bool:
    return any(table.name.lower() == name and table.args.get("db") is None for table in node.find_all(exp.Table))


def _in_schema(source: Source, schema: exp.Expr | None) -> bool:
    if schema is None:
        return True
    if source.kind is SourceKind.UNKNOWN:
        return True
    return (
        source.table is not None
        and source.table.schema.lower() == schema.name.lower()
        and source.table.name.lower() == source.name.lower()
    )


def _alias_columns(node: exp.Expr) -> tuple[str, ...]:
    alias = node.args.get("alias")
    if not isinstance(alias, exp.TableAlias):
        return ()
    return tuple(column.name for column in alias.args.get("columns") or ())


def _renamed(names: tuple[str | None, ...] | None, given: tuple[str, ...]) -> tuple[str | None, ...] | None:
    """`t AS u(a, b)` renames the first columns."""
    if not given or names is None:
        return names
    return (*given, *names[len(given) :])


def _unique(names: tuple[str | None, ...] | None) -> tuple[str | None, ...] | None:
    """The names under which a query in FROM is seen: the engine numbers the repeated ones."""
    if names is None:
        return None
    used: set[str] = set()
    unique: list[str | None] = []
    for name in names:
        if name is None:
            unique.append(None)
            continue
        candidate, number = name, 0
        while candidate.lower() in used:
            number += 1
            candidate = f"{name}_{number}"
        used.add(candidate.lower())
        unique.append(candidate)
    return tuple(unique)


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


def _spelled(name: str, bound: Expression) -> str:
    """A column is called as in its table, however the query spells it."""
    reference = bound.references[0] if bound.references else None
    if isinstance(reference, Merged):
        reference = reference.left
    if isinstance(reference, Direct) and reference.source.columns is not None:
        return reference.source.columns[reference.index] or name
    return name


def _implied_name(node: exp.Expr) -> str | None:
    return node.name if type(node) is exp.Column else None


def _number(node: exp.Expr) -> int | None:
    if isinstance(node, exp.Literal) and not node.is_string and node.name.isdigit():
        return int(node.name)
    return None


def _last(node: exp.Expr) -> exp.Expr:
    inner = node.this if isinstance(node, exp.Column) else node
    return inner if isinstance(inner, exp.Expr) else node


def _cut(node: exp.Table) -> tuple[int | None, int | None]:
    """Where the name of a table stands, from its first part to its last."""
    first = node.args.get("catalog") or node.args.get("db") or node.this
    start, end = first.meta.get("start"), node.this.meta.get("end")
    return (start, end + 1) if isinstance(start, int) and isinstance(end, int) else (None, None)


def _offsets(first: exp.Expr, last: exp.Expr) -> tuple[int, int]:
    start, end = first.meta.get("start"), last.meta.get("end")
    return (start, end + 1) if isinstance(start, int) and isinstance(end, int) else (0, 0)


def _feature(kind: type[exp.Expr], node: exp.Expr) -> int:
    known = _FEATURES.get(kind)
    if known is None:
        known = _feature_of(kind)
        _FEATURES[kind] = known
    if kind is exp.Anonymous:
        name = str(node.this).lower()
        if name in AGGREGATES:
            return Feature.AGGREGATE
        if name in functions.RESTLESS_NAMES:
            return Feature.VOLATILE
        if name in ("unnest", "unlist"):
            return Feature.UNNEST
        return 0 if name in SCALARS else Feature.UNKNOWN_FUNCTION
    return known


def _feature_of(kind: type[exp.Expr]) -> int:
    if issubclass(kind, exp.AggFunc):
        return Feature.AGGREGATE
    if issubclass(kind, (exp.UDTF, exp.Explode, exp.Posexplode, exp.ExplodingGenerateSeries)):
        return Feature.UNNEST
    if functions.RESTLESS_CLASS.match(kind.__name__):
        return Feature.VOLATILE
    return Feature.NONE


_FEATURES: dict[type[exp.Expr], int] = {}


_DEEPEST_TYPE = 40

_LIST_NODES = (
    exp.Array,
    exp.GenerateSeries,
    exp.GenerateDateArray,
    exp.GenerateTimestampArray,
    exp.Split,
    exp.RegexpExtractAll,
    exp.ArrayFilter,
    exp.Transform,
    exp.ArrayConcat,
)

_GRAINS = tuple(Grain)

# Below these, a clock decides which rows a value is made of.
_DECIDING = frozenset({exp.Filter, exp.WithinGroup, exp.Order})

_LEAVES = frozenset(
    {
        exp.Literal,
        exp.Identifier,
        exp.Var,
        exp.DataType,
        exp.Null,
        exp.Boolean,
        exp.Placeholder,
        exp.Parameter,
    }
)
_QUERIES = frozenset({exp.Select, exp.Union, exp.Except, exp.Intersect, exp.Subquery, exp.Values})
_SPECIAL = _QUERIES | frozenset(
    {
        exp.Lambda,
        exp.Comprehension,
        exp.Star,
        exp.Columns,
        exp.Window,
        exp.PositionalColumn,
        exp.Dot,
    }
)
_STAR_ARGS = frozenset({"except_", "replace", "rename"})
_GROUPING = (exp.GroupingSets, exp.Rollup, exp.Cube)
_EXPLODING = frozenset({exp.Explode, exp.ExplodeOuter, exp.Posexplode, exp.Unnest, exp.Inline})
_STAR_FILTERS = frozenset({exp.Like, exp.ILike, exp.SimilarTo, exp.Glob})
