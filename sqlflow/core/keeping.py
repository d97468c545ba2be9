"""The tables that SQLFlow keeps for itself in the warehouse, beside a table, so that changes can be followed.

Their names are short whatever the table's is, because PostgreSQL cuts a name to 63 bytes: one that would be longer, and one
that belongs to a single project, ends in a hash of all that it stands for.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from sqlflow.core.modes import promised
from sqlflow.core.names import LONGEST, TableName
from sqlflow.core.records import TableRecord

SCHEMA = "_sqlflow"


def log_of(table: TableName, reader: str = "") -> TableName:
    """The change log of a table. `reader`: the project that keeps it, when the table is not made by a project."""
    return TableName(SCHEMA, _named("changes of", table, reader))


def image_of(table: TableName, reader: str = "") -> TableName:
    """The copy of an input as it was when its changes were last written down."""
    return TableName(SCHEMA, _named("image of", table, reader))


def counters_of(table: TableName) -> TableName:
    """The counters of a grouped model."""
    return TableName(SCHEMA, _named("counters of", table, ""))


def deletions_of(table: TableName) -> TableName:
    """Where the deletions of a merged table are remembered."""
    return TableName(SCHEMA, _named("deleted", table, ""))


def _named(word: str, table: TableName, reader: str) -> str:
    plain = f"{word} {table.id}"
    if not reader and len(plain.encode()) <= LONGEST:
        return plain
    hashed = hashlib.blake2b("\x1f".join((*table.key, reader)).encode(), digest_size=8).hexdigest()
    return f"{word} {table.id.encode()[:24].decode(errors='ignore')} {hashed}"


_WORDS = ("changes of ", "image of ", "counters of ", "deleted ")


def needed(record: TableRecord) -> tuple[TableName, ...]:
    """The tables that are kept for what a record tells of."""
    found: list[TableName] = []
    if record.logged is not None:
        found.append(log_of(record.table, record.reader))
    if record.image:
        found.append(image_of(record.table, record.reader))
    if record.counters:
        found.append(counters_of(record.table))
    if promised(record.mode).keyed:
        found.append(deletions_of(record.table))
    return tuple(found)


def needless(kept: Iterable[TableName], records: Iterable[TableRecord]) -> tuple[TableName, ...]:
    """Those of the kept tables that no record needs any more."""
    wanted = {table for record in records for table in needed(record)}
    return tuple(sorted(t for t in kept if t not in wanted and t.name.startswith(_WORDS)))


def moved(before: TableRecord, now: TableRecord) -> tuple[tuple[str, TableName], ...]:
    """What is kept for a record under the names that older versions gave, or that it had for another project: each name as it
    is, and the name that it is to have. On PostgreSQL the old ones were cut."""
    id = before.table.id
    found: list[tuple[str, TableName]] = []
    for word, is_now in (
        ("changes of", log_of(now.table, now.reader)),
        ("image of", image_of(now.table, now.reader)),
        ("counters of", counters_of(now.table)),
        ("deleted", deletions_of(now.table)),
    ):
        whole = f"{word} {id}"
        names = {whole, whole.encode()[:LONGEST].decode(errors="ignore"), _named(word, before.table, before.reader)}
        found += [(name, is_now) for name in sorted(names) if name != is_now.name]
    return tuple(found)
