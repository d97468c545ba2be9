"""What a dbt project is made of, as it was read from its files."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Any

from msgspec import Struct, field

Config = Mapping[str, Any]


class TextFile(Struct, frozen=True):
    """A file of the dbt project. `path` is relative to the project's root, also for files of packages."""

    path: PurePosixPath
    text: str


class Place(Struct, frozen=True):
    """A line of a file of the dbt project; line 0 is the file as a whole."""

    path: PurePosixPath
    line: int = 0

    def __str__(self) -> str:
        return f"{self.path}:{self.line}" if self.line else str(self.path)


class Properties(Struct, frozen=True):
    """An entry of a schema.yml: what is said about a model, seed, snapshot, source, macro and the like."""

    name: str
    kind: str  # the key under which it stands: models, seeds, sources, ...
    said: Mapping[str, Any]
    place: Place


class DbtModel(Struct, frozen=True):
    """A model, seed, snapshot, singular test or analysis: a file, and what the project's folders say about it.

    `resource` is dbt's word: model, seed, snapshot, test, analysis. `fqn`: package, folders, name.
    """

    name: str
    resource: str
    package: str
    file: TextFile
    fqn: tuple[str, ...]
    folder_config: Config
    first_line: int = 1  # where its text begins, for a snapshot block
    properties: Properties | None = None

    @property
    def place(self) -> Place:
        return Place(self.file.path, self.first_line if self.first_line > 1 else 0)


class Output(Struct, frozen=True):
    """The target of profiles.yml in use, and what is put in where there is none (`assumed`)."""

    name: str
    type: str
    schema: str
    said: Mapping[str, Any] = field(default_factory=dict)
    profile: str = ""
    assumed: bool = False


class Package(Struct, frozen=True):
    """The project itself, or a package in dbt_packages/."""

    name: str
    root: PurePosixPath  # from the project's root
    settings: Mapping[str, Any]  # dbt_project.yml
    macros: tuple[TextFile, ...]
    docs: tuple[TextFile, ...]


class DbtProject(Struct, frozen=True):
    """All of a dbt project. `root` is only for messages and for what is copied as it is."""

    root: Path
    name: str
    packages: tuple[Package, ...]  # the project first
    nodes: tuple[DbtModel, ...]
    properties: tuple[Properties, ...]
    output: Output
    variables: Mapping[str, Any]  # of --vars
    environment: Mapping[str, str]
    started: datetime
    missing_packages: tuple[str, ...] = ()
    left: tuple[Left, ...] = ()

    @property
    def main(self) -> Package:
        return self.packages[0]

    def package(self, name: str) -> Package:
        return next((one for one in self.packages if one.name == name), self.main)


class Left(Struct, frozen=True):
    """Something of the dbt project that has no counterpart, or was not understood."""

    what: str
    place: Place
    reason: str
    hint: str = ""
