"""`incremental`: which intervals of the time column are replaced; see `intervals.py` for how."""

from __future__ import annotations

from datetime import datetime

from msgspec.structs import replace

from sqlflow.core.following import Shape, Tier
from sqlflow.core.intervals import BEGINNING, END, NOTHING, IntervalSet, floor
from sqlflow.core.model import Incremental
from sqlflow.core.modes import Strategy
from sqlflow.core.plan import Reason, ReasonKind
from sqlflow.core.records import Change, Relation, TableRecord
from sqlflow.core.sql import Ident, Sql, render
from sqlflow.core.ways import Method
from sqlflow.plan import refusals, selfcheck
from sqlflow.plan.draft import Decision, Draft, Leave, Rebuild, Refuse, Sight, Write, seen
from sqlflow.plan.following import changelog
from sqlflow.plan.following.apply import follow, followed, only_rebuilt
from sqlflow.plan.following.choice import Followed
from sqlflow.plan.log import compared
from sqlflow.plan.modes import intervals
from sqlflow.plan.modes.batches import in_words, known_time, pieces_of, share_of, time_zone
from sqlflow.plan.rebuild import rebuilt, record_of, staging_name
from sqlflow.plan.selfcheck import SelfCheck
from sqlflow.plan.stale import Effect
from sqlflow.plan.subject import Subject, within
from sqlflow.plan.verify import Proof, equals_query
from sqlflow.plan.world import World, may_follow


def update(sight: Sight, subject: Subject, before: TableRecord, effect: Effect, clock: Reason | None) -> Decision:
    """Intervals are replaced in which rows may differ, that are not done yet, or that were asked for."""
    header = subject.model.header
    domain = intervals.domain(subject)
    zone = time_zone(subject)
    requested = _requested(sight.world, subject).aligned(header.grain, zone)
    stale = domain if clock is not None else effect.intervals
    if stale and header.lookback is not None:
        stale |= _lookback(sight.world, subject, before)
    gaps = domain - before.done
    wanted = (stale.aligned(header.grain, zone) | gaps | requested) & domain
    # Only rows without a time changed; changes before `start`, on the other hand, are none of its business.
    nulls_only = bool(effect) and not effect.intervals
    if not wanted and not nulls_only:
        return Leave()
    if gaps or requested:
        subject = replace(subject, causes=frozenset())
    elif clock is None and not effect.definition and may_follow(header):
        unknown = wanted == domain and not nulls_only
        if (unknown and header.strategy is Strategy.AUTO) or header.strategy is Strategy.DELTA:
            found = followed(sight, subject, before, effect)
            if isinstance(found, Followed):
                return _follow(sight, subject, before, found, effect)
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
    )  # fmt: skip
    reason = Reason(kind, "; ".join(reasons))
    off = header.incremental is Incremental.OFF or header.strategy is Strategy.FULL or bool(before.distrusted)
    if before.distrusted:
        reason = replace(reason, detail=f"{reason}; {only_rebuilt(before)}")
    if (wanted == domain or off) and not header.full_refresh and not effect.loads:
        return Refuse(refusals.never_rebuilt(subject, reason))
    if off or (wanted == domain and header.batch is None):
        return Rebuild(reason, subject.causes)
    return _replaced(sight, subject, before, wanted, reason)


def rebuild(sight: Sight, subject: Subject, reason: Reason) -> Write:
    """The whole table from `start` on, in batches where that is asked for or takes too much memory."""
    domain = intervals.domain(subject)
    pieces, why = pieces_of(sight.world, subject, domain, known_time(sight.world, subject), reason)
    if len(pieces) > 1:
        return _staged(sight, subject, why, pieces)
    record = replace(record_of(sight, subject, reason), done=domain)
    return rebuilt(sight, subject, reason, intervals.rebuild(subject), record)


def proofs(subject: Subject, shape: Shape) -> tuple[Proof, ...]:
    """The table equals its query, from `start` on."""
    return (equals_query(subject, shape, intervals.whole_query(subject)),)


def _requested(world: World, subject: Subject) -> IntervalSet:
    if world.request.start is None and world.request.end is None:
        return NOTHING
    start, end = world.request.start or BEGINNING, world.request.end or END
    return IntervalSet.between(intervals.in_column_terms(subject, start), intervals.in_column_terms(subject, end))


def _lookback(world: World, subject: Subject, before: TableRecord) -> IntervalSet:
    header = subject.model.header
    if header.lookback is None or before.watermark is None:
        return NOTHING
    try:
        mark = datetime.fromisoformat(before.watermark)
    except ValueError:
        return NOTHING
    mark = mark.replace(tzinfo=world.now.tzinfo) if mark.tzinfo is None else mark.astimezone(world.now.tzinfo)
    return IntervalSet.between(floor(header.lookback.before(mark), header.grain, time_zone(subject)), END)


def _follow(sight: Sight, subject: Subject, before: TableRecord, found: Followed, effect: Effect) -> Write:
    return follow(
        sight,
        subject,
        before,
        found,
        Reason(ReasonKind.INPUT_CHANGED, "; ".join(effect.why)),
        rebuild=intervals.rebuild(subject),
        query=intervals.whole_query(subject),
        measured=intervals.measured(subject),
    )


def _replaced(sight: Sight, subject: Subject, before: TableRecord, wanted: IntervalSet, reason: Reason) -> Write:
    """Replace intervals of a table that stands, in batches if the author wants them."""
    world, header = sight.world, subject.model.header
    known = known_time(world, subject)
    certain = IntervalSet.of(i for i in wanted if i.start != BEGINNING and i.end != END)
    pieces, reason = pieces_of(world, subject, wanted, known | certain, reason)
    done = before.done - wanted
    record = sight.record(subject, Change(before.version + 1, intervals=wanted))
    time = Sql(render(Ident(header.time or "")))
    kind = subject.type_of(header.time or "")
    record, log = changelog.logged(world, subject.model.schema, before, replace(record, runs=before.runs + 1))
    check = _check(world, subject)
    drafts = []
    for number, piece in enumerate(pieces or [wanted]):
        done |= piece
        part: Sql | None = within(time, kind, piece, nulls=number == 0)
        action = f"replace {in_words(piece)}"
        steps = intervals.update(subject, piece, nulls=number == 0)
        if log is not None and part is not None:
            steps = compared(subject, part, log if number == 0 else replace(log, begins=False), steps)
        if check is not None and number == max(len(pieces), 1) - 1:
            action, part = f"{action} and check a sample", None
            gap = () if log is None else (log.gap(),)
            steps = (*steps, *intervals.checked(check, gap, world.moving(subject.model)))
        drafts.append(
            Draft(
                action=action,
                strategy=Method.PARTITION,
                reason=reason,
                steps=(*steps, *seen(world, subject.model, whole=False)),
                record=replace(record, done=done, watermark=before.watermark),
                number=number if len(pieces) > 1 else None,
                intervals=piece,
                expected_rows=share_of(before.rows, piece, known),
                part=part,
                opened=() if log is None else log.opened(subject.table),
                signatures=world.signatures(subject.table) if number == 0 else (),
                before_hooks=number == 0,
                after_hooks=number == len(pieces) - 1 or not pieces,
            )
        )
    return Write(tuple(drafts), record, f"replaces {in_words(wanted)} in this build", subject.causes)


def _check(world: World, subject: Subject) -> SelfCheck | None:
    """The self-check of a table whose intervals are replaced, if one is due and its query always gives the same."""
    query = intervals.whole_query(subject)
    check = selfcheck.due(subject, None, query, world.config.verify_every, world.run_id)
    if check is None or subject.model.clock or world.shape_of(subject.table).tier is Tier.REFUSED:
        return None
    return check


def _staged(sight: Sight, subject: Subject, reason: Reason, pieces: list[IntervalSet]) -> Write:
    """Build a table batch by batch beside the old one, and swap it in when it is complete.

    Each batch is its own commit. What is done is remembered under the name of the staging table, so a build that
    is killed goes on where it was, if nothing changed since.
    """
    world, model = sight.world, subject.model
    name = staging_name(subject.table)
    staged_model = replace(model, model=replace(model.model, name=name))
    record = sight.next_record(subject)
    done_before = world.inputs.records.get(name)
    standing = world.inputs.tables.get(name)
    resume = (
        done_before is not None
        and standing is not None
        and done_before.fingerprint == record.fingerprint
        and (done_before.inputs, done_before.clocks) == (record.inputs, record.clocks)
        and done_before.schema == record.schema == standing.schema
    )
    done = done_before.done if resume and done_before is not None else NOTHING
    if not resume:
        done_before = None
    staged = Subject(staged_model, done_before, Relation.TABLE if standing else None, subject.zone, subject.words)
    left = [piece for piece in pieces if piece - done]
    drafts = []
    for number, piece in enumerate(left):
        begins = not done
        done |= piece
        steps = intervals.first_batch(staged, piece) if begins else intervals.update(staged, piece, nulls=False)
        drafts.append(
            Draft(
                action=f"build {in_words(piece)}",
                strategy=Method.BATCHES,
                reason=reason,
                steps=(*steps, *seen(world, model, whole=False)),
                record=replace(record, table=name, done=done),
                number=number,
                intervals=piece,
                audit=False,
                before_hooks=number == 0,
                after_hooks=False,
            )
        )
    final = replace(record, done=intervals.domain(subject))
    swapped = Draft(
        action="swap in the table",
        strategy=Method.BATCHES,
        reason=reason,
        steps=(*intervals.swap(subject, staged), *seen(world, model, whole=False)),
        record=final,
        number=len(left),
        before_hooks=not left,
        intervals=final.done,
        signatures=world.signatures(subject.table),
        forgotten=(name,),
        anew=True,
    )
    return Write((*drafts, swapped), final, "is rebuilt in this build")
