"""The versions that dbt gathered in its snapshots, put into the tables that SQLFlow keeps."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from msgspec import Struct

from sqlflow.migrate.configs import as_list, as_mapping
from sqlflow.migrate.models import Converted
from sqlflow.migrate.naming import Named, quoted, written

TAKE_OVER = "histories.sql"


class History(Struct, frozen=True):
    """A table of versions. `by_cursor`: whether its versions begin at a cursor; `deleted`: the column of tombstones, if it has one;
    `open`: how the end of a version is written that has none."""

    key: tuple[str, ...]
    by_cursor: bool
    start: str
    end: str
    current: str
    deleted: str = ""
    open: date | None = None


def put_in(
    history: History, table: str, before: str, columns: Sequence[str] | None, gone: Sequence[str], dialect: str
) -> list[str]:
    """Statements by which `table` gets the versions in `before`. `columns`: of its query; None: all that `before` has but `gone`.

    A table that compares rows gets just those. Where versions begin at a cursor, its own ones stay, and end those that they follow.
    """
    start, end, current, mark = (
        quoted(name, dialect) if name else "" for name in (history.start, history.end, history.current, history.deleted)
    )
    far = f"TIMESTAMP '{history.open}'" if history.open is not None else ""
    ended = f"nullif(o.{end}, {far})" if far else f"o.{end}"
    known, first = "", [f"DELETE FROM {table}"]
    if history.by_cursor:
        same = " AND ".join(
            f"n.{name} IS NOT DISTINCT FROM o.{name}" for name in (quoted(one, dialect) for one in history.key)
        )
        following = f"SELECT min(n.{start}) FROM {table} AS n WHERE {same} AND n.{start} > o.{start}"
        ended = f"coalesce({ended}, ({following}))"
        known, first = f"\nWHERE NOT EXISTS (SELECT 1 FROM {table} AS n WHERE {same} AND n.{start} = o.{start})", []
    dead = f"CAST(o.{mark} AS BOOLEAN)"
    added = {
        start: f"o.{start}",
        end: f"coalesce({ended}, {far})" if far else ended,
        current: f"{ended} IS NULL AND NOT {dead}" if mark else f"{ended} IS NULL",
        **({mark: dead} if mark else {}),
    }
    items = [f"{value} AS {name}" for name, value in added.items()]
    if columns is None:
        left_out = ", ".join([*(quoted(one, dialect) for one in gone), *(one for one in added if one != current)])
        into, items = f"{table} BY NAME", [f"o.* EXCLUDE ({left_out})", *items]
    else:
        own = [name for name in (quoted(one, dialect) for one in columns) if name not in added]
        into, items = f"{table} ({', '.join([*own, *added])})", [*(f"o.{name}" for name in own), *items]
    listed = ",\n  ".join(items)
    return [*first, f"INSERT INTO {into}\nSELECT {listed}\nFROM {before} AS o{known}"]


# ---------------------------------------------------------------- as a file


def taking_over(snapshots: Sequence[Converted], engine: str) -> str:
    """The file that puts the versions of dbt into the new tables; empty when there are no snapshots."""
    if not snapshots:
        return ""
    renames = "".join(f"--   {_rename(one.named, engine)}\n" for one in snapshots)
    return f"{_HOW}{renames}\n" + "\n".join(_transaction(one, engine) for one in snapshots)


_HOW = """\
-- The versions that dbt gathered, for the tables that SQLFlow keeps from now on. To be run once:
--   1. Run `dbt snapshot` a last time.
--   2. Give the tables of dbt other names, with the statements below. Copy them under these names when they are in another database.
--   3. Run `sqlflow build +mode:snapshot`.
--   4. Run this file, and go on with `sqlflow build`.
--
"""


def _rename(named: Named, engine: str) -> str:
    return f"ALTER TABLE {written(named.table, engine)} RENAME TO {_of_dbt(named, engine)};"


def _of_dbt(named: Named, engine: str) -> str:
    return quoted(f"{named.table.name}_of_dbt", engine)


def _transaction(one: Converted, engine: str) -> str:
    table = written(one.named.table, engine)
    if engine != "duckdb" and one.columns is None:
        return f"-- {table}: the columns of its query are not known here, so its statement is to be written by hand.\n"
    before = f"{quoted(one.named.table.schema, engine)}.{_of_dbt(one.named, engine)}"
    names = as_mapping(one.named.config.get("snapshot_meta_column_names"))
    gone = [str(names.get(word) or word) for word in ("dbt_scd_id", "dbt_updated_at")]
    columns = None if engine == "duckdb" else one.columns
    statements = put_in(_history(one), table, before, columns, gone, engine)
    return "BEGIN;\n" + "".join(f"{sql};\n" for sql in statements) + "COMMIT;\n"


def _history(one: Converted) -> History:
    said, validity = one.directives, one.directives["validity"]
    return History(
        tuple(as_list(said.get("key"))), "cursor" in said, validity["from"], validity["to"], validity.get("current", "is_current"),
        validity.get("deleted", ""), validity.get("open"),
    )  # fmt: skip
