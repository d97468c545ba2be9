"""What stands for the macros of fivetran_utils."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlflow.migrate import dbt_macros, dbt_utils
from sqlflow.migrate.configs import as_list
from sqlflow.migrate.dbt_macros import Macro
from sqlflow.migrate.jinja import NeedsDatabase, NotRendered, Renderer


def enabled_vars(renderer: Renderer, names: Sequence[str]) -> bool:
    return not any(renderer.variable(str(name)) == (True, False) for name in names)


def enabled_vars_one_true(renderer: Renderer, names: Sequence[str]) -> bool:
    return any(renderer.variable(str(name)) == (True, True) for name in names)


def string_agg(renderer: Renderer, field_to_agg: object, delimiter: object) -> str:
    word = "listagg" if renderer.adapter_type in ("snowflake", "redshift") else "string_agg"
    return f"{word}({field_to_agg}, {delimiter})"


def max_bool(renderer: Renderer, boolean_field: object) -> str:
    return f"{'max' if renderer.adapter_type in ('snowflake', 'bigquery') else 'bool_or'}({boolean_field})"


def first_value(
    _: Renderer, first_value_field: object, partition_field: object, order_by_field: object, order: str = "asc"
) -> str:
    return f"first_value({first_value_field} ignore nulls) over (partition by {partition_field} order by {order_by_field} {order})"


def percentile(renderer: Renderer, percentile_field: object, partition_field: object, percent: object) -> str:
    if renderer.adapter_type == "bigquery":
        return f"percentile_cont({percentile_field}, {percent}) over (partition by {partition_field})"
    if renderer.adapter_type in ("duckdb", "motherduck"):
        return f"quantile_cont({percentile_field}, {percent}) over (partition by {partition_field})"
    if renderer.adapter_type == "postgres":
        return f"percentile_cont({percent}) within group (order by {percentile_field})"
    return (
        f"percentile_cont({percent}) within group (order by {percentile_field}) over (partition by {partition_field})"
    )


def json_extract(renderer: Renderer, string: object, string_path: object) -> str:
    return _path(renderer, string, [string_path])


def json_parse(renderer: Renderer, string: object, string_path: Sequence[object]) -> str:
    return _path(renderer, string, as_list(string_path))


def _path(renderer: Renderer, string: object, path: Sequence[object]) -> str:
    whole = "".join(f"[{one}]" if isinstance(one, int) else f".{one}" for one in path)
    match renderer.adapter_type:
        case "duckdb" | "motherduck":
            return f"json_extract_string({string}, '${whole}')"
        case "postgres":
            return f"{string}::json #>> '{{{','.join(map(str, path))}}}'"
        case "bigquery":
            return f"json_extract_scalar({string}, '${whole}')"
        case "snowflake":
            return f"parse_json({string})" + "".join(
                f"[{one}]" if isinstance(one, int) else f"['{one}']" for one in path
            )
        case _:
            return f"json_extract_path_text({string}, {', '.join(repr(str(one)) for one in path)})"


def fill_staging_columns(
    _: Renderer, source_columns: Sequence[Any], staging_columns: Sequence[Mapping[str, Any]]
) -> str:
    """Each column that is wanted, NULL where the source does not have it."""
    there = {str(column.name).lower() for column in source_columns}
    items = []
    for column in staging_columns:
        name, alias = str(column["name"]), str(column.get("alias") or column["name"])
        value = name if name.lower() in there else f"cast(null as {column['datatype']})"
        items.append(f"{value} as {alias}")
    return ",\n    ".join(items)


def source_relation(renderer: Renderer) -> str:
    if renderer.variable("union_schemas")[1] or renderer.variable("union_databases")[1]:
        raise NotRendered("it tells schemas apart by names that dbt writes", "write the CASE by hand")
    return ", '' as source_relation"


def union_data(
    renderer: Renderer, table_identifier: str, database_variable: str, schema_variable: str, default_database: str,
    default_schema: str, default_variable: str, union_schema_variable: str = "union_schemas", union_database_variable: str = "union_databases",
) -> str:  # fmt: skip
    if renderer.variable(union_schema_variable)[1] or renderer.variable(union_database_variable)[1]:
        raise NeedsDatabase("fivetran_utils.union_data")
    known, value = renderer.variable(default_variable)
    if not known:
        raise NotRendered(f"the variable `{default_variable}` has no value", "give it with `--vars`")
    return f"select *\nfrom {value}"


def pass_through(renderer: Renderer, pass_through_variable: str, *_: object, **__: object) -> str:
    known, value = renderer.variable(pass_through_variable)
    items = as_list(value) if known else []
    return "".join(f", {one.get('alias') or one['name'] if isinstance(one, Mapping) else one}" for one in items)


FIVETRAN_UTILS: Mapping[str, Macro] = {
    "enabled_vars": enabled_vars, "enabled_vars_one_true": enabled_vars_one_true, "string_agg": string_agg, "max_bool": max_bool,
    "first_value": first_value, "percentile": percentile, "json_extract": json_extract, "json_parse": json_parse,
    "fill_staging_columns": fill_staging_columns, "source_relation": source_relation, "union_data": union_data,
    "persist_pass_through_columns": pass_through, "fill_pass_through_columns": pass_through,
    "timestamp_add": lambda renderer, part, interval, start: dbt_macros.dateadd(renderer, part, interval, start),
    "timestamp_diff": lambda renderer, first, second, part: dbt_macros.datediff(renderer, first, second, part),
    "ceiling": lambda _, num: f"ceiling({num})", "array_agg": lambda _, field: f"array_agg({field})",
    "union_relations": dbt_utils.union_relations, "empty_variable_warning": lambda *_: "",
}  # fmt: skip
