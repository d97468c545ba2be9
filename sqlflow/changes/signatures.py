"""Signatures: the number of rows and the sum of their hashes, of a whole table or per partition of time.

Equal multisets of rows have equal signatures whatever their order; different ones differ but for a collision of
64-bit hashes in their sum. What the hash of a row is made of says the engine's `Wording`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from sqlflow.core.engine import Session
from sqlflow.core.intervals import Grain
from sqlflow.core.names import TableName
from sqlflow.core.plan import Signature
from sqlflow.core.schema import Column, Schema
from sqlflow.core.seen import Appended, ByCursor, Question, Rows, Seen, latest_of
from sqlflow.core.sql import Ident, Sql, Value, compose, joined
from sqlflow.core.wording import Wording


def whole(session: Session, relation: Sql, schema: Schema) -> Seen:
    """What is to be seen of all rows of a relation with these columns."""
    question = told(session.wording, relation, schema)
    return question.answer(session.fetch(question.sql)[0])


def told(words: Wording, relation: Sql, schema: Schema) -> Question:
    """What `whole` asks."""
    query = compose(
        "SELECT count(*), CAST(sum({digest}) AS VARCHAR) FROM {relation} AS _sqlflow_row",
        digest=words.row_digest(schema), relation=relation,
    )  # fmt: skip
    return Question(query, Rows)


class FoundByCursor(Struct, frozen=True):
    """What a cursor tells of a relation: what is seen of it, what is wrong with `append_only`, and how many rows lie beyond
    the greatest cursor that was seen before, if all the others are those of then by their number and their hashes."""

    seen: Seen
    wrong: str = ""
    beyond: int | None = None


def by_cursor(
    session: Session,
    relation: Sql,
    schema: Schema,
    cursor: Column,
    *,
    append_only: bool,
    before: Seen | None,
    grows: bool,
    stored: bool,
) -> FoundByCursor:
    """What is seen of a relation whose `cursor` grows whenever a row is new or changed, in one statement; and in another
    one if there are rows without a cursor, of which it says nothing: they are compared as a whole.

    Reads only the cursor: the number of rows, the greatest value, and unless rows are only ever appended the sum of
    the hashes of all values. That rows are only appended is not believed: the same statement counts those up to the
    greatest value that was seen `before` (and those without one), which must be as many as then. More rows that
    tie with that value are no harm: they are part of what is seen now like any other. `grows`: somebody wants to know
    whether rows were only added. `stored`: the relation is a table, of which a part may be read alone.
    """
    column = Ident(cursor.name)
    hashed = session.wording.row_hash(Schema((cursor,)))
    last = latest_of(before)
    known = last is not None
    checked = append_only and known and isinstance(before, Appended)
    followed = grows and known and not append_only
    skips = stored and session.wording.skips_blocks

    def among(aggregate: Sql, condition: Sql, *, wanted: bool = True) -> Sql:
        if not wanted:
            return Sql("NULL")
        if skips:
            return compose("(SELECT {a} FROM {r} WHERE {when})", a=aggregate, r=relation, when=condition)
        return compose("{a} FILTER (WHERE {when})", a=aggregate, when=condition)

    rows_, hashes = Sql("count(*)"), compose("sum({h})", h=hashed)
    mark = _mark(cursor, last) if last is not None else Sql("NULL")
    above, at = compose("{c} > {mark}", c=column, mark=mark), compose("{c} = {mark}", c=column, mark=mark)
    tied_with_last = compose("{c} = (SELECT max({c}) FROM {r})", c=column, r=relation)
    query = compose(
        "SELECT count(*), CAST(max({c}) AS VARCHAR), {digest}, count({c}), {ties}, {more}, {equal}, CAST({hashes} AS VARCHAR) "
        "FROM {relation}",
        c=column,
        digest=Sql("NULL") if append_only else compose("CAST({h} AS VARCHAR)", h=hashes),
        ties=among(rows_, tied_with_last, wanted=append_only),
        more=among(rows_, above, wanted=checked or followed),
        equal=among(rows_, at, wanted=checked),
        hashes=among(hashes, above, wanted=followed),
        relation=relation,
    )
    total, latest, digest, timed, ties, more, equal, hashes_above = session.fetch(query)[0]
    rows, greatest = int(str(total)), None if latest is None else str(latest)
    if not append_only:
        hashed_all = None if digest is None else str(digest)
        if rows > int(str(timed)):
            silent = _of_those_without(session, relation, schema, column)
            return FoundByCursor(ByCursor(rows, greatest, hashed_all, silent))
        seen = ByCursor(rows, greatest, hashed_all)
        if not followed:
            return FoundByCursor(seen)
        added = int(str(more))
        below = str(int(str(digest)) - int(str(hashes_above))) if added else hashed_all
        same = isinstance(before, ByCursor) and replace(before, latest=None) == ByCursor(rows - added, None, below)
        return FoundByCursor(seen, beyond=added if same else None)
    appended = Appended(rows, greatest, int(str(timed)) - int(str(ties)), int(str(ties)), rows - int(str(timed)))
    if not checked or not isinstance(before, Appended) or appended == before:
        return FoundByCursor(appended)
    tied = int(str(equal))
    found = int(str(timed)) - int(str(more)) - tied, rows - int(str(timed))
    if found != (before.earlier, before.silent) or tied < before.ties:
        return FoundByCursor(appended, f"rows up to {last} changed, although `append_only` says that they never do")
    return FoundByCursor(appended, beyond=rows - before.rows if tied == before.ties else None)


def told_by_cursor(words: Wording, relation: Sql, schema: Schema, cursor: Column, *, append_only: bool) -> Question:
    """A question whose answer is what `by_cursor` sees."""
    column = Ident(cursor.name)
    if append_only:
        ties = compose("(SELECT count(*) FROM {r} WHERE {c} = (SELECT max({c}) FROM {r}))", r=relation, c=column)
        query = compose(
            "SELECT count(*), CAST(max({c}) AS VARCHAR), count({c}) - {ties}, {ties}, count(*) - count({c}) FROM {relation}",
            c=column, ties=ties, relation=relation,
        )  # fmt: skip
        return Question(query, Appended)
    without = compose(
        "(SELECT CAST(sum({digest}) AS VARCHAR) FROM {r} AS _sqlflow_row WHERE {c} IS NULL)",
        digest=words.row_digest(schema), r=relation, c=column,
    )  # fmt: skip
    query = compose(
        "SELECT count(*), CAST(max({c}) AS VARCHAR), CAST(sum({h}) AS VARCHAR), "
        "CASE WHEN count(*) > count({c}) THEN {without} END FROM {relation}",
        c=column, h=words.row_hash(Schema((cursor,))), without=without, relation=relation,
    )  # fmt: skip
    return Question(query, ByCursor)


def only_added(words: Wording, relation: Sql, cursor: Column, before: Seen | None, *, append_only: bool) -> Sql | None:
    """A query of one truth value: whether only rows with a greater cursor were added to those that were seen before; None
    where that is not told."""
    latest = latest_of(before)
    if latest is None:
        return None
    column, mark = Ident(cursor.name), _mark(cursor, latest)
    match before:
        case Appended() if append_only:
            same = compose(
                "count(*) FILTER (WHERE {c} < {mark}) = {below} AND count(*) FILTER (WHERE {c} = {mark}) = {ties} "
                "AND count(*) - count({c}) = {silent}",
                c=column, mark=mark, below=before.earlier, ties=before.ties, silent=before.silent,
            )  # fmt: skip
        case ByCursor(silent=None, digest=str()) if not append_only:
            same = compose(
                "count(*) = count({c}) AND count(*) FILTER (WHERE {c} <= {mark}) = {rows} "
                "AND coalesce(CAST(sum({h}) FILTER (WHERE {c} <= {mark}) AS VARCHAR), '') = {digest}",
                c=column, mark=mark, rows=before.rows, h=words.row_hash(Schema((cursor,))), digest=Value(before.digest),
            )  # fmt: skip
        case _:
            return None
    return compose("SELECT {same} FROM {relation}", same=same, relation=relation)


def _of_those_without(session: Session, relation: Sql, schema: Schema, cursor: Ident) -> str:
    query = compose(
        "SELECT CAST(sum({digest}) AS VARCHAR) FROM {relation} AS _sqlflow_row WHERE {c} IS NULL",
        digest=session.wording.row_digest(schema), relation=relation, c=cursor,
    )  # fmt: skip
    return str(session.fetch(query)[0][0])


def _mark(cursor: Column, text: str) -> Sql:
    return compose("CAST({v} AS {kind})", v=Value(text), kind=Sql(cursor.type))


def beyond(relation: Sql, latest: str, cursor: Column) -> Sql:
    """The rows with a cursor above the greatest that was seen."""
    mark = _mark(cursor, latest)
    return compose("(SELECT * FROM {relation} WHERE {c} > {mark})", relation=relation, c=Ident(cursor.name), mark=mark)


def by_row(words: Wording, schema: Schema) -> Sql:
    """What tells the rows of a relation apart that says nothing of itself."""
    return words.row_digest(schema)


def by_cursor_and_key(words: Wording, schema: Schema, cursor: str, key: Sequence[str]) -> Sql:
    """What tells the rows of a relation apart that get a new cursor whenever they change."""
    return words.row_hash(schema.only(dict.fromkeys((cursor, *key))))


def collated(session: Session, suspects: Sequence[TableName]) -> frozenset[TableName]:
    """The tables that have a column with a collation, or values with one inside. `suspects`: see `Wording.collated`."""
    rows = session.fetch(session.wording.collated(suspects))
    return frozenset(TableName(str(schema), str(name)) for schema, name in rows)


def of_all(partitions: Mapping[str, Signature]) -> Rows:
    """What is seen of a whole relation from those of its partitions by the first expression."""
    own = [signature for name, signature in partitions.items() if name.startswith("0:")]
    if not own:
        return Rows(0)
    return Rows(sum(signature.rows for signature in own), str(sum(int(signature.digest) for signature in own)))


UNKNOWN = Signature(-1, "-1")
"""Of a partition that was read when it was not what is remembered: it is none that rows can have."""


def grown(before: Mapping[str, Signature], added: Mapping[str, Signature]) -> dict[str, Signature]:
    """The signatures of the partitions to which rows were added."""
    nothing = Signature(0, "0")
    found = {}
    for part, more in added.items():
        was = before.get(part, nothing)
        found[part] = Signature(was.rows + more.rows, str(int(was.digest) + int(more.digest)))
    return found


def by_partition(
    words: Wording, relation: Sql, digest: Sql, expressions: Sequence[str], grain: Grain, time_type: str
) -> Sql:
    """A query of the signature of each partition of a relation. `digest`: what tells its rows apart, `by_row` or `by_cursor_and_key`.

    `expressions`: SQL over the relation's columns that gives the output's time of type `time_type`, one for each
    place where the query reads it. Keys: microseconds since 1970, `inf`, `-inf` or `null`, after the number of the
    expression: `0:1356998400000000`.
    """
    moment = "TIMESTAMPTZ" if time_type == "TIMESTAMP WITH TIME ZONE" else "TIMESTAMP"
    parts = []
    for number, expression in enumerate(expressions):
        # Days are few: their rows are added up before anything is cut.
        time = compose("CAST({e} AS {time_type})", e=Sql(expression), time_type=Sql(time_type))
        rows, hashes, of = Sql("count(*)"), compose("sum({digest})", digest=digest), relation
        if time_type == "DATE":
            of = compose(
                "(SELECT {time} AS _day, {rows} AS _rows, {hashes} AS _hashes FROM {relation} AS _sqlflow_row GROUP BY 1)",
                time=time, rows=rows, hashes=hashes, relation=relation,
            )  # fmt: skip
            time, rows, hashes = Sql("_day"), Sql("sum(_rows)"), Sql("sum(_hashes)")
        parts.append(
            compose(
                "SELECT '{number}:' || {name} AS _name, _rows, CAST(_hashes AS VARCHAR) "
                "FROM (SELECT date_trunc({grain}, CAST({time} AS {moment})) AS _part, "
                "{rows} AS _rows, {hashes} AS _hashes FROM {of} AS _sqlflow_row GROUP BY 1) AS _parts",
                number=number,
                name=words.moment(Sql("_part")),
                rows=rows,
                hashes=hashes,
                grain=Value(str(grain)),
                time=time,
                moment=Sql(moment),
                of=of,
            )
        )
    return joined(" UNION ALL ", parts)


def partitions_of(session: Session, query: Sql) -> Mapping[str, Signature]:
    """What `by_partition` asks for."""
    return {str(name): Signature(int(str(rows)), str(digest)) for name, rows, digest in session.fetch(query)}
