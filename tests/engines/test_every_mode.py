"""The project that uses every mode, on DuckDB and on PostgreSQL: the same tables, whatever happens."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from every_mode import begin, happen, happen_more
from lawful import Lawful
from on_postgres import LawfulPostgres


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
