"""The files of a project, in an order that does not depend on the file system."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

from msgspec import Struct

from sqlflow.core.diagnostics import Diagnostic
from sqlflow.core.source import SourceFile, Span
from sqlflow.project.unread import unread_files


class Files(Struct, frozen=True):
    """Paths relative to the project's root, sorted. `units`: files with unit tests; `fixtures`: with rows for them."""

    models: tuple[PurePosixPath, ...]
    sources: tuple[PurePosixPath, ...]
    seeds: tuple[PurePosixPath, ...]
    seed_settings: tuple[PurePosixPath, ...]
    macros: tuple[PurePosixPath, ...]
    tests: tuple[PurePosixPath, ...]
    units: tuple[PurePosixPath, ...]
    fixtures: tuple[PurePosixPath, ...]


def discover(root: Path, allow_outside: bool, problems: list[Diagnostic]) -> Files:
    """Every file of the project that SQLFlow reads. Hidden files and what editors leave behind are skipped."""
    search = _Search(root, allow_outside, problems, [], [])
    seeds = search.files("seeds", (".csv", ".yml", ".yaml"), deep=True)
    macros = search.files("macros", (".sql",), deep=False)
    own_checks = PurePosixPath("macros/checks")
    if own_checks in search.folders:
        search.folders.remove(own_checks)
        macros += search.files(str(own_checks), (".sql",), deep=False)
    tests = search.files("tests", (".sql", ".yml", ".yaml", ".csv"), deep=True)
    files = Files(
        models=search.files("models", (".sql",), deep=True),
        sources=search.files("sources", (".yml", ".yaml"), deep=False),
        seeds=tuple(path for path in seeds if path.suffix.lower() == ".csv"),
        seed_settings=tuple(path for path in seeds if path.suffix.lower() != ".csv" and len(path.parts) == 2),
        macros=macros,
        tests=tuple(path for path in tests if path.suffix.lower() == ".sql"),
        units=tuple(path for path in tests if path.suffix.lower() in (".yml", ".yaml")),
        fixtures=tuple(path for path in tests if path.suffix.lower() == ".csv"),
    )
    settings_below = [path for path in seeds if path.suffix.lower() != ".csv" and len(path.parts) > 2]
    problems += unread_files([*search.others, *settings_below], search.folders, root)
    return files


def read_text(root: Path, path: PurePosixPath, problems: list[Diagnostic]) -> SourceFile | None:
    """A text file, without its byte order mark; None when it cannot be read, which is then a problem."""

    def unreadable(message: str, hint: str | None = None) -> None:
        problems.append(Diagnostic("unreadable-file", message, Span(path, 1, 1), hint))

    try:
        with open(root / path, "rb") as stream:
            data = stream.read()
    except OSError as error:
        unreadable(f"`{path}` cannot be read: {(error.strerror or 'error').lower()}")
        return None
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        where = data.count(b"\n", 0, error.start) + 1
        message = f"`{path}` is not UTF-8 text: byte {data[error.start]:#04x} in line {where}"
        unreadable(message, "save the file as UTF-8")
        return None
    if "\0" in text:
        unreadable(f"`{path}` is not text: it holds a NUL character", "save the file as UTF-8")
        return None
    return SourceFile(path, text)


def made_out(root: Path, path: PurePosixPath) -> SourceFile:
    """What can be read of a file that is no text."""
    try:
        data = (root / path).read_bytes()
    except OSError:
        data = b""
    return SourceFile(path, data.decode("utf-8-sig", "replace").replace("\0", " "))


def inside(root: Path, path: Path) -> bool:
    """Whether a path, with all links and `..` followed, lies in the project."""
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(root))


class _Search(Struct, frozen=True):
    """`others`, `folders`: the files and folders that were met and passed over."""

    root: Path
    allow_outside: bool
    problems: list[Diagnostic]
    others: list[PurePosixPath]
    folders: list[PurePosixPath]

    def files(self, folder: str, suffixes: tuple[str, ...], deep: bool) -> tuple[PurePosixPath, ...]:
        top = PurePosixPath(folder)
        if not os.path.isdir(self.root / top):
            return ()
        if os.path.islink(self.root / top) and not self._allowed(top):
            return ()
        real = os.path.realpath(self.root / top)
        found = self._walk(top, lambda name: name.lower().endswith(suffixes), deep, (real,))
        return tuple(sorted(found, key=lambda path: path.parts))

    def _walk(
        self,
        folder: PurePosixPath,
        wanted: Callable[[str], bool],
        deep: bool,
        above: tuple[str, ...],
    ) -> Iterator[PurePosixPath]:
        """`above`: the real paths of the folders that lead here, so that a link to one of them ends."""
        try:
            entries = sorted(os.scandir(self.root / folder), key=lambda entry: entry.name)
        except OSError as error:
            message = f"`{folder}` cannot be read: {(error.strerror or 'error').lower()}"
            self.problems.append(Diagnostic("unreadable-file", message, Span(folder, 1, 1)))
            return
        for entry in entries:
            if _left_behind(entry.name):
                continue
            path = folder / entry.name
            is_folder = entry.is_dir()
            if not (deep if is_folder else wanted(entry.name)):
                (self.folders if is_folder else self.others).append(path)
                continue
            if not _printable(entry.name):
                name = entry.name.encode("utf-8", "backslashreplace").decode()
                message = f"the name of `{folder}/{name}` is not UTF-8"
                self.problems.append(Diagnostic("unreadable-file", message, hint="rename it"))
                continue
            if entry.is_symlink() and not self._allowed(path):
                continue
            if is_folder:
                real = os.path.realpath(self.root / path)
                if real not in above:
                    yield from self._walk(path, wanted, deep, (*above, real))
            elif entry.is_file():
                yield path
            else:
                what = "a link to nothing" if entry.is_symlink() else "not a file"
                message = f"`{path}` is {what}"
                self.problems.append(Diagnostic("unreadable-file", message, Span(path, 1, 1)))

    def _allowed(self, path: PurePosixPath) -> bool:
        if self.allow_outside or inside(self.root, self.root / path):
            return True
        self.problems.append(outside(f"`{path}` is a link to a place", Span(path, 1, 1)))
        return False


def outside(what: str, span: Span) -> Diagnostic:
    """The problem of a path that leaves the project."""
    return Diagnostic(
        "outside-project",
        f"{what} outside the project",
        span,
        "move it into the project, or set `allow_outside_paths: true` in sqlflow.yml",
    )


def _left_behind(name: str) -> bool:
    return name.startswith((".", "#")) or name.endswith("~")


def _printable(name: str) -> bool:
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
