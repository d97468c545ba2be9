"""What "the same row" means where a table keeps rows: equal values, as the database compares them.

Equal values may be spelled in several ways: 1.0 and 1.00, an interval of a month and one of thirty days, 0.0 and -0.0, texts
under a collation. A row that is spelled otherwise is no other row. Only where a type knows no equality its text decides.
"""

from __future__ import annotations

from typing import LiteralString

from sqlflow.core.compiled import CompiledModel
from sqlflow.core.plan import Step
from sqlflow.core.schema import Column, Schema
from sqlflow.core.sql import Ident, Part, Sql, compose, joined, make_temporary
from sqlflow.core.wording import Wording
from sqlflow.plan.log import WEIGHT, names
from sqlflow.plan.subject import Subject, write


def values(model: CompiledModel, words: Wording, schema: Schema) -> tuple[Sql, ...]:
    """What rows of the same values have in common, to partition by; there is at least one."""
    return tuple(_value(model, words, compose("{c}", c=Ident(c.name)), c) for c in schema) or (Sql("NULL"),)


def same_values(model: CompiledModel, words: Wording, left: Sql, right: Sql, schema: Schema) -> Sql:
    """The condition that two rows are the same."""
    pairs = [
        [_value(model, words, compose("{t}.{c}", t=side, c=Ident(c.name)), c) for side in (left, right)] for c in schema
    ]
    return joined(" AND ", [words.same(*pair) for pair in pairs]) if pairs else Sql("TRUE")


def _value(model: CompiledModel, words: Wording, value: Sql, column: Column) -> Sql:
    return words.as_text(value) if column.name.lower() in model.by_text else value


def without(subject: Subject, rows: Sql, others: Sql) -> Sql:
    """The rows of one query that another does not give, each as often as it gives it less often; of those that are spelled in
    several ways, the spellings that the other has not. What only tells when a row was written is not compared."""
    return compose(
        _WITHOUT,
        cs=subject.columns, values=values(subject.model, subject.words, subject.model.kept), rows=rows, others=others,
        hash=_spelling(subject.words, subject.model.kept),
    )  # fmt: skip


_WITHOUT: LiteralString = (
    "SELECT {cs} FROM (SELECT *, row_number() OVER (PARTITION BY {values}, _sqlflow_side "
    "ORDER BY CASE WHEN _sqlflow_copy > _sqlflow_known THEN 0 ELSE 1 END, _sqlflow_hash) AS _sqlflow_place "
    "FROM (SELECT *, sum(CASE WHEN _sqlflow_side = 1 THEN 1 ELSE -1 END) OVER (PARTITION BY {values}) AS _sqlflow_lacking, "
    "sum(1 - _sqlflow_side) OVER (PARTITION BY {values}, _sqlflow_hash) AS _sqlflow_known, "
    "row_number() OVER (PARTITION BY {values}, _sqlflow_hash, _sqlflow_side) AS _sqlflow_copy "
    "FROM (SELECT {cs}, {hash} AS _sqlflow_hash, 1 AS _sqlflow_side FROM ({rows}) AS _mine "
    "UNION ALL SELECT {cs}, {hash} AS _sqlflow_hash, 0 AS _sqlflow_side FROM ({others}) AS _theirs) AS _both) AS _counted) AS _placed "
    "WHERE _sqlflow_side = 1 AND _sqlflow_place <= _sqlflow_lacking"
)


def once_each(subject: Subject, rows: Sql, mark: Ident | None) -> Sql:
    """The rows of a query, of those that are the same one, whichever way they come. `mark`: a column beside the model's."""
    kept = subject.model.kept
    columns = [*subject.columns, *([mark] if mark is not None else [])]
    parted = [*values(subject.model, subject.words, kept), *([mark] if mark is not None else [])]
    return compose(
        # Not `row_number() = 1`, of which DuckDB 2.0.1 makes an aggregate that gives 0.0 for a -0.0 in the next partition.
        "SELECT {cs} FROM (SELECT *, count(*) OVER (PARTITION BY {parted} ORDER BY {hash} ROWS UNBOUNDED PRECEDING) "
        "AS _sqlflow_once FROM ({rows}) AS _newest) AS _numbered WHERE _sqlflow_once = 1",
        cs=columns, parted=parted, hash=_spelling(subject.words, kept), rows=rows,
    )  # fmt: skip


def forgive_spelling(model: CompiledModel, words: Wording, wrong: Ident, schema: Schema) -> tuple[Step, ...]:
    """Leave in a netted table of rows only those of which, spellings aside, there are too many or too few."""
    parts: dict[str, Part] = {
        "net": _NET, "wrong": wrong, "w": WEIGHT, "cs": names(schema), "values": values(model, words, schema),
        "hash": _spelling(words, schema),
    }  # fmt: skip
    return (
        write(make_temporary(_NET, _NETTED, **parts)),
        write(make_temporary(wrong, "SELECT {cs}, {w} FROM {net} WHERE {w} <> 0", **parts)),
    )


_NET = Ident("_sqlflow_net_of_values")
_NETTED: LiteralString = (
    "SELECT {cs}, CAST(CASE WHEN {w} > 0 THEN greatest(0, least({w}, _sqlflow_total - _sqlflow_before)) "
    "ELSE least(0, greatest({w}, _sqlflow_total - _sqlflow_before)) END AS BIGINT) AS {w} FROM (SELECT *, "
    "sum({w}) OVER (PARTITION BY {values}) AS _sqlflow_total, "
    "coalesce(sum({w}) OVER (PARTITION BY {values}, {w} > 0 ORDER BY {hash} ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) AS _sqlflow_before "
    "FROM {wrong}) AS _w"
)


def _spelling(words: Wording, schema: Schema) -> Sql:
    return words.row_hash(schema) if len(schema) else Sql("0")
