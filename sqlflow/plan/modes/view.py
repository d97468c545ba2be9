"""`view`: a view of the query."""

from __future__ import annotations

from sqlflow.core.plan import Step
from sqlflow.plan.subject import Subject, write


def create(subject: Subject) -> tuple[Step, ...]:
    """The view, in place of whatever stood there."""
    created = subject.words.create_view(subject.table, subject.query, stands=subject.standing, fits=subject.fits)
    return tuple(write(sql) for sql in created)
