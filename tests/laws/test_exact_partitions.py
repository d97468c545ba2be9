"""What is found of changed inputs: exactly the partitions that must be computed again, through `compile --dry-run`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import duckdb
import files
import psycopg
import pytest
from every_engine import NewProject, notyet, on_every_engine
from lawful import Lawful
from on_postgres import server
from opened import scratch

from sqlflow.core.schema import Column, Schema
from sqlflow.engines import duckdb_facts, postgres_facts
from sqlflow.engines.duckdb_sql import DuckDBWording
from sqlflow.engines.postgres_sql import PostgresWording

DAILY = "-- @mode: incremental\n-- @time: day\n"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    on_every_engine(metafunc, short=SHORT, differing=DIFFERING)


# Those that always run on PostgreSQL too.
SHORT = ("test_exactly_the_partitions_that_are_reached", "test_changes_that_the_engines_hash_takes_for_none")
DIFFERING = {
    "test_a_query_that_cannot_be_mapped_is_told_with_its_line": notyet(
        "a translated query has no lines but its first", AssertionError, r"days\.sql:4"
    ),
    "test_a_glob_says_which_file_changed": notyet(
        "which intervals of files changed is not looked for", AssertionError, r"beginning \.\. end"
    ),
}


def plan(project: Lawful) -> dict[str, tuple[list[str], str]]:
    """The plan of a build: table -> (intervals, reason)."""
    found = {}
    for task in json.loads(project.plan())["tasks"]:
        intervals = [f"{(start or 'beginning')[:10]} .. {(end or 'end')[:10]}" for start, end in task["intervals"]]
        found[task["table"]] = (intervals, task["reason"]["detail"])
    return found


def built(project: Lawful) -> None:
    result = project.build()
    assert result.code == 0, result.told
    assert project.planned() == []


def same(project: Lawful, table: str, query: str) -> None:
    assert project.rows(f"({query}) EXCEPT ALL FROM {table}") == []
    assert project.rows(f"FROM {table} EXCEPT ALL ({query})") == []


@pytest.fixture
def project(tmp_path: Path, new_project: NewProject) -> Lawful:
    project = new_project(tmp_path)
    project.begin({})
    project.sql(
        "CREATE SCHEMA ext",
        "CREATE TABLE ext.e AS SELECT DATE '2024-03-01' + (i // 3)::INT AS d, TIMESTAMP '2024-03-01' + to_hours(8 * i::INT) "
        "AS ts, i::INT AS id, (i % 5)::INT AS v FROM range(90) r(i)",
    )
    return project


QUERIES = {
    "m.days": "SELECT d AS day, sum(v) AS n FROM raw.e GROUP BY 1",
    "m.next": "SELECT d + INTERVAL 1 DAY AS day, sum(v) AS n FROM raw.e GROUP BY d",
    "m.week": "SELECT day, n, sum(n) OVER (ORDER BY day RANGE BETWEEN INTERVAL 6 DAYS PRECEDING AND CURRENT ROW) AS m FROM m.days",
    "m.before": "SELECT x.day, x.n, y.n AS was FROM m.days AS x LEFT JOIN m.days AS y ON y.day = x.day - INTERVAL 7 DAYS",
    "m.clock": "SELECT CAST(ts AS DATE) AS day, id, count(*) OVER (ORDER BY ts RANGE BETWEEN INTERVAL 24 HOURS PRECEDING AND CURRENT ROW) AS m FROM raw.e",
    "m.total": "SELECT d AS day, id, sum(v) OVER (ORDER BY d) AS m FROM raw.e",
    "m.month": "SELECT CAST(date_trunc('month', d) AS DATE) AS day, sum(v) AS n FROM raw.e GROUP BY 1",
}  # fmt: skip


def begin(project: Lawful, source: str = "raw.e: {table: ext.e}\n") -> None:
    files = {f"models/{name.replace('.', '/')}.sql": DAILY + query + "\n" for name, query in QUERIES.items()}
    project.write({"sources/raw.yml": source, **files})
    built(project)


CHANGES = {
    "a late row": "INSERT INTO ext.e VALUES ('2024-03-05', '2024-03-05 10:00', 500, 1)",
    "an update in an old partition": "UPDATE ext.e SET v = 9 WHERE d = '2024-03-05'",
    "a delete in an old partition": "DELETE FROM ext.e WHERE d = '2024-03-05' AND id % 2 = 0",
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_exactly_the_partitions_that_are_reached(project: Lawful, change: str) -> None:
    begin(project)
    project.sql(change)
    found = {name: intervals for name, (intervals, _) in plan(project).items() if name in QUERIES}
    assert found == {
        "m.days": ["2024-03-05 .. 2024-03-06"],
        "m.next": ["2024-03-06 .. 2024-03-07"],
        "m.week": ["2024-03-05 .. 2024-03-12"],
        "m.before": ["2024-03-05 .. 2024-03-06", "2024-03-12 .. 2024-03-13"],
        "m.clock": ["2024-03-05 .. 2024-03-07"],
        "m.total": ["2024-03-05 .. end"],
        "m.month": ["2024-03-01 .. 2024-03-02"],
    }
    built(project)
    for name, query in QUERIES.items():
        same(project, name, query)


def test_a_late_row_far_beyond_lookback(project: Lawful) -> None:
    query = QUERIES["m.days"]
    project.write(
        {"sources/raw.yml": "raw.e: {table: ext.e}\n", "models/m/days.sql": DAILY + "-- @lookback: 2 days\n" + query}
    )
    built(project)
    project.sql("INSERT INTO ext.e VALUES ('2023-01-01', NULL, 500, 1)")
    assert plan(project)["m.days"][0] == ["2023-01-01 .. 2023-01-02", "2024-03-28 .. end"]
    built(project)
    same(project, "m.days", query)


def test_a_query_that_cannot_be_mapped_is_told_with_its_line(project: Lawful) -> None:
    query = "SELECT d AS day, id,\n  lead(v) OVER (\n    ORDER BY d, id) AS n\nFROM raw.e"
    project.write({"sources/raw.yml": "raw.e: {table: ext.e}\n", "models/m/days.sql": DAILY + query})
    built(project)
    project.sql("UPDATE ext.e SET v = 9 WHERE d = '2024-03-05'")
    reason = plan(project)["m.days"][1]
    assert "rows without a time are in the frame of this window function: `LEAD(v) OVER (ORDER BY d, id)`" in reason
    assert "(models/m/days.sql:4)" in reason
    built(project)
    same(project, "m.days", query)


def test_a_view_that_cannot_be_mapped_is_told_with_its_line(project: Lawful) -> None:
    view = "-- @mode: view\nSELECT d, v\nFROM raw.e\nORDER BY d, id\nLIMIT 20"
    query = "SELECT d AS day, sum(v) AS n FROM s.some GROUP BY 1"
    project.write(
        {"sources/raw.yml": "raw.e: {table: ext.e}\n", "models/s/some.sql": view, "models/m/days.sql": DAILY + query}
    )
    built(project)
    project.sql("UPDATE ext.e SET v = 9 WHERE d = '2024-03-05'")
    reason = plan(project)["m.days"][1]
    assert "LIMIT or OFFSET picks among all rows" in reason
    assert "in the view `s.some`" in reason
    assert "models/s/some.sql:" in reason


def test_a_frame_in_a_query_with_bounds_of_its_own(project: Lawful) -> None:
    """The rows before `$start` that the frame needs are not there."""
    query = "SELECT d AS day, id, sum(v) OVER (ORDER BY d RANGE BETWEEN INTERVAL 2 DAYS PRECEDING AND CURRENT ROW) AS n FROM raw.e"
    bounded = f"{query} WHERE d >= $start AND d < $end"
    project.write({"sources/raw.yml": "raw.e: {table: ext.e}\n", "models/m/days.sql": DAILY + bounded})
    built(project)
    project.sql("UPDATE ext.e SET v = 9 WHERE d = '2024-03-05'")
    intervals, reason = plan(project)["m.days"]
    assert intervals == ["beginning .. end"]
    assert "`$start` and `$end` may leave out" in reason
    built(project)
    same(project, "m.days", query)


def test_signatures_of_rows_that_were_added_add_up(tmp_path: Path) -> None:
    """What is remembered after builds that read only new rows is what reading all of them gives: then one changed row is
    seen as one changed day."""
    project = Lawful(tmp_path)
    files = "SELECT day, id, sum(v) AS v FROM raw.files GROUP BY ALL"
    table = "SELECT day, id, sum(v) AS v FROM raw.e GROUP BY ALL"
    project.begin(
        {
            "sources/raw.yml": "raw.files: {path: data/*.parquet}\nraw.e: {table: ext.e, cursor: c, key: [id]}\n",
            "models/m/files.sql": DAILY + files,
            "models/m/rows.sql": DAILY + table,
        }
    )
    (tmp_path / "data").mkdir()
    row = "i AS id, DATE '2024-03-01' + (i % 10)::INT AS day, (i * 7)::DECIMAL(20, 2) AS v, i AS c"

    def arrive(number: int) -> None:
        rows = f"SELECT {row} FROM range({number * 13}, {number * 13 + 13}) t(i)"
        project.sql(f"COPY ({rows}) TO '{tmp_path}/data/{number}.parquet'", f"INSERT INTO ext.e {rows}")

    project.sql("CREATE SCHEMA ext", f"CREATE TABLE ext.e AS SELECT {row} FROM range(0) t(i)")
    for number in range(4):
        arrive(number)
        if number == 3:
            reasons = {name: reason for name, (_, reason) in plan(project).items()}
            assert "new: `data/3.parquet`" in reasons["m.files"]
        built(project)
    project.sql("UPDATE ext.e SET v = v + 1, c = 1000 WHERE id = 15")
    project.sql(
        f"COPY (SELECT * REPLACE (CASE WHEN id = 15 THEN v + 1 ELSE v END AS v) FROM read_parquet('{tmp_path}/data/1.parquet')) TO '{tmp_path}/data/1.parquet'"
    )
    found = {name: intervals for name, (intervals, _) in plan(project).items()}
    assert found["m.rows"] == found["m.files"] == ["2024-03-06 .. 2024-03-07"]
    built(project)
    same(project, "m.files", files.replace("raw.files", f"read_parquet('{tmp_path}/data/*.parquet')"))
    same(project, "m.rows", table.replace("raw.e", "ext.e"))
    assert project.planned() == []


# ---------------------------------------------------------------------- append_only, verified


APPENDED = "raw.e: {table: ext.e, cursor: id, append_only: true}\n"


def test_rows_that_are_only_appended(project: Lawful) -> None:
    begin(project, APPENDED)
    project.sql("INSERT INTO ext.e VALUES ('2024-03-31', '2024-03-31', 90, 1), ('2024-03-05', NULL, 91, 1)")
    intervals, reason = plan(project)["m.days"]
    assert intervals == ["2024-03-05 .. 2024-03-06", "2024-03-31 .. 2024-04-01"]
    assert "2 rows more" in reason
    built(project)
    project.sql("INSERT INTO ext.e VALUES ('2024-03-07', NULL, 91, 1)")  # ties with the greatest id: no harm
    intervals, reason = plan(project)["m.days"]
    assert intervals == ["2024-03-07 .. 2024-03-08"]
    assert "append_only" not in reason
    built(project)
    same(project, "m.days", QUERIES["m.days"])


@pytest.mark.parametrize(
    "change",
    [
        "DELETE FROM ext.e WHERE d = '2024-03-05'; INSERT INTO ext.e VALUES ('2024-03-31', NULL, 90, 1), "
        "('2024-03-31', NULL, 91, 1), ('2024-03-31', NULL, 92, 1)",
        "INSERT INTO ext.e VALUES ('2024-03-05', NULL, 7, 1), ('2024-03-31', NULL, 90, 1)",
        "DELETE FROM ext.e WHERE id = 89",
        "INSERT INTO ext.e VALUES ('2024-03-05', NULL, NULL, 1)",
    ],
    ids=["as many", "one below", "the last one", "without a cursor"],
)
def test_rows_that_are_not_only_appended_are_found(project: Lawful, change: str) -> None:
    begin(project, APPENDED)
    project.sql(*change.split("; "))
    reason = plan(project)["m.days"][1]
    assert "rows up to 89 changed, although `append_only` says that they never do" in reason
    built(project)
    same(project, "m.days", QUERIES["m.days"])


# ---------------------------------------------------------------------- files


def test_a_glob_says_which_file_changed(tmp_path: Path, new_project: NewProject) -> None:
    project = new_project(tmp_path)
    frame = "RANGE BETWEEN INTERVAL 1 DAY PRECEDING AND CURRENT ROW"
    query = f"SELECT day, sum(n) OVER (ORDER BY day {frame}) AS n FROM raw.files"
    project.begin({"sources/raw.yml": "raw.files: {path: data/*.parquet}\n", "models/m/days.sql": DAILY + query})
    (tmp_path / "data").mkdir()

    def write(number: int, value: int) -> None:
        with scratch() as connection:
            path = tmp_path / "data" / f"{number}.parquet"
            connection.execute(
                f"COPY (SELECT DATE '2024-03-01' + {number} AS day, {value} AS n) TO '{path}' (FORMAT parquet)"
            )

    for number in range(5):
        write(number, number)
    built(project)
    write(2, 50)
    write(9, 1)
    intervals, reason = plan(project)["m.days"]
    assert intervals == ["2024-03-03 .. 2024-03-05", "2024-03-10 .. 2024-03-12"]
    assert "new: `data/9.parquet`; changed: `data/2.parquet`" in reason
    built(project)
    (tmp_path / "data" / "4.parquet").unlink()
    intervals, reason = plan(project)["m.days"]
    assert intervals == ["2024-03-05 .. 2024-03-07"]
    assert "gone: `data/4.parquet`" in reason
    built(project)
    same(project, "m.days", query.replace("raw.files", f"read_parquet('{tmp_path}/data/*.parquet')"))


def test_partitions_of_rows_without_a_cursor(tmp_path: Path) -> None:
    project = Lawful(tmp_path)
    query = "SELECT day, sum(v) AS v FROM raw.e GROUP BY day"
    project.begin(
        {"sources/raw.yml": "raw.e: {table: ext.e, cursor: c, key: [id]}\n", "models/m/days.sql": DAILY + query}
    )
    project.sql(
        "CREATE SCHEMA ext",
        "CREATE TABLE ext.e AS SELECT i AS id, DATE '2024-03-01' + i::INT AS day, i AS v, "
        "CASE WHEN i % 2 = 0 THEN i END AS c FROM range(10) t(i)",
    )
    built(project)
    project.sql("UPDATE ext.e SET v = 100 WHERE id = 3")
    assert plan(project)["m.days"][0] == ["2024-03-04 .. 2024-03-05"]
    built(project)
    project.sql("UPDATE ext.e SET v = 100, c = 20 WHERE id = 6")
    assert plan(project)["m.days"][0] == ["2024-03-07 .. 2024-03-08"]
    built(project)
    same(project, "m.days", query.replace("raw.e", "ext.e"))


# ---------------------------------------------------------------------- what a hash does not tell


# Old and new value of a partition. A third one, so that a column of zeros is not answered from its statistics.
Values = Mapping[str, tuple[str, ...]]
VALUES: Values = {
    "DOUBLE": ("'0.0'", "'-0.0'", "'7'"),
    "FLOAT": ("'0.0'", "'-0.0'", "'7'"),
    "INTERVAL": ("'1 month'", "'30 days'"),
    "INTEGER[]": ("[]", "[NULL]"),
    "INTEGER[][]": ("[[1], [2]]", "[[1, 2]]"),
    "STRUCT(a DOUBLE)": ("{'a': 0.0}", "{'a': '-0.0'}", "{'a': 7}"),
    "VARCHAR COLLATE NOCASE": ("'a'", "'A'"),
    "UNION(a INTEGER, b INTEGER)": ("union_value(a := 1)", "union_value(b := 1)"),
    "STRUCT(a INTEGER, b INTEGER)": ("NULL", "{'a': NULL, 'b': NULL}"),
    "MAP(VARCHAR, INTEGER)": ("MAP {'a': 1, 'b': 2}", "MAP {'b': 2, 'a': 1}"),
    "DECIMAL(38, 2)": ("0.00", "-0.01", "7"),
    "DECIMAL(19, 0)": ("0", "-1", "7"),
    "HUGEINT": ("0", "18446744073709551617", "7"),
    "UHUGEINT": ("1", "18446744073709551616", "7"),
    "UUID": ("'80000000-0000-0000-0000-000000000000'", "'00000000-0000-0000-8000-000000000000'"),
}
VALUES_OF_POSTGRES: Values = {
    "DOUBLE PRECISION": ("'0.0'", "'-0.0'"),
    "REAL": ("'0.0'", "'-0.0'"),
    "INTERVAL": ("'1 month'", "'30 days'"),
    "INTEGER[]": ("'{}'", "'{NULL}'"),
    "INTEGER[][]": ("'{{1},{2}}'", "'{{1,2}}'"),
    "TEXT[]": ("'{NULL}'", "'{\"NULL\"}'"),
    "CHAR(5)": ("'a'", "NULL"),
    "DECIMAL": ("'1.0'", "'1.00'"),
    "DECIMAL(10, 2)": ("'NaN'", "NULL"),
    "JSON": ("'{\"a\": 1}'", "'{\"a\":1}'"),
    "TEXT": ("''", "NULL"),
    "TIMETZ": ("'00:00:00+00'", "'01:00:00+01'"),
    "TIMESTAMPTZ": ("'infinity'", "'-infinity'"),
}


def test_changes_that_the_engines_hash_takes_for_none(tmp_path: Path, new_project: NewProject) -> None:
    project = new_project(tmp_path)
    project.begin({})
    project.sql("CREATE SCHEMA raw")
    values = VALUES_OF_POSTGRES if new_project.engine == "postgres" else VALUES
    for number, (kind, (old, _, *third)) in enumerate(values.items()):
        project.own_sql(
            f"CREATE TABLE raw.t{number} (day DATE, x {kind})",
            f"INSERT INTO raw.t{number} VALUES ('2024-03-01', {(third or [old])[0]}), ('2024-03-02', {old})",
        )
        project.write({f"models/m/t{number}.sql": f"{DAILY}SELECT day, x FROM raw.t{number}"})
    built(project)
    for number, (_, new, *_) in enumerate(values.values()):
        project.own_sql(
            f"DELETE FROM raw.t{number} WHERE day = '2024-03-02'",
            f"INSERT INTO raw.t{number} VALUES ('2024-03-02', {new})",
        )
    found = {name: intervals for name, (intervals, _) in plan(project).items()}
    missed = [kind for n, kind in enumerate(values) if found.get(f"m.t{n}") != ["2024-03-02 .. 2024-03-03"]]
    assert missed == []
    built(project)
    for number, kind in enumerate(values):
        if kind != "JSON":  # which has no equality
            same(project, f"m.t{number}", f"SELECT day, x FROM raw.t{number}")
        texts = project.rows(f"SELECT x::VARCHAR FROM m.t{number} EXCEPT ALL SELECT x::VARCHAR FROM raw.t{number}")
        assert texts == []


@pytest.mark.parametrize("kind", duckdb_facts.NOTABLE)
def test_rows_of_two_columns_have_different_hashes(kind: str) -> None:
    """In every pair of notable values, NULL among them: whatever DuckDB's `hash` makes of them."""
    schema = Schema((Column("x", kind), Column("y", kind)))
    words = DuckDBWording()
    connection = duckdb.connect()
    connection.execute(f"CREATE TABLE v (x {kind})")
    connection.executemany("INSERT INTO v VALUES (?::VARCHAR)", [[value] for value in duckdb_facts.NOTABLE[kind]])
    connection.execute("INSERT INTO v VALUES (NULL)")
    different = connection.execute("SELECT count(DISTINCT md5(x::VARCHAR)) FROM v").fetchall()
    assert different == [(len(duckdb_facts.NOTABLE[kind]),)]
    connection.execute("CREATE TABLE t AS SELECT a.x, b.x AS y FROM v AS a, v AS b")
    for hashed in (words.row_hash(schema), words.row_digest(schema)):
        found = connection.execute(f"SELECT count(*), count(DISTINCT {hashed}) FROM t AS _sqlflow_row").fetchall()
        assert found[0][0] == found[0][1]


@pytest.mark.parametrize("kind", postgres_facts.NOTABLE)
def test_rows_of_two_columns_have_different_hashes_on_postgres(kind: str) -> None:
    schema = Schema((Column("x", kind), Column("y", kind)))
    words = PostgresWording()
    with psycopg.connect(server()) as connection:
        connection.execute(f"CREATE TEMP TABLE v (x {kind})".encode())
        connection.cursor().executemany(
            f"INSERT INTO v VALUES (CAST(%s::text AS {kind}))".encode(),
            [[value] for value in postgres_facts.NOTABLE[kind]],
        )
        connection.execute("INSERT INTO v VALUES (NULL)")
        connection.execute("CREATE TEMP TABLE t AS SELECT a.x, b.x AS y FROM v AS a, v AS b")
        for hashed in (words.row_hash(schema), words.row_digest(schema)):
            found = connection.execute(f"SELECT count(*), count(DISTINCT {hashed}) FROM t AS _sqlflow_row".encode())
            assert len(set(found.fetchone() or ())) == 1


def test_a_negative_zero_of_a_seed(tmp_path: Path, new_project: NewProject) -> None:
    project = new_project(tmp_path)
    files.begin(project, {"seeds/s.csv": "x\n0.0\n", "models/m/t.sql": "SELECT CAST(x AS VARCHAR) AS x FROM seeds.s"})
    project.write({"seeds/s.yml": "seeds.s: {columns: {x: DOUBLE}}\n"})
    built(project)
    project.write({"seeds/s.csv": "x\n-0.0\n"})
    built(project)
    assert str(project.rows("FROM m.t")[0][0]).startswith("-0")
