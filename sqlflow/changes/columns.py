"""The columns of everything that models read and SQLFlow does not make itself: files, seeds, tables from outside."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from pathlib import PurePosixPath

import msgspec

from sqlflow.changes import files
from sqlflow.changes.look import seed_relation
from sqlflow.changes.seeds import malformed_seed
from sqlflow.core.cache import Cache
from sqlflow.core.config import Config
from sqlflow.core.diagnostics import Diagnostic, did_you_mean
from sqlflow.core.engine import Binder, BindError, Found
from sqlflow.core.model import Project, Seed, Source
from sqlflow.core.names import TableName
from sqlflow.core.schema import Column, Schema
from sqlflow.core.source import Span
from sqlflow.core.sql import Sql, compose


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
) -> tuple[dict[TableName, Schema], list[Diagnostic]]:
    """Columns by table, and what is wrong with sources and seeds.

    `tables`: what stands in the database, None when it cannot be asked; then columns are those that a source
    declares, or `remembered` ones. `wrong`: sources that are known to be wrong, and are left out without a word.
    """
    found: dict[TableName, Schema] = {}
    problems: list[Diagnostic] = []
    for seed in project.seeds.values():
        key = _key(version, seed_relation(config, seed), files.identity_by_time(config.root, seed.path))
        if cache.get(key) is None and (problem := malformed_seed(config.root, seed)) is not None:
            problems.append(problem)
            continue
        schema = _described(seed_relation(config, seed), key, binder, cache)
        _take(seed.name, schema, _seed_span(seed), found, problems)
    for source in project.sources.values():
        if source.name in wrong:
            continue
        if source.path is not None:
            relation = files.relation(config, source)
            key = _key(version, relation, files.identity_by_time(config.root, source.path))
            _take(source.name, _described(relation, key, binder, cache), source.span, found, problems)
        else:
            _table_source(source, tables, remembered, binder, found, problems)
        if source.name in found:
            problems += _declared_otherwise(source, found[source.name])
    for name in undeclared:
        if tables is not None and name in tables:
            found[name] = tables[name].schema
        elif name in remembered:
            found[name] = remembered[name]
    return found, problems


def _described(relation: Sql, key: str, binder: Binder, cache: Cache) -> Schema | BindError:
    cached = cache.get(key)
    if cached is not None:
        try:
            return msgspec.json.decode(cached, type=Schema)
        except (msgspec.DecodeError, ValueError):
            pass  # an entry that cannot be read is computed again
    bound = binder.bind(compose("SELECT * FROM {relation}", relation=relation))
    if isinstance(bound, Schema):
        cache.put(key, msgspec.json.encode(bound))
    return bound


def _take(
    name: TableName,
    schema: Schema | BindError,
    span: Span | None,
    found: dict[TableName, Schema],
    problems: list[Diagnostic],
) -> None:
    if isinstance(schema, BindError):
        problems.append(Diagnostic("unreadable-source", f"`{name}` cannot be read: {schema.message}", span))
    else:
        found[name] = schema


def _seed_span(seed: Seed) -> Span | None:
    if seed.span is not None:
        return seed.span
    return Span(PurePosixPath(seed.path), 1, 1)


def _table_source(
    source: Source,
    tables: Mapping[TableName, Found] | None,
    remembered: Mapping[TableName, Schema],
    binder: Binder,
    found: dict[TableName, Schema],
    problems: list[Diagnostic],
) -> None:
    table = source.table or source.name
    declared = _declared(source, binder, problems)
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


def _declared(source: Source, binder: Binder, problems: list[Diagnostic]) -> Schema:
    """The columns that a source declares, with their types as the engine spells them."""
    columns = []
    for name, kind in source.types.items():
        bound = binder.bind(compose("SELECT CAST(NULL AS {kind}) AS c", kind=Sql(kind)))
        if isinstance(bound, BindError):
            problems.append(
                Diagnostic(
                    "invalid-value", f"`{kind}` of the column `{name}` is not a type: {bound.message}", source.span
                )
            )
        else:
            columns.append(Column(name, bound.columns[0].type))
    return Schema(tuple(columns))


def _declared_otherwise(source: Source, schema: Schema) -> list[Diagnostic]:
    """Columns that a source declares and does not have, and properties that name no column."""
    if not schema:
        return []
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
        if schema.find(name) is None
    ]


def _key(version: str, relation: Sql, identity: str) -> str:
    return "columns:" + hashlib.blake2b("\x1f".join((version, relation, identity)).encode(), digest_size=16).hexdigest()
