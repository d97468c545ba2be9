"""A model built step by step, by the planner and the runner, in a database of its own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from sqlflow.build.examine import Checked
from sqlflow.build.prepare import prepare
from sqlflow.build.run import run
from sqlflow.build.standing import look_at
from sqlflow.core.cache import NoCache
from sqlflow.core.config import Config, Request
from sqlflow.core.diagnostics import Diagnostic, ProjectError
from sqlflow.core.engine import Binder, Engine, EngineError, Row, Session
from sqlflow.core.events import Event
from sqlflow.core.names import TableName
from sqlflow.core.records import Status, TaskResult
from sqlflow.core.schema import Schema
from sqlflow.core.sql import Ident, Sql, compose, joined
from sqlflow.core.workshop import Workshop
from sqlflow.engines import EngineModule
from sqlflow.state.file import open_state
from sqlflow.unit.bench import Wrong, query_of, rows_of, to_blame
from sqlflow.unit.clock import instant
from sqlflow.unit.tried import Filling, Tried

_FIRST = datetime(2000, 1, 1, tzinfo=UTC)


class Stage:
    """A database in which the steps of one test are played. `moments`: what time it is in each build."""

    def __init__(self, tried: Tried, config: Config, engine: Engine, binder: Binder, folder: Path) -> None:
        self._tried = tried
        self._config = config
        self._engine = engine
        self._session = engine.session()
        self._workshop = Workshop(config, binder, NoCache(), "")
        self._folder = folder
        self._builds = 0
        for table, schema in tried.inputs.items():
            _make(self._session, table, schema)

    def play(self, number: int) -> list[Row] | None:
        """Carry out a step; the rows of the model in the columns that are compared, None where nothing is expected. Raises
        Wrong."""
        trial = self._tried.trials[number]
        for filling in trial.given:
            self._session.execute(compose("DELETE FROM {t}", t=filling.table))
        for filling in (*trial.given, *trial.added):
            self._add(filling)
        for filling in trial.deleted:
            self._delete(filling)
        assert trial.project is not None
        self._build(trial.project, trial.now)
        if trial.expect is None:
            return None
        columns = [Ident(column.name) for column in trial.expect.columns]
        return self._session.fetch(compose("SELECT {cs} FROM {t}", cs=columns, t=self._tried.model))

    def expected(self, filling: Filling) -> list[Row]:
        return rows_of(filling, self._session.wording, self._session.fetch)

    def rows(self, query: Sql) -> list[Row]:
        """The rows of a query on what has been built."""
        return self._session.fetch(query)

    def _add(self, filling: Filling) -> None:
        words = self._session.wording
        query = query_of(filling, words)
        if query is None:
            return
        columns = [Ident(column.name) for column in filling.columns]
        try:
            self._session.execute(compose("INSERT INTO {t} ({cs}) {q}", t=filling.table, cs=columns, q=query))
        except EngineError as error:
            raise Wrong(to_blame(filling, error, words, self._session.fetch)) from error

    def _delete(self, filling: Filling) -> None:
        words = self._session.wording
        query = query_of(filling, words)
        if query is None or not filling.columns:
            return
        names = [Ident(column.name) for column in filling.columns]
        conditions = joined(
            " AND ",
            [words.same(compose("_old.{c}", c=name), compose("_gone.{c}", c=name)) for name in names],
        )
        found = compose(
            "EXISTS (SELECT 1 FROM ({query}) AS _gone ({names}) WHERE {conditions})",
            query=query, names=names, conditions=conditions,
        )  # fmt: skip
        where = compose("DELETE FROM {t} AS _old WHERE {found}", t=filling.table, found=found)
        try:
            deleted = self._session.execute(where)
        except EngineError as error:
            raise Wrong(to_blame(filling, error, words, self._session.fetch)) from error
        if deleted == 0:
            message = f"`{filling.table}` has no row like those that are deleted"
            raise Wrong(Diagnostic("invalid-value", message, filling.rows.place.span))

    def _build(self, checked: Checked, now: datetime | None) -> None:
        self._builds += 1
        run_id = f"step-{self._builds}"
        moment = instant(now, self._config.zone).astimezone(UTC) if now is not None else _FIRST

        def clock() -> datetime:
            return moment

        store = open_state(self._folder / "state.db", self._config.target.name, _silent, writing=True)
        assert store is not None
        request = Request(threads=1)
        try:
            standing = look_at(self._engine, self._config)
            prepared = prepare(self._workshop, checked, standing, store, request, run_id, clock)
            record = run(
                prepared, self._engine, store, request, "test", self._config.target.name, run_id, _silent, clock,
                self._config,
            )  # fmt: skip
        except ProjectError as error:
            raise Wrong(error.diagnostics[0]) from error
        finally:
            store.close()
        if record.status is not Status.DONE:
            raise Wrong(_why(record.results, self._tried))


@contextmanager
def stage(tried: Tried, config: Config, module: EngineModule, binder: Binder) -> Iterator[Stage]:
    """An empty database with the inputs of a test, gone at the end. Raises ProjectError."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="sqlflow-test-")))
        own = stack.enter_context(module.scratch_target(config, folder))
        engine = module.open_engine(own, writing=True, create=True, wait=0, emit=_silent, files=())
        assert engine is not None
        stack.callback(engine.close)
        yield Stage(tried, own, engine, binder, folder)


def _make(session: Session, table: TableName, schema: Schema) -> None:
    columns = [compose("{n} {k}", n=Ident(c.name), k=Sql(c.type)) for c in schema]
    session.execute(compose("CREATE SCHEMA IF NOT EXISTS {s}", s=Ident(table.schema)))
    session.execute(compose("CREATE TABLE {t} ({columns})", t=table, columns=columns))


def _why(results: Iterable[TaskResult], tried: Tried) -> Diagnostic:
    for result in results:
        if result.error is not None:
            return result.error
    return Diagnostic("statement-failed", f"`{tried.model}` was not built", tried.test.place.span)


def _silent(event: Event) -> None:
    return
