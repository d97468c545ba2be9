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
    """The file and what is in it. Of one key, version and turn the newest line counts."""

    def __init__(self, path: Path, without: frozenset[str] = frozenset()) -> None:
        """Results of the tools in `without` stay in the file, but are as if they were not there."""
        self._path = path
        self._found: dict[tuple[Key, str, int], Result] = {}
        for line in path.read_text().splitlines() if path.exists() else ():
            result = _from_json(json.loads(line))
            if result.key.tool not in without:
                self._keep(result)

    def add(self, result: Result) -> None:
        with self._path.open("a") as file:
            file.write(json.dumps(dataclasses.asdict(result)) + "\n")
        self._keep(result)

    def get(self, key: Key, version: str, turn: int) -> Result | None:
        return self._found.get((key, version, turn))

    def newest(self, key: Key) -> list[Result]:
        """All turns of the version that was measured last."""
        found = [result for result in self if result.key == key]
        return [result for result in found if result.version == found[-1].version]

    def __iter__(self) -> Iterator[Result]:
        return iter(self._found.values())

    def _keep(self, result: Result) -> None:
        place = (result.key, result.version, result.turn)
        self._found.pop(place, None)  # to the end: the order is that of the lines
        self._found[place] = result


def _from_json(line: dict[str, Any]) -> Result:
    return Result(
        Key(**line["key"]), line["version"], line["turn"], Sample(**line["sample"]), line["load"], line["facts"]
    )
