"""The self-check and `sqlflow verify` on larger and odder tables than the cases in cases/verify.md can show."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from markdown_cases import CONFIG, change_database, sqlflow
from opened import opened

GROUPS = 60_000
PARTS = 6  # of a table with so many rows; see plan/selfcheck.py

MODELS = {
    "per_shop": "-- @strategy: delta\nSELECT shop, count(*) AS n, sum(amount) AS total FROM ext.sales GROUP BY shop",
    "mean": "-- @strategy: delta\nSELECT shop, avg(price) AS mean, max(price) AS top FROM ext.sales GROUP BY shop",
    "kept": "-- @strategy: delta\n-- @key: [shop, amount]\nSELECT shop, amount, price FROM ext.sales WHERE amount >= 0",
}


def make(root: Path, every: int, models: dict[str, str], sales: str) -> None:
    """A project whose only source is ext.sales, made of a query."""
    files = {
        "sqlflow.yml": CONFIG + f"verify_every: {every}\n",
        "sources/sales.yml": "ext.sales: {table: ext.sales}\n",
        **{f"models/{name}.sql": text for name, text in models.items()},
    }
    for path, text in files.items():
        place = root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
    change_database(root, f"CREATE SCHEMA ext; CREATE TABLE ext.sales AS {sales}")


def sell(root: Path, shop: int = 1) -> None:
    change_database(root, f"INSERT INTO ext.sales (shop, amount, price) VALUES ({shop}, 100, 0.5)")


def number(root: Path, query: str) -> int:
    with opened(root / "tiny.duckdb", read_only=True) as connection:
        row = connection.execute(query).fetchone()
    assert row is not None
    return int(row[0])


def test_each_self_check_takes_another_part_of_a_large_table_until_all_are_done(tmp_path: Path) -> None:
    sales = f"SELECT i AS shop, i AS amount, i / 7 AS price FROM range({GROUPS}) t(i)"
    make(tmp_path, 1, {"per_shop": MODELS["per_shop"]}, sales)
    assert sqlflow(tmp_path, "sqlflow build").code == 0
    change_database(tmp_path, "UPDATE main.per_shop SET total = -1 WHERE shop = 4711")
    codes, sizes = [], []
    for _ in range(PARTS):
        sell(tmp_path)
        ran = sqlflow(tmp_path, "sqlflow build --json")
        codes.append(ran.code)
        sizes.append(int(re.findall(r'"checked_rows": ?(\d+)', ran.out)[0]))
        if ran.code:
            assert '"self-check-failed"' in ran.out
            break
    assert codes[-1] == 1, "one of the parts has the row"
    assert len(codes) > 1 or sizes[0] < GROUPS / 3
    assert all(GROUPS / PARTS / 2 < size < GROUPS / PARTS * 2 for size in sizes), sizes
    assert number(tmp_path, "SELECT count(*) FROM main.per_shop WHERE total = -1") == 0
    assert sqlflow(tmp_path, "sqlflow verify --release").code == 0
    sell(tmp_path)
    ran = sqlflow(tmp_path, "sqlflow build")
    assert ran.code == 0, ran
    assert "apply changes" in ran.err


def test_parts_add_up_to_the_whole_table(tmp_path: Path) -> None:
    """Also with keys that are NULL."""
    sales = f"SELECT CASE WHEN i < 9 THEN NULL ELSE i END AS shop, i AS amount, 0.5 AS price FROM range({GROUPS}) t(i)"
    make(tmp_path, 1, {"kept": MODELS["kept"]}, sales)
    assert sqlflow(tmp_path, "sqlflow build").code == 0
    found = 0
    for _ in range(PARTS):
        change_database(tmp_path, "INSERT INTO ext.sales VALUES (1, -1, 0)")  # a row that WHERE leaves out
        ran = sqlflow(tmp_path, "sqlflow build --json")
        assert ran.code == 0, ran
        found += int(re.findall(r'"checked_rows": ?(\d+)', ran.out)[0])
    assert found == GROUPS


@pytest.mark.parametrize("name", MODELS)
def test_honest_tables_pass_every_self_check(tmp_path: Path, name: str) -> None:
    sales = "SELECT i % 97 AS shop, i AS amount, sin(i) * 1e6 AS price FROM range(5000) t(i)"
    make(tmp_path, 1, {name: MODELS[name]}, sales)
    assert sqlflow(tmp_path, "sqlflow build").code == 0
    changes = [
        "INSERT INTO ext.sales SELECT i % 5, -1 - i, cos(i) * 1e6 FROM range(500) t(i)",
        "DELETE FROM ext.sales WHERE shop = 3 AND amount % 2 = 0",
        "UPDATE ext.sales SET price = -0.0, shop = NULL WHERE shop = 5",
        "UPDATE ext.sales SET price = 'nan' WHERE shop = 6 AND amount < 1000",
        "DELETE FROM ext.sales WHERE shop IS NULL",
    ]
    for change in changes:
        change_database(tmp_path, change)
        ran = sqlflow(tmp_path, "sqlflow build")
        assert ran.code == 0, (change, ran)
        assert "and check a sample" in ran.err, (change, ran)
        ran = sqlflow(tmp_path, "sqlflow verify")
        assert ran.code == 0, (change, ran)


def test_rows_that_differ_by_rounding_are_equal_whatever_their_order(tmp_path: Path) -> None:
    models = {"pairs": "SELECT x, y FROM ext.sales"}
    make(tmp_path, 0, models, "FROM (VALUES (1.0::DOUBLE, 5.0::DOUBLE), (1.0, 3.0), (2.0, 1.0)) t(x, y)")
    assert sqlflow(tmp_path, "sqlflow build").code == 0
    # Sorted by x, the pairs now come the other way round than in the query.
    change_database(tmp_path, "UPDATE main.pairs SET x = x + 1e-13 WHERE y = 3.0")
    change_database(tmp_path, "UPDATE main.pairs SET x = x + 2e-13 WHERE y = 5.0")
    assert sqlflow(tmp_path, "sqlflow verify").code == 0
    change_database(tmp_path, "INSERT INTO main.pairs VALUES (1.0, 3.0); DELETE FROM main.pairs WHERE y = 5.0")
    ran = sqlflow(tmp_path, "sqlflow verify")
    assert ran.code == 1
    assert "1 only in the query (+), 1 only in the table (-)" in ran.out


def test_columns_that_cannot_be_compared_are_named(tmp_path: Path) -> None:
    models = {"lists": "SELECT shop, list(price ORDER BY amount) AS prices FROM ext.sales GROUP BY shop"}
    make(tmp_path, 0, models, "SELECT 1 AS shop, i AS amount, sqrt(i) AS price FROM range(3) t(i)")
    assert sqlflow(tmp_path, "sqlflow build").code == 0
    ran = sqlflow(tmp_path, "sqlflow verify")
    assert ran.code == 0
    assert "not compared: `prices`" in ran.out


def test_json(tmp_path: Path) -> None:
    make(tmp_path, 0, {"per_shop": MODELS["per_shop"]}, "SELECT 1 AS shop, 2 AS amount, 3 AS price")
    assert sqlflow(tmp_path, "sqlflow build").code == 0
    change_database(tmp_path, "UPDATE main.per_shop SET total = 9")
    for _ in range(2):
        ran = sqlflow(tmp_path, "sqlflow verify per_shop --json")
        assert ran.code == 1
        rows, counters = json.loads(ran.out)["tables"]
        assert {**rows, "seconds": 0} == {
            "table": "main.per_shop",
            "what": "rows",
            "verdict": "differs",
            "rows": 1,
            "missing": 1,
            "surplus": 1,
            "seconds": 0,
            "notes": [],
            "columns": ["shop", "n", "total"],
            "sample": [["+", 1, 1, 2], ["-", 1, 1, 9]],
            "distrusted": False,
            "released": False,
        }
        assert (counters["what"], counters["verdict"]) == ("counters", "equal")


def test_a_failed_self_check_stops_a_build_that_is_to_fail_fast(tmp_path: Path) -> None:
    models = {"per_shop": MODELS["per_shop"], "great": "SELECT shop, total FROM per_shop WHERE total > 1"}
    make(tmp_path, 1, models, "SELECT i % 5 AS shop, i AS amount, 1 AS price FROM range(50) t(i)")
    assert sqlflow(tmp_path, "sqlflow build").code == 0
    change_database(tmp_path, "UPDATE main.per_shop SET total = 9 WHERE shop = 2")
    sell(tmp_path)
    assert sqlflow(tmp_path, "sqlflow build --fail-fast").code == 1
    assert number(tmp_path, "SELECT count(*) FROM main.per_shop WHERE total = 9") == 0
    assert sqlflow(tmp_path, "sqlflow build").code == 0
    assert sqlflow(tmp_path, "sqlflow verify").code == 0


def test_refused_models_do_not_keep_others_from_being_verified(tmp_path: Path) -> None:
    models = {"per_shop": MODELS["per_shop"], "fixed": "-- @full_refresh: never\nSELECT shop FROM ext.sales"}
    make(tmp_path, 0, models, "SELECT 1 AS shop, 2 AS amount, 3 AS price")
    assert sqlflow(tmp_path, "sqlflow build").code == 0
    (tmp_path / "models/fixed.sql").write_text("-- @full_refresh: never\nSELECT shop + 1 AS shop FROM ext.sales")
    ran = sqlflow(tmp_path, "sqlflow verify")
    assert ran.code == 0, ran
    assert "stale    main.fixed  not up to date: `main.fixed` would have to be rebuilt" in ran.out
    assert "equal    main.per_shop" in ran.out
