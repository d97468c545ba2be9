"""What a kind of check is: how it is written, and the SQL that finds the rows that fail."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum

from msgspec import Struct

from sqlflow.core.checks import CheckSpec
from sqlflow.core.names import TableName
from sqlflow.core.sql import Sql

SAMPLE = 5
"""How many of the rows that fail are shown."""


class Form(StrEnum):
    """How an argument is written. `project/checks.py` reads each of them, for all kinds of checks."""

    COLUMN = "column"
    COLUMNS = "columns"
    VALUES = "values"
    COUNT = "count"
    NUMBER = "number"
    SQL = "sql"
    OTHER_COLUMN = "other column"
    DURATION = "duration"


class Argument(Struct, frozen=True):
    name: str
    form: Form
    required: bool = True
    also: str = ""  # another name for it

    @property
    def names(self) -> tuple[str, ...]:
        return (self.name, self.also) if self.also else (self.name,)


COLUMN = Argument("column", Form.COLUMN)
COLUMNS = Argument("columns", Form.COLUMNS, also="column")


class Rows(Struct, frozen=True):
    """Rows are judged one at a time, so one scan answers all such checks, and of a table that was written in part it reads
    only that part."""

    failing: Callable[[CheckSpec], Sql]  # the condition that holds for rows that fail
    shows: bool = True  # whether the columns that it names tell what is wrong; else others of the row are shown


class Query(Struct, frozen=True):
    """Rows are judged together, by a query of the check's own."""

    failing: Callable[[TableName, CheckSpec, Sql | None], Found]  # table, check, condition for the rows it looks at
    whole: bool = True  # whether it looks at the whole table, also of one that was written in part


class Found(Struct, frozen=True):
    """Queries: one number, and some of the rows that it counts."""

    count: Sql
    sample: Sql


class Wrong(Struct, frozen=True):
    """What is wrong with arguments that fit their forms."""

    message: str
    hinted: bool = False  # whether the example helps


class Check(Struct, frozen=True):
    """A kind of check. What it reads of other tables is told by its arguments."""

    kind: str
    arguments: tuple[Argument, ...]
    judge: Rows | Query
    example: str
    doc: str  # what must hold
    null: str = ""  # what NULL does
    short: str = ""  # the argument that may stand alone
    behind: str = ""  # how it is written behind a column; empty where it is not about one
    wrong: Callable[[CheckSpec], Wrong | None] = lambda _: None
    identifies: bool = False  # whether rows that pass are identified by its columns
    everyday: bool = False  # whether prose has the word at the beginning of a list item

    @property
    def bracket(self) -> Argument | None:
        """What stands in brackets behind the word, behind a column."""
        return next((a for a in self.arguments if a.form not in (Form.COLUMN, Form.COLUMNS)), None)

    @property
    def about(self) -> Argument | None:
        """What a column is for which it stands behind one."""
        return next((a for a in self.arguments if a.form in (Form.COLUMN, Form.COLUMNS)), None)
