"""Where things are: files, and places in them."""

from __future__ import annotations

from functools import lru_cache
from pathlib import PurePosixPath

from msgspec import Struct


class Span(Struct, frozen=True):
    """A stretch of one line of a file. Lines and columns count from 1; line 0 is the file as a whole."""

    path: PurePosixPath
    line: int
    column: int
    length: int = 1
    text: str = ""  # the whole source line, so that a message can show it

    def __str__(self) -> str:
        return f"{self.path}:{self.line}:{self.column}" if self.line else str(self.path)


class SourceFile(Struct, frozen=True):
    """A text file of the project. `path` is relative to the project's root."""

    path: PurePosixPath
    text: str

    def __repr__(self) -> str:
        return f"SourceFile({str(self.path)!r})"

    def span(self, start: int, end: int | None = None) -> Span:
        """The span of the characters `[start, end)`, cut at the end of its first line."""
        start = max(0, min(start, len(self.text)))
        line = self.text.count("\n", 0, start) + 1
        line_start = self.text.rfind("\n", 0, start) + 1
        line_end = self.text.find("\n", start)
        if line_end < 0:
            line_end = len(self.text)
        stop = min(start + 1 if end is None else end, line_end)
        text = self.text[line_start:line_end].rstrip("\r")
        return Span(self.path, line, start - line_start + 1, max(1, stop - start), text)

    @property
    def whole(self) -> Span:
        """The file, where nobody can say more."""
        return Span(self.path, 0, 0)

    def offset(self, line: int, column: int) -> int:
        """The character offset of a line and column that count from 1."""
        starts = _line_starts(self.text)
        return min(starts[min(line, len(starts)) - 1] + column - 1, len(self.text))


@lru_cache(maxsize=64)
def _line_starts(text: str) -> list[int]:
    starts = [0]
    position = text.find("\n")
    while position >= 0:
        starts.append(position + 1)
        position = text.find("\n", position + 1)
    return starts
