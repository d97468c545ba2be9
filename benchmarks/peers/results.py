"""Everything that was measured, one JSON object a line. A run that was interrupted goes on where it stopped."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.peers.measure import Sample


@dataclass(frozen=True, slots=True)
class Key:
    """`size`: models, or rows of the next-day case."""

    case: str
    tool: str
    size: int
    command: str
    state: str


@dataclass(frozen=True, slots=True)
class Result:
    key: Key
    version: str
    turn: int
    sample: Sample
    load: float
    facts: dict[str, Any] = field(default_factory=dict)


class Results:
    """The file and what is in it. The newest line of a turn counts, and a first turn begins anew."""

    def __init__(self, path: Path, without: frozenset[str] = frozenset()) -> None:
        """Results of the tools in `without` stay in the file, but are as if they were not there."""
        self._path = path
        self._found: dict[Key, dict[str, dict[int, Result]]] = {}  # by version and turn, the newest last
        for line in path.read_text().splitlines() if path.exists() else ():
            result = _from_json(json.loads(line))
            if result.key.tool not in without:
                self._keep(result)

    def add(self, result: Result) -> None:
        with self._path.open("a") as file:
            file.write(json.dumps(dataclasses.asdict(result)) + "\n")
        self._keep(result)

    def get(self, key: Key, version: str, turn: int) -> Result | None:
        return self._found.get(key, {}).get(version, {}).get(turn)

    def newest(self, key: Key) -> list[Result]:
        """All turns of the version that was measured last."""
        versions = list(self._found.get(key, {}).values())
        return list(versions[-1].values()) if versions else []

    def __iter__(self) -> Iterator[Result]:
        """The newest of each key."""
        for key in self._found:
            yield from self.newest(key)

    def _keep(self, result: Result) -> None:
        versions = self._found.setdefault(result.key, {})
        before = versions.pop(result.version, {})
        versions[result.version] = {**(before if result.turn else {}), result.turn: result}


def _from_json(line: dict[str, Any]) -> Result:
    return Result(
        Key(**line["key"]), line["version"], line["turn"], Sample(**line["sample"]), line["load"], line["facts"]
    )
