"""DuckDB 2 hands a cast down to the reader of a CSV file where a statement reads the column in no other way; then the text is
cast and not the value. What sources are read with gives the same value, whatever else a statement reads."""

from __future__ import annotations

import json
from pathlib import Path

import duckdb
import pytest

from sqlflow.changes.readings import relation
from sqlflow.core.config import Config
from sqlflow.core.reading import Field, Part, Reading
from sqlflow.project.config import read_config

TEXTS = (
    "1", " 1", "01", "1.0", "2.5", "3.50", "1e3", "-0", "0x1F", "nan", "inf", "true", "T", "99999999999999999999", "2024-1-5",
    "13/01/2024", "2024-01-05 10:00", "2024-01-05T10:00:00Z", "10:00", "[1, 2]", '{"a": 1}', "00000000-0000-0000-0000-00000000000A",
    "abc", "0.10", "16777217", "1 day",
)  # fmt: skip
TYPES = (
    "INTEGER", "BIGINT", "HUGEINT", "FLOAT", "DOUBLE", "DECIMAL(10,2)", "BOOLEAN", "DATE", "TIMESTAMP", "TIMESTAMPTZ", "TIME",
    "UUID", "BLOB", "INTEGER[]", "JSON", "VARCHAR",
)  # fmt: skip


def _result(connection: duckdb.DuckDBPyConnection, query: str) -> object:
    try:
        return [row[:1] for row in connection.execute(query).fetchall()]
    except duckdb.Error as error:
        return type(error).__name__


@pytest.mark.parametrize("kind", TYPES)
def test_a_cast_over_a_column_of_a_csv_file_never_sees_its_text(kind: str, tmp_path: Path) -> None:
    config = _at(tmp_path)
    arguments = "all_varchar = true, header = true, hive_partitioning = false, delim = ',', quote = '\"', escape = '\"'"
    differing = []
    with duckdb.connect() as connection:
        for number, text in enumerate(TEXTS):
            name = f"{number}.csv"
            quoted = text.replace('"', '""')
            (tmp_path / name).write_text(f'c,e\n"{quoted}",x\n')
            for format_ in ("", "%d/%m/%Y") if kind in ("DATE", "TIMESTAMP") else ("",):
                part = Part(
                    (name,), "read_csv", arguments, (Field("c", kind, "c", format_), Field("e", "VARCHAR", "e"))
                )
                read = relation(config, Reading((part,)))
                alone = _result(connection, f"SELECT CAST(c AS VARCHAR) FROM {read}")
                beside = _result(
                    connection, f"SELECT CAST(c AS VARCHAR), c::VARCHAR || '', hash(c) FROM {read} WHERE e = 'x'"
                )
                if alone != beside:
                    differing.append((text, alone, beside))
    assert differing == []


def _at(root: Path) -> Config:
    (root / "sqlflow.yml").write_text("name: c\ntargets: {dev: {engine: duckdb, path: c.duckdb}}\n")
    return read_config(root, None, {}, {})


def test_a_cast_over_a_column_of_json_or_parquet_sees_its_value(tmp_path: Path) -> None:
    """Nothing stands between these readers and the casts of a query; an engine that hands casts down to them needs it."""
    (tmp_path / "a.json").write_text(
        json.dumps({"n": 1.50, "d": "2024-1-5", "b": True, "u": "00000000-0000-0000-0000-00000000000A"})
    )
    with duckdb.connect() as connection:
        connection.execute(
            f"COPY (SELECT 1.50::DECIMAL(5,2) AS n, DATE '2024-01-05' AS d, true AS b, 0.1::FLOAT AS u UNION ALL SELECT 9, DATE '2025-01-05', false, 2) TO '{tmp_path}/a.parquet'"
        )
        for read in (f"read_json('{tmp_path}/a.json')", f"read_parquet('{tmp_path}/a.parquet')"):
            for column in "ndbu":
                for kind in ("VARCHAR", "DOUBLE", "DECIMAL(18,4)", "TIMESTAMP", "INTEGER"):
                    alone = _result(connection, f"SELECT CAST({column} AS {kind}) FROM {read}")
                    beside = _result(
                        connection, f"SELECT CAST({column} AS {kind}), {column}, hash({column}) FROM {read}"
                    )
                    assert alone == beside, (read, column, kind)
        plan = connection.execute(
            f"EXPLAIN SELECT n FROM (SELECT CAST(n AS DECIMAL(5,2)) AS n, d FROM read_parquet('{tmp_path}/a.parquet')) WHERE n > 2"
        ).fetchall()[0][1]
        assert "Filters" in plan
        assert "Projections: n" in plan.replace("│", "")
