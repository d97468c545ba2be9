"""`sqlflow diff`: two tables, or two targets, row for row."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from msgspec import Struct

from sqlflow.cli.opening import read_settings
from sqlflow.cli.reading import Reading, find_name, reading
from sqlflow.cli.render import render_table, to_json
from sqlflow.core.config import Config
from sqlflow.core.diagnostics import one_problem
from sqlflow.core.engine import EngineError, Found, Row, Session
from sqlflow.core.names import TableName
from sqlflow.core.schema import Column, Schema
from sqlflow.core.sql import Ident, Sql, compose, render
from sqlflow.core.words import counted


class Difference(Struct, frozen=True):
    """How two tables differ. `left`, `right`: number of rows that only one of them has, as multisets."""

    table: str
    other: str
    columns: tuple[str, ...]
    rows: int
    left: int
    right: int
    sample: tuple[Row, ...] = ()
    names: tuple[str, ...] = ()

    @property
    def equal(self) -> bool:
        return not self.columns and not self.left and not self.right


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
            differences.append(_compare(session, found.tables or {}, left, TableName.parse(right), catalog, limit))
    if json:
        print(to_json([_json(difference) for difference in differences]))
    else:
        for difference in differences:
            _print(difference, with_target)
    different = sum(not difference.equal for difference in differences)
    print(f"{len(differences)} compared: {len(differences) - different} equal, {different} differ", file=sys.stderr)
    return 1 if different else 0


def _refuse_other_kind(config: Config, other: Config) -> None:
    if config.target.engine != other.target.engine:
        raise one_problem(
            "not-available-yet",
            f"the targets `{config.target.name}` and `{other.target.name}` are databases of different kinds, which cannot be "
            "compared row for row yet",
        )


def _existing(found: Reading, text: str) -> TableName:
    name = TableName.parse(text)
    return name if name in (found.tables or {}) else find_name(found.checked, text)


def _tables(found: Reading) -> list[TableName]:
    """All models that are tables or views."""
    compiled = found.checked.compiled
    return [name for name in compiled.order if compiled.models[name].model.header.mode.stands]


def _compare(
    session: Session,
    tables: Mapping[TableName, Found],
    left: TableName,
    right: TableName,
    catalog: str | None,
    limit: int,
) -> Difference:
    here = Sql(render(left))
    there = Sql(render(right)) if catalog is None else compose("{c}.{t}", c=Ident(catalog), t=right)
    try:
        mine = _columns(session, here, tables.get(left))
        theirs = _columns(session, there, tables.get(right) if catalog is None else None)
        schemas = mine.differences(theirs)
        shared = [Ident(c.name) for c in mine if theirs.find(c.name) is not None]
        if not shared:
            return Difference(str(left), str(right), schemas, 0, 0, 0)
        only_left = compose("SELECT {cs} FROM {a} EXCEPT ALL SELECT {cs} FROM {b}", cs=shared, a=here, b=there)
        only_right = compose("SELECT {cs} FROM {b} EXCEPT ALL SELECT {cs} FROM {a}", cs=shared, a=here, b=there)
        rows, minus, plus = (
            int(str(session.fetch(compose("SELECT count(*) FROM ({q}) AS _q", q=q))[0][0]))
            for q in (compose("SELECT 1 FROM {a}", a=here), only_left, only_right)
        )
        sample: list[Row] = []
        if minus or plus:
            for sign, query in (("-", only_left), ("+", only_right)):
                found = session.fetch(compose("{q} ORDER BY {cs} LIMIT {n}", q=query, cs=shared, n=limit))
                sample += [(sign, *row) for row in found]
    except EngineError as error:
        raise one_problem(
            "statement-failed", f"`{left}` and `{right}` cannot be compared: {error.message.splitlines()[0]}"
        ) from error
    return Difference(str(left), str(right), schemas, rows, minus, plus, tuple(sample), ("", *shared))


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
        "sample": [list(row) for row in difference.sample],
    }


def _print(difference: Difference, target: str | None) -> None:
    where = f" in `{target}`" if target else ""
    other = "" if difference.other == difference.table else f" and {difference.other}"
    if difference.equal:
        print(f"equal   {difference.table}{other}  {counted(difference.rows, 'row')}")
        return
    print(
        f"differ  {difference.table}{other}  {counted(difference.left, 'row')} only here (-), {difference.right:,} only there{where} (+)"
    )
    for text in difference.columns:
        print(f"        column {text}")
    if difference.sample:
        table = render_table(difference.names, difference.sample, width=None)
        print("\n".join(f"        {line}" for line in table.splitlines()))
