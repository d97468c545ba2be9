"""Replacing tokens of a SQL text at their places."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum

from msgspec import Struct


class Mark(Enum):
    """What begins or ends in a text at a place: what a call of a macro became, and an argument in it."""

    CALL = "call"
    CALL_END = "call end"
    ARGUMENT = "argument"
    ARGUMENT_END = "argument end"


Parts = tuple[str | int | Mark, ...]
"""Text with holes: a number stands for an argument of a macro."""


class Replacement(Struct, frozen=True):
    """`parts` in place of the characters `[start, end)`."""

    start: int
    end: int
    parts: Parts


def replaced(text: str, start: int, end: int, replacements: Iterable[Replacement]) -> Parts:
    """The characters `[start, end)` of a text with the replacements made, which come in order."""
    parts: list[str | int | Mark] = []
    for replacement in replacements:
        parts.append(text[start : replacement.start])
        parts.extend(replacement.parts)
        start = replacement.end
    parts.append(text[start:end])
    return _joined(parts)


def joined_text(parts: Parts) -> str:
    """The text of parts that have no holes."""
    return "".join(part for part in parts if isinstance(part, str))


def with_arguments(parts: Parts, arguments: list[Parts]) -> Parts:
    """The parts with each hole filled by its argument, in parentheses."""
    filled: list[str | int | Mark] = []
    for part in parts:
        if isinstance(part, int):
            filled += (Mark.ARGUMENT, "(", *arguments[part], ")", Mark.ARGUMENT_END)
        else:
            filled.append(part)
    return _joined(filled)


def _joined(parts: Iterable[str | int | Mark]) -> Parts:
    """Neighbouring texts made one."""
    result: list[str | int | Mark] = []
    run: list[str] = []
    for part in parts:
        if isinstance(part, str):
            run.append(part)
            continue
        if run:
            result.append("".join(run))
            run = []
        result.append(part)
    if run:
        result.append("".join(run))
    return tuple(result)
