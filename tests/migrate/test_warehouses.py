"""What warehouses say otherwise than DuckDB means the same in DuckDB after it was translated: each query is run there."""

from __future__ import annotations

import duckdb
import pytest

from sqlflow.migrate.dialects import translate, translate_expression

_DATA = """\
CREATE TABLE t AS SELECT 1 AS id, '{"a": {"b": "x"}, "n": 5, "list": [{"k": "p"}, {"k": "q"}], "words": ["u", "v"], "day": "2024-01-03"}'::JSON AS v,
  ['r', 's'] AS parts, TIMESTAMP '2024-01-07 10:00:00' AS at, 'tap-x' AS name
"""

SAME = [
    ("snowflake", "select v:a.b::string from t", [("x",)]),
    ("snowflake", "select v:a:b::varchar || '!' from t where v:a.b = 'x' and v:a.b in ('x', 'y')", [("x!",)]),
    ("snowflake", "select upper(v:a.b), v:n::int + 1, v:day::date from t", [("X", 6, "2024-01-03")]),
    ("snowflake", "select count(*) from t where not get(parts, 0) like 's%' and v:a.b like '%x'", [(1,)]),
    ("snowflake", "select get(parts, 1)::string from t", [("s",)]),
    ("snowflake", "select f.value:k::string, f.index from t, lateral flatten(input => v:list) f order by 2", [("p", 0), ("q", 1)]),
    ("snowflake", "select value::string from t, table(flatten(v:words)) order by 1", [("u",), ("v",)]),
    ("snowflake", "select id, f.value::string from t, lateral flatten(input => v:gone, outer => true) f", [(1, None)]),
    ("snowflake", "select f.key, f.value::string from t, lateral flatten(v:a) f", [("b", "x")]),
    ("snowflake", "select array_size(v:list), array_size(parts), array_size(array_construct()::array) from t", [(2, 2, 0)]),
    ("snowflake", "select date_trunc(month, at), to_timestamp_ntz('2024-01-01 02:00:00'), to_timestamp_ntz(1000, 3) from t",
     [("2024-01-01 00:00:00", "2024-01-01 02:00:00", "1970-01-01 00:00:01")]),
    ("snowflake", "SELECT DATE_TRUNC(WEEK, at) AS w FROM t", [("2024-01-01 00:00:00",)]),
    ("snowflake", "select array_contains('r'::variant, parts), array_contains('z'::variant, v:words), array_contains('u'::variant, v:words) from t",
     [(True, False, True)]),
    ("snowflake", "select v['a']['b']::string, parse_json('[7, 8]')[0]::int, v['list'][1]['k']::string, parts[0]::string from t",
     [("x", 7, "q", "r")]),
    ("snowflake", "select split(name, '-')[1], split('a b', ' ')[0] || 'c' from t where v['a']['b'] = 'x'", [("x", "ac")]),
    ("snowflake", "select object_agg(name, id) from t", [('{"tap-x":1}',)]),
    ("snowflake", "select ratio_to_report(id) over () from t", [(1.0,)]),
    ("bigquery", "select extract(date from at), extract(dayofweek from at) from t", [("2024-01-07", 1)]),
    ("bigquery", "select parts from t, unnest(t.parts) as parts with offset n where n = 1", [("s",)]),
    ("bigquery", "select word, n from t, unnest(parts) as word with offset as n order by n", [("r", 0), ("s", 1)]),
    ("bigquery", "select array_agg(name order by id limit 1)[offset(0)] from t", [("tap-x",)]),
    ("bigquery", "select b.id, count(*) from t join t as b on t.id = b.id group by id", [(1, 1)]),
    ("bigquery", "select format('%s-%05d', name, id), format('%t', at) from t", [("tap-x-00001", "2024-01-07 10:00:00")]),
    ("trino", "select json_query(v, 'lax $.a.b' omit quotes), json_query(v, 'strict $.a') from t", [("x", '{"b":"x"}')]),
    ("trino", "select to_iso8601(at), to_iso8601(cast(at as date)) from t", [("2024-01-07T10:00:00.000", "2024-01-07")]),
    ("trino", "select arrays_overlap(parts, array['s']), json_array_get(json_extract(v, '$.words'), 1) from t", [(True, '"v"')]),
    ("trino", "select array_join(array['a', null], ',', 'none') from t", [("a,none",)]),
    ("bigquery", "select safe.parse_date('%Y-%m', name), parse_timestamp('%Y-%m-%dT%H:%M:%E*S', '2024-01-01T00:00:00.5') from t",
     [(None, "2024-01-01 00:00:00.500000")]),
    ("trino", "select try(cast(name as integer)) from t", [(None,)]),
    ("databricks", "select dayofweek(at), trunc(at, 'MM'), v:a.b::string from t", [(1, "2024-01-01 00:00:00", "x")]),
    ("redshift", "select json_extract_array_element_text(json_extract_path_text(v, 'words'), 0), is_valid_json('x') from t", [("u", False)]),
    ("redshift", "select ratio_to_report(id) over () from t", [(1.0,)]),
]  # fmt: skip


@pytest.mark.parametrize(("dialect", "sql", "rows"), SAME, ids=[f"{dialect}: {sql}" for dialect, sql, _ in SAME])
def test_a_translated_query_gives_what_the_warehouse_gives(
    dialect: str, sql: str, rows: list[tuple[object, ...]]
) -> None:
    made = translate(sql, dialect)
    assert not isinstance(made, str), made
    assert not made.lost
    assert not made.unknown
    with duckdb.connect() as connection:
        connection.execute(_DATA)
        found = connection.execute(made.sql).fetchall()
    assert [
        tuple(one if one is None or isinstance(one, int | float) else str(one) for one in row) for row in found
    ] == rows


def test_a_value_without_a_cast_is_told() -> None:
    made = translate("select v:a.b as b from t", "snowflake")
    assert not isinstance(made, str)
    assert made.told == ("`v:a.b` is JSON here, in which a text has quotes; a cast takes them off",)


def test_what_has_no_counterpart_is_named() -> None:
    made = translate(
        "select parse_ip(a, 'inet'), my_own(b) from t, lateral flatten(input => c, recursive => true)", "snowflake"
    )
    assert not isinstance(made, str)
    assert made.unknown == ("parse_ip", "my_own")
    assert made.lost == ("`FLATTEN` with `recursive` has no counterpart in DuckDB",)


def test_conditions_of_checks_are_translated() -> None:
    made = translate_expression("seen >= dateadd(day, -3, current_date)", "snowflake")
    assert not isinstance(made, str)
    assert made.sql == "seen >= (CURRENT_DATE + INTERVAL (-3) DAY)"
