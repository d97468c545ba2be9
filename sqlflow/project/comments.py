"""The comments of a SQL text, each with the gap between two tokens that it stands in."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

from msgspec import Struct

from sqlflow.core.source import SourceFile
from sqlflow.core.text import Edit, MappedText
from sqlflow.project.tokens import Lexed, end_of_block


class Comment(Struct, frozen=True):
    """A comment at `[start, end)`; what it says stands at `[begin, stop)`. `gap`: the index of the token behind it."""

    start: int
    end: int
    begin: int
    stop: int
    gap: int

    @property
    def is_line(self) -> bool:
        """Whether it goes on to the end of its line: `-- ...`."""
        return self.end == self.stop


def comments_of(lexed: Lexed) -> list[Comment]:
    """Every comment behind the first token, in order."""
    return _comments(lexed, 1)


def all_comments(lexed: Lexed) -> list[Comment]:
    """Every comment of a text, in order."""
    return _comments(lexed, 0)


def _comments(lexed: Lexed, first: int) -> list[Comment]:
    found: list[Comment] = []
    tokens, text = lexed.tokens, lexed.text
    for gap in range(first, len(tokens) + 1):
        position = tokens[gap - 1].end + 1 if gap > 0 else 0
        end = tokens[gap].start if gap < len(tokens) else len(text)
        if end - position < 2:
            continue
        while match := _BEGINNING.search(text, position, end):
            position = _add(text, match.start(), end, gap, found)
    return found


def said(file: SourceFile, comments: Sequence[Comment]) -> MappedText:
    """What comments that follow each other say, a line each, without their dashes."""
    first, last = comments[0], comments[-1]
    edits = [Edit(one.stop - first.begin, other.begin - first.begin, "\n") for one, other in pairwise(comments)]
    return MappedText.of(file, first.begin, last.stop).edit(edits)


_BEGINNING = re.compile(r"--|/\*")


def _add(text: str, start: int, end: int, gap: int, found: list[Comment]) -> int:
    """Note the comment that begins at `start`; where to look for the next one."""
    if text.startswith("--", start):
        newline = text.find("\n", start, end)
        stop = end if newline < 0 else newline
        begin = start + 3 if text[start : start + 3] == "---" != text[start + 1 : start + 4] else start + 2
        found.append(Comment(start, stop, begin, stop, gap))
        return stop
    close = end_of_block(text, start) or end
    begin = start + 3 if text.startswith("/**", start) and close > start + 4 else start + 2
    found.append(Comment(start, close, begin, max(begin, close - 2), gap))
    return close
