"""The commit record: SQLFlow's memory inside the warehouse, written in the transaction of the data.

Schema `_sqlflow`: `commits` has one row per table with its `TableRecord` as JSON; `signatures` has the partitions
of inputs as models last read them. When these and the run-state file differ, these are right.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from sqlflow.core.codec import decode, encode
from sqlflow.core.diagnostics import one_problem
from sqlflow.core.engine import Session
from sqlflow.core.keeping import needless
from sqlflow.core.names import TableName
from sqlflow.core.plan import Signature, SignatureUpdate
from sqlflow.core.records import TableRecord
from sqlflow.core.sql import Ident, Sql, compose

FORMAT = 1
_COMMITS = TableName("_sqlflow", "commits")
_SIGNATURES = TableName("_sqlflow", "signatures")
_META = TableName("_sqlflow", "meta")


def exists(session: Session) -> bool:
    """Whether this warehouse has commit records."""
    return bool(session.fetch(session.wording.has_table(_COMMITS))[0][0])


def prepare(session: Session, schemas: Iterable[str]) -> None:
    """Make the tables of the commit record, and the schemas that the build writes to, if they are missing."""
    session.begin()
    for schema in ("_sqlflow", *schemas):
        if not session.fetch(session.wording.has_schema(schema))[0][0]:
            session.execute(compose("CREATE SCHEMA IF NOT EXISTS {s}", s=Ident(schema)))
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
    if not session.fetch(compose("SELECT value FROM {t} WHERE key = 'format'", t=_META)):
        session.execute(compose("INSERT INTO {t} VALUES ('format', $1)", t=_META), [str(FORMAT)])
    session.commit()


def load(session: Session) -> dict[TableName, TableRecord]:
    """The records of all tables. Raises ProjectError for records that a newer SQLFlow wrote."""
    if not exists(session):
        return {}
    found = session.fetch(compose("SELECT value FROM {t} WHERE key = 'format'", t=_META))
    if found and int(str(found[0][0])) > FORMAT:
        raise one_problem(
            "state-newer",
            f"the warehouse's commit records have format {found[0][0]}; this version of SQLFlow knows {FORMAT}",
            hint="upgrade SQLFlow",
        )
    records: dict[TableName, TableRecord] = {}
    for name, text in session.fetch(compose("SELECT name, record FROM {t}", t=_COMMITS)):
        try:
            record = decode(str(text), TableRecord)
        except ValueError as error:
            raise one_problem(
                "state-damaged",
                f"the warehouse's commit record of `{name}` cannot be read: {error}",
                hint=f"delete its row from _sqlflow.commits, and build `{name}` with --full-refresh",
            ) from error
        records[record.table] = record
    return records


def write(
    session: Session,
    records: Sequence[TableRecord],
    signatures: Iterable[tuple[TableName, Sequence[SignatureUpdate]]],
    gone: Sequence[TableName],
) -> None:
    """Write records and signatures, inside the session's open transaction.

    `signatures`: by table, what is new. `gone`: tables whose
    records are deleted.
    """
    forget(session, gone)
    if records:
        names = [record.table.id for record in records]
        marks = Sql(", ".join(f"${n}" for n in range(1, len(names) + 1)))
        session.execute(compose("DELETE FROM {t} WHERE name IN ({marks})", t=_COMMITS, marks=marks), names)
        rows = Sql(", ".join(f"(${n}, ${n + 1})" for n in range(1, 2 * len(names), 2)))
        values = [value for record in records for value in (record.table.id, encode(record))]
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
    if not exists(session):
        return {}
    rows = session.fetch(
        compose("SELECT part, rows, digest FROM {t} WHERE name = $1 AND input = $2", t=_SIGNATURES),
        [table.id, source.id],
    )
    return {str(part): Signature(int(str(count)), str(digest)) for part, count, digest in rows}


def sweep(session: Session) -> None:
    """Drop what is kept beside tables and no record needs any more, inside the session's open transaction."""
    rows = session.fetch("SELECT table_name FROM information_schema.tables WHERE table_schema = '_sqlflow'")
    kept = [TableName("_sqlflow", str(name)) for (name,) in rows]
    if len(kept) > len(_OWN):
        for table in needless(kept, load(session).values()):
            session.execute(compose("DROP TABLE IF EXISTS {t}", t=table))


_OWN = (_COMMITS, _SIGNATURES, _META)


def forget(session: Session, tables: Sequence[TableName]) -> None:
    """Delete what is remembered of these tables, inside the session's open transaction."""
    for table in tables:
        session.execute(compose("DELETE FROM {t} WHERE name = $1", t=_COMMITS), [table.id])
        session.execute(compose("DELETE FROM {t} WHERE name = $1", t=_SIGNATURES), [table.id])
