"""What DuckDB and PostgreSQL mean differently by the same words, and what only DuckDB has.

sqlglot translates the words. The rules here put in what gives the same rows, or give the reason why nothing does. What
is in neither is refused by the server when the translated query is bound. `tests/engines/test_translation.py` runs all of
it on both.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache

import sqlglot
from sqlglot import exp

Rule = Callable[[exp.Expr], exp.Expr | str | None]


def fit(tree: exp.Expr) -> tuple[exp.Expr, tuple[str, ...]]:
    """The tree with what PostgreSQL needs to give what DuckDB gives, and the reasons why it cannot."""
    reasons: list[str] = []
    for reading in list(tree.find_all(exp.Select, exp.Update, exp.Delete, exp.Merge)):
        _name_relations(reading)
    # Innermost first: a rule finds its arguments done.
    for node in reversed(list(tree.walk())):
        rule = _rule(node)
        found = rule(node) if rule is not None else None
        if isinstance(found, str):
            reasons.append(found)
        elif found is not None:
            if node is tree:
                tree = found
            else:
                node.replace(found)
    return tree, tuple(dict.fromkeys(reversed(reasons)))


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


def _made(template: str, **parts: exp.Expr) -> exp.Expr:
    """PostgreSQL's SQL as a tree, with parts in the place of names."""
    tree = _template(template).copy()
    for column in list(tree.find_all(exp.Column)):
        part = parts.get(column.name)
        if part is not None:
            copy = part.copy()
            column.replace(
                copy if isinstance(copy, (exp.Column, exp.Literal, exp.Func, exp.Paren)) else exp.paren(copy)
            )
    return tree


@cache
def _template(text: str) -> exp.Expr:
    select = sqlglot.parse_one(f"SELECT {text}", dialect="postgres")
    found: exp.Expr = select.expressions[0]
    return found


def _call(name: str, *arguments: exp.Expr) -> exp.Expr:
    return exp.Anonymous(this=name, expressions=[argument.copy() for argument in arguments])


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
        if any(_has_fraction(inner) for inner in side.walk()):
            return "`//` of numbers that are not whole"
    return _made("CAST(DIV(a, b) AS BIGINT)", a=node.this, b=node.expression)


def _has_fraction(node: exp.Expr) -> bool:
    if isinstance(node, exp.Literal):
        return not node.is_string and not str(node.this).isdigit()
    return isinstance(node, (exp.Div, exp.Avg)) or (
        isinstance(node, exp.Cast) and node.to.this in (exp.DType.DECIMAL, exp.DType.DOUBLE, exp.DType.FLOAT)
    )


def _round(node: exp.Expr) -> exp.Expr | None:
    # PostgreSQL rounds halves of DOUBLE to the even neighbour, and has no digits for them.
    digits = node.args.get("decimals")
    if digits is None:
        return _made("ROUND(CAST(x AS DECIMAL))", x=node.this)
    return _made("ROUND(CAST(x AS DECIMAL), n)", x=node.this, n=digits)


def _cast(node: exp.Expr) -> exp.Expr | None:
    kind = node.args["to"]
    if isinstance(kind, exp.DataType) and kind.this is exp.DType.INT128:
        return exp.cast(node.this.copy(), "DECIMAL(38, 0)", dialect="postgres")
    return None


def _try_cast(node: exp.Expr) -> str | None:
    kind = node.args["to"]
    return None if kind.this in exp.DataType.TEXT_TYPES else "`TRY_CAST`, which gives NULL where a cast fails"


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


_PLAIN_REGEX = re.compile(
    r"(?:[\w\s%@#&=:;,<>/'\"~!`-]|\\[dws.()\[\]{}*+?|^$/-]|\.|\^|\$|\((?!\?)|\||\)|\[\^?[\w\s.,:;%@#_/-]+\]|[*+?](?![?+])|\{\d+(?:,\d*)?\}(?![?+]))*"
)


def _regex(*, cuts: bool) -> Rule:
    """Regular expressions that RE2 and PostgreSQL read in the same way; `cuts`: which part matches is important."""

    def rule(node: exp.Expr) -> exp.Expr | str | None:
        pattern = node.expression
        if not isinstance(pattern, exp.Literal) or not _PLAIN_REGEX.fullmatch(pattern.name):
            return "a regular expression that the engines may read differently"
        if cuts and "|" in pattern.name:
            return "alternatives in a regular expression: DuckDB takes the first one that fits, PostgreSQL the longest"
        options = node.args.get("modifiers") or node.args.get("flag")
        if cuts and isinstance(node.args.get("replacement"), exp.Literal) and "\\" in node.args["replacement"].name:
            return "a replacement with references to groups"
        if options is not None and options.name not in ("", "g"):
            return "options of a regular expression"
        # A dot is any character but the end of a line to DuckDB, and that one too to PostgreSQL, unless it is told.
        if "." not in re.sub(r"\\.|\[[^\]]*\]", "", pattern.name):
            return None
        if "[^" in pattern.name:
            return "a regular expression with `.` and `[^`, which the engines read differently at the end of a line"
        copy = node.copy()
        copy.set("expression", exp.Literal.string(f"(?p){pattern.name}"))
        return copy

    return rule


# ---------------------------------------------------------------------- times

_WHOLE_UNITS = (
    "year", "month", "day", "hour", "minute", "dow", "isodow", "doy", "week", "quarter", "century", "decade", "isoyear",
    "microsecond", "microseconds",
)  # fmt: skip
_FRACTIONS = ("second", "seconds", "millisecond", "milliseconds")


def _part(unit: str, of: exp.Expr) -> exp.Expr | str:
    word = unit.lower()
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


def _truncated(node: exp.Expr) -> exp.Expr | None:
    # date_trunc of a DATE is a TIMESTAMP to DuckDB, and one with a time zone to PostgreSQL.
    inner, unit = node.this, node.text("unit").lower()
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
    return form if isinstance(form, str) else _call("TO_CHAR", node.this, form)


def _to_time(node: exp.Expr) -> exp.Expr | str:
    form = _format_of(node.args.get("format"))
    return form if isinstance(form, str) else exp.cast(_call("TO_TIMESTAMP", node.this, form), "TIMESTAMP")


def _date(node: exp.Expr) -> exp.Expr:
    parts = [node.args.get(name) for name in ("year", "month", "day")]
    return _call("MAKE_DATE", *[exp.cast(part.copy(), "INT") for part in parts if part is not None])


def _interval(unit: str) -> Rule:
    return _as(f"(x * INTERVAL '1 {unit}')")


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


def _set_operation(node: exp.Expr) -> str | None:
    return "BY NAME" if node.args.get("by_name") else None


_FLAT = "a correlation, which is NaN to DuckDB and NULL to PostgreSQL where all values are equal"
_INTERVALS = (
    "year", "month", "week", "hour", "minute", "second", "millisecond", "microsecond", "decade",
)  # fmt: skip

_RULES: Mapping[type[exp.Expr], Rule] = {
    exp.IntDiv: _whole_division,
    exp.Round: _round,
    exp.Cast: _cast,
    exp.TryCast: _try_cast,
    exp.Like: _like,
    exp.ILike: _like,
    exp.SimilarTo: _never("`SIMILAR TO`, which is a regular expression to DuckDB and a pattern to PostgreSQL"),
    exp.Glob: _never("`GLOB`"),
    exp.Unicode: _never("`unicode`; write `ascii`"),
    exp.Format: _never("`format`, which means something else to PostgreSQL"),
    exp.Substring: _substring,
    exp.RegexpLike: _regex(cuts=False),
    exp.RegexpILike: _regex(cuts=False),
    exp.RegexpReplace: _regex(cuts=True),
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
    "weekday": _as("CAST(EXTRACT(dow FROM x) AS BIGINT)"),
    **{f"to_{unit}s": _interval(unit) for unit in _INTERVALS},
    "to_quarters": _as("(x * INTERVAL '3 MONTHS')"),
    "to_centuries": _interval("century"),
    "to_millennia": _interval("millennium"),
}
