"""Paths and patterns that a project names, and the names of the files that they mean."""

from __future__ import annotations

import glob
import os
import re
from pathlib import Path

NO_FILES = "no-files"  # the code of what is told of a path or pattern that means nothing


def named_by(root: Path, text: str) -> list[Path]:
    """The paths that a path or pattern of a project means, in a stable order. Where a file has just that name, it alone."""
    if os.path.isfile(root / text):
        return [root / text]
    return sorted(Path(found) for found in glob.glob(os.path.join(glob.escape(str(root)), text), recursive=True))


def literal_path(path: str) -> str:
    """A path as the engine takes it for this one file, whatever its name looks like.

    >>> literal_path("data/export[1].csv"), literal_path("data/a.csv")
    ('data/export[[]1].csv', 'data/a.csv')
    """
    return re.sub(r"[*?\[]", lambda found: f"[{found[0]}]", path)
