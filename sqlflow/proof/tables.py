"""How two tables differ: as multisets of rows, and where a key says which rows belong together, column by column."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from msgspec import Struct, field

from sqlflow.core.amounts import counted
from sqlflow.core.engine import Row, Session
from sqlflow.core.schema import Column, Schema
from sqlflow.core.sql import Ident, Part, Sql, compose, make_temporary
from sqlflow.plan.compare import Comparison, alike, compare, compared_columns, exact_columns
from sqlflow.plan.log import WEIGHT, names, same_key
from sqlflow.proof.run import count_wrong, rounding, run_steps, sample_wrong

_WRONG = Ident("_sqlflow_wrong")
_NEAR = Ident("_sqlflow_near")
_BOTH = Ident("_sqlflow_both")
_PAIRS = Ident("_sqlflow_pairs")


class Table(Struct, frozen=True):
    """One side: what can stand after FROM, and its columns."""

    relation: Sql
    schema: Schema


class Difference(Struct, frozen=True):
    """How two tables differ. `columns`: those that only one of them has, or has otherwise, in words. `left`, `right`: number
    of rows that only one of them has, less the `changed` ones: rows of one `key` with other values. `cells`: how many of
    these differ in a column. `notes`: what was not compared, or not exactly."""

    table: str
    other: str
    columns: tuple[str, ...] = ()
    rows: int = 0
    left: int = 0
    right: int = 0
    changed: int = 0
    key: tuple[str, ...] = ()
    cells: Mapping[str, int] = field(default_factory=dict)
    sample: tuple[Row, ...] = ()
    names: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def equal(self) -> bool:
        return not self.columns and not self.left and not self.right and not self.changed


def difference(
    session: Session,
    named: tuple[str, str],
    mine: Table,
    theirs: Table,
    key: tuple[str, ...],
    written: Collection[str],
    limit: int,
) -> Difference:
    """Compare two tables by the columns that both have. `key`: the identity of a row, if it has one; `written`: columns in
    lower case that say when or by what run a row was written. EngineError where the engine cannot compare them."""
    words = session.wording
    columns = mine.schema.differences(theirs.schema)
    shared = Schema(tuple(c for c in mine.schema if theirs.schema.find(c.name) is not None))
    rows = int(str(session.fetch(compose("SELECT count(*) FROM {t} AS _t", t=mine.relation))[0][0]))
    kept = shared.without(written)
    schema = compared_columns(words, kept)
    notes = _notes(shared, kept, schema)
    if not schema.columns:
        others = int(str(session.fetch(compose("SELECT count(*) FROM {t} AS _t", t=theirs.relation))[0][0]))
        same = not shared.columns  # two tables of no common column have nothing to be held against each other
        left, right = (0, 0) if same else (max(rows - others, 0), max(others - rows, 0))
        return Difference(*named, columns, rows, left, right, notes=notes)
    here, there, schema = _alike(session, mine, theirs, schema)
    stopped = run_steps(session, compare(Comparison(there, here, schema, _WRONG, words), _NEAR))
    assert stopped is None
    plus, minus = (count_wrong(session, _WRONG, sign) for sign in (1, -1))
    notes = (*rounding(session, _NEAR, schema), *notes)
    changed = 0
    cells: dict[str, int] = {}
    exact = set(exact_columns(words, schema))
    paired = tuple(found.name for name in key if (found := schema.find(name)) is not None and found.name in exact)
    if plus and minus and key and len(paired) == len(key):
        changed, cells = _cells(session, schema, paired)
    return Difference(
        *named,
        columns=columns,
        rows=rows,
        left=minus - changed,
        right=plus - changed,
        changed=changed,
        key=paired if changed else (),
        cells=cells,
        sample=tuple(sorted(sample_wrong(session, _WRONG, schema, limit), key=lambda row: row[0] != "-")),
        names=("", *schema.names),
        notes=notes,
    )


def _notes(shared: Schema, kept: Schema, compared: Schema) -> tuple[str, ...]:
    written = [f"`{column.name}`" for column in shared if kept.find(column.name) is None]
    inside = [f"`{column.name}`" for column in kept if compared.find(column.name) is None]
    found = [f"not compared: {', '.join(written)}, of when a row was written"] if written else []
    found += [f"not compared: {', '.join(inside)}, with floating point numbers inside of a value"] if inside else []
    return tuple(found)


def _alike(session: Session, mine: Table, theirs: Table, schema: Schema) -> tuple[Sql, Sql, Schema]:
    """Both sides with columns of the same types: those that the engine gives to both where they differ."""
    other = theirs.schema.only(schema.names)
    if [c.type for c in schema] == [c.type for c in other]:
        return mine.relation, theirs.relation, schema
    precision = session.wording.precision
    types = [
        a.type if precision(a.type) or not precision(b.type) else b.type for a, b in zip(schema, other, strict=True)
    ]
    session.execute(
        make_temporary(
            _BOTH, "SELECT 1 AS _sqlflow_side, {cs} FROM {mine} AS _a "
            "UNION ALL SELECT 2 AS _sqlflow_side, {cs} FROM {theirs} AS _b",
            cs=names(schema), mine=mine.relation, theirs=theirs.relation,
        )
    )  # fmt: skip
    here, there = (
        compose("(SELECT {cs} FROM {both} WHERE _sqlflow_side = {side})", cs=names(schema), both=_BOTH, side=side)
        for side in (1, 2)
    )
    return here, there, Schema(tuple(Column(c.name, kind) for c, kind in zip(schema, types, strict=True)))


def _cells(session: Session, schema: Schema, key: tuple[str, ...]) -> tuple[int, dict[str, int]]:
    """How many rows have a partner of the same key, and in how many of these each column differs; nothing where a key comes
    more than once."""
    words, values = session.wording, [column for column in schema if column.name not in key]
    keys = [Ident(name) for name in key]
    parts: dict[str, Part] = {"wrong": _WRONG, "w": WEIGHT, "keys": keys, "pairs": _PAIRS}
    repeated = compose(
        "SELECT EXISTS (SELECT 1 FROM {wrong} GROUP BY {keys}, {w} > 0 HAVING sum(abs({w})) > 1)", **parts
    )
    if session.fetch(repeated)[0][0]:
        return 0, {}
    differ = [
        compose("CASE WHEN {same} THEN 0 ELSE 1 END AS {c}", same=alike(words, Sql("_l"), Sql("_r"), c), c=Ident(f"c{n}"))
        for n, c in enumerate(values)
    ]  # fmt: skip
    session.execute(
        make_temporary(
            _PAIRS, "SELECT {differ} FROM (SELECT * FROM {wrong} WHERE {w} > 0) AS _l "
            "JOIN (SELECT * FROM {wrong} WHERE {w} < 0) AS _r ON {same}",
            differ=[Sql("1 AS n"), *differ], same=same_key(words, Sql("_l"), Sql("_r"), key), **parts,
        )
    )  # fmt: skip
    totals = [compose("coalesce(sum({c}), 0)", c=Ident(f"c{n}")) for n in range(len(values))]
    found = session.fetch(compose("SELECT {totals} FROM {pairs}", totals=[Sql("count(*)"), *totals], **parts))[0]
    cells = {column.name: int(str(n)) for column, n in zip(values, found[1:], strict=True)}
    return int(str(found[0])), {name: n for name, n in cells.items() if n}


def told(found: Difference) -> Sequence[str]:
    """The cells that differ, in words: `amount: 3 rows`."""
    return [f"{name}: {counted(n, 'row')}" for name, n in found.cells.items()]
