"""Records as older versions of SQLFlow wrote them: what their texts said, in the form of today."""

from __future__ import annotations

import json
import re
from typing import Any

import msgspec

from sqlflow.core.codec import decode, encode
from sqlflow.core.records import TableRecord
from sqlflow.core.seen import (
    Appended,
    ByCursor,
    Content,
    Contents,
    Files,
    FileSeen,
    Read,
    Rows,
    Seen,
    Stamp,
    Unknown,
)


def older_record(text: str) -> TableRecord:
    """A record of an older format. Raises ValueError when it is none.

    >>> seen_of("12|-5"), seen_of("5|2024-04-04 04:00:00|None|4|1|0")
    (Rows(rows=12, digest='-5'), Appended(rows=5, latest='2024-04-04 04:00:00', earlier=4, ties=1, silent=0))
    >>> read_of("17~4c1d~9|2024-01-09|15+7").instead
    Content(made_of='4c1d', seen=ByCursor(rows=9, latest='2024-01-09', digest='15', silent='7'))
    """
    found = msgspec.json.decode(text, type=dict[str, Any])
    below = found.pop("below", None)
    if isinstance(below, str):
        found["seen"] = _plain(seen_of(below))
    inputs = found.get("inputs")
    if isinstance(inputs, dict):
        found["clocks"] = {
            **found.get("clocks", {}),
            **{name[1:]: token for name, token in inputs.items() if name.startswith("@")},
        }
        found["inputs"] = {name: _read(token) for name, token in inputs.items() if not name.startswith("@")}
    return decode(json.dumps(found), TableRecord)


def _read(token: object) -> object:
    return _plain(read_of(token)) if isinstance(token, str) else token


def _plain(value: object) -> object:
    return msgspec.json.decode(encode(value))


def read_of(token: str) -> Read:
    """What a text says that was read: `17`; or what came after that, with what its rows depend on and what they were."""
    version, torn, content = token.partition("~")
    if not version.isdigit():
        return Read(0, torn=True)
    made_of, _, seen = content.partition("~")
    return Read(int(version), Content(made_of, seen_of(seen)) if made_of else None, torn=bool(torn) and not made_of)


def seen_of(text: str) -> Seen | None:
    """What a text says that was seen of an input, or of what a model reads."""
    if text in ("", "None"):
        return None
    if text == "unknown":
        return Unknown()
    if text.startswith("["):
        return _files(text)
    if found := re.fullmatch(r"(\d+)\|([^|]*)", text):
        return Rows(int(found[1]), _said(found[2]))
    if found := re.fullmatch(r"(\d+)\|(.*)\|None\|(\d+)\|(\d+)\|(\d+)", text, re.DOTALL):
        return Appended(int(found[1]), _said(found[2]), int(found[3]), int(found[4]), int(found[5]))
    if found := re.fullmatch(r"(\d+)\|(.*)\|([^|+]*)(?:\+([^|]*))?", text, re.DOTALL):
        return ByCursor(int(found[1]), _said(found[2]), _said(found[3]), found[4])
    if re.fullmatch(r"[0-9a-f]{32}", text):
        return Contents(text)
    return Stamp(text)


def _said(text: str) -> str | None:
    return None if text in ("", "None") else text


def _files(text: str) -> Seen:
    try:
        rows = json.loads(text)
        return Files(tuple(FileSeen(str(p), int(s), int(m), str(d), *map(str, shape)) for p, s, m, d, *shape in rows))
    except (ValueError, TypeError):
        return Stamp(text)
