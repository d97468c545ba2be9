"""The checks of a table -> the queries that answer them.

All checks that look at one row at a time are answered by one query; each of the others has its own. What a check demands
is told by its row in `quality/kinds.py`.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlflow.core.checks import CheckSpec, Columns
from sqlflow.core.compiled import CompiledModel
from sqlflow.core.diagnostics import Severity
from sqlflow.core.model import Header
from sqlflow.core.names import TableName
from sqlflow.core.plan import Audit, CheckQuery
from sqlflow.core.sql import Authors, Ident, Sql, compose
from sqlflow.quality.forms import SAMPLE, Query, Rows
from sqlflow.quality.kinds import CHECKS
from sqlflow.quality.uniqueness import UNIQUE


def checks_of(header: Header) -> tuple[CheckSpec, ...]:
    """The checks that a header asks for. A `key` is the identity of a row: it must be unique where the mode does not
    see to that itself."""
    key = tuple(name.lower() for name in header.key)
    if not key or header.promise.keyed or header.promise.inlined or "key" not in header.spans:
        return header.checks
    for check in header.checks:
        if check.kind == UNIQUE.kind and sorted(c.lower() for c in check.columns) == sorted(key):
            return header.checks
    return (*header.checks, CheckSpec(UNIQUE.kind, header.spans["key"], {"columns": Columns(header.key)}))


def identities(checks: Sequence[CheckSpec]) -> tuple[tuple[str, ...], ...]:
    """The columns that identify the rows of a table that was built: what checks say that block it and look at every row."""
    blocking = (check for check in checks if check.severity is Severity.ERROR and check.where is None)
    return tuple(check.columns for check in blocking if CHECKS[check.kind].identifies)


def audits(
    table: TableName, checks: Sequence[CheckSpec], part: Sql | None, columns: Sequence[str]
) -> tuple[Audit, ...]:
    """The queries that answer these checks on a table.

    `part`: a condition for the rows that were just written, where only these are looked at.
    """
    single: list[tuple[CheckSpec, Rows]] = []
    together: list[Audit] = []
    for check in checks:
        match CHECKS[check.kind].judge:
            case Rows() as rows:
                single.append((check, rows))
            case Query() as query:
                found = query.failing(table, check, None if query.whole else part)
                together.append(Audit(found.count, (_query(check, found.sample),)))
    if not single:
        return tuple(together)
    counts = [compose("count(*) FILTER (WHERE {failing})", failing=_failing(check, rows)) for check, rows in single]
    where = compose(" WHERE {part}", part=part) if part is not None else Sql("")
    sql = compose("SELECT {counts} FROM {t}{where}", counts=counts, t=table, where=where)
    samples = (_query(check, _sample(table, check, rows, part, columns)) for check, rows in single)
    return (Audit(sql, tuple(samples)), *together)


def test_audits(test: CompiledModel) -> tuple[Audit, ...]:
    """What answers a query in tests/: it must return no rows."""
    query = Authors(test.query.text)
    blocking = test.model.header.severity is Severity.ERROR
    sample = compose("SELECT * FROM (\n{query}\n) AS _failing LIMIT {n}", query=query, n=SAMPLE)
    count = compose("SELECT count(*) FROM (\n{query}\n) AS _failing", query=query)
    return (Audit(count, (CheckQuery("returns no rows", blocking, sample, test.query.span(0)),)),)


def _query(check: CheckSpec, sample: Sql) -> CheckQuery:
    return CheckQuery(check.name, check.severity is Severity.ERROR, sample, check.span)


def _failing(check: CheckSpec, rows: Rows) -> Sql:
    """The condition that holds for rows that fail."""
    failing = rows.failing(check)
    if check.where is None:
        return failing
    return compose("({where}) AND ({failing})", where=Sql(check.where), failing=failing)


def _sample(table: TableName, check: CheckSpec, rows: Rows, part: Sql | None, columns: Sequence[str]) -> Sql:
    condition = _failing(check, rows)
    if part is not None:
        condition = compose("({part}) AND ({condition})", part=part, condition=condition)
    shown = check.columns if check.columns and rows.shows else columns
    return compose(
        "SELECT {columns} FROM {t} WHERE {condition} LIMIT {n}",
        columns=[Ident(column) for column in shown[:8]], t=table, condition=condition, n=SAMPLE,
    )  # fmt: skip
