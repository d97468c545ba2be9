"""The table `t` with the same rows in DuckDB and in PostgreSQL, and statements of one SQL run on both."""

from __future__ import annotations

import datetime as dt
import math
import random
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import duckdb
import psycopg
from on_postgres import drop_database, new_database
from psycopg.adapt import Loader
from psycopg.pq import ExecStatus

from sqlflow.core.schema import Column, Schema
from sqlflow.translation.translate import Untranslatable, translated

# Name, type in DuckDB, type in PostgreSQL, notable values as texts that both read.
COLUMNS: tuple[tuple[str, str, str, tuple[str, ...]], ...] = (
    ("a", "INTEGER", "INTEGER", ("-7", "-3", "-1", "0", "1", "2", "3", "7", "10")),
    ("b", "INTEGER", "INTEGER", ("-2", "1", "2", "3", "5")),
    ("v", "BIGINT", "BIGINT", ("1", "-1", "7", "1000", "9007199254740993")),
    ("w", "SMALLINT", "SMALLINT", ("1", "-5", "0", "12")),
    ("x", "DOUBLE", "DOUBLE PRECISION", ("-7.5", "-2.5", "-0.5", "0.5", "1.5", "2.5", "3.25", "100", "0.1", "2.675", "1.005")),
    ("z", "DOUBLE", "DOUBLE PRECISION", ("1e17", "1e-7", "1e15", "123456789.125", "-0.5")),
    ("y", "DOUBLE", "DOUBLE PRECISION", ("0.5", "1.25", "2", "-3")),
    ("re", "FLOAT", "REAL", ("0.5", "-2", "3.25", "0.1")),
    ("d", "DECIMAL(10,2)", "NUMERIC(10,2)", ("-1.25", "0.05", "2.50", "2.55", "7.00", "-2.50")),
    ("e", "DECIMAL(18,4)", "NUMERIC(18,4)", ("1.0050", "-3.3333", "12.0000", "0.5000")),
    ("s", "VARCHAR", "TEXT", ("a", "A", "ab", "b", "B", "aab", "äb", "", " a ", "Zz", "1", "a%", "a\nb", "a_b", "a\\b")),
    ("t", "VARCHAR", "TEXT", ("a", "B", "x", "a b", "-3", "2024-01-05")),
    ("f", "BOOLEAN", "BOOLEAN", ("true", "false")),
    ("g", "BOOLEAN", "BOOLEAN", ("true", "false")),
    ("day", "DATE", "DATE", ("2024-01-01", "2024-01-31", "2024-02-29", "2023-12-31", "1969-07-20")),
    ("day2", "DATE", "DATE", ("2024-01-15", "2020-02-29", "2024-03-31")),
    ("ts", "TIMESTAMP", "TIMESTAMP", ("2024-01-01 00:00:00", "2024-01-31 23:59:59.5", "2023-12-31 12:30:00.123456", "1969-07-20 02:30:00")),
    ("ts2", "TIMESTAMP", "TIMESTAMP", ("2024-02-01 00:00:00", "2024-01-30 22:00:00", "2022-06-15 01:02:03.25", "2024-01-01 00:00:00.5")),
    ("tz", "TIMESTAMPTZ", "TIMESTAMPTZ", ("2024-01-01 00:00:00+00", "2024-07-01 12:34:56.5+00", "2023-03-26 01:30:00+00")),
    ("tm", "TIME", "TIME", ("00:00:00", "12:34:56.5", "23:59:59")),
    ("iv", "INTERVAL", "INTERVAL", ("1 day", "1 month 2 days", "03:04:05", "-2 hours", "40 days")),
    ("uid", "UUID", "UUID", ("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "00000000-0000-0000-0000-000000000001")),
    ("l", "INTEGER[]", "INTEGER[]", ("1,2,3", "5", "2,1,2")),
    ("m", "VARCHAR[]", "TEXT[]", ("a,b", "c", "a,A")),
    ("h", "BLOB", "BYTEA", ("ab", "c")),
    ("js", "JSON", "JSONB", ('{"a": 1, "b": [1, 2], "c": "x"}', '{"a": null}', "{}")),
)  # fmt: skip
KINDS = {name: duck for name, duck, _, _ in COLUMNS}


def schema(engine: str) -> Schema:
    """The columns of `t`, as the engine that the models run on writes their types."""
    kinds = [(name, here if engine == "duckdb" else there) for name, here, there, _ in COLUMNS]
    return Schema((Column("id", "INTEGER"), *(Column(name, kind) for name, kind in kinds)))


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a statement: `equal`; `refused` by the translation, or `refused by the engine`,
    both told at compile; `failed` in the author's own engine; `out of range` of PostgreSQL, which fails where DuckDB has NaN,
    infinity or NULL; `different`."""

    outcome: str
    line: str
    told: str = ""


@dataclass(frozen=True, slots=True)
class Pair:
    here: duckdb.DuckDBPyConnection
    there: psycopg.Connection[Any]

    def rows(self, engine: str, query: str) -> list[tuple[object, ...]]:
        if engine == "duckdb":
            return self.here.execute(query).fetchall()
        return psycopg.RawCursor(self.there).execute(query.encode()).fetchall()

    def _is_told_at_compile(self, engine: str, text: str) -> bool:
        if engine == "postgres":
            return self.there.pgconn.prepare(b"", text.encode()).status != ExecStatus.COMMAND_OK
        try:
            self.here.execute(f"DESCRIBE {text}")
        except duckdb.Error:
            return True
        return False

    def compare(self, line: str, dialect: str, *, ordered: bool = False) -> Verdict:
        """One statement of a dialect on its own engine, and translated on the other one."""
        target = "postgres" if dialect == "duckdb" else "duckdb"
        query = line if is_query(line) else f"SELECT id, {line} AS result FROM t"
        try:
            expected = self.rows(dialect, query)
        except (duckdb.Error, psycopg.Error, OverflowError, UnicodeError) as error:
            expected, failed = [], str(error).splitlines()[0]
        else:
            failed = ""
        columns = schema(target)
        try:
            text = translated(query, dialect, target, lambda table: columns if table.name == "t" else None)
        except Untranslatable as error:
            return Verdict("failed" if failed else "refused", line, str(error))
        try:
            found = self.rows(target, text)
        except (duckdb.Error, psycopg.Error) as error:
            words = str(error).splitlines()[0]
            outcome = "different"
            if self._is_told_at_compile(target, text):
                outcome = "refused by the engine"
            elif isinstance(error, psycopg.DataError) and (error.sqlstate or "22").startswith("22"):
                outcome = "out of range"
            return Verdict("failed" if failed else outcome, line, f"{text}\n  {words}")
        if failed:
            return Verdict("failed", line, failed)
        digits = 7 if re.search(r"FROM t$|\bre\b|\b(?:REAL|FLOAT|FLOAT4)\b", line, re.IGNORECASE) else 12
        one, two = [repr(plain(row, digits)) for row in expected], [repr(plain(row, digits)) for row in found]
        if not ordered:
            one, two = sorted(one), sorted(two)
        if one == two:
            return Verdict("equal", line, text)
        pairs = [f"{a} and {b}" for a, b in zip(one, two, strict=False) if a != b][:3]
        return Verdict("different", line, f"{text}\n  {len(one)} and {len(two)} rows: {'; '.join(pairs)}")


def is_query(line: str) -> bool:
    return line.split(maxsplit=1)[0] in ("SELECT", "WITH", "FROM", "VALUES", "PIVOT", "TABLE")


class _Intervals(Loader):
    """A year has 360 days to psycopg as it has to DuckDB's client, which knows no interval without end."""

    def load(self, data: Any) -> dt.timedelta | str:
        if bytes(data) in (b"infinity", b"-infinity"):
            return bytes(data).decode()
        found = re.fullmatch(
            r"(?:(-?\d+) years? ?)?(?:(-?\d+) mons? ?)?(?:(-?\d+) days? ?)?(?:(-)?(\d+):(\d\d):(\d\d(?:\.\d+)?))?",
            bytes(data).decode().replace("+", ""),
        )
        assert found is not None, bytes(data)
        years, months, days = (int(part or 0) for part in found.groups()[:3])
        clock = int(found[5] or 0) * 3600 + int(found[6] or 0) * 60
        seconds = dt.timedelta(seconds=clock, microseconds=round(float(found[7] or 0) * 1e6))
        return dt.timedelta(days=years * 360 + months * 30 + days) + (-seconds if found[4] else seconds)


@contextmanager
def pair_of_engines(rows: int = 40) -> Iterator[Pair]:
    rng = random.Random(1)
    values = [[str(number), *(rng.choice((None, *pool)) for _, _, _, pool in COLUMNS)] for number in range(rows)]
    url = new_database()
    with duckdb.connect() as here, psycopg.connect(url, autocommit=True) as there:
        there.adapters.register_loader("interval", _Intervals)
        here.execute("SET TimeZone = 'UTC'")
        there.execute("SET TimeZone = 'UTC'; SET statement_timeout = 2000")
        here.execute(f"CREATE TABLE t (id INTEGER, {', '.join(f'{name} {kind}' for name, kind, _, _ in COLUMNS)})")
        there.execute(f"CREATE TABLE t (id INTEGER, {', '.join(f'{name} {kind}' for name, _, kind, _ in COLUMNS)})")
        for row in values:
            for engine in ("duckdb", "postgres"):
                kinds = [column.type for column in schema(engine)]
                cells = [_cell(text, kind) for text, kind in zip(row, kinds, strict=True)]
                statement = f"INSERT INTO t VALUES ({', '.join(cells)})"
                if engine == "duckdb":
                    here.execute(statement)
                else:
                    there.execute(statement.encode())
        yield Pair(here, there)
    drop_database(url)


def _cell(text: str | None, kind: str) -> str:
    if text is None:
        return "NULL"
    if kind.endswith("[]"):
        return f"ARRAY[{', '.join(repr(part) if 'INT' not in kind else part for part in text.split(','))}]::{kind}"
    quoted = "'" + text.replace("'", "''") + "'"
    return f"CAST({quoted} AS {kind})"


def plain(value: object, digits: int = 12) -> object:
    """Numbers of different types that are equal, and moments, in one spelling."""
    match value:
        case bool():
            return value
        case int() | float() | Decimal():
            number = float(value)
            return float(f"{number:.{digits}g}") + 0.0 if math.isfinite(number) else repr(number)
        case dt.datetime():
            return (value.astimezone(dt.UTC) if value.tzinfo else value).replace(tzinfo=None).isoformat()
        case dt.date():
            return dt.datetime.combine(value, dt.time()).isoformat()
        case list() | tuple():
            return [plain(item, digits) for item in value]
        case memoryview() | bytearray():
            return bytes(value)
        case dict():
            return "json"
        case str() if value.startswith("{"):
            return "json"
        case _:
            return value
