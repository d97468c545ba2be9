"""Seeds: the types that dbt finds in a CSV file, so that the table gets the same ones."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path

_WHOLE = re.compile(r"[-+]?\d+")
_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")
_DAY = re.compile(r"\d{4}-\d\d-\d\d")
_MOMENT = re.compile(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(?:\.\d+)?")
_NULLS = ("", "null")
_INT = 2**31


def types_of(path: Path, delimiter: str) -> dict[str, str] | None:
    """Column -> type as dbt finds it; None when the file cannot be read."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.reader(file, delimiter=delimiter)
            names = next(rows, None)
            if names is None:
                return None
            return dict(zip(names, _types(rows, len(names)), strict=True))
    except (OSError, UnicodeDecodeError, csv.Error, TypeError):
        return None


def mended(path: Path, delimiter: str) -> tuple[str, str] | None:
    """A CSV file that only dbt reads, as one that SQLFlow reads, and what was wrong with it; None for one that is right."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
        rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter))
    except (OSError, UnicodeDecodeError, csv.Error, TypeError):
        return None
    width = len(rows[0]) if rows else 0
    short = [number for number, row in enumerate(rows, 1) if 0 < len(row) < width]
    ends = set(re.findall(r"\r\n|\r|\n", text))
    if not short and len(ends) < 2:
        return None
    wrong = [f"row {short[0]} has less values than there are columns, which are NULL"] if short else []
    wrong += ["its lines do not end alike"] if len(ends) > 1 else []
    out = io.StringIO(newline="")
    csv.writer(out, delimiter=delimiter, lineterminator="\n").writerows(
        [*row, *[""] * (width - len(row))] for row in rows if row
    )
    return out.getvalue(), "; ".join(wrong)


_KINDS = ("INTEGER", "BIGINT", "DOUBLE", "DATE", "TIMESTAMP", "BOOLEAN", "VARCHAR")


def _types(rows: Iterator[Sequence[str]], width: int) -> list[str]:
    """The first type that all values of a column have."""
    possible = [list(_KINDS) for _ in range(width)]
    for row in rows:
        for place, value in enumerate(row[:width]):
            if value.strip().lower() not in _NULLS and len(possible[place]) > 1:
                possible[place] = [kind for kind in possible[place] if _is(kind, value.strip())]
    return [kinds[0] for kinds in possible]


def _is(kind: str, value: str) -> bool:
    match kind:
        case "INTEGER":
            return bool(_WHOLE.fullmatch(value)) and -_INT <= int(value) < _INT
        case "BIGINT":
            return bool(_WHOLE.fullmatch(value)) and abs(int(value)) < 2**63
        case "DOUBLE":
            return bool(_NUMBER.fullmatch(value))
        case "DATE":
            return bool(_DAY.fullmatch(value)) and _is_moment(value)
        case "TIMESTAMP":
            return bool(_MOMENT.fullmatch(value)) and _is_moment(value)
        case "BOOLEAN":
            return value.lower() in ("true", "false")
        case _:
            return True


def _is_moment(value: str) -> bool:
    try:
        datetime.fromisoformat(value)
    except ValueError:
        return False
    return True
