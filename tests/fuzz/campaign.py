"""Run many random cases and report what went wrong: `python -m fuzz --seeds 0..500 --jobs 2` with `tests` on the path.

Without `--seeds` it goes on for `--seconds`. Each failure is made smaller, printed, and kept as JSON in `--out`, from
where `--replay FILE` runs it again. The exit code is 1 if anything failed.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import time
from pathlib import Path

from fuzz.cases import loads
from fuzz.shrink import shrink
from fuzz.stories import tell
from fuzz.worlds import Failure, Invalid, Tally, run

Outcome = tuple[int, Tally, tuple[str, str] | None]


def one(seed: int, shrinking: float, most_models: int = 12, steps: int = 8) -> Outcome:
    """Run the case of a seed: what it counted and, if it failed, the report and the smaller case."""
    tally = Tally()
    try:
        case = tell(seed, most_models, steps)
        failure = run(case, tally)
    except Invalid:
        return seed, tally, None
    if failure is None:
        return seed, tally, None
    if shrinking:
        case, failure = shrink(case, failure, shrinking)
    return seed, tally, (report(case.told(), failure), case.dumps())


def report(told: str, failure: Failure) -> str:
    return f"{told}\n=== {failure.kind} wrong after step {failure.step} {failure.table}\n{failure.told}"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="fuzz", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", help="FIRST..LAST, both included", default="0..199")
    parser.add_argument("--seconds", type=float, help="start no new case after that time")
    parser.add_argument("--refreshes", type=int, help="start no new case once that many tables were refreshed")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument(
        "--shrink", type=float, default=60.0, help="seconds for making each failing case smaller; 0: leave it"
    )
    parser.add_argument("--stop-after", type=int, default=20, help="failures")
    parser.add_argument("--models", type=int, default=12, help="at most, in a case")
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
    first, _, last = asked.seeds.partition("..")
    seeds = list(range(int(first), int(last or first) + 1))
    started, total, failed = time.monotonic(), Tally(), 0
    work = [(seed, asked.shrink, asked.models, asked.steps) for seed in seeds]
    context = multiprocessing.get_context("spawn")
    with context.Pool(asked.jobs, maxtasksperchild=200) as pool:
        for number, (seed, tally, failure) in enumerate(pool.imap_unordered(_job, work), 1):
            total.add(tally)
            if failure is not None:
                failed += 1
                print(f"\n######## seed {seed}\n{failure[0]}", flush=True)
                if asked.out is not None:
                    asked.out.mkdir(parents=True, exist_ok=True)
                    (asked.out / f"{seed}.json").write_text(failure[1])
            if number % 100 == 0:
                print(_progress(number, total, failed, started), file=sys.stderr, flush=True)
            late = asked.seconds is not None and time.monotonic() - started > asked.seconds
            enough = asked.refreshes is not None and total.refreshes >= asked.refreshes
            if late or enough or failed >= asked.stop_after:
                pool.terminate()
                break
    print(_progress(number, total, failed, started))
    return int(failed > 0)


def _job(work: tuple[int, float, int, int]) -> Outcome:
    return one(*work)


def _progress(number: int, total: Tally, failed: int, started: float) -> str:
    seconds = time.monotonic() - started
    return (
        f"{number} seeds, {total.cases} cases, {total.builds} builds, {total.refreshes} refreshes of tables, "
        f"{failed} failing cases, {total.unstable} without a single answer, {seconds:.0f} s, {total.refreshes / seconds:.1f} refreshes/s"
    )
