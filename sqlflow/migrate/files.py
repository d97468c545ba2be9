"""Writes the new project, and leaves alone what somebody edited since it was written the last time."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from msgspec import Struct

from sqlflow.migrate.migrate import Migration

REPORT = "migration-report.json"


class Written(Struct, frozen=True):
    """What became of the files. `hashes`: of each file as the migration makes it. `kept`: edited by somebody, and left as they are.
    `gone`: of an earlier migration and no longer made, so they were removed. `stale`: such files that somebody edited."""

    hashes: Mapping[str, str]
    kept: tuple[PurePosixPath, ...]
    gone: tuple[PurePosixPath, ...]
    stale: tuple[PurePosixPath, ...]


def write(migration: Migration, source: Path, target: Path) -> Written:
    """The new project on disk."""
    before = _known(target)
    contents = {path: text.encode() for path, text in migration.files.items()}
    contents |= {path: (source / original).read_bytes() for path, original in migration.copied.items()}
    kept: list[PurePosixPath] = []
    hashes: dict[str, str] = {}
    for path, content in contents.items():
        file = target / path
        hashes[str(path)] = _hash(content)
        if before and file.exists() and _is_edited(file, before.get(str(path))):
            if file.read_bytes() != content:
                kept.append(path)
                hashes[str(path)] = before.get(str(path), "")
            continue
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    gone: list[PurePosixPath] = []
    stale: list[PurePosixPath] = []
    for name in before:
        path = PurePosixPath(name)
        file = target / path
        if name in hashes or not file.is_file() or ".." in path.parts or path.is_absolute():
            continue
        if _is_edited(file, before[name]):
            stale.append(path)
            hashes[name] = before[name]
        else:
            file.unlink()
            gone.append(path)
    return Written(hashes, tuple(kept), tuple(gone), tuple(stale))


def _known(target: Path) -> Mapping[str, str]:
    """The files that the last migration wrote, with their hashes."""
    try:
        found = json.loads((target / REPORT).read_text(encoding="utf-8")).get("files")
    except (OSError, ValueError, AttributeError):
        return {}
    return {str(k): str(v) for k, v in found.items()} if isinstance(found, dict) else {}


def _is_edited(file: Path, known: str | None) -> bool:
    return known is None or _hash(file.read_bytes()) != known


def _hash(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=16).hexdigest()
