"""What SQLFlow needs of a place that keeps its memory."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from sqlflow.core.names import TableName
from sqlflow.core.records import RunRecord, TableRecord
from sqlflow.core.schema import Schema


class StateStore(Protocol):
    """The run-state: per target, what each table was made of, and the history of runs."""

    def load(self) -> Mapping[TableName, TableRecord]:
        """The records of all tables of this target."""

    def put(self, records: Iterable[TableRecord], gone: Iterable[TableName] = ()) -> None:
        """Remember these records, and forget the tables in `gone`."""

    def append(self, run: RunRecord) -> None:
        """Add a run to the history."""

    def runs(self, limit: int) -> Sequence[RunRecord]:
        """The newest runs, newest first."""

    def sources(self) -> Mapping[TableName, Schema]:
        """The columns that tables from outside had when they were last seen."""

    def put_sources(self, schemas: Mapping[TableName, Schema]) -> None:
        """Remember the columns of tables from outside."""

    def close(self) -> None: ...
