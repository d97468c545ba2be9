"""A plan carried out and recorded."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from functools import partial

from msgspec.structs import replace

from sqlflow.build.prepare import Prepared
from sqlflow.build.standing import look_at
from sqlflow.changes.witness import RunWitnesses
from sqlflow.core.config import Config, Request
from sqlflow.core.diagnostics import ProjectError, Severity
from sqlflow.core.engine import Engine, EngineError, Interrupted, Session
from sqlflow.core.events import Clock, Emit, PlanChanged, RunFinished, RunStarted, TaskFinished, Told
from sqlflow.core.inputs import Inputs
from sqlflow.core.names import TableName
from sqlflow.core.plan import Plan
from sqlflow.core.records import RunRecord, Status, TableKind, TaskResult
from sqlflow.core.store import StateStore
from sqlflow.runner.execute import execute
from sqlflow.state import warehouse as commits


def run(
    prepared: Prepared,
    engine: Engine,
    store: StateStore,
    request: Request,
    command: str,
    target: str,
    run_id: str,
    emit: Emit,
    clock: Clock,
    config: Config,
) -> RunRecord:
    """Carry out a plan and record what happened.

    Where the plan depends on files that must be loaded first, these are loaded, each in a transaction of its own, and the
    plan is made again; what needs one that could not be loaded is left out.
    """
    plan, started_at = prepared.plan, clock()
    emit(RunStarted(run_id, plan))
    session = engine.session()

    def done(plan: Plan, inputs: Inputs, already: Sequence[TaskResult] = ()) -> tuple[TaskResult, ...]:
        if plan.tasks or plan.settled or plan.forgotten:
            commits.prepare(session, sorted({t.table.schema for t in plan.tasks if t.kind is not TableKind.TEST}))
            _write_settled(plan, engine, store, config.name)
        return execute(
            plan,
            engine,
            write_records=partial(commits.write, project=config.name),
            committed=store.put,
            witnesses=RunWitnesses(inputs, engine, commits.signatures),
            emit=emit,
            clock=clock,
            threads=request.threads if engine.traits.side_by_side else 1,
            fail_fast=request.fail_fast,
            already=already,
            blame=prepared.blame,
        )

    kept_out = _kept_out(prepared, clock)
    for result in kept_out:
        emit(TaskFinished(result))
    loaded: tuple[TaskResult, ...] = ()
    if plan.loads_first and prepared.again is not None:
        first = tuple(task for task in plan.tasks if task.id in plan.loads_first)
        loaded = done(Plan(first), prepared.inputs)
        if any(result.status is Status.CANCELLED for result in loaded):
            results = (*loaded, *done(plan, prepared.inputs, loaded))
        else:
            try:
                later = prepared.again(look_at(engine, config))
                plan = later.plan
            except (ProjectError, EngineError):
                store.append(
                    RunRecord(run_id, target, command, started_at, clock(), Status.FAILED, (*kept_out, *loaded))
                )
                raise
            ended = {result.task: result.status for result in loaded}
            emit(PlanChanged(replace(plan, tasks=(*(t for t in first if ended[t.id] is Status.DONE), *plan.tasks))))
            still = {task.id for task in plan.tasks if ended.get(task.id, Status.DONE) is not Status.DONE}
            results = (*loaded, *done(plan, later.inputs, [result for result in loaded if result.task in still]))
    else:
        results = done(plan, prepared.inputs)
    results = (*kept_out, *results)
    status = Status.DONE
    if any(result.status in (Status.FAILED, Status.SKIPPED) for result in results):
        status = Status.FAILED
    if any(result.status is Status.CANCELLED for result in results):
        status = Status.CANCELLED
    up_to_date = sum(reason.kind == "up_to_date" for reason in plan.skipped.values())
    record = RunRecord(run_id, target, command, started_at, clock(), status, results, up_to_date)
    if results:
        _sweep(session, emit)
        store.append(record)
    store.put_sources({name: prepared.checked.compiled.columns[name] for name in prepared.inputs.states})
    emit(RunFinished(record))
    return record


def _kept_out(prepared: Prepared, clock: Clock) -> tuple[TaskResult, ...]:
    """What was left out of the plan, as if its files had been read in this run: they failed, and what is made from them
    was skipped."""
    models = {model.name: model for model in prepared.checked.compiled.project.models}
    results: list[TaskResult] = []
    behind: dict[TableName, TableName] = {}
    for found in prepared.plan.unreadable:
        action = "load seed" if found.kind is TableKind.SEED else "read files"
        for problem in found.problems:
            failed = TaskResult(str(found.table), found.table, action, Status.FAILED, clock(), 0.0, kind=found.kind)
            results.append(replace(failed, error=problem))
        for name in found.models:
            behind.setdefault(name, found.table)
    for name, table in behind.items():
        promise = models[name].header.promise
        if not promise.inlined:
            kind = TableKind.TEST if promise.tests else TableKind.MODEL
            skipped = TaskResult(str(name), name, "", Status.SKIPPED, clock(), 0.0, blame=table, kind=kind)
            results.append(replace(skipped, reason=f"`{table}` cannot be read"))
    return tuple(results)


def _sweep(session: Session, emit: Emit) -> None:
    try:
        session.begin()
        commits.sweep(session)
        session.commit()
    except (EngineError, Interrupted) as error:
        with suppress(EngineError, Interrupted):
            session.rollback()
        why = str(error).splitlines()[0] if str(error) else "interrupted"
        emit(
            Told(
                f"tables that nothing needs any more were not dropped: {why}; the next build drops them",
                Severity.WARNING,
            )
        )


def _write_settled(plan: Plan, engine: Engine, store: StateStore, project: str) -> None:
    """Write the records of tables for which nothing is to be done, and drop those of tests that are gone."""
    if not plan.settled and not plan.forgotten:
        return
    session = engine.session()
    session.begin()
    signatures = [(name, updates) for name, updates in plan.settled_signatures.items()]
    commits.write(session, plan.settled, signatures, plan.forgotten, project)
    session.commit()
    store.put(plan.settled, plan.forgotten)
