"""Whether tables agree with each other."""

from __future__ import annotations

from sqlflow.core.checks import CheckSpec
from sqlflow.core.names import TableName
from sqlflow.core.sql import Ident, Sql, compose, joined
from sqlflow.quality.forms import COLUMN, SAMPLE, Argument, Check, Form, Found, Query


def _orphans(table: TableName, check: CheckSpec, part: Sql | None) -> Found:
    [column], [to] = check.columns, check.reads
    conditions = [compose("{c} IS NOT NULL", c=Ident(column))]
    conditions += [compose("({where})", where=Sql(check.where))] if check.where is not None else []
    conditions += [compose("({part})", part=part)] if part is not None else []
    rows = compose(
        "SELECT {c} FROM (SELECT {c} FROM {t} WHERE {conditions}) AS _row "
        "WHERE NOT EXISTS (SELECT 1 FROM {other} AS _other WHERE _row.{c} = _other.{to})",
        c=Ident(column), t=table, other=to.table, to=Ident(to.column), conditions=joined(" AND ", conditions),
    )  # fmt: skip
    sample = compose(
        "SELECT {c}, count(*) FROM ({rows}) AS _rows GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT {n}",
        c=Ident(column),
        rows=rows,
        n=SAMPLE,
    )
    return Found(compose("SELECT count(*) FROM ({rows}) AS _rows", rows=rows), sample)


REFERENCES = Check(
    "references",
    (COLUMN, Argument("to", Form.OTHER_COLUMN)),
    Query(_orphans, whole=False),
    example="references: {column: carrier, to: seeds.airlines.carrier}",
    doc="each value of the column stands in the other table's column",
    null="passes; add `not_null` to refuse it",
    behind="@references(schema.table.column)",
)
