"""PostgreSQL's words."""

from __future__ import annotations

import re
from collections.abc import Sequence

from sqlflow.core.names import TableName
from sqlflow.core.schema import Column, Schema
from sqlflow.core.sql import Ident, Sql, compose, joined

_OURS = re.compile(r'CREATE OR REPLACE (TEMP )?TABLE ("(?:[^"]|"")*"(?:\."(?:[^"]|"")*")?) AS\s')
# Types of which values that compare as equal have the same text.
_EXACT = (
    "BOOLEAN", "SMALLINT", "INTEGER", "BIGINT", "DATE", "TIMESTAMP", "UUID", "BYTEA", "DECIMAL",
)  # fmt: skip


class PostgresWording:
    """The text of a row tells all its values apart that can be told apart at all: the sign of zero, an interval of a
    month from one of thirty days, NULL from an empty text. Sessions fix the settings that the text depends on."""

    row_id = Ident("ctid")

    def statement(self, sql: Sql) -> Sql:
        found = _OURS.match(sql)
        if found is None:
            return sql
        temporary, name = found[1], found[2]
        where, word = ("pg_temp.", "TEMP ") if temporary else ("", "")
        return Sql(f"DROP TABLE IF EXISTS {where}{name};\nCREATE {word}TABLE {name} AS {sql[found.end() :]}")

    def hash(self, values: Sequence[Sql | Ident]) -> Sql:
        return compose("hashtextextended(CAST(ROW({values}) AS TEXT), 0)", values=values)

    def row_digest(self, schema: Schema) -> Sql:
        return self.hash([compose("_sqlflow_row.{c}", c=Ident(name)) for name in schema.names])

    def row_hash(self, schema: Schema) -> Sql:
        return self.hash([Ident(name) for name in schema.names])

    def same(self, left: Sql, right: Sql) -> Sql:
        # `IS NOT DISTINCT FROM` cannot be hashed or merged; arrays can, and take NULL elements for equal.
        return compose("ARRAY[{l}] = ARRAY[{r}]", l=left, r=right)

    def same_bits(self, left: Sql, right: Sql, column: Column) -> Sql:
        if column.type.startswith(_EXACT) and not column.type.endswith("]"):
            return compose("{l} IS NOT DISTINCT FROM {r}", l=left, r=right)
        return _same_text(left, right)

    def finer(self, left: Sql, right: Sql, schema: Schema) -> Sequence[Sql]:
        return [
            _same_text(compose("{t}.{c}", t=left, c=Ident(c.name)), compose("{t}.{c}", t=right, c=Ident(c.name)))
            for c in schema
            if not c.type.startswith(_EXACT) or c.type.endswith("]")
        ]

    def first(self, column: Ident) -> Sql:
        return compose("(array_agg({c}))[1]", c=column)

    def copies(self, count: Sql) -> Sql:
        return compose("generate_series(1, CAST({n} AS BIGINT))", n=count)

    def finite(self, value: Sql) -> Sql:
        return compose("{v} NOT IN ('NaN', 'Infinity', '-Infinity')", v=value)

    def precision(self, kind: str) -> int | None:
        return {"DOUBLE PRECISION": 15, "REAL": 6}.get(kind)

    def sample(self, rows: int) -> Sql:
        return compose("LIMIT {n}", n=rows)

    def own_indexes(self, table: TableName) -> Sql:
        return Sql("0")  # a table that fits is emptied and filled, and keeps them

    def publish(self, table: TableName, query: Sql, schema: Schema, *, fits: bool) -> Sequence[Sql]:
        building = TableName(table.schema, _building(table.name))
        columns = [Ident(name) for name in schema.names]
        if not fits:
            # Under another name first: the query may read the table that stands.
            return [
                compose("CREATE TABLE {b} AS\n{q}", b=building, q=query),
                compose("DROP TABLE IF EXISTS {t}", t=table),
                compose("ALTER TABLE {b} RENAME TO {name}", b=building, name=Ident(table.name)),
            ]
        rows = Ident("_sqlflow_published")
        return [
            self.statement(compose("CREATE OR REPLACE TEMP TABLE {rows} AS\n{q}", rows=rows, q=query)),
            compose("TRUNCATE {t}", t=table),
            compose("INSERT INTO {t} ({cs}) SELECT {cs} FROM {rows}", t=table, cs=columns, rows=rows),
        ]

    def swap_in(self, building: TableName, table: TableName, schema: Schema, *, fits: bool | None) -> Sequence[Sql]:
        columns = [Ident(name) for name in schema.names]
        if fits:
            return [
                compose("TRUNCATE {t}", t=table),
                compose("INSERT INTO {t} ({cs}) SELECT {cs} FROM {b}", t=table, cs=columns, b=building),
                compose("DROP TABLE {b}", b=building),
            ]
        drop = [] if fits is None else [compose("DROP TABLE {t}", t=table)]
        return [*drop, compose("ALTER TABLE {b} RENAME TO {name}", b=building, name=Ident(table.name))]

    def moment(self, value: Sql, zoned: bool) -> Sql:
        return compose(
            "CASE WHEN {v} IS NULL THEN 'null' WHEN NOT isfinite({v}) THEN CASE WHEN {v} > TIMESTAMP '2000-01-01' THEN 'inf' "
            "ELSE '-inf' END ELSE CAST(CAST(extract(epoch FROM {v}) * 1000000 AS BIGINT) AS TEXT) END",
            v=value,
        )


def _building(name: str) -> str:
    """A name beside that of a table, within the 63 bytes that PostgreSQL keeps of one."""
    return name.encode()[:50].decode(errors="ignore") + "__new"


def _same_text(left: Sql, right: Sql) -> Sql:
    parts = [compose('ARRAY[CAST({v} AS TEXT) COLLATE "C"]', v=value) for value in (left, right)]
    return joined(" = ", parts)
