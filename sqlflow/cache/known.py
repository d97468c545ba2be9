"""A whole compiled project in one file, read back at once.

Ten thousand models are read in a fraction of a second because little of each is decoded: what most commands need of a
model is one flat record, in which tables are numbers; what few ask for (lineage, syntax facts) stays bytes until it is
asked for. Equal headers and equal lists of columns are decoded once. Paths are relative to the project, and no time of
a file is in it, so that the file can be carried elsewhere.
"""

from __future__ import annotations

import contextlib
import os
import struct
import zlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path, PurePath, PurePosixPath
from typing import Any, TypeVar

import msgspec

from sqlflow.core.clock import Moving
from sqlflow.core.compiled import CompiledModel, Lineage, TimeMapping, Traces
from sqlflow.core.diagnostics import Diagnostic
from sqlflow.core.graph import Edge, ModelGraph, Reader
from sqlflow.core.known import KnownModel, KnownProject, Parsed, Settings
from sqlflow.core.later import Later
from sqlflow.core.model import Header, Model
from sqlflow.core.names import TableName
from sqlflow.core.records import Fingerprint
from sqlflow.core.schema import Schema
from sqlflow.core.source import SourceFile, Span
from sqlflow.core.text import Argument, MappedText, Piece

T = TypeVar("T")

# The number grows when what is stored changes its form.
_MAGIC = b"sqlflow known 7\n"
_SIZES = struct.Struct("<QQI")  # bytes of the records, bytes of what is read later, checksum of both
_LARGEST = 2**31


class _Text(msgspec.Struct, array_like=True, gc=False):
    """A `MappedText` without its file. `whole`: it is a part of the file as it stands, so the text is left out."""

    whole: bool
    pieces: tuple[tuple[int, int, int, bool], ...]
    text: str = ""


class _Record(msgspec.Struct, array_like=True, gc=False):
    """A `KnownModel`. Tables are places in the list of names, `traces` and `parsed` are places behind the records."""

    path: str
    digest: str
    place: tuple[int, int, int, str]
    linked: str
    columns: str
    key: str
    name: int
    header: msgspec.Raw
    written: _Text
    dialect: str
    arguments: tuple[tuple[int, int, tuple[int, int], tuple[int, int]], ...]
    query: _Text | None
    schema: msgspec.Raw
    parents: tuple[int, ...]
    fingerprint: tuple[str, str, str, dict[str, str], str, dict[str, str], str]
    clock: tuple[Moving, ...]
    filled: dict[str, tuple[Moving, ...]]
    checked_against: tuple[int, ...]
    ordered_after: tuple[int, ...]
    bounds: tuple[tuple[int, int, str], ...]
    by_text: tuple[str, ...]
    traces: tuple[int, int]
    parsed: tuple[int, int]
    said: tuple[Diagnostic, ...]
    told: tuple[Diagnostic, ...]


class _Project(msgspec.Struct, array_like=True):
    settings: Settings
    linked: str
    disabled: dict[str, str]
    names: tuple[tuple[str, str], ...]
    records: tuple[_Record, ...]
    order: tuple[int, ...]
    broken: tuple[int, ...]
    undeclared: tuple[int, ...]
    readers: tuple[int, int]


class _Traces(msgspec.Struct, array_like=True):
    lineage: Lineage
    times: tuple[tuple[TableName, TimeMapping], ...]
    reads: tuple[tuple[TableName, frozenset[str]], ...]


class _Reader(msgspec.Struct, array_like=True):
    name: int
    edges: tuple[tuple[int, tuple[str | None, str, int, int, bool]], ...]
    parents: tuple[int, ...]


# ---------------------------------------------------------------------- write


def write_known(path: Path, known: KnownProject) -> None:
    """Write a project; a reader sees the old file or the new one. Raises OSError."""
    writer = _Writer()
    content = writer.content(known)
    later = b"".join(writer.later)
    if len(content) + len(later) > _LARGEST:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    sizes = _SIZES.pack(len(content), len(later), zlib.crc32(later, zlib.crc32(content)))
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with open(beside, "wb") as stream:
            stream.writelines((_MAGIC, sizes, content, later))
        os.replace(beside, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(beside)
        raise


class _Writer:
    def __init__(self) -> None:
        self.later: list[bytes] = []
        self._end = 0
        self._names: dict[tuple[str, str], int] = {}
        self._encoder = msgspec.msgpack.Encoder(enc_hook=_encode_other)

    def content(self, known: KnownProject) -> bytes:
        records = tuple(self._record(path, model) for path, model in known.models.items())
        graph = known.graph
        readers = [
            _Reader(
                self._name(reader.name),
                tuple(
                    (self._name(e.table), (e.read.schema, e.read.name, e.read.start, e.read.end, e.read.aliased))
                    for e in reader.edges
                ),
                self._all(reader.parents),
            )
            for reader in graph.readers
        ]
        project = _Project(
            known.settings,
            known.linked,
            dict(known.disabled),
            (),
            records,
            self._all(graph.order),
            self._all(graph.broken),
            self._all(graph.undeclared),
            self._put(readers),
        )
        project.names = tuple(self._names)
        return self._encoder.encode(project)

    def _record(self, path: str, known: KnownModel) -> _Record:
        compiled, model, place = known.compiled, known.compiled.model, known.compiled.model.place
        traces, printed = compiled.traces, compiled.fingerprint
        return _Record(
            path,
            known.digest,
            (place.line, place.column, place.length, place.text),
            known.linked,
            known.columns,
            known.key,
            self._name(model.name),
            msgspec.Raw(self._encoder.encode(model.header)),
            _text(model.query),
            model.dialect,
            tuple((a.start, a.end, a.call, a.written) for a in model.arguments),
            None if compiled.query is model.query else _text(compiled.query),
            msgspec.Raw(self._encoder.encode([(c.name, c.type) for c in compiled.schema])),
            self._all(compiled.parents),
            (
                printed.query,
                printed.header,
                printed.checks,
                dict(printed.columns),
                printed.rows,
                dict(printed.settings or {}),
                printed.spelling,
            ),
            compiled.clock,
            dict(compiled.written),
            self._all(compiled.checked_against),
            self._all(compiled.ordered_after),
            compiled.bounds,
            compiled.by_text,
            self._copy(traces, lambda: _stored(traces.get())),
            self._copy(known.parsed, known.parsed.get),
            known.said,
            known.told,
        )

    def _copy(self, later: Later[Any], value: Callable[[], object]) -> tuple[int, int]:
        """What was read from a file is copied as it is."""
        if isinstance(later, _Stored):
            return self._append(bytes(later.data))
        return self._put(value())

    def _put(self, value: object) -> tuple[int, int]:
        return self._append(self._encoder.encode(value))

    def _append(self, data: bytes) -> tuple[int, int]:
        start = self._end
        self.later.append(data)
        self._end += len(data)
        return start, self._end

    def _name(self, name: TableName) -> int:
        return self._names.setdefault((name.schema, name.name), len(self._names))

    def _all(self, names: Iterable[TableName]) -> tuple[int, ...]:
        return tuple(map(self._name, names))


def _text(text: MappedText) -> _Text:
    pieces = tuple((p.at, p.origin, p.end, p.verbatim) for p in text.pieces)
    whole = len(pieces) == 1 and text.pieces[0].verbatim
    return _Text(whole, pieces, "" if whole else text.text)


def _stored(traces: Traces) -> _Traces:
    return _Traces(traces.lineage, tuple(traces.times.items()), tuple(traces.reads.items()))


def _encode_other(value: object) -> object:
    if isinstance(value, PurePath):
        return str(value)
    raise TypeError(f"no form for {type(value).__name__}")


def _decode_other(kind: type, value: object) -> object:
    if kind is PurePosixPath and isinstance(value, str):
        return PurePosixPath(value)
    raise TypeError(f"no {kind.__name__}")


# ---------------------------------------------------------------------- read


def read_known(path: Path, files: Mapping[str, tuple[str, SourceFile]]) -> KnownProject | None:
    """The project in a file; None when there is none that can be read.

    `files`: the models' files as they are, by path, with the digest of what is in them. A model whose file is gone or
    is otherwise is left out: it would only be compiled again.
    """
    try:
        data = memoryview(path.read_bytes())
    except OSError:
        return None
    start = len(_MAGIC) + _SIZES.size
    if len(data) < start or bytes(data[: len(_MAGIC)]) != _MAGIC:
        return None
    size, later_size, checksum = _SIZES.unpack(data[len(_MAGIC) : start])
    if len(data) != start + size + later_size or zlib.crc32(data[start:]) != checksum:
        return None
    try:
        stored = msgspec.msgpack.decode(data[start : start + size], type=_Project, dec_hook=_decode_other)
        return _Reading(stored, data[start + size :], files).project()
    except (msgspec.DecodeError, ValueError, TypeError, IndexError):
        return None


class _Stored(Later[T]):
    """A value as bytes."""

    __slots__ = ("_decode", "data")

    def __init__(self, data: memoryview, decode: Callable[[memoryview], T]) -> None:
        super().__init__(self._decoded)
        self.data, self._decode = data, decode

    def _decoded(self) -> T:
        return self._decode(self.data)


class _Reading:
    def __init__(self, stored: _Project, later: memoryview, files: Mapping[str, tuple[str, SourceFile]]) -> None:
        self._stored = stored
        self._later = later
        self._files = files
        self._names = [TableName(schema, name) for schema, name in stored.names]
        self._headers: dict[bytes, Header] = {}
        self._schemas: dict[bytes, Schema] = {}
        self._header = msgspec.msgpack.Decoder(Header, dec_hook=_decode_other).decode
        self._columns = msgspec.msgpack.Decoder(tuple[tuple[str, str], ...]).decode

    def project(self) -> KnownProject:
        stored = self._stored
        models = {}
        for record in stored.records:
            found = self._files.get(record.path)
            if found is not None and found[0] == record.digest:
                models[record.path] = self._model(record, found[1])
        graph = ModelGraph(
            Later(self._readers), self._all(stored.order), self._all(stored.broken), self._all(stored.undeclared)
        )
        return KnownProject(stored.settings, models, stored.disabled, stored.linked, graph)

    def _model(self, record: _Record, file: SourceFile) -> KnownModel:
        header = self._headers.get(raw := bytes(record.header))
        if header is None:
            header = self._headers[raw] = self._header(raw)
        schema = self._schemas.get(raw := bytes(record.schema))
        if schema is None:
            schema = self._schemas[raw] = _schema(self._columns(raw))
        query = _mapped(record.written, file)
        later, (first, last) = self._later, record.traces
        compiled = CompiledModel(
            Model(
                self._names[record.name],
                header,
                query,
                Span(file.path, *record.place),
                record.dialect,
                tuple([Argument(*argument) for argument in record.arguments]) if record.arguments else (),
            ),
            query if record.query is None else _mapped(record.query, file),
            schema,
            _Stored(later[first:last], _decode_traces),
            self._all(record.parents),
            Fingerprint(*record.fingerprint),
            record.clock,
            record.filled,
            self._all(record.checked_against) if record.checked_against else (),
            self._all(record.ordered_after) if record.ordered_after else (),
            record.bounds,
            record.by_text,
        )
        first, last = record.parsed
        return KnownModel(
            record.digest,
            _Stored(later[first:last], _decode_parsed),
            record.linked,
            record.columns,
            record.key,
            compiled,
            record.said,
            record.told,
        )

    def _all(self, numbers: Iterable[int]) -> tuple[TableName, ...]:
        names = self._names
        return tuple([names[number] for number in numbers])

    def _readers(self) -> tuple[Reader, ...]:
        from sqlflow.core.engine import ReadTable

        first, last = self._stored.readers
        found = msgspec.msgpack.decode(self._later[first:last], type=tuple[_Reader, ...])
        names = self._names
        return tuple(
            Reader(
                names[reader.name],
                tuple(Edge(names[table], ReadTable(*read)) for table, read in reader.edges),
                self._all(reader.parents),
            )
            for reader in found
        )


def _mapped(stored: _Text, file: SourceFile) -> MappedText:
    if stored.whole:
        (piece,) = stored.pieces
        return MappedText(file.text[piece[1] : piece[2]], file, (Piece(*piece),))
    return MappedText(stored.text, file, tuple(Piece(*piece) for piece in stored.pieces))


def _schema(columns: tuple[tuple[str, str], ...]) -> Schema:
    from sqlflow.core.schema import Column

    return Schema(tuple(Column(name, kind) for name, kind in columns))


def _decode_traces(data: memoryview) -> Traces:
    stored = msgspec.msgpack.decode(data, type=_Traces)
    return Traces(stored.lineage, dict(stored.times), dict(stored.reads))


def _decode_parsed(data: memoryview) -> Parsed:
    return msgspec.msgpack.decode(data, type=Parsed)
