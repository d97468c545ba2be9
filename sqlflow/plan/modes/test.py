"""`test`: a query in tests/ that must return no rows. Nothing stands in the database for it."""

from __future__ import annotations

from sqlflow.core.following import Shape
from sqlflow.core.plan import Reason, ReasonKind
from sqlflow.core.records import TableRecord
from sqlflow.plan.draft import Check, Decision, Leave, Sight, Write
from sqlflow.plan.stale import Effect
from sqlflow.plan.subject import Subject
from sqlflow.plan.verify import Proof


def update(sight: Sight, subject: Subject, before: TableRecord, effect: Effect, clock: Reason | None) -> Decision:
    """It runs when it was edited, or what it reads changed since it passed."""
    now = subject.model.fingerprint
    if before.fingerprint.query != now.query:
        return Check(Reason(ReasonKind.QUERY_CHANGED, "its query changed"))
    if before.fingerprint.checks != now.checks:
        return Check(Reason(ReasonKind.CHECKS_CHANGED, "its severity changed"))
    if sight.world.request.full_refresh:
        return Check(Reason(ReasonKind.REQUESTED, "asked for with --full-refresh"))
    if clock is not None:
        return Check(clock)
    if effect:
        return Check(Reason(ReasonKind.INPUT_CHANGED, "; ".join(effect.why)), subject.causes)
    return Leave()


def rebuild(sight: Sight, subject: Subject, reason: Reason) -> Write:
    """There is nothing to build."""
    return Write((), sight.next_record(subject), "")


def proofs(subject: Subject, shape: Shape) -> tuple[Proof, ...]:
    """There is nothing to prove."""
    return ()
