"""What warehouses say otherwise than DuckDB, where sqlglot leaves it as it is or gives it another meaning.

Each rule changes a tree that was read from a warehouse's SQL. What is known to mean something else after all is told.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from itertools import pairwise

import sqlglot
from sqlglot import TokenType, exp

Tell = Callable[[str], None]
"""Called with what a reader should know of a translation."""

_VARIANTS = ("snowflake", "databricks", "spark", "redshift")
"""Where `column:path` and `column.path` give a value without a type: a text in it has no quotes when it is taken as a text."""


def mended(tree: exp.Expr, dialect: str, tell: Tell, wrong: Tell) -> exp.Expr:
    """A tree that says in DuckDB what it says in `dialect`. `tell`: what is read otherwise; `wrong`: what has no counterpart."""
    if dialect == "duckdb":
        return tree
    if dialect in ("snowflake", "redshift"):
        _ratios(tree)
    if dialect == "snowflake":
        _flatten(tree, tell, wrong)
        for one in list(tree.find_all(exp.ArraySize, exp.ObjectAgg)):
            name = "json_array_length" if isinstance(one, exp.ArraySize) else "json_group_object"
            given = (
                [exp.Anonymous(this="to_json", expressions=[one.this.copy()])]
                if isinstance(one, exp.ArraySize)
                else [one.this.copy(), one.expression.copy()]
            )
            one.replace(exp.Anonymous(this=name, expressions=given))
        for got in list(tree.find_all(exp.GetExtract)):
            if isinstance(got.expression, exp.Literal):
                path = f"$.{got.expression.this}" if got.expression.is_string else f"$[{got.expression.this}]"
                got.replace(exp.JSONExtract(this=got.this.copy(), expression=exp.Literal.string(path)))
        _brackets(tree)
        _untyped(tree)
    _one_database(tree, tell, wrong)
    if dialect == "bigquery":
        _unnested(tree)
        _parts_of_time(tree, tell)
        _formats(tree, wrong)
        for safe in list(tree.find_all(exp.SafeFunc)):
            safe.replace(exp.Anonymous(this="try", expressions=[safe.this.copy()]))
        for call in tree.find_all(exp.StrToTime, exp.StrToDate, exp.TimeToStr):
            if isinstance(call.args.get("format"), exp.Literal):
                plain = re.sub(r"%E(?:\*|[1-6])S", "%S.%f", call.args["format"].name)
                call.args["format"].set("this", plain)
        _limited(tree)
    for cast in tree.find_all(exp.Cast):
        if cast.args.get("format") is not None:
            wrong(f"a cast with a format: `{cast.sql(dialect)}`")
    if dialect in _VARIANTS:
        _texts_in_variants(tree, dialect, tell)
    if dialect in ("trino", "presto", "athena"):
        _paths(tree)
    if dialect in ("spark", "databricks", "hive", "mysql"):  # from 1 for Sunday; DuckDB counts from 0
        for part in list(tree.find_all(exp.DayOfWeek)):
            part.replace(exp.Paren(this=exp.Add(this=part.copy(), expression=exp.Literal.number(1))))
    _units(tree)
    _groups(tree)
    _arrows(tree)
    for call in list(tree.find_all(exp.Anonymous)):
        rule = _CALLS.get(str(call.this).lower())
        arguments = call.expressions
        made = rule(arguments) if rule is not None else None
        if made is not None:
            call.replace(made)
            if told := _TOLD.get(str(call.this).lower()):
                tell(told)
    return tree


def _one_database(tree: exp.Expr, tell: Tell, wrong: Tell) -> None:
    """`project.dataset.table` without the project: all tables are in one database."""
    for table in tree.find_all(exp.Table):
        if not isinstance(table.this, exp.Identifier):
            continue
        if table.name.endswith("*"):
            wrong(f"`{table.name}` means several tables, of which DuckDB has no such name")
        if table.catalog and table.db:
            tell(
                f"`{table.catalog}.{table.db}.{table.name}` is read as `{table.db}.{table.name}`, in the database of the new project"
            )
            table.set("catalog", None)


# ---------------------------------------------------------------- FLATTEN


def _flatten(tree: exp.Expr, tell: Tell, wrong: Tell) -> None:
    """`LATERAL FLATTEN(input => x) AS f` as a join with `json_each`, whose columns get the names of Snowflake."""
    for lateral in [*tree.find_all(exp.Lateral), *tree.find_all(exp.TableFromRows)]:
        call = lateral.this
        if not isinstance(call, exp.Explode):
            continue
        given: dict[str, exp.Expr] = {}
        for one in [call.this, *call.expressions]:
            if isinstance(one, exp.Kwarg):
                given[one.this.name.lower()] = one.expression
            else:
                given.setdefault("input", one)
        odd = [name for name in given if name not in ("input", "outer")]
        if "input" not in given or odd:
            wrong(f"`FLATTEN` with `{odd[0] if odd else 'no input'}` has no counterpart in DuckDB")
            continue
        alias = lateral.args.get("alias")
        name = alias.this.name if alias is not None and alias.this is not None else ""
        _values(tree, name, tell)
        flat: exp.Expr = sqlglot.parse_one(_FLAT, read="duckdb")
        for place in list(flat.find_all(exp.Placeholder)):
            place.replace(given["input"].copy())
        join = lateral.parent
        made = exp.Lateral(
            this=exp.Subquery(this=flat), alias=exp.TableAlias(this=exp.to_identifier(name or "flattened"))
        )
        if isinstance(join, exp.Join):
            outer = given.get("outer")
            is_outer = isinstance(outer, exp.Boolean) and bool(outer.this)
            join.set("this", made)
            join.set("side", "LEFT" if is_outer or join.side == "LEFT" else None)
            join.set("kind", None if is_outer or join.side == "LEFT" else "CROSS")
            join.set("on", exp.true() if is_outer or join.side == "LEFT" else None)
        else:
            lateral.replace(made)


_FLAT = "SELECT key, TRY_CAST(key AS BIGINT) AS index, value FROM json_each(to_json(?))"


def _values(tree: exp.Expr, name: str, tell: Tell) -> None:
    """`f.value::text` is a text without quotes."""
    for column in list(tree.find_all(exp.Column)):
        if column.name.lower() != "value" or (column.table or name).lower() != name.lower():
            continue
        parent = column.parent
        if isinstance(parent, exp.Cast) and parent.to.is_type(*exp.DataType.TEXT_TYPES):
            column.replace(_scalar(column.copy(), "$"))
        elif not isinstance(
            parent, exp.JSONExtract | exp.JSONExtractScalar | exp.Cast | exp.TryCast | exp.Explode | exp.Kwarg
        ):
            tell("the `value` of `FLATTEN` is JSON here, in which a text has quotes; `value ->> '$'` is the text")


# ---------------------------------------------------------------- UNNEST


def _unnested(tree: exp.Expr) -> None:
    """`UNNEST(x) AS item WITH OFFSET AS n`: `item` means what was unnested, also where a table has such a column; `n` begins at 0."""
    for number, unnest in enumerate(list(tree.find_all(exp.Unnest))):
        alias, select = unnest.args.get("alias"), unnest.find_ancestor(exp.Select)
        if not isinstance(alias, exp.TableAlias) or len(alias.columns) != 1 or select is None or alias.this is not None:
            continue
        name, offset, table = alias.columns[0].name, unnest.args.get("offset"), f"_unnested_{number}"
        alias.set("this", exp.to_identifier(table))
        for column in list(select.find_all(exp.Column)):
            if (
                column.parent_select is not select
                or column.find_ancestor(exp.Unnest) is unnest
                or column.args.get("db")
            ):
                continue
            if not column.table and column.name.lower() == name.lower():
                column.set("table", exp.to_identifier(table))
            elif column.table.lower() == name.lower():
                column.set("db", exp.to_identifier(table))
            elif isinstance(offset, exp.Identifier) and not column.table and column.name.lower() == offset.name.lower():
                counted = exp.Sub(this=exp.column(offset.name, table), expression=exp.Literal.number(1))
                named = isinstance(column.parent, exp.Select) and column.arg_key == "expressions"
                made = exp.Paren(this=counted)
                column.replace(exp.alias_(made, offset.name) if named else made)


# ---------------------------------------------------------------- values without a type


def _texts_in_variants(tree: exp.Expr, dialect: str, tell: Tell) -> None:
    """A value that is taken out of a variant as a text, or compared with one, has no quotes."""
    for found in list(tree.find_all(exp.JSONExtract)):
        if isinstance(found, exp.JSONExtractScalar) or not (
            dialect == "snowflake" or found.args.get("variant_extract")
        ):
            continue
        parent = found.parent
        if isinstance(
            parent,
            exp.JSONExtract | exp.JSONExtractScalar | exp.Bracket | exp.Explode | exp.Kwarg | exp.Unnest | exp.Is,
        ):
            continue
        if isinstance(parent, exp.Anonymous) and str(parent.this).lower() in _OF_VARIANTS:
            continue
        if isinstance(
            parent,
            exp.JSONBContains
            | exp.JSONKeys
            | exp.ArraySize
            | exp.ParseJSON
            | exp.Typeof
            | exp.JSONType
            | exp.ArrayContains,
        ):
            continue
        if isinstance(parent, exp.Cast) and not parent.to.is_type(*exp.DataType.TEXT_TYPES):
            continue
        if isinstance(
            parent,
            exp.Alias | exp.Select | exp.Coalesce | exp.If | exp.Case | exp.Window | exp.Ordered | exp.Max | exp.Min,
        ):
            tell(f"`{_shown(found)}` is JSON here, in which a text has quotes; a cast takes them off")
            continue
        found.replace(
            exp.JSONExtractScalar(
                this=found.this.copy(),
                expression=found.expression.copy(),
                only_json_types=found.args.get("only_json_types"),
            )
        )


_OF_VARIANTS = frozenset(
    [
        "array_size",
        "object_keys",
        "typeof",
        "is_null_value",
        "array_contains",
        "get",
        "get_path",
        "json_array_length",
        "to_json",
    ]
)


def _brackets(tree: exp.Expr) -> None:
    """`value['key'][0]`: the parts of a variant, which count from 0. Lists that a text was split into stay lists."""
    for found in reversed(list(tree.find_all(exp.Bracket))):
        place = found.expressions[0] if len(found.expressions) == 1 else None
        if not isinstance(place, exp.Literal) or isinstance(found.this, exp.Split | exp.Array | exp.RegexpSplit):
            continue
        if place.is_string:
            key = place.name if re.fullmatch(r"[A-Za-z_]\w*", place.name) else f'"{place.name}"'
            made = exp.JSONExtract(this=found.this.copy(), expression=exp.Literal.string(f"$.{key}"))
        else:
            value = exp.Anonymous(this="to_json", expressions=[found.this.copy()])
            made = exp.JSONExtract(this=value, expression=exp.Literal.string(f"$[{place.name}]"))
        found.replace(made)


def _shown(found: exp.Expr) -> str:
    return f"{found.this.sql()}:{found.expression.sql().strip(chr(39)).removeprefix('$').lstrip('.')}"


def _scalar(tree: exp.Expr, path: str) -> exp.Expr:
    return exp.JSONExtractScalar(this=tree, expression=exp.Literal.string(path))


def _untyped(tree: exp.Expr) -> None:
    """ARRAY, OBJECT and VARIANT hold values of any type, and so does JSON."""
    for kind in list(tree.find_all(exp.DataType)):
        if kind.this in _ANYTHING and not kind.expressions:
            cast = kind.parent
            if type(cast) is exp.Cast:
                cast.replace(_calling("to_json")([cast.this]) or cast)
            else:
                kind.set("this", exp.DType.JSON)
                kind.set("nested", False)
    for found in list(tree.find_all(exp.ArrayContains)):
        given = [exp.Anonymous(this="to_json", expressions=[one.copy()]) for one in (found.this, found.expression)]
        found.replace(exp.Anonymous(this="json_contains", expressions=given))


_ANYTHING = (exp.DType.ARRAY, exp.DType.OBJECT, exp.DType.VARIANT, exp.DType.STRUCT)


# ---------------------------------------------------------------- small words


def _units(tree: exp.Expr) -> None:
    """`date_trunc(week, x)`: the unit as a text."""
    for call in tree.find_all(exp.TimestampTrunc, exp.DateTrunc):
        unit = call.args.get("unit")
        if isinstance(unit, exp.Var | exp.Column):
            call.set("unit", exp.Literal.string(unit.name.lower()))
        elif isinstance(unit, exp.Literal) and unit.name.lower() in _SHORT_UNITS:
            call.set("unit", exp.Literal.string(_SHORT_UNITS[unit.name.lower()]))


def _parts_of_time(tree: exp.Expr, tell: Tell) -> None:
    """`EXTRACT` as BigQuery counts."""
    for part in list(tree.find_all(exp.Extract)):
        name = part.name.upper()
        if name in ("DATE", "TIME"):
            part.replace(exp.Cast(this=part.expression.copy(), to=exp.DataType.build(name.lower())))
        elif name == "DAYOFWEEK":  # from 1 for Sunday; DuckDB counts from 0
            part.replace(exp.Paren(this=exp.Add(this=part.copy(), expression=exp.Literal.number(1))))
        elif name == "ISOWEEK":
            part.set("this", exp.Var(this="WEEK"))
        elif name == "WEEK":
            tell("`EXTRACT(WEEK ...)` counts weeks of BigQuery, which begin on Sundays; here it gives the ISO week")


def _limited(tree: exp.Expr) -> None:
    """`ARRAY_AGG(x ORDER BY y LIMIT 1)`: the first ones of all."""
    for found in list(tree.find_all(exp.ArrayAgg)):
        limit = found.this
        if not isinstance(limit, exp.Limit):
            continue
        found.set("this", limit.this)
        whole = found.parent if isinstance(found.parent, exp.IgnoreNulls | exp.RespectNulls) else found
        part = exp.Slice(this=exp.Literal.number(1), expression=limit.expression.copy())
        whole.replace(exp.Bracket(this=exp.Paren(this=whole.copy()), expressions=[part], offset=1))


_SHORT_UNITS = {
    "mm": "month", "mon": "month", "yy": "year", "yyyy": "year", "dd": "day", "q": "quarter", "y": "year", "m": "month", "d": "day",
    "hh": "hour", "mi": "minute", "ss": "second",
}  # fmt: skip


def _paths(tree: exp.Expr) -> None:
    """`json_query(x, 'lax $.a' OMIT QUOTES)`."""
    for found in list(tree.find_all(exp.JSONExtract)):
        path = found.expression
        if isinstance(path, exp.Literal) and path.name.startswith(("lax ", "strict ")):
            plain = exp.Literal.string(path.name.partition(" ")[2].strip())
            quote = found.args.get("quote")
            omits = quote is not None and "OMIT" in str(quote.args.get("option")).upper()
            kind = exp.JSONExtractScalar if omits else exp.JSONExtract
            found.replace(kind(this=found.this.copy(), expression=plain))


def _formats(tree: exp.Expr, wrong: Tell) -> None:
    """`FORMAT('%s', x)` is `printf`; what its `%t` writes is a text."""
    for call in list(tree.find_all(exp.Format)):
        text = call.this
        if not isinstance(text, exp.Literal) or "%T" in text.name or "%'" in text.name:
            wrong(f"`{call.sql('bigquery')}` has no counterpart in DuckDB")
            continue
        signs = re.findall(r"%(?!%)[-+ #0]*(?:\d+|\*)?(?:\.\d+)?([a-zA-Z])", text.name)
        given = [
            exp.Cast(this=one.copy(), to=exp.DataType.build("text")) if sign in ("t", "s") else one.copy()
            for sign, one in zip(signs, call.expressions, strict=False)
        ]
        plain = exp.Literal.string(re.sub(r"(?<!%)%t", "%s", text.name))
        call.replace(exp.Anonymous(this="printf", expressions=[plain, *given]))


def _groups(tree: exp.Expr) -> None:
    """`SELECT a.x ... GROUP BY x`: the column of the SELECT list, where several tables have one."""
    for select in tree.find_all(exp.Select):
        group = select.args.get("group")
        if group is None or not select.args.get("joins"):
            continue
        chosen = {one.alias_or_name.lower(): one.unalias() for one in select.expressions}
        for key in list(group.expressions):
            meant = chosen.get(key.name.lower()) if isinstance(key, exp.Column) and not key.table else None
            if isinstance(meant, exp.Column) and meant.table and meant.name.lower() == key.name.lower():
                key.replace(meant.copy())


def _arrows(tree: exp.Expr) -> None:
    """`->` binds less than other operators in DuckDB."""
    for found in list(tree.find_all(exp.JSONExtract, exp.JSONExtractScalar)):
        parent = found.parent
        if isinstance(parent, exp.JSONExtract | exp.JSONExtractScalar) and found.arg_key == "this":
            continue
        if isinstance(parent, exp.Binary | exp.Unary | exp.Between | exp.In | exp.Is | exp.Escape) and not isinstance(
            parent, exp.Paren
        ):
            found.replace(exp.Paren(this=found.copy()))


def _ratios(tree: exp.Expr) -> None:
    """`ratio_to_report(x) OVER (...)`."""
    for window in list(tree.find_all(exp.Window)):
        call = window.this
        if (
            isinstance(call, exp.Anonymous)
            and str(call.this).lower() == "ratio_to_report"
            and len(call.expressions) == 1
        ):
            value = call.expressions[0]
            call.replace(exp.Sum(this=value.copy()))
            window.replace(
                exp.Paren(
                    this=exp.Div(
                        this=exp.Cast(this=value.copy(), to=exp.DataType.build("double")), expression=window.copy()
                    )
                )
            )


def _timestamp(arguments: Sequence[exp.Expr], *, kind: str = "timestamp", trying: bool = False) -> exp.Expr | None:
    cast = exp.TryCast if trying else exp.Cast
    if len(arguments) == 1:
        return cast(this=arguments[0].copy(), to=exp.DataType.build(kind))
    scale = arguments[1]
    if len(arguments) == 2 and isinstance(scale, exp.Literal) and not scale.is_string and scale.this in ("0", "3", "6"):
        factor = exp.Literal.number(10 ** (6 - int(scale.this)))
        return exp.Anonymous(
            this="make_timestamp",
            expressions=[
                exp.Cast(
                    this=exp.Mul(this=exp.Paren(this=arguments[0].copy()), expression=factor),
                    to=exp.DataType.build("bigint"),
                )
            ],
        )
    return None


def _calling(name: str, *, of_json: bool = False) -> Callable[[Sequence[exp.Expr]], exp.Expr | None]:
    def make(arguments: Sequence[exp.Expr]) -> exp.Expr | None:
        given = [one.copy() for one in arguments]
        return exp.Anonymous(
            this=name, expressions=[exp.Anonymous(this="to_json", expressions=given)] if of_json else given
        )

    return make


def _nullif_zero(arguments: Sequence[exp.Expr]) -> exp.Expr | None:
    return exp.Nullif(this=arguments[0].copy(), expression=exp.Literal.number(0)) if len(arguments) == 1 else None


def _decoded(arguments: Sequence[exp.Expr]) -> exp.Expr | None:
    bytes_of = exp.Anonymous(this="from_base64", expressions=[arguments[0].copy()])
    return exp.Anonymous(this="decode", expressions=[bytes_of]) if len(arguments) == 1 else None


def _iso(arguments: Sequence[exp.Expr]) -> exp.Expr | None:
    if len(arguments) != 1:
        return None
    made: exp.Expr = sqlglot.parse_one(_ISO.format(x="_value_"), read="duckdb")
    for column in list(made.find_all(exp.Column)):
        column.replace(arguments[0].copy())
    return made


_ISO = (
    "CASE typeof({x}) WHEN 'DATE' THEN strftime({x}, '%Y-%m-%d') WHEN 'TIMESTAMP WITH TIME ZONE' "
    "THEN strftime({x} AT TIME ZONE 'UTC', '%Y-%m-%dT%H:%M:%S.%gZ') ELSE strftime({x}, '%Y-%m-%dT%H:%M:%S.%g') END"
)


def _element(arguments: Sequence[exp.Expr], *, as_text: bool) -> exp.Expr | None:
    if len(arguments) != 2 or not isinstance(arguments[1], exp.Literal):
        return None
    kind = exp.JSONExtractScalar if as_text else exp.JSONExtract
    return exp.Paren(this=kind(this=arguments[0].copy(), expression=exp.Literal.string(f"$[{arguments[1].name}]")))


def _joined(arguments: Sequence[exp.Expr]) -> exp.Expr | None:
    """`array_join(x, ',', 'none')`."""
    if len(arguments) != 3:
        return None
    made: exp.Expr = sqlglot.parse_one(
        "array_to_string(list_transform(_x, lambda one : coalesce(cast(one as varchar), _z)), _y)", read="duckdb"
    )
    for column in list(made.find_all(exp.Column)):
        if column.name in ("_x", "_y", "_z"):
            column.replace(arguments[["_x", "_y", "_z"].index(column.name)].copy())
    return made


def _map_of(arguments: Sequence[exp.Expr]) -> exp.Expr | None:
    lists = [exp.Anonymous(this="list", expressions=[one.copy()]) for one in arguments]
    return exp.Anonymous(this="map", expressions=lists) if len(arguments) == 2 else None


_CALLS: Mapping[str, Callable[[Sequence[exp.Expr]], exp.Expr | None]] = {
    "to_timestamp_ntz": _timestamp,
    "to_timestamp_ltz": lambda arguments: _timestamp(arguments, kind="timestamptz"),
    "to_timestamp_tz": lambda arguments: _timestamp(arguments, kind="timestamptz"),
    "try_to_timestamp_ntz": lambda arguments: _timestamp(arguments, trying=True),
    "try_to_timestamp": lambda arguments: _timestamp(arguments, trying=True),
    "array_size": _calling("json_array_length", of_json=True),
    "object_agg": _calling("json_group_object"),
    "nullifzero": _nullif_zero,
    "to_iso8601": _iso,
    "array_join": _joined,
    "arrays_overlap": _calling("list_has_any"),
    "map_agg": _map_of,
    "is_valid_json": _calling("json_valid"),
    "json_array_get": lambda arguments: _element(arguments, as_text=False),
    "json_extract_array_element_text": lambda arguments: _element(arguments, as_text=True),
    "base64_decode_string": _decoded,
    "try_base64_decode_string": _decoded,
    "getdate": lambda _: exp.CurrentTimestamp(),
    "sysdate": lambda _: exp.CurrentTimestamp(),
}
_TOLD = {
    "to_iso8601": "`to_iso8601` gives milliseconds here, and times with a zone in UTC",
    "to_timestamp_ntz": "`to_timestamp_ntz` is a cast here, which does not take a number of seconds that is written as a text",
    "try_to_timestamp_ntz": "`try_to_timestamp_ntz` is a cast here, which does not take a number of seconds that is written as a text",
    "try_base64_decode_string": "`try_base64_decode_string` stops at a text that is none, here",
}


# ---------------------------------------------------------------- what DuckDB does not have


def unknown_functions(sql: str, known: Container[str]) -> Iterator[str]:
    """The functions that a query in DuckDB's SQL calls, and that DuckDB does not have."""
    seen: set[str] = set(_GRAMMAR)
    tokens = sqlglot.tokenize(sql, read="duckdb")
    named = {
        one.text.lower() for one, after in pairwise(tokens) if after.token_type is TokenType.ALIAS
    }  # a CTE with its columns is no call
    for before, one, after in zip([None, *tokens], tokens, tokens[1:], strict=False):
        name = one.text.lower()
        if (
            one.token_type is not TokenType.VAR
            or after.token_type is not TokenType.L_PAREN
            or name in seen
            or name in known
        ):
            continue
        seen.add(name)
        is_alias = before is not None and before.token_type in (TokenType.ALIAS, TokenType.WITH, TokenType.RECURSIVE)
        if not is_alias and name not in named and not (before is not None and before.token_type is TokenType.DOT):
            yield name


_GRAMMAR = (
    "cast", "try_cast", "coalesce", "nullif", "extract", "exists", "trim", "overlay", "position", "substring", "row", "grouping",
    "unnest", "columns", "if", "values", "over", "filter", "in", "any", "all", "some", "lambda", "struct", "map", "list", "array",
    "decimal", "numeric", "varchar", "char", "union", "exclude", "replace", "rename", "try", "cube", "rollup", "grouping_id",
)  # fmt: skip
