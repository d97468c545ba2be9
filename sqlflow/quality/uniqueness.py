"""Whether something is there only once."""

from __future__ import annotations

from sqlflow.core.checks import CheckSpec
from sqlflow.core.names import TableName
from sqlflow.core.sql import Ident, Sql, compose, joined
from sqlflow.quality.forms import COLUMNS, SAMPLE, Check, Found, Query


def _repeated(table: TableName, check: CheckSpec, part: Sql | None) -> Found:
    """Rows beyond the first of each combination."""
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
    return Found(count, compose("{groups} ORDER BY {cs} LIMIT {n}", groups=groups, cs=columns, n=SAMPLE))


UNIQUE = Check(
    "unique",
    (COLUMNS,),
    Query(_repeated),
    example="unique: [flight_date, carrier]",
    doc="no two rows have the same values in the columns",
    null="is a value like any other; rows in which all the columns are NULL are not looked at",
    short="columns",
    behind="@unique",
    identifies=True,
)
