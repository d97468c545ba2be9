"""What an edit means below the edited model, column by column."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from msgspec import Struct

from sqlflow.core.compiled import Compiled, CompiledModel
from sqlflow.core.names import TableName
from sqlflow.core.records import Fingerprint
from sqlflow.core.schema import Schema
from sqlflow.watch.events import ColumnEdit, ModelEdit, ReachedModel


class Before(Struct, frozen=True):
    """What a model was."""

    fingerprint: Fingerprint
    schema: Schema


def edited(compiled: Compiled, before: Mapping[TableName, Before], broken: Collection[TableName]) -> list[TableName]:
    """The models that are not what they were; `broken` ones cannot be compared, and are left out."""
    found = [
        name
        for name, model in compiled.models.items()
        if name not in before or not _same(before[name].fingerprint, model.fingerprint)
    ]
    present = {model.name for model in compiled.project.models}
    return found + [name for name in before if name not in present and name not in broken]


def _same(left: Fingerprint, right: Fingerprint) -> bool:
    return not left.edited(right) and left.header == right.header


def impact(compiled: Compiled, before: Mapping[TableName, Before], names: Sequence[TableName]) -> tuple[ModelEdit, ...]:
    """What changed in each of these models, and how far it reaches. Inline models are told by their readers."""
    children: dict[TableName, list[TableName]] = {}
    for name in compiled.order:
        for parent in compiled.models[name].parents:
            children.setdefault(parent, []).append(name)
    found = []
    for name in names:
        model = compiled.models.get(name)
        if model is not None and model.header.promise.inlined:
            continue
        found.append(_edit(name, model, before.get(name), compiled, children))
    return tuple(found)


_ROWS = ""  # the cause that is not a column


def _edit(
    name: TableName,
    now: CompiledModel | None,
    old: Before | None,
    compiled: Compiled,
    children: Mapping[TableName, Sequence[TableName]],
) -> ModelEdit:
    kinds, exact = _changed(now, old)
    reached = _reach(name, list(kinds), compiled, children)
    below = _below(name, children)
    touched = {model for found in reached.values() for model in found}
    columns = tuple(
        ColumnEdit(
            cause or None,
            kind,
            detail,
            tuple(
                ReachedModel(model, tuple(sorted(hit - {_ROWS})), _ROWS in hit)
                for model, hit in reached.get(cause.lower(), {}).items()
            ),
        )
        for cause, (kind, detail) in kinds.items()
    )
    kind = "new" if old is None else "removed" if now is None else "changed" if kinds else "written differently"
    order = [model for model in compiled.order if model in below]
    return ModelEdit(
        name,
        kind,
        exact,
        columns,
        tuple(model for model in order if model in touched),
        tuple(model for model in order if model not in touched),
    )


def _changed(now: CompiledModel | None, old: Before | None) -> tuple[dict[str, tuple[str, str]], bool]:
    """The causes: column (or the rows) -> kind and detail; and whether these are surely all."""
    if now is None or old is None:
        schema = now.schema if now is not None else old.schema if old is not None else Schema()
        return {_ROWS: ("added" if old is None else "removed", "")} | {
            column.name: ("added" if old is None else "removed", column.type) for column in schema
        }, True
    found: dict[str, tuple[str, str]] = {}
    before, after = old.fingerprint, now.fingerprint
    exact = bool(before.rows and after.rows and before.columns and after.columns) and before.header == after.header
    if not exact and _same(before, after):
        return {}, True
    if not exact or before.rows != after.rows:
        found[_ROWS] = ("changed", "" if exact else "not known by column")
    for column in now.schema:
        was = old.schema.find(column.name)
        key = column.name.lower()
        if was is None:
            found[column.name] = ("added", column.type)
        elif was.type != column.type:
            found[column.name] = ("type", f"{was.type} -> {column.type}")
        elif not exact or before.columns.get(key) != after.columns.get(key):
            found[column.name] = ("changed", "")
    for column in old.schema:
        if now.schema.find(column.name) is None:
            found[column.name] = ("removed", column.type)
    return found, exact


def _below(name: TableName, children: Mapping[TableName, Sequence[TableName]]) -> set[TableName]:
    found: set[TableName] = set()
    stack = [name]
    while stack:
        for child in children.get(stack.pop(), ()):
            if child not in found:
                found.add(child)
                stack.append(child)
    return found


def _reach(
    name: TableName, causes: Sequence[str], compiled: Compiled, children: Mapping[TableName, Sequence[TableName]]
) -> dict[str, dict[TableName, set[str]]]:
    """cause -> model below -> its columns that the cause reaches (`_ROWS` among them when its rows may differ)."""
    below = _below(name, children)
    # table -> column or _ROWS -> the causes behind it; "*" stands for any column that is not listed
    behind: dict[TableName, dict[str, set[str]]] = {name: {cause.lower(): {cause.lower()} for cause in causes}}
    found: dict[str, dict[TableName, set[str]]] = {}
    for child in compiled.order:
        if child not in below:
            continue
        model = compiled.models[child]
        mine = _through(model, behind)
        if mine:
            behind[child] = mine
        for column, reasons in mine.items():
            for cause in reasons:
                found.setdefault(cause, {}).setdefault(child, set()).add(column)
    return found


def _through(model: CompiledModel, behind: Mapping[TableName, Mapping[str, set[str]]]) -> dict[str, set[str]]:
    """The causes behind each column, and behind the rows, of one model."""
    mine: dict[str, set[str]] = {}
    rows: set[str] = set()
    for parent in model.parents:
        moved = behind.get(parent)
        if not moved:
            continue
        rows |= moved.get(_ROWS, set())
        if parent not in model.reads:  # it is not known what is read of it
            rows |= {cause for reasons in moved.values() for cause in reasons}
    if model.lineage.complete:
        for refs in model.lineage.indirect.values():
            for ref in refs:
                rows |= behind.get(ref.table, {}).get(ref.column.lower(), set())
        for column in model.lineage.columns:
            reasons: set[str] = set()
            for ref in column.direct:
                reasons |= behind.get(ref.table, {}).get(ref.column.lower(), set())
            if reasons:
                mine[column.name.lower()] = reasons
    if rows:
        mine[_ROWS] = rows
    return mine
