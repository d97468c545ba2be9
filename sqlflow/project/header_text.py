"""The comment lines above a query: its directives, its description, and what only looks like a directive."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from msgspec import Struct

from sqlflow.core.diagnostics import Diagnostic, Severity
from sqlflow.core.source import SourceFile
from sqlflow.project.directives import DIRECTIVES
from sqlflow.project.marks import WORD, directive_of, is_check, is_prose, misplaced_check, near_directive, stray_tag
from sqlflow.project.tokens import end_of_block
from sqlflow.quality.kinds import CHECKS, near_check

_DIRECTIVE = re.compile(r"[ \t]*--[ \t]*@([^\W\d][\w-]*)[ \t]*:[ \t]*(.*)")
_NO_COLON = re.compile(r"[ \t]*--[ \t]*@([^\W\d][\w-]*)")
_CONTINUED = re.compile(r"[ \t]*--(?P<indent> {2,}| ?\t[ \t]*)(?=\S)|[ \t]*--[ \t]*$")
_UNINDENTED = re.compile(r"[ \t]*--[ \t]?(?=\S)(.*)")
_FREE = re.compile(r"[ \t]*--(.*)")
_SWITCHED_OFF = re.compile(r"[ \t]*--[ \t]+--")
_ITEM = re.compile(r"-(?: +.*)?")
_ENTRY = re.compile(r"""(?:[\w-]+|"[^"]+"|'[^']+'):(?:[ \t].*|$)""")
_ITEM_OF_CHECKS = re.compile(r"[ \t]*--[ \t]*-[ \t]+([\w-]+):[ \t]*(.*)")
_WRAPPED_AT = 80


class Line(Struct, frozen=True):
    """A line of a value: where the text after `--` begins and ends. `indent`: spaces that it lacks to be read as YAML."""

    start: int
    end: int
    indent: int = 0


class Written(Struct, frozen=True):
    """A directive as it stands in a file: its name at `[start, end)`, and the lines of its value."""

    name: str
    start: int
    end: int
    value: tuple[Line, ...]


class HeaderText(Struct, frozen=True):
    """The parts of a header. `comment`: its first paragraph of free text."""

    directives: tuple[Written, ...]
    comment: str


def split_header(file: SourceFile, problems: list[Diagnostic]) -> HeaderText:
    """The directives and the first free comment at the top of a file."""
    text = file.text
    directives: list[Written] = []
    paragraph: list[str] = []
    open_paragraph = True  # the first paragraph may still grow
    value: list[Line] | None = None  # lines of the directive that may still be continued
    pending: tuple[str, int, int] | None = None

    def close() -> None:
        nonlocal value, pending
        if pending is not None and value is not None:
            directives.append(Written(*pending, tuple(value)))
        value = pending = None

    for kind, start, end in _leading_lines(text):
        line = text[start:end]
        if kind == "comment" and (match := _DIRECTIVE.fullmatch(line)) and not is_prose(match[1]):
            close()
            open_paragraph = open_paragraph and not paragraph
            pending = (match[1], start + match.start(1) - 1, start + match.end(1))
            value = [Line(start + match.start(2), end)]
            continue
        if kind == "comment" and value is not None and pending is not None:
            if _CONTINUED.match(line):
                value.append(Line(start + line.index("--") + 2, end))
                continue
            if (match := _UNINDENTED.fullmatch(line)) and not match[1].startswith("@"):
                indent = _indent_of(match[1], pending[0], value, text)
                if indent is not None:
                    value.append(Line(start + match.start(1), end, indent))
                    continue
                if _ITEM.fullmatch(match[1]):
                    span = file.span(start + match.start(1), end)
                    message = f"this list item belongs to no directive: `@{pending[0]}` has its value already"
                    problems.append(
                        Diagnostic(
                            "malformed-directive",
                            message,
                            span,
                            "write the whole value as a list, or leave the dash out",
                        )
                    )
                    continue
        close()
        if _malformed(file, kind, start, end, problems) or not open_paragraph:
            continue
        free = _free_text(kind, line)
        if free:
            paragraph.append(free)
        elif paragraph:
            open_paragraph = False
        if kind == "block" and paragraph:
            open_paragraph = False
    close()
    return HeaderText(tuple(directives), "\n".join(paragraph))


def _indent_of(text: str, directive: str, value: Sequence[Line], source: str) -> int | None:
    """The indentation with which an unindented comment line goes on with a value; None when it is free text.

    Formatters take the indentation of comments away, and wrap long ones.
    """
    known = DIRECTIVES.get(directive)
    said = [source[line.start : line.end].strip() for line in value]
    filled = [place for place, one in enumerate(said) if one]
    if known is None:
        return None
    if not filled:
        return 0 if _ITEM.fullmatch(text) or _ENTRY.match(text) else None
    first, last = filled[0], filled[-1]
    directly = last == len(said) - 1
    base = value[first].indent + _leading_spaces(source, value[first]) if first > 0 else 0
    flat = last == 0 or value[last].start == _content(source, value[last])
    if said[0].startswith(("|", ">")):
        return 2 if flat else None
    if not (known.prose and said[0]) and _is_open("\n".join(said)):
        return base + 6
    if first > 0 and _ITEM.fullmatch(said[first]):
        if _ITEM.fullmatch(text):
            return base
        inside = any(_ITEM.fullmatch(one) and one.endswith(":") for one in said[_last_item(said) :][:1])
        if directly and inside and _ENTRY.match(text):
            return base + 4
    elif first > 0 and flat and directly and _ENTRY.match(text):
        return base
    beginning = source.rfind("\n", 0, value[last].start) + 1
    wrapped = value[last].end - beginning + 1 + len(text.split()[0]) > _WRAPPED_AT
    plain = not said[last].endswith(("]", "}", '"', "'", ":"))
    return base + 6 if directly and flat and wrapped and plain else None


def _last_item(said: Sequence[str]) -> int:
    return max(place for place, one in enumerate(said) if _ITEM.fullmatch(one))


def _content(source: str, line: Line) -> int:
    """Where the text of a line begins, without white space."""
    return line.end - len(source[line.start : line.end].lstrip())


def _leading_spaces(source: str, line: Line) -> int:
    return _content(source, line) - line.start


def _is_open(text: str) -> bool:
    """Whether a bracket or a string is still open at the end of a piece of YAML."""
    depth = 0
    quote = ""
    previous = " "
    for character in text:
        if quote:
            quote = "" if character == quote else quote
        elif character in "'\"" and previous in " \n[{,:(":
            quote = character
        elif character in "[{" and (depth or previous in " \n"):
            depth += 1
        elif character in "]}" and depth:
            depth -= 1
        previous = character
    return bool(quote or depth)


def _malformed(file: SourceFile, kind: str, start: int, end: int, problems: list[Diagnostic]) -> bool:
    """Report what looks like a directive or a check in free text. Whether there was something."""
    text = file.text[start:end]
    before = len(problems)
    if kind == "comment" and (match := _NO_COLON.match(text)):
        near = near_directive(match[1])
        if near is not None:
            span = file.span(start + match.start(1) - 1, start + match.end(1))
            rest = text[match.end(1) :].strip(" \t=") or "..."
            message = f"`@{match[1]}` has no colon behind it"
            problems.append(Diagnostic("malformed-directive", message, span, f"write `-- @{near}: {rest}`"))
            return True
    if kind == "comment" and (match := _ITEM_OF_CHECKS.match(text)) and _is_check_item(match[1], match[2]):
        span = file.span(start + match.start(1), end)
        message = "this list item belongs to no directive"
        problems.append(Diagnostic("malformed-directive", message, span, "write it directly below `-- @checks:`"))
    if _SWITCHED_OFF.match(text):
        return False
    begin = start + len(text) - len(text.lstrip(" \t/*-"))
    text = file.text[begin:end]
    for match in WORD.finditer(text):
        span = file.span(begin + match.start(), begin + match.start() + len(match[1]) + 1)
        if (name := directive_of(match, text)) is not None:
            where = "in a block comment" if kind == "block" else "not at the beginning of its comment"
            value = text[match.end() :].lstrip(" \t:").partition("\n")[0].removesuffix("*/").strip() or "..."
            message = f"the directive `@{match[1]}` stands {where}, so it is not read"
            hint = f"write `-- @{name}: {value}` on a line of its own"
            problems.append(Diagnostic("malformed-directive", message, span, hint))
        elif is_check(match):
            problems.append(misplaced_check(match[1], span))
        elif (stray := stray_tag(match, text, span)) is not None:
            problems.append(stray)
    return any(problem.severity is Severity.ERROR for problem in problems[before:])


def _is_check_item(word: str, rest: str) -> bool:
    """Whether a list item is one of `@checks`, and not prose."""
    if word in CHECKS and not CHECKS[word].everyday:
        return True
    return rest.startswith(("{", "[", '"')) and (word in CHECKS or near_check(word) is not None)


def _leading_lines(text: str) -> Iterator[tuple[str, int, int]]:
    """The lines above the query: kind (comment, block, blank) and where they stand, without line ends."""
    position = 0
    while position < len(text):
        newline = text.find("\n", position)
        after = len(text) if newline < 0 else newline + 1
        end = after if newline < 0 else newline
        if end > position and text[end - 1] == "\r":
            end -= 1
        line = text[position:end].strip()
        if line.startswith("/*"):
            close = end_of_block(text, text.index("/*", position))
            if close is None:
                return
            yield "block", position, close
            position = close
            continue
        if not line:
            yield "blank", position, end
        elif line.startswith("--"):
            yield "comment", position, end
        else:
            return
        position = after


def _free_text(kind: str, line: str) -> str:
    if kind == "block":
        inside = line.strip()[2:-2].split("\n")
        return "\n".join(part.strip().lstrip("*").strip() for part in inside).strip()
    match = _FREE.match(line)
    return match[1].strip() if kind == "comment" and match else ""
