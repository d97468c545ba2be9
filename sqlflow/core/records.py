"""What is remembered of a table, and what happened in a run.

A `TableRecord` is written to the warehouse (`_sqlflow.commits`) in the transaction of the data it speaks of, and
copied to the run-state file afterwards.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum

from msgspec import Struct, field

from sqlflow.core.diagnostics import Diagnostic
from sqlflow.core.intervals import NOTHING, IntervalSet
from sqlflow.core.names import TableName
from sqlflow.core.schema import Schema
from sqlflow.core.seen import Read, Seen
from sqlflow.core.ways import Method


class Relation(StrEnum):
    """What kind of object stands in the database."""

    TABLE = "table"
    VIEW = "view"
    NOTHING = "nothing"


class TableKind(StrEnum):
    MODEL = "model"
    SEED = "seed"
    SOURCE = "source"
    TEST = "test"


class SourceMode(StrEnum):
    """What SQLFlow makes so that queries can read a source; a source that stands in the database has none."""

    VIEW = "source view"
    TABLE = "source table"


Facts = Mapping[str, str | int | float]
"""Counts and times that were measured while a task ran, by name."""


class Change(Struct, frozen=True):
    """What one version of a table changed: these intervals of its time column, these columns, or (both None) all.

    `definition`: it changed because its query did, not because of its data; `reset`: or because a setting did.
    """

    version: int
    intervals: IntervalSet | None = None
    columns: tuple[str, ...] | None = None
    definition: bool = False
    reset: bool = False


class Fingerprint(Struct, frozen=True):
    """Hashes of what a table was made of: tells *what* changed."""

    query: str  # the tokens of the query with macros, variables and inline models in it
    header: str = ""  # the directives that decide rows
    checks: str = ""  # the checks
    # One hash for each output column; empty where the analysis could not see through the query.
    columns: Mapping[str, str] = field(default_factory=dict)
    rows: str = ""  # what decides which rows there are; empty as well where that is not known
    # The settings on which the rows depend, with their values; None in a record of a version that did not write them
    # down.
    settings: Mapping[str, str] | None = None
    # The tokens of the query letter by letter, where the case of a name may be seen in the rows; empty where it
    # cannot, and in a record of a version that did not write it down.
    spelling: str = ""

    def edited(self, now: Fingerprint) -> bool:
        """Whether the query that is there now may mean something else."""
        return self.query != now.query or ("" != self.spelling != now.spelling != "")

    def reset(self, now: Fingerprint) -> tuple[str, ...]:
        """The settings that are others now and decide rows.

        That rows depend on the time zone is found out of the query and the columns that it reads, which are compared by
        themselves; whether they depend on what decides which function a name stands for is its own doing.
        """
        if self.settings is None or now.settings is None:
            return ()
        both = self.settings.keys() & now.settings.keys()
        names = both | ((self.settings.keys() | now.settings.keys()) & _CHOOSE_FUNCTIONS)
        return tuple(sorted(n for n in names if self.settings.get(n, "") != now.settings.get(n, "")))


_CHOOSE_FUNCTIONS = frozenset({"extensions", "search_path"})


class TableRecord(Struct, frozen=True):
    """The state of one table that SQLFlow maintains."""

    table: TableName
    kind: TableKind
    relation: Relation
    fingerprint: Fingerprint
    schema: Schema
    version: int  # grows by one with each run that wrote the table
    run_id: str
    committed_at: datetime
    rows: int | None = None
    changes: tuple[Change, ...] = ()  # what the last versions did
    # Table read -> what was read of it; what was read of its partitions is kept beside.
    inputs: Mapping[str, Read] = field(default_factory=dict)
    clocks: Mapping[str, str] = field(default_factory=dict)  # what the clock showed to the query, by what it asked
    done: IntervalSet = NOTHING  # the intervals that hold the query's result for those inputs
    watermark: str | None = None  # the greatest cursor or time that was read, as text
    seen: Seen | None = None  # of an input, its content; of a model, the rows that it has read up to the watermark
    mode: str = ""  # the mode of a model; of a seed, its kind; of a source, its kind or a `SourceMode`
    seconds: float = 0.0
    logged: int | None = None  # the change log tells of every version after this one
    image: bool = False  # a copy of the input is kept
    counters: str = ""  # a hash of the query whose counters are kept
    costs: Mapping[Method, float] = field(default_factory=dict)  # the seconds that each method took last
    followed: Mapping[Method, int] = field(default_factory=dict)  # for how many changed rows it took them
    distrusted: str = ""  # why the table is only rebuilt until somebody releases it
    runs: int = 0  # how often it was written without being rebuilt
    indexes: tuple[str, ...] = ()  # the names of those that `@index` had made
    partitioned: str = ""  # as `@partition_by` says
    project: str = ""  # the project that the record belongs to; empty in records of older versions
    strategy: Method = Method.NONE  # how the last write was done
    facts: Facts = field(default_factory=dict)  # the numbers that decided that
    # How long each method took here against its estimate, for the next choice.
    paces: Mapping[Method, float] = field(default_factory=dict)

    @property
    def made(self) -> bool:
        """Whether SQLFlow made the table or view; otherwise it is an input from outside, which several projects may read, or a
        test."""
        return self.kind in (TableKind.MODEL, TableKind.SEED) or self.mode in _SOURCE_MODES

    @property
    def reader(self) -> str:
        """The project that has a memory of its own of this input; empty for what one project made."""
        return "" if self.made else self.project

    @property
    def id(self) -> str:
        """The name under which the record is kept."""
        return f"{self.table.id} for {self.reader}" if self.reader else self.table.id


_SOURCE_MODES = frozenset(SourceMode)


class Status(StrEnum):
    DONE = "done"
    FAILED = "failed"
    SKIPPED = "skipped"
    CANCELLED = "cancelled"


class CheckStatus(StrEnum):
    PASSED = "passed"
    WARNED = "warned"
    FAILED = "failed"


class CheckResult(Struct, frozen=True):
    """How a check came out: `failing` rows, and a few of them as text. `total`: a value of all rows fails, which `sample` is.
    `description`: what its author says that it is for."""

    check: str
    status: CheckStatus
    failing: int = 0
    sample: tuple[str, ...] = ()
    total: bool = False
    description: str = ""


class TaskResult(Struct, frozen=True):
    """How a task ended. `rows`: rows written. `blame`: for a skipped task, the table whose failure is the cause.
    `strategy`: what was really done; `facts`: the numbers that decided it."""

    task: str
    table: TableName
    action: str
    status: Status
    started_at: datetime
    seconds: float
    rows: int | None = None
    reason: str = ""
    error: Diagnostic | None = None
    blame: TableName | None = None
    checks: tuple[CheckResult, ...] = ()
    strategy: Method = Method.NONE
    facts: Facts = field(default_factory=dict)
    kind: TableKind = TableKind.MODEL


class RunRecord(Struct, frozen=True):
    """One build: what was asked, when, and how each task ended."""

    run_id: str
    target: str
    command: str
    started_at: datetime
    finished_at: datetime
    status: Status
    results: tuple[TaskResult, ...] = ()
    up_to_date: int = 0


def first_version(now: datetime) -> int:
    """The version of a table that is made for the first time: higher than any an earlier table of that name had."""
    return int(now.timestamp() * 1000)
