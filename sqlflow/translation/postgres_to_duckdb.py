"""What PostgreSQL and DuckDB mean differently by the same words: PostgreSQL's SQL, as DuckDB has to be told.

A list of what is known to be the same, or how it is made so: one line for each construct. What is not in it is refused.
`tests/engines/test_postgres_on_duckdb.py` runs all of it on both.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial

from sqlglot import exp

from sqlflow.translation.fitting import Refused, Rule, call, fitted, made, regex, shown
from sqlflow.translation.kinds import ANY, FLOATS, INTS, LITERAL, NULL, NUMBERS, ROW, TIMES, UNKNOWN, Kind, kind_of

_made = partial(made, "duckdb")
_HINT = "the same is not known of DuckDB"


def fit(tree: exp.Expr, strict: bool) -> tuple[exp.Expr, list[Refused]]:
    """The tree with what DuckDB needs to give what PostgreSQL gives, and what nothing gives."""
    for select in list(tree.find_all(exp.Select)):
        _name_outputs(select)
    for values in list(tree.find_all(exp.Values)):
        tree = _name_values(values, tree)
    for cast in tree.find_all(exp.Cast):
        if isinstance(cast.this, exp.IntDiv):
            cast.meta["div"] = True  # sqlglot's form of `div(a, b)`
    tree, refused = fitted(tree, _rule)
    for name in tree.find_all(exp.Identifier):
        if not name.args.get("quoted") and name.name.lower() in _RESERVED:
            name.set("quoted", True)
    return tree, refused


# Words that are functions to DuckDB where no column has the name, and those that it reserves; `duckdb_keywords()`.
_RESERVED = frozenset(
    [
        "all",
        "analyse",
        "analyze",
        "and",
        "anti",
        "any",
        "array",
        "as",
        "asc",
        "asof",
        "asymmetric",
        "at",
        "authorization",
        "binary",
        "both",
        "by",
        "case",
        "cast",
        "check",
        "collate",
        "collation",
        "column",
        "columns",
        "concurrently",
        "constraint",
        "create",
        "cross",
        "default",
        "deferrable",
        "desc",
        "describe",
        "distinct",
        "do",
        "else",
        "end",
        "except",
        "false",
        "fetch",
        "for",
        "foreign",
        "freeze",
        "from",
        "full",
        "generated",
        "glob",
        "group",
        "having",
        "ilike",
        "in",
        "initially",
        "inner",
        "intersect",
        "into",
        "is",
        "isnull",
        "join",
        "lambda",
        "lateral",
        "leading",
        "left",
        "like",
        "limit",
        "map",
        "natural",
        "not",
        "notnull",
        "null",
        "offset",
        "on",
        "only",
        "or",
        "order",
        "outer",
        "overlaps",
        "pivot",
        "pivot_longer",
        "pivot_wider",
        "placing",
        "positional",
        "primary",
        "qualify",
        "references",
        "returning",
        "right",
        "select",
        "semi",
        "show",
        "similar",
        "some",
        "struct",
        "summarize",
        "symmetric",
        "table",
        "tablesample",
        "then",
        "to",
        "trailing",
        "true",
        "try_cast",
        "tuple",
        "union",
        "unique",
        "unpack",
        "unpivot",
        "using",
        "variadic",
        "verbose",
        "when",
        "where",
        "window",
        "with",
        "user",
        "current_user",
        "session_user",
        "current_role",
        "current_catalog",
        "current_schema",
        "current_date",
        "current_time",
        "current_timestamp",
        "localtime",
        "localtimestamp",
    ]
)


def _rule(node: exp.Expr) -> Rule | None:
    kind = type(node)
    if kind in _SAME:
        return None
    if isinstance(node, exp.Anonymous):
        return _NAMED.get(str(node.this).lower(), _unknown)
    return _RULES.get(kind, _unknown)


def _unknown(node: exp.Expr) -> str:
    return f"{shown(node)}, of which {_HINT}"


# ---------------------------------------------------------------------- names that PostgreSQL gives by itself


def _name_outputs(select: exp.Select) -> None:
    """An item without a name gets PostgreSQL's."""
    for item in select.expressions:
        if isinstance(item, (exp.Alias, exp.Aliases, exp.Column, exp.Star)) or not isinstance(item, exp.Expr):
            continue
        name = _name_of(item) or "?column?"
        plain = name.isidentifier()
        item.replace(exp.alias_(item.copy(), exp.to_identifier(name, quoted=not plain), copy=False))


_CALLED: Mapping[type[exp.Expr], str] = {
    exp.Case: "case", exp.Coalesce: "coalesce", exp.Greatest: "greatest", exp.Least: "least", exp.Nullif: "nullif",
    exp.Extract: "extract", exp.Array: "array", exp.Exists: "exists", exp.Count: "count", exp.Sum: "sum", exp.Avg: "avg",
    exp.Min: "min", exp.Max: "max", exp.Upper: "upper", exp.Lower: "lower", exp.Round: "round", exp.Abs: "abs",
    exp.RowNumber: "row_number", exp.Rank: "rank", exp.DenseRank: "dense_rank", exp.Lag: "lag", exp.Lead: "lead",
    exp.ArrayAgg: "array_agg", exp.GroupConcat: "string_agg", exp.TimestampTrunc: "date_trunc", exp.Length: "length",
    exp.Concat: "concat", exp.Floor: "floor", exp.Ceil: "ceil", exp.TimeToStr: "to_char", exp.LogicalAnd: "bool_and",
    exp.LogicalOr: "bool_or", exp.Replace: "replace", exp.Left: "left", exp.Right: "right", exp.CurrentDate: "current_date",
}  # fmt: skip


def _name_of(item: exp.Expr) -> str:
    match item:
        case exp.Column():
            return item.name
        case exp.Paren() | exp.Filter() | exp.Window() | exp.WithinGroup() | exp.Bracket() | exp.Collate():
            return _name_of(item.this)
        case exp.Cast():
            return _name_of(item.this)
        case exp.Subquery() if isinstance(item.this, exp.Select) and item.this.expressions:
            first = item.this.expressions[0]
            return first.alias_or_name if isinstance(first, (exp.Alias, exp.Column)) else _name_of(first)
        case exp.Anonymous():
            return str(item.this).lower()
        case _:
            return _CALLED.get(type(item), "")


def _name_values(values: exp.Values, tree: exp.Expr) -> exp.Expr:
    """Columns of VALUES are `column1` and so on, `col0` to DuckDB."""
    row = values.expressions[0]
    count = len(row.expressions) if isinstance(row, exp.Tuple) else 1
    names = [exp.to_identifier(f"column{place}") for place in range(1, count + 1)]
    alias = values.args.get("alias")
    around = values.parent
    if isinstance(around, exp.Subquery) and not alias:
        alias = around.args.get("alias")
    if isinstance(alias, exp.TableAlias):
        written = alias.args.get("columns") or []
        alias.set("columns", [*written, *names[len(written) :]])
        return tree
    if isinstance(around, (exp.In, exp.CTE)) and isinstance(around, exp.In):
        return tree
    if isinstance(around, exp.CTE):
        written = around.args["alias"].args.get("columns") or []
        around.args["alias"].set("columns", [*written, *names[len(written) :]])
        return tree
    inner = values.copy()
    inner.set("alias", exp.TableAlias(this=exp.to_identifier("values_"), columns=names))
    query = exp.select("*").from_(inner)
    if values is tree:
        return query
    values.replace(query)
    return tree


# ---------------------------------------------------------------------- rules of one kind of argument

_TEXTS = frozenset({"text", LITERAL, NULL, ANY})
_WHOLE = frozenset({*INTS, NULL, ANY})
_NUMERIC = frozenset({*NUMBERS, NULL, ANY})
_EXACT = frozenset({*INTS, "decimal", "loose", NULL, ANY})
_REALS = frozenset({*FLOATS, "ratio", *_EXACT})
_BOOLS = frozenset({"bool", NULL, ANY})
_MOMENTS = frozenset({"timestamp", "timestamptz", ANY})
_DATED = frozenset({*TIMES, ANY})
# What has the same text in both.
_SPOKEN = frozenset({"text", LITERAL, *INTS, "decimal", "bool", *TIMES, "time", "uuid", NULL, ANY})
_ORDERLY = frozenset({*_SPOKEN, *FLOATS, "ratio", "interval"})


def _arguments(node: exp.Expr) -> list[exp.Expr]:
    if isinstance(node, exp.Anonymous):
        return list(node.expressions)
    found: list[exp.Expr] = []
    for name in node.arg_types:
        value = node.args.get(name)
        if isinstance(value, list):
            found += [item for item in value if isinstance(item, exp.Expr)]
        elif isinstance(value, exp.Expr):
            found.append(value)
    return found


def _takes(*kinds: frozenset[Kind], rest: frozenset[Kind] | None = None) -> Rule:
    """The same for arguments of these kinds; `rest`: of all further ones."""

    def rule(node: exp.Expr) -> str | None:
        for place, argument in enumerate(_arguments(node)):
            allowed = kinds[place] if place < len(kinds) else rest
            inner = argument
            while isinstance(inner, (exp.Order, exp.Distinct, exp.Ordered)):
                inner = inner.expressions[0] if isinstance(inner, exp.Distinct) else inner.this
            if allowed is None:
                return f"{shown(node)} with {place + 1} arguments, of which {_HINT}"
            if kind_of(inner) not in allowed:
                return f"{shown(node)} of {_of(kind_of(inner))}, of which {_HINT}"
        return None

    return rule


def _of(kind: Kind) -> str:
    if kind == UNKNOWN:
        return "something whose type is not known here"
    names = {
        LITERAL: "a text",
        ROW: "a row",
        NULL: "NULL",
        "ratio": "a numeric without a scale",
        "loose": "a numeric without a scale",
        "bool": "a boolean",
    }
    return names.get(kind, f"{'an' if kind[0] in 'aeiou' else 'a'} {kind}")


def _all(*rules: Rule) -> Rule:
    def rule(node: exp.Expr) -> exp.Expr | str | None:
        for one in rules:
            found = one(node)
            if found is not None:
                return found
        return None

    return rule


def _never(reason: str) -> Rule:
    return lambda node: reason


def _as(template: str, *kinds: frozenset[Kind]) -> Rule:
    """A function of `x`, `y` and `z`."""
    check = _takes(*kinds)

    def rule(node: exp.Expr) -> exp.Expr | str | None:
        wrong = check(node)
        if wrong is not None:
            return wrong
        return _made(template, **dict(zip("xyz", _arguments(node), strict=False)))

    return rule


# ---------------------------------------------------------------------- numbers and times


def _calculated(node: exp.Expr) -> exp.Expr | str | None:
    """`+`, `-`, `*` and `%`."""
    one, other = kind_of(node.this), kind_of(node.expression)
    if one in _NUMERIC and other in _NUMERIC:
        if isinstance(node, exp.Mod) and not {one, other} <= _EXACT:
            return f"`%` of {_of(one if one not in _EXACT else other)}, of which {_HINT}"
        if "real" in (one, other) and one != other:
            return _both(node, "DOUBLE")
        return None
    if isinstance(node, (exp.Add, exp.Sub)):
        plus = isinstance(node, exp.Add)
        if one == "date" and other in INTS and other != "bigint":
            return None
        if one in INTS and other == "date" and plus:
            return None
        if one == other == "date" and not plus:
            return None
        if one in ("timestamp", "timestamptz") and other == one and not plus:
            return None
        if one in (*TIMES, "time", "interval") and other == "interval":
            return None
        if one == "interval" and other in TIMES and plus:
            return None
        if {one, other} == {"date", "timestamp"} and not plus:
            return _both(node, "TIMESTAMP")
    if isinstance(node, exp.Mul) and {one, other} & {"interval"} and {one, other} & INTS:
        return None
    return f"`{_SIGNS[type(node)]}` of {_of(one)} and {_of(other)}, of which {_HINT}"


_SIGNS: Mapping[type[exp.Expr], str] = {
    exp.Add: "+",
    exp.Sub: "-",
    exp.Mul: "*",
    exp.Div: "/",
    exp.Mod: "%",
    exp.Pow: "^",
}


def _both(node: exp.Expr, kind: str) -> exp.Expr:
    copy = node.copy()
    for side in ("this", "expression"):
        copy.set(side, exp.cast(node.args[side].copy(), kind, dialect="duckdb"))
    return copy


def _divided(node: exp.Expr) -> exp.Expr | str | None:
    one, other = kind_of(node.this), kind_of(node.expression)
    if one in INTS and other in INTS:
        return _made("x // y", x=_atom(node.this), y=_atom(node.expression))
    if one in NUMBERS and other in NUMBERS:
        if "real" in (one, other):
            return f"`/` of {_of(one)} and {_of(other)}, of which {_HINT}" if one == other else _both(node, "DOUBLE")
        return None
    return f"`/` of {_of(one)} and {_of(other)}, of which {_HINT}"


def _atom(node: exp.Expr) -> exp.Expr:
    return exp.paren(node.copy()) if isinstance(node, exp.Binary) else node


# PostgreSQL turns a double into a decimal by its first 15 digits, of a real by 6.
def _as_decimal(node: exp.Expr, kind: str) -> exp.Expr:
    digits = "%.6g" if kind_of(node) == "real" else "%.15g"
    return _made(f"CAST(PRINTF('{digits}', CAST(x AS DOUBLE)) AS {kind})", x=node)


def _rounded(node: exp.Expr) -> exp.Expr | str | None:
    digits, kind = node.args.get("decimals"), kind_of(node.this)
    if digits is not None and not (
        isinstance(digits, exp.Literal) and str(digits.this).isdigit() and int(str(digits.this)) <= 12
    ):
        return f"{shown(node)} to a computed number of digits, or before the point, of which {_HINT}"
    if kind in INTS:
        return (
            _made("CAST(x AS DOUBLE)", x=node.this)
            if digits is None
            else exp.cast(node.this.copy(), f"DECIMAL(38, {digits.this})", dialect="duckdb")
        )
    if kind == "ratio":
        copy = node.copy()
        copy.set("this", _as_decimal(node.this, "DECIMAL(38, 15)"))
        return copy
    if kind == "decimal" and digits is not None:  # so many digits behind the point, also where there were fewer
        return exp.cast(node.copy(), f"DECIMAL(38, {digits.this})", dialect="duckdb")
    if kind in ("decimal", "loose"):
        return None
    if kind in FLOATS and digits is None:
        if isinstance(node, exp.Trunc):
            return None
        return _made("ROUND_EVEN(CAST(x AS DOUBLE), 0)", x=node.this)
    return f"{shown(node)} of {_of(kind)}, of which {_HINT}"


def _whole(node: exp.Expr) -> str | None:
    """`floor` and `ceil`."""
    kind = kind_of(node.this)
    if node.args.get("decimals") or kind not in (*INTS, "decimal", "loose", *FLOATS, "ratio"):
        return f"{shown(node)} of {_of(kind)}, of which {_HINT}"
    return None


def _integer_division(node: exp.Expr) -> exp.Expr | str | None:
    """`div(a, b)`."""
    if kind_of(node.this) in INTS and kind_of(node.expression) in INTS:
        return None
    return f"`div` of what is not whole, of which {_HINT}"


def _casts(node: exp.Expr) -> exp.Expr | str | None:
    to = node.args["to"]
    value, given = node.this, kind_of(node.this)
    kind = kind_of_cast(to)
    size = [str(part.this.this) for part in to.expressions if isinstance(part, exp.DataTypeParam)]
    if node.meta.get("div"):
        return exp.cast(value.copy(), "DECIMAL(38, 0)", dialect="duckdb")  # `div`
    if kind.endswith("[]"):
        return None if given in (kind, NULL) else f"a cast to {kind}, of which {_HINT}"
    if given == NULL:
        return None if kind != UNKNOWN else f"a cast to a type of which {_HINT}"
    if kind == "text":
        if given not in _SPOKEN:
            return f"{_of(given)} as text, which the two write differently"
        plain = exp.cast(value.copy(), "VARCHAR", dialect="duckdb")
        return _made(f"LEFT(x, {size[0]})", x=plain) if size else plain
    if given == LITERAL:
        return _literal(value, kind, node)
    if kind in INTS:
        if (
            given in INTS
            or given in FLOATS
            or given == "decimal"
            or given == "text"
            or (given == "bool" and kind == "int")
        ):
            return None
        if given == "ratio":
            if any(part.meta.get("fraction") for part in value.walk()):
                return f"a part of a second as a whole number, of which {_HINT}; use `floor` or `round`"
            return _wrap(node, _as_decimal(value, "DECIMAL(38, 15)"))
    elif kind == "decimal":
        return _to_decimal(node, value, given, size)
    elif kind in FLOATS:
        if given in NUMBERS or given == "text":
            return None
    elif kind == "bool":
        if given in ("bool", "int"):
            return None
    elif kind in (*TIMES, "time"):
        if size and size != ["6"]:
            return f"a cast to {to.sql(dialect='postgres').lower()}, of which {_HINT}"
        if given == kind or given == "text" or (given in TIMES and kind in TIMES):
            return exp.cast(value.copy(), _TYPES[kind], dialect="duckdb")
        if kind == "time" and given == "timestamp":
            return None
    elif (kind in ("interval", "uuid") and given == kind) or (kind == "uuid" and given == "text"):
        return None
    return f"a cast of {_of(given)} to {to.sql(dialect='postgres').lower()}, of which {_HINT}"


_TYPES = {"date": "DATE", "timestamp": "TIMESTAMP", "timestamptz": "TIMESTAMPTZ", "time": "TIME"}


def kind_of_cast(to: exp.Expr) -> Kind:
    from sqlflow.translation.kinds import kind_of_type

    return kind_of_type(to.sql(dialect="postgres"))


def _wrap(node: exp.Expr, value: exp.Expr) -> exp.Expr:
    copy = node.copy()
    copy.set("this", value)
    return copy


def _to_decimal(node: exp.Expr, value: exp.Expr, given: Kind, size: list[str]) -> exp.Expr | str | None:
    if not size:
        if given in INTS:
            return exp.cast(value.copy(), "DECIMAL(38, 0)", dialect="duckdb")
        if given in ("decimal", "loose", "ratio"):
            return value.copy()
        if given in FLOATS:
            found = _as_decimal(value, "DOUBLE")
            found.meta["kind"] = "ratio"
            return found
        return f"a cast of {_of(given)} to numeric without digits, which DuckDB does not have; write `numeric(18, 4)`"
    if int(size[0]) > 38:
        return "a numeric of more than 38 digits"
    if given in INTS or given in ("decimal", "loose"):
        return None
    if given in FLOATS or given == "ratio":
        return _as_decimal(value, f"DECIMAL({', '.join(size)})")
    if given == "text":
        return None
    return f"a cast of {_of(given)} to numeric, of which {_HINT}"


_READ = {
    **dict.fromkeys(INTS, re.compile(r"\s*[+-]?\d+\s*")),
    "decimal": re.compile(r"\s*[+-]?(?:\d+(?:\.\d*)?|\.\d+)\s*"),
    **dict.fromkeys(FLOATS, re.compile(r"\s*[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?\s*")),
    "bool": re.compile(r"true|false|t|f|yes|no|y|n|1|0", re.IGNORECASE),
    "date": re.compile(r"\d{4}-\d\d?-\d\d?"),
    "timestamp": re.compile(r"\d{4}-\d\d-\d\d(?:[ T]\d\d:\d\d(?::\d\d(?:\.\d{1,6})?)?)?"),
    "timestamptz": re.compile(r"\d{4}-\d\d-\d\d(?:[ T]\d\d:\d\d(?::\d\d(?:\.\d{1,6})?)?(?:Z|[+-]\d\d(?::?\d\d)?)?)?"),
    "time": re.compile(r"\d\d:\d\d(?::\d\d(?:\.\d{1,6})?)?"),
    "uuid": re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"),
    "interval": re.compile(
        r"\s*-?\d+ (?:year|month|week|day|hour|minute|second)s?(?: -?\d+ (?:year|month|week|day|hour|minute|second)s?)*"
        r"(?: \d\d:\d\d:\d\d)?\s*|\d\d:\d\d:\d\d(?:\.\d{1,6})?"
    ),
}  # fmt: skip


def _reads(value: exp.Expr, kind: Kind) -> bool:
    """Whether both read a text as the same value of a kind."""
    pattern = _READ.get(kind)
    return pattern is not None and isinstance(value, exp.Literal) and pattern.fullmatch(str(value.this)) is not None


def _literal(value: exp.Expr, kind: Kind, node: exp.Expr) -> exp.Expr | str | None:
    to = node.args["to"]
    size = [str(part.this.this) for part in to.expressions if isinstance(part, exp.DataTypeParam)]
    if not _reads(value, kind) or (kind in (*TIMES, "time", "interval") and size and size != ["6"]):
        return f"a text as {to.sql(dialect='postgres').lower()}, of which {_HINT}"
    if kind == "bool":
        return exp.Boolean(this=str(value.this).lower() in ("true", "t", "yes", "y", "1"))
    if kind == "decimal" and not size:
        text = str(value.this).strip()
        return exp.Paren(this=exp.Neg(this=exp.Literal.number(text[1:]))) if text.startswith("-") else exp.Literal.number(text.lstrip("+"))  # fmt: skip
    return None


def _interval(node: exp.Expr) -> str | None:
    count, unit = node.this, node.text("unit").lower()
    if isinstance(count, exp.Literal):
        text = f"{count.this} {unit}" if unit else str(count.this)
        if _READ["interval"].fullmatch(text):
            return None
    return f"an interval in a form of which {_HINT}; write it as `interval '2 days'`"


# ---------------------------------------------------------------------- comparisons and texts


def _compared(node: exp.Expr) -> exp.Expr | str | None:
    sides = [node.this, node.args.get("expression")]
    kinds = {kind_of(side) for side in sides if isinstance(side, exp.Expr)}
    if isinstance(node, exp.Nullif) and kinds & FLOATS and kind_of(node.this) not in FLOATS:
        return f"`nullif` of {_of(kind_of(node.this))} and a floating point number, which is one to PostgreSQL"
    return _alike([side for side in sides if isinstance(side, exp.Expr)], node)


def _alike(sides: list[exp.Expr], node: exp.Expr) -> str | None:
    """Whether values compare the same: of one family, and texts that stand for other values are read the same."""
    plain: list[tuple[exp.Expr, Kind]] = []
    for side in sides:
        inner = side
        if isinstance(inner, (exp.Any, exp.All)):
            inner = inner.this
            while isinstance(inner, exp.Paren):
                inner = inner.this
            if not isinstance(inner, (exp.Array, exp.Query)):
                return f"ANY of an array that may be NULL, of which {_HINT}"
            kind = kind_of(inner)
            plain.append((inner, kind.removesuffix("[]")))
            continue
        plain.append((inner, kind_of(inner)))
    kinds = {kind for _, kind in plain if kind not in (NULL, LITERAL, ANY)}
    for _, kind in plain:
        if kind in (ROW, UNKNOWN, "json", "jsonb", "char", "name", "timetz", "real") or kind.endswith("[]"):
            if kind == "real" and kinds == {"real"} and all(k != LITERAL for _, k in plain):
                continue
            if kind.endswith("[]") and len(kinds) == 1:
                continue
            return f"a comparison of {_of(kind)}, of which {_HINT}"
    if len({_family(kind) for kind in kinds}) > 1:
        return f"a comparison of {' and '.join(_of(kind) for kind in sorted(kinds))}, of which {_HINT}"
    for value, kind in plain:
        if kind == LITERAL:
            for other in kinds:
                if other != "text" and not _reads(value, other):
                    return f"a text in the place of {_of(other)}, of which {_HINT}"
    return None


def _family(kind: Kind) -> str:
    return "number" if kind in NUMBERS else "moment" if kind in TIMES else kind


def _between(node: exp.Expr) -> str | None:
    if node.args.get("symmetric"):
        return f"BETWEEN SYMMETRIC, of which {_HINT}"
    return _alike([node.this, node.args["low"], node.args["high"]], node)


def _in(node: exp.Expr) -> str | None:
    if node.args.get("query") is not None or not node.expressions:
        return f"IN with rows, of which {_HINT}" if kind_of(node.this) == ROW else _alike([node.this], node)
    return _alike([node.this, *node.expressions], node)


def _like(node: exp.Expr) -> exp.Expr | str | None:
    if kind_of(node.this) not in _TEXTS or kind_of(node.expression) not in _TEXTS:
        return f"LIKE of {_of(kind_of(node.this))}, of which {_HINT}"
    if isinstance(node.expression, (exp.Any, exp.All)):
        return f"LIKE ANY, of which {_HINT}"
    if isinstance(node.parent, exp.Escape):
        return None
    if isinstance(node.expression, exp.Literal) and "\\" not in str(node.expression.this):
        return None
    return exp.Escape(this=node.copy(), expression=exp.Literal.string("\\"))


def _escape(node: exp.Expr) -> str | None:
    sign = node.expression
    if isinstance(sign, exp.Literal) and len(str(sign.this)) == 1:
        return None
    return f"ESCAPE with no or a computed sign, of which {_HINT}"


def _joined(node: exp.Expr) -> exp.Expr | str | None:
    parts = [node.this, node.expression] if isinstance(node, exp.DPipe) else list(node.expressions)
    kinds = [kind_of(part) for part in parts]
    if isinstance(node, exp.DPipe) and all(kind.endswith("[]") for kind in kinds):
        return None if len(set(kinds)) == 1 else f"`||` of lists of two types, of which {_HINT}"
    for kind in kinds:
        if kind not in _SPOKEN or (kind == "bool" and not isinstance(node, exp.DPipe)):
            return f"{_of(kind)} as text, which the two write differently"
    return None


def _substring(node: exp.Expr) -> exp.Expr | str | None:
    start, length = node.args.get("start"), node.args.get("length")
    if kind_of(node.this) not in _TEXTS or start is None or kind_of(start) not in _WHOLE:
        return f"`substring` of {_of(kind_of(node.this))} from {_of(kind_of(start))}, of which {_HINT}"
    if _counts(start) and (length is None or _counts(length)):
        return None
    begin = "CASE WHEN y < 1 THEN 1 ELSE y END"
    if length is None:
        return _made(f"SUBSTRING(x, {begin})", x=node.this, y=start)
    if kind_of(length) not in _WHOLE:
        return f"`substring` of a length that is {_of(kind_of(length))}, of which {_HINT}"
    until = "CASE WHEN y + z < 1 THEN 1 ELSE y + z END"
    return _made(f"SUBSTRING(x, {begin}, ({until}) - ({begin}))", x=node.this, y=start, z=length)


def _counts(node: exp.Expr | None) -> bool:
    """A whole number from one on."""
    return isinstance(node, exp.Literal) and str(node.this).isdigit() and int(str(node.this)) > 0


def _trim(node: exp.Expr) -> exp.Expr | str | None:
    signs = node.args.get("expression")
    for part in (node.this, signs):
        if part is not None and kind_of(part) not in _TEXTS:
            return f"`trim` of {_of(kind_of(part))}, of which {_HINT}"
    if signs is not None:
        return None
    copy = node.copy()
    copy.set("expression", exp.Literal.string(" "))
    return copy


def _pad(node: exp.Expr) -> exp.Expr | str | None:
    fill = node.args.get("fill_pattern")
    if kind_of(node.this) not in _TEXTS or kind_of(node.expression) not in _WHOLE:
        return f"`lpad` or `rpad` of {_of(kind_of(node.this))}, of which {_HINT}"
    if fill is not None and not (isinstance(fill, exp.Literal) and str(fill.this)):
        return f"`lpad` or `rpad` with what may be empty, of which {_HINT}"
    return None


def _split(node: exp.Expr) -> str | None:
    delimiter, place = node.args.get("delimiter"), node.args.get("part_index")
    if isinstance(delimiter, exp.Literal) and str(delimiter.this) and _counts(place) and kind_of(node.this) in _TEXTS:
        return None
    return f"`split_part` by what may be empty, or from the end, of which {_HINT}"


_FORMATS = {
    "%Y": "%Y", "%m": "%m", "%d": "%d", "%H": "%H", "%M": "%M", "%S": "%S", "%y": "%y", "%j": "%j",
    "%I": "%I", "%p": "%p", "%-d": "%-d", "%-m": "%-m", "%f": "%f",
}  # fmt: skip


def _to_char(node: exp.Expr) -> exp.Expr | str | None:
    form = node.args.get("format")
    if kind_of(node.this) not in _DATED:
        return f"`to_char` of {_of(kind_of(node.this))}, of which {_HINT}"
    if not isinstance(form, exp.Literal):
        return f"`to_char` with a computed format, of which {_HINT}"
    for part in re.findall(r"%-?.|[A-Za-z\"\\]|[^%A-Za-z\"\\]+", str(form.this), re.DOTALL):
        if part in _FORMATS or not re.search(r"[%A-Za-z\"\\]", part):
            continue
        return f"`{part}` in a format of `to_char`, of which {_HINT}"
    return call("STRFTIME", node.this, form)


# ---------------------------------------------------------------------- times

_PARTS = frozenset(
    ("year", "month", "day", "hour", "minute", "dow", "isodow", "doy", "week", "quarter", "century", "decade", "isoyear",
     "millennium")
)  # fmt: skip
_OF_DATES = _PARTS - {"hour", "minute"}


def _extract(node: exp.Expr) -> exp.Expr | str | None:
    word, of = node.this.name.lower(), node.expression
    kind = kind_of(of)
    if kind == "date" and word in _OF_DATES:
        return None
    if kind in _MOMENTS:
        if word in _PARTS:
            return None
        micros = "CAST(EXTRACT(MICROSECONDS FROM x) AS BIGINT)"
        forms = {
            "second": f"{micros} * 0.000001", "seconds": f"{micros} * 0.000001",
            "millisecond": f"{micros} * 0.001", "milliseconds": f"{micros} * 0.001",
            "microsecond": micros, "microseconds": micros, "epoch": "EPOCH_US(x) * 0.000001",
        }  # fmt: skip
        if word in forms:
            found = _made(forms[word], x=of)
            found.meta["fraction"] = (
                True  # `extract` gives a decimal and `date_part` a double, which sqlglot does not tell
            )
            return found
    return f"the part `{word}` of {_of(kind)}, of which {_HINT}"


_CUTS = frozenset(("second", "minute", "hour", "day", "week", "month", "quarter", "year", "decade"))


def _truncated(node: exp.Expr) -> exp.Expr | str | None:
    kind, unit = kind_of(node.this), node.text("unit").lower()
    if unit not in _CUTS or node.args.get("zone") is not None or isinstance(node.args.get("unit"), exp.Column):
        return f"`date_trunc` to `{unit}`, of which {_HINT}"
    if kind == "date":
        return _wrap(node, exp.cast(node.this.copy(), "TIMESTAMPTZ", dialect="duckdb"))
    return None if kind in _MOMENTS else f"`date_trunc` of {_of(kind)}, of which {_HINT}"


def _at_zone(node: exp.Expr) -> str | None:
    zone = node.args.get("zone")
    if (
        kind_of(node.this) in _MOMENTS
        and isinstance(zone, exp.Literal)
        and re.fullmatch(r"UTC|[A-Z]\w+/\w+", str(zone.this))
    ):
        return None
    return f"AT TIME ZONE of {_of(kind_of(node.this))}, or a zone that is no name, of which {_HINT}"


# ---------------------------------------------------------------------- aggregates, windows and lists


def _summed(node: exp.Expr) -> exp.Expr | str | None:
    inner = node.this.expressions[0] if isinstance(node.this, exp.Distinct) else node.this
    kind = kind_of(inner)
    if kind == "real" or kind not in NUMBERS:
        return f"{shown(node)} of {_of(kind)}, of which {_HINT}"
    return None


_UNORDERED = "DISTINCT without ORDER BY, which PostgreSQL sorts and DuckDB does not"


def _gathered(node: exp.Expr) -> str | None:
    """`array_agg`."""
    return _UNORDERED if isinstance(node.this, exp.Distinct) else None


def _text_of_group(node: exp.Expr) -> exp.Expr | str | None:
    inner = node.this
    if isinstance(inner, exp.Distinct):
        return _UNORDERED
    while isinstance(inner, (exp.Order, exp.Distinct)):
        inner = inner.expressions[0] if isinstance(inner, exp.Distinct) else inner.this
    return None if kind_of(inner) in _TEXTS else f"`string_agg` of {_of(kind_of(inner))}, of which {_HINT}"


def _place(node: exp.Expr) -> str | None:
    if not kind_of(node.this).endswith("[]"):
        return f"`[...]` of {_of(kind_of(node.this))}, of which {_HINT}"
    for place in node.expressions:
        # sqlglot counts from zero.
        if not (isinstance(place, exp.Literal) and str(place.this).isdigit()):
            return f"a place in an array that is computed, or a slice, of which {_HINT}"
    return None


def _percentile(node: exp.Expr) -> str | None:
    if isinstance(node.parent, exp.WithinGroup) and isinstance(node.this, exp.Literal):
        return None
    return f"{shown(node)} without WITHIN GROUP, or at several places, of which {_HINT}"


def _within(node: exp.Expr) -> str | None:
    order = node.args.get("expression")
    if isinstance(node.this, exp.PercentileCont):
        kind = kind_of(order.expressions[0]) if isinstance(order, exp.Order) else UNKNOWN
        return None if kind in (*INTS, "double", "decimal") else f"`percentile_cont` of {_of(kind)}, of which {_HINT}"
    return None if isinstance(node.this, exp.PercentileDisc) else f"WITHIN GROUP, of which {_HINT}"


def _series(node: exp.Expr) -> exp.Expr | str | None:
    parts = [node.args.get(name) for name in ("start", "end", "step")]
    kinds = [kind_of(part) for part in parts if part is not None]
    if node.args.get("is_end_exclusive") or not isinstance(
        node.parent, (exp.Table, exp.Lateral, exp.From, exp.Join, exp.Alias, exp.Unnest)
    ):
        return f"`generate_series`, written so, of which {_HINT}"
    if all(kind in INTS for kind in kinds):
        step = parts[2]
        return None if step is None or _counts(step) else f"`generate_series` with a step of which {_HINT}"
    if len(kinds) == 3 and kinds[2] == "interval" and kinds[0] in TIMES and kinds[1] in TIMES:
        if {kinds[0], kinds[1]} in ({"timestamp"}, {"timestamptz"}):
            return None
        copy = node.copy()
        for name in ("start", "end"):
            copy.set(name, exp.cast(node.args[name].copy(), "TIMESTAMPTZ", dialect="duckdb"))
        return copy
    return f"`generate_series` of {_of(kinds[0] if kinds else UNKNOWN)}, of which {_HINT}"


# ---------------------------------------------------------------------- queries


def _table(node: exp.Expr) -> str | None:
    for word, said in (
        ("sample", "TABLESAMPLE"),
        ("ordinality", "WITH ORDINALITY"),
        ("only", "ONLY"),
        ("rows_from", "ROWS FROM"),
    ):
        if node.args.get(word):
            return f"{said}, of which {_HINT}"
    if isinstance(node.this, exp.Identifier):
        return None
    alias = node.args.get("alias")
    if isinstance(node.this, (exp.GenerateSeries, exp.ExplodingGenerateSeries)) and isinstance(alias, exp.TableAlias):
        if not alias.args.get("columns"):
            alias.set("columns", [exp.to_identifier(alias.name)])
        return None
    return f"{shown(node.this)} in FROM, of which {_HINT}"


def _join(node: exp.Expr) -> str | None:
    return None


def _column(node: exp.Expr) -> str | None:
    name = node.this
    if (
        isinstance(name, exp.Identifier)
        and not name.args.get("quoted")
        and not node.args.get("table")
        and name.name.lower() in _SESSION
    ):
        return f"`{name.name}`, the name of a user, a database or a schema, which is another one in DuckDB"
    return None


_SESSION = frozenset(
    ("user", "current_user", "session_user", "current_role", "current_catalog", "current_schema", "system_user",
     "current_database")
)  # fmt: skip


def _select(node: exp.Expr) -> str | None:
    for word, said in (("locks", "FOR UPDATE"), ("into", "INTO"), ("sample", "TABLESAMPLE")):
        if node.args.get(word):
            return f"{said}, of which {_HINT}"
    return None


def _fetch(node: exp.Expr) -> str | None:
    options = node.args.get("limit_options")
    if options is not None and options.args.get("with_ties"):
        return f"WITH TIES, of which {_HINT}"
    return None


def _string(node: exp.Expr) -> exp.Expr | str | None:
    if isinstance(node, exp.RawString):
        return exp.Literal.string(str(node.this))
    return f"{shown(node)}, of which {_HINT}"


_LOGIC: tuple[type[exp.Expr], ...] = (exp.And, exp.Or, exp.Not)
# Words around values, which mean the same whatever the values are.
_SAME: frozenset[type[exp.Expr]] = frozenset(
    {
        exp.From, exp.Where, exp.Group, exp.Having, exp.Order, exp.Ordered, exp.Limit, exp.Offset, exp.Alias, exp.Identifier,
        exp.TableAlias, exp.Subquery, exp.Paren, exp.Literal, exp.Null, exp.Boolean, exp.Join, exp.With, exp.CTE, exp.Union,
        exp.Except, exp.Intersect, exp.Values, exp.Tuple, exp.And, exp.Or, exp.Not, exp.Exists, exp.Case, exp.If,
        exp.Distinct, exp.Window, exp.WindowSpec, exp.Filter, exp.Star, exp.Var, exp.DataType, exp.DataTypeParam, exp.Any,
        exp.All, exp.GroupingSets, exp.Cube, exp.Rollup, exp.Coalesce, exp.Is, exp.Count, exp.RowNumber, exp.Rank,
        exp.DenseRank, exp.PercentRank, exp.CumeDist, exp.Lag, exp.Lead, exp.FirstValue, exp.LastValue, exp.Grouping,
        exp.LogicalAnd, exp.LogicalOr, exp.CurrentTimestamp, exp.CurrentDate, exp.Localtimestamp, exp.Pi,
        exp.Lateral, exp.LimitOptions, exp.IgnoreNulls,
    }
)  # fmt: skip
_AGGREGATED = _takes(frozenset({*NUMBERS, *TIMES, "time", "text", "interval", NULL, ANY} - {"real"}))
_STATISTIC = _takes(
    frozenset({*INTS, "double", "decimal", "loose", ANY}), frozenset({*INTS, "double", "decimal", "loose", ANY})
)
_REAL = _takes(
    frozenset({*INTS, "double", "decimal", "loose", "ratio", ANY}),
    frozenset({*INTS, "double", "decimal", "loose", "ratio", ANY}),
)
_WORDS = _takes(_TEXTS, _TEXTS, _TEXTS, _TEXTS)
_TEXT_AND_NUMBER = _takes(_TEXTS, _WHOLE)
_COMPARABLE: tuple[type[exp.Expr], ...] = (
    exp.EQ, exp.NEQ, exp.LT, exp.LTE, exp.GT, exp.GTE, exp.NullSafeEQ, exp.NullSafeNEQ, exp.Nullif,
)  # fmt: skip


def _several(node: exp.Expr) -> str | None:
    """`greatest` and `least`."""
    return _alike([node.this, *node.expressions], node)


_RULES: Mapping[type[exp.Expr], Rule] = {
    exp.Select: _select,
    exp.Table: _table,
    exp.Column: _column,
    exp.Fetch: _fetch,
    **dict.fromkeys((exp.Add, exp.Sub, exp.Mul, exp.Mod), _calculated),
    exp.Div: _divided,
    exp.IntDiv: _integer_division,
    exp.Pow: _as("POWER(CAST(x AS DOUBLE), y)", frozenset({*INTS, "double", "decimal", "loose"}), frozenset({*INTS, "double", "decimal", "loose"})),
    exp.Neg: _takes(frozenset({*NUMBERS, "interval", NULL, ANY})),
    exp.Abs: _takes(_NUMERIC),
    exp.Sign: _takes(_REALS),
    exp.Round: _rounded,
    exp.Trunc: _rounded,
    exp.Floor: _whole,
    exp.Ceil: _whole,
    exp.Cast: _casts,
    exp.Interval: _interval,
    **dict.fromkeys((exp.BitwiseAnd, exp.BitwiseOr, exp.BitwiseXor), _takes(_WHOLE, _WHOLE)),
    exp.BitwiseNot: _takes(_WHOLE),
    **dict.fromkeys((exp.Sqrt, exp.Exp, exp.Ln, exp.Sin, exp.Cos, exp.Tan, exp.Atan, exp.Asin, exp.Acos, exp.Cbrt,
                     exp.Degrees, exp.Radians, exp.Atan2), _REAL),
    exp.Log: _takes(frozenset({*INTS, "double", "decimal", "loose"})),
    **dict.fromkeys(_COMPARABLE, _compared),
    exp.Between: _between,
    exp.In: _in,
    exp.Like: _like,
    exp.ILike: _like,
    exp.Escape: _escape,
    exp.SimilarTo: _never("`SIMILAR TO`, which is a pattern to PostgreSQL and a regular expression to DuckDB"),
    exp.RegexpLike: _all(_takes(_TEXTS, _TEXTS), regex("duckdb", cuts=False)),
    exp.RegexpILike: _all(_takes(_TEXTS, _TEXTS), regex("duckdb", cuts=False)),
    exp.RegexpReplace: _all(_takes(_TEXTS, _TEXTS, _TEXTS, rest=_TEXTS), regex("duckdb", cuts=True)),
    exp.DPipe: _joined,
    exp.Concat: _joined,
    exp.ConcatWs: _joined,
    **dict.fromkeys((exp.Upper, exp.Lower, exp.Length, exp.Reverse, exp.Replace, exp.Translate, exp.MD5, exp.StartsWith,
                     exp.StrPosition, exp.Ascii), _WORDS),
    exp.Chr: _takes(_WHOLE),
    exp.Left: _TEXT_AND_NUMBER,
    exp.Right: _TEXT_AND_NUMBER,
    exp.Repeat: _TEXT_AND_NUMBER,
    exp.Substring: _substring,
    exp.Trim: _trim,
    exp.Pad: _pad,
    exp.SplitPart: _split,
    exp.RawString: _string,
    exp.TimeToStr: _to_char,
    exp.ToChar: _to_char,
    exp.Extract: _extract,
    exp.TimestampTrunc: _truncated,
    exp.DateTrunc: _truncated,
    exp.AtTimeZone: _at_zone,
    exp.Greatest: _several,
    exp.Least: _several,
    exp.Sum: _summed,
    exp.Avg: _summed,
    exp.Min: _AGGREGATED,
    exp.Max: _AGGREGATED,
    **dict.fromkeys((exp.Stddev, exp.StddevPop, exp.StddevSamp, exp.Variance, exp.VariancePop, exp.CovarPop, exp.CovarSamp), _STATISTIC),
    exp.ArrayAgg: _gathered,
    exp.GroupConcat: _text_of_group,
    exp.BitwiseAndAgg: _takes(_WHOLE),
    exp.BitwiseOrAgg: _takes(_WHOLE),
    exp.Corr: _never("a correlation, which is NULL to PostgreSQL and NaN to DuckDB where all values are equal"),
    exp.PercentileCont: _percentile,
    exp.PercentileDisc: _percentile,
    exp.WithinGroup: _within,
    exp.NthValue: _takes(_ORDERLY, _WHOLE),
    exp.Ntile: _takes(_WHOLE),
    exp.Array: lambda node: None if kind_of(node) != UNKNOWN else f"an array of a query, or of what is not known, of which {_HINT}",
    exp.Bracket: _place,
    exp.GenerateSeries: _series,
    exp.ExplodingGenerateSeries: _series,
    exp.TimestampFromParts: _takes(*[_WHOLE] * 5, _NUMERIC),
}  # fmt: skip
_NAMED: Mapping[str, Rule] = {
    "make_date": _takes(_WHOLE, _WHOLE, _WHOLE),
    "every": _as("BOOL_AND(x)", _BOOLS),
    "cardinality": lambda node: call("LEN", *node.expressions) if kind_of(node.expressions[0]).endswith("[]") else _unknown(node),
    "gcd": _takes(_WHOLE, _WHOLE),
    "lcm": _takes(_WHOLE, _WHOLE),
}  # fmt: skip
