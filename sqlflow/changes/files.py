"""File sources: which files there are, and whether their content is what it was."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from msgspec import Struct

from sqlflow.changes.forms import extension
from sqlflow.core.config import Config
from sqlflow.core.model import Source
from sqlflow.core.paths import named_by
from sqlflow.core.schema import Schema, names_zone


class FileFacts(Struct, frozen=True):
    """One file: path relative to the project, size in bytes, time of change in ns, hash of the content, and of how it is
    read."""

    path: str
    size: int
    mtime: int
    digest: str
    shape: str = ""


def find_files(root: Path, pattern: str) -> list[Path]:
    """The files that a path or glob of a source names, in a stable order."""
    return [found for found in named_by(root, pattern) if os.path.isfile(found)]


def identity(root: Path, pattern: str, before: str | None, shapes: Mapping[str, str] | None = None) -> str:
    """What the files of a source are now, as text. Files whose size and time did not change are not read again.

    `shapes`: how each file is read, by its path; where that is not given, as it was before.
    """
    known = {facts.path: facts for facts in _decode(before)}
    found = []
    for path, status in _with_status(root, pattern):
        name = os.path.relpath(path, root)
        old = known.get(name)
        same = old is not None and (old.size, old.mtime) == (status.st_size, status.st_mtime_ns)
        digest = old.digest if old is not None and same else _digest(path)
        shape = old.shape if old is not None else ""
        if shapes is not None:
            shape = _hash(shapes[name]) if name in shapes else ""
        found.append(FileFacts(name, status.st_size, status.st_mtime_ns, digest, shape))
    return json.dumps([[f.path, f.size, f.mtime, f.digest, f.shape] for f in found])


def identity_by_time(root: Path, pattern: str) -> str:
    """The names, sizes and times of the files of a source: enough to know that their columns are what they were."""
    found = _with_status(root, pattern)
    return json.dumps([[str(path), status.st_size, status.st_mtime_ns] for path, status in found])


def difference(before: str | None, now: str) -> str:
    """What changed between two identities, in words; empty when the content is the same."""
    old, new = _contents(before), _contents(now)
    if old == new:
        return ""
    parts = []
    for word, names in (
        ("new", sorted(set(new) - set(old))),
        ("gone", sorted(set(old) - set(new))),
        ("changed", sorted(name for name in set(old) & set(new) if old[name][0] != new[name][0])),
        ("read otherwise", sorted(n for n in set(old) & set(new) if old[n][0] == new[n][0] and old[n] != new[n])),
    ):
        if names:
            parts.append(f"{word}: {few(names)}")
    return "; ".join(parts)


def gone(before: str | None, now: str) -> list[str]:
    """The files that were there and are not any more."""
    return sorted(set(_contents(before)) - set(_contents(now)))


def gone_folders(root: Path, names: Sequence[str]) -> list[str]:
    """The folders of files that are not there any more, either."""
    return sorted({os.path.dirname(name) for name in names if not os.path.isdir(root / os.path.dirname(name))})


def added(before: str | None, now: str) -> list[str]:
    """The new files, when all the old ones are as they were and are read as they were; else none."""
    old, new = _contents(before), _contents(now)
    if not old or any(new.get(path) != content for path, content in old.items()):
        return []
    return sorted(set(new) - set(old))


def few(names: list[str]) -> str:
    """Some of many names: `a`, `b`, `c` and 2 more."""
    shown = ", ".join(f"`{name}`" for name in names[:3])
    return shown + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def settings(config: Config, schema: Schema, source: Source | None = None) -> dict[str, str]:
    """The settings on which the rows of files depend. `schema`: the columns that they are read with.

    A text that is read as a time with a zone, and such a time of a Parquet file that is read as something else.
    """
    zoned = any(names_zone(column.type) for column in schema)
    cast = source is not None and bool(source.types) and extension(source.path or "") not in ("csv", "tsv")
    return {"timezone": config.timezone} if zoned or cast else {}


def _with_status(root: Path, pattern: str) -> list[tuple[Path, os.stat_result]]:
    found = []
    for path in find_files(root, pattern):
        try:
            found.append((path, path.stat()))
        except FileNotFoundError:
            continue  # it went while its folder was read
    return found


def _contents(text: str | None) -> dict[str, tuple[str, str]]:
    return {facts.path: (facts.digest, facts.shape) for facts in _decode(text)}


def _decode(text: str | None) -> list[FileFacts]:
    try:
        rows = json.loads(text) if text else []
        return [FileFacts(str(p), int(s), int(m), str(d), *map(str, shape)) for p, s, m, d, *shape in rows]
    except (ValueError, TypeError):
        return []


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def _hash(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
