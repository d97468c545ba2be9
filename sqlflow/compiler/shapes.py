"""The shapes of a project's queries, found when they are asked for, and kept in the compile cache.

Nothing here needs the parser, so a build whose shapes are cached starts without it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import msgspec

from sqlflow.core.cache import Cache
from sqlflow.core.compiled import Compiled, CompiledModel
from sqlflow.core.delta import Refusal, Shape, Tier
from sqlflow.core.engine import Binder
from sqlflow.core.model import Mode
from sqlflow.core.names import TableName
from sqlflow.core.schema import Schema


def shapes_of(
    compiled: Compiled, dialect: str, binder: Binder, cache: Cache, version: str
) -> Callable[[TableName], Shape]:
    """A function that gives the shape of a model: which changes of its inputs its query can follow."""
    known: dict[TableName, Shape] = {}

    def shape_of(name: TableName) -> Shape:
        found = known.get(name)
        if found is None:
            found = known[name] = _shape(compiled, compiled.models[name], dialect, binder, cache, version)
        return found

    return shape_of


def _shape(compiled: Compiled, model: CompiledModel, dialect: str, binder: Binder, cache: Cache, version: str) -> Shape:
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
        if parent is not None and parent.model.header.mode is Mode.VIEW:
            views[name] = parent.query.text
            stack.extend(parent.parents)
    parts = [version, dialect, model.query.text]
    for name in sorted(columns):
        parts += [str(name), views.get(name, ""), *(f"{column.name} {column.type}" for column in columns[name])]
    key = "shape:" + hashlib.blake2b("\x1f".join(parts).encode(), digest_size=16).hexdigest()
    cached = cache.get(key)
    if cached is not None:
        try:
            return msgspec.json.decode(cached, type=Shape)
        except (msgspec.DecodeError, ValueError):
            pass  # an entry that cannot be read is computed again
    from sqlflow.compiler.delta import find_shape

    for name, schema in columns.items():
        if name not in views:
            binder.define(name, schema)
    reads = {name.key: name for name in columns}
    shape = find_shape(model.query.text, views.get, reads, columns, dialect, binder)
    cache.put(key, msgspec.json.encode(shape))
    return shape
