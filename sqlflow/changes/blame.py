"""Which file is to blame when a statement that reads files fails: engines tell it of few errors."""

from __future__ import annotations

import os
import re
from pathlib import Path

from sqlflow.changes.forms import Ask
from sqlflow.changes.readings import Test, tests
from sqlflow.core.compiled import Compiled
from sqlflow.core.config import Config
from sqlflow.core.diagnostics import Diagnostic
from sqlflow.core.engine import BindError
from sqlflow.core.model import Source
from sqlflow.core.names import TableName
from sqlflow.core.reading import Reading

_MAY_BE_A_FILE = re.compile(
    r"convert|cast|csv|json|parquet|file|format|unicode|utf|quote|value|column|parse", re.IGNORECASE
)


def file_to_blame(compiled: Compiled, config: Config, ask: Ask, table: TableName, problem: Diagnostic) -> Diagnostic:
    """The problem of a table, or that of a file which it reads and that cannot be read."""
    if problem.code not in ("statement-failed", "unreadable-source") or not _MAY_BE_A_FILE.search(problem.message):
        return problem
    read = {table} if table in compiled.readings else compiled.inputs_of([table]) if table in compiled.models else set()
    for name in sorted(read & set(compiled.readings)):
        source = compiled.project.sources.get(name)
        found = unreadable_file(compiled.readings[name], source, config, ask) if source is not None else None
        if found is not None:
            return found
    return problem


def unreadable_file(reading: Reading, source: Source, config: Config, ask: Ask) -> Diagnostic | None:
    """What is wrong with a file of a source; None when all of them can be read."""
    return next((found for test in tests(config, reading) if (found := _found_by(test, source, config, ask))), None)


def _found_by(test: Test, source: Source, config: Config, ask: Ask) -> Diagnostic | None:
    rows = ask(test.query)
    at = source.spans.get("path") or source.span
    if isinstance(rows, BindError):
        named = any(os.path.basename(file) in rows.message for file in test.files)
        where = "" if named else f"`{test.files[0]}`: " if len(test.files) == 1 else ""
        return Diagnostic("unreadable-source", f"`{source.name}` cannot be read: {where}{rows.message}", at)
    if not test.tells or not rows:
        return None
    file, column, value = (str(item) for item in rows[0])
    kind = test.types.get(column, "")
    line = _line_of(Path(file), value)
    place = (
        f"line {line} of `{os.path.relpath(file, config.root)}`" if line else f"`{os.path.relpath(file, config.root)}`"
    )
    declared = column.lower() in {name.lower() for name in source.types}
    message = f"`{source.name}` cannot be read: `{value[:60]}` in the column `{column}`, {place}, is no {kind}"
    others = [os.path.relpath(str(row[0]), config.root) for row in rows[1:] if row[0] != file]
    if others:
        message += f"; nor is a value in `{others[0]}`"
    hint = (
        "correct the value, or declare another type"
        if declared
        else f"correct the value; the type was taken from the first rows: declare `columns: {{{column}: VARCHAR}}` for any text"
    )
    return Diagnostic("unreadable-source", message, source.spans.get(f"columns.{column.lower()}") or at, hint)


def _line_of(path: Path, value: str) -> int | None:
    """The line of a CSV file where a value stands."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            for number, line in enumerate(file, 1):
                if value in line and value in (part.strip('"') for part in re.split(r"[,;\t|]", line.rstrip("\r\n"))):
                    return number
    except (OSError, UnicodeDecodeError):
        return None
    return None
