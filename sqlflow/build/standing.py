"""What stands in the database when a command begins, and the run-state file made to agree with it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from msgspec import Struct

from sqlflow.core.amounts import counted
from sqlflow.core.config import Config
from sqlflow.core.engine import Engine, Found, Session, Traits
from sqlflow.core.events import Emit, Told
from sqlflow.core.names import TableName
from sqlflow.core.records import TableRecord
from sqlflow.core.store import StateStore
from sqlflow.state import warehouse as commits

Clocked = Callable[[], str]


class Standing(Struct, frozen=True):
    """What stands in the database when a command begins: tables, commit records, and a connection to ask more; and the
    facts about the engine while it is open."""

    tables: Mapping[TableName, Found]
    records: Mapping[TableName, TableRecord]
    session: Session | None
    traits: Traits | None = None
    remembered: commits.Remembered = commits.Remembered()
    moment: Clocked = str  # of the engine: what `Engine.untouched_since` must be told of now


def look_at(engine: Engine | None, config: Config) -> Standing:
    """The database as it is; nothing at all where there is none yet."""
    if engine is None:
        return Standing({}, {}, None)
    session = engine.session()
    found = commits.load(session, config)
    return Standing(engine.tables(), found.records, session, engine.traits, found, engine.moment)


def adopted(standing: Standing, engine: Engine | None, config: Config, emit: Emit) -> Standing:
    """The database with the records in the form of today, and those that the project wrote under another name as its own."""
    if standing.session is None or not commits.adopt(standing.session, config, standing.remembered, emit):
        return standing
    return look_at(engine, config)


def lost_records(standing: Standing, store: StateStore | None) -> frozenset[TableName]:
    """The tables that stand, that SQLFlow made by what the run-state file says, and of which the warehouse has lost the
    record."""
    if store is None or not standing.tables.keys() - standing.records.keys():
        return frozenset()
    return frozenset(
        name
        for name, record in store.load().items()
        if record.made
        and name in standing.tables
        and name not in standing.records
        and name not in standing.remembered.others
    )


def repair(standing: Standing, store: StateStore, emit: Emit) -> None:
    """Make the run-state file say what the warehouse says. Of a table that stands and whose record the warehouse has lost, it
    keeps what it knows."""
    true, believed = standing.records, store.load()
    differing = [record for name, record in true.items() if believed.get(name) != record]
    gone = [name for name in believed if name not in true and name not in standing.tables]
    lost = lost_records(standing, store) if standing.remembered.format is None else frozenset()
    if lost:
        what = counted(len(lost), "table")
        emit(Told(f"the warehouse has lost its records of {what}: what can be made again is rebuilt"))
    if differing or gone:
        store.put(differing, gone)
        if not believed:
            emit(Told(f"the run-state was read from the warehouse ({counted(len(true), 'table')})"))
            return
        newer = [record for record in differing if _is_newer(record, believed.get(record.table))]
        if newer:
            emit(Told(f"{_were_written(len(newer))} by a build that the run-state file had not seen; it knows now"))
        if rest := len(differing) + len(gone) - len(newer):
            emit(Told(f"the run-state file was repaired from the warehouse ({counted(rest, 'table')} differed)"))


def _is_newer(record: TableRecord, believed: TableRecord | None) -> bool:
    """Whether a build has written a table since, on another machine or killed before it could say so."""
    return believed is None or record.committed_at > believed.committed_at


def _were_written(count: int) -> str:
    return f"{counted(count, 'table')} {'was' if count == 1 else 'were'} written"
