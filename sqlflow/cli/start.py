"""The entry point: what needs no project is answered before anything else is imported."""

from __future__ import annotations

# What `signal` is made of, without its enums, which take their time.
import _signal  # type: ignore[import-not-found]
import os
import sys

from sqlflow import __version__


def _stop(number: int, frame: object) -> None:
    """Nothing is open yet, and in the middle of an import nothing can be caught."""
    try:
        os.write(2, b"interrupted\n")
    finally:
        os._exit(130)


def main() -> None:
    """`sqlflow`, as it was called."""
    for number in (_signal.SIGINT, _signal.SIGTERM):
        _signal.signal(number, _stop)
    from sqlflow.cli.streams import lasting, open_all

    if sys.argv[1:] == ["--version"]:
        open_all()
        with lasting():
            print(f"sqlflow {__version__}")
        return
    from sqlflow.cli.app import main as run

    run()
