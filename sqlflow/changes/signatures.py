"""Signatures: the number of rows and the sum of their hashes, of a whole table or per partition of time.

Equal multisets of rows have equal signatures whatever their order; different ones differ but for a collision of
64-bit hashes in their sum. What the hash of a row is made of says `core/digest.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlflow.core.engine import Session
from sqlflow.core.intervals import Grain
from sqlflow.core.names import TableName
from sqlflow.core.plan import Signature
from sqlflow.core.schema import Column, Schema
from sqlflow.core.sql import Ident, Sql, Value, compose, joined


def whole(session: Session, relation: Sql, schema: Schema) -> str:
    """The signature of all rows of a relation with these columns."""
    query = compose(
        "SELECT count(*), CAST(sum({digest}) AS VARCHAR) FROM {relation} AS _sqlflow_row",
        digest=session.wording.row_digest(schema),
        relation=relation,
    )
    rows, digest = session.fetch(query)[0]
    return f"{rows}|{digest}"


def by_cursor(
    session: Session, relation: Sql, cursor: str, *, append_only: bool, before: str | None = None, kind: str = ""
) -> tuple[str, str]:
    """The signature of a relation whose `cursor` grows whenever a row is new or changed; and what is wrong with that.

    Reads only the cursor: the number of rows, the greatest value, and unless rows are only ever appended the sum of
    the hashes of all values. That rows are only appended is not believed: the same statement counts those up to the
    greatest value of the signature `before` (and those without one), which must be as many as then. More rows that
    tie with that value are no harm: they are part of the new signature like any other.
    """
    column = Ident(cursor)
    below = Sql("0, 0, 0")
    old = (before or "").split("|")
    checked = append_only and len(old) > 3 and old[0].isdigit() and old[1] != "None"
    if checked:
        mark = compose("CAST({v} AS {kind})", v=Value(old[1]), kind=Sql(kind))
        below = compose(
            "count(*) FILTER (WHERE {c} < {mark}), count(*) FILTER (WHERE {c} = {mark}), count(*) FILTER (WHERE {c} IS NULL)",
            c=column, mark=mark,
        )  # fmt: skip
    query = compose(
        "SELECT count(*), CAST(max({c}) AS VARCHAR), {digest}, count({c}), {ties}, {below} FROM {relation}",
        c=column,
        digest=Sql("NULL") if append_only else compose("CAST(sum({h}) AS VARCHAR)", h=session.wording.hash([column])),
        ties=compose("count(*) FILTER (WHERE {c} = (SELECT max({c}) FROM {r}))", c=column, r=relation)
        if append_only
        else Sql("0"),
        below=below,
        relation=relation,
    )
    rows, latest, digest, timed, ties, under, equal, without = session.fetch(query)[0]
    signature = f"{rows}|{latest}|{digest}"
    if not append_only:
        return signature, ""
    # Rows below the greatest value, those that have it, those that have none.
    signature += f"|{int(str(timed)) - int(str(ties))}|{ties}|{int(str(rows)) - int(str(timed))}"
    if not checked or signature == before:
        return signature, ""
    found = (int(str(under)), int(str(without)))
    if found != (int(old[3]), int(old[5])) or int(str(equal)) < int(old[4]):
        return signature, f"rows up to {old[1]} changed, although `append_only` says that they never do"
    return signature, ""


def collated(session: Session) -> frozenset[TableName]:
    """The tables that have a column with a collation."""
    rows = session.fetch(session.wording.collated())
    return frozenset(TableName(str(schema), str(name)) for schema, name in rows)


def beyond(session: Session, relation: Sql, before: str | None, cursor: Column) -> Sql | None:
    """The rows with a cursor above the greatest of the remembered signature, when those up to it are the same rows as
    then by their number and the cursors' hashes; else None."""
    parts = (before or "").split("|")
    if len(parts) < 3 or not parts[0].isdigit() or parts[1] == "None":
        return None
    rows, latest, digest = parts[:3]
    column = Ident(cursor.name)
    limit = compose("CAST({v} AS {kind})", v=Value(latest), kind=Sql(cursor.type))
    query = compose(
        "SELECT count(*), {digest} FROM {relation} AS _sqlflow_row WHERE {c} <= {limit} OR {c} IS NULL",
        digest=Sql("NULL") if digest == "None" else compose("CAST(sum({h}) AS VARCHAR)", h=session.wording.hash([column])),
        relation=relation, c=column, limit=limit,
    )  # fmt: skip
    count, same = session.fetch(query)[0]
    if str(count) != rows or str(same) != digest:
        return None
    return compose("(SELECT * FROM {relation} WHERE {c} > {limit})", relation=relation, c=column, limit=limit)


def of_all(partitions: Mapping[str, Signature]) -> str:
    """The signature of a whole relation from those of its partitions by the first expression."""
    own = [signature for name, signature in partitions.items() if name.startswith("0:")]
    if not own:
        return "0|None"
    return f"{sum(signature.rows for signature in own)}|{sum(int(signature.digest) for signature in own)}"


def by_partition(
    session: Session, relation: Sql, schema: Schema, expressions: Sequence[str], grain: Grain, time_type: str
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
                "SELECT '{number}:' || {name} AS _name, _rows, CAST(_hashes AS VARCHAR) "
                "FROM (SELECT date_trunc({grain}, CAST(CAST({e} AS {time_type}) AS {moment})) AS _part, "
                "count(*) AS _rows, sum({digest}) AS _hashes FROM {relation} AS _sqlflow_row GROUP BY 1) AS _parts",
                number=number,
                name=session.wording.moment(Sql("_part"), moment == "TIMESTAMPTZ"),
                digest=session.wording.row_digest(schema),
                grain=Value(str(grain)),
                e=Sql(expression),
                time_type=Sql(time_type),
                moment=Sql(moment),
                relation=relation,
            )
        )
    rows = session.fetch(joined(" UNION ALL ", parts))
    return {str(name): Signature(int(str(count)), str(digest)) for name, count, digest in rows}
