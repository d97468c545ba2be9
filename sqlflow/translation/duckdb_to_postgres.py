"""What DuckDB and PostgreSQL mean differently by the same words, and what only DuckDB has.

sqlglot translates the words. The rules here put in what gives the same rows, or give the reason why nothing does. What
is in neither is refused by the server when the translated query is bound. `tests/engines/test_translation.py` runs all of
it on both.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import partial

from sqlglot import exp

from sqlflow.translation.fitting import Refused, Rule, call, fitted, made, regex, shown
from sqlflow.translation.kinds import ANY, BARE, FLOATS, INTS, NULL, NUMBERS, UNKNOWN, Kind, is_column, kind_of

# Words that PostgreSQL takes for something else than a name where they stand without quotes; `pg_get_keywords()`.
RESERVED = frozenset(
    [
        "all",
        "analyse",
        "analyze",
        "and",
        "any",
        "array",
        "as",
        "asc",
        "asymmetric",
        "authorization",
        "binary",
        "both",
        "case",
        "cast",
        "check",
        "collate",
        "collation",
        "column",
        "concurrently",
        "constraint",
        "create",
        "cross",
        "current_catalog",
        "current_date",
        "current_role",
        "current_schema",
        "current_time",
        "current_timestamp",
        "current_user",
        "default",
        "deferrable",
        "desc",
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
        "grant",
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
        "lateral",
        "leading",
        "left",
        "like",
        "limit",
        "localtime",
        "localtimestamp",
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
        "placing",
        "primary",
        "references",
        "returning",
        "right",
        "select",
        "session_user",
        "similar",
        "some",
        "symmetric",
        "system_user",
        "table",
        "tablesample",
        "then",
        "to",
        "trailing",
        "true",
        "union",
        "unique",
        "user",
        "using",
        "variadic",
        "verbose",
        "when",
        "where",
        "window",
        "with",
    ]
)


def fit(tree: exp.Expr, strict: bool) -> tuple[exp.Expr, list[Refused]]:
    """The tree with what PostgreSQL needs to give what DuckDB gives, and what nothing gives. `strict`: the columns that it
    reads are known, so what is not known to be the same is refused."""
    for reading in list(tree.find_all(exp.Select, exp.Update, exp.Delete, exp.Merge)):
        _name_relations(reading)
    unproven = [node for node in tree.walk() if _unproven(node)] if strict else []
    tree, refused = fitted(tree, _rule)
    for name in tree.find_all(exp.Identifier):
        if not name.args.get("quoted") and name.name.lower() in RESERVED:
            name.set("this", name.name.lower())
            name.set("quoted", True)
    refused += [(f"{shown(node)}, which is not known to be the same in PostgreSQL", node) for node in unproven]
    return tree, refused


def _rule(node: exp.Expr) -> Rule | None:
    if isinstance(node, exp.Anonymous):
        return _NAMED.get(str(node.this).lower())
    return _RULES.get(type(node))


# ---------------------------------------------------------------------- what stands in FROM without a name


def _name_relations(reading: exp.Expr) -> None:
    """Give what stands in FROM without a name the one by which DuckDB knows it: PostgreSQL wants one until version 15, and
    has another one later. Columns of VALUES are `col0` and so on to DuckDB, `column1` to PostgreSQL."""
    parts = [part.this for part in (reading.args.get("from_"), *(reading.args.get("joins") or ())) if part is not None]
    using = reading.args.get("using") or ()
    parts += [using] if isinstance(using, exp.Expr) else using
    relations = [found for part in parts for found in _relations(part)]
    taken = {relation.alias_or_name.lower() for relation in relations}
    number = 0
    for relation in relations:
        if not isinstance(relation, (exp.Subquery, exp.Values, exp.Lateral)):
            continue
        if not relation.alias:
            number += 1
            name = f"unnamed_subquery{number if number > 1 else ''}"
            while name in taken:
                name = f"_{name}"
            _set_alias(relation, name)
        _name_values(relation)


def _relations(node: exp.Expr) -> Iterator[exp.Expr]:
    """What a part of FROM reads, from left to right. Parentheses around a join give it no name, and those around one table
    are left out, because PostgreSQL does not take them."""
    inner, joins = node.this, node.args.get("joins") or ()
    if not isinstance(node, exp.Subquery) or node.alias or _is_query(inner):
        yield node
    elif inner.args.get("joins"):
        yield from _relations(inner)
    else:
        inner.set("joins", [join.copy() for join in joins])
        yield from _relations(node.replace(inner))
        return
    for join in joins:
        yield from _relations(join.this)


def _is_query(node: exp.Expr) -> bool:
    """Whether it is a query, and not a table, VALUES, a join or something with a name in parentheses."""
    if isinstance(node, exp.Subquery):
        return not node.alias and not node.args.get("joins") and _is_query(node.this)
    return isinstance(node, exp.Query)


def _set_alias(relation: exp.Expr, name: str) -> None:
    alias = relation.args.get("alias")
    if isinstance(alias, exp.TableAlias):
        alias.set("this", exp.to_identifier(name))
    else:
        relation.set("alias", exp.TableAlias(this=exp.to_identifier(name)))


def _name_values(relation: exp.Expr) -> None:
    values = relation if isinstance(relation, exp.Values) else relation.this
    while isinstance(values, exp.Subquery):
        values = values.this
    if not isinstance(values, exp.Values) or not isinstance(row := values.expressions[0], exp.Tuple):
        return
    alias = relation.args["alias"]
    written = alias.args.get("columns") or []
    rest = range(len(written), len(row.expressions))
    alias.set("columns", [*written, *(exp.to_identifier(f"col{place}") for place in rest)])


# ---------------------------------------------------------------------- writing trees


_made = partial(made, "postgres")


def _as(template: str) -> Rule:
    """A function of one argument."""

    def rule(node: exp.Expr) -> exp.Expr | None:
        argument = node.expressions[0] if isinstance(node, exp.Anonymous) else node.this
        others = len(node.expressions) != 1 if isinstance(node, exp.Anonymous) else any(
            value for name, value in node.args.items() if name != "this"
        )  # fmt: skip
        return None if others or not isinstance(argument, exp.Expr) else _made(template, x=argument)

    return rule


def _never(reason: str) -> Rule:
    return lambda node: reason


# ---------------------------------------------------------------------- numbers


def _whole_division(node: exp.Expr) -> exp.Expr | str:
    for side in (node.this, node.expression):
        if kind_of(side) not in (*INTS, NULL, ANY) or any(_has_fraction(inner) for inner in side.walk()):
            return "`//` of numbers that are not whole"
    return _made("CAST(DIV(a, b) AS BIGINT)", a=node.this, b=node.expression)


def _has_fraction(node: exp.Expr) -> bool:
    if isinstance(node, exp.Literal):
        return not node.is_string and not str(node.this).isdigit()
    return isinstance(node, (exp.Div, exp.Avg)) or (
        isinstance(node, exp.Cast) and node.to.this in (exp.DType.DECIMAL, exp.DType.DOUBLE, exp.DType.FLOAT)
    )


# All digits of a double: PostgreSQL's own cast to a decimal keeps 15 of them, and so makes ties of what are none. Beyond
# 2^52 there is nothing behind the point.
_EXACT = (
    "CAST(CAST(TRUNC(x) AS BIGINT) AS DECIMAL) + CAST(CAST((x - TRUNC(x)) * 9007199254740992 AS BIGINT) AS DECIMAL)"
    " * 0.00000000000000011102230246251565404236316680908203125"
)


# Halves of a double away from zero, as a double.
_NEAREST = "(TRUNC(x) + CASE WHEN ABS(x - TRUNC(x)) >= 0.5 THEN SIGN(x) ELSE 0 END)"


def _decimal_of(node: exp.Expr, kind: exp.DataType) -> exp.Expr:
    """DuckDB multiplies a double by 10, 100 and so on, and rounds that."""
    digits = int(str(kind.expressions[1].this)) if len(kind.expressions) > 1 else 3 if not kind.expressions else 0
    grown = _made(f"(x * {10**digits})", x=_as_double(node)) if digits else _as_double(node)
    size = kind.sql(dialect="postgres") if kind.expressions else "DECIMAL(18, 3)"
    return _made(f"CAST(CAST({_NEAREST} AS BIGINT) * {10**-digits:.{digits}f} AS {size})", x=grown)


def _round(node: exp.Expr) -> exp.Expr | str | None:
    digits, kind = node.args.get("decimals"), kind_of(node.this)
    if digits is not None and not isinstance(digits.this if isinstance(digits, exp.Neg) else digits, exp.Literal):
        return "`round` to a computed number of digits"
    if kind in INTS and (digits is None or _counts_on(digits)):
        return exp.paren(node.this)
    if kind in INTS and digits is not None:
        return _made("CAST(ROUND(CAST(x AS DECIMAL), n) AS BIGINT)", x=node.this, n=digits)
    if kind in FLOATS:
        if digits is not None and not _counts_on(digits):
            return "`round` of a DOUBLE to places before the point"
        if digits is None or digits.name == "0":
            return exp.cast(
                _made(_NEAREST, x=_as_double(node.this)),
                "REAL" if kind == "real" else "DOUBLE PRECISION",
                dialect="postgres",
            )
        made = _made(
            f"CASE WHEN ABS(x) < 4503599627370496 THEN CAST(ROUND({_EXACT}, n) AS DOUBLE PRECISION) ELSE x END",
            x=_as_double(node.this), n=digits,
        )  # fmt: skip
        return made if kind == "double" else exp.cast(made, "REAL", dialect="postgres")
    if kind not in (*NUMBERS, NULL, ANY):
        return f"`round` of {_a(kind)}"
    if digits is None:
        return _made("ROUND(CAST(x AS DECIMAL))", x=node.this)
    return _made("ROUND(CAST(x AS DECIMAL), n)", x=node.this, n=digits)


def _cut_off(node: exp.Expr) -> exp.Expr | str | None:
    """`trunc`."""
    digits, kind = node.args.get("decimals"), kind_of(node.this)
    if kind in INTS and (digits is None or _counts_on(digits)):
        return exp.paren(node.this)
    if digits is not None and kind not in ("decimal", NULL, ANY):
        return "`trunc` of what is no DECIMAL to a number of digits"
    return None


def _as_double(node: exp.Expr) -> exp.Expr:
    """An average of PostgreSQL, for one, is a decimal with more digits."""
    plain = isinstance(node, exp.Column) and kind_of(node) == "double"
    return node if plain else exp.cast(node.copy(), "DOUBLE PRECISION", dialect="postgres")


def _a(kind: Kind) -> str:
    return "something whose type is not known here" if kind == UNKNOWN else f"{kind.upper()}"


def _summed(node: exp.Expr) -> exp.Expr | str | None:
    kind = kind_of(node.this)
    if kind == "real":
        copy = node.copy()
        copy.set("this", _made("CAST(x AS DOUBLE PRECISION)", x=node.this))
        return copy
    return None if kind in (*NUMBERS, NULL, ANY) else f"{shown(node)} of {_a(kind)}"


def _shift(node: exp.Expr) -> str | None:
    count = node.expression
    if isinstance(count, exp.Literal) and str(count.this).isdigit() and int(str(count.this)) < 32:
        return "a shift of what may be below zero" if isinstance(node, exp.BitwiseLeftShift) and not _counts_on(node.this) else None  # fmt: skip
    return "a shift by a computed number of bits"


# What the two write differently as text, in the words of a message.
_OTHER_TEXTS = {
    "double": "10.0 to DuckDB and 10 to PostgreSQL",
    "loose": "with as many digits behind the point in all rows to DuckDB",
    "real": "10.0 to DuckDB and 10 to PostgreSQL",
    "interval": "`1 month` to DuckDB and `1 mon` to PostgreSQL",
    "blob": "`ab` to DuckDB and `\\x6162` to PostgreSQL",
    "json": "as it was written to DuckDB, and in PostgreSQL's own spelling there",
    "jsonb": "as it was written to DuckDB, and in PostgreSQL's own spelling there",
    "row": "a struct to DuckDB and a row to PostgreSQL",
    "timetz": "with other offsets in the two",
    "nanos": "with nine digits to DuckDB",
}


def _as_text(node: exp.Expr) -> str | None:
    """Why the text of a value is not the same."""
    kind = kind_of(node)
    if kind == UNKNOWN:
        return "the text of something whose type is not known here; cast it to VARCHAR where its type is known"
    if kind.endswith("[]"):
        return "a list as text, which is `[1, 2]` to DuckDB and `{1,2}` to PostgreSQL"
    if kind in _OTHER_TEXTS:
        hint = "; cast it to DECIMAL first" if kind in (*FLOATS, "loose") else ""
        return f"{_article(kind)} as text, which is {_OTHER_TEXTS[kind]}{hint}"
    return None


def _article(kind: Kind) -> str:
    word = {"loose": "decimal", "row": "struct"}.get(kind, kind)
    return f"{'an' if word[0] in 'aeiou' else 'a'} {word.upper()}"


def _cast(node: exp.Expr) -> exp.Expr | str | None:
    kind, given = node.args["to"], kind_of(node.this)
    if not isinstance(kind, exp.DataType):
        return None
    if kind.this in exp.DataType.TEXT_TYPES:
        return _as_text(node.this)
    if kind.this is exp.DType.DECIMAL and given in FLOATS:
        return _decimal_of(node.this, kind)
    if kind.this in (exp.DType.INT128, exp.DType.UINT128):
        if given in FLOATS or given == UNKNOWN:
            return f"{_article(given) if given != UNKNOWN else 'an unknown type'} as HUGEINT, which DuckDB cuts off and PostgreSQL rounds"
        return exp.cast(node.this.copy(), "DECIMAL(38, 0)", dialect="postgres")
    if exp.DType.VARBINARY is kind.this and given != "blob":
        return "a cast to BLOB"
    if given == "blob" and kind.this is not exp.DType.VARBINARY:
        return "a cast of a BLOB"
    if kind.this is exp.DType.JSON and given != "json":
        return "a cast to JSON"
    return None


def _try_cast(node: exp.Expr) -> str | None:
    kind = node.args["to"]
    if kind.this in exp.DataType.TEXT_TYPES:
        return _as_text(node.this)
    return "`TRY_CAST`, which gives NULL where a cast fails"


def _joined(node: exp.Expr) -> exp.Expr | str | None:
    """Texts put together: what is no text becomes one."""
    parts = [node.this, node.expression] if isinstance(node, exp.DPipe) else list(node.expressions)
    if isinstance(node, exp.DPipe) and all(kind_of(part).endswith("[]") or kind_of(part) == NULL for part in parts):
        # A list put together with NULL is the list to PostgreSQL, and NULL to DuckDB.
        return _made("CASE WHEN a IS NULL OR b IS NULL THEN NULL ELSE a || b END", a=parts[0], b=parts[1])
    for part in parts:
        if (reason := _as_text(part)) is not None:
            return reason
    if isinstance(node, exp.DPipe) or not any(kind_of(part) == "bool" for part in parts):
        return None
    copy = node.copy()  # `t` to concat of PostgreSQL
    copy.set("expressions", [_made("CAST(x AS TEXT)", x=p) if kind_of(p) == "bool" else p.copy() for p in parts])
    return copy


def _aggregated_text(node: exp.Expr) -> exp.Expr | str | None:
    inner = node.this
    while isinstance(inner, (exp.Order, exp.Distinct)):
        inner = inner.expressions[0] if isinstance(inner, exp.Distinct) else inner.this
    return _as_text(inner)


# ---------------------------------------------------------------------- texts


def _like(node: exp.Expr) -> exp.Expr | None:
    pattern = node.expression
    if isinstance(node.parent, exp.Escape) or not isinstance(pattern, exp.Expr):
        return None
    if isinstance(pattern, exp.Literal) and "\\" not in pattern.name:
        return None
    return exp.Escape(this=node.copy(), expression=exp.Literal.string(""))


_FROM_THE_END = "a place in a text that may count from its end"


def _substring(node: exp.Expr) -> str | None:
    start, length = node.args.get("start"), node.args.get("length")
    return _FROM_THE_END if any(part is not None and not _counts_on(part) for part in (start, length)) else None


def _counts_on(node: exp.Expr) -> bool:
    """Whether a number is surely not below zero."""
    match node:
        case exp.Literal():
            return str(node.this).isdigit()
        case exp.Paren():
            return _counts_on(node.this)
        case exp.Add() | exp.Mul():
            return _counts_on(node.this) and _counts_on(node.expression)
        case exp.Length() | exp.StrPosition():
            return True
        case _:
            return False


# ---------------------------------------------------------------------- times

_WHOLE_UNITS = (
    "year", "month", "day", "hour", "minute", "dow", "isodow", "doy", "week", "quarter", "century", "decade", "isoyear",
    "microsecond", "microseconds",
)  # fmt: skip
_FRACTIONS = ("second", "seconds", "millisecond", "milliseconds")


def _part(unit: str, of: exp.Expr) -> exp.Expr | str:
    word = unit.lower()
    if kind_of(of) == "date" and (word in _FRACTIONS or word in ("hour", "minute", "microsecond", "microseconds")):
        of = _made("CAST(x AS TIMESTAMP)", x=of)
    if word == "epoch":
        return _made("CAST(EXTRACT(EPOCH FROM x) AS DOUBLE PRECISION)", x=of)
    if word in _FRACTIONS:
        return _made(f"CAST(TRUNC(EXTRACT({word} FROM x)) AS BIGINT)", x=of)
    if word in _WHOLE_UNITS:
        return _made(f"CAST(EXTRACT({word} FROM x) AS BIGINT)", x=of)
    return f"the part `{word}` of a time"


def _part_named(unit: str) -> Rule:
    return lambda node: _part(unit, node.this)


def _extract(node: exp.Expr) -> exp.Expr | str:
    return _part(node.this.name, node.expression)


def _date_part(node: exp.Expr) -> exp.Expr | str:
    if len(node.expressions) != 2 or not isinstance(node.expressions[0], exp.Literal):
        return "a part of a time whose name is computed"
    return _part(node.expressions[0].name, node.expressions[1])


_CUTS = (
    "microsecond", "microseconds", "millisecond", "milliseconds", "second", "minute", "hour", "day", "week", "month",
    "quarter", "year", "decade",
)  # fmt: skip


def _truncated(node: exp.Expr) -> exp.Expr | str | None:
    # date_trunc of a DATE is a TIMESTAMP to DuckDB, and one with a time zone to PostgreSQL.
    inner, unit = node.this, node.text("unit").lower()
    if isinstance(node.args.get("unit"), exp.Column) or unit not in _CUTS:
        return "`date_trunc` to a computed unit, or one that PostgreSQL does not have"
    if unit == "week" and kind_of(inner) == "interval":
        return "`date_trunc` of an interval to weeks"
    if isinstance(inner, exp.Literal) or (isinstance(inner, exp.Cast) and inner.to.this is not exp.DType.DATE):
        return None
    as_timestamp = _made("CAST(x AS TIMESTAMP)", x=inner) if isinstance(inner, exp.Cast) else _made(
        "x + INTERVAL '0 DAYS'", x=inner
    )  # fmt: skip
    copy = node.copy()
    copy.set("this", as_timestamp)
    copy.set("unit", exp.var(unit.upper()))
    return copy


_CLOCKS = {"hour": 3600, "minute": 60, "second": 1}


def _difference(node: exp.Expr) -> exp.Expr | str:
    """How many boundaries of a unit lie between two times."""
    unit, end, start = node.text("unit").lower(), node.this, node.expression
    if unit == "day":
        return _made("(CAST(b AS DATE) - CAST(a AS DATE))", a=start, b=end)
    if unit in ("month", "quarter", "year"):
        count = {
            "month": "EXTRACT(YEAR FROM {0}) * 12 + EXTRACT(MONTH FROM {0})",
            "year": "EXTRACT(YEAR FROM {0})",
        }.get(unit, "EXTRACT(YEAR FROM {0}) * 4 + EXTRACT(QUARTER FROM {0})")
        return _made(f"CAST({count.format('b')} - ({count.format('a')}) AS BIGINT)", a=start, b=end)
    if unit in _CLOCKS:
        cut = f"EXTRACT(EPOCH FROM DATE_TRUNC('{unit}', CAST({{}} AS TIMESTAMP)))"
        return _made(f"CAST(({cut.format('b')} - {cut.format('a')}) / {_CLOCKS[unit]} AS BIGINT)", a=start, b=end)
    return f"`date_diff` in the unit `{unit}`"


_FORMATS = {
    "%Y": "YYYY", "%m": "MM", "%d": "DD", "%H": "HH24", "%M": "MI", "%S": "SS", "%y": "YY", "%j": "DDD", "%B": "FMMonth",
    "%b": "FMMon", "%A": "FMDay", "%a": "FMDy", "%I": "HH12", "%p": "AM", "%G": "IYYY", "%V": "IW", "%u": "ID",
    "%-d": "FMDD", "%-m": "FMMM", "%-H": "FMHH24", "%f": "US", "%%": "%",
}  # fmt: skip
_FORMAT_PART = re.compile(r"%-?.|[A-Za-z\"\\]+|[^%A-Za-z\"\\]+", re.DOTALL)


def _format_of(text: exp.Expr | None) -> exp.Expr | str:
    """A format of strftime as one of to_char."""
    if not isinstance(text, exp.Literal):
        return "a format of times that is computed"
    parts = []
    for part in _FORMAT_PART.findall(text.name):
        if part.startswith("%"):
            if part not in _FORMATS:
                return f"`{part}` in a format of times"
            parts.append(_FORMATS[part])
        elif part[0].isalpha():
            parts.append(f'"{part}"')
        elif part[0] in '"\\':
            return "quotes in a format of times"
        else:
            parts.append(part)
    return exp.Literal.string("".join(parts))


def _to_text(node: exp.Expr) -> exp.Expr | str:
    form = _format_of(node.args.get("format"))
    return form if isinstance(form, str) else call("TO_CHAR", node.this, form)


def _to_time(node: exp.Expr) -> exp.Expr | str:
    form = _format_of(node.args.get("format"))
    return form if isinstance(form, str) else exp.cast(call("TO_TIMESTAMP", node.this, form), "TIMESTAMP")


def _date(node: exp.Expr) -> exp.Expr:
    parts = [node.args.get(name) for name in ("year", "month", "day")]
    return call("MAKE_DATE", *[exp.cast(part.copy(), "INT") for part in parts if part is not None])


_MICROS = "((x / 1000000) * INTERVAL '1 second' + (x % 1000000) * INTERVAL '1 microsecond')"


def _from_epoch(node: exp.Expr) -> exp.Expr | str | None:
    scale = node.args.get("scale")
    if scale is None or scale.name == "0":
        return None
    if scale.name == "6" and kind_of(node.this) in (*INTS, ANY):
        return _made(f"(CAST('1970-01-01' AS TIMESTAMP) + {_MICROS})", x=node.this)
    if scale.name == "3" and kind_of(node.this) in (*INTS, ANY):
        return _made("(CAST('1970-01-01' AS TIMESTAMP) + x * INTERVAL '1 millisecond')", x=node.this)
    return "a time out of a number that is not whole"


def _interval(unit: str) -> Rule:
    return _as(f"(x * INTERVAL '1 {unit}')")


# ---------------------------------------------------------------------- names that are functions to one of them

_ROLE = "the name of a user, a database or a schema, which is another one in each of them"
_SESSION = frozenset(
    ("user", "current_user", "session_user", "current_role", "current_catalog", "current_schema", "current_database",
     "system_user")
)  # fmt: skip


def _name(node: exp.Expr) -> str | None:
    """A word that is a function without brackets where no column has the name."""
    quoted = isinstance(node.this, exp.Identifier) and node.this.args.get("quoted")
    if quoted or node.args.get("table") or node.name.lower() not in _SESSION:
        return None
    return f"`{node.name}`, {_ROLE}" if is_column(node) is False else None


def _bare(node: exp.Expr) -> exp.Expr | str | None:
    word = node.sql(dialect="duckdb").rstrip("()").lower()
    around = node.parent
    if isinstance(around, exp.Dot) or (isinstance(around, exp.Join) and node.arg_key == "using"):
        return exp.to_identifier(word, quoted=True)
    if is_column(node):
        return exp.column(exp.to_identifier(word, quoted=True))
    if word in _SESSION:
        return f"`{word}`, {_ROLE}"
    if is_column(node) is None and kind_of(node) == UNKNOWN:
        return f'`{word}`, which may be a column here; write `"{word}"` or `{word}` in a query of its own'
    return None


# ---------------------------------------------------------------------- aggregates, rows and queries


def _any_value(node: exp.Expr) -> exp.Expr | str | None:
    inner = node.this
    if not isinstance(inner, exp.AnyValue):
        return None
    if isinstance(node.parent, (exp.Filter, exp.Window)):
        return "`any_value` with FILTER or OVER"
    value = inner.this.this if isinstance(inner.this, exp.Order) else inner.this
    order = inner.this.copy() if isinstance(inner.this, exp.Order) else value.copy()
    made = _made("(ARRAY_AGG(ordered) FILTER (WHERE x IS NOT NULL))[1]", x=value)
    return _with(made, "ordered", order)


def _first(node: exp.Expr) -> exp.Expr | str | None:
    if isinstance(node.parent, (exp.Filter, exp.Window)):
        return None if isinstance(node.parent, exp.Window) else "`first` with FILTER"
    return _with(_made("(ARRAY_AGG(ordered))[1]"), "ordered", node.this.copy())


def _extreme(way: str) -> Rule:
    def rule(node: exp.Expr) -> exp.Expr | str:
        if isinstance(node.parent, (exp.Filter, exp.Window)) or node.args.get("count") is not None:
            return f"`{node.key}` with FILTER, OVER or a count"
        text = f"(ARRAY_AGG(x ORDER BY y {way} NULLS LAST) FILTER (WHERE x IS NOT NULL AND y IS NOT NULL))[1]"
        return _made(text, x=node.this, y=node.expression)

    return rule


def _with(tree: exp.Expr, name: str, part: exp.Expr) -> exp.Expr:
    for column in list(tree.find_all(exp.Column)):
        if column.name == name:
            column.replace(part)
    return tree


def _row_comparison(node: exp.Expr) -> str | None:
    rows = (exp.Tuple, exp.Struct)
    if isinstance(node.this, rows) or isinstance(node.args.get("expression"), rows):
        return "a comparison of rows, in which NULL is a value to DuckDB and unknown to PostgreSQL"
    return None


def _in(node: exp.Expr) -> str | None:
    negated = isinstance(node.parent, exp.Not) or isinstance(getattr(node.parent, "parent", None), exp.Not)
    return _row_comparison(exp.EQ(this=node.this.copy(), expression=exp.null())) if negated else None


def _star(node: exp.Expr) -> str | None:
    for word in ("except_", "except", "replace", "rename"):
        if node.args.get(word):
            return f"`*` with {'EXCLUDE' if 'except' in word else word.upper()}"
    return None


def _bracket(node: exp.Expr) -> str | None:
    if all(isinstance(place, exp.Slice) or _counts_on(place) for place in node.expressions):
        slices = [s for s in node.expressions if isinstance(s, exp.Slice)]
        bounds = [bound for s in slices for bound in (s.this, s.expression) if bound is not None]
        if all(_counts_on(bound) for bound in bounds):
            return None
    return "a place in a list that may count from its end"


def _join(node: exp.Expr) -> str | None:
    if node.args.get("method") in ("ASOF", "POSITIONAL"):
        return f"{node.args['method']} JOIN"
    if node.args.get("kind") in ("SEMI", "ANTI") and node.args.get("using"):
        return f"{node.args['kind']} JOIN with USING; write ON"
    return None


def _select(node: exp.Expr) -> str | None:
    if node.args.get("qualify") is None:
        return None
    if any(item.find(exp.Star) is not None and item.find(exp.AggFunc) is None for item in node.expressions):
        return "QUALIFY beside `*`; name the columns"
    for word, name in (("distinct", "DISTINCT"), ("order", "ORDER BY"), ("limit", "LIMIT"), ("offset", "OFFSET")):
        if node.args.get(word):
            return f"QUALIFY with {name}; put one of them into a subquery"
    columns = {column.name.lower() for item in node.expressions for column in item.find_all(exp.Column)}
    aliases = {item.alias.lower() for item in node.expressions if isinstance(item, exp.Alias)}
    names = {c.name.lower() for c in node.args["qualify"].find_all(exp.Column) if not c.table}
    for name in sorted(names & aliases & columns):
        return f"`{name}` in QUALIFY, which is a column and a name of the SELECT list"
    return None


def _split(node: exp.Expr) -> str | None:
    delimiter = node.args.get("delimiter")
    plain = isinstance(delimiter, exp.Literal) and delimiter.name != ""
    return None if plain else "`split_part` by what may be empty"


def _series(node: exp.Expr) -> exp.Expr | str | None:
    """A list to DuckDB, rows to PostgreSQL: the same in FROM alone."""
    around = node.parent
    if not isinstance(around, (exp.Table, exp.Lateral, exp.From, exp.Join)):
        return "a list of numbers or times that are counted up; write it in FROM"
    step = node.args.get("step")
    if step is None or _counts_on(step) or isinstance(step, (exp.Interval, exp.Cast)):
        return None
    return "a series whose step may be below zero"


def _contains(node: exp.Expr) -> exp.Expr:
    template = "CASE WHEN l IS NULL OR v IS NULL THEN NULL ELSE COALESCE(v = ANY(l), FALSE) END"
    return _made(template, l=node.this, v=node.expression)


def _unnest(node: exp.Expr) -> str | None:
    inner = node.this if isinstance(node, exp.Explode) else None
    if isinstance(inner, (exp.GenerateSeries, exp.Anonymous)) or (
        node.args.get("expressions") and isinstance(node, exp.Explode)
    ):
        return "`unnest` of what is not a list of its own"
    return None


def _set_operation(node: exp.Expr) -> str | None:
    return "BY NAME" if node.args.get("by_name") else None


_FLAT = "a correlation, which is NaN to DuckDB and NULL to PostgreSQL where all values are equal"
_INTERVALS = (
    "year", "month", "week", "hour", "minute", "second", "millisecond", "decade",
)  # fmt: skip

_RULES: Mapping[type[exp.Expr], Rule] = {
    exp.IntDiv: _whole_division,
    exp.Round: _round,
    exp.Trunc: _cut_off,
    exp.Sum: _summed,
    exp.Avg: _summed,
    exp.BitwiseLeftShift: _shift,
    exp.BitwiseRightShift: _shift,
    exp.CountIf: _as("COUNT(CASE WHEN x THEN 1 END)"),
    exp.DPipe: _joined,
    exp.Concat: _joined,
    exp.ConcatWs: _joined,
    exp.GroupConcat: _aggregated_text,
    exp.Overlay: _never("`overlay`"),
    exp.Column: _name,
    **dict.fromkeys(BARE, _bare),
    exp.GenerateSeries: _series,
    exp.ArrayContains: _contains,
    exp.Explode: _unnest,
    exp.UnixToTime: _from_epoch,
    **dict.fromkeys((exp.RegrSlope, exp.RegrIntercept, exp.RegrR2), _never(_FLAT)),
    exp.Cast: _cast,
    exp.TryCast: _try_cast,
    exp.Like: _like,
    exp.ILike: _like,
    exp.SimilarTo: _never("`SIMILAR TO`, which is a regular expression to DuckDB and a pattern to PostgreSQL"),
    exp.Glob: _never("`GLOB`"),
    exp.Unicode: _never("`unicode`; write `ascii`"),
    exp.Format: _never("`format`, which means something else to PostgreSQL"),
    exp.Substring: _substring,
    exp.RegexpLike: regex("postgres", cuts=False),
    exp.RegexpILike: regex("postgres", cuts=False),
    exp.RegexpReplace: regex("postgres", cuts=True),
    exp.SplitPart: _split,
    exp.Corr: _never(_FLAT),
    exp.Contains: lambda node: _made("(STRPOS(x, y) > 0)", x=node.this, y=node.expression),
    exp.EndsWith: lambda node: _made("(RIGHT(x, LENGTH(y)) = y)", x=node.this, y=node.expression),
    exp.IsNan: _as("(x = 'NaN')"),
    exp.IsInf: _as("(ABS(x) = 'Infinity')"),
    exp.Extract: _extract,
    exp.DateTrunc: _truncated,
    exp.TimestampTrunc: _truncated,
    exp.DateDiff: _difference,
    exp.TimeToStr: _to_text,
    exp.StrToTime: _to_time,
    exp.DateFromParts: _date,
    exp.ToDays: _interval("day"),
    **{
        kind: _part_named(unit)
        for kind, unit in (
            (exp.Year, "year"),
            (exp.Month, "month"),
            (exp.Day, "day"),
            (exp.Hour, "hour"),
            (exp.Minute, "minute"),
            (exp.Second, "second"),
            (exp.Quarter, "quarter"),
            (exp.Week, "week"),
            (exp.WeekOfYear, "week"),
            (exp.DayOfWeek, "dow"),
            (exp.DayOfWeekIso, "isodow"),
            (exp.DayOfMonth, "day"),
            (exp.DayOfYear, "doy"),
        )
    },
    exp.Dayname: _as("TO_CHAR(x, 'FMDay')"),
    exp.Monthname: _as("TO_CHAR(x, 'FMMonth')"),
    exp.IgnoreNulls: _any_value,
    exp.First: _first,
    exp.ArgMax: _extreme("DESC"),
    exp.ArgMin: _extreme("ASC"),
    **dict.fromkeys((exp.EQ, exp.NEQ, exp.LT, exp.LTE, exp.GT, exp.GTE), _row_comparison),
    exp.In: _in,
    exp.Star: _star,
    exp.Columns: _never("`COLUMNS`"),
    exp.Bracket: _bracket,
    exp.ArraySort: _never("sorting a list; write `array_agg(... ORDER BY ...)`"),
    exp.Join: _join,
    exp.Select: _select,
    **dict.fromkeys((exp.Union, exp.Except, exp.Intersect), _set_operation),
}
_NAMED: Mapping[str, Rule] = {
    "date_part": _date_part,
    "datepart": _date_part,
    "age": _never("`age`, which counts months in another way"),
    "timezone": lambda node: "`timezone` of one value, the offset to DuckDB" if len(node.expressions) == 1 else None,
    **dict.fromkeys(("regr_slope", "regr_intercept", "regr_r2"), _never(_FLAT)),
    **{name: _never(f"`{name}`, {_ROLE}") for name in sorted(_SESSION)},
    **{
        name: _never(f"`{name}`, which gives something else in PostgreSQL")
        for name in (
            "current_query",
            "current_schemas",
            "regexp_split_to_array",
            "uuid_extract_version",
            "uuid_extract_timestamp",
            "json_array",
            "json_object",
            "to_json",
        )
    },
    "to_microseconds": _as(_MICROS),
    "weekday": _as("CAST(EXTRACT(dow FROM x) AS BIGINT)"),
    **{f"to_{unit}s": _interval(unit) for unit in _INTERVALS},
    "to_quarters": _as("(x * INTERVAL '3 MONTHS')"),
    "to_centuries": _interval("century"),
    "to_millennia": _interval("millennium"),
}
# Functions without a rule that the tests found to be the same; any other one is refused, not tried.
_SAME: frozenset[type[exp.Expr]] = frozenset(
    {
        exp.Abs, exp.AnyValue, exp.Array, exp.ArrayAgg, exp.ArrayContainedBy, exp.ArrayContainsAll, exp.ArrayOverlaps,
        exp.ArraySize, exp.Ascii, exp.Asinh, exp.Atan, exp.Atan2, exp.BitLength, exp.BitwiseAndAgg, exp.BitwiseOrAgg,
        exp.BitwiseXorAgg, exp.Cbrt, exp.Ceil, exp.Chr, exp.Coalesce, exp.Cos, exp.Cosh, exp.Cot, exp.Count,
        exp.CovarPop, exp.CovarSamp, exp.CumeDist, exp.CurrentDate, exp.DateAdd, exp.Degrees, exp.DenseRank, exp.Exists,
        exp.FirstValue, exp.Floor, exp.Greatest, exp.Grouping, exp.Lag, exp.LastDay, exp.Lead, exp.Least, exp.Left,
        exp.Length, exp.Ln, exp.Exp, exp.Unnest, exp.Acos, exp.Asin, exp.Log, exp.LogicalAnd, exp.LogicalOr, exp.Lower, exp.MD5, exp.Max, exp.Median, exp.Min,
        exp.NthValue, exp.Ntile, exp.Nullif, exp.Pad, exp.PercentRank, exp.PercentileCont, exp.PercentileDisc, exp.Pi,
        exp.Pow, exp.Radians, exp.Rand, exp.Rank, exp.RegrAvgx, exp.RegrAvgy, exp.RegrCount, exp.RegrSxx, exp.RegrSxy,
        exp.RegrSyy, exp.Repeat, exp.Replace, exp.Reverse, exp.Right, exp.RowNumber, exp.SHA2, exp.Sign, exp.Sin,
        exp.Sinh, exp.Sqrt, exp.StartsWith, exp.Stddev, exp.StddevPop, exp.StddevSamp, exp.StrPosition, exp.Tan,
        exp.Tanh, exp.TimeToUnix, exp.TimestampFromParts, exp.Translate, exp.Trim, exp.Upper, exp.Uuid, exp.Variance,
        exp.VariancePop,
    }
)  # fmt: skip
_SAME_NAMES = frozenset(("gcd", "isfinite", "lcm", "lgamma", "now", "octet_length", "row", "error"))


def _unproven(node: exp.Expr) -> bool:
    if isinstance(node, exp.Anonymous):
        return str(node.this).lower() not in _SAME_NAMES and str(node.this).lower() not in _NAMED
    if not isinstance(node, exp.Func) or isinstance(node, (exp.Connector, exp.Case, exp.Cast, exp.If)):
        return False
    return type(node) not in _SAME and type(node) not in _RULES
