"""File sources: which files there are, and whether their content is what it was."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

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
    names = [os.path.relpath(path, root) for path in find_files(root, pattern)]
    found = [facts for facts in _facts(root, names, before) if facts.digest]
    if shapes is not None:
        found = [replace(f, shape=_hash(shapes[f.path]) if f.path in shapes else "") for f in found]
    return _encode(found)


def identity_with(root: Path, path: str, content: str) -> str:
    """What one file is now, whose content was read a moment ago and has the hash `content`."""
    now = _encode(_facts(root, [path], None))
    return now if all(facts.digest == content for facts in _decode(now)) else unlike_itself(now)


def identity_of_same(root: Path, before: str) -> str:
    """What the files of an identity are now; one that is gone is without content."""
    return _encode(_facts(root, [facts.path for facts in _decode(before)], before))


def _facts(root: Path, names: Sequence[str], before: str | None) -> Iterator[FileFacts]:
    known = {facts.path: facts for facts in _decode(before)}
    for name in names:
        status, old = _status(root / name), known.get(name)
        shape = old.shape if old is not None else ""
        if status is None:
            yield FileFacts(name, 0, _UNSURE, "", shape)
        elif old is not None and (old.size, old.mtime) == (status.st_size, status.st_mtime_ns):
            yield old
        else:
            digest, later = _digest(root / name), _status(root / name)
            same = later is not None and later.st_mtime_ns == status.st_mtime_ns
            sure = same and time.time_ns() - status.st_mtime_ns > _TICK
            yield FileFacts(name, status.st_size, status.st_mtime_ns if sure else _UNSURE, digest, shape)


# What is written twice within a tick of the file system's clock has one time.
_TICK = 50_000_000
_UNSURE = -1

Stamps = tuple[tuple[int, ...], ...]
"""What changes of files when they are written."""


def stamps(root: Path, identity: str) -> Stamps:
    """Of the files of an identity, as they are now."""
    found = [_status(root / facts.path) for facts in _decode(identity)]
    return tuple(() if s is None else (s.st_size, s.st_mtime_ns, s.st_ctime_ns, s.st_ino) for s in found)


def fits(stamps: Stamps, identity: str) -> bool:
    """Whether files with these stamps certainly have the content of the identity."""
    facts = _decode(identity)
    return len(facts) == len(stamps) and all(
        stamp[:2] == (fact.size, fact.mtime) for stamp, fact in zip(stamps, facts, strict=True)
    )


def content(identity: str | None) -> str:
    """The names and contents of files, as one short text."""
    parts = [f"{facts.path}\x1f{facts.digest}\x1f{facts.shape}" for facts in _decode(identity)]
    return hashlib.blake2b("\x1f".join(parts).encode(), digest_size=16).hexdigest()


def merged(identity: str, others: str) -> str:
    """An identity in which some files are as another one says."""
    known = {facts.path: facts for facts in _decode(others)}
    found = [known.get(facts.path, facts) for facts in _decode(identity)]
    return _encode(found)


def only(identity: str, paths: Collection[str]) -> str:
    """An identity of some of its files."""
    return _encode(facts for facts in _decode(identity) if facts.path in paths)


def unlike_itself(identity: str) -> str:
    """An identity that no files have: of files that changed while they were looked at."""
    return _encode(replace(facts, mtime=_UNSURE, digest="") for facts in _decode(identity))


def _status(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except OSError:
        return None


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


def _encode(found: Iterable[FileFacts]) -> str:
    return json.dumps([[f.path, f.size, f.mtime, f.digest, f.shape] for f in found])


def _decode(text: str | None) -> list[FileFacts]:
    try:
        rows = json.loads(text) if text else []
        return [FileFacts(str(p), int(s), int(m), str(d), *map(str, shape)) for p, s, m, d, *shape in rows]
    except (ValueError, TypeError):
        return []


def _digest(path: Path) -> str:
    """The hash of a file's content; empty when it is gone."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
    except FileNotFoundError:
        return ""


def _hash(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
