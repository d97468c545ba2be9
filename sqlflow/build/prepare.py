"""From a compiled project and what stands to a plan: select -> look -> plan."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial

from msgspec import Struct
from msgspec.structs import replace

from sqlflow.build.examine import Checked
from sqlflow.build.selecting import made_from, not_restated, universe_of
from sqlflow.build.standing import Standing, lost_records
from sqlflow.changes.blame import file_to_blame
from sqlflow.changes.look import Warehouse, look
from sqlflow.compiler.shapes import shapes_of
from sqlflow.core.compiled import Compiled
from sqlflow.core.config import Request
from sqlflow.core.diagnostics import Diagnostic, stop_on_errors
from sqlflow.core.events import Clock
from sqlflow.core.following import Shape
from sqlflow.core.inputs import Inputs
from sqlflow.core.model import Project
from sqlflow.core.names import TableName
from sqlflow.core.plan import Plan, Reason, ReasonKind, Signature, Unreadable
from sqlflow.core.records import TableKind
from sqlflow.core.store import StateStore
from sqlflow.core.workshop import Workshop
from sqlflow.graph.selection import select, with_their_tests
from sqlflow.plan.plan import make_plan
from sqlflow.runner.execute import Blame, of_itself
from sqlflow.state import warehouse as commits


class Prepared(Struct, frozen=True):
    """A plan and what it was made from. `again`: makes the plan of the same models once more, after some files have been
    loaded. `blame`: finds the file that is behind the problem of a table."""

    checked: Checked
    inputs: Inputs
    plan: Plan
    selected: frozenset[TableName]
    shape_of: Callable[[TableName], Shape]
    again: Callable[[Standing], Prepared] | None = None
    blame: Blame = of_itself


def prepare(
    workshop: Workshop,
    checked: Checked,
    standing: Standing,
    store: StateStore | None,
    request: Request,
    run_id: str,
    clock: Clock,
) -> Prepared:
    """The plan of a build; nothing is written. Raises ProjectError for a project or selection that is wrong, and for what
    a plan refuses to do."""
    prepared = prepare_with_problems(workshop, checked, standing, store, request, run_id, clock)
    stop_on_errors(prepared.plan.problems)
    return prepared


def prepare_with_problems(
    workshop: Workshop,
    checked: Checked,
    standing: Standing,
    store: StateStore | None,
    request: Request,
    run_id: str,
    clock: Clock,
) -> Prepared:
    """The plan of a build, with what it refuses to do in `Plan.problems`. Raises ProjectError for a project or selection
    that is wrong."""
    compiled = checked.compiled
    spoilt = dict(checked.spoilt)

    shape_of = shapes_of(compiled, workshop)

    def planned(
        selected: Collection[TableName], standing: Standing = standing, known: Inputs | None = None
    ) -> tuple[Inputs, Plan]:
        session = standing.session

        def stored(table: TableName, source: TableName) -> Mapping[str, Signature]:
            known = session is not None and standing.remembered.has_signatures
            return commits.signatures(session, table, source) if session is not None and known else {}

        wanted = [name for name in compiled.order if name in selected]
        also = [name for name in (*compiled.project.seeds, *compiled.project.sources) if name in selected]
        now = clock()
        traits = standing.traits or workshop.binder.traits
        lost = lost_records(standing, store)
        warehouse = Warehouse(
            standing.tables,
            standing.records,
            session,
            stored,
            traits,
            standing.remembered.others,
            lost,
            standing.remembered.kept,
            standing.moment(),
        )
        inputs, wrong = look(
            compiled, workshop.config, warehouse, wanted, also, run_id, now, anew=request.full_refresh, known=known
        )
        gone = {name: told for name, told in wrong.items() if _is_of_files(name, compiled.project)}
        stop_on_errors(
            problem for name, told in wrong.items() if name not in gone or known is not None for problem in told
        )
        if gone:
            spoilt.update(gone)
            return planned(frozenset(selected) - _behind(gone, checked), standing)
        return inputs, make_plan(compiled, inputs, workshop.config, request, selected, run_id, now, shape_of, traits)

    universe = universe_of(
        checked.compiled,
        checked.graph,
        workshop.config,
        standing.records,
        store,
        lambda: planned(frozenset(compiled.models) - _behind(spoilt, checked))[1],
    )
    selected, wrong = select(request.selection, request.exclude, universe)
    stop_on_errors([*wrong, *not_restated(request, selected, compiled)])
    if request.selection:
        selected |= _that_can_run(
            with_their_tests(selected, request.exclude, universe) - selected, selected, compiled, standing
        )
    inputs, plan = planned(selected - _behind(spoilt, checked))
    unreadable = _unreadable(spoilt, checked, selected)
    if request.fail_fast:
        stop_on_errors(problem for found in unreadable for problem in found.problems)
    selected -= _behind(spoilt, checked)

    def again(standing: Standing) -> Prepared:
        later, changed = planned(selected, standing, inputs)
        stop_on_errors(changed.problems)
        return Prepared(checked, later, _without(unreadable, changed), frozenset(selected), shape_of)

    blame = partial(file_to_blame, compiled, workshop.config, workshop.binder.rows)
    return Prepared(checked, inputs, _without(unreadable, plan), frozenset(selected), shape_of, again, blame)


def _is_of_files(name: TableName, project: Project) -> bool:
    source = project.sources.get(name)
    return name in project.seeds or (source is not None and source.path is not None)


def _behind(spoilt: Iterable[TableName], checked: Checked) -> frozenset[TableName]:
    """Seeds and sources whose files cannot be read, and all that is made from them."""
    names = tuple(spoilt)
    return frozenset(names) | frozenset(made_from(names, checked.compiled.project, checked.graph))


def _unreadable(
    spoilt: Mapping[TableName, tuple[Diagnostic, ...]], checked: Checked, selected: Collection[TableName]
) -> tuple[Unreadable, ...]:
    """What cannot be read of all that is selected, or that something selected is made from."""
    found: list[Unreadable] = []
    project = checked.compiled.project
    for name, problems in sorted(spoilt.items()):
        below = made_from((name,), project, checked.graph)
        models = tuple(model for model in checked.graph.order if model in below and model in selected)
        if models or name in selected:
            kind = TableKind.SEED if name in project.seeds else TableKind.SOURCE
            found.append(Unreadable(name, kind, problems, models))
    return tuple(found)


def _without(unreadable: Sequence[Unreadable], plan: Plan) -> Plan:
    """A plan with what it leaves out for files that cannot be read."""
    skipped = dict(plan.skipped)
    for found in reversed(unreadable):
        reason = Reason(ReasonKind.LEFT_OUT, f"`{found.table}` cannot be read")
        skipped |= dict.fromkeys(found.models, reason)
    return replace(plan, skipped=skipped, unreadable=tuple(unreadable))


def _that_can_run(
    tests: Collection[TableName], selected: Collection[TableName], compiled: Compiled, standing: Standing
) -> frozenset[TableName]:
    """The tests that nobody asked for by name, without those that read something that was never built."""

    def there(name: TableName) -> bool:
        return name not in compiled.models or name in selected or name in standing.tables

    return frozenset(
        test for test in tests if test in compiled.models and all(map(there, compiled.models[test].parents))
    )
