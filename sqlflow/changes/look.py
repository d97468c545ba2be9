"""Look at everything that models read, once, before planning."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import nullcontext
from datetime import datetime

from msgspec import Struct, field
from msgspec.structs import replace

from sqlflow.changes import files, readings, signatures
from sqlflow.changes.forms import date_format_of, is_moment, moment, struct
from sqlflow.core.amounts import counted
from sqlflow.core.compiled import Compiled, CompiledModel
from sqlflow.core.config import Config
from sqlflow.core.diagnostics import Diagnostic
from sqlflow.core.engine import EngineError, Found, Session, Traits
from sqlflow.core.inputs import Beyond, Copied, Growth, Inputs, InputState, Watch
from sqlflow.core.intervals import Grain
from sqlflow.core.model import Missing, Seed, Source
from sqlflow.core.modes import Strategy
from sqlflow.core.names import TableName
from sqlflow.core.paths import literal_path
from sqlflow.core.plan import Load, Signature, SignatureUpdate
from sqlflow.core.reading import Reading
from sqlflow.core.records import (
    Change,
    Fingerprint,
    Relation,
    SourceMode,
    TableKind,
    TableRecord,
    first_version,
)
from sqlflow.core.schema import Column, Schema
from sqlflow.core.seen import Content, Files, Read, Seen, Unknown, latest_of, rows_of, some_without_cursor
from sqlflow.core.sql import Ident, Sql, Value, compose, joined, make, render

Stored = Callable[[TableName, TableName], Mapping[str, Signature]]


class Warehouse(Struct, frozen=True):
    """What stands in the database: its tables, the commit records, and a connection; None when there is no database.
    `moment`: of the engine, before it was looked at."""

    tables: Mapping[TableName, Found]
    records: Mapping[TableName, TableRecord]
    session: Session | None
    stored: Stored
    traits: Traits
    others: Mapping[TableName, str] = field(default_factory=dict)
    lost: frozenset[TableName] = frozenset()
    kept: Mapping[str, frozenset[str]] = field(default_factory=dict)
    moment: str = ""


Unseen = Mapping[TableName, tuple[Diagnostic, ...]]
"""Seeds and sources that could not be looked at, and why."""


def look(
    compiled: Compiled,
    config: Config,
    warehouse: Warehouse,
    wanted: Collection[TableName],
    also: Collection[TableName],
    run_id: str,
    now: datetime,
    *,
    anew: bool = False,
    known: Inputs | None = None,
) -> tuple[Inputs, Unseen]:
    """The state of all seeds, sources and undeclared tables that the `wanted` models read, and of those in `also`.

    At most one query each, plus one per incremental model whose input changed, or all of whose rows are to be computed
    (`anew`, or because it has no table). Gives also what could not be read, and why. `known`: what was found a moment ago; only
    files that had to be loaded since are looked at again. All of it is of one moment: if files change meanwhile, it is
    looked at again.
    """
    session = warehouse.session

    def looked() -> tuple[Inputs, Unseen]:
        with nullcontext() if session is None else session.reading():
            return _look(compiled, config, warehouse, wanted, also, run_id, now, anew, known)

    inputs, problems = looked()
    for _ in range(_MOST_LOOKS - 1):
        if not any(_moved(config, state) for state in inputs.states.values()):
            return inputs, problems
        inputs, problems = looked()
    # Of files that never stand still, what was seen is none of their versions.
    states = {n: _unlike_itself(state) if _moved(config, state) else state for n, state in inputs.states.items()}
    return replace(inputs, states=states), problems


_MOST_LOOKS = 3


def _moved(config: Config, state: InputState) -> bool:
    """Whether the files of a source are not what they were when they were looked at."""
    seen = state.record.seen
    if state.watch is None or state.watch.folder is None or not isinstance(seen, Files):
        return False
    if files.fits(files.stamps(config.root, seen), seen):
        return False
    return files.content(files.identity_of_same(config.root, seen)) != files.content(seen)


def _unlike_itself(state: InputState) -> InputState:
    seen = state.record.seen
    unlike = files.unlike_itself(seen) if isinstance(seen, Files) else seen
    return replace(state, record=replace(state.record, seen=unlike), content=None)


def _look(
    compiled: Compiled,
    config: Config,
    warehouse: Warehouse,
    wanted: Collection[TableName],
    also: Collection[TableName],
    run_id: str,
    now: datetime,
    anew: bool,
    known: Inputs | None,
) -> tuple[Inputs, Unseen]:
    look_at = _Looking(compiled, config, warehouse, run_id, now, wanted)
    needed = compiled.inputs_of(wanted) | frozenset(also)
    states: dict[TableName, InputState] = {}
    for name in sorted(needed):
        if name in compiled.models:
            continue
        state = known.states.get(name) if known is not None else None
        if state is None or state.loads:
            # A file that changed again since it was loaded is for the next build.
            record = warehouse.records.get(name)
            state = look_at.state(name, loaded=state is not None and record is not None and record.run_id == run_id)
        if state is not None:
            states[name] = replace(state, content=content(state))
    partitions: dict[tuple[TableName, TableName], SignatureUpdate] = {}
    for name in sorted(wanted):
        partitions |= look_at.partitions(compiled.models[name], states, known, anew=anew)
    collated: frozenset[TableName] = frozenset()
    if warehouse.session is not None and any(state.changed for state in states.values()):
        sources = compiled.project.sources.items()
        asked = [name for name in (*needed, *wanted) if name not in dict(sources)]
        asked += [source.table for name, source in sources if name in needed and source.table is not None]
        found = signatures.collated(warehouse.session, [name for name in asked if _hides_collations(warehouse, name)])
        collated = found | {name for name, source in sources if source.table in found}
    moment = warehouse.moment if known is None else known.moment
    inputs = Inputs(
        warehouse.tables,
        warehouse.records,
        states,
        partitions,
        collated,
        tuple(look_at.notes),
        warehouse.others,
        warehouse.lost,
        warehouse.kept,
        look_at.parted(states),
        moment,
    )
    return inputs, look_at.problems


def _hides_collations(warehouse: Warehouse, table: TableName) -> bool:
    """Whether the catalogue may not show a collation of it: a view, or texts inside of other values."""
    found = warehouse.tables.get(table)
    if found is None:
        return False
    texts = [column.type for column in found.schema if "VARCHAR" in column.type]
    return bool(texts) if found.relation is Relation.VIEW else any(kind != "VARCHAR" for kind in texts)


def content(state: InputState, now: Seen | None = None) -> Content:
    """What tells the content of an input, as it is `now` or as its record says: its rows and what they are taken for."""
    seen = state.record.seen if now is None else now
    if state.watch is not None and state.watch.folder is not None:
        seen = files.content(seen)
    return Content(_made_of(state), seen)


def _is_view(found: Found | None) -> bool:
    return found is not None and found.relation is Relation.VIEW


def _made_of(state: InputState) -> str:
    """What the rows of an input depend on besides themselves."""
    made = state.record.fingerprint
    return _hash(made.query, *(f"{name}={value}" for name, value in sorted((made.settings or {}).items())))[:16]


class _Looking:
    def __init__(
        self,
        compiled: Compiled,
        config: Config,
        warehouse: Warehouse,
        run_id: str,
        now: datetime,
        wanted: Collection[TableName],
    ) -> None:
        self.problems: dict[TableName, tuple[Diagnostic, ...]] = {}
        self.notes: list[str] = []
        self._wanted = wanted
        self._readers: dict[TableName, CompiledModel] | None = None
        self._followed: set[TableName] | None = None
        self._parted: dict[str, Mapping[str, Signature]] = {}
        self._failed: set[str] = set()
        self._compiled = compiled
        self._config = config
        self._warehouse = warehouse
        self._run_id = run_id
        self._now = now

    def state(self, name: TableName, *, loaded: bool = False) -> InputState | None:
        """`loaded`: this run has just copied its rows, so its files are what the record says, whatever they are now."""
        project = self._compiled.project
        try:
            if name in project.seeds:
                return self._seed(project.seeds[name], loaded=loaded)
            source = project.sources.get(name)
            if source is not None and source.path is not None:
                return self._file_source(source, loaded=loaded)
            return self._table_source(name, source)
        except EngineError as error:
            span = source.span if (source := project.sources.get(name)) is not None else None
            code = "unreadable-source" if error.code == "statement-failed" else error.code
            first, *rest = error.message.splitlines()
            hint = "\n".join(rest) or None if code == error.code else None
            self.problems[name] = (Diagnostic(code, f"`{name}` cannot be read: {first}", span, hint),)
        except OSError as error:  # it went since its columns were looked at
            seed, source = project.seeds.get(name), project.sources.get(name)
            code, at = ("unreadable-source", source.span) if source is not None else ("unreadable-seed", None)
            file = f"`{seed.path}`" if seed is not None else f"a file of `{name}`"
            why = (error.strerror or "error").lower()
            self.problems[name] = (Diagnostic(code, f"{file} cannot be read: {why}", at),)
        return None

    def _seed(self, seed: Seed, *, loaded: bool) -> InputState:
        before = self._warehouse.records.get(seed.name)
        path = self._config.root / seed.path
        content = hashlib.blake2b(path.read_bytes(), digest_size=16).hexdigest()
        relation = seed_relation(self._config, seed)
        schema = self._compiled.columns[seed.name]
        settings = files.settings(self._config, schema)
        made_of = _hash(
            content, render(relation).replace(str(self._config.root), ""), *(f"{c.name} {c.type}" for c in schema),
            *(repr(check.what) for check in seed.checks),
        )  # fmt: skip
        if loaded and before is not None:
            made_of = before.fingerprint.query
        found = self._warehouse.tables.get(seed.name)
        why = ""
        if before is None:
            why = "it is new"
        elif before.fingerprint.query != made_of:
            why = "its file, its types or its checks changed" if seed.checks else "its file or its types changed"
        elif before.fingerprint.reset(Fingerprint(made_of, settings=settings)):
            why = "the project's time zone changed"
        elif found is None or found.relation is not Relation.TABLE:
            why = "its table is missing"
        elif found.schema != before.schema:
            why = "the columns of its table were changed by hand"
        seen: Seen | None = None
        if not why:
            seen = self._whole(Sql(render(seed.name)), schema)
            if not loaded and before is not None and before.seen is not None and seen != before.seen:
                why = "its table was changed by hand"
        watch = Watch(signatures.told(self._warehouse.traits.wording, Sql(render(seed.name)), schema))
        copied = Copied(str(self._config.root), files.identity_with(self._config.root, seed.path, content))
        if why:
            notes = self._compiled.readings.get(seed.name)
            self.notes += [f"`{seed.name}`: {note}" for note in (notes.notes if notes is not None else ())]
            record = self._record(
                seed.name, TableKind.SEED, before, Fingerprint(made_of, settings=settings), schema, None, changed=True
            )
            if not self._warehouse.traits.reads_files:
                fits = found is not None and found.relation is Relation.TABLE and found.schema == schema
                load = Load(seed.name, schema, relation, anew=True, fits=fits, was_view=_is_view(found))
                return InputState(
                    record, Sql(render(seed.name)), why, loads=(load,), reloads=True, watch=watch, copied=copied
                )
            create = make(seed.name, "SELECT * FROM {relation}", relation=relation)
            work: tuple[Sql, ...] = (create,)
            if _is_view(found):
                work = (compose("DROP VIEW {t}", t=seed.name), create)
            return InputState(record, relation, why, work, reloads=True, watch=watch, copied=copied)
        changed = before is not None and seen != before.seen  # this run has just loaded it
        record = self._record(
            seed.name,
            TableKind.SEED,
            before,
            Fingerprint(made_of, settings=settings),
            schema,
            seen,
            changed=changed,
        )
        return InputState(record, Sql(render(seed.name)), "it was loaded" if changed else "", watch=watch)

    def _file_source(self, source: Source, *, loaded: bool) -> InputState:
        before = self._warehouse.records.get(source.name)
        assert source.path is not None
        reading = self._compiled.readings[source.name]
        relation = readings.relation(self._config, reading)
        remembered = before.seen if before else None
        identity = remembered if loaded and isinstance(remembered, Files) else None
        if identity is None:
            identity = files.identity(self._config.root, source.path, remembered, reading.shapes)
        schema = self._compiled.columns[source.name]
        changed = files.difference(remembered, identity) if before else "it is new"
        self._note(source, reading, files.gone(remembered, identity), changed)
        more = files.added(remembered, identity) if changed else []
        added = readings.relation(self._config, reading, more) if more else None
        definition = Sql(readings.definition(source))
        if not self._warehouse.traits.reads_files:
            return self._loaded(source, before, relation, definition, schema, identity, changed, added)
        settings = files.settings(self._config, schema, source)
        state = self._outside(
            source.name, before, relation, definition, schema, identity, changed, Relation.VIEW, settings
        )
        state = replace(state, watch=Watch(folder=str(self._config.root)))
        if before is None or not changed or state.changed != changed or before.schema != schema:
            return state
        return replace(state, growth=self._growth(added, "only new files"))

    def _note(self, source: Source, reading: Reading, gone: Sequence[str], changed: str) -> None:
        """What somebody should know of files that are loaded, or were."""
        if gone:
            there = f"{counted(len(gone), 'file')} gone: {files.few(list(gone))}"
            if folders := files.gone_folders(self._config.root, gone):
                there += f" (there is no folder {files.few(folders)}: is something not mounted?)"
            if source.missing_file is Missing.FAIL:
                at = source.spans.get("path") or source.span
                hint = "bring it back; if it is gone for good, build once with `on_missing_file: warn`"
                self.problems[source.name] = (Diagnostic("missing-file", f"`{source.name}`: {there}", at, hint),)
            else:
                self.notes.append(f"`{source.name}`: {there}; their rows are taken out of what is built from them")
        if changed:
            self.notes += [f"`{source.name}`: {note}" for note in reading.notes]

    def _loaded(
        self,
        source: Source,
        before: TableRecord | None,
        relation: Sql,
        definition: Sql,
        schema: Schema,
        identity: Files,
        changed: str,
        added: Sql | None,
    ) -> InputState:
        """A file source whose rows are copied into a table: all of them, or those of new files if nothing else changed."""
        name = source.name
        settings = files.settings(self._config, schema, source)
        state = self._outside(name, before, relation, definition, schema, identity, changed, Relation.TABLE, settings)
        found = self._warehouse.tables.get(name)
        fits = found is not None and found.relation is Relation.TABLE and found.schema == schema
        known = before is not None and fits and before.fingerprint.query == state.record.fingerprint.query
        known = known and before is not None and not before.fingerprint.reset(state.record.fingerprint)
        if known and not changed:
            return replace(state, work=(), relation=Sql(render(name)))
        plain = readings.plain_csv(self._config, source, self._compiled.readings[name])
        load = Load(name, schema, relation, anew=True, fits=fits, csv=plain, was_view=_is_view(found))
        copied = Copied(str(self._config.root), identity)
        if known and added is not None:
            load = Load(name, schema, added, anew=False, fits=True)
            copied = replace(copied, files=files.only(identity, files.added(before.seen if before else None, identity)))
        return replace(state, work=(), loads=(load,), relation=Sql(render(name)), copied=copied)

    def _growth(self, added: Sql | None, proof: str) -> Growth | None:
        session = self._warehouse.session
        if added is None or session is None:
            return None
        rows = session.fetch(compose("SELECT count(*) FROM {added}", added=added))[0][0]
        return Growth(added, int(str(rows)), proof)

    def _table_source(self, name: TableName, source: Source | None) -> InputState:
        before = self._warehouse.records.get(name)
        table = source.table if source is not None and source.table is not None else name
        schema = self._compiled.columns[name]
        relation, wrong = Sql(render(table)), ""
        cursor = schema.find(source.cursor) if source is not None and source.cursor is not None else None
        found_by: signatures.FoundByCursor | None = None
        seen: Seen
        if self._warehouse.session is None or table not in self._warehouse.tables:
            seen = Unknown()
        elif source is not None and cursor is not None:
            found_by = signatures.by_cursor(
                self._warehouse.session, relation, schema, cursor,
                append_only=source.append_only,
                before=before.seen if before else None,
                grows=self._may_be_followed(name),
                stored=self._warehouse.tables[table].relation is Relation.TABLE,
            )  # fmt: skip
            seen, wrong = found_by.seen, found_by.wrong
        else:
            seen = self._seen(self._warehouse.session, name, relation, schema)
        changed = (
            "it is new" if before is None else "" if before.seen == seen else wrong or _rows_changed(before.seen, seen)
        )
        view = Relation.VIEW if table != name else None
        state = self._outside(name, before, relation, relation, schema, seen, changed, view)
        state = replace(state, rows=rows_of(seen))
        if source is None or cursor is None:
            words, found = self._warehouse.traits.wording, self._warehouse.tables.get(table)
            inside = found is not None and found.inside
            return replace(state, watch=Watch(signatures.told(words, relation, schema), inside, table=table))
        growth = None
        if (
            before is not None
            and state.changed == changed
            and before.schema == schema
            and found_by is not None
            and found_by.beyond
        ):
            growth = self._rows_beyond(source, state, cursor, before, found_by.beyond)
        watch = self._watch(source, table, relation, schema, cursor, before, state, growth)
        return replace(state, watch=watch, growth=growth)

    def _rows_beyond(
        self, source: Source, state: InputState, cursor: Column, before: TableRecord, rows: int
    ) -> Growth | None:
        """That rows with a greater cursor were added, also to what some readers have read since the remembered version."""
        session, words = self._warehouse.session, self._warehouse.traits.wording
        assert session is not None
        since: dict[Read, Beyond] = {}
        all_read = (record.inputs.get(source.name.id) for record in self._warehouse.records.values())
        for read in dict.fromkeys(all_read):
            if read is None or read.version != before.version:
                continue
            seen = _seen_by(read, state)
            latest = latest_of(seen)
            query = signatures.only_added(words, state.relation, cursor, seen, append_only=source.append_only)
            if latest is None or query is None or not session.fetch(query)[0][0]:
                continue
            more = compose("SELECT count(*) FROM {r}", r=signatures.beyond(state.relation, latest, cursor))
            if int(str(session.fetch(more)[0][0])) <= rows:
                since[read] = Beyond(cursor.name, cursor.type, latest)
        added = signatures.beyond(state.relation, latest_of(before.seen) or "", cursor)
        return Growth(added, rows, f"only rows with a greater `{cursor.name}`", since)

    def _watch(
        self, source: Source, table: TableName, relation: Sql, schema: Schema, cursor: Column, before: TableRecord | None,
        state: InputState, growth: Growth | None,
    ) -> Watch:  # fmt: skip
        words, found = self._warehouse.traits.wording, self._warehouse.tables.get(table)
        inside = found is not None and found.inside
        question = signatures.told_by_cursor(words, relation, schema, cursor, append_only=source.append_only)
        if growth is None or before is None:
            return Watch(question, inside, table=table)
        seen = [before.seen, *(_seen_by(read, state) for read in growth.since)]
        added = [signatures.only_added(words, relation, cursor, s, append_only=source.append_only) for s in seen]
        proven = [compose("({query})", query=query) for query in added if query is not None]
        only_added = compose("SELECT {all}", all=joined(" AND ", proven)) if len(proven) == len(seen) else None
        return Watch(question, inside, only_added, table=table)

    def _may_be_followed(self, name: TableName) -> bool:
        """Whether somebody may want to know which rows were added to a table, by what the headers say: to follow them, or
        to look for the partitions of these alone."""
        if self._followed is None:
            self._followed = {
                read
                for model in self._compiled.models.values()
                if model.header.promise.follows
                or model.header.promise.is_view
                or model.header.strategy is Strategy.DELTA
                for read in model.parents
            }
        return name in self._followed

    def _outside(
        self,
        name: TableName,
        before: TableRecord | None,
        relation: Sql,
        definition: Sql,
        schema: Schema,
        seen: Seen,
        changed: str,
        view: Relation | None,
        settings: Mapping[str, str] | None = None,
    ) -> InputState:
        """A source: with `view`, an object of its name must stand in the database that reads `relation`.

        `definition`: what the source is, whatever it has now. `settings`: on which its rows depend.
        """
        what = definition.replace(str(self._config.root), "")
        made_of = _hash(what, *(f"{c.name} {c.type}" for c in schema))
        where = _hash(relation)
        found = self._warehouse.tables.get(name)
        work: tuple[Sql, ...] = ()
        if view is not None and (
            before is None
            or before.fingerprint.query != made_of
            or before.fingerprint.header != where
            or found is None
            or found.relation is not view
            or found.schema != schema
        ):
            query = compose("SELECT * FROM {relation}", relation=relation)
            # What stands there is ours, or may be taken: the plan refuses to write over what is somebody's.
            stands = found.relation if found is not None else None
            words = self._warehouse.traits.wording
            work = tuple(
                words.create_view(name, query, stands=stands, fits=found is not None and found.schema == schema)
            )
        made = Fingerprint(made_of, where, settings=settings)
        if before is not None and before.fingerprint.reset(made):
            changed = "the project's time zone changed"  # whatever else did
        elif not changed and before is not None and before.schema != schema:
            changed = "its columns changed: " + ", ".join(before.schema.differences(schema))
        elif not changed and before is not None and before.fingerprint.query != made_of:
            changed = "its definition changed"
        record = self._record(name, TableKind.SOURCE, before, made, schema, seen, changed=bool(changed))
        if view is not None:
            record = replace(record, mode=SourceMode.VIEW if view is Relation.VIEW else SourceMode.TABLE, relation=view)
        return InputState(record, relation, changed, work)

    def _record(
        self,
        name: TableName,
        kind: TableKind,
        before: TableRecord | None,
        made_of: Fingerprint,
        schema: Schema,
        seen: Seen | None,
        *,
        changed: bool,
    ) -> TableRecord:
        """What is true of the table now: the old record when nothing about it differs."""
        relation = Relation.TABLE if kind is TableKind.SEED else Relation.VIEW
        if before is None:
            version = first_version(self._now)
            changes: tuple[Change, ...] = (Change(version),)
        elif changed:
            version = before.version + 1
            changes = (*before.changes[-49:], Change(version))
        else:
            version, changes = before.version, before.changes
            same = replace(before, fingerprint=made_of, schema=schema, seen=seen)
            return before if same == before else replace(same, run_id=self._run_id, committed_at=self._now)
        return TableRecord(
            table=name,
            kind=kind,
            relation=relation,
            fingerprint=made_of,
            schema=schema,
            version=version,
            run_id=self._run_id,
            committed_at=self._now,
            changes=changes,
            seen=seen,
            mode=str(kind),
            project=self._config.name,
        )

    def _whole(self, relation: Sql, schema: Schema) -> Seen:
        session = self._warehouse.session
        return Unknown() if session is None else signatures.whole(session, relation, schema)

    def partitions(
        self, model: CompiledModel, states: Mapping[TableName, InputState], known: Inputs | None, *, anew: bool
    ) -> dict[tuple[TableName, TableName], SignatureUpdate]:
        """For an incremental model, which partitions of its inputs differ from when it last read them."""
        header = model.header
        session = self._warehouse.session
        if not header.promise.timed or header.time is None or session is None:
            return {}
        column = model.schema.find(header.time)
        before = self._warehouse.records.get(model.name)
        found: dict[tuple[TableName, TableName], SignatureUpdate] = {}
        for name, mapping in model.times.items():
            state = states.get(name)
            if state is None or column is None or not mapping.occurrences:
                continue
            if known is not None and state is known.states.get(name):
                if (model.name, name) in known.partitions:
                    found[model.name, name] = known.partitions[model.name, name]
                continue
            fresh = (
                anew
                or before is None
                or model.name not in self._warehouse.tables
                or before.fingerprint.edited(model.fingerprint)
                or before.fingerprint.header != model.fingerprint.header
                or before.fingerprint.reset(model.fingerprint)
            )
            if not fresh and before is not None and is_read(before.inputs.get(name.id), state):
                continue
            if isinstance(state.record.seen, Unknown) or state.loads:
                continue
            expressions = mapping.expressions
            stored = {} if fresh else self._warehouse.stored(model.name, name)
            # When rows were only added since the model read the input, they alone are read: signatures add up.
            last = before.inputs.get(name.id) if before is not None else None
            grew = state.growth if stored and last == Read(state.record.version - 1) else None
            relation = state.relation if grew is None else grew.relation
            try:
                digest = self._digest(name, state.record.schema, state.record.seen)
                now = self._by_partition(session, relation, digest, expressions, header.grain, column.type)
            except EngineError:
                # Without signatures the model reads everything again, and those of before say nothing of it.
                found[model.name, name] = SignatureUpdate(name, {}, whole=True)
                continue
            if grew is not None:
                found[model.name, name] = SignatureUpdate(name, signatures.grown(stored, now))
            elif fresh or not stored:
                found[model.name, name] = SignatureUpdate(name, dict(now), whole=True)
            else:
                changed = {part: s for part, s in now.items() if stored.get(part) != s}
                gone: dict[str, Signature | None] = {part: None for part in stored if part not in now}
                found[model.name, name] = SignatureUpdate(name, {**changed, **gone})
        return found

    def _by_partition(
        self, session: Session, relation: Sql, digest: Sql, expressions: Sequence[str], grain: Grain, kind: str
    ) -> Mapping[str, Signature]:
        """The partitions of a relation; asked for once."""
        words = self._warehouse.traits.wording
        query = signatures.by_partition(words, relation, digest, expressions, grain, kind)
        if query not in self._parted:
            self._failed.add(query)
            self._parted[query] = signatures.partitions_of(session, query)
            self._failed.remove(query)
        return self._parted[query]

    def parted(self, states: Mapping[TableName, InputState]) -> dict[tuple[TableName, TableName], Sql]:
        """For each incremental model and input, a query of the partitions that `partitions` compares."""
        found: dict[tuple[TableName, TableName], Sql] = {}
        for model in (self._compiled.models[wanted] for wanted in sorted(self._wanted)):
            header, words = model.header, self._warehouse.traits.wording
            column = model.schema.find(header.time or "")
            if not header.promise.timed or column is None:
                continue
            for name, mapping in model.times.items():
                state = states.get(name)
                if state is None or not mapping.occurrences:
                    continue
                digest = self._digest(name, state.record.schema, state.record.seen)
                query = signatures.by_partition(
                    words, state.relation, digest, mapping.expressions, header.grain, column.type
                )
                if query not in self._failed:
                    found[model.name, name] = query
        return found

    def _digest(self, name: TableName, schema: Schema, seen: Seen | None) -> Sql:
        """What tells the rows of an input apart: rows without a cursor nothing but themselves."""
        source = self._compiled.project.sources.get(name)
        if source is None or source.path is not None or source.cursor is None:
            return signatures.by_row(self._warehouse.traits.wording, schema)
        if some_without_cursor(seen) or any(schema.find(column) is None for column in (source.cursor, *source.key)):
            return signatures.by_row(self._warehouse.traits.wording, schema)
        return signatures.by_cursor_and_key(self._warehouse.traits.wording, schema, source.cursor, source.key)

    def _seen(self, session: Session, name: TableName, relation: Sql, schema: Schema) -> Seen:
        """What is seen of a whole table: where an incremental model will ask for its partitions, by them."""
        if self._readers is None:
            self._readers = {}
            for model in (self._compiled.models[wanted] for wanted in sorted(self._wanted)):
                if model.header.promise.timed:
                    for table, mapping in model.times.items():
                        if mapping.occurrences:
                            self._readers.setdefault(table, model)
        reader = self._readers.get(name)
        column = reader.schema.find(reader.header.time or "") if reader is not None else None
        if reader is not None and column is not None:
            header, mapping = reader.header, reader.times[name]
            try:
                digest = signatures.by_row(self._warehouse.traits.wording, schema)
                found = self._by_partition(session, relation, digest, mapping.expressions, header.grain, column.type)
            except EngineError:
                return signatures.whole(session, relation, schema)  # some value is no time
            return signatures.of_all(found)
        return signatures.whole(session, relation, schema)


def _seen_by(read: Read, state: InputState) -> Seen | None:
    """What a reader has seen of an input that was none of its versions, if it was of the same columns."""
    instead = read.instead
    return instead.seen if instead is not None and instead.made_of == _made_of(state) else None


def is_read(read: Read | None, state: InputState) -> bool:
    """Whether a reader has read an input as it is now."""
    return read is not None and read.is_as(state.record.version, state.content)


def seed_relation(config: Config, seed: Seed) -> Sql:
    """SQL that reads a seed's file with its declared types: something that can stand after FROM."""
    own = _own_moments(seed)
    if not own:
        return compose("read_csv({call})", call=seed_call(config, seed))
    items = [
        compose(
            "CAST({m} AS {t}) AS {c}",
            m=moment(Ident(name), seed.timestamp_format or "", kind),
            t=Sql(kind),
            c=Ident(name),
        )
        for name, kind in own.items()
    ]
    call = seed_call(config, seed)
    return compose("(SELECT * REPLACE ({items}) FROM read_csv({call}))", items=items, call=call)


def _own_moments(seed: Seed) -> dict[str, str]:
    """Columns of times whose declared format the engine applies to TIMESTAMP alone."""
    if seed.timestamp_format is None:
        return {}
    return {name: kind for name, kind in seed.types.items() if is_moment(kind) and kind.upper() != "TIMESTAMP"}


def seed_call(config: Config, seed: Seed) -> Sql:
    """The arguments of what reads a seed's file."""
    # Nothing about the form is guessed, so that a row with a field too many is an error and not a surprise.
    options = [
        compose("header = true, delim = {v}", v=Value(seed.delimiter or ",")),
        Sql("quote = '\"', escape = '\"', comment = '', strict_mode = true, null_padding = false, sample_size = -1"),
    ]
    options.append(Sql("hive_partitioning = false"))
    if seed.nulls:
        options.append(compose("nullstr = {v}", v=Value(["", *seed.nulls])))
    if (of_dates := date_format_of(seed)) is not None:
        options.append(compose("dateformat = {v}", v=Value(of_dates)))
    if seed.timestamp_format is not None:
        options.append(compose("timestampformat = {v}", v=Value(seed.timestamp_format)))
    if seed.types:
        types = {**seed.types, **dict.fromkeys(_own_moments(seed), "VARCHAR")}
        options.append(compose("types = {types}", types=struct(types)))
    path = Value(literal_path(str(config.root / seed.path)))
    return compose("{path}, {options}", path=path, options=options)


def _rows_changed(before: Seen | None, now: Seen) -> str:
    old, new = rows_of(before), rows_of(now)
    if old is None or new is None:
        return "its rows changed"
    difference = new - old
    if difference == 0:
        return "its rows changed"
    return f"it has {counted(abs(difference), 'row')} {'more' if difference > 0 else 'fewer'}"


def _hash(*parts: str) -> str:
    return hashlib.blake2b("\x1f".join(parts).encode(), digest_size=16).hexdigest()
