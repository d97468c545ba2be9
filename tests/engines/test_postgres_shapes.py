"""What queries in PostgreSQL's SQL can follow, with the server as the judge of their functions."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath

import psycopg
import pytest
from on_postgres import drop_database, new_database

from sqlflow.compiler.following.shape import find_shape
from sqlflow.core.config import Config, Target
from sqlflow.core.engine import Binder
from sqlflow.core.following import Shape, Tier
from sqlflow.core.names import TableName
from sqlflow.core.schema import Column, Schema
from sqlflow.core.source import SourceFile
from sqlflow.engines.postgres import open_binder

T, U = TableName("raw", "t"), TableName("raw", "u")
COLUMNS = {
    T: Schema(
        tuple(
            Column(*pair.split(" ", 1))
            for pair in (
                "id INTEGER", "k INTEGER", "g TEXT", "v BIGINT", "d DECIMAL(10,2)", "n DECIMAL", "x DOUBLE PRECISION",
                "r REAL", "b BOOLEAN", "day DATE", "ts TIMESTAMP", "tz TIMESTAMP WITH TIME ZONE", "j JSONB", "c CHAR(5)",
                "a INTEGER[]", "i INTERVAL",
            )
        )
    ),
    U: Schema((Column("id", "INTEGER"), Column("g", "TEXT"), Column("n", "DECIMAL"), Column("c", "CHAR(5)"))),
}  # fmt: skip


@pytest.fixture(scope="module")
def binder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Binder]:
    url = new_database()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE FUNCTION own(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 + 1'")
        connection.execute("CREATE FUNCTION upper(int) RETURNS text LANGUAGE sql VOLATILE AS 'SELECT random()::text'")
        connection.execute("CREATE FUNCTION plus(int, int) RETURNS int LANGUAGE sql VOLATILE AS 'SELECT $1 + $2'")
        connection.execute("CREATE OPERATOR <+> (LEFTARG = int, RIGHTARG = int, FUNCTION = plus)")
        connection.execute("CREATE AGGREGATE max(int[]) (SFUNC = array_cat, STYPE = int[])")
        connection.execute("CREATE SCHEMA raw")
    target = Target("dev", "postgres", {"url": url})
    file = SourceFile(PurePosixPath("sqlflow.yml"), "")
    made_for = Config(tmp_path_factory.mktemp("shapes"), file, "shapes", target, {"dev": target}, "postgres")
    made = open_binder(made_for, files=())
    for table, schema in COLUMNS.items():
        made.define(table, schema)
    yield made
    made.close()
    drop_database(url)


def shape(binder: Binder, query: str) -> Shape:
    reads = {table.key: table for table in COLUMNS}
    return find_shape(query, lambda table: None, reads, COLUMNS, "postgres", binder)


FOLLOWED = {
    "SELECT id, k + 1 AS k, upper(g) AS g FROM raw.t WHERE v > 1": Tier.ADDITIVE,
    "SELECT t.id, u.g FROM raw.t JOIN raw.u ON u.id = t.id": Tier.ADDITIVE,
    "SELECT k, count(*) AS n, sum(v) AS s, sum(k) AS s2, avg(k) AS a FROM raw.t GROUP BY k": Tier.ADDITIVE,
    "SELECT k, sum(d) AS s, avg(d) AS a, sum(d) FILTER (WHERE b) AS f FROM raw.t GROUP BY k": Tier.ADDITIVE,
    "SELECT g, max(v) AS m, bool_or(b) AS o FROM raw.t GROUP BY g": Tier.GROWING,
    "SELECT to_char(ts, 'YYYY-MM') AS m, count(*) AS n FROM raw.t GROUP BY 1": Tier.ADDITIVE,
    "SELECT date_trunc('month', tz) AS m, count(*) AS n FROM raw.t GROUP BY 1": Tier.ADDITIVE,
    "SELECT id, concat(g, k) AS c, tz::date AS d, extract(year FROM tz) AS y FROM raw.t": Tier.ADDITIVE,
    "SELECT DISTINCT g FROM raw.t": Tier.ADDITIVE,
    # what is added up has no scale, or depends on the order
    "SELECT k, sum(n) AS s FROM raw.t GROUP BY k": Tier.KEYS,
    "SELECT k, sum(d * n) AS s FROM raw.t GROUP BY k": Tier.KEYS,
    "SELECT k, sum(x) AS s, avg(r) AS a FROM raw.t GROUP BY k": Tier.KEYS,
    "SELECT k, sum(i) AS s FROM raw.t GROUP BY k": Tier.KEYS,
    "SELECT k, string_agg(g, ',' ORDER BY g, id) AS s FROM raw.t GROUP BY k": Tier.KEYS,
    "SELECT k, array_agg(id ORDER BY id) AS s FROM raw.t GROUP BY k": Tier.KEYS,
    "SELECT k, percentile_cont(0.5) WITHIN GROUP (ORDER BY v) AS s FROM raw.t GROUP BY k": Tier.KEYS,
    "SELECT k, mode() WITHIN GROUP (ORDER BY v) AS s FROM raw.t GROUP BY k": Tier.KEYS,
    "SELECT DISTINCT ON (k) k, id FROM raw.t ORDER BY k, id": Tier.KEYS,
    "SELECT id, row_number() OVER (PARTITION BY k ORDER BY id) AS r, k FROM raw.t": Tier.KEYS,
    "SELECT t.id, l.m FROM raw.t, LATERAL (SELECT t.k + 1 AS m) AS l": Tier.ADDITIVE,
}  # fmt: skip

FOLLOWED["SELECT t.id, s.i FROM raw.t, generate_series(1, t.k) AS s(i)"] = Tier.ADDITIVE
REFUSED = {
    "SELECT id, random() AS r FROM raw.t": "another value",
    "SELECT id, now() AS r FROM raw.t": "",
    "SELECT id, clock_timestamp() AS r FROM raw.t": "another value",
    "SELECT id, statement_timestamp() AS r FROM raw.t": "",
    "SELECT id, gen_random_uuid() AS r FROM raw.t": "another value",
    "SELECT id FROM raw.t WHERE ts > localtimestamp": "",
    "SELECT id, current_setting('x.y', true) AS r FROM raw.t": "",
    "SELECT id, current_user AS r FROM raw.t": "",
    "SELECT id, pg_backend_pid() AS r FROM raw.t": "",
    "SELECT id, age(ts) AS r FROM raw.t": "",
    "SELECT id, to_regclass(g)::text AS r FROM raw.t": "",
    "SELECT id, txid_current() AS r FROM raw.t": "",
    # the database's own, also under the name of one that is known, and behind an operator
    "SELECT own(k) AS r FROM raw.t": "known",
    "SELECT upper(k) AS r FROM raw.t": "changed without a word",
    "SELECT k <+> 1 AS r FROM raw.t": "",
    "SELECT k, max(a) AS r FROM raw.t GROUP BY k": "changed without a word",
    # the order of rows
    "SELECT k, array_agg(id) AS r FROM raw.t GROUP BY k": "ORDER BY",
    "SELECT k, string_agg(g, ',') AS r FROM raw.t GROUP BY k": "ORDER BY",
    "SELECT k, json_agg(id) AS r FROM raw.t GROUP BY k": "ORDER BY",
    "SELECT k, jsonb_agg(g) AS r FROM raw.t GROUP BY k": "ORDER BY",
    "SELECT k, jsonb_object_agg(g, id) AS r FROM raw.t GROUP BY k": "ORDER BY",
    "SELECT k, (SELECT array_agg(u.id) FROM raw.u AS u WHERE u.id = t.id) AS r FROM raw.t GROUP BY k, t.id": "ORDER BY",
    "SELECT id FROM raw.t LIMIT 3": "rows",
    "SELECT id FROM raw.t FETCH FIRST 3 ROWS ONLY": "",
    "SELECT id FROM raw.t ORDER BY k FETCH FIRST 1 ROW WITH TIES": "",
    "SELECT id FROM raw.t OFFSET 1": "",
    "SELECT id FROM raw.t TABLESAMPLE BERNOULLI (10)": "random",
    "SELECT id FROM raw.t FOR UPDATE": "locks",
    "SELECT id, row_number() OVER (ORDER BY id) AS r FROM raw.t": "",
    "SELECT id, regexp_split_to_table(g, ',') AS r FROM raw.t": "",
    "SELECT id, jsonb_array_elements(j) AS r FROM raw.t": "",
    "SELECT xmin, id FROM raw.t": "written",
    "SELECT tableoid AS o, id FROM raw.t": "written",
}  # fmt: skip


@pytest.mark.parametrize(("query", "tier"), FOLLOWED.items())
def test_the_tier_of_a_query(binder: Binder, query: str, tier: Tier) -> None:
    found = shape(binder, query)
    assert (found.tier, found.refusal) == (tier, None)


@pytest.mark.parametrize(("query", "reason"), REFUSED.items())
def test_what_cannot_be_followed_says_why(binder: Binder, query: str, reason: str) -> None:
    found = shape(binder, query)
    assert found.tier is Tier.REFUSED, found
    assert found.refusal is not None
    assert reason in found.refusal.reason


@pytest.mark.parametrize(
    "join",
    ["t.n = u.n", "t.c = u.c"],
)
def test_columns_of_equal_values_with_different_texts_are_no_keys(binder: Binder, join: str) -> None:
    column = join[2]
    found = shape(binder, f"SELECT t.{column} AS key, u.id FROM raw.t LEFT JOIN raw.u ON {join}")
    assert [column in reading.keys for reading in found.readings if reading.table == U] == [False]
