"""What kind of value each expression of a query gives: `int`, `text`, `timestamp` ... as far as the columns of its tables tell.

Engines mean different things by the same words where the kinds differ: `7 / 2`, `x::text`. A translation asks here. What is
not known is `UNKNOWN`, never guessed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence

from msgspec import Struct, field
from sqlglot import exp

from sqlflow.core.schema import Schema

Kind = str
UNKNOWN, NULL, LITERAL, ROW = "?", "null", "literal", "row"
ANY = "any"  # not known, and nobody asks: where a text is translated without the columns that it reads
# From the narrowest: of two, the wider one is the kind of their sum. `loose` is a decimal whose digits behind the point
# may be others in each row, `ratio` one with as many digits as a division gives: both are PostgreSQL's `numeric`.
NUMBERS = ("tinyint", "smallint", "int", "bigint", "hugeint", "decimal", "loose", "ratio", "real", "double")
INTS = frozenset(NUMBERS[:5])
FLOATS = frozenset({"real", "double"})
TEXTS = frozenset({"text", LITERAL})
TIMES = frozenset({"date", "timestamp", "timestamptz"})

# How a table that is read is known: its columns, or None where they are not.
Columns = Callable[[exp.Table], Schema | None]

_NAMES = {
    "bool": "bool", "boolean": "bool", "logical": "bool", "tinyint": "tinyint", "int1": "tinyint",
    "smallint": "smallint", "int2": "smallint", "short": "smallint", "utinyint": "smallint",
    "int": "int", "integer": "int", "int4": "int", "signed": "int", "serial": "int", "usmallint": "int",
    "bigint": "bigint", "int8": "bigint", "long": "bigint", "bigserial": "bigint", "uinteger": "bigint",
    "hugeint": "hugeint", "uhugeint": "hugeint", "ubigint": "hugeint", "int128": "hugeint", "uint64": "hugeint",
    "uint": "bigint", "decimal": "decimal", "numeric": "decimal", "dec": "decimal",
    "real": "real", "float4": "real", "float": "real",
    "double": "double", "double precision": "double", "float8": "double",
    "text": "text", "varchar": "text", "character varying": "text", "string": "text",
    "char": "char", "bpchar": "char", "character": "char", "nchar": "char", "name": "name",
    "date": "date", "time": "time", "time without time zone": "time",
    "timetz": "timetz", "time with time zone": "timetz",
    "timestamp": "timestamp", "datetime": "timestamp", "timestamp without time zone": "timestamp",
    "timestamp_ns": "nanos", "timestamp_ms": "timestamp", "timestamp_s": "timestamp", "timestampntz": "timestamp",
    "timestamptz": "timestamptz", "timestamp with time zone": "timestamptz",
    "interval": "interval", "blob": "blob", "bytea": "blob", "binary": "blob", "varbinary": "blob",
    "uuid": "uuid", "json": "json", "jsonb": "jsonb",
}  # fmt: skip


def kind_of_type(spelled: str) -> Kind:
    """The kind of a column whose type is spelled so by DuckDB or PostgreSQL.

    >>> kind_of_type("DECIMAL(10,2)"), kind_of_type("TIMESTAMP(3) WITH TIME ZONE"), kind_of_type("INTEGER[]")
    ('decimal', 'timestamptz', 'int[]')
    """
    text = spelled.lower().strip()
    if text.endswith("]") and not text.startswith(("struct", "map", "union")):
        return f"{kind_of_type(text[: text.rindex('[')])}[]"
    if text.startswith(("struct", "map", "union", "enum")):
        return text.partition("(")[0]
    return _NAMES.get(re.sub(r"\([^)]*\)", "", text).strip(), UNKNOWN)


def kind_of(node: object) -> Kind:
    """The kind that `find_kinds` found."""
    found = node.meta.get("kind", UNKNOWN) if isinstance(node, exp.Expr) else UNKNOWN
    return str(found)


def is_column(node: exp.Expr) -> bool | None:
    """Whether a name without brackets is a column, as `find_kinds` found; None if that cannot be known."""
    found = node.meta.get("is_column")
    return found if isinstance(found, bool) else None


def find_kinds(tree: exp.Expr, dialect: str, columns: Columns | None, row: Schema | None = None) -> None:
    """Note the kind of each expression at its node. `columns`: None where nobody knows them. `row`: those of an expression."""
    finder = _Finder(dialect, columns or (lambda table: None))
    if isinstance(tree, exp.Query):
        finder.relation(tree, None, {})
    else:
        finder.expression(tree, _Scope(None, {}, [("", None if row is None else _named(row))]))
    if columns is None:
        for node in tree.walk():
            if kind_of(node) == UNKNOWN:
                node.meta["kind"] = ANY


_Named = list[tuple[str, Kind]]


class _Scope(Struct, eq=False):
    """What names mean in one SELECT. `sources`: in the order of FROM, with their columns, None if unknown."""

    parent: _Scope | None
    ctes: Mapping[str, _Named | None]
    sources: list[tuple[str, _Named | None]] = field(default_factory=list)
    aliases: dict[str, Kind] = field(default_factory=dict)
    shared: set[str] = field(default_factory=set)  # columns of USING


def _named(schema: Schema) -> _Named:
    return [(column.name.lower(), kind_of_type(column.type)) for column in schema]


class _Finder:
    def __init__(self, dialect: str, columns: Columns) -> None:
        self.dialect = dialect
        self.columns = columns

    # ------------------------------------------------------------------ relations

    def relation(self, node: exp.Expr, outer: _Scope | None, ctes: Mapping[str, _Named | None]) -> _Named | None:
        """The columns of a query; None if they are not known."""
        with_ = node.args.get("with_")
        if isinstance(with_, exp.With):
            ctes = self._with(with_, outer, ctes)
        match node:
            case exp.Select():
                return self._select(node, outer, ctes)
            case exp.SetOperation():
                return self._set_operation(node, outer, ctes)
            case exp.Subquery() if not node.args.get("pivots"):
                found = self.relation(node.this, outer, ctes)
                scope = _Scope(outer, ctes, [("", found)])
                self._rest(node, scope)
                return found
            case exp.Values():
                return self._values(node, _Scope(outer, ctes))
            case exp.Table():
                return self._table(node, _Scope(outer, ctes))
            case _:
                self._rest(node, _Scope(outer, ctes, [("", None)]))
                return None

    def _with(
        self, with_: exp.With, outer: _Scope | None, ctes: Mapping[str, _Named | None]
    ) -> Mapping[str, _Named | None]:
        known = dict(ctes)
        for cte in with_.expressions:
            inner = cte.this
            name = cte.alias.lower()
            written = [c.name.lower() for c in cte.args["alias"].args.get("columns") or ()]
            if with_.recursive and isinstance(inner, exp.SetOperation):
                first = self.relation(inner.this, outer, known)
                known[name] = _renamed(first, written)
            known[name] = _renamed(self.relation(inner, outer, known), written)
        return known

    def _select(self, node: exp.Select, outer: _Scope | None, ctes: Mapping[str, _Named | None]) -> _Named | None:
        scope = _Scope(outer, ctes)
        from_ = node.args.get("from_")
        if from_ is not None:
            self._source(from_.this, scope)
        for lateral in node.args.get("laterals") or ():
            self._source(lateral, scope)
        for join in node.args.get("joins") or ():
            self._join(join, scope)
        found: _Named | None = []
        for item in node.expressions:
            if isinstance(item, exp.Star) or (isinstance(item, exp.Column) and isinstance(item.this, exp.Star)):
                every = self._star(item, scope)
                found = None if found is None or every is None else [*found, *every]
                continue
            kind = self.expression(item, scope)
            name = (item.alias if isinstance(item, exp.Alias) else item.output_name).lower()
            if isinstance(item, exp.Alias):
                scope.aliases.setdefault(name, kind)
            if found is not None:
                found.append((name, "text" if kind == LITERAL else kind))
        for key, part in node.args.items():
            if key not in ("expressions", "from_", "joins", "laterals", "with_"):
                for child in _expressions(part):
                    self.expression(child, scope)
        return found

    def _join(self, join: exp.Join, scope: _Scope) -> None:
        self._source(join.this, scope)
        for name in join.args.get("using") or ():
            scope.shared.add(name.name.lower())
        if join.args.get("method") == "NATURAL":
            scope.sources.append(("", None))
        if (on := join.args.get("on")) is not None:
            self.expression(on, scope)

    def _source(self, node: exp.Expr, scope: _Scope) -> None:
        alias = node.args.get("alias")
        name = node.alias_or_name.lower()
        written = [c.name.lower() for c in alias.args.get("columns") or ()] if isinstance(alias, exp.TableAlias) else []
        columns: _Named | None = None
        match node:
            case exp.Table() if isinstance(node.this, exp.Identifier):
                columns = self._table(node, scope)
            case exp.Subquery() if isinstance(node.this, (exp.Table, exp.Subquery)) and not node.alias:
                self._source(node.this, scope)
                for join in node.args.get("joins") or ():
                    self._join(join, scope)
                return
            case exp.Subquery():
                columns = self.relation(node, _Scope(scope.parent, scope.ctes), scope.ctes)
            case exp.Lateral() if isinstance(node.this, (exp.Subquery, exp.Query)):
                columns = self.relation(node.this, scope, scope.ctes)
            case exp.Values():
                columns = self._values(node, scope)
            case _:
                columns = self._function(node, scope)
        if node.args.get("pivots"):
            columns = None
        columns = _renamed(columns, written)
        scope.sources.append((name, columns))
        for join in node.args.get("joins") or ():
            self._join(join, scope)

    def _table(self, node: exp.Table, scope: _Scope) -> _Named | None:
        name = node.name.lower()
        if not node.args.get("db") and name in scope.ctes:
            return scope.ctes[name]
        schema = self.columns(node)
        return None if schema is None else _named(schema)

    def _function(self, node: exp.Expr, scope: _Scope) -> _Named | None:
        """The columns of UNNEST or a function in FROM, if there is one."""
        call = node.this if isinstance(node, (exp.Table, exp.Lateral)) else node
        if not isinstance(call, exp.Expr):
            return None  # ROWS FROM
        for child in call.iter_expressions():
            if not isinstance(child, exp.TableAlias):
                self.expression(child, scope)
        call.meta["kind"] = UNKNOWN
        alias = node.args.get("alias")
        written = alias.args.get("columns") if isinstance(alias, exp.TableAlias) else None
        name = written[0].name.lower() if written else node.alias_or_name.lower() or "unnest"
        match call:
            case exp.Unnest() if len(call.expressions) == 1 and not call.args.get("offset"):
                return [(name, _element(kind_of(call.expressions[0])))]
            case exp.GenerateSeries() | exp.ExplodingGenerateSeries():
                start = kind_of(call.args.get("start"))
                if start in INTS or start == "decimal":
                    return [(name, "bigint" if self.dialect == "duckdb" else start)]
                of_days = "timestamp" if self.dialect == "duckdb" else "timestamptz"
                return [(name, of_days if start == "date" else start)]
            case _:
                return None

    def _set_operation(
        self, node: exp.SetOperation, outer: _Scope | None, ctes: Mapping[str, _Named | None]
    ) -> _Named | None:
        left, right = self.relation(node.this, outer, ctes), self.relation(node.expression, outer, ctes)
        found = None
        if left is not None and right is not None and len(left) == len(right) and not node.args.get("by_name"):
            found = [(name, _widest((kind, other))) for (name, kind), (_, other) in zip(left, right, strict=True)]
        self._rest(node, _Scope(outer, ctes, [("", found)]))
        return found

    def _values(self, node: exp.Values, scope: _Scope) -> _Named | None:
        rows = [
            [self.expression(cell, scope) for cell in (row.expressions if isinstance(row, exp.Tuple) else [row])]
            for row in node.expressions
        ]
        if len({len(row) for row in rows}) != 1:
            return None
        first = 1 if self.dialect == "postgres" else 0
        word = "column" if self.dialect == "postgres" else "col"
        kinds = [_widest(column) for column in zip(*rows, strict=True)]
        alias = node.args.get("alias")
        written = [c.name.lower() for c in alias.args.get("columns") or ()] if isinstance(alias, exp.TableAlias) else []
        return _renamed([(f"{word}{place}", kind) for place, kind in enumerate(kinds, first)], written)

    def _star(self, item: exp.Expr, scope: _Scope) -> _Named | None:
        star = item.this if isinstance(item, exp.Column) else item
        if any(star.args.get(word) for word in ("except_", "except", "replace", "rename")):
            return None
        found: _Named = []
        seen: set[str] = set()
        for name, columns in scope.sources:
            if isinstance(item, exp.Column) and item.table and item.table.lower() != name:
                continue
            if columns is None:
                return None
            for column, kind in columns:
                if column in scope.shared and column in seen and not (isinstance(item, exp.Column) and item.table):
                    continue
                seen.add(column)
                found.append((column, kind))
        return found

    def _rest(self, node: exp.Expr, scope: _Scope) -> None:
        """ORDER BY, LIMIT and the like of what is no SELECT."""
        for key, part in node.args.items():
            if key in ("order", "limit", "offset"):
                for child in _expressions(part):
                    self.expression(child, scope)

    # ------------------------------------------------------------------ expressions

    def expression(self, node: exp.Expr, scope: _Scope) -> Kind:
        if isinstance(node, exp.Query):
            columns = self.relation(node, scope, scope.ctes)
            kind = columns[0][1] if columns and len(columns) == 1 else UNKNOWN
            if isinstance(node.parent, (exp.Array, exp.List)) or (
                isinstance(node, exp.Select) and isinstance(node.parent, exp.Array)
            ):
                kind = UNKNOWN
            node.meta["kind"] = kind
            return kind
        if isinstance(node, exp.Column):
            kind = self._name(node, scope)
        elif isinstance(node, (exp.DataType, exp.Identifier, exp.Var)):
            kind = UNKNOWN
        else:
            bare = self._bare(node, scope)
            for child in node.iter_expressions():
                self.expression(child, scope)
            kind = result(node, self.dialect) if bare is None else bare
        node.meta["kind"] = kind
        return kind

    def _name(self, node: exp.Column, scope: _Scope) -> Kind:
        kind, found = self._found(node.table.lower(), node.name.lower(), scope)
        node.meta["is_column"] = found
        return kind

    def _bare(self, node: exp.Expr, scope: _Scope) -> Kind | None:
        """What a word such as `current_date` is where a column may have that name, which DuckDB prefers."""
        if not isinstance(node, BARE) or self.dialect != "duckdb":
            return None
        word = node.sql(dialect="duckdb").rstrip("()").lower()
        kind, found = self._found("", word, scope)
        node.meta["is_column"] = found
        return kind if found else None

    def _found(self, table: str, name: str, scope: _Scope) -> tuple[Kind, bool | None]:
        around: _Scope | None = scope
        unsure = False
        while around is not None:
            for alias, columns in around.sources:
                if table and alias != table:
                    continue
                if columns is None:
                    unsure = True
                    continue
                for column, kind in columns:
                    if column == name:
                        return (UNKNOWN if unsure and not table else kind), True
                if table and not columns:
                    return UNKNOWN, True
            if not table and name in around.aliases:
                return (UNKNOWN if unsure else around.aliases[name]), True
            around = around.parent
        return UNKNOWN, True if table else (None if unsure else False)


BARE = (
    exp.CurrentUser, exp.SessionUser, exp.CurrentCatalog, exp.CurrentSchema, exp.CurrentDate, exp.CurrentTime,
    exp.CurrentTimestamp, exp.Localtime, exp.Localtimestamp,
)  # fmt: skip


def _expressions(part: object) -> Iterator[exp.Expr]:
    if isinstance(part, exp.Expr):
        yield part
    elif isinstance(part, list):
        for item in part:
            yield from _expressions(item)


def _renamed(columns: _Named | None, names: Sequence[str]) -> _Named | None:
    if columns is None:
        return None
    return [(names[place] if place < len(names) else name, kind) for place, (name, kind) in enumerate(columns)]


def _element(kind: Kind) -> Kind:
    return kind[:-2] if kind.endswith("[]") else UNKNOWN


def wider(one: Kind, other: Kind) -> Kind:
    """The kind of a column that holds both."""
    if one == other:
        return one
    if NULL in (one, other):
        return other if one == NULL else one
    if LITERAL in (one, other):
        return other if one == LITERAL else one
    if one in NUMBERS and other in NUMBERS:
        return max(one, other, key=NUMBERS.index)
    if one in TIMES and other in TIMES:
        return max(one, other, key=("date", "timestamp", "timestamptz").index)
    return UNKNOWN


def _widest(kinds: Sequence[Kind]) -> Kind:
    """The kind of what is one or another of several values."""
    found: Kind = NULL
    for kind in kinds:
        found = wider(found, kind)
    return "loose" if found == "decimal" and sum(kind != NULL for kind in kinds) > 1 else found


# ---------------------------------------------------------------------- what expressions give


def result(node: exp.Expr, dialect: str) -> Kind:
    """The kind of an expression whose parts are known."""
    match node:
        case exp.Literal():
            return _literal(node, dialect)
        case exp.Null():
            return NULL
        case exp.RawString() | exp.National() | exp.UnicodeString() | exp.ByteString():
            return LITERAL
        case exp.Cast() | exp.TryCast():
            kind = kind_of_type(node.to.sql(dialect="postgres" if dialect == "postgres" else "duckdb"))
            if dialect == "postgres" and kind == "decimal" and not node.to.expressions:
                given = kind_of(node.this)
                return "decimal" if given in INTS else given if given in ("decimal", "loose") else "ratio"
            return kind
        case exp.Tuple() | exp.Struct():
            return ROW
        case exp.Array() | exp.List():
            return f"{_widest([kind_of(item) for item in node.expressions])}[]" if node.expressions else UNKNOWN
        case exp.Bracket():
            if any(isinstance(place, exp.Slice) for place in node.expressions):
                return kind_of(node.this)
            return _element(kind_of(node.this))
        case exp.Case():
            found = [kind_of(part.args.get("true")) for part in node.args.get("ifs") or ()]
            return _widest([*found, kind_of(node.args["default"]) if node.args.get("default") else NULL])
        case exp.If():
            return _widest([kind_of(node.args.get("true")), kind_of(node.args.get("false"))])
        case exp.Coalesce() | exp.Greatest() | exp.Least():
            return _widest([kind_of(node.this), *(kind_of(item) for item in node.expressions)])
        case exp.Add() | exp.Sub() | exp.Mul() | exp.Div() | exp.Mod() | exp.IntDiv():
            return _arithmetic(node, dialect)
        case exp.DPipe() | exp.Concat():
            sides = [kind_of(node.args.get("this")), kind_of(node.args.get("expression"))]
            return next((kind for kind in sides if kind.endswith("[]")), "text")
        case exp.Predicate() | exp.And() | exp.Or() | exp.Not() | exp.Xor() | exp.Between() | exp.In():
            return "bool"
        case exp.Sum():
            kind = kind_of(node.this)
            if dialect == "duckdb":
                return "hugeint" if kind in INTS or kind == "bool" else "double" if kind in FLOATS else kind
            return {"smallint": "bigint", "int": "bigint", "bigint": "decimal"}.get(kind, kind)
        case exp.Avg():
            kind = kind_of(node.this)
            if kind in INTS or kind in ("decimal", "loose", "ratio"):
                return "double" if dialect == "duckdb" else "ratio"
            return "double" if kind in FLOATS else kind
        case (
            exp.Abs()
            | exp.Neg()
            | exp.Paren()
            | exp.Ordered()
            | exp.Filter()
            | exp.Window()
            | exp.Order()
            | exp.Alias()
        ):
            return kind_of(node.this)
        case exp.Distinct():
            return kind_of(node.expressions[0]) if len(node.expressions) == 1 else ROW
        case exp.Round() | exp.Ceil() | exp.Floor() | exp.Trunc():
            kind = kind_of(node.this)
            if dialect == "duckdb":
                return kind
            return "decimal" if kind in INTS and node.args.get("decimals") else "double" if kind in INTS else (
                "decimal" if kind == "ratio" else kind)  # fmt: skip
        case exp.ArrayAgg():
            inner = node.this
            while isinstance(inner, (exp.Order, exp.Distinct)):
                inner = inner.expressions[0] if isinstance(inner, exp.Distinct) else inner.this
            return f"{kind_of(inner)}[]"
        case exp.Date() | exp.DateTrunc() | exp.TimestampTrunc():
            kind = kind_of(node.this)
            if isinstance(node, exp.Date):
                return "date"
            if dialect == "postgres":
                return "timestamptz" if kind in ("date", "timestamptz") else kind
            return "timestamp" if kind == "date" else kind
        case exp.AtTimeZone():
            return {"timestamp": "timestamptz", "timestamptz": "timestamp", "date": UNKNOWN}.get(
                kind_of(node.this), UNKNOWN
            )
        case exp.Extract() if dialect == "postgres":
            return "ratio" if node.this.name.lower() in _FRACTIONS else "decimal"
        case exp.Extract():
            return "double" if node.this.name.lower() == "epoch" else "bigint"
        case exp.Anonymous():
            return _BY_NAME.get(str(node.this).lower(), UNKNOWN)
        case _:
            return _given(node)


def _given(node: exp.Expr) -> Kind:
    """What functions give that need no word of their own."""
    for kind, classes in _GIVE:
        if isinstance(node, classes):
            return kind
    if isinstance(node, _HANDED_ON):
        return kind_of(node.this)
    return UNKNOWN


_FRACTIONS = frozenset({"second", "seconds", "millisecond", "milliseconds", "epoch"})


def _literal(node: exp.Literal, dialect: str) -> Kind:
    if node.is_string:
        return LITERAL
    text = str(node.this)
    if text.isdigit():
        return "int" if int(text) < 2**31 else "bigint" if int(text) < 2**63 else "decimal"
    if "e" in text.lower():
        return "double" if dialect == "duckdb" else "ratio"
    return "decimal"


def _arithmetic(node: exp.Expr, dialect: str) -> Kind:
    one, other = kind_of(node.this), kind_of(node.args["expression"])
    if one in NUMBERS and other in NUMBERS:
        if isinstance(node, exp.IntDiv):
            return wider(one, other)
        both = wider(one, other)
        if isinstance(node, exp.Div):
            if dialect == "duckdb":
                return "double"
            return both if both in INTS or both in FLOATS else "ratio"
        if both == "real" and dialect == "postgres" and one != other:
            return "double"
        return both
    kinds = {one, other}
    minus = isinstance(node, exp.Sub)
    if one in TIMES and other in TIMES and minus:
        return ("bigint" if dialect == "duckdb" else "int") if kinds == {"date"} else "interval"
    if isinstance(node, (exp.Add, exp.Sub)):
        if kinds & TIMES and "interval" in kinds:
            return "timestamp" if "date" in kinds else one if one in TIMES else other
        if "date" in kinds and kinds & INTS:
            return "date"
        if kinds == {"date", "time"}:
            return "timestamp"
        if one == "time" and other in ("time", "interval"):
            return "time" if other == "interval" else "interval"
        if kinds == {"interval"}:
            return "interval"
    if "interval" in kinds and (kinds & set(NUMBERS)) and isinstance(node, (exp.Mul, exp.Div)):
        return "interval"
    return UNKNOWN


_GIVE: tuple[tuple[Kind, tuple[type[exp.Expr], ...]], ...] = (
    ("text", (
        exp.Upper, exp.Lower, exp.Initcap, exp.Trim, exp.Substring, exp.Left, exp.Right, exp.Pad, exp.Replace, exp.Repeat,
        exp.Reverse, exp.SplitPart, exp.GroupConcat, exp.ConcatWs, exp.RegexpReplace, exp.Translate, exp.Chr, exp.MD5,
        exp.TimeToStr, exp.ToChar, exp.Dayname, exp.Monthname, exp.Collate, exp.CurrentUser, exp.SessionUser,
        exp.CurrentCatalog, exp.CurrentSchema, exp.JSONExtractScalar,
    )),
    ("bigint", (exp.Count, exp.RowNumber, exp.Rank, exp.DenseRank, exp.CountIf, exp.DateDiff, exp.Year, exp.Month, exp.Day, exp.Hour, exp.Minute, exp.Second, exp.Quarter, exp.Week, exp.WeekOfYear, exp.DayOfWeek, exp.DayOfWeekIso, exp.DayOfMonth, exp.DayOfYear)),
    ("int", (exp.Length, exp.StrPosition, exp.Ascii, exp.Ntile, exp.ArraySize, exp.Sign)),
    ("double", (
        exp.Sqrt, exp.Exp, exp.Ln, exp.Log, exp.Sin, exp.Cos, exp.Tan, exp.Atan, exp.Atan2, exp.Asin, exp.Acos, exp.Pi,
        exp.Degrees, exp.Radians, exp.Cbrt, exp.PercentRank, exp.CumeDist, exp.Pow,
    )),
    ("bool", (
        exp.Boolean, exp.LogicalAnd, exp.LogicalOr, exp.Contains, exp.StartsWith, exp.EndsWith, exp.RegexpLike, exp.Exists,
        exp.IsNan, exp.IsInf,
    )),
    ("date", (exp.CurrentDate, exp.DateFromParts, exp.TsOrDsToDate, exp.StrToDate)),
    ("timestamp", (exp.Localtimestamp, exp.StrToTime)),
    ("timestamptz", (exp.CurrentTimestamp,)),
    ("time", (exp.Localtime,)),
    ("timetz", (exp.CurrentTime,)),
    ("interval", (exp.Interval,)),
    ("uuid", (exp.Uuid,)),
)  # fmt: skip
_HANDED_ON = (
    exp.Max, exp.Min, exp.AnyValue, exp.First, exp.Last, exp.FirstValue, exp.LastValue, exp.NthValue, exp.Lag, exp.Lead,
    exp.ArgMax, exp.ArgMin, exp.Nullif, exp.IgnoreNulls, exp.RespectNulls, exp.WithinGroup, exp.BitwiseAnd, exp.BitwiseOr,
    exp.BitwiseXor, exp.BitwiseNot, exp.BitwiseLeftShift, exp.BitwiseRightShift,
)  # fmt: skip
_BY_NAME: Mapping[str, Kind] = {
    **dict.fromkeys(("today", "make_date", "to_date"), "date"),
    **dict.fromkeys(("now", "make_timestamptz", "clock_timestamp", "statement_timestamp", "transaction_timestamp"), "timestamptz"),
    **dict.fromkeys(("make_timestamp",), "timestamp"),
    **dict.fromkeys(("strftime", "to_char", "md5", "btrim", "format", "quote_literal", "quote_ident"), "text"),
    **dict.fromkeys(("strlen", "len", "instr", "position", "char_length", "octet_length", "bit_length"), "int"),
    **dict.fromkeys(("weekday", "dayofweek", "date_diff", "datediff"), "bigint"),
}  # fmt: skip
