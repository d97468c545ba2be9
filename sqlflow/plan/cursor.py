"""The boundary from which an append or a merge reads again."""

from __future__ import annotations

from sqlflow.core.plan import Step, StepKind
from sqlflow.core.records import TableRecord
from sqlflow.core.seen import Rows
from sqlflow.core.sql import Ident, Part, Sql, Value, compose, make_temporary
from sqlflow.core.ways import Fact
from sqlflow.plan.matched import MET
from sqlflow.plan.subject import Subject, matches, watermark_literal, write

COUNTED = Ident("_sqlflow_below")
_KNOWN = Ident("_sqlflow_known")
_MOVED = Ident("_sqlflow_moved")


def boundary(subject: Subject, watermark: str | None, top: Sql | None = None) -> Sql:
    """The watermark, or the expression `top` in its place, less `lookback`, as a value of the cursor's type."""
    header = subject.model.header
    kind = subject.type_of(header.cursor or "")
    value = top if watermark is None else watermark_literal(watermark, kind)
    assert value is not None
    if header.lookback is None:
        return value
    return compose(
        "CAST({v} - CAST({lookback} AS INTERVAL) AS {kind})",
        v=value, lookback=Value(_interval(str(header.lookback))), kind=Sql(kind),
    )  # fmt: skip


def _interval(lookback: str) -> str:
    """DuckDB has no quarters in intervals."""
    count, _, unit = lookback.partition(" ")
    return f"{int(count) * 3} months" if unit.startswith("quarter") else lookback


def count_below(subject: Subject, cursor: Ident, limit: Sql) -> Step:
    """Count the query's rows below the boundary, with a hash of their cursors and keys, into a temporary table."""
    return write(
        make_temporary(
            COUNTED,
            "SELECT count(*) AS n, sum({hash}) AS h FROM (\n{q}\n) AS _q WHERE {c} < {limit}",
            hash=_hash(subject, cursor),
            q=subject.query,
            c=cursor,
            limit=limit,
        )
    )


def as_last_time(before: TableRecord) -> Sql:
    """The condition that the rows below the boundary are those of the last time; after `count_below`."""
    seen = before.seen
    if not isinstance(seen, Rows):
        return Sql("SELECT FALSE")
    return compose(
        "SELECT n = {rows} AND coalesce(CAST(h AS VARCHAR), '') = {digest} FROM {counted}",
        rows=seen.rows,
        digest=Value(seen.digest or ""),
        counted=COUNTED,
    )


def prove_below(subject: Subject, before: TableRecord, cursor: Ident, limit: Sql, latest: Ident) -> list[Step]:
    """Write into `_sqlflow_known` whether the rows below the boundary can be left alone; after `count_below`, and when the
    rows from the boundary on are in `latest` and have met the table's.

    A row that is there now can be left alone if it was there the last time, or if its key has a row in `latest` with a
    cursor, which is newer than all below the boundary. Rows are counted, with the sum of the hashes of cursor and key. They
    are as the last time, or as then without those that moved: rows of the table from below the boundary whose keys have
    come again. If neither, and some did move, those that are still there are counted too: so the source may update some
    rows in place and tell others again. Every row by which the two sides could then differ belongs to such a key.
    """
    seen = before.seen
    if not isinstance(seen, Rows):
        return [write(make_temporary(_KNOWN, "SELECT FALSE AS known"))]
    key = subject.model.header.key
    marks = [Ident(name) for name in dict.fromkeys((cursor, *key))]
    parts: dict[str, Part] = {
        "known": _KNOWN, "counted": COUNTED, "moved": _MOVED, "met": MET, "latest": latest, "marks": marks, "hash": _hash(subject, cursor), "c": cursor,
        "limit": limit, "n0": seen.rows, "h0": Sql(str(int(seen.digest or 0))), "q": subject.query,
        "same": matches(subject.words, "_met", latest, key), "equal": matches(subject.words, "_row", "_sqlflow_moved", tuple(marks)),
    }  # fmt: skip
    return [
        write(
            make_temporary(
                _MOVED,
                "SELECT {marks} FROM {met} AS _met WHERE {c} < {limit} AND "
                "EXISTS (SELECT 1 FROM (SELECT * FROM {latest} WHERE {c} >= {limit}) AS {latest} WHERE {same})",
                **parts,
            )
        ),
        write(
            make_temporary(
                _KNOWN,
                "SELECT moved, there, digest, digest_moved, "
                "(there = {n0} AND digest = {h0}) OR (there = {n0} - moved AND digest = {h0} - digest_moved) AS known FROM "
                "(SELECT n AS there, coalesce(h, 0) AS digest FROM {counted}) AS _a, "
                "(SELECT count(*) AS moved, coalesce(sum({hash}), 0) AS digest_moved FROM {moved}) AS _b",
                **parts,
            )
        ),
        write(
            compose(
                "UPDATE {known} SET known = (SELECT there = {n0} - moved + count(*) AND digest = {h0} - digest_moved + "
                "coalesce(sum({hash}), 0) FROM (SELECT {marks} FROM (\n{q}\n) AS _q WHERE {c} < {limit}) AS _row "
                "WHERE EXISTS (SELECT 1 FROM {moved} WHERE {equal}))",
                **parts,
            ),
            only_if=compose("SELECT NOT known AND moved > 0 FROM {known}", known=_KNOWN),
        ),
    ]


IS_KNOWN = Sql('SELECT known FROM "_sqlflow_known"')
IS_UNKNOWN = Sql('SELECT NOT known FROM "_sqlflow_known"')


def measure(subject: Subject, rows: Part, limit: Sql | None) -> Step:
    """The greatest cursor that was read, never less than before, and what lies below the next boundary.

    `rows`: the rows that were read, from `limit` on (all of them when it is None).
    """
    header = subject.model.header
    cursor = Ident(header.cursor or "")
    top = compose("(SELECT max({c}) FROM {rows})", c=cursor, rows=rows)
    if subject.before is not None and subject.before.watermark is not None and limit is not None:
        old = watermark_literal(subject.before.watermark, subject.type_of(cursor))
        top = compose("greatest({top}, {old})", top=top, old=old)
    marks = _hash(subject, cursor)
    lowered = boundary(subject, None, top)
    if limit is None:
        below = compose(
            "SELECT count(*) AS n, sum({hash}) AS h FROM {rows} WHERE {c} < {top}",
            hash=marks, rows=rows, c=cursor, top=lowered,
        )  # fmt: skip
    else:
        below = compose(
            "SELECT count(*) + (SELECT n FROM {counted}) AS n, coalesce(sum({hash}), 0) + coalesce((SELECT h FROM {counted}), 0) AS h "
            "FROM {rows} WHERE {c} >= {limit} AND {c} < {top}",
            hash=marks, counted=COUNTED, rows=rows, c=cursor, limit=limit, top=lowered,
        )  # fmt: skip
    sql = compose("SELECT CAST({top} AS VARCHAR), n, CAST(h AS VARCHAR) FROM ({below}) AS _below", top=top, below=below)
    return Step(StepKind.MEASURE, sql, facts=(Fact.WATERMARK, Fact.SEEN_ROWS, Fact.SEEN_DIGEST))


def _hash(subject: Subject, cursor: Ident) -> Sql:
    """What tells a row by its cursor and its key."""
    identity = subject.model.schema.only(dict.fromkeys((cursor, *subject.model.header.key)))
    return subject.words.row_hash(identity)
