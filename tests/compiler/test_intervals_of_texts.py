"""Intervals of several parts, of which sqlglot by itself keeps the first."""

from __future__ import annotations

import pytest
from sqlglot import exp

from sqlflow.compiler.moments import interval
from sqlflow.core.syntax import parse_tree

DAY, HOUR, MINUTE = 86_400_000_000, 3_600_000_000, 60_000_000


@pytest.mark.parametrize("dialect", ["duckdb", "postgres"])
@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("1 day", (0, 1, 0)),
        ("1 day 02:30", (0, 1, 2 * HOUR + 30 * MINUTE)),
        ("1 month 2 days", (1, 2, 0)),
        ("1 day ago", None),
        ("P1M", None),
        ("1-2", None),
    ],
)
def test_no_part_of_an_interval_is_lost(dialect: str, text: str, length: tuple[int, int, int] | None) -> None:
    tree = parse_tree(f"SELECT INTERVAL '{text}' AS i", dialect)
    assert tree is not None
    node = tree.find(exp.Interval)
    assert node is not None
    assert interval(node) == length
    assert text in tree.sql(dialect) or length == (0, 1, 0)
