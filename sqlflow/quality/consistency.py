"""Whether rows and tables agree with each other."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from sqlflow.core.checks import CheckSpec, Length, OtherTable, Types
from sqlflow.core.sql import Ident, Sql, Value, compose
from sqlflow.quality.forms import (
    COLUMN,
    PASSES,
    Argument,
    Asked,
    Category,
    Check,
    Failing,
    Form,
    Query,
    Shape,
    the_column,
)


def _orphans(asked: Asked) -> Failing:
    column, [to] = the_column(asked.check), asked.check.reads
    rows = compose(
        "SELECT {c} FROM (SELECT {c} FROM {t}{where}) AS _row "
        "WHERE NOT EXISTS (SELECT 1 FROM {other} AS _other WHERE _row.{c} = _other.{to})",
        c=column, t=asked.table, other=to.table, to=Ident(to.column), where=asked.where(compose("{c} IS NOT NULL", c=column)),
    )  # fmt: skip
    return _by_value(rows, column)


def _by_value(rows: Sql, column: Ident) -> Failing:
    """The values of one column, the most frequent first."""
    return Failing(
        compose("SELECT {c}, count(*) AS _rows FROM ({rows}) AS _found GROUP BY 1", c=column, rows=rows),
        compose("SELECT count(*) FROM ({rows}) AS _found", rows=rows),
        compose("2 DESC, 1"),
    )


REFERENCES = Check(
    "references",
    Category.CONSISTENCY,
    (COLUMN, Argument("to", Form.OTHER_COLUMN, doc="where its values must stand")),
    Query(_orphans, whole=False),
    example="references: {column: carrier, to: seeds.airlines.carrier}",
    doc="each value of the column stands in the other table's column",
    null=PASSES,
    behind="@references(schema.table.column)",
)


def _unused(asked: Asked) -> Failing:
    column, [by] = the_column(asked.check), asked.check.reads
    rows = compose(
        "SELECT {c} FROM (SELECT {c} FROM {t}{where}) AS _row "
        "WHERE NOT EXISTS (SELECT 1 FROM {other} AS _other WHERE _other.{by} = _row.{c})",
        c=column, t=asked.table, other=by.table, by=Ident(by.column), where=asked.where(compose("{c} IS NOT NULL", c=column)),
    )  # fmt: skip
    return _by_value(rows, column)


REFERENCED_BY = Check(
    "referenced_by",
    Category.CONSISTENCY,
    (COLUMN, Argument("by", Form.OTHER_COLUMN, doc="where each of its values is used")),
    Query(_unused),
    example="referenced_by: {column: order_id, by: staging.order_lines.order_id}",
    doc="each value of the column is used in the other table's column at least once",
    null=PASSES,
    behind="@referenced_by(schema.table.column)",
)


def _only_in_one(asked: Asked) -> Failing:
    """The rows that one of the two tables has more often, with how often more this one has them."""
    other = asked.check.arguments["as"]
    assert isinstance(other, OtherTable)
    columns = [Ident(name) for name in asked.check.named("columns") or asked.columns]
    rows = compose(
        "SELECT {cs}, sum(_side) AS _more FROM (SELECT {cs}, 1 AS _side FROM {t}{where} "
        "UNION ALL SELECT {cs}, -1 FROM {other}{where}) AS _both GROUP BY {cs} HAVING sum(_side) <> 0",
        cs=columns, t=asked.table, other=other.table, where=asked.where(),
    )  # fmt: skip
    return Failing(rows, compose("SELECT coalesce(sum(abs(_more)), 0) FROM ({rows}) AS _found", rows=rows))


SAME_ROWS = Check(
    "same_rows",
    Category.CONSISTENCY,
    (
        Argument("as", Form.TABLE, doc="the other table"),
        Argument("columns", Form.COLUMNS, required=False, default="all", doc="the columns that are compared"),
    ),
    Query(_only_in_one),
    example="same_rows: {as: raw.orders, columns: [order_id, amount]}",
    doc="the table has the rows of another one, each as often",
    of_both=("where",),
    null="is equal to NULL",
)


def _overlapping(asked: Asked) -> Failing:
    """Ranges that begin before an earlier one has ended, and those that end before they begin."""
    begin, end = Ident(asked.check.named("from")[0]), Ident(asked.check.named("to")[0])
    per = [Ident(name) for name in asked.check.named("per")]
    window = compose(
        "OVER ({part}ORDER BY {begin} NULLS FIRST, {end} NULLS LAST ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)",
        part=compose("PARTITION BY {per} ", per=per) if per else Sql(""), begin=begin, end=end,
    )  # fmt: skip
    return Failing(
        compose(
            "SELECT {cs} FROM (SELECT {cs}, max({end}) {window} AS _ended, "
            "count(*) {window} AS _before, count({end}) {window} AS _closed FROM {t}{where}) AS _ranges "
            "WHERE {begin} > {end} OR (_before > 0 AND (_closed < _before OR {begin} IS NULL OR {begin} < _ended))",
            cs=(*per, begin, end), begin=begin, end=end, window=window, t=asked.table,
            where=asked.where(compose("{begin} IS NULL OR {end} IS NULL OR {begin} <> {end}", begin=begin, end=end)),
        )
    )  # fmt: skip


_PER = Argument("per", Form.COLUMNS, required=False, default="the whole table", doc="rows that are looked at together")

NO_OVERLAP = Check(
    "no_overlap",
    Category.CONSISTENCY,
    (
        Argument("from", Form.COLUMN, doc="where a range begins; it is part of it"),
        Argument("to", Form.COLUMN, doc="where it ends; that is not part of it"),
        _PER,
    ),
    Query(_overlapping),
    example="no_overlap: {from: valid_from, to: valid_to, per: customer_id}",
    doc="no two ranges have a moment in common, and none ends before it begins; empty ranges are looked past",
    null="is an open end",
)


def _gaps(asked: Asked) -> Failing:
    """What stands before a gap, and what behind it."""
    column, step = the_column(asked.check), asked.check.arguments.get("step")
    per = [Ident(name) for name in asked.check.named("per")]
    if isinstance(step, Length):
        length = compose("CAST({text} AS INTERVAL)", text=Value(f"{_in_months(step)}"))
    else:
        length = compose("{n}", n=Value(asked.check.number("step") or 1))
    return Failing(
        compose(
            "SELECT {per}_value AS {c}, _next AS _next FROM (SELECT {per}{c} AS _value, lead({c}) OVER ({part}ORDER BY {c}) AS _next "
            "FROM (SELECT DISTINCT {per}{c} FROM {t}{where}) AS _all) AS _pairs WHERE _next > _value + {step}",
            per=compose("{per}, ", per=per) if per else Sql(""), c=column, t=asked.table, step=length,
            part=compose("PARTITION BY {per} ", per=per) if per else Sql(""),
            where=asked.where(compose("{c} IS NOT NULL", c=column)),
        )
    )  # fmt: skip


def _in_months(step: Length) -> str:
    """A length of time in units that every engine has."""
    duration = step.duration
    months = {"quarter": 3, "month": 1, "year": 12}.get(str(duration.unit))
    return f"{duration.count * months} months" if months else str(duration)


NO_GAPS = Check(
    "no_gaps",
    Category.CONSISTENCY,
    (
        COLUMN,
        Argument("step", Form.STEP, required=False, default="1", doc="from one value to the next"),
        _PER,
    ),
    Query(_gaps, counts=False),
    example="no_gaps: {column: flight_date, step: 1 day, per: carrier}",
    doc="between the least and the greatest value none is missing",
    null="is no value",
    behind="@no_gaps(1 day)",
)


def _other_columns(check: CheckSpec, columns: Mapping[str, str], spelled: Callable[[str], str]) -> tuple[str, ...]:
    declared = check.arguments["columns"]
    assert isinstance(declared, Types)
    found: list[str] = []
    for name, kind in declared.columns.items():
        there = columns.get(name.lower())
        if there is None:
            found.append(f"there is no column `{name}`")
        elif kind and there != spelled(kind):
            found.append(f"`{name}` is {there}, and not {spelled(kind)}")
    if check.flag("only"):
        known = {name.lower() for name in declared.columns}
        found += [f"`{name}` is a column that is not declared" for name in columns if name not in known]
    return tuple(found)


SCHEMA = Check(
    "schema",
    Category.CONSISTENCY,
    (
        Argument("columns", Form.TYPES, doc="the columns that there must be"),
        Argument("only", Form.FLAG, required=False, default="there may be more", doc="there are no others"),
    ),
    Shape(_other_columns),
    example="schema: {columns: {flight_date: DATE, carrier: VARCHAR}, only: true}",
    doc="the table has these columns, of these types; SQLFlow sees that when it compiles the project, and reads no rows",
    everyday=True,
)

CHECKS = (REFERENCES, REFERENCED_BY, SAME_ROWS, NO_OVERLAP, NO_GAPS, SCHEMA)
