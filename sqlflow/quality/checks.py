"""CheckSpec -> SQL. `CHECKS` has one function per kind of check.

All checks that look at one row at a time are answered by one query; each of the others has its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sqlflow.core.compiled import CompiledModel
from sqlflow.core.diagnostics import Severity
from sqlflow.core.model import CheckKind, CheckSpec, Header, Mode
from sqlflow.core.names import TableName
from sqlflow.core.plan import Audit, CheckQuery
from sqlflow.core.sql import Ident, Sql, Value, compose, joined

_SAMPLE = 5


def checks_of(header: Header) -> tuple[CheckSpec, ...]:
    """The checks that a header asks for. A `key` is the identity of a row: it must be unique where the mode does not
    see to that itself."""
    key = tuple(name.lower() for name in header.key)
    if not key or header.mode in (Mode.MERGE, Mode.INLINE) or "key" not in header.spans:
        return header.checks
    for check in header.checks:
        if check.kind is CheckKind.UNIQUE and sorted(c.lower() for c in check.columns) == sorted(key):
            return header.checks
    return (*header.checks, CheckSpec(CheckKind.UNIQUE, header.spans["key"], columns=header.key))


def audits(
    table: TableName, checks: Sequence[CheckSpec], part: Sql | None, columns: Sequence[str]
) -> tuple[Audit, ...]:
    """The queries that answer these checks on a table.

    `part`: a condition for the rows that were just written; checks of single rows look only at those, while checks
    that are about the whole table (unique, row_count) look at all of it.
    """
    single = [check for check in checks if check.kind in _ROW_CONDITIONS]
    found: list[Audit] = []
    if single:
        counts = [compose("count(*) FILTER (WHERE {failing})", failing=_failing(check)) for check in single]
        where = compose(" WHERE {part}", part=part) if part is not None else Sql("")
        sql = compose("SELECT {counts} FROM {t}{where}", counts=counts, t=table, where=where)
        found.append(Audit(sql, tuple(_query(check, _sample_rows(table, check, part, columns)) for check in single)))
    for check in checks:
        if check.kind in _WHOLE:
            sql, sample = _WHOLE[check.kind](table, check, part)
            found.append(Audit(sql, (_query(check, sample),)))
    return tuple(found)


def test_audits(test: CompiledModel) -> tuple[Audit, ...]:
    """What answers a query in tests/: it must return no rows."""
    query = Sql(test.query.text)
    blocking = test.model.header.severity is Severity.ERROR
    sample = compose("SELECT * FROM (\n{query}\n) AS _failing LIMIT {n}", query=query, n=_SAMPLE)
    count = compose("SELECT count(*) FROM (\n{query}\n) AS _failing", query=query)
    return (Audit(count, (CheckQuery("returns no rows", blocking, sample, test.query.span(0)),)),)


def _query(check: CheckSpec, sample: Sql) -> CheckQuery:
    return CheckQuery(check.name, check.severity is Severity.ERROR, sample, check.span)


def _failing(check: CheckSpec) -> Sql:
    """The condition that holds for rows that fail."""
    failing = _ROW_CONDITIONS[check.kind](check)
    if check.where is None:
        return failing
    return compose("({where}) AND ({failing})", where=Sql(check.where), failing=failing)


def _sample_rows(table: TableName, check: CheckSpec, part: Sql | None, columns: Sequence[str]) -> Sql:
    condition = _failing(check)
    if part is not None:
        condition = compose("({part}) AND ({condition})", part=part, condition=condition)
    shown = [Ident(column) for column in (check.columns or columns)[:8]]
    if check.kind is CheckKind.NOT_NULL:
        shown = [Ident(column) for column in columns[:8]]
    return compose(
        "SELECT {columns} FROM {t} WHERE {condition} LIMIT {n}", columns=shown, t=table, condition=condition, n=_SAMPLE
    )


def _not_null(check: CheckSpec) -> Sql:
    return joined(" OR ", [compose("{c} IS NULL", c=Ident(column)) for column in check.columns])


def _in(check: CheckSpec) -> Sql:
    values = [Value(value) for value in check.values]
    return compose("{c} IS NOT NULL AND {c} NOT IN ({values})", c=Ident(check.columns[0]), values=values)


def _expression(check: CheckSpec) -> Sql:
    """A condition that is NULL does not fail, as in SQL's own CHECK."""
    return compose("NOT ({sql})", sql=Sql(check.sql or "TRUE"))


_ROW_CONDITIONS: dict[CheckKind, Callable[[CheckSpec], Sql]] = {
    CheckKind.NOT_NULL: _not_null,
    CheckKind.IN: _in,
    CheckKind.EXPRESSION: _expression,
}


def _unique(table: TableName, check: CheckSpec, part: Sql | None) -> tuple[Sql, Sql]:
    """Rows beyond the first of each combination. NULL is a value like any other, but a row of NULLs only is no key."""
    columns = [Ident(column) for column in check.columns]
    keyed = joined(" OR ", [compose("{c} IS NOT NULL", c=column) for column in columns])
    where = compose(" WHERE ({keyed})", keyed=keyed)
    if check.where is not None:
        where = compose("{keyed} AND ({where})", keyed=where, where=Sql(check.where))
    groups = compose(
        "SELECT {cs}, count(*) AS _rows FROM {t}{where} GROUP BY {cs} HAVING count(*) > 1",
        cs=columns,
        t=table,
        where=where,
    )
    count = compose("SELECT coalesce(sum(_rows - 1), 0) FROM ({groups}) AS _groups", groups=groups)
    return count, compose("{groups} ORDER BY {cs} LIMIT {n}", groups=groups, cs=columns, n=_SAMPLE)


def _references(table: TableName, check: CheckSpec, part: Sql | None) -> tuple[Sql, Sql]:
    schema, name, column = check.to
    conditions = [compose("{c} IS NOT NULL", c=Ident(check.columns[0]))]
    conditions += [compose("({where})", where=Sql(check.where))] if check.where is not None else []
    conditions += [compose("({part})", part=part)] if part is not None else []
    rows = compose(
        "SELECT {c} FROM (SELECT {c} FROM {t} WHERE {conditions}) AS _row "
        "WHERE NOT EXISTS (SELECT 1 FROM {other} AS _other WHERE _row.{c} = _other.{to})",
        c=Ident(check.columns[0]), t=table, other=TableName(schema, name), to=Ident(column),
        conditions=joined(" AND ", conditions),
    )  # fmt: skip
    sample = compose(
        "SELECT {c}, count(*) FROM ({rows}) AS _rows GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT {n}",
        c=Ident(check.columns[0]),
        rows=rows,
        n=_SAMPLE,
    )
    return compose("SELECT count(*) FROM ({rows}) AS _rows", rows=rows), sample


def _row_count(table: TableName, check: CheckSpec, part: Sql | None) -> tuple[Sql, Sql]:
    """One failing row: the number of rows that is out of bounds."""
    where = compose(" WHERE {where}", where=Sql(check.where)) if check.where is not None else Sql("")
    bounds = []
    if check.minimum is not None:
        bounds.append(compose("count(*) < {n}", n=check.minimum))
    if check.maximum is not None:
        bounds.append(compose("count(*) > {n}", n=check.maximum))
    failing = joined(" OR ", bounds) if bounds else Sql("FALSE")
    count = compose(
        "SELECT CASE WHEN {failing} THEN 1 ELSE 0 END FROM {t}{where}", failing=failing, t=table, where=where
    )
    return count, compose("SELECT count(*) AS rows FROM {t}{where}", t=table, where=where)


_WHOLE: dict[CheckKind, Callable[[TableName, CheckSpec, Sql | None], tuple[Sql, Sql]]] = {
    CheckKind.UNIQUE: _unique,
    CheckKind.REFERENCES: _references,
    CheckKind.ROW_COUNT: _row_count,
}
