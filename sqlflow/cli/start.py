"""The entry point: what needs no project is answered before anything else is imported."""

from __future__ import annotations

import sys

from sqlflow import __version__


def main() -> None:
    """`sqlflow`, as it was called."""
    if sys.argv[1:] == ["--version"]:
        print(f"sqlflow {__version__}")
        return
    from sqlflow.cli.app import main as run

    run()
