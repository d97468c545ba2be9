"""The entry point: what needs no project is answered before anything else is imported."""

from __future__ import annotations

import os
import signal
import sys

from sqlflow import __version__


def main() -> None:
    """`sqlflow`, as it was called."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _stop)
    from sqlflow.cli.streams import lasting, open_all

    if sys.argv[1:] == ["--version"]:
        open_all()
        with lasting():
            print(f"sqlflow {__version__}")
        return
    from sqlflow.cli.app import main as run

    run()


def _stop(number: int, frame: object) -> None:
    """Nothing is open yet, and in the middle of an import nothing can be caught."""
    try:
        os.write(2, b"interrupted\n")
    finally:
        os._exit(130)
