"""Traps of tables that follow the changes of their inputs, one by one, each with the rows that must come out."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

import psycopg
import pytest
from every_engine import NewProject, never, on_every_engine
from lawful import Lawful

Rows = Sequence[tuple[object, ...]]
NAN = float("nan")


@dataclass(slots=True)
class Kept:
    """A project whose model `a.kept` follows deltas; `more`: other files of it."""

    root: Path
    query: str
    setup: Sequence[str]
    more: dict[str, str] = field(default_factory=dict)
    header: str = "-- @strategy: delta\n"
    builds: int = 0
    project: Lawful = field(init=False)

    def __post_init__(self) -> None:
        self.project = _project(self.root)
        self.project.begin({**self.more, "models/a/kept.sql": self.header + self.query})
        self.project.sql("CREATE SCHEMA raw", *self.setup)

    def after(self, *statements: str, holds: Rows) -> None:
        """Do it, build, and the table has these rows, and those of its query as it stands."""
        if statements:
            self.project.sql(*statements)
        built = self.project.build()
        assert built.code == 0, built.told
        assert "changed outside SQLFlow" not in built.told
        kept, queried = self.project.rows_of(("FROM a.kept", f"FROM ({self.query})"))
        assert bag(kept) == bag(holds)
        assert bag(queried) == bag(holds), "the test itself expects the wrong rows"
        self.builds += 1
        if self.builds <= 2:  # made, and followed for the first time: later the fuzz asks for it
            assert self.project.planned() == []

    def edit(self, query: str) -> None:
        self.query = query
        self.project.write({"models/a/kept.sql": self.header + query})

    def types(self) -> list[str]:
        return [str(row[1]) for row in self.project.rows("DESCRIBE a.kept")]


def bag(rows: Rows) -> Counter[tuple[object, ...]]:
    return Counter(tuple(_plain(value) for value in row) for row in rows)


def _plain(value: object) -> object:
    match value:
        case float() if math.isnan(value):
            return "NaN"
        case Decimal() if value.is_nan():
            return "NaN"
        case bool():
            return value
        case list():
            return tuple(_plain(item) for item in value)
        case float() | Decimal() | int() if _project.engine == "postgres":
            return float(f"{float(value):.12g}")  # averages of whole numbers are decimals there
        case _:
            return value


# ---------------------------------------------------------------------- engines

_project: NewProject = NewProject("duckdb")


@pytest.fixture(autouse=True)
def _on(new_project: NewProject) -> None:
    global _project
    _project = new_project


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    on_every_engine(metafunc, short=SHORT, differing=DIFFERING)


# Those that always run on PostgreSQL too.
SHORT = (
    "test_minus_zero_is_zero_and_nan_is_nan",
    "test_average_of_integers_too_large_for_a_double",
    "test_a_sum_becomes_null_when_its_last_value_goes",
    "test_minimum_and_maximum_when_they_are_removed",
    "test_having_that_flips",
    "test_lists_are_values",
)
# What the story is told in and PostgreSQL does not have.
_NO_ROWID = never("rows have no `rowid`", psycopg.errors.UndefinedColumn, '"rowid" does not exist')
_NO_DESCRIBE = never("there is no DESCRIBE, and sums have other types", psycopg.errors.SyntaxError, "DESCRIBE")
_NO_NOCASE = never("there is no collation NOCASE", psycopg.errors.UndefinedObject, '(?i)collation "nocase"')
DIFFERING = {
    "test_a_sum_beyond_bigint": _NO_DESCRIBE,
    "test_average_of_decimals_keeps_its_scale": _NO_DESCRIBE,
    "test_the_type_of_a_column_changes": _NO_DESCRIBE,
    "test_collation_a_change_of_case_only": _NO_NOCASE,
    "test_collation_in_a_group": _NO_NOCASE,
    "test_collation_in_a_filter_and_a_join": _NO_NOCASE,
    "test_a_collation_inside_of_other_values": _NO_NOCASE,
    "test_a_collation_under_a_view_of_somebody_else": _NO_NOCASE,
    "test_duplicates_are_rows_of_their_own": _NO_ROWID,
    "test_union_all_of_equal_branches": _NO_ROWID,
    "test_rows_that_are_there_as_long_as_something_exists": _NO_ROWID,
}


def one(root: Path, query: str, columns: str, *rows: str, **more: str) -> Kept:
    """A project with the table `raw.t`."""
    filled = [f"INSERT INTO raw.t VALUES {row}" for row in rows]
    return Kept(root, query, [f"CREATE TABLE raw.t ({columns})", *filled], dict(more))


# ---------------------------------------------------------------------- values


def test_null_is_a_key_like_any_other(tmp_path: Path) -> None:
    kept = one(
        tmp_path, "SELECT k, count(*) AS n, sum(v) AS s FROM raw.t GROUP BY k", "k INT, v INT", "(NULL, 1), (1, 2)"
    )
    kept.after(holds=[(None, 1, 1), (1, 1, 2)])
    kept.after("INSERT INTO raw.t VALUES (NULL, 5), (NULL, NULL)", holds=[(None, 3, 6), (1, 1, 2)])
    kept.after("DELETE FROM raw.t WHERE k IS NULL AND v = 1", holds=[(None, 2, 5), (1, 1, 2)])
    kept.after("UPDATE raw.t SET k = NULL", holds=[(None, 3, 7)])
    kept.after("DELETE FROM raw.t", holds=[])


def test_null_in_one_of_two_keys(tmp_path: Path) -> None:
    kept = one(
        tmp_path,
        "SELECT k, g, count(*) AS n FROM raw.t GROUP BY ALL",
        "k INT, g VARCHAR",
        "(1, NULL), (NULL, 'a'), (NULL, NULL)",
    )
    kept.after(holds=[(1, None, 1), (None, "a", 1), (None, None, 1)])
    kept.after(
        "INSERT INTO raw.t VALUES (NULL, NULL), (1, 'a')",
        holds=[(1, None, 1), (1, "a", 1), (None, "a", 1), (None, None, 2)],
    )
    kept.after("DELETE FROM raw.t WHERE k IS NULL", holds=[(1, None, 1), (1, "a", 1)])


def test_null_never_equals_null_in_a_join(tmp_path: Path) -> None:
    kept = one(
        tmp_path,
        "SELECT x.id AS a, y.id AS b FROM raw.t AS x JOIN raw.t AS y ON x.k = y.k",
        "id INT, k INT",
        "(1, NULL), (2, 1)",
    )
    kept.after(holds=[(2, 2)])
    kept.after("INSERT INTO raw.t VALUES (3, NULL), (4, 1)", holds=[(2, 2), (2, 4), (4, 2), (4, 4)])
    kept.after("UPDATE raw.t SET k = NULL WHERE id = 2", holds=[(4, 4)])


def test_null_equals_null_where_the_join_says_so(tmp_path: Path) -> None:
    query = (
        "SELECT x.id AS a, y.id AS b FROM raw.t AS x JOIN raw.t AS y ON x.k IS NOT DISTINCT FROM y.k WHERE x.id < y.id"
    )
    kept = one(tmp_path, query, "id INT, k INT", "(1, NULL), (2, 1)")
    kept.after(holds=[])
    kept.after("INSERT INTO raw.t VALUES (3, NULL)", holds=[(1, 3)])
    kept.after("UPDATE raw.t SET k = NULL WHERE id = 2", holds=[(1, 2), (1, 3), (2, 3)])


def test_minus_zero_is_zero_and_nan_is_nan(tmp_path: Path) -> None:
    kept = one(tmp_path, "SELECT x, count(*) AS n FROM raw.t GROUP BY x", "x DOUBLE", "('-0.0'), ('NaN')")
    kept.after(holds=[(0.0, 1), (NAN, 1)])
    kept.after("INSERT INTO raw.t VALUES ('0.0'), ('NaN'), ('-NaN')", holds=[(0.0, 2), (NAN, 3)])
    kept.after("DELETE FROM raw.t WHERE x = 0", holds=[(NAN, 3)])
    kept.after("INSERT INTO raw.t VALUES ('-0.0')", "DELETE FROM raw.t WHERE isnan(x)", holds=[(0.0, 1)])


def test_a_row_with_nan_and_minus_zero_is_found_again_to_be_removed(tmp_path: Path) -> None:
    kept = one(
        tmp_path,
        "SELECT id, x FROM raw.t WHERE x IS NOT NULL",
        "id INT, x DOUBLE",
        "(1, 'NaN'), (2, '-0.0'), (2, '0.0'), (3, 'inf')",
    )
    kept.after(holds=[(1, NAN), (2, 0.0), (2, 0.0), (3, math.inf)])
    kept.after(
        "DELETE FROM raw.t WHERE id = 1",
        "INSERT INTO raw.t VALUES (4, 'NaN')",
        holds=[(4, NAN), (2, 0.0), (2, 0.0), (3, math.inf)],
    )
    kept.after("DELETE FROM raw.t WHERE id IN (2, 4)", holds=[(3, math.inf)])


def test_infinity_that_leaves_a_sum_of_doubles(tmp_path: Path) -> None:
    kept = one(tmp_path, "SELECT k, sum(x) AS s FROM raw.t GROUP BY k", "k INT, x DOUBLE", "(1, 0.5), (1, 'inf')")
    kept.after(holds=[(1, math.inf)])
    kept.after("DELETE FROM raw.t WHERE x > 1", holds=[(1, 0.5)])
    kept.after("INSERT INTO raw.t VALUES (1, 'NaN')", holds=[(1, NAN)])
    kept.after("DELETE FROM raw.t WHERE isnan(x)", holds=[(1, 0.5)])


def test_a_large_double_that_leaves_a_sum_takes_nothing_along(tmp_path: Path) -> None:
    kept = one(tmp_path, "SELECT sum(x) AS s FROM raw.t", "x DOUBLE", "(0.1), (1e300)")
    kept.after(holds=[(1e300,)])
    kept.after("DELETE FROM raw.t WHERE x > 1", holds=[(0.1,)])


def test_average_of_decimals_keeps_its_scale(tmp_path: Path) -> None:
    query = "SELECT k, avg(d) AS a, sum(d) AS s, round(avg(d), 3) AS r FROM raw.t GROUP BY k"
    kept = one(tmp_path, query, "k INT, d DECIMAL(9,4)", "(1, 0.0001), (1, 0.0002)")
    kept.after(holds=[(1, 0.00015, Decimal("0.0003"), 0.0)])
    kept.after(
        "INSERT INTO raw.t VALUES (1, 99999.9999), (2, NULL)",
        holds=[(1, 33333.333399999996, Decimal("100000.0002"), 33333.333), (2, None, None, None)],
    )
    assert kept.types() == ["INTEGER", "DOUBLE", "DECIMAL(38,4)", "DOUBLE"]
    kept.after(
        "DELETE FROM raw.t WHERE d = 0.0002",
        holds=[(1, 50000.0, Decimal("100000.0000"), 50000.0), (2, None, None, None)],
    )


def test_average_of_integers_too_large_for_a_double(tmp_path: Path) -> None:
    kept = one(
        tmp_path,
        "SELECT avg(v) AS a, sum(v) AS s FROM raw.t",
        "v BIGINT",
        "(9223372036854775807), (9223372036854775805)",
    )
    kept.after(holds=[(9.223372036854775806e18, 18446744073709551612)])
    kept.after(
        "INSERT INTO raw.t VALUES (-9223372036854775807)", holds=[(9223372036854775805 / 3, 9223372036854775805)]
    )
    kept.after("DELETE FROM raw.t WHERE v = 9223372036854775805", holds=[(0.0, 0)])


def test_lists_are_values(tmp_path: Path) -> None:
    query = "SELECT id, l, [name] AS names FROM raw.t"
    kept = one(
        tmp_path,
        query,
        "id INT, l INT[], name VARCHAR",
        "(1, [1, 2], 'a,b'), (1, [1, 2], 'a,b'), (2, CAST([] AS INT[]), NULL), (3, NULL, '')",
    )
    kept.after(holds=([(1, [1, 2], ["a,b"]), (1, [1, 2], ["a,b"]), (2, [], [None]), (3, None, [""])]))
    kept.after(
        "DELETE FROM raw.t WHERE id = 2",
        "INSERT INTO raw.t VALUES (4, [NULL, 3], '{\"}'), (3, NULL, ''), (1, [2, 1], 'a,b'), (5, CAST([] AS INT[]), 'NULL')",
        holds=([(1, [1, 2], ["a,b"]), (1, [1, 2], ["a,b"]), (1, [2, 1], ["a,b"]), (3, None, [""]), (3, None, [""]),
                     (4, [None, 3], ['{"}']), (5, [], ["NULL"])]),
    )  # fmt: skip
    kept.after(
        "DELETE FROM raw.t WHERE id = 1",
        holds=([(3, None, [""]), (3, None, [""]), (4, [None, 3], ['{"}']), (5, [], ["NULL"])]),
    )


def test_a_sum_beyond_bigint(tmp_path: Path) -> None:
    kept = one(tmp_path, "SELECT k, sum(v) AS s FROM raw.t GROUP BY k", "k INT, v BIGINT", "(1, 9223372036854775807)")
    kept.after(holds=[(1, 9223372036854775807)])
    kept.after("INSERT INTO raw.t VALUES (1, 9223372036854775807)", holds=[(1, 18446744073709551614)])
    kept.after(
        "DELETE FROM raw.t",
        "INSERT INTO raw.t VALUES (1, -9223372036854775808), (1, -1)",
        holds=[(1, -9223372036854775809)],
    )
    assert kept.types() == ["INTEGER", "HUGEINT"]


def test_collation_a_change_of_case_only(tmp_path: Path) -> None:
    kept = one(tmp_path, "SELECT id, name FROM raw.t", "id INT, name VARCHAR COLLATE NOCASE", "(1, 'anna'), (2, 'BEN')")
    kept.after(holds=[(1, "anna"), (2, "BEN")])
    kept.after("UPDATE raw.t SET name = 'Anna' WHERE id = 1", holds=[(1, "Anna"), (2, "BEN")])
    kept.after("DELETE FROM raw.t WHERE id = 2", "INSERT INTO raw.t VALUES (2, 'ben')", holds=[(1, "Anna"), (2, "ben")])


def test_collation_in_a_group(tmp_path: Path) -> None:
    kept = one(
        tmp_path,
        "SELECT lower(name) AS name, count(*) AS n FROM raw.t GROUP BY name",
        "name VARCHAR COLLATE NOCASE",
        "('a'), ('A'), ('b')",
    )
    kept.after(holds=[("a", 2), ("b", 1)])
    kept.after("INSERT INTO raw.t VALUES ('A'), ('B')", holds=[("a", 3), ("b", 2)])
    kept.after("DELETE FROM raw.t WHERE name = 'b'", holds=[("a", 3)])


def test_collation_in_a_filter_and_a_join(tmp_path: Path) -> None:
    query = "SELECT x.id FROM raw.t AS x JOIN raw.u AS y ON x.name = y.name WHERE x.name <> 'zoe'"
    kept = one(tmp_path, query, "id INT, name VARCHAR COLLATE NOCASE", "(1, 'anna'), (2, 'ZOE')")
    kept.project.sql("CREATE TABLE raw.u (name VARCHAR)", "INSERT INTO raw.u VALUES ('ANNA'), ('zoe')")
    kept.after(holds=[(1,)])
    kept.after("INSERT INTO raw.t VALUES (3, 'Anna'), (4, 'Zoe')", holds=[(1,), (3,)])
    kept.after("UPDATE raw.u SET name = 'x' WHERE name = 'ANNA'", holds=[])


@pytest.mark.parametrize("inside", ["[name]", "{'n': name}", "[{'n': name}]", "MAP {1: name}"])
def test_a_collation_inside_of_other_values(tmp_path: Path, inside: str) -> None:
    kept = Kept(
        tmp_path,
        "SELECT count(*) AS n, sum(v) AS s, min(id) AS id FROM raw.t GROUP BY x",
        [
            "CREATE TABLE raw.names (id INT, name VARCHAR COLLATE NOCASE, v INT)",
            "INSERT INTO raw.names VALUES (1, 'anna', 1), (2, 'BEN', 2), (3, 'Anna', 4)",
            f"CREATE TABLE raw.t AS SELECT id, {inside} AS x, v FROM raw.names",
        ],
    )
    assert kept.project.build().code == 0
    kept.project.sql(
        "INSERT INTO raw.names VALUES (4, 'ANNA', 8)",
        f"INSERT INTO raw.t SELECT id, {inside}, v FROM raw.names WHERE id = 4",
    )
    assert "`COLLATE` in `raw.t`" in kept.project.plan() or "`COLLATE` in `a.kept`" in kept.project.plan()
    kept.after(holds=kept.project.rows(kept.query))


def test_a_collation_under_a_view_of_somebody_else(tmp_path: Path) -> None:
    kept = Kept(
        tmp_path,
        "SELECT count(*) AS n, sum(v) AS s FROM src.names GROUP BY name",
        [
            "CREATE TABLE raw.names (id INT, name VARCHAR COLLATE NOCASE, v INT)",
            "INSERT INTO raw.names VALUES (1, 'anna', 1), (2, 'BEN', 2)",
            "CREATE VIEW raw.above AS SELECT * FROM raw.names",
        ],
        {"sources/src.yml": "src.names: {table: raw.above}\n"},
    )
    assert kept.project.build().code == 0
    for number in (3, 4):  # the first time there is no copy yet with which the view is compared
        assert kept.project.build().code == 0
        kept.project.sql(f"INSERT INTO raw.names VALUES ({number}, 'Anna', 4)")
    assert "`COLLATE` in `src.names`" in kept.project.planned()[-1]
    assert kept.project.build().code == 0
    assert bag(kept.project.rows("FROM a.kept")) == bag([(3, 9), (1, 2)])


# ---------------------------------------------------------------------- bags of rows


def test_duplicates_are_rows_of_their_own(tmp_path: Path) -> None:
    kept = one(tmp_path, "SELECT k FROM raw.t", "k INT", "(1), (1), (1)")
    kept.after(holds=[(1,)] * 3)
    kept.after("DELETE FROM raw.t WHERE rowid = (SELECT min(rowid) FROM raw.t)", holds=[(1,)] * 2)
    kept.after("INSERT INTO raw.t FROM raw.t", holds=[(1,)] * 4)


def test_the_same_rows_delivered_twice(tmp_path: Path) -> None:
    kept = one(tmp_path, "SELECT k, sum(v) AS s, count(*) AS n FROM raw.t GROUP BY k", "k INT, v INT", "(1, 5), (2, 6)")
    kept.after(holds=[(1, 5, 1), (2, 6, 1)])
    kept.after("INSERT INTO raw.t FROM raw.t", holds=[(1, 10, 2), (2, 12, 2)])
    kept.after("INSERT INTO raw.t VALUES (1, 5)", holds=[(1, 15, 3), (2, 12, 2)])


def test_a_file_delivered_twice(tmp_path: Path) -> None:
    """The same rows in two files are there twice; a file that is put there again is not."""
    source = {
        "sources/s.yml": "raw.f: {path: 'data/*.csv', columns: {k: INTEGER, v: INTEGER}}",
        "data/1.csv": "k,v\n1,5\n2,6\n",
    }
    kept = Kept(tmp_path, "SELECT k, sum(v) AS s FROM raw.f GROUP BY k", [], source)
    kept.after(holds=[(1, 5), (2, 6)])
    kept.project.write({"data/2.csv": "k,v\n1,5\n2,6\n"})
    kept.after(holds=[(1, 10), (2, 12)])
    kept.project.write({"data/2.csv": "k,v\n1,5\n2,6\n"})
    kept.after(holds=[(1, 10), (2, 12)])
    kept.project.write({"data/2.csv": "k,v\n2,6\n1,5\n", "data/3.csv": "k,v\n3,1\n"})
    kept.after(holds=[(1, 10), (2, 12), (3, 1)])
    kept.project.remove("data/1.csv")
    kept.after(holds=[(1, 5), (2, 6), (3, 1)])


def test_distinct_that_loses_one_of_two_duplicates(tmp_path: Path) -> None:
    kept = one(tmp_path, "SELECT DISTINCT k FROM raw.t", "id INT, k INT", "(1, 1), (2, 1), (3, NULL)")
    kept.after(holds=[(1,), (None,)])
    kept.after("DELETE FROM raw.t WHERE id = 1", holds=[(1,), (None,)])
    kept.after("DELETE FROM raw.t WHERE id = 2", holds=[(None,)])
    kept.after("INSERT INTO raw.t VALUES (4, 1), (5, NULL)", holds=[(1,), (None,)])


def test_union_all_of_equal_branches(tmp_path: Path) -> None:
    kept = one(tmp_path, "SELECT k FROM raw.t UNION ALL SELECT k FROM raw.t", "k INT", "(1), (1)")
    kept.after(holds=[(1,)] * 4)
    kept.after("DELETE FROM raw.t WHERE rowid = 0", "INSERT INTO raw.t VALUES (2)", holds=[(1,)] * 2 + [(2,)] * 2)


def test_a_union_whose_row_remains_in_the_other_branch(tmp_path: Path) -> None:
    kept = one(tmp_path, "SELECT k FROM raw.t UNION SELECT k FROM raw.u", "k INT", "(1), (2)")
    kept.project.sql("CREATE TABLE raw.u AS SELECT 1 AS k")
    kept.after(holds=[(1,), (2,)])
    kept.after("DELETE FROM raw.t", holds=[(1,)])
    kept.after("DELETE FROM raw.u", "INSERT INTO raw.t VALUES (1)", holds=[(1,)])


def test_other_rows_with_the_same_count_sum_and_extremes(tmp_path: Path) -> None:
    """Whatever is measured of a table in a few numbers, these two have the same."""
    kept = one(tmp_path, "SELECT a, b FROM raw.t", "a INT, b INT", "(1, 2), (3, 4), (5, 6), (7, 8)")
    kept.after(holds=[(1, 2), (3, 4), (5, 6), (7, 8)])
    kept.after(
        "UPDATE raw.t SET b = CASE b WHEN 4 THEN 6 WHEN 6 THEN 4 ELSE b END", holds=[(1, 2), (3, 6), (5, 4), (7, 8)]
    )
    kept.after(
        "CREATE OR REPLACE TABLE raw.t AS FROM (VALUES (1, 2), (3, 4), (5, 6), (7, 8)) AS v (a, b)",
        holds=[(1, 2), (3, 4), (5, 6), (7, 8)],
    )


def test_an_update_is_a_delete_and_an_insert(tmp_path: Path) -> None:
    kept = one(
        tmp_path,
        "SELECT k, sum(v) AS s FROM raw.t GROUP BY k",
        "id INT, k INT, v INT",
        "(1, 1, 5), (2, 1, 7), (3, 2, 1)",
    )
    kept.after(holds=[(1, 12), (2, 1)])
    kept.after("UPDATE raw.t SET v = 50 WHERE id = 1", holds=[(1, 57), (2, 1)])
    kept.after("UPDATE raw.t SET k = 2 WHERE id = 1", holds=[(1, 7), (2, 51)])
    kept.after("UPDATE raw.t SET k = 3 - k", holds=[(2, 7), (1, 51)])


def test_a_change_that_is_taken_back_before_the_build(tmp_path: Path) -> None:
    kept = one(tmp_path, "SELECT k, count(*) AS n FROM raw.t GROUP BY k", "k INT", "(1), (2)")
    kept.after(holds=[(1, 1), (2, 1)])
    kept.after(
        "DELETE FROM raw.t WHERE k = 1",
        "INSERT INTO raw.t VALUES (1)",
        "UPDATE raw.t SET k = k",
        holds=[(1, 1), (2, 1)],
    )


# ---------------------------------------------------------------------- groups


def test_a_group_that_becomes_empty_and_comes_back(tmp_path: Path) -> None:
    kept = one(tmp_path, "SELECT k, sum(v) AS s, count(v) AS n FROM raw.t GROUP BY k", "k INT, v INT", "(1, 5), (2, 6)")
    kept.after(holds=[(1, 5, 1), (2, 6, 1)])
    kept.after("DELETE FROM raw.t WHERE k = 1", holds=[(2, 6, 1)])
    kept.after("INSERT INTO raw.t VALUES (1, 0)", holds=[(1, 0, 1), (2, 6, 1)])
    kept.after("DELETE FROM raw.t", holds=[])
    kept.after("INSERT INTO raw.t VALUES (1, NULL)", holds=[(1, None, 0)])


def test_a_group_whose_sum_is_zero_stays(tmp_path: Path) -> None:
    kept = one(tmp_path, "SELECT k, sum(v) AS s FROM raw.t GROUP BY k", "k INT, v INT", "(1, 5)")
    kept.after(holds=[(1, 5)])
    kept.after("INSERT INTO raw.t VALUES (1, -5)", holds=[(1, 0)])
    kept.after("DELETE FROM raw.t WHERE v = 5", holds=[(1, -5)])


def test_a_sum_becomes_null_when_its_last_value_goes(tmp_path: Path) -> None:
    query = "SELECT k, sum(v) AS s, avg(v) AS a, count(*) AS n, count(v) AS m FROM raw.t GROUP BY k"
    kept = one(tmp_path, query, "k INT, v INT", "(1, 5), (1, NULL)")
    kept.after(holds=[(1, 5, 5.0, 2, 1)])
    kept.after("DELETE FROM raw.t WHERE v = 5", holds=[(1, None, None, 1, 0)])
    kept.after("INSERT INTO raw.t VALUES (1, 0)", holds=[(1, 0, 0.0, 2, 1)])
    kept.after("UPDATE raw.t SET v = NULL", holds=[(1, None, None, 2, 0)])


def test_count_with_a_filter(tmp_path: Path) -> None:
    query = "SELECT k, count(*) FILTER (WHERE v > 1) AS n, sum(v) FILTER (WHERE v > 1) AS s FROM raw.t GROUP BY k"
    kept = one(tmp_path, query, "k INT, v INT", "(1, 5), (1, 1), (2, NULL)")
    kept.after(holds=[(1, 1, 5), (2, 0, None)])
    kept.after("UPDATE raw.t SET v = 1 WHERE v = 5", holds=[(1, 0, None), (2, 0, None)])
    kept.after("UPDATE raw.t SET v = 2 WHERE k = 2", holds=[(1, 0, None), (2, 1, 2)])


def test_having_that_flips(tmp_path: Path) -> None:
    kept = one(
        tmp_path,
        "SELECT k, sum(v) AS s FROM raw.t GROUP BY k HAVING count(*) > 1",
        "k INT, v INT",
        "(1, 5), (2, 6), (2, 7)",
    )
    kept.after(holds=[(2, 13)])
    kept.after("INSERT INTO raw.t VALUES (1, 1)", holds=[(1, 6), (2, 13)])
    kept.after("DELETE FROM raw.t WHERE v = 7", holds=[(1, 6)])
    kept.after("INSERT INTO raw.t VALUES (2, 7)", "DELETE FROM raw.t WHERE k = 1", holds=[(2, 13)])


def test_a_total_over_a_table_that_is_emptied(tmp_path: Path) -> None:
    kept = one(tmp_path, "SELECT count(*) AS n, sum(v) AS s, max(v) AS m FROM raw.t", "v INT", "(5), (6)")
    kept.after(holds=[(2, 11, 6)])
    kept.after("DELETE FROM raw.t", holds=[(0, None, None)])
    kept.after("INSERT INTO raw.t VALUES (NULL)", holds=[(1, None, None)])
    kept.after("INSERT INTO raw.t VALUES (3)", holds=[(2, 3, 3)])


def test_a_total_that_begins_with_nothing(tmp_path: Path) -> None:
    kept = one(tmp_path, "SELECT count(*) AS n, sum(v) AS s FROM raw.t WHERE v > 1", "v INT")
    kept.after(holds=[(0, None)])
    kept.after("INSERT INTO raw.t VALUES (1), (2)", holds=[(1, 2)])
    kept.after("DELETE FROM raw.t WHERE v = 2", holds=[(0, None)])


def test_minimum_and_maximum_when_they_are_removed(tmp_path: Path) -> None:
    kept = one(
        tmp_path,
        "SELECT k, min(v) AS a, max(v) AS z FROM raw.t GROUP BY k",
        "k INT, v INT",
        "(1, 1), (1, 5), (1, 9), (2, 2)",
    )
    kept.after(holds=[(1, 1, 9), (2, 2, 2)])
    kept.after("INSERT INTO raw.t VALUES (1, 0), (1, 4)", holds=[(1, 0, 9), (2, 2, 2)])
    kept.after("DELETE FROM raw.t WHERE v IN (0, 9)", holds=[(1, 1, 5), (2, 2, 2)])
    kept.after(
        "DELETE FROM raw.t WHERE k = 2", "INSERT INTO raw.t VALUES (2, NULL)", holds=[(1, 1, 5), (2, None, None)]
    )


def test_extremes_of_texts_dates_and_booleans(tmp_path: Path) -> None:
    query = "SELECT k, max(s) AS s, min(d) AS d, bool_or(b) AS x, bool_and(b) AS y FROM raw.t GROUP BY k"
    kept = one(tmp_path, query, "k INT, s VARCHAR, d INT, b BOOLEAN", "(1, 'a', 5, true), (1, NULL, NULL, NULL)")
    kept.after(holds=[(1, "a", 5, True, True)])
    kept.after(
        "INSERT INTO raw.t VALUES (1, 'b', 4, false), (2, NULL, NULL, NULL)",
        holds=[(1, "b", 4, True, False), (2, None, None, None, None)],
    )
    kept.after("DELETE FROM raw.t WHERE b", holds=[(1, "b", 4, False, False), (2, None, None, None, None)])
    kept.after("INSERT INTO raw.t VALUES (2, '', 0, true)", holds=[(1, "b", 4, False, False), (2, "", 0, True, True)])


def test_bool_and_bool_or_count_distinct_and_median(tmp_path: Path) -> None:
    query = "SELECT k, bool_and(b) AS x, bool_or(b) AS y, count(DISTINCT v) AS n, median(v) AS m FROM raw.t GROUP BY k"
    kept = one(tmp_path, query, "k INT, b BOOLEAN, v INT", "(1, true, 1), (1, NULL, 1), (1, true, 4)")
    kept.after(holds=[(1, True, True, 2, 1.0)])
    kept.after(
        "INSERT INTO raw.t VALUES (1, false, 4), (2, NULL, NULL)",
        holds=[(1, False, True, 2, 2.5), (2, None, None, 0, None)],
    )
    kept.after("DELETE FROM raw.t WHERE b", holds=[(1, False, False, 2, 2.5), (2, None, None, 0, None)])


def test_a_key_that_is_not_selected(tmp_path: Path) -> None:
    kept = one(tmp_path, "SELECT count(*) AS n FROM raw.t GROUP BY k", "k INT", "(1), (2), (2)")
    kept.after(holds=[(1,), (2,)])
    kept.after("INSERT INTO raw.t VALUES (1), (3)", holds=[(2,), (2,), (1,)])
    kept.after("DELETE FROM raw.t WHERE k = 2", holds=[(2,), (1,)])


def test_a_group_by_an_alias_that_is_also_a_column(tmp_path: Path) -> None:
    kept = one(
        tmp_path, "SELECT k % 2 AS k, sum(v) AS v FROM raw.t GROUP BY raw.t.k", "k INT, v INT", "(1, 1), (2, 2), (3, 4)"
    )
    kept.after(holds=[(1, 1), (0, 2), (1, 4)])
    kept.after("INSERT INTO raw.t VALUES (3, 8), (4, 16)", holds=[(1, 1), (0, 2), (1, 12), (0, 16)])
    kept.after("DELETE FROM raw.t WHERE k = 3", holds=[(1, 1), (0, 2), (0, 16)])


def test_two_expressions_over_the_same_aggregate(tmp_path: Path) -> None:
    query = "SELECT k, sum(v) + count(*) AS a, sum(v) - count(*) AS b, 100 * sum(v) / sum(w) AS c FROM raw.t GROUP BY k"
    kept = one(tmp_path, query, "k INT, v INT, w INT", "(1, 4, 8), (1, NULL, 0)")
    kept.after(holds=[(1, 6, 2, 50.0)])
    kept.after("INSERT INTO raw.t VALUES (1, 4, 0)", holds=[(1, 11, 5, 100.0)])
    kept.after("DELETE FROM raw.t WHERE v = 4", holds=[(1, None, None, None)])


# ---------------------------------------------------------------------- joins


def test_both_aliases_of_a_self_join_change(tmp_path: Path) -> None:
    kept = one(
        tmp_path, "SELECT x.id AS a, y.id AS b FROM raw.t AS x JOIN raw.t AS y ON x.k = y.k", "id INT, k INT", "(1, 1)"
    )
    kept.after(holds=[(1, 1)])
    kept.after("INSERT INTO raw.t VALUES (2, 1), (3, 1)", holds=[(a, b) for a in (1, 2, 3) for b in (1, 2, 3)])
    kept.after(
        "DELETE FROM raw.t WHERE id = 1",
        "INSERT INTO raw.t VALUES (4, 1)",
        holds=[(a, b) for a in (4, 2, 3) for b in (4, 2, 3)],
    )
    kept.after("UPDATE raw.t SET k = 2 WHERE id > 2", holds=[(2, 2), (3, 3), (3, 4), (4, 3), (4, 4)])


def test_an_extreme_over_a_join_whose_inputs_both_grow(tmp_path: Path) -> None:
    query = "SELECT x.k, min(x.v) AS a, max(-y.v) AS z, count(*) AS n FROM raw.t AS x JOIN raw.t AS y ON x.k = y.k GROUP BY x.k"
    kept = one(tmp_path, query, "k INT, v INT", "(1, 5)")
    kept.after(holds=[(1, 5, -5, 1)])
    kept.after("INSERT INTO raw.t VALUES (1, 7)", holds=[(1, 5, -5, 4)])
    kept.after("INSERT INTO raw.t VALUES (1, 6), (2, 7)", holds=[(1, 5, -5, 9), (2, 7, -7, 1)])
    kept.after("DELETE FROM raw.t WHERE v = 5", holds=[(1, 6, -6, 4), (2, 7, -7, 1)])


def test_three_aliases_of_one_table(tmp_path: Path) -> None:
    query = "SELECT count(*) AS n FROM raw.t AS x JOIN raw.t AS y ON x.k = y.k JOIN raw.t AS z ON z.k = y.k"
    kept = one(tmp_path, query, "k INT", "(1)")
    kept.after(holds=[(1,)])
    kept.after("INSERT INTO raw.t VALUES (1), (1), (2)", holds=[(28,)])
    kept.after("DELETE FROM raw.t WHERE k = 2", "INSERT INTO raw.t VALUES (1)", holds=[(64,)])


def test_all_inputs_of_a_join_change_at_once(tmp_path: Path) -> None:
    query = "SELECT t.id, u.v, w.name FROM raw.t JOIN raw.u ON u.k = t.k JOIN raw.w ON w.v = u.v"
    kept = one(tmp_path, query, "id INT, k INT", "(1, 1)")
    kept.project.sql(
        "CREATE TABLE raw.u AS SELECT 1 AS k, 10 AS v", "CREATE TABLE raw.w AS SELECT 10 AS v, 'ten' AS name"
    )
    kept.after(holds=[(1, 10, "ten")])
    kept.after(
        "INSERT INTO raw.t VALUES (2, 1), (3, 2)",
        "UPDATE raw.u SET v = 20",
        "INSERT INTO raw.u VALUES (2, 10)",
        "INSERT INTO raw.w VALUES (20, 'twenty'), (20, 'also')",
        holds=[(1, 20, "twenty"), (1, 20, "also"), (2, 20, "twenty"), (2, 20, "also"), (3, 10, "ten")],
    )
    kept.after(
        "DELETE FROM raw.t WHERE id = 1",
        "DELETE FROM raw.u WHERE k = 2",
        "DELETE FROM raw.w WHERE name = 'also'",
        holds=[(2, 20, "twenty")],
    )


def test_one_table_reached_through_two_parents(tmp_path: Path) -> None:
    more = {
        "models/a/left_one.sql": "-- @strategy: delta\nSELECT id, k FROM raw.t WHERE id % 2 = 1",
        "models/a/right_one.sql": "-- @strategy: delta\nSELECT k, count(*) AS n FROM raw.t GROUP BY k",
    }
    kept = one(
        tmp_path,
        "SELECT l.id, r.n, t.v FROM a.left_one AS l JOIN a.right_one AS r ON r.k = l.k JOIN raw.t ON t.id = l.id",
        "id INT, k INT, v INT",
        "(1, 1, 5), (2, 1, 6)",
        **more,
    )
    kept.after(holds=[(1, 2, 5)])
    kept.after(
        "INSERT INTO raw.t VALUES (3, 1, 7), (5, 2, 8)",
        "UPDATE raw.t SET v = 50 WHERE id = 1",
        holds=[(1, 3, 50), (3, 3, 7), (5, 1, 8)],
    )
    kept.after("DELETE FROM raw.t WHERE id = 1", holds=[(3, 2, 7), (5, 1, 8)])


def test_a_partner_of_a_left_join_appears_and_disappears(tmp_path: Path) -> None:
    kept = one(
        tmp_path,
        "SELECT t.id, u.name FROM raw.t LEFT JOIN raw.u ON u.k = t.k",
        "id INT, k INT",
        "(1, 1), (2, 2), (3, NULL)",
    )
    kept.project.sql("CREATE TABLE raw.u (k INT, name VARCHAR)")
    kept.after(holds=[(1, None), (2, None), (3, None)])
    kept.after("INSERT INTO raw.u VALUES (1, 'a')", holds=[(1, "a"), (2, None), (3, None)])
    kept.after("INSERT INTO raw.u VALUES (1, 'b'), (NULL, 'c')", holds=[(1, "a"), (1, "b"), (2, None), (3, None)])
    kept.after("DELETE FROM raw.u WHERE name IN ('a', 'b')", holds=[(1, None), (2, None), (3, None)])
    kept.after(
        "INSERT INTO raw.t VALUES (1, 1)",
        "INSERT INTO raw.u VALUES (2, 'z')",
        holds=[(1, None), (1, None), (2, "z"), (3, None)],
    )


def test_the_condition_of_a_left_join_looks_at_both_sides(tmp_path: Path) -> None:
    kept = one(
        tmp_path,
        "SELECT t.id, u.v FROM raw.t LEFT JOIN raw.u ON u.k = t.k AND u.v > t.v",
        "id INT, k INT, v INT",
        "(1, 1, 5)",
    )
    kept.project.sql("CREATE TABLE raw.u (k INT, v INT)", "INSERT INTO raw.u VALUES (1, 5)")
    kept.after(holds=[(1, None)])
    kept.after("UPDATE raw.t SET v = 4", holds=[(1, 5)])
    kept.after("UPDATE raw.u SET v = 4", holds=[(1, None)])


def test_a_full_join(tmp_path: Path) -> None:
    kept = one(
        tmp_path, "SELECT t.k AS a, u.k AS b FROM raw.t FULL JOIN raw.u ON u.k = t.k", "k INT", "(1), (2), (NULL)"
    )
    kept.project.sql("CREATE TABLE raw.u (k INT)", "INSERT INTO raw.u VALUES (2), (3), (NULL)")
    kept.after(holds=[(1, None), (2, 2), (None, 3), (None, None), (None, None)])
    kept.after(
        "DELETE FROM raw.t WHERE k = 2",
        "INSERT INTO raw.u VALUES (1)",
        holds=[(1, 1), (None, 2), (None, 3), (None, None), (None, None)],
    )
    kept.after("DELETE FROM raw.u", holds=[(1, None), (None, None)])


def test_rows_that_are_there_as_long_as_something_exists(tmp_path: Path) -> None:
    query = "SELECT id FROM raw.t WHERE EXISTS (SELECT 1 FROM raw.u WHERE u.k = t.k) UNION ALL SELECT -id FROM raw.t WHERE NOT EXISTS (SELECT 1 FROM raw.u WHERE u.k = t.k)"
    kept = one(tmp_path, query, "id INT, k INT", "(1, 1), (2, 2), (3, NULL)")
    kept.project.sql("CREATE TABLE raw.u (k INT)", "INSERT INTO raw.u VALUES (1), (1), (NULL)")
    kept.after(holds=[(1,), (-2,), (-3,)])
    kept.after("DELETE FROM raw.u WHERE rowid = 0", holds=[(1,), (-2,), (-3,)])
    kept.after("DELETE FROM raw.u WHERE k = 1", "INSERT INTO raw.u VALUES (2)", holds=[(-1,), (2,), (-3,)])


def test_not_in_a_list_that_gets_a_null(tmp_path: Path) -> None:
    kept = one(tmp_path, "SELECT id FROM raw.t WHERE id NOT IN (SELECT k FROM raw.u)", "id INT", "(1), (2)")
    kept.project.sql("CREATE TABLE raw.u AS SELECT 1 AS k")
    kept.after(holds=[(2,)])
    kept.after("INSERT INTO raw.u VALUES (NULL)", holds=[])
    kept.after("DELETE FROM raw.u", holds=[(1,), (2,)])


def test_a_comparison_with_a_total_of_the_same_table(tmp_path: Path) -> None:
    kept = one(
        tmp_path, "SELECT id FROM raw.t WHERE v >= (SELECT avg(v) FROM raw.t)", "id INT, v INT", "(1, 1), (2, 3)"
    )
    kept.after(holds=[(2,)])
    kept.after("INSERT INTO raw.t VALUES (3, 100)", holds=[(3,)])
    kept.after("DELETE FROM raw.t WHERE id = 3", holds=[(2,)])


# ---------------------------------------------------------------------- shapes of queries


def test_ties_in_row_number(tmp_path: Path) -> None:
    query = "SELECT k, v, row_number() OVER (PARTITION BY k ORDER BY v, id) AS r FROM raw.t QUALIFY r <= 2"
    kept = one(tmp_path, query, "id INT, k INT, v INT", "(1, 1, 5), (2, 1, 5), (3, 1, 5), (4, NULL, 1)")
    kept.after(holds=[(1, 5, 1), (1, 5, 2), (None, 1, 1)])
    kept.after("DELETE FROM raw.t WHERE id = 1", holds=[(1, 5, 1), (1, 5, 2), (None, 1, 1)])
    kept.after(
        "INSERT INTO raw.t VALUES (0, 1, 5), (9, NULL, 0)",
        "UPDATE raw.t SET v = 4 WHERE id = 3",
        holds=[(1, 4, 1), (1, 5, 2), (None, 0, 1), (None, 1, 2)],
    )


def test_the_newest_row_of_each_key(tmp_path: Path) -> None:
    query = "SELECT k, v FROM raw.t QUALIFY row_number() OVER (PARTITION BY k ORDER BY moment DESC, v) = 1"
    kept = one(tmp_path, query, "k INT, v INT, moment INT", "(1, 10, 1), (1, 20, 2), (2, 30, 1)")
    kept.after(holds=[(1, 20), (2, 30)])
    kept.after("INSERT INTO raw.t VALUES (1, 5, 2), (2, 1, 0)", holds=[(1, 5), (2, 30)])
    kept.after("DELETE FROM raw.t WHERE moment = 2", holds=[(1, 10), (2, 30)])
    kept.after("DELETE FROM raw.t WHERE k = 1", holds=[(2, 30)])


def test_a_window_that_moves_every_row_of_its_partition(tmp_path: Path) -> None:
    query = (
        "SELECT id, sum(v) OVER (PARTITION BY k ORDER BY id) AS running, count(*) OVER (PARTITION BY k) AS n FROM raw.t"
    )
    kept = one(tmp_path, query, "id INT, k INT, v INT", "(2, 1, 5), (4, 1, 6), (5, 2, 1)")
    kept.after(holds=[(2, 5, 2), (4, 11, 2), (5, 1, 1)])
    kept.after("INSERT INTO raw.t VALUES (1, 1, 100)", holds=[(1, 100, 3), (2, 105, 3), (4, 111, 3), (5, 1, 1)])
    kept.after("UPDATE raw.t SET k = 2 WHERE id = 2", holds=[(1, 100, 2), (4, 106, 2), (2, 5, 2), (5, 6, 2)])


def test_a_window_over_everything(tmp_path: Path) -> None:
    kept = one(tmp_path, "SELECT id, row_number() OVER (ORDER BY id) AS r FROM raw.t", "id INT", "(2), (4)")
    kept.after(holds=[(2, 1), (4, 2)])
    kept.after("INSERT INTO raw.t VALUES (1)", holds=[(1, 1), (2, 2), (4, 3)])


def test_the_first_rows_of_an_order(tmp_path: Path) -> None:
    kept = one(tmp_path, "SELECT id FROM raw.t ORDER BY id LIMIT 2", "id INT", "(2), (4)")
    kept.after(holds=[(2,), (4,)])
    kept.after("INSERT INTO raw.t VALUES (1), (3)", holds=[(1,), (2,)])
    kept.after("DELETE FROM raw.t WHERE id < 3", holds=[(3,), (4,)])


def test_a_cte_used_twice(tmp_path: Path) -> None:
    query = "WITH q AS (SELECT k, sum(v) AS s FROM raw.t GROUP BY k) SELECT x.k, y.s FROM q AS x JOIN q AS y ON x.k = y.k + 1"
    kept = one(tmp_path, query, "k INT, v INT", "(1, 1), (2, 2)")
    kept.after(holds=[(2, 1)])
    kept.after("INSERT INTO raw.t VALUES (1, 10), (3, 3)", holds=[(2, 11), (3, 2)])
    kept.after("DELETE FROM raw.t WHERE k = 2", holds=[])


def test_a_linear_cte_used_twice(tmp_path: Path) -> None:
    query = "WITH q AS (SELECT id, k FROM raw.t WHERE k > 0) SELECT x.id AS a, y.id AS b FROM q AS x JOIN q AS y ON x.k = y.k AND x.id < y.id"
    kept = one(tmp_path, query, "id INT, k INT", "(1, 1), (2, 1), (3, 0)")
    kept.after(holds=[(1, 2)])
    kept.after("UPDATE raw.t SET k = 1 WHERE id = 3", holds=[(1, 2), (1, 3), (2, 3)])
    kept.after("DELETE FROM raw.t WHERE id = 2", "INSERT INTO raw.t VALUES (4, 1)", holds=[(1, 3), (1, 4), (3, 4)])


def test_a_cte_that_hides_the_table_of_its_name(tmp_path: Path) -> None:
    kept = one(tmp_path, "WITH t AS (SELECT k + 1 AS k FROM raw.t) SELECT k FROM t", "k INT", "(1)")
    kept.after(holds=[(2,)])
    kept.after("INSERT INTO raw.t VALUES (5)", holds=[(2,), (6,)])


def test_aggregates_over_aggregates_through_views(tmp_path: Path) -> None:
    more = {
        "models/a/days.sql": "-- @mode: view\nSELECT k, day, sum(v) AS s FROM raw.t GROUP BY ALL",
        "models/a/keys.sql": "-- @mode: view\nSELECT k, max(s) AS most, count(*) AS days FROM a.days GROUP BY k",
    }
    kept = one(
        tmp_path,
        "SELECT days, sum(most) AS s, count(*) AS n FROM a.keys GROUP BY days",
        "k INT, day INT, v INT",
        "(1, 1, 5), (1, 2, 6), (2, 1, 7)",
        **more,
    )
    kept.after(holds=[(2, 6, 1), (1, 7, 1)])
    kept.after("INSERT INTO raw.t VALUES (2, 2, 1), (1, 1, 5)", holds=[(2, 17, 2)])
    kept.after("DELETE FROM raw.t WHERE day = 1", holds=[(1, 7, 2)])


def test_a_chain_of_tables_that_follow(tmp_path: Path) -> None:
    more = {
        "models/a/days.sql": "-- @strategy: delta\nSELECT k, day, sum(v) AS s FROM raw.t GROUP BY ALL",
        "models/a/keys.sql": "-- @strategy: delta\nSELECT k, sum(s) AS s, count(*) AS days FROM a.days GROUP BY k HAVING sum(s) <> 0",
    }
    kept = one(
        tmp_path,
        "SELECT days, sum(s) AS s, count(*) AS n FROM a.keys GROUP BY days",
        "k INT, day INT, v INT",
        "(1, 1, 5), (1, 2, 6), (2, 1, 7)",
        **more,
    )
    kept.after(holds=[(2, 11, 1), (1, 7, 1)])
    kept.after("INSERT INTO raw.t VALUES (2, 2, 1), (1, 1, 5)", holds=[(2, 24, 2)])
    kept.after("INSERT INTO raw.t VALUES (1, 1, -16)", holds=[(2, 8, 1)])
    kept.after("UPDATE raw.t SET k = 1", holds=[(2, 8, 1)])


def test_a_parent_that_writes_the_same_rows(tmp_path: Path) -> None:
    more = {"models/a/parent.sql": "-- @strategy: delta\nSELECT k, max(v) AS m FROM raw.t GROUP BY k"}
    kept = one(tmp_path, "SELECT k + 1 AS k, m FROM a.parent", "k INT, v INT", "(1, 5), (2, 6)", **more)
    kept.after(holds=[(2, 5), (3, 6)])
    kept.after("INSERT INTO raw.t VALUES (1, 4)", holds=[(2, 5), (3, 6)])
    kept.after("INSERT INTO raw.t VALUES (1, 7)", holds=[(2, 7), (3, 6)])


# ---------------------------------------------------------------------- time, edits, drift


@pytest.mark.parametrize("options", ["", ", cursor: c", ", cursor: c, append_only: true"])
def test_rows_that_come_late(tmp_path: Path, options: str) -> None:
    source = {"sources/s.yml": f"raw.t: {{table: ext.t{options}}}"}
    kept = Kept(
        tmp_path,
        "SELECT c, count(*) AS n FROM raw.t GROUP BY c",
        ["CREATE SCHEMA ext", "CREATE TABLE ext.t (c INT)", "INSERT INTO ext.t VALUES (5), (9)"],
        source,
    )
    kept.after(holds=[(5, 1), (9, 1)])
    kept.after("INSERT INTO ext.t VALUES (9), (10)", holds=[(5, 1), (9, 2), (10, 1)])
    kept.after("INSERT INTO ext.t VALUES (1), (5)", holds=[(1, 1), (5, 2), (9, 2), (10, 1)])
    kept.after("INSERT INTO ext.t VALUES (2), (11)", holds=[(1, 1), (2, 1), (5, 2), (9, 2), (10, 1), (11, 1)])
    kept.after("INSERT INTO ext.t VALUES (NULL)", holds=[(None, 1), (1, 1), (2, 1), (5, 2), (9, 2), (10, 1), (11, 1)])


def test_a_row_vanishes_while_a_late_one_comes(tmp_path: Path) -> None:
    """The number of rows below the watermark is what it was."""
    source = {"sources/s.yml": "raw.t: {table: ext.t, cursor: c}"}
    kept = Kept(
        tmp_path,
        "SELECT c FROM raw.t",
        ["CREATE SCHEMA ext", "CREATE TABLE ext.t (c INT)", "INSERT INTO ext.t VALUES (5), (9)"],
        source,
    )
    kept.after(holds=[(5,), (9,)])
    kept.after("UPDATE ext.t SET c = 4 WHERE c = 5", "INSERT INTO ext.t VALUES (10)", holds=[(4,), (9,), (10,)])


@pytest.mark.parametrize("options", ["cursor: c", "cursor: c, key: [id]"])
def test_rows_without_a_cursor_make_no_promise(tmp_path: Path, options: str) -> None:
    source = {"sources/s.yml": f"raw.t: {{table: ext.t, {options}}}"}
    rows = "(1, 10, 5), (2, 20, NULL), (3, 30, NULL)"
    setup = ["CREATE SCHEMA ext", "CREATE TABLE ext.t (id INT, v INT, c INT)", f"INSERT INTO ext.t VALUES {rows}"]
    kept = Kept(tmp_path, "SELECT id, v FROM raw.t", setup, source)
    kept.after(holds=[(1, 10), (2, 20), (3, 30)])
    kept.after("UPDATE ext.t SET v = 21 WHERE id = 2", holds=[(1, 10), (2, 21), (3, 30)])
    kept.after(
        "UPDATE ext.t SET v = 31 WHERE id = 3",
        "INSERT INTO ext.t VALUES (4, 40, 6)",
        holds=[(1, 10), (2, 21), (3, 31), (4, 40)],
    )
    kept.after("DELETE FROM ext.t WHERE id = 2", "INSERT INTO ext.t VALUES (5, 50, NULL)",
               holds=[(1, 10), (3, 31), (4, 40), (5, 50)])  # fmt: skip
    kept.after("UPDATE ext.t SET c = 7 WHERE c IS NULL", holds=[(1, 10), (3, 31), (4, 40), (5, 50)])
    kept.after("UPDATE ext.t SET c = 8, v = 51 WHERE id = 5", holds=[(1, 10), (3, 31), (4, 40), (5, 51)])


def test_a_reader_that_fails_reads_each_version_once(tmp_path: Path) -> None:
    """What it has not read stays in the log, where another reader has read it already."""
    counted = "SELECT k, count(*) AS n, sum(v) AS s FROM raw.t GROUP BY k"
    other = (
        "-- @strategy: delta\n-- @checks:\n--   - row_count: {max: 3}\nSELECT v, count(*) AS n FROM raw.t GROUP BY v"
    )
    kept = one(tmp_path, counted, "k INT, v INT", "(1, 5), (2, 6)", **{"models/a/other.sql": other})
    kept.after(holds=[(1, 1, 5), (2, 1, 6)])
    for number in range(3):
        kept.project.sql(f"INSERT INTO raw.t VALUES (1, {number})")
        built = kept.project.build()
        assert built.code == int(number > 0), built.told
        assert "changed outside SQLFlow" not in built.told
        assert bag(kept.project.rows("FROM a.kept")) == bag(kept.project.rows(f"FROM ({counted})"))
    kept.after("DELETE FROM raw.t WHERE v IN (1, 6)", holds=[(1, 3, 7)])
    assert bag(kept.project.rows("FROM a.other")) == bag([(5, 1), (0, 1), (2, 1)])
    kept.after("DELETE FROM raw.t WHERE v = 2", "INSERT INTO raw.t VALUES (1, 0)", holds=[(1, 3, 5)])
    assert bag(kept.project.rows("FROM a.other")) == bag([(5, 1), (0, 2)])


def test_a_model_edited_between_runs(tmp_path: Path) -> None:
    kept = one(tmp_path, "SELECT k, sum(v) AS s FROM raw.t GROUP BY k", "k INT, v INT", "(1, 5), (2, 6)")
    kept.after(holds=[(1, 5), (2, 6)])
    kept.edit("SELECT k, sum(v + 1) AS s FROM raw.t GROUP BY k")
    kept.after("INSERT INTO raw.t VALUES (1, 1)", holds=[(1, 8), (2, 7)])
    kept.after("DELETE FROM raw.t WHERE v = 1", holds=[(1, 6), (2, 7)])
    kept.edit("SELECT k, sum(v) AS s FROM raw.t GROUP BY k")
    kept.after("INSERT INTO raw.t VALUES (2, NULL)", holds=[(1, 5), (2, 6)])
    kept.edit("SELECT k, s.s FROM raw.t JOIN (SELECT sum(v) AS s FROM raw.t) AS s ON true")
    kept.after(holds=[(1, 11), (2, 11), (2, 11)])


def test_a_parent_edited_while_the_data_change(tmp_path: Path) -> None:
    parent = "-- @strategy: delta\nSELECT k, v{} AS v FROM raw.t"
    kept = one(
        tmp_path,
        "SELECT k, sum(v) AS s FROM a.parent GROUP BY k",
        "k INT, v INT",
        "(1, 5), (2, 6)",
        **{"models/a/parent.sql": parent.format("")},
    )
    kept.after(holds=[(1, 5), (2, 6)])
    kept.project.write({"models/a/parent.sql": parent.format(" + 10")})
    kept.after("INSERT INTO raw.t VALUES (1, 1)", holds=[(1, 26), (2, 16)])
    kept.after("DELETE FROM raw.t WHERE k = 2", holds=[(1, 26)])


def test_the_strategy_is_switched_back_and_forth(tmp_path: Path) -> None:
    kept = one(tmp_path, "SELECT k, count(*) AS n FROM raw.t GROUP BY k", "k INT", "(1)")
    kept.after(holds=[(1, 1)])
    for number, header in enumerate(("-- @strategy: full\n", "", "-- @incremental: off\n", "-- @strategy: delta\n"), 2):
        kept.header = header
        kept.edit(kept.query)
        kept.after("INSERT INTO raw.t VALUES (1)", holds=[(1, number)])


def test_columns_of_a_star_that_come_and_go(tmp_path: Path) -> None:
    kept = one(tmp_path, "SELECT * FROM raw.t WHERE k > 0", "k INT, v INT", "(1, 5), (0, 1)")
    kept.after(holds=[(1, 5)])
    kept.after(
        "ALTER TABLE raw.t ADD COLUMN z INT DEFAULT 7",
        "INSERT INTO raw.t VALUES (2, 6, 8)",
        holds=[(1, 5, 7), (2, 6, 8)],
    )
    kept.after("INSERT INTO raw.t VALUES (3, 7, NULL)", holds=[(1, 5, 7), (2, 6, 8), (3, 7, None)])
    kept.after("ALTER TABLE raw.t DROP COLUMN v", "DELETE FROM raw.t WHERE k = 1", holds=[(2, 8), (3, None)])


def test_a_column_that_is_not_read_comes_and_goes(tmp_path: Path) -> None:
    kept = one(tmp_path, "SELECT k, count(*) AS n FROM raw.t GROUP BY k", "k INT, v INT", "(1, 5), (2, 1)")
    kept.after(holds=[(1, 1), (2, 1)])
    kept.after("ALTER TABLE raw.t ADD COLUMN z INT", "INSERT INTO raw.t VALUES (2, 6, 8)", holds=[(1, 1), (2, 2)])
    kept.after("ALTER TABLE raw.t DROP COLUMN v", "DELETE FROM raw.t WHERE k = 1", holds=[(2, 2)])


def test_the_type_of_a_column_changes(tmp_path: Path) -> None:
    kept = one(tmp_path, "SELECT k, v FROM raw.t", "k INT, v INT", "(1, 5)")
    kept.after(holds=[(1, 5)])
    kept.after(
        "ALTER TABLE raw.t ALTER v TYPE DECIMAL(20,1)",
        "INSERT INTO raw.t VALUES (2, 0.5)",
        holds=[(1, Decimal("5.0")), (2, Decimal("0.5"))],
    )
    assert kept.types() == ["INTEGER", "DECIMAL(20,1)"]
    kept.after("ALTER TABLE raw.t ALTER v TYPE VARCHAR", "DELETE FROM raw.t WHERE k = 1", holds=[(2, "0.5")])


def test_a_failed_build_in_between(tmp_path: Path) -> None:
    kept = one(tmp_path, "SELECT k, sum(v) AS s FROM raw.t GROUP BY k", "k INT, v INT", "(1, 5)")
    kept.header = "-- @strategy: delta\n-- @checks: [{expression: 's < 100'}]\n"
    kept.edit(kept.query)
    kept.after(holds=[(1, 5)])
    kept.project.sql("INSERT INTO raw.t VALUES (1, 200), (2, 1)")
    assert kept.project.build().code == 1
    assert kept.project.rows("FROM a.kept") == [(1, 5)]
    kept.after("DELETE FROM raw.t WHERE v = 200", "INSERT INTO raw.t VALUES (2, 2)", holds=[(1, 5), (2, 3)])


def test_a_new_check_runs_though_the_inputs_stay_the_same(tmp_path: Path) -> None:
    parent = {"models/a/parent.sql": "SELECT k % 2 AS k FROM raw.t GROUP BY 1"}
    kept = one(tmp_path, "SELECT k FROM a.parent", "k INT", "(1)", **parent)
    kept.after(holds=[(1,)])
    kept.header = "-- @strategy: delta\n-- @checks: [{row_count: {min: 100}}]\n"
    kept.edit(kept.query)
    kept.project.sql("INSERT INTO raw.t VALUES (3)")
    assert kept.project.build().code == 1


def test_a_child_that_was_not_selected_for_a_while(tmp_path: Path) -> None:
    parent = {"models/a/parent.sql": "-- @strategy: delta\nSELECT k, sum(v) AS s FROM raw.t GROUP BY k"}
    kept = one(tmp_path, "SELECT s, count(*) AS n FROM a.parent GROUP BY s", "k INT, v INT", "(1, 5), (2, 5)", **parent)
    kept.after(holds=[(5, 2)])
    for statement in (
        "INSERT INTO raw.t VALUES (1, 1)",
        "INSERT INTO raw.t VALUES (3, 6)",
        "DELETE FROM raw.t WHERE k = 2",
    ):
        kept.project.sql(statement)
        assert kept.project.build("a.parent").code == 0
    kept.after(holds=[(6, 2)])


def test_the_parent_was_made_anew_meanwhile(tmp_path: Path) -> None:
    parent = {"models/a/parent.sql": "-- @strategy: delta\nSELECT k, sum(v) AS s FROM raw.t GROUP BY k"}
    kept = one(tmp_path, "SELECT s, count(*) AS n FROM a.parent GROUP BY s", "k INT, v INT", "(1, 5), (2, 5)", **parent)
    kept.after(holds=[(5, 2)])
    kept.project.sql("INSERT INTO raw.t VALUES (1, 1)")
    assert kept.project.build("a.parent", full_refresh=True).code == 0
    kept.project.sql("DROP TABLE a.parent", "INSERT INTO raw.t VALUES (2, 1)")
    kept.after(holds=[(6, 2)])


def test_the_run_state_is_forgotten(tmp_path: Path) -> None:
    kept = one(tmp_path, "SELECT k, count(*) AS n FROM raw.t GROUP BY k", "k INT", "(1)")
    kept.after(holds=[(1, 1)])
    kept.project.forget_state()
    kept.after("INSERT INTO raw.t VALUES (1), (2)", holds=[(1, 2), (2, 1)])
    kept.project.forget_state()
    kept.after("DELETE FROM raw.t WHERE k = 2", holds=[(1, 2)])


def test_a_source_that_is_a_view(tmp_path: Path) -> None:
    kept = Kept(
        tmp_path,
        "SELECT k, count(*) AS n FROM raw.v GROUP BY k",
        ["CREATE TABLE raw.t AS SELECT 1 AS k", "CREATE VIEW raw.v AS SELECT k FROM raw.t WHERE k > 0"],
    )
    kept.after(holds=[(1, 1)])
    kept.after("INSERT INTO raw.t VALUES (1), (0), (2)", holds=[(1, 2), (2, 1)])
    kept.after("CREATE OR REPLACE VIEW raw.v AS SELECT k FROM raw.t", holds=[(0, 1), (1, 2), (2, 1)])


def test_dice_that_only_fill_a_column_are_thrown_once_for_each_row(tmp_path: Path) -> None:
    kept = one(tmp_path, "SELECT k, random() AS r FROM raw.t", "k INT", "(1), (2)")
    assert kept.project.build().code == 0
    before = kept.project.rows("SELECT k, r FROM a.kept ORDER BY k")
    kept.project.sql("INSERT INTO raw.t VALUES (3)")
    assert kept.project.build().code == 0
    after = kept.project.rows("SELECT k, r FROM a.kept ORDER BY k")
    assert [row[0] for row in after] == [1, 2, 3]
    assert all(old[1] == new[1] for old, new in zip(before, after, strict=False)), "rows that stay keep theirs"


def test_a_column_of_the_result_is_called_like_another_one_that_is_read(tmp_path: Path) -> None:
    """The keys that are computed anew have the names of the result, where `k` is another `k` than that of the table."""
    query = (
        "WITH w AS (SELECT k * 2 AS k, x FROM raw.t) SELECT k, x FROM raw.t "
        "UNION ALL SELECT k, x FROM w UNION ALL SELECT k, max(x) FROM raw.other GROUP BY k"
    )
    kept = one(tmp_path, query, "k INT, x INT")
    kept.project.sql("CREATE TABLE raw.other (k INT, x INT)")
    kept.after(holds=[])
    kept.after("INSERT INTO raw.t VALUES (130, 1)", holds=[(130, 1), (260, 1)])
    kept.after("INSERT INTO raw.t VALUES (260, 1)", holds=[(130, 1), (260, 1), (260, 1), (520, 1)])
    kept.after("DELETE FROM raw.t WHERE k = 130", holds=[(260, 1), (520, 1)])


@pytest.mark.parametrize("more", ["", ", sum(d) AS s", ", count(d) AS n"])
def test_the_last_digit_of_an_average_of_decimals(tmp_path: Path, more: str) -> None:
    """The engine divides in two ways, and takes one or the other by what else is asked for."""
    query = f"SELECT g, avg(d) AS mean{more} FROM raw.t GROUP BY g"
    kept = one(tmp_path, query, "g INT, d DECIMAL(10,2)")
    kept.project.sql("INSERT INTO raw.t SELECT i % 40, (i * 7919 % 1999 - 999) / 100 FROM range(1200) AS r(i)")
    for change in (
        "",
        "INSERT INTO raw.t SELECT i % 40, i * 1.37 FROM range(200) AS r(i)",
        "DELETE FROM raw.t WHERE d < -3",
    ):
        if change:
            kept.project.sql(change)
        built = kept.project.build()
        assert built.code == 0, built.told
        assert "were not those" not in built.told
        assert kept.project.rows(f"FROM a.kept EXCEPT ALL ({query})") == []


def test_a_value_that_is_counted_once_comes_again(tmp_path: Path) -> None:
    kept = one(tmp_path, "SELECT k, count(DISTINCT v) AS n FROM raw.t GROUP BY k", "k INT, v INT", "(1, 1), (1, 2)")
    kept.after(holds=[(1, 2)])
    kept.after("INSERT INTO raw.t VALUES (1, 1), (1, 3)", holds=[(1, 3)])
    kept.after("DELETE FROM raw.t WHERE v = 2", holds=[(1, 2)])
