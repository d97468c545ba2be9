"""Whether something is there only once."""

from __future__ import annotations

from sqlflow.core.checks import CheckSpec
from sqlflow.core.sql import Ident, Sql, compose, joined
from sqlflow.quality.forms import (
    COLUMN,
    COLUMNS,
    LEAST,
    MOST,
    Asked,
    Category,
    Check,
    Failing,
    Query,
    Total,
    level_outside,
    needs_a_bound,
    the_column,
)


def _repeated(asked: Asked) -> Failing:
    """Rows beyond the first of each combination."""
    columns = [Ident(column) for column in asked.check.columns]
    keyed = joined(" OR ", [compose("{c} IS NOT NULL", c=column) for column in columns])
    groups = compose(
        "SELECT {cs}, count(*) AS _rows FROM {t}{where} GROUP BY {cs} HAVING count(*) > 1",
        cs=columns,
        t=asked.table,
        where=asked.where(keyed),
    )
    count = compose("SELECT coalesce(sum(_rows - 1), 0) FROM ({groups}) AS _groups", groups=groups)
    return Failing(groups, count, compose("{cs}", cs=columns))


UNIQUE = Check(
    "unique",
    Category.UNIQUENESS,
    (COLUMNS,),
    Query(_repeated),
    example="unique: [flight_date, carrier]",
    doc="no two rows have the same values in the columns",
    null="is a value like any other; rows in which all the columns are NULL are not looked at",
    short="columns",
    behind="@unique",
    identifies=True,
)


def _distinct(check: CheckSpec, only: Sql) -> Sql:
    return compose("count(DISTINCT {c}){only}", c=the_column(check), only=only)


DISTINCT_COUNT = Check(
    "distinct_count",
    Category.UNIQUENESS,
    (COLUMN, LEAST, MOST),
    Total(_distinct, level_outside),
    example="distinct_count: {column: carrier, min: 10, max: 30}",
    doc="the column has at least `min` and at most `max` different values",
    null="is no value",
    behind="@distinct_count(10, 30)",
    wrong=needs_a_bound,
)

CHECKS = (UNIQUE, DISTINCT_COUNT)
