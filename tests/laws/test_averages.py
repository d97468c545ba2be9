"""An average that is kept as its sum and count has every bit of the engine's own.

DuckDB divides in one of two ways, by what else a query computes in the same groups (`Wording.average`). They differ for
sums beyond 2**53, and in groups of more than 2**11 rows, where dividing in 80 bits rounds twice.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import pytest
from lawful import Lawful

# type -> the numbers below which its values are, and a fraction for those that have one
_KINDS = {
    "TINYINT": (127, ""),
    "SMALLINT": (32767, ""),
    "INTEGER": (2**31 - 1, ""),
    "BIGINT": (9 * 10**18, ""),
    "HUGEINT": (18 * 10**18, ""),
    "UTINYINT": (255, ""),
    "USMALLINT": (65535, ""),
    "UINTEGER": (2**32 - 1, ""),
    "UBIGINT": (18 * 10**18, ""),
    "DECIMAL(4,1)": (900, "0.1"),
    "DECIMAL(9,2)": (9 * 10**6, "0.01"),
    "DECIMAL(12,2)": (9 * 10**9, "0.01"),
    "DECIMAL(18,0)": (9 * 10**17, ""),
    "DECIMAL(18,4)": (9 * 10**13, "0.0001"),
    "DECIMAL(38,3)": (18 * 10**18, "0.001"),
}
# what stands beside the average -> the SELECT list and whether its groups are kept, with `v` for the column
_BESIDE = {
    "nothing": ("g, avg(v) AS mean", True),
    "its sum": ("g, avg(v) AS mean, sum(t.v) AS total", True),
    "its count": ("g, avg(v) AS mean, count(v) AS n", True),
    "another sum": ("g, avg(v) AS mean, sum(other) AS total", True),
    "another count": ("g, avg(v) AS mean, count(other) AS n", None),
    "another average": ("g, avg(v) AS mean, avg(other) AS others, sum(other) AS n", None),
    "a filter": ("g, avg(v) FILTER (WHERE v > 1) AS mean, count(*) AS n, sum(v) AS total", True),
    "no groups": ("avg(v) AS mean, count(*) AS n", True),
    "rows": ("g, avg(v) AS mean, count(*) AS n", None),
    "the same, written otherwise": ("g, avg(v) AS mean, sum(v + 0) AS total", False),
}


def _rows(first: int, last: int) -> str:
    values = []
    for number, (kind, (below, fraction)) in enumerate(_KINDS.items()):
        more = f" + CAST(hash(i + 99) % 10 AS INTEGER) * {fraction}" if fraction else ""
        some = (
            f"CASE WHEN i % 7 < 2 THEN CAST(CAST(hash(i + {number}) % {below} AS HUGEINT) AS DECIMAL(38, 0)) ELSE 0 END"
        )
        values.append(f"CAST(CAST({some} AS DECIMAL(38, 4)){more} AS {kind}) AS v{number}")
    return f"SELECT i % 8 AS g, i AS other, {', '.join(values)} FROM range({first}, {last}) AS rows(i)"


# One of each width, and those in which the two ways differ in the rows below.
_FEW = ("TINYINT", "INTEGER", "BIGINT", "UBIGINT", "DECIMAL(12,2)", "DECIMAL(18,4)", "DECIMAL(38,3)")


@pytest.mark.parametrize(
    "kinds", [pytest.param(_FEW, id="few"), pytest.param(_KINDS, id="all", marks=pytest.mark.long)]
)
@pytest.mark.parametrize("beside", _BESIDE)
def test_every_bit_of_an_average(tmp_path: Path, beside: str, kinds: Collection[str]) -> None:
    items, kept = _BESIDE[beside]
    tail = " GROUP BY g" if items.startswith("g,") else ""
    queries = {
        kind: f"SELECT {items} FROM raw.t AS t{tail}".replace("v)", f"v{number})").replace("v ", f"v{number} ")
        for number, kind in enumerate(_KINDS)
        if kind in kinds
    }
    project = Lawful(tmp_path)
    project.begin({f"models/a/m{n}.sql": f"-- @strategy: delta\n{query}" for n, query in enumerate(queries.values())})
    project.sql("CREATE SCHEMA raw", f"CREATE TABLE raw.t AS {_rows(0, 24000)}")
    for change in ("", f"INSERT INTO raw.t {_rows(24000, 24100)}", "DELETE FROM raw.t WHERE v2 % 97 = 3"):
        if change:
            project.sql(change)
        built = project.build()
        assert built.code == 0, built.told
        assert "were not those" not in built.told
        missing = project.rows_of(f"FROM a.m{n} EXCEPT ALL ({query})" for n, query in enumerate(queries.values()))
        assert {kind: rows for kind, rows in zip(queries, missing, strict=True) if rows} == {}
    counters = "SELECT count(*) FROM duckdb_tables() WHERE schema_name = '_sqlflow' AND table_name LIKE 'counters of %'"
    if kept is not None:
        assert project.rows(counters) == [(len(kinds) if kept else 0,)]


# models whose averages DuckDB rounds in the one way or the other by whether there ever was a NULL among the values
_BY_STATISTICS = {
    "rows": "SELECT g, avg(v3) AS mean, count(*) AS n FROM raw.t GROUP BY g",
    "another": "SELECT g, avg(v3) AS mean, avg(v2) AS others FROM raw.t GROUP BY g",
    "median": "SELECT g, avg(v3) AS mean, count(other) AS n, median(other) AS middle FROM raw.t GROUP BY g",
    "inside": "WITH means AS (SELECT g, avg(v3) AS mean, count(*) AS n FROM raw.t GROUP BY g) SELECT g, mean FROM means",
    "having": "SELECT g, avg(v3) AS mean FROM raw.t GROUP BY g HAVING count(*) > 1",
}


@pytest.mark.parametrize("which", _BY_STATISTICS)
def test_one_null_changes_how_the_averages_of_all_groups_are_rounded(tmp_path: Path, which: str) -> None:
    query = _BY_STATISTICS[which]
    project = Lawful(tmp_path)
    project.begin({"models/a/m.sql": f"-- @strategy: delta\n{query}"})
    project.sql("CREATE SCHEMA raw", f"CREATE TABLE raw.t AS {_rows(0, 24000)}")
    assert project.build().code == 0
    before = project.rows("SELECT g, mean FROM a.m WHERE g <> 1 ORDER BY g")
    project.sql("INSERT INTO raw.t (g, other) VALUES (1, 24001)")
    built = project.build()
    assert built.code == 0, built.told
    assert project.rows("SELECT g, mean FROM a.m WHERE g <> 1 ORDER BY g") != before, "or nothing is shown here"
    assert project.rows(f"FROM a.m EXCEPT ALL ({query})") == []


def test_the_two_ways_differ_here(tmp_path: Path) -> None:
    """Otherwise the test above could not fail."""
    project = Lawful(tmp_path)
    project.begin({})
    project.sql("CREATE SCHEMA raw", f"CREATE TABLE raw.t AS {_rows(0, 24000)}")
    for number, kind in enumerate(_KINDS):
        if kind in ("BIGINT", "UBIGINT", "HUGEINT", "DECIMAL(12,2)", "DECIMAL(18,0)", "DECIMAL(18,4)", "DECIMAL(38,3)"):
            v = f"v{number}"
            ways = f"(SELECT g, avg({v}) AS mean FROM raw.t GROUP BY g EXCEPT SELECT g, CAST(sum({v}) AS DOUBLE) / count({v}) FROM raw.t GROUP BY g)"
            assert project.rows(f"SELECT count(*) > 0 FROM {ways}") == [(True,)], kind
