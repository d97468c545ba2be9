"""Connections to PostgreSQL, and what the server says in our words, without the secrets of the address."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from sqlflow.core.config import Config
from sqlflow.core.diagnostics import ProjectError, one_problem
from sqlflow.core.engine import EngineError, Row
from sqlflow.engines.postgres_versions import OLDEST, too_new, written

if TYPE_CHECKING:
    import psycopg
    from psycopg import Connection


def connect(config: Config, purpose: str) -> Connection[Row]:
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
        "timezone_abbreviations": "Default", "transform_null_equals": "off", "array_nulls": "on", "xmlbinary": "base64",
        "xmloption": "content", "backslash_quote": "safe_encoding", "client_encoding": "UTF8",
        # The connection with the lock is idle for as long as a build takes.
        "idle_session_timeout": "0", "idle_in_transaction_session_timeout": "0",
    }  # fmt: skip
    if "statement_timeout" in options:
        settings["statement_timeout"] = str(options["statement_timeout"])
    try:
        connection: Connection[Row] = psycopg.connect(
            str(options["url"]),
            autocommit=True,
            cursor_factory=psycopg.RawCursor,
            prepare_threshold=None,
            **_parameters(config, purpose),
        )
    except psycopg.Error as error:
        raise _cannot_connect(config, error) from None
    try:
        _refuse_older(config, connection.info.server_version)
        set_all = ", ".join(f"set_config(${n}, ${n + 1}, false)" for n in range(1, 2 * len(settings), 2))
        connection.execute(f"SELECT {set_all}", [text for setting in settings.items() for text in setting])
        connection.execute(_MEMORY)
    except psycopg.Error as error:
        connection.close()
        raise _cannot_connect(config, error) from None
    except ProjectError:
        connection.close()
        raise
    _let_go_when_killed(connection)
    _adapt(connection)
    return connection


# The memory of a sort or a hash table that the server comes with is meant for many short transactions. What somebody has
# set, for the server, the database or the role, stays.
_MEMORY = "SELECT set_config('work_mem', '64MB', false) FROM pg_settings WHERE name = 'work_mem' AND source = 'default'"


def _refuse_older(config: Config, number: int) -> None:
    """`number`: of the server's version, such as 140023. Before 14 there is neither `client_connection_check_interval`,
    without which a killed build would keep its locks, nor `idle_session_timeout`; and `extract` gave another type."""
    if number >= OLDEST * 10000:
        return
    raise one_problem(
        "database-version",
        f"the server of the target `{config.target.name}` is PostgreSQL {written(number)}",
        hint=f"SQLFlow needs PostgreSQL {OLDEST} or later",
    )


def _parameters(config: Config, purpose: str) -> dict[str, Any]:
    """What is added to the address, where it does not say so itself."""
    from psycopg.conninfo import conninfo_to_dict

    options = config.target.options
    given = conninfo_to_dict(str(options["url"]))
    found: dict[str, Any] = {
        "fallback_application_name": f"sqlflow {purpose}"[:63], "connect_timeout": 10, "keepalives_idle": 60,
    }  # fmt: skip
    found = {name: value for name, value in found.items() if name not in given}
    if "connect_timeout" in options:
        found["connect_timeout"] = int(str(options["connect_timeout"]))
    return found


def _let_go_when_killed(connection: Connection[Row]) -> None:
    """Have the server end a statement whose client is gone, and with it the locks that it holds."""
    import psycopg

    try:
        connection.execute("SET client_connection_check_interval = '2s'")
    except psycopg.Error:
        return  # the server's system cannot tell


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


# ---------------------------------------------------------------------- secrets


def without_secrets(config: Config, text: str) -> str:
    """`text` without the password of the target, wherever a driver or a server put it."""
    for secret in _secrets(str(config.target.options.get("url", ""))):
        text = text.replace(secret, "***")
    return text


_USER = re.compile(r"://(?P<user>.*)@", re.DOTALL)
_PASSWORD = re.compile(r"(?:ssl)?password\s*=\s*('(?:[^'\\]|\\.)*'|[^\s&]+)")
_SPLITS = re.compile(r"[:@/?#\[\]\s]|%(?![0-9a-fA-F]{2})")


def _secrets(url: str) -> Iterator[str]:
    found: set[str] = {url}
    user = _USER.search(url)
    if user is not None and ":" in user["user"]:
        found.add(user["user"].partition(":")[2])
    for match in _PASSWORD.finditer(url):
        found |= {match[1], match[1].strip("'"), re.sub(r"\\(.)", r"\1", match[1].strip("'"))}
    found |= {unquote(secret) for secret in found}
    return (secret for secret in sorted(found, key=len, reverse=True) if secret)


def _is_cut_wrongly(url: str) -> bool:
    """Whether the password has characters at which an address is cut, so that a part would be taken for the host."""
    user = _USER.search(url)
    return user is not None and _SPLITS.search(user["user"].replace(":", "", 1)) is not None


# ---------------------------------------------------------------------- errors


def _cannot_connect(config: Config, error: psycopg.Error) -> ProjectError:
    hint = "check its `url` in sqlflow.yml and that the server runs and lets this user in"
    if _is_cut_wrongly(str(config.target.options["url"])):
        hint = "characters such as `@`, `:`, `/`, `?` and `%` of a user or password are written `%40`, `%3A`, `%2F`, `%3F`, `%25`"
        return one_problem(
            "cannot-connect",
            f"the target `{config.target.name}` cannot be reached: its `url` cannot be read",
            hint=hint,
        )
    lines = [line.strip() for line in without_secrets(config, str(error)).splitlines() if line.strip()]
    message = lines[0] if lines else "no answer"
    return one_problem("cannot-connect", f"the target `{config.target.name}` cannot be reached: {message}", hint=hint)


def lost(config: Config, error: psycopg.Error) -> EngineError:
    """The error of a connection that is gone. What was not committed is rolled back, so doing it again is safe."""
    lines = [line.strip() for line in without_secrets(config, str(error)).splitlines() if line.strip()]
    if error.sqlstate == "25P04":
        return EngineError(
            "the server ended a transaction that took longer than its `transaction_timeout`\n"
            "a model is built in one: give the role more, `ALTER ROLE ... SET transaction_timeout = ...`",
            "25P04",
            code="statement-timeout",
        )
    return EngineError(
        f"the connection to the server was lost: {lines[0] if lines else type(error).__name__}\n"
        "nothing of it was written: build again when the server answers",
        error.sqlstate or "",
        conflict=True,
        code="connection-lost",
    )


_RETRIED = ("40001", "40P01", "55P03")  # serialization failure, deadlock, lock not available
_FULL = {"53100": "disk-full", "53200": "out-of-memory"}


def engine_error(config: Config, error: psycopg.Error, sql: str, version: int) -> EngineError:
    """The error of a server of that version with its detail and hint, which say what to do, on lines of their own."""
    diag = error.diag
    message = diag.message_primary or str(error).strip() or type(error).__name__
    lines = [message]
    if diag.message_detail:
        lines += diag.message_detail.splitlines()
    state = error.sqlstate or ""
    code = _FULL.get(state, "statement-failed")
    if state == "2BP01":
        lines.append("they are not SQLFlow's, so they are not dropped: drop or change them, then build again")
    elif state == "57014" and "timeout" in message:
        code = "statement-timeout"
        lines.append("raise `statement_timeout` of the target in sqlflow.yml if it takes that long")
    elif state == "42501":
        code = "missing-privilege"
        lines.append(_grant(message, sql))
    elif state in _RETRIED:
        code = "write-conflict"
        lines.append(
            "another program writes to these tables, or locks them, at the same time: stop it or wait for it, and build again"
        )
    elif newer := too_new(message, version):
        lines.append(newer)
    elif diag.message_hint:
        lines.append(diag.message_hint)
    position = int(diag.statement_position) - 1 if diag.statement_position else None
    return EngineError(
        without_secrets(config, "\n".join(lines)), state, position, conflict=state in _RETRIED, code=code
    )


_DENIED = re.compile(r"permission denied for (?P<kind>[\w ]+?) (?P<name>\S+)$")
_OWNER = re.compile(r"must be owner of (?P<kind>[\w ]+?) (?P<name>\S+)$")
_MADE = re.compile(r'CREATE (?:OR REPLACE )?(?:TABLE|VIEW)(?: IF NOT EXISTS)? "?(?P<schema>[^".]+)"?\.', re.IGNORECASE)


def _grant(message: str, sql: str) -> str:
    """What the owner of a thing has to say so that the role of the target may do this."""
    denied, owned = _DENIED.search(message), _OWNER.search(message)
    if owned is not None:
        what = {"relation": "table"}.get(owned["kind"], owned["kind"])
        return f"let the role own it: `ALTER {what.upper()} {owned['name']} OWNER TO ...`"
    if denied is None:
        return "docs/targets/postgres.md says what the role of a target must be allowed to do"
    name, kind = denied["name"], denied["kind"]
    if kind == "database":
        made = re.search(r'CREATE SCHEMA IF NOT EXISTS "?([^"\s]+)', sql)
        schema = f"make the schema: `CREATE SCHEMA {made[1]} AUTHORIZATION ...`; or " if made else ""
        return f"{schema}let the role make schemas: `GRANT CREATE ON DATABASE {name} TO ...`"
    if kind == "schema":
        made = _MADE.search(sql)
        rights = "USAGE, CREATE" if made is not None and made["schema"] == name else "USAGE"
        return f"let the role in: `GRANT {rights} ON SCHEMA {name} TO ...`"
    if kind in ("table", "view", "materialized view", "foreign table"):
        return f"let the role read it: `GRANT SELECT ON {name} TO ...`"
    return f"let the role use the {kind} `{name}`: docs/targets/postgres.md says what it must be allowed to do"
