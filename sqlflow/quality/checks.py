"""The checks of a table -> the queries that answer them.

All checks that look at one row at a time, or at one value of all rows, are answered by one scan of the rows that they look at;
each of the others has its own query. What a check demands is told by its row in `quality/kinds.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from msgspec import Struct
from msgspec.structs import replace

from sqlflow.core.checks import ArgumentValue, CheckSpec, Columns, Limit
from sqlflow.core.compiled import CompiledModel
from sqlflow.core.diagnostics import Severity
from sqlflow.core.model import Header, Project, Seed, Source
from sqlflow.core.names import TableName
from sqlflow.core.plan import Audit, CheckQuery
from sqlflow.core.sql import Authors, Ident, Sql, compose
from sqlflow.quality.forms import SAMPLE, Asked, Query, Rows, Shape, Total
from sqlflow.quality.kinds import kind_of
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


def checks_of_inputs(project: Project) -> Mapping[TableName, tuple[CheckSpec, ...]]:
    """The checks of the sources and seeds that have some."""
    inputs: list[Source | Seed] = [*project.sources.values(), *project.seeds.values()]
    return {one.name: one.checks for one in inputs if one.checks}


def identities(checks: Sequence[CheckSpec]) -> tuple[tuple[str, ...], ...]:
    """The columns that identify the rows of a table that was built: what checks say that block it and look at every row."""
    blocking = (check for check in checks if check.error == Limit(0) and check.where is None)
    return tuple(check.columns for check in blocking if kind_of(check).identifies)


def audits(
    table: TableName, checks: Sequence[CheckSpec], part: Sql | None, columns: Sequence[str], now: datetime
) -> tuple[Audit, ...]:
    """The queries that answer these checks on a table.

    `part`: a condition for the rows that were just written, where only these are looked at. `columns`: all of the table.
    `now`: what ages are measured against.
    """
    written: list[_Counted] = []
    everywhere: list[_Counted] = []
    together: list[Audit] = []
    for check in (_spelled(check, columns) for check in checks):
        match kind_of(check).judge:
            case Rows() as rows:
                written.append(_counted(table, check, rows, part, columns))
            case Total() as total:
                everywhere.append(_totalled(table, check, total, now))
            case Query() as query:
                together.append(_asked(Asked(table, check, None if query.whole else part, columns), query))
            case Shape():
                shown = compose("SELECT 1 WHERE FALSE")
                together.append(Audit(Sql("SELECT 0"), (_query(check, shown, shown),)))
    if part is None:
        written, everywhere = [*written, *everywhere], []
    scans = [_scan(table, counted, where) for counted, where in ((written, part), (everywhere, None)) if counted]
    return (*scans, *together)


def questions(table: TableName, check: CheckSpec, columns: Sequence[str]) -> tuple[Sql, ...]:
    """Queries of the table alone that an engine takes if the check works there: first what its author wrote in SQL."""
    check = _spelled(check, columns)
    conditions = check.conditions
    if "other_where" in check.arguments:  # it is about another table
        conditions = tuple(sql for sql in conditions if sql != check.sql("other_where"))
    found = [compose("SELECT 1 FROM {t} WHERE {c}", t=table, c=Sql(f"({sql}\n)")) for sql in conditions]
    found += [compose("SELECT {c} AS value FROM {t}", t=table, c=Sql(f"({sql}\n)")) for sql in check.aggregates]
    match kind_of(check).judge:
        case Rows() as rows:
            found.append(compose("SELECT 1 FROM {t} WHERE {c}", t=table, c=rows.failing(check)))
        case Total() as total:
            found.append(_totalled(table, check, total, _SOME_DAY).items[0])
            found[-1] = compose("SELECT {item} AS level FROM {t}", item=found[-1], t=table)
        case Query() as query if not check.tables:
            found.append(query.failing(Asked(table, check, None, columns)).rows)
        case Query() | Shape():
            pass
    return tuple(found)


_SOME_DAY = datetime(2000, 1, 1, tzinfo=UTC)


def test_audits(test: CompiledModel) -> tuple[Audit, ...]:
    """What answers a query in tests/: it must return no rows."""
    query = Authors(test.query.text)
    blocking = test.header.severity is Severity.ERROR
    rows = compose("SELECT * FROM (\n{query}\n) AS _failing", query=query)
    count = compose("SELECT count(*) FROM (\n{query}\n) AS _failing", query=query)
    check = CheckQuery(
        "returns no rows", Limit(0) if blocking else None, _some(rows), test.query.span(0), Limit(0), rows,
        description=test.header.description or "",
    )  # fmt: skip
    return (Audit(count, (check,)),)


class _Counted(Struct, frozen=True):
    """A check that a scan answers, with the items of its SELECT list."""

    items: tuple[Sql, ...]
    check: CheckQuery


def _scan(table: TableName, counted: Sequence[_Counted], part: Sql | None) -> Audit:
    where = compose(" WHERE {part}", part=part) if part is not None else Sql("")
    items = [item for one in counted for item in one.items]
    sql = compose("SELECT {items} FROM {t}{where}", items=items, t=table, where=where)
    return Audit(sql, tuple(one.check for one in counted), scans=1)


def _counted(table: TableName, check: CheckSpec, rows: Rows, part: Sql | None, columns: Sequence[str]) -> _Counted:
    failing = rows.failing(check)
    if check.where is not None:
        failing = compose("({where}) AND ({failing})", where=Sql(check.where), failing=failing)
    items: tuple[Sql, ...] = (compose("count(*) FILTER (WHERE {failing})", failing=failing),)
    if _share(check):
        items = (*items, compose("count(*){only}", only=_only(check)))
    condition = failing if part is None else compose("({part}) AND ({failing})", part=part, failing=failing)
    shown = check.columns if check.columns and rows.shows else columns
    sample = compose(
        "SELECT {columns} FROM {t} WHERE {condition} LIMIT {n}",
        columns=[Ident(column) for column in dict.fromkeys(shown[:8])], t=table, condition=condition, n=SAMPLE,
    )  # fmt: skip
    everything = compose(
        "SELECT {columns} FROM {t} WHERE {condition}",
        columns=[Ident(column) for column in columns],
        t=table,
        condition=condition,
    )
    return _Counted(items, _query(check, sample, everything))


def _totalled(table: TableName, check: CheckSpec, total: Total, now: datetime) -> _Counted:
    value = total.value(check, _only(check))
    where = compose(" WHERE {where}", where=Sql(check.where)) if check.where is not None else Sql("")
    shown = compose("SELECT {v} AS value FROM {t}{where}", v=total.value(check, Sql("")), t=table, where=where)
    query = replace(_query(check, shown, shown), total=True)
    if total.stages:
        error = Limit(1) if check.severity is Severity.ERROR and "error" in check.arguments else None
        query = replace(query, error=error, warn=Limit(0))
    return _Counted((total.level(check, value, now),), query)


def _asked(asked: Asked, query: Query) -> Audit:
    check, found = asked.check, query.failing(asked)
    count = found.count or compose("SELECT count(*) FROM ({rows}) AS _found", rows=found.rows)
    if _share(check):
        rows = compose("SELECT count(*) FROM {t}{where}", t=asked.table, where=asked.where())
        count = compose("SELECT ({count}), ({rows})", count=count, rows=rows)
    order = compose(" ORDER BY {order}", order=found.order) if found.order else Sql("")
    sample = compose("{rows}{order} LIMIT {n}", rows=found.rows, order=order, n=SAMPLE)
    return Audit(count, (_query(check, sample, found.rows),), scans=1)


def _some(rows: Sql) -> Sql:
    return compose("{rows} LIMIT {n}", rows=rows, n=SAMPLE)


def _query(check: CheckSpec, sample: Sql, rows: Sql) -> CheckQuery:
    return CheckQuery(
        check.name, check.error, sample, check.span, check.warn, rows, _share(check), description=check.description
    )


def _share(check: CheckSpec) -> bool:
    """Whether the number of rows that were looked at is needed."""
    return any(limit is not None and limit.percent for limit in (check.warn_if, check.error_if))


def _only(check: CheckSpec) -> Sql:
    return compose(" FILTER (WHERE {where})", where=Sql(check.where)) if check.where is not None else Sql("")


def _spelled(check: CheckSpec, columns: Sequence[str]) -> CheckSpec:
    """The check with columns as the table spells them."""
    known = {name.lower(): name for name in columns}

    def spelled(given: ArgumentValue) -> ArgumentValue:
        if not isinstance(given, Columns):
            return given
        return Columns(tuple(known.get(name.lower(), name) for name in given.names))

    own = check.own
    for name in check.columns if own else ():
        named, meant = compose("{c}", c=Ident(name)), compose("{c}", c=Ident(known.get(name.lower(), name)))
        own = tuple(text.replace(named, meant) for text in own)
    return replace(check, arguments={word: spelled(given) for word, given in check.arguments.items()}, own=own)
