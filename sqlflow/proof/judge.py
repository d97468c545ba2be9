"""Whether a table can be held against its query at all, and why not."""

from __future__ import annotations

from collections.abc import Mapping

from sqlflow.core.clock import ClockRule, Nature, depends_on, never_the_same, words_of
from sqlflow.core.compiled import Compiled, CompiledModel
from sqlflow.core.following import Shape
from sqlflow.core.names import TableName
from sqlflow.core.plan import Reason, ReasonKind


def not_judged(model: CompiledModel, reason: Reason | None, shape: Shape | None) -> str | None:
    """Why there is nothing to compare, if there is not. `reason`: why the table would be built now; `shape`: of its query."""
    promise = model.header.promise
    if promise.is_view:
        return "a view is what its query gives"
    if promise.inlined:
        return "inline: it has no table"
    if (why := _always_another(model)) is not None and (reason is None or reason.kind is ReasonKind.CLOCK):
        return why
    if not model.kept.columns:
        return "all of its columns say when or by what run a row was written"
    refusal = shape.refusal if shape is not None else None
    return _VOLATILE if refusal is not None and refusal.volatile else None


def _always_another(model: CompiledModel) -> str | None:
    """Why the rows of a table need not be those that its query gives now."""
    rule, clock = model.header.clock, never_the_same(model.clock)
    drawn = [item for item in clock if item.nature is Nature.CHANCE]
    if drawn:
        return f"its rows are drawn by chance ({words_of(drawn)}): its query gives other rows each time"
    if rule is ClockRule.WRITTEN and model.clock:
        return f"its rows depend on {depends_on(model.clock)}, and `@clock: written` keeps those of the last build"
    if rule is ClockRule.ALWAYS:
        return "`@clock: always` rebuilds it in every build"
    return f"its rows depend on {words_of(clock)}, which may always differ" if clock else None


_VOLATILE = "its query gives other rows each time: it has a function that gives another value each time"


def written_columns(compiled: Compiled) -> Mapping[TableName, frozenset[str]]:
    """Of each table, the columns that another database, or a rebuild of everything, has otherwise: they say when or by what
    run a row was written, or are made of such columns. In lower case."""
    found: dict[TableName, frozenset[str]] = {}
    for name in compiled.order:
        model = compiled.models[name]
        header = model.header
        moving = set(model.written)
        if header.promise.history and header.cursor is None:  # the moments of builds
            moving |= {header.validity.start.lower(), header.validity.end.lower()}
        for column in model.lineage.columns if found else ():
            if any(ref.column.lower() in found.get(ref.table, ()) for ref in column.direct):
                moving.add(column.name.lower())
        if moving:
            found[name] = frozenset(moving)
    return found


def rows_of_written(
    compiled: Compiled, name: TableName, written: Mapping[TableName, frozenset[str]]
) -> tuple[str, ...]:
    """The columns that say when a row was written, and of which the rows of a table depend: `a.b.loaded_at`."""
    model = compiled.models.get(name)
    if model is None:
        return ()
    refs = {ref for refs in model.lineage.indirect.values() for ref in refs}
    return tuple(sorted(f"{r.table}.{r.column}" for r in refs if r.column.lower() in written.get(r.table, ())))
