"""SQL text that remembers where each part of it came from.

Variables, macros and inline models are put into a query by replacing tokens at their positions. The text
that runs is then longer than the file, and a message about it must still point into the file.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable

from msgspec import Struct

from sqlflow.core.source import SourceFile, Span


class Edit(Struct, frozen=True):
    """Put `text` in place of the characters `[start, end)`. `place`: the characters it stands for, if these are others."""

    start: int
    end: int
    text: str
    place: tuple[int, int] | None = None


class Argument(Struct, frozen=True):
    """Where in a text an argument stands, and around it what the call of a macro became. `written`: offsets in the file
    of the call as the author wrote it."""

    start: int
    end: int
    call: tuple[int, int]
    written: tuple[int, int]


class Snippet(Struct, frozen=True):
    """SQL that stands in a directive or in YAML, as its author wrote it, with variables and macros put in: what is judged
    when the columns are known that it is about. `arguments`: those of macros. `parameters`: where those stand that a check of
    the author's own is called with. `foreign`: its dialect, where only the types of the
    columns tell what it is in the target's SQL."""

    text: str
    label: str  # how it is called in messages
    span: Span
    arguments: tuple[Argument, ...] = ()
    parameters: tuple[tuple[int, int], ...] = ()
    foreign: str = ""


class Piece(Struct, frozen=True):
    """A run of the text. Verbatim pieces stand in the file letter by letter; others stand for `[origin, end)`."""

    at: int
    origin: int
    end: int
    verbatim: bool


_MOST_AROUND = 400
_WORD = re.compile(r'"(?:[^"]|"")+"|::\s*[\w$]+|[\w$]+|\S')


def _word_at(text: str, position: int) -> int:
    found = _WORD.match(text, position)
    return 1 if found is None else found.end() - position


class MappedText(Struct, frozen=True):
    """`text`, made out of `file` by edits; `pieces` lead back."""

    text: str
    file: SourceFile
    pieces: tuple[Piece, ...]

    @classmethod
    def of(cls, file: SourceFile, start: int = 0, end: int | None = None) -> MappedText:
        """The part `[start, end)` of a file, unchanged."""
        stop = len(file.text) if end is None else end
        return cls(file.text[start:stop], file, (Piece(0, start, stop, True),))

    def origin(self, offset: int) -> tuple[int, int | None]:
        """Where in the file the character at `offset` comes from: start, and the end if it was replaced."""
        index = max(0, bisect_right(self.pieces, offset, key=lambda piece: piece.at) - 1)
        piece = self.pieces[index]
        if piece.verbatim:
            return min(piece.origin + offset - piece.at, piece.end), None
        return piece.origin, piece.end

    def span(self, start: int, end: int | None = None) -> Span:
        """The span in the file of the characters `[start, end)` of this text."""
        first, replaced_end = self.origin(start)
        if replaced_end is not None:
            return self.file.span(first, replaced_end)
        if end is None or end <= start:
            return self.file.span(first)
        last, last_end = self.origin(end - 1)
        return self.file.span(first, last_end if last_end is not None else last + 1)

    def found_in(self, statement: str, position: int, length: int | None) -> tuple[int, int] | None:
        """The characters of this text that stand at a place of a statement that was made of it; None where that cannot be
        told. It may hold the text as it is, or with other tables and conditions in it."""
        at = statement.find(self.text)
        if 0 <= at <= position < at + len(self.text):
            start = position - at
            return start, min(start + (length or _word_at(statement, position)), len(self.text))
        end = position + (length or _word_at(statement, position))
        before = after = 0
        while before <= _MOST_AROUND:
            part = statement[max(0, position - before) : end + after]
            first = self.text.find(part)
            if first < 0:
                return None
            if self.text.find(part, first + 1) < 0:
                start = first + min(before, position)
                return start, start + end - position
            before, after = before + 4, after + 4
        return None

    def edit(self, edits: Iterable[Edit]) -> MappedText:
        """The text with the edits made. They must not overlap; an edit may be empty on either side."""
        parts: list[str] = []
        pieces: list[Piece] = []
        length = 0
        position = 0

        def keep(until: int) -> None:
            nonlocal length
            if until <= position:
                return
            for piece in self._cut(position, until):
                pieces.append(Piece(length + piece.at - position, piece.origin, piece.end, piece.verbatim))
            parts.append(self.text[position:until])
            length += until - position

        for edit in sorted(edits, key=lambda item: (item.start, item.end)):
            keep(edit.start)
            first, stop = edit.place or (edit.start, edit.end)
            origin, end = self.origin(first)
            if stop > first and end is None:
                last, last_end = self.origin(stop - 1)
                end = last_end if last_end is not None else last + 1
            pieces.append(Piece(length, origin, origin if end is None else end, False))
            parts.append(edit.text)
            length += len(edit.text)
            position = edit.end
        keep(len(self.text))
        return MappedText("".join(parts), self.file, tuple(pieces))

    def _cut(self, start: int, end: int) -> Iterable[Piece]:
        index = max(0, bisect_right(self.pieces, start, key=lambda piece: piece.at) - 1)
        while index < len(self.pieces) and self.pieces[index].at < end:
            piece = self.pieces[index]
            skipped = max(0, start - piece.at)
            origin = piece.origin + skipped if piece.verbatim else piece.origin
            yield Piece(piece.at + skipped, origin, piece.end, piece.verbatim)
            index += 1
