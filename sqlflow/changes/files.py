"""File sources: which files there are, and whether their content is what it was."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from glob import glob, has_magic
from pathlib import Path

from msgspec import Struct

from sqlflow.core.config import Config
from sqlflow.core.model import Source
from sqlflow.core.schema import Schema, names_zone
from sqlflow.core.sql import Ident, Sql, Value, compose


class FileFacts(Struct, frozen=True):
    """One file: path relative to the project, size in bytes, time of change in ns, hash of the content."""

    path: str
    size: int
    mtime: int
    digest: str


def find_files(root: Path, pattern: str) -> list[Path]:
    """The files that a path or glob of a source names, in a stable order."""
    return sorted(Path(found) for found in glob(str(root / pattern), recursive=True) if os.path.isfile(found))


def identity(root: Path, pattern: str, before: str | None) -> str:
    """What the files of a source are now, as text. Files whose size and time did not change are not read again."""
    known = {facts.path: facts for facts in _decode(before)}
    found = []
    for path in find_files(root, pattern):
        status = path.stat()
        name = os.path.relpath(path, root)
        old = known.get(name)
        if old is not None and (old.size, old.mtime) == (status.st_size, status.st_mtime_ns):
            found.append(old)
        else:
            found.append(FileFacts(name, status.st_size, status.st_mtime_ns, _digest(path)))
    return json.dumps([[f.path, f.size, f.mtime, f.digest] for f in found])


def identity_by_time(root: Path, pattern: str) -> str:
    """The names, sizes and times of the files of a source: enough to know that their columns are what they were."""
    found = [(str(path), path.stat()) for path in find_files(root, pattern)]
    return json.dumps([[name, status.st_size, status.st_mtime_ns] for name, status in found])


def difference(before: str | None, now: str) -> str:
    """What changed between two identities, in words; empty when the content is the same."""
    old = {facts.path: facts.digest for facts in _decode(before)}
    new = {facts.path: facts.digest for facts in _decode(now)}
    if old == new:
        return ""
    parts = []
    for word, names in (
        ("new", sorted(set(new) - set(old))),
        ("gone", sorted(set(old) - set(new))),
        ("changed", sorted(name for name in set(old) & set(new) if old[name] != new[name])),
    ):
        if names:
            shown = ", ".join(f"`{name}`" for name in names[:3])
            parts.append(f"{word}: {shown}" + (f" and {len(names) - 3} more" if len(names) > 3 else ""))
    return "; ".join(parts)


def relation(config: Config, source: Source) -> Sql:
    """SQL that reads the files of a source, with the declared types: something that can stand after FROM.

    The files of a pattern are named one by one: a file that appears while a build runs belongs to the next one.
    """
    assert source.path is not None
    found = find_files(config.root, source.path)
    if found and (config.sandbox or has_magic(source.path)):
        return _reading(source, Value([str(file) for file in found]))
    return pattern_relation(config, source)


def pattern_relation(config: Config, source: Source) -> Sql:
    """SQL that reads whatever files a source has: the same text as long as its definition is the same."""
    return _reading(source, Value(str(config.root / (source.path or ""))))


def added_relation(config: Config, source: Source, before: str | None, now: str, schema: Schema) -> Sql | None:
    """SQL that reads only the new files of a source, when all the old ones are as they were; else None.

    The columns get the types that the source has as a whole, and columns are found by name.
    """
    old = {facts.path: facts.digest for facts in _decode(before)}
    new = {facts.path: facts.digest for facts in _decode(now)}
    if not old or any(new.get(path) != digest for path, digest in old.items()):
        return None
    added = [str(config.root / path) for path in sorted(set(new) - set(old))]
    if not added:
        return None
    extension = _extension(source.path or "")
    if extension == "parquet":
        call = compose("read_parquet({path})", path=Value(added))
    elif extension in ("csv", "tsv") and source.types and all(source.types.get(c.name) for c in schema):
        call = compose("read_csv({path}, types = {types})", path=Value(added), types=_struct(source.types))
    else:
        return None  # what the engine takes the values of a new file for may depend on the other files
    casts = [compose("CAST({c} AS {t}) AS {c}", c=Ident(c.name), t=Sql(c.type)) for c in schema]
    return compose("(SELECT {casts} FROM {call})", casts=casts, call=call)


def settings(config: Config, schema: Schema, source: Source | None = None) -> dict[str, str]:
    """The settings on which the rows of files depend. `schema`: the columns that they are read with.

    A text that is read as a time with a zone, and such a time of a Parquet file that is read as something else.
    """
    zoned = any(names_zone(column.type) for column in schema)
    cast = source is not None and bool(source.types) and _extension(source.path or "") not in ("csv", "tsv")
    return {"timezone": config.timezone} if zoned or cast else {}


def plain_csv(config: Config, source: Source, schema: Schema) -> str:
    """The path of the one file of a source that is CSV with a type declared for each column; empty for others."""
    found = find_files(config.root, source.path or "")
    declared = {name.lower() for name in source.types}
    plain = len(found) == 1 and found[0].suffix.lower() == ".csv"
    return str(found[0]) if plain and declared == {c.name.lower() for c in schema} else ""


def _reading(source: Source, path: Value) -> Sql:
    extension = _extension(source.path or "")
    if extension == "parquet":
        call = compose("read_parquet({path})", path=path)
    elif extension in ("csv", "tsv"):
        if source.types:
            call = compose("read_csv({path}, types = {types})", path=path, types=_struct(source.types))
        else:
            call = compose("read_csv({path})", path=path)
        return call
    else:
        call = compose("read_json({path})", path=path)
    if not source.types:
        return call
    casts = [compose("CAST({c} AS {t}) AS {c}", c=Ident(name), t=Sql(kind)) for name, kind in source.types.items()]
    return compose("(SELECT * REPLACE ({casts}) FROM {call})", casts=casts, call=call)


def _extension(path: str) -> str:
    name = path.lower()
    for packed in (".gz", ".zst"):
        name = name.removesuffix(packed)
    return name.rpartition(".")[2]


def _struct(types: Mapping[str, str]) -> Sql:
    fields = [compose("{name}: {kind}", name=Value(name), kind=Value(kind)) for name, kind in types.items()]
    return compose("{{{fields}}}", fields=fields)


def _decode(text: str | None) -> list[FileFacts]:
    try:
        rows = json.loads(text) if text else []
        return [FileFacts(str(p), int(s), int(m), str(d)) for p, s, m, d in rows]
    except (ValueError, TypeError):
        return []


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
