"""Seed files, held against the form that a CSV file must have."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path, PurePosixPath

from sqlflow.core.diagnostics import Diagnostic
from sqlflow.core.model import Seed
from sqlflow.core.source import SourceFile, Span
from sqlflow.core.words import counted

_LONGEST = 1 << 30  # the engine has a limit of its own, and tells it


def _delimited(character: str, before: str) -> str:
    shown = "\\t" if character == "\t" else character
    return f'{before}say in seeds/*.yml what stands between them: `delimiter: "{shown}"`'


def malformed_seed(root: Path, seed: Seed) -> Diagnostic | None:
    """The first line of a seed that is not like its header; None when all are. Engines guess, and lose rows."""
    path = PurePosixPath(seed.path)
    try:
        data = (root / seed.path).read_bytes()
    except OSError as error:
        why = (error.strerror or "error").lower()
        return Diagnostic("unreadable-seed", f"`{path}` cannot be read: {why}", SourceFile(path, "").span(0))
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        message = f"`{path}` is not UTF-8 text: byte {data[error.start]:#04x} in line {line}"
        return Diagnostic("unreadable-seed", message, Span(path, line, 1), "save it as UTF-8")
    file = SourceFile(path, text)
    csv.field_size_limit(_LONGEST)
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
                if len(row) == 1 and (mark := re.fullmatch(r"sep=(.)", row[0])):
                    return problem(
                        f"begins with `{row[0]}`, which is for spreadsheets",
                        line,
                        _delimited(mark[1], "take the line out, and "),
                    )
                other = next((c for c in ";\t|" if c in row[0]), None)
                if len(row) == 1 and seed.delimiter is None and other is not None:
                    return problem(f"has one column, `{row[0]}`", line, _delimited(other, "if it has several, "))
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
