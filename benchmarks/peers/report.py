"""Everything measured as Markdown tables."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from statistics import median

from benchmarks.peers import cases
from benchmarks.peers.results import Key, Result, Results
from benchmarks.peers.tool import Command, NextDay, Tool
from benchmarks.peers.tools import TOOLS

_BEGIN, _END = "<!-- peers: written by `python -m benchmarks.peers report` -->", "<!-- peers: end -->"
_NOTHING = "–"


def write(text: str, into: Path | None) -> None:
    """Into a file, in place of what stands between its marks; or onto stdout."""
    if into is None:
        print(text)
        return
    before, begin, rest = into.read_text().partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not begin or not end:
        raise SystemExit(f"error: {into} has no lines `{_BEGIN}` and `{_END}`")
    into.write_text(f"{before}{begin}\n\n{text.strip()}\n\n{end}{after}")


def markdown(results: Results) -> str:
    return "\n\n".join(
        part for part in (_conditions(results), _compile(results), _builds(results), _next_day(results),
                          _faults(results), _startup(results), _targets(results)) if part
    )  # fmt: skip


# ---------------------------------------------------------------- the parts


def _conditions(results: Results) -> str:
    versions = {tool.title: {r.version for r in results if r.key.tool == tool.name} for tool in TOOLS.values()}
    if not any(versions.values()):
        raise SystemExit("error: nothing was measured yet")
    told = [f"- {title}: {' and '.join(sorted(found))}" for title, found in versions.items() if found]
    return (
        f"{platform.system()}, {os.cpu_count()} cores that other programs were using too, Python {platform.python_version()}. "
        "Cells are **CPU seconds** / wall seconds / peak MB, each of the command and all processes that it started: medians "
        f"of the turns, long commands once. `{_NOTHING}`: not measured, or it would have taken longer than the cap. Wall "
        "times are those of a busy machine: compare CPU, and that too only within a table.\n\n" + "\n".join(told)
    )


def _measured_how(results: Results, case: str) -> str:
    """Turns, and what else the machine did: the load has the command itself in it."""
    counted = [result for result in results if result.key.case == case and result.key.state != cases.KILLED]
    loads = [result.load for result in counted]
    turns = max(result.turn for result in counted) + 1
    return (
        f"Turns: {turns}. Load of the machine: {min(loads):.1f} to {max(loads):.1f}, {median(loads):.1f} in the middle."
    )


def _compile(results: Results) -> str:
    sizes = sorted({result.key.size for result in results if result.key.case == "compile"})
    rows, does = [], []
    for tool, command in _commands("compile"):
        found = [
            (state, [results.newest(Key("compile", tool.name, size, command.label, state)) for size in sizes])
            for state in (cases.COLD, cases.WARM, cases.EDITED)
        ]
        lines = [(_named(tool, command), state, *map(_cell, cells)) for state, cells in found if any(cells)]
        rows += lines
        if lines:
            does.append((_named(tool, command), command.does))
    if not rows:
        return ""
    head = ("command", "", *(f"{size:,} models" for size in sizes))
    return (
        "### Compiling\n\nOne file edited: a staging model, with as many models above it as the middle one has, gives other values in a column "
        "that all of its readers read. "
        + _measured_how(results, "compile")
        + "\n\n"
        + _table(head, rows)
        + "\n\nWhat these commands do is not the same:\n\n"
        + _table(("command", "does"), does, right=False)
    )


def _builds(results: Results) -> str:
    parts = []
    for size in sorted({result.key.size for result in results if result.key.case == "build"}):
        rows = []
        for tool, command in _commands("rebuild"):
            assert tool.build
            first = Key("build", tool.name, size, tool.build.label, cases.NEW)
            keys = [first, *(Key("build", tool.name, size, command.label, state) for state in _REBUILDS)]
            cells = [results.newest(key) for key in keys]
            if not cells[0]:
                continue
            floor = results.newest(Key("build", tool.floor, size, "run", cases.NEW))
            wrong = max(result.facts["wrong"] for cell in cells for result in cell)
            rows.append(
                (
                    _named(tool, command), _cell(cells[0]), _ratio(cells[0], floor), *map(_cell, cells[1:]),
                    f"{wrong} wrong" if wrong else "right",
                )
            )  # fmt: skip
        head = ("command", cases.NEW, "× plain", *_REBUILDS, "tables")
        parts.append(f"{size:,} models:\n\n{_table(head, rows)}")
    if not parts:
        return ""
    measured = {result.key.command for result in results if result.key.case == "build"}
    does = [(_named(tool, c), c.does) for tool, c in _commands("rebuild") if c.label in measured]
    return (
        "### Building\n\nEvery model is a table of 1,000 rows, every source a Parquet file. `× plain`: CPU beside the plain "
        "script on the same version of DuckDB. Tables are right when their sums are those of the plain script, after each "
        "build. The edited one is a staging model with as many models above it as the middle one has. " + _measured_how(results, "build") + "\n\n" + "\n\n".join(parts) + "\n\nWhat a build of a project that stands does:\n\n"
        + _table(("command", "does"), does, right=False)
    )  # fmt: skip


_REBUILDS = (cases.SAME, cases.ASIDE, cases.READ)


def _next_day(results: Results) -> str:
    parts = []
    for size in sorted({result.key.size for result in results if result.key.case == "next-day"}):
        rows = []
        for tool, way in _ways():
            key = Key("next-day", tool.name, size, way.label, "")
            first, then, again, killed = (
                results.newest(Key(key.case, key.tool, key.size, key.command, state)) for state in _DAYS
            )
            if first:
                floor_way = TOOLS[tool.floor].next_day[0].label
                floor = results.newest(Key("next-day", tool.floor, size, floor_way, cases.THEN))
                rows.append(
                    (
                        f"{tool.title}, {way.label}", _cell(first), _cell(then), _ratio(then, floor), _cell(again),
                        _verdict([*then, *again]), _deaths(killed),
                    )
                )  # fmt: skip
        head = ("way", *_DAYS[:2], "× plain", cases.AGAIN, "table", "after `kill -9` in the run and another run")
        parts.append(f"{size:,} events:\n\n{_table(head, rows)}")
    if not parts:
        return ""
    return (
        "### The next day\n\nA table of the newest version of each event: 100 days are built, then a file arrives with a new day "
        "and with new versions of 1 % of the rows, all within the last seven days. Each tool by the ways that it offers; SQLFlow's "
        "models have no hand-written filter; that of `mode: merge` has no QUALIFY either, for the newest row of a key by "
        "`cursor` is what the mode keeps, and that of `mode: incremental` names the day in the window's partition. "
        "`× plain`: CPU beside a hand-written delete and insert by key on the same version of DuckDB. The table is compared row by row with the newest versions in all files. *Torn*: after the kill, "
        "and before the other run, the table was neither the old nor the new one. "
        + _measured_how(results, "next-day")
        + "\n\n"
        + "\n\n".join(parts)
    )


_DAYS = (cases.FIRST, cases.THEN, cases.AGAIN, cases.KILLED)


def _faults(results: Results) -> str:
    rows = []
    for tool, command in _commands("finds"):
        found = {
            state: results.newest(Key("faults", tool.name, cases.SMALL, command.label, state))
            for state in (cases.CORRECT, *cases.FAULTS)
        }
        if all(found.values()):
            words = {state: "**error**" if r[-1].facts["found"] == cases.ERROR else r[-1].facts["found"] for state, r in found.items()}  # fmt: skip
            if found[cases.CORRECT][-1].sample.code:
                words = dict.fromkeys(words, "fails without a fault")
            rows.append((_named(tool, command), *(words[state] for state in cases.FAULTS)))
    if not rows:
        return ""
    return (
        "### What is found before anything runs\n\nOne expression of one intermediate model is wrong. `error`: the command fails; "
        "`warning`: it names the fault and succeeds.\n\n" + _table(("command", *cases.FAULTS), rows, right=False)
    )


def _startup(results: Results) -> str:
    rows = []
    for tool, command in _commands("startup"):
        found = results.newest(Key("startup", tool.name, 0, command.label, ""))
        if found:
            rows.append((_named(tool, command), _cell(found)))
    if not rows:
        return ""
    return f"### Start-up\n\n{_measured_how(results, 'startup')}\n\n{_table(('command', 'CPU s / wall s / MB'), rows)}"


def _targets(results: Results) -> str:
    """SQLFlow's bounds that name a peer or one of these commands."""

    def newest(tool: str, size: int, command: str, state: str) -> list[Result]:
        return results.newest(Key("compile", tool, size, command, state))

    rows = []
    for size in sorted({result.key.size for result in results if result.key.case == "compile"}):
        dry = {state: newest("sqlflow", size, "compile --dry-run", state) for state in (cases.WARM, cases.EDITED)}
        cold = newest("sqlflow", size, "compile", cases.COLD)
        parse = newest("dbt-v2", size, "parse", cases.WARM)
        compiled = newest("dbt-v2", size, "compile", cases.COLD)
        name = f"{size:,} models: "
        bounds = (
            (name + "nothing changed / dbt 2 `parse`, CPU", 0.2, _times(dry[cases.WARM], parse, "cpu")),
            (name + "one file edited / nothing changed, CPU", 1.2, _times(dry[cases.EDITED], dry[cases.WARM], "cpu")),
            (name + "cold / dbt 2 `compile`, CPU", 1.5, _times(cold, compiled, "cpu")),
            (name + "cold / dbt 2 `compile`, wall", 1.0, _times(cold, compiled, "wall")),
        )
        rows += [
            (what, f"≤ {bound:g}", f"{value:.2f}", "yes" if value <= bound else "**no**")
            for what, bound, value in bounds
            if value is not None
        ]
    head = ("target", "bound", "measured", "met")
    return "### Targets\n\n`compile --dry-run` where nothing or one file changed, `compile` cold.\n\n" + _table(head, rows) if rows else ""  # fmt: skip


# ---------------------------------------------------------------- cells


def _cell(found: Sequence[Result]) -> str:
    if not found:
        return _NOTHING
    if any(result.sample.stopped for result in found):
        return f"stopped at {found[-1].sample.cpu:.0f} s"
    if any(result.sample.code for result in found):
        return "failed"
    cpu, wall, peak = (_middle(found, what) for what in ("cpu", "wall", "peak"))
    return f"**{_seconds(cpu)}** / {_seconds(wall)} / {peak / 1e6:.0f}"


def _seconds(value: float) -> str:
    return f"{value:.2f}" if value < 10 else f"{value:.0f}"


def _middle(found: Sequence[Result], what: str) -> float:
    return float(median(getattr(result.sample, what) for result in found))


def _times(found: Sequence[Result], other: Sequence[Result], what: str) -> float | None:
    if not found or not other or any(result.sample.code for result in (*found, *other)):
        return None
    return _middle(found, what) / _middle(other, what)


def _ratio(found: Sequence[Result], floor: Sequence[Result]) -> str:
    times = _times(found, floor, "cpu")
    return _NOTHING if times is None else f"{times:.1f}"


def _verdict(found: Sequence[Result]) -> str:
    wrong = [result.facts for result in found if not result.facts["right"]]
    if not found:
        return _NOTHING
    return _what_is_wrong(wrong[-1]) if wrong else "right"


def _what_is_wrong(facts: dict[str, int]) -> str:
    return "**wrong**: " + ", ".join(f"{facts[what]:,} {what}" for what in ("lost", "doubled", "stale") if facts[what])


def _deaths(found: Sequence[Result]) -> str:
    hit = [result for result in found if result.facts["killed"]]
    if not hit:
        return _NOTHING
    torn = sum(result.facts["torn"] for result in hit)
    wrong = [result for result in hit if result.sample.code or not result.facts["right"]]
    said = f"{len(hit)} kills, {torn} torn, {len(wrong)} wrong in the end"
    return f"{said} ({_what_is_wrong(wrong[-1].facts).removeprefix('**wrong**: ')})" if wrong else said


def _named(tool: Tool, command: Command) -> str:
    return f"{tool.title}: `{command.label}`"


def _commands(kind: str) -> Iterator[tuple[Tool, Command]]:
    for tool in TOOLS.values():
        for command in getattr(tool, kind):
            yield tool, command


def _ways() -> Iterator[tuple[Tool, NextDay]]:
    for tool in TOOLS.values():
        for way in tool.next_day:
            yield tool, way


def _table(head: Sequence[str], rows: Iterable[Sequence[str]], *, right: bool = True) -> str:
    numbers = "--:" if right else "---"
    lines = [f"| {' | '.join(head)} |", "|" + "|".join("---" if n == 0 else numbers for n in range(len(head))) + "|"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])
