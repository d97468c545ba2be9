"""DuckDB's words."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from sqlflow.core.model import PartitionBy
from sqlflow.core.names import TableName
from sqlflow.core.records import Relation
from sqlflow.core.schema import Column, Schema
from sqlflow.core.sql import Ident, Part, Sql, Value, as_json, compose, joined, make
from sqlflow.core.types import Family, parsed
from sqlflow.core.wording import OtherAggregates, Prices, Published

_ROW = Sql("_sqlflow_row")
# Types of which values that compare as different have different hashes (but for a collision of 64 bits), or of which
# `_unhashed` says the rest.
_PLAIN = frozenset(
    {
        Family.INTEGER, Family.DECIMAL, Family.BOOLEAN, Family.DATE, Family.TIMESTAMP, Family.UUID, Family.TEXT, Family.BINARY,
        Family.ENUM, Family.JSON,
    }
)  # fmt: skip
# The widest decimal that is a number of 64 bits.
_NARROW = 18
_WIDE_BITS = 128
# By the type of what is averaged: as which one DuckDB takes it.
_STATES = {
    "TINYINT": "SMALLINT", "SMALLINT": "SMALLINT", "INTEGER": "INTEGER", "BIGINT": "BIGINT", "HUGEINT": "HUGEINT",
    "UTINYINT": "SMALLINT", "USMALLINT": "INTEGER", "UINTEGER": "BIGINT", "UBIGINT": "HUGEINT", "DECIMAL": "DECIMAL",
}  # fmt: skip

# From timing the statements one by one on a million rows of eight columns (benchmarks/strategies.py --weights).
_PRICES = Prices(insert=0.115e-6, delete=0.18e-6, scan=0.011e-6, compare=0.05e-6, copy=0.13e-6)


class Holds(Struct, frozen=True):
    """Which facts of `duckdb_facts.py` hold for the version that is used."""

    row_hash: bool = True
    bits: bool = True
    sums: bool = True
    averages_divided: bool = True
    averages_finished: bool = True
    rowids: bool = True
    null_equality: bool = True
    collations: bool = True
    first: bool = True


class DuckDBWording(Struct, frozen=True):
    """DuckDB's `hash` is made for joining: it takes values for equal that compare as equal, and more: 0.0 and -0.0, NaN
    with either sign, an interval of 1 month and one of 30 days, [NULL] and [], [[1], [2]] and [[1, 2]], structs with other
    field names. A change from one to the other must be seen, so what `hash` does not tell is put beside the row: the sign
    of floating point numbers, and the text of whatever is not a plain value. Numbers of 128 bits hash as the XOR of the
    hashes of their halves (measured, DuckDB 2.0.0): 0 and -1 are one to it, and so are 0.00 and -0.01 in the DECIMAL(38,2)
    that every sum of decimals is. Only NaN is NaN with either sign: DuckDB's own
    statistics take them for one value, so what it makes of the sign of a NaN (inf - inf has one) depends on the plan.
    """

    holds: Holds = Holds()

    @property
    def prices(self) -> Prices:
        return _PRICES

    @property
    def numbers_rows(self) -> bool:
        return self.holds.rowids

    @property
    def skips_blocks(self) -> bool:
        return True

    def row_id(self, alias: str, schema: Schema, parts: PartitionBy | None) -> Sql | None:
        if not self.holds.rowids or schema.find("rowid") is not None:
            return None
        return Sql(f"{alias}.rowid")

    def statement(self, sql: Sql) -> Sql:
        return sql

    def row_digest(self, schema: Schema) -> Sql:
        return self._digest(schema, _ROW)

    def row_hash(self, schema: Schema) -> Sql:
        return self._digest(schema, None)

    def _digest(self, schema: Schema, row: Sql | None) -> Sql:
        digest = _hash(schema, row) if self.holds.row_hash else _hash_of_text(schema, row)
        return digest if self.holds.sums else compose("CAST({digest} AS HUGEINT)", digest=digest)

    def same(self, left: Sql, right: Sql) -> Sql:
        if not self.holds.null_equality:
            return compose("[{l}] = [{r}]", l=left, r=right)
        return compose("{l} IS NOT DISTINCT FROM {r}", l=left, r=right)

    def same_bits(self, left: Sql, right: Sql, column: Column) -> Sql:
        equal = self.same(left, right)
        if not self.holds.bits:
            return compose("{equal} AND {bits}", equal=equal, bits=self._same_text(left, right))
        if column.parsed.equal_is_same:
            return equal
        if column.parsed.is_text:
            return compose("encode({l}) IS NOT DISTINCT FROM encode({r})", l=left, r=right)
        as_text = compose("CAST({l} AS VARCHAR) IS NOT DISTINCT FROM CAST({r} AS VARCHAR)", l=left, r=right)
        return compose("{equal} AND {as_text}", equal=equal, as_text=as_text)

    def equal_by_value(self, schema: Schema) -> Sequence[str]:
        return schema.names

    def finer(self, left: Sql, right: Sql, schema: Schema) -> Sequence[Sql]:
        if not self.holds.bits:
            columns = [Ident(name) for name in schema.names]
            pairs = [(compose("{t}.{c}", t=left, c=c), compose("{t}.{c}", t=right, c=c)) for c in columns]
            return [self._same_text(one, other) for one, other in pairs]
        return [self.same(a, b) for a, b in zip(_fine(schema, left), _fine(schema, right), strict=True)]

    def _same_text(self, left: Sql, right: Sql) -> Sql:
        return self.same(self.as_text(left), self.as_text(right))

    def as_text(self, value: Sql) -> Sql:
        return compose("encode(CAST({v} AS VARCHAR))", v=value)

    def first(self, column: Column) -> Sql:
        if not self.holds.first:
            return compose("list({c})[1]", c=Ident(column.name))
        return compose("first({c})", c=Ident(column.name))

    def average(self, total: Sql, count: Sql, kind: str, company: OtherAggregates) -> Sql | None:
        """What DuckDB 2.0.0 was seen to do (EXPLAIN, and values whose averages differ): its AVG divides the sum by the
        count in 80 bits and rounds once; where it has the sum or the count anyway, it divides both as DOUBLE."""
        state = _STATES.get(kind.partition("(")[0])
        if state is None or not company.certain:
            return None
        divided = None
        if self.holds.averages_divided:
            divided = compose("CAST({total} AS DOUBLE) / {count}", total=total, count=count)
        if not company.filtered and (not company.grouped or company.summed):
            return divided
        if state == kind.partition("(")[0] and not company.filtered:
            if company.counted:
                return divided
            if company.others_counted:
                return None  # each COUNT is that of the rows, and so of the argument, where the statistics show no NULL
        if not self.holds.averages_finished:
            return None
        whole = compose("CAST({total} AS HUGEINT)", total=total)
        if parsed(kind).family is Family.DECIMAL:
            state = kind
            whole = compose("CAST(replace(CAST({total} AS VARCHAR), '.', '') AS HUGEINT)", total=total)
        return compose(
            'finalize(to_aggregate_state(struct_pack("count" := CAST({count} AS UBIGINT), "value" := {whole}), \'avg\', [{state}]))',
            count=count,
            whole=whole,
            state=Value(state),
        )

    def steady_average(self, kind: str, company: OtherAggregates) -> bool:
        if not company.others_counted or company.summed or company.counted:
            return True
        # Others are cast first, so that no COUNT is that of their argument; floating-point numbers go by the order of rows.
        return bool(kind) and _STATES.get(kind.partition("(")[0]) != kind.partition("(")[0]

    def copies(self, count: Sql) -> Sql:
        return compose("unnest(range(CAST({n} AS BIGINT)))", n=count)

    def nested(self, value: object, kind: str) -> Sql:
        text = Value(as_json(value))
        return compose("CAST(CAST({text} AS JSON) AS {kind})", text=text, kind=Sql(kind))

    def finite(self, value: Sql) -> Sql:
        return compose("isfinite({v})", v=value)

    def precision(self, kind: str) -> int | None:
        return parsed(kind).decimal_digits

    def sample(self, rows: int) -> Sql:
        return compose("USING SAMPLE reservoir({n} ROWS) REPEATABLE (7)", n=rows)

    def own_indexes(self, table: TableName) -> Sql:
        where = compose(
            "database_name = current_database() AND lower(schema_name) = {s} AND lower(table_name) = {n}",
            s=Value(table.key[0]), n=Value(table.key[1]),
        )  # fmt: skip
        return compose(
            "((SELECT count(*) FROM duckdb_indexes() WHERE {where}) + (SELECT count(*) FROM duckdb_constraints() WHERE {where}))",
            where=where,
        )

    def publish(
        self,
        table: TableName,
        query: Sql,
        schema: Schema,
        *,
        fits: bool,
        parts: PartitionBy | None = None,
        was_view: bool = False,
    ) -> Published:
        dropped = (compose("DROP VIEW {t}", t=table),) if was_view else ()
        return Published(make(table, query), before=dropped)

    def add_partitions(self, table: TableName, parts: PartitionBy) -> Sql:
        raise NotImplementedError("DuckDB has no partitioned tables")

    def replace_partitions(
        self, table: TableName, rows: Ident, schema: Schema, parts: PartitionBy, condition: Sql
    ) -> Sql:
        raise NotImplementedError("DuckDB has no partitioned tables")

    def create_view(self, view: TableName, query: Sql, *, stands: Relation | None, fits: bool) -> Sequence[Sql]:
        dropped = [compose("DROP TABLE {t}", t=view)] if stands is Relation.TABLE else []
        return [*dropped, compose("CREATE OR REPLACE VIEW {t} AS\n{q}", t=view, q=query)]

    def collated(self, suspects: Sequence[TableName]) -> Sql:
        if not self.holds.collations:
            return Sql(
                "SELECT DISTINCT schema_name, table_name FROM duckdb_columns() WHERE contains(data_type, 'VARCHAR')"
            )
        inside = [
            compose(
                'SELECT {s}, {n} WHERE regexp_matches(json_serialize_plan({query}), \'"collation":"[^"]|"error":true\')',
                s=Value(table.schema),
                n=Value(table.name),
                query=Value(str(compose("SELECT * FROM {t}", t=table))),
            )
            for table in suspects
        ]
        shown = Sql("SELECT schema_name, table_name FROM duckdb_tables() WHERE contains(sql, ' COLLATE ')")
        return joined(" UNION ALL ", [shown, *inside])

    def has_schema(self, schema: str) -> Sql:
        return Sql("SELECT FALSE")  # making it once more does no harm

    def has_table(self, table: TableName) -> Sql:
        return compose(
            "SELECT count(*) > 0 FROM information_schema.tables WHERE table_schema = {s} AND table_name = {t}",
            s=Value(table.schema), t=Value(table.name),
        )  # fmt: skip

    def swap_in(
        self, building: TableName, table: TableName, schema: Schema, *, fits: bool | None, was_view: bool = False
    ) -> Sequence[Sql]:
        kind = Sql("VIEW" if was_view else "TABLE")
        drop = [] if fits is None else [compose("DROP {kind} {t}", kind=kind, t=table)]
        return [*drop, compose("ALTER TABLE {b} RENAME TO {name}", b=building, name=Ident(table.name))]

    def analyzed(self, table: TableName) -> tuple[Sql, Sql] | None:
        return None

    def staged(self, building: TableName, query: Sql) -> Sql:
        return make(building, query)

    def moment(self, value: Sql) -> Sql:
        return compose(
            "CASE WHEN {v} IS NULL THEN 'null' WHEN isinf({v}) THEN CASE WHEN {v} > TIMESTAMP '2000-01-01' THEN 'inf' "
            "ELSE '-inf' END ELSE CAST(epoch_us({v}) AS VARCHAR) END",
            v=value,
        )


def _hash(schema: Schema, row: Sql | None) -> Sql:
    """The hash of all columns; `row` is the alias of their table. Texts are hashed as their bytes, which no collation makes
    equal, and which have the hash of the text."""
    dot = Sql("") if row is None else Sql(f"{row}.")
    values = [
        compose("encode({dot}{c})" if column.parsed.is_text else "{dot}{c}", dot=dot, c=Ident(column.name))
        for column in schema
    ]
    return compose("hash({values})", values=[*values, *_fine(schema, row), *_unhashed(schema, row)])


def _hash_of_text(schema: Schema, row: Sql | None) -> Sql:
    """A hash of 64 bits that owes nothing to DuckDB's `hash`: of the texts of all values, each behind its length."""
    dot = Sql("") if row is None else Sql(f"{row}.")
    values = [
        compose(
            "coalesce(strlen({v}) || ':' || {v}, '-')", v=compose("CAST({dot}{c} AS VARCHAR)", dot=dot, c=Ident(name))
        )
        for name in schema.names
    ]
    return compose("md5_number_lower(concat({values}))", values=values)


def _fine(schema: Schema, row: Sql | None) -> list[Sql]:
    """What tells apart values that compare as equal, for each column that has such; `row` is the alias of its table."""
    dot = Sql("") if row is None else Sql(f"{row}.")
    found = []
    for column in schema:
        parts: dict[str, Part] = {"v": compose("{dot}{c}", dot=dot, c=Ident(column.name))}
        kind = column.parsed
        if kind.is_float:
            found.append(compose("(signbit({v}) AND NOT isnan({v}))", **parts))
        elif kind.family not in _PLAIN:
            if kind.family is Family.UNION:
                found.append(compose("union_tag({v})", **parts))
            found.append(compose("CAST({v} AS VARCHAR)", **parts))
    return found


def _unhashed(schema: Schema, row: Sql | None) -> list[Sql]:
    """What tells apart values of different halves with the same XOR, for each column of 128 bits. A DOUBLE does it but for
    numbers whose halves agree in their first 53 bits and are swapped; identifiers, which may be made so, are text."""
    dot = Sql("") if row is None else Sql(f"{row}.")
    found = []
    for column in schema:
        value = compose("{dot}{c}", dot=dot, c=Ident(column.name))
        kind = column.parsed
        if kind.bits == _WIDE_BITS or (kind.precision or 0) > _NARROW:
            found.append(compose("CAST({v} AS DOUBLE)", v=value))
        elif kind.family is Family.UUID:
            found.append(compose("CAST({v} AS VARCHAR)", v=value))
    return found
