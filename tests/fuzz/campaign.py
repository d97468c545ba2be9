"""Run many random cases and report what went wrong: `python -m fuzz --seeds 0..500 --jobs 2` with `tests` on the path.

Without `--seeds` it goes on for `--seconds`. Each failure is made smaller, printed, and kept as JSON in `--out`, from
where `--replay FILE` runs it again. The exit code is 1 if anything failed.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import time
from collections import Counter
from pathlib import Path

from fuzz.cases import Case, loads
from fuzz.shrink import about, shrink
from fuzz.stories import tell
from fuzz.worlds import Failure, Invalid, Tally, run

# The seeds of `make test`: some 200 refreshes, and each of the faults in fuzz/faults.py that names no trap is found.
SHORT = "61,3"

Outcome = tuple[Case | None, Tally, Failure | None]


def one(seed: int, most_models: int = 24, steps: int = 8) -> Outcome:
    """Run the case of a seed: the case, None if the seed gives none; what was counted; the first thing that went wrong."""
    tally = Tally()
    try:
        case = tell(seed, most_models, steps)
        return case, tally, run(case, tally)
    except Invalid:
        return None, tally, None


def seeds_of(text: str) -> list[int]:
    """`1..3,7` as 1, 2, 3, 7."""
    found: list[int] = []
    for part in text.split(","):
        first, _, last = part.partition("..")
        found += range(int(first), int(last or first) + 1)
    return found


def report(told: str, failure: Failure) -> str:
    return f"{told}\n=== {failure.kind} wrong after step {failure.step} {failure.table}\n{failure.told}"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="fuzz", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", help="FIRST..LAST, both included, or several with commas", default="0..199")
    parser.add_argument("--seconds", type=float, help="start no new case after that time")
    parser.add_argument("--refreshes", type=int, help="start no new case once that many tables were refreshed")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument(
        "--shrink", type=float, default=60.0, help="seconds for making each failing case smaller; 0: leave it"
    )
    parser.add_argument("--stop-after", type=int, default=20, help="failures")
    parser.add_argument("--models", type=int, default=24, help="at most, in a case")
    parser.add_argument("--steps", type=int, default=8, help="builds after the first one, in a case")
    parser.add_argument("--out", type=Path, help="a folder for failing cases")
    parser.add_argument("--replay", type=Path, help="run the case in this file")
    parser.add_argument("--show", type=int, help="print the case of this seed")
    return parser.parse_args()


def main() -> int:
    asked = _arguments()
    if asked.show is not None:
        print(tell(asked.show, asked.models, asked.steps).told())
        return 0
    if asked.replay is not None:
        case = loads(asked.replay.read_text())
        failure = run(case, Tally())
        print(report(case.told(), failure) if failure is not None else "nothing wrong")
        return int(failure is not None)
    return _many(asked)


def _many(asked: argparse.Namespace) -> int:
    """Run the cases; of each kind of failure the first few are made smaller, at the end."""
    seeds = seeds_of(asked.seeds)
    started, total, failed = time.monotonic(), Tally(), 0
    kinds: Counter[str] = Counter()
    wanted: list[tuple[Case, Failure, float]] = []
    context = multiprocessing.get_context("spawn")
    number = 0
    with context.Pool(asked.jobs, maxtasksperchild=200) as pool:
        for case, tally, failure in pool.imap_unordered(_job, [(seed, asked.models, asked.steps) for seed in seeds]):
            number += 1
            total.add(tally)
            if case is not None and failure is not None:
                failed += 1
                kind = about(failure)
                kinds[kind] += 1
                print(f"seed {case.seed}: {kind} {failure.table}", file=sys.stderr, flush=True)
                if kinds[kind] <= (asked.stop_after if kind == "rows" else 2):
                    wanted.append((case, failure, asked.shrink))
            if tally.unstable:
                print(f"seed {seeds[number - 1]} or near: no single answer", file=sys.stderr, flush=True)
            if number % 20 == 0:
                print(_progress(number, total, failed, started), file=sys.stderr, flush=True)
            late = asked.seconds is not None and time.monotonic() - started > asked.seconds
            enough = asked.refreshes is not None and total.refreshes >= asked.refreshes
            if late or enough or len(wanted) >= asked.stop_after:
                pool.terminate()
                break
    print(_progress(number, total, failed, started), flush=True)
    with context.Pool(asked.jobs) as pool:
        for case, failure in pool.imap_unordered(_smaller, wanted):
            print(f"\n######## {report(case.told(), failure)}", flush=True)
            if asked.out is not None:
                asked.out.mkdir(parents=True, exist_ok=True)
                (asked.out / f"{case.seed}.json").write_text(case.dumps())
    return int(failed > 0)


def _job(work: tuple[int, int, int]) -> Outcome:
    return one(*work)


def _smaller(work: tuple[Case, Failure, float]) -> tuple[Case, Failure]:
    case, failure, seconds = work
    return shrink(case, failure, seconds) if seconds else (case, failure)


def _progress(number: int, total: Tally, failed: int, started: float) -> str:
    seconds = time.monotonic() - started
    ways = ", ".join(f"{count} {way}" for way, count in total.ways.most_common())
    return (
        f"{number} seeds, {total.cases} cases, {total.builds} builds, {total.refreshes} refreshes of tables ({ways}), "
        f"{failed} failing cases, {total.unstable} without a single answer, {seconds:.0f} s, {total.refreshes / seconds:.1f} refreshes/s"
    )
