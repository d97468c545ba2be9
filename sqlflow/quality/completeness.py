"""Whether all is there."""

from __future__ import annotations

from sqlflow.core.checks import CheckSpec
from sqlflow.core.names import TableName
from sqlflow.core.sql import Ident, Sql, compose, joined
from sqlflow.quality.forms import COLUMNS, Argument, Check, Form, Found, Query, Rows, Wrong


def _null(check: CheckSpec) -> Sql:
    return joined(" OR ", [compose("{c} IS NULL", c=Ident(column)) for column in check.columns])


NOT_NULL = Check(
    "not_null",
    (COLUMNS,),
    Rows(_null, shows=False),
    example="not_null: [flight_date, carrier]",
    doc="no row has NULL in one of the columns",
    null="fails",
    short="columns",
    behind="@not_null",
)


def _out_of_bounds(table: TableName, check: CheckSpec, part: Sql | None) -> Found:
    """One failing row: the number of rows."""
    where = compose(" WHERE {where}", where=Sql(check.where)) if check.where is not None else Sql("")
    minimum, maximum = check.number("min"), check.number("max")
    bounds = []
    if minimum is not None:
        bounds.append(compose("count(*) < {n}", n=int(minimum)))
    if maximum is not None:
        bounds.append(compose("count(*) > {n}", n=int(maximum)))
    failing = joined(" OR ", bounds) if bounds else Sql("FALSE")
    count = compose(
        "SELECT CASE WHEN {failing} THEN 1 ELSE 0 END FROM {t}{where}", failing=failing, t=table, where=where
    )
    return Found(count, compose("SELECT count(*) AS rows FROM {t}{where}", t=table, where=where))


def _bounds(check: CheckSpec) -> Wrong | None:
    minimum, maximum = check.number("min"), check.number("max")
    if minimum is None and maximum is None:
        return Wrong("neither `min` nor `max` is given", hinted=True)
    if minimum is not None and maximum is not None and minimum > maximum:
        return Wrong("`min` is greater than `max`")
    return None


ROW_COUNT = Check(
    "row_count",
    (Argument("min", Form.COUNT, required=False), Argument("max", Form.COUNT, required=False)),
    Query(_out_of_bounds),
    example="row_count: {min: 1}",
    doc="the table has at least `min` and at most `max` rows",
    wrong=_bounds,
)
