"""Our resolver and lineage against sqlglot's `qualify` and `lineage`: the hand-written cases, and the queries of TPC-H and
TPC-DS as sqlglot's own tests have them (MIT; source and licence are named in `tests/cases/tpc.json`)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from sqlglot import exp, parse_one
from sqlglot.lineage import Node
from sqlglot.lineage import lineage as trace_with_sqlglot
from sqlglot.optimizer.qualify import qualify
from sqlglot.optimizer.scope import build_scope

from sqlflow.compiler.lineage import trace
from sqlflow.compiler.resolve import resolve
from sqlflow.core.names import TableName

FOLDER = Path(__file__).parent.parent / "cases"
TPC = json.loads((FOLDER / "tpc.json").read_text())
BY_HAND = json.loads((FOLDER / "lineage.json").read_text())

Tables = Mapping[str, Sequence[str]]
Found = dict[str, set[str]]

DIFFERENCES = {
    "LIN-03": "a column of USING in an inner join is the left one; sqlglot merges both sides with COALESCE",
    "LIN-11": "UNION BY NAME pairs columns by name; sqlglot pairs them by place",
    "LIN-29": "COLUMNS(lambda) becomes the columns that it picks; sqlglot leaves it as one column without sources",
}


def by_sqlglot(sql: str, tables: Tables) -> Found:
    schema: dict[str, object] = {name: dict.fromkeys(columns, "int") for name, columns in tables.items()}
    tree = qualify(
        parse_one(sql, dialect="duckdb"), schema=schema, dialect="duckdb", quote_identifiers=False, identify=False
    )
    scope = build_scope(tree)
    names = [item.alias_or_name for item in tree.selects]  # type: ignore[attr-defined]
    return {
        name.lower(): leaves(
            trace_with_sqlglot(name, tree, schema=schema, scope=scope, dialect="duckdb", trim_selects=False)
        )
        for name in names
        if names.count(name) == 1
    }


def leaves(node: Node) -> set[str]:
    """The columns of tables at the ends of a tree of sqlglot."""
    ends = [found for found in node.walk() if not found.downstream and isinstance(found.source, exp.Table)]
    return {f"{found.source.name}.{found.name.rpartition('.')[2]}".lower() for found in ends}


def by_us(sql: str, tables: Tables) -> Found:
    columns = {TableName("main", name): tuple(names) for name, names in tables.items()}
    resolved = resolve(
        parse_one(sql, dialect="duckdb"), columns, lambda table: TableName(table.db or "main", table.name)
    )
    assert resolved.problems == ()
    found = trace(resolved)
    assert found.complete
    assert found.columns is not None
    names = [(column.name or "").lower() for column in found.columns]
    return {
        name: {f"{ref.table.name}.{ref.column}".lower() for ref in column.direct}
        for name, column in zip(names, found.columns, strict=True)
        if names.count(name) == 1
    }


def compare(sql: str, tables: Tables, *, unnamed: bool = False) -> int:
    ours, theirs = by_us(sql, tables), by_sqlglot(sql, tables)
    named = {name for name in theirs if not name.startswith("_col_")}  # sqlglot's own names for columns without one
    assert named or unnamed  # a query may have nothing but columns without a name
    assert named <= ours.keys()
    assert {name: ours[name] for name in named} == {name: theirs[name] for name in named}
    return len(named)


@pytest.mark.parametrize("family", ["TPC-H", "TPC-DS"])
def test_tpc_queries_have_the_lineage_that_sqlglot_finds(family: str) -> None:
    queries = {name: sql for name, sql in TPC["queries"].items() if name.split()[0] == family}
    assert len(queries) == {"TPC-H": 22, "TPC-DS": 99}[family]
    compared = sum(compare(sql, TPC["tables"][family], unnamed=True) for sql in queries.values())
    assert compared > {"TPC-H": 60, "TPC-DS": 450}[family]


@pytest.mark.parametrize("case", BY_HAND["cases"], ids=lambda case: case["id"])
def test_cases_differ_from_sqlglot_only_where_it_is_explained(case: dict[str, str]) -> None:
    tables: Tables = BY_HAND["tables"]
    if case["id"] in DIFFERENCES:
        with pytest.raises(AssertionError):
            compare(case["sql"], tables)
    else:
        compare(case["sql"], tables)
