"""How a CSV file is written, as sources and seeds say it."""

from __future__ import annotations

from sqlflow.project.values import Given


def one_character(given: Given) -> str | None:
    """What stands between the values of a line."""
    if isinstance(given.value, str) and len(given.value) == 1:
        return given.value
    given.expected("one character", 'such as ";" or "\\t", in double quotes')
    return None


def texts(given: Given) -> tuple[str, ...]:
    """One text or several; they stand for NULL."""
    found: list[str] = []
    for item in given.one_or_more():
        if isinstance(item.value, str):
            found.append(item.value)
        else:
            item.expected("text", "put it in quotes")
    return tuple(found)
