"""How long `sqlflow watch` takes from a save to the problems on the screen, for edits of several kinds.

    python benchmarks/watch.py [--models 1000] [--edits 20] [--folder FOLDER] [--json FILE]

Makes a project with `generate.py` (in FOLDER, kept; else in a temporary one), starts `sqlflow watch --json` and edits
random models as an editor does: write a file beside, rename it over the model. The time is from the rename to the line
with the problems, read from the pipe by this program; so debouncing, compiling, printing and reading are all in it.
The session then computes the plan and the rows; the next edit waits for that.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from queue import Queue

HERE = Path(__file__).parent

Edit = Callable[[str, str], str]
EDITS: dict[str, Edit] = {
    "comment": lambda text, mark: f"{text.rstrip()}\n-- {mark}\n",
    "number in an expression": lambda text, mark: re.sub(r"(\d+) AS", lambda m: f"{int(m[1]) + 1} AS", text, count=1),
    "new column": lambda text, mark: text.replace("SELECT\n", f"SELECT\n    1 AS added_{mark},\n", 1),
    "unknown column": lambda text, mark: text.replace("SELECT\n", f"SELECT\n    missing_{mark} AS added_{mark},\n", 1),
    "syntax error": lambda text, mark: text.replace("SELECT\n", "SELECT\n    , ,\n", 1),
}  # fmt: skip


class Watched:
    """A session, and its events as they arrive: (time, event)."""

    def __init__(self, folder: Path) -> None:
        command = [sys.executable, "-m", "sqlflow", "watch", "--json"]
        self.process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True)
        self._events: Queue[tuple[float, dict[str, object]]] = Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._events.put((time.perf_counter(), json.loads(line)))

    def until(self, name: str, seconds: float = 300) -> tuple[float, dict[str, object]]:
        end = time.monotonic() + seconds
        while True:
            at, event = self._events.get(timeout=end - time.monotonic())
            if event["event"] == name:
                return at, event

    def megabytes(self) -> float:
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", text)[1]) / 1024  # type: ignore[index]

    def stop(self) -> None:
        self.process.send_signal(signal.SIGINT)
        self.process.wait(30)


def save(path: Path, text: str) -> float:
    """Write as editors do; the time of the rename."""
    beside = path.with_name(f".{path.name}.tmp")
    beside.write_text(text)
    at = time.perf_counter()
    os.replace(beside, path)
    return at


def measure(folder: Path, edits: int, seed: int) -> dict[str, object]:
    chance = random.Random(seed)
    models = sorted(folder.glob("models/**/*.sql"))
    began = time.perf_counter()
    watched = Watched(folder)
    at, _ = watched.until("problems")
    start = at - began
    watched.until("idle")
    # The first edits load what later ones share; they are not counted.
    found: dict[str, list[float]] = {name: [] for name in EDITS}
    survey: list[float] = []
    for number in range(-2, edits):
        for name, edit in EDITS.items():
            path = chance.choice(models)
            before = path.read_text()
            saved = save(path, edit(before, f"e{number + 2}"))
            at, event = watched.until("problems")
            if number >= 0:
                found[name].append((at - saved) * 1000)
            if event["recompiled"] is None:
                print(f"{name}: {path.name}: everything was compiled", file=sys.stderr)
            ready, _ = watched.until("idle")
            if number >= 0:
                survey.append((ready - at) * 1000)
            save(path, before)
            watched.until("idle")
    size = watched.megabytes()
    watched.stop()
    everything = [value for values in found.values() for value in values]
    times = {name: figures(values) for name, values in {**found, "all edits": everything}.items()}
    return {"start_seconds": start, "megabytes": size, "milliseconds": times, "plan_and_rows": figures(survey)}


def figures(values: list[float]) -> dict[str, float]:
    return {"median": statistics.median(values), "max": max(values)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else None)
    parser.add_argument("--models", type=int, default=1000)
    parser.add_argument("--edits", type=int, default=20, help="of each kind (default %(default)s)")
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder: Path = asked.folder or Path(temporary) / "project"
        if not (folder / "sqlflow.yml").exists():
            generate = [
                sys.executable,
                str(HERE / "generate.py"),
                str(folder),
                "--models",
                str(asked.models),
                "--rows",
                "20",
            ]
            subprocess.run(generate, check=True, stdout=subprocess.DEVNULL)
        if not (folder / "warehouse.duckdb").exists():
            shutil.copyfile(folder / "seed.duckdb", folder / "warehouse.duckdb")
        found = measure(folder, asked.edits, asked.seed)
    print(
        f"{asked.models:,} models: first problems {found['start_seconds']:.1f} s after the start, {found['megabytes']:.0f} MB"
    )
    times: dict[str, dict[str, float]] = found["milliseconds"]  # type: ignore[assignment]
    print(f"{'save -> problems':<26}{'median':>10}{'max':>10}")
    for name, values in times.items():
        print(f"{name:<26}{values['median']:>7.0f} ms{values['max']:>7.0f} ms")
    plan: dict[str, float] = found["plan_and_rows"]  # type: ignore[assignment]
    print(f"{'then plan and rows':<26}{plan['median']:>7.0f} ms{plan['max']:>7.0f} ms")
    if asked.json:
        asked.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
