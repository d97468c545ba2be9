"""Signatures: the number of rows and the sum of their hashes, of a whole table or per partition of time.

Equal multisets of rows have equal signatures whatever their order; different ones differ but for a collision of
64-bit hashes in their sum.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlflow.core.engine import Session
from sqlflow.core.intervals import Grain
from sqlflow.core.names import TableName
from sqlflow.core.plan import Signature
from sqlflow.core.schema import Column
from sqlflow.core.sql import Ident, Sql, Value, compose, joined


def whole(session: Session, relation: Sql) -> str:
    """The signature of all rows of a relation."""
    query = compose(
        "SELECT count(*), CAST(sum(hash(_sqlflow_row)) AS VARCHAR) FROM {relation} AS _sqlflow_row", relation=relation
    )
    rows, digest = session.fetch(query)[0]
    return f"{rows}|{digest}"


def by_cursor(session: Session, relation: Sql, cursor: str, *, append_only: bool) -> str:
    """The signature of a relation whose `cursor` grows whenever a row is new or changed.

    Reads only the cursor: the number of rows, the greatest value, and unless rows are only ever appended the sum of
    the hashes of all values.
    """
    column = Ident(cursor)
    query = compose(
        "SELECT count(*), CAST(max({c}) AS VARCHAR), {digest} FROM {relation} AS _sqlflow_row",
        c=column,
        digest=Sql("NULL") if append_only else compose("CAST(sum(hash({c})) AS VARCHAR)", c=column),
        relation=relation,
    )
    rows, latest, digest = session.fetch(query)[0]
    return f"{rows}|{latest}|{digest}"


def collated(session: Session) -> frozenset[TableName]:
    """The tables that have a column with a collation."""
    rows = session.fetch("SELECT schema_name, table_name FROM duckdb_tables() WHERE contains(sql, ' COLLATE ')")
    return frozenset(TableName(str(schema), str(name)) for schema, name in rows)


def beyond(session: Session, relation: Sql, before: str | None, cursor: Column) -> Sql | None:
    """The rows with a cursor above the greatest of the remembered signature, when those up to it are the same rows as
    then by their number and the cursors' hashes; else None."""
    rows, _, rest = (before or "").partition("|")
    latest, _, digest = rest.rpartition("|")
    if not rows.isdigit() or latest in ("", "None"):
        return None
    column = Ident(cursor.name)
    limit = compose("CAST({v} AS {kind})", v=Value(latest), kind=Sql(cursor.type))
    query = compose(
        "SELECT count(*), {digest} FROM {relation} AS _sqlflow_row WHERE {c} <= {limit} OR {c} IS NULL",
        digest=Sql("NULL") if digest == "None" else compose("CAST(sum(hash({c})) AS VARCHAR)", c=column),
        relation=relation, c=column, limit=limit,
    )  # fmt: skip
    count, same = session.fetch(query)[0]
    if str(count) != rows or str(same) != digest:
        return None
    return compose("(SELECT * FROM {relation} WHERE {c} > {limit})", relation=relation, c=column, limit=limit)


def by_partition(
    session: Session, relation: Sql, expressions: Sequence[str], grain: Grain, time_type: str
) -> Mapping[str, Signature]:
    """The signature of each partition of a relation.

    `expressions`: SQL over the relation's columns that gives the output's time of type `time_type`, one for each
    place where the query reads it. Keys: microseconds since 1970, `inf`, `-inf` or `null`, after the number of the
    expression: `0:1356998400000000`.
    """
    moment = "TIMESTAMPTZ" if time_type == "TIMESTAMP WITH TIME ZONE" else "TIMESTAMP"
    parts = []
    for number, expression in enumerate(expressions):
        parts.append(
            compose(
                "SELECT {number} || ':' || CASE WHEN _part IS NULL THEN 'null' WHEN isinf(_part) "
                "THEN CASE WHEN _part > TIMESTAMP '2000-01-01' THEN 'inf' ELSE '-inf' END "
                "ELSE CAST(epoch_us(_part) AS VARCHAR) END AS _name, count(*), CAST(sum(_hash) AS VARCHAR) "
                "FROM (SELECT date_trunc({grain}, CAST(CAST({e} AS {time_type}) AS {moment})) AS _part, "
                "hash(_sqlflow_row) AS _hash FROM {relation} AS _sqlflow_row) GROUP BY 1",
                number=number,
                grain=Value(str(grain)),
                e=Sql(expression),
                time_type=Sql(time_type),
                moment=Sql(moment),
                relation=relation,
            )
        )
    rows = session.fetch(joined(" UNION ALL ", parts))
    return {str(name): Signature(int(str(count)), str(digest)) for name, count, digest in rows}
