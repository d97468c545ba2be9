"""What SQLFlow needs of a database."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from msgspec import Struct

from sqlflow.core.names import TableName
from sqlflow.core.plan import Load
from sqlflow.core.records import Relation
from sqlflow.core.schema import Schema
from sqlflow.core.sql import Sql
from sqlflow.core.wording import Wording

Row = tuple[object, ...]


class Traits(Struct, frozen=True):
    """Facts about a database that decide plans."""

    dialect: str  # of sqlglot
    wording: Wording
    index_options: bool = True  # unique and partial indexes, and other methods, also while the rows change
    partitioned_tables: bool = True
    reads_files: bool = True  # a query can name files; otherwise they are loaded into tables
    scratch: bool = True  # a database for trying things out can be made beside the real one, which it reads
    longest_name: int | None = None  # the bytes that are kept of a name
    memory: int | None = None  # the bytes that its work may take before it spills to disk
    cuts_days: bool = True  # `date_trunc` of a DATE is a TIMESTAMP, not one with a time zone
    loose_decimals: bool = False  # a DECIMAL may be NaN, and have no scale: then equal ones may differ as text
    side_by_side: bool = True  # transactions that run at the same time are kept apart
    tells_tables: bool = True  # the engine's parser says which tables a query names
    clock_texts: frozenset[str] = frozenset()  # texts that are a time of now where they are cast to one


class Found(Struct, frozen=True):
    """A table or view as it stands in the database. `inside`: only transactions of this database change its rows, which
    cannot be said of a view or of a table that stands for one elsewhere. `alike`: this and others whose names differ only in
    case, as they are written in SQL."""

    relation: Relation
    schema: Schema
    inside: bool = True
    alike: tuple[str, ...] = ()


class EngineError(Exception):
    """A statement failed. `kind` is the engine's own class of error, `position` a character offset in the statement,
    `length` how many characters there are to blame.

    `conflict`: it may go well another time, because another transaction wrote the same thing at the same time, or
    because more memory is allowed now. `code`: of the diagnostic that tells it; the lines of the message after the first
    are what can be done about it.
    """

    def __init__(
        self,
        message: str,
        kind: str = "",
        position: int | None = None,
        *,
        length: int | None = None,
        conflict: bool = False,
        code: str = "statement-failed",
    ) -> None:
        super().__init__(message)
        self.conflict = conflict
        self.code = code
        self.message = message
        self.kind = kind
        self.position = position
        self.length = length


class Interrupted(Exception):
    """A statement was cancelled by `Engine.interrupt`."""


class Session(Protocol):
    """One connection: statements one after the other. Errors are `EngineError` or `Interrupted`. Parameters are `$1`, `$2`
    and so on in the text."""

    @property
    def wording(self) -> Wording: ...

    def execute(self, sql: str, parameters: Sequence[object] = ()) -> int:
        """Run one statement that writes; the number of rows written or deleted."""

    def fetch(self, sql: str, parameters: Sequence[object] = ()) -> list[Row]:
        """The rows of a query."""

    def load(self, load: Load) -> int:
        """Copy the rows of files into a table; their number. Asked only of engines that do not read files."""

    def begin(self) -> None: ...
    def commit(self) -> None: ...
    def rollback(self) -> None: ...

    def unwritten(self, table: TableName, rows: int, moment: str) -> bool:
        """Whether it is certain that a table, as this transaction sees it, is what it was at the moment, when it had so many
        rows. For less than it takes to read them; False where that cannot be told."""

    def reading(self) -> AbstractContextManager[None]:
        """All that is fetched inside is of one moment; a query that fails there is no harm to the next one. Nothing is
        written."""


class Engine(Protocol):
    """A database that is open."""

    @property
    def traits(self) -> Traits: ...

    @property
    def version(self) -> str:
        """Of the server that answers, and what tells its sessions apart in the meaning of a query; empty where the engine is a
        package, which has its own."""

    def session(self) -> Session:
        """A new connection to it."""

    def moment(self) -> str:
        """What `untouched_since` needs to know of now."""

    def untouched_since(self, moment: str) -> bool:
        """Whether it is certain that nobody but this build has committed anything since a moment."""

    def tables(self) -> Mapping[TableName, Found]:
        """Every table and view with its columns, SQLFlow's own left out."""

    def interrupt(self) -> None:
        """Cancel what runs now, in all sessions."""

    def close(self) -> None: ...


class BindError(Struct, frozen=True):
    """Why the engine refuses a query. `start`, `end`: characters of the query's text, when known."""

    code: str
    message: str
    start: int | None = None
    end: int | None = None
    candidates: tuple[str, ...] = ()
    hint: str | None = None


class Unsteady(Struct, frozen=True):
    """A function that may give something else another time, or of which nobody can say; `volatile`: each time."""

    name: str
    reason: str
    volatile: bool = False


class ReadTable(Struct, frozen=True):
    """A table that a query names, at the characters `[start, end)` of its text. CTEs are not among them."""

    schema: str | None
    name: str
    start: int
    end: int
    aliased: bool = False


_CATALOGUE = re.compile(r"(?:pg|duckdb|sqlite)_\w+", re.IGNORECASE)


def may_be_catalogue(read: ReadTable) -> bool:
    """Whether a name that is no table of the project may be one of the engine's own, which its binder knows."""
    return read.schema is None and _CATALOGUE.fullmatch(read.name) is not None


class Binder(Protocol):
    """The engine's own judgement on queries, against tables that are empty."""

    @property
    def traits(self) -> Traits:
        """What is known of the engine before a database of it is open."""

    def define(self, table: TableName, schema: Schema) -> None:
        """Make an empty table of these columns known, or replace it."""

    def describe(self, reading: Sql) -> Schema | BindError:
        """The columns of files that are read so (something that can stand after FROM), as they will be in a table."""

    def rows(self, query: Sql) -> list[Row] | BindError:
        """The rows of a query of DuckDB that reads nothing but files."""

    def parse(self, query: str) -> tuple[ReadTable, ...] | BindError:
        """The tables that a query names, or its syntax error, by the engine's own parser."""

    def bind(self, query: str) -> Schema | BindError:
        """The columns of a query, or what is wrong with it. Nothing is run."""

    def settings(self, query: str, columns: Iterable[Schema]) -> Mapping[str, str]:
        """The settings on which the rows of a query depend, with their values. `columns`: of all that it reads, and its own.

        A setting that only may decide them is among these: a table is made again without need rather than not at all."""

    def steady(self, function: str) -> bool:
        """Whether the engine says of a function, by its name in lower case, that it gives the same for the same."""

    def unsteady(self, query: str) -> tuple[Unsteady, ...]:
        """What the engine says against the functions of a query, besides those whose names SQLFlow knows."""

    def fill(self, table: TableName, columns: Sequence[str], query: Sql) -> None:
        """Give a table that was defined the rows of a query. Raises EngineError."""

    def clear(self, table: TableName) -> None:
        """Make it empty again."""

    def answer(self, query: str) -> list[Row]:
        """The rows that a query gives on the tables as they have been filled. Raises EngineError."""

    def close(self) -> None: ...
