"""What dbt built in PostgreSQL is compared with what SQLFlow builds there, in a copy of that database."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import psycopg
import pytest
from markdown_cases import sqlflow
from on_postgres import drop_database, name_of, new_database

_BY_DBT = """\
CREATE SCHEMA raw; CREATE SCHEMA shop;
CREATE TABLE raw.payments AS SELECT * FROM (VALUES (1, 10), (2, 20), (3, 5)) AS t(id, amount);
CREATE VIEW shop.stg_payments AS SELECT id, amount FROM raw.payments;
CREATE TABLE shop.totals AS SELECT sum(amount) AS total FROM raw.payments;
CREATE TABLE shop.late AS SELECT 1 AS id, 10 AS amount UNION ALL SELECT 2, 21;
CREATE TABLE shop.countries AS SELECT 'DE'::text AS code;
CREATE TABLE shop.asks AS SELECT 7 AS n;
CREATE TABLE shop.below AS SELECT 8 AS n;
CREATE TABLE shop.versions AS SELECT id, amount, 'x'::text AS dbt_scd_id, now()::timestamp AS dbt_updated_at,
  timestamp '2024-01-01' AS dbt_valid_from, CAST(NULL AS timestamp) AS dbt_valid_to FROM raw.payments;
CREATE TABLE shop.counted AS SELECT count(*) AS n FROM shop.versions;
"""
_FILES = {
    "dbt_project.yml": "name: shop\nprofile: shop\nmodels: {shop: {+materialized: table}}\n",
    "seeds/countries.csv": "code\nDE\n",
    "models/sources.yml": "sources: [{name: raw, tables: [{name: payments}]}]\n",
    "models/stg_payments.sql": "{{ config(materialized='view') }}\nselect id, amount from {{ source('raw', 'payments') }}\n",
    "models/totals.sql": "select sum(amount) as total from {{ ref('stg_payments') }}\n",
    "models/late.sql": "select id, amount from {{ ref('stg_payments') }} where id < 3\n",
    "models/asks.sql": "select {{ run_query('select 7') }} as n\n",
    "models/below.sql": "select n + 1 as n from {{ ref('asks') }}\n",
    "models/counted.sql": "select count(*) as n from {{ ref('versions') }}\n",
    "snapshots/s.sql": "{% snapshot versions %}{{ config(unique_key='id', strategy='check', check_cols='all') }}\n"
    "select id, amount from {{ source('raw', 'payments') }}{% endsnapshot %}\n",
}


@pytest.fixture
def database() -> Iterator[str]:
    url = new_database()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(_BY_DBT.encode())
    yield url
    drop_database(url)


def test_tables_that_dbt_built_in_postgres_are_compared_in_a_copy(database: str, tmp_path: Path) -> None:
    _write(tmp_path, database)
    ran = sqlflow(tmp_path, f"sqlflow migrate dbt dbt --out new --verify --dbt-database {database}")
    assert ran.code == 1
    assert ran.out.splitlines()[1:] == [
        "not built  shop.asks  it is not in the new project",
        "differs    shop.late",
        "6 tables compared with dbt's: 5 equal, 1 different; 1 snapshot taken over; 1 not built (see migration-report.md)",
    ]
    report = (tmp_path / "new/migration-report.md").read_text(encoding="utf-8")
    assert f"dbt's tables are those in the database `{name_of(database)}`" in report
    with psycopg.connect(database) as connection:
        rows = connection.execute("SELECT amount FROM shop.late ORDER BY id").fetchall()
        left = connection.execute("SELECT count(*) FROM pg_database WHERE datname LIKE 'sqlflow_test_%'").fetchall()
    again = sqlflow(tmp_path, "sqlflow migrate dbt dbt --out new --verify")
    assert again.out == ran.out, again.err
    assert rows == [(10,), (21,)]
    assert left == [(0,)]


def test_a_database_that_others_use_cannot_be_copied_and_that_is_said(database: str, tmp_path: Path) -> None:
    _write(tmp_path, database)
    with psycopg.connect(database):
        ran = sqlflow(tmp_path, f"sqlflow migrate dbt dbt --out new --verify --dbt-database {database}")
    assert ran.code == 1
    assert "error[database-error]: the database cannot be copied while others are connected to it" in ran.err


@pytest.mark.parametrize("address", ["postgresql://", "postgresql://a b"])
def test_an_address_that_is_none_is_told(address: str, tmp_path: Path) -> None:
    _write(tmp_path, "postgresql://postgres@localhost/x")
    ran = sqlflow(tmp_path, f"sqlflow migrate dbt dbt --out new --verify --dbt-database '{address}'")
    assert ran.code == 1
    assert "error[no-database]: the address of the database names none" in ran.err


def _write(root: Path, database: str) -> None:
    parts = urlsplit(database)
    host = parts.hostname or parse_qs(parts.query).get("host", ["localhost"])[0]
    profile = f"{{type: postgres, host: '{host}', port: {parts.port or 5432}, user: '{parts.username}', dbname: {name_of(database)}, schema: shop}}"
    files = {**_FILES, "profiles.yml": f"shop: {{target: dev, outputs: {{dev: {profile}}}}}\n"}
    for name, text in files.items():
        path = root / "dbt" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
