"""The project that uses every mode, on DuckDB and on PostgreSQL: the same tables, whatever happens."""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
import sqlglot
from every_mode import begin, happen, happen_more
from lawful import Lawful
from on_postgres import LawfulPostgres
from sqlglot import exp


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[Lawful, LawfulPostgres]]:
    here = begin(Lawful(tmp_path / "duckdb"))
    there = LawfulPostgres(tmp_path / "postgres")
    begin(there)
    yield here, there
    there.drop()


TABLES = (
    "staging.events", "inc.days", "inc.batched", "inc.months", "log.lines", "keyed.newest", "keyed.stream", "keyed.swapped",
    "keyed.off", "marts.named", "marts.keys", "marts.lines", "kept.linear", "kept.grouped", "kept.most", "kept.keyed",
    "kept.newest", "kept.child", "kept.merged", "kept.pieces", "seeds.dims", "raw.files",
)  # fmt: skip


def test_tables_are_the_same_on_both_engines(pair: tuple[Lawful, LawfulPostgres]) -> None:
    here, there = pair
    for change in (None, happen, happen_more):
        for project in pair:
            if change is not None:
                change(project)
            built = project.build()
            assert built.code == 0, built.told
            assert project.planned() == []
        for table in TABLES:
            query = f"SELECT * FROM {table}"
            assert _rows(here, query) == _rows(there, query), table


def _rows(project: Lawful, query: str) -> list[str]:
    return sorted(repr(tuple(_plain(value) for value in row)) for row in project.rows(query))


def _plain(value: object) -> object:
    """Numbers of different types that are equal, and moments, in one spelling."""
    match value:
        case bool():
            return value
        case Decimal() | float() | int():
            return round(float(value), 9)
        case dt.datetime():
            return value.isoformat()
        case _:
            return value


def test_every_subquery_has_a_name(pair: tuple[Lawful, LawfulPostgres]) -> None:
    """PostgreSQL 14 and 15 want one, and these tests mostly run on a newer server."""
    _, there = pair
    there.write(
        {
            "models/kept/whole.sql": "SELECT count(*) AS n FROM raw.events AS a, raw.events AS b WHERE a.id = b.k\n",
            "models/kept/below.sql": "SELECT n + 1 AS n FROM kept.whole\n",
        }
    )
    for change in (None, happen, happen_more):
        if change is not None:
            change(there)
        for sql in _statements(there):
            tree = sqlglot.parse_one(sql, dialect="postgres")
            nameless = [
                s for s in tree.find_all(exp.Subquery) if isinstance(s.parent, exp.From | exp.Join) and not s.alias
            ]
            assert not nameless, sql
        assert there.build().code == 0


def _statements(project: LawfulPostgres) -> Iterator[str]:
    for task in json.loads(project.plan())["tasks"]:
        for sql in (*(step.get("sql") or "" for step in task["steps"]), *task["audits"]):
            if re.match(r"\s*(SELECT|WITH|INSERT|DELETE|UPDATE|CREATE (OR REPLACE )?(TEMP )?TABLE)", sql):
                yield sql
