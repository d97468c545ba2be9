"""What stands for the macros of dbt_utils."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from sqlflow.migrate import dbt_macros
from sqlflow.migrate.configs import as_list
from sqlflow.migrate.dbt_macros import DBT, Macro, type_string
from sqlflow.migrate.jinja import NeedsDatabase, NotRendered, Relation, Renderer

_NULL = "_dbt_utils_surrogate_key_null_"


def generate_surrogate_key(renderer: Renderer, field_list: Sequence[object], *more: object) -> str:
    known, empty = renderer.variable("surrogate_key_treat_nulls_as_empty_strings")
    return _key(renderer, [*as_list(field_list), *more], "" if known and empty else _NULL)


def surrogate_key(renderer: Renderer, field_list: Sequence[object], *more: object) -> str:
    """The old form, for which NULL is an empty text."""
    return _key(renderer, [*as_list(field_list), *more], "")


def _key(renderer: Renderer, fields: Sequence[object], null: str) -> str:
    kind = type_string(renderer)
    parts: list[object] = []
    for field in fields:
        parts += [f"coalesce(cast({field} as {kind}), '{null}')", "'-'"]
    return dbt_macros.hashed(renderer, dbt_macros.concat(renderer, parts[:-1]))


def group_by(_: Renderer, n: int) -> str:
    return f"group by {', '.join(str(place + 1) for place in range(int(n)))}"


def _names(renderer: Renderer, relation: object, asks: str) -> list[str]:
    known = renderer.columns(relation)
    if known is None:
        raise NeedsDatabase(asks)
    return [name for name, _ in known]


def _quoted(renderer: Renderer, name: str) -> str:
    return renderer.adapter.quote(name)


def star(
    renderer: Renderer, from_: object = None, relation_alias: object = False, except_: Sequence[str] = (), prefix: str = "",
    suffix: str = "", quote_identifiers: bool = True, **named: Any,
) -> str:  # fmt: skip
    relation = named.get("from", from_)
    gone = [str(name) for name in named.get("except", except_) or ()]
    before = f"{relation_alias}." if relation_alias else ""
    known: Sequence[tuple[str, str]] | None = renderer.columns(relation)
    if known is None or not (prefix or suffix):
        there = None if known is None else {name.lower() for name, _ in known}
        left_out = [name for name in gone if there is None or name.lower() in there]
        word = {
            "duckdb": "exclude",
            "motherduck": "exclude",
            "snowflake": "exclude",
            "bigquery": "except",
            "databricks": "except",
        }
        if prefix or suffix or (left_out and renderer.adapter_type not in word):
            raise NeedsDatabase("dbt_utils.star")
        return f"{before}* {word[renderer.adapter_type]} ({', '.join(left_out)})" if left_out else f"{before}*"
    kept = [name for name, _ in known if name.lower() not in {one.lower() for one in gone}]
    shown = [_quoted(renderer, name) if quote_identifiers else name for name in kept]
    return ",\n  ".join(
        f"{before}{one} as {_quoted(renderer, f'{prefix}{name}{suffix}')}"
        for one, name in zip(shown, kept, strict=True)
    )


def get_filtered_columns_in_relation(
    renderer: Renderer, from_: object = None, except_: Sequence[str] = (), **named: Any
) -> list[str]:
    gone = {str(name).lower() for name in named.get("except", except_) or ()}
    names = _names(renderer, named.get("from", from_), "dbt_utils.get_filtered_columns_in_relation")
    return [name for name in names if name.lower() not in gone]


def union_relations(
    renderer: Renderer, relations: Sequence[Relation], column_override: Mapping[str, str] | None = None, include: Sequence[str] = (),
    exclude: Sequence[str] = (), source_column_name: str | None = "_dbt_source_relation", where: str | None = None,
) -> str:  # fmt: skip
    known = [renderer.columns(relation) for relation in relations]
    override = {key.lower(): kind for key, kind in (column_override or {}).items()}
    kind = type_string(renderer)
    if source_column_name and relations:
        renderer.note(
            f"`{source_column_name}` holds names such as `{relations[0]}`, and in dbt with the database and in quotes",
            "look at what compares it with a text",
        )
    if all(columns is not None for columns in known):
        names: dict[str, str] = {}
        for columns in known:
            for name, _kind in columns or ():
                names.setdefault(name.lower(), name)
        kept = [
            name
            for low, name in names.items()
            if (not include or low in {i.lower() for i in include}) and low not in {e.lower() for e in exclude}
        ]
        selects = []
        for relation, columns in zip(relations, known, strict=True):
            there = {name.lower() for name, _ in columns or ()}
            items = [f"cast('{relation}' as {kind}) as {source_column_name}"] if source_column_name else []
            for name in kept:
                shown = _quoted(renderer, name)
                value = shown if name.lower() in there else "null"
                items.append(
                    f"cast({value} as {override[name.lower()]}) as {shown}"
                    if name.lower() in override
                    else value
                    if value == shown
                    else f"null as {shown}"
                )
            joined = ",\n        ".join(items)
            selects.append(
                f"(\n    select\n        {joined}\n    from {relation}{f' where {where}' if where else ''}\n)"
            )
        return "\nunion all\n".join(selects)
    if renderer.adapter_type not in ("duckdb", "motherduck", "snowflake") or override:
        raise NeedsDatabase("dbt_utils.union_relations")
    chosen = ", ".join(include) if include else f"* exclude ({', '.join(exclude)})" if exclude else "*"
    first = f"cast('{{}}' as {kind}) as {source_column_name}, " if source_column_name else ""
    return "\nunion all by name\n".join(
        f"(select {first.format(relation)}{chosen} from {relation}{f' where {where}' if where else ''})"
        for relation in relations
    )


def pivot(
    renderer: Renderer, column: str, values: Sequence[object], alias: bool = True, agg: str = "sum", cmp: str = "=", prefix: str = "",
    suffix: str = "", then_value: object = 1, else_value: object = 0, quote_identifiers: bool = True, distinct: bool = False,
) -> str:  # fmt: skip
    items = []
    for value in values:
        text = str(value).replace("'", "''")
        name = f"{prefix}{value}{suffix}"
        shown = _quoted(renderer, name) if quote_identifiers else re.sub(r"\W", "_", name)
        otherwise = f" else {else_value}" if else_value else " else 0" if else_value == 0 else ""
        case = f"case when {column} {cmp} '{text}' then {then_value}{otherwise} end"
        items.append(f"{agg}({'distinct ' if distinct else ''}{case})" + (f" as {shown}" if alias else ""))
    return ",\n    ".join(items)


def unpivot(
    renderer: Renderer, relation: object = None, cast_to: str = "varchar", exclude: Sequence[str] | None = None, remove: Sequence[str] | None = None,
    field_name: str = "field_name", value_name: str = "value", quote_identifiers: bool = False, **named: Any,
) -> str:  # fmt: skip
    names = _names(renderer, relation or named.get("table"), "dbt_utils.unpivot")
    kept = [name for name in names if name.lower() in {one.lower() for one in exclude or ()}]
    gone = {one.lower() for one in [*(exclude or ()), *(remove or ())]}
    kind = type_string(renderer)
    selects = []
    for name in (one for one in names if one.lower() not in gone):
        before = "".join(f"{one}, " for one in kept)
        value = name if not cast_to else f"cast({name} as {cast_to})"
        selects.append(
            f"select {before}cast('{name}' as {kind}) as {field_name}, {value} as {value_name} from {relation or named.get('table')}"
        )
    return "\nunion all\n".join(selects)


def deduplicate(renderer: Renderer, relation: object, partition_by: object, order_by: object = None, *_: object) -> str:
    order = f" order by {order_by}" if order_by else ""
    if renderer.adapter_type == "postgres":
        return f"select distinct on ({partition_by}) * from {relation} order by {partition_by}{f', {order_by}' if order_by else ''}"
    if renderer.adapter_type in ("duckdb", "motherduck"):
        renderer.note("`dbt_utils.deduplicate` keeps rows with NULL here; in dbt's form for DuckDB they get lost")
    return f"select * from {relation} qualify row_number() over (partition by {partition_by}{order}) = 1"


def safe_divide(_: Renderer, numerator: object, denominator: object) -> str:
    return f"( {numerator} ) / nullif( ( {denominator} ), 0)"


def safe_add(_: Renderer, field_list: Sequence[object], *more: object) -> str:
    return " + ".join(f"coalesce({one}, 0)" for one in [*as_list(field_list), *more])


def safe_subtract(_: Renderer, field_list: Sequence[object], *more: object) -> str:
    return " - ".join(f"coalesce({one}, 0)" for one in [*as_list(field_list), *more])


def get_url_host(renderer: Renderer, field: object) -> str:
    bare = f"replace(replace(replace({field}, 'android-app://', ''), 'http://', ''), 'https://', '')"
    part = dbt_macros.split_part(renderer, dbt_macros.split_part(renderer, bare, "'/'", 1), "'?'", 1)
    return dbt_macros.safe_cast(renderer, part, type_string(renderer))


def get_url_path(renderer: Renderer, field: object) -> str:
    bare = f"replace(replace({field}, 'http://', ''), 'https://', '')"
    slash = f"coalesce(nullif({dbt_macros.position(renderer, chr(39) + '/' + chr(39), bare)}, 0), {dbt_macros.position(renderer, chr(39) + '?' + chr(39), bare)} - 1)"
    part = dbt_macros.split_part(renderer, dbt_macros.right(renderer, bare, f"length({bare}) - ({slash})"), "'?'", 1)
    return dbt_macros.safe_cast(renderer, part, type_string(renderer))


def get_url_parameter(renderer: Renderer, field: object, url_parameter: str) -> str:
    behind = dbt_macros.split_part(renderer, field, f"'{url_parameter}='", 2)
    return f"nullif({dbt_macros.split_part(renderer, behind, chr(39) + '&' + chr(39), 1)}, '')"


def haversine_distance(_: Renderer, lat1: object, lon1: object, lat2: object, lon2: object, unit: str = "mi") -> str:
    factor = "1.60934" if unit == "km" else "1"
    return (
        f"2 * 3961 * asin(sqrt(power((sin(radians(({lat2} - {lat1}) / 2))), 2) + cos(radians({lat1})) * cos(radians({lat2})) * "
        f"power((sin(radians(({lon2} - {lon1}) / 2))), 2))) * {factor}"
    )


def width_bucket(_: Renderer, expr: object, min_value: object, max_value: object, num_buckets: object) -> str:
    size = f"(({max_value} - {min_value}) / {num_buckets})"
    return (
        f"(case when mod(cast({expr} as numeric), cast({size} as numeric)) = 0 then 1 else 0 end) + "
        f"least(ceil(({expr} - {min_value}) / {size}), {num_buckets} + 1)"
    )


def slugify(_: Renderer, string: str) -> str:
    text = re.sub(r"[^a-z0-9_]+", "", re.sub(r"[ -]+", "_", str(string).lower()))
    return re.sub(r"^([0-9])", r"_\1", text)


def _asks(name: str) -> Macro:
    def ask(*_: object, **__: object) -> object:
        raise NeedsDatabase(f"dbt_utils.{name}")

    return ask


def _clock(*_: object, **__: object) -> object:
    raise NotRendered("the time of the run is written into the SQL", "use `current_timestamp` in the SQL")


DBT_UTILS: Mapping[str, Macro] = {
    **DBT,
    "generate_surrogate_key": generate_surrogate_key, "surrogate_key": surrogate_key, "group_by": group_by, "star": star,
    "union_relations": union_relations, "pivot": pivot, "unpivot": unpivot, "deduplicate": deduplicate, "safe_divide": safe_divide,
    "safe_add": safe_add, "safe_subtract": safe_subtract, "get_url_host": get_url_host, "get_url_path": get_url_path,
    "get_url_parameter": get_url_parameter, "haversine_distance": haversine_distance, "width_bucket": width_bucket, "slugify": slugify,
    "get_filtered_columns_in_relation": get_filtered_columns_in_relation, "nullcheck": lambda *_: "", "log_info": lambda *_: "",
    "identity": lambda _, text: text, "pretty_time": _clock, "pretty_log_format": lambda _, text: text,
    **{name: _asks(name) for name in ("get_column_values", "get_single_value", "get_query_results_as_dict", "get_relations_by_pattern",
       "get_relations_by_prefix", "get_tables_by_pattern_sql", "get_tables_by_prefix_sql", "union_tables_by_prefix", "nullcheck_table")},
}  # fmt: skip
