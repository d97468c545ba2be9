"""The rows of a table whose keys are among those that were read: found once, by one join on the key, and then known by
the number that the engine gives to each row of a table as long as a transaction lasts."""

from __future__ import annotations

from sqlflow.core.plan import Step
from sqlflow.core.sql import Ident, Sql, compose, make_temporary
from sqlflow.plan.subject import Subject, matches, write

MET = Ident("_sqlflow_met")
"""A temporary table of these rows: number, key and cursor."""

_NUMBER = Ident("_sqlflow_rowid")


def meet(subject: Subject, rows: Ident, only_if: Sql | None = None) -> Step:
    """Find the rows of the table that have the key of one of `rows`, a temporary table."""
    header = subject.model.header
    names = dict.fromkeys([*header.key, *((header.cursor,) if header.cursor is not None else ())])
    return write(
        make_temporary(
            MET, "SELECT {number} AS {r}, {cs} FROM {t} AS _target "
            "WHERE EXISTS (SELECT 1 FROM {rows} WHERE {same})",
            number=_number(subject) or Sql("NULL"), r=_NUMBER,
            cs=[compose("_target.{c}", c=Ident(name)) for name in names], t=subject.table, rows=rows,
            same=matches(subject.words, "_target", rows, header.key),
        ),
        only_if=only_if,
    )  # fmt: skip


def is_met(subject: Subject, rows: Ident) -> Sql:
    """The condition that a row of the table (`_target`) has the key of one of `rows`, which are some of those that were
    met."""
    key = subject.model.header.key
    number = _number(subject)
    if number is None:
        return compose(
            "EXISTS (SELECT 1 FROM {rows} WHERE {same})", rows=rows, same=matches(subject.words, "_target", rows, key)
        )
    return compose(
        "EXISTS (SELECT 1 FROM {known} AS _known WHERE _known.{r} = {number})",
        known=_known(subject, rows),
        number=number,
        r=_NUMBER,
    )


def _known(subject: Subject, rows: Ident) -> Sql:
    same = matches(subject.words, "_met", rows, subject.model.header.key)
    return compose(
        "(SELECT _met.{r} FROM {met} AS _met WHERE EXISTS (SELECT 1 FROM {rows} WHERE {same}))",
        r=_NUMBER,
        met=MET,
        rows=rows,
        same=same,
    )


def _number(subject: Subject) -> Sql | None:
    """By what the engine finds a row of `_target` again; None when a column hides it, or its key does as well."""
    if not subject.words.numbers_rows:
        return None
    return subject.words.row_id("_target", subject.model.schema, subject.model.header.partition_by)
