"""DuckDB: a file on disk, and an empty database in memory as the judge of queries.

The driver is imported where it is first used: a command that finds everything in the cache starts without it.
"""

from __future__ import annotations

import json
import re
import shutil
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache, cached_property
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from sqlflow.core.amounts import bytes_of, sized
from sqlflow.core.config import Config
from sqlflow.core.diagnostics import ProjectError, one_problem
from sqlflow.core.engine import BindError, Engine, EngineError, Found, Interrupted, ReadTable, Row, Traits, Unsteady
from sqlflow.core.events import Emit, Told
from sqlflow.core.file_errors import told_of_file
from sqlflow.core.names import TableName
from sqlflow.core.plan import Load
from sqlflow.core.records import Relation
from sqlflow.core.schema import Column, Schema
from sqlflow.core.sql import Ident, Sql, Value, compose
from sqlflow.core.syntax import RECURRING, named_tables, parse_tree
from sqlflow.engines.duckdb_facts import FACTS, scratch, traits_with
from sqlflow.engines.duckdb_settings import calls_one_of, depends_on_zone
from sqlflow.engines.facts import broken_facts, tell

if TYPE_CHECKING:
    import duckdb

TRAITS = traits_with(frozenset())
_POLL_SECONDS = 0.1


def open_engine(
    config: Config, *, writing: bool, create: bool, wait: float, emit: Emit, files: Sequence[str]
) -> DuckDBEngine | None:
    """Open the target's database file; see `EngineModule.open_engine`."""
    path = config.root / str(config.target.options["path"])
    if "?" in str(path):
        message = f"DuckDB cannot keep a database at `{path}`: it takes what follows `?` for options"
        raise one_problem("database-error", message, hint="rename the folder, or give the target another `path`")
    if not path.exists() and not create:
        return None
    broken = _broken(config, keep=writing)
    if writing:
        tell(_this_version(), FACTS, broken, emit)
    if not path.exists():
        _create(path, config)
    connection = _connect(path, read_only=not writing, wait=wait, emit=emit)
    try:
        _make_temporary_folder(config)
        _apply_options(connection, config, files)
        return DuckDBEngine(connection, _Memory.of(connection, config, emit), broken)
    except ProjectError:
        connection.close()
        raise


def open_binder(config: Config, *, files: Sequence[str]) -> DuckDBBinder:
    """An empty database in memory with the target's extensions and settings, opened when it is first asked."""
    return DuckDBBinder(config, files)


def _this_version() -> str:
    import duckdb

    return f"DuckDB {duckdb.__version__}"


def _broken(config: Config, *, keep: bool) -> frozenset[str]:
    """What does not hold of the version that is installed."""
    return broken_facts(config, _this_version(), FACTS, scratch, keep=keep)


def attach(engine: Engine, other: Config) -> str:
    """Attach the database of another target, to be read; see `EngineModule.attach`."""
    path = other.root / str(other.target.options.get("path", ""))
    if other.target.engine != "duckdb":
        raise one_problem("not-available-yet", f"`{other.target.name}` is no DuckDB target; only those can be compared")
    if not path.is_file():
        raise one_problem(
            "no-database",
            f"the target `{other.target.name}` has no database yet",
            hint=f"build it: `sqlflow build --target {other.target.name}`",
        )
    try:
        engine.session().execute(compose("ATTACH {path} AS _other (READ_ONLY)", path=Value(str(path))))
    except EngineError as error:
        raise one_problem(
            "database-error", f"the database of the target `{other.target.name}` cannot be opened"
        ) from error
    return "_other"


@contextmanager
def scratch_target(config: Config, folder: Path) -> Iterator[Config]:
    """A database in the folder, which goes with it; see `EngineModule.scratch_target`."""
    name = Path(str(config.target.options["path"])).name
    options = {**config.target.options, "path": str(folder / name)}
    yield replace(config, target=replace(config.target, options=options))


@contextmanager
def copied_target(config: Config, folder: Path, database: str) -> Iterator[Config]:
    """A copy of a database file in the folder; see `EngineModule.copied_target`."""
    with scratch_target(config, folder) as own:
        copy, log = Path(str(own.target.options["path"])), Path(f"{database}.wal")
        shutil.copyfile(database, copy)
        if log.is_file():
            shutil.copyfile(log, copy.with_name(f"{copy.name}.wal"))
        yield own


def set_aside(
    engine: Engine, config: Config, database: str, tables: Sequence[TableName]
) -> Callable[[TableName], tuple[Sql, Schema] | None]:
    """They are dropped, and read in the database itself; see `EngineModule.set_aside`."""
    session, called = engine.session(), {str(name).lower() for name in tables}
    for name, found in engine.tables().items():
        if str(name).lower() in called:
            kind = Sql("VIEW" if found.relation is Relation.VIEW else "TABLE")
            session.execute(compose("DROP {kind} {t} CASCADE", kind=kind, t=name))
    target = replace(config.target, name="dbt", options={**config.target.options, "path": database})
    other = attach(engine, replace(config, target=target))

    def there(name: TableName) -> tuple[Sql, Schema] | None:
        relation = compose("{c}.{t}", c=Ident(other), t=name)
        try:
            rows = session.fetch(compose("DESCRIBE SELECT * FROM {r}", r=relation))
        except EngineError:
            return None
        return relation, Schema(tuple(Column(str(row[0]), str(row[1])) for row in rows))

    return there


# No extension is ever fetched behind the user's back: what a project needs is named in `extensions`.
_SETTINGS: dict[str, str | bool | int | float | list[str]] = {
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
}


# Options of a target that are settings of DuckDB. It spills into `<database>.tmp` unless it is told where.
_NUMBERS_AND_PLACES = ("memory_limit", "threads", "temp_directory", "max_temp_directory_size")


# What work in the database may take before it spills, unless the target says otherwise: enough that tables of ten
# million rows cost little more than in memory, and for each thread what DuckDB needs to work well.
_MEMORY, _MEMORY_PER_THREAD = 1_500_000_000, 500_000_000
# What ending a transaction may take beyond the limit. After a ROLLBACK that found no memory the transaction is still open,
# and its tables are taken ("write-write conflict"): it is tried again, with more, while other statements end.
_RESERVE = 64_000_000
_ROLLBACKS, _PAUSE_SECONDS = 6, 0.02


class _Memory:
    """The memory limit of an open database. One that the target does not give is lifted when a statement fails at it."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, limit: int, most: str | None, emit: Emit) -> None:
        self.limit = limit
        self._connection = connection
        self._most = most  # DuckDB's own limit, to which this one may be lifted
        self._emit = emit
        self._lifting = threading.Lock()
        self._ending = 0  # transactions that end now

    @classmethod
    def of(cls, connection: duckdb.DuckDBPyConnection, config: Config, emit: Emit) -> _Memory:
        threads, most = connection.execute(
            "SELECT current_setting('threads'), current_setting('memory_limit')"
        ).fetchall()[0]
        its_own = bytes_of(most) or _MEMORY
        if "memory_limit" in config.target.options or config.sandbox:
            return cls(connection, its_own, None, emit)
        limit = max(_MEMORY, threads * _MEMORY_PER_THREAD)
        if limit >= its_own:
            return cls(connection, its_own, None, emit)
        connection.execute(compose("SET memory_limit = {v}", v=Value(f"{limit}B")))
        return cls(connection, limit, most, emit)

    @property
    def can_be_lifted(self) -> bool:
        return self._most is not None

    @contextmanager
    def reserve(self, tried: int = 0) -> Iterator[None]:
        """A little more memory, in which a transaction ends. A limit that may be lifted is far from what is needed."""
        if self.can_be_lifted:
            yield
            return
        with self._lifting:
            self._ending += 1
            if self._ending == 1 or tried:
                self._allow(self.limit + (_RESERVE << tried))
        try:
            yield
        finally:
            with self._lifting:
                self._ending -= 1
                if not self._ending:
                    self._allow(self.limit)

    def _allow(self, most: int) -> None:
        import duckdb

        try:
            self._connection.execute(compose("SET memory_limit = {v}", v=Value(f"{most}B")))
        except duckdb.Error:  # a sandbox is locked; or more is in use for now than the limit, which is set next time
            return

    def lift(self) -> None:
        """Allow as much as DuckDB would by itself."""
        with self._lifting:
            if self._most is None:
                return
            before, self.limit = self.limit, bytes_of(self._most) or self.limit
            self._connection.execute(compose("SET memory_limit = {v}", v=Value(self._most)))
            self._most = None
        self._emit(
            Told(
                f"{sized(before)} of memory were not enough, so up to {sized(self.limit)} are used from here on; "
                "give the target a `memory_limit` in sqlflow.yml to say what it may use"
            )
        )


def _make_temporary_folder(config: Config) -> None:
    folder = config.target.options.get("temp_directory")
    if folder is None:
        return
    try:
        Path(str(folder)).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise one_problem(
            "database-error",
            f"`temp_directory` of the target `{config.target.name}` cannot be made: {error.strerror}",
            hint="it is a folder for what does not fit into memory; paths begin in the project's folder",
        ) from error


def _create(path: Path, config: Config) -> None:
    version = config.target.options.get("storage_version")
    path.parent.mkdir(parents=True, exist_ok=True)
    if version is None:
        return
    import duckdb

    with duckdb.connect() as scratch:
        try:
            scratch.execute(
                compose(
                    "ATTACH {path} AS made (STORAGE_VERSION {version})", path=Value(str(path)), version=Value(version)
                )
            )
            scratch.execute("CHECKPOINT made")
        except duckdb.Error as error:
            raise one_problem(
                "database-error",
                "the database cannot be created with this `storage_version`",
                hint="such as v1.0.0, v1.4.0, v2.0.0 or latest",
            ) from error


def _connect(path: Path, *, read_only: bool, wait: float, emit: Emit) -> duckdb.DuckDBPyConnection:
    import duckdb

    deadline = time.monotonic() + wait
    told = False
    while True:
        try:
            return duckdb.connect(str(path), read_only=read_only, config=_SETTINGS)
        except duckdb.IOException as error:
            holder = re.search(r"held in (.+?) \(PID (\d+)\)", str(error))
            if "lock" not in str(error) or "Could not set lock" not in str(error):
                raise _cannot_open(path, error) from error
            who = f"process {holder[2]} (`{holder[1]}`)" if holder else "another process"
            if time.monotonic() >= deadline:
                raise one_problem(
                    "database-locked",
                    f"the database `{path.name}` is held by {who}",
                    hint=f"close it there and try again, or wait longer with `--wait SECONDS` (waited {wait:g} s)",
                ) from error
            if not told:
                emit(Told(f"the database `{path.name}` is held by {who}; waiting up to {wait:g} s"))
                told = True
            time.sleep(_POLL_SECONDS)
        except duckdb.Error as error:
            raise _cannot_open(path, error) from error


def _cannot_open(path: Path, error: duckdb.Error) -> Exception:
    import duckdb

    text = str(error)
    version = re.search(r"version number (\d+)", text)
    if version:
        return one_problem(
            "database-version",
            f"the database `{path.name}` was written in a newer format ({version[1]}) than DuckDB {duckdb.__version__} reads",
            hint="upgrade the duckdb package, or build into a new file with `storage_version` set in sqlflow.yml",
        )
    return one_problem("database-error", f"the database `{path.name}` cannot be opened: {_first_line(error)}")


def _extensions(config: Config) -> Sequence[object]:
    found = config.target.options.get("extensions", ())
    return found if isinstance(found, list | tuple) else ()


@cache
def function_names() -> frozenset[str]:
    """The functions that DuckDB has, in lower case."""
    import duckdb

    with duckdb.connect() as connection:
        return frozenset(str(name).lower() for name, *_ in _functions(connection))


def _functions(connection: duckdb.DuckDBPyConnection) -> frozenset[Row]:
    """Every function with its parameters."""
    rows: list[Row] = connection.execute(
        "SELECT DISTINCT function_name, CAST(parameter_types AS VARCHAR), return_type FROM duckdb_functions()"
    ).fetchall()
    return frozenset(rows)


def _apply_options(connection: duckdb.DuckDBPyConnection, config: Config, files: Sequence[str]) -> None:
    import duckdb

    options = config.target.options
    doing = ""  # what is named if it fails; the values may be secrets
    try:
        for name in _NUMBERS_AND_PLACES:
            doing = f"`{name}`"
            if name in options:
                connection.execute(compose("SET {name} = {v}", name=Ident(name), v=Value(options[name])))
        doing = "`extensions`"
        for extension in _extensions(config):
            connection.execute(compose("LOAD {name}", name=Ident(str(extension))))
        doing = "`sandbox`"
        if config.sandbox:
            connection.execute(compose("SET allowed_paths = {v}", v=Value(list(files))))
            connection.execute("SET enable_external_access = false")
    except duckdb.Error as error:
        raise one_problem(
            "database-error",
            f"{doing} of the target `{config.target.name}` does not work",
            hint="extensions are not downloaded: install them into DuckDB first; options are read from sqlflow.yml",
        ) from error
    _prepare(connection, config.timezone)
    if config.sandbox:
        connection.execute("SET lock_configuration = true")


def _prepare(connection: duckdb.DuckDBPyConnection, timezone: str) -> None:
    """Settings of all connections, also of those that are made after the configuration is locked."""
    connection.execute("SET GLOBAL errors_as_json = true")
    connection.execute(compose("SET GLOBAL TimeZone = {zone}", zone=Value(timezone)))


_NAME = r'((?:"(?:[^"]|"")+"|\w+)(?:\.(?:"(?:[^"]|"")+"|\w+))*)'
# `IF NOT EXISTS` may find somebody's own table, so there only ours count.
_MADE = re.compile(
    rf"\s*CREATE\s+(?:OR\s+REPLACE\s+)?(?:TEMP\s+)?TABLE\s+(?:IF\s+NOT\s+EXISTS\s+(?=\"?_sqlflow))?{_NAME}\s+AS\b",
    re.IGNORECASE,
)
_FILLED = re.compile(rf"\s*INSERT\s+INTO\s+{_NAME}", re.IGNORECASE)


def _plain(name: str) -> str:
    return name.replace('"', "").lower()


class DuckDBSession:
    """One cursor. Each statement runs in the calling thread."""

    def __init__(
        self, connection: duckdb.DuckDBPyConnection, memory: _Memory | None = None, traits: Traits = TRAITS
    ) -> None:
        self.connection = connection
        self.wording = traits.wording
        self._memory = memory
        self._within = False  # a transaction
        self._empty: dict[str, str] = {}  # tables that this transaction made from queries without rows

    def execute(self, sql: str, parameters: Sequence[object] = ()) -> int:
        if self._empty and (filled := _FILLED.match(sql)):
            self._mend(filled[1])
        rows = self._run(sql, parameters)
        count = rows[0][0] if len(rows) == 1 and len(rows[0]) == 1 else 0
        count = count if isinstance(count, int) else 0
        if self._within and not count and (made := _MADE.match(sql)):
            self._empty[_plain(made[1])] = made[1]
        return count

    def _mend(self, name: str) -> None:
        """DuckDB 2.0 shows no rows of a table that was made by `CREATE TABLE ... AS` of a query without rows, when its first
        rows come in the same transaction by one INSERT of a whole row group: until it is checkpointed, queries find it empty.
        A row that was there before, if only for a moment, prevents it."""
        made = self._empty.pop(_plain(name), None)
        if made is not None and self._run(f"SELECT count(*) FROM {made}", ())[0][0] == 0:  # noqa: S608 - as it was made
            self._run(f"INSERT INTO {made} DEFAULT VALUES", ())
            self._run(f"DELETE FROM {made}", ())  # noqa: S608 - as it was made

    def fetch(self, sql: str, parameters: Sequence[object] = ()) -> list[Row]:
        return self._run(sql, parameters)

    def load(self, load: Load) -> int:
        raise NotImplementedError("DuckDB reads files in queries")

    def unwritten(self, table: TableName, rows: int, moment: str) -> bool:
        return False

    @contextmanager
    def reading(self) -> Iterator[None]:
        yield  # nobody else writes to a database that this process has open

    def begin(self) -> None:
        self._run("BEGIN TRANSACTION", ())
        self._within = True
        self._empty.clear()

    def commit(self) -> None:
        with self._reserve():
            self._run("COMMIT", ())
        self._within = False

    def rollback(self) -> None:
        self._within = False
        for tried in range(_ROLLBACKS):
            try:
                with self._reserve(tried):
                    self._run("ROLLBACK", ())
                return
            except EngineError as error:
                if error.code != "out-of-memory" or tried == _ROLLBACKS - 1:
                    raise
                time.sleep(_PAUSE_SECONDS * 2**tried)

    def _reserve(self, tried: int = 0) -> AbstractContextManager[None]:
        return nullcontext() if self._memory is None else self._memory.reserve(tried)

    def _run(self, sql: str, parameters: Sequence[object]) -> list[Row]:
        import duckdb

        may_be_lifted = self._memory is not None and self._memory.can_be_lifted
        try:
            result: list[Row] = self.connection.execute(sql, list(parameters) or None).fetchall()
        except duckdb.InterruptException as error:
            raise Interrupted from error
        except (duckdb.OutOfMemoryException, MemoryError) as error:
            found = self._short(error, may_be_lifted)
            if found.conflict and not self._within:
                return self._run(sql, parameters)
            raise found from error
        except duckdb.Error as error:
            found = _engine_error(error, sql)
            if _NO_MEMORY in found.message:
                found = self._short(error, may_be_lifted)
            raise found from error
        except RuntimeError as error:  # Ctrl-C while DuckDB runs in the main thread
            raise KeyboardInterrupt from error
        return result

    def _short(self, error: duckdb.Error | MemoryError, may_be_lifted: bool) -> EngineError:
        """The error of a statement that found no memory; after the limit was lifted it is one to try again."""
        if self._memory is None or not may_be_lifted:
            return _shortage(error, self._memory)
        self._memory.lift()
        found = _shortage(error, self._memory)
        found.conflict = True
        return found


class DuckDBEngine:
    """A database file that is open in this process."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, memory: _Memory, broken: frozenset[str]) -> None:
        self._connection = connection
        self._broken = broken
        self._traits = traits_with(broken)
        self._memory = memory
        self._sessions: list[DuckDBSession] = []
        self._opening = threading.Lock()

    @property
    def traits(self) -> Traits:
        return replace(self._traits, memory=self._memory.limit)

    @property
    def version(self) -> str:
        return f"without {', '.join(sorted(self._broken))}" if self._broken else ""

    def session(self) -> DuckDBSession:
        with self._opening:
            cursor = self._connection.cursor()
            session = DuckDBSession(cursor, self._memory, self._traits)
            self._sessions.append(session)
        return session

    def moment(self) -> str:
        return ""

    def untouched_since(self, moment: str) -> bool:
        return True  # the file is held by this process

    def tables(self) -> Mapping[TableName, Found]:
        session = DuckDBSession(self._connection, traits=self._traits)
        rows = session.fetch(
            "SELECT schema_name, table_name, column_name, data_type "
            "FROM duckdb_columns() WHERE NOT internal AND database_name = current_database() "
            "AND schema_name <> '_sqlflow' ORDER BY schema_name, table_name, column_index"
        )
        views = set(
            session.fetch(
                "SELECT schema_name, view_name FROM duckdb_views() "
                "WHERE NOT internal AND database_name = current_database()"
            )
        )
        found: dict[TableName, Found] = {}
        for (schema, name), columns in groupby(rows, key=lambda row: (row[0], row[1])):
            kind = Relation.VIEW if (schema, name) in views else Relation.TABLE
            schema_of = _schema((row[2], row[3]) for row in columns)
            found[TableName(str(schema), str(name))] = Found(kind, schema_of, inside=kind is Relation.TABLE)
        return found

    def interrupt(self) -> None:
        for session in self._sessions:
            session.connection.interrupt()

    def close(self) -> None:
        for session in self._sessions:
            session.connection.close()
        self._connection.close()


class DuckDBBinder:
    """Queries bound against empty tables in a database of its own."""

    _PREFIX = "DESCRIBE "

    def __init__(self, config: Config, files: Sequence[str]) -> None:
        self._config = config
        self._files = files
        self._schemas: set[str] = set()
        self._opened: DuckDBSession | None = None
        self._extended: frozenset[str] = frozenset()  # the functions that the target's extensions add to, in lower case
        self._steady: frozenset[str] | None = None

    @property
    def _session(self) -> DuckDBSession:
        if self._opened is None:
            import duckdb

            connection = duckdb.connect(config=_SETTINGS)
            # A catalog of its own name, or a schema called `memory` could not be told from it.
            connection.execute("ATTACH ':memory:' AS _sqlflow_judge")
            connection.execute("USE _sqlflow_judge")
            # Nothing is run, so a plan need not be good, nor be made by several threads.
            connection.execute("PRAGMA disable_optimizer")
            connection.execute("SET threads = 1")
            before = _functions(connection) if _extensions(self._config) else frozenset()
            _apply_options(connection, self._config, self._files)
            if before:
                self._extended = frozenset(str(name).lower() for name, *_ in _functions(connection) - before)
            self._opened = DuckDBSession(connection)
        return self._opened

    @cached_property
    def traits(self) -> Traits:
        return traits_with(_broken(self._config, keep=False))

    def define(self, table: TableName, schema: Schema) -> None:
        if table.schema.lower() not in self._schemas:
            self._session.execute(compose("CREATE SCHEMA IF NOT EXISTS {s}", s=Ident(table.schema)))
            self._schemas.add(table.schema.lower())
        columns = [compose("{name} {type}", name=Ident(c.name), type=Sql(c.type)) for c in schema]
        self._session.execute(compose("CREATE OR REPLACE TABLE {t} ({columns})", t=table, columns=columns))

    def describe(self, reading: Sql) -> Schema | BindError:
        return self.bind(compose("SELECT * FROM {r}", r=reading))

    def rows(self, query: Sql) -> list[Row] | BindError:
        try:
            return self._session.fetch(query)
        except EngineError as error:
            return BindError("unreadable-source", told_of_file(error.message, self._config.root))

    def bind(self, query: str) -> Schema | BindError:
        try:
            rows = self._session.fetch(self._PREFIX + query)
        except EngineError as error:
            return _bind_error(error, query, len(self._PREFIX))
        return _schema((row[0], row[1]) for row in rows)

    def parse(self, query: str) -> tuple[ReadTable, ...] | BindError:
        facts = json.loads(str(self._session.fetch("SELECT json_serialize_sql(?)", [query])[0][0]))
        if facts.get("error"):
            at = facts.get("position")
            position = len(query.encode()[: int(at)].decode(errors="ignore")) if at is not None else None
            return _bind_error(EngineError(str(facts["error_message"]), "SYNTAX_ERROR", position), query, 0)
        if not self.traits.tells_tables:
            tree = parse_tree(query, self.traits.dialect)
            if tree is None:
                return BindError(
                    "syntax", "this query cannot be analysed: it is beyond the SQL that SQLFlow can read", hint=_BEYOND
                )
            return named_tables(tree, query, self.traits.dialect)[0]
        found = []
        for table in _tables(facts, frozenset()):
            schema, name = str(table.get("schema_name") or ""), str(table["table_name"])
            start = len(query.encode()[: int(str(table["query_location"]))].decode(errors="ignore"))
            words = re.compile(r'(?:"(?:[^"]|"")+"|\w+)(?:\s*\.\s*(?:"(?:[^"]|"")+"|\w+))*').match(query, start)
            end = words.end() if words else start
            found.append(ReadTable(schema or None, name, start, end, bool(table.get("alias"))))
        return tuple(found)

    def settings(self, query: str, columns: Iterable[Schema]) -> Mapping[str, str]:
        found = {"timezone": self._config.timezone} if depends_on_zone(query, columns) else {}
        if calls_one_of(query, self._extended):  # a query that has been bound
            found["extensions"] = ", ".join(sorted(map(str, _extensions(self._config))))
        return found

    def steady(self, function: str) -> bool:
        if self._steady is None:
            self._steady = frozenset(str(row[0]) for row in self._session.fetch(_STEADY))
        return function in self._steady

    def unsteady(self, query: str) -> tuple[Unsteady, ...]:
        return ()  # the names that are known are DuckDB's, and all others are refused

    def fill(self, table: TableName, columns: Sequence[str], query: Sql) -> None:
        names = [Ident(name) for name in columns]
        self._session.execute(compose("INSERT INTO {t} ({names}) {query}", t=table, names=names, query=query))

    def clear(self, table: TableName) -> None:
        self._session.execute(compose("DELETE FROM {t}", t=table))

    def answer(self, query: str) -> list[Row]:
        return self._session.fetch(query)

    def close(self) -> None:
        if self._opened is not None:
            self._opened.connection.close()


# Macros of DuckDB's own that are not steady are among the functions that SQLFlow knows.
_STEADY = (
    "SELECT lower(function_name) FROM duckdb_functions() WHERE function_type IN ('scalar', 'aggregate', 'window', 'macro') "
    "GROUP BY ALL HAVING bool_and(stability = 'CONSISTENT' OR (function_type = 'macro' AND internal))"
)


def _tables(node: object, ctes: frozenset[str]) -> Iterator[dict[str, object]]:
    """The references to tables in DuckDB's tree that are none to one of `ctes` or to a CTE of their own scope.

    A CTE is seen by those that stand behind it and by the query that they belong to. In its own query it is seen
    where it is recursive: in the part behind the last UNION.
    """
    if isinstance(node, list):
        for item in node:
            yield from _tables(item, ctes)
        return
    if not isinstance(node, dict):
        return
    if node.get("type") == "BASE_TABLE":
        schema, name = str(node.get("schema_name") or "").lower(), str(node["table_name"]).lower()
        if name not in ctes or schema not in ("", RECURRING):
            yield node
    listed = node.get("cte_map")
    for entry in listed.get("map", ()) if isinstance(listed, dict) else ():
        yield from _tables(entry["value"], ctes)
        ctes |= {str(entry["key"]).lower()}
    recursive = node.get("type") == "RECURSIVE_CTE_NODE"
    for key, value in node.items():
        if key != "cte_map":
            own = {str(node["cte_name"]).lower()} if recursive and key == "right" else set()
            yield from _tables(value, ctes | own)


def _schema(columns: object) -> Schema:
    pairs: list[tuple[object, object]] = list(columns)  # type: ignore[call-overload]
    return Schema(tuple(Column(str(name), str(kind)) for name, kind in pairs))


def _shortage(error: duckdb.Error | MemoryError, memory: _Memory | None) -> EngineError:
    """What there was too little of, and what can be done, in place of DuckDB's advice."""
    if "max_temp_directory_size" in str(error):
        found = re.search(r"/([\d.]+ \w+) used\)", str(error))
        space = bytes_of(found[1]) if found else None
        message = (
            "there is not enough space on disk for what does not fit into memory"
            + (f": {sized(space)} are allowed" if space else "")
            + "\nraise `max_temp_directory_size` or `memory_limit` of the target in sqlflow.yml, or put `temp_directory` on another disk"
        )
    else:
        message = (
            "there is not enough memory"
            + (f": {sized(memory.limit)} are allowed, and this work cannot be moved to disk" if memory else "")
            + "\nraise `memory_limit` or lower `threads` of the target in sqlflow.yml, or compute less at once, such as with "
            "`mode: incremental` and a `batch`"
        )
    return EngineError(message, "Out of Memory", code="out-of-memory")


_DISK_FULL = (
    "no space is left on the disk of the database\nfree some space and build again: the table is as it was before"
)


_NO_MEMORY = "could not allocate block"  # so a COMMIT says it, whose error is one of transactions


_ASSERTION = "an assertion of DuckDB itself failed"
_OTHERWISE = "the query may be right: write it otherwise, or try another version of DuckDB, and tell its authors"


def _engine_error(error: duckdb.Error, sql: str) -> EngineError:
    """DuckDB's error with its JSON taken apart. Its position counts bytes; ours counts characters."""
    text = str(error)
    if any(words in text for words in ("No space left on device", "Disk quota exceeded", "File too large")):
        return EngineError(_DISK_FULL, "IO", code="disk-full")
    brace = text.find("{")
    try:
        facts = json.JSONDecoder().raw_decode(text[brace:])[0] if brace >= 0 else {}
    except ValueError:
        facts = {}
    if not isinstance(facts, dict) or "exception_message" not in facts:
        return EngineError(text, type(error).__name__)
    location = re.match(r"\[(\d+),(\d+)", str(facts.get("location", "")))
    start = location[1] if location else facts.get("position")
    encoded = sql.encode()
    position = len(encoded[: int(start)].decode(errors="ignore")) if start is not None else None
    length = None
    if location is not None:
        length = len(encoded[int(location[1]) : int(location[1]) + int(location[2])].decode(errors="ignore"))
    kind = str(facts.get("error_subtype") or facts.get("exception_type", ""))
    message = str(facts["exception_message"])
    if type(error).__name__ == "InternalException":  # the text has DuckDB's stack in it
        message = f"{_ASSERTION}: {message}\n{_OTHERWISE}"
    found = EngineError(
        message,
        kind,
        position,
        length=length,
        conflict="conflict" in message.lower() and "TransactionException" in type(error).__name__,
    )
    found.__cause__ = error
    return found


_UNKNOWN = re.compile(
    r"^(Scalar Function|Aggregate Function|Table Function|Macro|Function|Type|Table) with name (\S+) does not exist",
    re.MULTILINE,
)


_BEYOND = "write it in another way, or make it a view of the database, and read that"


def _bind_error(error: EngineError, query: str, prefix: int) -> BindError:
    if "max expression depth" in error.message.lower():
        return BindError("too-deep", "the query is nested more deeply than the engine can read")
    message = error.message.strip()
    lines = message.splitlines()
    start = None if error.position is None else max(0, error.position - prefix)
    end = None
    if start is not None:
        word = re.compile(r'"(?:[^"]|"")+"|[\w.$]+|\S').match(query, start)
        end = word.end() if word else None
    candidates = re.findall(
        r'"((?:[^"]|"")+)"', next((line for line in lines if line.startswith("Candidate bindings")), "")
    )
    nearest = re.search(r'Did you mean "([^"]+)"', message)
    if nearest:
        candidates = [nearest[1]]
    first = lines[0].rstrip(".!") if lines else "the query is not valid"
    if "lambda arrow" in first:
        arrow = _ARROW.search(query)
        place = (arrow.start(1), arrow.end(1)) if arrow is not None else (start, end)
        return BindError("syntax", "DuckDB has no `->` for lambdas any more", *place, hint="write `lambda x: x + 1`")
    unknown = _UNKNOWN.search(message)
    missing = re.match(r'(?:Table|Values list) "(.+?)" does not have a column named "(.+?)"', first)
    if missing:
        return BindError(
            "unknown-column", f"there is no column `{missing[2]}` in `{missing[1]}`", start, end, tuple(candidates)
        )
    own = _OWN_NAME.match(first)
    if own is not None:
        word = re.search(rf'(?<![\w"]){re.escape(own[1])}(?![\w"])', query)
        if start is None and word is not None:
            start, end = word.span()
        hint = f"`{own[1]}` is only a name that this SELECT gives: it cannot be used before it is given"
        return BindError(
            "unknown-column", f"there is no column `{own[1]}` in what this query reads", start, end, hint=hint
        )
    if error.kind == "COLUMN_NOT_FOUND" or first.startswith("Referenced column"):
        code = "unknown-column"
        name = re.search(r'"((?:[^"]|"")+)"', first)
        first = f"there is no column `{name[1]}` in what this query reads" if name else first
    elif unknown and "Table" not in unknown[1].split():
        code, first = "unknown-function", f"there is no {unknown[1].lower()} `{unknown[2]}`"
    elif unknown:
        code, first = "unknown-table", f"there is no table `{unknown[2]}`"
    elif error.kind == "SYNTAX_ERROR" or error.kind == "Parser":
        code = "syntax"
    elif first.lower().startswith("ambiguous reference"):
        code = "ambiguous-column"
    elif error.kind in ("NO_MATCHING_FUNCTION", "Conversion", "Mismatch Type") or "cast" in first.lower():
        code = "type-error"
    else:
        code = "invalid-query"
    return BindError(code, _lower(first), start, end, tuple(candidates))


_OWN_NAME = re.compile(r'[Cc]olumn "(.+)" referenced that exists in the SELECT clause')
# The arrow of a lambda stands behind names, and not before a path of JSON.
_ARROW = re.compile(r"(?:[(,]\s*\w+|\(\s*\w+(?:\s*,\s*\w+)*\s*\))\s*(->)(?!>)(?!\s*['$])")


def _lower(text: str) -> str:
    """Messages begin in lower case, unless the first word is a name or an abbreviation."""
    return text[0].lower() + text[1:] if len(text) > 1 and text[1].islower() else text


def _first_line(error: duckdb.Error) -> str:
    text = _engine_error(error, "").message
    return text.splitlines()[0] if text else "unknown error"
