"""SQLFlow in a process of its own that begins at once: it is forked off a server that has imported everything.

A process that Python starts anew takes a second of work until it begins, on a machine that has other things to do. What
tests ask of the beginning itself (tests/commands/test_hard_places.py) starts one nevertheless.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from functools import cache
from multiprocessing.forkserver import ensure_running
from multiprocessing.reduction import DupFd
from pathlib import Path
from typing import IO, Any

_SERVER = multiprocessing.get_context("forkserver")
_SERVER.set_forkserver_preload(["everything_imported"])


@cache
def _running() -> None:
    """The server, which finds what it is to import by the paths of this process."""
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(sys.path)
    try:
        ensure_running()
    finally:
        del os.environ["PYTHONPATH"]
        if before is not None:
            os.environ["PYTHONPATH"] = before


class Child:
    """A running `sqlflow`, in the words of `subprocess.Popen`. Without `terminal` what it prints is read from `stdout` and
    `stderr`; with it, a terminal's file, it has a session of its own there."""

    def __init__(
        self, *words: str, cwd: Path, environ: Mapping[str, str] | None = None, module: str = "sqlflow",
        terminal: int | None = None,
    ) -> None:  # fmt: skip
        _running()
        self.returncode: int | None = None
        self._read: list[IO[str]] = []
        ends: list[int] = [terminal] * 3 if terminal is not None else [os.open(os.devnull, os.O_RDONLY)]
        while len(ends) < 3:
            reading, writing = os.pipe()
            self._read.append(os.fdopen(reading, encoding="utf-8", errors="backslashreplace"))
            ends.append(writing)
        self._process = _SERVER.Process(
            target=_begin,
            args=(module, words, str(cwd), dict(environ or os.environ), terminal is not None, *map(DupFd, ends)),
            daemon=True,
        )
        self._process.start()
        if terminal is None:
            for end in ends:
                os.close(end)
        assert self._process.pid is not None
        self.pid: int = self._process.pid

    @property
    def stdout(self) -> IO[str]:
        return self._read[0]

    @property
    def stderr(self) -> IO[str]:
        return self._read[1]

    def poll(self) -> int | None:
        if self.returncode is None:
            self.returncode = self._process.exitcode
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        if self.returncode is None:
            self._process.join(timeout)
            if self.poll() is None:
                raise subprocess.TimeoutExpired("sqlflow", timeout or 0)
        assert self.returncode is not None
        return self.returncode

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """What was not read yet of both streams, once it has ended."""
        told = ["", ""]

        def read(number: int) -> None:
            told[number] = self._read[number].read()

        reading = [threading.Thread(target=read, args=(number,), daemon=True) for number in (0, 1)]
        for thread in reading:
            thread.start()
        for thread in reading:
            thread.join(timeout)
            if thread.is_alive():
                raise subprocess.TimeoutExpired("sqlflow", timeout or 0)
        self.wait(timeout)
        self.close()
        return told[0], told[1]

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def close(self) -> None:
        for stream in self._read:
            stream.close()


def _begin(module: str, words: tuple[str, ...], cwd: str, environ: dict[str, str], session: bool, *ends: Any) -> None:
    """In the child: what a new process begins with."""
    for number, end in enumerate(ends):
        given = end.detach()
        os.dup2(given, number)
        if given > 2:
            os.close(given)
    if session:
        os.setsid()
    os.environ.clear()
    os.environ.update(environ)
    os.chdir(cwd)
    sys.stdin, sys.stdout, sys.stderr = (
        open(0, encoding="utf-8", closefd=False),  # noqa: SIM115 - as long as the process
        open(1, "w", encoding="utf-8", closefd=False),  # noqa: SIM115
        open(2, "w", encoding="utf-8", errors="backslashreplace", buffering=1, closefd=False),  # noqa: SIM115
    )
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    sys.argv = ["sqlflow", *words]
    _main_of(module)()


def _main_of(module: str) -> Callable[[], None]:
    if module == "sqlflow":
        from sqlflow.cli.start import main

        return main
    import killing_engine

    return killing_engine.main
