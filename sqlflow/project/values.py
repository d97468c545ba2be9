"""Typed reading of values that somebody wrote in YAML, with a problem for each that does not fit."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import date

from msgspec import Struct

from sqlflow.core.diagnostics import Diagnostic, did_you_mean
from sqlflow.core.intervals import Duration
from sqlflow.core.source import Span
from sqlflow.project.yaml import Path, Yaml


class FromEnvironment(str):
    """Text with `${NAME}` put in: it may be a secret, so no message shows it."""

    __slots__ = ()


class Given(Struct, frozen=True):
    """A value, what it is called in messages (`targets.prod.engine`, `@key`), and where it stands.

    Each method returns the value as one type. When it is of another, they add to `problems` and return None or
    nothing.
    """

    value: object
    label: str
    place: Yaml | Span
    problems: list[Diagnostic]
    path: Path = ()

    @property
    def span(self) -> Span:
        return self.place if isinstance(self.place, Span) else self.place.span(self.path)

    @property
    def key_span(self) -> Span:
        return self.place if isinstance(self.place, Span) else self.place.key_span(self.path)

    def fail(self, message: str, code: str = "wrong-type", hint: str | None = None, at_key: bool = False) -> None:
        """Add a problem about this value."""
        span = self.key_span if at_key else self.span
        self.problems.append(Diagnostic(code, f"{self.label}: {message}", span, hint))

    def expected(self, what: str, hint: str | None = None) -> None:
        self.fail(f"expected {what}, found {self.shown()}", hint=hint)

    def shown(self) -> str:
        """The value in words, for a message."""
        match self.value:
            case None:
                return "nothing"
            case list():
                return "a list"
            case dict():
                return "a mapping"
            case FromEnvironment():
                return "a value from the environment"
            case bool():
                return f"`{str(self.value).lower()}`"
            case int() | float():
                return f"the number `{self.value}`"
            case date():
                return f"the date `{self.value}`"
            case _:
                return f"`{self.value}`"

    def text(self) -> str | None:
        if isinstance(self.value, str) and self.value.strip():
            return self.value
        scalar = isinstance(self.value, int | float | date)
        self.expected("text", "put it in quotes" if scalar else None)
        return None

    def boolean(self) -> bool | None:
        if isinstance(self.value, bool):
            return self.value
        self.expected("`true` or `false`")
        return None

    def integer(self, least: int = 0) -> int | None:
        if isinstance(self.value, bool) or not isinstance(self.value, int):
            self.expected("a whole number")
            return None
        if self.value < least:
            self.expected(f"a number of at least {least}")
            return None
        return self.value

    def number(self) -> int | float | None:
        if isinstance(self.value, bool) or not isinstance(self.value, int | float):
            self.expected("a number")
            return None
        return self.value

    def duration(self) -> Duration | None:
        hint = "write a number and a unit, such as `3 days` or `2 hours`"
        if not isinstance(self.value, str):
            self.expected("a length of time", hint)
            return None
        try:
            return Duration.parse(self.value)
        except ValueError as error:
            self.fail(str(error), "invalid-value", hint)
            return None

    def choice(self, what: str, known: Collection[str]) -> str | None:
        """One of a few words."""
        if (word := self.text()) is None:
            return None
        if word in known:
            return word
        hint = did_you_mean(word, known) or "it is one of " + ", ".join(f"`{k}`" for k in known)
        self.fail(f"unknown {what} {self.shown()}", "invalid-value", hint)
        return None

    def items(self) -> list[Given]:
        """The items of a list."""
        if not isinstance(self.value, list):
            self.expected("a list")
            return []
        return [self.at(index, f"{self.label}[{index}]") for index in range(len(self.value))]

    def one_or_more(self) -> list[Given]:
        """The items of a list, or the value itself when it is no list."""
        return self.items() if isinstance(self.value, list) else [self]

    def names(self) -> tuple[str, ...]:
        """A name or a list of names, each kept once."""
        unique: dict[str, str] = {}
        for item in self.one_or_more():
            if (name := item.text()) is not None:
                unique.setdefault(name.strip().lower(), name.strip())
        if self.value == []:
            self.expected("one name or more")
        return tuple(unique.values())

    def entries(self) -> dict[str, Given]:
        """The values of a mapping, by key."""
        if not isinstance(self.value, dict):
            self.expected("a mapping")
            return {}
        dot = "" if not self.label else "."
        return {key: self.at(key, f"{self.label}{dot}{key}") for key in self.value}

    def fields(self, known: Iterable[str], required: Iterable[str] = ()) -> dict[str, Given]:
        """The values of a mapping whose keys are known; missing and unknown ones are problems."""
        names = list(known)
        entries = self.entries()
        for key in [key for key in entries if key not in names]:
            hint = did_you_mean(key, names) or "known here: " + ", ".join(f"`{n}`" for n in names)
            entries.pop(key).fail("unknown key", "unknown-key", hint, at_key=True)
        if isinstance(self.value, dict):
            for key in required:
                if key not in entries:
                    prefix = f"{self.label}: " if self.label else ""
                    message = f"{prefix}the key `{key}` is missing"
                    span = self.key_span if self.path else self.span
                    self.problems.append(Diagnostic("missing-key", message, span))
        return entries

    def at(self, key: str | int, label: str) -> Given:
        """The value under `key`."""
        inner = self.value[key] if isinstance(self.value, dict | list) else None  # type: ignore[index]
        return Given(inner, label, self.place, self.problems, (*self.path, key))


def root_of(yaml: Yaml, problems: list[Diagnostic], label: str = "") -> Given:
    """The whole of a document."""
    return Given(yaml.value, label, yaml, problems)
