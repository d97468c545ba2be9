"""`histories.sql` puts the versions that dbt gathered into the tables that SQLFlow keeps, and they go on from there."""

from __future__ import annotations

from pathlib import Path

import duckdb
from markdown_cases import sqlflow

_SNAPSHOTS = """\
{% snapshot by_time %}
{{ config(target_schema='hist', unique_key='id', strategy='timestamp', updated_at='changed', hard_deletes='new_record') }}
select * from {{ source('raw', 'people') }}
{% endsnapshot %}
{% snapshot by_city %}
{{ config(target_schema='hist', unique_key='id', strategy='check', check_cols=['city'], dbt_valid_to_current="date '9999-12-31'") }}
select id, city from {{ source('raw', 'people') }}
{% endsnapshot %}
"""
_BY_DBT = """\
CREATE SCHEMA raw;
CREATE TABLE raw.people AS SELECT * FROM (VALUES
  (1, 'Bonn', TIMESTAMP '2024-01-05'), (2, 'Kiel', TIMESTAMP '2024-01-01')) AS t(id, city, changed);
CREATE SCHEMA hist;
CREATE TABLE hist.by_time AS SELECT id, city, changed, 'x' AS dbt_scd_id, changed AS dbt_updated_at, changed AS dbt_valid_from,
  ends::TIMESTAMP AS dbt_valid_to, gone AS dbt_is_deleted FROM (VALUES
    (1, 'Köln', TIMESTAMP '2024-01-01', NULL, 'False'), (2, 'Kiel', TIMESTAMP '2024-01-01', NULL, 'False'),
    (3, 'Jena', TIMESTAMP '2024-01-01', TIMESTAMP '2024-01-03', 'False'), (3, 'Jena', TIMESTAMP '2024-01-03', NULL, 'True')
  ) AS t(id, city, changed, ends, gone);
CREATE TABLE hist.by_city AS SELECT id, city, 'x' AS dbt_scd_id, began AS dbt_updated_at, began AS dbt_valid_from, ends AS dbt_valid_to
  FROM (VALUES (1, 'Ulm', TIMESTAMP '2023-01-01', TIMESTAMP '2024-01-01'), (1, 'Köln', TIMESTAMP '2024-01-01', TIMESTAMP '9999-12-31'),
    (2, 'Kiel', TIMESTAMP '2024-01-01', TIMESTAMP '9999-12-31')) AS t(id, city, began, ends);
"""


def test_versions_of_dbt_are_taken_over_and_go_on(tmp_path: Path) -> None:
    _write(tmp_path / "dbt/dbt_project.yml", "name: shop\n")
    _write(tmp_path / "dbt/snapshots/s.sql", _SNAPSHOTS)
    _write(tmp_path / "dbt/models/sources.yml", "sources: [{name: raw, tables: [{name: people}]}]\n")
    assert sqlflow(tmp_path, "sqlflow migrate dbt dbt --out new").code == 0
    text = (tmp_path / "new/histories.sql").read_text(encoding="utf-8")
    renames = "\n".join(line.removeprefix("--") for line in text.splitlines() if "ALTER TABLE" in line)
    _run(tmp_path, _BY_DBT)
    _run(tmp_path, renames)
    assert sqlflow(tmp_path, "sqlflow build +mode:snapshot --project new").code == 0
    _run(tmp_path, text)
    assert _rows(tmp_path, "SELECT id, city, dbt_valid_from, dbt_valid_to, is_current, dbt_is_deleted FROM hist.by_time") == {
        (1, "Köln", "2024-01-01 00:00:00", "2024-01-05 00:00:00", False, False),
        (1, "Bonn", "2024-01-05 00:00:00", None, True, False),
        (2, "Kiel", "2024-01-01 00:00:00", None, True, False),
        (3, "Jena", "2024-01-01 00:00:00", "2024-01-03 00:00:00", False, False),
        (3, "Jena", "2024-01-03 00:00:00", None, False, True),
    }  # fmt: skip
    _run(tmp_path, "UPDATE raw.people SET city = 'Wesel', changed = TIMESTAMP '2024-02-01' WHERE id = 2")
    ran = sqlflow(tmp_path, "sqlflow build --project new")
    assert ran.code == 0, ran.err
    assert sqlflow(tmp_path, "sqlflow verify --project new").code == 0
    assert _rows(tmp_path, "SELECT id, city, is_current FROM hist.by_time WHERE id = 2") == {
        (2, "Kiel", False), (2, "Wesel", True),
    }  # fmt: skip
    assert _rows(tmp_path, "SELECT id, city, is_current, year(dbt_valid_to) = 9999 FROM hist.by_city") == {
        (1, "Ulm", False, False), (1, "Köln", False, False), (1, "Bonn", True, True), (2, "Kiel", False, False), (2, "Wesel", True, True),
    }  # fmt: skip


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def _run(root: Path, sql: str) -> None:
    with duckdb.connect(str(root / "new/shop.duckdb")) as connection:
        connection.execute(sql)


def _rows(root: Path, sql: str) -> set[tuple[object, ...]]:
    with duckdb.connect(str(root / "new/shop.duckdb"), read_only=True) as connection:
        found = connection.execute(sql).fetchall()
    plain = [
        tuple(one if one is None or isinstance(one, bool | int | str) else str(one) for one in row) for row in found
    ]
    assert len(set(plain)) == len(plain)
    return set(plain)
