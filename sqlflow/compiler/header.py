"""Directives that name columns, held against the columns that the query has."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from sqlflow.compiler.moments import TIMES
from sqlflow.core.checks import CheckSpec
from sqlflow.core.diagnostics import Diagnostic, did_you_mean
from sqlflow.core.engine import Binder, BindError
from sqlflow.core.intervals import Grain
from sqlflow.core.model import Header, Model
from sqlflow.core.names import TableName
from sqlflow.core.schema import Schema
from sqlflow.core.source import Span
from sqlflow.core.sql import Ident, Sql, compose
from sqlflow.quality.checks import questions
from sqlflow.quality.forms import Shape
from sqlflow.quality.kinds import kind_of

_SCRATCH = TableName("_sqlflow", "checked")


def check_header(model: Model, schema: Schema, by_text: Collection[str], binder: Binder) -> list[Diagnostic]:
    """What is wrong with a model's directives, now that its columns are known. `by_text`: as `without_equality` says."""
    problems = [*_missing_columns(model, schema), *_wrong_types(model, schema)]
    problems += [] if problems else _wrong_marks(model, schema, by_text, binder)
    return problems or [*_wrong_shapes(model.header.checks, schema, binder), *_wrong_conditions(model, schema, binder)]


def check_input(checks: Sequence[CheckSpec], schema: Schema, binder: Binder) -> list[Diagnostic]:
    """What is wrong with the checks of a source or a seed, now that its columns are known."""
    problems = list(_unknown_columns(checks, schema, "table"))
    return problems or [*_wrong_shapes(checks, schema, binder), *_wrong_questions(checks, schema, binder)]


def compares_rows(header: Header) -> bool:
    """Whether values are held against each other, by the mode or because there is a key."""
    return header.promise.keeps or bool(header.key) or any(kind_of(c).identifies for c in header.checks)


def without_equality(schema: Schema, binder: Binder) -> tuple[str, ...]:
    """The columns, in lower case, whose values the engine cannot tell apart and put in order: JSON and points of PostgreSQL."""
    binder.define(_SCRATCH, schema)
    if not _refused(schema.names, binder):
        return ()
    return tuple(name.lower() for name in schema.names if _refused((name,), binder))


def _refused(names: Sequence[str], binder: Binder) -> bool:
    columns = [Ident(name) for name in names]
    found = binder.bind(compose("SELECT DISTINCT {cs} FROM {t} ORDER BY {cs}", cs=columns, t=_SCRATCH))
    return isinstance(found, BindError)


def _missing_columns(model: Model, schema: Schema) -> Iterator[Diagnostic]:
    header = model.header
    queried = schema.without({name.lower() for name in header.added})
    named: list[tuple[str, str]] = [("key", name) for name in header.key]
    named += [(word, name) for word, name in (("time", header.time), ("cursor", header.cursor)) if name is not None]
    if header.deleted is not None and header.deleted.column is not None:
        named.append(("deleted", header.deleted.column))
    named += [("compare", name) for name in header.compare]
    of_table = [("index", name) for index in header.index for name in index.columns]
    if header.partition_by is not None:
        of_table.append(("partition_by", header.partition_by.column))
    for places, columns in ((named, queried), (of_table, schema)):
        for word, name in places:
            if columns.find(name) is None:
                span = header.spans.get(word, model.query.span(0))
                yield _unknown(name, f"`@{word}`", span, columns)
    for name in header.columns:
        if schema.find(name) is None:
            yield _unknown(name, "`@columns`", header.spans.get("columns", model.query.span(0)), schema)
    yield from _unknown_columns(header.checks, schema)


def _unknown_columns(checks: Sequence[CheckSpec], schema: Schema, what: str = "query") -> Iterator[Diagnostic]:
    for check in checks:
        for name in check.columns:
            if schema.find(name) is None:
                yield _unknown(name, f"the check `{check.name}`", check.span, schema, what)


def _unknown(name: str, by: str, span: Span, schema: Schema, what: str = "query") -> Diagnostic:
    hint = did_you_mean(name, schema.names) or f"the {what}'s columns are " + ", ".join(
        f"`{c}`" for c in schema.names[:8]
    )
    return Diagnostic("unknown-column", f"{by} names `{name}`, which is no column of the {what}", span, hint)


def _wrong_types(model: Model, schema: Schema) -> Iterator[Diagnostic]:
    header = model.header
    time = schema.find(header.time) if header.time is not None else None
    if time is not None and time.type not in TIMES:
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
        if parted.type not in TIMES or hourly:
            yield Diagnostic(
                "time-type",
                f"`@partition_by` needs a {'timestamp' if hourly else 'date or a timestamp'}, and `{parted.name}` is {parted.type}",
                header.spans.get("partition_by"),
                "name a column of time, and a unit that it has",
            )
    cursor = schema.find(header.cursor) if header.cursor is not None else None
    if header.promise.history and cursor is not None and not cursor.parsed.is_plain_moment:
        yield Diagnostic(
            "time-type",
            f"`@cursor` of a snapshot says when a row changed, and `{cursor.name}` is {cursor.type}",
            header.spans.get("cursor"),
            "name a column that is a date or a timestamp in microseconds, or leave `@cursor` out: then rows are compared",
        )
    keyed = header.promise.keeps
    if keyed and header.lookback is not None and cursor is not None and cursor.type not in TIMES:
        yield Diagnostic(
            "time-type",
            f"`@lookback` needs a date or timestamp, and the cursor `{cursor.name}` is {cursor.type}",
            header.spans.get("lookback"),
            "leave `@lookback` out, or use a cursor of time",
        )


def _wrong_marks(model: Model, schema: Schema, by_text: Collection[str], binder: Binder) -> Iterator[Diagnostic]:
    """A key of values that cannot be told apart, and a cursor that has no greatest one."""
    header = model.header
    named = [("`@key`", name, header.spans.get("key")) for name in header.key]
    named += [
        (f"the check `{c.name}`", name, c.span) for c in header.checks if kind_of(c).identifies for name in c.columns
    ]
    for by, name, span in named:
        column = schema.find(name)
        if column is not None and name.lower() in by_text:
            yield Diagnostic(
                "key-type",
                f"{by} names `{column.name}`, which is {column.type}: the database has no equality for that type",
                span,
                f"name columns that can be compared: a part of the value, or its text with CAST({column.name} AS TEXT) AS {column.name}",
            )
    cursor = schema.find(header.cursor) if header.cursor is not None else None
    if cursor is None or not header.promise.keeps:
        return
    binder.define(_SCRATCH, schema)
    greatest = compose("SELECT max({c}) FROM {t} WHERE {c} < {c}", c=Ident(cursor.name), t=_SCRATCH)
    if isinstance(binder.bind(greatest), BindError):
        yield Diagnostic(
            "key-type",
            f"`@cursor` names `{cursor.name}`, which is {cursor.type}: the database has no greatest value of that type",
            header.spans.get("cursor"),
            "name a column that grows, such as a number or a timestamp",
        )


def _wrong_shapes(checks: Sequence[CheckSpec], schema: Schema, binder: Binder) -> Iterator[Diagnostic]:
    """Checks that the columns fail, whatever rows there will be, and types that the engine does not know."""
    for check in checks:
        judge = kind_of(check).judge
        if not isinstance(judge, Shape):
            continue
        unknown = next((kind for kind in check.types if kind and _spelled(kind, binder) is None), None)
        if unknown is not None:
            yield Diagnostic("invalid-check", f"the check `{check.name}`: there is no type `{unknown}`", check.span)
            continue
        columns = {column.name.lower(): column.type for column in schema}
        for message in judge.wrong(check, columns, lambda kind: _spelled(kind, binder) or kind):
            yield Diagnostic(
                "check-failed",
                f"the check `{check.name}` fails: {message}",
                check.span,
                "cast the column in the query, or write its type into the check",
                check.severity,
            )


def _spelled(kind: str, binder: Binder) -> str | None:
    """A type as the engine calls it; None where it knows none of that name."""
    found = binder.bind(compose("SELECT CAST(NULL AS {kind}) AS x", kind=Sql(kind)))
    return None if isinstance(found, BindError) else next(iter(found)).type


def _wrong_conditions(model: Model, schema: Schema, binder: Binder) -> Iterator[Diagnostic]:
    """What checks ask of a row or of all rows, and conditions in `deleted`, judged by the engine."""
    conditions: list[tuple[str, str, Span | None]] = []
    yield from _wrong_questions(model.header.checks, schema, binder)
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
        if isinstance(found, BindError):
            yield _refusal(found, by, span)


def _wrong_questions(checks: Sequence[CheckSpec], schema: Schema, binder: Binder) -> Iterator[Diagnostic]:
    asked = [(check, query) for check in checks for query in questions(_SCRATCH, check, schema.names)]
    if not asked:
        return
    binder.define(_SCRATCH, schema)
    refused: set[int] = set()
    for check, query in asked:
        found = binder.bind(query)
        if isinstance(found, BindError) and id(check) not in refused:
            refused.add(id(check))
            yield _refusal(found, f"the check `{check.name}`", check.span)


def _refusal(found: BindError, by: str, span: Span | None) -> Diagnostic:
    if found.code == "unknown-table":
        return Diagnostic(
            "invalid-check",
            f"{by} does not work: {found.message} that its model reads",
            span,
            "use `references`, or write a query in tests/ that returns the rows that are wrong",
        )
    hint = f"did you mean `{found.candidates[0]}`?" if found.candidates else None
    return Diagnostic(found.code, f"{by} does not work: {found.message}", span, hint)
