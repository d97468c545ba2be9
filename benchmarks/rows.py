"""Measure SQLFlow on tables of millions of rows against SQL written by hand, in one run, and print Markdown tables.

    python benchmarks/rows.py --rows 1m,10m                       # every case; needs some GB of disk
    python benchmarks/rows.py --rows 1m --only "merge;partition"  # some cases
    python benchmarks/rows.py --rows 10m --only delta             # the cases whose name begins with `delta`
    python benchmarks/rows.py --rows 10m --target "memory_limit: 500MB"

A case is a project of one model over the tables of `ext` and the same work as plain SQL on DuckDB. Both make the table,
then the inputs change ("one more day"), then both bring it up to date. Every command runs in a child process; wall time,
CPU time and peak memory are those of that child. Afterwards the tables are compared with the query's result; a
difference ends the run with an error, slowness does not. `--json FILE` appends one line for each measurement.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

from measure import PYTHON, SQLFLOW, Failed, Sample, machine, run

# ---------------------------------------------------------------- the data

DAYS = 365
COLUMNS = "event_id, customer_id, product_id, day, happened_at, loaded_at, amount, score, kind, note"


def events(first: str, last: str, day: str | None = None, loaded: str = "0", version: str = "''") -> str:
    """Rows of `ext.events` for the ids `[first, last)`: ten columns, each a function of the id.

    `day`: an expression for the day; by default days follow the ids. `loaded`: days after the event at which a row came
    in. `version`: text at the end of the note, so that an update differs.
    """
    day = day or f"i * {DAYS} // $rows"
    return f"""
SELECT
    i AS event_id,
    CAST(hash(i) % 100000 AS INTEGER) AS customer_id,
    CAST(hash(i + 1) % 10000 AS INTEGER) AS product_id,
    DATE '2024-01-01' + CAST({day} AS INTEGER) AS day,
    TIMESTAMP '2024-01-01' + to_days(CAST({day} AS INTEGER)) + to_seconds(hash(i + 2) % 86400) AS happened_at,
    TIMESTAMP '2024-01-01 12:00:00' + to_days(CAST({day} + {loaded} AS INTEGER)) + to_microseconds(i) AS loaded_at,
    CAST((hash(i + 3) % 1000000) / 100 AS DECIMAL(12, 2)) AS amount,
    (hash(i + 4) % 1000003) / 1000.0::DOUBLE AS score,
    ['view', 'cart', 'order', 'return', 'call'][1 + CAST(hash(i + 5) % 5 AS INTEGER)] AS kind,
    'note ' || CAST(hash(i + 6) % 1000000 AS VARCHAR) || {version} AS note
FROM range({first}, {last}) AS ids(i)"""


SEED = f"""
CREATE SCHEMA ext;
CREATE TABLE ext.events AS {events("0", "$rows")};
CREATE TABLE ext.customers AS SELECT CAST(i AS INTEGER) AS customer_id, 'customer ' || i AS name,
    CAST(hash(i) % 7 AS INTEGER) AS region_id FROM range(100000) AS ids(i);
CREATE TABLE ext.products AS SELECT CAST(i AS INTEGER) AS product_id, 'product ' || i AS title,
    ['toys', 'food', 'books'][1 + CAST(hash(i) % 3 AS INTEGER)] AS category FROM range(10000) AS ids(i);
CREATE TABLE ext.regions AS SELECT CAST(i AS INTEGER) AS region_id, 'region ' || i AS region FROM range(7) AS ids(i);
"""

# Ids below `$rows` stand already; a new day brings `$rows / 365` more.
NEW_DAY = f"INSERT INTO ext.events {events('$rows', f'$rows + $rows // {DAYS}')};"


def update(share: float, where: str) -> str:
    """A statement that changes that share of the rows which `where` (over an id `i`) allows; they are loaded on the new day."""
    return f"""
UPDATE ext.events SET amount = amount + 1, note = note || ' late', score = score + 0.5,
    loaded_at = TIMESTAMP '2024-01-01 12:00:00' + to_days({DAYS}) + to_microseconds(event_id)
WHERE event_id IN (SELECT i FROM range($rows) AS ids(i) WHERE {where} AND hash(i + 7) % 1000000 < {int(share * 1000000)});"""


SCATTERED = update(0.01, "TRUE") + NEW_DAY
# One percent of all rows, all in the thirty newest days.
# The same change as new rows of a log.
LOG = f"""
INSERT INTO ext.events SELECT * REPLACE (amount + 1 AS amount, note || ' late' AS note,
    TIMESTAMP '2024-01-01 12:00:00' + to_days({DAYS}) + to_microseconds(event_id) AS loaded_at)
FROM ext.events WHERE hash(event_id + 7) % 1000000 < 10000;
{NEW_DAY}"""
RECENT = update(0.01 * DAYS / 30, f"i * {DAYS} // $rows >= {DAYS - 30}") + NEW_DAY


def appended(share: float) -> str:
    """That share of new rows, on the days that follow."""
    last = f"$rows + CAST({share:.6f} * $rows AS BIGINT)"
    return f"INSERT INTO ext.events {events('$rows', last)};"


def mixed(share: float) -> str:
    """A third of that share each: updated, deleted, new."""
    third = share / 3
    deleted = f"DELETE FROM ext.events WHERE event_id IN (SELECT i FROM range($rows) AS ids(i) WHERE hash(i + 8) % 1000000 < {int(third * 1000000)});"
    return update(third, "TRUE") + deleted + appended(third)


# ---------------------------------------------------------------- the cases


@dataclass(frozen=True, slots=True)
class Case:
    """`model`: the file, without header; `header`: its directives. `sources`: sources/ext.yml.

    `change`: SQL that changes the inputs of both sides; `more`: SQL that writes one more file of `data/`, for a source of
    files. `first`, `then`: the work by hand; {query} is the model's query. Without `then` there is no work by hand,
    and strategies are compared with each other instead. `wanted`: what the table should hold, if not the query's result.
    """

    name: str
    header: str
    query: str
    sources: str
    change: str
    first: str = "CREATE SCHEMA out; CREATE TABLE out.result AS {query}"
    then: str = ""
    wanted: str = ""
    files: bool = False
    strategies: tuple[str, ...] = ("",)


PASS = f"SELECT {COLUMNS} FROM ext.events"
BATCH = """
CREATE TEMP TABLE batch AS SELECT * FROM ({query}) WHERE loaded_at > (SELECT max(loaded_at) FROM out.result);
BEGIN;
DELETE FROM out.result USING batch WHERE out.result.event_id = batch.event_id;
INSERT INTO out.result SELECT * FROM batch;
COMMIT"""
RANGE = f"""
BEGIN;
DELETE FROM out.result WHERE day >= DATE '2024-01-01' + {DAYS - 30};
INSERT INTO out.result SELECT * FROM ({{query}}) WHERE day >= DATE '2024-01-01' + {DAYS - 30};
COMMIT"""
DAILY = """SELECT day, customer_id, kind, count(*) AS n, sum(amount) AS amount, max(happened_at) AS latest
FROM ext.events GROUP BY ALL"""
AGAIN = "CREATE OR REPLACE TABLE out.result AS {query}"
TABLE, CURSOR, LOGGED, APPENDED = (
    "ext.events: {table: ext.events}\n",
    "ext.events: {table: ext.events, cursor: loaded_at, key: event_id}\n",
    "ext.events: {table: ext.events, cursor: loaded_at, append_only: true}\n",
    "ext.events: {table: ext.events, cursor: event_id, append_only: true}\n",
)
GLOB = "ext.facts: {path: 'data/*.parquet'}\n"

PROJECTION = """SELECT event_id, customer_id, day, upper(kind) AS kind, amount * 2 AS doubled, score, note
FROM ext.events WHERE kind <> 'call'"""
STAR = """SELECT e.event_id, e.day, e.amount, e.note, c.name, p.title, p.category, r.region
FROM ext.events AS e
JOIN ext.customers AS c ON c.customer_id = e.customer_id
JOIN ext.products AS p ON p.product_id = e.product_id
JOIN ext.regions AS r ON r.region_id = c.region_id"""
GROUPED = """SELECT customer_id, kind, count(*) AS n, sum(amount) AS amount, avg(amount) AS mean
FROM ext.events GROUP BY customer_id, kind"""
DELTA = ("full", "delta", "auto")

CASES = [
    Case("merge, scattered", "-- @mode: merge\n-- @key: event_id\n-- @cursor: loaded_at\n", PASS, CURSOR, SCATTERED, then=BATCH),
    Case("merge, recent", "-- @mode: merge\n-- @key: event_id\n-- @cursor: loaded_at\n", PASS, CURSOR, RECENT, then=BATCH),
    Case("merge, log", "-- @mode: merge\n-- @key: event_id\n-- @cursor: loaded_at\n", PASS, LOGGED, LOG, then=BATCH,
         wanted=f"{PASS} QUALIFY row_number() OVER (PARTITION BY event_id ORDER BY loaded_at DESC) = 1"),
    Case("partition, rows", "-- @mode: incremental\n-- @time: day\n", PASS, TABLE, RECENT, then=RANGE),
    Case("partition, rows, cursor", "-- @mode: incremental\n-- @time: day\n", PASS, CURSOR, RECENT, then=RANGE),
    Case("partition, grouped", "-- @mode: incremental\n-- @time: day\n", DAILY, TABLE, RECENT, then=RANGE),
    Case("rebuild, rows", "-- @strategy: full\n", PASS, TABLE, RECENT, then=AGAIN),
    Case("rebuild, grouped", "-- @strategy: full\n", DAILY, TABLE, RECENT, then=AGAIN),
    *(
        Case(f"delta {what}, {change}", "", query, sources, sql, files=sources is GLOB, strategies=DELTA)
        for what, query in (("projection", PROJECTION), ("star", STAR), ("grouped", GROUPED))
        for change, sources, sql in (
            ("1 % appended", APPENDED, appended(0.01)),
            ("1 % in a new file", GLOB, appended(0.01)),
            ("1 % mixed", TABLE, mixed(0.01)),
            ("50 % mixed", TABLE, mixed(0.5)),
            ("100 % appended", APPENDED, appended(1.0)),
        )
    ),
]  # fmt: skip

_SCRIPT = """
import duckdb, sys
con = duckdb.connect(sys.argv[1])
text = open(sys.argv[2]).read()
for statement in text.split(";"):
    if statement.strip():
        con.execute(statement)
con.close()
"""
# The rows that the table should have, as count and sum of hashes, from the query itself.
_COMPARE = """
import duckdb, sys
con = duckdb.connect(sys.argv[1], read_only=True)
con.execute("SET memory_limit = '1GB'; SET temp_directory = '{}.tmp'".format(sys.argv[1]))
query = open(sys.argv[2]).read()
signature = "SELECT count(*), sum(hash(r)) FROM ({}) AS r"
found = con.execute(signature.format("FROM out.result")).fetchone()
wanted = con.execute(signature.format(query)).fetchone()
sys.exit(0 if found == wanted and found[0] else f"the table has {found}, the query gives {wanted}")
"""


@dataclass(frozen=True, slots=True)
class Measured:
    """One line of the result."""

    rows: int
    case: str
    side: str
    step: str
    sample: Sample


class Bench:
    """One size: the seed database, and a folder for each case and side."""

    def __init__(self, work: Path, rows: int, target: str, repeat: int) -> None:
        self.work = work / f"rows_{rows}"
        self.rows = rows
        self.target = target
        self.repeat = repeat
        self.seed = self.work / "seed.duckdb"
        self.work.mkdir(parents=True, exist_ok=True)
        if not self.seed.exists():
            unfinished = self.work / "unfinished.duckdb"
            unfinished.unlink(missing_ok=True)
            self.script(unfinished, SEED)
            unfinished.rename(self.seed)

    def measure(self, case: Case) -> Iterator[Measured]:
        for strategy in case.strategies:
            yield from self._flow(case, strategy)
        if case.then:
            yield from self._by_hand(case)

    def script(self, database: Path | str, sql: str) -> Sample:
        path = self.work / "statements.sql"
        path.write_text(sql.replace("$rows", str(self.rows)))
        return run([PYTHON, "-c", _SCRIPT, str(database), path], self.work, self.work / "script.log")

    def _flow(self, case: Case, strategy: str) -> Iterator[Measured]:
        folder = self._fresh("flow")
        query = case.query.replace("ext.events", "ext.facts") if case.files else case.query
        header = case.header + (f"-- @strategy: {strategy}\n" if strategy else "")
        (folder / "models/out").mkdir(parents=True)
        (folder / "sources").mkdir()
        (folder / "models/out/result.sql").write_text(f"{header}{query}\n")
        (folder / "sources/ext.yml").write_text(case.sources)
        options = f", {self.target}" if self.target else ""
        (folder / "sqlflow.yml").write_text(
            f"name: rows\ntargets: {{dev: {{engine: duckdb, path: warehouse.duckdb{options}}}}}\n"
        )
        (folder / "query.sql").write_text(case.wanted or query)
        shutil.copyfile(self.seed, folder / "warehouse.duckdb")
        if case.files:
            self._file(folder, "SELECT * FROM ext.events", "0")
        side = f"strategy: {strategy}" if strategy else "sqlflow"
        yield Measured(self.rows, case.name, side, "build", self._build(folder))
        if case.files:
            share = case.change.removeprefix("INSERT INTO ext.events ").rstrip(";")
            self._file(folder, share, "1")
        else:
            self.script(folder / "warehouse.duckdb", case.change)
        yield Measured(self.rows, case.name, side, "next", self._repeated(folder, self._build))
        run([PYTHON, "-c", _COMPARE, "warehouse.duckdb", "query.sql"], folder, folder / "compare.log")
        yield Measured(self.rows, case.name, side, "nothing", self._build(folder))
        shutil.rmtree(folder)

    def _file(self, folder: Path, query: str, name: str) -> None:
        (folder / "data").mkdir(exist_ok=True)
        path = folder / "data" / f"{name}.parquet"
        self.script(folder / "warehouse.duckdb", f"COPY ({query}) TO '{path}' (FORMAT parquet)")

    def _by_hand(self, case: Case) -> Iterator[Measured]:
        folder = self._fresh("hand")
        database = folder / "warehouse.duckdb"
        shutil.copyfile(self.seed, database)
        (folder / "query.sql").write_text(case.wanted or case.query)
        first = self.script(database, case.first.replace("{query}", case.query))
        yield Measured(self.rows, case.name, "by hand", "build", first)
        self.script(database, case.change)
        again = self._repeated(
            folder, lambda at: self.script(at / "warehouse.duckdb", case.then.replace("{query}", case.query))
        )
        yield Measured(self.rows, case.name, "by hand", "next", again)
        run([PYTHON, "-c", _COMPARE, "warehouse.duckdb", "query.sql"], folder, folder / "compare.log")
        shutil.rmtree(folder)

    def _repeated(self, folder: Path, work: object) -> Sample:
        """The median of several runs of `work`, each on the folder as it was; the last one stays."""
        assert callable(work)
        samples: list[Sample] = []
        saved = folder.with_name(folder.name + "-saved")
        shutil.rmtree(saved, ignore_errors=True)
        if self.repeat > 1:
            shutil.copytree(folder, saved)
        for number in range(self.repeat):
            if number:
                shutil.rmtree(folder)
                shutil.copytree(saved, folder)
            samples.append(work(folder))
        shutil.rmtree(saved, ignore_errors=True)
        return Sample(*(median(getattr(s, name) for s in samples) for name in ("wall", "cpu", "peak")))

    def _build(self, folder: Path) -> Sample:
        return run([*SQLFLOW, "build"], folder, folder / "build.log")

    def _fresh(self, name: str) -> Path:
        folder = self.work / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        return folder


# ---------------------------------------------------------------- tables


def table(found: Sequence[Measured]) -> str:
    """A row for each case and side; the ratio is to the side it is compared with, at the step after the change."""
    lines = [
        "| rows | case | side | build s | build CPU | build peak MB | next s | next CPU | next peak MB | ratio, s | ratio, CPU | nothing s |",
        "|--:|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    keys = list(dict.fromkeys((m.rows, m.case, m.side) for m in found))
    samples = {(m.rows, m.case, m.side, m.step): m.sample for m in found}
    for rows, case, side in keys:
        build, then = samples[rows, case, side, "build"], samples.get((rows, case, side, "next"))
        nothing = samples.get((rows, case, side, "nothing"))
        base = samples.get((rows, case, "by hand", "next"), samples.get((rows, case, "strategy: full", "next")))
        ratio = (
            [f"{then.wall / base.wall:.2f}", f"{then.cpu / base.cpu:.2f}"]
            if then is not None and base is not None
            else ["–", "–"]
        )
        cells = [
            f"{rows / 1e6:g}M", case, side, *_cells(build), *(_cells(then) if then else ["–"] * 3), *ratio,
            f"{nothing.wall:.2f}" if nothing else "–",
        ]  # fmt: skip
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cells(sample: Sample) -> list[str]:
    return [f"{sample.wall:.2f}", f"{sample.cpu:.2f}", f"{sample.peak / 1e6:.0f}"]


def _count(text: str) -> int:
    return int(float(text[:-1]) * 1e6) if text.lower().endswith("m") else int(text)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", default="1m", help="sizes, such as 1m,10m")
    parser.add_argument("--only", default="", help="beginnings of the names of cases, by semicolon")
    parser.add_argument("--strategies", default="", help="instead of full,delta,auto")
    parser.add_argument("--repeat", type=int, default=1, help="runs of the step after the change")
    parser.add_argument("--target", default="", help="options of the target, such as 'memory_limit: 500MB'")
    parser.add_argument("--work", type=Path, help="a folder for the data, which is kept")
    parser.add_argument("--json", type=Path, help="a file for a line of JSON for each measurement")
    asked = parser.parse_args()
    words = [word.strip() for word in asked.only.split(";") if word.strip()]
    cases = [c for c in CASES if not words or any(c.name.startswith(word) for word in words)]
    if asked.strategies:
        cases = [
            replace(c, strategies=tuple(asked.strategies.split(","))) if len(c.strategies) > 1 else c for c in cases
        ]
    temporary = None if asked.work else tempfile.mkdtemp(prefix="sqlflow-rows-")
    found: list[Measured] = []
    wrong: list[str] = []
    try:
        for rows in (_count(text) for text in asked.rows.split(",")):
            bench = Bench(asked.work or Path(str(temporary)), rows, asked.target, asked.repeat)
            for case in cases:
                try:
                    for measured in bench.measure(case):
                        found.append(measured)
                        _tell(measured, asked.json)
                except Failed as error:
                    wrong.append(f"{rows} rows, {case.name}: {error}")
                    print(wrong[-1], file=sys.stderr)
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)
    print(f"{machine()}\n\n{table(found)}")
    sys.exit("\n".join(wrong) if wrong else 0)


def _tell(measured: Measured, path: Path | None) -> None:
    sample = measured.sample
    line = {
        "rows": measured.rows, "case": measured.case, "side": measured.side, "step": measured.step,
        "wall": round(sample.wall, 3), "cpu": round(sample.cpu, 3), "peak_mb": round(sample.peak / 1e6, 1),
    }  # fmt: skip
    print(json.dumps(line), file=sys.stderr, flush=True)
    if path is not None:
        with path.open("a") as file:
            file.write(json.dumps(line) + "\n")


if __name__ == "__main__":
    main()
