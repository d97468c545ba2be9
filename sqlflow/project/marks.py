"""The `@words` in comments: which are meant as checks or directives, and which are prose."""

from __future__ import annotations

import re
from difflib import get_close_matches

from sqlflow.core.diagnostics import Diagnostic, Severity
from sqlflow.core.source import Span
from sqlflow.project.directives import DIRECTIVES, unknown_directive_hint
from sqlflow.quality.kinds import CHECKS, near_check

# Not in an address, a path or a quotation: `a@b.c`, `https://x.y/@z`, "`@unique`".
WORD = re.compile(r"""(?<![\w.'"`/<:@+%$&=-])@([^\W\d][\w-]*)(\()?""")
_PROSE = frozenset(
    [
        "todo",
        "fixme",
        "hack",
        "xxx",
        "note",
        "nb",
        "see",
        "author",
        "authors",
        "since",
        "example",
        "examples",
        "deprecated",
        "param",
        "params",
        "return",
        "returns",
        "throws",
        "link",
        "license",
        "copyright",
        "created",
        "modified",
        "updated",
    ]
)
# What stands around a variable of another SQL: `SET @x`, `day >= @x`, `f(@x`, `@x = 1`.
_BEFORE_VARIABLE = re.compile(
    r"(?:[=<>+*/,(|-]|\b(?:declare|set|exec|execute|and|or|not|between|like|in|limit|top|into|select|values))\s*$",
    re.IGNORECASE,
)
# What may stand in a line in front of an `@word` that is no prose: others.
_OTHER_WORDS = re.compile(r"[\s*-]*(?:@[\w-]+(?:\([^)]*\))?[\s,]*)*")
_BEHIND_VARIABLE = re.compile(r"\s*(?:[:+*/-]?=|[<>])")


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
    hint = "write it behind a column of the SELECT that makes the result, or on a line of its own directly above it"
    near = None if word in CHECKS else near_check(word)
    return Diagnostic(
        "misplaced-check",
        f"`@{word}` stands in a comment that belongs to no column of the result",
        span,
        hint if near is None else f"{near.replace('`', '`@', 1)} {hint}",
    )


def misplaced_directive(match: re.Match[str], text: str, span: Span) -> Diagnostic | None:
    """The problem of a directive, or of something like it, behind the beginning of the query."""
    name = directive_of(match, text)
    return None if name is None else _directive_behind(match[1], name, span)


def directive_as_tag(match: re.Match[str], text: str, span: Span) -> Diagnostic | None:
    """The problem of an `@word` without a colon that is called like a directive; in the midst of prose a warning. None where it is a
    variable of another SQL."""
    word = match[1]
    name = word.replace("-", "_").lower()
    if name not in DIRECTIVES or match[2] or _BEHIND_VARIABLE.match(text, match.end()):
        return None
    if _OTHER_WORDS.fullmatch(text[: match.start()].rpartition("\n")[2]):
        return _directive_behind(word, name, span)
    if _is_variable(match, text):
        return None
    message = f"the directive `@{word}` stands in a comment behind the beginning of the query, where it does nothing"
    hint = f"write `-- @{name}: ...` at the top of the file, or leave the `@` out"
    return Diagnostic("misplaced-directive", message, span, hint, Severity.WARNING)


def belonging_to_nothing(match: re.Match[str], text: str, span: Span) -> Diagnostic | None:
    """The problem of an `@word` in a comment that belongs to no column; None where it is prose."""
    if (problem := misplaced_directive(match, text, span)) is not None:
        return problem
    if is_check(match):
        return misplaced_check(match[1], span)
    if (problem := directive_as_tag(match, text, span)) is not None:
        return problem
    near = near_directive(match[1]) if not text[: match.start()].strip(" \t\n*-") else None
    return _directive_behind(match[1], near, span) if near is not None else stray_tag(match, text, span)


def stray_tag(match: re.Match[str], text: str, span: Span) -> Diagnostic | None:
    """The warning about an `@word` that is neither a check nor a directive and belongs to no column; None where it is
    prose, or a variable of another SQL."""
    if is_prose(match[1]) or _is_variable(match, text):
        return None
    message = f"the tag `@{match[1]}` belongs to no column of the result, so it does nothing"
    hint = "write it behind a column, or leave the `@` out"
    return Diagnostic("misplaced-check", message, span, hint, Severity.WARNING)


def without_effect(match: re.Match[str], text: str, span: Span) -> Diagnostic | None:
    """The warning about an `@word` in a comment of macros/, where none means anything; None where it is prose."""
    if (problem := belonging_to_nothing(match, text, span)) is None:
        return None
    message = f"`@{match[1]}` stands in a file of macros, where it does nothing"
    hint = "checks and directives belong to models: write it there, or leave the `@` out"
    return Diagnostic(problem.code, message, span, hint, Severity.WARNING)


def _is_variable(match: re.Match[str], text: str) -> bool:
    before = text[: match.start()].rpartition("\n")[2]
    return bool(_BEFORE_VARIABLE.search(before) or _BEHIND_VARIABLE.match(text, match.end()))


def _directive_behind(word: str, name: str, span: Span) -> Diagnostic:
    if name == word.replace("-", "_"):
        message = f"the directive `@{name}` stands behind the beginning of the query"
        return Diagnostic("misplaced-directive", message, span, "move it to the top of the file")
    return Diagnostic("unknown-directive", f"there is no directive `@{word}`", span, unknown_directive_hint(word))
