"""What needs the database: the plan, the first rows, the scratch build. Done beside the session, in one thread.

A survey opens the database for as long as it needs it, and never holds it while nothing is going on. A newer one
cancels the one before.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from msgspec import Struct, field

from sqlflow.build.examine import Checked
from sqlflow.build.prepare import prepare
from sqlflow.build.selecting import universe_of
from sqlflow.build.standing import look_at
from sqlflow.core.compiled import CompiledModel
from sqlflow.core.config import Config, Request
from sqlflow.core.diagnostics import ProjectError, Severity, stop_on_errors
from sqlflow.core.engine import Engine, EngineError, Found, Interrupted
from sqlflow.core.events import Event
from sqlflow.core.intervals import BEGINNING, END, Interval
from sqlflow.core.names import TableName
from sqlflow.core.plan import Plan
from sqlflow.core.sql import Sql, compose, render
from sqlflow.core.workshop import Workshop
from sqlflow.engines import EngineModule
from sqlflow.graph.selection import select
from sqlflow.plan.subject import bounded_query
from sqlflow.plan.tiers import with_tiers
from sqlflow.state.file import FileStore, open_state
from sqlflow.watch.desk import Desk, WatchRequest
from sqlflow.watch.events import Building, Built, Planned, Rows, Tell
from sqlflow.watch.memory import Known, Surroundings
from sqlflow.watch.scratch import Order, Scratch, build_scratch, members, scratch_config

_PATIENCE_SECONDS = 5.0


class Superseded(Exception):
    """A newer survey is wanted."""


class Moved(Struct, frozen=True):
    """The database is not what the project was compiled against."""

    surroundings: Surroundings


class Locked(Struct, frozen=True):
    """Somebody else holds the database; `why` says who."""

    why: str


class Survey(Struct):
    """What to find out. `touched`: what the edits of this session reach, for a build without a selection."""

    config: Config
    workshop: Workshop
    known: Known
    wishes: WatchRequest
    sound: bool
    edited: TableName | None
    touched: frozenset[TableName]
    place: Scratch | None
    cancelled: threading.Event = field(default_factory=threading.Event)
    engines: list[Engine] = field(default_factory=list)

    def cancel(self) -> None:
        self.cancelled.set()
        for engine in list(self.engines):
            _interrupt(engine)

    def opened(self, engine: Engine) -> None:
        self.engines.append(engine)
        self.stop_if_cancelled()

    def stop_if_cancelled(self) -> None:
        if self.cancelled.is_set():
            raise Superseded


def _interrupt(engine: Engine) -> None:
    try:
        engine.interrupt()
    except Exception:  # noqa: BLE001 - it may have been closed a moment ago
        return


def glimpse(desk: Desk, config: Config) -> tuple[Surroundings, Locked | None]:
    """The database as it is now; what is remembered of it when somebody else holds it, or when there is none."""
    locked: Locked | None = None
    engine: Engine | None = None
    try:
        engine = _open(desk, config)
    except ProjectError as error:
        locked = Locked(error.diagnostics[0].message)
    if engine is not None:
        try:
            standing = look_at(engine, config)
            return Surroundings(standing.tables, {}, standing.records, engine.version), None
        finally:
            engine.close()
    return _remembered(desk, config), locked


def _open(desk: Desk, config: Config) -> Engine | None:
    """The real database, to be read; None where there is none yet. Raises ProjectError."""
    module: EngineModule = desk.module(config)
    return module.open_engine(config, writing=False, create=False, wait=0, emit=_silent, files=desk.files(config))


def _remembered(desk: Desk, config: Config) -> Surroundings:
    store = _store(desk, config)
    if store is None:
        return Surroundings()
    try:
        return Surroundings(None, store.sources(), store.load())
    finally:
        store.close()


def _store(desk: Desk, config: Config) -> FileStore | None:
    return open_state(desk.state / "state.db", config.target.name, _silent, writing=False)


def _silent(event: Event) -> None:
    return


def conduct(survey: Survey, desk: Desk, tell: Tell) -> Moved | Locked | None:
    """Tell the plan and the rows, and build. Raises Superseded when it was cancelled."""
    known, config = survey.known, survey.config
    try:
        engine = _open(desk, config)
    except ProjectError as error:
        why = error.diagnostics[0].message
        tell(Planned(None, why))
        if survey.edited is not None:
            tell(Rows(survey.edited, (), None, "query", why))
        return Locked(why) if error.diagnostics[0].code == "database-locked" else None
    building = survey.place is not None and survey.sound
    try:
        if engine is not None:
            survey.opened(engine)
            standing = look_at(engine, config)
            seen = Surroundings(standing.tables, {}, standing.records, engine.version)
            if seen != known.surroundings:
                return Moved(seen)
        elif known.surroundings.tables is not None:
            return Moved(_remembered(desk, config))
        survey.stop_if_cancelled()
        wanted = _plan(survey, desk, engine, tell)
        if not building:
            _rows_of_query(survey, engine, tell)
    finally:
        if engine is not None:
            survey.engines.clear()
            engine.close()
    survey.stop_if_cancelled()
    if building:
        _build(survey, desk, wanted, tell)
    return None


# ---------------------------------------------------------------- the plan


def _plan(survey: Survey, desk: Desk, engine: Engine | None, tell: Tell) -> frozenset[TableName]:
    """Tell the plan; the models that a scratch build should have."""
    if not survey.sound:
        examined = survey.known.examined
        of_files = {problem for problems in examined.spoilt.values() for problem in problems}
        stops = any(p.severity is Severity.ERROR and p not in of_files for p in examined.problems)
        would = "stop at these problems" if stops else "leave out what is made from these files"
        tell(Planned(None, f"a build would {would}"))
        return frozenset()
    checked = Checked(survey.known.examined.compiled, survey.known.examined.graph, ())
    records = survey.known.surroundings.records
    standing = look_at(engine, survey.config)
    store = _store(desk, survey.config)
    try:
        request = Request(survey.wishes.selection, survey.wishes.exclude)
        plan: Plan | None = None
        try:
            prepared = prepare(survey.workshop, checked, standing, store, request, desk.run_id(), desk.clock)
            plan = with_tiers(prepared.plan, checked.compiled, prepared.shape_of)
            tell(Planned(plan))
        except ProjectError as error:
            tell(Planned(None, "a build would refuse this", error.diagnostics))
        except (EngineError, Interrupted) as error:
            survey.stop_if_cancelled()
            tell(Planned(None, f"the tables cannot be looked at: {_first_line(error)}"))
        if survey.place is None:
            return frozenset()
        if not survey.wishes.selection:
            return survey.touched
        plans = plan or Plan()
        universe = universe_of(checked.compiled, checked.graph, survey.config, records, store, lambda: plans)
        names, problems = select(survey.wishes.selection, survey.wishes.exclude, universe)
        stop_on_errors(problems)
        return frozenset(names)
    except ProjectError:
        return frozenset()  # told with the plan
    finally:
        if store is not None:
            store.close()


# ---------------------------------------------------------------- the first rows


def _rows_of_query(survey: Survey, engine: Engine | None, tell: Tell) -> None:
    """The first rows that the edited query gives, on the tables as they stand."""
    if survey.edited is None or not survey.wishes.rows:
        return
    model = survey.known.examined.compiled.models.get(survey.edited)
    if model is None:
        tell(Rows(survey.edited, (), None, "query", "it does not compile"))
        return
    if engine is None:
        tell(Rows(survey.edited, model.schema.names, None, "query", "there is no database yet: build it once"))
        return
    tell(_fetched(survey, engine, model, Sql(f"(\n{_runnable(model)}\n) AS _q"), "query"))


def _fetched(survey: Survey, engine: Engine, model: CompiledModel, relation: Sql, origin: str) -> Rows:
    late = threading.Event()

    def give_up() -> None:
        late.set()
        _interrupt(engine)

    timer = threading.Timer(_PATIENCE_SECONDS, give_up)
    timer.daemon = True
    timer.start()
    names = model.schema.names
    count = survey.wishes.rows
    try:
        query = compose("SELECT * FROM {relation} LIMIT {n}", relation=relation, n=count + 1)
        rows = engine.session().fetch(query)
    except Interrupted:
        survey.stop_if_cancelled()
        why = f"no rows within {_PATIENCE_SECONDS:g} s; `--build --limit ROWS` shows those of a sample"
        return Rows(model.name, names, None, origin, why if late.is_set() else "interrupted")
    except EngineError as error:
        return Rows(
            model.name, names, None, origin, f"the query fails on the tables as they stand: {_first_line(error)}"
        )
    finally:
        timer.cancel()
    return Rows(model.name, names, tuple(tuple(row) for row in rows[:count]), origin, "", len(rows) > count)


def _runnable(model: CompiledModel) -> str:
    """The query, with all of time between `$start` and `$end`."""
    time = model.schema.find(model.header.time or "")
    if not model.bounds or time is None:
        return model.query.text
    return bounded_query(model, time.type, Interval(BEGINNING, END))


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


# ---------------------------------------------------------------- the scratch build


def _build(survey: Survey, desk: Desk, wanted: frozenset[TableName], tell: Tell) -> None:
    assert survey.place is not None
    compiled = survey.known.examined.compiled
    checked = Checked(compiled, survey.known.examined.graph, ())
    order = Order(survey.config, checked, survey.known.surroundings, wanted, survey.wishes)
    names = members(compiled, wanted, survey.known.surroundings.tables or {})

    def emit(event: Event) -> None:
        survey.stop_if_cancelled()
        tell(Building(event))

    if names:
        try:
            record, database = build_scratch(survey.place, order, desk, survey.opened, emit)
            survey.engines.clear()
            survey.stop_if_cancelled()
            tell(Built(record, database))
        except ProjectError as error:
            survey.stop_if_cancelled()
            tell(Built(None, "", error.diagnostics[0].message, error.diagnostics))
            return
        except (EngineError, Interrupted) as error:
            survey.stop_if_cancelled()
            tell(Built(None, "", _first_line(error)))
            return
        finally:
            survey.engines.clear()
    if survey.edited is None or not survey.wishes.rows:
        return
    if survey.edited in names:
        _rows_of_table(survey, desk, tell)
        return
    try:
        engine = _open(desk, survey.config)
    except ProjectError as error:
        tell(Rows(survey.edited, (), None, "query", error.diagnostics[0].message))
        return
    try:
        if engine is not None:
            survey.opened(engine)
        _rows_of_query(survey, engine, tell)
    finally:
        survey.engines.clear()
        if engine is not None:
            engine.close()


def _rows_of_table(survey: Survey, desk: Desk, tell: Tell) -> None:
    """The first rows of the table that was just built."""
    assert survey.place is not None
    assert survey.edited is not None
    model = survey.known.examined.compiled.models[survey.edited]
    config = scratch_config(survey.place, survey.config)
    beside = desk.module(survey.config)
    database = survey.config.root / str(survey.config.target.options["path"])
    scratch_file = str(survey.config.root / str(config.target.options["path"]))
    also = [str(p) for base in (str(database), scratch_file) for p in (base, f"{base}.wal")]
    engine = beside.open_engine(
        config, writing=True, create=False, wait=0, emit=_silent, files=[*desk.files(survey.config), *also]
    )
    if engine is None:
        return
    try:
        survey.opened(engine)
        is_view = model.header.promise.is_view
        if is_view and database.is_file():
            beside.attach(engine, survey.config)
        there: Found | None = engine.tables().get(survey.edited)
        if there is None:
            tell(Rows(survey.edited, model.schema.names, None, "scratch", "its table was not built"))
            return
        tell(_fetched(survey, engine, model, Sql(render(survey.edited)), "scratch"))
    finally:
        survey.engines.clear()
        engine.close()


# ---------------------------------------------------------------- the thread


class Surveyor:
    """Conducts the latest survey that was given to it, in a thread of its own."""

    def __init__(self, conduct_one: Callable[[Survey], None]) -> None:
        self._conduct = conduct_one
        self._changed = threading.Condition()
        self._next: Survey | None = None
        self._current: Survey | None = None
        self._stopped = False
        self._thread = threading.Thread(target=self._work, name="sqlflow-survey", daemon=True)
        self._thread.start()

    def give(self, survey: Survey) -> None:
        with self._changed:
            self.cancel()
            self._next = survey
            self._changed.notify_all()

    def cancel(self) -> None:
        """Drop what waits, and break off what goes on."""
        with self._changed:
            self._next = None
            if self._current is not None:
                self._current.cancel()

    def stop(self) -> None:
        with self._changed:
            self._stopped = True
            self.cancel()
            self._changed.notify_all()
        self._thread.join(10)

    def _work(self) -> None:
        while True:
            with self._changed:
                self._current = None
                while self._next is None and not self._stopped:
                    self._changed.wait()
                if self._stopped:
                    return
                self._current, self._next = self._next, None
                current = self._current
            assert current is not None
            self._conduct(current)
