"""`view`: a view of the query."""

from __future__ import annotations

from sqlflow.core.plan import Step
from sqlflow.core.records import Relation
from sqlflow.core.sql import compose
from sqlflow.plan.subject import Subject, write


def create(subject: Subject) -> tuple[Step, ...]:
    """The view, in place of whatever stood there."""
    steps = []
    if subject.standing is Relation.TABLE:
        steps.append(write(compose("DROP TABLE {t}", t=subject.table)))
    steps.append(write(compose("CREATE OR REPLACE VIEW {t} AS\n{q}", t=subject.table, q=subject.query)))
    return tuple(steps)
