"""What belongs to a table (indexes, grants, comments, views that others built on it) through rebuilds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from lawful import Lawful
from on_postgres import LawfulPostgres

from sqlflow.cli.build import Options, build
from sqlflow.core.diagnostics import ProjectError

ORDERS = "SELECT id, day, amount FROM ext.orders"


@pytest.fixture
def there(tmp_path: Path) -> Iterator[LawfulPostgres]:
    project = LawfulPostgres(tmp_path)
    project.begin({"models/marts/orders.sql": f"-- @index: day\n{ORDERS}"})
    _orders(project)
    yield project
    project.drop()


def _orders(project: Lawful) -> None:
    project.sql(
        "CREATE SCHEMA ext",
        "CREATE TABLE ext.orders (id INTEGER, day DATE, amount INTEGER)",
        "INSERT INTO ext.orders VALUES (1, '2024-01-01', 5), (2, '2024-01-02', 6)",
    )


def _ask(project: LawfulPostgres, query: str) -> list[tuple[object, ...]]:
    with psycopg.connect(project.url, autocommit=True) as connection:
        cursor = connection.execute(query)
        return cursor.fetchall() if cursor.description is not None else []


def _built(project: Lawful) -> None:
    built = project.build()
    assert built.code == 0, built.told
    assert project.planned() == []


def _change(project: Lawful, rows: str = "(3, '2024-01-03', 7)") -> None:
    project.sql(f"INSERT INTO ext.orders VALUES {rows}")


def test_grants_comments_and_views_of_others_outlive_a_rebuild(there: LawfulPostgres) -> None:
    _built(there)
    _ask(there, "CREATE VIEW public.report AS SELECT day, amount FROM marts.orders")
    _ask(there, "GRANT SELECT ON marts.orders TO PUBLIC")
    _ask(there, "COMMENT ON TABLE marts.orders IS 'all orders'")
    before = _ask(there, "SELECT 'marts.orders'::regclass::oid")
    _change(there)
    _built(there)
    there.write({"models/marts/orders.sql": f"-- @index: day\n{ORDERS} WHERE amount > 5"})
    _built(there)
    assert _ask(there, "SELECT count(*) FROM public.report") == [(2,)]
    assert _ask(there, "SELECT 'marts.orders'::regclass::oid") == before
    assert _ask(there, "SELECT obj_description('marts.orders'::regclass)") == [("all orders",)]
    assert _ask(there, "SELECT has_table_privilege('pg_monitor', 'marts.orders', 'SELECT')") == [(True,)]


def test_a_view_of_somebody_else_stops_a_change_of_columns_and_is_named(there: LawfulPostgres) -> None:
    _built(there)
    _ask(there, "CREATE VIEW public.report AS SELECT day, amount FROM marts.orders")
    there.write({"models/marts/orders.sql": "SELECT id, day, CAST(amount AS BIGINT) AS amount FROM ext.orders"})
    built = there.build()
    assert built.code == 1
    assert "view report depends on table marts.orders" in built.told
    assert "not SQLFlow's" in built.told
    assert _ask(there, "SELECT count(*) FROM public.report") == [(2,)]
    _ask(there, "DROP VIEW public.report")
    _built(there)


def test_views_of_the_project_are_made_again_over_other_columns(there: LawfulPostgres) -> None:
    there.write(
        {
            "models/marts/daily.sql": "-- @mode: view\nSELECT day, amount FROM marts.orders",
            "models/marts/top.sql": "-- @mode: view\nSELECT day FROM marts.daily WHERE amount > 5",
        }
    )
    _built(there)
    _ask(there, "GRANT SELECT ON marts.daily TO PUBLIC")
    _ask(there, "GRANT SELECT ON marts.orders TO PUBLIC")
    there.write({"models/marts/orders.sql": "SELECT id, day, CAST(amount AS BIGINT) AS amount FROM ext.orders"})
    _built(there)
    assert _ask(there, "SELECT day::text FROM marts.top") == [("2024-01-02",)]
    for table in ("daily", "orders"):
        assert _ask(there, f"SELECT has_table_privilege('pg_monitor', 'marts.{table}', 'SELECT')") == [(True,)]


def test_options_of_views_and_grants_on_columns_or_to_be_handed_on_are_kept(there: LawfulPostgres) -> None:
    first, second = "SELECT id, day, amount FROM marts.orders", "SELECT id, day, amount AS amount FROM marts.orders"
    there.write({"models/marts/seen.sql": f"-- @mode: view\n{first}"})
    _built(there)
    _ask(there, "DROP ROLE IF EXISTS sqlflow_reader")
    _ask(there, "CREATE ROLE sqlflow_reader")
    try:
        _ask(there, "ALTER VIEW marts.seen SET (security_barrier = true)")
        _ask(there, "GRANT SELECT ON marts.seen TO sqlflow_reader WITH GRANT OPTION")
        _ask(there, "GRANT SELECT (id, amount) ON marts.orders TO sqlflow_reader")
        there.write({"models/marts/seen.sql": f"-- @mode: view\n{second}"})  # replaced as it stands
        _built(there)
        assert _ask(there, _OPTIONS) == [(["security_barrier=true"],)]
        there.write({"models/marts/orders.sql": ORDERS.replace("amount", "CAST(amount AS BIGINT) AS amount")})
        _built(there)  # both are dropped and made again
        assert _ask(there, _OPTIONS) == [(["security_barrier=true"],)]
        granted = "has_table_privilege('sqlflow_reader', 'marts.seen', 'SELECT WITH GRANT OPTION')"
        assert _ask(there, f"SELECT {granted}") == [(True,)]
        columns = [_ask(there, f"SELECT has_column_privilege('sqlflow_reader', 'marts.orders', '{c}', 'SELECT')")
                   for c in ("id", "day", "amount")]  # fmt: skip
        assert columns == [[(True,)], [(False,)], [(True,)]]
        there.write({"models/marts/seen.sql": "-- @mode: view\nSELECT id FROM marts.orders",
                     "models/marts/orders.sql": "SELECT id, day FROM ext.orders"})  # fmt: skip
        _built(there)
        assert _ask(there, "SELECT has_column_privilege('sqlflow_reader', 'marts.orders', 'id', 'SELECT')") == [(True,)]
    finally:
        _ask(there, "DROP OWNED BY sqlflow_reader")
        _ask(there, "DROP ROLE sqlflow_reader")


_OPTIONS = "SELECT reloptions FROM pg_class WHERE oid = 'marts.seen'::regclass"


def test_indexes_are_made_kept_and_dropped(there: LawfulPostgres) -> None:
    def standing() -> list[str]:
        rows = _ask(there, "SELECT indexdef FROM pg_indexes WHERE schemaname = 'marts' ORDER BY 1")
        return [str(row[0]).partition(" ON ")[2] for row in rows]

    _built(there)
    assert standing() == ["marts.orders USING btree (day)"]
    _change(there)
    _built(there)
    assert standing() == ["marts.orders USING btree (day)"]
    more = "-- @index: [day, [day, id], {columns: [amount], using: brin, where: amount > 1}, {columns: id, unique: true}]\n"
    there.write({"models/marts/orders.sql": more + ORDERS})
    _built(there)
    assert len(standing()) == 4
    _change(there, "(4, '2024-01-04', 8)")
    _built(there)
    assert len(standing()) == 4
    there.write({"models/marts/orders.sql": ORDERS})
    _built(there)
    assert standing() == []


def test_duckdb_has_plain_indexes_only(tmp_path: Path) -> None:
    project = Lawful(tmp_path)
    project.begin({"models/marts/orders.sql": f"-- @index: [day, [day, id]]\n{ORDERS}"})
    _orders(project)
    _built(project)
    count = "SELECT count(*) FROM duckdb_indexes() WHERE table_name = 'orders'"
    assert project.rows(count) == [(2,)]
    _change(project)
    _built(project)
    assert project.rows(count) == [(2,)]
    project.write({"models/marts/orders.sql": f"-- @index: {{columns: id, unique: true}}\n{ORDERS}"})
    with pytest.raises(ProjectError, match="engine-option"):
        project.build()
    project.write({"models/marts/orders.sql": ORDERS})
    _built(project)
    assert project.rows(count) == [(0,)]


@pytest.mark.parametrize(
    "header",
    [
        "@mode: merge\n-- @key: id\n-- @cursor: day",
        "@mode: append\n-- @cursor: day",
        "@mode: incremental\n-- @time: day",
    ],
)
def test_indexes_and_every_way_of_writing(tmp_path: Path, header: str) -> None:
    there = LawfulPostgres(tmp_path / "postgres")
    for project in (Lawful(tmp_path / "duckdb"), there):
        project.begin({"models/marts/orders.sql": f"-- {header}\n-- @index: [day, id]\n{ORDERS}"})
        _orders(project)
        _built(project)
        _change(project)
        _built(project)
        _change(project, "(4, '2024-01-03', 8), (5, '2024-01-05', 9)")
        project.sql("UPDATE ext.orders SET amount = 50 WHERE id = 3")
        _built(project)
        assert project.build(full_refresh=True).code == 0
        rows = project.rows("SELECT id, amount FROM marts.orders ORDER BY id")
        assert rows == [(1, 5), (2, 6), (3, 50), (4, 8), (5, 9)]
    there.drop()


PARTED = "-- @mode: incremental\n-- @time: day\n-- @partition_by: {by: month, column: day}\n-- @index: id\n"


def test_a_partitioned_table_gets_its_partitions_and_loses_them(there: LawfulPostgres) -> None:
    def parts() -> list[str]:
        rows = _ask(
            there,
            "SELECT c.oid::regclass::text, pg_get_expr(c.relpartbound, c.oid) FROM pg_inherits AS i JOIN pg_class AS c "
            "ON c.oid = i.inhrelid WHERE i.inhparent = 'marts.orders'::regclass AND c.relkind = 'r' ORDER BY c.relname",
        )
        return [f"{bounds}: {_ask(there, f'SELECT count(*) FROM {name}')[0][0]}" for name, bounds in rows]

    there.write({"models/marts/orders.sql": PARTED + ORDERS})
    _change(there, "(3, '2024-02-03', 7), (4, NULL, 8), (5, 'infinity', 9)")
    _built(there)
    january, february = (
        "FOR VALUES FROM ('2024-01-01') TO ('2024-02-01')",
        "FOR VALUES FROM ('2024-02-01') TO ('2024-03-01')",
    )
    assert parts() == [f"{january}: 2", f"{february}: 1", "DEFAULT: 2"]
    _ask(there, "GRANT SELECT ON marts.orders TO PUBLIC")
    _ask(there, "CREATE VIEW public.report AS SELECT day, amount FROM marts.orders")
    there.sql("DELETE FROM ext.orders WHERE id = 3", "UPDATE ext.orders SET amount = 50 WHERE id = 1")
    _change(there, "(6, '2024-04-30', 10), (7, '2023-12-31', 11)")
    _built(there)
    december, april = (
        "FOR VALUES FROM ('2023-12-01') TO ('2024-01-01')",
        "FOR VALUES FROM ('2024-04-01') TO ('2024-05-01')",
    )
    assert parts() == [f"{december}: 1", f"{january}: 2", f"{april}: 1", "DEFAULT: 2"]
    rows = [(1, 50), (2, 6), (4, 8), (5, 9), (6, 10), (7, 11)]
    assert there.rows("SELECT id, amount FROM marts.orders ORDER BY id") == rows
    assert there.build(full_refresh=True).code == 0
    assert there.rows("SELECT id, amount FROM marts.orders ORDER BY id") == rows
    assert _ask(there, "SELECT count(*) FROM public.report") == [(6,)]
    indexed = "SELECT count(*) FROM pg_indexes WHERE tablename = 'orders' AND indexdef LIKE '%(id)'"
    assert _ask(there, indexed) == [(1,)]


def test_a_table_becomes_partitioned_and_plain_again(there: LawfulPostgres) -> None:
    kind = "SELECT relkind::text FROM pg_class WHERE oid = 'marts.orders'::regclass"
    for header, expected in (("", "r"), (PARTED, "p"), (PARTED.replace("month", "week"), "p"), ("", "r")):
        there.write({"models/marts/orders.sql": header + ORDERS})
        _built(there)
        assert _ask(there, kind) == [(expected,)]
        assert there.rows("SELECT count(*) FROM marts.orders") == [(2,)]


@pytest.mark.parametrize(
    "header",
    ["@mode: merge\n-- @key: id\n-- @cursor: day", "@mode: append\n-- @cursor: day", "@mode: auto", "@strategy: delta"],
)
def test_partitions_and_every_way_of_writing(there: LawfulPostgres, header: str) -> None:
    there.write({"models/marts/orders.sql": f"-- {header}\n-- @partition_by: {{column: day, by: week}}\n{ORDERS}"})
    _built(there)
    for number in range(3, 6):
        _change(there, f"({number}, '2024-0{number}-01', {number})")
        _built(there)
    assert there.rows("SELECT id, amount FROM marts.orders ORDER BY id") == [(1, 5), (2, 6), (3, 3), (4, 4), (5, 5)]
    rest = "SELECT count(*) FROM marts.orders_prest"
    assert _ask(there, rest) == [(0,)]


def test_a_dry_run_shows_the_statements_of_the_server_and_writes_nothing(
    there: LawfulPostgres, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAWFUL_URL", there.url)
    there.write(
        {
            "seeds/sizes.csv": "id,size\n1,small\n",
            "models/marts/sized.sql": "-- @mode: merge\n-- @key: id\nSELECT id, size FROM sizes",
        }
    )
    for _ in range(2):
        before = _ask(there, "SELECT oid, relname, relfilenode FROM pg_class WHERE relpersistence <> 't' ORDER BY 1")
        assert build(Options(project=there.root, dry_run=True, sql=True, wait=0)) == 0
        shown = capsys.readouterr().out
        assert "copy into the table what DuckDB reads from" in shown
        assert "CREATE OR REPLACE" not in shown
        assert (
            _ask(there, "SELECT oid, relname, relfilenode FROM pg_class WHERE relpersistence <> 't' ORDER BY 1")
            == before
        )
        _built(there)
        there.write({"seeds/sizes.csv": "id,size\n1,small\n2,large\n"})
