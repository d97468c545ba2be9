"""The columns of everything that models read and SQLFlow does not make itself: files, seeds, tables from outside."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Mapping
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TypeVar

import msgspec
from msgspec import Struct

from sqlflow.changes import files, readings
from sqlflow.changes.blame import unreadable_file
from sqlflow.changes.forms import date_format_of
from sqlflow.changes.look import seed_call, seed_relation
from sqlflow.changes.seeds import inexact_seed, malformed_seed
from sqlflow.core.cache import Cache
from sqlflow.core.config import Config
from sqlflow.core.diagnostics import Diagnostic, Note, did_you_mean
from sqlflow.core.engine import Binder, BindError, Found
from sqlflow.core.model import Project, Seed, Source
from sqlflow.core.names import TableName
from sqlflow.core.reading import Form, Reading
from sqlflow.core.schema import Column, Schema, cut_columns, reserved_columns
from sqlflow.core.source import Span
from sqlflow.core.sql import Sql, compose


class InputColumns(Struct, frozen=True):
    """The columns by table, how the files of sources are read, and what is wrong with sources and seeds. `spoilt`: those of
    the problems that are about files with rows, by the source or seed that they keep from being read."""

    columns: Mapping[TableName, Schema]
    readings: Mapping[TableName, Reading]
    problems: tuple[Diagnostic, ...]
    spoilt: Mapping[TableName, tuple[Diagnostic, ...]]


def input_columns(
    project: Project,
    undeclared: tuple[TableName, ...],
    config: Config,
    binder: Binder,
    tables: Mapping[TableName, Found] | None,
    remembered: Mapping[TableName, Schema],
    cache: Cache,
    version: str,
    wrong: Collection[TableName],
) -> InputColumns:
    """The columns of all sources, seeds and undeclared tables that can be read.

    `tables`: what stands in the database, None when it cannot be asked; then columns are those that a source
    declares, or `remembered` ones. `wrong`: sources and seeds that are known to be wrong, and are left out without a word.
    """
    found: dict[TableName, Schema] = {}
    read: dict[TableName, Reading] = {}
    problems: list[Diagnostic] = []
    spoilt: dict[TableName, tuple[Diagnostic, ...]] = {}
    types = _Types(binder, cache, version)

    def spoil(name: TableName, *told: Diagnostic) -> None:
        problems.extend(told)
        source = project.sources.get(name)
        if source is not None and not types.are_types(source):
            return  # the definition is to blame
        spoilt[name] = (*spoilt.get(name, ()), *told)

    for seed in project.seeds.values():
        if seed.name in wrong:
            continue
        key = _key(version, seed_relation(config, seed), files.identity_by_time(config.root, seed.path))
        of_seed = _seed_schema(seed, config, binder, key, cache)
        if isinstance(of_seed, Diagnostic):
            spoil(seed.name, of_seed)
        else:
            found[seed.name] = of_seed
            read[seed.name] = Reading((), _notes_of_seed(seed, config, of_seed, binder, key, cache))
    for source in project.sources.values():
        if source.name in wrong:
            continue
        if source.path is not None:
            reading = _reading(source, config, binder, cache, version)
            if isinstance(reading, list):
                spoil(source.name, *reading)
                continue
            read[source.name] = reading
            relation = readings.relation(config, reading)
            key = _key(version, relation, files.identity_by_time(config.root, source.path))
            schema = _described(partial(binder.describe, relation), key, cache)
            if isinstance(schema, BindError):
                blamed = unreadable_file(reading, source, config, binder.rows)
                spoil(source.name, blamed or _unreadable(source.name, schema, source.span))
            else:
                found[source.name] = schema
        else:
            _table_source(source, tables, remembered, types, found, problems)
        if source.name in found:
            problems += _declared_otherwise(source, found[source.name])
    problems = _one_for_an_empty_database(problems, tables)
    for name in undeclared:
        if tables is not None and name in tables:
            found[name] = tables[name].schema
        elif name in remembered:
            found[name] = remembered[name]
    places: dict[TableName, Span | None] = {source.name: source.span for source in project.sources.values()}
    places |= {seed.name: _seed_span(seed) for seed in project.seeds.values()}
    for name in list(found):
        wrong_columns = reserved_columns(found[name], f"`{name}`", places.get(name))
        made = name in project.seeds or name in project.sources
        longest = binder.traits.longest_name if made else None
        wrong_columns += cut_columns(found[name], f"`{name}`", places.get(name), longest)
        if wrong_columns and (name in project.seeds or (name in project.sources and project.sources[name].path)):
            spoil(name, *wrong_columns)
            del found[name]
        elif wrong_columns:
            problems += wrong_columns
            del found[name]
    return InputColumns(found, read, tuple(problems), spoilt)


def _seed_schema(seed: Seed, config: Config, binder: Binder, key: str, cache: Cache) -> Schema | Diagnostic:
    """The columns of a seed's file, or the first thing that is wrong with it."""
    known = _decoded(cache.get(key), Schema)
    if known is not None:
        return known
    if (problem := malformed_seed(config.root, seed)) is not None:
        return problem
    schema = binder.describe(seed_relation(config, seed))
    if isinstance(schema, BindError):
        return _unreadable(seed.name, schema, _seed_span(seed))
    if (problem := inexact_seed(config.root, seed, schema)) is not None:
        return problem
    cache.put(key, msgspec.json.encode(schema))
    return schema


def _notes_of_seed(
    seed: Seed, config: Config, schema: Schema, binder: Binder, key: str, cache: Cache
) -> tuple[str, ...]:
    """How dates are read that are not written year first, where nobody said how."""
    if not any(column.parsed.is_moment for column in schema):
        return ()
    kept = cache.get(key + ":notes")
    if kept is None:
        call = seed_call(config, seed)
        formats = binder.rows(compose("SELECT DateFormat, TimestampFormat FROM sniff_csv({call})", call=call))
        given = (date_format_of(seed), seed.timestamp_format)
        found = [] if isinstance(formats, BindError) else [str(f) for f in formats[0] if f and f not in given]
        kept = msgspec.json.encode([readings.in_words(f) for f in found if not f.startswith("%Y")])
        cache.put(key + ":notes", kept)
    return tuple(msgspec.json.decode(kept, type=list[str]))


def _reading(source: Source, config: Config, binder: Binder, cache: Cache, version: str) -> Reading | list[Diagnostic]:
    """How the files of a source are read; looked at again only where a file or the definition changed."""
    assert source.path is not None
    said = readings.definition(source)
    key = _key(version, Sql(said), files.identity_by_time(config.root, source.path)) + ":reading"
    if (kept := _decoded(cache.get(key), Reading)) is not None:
        return kept

    def remember(path: Path, header: bool | None, look: Callable[[], Form]) -> Form:
        try:
            status = path.stat()
        except OSError:
            return look()
        of_file = _key(version, Sql(said), f"{path} {header} {status.st_size} {status.st_mtime_ns}") + ":form"
        if (known := _decoded(cache.get(of_file), Form)) is not None:
            return known
        form = look()
        if not form.wrong:
            cache.put(of_file, msgspec.json.encode(form))
        return form

    reading = readings.find_reading(config, source, binder.rows, remember)
    if isinstance(reading, Reading):
        cache.put(key, msgspec.json.encode(reading))
    return reading


_Kept = TypeVar("_Kept", Reading, Form, Schema)


def _decoded(data: bytes | None, kind: type[_Kept]) -> _Kept | None:
    try:
        return msgspec.json.decode(data, type=kind) if data is not None else None
    except (msgspec.DecodeError, ValueError):
        return None  # an entry that cannot be read is computed again


def _one_for_an_empty_database(
    problems: list[Diagnostic], tables: Mapping[TableName, Found] | None
) -> list[Diagnostic]:
    """Without one problem for each table when all are missing for one cause."""
    missing = [problem for problem in problems if problem.code == "missing-source"]
    if tables or len(missing) < _MANY:
        return problems
    missing.sort(key=lambda problem: (str(problem.span.path), problem.span.line) if problem.span else ("", 0))
    first = missing[0]
    together = Diagnostic(
        "no-database",
        f"the database is empty or not there yet, and {len(missing):,} sources are tables in it",
        first.span,
        "load them first, or name another target; with their `columns` declared, the project compiles without them",
        notes=tuple(Note(problem.message, problem.span) for problem in missing[1:5]),
    )
    return [*(problem for problem in problems if problem.code != "missing-source"), together]


_MANY = 4


def _described(ask: Callable[[], Schema | BindError], key: str, cache: Cache) -> Schema | BindError:
    cached = cache.get(key)
    if cached is not None:
        try:
            return msgspec.json.decode(cached, type=Schema)
        except (msgspec.DecodeError, ValueError):
            pass  # an entry that cannot be read is computed again
    bound = ask()
    if isinstance(bound, Schema):
        cache.put(key, msgspec.json.encode(bound))
    return bound


def _unreadable(name: TableName, error: BindError, span: Span | None) -> Diagnostic:
    return Diagnostic("unreadable-source", f"`{name}` cannot be read: {error.message}", span)


def _seed_span(seed: Seed) -> Span | None:
    if seed.span is not None:
        return seed.span
    return Span(PurePosixPath(seed.path), 1, 1)


def _table_source(
    source: Source,
    tables: Mapping[TableName, Found] | None,
    remembered: Mapping[TableName, Schema],
    types: _Types,
    found: dict[TableName, Schema],
    problems: list[Diagnostic],
) -> None:
    table = source.table or source.name
    declared = types.schema(source, problems)
    if tables is not None and table in tables:
        found[source.name] = tables[table].schema
    elif source.name in remembered and tables is None:
        found[source.name] = remembered[source.name]
    elif declared:
        found[source.name] = declared
    else:
        hint = did_you_mean(str(table), [str(name) for name in tables or ()])
        problems.append(
            Diagnostic(
                "missing-source",
                f"the source `{source.name}` is the table `{table}`, which the database does not have",
                source.span,
                hint or "create it, or declare its `columns` to compile without it",
            )
        )


class _Types:
    """The types that sources declare, as the engine spells them; each is asked once."""

    def __init__(self, binder: Binder, cache: Cache, version: str) -> None:
        self._binder = binder
        self._cache = cache
        self._version = version
        self._spelled: dict[str, str | BindError] = {}
        self._schemas: dict[tuple[tuple[str, str], ...], Schema] = {}

    def schema(self, source: Source, problems: list[Diagnostic]) -> Schema:
        """The columns that a source declares, without those whose type is none, which are told."""
        written = tuple(source.types.items())
        found = self._schemas.get(written)
        if found is not None:
            return found
        columns: list[Column] = []
        for name, kind in written:
            spelled = self._spell(kind)
            if isinstance(spelled, BindError):
                message = f"`{kind}` of the column `{name}` is not a type: {spelled.message}"
                problems.append(Diagnostic("invalid-value", message, source.span))
            else:
                columns.append(Column(name, spelled))
        schema = Schema(tuple(columns))
        if len(columns) == len(written):
            self._schemas[written] = schema
        return schema

    def are_types(self, source: Source) -> bool:
        """Whether each type that a source declares is one."""
        return not any(isinstance(self._spell(kind), BindError) for kind in source.types.values())

    def _spell(self, kind: str) -> str | BindError:
        found = self._spelled.get(kind)
        if found is None:
            found = self._spelled[kind] = self._asked(kind)
        return found

    def _asked(self, kind: str) -> str | BindError:
        query = compose("SELECT CAST(NULL AS {kind}) AS c", kind=Sql(kind))
        bound = _described(lambda: self._binder.bind(query), _key(self._version, query, "a type"), self._cache)
        return bound if isinstance(bound, BindError) else bound.columns[0].type


def _declared_otherwise(source: Source, schema: Schema) -> list[Diagnostic]:
    """Columns that a source declares and does not have, and properties that name no column."""
    if not schema:
        return []
    there = {column.name.lower() for column in schema}
    named = [("columns", name) for name in source.types]
    named += [("key", name) for name in source.key]
    named += [(word, name) for word, name in (("time", source.time), ("cursor", source.cursor)) if name is not None]
    return [
        Diagnostic(
            "unknown-column",
            f"`{word}` of the source `{source.name}` names `{name}`, which it does not have",
            source.span,
            did_you_mean(name, schema.names),
        )
        for word, name in named
        if name.lower() not in there
    ]


def _key(version: str, relation: Sql, identity: str) -> str:
    return "columns:" + hashlib.blake2b("\x1f".join((version, relation, identity)).encode(), digest_size=16).hexdigest()
