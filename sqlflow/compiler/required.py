"""`incremental: required`: why a model cannot be kept up to date without reading or writing everything."""

from __future__ import annotations

from sqlflow.core.clock import depends_on
from sqlflow.core.compiled import CompiledModel
from sqlflow.core.diagnostics import Diagnostic
from sqlflow.core.model import Incremental


def not_incremental(model: CompiledModel) -> Diagnostic | None:
    """The refusal of a model that says `required` and has no proven incremental way; None when all is well."""
    header = model.header
    if header.incremental is not Incremental.REQUIRED:
        return None
    found = _reason(model)
    if found is None:
        return None
    reason, hint = found
    return Diagnostic(
        "not-incremental",
        f"`{model.name}` cannot be kept up to date bit by bit: {reason}",
        header.spans.get("incremental", model.query.span(0)),
        hint,
    )


def _reason(model: CompiledModel) -> tuple[str, str] | None:
    """Why not, and what would help."""
    header = model.header
    if header.promise.whole and not header.promise.follows:
        return "mode `replace` writes the whole table at each change", "use another mode, or leave `@incremental` out"
    if header.promise.whole or not header.promise.is_table:
        return None
    if model.stale_by:
        return (
            f"its rows depend on {depends_on(model.stale_by)}, so all of them may differ each time",
            "leave that out of the query",
        )
    if header.promise.keyed and header.cursor is None:
        return (
            "without `@cursor` nothing says which rows of the query are new, and each run reads all of them",
            "name the column that grows when a row is new or changed: `-- @cursor: ...`",
        )
    if header.promise.timed and model.times and not any(m.occurrences for m in model.times.values()):
        name, mapping = min(model.times.items())
        return (
            f"a change of `{name}` may touch any interval, because {mapping.reason or 'its rows cannot be traced to the time column'}",
            "let the time column come from a column of the input, or leave `@incremental` out",
        )
    return None
