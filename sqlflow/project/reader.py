"""Files -> models, seeds and sources, for those that are not in the cache."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePosixPath

from msgspec.structs import replace

from sqlflow.core.config import Config
from sqlflow.core.diagnostics import Diagnostic
from sqlflow.core.model import ColumnNote, Header, Model, Seed, Source
from sqlflow.core.names import TableName
from sqlflow.core.source import SourceFile, Span
from sqlflow.core.text import Argument, Edit, MappedText
from sqlflow.project.calls import arguments_in, text_of
from sqlflow.project.columns import NO_COMMENTS, ColumnComments, read_columns
from sqlflow.project.header import (
    Default,
    defaults_for,
    read_defaults,
    read_header,
)
from sqlflow.project.header_text import split_header
from sqlflow.project.macros import read_macros
from sqlflow.project.names import refuse_reserved_schema, refuse_staging_name, table_of
from sqlflow.project.own_checks import is_own_check, read_own_checks
from sqlflow.project.query import find_query
from sqlflow.project.seeds import read_seeds
from sqlflow.project.snippets import Vocabulary, fill
from sqlflow.project.sources import read_sources
from sqlflow.project.tokens import Lexed, LexProblem, lex
from sqlflow.project.variables import interval_bounds


class FileReader:
    """Reads the files of one project. What is wrong with its macros and defaults goes into `problems` at once."""

    def __init__(self, config: Config, macros: Sequence[SourceFile], problems: list[Diagnostic]) -> None:
        self._config = config
        own = [file for file in macros if is_own_check(file.path)]
        others = [file for file in macros if not is_own_check(file.path)]
        words = Vocabulary(
            config.dialect,
            config.target_dialect,
            config.variables,
            read_macros(others, config.dialect, config.variables, problems),
        )
        self._vocabulary = replace(words, checks=read_own_checks(own, words, problems))
        self._folders = {
            folder: read_defaults(values, folder, self._vocabulary, problems)
            for folder, values in config.defaults.items()
        }

    def sources(self, files: Iterable[SourceFile], problems: list[Diagnostic]) -> tuple[Source, ...]:
        """The sources that the files declare."""
        return read_sources(files, self._config, self._vocabulary, problems)

    def seeds(
        self, paths: Iterable[PurePosixPath], settings: Iterable[SourceFile], problems: list[Diagnostic]
    ) -> tuple[Seed, ...]:
        """The seeds, with what the files in `settings` say of them."""
        return read_seeds(paths, settings, self._vocabulary, problems)

    def model(self, file: SourceFile, problems: list[Diagnostic]) -> tuple[TableName, Model | None, Span] | None:
        """A model's name, the model if its query could be read, and the place that gives the name.

        None for a model that is switched off.
        """
        return _read_model(file, self._config, self._vocabulary, self._folders, problems)


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
    tokens = find_query(file, lexed, problems)
    if tokens is None:
        return name, None, name_span
    first, last = tokens
    comments = read_columns(file, lexed, last, vocabulary, problems)
    if header.promise.tests:
        _refuse_checks(comments, problems)
    query, arguments = _query(file, lexed, first, last, header, vocabulary, problems)
    foreign = config.dialect if config.dialect != config.target_dialect else ""
    return name, Model(name, _with_comments(header, comments), query, name_span, foreign, arguments), name_span


def _refuse_checks(comments: ColumnComments, problems: list[Diagnostic]) -> None:
    """A query that must return no rows has none that a check could look at."""
    for check in comments.checks:
        message = f"`{check.name}` is a check of a model's column, and a query in tests/ makes no table"
        hint = "write it behind the column of the model, or as a condition of this query"
        problems.append(Diagnostic("invalid-check", message, check.span, hint))


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
    name = TableName(header.schema or by_path.schema, header.name or by_path.name)
    refuse_staging_name(name, place, problems)
    return name


def _query(
    file: SourceFile,
    lexed: Lexed,
    first: int,
    last: int,
    header: Header,
    vocabulary: Vocabulary,
    problems: list[Diagnostic],
) -> tuple[MappedText, tuple[Argument, ...]]:
    """The text of the query with variables and macros put in, and where in it arguments of macros stand."""
    start, end = lexed.tokens[first].start, lexed.tokens[last - 1].end + 1
    query = MappedText.of(file, start, end)
    if not header.promise.timed:
        for begin, stop in interval_bounds(lexed, first, last):
            bound = file.text[begin:stop]
            message = f"`{bound}` can be used only with mode `incremental`, this is `{header.mode}`"
            hint = "add `-- @mode: incremental` and `-- @time: ...`"
            if header.promise.tests:
                message = f"`{bound}` can be used only with mode `incremental`, and this is a query in tests/"
                hint = "write the bounds into the query, or declare them under `variables` in sqlflow.yml"
            span = file.span(begin, stop)
            problems.append(Diagnostic("interval-bounds", message, span, hint))
    replacements = fill(lexed, first, last, vocabulary, file.span, problems)
    if not replacements:
        return query, ()
    edits = [Edit(item.start - start, item.end - start, text_of(item)) for item in replacements]
    return query.edit(edits), arguments_in(replacements, start)


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
    return replace(header, columns=notes, checks=(*header.checks, *comments.checks))
