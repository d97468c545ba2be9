"""Traps that only PostgreSQL has, in its own SQL: tables follow changes, and are held against their query as text."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from markdown_cases import sqlflow
from on_postgres import CONFIG, LawfulPostgres


@pytest.fixture
def project(tmp_path: Path) -> Iterator[LawfulPostgres]:
    made = LawfulPostgres(tmp_path)
    os.environ["LAWFUL_URL"] = made.url
    yield made
    made.drop()


def holds(
    project: LawfulPostgres, query: str, setup: tuple[str, ...], *changes: str, header: str = "@strategy: delta"
) -> None:
    """After each change the table has the rows that the query gives, letter by letter."""
    config = CONFIG.format(zone="Europe/Berlin").replace("dialect: duckdb", "dialect: postgres")
    project.write({"sqlflow.yml": config, "models/a/kept.sql": f"-- {header}\n{query}"})
    _run(project, "CREATE SCHEMA raw", *setup)
    for change in ("", *changes):
        if change:
            _run(project, change)
        built = project.build()
        assert built.code == 0, built.told
        with psycopg.connect(project.url) as connection:
            connection.execute("SET TimeZone = 'Europe/Berlin'")
            kept = connection.execute("SELECT q::text FROM a.kept AS q ORDER BY 1").fetchall()
            wanted = connection.execute(f"SELECT q::text FROM ({query}) AS q ORDER BY 1".encode()).fetchall()
        assert kept == wanted, change


def _run(project: LawfulPostgres, *statements: str) -> None:
    with psycopg.connect(project.url, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.encode())


def test_a_decimal_that_is_no_number_leaves_a_sum(project: LawfulPostgres) -> None:
    holds(
        project,
        "SELECT k, sum(d) AS s, avg(d) AS a, sum(d) FILTER (WHERE v > 1) AS f FROM raw.t GROUP BY k",
        ("CREATE TABLE raw.t (k int, d numeric(10,2), v int)", "INSERT INTO raw.t VALUES (1, 1.5, 1), (1, 'NaN', 2), (2, 3, 3)"),
        "INSERT INTO raw.t VALUES (1, 2.25, 5), (2, 'NaN', 1)",
        "DELETE FROM raw.t WHERE d = 'NaN'",
        "INSERT INTO raw.t VALUES (1, 'NaN', 9), (3, NULL, 1)",
        "DELETE FROM raw.t WHERE d = 'NaN' OR k = 2",
    )  # fmt: skip


def test_averages_of_whole_numbers_have_the_digits_of_the_server(project: LawfulPostgres) -> None:
    holds(
        project,
        "SELECT k, avg(v) AS a, avg(w) AS b, sum(w) AS s FROM raw.t GROUP BY k",
        ("CREATE TABLE raw.t (k int, v int, w bigint)", "INSERT INTO raw.t VALUES (1, 1, 9223372036854775807), (1, 1, 1), (1, 2, 1)"),
        "INSERT INTO raw.t VALUES (1, 5, 9223372036854775807), (2, 1, 1)",
        "DELETE FROM raw.t WHERE v = 2",
    )  # fmt: skip


def test_decimals_without_a_scale_are_told_apart_by_their_text(project: LawfulPostgres) -> None:
    holds(
        project,
        "SELECT id, n FROM raw.t",
        ("CREATE TABLE raw.t (id int, n numeric)", "INSERT INTO raw.t VALUES (1, 1.0), (1, 1.00), (2, 3)"),
        "DELETE FROM raw.t WHERE n::text = '1.00'",
        "UPDATE raw.t SET n = 3.000 WHERE id = 2",
    )


def test_a_sum_of_decimals_without_a_scale_has_the_scale_of_what_is_left(project: LawfulPostgres) -> None:
    holds(
        project,
        "SELECT k, sum(n) AS s FROM raw.t GROUP BY k",
        ("CREATE TABLE raw.t (k int, n numeric)", "INSERT INTO raw.t VALUES (1, 1.0), (1, 1.000), (2, 3)"),
        "DELETE FROM raw.t WHERE n::text = '1.000'",
    )


def test_texts_that_a_collation_calls_equal(project: LawfulPostgres) -> None:
    try:
        _run(project, "CREATE COLLATION ci (provider = icu, locale = 'und-u-ks-level2', deterministic = false)")
    except psycopg.errors.FeatureNotSupported:
        pytest.skip("this build of PostgreSQL has no ICU, which such collations need")
    holds(
        project,
        "SELECT id, name FROM raw.t WHERE name <> 'zoe'",
        (
            "CREATE TABLE raw.t (id int, name text COLLATE ci)",
            "INSERT INTO raw.t VALUES (1, 'anna'), (2, 'BEN'), (3, 'ZOE')",
        ),
        "UPDATE raw.t SET name = 'Anna' WHERE id = 1",
        "INSERT INTO raw.t VALUES (4, 'Zoe'), (5, 'anna')",
    )


def test_months_of_a_date_and_of_a_moment(project: LawfulPostgres) -> None:
    holds(
        project,
        "SELECT date_trunc('month', day) AS m, to_char(tz, 'FMMonth YYYY') AS t, count(*) AS n FROM raw.t GROUP BY 1, 2",
        (
            "CREATE TABLE raw.t (day date, tz timestamptz)",
            "INSERT INTO raw.t VALUES ('2024-01-31', '2024-01-31 23:30+00'), ('2024-02-01', '2024-02-01')",
        ),
        "INSERT INTO raw.t VALUES ('2024-01-01', '2024-03-31 01:30+00'), (NULL, NULL)",
        "DELETE FROM raw.t WHERE day = '2024-01-31'",
    )


def test_a_time_that_is_rounded_into_the_next_day(project: LawfulPostgres) -> None:
    holds(
        project,
        "SELECT date_trunc('hour', z::timestamptz(0)) AS t, id, v FROM raw.t",
        (
            "CREATE TABLE raw.t (z timestamptz, id int, v int)",
            "INSERT INTO raw.t VALUES ('2024-03-01 23:59:59.7+01', 1, 1), ('2024-03-02 12:00', 2, 2), ('2024-03-05', 3, 3)",
        ),
        "UPDATE raw.t SET v = 9 WHERE id = 1",
        "UPDATE raw.t SET v = 9 WHERE id = 2",
        "DELETE FROM raw.t WHERE id = 2",
        header="@mode: incremental\n-- @time: t",
    )


@pytest.mark.parametrize("kind", ["timestamp(6)", "timestamptz(6)"])
def test_a_time_of_six_digits_is_any_time(project: LawfulPostgres, kind: str) -> None:
    holds(
        project,
        "SELECT created_at, id, v FROM raw.t",
        (
            f"CREATE TABLE raw.t (created_at {kind}, id int, v int)",
            "INSERT INTO raw.t VALUES ('2024-03-01 23:59:59.999999', 1, 1), ('2024-03-02', 2, 2), ('2024-03-31 02:30', 3, 3)",
        ),
        "UPDATE raw.t SET v = 9 WHERE id = 1",
        "INSERT INTO raw.t VALUES ('2024-03-02 12:00:00.123456', 4, 4), (NULL, 5, 5)",
        "DELETE FROM raw.t WHERE id = 2",
        header="@mode: incremental\n-- @time: created_at",
    )
    assert project.planned() == []


@pytest.mark.parametrize(
    ("kind", "time"),
    [
        ("timestamptz", "date_trunc('hour', day)"),
        *(
            pytest.param(*case, marks=pytest.mark.long)
            for case in (("date", "day"), ("timestamp", "day"), ("timestamptz", "day"), ("date", "day + 1"))
        ),
    ],
)
def test_times_before_christ_and_in_the_far_future(project: LawfulPostgres, kind: str, time: str) -> None:
    last = "5874897-12-30" if kind == "date" else "294276-12-30"
    holds(
        project,
        f"SELECT {time} AS t, id, v FROM raw.t",
        (
            f"CREATE TABLE raw.t (day {kind}, id int, v int)",
            "INSERT INTO raw.t VALUES ('0044-03-15 BC', 1, 1), ('2024-03-02', 2, 2), ('infinity', 3, 3), ('-infinity', 4, 4), "
            f"('{last}', 5, 5), (NULL, 6, 6), ('10000-01-01', 7, 7), ('0001-01-01', 8, 8), ('9999-12-31', 9, 9)",
        ),
        "UPDATE raw.t SET v = 10 WHERE id = 1",
        "UPDATE raw.t SET v = 10 WHERE id = 3",
        "UPDATE raw.t SET v = 10 WHERE id = 5",
        "UPDATE raw.t SET v = 11 WHERE id IN (4, 7)",
        "UPDATE raw.t SET v = 11 WHERE id IN (2, 8, 9)",
        "DELETE FROM raw.t WHERE id IN (1, 3, 5)",
        "INSERT INTO raw.t VALUES ('0100-02-28 BC', 10, 1), ('12024-02-29', 11, 1)",
        "DELETE FROM raw.t WHERE id > 6 OR id = 4",
        header="@mode: incremental\n-- @time: t",
    )


def test_hours_in_which_clocks_are_set(project: LawfulPostgres) -> None:
    holds(
        project,
        "SELECT z::date AS t, date_trunc('hour', z) AS h, count(*) AS n, sum(v) AS s FROM raw.t GROUP BY 1, 2",
        (
            "CREATE TABLE raw.t (z timestamptz, v int)",
            "INSERT INTO raw.t SELECT '2024-03-30 20:00+00'::timestamptz + i * interval '30 minutes', i FROM generate_series(0, 60) AS i",
            "INSERT INTO raw.t SELECT '2024-10-26 20:00+00'::timestamptz + i * interval '30 minutes', i FROM generate_series(0, 60) AS i",
        ),
        "UPDATE raw.t SET v = 100 WHERE z = '2024-03-31 01:00+00'",
        "UPDATE raw.t SET v = 100 WHERE z = '2024-10-27 00:30+00'",
        "DELETE FROM raw.t WHERE z = '2024-10-27 01:30+00'",
        "INSERT INTO raw.t VALUES ('2024-03-30 23:00+00', 5), ('2024-10-26 22:00+00', 5), ('2024-10-27 23:00+00', 5)",
        header="@mode: incremental\n-- @time: t",
    )


def test_a_join_that_an_author_wrote_is_planned_by_the_server(project: LawfulPostgres) -> None:
    joined = "SELECT a.k, b.k AS other FROM raw.t AS a JOIN raw.t AS b ON ARRAY[a.k] = ARRAY[b.k]"
    keyed = "-- @mode: merge\n-- @key: k\n-- @cursor: k\nSELECT k FROM raw.t"
    setup = ("CREATE TABLE raw.t (k int)", "INSERT INTO raw.t VALUES (1), (2)")
    project.write({"models/a/keyed.sql": keyed})
    holds(project, joined, setup, header="@mode: replace")
    project.write({"models/a/kept.sql": joined.replace("other", "another")})
    _run(project, "INSERT INTO raw.t VALUES (3)")
    shown = sqlflow(project.root, f"LAWFUL_URL={project.url} sqlflow build --dry-run --sql").out
    ours, authors = shown[shown.index("a.keyed") :], shown[: shown.index("a.keyed")]
    assert "enable_mergejoin" in ours
    assert "enable_mergejoin" not in authors, authors
