"""What a plan refuses to do: each function gives what is told, or None."""

from __future__ import annotations

from collections.abc import Container

from sqlflow.core.compiled import CompiledModel
from sqlflow.core.diagnostics import Diagnostic
from sqlflow.core.model import OnSchemaChange
from sqlflow.core.names import TableName
from sqlflow.core.plan import Reason, ReasonKind
from sqlflow.plan.subject import Subject
from sqlflow.plan.world import World


def missing_parents(world: World, model: CompiledModel, planned: Container[TableName]) -> tuple[TableName, ...]:
    """The parents that were never built and are not built now: the query would fail."""
    return tuple(
        parent
        for parent in model.parents
        if parent in world.compiled.models and parent not in planned and parent not in world.inputs.tables
    )


def parent_missing(model: CompiledModel, parent: TableName) -> Diagnostic:
    return Diagnostic(
        "parent-missing",
        f"`{model.name}` reads `{parent}`, which was never built and is not selected",
        model.query.span(0),
        f"build it too: `sqlflow build +{model.name}`",
    )


def engine_lacks(world: World, model: CompiledModel) -> Diagnostic | None:
    """The header asks for something that the engine does not have."""
    if not world.traits.partitioned_tables and model.model.header.partition_by is not None:
        return Diagnostic(
            "engine-option",
            f"this engine has no partitioned tables, and `{model.name}` asks for one",
            model.model.header.spans.get("partition_by", model.query.span(0)),
            "leave `@partition_by` out: intervals are replaced without it, too",
        )
    if not world.traits.index_options and not all(index.plain for index in model.model.header.index):
        return Diagnostic(
            "engine-option",
            f"this engine has only plain indexes, and `{model.name}` asks for more",
            model.model.header.spans.get("index", model.query.span(0)),
            "list only columns; to require unique values, add a `unique` check",
        )
    return None


def made_by_another(world: World, name: TableName) -> Diagnostic | None:
    """Another project made what would be written to."""
    owner = world.inputs.others.get(name)
    if owner is None:
        return None
    model = world.compiled.models.get(name)
    project = world.compiled.project
    outside = project.sources.get(name) or project.seeds.get(name)
    return Diagnostic(
        "other-project",
        f"`{name}` was made by the project `{owner}`, and this is `{world.project}`",
        model.query.span(0) if model is not None else outside.span if outside is not None else None,
        f"give it another name, or build into another database; if this project was called `{owner}` before, write "
        f"`formerly: [{owner}]` into sqlflow.yml",
    )


def foreign(world: World, name: TableName) -> Diagnostic | None:
    """What stands there was not made by SQLFlow, or nobody knows any more how, and it may not be taken."""
    standing = world.inputs.tables.get(name)
    if name in world.inputs.records or standing is None or _may_take(world, name):
        return None
    model = world.compiled.models.get(name)
    if model is not None and name in world.inputs.lost:
        return Diagnostic(
            "record-lost",
            f"the record of `{name}` is lost: nobody knows what was read for the rows that it has",
            model.query.span(0),
            f"restore the schema `_sqlflow` from a backup, or make the table anew with `sqlflow build {name} "
            "--full-refresh`: rows that its source no longer has are lost then",
        )
    return Diagnostic(
        "foreign-table",
        f"the database has a {standing.relation} `{name}` that SQLFlow did not make",
        model.query.span(0) if model else None,
        f"rename {'the model' if model else 'it'} or drop that object; `--full-refresh` replaces it",
    )


def _may_take(world: World, name: TableName) -> bool:
    """Whether a table that stands without a record may be made anew: because that was asked for, or because the run-state
    file says that SQLFlow made it, out of what it can be made of again."""
    if world.request.full_refresh:
        return True
    if name not in world.inputs.lost:
        return False
    model = world.compiled.models.get(name)
    return model is None or (model.model.header.full_refresh and not model.model.header.promise.keeps)


def forbidden(world: World, subject: Subject, reason: Reason) -> Diagnostic | None:
    """The author forbade what would have to be done."""
    header = subject.model.model.header
    if header.promise.is_view:
        return None
    span = subject.model.query.span(0)
    if not header.full_refresh and reason.kind is not ReasonKind.MISSING:
        return never_rebuilt(subject, reason)
    keeps = header.promise.keeps
    if keeps and reason.kind is ReasonKind.SETTINGS_CHANGED and not world.request.full_refresh:
        return reset(subject, str(reason))
    if header.on_schema_change is OnSchemaChange.FAIL and (why := _other_columns(subject, reason)):
        return Diagnostic(
            "schema-changed",
            f"the columns of `{subject.table}` changed, and `on_schema_change: fail` forbids it: {why}",
            header.spans.get("on_schema_change", span),
            "name the columns in the query, or set `on_schema_change: rebuild`"
            if reason.kind is ReasonKind.COLUMNS_CHANGED
            else "undo the edit, or set `on_schema_change: rebuild`",
        )
    return None


def never_rebuilt(subject: Subject, reason: Reason) -> Diagnostic:
    """The author forbade to rebuild the table."""
    header = subject.model.model.header
    return Diagnostic(
        "refused-rebuild",
        f"`{subject.table}` would have to be rebuilt, because {reason}, and `full_refresh: never` forbids it",
        header.spans.get("full_refresh", subject.model.query.span(0)),
        f"undo the change, leave the model out with `--exclude {subject.table}`, or set `full_refresh: allow`",
    )


def _other_columns(subject: Subject, reason: Reason) -> str:
    """How the columns of the query differ from those that were last written, or the table's from both; empty if not."""
    if reason.kind is ReasonKind.COLUMNS_CHANGED:
        return str(reason)
    before = subject.before
    differences = before.schema.differences(subject.model.schema) if before is not None else ()
    return f"the query's columns changed: {', '.join(differences)}" if differences else ""


def reset(subject: Subject, why: str) -> Diagnostic:
    """Its rows were made under another setting, and cannot be made again."""
    return Diagnostic(
        "setting-changed",
        f"`{subject.table}` keeps rows that were made under another setting: {why}",
        subject.model.query.span(0),
        "rows that its source no longer has cannot be made again: set it back in sqlflow.yml, leave the model out "
        f"with `--exclude {subject.table}`, or make the table anew from what its query gives now with "
        f"`sqlflow build {subject.table} --full-refresh`",
    )
