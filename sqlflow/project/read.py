"""All files of a project -> models, seeds and sources; what is in the cache is not read again."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from glob import glob
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, TypeVar

from sqlflow.core.cache import Cache, NoCache
from sqlflow.core.codec import decode, encode
from sqlflow.core.config import Config
from sqlflow.core.diagnostics import Diagnostic, Note
from sqlflow.core.model import Model, Project, Seed, Source
from sqlflow.core.names import TableName
from sqlflow.core.source import SourceFile, Span
from sqlflow.project.discover import discover, inside, read_text
from sqlflow.project.names import table_of

if TYPE_CHECKING:
    from sqlflow.project.reader import Reader

T = TypeVar("T")


def read_project(config: Config, cache: Cache | None = None, version: str = "") -> tuple[Project, list[Diagnostic]]:
    """Everything in the project's files, and every problem found in them, both in the order of their places.

    `cache` keeps what was read without a problem, by all that decides how it is read.
    """
    problems: list[Diagnostic] = []
    files = discover(config.root, config.allow_outside_paths, problems)

    def texts(paths: tuple[PurePosixPath, ...]) -> tuple[SourceFile, ...]:
        found = (read_text(config.root, path, problems) for path in paths)
        return tuple(file for file in found if file is not None)

    macros, declared, described = texts(files.macros), texts(files.sources), texts(files.seed_settings)
    work = _Work(config, macros, cache or NoCache(), version, problems)
    outside = work.outside(declared, files.seeds, described)
    models: list[Model] = []
    disabled: list[tuple[TableName, str]] = []
    named: list[tuple[TableName, str, Span]] = [
        (source.name, f"source in `{source.span.path}`", source.span) for source in outside.sources
    ]
    named += [(s.name, f"seed `{s.path}`", s.span or Span(PurePosixPath(s.path), 1, 1)) for s in outside.seeds]
    for file in texts(files.models):
        found = work.model(file)
        if found is None:
            disabled.append((table_of(file.path, config.default_schema), str(file.path)))
            continue
        named.append((found.name, f"model `{file.path}`", found.place))
        models += [found.model] if found.model is not None else []
    _refuse_duplicates(named, problems)
    sources = {source.name: source for source in reversed(outside.sources)}
    project = Project(tuple(models), sources, {seed.name: seed for seed in outside.seeds}, tuple(disabled))
    return project, sorted(problems, key=_place)


def read_tests(config: Config) -> tuple[tuple[Model, ...], list[Diagnostic]]:
    """The queries in tests/ that must return no rows, with variables and macros put in, and every problem in them."""
    from sqlflow.project.reader import Reader

    problems: list[Diagnostic] = []
    files = discover(config.root, config.allow_outside_paths, problems)
    macros = [read_text(config.root, path, problems) for path in files.macros]
    reader = Reader(config, [file for file in macros if file is not None], problems)
    found: list[Model] = []
    for path in files.tests:
        file = read_text(config.root, path, problems)
        read = reader.model(file, problems) if file is not None else None
        if read is not None and read[1] is not None:
            found.append(read[1])
    return tuple(found), sorted(problems, key=_place)


@dataclass(frozen=True, slots=True)
class _Outside:
    """What the project declares and does not compute."""

    sources: tuple[Source, ...] = ()
    seeds: tuple[Seed, ...] = ()


@dataclass(frozen=True, slots=True)
class _Found:
    """A model by its name, and the place that gives the name; no model if its query could not be read."""

    name: TableName
    model: Model | None
    place: Span


class _Work:
    """Reads what the cache does not have, and keeps what was read without a problem."""

    def __init__(
        self, config: Config, macros: Sequence[SourceFile], cache: Cache, version: str, problems: list[Diagnostic]
    ) -> None:
        self._config = config
        self._macros = macros
        self._cache = cache
        self._problems = problems
        self._settings = _hash(version, config.file.text, repr(sorted(config.variables.items())), *_parts(macros))
        self._reader: Reader | None = None

    def _opened(self) -> Reader:
        """The reader, made when it is first needed: it brings the SQL tokenizer with it."""
        if self._reader is None:
            from sqlflow.project.reader import Reader

            self._reader = Reader(self._config, self._macros, self._problems)
        return self._reader

    def outside(
        self, declared: Sequence[SourceFile], seeds: Sequence[PurePosixPath], described: Sequence[SourceFile]
    ) -> _Outside:
        key = "outside:" + _hash(self._settings, *_parts(declared), *map(str, seeds), "|", *_parts(described))
        kept = self._kept(key, _Outside)
        if kept is not None and self._still_there(kept):
            return kept
        before = len(self._problems)
        reader = self._opened()
        found = _Outside(reader.sources(declared, self._problems), reader.seeds(seeds, described, self._problems))
        if len(self._problems) == before:
            self._cache.put(key, encode(found).encode())
        return found

    def _still_there(self, kept: _Outside) -> bool:
        """Whether the files of all sources exist and lie in the project, which no text in the project can tell."""
        for source in kept.sources:
            if source.path is None:
                continue
            places = [Path(place) for place in glob(str(self._config.root / source.path), recursive=True)]
            if not places:
                return False
            if not self._config.allow_outside_paths and not all(inside(self._config.root, place) for place in places):
                return False
        return True

    def model(self, file: SourceFile) -> _Found | None:
        """What is in a model's file; None if it is switched off."""
        key = "model:" + _hash(self._settings, str(file.path), file.text)
        kept = self._kept(key, _Found)
        if kept is not None:
            return kept
        reader = self._opened()
        before = len(self._problems)
        read = reader.model(file, self._problems)
        if read is None:
            return None
        found = _Found(*read)
        if found.model is not None and len(self._problems) == before and _plain(found.model):
            self._cache.put(key, encode(found).encode())
        return found

    def _kept(self, key: str, kind: type[T]) -> T | None:
        found = self._cache.get(key)
        if found is None:
            return None
        try:
            return decode(found, kind)
        except ValueError:
            return None


def _plain(model: Model) -> bool:
    """Whether JSON keeps the values of a model's directives: it knows no dates."""
    header = model.header
    values = [value for check in header.checks for value in check.values]
    values += list(header.deleted.values) if header.deleted is not None else []
    return all(value is None or isinstance(value, bool | int | float | str) for value in values)


def _parts(files: Sequence[SourceFile]) -> list[str]:
    return [part for file in files for part in (str(file.path), file.text)]


def _hash(*parts: str) -> str:
    return hashlib.blake2b("\x1f".join(parts).encode(), digest_size=16).hexdigest()


def _place(problem: Diagnostic) -> tuple[tuple[str, ...], int, int]:
    span = problem.span
    return ((), 0, 0) if span is None else (span.path.parts, span.line, span.column)


def _refuse_duplicates(named: list[tuple[TableName, str, Span]], problems: list[Diagnostic]) -> None:
    first: dict[TableName, tuple[str, Span]] = {}
    for name, what, span in named:
        other = first.setdefault(name, (what, span))
        if other == (what, span):
            continue
        problems.append(
            Diagnostic(
                "duplicate-name",
                f"`{name}` is both a {other[0]} and a {what}",
                span,
                "rename one of them, or set `@name` or `@schema`",
                notes=(Note("the other one is here", other[1]),),
            )
        )
