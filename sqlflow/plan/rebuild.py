"""A table that is made from scratch."""

from __future__ import annotations

from msgspec.structs import replace

from sqlflow.core.clock import never_the_same
from sqlflow.core.keeping import deletions_of
from sqlflow.core.modes import promised
from sqlflow.core.names import TableName, beside
from sqlflow.core.plan import Reason, ReasonKind, Step
from sqlflow.core.records import Change, TableRecord
from sqlflow.core.sql import compose
from sqlflow.core.ways import Method
from sqlflow.plan.draft import Draft, Sight, Write, seen
from sqlflow.plan.stale import changed_columns
from sqlflow.plan.subject import Subject, write
from sqlflow.plan.world import World
from sqlflow.quality.checks import checks_of


def rebuilt(
    sight: Sight,
    subject: Subject,
    reason: Reason,
    steps: tuple[Step, ...],
    record: TableRecord,
    opened: tuple[Step, ...] = (),
) -> Write:
    """The task that makes a table or view anew with these steps. `record`: see `record_of`."""
    header, before = subject.model.header, subject.before
    if not header.promise.is_view or checks_of(header):
        steps = (*steps, *seen(sight.world, subject.model))
    dropped, gone = leftover(sight.world, subject)
    if before is not None and promised(before.mode).keyed and not header.promise.keyed:
        dropped = (*dropped, forget(subject.table))
    draft = Draft(
        action="create view" if header.promise.is_view else "create table" if before is None else "rebuild table",
        strategy=Method.NONE if header.promise.is_view else Method.FULL,
        reason=reason,
        steps=(*dropped, *steps),
        record=record,
        intervals=record.done,
        signatures=sight.world.signatures(subject.table),
        forgotten=gone,
        opened=opened,
        anew=True,
    )
    word = "is redefined" if header.promise.is_view else "is rebuilt"
    return Write((draft,), record, f"{word} in this build", subject.causes)


def record_of(sight: Sight, subject: Subject, reason: Reason) -> TableRecord:
    """What will be remembered of a table that is made from scratch, with what an edit has changed."""
    before = subject.before
    change = Change(sight.next_version(subject))
    if before is not None and reason.kind in _EDITS:
        change = replace(change, columns=_edited_columns(sight, subject, before, reason), definition=True)
        change = replace(change, reset=reason.kind is ReasonKind.SETTINGS_CHANGED)
    return sight.record(subject, change)


_EDITS = frozenset(
    {
        ReasonKind.QUERY_CHANGED,
        ReasonKind.HEADER_CHANGED,
        ReasonKind.SETTINGS_CHANGED,
        ReasonKind.COLUMNS_CHANGED,
    }
)


def _edited_columns(sight: Sight, subject: Subject, before: TableRecord, reason: Reason) -> tuple[str, ...] | None:
    """The columns that an edit of the query changed, when surely nothing else changed in the table."""
    now, header = subject.model.fingerprint, subject.model.header
    found = sight.world.inputs.tables.get(subject.table)
    if (
        reason.kind is not ReasonKind.QUERY_CHANGED
        or before.fingerprint.header != now.header
        or before.fingerprint.reset(now)
        or header.before
        or header.after
        or never_the_same(subject.model.clock)
        or subject.model.stale_by
        or found is None
        or found.schema != before.schema
        or header.promise.keeps
        or _inputs_moved(sight, subject, before)
    ):
        return None
    changed = changed_columns(before.fingerprint, now)
    written = [name for name in subject.model.schema.names if name.lower() in subject.model.written]
    return None if changed is None else tuple(sorted({*changed, *written}))


def _inputs_moved(sight: Sight, subject: Subject, before: TableRecord) -> bool:
    if subject.model.header.promise.is_view:
        return False  # what a view reads is looked at through it
    return bool(sight.effect(subject.model, before))


def forget(table: TableName) -> Step:
    """Drop the remembered deletions of a table that is not merged any more."""
    return write(compose("DROP TABLE IF EXISTS {deleted}", deleted=deletions_of(table)))


def leftover(world: World, subject: Subject) -> tuple[tuple[Step, ...], tuple[TableName, ...]]:
    """What drops the half of a batched build that will not be finished."""
    building = staging_name(subject.table)
    if building not in world.inputs.records:
        return (), ()
    return (write(compose("DROP TABLE IF EXISTS {t}", t=building)),), (building,)


def staging_name(table: TableName) -> TableName:
    """Where a table is built batch by batch before it is swapped in."""
    return TableName(table.schema, beside(table.name, "__building"))
