"""All files of a project -> models, seeds and sources; what is in the cache is not read again."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from sqlflow.core.cache import Cache, NoCache
from sqlflow.core.checks import CheckSpec
from sqlflow.core.codec import decode, encode
from sqlflow.core.config import Config
from sqlflow.core.diagnostics import Diagnostic, Note, Severity
from sqlflow.core.known import KnownProject, MacroFile, Settings
from sqlflow.core.model import Model, Project, Seed, Source
from sqlflow.core.names import TableName
from sqlflow.core.paths import NO_FILES, named_by
from sqlflow.core.source import SourceFile, Span
from sqlflow.project.discover import discover, inside, made_out, read_text
from sqlflow.project.names import is_test, table_of

if TYPE_CHECKING:
    from sqlflow.project.reader import FileReader

T = TypeVar("T")


class Text(Struct, frozen=True):
    """A model's file and a hash of what is in it."""

    file: SourceFile
    digest: str


class Texts(Struct, frozen=True):
    """What is in the files of a project, before anything is made of it. `models`: by path, in the order of paths, and
    behind them the queries in tests/. `lost`: what can be made out of files that cannot be read."""

    models: Mapping[str, Text]
    macros: tuple[SourceFile, ...]
    declared: tuple[SourceFile, ...]
    seeds: tuple[PurePosixPath, ...]
    described: tuple[SourceFile, ...]
    problems: tuple[Diagnostic, ...]
    lost: tuple[SourceFile, ...] = ()


def read_texts(config: Config) -> Texts:
    """Every file of the project that decides what it computes."""
    problems: list[Diagnostic] = []
    files = discover(config.root, config.allow_outside_paths, problems)

    lost: list[SourceFile] = []

    def texts(paths: tuple[PurePosixPath, ...]) -> tuple[SourceFile, ...]:
        found: list[SourceFile] = []
        for path in paths:
            file = read_text(config.root, path, problems)
            (lost if file is None else found).append(file or made_out(config.root, path))
        return tuple(found)

    macros, declared, described = texts(files.macros), texts(files.sources), texts(files.seed_settings)
    models = {str(file.path): Text(file, _hash(file.text)) for file in texts((*files.models, *files.tests))}
    return Texts(models, macros, declared, files.seeds, described, tuple(problems), tuple(lost))


class Read(Struct, frozen=True):
    """Everything in the project's files, and every problem found in them, both in the order of their places. `warnings`: those of
    each model, by its file."""

    project: Project
    problems: list[Diagnostic]
    warnings: Mapping[str, tuple[Diagnostic, ...]]


def read_project(config: Config) -> tuple[Project, list[Diagnostic]]:
    """Everything in the project's files, and every problem found in them."""
    found = read_again(config, read_texts(config), NoCache(), "", None)
    return found.project, found.problems


def read_again(config: Config, texts: Texts, cache: Cache, version: str, known: KnownProject | None) -> Read:
    """Everything in the project's files, of which as little is read as possible.

    `cache` keeps what was read without an error, by all that decides how it is read. `known`: what is still as it was; its
    models are taken as they are.
    """
    problems = [*config.warnings, *texts.problems]
    work = _Work(config, texts, cache, version, problems)
    work.shared()
    outside = work.outside(texts.declared, texts.seeds, texts.described)
    models: list[Model] = []
    disabled: list[tuple[TableName, str]] = []
    unread: set[str] = set()
    warnings: dict[str, tuple[Diagnostic, ...]] = {}
    named = [(source.name, "source in", str(source.span.path), source.span) for source in outside.sources]
    named += [(s.name, "seed", s.path, s.span or Span(PurePosixPath(s.path), 1, 1)) for s in outside.seeds]
    for path, text in texts.models.items():
        same = known.models.get(path) if known is not None else None
        if same is not None:
            models.append(same.compiled.model)
            warnings[path] = same.said
            problems += same.said
            named.append((same.compiled.name, _what(text.file), path, same.compiled.model.place))
            continue
        switched_off = known is not None and known.disabled.get(path) == text.digest
        found = None if switched_off else work.model(text)
        if found is None:
            disabled.append((table_of(text.file.path, config.default_schema), path))
            continue
        named.append((found.name, _what(text.file), path, found.place))
        warnings[path] = found.warnings
        if found.model is None:
            unread.add(path)
        else:
            models.append(found.model)
    broken = [work.name(file) for file in texts.lost if file.path.parts[0] in ("models", "tests")]
    broken += [name for name, _, path, _ in named if path in unread]
    broken += _refuse_duplicates(named, problems)
    sources = {source.name: source for source in reversed(outside.sources)}
    seeds = {seed.name: seed for seed in outside.seeds}
    doubtful = _doubtful(texts, problems)
    project = Project(tuple(models), sources, seeds, tuple(disabled), tuple(sorted(set(broken))), doubtful)
    return Read(project, sorted(problems, key=_place), warnings)


def settings_of(config: Config, texts: Texts, version: str) -> Settings:
    """What decides how the files of a project are read, besides what is in them."""
    facts = (
        config.dialect, config.default_schema, config.timezone, config.allow_outside_paths, config.sandbox,
        sorted((folder, sorted(values.items())) for folder, values in config.defaults.items()),
    )  # fmt: skip
    macros = {str(file.path): MacroFile(_hash(file.text), _defined(file)) for file in texts.macros}
    variables = {name: _hash(type(value).__name__, repr(value)) for name, value in config.variables.items()}
    return Settings(_hash(version, repr(facts)), variables, macros)


def still_known(known: KnownProject, settings: Settings, config: Config, texts: Texts) -> KnownProject | None:
    """What of a known project was read under these settings: without the models in which a word stands that now means
    something else. None when the settings have changed for all."""
    before = known.settings
    if before == settings:
        return known
    if before.rest != settings.rest:
        return None
    words = {name.lower() for name, _ in before.variables.items() ^ settings.variables.items()}
    for path in before.macros.keys() | settings.macros.keys():
        old, new = before.macros.get(path), settings.macros.get(path)
        if old == new:
            continue
        for macro in (old, new):
            if macro is not None and macro.names is None:
                return None
            words |= set(macro.names or ()) if macro is not None else set()
    waiting = [(file.text.lower(), settings.macros[str(file.path)].names) for file in texts.macros]
    grown = True
    while grown:  # a macro that calls one of them means something else too
        grown = False
        for text, names in waiting:
            if any(word in text for word in words) and (names is None or not words.issuperset(names)):
                if names is None:
                    return None
                words |= set(names)
                grown = True
    defaults = repr(config.defaults).lower()
    if any(word in defaults for word in words):
        return None
    models = {}
    for path, model in known.models.items():
        text = texts.models[path].file.text.lower()
        if not any(word in text for word in words):
            models[path] = model
    return replace(known, models=models, disabled={})


_DEFINED = re.compile(
    r"\b(?:macro|function)\s+(?:if\s+not\s+exists\s+)?((?:\w+|\"[^\"]+\")(?:\s*\.\s*(?:\w+|\"[^\"]+\"))*)"
)
_DEFINING = re.compile(r"\b(?:macro|function)\b")


def _defined(file: SourceFile) -> tuple[str, ...] | None:
    return (file.path.stem.lower(),) if _is_own_check(file) else _macro_names(file.text)


def _is_own_check(file: SourceFile) -> bool:
    return file.path.parts[:2] == ("macros", "checks")


def _macro_names(text: str) -> tuple[str, ...] | None:
    """The macros that a file may define, told from its words; None where they cannot be told for sure."""
    folded = text.lower()
    found = _DEFINED.findall(folded)
    if len(found) != len(_DEFINING.findall(folded)) or '""' in folded:
        return None
    return tuple(sorted({_bare(name) for name in found}))


class _Outside(Struct, frozen=True):
    """What the project declares and does not compute."""

    sources: tuple[Source, ...] = ()
    seeds: tuple[Seed, ...] = ()


class _Found(Struct, frozen=True):
    """A model by its name, and the place that gives the name; no model if its query could not be read."""

    name: TableName
    model: Model | None
    place: Span
    warnings: tuple[Diagnostic, ...] = ()


class _Declared(Struct, frozen=True):
    """What a file of sources declares, or the seeds with their settings."""

    sources: tuple[Source, ...] = ()
    seeds: tuple[Seed, ...] = ()
    warnings: tuple[Diagnostic, ...] = ()


class _Work:
    """Reads what the cache does not have, and keeps what was read without an error."""

    def __init__(self, config: Config, texts: Texts, cache: Cache, version: str, problems: list[Diagnostic]) -> None:
        self._config = config
        self._macros = texts.macros
        self._cache = cache
        self._problems = problems
        settings = settings_of(config, texts, version)
        self._settings = _hash(
            settings.rest, repr(sorted(settings.variables.items())), repr(sorted(settings.macros.items()))
        )
        self._reader: FileReader | None = None
        self._wrong: list[Diagnostic] = []  # with what the reader is made of

    def _opened(self) -> FileReader:
        """The reader, made when it is first needed: it brings the SQL tokenizer with it."""
        if self._reader is None:
            from sqlflow.project.reader import FileReader

            self._reader = FileReader(self._config, self._macros, self._wrong)
        return self._reader

    def shared(self) -> None:
        """Tell what is wrong with macros and defaults, which all models share."""
        if not self._macros and not self._config.defaults:
            return
        key = "shared:" + self._settings
        kept = self._kept(key, tuple[Diagnostic, ...])
        if kept is None:
            self._opened()
            kept = (*self._wrong, *self._words())
            if _only_warnings(kept):
                self._cache.put(key, encode(kept).encode())
        self._problems += kept

    def _words(self) -> Iterator[Diagnostic]:
        """The words in comments of macros that do nothing."""
        for file in self._macros:
            if "@" in file.text and not _is_own_check(file):
                from sqlflow.project.macro_words import words_without_effect

                yield from words_without_effect(file, self._config.dialect)

    def outside(
        self, declared: Sequence[SourceFile], seeds: Sequence[PurePosixPath], described: Sequence[SourceFile]
    ) -> _Outside:
        return _Outside(
            tuple(source for file in declared for source in self._sources(file)), self._seeds(seeds, described)
        )

    def _sources(self, file: SourceFile) -> tuple[Source, ...]:
        """What one file declares."""
        key = "sources:" + _hash(self._settings, *_parts([file]))
        kept = self._kept(key, _Declared)
        if kept is not None and self._still_there(kept.sources):
            self._problems += kept.warnings
            return kept.sources
        wrong: list[Diagnostic] = []
        found = self._opened().sources([file], wrong)
        self._problems += wrong
        if _only_warnings(wrong) and all(_keeps(source.checks) for source in found):
            self._cache.put(key, encode(_Declared(sources=found, warnings=tuple(wrong))).encode())
        return found

    def _seeds(self, paths: Sequence[PurePosixPath], described: Sequence[SourceFile]) -> tuple[Seed, ...]:
        key = "seeds:" + _hash(self._settings, *map(str, paths), "|", *_parts(described))
        kept = self._kept(key, _Declared)
        if kept is not None:
            self._problems += kept.warnings
            return kept.seeds
        wrong: list[Diagnostic] = []
        found = self._opened().seeds(paths, described, wrong)
        self._problems += wrong
        if _only_warnings(wrong) and all(_keeps(seed.checks) for seed in found):
            self._cache.put(key, encode(_Declared(seeds=found, warnings=tuple(wrong))).encode())
        return found

    def _still_there(self, sources: Sequence[Source]) -> bool:
        """Whether the files of all sources exist and lie in the project, which no text in the project can tell."""
        for source in sources:
            if source.path is None:
                continue
            places = named_by(self._config.root, source.path)
            if not places:
                return False
            if not self._config.allow_outside_paths and not all(inside(self._config.root, place) for place in places):
                return False
        return True

    def model(self, text: Text) -> _Found | None:
        """What is in a model's file; None if it is switched off."""
        file = text.file
        key = "model:" + _hash(self._settings, str(file.path), text.digest)
        kept = self._kept(key, _Found)
        if kept is not None:
            self._problems += kept.warnings
            return kept
        wrong: list[Diagnostic] = []
        read = self._opened().model(file, wrong)
        self._problems += wrong
        if read is None:
            return None
        found = _Found(*read, tuple(problem for problem in wrong if problem.severity is Severity.WARNING))
        if found.model is not None and _only_warnings(wrong) and keeps_values(found.model):
            self._cache.put(key, encode(found).encode())
        return found

    def name(self, file: SourceFile) -> TableName:
        """What the model of a file is called, in which something is wrong that was told."""
        read = self._opened().model(file, [])
        return table_of(file.path, self._config.default_schema) if read is None else read[0]

    def _kept(self, key: str, kind: type[T]) -> T | None:
        found = self._cache.get(key)
        if found is None:
            return None
        try:
            return decode(found, kind)
        except ValueError:
            return None


def _only_warnings(problems: Iterable[Diagnostic]) -> bool:
    return all(problem.severity is Severity.WARNING for problem in problems)


def keeps_values(model: Model) -> bool:
    """Whether JSON keeps the values of a model's directives: it knows no dates."""
    header = model.header
    values = header.deleted.values if header.deleted is not None else ()
    return _keeps(header.checks) and all(map(_is_kept, values))


def _keeps(checks: Sequence[CheckSpec]) -> bool:
    return all(_is_kept(value) for check in checks for value in check.values)


def _is_kept(value: object) -> bool:
    return value is None or isinstance(value, bool | int | float | str)


def _parts(files: Sequence[SourceFile]) -> list[str]:
    return [part for file in files for part in (str(file.path), file.text)]


def _hash(*parts: str) -> str:
    return hashlib.blake2b("\x1f".join(parts).encode(), digest_size=16).hexdigest()


def _place(problem: Diagnostic) -> tuple[tuple[str, ...], int, int]:
    span = problem.span
    return ((), 0, 0) if span is None else (span.path.parts, span.line, span.column)


def _what(file: SourceFile) -> str:
    return "test" if is_test(file.path) else "model"


def _doubtful(texts: Texts, problems: Sequence[Diagnostic]) -> tuple[str, ...]:
    """Texts with something wrong in them that may give names: files of sources, and lines in the header of a model."""
    errors = [p for p in problems if p.severity is Severity.ERROR and p.code != NO_FILES]
    wrong = {p.span.path for p in errors if p.span is not None}
    files = [file for file in (*texts.declared, *texts.lost) if file.path in wrong and file.path.parts[0] == "sources"]
    return tuple(dict.fromkeys((*(file.text for file in files), *doubtful_lines(problems))))


def doubtful_lines(problems: Sequence[Diagnostic]) -> tuple[str, ...]:
    """Lines of headers with something wrong in them, which may give names: `-- @naem: other.name`."""
    lines = [p.span.text for p in problems if p.span is not None and p.span.text.lstrip().startswith("--")]
    lines += [f"seeds.{p.span.text}" for p in problems if p.span is not None and p.code == "unknown-seed"]
    return tuple(dict.fromkeys(lines))


def without_files(project: Project, problems: Sequence[Diagnostic]) -> dict[TableName, tuple[Diagnostic, ...]]:
    """The sources whose path no file matches, with what was told of that: the definition may be right, and the files late."""
    told = {problem.span: problem for problem in problems if problem.code == NO_FILES and problem.span is not None}
    places = [(source.name, source.spans.get("path")) for source in project.sources.values()]
    return {name: (told[place],) for name, place in places if place in told}


def broken_macros(texts: Texts, problems: Sequence[Diagnostic]) -> frozenset[str]:
    """The macros whose definition is wrong, and those that call one of them; in lower case."""
    found: set[str] = set()
    files = [file for file in (*texts.macros, *texts.lost) if file.path.parts[0] == "macros"]
    for file in files:
        wrong = [p for p in problems if p.severity is Severity.ERROR]
        spans = [(p.span.line, p.code) for p in wrong if p.span is not None and p.span.path == file.path]
        names = [(file.text.count("\n", 0, m.start()) + 1, _bare(m[1])) for m in _DEFINED.finditer(file.text.lower())]
        for line, code in spans:
            above = [name for at, name in names if at <= line]
            if not names:
                found |= set(re.findall(r"\w+", file.text.lower()))
            found |= {name for _, name in names} if code in _OF_THE_WHOLE_FILE or not above else {above[-1]}
    grown = bool(found)
    while grown:
        grown = False
        for file in files:
            for definition in _DEFINITION.split(file.text.lower())[1:]:
                match = _DEFINED.match(definition)
                name = _bare(match[1]) if match is not None else ""
                if name and name not in found and not found.isdisjoint(calls_of(definition)):
                    found.add(name)
                    grown = True
    return frozenset(found)


def calls_of(text: str) -> set[str]:
    """The words of a text in lower case that may be called as functions."""
    return set(_CALLED.findall(text))


def place_of_call(text: str, name: str) -> int | None:
    """Where a function of that name is called for the first time."""
    found = re.search(rf'\b{re.escape(name)}"?\s*\(', text, re.IGNORECASE)
    return None if found is None else found.start()


def place_of_definition(text: str, name: str) -> int | None:
    """Where the name of a macro stands at its definition, in a file of macros."""
    for match in _DEFINED.finditer(text.lower()):
        if _bare(match[1]) == name.lower():
            return match.start(1) + match[1].rfind(name.lower())
    return None


def _bare(name: str) -> str:
    return name.rpartition(".")[2].strip(' \t\n"')


_OF_THE_WHOLE_FILE = frozenset({"sql-syntax", "unreadable-file", "outside-project"})
_DEFINITION = re.compile(r"(?=\b(?:macro|function)\b)")
_CALLED = re.compile(r'(\w+)"?\s*\(')


def _refuse_duplicates(named: list[tuple[TableName, str, str, Span]], problems: list[Diagnostic]) -> list[TableName]:
    """The names that are given twice, which are problems. `named`: what has a name, what it is, its file, and the place
    that gives the name."""
    twice: list[TableName] = []
    first: dict[TableName, tuple[TableName, str, str, Span]] = {}
    for item in named:
        name, what, path, span = item
        other = first.setdefault(name, item)
        if other is item:
            continue
        twice.append(name)
        problems.append(
            Diagnostic(
                "duplicate-name",
                f"`{name}` is both a {other[1]} `{other[2]}` and a {what} `{path}`",
                span,
                "rename one of them, or set `@name` or `@schema`",
                notes=(Note("the other one is here", other[3]),),
            )
        )
    return twice
