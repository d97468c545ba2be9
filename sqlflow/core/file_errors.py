"""What DuckDB says of files that it cannot read, in one line."""

from __future__ import annotations

import os
import re
from pathlib import Path


def told_of_file(error: str, root: Path) -> str:
    """Of a CSV file DuckDB tells line, text and reason in lines of their own, and then its settings, the file among them.

    >>> told_of_file("Invalid Input Error: No magic bytes found at end of file '/p/data/a.parquet'", Path("/p"))
    "no magic bytes found at end of file 'data/a.parquet'"
    """
    lines = [line.strip() for line in error.splitlines() if line.strip()]
    if not lines:
        return "unknown error"
    first = re.sub(r"^[A-Za-z ]+ Error: ", "", lines[0]).replace(f"{root}{os.sep}", "")
    first = first[0].lower() + first[1:] if len(first) > 1 and first[1].islower() else first
    if not first.startswith("CSV Error on Line") or len(lines) < 3:
        return first
    file = next((line.removeprefix("file = ") for line in lines if line.startswith("file = ")), "")
    number = first.rpartition(" ")[2]
    written = lines[1].removeprefix("Original Line: ")
    where = f" of `{os.path.relpath(file, root)}`" if file else ""
    return f"line {number}{where}, `{written}`: {lines[2]}"
