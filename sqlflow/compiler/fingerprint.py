"""Hashes of what decides a table: its header, its checks, the columns of what it reads."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection

from sqlflow.core.model import Header
from sqlflow.core.modes import Mode
from sqlflow.core.schema import Schema


def digest(*parts: str) -> str:
    return hashlib.blake2b("\x1f".join(parts).encode(), digest_size=16).hexdigest()


def schema_digest(schema: Schema) -> str:
    return digest(*[f"{column.name} {column.type}" for column in schema])


def header_digest(header: Header) -> str:
    """What decides rows. Of a history in two words: what it is a history of, and what only decides how it goes on."""
    if not header.promise.history:
        return digest(*_row_deciding(header))
    validity = header.validity
    names = (validity.start, validity.end, validity.current, validity.open)
    later = (header.deleted, header.absent, header.compare, validity.deleted, header.before, header.after)
    return f"{digest(*map(repr, (header.mode, header.key, header.cursor, *names)))} {digest(*map(repr, later))}"


def _row_deciding(header: Header) -> list[str]:
    """The directives that decide which rows a table has; `auto` and `replace` promise the same rows."""
    mode = Mode.AUTO if header.promise.whole else header.mode
    parts = [
        mode, header.key, header.time, header.grain, header.cursor, header.start, header.conflict, header.deleted,
        header.before, header.after,
    ]  # fmt: skip
    # Not among them while there is none, so that tables without it are what they were.
    more = [] if header.partition_by is None else [repr(header.partition_by)]
    return [*(repr(part) for part in parts), *more]


def checks_digest(header: Header) -> str:
    """What decides how the checks of a table come out, or those of a query in tests/."""
    if header.promise.tests:
        return digest(str(header.severity))
    return digest(*(repr(check.what) for check in header.checks))


def deciding_columns(header: Header, columns: Collection[str]) -> list[str]:
    """Those of the columns that the directives give a meaning."""
    named = {*header.key, *header.compare, header.time or "", header.cursor or ""}
    if header.partition_by is not None:
        named.add(header.partition_by.column)
    if header.deleted is not None:
        named.update([header.deleted.column or "", *re.findall(r"\w+", header.deleted.sql or "")])
    folded = {name.lower() for name in named}
    return [name for name in columns if name in folded]
