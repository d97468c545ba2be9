"""Files that ship with SQLFlow: inside the installed package, or beside it in a checkout."""

from __future__ import annotations

from pathlib import Path

import sqlflow


def packaged(in_wheel: str, in_checkout: str) -> Path:
    """The folder of that name. Raises FileNotFoundError when the installation is not whole."""
    package = Path(sqlflow.__file__).parent
    for folder in (package / in_wheel, package.parent / in_checkout):
        if folder.is_dir():
            return folder
    raise FileNotFoundError(f"{in_wheel} is missing in this installation of SQLFlow")
