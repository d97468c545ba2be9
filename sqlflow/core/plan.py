"""What a build intends to do, and why."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from msgspec import Struct, field

from sqlflow.core.checks import ANY_ROW, Limit
from sqlflow.core.diagnostics import Diagnostic
from sqlflow.core.intervals import NOTHING, IntervalSet
from sqlflow.core.names import TableName
from sqlflow.core.records import TableKind, TableRecord
from sqlflow.core.schema import Schema
from sqlflow.core.source import Span
from sqlflow.core.sql import Sql
from sqlflow.core.text import MappedText
from sqlflow.core.ways import Fact, Method


class ReasonKind(StrEnum):
    NEW = "new"
    MISSING = "missing"
    QUERY_CHANGED = "query_changed"
    HEADER_CHANGED = "header_changed"
    SETTINGS_CHANGED = "settings_changed"
    CHECKS_CHANGED = "checks_changed"
    COLUMNS_CHANGED = "columns_changed"
    INPUT_CHANGED = "input_changed"
    PARENT_CHANGED = "parent_changed"
    INTERVALS_MISSING = "intervals_missing"
    CLOCK = "clock"
    REQUESTED = "requested"
    UP_TO_DATE = "up_to_date"
    TESTED = "tested"
    NO_TABLE = "no_table"
    NOT_SELECTED = "not_selected"
    LEFT_OUT = "left_out"


class Reason(Struct, frozen=True):
    """Why a model is, or is not, in the plan. `detail` is the sentence a person reads."""

    kind: ReasonKind
    detail: str

    def __str__(self) -> str:
        return self.detail


class StepKind(StrEnum):
    """`WRITE` changes tables. `LOAD` copies files into one. `GUARD` is a query that must find no rows, or the task fails. `MEASURE` is a query of
    one row whose columns are facts for the record. `NOTICE` is a query whose rows are told as a warning. `ALARM` is a
    query whose rows make the task a failed one, though what it did is committed; their first column is a sign. `STILL` is
    a statement that is run if an input is not what it was when it was looked at. `SEEN` finds out what was read of inputs, for
    the record; `NOTED` the same of the input whose task this is, and is a statement that is run if its changes are not known."""

    WRITE = "write"
    GUARD = "guard"
    MEASURE = "measure"
    LOAD = "load"
    NOTICE = "notice"
    ALARM = "alarm"
    STILL = "still"
    SEEN = "seen"
    NOTED = "noted"


class Load(Struct, frozen=True):
    """Files to be copied into a table: `reading` is what DuckDB reads them with, after FROM. `anew`: in place of what the
    table has; it `fits` when it stands with these columns. `was_view`: a view stands in its place. `csv`: the one file, when it
    is plain CSV with a type declared for each column, so that an engine may take its text as it is."""

    table: TableName
    schema: Schema
    reading: Sql
    anew: bool
    fits: bool
    was_view: bool = False
    csv: str = ""


class Signature(Struct, frozen=True):
    """The rows of one partition of an input: how many, and the sum of their hashes."""

    rows: int
    digest: str


class SignatureUpdate(Struct, frozen=True):
    """Partitions of an input whose signature is to be remembered; None where the partition is gone."""

    input: TableName
    partitions: Mapping[str, Signature | None]
    whole: bool = False  # these are all there are: forget the others


class Parted(Struct, frozen=True):
    """The partitions of an input that a model reads: `query` gives all of them as they are now (name, rows, digest), and
    `update` is what is to be remembered of them by the plan."""

    input: TableName
    query: Sql
    update: SignatureUpdate | None = None


class Step(Struct, frozen=True):
    """One statement of a task."""

    kind: StepKind
    sql: Sql
    counts: bool = False  # its rows are the rows that the task wrote
    only_if: Sql | None = None  # a query of one truth value; the step is left out when it is false
    # For a MEASURE, what its columns are: fields of the record, the `strategy` that the following steps take, or
    # facts that the run record keeps; for a WRITE, the one fact that the number of its rows is.
    facts: tuple[Fact, ...] = ()
    timed: bool = False  # its seconds count into the facts `apply_seconds` and `apply_cpu_seconds`
    load: Load | None = None
    label: str = ""  # the directive that the statement comes from, if the author wrote it
    span: Span | None = None  # where that stands
    code: str = ""  # for a GUARD, NOTICE or ALARM that finds rows
    message: str = ""  # for the same; `{rows}` in it becomes the rows
    hint: str | None = None
    inputs: tuple[TableName, ...] = ()  # for a STILL, SEEN or NOTED
    # All that the table has was read from the inputs as they are now; otherwise some of it, as the plan says.
    whole: bool = True
    parted: tuple[Parted, ...] = ()  # how the partitions of the inputs are told


class CheckQuery(Struct, frozen=True):
    """A check as SQL: `sample` gives some of the failing rows, `rows` all of them.

    `error`, `warn`: with how many failing rows it blocks, and is told. `share`: for that, it must be known how many rows were
    looked at. `total`: no rows fail, but a value of all of them, which `sample` gives. `description`: what it is for.
    """

    name: str
    error: Limit | None
    sample: Sql
    span: Span | None = None
    warn: Limit = ANY_ROW
    rows: Sql = Sql("")
    share: bool = False
    total: bool = False
    description: str = ""

    @property
    def blocking(self) -> bool:
        return self.error is not None


class Audit(Struct, frozen=True):
    """Checks that one query answers: `sql` gives one row with the number of failing rows of each check, in order; where a check
    needs it, the number of rows that were looked at stands behind it. `scans`: how often it reads the table."""

    sql: Sql
    checks: tuple[CheckQuery, ...]
    scans: int = 0


class Way(Struct, frozen=True):
    """One of several ways to the same table. `seconds`: what it is expected to cost, None when that is not known or it
    cannot be taken. `why`: the numbers behind that, or what it waits for."""

    name: str
    seconds: float | None
    why: str


class Blame(Struct, frozen=True):
    """The construct of a query because of which changes cannot be followed, why, and where it stands."""

    construct: str
    reason: str
    span: Span | None


class Task(Struct, frozen=True):
    """One transaction's work on one table: the steps, then the checks, then the record, then commit."""

    id: str
    table: TableName
    kind: TableKind
    action: str
    mode: str
    strategy: Method
    reason: Reason
    steps: tuple[Step, ...]
    record: TableRecord  # what will be true afterwards; MEASURE steps fill in its watermark and the like
    needs: frozenset[str] = frozenset()  # ids of tasks that must be done before
    intervals: IntervalSet = NOTHING
    audits: tuple[Audit, ...] = ()
    span: Span | None = None  # the query in its file, for errors
    query: MappedText | None = None  # the model's, which finds its place in the files again
    signatures: tuple[SignatureUpdate, ...] = ()
    forgotten: tuple[TableName, ...] = ()  # tables that are gone after this task
    expected_seconds: float | None = None
    expected_rows: int | None = None
    ways: tuple[Way, ...] = ()  # how the data can be brought in, best first, when there is a choice
    # If none of these tables turns out to have changed in this run, `idle_steps` are run in place of `steps`, and
    # `idle` is the record.
    causes: frozenset[TableName] = frozenset()
    idle: TableRecord | None = None
    idle_steps: tuple[Step, ...] = ()
    measured: str = ""  # what the last run counted
    tier: str = ""  # what kind of changes the query can follow, found out only to be printed (`plan/tiers.py`)
    refusal: Blame | None = None  # what limits it to that


class Unreadable(Struct, frozen=True):
    """A seed or source whose files cannot be read, why not, and the models that are not built for it, parents first."""

    table: TableName
    kind: TableKind
    problems: tuple[Diagnostic, ...]
    models: tuple[TableName, ...]


class Plan(Struct, frozen=True):
    """Tasks in an order that can be run, and for every model without a task the reason why not."""

    tasks: tuple[Task, ...] = ()
    skipped: Mapping[TableName, Reason] = field(default_factory=dict)
    # Change without any work on the table: its inputs moved, but not in what it reads.
    settled: tuple[TableRecord, ...] = ()
    settled_signatures: Mapping[TableName, tuple[SignatureUpdate, ...]] = field(default_factory=dict)
    orphans: tuple[TableName, ...] = ()
    problems: tuple[Diagnostic, ...] = ()
    # Tasks that copy files into tables. What models have to do is known when they are done; until then the plan says
    # the most that it may be.
    loads_first: frozenset[str] = frozenset()
    forgotten: tuple[TableName, ...] = ()  # queries of tests/ that are gone, whose records go too
    unreadable: tuple[Unreadable, ...] = ()  # inputs for which some of the selected models are in `skipped`
