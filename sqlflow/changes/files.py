"""File sources: which files there are, and whether their content is what it was."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

from msgspec.structs import replace

from sqlflow.changes.forms import extension
from sqlflow.core.config import Config
from sqlflow.core.model import Source
from sqlflow.core.paths import named_by
from sqlflow.core.schema import Schema, names_zone
from sqlflow.core.seen import Contents, Files, FileSeen, Seen


def find_files(root: Path, pattern: str) -> list[Path]:
    """The files that a path or glob of a source names, in a stable order."""
    return [found for found in named_by(root, pattern) if os.path.isfile(found)]


def identity(root: Path, pattern: str, before: Seen | None, shapes: Mapping[str, str] | None = None) -> Files:
    """What the files of a source are now. Files whose size and time did not change are not read again.

    `shapes`: how each file is read, by its path; where that is not given, as it was before.
    """
    names = [os.path.relpath(path, root) for path in find_files(root, pattern)]
    found = [facts for facts in _facts(root, names, before) if facts.digest]
    if shapes is not None:
        found = [replace(f, shape=_hash(shapes[f.path]) if f.path in shapes else "") for f in found]
    return Files(tuple(found))


def identity_with(root: Path, path: str, content: str) -> Files:
    """What one file is now, whose content was read a moment ago and has the hash `content`."""
    now = Files(tuple(_facts(root, [path], None)))
    return now if all(facts.digest == content for facts in now.files) else unlike_itself(now)


def identity_of_same(root: Path, before: Files) -> Files:
    """What the same files are now; one that is gone is without content."""
    return Files(tuple(_facts(root, [facts.path for facts in before.files], before)))


def _facts(root: Path, names: Sequence[str], before: Seen | None) -> Iterator[FileSeen]:
    known = {facts.path: facts for facts in _files_of(before)}
    for name in names:
        status, old = _status(root / name), known.get(name)
        shape = old.shape if old is not None else ""
        if status is None:
            yield FileSeen(name, 0, _UNSURE, "", shape)
        elif old is not None and (old.size, old.mtime) == (status.st_size, status.st_mtime_ns):
            yield old
        else:
            digest, later = _digest(root / name), _status(root / name)
            same = later is not None and later.st_mtime_ns == status.st_mtime_ns
            sure = same and time.time_ns() - status.st_mtime_ns > _TICK
            yield FileSeen(name, status.st_size, status.st_mtime_ns if sure else _UNSURE, digest, shape)


# What is written twice within a tick of the file system's clock has one time.
_TICK = 50_000_000
_UNSURE = -1

Stamps = tuple[tuple[int, ...], ...]
"""What changes of files when they are written."""


def stamps(root: Path, identity: Files) -> Stamps:
    """Of the files of an identity, as they are now."""
    found = [_status(root / facts.path) for facts in identity.files]
    return tuple(() if s is None else (s.st_size, s.st_mtime_ns, s.st_ctime_ns, s.st_ino) for s in found)


def fits(stamps: Stamps, identity: Files) -> bool:
    """Whether files with these stamps certainly have the content of the identity."""
    facts = identity.files
    return len(facts) == len(stamps) and all(
        stamp[:2] == (fact.size, fact.mtime) for stamp, fact in zip(stamps, facts, strict=True)
    )


def content(identity: Seen | None) -> Contents:
    """The names and contents of files, as one short text."""
    parts = [f"{facts.path}\x1f{facts.digest}\x1f{facts.shape}" for facts in _files_of(identity)]
    return Contents(hashlib.blake2b("\x1f".join(parts).encode(), digest_size=16).hexdigest())


def merged(identity: Seen | None, others: Files) -> Files:
    """An identity in which some files are as another one says."""
    known = {facts.path: facts for facts in others.files}
    return Files(tuple(known.get(facts.path, facts) for facts in _files_of(identity)))


def only(identity: Files, paths: Collection[str]) -> Files:
    """An identity of some of its files."""
    return Files(tuple(facts for facts in identity.files if facts.path in paths))


def unlike_itself(identity: Files) -> Files:
    """An identity that no files have: of files that changed while they were looked at."""
    return Files(tuple(replace(facts, mtime=_UNSURE, digest="") for facts in identity.files))


def _status(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except OSError:
        return None


def identity_by_time(root: Path, pattern: str) -> str:
    """The names, sizes and times of the files of a source: enough to know that their columns are what they were."""
    found = _with_status(root, pattern)
    return json.dumps([[str(path), status.st_size, status.st_mtime_ns] for path, status in found])


def difference(before: Seen | None, now: Seen | None) -> str:
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


def gone(before: Seen | None, now: Seen | None) -> list[str]:
    """The files that were there and are not any more."""
    return sorted(set(_contents(before)) - set(_contents(now)))


def gone_folders(root: Path, names: Sequence[str]) -> list[str]:
    """The folders of files that are not there any more, either."""
    return sorted({os.path.dirname(name) for name in names if not os.path.isdir(root / os.path.dirname(name))})


def added(before: Seen | None, now: Seen | None) -> list[str]:
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


def _contents(seen: Seen | None) -> dict[str, tuple[str, str]]:
    return {facts.path: (facts.digest, facts.shape) for facts in _files_of(seen)}


def _files_of(seen: Seen | None) -> tuple[FileSeen, ...]:
    return seen.files if isinstance(seen, Files) else ()


def _digest(path: Path) -> str:
    """The hash of a file's content; empty when it is gone."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
    except FileNotFoundError:
        return ""


def _hash(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
