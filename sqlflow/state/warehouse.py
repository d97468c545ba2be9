"""The commit record: SQLFlow's memory inside the warehouse, written in the transaction of the data.

Schema `_sqlflow`: `commits` has one row per table with its `TableRecord` as JSON; `signatures` has the partitions
of inputs as models last read them. When these and the run-state file differ, these are right.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct, field
from msgspec.structs import replace

from sqlflow.core.codec import decode, encode
from sqlflow.core.config import Config
from sqlflow.core.diagnostics import one_problem
from sqlflow.core.engine import Session
from sqlflow.core.events import Emit, Told
from sqlflow.core.keeping import SCHEMA, counters_of, image_of, log_of, moved, needed, needless
from sqlflow.core.names import TableName
from sqlflow.core.plan import Signature, SignatureUpdate
from sqlflow.core.records import TableRecord
from sqlflow.core.sql import Ident, Sql, compose
from sqlflow.state.older import older_record

FORMAT = 3
_AT_ONCE = 1000  # records in one statement
_OWN_NAMES = 2  # since this one, what is kept beside a record is called as today
_COMMITS = TableName("_sqlflow", "commits")
_SIGNATURES = TableName("_sqlflow", "signatures")
_META = TableName("_sqlflow", "meta")


_SHAPES: Mapping[TableName, tuple[str, ...]] = {
    _COMMITS: ("name", "record"),
    _SIGNATURES: ("name", "input", "part", "rows", "digest"),
    _META: ("key", "value"),
}


def exists(session: Session) -> bool:
    """Whether this warehouse has commit records, whether or not we may read them."""
    return bool(session.fetch(session.wording.has_table(_COMMITS))[0][0])


class Remembered(Struct, frozen=True):
    """What the warehouse remembers. `records`: of this project. `others`: what other projects made, and which. `format`: of
    the records, None where there are none. `kept`: the tables of `_sqlflow` with their columns, in lower case."""

    records: Mapping[TableName, TableRecord] = field(default_factory=dict)
    others: Mapping[TableName, str] = field(default_factory=dict)
    format: int | None = None
    kept: Mapping[str, frozenset[str]] = field(default_factory=dict)

    @property
    def has_signatures(self) -> bool:
        return _has(self.kept, _SIGNATURES)


def load(session: Session, config: Config) -> Remembered:
    """The records of this project, and of what others made. Raises ProjectError for records that cannot be read.

    What is not in the shape that it must have is as good as lost: a record then says that it is not kept.
    """
    kept = _kept(session)
    if not _has(kept, _COMMITS):
        if _COMMITS.name not in kept and exists(session):
            _all(session)  # which says that it must not be read
        return Remembered(kept=kept)
    format = _format(session, kept)
    if format > FORMAT:
        raise one_problem(
            "state-newer",
            f"the warehouse's commit records have format {format}; this version of SQLFlow knows {FORMAT}",
            hint="upgrade SQLFlow",
        )
    records: dict[TableName, TableRecord] = {}
    others: dict[TableName, str] = {}
    for record in _all(session, format):
        if record.project not in ("", config.name, *config.formerly):
            if record.made:
                others[record.table] = record.project
            continue
        if not record.project and not record.made:
            record = replace(record, project=config.name)
        known = records.get(record.table)
        if known is None or known.committed_at < record.committed_at:
            records[record.table] = record
    if format >= _OWN_NAMES:
        records = {name: _with_what_is_there(record, kept) for name, record in records.items()}
    return Remembered(records, others, format, kept)


def _all(session: Session, format: int = FORMAT) -> list[TableRecord]:
    found: list[TableRecord] = []
    for name, text in session.fetch(compose("SELECT name, record FROM {t} ORDER BY name DESC", t=_COMMITS)):
        try:
            found.append(decode(str(text), TableRecord) if format == FORMAT else older_record(str(text)))
        except ValueError as error:
            raise one_problem(
                "state-damaged",
                f"the warehouse's commit record of `{name}` cannot be read: {error}",
                hint=f"delete its row from _sqlflow.commits, and build `{name}` with --full-refresh",
            ) from error
    return found


def _kept(session: Session) -> dict[str, frozenset[str]]:
    found: dict[str, set[str]] = {}
    rows = session.fetch(
        "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = '_sqlflow' "
        "AND table_catalog = current_database()"
    )
    for table, column in rows:
        found.setdefault(str(table), set()).add(str(column).lower())
    return {table: frozenset(columns) for table, columns in found.items()}


def _has(kept: Mapping[str, frozenset[str]], table: TableName) -> bool:
    return kept.get(table.name, frozenset()) >= set(_SHAPES[table])


def _format(session: Session, kept: Mapping[str, frozenset[str]]) -> int:
    """The format of the records; 0 where nobody says it."""
    if not _has(kept, _META):
        return 0
    found = session.fetch(compose("SELECT value FROM {t} WHERE key = 'format'", t=_META))
    return int(str(found[0][0])) if found and str(found[0][0]).isdigit() else 0


def _with_what_is_there(record: TableRecord, kept: Mapping[str, frozenset[str]]) -> TableRecord:
    """A record without what it tells of that is lost, or has not the columns of its table any more."""
    columns = {name.lower() for name in record.schema.names}
    there = {table.name for table in needed(record) if table.name in kept}
    log, image = log_of(record.table, record.reader).name, image_of(record.table, record.reader).name
    if record.logged is not None and (log not in there or kept[log] != {*columns, "_sqlflow_version", "_sqlflow_sign"}):
        record = replace(record, logged=None)
    if record.image and (image not in there or kept[image] != {*columns, "_sqlflow_hash"}):
        record = replace(record, image=False)
    if record.counters and counters_of(record.table).name not in there:
        record = replace(record, counters="")
    return record


def adopt(session: Session, config: Config, remembered: Remembered, emit: Emit) -> bool:
    """Bring the records of an older version, or of the project under a name that it had, into the form of today. Whether
    anything was done. What is kept beside a table goes with its record."""
    if remembered.format is None:
        return False
    renamed = [record for record in remembered.records.values() if record.project in config.formerly]
    if remembered.format == FORMAT and not renamed:
        return False
    session.begin()
    believed = {record.id: record for record in _all(session, remembered.format)}
    if remembered.format < FORMAT:  # those of other projects as well: the format is of all
        records = list(believed.values())
        for first in range(0, len(records), _AT_ONCE):
            write(session, records[first : first + _AT_ONCE], [], ())
    there = set(remembered.kept)
    for record in remembered.records.values():
        mine = record.project == config.name and not record.made
        now = replace(record, project=config.name) if record.project in config.formerly or mine else record
        before = next((b for id in (record.id, record.table.id) if (b := believed.get(id)) is not None), record)
        for old, new in moved(before, now):
            if old in there and new.name not in there:
                session.execute(compose("ALTER TABLE {t} RENAME TO {n}", t=TableName(SCHEMA, old), n=Ident(new.name)))
                there = there - {old} | {new.name}
        if now != before:
            session.execute(compose("DELETE FROM {t} WHERE name = $1", t=_COMMITS), [before.id])
            write(session, [now], [], ())
    _set_format(session, _without_damaged(session, remembered.kept))
    session.commit()
    if renamed:
        emit(Told(f"what the project made as `{renamed[0].project}` is that of `{config.name}` now"))
    return True


def prepare(session: Session, schemas: Iterable[str]) -> None:
    """Make the tables of the commit record, and the schemas that the build writes to, if they are missing. One that has not
    the columns that it must have is put aside."""
    session.begin()
    for schema in (SCHEMA, *schemas):
        if not session.fetch(session.wording.has_schema(schema))[0][0]:
            session.execute(compose("CREATE SCHEMA IF NOT EXISTS {s}", s=Ident(schema)))
    kept = _without_damaged(session, _kept(session))
    session.execute(
        compose("CREATE TABLE IF NOT EXISTS {t} (name VARCHAR NOT NULL, record VARCHAR NOT NULL)", t=_COMMITS)
    )
    session.execute(
        compose(
            "CREATE TABLE IF NOT EXISTS {t} (name VARCHAR NOT NULL, input VARCHAR NOT NULL, part VARCHAR NOT NULL, "
            "rows BIGINT NOT NULL, digest VARCHAR NOT NULL)",
            t=_SIGNATURES,
        )
    )
    session.execute(compose("CREATE TABLE IF NOT EXISTS {t} (key VARCHAR NOT NULL, value VARCHAR NOT NULL)", t=_META))
    _set_format(session, kept)
    session.commit()


def _without_damaged(session: Session, kept: Mapping[str, frozenset[str]]) -> Mapping[str, frozenset[str]]:
    """Put aside those of our own tables that have not the columns that they must have; the others."""
    for table in _OWN:
        if table.name in kept and not _has(kept, table):
            aside = next(n for number in range(1, 1000) if (n := f"{table.name} damaged {number}") not in kept)
            session.execute(compose("ALTER TABLE {t} RENAME TO {n}", t=table, n=Ident(aside)))
    return {
        name: columns
        for name, columns in kept.items()
        if TableName(SCHEMA, name) not in _OWN or _has(kept, TableName(SCHEMA, name))
    }


def _set_format(session: Session, kept: Mapping[str, frozenset[str]]) -> None:
    if not _has(kept, _META):
        session.execute(
            compose("CREATE TABLE IF NOT EXISTS {t} (key VARCHAR NOT NULL, value VARCHAR NOT NULL)", t=_META)
        )
    if _format(session, {**kept, _META.name: frozenset(_SHAPES[_META])}) != FORMAT:
        session.execute(compose("DELETE FROM {t} WHERE key = 'format'", t=_META))
        session.execute(compose("INSERT INTO {t} VALUES ('format', $1)", t=_META), [str(FORMAT)])


def write(
    session: Session,
    records: Sequence[TableRecord],
    signatures: Iterable[tuple[TableName, Sequence[SignatureUpdate]]],
    gone: Sequence[TableName],
    project: str = "",
) -> None:
    """Write records and signatures, inside the session's open transaction.

    `signatures`: by table, what is new. `gone`: tables whose
    records are deleted.
    """
    forget(session, gone, project)
    if records:
        names = [record.id for record in records]
        marks = Sql(", ".join(f"${n}" for n in range(1, len(names) + 1)))
        session.execute(compose("DELETE FROM {t} WHERE name IN ({marks})", t=_COMMITS, marks=marks), names)
        rows = Sql(", ".join(f"(${n}, ${n + 1})" for n in range(1, 2 * len(names), 2)))
        values = [value for record in records for value in (record.id, encode(record))]
        session.execute(compose("INSERT INTO {t} VALUES {rows}", t=_COMMITS, rows=rows), values)
    for table, updates in signatures:
        for update in updates:
            _write_signature(session, table, update)


def _write_signature(session: Session, table: TableName, update: SignatureUpdate) -> None:
    owner = [table.id, update.input.id]
    if update.whole:
        session.execute(compose("DELETE FROM {t} WHERE name = $1 AND input = $2", t=_SIGNATURES), owner)
    elif update.partitions:
        session.execute(
            compose(
                "DELETE FROM {t} WHERE name = $1 AND input = $2 AND part IN (SELECT unnest(CAST($3 AS VARCHAR[])))",
                t=_SIGNATURES,
            ),
            [*owner, list(update.partitions)],
        )
    there = {part: found for part, found in update.partitions.items() if found is not None}
    if there:
        session.execute(
            compose(
                "INSERT INTO {t} SELECT CAST($1 AS VARCHAR), CAST($2 AS VARCHAR), unnest(CAST($3 AS VARCHAR[])), unnest(CAST($4 AS BIGINT[])), "
                "unnest(CAST($5 AS VARCHAR[]))",
                t=_SIGNATURES,
            ),
            [*owner, list(there), [s.rows for s in there.values()], [s.digest for s in there.values()]],
        )


def signatures(session: Session, table: TableName, source: TableName) -> Mapping[str, Signature]:
    """The partitions of `source` as `table` last read them."""
    rows = session.fetch(
        compose("SELECT part, rows, digest FROM {t} WHERE name = $1 AND input = $2", t=_SIGNATURES),
        [table.id, source.id],
    )
    return {str(part): Signature(int(str(count)), str(digest)) for part, count, digest in rows}


def sweep(session: Session) -> None:
    """Drop what is kept beside tables and no record of any project needs any more, inside the session's open transaction."""
    rows = session.fetch("SELECT table_name FROM information_schema.tables WHERE table_schema = '_sqlflow'")
    kept = [TableName(SCHEMA, str(name)) for (name,) in rows]
    if len(kept) > len(_OWN):
        for table in needless(kept, _all(session, _format(session, _kept(session)))):
            session.execute(compose("DROP TABLE IF EXISTS {t}", t=table))


_OWN = (_COMMITS, _SIGNATURES, _META)


def forget(session: Session, tables: Sequence[TableName], project: str) -> None:
    """Delete what a project remembers of these tables, inside the session's open transaction."""
    for table in tables:
        names = [table.id, f"{table.id} for {project}"]
        session.execute(compose("DELETE FROM {t} WHERE name IN ($1, $2)", t=_COMMITS), names)
        session.execute(compose("DELETE FROM {t} WHERE name = $1", t=_SIGNATURES), [table.id])
