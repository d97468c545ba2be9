"""Records as JSON, and back."""

from __future__ import annotations

from pathlib import PurePath, PurePosixPath
from typing import TypeVar

import msgspec

T = TypeVar("T")


def encode(value: object) -> str:
    """A record as JSON text."""
    return msgspec.json.encode(value, enc_hook=_encode_other).decode()


def decode(text: str | bytes, kind: type[T]) -> T:
    """A record from JSON text. Raises ValueError when it is not one (fields unknown to this version are ignored)."""
    return msgspec.json.decode(text, type=kind, dec_hook=_decode_other)


def _encode_other(value: object) -> object:
    if isinstance(value, PurePath):
        return str(value)
    raise TypeError(f"no JSON for {type(value).__name__}")


def _decode_other(kind: type, value: object) -> object:
    if kind is PurePosixPath and isinstance(value, str):
        return PurePosixPath(value)
    raise TypeError(f"no {kind.__name__} from JSON")
