"""`merge`: one row per key.

The rows that were read become one row per key (`_sqlflow_latest`) without those that the table's own rows or remembered
deletions win against. From there every strategy gives the same table: the table without the keys of these rows, and
these rows but for the deletions.

- `append`: no key is in the table, so the rows are inserted.
- `merge`: a delete and an insert in one transaction, which costs a small part of what MERGE costs and needs no index.
- `changes` (called `cdc` for a stream of changes): rows that are in the table as they are are taken out first.
- `snapshot`: the table is written anew beside the old one, and swapped.

With a cursor, only rows at or above the boundary (the watermark, less `lookback`) are read, unless the rows below it are
not those of last time: then all are, which is always right because a merge may be repeated.

Deletions of models with a cursor are remembered in `_sqlflow."deleted <table>"`, key and cursor: an older row that comes
later must not bring the key back. With `latest_wins` that is any row that is not newer than the deletion, with other
rules one without a cursor, which is older than any that has one.
"""

from __future__ import annotations

from typing import LiteralString

from sqlflow.core.keeping import deletions_of
from sqlflow.core.model import Conflict
from sqlflow.core.names import TableName
from sqlflow.core.plan import Step, StepKind
from sqlflow.core.records import TableRecord
from sqlflow.core.sql import Ident, Part, Sql, Value, compose, joined
from sqlflow.plan import strategies
from sqlflow.plan.cursor import as_last_time, boundary, count_below, measure
from sqlflow.plan.log import WEIGHT, Log, expanded, net
from sqlflow.plan.strategies import APPEND, CDC, CHANGES, MERGE, SNAPSHOT, Choice
from sqlflow.plan.subject import Subject, matches, replace_table, watermark_literal, write

_BATCH = Ident("_sqlflow_batch")
_REPEATED = Ident("_sqlflow_repeated")
_LATEST = Ident("_sqlflow_latest")
_GONE = Ident("_sqlflow_gone")
_NET = Ident("_sqlflow_net")
_KEPT = Ident("_sqlflow_kept")
_KEPT_DELETIONS = Ident("_sqlflow_kept_deletions")


def rebuild(subject: Subject, keeps: tuple[str, ...]) -> tuple[Step, ...]:
    """The first build, or one from scratch.

    `keeps`: columns of the table that stands whose rows are kept where the query has no row of their key.
    """
    shared = tuple(Ident(name) for name in keeps)
    saved: tuple[Step, ...] = ()
    restored: tuple[Step, ...] = ()
    if shared:
        same = matches(subject.words, "_target", "_sqlflow_latest", subject.model.model.header.key)
        rest = compose(
            "CREATE OR REPLACE TEMP TABLE {kept} AS SELECT {cs} FROM {t} AS _target "
            "WHERE NOT EXISTS (SELECT 1 FROM {latest} WHERE {same})",
            kept=_KEPT, cs=shared, t=subject.table, latest=_LATEST, same=same,
        )  # fmt: skip
        saved = (write(rest),)
        back = compose("INSERT INTO {t} ({cs}) SELECT {cs} FROM {kept}", t=subject.table, cs=shared, kept=_KEPT)
        restored = (write(back, counts=True),)
    kept = compose("SELECT {cs} FROM {latest} WHERE NOT {gone}", cs=subject.columns, latest=_LATEST, gone=_GONE)
    return (
        _read(subject, Sql("TRUE")),
        *_one_per_key(subject),
        *_new_deletions(subject, keeps=bool(shared)),
        *saved,
        *replace_table(subject, kept),
        *restored,
        *_measure(subject, None),
    )


def update(subject: Subject, choice: Choice, log: Log | None, *, everything: bool) -> tuple[Step, ...]:
    """Bring what is new into the table, and write down what changes if there is a log. `everything`: read all rows, not
    only those beyond the watermark."""
    header = subject.model.model.header
    steps: list[Step] = []
    limit: Sql | None = None
    before = subject.before
    if header.cursor is None or before is None or before.watermark is None or everything:
        steps.append(_read(subject, Sql("TRUE")))
    else:
        cursor = Ident(header.cursor)
        limit = boundary(subject, before.watermark)
        known = as_last_time(before)
        steps += [
            count_below(subject, cursor, limit),
            _read(subject, compose("{c} >= {limit} OR {c} IS NULL", c=cursor, limit=limit), only_if=known),
            _read(subject, Sql("TRUE"), only_if=compose("SELECT NOT ({known})", known=known)),
        ]
    steps += _one_per_key(subject)
    steps += _conflicts(subject)
    steps += _deletions(subject)
    if limit is not None and header.lookback is None and before is not None:
        steps.append(_without_ties(subject, before))
    steps += strategies.decide(subject, choice, _BATCH, _LATEST, _GONE)
    if log is not None:
        steps += _written_down(subject, log)
    steps += _apply(subject, choice)
    steps += _measure(subject, limit)
    return tuple(steps)


def _written_down(subject: Subject, log: Log) -> list[Step]:
    """What the table is about to gain and lose: all ways of applying the new rows give the same."""
    schema = subject.model.schema
    parts: dict[str, Part] = {
        "cs": subject.columns, "w": WEIGHT, "latest": _LATEST, "gone": _GONE, "t": subject.table,
        "same": matches(subject.words, "_target", "_sqlflow_latest", subject.model.model.header.key),
    }  # fmt: skip
    weighted = compose(_GAINED_AND_LOST, **parts)
    return [
        *log.opened(subject.table),
        net(subject.words, _NET, schema, weighted),
        log.rows(expanded(subject.words, _NET, schema, 1), 1),
        log.rows(expanded(subject.words, _NET, schema, -1), -1),
        Step(StepKind.MEASURE, compose("SELECT EXISTS (SELECT 1 FROM {n})", n=_NET), facts=("changed",)),
    ]


_GAINED_AND_LOST: LiteralString = (
    "SELECT {cs}, 1 AS {w} FROM {latest} WHERE NOT {gone} UNION ALL "
    "SELECT {cs}, -1 AS {w} FROM {t} AS _target WHERE EXISTS (SELECT 1 FROM {latest} WHERE {same})"
)


def unmerged(subject: Subject, wrong: Ident) -> tuple[Step, ...]:
    """Fill the temporary table `wrong` with what the table would gain and lose if all rows of the query were merged once
    more: nothing, because a merge may be repeated. Only temporary tables are written."""
    header, schema = subject.model.model.header, subject.model.schema
    steps = [_read(subject, Sql("TRUE")), *_one_per_key(subject)]
    steps += [step for step in _conflicts(subject) if step.kind is StepKind.WRITE]
    if _remembers(subject):
        steps.append(_without_deleted(subject))
    parts: dict[str, Part] = {
        "cs": subject.columns, "w": WEIGHT, "latest": _LATEST, "gone": _GONE, "t": subject.table,
        "same": matches(subject.words, "_target", "_sqlflow_latest", header.key),
    }  # fmt: skip
    return (*steps, net(subject.words, wrong, schema, compose(_GAINED_AND_LOST, **parts)))


def alone(subject: Subject) -> Sql:
    """The condition that the key of a row of the table (`_target`) is none of those that `unmerged` has read."""
    same = matches(subject.words, "_target", "_read", subject.model.model.header.key)
    return compose("NOT EXISTS (SELECT 1 FROM {batch} AS _read WHERE {same})", batch=_BATCH, same=same)


def _without_ties(subject: Subject, before: TableRecord) -> Step:
    """Take out the rows that are read again because they tie with the watermark or have no cursor, if they are as they
    were: then a batch of nothing but new keys is seen as that."""
    header = subject.model.model.header
    cursor = Ident(header.cursor or "")
    sql = compose(
        "DELETE FROM {latest} USING {t} AS _target WHERE {same} AND NOT coalesce({latest}.{c} > {reached}, FALSE) AND NOT {gone} AND {alike}",
        latest=_LATEST, t=subject.table, same=matches(subject.words, "_target", "_sqlflow_latest", header.key), c=cursor, gone=_GONE,
        reached=watermark_literal(before.watermark or "", subject.type_of(cursor)),
        alike=strategies.same_row(subject, "_target", "_sqlflow_latest"),
    )  # fmt: skip
    return write(sql, only_if=as_last_time(before))


def forget(table: TableName) -> Step:
    """Drop the remembered deletions of a table that is not merged any more."""
    return write(compose("DROP TABLE IF EXISTS {deleted}", deleted=deletions_of(table)))


def _apply(subject: Subject, choice: Choice) -> list[Step]:
    """The steps of every way that may have been chosen; which of them run is asked when they do."""
    parts: dict[str, Part] = {
        "t": subject.table, "latest": _LATEST, "gone": _GONE, "cs": subject.columns,
        "same": matches(subject.words, "_target", "_sqlflow_latest", subject.model.model.header.key),
    }  # fmt: skip
    steps = []
    if CHANGES in choice.ways or CDC in choice.ways:
        alike = strategies.same_row(subject, "_target", "_sqlflow_latest")
        prune = compose(
            "DELETE FROM {latest} USING {t} AS _target WHERE {same} AND NOT {gone} AND {alike}", alike=alike, **parts
        )
        steps.append(write(prune, only_if=strategies.taken(CHANGES, CDC), timed=True, fact="unchanged"))
    # MERGE is what the others fall back to when they cannot be taken.
    delete = compose("DELETE FROM {t} AS _target USING {latest} WHERE {same}", **parts)
    always = choice.ways == (MERGE,)
    only_if = None if always else strategies.taken(MERGE, CHANGES, CDC)
    steps.append(write(delete, only_if=only_if, timed=True, fact="replaced"))
    insert = compose("INSERT INTO {t} ({cs}) SELECT {cs} FROM {latest} WHERE NOT {gone}", **parts)
    only_if = None if always else strategies.taken(APPEND, MERGE, CHANGES, CDC)
    steps.append(write(insert, counts=True, only_if=only_if, timed=True))
    if SNAPSHOT in choice.ways:
        swap = compose(
            "SELECT {cs} FROM {t} AS _target WHERE NOT EXISTS (SELECT 1 FROM {latest} "
            "WHERE {same}) UNION ALL SELECT {cs} FROM {latest} WHERE NOT {gone}",
            **parts,
        )
        statements = subject.words.publish(subject.table, swap, subject.model.schema, fits=True)
        steps += [
            write(sql, counts=number == 0, only_if=strategies.taken(SNAPSHOT), timed=True)
            for number, sql in enumerate(statements)
        ]
    return steps


def _read(subject: Subject, condition: Sql, only_if: Sql | None = None) -> Step:
    return write(
        compose(
            "CREATE OR REPLACE TEMP TABLE {batch} AS SELECT {cs} FROM (\n{q}\n) AS _q WHERE {condition}",
            batch=_BATCH, cs=subject.columns, q=subject.query, condition=condition,
        ),
        only_if=only_if,
    )  # fmt: skip


def _one_per_key(subject: Subject) -> list[Step]:
    """The newest row of each key; two that are equally new, or any two without a cursor, stop the build."""
    header = subject.model.model.header
    key = tuple(Ident(name) for name in header.key)
    same = matches(subject.words, "_sqlflow_batch", "_sqlflow_repeated", header.key)
    parts: dict[str, Part] = {"cs": subject.columns, "batch": _BATCH, "repeated": _REPEATED, "key": key, "same": same}
    if header.cursor is None:
        rows = compose("SELECT {cs} FROM {batch}", **parts)
        hint = "give a `cursor`, so that the newest row wins, or make the query's keys unique"
    else:
        # Only keys that come more than once need a window, which would hold all rows in memory.
        rows = compose(
            "SELECT {cs} FROM {batch} WHERE NOT EXISTS (SELECT 1 FROM {repeated} WHERE {same}) UNION ALL "
            "(SELECT DISTINCT {cs} FROM (SELECT {cs}, rank() OVER (PARTITION BY {key} ORDER BY {cursor} DESC NULLS LAST) "
            "AS _sqlflow_rank FROM {batch} WHERE EXISTS (SELECT 1 FROM {repeated} WHERE {same})) AS _ranked "
            "WHERE _sqlflow_rank = 1)",
            cursor=Ident(header.cursor), **parts,
        )  # fmt: skip
        hint = f"rows of one key with the same `{header.cursor}` differ: make the cursor finer, or the keys unique"
    return [
        write(
            compose(
                "CREATE OR REPLACE TEMP TABLE {repeated} AS SELECT {key} FROM {batch} GROUP BY {key} HAVING count(*) > 1",
                **parts,
            )
        ),
        write(
            compose(
                "CREATE OR REPLACE TEMP TABLE {latest} AS SELECT *, {gone} AS {mark} FROM ({rows}) AS _rows",
                latest=_LATEST,
                gone=_deleted(subject),
                mark=_GONE,
                rows=rows,
            )
        ),
        Step(
            StepKind.GUARD,
            compose(
                "SELECT {key} FROM {latest} WHERE EXISTS (SELECT 1 FROM {repeated} WHERE {same}) "
                "GROUP BY {key} HAVING count(*) > 1 ORDER BY {key} LIMIT 6",
                key=key,
                latest=_LATEST,
                repeated=_REPEATED,
                same=matches(subject.words, "_sqlflow_latest", "_sqlflow_repeated", header.key),
            ),
            code="duplicate-key",
            message=f"the query gives more than one row for a key ({', '.join(header.key)}): {{rows}}",
            hint=hint,
        ),
    ]


def _conflicts(subject: Subject) -> list[Step]:
    """Take out of the new rows what the table's own rows win against."""
    header = subject.model.model.header
    same = matches(subject.words, "_target", "_sqlflow_latest", header.key)
    return [*_without_cursor(subject, same), *_by_policy(subject, same)]


def _without_cursor(subject: Subject, same: Sql) -> list[Step]:
    """A row without a cursor is older than any that has one, also than one that was read long ago."""
    cursor = subject.model.model.header.cursor
    if cursor is None:
        return []
    older = compose("{latest}.{c} IS NULL AND _target.{c} IS NOT NULL", latest=_LATEST, c=Ident(cursor))
    sql = compose(
        "DELETE FROM {latest} USING {t} AS _target WHERE {same} AND {older}",
        latest=_LATEST, t=subject.table, same=same, older=older,
    )  # fmt: skip
    return [write(sql)]


def _by_policy(subject: Subject, same: Sql) -> list[Step]:
    header = subject.model.model.header
    parts: dict[str, Part] = {"latest": _LATEST, "t": subject.table, "same": same, "gone": _GONE}
    match header.conflict:
        case Conflict.SOURCE_WINS:
            return []
        case Conflict.LATEST_WINS:
            newer = compose(
                "(_target.{c} > {latest}.{c} OR ({latest}.{c} IS NULL AND _target.{c} IS NOT NULL))",
                c=Ident(header.cursor or ""), latest=_LATEST,
            )  # fmt: skip
            return [
                write(
                    compose("DELETE FROM {latest} USING {t} AS _target WHERE {same} AND {newer}", newer=newer, **parts)
                )
            ]
        case Conflict.TARGET_WINS:
            return [write(compose("DELETE FROM {latest} USING {t} AS _target WHERE {same} AND NOT {gone}", **parts))]
        case Conflict.MANUAL:
            differ = joined(
                " OR ",
                [compose("_target.{c} IS DISTINCT FROM {latest}.{c}", c=c, latest=_LATEST) for c in subject.columns],
            )
            keys = [compose("{latest}.{k}", latest=_LATEST, k=Ident(k)) for k in header.key]
            guard = compose(
                "SELECT {keys} FROM {latest} JOIN {t} AS _target ON {same} WHERE NOT {gone} AND ({differ}) "
                "ORDER BY {keys} LIMIT 6",
                keys=keys, differ=differ, **parts,
            )  # fmt: skip
            return [
                Step(
                    StepKind.GUARD,
                    guard,
                    code="conflict",
                    message="rows of the table and of the query differ for a key "
                    f"({', '.join(header.key)}), and `conflict: manual` lets neither win: {{rows}}",
                    hint="mend the rows in the source or in the table, or choose another `conflict`",
                ),
                write(compose("DELETE FROM {latest} USING {t} AS _target WHERE {same} AND NOT {gone}", **parts)),
            ]


def _remembers(subject: Subject) -> bool:
    """Whether deletions are remembered."""
    header = subject.model.model.header
    return header.cursor is not None and header.deleted is not None


def _new_deletions(subject: Subject, *, keeps: bool) -> list[Step]:
    """What is remembered of deletions after a rebuild: those of the query, and with `keeps` those of other keys."""
    header = subject.model.model.header
    if not _remembers(subject):
        return [forget(subject.table)] if subject.before is not None else []
    kept = [*header.key, header.cursor or ""]
    parts: dict[str, Part] = {
        "deleted": deletions_of(subject.table), "cs": [Ident(name) for name in dict.fromkeys(kept)], "latest": _LATEST, "gone": _GONE,
    }  # fmt: skip
    if not keeps:
        return [write(compose("CREATE OR REPLACE TABLE {deleted} AS SELECT {cs} FROM {latest} WHERE {gone}", **parts))]
    same = matches(subject.words, "_deleted", "_sqlflow_latest", header.key)
    cast = [
        compose("CAST(_deleted.{c} AS {kind}) AS {c}", c=Ident(name), kind=Sql(subject.type_of(name)))
        for name in dict.fromkeys(kept)
    ]
    return [
        write(compose("CREATE TABLE IF NOT EXISTS {deleted} AS SELECT {cs} FROM {latest} WHERE FALSE", **parts)),
        write(
            compose(
                "CREATE OR REPLACE TEMP TABLE {kept} AS SELECT {cast} FROM {deleted} AS _deleted "
                "WHERE NOT EXISTS (SELECT 1 FROM {latest} WHERE {same})",
                kept=_KEPT_DELETIONS, cast=cast, same=same, **parts,
            )
        ),
        write(
            compose(
                "CREATE OR REPLACE TABLE {deleted} AS SELECT {cs} FROM {latest} WHERE {gone} UNION ALL SELECT {cs} FROM {kept}",
                kept=_KEPT_DELETIONS, **parts,
            )
        ),
    ]  # fmt: skip


def _deletions(subject: Subject) -> list[Step]:
    """Take out of the new rows what a remembered deletion wins against, and remember the new deletions."""
    header = subject.model.model.header
    if not _remembers(subject):
        return []
    parts: dict[str, Part] = {
        "deleted": deletions_of(subject.table), "cs": [Ident(name) for name in dict.fromkeys([*header.key, header.cursor or ""])],
        "latest": _LATEST, "gone": _GONE, "same": matches(subject.words, "_deleted", "_sqlflow_latest", header.key),
    }  # fmt: skip
    return [
        write(compose("CREATE TABLE IF NOT EXISTS {deleted} AS SELECT {cs} FROM {latest} WHERE FALSE", **parts)),
        _without_deleted(subject),
        write(compose("DELETE FROM {deleted} AS _deleted USING {latest} WHERE {same}", **parts)),
        write(compose("INSERT INTO {deleted} ({cs}) SELECT {cs} FROM {latest} WHERE {gone}", **parts)),
    ]


def _without_deleted(subject: Subject) -> Step:
    """Take out of the new rows what a remembered deletion wins against."""
    header = subject.model.model.header
    parts: dict[str, Part] = {
        "deleted": deletions_of(subject.table), "latest": _LATEST, "c": Ident(header.cursor or ""),
        "same": matches(subject.words, "_deleted", "_sqlflow_latest", header.key),
    }  # fmt: skip
    if header.conflict is Conflict.LATEST_WINS:
        # Not newer: also one that is as old. So it does not matter which of the two is told first or again.
        older = compose(
            "NOT coalesce({latest}.{c} > _deleted.{c} OR ({latest}.{c} IS NOT NULL AND _deleted.{c} IS NULL), FALSE)",
            **parts,
        )
    else:
        older = compose("{latest}.{c} IS NULL AND _deleted.{c} IS NOT NULL", **parts)
    return write(
        compose("DELETE FROM {latest} USING {deleted} AS _deleted WHERE {same} AND {older}", older=older, **parts)
    )


def _deleted(subject: Subject) -> Sql:
    """The condition that a row means "delete this key"."""
    deleted = subject.model.model.header.deleted
    if deleted is None:
        return Sql("FALSE")
    if deleted.column is not None:
        values = [Value(value) for value in deleted.values]
        return compose("coalesce({c} IN ({values}), FALSE)", c=Ident(deleted.column), values=values)
    return compose("coalesce(({condition}), FALSE)", condition=Sql(deleted.sql or "FALSE"))


def _measure(subject: Subject, limit: Sql | None) -> tuple[Step, ...]:
    return () if subject.model.model.header.cursor is None else (measure(subject, _BATCH, limit),)
