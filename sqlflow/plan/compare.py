"""Whether a table has the rows that a query gives, as multisets.

NULL and NaN are values. Floating point numbers that are sums of many others depend on the order in which those were
added, so numbers within a billionth of each other count as equal; all other columns must agree exactly. Columns with
floating point numbers inside (lists, structs) are left out.
"""

from __future__ import annotations

from msgspec import Struct

from sqlflow.core.plan import Step
from sqlflow.core.schema import Column, Schema
from sqlflow.core.sql import Ident, Part, Sql, compose, joined, make_temporary
from sqlflow.core.wording import Wording
from sqlflow.plan.log import WEIGHT, names, net, same_row
from sqlflow.plan.subject import write

_MOST_CLOSE = 10_000  # rows that are held against each other one by one; more than these are simply different

_HASH = Ident("_sqlflow_hash")
_SIDE = Ident("_sqlflow_side")
_COPY = Ident("_sqlflow_copy")
_PLACE = Ident("_sqlflow_place")
_ALMOST = Ident("_sqlflow_almost")
_PAIRED = Ident("_sqlflow_paired")


class Comparison(Struct, frozen=True):
    """Two relations of the same columns. `expected`, `found`: what can stand after FROM.

    `wrong`: the temporary table that will have the rows that differ, with a weight: above 0 for rows that are missing in
    what was found, below 0 for rows that are too many there.
    """

    expected: Sql
    found: Sql
    schema: Schema
    wrong: Ident
    words: Wording

    @property
    def odd(self) -> Ident:
        """The temporary table of the hashes of rows that differ in any bit."""
        return Ident(f"{self.wrong}_hashes")


def compared_columns(words: Wording, schema: Schema) -> Schema:
    """The columns that can be compared."""
    return Schema(tuple(c for c in schema if words.precision(c.type) or not c.parsed.has_float))


def exact_columns(words: Wording, schema: Schema) -> tuple[str, ...]:
    """The columns in which equal rows agree bit for bit."""
    return tuple(c.name for c in compared_columns(words, schema) if words.precision(c.type) is None)


def rounded(words: Wording, schema: Schema) -> tuple[str, ...]:
    """The columns that are compared with a tolerance."""
    return tuple(column.name for column in schema if words.precision(column.type))


def compare(comparison: Comparison, near: Ident | None = None) -> tuple[Step, ...]:
    """The statements that fill `comparison.wrong`. Only temporary tables are written. `near`: one that will have the number
    of rows that are equal only within a tolerance."""
    words = comparison.words
    schema = compared_columns(words, comparison.schema)
    hashes, columns = words.row_hash(schema), names(schema)
    parts: dict[str, Part] = {
        "odd": comparison.odd, "h": _HASH, "hash": hashes, "w": WEIGHT, "cs": columns, "expected": comparison.expected,
        "found": comparison.found,
    }  # fmt: skip
    odd = make_temporary(
        comparison.odd,
        "SELECT {h} FROM (SELECT {hash} AS {h}, 1 AS {w} FROM {expected} AS _e "
        "UNION ALL SELECT {hash} AS {h}, -1 AS {w} FROM {found} AS _f) AS _w GROUP BY {h} HAVING sum({w}) <> 0",
        **parts,
    )
    weighted = compose(
        "SELECT {cs}, 1 AS {w} FROM {expected} AS _e WHERE {hash} IN (SELECT {h} FROM {odd}) UNION ALL "
        "SELECT {cs}, -1 AS {w} FROM {found} AS _f WHERE {hash} IN (SELECT {h} FROM {odd})",
        **parts,
    )
    exact = (write(odd), net(words, comparison.wrong, schema, weighted))
    tolerant = tolerate(words, comparison.wrong, schema)
    if near is None:
        return (*exact, *tolerant)
    missing = compose("SELECT coalesce(sum({w}), 0) AS n FROM {wrong} WHERE {w} > 0", w=WEIGHT, wrong=comparison.wrong)
    counted = make_temporary(near, missing)
    less = compose("UPDATE {near} SET n = n - ({missing})", near=near, missing=missing)
    return (*exact, write(counted), *tolerant, write(less))


def alike(words: Wording, left: Sql, right: Sql, column: Column) -> Sql:
    """The condition that the values of two rows in a column are equal, as tables are."""
    if words.precision(column.type):
        return _near(words, left, right, Ident(column.name), column.type)
    return same_row(words, left, right, Schema((column,)))


def differ(wrong: Ident) -> Sql:
    """A query of one truth value: whether rows differ."""
    return compose("SELECT EXISTS (SELECT 1 FROM {wrong})", wrong=wrong)


def tolerate(words: Wording, wrong: Ident, schema: Schema) -> tuple[Step, ...]:
    """Take rows that differ only by the rounding of floating point numbers out of a netted table.

    First rows are paired in their order. What that leaves is looked at row by row: a row is taken out when as many rows
    near it are missing as are too many.
    """
    floats = tuple(column for column in schema if words.precision(column.type))
    if not floats:
        return ()
    exact = schema.only(exact_columns(words, schema))
    parts: dict[str, Part] = {
        "wrong": wrong, "w": WEIGHT, "cs": names(schema), "side": _SIDE, "copy": _COPY, "place": _PLACE,
        "almost": _ALMOST, "paired": _PAIRED, "within": [*([words.row_hash(exact)] if len(exact) else []), _SIDE], "most": _MOST_CLOSE,
        "floats": [Ident(column.name) for column in floats],
        "same": same_row(words, Sql("_l"), Sql("_r"), exact) if len(exact) else Sql("TRUE"),
        "hash": words.row_hash(schema), "firsts": [words.first(column) for column in schema],
        "near": joined(" AND ", [_near(words, Sql("_l"), Sql("_r"), Ident(c.name), c.type) for c in floats]),
    }  # fmt: skip
    # Where rows are only missing or only too many, none has a partner.
    both = compose(
        "EXISTS (SELECT 1 FROM {wrong} WHERE {w} > 0) AND EXISTS (SELECT 1 FROM {wrong} WHERE {w} < 0)", **parts
    )
    numbered = make_temporary(
        _ALMOST, "SELECT *, row_number() OVER () AS {copy}, "
        "row_number() OVER (PARTITION BY {within} ORDER BY {floats}) AS {place} "
        "FROM (SELECT {cs}, CASE WHEN {w} > 0 THEN 1 ELSE -1 END AS {side}, {copies} AS _again "
        "FROM {wrong} WHERE {both}) AS _c",
        both=both, copies=words.copies(compose("abs({w})", w=WEIGHT)), **parts,
    )  # fmt: skip
    paired = make_temporary(
        _PAIRED,
        "SELECT _l.{copy} AS l, _r.{copy} AS r FROM {almost} AS _l "
        "JOIN {almost} AS _r ON _l.{side} = 1 AND _r.{side} = -1 AND _l.{place} = _r.{place} AND {same} WHERE {near}",
        **parts,
    )
    taken_out = compose(
        "DELETE FROM {almost} WHERE {copy} IN (SELECT l FROM {paired} UNION ALL SELECT r FROM {paired})", **parts
    )
    clustered = make_temporary(
        _PAIRED,
        "SELECT _l.{copy} AS l, _l.{copy} AS r FROM {almost} AS _l "
        "JOIN {almost} AS _r ON {same} AND {near} WHERE (SELECT count(*) FROM {almost}) <= {most} "
        "GROUP BY _l.{copy} HAVING sum(_r.{side}) = 0",
        **parts,
    )
    emptied = compose("DELETE FROM {wrong} WHERE {both}", both=both, **parts)
    left_over = compose(
        "INSERT INTO {wrong} ({cs}, {w}) SELECT {firsts}, count(*) * {side} FROM {almost} GROUP BY {hash}, {side}",
        **parts,
    )
    last = (write(emptied), write(left_over))
    return (write(numbered), write(paired), write(taken_out), write(clustered), write(taken_out), *last)


def _near(words: Wording, left: Sql, right: Sql, column: Ident, kind: str) -> Sql:
    """The condition that two floating point numbers differ by no more than rounding does.

    Halves are compared, for the difference of two great numbers may be none.
    """
    share = Sql("1e-9" if (words.precision(kind) or 0) > 6 else "1e-5")
    return compose(
        "({l}.{c} IS NOT DISTINCT FROM {r}.{c} OR coalesce({both} AND "
        "abs({l}.{c} / 2 - {r}.{c} / 2) <= greatest(abs({l}.{c} / 2), abs({r}.{c} / 2)) * {share} + 5e-10, FALSE))",
        c=column, l=left, r=right, share=share,
        both=joined(" AND ", [words.finite(compose("{t}.{c}", t=t, c=column)) for t in (left, right)]),
    )  # fmt: skip
