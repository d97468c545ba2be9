"""The loop: wait until files are quiet, compile what changed, tell what is wrong and what it means; then the rest.

What needs no database (problems, impact) is told first, from memory. The plan, the rows and the scratch build follow
from `survey`, and are broken off when the next change comes. Nothing that goes wrong in a project, in its files or in
its database ends a session.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path, PurePosixPath

from msgspec import Struct
from msgspec.structs import replace

from sqlflow.build.examine import standing_names
from sqlflow.cache.file import open_cache
from sqlflow.core.cache import NoCache
from sqlflow.core.compiled import Compiled, CompiledModel
from sqlflow.core.config import Config
from sqlflow.core.diagnostics import Diagnostic, ProjectError, Severity
from sqlflow.core.engine import Binder
from sqlflow.core.names import TableName
from sqlflow.core.workshop import Workshop
from sqlflow.project.reader import FileReader
from sqlflow.watch.desk import Desk, WatchRequest
from sqlflow.watch.events import (
    Changed,
    Idle,
    Impact,
    Noted,
    Problems,
    Stopped,
    Tell,
    WatchEvent,
    Watching,
)
from sqlflow.watch.files import PROJECT_FILE, Batch, Inbox, Watch, git_is_busy
from sqlflow.watch.impact import Before, edited, impact
from sqlflow.watch.memory import Known, Surroundings, again, file_reader, whole
from sqlflow.watch.scratch import Scratch, left_over, remove, sample_in_words, scratch
from sqlflow.watch.survey import Locked, Moved, Superseded, Survey, Surveyor, conduct, glimpse

_MOST_FILES = 20  # named in an event
_MOST_EDITS = 40  # whose impact is told
_FRESH_BINDER = 200  # passes after which the judge is opened anew, so that its memory cannot grow
_SECONDS_BETWEEN_TRIES = 1.0  # at a database that somebody holds
_MOST_RETRIES = 5  # at files that vanish while they are read


class Quit(Struct, frozen=True):
    """The person has seen enough."""


class LookAgain(Struct, frozen=True):
    """Look at everything, as if the session began."""


class FromSurvey(Struct, frozen=True):
    """What a survey told, or how it ended."""

    survey: Survey
    event: WatchEvent | None = None
    ended: bool = False
    outcome: Moved | Locked | None = None


Message = Quit | LookAgain | FromSurvey


@contextmanager
def session(desk: Desk, wishes: WatchRequest, tell: Tell) -> Iterator[WatchSession]:
    """A session with its threads, files and scratch database, which are gone when the block ends."""
    remove(left_over(desk.root))
    inbox: Inbox[Message] = Inbox(git_is_busy(desk.root))
    with ExitStack() as stack:
        watch = Watch(desk.root, inbox, lambda message: tell(Noted(message)))
        stack.callback(watch.stop)
        place = stack.enter_context(scratch(desk)) if wishes.build else None
        found = WatchSession(desk, wishes, tell, inbox, watch, place)
        stack.callback(found.close)
        yield found


class WatchSession:
    """What is known, between one change and the next. Only its own thread touches it; others post to its inbox."""

    def __init__(
        self, desk: Desk, wishes: WatchRequest, tell: Tell, inbox: Inbox[Message], watch: Watch, place: Scratch | None
    ) -> None:
        self.inbox = inbox
        self._desk = desk
        self._wishes = wishes
        self._tell = tell
        self._watch = watch
        self._place = place
        self._config: Config | None = None
        self._binder: Binder | None = None
        self._version = ""
        self._known: Known | None = None
        self._reader: FileReader | None = None
        self._surroundings = Surroundings()
        self._locked = False
        self._good: dict[TableName, CompiledModel] = {}  # as each model was when it last compiled
        self._before: dict[TableName, Before] = {}
        self._at_start: set[TableName] | None = None
        self._edited: TableName | None = None
        self._touched: frozenset[TableName] = frozenset()
        self._survey: Survey | None = None
        self._passes = 0
        self._retries = 0
        self._surveyor = Surveyor(self._conduct)

    def close(self) -> None:
        self._surveyor.stop()
        if self._binder is not None:
            self._binder.close()
        self._tell(Stopped())

    def run(self) -> None:
        """Until the person quits or nobody reads what is told (`| head`); Ctrl-C is a KeyboardInterrupt."""
        self._guarded(lambda: self._look_at_everything(time.monotonic()))
        while self._desk.heard():
            self._between()
            found = self.inbox.take(_SECONDS_BETWEEN_TRIES if self._locked else None)
            match found:
                case Quit():
                    return
                case None:
                    self._guarded(self._try_database)
                case LookAgain():
                    self._guarded(lambda: self._look_at_everything(time.monotonic()))
                case FromSurvey():
                    self._guarded(lambda found=found: self._hear(found))  # type: ignore[misc]
                case Batch():
                    self._guarded(lambda found=found: self._change(found))  # type: ignore[misc]

    # ------------------------------------------------------------ one pass

    def _change(self, batch: Batch) -> None:
        if batch.everything:
            self._watch.rearm()
        what = "files" if batch.paths or batch.everything else "data" if batch.data else "database"
        files = tuple(str(path) for path in sorted(batch.paths)[:_MOST_FILES])
        count = None if batch.everything and len(batch.paths) == 0 else len(batch.paths)
        self._tell(Changed(files, count, what))
        if PROJECT_FILE in batch.paths or self._config is None or batch.everything:
            self._look_at_everything(batch.began, batch.paths)
        elif batch.paths or batch.data:
            self._compile(batch)
        else:
            self._begin_survey()

    def _look_at_everything(self, began: float, paths: Collection[PurePosixPath] = ()) -> None:
        """The project file, the database and all files."""
        try:
            config = self._desk.settings()
        except ProjectError as error:
            self._without_config(error.diagnostics, began)
            return
        if config != self._config or self._binder is None:
            self._config, self._known, self._reader = config, None, None
            self._surroundings, locked = glimpse(self._desk, config)
            self._locked = locked is not None
            self._tell(
                Watching(
                    config.name, str(config.root), config.target.name, self._wishes.build, sample_in_words(self._wishes)
                )
            )
            self._version = self._desk.version(config, self._surroundings.server)
            self._open_binder(config)
        self._compile(Batch(frozenset(paths), everything=True, began=began))

    def _without_config(self, problems: Iterable[Diagnostic], began: float) -> None:
        self._surveyor.cancel()
        self._survey = None
        self._config, self._known = None, None
        self._tell(Problems(tuple(problems), 0, None, time.monotonic() - began, False))
        self._tell(Idle())

    def _open_binder(self, config: Config) -> None:
        if self._binder is not None:
            self._binder.close()
        self._binder = self._desk.module(config).open_binder(config, files=self._desk.files(config))

    def _compile(self, batch: Batch) -> None:
        config = self._config
        assert config is not None
        assert self._binder is not None
        cache = open_cache(self._desk.state / "cache", config.target.name, writing=True)
        workshop = Workshop(config, self._binder, cache, self._version)
        try:
            known = None
            if self._known is not None and self._reader is not None and not (batch.everything or batch.data):
                known = again(self._known, workshop, self._reader, batch.paths)
            if known is None:
                self._reader = None
                known = whole(workshop, self._surroundings)
            untouched = known.recompiled is not None and not known.recompiled
            self._known = known
            self._choose_edited(batch.paths)
            self._tell_problems(known, batch.began)
            if not untouched or self._survey is None:
                self._tell_impact(known)
                self._begin_survey()
            else:
                self._tell(Idle())
        finally:
            if cache is not None:
                cache.close()
        self._passes += 1
        self._retries = 0

    def _choose_edited(self, paths: Collection[PurePosixPath]) -> None:
        """The model whose rows are shown: that of the file that was saved last."""
        assert self._known is not None
        index, models = self._known.index, self._known.examined.project.models
        files = [path for path in paths if path in index.positions]
        if files and len(files) <= _MOST_FILES:
            latest = max(files, key=lambda path: _written_at(self._desk.root / path))
            self._edited = models[index.positions[latest]].name
        elif self._edited is not None and self._edited not in index.models:
            self._edited = None

    def _tell_problems(self, known: Known, began: float) -> None:
        problems = known.examined.problems
        sound = not any(p.severity is Severity.ERROR for p in problems)
        recompiled = None if known.recompiled is None else tuple(sorted(known.recompiled))
        models = len(known.examined.project.models)
        self._tell(Problems(problems, models, recompiled, time.monotonic() - began, sound))

    def _tell_impact(self, known: Known) -> None:
        compiled = self._with_broken(known)
        present = {model.name for model in compiled.project.models}
        if self._at_start is None:
            self._at_start = present
        records = self._surroundings.records
        for name, model in compiled.models.items():
            built = records.get(name)
            if built is not None:
                self._before[name] = Before(built.fingerprint, built.schema)
            elif name not in self._before and name in self._at_start:
                self._before[name] = Before(model.fingerprint, model.schema)
        names = edited(compiled, self._before, self._unreadable(known))
        if self._edited in names:
            names.sort(key=lambda name: name != self._edited)
        found = impact(compiled, self._before, names[:_MOST_EDITS])
        self._touched = frozenset({*names, *(name for edit in found for name in edit.reached)})
        complete = all(model.name in self._good for model in compiled.project.models)
        self._tell(Impact(found, len(names), complete))

    def _with_broken(self, known: Known) -> Compiled:
        """The project with models that do not compile now as they were when they last did: an edit that breaks a
        model reaches it, too."""
        compiled, present = known.examined.compiled, known.index.models
        if known.recompiled is None:
            self._good = {name: model for name, model in self._good.items() if name in present}
            self._good |= compiled.models
        else:
            self._good |= {name: compiled.models[name] for name in known.recompiled if name in compiled.models}
        if len(self._good) == len(compiled.models):
            return compiled
        order = dict.fromkeys((*known.examined.graph.order, *self._good))
        return replace(compiled, models=self._good, order=tuple(name for name in order if name in self._good))

    def _unreadable(self, known: Known) -> set[TableName]:
        """Models that are still there although nothing could be read of them."""
        names = {model.name for model in known.examined.project.models}
        paths = {p.span.path for p in known.examined.unreadable if p.span is not None}
        return {name for name in self._before if name not in names and any(path.stem == name.name for path in paths)}

    # ------------------------------------------------------------ what needs the database

    def _begin_survey(self) -> None:
        config, known = self._config, self._known
        if config is None or known is None or self._binder is None:
            return
        sound = not any(p.severity is Severity.ERROR for p in known.examined.problems)
        workshop = Workshop(config, self._binder, NoCache(), "")
        self._survey = Survey(config, workshop, known, self._wishes, sound, self._edited, self._touched, self._place)
        self._surveyor.give(self._survey)

    def _conduct(self, survey: Survey) -> None:
        """One survey, in the surveyor's thread."""

        def tell(event: WatchEvent) -> None:
            self.inbox.post(FromSurvey(survey, event))

        outcome: Moved | Locked | None = None
        try:
            outcome = conduct(survey, self._desk, tell)
        except Superseded:
            return
        except Exception as error:  # noqa: BLE001 - a session outlives its bugs
            if survey.cancelled.is_set():
                return
            tell(Noted(self._desk.report(error)))
        self.inbox.post(FromSurvey(survey, None, True, outcome))

    def _hear(self, found: FromSurvey) -> None:
        if found.survey is not self._survey:
            return
        if found.event is not None:
            self._tell(found.event)
        if not found.ended:
            return
        self._locked = isinstance(found.outcome, Locked)
        if isinstance(found.outcome, Moved):
            self._move(found.outcome.surroundings)
        else:
            self._tell(Idle())

    def _move(self, surroundings: Surroundings) -> None:
        """The database is another than we thought: compile against it, if that can make a difference."""
        config, known = self._config, self._known
        if config is None or known is None:
            return
        matters = _what_matters(known, self._surroundings) != _what_matters(known, surroundings)
        self._surroundings = surroundings
        if matters:
            self._compile(Batch(everything=True, began=time.monotonic()))
            return
        self._known = replace(known, surroundings=surroundings)
        self._tell_impact(self._known)
        self._begin_survey()

    def _try_database(self) -> None:
        """Whether somebody has let go of the database."""
        if self._config is None:
            self._locked = False
            return
        surroundings, locked = glimpse(self._desk, self._config)
        if locked is not None:
            return
        self._locked = False
        self._move(surroundings)

    # ------------------------------------------------------------ between two changes

    def _between(self) -> None:
        """Make ready for the next change, so that it is quick."""
        config = self._config
        if config is None or self._known is None:
            return
        if self._reader is None:
            self._guarded(lambda: self._prepare(config))
        if self._passes >= _FRESH_BINDER:
            self._passes = 0
            self._open_binder(config)

    def _prepare(self, config: Config) -> None:
        assert self._known is not None
        import sqlflow.compiler.facts
        import sqlflow.compiler.parse  # noqa: F401

        self._reader = file_reader(Workshop(config, self._binder_of(config), NoCache(), ""))
        database = config.root / str(config.target.options.get("path", ""))
        self._watch.also(database, _data_folders(self._known, config.root))

    def _binder_of(self, config: Config) -> Binder:
        if self._binder is None:
            self._open_binder(config)
        assert self._binder is not None
        return self._binder

    def _guarded(self, action: Callable[[], None]) -> None:
        """Nothing that goes wrong ends the session: files that vanish are looked at again, a bug is reported."""
        try:
            action()
        except ProjectError as error:
            self._tell(Problems(error.diagnostics, 0, None, 0.0, False))
            self._known = None
        except BrokenPipeError:
            raise  # nobody reads along any more
        except OSError as error:
            self._known, self._retries = None, self._retries + 1
            if self._retries <= _MOST_RETRIES:
                self.inbox.note()
            else:
                self._tell(Noted(f"files cannot be read: {(error.strerror or str(error)).lower()}"))
        except Exception as error:  # noqa: BLE001 - a session outlives its bugs
            self._known = None
            self._tell(Noted(self._desk.report(error)))


def _written_at(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


def _what_matters(known: Known, surroundings: Surroundings) -> tuple[object, ...]:
    """What of a database decides how a project compiles."""
    existing, own = standing_names(surroundings.tables, surroundings.remembered, surroundings.records)
    project, compiled = known.examined.project, known.examined.compiled
    in_project = {model.name for model in project.models} | set(project.sources) | set(project.seeds)
    read = {
        *compiled.undeclared,
        *(source.table or name for name, source in project.sources.items() if not source.path),
    }
    tables = surroundings.tables
    seen = None if tables is None else {name: tables[name].schema for name in read if name in tables}
    return existing, own - in_project, seen, surroundings.remembered if tables is None else None


def _data_folders(known: Known, root: Path) -> set[Path]:
    """The folders with files that sources read."""
    found = set()
    for source in known.examined.project.sources.values():
        if source.path is not None:
            plain = re.split(r"[*?\[]", source.path)[0]
            found.add((root / plain).parent if plain == source.path else root / plain.rpartition("/")[0])
    return found
