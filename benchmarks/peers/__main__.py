"""Measure SQLFlow beside dbt-core, dbt 2, SQLMesh, lea and a plain script.

    python -m benchmarks.peers setup                                  # an environment for each tool
    python -m benchmarks.peers run                                    # everything; goes on where it was stopped
    python -m benchmarks.peers run --cases compile --sizes 100,1000 --tools sqlflow,dbt-v2 --again
    python -m benchmarks.peers report --into docs/performance.md      # the tables, from all that was measured

All that is made lies in the work folder: `environments/`, `data/`, `projects/`, `results.jsonl`.
"""

from __future__ import annotations

import argparse
import fcntl
import tempfile
from collections.abc import Callable, Collection
from pathlib import Path

from benchmarks.peers import cases, environment, report
from benchmarks.peers.bench import Asked, Bench, say
from benchmarks.peers.results import Results
from benchmarks.peers.tools import TOOLS
from benchmarks.peers.tools.plain import ON_DUCKDB_1


def main() -> None:
    asked = _arguments()
    work: Path = asked.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    path = work / "results.jsonl"
    if asked.what == "report":
        report.write(report.markdown(Results(path)), asked.into)
        return
    lock = (work / "lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise SystemExit(f"error: another run works in {work}; wait for it, or choose another --work") from None
    tools = tuple(TOOLS[name] for name in asked.tools)
    environments = {}
    for tool in dict.fromkeys((*tools, ON_DUCKDB_1)):
        environments[tool.name] = environment.make(tool, work, asked.python.get(tool.name))
        say(f"{tool.name}: {environments[tool.name].version}")
    if asked.what == "setup":
        return
    options = Asked(
        tuple(sorted(asked.sizes)), tuple(sorted(asked.build_sizes)), asked.rows, asked.events, asked.kills,
        asked.only, asked.repeat, asked.once, asked.cap, asked.seed,
    )  # fmt: skip
    results = Results(path, frozenset(asked.tools) if asked.again else frozenset())
    cases.run(Bench(options, work, tools, environments, ON_DUCKDB_1, results), asked.cases)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.peers", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=["setup", "run", "report"])
    folder = Path(tempfile.gettempdir()) / "sqlflow-peers"
    parser.add_argument("--work", type=Path, default=folder, help="work folder (default %(default)s)")
    parser.add_argument("--tools", type=_one_of(TOOLS), default=tuple(TOOLS), help=f"of {', '.join(TOOLS)}")
    parser.add_argument(
        "--cases", type=_one_of(cases.CASES), default=tuple(cases.CASES), help=f"of {', '.join(cases.CASES)}"
    )
    parser.add_argument("--sizes", type=_numbers, default=(100, 1000, 10000), help="models to compile")
    parser.add_argument("--build-sizes", type=_numbers, default=(100, 500), help="models to build")
    parser.add_argument("--rows", type=int, default=1000, help="rows of each source (default %(default)s)")
    parser.add_argument("--events", type=int, default=1_000_000, help="rows of the next-day case (default %(default)s)")
    parser.add_argument("--kills", type=int, default=4, help="kill -9 trials of each way (default %(default)s)")
    parser.add_argument("--only", default="", help="only commands and next-day ways with this in their name")
    parser.add_argument("--repeat", type=int, default=3, help="turns; medians are told (default %(default)s)")
    parser.add_argument(
        "--once", type=float, default=20, help="a command that takes longer is run once (seconds of CPU)"
    )
    parser.add_argument("--cap", type=float, default=200, help="a command is stopped then, and not tried where it is bound to pass it (seconds of CPU)")  # fmt: skip
    parser.add_argument("--seed", type=int, default=1, help="another number, another graph")
    parser.add_argument("--again", action="store_true", help="measure what was measured before, too")
    parser.add_argument("--python", type=_python, action="append", default=[], metavar="TOOL=PATH", help="the environment of this Python for a tool, instead of one of its own")  # fmt: skip
    parser.add_argument("--into", type=Path, help="report: put the tables into this file, between its marks; default: print")  # fmt: skip
    asked = parser.parse_args()
    asked.python = dict(asked.python)
    return asked


def _one_of(known: Collection[str]) -> Callable[[str], tuple[str, ...]]:
    def parse(text: str) -> tuple[str, ...]:
        names = tuple(part for part in text.split(",") if part)
        unknown = [name for name in names if name not in known]
        if unknown:
            raise argparse.ArgumentTypeError(f"{unknown[0]} is none of {', '.join(known)}")
        return names

    return parse


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(",") if part)


def _python(text: str) -> tuple[str, Path]:
    tool, _, path = text.partition("=")
    if tool not in TOOLS or not Path(path).is_file():
        raise argparse.ArgumentTypeError(f"{text}: a tool and the path of a Python, as sqlflow=.venv/bin/python")
    return tool, Path(path)


if __name__ == "__main__":
    main()
