"""Measure SQLFlow against a plain script that runs the same SQL, in one run, and print Markdown tables.

    python benchmarks/measure.py [--sizes 100,500] [--repeat 3] [--rows 1000]
    python benchmarks/measure.py --only scaling          # per-model cost of each stage at 250, 500 and 1,000 models
    python benchmarks/measure.py --only profile          # the functions that cost most, at the largest size

Every command runs in a child process; wall time, CPU time and peak memory are those of that child (`os.wait4`).
Numbers are medians. Nothing here fails because something is slow: a target that is missed is said, not enforced. It
fails when a command fails, when a second build has anything to do, or when the tables differ from the plain script's.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

# DuckDB is not imported here: a child's peak memory begins with what its parent had when it was started.

HERE = Path(__file__).resolve().parent
PYTHON = sys.executable
SQLFLOW = (PYTHON, "-m", "sqlflow")
# As installed: with compiled modules on disk, whatever the shell around says. PYTHONPATH may name another SQLFlow.
ENVIRONMENT = {n: v for n, v in os.environ.items() if not n.startswith("PYTHON") or n == "PYTHONPATH"}
HELP_CPU, FULL_RATIO, NOOP_RATIO = 0.3, 1.5, 0.15


@dataclass(frozen=True, slots=True)
class Sample:
    """What one run of a command took: seconds, seconds, bytes."""

    wall: float
    cpu: float
    peak: int


@dataclass(frozen=True, slots=True)
class Result:
    """Medians of several samples."""

    wall: float
    cpu: float
    peak: int
    worst: float

    @classmethod
    def of(cls, samples: Sequence[Sample]) -> Result:
        walls = [s.wall for s in samples]
        return cls(
            median(walls), median(s.cpu for s in samples), int(median(s.peak for s in samples)), max(walls) - min(walls)
        )


class Failed(Exception):
    """A measured command did not do what it is for; its time means nothing."""


def run(command: Sequence[str | Path], folder: Path, log: Path) -> Sample:
    """Run a command to its end. Raises Failed with the end of what it said."""
    words = [str(word) for word in command]
    with log.open("wb") as output:
        began = time.perf_counter()
        child = subprocess.Popen(
            words, cwd=folder, env=ENVIRONMENT, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
        )
        _, status, used = os.wait4(child.pid, 0)
        wall = time.perf_counter() - began
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise Failed(f"{' '.join(words)}: exit code {child.returncode}\n{log.read_text(errors='replace')[-2000:]}")
    unit = 1 if sys.platform == "darwin" else 1024
    return Sample(wall, used.ru_utime + used.ru_stime, used.ru_maxrss * unit)


# ---------------------------------------------------------------- a project


@dataclass(frozen=True, slots=True)
class Bench:
    """A generated project and the ways to run it. Each prepares what it needs and measures one command."""

    folder: Path
    size: int

    @classmethod
    def make(cls, work: Path, size: int, rows: int, seed: int) -> Bench:
        folder = work / f"models_{size}"
        words = (PYTHON, HERE / "generate.py", folder, "--models", size, "--rows", rows, "--seed", seed)
        run([str(word) for word in words], work, work / "generate.log")
        return cls(folder, size)

    def plain(self, *, one_transaction: bool = False) -> Sample:
        database = self._database("plain.duckdb")
        option = ["--one-transaction"] if one_transaction else []
        return self._run([PYTHON, HERE / "plain.py", ".", database.name, *option])

    def forget(self) -> None:
        """As if SQLFlow had never run here."""
        for folder in (".sqlflow", "target"):
            shutil.rmtree(self.folder / folder, ignore_errors=True)
        self._database("warehouse.duckdb")

    def cold_compile(self) -> Sample:
        self.forget()
        return self.sqlflow("compile")

    def full_build(self) -> Sample:
        self.forget()
        return self.sqlflow("build")

    def edited_build(self) -> Sample:
        """One mart that nobody reads gets another limit; afterwards the file is as before, and so is its table."""
        order = (self.folder / "plain/order.txt").read_text().split()
        path = self.folder / order[-1]
        text = path.read_text()
        path.write_text(text.rstrip() + "\nLIMIT 10\n")
        try:
            sample = self.sqlflow("build")
        finally:
            path.write_text(text)
        self.sqlflow("build")
        return sample

    def sqlflow(self, *words: str) -> Sample:
        return self._run([*SQLFLOW, *words])

    def stages(self, command: str) -> dict[str, dict[str, float]]:
        target = self.folder / "stages.json"
        self._run([PYTHON, HERE / "stages.py", ".", command, "--json", target])
        found: dict[str, dict[str, float]] = json.loads(target.read_text())
        return found

    def profile(self, command: str, lines: int) -> str:
        self._run([PYTHON, HERE / "stages.py", ".", command, "--profile", str(lines)])
        text = (self.folder / "bench.log").read_text()
        return text[text.index("function calls") :].partition("\n")[2].strip()

    def check(self) -> None:
        """A build after a build plans nothing, and every table has the rows that the plain script gives it."""
        self._run([*SQLFLOW, "build", "--dry-run", "--json"])
        text = (self.folder / "bench.log").read_text()
        tasks = json.loads(text[text.index("{") :])["tasks"]
        if tasks:
            raise Failed(f"{self.size} models: a second build would run {len(tasks)} tasks")
        self._run([PYTHON, "-c", _COMPARE])

    def _database(self, name: str) -> Path:
        path = self.folder / name
        path.with_name(name + ".wal").unlink(missing_ok=True)
        shutil.copyfile(self.folder / "seed.duckdb", path)
        return path

    def _run(self, command: Sequence[str | Path]) -> Sample:
        return run(command, self.folder, self.folder / "bench.log")


_COMPARE = """
import duckdb, sys
both = duckdb.connect()
both.execute("ATTACH 'plain.duckdb' AS plain (READ_ONLY); ATTACH 'warehouse.duckdb' AS flow (READ_ONLY)")
differ = []
for line in open("plain/order.txt"):
    table = line.split()[0]
    query = "SELECT count(*), sum(hash(r)) FROM {}.{} AS r"
    left, right = (both.execute(query.format(name, table)).fetchone() for name in ("plain", "flow"))
    if left != right or not left[0]:
        differ.append(f"{table}: {left} {right}")
sys.exit("these tables differ or are empty: " + "; ".join(differ[:5]) if differ else 0)
"""

# ---------------------------------------------------------------- what is measured

PLAIN, PLAIN_ONE = "plain script, a commit per model", "plain script, one transaction"
COLD, WARM = "`sqlflow compile`, cold", "`sqlflow compile`, warm"
FULL, NOOP, EDITED = (
    "`sqlflow build`, from nothing",
    "`sqlflow build`, nothing changed",
    "`sqlflow build`, one mart edited",
)
REFRESH = "`sqlflow build --full-refresh`"
PYTHON_STARTS, DUCKDB_STARTS, HELP, VERSION = (
    "`python -c pass`", "`python -c 'import duckdb'`", "`sqlflow --help`", "`sqlflow --version`",
)  # fmt: skip

Steps = Sequence[tuple[str, Callable[[], Sample]]]


def measure(rounds: int, groups: Sequence[Steps], what: str) -> dict[str, Result]:
    """Run all steps `rounds` times. Within a group the order is fixed; the groups take turns in going first."""
    samples: dict[str, list[Sample]] = {}
    for number in range(rounds):
        say(f"{what}, round {number + 1} of {rounds}")
        turn = number % len(groups)
        for group in (*groups[turn:], *groups[:turn]):
            for name, step in group:
                samples.setdefault(name, []).append(step())
    return {name: Result.of(found) for name, found in samples.items()}


def startup(work: Path, repeat: int) -> dict[str, Result]:
    def child(*words: str) -> Callable[[], Sample]:
        return lambda: run(words, work, work / "startup.log")

    steps: Steps = (
        (PYTHON_STARTS, child(PYTHON, "-c", "pass")),
        (DUCKDB_STARTS, child(PYTHON, "-c", "import duckdb")),
        (HELP, child(*SQLFLOW, "--help")),
        (VERSION, child(*SQLFLOW, "--version")),
    )
    for _, step in steps:
        step()  # files into the page cache, byte code onto the disk
    return measure(max(repeat, 5), [[step] for step in steps], "start-up")


def size(bench: Bench, repeat: int) -> dict[str, Result]:
    say(f"{bench.size} models, warming up")
    bench.plain()
    bench.full_build()
    bench.check()
    return measure(
        repeat,
        [
            [(PLAIN, bench.plain)],
            [
                (FULL, bench.full_build),
                (NOOP, lambda: bench.sqlflow("build")),
                (EDITED, bench.edited_build),
                (REFRESH, lambda: bench.sqlflow("build", "--full-refresh")),
            ],
            [(PLAIN_ONE, lambda: bench.plain(one_transaction=True))],
            [(COLD, bench.cold_compile), (WARM, lambda: bench.sqlflow("compile"))],
        ],
        f"{bench.size} models",
    )


def scaling(benches: Sequence[Bench], repeat: int) -> dict[tuple[str, int], dict[str, float]]:
    """CPU milliseconds per model of each stage, by command and size: the median of the rounds."""
    rounds: dict[tuple[str, int], list[dict[str, float]]] = {}
    for number in range(repeat):
        for bench in benches if number % 2 == 0 else reversed(benches):
            say(f"stages at {bench.size} models, round {number + 1} of {repeat}")
            bench.forget()
            for name, command in (
                ("compile, cold", "compile"),
                ("build", "build"),
                ("build, nothing changed", "build"),
            ):
                times = bench.stages(command)
                per_model = {stage: t["cpu"] * 1000 / bench.size for stage, t in times.items() if stage != "import"}
                rounds.setdefault((name, bench.size), []).append(per_model)
    return {
        key: {stage: median(r.get(stage, 0.0) for r in found) for stage in dict.fromkeys(s for r in found for s in r)}
        for key, found in rounds.items()
    }


# ---------------------------------------------------------------- what is printed


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(head)} |", "|" + "|".join("---" if n == 0 else "--:" for n in range(len(head))) + "|"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)]) + "\n"


def results_table(results: dict[str, Result], baseline: str, order: Sequence[str]) -> str:
    base = results[baseline]
    return table(
        ("command", "wall s", "± s", "CPU s", "peak MB", "wall ratio", "CPU ratio"),
        [
            (
                name,
                f"{r.wall:.2f}",
                f"{r.worst / 2:.2f}",
                f"{r.cpu:.2f}",
                f"{r.peak / 1e6:.0f}",
                f"{r.wall / base.wall:.2f}",
                f"{r.cpu / base.cpu:.2f}",
            )
            for name, r in ((name, results[name]) for name in order)
        ],
    )


def overhead_table(by_size: dict[int, dict[str, Result]]) -> str:
    """What SQLFlow adds to each model, in milliseconds."""
    rows = []
    for count, results in by_size.items():
        for name, against in ((FULL, PLAIN), (REFRESH, PLAIN), (NOOP, None), (COLD, None), (WARM, None)):
            wall = results[name].wall - (results[against].wall if against else 0)
            cpu = results[name].cpu - (results[against].cpu if against else 0)
            what = f"{name}, above the plain script" if against else name
            rows.append((what, str(count), f"{wall * 1000 / count:.2f}", f"{cpu * 1000 / count:.2f}"))
    return table(("ms per model", "models", "wall", "CPU"), rows)


def targets_table(start: dict[str, Result], by_size: dict[int, dict[str, Result]]) -> str:
    """The bounds are for wall time; on a machine that others use, CPU time says more."""
    rows = [_target("CPU of `sqlflow --help`", start[HELP].cpu, start[HELP].cpu, HELP_CPU, " s")] if start else []
    for count, results in by_size.items():
        plain, full, noop = results[PLAIN], results[FULL], results[NOOP]
        pairs = (
            (f"full build of {count} / plain script", full, plain, FULL_RATIO),
            (f"no-op build of {count} / its full build", noop, full, NOOP_RATIO),
        )
        rows += [_target(what, a.wall / b.wall, a.cpu / b.cpu, bound, "×") for what, a, b, bound in pairs]
    return table(("target", "bound", "wall", "CPU", "met"), rows)


def _target(what: str, wall: float, cpu: float, bound: float, unit: str) -> tuple[str, ...]:
    met = "yes" if max(wall, cpu) <= bound else "**no**" if min(wall, cpu) > bound else "one of two"
    return what, f"≤ {bound:g}{unit}", f"{wall:.2f}{unit}", f"{cpu:.2f}{unit}", met


_TOO_SMALL = 0.02  # ms per model; below it a ratio is noise


def scaling_table(found: dict[tuple[str, int], dict[str, float]], sizes: Sequence[int]) -> str:
    """Per model; a stage that is linear has the same number in every column."""
    rows = []
    for name in dict.fromkeys(command for command, _ in found):
        for stage in found[name, sizes[0]]:
            costs = [found[name, count].get(stage, 0.0) for count in sizes]
            if max(costs) < _TOO_SMALL:
                continue
            growth = f"{costs[-1] / costs[0]:.2f}" if costs[0] >= _TOO_SMALL else "–"
            rows.append((f"{name}: {stage}", *(f"{cost:.3f}" for cost in costs), growth))
        totals = [sum(found[name, count].values()) for count in sizes]
        rows.append((f"**{name}: all**", *(f"{t:.3f}" for t in totals), f"{totals[-1] / totals[0]:.2f}"))
    return table(("CPU ms per model", *(f"{count} models" for count in sizes), "last / first"), rows)


def machine() -> str:
    model = ""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    except OSError:
        model = platform.processor()
    asked = "import duckdb, sqlflow; print('SQLFlow', sqlflow.__version__ + ',', 'DuckDB', duckdb.__version__)"
    versions = subprocess.run([PYTHON, "-c", asked], capture_output=True, text=True, check=True).stdout.strip()
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    cores = os.cpu_count() or 1
    return f"{versions}, Python {platform.python_version()}, {platform.system()}, {cores} cores ({model or 'unknown'}), load {load}"


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",") if part.strip()]


PARTS = ("startup", "sizes", "scaling", "profile")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else None)
    parser.add_argument("--sizes", type=numbers, default=[100, 500], help="numbers of models (default 100,500)")
    parser.add_argument("--scaling", type=numbers, default=[250, 500, 1000], help="sizes of the linearity check")
    parser.add_argument("--repeat", type=int, default=3, help="rounds (default %(default)s)")
    parser.add_argument("--rows", type=int, default=1000, help="rows of each source (default %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of the generated graph (default %(default)s)")
    parser.add_argument("--only", choices=PARTS, action="append", help="only this part; may be given again")
    parser.add_argument("--lines", type=int, default=25, help="functions in a profile (default %(default)s)")
    parser.add_argument("--work", type=Path, help="folder for the projects; default: a temporary one, deleted after")
    asked = parser.parse_args()
    parts = asked.only or ["startup", "sizes", "scaling"]
    with tempfile.TemporaryDirectory(prefix="sqlflow-bench-") as temporary:
        work: Path = (asked.work or Path(temporary)).resolve()
        work.mkdir(parents=True, exist_ok=True)
        ENVIRONMENT["PYTHONPYCACHEPREFIX"] = str(work / "pycache")
        try:
            _measure(asked, parts, work)
        except Failed as failure:
            raise SystemExit(f"error: {failure}") from None


def _measure(asked: argparse.Namespace, parts: Sequence[str], work: Path) -> None:
    print(f"{machine()}.\nMedians of {asked.repeat} rounds; sources of {asked.rows} rows; ± is half of the range.\n")
    start: dict[str, Result] = {}
    by_size: dict[int, dict[str, Result]] = {}
    if "startup" in parts:
        start = startup(work, asked.repeat)
        print("### Start-up\n\n" + results_table(start, PYTHON_STARTS, list(start)))
    if "sizes" in parts:
        for count in asked.sizes:
            bench = Bench.make(work, count, asked.rows, asked.seed)
            by_size[count] = size(bench, asked.repeat)
            order = (PLAIN, PLAIN_ONE, FULL, REFRESH, NOOP, EDITED, COLD, WARM)
            print(f"### {count} models\n\n" + results_table(by_size[count], PLAIN, order))
        print("### Overhead\n\n" + overhead_table(by_size))
        print("### Targets\n\n" + targets_table(start, by_size))
    if "scaling" in parts:
        benches = [Bench.make(work, count, asked.rows, asked.seed) for count in asked.scaling]
        print("### Cost per model\n\n" + scaling_table(scaling(benches, asked.repeat), asked.scaling))
    if "profile" in parts:
        bench = Bench.make(work, max(asked.sizes), asked.rows, asked.seed)
        bench.forget()
        for title, command in (
            ("cold compile", "compile"),
            ("full build, compiled before", "build"),
            ("no-op build", "build"),
        ):
            say(f"profile: {title}")
            print(f"### Profile of {bench.size} models: {title}\n\n```\n{bench.profile(command, asked.lines)}\n```\n")


if __name__ == "__main__":
    main()
