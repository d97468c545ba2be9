"""The 22 queries of TPC-H as models: after each refresh their tables equal the queries."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from every_engine import ENGINES, NewProject, notyet, projects_on
from lawful import Lawful
from length import at_length
from on_postgres import LawfulPostgres
from tpch import ORDERS, QUERIES, UNLIMITED, begin, delete_orders, fill, insert_orders, methods

ALL = {**QUERIES, **UNLIMITED}
FIRST, LATER = ORDERS + 1, ORDERS + 101
REFRESHES: tuple[tuple[str, ...], ...] = (
    insert_orders(FIRST, 15),  # RF1
    delete_orders(1, 15),  # RF2
    (*insert_orders(LATER, 10), *delete_orders(40, 10)),
    ("UPDATE tpch.supplier SET s_acctbal = s_acctbal - 100, s_nationkey = 7 WHERE s_suppkey <= 3",),
    (
        "UPDATE tpch.partsupp SET ps_supplycost = 0.01 WHERE ps_partkey % 50 = 1",
        "UPDATE tpch.customer SET c_acctbal = -c_acctbal WHERE c_custkey % 20 = 0",
        "UPDATE tpch.lineitem SET l_quantity = l_quantity + 1, l_shipdate = l_shipdate + 31 WHERE l_orderkey % 100 = 5",
    ),
    (
        "DELETE FROM tpch.part WHERE p_partkey % 40 = 0",
        "UPDATE tpch.nation SET n_regionkey = 3 WHERE n_name = 'BRAZIL'",
    ),
    delete_orders(FIRST, 15),
)


def _differing(project: Lawful) -> dict[str, tuple[object, object]]:
    """Tables that are not what their query gives: what they lack, and what they have too much."""
    found: dict[str, tuple[object, object]] = {}
    with project.connected() as connection:
        for name, sql in ALL.items():
            missing = connection.execute(f"FROM ({sql}) EXCEPT ALL FROM out.{name}").fetchall()
            surplus = connection.execute(f"FROM out.{name} EXCEPT ALL FROM ({sql})").fetchall()
            if missing or surplus:
                found[name] = (missing[:3], surplus[:3])
    return found


def _refreshed(project: Lawful, refresh: tuple[str, ...]) -> None:
    fill(project, *refresh)
    built = project.build()
    assert built.code == 0, built.told
    assert _differing(project) == {}
    assert project.planned() == []


@pytest.fixture(scope="module", params=["duckdb", pytest.param("postgres", marks=pytest.mark.long)])
def project(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lawful]:
    with projects_on(request.param) as new_project:
        made = new_project(tmp_path_factory.mktemp("tpch"))
        begin(made)
        built = made.build()
        assert built.code == 0, built.told
        yield made


def test_every_query_finds_rows(project: Lawful) -> None:
    empty = [name for name in ALL if project.rows(f"SELECT count(*) FROM out.{name}") == [(0,)]]
    assert empty == []
    assert _differing(project) == {}


def test_tables_equal_their_queries_after_each_kind_of_refresh(project: Lawful) -> None:
    for refresh in REFRESHES[2:6]:
        _refreshed(project, refresh)


@pytest.mark.long
def test_tables_equal_their_queries_after_each_refresh(project: Lawful) -> None:
    for refresh in REFRESHES:
        _refreshed(project, refresh)


def test_each_query_says_its_tier_and_what_refuses_it(project: Lawful) -> None:
    fill(project, *insert_orders(LATER + 100, 5))
    told = {name: (tier, why) for name, tier, _, why in methods(project)}
    # avg(l_discount) without its sum, beside a count
    assert told["q01"][0] == ("keys" if isinstance(project, LawfulPostgres) else "none")
    for name, (tier, why) in told.items():
        assert tier in ("rows", "additions", "keys", "none"), name
        assert tier != "none" or why, f"{name} is refused without a reason"
    _refreshed(project, ())


def test_a_sum_of_products_follows_changes(project: Lawful, request: pytest.FixtureRequest) -> None:
    if isinstance(project, LawfulPostgres):
        unknown = "the server gives no scale to a product of decimals, so their sum is computed again"
        request.applymarker(notyet(unknown, AssertionError, "'none' == 'rows'"))
    fill(project, *insert_orders(LATER + 200, 5))
    assert {name: tier for name, tier, _, _ in methods(project)}["q06"] == "rows"


@pytest.mark.long
@pytest.mark.parametrize("new_project", ENGINES, indirect=True)
def test_tables_equal_their_queries_after_many_refreshes(tmp_path: Path, new_project: NewProject) -> None:
    made = new_project(tmp_path)
    begin(made)
    assert made.build().code == 0
    for number in range(at_length(12)):
        first = ORDERS + 1 + number * 20
        _refreshed(
            made,
            (
                *insert_orders(first, 7),
                *delete_orders(1 + number * 9, 7),
                *(REFRESHES[3 + number % 3] if number % 4 == 0 else ()),
            ),
        )
