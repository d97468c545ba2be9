"""`make_plan`: for each model, whether it runs, how and why."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime

from msgspec import Struct, field
from msgspec.structs import replace

from sqlflow.core.compiled import Compiled, CompiledModel
from sqlflow.core.config import Config, Request
from sqlflow.core.diagnostics import Diagnostic
from sqlflow.core.engine import Traits
from sqlflow.core.inputs import Inputs, InputState
from sqlflow.core.names import TableName
from sqlflow.core.plan import Plan, Reason, ReasonKind, SignatureUpdate, Task
from sqlflow.core.records import Change, Relation, TableKind, TableRecord
from sqlflow.core.seen import Read
from sqlflow.core.ways import Method
from sqlflow.plan import clocks, indexes, refusals
from sqlflow.plan.draft import Check, Decision, Draft, Leave, Rebuild, Refuse, Sight, Write, seen, task_of
from sqlflow.plan.inputs import plan_input
from sqlflow.plan.modes import MODES
from sqlflow.plan.rebuild import leftover, staging_name
from sqlflow.plan.stale import Version, rebuild_reason
from sqlflow.plan.subject import Subject
from sqlflow.plan.world import ShapeOf, World
from sqlflow.quality.checks import checks_of


def make_plan(
    compiled: Compiled,
    inputs: Inputs,
    config: Config,
    request: Request,
    selected: Collection[TableName],
    run_id: str,
    now: datetime,
    shape_of: ShapeOf,
    traits: Traits,
) -> Plan:
    """The plan of a build.

    `selected`: the models that may be built. `shape_of`: which changes of its inputs a model's query can follow. Refusals are
    errors in `Plan.problems`; a plan that has any must not be run. `traits`: of the engine; work that reads more than its
    memory is cut into batches where that can be done.
    """
    world = World(compiled, inputs, config, request, frozenset(selected), run_id, now, shape_of, traits)
    planner = _Planner(world)
    for name in sorted(inputs.states):
        planner.plan_input(name, inputs.states[name])
    for name in compiled.order:
        planner.plan_model(compiled.models[name])
    planner.leave_out(model.name for model in compiled.project.models if model.name not in compiled.models)
    return planner.finish()


class _Growing(Struct):
    """The plan while it grows; only `_Planner` sees it."""

    tasks: list[Task] = field(default_factory=list)
    skipped: dict[TableName, Reason] = field(default_factory=dict)
    settled: list[TableRecord] = field(default_factory=list)
    settled_signatures: dict[TableName, tuple[SignatureUpdate, ...]] = field(default_factory=dict)
    problems: list[Diagnostic] = field(default_factory=list)
    loads_first: set[str] = field(default_factory=set)


class _Planner:
    """One walk over the graph, parents first: a child's plan depends on what its parents' tasks will change."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._plan = _Growing()
        self._versions: dict[TableName, Version] = {}
        self._sight = Sight(world, self._versions)
        self._last_task: dict[TableName, str] = {}
        self._unbuilt: set[TableName] = set()  # of these it was told that they were never built, or why not

    def plan_input(self, name: TableName, state: InputState) -> None:
        planned = plan_input(self._world, name, state)
        self._versions[name] = planned.version
        self._refuse(planned.problem)
        if planned.task is not None:
            self._add(planned.task)
        if planned.settled is not None:
            self._plan.settled.append(planned.settled)

    def leave_out(self, names: Iterable[TableName]) -> None:
        """Models that are not selected and were not even compiled."""
        for name in names:
            self._plan.skipped[name] = Reason(ReasonKind.NOT_SELECTED, "not selected")

    def plan_model(self, model: CompiledModel) -> None:
        name = model.name
        self._note_loads(model)
        before = self._world.inputs.records.get(name)
        if model.header.promise.inlined:
            self._plan.skipped[name] = Reason(ReasonKind.NO_TABLE, "inline: put into its readers")
            return
        if before is not None:
            self._versions[name] = _version(model, before.version, before.changes, "", before.logged)
        if name not in self._world.selected:
            self._plan.skipped[name] = Reason(ReasonKind.NOT_SELECTED, "not selected")
            return
        if self._parents_missing(model):
            return
        if self._refuse(refusals.engine_lacks(self._world, model)):
            return
        if model.header.promise.tests:
            self._plan_test(model, before)
            return
        found = self._world.inputs.tables.get(name)
        standing = found.relation if found else None
        if self._refuse(refusals.made_by_another(self._world, name) or refusals.foreign(self._world, name)):
            return
        parted = str(model.header.partition_by or "")
        fits = found is not None and found.schema == model.schema and (before.partitioned if before else "") == parted
        subject = Subject(model, before, standing, self._world.zone, self._world.words, fits)
        differ = before.schema.differences(found.schema) if before and found else ()
        reason = rebuild_reason(model, before, standing, differ)
        if reason is None and self._world.request.full_refresh and not model.header.promise.is_view:
            reason = Reason(ReasonKind.REQUESTED, "asked for with --full-refresh")
        if reason is not None and before is not None and self._forbids(subject, reason):
            return
        if reason is not None or before is None:
            self._carry_out(subject, before, Rebuild(reason or Reason(ReasonKind.NEW, "it is new")))
            return
        self._update(subject, before)

    def _plan_test(self, model: CompiledModel, before: TableRecord | None) -> None:
        """A query that must return no rows runs when it is new, too."""
        subject = Subject(model, before, None, self._world.zone, self._world.words)
        if before is None:
            self._check(subject, self._sight.next_record(subject), Check(Reason(ReasonKind.NEW, "it is new")))
        else:
            self._update(subject, before)

    def _update(self, subject: Subject, before: TableRecord) -> None:
        """What the mode does about changes of what a table reads."""
        model = subject.model
        effect = self._sight.effect(model, before)
        clock = clocks.reason(self._world, model, before)
        same_checks = before.fingerprint.checks == model.fingerprint.checks
        if clock is None and effect and same_checks and all(self._may_stay(cause, before) for cause in effect.inputs):
            subject = replace(subject, causes=frozenset(effect.inputs))
        mode = MODES[model.header.mode]
        self._carry_out(subject, before, mode.update(self._sight, subject, before, effect, clock))

    def _carry_out(self, subject: Subject, before: TableRecord | None, decision: Decision) -> None:
        match decision:
            case Rebuild(reason, causes):
                mode = MODES[subject.model.header.mode]
                self._write(subject, mode.rebuild(self._sight, replace(subject, causes=causes), reason))
            case Write():
                self._write(subject, decision)
            case Refuse(problem):
                self._refuse(problem)
            case Check() if before is not None:
                self._check(subject, before, decision)
            case Leave() if before is not None:
                self._leave(subject, before)
            case _:
                raise AssertionError(decision)

    def _refuse(self, problem: Diagnostic | None) -> bool:
        if problem is not None:
            self._plan.problems.append(problem)
        return problem is not None

    def _forbids(self, subject: Subject, reason: Reason) -> bool:
        return self._refuse(refusals.forbidden(self._world, subject, reason))

    def _parents_missing(self, model: CompiledModel) -> bool:
        missing = refusals.missing_parents(self._world, model, self._last_task)
        for parent in missing:
            if parent not in self._unbuilt:
                self._plan.problems.append(refusals.parent_missing(model, parent))
                self._unbuilt |= {model.name, parent}
        return bool(missing)

    def _note_loads(self, model: CompiledModel) -> None:
        """Files of whose rows the partitions must be known, and are not before they are loaded."""
        if not model.header.promise.timed or model.name not in self._world.selected:
            return
        for name, mapping in model.times.items():
            state = self._world.inputs.states.get(name)
            if mapping.occurrences and state is not None and state.loads and name in self._last_task:
                self._plan.loads_first.add(self._last_task[name])

    def _may_stay(self, name: TableName, reader: TableRecord) -> bool:
        """Whether all that a reader has not seen of a table is what this build does to it, which may turn out to be
        nothing."""
        seen = reader.inputs.get(name.id) == Read(self._versions[name].number - 1)
        return seen and name in self._last_task and name in self._world.compiled.models

    # ------------------------------------------------------------------ what is done

    def _write(self, subject: Subject, written: Write) -> None:
        for draft in written.drafts:
            self._task(subject, draft, written.causes)
        record = written.record
        self._versions[subject.table] = _version(
            subject.model, record.version, record.changes, written.why, record.logged
        )

    def _check(self, subject: Subject, before: TableRecord, check: Check) -> None:
        """Only the checks: the object itself, if there is one, stays as it is."""
        promise = subject.model.header.promise
        record = replace(
            before,
            fingerprint=subject.model.fingerprint,
            inputs=self._sight.consumed(subject.model),
            clocks=clocks.shown(self._world, subject.model),
            run_id=self._world.run_id,
            committed_at=self._world.now,
        )
        draft = Draft(
            action="test" if promise.tests else "check",
            strategy=Method.NONE,
            reason=check.reason,
            steps=() if promise.is_table else seen(self._world, subject.model),
            record=record,
            before_hooks=False,
            after_hooks=False,
        )
        self._task(subject, draft, check.causes)

    def _leave(self, subject: Subject, before: TableRecord) -> None:
        """Nothing to do for the table; what it has read is now a newer version without a difference for it."""
        checked = checks_of(subject.model.header)
        if checked and before.fingerprint.checks != subject.model.fingerprint.checks:
            self._check(subject, before, Check(Reason(ReasonKind.CHECKS_CHANGED, "its checks changed"), subject.causes))
            return
        name = subject.table
        small = Draft(
            action="make indexes",
            strategy=Method.NONE,
            reason=Reason(ReasonKind.HEADER_CHANGED, "`@index` changed"),
            steps=(),
            record=before,
            audit=False,
            before_hooks=False,
            after_hooks=False,
        )
        if set(before.indexes) != set(indexes.wanted(subject)) and subject.standing is Relation.TABLE:
            self._task(subject, small, subject.causes)
            return
        steps, gone = leftover(self._world, subject)
        if steps:
            reason = Reason(ReasonKind.MISSING, "a batched build of it was given up")
            dropping = replace(small, action="drop what is left over", reason=reason, steps=steps, forgotten=gone)
            self._task(subject, dropping, subject.causes)
            return
        tested = Reason(ReasonKind.TESTED, "nothing that was read has changed since")
        test = subject.model.header.promise.tests
        self._plan.skipped[name] = tested if test else Reason(ReasonKind.UP_TO_DATE, "up to date")
        if any(parent in self._last_task for parent in self._world.data_inputs(subject.model)):
            return  # what the parent is about to do may fail: a later build, which sees it done, will note it
        consumed = self._sight.consumed(subject.model)
        shown = clocks.shown(self._world, subject.model)
        settled = replace(before, inputs=consumed, clocks=shown, fingerprint=subject.model.fingerprint)
        if settled != before:
            self._plan.settled.append(settled)
            updates = self._world.signatures(subject.table)
            if updates:
                self._plan.settled_signatures[name] = updates

    def _task(self, subject: Subject, draft: Draft, causes: frozenset[TableName]) -> None:
        self._add(task_of(self._world, subject, draft, self._needs(subject.model), causes))

    def _needs(self, model: CompiledModel) -> frozenset[str]:
        """The tasks of everything it, its checks and its hooks read, and its own batch before this one."""
        tables = {*self._world.waited_for(model), model.name}
        return frozenset(self._last_task[name] for name in tables if name in self._last_task)

    def _add(self, task: Task) -> None:
        steps = tuple(replace(step, sql=self._world.words.statement(step.sql)) for step in task.steps)
        self._plan.tasks.append(replace(task, steps=steps))
        self._last_task[task.table] = task.id

    def _tests_that_are_gone(self) -> tuple[TableName, ...]:
        kept = {model.name for model in self._world.compiled.project.models}
        records = self._world.inputs.records.items()
        return tuple(sorted(name for name, r in records if r.kind is TableKind.TEST and name not in kept))

    def finish(self) -> Plan:
        draft = self._plan
        return Plan(
            tasks=tuple(map(self._mine, draft.tasks)),
            skipped=draft.skipped,
            settled=self._settled(),
            settled_signatures=draft.settled_signatures,
            orphans=orphans(
                self._world.compiled, self._world.inputs.records, self._world.inputs.tables, self._world.project
            ),
            problems=tuple(draft.problems),
            loads_first=frozenset(draft.loads_first),
            forgotten=self._tests_that_are_gone(),
        )

    def _mine(self, task: Task) -> Task:
        """The task with the records as those of this project."""
        idle = None if task.idle is None else replace(task.idle, project=self._world.project)
        return replace(task, record=replace(task.record, project=self._world.project), idle=idle)

    def _settled(self) -> tuple[TableRecord, ...]:
        """The records that change without work: also those that an older version wrote, which do not say whose they are."""
        written = {record.table: replace(record, project=self._world.project) for record in self._plan.settled}
        ours = owned(self._world.compiled)
        for name, record in self._world.inputs.records.items():
            if not record.project and name in ours and name not in written and name not in self._last_task:
                written[name] = replace(record, project=self._world.project)
        return tuple(written.values())


def owned(compiled: Compiled) -> frozenset[TableName]:
    """The tables and views that the project's files are for, and those in which they are built batch by batch."""
    project = compiled.project
    models = {m.name for m in project.models if m.header.promise.stands}
    found = {*models, *project.seeds, *project.sources}
    return frozenset({*found, *map(staging_name, found)})


def orphans(
    compiled: Compiled, records: Mapping[TableName, TableRecord], tables: Collection[TableName], project: str
) -> tuple[TableName, ...]:
    """Tables and views that SQLFlow made for `project` and that nothing in it owns any more. With an empty name: those of
    which a record of an older version does not say whose they are."""
    ours = owned(compiled)
    found = [
        name
        for name, record in records.items()
        if name not in ours and name in tables and record.made and record.project == project
    ]
    return tuple(sorted(found))


def _version(model: CompiledModel, number: int, changes: tuple[Change, ...], why: str, logged: int | None) -> Version:
    time = model.header.time if model.header.promise.timed else None
    column = model.schema.find(time) if time is not None else None
    return Version(number, changes, why, column.name if column else None, column.type if column else "", logged)
