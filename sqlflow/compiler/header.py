"""Directives that name columns, held against the columns that the query has."""

from __future__ import annotations

from collections.abc import Iterator

from sqlflow.core.diagnostics import Diagnostic, did_you_mean
from sqlflow.core.engine import Binder, BindError
from sqlflow.core.intervals import Grain
from sqlflow.core.model import Mode, Model
from sqlflow.core.names import TableName
from sqlflow.core.schema import Schema
from sqlflow.core.source import Span
from sqlflow.core.sql import Sql, compose

_SCRATCH = TableName("_sqlflow", "checked")
_TIMES = ("DATE", "TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS", "TIMESTAMP WITH TIME ZONE")


def check_header(model: Model, schema: Schema, binder: Binder) -> list[Diagnostic]:
    """What is wrong with a model's directives, now that its columns are known."""
    problems = [*_missing_columns(model, schema), *_wrong_types(model, schema)]
    return problems or list(_wrong_conditions(model, schema, binder))


def _missing_columns(model: Model, schema: Schema) -> Iterator[Diagnostic]:
    header = model.header
    named: list[tuple[str, str]] = [("key", name) for name in header.key]
    named += [(word, name) for word, name in (("time", header.time), ("cursor", header.cursor)) if name is not None]
    if header.deleted is not None and header.deleted.column is not None:
        named.append(("deleted", header.deleted.column))
    if header.partition_by is not None:
        named.append(("partition_by", header.partition_by.column))
    named += [("index", name) for index in header.index for name in index.columns]
    for word, name in named:
        if schema.find(name) is None:
            span = header.spans.get(word, model.query.span(0))
            yield _unknown(name, f"`@{word}`", span, schema)
    for name in header.columns:
        if schema.find(name) is None:
            yield _unknown(name, "`@columns`", header.spans.get("columns", model.query.span(0)), schema)
    for check in header.checks:
        for name in check.columns:
            if schema.find(name) is None:
                yield _unknown(name, f"the check `{check.name}`", check.span, schema)


def _unknown(name: str, by: str, span: Span, schema: Schema) -> Diagnostic:
    hint = did_you_mean(name, schema.names) or "the query's columns are " + ", ".join(
        f"`{c}`" for c in schema.names[:8]
    )
    return Diagnostic("unknown-column", f"{by} names `{name}`, which is no column of the query", span, hint)


def _wrong_types(model: Model, schema: Schema) -> Iterator[Diagnostic]:
    header = model.header
    time = schema.find(header.time) if header.time is not None else None
    if time is not None and time.type not in _TIMES:
        yield Diagnostic(
            "time-type",
            f"`@time` names `{time.name}`, which is {time.type} and not a date or a timestamp",
            header.spans.get("time"),
            f"write CAST({time.name} AS DATE) AS {time.name} in the query",
        )
    if time is not None and time.type == "DATE" and header.grain is Grain.HOUR:
        yield Diagnostic(
            "time-type", f"`@grain: hour` needs a timestamp, and `{time.name}` is a DATE", header.spans.get("grain"),
            "use `@grain: day`, or a timestamp column",
        )  # fmt: skip
    parted = schema.find(header.partition_by.column) if header.partition_by is not None else None
    if header.partition_by is not None and parted is not None:
        hourly = parted.type == "DATE" and header.partition_by.by is Grain.HOUR
        if parted.type not in _TIMES or hourly:
            yield Diagnostic(
                "time-type",
                f"`@partition_by` needs a {'timestamp' if hourly else 'date or a timestamp'}, and `{parted.name}` is {parted.type}",
                header.spans.get("partition_by"),
                "name a column of time, and a unit that it has",
            )
    cursor = schema.find(header.cursor) if header.cursor is not None else None
    keyed = header.mode in (Mode.APPEND, Mode.MERGE)
    if keyed and header.lookback is not None and cursor is not None and cursor.type not in _TIMES:
        yield Diagnostic(
            "time-type",
            f"`@lookback` needs a date or timestamp, and the cursor `{cursor.name}` is {cursor.type}",
            header.spans.get("lookback"),
            "leave `@lookback` out, or use a cursor of time",
        )


def _wrong_conditions(model: Model, schema: Schema, binder: Binder) -> Iterator[Diagnostic]:
    """Conditions in checks and in `deleted`, judged by the engine."""
    conditions: list[tuple[str, str, Span | None]] = []
    for check in model.header.checks:
        conditions += [(sql, f"the check `{check.name}`", check.span) for sql in check.conditions]
    deleted = model.header.deleted
    if deleted is not None and deleted.sql is not None:
        conditions.append((deleted.sql, "`@deleted`", model.header.spans.get("deleted")))
    for index in model.header.index:
        if index.where is not None:
            conditions.append((index.where, "`@index`", model.header.spans.get("index")))
    if not conditions:
        return
    binder.define(_SCRATCH, schema)
    for sql, by, span in conditions:
        query = compose("SELECT 1 FROM {t} WHERE {condition}", t=_SCRATCH, condition=Sql(f"({sql}\n)"))
        found = binder.bind(query)
        if isinstance(found, BindError) and found.code == "unknown-table":
            yield Diagnostic(
                "invalid-check",
                f"{by} does not work: {found.message} that its model reads",
                span,
                "use `references`, or write a query in tests/ that returns the rows that are wrong",
            )
        elif isinstance(found, BindError):
            hint = f"did you mean `{found.candidates[0]}`?" if found.candidates else None
            yield Diagnostic(found.code, f"{by} does not work: {found.message}", span, hint)
