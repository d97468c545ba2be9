"""Unit tests of models as their author wrote them: rows that a model reads, and the rows that it must give."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from msgspec import Struct, field

from sqlflow.core.source import SourceFile, Span


class Written(Struct, frozen=True):
    """Something in a file: characters `[start, end)` of it."""

    file: SourceFile
    start: int
    end: int

    @property
    def span(self) -> Span:
        return self.file.span(self.start, self.end)


class Cell(Struct, frozen=True):
    """A value, the text that it is cast from, and where it stands."""

    value: object
    text: str
    place: Written


class Rows(Struct, frozen=True):
    """Rows of a table: one by one, or what a `query` gives. A column that a row does not have is NULL in it."""

    place: Written
    columns: Mapping[str, Written]
    rows: tuple[Mapping[str, Cell], ...] = ()
    query: str | None = None


class Given(Struct, frozen=True):
    """Rows for an input. `name`: of the input, as it is written at `place`."""

    name: str
    place: Written
    rows: Rows


class UnitStep(Struct, frozen=True):
    """What the inputs are given, or have added or deleted, before a build; and what the model must have after it."""

    place: Written
    given: tuple[Given, ...] = ()
    added: tuple[Given, ...] = ()
    deleted: tuple[Given, ...] = ()
    expect: Rows | None = None
    now: datetime | None = None


class UnitTest(Struct, frozen=True):
    """A test of one model. `scenario`: its steps are builds, one after the other; otherwise it has one step, and the query
    alone is asked. `tolerance`: how far numbers with a floating point may be from what is expected."""

    name: str
    place: Written
    model: str
    model_place: Written
    steps: tuple[UnitStep, ...]
    scenario: bool = False
    cte: str | None = None
    cte_place: Written | None = None
    variables: Mapping[str, object] = field(default_factory=dict)
    in_order: bool = False
    tolerance: float | None = None
    description: str = ""
    tags: tuple[str, ...] = ()
