"""One file per mode: a promise about a table -> what is done to keep it, and what proves that it is kept."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from sqlflow.core.following import Shape
from sqlflow.core.modes import Mode
from sqlflow.core.plan import Reason
from sqlflow.core.records import TableRecord
from sqlflow.plan.draft import Decision, Sight, Write
from sqlflow.plan.modes import append, auto, incremental, merge, snapshot, test, view
from sqlflow.plan.stale import Effect
from sqlflow.plan.subject import Subject
from sqlflow.plan.verify import Proof


class ModeModule(Protocol):
    """What a file of this folder has."""

    def update(
        self, sight: Sight, subject: Subject, before: TableRecord, effect: Effect, clock: Reason | None
    ) -> Decision:
        """What is done for a table that stands and may stay. `effect`: what changed in what it reads; `clock`: why time alone
        makes it stale."""
        ...

    def rebuild(self, sight: Sight, subject: Subject, reason: Reason) -> Write:
        """How the table is made from scratch."""
        ...

    def proofs(self, subject: Subject, shape: Shape) -> tuple[Proof, ...]:
        """What is compared to see that the table keeps the promise."""
        ...


# `inline` has none: nothing of it is built.
MODES: Mapping[Mode, ModeModule] = {
    Mode.AUTO: auto,
    Mode.VIEW: view,
    Mode.REPLACE: auto,
    Mode.APPEND: append,
    Mode.MERGE: merge,
    Mode.INCREMENTAL: incremental,
    Mode.SNAPSHOT: snapshot,
    Mode.TEST: test,
}


def proofs(subject: Subject, shape: Shape) -> tuple[Proof, ...]:
    """The comparisons for a model that has a table."""
    return MODES[subject.model.header.mode].proofs(subject, shape)
