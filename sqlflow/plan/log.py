"""The change log of a table: the rows that each version added and removed, for readers that follow it.

A log is a table of the schema `_sqlflow` with the columns of its table after `_sqlflow_version` and `_sqlflow_sign` (1
for a row that was added, -1 for one that was removed). A row with sign 0 says that a version changed the table in a way
that was not written down. It is written in the transaction of the data.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from sqlflow.core.names import TableName
from sqlflow.core.plan import Step, StepKind
from sqlflow.core.schema import Schema
from sqlflow.core.sql import Ident, Part, Sql, compose, joined
from sqlflow.plan.subject import Subject, write

VERSION = Ident("_sqlflow_version")
SIGN = Ident("_sqlflow_sign")
WEIGHT = Ident("_sqlflow_weight")


def log_of(table: TableName) -> TableName:
    """The change log of a table."""
    return TableName("_sqlflow", f"changes of {table.id}")


def image_of(table: TableName) -> TableName:
    """The copy of an input as it was when its changes were last written down."""
    return TableName("_sqlflow", f"image of {table.id}")


def counters_of(table: TableName) -> TableName:
    """The counters of a grouped model."""
    return TableName("_sqlflow", f"counters of {table.id}")


@dataclass(frozen=True, slots=True)
class Log:
    """A change log that is to be written. `begins`: it is made anew. `read`: the version up to which all have read."""

    table: TableName
    schema: Schema
    version: int
    begins: bool
    read: int

    def opened(self, like: Part) -> tuple[Step, ...]:
        """Make the log, with the columns of `like`, or forget what all have read."""
        if self.begins:
            sql = compose(
                "CREATE OR REPLACE TABLE {log} AS SELECT CAST(0 AS BIGINT) AS {version}, CAST(0 AS TINYINT) AS {sign}, "
                "{cs} FROM {like} LIMIT 0",
                log=log_of(self.table), version=VERSION, sign=SIGN, cs=names(self.schema), like=like,
            )  # fmt: skip
        else:
            sql = compose(
                "DELETE FROM {log} WHERE {version} <= {read}", log=log_of(self.table), version=VERSION, read=self.read
            )
        return (write(sql),)

    def rows(self, rows: Sql, sign: int, only_if: Sql | None = None) -> Step:
        """Write down rows: `rows` can stand after FROM."""
        sql = compose(
            "INSERT INTO {log} SELECT {number}, {sign}, {cs} FROM {rows}",
            log=log_of(self.table), number=self.version, sign=sign, cs=names(self.schema), rows=rows,
        )  # fmt: skip
        return write(sql, only_if=only_if)

    def gap(self, only_if: Sql | None = None) -> Step:
        """Say that this version changed more than is written down."""
        sql = compose(
            "INSERT INTO {log} ({version}, {sign}) VALUES ({number}, 0)",
            log=log_of(self.table), version=VERSION, sign=SIGN, number=self.version,
        )  # fmt: skip
        return write(sql, only_if=only_if)


def names(schema: Schema) -> tuple[Ident, ...]:
    return tuple(Ident(name) for name in schema.names)


def signs(schema: Schema) -> tuple[Sql, ...]:
    """What tells apart values of these columns that SQL calls equal: the two zeros of floating point numbers."""
    return tuple(
        compose("signbit({c})", c=Ident(column.name)) for column in schema if column.type in ("DOUBLE", "FLOAT")
    )


def row_hash(schema: Schema) -> Sql:
    """A hash of a row in which rows that differ, differ."""
    return compose("hash({parts})", parts=[*names(schema), *signs(schema)])


def same_row(left: Ident, right: Ident, schema: Schema) -> Sql:
    """The condition that two rows are the same in every bit that a query could tell apart."""
    parts = [
        compose("signbit({l}.{c}) IS NOT DISTINCT FROM signbit({r}.{c})", l=left, r=right, c=Ident(column.name))
        for column in schema
        if column.type in ("DOUBLE", "FLOAT")
    ]
    return joined(" AND ", [same_key(left, right, schema.names), *parts])


def same_key(left: Ident, right: Ident, columns: Sequence[str]) -> Sql:
    """The condition that two rows have equal values in these columns, NULL being a value."""
    parts = [compose("{l}.{c} IS NOT DISTINCT FROM {r}.{c}", l=left, r=right, c=Ident(column)) for column in columns]
    return joined(" AND ", parts) if parts else Sql("TRUE")


def net(table: Ident, schema: Schema, weighted: Sql) -> Step:
    """A temporary table of the rows whose weights do not add up to nothing. `weighted`: a query of the columns and a
    weight. Rows are told apart by their hash, not by what a collation calls equal."""
    firsts = [compose("first({c}) AS {c}", c=c) for c in names(schema)]
    return write(
        compose(
            "CREATE OR REPLACE TEMP TABLE {table} AS SELECT {firsts}, sum({w}) AS {w} FROM ({weighted}) "
            "GROUP BY {hash} HAVING sum({w}) <> 0",
            table=table, firsts=firsts, w=WEIGHT, weighted=weighted, hash=row_hash(schema),
        )
    )  # fmt: skip


def expanded(table: Ident, schema: Schema, sign: int) -> Sql:
    """The rows of a netted table that were added (1) or removed (-1), each as often as its weight says."""
    return compose(
        "(SELECT {cs}, unnest(range(CAST({sign} * {w} AS BIGINT))) AS _sqlflow_copy FROM {table} WHERE {sign} * {w} > 0)",
        cs=names(schema), sign=sign, w=WEIGHT, table=table,
    )  # fmt: skip


def swap_and_compare(subject: Subject, building: TableName, query: Sql, log: Log) -> tuple[Step, ...]:
    """The table becomes the result of `query`, made beside it, and what differs is written down: unless that is more than
    half of it, which nobody would follow."""
    table, schema = subject.table, subject.model.schema
    hashes = row_hash(schema)
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
        write(compose("CREATE OR REPLACE TABLE {building} AS\n{q}", building=building, q=query), counts=True),
        *log.opened(table),
        write(
            compose(
                "CREATE OR REPLACE TEMP TABLE {different} AS SELECT {h} FROM (SELECT {hash} AS {h}, 1 AS {w} "
                "FROM {building} UNION ALL SELECT {hash} AS {h}, -1 AS {w} FROM {t}) GROUP BY {h} HAVING sum({w}) <> 0",
                different=_DIFFERENT, h=_HASH, hash=hashes, w=WEIGHT, building=building, t=table,
            )
        ),
        replace(net(_NET, schema, weighted), only_if=few),
        log.rows(expanded(_NET, schema, 1), 1, few),
        log.rows(expanded(_NET, schema, -1), -1, few),
        log.gap(many),
        write(compose("DROP TABLE {t}", t=table)),
        write(compose("ALTER TABLE {building} RENAME TO {name}", building=building, name=Ident(table.name))),
        Step(StepKind.MEASURE, compose("SELECT EXISTS (SELECT 1 FROM {d})", d=_DIFFERENT), facts=("changed",)),
    )  # fmt: skip


def swap_and_tell(subject: Subject, building: TableName, query: Sql) -> tuple[Step, ...]:
    """The table becomes the result of `query`, made beside it, and it is measured whether that is another one."""
    table, schema = subject.table, subject.model.schema
    digest = compose("sum({hash})", hash=row_hash(schema))
    differs = compose(
        "SELECT CASE WHEN (SELECT count(*) FROM {t}) <> (SELECT count(*) FROM {building}) THEN TRUE ELSE "
        "(SELECT {digest} FROM {t}) IS DISTINCT FROM (SELECT {digest} FROM {building}) END",
        t=table, building=building, digest=digest,
    )  # fmt: skip
    return (
        write(compose("CREATE OR REPLACE TABLE {building} AS\n{q}", building=building, q=query), counts=True),
        Step(StepKind.MEASURE, differs, facts=("changed",)),
        write(compose("DROP TABLE {t}", t=table)),
        write(compose("ALTER TABLE {building} RENAME TO {name}", building=building, name=Ident(table.name))),
    )


def compared(subject: Subject, part: Sql, log: Log, steps: tuple[Step, ...]) -> tuple[Step, ...]:
    """Do `steps`, which replace the rows for which `part` holds, and write down how those rows differ from before."""
    table, schema = subject.table, subject.model.schema
    before = write(
        compose(
            "CREATE OR REPLACE TEMP TABLE {was} AS SELECT {cs} FROM {t} WHERE {part}",
            was=_WAS, cs=names(schema), t=table, part=part,
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
        net(_NET, schema, weighted),
        log.rows(expanded(_NET, schema, 1), 1),
        log.rows(expanded(_NET, schema, -1), -1),
        Step(StepKind.MEASURE, compose("SELECT EXISTS (SELECT 1 FROM {n})", n=_NET), facts=("changed",)),
    )


_WAS = Ident("_sqlflow_was")
_HASH = Ident("_sqlflow_hash")
_DIFFERENT = Ident("_sqlflow_different")
_NET = Ident("_sqlflow_net")


def keep_image(table: TableName, relation: Sql, schema: Schema) -> Step:
    """Copy an input, so that its next change can be told row by row."""
    return write(
        compose(
            "CREATE OR REPLACE TABLE {image} AS SELECT {cs}, {hash} AS {h} FROM {relation}",
            image=image_of(table), cs=names(schema), hash=row_hash(schema), h=_HASH, relation=relation,
        )
    )  # fmt: skip


def compare_image(table: TableName, relation: Sql, schema: Schema, log: Log) -> tuple[Step, ...]:
    """Write down how an input differs from its image, and bring the image up to date."""
    image = image_of(table)
    here = compose(
        "(SELECT {cs} FROM {relation} WHERE {hash} IN (SELECT {h} FROM {different}))",
        cs=names(schema), relation=relation, hash=row_hash(schema), h=_HASH, different=_DIFFERENT,
    )  # fmt: skip
    there = compose(
        "(SELECT {cs} FROM {image} WHERE {h} IN (SELECT {h} FROM {different}))",
        cs=names(schema), image=image, h=_HASH, different=_DIFFERENT,
    )  # fmt: skip
    weighted = compose(
        "SELECT *, 1 AS {w} FROM {here} UNION ALL SELECT *, -1 AS {w} FROM {there}", w=WEIGHT, here=here, there=there
    )
    return (
        write(
            compose(
                "CREATE OR REPLACE TEMP TABLE {different} AS SELECT {h} FROM (SELECT {hash} AS {h}, 1 AS {w} "
                "FROM {relation} UNION ALL SELECT {h}, -1 AS {w} FROM {image}) GROUP BY {h} HAVING sum({w}) <> 0",
                different=_DIFFERENT, h=_HASH, hash=row_hash(schema), w=WEIGHT, relation=relation, image=image,
            )
        ),
        net(_NET, schema, weighted),
        log.rows(expanded(_NET, schema, 1), 1),
        log.rows(expanded(_NET, schema, -1), -1),
        write(
            compose(
                "DELETE FROM {image} WHERE {h} IN (SELECT {h} FROM {different})",
                image=image, h=_HASH, different=_DIFFERENT,
            )
        ),
        write(
            compose(
                "INSERT INTO {image} SELECT {cs}, {hash} FROM {relation} WHERE {hash} IN (SELECT {h} FROM {different})",
                image=image, cs=names(schema), hash=row_hash(schema), relation=relation, h=_HASH, different=_DIFFERENT,
            )
        ),
    )  # fmt: skip


def extend_image(table: TableName, rows: Sql, schema: Schema) -> Step:
    """Add rows to an image."""
    return write(
        compose(
            "INSERT INTO {image} SELECT {cs}, {hash} FROM {rows}",
            image=image_of(table), cs=names(schema), hash=row_hash(schema), rows=rows,
        )
    )  # fmt: skip
