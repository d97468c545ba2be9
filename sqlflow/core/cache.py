"""What the compiler needs of a place that keeps facts it has found out before."""

from __future__ import annotations

from typing import Protocol


class Cache(Protocol):
    """Content-addressed: a key names all that the value was made of, so a value is never out of date."""

    def get(self, key: str) -> bytes | None: ...

    def put(self, key: str, value: bytes) -> None: ...


class NoCache:
    """Remembers nothing."""

    def get(self, key: str) -> bytes | None:
        return None

    def put(self, key: str, value: bytes) -> None:
        return None
