"""A unit test written from real rows: a few of each input, and what the model makes of them."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime

from msgspec import Struct

from sqlflow.core.compiled import Compiled, CompiledModel
from sqlflow.core.engine import Row, Session
from sqlflow.core.names import TableName
from sqlflow.core.schema import Column, Schema
from sqlflow.core.sql import Ident, Sql, Value, compose, joined
from sqlflow.core.types import parsed
from sqlflow.project.yaml import scalar


class Sample(Struct, frozen=True):
    """Some rows of a table, each value as its text."""

    table: TableName
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]


def samples(
    session: Session,
    model: CompiledModel,
    inputs: Mapping[TableName, Schema],
    relations: Mapping[TableName, Sql],
    rows: int,
) -> list[Sample]:
    """The first rows of each input, in the columns that the model reads. Of an input that is joined, rows that belong to those
    that were taken before are preferred."""
    found: list[Sample] = []
    keys = [ref for ref in model.lineage.indirect.get("join", ()) if ref.table in inputs]
    for table, schema in sorted(inputs.items(), key=lambda item: (item[0] not in relations, item[0])):
        read = model.reads.get(table)
        columns = tuple(c for c in schema if read is None or c.name.lower() in read) or schema.columns[:1]
        taken: list[Row] = []
        own = [schema.find(ref.column) for ref in keys if ref.table == table]
        for column in [column for column in own if column is not None]:
            values = _values(found, column, [ref.column for ref in keys if ref.table != table])
            if values and not taken:
                among = joined(", ", [compose("{v}", v=Value(value)) for value in values])
                condition = compose("{text} IN ({among})", text=text_of(column), among=among)
                taken = session.fetch(_query(relations[table], columns, condition, rows))
        taken = taken or session.fetch(_query(relations[table], columns, None, rows))
        found.append(Sample(table, columns, tuple(taken)))
    return found


def _values(found: Sequence[Sample], column: Column, names: Collection[str]) -> list[str]:
    """The values that the other columns of a join have in the rows that were taken, for a column of that type."""
    folded = {name.lower() for name in names}
    values: dict[str, None] = {}
    for sample in found:
        for place, other in enumerate(sample.columns):
            if other.name.lower() in folded and other.type == column.type:
                values |= {str(row[place]): None for row in sample.rows if row[place] is not None}
    return list(values)


def _query(relation: Sql, columns: Sequence[Column], condition: Sql | None, rows: int) -> Sql:
    query = compose("SELECT {items} FROM {relation}", items=[text_of(column) for column in columns], relation=relation)
    if condition is not None:
        query = compose("{query} WHERE {condition}", query=query, condition=condition)
    return compose("{query} LIMIT {rows}", query=query, rows=rows)


def text_of(column: Column) -> Sql:
    """The text of its values, from which the engine makes them again."""
    return compose("CAST({c} AS VARCHAR)", c=Ident(column.name))


# ---------------------------------------------------------------- what nobody may see


def masked(found: Sequence[Sample], model: CompiledModel, compiled: Compiled) -> list[Sample]:
    """The rows without what is marked as `pii`: a text becomes another one, the same wherever it stands, and all else NULL.
    A column is marked in the model that makes it, or in the one that is tested, if it is made of it."""
    words: dict[str, str] = {}
    marked = _marked(model)
    used = {ref for column in model.lineage.columns if column.name.lower() in marked for ref in column.direct}
    told = []
    for sample in found:
        parent = compiled.models.get(sample.table)
        hidden = _marked(parent) if parent is not None else set()
        hidden |= {ref.column.lower() for ref in used if ref.table == sample.table}
        places = [place for place, column in enumerate(sample.columns) if column.name.lower() in hidden]
        rows = [
            tuple(
                _masked(value, sample.columns[place], words) if place in places else value
                for place, value in enumerate(row)
            )
            for row in sample.rows
        ]
        told.append(Sample(sample.table, sample.columns, tuple(rows)))
    return told


def _marked(model: CompiledModel) -> set[str]:
    return {name.lower() for name, note in model.header.columns.items() if "pii" in note.tags}


def _masked(value: object, column: Column, words: dict[str, str]) -> str | None:
    if value is None or not parsed(column.type).is_text:
        return None
    return words.setdefault(str(value), f"masked {len(words) + 1}")


# ---------------------------------------------------------------- YAML


def written(name: str, model: TableName, given: Sequence[Sample], expect: Sample | None, now: datetime | None) -> str:
    """The test as it stands in a file."""
    lines = [f"{_quoted(name)}:", f"  model: {_quoted(str(model))}"]
    if now is not None:
        lines.append(f"  now: {now:%Y-%m-%d %H:%M}")
    lines.append("  given:" if given else "  given: {}")
    for sample in given:
        lines += _rows(f"    {_quoted(str(sample.table))}:", sample, "      ")
    lines += ["  expect: []"] if expect is None else _rows("  expect:", expect, "    ")
    return "\n".join(lines) + "\n"


def _rows(head: str, sample: Sample, margin: str) -> list[str]:
    if not sample.rows:
        return [f"{head} []"]
    lines = [head]
    for row in sample.rows:
        cells = [f"{_quoted(c.name)}: {_cell(value, c)}" for c, value in zip(sample.columns, row, strict=True)]
        lines.append(f"{margin}- {{{', '.join(cells)}}}")
    return lines


def _cell(value: object, column: Column) -> str:
    """The text of a value; without quotes where YAML then reads what the column holds."""
    if value is None:
        return "null"
    text = str(value)
    kind = parsed(column.type)
    if kind.is_text:
        return _quoted(text)
    plain = _PLAIN.fullmatch(text) is not None and isinstance(_read(text), bool | int | float | date)
    return text if plain else _quoted(text)


def _quoted(text: str) -> str:
    """Text that YAML reads as text."""
    if _WORDS.fullmatch(text) and isinstance(_read(text), str) and text.lower() not in _OLD_TRUTHS:
        return text
    return json.dumps(text, ensure_ascii=False)


def _read(text: str) -> object:
    try:
        return scalar(text)
    except ValueError:
        return None


_OLD_TRUTHS = ("yes", "no", "on", "off", "y", "n")  # which other readers of YAML take for true and false
_WORDS = re.compile(r"[A-Za-z_](?:[\w ./-]*[\w./-])?", re.ASCII)
_PLAIN = re.compile(r"[\w.+-]+(?: [\d:.+-]+)?", re.ASCII)
