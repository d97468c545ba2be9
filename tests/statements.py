"""Statements over the table `t` of `two_engines`, made from the engines' own catalogues: every function with columns of its
arguments' types, every cast of a type to another one, every operator between two types."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import Any

_CASTS = (
    "a",
    "v",
    "w",
    "x",
    "z",
    "re",
    "d",
    "e",
    "s",
    "t",
    "f",
    "day",
    "ts",
    "tz",
    "tm",
    "iv",
    "uid",
    "l",
    "m",
    "h",
    "js",
)
_SIDES = ("a", "v", "x", "re", "d", "s", "f", "day", "ts", "tz", "tm", "iv", "l", "2", "2.5", "'a'", "NULL")
_UNITS = [
    "century",
    "day",
    "decade",
    "dow",
    "doy",
    "epoch",
    "hour",
    "isodow",
    "isoyear",
    "julian",
    "microseconds",
    "millennium",
    "milliseconds",
    "minute",
    "month",
    "quarter",
    "second",
    "timezone",
    "timezone_hour",
    "week",
    "year",
]
# What is another thing each time, or does something.
_UNSTEADY = (
    "now", "transaction_timestamp", "current_localtimestamp", "current_localtime", "get_current_timestamp", "random", "error",
    "sleep_ms", "write_log", "getenv", "nextval", "currval", "setseed", "gen_random_uuid", "uuid", "uuidv4", "uuidv7",
    "txid_current", "version", "in_search_path", "factorial", "get_current_time", "today", "current_date",
    # The first of several, in no order.
    "any_value", "first", "arbitrary", "last", "list", "array_agg", "arg_min", "arg_max", "argmin", "argmax", "min_by",
    "max_by", "arg_min_null", "arg_max_null", "arg_min_nulls_last", "arg_max_nulls_last", "mode", "group_concat", "string_agg",
    "listagg",
)  # fmt: skip


def of_duckdb(connection: Any) -> list[str]:
    columns = {
        "TINYINT": ("w",), "SMALLINT": ("w",), "INTEGER": ("a", "b"), "BIGINT": ("v", "a"), "HUGEINT": ("v",),
        "DOUBLE": ("x", "y"), "FLOAT": ("re",), "DECIMAL": ("d", "e"), "VARCHAR": ("s", "t"), "BOOLEAN": ("f", "g"),
        "DATE": ("day", "day2"), "TIMESTAMP": ("ts", "ts2"), "TIMESTAMP WITH TIME ZONE": ("tz",), "TIME": ("tm",),
        "INTERVAL": ("iv",), "UUID": ("uid",), "BLOB": ("h",), "ANY": ("x", "s"), "T": ("a", "s"), "T[]": ("l",),
        "ANY[]": ("l",), "VARCHAR[]": ("m",), "INTEGER[]": ("l",), "JSON": ("js",),
    }  # fmt: skip
    constants = {"VARCHAR": ("'a'", "''", "'month'"), "BIGINT": ("2", "-1", "0"), "INTEGER": ("2", "-1", "0")}
    functions = connection.execute(
        "SELECT function_name, parameter_types, function_type FROM duckdb_functions() "
        "WHERE function_type IN ('scalar', 'aggregate', 'macro') AND schema_name = 'main' AND internal ORDER BY ALL"
    ).fetchall()
    found = list(_called(functions, columns, constants, "aggregate"))
    types = (
        "TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "DOUBLE", "FLOAT", "DECIMAL(10,2)", "DECIMAL(18,6)", "DECIMAL",
        "VARCHAR", "BOOLEAN", "DATE", "TIMESTAMP", "TIMESTAMPTZ", "TIME", "INTERVAL", "UUID", "BLOB", "JSON", "INTEGER[]",
        "VARCHAR[]", "CHAR(2)", "VARCHAR(1)",
    )  # fmt: skip
    literals = (
        "'1.5'",
        "'2'",
        "'t'",
        "'yes'",
        "'2024-01-05'",
        "'1 day'",
        "2.5",
        "-2.5",
        "1e3",
        "NULL",
        "true",
        "''",
        "' 7 '",
    )
    found += _casts(types, literals)
    signs = ("+", "-", "*", "/", "//", "%", "=", "<", ">=", "<>", "IS DISTINCT FROM", "||", "&", "|", "**", "<<", ">>", "LIKE",
             "ILIKE", "~", "AND", "OR", "->", "->>", "^@")  # fmt: skip
    found += [f"{one} {sign} {other}" for one, other, sign in product(_SIDES, _SIDES, signs)]
    found += _parts()
    return _twice(found)


def of_postgres(connection: Any) -> list[str]:
    columns = {
        "int4": ("a", "b"), "int8": ("v", "a"), "int2": ("w",), "float8": ("x", "y"), "float4": ("re",), "numeric": ("d", "e"),
        "text": ("s", "t"), "varchar": ("s",), "bool": ("f", "g"), "date": ("day", "day2"), "timestamp": ("ts", "ts2"),
        "timestamptz": ("tz",), "time": ("tm",), "interval": ("iv",), "uuid": ("uid",), "bytea": ("h",),
        "anyelement": ("a", "s"), "anyarray": ("l",), "anycompatible": ("a", "s"), "anycompatiblearray": ("l",),
        "_text": ("m",), "_int4": ("l",), "jsonb": ("js",), "any": ("s",),
    }  # fmt: skip
    constants = {
        "int4": ("2", "-1", "0"), "int8": ("2",), "text": ("'a'", "''", "'[ab]+'"), "numeric": ("1.5",), "float8": ("0.5",),
    }  # fmt: skip
    inner = "^(pg_|has_|ts_|tsv|tsq|inet|network|cidr|mac|txid|binary_upgrade|lo_|brin|gin|gist|hash|btree|in_range)"
    functions = connection.execute(
        "SELECT p.proname, array(SELECT t.typname::text FROM unnest(p.proargtypes) AS x JOIN pg_type AS t ON t.oid = x), "
        "CASE p.prokind WHEN 'a' THEN 'aggregate' ELSE 'scalar' END FROM pg_proc AS p "
        "WHERE p.pronamespace = 'pg_catalog'::regnamespace AND p.provolatile IN ('i', 's') AND p.prokind IN ('f', 'a') "
        "AND NOT p.proretset AND p.prorettype NOT IN ('internal'::regtype, 'trigger'::regtype) AND p.proname !~ %s "
        "AND p.proname !~ '(in|out|recv|send|sel|joinsel|support|accum|cmp|_ops)$' ORDER BY 1, 2",
        [inner],
    ).fetchall()
    found = list(_called(functions, columns, constants, "aggregate"))
    signs = connection.execute(
        "SELECT DISTINCT oprname, l.typname, r.typname FROM pg_operator AS o LEFT JOIN pg_type AS l ON l.oid = oprleft "
        "LEFT JOIN pg_type AS r ON r.oid = oprright WHERE o.oprnamespace = 'pg_catalog'::regnamespace ORDER BY 1, 2, 3"
    ).fetchall()
    for sign, left, right in signs:
        if right in columns and (left is None or left in columns):
            found.append(f"{columns[left][0] if left else ''} {sign} {columns[right][-1]}".strip())
    types = (
        "smallint", "int", "bigint", "float8", "real", "numeric", "numeric(10,2)", "numeric(5,1)", "numeric(18,6)", "text",
        "varchar", "varchar(2)", "char(3)", "char", "bool", "date", "timestamp", "timestamp(0)", "timestamptz", "time",
        "interval", "uuid", "bytea", "json", "jsonb", "int[]", "text[]",
    )  # fmt: skip
    literals = (
        "'1.5'", "'2'", "'t'", "'off'", "'2024-01-05'", "'2024-01-05 01:02:03'", "'1 day'", "'1 year 3 hours'", "2.5", "-2.5",
        "1e3", "NULL", "true", "''", "' 7 '", "'Jan 5 2024'", "'{1,2}'", "'P1D'", "'05/01/2024'", "'0x1F'", "'1_000'",
        "'infinity'", "'2024-1-5'", "'10:00'",
    )  # fmt: skip
    found += _casts(types, literals)
    signs = ("+", "-", "*", "/", "%", "^", "=", "<", "||", "IS DISTINCT FROM", "~", "LIKE")
    found += [f"{one} {sign} {other}" for one, other, sign in product(_SIDES, _SIDES, signs)]
    for name, one, other in product(("coalesce", "greatest", "least", "nullif"), _SIDES, _SIDES):
        found.append(f"{name}({one}, {other})")
    for one, other in product(_SIDES, _SIDES):
        found += [
            f"CASE WHEN f THEN {one} ELSE {other} END",
            f"SELECT {one} AS c FROM t UNION ALL SELECT {other} FROM t",
        ]
    for name, column in product(("sum", "avg", "min", "max", "count", "stddev", "variance"), _CASTS):
        found += [f"SELECT b, {name}({column}) / 2 AS c FROM t GROUP BY b", f"{name}({column}) OVER (ORDER BY id)"]
    counted = ("left(s, N)", "right(s, N)", "substr(s, N)", "substr(s, N, 2)", "substr(s, 2, N)", "lpad(s, N)", "repeat(s, N)",
               "rpad(s, N, 'ab')", "split_part(s, 'a', N)", "round(d, N)", "round(x::numeric, N)", "trunc(d, N)", "a << N",
               "a >> N", "l[N]", "lag(a, N) OVER (ORDER BY id)", "power(a, N)", "day + N")  # fmt: skip
    found += [form.replace("N", count) for form, count in product(counted, ("2", "0", "-1", "3"))]
    found += _parts()
    return _twice(found)


def _called(
    functions: Sequence[tuple[str, Sequence[str] | None, str]],
    columns: Mapping[str, Sequence[str]],
    constants: Mapping[str, Sequence[str]],
    aggregate: str,
) -> Iterator[str]:
    for name, types, kind in functions:
        if types is None or not name[0].isalpha() or name in _UNSTEADY or len(types) > 4:
            continue
        if any(str(kind_) not in columns for kind_ in types):
            continue
        seen: dict[str, int] = {}
        arguments = []
        for kind_ in types:
            place = seen[kind_] = seen.get(kind_, -1) + 1
            arguments.append(columns[kind_][min(place, len(columns[kind_]) - 1)])
        if kind == aggregate:
            if arguments:
                yield f"SELECT b, {name}({', '.join(arguments)}) AS c FROM t GROUP BY b"
            continue
        yield f"{name}({', '.join(arguments)})"
        if len(types) > 1:
            for rest in product(*(constants.get(kind_, ()) for kind_ in types[1:])):
                yield f"{name}({', '.join([arguments[0], *rest])})"


def _casts(types: Sequence[str], literals: Sequence[str]) -> list[str]:
    found = [f"CAST({value} AS {kind})" for value, kind in product((*_CASTS, *literals), types)]
    return [*found, *(f"CAST({cast} AS VARCHAR)" for cast in found)]


def _parts() -> list[str]:
    found = []
    for unit, column in product(_UNITS, ("day", "ts", "tz", "tm", "iv")):
        found += [f"extract({unit} FROM {column})", f"date_part('{unit}', {column})", f"date_trunc('{unit}', {column})"]
    return found


def _twice(statements: Sequence[str]) -> list[str]:
    """Each of them, and its text, which shows more of it."""
    texts = [f"CAST({one} AS VARCHAR)" for one in statements if not one.startswith(("SELECT", "CAST"))]
    return list(dict.fromkeys([*statements, *texts]))
