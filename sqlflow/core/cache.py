"""What the compiler needs of a place that keeps facts it has found out before."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from sqlflow.core.known import KnownProject
from sqlflow.core.source import SourceFile


class Cache(Protocol):
    """Content-addressed: a key names all that the value was made of, so a value is never out of date."""

    def get(self, key: str) -> bytes | None: ...

    def put(self, key: str, value: bytes) -> None: ...

    def known(self, files: Mapping[str, tuple[str, SourceFile]]) -> KnownProject | None:
        """The project as it was compiled the last time, without the models whose files are no more what they were.

        `files`: path -> digest of what is in the file, and the file.
        """

    def keep(self, known: KnownProject) -> None:
        """Have `known` give this the next time."""


class NoCache:
    """Remembers nothing."""

    def get(self, key: str) -> bytes | None:
        return None

    def put(self, key: str, value: bytes) -> None:
        return None

    def known(self, files: Mapping[str, tuple[str, SourceFile]]) -> KnownProject | None:
        return None

    def keep(self, known: KnownProject) -> None:
        return None
