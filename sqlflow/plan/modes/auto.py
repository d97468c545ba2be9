"""`auto` and `replace`: the whole table is the query's result."""

from __future__ import annotations

from msgspec.structs import replace

from sqlflow.core.following import Shape
from sqlflow.core.plan import Reason, ReasonKind, Step
from sqlflow.core.records import Relation, TableRecord
from sqlflow.core.ways import Method
from sqlflow.plan.draft import Decision, Leave, Rebuild, Sight, Write
from sqlflow.plan.following import changelog, delta
from sqlflow.plan.following.apply import follow, followed
from sqlflow.plan.following.choice import NotFollowed, counters_token, would_follow
from sqlflow.plan.log import swap_and_compare, swap_and_tell
from sqlflow.plan.rebuild import rebuilt, record_of, staging_name
from sqlflow.plan.stale import Effect
from sqlflow.plan.subject import Subject, replace_table
from sqlflow.plan.verify import Proof, counters_equal, equals_query
from sqlflow.plan.world import insists, may_follow


def update(sight: Sight, subject: Subject, before: TableRecord, effect: Effect, clock: Reason | None) -> Decision:
    """The changes of its inputs are followed, or the table is rebuilt."""
    if not effect and clock is None:
        return Leave()
    reason = clock or Reason(ReasonKind.INPUT_CHANGED, "; ".join(effect.why))
    if clock is not None or effect.definition or not may_follow(subject.model.header):
        return Rebuild(reason, subject.causes)
    found = followed(sight, subject, before, effect)
    if isinstance(found, NotFollowed):
        return Rebuild(replace(reason, detail=f"{reason}; {found.why}"), subject.causes)
    shape = sight.world.shape_of(subject.table)
    anew = (*delta.prime(subject, shape), *replace_table(subject, subject.query))
    return follow(sight, subject, before, found, reason, rebuild=anew, query=subject.query)


def rebuild(sight: Sight, subject: Subject, reason: Reason) -> Write:
    """The table, swapped as one; it is told where it has the rows that it had."""
    before, world = subject.before, sight.world
    prepared: tuple[Step, ...] = ()
    query, token = subject.query, ""
    if may_follow(subject.model.header) and _prepares(sight, subject, reason):
        shape = world.shape_of(subject.table)
        prepared, token = delta.prime(subject, shape), counters_token(shape)
        if reason.kind is ReasonKind.INPUT_CHANGED and not (before and before.distrusted):
            query = delta.whole_query(subject, shape)
    steps, record = replace_table(subject, query), record_of(sight, subject, reason)
    opened: tuple[Step, ...] = ()
    if before is not None and _may_be_the_same(sight, subject, before, reason):
        building = staging_name(subject.table)
        record, log = changelog.logged(world, subject.model.schema, before, record)
        if log is not None:
            steps, opened = swap_and_compare(subject, building, query, log), log.opened(subject.table)
        elif world.is_read(subject.table):
            steps = swap_and_tell(subject, building, query)
    return rebuilt(sight, subject, reason, (*prepared, *steps), replace(record, counters=token), opened)


def proofs(subject: Subject, shape: Shape) -> tuple[Proof, ...]:
    """The table equals its query, and the counters that are kept for it equal theirs."""
    return (equals_query(subject, shape, subject.query), *counters_equal(subject, shape))


def _may_be_the_same(sight: Sight, subject: Subject, before: TableRecord, reason: Reason) -> bool:
    """Whether a rebuild may give the rows that the table has, in a way that can be compared."""
    found = sight.world.inputs.tables.get(subject.table)
    return (
        reason.kind in (ReasonKind.INPUT_CHANGED, ReasonKind.CLOCK)
        and subject.standing is Relation.TABLE
        and found is not None
        and found.schema == before.schema == subject.model.schema
    )


def _prepares(sight: Sight, subject: Subject, reason: Reason) -> bool:
    """Whether a rebuild also makes what following the next change takes: when the author insists, or when data has
    changed and rebuilding takes its time."""
    if insists(subject.model.header):
        return True
    world, before = sight.world, subject.before
    inputs = world.data_inputs(subject.model)
    if before is None or before.costs.get(Method.FULL, 0.0) <= _WORTH_FOLLOWING:
        return False
    if reason.kind is not ReasonKind.INPUT_CHANGED or not any(map(world.tells, inputs)):
        return False
    # A change that would not be followed in any case says little for following the next one.
    shape = world.shape_of(subject.table)
    kept = replace(before, counters=counters_token(shape))
    states = [world.inputs.states.get(name) for name in inputs]
    return all(
        would_follow(subject.model, kept, shape, state.growth.rows, state.rows)
        for state in states
        if state is not None and state.growth is not None
    )


_WORTH_FOLLOWING = 0.05  # seconds of a rebuild
