"""CSV text -> fields with their places. What stands between commas without quotes and is empty is NULL; `""` is an empty text."""

from __future__ import annotations

import re

from msgspec import Struct


class Field(Struct, frozen=True):
    """A value of a line, None for NULL, at the characters `[start, end)` of the text."""

    text: str | None
    start: int
    end: int


_FIELD = re.compile(r'[ \t]*(?:"((?:[^"]|"")*)"[ \t]*(?=[,\r\n]|\Z)|([^,\r\n]*))')


def csv_fields(text: str) -> list[list[Field]]:
    """The fields of each line that is not blank."""
    lines: list[list[Field]] = []
    line: list[Field] = []
    position = 0
    while position <= len(text):
        match = _FIELD.match(text, position)
        assert match is not None  # it matches nothing at all, too
        line.append(_field(match))
        position = match.end()
        if position < len(text) and text[position] == ",":
            position += 1
            continue
        if len(line) > 1 or line[0].text is not None:
            lines.append(line)
        line = []
        position += 2 if text.startswith("\r\n", position) else 1
    return lines


def _field(match: re.Match[str]) -> Field:
    if match[1] is not None:
        return Field(match[1].replace('""', '"'), match.start(1) - 1, match.end(1) + 1)
    start = match.start(2)
    found = match[2].rstrip()
    return Field(found or None, start, start + len(found))
