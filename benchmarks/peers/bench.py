"""The workplace of a run: environments, data, project folders, results; and one measured command."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.peers import environment, measure
from benchmarks.peers.environment import Environment
from benchmarks.peers.project import Model, Project, event_rows, layered
from benchmarks.peers.results import Key, Result, Results
from benchmarks.peers.tool import Command, Tool
from benchmarks.peers.tools import TOOLS

_DATABASE_JOBS = Path(__file__).with_name("database.py")
DATABASE = "bench.duckdb"


@dataclass(frozen=True, slots=True)
class Asked:
    """The options of a run."""

    work: Path
    tools: tuple[str, ...]
    pythons: dict[str, Path]
    sizes: tuple[int, ...]
    build_sizes: tuple[int, ...]
    rows: int
    events: int
    kills: int
    repeat: int
    once: float
    cap: float
    seed: int
    again: bool


@dataclass(frozen=True, slots=True)
class Bench:
    asked: Asked
    tools: tuple[Tool, ...]
    environments: dict[str, Environment]
    results: Results
    began: frozenset[tuple[Key, str, int]]

    # ------------------------------------------------------------ measuring

    def done(self, key: Key, turn: int) -> bool:
        """Whether this was measured, by an earlier run unless all is to be measured again."""
        version = self.environments[key.tool].version
        if self.asked.again and (key, version, turn) in self.began:
            return self.results.get(key, version, turn) is not self._old(key, turn)
        return self.results.get(key, version, turn) is not None
