"""The lists of functions against the catalogues of the engines themselves: whatever may give something else in another
build is known, and is seen in a query however it is called."""

from __future__ import annotations

import re
from collections.abc import Iterator

import duckdb
import psycopg
import pytest
from on_postgres import drop_database, new_database

from sqlflow.compiler.facts import resolve_query
from sqlflow.compiler.functions.duckdb import DUCKDB
from sqlflow.compiler.functions.natures import words
from sqlflow.compiler.functions.postgres import POSTGRES
from sqlflow.compiler.lineage import trace
from sqlflow.core.clock import Moving, Nature
from sqlflow.core.names import TableName
from sqlflow.core.schema import Column, Schema
from sqlflow.core.syntax import parse_tree

_T = TableName("main", "t")


def _moving(query: str, dialect: str) -> tuple[frozenset[Moving], list[frozenset[Moving]]]:
    """What moves the rows of a query over `t`, and what moves each of its columns."""
    tree = parse_tree(query, dialect)
    assert tree is not None, query
    kinds = ("id BIGINT", "day DATE", "at TIMESTAMP", "word VARCHAR")
    schema = Schema(tuple(Column(*kind.split(" ", 1)) for kind in kinds))
    lineage = trace(resolve_query(tree, {_T: schema}, {_T.key: _T, ("", "t"): _T}, dialect))
    return lineage.moving, [column.moving for column in lineage.columns or ()]


def _told(found: frozenset[Moving]) -> set[str]:
    return {item.word if item.every is None else f"{item.word}/{item.every}" for item in found}


# ---------------------------------------------------------------------- the catalogues


def test_each_function_of_duckdb_is_known_or_always_the_same() -> None:
    with duckdb.connect() as connection:
        rows = connection.execute(
            "SELECT lower(function_name), function_type, bool_and(stability = 'CONSISTENT'), list(macro_definition) "
            "FROM duckdb_functions() GROUP BY ALL"
        ).fetchall()
    steady = {name for name, kind, consistent, _ in rows if kind in ("scalar", "aggregate", "window") and consistent}
    restless = {
        name for name, kind, consistent, _ in rows if kind in ("scalar", "aggregate", "window") and not consistent
    }
    known = {name for name in DUCKDB.natures if DUCKDB.nature(name) is not None}
    missing = []
    for name, kind, consistent, definitions in rows:
        nature = DUCKDB.nature(name)
        if kind in ("scalar", "aggregate", "window"):
            if not consistent and nature is Nature.UNKNOWN:
                missing.append(f"{kind} {name}")
        elif kind in ("table", "table_macro"):
            if nature is Nature.UNKNOWN and name not in _STATEMENTS:
                missing.append(f"{kind} {name}")
        elif kind == "macro" and nature is Nature.UNKNOWN:
            called = {word.lower() for text in definitions for word in re.findall(r"(\w+)\"?\(", text or "")}
            called |= {word for text in definitions for word in re.findall(r"\w+", (text or "").lower())} & DUCKDB.bare
            if called & (known | (restless - DUCKDB.fixed - steady)):
                missing.append(f"macro {name}: {sorted(called & known)}")
    assert missing == []


# Table functions of DuckDB that stand behind statements, and cannot be in a query that reads.
_STATEMENTS = words(
    """
    add_grammar_extension arrow_scan arrow_scan_dumb checkpoint create_external_resource deregister_external_resource
    destroy_external_resource disable_logging disable_profiling enable_logging enable_profiling force_checkpoint
    pandas_scan python_arrow_scan register_external_resource register_external_resource_type remove_grammar_extension
    truncate_duckdb_logs
    """
)


@pytest.fixture(scope="module")
def postgres() -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    url = new_database()
    with psycopg.connect(url) as connection:
        yield connection
    drop_database(url)


_CALLABLE = """
SELECT DISTINCT proname FROM pg_proc
WHERE pronamespace = 'pg_catalog'::regnamespace AND provolatile <> 'i' AND prokind IN ('f', 'a', 'w')
AND NOT prorettype = ANY('{internal,cstring,trigger,event_trigger,language_handler,fdw_handler,index_am_handler,table_am_handler,tsm_handler}'::regtype[])
AND NOT EXISTS (SELECT 1 FROM unnest(proargtypes) AS t WHERE t = ANY('{internal,cstring}'::regtype[]))
"""


def test_each_function_of_postgres_is_known_or_always_the_same(
    postgres: psycopg.Connection[tuple[object, ...]],
) -> None:
    names = [str(row[0]) for row in postgres.execute(_CALLABLE)]
    assert len(names) > 500
    assert [name for name in names if POSTGRES.nature(name) is Nature.UNKNOWN] == []


def _arguments(name: str) -> Iterator[str]:
    for arguments in ("", "id", "id, id", "id, id, id"):
        yield f"{name}({arguments})"


@pytest.mark.parametrize("dialect", ["duckdb", "postgres"])
def test_a_function_that_is_known_is_seen_in_each_spelling_of_its_call(dialect: str) -> None:
    functions, schema = (DUCKDB, "main") if dialect == "duckdb" else (POSTGRES, "pg_catalog")
    unseen = []
    for name in sorted(functions.natures):
        if name in ("localtime", "current_time", "localtimestamp", "current_catalog", "user", "system_user"):
            continue  # words; see below
        calls = [*_arguments(name), *_arguments(f"{schema}.{name}"), *_arguments(f'{schema}."{name}"')]
        if dialect == "duckdb":
            calls += [f"word.{name}()", f"word.{name}(id)"]
        for call in calls:
            query = f"SELECT {call} AS c FROM t"
            if parse_tree(query, dialect) is None:
                continue  # the engine may take it; then its words are looked at
            rows, columns = _moving(query, dialect)
            if not (rows or any(columns)):
                unseen.append(call)
    assert unseen == []


@pytest.mark.parametrize("dialect", ["duckdb", "postgres"])
def test_a_word_that_is_a_function_without_brackets_is_seen(dialect: str) -> None:
    functions = DUCKDB if dialect == "duckdb" else POSTGRES
    unseen = [word for word in sorted(functions.bare) if not any(_moving(f"SELECT {word} AS c FROM t", dialect)[1])]
    assert set(unseen) <= {"system_user"}  # of PostgreSQL 16, and no word of sqlglot: the words of the text have it


# ---------------------------------------------------------------------- clocks by other names


@pytest.mark.parametrize(
    "expression",
    [
        "current_localtimestamp()", "main.now()", "system.main.now()", '"now"()', "ago(INTERVAL 1 DAY)", "localtimestamp",
        "get_current_time()", "current_localtime()", "now() AT TIME ZONE 'Asia/Tokyo'", "current_timestamp + INTERVAL 1 DAY",
        "coalesce(at, now())", "CASE WHEN id = 1 THEN now() END", "(SELECT now())", "[now()]", "{'a': now()}",
    ],
)  # fmt: skip
def test_a_clock_of_duckdb_that_fills_a_column_moves_the_column_and_no_row(expression: str) -> None:
    rows, columns = _moving(f"SELECT id, {expression} AS c FROM t", "duckdb")
    assert not rows
    assert not columns[0]
    assert len(columns[1]) == 1
    rows, _ = _moving(f"SELECT id FROM t WHERE ({expression}) IS NOT NULL", "duckdb")
    assert len(rows) == 1


@pytest.mark.parametrize(
    ("expression", "word"),
    [
        ("E'now'::timestamp", "now"),
        ("timestamp 'now'", "now"),
        ("timestamptz 'now'", "now"),
        ("cast('now' as timestamp)", "now"),
        ("'now'::text::timestamp", "now"),
        ("'  NOW '::timestamp", "now"),
        ("U&'n\\006fw'::timestamp", "now"),
        ("('no' || 'w')::timestamp", "now"),
        ("timestamptz('now')", "now"),
        ("'{now}'::timestamp[]", "now"),
        ("ARRAY['now']::timestamp[]", "now"),
        ("time 'now'", "now"),
        ("cast('now' as date)", "now/day"),
        ("date($$now$$)", "now/day"),
        ("date 'today'", "today/day"),
        ("'tomorrow'::timestamp", "tomorrow/day"),
        ("'yesterday 10:00'::timestamptz", "yesterday/day"),
        ("coalesce(at, 'now')", "now"),
        ("current_timestamp(3)", "current_timestamp"),
        ("pg_catalog.now()", "now"),
        ("clock_timestamp()", "clock_timestamp"),
        ("age(at)", "age/day"),
    ],
)
def test_a_clock_of_postgres_is_seen_in_each_spelling(expression: str, word: str) -> None:
    rows, columns = _moving(f"SELECT id, {expression} AS c FROM t", "postgres")
    assert not rows
    assert _told(columns[1]) == {word}
    rows, _ = _moving(f"SELECT id FROM t WHERE ({expression}) IS NOT NULL", "postgres")
    assert _told(rows) == {word}


@pytest.mark.parametrize(
    "expression",
    [
        "'2024-01-01'::date", "timestamp 'epoch'", "'infinity'::timestamp", "'now'", "word || 'today'", "word::date",
        "age(at, at)", "interval '1 day'", "date_trunc('day', at)", "CAST(NULL AS date)", "to_char(at, 'YYYY')",
    ],
)  # fmt: skip
def test_what_is_no_clock_of_postgres_moves_nothing(expression: str) -> None:
    rows, columns = _moving(f"SELECT id, {expression} AS c FROM t", "postgres")
    assert not rows
    assert not [item for item in columns[1] if item.nature is not Nature.UNKNOWN]


@pytest.mark.parametrize(
    ("expression", "word"),
    [
        ("current_date", "current_date/day"),
        ("now()::date", "now/day"),
        ("CAST(current_timestamp AS DATE)", "current_timestamp/day"),
        ("date_trunc('hour', now())", "now/hour"),
        ("date_trunc('day', now()::timestamp)", "now/day"),
        ("date_trunc('week', current_date)", "current_date/week"),
        ("date_trunc('month', now()) - INTERVAL '1 month'", "now/month"),
        ("date_trunc('hour', current_date::timestamp)", "current_date/day"),
        ("extract(year FROM now())", "now/year"),
        ("date_trunc('minute', now())", "now"),
        ("date_trunc('day', now() - INTERVAL '3 hours')", "now"),
        ("date_trunc('day', now() AT TIME ZONE 'Asia/Tokyo')", "now"),
        ("(now() AT TIME ZONE 'Asia/Tokyo')::date", "now"),
    ],
)
@pytest.mark.parametrize("dialect", ["duckdb", "postgres"])
def test_a_clock_that_is_cut_to_a_unit_changes_with_that_unit(expression: str, word: str, dialect: str) -> None:
    rows, _ = _moving(f"SELECT id FROM t WHERE at > {expression}", dialect)
    found = {text.replace("current_timestamp", "now") for text in _told(rows)}
    assert found == {word.replace("current_timestamp", "now")}


# ---------------------------------------------------------------------- columns and rows


@pytest.mark.parametrize(
    "query",
    [
        "SELECT id FROM t WHERE at > now()",
        "SELECT id FROM t JOIN (SELECT now() AS n) AS c ON at > n",
        "SELECT count(*) AS n FROM t GROUP BY id, now()",
        "SELECT count(*) FILTER (WHERE at > now()) AS n FROM t",
        "SELECT sum(CASE WHEN at > now() THEN 1 END) AS n FROM t",
        "SELECT id FROM t GROUP BY id HAVING max(at) > now()",
        "SELECT id, row_number() OVER (ORDER BY random()) AS n FROM t",
        "SELECT id, sum(id) OVER (PARTITION BY at > now()) AS n FROM t",
        "SELECT id FROM t QUALIFY row_number() OVER (PARTITION BY id ORDER BY random()) = 1",
        "SELECT list(id ORDER BY random()) AS ids FROM t",
        "SELECT DISTINCT id, now() AS c FROM t",
        "SELECT id, now() AS c FROM t UNION SELECT id, at FROM t",
        "SELECT id, now() AS c FROM t EXCEPT SELECT id, at FROM t",
        "SELECT id FROM t ORDER BY random() LIMIT 3",
        "SELECT id, (SELECT count(*) FROM t AS u WHERE u.at > now()) AS n FROM t",
        "SELECT id, unnest([now()]) AS c FROM t",
        "WITH c AS (SELECT *, now() AS n FROM t) SELECT id FROM c WHERE at < n",
        "SELECT id FROM t, read_text('x')",
        "SELECT id FROM t, query_table('x')",
        "SELECT id FROM t USING SAMPLE 3",
    ],
)
def test_a_clock_that_decides_rows_moves_them(query: str) -> None:
    rows, _ = _moving(query, "duckdb")
    assert rows


@pytest.mark.parametrize(
    "query",
    [
        "SELECT id, now() AS c FROM t",
        "SELECT id, uuid() AS c, random() AS d, current_user AS e FROM t",
        "WITH s AS (SELECT *, now() AS n FROM t), final AS (SELECT id, n FROM s) SELECT * FROM final",
        "SELECT id, now() AS c FROM t UNION ALL SELECT id, at FROM t",
        "SELECT id, max(at) AS m, now() AS c FROM t GROUP BY ALL",
        "SELECT id, max(now()) AS c FROM t GROUP BY id",
        "SELECT id, row_number() OVER (ORDER BY id) AS n, now() AS c FROM t",
        "SELECT id, current_date - day AS age FROM t",
        "SELECT id, now() AS c FROM t ORDER BY c",
    ],
)
def test_a_clock_that_fills_a_column_moves_no_row(query: str) -> None:
    rows, columns = _moving(query, "duckdb")
    assert not rows
    assert any(columns)
