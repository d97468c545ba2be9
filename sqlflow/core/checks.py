"""Checks as their author wrote them. Which kinds there are, and what each demands, is told by `quality/kinds.py`."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct, field

from sqlflow.core.diagnostics import Severity
from sqlflow.core.intervals import Duration
from sqlflow.core.names import ColumnRef
from sqlflow.core.source import Span


class Columns(Struct, frozen=True, tag="columns"):
    """Columns of the table that is checked."""

    names: tuple[str, ...]


class Values(Struct, frozen=True, tag="values"):
    values: tuple[object, ...]


class Number(Struct, frozen=True, tag="number"):
    number: int | float


class Condition(Struct, frozen=True, tag="condition"):
    """SQL over the columns of the table that is checked."""

    sql: str


class OtherColumn(Struct, frozen=True, tag="other"):
    """A column of another table, which the check reads."""

    column: ColumnRef


class Length(Struct, frozen=True, tag="length"):
    """A length of time."""

    duration: Duration


ArgumentValue = Columns | Values | Number | Condition | OtherColumn | Length


class CheckSpec(Struct, frozen=True):
    """A check of a model's rows."""

    kind: str
    span: Span
    arguments: Mapping[str, ArgumentValue] = field(default_factory=dict)  # in the order in which the kind has them
    where: str | None = None  # only rows for which this holds
    severity: Severity = Severity.ERROR  # an error blocks publishing, a warning is told

    @property
    def name(self) -> str:
        """How it is called in messages: `unique(flight_date, carrier)`."""
        inside = ", ".join(shown for word, given in self.arguments.items() if (shown := _shown(word, given)))
        return f"{self.kind}({inside}{''.join(f' -> {column}' for column in self.reads)})"

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of the table that it names."""
        return tuple(name for given in self.arguments.values() if isinstance(given, Columns) for name in given.names)

    @property
    def values(self) -> tuple[object, ...]:
        return tuple(value for given in self.arguments.values() if isinstance(given, Values) for value in given.values)

    @property
    def conditions(self) -> tuple[str, ...]:
        """All that it says in SQL about the columns of the table."""
        where = () if self.where is None else (self.where,)
        return (*where, *(given.sql for given in self.arguments.values() if isinstance(given, Condition)))

    @property
    def reads(self) -> tuple[ColumnRef, ...]:
        """The columns of other tables that it reads."""
        return tuple(given.column for given in self.arguments.values() if isinstance(given, OtherColumn))

    @property
    def what(self) -> tuple[object, ...]:
        """All of it but where it stands."""
        return self.kind, tuple(self.arguments.items()), self.where, self.severity

    def sql(self, argument: str) -> str:
        """An argument that is SQL."""
        given = self.arguments[argument]
        if not isinstance(given, Condition):
            raise TypeError(f"`{argument}` of {self.name} is no SQL")
        return given.sql

    def number(self, argument: str) -> int | float | None:
        """An argument that is a number, if it is given."""
        given = self.arguments.get(argument)
        return given.number if isinstance(given, Number) else None


def _shown(word: str, given: ArgumentValue) -> str:
    match given:
        case Columns():
            return ", ".join(given.names)
        case Condition():
            return given.sql
        case Number():
            return f"{word} {given.number}"
        case Length():
            return f"{word} {given.duration}"
        case Values() | OtherColumn():
            return ""
