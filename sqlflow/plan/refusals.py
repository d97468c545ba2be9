"""What a plan refuses to do: each function gives what is told, or None."""

from __future__ import annotations

from collections.abc import Container

from sqlflow.core.compiled import CompiledModel
from sqlflow.core.diagnostics import Diagnostic
from sqlflow.core.model import OnSchemaChange
from sqlflow.core.modes import promised
from sqlflow.core.names import TableName
from sqlflow.core.plan import Reason, ReasonKind
from sqlflow.core.records import Relation
from sqlflow.core.sql import Ident, compose
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
    if not world.traits.partitioned_tables and model.header.partition_by is not None:
        return Diagnostic(
            "engine-option",
            f"this engine has no partitioned tables, and `{model.name}` asks for one",
            model.header.spans.get("partition_by", model.query.span(0)),
            "leave `@partition_by` out: intervals are replaced without it, too",
        )
    if not world.traits.index_options and not all(index.plain for index in model.header.index):
        return Diagnostic(
            "engine-option",
            f"this engine has only plain indexes, and `{model.name}` asks for more",
            model.header.spans.get("index", model.query.span(0)),
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
    standing, record = world.inputs.tables.get(name), world.inputs.records.get(name)
    if standing is None or (record is not None and record.made) or _may_take(world, name):
        return None
    model = world.compiled.models.get(name)
    if model is not None and name in world.inputs.lost:
        also = " --discard-history" if model.header.promise.history else ""
        return Diagnostic(
            "record-lost",
            f"the record of `{name}` is lost: nobody knows what was read for the rows that it has",
            model.query.span(0),
            f"restore the schema `_sqlflow` from a backup, or make the table anew with `sqlflow build {name} "
            f"--full-refresh{also}`: rows that its source no longer has are lost then",
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
    model = world.compiled.models.get(name)
    lost = name in world.inputs.lost
    if world.request.full_refresh:
        return world.request.discard_history or not (lost and model is not None and model.header.promise.history)
    if not lost:
        return False
    return model is None or (model.header.full_refresh and not model.header.promise.keeps)


def forbidden(world: World, subject: Subject, reason: Reason) -> Diagnostic | None:
    """The author forbade what would have to be done."""
    header = subject.model.header
    if (lost := history_lost(world, subject, reason)) is not None:
        return lost
    if header.promise.is_view:
        return None
    if carries_on(world, subject):
        return _other_shape(world, subject) or _columns_must_stay(subject, reason)
    if not header.full_refresh and reason.kind is not ReasonKind.MISSING:
        return never_rebuilt(subject, reason)
    keeps = header.promise.keeps
    if keeps and reason.kind is ReasonKind.SETTINGS_CHANGED and not world.request.full_refresh:
        return reset(subject, str(reason))
    return _columns_must_stay(subject, reason)


def _columns_must_stay(subject: Subject, reason: Reason) -> Diagnostic | None:
    header = subject.model.header
    if header.on_schema_change is not OnSchemaChange.FAIL or not (why := _other_columns(subject, reason)):
        return None
    undo = "name the columns in the query" if reason.kind is ReasonKind.COLUMNS_CHANGED else "undo the edit"
    allow = "leave `@on_schema_change` out" if header.promise.history else "set `on_schema_change: rebuild`"
    return Diagnostic(
        "schema-changed",
        f"the columns of `{subject.table}` changed, and `on_schema_change: fail` forbids it: {why}",
        header.spans.get("on_schema_change", subject.model.query.span(0)),
        f"{undo}, or {allow}",
    )


def carries_on(world: World, subject: Subject) -> bool:
    """Whether a table that must not stay as it is has a history that goes on in it."""
    before, now = subject.before, subject.model.fingerprint
    return (
        before is not None
        and promised(before.mode).history
        and subject.model.header.promise.history
        and subject.standing is Relation.TABLE
        and before.fingerprint.header.split(" ")[0] == now.header.split(" ")[0]
        and not world.request.full_refresh
    )


def history_lost(world: World, subject: Subject, reason: Reason) -> Diagnostic | None:
    """A history would be thrown away, or rows that a table keeps would not come into the history that it becomes."""
    before, header = subject.before, subject.model.header
    if before is None or carries_on(world, subject):
        return None
    if promised(before.mode).history:
        if world.request.full_refresh and world.request.discard_history:
            return None
        would = f"the history in `{subject.table}` would be thrown away, because {_why_lost(world, subject, reason)}"
        gone = f"the table `{subject.table}` is missing in the database, and its history with it"
        message = gone if subject.standing is None else would
        return Diagnostic("history-lost", message, subject.model.query.span(0), _keep_history(world, subject))
    becomes = header.promise.history and promised(before.mode).keeps and subject.standing is Relation.TABLE
    if not becomes or world.request.full_refresh:
        return None
    return Diagnostic(
        "history-lost",
        f"`{subject.table}` keeps rows as mode `{before.mode}`, and its history as `{header.mode}` begins with those of the query",
        header.spans.get("mode", subject.model.query.span(0)),
        f"give the snapshot another name, or let it begin with what the query gives: `sqlflow build {subject.table} --full-refresh`",
    )


def _why_lost(world: World, subject: Subject, reason: Reason) -> str:
    header = subject.model.header
    if world.request.full_refresh:
        return "`--full-refresh` makes tables anew"
    if not header.promise.history:
        return f"its mode is `{header.mode}` now"
    if reason.kind is ReasonKind.HEADER_CHANGED:
        return "its key, its cursor or its columns of validity changed"
    return str(reason)


def _keep_history(world: World, subject: Subject) -> str:
    anew = f"`sqlflow build {subject.table} --full-refresh --discard-history`"
    if subject.standing is None:
        return f"restore the table from a backup, or begin a new history with {anew}"
    undo = "leave `--full-refresh` out" if world.request.full_refresh else "undo the change"
    return f"{undo}, leave the model out with `--exclude {subject.table}`, or throw it away with {anew}"


def _other_shape(world: World, subject: Subject) -> Diagnostic | None:
    """The table has a column that the query does not give any more."""
    found = world.inputs.tables.get(subject.table)
    gone = [] if found is None else [c for c in found.schema if subject.model.schema.find(c.name) is None]
    if not gone:
        return None
    listed = ", ".join(f"`{column.name}`" for column in gone)
    column = gone[0]
    drop = compose("ALTER TABLE {t} DROP COLUMN {c}", t=subject.table, c=Ident(column.name))
    return Diagnostic(
        "schema-changed",
        f"the history in `{subject.table}` has {listed}, and the query does not give {'it' if len(gone) == 1 else 'them'} any more",
        subject.model.query.span(0),
        f"go on with `CAST(NULL AS {column.type}) AS {column.name}` in the query, or run by hand what loses the column's values: `{drop}`",
    )


def never_rebuilt(subject: Subject, reason: Reason) -> Diagnostic:
    """The author forbade to rebuild the table."""
    header = subject.model.header
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
