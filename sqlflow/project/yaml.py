"""YAML with positions: plain values, and where in the file each of them stands.

The dialect is YAML 1.2's: `on`, `yes` and `010` are text, not a boolean and a number. Only tags that mean plain
data are read. Nothing is built recursively by the YAML library, so deep or self-referring input cannot hurt.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

import yaml
from msgspec import Struct

from sqlflow.core.diagnostics import Diagnostic, Note
from sqlflow.core.source import Span
from sqlflow.core.text import MappedText

Path = tuple[str | int, ...]

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_DEEPEST = 40
_MOST_VALUES = 200_000
_STANDARD = "tag:yaml.org,2002:"
_PLAIN_TAGS = frozenset(_STANDARD + kind for kind in ("str", "int", "float", "bool", "null", "seq", "map", "timestamp"))
_INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9]*)")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|(?:0|[1-9][0-9]*)(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_SPECIAL_FLOAT = re.compile(r"([-+]?)\.(?:(inf|Inf|INF)|nan|NaN|NAN)")
_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_DATETIME = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[-+]\d\d:?\d\d)?")
_SHORT_SCALAR = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_. -]*[A-Za-z0-9_.])?")
_SHORT_ITEM = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_SHORT_LIST = re.compile(rf"\[ *{_SHORT_ITEM.pattern}(?: *, *{_SHORT_ITEM.pattern})* *\]")
_WORDS: Mapping[str, object] = {
    "": None,
    "~": None,
    **dict.fromkeys(("null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}


class Yaml(Struct, frozen=True):
    """A value read from `text`, with the offsets of every value and of every key inside it, by path."""

    value: object
    text: MappedText
    values: Mapping[Path, tuple[int, int]]
    keys: Mapping[Path, tuple[int, int]]

    def span(self, path: Path = ()) -> Span:
        """Where the value at `path` stands, or the nearest thing around it."""
        while path not in self.values and path:
            path = path[:-1]
        return _span(self.text, *self.values.get(path, (0, 0)))

    def source(self, path: Path) -> str:
        """What is written for the value at `path`."""
        start, end = self.values.get(path, (0, 0))
        return self.text.text[start:end]

    def key_span(self, path: Path) -> Span:
        """Where the key that leads to `path` stands."""
        place = self.keys.get(path)
        return _span(self.text, *place) if place else self.span(path)


def load(text: MappedText, problems: list[Diagnostic]) -> Yaml | None:
    """The one document in `text`; None when something about it is wrong, which is then in `problems`."""
    builder = _Builder(text)
    try:
        value = builder.document(_LOADER(text.text))
    except _Wrong as wrong:
        problems.append(wrong.diagnostic)
        return None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        at = 0 if mark is None else mark.index
        what = error.problem or "not understood"
        problems.append(Diagnostic("yaml", f"not valid YAML: {what}", _span(text, at), _hint(what)))
        return None
    except (yaml.YAMLError, UnicodeError) as error:
        at = getattr(error, "position", 0)
        what = getattr(error, "reason", "it cannot be decoded")
        message = f"not valid YAML: {what}"
        problems.append(Diagnostic("yaml", message, _span(text, at if isinstance(at, int) else 0)))
        return None
    problems.extend(builder.problems)
    if builder.problems:
        return None
    return Yaml(value, text, builder.values, builder.keys)


def scalar(text: str) -> object:
    """What YAML makes of an unquoted word: text, number, boolean, date, timestamp or nothing."""
    if text in _WORDS:
        return _WORDS[text]
    first = text[0]
    if first.isdecimal() or first in "+-.":
        if _INTEGER.fullmatch(text) and len(text) < 1000:
            return int(text)
        if _FLOAT.fullmatch(text):
            return float(text)
        if match := _SPECIAL_FLOAT.fullmatch(text):
            return float(match[1] + "inf") if match[2] else float("nan")
        if _DATE.fullmatch(text):
            return date.fromisoformat(text)
        if _DATETIME.fullmatch(text):
            return datetime.fromisoformat(text)
    return text


def load_short(text: MappedText) -> Yaml | None:
    """The same as `load` for the most common values, `word` and `[word, word]`; None for anything else.

    A project has tens of thousands of these, and the YAML library takes twenty times as long.
    """
    line = text.text
    try:
        if _SHORT_SCALAR.fullmatch(line):
            return Yaml(scalar(line), text, {(): (0, len(line))}, {})
        if not _SHORT_LIST.fullmatch(line):
            return None
        items: list[object] = []
        places: dict[Path, tuple[int, int]] = {(): (0, len(line))}
        for match in _SHORT_ITEM.finditer(line):
            places[(len(items),)] = match.span()
            items.append(scalar(match[0]))
        return Yaml(items, text, places, {})
    except ValueError:
        return None


class _Wrong(Exception):
    def __init__(self, diagnostic: Diagnostic) -> None:
        super().__init__(diagnostic.message)
        self.diagnostic = diagnostic


class _Builder:
    """Makes values from parser events. `sizes`: how many values an anchored value holds, aliases counted out."""

    def __init__(self, text: MappedText) -> None:
        self.text = text
        self.values: dict[Path, tuple[int, int]] = {}
        self.keys: dict[Path, tuple[int, int]] = {}
        self.problems: list[Diagnostic] = []
        self.anchors: dict[str, tuple[object, int]] = {}
        self.count = 0

    def document(self, loader: Any) -> object:
        try:
            loader.get_event()
            event = loader.get_event()
            if isinstance(event, yaml.StreamEndEvent):
                return None
            value = self.build(loader, loader.get_event(), (), 0)
            loader.get_event()
            following = loader.get_event()
            if not isinstance(following, yaml.StreamEndEvent):
                raise self.wrong(following, "there is more than one YAML document", "remove the line `---`")
            return value
        finally:
            loader.dispose()

    def build(self, loader: Any, event: Any, path: Path, depth: int) -> object:
        self.values[path] = _place(event, event)
        self.count += 1
        if depth > _DEEPEST:
            raise self.wrong(event, f"values are nested more than {_DEEPEST} levels deep")
        if self.count > _MOST_VALUES:
            raise self.wrong(event, f"there are more than {_MOST_VALUES} values")
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in self.anchors:
                raise self.wrong(event, f"there is no complete anchor `&{event.anchor}` before this")
            value, size = self.anchors[event.anchor]
            self.count += size
            return value
        if event.tag not in (None, "!") and event.tag not in _PLAIN_TAGS:
            name = event.tag.replace(_STANDARD, "!!")
            raise self.wrong(event, f"the tag `{name}` is not allowed", "write the plain value")
        before = self.count
        if isinstance(event, yaml.ScalarEvent):
            value = self.scalar(event)
        elif isinstance(event, yaml.SequenceStartEvent):
            value = self.sequence(loader, event, path, depth)
        else:
            value = self.mapping(loader, event, path, depth)
        if event.anchor is not None:
            self.anchors[event.anchor] = (value, self.count - before)
        return value

    def scalar(self, event: Any) -> object:
        text: str = event.value
        if event.tag in ("!", _STANDARD + "str") or (event.tag is None and not event.implicit[0]):
            return text
        try:
            return scalar(text)
        except ValueError as error:
            raise self.wrong(event, f"`{text}` is not a date or time: {error}") from None

    def sequence(self, loader: Any, begin: Any, path: Path, depth: int) -> list[object]:
        items: list[object] = []
        while not isinstance(event := loader.get_event(), yaml.SequenceEndEvent):
            items.append(self.build(loader, event, (*path, len(items)), depth + 1))
        self.values[path] = _place(begin, event)
        return items

    def mapping(self, loader: Any, begin: Any, path: Path, depth: int) -> dict[str, object]:
        found: dict[str, object] = {}
        while not isinstance(event := loader.get_event(), yaml.MappingEndEvent):
            if not isinstance(event, yaml.ScalarEvent):
                raise self.wrong(event, "a key must be plain text")
            key = event.value
            place = _place(event, event)
            inside = (*path, key)
            if key in found:
                self.twice(key, place, self.keys[inside])
                self.build(loader, loader.get_event(), inside, depth + 1)
                continue
            self.keys[inside] = place
            found[key] = self.build(loader, loader.get_event(), inside, depth + 1)
        self.values[path] = _place(begin, event)
        return found

    def twice(self, key: str, place: tuple[int, int], first: tuple[int, int]) -> None:
        note = Note("first here", _span(self.text, *first))
        span = _span(self.text, *place)
        message = f"the key `{key}` is given twice"
        self.problems.append(Diagnostic("yaml", message, span, "keep one of them", notes=(note,)))

    def wrong(self, event: Any, message: str, hint: str | None = None) -> _Wrong:
        span = _span(self.text, *_place(event, event))
        return _Wrong(Diagnostic("yaml", message, span, hint))


def _place(begin: Any, end: Any) -> tuple[int, int]:
    """The offsets at which an event, or what two events enclose, begins and ends."""
    return begin.start_mark.index, end.end_mark.index


def _span(text: MappedText, start: int, end: int | None = None) -> Span:
    """The part of the first line of `[start, end)`, without white space at its end."""
    if end is None or end <= start:
        return text.span(start)
    line = text.text[start:end].split("\n", 1)[0].rstrip()
    return text.span(start, start + max(1, len(line)))


def _hint(problem: str) -> str | None:
    if "mapping values are not allowed" in problem:
        return "put text that contains `: ` in quotes"
    if "cannot start any token" in problem or "tab character" in problem:
        return "put the value in quotes, and indent with spaces, not tabs"
    if "','" in problem or "block end" in problem:
        return "check brackets, quotes and indentation"
    return None
