"""PostgreSQL's words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import LiteralString

from msgspec import Struct

from sqlflow.core.intervals import Grain
from sqlflow.core.model import PartitionBy
from sqlflow.core.names import TableName, beside
from sqlflow.core.records import Relation
from sqlflow.core.schema import Column, Schema
from sqlflow.core.sql import Ident, Joining, Make, Sql, Value, as_json, compose, joined, make_temporary, render
from sqlflow.core.types import parsed
from sqlflow.core.wording import OtherAggregates, Prices, Published

# Of the values in `PostgresWording.same` and of temporary tables the server knows no statistics, and takes joins by them for
# so large that it sorts both sides, or for so small that it loops (measured: a million keys with a million, 3.7 s by
# hashing, 39 s else). Queries of authors are left to the server.
_BY_HASHING = "SET LOCAL enable_mergejoin = off;\nSET LOCAL enable_nestloop = off;\n"
_AS_BEFORE = "RESET enable_mergejoin;\nRESET enable_nestloop"

# From timing the statements one by one on a million rows of four columns, PostgreSQL 17.
_PRICES = Prices(insert=0.4e-6, delete=5e-6, scan=0.04e-6, compare=0.8e-6, copy=0.95e-6)


class Holds(Struct, frozen=True):
    """Which facts of `postgres_facts.py` hold for the server."""

    row_hash: bool = True
    bits: bool = True
    null_equality: bool = True
    first: bool = True
    averages: bool = True
    rowids: bool = True
    collations: bool = True


class PostgresWording(Struct, frozen=True):
    """The text of a row tells all its values apart that can be told apart at all: the sign of zero, an interval of a
    month from one of thirty days, NULL from an empty text. Sessions fix the settings that the text depends on."""

    holds: Holds = Holds()

    @property
    def prices(self) -> Prices:
        return _PRICES

    @property
    def numbers_rows(self) -> bool:
        return False

    @property
    def skips_blocks(self) -> bool:
        return False

    def row_id(self, alias: str, schema: Schema, parts: PartitionBy | None) -> Sql | None:
        if not self.holds.rowids:
            return None
        if parts is not None:  # partitions have rows of the same places
            return compose("(CAST({a}.tableoid AS TEXT) || CAST({a}.ctid AS TEXT))", a=Sql(alias))
        return Sql(f"{alias}.ctid")

    def statement(self, sql: Sql) -> Sql:
        if isinstance(sql, Make):
            said = compose(
                "DROP TABLE IF EXISTS {where}{name};\nCREATE {what} {name} AS\n{q}",
                where=Sql("pg_temp." if sql.temporary else ""), name=sql.name,
                what=Sql("TEMP TABLE" if sql.temporary else "TABLE"), q=sql.query,
            )  # fmt: skip
        else:
            said = sql
        return Sql(f"{_BY_HASHING}{said};\n{_AS_BEFORE}" if isinstance(said, Joining) else said)

    def row_digest(self, schema: Schema) -> Sql:
        return self._hash([compose("_sqlflow_row.{c}", c=Ident(name)) for name in schema.names])

    def row_hash(self, schema: Schema) -> Sql:
        return self._hash([Ident(name) for name in schema.names])

    def _hash(self, values: Sequence[Sql | Ident]) -> Sql:
        text = compose("CAST(ROW({values}) AS TEXT)", values=values)
        if not self.holds.row_hash:
            return compose("CAST(CAST('x' || left(md5({text}), 16) AS BIT(64)) AS BIGINT)", text=text)
        return compose("hashtextextended({text}, 0)", text=text)

    def same(self, left: Sql, right: Sql) -> Sql:
        if not self.holds.null_equality:
            return compose("{l} IS NOT DISTINCT FROM {r}", l=left, r=right)
        # `IS NOT DISTINCT FROM` cannot be hashed or merged; arrays can, and take NULL elements for equal. Of arrays,
        # NULL and one without elements are the same element.
        return Joining(compose("(ARRAY[{l}] = ARRAY[{r}] AND ({l} IS NULL) = ({r} IS NULL))", l=left, r=right))

    def same_bits(self, left: Sql, right: Sql, column: Column) -> Sql:
        if self.holds.bits and column.parsed.equal_is_same:
            return compose("{l} IS NOT DISTINCT FROM {r}", l=left, r=right)
        return _same_text(left, right)

    def equal_by_value(self, schema: Schema) -> Sequence[str]:
        # JSON, points and others have no equality at all; values of the same text are the same.
        return [c.name for c in schema if c.parsed.equal_is_same]

    def finer(self, left: Sql, right: Sql, schema: Schema) -> Sequence[Sql]:
        return [
            _same_text(compose("{t}.{c}", t=left, c=Ident(c.name)), compose("{t}.{c}", t=right, c=Ident(c.name)))
            for c in schema
            if not self.holds.bits or not c.parsed.equal_is_same
        ]

    def as_text(self, value: Sql) -> Sql:
        return compose('CAST({v} AS TEXT) COLLATE "C"', v=value)

    def first(self, column: Column) -> Sql:
        if not self.holds.first or column.type.endswith(
            "]"
        ):  # arrays of arrays have one shape, and no element of theirs is an array
            return compose("CAST(min(CAST({c} AS TEXT)) AS {kind})", c=Ident(column.name), kind=Sql(column.type))
        return compose("(array_agg({c}))[1]", c=Ident(column.name))

    def average(self, total: Sql, count: Sql, kind: str, company: OtherAggregates) -> Sql | None:
        if not self.holds.averages:
            return None
        return compose("CAST({total} AS DECIMAL) / {count}", total=total, count=count)

    def steady_average(self, kind: str, company: OtherAggregates) -> bool:
        return True

    def copies(self, count: Sql) -> Sql:
        return compose("generate_series(1, CAST({n} AS BIGINT))", n=count)

    def nested(self, value: object, kind: str) -> Sql:
        text = _array(value) if kind.endswith("]") and isinstance(value, list) else as_json(value)
        return compose("CAST({text} AS {kind})", text=Value(text), kind=Sql(kind))

    def finite(self, value: Sql) -> Sql:
        return compose("{v} NOT IN ('NaN', 'Infinity', '-Infinity')", v=value)

    def precision(self, kind: str) -> int | None:
        return parsed(kind).decimal_digits

    def sample(self, rows: int) -> Sql:
        return compose("LIMIT {n}", n=rows)

    def own_indexes(self, table: TableName) -> Sql:
        return Sql("0")  # a table that fits is emptied and filled, and keeps them

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
        dropped = compose("DROP {kind} IF EXISTS {t}", kind=Sql("VIEW" if was_view else "TABLE"), t=table)
        fits = fits and not was_view
        building = TableName(table.schema, _building(table.name))
        columns = [Ident(name) for name in schema.names]
        if not fits and parts is not None:
            made = [compose("{n} {k}", n=Ident(c.name), k=Sql(c.type)) for c in schema]
            rest = TableName(table.schema, _part_name(table.name, "rest"))
            aside = TableName(table.schema, _part_name(building.name, "rest"))
            rows = Ident("_sqlflow_published")
            swapped = (
                compose(
                    "CREATE TABLE {b} ({made}) PARTITION BY RANGE ({c})", b=building, made=made, c=Ident(parts.column)
                ),
                compose("CREATE TABLE {r} PARTITION OF {b} DEFAULT", r=aside, b=building),
                _put_aside(table),
                dropped,
                compose("ALTER TABLE {b} RENAME TO {name}", b=building, name=Ident(table.name)),
                compose("ALTER TABLE {r} RENAME TO {name}", r=aside, name=Ident(rest.name)),
                self.replace_partitions(table, rows, schema, parts, Sql("TRUE")),
                _put_back(),
            )
            return Published(make_temporary(rows, query), after=swapped)
        if not fits:
            # Under another name first: the query may read the table that stands.
            renamed = compose("ALTER TABLE {b} RENAME TO {name}", b=building, name=Ident(table.name))
            return Published(
                compose("CREATE TABLE {b} AS\n{q}", b=building, q=query),
                after=(_put_aside(table), dropped, renamed, _put_back()),
            )
        rows = Ident("_sqlflow_published")
        emptied = compose("TRUNCATE {t}", t=table)
        filled = compose("INSERT INTO {t} ({cs}) SELECT {cs} FROM {rows}", t=table, cs=columns, rows=rows)
        return Published(make_temporary(rows, query), after=(emptied, filled))

    def add_partitions(self, table: TableName, parts: PartitionBy) -> Sql:
        return compose(
            _SETTLE, t=table, name=Value(render(table)), schema=Value(table.schema), table=Value(_part_name(table.name, "")),
            c=Ident(parts.column), unit=Value(str(parts.by)), step=Value(_STEPS.get(parts.by, f"1 {parts.by}")),
            rest=TableName(table.schema, _part_name(table.name, "rest")),
        )  # fmt: skip

    def replace_partitions(
        self, table: TableName, rows: Ident, schema: Schema, parts: PartitionBy, condition: Sql
    ) -> Sql:
        return compose(
            _REPLACE, t=table, name=Value(render(table)), schema=Value(table.schema), table=Value(_part_name(table.name, "")),
            c=Ident(parts.column), unit=Value(str(parts.by)), step=Value(_STEPS.get(parts.by, f"1 {parts.by}")),
            rows=rows, cs=[Ident(name) for name in schema.names], condition=condition,
            goes=Value(str(_formatted("SELECT NOT EXISTS (SELECT 1 FROM %s WHERE NOT coalesce(({x}), FALSE))", condition))),
            fill=Value(
                str(_formatted("INSERT INTO %I.%I SELECT * FROM pg_temp.%I WHERE {x} >= %L AND {x} < %L", Ident(parts.column)))
            ),
            source=Value(str(rows)),
        )  # fmt: skip

    def swap_in(
        self, building: TableName, table: TableName, schema: Schema, *, fits: bool | None, was_view: bool = False
    ) -> Sequence[Sql]:
        columns = [Ident(name) for name in schema.names]
        if fits:
            return [
                compose("TRUNCATE {t}", t=table),
                compose("INSERT INTO {t} ({cs}) SELECT {cs} FROM {b}", t=table, cs=columns, b=building),
                compose("DROP TABLE {b}", b=building),
            ]
        rename = compose("ALTER TABLE {b} RENAME TO {name}", b=building, name=Ident(table.name))
        if fits is None:
            return [rename]
        dropped = compose("DROP {kind} IF EXISTS {t}", kind=Sql("VIEW" if was_view else "TABLE"), t=table)
        return [_put_aside(table), dropped, rename, _put_back()]

    def create_view(self, view: TableName, query: Sql, *, stands: Relation | None, fits: bool) -> Sequence[Sql]:
        made = compose("CREATE OR REPLACE VIEW {t} AS\n{q}", t=view, q=query)
        if stands is None:
            return [made]
        if stands is Relation.VIEW and fits:
            return [compose(_OPTIONS_ASIDE, name=Value(render(view))), made, compose(_OPTIONS_BACK)]
        # It may have gone in this build, with a table that it does not fit any more.
        dropped = compose("DROP {kind} IF EXISTS {t}", kind=Sql(str(stands).upper()), t=view)
        return [_put_aside(view), dropped, compose("CREATE VIEW {t} AS\n{q}", t=view, q=query), _put_back()]

    def collated(self, suspects: Sequence[TableName]) -> Sql:
        return compose(
            "SELECT DISTINCT n.nspname, c.relname FROM pg_attribute AS a JOIN pg_collation AS k ON k.oid = a.attcollation "
            "JOIN pg_class AS c ON c.oid = a.attrelid JOIN pg_namespace AS n ON n.oid = c.relnamespace "
            "WHERE {which} AND a.attnum > 0 AND NOT a.attisdropped",
            which=Sql("NOT k.collisdeterministic" if self.holds.collations else "TRUE"),
        )

    def has_schema(self, schema: str) -> Sql:
        return compose("SELECT EXISTS (SELECT 1 FROM pg_catalog.pg_namespace WHERE nspname = {s})", s=Value(schema))

    def analyzed(self, table: TableName) -> tuple[Sql, Sql] | None:
        much = compose(
            "SELECT pg_stat_get_xact_tuples_inserted(oid) + pg_stat_get_xact_tuples_deleted(oid) > greatest(reltuples, 1000) / 10 "
            "OR reltuples < 0 FROM pg_class WHERE oid = to_regclass({name})",
            name=Value(render(table)),
        )
        return compose("ANALYZE {t}", t=table), much

    def staged(self, building: TableName, query: Sql) -> Sql:
        # Not written to the log: it is copied into the table's own place, and dropped.
        return compose("DROP TABLE IF EXISTS {b};\nCREATE UNLOGGED TABLE {b} AS\n{q}", b=building, q=query)

    def has_table(self, table: TableName) -> Sql:
        return compose(
            "SELECT EXISTS (SELECT 1 FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace "
            "WHERE n.nspname = {s} AND c.relname = {t})",
            s=Value(table.schema), t=Value(table.name),
        )  # fmt: skip

    def moment(self, value: Sql) -> Sql:
        return compose(
            "CASE WHEN {v} IS NULL THEN 'null' WHEN NOT isfinite({v}) THEN CASE WHEN {v} > TIMESTAMP '2000-01-01' THEN 'inf' "
            "ELSE '-inf' END ELSE CAST(CAST(extract(epoch FROM {v}) * 1000000 AS BIGINT) AS TEXT) END",
            v=value,
        )


_STEPS = {Grain.QUARTER: "3 months"}

# For each partition that is about to lose all its rows: detach it, so that the new one is filled as a plain table and
# attached. Rows of the default partition (no time, or infinite) and of partitions that lose some are deleted.
_REPLACE: LiteralString = """DO $sqlflow$
DECLARE
  found record;
  goes boolean;
BEGIN
  FOR found IN SELECT c.oid::regclass AS part FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid
    WHERE i.inhparent = to_regclass({name}) AND pg_get_expr(c.relpartbound, c.oid) <> 'DEFAULT'
  LOOP
    EXECUTE format({goes}, found.part) INTO goes;
    IF goes THEN
      EXECUTE format('ALTER TABLE %s DETACH PARTITION %s', to_regclass({name}), found.part);
      EXECUTE format('DROP TABLE %s', found.part);
    END IF;
  END LOOP;
  DELETE FROM {t} WHERE {condition};
  FOR found IN SELECT date_trunc({unit}, {c}) AS begins FROM {rows} WHERE isfinite({c}) GROUP BY 1 LOOP
    IF to_regclass(format('%I.%I', {schema}, {table} || to_char(found.begins, 'YYYYMMDDHH24'))) IS NULL THEN
      EXECUTE format('CREATE TABLE %I.%I (LIKE %s INCLUDING DEFAULTS)', {schema}, {table} || to_char(found.begins, 'YYYYMMDDHH24'), to_regclass({name}));
      EXECUTE format({fill}, {schema}, {table} || to_char(found.begins, 'YYYYMMDDHH24'), {source}, found.begins,
        found.begins + {step}::interval);
      EXECUTE format('ALTER TABLE %s ATTACH PARTITION %I.%I FOR VALUES FROM (%L) TO (%L)', to_regclass({name}), {schema},
        {table} || to_char(found.begins, 'YYYYMMDDHH24'), found.begins, found.begins + {step}::interval);
    ELSE
      INSERT INTO {t} ({cs}) SELECT {cs} FROM {rows} WHERE {c} >= found.begins AND {c} < found.begins + {step}::interval;
    END IF;
  END LOOP;
  INSERT INTO {t} ({cs}) SELECT {cs} FROM {rows} WHERE {c} IS NULL OR NOT isfinite({c});
END $sqlflow$"""
# What other statements put into the default partition goes into partitions of its own.
_SETTLE: LiteralString = """DO $sqlflow$
DECLARE
  found record;
BEGIN
  IF EXISTS (SELECT 1 FROM {rest} WHERE isfinite({c})) THEN
    DROP TABLE IF EXISTS pg_temp._sqlflow_settled;
    CREATE TEMP TABLE _sqlflow_settled AS SELECT * FROM {rest} WHERE isfinite({c});
    DELETE FROM {rest} WHERE isfinite({c});
    FOR found IN SELECT date_trunc({unit}, {c}) AS begins FROM _sqlflow_settled GROUP BY 1 LOOP
      EXECUTE format('CREATE TABLE %I.%I PARTITION OF %s FOR VALUES FROM (%L) TO (%L)', {schema},
        {table} || to_char(found.begins, 'YYYYMMDDHH24'), to_regclass({name}), found.begins, found.begins + {step}::interval);
    END LOOP;
    INSERT INTO {t} SELECT * FROM _sqlflow_settled;
  END IF;
END $sqlflow$"""


def _formatted(template: LiteralString, part: Ident | Sql) -> Sql:
    """A template of PostgreSQL's `format` with SQL put in, in which `%` means nothing."""
    return compose(template, x=Sql(render(part).replace("%", "%%")))


def _part_name(table: str, part: str) -> str:
    """The name of a partition, within the 63 bytes that PostgreSQL keeps of one."""
    return beside(table, "_p" + "0" * 10)[:-10] + part


# A table or view whose columns change has to be dropped, and PostgreSQL's views hang on what they read. SQLFlow's own are
# put aside and made again over the new one, with what was granted on them; those of others make the drop fail, and the
# server says which they are. A view that does not fit any more is left out: its own model makes it anew.
_ASIDE: LiteralString = """DO $sqlflow$
DECLARE
  found record;
  dropped oid := to_regclass({name});
BEGIN
  CREATE TEMP TABLE IF NOT EXISTS _sqlflow_aside (place int, name text, definition text, grants text[], comment text, options text[]);
  DELETE FROM _sqlflow_aside;
  FOR found IN
    WITH RECURSIVE above(id, depth) AS (
      SELECT dropped, 0 WHERE dropped IS NOT NULL
      UNION
      SELECT r.ev_class, above.depth + 1 FROM above
      JOIN pg_depend AS d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = above.id AND d.classid = 'pg_rewrite'::regclass
      JOIN pg_rewrite AS r ON r.oid = d.objid AND r.ev_class <> above.id
    )
    SELECT c.oid AS id, c.relkind AS kind, max(above.depth) AS depth, format('%I.%I', n.nspname, c.relname) AS name, obj_description(c.oid, 'pg_class') AS comment,
      c.reloptions AS options,
      ARRAY(SELECT format('GRANT %s%s ON %I.%I TO %s%s', a.privilege_type, a.of_column, n.nspname, c.relname,
          CASE WHEN a.grantee = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END,
          CASE WHEN a.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END)
        FROM (SELECT '' AS of_column, g.* FROM aclexplode(c.relacl) AS g UNION ALL
          SELECT format(' (%I)', t.attname), g.* FROM pg_attribute AS t, aclexplode(t.attacl) AS g
          WHERE t.attrelid = c.oid AND NOT t.attisdropped) AS a
        WHERE a.grantee <> c.relowner) AS grants
    FROM above JOIN pg_class AS c ON c.oid = above.id JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE above.depth = 0 OR (c.relkind = 'v' AND lower(n.nspname || '.' || c.relname) IN (SELECT name FROM _sqlflow.commits))
    GROUP BY c.oid, c.relname, c.relkind, c.reloptions, c.relacl, c.relowner, n.nspname ORDER BY depth DESC
  LOOP
    INSERT INTO _sqlflow_aside VALUES (found.depth, found.name,
      CASE WHEN found.depth > 0 THEN pg_get_viewdef(found.id) END, found.grants, found.comment,
      CASE WHEN found.kind = 'v' THEN found.options END);
    IF found.depth > 0 THEN
      EXECUTE 'DROP VIEW ' || found.name;
    END IF;
  END LOOP;
END $sqlflow$"""
_BACK: LiteralString = """DO $sqlflow$
DECLARE
  found record;
  statement text;
BEGIN
  FOR found IN SELECT * FROM _sqlflow_aside ORDER BY place LOOP
    BEGIN
      IF found.definition IS NOT NULL THEN
        EXECUTE 'CREATE VIEW ' || found.name || ' AS ' || found.definition;
      END IF;
      IF found.options IS NOT NULL AND (SELECT relkind FROM pg_class WHERE oid = to_regclass(found.name)) = 'v' THEN
        EXECUTE format('ALTER VIEW %s SET (%s)', found.name, array_to_string(found.options, ', '));
      END IF;
      FOREACH statement IN ARRAY found.grants LOOP
        BEGIN
          EXECUTE statement;
        EXCEPTION WHEN undefined_column THEN
          NULL; -- what was granted went with its column
        END;
      END LOOP;
      IF found.comment IS NOT NULL THEN
        EXECUTE format('COMMENT ON %s %s IS %L', CASE WHEN (SELECT relkind FROM pg_class WHERE oid = to_regclass(found.name)) = 'v'
          THEN 'VIEW' ELSE 'TABLE' END, found.name, found.comment);
      END IF;
    EXCEPTION WHEN undefined_column OR undefined_table OR datatype_mismatch OR undefined_function OR invalid_table_definition THEN
      NULL;
    END;
  END LOOP;
  DELETE FROM _sqlflow_aside;
END $sqlflow$"""


# The options of a view (`security_barrier`, ...) do not outlive CREATE OR REPLACE VIEW.
_OPTIONS_ASIDE: LiteralString = """DO $sqlflow$
BEGIN
  CREATE TEMP TABLE IF NOT EXISTS _sqlflow_options (name text, options text[]);
  DELETE FROM _sqlflow_options;
  INSERT INTO _sqlflow_options SELECT {name}, reloptions FROM pg_class WHERE oid = to_regclass({name});
END $sqlflow$"""
_OPTIONS_BACK: LiteralString = """DO $sqlflow$
DECLARE
  found record;
BEGIN
  FOR found IN SELECT * FROM _sqlflow_options WHERE options IS NOT NULL LOOP
    EXECUTE format('ALTER VIEW %s SET (%s)', found.name, array_to_string(found.options, ', '));
  END LOOP;
END $sqlflow$"""


def _put_aside(table: TableName) -> Sql:
    return compose(_ASIDE, name=Value(render(table)))


def _put_back() -> Sql:
    return compose(_BACK)


def _building(name: str) -> str:
    """A name beside that of a table, within the 63 bytes that PostgreSQL keeps of one."""
    return beside(name, "__new")


def _same_text(left: Sql, right: Sql) -> Sql:
    parts = [compose('ARRAY[CAST({v} AS TEXT) COLLATE "C"]', v=value) for value in (left, right)]
    return Joining(joined(" = ", parts))


def _array(value: object) -> str:
    """The text of an array."""
    match value:
        case list():
            return "{" + ",".join(map(_array, value)) + "}"
        case None:
            return "NULL"
        case bool():
            return "true" if value else "false"
        case dict():
            return _array(as_json(value))
        case _:
            return '"' + str(value).replace("\\", "\\\\").replace('"', '\\"') + '"'
