"""Builds for the eye: into a scratch database of the session's own, from a sample of the real tables.

The scratch database is a file under `.sqlflow/watch/`, with the target's real database attached read-only. Its schemas
and tables have the names of the real ones, so queries run as they are. What is not built in it is a view there, of the
real table or of the files, cut to the sample. It has commit records of its own; so a save rebuilds only what it must.
"""

from __future__ import annotations

import hashlib
import shutil
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from datetime import datetime
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from sqlflow.build.examine import Checked
from sqlflow.build.prepare import Prepared
from sqlflow.build.run import run
from sqlflow.build.standing import look_at
from sqlflow.changes import files, readings
from sqlflow.changes.look import seed_relation
from sqlflow.core.amounts import counted
from sqlflow.core.compiled import Compiled, CompiledModel
from sqlflow.core.config import Config, Request
from sqlflow.core.diagnostics import Severity, stop_on_errors
from sqlflow.core.engine import Engine, Found
from sqlflow.core.events import Emit, Event
from sqlflow.core.following import NOT_FOLLOWED
from sqlflow.core.inputs import Inputs, InputState
from sqlflow.core.intervals import BEGINNING, END, IntervalSet
from sqlflow.core.names import TableName
from sqlflow.core.records import (
    Change,
    Fingerprint,
    Relation,
    RunRecord,
    SourceMode,
    TableKind,
    TableRecord,
    first_version,
)
from sqlflow.core.schema import Schema
from sqlflow.core.seen import Stamp
from sqlflow.core.sql import Ident, Sql, compose, render
from sqlflow.plan.plan import make_plan
from sqlflow.plan.subject import within
from sqlflow.state.file import open_state
from sqlflow.state.lock import build_lock, is_held
from sqlflow.watch.desk import Desk, WatchRequest
from sqlflow.watch.memory import Surroundings

_LOCK = "session.lock"
_YOUNG_SECONDS = 60.0


class Scratch(Struct, frozen=True):
    """A place for scratch builds, held by this session."""

    folder: Path


def scratch_folders(root: Path) -> Path:
    return root / ".sqlflow" / "watch"


def left_over(root: Path) -> list[Path]:
    """Folders of sessions that were killed before they could remove them."""
    found = []
    home = scratch_folders(root)
    for folder in sorted(home.iterdir()) if home.is_dir() else ():
        lock = folder / _LOCK
        try:
            idle = not is_held(lock) if lock.exists() else time.time() - folder.stat().st_mtime > _YOUNG_SECONDS
        except OSError:
            continue
        if folder.is_dir() and idle:
            found.append(folder)
    return found


def remove(folders: Iterable[Path]) -> None:
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)
        with suppress(OSError):  # another session has its own beside it
            folder.parent.rmdir()


@contextmanager
def scratch(desk: Desk) -> Iterator[Scratch]:
    """A scratch folder of our own, removed at the end."""
    folder = scratch_folders(desk.root) / desk.run_id()
    folder.mkdir(parents=True)
    with ExitStack() as stack:
        stack.callback(remove, [folder])
        stack.enter_context(build_lock(folder / _LOCK, desk.owner(), 0, _silent))
        yield Scratch(folder)


def _silent(event: Event) -> None:
    return


def sample_in_words(wishes: WatchRequest) -> str:
    """What a scratch build leaves out."""
    parts = []
    if wishes.start is not None or wishes.end is not None:
        window = " ".join(
            f"{word} {moment:%Y-%m-%d %H:%M}".replace(" 00:00", "")
            for word, moment in (("from", wishes.start), ("before", wishes.end))
            if moment is not None
        )
        parts.append(f"inputs with a time column {window}")
    if wishes.limit is not None:
        parts.append(f"the first {counted(wishes.limit, 'row')} of each input")
    return "; ".join(parts)


# ---------------------------------------------------------------- a build


class Order(Struct, frozen=True):
    """What is to be built: `wanted` models of a project that compiles, in the state of the database as it was seen."""

    config: Config
    checked: Checked
    surroundings: Surroundings
    wanted: frozenset[TableName]
    wishes: WatchRequest


def members(compiled: Compiled, wanted: Collection[TableName], tables: Collection[TableName]) -> frozenset[TableName]:
    """The models that are built in the scratch database: those wanted, and what they need and was never built."""
    found: set[TableName] = set()
    stack = [name for name in wanted if name in compiled.models]
    while stack:
        name = stack.pop()
        if name in found:
            continue
        found.add(name)
        model = compiled.models[name]
        stack += [
            parent
            for parent in (*model.parents, *model.checked_against)
            if parent in compiled.models and parent not in tables
        ]
    return frozenset(name for name in found if compiled.models[name].header.promise.stands)


def build_scratch(
    place: Scratch, order: Order, desk: Desk, opened: Callable[[Engine], None], emit: Emit
) -> tuple[RunRecord, str]:
    """Bring the scratch tables up to date; how it went, and the path of the database. `opened` is told of the engine,
    so that another thread can interrupt it. Raises ProjectError."""
    real = order.config
    config = scratch_config(place, real)
    path = str(config.target.options["path"])
    module = desk.module(real)
    database = real.root / str(real.target.options["path"])
    also = [str(p) for base in (database, real.root / path) for p in (base, f"{base}.wal")]
    with ExitStack() as stack:
        engine = module.open_engine(
            config, writing=True, create=True, wait=0, emit=emit, files=[*desk.files(real), *also]
        )
        assert engine is not None
        opened(engine)
        stack.callback(engine.close)
        standing = look_at(engine, config)  # before the other database, with its own commit records, is beside it
        beside = Ident(module.attach(engine, real)) if database.is_file() else None
        store = open_state(place.folder / "state.db", real.target.name, emit, writing=True)
        assert store is not None
        stack.callback(store.close)
        names = members(order.checked.compiled, order.wanted, order.surroundings.tables or {})
        run_id, now = desk.run_id(), desk.clock()
        compiled = _part(order.checked.compiled, names, order)
        states = _states(order, compiled, names, beside, standing.records, standing.tables, database, run_id, now)
        inputs = Inputs(standing.tables, standing.records, states)
        request = Request(threads=order.wishes.threads)
        plan = make_plan(
            compiled, inputs, config, request, names, run_id, now, lambda name: NOT_FOLLOWED, engine.traits
        )
        stop_on_errors(plan.problems)
        prepared = Prepared(
            Checked(compiled, order.checked.graph, ()), inputs, plan, frozenset(names), lambda name: NOT_FOLLOWED
        )
        record = run(prepared, engine, store, request, "watch", real.target.name, run_id, emit, desk.clock, config)
    return record, path


def scratch_config(place: Scratch, config: Config) -> Config:
    """The project with the scratch database as its target."""
    name = Path(str(config.target.options["path"])).name
    options = {**config.target.options, "path": str((place.folder / name).relative_to(config.root))}
    return replace(config, target=replace(config.target, options=options))


def _part(compiled: Compiled, names: Collection[TableName], order: Order) -> Compiled:
    """The project as if it had only these models."""
    models = {name: _for_scratch(compiled.models[name], order.wishes) for name in names}
    columns = dict(compiled.columns)
    for name, model in compiled.models.items():
        if name not in names:
            columns[name] = model.schema
    found = tuple(name for name in compiled.order if name in models)
    return Compiled(compiled.project, models, found, columns, compiled.undeclared, compiled.readings)


def _for_scratch(model: CompiledModel, wishes: WatchRequest) -> CompiledModel:
    """Without the author's own statements, which may write anywhere; and with checks that a sample cannot be held to."""
    header = replace(model.header, before=(), after=(), batch=None, full_refresh=True)
    if sample_in_words(wishes):
        header = replace(header, checks=tuple(replace(c, severity=Severity.WARNING) for c in header.checks))
    return replace(model, model=replace(model.model, header=header))


def _states(
    order: Order,
    compiled: Compiled,
    names: Collection[TableName],
    beside: Ident | None,
    records: Mapping[TableName, TableRecord],
    standing: Mapping[TableName, Found],
    database: Path,
    run_id: str,
    now: datetime,
) -> dict[TableName, InputState]:
    """What the models read and is not built in the scratch database: a view each."""
    found: dict[TableName, InputState] = {}
    read = {p for name in names for p in (*compiled.models[name].parents, *compiled.models[name].checked_against)}
    for name in sorted(read - set(names)):
        relation, identity = _relation(order, name, beside, database)
        if relation is None:
            continue
        schema = compiled.columns.get(name, Schema())
        query = _cut(relation, name, schema, order)
        before = records.get(name)
        made_of = _hash(query, *(f"{c.name} {c.type}" for c in schema))
        there = standing.get(name)
        work: tuple[Sql, ...] = ()
        if (
            before is None
            or before.fingerprint.query != made_of
            or there is None
            or there.relation is not Relation.VIEW
        ):
            work = (compose("CREATE OR REPLACE VIEW {t} AS {query}", t=name, query=query),)
            if there is not None and there.relation is Relation.TABLE:
                work = (compose("DROP TABLE {t}", t=name), *work)
        changed = before is None or before.seen != Stamp(identity) or bool(work)
        version = first_version(now) if before is None else before.version + 1
        record = before
        if changed or record is None:
            record = TableRecord(
                table=name, kind=TableKind.SOURCE, relation=Relation.VIEW, fingerprint=Fingerprint(made_of),
                schema=schema, version=version, run_id=run_id, committed_at=now,
                changes=(*(before.changes[-10:] if before else ()), Change(version)), seen=Stamp(identity), mode=SourceMode.VIEW,
            )  # fmt: skip
        found[name] = InputState(record, Sql(render(name)), "its rows" if changed and before else "", work)
    return found


def _relation(order: Order, name: TableName, beside: Ident | None, database: Path) -> tuple[Sql | None, str]:
    """SQL that reads a table from outside the scratch database, and what tells its content."""
    config, project = order.config, order.checked.compiled.project
    real = order.surroundings.tables or {}
    source = project.sources.get(name)
    if source is not None and source.path is not None:
        reading = order.checked.compiled.readings[name]
        return readings.relation(config, reading), files.identity_by_time(config.root, source.path)
    if name in project.seeds:
        seed = project.seeds[name]
        return seed_relation(config, seed), files.identity_by_time(config.root, seed.path)
    table = source.table if source is not None and source.table is not None else name
    if beside is None or table not in real:
        return None, ""
    relation = compose("{beside}.{table}", beside=beside, table=table)
    record = order.surroundings.records.get(table)
    if record is not None and record.relation is Relation.TABLE:
        return relation, f"{record.version} {record.run_id}"
    status = database.stat()
    return relation, f"{status.st_size} {status.st_mtime_ns}"


def _cut(relation: Sql, name: TableName, schema: Schema, order: Order) -> Sql:
    """The rows of an input that the sample has. Seeds are small, and joined by key: they are whole."""
    project, wishes = order.checked.compiled.project, order.wishes
    query = compose("SELECT * FROM {relation}", relation=relation)
    if name in project.seeds:
        return query
    source, model = project.sources.get(name), order.checked.compiled.models.get(name)
    time = source.time if source is not None else model.header.time if model is not None else None
    column = schema.find(time) if time is not None else None
    if (wishes.start or wishes.end) and column is not None and column.parsed.is_moment:
        window = IntervalSet.between(wishes.start or BEGINNING, wishes.end or END)
        inside = within(Sql(render(Ident(column.name))), column.type, window, nulls=False)
        query = compose("{query} WHERE {inside}", query=query, inside=inside)
    if wishes.limit is not None:
        query = compose("{query} LIMIT {n}", query=query, n=wishes.limit)
    return query


def _hash(*parts: str) -> str:
    return hashlib.blake2b("\x1f".join(parts).encode(), digest_size=16).hexdigest()
