"""How a database says what the plan means, where databases do not agree on the words.

Everything else in our statements is SQL that every engine reads as it is. What is more than its text (`Make`, `Joining` in
`core/sql.py`), `Wording.statement` puts into the engine's own words.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct

from sqlflow.core.model import PartitionBy
from sqlflow.core.names import TableName
from sqlflow.core.records import Relation
from sqlflow.core.schema import Column, Schema
from sqlflow.core.sql import Ident, Sql


class Prices(Struct, frozen=True):
    """What the ways of a merge cost, in seconds of the engine's CPU. Only how they stand to each other matters, and only for
    the first choice: from then on a table's own times are known."""

    insert: float  # a row and column that is inserted
    delete: float  # a row of the table that is found by its key and deleted
    scan: float  # a row and column of the table that is read to be compared
    compare: float  # a row and column of the batch that is compared with the table's
    copy: float  # a row and column of a table that is written anew


class OtherAggregates(Struct, frozen=True):
    """The other aggregates next to an AVG. DuckDB computes AVG from its SUM or COUNT when the query has them, which rounds
    differently."""

    certain: bool = True  # False: the rest cannot be told
    grouped: bool = True
    filtered: bool = False  # the average has a FILTER
    summed: bool = False  # the SUM of the same argument
    counted: bool = False  # its COUNT
    others_counted: bool = False  # a COUNT of something, or what makes the engine count something


class Published(Struct, frozen=True):
    """Statements that give a table its rows."""

    fill: Sql  # counts the rows
    before: tuple[Sql, ...] = ()
    after: tuple[Sql, ...] = ()

    @property
    def statements(self) -> tuple[Sql, ...]:
        return (*self.before, self.fill, *self.after)


class Wording(Protocol):
    """The words of one engine, and what they cost. Pure functions of text."""

    @property
    def prices(self) -> Prices:
        """The prices of this engine."""

    @property
    def numbers_rows(self) -> bool:
        """Whether a row whose `row_id` is known is found for less than by joining its key."""

    @property
    def skips_blocks(self) -> bool:
        """Of a table, the least and the greatest value of each column are known for each block of rows, so that a condition on
        one column reads few blocks where its values follow the order of the rows."""

    def row_id(self, alias: str, schema: Schema, parts: PartitionBy | None) -> Sql | None:
        """What tells one row of a table with this alias from all others, while nobody writes to it; None when it is hidden
        by a column of that name."""

    def statement(self, sql: Sql) -> Sql:
        """The text of a statement as the engine takes it."""

    def row_digest(self, schema: Schema) -> Sql:
        """The hash of a row of the relation with the alias `_sqlflow_row`: a whole number of 64 bits, different for rows
        that differ in any bit (but for one chance in 2^64)."""

    def row_hash(self, schema: Schema) -> Sql:
        """The same of a row whose columns are in reach by their names; `schema` may be some of its columns."""

    def same(self, left: Sql, right: Sql) -> Sql:
        """The condition that two values are equal, NULL being a value, in words by which the engine can join."""

    def same_bits(self, left: Sql, right: Sql, column: Column) -> Sql:
        """The condition that two values of a column are the same, also where different ones compare as equal."""

    def equal_by_value(self, schema: Schema) -> Sequence[str]:
        """The columns whose values can be asked for equality; of others `finer` tells all."""

    def finer(self, left: Sql, right: Sql, schema: Schema) -> Sequence[Sql]:
        """What must hold of two rows with equal values so that they are the same in every bit."""

    def as_text(self, value: Sql) -> Sql:
        """The text of a value of any type, told apart by its bytes."""

    def first(self, column: Column) -> Sql:
        """An aggregate over rows that agree in the column to the last bit: their value, NULL included."""

    def average(self, total: Sql, count: Sql, kind: str, company: OtherAggregates) -> Sql | None:
        """The AVG, to the last bit, of numbers of the type `kind` whose SUM is `total` and of which there are `count`, at
        least one. None: the engine may round it in one way or another."""

    def steady_average(self, kind: str, company: OtherAggregates) -> bool:
        """Whether the engine always rounds an AVG in the same way. `kind`: of its values; empty when that is not known."""

    def copies(self, count: Sql) -> Sql:
        """An item of a SELECT list that gives each row as often as `count` says."""

    def nested(self, value: object, kind: str) -> Sql:
        """A list or a mapping, of plain values and others, as a value of a type."""

    def finite(self, value: Sql) -> Sql:
        """The condition that a floating point number is one; NULL for NULL."""

    def precision(self, kind: str) -> int | None:
        """The decimal digits that a floating point type keeps; None for other types."""

    def sample(self, rows: int) -> Sql:
        """What ends a SELECT so that it gives only so many of its rows, always the same of equal tables."""

    def own_indexes(self, table: TableName) -> Sql:
        """The number of indexes and constraints that somebody put on a table, which a swap would lose."""

    def publish(
        self,
        table: TableName,
        query: Sql,
        schema: Schema,
        *,
        fits: bool,
        parts: PartitionBy | None = None,
        was_view: bool = False,
    ) -> Published:
        """Statements after which the table has the rows of `query`.

        `fits`: it stands, with these columns; `was_view`: a view stands in its place. What belongs to it (grants, comments, what others built on it) is kept
        where the engine can."""

    def add_partitions(self, table: TableName, parts: PartitionBy) -> Sql:
        """A statement that gives each row of a partitioned table that has no partition yet one of its own."""

    def replace_partitions(
        self, table: TableName, rows: Ident, schema: Schema, parts: PartitionBy, condition: Sql
    ) -> Sql:
        """A statement that puts the rows of a temporary table in the place of those for which `condition` holds:
        partitions of which all rows go are detached and dropped, and filled ones attached."""

    def create_view(self, view: TableName, query: Sql, *, stands: Relation | None, fits: bool) -> Sequence[Sql]:
        """Statements after which there is the view. `stands`: what is there now; `fits`: with these columns."""

    def collated(self, suspects: Sequence[TableName]) -> Sql:
        """A query of the schemas and names of tables in which different texts may count as equal. `suspects`: views, and
        tables with texts inside of other values, of which the catalogue may not say it."""

    def has_schema(self, schema: str) -> Sql:
        """A query of one truth value: whether there is a schema of that name."""

    def has_table(self, table: TableName) -> Sql:
        """The same of a table, whether or not we may read it."""

    def swap_in(
        self, building: TableName, table: TableName, schema: Schema, *, fits: bool | None, was_view: bool = False
    ) -> Sequence[Sql]:
        """Statements that put the table `building` in the place of `table`; `fits` as above, None when there is none."""

    def analyzed(self, table: TableName) -> tuple[Sql, Sql] | None:
        """A statement after which the engine knows what is in a table, and a query of one truth value: whether this
        transaction has changed so much of it that it is worth while. None where the engine knows by itself."""

    def staged(self, building: TableName, query: Sql) -> Sql:
        """A statement that makes a table which does not outlive its transaction, and takes the rows of `query`."""

    def moment(self, value: Sql) -> Sql:
        """The microseconds since 1970 of a timestamp, as text; `inf`, `-inf` or `null`."""
