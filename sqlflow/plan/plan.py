"""`make_plan`: for each model, whether it runs, how and why."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from zoneinfo import ZoneInfo

from msgspec import Struct, field
from msgspec.structs import replace

from sqlflow.core.clock import never_the_same
from sqlflow.core.compiled import Compiled, CompiledModel
from sqlflow.core.config import Config, Request
from sqlflow.core.delta import Tier
from sqlflow.core.diagnostics import Diagnostic
from sqlflow.core.engine import Traits
from sqlflow.core.inputs import Inputs, InputState
from sqlflow.core.intervals import BEGINNING, END, NOTHING, IntervalSet, floor
from sqlflow.core.keeping import counters_of, deletions_of, log_of
from sqlflow.core.model import Header, Incremental
from sqlflow.core.modes import Mode, Strategy, promised
from sqlflow.core.names import TableName, beside
from sqlflow.core.plan import Audit, Parted, Plan, Reason, ReasonKind, SignatureUpdate, Step, StepKind, Task, Way
from sqlflow.core.records import Change, Relation, TableKind, TableRecord, first_version, version_of
from sqlflow.core.schema import Column, Schema
from sqlflow.core.sql import Ident, Sql, compose, render
from sqlflow.core.words import counted, sized
from sqlflow.plan import changelog, clocks, indexes, partitions, refusals, selfcheck, sizes, strategies
from sqlflow.plan.following import delta
from sqlflow.plan.following.choice import (
    Followed,
    NotFollowed,
    ShapeOf,
    counters_token,
    follow_or_not,
    insists,
    may_follow,
    would_follow,
)
from sqlflow.plan.following.delta import Changed
from sqlflow.plan.log import (
    Log,
    compared,
    swap_and_compare,
    swap_and_tell,
)
from sqlflow.plan.modes import append, full, incremental, merge, view
from sqlflow.plan.selfcheck import SelfCheck
from sqlflow.plan.stale import Effect, Version, changed_columns, effect_of_inputs, rebuild_reason
from sqlflow.plan.subject import ZONED, Subject, replace_table, within, write
from sqlflow.plan.world import World
from sqlflow.quality.checks import audits, checks_of, test_audits

_KEPT_CHANGES = 50


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

    `selected`: the models that may be built. `shape_of`: which changes of its inputs a model's query can follow. Refusals are errors in `Plan.problems`; a plan that has any must not
    be run. `traits`: of the engine; work that reads more than its memory is cut into batches where that can be done.
    """
    world = World(compiled, inputs, config, request, frozenset(selected), run_id, now, shape_of, traits)
    planner = _Planner(world)
    for name in sorted(inputs.states):
        planner.plan_input(name, inputs.states[name])
    for name in compiled.order:
        planner.plan_model(compiled.models[name])
    planner.leave_out(model.name for model in compiled.project.models if model.name not in compiled.models)
    return planner.finish()


class _Draft(Struct):
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
        self._draft = _Draft()
        self._versions: dict[TableName, Version] = {}
        self._last_task: dict[TableName, str] = {}
        self._unbuilt: set[TableName] = set()  # of these it was told that they were never built, or why not

    # ------------------------------------------------------------------ seeds and sources

    def plan_input(self, name: TableName, state: InputState) -> None:
        before = self._world.inputs.records.get(name)
        standing = self._world.inputs.tables.get(name)
        record, capture = changelog.captured(self._world, name, state, before)
        grew = state.growth.rows if capture and state.growth is not None else None
        self._versions[name] = Version(
            record.version, record.changes, _input_why(state), logged=record.logged, grew=grew, content=state.content
        )
        if state.work or state.loads or capture:
            steps = [write(sql, counts=record.kind is TableKind.SEED) for sql in state.work]
            if record.made and (state.work or state.loads):
                if self._refuse(refusals.made_by_another(self._world, name) or refusals.foreign(self._world, name)):
                    return
                if before is None and standing is not None and standing.relation is not record.relation:
                    kind = Sql(str(standing.relation).upper())
                    steps.insert(0, write(compose("DROP {kind} IF EXISTS {t}", kind=kind, t=name)))
            steps += [Step(StepKind.LOAD, load.reading, counts=True, load=load) for load in state.loads]
            steps += capture
            if record.kind is TableKind.SEED:
                signature = compose(
                    "SELECT count(*) || '|' || coalesce(CAST(sum({digest}) AS VARCHAR), 'None') FROM {t} AS _sqlflow_row",
                    digest=self._world.words.row_digest(record.schema),
                    t=name,
                )
                steps.append(Step(StepKind.MEASURE, signature, facts=("below",)))
            if state.copied is not None:
                steps.append(Step(StepKind.NOTED, Sql(""), inputs=(name,)))
            action = (
                "load seed" if record.kind is TableKind.SEED else "load files" if state.loads else "create source view"
            )
            if not state.work and not state.loads:
                action = "note new rows" if state.growth is not None else "compare with its copy"
            reason = Reason(ReasonKind.INPUT_CHANGED, state.changed or "its definition changed")
            self._add(Task(str(name), name, record.kind, action, "", "", reason, tuple(steps), record))
        elif record != before:
            self._draft.settled.append(record)

    # ------------------------------------------------------------------ models

    def leave_out(self, names: Iterable[TableName]) -> None:
        """Models that are not selected and were not even compiled."""
        for name in names:
            self._draft.skipped[name] = Reason(ReasonKind.NOT_SELECTED, "not selected")

    def plan_model(self, model: CompiledModel) -> None:
        name = model.name
        self._note_loads(model)
        before = self._world.inputs.records.get(name)
        if model.model.header.promise.inlined:
            self._draft.skipped[name] = Reason(ReasonKind.NO_TABLE, "inline: put into its readers")
            return
        if before is not None:
            self._versions[name] = self._version(model, before.version, before.changes, "", before.logged)
        if name not in self._world.selected:
            self._draft.skipped[name] = Reason(ReasonKind.NOT_SELECTED, "not selected")
            return
        if self._parents_missing(model):
            return
        if self._refuse(refusals.engine_lacks(self._world, model)):
            return
        if model.model.header.promise.tests:
            self._plan_test(model, before)
            return
        found = self._world.inputs.tables.get(name)
        standing = found.relation if found else None
        if self._refuse(refusals.made_by_another(self._world, name) or refusals.foreign(self._world, name)):
            return
        parted = str(model.model.header.partition_by or "")
        fits = found is not None and found.schema == model.schema and (before.partitioned if before else "") == parted
        subject = Subject(model, before, standing, self._world.zone, self._world.words, fits)
        differ = before.schema.differences(found.schema) if before and found else ()
        reason = rebuild_reason(model, before, standing, differ)
        if reason is None and self._world.request.full_refresh and not model.model.header.promise.is_view:
            reason = Reason(ReasonKind.REQUESTED, "asked for with --full-refresh")
        if reason is not None and before is not None and self._forbids(subject, reason):
            return
        if reason is not None or before is None:
            self._rebuild(subject, reason or Reason(ReasonKind.NEW, "it is new"))
            return
        effect = effect_of_inputs(
            model, before, self._versions, self._world.data_inputs(model), self._world.inputs, self._world.zone
        )
        clock = clocks.reason(self._world, model, before)
        same_checks = before.fingerprint.checks == model.fingerprint.checks
        if clock is None and effect and same_checks and all(self._may_stay(cause, before) for cause in effect.inputs):
            subject = replace(subject, causes=frozenset(effect.inputs))
        match model.model.header.mode:
            case Mode.VIEW:
                self._plan_view(subject, before, effect)
            case Mode.INCREMENTAL:
                self._plan_incremental(subject, before, effect, clock)
            case Mode.APPEND | Mode.MERGE:
                self._plan_keyed(subject, before, effect, clock)
            case _:
                self._plan_auto(subject, before, effect, clock)

    def _refuse(self, problem: Diagnostic | None) -> bool:
        if problem is not None:
            self._draft.problems.append(problem)
        return problem is not None

    def _forbids(self, subject: Subject, reason: Reason) -> bool:
        return self._refuse(refusals.forbidden(self._world, subject, reason))

    def _parents_missing(self, model: CompiledModel) -> bool:
        missing = refusals.missing_parents(self._world, model, self._last_task)
        for parent in missing:
            if parent not in self._unbuilt:
                self._draft.problems.append(refusals.parent_missing(model, parent))
                self._unbuilt |= {model.name, parent}
        return bool(missing)

    def _note_loads(self, model: CompiledModel) -> None:
        """Files of whose rows the partitions must be known, and are not before they are loaded."""
        if not model.model.header.promise.timed or model.name not in self._world.selected:
            return
        for name, mapping in model.times.items():
            state = self._world.inputs.states.get(name)
            if mapping.occurrences and state is not None and state.loads and name in self._last_task:
                self._draft.loads_first.add(self._last_task[name])

    def _may_stay(self, name: TableName, reader: TableRecord) -> bool:
        """Whether all that a reader has not seen of a table is what this build does to it, which may turn out to be
        nothing."""
        seen = reader.inputs.get(name.id) == str(self._versions[name].number - 1)
        return seen and name in self._last_task and name in self._world.compiled.models

    # ------------------------------------------------------------------ what is to be done, mode by mode

    def _plan_view(self, subject: Subject, before: TableRecord, effect: Effect) -> None:
        header = subject.model.model.header
        if checks_of(header) and (effect or before.fingerprint.checks != subject.model.fingerprint.checks):
            reason = (
                Reason(ReasonKind.INPUT_CHANGED, "; ".join(effect.why))
                if effect
                else Reason(ReasonKind.CHECKS_CHANGED, "its checks changed")
            )
            self._audit(subject, before, reason)
        else:
            self._leave(subject, before)

    def _plan_test(self, model: CompiledModel, before: TableRecord | None) -> None:
        """A query that must return no rows runs when it is new, was edited, or what it reads changed since it passed."""
        subject = Subject(model, before, None, self._world.zone, self._world.words)
        if before is None:
            record = self._record(subject, Change(first_version(self._world.now)))
            self._audit(subject, record, Reason(ReasonKind.NEW, "it is new"))
            return
        reason = None
        effect = effect_of_inputs(
            model, before, self._versions, self._world.data_inputs(model), self._world.inputs, self._world.zone
        )
        if before.fingerprint.query != model.fingerprint.query:
            reason = Reason(ReasonKind.QUERY_CHANGED, "its query changed")
        elif before.fingerprint.checks != model.fingerprint.checks:
            reason = Reason(ReasonKind.CHECKS_CHANGED, "its severity changed")
        elif self._world.request.full_refresh:
            reason = Reason(ReasonKind.REQUESTED, "asked for with --full-refresh")
        elif (clock := clocks.reason(self._world, model, before)) is not None:
            reason = clock
        elif effect:
            reason = Reason(ReasonKind.INPUT_CHANGED, "; ".join(effect.why))
            if all(self._may_stay(cause, before) for cause in effect.inputs):
                subject = replace(subject, causes=frozenset(effect.inputs))
        if reason is None:
            self._leave(subject, before)
        else:
            self._audit(subject, before, reason)

    def _plan_auto(self, subject: Subject, before: TableRecord, effect: Effect, clock: Reason | None) -> None:
        if not effect and clock is None:
            self._leave(subject, before)
            return
        reason = clock or Reason(ReasonKind.INPUT_CHANGED, "; ".join(effect.why))
        if clock is not None or effect.definition or not may_follow(subject.model.model.header):
            self._rebuild(subject, reason)
            return
        found = self._followed(subject, before, effect)
        if isinstance(found, NotFollowed):
            self._rebuild(subject, replace(reason, detail=f"{reason}; {found.why}"))
        else:
            self._follow(subject, before, found, reason)

    def _followed(self, subject: Subject, before: TableRecord, effect: Effect) -> Followed | NotFollowed:
        if before.distrusted:
            return NotFollowed(only_rebuilt(before))
        if before.counters and self._counters_edited(subject, before):
            return NotFollowed("its counters were changed by hand")
        changed = []
        rows: dict[TableName, int | None] = {}
        for name in (subject.table, *effect.inputs):
            if name in self._world.inputs.collated:
                return NotFollowed(f"`COLLATE` in `{name}`: different texts count as equal there")
        for name in effect.inputs:
            version, consumed = self._versions[name], before.inputs.get(name.id, "")
            state = self._world.inputs.states.get(name)
            after, beyond = version_of(consumed), None
            if not consumed.isdigit() and state is not None and state.growth is not None:
                beyond = state.growth.since.get(consumed)
            if (
                after is None
                or version.logged is None
                or after < version.logged
                or (beyond is None and "~" in consumed)
            ):
                return NotFollowed(self._not_told(subject.table, before, name))
            record = self._world.inputs.records.get(name)
            model = self._world.compiled.models.get(name)
            schema = model.schema if model is not None else self._world.compiled.columns[name]
            reader = record.reader if record is not None else ""
            changed.append(Changed(name, schema, after, version.number, log_of(name, reader), beyond))
            rows[name] = state.rows if state is not None else record.rows if record is not None else None
        return follow_or_not(subject.model, before, self._world.shape_of(subject.table), changed, self._versions, rows)

    def _counters_edited(self, subject: Subject, before: TableRecord) -> bool:
        shape, kept = self._world.shape_of(subject.table), self._world.inputs.kept.get(counters_of(subject.table).name)
        return before.counters == counters_token(shape) and kept != frozenset(n.lower() for n in shape.schema.names)

    def _not_told(self, table: TableName, before: TableRecord, name: TableName) -> str:
        """Why nobody says which rows of an input changed."""
        state, shape = self._world.inputs.states.get(name), self._world.shape_of(table)
        if state is None or state.growth is None:
            return f"what changed in `{name}` is not known row by row"
        if shape.grouping is not None and before.counters != counters_token(shape):
            return "its counters are not kept yet"
        rows = counted(state.growth.rows, "row")
        return f"a rebuild is cheaper than to follow the {rows} that were added to `{name}`"

    def _follow(self, subject: Subject, before: TableRecord, found: Followed, reason: Reason) -> None:
        """Bring the table up to date by the rows that changed."""
        shape = self._world.shape_of(subject.table)
        record = self._record(subject, Change(before.version + 1))
        record = replace(record, counters=counters_token(shape), runs=before.runs + 1)
        record, log = changelog.logged(self._world, subject.model.schema, before, record)
        timed = subject.model.model.header.promise.timed
        rebuild = incremental.rebuild(subject) if timed else (*delta.prime(subject, shape), *full.rebuild(subject))
        query = incremental.whole_query(subject) if timed else subject.query
        check = selfcheck.due(subject, shape, query, self._world.config.verify_every, self._world.run_id)
        moving = frozenset(self._world.moving(subject.model))
        steps = delta.follow(subject, shape, found.following, log, rebuild, check, moving)
        signatures = self._world.signatures(subject.table)
        if timed:
            record = replace(record, done=before.done, watermark=before.watermark)
            steps = (*steps, *incremental.measured(subject))
            # What is followed is what their own tasks find, of whose partitions nothing is known.
            followed = [item.table for item in found.following.changed if item.table in self._world.inputs.states]
            updates = [update for update in self._world.signatures(subject.table) if update.input not in followed]
            signatures = (*updates, *(SignatureUpdate(name, {}, whole=True) for name in followed))
        # Files are not held still by a transaction.
        loose = {n for n in moving & delta.read_as_they_are(shape, found.following) if self._world.is_files(n)}
        steps = (*steps, *self._seen(subject.model, loose, whole=False, only_if=delta.is_followed()))
        steps = (*steps, *self._seen(subject.model, only_if=delta.is_rebuilt()))
        self._model_task(
            subject,
            action="apply changes" if check is None else "apply changes and check a sample",
            strategy=found.strategy,
            reason=reason,
            steps=steps,
            record=record,
            signatures=signatures,
            ways=found.ways,
            opened=() if log is None else log.opened(subject.table),
        )
        self._changed(subject, record, "changes in this build")

    def _plan_keyed(self, subject: Subject, before: TableRecord, effect: Effect, clock: Reason | None) -> None:
        model = subject.model.model
        forgot = merge.remembers(subject) and deletions_of(subject.table).name not in self._world.inputs.kept
        if not effect and clock is None and not forgot:
            self._leave(subject, before)
            return
        reason = clock or Reason(ReasonKind.INPUT_CHANGED, "; ".join(effect.why))
        if forgot:
            why = "the table of its deleted keys is lost, so all that it reads is read again"
            reason = Reason(ReasonKind.MISSING, "; ".join((why, *effect.why)))
        if model.header.promise.keyed:
            choice = strategies.choice_of(model.header, before, subject.model.schema, self._world.words.prices)
            everything = effect.definition or clock is not None or forgot or model.header.incremental is Incremental.OFF
            ways = strategies.expected(choice, before)
            record, log = self._written(subject, before)
            steps = merge.update(subject, choice, log, everything=everything)
            self._write(subject, "merge", choice.fixed or "auto", reason, steps, record, log, ways)
            return
        if effect.definition and not model.header.full_refresh:
            self._forbids(subject, Reason(ReasonKind.PARENT_CHANGED, "; ".join(effect.why)))
            return
        if effect.reset and not self._world.request.full_refresh:
            self._refuse(refusals.reset(subject, "; ".join(effect.why)))
            return
        if effect.definition:
            edited = Reason(ReasonKind.PARENT_CHANGED, f"what it reads was edited: {'; '.join(effect.why)}")
            self._rebuild(subject, edited)
            return
        if model.header.incremental is Incremental.OFF:
            record = self._record(subject, Change(before.version + 1))
            self._write(subject, "rebuild table", "full", reason, append.anew(subject), record, None)
            return
        record, log = self._written(subject, before)
        self._write(subject, "append", "append", reason, append.update(subject, log), record, log)

    def _written(self, subject: Subject, before: TableRecord) -> tuple[TableRecord, Log | None]:
        return changelog.logged(
            self._world, subject.model.schema, before, self._record(subject, Change(before.version + 1))
        )

    def _plan_incremental(self, subject: Subject, before: TableRecord, effect: Effect, clock: Reason | None) -> None:
        header = subject.model.model.header
        domain = incremental.domain(subject)
        zone = self._time_zone(subject)
        requested = self._requested(subject).aligned(header.grain, zone)
        stale = domain if clock is not None else effect.intervals
        if stale and header.lookback is not None:
            stale |= self._lookback(subject, before)
        gaps = domain - before.done
        wanted = (stale.aligned(header.grain, zone) | gaps | requested) & domain
        # Only rows without a time changed; changes before `start`, on the other hand, are none of its business.
        nulls_only = bool(effect) and not effect.intervals
        if not wanted and not nulls_only:
            self._leave(subject, before)
            return
        if gaps or requested:
            subject = replace(subject, causes=frozenset())
        elif clock is None and not effect.definition and may_follow(header):
            unknown = wanted == domain and not nulls_only
            if (unknown and header.strategy is Strategy.AUTO) or header.strategy is Strategy.DELTA:
                found = self._followed(subject, before, effect)
                if isinstance(found, Followed):
                    self._follow(subject, before, found, Reason(ReasonKind.INPUT_CHANGED, "; ".join(effect.why)))
                    return
        reasons = [] if clock is None else [str(clock)]
        reasons += effect.why
        reasons += [f"not done yet: {gaps}"] if gaps else []
        reasons += ["asked for with --start/--end"] if requested else []
        kind = (
            ReasonKind.INPUT_CHANGED
            if effect or clock
            else ReasonKind.INTERVALS_MISSING
            if gaps
            else ReasonKind.REQUESTED
        )
        reason = Reason(kind, "; ".join(reasons))
        off = header.incremental is Incremental.OFF or header.strategy is Strategy.FULL or bool(before.distrusted)
        if before.distrusted:
            reason = replace(reason, detail=f"{reason}; {only_rebuilt(before)}")
        if (wanted == domain or off) and not header.full_refresh and not effect.loads:
            self._forbids(subject, reason)
        elif off or (wanted == domain and header.batch is None):
            self._rebuild(subject, reason)
        else:
            self._intervals(subject, before, wanted, reason)

    def _requested(self, subject: Subject) -> IntervalSet:
        if self._world.request.start is None and self._world.request.end is None:
            return NOTHING
        start, end = self._world.request.start or BEGINNING, self._world.request.end or END
        return IntervalSet.between(
            incremental.in_column_terms(subject, start), incremental.in_column_terms(subject, end)
        )

    def _lookback(self, subject: Subject, before: TableRecord) -> IntervalSet:
        header = subject.model.model.header
        if header.lookback is None or before.watermark is None:
            return NOTHING
        zone = self._time_zone(subject)
        try:
            mark = datetime.fromisoformat(before.watermark)
        except ValueError:
            return NOTHING
        mark = (
            mark.replace(tzinfo=self._world.now.tzinfo)
            if mark.tzinfo is None
            else mark.astimezone(self._world.now.tzinfo)
        )
        return IntervalSet.between(floor(header.lookback.before(mark), header.grain, zone), END)

    def _time_zone(self, subject: Subject) -> ZoneInfo | None:
        header = subject.model.model.header
        return self._world.zone if header.time is not None and subject.type_of(header.time) == ZONED else None

    def _intervals(self, subject: Subject, before: TableRecord, wanted: IntervalSet, reason: Reason) -> None:
        """Replace intervals of a table that stands, in batches if the author wants them."""
        header = subject.model.model.header
        certain = IntervalSet.of(i for i in wanted if i.start != BEGINNING and i.end != END)
        pieces, reason = self._pieces(subject, wanted, self._known_time(subject) | certain, reason)
        done = before.done - wanted
        record = self._record(subject, Change(before.version + 1, intervals=wanted))
        time = Sql(render(Ident(header.time or "")))
        kind = subject.type_of(header.time or "")
        record, log = changelog.logged(self._world, subject.model.schema, before, replace(record, runs=before.runs + 1))
        check = self._interval_check(subject)
        for number, piece in enumerate(pieces or [wanted]):
            done |= piece
            part: Sql | None = within(time, kind, piece, nulls=number == 0)
            action = f"replace {_intervals_of(piece)}"
            steps = incremental.update(subject, piece, nulls=number == 0)
            if log is not None and part is not None:
                steps = compared(subject, part, log if number == 0 else replace(log, begins=False), steps)
            if check is not None and number == max(len(pieces), 1) - 1:
                action, part = f"{action} and check a sample", None
                gap = () if log is None else (log.gap(),)
                steps = (*steps, *incremental.checked(check, gap, self._world.moving(subject.model)))
            steps = (*steps, *self._seen(subject.model, whole=False))
            self._model_task(
                subject,
                action=action,
                strategy="partition",
                reason=reason,
                steps=steps,
                record=replace(record, done=done, watermark=before.watermark),
                number=number if len(pieces) > 1 else None,
                intervals=piece,
                expected_rows=_share(before.rows, piece, self._known_time(subject)),
                part=part,
                opened=() if log is None else log.opened(subject.table),
                signatures=self._world.signatures(subject.table) if number == 0 else (),
                before_hooks=number == 0,
                after_hooks=number == len(pieces) - 1 or not pieces,
            )
        self._changed(subject, record, f"replaces {_intervals_of(wanted)} in this build")

    def _interval_check(self, subject: Subject) -> SelfCheck | None:
        """The self-check of a table whose intervals are replaced, if one is due and its query always gives the same."""
        query = incremental.whole_query(subject)
        check = selfcheck.due(subject, None, query, self._world.config.verify_every, self._world.run_id)
        if check is None or subject.model.clock or self._world.shape_of(subject.table).tier is Tier.REFUSED:
            return None
        return check

    def _rebuild(self, subject: Subject, reason: Reason) -> None:
        """Make the table from scratch."""
        header = subject.model.model.header
        if header.promise.timed:
            pieces, why = self._pieces(subject, incremental.domain(subject), self._known_time(subject), reason)
            if len(pieces) > 1:
                self._staged(subject, why, pieces)
                return
        prepared: tuple[Step, ...] = ()
        query, token = subject.query, ""
        match header.mode:
            case Mode.VIEW:
                action, strategy, steps = "create view", "", view.create(subject)
            case Mode.APPEND:
                action, strategy, steps = "create table", "full", append.rebuild(subject)
            case Mode.MERGE:
                keeps = self._kept_by_merge(subject, reason)
                action, strategy, steps = "create table", "full", merge.rebuild(subject, keeps)
            case Mode.INCREMENTAL:
                action, strategy, steps = "create table", "full", incremental.rebuild(subject)
            case _:
                if may_follow(header) and self._prepares(subject, reason):
                    shape = self._world.shape_of(subject.table)
                    prepared, token = delta.prime(subject, shape), counters_token(shape)
                    if reason.kind is ReasonKind.INPUT_CHANGED and not (subject.before and subject.before.distrusted):
                        query = delta.whole_query(subject, shape)
                action, strategy, steps = "create table", "full", replace_table(subject, query)
        before = subject.before
        change = Change(self._next_version(subject))
        if before is not None and reason.kind in _EDITS:
            change = replace(change, columns=self._edited_columns(subject, before, reason), definition=True)
            change = replace(change, reset=reason.kind is ReasonKind.SETTINGS_CHANGED)
        record = self._record(subject, change)
        if header.promise.timed:
            record = replace(record, done=incremental.domain(subject))
        if action == "create table" and before is not None:
            action = "rebuild table"
        opened: tuple[Step, ...] = ()
        if before is not None and self._may_be_the_same(subject, before, reason):
            building = staging_name(subject.table)
            record, log = changelog.logged(self._world, subject.model.schema, before, record)
            if log is not None:
                steps, opened = swap_and_compare(subject, building, query, log), log.opened(subject.table)
            elif self._world.is_read(subject.table):
                steps = swap_and_tell(subject, building, query)
        steps, record = (*prepared, *steps), replace(record, counters=token)
        if not header.promise.is_view or checks_of(header):
            steps = (*steps, *self._seen(subject.model))
        dropped, gone = self._leftover(subject)
        if before is not None and promised(before.mode).keyed and not header.promise.keyed:
            dropped = (*dropped, merge.forget(subject.table))
        steps = (*dropped, *steps)
        self._model_task(
            subject,
            action=action,
            strategy=strategy,
            reason=reason,
            steps=steps,
            record=record,
            intervals=record.done,
            signatures=self._world.signatures(subject.table),
            forgotten=gone,
            opened=opened,
            anew=True,
        )
        word = "is redefined" if header.promise.is_view else "is rebuilt"
        self._changed(subject, record, f"{word} in this build")

    def _may_be_the_same(self, subject: Subject, before: TableRecord, reason: Reason) -> bool:
        """Whether a rebuild may give the rows that the table has, in a way that can be compared."""
        found = self._world.inputs.tables.get(subject.table)
        return (
            subject.model.model.header.promise.whole
            and reason.kind in (ReasonKind.INPUT_CHANGED, ReasonKind.CLOCK)
            and subject.standing is Relation.TABLE
            and found is not None
            and found.schema == before.schema == subject.model.schema
        )

    def _prepares(self, subject: Subject, reason: Reason) -> bool:
        """Whether a rebuild also makes what following the next change takes: when the author insists, or when data has
        changed and rebuilding takes its time."""
        if insists(subject.model.model.header):
            return True
        before, inputs = subject.before, self._world.data_inputs(subject.model)
        if before is None or before.costs.get("full", 0.0) <= _WORTH_FOLLOWING:
            return False
        if reason.kind is not ReasonKind.INPUT_CHANGED or not any(map(self._world.tells, inputs)):
            return False
        # A change that would not be followed in any case says little for following the next one.
        shape = self._world.shape_of(subject.table)
        kept = replace(before, counters=counters_token(shape))
        states = [self._world.inputs.states.get(name) for name in inputs]
        return all(
            would_follow(subject.model, kept, shape, state.growth.rows, state.rows)
            for state in states
            if state is not None and state.growth is not None
        )

    def _leftover(self, subject: Subject) -> tuple[tuple[Step, ...], tuple[TableName, ...]]:
        """What drops the half of a batched build that will not be finished."""
        building = staging_name(subject.table)
        if building not in self._world.inputs.records:
            return (), ()
        return (write(compose("DROP TABLE IF EXISTS {t}", t=building)),), (building,)

    def _kept_by_merge(self, subject: Subject, reason: Reason) -> Schema:
        """The columns, as they stand, in which a merged table's rows that the source no longer has outlive a rebuild that the
        author did not ask for: one because the source's columns changed."""
        found = self._world.inputs.tables.get(subject.table)
        before = subject.before
        asked = self._world.request.full_refresh or reason.kind is not ReasonKind.COLUMNS_CHANGED
        if asked or found is None or before is None or not promised(before.mode).keyed:
            return Schema()
        shared = tuple(
            Column(c.name, was.type) for c in subject.model.schema if (was := found.schema.find(c.name)) is not None
        )
        key = subject.model.model.header.key
        return Schema(shared if all(found.schema.find(name) is not None for name in key) else ())

    def _edited_columns(self, subject: Subject, before: TableRecord, reason: Reason) -> tuple[str, ...] | None:
        """The columns that an edit of the query changed, when surely nothing else changed in the table."""
        now, header = subject.model.fingerprint, subject.model.model.header
        found = self._world.inputs.tables.get(subject.table)
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
            or self._inputs_moved(subject, before)
        ):
            return None
        changed = changed_columns(before.fingerprint, now)
        written = [name for name in subject.model.schema.names if name.lower() in subject.model.written]
        return None if changed is None else tuple(sorted({*changed, *written}))

    def _inputs_moved(self, subject: Subject, before: TableRecord) -> bool:
        if subject.model.model.header.promise.is_view:
            return False  # what a view reads is looked at through it
        return bool(
            effect_of_inputs(
                subject.model,
                before,
                self._versions,
                self._world.data_inputs(subject.model),
                self._world.inputs,
                self._world.zone,
            )
        )

    def _staged(self, subject: Subject, reason: Reason, pieces: list[IntervalSet]) -> None:
        """Build a table batch by batch beside the old one, and swap it in when it is complete.

        Each batch is its own commit. What is done is remembered under the name of the staging table, so a build that
        is killed goes on where it was, if nothing changed since.
        """
        model = subject.model
        name = staging_name(subject.table)
        staged_model = replace(model, model=replace(model.model, name=name))
        record = self._record(subject, Change(self._next_version(subject)))
        done_before = self._world.inputs.records.get(name)
        standing = self._world.inputs.tables.get(name)
        resume = (
            done_before is not None
            and standing is not None
            and done_before.fingerprint == record.fingerprint
            and done_before.inputs == record.inputs
            and done_before.schema == record.schema == standing.schema
        )
        done = done_before.done if resume and done_before is not None else NOTHING
        if not resume:
            done_before = None
        staged = Subject(
            staged_model, done_before, Relation.TABLE if standing else None, self._world.zone, self._world.words
        )
        left = [piece for piece in pieces if piece - done]
        for number, piece in enumerate(left):
            begins = not done
            done |= piece
            steps = incremental.first_batch(staged, piece) if begins else incremental.update(staged, piece, nulls=False)
            steps = (*steps, *self._seen(model, whole=False))
            self._model_task(
                subject,
                action=f"build {_intervals_of(piece)}",
                strategy="batches",
                reason=reason,
                steps=steps,
                record=replace(record, table=name, done=done),
                number=number,
                intervals=piece,
                audit=False,
                before_hooks=number == 0,
                after_hooks=False,
            )
        final = replace(record, done=incremental.domain(subject))
        self._model_task(
            subject,
            action="swap in the table",
            strategy="batches",
            reason=reason,
            steps=(*incremental.swap(subject, staged), *self._seen(model, whole=False)),
            record=final,
            number=len(left),
            before_hooks=not left,
            intervals=final.done,
            signatures=self._world.signatures(subject.table),
            forgotten=(name,),
            anew=True,
        )
        self._changed(subject, final, "is rebuilt in this build")

    def _pieces(
        self, subject: Subject, wanted: IntervalSet, known: IntervalSet, reason: Reason
    ) -> tuple[list[IntervalSet], Reason]:
        """`wanted` in batches, as the author says, or as the memory does; and the reason with the numbers behind them."""
        header, zone = subject.model.model.header, self._time_zone(subject)
        if header.batch is not None:
            return partitions.cut(wanted, known, header.batch, header.grain, zone), reason
        if self._world.traits.memory is None or "batch" in header.spans:  # `batch: none`
            return [wanted], reason
        found = sizes.reading(
            subject.model, self._world.signatures(subject.table), self._world.compiled.columns, wanted, zone
        )
        if found is None or found.size <= self._world.traits.memory:
            return [wanted], reason
        pieces = sizes.cut(wanted, found, self._world.traits.memory // 2)
        why = f"in {len(pieces)} batches, as it reads {found}, and {sized(self._world.traits.memory)} of memory may be used"
        return pieces, replace(reason, detail=f"{reason}; {why}") if len(pieces) > 1 else reason

    def _known_time(self, subject: Subject) -> IntervalSet:
        """The time that the inputs are known to have rows for."""
        found = NOTHING
        for update in self._world.signatures(subject.table):
            there = [name for name, signature in update.partitions.items() if signature is not None]
            found |= partitions.changed_partitions(subject.model, there, self._time_zone(subject))
        if subject.before is not None:
            found |= IntervalSet.of(i for i in subject.before.done if i.start != BEGINNING and i.end != END)
        return found

    def _write(
        self,
        subject: Subject,
        action: str,
        strategy: str,
        reason: Reason,
        steps: tuple[Step, ...],
        record: TableRecord,
        log: Log | None,
        ways: tuple[Way, ...] = (),
    ) -> None:
        before = subject.before
        assert before is not None
        record = replace(record, watermark=before.watermark, below=before.below, rows=None)
        steps = (*steps, _count_rows(subject), *self._seen(subject.model))
        self._model_task(
            subject, action=action, strategy=strategy, reason=reason, steps=steps, record=record, ways=ways,
            opened=() if log is None else log.opened(subject.table),
        )  # fmt: skip
        self._changed(subject, record, "has new rows in this build")

    def _audit(self, subject: Subject, before: TableRecord, reason: Reason) -> None:
        """Only the checks: the object itself, if there is one, stays as it is."""
        record = replace(
            before,
            fingerprint=subject.model.fingerprint,
            inputs=self._consumed(subject.model),
            run_id=self._world.run_id,
            committed_at=self._world.now,
        )
        self._model_task(
            subject,
            action="test" if subject.model.model.header.promise.tests else "check",
            strategy="",
            reason=reason,
            steps=self._seen(subject.model) if not subject.model.model.header.promise.is_table else (),
            record=record,
            before_hooks=False,
            after_hooks=False,
        )

    def _leave(self, subject: Subject, before: TableRecord) -> None:
        """Nothing to do for the table; what it has read is now a newer version without a difference for it."""
        checked = checks_of(subject.model.model.header)
        if checked and before.fingerprint.checks != subject.model.fingerprint.checks:
            self._audit(subject, before, Reason(ReasonKind.CHECKS_CHANGED, "its checks changed"))
            return
        name = subject.table
        if set(before.indexes) != set(indexes.wanted(subject)) and subject.standing is Relation.TABLE:
            self._model_task(
                subject, action="make indexes", strategy="", reason=Reason(ReasonKind.HEADER_CHANGED, "`@index` changed"),
                steps=(), record=before, audit=False, before_hooks=False, after_hooks=False,
            )  # fmt: skip
            return
        steps, gone = self._leftover(subject)
        if steps:
            reason = Reason(ReasonKind.MISSING, "a batched build of it was given up")
            self._model_task(
                subject, action="drop what is left over", strategy="", reason=reason, steps=steps, record=before,
                audit=False, before_hooks=False, after_hooks=False, forgotten=gone,
            )  # fmt: skip
            return
        tested = Reason(ReasonKind.TESTED, "nothing that was read has changed since")
        test = subject.model.model.header.promise.tests
        self._draft.skipped[name] = tested if test else Reason(ReasonKind.UP_TO_DATE, "up to date")
        if any(parent in self._last_task for parent in self._world.data_inputs(subject.model)):
            return  # what the parent is about to do may fail: a later build, which sees it done, will note it
        consumed = self._consumed(subject.model)
        if before.inputs != consumed or before.fingerprint != subject.model.fingerprint:
            self._draft.settled.append(replace(before, inputs=consumed, fingerprint=subject.model.fingerprint))
            updates = self._world.signatures(subject.table)
            if updates:
                self._draft.settled_signatures[name] = updates

    # ------------------------------------------------------------------ parts of a task

    def _seen(
        self,
        model: CompiledModel,
        inputs: Collection[TableName] | None = None,
        *,
        whole: bool = True,
        only_if: Sql | None = None,
    ) -> tuple[Step, ...]:
        """The step that finds out what was read of these inputs of a model, or of all. `whole`: for all rows of its table."""
        names = tuple(n for n in self._world.moving(model) if inputs is None or n in inputs)
        if not names:
            return ()
        updates = {update.input: update for update in self._world.signatures(model.name)}
        parted = tuple(
            Parted(name, self._world.inputs.parted[model.name, name], updates.get(name))
            for name in names
            if (model.name, name) in self._world.inputs.parted
        )
        return (Step(StepKind.SEEN, Sql(""), only_if=only_if, inputs=names, whole=whole, parted=parted),)

    def _consumed(self, model: CompiledModel) -> dict[str, str]:
        """The versions of everything that the model reads, as they will be when it runs."""
        tokens = {n.id: str(self._versions[n].number) for n in self._world.data_inputs(model) if n in self._versions}
        return {**tokens, **clocks.tokens(self._world, model)}

    def _next_version(self, subject: Subject) -> int:
        return first_version(self._world.now) if subject.before is None else subject.before.version + 1

    def _record(self, subject: Subject, change: Change) -> TableRecord:
        before = subject.before
        mode, promise = subject.model.model.header.mode, subject.model.model.header.promise
        kind = TableKind.TEST if promise.tests else TableKind.MODEL
        earlier = before.changes[-(_KEPT_CHANGES - 1) :] if before else ()
        return TableRecord(
            table=subject.table,
            kind=kind,
            relation=promise.relation,
            fingerprint=subject.model.fingerprint,
            schema=subject.model.schema,
            version=change.version,
            run_id=self._world.run_id,
            committed_at=self._world.now,
            changes=(*earlier, change),
            inputs=self._consumed(subject.model),
            mode=str(mode),
            costs=before.costs if before else {},
            paces=before.paces if before else {},
            distrusted=before.distrusted if before else "",
            indexes=before.indexes if before else (),
        )

    def _model_task(
        self,
        subject: Subject,
        *,
        action: str,
        strategy: str,
        reason: Reason,
        steps: tuple[Step, ...],
        record: TableRecord,
        number: int | None = None,
        intervals: IntervalSet = NOTHING,
        part: Sql | None = None,
        signatures: tuple[SignatureUpdate, ...] = (),
        audit: bool = True,
        before_hooks: bool = True,
        after_hooks: bool = True,
        forgotten: tuple[TableName, ...] = (),
        ways: tuple[Way, ...] = (),
        opened: tuple[Step, ...] = (),
        anew: bool = False,
        expected_rows: int | None = None,
    ) -> None:
        model = subject.model
        header = model.model.header
        if record.relation is Relation.TABLE and record.table == model.name:  # no batch of one that is built beside it
            steps, record = self._indexed(subject, steps, record, anew=anew)
        if before_hooks:
            steps = (*_hooks("before", header), *steps)
        if after_hooks:
            steps = (*steps, *_hooks("after", header))
            if header.after and anew and not header.promise.is_view:
                steps = (*steps, replace(_count_rows(subject), counts=True))
        found = self._audits(subject, part) if audit else ()
        identity = str(subject.table) if number is None else f"{subject.table}#{number + 1}"
        before = subject.before
        causes = subject.causes if number is None and before is not None else frozenset()
        self._add(
            Task(
                id=identity,
                table=subject.table,
                kind=record.kind,
                action=action,
                mode=str(header.mode),
                strategy=strategy,
                reason=reason,
                steps=steps,
                record=record,
                needs=self._needs(model),
                intervals=intervals,
                audits=found,
                span=model.query.span(0),
                query=model.query,
                signatures=signatures,
                forgotten=forgotten,
                ways=ways,
                causes=causes,
                idle=_untouched(before, record) if causes and before is not None else None,
                idle_steps=opened if causes else (),
                expected_seconds=before.seconds if before is not None and before.seconds else None,
                expected_rows=before.rows if before is not None and anew else expected_rows,
                measured=strategies.described(before) if ways and header.promise.keyed else "",
            )
        )

    @staticmethod
    def _audits(subject: Subject, part: Sql | None) -> tuple[Audit, ...]:
        model = subject.model
        header = model.model.header
        if header.promise.tests:
            return test_audits(model)
        return audits(subject.table, checks_of(header), part, model.schema.names)

    def _indexed(
        self, subject: Subject, steps: tuple[Step, ...], record: TableRecord, *, anew: bool
    ) -> tuple[tuple[Step, ...], TableRecord]:
        """The steps with those that make indexes and drop others. `anew`: all rows are written, which goes faster without."""
        before = subject.before.indexes if subject.before is not None else ()
        wanted = indexes.wanted(subject)
        if anew:
            steps = (*indexes.drop(subject.table, before), *steps, *indexes.create(subject, wanted))
        else:
            steps = (*steps, *indexes.drop(subject.table, [name for name in before if name not in wanted]))
            steps += indexes.create(subject, [name for name in wanted if name not in before])
        analyzed = self._world.words.analyzed(subject.table) if steps else None
        if analyzed is not None:
            steps = (*steps, write(analyzed[0], only_if=analyzed[1]))
        parts = subject.model.model.header.partition_by
        if parts is not None and steps:
            steps = (*steps, write(self._world.words.settle(subject.table, parts)))
        return steps, replace(record, indexes=tuple(wanted), partitioned=str(parts or ""))

    def _needs(self, model: CompiledModel) -> frozenset[str]:
        """The tasks of everything it reads, and its own batch before this one."""
        tables = {*self._world.data_inputs(model), *model.checked_against, *model.ordered_after, model.name}
        return frozenset(self._last_task[name] for name in tables if name in self._last_task)

    def _add(self, task: Task) -> None:
        steps = tuple(replace(step, sql=self._world.words.statement(step.sql)) for step in task.steps)
        self._draft.tasks.append(replace(task, steps=steps))
        self._last_task[task.table] = task.id

    def _changed(self, subject: Subject, record: TableRecord, why: str) -> None:
        self._versions[subject.table] = self._version(subject.model, record.version, record.changes, why, record.logged)

    def _version(
        self, model: CompiledModel, number: int, changes: tuple[Change, ...], why: str, logged: int | None
    ) -> Version:
        time = model.model.header.time if model.model.header.promise.timed else None
        column = model.schema.find(time) if time is not None else None
        return Version(number, changes, why, column.name if column else None, column.type if column else "", logged)

    def _tests_that_are_gone(self) -> tuple[TableName, ...]:
        kept = {model.name for model in self._world.compiled.project.models}
        records = self._world.inputs.records.items()
        return tuple(sorted(name for name, r in records if r.kind is TableKind.TEST and name not in kept))

    def finish(self) -> Plan:
        draft = self._draft
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
        written = {record.table: replace(record, project=self._world.project) for record in self._draft.settled}
        ours = owned(self._world.compiled)
        for name, record in self._world.inputs.records.items():
            if not record.project and name in ours and name not in written and name not in self._last_task:
                written[name] = replace(record, project=self._world.project)
        return tuple(written.values())


def _share(rows: int | None, piece: IntervalSet, known: IntervalSet) -> int | None:
    """How many of a table's rows lie in a part of the time that they are known to be of, if they lie evenly."""
    whole, part = (sum((i.end - i.start).total_seconds() for i in found) for found in (known, known & piece))
    return round(rows * part / whole) if rows is not None and 0 < part < whole else None


def only_rebuilt(before: TableRecord) -> str:
    """Why a table that is not trusted is rebuilt, in words."""
    return f"it is only rebuilt until `sqlflow verify --release` finds it equal: {before.distrusted}"


def _untouched(before: TableRecord, record: TableRecord) -> TableRecord:
    """The record of a table that is left as it is because nothing that it reads has changed after all."""
    return replace(
        before,
        version=record.version,
        changes=(*record.changes[:-1], Change(record.version, columns=())),
        inputs=record.inputs,
        fingerprint=record.fingerprint,
        run_id=record.run_id,
        committed_at=record.committed_at,
        logged=record.logged,
    )


def staging_name(table: TableName) -> TableName:
    """Where a table is built batch by batch before it is swapped in."""
    return TableName(table.schema, beside(table.name, "__building"))


_WORTH_FOLLOWING = 0.05  # seconds of a rebuild

_EDITS = frozenset(
    {
        ReasonKind.QUERY_CHANGED,
        ReasonKind.HEADER_CHANGED,
        ReasonKind.SETTINGS_CHANGED,
        ReasonKind.COLUMNS_CHANGED,
    }
)


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


def _hooks(label: str, header: Header) -> tuple[Step, ...]:
    """The author's own statements before or after a write."""
    statements = header.before if label == "before" else header.after
    return tuple(Step(StepKind.WRITE, Sql(sql), label=label, span=header.spans.get(label)) for sql in statements)


def _count_rows(subject: Subject) -> Step:
    return Step(StepKind.MEASURE, compose("SELECT count(*) FROM {t}", t=subject.table), facts=("rows",))


def _input_why(state: InputState) -> str:
    return f"changed ({state.changed})" if state.changed else "changed"


def _intervals_of(intervals: IntervalSet) -> str:
    if len(intervals) == 1 and not intervals.everything:
        return str(intervals.intervals[0])
    return "everything" if intervals.everything else f"{len(intervals)} intervals"
