"""What is wrong with a project, as values that are collected and shown together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from enum import StrEnum

from msgspec import Struct

from sqlflow.core.source import Span


class Severity(StrEnum):
    ERROR = "error"
    WARNING = "warning"


class Note(Struct, frozen=True):
    """A second place that belongs to a problem, with what it has to say."""

    message: str
    span: Span | None = None


class Diagnostic(Struct, frozen=True):
    """One problem: what is wrong, where, and what to do about it.

    `code` names a page in `docs/hints/`, shown by `sqlflow explain CODE`.
    """

    code: str
    message: str
    span: Span | None = None
    hint: str | None = None
    severity: Severity = Severity.ERROR
    notes: tuple[Note, ...] = ()


class ProjectError(Exception):
    """The project is wrong; carries every problem that was found."""

    def __init__(self, diagnostics: Sequence[Diagnostic]) -> None:
        super().__init__("; ".join(f"{d.code}: {d.message}" for d in diagnostics))
        self.diagnostics = tuple(diagnostics)


def one_problem(code: str, message: str, span: Span | None = None, hint: str | None = None) -> ProjectError:
    """A `ProjectError` for the cases where nothing else can be found out any more."""
    return ProjectError([Diagnostic(code, message, span, hint)])


def stop_on_errors(diagnostics: Iterable[Diagnostic]) -> None:
    """Raise a `ProjectError` with all diagnostics if one of them is an error."""
    found = list(diagnostics)
    if any(d.severity is Severity.ERROR for d in found):
        raise ProjectError(found)


def did_you_mean(word: str, known: Iterable[str]) -> str | None:
    """A hint that names the nearest known word, or None when nothing is near.

    >>> did_you_mean("mdoe", ["mode", "name"])
    'did you mean `mode`?'
    """
    folded = {name.lower(): name for name in known}
    near = get_close_matches(word.lower(), folded, n=2, cutoff=0.6)
    if not near:
        return None
    return "did you mean " + " or ".join(f"`{folded[name]}`" for name in near) + "?"
