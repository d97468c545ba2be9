"""`snapshot`: the history of each key, one row for each version (SCD type 2).

A version is told by its key and the time from which it is valid; ends are half-open. What is done ends in two temporary tables:
the versions that go (`_sqlflow_closed`) and those that come (`_sqlflow_opened`); one that is closed is in both.

Without a cursor the query's rows are held against the versions that are open. A version begins at the moment of the build, of
which there is one for all rows.

With a cursor a row is an event: at its time its key had these values, or was deleted. The history of a key is what its events
give in the order of time, however they came: those of the table are put together with those that were read, and what
differs is written. Where the query's rows do not say themselves that a key is gone, its end is the moment of the build.

Deletions that the query's rows tell of are remembered in `_sqlflow."deleted <table>"`, key and cursor: one of a key that has no
version at that time leaves nothing in the table, and yet ends what comes late.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import LiteralString

from msgspec import Struct
from msgspec.structs import replace

from sqlflow.core.following import Shape
from sqlflow.core.keeping import deletions_of
from sqlflow.core.model import DeletedRows, Incremental
from sqlflow.core.plan import Reason, ReasonKind, Step, StepKind
from sqlflow.core.records import TableRecord
from sqlflow.core.schema import Column, Schema
from sqlflow.core.sql import Ident, Part, Sql, Value, compose, joined, make, make_temporary, quoted
from sqlflow.core.ways import Fact, Method
from sqlflow.plan.cursor import IS_KNOWN, IS_UNKNOWN, boundary, count_below, measure, prove_below
from sqlflow.plan.draft import Decision, Draft, Leave, Sight, Write, seen
from sqlflow.plan.following import changelog
from sqlflow.plan.log import WEIGHT, Log, names, net
from sqlflow.plan.matched import MET
from sqlflow.plan.rebuild import forget, rebuilt, record_of
from sqlflow.plan.refusals import carries_on
from sqlflow.plan.stale import Effect
from sqlflow.plan.subject import ZONED, Subject, is_deletion, matches, moment_literal, replace_table, write
from sqlflow.plan.values import same_values, values
from sqlflow.plan.verify import WRONG, Proof, count, left_out

_BATCH = Ident("_sqlflow_batch")
_LATEST = Ident("_sqlflow_latest")
_HAD = Ident("_sqlflow_had")
_KNOWN = Ident("_sqlflow_known_versions")
_EVENTS = Ident("_sqlflow_events")
_TIMELINE = Ident("_sqlflow_timeline")
_NET = Ident("_sqlflow_net")
_VANISHED = Ident("_sqlflow_vanished")
_CLOSED = Ident("_sqlflow_closed")
_OPENED = Ident("_sqlflow_opened")
_WAS = Ident("_sqlflow_was")
_EXPECTED = Ident("_sqlflow_expected")
_CURRENT = Ident("_sqlflow_current")
_GONE = Ident("_sqlflow_gone")
_AT = Ident("_sqlflow_at")
_TICK = Sql("CAST('1 microsecond' AS INTERVAL)")  # the shortest time between two versions


def update(sight: Sight, subject: Subject, before: TableRecord, effect: Effect, clock: Reason | None) -> Decision:
    """Versions are closed and opened where the query gives something else."""
    forgot = _remembers(subject) and deletions_of(subject.table).name not in sight.world.inputs.kept
    if not effect and clock is None and not forgot:
        return Leave()
    reason = clock or Reason(ReasonKind.INPUT_CHANGED, "; ".join(effect.why))
    if forgot:
        why = "the table of its deleted keys is lost, so all that it reads is read again"
        reason = Reason(ReasonKind.MISSING, "; ".join((why, *effect.why)))
    off = subject.model.header.incremental is Incremental.OFF
    everything = effect.definition or clock is not None or forgot or off
    record, log = changelog.logged(sight.world, subject.model.schema, before, sight.next_record(subject))
    return _carried_on(sight, subject, reason, record, log, (), everything=everything, edited=effect.definition)


def rebuild(sight: Sight, subject: Subject, reason: Reason) -> Write:
    """The first versions; or what an edit makes of the history that there is, which is never made again."""
    if not carries_on(sight.world, subject):
        record = _reached(sight, subject, record_of(sight, subject, reason))
        return rebuilt(sight, subject, reason, _first(sight, subject), record)
    if subject.fits:
        record, log = changelog.logged(sight.world, subject.model.schema, subject.before, sight.next_record(subject))
        return _carried_on(sight, subject, reason, record, log, (), everything=True, edited=True)
    record = replace(sight.next_record(subject), logged=None)
    shaped = _reshaped(sight, subject)
    return _carried_on(sight, subject, reason, record, None, shaped, everything=True, edited=True)


def proofs(subject: Subject, shape: Shape) -> tuple[Proof, ...]:
    """The current versions are the query's rows, and no two versions of a key are valid at one time."""
    return (_current_rows(subject), _no_overlaps(subject))


def _carried_on(
    sight: Sight,
    subject: Subject,
    reason: Reason,
    record: TableRecord,
    log: Log | None,
    shaped: tuple[Step, ...],
    *,
    everything: bool,
    edited: bool,
) -> Write:
    before, header = subject.before, subject.model.header
    assert before is not None
    record = _reached(sight, subject, replace(record, watermark=before.watermark, seen=before.seen, rows=None))
    by_cursor = header.cursor is not None
    if by_cursor:
        found = _by_cursor(sight, subject, everything=everything, edited=edited)
    else:
        found = _by_comparison(sight, subject)
    rows = Step(StepKind.MEASURE, compose("SELECT count(*) FROM {t}", t=subject.table), facts=(Fact.ROWS,))
    draft = Draft(
        action="snapshot",
        strategy=Method.CHANGES,
        reason=reason,
        steps=(*shaped, *found, *_applied(subject, log), rows, *seen(sight.world, subject.model)),
        record=record,
        opened=() if log is None else log.opened(subject.table),
        anew=bool(shaped),
    )
    return Write((draft,), record, "has other versions in this build", subject.causes)


class _Columns(Struct, frozen=True):
    """The names of a history's columns. `mark`: that of tombstones, if there are any."""

    start: Ident
    end: Ident
    current: Ident
    mark: Ident | None
    kind: Sql  # the type of the times

    def row(self, start: Sql, end: Sql, current: Sql, deleted: Sql) -> list[Sql]:
        """What comes behind the query's columns in a SELECT list."""
        found = [
            compose("{v} AS {c}", v=start, c=self.start),
            compose("{v} AS {c}", v=end, c=self.end),
            compose("{v} AS {c}", v=current, c=self.current),
        ]
        return found if self.mark is None else [*found, compose("{v} AS {c}", v=deleted, c=self.mark)]

    def dead(self, alias: str) -> Sql:
        """The condition that a version is a tombstone."""
        return Sql("FALSE") if self.mark is None else compose("{a}.{c}", a=Ident(alias), c=self.mark)


def _columns(subject: Subject) -> _Columns:
    header = subject.model.header
    validity = header.validity
    kind = Sql(subject.type_of(validity.start))
    mark = Ident(validity.deleted) if validity.deleted in header.added else None
    return _Columns(Ident(validity.start), Ident(validity.end), Ident(validity.current), mark, kind)


def _open_end(subject: Subject) -> Sql:
    day, kind = subject.model.header.validity.open, _columns(subject).kind
    return compose("CAST({v} AS {kind})", v=Value(None if day is None else day.isoformat()), kind=kind)


def _is_open(subject: Subject, alias: str) -> Sql:
    end = compose("{a}.{c}", a=Ident(alias), c=_columns(subject).end)
    if subject.model.header.validity.open is None:
        return compose("{end} IS NULL", end=end)
    return compose("{end} = {open}", end=end, open=_open_end(subject))


def _moment(sight: Sight, subject: Subject) -> datetime:
    """The moment of the build. Where rows are compared it is later than that of the build before, whatever the clock says."""
    before, now = subject.before, sight.world.now
    if subject.model.header.cursor is not None or before is None or before.watermark is None:
        return now
    if not carries_on(sight.world, subject):
        return now
    return max(now, datetime.fromisoformat(before.watermark) + timedelta(microseconds=1))


def _now(sight: Sight, subject: Subject) -> Sql:
    """The moment of the build, as a value of the type of its times: on the wall of the project's zone where they have none."""
    kind, moment = _columns(subject).kind, _moment(sight, subject)
    return moment_literal(moment if kind == ZONED else moment.astimezone(subject.zone), kind)


def _reached(sight: Sight, subject: Subject, record: TableRecord) -> TableRecord:
    """The record with the moment of this build, where versions begin with it."""
    if subject.model.header.cursor is not None:
        return record
    return replace(record, watermark=_moment(sight, subject).isoformat(), seen=None)


def _remembers(subject: Subject) -> bool:
    """Whether deletions are remembered beside the table: tombstones are in it."""
    header = subject.model.header
    return header.cursor is not None and header.deleted is not None and _columns(subject).mark is None


def _of(alias: str, columns: tuple[Ident, ...] | list[Ident]) -> list[Sql]:
    return [compose("{a}.{c}", a=Ident(alias), c=c) for c in columns]


def _same(subject: Subject, left: str, right: str, *, cursor: bool = False) -> Sql:
    header = subject.model.header
    more = (header.cursor,) if cursor and header.cursor is not None else ()
    return matches(subject.words, left, right, (*header.key, *more))


def _compared(subject: Subject) -> Schema:
    """The columns of which another value makes another version."""
    wanted, kept = subject.model.header.compare, subject.model.kept
    return kept.only([name for name in wanted if kept.find(name) is not None]) if wanted else kept


def _alike(subject: Subject, left: str, right: str, schema: Schema) -> Sql:
    return same_values(subject.model, subject.words, Sql(quoted(left)), Sql(quoted(right)), schema)


def _read(subject: Subject, condition: Sql, only_if: Sql | None = None) -> Step:
    """The rows that are read, each with whether it means "delete this key"."""
    return write(
        make_temporary(
            _BATCH, "SELECT *, {gone} AS {mark} FROM (SELECT {cs} FROM (\n{q}\n) AS _q WHERE {condition}) AS _rows",
            cs=names(subject.model.queried), q=subject.query, condition=condition, gone=is_deletion(subject), mark=_GONE,
        ),
        only_if=only_if,
    )  # fmt: skip


def _rows_read() -> Step:
    return Step(StepKind.MEASURE, compose("SELECT count(*) FROM {rows}", rows=_BATCH), facts=(Fact.ROWS_READ,))


# ------------------------------------------------------------------ the first versions


def _first(sight: Sight, subject: Subject) -> tuple[Step, ...]:
    """A history begins."""
    header, columns = subject.model.header, _columns(subject)
    queried = names(subject.model.queried)
    forgotten = [forget(subject.table)] if subject.before is not None and not _remembers(subject) else []
    if header.cursor is None:
        row = columns.row(_now(sight, subject), _open_end(subject), Sql("TRUE"), Sql("FALSE"))
        rows = compose(
            "SELECT {cs}, {row} FROM {batch} WHERE NOT {gone}", cs=queried, row=row, batch=_BATCH, gone=_GONE
        )
        read = (_read(subject, Sql("TRUE")), _rows_read(), _one_per_key(subject))
        return (*read, *forgotten, *replace_table(subject, rows))
    rows = compose("SELECT {cs} FROM {timeline}", cs=subject.columns, timeline=_TIMELINE)
    none = make_temporary(
        _EVENTS, "SELECT {cs}, CAST({c} AS {kind}) AS {at}, CASE WHEN {gone} THEN 2 ELSE 0 END AS {gone}, 1 AS origin, "
        "{gone} AS shown FROM {latest}",
        cs=queried, c=Ident(header.cursor), kind=columns.kind, at=_AT, gone=_GONE, latest=_LATEST,
    )  # fmt: skip
    steps = [
        _read(subject, Sql("TRUE")),
        *_dated(subject, None),
        write(none),
        _timeline(subject),
        *forgotten,
        *replace_table(subject, rows),
    ]
    if _remembers(subject):
        told = compose("SELECT {cs} FROM {latest} WHERE {gone}", cs=_identity(subject), latest=_LATEST, gone=_GONE)
        steps.append(write(make(deletions_of(subject.table), told)))
    return tuple(steps)


def _one_per_key(subject: Subject) -> Step:
    """Stop where nothing says which of two rows of a key is the one."""
    key = [Ident(name) for name in subject.model.header.key]
    sql = compose("SELECT {key} FROM {b} GROUP BY {key} HAVING count(*) > 1 ORDER BY {key} LIMIT 6", key=key, b=_BATCH)
    return Step(
        StepKind.GUARD,
        sql,
        code="duplicate-key",
        message=f"the query gives more than one row for a key ({', '.join(subject.model.header.key)}): {{rows}}",
        hint="give a `cursor`, so that each row is a version of its own, or make the query's keys unique",
    )


def _identity(subject: Subject) -> list[Ident]:
    """Key and cursor."""
    header = subject.model.header
    return [Ident(name) for name in dict.fromkeys((*header.key, header.cursor or ""))]


# ------------------------------------------------------------------ by comparison


def _by_comparison(sight: Sight, subject: Subject) -> tuple[Step, ...]:
    """Close the versions that are no longer what the query gives, and open those that it gives."""
    header, columns = subject.model.header, _columns(subject)
    now, end = _now(sight, subject), _open_end(subject)
    queried = list(names(subject.model.queried))
    parts: dict[str, Part] = {
        "t": subject.table, "b": _BATCH, "gone": _GONE, "closed": _CLOSED, "all": _of("_o", subject.columns),
        "open": _is_open(subject, "_o"), "same": _same(subject, "_o", "_b"), "dead": columns.dead("_o"),
        "alike": _alike(subject, "_o", "_b", _compared(subject)), "start": columns.start,
        "absent": Sql("FALSE" if header.absent is DeletedRows.IGNORE else "TRUE"),
        "mine": _of("_o", queried), "theirs": _of("_b", queried),
        "ended": columns.row(compose("_o.{c}", c=columns.start), now, Sql("FALSE"), columns.dead("_o")),
        "begun": columns.row(now, end, Sql("TRUE"), Sql("FALSE")),
    }  # fmt: skip
    opened = compose(_BEGUN, **parts)
    if columns.mark is not None:
        stone = columns.row(now, end, Sql("FALSE"), Sql("TRUE"))
        opened = compose(_BEGUN_AND_BURIED, opened=opened, stone=stone, **parts)
    return (
        _read(subject, Sql("TRUE")),
        _rows_read(),
        _one_per_key(subject),
        write(make_temporary(_CLOSED, _TO_CLOSE, **parts)),
        write(make_temporary(_OPENED, opened)),
    )


_TO_CLOSE: LiteralString = (
    "SELECT {all} FROM (SELECT * FROM {t} AS _o WHERE {open}) AS _o LEFT JOIN {b} AS _b ON {same} "
    "WHERE CASE WHEN {dead} THEN coalesce(NOT _b.{gone}, FALSE) WHEN _b.{gone} IS NULL THEN {absent} "
    "WHEN _b.{gone} THEN TRUE ELSE NOT ({alike}) END"
)
_BEGUN: LiteralString = (
    "SELECT {mine}, {ended} FROM {closed} AS _o UNION ALL "
    "SELECT {theirs}, {begun} FROM {b} AS _b LEFT JOIN (SELECT * FROM {t} AS _o WHERE {open}) AS _o ON {same} "
    "WHERE NOT _b.{gone} AND (_o.{start} IS NULL OR {dead} OR NOT ({alike}))"
)
_BEGUN_AND_BURIED: LiteralString = (
    "{opened} UNION ALL SELECT {mine}, {stone} FROM {closed} AS _o WHERE NOT {dead} AND NOT EXISTS "
    "(SELECT 1 FROM {b} AS _b WHERE NOT _b.{gone} AND {same})"
)


# ------------------------------------------------------------------ by cursor


def _by_cursor(sight: Sight, subject: Subject, *, everything: bool, edited: bool) -> tuple[Step, ...]:
    """Put what was read into its place. `everything`: read all rows, not only those beyond the watermark; `edited`: what was
    known under the same cursor has other values because the query is another one, and is so from now on."""
    header, before = subject.model.header, subject.before
    steps: list[Step] = []
    limit: Sql | None = None
    if everything or before is None or before.watermark is None:
        steps.append(_read(subject, Sql("TRUE")))
    else:
        cursor = Ident(header.cursor or "")
        limit = boundary(subject, before.watermark)
        steps += [
            count_below(subject, cursor, limit),
            _read(subject, compose("{c} >= {limit} OR {c} IS NULL", c=cursor, limit=limit)),
            _meet(subject),
            *prove_below(subject, before, cursor, limit, _BATCH),
            _read(subject, Sql("TRUE"), only_if=IS_UNKNOWN),
        ]
    steps += _dated(subject, limit)
    steps += _had(subject)
    steps += _events(sight, subject, edited=edited)
    steps.append(_timeline(subject))
    parts: dict[str, Part] = {"cs": subject.columns, "w": WEIGHT, "timeline": _TIMELINE, "had": _HAD, "net": _NET}
    weighted = compose("SELECT {cs}, 1 AS {w} FROM {timeline} UNION ALL SELECT {cs}, -1 AS {w} FROM {had}", **parts)
    steps += [
        net(subject.words, _NET, subject.model.schema, weighted),
        write(make_temporary(_CLOSED, "SELECT {cs} FROM {net} WHERE {w} < 0", **parts)),
        write(make_temporary(_OPENED, "SELECT {cs} FROM {net} WHERE {w} > 0", **parts)),
    ]
    if header.absent is not DeletedRows.IGNORE:
        steps += _vanished(sight, subject, limit)
    if _remembers(subject):
        steps += _deletions_told(subject)
    return tuple(steps)


def _dated(subject: Subject, limit: Sql | None) -> list[Step]:
    """What the next run must know of the rows that were read; and of each key and time one row in `_sqlflow_latest`: the one
    that deletes, or else the greatest."""
    header = subject.model.header
    queried = subject.model.queried
    order = [
        compose("{v} DESC NULLS LAST", v=value) for value in values(subject.model, subject.words, subject.model.kept)
    ]
    parts: dict[str, Part] = {
        "b": _BATCH, "c": Ident(header.cursor or ""), "key": [Ident(name) for name in header.key], "gone": _GONE,
        "id": _identity(subject), "cs": [*names(queried), _GONE], "order": order,
        "hash": subject.words.row_hash(subject.model.kept),
    }  # fmt: skip
    told = f"({', '.join(header.key)})"
    return [
        Step(
            StepKind.GUARD,
            compose("SELECT {key} FROM {b} WHERE {c} IS NULL ORDER BY {key} LIMIT 6", **parts),
            code="no-cursor",
            message=f"rows have no `{header.cursor}`, so nobody knows when they became what they are; their keys {told}: {{rows}}",
            hint=f"leave them out with `WHERE {header.cursor} IS NOT NULL`, or give them a time with `coalesce`",
        ),
        measure(subject, _BATCH, limit),
        _rows_read(),
        Step(
            StepKind.NOTICE,
            compose(
                "SELECT {id} FROM {b} WHERE NOT {gone} GROUP BY {id} HAVING min({hash}) <> max({hash}) ORDER BY {id} LIMIT 6",
                **parts,
            ),
            message=f"rows of one key differ and have the same `{header.cursor}`; of each the one with the greatest values was "
            "taken: {rows}",
        ),
        write(
            make_temporary(
                _LATEST, "SELECT {cs} FROM (SELECT *, row_number() OVER (PARTITION BY {id} ORDER BY {gone} DESC, {order}) "
                "AS _sqlflow_place FROM {b}) AS _placed WHERE _sqlflow_place = 1",
                **parts,
            )
        ),
    ]  # fmt: skip


def _meet(subject: Subject) -> Step:
    """The rows that the source had the last time, as far as the table knows, of the keys that were read."""
    return write(
        make_temporary(
            MET, "SELECT {id} FROM {t} AS _target WHERE _target.{current} AND EXISTS (SELECT 1 FROM {b} WHERE {same})",
            id=_of("_target", _identity(subject)), t=subject.table, current=_columns(subject).current, b=_BATCH,
            same=_same(subject, "_target", _BATCH),
        )
    )  # fmt: skip


def _had(subject: Subject) -> list[Step]:
    """The versions that the table has of the keys that were read; and the last of each key and cursor."""
    columns = _columns(subject)
    parts: dict[str, Part] = {
        "t": subject.table, "latest": _LATEST, "had": _HAD, "same": _same(subject, "_target", "_l"), "id": _identity(subject),
        "all": _of("_target", subject.columns), "start": columns.start, "dead": columns.dead("_h"),
    }  # fmt: skip
    return [
        write(
            make_temporary(
                _HAD, "SELECT {all} FROM {t} AS _target WHERE EXISTS (SELECT 1 FROM {latest} AS _l WHERE {same})", **parts
            )
        ),
        write(
            make_temporary(
                _KNOWN, "SELECT * FROM (SELECT *, row_number() OVER (PARTITION BY {id} ORDER BY {start} DESC) AS _sqlflow_place "
                "FROM {had} AS _h WHERE NOT {dead}) AS _placed WHERE _sqlflow_place = 1",
                **parts,
            )
        ),
    ]  # fmt: skip


def _events(sight: Sight, subject: Subject, *, edited: bool) -> list[Step]:
    """All that is known of the keys that were read: at a time a key had values (`_sqlflow_gone` is 0), was missing (1), or was
    told to be deleted (2). `origin`: 1 for what was read, which comes before what was known of the same time. `shown`: a
    deletion that may be a tombstone."""
    header, columns = subject.model.header, _columns(subject)
    queried = names(subject.model.queried)
    key = [Ident(name) for name in header.key]
    identity = {name.lower() for name in _identity(subject)}
    parts: dict[str, Part] = {
        "cs": queried, "start": columns.start, "end": columns.end, "at": _AT, "gone": _GONE, "had": _HAD, "known": _KNOWN,
        "latest": _LATEST, "c": Ident(header.cursor or ""), "kind": columns.kind, "events": _EVENTS, "key": key,
        "current": columns.current, "tick": _TICK, "now": _now(sight, subject), "theirs": _of("_l", queried),
        "dead": columns.dead("_h"), "open": _is_open(subject, "_h"), "next": _same(subject, "_h", "_o"),
        "same": _same(subject, "_l", "_x", cursor=True), "alike": _alike(subject, "_l", "_x", subject.model.kept),
        "deleted": deletions_of(subject.table), "again": _same(subject, "_l", "_e"), "told": _same(subject, "_d", "_l"),
        "newest": compose(
            "(SELECT * FROM (SELECT *, row_number() OVER (PARTITION BY {key} ORDER BY {c} DESC) AS _sqlflow_newest FROM {latest}) "
            "AS _n WHERE _sqlflow_newest = 1)", key=key, c=Ident(header.cursor or ""), latest=_LATEST,
        ),
        "remembered": [
            compose("_d.{c}", c=Ident(c.name)) if c.name.lower() in identity
            else compose("CAST(NULL AS {kind}) AS {c}", kind=Sql(c.type), c=Ident(c.name)) for c in subject.model.queried
        ],
    }  # fmt: skip
    sources = [compose(_KNOWN_EVENTS, **parts), compose(_KNOWN_ENDS, **parts)]
    steps: list[Step] = []
    if _remembers(subject):
        empty = compose(
            "CREATE TABLE IF NOT EXISTS {deleted} AS SELECT {id} FROM {latest} WHERE FALSE",
            id=_identity(subject),
            **parts,
        )
        steps.append(write(empty))
        sources.append(compose(_KNOWN_DELETIONS, **parts))
    sources.append(compose(_NEW_EVENTS if edited else _NEW_OR_OTHER_EVENTS, **parts))
    if edited:
        sources.append(compose(_EDITED, **parts))
    steps += [
        write(make_temporary(_EVENTS, joined(" UNION ALL ", sources))),
        write(compose(_RETURNED, **parts)),
    ]
    return steps


_KNOWN_EVENTS: LiteralString = (
    "SELECT {cs}, {start} AS {at}, CASE WHEN NOT {dead} THEN 0 WHEN CAST({c} AS {kind}) = {start} THEN 2 ELSE 1 END AS {gone}, "
    "0 AS origin, {dead} AS shown FROM {had} AS _h"
)
_KNOWN_ENDS: LiteralString = (
    "SELECT {cs}, {end}, 1, 0, FALSE FROM {had} AS _h WHERE NOT ({open}) AND NOT EXISTS "
    "(SELECT 1 FROM {had} AS _o WHERE _o.{start} = _h.{end} AND {next})"
)
_KNOWN_DELETIONS: LiteralString = (
    "SELECT {remembered}, CAST(_d.{c} AS {kind}), 2, 0, FALSE FROM {deleted} AS _d "
    "WHERE EXISTS (SELECT 1 FROM {latest} AS _l WHERE {told})"
)
_NEW_EVENTS: LiteralString = (
    "SELECT {theirs}, CAST(_l.{c} AS {kind}), CASE WHEN _l.{gone} THEN 2 ELSE 0 END, 1, _l.{gone} FROM {latest} AS _l "
    "LEFT JOIN {known} AS _x ON {same} WHERE _l.{gone} OR _x.{start} IS NULL"
)
_NEW_OR_OTHER_EVENTS: LiteralString = (
    "SELECT {theirs}, CASE WHEN _l.{gone} THEN CAST(_l.{c} AS {kind}) ELSE coalesce(_x.{start}, CAST(_l.{c} AS {kind})) END, "
    "CASE WHEN _l.{gone} THEN 2 ELSE 0 END, 1, _l.{gone} FROM {latest} AS _l LEFT JOIN {known} AS _x ON {same} "
    "WHERE _l.{gone} OR _x.{start} IS NULL OR NOT ({alike})"
)
_EDITED: LiteralString = (
    "SELECT {theirs}, greatest({now}, _x.{start} + {tick}), 0, 1, FALSE FROM {newest} AS _l JOIN {known} AS _x ON {same} "
    "WHERE NOT _l.{gone} AND _x.{current} AND NOT ({alike})"
)
# Keys that were found missing, and that the query gives now with nothing newer than that.
_RETURNED: LiteralString = (
    "INSERT INTO {events} SELECT {theirs}, greatest({now}, _e.{at} + {tick}), 0, 1, FALSE FROM {newest} AS _l JOIN "
    "(SELECT * FROM (SELECT *, row_number() OVER (PARTITION BY {key} ORDER BY {at} DESC, {gone} DESC, origin DESC) AS _sqlflow_last "
    "FROM {events}) AS _o WHERE _sqlflow_last = 1 AND {gone} = 1) AS _e ON {again} WHERE NOT _l.{gone}"
)


def _timeline(subject: Subject) -> Step:
    """The versions that the events give."""
    columns = _columns(subject)
    key = [Ident(name) for name in subject.model.header.key]
    following = Sql("_sqlflow_following")
    row = columns.row(
        compose("{at}", at=_AT),
        compose("coalesce({f}, {open})", f=following, open=_open_end(subject)),
        compose("({f} IS NULL AND {gone} = 0)", f=following, gone=_GONE),
        compose("({gone} > 0)", gone=_GONE),
    )
    return write(
        make_temporary(
            _TIMELINE, "SELECT {cs}, {row} FROM (SELECT *, lead({at}) OVER (PARTITION BY {key} ORDER BY {at}) AS _sqlflow_following "
            "FROM (SELECT *, row_number() OVER (PARTITION BY {key}, {at} ORDER BY {gone} DESC, origin DESC) AS _sqlflow_first "
            "FROM {events}) AS _e WHERE _sqlflow_first = 1) AS _f WHERE {gone} = 0 OR {stones}",
            cs=names(subject.model.queried), row=row, at=_AT, key=key, gone=_GONE, events=_EVENTS,
            stones=Sql("FALSE" if columns.mark is None else "shown"),
        )
    )  # fmt: skip


def _vanished(sight: Sight, subject: Subject, limit: Sql | None) -> list[Step]:
    """End the versions of keys that the query does not give any more. From `limit` on the rows were read; that those below
    are as they were has been proved, or all rows were read."""
    header, columns = subject.model.header, _columns(subject)
    queried = names(subject.model.queried)
    at = compose("greatest({now}, _v.{start} + {tick})", now=_now(sight, subject), start=columns.start, tick=_TICK)
    parts: dict[str, Part] = {
        "t": subject.table, "current": columns.current, "latest": _LATEST, "same": _same(subject, "_v", "_l"), "v": _VANISHED,
        "cs": subject.columns, "closed": _CLOSED, "opened": _OPENED, "c": Ident(header.cursor or ""), "q": subject.query,
        "mine": _of("_v", queried),
        "ended": columns.row(compose("_v.{c}", c=columns.start), at, Sql("FALSE"), Sql("FALSE")),
        "stone": columns.row(at, _open_end(subject), Sql("FALSE"), Sql("TRUE")),
    }  # fmt: skip
    absent: LiteralString = (
        "SELECT {cs} FROM {t} AS _v WHERE {current} AND NOT EXISTS (SELECT 1 FROM {latest} AS _l WHERE {same})"
    )
    whole = compose(absent, **parts)
    steps = [write(make_temporary(_VANISHED, whole), only_if=None if limit is None else IS_UNKNOWN)]
    if limit is not None:
        recent = compose("{whole} AND _v.{c} >= {limit}", whole=whole, limit=limit, **parts)
        given = compose("DELETE FROM {v} AS _v WHERE EXISTS (SELECT 1 FROM (\n{q}\n) AS _l WHERE {same})", **parts)
        both = compose("SELECT known AND EXISTS (SELECT 1 FROM {v}) FROM _sqlflow_known", **parts)
        steps.append(write(make_temporary(_VANISHED, recent), only_if=IS_KNOWN))
        steps.append(write(given, only_if=both))
    steps += [
        write(compose("INSERT INTO {closed} SELECT {cs} FROM {v}", **parts)),
        write(compose("INSERT INTO {opened} ({cs}) SELECT {mine}, {ended} FROM {v} AS _v", **parts)),
    ]
    if columns.mark is not None:
        steps.append(write(compose("INSERT INTO {opened} ({cs}) SELECT {mine}, {stone} FROM {v} AS _v", **parts)))
    return steps


def _deletions_told(subject: Subject) -> list[Step]:
    """Remember the deletions that were read."""
    parts: dict[str, Part] = {
        "deleted": deletions_of(subject.table), "id": _identity(subject), "latest": _LATEST, "gone": _GONE,
        "same": _same(subject, "_d", "_l", cursor=True),
    }  # fmt: skip
    sql = compose(
        "INSERT INTO {deleted} ({id}) SELECT {id} FROM {latest} AS _l WHERE {gone} AND NOT EXISTS "
        "(SELECT 1 FROM {deleted} AS _d WHERE {same})",
        **parts,
    )
    return [write(sql)]


# ------------------------------------------------------------------ what is written


def _applied(subject: Subject, log: Log | None) -> tuple[Step, ...]:
    """Take out the versions that go and put in those that come, and write both down if there is a log."""
    columns = _columns(subject)
    parts: dict[str, Part] = {
        "t": subject.table, "closed": _CLOSED, "opened": _OPENED, "cs": subject.columns, "start": columns.start,
        "same": _same(subject, "_target", "_c"),
    }  # fmt: skip
    changed = compose("SELECT EXISTS (SELECT 1 FROM {closed}) OR EXISTS (SELECT 1 FROM {opened})", **parts)
    gone = compose(
        "DELETE FROM {t} AS _target WHERE EXISTS "
        "(SELECT 1 FROM {closed} AS _c WHERE _c.{start} = _target.{start} AND {same})",
        **parts,
    )
    come = compose("INSERT INTO {t} ({cs}) SELECT {cs} FROM {opened}", **parts)
    told = (
        ()
        if log is None
        else (*log.opened(subject.table), log.rows(Sql(quoted(_CLOSED)), -1), log.rows(Sql(quoted(_OPENED)), 1))
    )
    return (
        *told,
        write(gone, timed=True, fact=Fact.REMOVED_ROWS),
        write(come, counts=True, timed=True, fact=Fact.ADDED_ROWS),
        Step(StepKind.MEASURE, changed, facts=(Fact.CHANGED,)),
    )


# ------------------------------------------------------------------ columns that change while the history grows


def _reshaped(sight: Sight, subject: Subject) -> tuple[Step, ...]:
    """The table gets the columns that the query has now: new ones are NULL in the versions that there are, and values go into
    another type if they survive that."""
    found = sight.world.inputs.tables.get(subject.table)
    assert found is not None
    columns, retyped, items = _columns(subject), [], []
    for column in subject.model.schema:
        was = found.schema.find(column.name)
        name, kind = Ident(column.name), Sql(column.type)
        if was is None:
            value = Sql("FALSE") if name == columns.mark else compose("CAST(NULL AS {kind})", kind=kind)
            items.append(compose("{v} AS {c}", v=value, c=name))
        elif was.type == column.type:
            items.append(compose("{c} AS {c}", c=name))
        else:
            items.append(compose("CAST({c} AS {kind}) AS {c}", c=name, kind=kind))
            retyped.append(was)
    query = compose("SELECT {items} FROM {t}", items=items, t=subject.table)
    steps = _survives(subject, retyped)
    hint = _by_hand(subject, retyped)
    steps += [replace(step, counts=False, hint=hint) for step in replace_table(subject, query)]
    key = {name.lower() for name in _identity(subject)}
    if _remembers(subject) and any(column.name.lower() in key for column in retyped):
        steps += _deletions_retyped(subject)
    return tuple(steps)


def _survives(subject: Subject, retyped: list[Column]) -> list[Step]:
    """Stop where a value would be another one in its new type."""
    if not retyped:
        return []
    back = [
        subject.words.same(
            compose("CAST(CAST({c} AS {new}) AS {old})", c=c, new=Sql(subject.type_of(c)), old=Sql(column.type)), compose("{c}", c=c)
        )
        for column in retyped
        if (c := Ident(column.name))
    ]  # fmt: skip
    shown = [Ident(name) for name in dict.fromkeys((*subject.model.header.key, *(c.name for c in retyped)))]
    changes = ", ".join(f"`{c.name}` was {c.type} and is {subject.type_of(c.name)}" for c in retyped)
    sql = compose(
        "SELECT {cs} FROM {t} WHERE NOT ({back}) LIMIT 6", cs=shown, t=subject.table, back=joined(" AND ", back)
    )
    return [
        Step(
            StepKind.GUARD,
            sql,
            code="schema-changed",
            message=f"the types of columns changed: {changes}; values of the history would change with them "
            f"({', '.join(shown)}): {{rows}}",
            hint=_by_hand(subject, retyped),
        )
    ]


def _by_hand(subject: Subject, retyped: list[Column]) -> str | None:
    if not retyped:
        return None
    column = retyped[0]
    alter = compose(
        "ALTER TABLE {t} ALTER COLUMN {c} TYPE {kind} USING ...",
        t=subject.table, c=Ident(column.name), kind=Sql(subject.type_of(column.name)),
    )  # fmt: skip
    return f"keep the type with `CAST({column.name} AS {column.type}) AS {column.name}` in the query, or change the values by hand: `{alter}`"


def _deletions_retyped(subject: Subject) -> list[Step]:
    deleted = deletions_of(subject.table)
    cast = [
        compose("CAST({c} AS {kind}) AS {c}", c=name, kind=Sql(subject.type_of(name))) for name in _identity(subject)
    ]
    return [
        write(make_temporary(_WAS, "SELECT {cast} FROM {deleted}", cast=cast, deleted=deleted)),
        write(make(deleted, "SELECT * FROM {was}", was=_WAS)),
    ]


# ------------------------------------------------------------------ what proves it


def _current_rows(subject: Subject) -> Proof:
    """The current versions against the newest row of each key that the query gives."""
    header, columns = subject.model.header, _columns(subject)
    schema = _compared(subject)
    key = {name.lower() for name in header.key}
    keyed = Schema(tuple(c for c in subject.model.kept if schema.find(c.name) is not None or c.name.lower() in key))
    parts: dict[str, Part] = {
        "b": _BATCH, "gone": _GONE, "t": subject.table, "cs": names(keyed), "expected": _EXPECTED, "current": _CURRENT,
        "is_current": columns.current, "w": WEIGHT, "same": _same(subject, "_x", "_y"), "wrong": WRONG,
        "alike": _alike(subject, "_x", "_y", keyed), "all": names(subject.model.queried),
    }  # fmt: skip
    steps = [_read(subject, Sql("TRUE"))]
    if header.cursor is None:
        steps.append(write(make_temporary(_EXPECTED, "SELECT * FROM {b} WHERE NOT {gone}", **parts)))
    else:
        order = [compose("{v} DESC NULLS LAST", v=v) for v in values(subject.model, subject.words, subject.model.kept)]
        newest: LiteralString = (
            "SELECT * FROM (SELECT *, row_number() OVER (PARTITION BY {key} ORDER BY {c} DESC NULLS LAST, {gone} DESC, {order}) "
            "AS _sqlflow_newest FROM {b}) AS _n WHERE _sqlflow_newest = 1 AND NOT {gone}"
        )
        keys = [Ident(name) for name in header.key]
        steps.append(write(make_temporary(_EXPECTED, newest, key=keys, c=Ident(header.cursor), order=order, **parts)))
        steps.append(write(_older(subject)))
    steps += [
        write(make_temporary(_CURRENT, "SELECT {all} FROM {t} WHERE {is_current}", **parts)),
        write(make_temporary(WRONG, _DIFFERENT, **parts)),
    ]
    notes = list(left_out(subject.model))
    if header.compare:
        notes.append(f"compared: {', '.join(f'`{name}`' for name in keyed.names)}, as `@compare` says")
    if header.cursor is not None:
        notes.append(f"a row that changed in the source while its `{header.cursor}` did not grow is not seen")
    if header.before or header.after:
        notes.append("its hooks may have changed the table")
    excuses = []
    if header.absent is DeletedRows.IGNORE:
        alone: LiteralString = "FROM {current} AS _x WHERE NOT EXISTS (SELECT 1 FROM {expected} AS _y WHERE {same})"
        kept = compose(
            "DELETE FROM {wrong} AS _x WHERE {w} < 0 AND NOT EXISTS (SELECT 1 FROM {expected} AS _y WHERE {same})",
            **parts,
        )
        steps.append(write(kept))
        excuses.append(
            (
                compose("SELECT count(*) {alone}", alone=compose(alone, **parts)),
                "of keys that the query does not give any more",
            )
        )
    return Proof("rows", tuple(steps), count(_CURRENT), keyed, tuple(notes), tuple(excuses))


_DIFFERENT: LiteralString = (
    "SELECT {cs}, 1 AS {w} FROM {expected} AS _x WHERE NOT EXISTS (SELECT 1 FROM {current} AS _y WHERE {alike}) UNION ALL "
    "SELECT {cs}, -1 AS {w} FROM {current} AS _x WHERE NOT EXISTS (SELECT 1 FROM {expected} AS _y WHERE {alike})"
)


def _older(subject: Subject) -> Sql:
    """Take out what the history knows something newer of: a version, or a deletion that was told."""
    columns, cursor = _columns(subject), Ident(subject.model.header.cursor or "")
    parts: dict[str, Part] = {
        "expected": _EXPECTED, "t": subject.table, "c": cursor, "same": _same(subject, "_y", "_x"), "kind": columns.kind,
        "start": columns.start, "dead": columns.dead("_y"), "deleted": deletions_of(subject.table),
    }  # fmt: skip
    newer = compose("EXISTS (SELECT 1 FROM {t} AS _y WHERE {same} AND _y.{c} > _x.{c})", **parts)
    if columns.mark is not None:
        buried = compose(
            "EXISTS (SELECT 1 FROM {t} AS _y WHERE {same} AND {dead} AND _y.{c} >= _x.{c} AND CAST(_y.{c} AS {kind}) = _y.{start})",
            **parts,
        )
        newer = compose("{newer} OR {buried}", newer=newer, buried=buried)
    if _remembers(subject):
        told = compose("EXISTS (SELECT 1 FROM {deleted} AS _y WHERE {same} AND _y.{c} >= _x.{c})", **parts)
        newer = compose("{newer} OR {told}", newer=newer, told=told)
    return compose("DELETE FROM {expected} AS _x WHERE {newer}", newer=newer, expected=_EXPECTED)


def _no_overlaps(subject: Subject) -> Proof:
    """Versions that are still valid when the next one of their key begins, or end before they begin."""
    columns = _columns(subject)
    key = tuple(subject.model.header.key)
    schema = subject.model.schema.only((*key, columns.start, columns.end))
    wrong = make_temporary(
        WRONG, "SELECT {cs}, -1 AS {w} FROM (SELECT {cs}, {current}, {open} AS _sqlflow_open, lead({start}) OVER "
        "(PARTITION BY {key} ORDER BY {start}) AS _sqlflow_next FROM {t} AS _v) AS _n WHERE coalesce(_sqlflow_open AND "
        "_sqlflow_next IS NOT NULL OR NOT _sqlflow_open AND ({end} <= {start} OR {end} > _sqlflow_next OR {current}), FALSE)",
        cs=names(schema), w=WEIGHT, current=columns.current, open=_is_open(subject, "_v"), start=columns.start, end=columns.end,
        key=[Ident(name) for name in key], t=subject.table,
    )  # fmt: skip
    return Proof("versions", (write(wrong),), count(subject.table), schema)
