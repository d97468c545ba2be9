"""Where one command spends its time: each stage of `sqlflow.build`, or a profile of its functions.

    python benchmarks/stages.py PROJECT build|compile [--profile 25] [--statements 100] [--json FILE]

The command runs in this process just as typed. Without `--profile` only the stages are wrapped, which costs nothing;
with it every call is counted (cProfile, in the worker threads too), so the times are larger than real ones.
`--statements` prints the SQL statements in the order in which they ended, the stages too.
"""

from __future__ import annotations

import argparse
import cProfile
import importlib
import json
import os
import pstats
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

# module -> functions and methods of it; what one spends in another is counted for the other alone
_STAGES: dict[str, tuple[str, ...]] = {
    "sqlflow.build": (
        "read_project", "parse_models", "link", "input_columns", "compile_models", "look", "make_plan", "execute",
    ),
    "sqlflow.cli.build": ("repair",),
    "sqlflow.cli.compile": ("_write", "manifest_of"),
    "sqlflow.engines.duckdb": ("open_engine", "open_binder", "DuckDBEngine.tables", "DuckDBEngine.close"),
    "sqlflow.state.warehouse": ("load",),
    "sqlflow.state.file": ("open_state", "FileStore.put_sources", "FileStore.append"),
    "sqlflow.cache.file": ("open_cache", "FileCache.close"),
}  # fmt: skip


class Stopwatch:
    """Wall and CPU seconds by stage, in the main thread. CPU is of the whole process: it has that of the workers."""

    def __init__(self) -> None:
        self.times: dict[str, dict[str, float]] = {}
        self._inner: list[tuple[float, float]] = []

    def add(self, stage: str, wall: float, cpu: float) -> None:
        times = self.times.setdefault(stage, {"wall": 0.0, "cpu": 0.0})
        times["wall"] += wall
        times["cpu"] += cpu

    def wrap(self, stage: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*args: Any, **kwargs: Any) -> Any:
            if threading.current_thread() is not threading.main_thread():
                return function(*args, **kwargs)
            self._inner.append((0.0, 0.0))
            began, burnt = time.perf_counter(), time.process_time()
            try:
                return function(*args, **kwargs)
            finally:
                wall, cpu = time.perf_counter() - began, time.process_time() - burnt
                inner = self._inner.pop()
                self.add(stage, wall - inner[0], cpu - inner[1])
                if self._inner:
                    outer = self._inner[-1]
                    self._inner[-1] = (outer[0] + wall, outer[1] + cpu)

        return timed

    def wrap_all(self) -> None:
        """Stages that this version of SQLFlow does not have are left out."""
        for module, names in _STAGES.items():
            for name in names:
                holder: Any = importlib.import_module(module)
                *path, last = name.split(".")
                for step in path:
                    holder = getattr(holder, step, None)
                if hasattr(holder, last):
                    setattr(holder, last, self.wrap(name, getattr(holder, last)))


def print_statements(width: int) -> None:
    """Print each SQL statement when it ends, with its seconds; CPU is of the whole process."""
    from sqlflow.engines.duckdb import DuckDBSession

    original = DuckDBSession._run

    def timed(session: Any, sql: str, parameters: Any) -> Any:
        began, burnt = time.perf_counter(), time.process_time()
        try:
            return original(session, sql, parameters)
        finally:
            wall, cpu = time.perf_counter() - began, time.process_time() - burnt
            text = " ".join(sql.split())[:width]
            print(f"{wall * 1000:9.1f} ms wall {cpu * 1000:9.1f} ms CPU  {text}", file=sys.stderr)

    DuckDBSession._run = timed  # type: ignore[method-assign]


def _run(arguments: list[str]) -> int:
    from sqlflow.cli.app import main as sqlflow

    sys.argv = ["sqlflow", *arguments]
    try:
        sqlflow()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 1
    return 0


def time_stages(arguments: list[str]) -> tuple[int, dict[str, dict[str, float]]]:
    """The exit code, and by stage wall and CPU seconds; `rest` is what no stage covers."""
    watch = Stopwatch()
    began, burnt = time.perf_counter(), time.process_time()
    watch.wrap_all()
    watch.add("import", time.perf_counter() - began, time.process_time() - burnt)
    code = _run(arguments)
    wall, cpu = time.perf_counter() - began, time.process_time() - burnt
    known = list(watch.times.values())
    watch.add("rest", wall - sum(t["wall"] for t in known), cpu - sum(t["cpu"] for t in known))
    return code, watch.times


def profile(arguments: list[str], lines: int) -> int:
    """Print the functions with the most time of their own, over all threads."""
    profiles = [cProfile.Profile()]
    original = threading.Thread.run

    def profiled(thread: threading.Thread) -> None:
        mine = cProfile.Profile()
        profiles.append(mine)
        mine.runcall(original, thread)

    threading.Thread.run = profiled  # type: ignore[method-assign, assignment]
    code: int = profiles[0].runcall(_run, arguments)
    threading.Thread.run = original  # type: ignore[method-assign]
    sys.stdout.flush()
    statistics = pstats.Stats(profiles[0])
    for more in profiles[1:]:
        statistics.add(more)
    statistics.sort_stats("tottime").print_stats(lines)
    return code


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else None)
    parser.add_argument("project", type=Path)
    parser.add_argument("command", nargs="+", help="such as `build`; options of SQLFlow stand after `--`")
    parser.add_argument("--profile", type=int, metavar="LINES", help="print the LINES functions with the most own time")
    parser.add_argument("--statements", type=int, metavar="WIDTH", help="print the SQL statements, cut at that WIDTH")
    parser.add_argument("--json", type=Path, help="write the stages into this file instead of printing them")
    asked = parser.parse_args()
    target: Path | None = asked.json.resolve() if asked.json else None
    os.chdir(asked.project)
    if asked.statements:
        print_statements(asked.statements)
    if asked.profile:
        raise SystemExit(profile(asked.command, asked.profile))
    code, stages = time_stages(asked.command)
    if target is not None:
        target.write_text(json.dumps(stages))
    else:
        for stage, times in stages.items():
            print(f"{stage:<24} {times['wall'] * 1000:9.1f} ms wall {times['cpu'] * 1000:9.1f} ms CPU")
    raise SystemExit(code)


if __name__ == "__main__":
    main()
