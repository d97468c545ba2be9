"""PostgreSQL 14 and later, through psycopg 3.

A build has one connection that holds the advisory locks of its target, and one more for each transaction at a time. A
commit is only made while those locks are held, whatever became of the connection. The driver is imported where it is
first used, so that everything else works without it.
"""

from __future__ import annotations

import re
import secrets
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from sqlflow.core.beyond import tables_tree
from sqlflow.core.config import Config
from sqlflow.core.diagnostics import ProjectError, one_problem
from sqlflow.core.engine import BindError, Engine, EngineError, Found, Interrupted, ReadTable, Row, Traits, Unsteady
from sqlflow.core.events import Emit, Told
from sqlflow.core.names import TableName, beside
from sqlflow.core.plan import Load
from sqlflow.core.records import Relation
from sqlflow.core.schema import Column, Schema
from sqlflow.core.sql import Ident, Sql, Value, compose, quoted, render
from sqlflow.core.syntax import named_tables, parse_tree, qualified_columns
from sqlflow.core.wording import Wording
from sqlflow.engines.facts import Fetch, broken_facts, some_broken, tell
from sqlflow.engines.files import FileReader, PlainText
from sqlflow.engines.postgres_connection import connect, engine_error, lost, without_secrets
from sqlflow.engines.postgres_facts import FACTS, traits_with
from sqlflow.engines.postgres_functions import judged
from sqlflow.engines.postgres_settings import session_digest, settings_of
from sqlflow.engines.postgres_types import of_file, spelled
from sqlflow.engines.postgres_versions import too_new, written

if TYPE_CHECKING:
    import psycopg
    from psycopg import Connection

TRAITS = traits_with(frozenset())

_POLL_SECONDS = 0.1
_UNSURE_SECONDS = 5.0
_MOST_TRANSACTIONS = 10_000  # of others, that are looked at one by one
_ENDING = "it is just ending"
_ENDING_SECONDS = 2.0  # what the server may take to end the transactions of a build that is gone

# Our advisory locks have two halves: "SQLF" or "SQLG", and what they are about.
_LOCK_CLASS = 0x53514C46
_BUILDING, _COMMITTING = 1, 2
_TOKEN_CLASS = 0x53514C47


def open_engine(
    config: Config, *, writing: bool, create: bool, wait: float, emit: Emit, files: Sequence[str]
) -> PostgresEngine | None:
    """Connect to the target's server; see `EngineModule.open_engine`. The database itself is never created here."""
    engine = PostgresEngine(config, keep=writing)
    try:
        if writing:
            tell(engine.name, FACTS, engine.broken, emit)
            engine.lock(wait, emit)
    except BaseException:
        engine.close()
        raise
    return engine


def open_binder(config: Config, *, files: Sequence[str]) -> PostgresBinder:
    """The server's parser and type checker, on empty temporary tables; it is connected to when it is first asked."""
    return PostgresBinder(config)


def attach(engine: Engine, other: Config) -> str:
    raise one_problem(
        "not-available-yet",
        f"the target `{other.target.name}` is a PostgreSQL database, which cannot be read beside another one yet",
        hint="tables of one database can be compared, such as `sqlflow diff marts.orders before.orders`",
    )


@contextmanager
def scratch_target(config: Config, folder: Path) -> Iterator[Config]:
    """A database that is made on the same server, and dropped at the end; see `EngineModule.scratch_target`."""
    with _made_database(config, Sql("")) as own:
        yield own


@contextmanager
def copied_target(config: Config, folder: Path, database: str) -> Iterator[Config]:
    """A copy of a database on its server, dropped at the end; see `EngineModule.copied_target`."""
    import psycopg
    from psycopg.conninfo import conninfo_to_dict

    try:
        name = str(conninfo_to_dict(database).get("dbname") or "")
    except psycopg.ProgrammingError:
        name = ""
    if not name:
        hint = "write `postgresql://user:password@host/name`"
        raise one_problem("no-database", "the address of the database names none", hint=hint)
    target = replace(config.target, options={**config.target.options, "url": database})
    with _made_database(replace(config, target=target), compose(" TEMPLATE {name}", name=Ident(name))) as own:
        yield own


def set_aside(
    engine: Engine, config: Config, database: str, tables: Sequence[TableName]
) -> Callable[[TableName], tuple[Sql, Schema] | None]:
    """They go to a schema of their own; see `EngineModule.set_aside`."""
    session, called = engine.session(), {str(name).lower() for name in tables}
    moved: dict[str, TableName] = {}
    for name in engine.tables():
        if str(name).lower() not in called:
            continue
        aside = TableName(f"_aside_{name.schema}", name.name)
        session.execute(compose("CREATE SCHEMA IF NOT EXISTS {s}", s=Ident(aside.schema)))
        session.execute(compose("ALTER TABLE {t} SET SCHEMA {s}", t=name, s=Ident(aside.schema)))  # also of a view
        moved[str(name).lower()] = aside
    there = engine.tables()

    def found(name: TableName) -> tuple[Sql, Schema] | None:
        at = moved.get(str(name).lower(), name)
        return (compose("{t}", t=at), there[at].schema) if at in there else None

    return found


@contextmanager
def _made_database(config: Config, how: Sql) -> Iterator[Config]:
    import psycopg
    from psycopg.conninfo import make_conninfo

    name = f"sqlflow_test_{secrets.token_hex(6)}"
    with connect(config, "test") as server:
        try:
            server.execute(compose("CREATE DATABASE {name}{how}", name=Ident(name), how=how))
        except psycopg.errors.ObjectInUse:
            raise one_problem(
                "database-error",
                "the database cannot be copied while others are connected to it",
                hint="end their connections, or name a copy of it",
            ) from None
        except psycopg.Error as error:
            said = without_secrets(config, error.diag.message_primary or "it failed")
            raise one_problem(
                "missing-privilege",
                f"a test that builds needs a database of its own, and the server says: {said}",
                hint="let the role create databases (`ALTER ROLE name CREATEDB`), or run the tests with another --target",
            ) from None
        url = make_conninfo(str(config.target.options["url"]), dbname=name)
        try:
            options = {**config.target.options, "url": url}
            yield replace(config, target=replace(config.target, options=options))
        finally:
            server.execute(compose("DROP DATABASE IF EXISTS {name} WITH (FORCE)", name=Ident(name)))


# ---------------------------------------------------------------------- facts


def _named(connection: Connection[Row]) -> str:
    number = connection.info.server_version
    return f"PostgreSQL {number // 10000}.{number % 10000}"


def _broken(config: Config, name: str, *, keep: bool) -> frozenset[str]:
    """What does not hold for the server."""
    return broken_facts(config, name, FACTS, lambda: scratch(config), keep=keep)


@contextmanager
def scratch(config: Config) -> Iterator[Fetch]:
    """Two connections in which nothing but temporary tables is made."""
    import psycopg

    with connect(config, "facts") as first, connect(config, "facts") as second:

        def fetch(sql: str, by: int = 0) -> Sequence[Row]:
            connection = (first, second)[by]
            try:
                cursor = connection.execute(sql)
                return cursor.fetchall() if cursor.description is not None else []
            except psycopg.Error as error:
                if connection.closed:
                    raise lost(config, error) from None
                raise engine_error(config, error, sql, connection.info.server_version) from None

        yield fetch


# ---------------------------------------------------------------------- connections


class PostgresSession:
    """One connection, made when it is first used and again after it was lost between two transactions."""

    def __init__(self, engine: PostgresEngine, connection: Connection[Row] | None = None) -> None:
        self._engine = engine
        self._connection = connection
        self._within = False
        self._reading = False
        self._busy = False

    @property
    def wording(self) -> Wording:
        return self._engine.traits.wording

    @property
    def connection(self) -> Connection[Row]:
        if self._connection is None or (self._connection.closed and not self._within):
            try:
                self._connection = self._engine.connect()
            except ProjectError as error:
                problem = error.diagnostics[0]
                message = "\n".join(filter(None, (problem.message, problem.hint)))
                raise EngineError(message, code=problem.code, conflict=True) from None
        return self._connection

    def execute(self, sql: str, parameters: Sequence[object] = ()) -> int:
        return self._run(self._said(sql), parameters)[1]

    def fetch(self, sql: str, parameters: Sequence[object] = ()) -> list[Row]:
        text = self._said(sql)
        if not self._reading:
            return self._run(text, parameters)[0]
        self._run("SAVEPOINT _sqlflow_query", ())
        try:
            return self._run(text, parameters)[0]
        except EngineError as error:
            if not error.conflict:
                self._run("ROLLBACK TO SAVEPOINT _sqlflow_query", ())
            raise

    def _said(self, sql: str) -> str:
        return self.wording.statement(sql) if isinstance(sql, Sql) else sql

    def unwritten(self, table: TableName, rows: int, moment: str) -> bool:
        # Rows that came since have the number of a transaction that had not ended then; of those that went, some are missing.
        found = self.fetch(
            compose(
                "SELECT count(*), count(*) FILTER (WHERE age(xmin) <= age(CAST(CAST($1 AS xid8) AS xid))) FROM {t}",
                t=table,
            ),
            [moment.partition(":")[0]],
        )
        return found[0] == (rows, 0)

    @contextmanager
    def reading(self) -> Iterator[None]:
        self._run("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", ())
        self._within = self._reading = True
        try:
            yield
        finally:
            self._reading = False
            with suppress(EngineError, Interrupted):
                self.rollback()

    def load(self, load: Load) -> int:
        with self._errors("COPY"):
            table, target = load.table, load.table
            if load.anew and load.fits:
                self.connection.execute(f"TRUNCATE {render(table)}")
            elif load.anew:
                target = TableName(table.schema, beside(table.name, "__new"))
                made = [compose("{n} {k}", n=Ident(c.name), k=Sql(c.type)) for c in load.schema]
                self.connection.execute(compose("CREATE TABLE {t} ({cs})", t=target, cs=made))
            with FileReader(self._engine.config) as reader, self.connection.cursor() as cursor:
                text = reader.plain(load.csv, load.schema) if load.csv else None
                columns = [Ident(name) for name in load.schema.names]
                if text is None:
                    text = PlainText(reader.csv(load.reading))
                    options = Sql("NULL '\\N'")
                else:
                    options = compose(
                        "HEADER, DELIMITER {d}, FORCE_NULL ({cs})",
                        d=Value(text.delimiter), cs=[Ident(name) for name in text.columns],
                    )  # fmt: skip
                    columns = [Ident(name) for name in text.columns]
                into = compose(
                    "COPY {t} ({cs}) FROM STDIN (FORMAT csv, {options})", t=target, cs=columns, options=options
                )
                with cursor.copy(into) as copy:
                    for block in text.blocks:
                        if self._engine.interrupted:
                            raise Interrupted
                        copy.write(block)
                count = cursor.rowcount
            if target is not table:
                for statement in self.wording.swap_in(target, table, load.schema, fits=False, was_view=load.was_view):
                    self.connection.execute(statement)
            self.connection.execute(f"ANALYZE {render(table)}")
            return count

    def begin(self) -> None:
        try:
            self._begin()
        except EngineError:
            if self._connection is None or not self._connection.closed:
                raise
            self._within = False
            self._begin()  # it was lost while nothing was done with it

    def _begin(self) -> None:
        self._run("BEGIN ISOLATION LEVEL REPEATABLE READ", ())
        self._within = True
        self._refuse_without_lock()

    def commit(self) -> None:
        """Commit, if the build still holds its lock. Where the connection breaks, the server is asked what became of it."""
        if self._engine.token is not None:
            # Who takes the build's lock waits for those who have come as far as this, and so sees what they write.
            self._run("SELECT pg_advisory_xact_lock_shared($1, $2)", (_LOCK_CLASS, _COMMITTING))
            self._refuse_without_lock()
        number, pid = self.fetch("SELECT CAST(pg_current_xact_id_if_assigned() AS TEXT), pg_backend_pid()")[0]
        if number is not None:
            self._engine.own.add(int(str(number)))
        try:
            self._run("COMMIT", ())
        except EngineError as error:
            self._within = False
            if self._connection is None or not self._connection.closed or number is None:
                raise
            if not self._was_committed(number, pid, error):
                raise
        finally:
            self._within = False

    def _refuse_without_lock(self) -> None:
        if not self._has_lock():
            raise EngineError(
                "the connection that held the lock of this build was lost, so that another build may begin at any time\n"
                "nothing was written since: build again",
                code="lock-lost",
            )

    def _has_lock(self) -> bool:
        """Whether the build's lock is held, on the server and by us; reading needs none."""
        token = self._engine.token
        if token is None:
            return True
        return bool(
            self.fetch(
                "SELECT EXISTS (SELECT 1 FROM pg_locks AS l JOIN pg_database AS d ON d.oid = l.database "
                "WHERE l.locktype = 'advisory' AND l.classid::bigint = $1 AND l.objid::bigint = $2 AND l.granted "
                "AND d.datname = current_database())",
                (_TOKEN_CLASS, token),
            )[0][0]
        )

    def _was_committed(self, number: object, pid: object, error: EngineError) -> bool:
        """Whether the transaction whose COMMIT was not answered is committed. `error` says what is known, otherwise."""
        deadline = time.monotonic() + _UNSURE_SECONDS
        while time.monotonic() < deadline:
            try:
                # While the lock is held the server has not been away, and the number still is that of our transaction.
                if not self._has_lock():
                    break
                state = self.fetch("SELECT pg_xact_status(CAST($1 AS xid8))", [number])[0][0]
            except EngineError:
                state = None
            if state in ("committed", "aborted"):
                return state == "committed"
            if state is not None:
                # The server has not noticed yet that the connection is gone.
                with suppress(EngineError):
                    self.fetch("SELECT pg_terminate_backend($1)", [pid])
            time.sleep(_POLL_SECONDS)
        error.conflict = False
        error.code = "commit-unknown"
        error.message = (
            "the connection to the server was lost during the commit, and so it is unknown whether it was done\n"
            "build again: the next build sees in the database what is there"
        )
        return False

    def rollback(self) -> None:
        self._within = False
        if self._connection is not None and not self._connection.closed:
            self._run("ROLLBACK", ())

    def _run(self, sql: str, parameters: Sequence[object]) -> tuple[list[Row], int]:
        with self._errors(sql):
            cursor = self.connection.execute(sql, tuple(parameters) if parameters else None)
            rows: list[Row] = []
            count = 0
            while True:
                if cursor.statusmessage not in ("SET", "RESET"):
                    rows = cursor.fetchall() if cursor.description is not None else []
                    count = max(cursor.rowcount, 0)
                if not cursor.nextset():
                    return rows, count

    @contextmanager
    def _errors(self, sql: str) -> Iterator[None]:
        import psycopg

        try:
            self._busy = True
            yield
        except psycopg.Error as error:
            if self._engine.interrupted and isinstance(error, psycopg.errors.QueryCanceled):
                raise Interrupted from None
            if self._connection is not None and self._connection.closed:
                raise lost(self._engine.config, error) from None
            raise engine_error(self._engine.config, error, sql, self.connection.info.server_version) from None
        finally:
            self._busy = False

    def cancel(self) -> None:
        """Cancel the statement that runs now, if any."""
        import psycopg

        if self._busy and self._connection is not None and not self._connection.closed:
            with suppress(psycopg.Error):
                self._connection.cancel_safe(timeout=5)

    def release(self) -> None:
        """Give the locks of the session back now; the server may notice only later that a connection was closed."""
        import psycopg

        if self._connection is not None and not self._connection.closed:
            with suppress(psycopg.Error):
                self._connection.execute("SELECT pg_advisory_unlock_all()")

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()


class PostgresEngine:
    """A database on a server. `interrupted`: Ctrl-C was pressed, so cancelled statements are no failures. `token`: the
    number of the lock that only this build holds, None when it only reads. `name`: with its version. `broken`: the facts that
    do not hold for the server; `keep`: remember them."""

    def __init__(self, config: Config, *, keep: bool = False) -> None:
        self.config = config
        self.interrupted = False
        self.token: int | None = None
        self.own: set[int] = set()  # transactions that this build committed
        self._opening = threading.Lock()
        self._asking = threading.Lock()
        self._main = PostgresSession(self, self.connect())  # a server that cannot be reached is told at once
        self.name = _named(self._main.connection)
        self.broken = _broken(config, self.name, keep=keep)
        self.traits = traits_with(self.broken)
        self._sessions: list[PostgresSession] = [self._main]
        self._holder: PostgresSession | None = None  # of the lock of a build

    @property
    def version(self) -> str:
        connection = self._main.connection
        known = f"{written(connection.info.server_version)} {session_digest(connection)}"
        return f"{known} without {', '.join(sorted(self.broken))}" if self.broken else known

    def connect(self) -> Connection[Row]:
        import os
        import socket

        return connect(self.config, f"{self.config.name} pid {os.getpid()} on {socket.gethostname()}")

    def lock(self, wait: float, emit: Emit) -> None:
        """Hold the lock of this database against other builds, here and on other machines, until the engine is closed.
        Raises ProjectError that says who holds it."""
        holder = PostgresSession(self, self.connect())
        self._holder = holder
        began, told = time.monotonic(), False
        while not self._take(holder):
            who = self._who(holder)
            if time.monotonic() >= began + (max(wait, _ENDING_SECONDS) if who == _ENDING else wait):
                raise one_problem(
                    "build-running",
                    f"another build into this database is running: {who}",
                    hint=f"wait for it, or give more time with `--wait SECONDS` (waited {wait:g} s)",
                )
            if not told:
                emit(Told(f"another build into this database is running: {who}; waiting up to {wait:g} s"))
                told = True
            time.sleep(_POLL_SECONDS)

    def _take(self, holder: PostgresSession) -> bool:
        """Take the lock if it is free.

        The build before may have lost it with its connection and still have transactions open. Those that are being
        committed are waited for; the others find that its token is gone when they want to be.
        """
        if not holder.fetch("SELECT pg_try_advisory_lock($1, $2)", [_LOCK_CLASS, _BUILDING])[0][0]:
            return False
        if not holder.fetch("SELECT pg_try_advisory_lock($1, $2)", [_LOCK_CLASS, _COMMITTING])[0][0]:
            holder.fetch("SELECT pg_advisory_unlock($1, $2)", [_LOCK_CLASS, _BUILDING])
            return False
        holder.fetch("SELECT pg_advisory_unlock($1, $2)", [_LOCK_CLASS, _COMMITTING])
        token = secrets.randbits(31)
        holder.fetch("SELECT pg_advisory_lock($1, $2)", [_TOKEN_CLASS, token])
        self.token = token
        return True

    def _who(self, session: PostgresSession) -> str:
        """Who holds the lock. The start of another user's session is only told to those who may know."""
        found = session.fetch(
            "SELECT a.application_name, a.usename, to_char(a.backend_start, 'YYYY-MM-DD HH24:MI:SS') FROM pg_locks AS l "
            "JOIN pg_stat_activity AS a USING (pid) JOIN pg_database AS d ON d.oid = l.database "
            "WHERE l.locktype = 'advisory' AND l.classid::bigint = $1 AND l.objid::bigint = $2 AND l.granted "
            "AND d.datname = current_database()",
            [_LOCK_CLASS, _BUILDING],
        )
        if not found:
            return _ENDING
        name, user, since = found[0]
        return f"`{name}` as user `{user}`" + (f", since {since}" if since is not None else "")

    def session(self) -> PostgresSession:
        with self._opening:
            session = PostgresSession(self)
            self._sessions.append(session)
        return session

    def moment(self) -> str:
        with self._asking:
            return str(self._main.fetch("SELECT CAST(pg_current_snapshot() AS TEXT)")[0][0])

    def untouched_since(self, moment: str) -> bool:
        now = self.moment()
        first, last = int(moment.split(":")[0]), int(now.split(":")[1])
        if now == moment or last - first > _MOST_TRANSACTIONS:
            return now == moment
        with self._asking:
            ended = self._main.fetch(
                "SELECT n FROM generate_series($1::bigint, $2::bigint - 1) AS n, LATERAL (SELECT n::text::xid8 AS x) AS _x "
                "WHERE pg_visible_in_snapshot(x, $4::pg_snapshot) AND NOT pg_visible_in_snapshot(x, $3::pg_snapshot) "
                "AND pg_xact_status(x) IS DISTINCT FROM 'aborted'",
                [first, last, moment, now],
            )
        return all(int(str(number)) in self.own for (number,) in ended)

    def tables(self) -> Mapping[TableName, Found]:
        rows = self._main.fetch(
            "SELECT n.nspname, c.relname, c.relkind IN ('v', 'm'), array_agg(a.attname::text ORDER BY a.attnum), "
            # A query gives the values of a domain as those of its base type.
            "array_agg(CASE WHEN k.typtype = 'd' THEN format_type(k.typbasetype, k.typtypmod) "
            "ELSE format_type(a.atttypid, a.atttypmod) END ORDER BY a.attnum), "
            # Rows of a partitioned table, or of one with children, may be elsewhere; policies may look at anything; and which
            # transaction has written a row says the server's own kind of table, to those who may read all of its columns.
            "c.relkind IN ('r', 'm') AND NOT c.relhassubclass AND NOT c.relrowsecurity "
            "AND has_table_privilege(c.oid, 'SELECT') "
            "AND EXISTS (SELECT 1 FROM pg_am AS m WHERE m.oid = c.relam AND m.amname = 'heap') FROM pg_class AS c "
            "JOIN pg_namespace AS n ON n.oid = c.relnamespace JOIN pg_attribute AS a ON a.attrelid = c.oid "
            "JOIN pg_type AS k ON k.oid = a.atttypid "
            "WHERE c.relkind IN ('r', 'p', 'f', 'v', 'm') AND a.attnum > 0 AND NOT a.attisdropped "
            "AND n.nspname NOT IN ('pg_catalog', 'information_schema', '_sqlflow') AND n.nspname !~ '^pg_(toast|temp)' "
            "AND NOT c.relispartition GROUP BY 1, 2, 3, 6 ORDER BY 1, 2"
        )
        found: dict[TableName, Found] = {}
        names: dict[TableName, list[str]] = {}
        for schema, name, is_view, columns, types, inside in rows:
            pairs = zip(_texts(columns), _texts(types), strict=True)
            kind = Relation.VIEW if is_view else Relation.TABLE
            table = TableName(str(schema), str(name))
            names.setdefault(table, []).append(render(table))
            if (other := found.get(table)) is not None:
                found[table] = replace(other, alike=tuple(names[table]))
                continue
            found[table] = Found(kind, Schema(tuple(Column(c, spelled(t)) for c, t in pairs)), bool(inside))
        return found

    def interrupt(self) -> None:
        self.interrupted = True
        for session in self._sessions:
            session.cancel()

    def close(self) -> None:
        for session in self._sessions:
            session.close()
        if self._holder is not None:
            self._holder.release()
            self._holder.close()


def _texts(value: object) -> list[str]:
    return [str(item) for item in value] if isinstance(value, list | tuple) else []


# ---------------------------------------------------------------------- the judge of queries


class PostgresBinder:
    """Queries prepared by the server, with empty temporary tables in the place of those that they name."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._opened: Connection[Row] | None = None
        self._standing: dict[tuple[str, str], str] = {}
        self._types: dict[tuple[int, int], str] = {}
        self._without_key: set[tuple[str, str]] = set()
        self._files: FileReader | None = None

    @property
    def _connection(self) -> Connection[Row]:
        if self._opened is None:
            self._opened = connect(self._config, "compile")
        return self._opened

    @cached_property
    def traits(self) -> Traits:
        """Asked of the server only where one is known that differs, so that what is remembered needs no server."""
        if not some_broken(self._config, "PostgreSQL ", FACTS):
            return TRAITS
        return traits_with(_broken(self._config, _named(self._connection), keep=False))

    def define(self, table: TableName, schema: Schema) -> None:
        before = self._standing.get(table.key)
        if before is not None:
            self._execute(compose("DROP TABLE pg_temp.{t}", t=Ident(before)))
            self._without_key.discard(table.key)
        name = f"_sqlflow_{len(self._standing)}" if before is None else before
        columns = [compose("{n} {k}", n=Ident(c.name), k=Sql(c.type)) for c in schema]
        self._execute(compose("CREATE TEMP TABLE {t} ({cs})", t=Ident(name), cs=columns))
        self._standing[table.key] = name
        if (key := self._keys.get(table.key)) and set(key) <= {column.name for column in schema}:
            self._add_key(name, key)

    @cached_property
    def _keys(self) -> Mapping[tuple[str, str], tuple[str, ...]]:
        """The primary keys in the database: a query that groups by one may use all columns of its table."""
        rows = self._execute(
            Sql(
                "SELECT n.nspname, c.relname, array_agg(a.attname::text ORDER BY a.attnum) FROM pg_catalog.pg_constraint AS k "
                "JOIN pg_catalog.pg_class AS c ON c.oid = k.conrelid JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace "
                "JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid AND a.attnum = ANY(k.conkey) "
                "WHERE k.contype = 'p' AND NOT k.condeferrable AND n.nspname !~ '^pg_' AND n.nspname <> '_sqlflow' GROUP BY 1, 2"
            )
        )
        return {(str(schema).lower(), str(name).lower()): tuple(_texts(columns)) for schema, name, columns in rows}

    def _add_key(self, name: str, key: Sequence[str]) -> None:
        import psycopg

        columns = [Ident(column) for column in key]
        with suppress(psycopg.Error):  # a type that has no order now
            self._connection.execute(
                compose("ALTER TABLE pg_temp.{t} ADD PRIMARY KEY ({cs})", t=Ident(name), cs=columns)
            )

    def describe(self, reading: Sql) -> Schema | BindError:
        """The columns of files, as they will be in a table."""
        if self._files is None:
            self._files = FileReader(self._config)
        found = self._files.describe(reading)
        if isinstance(found, BindError):
            return found
        return Schema(tuple(Column(c.name, of_file(c.type)) for c in found))

    def rows(self, query: Sql) -> list[Row] | BindError:
        if self._files is None:
            self._files = FileReader(self._config)
        return self._files.rows(query)

    def parse(self, query: str) -> tuple[ReadTable, ...] | BindError:
        found = self._prepared(query)
        if isinstance(found, BindError) and found.code in ("syntax", "too-deep"):
            return found
        tree = tables_tree(query, TRAITS.dialect)
        if tree is None:
            message = "this query cannot be analysed: it is beyond the SQL that SQLFlow can read"
            return BindError("syntax", message, hint=_BEYOND)
        tables, forbidden = named_tables(tree, query, TRAITS.dialect)
        if forbidden:
            return BindError("not-a-query", f"a model is one query, and this one has {forbidden} inside", 0)
        return tables

    def bind(self, query: str) -> Schema | BindError:
        text, edits = self._with_stand_ins(query)
        found = self._prepared(text)
        if isinstance(found, BindError):
            return _placed(found, edits)
        return self._unseen(query, text) or found

    def _unseen(self, query: str, text: str) -> BindError | None:
        """What a query reads besides the stand-ins and the catalogue, by what the server says itself.

        Asked where SQLFlow's own parser does not say it all. `text`: the query with the stand-ins."""
        tree = parse_tree(query, TRAITS.dialect)
        named = named_tables(tree, query, TRAITS.dialect)[0] if tree is not None else ()
        if tree is not None and all(self._stand_in(read) for read in named):
            return None
        kept = self._kept(compose("SELECT count(*) FROM (\n{query}\n) AS _whole", query=Sql(text)), given=True)
        if not isinstance(kept, str):
            said = f"the server does not tell what this query reads: {kept.diag.message_primary}"
            return BindError("syntax", said, hint=_BEYOND)
        rows = self._execute(
            Sql(
                "SELECT format('%I.%I', n.nspname, c.relname) FROM pg_catalog.pg_class AS c "
                "JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace WHERE c.oid = ANY($1::oid[]) "
                "AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.oid <> pg_my_temp_schema() ORDER BY 1"
            ),
            (sorted({int(number) for number in _READ.findall(kept)}),),
        )
        if not rows:
            return None
        listed = ", ".join(f"`{row[0]}`" for row in rows)
        message = f"this query reads {listed} in a way that SQLFlow cannot see, so that changes would be missed"
        return BindError("syntax", message, hint="name it with its schema, as in `FROM schema.name`")

    def _execute(self, sql: Sql, parameters: Sequence[object] = ()) -> list[Row]:
        import psycopg

        try:
            cursor = self._connection.execute(sql, tuple(parameters) or None)
            return cursor.fetchall() if cursor.description is not None else []
        except psycopg.Error as error:
            if self._connection.closed:
                raise lost(self._config, error) from None
            raise engine_error(self._config, error, sql, self._connection.info.server_version) from None

    def settings(self, query: str, columns: Iterable[Schema]) -> Mapping[str, str]:
        tree = self._kept(query)
        return settings_of(self._connection, tree if isinstance(tree, str) else None, columns)

    def steady(self, function: str) -> bool:
        rows = self._connection.execute(
            "SELECT bool_and(provolatile = 'i') FROM pg_proc WHERE proname = $1 AND prokind IN ('f', 'a', 'w')",
            (function,),
        ).fetchall()
        return rows[0][0] is True

    def unsteady(self, query: str) -> tuple[Unsteady, ...]:
        tree = self._kept(query)
        if isinstance(tree, str):
            return judged(self._connection, tree)
        return (Unsteady("query", f"the server does not tell what it calls: {tree.diag.message_primary}"),)

    def fill(self, table: TableName, columns: Sequence[str], query: Sql) -> None:
        names = [Ident(name) for name in columns]
        name = Ident(self._standing[table.key])
        insert = compose("INSERT INTO pg_temp.{t} ({names}) {query}", t=name, names=names, query=query)
        try:
            self._execute(insert)
        except EngineError as error:
            if error.kind not in _BREAKS_A_KEY:
                raise
            self._drop_key(table)
            self._execute(insert)

    def clear(self, table: TableName) -> None:
        name = self._standing[table.key]
        self._execute(compose("DELETE FROM pg_temp.{t}", t=Ident(name)))
        if table.key in self._without_key:
            self._without_key.discard(table.key)
            self._add_key(name, self._keys[table.key])

    def _drop_key(self, table: TableName) -> None:
        """Rows of a test need not have the key, without which a query that groups by it is refused."""
        name = self._standing[table.key]
        self._without_key.add(table.key)
        drops = [compose("DROP CONSTRAINT IF EXISTS {k}", k=Ident(f"{name}_pkey"))]
        drops += [compose("ALTER COLUMN {c} DROP NOT NULL", c=Ident(column)) for column in self._keys[table.key]]
        self._execute(compose("ALTER TABLE pg_temp.{t} {drops}", t=Ident(name), drops=drops))

    def answer(self, query: str) -> list[Row]:
        text, edits = self._with_stand_ins(query)
        try:
            return self._execute(Sql(text))
        except EngineError as error:
            start = _placed(BindError("", "", error.position), edits).start
            raise EngineError(error.message, error.kind, start, length=error.length, code=error.code) from None

    def _kept(self, query: str, *, given: bool = False) -> str | psycopg.Error:
        """The query as the server keeps that of a view: with what each name and operator stands for.

        `given`: the stand-ins are in it."""
        import psycopg

        text = query if given else self._with_stand_ins(query)[0]
        connection = self._connection
        try:
            connection.execute("BEGIN")
            connection.execute(f"CREATE TEMP VIEW _sqlflow_judged AS {text}")
            tree = connection.execute(
                "SELECT ev_action FROM pg_rewrite WHERE ev_class = 'pg_temp._sqlflow_judged'::regclass"
            ).fetchall()
            return str(tree[0][0])
        except psycopg.Error as error:
            return error
        finally:
            connection.execute("ROLLBACK")

    def close(self) -> None:
        if self._opened is not None:
            self._opened.close()
        if self._files is not None:
            self._files.close()

    def _with_stand_ins(self, query: str) -> tuple[str, list[tuple[int, int, int]]]:
        """The query with the temporary tables' names, and where they are: place in the query, length there, growth."""
        parts, edits, position = [], [], 0
        tree = parse_tree(query, TRAITS.dialect) or tables_tree(query, TRAITS.dialect)
        places: list[tuple[int, int, str]] = []
        for read in named_tables(tree, query, "postgres")[0] if tree is not None else ():
            name = self._stand_in(read)
            if name is not None:
                alias = "" if read.aliased else f" AS {quoted(_folded(query, read))}"
                places.append((read.start, read.end, f"pg_temp.{quoted(name)}{alias}"))
        for start, end in qualified_columns(tree) if tree is not None else ():
            places.append((start, end, ""))
        for start, end, text in sorted(places):
            parts += [query[position:start], text]
            edits.append((start, end - start, len(text) - (end - start)))
            position = end
        return "".join([*parts, query[position:]]), edits

    def _stand_in(self, read: ReadTable) -> str | None:
        return self._standing.get(((read.schema or "").lower(), read.name.lower()))

    def _prepared(self, text: str) -> Schema | BindError:
        """The columns of a query, by PREPARE, which runs nothing."""
        import psycopg
        from psycopg.pq import DiagnosticField, ExecStatus

        server = self._connection.pgconn
        result = server.prepare(b"", text.encode())
        if result.status != ExecStatus.COMMAND_OK:
            if self._opened is not None and self._opened.closed:
                raise lost(self._config, psycopg.OperationalError(server.get_error_message()))

            def field(name: DiagnosticField) -> str:
                found = result.error_field(name)
                return found.decode() if found else ""

            position = field(DiagnosticField.STATEMENT_POSITION)
            return _bind_error(
                field(DiagnosticField.SQLSTATE),
                without_secrets(self._config, field(DiagnosticField.MESSAGE_PRIMARY)),
                field(DiagnosticField.MESSAGE_HINT),
                text,
                int(position) - 1 if position else None,
                server.server_version,
            )
        described = server.describe_prepared(b"")
        if described.nfields == 0:
            return BindError("invalid-query", "this is no query: it has no columns", 0)
        columns = []
        for number in range(described.nfields):
            name = (described.fname(number) or b"").decode()
            columns.append((name, described.ftype(number), described.fmod(number)))
        self._spell({(kind, size) for _, kind, size in columns})
        return Schema(tuple(Column(name, self._types[kind, size]) for name, kind, size in columns))

    def _spell(self, wanted: set[tuple[int, int]]) -> None:
        unknown = sorted(wanted - self._types.keys())
        if not unknown:
            return
        rows = self._execute(
            Sql("SELECT t, m, format_type(t, m) FROM unnest($1::oid[], $2::int[]) AS u(t, m)"),
            ([kind for kind, _ in unknown], [size for _, size in unknown]),
        )
        for kind, size, text in rows:
            self._types[int(str(kind)), int(str(size))] = spelled(str(text))


def _folded(query: str, read: ReadTable) -> str:
    """The name by which the query calls the table: as PostgreSQL folds it."""
    return read.name if query[read.end - 1] == '"' else read.name.lower()


def _placed(error: BindError, edits: Sequence[tuple[int, int, int]]) -> BindError:
    """The error at its place in the query before the stand-ins were put in."""

    def back(at: int | None) -> int | None:
        if at is None:
            return None
        moved = 0
        for start, length, grown in edits:
            if start + moved >= at:
                break
            if at < start + moved + length + grown:
                return start
            moved += grown
        return at - moved

    return replace(error, start=back(error.start), end=back(error.end))


_READ = re.compile(r":relid (\d+)")
_BREAKS_A_KEY = ("23502", "23505")  # a NULL in it, and two rows of one key
_UNGROUPED = "name it in GROUP BY too: a primary key stands for its table only where the database has one"
_BEYOND = "write it in another way, or make it a view of the database, and read that"
_MISSING_COLUMN = re.compile(r'column (?:"?(?P<table>[\w$]+)"?\.)?"?(?P<column>.+?)"? does not exist')
_CODES = {
    "42601": "syntax", "42703": "unknown-column", "42P01": "unknown-table", "42883": "unknown-function",
    "42702": "ambiguous-column", "42804": "type-error", "22P02": "type-error", "42846": "type-error",
    "22007": "type-error", "22008": "type-error", "42704": "type-error",
}  # fmt: skip


def _bind_error(state: str, message: str, hint: str, query: str, start: int | None, version: int) -> BindError:
    if state == "54001":  # the server's own stack
        return BindError("too-deep", "the query is nested more deeply than the server can read")
    code = _CODES.get(state, "invalid-query")
    end = None
    if start is not None:
        word = re.compile(r'"(?:[^"]|"")+"|[\w.$]+|\S').match(query, start)
        end = word.end() if word else None
    candidates: tuple[str, ...] = ()
    newer = too_new(message, version)
    if code == "unknown-column" and (found := _MISSING_COLUMN.match(message)):
        of = f"`{found['table']}`" if found["table"] else "what this query reads"
        message = f"there is no column `{found['column']}` in {of}"
        near = re.search(r'column "(?:[^"]+\.)?([^".]+)"', hint)
        candidates = (near[1],) if near else ()
    elif code == "unknown-function":
        message = "there is no " + re.sub(r"^(\w+) (.+) does not exist$", r"\1 `\2`", message)
    elif code == "unknown-table":
        message = "there is no table " + re.sub(r'^relation "(.+)" does not exist$', r"`\1`", message)
    told = _UNGROUPED if state == "42803" and "GROUP BY" in message else None
    return BindError(code, f"{message}; {newer}" if newer else message, start, end, candidates, told)
