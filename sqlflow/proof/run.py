"""Run the statements of a comparison, and read what they found."""

from __future__ import annotations

import time
from enum import StrEnum

from msgspec import Struct

from sqlflow.core.amounts import counted
from sqlflow.core.engine import EngineError, Row, Session
from sqlflow.core.names import TableName
from sqlflow.core.plan import Step, StepKind
from sqlflow.core.schema import Column, Schema
from sqlflow.core.sql import Ident, Sql, compose
from sqlflow.core.types import Family
from sqlflow.plan.compare import compared_columns, rounded
from sqlflow.plan.log import WEIGHT, names
from sqlflow.plan.verify import Proof
from sqlflow.runner.task import show_rows

_SHOWN = 5  # rows of each side


class Verdict(StrEnum):
    EQUAL = "equal"
    DIFFERS = "differs"
    STALE = "stale"
    SKIPPED = "skipped"
    FAILED = "failed"


class Verified(Struct, frozen=True):
    """How one comparison came out. `missing`, `surplus`: rows that the query gives and the table lacks, and the other way
    round. `why`: why there was none, or what could not be looked at."""

    table: TableName
    verdict: Verdict
    what: str = ""
    rows: int = 0
    missing: int = 0
    surplus: int = 0
    seconds: float = 0.0
    why: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    sample: tuple[Row, ...] = ()
    released: bool = False


def prove(session: Session, name: TableName, proof: Proof) -> Verified:
    """Make a comparison. What the engine refuses is a verdict of its own."""
    started = time.monotonic()
    try:
        stopped = run_steps(session, proof.steps)
        if stopped is not None:
            return Verified(name, Verdict.FAILED, proof.what, why=(stopped,))
        missing, surplus = (count_wrong(session, proof.wrong, sign) for sign in (1, -1))
        looked_at = int(str(session.fetch(proof.rows)[0][0]))
        excused = [(int(str(session.fetch(rows)[0][0])), why) for rows, why in proof.excuses]
        near = () if proof.rounded is None else rounding(session, proof.rounded, proof.schema)
        sample = sample_wrong(session, proof.wrong, proof.schema, _SHOWN) if missing or surplus else []
    except EngineError as error:
        return Verified(name, Verdict.FAILED, proof.what, why=(error.message.splitlines()[0],))
    why = [f"not compared: {counted(number, 'row')} {why}" for number, why in excused if number]
    return Verified(
        table=name,
        verdict=Verdict.DIFFERS if missing or surplus else Verdict.EQUAL,
        what=proof.what,
        rows=looked_at,
        missing=missing,
        surplus=surplus,
        seconds=round(time.monotonic() - started, 3),
        why=(*why, *near, *proof.notes),
        columns=("", *compared_columns(session.wording, proof.schema).names),
        sample=tuple(sample),
    )


def run_steps(session: Session, steps: tuple[Step, ...]) -> str | None:
    """Run the steps of a comparison; what a guard among them found, if it stops it."""
    for step in steps:
        if step.kind is StepKind.WRITE:
            session.execute(step.sql)
        elif found := session.fetch(step.sql):
            return step.message.replace("{rows}", show_rows(found))
    return None


def count_wrong(session: Session, wrong: Ident, sign: int) -> int:
    """How many rows are missing (1) or too many (-1)."""
    sql = compose(
        "SELECT coalesce(sum({sign} * {w}), 0) FROM {wrong} WHERE {sign} * {w} > 0", w=WEIGHT, wrong=wrong, sign=sign
    )
    return int(str(session.fetch(sql)[0][0]))


def rounding(session: Session, table: Ident, schema: Schema) -> tuple[str, ...]:
    """That rows are equal only within the rounding of floating point numbers, if some are."""
    rows = int(str(session.fetch(compose("SELECT n FROM {t}", t=table))[0][0]))
    if rows <= 0:
        return ()
    listed = ", ".join(f"`{name}`" for name in rounded(session.wording, schema))
    return (f"equal within the rounding of {listed}: {counted(rows, 'row')}",)


def sample_wrong(session: Session, wrong: Ident, schema: Schema, limit: int) -> list[Row]:
    """Some rows of each side: `+` of those that are missing, `-` of those that are too many."""
    found: list[Row] = []
    compared = compared_columns(session.wording, schema)
    for sign in (1, -1):
        rows = session.fetch(
            compose(
                "SELECT {shown} FROM {wrong} WHERE {sign} * {w} > 0 ORDER BY {cs} LIMIT {n}",
                shown=[_shown(c) for c in compared], cs=names(compared), wrong=wrong, sign=sign, w=WEIGHT, n=limit,
            )
        )  # fmt: skip
        found += [("+" if sign > 0 else "-", *row) for row in rows]
    return found


def _shown(column: Column) -> Sql:
    """A column as it is shown: a month and 30 days are one and the same to Python."""
    if any(part.family is Family.INTERVAL for part in column.parsed.all()):
        return compose("CAST({c} AS VARCHAR)", c=Ident(column.name))
    return compose("{c}", c=Ident(column.name))
