"""The shapes of a project's queries, found when they are asked for, and kept in the compile cache.

Nothing here needs the parser, so a build whose shapes are cached starts without it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator

import msgspec

from sqlflow.core.clock import depends_on
from sqlflow.core.compiled import Compiled, CompiledModel
from sqlflow.core.diagnostics import Diagnostic, Note
from sqlflow.core.following import Refusal, Shape, Tier
from sqlflow.core.model import Incremental
from sqlflow.core.modes import Strategy
from sqlflow.core.names import TableName
from sqlflow.core.schema import Schema
from sqlflow.core.source import Span
from sqlflow.core.workshop import Workshop
from sqlflow.quality.checks import identities


def shapes_of(compiled: Compiled, workshop: Workshop) -> Callable[[TableName], Shape]:
    """A function that gives the shape of a model: which changes of its inputs its query can follow."""
    known: dict[TableName, Shape] = {}
    whole: dict[TableName, str] = {}

    def shape_of(name: TableName) -> Shape:
        found = known.get(name)
        if found is None:
            found = known[name] = _shape(compiled, compiled.models[name], workshop, whole)
        return found

    return shape_of


def not_followed(compiled: Compiled, shape_of: Callable[[TableName], Shape]) -> list[Diagnostic]:
    """The models of mode `auto` that say `incremental: required` and whose query cannot follow changes of all inputs."""
    problems = []
    for model in compiled.models.values():
        header = model.header
        if not _only_follows(model) or header.incremental is not Incremental.REQUIRED:
            continue
        span = header.spans.get("incremental", model.query.span(0))
        for what, reason, place, hint in _hindrances(model, shape_of(model.name)):
            notes = () if place is None else (Note(f"`{what}` stands here", place),)
            problems.append(
                Diagnostic(
                    "not-incremental",
                    f"`{model.name}` cannot be kept up to date without rebuilding it: {reason}",
                    span,
                    hint,
                    notes=notes,
                )
            )
    return problems


def _only_follows(model: CompiledModel) -> bool:
    """Whether its table is rebuilt when a change cannot be followed: it has no intervals that could be replaced."""
    promise = model.header.promise
    return promise.whole and promise.follows


def _hindrances(model: CompiledModel, shape: Shape) -> Iterator[tuple[str, str, Span | None, str]]:
    """What hinders: the construct, the reason, its place, and what would help."""
    header = model.header
    leave = "or leave `@incremental: required` out"
    if header.before or header.after:
        word = "before" if header.before else "after"
        yield word, f"a hook (`@{word}`) may change the table", header.spans.get(word), f"take the hook out, {leave}"
    if header.strategy is Strategy.FULL:
        place = header.spans.get("strategy")
        yield "full", "`@strategy: full` always rebuilds it", place, f"take that out, {leave}"
    if model.stale_by:
        yield (
            "clock",
            f"its rows depend on {depends_on(model.stale_by)}",
            None,
            f"take the time of the build out of the query, {leave}",
        )
    if shape.refusal is not None:
        found = shape.refusal
        yield (
            found.construct,
            f"{found.construct}: {found.reason}",
            place_of(model, found),
            f"change the query, {leave}",
        )
        return
    for table in dict.fromkeys(reading.table for reading in shape.readings):
        if table.id in shape.fixed and not shape.key_columns((table,)):
            found = shape.fixed[table.id]
            reason = f"a change of `{table}` cannot be followed, {found.construct}: {found.reason}"
            yield found.construct, reason, place_of(model, found), f"change the query, {leave}"


def place_of(model: CompiledModel, refusal: Refusal) -> Span | None:
    """Where in a model's file the construct of a refusal stands."""
    return None if refusal.start is None else model.query.span(refusal.start, refusal.end)


def _shape(compiled: Compiled, model: CompiledModel, workshop: Workshop, whole: dict[TableName, str]) -> Shape:
    dialect, binder, cache = workshop.config.target_dialect, workshop.binder, workshop.cache
    if model.bounds:
        return Shape(Tier.REFUSED, refusal=Refusal("$start", "the query says itself which time it reads"))
    views: dict[TableName, str] = {}
    columns: dict[TableName, Schema] = {}
    stack = list(model.parents)
    while stack:
        name = stack.pop()
        if name in columns:
            continue
        parent = compiled.models.get(name)
        columns[name] = parent.schema if parent is not None else compiled.columns[name]
        if parent is not None and parent.header.promise.is_view:
            views[name] = parent.query.text
            stack.extend(parent.parents)
    counters = _only_follows(model)
    written = bool(model.written) and not model.clock
    keys = {name: found for name in columns if (found := _keys_of(compiled, name))}
    parts = [workshop.version, dialect, str(counters), str(written), model.query.text]
    for name in sorted(columns):
        parts += [str(name), views.get(name, ""), *(f"{column.name} {column.type}" for column in columns[name])]
        parts += sorted(" ".join(sorted(key)) for key in keys.get(name, ()))
    key = "shape:" + hashlib.blake2b("\x1f".join(parts).encode(), digest_size=16).hexdigest()
    cached = cache.get(key)
    if cached is not None:
        try:
            return msgspec.json.decode(cached, type=Shape)
        except (msgspec.DecodeError, ValueError):
            pass  # an entry that cannot be read is computed again
    from sqlflow.compiler.following.shape import find_shape

    for name, schema in columns.items():
        if name not in views:
            binder.define(name, schema)
    reads = {name.key: name for name in columns}
    try:
        shape = find_shape(
            model.query.text,
            views.get,
            reads,
            columns,
            dialect,
            binder,
            counters=counters,
            written=written,
            keys=keys,
            whole=whole,
        )
    except RecursionError:
        shape = Shape(Tier.REFUSED, refusal=Refusal("query", "it is nested too deeply to be followed"))
    cache.put(key, msgspec.json.encode(shape))
    return shape


def _keys_of(compiled: Compiled, name: TableName) -> tuple[frozenset[str], ...]:
    """What is declared to identify the rows of a table: by a source, by a model's key, or by a check that must hold."""
    source = compiled.project.sources.get(name)
    found = [source.key] if source is not None else []
    model = compiled.models.get(name)
    if model is not None:
        header = model.header
        found += [header.key, *identities(header.checks)]
    return tuple(frozenset(column.lower() for column in key) for key in dict.fromkeys(found) if key)
