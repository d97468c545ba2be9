"""The macros that dbt itself brings, for the SQL of each adapter: `dbt.dateadd(...)`, `type_string()` and their like.

Each takes the renderer first, and gives SQL in the adapter's words.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from sqlflow.migrate.jinja import Renderer

Macro = Callable[..., object]


def _is(renderer: Renderer, *adapters: str) -> bool:
    return renderer.adapter_type in adapters


def concat(renderer: Renderer, fields: Sequence[object]) -> str:
    words = [str(field) for field in fields]
    return f"concat({', '.join(words)})" if _is(renderer, "bigquery", "spark", "databricks") else " || ".join(words)


def dateadd(renderer: Renderer, datepart: str, interval: object, from_date_or_timestamp: object) -> str:
    moment = from_date_or_timestamp
    if _is(renderer, "duckdb", "motherduck"):
        return f"date_add({moment}, interval ({interval}) {datepart})"
    if _is(renderer, "postgres"):
        return f"{moment} + ((interval '1 {datepart}') * ({interval}))"
    if _is(renderer, "bigquery"):
        return f"datetime_add(cast({moment} as datetime), interval {interval} {datepart})"
    return f"dateadd({datepart}, {interval}, {moment})"


def datediff(renderer: Renderer, first_date: object, second_date: object, datepart: str) -> str:
    if _is(renderer, "duckdb", "motherduck"):
        return f"date_diff('{datepart}', {first_date}::timestamp, {second_date}::timestamp)"
    if _is(renderer, "bigquery"):
        return f"datetime_diff(cast({second_date} as datetime), cast({first_date} as datetime), {datepart})"
    if _is(renderer, "postgres"):
        return _postgres_datediff(str(first_date), str(second_date), datepart)
    return f"datediff({datepart}, {first_date}, {second_date})"


def _postgres_datediff(first: str, second: str, part: str) -> str:
    """As dbt counts: boundaries that are crossed, not time that has passed."""
    one, two = f"({first})", f"({second})"
    years = f"(date_part('year', {two}::date) - date_part('year', {one}::date))"
    months = f"({years} * 12 + date_part('month', {two}::date) - date_part('month', {one}::date))"
    days = f"({two}::date - {one}::date)"
    hours = f"({days} * 24 + date_part('hour', {two}::timestamp) - date_part('hour', {one}::timestamp))"
    minutes = f"({hours} * 60 + date_part('minute', {two}::timestamp) - date_part('minute', {one}::timestamp))"
    seconds = f"({minutes} * 60 + floor(date_part('second', {two}::timestamp)) - floor(date_part('second', {one}::timestamp)))"
    quarters = f"({years} * 4 + date_part('quarter', {two}::date) - date_part('quarter', {one}::date))"
    weeks = f"((date_trunc('week', {two}::timestamp)::date - date_trunc('week', {one}::timestamp)::date) / 7)"
    known = {
        "year": years, "quarter": quarters, "month": months, "week": weeks, "day": days, "hour": hours, "minute": minutes, "second": seconds,
    }  # fmt: skip
    return known.get(part.lower().rstrip("s"), f"datediff('{part}', {first}, {second})")


def date_trunc(renderer: Renderer, datepart: str, date: object) -> str:
    if _is(renderer, "bigquery"):
        return f"timestamp_trunc(cast({date} as timestamp), {datepart})"
    return f"date_trunc('{datepart}', {date})"


def last_day(renderer: Renderer, date: object, datepart: str) -> str:
    if _is(renderer, "snowflake"):
        return f"cast(last_day({date}, {datepart}) as date)"
    if _is(renderer, "bigquery"):
        return f"last_day(cast({date} as date), {datepart})"
    begin = date_trunc(renderer, datepart, date)
    after = dateadd(renderer, datepart, 1, begin)
    if datepart.lower() == "quarter" and _is(renderer, "postgres"):
        after = dateadd(renderer, "month", 3, begin)
    return f"cast({dateadd(renderer, 'day', -1, after)} as date)"


def date_spine(renderer: Renderer, datepart: str, start_date: object, end_date: object) -> str:
    """Periods from a start, up to an end that is not among them, as the column `date_PART`."""
    if _is(renderer, "duckdb", "motherduck"):
        return (
            f"select date_add({start_date}, interval (periods.n) {datepart}) as date_{datepart}\n"
            f"from range(0, date_diff('{datepart}', ({start_date})::timestamp, ({end_date})::timestamp)) as periods(n)"
        )
    if _is(renderer, "postgres"):
        step = "3 months" if datepart == "quarter" else f"1 {datepart}"
        return (
            f"select periods.n as date_{datepart}\n"
            f"from generate_series(({start_date})::timestamp, ({end_date})::timestamp - interval '{step}', interval '{step}') as periods(n)"
        )
    number = dateadd(renderer, datepart, "generated_number - 1", start_date)
    return (
        f"select * from (\nselect {number} as date_{datepart}\nfrom (\n{generate_series(renderer, 32768)}\n) as numbers\n) as periods\n"
        f"where date_{datepart} < {end_date}"
    )


def generate_series(renderer: Renderer, upper_bound: object) -> str:
    """The numbers from 1 to a bound, as the column `generated_number`."""
    if _is(renderer, "duckdb", "motherduck", "postgres"):
        return f"select numbers.n as generated_number from generate_series(1, {upper_bound}) as numbers(n)"
    bits = max(1, (int(str(upper_bound)) - 1).bit_length())
    sums = " + ".join(f"p{bit}.generated_number * {2**bit}" for bit in range(bits))
    joined = " cross join ".join(f"p as p{bit}" for bit in range(bits))
    return (
        f"with p as (select 0 as generated_number union all select 1),\nunioned as (select {sums} + 1 as generated_number from {joined})\n"
        f"select * from unioned where generated_number <= {upper_bound}"
    )


_TYPES: Mapping[str, Mapping[str, str]] = {
    "string": {"": "TEXT", "bigquery": "STRING", "spark": "STRING", "databricks": "STRING", "trino": "VARCHAR", "redshift": "VARCHAR(16384)"},
    "timestamp": {"": "TIMESTAMP", "snowflake": "TIMESTAMP_NTZ", "postgres": "timestamp without time zone", "trino": "TIMESTAMP"},
    "float": {"": "FLOAT", "bigquery": "FLOAT64", "trino": "DOUBLE"},
    "numeric": {"": "numeric(28, 6)", "bigquery": "numeric"},
    "bigint": {"": "bigint", "bigquery": "INT64"},
    "int": {"": "INT", "bigquery": "INT64", "postgres": "INTEGER"},
    "boolean": {"": "BOOLEAN", "bigquery": "BOOL"},
}  # fmt: skip


def type_name(kind: str) -> Macro:
    def name(renderer: Renderer, *_: object) -> str:
        known = _TYPES[kind]
        return known.get(renderer.adapter_type, known[""])

    return name


type_string = type_name("string")


def hashed(renderer: Renderer, field: object) -> str:
    text = f"md5(cast({field} as {type_string(renderer)}))"
    return (
        f"to_hex({text})"
        if _is(renderer, "bigquery")
        else f"lower(to_hex(md5(to_utf8(cast({field} as varchar)))))"
        if _is(renderer, "trino")
        else text
    )


def safe_cast(renderer: Renderer, field: object, type: object) -> str:
    word = (
        "try_cast"
        if _is(renderer, "duckdb", "motherduck", "snowflake", "trino", "databricks")
        else "safe_cast"
        if _is(renderer, "bigquery")
        else "cast"
    )
    return f"{word}({field} as {type})"


def cast(_: Renderer, field: object, type: object) -> str:
    return f"cast({field} as {type})"


def split_part(renderer: Renderer, string_text: object, delimiter_text: object, part_number: int) -> str:
    if _is(renderer, "bigquery"):
        return f"split({string_text}, {delimiter_text})[safe_offset({int(part_number) - 1})]"
    return f"split_part({string_text}, {delimiter_text}, {part_number})"


def position(renderer: Renderer, substring_text: object, string_text: object) -> str:
    return (
        f"strpos({string_text}, {substring_text})"
        if _is(renderer, "bigquery")
        else f"position({substring_text} in {string_text})"
    )


def right(renderer: Renderer, string_text: object, length_expression: object) -> str:
    if _is(renderer, "bigquery"):
        return f"case when {length_expression} = 0 then '' else substr({string_text}, -1 * ({length_expression})) end"
    return f"right({string_text}, {length_expression})"


def listagg(
    renderer: Renderer,
    measure: object,
    delimiter_text: object = "','",
    order_by_clause: object = "",
    limit_num: object = None,
) -> str:
    order = f" {order_by_clause}" if order_by_clause else ""
    if _is(renderer, "snowflake", "redshift"):
        within = f" within group ({order_by_clause})" if order_by_clause else ""
        return f"listagg({measure}, {delimiter_text}){within}"
    if limit_num and _is(renderer, "duckdb", "motherduck"):
        return f"array_to_string(list_slice(list({measure}{order}), 1, {limit_num}), {delimiter_text})"
    if limit_num and _is(renderer, "postgres"):
        return f"array_to_string((array_agg({measure}{order}))[1:{limit_num}], {delimiter_text})"
    return f"string_agg({measure}, {delimiter_text}{order})"


def bool_or(renderer: Renderer, expression: object) -> str:
    word = "boolor_agg" if _is(renderer, "snowflake") else "logical_or" if _is(renderer, "bigquery") else "bool_or"
    return f"{word}({expression})"


def array_construct(renderer: Renderer, inputs: Sequence[object] = (), data_type: object = "integer") -> str:
    words = ", ".join(map(str, inputs))
    if _is(renderer, "snowflake"):
        return f"array_construct({words})"
    if _is(renderer, "postgres"):
        return f"array[{words}]" if words else f"array[]::{data_type}[]"
    return f"[{words}]"


def array_append(renderer: Renderer, array: object, new_element: object) -> str:
    if _is(renderer, "bigquery"):
        return f"array_concat({array}, [{new_element}])"
    return f"array_append({array}, {new_element})"


def array_concat(renderer: Renderer, array_1: object, array_2: object) -> str:
    word = "array_cat" if _is(renderer, "postgres", "snowflake") else "array_concat"
    return f"{word}({array_1}, {array_2})"


def current_timestamp(renderer: Renderer) -> str:
    if _is(renderer, "duckdb", "motherduck", "postgres"):
        return "now()"
    if _is(renderer, "snowflake"):
        return "convert_timezone('UTC', current_timestamp())"
    return {"bigquery": "current_timestamp()", "redshift": "getdate()"}.get(renderer.adapter_type, "current_timestamp")


def current_timestamp_in_utc(renderer: Renderer) -> str:
    if _is(renderer, "duckdb", "motherduck", "postgres"):
        return "(now() at time zone 'utc')"
    return current_timestamp(renderer)


def _word(word: str, bigquery: str) -> Macro:
    return lambda renderer: bigquery if renderer.adapter_type == "bigquery" else word


def _function(name: str) -> Macro:
    return lambda _, *arguments: f"{name}({', '.join(map(str, arguments))})"


def generate_schema_name(renderer: Renderer, custom_schema_name: object = None, node: object = None) -> str:
    default = renderer.output_schema
    return default if custom_schema_name is None else f"{default}_{str(custom_schema_name).strip()}"


def schema_name_for_env(renderer: Renderer, custom_schema_name: object = None, node: object = None) -> str:
    if renderer.target_name == "prod" and custom_schema_name is not None:
        return str(custom_schema_name).strip()
    return renderer.output_schema


def generate_alias_name(renderer: Renderer, custom_alias_name: object = None, node: object = None) -> str:
    if custom_alias_name:
        return str(custom_alias_name).strip()
    return str(node.get("name", "") if isinstance(node, dict) else getattr(node, "name", ""))


DBT: Mapping[str, Macro] = {
    "concat": concat, "dateadd": dateadd, "datediff": datediff, "date_trunc": date_trunc, "last_day": last_day, "date_spine": date_spine,
    "generate_series": generate_series, "hash": hashed, "safe_cast": safe_cast, "cast": cast, "split_part": split_part, "position": position,
    "right": right, "listagg": listagg, "bool_or": bool_or, "array_construct": array_construct, "array_append": array_append,
    "array_concat": array_concat, "current_timestamp": current_timestamp, "current_timestamp_backcompat": current_timestamp,
    "current_timestamp_in_utc": current_timestamp_in_utc, "current_timestamp_in_utc_backcompat": current_timestamp_in_utc,
    "length": _function("length"), "replace": _function("replace"), "any_value": _function("any_value"),
    "except": _word("except", "except distinct"), "intersect": _word("intersect", "intersect distinct"),
    "string_literal": lambda _, value: f"'{value}'", "escape_single_quotes": lambda _, expression: str(expression).replace("'", "''"),
    "cast_bool_to_text": lambda renderer, field: f"cast({field} as {type_string(renderer)})",
    "equals": lambda _, one, two: f"case when ({one} = {two}) or ({one} is null and {two} is null) then 0 else 1 end = 0",
    "generate_schema_name": generate_schema_name, "default__generate_schema_name": generate_schema_name,
    "generate_schema_name_for_env": schema_name_for_env, "default__generate_schema_name_for_env": schema_name_for_env,
    "generate_alias_name": generate_alias_name, "default__generate_alias_name": generate_alias_name,
    "is_relation": lambda *_: True, "copy_grants": lambda *_: "", "date": lambda _, year, month, day: f"date '{int(year):04}-{int(month):02}-{int(day):02}'",
    **{f"type_{kind}": type_name(kind) for kind in _TYPES},
}  # fmt: skip
