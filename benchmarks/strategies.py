"""What each strategy of a merge costs, and what `auto` makes of it: CPU seconds of whole builds.

    python benchmarks/strategies.py [--rows 1000000] [--shares 0.001,0.01,0.2,0.8] [--happens changed,new,again] [--tries 1]
    python benchmarks/strategies.py --weights [--rows 1000000] [--tries 3]

A table of that many rows is merged once. Then a share of it happens: keys that change (`changed`), keys that are new
(`new`), or events that are mostly in the table as they are (`again`, nine of ten). Each strategy does the same from a copy
of the same database, in a process of its own. `picked` is what `auto` chose; the ratio is its CPU seconds to those of the
cheapest strategy.

`--weights` derives the seconds per row and column that `sqlflow/plan/strategies.py` begins with: each kind of statement on a
table of that many rows and eight columns, half of whose keys are met, with its commit and checkpoint; least of the tries.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import duckdb

CONFIG = "name: strategies\ntargets: {dev: {engine: duckdb, path: strategies.duckdb}}\n"
MODEL = """\
-- @mode: merge
-- @key: k
-- @cursor: c
-- @conflict: latest_wins
-- @deleted: {column: op, values: [D]}
-- @strategy: STRATEGY
SELECT k, c, op, name, amount, price, note, hash FROM ext.changes
"""
ROW = "SELECT i AS k, BASE + i AS c, 'I' AS op, 'name ' || (i % 1000) AS name, i * 2 + EXTRA AS amount, (i % 100)::DECIMAL(18, 2) AS price, i / 3.0 AS note, md5(i::VARCHAR) AS hash"
STRATEGIES = ("merge", "cdc", "swap", "auto")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--shares", default="0.001,0.01,0.2,0.8")
    parser.add_argument("--happens", default="changed,new,again")
    parser.add_argument("--tries", type=int, default=1, help="the least CPU time of that many counts")
    parser.add_argument("--weights", action="store_true", help="derive the weights of the prices instead")
    asked = parser.parse_args()
    if asked.weights:
        _print_weights(asked.rows, asked.tries)
        return
    with tempfile.TemporaryDirectory(prefix="sqlflow-strategies-") as folder:
        base = Path(folder) / "base"
        _begin(base, asked.rows)
        print(f"{asked.rows:,} rows; CPU seconds of a whole build (seconds of the writing alone)")
        print(f"{'happens':<8} {'share':>6}  " + "".join(f"{s:>16}" for s in STRATEGIES) + "  picked     auto/best")
        for happens in asked.happens.split(","):
            for share in map(float, asked.shares.split(",")):
                _compare(base, Path(folder), asked.rows, happens, share, asked.tries)


COLUMNS = 8
MET = "EXISTS (SELECT 1 FROM met WHERE met.r = t.rowid)"
ALIKE = " AND ".join(
    f"t.{c} IS NOT DISTINCT FROM latest.{c}" for c in ("c", "op", "name", "amount", "price", "note", "hash")
)
PRUNE = f"DELETE FROM latest USING (SELECT * FROM t WHERE {MET}) AS t WHERE t.k = latest.k AND {ALIKE}"
SWAP = f"CREATE OR REPLACE TABLE t AS SELECT * FROM t WHERE NOT {MET} UNION ALL SELECT * FROM latest"


def _print_weights(rows: int, tries: int) -> None:
    half, few = rows // 2, rows // 100

    def least(statement: str, step: int = 2, beyond: int = 0) -> float:
        return min(_seconds(rows, statement, step, beyond) for _ in range(tries))

    insert = least("INSERT INTO t FROM latest", beyond=rows) / half / COLUMNS
    delete = least(f"DELETE FROM t WHERE {MET}") / half
    copy = least(SWAP) / rows / COLUMNS
    all_compared, few_compared = least(PRUNE), least(PRUNE, step=100)
    compare = (all_compared - few_compared) / (half - few) / COLUMNS
    scan = max(0.0, few_compared / COLUMNS - compare * few) / rows
    found = {"insert": insert, "delete": delete, "scan": scan, "compare": compare, "copy": copy}
    for name, seconds in found.items():
        print(f"{name}={seconds * 1e6:.3f}e-6")


def _seconds(rows: int, statement: str, step: int, beyond: int) -> float:
    """CPU seconds of one statement with its commit and checkpoint, where every `step`-th key comes again, or as many new ones."""
    row = ROW.replace("BASE", "0").replace("EXTRA", "0")
    with (
        tempfile.TemporaryDirectory(prefix="sqlflow-weights-") as folder,
        duckdb.connect(f"{folder}/t.duckdb") as connection,
    ):
        connection.execute(f"CREATE TABLE t AS {row} FROM range({rows}) r(i)")
        connection.execute(f"CREATE TEMP TABLE latest AS {row} FROM range({beyond}, {beyond + rows}, {step}) r(i)")
        connection.execute("CREATE TEMP TABLE met AS SELECT t.rowid AS r FROM t SEMI JOIN latest ON t.k = latest.k")
        connection.execute("CHECKPOINT")
        before = time.process_time()
        connection.execute(f"BEGIN; {statement}; COMMIT; CHECKPOINT")
        return time.process_time() - before


def _begin(base: Path, rows: int) -> None:
    """The project, built once and merged once more, so that the model knows its own run times."""
    (base / "models" / "m").mkdir(parents=True)
    (base / "sqlflow.yml").write_text(CONFIG)
    (base / "models" / "m" / "t.sql").write_text(MODEL.replace("STRATEGY", "auto"))
    row = ROW.replace("BASE", "0").replace("EXTRA", "0")
    with duckdb.connect(str(base / "strategies.duckdb")) as connection:
        connection.execute("CREATE SCHEMA ext")
        connection.execute(f"CREATE TABLE ext.changes AS {row} FROM range({rows}) t(i)")
    _build(base)


def _compare(base: Path, folder: Path, rows: int, happens: str, share: float, tries: int) -> None:
    count = max(1, int(rows * share))
    step = rows / count
    key = f"{rows} + j" if happens == "new" else f"CAST(j * {step} AS BIGINT)"
    # Events told again have the cursor that they had; one key in ten has a new version.
    later = f"{2 * rows}" if happens != "again" else f"(CASE WHEN i % 10 = 0 THEN {2 * rows} ELSE 0 END)"
    extra = {"changed": "1", "new": "0", "again": "(CASE WHEN i % 10 = 0 THEN 1 ELSE 0 END)"}[happens]
    row = ROW.replace("BASE", later).replace("EXTRA", extra)
    query = f"{row} FROM (SELECT {key} AS i FROM range({count}) r(j))"
    totals: dict[str, float] = {}
    writing: dict[str, float] = {}
    picked = ""
    for strategy in STRATEGIES:
        for _ in range(tries):
            copy = folder / "copy"
            shutil.copytree(base, copy)
            (copy / "models" / "m" / "t.sql").write_text(MODEL.replace("STRATEGY", strategy))
            with duckdb.connect(str(copy / "strategies.duckdb")) as connection:
                if happens == "again":  # a stream that keeps its last window only
                    connection.execute(f"CREATE TEMP TABLE events AS {query}")
                    connection.execute("DELETE FROM ext.changes")
                    connection.execute("INSERT INTO ext.changes FROM events")
                else:
                    connection.execute(f"INSERT INTO ext.changes {query}")
            seconds, result = _build(copy)
            shutil.rmtree(copy)
            if seconds < totals.get(strategy, float("inf")):
                totals[strategy] = seconds
                writing[strategy] = result["facts"].get("apply_seconds", 0.0)
            if strategy == "auto":
                picked = result["strategy"]
    best = min(totals.values())
    cells = "".join(f"{totals[s]:>8.2f} ({writing[s]:5.2f})" for s in STRATEGIES)
    print(f"{happens:<8} {share:>6.1%}  {cells}  {picked:<10} {totals['auto'] / best:.2f}", flush=True)


def _build(root: Path) -> tuple[float, dict]:
    """CPU seconds of `sqlflow build` in a process of its own, and how the model's task ended."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-m", "sqlflow", "build", "--json", "--project", str(root)], capture_output=True, text=True
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        sys.exit(done.stdout + done.stderr)
    results = [json.loads(line) for line in done.stdout.splitlines()]
    found = [event for event in results if event.get("table") == "m.t" and "facts" in event]
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, found[-1]


if __name__ == "__main__":
    main()
