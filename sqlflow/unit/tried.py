"""Unit tests of which every word is known: names are tables, columns have types, texts are queries."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from msgspec import Struct, field

from sqlflow.build.examine import Checked
from sqlflow.core.names import TableName
from sqlflow.core.schema import Column, Schema
from sqlflow.core.units import Rows, UnitTest, Written


class Filling(Struct, frozen=True):
    """Rows for a table. `columns`: those that the rows have, as the table has them, in the order of `rows.columns`;
    `query`: what gives the rows, in the SQL of the target, with these columns by the names `given`."""

    table: TableName
    columns: tuple[Column, ...]
    rows: Rows
    query: str | None = None
    given: tuple[str, ...] = ()


class Trial(Struct, frozen=True):
    """A step: what is put in and taken out, then what is expected. `project`: the model alone, as it is built in this step."""

    place: Written
    given: tuple[Filling, ...] = ()
    added: tuple[Filling, ...] = ()
    deleted: tuple[Filling, ...] = ()
    expect: Filling | None = None
    now: datetime | None = None
    project: Checked | None = None


class Tried(Struct, frozen=True):
    """A test that can be run. `inputs`: all that the model reads, with its columns. `query`: what is asked of them; None where
    the model is built, step by step."""

    test: UnitTest
    model: TableName
    inputs: Mapping[TableName, Schema]
    schema: Schema
    trials: tuple[Trial, ...] = field(default_factory=tuple)
    query: str | None = None
