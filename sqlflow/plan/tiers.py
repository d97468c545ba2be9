"""`with_tiers`: a plan that says what the queries of its tasks can follow, for those who print it.

A build does not ask: to find a tier takes parsing the query and looking at all of it.
"""

from __future__ import annotations

from msgspec.structs import replace

from sqlflow.core.compiled import Compiled, CompiledModel
from sqlflow.core.following import Shape, Tier
from sqlflow.core.plan import Blame, Plan, Task
from sqlflow.plan.world import ShapeOf

_MOST_SHAPES = 100


def with_tiers(plan: Plan, compiled: Compiled, shape_of: ShapeOf) -> Plan:
    """The plan with what its queries can follow; a plan so large that nobody reads it is told only what had to be found out
    anyway."""
    models = compiled.models
    shown = [task for task in plan.tasks if task.table in models and _says_something(models[task.table], task)]
    told = {task.id for task in (shown if len(shown) <= _MOST_SHAPES else [task for task in shown if task.ways])}
    tasks = (
        _with_tier(task, models[task.table], shape_of(task.table)) if task.id in told else task for task in plan.tasks
    )
    return replace(plan, tasks=tuple(tasks))


def _says_something(model: CompiledModel, task: Task) -> bool:
    """Whether the tier says something about a task: an incremental model has its partitions as well."""
    promise = model.header.promise
    return promise.follows and (promise.whole or bool(task.ways))


def _with_tier(task: Task, model: CompiledModel, shape: Shape) -> Task:
    fixed = () if shape.tier is Tier.REFUSED else shape.fixed.values()
    found = shape.refusal or next(iter(fixed), None)
    blame = None
    if found is not None:
        place = None if found.start is None else model.query.span(found.start, found.end)
        blame = Blame(found.construct, found.reason, place)
    return replace(task, tier=str(shape.tier), refusal=blame)
