"""`sqlflow diff`: two tables, or two targets, row for row."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from msgspec.structs import replace

from sqlflow.cli.opening import read_settings
from sqlflow.cli.reading import OpenProject, find_name, reading
from sqlflow.cli.render import render_table, to_json
from sqlflow.core.amounts import counted
from sqlflow.core.compiled import Compiled
from sqlflow.core.config import Config
from sqlflow.core.diagnostics import one_problem
from sqlflow.core.engine import EngineError, Found, Session
from sqlflow.core.names import TableName
from sqlflow.core.schema import Column, Schema
from sqlflow.core.sql import Ident, Sql, compose, render
from sqlflow.proof.judge import rows_of_written, written_columns
from sqlflow.proof.tables import Difference, Table, difference, told
from sqlflow.quality.checks import identities


def diff_tables(
    table: str | None,
    other: str | None,
    with_target: str | None,
    limit: int,
    project: Path | None,
    target: str | None,
    variables: Sequence[str],
    *,
    wait: float,
    json: bool,
) -> int:
    """Compare and print. The exit code is 1 when anything differs."""
    with reading(project, target, variables, wait=wait) as found:
        if found.opened.engine is None:
            raise one_problem("no-database", "there is no database to compare yet", None, "`sqlflow build` makes it")
        session = found.opened.engine.session()
        catalog = None
        if with_target is not None:
            settings = read_settings(found.opened.config.root, with_target, variables)
            _refuse_other_kind(found.opened.config, settings)
            catalog = found.opened.module.attach(found.opened.engine, settings)
        pairs = (
            [(_existing(found, table), other or table)] if table is not None else [(n, str(n)) for n in _tables(found)]
        )
        differences = []
        for left, right in pairs:
            for name in (left, TableName.parse(right)) if catalog is None else ():
                if name not in (found.tables or {}):
                    raise one_problem("unknown-table", f"there is no table `{name}` in this database")
            differences.append(_compare(session, found, left, TableName.parse(right), catalog, limit))
    if json:
        print(to_json([_json(item) for item in differences]))
    else:
        for item in differences:
            _print(item, with_target)
    different = sum(not item.equal for item in differences)
    print(f"{len(differences)} compared: {len(differences) - different} equal, {different} differ", file=sys.stderr)
    return 1 if different else 0


def _refuse_other_kind(config: Config, other: Config) -> None:
    if config.target.engine != other.target.engine:
        raise one_problem(
            "not-available-yet",
            f"the targets `{config.target.name}` and `{other.target.name}` are databases of different kinds, which cannot be "
            "compared row for row yet",
        )


def _existing(found: OpenProject, text: str) -> TableName:
    name = TableName.parse(text)
    return name if name in (found.tables or {}) else find_name(found.checked, text)


def _tables(found: OpenProject) -> list[TableName]:
    """The seeds that were loaded, and all models that are tables or views."""
    compiled = found.checked.compiled
    seeds = [name for name in compiled.project.seeds if name in (found.tables or {})]
    return [*seeds, *(name for name in compiled.order if compiled.models[name].header.promise.stands)]


def _compare(
    session: Session, found: OpenProject, left: TableName, right: TableName, catalog: str | None, limit: int
) -> Difference:
    tables, compiled = found.tables or {}, found.checked.compiled
    here = Sql(render(left))
    there = Sql(render(right)) if catalog is None else compose("{c}.{t}", c=Ident(catalog), t=right)
    written = written_columns(compiled)
    restless = written.get(left, frozenset()) | written.get(right, frozenset())
    try:
        mine = Table(here, _columns(session, here, tables.get(left)))
        theirs = Table(there, _columns(session, there, tables.get(right) if catalog is None else None))
        made = difference(session, (str(left), str(right)), mine, theirs, _key_of(compiled, left), restless, limit)
    except EngineError as error:
        raise one_problem(
            "statement-failed", f"`{left}` and `{right}` cannot be compared: {error.message.splitlines()[0]}"
        ) from error
    decided = rows_of_written(compiled, left, written)
    if decided and not made.equal:
        listed = ", ".join(f"`{name}`" for name in decided)
        made = replace(made, notes=(*made.notes, f"its rows depend on {listed}, of when a row was written"))
    return made


def _key_of(compiled: Compiled, name: TableName) -> tuple[str, ...]:
    """The columns that are the identity of a row: the model's key, or what a check says is unique."""
    model = compiled.models.get(name)
    if model is None:
        return ()
    header = model.header
    return header.key or next(iter(identities(header.checks)), ())


def _columns(session: Session, relation: Sql, found: Found | None) -> Schema:
    """The columns of a table, as they stand in our database, or as another one tells them."""
    if found is not None:
        return found.schema
    rows = session.fetch(compose("DESCRIBE SELECT * FROM {r}", r=relation))
    return Schema(tuple(Column(str(row[0]), str(row[1])) for row in rows))


def _json(difference: Difference) -> dict[str, object]:
    return {
        "table": difference.table,
        "other": difference.other,
        "equal": difference.equal,
        "rows": difference.rows,
        "columns": list(difference.columns),
        "only_left": difference.left,
        "only_right": difference.right,
        "changed": difference.changed,
        "key": list(difference.key),
        "cells": dict(difference.cells),
        "notes": list(difference.notes),
        "sample": [list(row) for row in difference.sample],
    }


def _print(difference: Difference, target: str | None) -> None:
    where = f" in `{target}`" if target else ""
    other = "" if difference.other == difference.table else f" and {difference.other}"
    if difference.equal:
        print(f"equal   {difference.table}{other}  {counted(difference.rows, 'row')}")
        _print_notes(difference)
        return
    print(
        f"differ  {difference.table}{other}  {counted(difference.left, 'row')} only here (-), {difference.right:,} only there{where} (+)"
        + (f", {difference.changed:,} with other values" if difference.changed else "")
    )
    for text in difference.columns:
        print(f"        column {text}")
    for text in told(difference):
        print(f"        other values in {text}")
    if difference.sample:
        table = render_table(difference.names, difference.sample, width=None)
        print("\n".join(f"        {line}" for line in table.splitlines()))
    _print_notes(difference)


def _print_notes(difference: Difference) -> None:
    for text in difference.notes:
        print(f"        note: {text}")
