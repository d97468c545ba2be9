"""Must a model run, and why."""

from __future__ import annotations

from collections.abc import Mapping
from zoneinfo import ZoneInfo

from msgspec import Struct

from sqlflow.core.compiled import CompiledModel, TimeMapping
from sqlflow.core.inputs import Inputs
from sqlflow.core.intervals import EVERYTHING, NOTHING, Grain, IntervalSet
from sqlflow.core.names import TableName
from sqlflow.core.plan import Reason, ReasonKind
from sqlflow.core.reach import HERE, image
from sqlflow.core.records import Change, Fingerprint, Relation, TableRecord
from sqlflow.core.seen import Content, Read
from sqlflow.plan.partitions import touched_by
from sqlflow.plan.subject import ZONED


class Version(Struct, frozen=True):
    """A table's version after this build, and what the latest versions changed."""

    number: int
    changes: tuple[Change, ...]
    why: str = ""  # what happens to it in this build, in words; empty when nothing
    time: str | None = None  # the time column of an incremental model
    time_type: str = ""
    logged: int | None = None  # the change log tells of every version after this one
    grew: int | None = None  # all that the newest version did is to add so many rows
    content: Content | None = None  # of an input: what tells it from all others

    def is_read(self, read: Read | None) -> bool:
        """Whether a reader has read it as it is."""
        return read is not None and read.is_as(self.number, self.content)


class Effect(Struct, frozen=True):
    """What changes of its inputs mean for a model: rows of these intervals may differ.

    `definition`: the query of something it reads was edited; `reset`: or gives other rows under another setting. `why`: one sentence per input that matters, `inputs`: which.
    `loads`: the intervals are the most that it may be, and will be known when files have been loaded.
    """

    intervals: IntervalSet = NOTHING
    definition: bool = False
    why: tuple[str, ...] = ()
    inputs: tuple[TableName, ...] = ()
    loads: bool = False
    reset: bool = False

    def __bool__(self) -> bool:
        return bool(self.why)


def rebuild_reason(
    model: CompiledModel, before: TableRecord | None, standing: Relation | None, columns_differ: tuple[str, ...]
) -> Reason | None:
    """Why the table must be made from scratch, whatever its data; None when it need not be."""
    if before is None:
        return Reason(ReasonKind.NEW, "it is new")
    wanted = Relation.VIEW if model.header.promise.is_view else Relation.TABLE
    if standing is None:
        return Reason(ReasonKind.MISSING, f"its {wanted} is missing in the database")
    if standing is not wanted:
        return Reason(ReasonKind.HEADER_CHANGED, f"it was a {standing}, it is to be a {wanted}")
    if before.fingerprint.edited(model.fingerprint):
        return Reason(ReasonKind.QUERY_CHANGED, _edited(before.fingerprint, model.fingerprint))
    if before.fingerprint.header != model.fingerprint.header:
        return Reason(ReasonKind.HEADER_CHANGED, "its directives changed")
    if reset := before.fingerprint.reset(model.fingerprint):
        return Reason(ReasonKind.SETTINGS_CHANGED, _reset(before.fingerprint, model.fingerprint, reset))
    if before.schema != model.schema:
        differences = ", ".join(before.schema.differences(model.schema))
        return Reason(ReasonKind.COLUMNS_CHANGED, f"the query's columns changed: {differences}")
    if columns_differ:
        return Reason(ReasonKind.COLUMNS_CHANGED, f"its table was altered by hand: {', '.join(columns_differ)}")
    return None


def changed_columns(before: Fingerprint, now: Fingerprint) -> tuple[str, ...] | None:
    """The output columns whose meaning an edit changed; None when the rows may differ too, or it cannot be known."""
    if not before.rows or before.rows != now.rows or not before.columns or not now.columns:
        return None
    names = {*before.columns, *now.columns}
    return tuple(sorted(name for name in names if before.columns.get(name) != now.columns.get(name)))


def _edited(before: Fingerprint, now: Fingerprint) -> str:
    columns = changed_columns(before, now)
    if columns is None:
        return "its query changed"
    if not columns:
        return "its query is written differently"
    listed = ", ".join(f"`{name}`" for name in columns[:5]) + (" and others" if len(columns) > 5 else "")
    return f"its query changed in {listed}"


def _reset(before: Fingerprint, now: Fingerprint, names: tuple[str, ...]) -> str:
    old, new = before.settings or {}, now.settings or {}
    return "; ".join(f"the setting `{name}` was `{old.get(name, '')}` and is `{new.get(name, '')}`" for name in names)


def effect_of_inputs(
    model: CompiledModel,
    before: TableRecord,
    versions: Mapping[TableName, Version],
    data_inputs: tuple[TableName, ...],
    inputs: Inputs,
    zone: ZoneInfo,
) -> Effect:
    """What the changes of a model's inputs since it last read them mean for it."""
    intervals, definition, loads, reset = NOTHING, False, False, False
    why: list[str] = []
    moved: list[TableName] = []
    for name in data_inputs:
        version = versions.get(name)
        if version is None:
            continue
        consumed = before.inputs.get(name.id)
        if version.is_read(consumed):
            continue
        found = _effect_of(model, name, consumed, version, inputs, zone)
        if found:
            intervals |= found.intervals
            definition = definition or found.definition
            loads = loads or found.loads
            reset = reset or found.reset
            why += found.why
            moved.append(name)
    return Effect(intervals, definition, tuple(why), tuple(moved), loads, reset)


def _effect_of(
    model: CompiledModel, name: TableName, consumed: Read | None, version: Version, inputs: Inputs, zone: ZoneInfo
) -> Effect:
    why = f"`{name}` {version.why or 'changed'}"
    changes = _since(consumed, version)
    if changes is None:
        changes = (Change(version.number),)
    read = model.reads.get(name)
    matter = [c for c in changes if _matters(c, read)]
    if not matter:
        return Effect()
    definition = any(change.definition for change in matter)
    incremental = model.header.promise.timed
    if not incremental or definition:
        return Effect(EVERYTHING, definition, (why,), reset=any(change.reset for change in matter))
    mapping = model.times.get(name, TimeMapping(reason="its rows cannot be traced to the time column"))
    partitions = inputs.partitions.get((model.name, name))
    if not mapping.occurrences:
        return Effect(EVERYTHING, False, (f"{why}, and {mapping.reason or 'it may touch any interval'}",))
    if model.bounds and any(occurrence.reaches != (HERE,) for occurrence in mapping.occurrences):
        reason = "its rows look at those of other times, which `$start` and `$end` may leave out"
        return Effect(EVERYTHING, False, (f"{why}, and {reason}",))
    if name in inputs.states and inputs.states[name].loads:
        return Effect(EVERYTHING, False, (f"{why}: which intervals, will be known when it is loaded",), loads=True)
    if partitions is not None and all(change.intervals is None for change in matter):
        if partitions.whole:
            return Effect(EVERYTHING, False, (f"{why}, and its partitions were not known before",))
        found = touched_by(model, mapping, partitions.partitions, _zone_of(model, zone))
        if not found and not partitions.partitions:
            return Effect()
        return Effect(found, False, (f"{why}: {_count(found, model.header.grain)}",))
    if all(change.intervals is not None for change in matter) and version.time is not None:
        changed = NOTHING
        for change in matter:
            changed |= change.intervals or NOTHING
        mapped = _map(model, mapping, version, changed, zone)
        if mapped is not None:
            return Effect(mapped, False, (f"{why}: {_count(mapped, model.header.grain)}",))
    return Effect(EVERYTHING, False, (f"{why} as a whole",))


def _matters(change: Change, read: frozenset[str] | None) -> bool:
    """Whether a change may touch one of the columns that are read; one of no columns touched nothing at all."""
    if change.columns is None or (read is None and change.columns):
        return True
    return bool((read or frozenset()) & {column.lower() for column in change.columns})


def _since(consumed: Read | None, version: Version) -> tuple[Change, ...] | None:
    """The changes after the version that was read; None when they are not all remembered."""
    if consumed is None or not consumed.is_version:
        return None
    wanted = range(consumed.version + 1, version.number + 1)
    if not wanted:
        return None  # the table went back to an older version: it was made anew
    known = {change.version for change in version.changes}
    if not known.issuperset(wanted):
        return None
    return tuple(change for change in version.changes if change.version in wanted)


def _map(
    model: CompiledModel, mapping: TimeMapping, version: Version, changed: IntervalSet, zone: ZoneInfo
) -> IntervalSet | None:
    """Intervals of a parent's time column as intervals of the model's; None where that is not known."""
    column = model.schema.find(model.header.time or "")
    if column is None:
        return None
    found = NOTHING
    for occurrence in mapping.occurrences:
        if occurrence.column is None or version.time is None or occurrence.column.lower() != version.time.lower():
            return None
        made, zoned = image(occurrence.steps, changed, version.time_type == ZONED, zone)
        if zoned != (column.type == ZONED):
            return None
        for reach in occurrence.reaches:
            found |= reach.touched(made)
    return found


def _zone_of(model: CompiledModel, zone: ZoneInfo) -> ZoneInfo | None:
    column = model.schema.find(model.header.time or "")
    return zone if column is not None and column.type == ZONED else None


def _count(intervals: IntervalSet, grain: Grain) -> str:
    if not intervals:
        return f"no {grain} touched"
    if intervals.everything:
        return f"every {grain}"
    if len(intervals) == 1:
        return str(intervals.intervals[0])
    return f"{len(intervals)} intervals"
