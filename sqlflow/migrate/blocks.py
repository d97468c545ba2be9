"""Where Jinja stands in a text: tags and comments with their positions, and dbt's own blocks such as `{% snapshot %}`."""

from __future__ import annotations

import re
from collections.abc import Iterator

from msgspec import Struct

_OPENING = re.compile(r"\{(?:\{|%|#)")
_RAW = re.compile(r"\{%[-+]?\s*raw\s*[-+]?%\}")
_END_RAW = re.compile(r"\{%[-+]?\s*endraw\s*[-+]?%\}")
_STRING = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"", re.DOTALL)
_CLOSING = {"{": "}}", "%": "%}", "#": "#}"}


class Tag(Struct, frozen=True):
    """`{{ ... }}`, `{% ... %}` or `{# ... #}` at `[start, end)`; `kind` is the sign behind the brace."""

    kind: str
    start: int
    end: int
    inside: str

    @property
    def word(self) -> str:
        """The first word of a statement: `if`, `endif`, `set`."""
        match = re.match(r"\w+", self.inside)
        return match[0] if match else ""


def tags_of(text: str) -> Iterator[Tag]:
    """All tags in order. What stands in `{% raw %}` has none; one that is never closed ends the text."""
    position = 0
    while match := _OPENING.search(text, position):
        kind = match[0][1]
        if kind == "%" and (raw := _RAW.match(text, match.start())):
            yield Tag("%", raw.start(), raw.end(), "raw")
            end = _END_RAW.search(text, raw.end())
            if end is None:
                return
            yield Tag("%", end.start(), end.end(), "endraw")
            position = end.end()
            continue
        stop = _close(text, match.end(), kind)
        if stop is None:
            return
        inside = (
            text[match.end() : stop - 2].strip("-+ \t\r\n")
            if kind != "{"
            else text[match.end() : stop - 2].strip("- \t\r\n")
        )
        yield Tag(kind, match.start(), stop, inside)
        position = stop


def _close(text: str, position: int, kind: str) -> int | None:
    """Where a tag ends that was opened before `position`; strings in it are looked past, and so are braces of dictionaries."""
    closing = _CLOSING[kind]
    if kind == "#":
        found = text.find(closing, position)
        return None if found < 0 else found + 2
    depth = 0
    while position < len(text):
        character = text[position]
        if character in "'\"" and (string := _STRING.match(text, position)):
            position = string.end()
            continue
        if text.startswith(closing, position) and (kind == "%" or depth == 0):
            return position + 2
        depth += (character in "{[(") - (character in "}])")
        depth = max(depth, 0)
        position += 1
    return None


class Block(Struct, frozen=True):
    """`{% word name(...) %} body {% endword %}`. `line`: where the body begins. `head`: what stands behind the word."""

    name: str
    head: str
    body: str
    line: int
    start: int
    end: int


def blocks_of(text: str, word: str) -> list[Block]:
    """All blocks of one kind, as `snapshot` or `docs`."""
    if word not in text:
        return []
    found: list[Block] = []
    opened: Tag | None = None
    for tag in tags_of(text):
        if tag.kind != "%":
            continue
        if tag.word == word and opened is None:
            opened = tag
        elif tag.word == f"end{word}" and opened is not None:
            head = opened.inside[len(word) :].strip()
            name = re.match(r"\w+", head)
            if name:
                line = text.count("\n", 0, opened.end) + 1
                found.append(Block(name[0], head, text[opened.end : tag.start], line, opened.start, tag.end))
            opened = None
    return found


def whole_line_tags(text: str) -> list[tuple[int, int]]:
    """The white space around tags that write nothing and have their lines to themselves, as pieces to leave out.

    So `{% if x %}` on a line of its own leaves no empty line behind.
    """
    silent = [tag for tag in tags_of(text) if _is_silent(tag) and not _trims(text, tag)]
    pieces: list[tuple[int, int]] = []
    place = 0
    while place < len(silent):
        first = silent[place]
        begin = text.rfind("\n", 0, first.start) + 1
        if text[begin : first.start].strip(" \t"):
            place += 1
            continue
        last = place
        while last + 1 < len(silent) and not text[silent[last].end : silent[last + 1].start].strip(" \t"):
            last += 1
        stop = silent[last].end
        rest = re.compile(r"[ \t]*(?:\r?\n|$)").match(text, stop)
        if rest is not None:
            pieces.append((begin, first.start))
            pieces += [(silent[one].end, silent[one + 1].start) for one in range(place, last)]
            pieces.append((stop, rest.end()))
        place = last + 1
    return [piece for piece in pieces if piece[0] < piece[1]]


def _trims(text: str, tag: Tag) -> bool:
    """Whether its author says what becomes of the white space around it."""
    return text[tag.start + 2] in "-+" or text[tag.end - 3] in "-+"


_QUIET_CALLS = re.compile(r"(?:config|log|print)\s*\(")


def _is_silent(tag: Tag) -> bool:
    if tag.kind == "{":
        return bool(_QUIET_CALLS.match(tag.inside))
    return tag.kind == "#" or tag.word not in ("raw", "endraw")
