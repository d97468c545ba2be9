"""Comments of a dbt model that SQLFlow would take for directives."""

from __future__ import annotations

import re
from collections.abc import Sequence

_PART = re.compile(
    r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|`[^`]*`|\$(\w*)\$.*?\$\1\$|(?P<comment>/\*.*?\*/|--[^\n]*)""", re.DOTALL
)
_DIRECTIVE = re.compile(r"^((?:--|/\*)?[ \t*-]*)@(?=([^\W\d][\w-]*))", re.MULTILINE)


def without_directives(sql: str) -> tuple[str, Sequence[str]]:
    """A query whose comments say nothing to SQLFlow, and the words that would have.

    >>> without_directives("-- @mode: view\\nselect '-- @key' as a -- by me@home")
    ("-- (at) mode: view\\nselect '-- @key' as a -- by me@home", ['mode'])
    """
    words: list[str] = []

    def plain(comment: str) -> str:
        words.extend(match[2] for match in _DIRECTIVE.finditer(comment))
        return _DIRECTIVE.sub(r"\1(at) ", comment)

    made = _PART.sub(lambda match: plain(match[0]) if match["comment"] else match[0], sql)
    return made, words
