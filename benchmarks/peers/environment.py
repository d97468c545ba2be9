"""An environment of its own for each tool, made once under the work folder."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import venv
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.peers.tool import Tool

_VERSIONS = """
import importlib.metadata, json, sys
print(json.dumps([f"{name} {importlib.metadata.version(name)}" for name in sys.argv[1:]]))
"""
_FOLDER = "import importlib.util, sys; print(importlib.util.find_spec(sys.argv[1]).submodule_search_locations[0])"


@dataclass(frozen=True, slots=True)
class Environment:
    """`version` names all that was measured: results of another version are other results."""

    programs: Path
    version: str

    @property
    def python(self) -> Path:
        return self.programs / "python"

    def words(self, words: Iterable[str]) -> list[str]:
        """A command with its program as a path into the environment."""
        first, *others = words
        return [str(self.programs / first), *others]


def make(tool: Tool, work: Path, given: Path | None) -> Environment:
    """The tool's environment: made if it is not there or was made of other packages, or the one of a Python given."""
    programs = given.parent if given else _install(tool, work / "environments" / tool.name) / "bin"
    told: list[str] = json.loads(_say(programs, "-c", _VERSIONS, *tool.versions))
    if tool.developed:
        source = _say(programs, "-c", _FOLDER, tool.developed).strip()
        told[0] += f" (source {_digest(Path(source))})"
        _say(programs, "-m", "compileall", "-q", source)  # as those of an installed package are
    return Environment(programs, ", ".join(told))


def plain_variables() -> dict[str, str]:
    """The variables of this process without those that change how Python runs; no tool reports its use."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
    return {**kept, "DO_NOT_TRACK": "1", "NO_COLOR": "1"}


def _install(tool: Tool, folder: Path) -> Path:
    mark = folder / "installed.json"
    asked = json.dumps(tool.installs)
    if mark.exists() and mark.read_text() == asked:
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    venv.create(folder, with_pip=True)
    for words in tool.installs:
        if subprocess.run([folder / "bin/python", "-m", "pip", "install", "--quiet", *words]).returncode:
            raise SystemExit(f"error: {tool.name} could not be installed")
    if tool.after_install:
        tool.after_install(folder)
    mark.write_text(asked)
    return folder


def _say(programs: Path, *words: str) -> str:
    """What the environment's Python prints, with nothing of this folder on its path."""
    command = [str(programs / "python"), *words]
    done = subprocess.run(command, cwd=programs, env=plain_variables(), capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"error: {programs}: {done.stderr[-2000:]}")
    return done.stdout


def _digest(folder: Path) -> str:
    found = hashlib.blake2b(digest_size=4)
    for path in sorted(folder.rglob("*.py")):
        found.update(str(path.relative_to(folder)).encode() + b"\0" + path.read_bytes())
    return found.hexdigest()
