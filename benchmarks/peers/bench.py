"""The workplace of a run: environments, data, project folders; and one measured command."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from benchmarks.peers import environment, measure
from benchmarks.peers.environment import Environment
from benchmarks.peers.project import Model, Project, Source
from benchmarks.peers.results import Key, Result, Results
from benchmarks.peers.tool import Command, NextDay, Tool

_DATABASE_JOBS = Path(__file__).with_name("database.py")
DATABASE = "bench.duckdb"
_Named = TypeVar("_Named", Command, NextDay)
_SLACK = 1.1  # a guess that is this much beyond the cap is not tried


@dataclass(frozen=True, slots=True)
class Asked:
    """The options of a run."""

    sizes: tuple[int, ...]
    build_sizes: tuple[int, ...]
    rows: int
    events: int
    kills: int
    only: str
    repeat: int
    once: float
    cap: float
    seed: int


@dataclass(frozen=True, slots=True)
class Bench:
    """`floor` is the environment that makes files and databases, and says what tables must hold."""

    asked: Asked
    work: Path
    tools: tuple[Tool, ...]
    environments: dict[str, Environment]
    floor: Tool
    results: Results

    def in_turn(self, turn: int) -> Sequence[Tool]:
        """All tools, with another one first in each turn."""
        start = turn % len(self.tools)
        return (*self.tools[start:], *self.tools[:start])

    def chosen(self, commands: Iterable[_Named]) -> list[_Named]:
        """Those that the options leave."""
        return [command for command in commands if self.asked.only in command.label]

    # ------------------------------------------------------------ measuring

    def run(self, tool: Tool, command: Command, folder: Path, kill: measure.Kill | None = None) -> measure.Sample:
        for path, text in command.files:
            _write(folder, path, text)
        words = self.environments[tool.name].words(command.words)
        variables = {**environment.plain_variables(), **tool.environment()}
        return measure.run(words, folder, variables, self.asked.cap, self._log(tool), kill)

    def measured(self, key: Key, tool: Tool, turn: int) -> Result | None:
        return self.results.get(key, self.environments[tool.name].version, turn)

    def keep(self, key: Key, tool: Tool, turn: int, sample: measure.Sample, **facts: Any) -> Result:
        load = round(os.getloadavg()[0], 1)
        result = Result(key, self.environments[tool.name].version, turn, sample, load, facts)
        self.results.add(result)
        words = " ".join(f"{name}={value}" for name, value in facts.items())
        say(
            f"{key.case} {tool.name} {key.size} {key.command}, {key.state}: wall {sample.wall:.2f} cpu {sample.cpu:.2f} "
            f"peak {sample.peak / 1e6:.0f} MB load {load} {words}"
        )
        if sample.code and key.case != "faults":
            kept = self._log(tool).with_suffix(f".{key.case}.{key.size}.failed")
            shutil.copy(self._log(tool), kept)
            say(f"    exit code {sample.code}, see {kept}")
        return result

    def too_long(self, key: Key, tool: Tool) -> bool:
        """It failed at the largest smaller size, or would pass the cap if it grew with the size from there."""
        smaller = {result.key.size for result in self.results if replace(result.key, size=key.size) == key}
        for size in sorted((size for size in smaller if size < key.size), reverse=True):
            before = self.measured(replace(key, size=size), tool, 0)
            if before:
                return bool(before.sample.code) or before.sample.cpu * key.size / size > self.asked.cap * _SLACK
        return False

    def enough(self, key: Key, tool: Tool, turn: int) -> bool:
        """A long command is run once, and one that fails."""
        first = self.measured(key, tool, 0)
        return turn > 0 and first is not None and (first.sample.cpu > self.asked.once or bool(first.sample.code))

    def log(self, tool: Tool) -> str:
        """What the last command said."""
        return self._log(tool).read_text(errors="replace")

    def _log(self, tool: Tool) -> Path:
        return self.work / f"{tool.name}.log"

    # ------------------------------------------------------------ projects on disk

    def with_files(self, project: Project) -> Project:
        """The project with the files of its sources, which are written once."""
        folder = self.work / "data" / project.name
        files = {source.name: str(folder / f"{source.name}.parquet") for source in project.sources}
        self.write_files(folder, [(source, files[source.name]) for source in project.sources])
        return replace(project, files=files)

    def write_files(self, folder: Path, sources: Sequence[tuple[Source, str]]) -> None:
        mark = folder / "complete"
        if mark.exists():
            return
        folder.mkdir(parents=True, exist_ok=True)
        self.ask(self.floor, "write_files", files=[(source.rows, path) for source, path in sources])
        mark.touch()

    def fresh(self, tool: Tool, project: Project, case: str) -> Path:
        """The project as the tool wants it, in a new folder, with its database."""
        folder = self.work / "projects" / case / tool.name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for path, text in tool.files(project):
            _write(folder, path, text)
        for model in project.models:
            self.write_model(tool, project, model, folder)
        views = list(project.files.items()) if tool.reads_views else []
        self.ask(self.floor, "make", path=str(folder / DATABASE), views=views)
        return folder

    def write_model(self, tool: Tool, project: Project, model: Model, folder: Path) -> None:
        _write(folder, *tool.model_file(project, model))

    def forget(self, tool: Tool, folder: Path) -> None:
        """As if the tool had never run here; its database stays."""
        for name in tool.caches:
            shutil.rmtree(folder / name, ignore_errors=True)

    def ask(self, tool: Tool, job: str, **asked: Any) -> Any:
        """One of the jobs of `database.py`, with the DuckDB of a tool."""
        words = [str(self.environments[tool.name].python), str(_DATABASE_JOBS), job]
        done = subprocess.run(words, input=json.dumps(asked), capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"error: {tool.name}: {job}: {done.stderr[-2000:]}")
        return json.loads(done.stdout)


def _write(folder: Path, path: str, text: str) -> None:
    target = folder / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text)


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
