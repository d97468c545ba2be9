"""One build at a time per target: a lock file that says who holds it, and is free when its holder dies."""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from sqlflow.core.diagnostics import one_problem
from sqlflow.core.events import Emit, Told

_POLL_SECONDS = 0.1


@contextmanager
def build_lock(path: Path, owner: Mapping[str, object], wait: float, emit: Emit) -> Iterator[None]:
    """Hold the lock. `owner`: what to tell others (pid, user, host, command, since). Raises ProjectError.

    The operating system frees the lock when the process ends, however it ends.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = _acquire(path, wait, emit)
    try:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps(dict(owner)).encode(), 0)
        yield
        os.ftruncate(descriptor, 0)
    finally:
        os.close(descriptor)


def _acquire(path: Path, wait: float, emit: Emit) -> int:
    deadline = time.monotonic() + wait
    told = False
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
        else:
            if _same_file(descriptor, path):
                return descriptor
            os.close(descriptor)  # it was deleted while we waited
            continue
        who = describe_owner(read_owner(path))
        if time.monotonic() >= deadline:
            raise one_problem(
                "build-running",
                f"another build of this target is running: {who}",
                hint=f"wait for it, or give more time with `--wait SECONDS` (waited {wait:g} s)",
            )
        if not told:
            emit(Told(f"another build of this target is running: {who}; waiting up to {wait:g} s"))
            told = True
        time.sleep(_POLL_SECONDS)


def _same_file(descriptor: int, path: Path) -> bool:
    try:
        return os.fstat(descriptor).st_ino == os.stat(path).st_ino
    except FileNotFoundError:
        return False


def read_owner(path: Path) -> Mapping[str, object]:
    """What the holder wrote into the lock file; empty when nobody did."""
    try:
        owner = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return owner if isinstance(owner, dict) else {}


def is_held(path: Path) -> bool:
    """Whether a living process holds the lock."""
    try:
        descriptor = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False


def describe_owner(owner: Mapping[str, object]) -> str:
    """The holder in words."""
    if not owner:
        return "holder unknown"
    return (
        f"process {owner.get('pid')} of {owner.get('user')} on {owner.get('host')}, "
        f"`{owner.get('command')}`, since {owner.get('since')}"
    )
