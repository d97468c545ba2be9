"""What a mode decides of a table when it is its turn, and the task that comes of it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime

from msgspec import Struct
from msgspec.structs import replace

from sqlflow.core.compiled import CompiledModel
from sqlflow.core.diagnostics import Diagnostic
from sqlflow.core.intervals import NOTHING, IntervalSet
from sqlflow.core.model import Header
from sqlflow.core.names import TableName
from sqlflow.core.plan import Audit, Parted, Reason, SignatureUpdate, Step, StepKind, Task, Way
from sqlflow.core.records import Change, Relation, TableKind, TableRecord, first_version
from sqlflow.core.seen import Read
from sqlflow.core.sql import Sql, compose
from sqlflow.core.ways import Fact, Method
from sqlflow.plan import clocks, indexes, strategies
from sqlflow.plan.log import Log
from sqlflow.plan.stale import Effect, Version, effect_of_inputs
from sqlflow.plan.subject import Subject, write
from sqlflow.plan.world import World
from sqlflow.quality.checks import audits, checks_of, test_audits

_KEPT_CHANGES = 50


class Draft(Struct, frozen=True):
    """A task of a table before hooks, checks and indexes are put to it. `record`: what will be true afterwards.

    `number`: which of several tasks of the table. `part`: the rows that are checked, if not all. `opened`: what still must
    be done where nothing that it reads has changed after all. `anew`: all rows are written.
    """

    action: str
    strategy: Method
    reason: Reason
    steps: tuple[Step, ...]
    record: TableRecord
    number: int | None = None
    intervals: IntervalSet = NOTHING
    part: Sql | None = None
    signatures: tuple[SignatureUpdate, ...] = ()
    audit: bool = True
    before_hooks: bool = True
    after_hooks: bool = True
    forgotten: tuple[TableName, ...] = ()
    ways: tuple[Way, ...] = ()
    opened: tuple[Step, ...] = ()
    anew: bool = False
    expected_rows: int | None = None


class Write(Struct, frozen=True):
    """The table is written. `record`: as its readers will find it. `why`: what happens to it, in their words. `causes`: it
    is written because of these tables alone, and they may turn out to have changed nothing."""

    drafts: tuple[Draft, ...]
    record: TableRecord
    why: str
    causes: frozenset[TableName] = frozenset()


class Check(Struct, frozen=True):
    """Only the checks: the object itself, if there is one, stays as it is. `causes`: as of a `Write`."""

    reason: Reason
    causes: frozenset[TableName] = frozenset()


class Rebuild(Struct, frozen=True):
    """The table is made from scratch. `causes`: as of a `Write`."""

    reason: Reason
    causes: frozenset[TableName] = frozenset()


class Refuse(Struct, frozen=True):
    """The build stops here."""

    problem: Diagnostic


class Leave(Struct, frozen=True):
    """Nothing is to be done."""


Decision = Write | Check | Rebuild | Refuse | Leave


class Sight(Struct, frozen=True):
    """What a mode sees when it is its turn: the world, and the versions that its inputs will have by then."""

    world: World
    versions: Mapping[TableName, Version]

    def effect(self, model: CompiledModel, before: TableRecord) -> Effect:
        """What the changes of its inputs mean for a model."""
        inputs = self.world.data_inputs(model)
        return effect_of_inputs(model, before, self.versions, inputs, self.world.inputs, self.world.zone)

    def consumed(self, model: CompiledModel) -> dict[str, Read]:
        """The versions of everything that the model reads, as they will be when it runs."""
        inputs = self.world.data_inputs(model)
        return {name.id: Read(self.versions[name].number) for name in inputs if name in self.versions}

    def record(self, subject: Subject, change: Change) -> TableRecord:
        """What will be remembered of a table after this change."""
        before, header = subject.before, subject.model.header
        earlier = before.changes[-(_KEPT_CHANGES - 1) :] if before else ()
        return TableRecord(
            table=subject.table,
            kind=TableKind.TEST if header.promise.tests else TableKind.MODEL,
            relation=header.promise.relation,
            fingerprint=subject.model.fingerprint,
            schema=subject.model.schema,
            version=change.version,
            run_id=self.world.run_id,
            committed_at=self.world.now,
            changes=(*earlier, change),
            inputs=self.consumed(subject.model),
            clocks=clocks.shown(self.world, subject.model),
            mode=str(header.mode),
            costs=before.costs if before else {},
            followed=before.followed if before else {},
            paces=before.paces if before else {},
            distrusted=before.distrusted if before else "",
            indexes=before.indexes if before else (),
        )

    def next_record(self, subject: Subject) -> TableRecord:
        """As `record`, of a change that nothing more is known about."""
        return self.record(subject, Change(self.next_version(subject)))

    def next_version(self, subject: Subject) -> int:
        return first_version(self.world.now) if subject.before is None else subject.before.version + 1


def has_new_rows(
    sight: Sight,
    subject: Subject,
    action: str,
    strategy: Method,
    reason: Reason,
    steps: tuple[Step, ...],
    record: TableRecord,
    log: Log | None,
    ways: tuple[Way, ...] = (),
) -> Write:
    """Rows were added to a table that keeps what it has; how many it has is counted."""
    before = subject.before
    assert before is not None
    record = replace(record, watermark=before.watermark, seen=before.seen, rows=None)
    draft = Draft(
        action,
        strategy,
        reason,
        (*steps, _count_rows(subject), *seen(sight.world, subject.model)),
        record,
        ways=ways,
        opened=() if log is None else log.opened(subject.table),
    )
    return Write((draft,), record, "has new rows in this build", subject.causes)


def seen(
    world: World,
    model: CompiledModel,
    inputs: Collection[TableName] | None = None,
    *,
    whole: bool = True,
    only_if: Sql | None = None,
) -> tuple[Step, ...]:
    """The step that finds out what was read of these inputs of a model, or of all. `whole`: for all rows of its table."""
    names = tuple(n for n in world.moving(model) if inputs is None or n in inputs)
    if not names:
        return ()
    updates = {update.input: update for update in world.signatures(model.name)}
    parted = tuple(
        Parted(name, world.inputs.parted[model.name, name], updates.get(name))
        for name in names
        if (model.name, name) in world.inputs.parted
    )
    return (Step(StepKind.SEEN, Sql(""), only_if=only_if, inputs=names, whole=whole, parted=parted),)


def task_of(
    world: World, subject: Subject, draft: Draft, needs: frozenset[str], causes: frozenset[TableName] = frozenset()
) -> Task:
    """The task with hooks, indexes and checks. `needs`: the tasks that come before."""
    model, before, record, steps = subject.model, subject.before, draft.record, draft.steps
    header = model.header
    if record.relation is Relation.TABLE and record.table == model.name:  # no batch of one that is built beside it
        steps, record = _indexed(subject, steps, record, anew=draft.anew)
    if draft.before_hooks:
        steps = (*_hooks("before", header), *steps)
    if draft.after_hooks:
        steps = (*steps, *_hooks("after", header))
        if header.after and draft.anew and not header.promise.is_view:
            steps = (*steps, replace(_count_rows(subject), counts=True))
    causes = causes if draft.number is None and before is not None else frozenset()
    return Task(
        id=str(subject.table) if draft.number is None else f"{subject.table}#{draft.number + 1}",
        table=subject.table,
        kind=record.kind,
        action=draft.action,
        mode=str(header.mode),
        strategy=draft.strategy,
        reason=draft.reason,
        steps=steps,
        record=record,
        needs=needs,
        intervals=draft.intervals,
        audits=_audits(subject, draft.part, world.now) if draft.audit else (),
        span=model.query.span(0),
        query=model.query,
        signatures=draft.signatures,
        forgotten=draft.forgotten,
        ways=draft.ways,
        causes=causes,
        idle=_untouched(before, record) if causes and before is not None else None,
        idle_steps=draft.opened if causes else (),
        expected_seconds=before.seconds if before is not None and before.seconds else None,
        expected_rows=before.rows if before is not None and draft.anew else draft.expected_rows,
        measured=strategies.described(before) if draft.ways and header.promise.keyed else "",
    )


def _audits(subject: Subject, part: Sql | None, now: datetime) -> tuple[Audit, ...]:
    header = subject.model.header
    if header.promise.tests:
        return test_audits(subject.model)
    return audits(subject.table, checks_of(header), part, subject.model.schema.names, now)


def _indexed(
    subject: Subject, steps: tuple[Step, ...], record: TableRecord, *, anew: bool
) -> tuple[tuple[Step, ...], TableRecord]:
    """The steps with those that make indexes and drop others. `anew`: all rows are written, which goes faster without."""
    before = subject.before.indexes if subject.before is not None else ()
    wanted = indexes.wanted(subject)
    if anew:
        steps = (*indexes.drop(subject.table, before), *steps, *indexes.create(subject, wanted))
    else:
        steps = (*steps, *indexes.drop(subject.table, [name for name in before if name not in wanted]))
        steps += indexes.create(subject, [name for name in wanted if name not in before])
    analyzed = subject.words.analyzed(subject.table) if steps else None
    if analyzed is not None:
        steps = (*steps, write(analyzed[0], only_if=analyzed[1]))
    parts = subject.model.header.partition_by
    if parts is not None and steps:
        steps = (*steps, write(subject.words.add_partitions(subject.table, parts)))
    return steps, replace(record, indexes=tuple(wanted), partitioned=str(parts or ""))


def _untouched(before: TableRecord, record: TableRecord) -> TableRecord:
    """The record of a table that is left as it is because nothing that it reads has changed after all."""
    return replace(
        before,
        version=record.version,
        changes=(*record.changes[:-1], Change(record.version, columns=())),
        inputs=record.inputs,
        clocks=record.clocks,
        fingerprint=record.fingerprint,
        run_id=record.run_id,
        committed_at=record.committed_at,
        logged=record.logged,
    )


def _hooks(label: str, header: Header) -> tuple[Step, ...]:
    """The author's own statements before or after a write."""
    statements = header.before if label == "before" else header.after
    return tuple(Step(StepKind.WRITE, Sql(sql), label=label, span=header.spans.get(label)) for sql in statements)


def _count_rows(subject: Subject) -> Step:
    return Step(StepKind.MEASURE, compose("SELECT count(*) FROM {t}", t=subject.table), facts=(Fact.ROWS,))
