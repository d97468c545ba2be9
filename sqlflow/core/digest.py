"""A number that tells one row from another.

The engine's `hash` is made for joining: it takes values for equal that it compares as equal, and more: 0.0 and -0.0, NaN
with either sign, an interval of 1 month and one of 30 days, [NULL] and [], [[1], [2]] and [[1, 2]], structs with other
field names. A change from one to the other must be seen, so what `hash` does not tell is put beside the row: the sign of
floating-point numbers, and the text of whatever is not a plain value. Only NaN is NaN with either sign: DuckDB's own
statistics take them for one value, so what it makes of the sign of a NaN (inf - inf has one) depends on the plan.
"""

from __future__ import annotations

from sqlflow.core.schema import Schema
from sqlflow.core.sql import Ident, Sql, compose

_ROW = Sql("_sqlflow_row")
# Types of which `hash` tells all values apart (but for a collision of 64 bits).
_PLAIN = (
    "TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "UHUGEINT",
    "DECIMAL", "BOOLEAN", "DATE", "TIMESTAMP", "UUID", "VARCHAR", "BLOB", "ENUM", "JSON",
)  # fmt: skip


def row_digest(schema: Schema) -> Sql:
    """The hash of a row of a relation with these columns, which must have the alias `_sqlflow_row`."""
    return compose("hash({parts})", parts=[_ROW, *finer(schema, _ROW)])


def finer(schema: Schema, row: Sql | None = None) -> list[Sql]:
    """What tells apart values that compare as equal, for each column that has such; `row` is the alias of its table."""
    dot = Sql("") if row is None else Sql(f"{row}.")
    parts = []
    for column in schema:
        value = compose("{dot}{c}", dot=dot, c=Ident(column.name))
        if column.type in ("DOUBLE", "FLOAT"):
            parts.append(compose("(signbit({v}) AND NOT isnan({v}))", v=value))
        elif column.type.endswith("]") or not column.type.startswith(_PLAIN):
            if column.type.startswith("UNION"):
                parts.append(compose("union_tag({v})", v=value))
            parts.append(compose("CAST({v} AS VARCHAR)", v=value))
    return parts
