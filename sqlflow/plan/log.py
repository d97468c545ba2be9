"""The change log of a table: the rows that each version added and removed, for readers that follow it.

A log is a table of the schema `_sqlflow` with the columns of its table after `_sqlflow_version` and `_sqlflow_sign` (1
for a row that was added, -1 for one that was removed). A row with sign 0 says that a version changed the table in a way
that was not written down. It is written in the transaction of the data.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct
from msgspec.structs import replace

from sqlflow.core.names import TableName
from sqlflow.core.plan import Step, StepKind
from sqlflow.core.schema import Schema
from sqlflow.core.sql import Ident, Part, Sql, Value, compose, joined, make, make_temporary
from sqlflow.core.ways import Fact
from sqlflow.core.wording import Wording
from sqlflow.plan.subject import Subject, write

VERSION = Ident("_sqlflow_version")
SIGN = Ident("_sqlflow_sign")
WEIGHT = Ident("_sqlflow_weight")


class Log(Struct, frozen=True):
    """A change log that is to be written: the table `log`. `begins`: it is made anew. `read`: the version up to which all have read."""

    log: TableName
    schema: Schema
    version: int
    begins: bool
    read: int

    def opened(self, like: Part) -> tuple[Step, ...]:
        """Make the log, with the columns of `like`, or forget what all have read."""
        if self.begins:
            sql: Sql = make(
                self.log, "SELECT CAST(0 AS BIGINT) AS {version}, CAST(0 AS SMALLINT) AS {sign}, "
                "{cs} FROM {like} LIMIT 0",
                version=VERSION, sign=SIGN, cs=names(self.schema), like=like,
            )  # fmt: skip
        else:
            sql = compose("DELETE FROM {log} WHERE {version} <= {read}", log=self.log, version=VERSION, read=self.read)
        return (write(sql),)

    def rows(self, rows: Sql, sign: int, only_if: Sql | None = None) -> Step:
        """Write down rows: `rows` can stand after FROM."""
        sql = compose(
            "INSERT INTO {log} SELECT {number}, {sign}, {cs} FROM {rows} AS _rows",
            log=self.log, number=self.version, sign=sign, cs=names(self.schema), rows=rows,
        )  # fmt: skip
        return write(sql, only_if=only_if)

    def gap(self, only_if: Sql | None = None) -> Step:
        """Say that this version changed more than is written down."""
        sql = compose(
            "INSERT INTO {log} ({version}, {sign}) VALUES ({number}, 0)",
            log=self.log, version=VERSION, sign=SIGN, number=self.version,
        )  # fmt: skip
        return write(sql, only_if=only_if)


def names(schema: Schema) -> tuple[Ident, ...]:
    return tuple(Ident(name) for name in schema.names)


def same_row(words: Wording, left: Sql, right: Sql, schema: Schema) -> Sql:
    """The condition that two rows are the same in every bit that a query could tell apart."""
    return joined(
        " AND ", [same_key(words, left, right, words.equal_by_value(schema)), *words.finer(left, right, schema)]
    )


def same_key(words: Wording, left: Sql, right: Sql, columns: Sequence[str]) -> Sql:
    """The condition that two rows have equal values in these columns, NULL being a value."""
    parts = [
        words.same(compose("{t}.{c}", t=left, c=Ident(c)), compose("{t}.{c}", t=right, c=Ident(c))) for c in columns
    ]
    return joined(" AND ", parts) if parts else Sql("TRUE")


def net(words: Wording, table: Ident, schema: Schema, weighted: Sql, kept: Schema | None = None) -> Step:
    """A temporary table of the rows whose weights do not add up to nothing. `weighted`: a query of the columns and a
    weight. Rows are told apart by their hash, not by what a collation calls equal. `kept`: the columns by which they are
    told apart, where others only say when a row was written."""
    if kept is not None and len(kept) < len(schema):
        return _net_of_kept(words, table, schema, weighted, kept)
    firsts = [compose("{first} AS {c}", first=words.first(c), c=Ident(c.name)) for c in schema]
    return write(
        make_temporary(
            table, "SELECT {firsts}, sum({w}) AS {w} FROM ({weighted}) AS _w "
            "GROUP BY {hash} HAVING sum({w}) <> 0",
            firsts=firsts, w=WEIGHT, weighted=weighted, hash=words.row_hash(schema),
        )
    )  # fmt: skip


def _net_of_kept(words: Wording, table: Ident, schema: Schema, weighted: Sql, kept: Schema) -> Step:
    """Each row that is gained is one that was computed, with what it is written with: of those that are alike in all else,
    as many as outweigh the others. All weights are 1 or -1."""
    parts: dict[str, Part] = {
        "table": table, "cs": names(schema), "w": WEIGHT, "weighted": weighted, "total": Ident("_sqlflow_total"),
        "n": Ident("_sqlflow_n"), "h": Ident("_sqlflow_hash"), "hash": words.row_hash(kept) if len(kept) else Sql("0"),
    }  # fmt: skip
    return write(
        make_temporary(
            table,
            "SELECT {cs}, CASE WHEN {total} > 0 THEN 1 ELSE {total} END AS {w} "
            "FROM (SELECT {cs}, {w}, sum({w}) OVER (PARTITION BY {h}) AS {total}, "
            "row_number() OVER (PARTITION BY {h}, {w}) AS {n} FROM (SELECT *, {hash} AS {h} FROM ({weighted}) AS _w) AS _h) AS _t "
            "WHERE ({total} > 0 AND {w} > 0 AND {n} <= {total}) OR ({total} < 0 AND {w} < 0 AND {n} = 1)",
            **parts,
        )
    )


def expanded(words: Wording, table: Ident, schema: Schema, sign: int) -> Sql:
    """The rows of a netted table that were added (1) or removed (-1), each as often as its weight says."""
    return compose(
        "(SELECT {cs}, {copies} AS _sqlflow_copy FROM {table} WHERE {sign} * {w} > 0)",
        cs=names(schema), sign=sign, w=WEIGHT, table=table, copies=words.copies(compose("{sign} * {w}", sign=sign, w=WEIGHT)),
    )  # fmt: skip


def swap_and_compare(subject: Subject, building: TableName, query: Sql, log: Log) -> tuple[Step, ...]:
    """The table becomes the result of `query`, made beside it, and what differs is written down: unless that is more than
    half of it, which nobody would follow."""
    table, schema, words = subject.table, subject.model.schema, subject.words
    hashes = words.row_hash(schema)
    picked = compose("WHERE {hash} IN (SELECT {h} FROM {different})", hash=hashes, h=_HASH, different=_DIFFERENT)
    few = compose(
        "SELECT (SELECT count(*) FROM {different}) <= (SELECT count(*) FROM {t})", different=_DIFFERENT, t=table
    )
    many = compose("SELECT NOT ({few})", few=few)
    weighted = compose(
        "SELECT {cs}, 1 AS {w} FROM {building} {picked} UNION ALL SELECT {cs}, -1 AS {w} FROM {t} {picked}",
        cs=names(schema), w=WEIGHT, building=building, t=table, picked=picked,
    )  # fmt: skip
    return (
        write(subject.words.staged(building, query), counts=True),
        *log.opened(table),
        write(
            make_temporary(
                _DIFFERENT, "SELECT {h} FROM (SELECT {hash} AS {h}, 1 AS {w} "
                "FROM {building} UNION ALL SELECT {hash} AS {h}, -1 AS {w} FROM {t}) AS _w GROUP BY {h} HAVING sum({w}) <> 0",
                h=_HASH, hash=hashes, w=WEIGHT, building=building, t=table,
            )
        ),
        replace(net(words, _NET, schema, weighted), only_if=few),
        log.rows(expanded(words, _NET, schema, 1), 1, few),
        log.rows(expanded(words, _NET, schema, -1), -1, few),
        log.gap(many),
        *_swapped_in(subject, building),
        Step(StepKind.MEASURE, compose("SELECT EXISTS (SELECT 1 FROM {d})", d=_DIFFERENT), facts=(Fact.CHANGED,)),
    )  # fmt: skip


def swap_and_tell(subject: Subject, building: TableName, query: Sql) -> tuple[Step, ...]:
    """The table becomes the result of `query`, made beside it, and it is measured whether that is another one."""
    table, schema = subject.table, subject.model.schema
    digest = compose("sum({hash})", hash=subject.words.row_hash(schema))
    differs = compose(
        "SELECT CASE WHEN (SELECT count(*) FROM {t}) <> (SELECT count(*) FROM {building}) THEN TRUE ELSE "
        "(SELECT {digest} FROM {t}) IS DISTINCT FROM (SELECT {digest} FROM {building}) END",
        t=table, building=building, digest=digest,
    )  # fmt: skip
    return (
        write(subject.words.staged(building, query), counts=True),
        Step(StepKind.MEASURE, differs, facts=(Fact.CHANGED,)),
        *_swapped_in(subject, building),
    )


def _swapped_in(subject: Subject, building: TableName) -> list[Step]:
    """The table that was made beside it in the place of the table, which has the same columns."""
    swapped = subject.words.swap_in(building, subject.table, subject.model.schema, fits=True)
    return [write(sql) for sql in swapped]


def compared(subject: Subject, part: Sql, log: Log, steps: tuple[Step, ...]) -> tuple[Step, ...]:
    """Do `steps`, which replace the rows for which `part` holds, and write down how those rows differ from before."""
    table, schema, words = subject.table, subject.model.schema, subject.words
    before = write(
        make_temporary(
            _WAS, "SELECT {cs} FROM {t} WHERE {part}",
            cs=names(schema), t=table, part=part,
        )
    )  # fmt: skip
    weighted = compose(
        "SELECT {cs}, 1 AS {w} FROM {t} WHERE {part} UNION ALL SELECT {cs}, -1 AS {w} FROM {was}",
        cs=names(schema), w=WEIGHT, t=table, part=part, was=_WAS,
    )  # fmt: skip
    return (
        before,
        *steps,
        *log.opened(table),
        net(words, _NET, schema, weighted),
        log.rows(expanded(words, _NET, schema, 1), 1),
        log.rows(expanded(words, _NET, schema, -1), -1),
        Step(StepKind.MEASURE, compose("SELECT EXISTS (SELECT 1 FROM {n})", n=_NET), facts=(Fact.CHANGED,)),
    )


_WAS = Ident("_sqlflow_was")
_HASH = Ident("_sqlflow_hash")
_DIFFERENT = Ident("_sqlflow_different")
_NET = Ident("_sqlflow_net")


def keep_image(words: Wording, image: TableName, relation: Sql, schema: Schema) -> Step:
    """Copy an input, so that its next change can be told row by row."""
    return write(
        make(
            image, "SELECT {cs}, {hash} AS {h} FROM {relation} AS _r",
            cs=names(schema), hash=words.row_hash(schema), h=_HASH, relation=relation,
        )
    )  # fmt: skip


def compare_image(
    words: Wording, image: TableName, relation: Sql, schema: Schema, log: Log, cursor: Cursor | None
) -> tuple[Step, ...]:
    """Write down how an input differs from its image, and bring the image up to date.

    With a `cursor`, first only rows beyond it are read: if all the others are those of the image less the rows of the
    same keys, by their number and the cursors' hashes, and all rows have a cursor, there is nothing more to find.
    """
    if cursor is None or cursor.latest is None:
        return _by_hash(words, image, relation, schema, log, None)
    condition = compose("SELECT same FROM {few}", few=_FEW)
    slow = compose("SELECT NOT same FROM {few}", few=_FEW)
    return (
        *_by_cursor(words, image, relation, schema, log, cursor, condition),
        *_by_hash(words, image, relation, schema, log, slow),
    )


class Cursor(Struct, frozen=True):
    """What an input says of itself: `column` grows when a row is new or changed, `key` is the identity of a row, and
    `latest` was the greatest cursor when the image was made."""

    column: str
    key: tuple[str, ...]
    latest: str | None


def _by_cursor(
    words: Wording, image: TableName, relation: Sql, schema: Schema, log: Log, cursor: Cursor, same: Sql
) -> tuple[Step, ...]:
    found = schema.find(cursor.column)
    assert found is not None
    c = Ident(found.name)
    key = same_key(words, Sql("_i"), Sql("_n"), cursor.key)
    limit = compose("CAST({v} AS {kind})", v=Value(cursor.latest), kind=Sql(found.type))
    parts: dict[str, Part] = {
        "new": _NEW, "old": _OLD, "few": _FEW, "cs": names(schema), "relation": relation, "c": c, "limit": limit,
        "image": image, "key": key, "keys": [Ident(name) for name in cursor.key], "w": WEIGHT, "of_c": words.row_hash(Schema((found,))),
        "h": _HASH, "hash": words.row_hash(schema),
    }  # fmt: skip
    weighted = compose("SELECT {cs}, 1 AS {w} FROM {new} UNION ALL SELECT {cs}, -1 AS {w} FROM {old}", **parts)
    return (
        write(make_temporary(_NEW, "SELECT {cs} FROM {relation} AS _r WHERE {c} > {limit}", **parts)),
        write(
            make_temporary(
                _OLD,
                "SELECT {cs} FROM {image} AS _i WHERE EXISTS (SELECT 1 FROM {new} AS _n WHERE {key})",
                **parts,
            )
        ),
        write(
            make_temporary(
                _FEW,
                "SELECT kept = there - moved AND hashes IS NOT DISTINCT FROM "
                "coalesce(there_hashes, 0) - coalesce(moved_hashes, 0) AND silent = 0 AND NOT repeated AS same FROM "
                "(SELECT count(*) AS kept, coalesce(sum({of_c}), 0) AS hashes, count(*) - count({c}) AS silent FROM {relation} AS _r WHERE {c} <= {limit} OR {c} IS NULL) AS _a, "
                "(SELECT count(*) AS there, sum({of_c}) AS there_hashes FROM {image}) AS _b, "
                "(SELECT count(*) AS moved, sum({of_c}) AS moved_hashes FROM {old}) AS _c, "
                "(SELECT EXISTS (SELECT 1 FROM {new} GROUP BY {keys} HAVING count(*) > 1) AS repeated) AS _d",
                **parts,
            )
        ),
        replace(net(words, _NET, schema, weighted), only_if=same),
        log.rows(expanded(words, _NET, schema, 1), 1, same),
        log.rows(expanded(words, _NET, schema, -1), -1, same),
        write(compose("DELETE FROM {image} AS _i USING {new} AS _n WHERE {key}", **parts), only_if=same),
        write(compose("INSERT INTO {image} SELECT {cs}, {hash} FROM {new}", **parts), only_if=same),
    )


_NEW = Ident("_sqlflow_new")
_OLD = Ident("_sqlflow_old")
_FEW = Ident("_sqlflow_few")


def _by_hash(
    words: Wording, image: TableName, relation: Sql, schema: Schema, log: Log, only_if: Sql | None
) -> tuple[Step, ...]:
    here = compose(
        "(SELECT {cs} FROM {relation} AS _r WHERE {hash} IN (SELECT {h} FROM {different})) AS _here",
        cs=names(schema), relation=relation, hash=words.row_hash(schema), h=_HASH, different=_DIFFERENT,
    )  # fmt: skip
    there = compose(
        "(SELECT {cs} FROM {image} WHERE {h} IN (SELECT {h} FROM {different})) AS _there",
        cs=names(schema), image=image, h=_HASH, different=_DIFFERENT,
    )  # fmt: skip
    weighted = compose(
        "SELECT *, 1 AS {w} FROM {here} UNION ALL SELECT *, -1 AS {w} FROM {there}", w=WEIGHT, here=here, there=there
    )
    steps = (
        write(
            make_temporary(
                _DIFFERENT, "SELECT {h} FROM (SELECT {hash} AS {h}, 1 AS {w} "
                "FROM {relation} AS _r UNION ALL SELECT {h}, -1 AS {w} FROM {image}) AS _w GROUP BY {h} HAVING sum({w}) <> 0",
                h=_HASH, hash=words.row_hash(schema), w=WEIGHT, relation=relation, image=image,
            )
        ),
        net(words, _NET, schema, weighted),
        log.rows(expanded(words, _NET, schema, 1), 1),
        log.rows(expanded(words, _NET, schema, -1), -1),
        write(
            compose(
                "DELETE FROM {image} WHERE {h} IN (SELECT {h} FROM {different})",
                image=image, h=_HASH, different=_DIFFERENT,
            )
        ),
        write(
            compose(
                "INSERT INTO {image} SELECT {cs}, {hash} FROM {relation} AS _r WHERE {hash} IN (SELECT {h} FROM {different})",
                image=image, cs=names(schema), hash=words.row_hash(schema), relation=relation, h=_HASH, different=_DIFFERENT,
            )
        ),
    )  # fmt: skip
    return tuple(replace(step, only_if=only_if) for step in steps)


def extend_image(words: Wording, image: TableName, rows: Sql, schema: Schema) -> Step:
    """Add rows to an image."""
    return write(
        compose(
            "INSERT INTO {image} SELECT {cs}, {hash} FROM {rows} AS _r",
            image=image, cs=names(schema), hash=words.row_hash(schema), rows=rows,
        )
    )  # fmt: skip
