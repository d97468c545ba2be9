"""`sqlflow test --record`: a unit test written from rows that are there."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import closing
from datetime import datetime
from pathlib import Path, PurePosixPath

from msgspec.structs import replace

from sqlflow.build.selecting import called
from sqlflow.cli.opening import clock
from sqlflow.cli.reading import OpenProject, find_name, reading
from sqlflow.core.amounts import counted
from sqlflow.core.clock import Nature
from sqlflow.core.compiled import CompiledModel
from sqlflow.core.diagnostics import one_problem, stop_on_errors
from sqlflow.core.names import TableName
from sqlflow.core.schema import Schema
from sqlflow.core.source import SourceFile
from sqlflow.core.sql import Sql, compose, render
from sqlflow.core.units import UnitTest
from sqlflow.project.units import read_units, units_in
from sqlflow.unit.alone import Surroundings
from sqlflow.unit.bench import Bench, Wrong
from sqlflow.unit.check import check_units
from sqlflow.unit.record import Sample, masked, samples, text_of, written
from sqlflow.unit.scenario import stage
from sqlflow.unit.tried import Tried


def record_test(
    text: str, rows: int, project: Path | None, target: str | None, variables: Sequence[str], *, wait: float
) -> int:
    """Write a test of a model from the first rows of what it reads. The exit code."""
    with reading(project, target, variables, wait=wait, wanted=called(text)) as found:
        config = found.opened.config
        name = find_name(found.checked, text)
        model = found.checked.compiled.models.get(name)
        if model is None or model.header.promise.tests:
            raise one_problem("unknown-table", f"`{name}` is no model", None, "a unit test is of a model")
        if found.opened.engine is None:
            raise one_problem("no-database", "there are no rows yet", None, "`sqlflow build` makes the database")
        around = Surroundings(found.checked)
        inputs = {table: around.columns(table) for table in around.read_by(name, ())[0]}
        relations = {table: _relation(found, table) for table in inputs}
        taken = samples(found.opened.engine.session(), model, inputs, relations, rows)
        given = masked(taken, model, found.checked.compiled)
        others, _ = read_units(config)
        title = _free_name(f"{name.name} as recorded on {clock().astimezone(config.zone):%Y-%m-%d}", others)
        now = _now(model, found)
        tried = _tried(found, title, written(title, name, given, None, now))
        try:
            expect = _given_by(found, tried, model)
        except Wrong as wrong:
            stop_on_errors([wrong.problem])
            raise
    path = Path("tests") / f"{name.name}.yml"
    file = config.root / path
    file.parent.mkdir(exist_ok=True)
    before = file.read_text(encoding="utf-8").rstrip("\n") + "\n\n" if file.exists() else ""
    file.write_text(before + written(title, name, given, expect, now), encoding="utf-8")
    print(f"wrote `{title}` into {path}, which expects {counted(len(expect.rows), 'row')}", file=sys.stderr)
    if not expect.rows:
        print("the rows that were taken give nothing: mend them by hand, or take more with --rows", file=sys.stderr)
    return 0


def _relation(found: OpenProject, table: TableName) -> Sql:
    """Where the rows of an input are."""
    source = found.checked.compiled.project.sources.get(table)
    name = source.table if source is not None and source.table is not None else table
    if name not in (found.tables or {}):
        raise one_problem("not-built", f"`{table}` is not built yet", None, f"`sqlflow build +{table}` builds it")
    return Sql(render(name))


def _free_name(name: str, tests: Sequence[UnitTest]) -> str:
    taken = {test.name.lower() for test in tests}
    names = (name if number == 1 else f"{name} ({number})" for number in range(1, len(taken) + 2))
    return next(free for free in names if free.lower() not in taken)


def _now(model: CompiledModel, found: OpenProject) -> datetime | None:
    """The time, for a model to which it makes a difference."""
    items = [*model.clock, *(item for items in model.written.values() for item in items)]
    if not any(item.nature is Nature.CLOCK for item in items):
        return None
    return clock().astimezone(found.opened.config.zone).replace(second=0, microsecond=0, tzinfo=None)


def _tried(found: OpenProject, title: str, text: str) -> Tried:
    tests, problems = units_in(found.opened.config, SourceFile(PurePosixPath("tests/recorded.yml"), text))
    tried, wrong = check_units(tests, found.checked, found.opened.workshop)
    stop_on_errors([*problems, *wrong])
    return tried[0]


def _given_by(found: OpenProject, tried: Tried, model: CompiledModel) -> Sample:
    """What the model makes of the rows, as text."""
    opened, schema = found.opened, tried.schema
    items = [text_of(column) for column in schema]
    with closing(opened.module.open_binder(opened.config, files=())) as binder:
        if tried.query is not None:
            query = compose("SELECT {items} FROM (\n{query}\n) AS _given", items=items, query=Sql(tried.query))
            rows = Bench(binder).asked(replace(tried, query=query), model.query)
        else:
            with stage(tried, opened.config, opened.module, binder) as played:
                played.play(0)
                rows = played.rows(compose("SELECT {items} FROM {table}", items=items, table=tried.model))
    return Sample(tried.model, Schema(schema.columns).columns, tuple(rows))
