"""PostgreSQL 14 and later, through psycopg 3.

A build has one connection that holds the advisory lock of its target, and one more for each transaction at a time. The
driver is imported where it is first used, so that everything else works without it.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from sqlflow.core.config import Config
from sqlflow.core.diagnostics import ProjectError, one_problem
from sqlflow.core.engine import BindError, Engine, EngineError, Found, Interrupted, ReadTable, Row, Traits, Unsteady
from sqlflow.core.events import Emit, Told
from sqlflow.core.names import TableName
from sqlflow.core.records import Relation
from sqlflow.core.schema import Column, Schema
from sqlflow.core.sql import Ident, Sql, compose, quoted, render
from sqlflow.core.syntax import named_tables, parse_tree, qualified_columns
from sqlflow.engines.files import FileReader
from sqlflow.engines.postgres_functions import judged
from sqlflow.engines.postgres_sql import PostgresWording
from sqlflow.engines.postgres_types import of_file, spelled

if TYPE_CHECKING:
    import psycopg
    from psycopg import Connection

TRAITS = Traits(
    dialect="postgres",
    wording=PostgresWording(),
    reads_files=False,
    cuts_days=False,
    averages_in="DECIMAL",
    loose_decimals=True,
    clock_texts=frozenset({"now", "today", "tomorrow", "yesterday"}),
)

_POLL_SECONDS = 0.1
_OLDEST = 140000
_LOCK_CLASS = 0x53514C46  # "SQLF": the first half of our advisory locks


def open_engine(
    config: Config, *, writing: bool, create: bool, wait: float, emit: Emit, files: Sequence[str]
) -> PostgresEngine | None:
    """Connect to the target's server; see `EngineModule.open_engine`. The database itself is never created here."""
    engine = PostgresEngine(config)
    try:
        if writing:
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
    )


# ---------------------------------------------------------------------- connections


def _connect(config: Config, purpose: str) -> Connection[Row]:
    """A connection in autocommit with the settings on which the text of values depends. Raises ProjectError."""
    try:
        import psycopg
    except ImportError:
        raise one_problem(
            "missing-package",
            "PostgreSQL targets need the package `psycopg`",
            hint="install it with `pip install 'sqlflow[postgres]'`",
        ) from None
    options = config.target.options
    settings = {
        "TimeZone": config.timezone, "DateStyle": "ISO, YMD", "IntervalStyle": "postgres", "bytea_output": "hex",
        "extra_float_digits": "1", "client_min_messages": "warning", "standard_conforming_strings": "on",
    }  # fmt: skip
    if "statement_timeout" in options:
        settings["statement_timeout"] = str(options["statement_timeout"])
    try:
        connection: Connection[Row] = psycopg.connect(
            str(options["url"]),
            autocommit=True,
            cursor_factory=psycopg.RawCursor,
            fallback_application_name=f"sqlflow {purpose}"[:63],
            connect_timeout=int(str(options.get("connect_timeout", 10))),
            prepare_threshold=None,
        )
        for name, value in settings.items():
            connection.execute("SELECT set_config($1, $2, false)", (name, value))
    except psycopg.Error as error:
        raise _cannot_connect(config, error) from None
    version = connection.info.server_version
    if version < _OLDEST:
        connection.close()
        raise one_problem(
            "database-version",
            f"the server of the target `{config.target.name}` is PostgreSQL {version // 10000}",
            hint="SQLFlow needs PostgreSQL 14 or later",
        )
    _adapt(connection)
    return connection


def _adapt(connection: Connection[Row]) -> None:
    """Values that Python has no type for (infinity, years after 9999) are given as text; JSON as it is written."""
    from psycopg import DataError
    from psycopg.types import datetime as moments
    from psycopg.types.string import TextLoader

    def lenient(loader: type[Any]) -> type[Any]:
        class Lenient(loader):  # type: ignore[misc]
            def load(self, data: Any) -> Any:
                try:
                    return super().load(data)
                except DataError:
                    return bytes(data).decode()

        return Lenient

    for name, loader in (
        ("date", moments.DateLoader),
        ("timestamp", moments.TimestampLoader),
        ("timestamptz", moments.TimestamptzLoader),
        ("interval", moments.IntervalLoader),
    ):
        connection.adapters.register_loader(name, lenient(loader))
    for name in ("json", "jsonb"):
        connection.adapters.register_loader(name, TextLoader)


def _cannot_connect(config: Config, error: psycopg.Error) -> ProjectError:
    lines = [line.strip() for line in _without_secrets(config, str(error)).splitlines() if line.strip()]
    message = lines[0] if lines else "no answer"
    return one_problem(
        "cannot-connect",
        f"the target `{config.target.name}` cannot be reached: {message}",
        hint="check its `url` in sqlflow.yml and that the server runs and lets this user in",
    )


def _without_secrets(config: Config, text: str) -> str:
    """`text` without the password of the target, wherever a driver or a server put it."""
    url = str(config.target.options.get("url", ""))
    for secret in _secrets(url):
        text = text.replace(secret, "***")
    return text


def _secrets(url: str) -> Iterator[str]:
    found: list[str] = [url]
    try:
        password = urlsplit(url).password
    except ValueError:
        password = None
    if password:
        found += [password, unquote(password)]
    for match in re.finditer(r"(?:ssl)?password\s*=\s*('(?:[^'\\]|\\.)*'|[^\s&]+)", url):
        found += [match[1], match[1].strip("'"), unquote(match[1])]
    return (secret for secret in sorted(set(found), key=len, reverse=True) if secret)


class PostgresSession:
    """One connection, made when it is first used and again after it was lost between two transactions."""

    wording = TRAITS.wording

    def __init__(self, engine: PostgresEngine) -> None:
        self._engine = engine
        self._connection: Connection[Row] | None = None
        self._within = False
        self._lost = False

    @property
    def connection(self) -> Connection[Row]:
        if self._connection is None or (self._connection.closed and not self._within):
            self._connection = self._engine.connect()
        return self._connection

    def execute(self, sql: str, parameters: Sequence[object] = ()) -> int:
        return self._run(self.wording.statement(Sql(sql)), parameters)[1]

    def fetch(self, sql: str, parameters: Sequence[object] = ()) -> list[Row]:
        return self._run(self.wording.statement(Sql(sql)), parameters)[0]

    def load(self, table: TableName, schema: Schema, reading: Sql, *, anew: bool, fits: bool) -> int:
        """Copy what DuckDB reads from files into a table; the number of rows."""
        with self._errors(""):
            target = table
            if anew and fits:
                self.connection.execute(f"TRUNCATE {render(table)}")
            elif anew:
                target = TableName(table.schema, f"{table.name[:40]}__new")
                columns = [compose("{n} {k}", n=Ident(c.name), k=Sql(c.type)) for c in schema]
                self.connection.execute(compose("CREATE TABLE {t} ({cs})", t=target, cs=columns))
            names = [Ident(name) for name in schema.names]
            into = compose("COPY {t} ({cs}) FROM STDIN (FORMAT csv, NULL '\\N')", t=target, cs=names)
            with FileReader(self._engine.config) as reader, self.connection.cursor() as cursor:
                with cursor.copy(into) as copy:
                    for block in reader.csv(reading):
                        copy.write(block)
                count = cursor.rowcount
            if target is not table:
                for statement in self.wording.swap_in(target, table, schema, fits=False):
                    self.connection.execute(statement)
            self.connection.execute(f"ANALYZE {render(table)}")
            return count

    def begin(self) -> None:
        self._run("BEGIN ISOLATION LEVEL REPEATABLE READ", ())
        self._within = True

    def commit(self) -> None:
        try:
            self._run("COMMIT", ())
        except EngineError as error:
            if self._connection is not None and self._connection.closed:
                error.conflict = False
                error.message = (
                    f"the connection was lost while the work was being committed ({error.message.splitlines()[0]})\n"
                    "build again: the next build sees in the database whether it was"
                )
            raise
        finally:
            self._within = False

    def rollback(self) -> None:
        self._within = False
        if self._connection is not None and not self._connection.closed:
            self._run("ROLLBACK", ())

    def _run(self, sql: str, parameters: Sequence[object]) -> tuple[list[Row], int]:
        with self._errors(sql):
            cursor = self.connection.execute(sql, tuple(parameters) if parameters else None)
            while cursor.nextset():
                pass
            rows = cursor.fetchall() if cursor.description is not None else []
            return rows, max(cursor.rowcount, 0)

    @contextmanager
    def _errors(self, sql: str) -> Iterator[None]:
        import psycopg

        try:
            yield
        except psycopg.errors.QueryCanceled as error:
            if self._engine.interrupted:
                raise Interrupted from None
            raise _engine_error(self._engine.config, error) from error
        except psycopg.Error as error:
            found = _engine_error(self._engine.config, error)
            if self._connection is not None and self._connection.closed:
                # What was not committed is rolled back by the server, so doing it again is safe.
                found.conflict = self._within
                found.message = f"the connection to the server was lost: {found.message}"
            raise found from None

    def cancel(self) -> None:
        import psycopg

        if self._connection is not None and not self._connection.closed:
            try:
                self._connection.cancel_safe(timeout=5)
            except (psycopg.Error, AttributeError):
                self._connection.cancel()

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()


_RETRIED = ("40001", "40P01", "55P03")  # serialization failure, deadlock, lock not available
_PROGRAM_LIMITS = {"53100": "disk-full", "53200": "out-of-memory"}


def _engine_error(config: Config, error: psycopg.Error) -> EngineError:
    """The server's error with its detail and hint, which say what to do, on lines of their own."""
    diag = error.diag
    message = diag.message_primary or str(error).strip() or type(error).__name__
    lines = [message]
    if diag.message_detail:
        lines += diag.message_detail.splitlines()
    state = error.sqlstate or ""
    if state == "2BP01":
        lines.append("they are not SQLFlow's, so they are not dropped: drop or change them, then build again")
    elif state == "57014":
        lines.append("raise `statement_timeout` of the target in sqlflow.yml if it takes that long")
    elif state == "42501":
        lines.append("docs/targets/postgres.md says what the role of a target must be allowed to do")
    elif diag.message_hint:
        lines.append(diag.message_hint)
    position = int(diag.statement_position) - 1 if diag.statement_position else None
    return EngineError(
        _without_secrets(config, "\n".join(lines)),
        state,
        position,
        conflict=state in _RETRIED,
        code=_PROGRAM_LIMITS.get(state, "statement-failed"),
    )


class PostgresEngine:
    """A database on a server. `interrupted`: Ctrl-C was pressed, so cancelled statements are no failures."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.interrupted = False
        self._opening = threading.Lock()
        self._sessions: list[PostgresSession] = []
        self._main = PostgresSession(self)
        self._sessions.append(self._main)
        self._main.connection  # noqa: B018 - a server that cannot be reached is told at once
        self._holder: PostgresSession | None = None

    @property
    def traits(self) -> Traits:
        return TRAITS

    def connect(self) -> Connection[Row]:
        import os
        import socket

        return _connect(self.config, f"{self.config.name} pid {os.getpid()} on {socket.gethostname()}")

    def lock(self, wait: float, emit: Emit) -> None:
        """Hold the lock of this database against other builds, here and on other machines, until the engine is closed.
        Raises ProjectError that says who holds it."""
        holder = PostgresSession(self)
        self._sessions.append(holder)
        deadline, told = time.monotonic() + wait, False
        while True:
            if holder.fetch("SELECT pg_try_advisory_lock($1, 1)", [_LOCK_CLASS])[0][0]:
                self._holder = holder
                return
            who = self._who(holder)
            if time.monotonic() >= deadline:
                raise one_problem(
                    "build-running",
                    f"another build into this database is running: {who}",
                    hint=f"wait for it, or give more time with `--wait SECONDS` (waited {wait:g} s)",
                )
            if not told:
                emit(Told(f"another build into this database is running: {who}; waiting up to {wait:g} s"))
                told = True
            time.sleep(_POLL_SECONDS)

    def _who(self, session: PostgresSession) -> str:
        found = session.fetch(
            "SELECT a.application_name, a.usename, to_char(a.backend_start, 'YYYY-MM-DD HH24:MI:SS') FROM pg_locks AS l "
            "JOIN pg_stat_activity AS a USING (pid) JOIN pg_database AS d ON d.oid = l.database "
            "WHERE l.locktype = 'advisory' AND l.classid::bigint = $1 AND l.granted AND d.datname = current_database()",
            [_LOCK_CLASS],
        )
        if not found:
            return "it is just ending"
        name, user, since = found[0]
        return f"`{name}` as user `{user}`, since {since}"

    def session(self) -> PostgresSession:
        with self._opening:
            session = PostgresSession(self)
            self._sessions.append(session)
        return session

    def tables(self) -> Mapping[TableName, Found]:
        rows = self._main.fetch(
            "SELECT n.nspname, c.relname, c.relkind IN ('v', 'm'), array_agg(a.attname::text ORDER BY a.attnum), "
            "array_agg(format_type(a.atttypid, a.atttypmod) ORDER BY a.attnum) FROM pg_class AS c "
            "JOIN pg_namespace AS n ON n.oid = c.relnamespace JOIN pg_attribute AS a ON a.attrelid = c.oid "
            "WHERE c.relkind IN ('r', 'p', 'f', 'v', 'm') AND a.attnum > 0 AND NOT a.attisdropped "
            "AND n.nspname NOT IN ('pg_catalog', 'information_schema', '_sqlflow') AND n.nspname !~ '^pg_(toast|temp)' "
            "AND NOT c.relispartition GROUP BY 1, 2, 3 ORDER BY 1, 2"
        )
        found: dict[TableName, Found] = {}
        for schema, name, is_view, columns, types in rows:
            pairs = zip(_texts(columns), _texts(types), strict=True)
            kind = Relation.VIEW if is_view else Relation.TABLE
            found[TableName(str(schema), str(name))] = Found(
                kind, Schema(tuple(Column(c, spelled(t)) for c, t in pairs))
            )
        return found

    def interrupt(self) -> None:
        self.interrupted = True
        for session in self._sessions:
            session.cancel()

    def close(self) -> None:
        for session in self._sessions:
            session.close()


def _texts(value: object) -> list[str]:
    return [str(item) for item in value] if isinstance(value, list | tuple) else []


# ---------------------------------------------------------------------- the judge of queries


class PostgresBinder:
    """Queries prepared by the server, with empty temporary tables in the place of those that they name."""

    traits = TRAITS

    def __init__(self, config: Config) -> None:
        self._config = config
        self._opened: Connection[Row] | None = None
        self._standing: dict[tuple[str, str], str] = {}
        self._types: dict[tuple[int, int], str] = {}
        self._files: FileReader | None = None

    @property
    def _connection(self) -> Connection[Row]:
        if self._opened is None:
            self._opened = _connect(self._config, "compile")
        return self._opened

    def define(self, table: TableName, schema: Schema) -> None:
        before = self._standing.get(table.key)
        if before is not None:
            self._connection.execute(f"DROP TABLE pg_temp.{quoted(before)}")
        name = f"_sqlflow_{len(self._standing)}" if before is None else before
        columns = [compose("{n} {k}", n=Ident(c.name), k=Sql(c.type)) for c in schema]
        self._connection.execute(compose("CREATE TEMP TABLE {t} ({cs})", t=Ident(name), cs=columns))
        self._standing[table.key] = name

    def describe(self, reading: Sql) -> Schema | BindError:
        """The columns of files, as they will be in a table."""
        if self._files is None:
            self._files = FileReader(self._config)
        found = self._files.describe(reading)
        if isinstance(found, BindError):
            return found
        return Schema(tuple(Column(c.name, of_file(c.type)) for c in found))

    def parse(self, query: str) -> tuple[ReadTable, ...] | BindError:
        found = self._prepared(query)
        if isinstance(found, BindError) and found.code == "syntax":
            return found
        return BindError("syntax", "this query cannot be analysed: it is beyond the SQL that SQLFlow can read")

    def bind(self, query: str) -> Schema | BindError:
        text, edits = self._with_stand_ins(query)
        found = self._prepared(text)
        if isinstance(found, BindError):
            return _placed(found, edits)
        return found

    def unsteady(self, query: str) -> tuple[Unsteady, ...]:
        """Asked of the server, which knows what each name and operator stands for: it keeps that of a view."""
        import psycopg

        text, _ = self._with_stand_ins(query)
        connection = self._connection
        try:
            connection.execute("BEGIN")
            connection.execute(f"CREATE TEMP VIEW _sqlflow_judged AS {text}")
            tree = connection.execute(
                "SELECT ev_action FROM pg_rewrite WHERE ev_class = 'pg_temp._sqlflow_judged'::regclass"
            ).fetchall()
            return judged(connection, str(tree[0][0]))
        except psycopg.Error as error:
            return (Unsteady("query", f"the server does not tell what it calls: {error.diag.message_primary}"),)
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
        tree = parse_tree(query, TRAITS.dialect)
        places: list[tuple[int, int, str]] = []
        for read in named_tables(tree, query)[0] if tree is not None else ():
            name = self._standing.get(((read.schema or "").lower(), read.name.lower()))
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

    def _prepared(self, text: str) -> Schema | BindError:
        """The columns of a query, by PREPARE, which runs nothing."""
        from psycopg.pq import DiagnosticField, ExecStatus

        server = self._connection.pgconn
        result = server.prepare(b"", text.encode())
        if result.status != ExecStatus.COMMAND_OK:

            def field(name: DiagnosticField) -> str:
                found = result.error_field(name)
                return found.decode() if found else ""

            position = field(DiagnosticField.STATEMENT_POSITION)
            return _bind_error(
                field(DiagnosticField.SQLSTATE),
                _without_secrets(self._config, field(DiagnosticField.MESSAGE_PRIMARY)),
                field(DiagnosticField.MESSAGE_HINT),
                text,
                int(position) - 1 if position else None,
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
        rows = self._connection.execute(
            "SELECT t, m, format_type(t, m) FROM unnest($1::oid[], $2::int[]) AS u(t, m)",
            ([kind for kind, _ in unknown], [size for _, size in unknown]),
        ).fetchall()
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

    return BindError(error.code, error.message, back(error.start), back(error.end), error.candidates)


_MISSING_COLUMN = re.compile(r'column (?:"?(?P<table>[\w$]+)"?\.)?"?(?P<column>.+?)"? does not exist')
_CODES = {
    "42601": "syntax", "42703": "unknown-column", "42P01": "unknown-table", "42883": "unknown-function",
    "42702": "ambiguous-column", "42804": "type-error", "22P02": "type-error", "42846": "type-error",
    "22007": "type-error", "22008": "type-error", "42704": "type-error",
}  # fmt: skip


def _bind_error(state: str, message: str, hint: str, query: str, start: int | None) -> BindError:
    code = _CODES.get(state, "invalid-query")
    end = None
    if start is not None:
        word = re.compile(r'"(?:[^"]|"")+"|[\w.$]+|\S').match(query, start)
        end = word.end() if word else None
    candidates: tuple[str, ...] = ()
    if code == "unknown-column" and (found := _MISSING_COLUMN.match(message)):
        of = f"`{found['table']}`" if found["table"] else "what this query reads"
        message = f"there is no column `{found['column']}` in {of}"
        near = re.search(r'column "(?:[^"]+\.)?([^".]+)"', hint)
        candidates = (near[1],) if near else ()
    elif code == "unknown-function":
        message = "there is no " + re.sub(r"^(\w+) (.+) does not exist$", r"\1 `\2`", message)
    elif code == "unknown-table":
        message = "there is no table " + re.sub(r'^relation "(.+)" does not exist$', r"`\1`", message)
    return BindError(code, message, start, end, candidates)
