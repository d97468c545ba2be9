"""Which orders leave it open which of two rows comes first: then the same rows may give another result."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from markdown_cases import CONFIG

from sqlflow.compiler.following.shape import find_shape
from sqlflow.core.engine import Binder
from sqlflow.core.following import Shape
from sqlflow.core.names import TableName
from sqlflow.core.schema import Column, Schema
from sqlflow.engines.duckdb import open_binder
from sqlflow.project.config import read_config

_EVENTS, _USERS = TableName("main", "events"), TableName("main", "users")
_COLUMNS = {
    _EVENTS: Schema(tuple(Column(n, "INTEGER") for n in ("id", "user_id", "at", "amount", "shop"))),
    _USERS: Schema((Column("user_id", "INTEGER"), Column("name", "VARCHAR"))),
}
_KEYS = {_EVENTS: (frozenset({"id"}),), _USERS: (frozenset({"user_id"}),)}


@pytest.fixture(scope="module")
def binder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Binder]:
    root = tmp_path_factory.mktemp("ties")
    (root / "sqlflow.yml").write_text(CONFIG)
    made = open_binder(read_config(root, None, {}, {}), files=())
    for table, schema in _COLUMNS.items():
        made.define(table, schema)
    yield made
    made.close()


def _shape(query: str, binder: Binder) -> Shape:
    reads = {key: table for table in _COLUMNS for key in (table.key, ("", table.name))}
    return find_shape(query, lambda _: None, reads, _COLUMNS, "duckdb", binder, keys=_KEYS)


@pytest.mark.parametrize(
    "query",
    [
        "SELECT * FROM main.events QUALIFY row_number() OVER (PARTITION BY user_id ORDER BY at DESC) = 1",
        "SELECT * FROM (SELECT *, row_number() OVER (PARTITION BY user_id ORDER BY at) AS n FROM main.events) WHERE n = 1",
        "SELECT id, row_number() OVER w AS n FROM main.events WINDOW w AS (PARTITION BY user_id ORDER BY at)",
        "SELECT id, row_number() OVER () AS n FROM main.events",
        "SELECT id, lag(amount) OVER (PARTITION BY user_id ORDER BY at) AS before FROM main.events",
        "SELECT id, first_value(amount) OVER (PARTITION BY user_id ORDER BY at) AS a FROM main.events",
        "SELECT id, sum(amount) OVER (PARTITION BY user_id ORDER BY at ROWS 3 PRECEDING) AS a FROM main.events",
        "SELECT user_id, arg_max(amount, at) AS latest FROM main.events GROUP BY user_id",
        "SELECT user_id, min_by(amount, at) AS latest FROM main.events GROUP BY user_id",
        "SELECT user_id, first(amount ORDER BY at) AS a FROM main.events GROUP BY user_id",
        "SELECT user_id, list(amount ORDER BY at) AS a FROM main.events GROUP BY user_id",
        "SELECT user_id, string_agg(shop::VARCHAR, ',' ORDER BY at) AS a FROM main.events GROUP BY user_id",
        "SELECT user_id, any_value(amount) AS a FROM main.events GROUP BY user_id",
        "SELECT user_id, string_agg(shop::VARCHAR, ',') AS a FROM main.events GROUP BY user_id",
        "SELECT DISTINCT ON (user_id) user_id, amount FROM main.events ORDER BY user_id, at",
        "SELECT e.id, name, row_number() OVER (ORDER BY e.id) AS n FROM main.events AS e JOIN main.users AS u ON u.name <> e.shop::VARCHAR",
        "SELECT user_id, total, row_number() OVER (ORDER BY total) AS n "
        "FROM (SELECT user_id, sum(amount) AS total FROM main.events GROUP BY user_id)",
        "SELECT id FROM main.events ORDER BY at LIMIT 3",
    ],
)
def test_a_query_in_which_rows_may_tie_is_not_followed_and_may_give_other_rows(query: str, binder: Binder) -> None:
    refusal = _shape(query, binder).refusal
    assert refusal is not None
    assert refusal.loose


@pytest.mark.parametrize(
    "query",
    [
        "SELECT * FROM main.events QUALIFY row_number() OVER (PARTITION BY user_id ORDER BY at DESC, id) = 1",
        "SELECT * FROM (SELECT *, row_number() OVER (PARTITION BY user_id ORDER BY at, id) AS n FROM main.events) WHERE n = 1",
        "SELECT id, row_number() OVER w AS n FROM main.events WINDOW w AS (PARTITION BY user_id ORDER BY at, id)",
        "SELECT id, user_id, rank() OVER (PARTITION BY user_id ORDER BY at) AS n FROM main.events",
        "SELECT id, user_id, sum(amount) OVER (PARTITION BY user_id ORDER BY at) AS a FROM main.events",
        "SELECT id, user_id, sum(amount) OVER (PARTITION BY user_id) AS a FROM main.events",
        "SELECT user_id, arg_max(amount, id) AS latest FROM main.events GROUP BY user_id",
        "SELECT user_id, list(amount ORDER BY amount) AS a FROM main.events GROUP BY user_id",
        "SELECT user_id, list(amount ORDER BY at, id) AS a FROM main.events GROUP BY user_id",
        "SELECT DISTINCT ON (user_id) user_id, amount FROM main.events ORDER BY user_id, at, id",
        "SELECT e.user_id, name, row_number() OVER (PARTITION BY e.user_id ORDER BY e.id) AS n "
        "FROM main.events AS e JOIN main.users AS u ON u.user_id = e.user_id",
        "SELECT e.user_id, name, row_number() OVER (PARTITION BY e.user_id ORDER BY e.id) AS n "
        "FROM main.events AS e LEFT JOIN main.users AS u USING (user_id)",
        "WITH s AS (SELECT id, user_id AS who, at FROM main.events WHERE amount > 0) "
        "SELECT who, id, row_number() OVER (PARTITION BY who ORDER BY at, id) AS n FROM s",
        "SELECT user_id, at, row_number() OVER (PARTITION BY user_id ORDER BY at) AS n FROM main.events",
        "SELECT DISTINCT ON (user_id) user_id, at FROM main.events ORDER BY user_id, at",
        "SELECT user_id, total, row_number() OVER (PARTITION BY user_id ORDER BY total) AS n "
        "FROM (SELECT user_id, sum(amount) AS total FROM main.events GROUP BY user_id)",
    ],
)
def test_an_order_that_has_a_declared_key_is_total(query: str, binder: Binder) -> None:
    refusal = _shape(query, binder).refusal
    assert refusal is None or not refusal.loose
