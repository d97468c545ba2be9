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
    stands = subject.standing is Relation.VIEW
    created = subject.words.create_view(subject.table, subject.query, stands=stands, fits=subject.fits)
    steps += [write(sql) for sql in created]
    return tuple(steps)
