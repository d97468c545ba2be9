"""What the harness has to know of a tool. Each module of `tools/` fills one in."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.peers.project import Model, Project

File = tuple[str, str]  # path in the project, text


@dataclass(frozen=True, slots=True)
class Command:
    """`words[0]` is a program of the tool's environment. `does` is said beside its numbers: what it does and what not.
    `files` are written over those of the project before it runs. `fill` is run after the cold run, for a command that
    uses a cache and writes none."""

    label: str
    words: tuple[str, ...]
    does: str = ""
    files: tuple[File, ...] = ()
    fill: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class NextDay:
    """One way of a tool to keep a table up to date: the model as it wants it, the first build and the next one."""

    label: str
    model: Callable[[Project], Model]
    first: Command
    then: Command
    table: str


@dataclass(frozen=True, slots=True)
class Tool:
    """`installs`: arguments of `pip install`, one call each. `versions`: packages whose versions are told. `floor`: the
    plain script on the same DuckDB. `files`: all but the models. `model_file`: one model as the tool wants it.
    `caches`: removed for a cold run. `reads_views`: a view for each source is there already; SQLFlow reads the files, and
    makes its views itself. `rebuild`: builds of a project that stands, unchanged or with an edit."""

    name: str
    title: str
    installs: tuple[tuple[str, ...], ...]
    versions: tuple[str, ...]
    floor: str
    files: Callable[[Project], Iterable[File]]
    model_file: Callable[[Project, Model], File]
    table: Callable[[Model], str]
    caches: tuple[str, ...] = ()
    reads_views: bool = True
    startup: tuple[Command, ...] = ()
    compile: tuple[Command, ...] = ()
    finds: tuple[Command, ...] = ()
    build: Command | None = None
    rebuild: tuple[Command, ...] = ()
    before_rebuild: Callable[[Path], None] | None = None
    next_day: tuple[NextDay, ...] = ()
    environment: Callable[[], dict[str, str]] = dict
    after_install: Callable[[Path], None] | None = None
    developed: str = ""  # a package whose source may change under one version; a digest of it is told, too


def in_layer(model: Model) -> str:
    """The table of a tool that takes a folder for a schema."""
    return f"{model.layer}.{model.name}"
