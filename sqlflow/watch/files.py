"""File events -> batches of changed paths, once the files are quiet.

The events come from watchdog, which nothing else imports. `Inbox` holds what a session waits for: batches, and
messages that other threads post.
"""

from __future__ import annotations

import logging
import os
import threading
import time
import warnings
from collections import deque
from collections.abc import Callable, Collection, Iterable
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Generic, TypeVar

from msgspec import Struct

if TYPE_CHECKING:
    from watchdog.events import FileSystemEvent, FileSystemEventHandler
    from watchdog.observers.api import BaseObserver, ObservedWatch

M = TypeVar("M")

FOLDERS = ("models", "sources", "seeds", "macros", "tests")
PROJECT_FILE = PurePosixPath("sqlflow.yml")

_SUFFIXES = (".sql", ".yml", ".yaml", ".csv")
_QUIET_SECONDS = 0.02  # an editor that saves makes its events within a few milliseconds
_QUIET_OF_MANY = 0.25
_MANY = 8
_EVERYTHING = 200  # so many at once that some events may have been lost: look at all files
_MOST_SECONDS = 2.0  # of waiting for quiet
_MOST_OF_GIT = 60.0
_MOST_OF_A_WRITER = 0.5
_MOST_FOLDERS = 50  # with data of sources


class Batch(Struct, frozen=True):
    """What changed. `paths`: files of the project. `everything`: folders came or went, or too much to tell.
    `database`: the target's database was written. `data`: a file that a source reads was. `began`: the time of the
    first event, by `time.monotonic`."""

    paths: frozenset[PurePosixPath] = frozenset()
    everything: bool = False
    database: bool = False
    data: bool = False
    began: float = 0.0


class Inbox(Generic[M]):
    """What happens to a session, one thing after the other. Safe to use from several threads."""

    def __init__(self, busy: Callable[[], bool] = lambda: False) -> None:
        """`busy`: whether a program that changes many files at once is still at it."""
        self._busy = busy
        self._changed = threading.Condition()
        self._messages: deque[M] = deque()
        self._paths: set[PurePosixPath] = set()
        self._written: set[PurePosixPath] = set()  # a program has them open and writes
        self._everything = self._database = self._data = False
        self._began = self._last = 0.0

    def post(self, message: M) -> None:
        with self._changed:
            self._messages.append(message)
            self._changed.notify_all()

    def note(self, path: PurePosixPath | None = None, *, database: bool = False, data: bool = False) -> None:
        """A file of the project changed, or the database, or data; with nothing given, anything may have."""
        with self._changed:
            self._last = time.monotonic()
            self._began = self._began or self._last
            if path is not None:
                self._paths.add(path)
            self._everything = self._everything or (path is None and not database and not data)
            self._database = self._database or database
            self._data = self._data or data
            self._changed.notify_all()

    def writing(self, path: PurePosixPath, *, ended: bool) -> None:
        """A program began to write a file that has changed, or closed it."""
        with self._changed:
            if ended:
                self._written.discard(path)
            elif path in self._paths:
                self._written.add(path)
            self._changed.notify_all()

    def take(self, timeout: float | None = None) -> M | Batch | None:
        """The next message, or what changed once it is quiet; None after `timeout` seconds."""
        end = None if timeout is None else time.monotonic() + timeout
        with self._changed:
            while True:
                if self._messages:
                    return self._messages.popleft()
                now = time.monotonic()
                wait = None if end is None else end - now
                if self._began:
                    due = self._due(now)
                    if due <= now:
                        return self._batch()
                    wait = due - now if wait is None else min(wait, due - now)
                if wait is not None and wait <= 0:
                    return None
                self._changed.wait(wait)

    def _due(self, now: float) -> float:
        many = self._everything or self._data or len(self._paths) > _MANY
        due = self._last + (_QUIET_OF_MANY if many else _QUIET_SECONDS)
        if self._written:
            due = max(due, self._last + _MOST_OF_A_WRITER)
        most = self._began + _MOST_SECONDS
        if due <= now and many and now < self._began + _MOST_OF_GIT and self._busy():
            return now + _QUIET_OF_MANY
        return min(due, most) if now < most or not many else due

    def _batch(self) -> Batch:
        found = Batch(
            frozenset(self._paths),
            self._everything or len(self._paths) >= _EVERYTHING,
            self._database,
            self._data,
            self._began,
        )
        self._paths.clear()
        self._written.clear()
        self._everything = self._database = self._data = False
        self._began = 0.0
        return found


class Watch:
    """Tells an inbox what happens to the files of a project, until it is stopped."""

    def __init__(self, root: Path, inbox: Inbox[M], told: Callable[[str], None]) -> None:
        self._root = root
        self._inbox = inbox
        self._told = told
        self._folders: dict[str, ObservedWatch] = {}
        self._outside: dict[Path, ObservedWatch] = {}
        self._database: Path | None = None
        self._data: frozenset[Path] = frozenset()
        self._observer = self._start()

    def _start(self) -> BaseObserver:
        from watchdog.observers import Observer

        logging.getLogger("watchdog").addHandler(logging.NullHandler())
        logging.getLogger("watchdog").propagate = False
        # A folder that comes while the one above it is gone through is found twice, and watched once.
        warnings.filterwarnings("ignore", "Callback with id", RuntimeWarning)
        observer = Observer()
        try:
            observer.schedule(_handler(self._of_root), str(self._root), recursive=False)
            observer.start()
        except OSError as error:
            from watchdog.observers.polling import PollingObserver

            self._told(
                f"the system cannot watch files ({(error.strerror or str(error)).lower()}): looking every second"
            )
            observer = PollingObserver(timeout=1)
            observer.schedule(_handler(self._of_root), str(self._root), recursive=False)
            observer.start()
        self._observer = observer
        self.rearm()
        return observer

    def rearm(self) -> None:
        """Watch the project's folders that are there now: one that was deleted and made again is another one."""
        for name in FOLDERS:
            self._unschedule(self._folders.pop(name, None))
            made = self._schedule(self._root / name, self._of_project, recursive=True)
            if made is not None:
                self._folders[name] = made

    def also(self, database: Path | None, data: Collection[Path]) -> None:
        """Watch the file of the database, and the folders with the files that sources read."""
        self._database = database
        self._data = frozenset(data)
        wanted = {path for path in (*data, *([database.parent] if database else [])) if path != self._root}
        for path in set(self._outside) - wanted:
            self._unschedule(self._outside.pop(path))
        for path in sorted(wanted - set(self._outside))[:_MOST_FOLDERS]:
            made = self._schedule(path, self._of_outside, recursive=False)
            if made is not None:
                self._outside[path] = made

    def _schedule(
        self, path: Path, take: Callable[[FileSystemEvent], None], *, recursive: bool
    ) -> ObservedWatch | None:
        """None for a folder that is not there (any more); its coming back is an event of the folder above it."""
        if not path.is_dir():
            return None
        try:
            return self._observer.schedule(_handler(take), str(path), recursive=recursive)
        except OSError as error:
            if path.is_dir():
                self._told(f"`{path.name}` cannot be watched: {(error.strerror or str(error)).lower()}")
            return None

    def _unschedule(self, watch: ObservedWatch | None) -> None:
        if watch is not None:
            try:
                self._observer.unschedule(watch)
            except KeyError:
                return  # it ended by itself, with its folder

    def stop(self) -> None:
        self._observer.stop()
        self._observer.join(2)

    # ------------------------------------------------------------ events, in watchdog's thread

    def _of_root(self, event: FileSystemEvent) -> None:
        for path in _paths_of(event):
            if path.parent != self._root:
                continue
            if path.name == PROJECT_FILE.name and event.event_type in _CHANGES:
                self._inbox.note(PROJECT_FILE)
            elif path.name in FOLDERS and event.event_type in _COMINGS_AND_GOINGS:
                self._inbox.note()
            elif not event.is_directory:
                self._outside_file(event, path)

    def _of_project(self, event: FileSystemEvent) -> None:
        for path in _paths_of(event):
            name = path.name
            if name.startswith((".", "#")) or name.endswith("~"):
                continue
            if event.is_directory:
                if event.event_type in _COMINGS_AND_GOINGS:
                    self._inbox.note()
                continue
            if not name.lower().endswith(_SUFFIXES) or not path.is_relative_to(self._root):
                continue
            relative = PurePosixPath(path.relative_to(self._root).as_posix())
            if event.event_type in _CHANGES:
                self._inbox.note(relative)
                if event.event_type == "modified":
                    self._inbox.writing(relative, ended=False)
            if event.event_type == "opened":
                self._inbox.writing(relative, ended=False)
            if event.event_type in ("closed", "closed_no_write", "moved", "deleted"):
                self._inbox.writing(relative, ended=True)

    def _of_outside(self, event: FileSystemEvent) -> None:
        for path in _paths_of(event):
            if not event.is_directory:
                self._outside_file(event, path)

    def _outside_file(self, event: FileSystemEvent, path: Path) -> None:
        if event.event_type not in _CHANGES:
            return
        database = self._database
        if database is not None and path.parent == database.parent and path.name.startswith(database.name):
            self._inbox.note(database=True)
        elif path.parent in self._data and not path.name.startswith("."):
            self._inbox.note(data=True)


_COMINGS_AND_GOINGS = ("created", "deleted", "moved")
_CHANGES = (*_COMINGS_AND_GOINGS, "modified", "closed")


def git_is_busy(root: Path) -> Callable[[], bool]:
    """Whether git changes files of the work tree that `root` is in, by its lock."""
    lock = None
    for folder in (root, *root.parents):
        found = folder / ".git"
        if found.is_dir():
            lock = found / "index.lock"
        elif found.is_file():
            try:
                lock = folder / found.read_text().partition("gitdir:")[2].strip() / "index.lock"
            except (OSError, UnicodeDecodeError):
                lock = None
        if lock is not None:
            break
    return lambda: lock is not None and lock.exists()


def _paths_of(event: FileSystemEvent) -> Iterable[Path]:
    for path in (event.src_path, event.dest_path):
        if path:
            yield Path(os.fsdecode(path))


def _handler(take: Callable[[FileSystemEvent], None]) -> FileSystemEventHandler:
    """What watchdog calls."""
    from watchdog.events import FileSystemEventHandler

    class Handler(FileSystemEventHandler):
        def dispatch(self, event: FileSystemEvent) -> None:
            take(event)

    return Handler()
