"""`replace` and `auto`: the whole table is the query's result."""

from __future__ import annotations

from sqlflow.core.plan import Step
from sqlflow.plan.subject import Subject, replace_table


def rebuild(subject: Subject) -> tuple[Step, ...]:
    """The table, swapped as one."""
    return replace_table(subject, subject.query)
