"""What is done for a seed or a source before the models that read it."""

from __future__ import annotations

from msgspec import Struct

from sqlflow.core.diagnostics import Diagnostic
from sqlflow.core.inputs import InputState
from sqlflow.core.names import TableName
from sqlflow.core.plan import Audit, Reason, ReasonKind, Step, StepKind, Task
from sqlflow.core.records import TableKind, TableRecord
from sqlflow.core.schema import Schema
from sqlflow.core.sql import Sql, compose
from sqlflow.core.ways import Fact, Method
from sqlflow.plan import refusals
from sqlflow.plan.following import changelog
from sqlflow.plan.stale import Version
from sqlflow.plan.subject import write
from sqlflow.plan.world import World
from sqlflow.quality.checks import audits


class PlannedInput(Struct, frozen=True):
    """`version`: as its readers will find it. At most one of the others is there: `task`, if something is to be done;
    `settled`, if only what is remembered changes; `problem`, if it is refused."""

    version: Version
    task: Task | None = None
    settled: TableRecord | None = None
    problem: Diagnostic | None = None


def plan_input(world: World, name: TableName, state: InputState) -> PlannedInput:
    """What is done for an input that looks like this."""
    before = world.inputs.records.get(name)
    record, capture = changelog.captured(world, name, state, before)
    version = Version(
        record.version,
        record.changes,
        f"changed ({state.changed})" if state.changed else "changed",
        logged=record.logged,
        grew=state.growth.rows if capture and state.growth is not None else None,
        content=state.content,
    )
    makes = bool(state.work or state.loads)
    if not makes and not capture:
        return PlannedInput(version, settled=None if record == before else record)
    if record.made and makes:
        problem = refusals.made_by_another(world, name) or refusals.foreign(world, name)
        if problem is not None:
            return PlannedInput(version, problem=problem)
    steps = (
        *(write(sql, counts=record.kind is TableKind.SEED) for sql in state.work),
        *(Step(StepKind.LOAD, load.reading, counts=True, load=load) for load in state.loads),
        *capture,
        *((_signature(world, name, record.schema),) if record.kind is TableKind.SEED else ()),
        *((Step(StepKind.NOTED, Sql(""), inputs=(name,)),) if state.copied is not None else ()),
    )
    reason = Reason(ReasonKind.INPUT_CHANGED, state.changed or "its definition changed")
    return PlannedInput(version,
        Task(
            str(name), name, record.kind, _action(state), "", Method.NONE, reason, steps, record,
            audits=_audits(world, name, record),
        ),
    )  # fmt: skip


def _audits(world: World, name: TableName, record: TableRecord) -> tuple[Audit, ...]:
    """The checks of a seed. Those of a source would be asked too seldom here, as its rows come without a task."""
    seed = world.compiled.project.seeds.get(name)
    return () if seed is None else audits(name, seed.checks, None, record.schema.names, world.now)


def _signature(world: World, name: TableName, schema: Schema) -> Step:
    sql = compose(
        "SELECT count(*), CAST(sum({digest}) AS VARCHAR) FROM {t} AS _sqlflow_row",
        digest=world.words.row_digest(schema),
        t=name,
    )
    return Step(StepKind.MEASURE, sql, facts=(Fact.SEEN_ROWS, Fact.SEEN_DIGEST))


def _action(state: InputState) -> str:
    if not state.work and not state.loads:
        return "note new rows" if state.growth is not None else "compare with its copy"
    if state.record.kind is TableKind.SEED:
        return "load seed"
    return "load files" if state.loads else "create source view"
