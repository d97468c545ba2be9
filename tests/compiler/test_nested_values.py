"""`unnest` of a field of a struct: one column where its type says that it is a list."""

from __future__ import annotations

import pytest
from sqlglot import parse_one

from sqlflow.compiler.lineage import trace
from sqlflow.compiler.resolve import resolve
from sqlflow.core.names import TableName

T = TableName("main", "t")
TYPES = {
    "id": "INTEGER",
    "r": 'STRUCT(l INTEGER[], s STRUCT(a INTEGER, "b c" VARCHAR, m VARCHAR[])[], one STRUCT(x INTEGER))',
    "many": "STRUCT(l INTEGER[])[]",
}


def traced(sql: str) -> list[tuple[str | None, set[str]]] | None:
    tree = parse_one(sql, dialect="duckdb")
    resolved = resolve(
        tree,
        {T: tuple(TYPES)},
        lambda table: T if table.name == "t" else None,
        type_of=lambda column: TYPES[column.column],
    )
    found = trace(resolved)
    if not found.complete or found.columns is None:
        return None
    return [(column.name, {ref.column for ref in column.direct}) for column in found.columns]


@pytest.mark.parametrize(
    ("sql", "columns"),
    [
        ("SELECT id, unnest(r.l) AS e FROM t", [("id", {"id"}), ("e", {"r"})]),
        ("SELECT id, unnest(t.r.l) AS e FROM t", [("id", {"id"}), ("e", {"r"})]),
        ("SELECT id, unnest(r.s) AS e FROM t", [("id", {"id"}), ("e", {"r"})]),
        ("SELECT unnest(many[1].l) AS e FROM t", [("e", {"many"})]),
        ("WITH c AS (SELECT id, unnest(r.s) AS item FROM t) SELECT id, item.a AS a, unnest(item.m) AS w FROM c", [("id", {"id"}), ("a", {"r"}), ("w", {"r"})]),
        ("SELECT u.e.a AS a, unnest(u.e.m) AS w FROM t, unnest(t.r.s) AS u(e)", [("a", {"r"}), ("w", {"r"})]),
        ("SELECT unnest(m.l) AS e FROM (SELECT unnest(many) AS m FROM t)", [("e", {"many"})]),
        ("SELECT unnest(r.one) FROM t", None),  # a struct becomes its fields
        ("SELECT unnest(r.nothing) AS e FROM t", None),
    ],
)  # fmt: skip
def test_a_list_inside_of_a_struct_is_one_column(sql: str, columns: list[tuple[str, set[str]]] | None) -> None:
    assert traced(sql) == columns
