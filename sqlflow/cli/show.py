"""`sqlflow show`: rows of a table."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from sqlflow.build.selecting import called
from sqlflow.cli.reading import OpenProject, find_name, reading
from sqlflow.cli.render import render_table, to_json
from sqlflow.core.diagnostics import one_problem
from sqlflow.core.engine import EngineError
from sqlflow.core.names import TableName
from sqlflow.core.schema import Schema
from sqlflow.core.sql import Sql, compose, render


def show_rows(
    name: str,
    limit: int,
    project: Path | None,
    target: str | None,
    variables: Sequence[str],
    *,
    wait: float,
    json: bool,
) -> int:
    """Print the first rows of a model, seed or source. The exit code."""
    with reading(project, target, variables, wait=wait, wanted=called(name)) as found:
        table = find_name(found.checked, name)
        schema, relation = relation_of(found, table)
        columns = schema.names
        assert found.opened.engine is not None
        try:
            rows = found.opened.engine.session().fetch(
                compose("SELECT * FROM {relation} LIMIT {n}", relation=relation, n=limit)
            )
        except EngineError as error:
            raise one_problem(
                "statement-failed", f"`{table}` cannot be read: {error.message.splitlines()[0]}"
            ) from error
    if json:
        print(to_json([dict(zip(columns, row, strict=True)) for row in rows]))
    else:
        width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
        print(render_table(columns, rows, width=width))
    return 0


def relation_of(found: OpenProject, table: TableName) -> tuple[Schema, Sql]:
    """The columns of a model, seed or source, and what gives its rows, after FROM. Raises ProjectError when it is not built."""
    model = found.checked.compiled.models.get(table)
    stands = model is None or model.header.promise.stands
    if found.opened.engine is None or (stands and table not in (found.tables or {})):
        raise one_problem("not-built", f"`{table}` is not built yet", None, f"`sqlflow build +{table}` builds it")
    if model is not None and not stands:
        return model.schema, Sql(f"(\n{model.query.text}\n) AS _q")
    assert found.tables is not None
    return found.tables[table].schema, Sql(render(table))
