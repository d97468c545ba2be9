"""Open what a command needs: the project file, the engine, the state, the lock. Settings are read here and passed on."""

from __future__ import annotations

import getpass
import os
import secrets
import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from sqlflow import __version__
from sqlflow.core.config import Config
from sqlflow.core.diagnostics import ProjectError, one_problem
from sqlflow.core.engine import Engine
from sqlflow.core.events import Emit, Event, Told
from sqlflow.engines import EngineModule, engine_module

if TYPE_CHECKING:
    from sqlflow.core.workshop import Workshop
    from sqlflow.state.file import FileStore

DEFAULT_WAIT = 10.0


def clock() -> datetime:
    return datetime.now(UTC)


def new_run_id() -> str:
    """Sorts by time, and two builds of one second differ."""
    return f"{clock():%Y%m%dT%H%M%S}-{secrets.token_hex(3)}"


def read_settings(project: Path | None, target: str | None, variables: Sequence[str]) -> Config:
    """sqlflow.yml of `project`, or of the nearest folder upward that has one. Raises ProjectError."""
    from sqlflow.project.config import read_config

    root = project_root(project)
    given: dict[str, str] = {}
    for text in variables:
        name, equals, value = text.partition("=")
        if not equals:
            raise one_problem("bad-variable", f"`--var {text}` has no value", None, "write `--var name=value`")
        given[name.strip()] = value
    return read_config(root, target, given, os.environ)


def project_root(project: Path | None) -> Path:
    """The folder of the project: the one given, or the nearest upward that has a sqlflow.yml."""
    root = (project or Path.cwd()).resolve()
    if project is None:
        root = next((folder for folder in (root, *root.parents) if (folder / "sqlflow.yml").is_file()), root)
    return root


def versions(config: Config, server: str) -> str:
    """What the judgement of a query depends on besides its text. `server`: `Engine.version`, because what one server has an
    older one may not."""
    parts = [f"sqlflow {__version__}"]
    for package in ("sqlglot", {"postgres": "psycopg"}.get(config.target.engine, config.target.engine)):
        parts.append(f"{package} {_installed(package)}")
    parts += [f"{config.target.engine} {server}", str(config.target.options.get("extensions", ""))]
    return "; ".join(parts)


def _installed(package: str) -> str:
    """The version of a package, by the name of its folder: `importlib.metadata` takes longer than all the rest here."""
    for folder in sys.path:
        with suppress(OSError):
            names = [n for n in os.listdir(folder or ".") if n.startswith(f"{package}-") and n.endswith(".dist-info")]
            if len(names) == 1:
                return names[0].removesuffix(".dist-info").removeprefix(f"{package}-")
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def files_of(config: Config) -> list[str]:
    """The files that a sandboxed model may read through sources and seeds."""
    from sqlflow.changes.files import find_files
    from sqlflow.project.read import read_project

    if not config.sandbox:
        return []
    project, _ = read_project(config)
    paths = [source.path for source in project.sources.values() if source.path is not None]
    found = [str(file) for path in paths for file in find_files(config.root, path)]
    return found + [str(config.root / seed.path) for seed in project.seeds.values()]


class Opened(Struct, frozen=True):
    """A project with everything open. `engine` is None where there is no database (yet)."""

    config: Config
    module: EngineModule
    engine: Engine | None
    store: FileStore | None
    workshop: Workshop
    emit: Emit
    files: Sequence[str]


def state_folder(config: Config) -> Path:
    return config.root / ".sqlflow"


def lock_path(config: Config) -> Path:
    return state_folder(config) / f"build-{config.target.name}.lock"


@contextmanager
def opened(
    config: Config,
    emit: Emit,
    *,
    writing: bool,
    wait: float = DEFAULT_WAIT,
    without_database: bool = False,
    caching: bool = False,
) -> Iterator[Opened]:
    """Open a project to read it, or under the build lock to write it.

    `caching`: keep what compiling finds out, even when nothing else is written. `without_database`: go on without the database when somebody else holds it.
    """
    from sqlflow.cache.file import open_cache
    from sqlflow.core.workshop import Workshop
    from sqlflow.state.file import open_state
    from sqlflow.state.lock import build_lock

    module = engine_module(config.target.engine)
    with ExitStack() as stack:
        if writing:
            stack.enter_context(build_lock(lock_path(config), owner(), wait, emit))
        files = files_of(config)
        try:
            # A build that finds the project wrong leaves no empty database behind: it is created when needed.
            patience = 0 if without_database else wait
            engine = module.open_engine(config, writing=writing, create=False, wait=patience, emit=emit, files=files)
        except ProjectError as error:
            if not without_database or error.diagnostics[0].code != "database-locked":
                raise
            emit(Told(f"{error.diagnostics[0].message}; going on without it"))
            engine = None
        if engine is not None:
            stack.callback(engine.close)
        store = open_state(state_folder(config) / "state.db", config.target.name, emit, writing=writing)
        if store is not None:
            stack.callback(store.close)
        cache = open_cache(state_folder(config) / "cache", config.target.name, writing=writing or caching)
        stack.callback(cache.close)
        binder = module.open_binder(config, files=files)
        stack.callback(binder.close)
        version = versions(config, engine.version if engine is not None else "")
        yield Opened(config, module, engine, store, Workshop(config, binder, cache, version), emit, files)


def owner() -> dict[str, object]:
    """Who we are, for the lock file."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError):
        user = str(os.getuid())
    return {
        "pid": os.getpid(),
        "user": user,
        "host": socket.gethostname(),
        "command": command_line(),
        "since": clock().isoformat(" ", "seconds"),
    }


def command_line() -> str:
    """The command as typed, without the values of `--var`, which may be secret."""
    words = ["sqlflow"]
    hide = False
    for word in sys.argv[1:]:
        if word.startswith("--var="):
            word = "--var=" + word[6:].split("=")[0] + "=..."
        words.append(word.split("=")[0] + "=..." if hide and "=" in word else word)
        hide = word == "--var"
    return " ".join(words)


def tell(event: Event) -> None:
    """Say warnings on stderr, and nothing else."""
    if isinstance(event, Told):
        print(f"{event.severity}: {event.message}", file=sys.stderr)
