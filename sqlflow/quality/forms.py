"""What a kind of check is: how it is written, and the SQL that finds the rows that fail.

A kind is one `Check`, in the file of its category: its arguments, each with its form, its documentation and an example, and
how it judges: by a condition for one row (`Rows`), by one value of all rows (`Total`), by a query of the rows that fail
(`Query`), or by the columns alone (`Shape`). All else is made from that: how it is read, the reference page, what is near to it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from enum import StrEnum

from msgspec import Struct

from sqlflow.core.checks import ArgumentValue, CheckSpec, Values
from sqlflow.core.names import TableName
from sqlflow.core.sql import Ident, Sql, Value, compose

SAMPLE = 5
"""How many of the rows that fail are shown."""

PASSES = "passes; add `not_null` to refuse it"


class Category(StrEnum):
    """What a kind of check is about."""

    COMPLETENESS = "completeness"
    UNIQUENESS = "uniqueness"
    VALIDITY = "validity"
    ACCURACY = "accuracy"
    CONSISTENCY = "consistency"
    FRESHNESS = "freshness"
    BUSINESS = "business rules"


class Form(StrEnum):
    """How an argument is written. `project/checks.py` reads each of them, for all kinds of checks."""

    COLUMN = "a column"
    COLUMNS = "a column or a list"
    VALUES = "a list of values"
    COUNT = "a whole number"
    NUMBER = "a number"
    SHARE = "a number from 0 to 1, or `95%`"
    SQL = "a condition in SQL"
    AGGREGATE = "SQL that gives one value of all rows"
    OTHER_AGGREGATE = "SQL that gives one value of all rows of the other table"
    BOUND = "a number, a date, or SQL"
    STEP = "a number, or a length of time such as `1 day`"
    OTHER_COLUMN = "`schema.table.column`"
    TABLE = "`schema.table`"
    DURATION = "a length of time, such as `6 hours`"
    PATTERN = "a regular expression"
    WORD = "one of a few words"
    TYPE = "a type"
    TYPES = "a mapping of column to type, or a list of columns"
    FLAG = "`true` or `false`"
    TOLERANCE = "a number, or a share such as `1%`"
    TEXT = "text"


class Argument(Struct, frozen=True):
    """`also`: another name for it. `choices`: the words of a `WORD`. `default`: what holds where it is not given, in words."""

    name: str
    form: Form
    required: bool = True
    also: str = ""
    doc: str = ""
    default: str = ""
    choices: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        return (self.name, self.also) if self.also else (self.name,)


COLUMN = Argument("column", Form.COLUMN, doc="the column that is looked at")
COLUMNS = Argument("columns", Form.COLUMNS, also="column", doc="the columns that are looked at")


class Rows(Struct, frozen=True):
    """Rows are judged one at a time, so one scan answers all such checks, and of a table that was written in part it reads
    only that part."""

    failing: Callable[[CheckSpec], Sql]  # the condition that holds for rows that fail
    shows: bool = True  # whether the columns that it names tell what is wrong; else others of the row are shown


class Total(Struct, frozen=True):
    """One value of all rows is judged, in the scan that counts failing rows. It fails or passes as a whole.

    `value`: the aggregate; its second argument is a FILTER that stands behind each of its functions. `level`: of the value, a
    whole number: 0 where it passes, 1 where it fails; a kind with two bounds of its own has 1 for what is told and 2 for what
    blocks.
    """

    value: Callable[[CheckSpec, Sql], Sql]
    level: Callable[[CheckSpec, Sql, datetime], Sql]
    stages: bool = False


class Query(Struct, frozen=True):
    """Rows are judged together, by a query of the check's own."""

    failing: Callable[[Asked], Failing]
    whole: bool = True  # whether it looks at the whole table, also of one that was written in part
    counts: bool = True  # whether it finds rows of the table, of which there can be a share


class Shape(Struct, frozen=True):
    """Columns are judged, without rows, when the project is compiled. `wrong`: check, columns with their types, and what a type is
    called -> what is wrong."""

    wrong: Callable[[CheckSpec, Mapping[str, str], Callable[[str], str]], tuple[str, ...]]


class Asked(Struct, frozen=True):
    """What a `Query` is asked: `part` is a condition for the rows that it looks at, `columns` are all that the table has."""

    table: TableName
    check: CheckSpec
    part: Sql | None
    columns: Sequence[str]

    def where(self, *more: Sql) -> Sql:
        """` WHERE ...` for the rows that are looked at; empty for all."""
        conditions = [compose("({c})", c=c) for c in (*more, *((self.part,) if self.part is not None else ()))]
        if self.check.where is not None:
            conditions.append(compose("({c})", c=Sql(self.check.where)))
        if not conditions:
            return Sql("")
        return compose(" WHERE {all}", all=_anded(conditions))


def _anded(conditions: Sequence[Sql]) -> Sql:
    found = conditions[0]
    for condition in conditions[1:]:
        found = compose("{a} AND {b}", a=found, b=condition)
    return found


class Failing(Struct, frozen=True):
    """Queries: all that fails; and one number of it, where that is not the number of these rows. `order`: by which the most
    telling come first."""

    rows: Sql
    count: Sql | None = None
    order: Sql = Sql("")


class Wrong(Struct, frozen=True):
    """What is wrong with arguments that fit their forms."""

    message: str
    hinted: bool = False  # whether the example helps


class Check(Struct, frozen=True):
    """A kind of check. What it reads of other tables is told by its arguments."""

    kind: str
    category: Category
    arguments: tuple[Argument, ...]
    judge: Rows | Total | Query | Shape
    example: str
    doc: str  # what must hold
    null: str = ""  # what NULL does
    short: str = ""  # the argument that may stand alone
    behind: str = ""  # how it is written behind a column; empty where it is not about one
    wrong: Callable[[CheckSpec], Wrong | None] = lambda _: None
    identifies: bool = False  # whether rows that pass are identified by its columns
    of_both: tuple[str, ...] = ()  # what of its SQL is asked of the other table, too
    everyday: bool = False  # whether prose has the word at the beginning of a list item

    @property
    def brackets(self) -> tuple[Argument, ...]:
        """What may stand in brackets behind the word, behind a column, in this order."""
        return tuple(a for a in self.arguments if a is not self.about)

    @property
    def about(self) -> Argument | None:
        """What a column is for which it stands behind one."""
        return next((a for a in self.arguments if a.name in ("column", "columns")), None)

    @property
    def has_share(self) -> bool:
        """Whether failing rows can be a share of the rows."""
        return isinstance(self.judge, Rows) or (isinstance(self.judge, Query) and self.judge.counts)


# ---------------------------------------------------------------------- what several kinds have

MINIMUM = Argument("min", Form.BOUND, required=False, doc="the least value that passes")
MAXIMUM = Argument("max", Form.BOUND, required=False, doc="the greatest value that passes")
LEAST = Argument("min", Form.COUNT, required=False, doc="the least number that passes")
MOST = Argument("max", Form.COUNT, required=False, doc="the greatest number that passes")


def bound(check: CheckSpec, argument: str) -> Sql | None:
    """An argument that is a bound, as SQL; None where it is not given."""
    given = check.arguments.get(argument)
    if given is None:
        return None
    if isinstance(given, Values):
        return compose("{v}", v=Value(given.values[0]))
    number = check.number(argument)
    return compose("{v}", v=Value(number)) if number is not None else compose("({sql})", sql=Sql(check.sql(argument)))


def outside(check: CheckSpec, value: Sql) -> Sql:
    """The condition that a value lies outside of `min` and `max`; NULL and false where it is NULL."""
    minimum, maximum = bound(check, "min"), bound(check, "max")
    exclusive = check.flag("exclusive")
    found: list[Sql] = []
    if minimum is not None:
        found.append(compose("{v} {less} {n}", v=value, less=Sql("<=" if exclusive else "<"), n=minimum))
    if maximum is not None:
        found.append(compose("{v} {more} {n}", v=value, more=Sql(">=" if exclusive else ">"), n=maximum))
    if not found:
        return Sql("FALSE")
    return found[0] if len(found) == 1 else compose("{a} OR {b}", a=found[0], b=found[1])


def level_outside(check: CheckSpec, value: Sql, _: datetime) -> Sql:
    """1 where a value lies outside of `min` and `max`."""
    return compose("CASE WHEN {outside} THEN 1 ELSE 0 END", outside=outside(check, value))


def needs_a_bound(check: CheckSpec) -> Wrong | None:
    """What is wrong with `min` and `max`."""
    minimum, maximum = check.arguments.get("min"), check.arguments.get("max")
    if minimum is None and maximum is None:
        return Wrong("neither `min` nor `max` is given", hinted=True)
    low, high = _plain(minimum), _plain(maximum)
    if low is None or high is None:
        return None
    try:
        return Wrong("`min` is greater than `max`") if low > high else None  # type: ignore[operator]
    except TypeError:
        return Wrong("`min` and `max` are not of one type")


def _plain(given: ArgumentValue | None) -> object:
    if isinstance(given, Values):
        return given.values[0]
    return getattr(given, "number", None)


def the_column(check: CheckSpec) -> Ident:
    return Ident(check.named("column")[0])


def text_of(check: CheckSpec) -> Sql:
    """The column's value as text."""
    return compose("CAST({c} AS VARCHAR)", c=the_column(check))
