"""`merge`: one row per key.

The rows that were read become one row per key (`_sqlflow_latest`) without those that the table's own rows or remembered
deletions win against. From there every strategy gives the same table: the table without the keys of these rows, and
these rows but for the deletions.

- `append`: no key is in the table, so the rows are inserted.
- `merge`: a delete and an insert in one transaction, which costs a small part of what MERGE costs and needs no index.
- `changes` (called `cdc` for a stream of changes): rows that are in the table as they are are taken out first.
- `swap`: the table is written anew beside the old one, and swapped.

With a cursor, only rows at or above the boundary (the watermark, less `lookback`) are read, unless the rows below it are
not those of last time, or of then without those that were updated since: then all are, which is always right because a merge
may be repeated.

Deletions of models with a cursor are remembered in `_sqlflow."deleted <table>"`, key and cursor: an older row that comes
later must not bring the key back. With `latest_wins` that is any row that is not newer than the deletion, with other
rules one without a cursor, which is older than any that has one.
"""

from __future__ import annotations

from typing import LiteralString

from msgspec.structs import replace

from sqlflow.core.following import Shape
from sqlflow.core.keeping import deletions_of
from sqlflow.core.model import Conflict, Header, Incremental
from sqlflow.core.modes import promised
from sqlflow.core.names import TableName
from sqlflow.core.plan import Reason, ReasonKind, Step, StepKind
from sqlflow.core.records import TableRecord
from sqlflow.core.schema import Column, Schema
from sqlflow.core.sql import Ident, Part, Sql, compose, joined, make, make_temporary
from sqlflow.core.ways import Fact, Method
from sqlflow.plan import strategies
from sqlflow.plan.cursor import IS_KNOWN, IS_UNKNOWN, boundary, count_below, measure, prove_below
from sqlflow.plan.draft import Decision, Leave, Sight, Write, has_new_rows
from sqlflow.plan.following import changelog
from sqlflow.plan.log import WEIGHT, Log, expanded, names, net
from sqlflow.plan.matched import MET, is_met, meet
from sqlflow.plan.rebuild import forget, rebuilt, record_of
from sqlflow.plan.stale import Effect
from sqlflow.plan.strategies import APPEND, CDC, CHANGES, MERGE, SWAP, Choice
from sqlflow.plan.subject import Subject, is_deletion, matches, replace_table, watermark_literal, write
from sqlflow.plan.values import once_each, same_values
from sqlflow.plan.verify import WRONG, Proof, count, left_out
from sqlflow.plan.world import World

_BATCH = Ident("_sqlflow_batch")
_REPEATED = Ident("_sqlflow_repeated")
_LATEST = Ident("_sqlflow_latest")
_GONE = Ident("_sqlflow_gone")
_NET = Ident("_sqlflow_net")
_SEVERAL = Ident("_sqlflow_several")
_TIMES = Ident("_sqlflow_times")
_FOUND = Ident("_sqlflow_found")
_ONCE = Ident("_sqlflow_once")
_TIED = Ident("_sqlflow_tied")
_AGAIN = Ident("_sqlflow_again")
_WAS = Ident("_sqlflow_was")
_REMOVED = Ident("_sqlflow_removed")
_KEPT_DELETIONS = Ident("_sqlflow_kept_deletions")


def update(sight: Sight, subject: Subject, before: TableRecord, effect: Effect, clock: Reason | None) -> Decision:
    """What is new or changed is brought in, in the way that is cheapest."""
    world, header = sight.world, subject.model.header
    forgot = _remembers(subject) and deletions_of(subject.table).name not in world.inputs.kept
    if not effect and clock is None and not forgot:
        return Leave()
    reason = clock or Reason(ReasonKind.INPUT_CHANGED, "; ".join(effect.why))
    if forgot:
        why = "the table of its deleted keys is lost, so all that it reads is read again"
        reason = Reason(ReasonKind.MISSING, "; ".join((why, *effect.why)))
    choice = strategies.choice_of(header, before, subject.model.schema, world.words.prices)
    everything = effect.definition or clock is not None or forgot or header.incremental is Incremental.OFF
    ways = strategies.expected(choice, before)
    record, log = changelog.logged(world, subject.model.schema, before, sight.next_record(subject))
    steps = _brought_in(subject, choice, log, everything=everything)
    return has_new_rows(sight, subject, "merge", choice.fixed or Method.AUTO, reason, steps, record, log, ways)


def rebuild(sight: Sight, subject: Subject, reason: Reason) -> Write:
    """All rows that the query gives now, and those that it kept where only the columns changed."""
    steps = _made(subject, _kept(sight.world, subject, reason))
    return rebuilt(sight, subject, reason, steps, record_of(sight, subject, reason))


def proofs(subject: Subject, shape: Shape) -> tuple[Proof, ...]:
    """Each key that the query gives is there, with its row."""
    return (_merged(subject),)


def _made(subject: Subject, keeps: Schema) -> tuple[Step, ...]:
    """The first build, or one from scratch: the query's rows as they come, and then keys that came more than once and
    deletions are put right.

    `keeps`: columns of the table that stands, with the types that they have there, whose rows are kept where the query has no
    row of their key.
    """
    header = subject.model.header
    table, shared = subject.table, names(keeps)
    steps: list[Step] = []
    if shared:
        retyped = _retyped(subject, keeps)
        was = make_temporary(
            _WAS, "SELECT {cs} FROM {t}", t=table,
            cs=[_cast(column, subject) if column in retyped else Ident(column.name) for column in keeps],
        )  # fmt: skip
        steps += [*_same_keys_after(subject, retyped, table), replace(write(was), hint=_keep_type(subject, retyped))]
    marked = compose("SELECT *, {gone} AS {mark} FROM {t}", gone=is_deletion(subject), mark=_GONE, t=table)
    steps += [
        *replace_table(subject, compose("SELECT {cs} FROM (\n{q}\n) AS _q", cs=subject.columns, q=subject.query)),
        *_measure(subject, table, None),
        *_one_per_key(subject, table),
        *_new_deletions(subject, marked, keeps),
    ]
    if header.deleted is not None:
        removed = make_temporary(
            _REMOVED, "SELECT {key} FROM {t} WHERE {when}",
            key=[Ident(name) for name in header.key], t=table, when=is_deletion(subject),
        )  # fmt: skip
        steps += [write(removed), write(compose("DELETE FROM {t} WHERE {when}", t=table, when=is_deletion(subject)))]
    if shared:
        others: list[Part] = [table] if header.deleted is None else [table, _REMOVED]
        same = matches(subject.words, "_was", "_other", header.key)
        absent = [compose("NOT EXISTS (SELECT 1 FROM {o} AS _other WHERE {same})", o=o, same=same) for o in others]
        back = compose(
            "INSERT INTO {t} ({cs}) SELECT {cs} FROM {was} AS _was WHERE {absent}",
            t=table, cs=shared, was=_WAS, absent=joined(" AND ", absent),
        )  # fmt: skip
        changed = tuple(column for column in keeps if column.type != subject.type_of(column.name))
        steps.append(replace(write(back), hint=_keep_type(subject, changed)))
    rows = compose("SELECT count(*) FROM {t}", t=table)
    steps.append(Step(StepKind.MEASURE, rows, facts=(Fact.ROWS,), counts=True))
    return tuple(steps)


def _retyped(subject: Subject, keeps: Schema) -> tuple[Column, ...]:
    """The columns of the key that have another type now, with the type that they had."""
    key = keeps.only(subject.model.header.key) if len(keeps) else keeps
    return tuple(column for column in key if column.type != subject.type_of(column.name))


def _cast(column: Column, subject: Subject) -> Sql:
    return compose("CAST({c} AS {kind}) AS {c}", c=Ident(column.name), kind=Sql(subject.type_of(column.name)))


def _same_keys_after(subject: Subject, retyped: tuple[Column, ...], rows: TableName) -> list[Step]:
    """Stop where a key that is kept would be another one in its new type, or two would be one."""
    if not retyped:
        return []
    back = [
        subject.words.same(
            compose("CAST(CAST({c} AS {new}) AS {old})", c=c, new=Sql(subject.type_of(c)), old=Sql(column.type)), compose("{c}", c=c)
        )
        for column in retyped
        if (c := Ident(column.name))
    ]  # fmt: skip
    key = [Ident(name) for name in subject.model.header.key]
    changes = ", ".join(f"`{c.name}` was {c.type} and is {subject.type_of(c.name)}" for c in retyped)
    return [
        Step(
            StepKind.GUARD,
            compose("SELECT {key} FROM {t} WHERE NOT ({back}) ORDER BY {key} LIMIT 6", key=key, t=rows, back=joined(" AND ", back)),
            code="key-type",
            message=f"the type of `@key` changed: {changes}; keys of rows that are kept would change with it: {{rows}}",
            hint=_keep_type(subject, retyped),
        )
    ]  # fmt: skip


def _keep_type(subject: Subject, retyped: tuple[Column, ...]) -> str | None:
    if not retyped:
        return None
    cast = ", ".join(f"CAST({column.name} AS {column.type}) AS {column.name}" for column in retyped)
    return (
        f"keep the type with {cast} in the query, or make the table anew with `sqlflow build {subject.table} --full-refresh`: "
        "rows that its source no longer has are lost then"
    )


def _brought_in(subject: Subject, choice: Choice, log: Log | None, *, everything: bool) -> tuple[Step, ...]:
    """Bring what is new into the table, and write down what changes if there is a log. `everything`: read all rows, not
    only those beyond the watermark."""
    header = subject.model.header
    steps: list[Step] = []
    limit: Sql | None = None
    before = subject.before
    if header.cursor is None or before is None or before.watermark is None or everything:
        steps += [_read(subject, Sql("TRUE")), meet(subject, _LATEST)]
    else:
        cursor = Ident(header.cursor)
        limit = boundary(subject, before.watermark)
        steps += [
            count_below(subject, cursor, limit),
            _read(subject, compose("{c} >= {limit} OR {c} IS NULL", c=cursor, limit=limit)),
            meet(subject, _LATEST),
            *prove_below(subject, before, cursor, limit, _LATEST),
            _read(subject, Sql("TRUE"), only_if=IS_UNKNOWN),
            meet(subject, _LATEST, only_if=IS_UNKNOWN),
        ]
    steps += _measure(subject, _LATEST, limit)
    rows_read = compose("SELECT count(*) FROM {latest}", latest=_LATEST)
    steps.append(Step(StepKind.MEASURE, rows_read, facts=(Fact.ROWS_READ,)))
    steps += _one_per_key(subject, _LATEST)
    steps += _conflicts(subject)
    steps += _deletions(subject)
    if limit is not None and header.lookback is None and before is not None:
        steps += _without_ties(subject, before)
    if subject.model.written:
        steps.append(_without_known(subject))
    steps += strategies.decide(subject, choice, _LATEST, _GONE)
    if log is not None:
        steps += _written_down(subject, log)
    steps += _apply(subject, choice)
    return tuple(steps)


def _without_known(subject: Subject) -> Step:
    """Take out the rows that the table has, but for when they were written: they keep that."""
    return write(
        compose(
            "DELETE FROM {latest} USING (SELECT * FROM {t} AS _target WHERE {met}) AS _target "
            "WHERE {same} AND NOT {gone} AND {alike}",
            latest=_LATEST, t=subject.table, met=is_met(subject, _LATEST), gone=_GONE,
            same=matches(subject.words, "_target", "_sqlflow_latest", subject.model.header.key),
            alike=strategies.same_row(subject, "_target", "_sqlflow_latest"),
        )
    )  # fmt: skip


def _written_down(subject: Subject, log: Log) -> list[Step]:
    """What the table is about to gain and lose: all ways of applying the new rows give the same."""
    schema = subject.model.schema
    parts: dict[str, Part] = {
        "cs": subject.columns, "w": WEIGHT, "latest": _LATEST, "gone": _GONE, "t": subject.table,
        "met": is_met(subject, _LATEST),
    }  # fmt: skip
    weighted = compose(_GAINED_AND_LOST, **parts)
    return [
        *log.opened(subject.table),
        net(subject.words, _NET, schema, weighted),
        log.rows(expanded(subject.words, _NET, schema, 1), 1),
        log.rows(expanded(subject.words, _NET, schema, -1), -1),
        Step(StepKind.MEASURE, compose("SELECT EXISTS (SELECT 1 FROM {n})", n=_NET), facts=(Fact.CHANGED,)),
    ]


_GAINED_AND_LOST: LiteralString = (
    "SELECT {cs}, 1 AS {w} FROM {latest} WHERE NOT {gone} UNION ALL "
    "SELECT {cs}, -1 AS {w} FROM {t} AS _target WHERE {met}"
)


def unmerged(subject: Subject, wrong: Ident) -> tuple[Step, ...]:
    """Fill the temporary table `wrong` with what the table would gain and lose if all rows of the query were merged once
    more: nothing, because a merge may be repeated. Only temporary tables are written."""
    header, schema = subject.model.header, subject.model.kept
    read = make_temporary(
        _BATCH, "SELECT {key} FROM {latest}",
        key=[Ident(name) for name in header.key], latest=_LATEST,
    )  # fmt: skip
    steps = [_read(subject, Sql("TRUE")), meet(subject, _LATEST), write(read), *_one_per_key(subject, _LATEST)]
    steps += [step for step in _conflicts(subject) if step.kind is StepKind.WRITE]
    if _remembers(subject):
        steps.append(_without_deleted(subject))
    parts: dict[str, Part] = {
        "cs": names(schema), "w": WEIGHT, "latest": _LATEST, "gone": _GONE, "t": subject.table,
        "met": is_met(subject, _LATEST),
    }  # fmt: skip
    return (*steps, net(subject.words, wrong, schema, compose(_GAINED_AND_LOST, **parts)))


def alone(subject: Subject) -> Sql:
    """The condition that the key of a row of the table (`_target`) is none of those that `unmerged` has read."""
    same = matches(subject.words, "_target", "_read", subject.model.header.key)
    return compose("NOT EXISTS (SELECT 1 FROM {batch} AS _read WHERE {same})", batch=_BATCH, same=same)


def _without_ties(subject: Subject, before: TableRecord) -> list[Step]:
    """Take out the rows that are read again because they tie with the watermark or have no cursor, if they are as they
    were: then a batch of nothing but new keys is seen as that."""
    header = subject.model.header
    cursor = Ident(header.cursor or "")
    parts: dict[str, Part] = {
        "latest": _LATEST, "tied": _TIED, "again": _AGAIN, "t": subject.table, "c": cursor, "gone": _GONE,
        "reached": watermark_literal(before.watermark or "", subject.type_of(cursor)),
        "met": is_met(subject, _AGAIN), "same": matches(subject.words, "_target", "_sqlflow_latest", header.key),
        "alike": strategies.same_row(subject, "_target", "_sqlflow_latest"),
    }  # fmt: skip
    return [
        write(
            make_temporary(
                _AGAIN,
                "SELECT * FROM {latest} WHERE NOT coalesce({c} > {reached}, FALSE) AND NOT {gone}",
                **parts,
            ),
            only_if=IS_KNOWN,
        ),
        write(
            make_temporary(_TIED, "SELECT * FROM {t} AS _target WHERE {met}", **parts),
            only_if=IS_KNOWN,
        ),
        write(
            compose(
                "DELETE FROM {latest} USING {tied} AS _target WHERE {same} AND NOT coalesce({latest}.{c} > {reached}, FALSE) "
                "AND NOT {gone} AND {alike}",
                **parts,
            ),
            only_if=IS_KNOWN,
        ),
    ]


def _apply(subject: Subject, choice: Choice) -> list[Step]:
    """The steps of every way that may have been chosen; which of them run is asked when they do."""
    parts: dict[str, Part] = {
        "t": subject.table, "latest": _LATEST, "gone": _GONE, "cs": subject.columns,
        "same": matches(subject.words, "_target", "_sqlflow_latest", subject.model.header.key),
        "met": is_met(subject, _LATEST),
    }  # fmt: skip
    steps = []
    if CHANGES in choice.ways or CDC in choice.ways:
        alike = strategies.same_row(subject, "_target", "_sqlflow_latest")
        found = compose("(SELECT * FROM {t} AS _target WHERE {met})", **parts)
        prune = compose(
            "DELETE FROM {latest} USING {found} AS _target WHERE {same} AND NOT {gone} AND {alike}",
            found=found if subject.words.numbers_rows else subject.table, alike=alike, **parts,
        )  # fmt: skip
        steps.append(write(prune, only_if=strategies.taken(CHANGES, CDC), timed=True, fact=Fact.UNCHANGED))
    # MERGE is what the others fall back to when they cannot be taken.
    delete = compose("DELETE FROM {t} AS _target WHERE {met}", **parts)
    always = choice.ways == (MERGE,)
    only_if = None if always else strategies.taken(MERGE, CHANGES, CDC)
    steps.append(write(delete, only_if=only_if, timed=True, fact=Fact.REPLACED))
    insert = compose("INSERT INTO {t} ({cs}) SELECT {cs} FROM {latest} WHERE NOT {gone}", **parts)
    only_if = None if always else strategies.taken(APPEND, MERGE, CHANGES, CDC)
    steps.append(write(insert, counts=True, only_if=only_if, timed=True))
    if SWAP in choice.ways:
        swap = compose(
            "SELECT {cs} FROM {t} AS _target WHERE NOT {met} UNION ALL SELECT {cs} FROM {latest} WHERE NOT {gone}",
            **parts,
        )
        published = subject.words.publish(
            subject.table, swap, subject.model.schema, fits=True, parts=subject.model.header.partition_by
        )
        steps += [
            write(sql, counts=sql is published.fill, only_if=strategies.taken(SWAP), timed=True)
            for sql in published.statements
        ]
    return steps


def _read(subject: Subject, condition: Sql, only_if: Sql | None = None) -> Step:
    """The rows that are read, each with whether it means "delete this key"."""
    return write(
        make_temporary(
            _LATEST, "SELECT *, {gone} AS {mark} FROM "
            "(SELECT {cs} FROM (\n{q}\n) AS _q WHERE {condition}) AS _rows",
            cs=subject.columns, q=subject.query, condition=condition, gone=is_deletion(subject), mark=_GONE,
        ),
        only_if=only_if,
    )  # fmt: skip


def _one_per_key(subject: Subject, rows: Ident | TableName) -> list[Step]:
    """Leave the newest row of each key in `rows`; two that are equally new, or any two without a cursor, stop the build.

    Only keys that come more than once are looked at again; where these are many, the table is written anew.
    """
    header = subject.model.header
    parts: dict[str, Part] = {
        "rows": rows, "repeated": _REPEATED, "several": _SEVERAL, "key": tuple(Ident(name) for name in header.key),
        "same": matches(subject.words, "_rows", "_sqlflow_repeated", header.key), "times": _TIMES,
        "all": [*subject.columns, *((_GONE,) if isinstance(rows, Ident) else ())],
    }  # fmt: skip
    found = compose(
        "SELECT count(*) > 0 AS found_some, coalesce(sum({times}), 0) * 4 > (SELECT count(*) FROM {rows}) AS found_many FROM {repeated}",
        **parts,
    )
    some, many, few = (
        compose("SELECT {which} FROM {found}", which=Sql(which), found=_FOUND)
        for which in ("found_some", "found_many", "found_some AND NOT found_many")
    )
    picked = compose("SELECT {all} FROM {rows} AS _rows WHERE EXISTS (SELECT 1 FROM {repeated} WHERE {same})", **parts)
    hint = "give a `cursor`, so that the newest row wins, or make the query's keys unique"
    if header.cursor is not None:
        newest = compose(
            "SELECT {all} FROM (SELECT *, rank() OVER (PARTITION BY {key} ORDER BY {cursor} DESC NULLS LAST) "
            "AS _sqlflow_rank FROM ({picked}) AS _picked) AS _ranked WHERE _sqlflow_rank = 1",
            picked=picked, cursor=Ident(header.cursor), **parts,
        )  # fmt: skip
        picked = once_each(subject, newest, _GONE if isinstance(rows, Ident) else None)
        hint = f"rows of one key with the same `{header.cursor}` differ: make the cursor finer, or the keys unique"
    steps = [
        write(
            make_temporary(
                _REPEATED,
                "SELECT {key}, count(*) AS {times} FROM {rows} GROUP BY {key} HAVING count(*) > 1",
                **parts,
            )
        ),
        write(make_temporary(_FOUND, found)),
        write(make_temporary(_SEVERAL, picked), only_if=some),
        Step(
            StepKind.GUARD,
            compose("SELECT {key} FROM {several} GROUP BY {key} HAVING count(*) > 1 ORDER BY {key} LIMIT 6", **parts),
            only_if=some,
            code="duplicate-key",
            message=f"the query gives more than one row for a key ({', '.join(header.key)}): {{rows}}",
            hint=hint,
        ),
    ]
    if header.cursor is None:
        return steps
    return [
        *steps,
        write(compose("DELETE FROM {rows} AS _rows USING {repeated} WHERE {same}", **parts), only_if=few),
        write(compose("INSERT INTO {rows} SELECT {all} FROM {several}", **parts), only_if=few),
        *(replace(step, only_if=many) for step in _written_anew(subject, rows, parts)),
    ]


def _written_anew(subject: Subject, rows: Ident | TableName, parts: dict[str, Part]) -> list[Step]:
    """`rows` with one row for each key that came more than once."""
    kept = compose(
        "SELECT {all} FROM {rows} AS _rows WHERE NOT EXISTS (SELECT 1 FROM {repeated} WHERE {same}) "
        "UNION ALL SELECT {all} FROM {several}",
        **parts,
    )
    if isinstance(rows, Ident):
        anew = make_temporary(_ONCE, kept)
        back = make_temporary(rows, "SELECT * FROM {once}", once=_ONCE)
        return [write(anew), write(back)]
    published = subject.words.publish(
        subject.table, kept, subject.model.schema, fits=True, parts=subject.model.header.partition_by
    )
    return [write(sql) for sql in published.statements]


def _conflicts(subject: Subject) -> list[Step]:
    """Take out of the new rows what the table's own rows win against."""
    header = subject.model.header
    same = matches(subject.words, "_target", "_sqlflow_latest", header.key)
    return [*_without_cursor(subject, same), *_by_policy(subject, same)]


def _without_cursor(subject: Subject, same: Sql) -> list[Step]:
    """A row without a cursor is older than any that has one, also than one that was read long ago."""
    cursor = subject.model.header.cursor
    if cursor is None:
        return []
    older = compose("{latest}.{c} IS NULL AND _target.{c} IS NOT NULL", latest=_LATEST, c=Ident(cursor))
    sql = compose(
        "DELETE FROM {latest} USING {t} AS _target WHERE {same} AND {older}",
        latest=_LATEST, t=MET, same=same, older=older,
    )  # fmt: skip
    return [write(sql)]


def _by_policy(subject: Subject, same: Sql) -> list[Step]:
    header = subject.model.header
    parts: dict[str, Part] = {"latest": _LATEST, "t": MET, "same": same, "gone": _GONE}
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
            alike = same_values(
                subject.model, subject.words, Sql("_target"), Sql("_sqlflow_latest"), subject.model.kept
            )
            keys = [compose("{latest}.{k}", latest=_LATEST, k=Ident(k)) for k in header.key]
            guard = compose(
                "SELECT {keys} FROM {latest} JOIN {whole} AS _target ON {same} WHERE NOT {gone} AND NOT ({alike}) "
                "ORDER BY {keys} LIMIT 6",
                keys=keys, alike=alike, whole=subject.table, **parts,
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
    header = subject.model.header
    return header.cursor is not None and header.deleted is not None


def _new_deletions(subject: Subject, marked: Sql, keeps: Schema) -> list[Step]:
    """What is remembered of deletions after a rebuild: those of the query, and those of other keys if rows are kept.

    `marked`: one row for each key that the query gives, each with whether it means "delete this key".
    """
    header = subject.model.header
    if not _remembers(subject):
        return [forget(subject.table)] if subject.before is not None else []
    kept = [*header.key, header.cursor or ""]
    parts: dict[str, Part] = {
        "deleted": deletions_of(subject.table), "cs": [Ident(name) for name in dict.fromkeys(kept)], "latest": compose("({marked}) AS _row", marked=marked), "gone": _GONE,
    }  # fmt: skip
    if not len(keeps):
        return [write(make(deletions_of(subject.table), "SELECT {cs} FROM {latest} WHERE {gone}", **parts))]
    same = matches(subject.words, "_deleted", "_row", header.key)
    cast = [
        compose("CAST(_deleted.{c} AS {kind}) AS {c}", c=Ident(name), kind=Sql(subject.type_of(name)))
        for name in dict.fromkeys(kept)
    ]
    return [
        write(compose("CREATE TABLE IF NOT EXISTS {deleted} AS SELECT {cs} FROM {latest} WHERE FALSE", **parts)),
        *_same_keys_after(subject, _retyped(subject, keeps), deletions_of(subject.table)),
        write(
            make_temporary(
                _KEPT_DELETIONS, "SELECT {cs} FROM (SELECT {cast} FROM {deleted} AS _deleted) AS _deleted "
                "WHERE NOT EXISTS (SELECT 1 FROM {latest} WHERE {same})",
                cast=cast, same=same, **parts,
            )
        ),
        write(
            make(
                deletions_of(subject.table), "SELECT {cs} FROM {latest} WHERE {gone} UNION ALL SELECT {cs} FROM {kept}",
                kept=_KEPT_DELETIONS, **parts,
            )
        ),
    ]  # fmt: skip


def _deletions(subject: Subject) -> list[Step]:
    """Take out of the new rows what a remembered deletion wins against, and remember the new deletions."""
    header = subject.model.header
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
    header = subject.model.header
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


def _measure(subject: Subject, rows: Part, limit: Sql | None) -> tuple[Step, ...]:
    """What the next run must know of the rows that were read, before any of them are taken out."""
    return () if subject.model.header.cursor is None else (measure(subject, rows, limit),)


def _kept(world: World, subject: Subject, reason: Reason) -> Schema:
    """The columns, as they stand, in which rows that the source no longer has outlive a rebuild that the author did not ask
    for: one because the source's columns changed."""
    found = world.inputs.tables.get(subject.table)
    before = subject.before
    asked = world.request.full_refresh or reason.kind is not ReasonKind.COLUMNS_CHANGED
    if asked or found is None or before is None or not promised(before.mode).keyed:
        return Schema()
    shared = tuple(
        Column(c.name, was.type) for c in subject.model.schema if (was := found.schema.find(c.name)) is not None
    )
    key = subject.model.header.key
    return Schema(shared if all(found.schema.find(name) is not None for name in key) else ())


def _merged(subject: Subject) -> Proof:
    header, schema = subject.model.header, subject.model.kept
    steps = unmerged(subject, WRONG)
    excused = compose("SELECT count(*) FROM {t} AS _target WHERE {alone}", t=subject.table, alone=alone(subject))
    return Proof(
        "rows", steps, count(subject.table), schema, (*left_out(subject.model), *_merge_notes(header)),
        ((excused, "that `merge` keeps, of keys that the query does not give"),),
    )  # fmt: skip


def _merge_notes(header: Header) -> tuple[str, ...]:
    notes = []
    if header.conflict in (Conflict.TARGET_WINS, Conflict.MANUAL):
        notes.append(f"`conflict: {header.conflict}`: only missing keys were looked for, for the table's rows win")
    if header.cursor is not None:
        notes.append(
            f"a row that changed in the source while its `{header.cursor}` did not grow is not seen by a merge"
        )
    if header.before or header.after:
        notes.append("its hooks may have changed the table")
    return tuple(notes)
