"""What proves a whole table: statements that compare it with what its query gives now, as far as its mode promises that."""

from __future__ import annotations

from msgspec import Struct

from sqlflow.core.compiled import CompiledModel
from sqlflow.core.following import Shape
from sqlflow.core.keeping import counters_of, image_of
from sqlflow.core.names import TableName
from sqlflow.core.plan import Step
from sqlflow.core.records import TableRecord
from sqlflow.core.schema import Schema
from sqlflow.core.sql import Authors, Ident, Part, Sql, compose, joined, make_temporary, quoted, render
from sqlflow.core.wording import Wording
from sqlflow.plan.compare import Comparison, alike, compare, compared_columns
from sqlflow.plan.following.choice import counters_token
from sqlflow.plan.log import WEIGHT, names, same_key
from sqlflow.plan.subject import Subject, write
from sqlflow.plan.values import forgive_spelling, same_values

_EXPECTED = Ident("_sqlflow_expected")
WRONG = Ident("_sqlflow_wrong")
_KEPT = Ident("_sqlflow_kept")
_NEAR = Ident("_sqlflow_near")
_VERSIONS = Ident("_sqlflow_versions")


class Proof(Struct, frozen=True):
    """A comparison to be made. `what`: of what, such as `rows`. `steps` write only temporary tables and end with `wrong`:
    the rows that differ, with a weight above 0 for those that are missing and below 0 for those that are too many.

    `rows`: a query of the number of rows that were looked at. `excuses`: queries of the numbers of rows that the
    promise says nothing about, each with why.
    """

    what: str
    steps: tuple[Step, ...]
    rows: Sql
    schema: Schema
    notes: tuple[str, ...] = ()
    excuses: tuple[tuple[Sql, str], ...] = ()
    wrong: Ident = WRONG
    rounded: Ident | None = None  # a table of the number of rows that are equal only within a tolerance


def equals_query(subject: Subject, shape: Shape, query: Sql) -> Proof:
    """That a table is what its query gives."""
    notes = _notes(subject.model, shape)
    return _equal(subject.words, "rows", query, subject.table, subject.model.kept, notes)


def counters_equal(subject: Subject, shape: Shape) -> tuple[Proof, ...]:
    """That the counters which are kept for a table, if any are, are those of its query."""
    before = subject.before
    if shape.grouping is None or before is None or before.counters != counters_token(shape):
        return ()
    return (_equal(subject.words, "counters", Authors(shape.body), counters_of(subject.table), shape.schema, ()),)


def proof_of_image(words: Wording, table: TableName, record: TableRecord) -> Proof:
    """That the copy of an input which is kept to tell its changes is the input."""
    query = compose("SELECT {cs} FROM {t}", cs=names(record.schema), t=table)
    return _equal(words, "rows of its copy", query, image_of(table, record.reader), record.schema, ())


def _equal(words: Wording, what: str, query: Sql, table: TableName, schema: Schema, notes: tuple[str, ...]) -> Proof:
    compared = compared_columns(words, schema)
    others = [column.name for column in schema if compared.find(column.name) is None]
    if others:
        listed = ", ".join(f"`{name}`" for name in others)
        notes = (*notes, f"not compared: {listed}, with floating point numbers inside of a value")
    steps, rows = _compared(words, query, table, schema), count(_EXPECTED)
    return Proof(what, steps, rows, schema, notes, rounded=_NEAR)


def _compared(words: Wording, query: Sql, table: TableName, schema: Schema) -> tuple[Step, ...]:
    columns = names(compared_columns(words, schema))
    expected = make_temporary(
        _EXPECTED,
        "SELECT {cs} FROM (\n{q}\n) AS _q",
        cs=columns,
        q=query,
    )
    comparison = Comparison(Sql(quoted(_EXPECTED)), Sql(render(table)), schema, WRONG, words)
    return (write(expected), *compare(comparison, _NEAR))


def count(table: Part) -> Sql:
    return compose("SELECT count(*) FROM {t}", t=table)


def left_out(model: CompiledModel) -> list[str]:
    """The columns that say when or by what run a row was written, of which a rebuild would give others."""
    listed = [f"`{name}`" for name in model.schema.names if name.lower() in model.written]
    return [f"not compared: {', '.join(listed)}, of when a row was written"] if listed else []


def _notes(model: CompiledModel, shape: Shape) -> tuple[str, ...]:
    """What was left out, and what may make a table differ from its query without anything being wrong."""
    header = model.header
    notes = left_out(model)
    if header.before or header.after:
        notes.append("its hooks may have changed the table")
    if model.bounds:
        notes.append("its query says itself what it reads with `$start` and `$end`")
    if shape.refusal is not None and shape.refusal.loose:
        notes.append(f"its query may give other rows each time: `{shape.refusal.construct}`: {shape.refusal.reason}")
    return tuple(notes)


def appended(subject: Subject) -> Proof:
    """Rows that the query does not give any more stay. A row of the query that is missing is excused where one of those is
    another version of it: `append` does not read it again. A row that is there more often than the query gives it was
    doubled."""
    header, schema, words = subject.model.header, subject.model.kept, subject.words
    compared = compared_columns(words, schema)
    parts: dict[str, Part] = {
        "kept": _KEPT, "wrong": WRONG, "w": WEIGHT, "expected": _EXPECTED, "versions": _VERSIONS, "cs": names(compared),
        "same": same_values(subject.model, words, Sql("_w"), Sql("_e"), compared),
        "version": _versions(words, compared, header.cursor or "", header.key),
    }  # fmt: skip
    unknown = compose("NOT EXISTS (SELECT 1 FROM {expected} AS _e WHERE {same})", **parts)
    another = compose(
        "{w} > 0 AND (SELECT coalesce(sum(-_k.{w}), 0) FROM {kept} AS _k WHERE {version}) >= {w}", **parts
    )
    steps = (
        *_compared(words, subject.query, subject.table, schema),
        *forgive_spelling(subject.model, words, WRONG, compared),
        write(
            make_temporary(
                _KEPT, "SELECT {cs}, {w} FROM {wrong} AS _w WHERE {w} < 0 AND {unknown}",
                unknown=unknown, **parts,
            )
        ),
        write(compose("DELETE FROM {wrong} AS _w WHERE {w} < 0 AND {unknown}", unknown=unknown, **parts)),
        write(
            make_temporary(
                _VERSIONS, "SELECT coalesce(sum({w}), 0) AS n FROM {wrong} AS _w WHERE {another}",
                another=another, **parts,
            )
        ),
        write(compose("DELETE FROM {wrong} AS _w WHERE {another}", another=another, **parts)),
    )  # fmt: skip
    notes = (
        *left_out(subject.model),
        *(("its hooks may have changed the table",) if header.after else ()),
    )
    kept = compose("SELECT coalesce(sum(-{w}), 0) FROM {kept}", **parts)
    changed = compose("SELECT n FROM {versions}", **parts)
    excuses = (
        (kept, "that `append` keeps, as the query does not give them any more"),
        (changed, "that the query gives in another version than `append` keeps"),
    )
    return Proof("rows", steps, count(subject.table), schema, notes, excuses, rounded=_NEAR)


def _versions(words: Wording, schema: Schema, cursor: str, key: tuple[str, ...]) -> Sql:
    """The condition that two rows, `_w` and `_k`, are versions of one: by the key if there is one, and otherwise by the
    cursor and at least half of the other columns."""
    if key:
        return same_key(words, Sql("_w"), Sql("_k"), key)
    others = [column for column in schema if column.name.lower() != cursor.lower()]
    agree = [
        compose("CASE WHEN {same} THEN 1 ELSE 0 END", same=alike(words, Sql("_w"), Sql("_k"), column))
        for column in others
    ]
    by_cursor = same_key(words, Sql("_w"), Sql("_k"), (cursor,))
    half = (len(others) + 1) // 2
    return compose("{c} AND {n} >= {half}", c=by_cursor, n=joined(" + ", agree) if agree else Sql("0"), half=half)
