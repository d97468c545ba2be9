"""Faults that are put into a copy of the package, one at a time, to see that `make test` finds them.

`python -m fuzz.faults` with `tests` on the path tries all, or those that are named. Most are found by the seeds of every
day. Where a fault shows too rarely in them, it names the trap in tests/laws/test_traps.py that finds it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from fuzz.campaign import SHORT

HERE = Path(__file__).parent.parent
PACKAGE = HERE.parent / "sqlflow"


@dataclass(frozen=True, slots=True)
class Fault:
    """In `path`, `right` becomes `wrong`. `trap`: what finds it if it is not left to the fuzz: a test of test_traps.py, or
    the tests of every day in another file of `laws`."""

    name: str
    path: str
    right: str
    wrong: str
    trap: str = ""

    def places(self) -> int:
        """How often its text is there to be changed: once, or the fault has to be written anew."""
        return (PACKAGE / self.path).read_text().count(self.right)


FAULTS = (
    Fault(
        # Not in the engine's words: there the facts that are tried of an engine find it, and it is done otherwise.
        "NULL keys are compared with =",
        "plan/log.py",
        'words.same(compose("{t}.{c}", t=left, c=Ident(c)), compose("{t}.{c}", t=right, c=Ident(c))) for c in columns',
        'compose("{l}.{c} = {r}.{c}", l=left, r=right, c=Ident(c)) for c in columns',
        "test_null_is_a_key_like_any_other",
    ),
    Fault(
        "NULL keys of a merge are compared with =",
        "plan/subject.py",
        'words.same(compose("{t}.{c}", t=Ident(left), c=Ident(c)), compose("{t}.{c}", t=Ident(right), c=Ident(c)))',
        'compose("{l}.{c} = {r}.{c}", l=Ident(left), r=Ident(right), c=Ident(c))',
        "test_strategies.py",
    ),
    Fault(
        "the term of a join in which both sides changed is dropped",
        "plan/following/delta.py",
        "for size in range(1, max((len(term & place.keys()) for term in terms), default=0) + 1):",
        "for size in range(1, 2):",
    ),
    Fault(
        "that term has the wrong sign",
        "plan/following/delta.py",
        "sign = -1 if (size + 1 + len(removed)) % 2 else 1",
        "sign = -1 if len(removed) % 2 else 1",
    ),
    Fault(
        "a SUM counts all rows, not those with a value",
        "compiler/following/counters.py",
        'count = exp.column(self._counter("count", f"count({inner}){suffix}"))',
        'count = exp.column(self._counter("count", f"count(*){suffix}"))',
        "test_a_sum_becomes_null_when_its_last_value_goes",
    ),
    Fault(
        "HAVING is not asked of groups that leave",
        "plan/following/delta.py",
        'having = Sql("") if grouping.having is None else',
        'having = Sql("") if grouping.having is None or rows is _BEFORE else',
        "test_having_that_flips",
    ),
    Fault(
        "MIN and MAX are kept after a deletion",
        "plan/following/delta.py",
        "growing = shape.grouping is not None and not shape.grouping.additive",
        "growing = False",
        "test_minimum_and_maximum_when_they_are_removed",
    ),
    Fault(
        "counts of distinct values are added up",
        "compiler/following/counters.py",
        "not isinstance(argument, (exp.Distinct, exp.Order, exp.Star))",
        "not isinstance(argument, (exp.Order, exp.Star))",
        "test_a_value_that_is_counted_once_comes_again",
    ),
    Fault(
        "a group stays when its last row goes",
        "plan/following/delta.py",
        "GROUP BY {keys} HAVING sum({rows}) <> 0",
        "GROUP BY {keys} HAVING sum({rows}) IS NOT NULL",
    ),
    Fault(
        "the side of a semi join that is not kept is multiplied out",
        "compiler/following/products.py",
        'if join.kind in ("SEMI", "ANTI") or join.side in ("LEFT", "FULL")',
        'if join.side in ("LEFT", "FULL")',
    ),
    Fault(
        "rows that an outer join leaves without a key are forgotten",
        "compiler/following/keys.py",
        "        if nulled:\n",
        "        if nulled and not name:\n",
        "test_a_full_join",
    ),
    Fault(
        "a reader misses the newest version",
        "plan/following/delta.py",
        '"{version} > {after} AND {version} <= {upto}"',
        '"{version} > {after} AND {version} < {upto}"',
        "test_an_update_is_a_delete_and_an_insert",
    ),
    Fault(
        "of several equal rows one is written down",
        "engines/duckdb_sql.py",
        "unnest(range(CAST({n} AS BIGINT)))",
        "unnest(range(1))",
        "test_duplicates_are_rows_of_their_own",
    ),
    Fault(
        "a reader takes the version that it had read already once more",
        "plan/following/delta.py",
        '"{version} > {after} AND {version} <= {upto}"',
        '"{version} >= {after} AND {version} <= {upto}"',
        "test_a_reader_that_fails_reads_each_version_once",
    ),
    Fault(
        "a log forgets a version that somebody has not read yet",
        "plan/log.py",
        "log=self.log, version=VERSION, read=self.read)",
        "log=self.log, version=VERSION, read=self.read + 1)",
    ),
    Fault(
        "the oldest event of a key wins",
        "plan/modes/merge.py",
        'ORDER BY {cursor} DESC NULLS LAST) "',
        'ORDER BY {cursor} NULLS LAST) "',
        "test_strategies.py",
    ),
    Fault(
        "an older row is merged over a newer one",
        "plan/modes/merge.py",
        '"(_target.{c} > {latest}.{c} OR (',
        '"(FALSE OR (',
        "test_strategies.py",
    ),
    Fault(
        "a remembered deletion does not keep out older rows",
        "plan/modes/merge.py",
        '        _without_deleted(subject),\n        write(compose("DELETE FROM {deleted}',
        '        write(compose("DELETE FROM {deleted}',
        "test_strategies.py",
    ),
)


def told(fault: Fault, seeds: str = SHORT) -> str:
    """What the fuzz says of a package with this fault: its first finding, empty when it finds nothing."""
    with tempfile.TemporaryDirectory(prefix="sqlflow-fault-") as folder:
        copy = Path(folder) / "sqlflow"
        shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
        path = copy / fault.path
        assert fault.places() == 1, f"{fault.path} is not as it was when this fault was written"
        path.write_text(path.read_text().replace(fault.right, fault.wrong))
        words = ["fuzz", "--seeds", seeds, "--jobs", "1", "--stop-after", "1", "--shrink", "0"]
        if fault.trap:
            place = str(HERE / "laws" / fault.trap)
            if not fault.trap.endswith(".py"):
                place = f"{HERE / 'laws' / 'test_traps.py'}::{fault.trap}"
            words = [
                "pytest",
                "-q",
                "-p",
                "no:cacheprovider",
                "-c",
                str(HERE.parent / "pyproject.toml"),
                "-m",
                "not long",
                place,
            ]
        done = subprocess.run(
            [sys.executable, "-m", *words],
            env={**os.environ, "PYTHONPATH": os.pathsep.join((folder, str(HERE)))},
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode == 0:
        return ""
    if fault.trap:
        failed = [line for line in done.stdout.splitlines() if line.startswith("FAILED") and fault.trap in line]
        assert failed, done.stdout
        return fault.trap
    found = next((line for line in done.stderr.splitlines() if line.startswith("seed ")), "")
    assert done.returncode == 1, done.stderr
    assert found, done.stderr
    return found


def main() -> None:
    wanted = [fault for fault in FAULTS if not sys.argv[1:] or any(word in fault.name for word in sys.argv[1:])]
    for fault in wanted:
        print(f"{fault.name}: {told(fault) or 'NOT FOUND'}", flush=True)


if __name__ == "__main__":
    main()
