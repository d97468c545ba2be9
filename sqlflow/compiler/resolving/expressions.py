"""The names in an expression, and what it has that a reader must know of: aggregates, windows, clocks, nested queries."""

from __future__ import annotations

from msgspec import Struct, field
from sqlglot import exp

from sqlflow.compiler.functions import nodes, now
from sqlflow.compiler.functions.known import RESTLESS_NAMES, moving
from sqlflow.compiler.functions.vocabulary import AGGREGATES, SCALARS
from sqlflow.compiler.resolving.names import Names, row_of
from sqlflow.compiler.resolving.scope import Prefer, Queries, Scope
from sqlflow.compiler.resolving.stars import Stars
from sqlflow.compiler.scopes import Expression, Feature, Named, Reference, Relation, Several, Unknown
from sqlflow.core.clock import Moving, Nature
from sqlflow.core.intervals import Grain


class _Binding(Struct, eq=False):
    """An expression in the making."""

    scope: Scope
    prefer: Prefer
    bindings: dict[int, Reference] = field(default_factory=dict)
    nested: dict[int, Relation] = field(default_factory=dict)
    features: int = 0
    moving: list[Moving] = field(default_factory=list)
    deciding: list[Moving] = field(default_factory=list)
    # Parameters of lambdas and comprehensions around the node.
    locals: tuple[str, ...] = ()
    # The column that COLUMNS(...) stands for in this copy of the expression.
    star: Reference | None = None
    # Whether the expression has COLUMNS(...) in it.
    many: bool = False


class Expressions:
    """Binds expressions: a walk over the nodes of each."""

    def __init__(self, names: Names, stars: Stars, queries: Queries, dialect: str) -> None:
        self._names = names
        self._stars = stars
        self._queries = queries
        self._dialect = dialect
        self._restless = _RESTLESS_POSTGRES if dialect == "postgres" else nodes.CALLS

    def bind(
        self, node: exp.Expr, scope: Scope, prefer: Prefer = Prefer.COLUMN, star: Reference | None = None
    ) -> Expression:
        return self._bound(node, _Binding(scope, prefer, star=star))

    def bind_item(self, node: exp.Expr, scope: Scope) -> tuple[Expression, bool]:
        """An item of a SELECT list, and whether COLUMNS(...) makes several columns of it."""
        binding = _Binding(scope, Prefer.COLUMN)
        return self._bound(node, binding), binding.many

    def bind_loosely(self, node: exp.Expr, scope: Scope) -> Expression:
        """An expression whose stars, if any, mean every column in reach."""
        return self.bind(node, scope, star=Unknown(tuple(scope.visible)))

    def bind_again(self, node: exp.Expr, scope: Scope) -> Expression:
        """An expression that is bound elsewhere too, where its problems are told."""
        with self._names.quietly():
            return self.bind(node, scope)

    def _bound(self, node: exp.Expr, binding: _Binding) -> Expression:
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

    def _walk(self, node: exp.Expr, binding: _Binding) -> None:
        kind = type(node)
        if kind in _LEAVES:
            return
        if kind is exp.Column:
            self._walk_column(node, binding)
            return
        if kind in _SPECIAL:
            if kind in _QUERIES:
                binding.nested[id(node)] = self._queries.relation(node, binding.scope, binding.scope.ctes)
                return
            if self._walk_special(node, kind, binding):
                return
        feature = _feature(kind, node)
        if feature:
            binding.features |= feature
        if kind in self._restless and self._moves(node, binding):
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
        cut = nodes.slowed(node)
        if cut is not None:
            found = nodes.moving_of(cut[0], self._dialect) or self._text_of_now(cut[0])
            if found is not None and found.nature is Nature.CLOCK:
                every = max(cut[1], found.every or cut[1], key=_GRAINS.index)
                binding.moving.append(Moving(found.word, found.nature, every))
                binding.features |= Feature.VOLATILE
                return True
        found = nodes.moving_of(node, self._dialect) or self._text_of_now(node)
        if found is not None:
            binding.moving.append(found)
            if found.nature is not Nature.UNKNOWN:
                binding.features |= Feature.VOLATILE
        for text in node.iter_expressions() if isinstance(node, now.COMPARING) else ():
            if isinstance(text, exp.Literal) and (found := self._text_of_now(text)) is not None:
                binding.moving.append(found)
                binding.features |= Feature.VOLATILE
        return False

    def _text_of_now(self, node: exp.Expr) -> Moving | None:
        return now.text_of_now(node) if self._dialect == "postgres" else None

    def _walk_aggregate(self, node: exp.Expr, binding: _Binding) -> None:
        """A clock that an aggregate holds against its rows decides which of them it is made of."""
        before, names = len(binding.moving), len(binding.bindings) + len(binding.nested)
        self._walk_below(node, binding)
        if len(binding.bindings) + len(binding.nested) > names:
            binding.deciding += binding.moving[before:]

    def _walk_deciding(self, node: exp.Expr, binding: _Binding) -> None:
        """FILTER, and the order in which an aggregate takes its rows."""
        if isinstance(node, (exp.Filter, exp.WithinGroup)):
            self._walk(node.this, binding)
            node = node.expression
        before = len(binding.moving)
        self._walk_below(node, binding)
        binding.deciding += binding.moving[before:]

    def _walk_column(self, node: exp.Expr, binding: _Binding) -> None:
        if binding.locals:
            args = node.args
            first = args.get("catalog") or args.get("db") or args.get("table") or args["this"]
            if first.name.lower() in binding.locals:
                return
        if type(node.this) is exp.Star:
            source = self._names.source_named(node, binding.scope)
            binding.bindings[id(node)] = row_of(source) if source is not None else Unknown(tuple(binding.scope.visible))
            return
        reference = self._names.lookup(node, binding.scope, binding.prefer)
        if reference is not None:
            binding.bindings[id(node)] = reference
        elif (found := moving(node.name.lower(), self._dialect)) is not None:
            binding.moving.append(found)
            binding.features |= Feature.VOLATILE

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
            found = self._names.find(first, binding.scope, binding.prefer, report=False)
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
        binding.many = True
        reference = binding.star
        if reference is None or node.args.get("unpack"):
            chosen = self._stars.chosen(node, binding.scope)
            if chosen is None:
                reference = Unknown(tuple(binding.scope.visible))
                for replaced in _replacements(node):
                    self.bind(replaced, binding.scope)  # its names may be wrong
            else:
                reference = Several(tuple(column.column for column in chosen))
        binding.bindings[id(node)] = reference

    def _walk_window(self, node: exp.Expr, binding: _Binding) -> None:
        features = binding.features
        call = node.this
        while isinstance(call, (exp.IgnoreNulls, exp.RespectNulls, exp.Filter, exp.WithinGroup)):
            for value in (call.args.get("expression"),):
                if isinstance(value, exp.Expr):
                    before = len(binding.moving)
                    self._walk(value, binding)
                    binding.deciding += binding.moving[before:]
            call = call.this
        if isinstance(call, exp.Identifier):
            features |= Feature.WINDOW
        else:
            # The function itself is a window function; what it is called with may aggregate.
            self._walk_aggregate(call, binding)
        before = len(binding.moving)
        for key in ("partition_by", "order", "spec"):
            value = node.args.get(key)
            for item in value if isinstance(value, list) else (value,):
                if isinstance(item, exp.Expr):
                    self._walk(item, binding)
        binding.deciding += binding.moving[before:]
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


def of_reference(reference: Reference) -> Expression:
    """The expression that is nothing but a column."""
    return Expression(None, (reference,), {}, {}, Feature.NONE)


def _replacements(columns: exp.Expr) -> list[exp.Expr]:
    """The expressions of `COLUMNS(* REPLACE (... AS x))`."""
    which = columns.this
    star = which.this if isinstance(which, exp.Column) else which
    named = star.args.get("replace") if isinstance(star, exp.Star) else None
    return [node.this for node in named or () if isinstance(node, exp.Alias)]


def _feature(kind: type[exp.Expr], node: exp.Expr) -> int:
    known = _FEATURES.get(kind)
    if known is None:
        known = _feature_of(kind)
        _FEATURES[kind] = known
    if kind is exp.Anonymous:
        name = str(node.this).lower()
        if name in AGGREGATES:
            return Feature.AGGREGATE
        if name in RESTLESS_NAMES:
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
    if nodes.RESTLESS_CLASS.match(kind.__name__):
        return Feature.VOLATILE
    return Feature.NONE


_FEATURES: dict[type[exp.Expr], int] = {}

_RESTLESS_POSTGRES = nodes.CALLS | now.CASTS
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
