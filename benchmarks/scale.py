"""How compiling grows with the number of models, and how far it is above what it cannot do without.

    python benchmarks/scale.py                                       # 100, 1,000, 3,000 and 10,000 models: half an hour
    python benchmarks/scale.py --sizes 100,1000 --repeat 3 [--work FOLDER] [--svg docs/scaling.svg] [--json FILE]

Projects are those of `realistic.py`. Each command is a process of its own; CPU seconds and peak memory are the
operating system's for that process; medians are printed as Markdown. `floor` is one process that does only what nobody
can leave out for a cold compile: read, tokenise and parse each query with sqlglot, and bind it with DuckDB
against empty tables. `--svg` draws the CPU seconds against the number of models.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from realistic import write_project

SQLFLOW = [sys.executable, "-m", "sqlflow"]


@dataclass(frozen=True, slots=True)
class Spent:
    """What one process cost. `peak`: MB."""

    cpu: float
    wall: float
    peak: float


def spend(command: Sequence[str], folder: Path) -> Spent:
    """Run a command; an exit code other than 0 ends the benchmark."""
    with open(os.devnull, "wb") as nowhere:
        began = time.perf_counter()
        child = subprocess.Popen(command, cwd=folder, stdout=nowhere, stderr=subprocess.PIPE)
        assert child.stderr is not None
        errors = child.stderr.read()
        _, status, used = os.wait4(child.pid, 0)
        wall = time.perf_counter() - began
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode != 0:
        raise SystemExit(f"{' '.join(command)} in {folder}: exit code {child.returncode}\n{errors.decode()}")
    return Spent(used.ru_utime + used.ru_stime, wall, used.ru_maxrss / 1024)


def median(runs: Sequence[Spent]) -> Spent:
    return Spent(*(statistics.median(getattr(run, name) for run in runs) for name in ("cpu", "wall", "peak")))


def measure(folder: Path, count: int, repeat: int, *, builds: bool) -> dict[str, Spent]:
    """Every command on a project of `count` models."""
    write_project(folder, count, 0)
    found: dict[str, Spent] = {}
    colds, floors = [], []
    for _ in range(repeat if count <= 1000 else 1):
        for name in (".sqlflow", "target"):
            shutil.rmtree(folder / name, ignore_errors=True)
        colds.append(spend([*SQLFLOW, "compile"], folder))
        floors.append(spend([sys.executable, __file__, "--floor", str(folder)], folder))
    found["compile, cold"] = median(colds)
    found["floor of a cold compile"] = median(floors)
    dry = [*SQLFLOW, "compile", "--dry-run"]
    edited = folder / f"models/intermediate/int_{count // 10:05d}.sql"
    text = edited.read_text()
    same, other = [], []
    for _ in range(repeat):  # in turns, so that both see the same machine
        edited.write_text(text)
        same.append(spend(dry, folder))
        edited.write_text(text.replace("0 as bench_rev", "1 as bench_rev"))
        other.append(spend(dry, folder))
    edited.write_text(text)
    found["compile --dry-run, unchanged"] = median(same)
    found["compile --dry-run, one file edited"] = median(other)
    one = [*SQLFLOW, "lineage", f"intermediate.int_{count // 10:05d}"]
    found["lineage of one model"] = median([spend(one, folder) for _ in range(repeat)])
    if builds:
        write_project(folder, count, 200)
        found["build, from nothing"] = spend([*SQLFLOW, "build"], folder)
        found["build, nothing changed"] = median([spend([*SQLFLOW, "build"], folder) for _ in range(repeat)])
    shutil.rmtree(folder)
    return found


def floor(folder: Path) -> None:
    """Read, tokenise, parse and bind every model of a compiled project, and nothing else."""
    import gc

    import duckdb
    from sqlglot.dialects.dialect import Dialect

    gc.disable()
    manifest = json.loads((folder / "target/manifest.json").read_text())
    dialect = Dialect.get_or_raise("duckdb")
    judge = duckdb.connect()
    judge.execute("PRAGMA disable_optimizer")
    judge.execute("SET threads = 1")
    for schema in {name.partition(".")[0] for name in (*manifest["sources"], *manifest["models"])}:
        judge.execute(f"CREATE SCHEMA {schema}")

    def define(name: str, columns: list[dict[str, str]]) -> None:
        listed = ", ".join(f'"{column["name"]}" {column["type"]}' for column in columns)
        judge.execute(f"CREATE TABLE {name} ({listed})")

    for name, source in manifest["sources"].items():
        define(name, source["columns"])
    for name, model in manifest["models"].items():
        text = (folder / model["file"]).read_text()
        dialect.parser().parse(dialect.tokenize(text), text)
        judge.execute(f"DESCRIBE {text}").fetchall()
        define(name, model["columns"])


# ---------------------------------------------------------------- tables and the plot


def table(results: dict[int, dict[str, Spent]]) -> str:
    sizes = sorted(results)
    lines = ["| CPU s / peak MB | " + " | ".join(f"{size:,}" for size in sizes) + " |"]
    lines.append("|---|" + "--:|" * len(sizes))
    for name in dict.fromkeys(name for size in sizes for name in results[size]):
        cells = []
        for size in sizes:
            spent = results[size].get(name)
            cells.append("–" if spent is None else f"{spent.cpu:.2f} / {spent.peak:.0f}")
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


_COLOURS = ("#1f5fa8", "#8a8a8a", "#2a8a4a", "#c2601c")
_DRAWN = (
    "compile, cold",
    "floor of a cold compile",
    "compile --dry-run, unchanged",
    "compile --dry-run, one file edited",
)


def svg(results: dict[int, dict[str, Spent]]) -> str:
    """CPU seconds by number of models, both axes logarithmic; a dotted line grows as the models do."""
    width, height, left, bottom, top, right = 720, 420, 60, 50, 20, 210
    sizes = sorted(results)
    values = [results[size][name].cpu for size in sizes for name in _DRAWN]
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    first, last = math.log10(sizes[0]), math.log10(sizes[-1])

    def x(size: float) -> float:
        return left + (math.log10(size) - first) / ((last - first) or 1) * (width - left - right)

    def y(seconds: float) -> float:
        return height - bottom - (math.log10(seconds) - low) / (high - low) * (height - bottom - top)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="12">',
        f'<rect width="{width}" height="{height}" fill="white"/>',
    ]
    for exponent in range(low, high + 1):
        at = y(10.0**exponent)
        parts.append(f'<line x1="{left}" x2="{width - right}" y1="{at:.1f}" y2="{at:.1f}" stroke="#ddd"/>')
        parts.append(f'<text x="{left - 8}" y="{at + 4:.1f}" text-anchor="end">{10.0**exponent:g} s</text>')
    for size in sizes:
        parts.append(f'<text x="{x(size):.1f}" y="{height - bottom + 20}" text-anchor="middle">{size:,}</text>')
    middle = (left + width - right) / 2
    parts.append(f'<text x="{middle:.0f}" y="{height - 10}" text-anchor="middle">models</text>')
    begin = results[sizes[0]][_DRAWN[0]].cpu
    end = begin * sizes[-1] / sizes[0]
    if math.log10(end) <= high:
        parts.append(
            f'<line x1="{x(sizes[0]):.1f}" y1="{y(begin):.1f}" x2="{x(sizes[-1]):.1f}" y2="{y(end):.1f}" '
            'stroke="#bbb" stroke-dasharray="2 4"/>'
        )
    for name, colour in zip(_DRAWN, _COLOURS, strict=True):
        points = [(x(size), y(results[size][name].cpu)) for size in sizes]
        path = " ".join(f"{px:.1f},{py:.1f}" for px, py in points)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{px:.1f}" cy="{py:.1f}" r="3" fill="{colour}"/>' for px, py in points]
        px, py = points[-1]
        parts.append(f'<text x="{px + 8:.1f}" y="{py + 4:.1f}" fill="{colour}">{name}</text>')
    return "\n".join([*parts, "</svg>", ""])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else None)
    parser.add_argument("--sizes", default="100,1000,3000,10000")
    parser.add_argument("--repeat", type=int, default=3, help="runs of each command (cold ones of many models: one)")
    parser.add_argument("--builds", type=int, default=1000, help="build too, up to this many models")
    parser.add_argument("--work", type=Path, help="where the projects go; default: a temporary folder")
    parser.add_argument("--svg", type=Path, help="draw the plot into this file")
    parser.add_argument("--json", type=Path, help="write the numbers into this file")
    parser.add_argument("--floor", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.floor is not None:
        floor(asked.floor)
        return
    work = asked.work or Path(tempfile.mkdtemp())
    results: dict[int, dict[str, Spent]] = {}
    print("| start-up | CPU s |\n|---|--:|")
    for word in ("--version", "--help"):
        runs = median([spend([*SQLFLOW, word], Path.cwd()) for _ in range(max(5, asked.repeat))])
        print(f"| `sqlflow {word}` | {runs.cpu:.2f} |", flush=True)
    for size in map(int, asked.sizes.split(",")):
        results[size] = measure(work / f"models_{size}", size, asked.repeat, builds=size <= asked.builds)
        print(f"\n{table(results)}", flush=True)
    if asked.json is not None:
        plain = {size: {n: [s.cpu, s.wall, s.peak] for n, s in found.items()} for size, found in results.items()}
        asked.json.write_text(json.dumps(plain, indent=1) + "\n")
    if asked.svg is not None:
        asked.svg.write_text(svg(results))


if __name__ == "__main__":
    main()
