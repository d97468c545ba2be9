"""Files for databases that do not read them: DuckDB reads, and writes text that the database copies in."""

from __future__ import annotations

import mmap
import os
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, LiteralString

from msgspec import Struct

from sqlflow.core.config import Config
from sqlflow.core.engine import BindError, EngineError, Row
from sqlflow.core.file_errors import told_of_file
from sqlflow.core.paths import literal_path
from sqlflow.core.schema import Column, Schema
from sqlflow.core.sql import Ident, Sql, Value, compose
from sqlflow.core.types import ColumnType, Family

if TYPE_CHECKING:
    import duckdb

_BLOCK = 1 << 20


class PlainText(Struct, frozen=True):
    """CSV in blocks. `delimiter`, `columns`: of a file with a header that is taken as it is."""

    blocks: Iterator[bytes]
    delimiter: str = ","
    columns: tuple[str, ...] = ()


# Types whose values in a file mean the same to every database, as long as dates are written year first.
_PLAIN = frozenset({Family.INTEGER, Family.DECIMAL, Family.FLOAT, Family.TEXT, Family.DATE, Family.TIMESTAMP})
_SNIFFED: LiteralString = (
    "SELECT Delimiter, Quote, Escape, SkipRows, HasHeader, DateFormat, TimestampFormat, "
    "list_transform(Columns, lambda c: c.name) FROM sniff_csv({path}, comment = '')"
)


class FileReader:
    """DuckDB in memory. `reading`: SQL of DuckDB that can stand after FROM."""

    def __init__(self, config: Config) -> None:
        self._zone = config.timezone
        self._root = config.root
        self._opened: duckdb.DuckDBPyConnection | None = None

    def __enter__(self) -> FileReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def _connection(self) -> duckdb.DuckDBPyConnection:
        if self._opened is None:
            import duckdb

            self._opened = duckdb.connect(
                config={"autoinstall_known_extensions": False, "autoload_known_extensions": False}
            )
            self._opened.execute(compose("SET TimeZone = {zone}", zone=Value(self._zone)))
        return self._opened

    def describe(self, reading: Sql) -> Schema | BindError:
        """The columns of what is read, with DuckDB's types."""
        import duckdb

        try:
            rows = self._connection.execute(compose("DESCRIBE SELECT * FROM {r}", r=reading)).fetchall()
        except duckdb.Error as error:
            return BindError("unreadable-source", told_of_file(str(error), self._root))
        return Schema(tuple(Column(str(row[0]), str(row[1])) for row in rows))

    def rows(self, query: Sql) -> list[Row] | BindError:
        """The rows of a query, or why a file cannot be read."""
        import duckdb

        try:
            found: list[Row] = self._connection.execute(query).fetchall()
        except duckdb.Error as error:
            return BindError("unreadable-source", told_of_file(str(error), self._root))
        return found

    def csv(self, reading: Sql) -> Iterator[bytes]:
        """The rows as CSV without a header, NULL as `\\N`, in blocks. Raises EngineError."""
        import duckdb

        described = self.describe(reading)
        if isinstance(described, BindError):
            raise EngineError(described.message)
        items = [_as_text(column) for column in described]
        # Such a line is a value when it is quoted; see `_may_end_early`.
        quoted = Sql(", FORCE_QUOTE *") if len(items) == 1 else Sql("")
        reading_end, writing_end = os.pipe()
        failures: list[str] = []

        def write() -> None:
            try:
                self._connection.execute(
                    compose(
                        "COPY (SELECT {items} FROM {r}) TO {path} (FORMAT csv, HEADER false, NULLSTR '\\N', USE_TMP_FILE false{quoted})",
                        items=items, r=reading, path=Value(f"/dev/fd/{writing_end}"), quoted=quoted,
                    )
                )  # fmt: skip
            except duckdb.Error as error:
                failures.append(told_of_file(str(error), self._root))
            finally:
                os.close(writing_end)  # which the reader sees as the end, however far DuckDB came

        writer = threading.Thread(target=write, daemon=True)
        with open(reading_end, "rb", buffering=0) as source:  # closed early, it ends the writer as well
            writer.start()
            while block := source.read(_BLOCK):
                yield block
        writer.join()
        if failures:
            raise EngineError(failures[0], code="unreadable-source")

    def plain(self, path: str, schema: Schema) -> PlainText | None:
        """The text of a CSV file as it is, if a database that reads CSV takes it for the same rows; else None."""
        import duckdb

        if not all(_is_plain(column.parsed) for column in schema):
            return None
        try:
            found = self._connection.execute(compose(_SNIFFED, path=Value(literal_path(path)))).fetchall()[0]
        except duckdb.Error:
            return None
        delimiter, quote, escape, skipped, header, days, moments, names = found
        usual = quote in ('"', "(empty)", "") and escape in ('"', "(empty)", "")
        year_first = days in (None, "", "%Y-%m-%d") and moments in (
            None,
            "",
            "%Y-%m-%d %H:%M:%S",
            "%Y-%m-%d %H:%M:%S.%f",
        )
        if not (usual and year_first and header and not skipped and len(delimiter) == 1):
            return None
        if sorted(name.lower() for name in names) != sorted(name.lower() for name in schema.names):
            return None
        if _may_end_early(path):
            return None
        spelled = {c.name.lower(): c.name for c in schema}
        return PlainText(_blocks(path), delimiter, tuple(spelled[name.lower()] for name in names))

    def close(self) -> None:
        if self._opened is not None:
            self._opened.close()


def _is_plain(kind: ColumnType) -> bool:
    if kind.family is Family.DECIMAL:
        return kind.precision is not None
    usual = not kind.zone and not kind.padded and kind.length is None and kind.digits == _DIGITS
    return kind.family in _PLAIN and usual


_DIGITS = 6  # of a second: all that there are


def _may_end_early(path: str) -> bool:
    """Whether a line begins with `\\.`, which PostgreSQL takes for the end of the rows until version 17:
    https://www.postgresql.org/docs/17/sql-copy.html"""
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as text:
        return any(text.find(line) >= 0 for line in (b"\n\\.", b"\r\\."))


def _blocks(path: str) -> Iterator[bytes]:
    with open(path, "rb", buffering=0) as file:
        if file.read(3) != b"\xef\xbb\xbf":  # a byte order mark is no part of the first name
            file.seek(0)
        while block := file.read(_BLOCK):
            yield block


def _as_text(column: Column) -> Sql:
    """A column in a form that the text format of most databases takes."""
    kind, c = column.parsed, Ident(column.name)
    if kind.family is Family.BINARY:
        return compose("'\\x' || lower(hex({c}))", c=c)
    if kind.is_list_of_plain:
        return compose(
            "'{{' || array_to_string(list_transform({c}, lambda v: CASE WHEN v IS NULL THEN 'NULL' ELSE '\"' || "
            "replace(replace(CAST(v AS VARCHAR), '\\', '\\\\'), '\"', '\\\"') || '\"' END), ',') || '}}'",
            c=c,
        )
    if kind.is_nested:
        return compose("to_json({c})", c=c)
    return compose("{c}", c=c)
