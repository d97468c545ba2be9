"""A query asked on given rows, where the binder judges queries on empty tables."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sqlflow.core.diagnostics import Diagnostic
from sqlflow.core.engine import Binder, EngineError, Row
from sqlflow.core.names import TableName
from sqlflow.core.schema import Column, Schema
from sqlflow.core.sql import Ident, Sql, compose
from sqlflow.core.text import MappedText
from sqlflow.core.units import Cell
from sqlflow.core.wording import Wording
from sqlflow.unit.fits import sql_of
from sqlflow.unit.tried import Filling, Tried

Answer = Callable[[str], list[Row]]


class Wrong(Exception):
    """A test that cannot be carried out."""

    def __init__(self, problem: Diagnostic) -> None:
        super().__init__(problem.message)
        self.problem = problem


class Bench:
    """Tables with the rows of one test after the other."""

    def __init__(self, binder: Binder) -> None:
        self._binder = binder
        self._words = binder.traits.wording
        self._defined: dict[TableName, Schema] = {}
        self._filled: set[TableName] = set()

    def asked(self, tried: Tried, query: MappedText) -> list[Row]:
        """What the query of a test gives on its rows. Raises Wrong."""
        assert tried.query is not None
        given = {filling.table: filling for filling in tried.trials[0].given}
        for table, schema in tried.inputs.items():
            self._empty(table, schema)
            if table in given:
                self._fill(given[table])
        try:
            return self._binder.answer(tried.query)
        except EngineError as error:
            raise Wrong(of_query(error, tried, query)) from error

    def expected(self, filling: Filling) -> list[Row]:
        """Rows that are expected, as the engine has them. Raises Wrong."""
        return rows_of(filling, self._words, self._binder.answer)

    def _empty(self, table: TableName, schema: Schema) -> None:
        if self._defined.get(table) != schema:
            self._binder.define(table, schema)
            self._defined[table] = schema
        elif table in self._filled:
            self._binder.clear(table)
        self._filled.discard(table)

    def _fill(self, filling: Filling) -> None:
        query = query_of(filling, self._words)
        if query is None:
            return
        self._filled.add(filling.table)
        try:
            self._binder.fill(filling.table, [column.name for column in filling.columns], query)
        except EngineError as error:
            raise Wrong(to_blame(filling, error, self._words, self._binder.answer)) from error


def query_of(filling: Filling, words: Wording) -> Sql | None:
    """The rows of a filling as a query, each value of its column's type; None for no rows."""
    if filling.query is not None:
        items = [
            compose("CAST({name} AS {kind}) AS {alias}", name=Ident(given), kind=Sql(c.type), alias=Ident(c.name))
            for given, c in zip(filling.given, filling.columns, strict=True)
        ]
        return compose("SELECT {items} FROM (\n{query}\n) AS _given", items=items, query=Sql(filling.query))
    if not filling.rows.rows:
        return None
    return compose("VALUES {rows}", rows=[compose("({row})", row=row) for row in _values(filling, words)])


def rows_of(filling: Filling, words: Wording, answer: Answer) -> list[Row]:
    """The rows of a filling as the engine has them. Raises Wrong."""
    query = query_of(filling, words)
    if query is None:
        return []
    try:
        return answer(query)
    except EngineError as error:
        raise Wrong(to_blame(filling, error, words, answer)) from error


def _values(filling: Filling, words: Wording) -> list[list[Sql]]:
    names = list(filling.rows.columns)
    kinds = [column.type for column in filling.columns]
    return [
        [sql_of(row.get(name), kind, words) for name, kind in zip(names, kinds, strict=True)]
        for row in filling.rows.rows
    ]


def to_blame(filling: Filling, error: EngineError, words: Wording, answer: Answer) -> Diagnostic:
    """The first value that the engine does not take; the rows as a whole where it takes each."""
    for row in filling.rows.rows:
        for name, column in zip(filling.rows.columns, filling.columns, strict=True):
            cell = row.get(name)
            if cell is not None and (why := _refused(cell, column, words, answer)) is not None:
                message = f"`{cell.text}` does not fit `{column.name}`, which is {column.type}: {why}"
                return Diagnostic("invalid-value", message, cell.place.span)
    message = f"`{filling.table}` does not take these rows: {first_line(error)}"
    return Diagnostic("invalid-value", message, filling.rows.place.span)


def _refused(cell: Cell, column: Column, words: Wording, answer: Answer) -> str | None:
    try:
        answer(compose("SELECT {value}", value=sql_of(cell, column.type, words)))
    except EngineError as error:
        return first_line(error)
    return None


def of_query(error: EngineError, tried: Tried, query: MappedText) -> Diagnostic:
    """What went wrong in a query, at its place in the model."""
    span = None
    if error.position is not None and tried.query is not None:
        found = query.found_in(tried.query, error.position, error.length)
        span = query.span(*found) if found is not None else None
    message = f"`{tried.model}` fails on the rows of `{tried.test.name}`: {first_line(error)}"
    return Diagnostic("statement-failed", message, span or tried.test.place.span)


def first_line(error: EngineError) -> str:
    lines = error.message.strip().splitlines() or ["it failed"]
    text = lines[0].rstrip(".!")
    return text[0].lower() + text[1:] if text[1:2].islower() else text


def picked(rows: Sequence[Row], schema: Schema, columns: Sequence[Column]) -> list[Row]:
    """The values of some columns."""
    places = [schema.names.index(column.name) for column in columns]
    return [tuple(row[place] for place in places) for row in rows]
