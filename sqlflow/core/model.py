"""Models, seeds, sources and macros as their author wrote them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from enum import StrEnum

from msgspec import Struct, field

from sqlflow.core.checks import CheckSpec
from sqlflow.core.clock import ClockRule
from sqlflow.core.diagnostics import Severity
from sqlflow.core.intervals import Duration, Grain
from sqlflow.core.modes import PROMISES, Mode, Promise, Strategy
from sqlflow.core.names import TableName
from sqlflow.core.source import SourceFile, Span
from sqlflow.core.text import Argument, MappedText, Snippet


class Incremental(StrEnum):
    """Whether a table may, must not, or must be kept up to date without rebuilding it."""

    AUTO = "auto"
    OFF = "off"
    REQUIRED = "required"


class Conflict(StrEnum):
    """What happens when the table and the query have different rows for one key."""

    SOURCE_WINS = "source_wins"
    LATEST_WINS = "latest_wins"
    TARGET_WINS = "target_wins"
    MANUAL = "manual"


class OnSchemaChange(StrEnum):
    REBUILD = "rebuild"
    FAIL = "fail"


class Index(Struct, frozen=True):
    """An index on a model's table. `using`: the method, such as `brin`; `where`: only rows for which this holds."""

    columns: tuple[str, ...]
    unique: bool = False
    using: str = ""
    where: str | None = None
    written: Snippet | None = None  # where something is still to be judged of `where`

    @property
    def plain(self) -> bool:
        """Whether every engine that has indexes can make it."""
        return not (self.unique or self.using or self.where)


class PartitionBy(Struct, frozen=True):
    """How a table is cut into partitions: one for each `by` of the time `column`."""

    column: str
    by: Grain

    def __str__(self) -> str:
        return f"{self.column} by {self.by}"


class Deleted(Struct, frozen=True):
    """Rows that mean "delete this key": `column` has one of `values`, or the condition `sql` holds."""

    column: str | None = None
    values: tuple[object, ...] = ()
    sql: str | None = None
    written: Snippet | None = None  # where something is still to be judged of `sql`

    def __repr__(self) -> str:
        """What decides which rows are deleted; it is in fingerprints, and places are not."""
        return f"Deleted(column={self.column!r}, values={self.values!r}, sql={self.sql!r})"


class DeletedRows(StrEnum):
    """What a history does with keys that the query does not give any more."""

    CLOSE = "close"
    IGNORE = "ignore"
    TOMBSTONE = "tombstone"


class Validity(Struct, frozen=True):
    """The columns that a history has beside those of its query, by what they say of a version: from when and up to when it was
    valid, and whether it is. `deleted`: of a tombstone. `open`: how the end of a version is written that has none; None: as NULL."""

    start: str = "valid_from"
    end: str = "valid_to"
    current: str = "is_current"
    deleted: str = "is_deleted"
    open: date | None = None


class ColumnNote(Struct, frozen=True):
    """What the author says about a column of the outermost SELECT."""

    description: str = ""
    tags: tuple[str, ...] = ()


class Header(Struct, frozen=True):
    """The directives of a model, checked, with folder defaults applied. See docs/reference/header.md.

    `severity`: of a query in tests/ that returns rows.
    """

    mode: Mode = Mode.AUTO
    key: tuple[str, ...] = ()
    time: str | None = None
    grain: Grain = Grain.DAY
    cursor: str | None = None
    lookback: Duration | None = None
    start: datetime | None = None
    batch: Duration | None = None
    strategy: Strategy = Strategy.AUTO
    clock: ClockRule = ClockRule.AUTO
    incremental: Incremental = Incremental.AUTO
    conflict: Conflict = Conflict.SOURCE_WINS
    deleted: Deleted | None = None
    deleted_rows: DeletedRows | None = None
    compare: tuple[str, ...] = ()
    validity: Validity = Validity()
    on_schema_change: OnSchemaChange = OnSchemaChange.REBUILD
    full_refresh: bool = True
    checks: tuple[CheckSpec, ...] = ()
    columns: Mapping[str, ColumnNote] = field(default_factory=dict)
    tags: frozenset[str] = frozenset()
    owner: str | None = None
    description: str = ""
    enabled: bool = True
    index: tuple[Index, ...] = ()
    partition_by: PartitionBy | None = None
    depends_on: tuple[str, ...] = ()
    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    schema: str | None = None
    name: str | None = None
    severity: Severity = Severity.ERROR
    spans: Mapping[str, Span] = field(default_factory=dict)  # directive -> its value in the file

    @property
    def promise(self) -> Promise:
        return PROMISES[self.mode]

    @property
    def absent(self) -> DeletedRows:
        """What happens to keys that the query does not give: where it tells of deletions itself, they need not be all there."""
        return self.deleted_rows or (DeletedRows.CLOSE if self.deleted is None else DeletedRows.IGNORE)

    @property
    def added(self) -> tuple[str, ...]:
        """The columns that the table has beside those of the query."""
        if not self.promise.history:
            return ()
        names = (self.validity.start, self.validity.end, self.validity.current)
        return (*names, self.validity.deleted) if self.deleted_rows is DeletedRows.TOMBSTONE else names


class Model(Struct, frozen=True):
    """One query and what its header says: of a file in models/, or in tests/. `query` has variables and macros already put in.

    `query` starts at the first token of the SELECT and ends at its last: no header, no final semicolon. `place`: what
    gives the model its name. `dialect`: of the query, where it is not the target's, so that
    what runs is a translation; empty otherwise. `arguments`: where arguments of macros stand in the query.
    """

    name: TableName
    header: Header
    query: MappedText
    place: Span
    dialect: str = ""
    arguments: tuple[Argument, ...] = ()

    @property
    def file(self) -> SourceFile:
        return self.query.file


class Seed(Struct, frozen=True):
    """A CSV file of the project that becomes a table. `types`: column -> SQL type, for those given."""

    name: TableName
    path: str  # relative to the project's root
    types: Mapping[str, str] = field(default_factory=dict)
    nulls: tuple[str, ...] = ()
    delimiter: str | None = None
    description: str = ""
    span: Span | None = None
    date_format: str | None = None
    timestamp_format: str | None = None
    checks: tuple[CheckSpec, ...] = ()


class Missing(StrEnum):
    """What follows when a file, or a column of one, is not there."""

    FAIL = "fail"
    WARN = "warn"
    NULL = "null"


class Source(Struct, frozen=True):
    """A table or files from outside: exactly one of `path` (a file or glob) and `table` is set."""

    name: TableName
    span: Span
    path: str | None = None
    table: TableName | None = None
    time: str | None = None
    cursor: str | None = None
    key: tuple[str, ...] = ()
    append_only: bool = False
    types: Mapping[str, str] = field(default_factory=dict)  # declared columns -> SQL types
    description: str = ""
    delimiter: str | None = None
    skip: int | None = None  # lines above those with columns
    nulls: tuple[str, ...] = ()
    date_format: str | None = None
    timestamp_format: str | None = None
    folders: bool | None = None  # whether `name=value` in paths is a column; None: where the paths have it
    missing_file: Missing = Missing.WARN
    missing_column: Missing = Missing.FAIL
    spans: Mapping[str, Span] = field(default_factory=dict)  # of the path, and of declared columns
    checks: tuple[CheckSpec, ...] = ()


def has_snippets(header: Header) -> bool:
    """Whether something is still to be judged of conditions in a header."""
    deleted = header.deleted
    return (
        any(check.written for check in header.checks)
        or (deleted is not None and deleted.written is not None)
        or any(index.written is not None for index in header.index)
    )


class Project(Struct, frozen=True):
    """Everything that was read from the files of a project.

    `broken`: names whose definition is there and is wrong, so that nobody can say what they are. `doubtful`: texts that
    are wrong and may define more names.
    """

    models: tuple[Model, ...]
    sources: Mapping[TableName, Source]
    seeds: Mapping[TableName, Seed]
    disabled: tuple[tuple[TableName, str], ...] = ()  # models that are switched off, with their files
    broken: tuple[TableName, ...] = ()
    doubtful: tuple[str, ...] = ()
