"""`.dbtignore`: the files of a project that dbt passes over."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

from msgspec import Struct


class _Rule(Struct, frozen=True):
    pattern: re.Pattern[str]
    folders_only: bool
    takes_back: bool


def ignored_by(text: str) -> Callable[[PurePosixPath], bool]:
    """Whether a file is passed over, by its path from the root of the project. The patterns are those of .gitignore.

    >>> ignored = ignored_by("**.py\\n/models/old/\\n!models/old/kept.sql")
    >>> [ignored(PurePosixPath(path)) for path in ("models/a/x.py", "models/a.sql", "models/old/b.sql", "x/models/old/b.sql")]
    [True, False, True, False]
    """
    rules = list(_rules(text))

    def is_ignored(path: PurePosixPath) -> bool:
        found = False
        for rule in rules:
            places = [str(one) for one in path.parents if str(one) != "."]
            if not rule.folders_only:
                places.append(str(path))
            if any(rule.pattern.fullmatch(place) for place in places):
                found = not rule.takes_back
        return found

    return is_ignored


def read_ignored(root: Path) -> Callable[[PurePosixPath], bool]:
    try:
        return ignored_by((root / ".dbtignore").read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError):
        return lambda _: False


def _rules(text: str) -> Iterator[_Rule]:
    for line in text.splitlines():
        written = line.strip()
        if not written or written.startswith("#"):
            continue
        takes_back = written.startswith("!")
        bare = written.removeprefix("!")
        inside = bare.strip("/")
        anchored = bare.startswith("/") or "/" in inside
        pattern = ("" if anchored else "(?:.*/)?") + _translated(inside)
        yield _Rule(re.compile(pattern, re.DOTALL), bare.endswith("/"), takes_back)


def _translated(pattern: str) -> str:
    pieces: list[str] = []
    for piece in re.findall(r"\*\*/|/\*\*$|\*+|\?|\[[^\]]*\]|\\.|.", pattern):
        if piece == "**/":
            pieces.append("(?:.*/)?")
        elif piece == "/**":
            pieces.append("/.*")
        elif piece.startswith("*"):
            pieces.append("[^/]*")
        elif piece == "?":
            pieces.append("[^/]")
        elif piece.startswith("["):
            pieces.append("[" + piece[1:-1].replace("\\", "\\\\").replace("!", "^", piece[1:2] == "!") + "]")
        else:
            pieces.append(re.escape(piece[-1]))
    return "".join(pieces)
