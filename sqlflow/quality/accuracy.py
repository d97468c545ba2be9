"""Whether values are right, as far as that can be told from sums and rules."""

from __future__ import annotations

from typing import LiteralString

from sqlflow.core.checks import CheckSpec, OtherTable, Tolerance
from sqlflow.core.sql import Sql, Value, compose
from sqlflow.quality.forms import (
    COLUMN,
    MAXIMUM,
    MINIMUM,
    PASSES,
    Argument,
    Asked,
    Category,
    Check,
    Failing,
    Form,
    Query,
    Rows,
    Total,
    Wrong,
    bound,
    level_outside,
    needs_a_bound,
    the_column,
)


def _false(check: CheckSpec) -> Sql:
    """A condition that is NULL does not fail, as in SQL's own CHECK."""
    return compose("NOT ({sql})", sql=Sql(check.sql("sql")))


EXPRESSION = Check(
    "expression",
    Category.ACCURACY,
    (Argument("sql", Form.SQL, doc="the condition"),),
    Rows(_false),
    example='expression: "avg_delay < 500"',
    doc="the condition is not false for any row",
    null=PASSES,
    short="sql",
    everyday=True,
)


def _difference(asked: Asked) -> Failing:
    """One row, where the two values are too far apart."""
    check = asked.check
    mine = compose(
        "SELECT {sql} AS value FROM {t}{where}", sql=Sql(check.sql("value")), t=asked.table, where=asked.where()
    )
    other_table = check.arguments.get("with")
    if isinstance(other_table, OtherTable):
        other_where = check.sql("other_where")
        where = compose(" WHERE ({c})", c=Sql(other_where)) if other_where else Sql("")
        sql = Sql(check.sql("other") or check.sql("value"))
        other = compose("SELECT {sql} AS value FROM {t}{where}", sql=sql, t=other_table.table, where=where)
    else:
        other = compose("SELECT {v} AS value", v=bound(check, "equals") or Sql("NULL"))
    within = check.arguments.get("tolerance")
    apart = compose("_this.value IS DISTINCT FROM _that.value")
    if isinstance(within, Tolerance):
        most = compose("{n}", n=Value(within.amount))
        if within.percent:
            most = compose("abs(_that.value) * {share}", share=Value(within.amount / 100))
        apart = compose("{apart} AND coalesce(abs(_this.value - _that.value) > {most}, TRUE)", apart=apart, most=most)
    return Failing(
        compose(
            "SELECT _this.value AS value, _that.value AS other FROM ({mine}) AS _this, ({other}) AS _that WHERE {apart}",
            mine=mine, other=other, apart=apart,
        )
    )  # fmt: skip


def _two_sides(check: CheckSpec) -> Wrong | None:
    if ("with" in check.arguments) == ("equals" in check.arguments):
        both = "with" in check.arguments
        return Wrong(
            "both `with` and `equals` are given" if both else "neither `with` nor `equals` is given", hinted=True
        )
    alone = [word for word in ("other", "other_where") if word in check.arguments and "with" not in check.arguments]
    return Wrong(f"`{alone[0]}` is about a table that `with` does not name") if alone else None


COMPARE = Check(
    "compare",
    Category.ACCURACY,
    (
        Argument("value", Form.AGGREGATE, doc="what is compared, such as `sum(amount)`"),
        Argument("with", Form.TABLE, required=False, doc="the other table"),
        Argument("other", Form.OTHER_AGGREGATE, required=False, default="the same as `value`", doc="its value"),
        Argument("other_where", Form.SQL, required=False, doc="the rows of the other table that count"),
        Argument("equals", Form.BOUND, required=False, doc="a control total, in place of another table"),
        Argument("tolerance", Form.TOLERANCE, required=False, default="none", doc="how far they may be apart"),
    ),
    Query(_difference, counts=False),
    example="compare: {value: sum(amount), with: raw.orders, other: sum(total), tolerance: 1%}",
    doc="a value of the whole table is that of another table, or a control total, within the tolerance",
    of_both=("value",),
    null="is equal to NULL alone",
    wrong=_two_sides,
    everyday=True,
)


def _bounded(kind: str, aggregate: LiteralString, doc: str, example: str) -> Check:
    def value(check: CheckSpec, only: Sql) -> Sql:
        return compose(aggregate, c=the_column(check), only=only, at=Value(check.number("at") or 0))

    quantile = kind == "quantile"
    at = (Argument("at", Form.SHARE, doc="which one: 0.5 is the median"),) if quantile else ()
    return Check(
        kind,
        Category.ACCURACY,
        (COLUMN, *at, MINIMUM, MAXIMUM),
        Total(value, level_outside),
        example=f"{kind}: {{column: delay, {example}}}",
        doc=f"{doc} is at least `min` and at most `max`",
        null="is not counted; where there is no value, the check passes",
        behind=f"@{kind}({example.replace(': ', '=')})",
        wrong=needs_a_bound,
        everyday=not quantile,
    )


SUM = _bounded("sum", "sum({c}){only}", "the sum of the column", "min: 0")
AVG = _bounded("avg", "avg({c}){only}", "the mean of the column", "min: -5, max: 30")
MIN = _bounded("min", "min({c}){only}", "the least value of the column", "min: -120, max: 0")
MAX = _bounded("max", "max({c}){only}", "the greatest value of the column", "max: 3000")
STDDEV = _bounded("stddev", "stddev_samp({c}){only}", "the standard deviation of the column", "max: 90")
QUANTILE = _bounded(
    "quantile",
    "percentile_cont({at}) WITHIN GROUP (ORDER BY {c}){only}",
    "a quantile of the column",
    "at: 0.95, max: 120",
)

CHECKS = (EXPRESSION, COMPARE, SUM, AVG, MIN, MAX, STDDEV, QUANTILE)
