"""Which changes of a table are written down for those who follow it, and of which inputs a copy is kept for that."""

from __future__ import annotations

from msgspec.structs import replace

from sqlflow.core.compiled import CompiledModel
from sqlflow.core.following import Tier
from sqlflow.core.inputs import InputState
from sqlflow.core.keeping import image_of, log_of
from sqlflow.core.names import TableName
from sqlflow.core.plan import Step, StepKind
from sqlflow.core.records import TableRecord
from sqlflow.core.schema import Schema
from sqlflow.core.seen import latest_of
from sqlflow.core.sql import Sql, render
from sqlflow.plan.following.choice import may_pay, would_follow
from sqlflow.plan.log import Cursor, Log, compare_image, extend_image, keep_image
from sqlflow.plan.world import World, insists


def logged(
    world: World, schema: Schema, before: TableRecord | None, record: TableRecord
) -> tuple[TableRecord, Log | None]:
    """The record and the log of a version that is written down, if anybody may want to read it."""
    followers = _followers(world, record.table)
    if not followers:
        return replace(record, logged=None), None
    alike = before is not None and before.schema == schema and before.reader == record.reader
    since = before.logged if before is not None and alike else None
    readers = [world.inputs.records[m.name] for m in followers if m.name in world.inputs.records]
    versions = [read.version for r in readers if (read := r.inputs.get(record.table.id)) is not None]
    lowest = min(versions, default=record.version - 1)
    log = Log(
        log_of(record.table, record.reader), schema, record.version, since is None, min(lowest, record.version - 1)
    )
    return replace(record, logged=max(record.version - 1 if since is None else since, log.read)), log


def _followers(world: World, name: TableName) -> tuple[CompiledModel, ...]:
    """The models that would follow changes of a table if they were told of them. What their queries can follow takes a look
    at each query, so that comes last."""
    return tuple(
        model
        for model in world.may_follow(name)
        if may_pay(model, world.inputs.records.get(model.name), world.rows_of(name))
        and world.shape_of(model.name).tier is not Tier.REFUSED
    )


def captured(
    world: World, name: TableName, state: InputState, before: TableRecord | None
) -> tuple[TableRecord, tuple[Step, ...]]:
    """What writes down the changes of an input, for those who follow them."""
    record, steps, log = _written_down(world, name, state, before)
    if steps:
        gap = Sql("") if log is None else log.gap().sql
        steps = (*steps, Step(StepKind.NOTED, gap, inputs=(name,)))
    return record, steps


def _written_down(
    world: World, name: TableName, state: InputState, before: TableRecord | None
) -> tuple[TableRecord, tuple[Step, ...], Log | None]:
    record = state.record
    image, relation = _wants_image(world, name), Sql(render(name))
    kept = image_of(name, record.reader)
    copied = before is not None and before.image and before.reader == record.reader
    if before is not None and record.version == before.version:
        record = replace(record, image=image)
        copy = (keep_image(world.words, kept, relation, record.schema),) if image and not copied else ()
        return record, copy, None
    same = before is not None and before.schema == record.schema
    if before is not None and same and (state.growth is not None or (image and copied)):
        record, log = logged(world, record.schema, before, record)
        if log is not None and state.growth is not None and not image and not _worth_telling(world, name, state):
            return replace(record, logged=None), (), None
        if log is not None and state.growth is not None:
            rows = state.growth.relation
            added = (
                extend_image(world.words, kept, rows, record.schema)
                if copied
                else keep_image(world.words, kept, relation, record.schema)
            )
            steps = (*log.opened(relation), log.rows(rows, 1), *((added,) if image else ()))
            return replace(record, image=image), steps, log
        if log is not None:
            compared = compare_image(world.words, kept, relation, record.schema, log, _cursor_of(world, name, before))
            return replace(record, image=True), (*log.opened(relation), *compared), log
    if image:
        return replace(record, image=True), (keep_image(world.words, kept, relation, record.schema),), None
    return record, (), None


def _worth_telling(world: World, name: TableName, state: InputState) -> bool:
    """Whether somebody will follow the rows that were added to an input, and not rather be rebuilt."""
    assert state.growth is not None
    added, rows = state.growth.rows, state.rows
    for model in _followers(world, name):
        before = world.inputs.records.get(model.name)
        if before is not None and would_follow(model, before, world.shape_of(model.name), added, rows):
            return True
    return False


def _wants_image(world: World, name: TableName) -> bool:
    """Whether a copy of an input is kept: when somebody insists on following it, and it does not say by itself what
    was added."""
    source = world.compiled.project.sources.get(name)
    if source is not None and (source.path is not None or (source.append_only and source.cursor is not None)):
        return False
    return any(
        insists(model.header) and world.shape_of(model.name).tier is not Tier.REFUSED
        for model in world.may_follow(name)
    )


def _cursor_of(world: World, name: TableName, before: TableRecord) -> Cursor | None:
    """By what a source says which of its rows are new or changed."""
    source = world.compiled.project.sources.get(name)
    if source is None or source.cursor is None or not source.key:
        return None
    return Cursor(source.cursor, source.key, latest_of(before.seen))
