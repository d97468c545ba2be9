"""Standard output and error that outlive whoever reads them.

A build goes on when its output cannot be written: its reader is gone (`| head`), the disk is full, or the stream was closed
before it began. What failed is remembered, for the exit code. Characters that an encoding does not have are written as
escapes, which JSON reads back.
"""

from __future__ import annotations

import codecs
import errno
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TextIO, cast


class Lasting:
    """A text stream whose writes never fail. `dead`: one has failed. `failed`: why the first one did; a reader that is gone is no failure."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.dead = False
        self.failed: OSError | None = None

    def write(self, text: str) -> int:
        if not self.dead:
            try:
                self._stream.write(text)
            except OSError as error:
                self._give_up(error)
            except UnicodeEncodeError:  # a stream that does not let itself be set up otherwise
                encoding = getattr(self._stream, "encoding", None) or "ascii"
                self._stream.write(text.encode(encoding, _ESCAPED).decode(encoding))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        if not self.dead:
            try:
                self._stream.flush()
            except OSError as error:
                self._give_up(error)

    def _give_up(self, error: OSError) -> None:
        """Write nothing more, also not what Python still has in its buffer when it ends."""
        self.dead = True
        if error.errno not in (errno.EPIPE, errno.EBADF, errno.EIO):  # EIO: the terminal is gone
            self.failed = error
        try:
            os.dup2(os.open(os.devnull, os.O_WRONLY), self._stream.fileno())
        except (OSError, ValueError):
            return

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def is_dead(stream: TextIO) -> bool:
    """Whether a write failed, and nothing that is written from now on arrives: a command that only tells can end."""
    return isinstance(stream, Lasting) and stream.dead


_ESCAPED = "sqlflow.escaped"


def _escaped(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    units = error.object[error.start : error.end].encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4)), error.end


def open_all() -> None:
    """Open the standard streams that were closed before we began, so that no file gets their numbers."""
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            opened = os.open(os.devnull, os.O_RDWR)
            if opened != number:
                os.dup2(opened, number)
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115 - lives as long as we


@contextmanager
def lasting() -> Iterator[tuple[Lasting, Lasting]]:
    """Standard output and error while a command runs."""
    codecs.register_error(_ESCAPED, _escaped)
    before = sys.stdout, sys.stderr
    streams = []
    for stream in before:
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors=_ESCAPED)
        streams.append(Lasting(stream))
    out, err = streams
    sys.stdout, sys.stderr = cast(TextIO, out), cast(TextIO, err)
    try:
        yield out, err
    finally:
        out.flush()
        err.flush()
        sys.stdout, sys.stderr = before
