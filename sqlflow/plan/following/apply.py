"""What is followed in this build, and the task that brings a table up to date by the rows that changed."""

from __future__ import annotations

from msgspec.structs import replace

from sqlflow.core.amounts import counted
from sqlflow.core.keeping import counters_of, log_of
from sqlflow.core.names import TableName
from sqlflow.core.plan import Reason, SignatureUpdate, Step
from sqlflow.core.records import TableRecord
from sqlflow.core.sql import Sql
from sqlflow.plan import selfcheck
from sqlflow.plan.draft import Draft, Sight, Write, seen
from sqlflow.plan.following import changelog, delta
from sqlflow.plan.following.choice import Followed, NotFollowed, counters_token, follow_or_not
from sqlflow.plan.following.delta import ChangedRows
from sqlflow.plan.stale import Effect
from sqlflow.plan.subject import Subject
from sqlflow.plan.world import World


def followed(sight: Sight, subject: Subject, before: TableRecord, effect: Effect) -> Followed | NotFollowed:
    """How the changes of its inputs can be followed, or why they are not."""
    world = sight.world
    if before.distrusted:
        return NotFollowed(only_rebuilt(before))
    if before.counters and _counters_edited(world, subject, before):
        return NotFollowed("its counters were changed by hand")
    changed = []
    rows: dict[TableName, int | None] = {}
    for name in (subject.table, *effect.inputs):
        if name in world.inputs.collated:
            return NotFollowed(f"`COLLATE` in `{name}`: different texts count as equal there")
    for name in effect.inputs:
        version, consumed = sight.versions[name], before.inputs.get(name.id)
        state = world.inputs.states.get(name)
        if consumed is None or version.logged is None or consumed.version < version.logged:
            return NotFollowed(_not_told(world, subject.table, before, name))
        beyond = state.growth.since.get(consumed) if state is not None and state.growth is not None else None
        if beyond is None and not consumed.is_version:
            return NotFollowed(_not_told(world, subject.table, before, name))
        record = world.inputs.records.get(name)
        model = world.compiled.models.get(name)
        schema = model.schema if model is not None else world.compiled.columns[name]
        reader = record.reader if record is not None else ""
        changed.append(ChangedRows(name, schema, consumed.version, version.number, log_of(name, reader), beyond))
        rows[name] = world.rows_of(name)
    return follow_or_not(subject.model, before, world.shape_of(subject.table), changed, sight.versions, rows)


def only_rebuilt(before: TableRecord) -> str:
    """Why a table that is not trusted is rebuilt, in words."""
    return (
        f"incremental updates are off: {before.distrusted}; `sqlflow verify --release {before.table}` turns them on again if the "
        "table is right"
    )


def _counters_edited(world: World, subject: Subject, before: TableRecord) -> bool:
    shape, kept = world.shape_of(subject.table), world.inputs.kept.get(counters_of(subject.table).name)
    return before.counters == counters_token(shape) and kept != frozenset(n.lower() for n in shape.schema.names)


def _not_told(world: World, table: TableName, before: TableRecord, name: TableName) -> str:
    """Why nobody says which rows of an input changed."""
    state, shape = world.inputs.states.get(name), world.shape_of(table)
    if state is None or state.growth is None:
        return f"what changed in `{name}` is not known row by row"
    if shape.grouping is not None and before.counters != counters_token(shape):
        return "its counters are not kept yet"
    return f"rebuilding is cheaper than applying {counted(state.growth.rows, 'new row')} of `{name}`"


def follow(
    sight: Sight,
    subject: Subject,
    before: TableRecord,
    found: Followed,
    reason: Reason,
    *,
    rebuild: tuple[Step, ...],
    query: Sql,
    measured: tuple[Step, ...] = (),
) -> Write:
    """Bring the table up to date by the rows that changed. `rebuild`: how it is made from scratch, where that turns out to be
    better; `query`: of all its rows; `measured`: what is looked at afterwards."""
    world, shape = sight.world, sight.world.shape_of(subject.table)
    record = replace(sight.next_record(subject), counters=counters_token(shape), runs=before.runs + 1)
    record, log = changelog.logged(world, subject.model.schema, before, record)
    check = selfcheck.due(subject, shape, query, world.config.verify_every, world.run_id)
    moving = frozenset(world.moving(subject.model))
    steps = (*delta.follow(subject, shape, found.following, log, rebuild, check, moving), *measured)
    signatures = world.signatures(subject.table)
    if subject.model.header.promise.timed:
        record = replace(record, done=before.done, watermark=before.watermark)
        # What is followed is what their own tasks find, of whose partitions nothing is known.
        inputs = [item.table for item in found.following.changed if item.table in world.inputs.states]
        updates = [update for update in signatures if update.input not in inputs]
        signatures = (*updates, *(SignatureUpdate(name, {}, whole=True) for name in inputs))
    # Files are not held still by a transaction.
    loose = {n for n in moving & delta.read_as_they_are(shape, found.following) if world.is_files(n)}
    steps = (*steps, *seen(world, subject.model, loose, whole=False, only_if=delta.is_followed()))
    steps = (*steps, *seen(world, subject.model, only_if=delta.is_rebuilt()))
    draft = Draft(
        action="apply changes" if check is None else "apply changes and check a sample",
        strategy=found.strategy,
        reason=reason,
        steps=steps,
        record=record,
        signatures=signatures,
        ways=found.ways,
        opened=() if log is None else log.opened(subject.table),
    )
    return Write((draft,), record, "changes in this build", subject.causes)
