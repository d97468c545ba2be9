"""Which functions of a query may give something else another time: by what the server's catalogue says of each.

The server says IMMUTABLE, STABLE (the same within a statement: it may depend on the time or on settings) or VOLATILE.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from sqlflow.core.engine import Row, Unsteady

if TYPE_CHECKING:
    from psycopg import Connection


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


CALLED = re.compile(r":(?:funcid|opfuncid|aggfnoid|winfnoid) (\d+)")

_LEANING = re.compile(r":constraintDeps \(")
_HIDDEN = re.compile(r":varattno -\d")  # ctid, xmin, tableoid and so on

# STABLE because of settings that our sessions fix (the time zone, how times and numbers are written) or that belong to
# the database (its locale).
_FIXED = _words(
    """
    age anytextcat array_to_json array_to_string array_to_text concat concat_ws date date_add date_part date_subtract
    date_trunc extract format generate_series interval_pl_timestamptz json_agg json_agg_strict json_build_array
    json_build_object json_object_agg json_object_agg_strict json_object_agg_unique json_object_agg_unique_strict jsonb_agg
    jsonb_agg_strict jsonb_build_array jsonb_build_object jsonb_object_agg make_timestamptz overlaps row_to_json
    textanycat time timestamp timestamptz timestamptz_mi_interval timestamptz_pl_interval timetz timezone to_char to_date
    to_json to_jsonb to_timestamp
    """
)
_COMPARISON = re.compile(r"(?:date|timestamp|timestamptz)_(?:lt|le|eq|ne|ge|gt|cmp)_(?:date|timestamp|timestamptz)")
# Aggregates that give the same whatever the order of their rows, rounding aside; those that have an order of their own.
_SETLIKE = _words(
    """
    avg bit_and bit_or bit_xor bool_and bool_or corr count covar_pop covar_samp every max min mode percentile_cont
    percentile_disc range_agg range_intersect_agg regr_avgx regr_avgy regr_count regr_intercept regr_r2 regr_slope
    regr_sxx regr_sxy regr_syy stddev stddev_pop stddev_samp sum var_pop var_samp variance rank dense_rank percent_rank
    cume_dist
    """
)


def judged(connection: Connection[Row], tree: str) -> tuple[Unsteady, ...]:
    """`tree`: a query as the server keeps it, with the number of each function that is called."""
    if _HIDDEN.search(tree):
        return (
            Unsteady("hidden column", "where and when a row was written is another thing each time", volatile=True),
        )
    if _LEANING.search(tree):
        return (Unsteady("GROUP BY", "it leans on a primary key, which a part of the table does not have"),)
    numbers = sorted({int(number) for number in CALLED.findall(tree)})
    if not numbers:
        return ()
    rows = connection.execute(
        "SELECT p.oid::bigint, n.nspname, p.proname, p.provolatile, p.prokind, p.pronargs FROM pg_proc AS p "
        "JOIN pg_namespace AS n ON n.oid = p.pronamespace WHERE p.oid = ANY($1::oid[]) ORDER BY p.proname",
        (numbers,),
    ).fetchall()
    return tuple(found for row in rows if (found := _judge(tree, *row)) is not None)


def _judge(
    tree: str, number: object, schema: object, name: object, volatility: object, kind: object, arguments: object
) -> Unsteady | None:
    word = str(name)
    if schema != "pg_catalog":
        return Unsteady(word, "a function of the database, which may be changed without a word")
    if volatility == "v":
        return Unsteady(word, "it gives another value each time", volatile=True)
    fixed = word in _FIXED or _COMPARISON.fullmatch(word) is not None
    if volatility == "s" and (not fixed or (word == "age" and arguments == 1)):
        return Unsteady(word, "it depends on the time or on the session", volatile=True)
    if kind == "a" and word not in _SETLIKE and not all(_ordered(tree, number)):
        return Unsteady(word.upper(), "without ORDER BY, it takes rows in any order")
    return None


def _ordered(tree: str, number: object) -> Iterator[bool]:
    """Of each call of an aggregate, whether its rows have an order."""
    for call in re.finditer(rf":aggfnoid {number}\b", tree):
        yield not tree.startswith("<>", tree.index(":aggorder ", call.end()) + len(":aggorder "))
