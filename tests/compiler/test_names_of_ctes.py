"""Which names of a query are tables and which are CTEs: our two readers against what the engines do.

The engine tells by itself: a query that reads the table fails when the table is gone.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import duckdb
import psycopg
import pytest
from laboratory import LABS, Lab

from sqlflow.core.config import Config, Target
from sqlflow.core.engine import BindError
from sqlflow.core.source import SourceFile
from sqlflow.core.syntax import named_tables, parse_tree
from sqlflow.engines.duckdb import open_binder

QUERIES = [
    "SELECT id FROM orders",
    "WITH orders AS (SELECT id FROM orders) SELECT id FROM orders",
    "WITH orders AS (SELECT 1 AS id) SELECT id FROM orders",
    "WITH orders AS (SELECT 1 AS id) SELECT id FROM main.orders",
    "WITH first AS (SELECT id FROM orders), orders AS (SELECT 1 AS id) SELECT f.id FROM first AS f, orders AS o",
    "WITH orders AS (SELECT 1 AS id), second AS (SELECT id FROM orders) SELECT id FROM second",
    "WITH a AS (WITH orders AS (SELECT 1 AS id) SELECT id FROM orders) SELECT id FROM a",
    "WITH a AS (WITH orders AS (SELECT 1 AS id) SELECT id FROM orders), b AS (SELECT id FROM orders) SELECT a.id FROM a, b",
    "SELECT x.id FROM (WITH orders AS (SELECT 1 AS id) SELECT id FROM orders) AS x, orders AS o",
    "SELECT x.id FROM (WITH orders AS (SELECT 1 AS id) SELECT id FROM orders) AS x",
    "SELECT (WITH orders AS (SELECT 1 AS id) SELECT max(id) FROM orders) AS a",
    "SELECT (WITH orders AS (SELECT 1 AS id) SELECT max(id) FROM orders) AS a FROM orders",
    "WITH orders AS (SELECT 1 AS id) SELECT id FROM (SELECT id FROM Orders) AS x",
    'WITH orders AS (SELECT 1 AS id) SELECT id FROM "orders"',
    "WITH orders AS (SELECT 1 AS id) SELECT 2 AS id WHERE EXISTS (SELECT 1 FROM orders)",
    "(WITH orders AS (SELECT 1 AS id) SELECT id FROM orders) UNION ALL SELECT id FROM orders",
    "WITH orders AS (SELECT 1 AS id) SELECT id FROM orders UNION ALL SELECT id FROM orders",
    "WITH RECURSIVE orders AS (SELECT 1 AS id UNION ALL SELECT id + 1 FROM orders WHERE id < 3) SELECT id FROM orders",
    "WITH RECURSIVE o AS (SELECT id FROM orders UNION ALL SELECT id + 1 FROM o WHERE id < 3) SELECT id FROM o",
    "WITH RECURSIVE a AS (SELECT 1 AS id UNION ALL SELECT id + 1 FROM a WHERE id < 3), b AS (SELECT id FROM orders) SELECT id FROM b",
    "WITH RECURSIVE orders AS (SELECT 1 AS id UNION ALL (SELECT o.id + 1 FROM (SELECT id FROM orders) AS o WHERE id < 3)) SELECT id FROM orders",
]
OF_DUCKDB = [
    "WITH RECURSIVE orders AS (SELECT id FROM orders UNION ALL SELECT id + 1 FROM orders WHERE id < 3) SELECT id FROM orders",
    "WITH RECURSIVE orders AS (SELECT id FROM orders) SELECT id FROM orders",
    "WITH RECURSIVE a AS (SELECT id FROM orders), orders AS (SELECT 1 AS id) SELECT id FROM a",
    "WITH RECURSIVE orders(id) USING KEY (id) AS (SELECT 1 UNION SELECT o.id + 1 FROM recurring.orders AS o WHERE o.id < 3) SELECT id FROM orders",
    "FROM orders SELECT id",
    "WITH orders AS (FROM orders) FROM orders",
    # sqlglot cannot read a CTE of this name
    "WITH values AS (SELECT id FROM orders), orders AS (SELECT id FROM orders) SELECT orders.id FROM orders, values",
    "WITH values AS (SELECT 1 AS id), orders AS (SELECT id FROM values) SELECT id FROM orders",
    "WITH orders AS (SELECT 1 AS id), values AS (SELECT id FROM orders) SELECT id FROM values",
]
OF_POSTGRES = [
    "WITH RECURSIVE a AS (SELECT id FROM orders), orders AS (SELECT 1 AS id) SELECT id FROM a",
    "WITH a AS (SELECT id FROM orders), orders AS (SELECT 1 AS id) SELECT id FROM a",
    "WITH RECURSIVE orders AS (SELECT 1 AS id), a AS (SELECT id FROM orders) SELECT id FROM a",
]


def reads_orders(lab: Lab, query: str) -> bool:
    """Whether the query fails when there is no table `orders`, and only then.

    A CTE that reads a table of its own name is told by DuckDB as one that reads itself.
    """
    lab.run("CREATE TABLE main.orders (id INTEGER)")
    lab.rows(query)
    lab.run("DROP TABLE main.orders")
    try:
        lab.rows(query)
    except (duckdb.CatalogException, duckdb.BinderException, psycopg.errors.UndefinedTable):
        return True
    return False


@pytest.fixture(scope="module", params=["duckdb", "postgres"])
def lab(request: pytest.FixtureRequest) -> Iterator[Lab]:
    with LABS[request.param]() as lab:
        if request.param == "postgres":
            lab.run("CREATE SCHEMA main", "SET search_path = main")
        yield lab


def named(query: str, dialect: str) -> bool:
    tree = parse_tree(query, dialect)
    return tree is not None and any(table.name.lower() == "orders" for table in named_tables(tree, query, dialect)[0])


@pytest.mark.parametrize("query", [*QUERIES, *OF_DUCKDB, *OF_POSTGRES])
def test_a_name_is_a_table_where_the_engine_takes_it_for_one(lab: Lab, query: str) -> None:
    dialect = lab.traits.dialect
    if query in (OF_POSTGRES if dialect == "duckdb" else OF_DUCKDB) or parse_tree(query, dialect) is None:
        pytest.skip("not a query of this dialect that our own reader reads")
    assert named(query, dialect) == reads_orders(lab, query)


@pytest.mark.parametrize("query", [*QUERIES, *OF_DUCKDB])
def test_the_tables_in_the_tree_of_duckdb_are_the_same(tmp_path: Path, query: str) -> None:
    target = Target("dev", "duckdb", {})
    binder = open_binder(
        Config(tmp_path, SourceFile(PurePosixPath("sqlflow.yml"), ""), "names", target, {"dev": target}), files=()
    )
    found = binder.parse(query)
    binder.close()
    assert not isinstance(found, BindError)
    with LABS["duckdb"]() as lab:
        assert any(table.name.lower() == "orders" for table in found) == reads_orders(lab, query)
