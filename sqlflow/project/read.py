"""All files of a project -> models, seeds and sources."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath

from sqlflow.core.cache import Cache, NoCache
from sqlflow.core.codec import decode, encode
from sqlflow.core.config import Config
from sqlflow.core.diagnostics import Diagnostic, Note
from sqlflow.core.model import ColumnNote, Header, Mode, Model, Project
from sqlflow.core.names import TableName
from sqlflow.core.source import SourceFile, Span
from sqlflow.core.text import Edit, MappedText
from sqlflow.project.calls import text_of
from sqlflow.project.columns import NO_COMMENTS, ColumnComments, read_columns
from sqlflow.project.discover import discover, read_text
from sqlflow.project.header import (
    Default,
    defaults_for,
    may_be_misplaced,
    misplaced,
    read_defaults,
    read_header,
    split_header,
)
from sqlflow.project.macros import read_macros
from sqlflow.project.names import refuse_reserved_schema, table_of
from sqlflow.project.query import find_query
from sqlflow.project.seeds import read_seeds
from sqlflow.project.snippets import Vocabulary, fill
from sqlflow.project.sources import read_sources
from sqlflow.project.tokens import Lexed, LexProblem, lex
from sqlflow.project.variables import interval_bounds


def read_project(config: Config, cache: Cache | None = None, version: str = "") -> tuple[Project, list[Diagnostic]]:
    """Everything in the project's files, and every problem found in them, both in the order of their places.

    `cache` keeps models that were read without a problem, by all that decides how they are read.
    """
    problems: list[Diagnostic] = []
    files = discover(config.root, config.allow_outside_paths, problems)

    def texts(paths: tuple[PurePosixPath, ...]) -> Iterator[SourceFile]:
        for path in paths:
            if (file := read_text(config.root, path, problems)) is not None:
                yield file

    macro_files = tuple(texts(files.macros))
    macros = read_macros(macro_files, config.dialect, config.variables, problems)
    vocabulary = Vocabulary(config.dialect, config.variables, macros)
    folders = {
        folder: read_defaults(values, folder, vocabulary, problems) for folder, values in config.defaults.items()
    }
    sources = read_sources(texts(files.sources), config, problems)
    seeds = read_seeds(files.seeds, texts(files.seed_settings), config.dialect, problems)
    models: list[Model] = []
    named: list[tuple[TableName, str, Span]] = [
        (source.name, f"source in `{source.span.path}`", source.span) for source in sources
    ]
    named += [(s.name, f"seed `{s.path}`", s.span or Span(PurePosixPath(s.path), 1, 1)) for s in seeds]
    shelf = _Shelf(cache or NoCache(), _hash(version, repr(_read_settings(config)), *(f.text for f in macro_files)))
    for file in texts(files.models):
        kept = shelf.find(file)
        if kept is not None:
            named.append((kept.name, f"model `{file.path}`", kept.name_span))
            models.append(kept.model)
            continue
        before = len(problems)
        found = _read_model(file, config, vocabulary, folders, problems)
        if found is not None and found[1] is not None and len(problems) == before:
            shelf.keep(file, _Kept(found[0], found[1], found[2]))
        if found is None:
            continue
        name, model, span = found
        named.append((name, f"model `{file.path}`", span))
        if model is not None:
            models.append(model)
    _refuse_duplicates(named, problems)
    project = Project(tuple(models), {s.name: s for s in reversed(sources)}, {s.name: s for s in seeds})
    return project, sorted(problems, key=_place)


def _read_settings(config: Config) -> tuple[object, ...]:
    """All of sqlflow.yml that decides how a model's file is read."""
    defaults = {folder: {n: repr(v.value) for n, v in d.items()} for folder, d in config.defaults.items()}
    return (
        config.dialect,
        config.default_schema,
        sorted(config.variables.items()),
        sorted(defaults.items()),
        config.file.text,
    )


@dataclasses.dataclass(frozen=True, slots=True)
class _Kept:
    """A model that was read without a problem."""

    name: TableName
    model: Model
    name_span: Span


class _Shelf:
    """Models in the cache, by their text and `settings`."""

    def __init__(self, cache: Cache, settings: str) -> None:
        self._cache = cache
        self._settings = settings

    def find(self, file: SourceFile) -> _Kept | None:
        found = self._cache.get(self._key(file))
        if found is None:
            return None
        try:
            return decode(found, _Kept)
        except ValueError:
            return None

    def keep(self, file: SourceFile, kept: _Kept) -> None:
        """JSON knows no dates: a header with one among its values is read each time."""
        header = kept.model.header
        values = [value for check in header.checks for value in check.values]
        values += list(header.deleted.values) if header.deleted is not None else []
        if all(value is None or isinstance(value, bool | int | float | str) for value in values):
            self._cache.put(self._key(file), encode(kept).encode())

    def _key(self, file: SourceFile) -> str:
        return "model:" + _hash(self._settings, str(file.path), file.text)


def _hash(*parts: str) -> str:
    return hashlib.blake2b("\x1f".join(parts).encode(), digest_size=16).hexdigest()


def _place(problem: Diagnostic) -> tuple[tuple[str, ...], int, int]:
    span = problem.span
    return ((), 0, 0) if span is None else (span.path.parts, span.line, span.column)


def _read_model(
    file: SourceFile,
    config: Config,
    vocabulary: Vocabulary,
    folders: Mapping[str, Mapping[str, Default]],
    problems: list[Diagnostic],
) -> tuple[TableName, Model | None, Span] | None:
    """A model's name, the model if its query could be read, and the place that gives the name.

    None for a model that is switched off.
    """
    lexed = lex(file.text, config.dialect)
    readable = isinstance(lexed, Lexed) and len(lexed.tokens) > 0
    begin = lexed.tokens[0].start if isinstance(lexed, Lexed) and readable else 0
    place = _beginning(file, begin)
    found: list[Diagnostic] = []
    header_text = split_header(file, found)
    header = read_header(header_text, defaults_for(file.path, folders), vocabulary, file, place, found)
    if not header.enabled:
        return None
    problems += found
    name = _name(file, header, config, place, problems)
    name_span = header.spans.get("name") or header.spans.get("schema") or place
    if isinstance(lexed, LexProblem):
        span = file.span(lexed.start, lexed.end)
        problems.append(Diagnostic("sql-syntax", lexed.message, span, lexed.hint))
        return name, None, name_span
    if not readable:
        message = f"`{file.path}` holds no query"
        hint = "write a `SELECT`, or remove the file"
        problems.append(Diagnostic("empty-model", message, file.span(0), hint))
        return name, None, name_span
    if may_be_misplaced(file.text, begin):
        misplaced(file, _gaps(lexed), problems)
    tokens = find_query(file, lexed, problems)
    if tokens is None:
        return name, None, name_span
    first, last = tokens
    comments = read_columns(file, lexed, last, config.dialect, problems)
    query = _query(file, lexed, first, last, header, vocabulary, problems)
    return name, Model(name, _with_comments(header, comments), query), name_span


def _beginning(file: SourceFile, start: int) -> Span:
    """The first word of the query."""
    end = start
    while end < len(file.text) and file.text[end].isalpha():
        end += 1
    return file.span(start, max(end, start + 1))


def _name(file: SourceFile, header: Header, config: Config, place: Span, problems: list[Diagnostic]) -> TableName:
    by_path = table_of(file.path, config.default_schema)
    if header.schema is None:
        refuse_reserved_schema(by_path.schema, place, problems)
    return TableName(header.schema or by_path.schema, header.name or by_path.name)


def _gaps(lexed: Lexed) -> Iterator[tuple[int, int]]:
    """The text between the tokens, and behind the last one."""
    previous = lexed.tokens[0].end + 1
    for token in lexed.tokens[1:]:
        if token.start - previous > 3:
            yield previous, token.start
        previous = token.end + 1
    yield previous, len(lexed.text)


def _query(
    file: SourceFile,
    lexed: Lexed,
    first: int,
    last: int,
    header: Header,
    vocabulary: Vocabulary,
    problems: list[Diagnostic],
) -> MappedText:
    """The text of the query with variables and macros put in."""
    start, end = lexed.tokens[first].start, lexed.tokens[last - 1].end + 1
    query = MappedText.of(file, start, end)
    if header.mode is not Mode.INCREMENTAL:
        for begin, stop in interval_bounds(lexed, first, last):
            bound = file.text[begin:stop]
            message = f"`{bound}` can be used only with mode `incremental`, this is `{header.mode}`"
            hint = "add `-- @mode: incremental` and `-- @time: ...`"
            span = file.span(begin, stop)
            problems.append(Diagnostic("interval-bounds", message, span, hint))
    replacements = fill(lexed, first, last, vocabulary, file.span, problems)
    if not replacements:
        return query
    return query.edit(Edit(item.start - start, item.end - start, text_of(item)) for item in replacements)


def _with_comments(header: Header, comments: ColumnComments) -> Header:
    """The header with the checks, tags and descriptions of the column comments; `@columns` goes before them."""
    if comments is NO_COMMENTS or not (comments.notes or comments.checks):
        return header
    notes: dict[str, ColumnNote] = dict(comments.notes)
    known = {name.lower(): name for name in notes}
    for name, note in header.columns.items():
        beside = notes.pop(known.get(name.lower(), name), ColumnNote())
        tags = tuple(dict.fromkeys((*note.tags, *beside.tags)))
        notes[name] = ColumnNote(note.description or beside.description, tags)
    return dataclasses.replace(header, columns=notes, checks=(*header.checks, *comments.checks))


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
