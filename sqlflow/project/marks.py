"""The `@words` in comments: which are meant as checks or directives, and which are prose."""

from __future__ import annotations

import re
from difflib import get_close_matches

from sqlflow.core.diagnostics import Diagnostic
from sqlflow.core.source import Span
from sqlflow.project.directives import DIRECTIVES
from sqlflow.quality.kinds import CHECKS, near_check

# Not in an address, a path or a quotation: `a@b.c`, `https://x.y/@z`, "`@unique`".
WORD = re.compile(r"""(?<![\w.'"`/<:@+%$&=-])@([^\W\d][\w-]*)(\()?""")
_PROSE = frozenset(
    ["todo", "fixme", "hack", "xxx", "note", "nb", "see", "author", "since", "example", "deprecated", "param", "return"]
)


def is_prose(word: str) -> bool:
    """Whether an `@word` is one that people write for each other, in all languages."""
    return word.lower() in _PROSE


def is_check(match: re.Match[str]) -> bool:
    """Whether an `@word` is meant as a check."""
    word = match[1]
    if is_prose(word):
        return False
    return word in CHECKS or word == "pii" or match[2] is not None or near_check(word) is not None


def directive_of(match: re.Match[str], text: str) -> str | None:
    """The directive that an `@word:` in a text is meant as, rightly written or not."""
    if match[2] or not text[match.end() :].lstrip(" \t").startswith(":"):
        return None
    return near_directive(match[1])


def near_directive(word: str) -> str | None:
    """The directive that is called so, or nearly so."""
    name = word.replace("-", "_").lower()
    if is_prose(word):
        return None
    return name if name in DIRECTIVES else next(iter(get_close_matches(name, DIRECTIVES, n=1, cutoff=0.75)), None)


def misplaced_check(word: str, span: Span) -> Diagnostic:
    """The problem of a check in a comment that belongs to no column."""
    return Diagnostic(
        "misplaced-check",
        f"`@{word}` stands in a comment that belongs to no column of the result",
        span,
        "write it behind a column of the SELECT that makes the result, or on a line of its own directly above it",
    )
