"""What tasks have really read. The look at an input is repeated by the transaction that reads it, unless it is certain
that nobody has written to it since.

An input that is not what it was counts as read at no version: the token of a reader says what it has read instead, or
that it has read some before and some after. Either way the next build compares that with what is there then.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from threading import Lock

from msgspec.structs import replace

from sqlflow.changes import files, signatures
from sqlflow.changes.look import content
from sqlflow.core.engine import Engine, Session
from sqlflow.core.inputs import Copied, Inputs, InputState
from sqlflow.core.names import TableName
from sqlflow.core.plan import Parted, Signature, SignatureUpdate, Step, Task
from sqlflow.core.records import TableKind, TableRecord
from sqlflow.core.seen import Files, Read, Seen, Unknown, rows_of
from sqlflow.core.witness import Noting, Witnessed

Stored = Callable[[Session, TableName, TableName], Mapping[str, Signature]]


class RunWitnesses:
    """Those of one run. `stored`: the partitions of an input that are remembered of a model."""

    def __init__(self, inputs: Inputs, engine: Engine, stored: Stored) -> None:
        self.inputs = inputs
        self.stored = stored
        self._alone = True
        self._engine = engine
        self._lock = Lock()
        self._seen: dict[TableName, Seen] = {}
        self._unsure: dict[tuple[TableName, TableName], frozenset[str]] = {}

    def of(self, task: Task) -> TaskWitness:
        if any(step.label for step in task.steps):
            self._alone = False  # the author's own statements may write anywhere, and are part of our transactions
        return TaskWitness(self, task)

    def recorded(self, record: TableRecord) -> None:
        if record.kind is TableKind.MODEL or record.seen is None:
            return
        with self._lock:
            self._seen[record.table] = record.seen

    def told(self, name: TableName) -> str:
        watch = self.inputs.states[name].watch
        table = watch.table if watch is not None else None
        return f"`{name}`" if table in (None, name) else f"`{name}` (`{table}`)"

    def seen(self, name: TableName) -> Seen | None:
        """What is seen of the version of an input that this run plans with, or has made."""
        with self._lock:
            return self._seen.get(name, self.inputs.states[name].record.seen)

    def is_as_planned(self, name: TableName) -> bool:
        """Whether the version of an input is that which the plan was made with: its own task may have found more."""
        return self.seen(name) == self.inputs.states[name].record.seen or self.inputs.states[name].reloads

    def untouched(self, name: TableName, session: Session) -> bool:
        """Whether it is certain that a table is what it was when it was looked at, as a transaction sees it."""
        state = self.inputs.states[name]
        rows = rows_of(state.record.seen)
        if state.watch is None or not state.watch.inside or rows is None:
            return False
        if not self.is_as_planned(name):
            return False
        if self._alone and self._engine.untouched_since(self.inputs.moment):
            return True
        return session.unwritten(state.watch.table or name, rows, self.inputs.moment)

    def partly(self, model: TableName, name: TableName, parts: frozenset[str]) -> frozenset[str]:
        """The partitions of an input that tasks of a model have read when they were not what is remembered: with `parts`
        those of earlier tasks, whose work stands beside."""
        with self._lock:
            found = self._unsure.get((model, name), frozenset()) | parts
            self._unsure[model, name] = found
            return found

    def is_partly(self, model: TableName, name: TableName) -> bool:
        with self._lock:
            return (model, name) in self._unsure


class TaskWitness:
    """Sees one task through its transaction."""

    def __init__(self, run: RunWitnesses, task: Task) -> None:
        self._run = run
        self._task = task
        self._moved: set[TableName] = set()
        watched = {name for step in task.steps for name in step.inputs}
        self._stamps: dict[TableName, files.Stamps] = {}
        for name in watched:
            state = run.inputs.states[name]
            if (folder := _folder(state)) is not None:
                self._stamps[name] = files.stamps(folder, _files(state.record.seen))
            elif state.copied is not None:
                self._stamps[name] = files.stamps(Path(state.copied.folder), state.copied.files)

    @property
    def moved(self) -> frozenset[TableName]:
        return frozenset(self._moved)

    def still(self, session: Session, step: Step) -> bool:
        now = {name: self._now(session, name) for name in step.inputs}
        return all(found is None and (step.whole or self._run.is_as_planned(name)) for name, found in now.items())

    def read(self, session: Session, step: Step) -> Witnessed:
        tokens: dict[str, Read] = {}
        updates: list[SignatureUpdate] = []
        parted = {item.input: item for item in step.parted}
        for name in step.inputs:
            now, state = self._now(session, name), self._run.inputs.states[name]
            # Which partitions are read says the plan: it must be of what was planned with, and not only of its version.
            unlike = now is not None or not self._run.is_as_planned(name)
            if not unlike and (step.whole or not self._run.is_partly(self._task.table, name)):
                continue
            if name in parted and now != _TORN:
                updates.append(self._partitions(session, parted[name], whole=step.whole))
            elif name in parted or not step.whole:
                self._run.partly(self._task.table, name, frozenset())
                updates.append(SignatureUpdate(name, {}, whole=True))
            if not step.whole or now == _TORN:
                tokens[name.id] = Read(state.record.version, torn=True)
            elif now is not None:
                tokens[name.id] = Read(state.record.version, content(state, now))
        return Witnessed(tokens, tuple(updates))

    def _partitions(self, session: Session, parted: Parted, *, whole: bool) -> SignatureUpdate:
        """What is to be remembered of the partitions of an input that are not as planned."""
        now = signatures.partitions_of(session, parted.query)
        if whole:
            return SignatureUpdate(parted.input, dict(now), whole=True)
        planned = parted.update
        known: dict[str, Signature | None] = {}
        if planned is None or not planned.whole:
            known.update(self._run.stored(session, self._task.table, parted.input))
        if planned is not None:
            known.update(planned.partitions)
        moved = frozenset(part for part in {*known, *now} if known.get(part) != now.get(part))
        unsure = self._run.partly(self._task.table, parted.input, moved)
        return SignatureUpdate(parted.input, dict.fromkeys(sorted(unsure), signatures.UNKNOWN))

    def noted(self, session: Session, record: TableRecord) -> Noting:
        name = self._task.table
        state, before = self._run.inputs.states[name], self._run.inputs.records.get(name)
        if state.copied is not None:
            return Noting(self._copied(record, state.copied))
        now = self._now(session, name)
        if now is None:
            return Noting(record)
        if _folder(state) is not None:
            return Noting(record, known=False)
        if before is not None and before.version == record.version:
            # Others have read this version, so it cannot become another one: the copy was made too late.
            return Noting(replace(record, image=False))
        assert state.watch is not None
        grew = state.watch.only_added
        known = state.growth is None or (grew is not None and bool(session.fetch(grew)[0][0]))
        return Noting(replace(record, seen=now, image=record.image and known), known)

    def _copied(self, record: TableRecord, copied: Copied) -> TableRecord:
        """The record of files that were copied into a table, with what they were when they were read."""
        folder = Path(copied.folder)
        stamps = files.stamps(folder, copied.files)
        whole = stamps == self._stamps[self._task.table]
        if whole and files.fits(stamps, copied.files):
            return record
        now = files.identity_of_same(folder, copied.files)
        if not whole or files.stamps(folder, copied.files) != stamps:
            now = files.unlike_itself(now)
        if files.content(now) == files.content(copied.files):
            return record
        self._moved.add(self._task.table)
        if record.kind is TableKind.SEED:
            return replace(record, fingerprint=replace(record.fingerprint, query=""))
        return replace(record, seen=files.merged(record.seen, now))

    def _now(self, session: Session, name: TableName) -> Seen | None:
        """What is seen of an input that is not what it was, as this transaction sees it."""
        state, known = self._run.inputs.states[name], self._run.seen(name)
        assert state.watch is not None
        now: Seen | None = None
        if (folder := _folder(state)) is not None:
            now = self._files(folder, name, _files(known))
        elif not self._run.untouched(name, session):
            assert state.watch.question is not None
            now = state.watch.question.answer(session.fetch(state.watch.question.sql)[0])
        if now is None or now == known:
            return None
        self._moved.add(name)
        return now

    def _files(self, folder: Path, name: TableName, known: Files) -> Files | Unknown | None:
        """The identity of files that are not what they were; `_TORN` when they were written while they were read."""
        stamps = files.stamps(folder, known)
        if stamps == self._stamps[name] and files.fits(stamps, known):
            return None
        if stamps != self._stamps[name]:
            return _TORN
        now = files.identity_of_same(folder, known)
        if files.stamps(folder, known) != stamps:
            return _TORN
        return None if files.content(now) == files.content(known) else now


_TORN = Unknown()


def _files(seen: Seen | None) -> Files:
    return seen if isinstance(seen, Files) else Files()


def _folder(state: InputState) -> Path | None:
    """Where the files of a source are, if they are read in place of a table."""
    folder = state.watch.folder if state.watch is not None else None
    return None if folder is None else Path(folder)
