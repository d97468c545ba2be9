"""Whether values are such as they may be."""

from __future__ import annotations

from sqlflow.core.checks import CheckSpec
from sqlflow.core.sql import Ident, Sql, Value, compose
from sqlflow.quality.forms import COLUMN, Argument, Check, Form, Rows

_PASSES = "passes; add `not_null` to refuse it"


def _another(check: CheckSpec) -> Sql:
    values = [Value(value) for value in check.values]
    return compose("{c} IS NOT NULL AND {c} NOT IN ({values})", c=Ident(check.columns[0]), values=values)


IN = Check(
    "in",
    (COLUMN, Argument("values", Form.VALUES)),
    Rows(_another),
    example="in: {column: status, values: [open, closed]}",
    doc="the column has only these values",
    null=_PASSES,
    behind="@in(open, closed)",
    everyday=True,
)


def _false(check: CheckSpec) -> Sql:
    """A condition that is NULL does not fail, as in SQL's own CHECK."""
    return compose("NOT ({sql})", sql=Sql(check.sql("sql")))


EXPRESSION = Check(
    "expression",
    (Argument("sql", Form.SQL),),
    Rows(_false),
    example='expression: "avg_delay < 500"',
    doc="the condition is not false for any row",
    null=_PASSES,
    short="sql",
    everyday=True,
)
