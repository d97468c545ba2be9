"""Seed files, held against the form that a CSV file must have."""

from __future__ import annotations

import csv
import io
from pathlib import Path, PurePosixPath

from sqlflow.core.diagnostics import Diagnostic
from sqlflow.core.model import Seed
from sqlflow.core.source import SourceFile
from sqlflow.core.words import counted


def malformed_seed(root: Path, seed: Seed) -> Diagnostic | None:
    """The first line of a seed that is not like its header; None when all are. Engines guess, and lose rows."""
    path = PurePosixPath(seed.path)
    try:
        text = (root / seed.path).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError):
        return Diagnostic("unreadable-seed", f"`{path}` is not UTF-8 text", SourceFile(path, "").span(0))
    file = SourceFile(path, text)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=seed.delimiter or ",", strict=True)

    def problem(message: str, line: int, hint: str) -> Diagnostic:
        start = file.offset(line, 1)
        end = text.find("\n", start)
        return Diagnostic(
            "unreadable-seed", f"`{path}` {message}", file.span(start, len(text) if end < 0 else end), hint
        )

    header: list[str] | None = None
    line = 1
    try:
        for row in reader:
            if header is None:
                header = row
                if not any(name.strip() for name in row):
                    break
                doubled = {name for name in row if [n.lower() for n in row].count(name.lower()) > 1}
                if doubled:
                    return problem(f"has two columns named `{min(doubled)}`", line, "rename one of them")
            elif row and len(row) != len(header):
                hint = (
                    "quote a value that holds a comma"
                    if len(row) > len(header)
                    else "write an empty value for what is missing"
                )
                columns = counted(len(header), "column")
                return problem(f"has {counted(len(row), 'value')} in a line, and {columns}", line, hint)
            line = reader.line_num + 1
    except csv.Error as error:
        return problem(f"cannot be read: {error}", line, "close the quotes, and double those inside a value")
    if header is None or not any(name.strip() for name in header):
        return Diagnostic(
            "unreadable-seed", f"`{path}` has no columns", file.span(0), "its first line names the columns"
        )
    return None
