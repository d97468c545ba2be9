"""Checks as their author wrote them. Which kinds there are, and what each demands, is told by `quality/kinds.py`."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct, field
from msgspec.structs import replace

from sqlflow.core.diagnostics import Severity
from sqlflow.core.intervals import Duration
from sqlflow.core.names import ColumnRef, TableName
from sqlflow.core.source import Span
from sqlflow.core.text import Snippet

CHECKED = '"_sqlflow checked"'
"""The table that is checked, in the SQL of a check of the author's own, before it is known which one that is."""


class Columns(Struct, frozen=True, tag="columns"):
    """Columns of the table that is checked."""

    names: tuple[str, ...]


class Values(Struct, frozen=True, tag="values"):
    values: tuple[object, ...]


class Number(Struct, frozen=True, tag="number"):
    number: int | float


class Condition(Struct, frozen=True, tag="condition"):
    """SQL over the columns of the table that is checked. `written`: where something is still to be judged of it."""

    sql: str
    written: Snippet | None = None

    def __repr__(self) -> str:
        """What decides how it comes out; it is in fingerprints, and places are not."""
        return f"Condition(sql={self.sql!r})"


class Aggregate(Struct, frozen=True, tag="aggregate"):
    """SQL that gives one value of all rows of the table that is checked, or of the `other` one. `written`: as of a condition."""

    sql: str
    other: bool = False
    written: Snippet | None = None

    def __repr__(self) -> str:
        return f"Aggregate(sql={self.sql!r}, other={self.other!r})"


class OtherColumn(Struct, frozen=True, tag="other"):
    """A column of another table, which the check reads."""

    column: ColumnRef


class OtherTable(Struct, frozen=True, tag="table"):
    """Another table, which the check reads."""

    table: TableName


class Length(Struct, frozen=True, tag="length"):
    """A length of time."""

    duration: Duration


class Word(Struct, frozen=True, tag="word"):
    """Text that is no SQL: one of a few words, a pattern, a type."""

    text: str


class Flag(Struct, frozen=True, tag="flag"):
    on: bool


class Tolerance(Struct, frozen=True, tag="tolerance"):
    """How far a number may be from another one: by an amount, or by a share of it."""

    amount: int | float
    percent: bool = False


class Types(Struct, frozen=True, tag="types"):
    """Columns with their types; an empty type is any."""

    columns: Mapping[str, str]


ArgumentValue = (
    Columns
    | Values
    | Number
    | Condition
    | Aggregate
    | OtherColumn
    | OtherTable
    | Length
    | Word
    | Flag
    | Tolerance
    | Types
)


class Limit(Struct, frozen=True):
    """How many failing rows are too many: `> 10`, `>= 2%` of the rows that were looked at."""

    amount: int | float
    percent: bool = False
    inclusive: bool = False

    def passed(self, failing: int, rows: int) -> bool:
        """Whether so many failing rows of so many are too many."""
        found = failing * 100 / rows if self.percent and rows else failing
        return found >= self.amount if self.inclusive else found > self.amount

    def __str__(self) -> str:
        return f"{'>=' if self.inclusive else '>'} {self.amount}{'%' if self.percent else ''}"


ANY_ROW = Limit(0)


class CheckSpec(Struct, frozen=True):
    """A check of a table's rows. `label`: how its author calls it. `own`: of a check of the author's own,
    its SQL: a condition, or the texts between which the table stands."""

    kind: str
    span: Span
    arguments: Mapping[str, ArgumentValue] = field(default_factory=dict)  # in the order in which the kind has them
    where: str | None = None  # only rows for which this holds
    severity: Severity = Severity.ERROR  # an error blocks publishing, a warning is told
    warn_if: Limit | None = None
    error_if: Limit | None = None
    label: str = ""
    tags: tuple[str, ...] = ()
    description: str = ""
    own: tuple[str, ...] = ()
    where_written: Snippet | None = None  # as of a condition
    own_written: Snippet | None = None

    @property
    def name(self) -> str:
        """How it is called in messages: as its author says, or `unique(flight_date, carrier)`."""
        if self.label:
            return self.label
        inside = ", ".join(shown for word, given in self.arguments.items() if (shown := _shown(word, given)))
        return f"{self.kind}({inside}{''.join(f' -> {read}' for read in self._others)})"

    @property
    def error(self) -> Limit | None:
        """With how many failing rows it blocks; None where it never does."""
        if self.severity is Severity.WARNING:
            return None
        return self.error_if or (ANY_ROW if self.warn_if is None else None)

    @property
    def warn(self) -> Limit:
        """With how many failing rows it is told."""
        return self.warn_if or ANY_ROW

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of the table that it names."""
        return tuple(name for given in self.arguments.values() if isinstance(given, Columns) for name in given.names)

    @property
    def written(self) -> Mapping[str, Snippet]:
        """What is still to be judged of its SQL, by argument, or `where` or `own`."""
        given = {word: one.written for word, one in self.arguments.items() if isinstance(one, Condition | Aggregate)}
        given |= {"where": self.where_written, "own": self.own_written}
        return {word: snippet for word, snippet in given.items() if snippet is not None}

    def in_words(self, said: Mapping[str, str]) -> CheckSpec:
        """The check with other SQL for what is in `written`."""
        arguments = {
            word: replace(given, sql=said[word]) if isinstance(given, Condition | Aggregate) and word in said else given
            for word, given in self.arguments.items()
        }
        own = tuple(said["own"].split(CHECKED)) if "own" in said else self.own
        return replace(self, arguments=arguments, where=said.get("where", self.where), own=own)

    @property
    def values(self) -> tuple[object, ...]:
        return tuple(value for given in self.arguments.values() if isinstance(given, Values) for value in given.values)

    @property
    def conditions(self) -> tuple[str, ...]:
        """All that it says in SQL about the columns of a row of the table."""
        where = () if self.where is None else (self.where,)
        return (*where, *(given.sql for given in self.arguments.values() if isinstance(given, Condition)))

    @property
    def aggregates(self) -> tuple[str, ...]:
        """All that it says in SQL about all rows of the table."""
        given = [given for given in self.arguments.values() if isinstance(given, Aggregate)]
        return tuple(one.sql for one in given if not one.other)

    @property
    def types(self) -> tuple[str, ...]:
        """The types that it names."""
        given = self.arguments.values()
        columns = tuple(kind for one in given if isinstance(one, Types) for kind in one.columns.values())
        return (*columns, *((self.word("type"),) if "type" in self.arguments else ()))

    @property
    def reads(self) -> tuple[ColumnRef, ...]:
        """The columns of other tables that it names."""
        return tuple(given.column for given in self.arguments.values() if isinstance(given, OtherColumn))

    @property
    def tables(self) -> tuple[TableName, ...]:
        """The other tables that it reads."""
        whole = tuple(given.table for given in self.arguments.values() if isinstance(given, OtherTable))
        return (*(column.table for column in self.reads), *whole)

    @property
    def what(self) -> tuple[object, ...]:
        """All that decides how it comes out."""
        # What older versions did not have is left out while it is not there, so that their tables are what they were.
        later = [part for part in (self.warn_if, self.error_if, self.own) if part]
        return self.kind, tuple(self.arguments.items()), self.where, self.severity, *later

    @property
    def _others(self) -> tuple[ColumnRef | TableName, ...]:
        whole = tuple(given.table for given in self.arguments.values() if isinstance(given, OtherTable))
        return (*self.reads, *whole)

    # ------------------------------------------------------------------ arguments by name

    def named(self, argument: str) -> tuple[str, ...]:
        """An argument that is columns; none where it is not given."""
        given = self.arguments.get(argument)
        return given.names if isinstance(given, Columns) else ()

    def sql(self, argument: str) -> str:
        """An argument that is SQL; empty where it is not given."""
        given = self.arguments.get(argument)
        return given.sql if isinstance(given, Condition | Aggregate) else ""

    def number(self, argument: str) -> int | float | None:
        """An argument that is a number, if it is given."""
        given = self.arguments.get(argument)
        return given.number if isinstance(given, Number) else None

    def word(self, argument: str) -> str:
        """An argument that is text; empty where it is not given."""
        given = self.arguments.get(argument)
        return given.text if isinstance(given, Word) else ""

    def flag(self, argument: str) -> bool:
        """An argument that is `true` or `false`; false where it is not given."""
        given = self.arguments.get(argument)
        return isinstance(given, Flag) and given.on

    def length(self, argument: str) -> Duration | None:
        """An argument that is a length of time, if it is given."""
        given = self.arguments.get(argument)
        return given.duration if isinstance(given, Length) else None


def _shown(word: str, given: ArgumentValue) -> str:
    match given:
        case Columns():
            return ", ".join(given.names) if word in ("column", "columns") else f"{word} {', '.join(given.names)}"
        case Condition() | Aggregate():
            return f"{word} {given.sql}" if word in _BOUNDS else given.sql
        case Number():
            return f"{word} {given.number}"
        case Length():
            return f"{word} {given.duration}"
        case Tolerance():
            return f"{word} {given.amount}{'%' if given.percent else ''}"
        case Word():
            return given.text
        case Flag():
            return word if given.on else ""
        case Values() if word in _BOUNDS:
            return f"{word} {given.values[0]}"
        case Types():
            return ", ".join(given.columns)
        case Values() | OtherColumn() | OtherTable():
            return ""


_BOUNDS = ("min", "max", "equals")
