"""Whether all is there."""

from __future__ import annotations

from datetime import datetime

from sqlflow.core.checks import CheckSpec
from sqlflow.core.sql import Ident, Sql, Value, compose, joined
from sqlflow.quality.forms import (
    COLUMN,
    COLUMNS,
    LEAST,
    MOST,
    Argument,
    Category,
    Check,
    Form,
    Rows,
    Total,
    level_outside,
    needs_a_bound,
    the_column,
)


def _null(check: CheckSpec) -> Sql:
    return joined(" OR ", [compose("{c} IS NULL", c=Ident(column)) for column in check.columns])


NOT_NULL = Check(
    "not_null",
    Category.COMPLETENESS,
    (COLUMNS,),
    Rows(_null, shows=False),
    example="not_null: [flight_date, carrier]",
    doc="no row has NULL in one of the columns",
    null="fails",
    short="columns",
    behind="@not_null",
)


def _missing(check: CheckSpec) -> Sql:
    c, values = the_column(check), [Value(value) for value in check.values]
    return compose("{c} IS NULL OR {c} IN ({values})", c=c, values=values)


MISSING = Check(
    "missing",
    Category.COMPLETENESS,
    (COLUMN, Argument("values", Form.VALUES, doc="what stands for a value that is not there, besides NULL")),
    Rows(_missing),
    example='missing: {column: phone, values: ["", n/a], warn_if: "> 5%"}',
    doc="no row has NULL in the column, or one of the values that mean the same",
    null="fails",
    behind='@missing("", n/a)',
    everyday=True,
)


def _share(check: CheckSpec, only: Sql) -> Sql:
    return compose(
        "CAST(count({c}){only} AS DOUBLE PRECISION) / nullif(count(*){only}, 0)", c=the_column(check), only=only
    )


NOT_NULL_SHARE = Check(
    "not_null_share",
    Category.COMPLETENESS,
    (
        COLUMN,
        Argument("min", Form.SHARE, required=False, doc="the least share that passes"),
        Argument("max", Form.SHARE, required=False, doc="the greatest share that passes"),
    ),
    Total(_share, level_outside),
    example="not_null_share: {column: tail_number, min: 95%}",
    doc="of the rows, the share that has a value in the column is at least `min` and at most `max`",
    null="is what is counted; a table without rows passes",
    behind="@not_null_share(95%)",
    wrong=needs_a_bound,
)


def _rows(_: CheckSpec, only: Sql) -> Sql:
    return compose("count(*){only}", only=only)


ROW_COUNT = Check(
    "row_count",
    Category.COMPLETENESS,
    (LEAST, MOST),
    Total(_rows, level_outside),
    example="row_count: {min: 1}",
    doc="the table has at least `min` and at most `max` rows",
    wrong=needs_a_bound,
)


def _values(check: CheckSpec, only: Sql) -> Sql:
    return compose("count({c}){only}", c=the_column(check), only=only)


def _none(_: CheckSpec, value: Sql, __: datetime) -> Sql:
    return compose("CASE WHEN {v} = 0 THEN 1 ELSE 0 END", v=value)


AT_LEAST_ONE = Check(
    "at_least_one",
    Category.COMPLETENESS,
    (COLUMN,),
    Total(_values, _none),
    example="at_least_one: cancelled_at",
    doc="one row or more has a value in the column",
    null="is no value; a table without rows fails",
    short="column",
    behind="@at_least_one",
)

CHECKS = (NOT_NULL, MISSING, NOT_NULL_SHARE, ROW_COUNT, AT_LEAST_ONE)
