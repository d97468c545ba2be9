"""Writes values as YAML, and the header of a model."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Any

_PLAIN = re.compile(r"[A-Za-z_]\w*(?:[ ./-]\w+)*")
_WORDS = frozenset(["null", "true", "false", "yes", "no", "on", "off", "y", "n"])
_WIDTH = 110


def flow(value: object) -> str:
    """A value as YAML in one line."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float | date | datetime):
        return str(value)
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{flow(str(key))}: {flow(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list | tuple | set | frozenset):
        return "[" + ", ".join(flow(one) for one in value) + "]"
    text = str(value)
    if _PLAIN.fullmatch(text) and text.lower() not in _WORDS and len(text) < 200:
        return text
    return (
        '"'
        + "".join(_ESCAPES.get(c, c) if c.isprintable() or c in _ESCAPES else f"\\u{ord(c):04x}" for c in text)
        + '"'
    )


_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"}


def block(value: Mapping[str, Any], indent: int = 0) -> list[str]:
    """A mapping as lines of YAML; what is in a mapping below it stands in one line where that is short."""
    lines: list[str] = []
    space = " " * indent
    for key, one in value.items():
        short = flow(one)
        if (
            isinstance(one, Mapping)
            and one
            and (len(short) + indent > 100 or any(isinstance(x, Mapping) for x in one.values()))
        ):
            lines.append(f"{space}{flow(str(key))}:")
            lines += block(one, indent + 2)
        elif isinstance(one, list | tuple) and len(short) + indent > 100:
            lines.append(f"{space}{flow(str(key))}:")
            lines += [f"{space}  - {flow(item)}" for item in one]
        else:
            lines.append(f"{space}{flow(str(key))}: {short}")
    return lines


def header(
    description: str, directives: Mapping[str, Any], checks: Sequence[Mapping[str, Any]], columns: Mapping[str, Any]
) -> str:
    """The comment lines above a query, ending with an empty line; nothing when there is nothing to say."""
    lines = [*_description(description)]
    for name, value in directives.items():
        lines += _directive(name, value)
    if checks:
        lines.append("-- @checks:")
        for check in checks:
            ((kind, said),) = check.items()
            lines.append(f"--   - {kind}: {flow(said)}")
    if columns:
        lines.append("-- @columns:")
        for column, said in columns.items():
            lines.append(f"--   {flow(column)}: {flow(said)}")
    return "".join(f"{line}\n" for line in lines) + ("\n" if lines else "")


def _directive(name: str, value: object) -> Iterable[str]:
    if isinstance(value, list | tuple) and len(flow(value)) > _WIDTH:
        return [f"-- @{name}:", *(f"--   - {flow(one)}" for one in value)]
    return [f"-- @{name}: {flow(value)}"]


def _description(text: str) -> Iterable[str]:
    lines = text.strip().splitlines()
    if not lines:
        return []
    prose = len(lines) == 1 and "@" not in text and not re.match(r"\s*[-*#=>|]|\S+:(\s|$)", text) and "--" not in text
    if prose:
        return [
            f"-- {line}" for line in textwrap.wrap(lines[0], _WIDTH, break_long_words=False, break_on_hyphens=False)
        ]
    return ["-- @description: |", *(f"--   {line.rstrip()}" if line.strip() else "--" for line in lines)]
