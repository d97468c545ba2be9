"""What is measured. Each case is a function that runs what its results lack."""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.peers.bench import DATABASE, Bench, say
from benchmarks.peers.measure import Kill, Sample
from benchmarks.peers.project import Model, Project, Source, event_rows, events, layered
from benchmarks.peers.results import Key
from benchmarks.peers.tool import Command, NextDay, Tool

COLD, WARM, EDITED = "cold", "nothing changed", "one file edited"
NEW, SAME, ASIDE, READ = "from nothing", "nothing changed", "edited, a column nobody reads", "edited, a column all read"
FIRST, THEN, AGAIN, KILLED = "100 days", "the next day", "once more", "killed"
CORRECT = "no fault"
FAULTS = {
    "unknown column": "no_such_column",
    "wrong type": "date_trunc(1, is_active)",
    "unknown function": "no_such_function(id)",
    "syntax error": "0 as as",
}
ERROR, WARNING, MISSED = "error", "warning", "no"
SMALL = 10
_STARTS = 5


def startup(bench: Bench) -> None:
    project = bench.with_files(layered(SMALL, bench.asked.seed, bench.asked.rows))
    folders = {tool.name: bench.fresh(tool, project, "startup") for tool in bench.tools}
    for turn in range(max(bench.asked.repeat, _STARTS)):
        for tool in bench.in_turn(turn):
            for command in bench.chosen(tool.startup):
                key = Key("startup", tool.name, 0, command.label, "")
                if bench.measured(key, tool, turn):
                    continue
                if turn == 0:
                    bench.run(tool, command, folders[tool.name])  # files into the page cache, byte code onto the disk
                bench.keep(key, tool, turn, bench.run(tool, command, folders[tool.name]))


def faults(bench: Bench) -> None:
    """What the commands that compile say of one wrong expression in an intermediate model."""
    project = bench.with_files(layered(SMALL, bench.asked.seed, bench.asked.rows))
    model = next(model for model in project.models if model.layer == "intermediate")
    for tool in bench.tools:
        for command in bench.chosen(tool.finds):
            for name, expression in {CORRECT: "0", **FAULTS}.items():
                key = Key("faults", tool.name, SMALL, command.label, name)
                if bench.measured(key, tool, 0):
                    continue
                folder = bench.fresh(tool, project, "faults")
                bench.write_model(tool, project, model.broken(expression), folder)
                sample = bench.run(tool, command, folder)
                said = bench.log(tool)
                named = "no_such" in said or "syntax" in said.lower()
                bench.keep(key, tool, 0, sample, found=ERROR if sample.code else WARNING if named else MISSED)


def compile_(bench: Bench) -> None:
    for size in bench.asked.sizes:
        project = bench.with_files(layered(size, bench.asked.seed, bench.asked.rows))
        typical = project.typical
        for turn in range(bench.asked.repeat):
            for tool in bench.in_turn(turn):
                keys = {
                    command: Key("compile", tool.name, size, command.label, COLD)
                    for command in bench.chosen(tool.compile)
                }
                todo = [
                    command
                    for command, key in keys.items()
                    if not bench.measured(replace(key, state=EDITED), tool, turn)
                    and not bench.too_long(key, tool)
                    and not bench.enough(key, tool, turn)
                ]
                if not todo:
                    continue
                folder = bench.fresh(tool, project, f"compile_{size}")
                for command in todo:
                    _compile(bench, tool, project, typical, folder, command, keys[command], turn)
                shutil.rmtree(folder)


def _compile(
    bench: Bench, tool: Tool, project: Project, typical: Model, folder: Path, command: Command, key: Key, turn: int
) -> None:
    for state in (COLD, WARM, EDITED):
        if state == COLD:
            bench.forget(tool, folder)
        elif state == WARM and command.fill:
            bench.run(tool, Command("fill", command.fill), folder)
        elif state == EDITED:
            bench.write_model(tool, project, typical.edited(1), folder)
        result = bench.keep(replace(key, state=state), tool, turn, bench.run(tool, command, folder))
        if result.sample.code:
            break
    bench.write_model(tool, project, typical, folder)


def build(bench: Bench) -> None:
    for size in bench.asked.build_sizes:
        project = bench.with_files(layered(size, bench.asked.seed, bench.asked.rows))
        typical = project.typical
        aside, read = typical.edited_aside(1), typical.edited_aside(1).edited(1)
        wanted = {
            state: _wanted(bench, project, state, model)
            for state, model in ((NEW, typical), (ASIDE, aside), (READ, read))
        }
        wanted[SAME] = wanted[NEW]
        for turn in range(bench.asked.repeat):
            for tool in bench.in_turn(turn):
                if tool.build is None:
                    continue
                for command in bench.chosen(tool.rebuild):
                    key = Key("build", tool.name, size, tool.build.label, NEW)
                    last = replace(key, command=command.label, state=READ)
                    if bench.measured(last, tool, turn) or bench.too_long(key, tool) or bench.enough(key, tool, turn):
                        continue
                    folder = bench.fresh(tool, project, f"build_{size}")
                    sample = bench.run(tool, tool.build, folder)
                    bench.keep(key, tool, turn, sample, wrong=_wrong(bench, tool, project, folder, wanted[NEW]))
                    if sample.code:
                        break
                    for state, model in ((SAME, typical), (ASIDE, aside), (READ, read)):
                        if tool.before_rebuild:
                            tool.before_rebuild(folder)
                        bench.write_model(tool, project, model, folder)
                        sample = bench.run(tool, command, folder)
                        wrong = _wrong(bench, tool, project, folder, wanted[state])
                        bench.keep(replace(last, state=state), tool, turn, sample, wrong=wrong)
                    shutil.rmtree(folder)


def _wanted(bench: Bench, project: Project, state: str, edited: Model) -> dict[str, list[str]]:
    """The sums of all tables when the plain script makes them, with one model so."""
    kept = bench.work / "data" / project.name / f"wanted, {edited.name}, {state}.json"
    if not kept.exists():
        assert bench.floor.build
        models = tuple(edited if model.name == edited.name else model for model in project.models)
        folder = bench.fresh(bench.floor, replace(project, models=models), "wanted")
        if bench.run(bench.floor, bench.floor.build, folder).code:
            raise SystemExit(f"error: the plain script failed:\n{bench.log(bench.floor)[-2000:]}")
        tables = [(model.name, bench.floor.table(model)) for model in project.models]
        kept.write_text(json.dumps(bench.ask(bench.floor, "sums", path=str(folder / DATABASE), tables=tables)))
    found: dict[str, list[str]] = json.loads(kept.read_text())
    return found


def _wrong(bench: Bench, tool: Tool, project: Project, folder: Path, wanted: dict[str, list[str]]) -> int:
    """How many tables are not as the plain script makes them."""
    tables = [(model.name, tool.table(model)) for model in project.models]
    found = bench.ask(tool, "sums", path=str(folder / DATABASE), tables=tables)
    return sum(found[name] != wanted[name] for name in wanted)


def next_day(bench: Bench) -> None:
    """100 days of events in a table, then a new day, with new versions of old events among it."""
    rows = bench.asked.events
    data = bench.work / "data" / f"events_{rows}"
    days = [str(data / "first.parquet"), str(data / "then.parquet")]
    queries = event_rows(rows)
    bench.write_files(data, [(Source("", (), query), path) for query, path in zip(queries, days, strict=True)])
    for tool in bench.tools:
        for way in bench.chosen(tool.next_day):
            _next_day(bench, tool, way, days)


def _next_day(bench: Bench, tool: Tool, way: NextDay, days: list[str]) -> None:
    key = Key("next-day", tool.name, bench.asked.events, way.label, FIRST)
    if _days_done(bench, tool, key):
        return
    arrived = bench.work / "projects" / "next-day" / f"{tool.name}-arrived"
    shutil.rmtree(arrived, ignore_errors=True)
    arrived.mkdir(parents=True)
    (arrived / "0.parquet").symlink_to(days[0])
    project = events(str(arrived / "*.parquet"))
    project = replace(project, models=(way.model(project),))
    folder = bench.fresh(tool, project, "next-day")
    if bench.keep(key, tool, 0, bench.run(tool, way.first, folder)).sample.code:
        return

    def look() -> dict[str, Any]:
        found: dict[str, Any] = bench.ask(tool, "events", path=str(folder / DATABASE), table=way.table, files=days)
        return found

    before = _seen(look())
    saved = folder.with_name(f"{tool.name}-saved")
    shutil.rmtree(saved, ignore_errors=True)
    shutil.copytree(folder, saved)
    (arrived / "1.parquet").symlink_to(days[1])
    then = replace(key, state=THEN)
    for turn in range(bench.asked.repeat):
        if bench.enough(then, tool, turn):
            break
        _restore(folder, saved)
        bench.keep(then, tool, turn, bench.run(tool, way.then, folder), **look())
    usual = bench.measured(then, tool, 0)
    if usual is None or usual.sample.code:
        return
    bench.keep(replace(key, state=AGAIN), tool, 0, bench.run(tool, way.then, folder), **look())
    for trial in range(bench.asked.kills):
        _restore(folder, saved)
        killed = bench.run(tool, way.then, folder, _kill(trial, folder, usual.sample))
        torn = _seen(look()) not in (before, _seen(usual.facts))
        redone = bench.run(tool, way.then, folder)
        facts = {**look(), "killed": killed.code == -signal.SIGKILL, "torn": torn}
        bench.keep(replace(key, state=KILLED), tool, trial, redone, **facts)
    shutil.rmtree(folder)
    shutil.rmtree(saved)


def _days_done(bench: Bench, tool: Tool, key: Key) -> bool:
    """A way is done when its last step is, or when one failed."""
    steps = [bench.measured(replace(key, state=state), tool, 0) for state in (FIRST, THEN)]
    if any(step and step.sample.code for step in steps):
        return True
    last = replace(key, state=KILLED if bench.asked.kills else AGAIN)
    return bench.measured(last, tool, max(bench.asked.kills, 1) - 1) is not None


def _restore(folder: Path, saved: Path) -> None:
    shutil.rmtree(folder)
    shutil.copytree(saved, folder)


def _seen(found: dict[str, Any]) -> tuple[int, str]:
    return found["rows"], found["sum"]


def _kill(trial: int, folder: Path, usual: Sample) -> Kill:
    """When to kill: at a share of the usual time, or so many seconds after the database was first written to."""
    written = (folder / DATABASE, folder / f"{DATABASE}.wal")
    times = (
        Kill(0.0, written),
        Kill(0.7 * usual.wall),
        Kill(0.15, written),
        Kill(0.9 * usual.wall),
        Kill(0.05, written),
        Kill(0.5 * usual.wall),
        Kill(0.5, written),
        Kill(0.01, written),
    )
    return times[trial % len(times)]


CASES: dict[str, Callable[[Bench], None]] = {
    "startup": startup, "faults": faults, "compile": compile_, "build": build, "next-day": next_day,
}  # fmt: skip


def run(bench: Bench, names: tuple[str, ...]) -> None:
    for name in names:
        say(f"--- {name}")
        CASES[name](bench)
