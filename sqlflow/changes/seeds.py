"""Seed files, held against the form that a CSV file must have."""

from __future__ import annotations

import csv
import io
import math
import re
from pathlib import Path, PurePosixPath

from sqlflow.changes.forms import ONE_LINE_END, mixed_line_ends
from sqlflow.core.amounts import counted
from sqlflow.core.diagnostics import Diagnostic
from sqlflow.core.model import Seed
from sqlflow.core.schema import Schema
from sqlflow.core.source import SourceFile, Span

_LONGEST_LINE = 2_000_000
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
            if sum(map(len, row)) > _LONGEST_LINE:
                return problem(
                    f"has a line of more than {_LONGEST_LINE:,} characters, which the engine does not read", line,
                    "keep long texts in a file of its own, such as Parquet, and declare it in sources/*.yml",
                )  # fmt: skip
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
    if (mixed := mixed_line_ends(data)) is not None:
        return Diagnostic("unreadable-seed", f"`{path}` {mixed}", Span(path, 1, 1), ONE_LINE_END)
    if header is None or not any(name.strip() for name in header):
        return Diagnostic(
            "unreadable-seed", f"`{path}` has no columns", file.span(0), "its first line names the columns"
        )
    return None


def inexact_seed(root: Path, seed: Seed, schema: Schema) -> Diagnostic | None:
    """The first number of a seed that is read as DOUBLE without anybody saying so, and would lose digits."""
    declared = {name.lower() for name in seed.types}
    doubles = {column.name for column in schema if column.type.startswith("DOUBLE")}
    doubles = {name for name in doubles if name.lower() not in declared}
    if not doubles:
        return None
    text = (root / seed.path).read_bytes().decode("utf-8-sig", "replace")
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=seed.delimiter or ",")
    line = reader.line_num + 1
    for row in reader:
        for name, value in row.items():
            if name in doubles and value not in seed.nulls and isinstance(value, str) and _loses_digits(value.strip()):
                file = SourceFile(PurePosixPath(seed.path), text)
                start = file.offset(max(line, 2), 1)
                end = text.find("\n", start)
                message = f"`{seed.path}` has `{value[:60]}` in the column `{name}`, which is read as DOUBLE and would lose digits"
                hint = f"say in seeds/*.yml what type holds it, such as `columns: {{{name}: VARCHAR}}` or a DECIMAL"
                return Diagnostic("unreadable-seed", message, file.span(start, len(text) if end < 0 else end), hint)
        line = reader.line_num + 1
    return None


def _loses_digits(number: str) -> bool:
    """
    >>> [_loses_digits(n) for n in ("9007199254740993", "9007199254740992", "12345678901234567000", "1e400", "0.1", "inf")]
    [True, False, False, True, False, False]
    """
    try:
        double = float(number)
    except ValueError:
        return False
    if math.isinf(double):
        return re.search("[0-9]", number) is not None
    whole = re.fullmatch("[+-]?[0-9]{16,}", number)
    shown = re.sub("[^0-9]", "", repr(double).partition("e")[0])
    return whole is not None and int(number) != int(double) and number.strip("+-0") != shown.strip("0")
