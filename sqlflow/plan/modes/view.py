"""`view`: a view of the query."""

from __future__ import annotations

from sqlflow.core.following import Shape
from sqlflow.core.plan import Reason, ReasonKind
from sqlflow.core.records import TableRecord
from sqlflow.plan.draft import Check, Decision, Leave, Sight, Write
from sqlflow.plan.rebuild import rebuilt, record_of
from sqlflow.plan.stale import Effect
from sqlflow.plan.subject import Subject, write
from sqlflow.plan.verify import Proof
from sqlflow.quality.checks import checks_of


def update(sight: Sight, subject: Subject, before: TableRecord, effect: Effect, clock: Reason | None) -> Decision:
    """It is what its query gives: only its checks may come out otherwise."""
    if not checks_of(subject.model.header):
        return Leave()
    if effect:
        return Check(Reason(ReasonKind.INPUT_CHANGED, "; ".join(effect.why)), subject.causes)
    if before.fingerprint.checks != subject.model.fingerprint.checks:
        return Check(Reason(ReasonKind.CHECKS_CHANGED, "its checks changed"), subject.causes)
    return Leave()


def rebuild(sight: Sight, subject: Subject, reason: Reason) -> Write:
    """The view, in place of whatever stood there."""
    created = subject.words.create_view(subject.table, subject.query, stands=subject.standing, fits=subject.fits)
    return rebuilt(sight, subject, reason, tuple(write(sql) for sql in created), record_of(sight, subject, reason))


def proofs(subject: Subject, shape: Shape) -> tuple[Proof, ...]:
    """There is nothing to prove."""
    return ()
