"""The SQL that a project is written in, and the one that SQLFlow's project gets."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

import sqlglot
from msgspec import Struct, structs
from sqlglot import exp
from sqlglot.errors import ErrorLevel, SqlglotError

from sqlflow.core.names import TableName
from sqlflow.engines.duckdb import function_names
from sqlflow.migrate.warehouses import mended, unknown_functions

_SQLGLOT = {
    "sqlserver": "tsql", "synapse": "tsql", "fabric": "fabric", "motherduck": "duckdb", "spark": "spark", "databricks": "databricks",
    "dremio": "dremio", "materialize": "materialize", "risingwave": "risingwave", "glue": "spark", "athena": "athena",
    "cratedb": "postgres", "greenplum": "postgres", "alloydb": "postgres", "yellowbrick": "postgres", "duckdb": "duckdb",
    "postgres": "postgres", "snowflake": "snowflake", "bigquery": "bigquery", "redshift": "redshift", "trino": "trino",
    "presto": "presto", "clickhouse": "clickhouse", "mysql": "mysql", "sqlite": "sqlite", "oracle": "oracle", "teradata": "teradata",
    "exasol": "exasol", "doris": "doris", "starrocks": "starrocks", "singlestore": "mysql", "tsql": "tsql", "hive": "hive",
}  # fmt: skip


def sqlglot_name(adapter: str) -> str:
    """What sqlglot calls an adapter's SQL; empty for one that it does not know."""
    return _SQLGLOT.get(adapter, "")


def written_in(adapter: str) -> str:
    """The `dialect` of the new project: the author's SQL where SQLFlow speaks it, else DuckDB's."""
    return "postgres" if sqlglot_name(adapter) == "postgres" else "duckdb"


class Translated(Struct, frozen=True):
    """A query in another SQL. `told`: what means something else, or may; `lost`: what did not translate; `unknown`: functions
    that the other SQL does not have."""

    sql: str
    told: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()


def translate(sql: str, adapter: str) -> Translated | str:
    """A query of an adapter in DuckDB's SQL, or why it cannot be read."""
    return _translated(sql, adapter, pretty=True)


def translate_expression(sql: str, adapter: str) -> Translated | str:
    """A condition or value of an adapter in DuckDB's SQL, or why it cannot be read."""
    made = _translated(f"SELECT {sql}", adapter, pretty=False)
    return made if isinstance(made, str) else structs.replace(made, sql=made.sql.removeprefix("SELECT "))


def _translated(sql: str, adapter: str, *, pretty: bool) -> Translated | str:
    try:
        trees = [tree for tree in sqlglot.parse(sql, read=sqlglot_name(adapter)) if tree is not None]
        if len(trees) != 1:
            return f"it holds {len(trees)} statements"
        generator = sqlglot.Dialect.get_or_raise("duckdb").generator(
            pretty=pretty, unsupported_level=ErrorLevel.IGNORE, comments=True
        )
        told: list[str] = []
        lost: list[str] = []
        tree = mended(trees[0], sqlglot_name(adapter), told.append, lost.append)
        text = generator.generate(tree, copy=True)
        if not generator.unsupported_messages and _means_the_same(sql, text):
            text = sql
        unknown = tuple(unknown_functions(text, function_names()))
        lost += [one for one in generator.unsupported_messages if one.split(" ")[0].lower() not in unknown]
        return Translated(text, tuple(dict.fromkeys(told)), tuple(dict.fromkeys(lost)), unknown)
    except SqlglotError as error:
        return str(error).split("\n", maxsplit=1)[0]
    except (RecursionError, ValueError, TypeError, AttributeError, KeyError, IndexError, AssertionError) as error:
        return f"sqlglot cannot translate it: {type(error).__name__}: {error}"


_BARE_UNIT = re.compile(
    r"\b(?:date_?trunc|date_?diff|date_?part|date_?add|timestamp_?diff|timestamp_?add|last_day)\s*\(\s*[a-z_]+\s*,",
    re.IGNORECASE,
)


def _means_the_same(sql: str, translated: str) -> bool:
    """Whether DuckDB reads a text as it reads its translation, so that the text can stay as its author wrote it."""
    if _BARE_UNIT.search(sql):
        return False  # sqlglot reads it as if it were a text, DuckDB as a column
    try:
        return bool(sqlglot.parse_one(sql, read="duckdb") == sqlglot.parse_one(translated, read="duckdb"))
    except (SqlglotError, ValueError, RecursionError):
        return False


def translated_type(kind: str, adapter: str) -> str | None:
    """A type of an adapter in the words of the new project; None when it is no type."""
    try:
        found = exp.DataType.build(kind, dialect=sqlglot_name(adapter))
        return found.sql(dialect=written_in(adapter))
    except (SqlglotError, ValueError, AttributeError):
        return None


def columns_read(sql: str, table: TableName, dialect: str) -> set[str] | None:
    """The columns that a query takes from a table, as far as no other table can have them; None when it cannot be read."""
    try:
        tree = sqlglot.parse_one(sql, read=dialect)
        found: set[str] = set()
        for select in tree.find_all(exp.Select):
            first = select.args.get("from_") or select.args.get("from")
            if (
                first is None
                or not isinstance(first.this, exp.Table)
                or (first.this.db, first.this.name) != (table.schema, table.name)
            ):
                continue
            aliases = {one.alias.lower() for one in select.expressions if one.alias}
            alone = not select.args.get("joins") and not select.args.get("laterals")
            for column in select.find_all(exp.Column):
                if (
                    column.parent_select is select
                    and (column.table == first.this.alias_or_name or (alone and not column.table))
                    and column.name.lower() not in aliases
                ):
                    found.add(column.name.lower())
        return found
    except (SqlglotError, ValueError, RecursionError, AttributeError):
        return None


def reads_as_query(sql: str, adapter: str) -> str | None:
    """Why a text is no query in an adapter's SQL; None when it is one."""
    try:
        found = sqlglot.parse(sql, read=sqlglot_name(adapter))
        trees = [tree for tree in found if tree is not None and not isinstance(tree, exp.Semicolon)]
    except SqlglotError as error:
        return str(error).split("\n", maxsplit=1)[0]
    except (RecursionError, ValueError) as error:
        return f"{type(error).__name__}: {error}"
    return None if len(trees) == 1 else f"it holds {len(trees)} statements"


Known = Callable[[str, str], Sequence[str] | None]
"""The columns of a table by schema and name, None when nobody knows."""


def output_columns(sql: str, adapter: str, known: Known = lambda schema, name: None) -> list[str] | None:
    """The names of a query's columns; None when a star hides them."""
    try:
        tree = sqlglot.parse_one(sql, read=sqlglot_name(adapter))
        return _columns(tree, {}, known)
    except (SqlglotError, RecursionError, ValueError, AttributeError):
        return None


def _columns(tree: object, ctes: Mapping[str, list[str] | None], known: Known) -> list[str] | None:
    if not isinstance(tree, exp.Query):
        return None
    for cte in tree.ctes:
        found = _columns(cte.this, ctes, known)
        named = [column.name for column in cte.args["alias"].columns] if cte.args.get("alias") else []
        ctes = {**ctes, cte.alias.lower(): named or found}
    if isinstance(tree, exp.Subquery):
        return _columns(tree.this, ctes, known)
    if isinstance(tree, exp.SetOperation):
        return _columns(tree.left, ctes, known)
    if not isinstance(tree, exp.Select):
        return None
    names: list[str] = []
    for one in tree.expressions:
        star = (
            one
            if isinstance(one, exp.Star)
            else one.this
            if isinstance(one, exp.Column) and isinstance(one.this, exp.Star)
            else None
        )
        if star is None:
            if not one.alias_or_name:
                return None
            names.append(one.alias_or_name)
            continue
        of = one.table if isinstance(one, exp.Column) else ""
        inside = _columns_below(tree, of, ctes, known)
        if inside is None or star.args.get("rename"):
            return None
        gone = {item.name.lower() for item in star.args.get("except_") or star.args.get("except") or []}
        names += [name for name in inside if name.lower() not in gone]
    return names


def _columns_below(select: exp.Select, of: str, ctes: Mapping[str, list[str] | None], known: Known) -> list[str] | None:
    """The columns of what stands in FROM, all of it or what is called `of`."""
    first = select.args.get("from_") or select.args.get("from")
    if first is None or select.args.get("laterals"):
        return None
    joins = select.args.get("joins") or []
    tables = [first.this, *(join.this for join in joins)]
    names: list[str] = []
    for table in tables:
        if of and table.alias_or_name.lower() != of.lower():
            continue
        if table.args.get("pivots") or table.args.get("joins"):
            return None
        found: Sequence[str] | None = None
        if isinstance(table, exp.Subquery):
            found = _columns(table.this, ctes, known)
        elif isinstance(table, exp.Table) and not table.db and table.name.lower() in ctes:
            found = ctes[table.name.lower()]
        elif isinstance(table, exp.Table):
            found = known(table.db, table.name)
        if found is None:
            return None
        names += found
    if not of and any(join.args.get("using") or join.method for join in joins):
        return None
    return names or None
