"""A project that uses every mode, with batches, hooks, checks and seeds; what happens to it; how it is built elsewhere."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from children import Child
from lawful import Lawful
from opened import scratch

FILES = {
    "sources/raw.yml": """
raw.events: {table: ext.events}
raw.files: {path: data/*.parquet}
raw.changes: {table: ext.changes, cursor: c}
""",
    "seeds/dims.csv": "k,name\n0,none\n1,one\n2,two\n",
    "models/staging/events.sql": "-- @mode: view\n-- @checks:\n--   - not_null: [id]\nSELECT id, day, k, v FROM raw.events\n",
    "models/staging/pieces.sql": "-- @mode: inline\nSELECT day, k, n FROM raw.files WHERE n > 0\n",
    "models/inc/days.sql": "-- @mode: incremental\n-- @time: day\n-- @checks:\n--   - unique: [day, k]\n"
    "SELECT day, k, count(*) AS n, CAST(sum(v) AS BIGINT) AS total FROM staging.events GROUP BY ALL\n",
    "models/inc/batched.sql": "-- @mode: incremental\n-- @time: day\n-- @batch: 7 days\n"
    "SELECT e.day, e.id, e.v, p.n FROM staging.events AS e LEFT JOIN staging.pieces AS p ON p.day = e.day AND p.k = e.k\n",
    "models/inc/months.sql": "-- @mode: incremental\n-- @time: month\n-- @grain: month\n-- @batch: 1 month\n"
    "SELECT CAST(date_trunc('month', day) AS DATE) AS month, CAST(sum(n) AS BIGINT) AS n FROM inc.days GROUP BY 1\n",
    "models/log/lines.sql": "-- @mode: append\n-- @cursor: c\nSELECT c, k1, v FROM raw.changes\n",
    "models/keyed/newest.sql": "-- @mode: merge\n-- @key: [k1, k2]\n-- @cursor: c\n-- @deleted: {column: op, values: [D]}\n"
    "-- @before: INSERT INTO ext.hooked VALUES ('before')\n-- @after: INSERT INTO ext.hooked VALUES ('after')\n"
    "SELECT k1, k2, c, v, op FROM raw.changes\n",
    "models/keyed/stream.sql": "-- @mode: merge\n-- @key: [k1, k2]\n-- @cursor: c\n-- @deleted: {column: op, values: [D]}\n"
    "-- @strategy: cdc\nSELECT k1, k2, c, v, op FROM raw.changes\n",
    "models/keyed/swapped.sql": "-- @mode: merge\n-- @key: [k1, k2]\n-- @cursor: c\n-- @conflict: latest_wins\n"
    "-- @deleted: {column: op, values: [D]}\n-- @strategy: swap\nSELECT k1, k2, c, v, op FROM raw.changes\n",
    "models/keyed/off.sql": "-- @mode: append\n-- @cursor: c\n-- @incremental: off\nSELECT c, k1, v FROM raw.changes\n",
    "models/marts/named.sql": "-- @mode: replace\n-- @checks:\n--   - row_count: {min: 1}\n"
    "SELECT d.name, count(*) AS n, sum(b.n) AS pieces FROM inc.batched AS b JOIN staging.events AS e USING (id) "
    "LEFT JOIN seeds.dims AS d ON d.k = e.k GROUP BY ALL\n",
    "models/marts/keys.sql": "SELECT k1, count(*) AS n FROM keyed.newest GROUP BY k1\n",
    "models/kept/linear.sql": "-- @strategy: delta\nSELECT e.id, e.day, d.name, e.v FROM staging.events AS e JOIN seeds.dims AS d ON d.k = e.k WHERE e.v > 3\n",
    "models/kept/grouped.sql": "-- @strategy: delta\n-- @checks:\n--   - unique: [k]\n"
    "SELECT k, count(*) AS n, sum(v) AS total, avg(v) AS mean, count(day) AS days FROM raw.events GROUP BY k HAVING count(*) > 1\n",
    "models/kept/most.sql": "-- @strategy: delta\nSELECT day, max(v) AS most, min(id) AS first_id FROM raw.events GROUP BY day\n",
    "models/kept/keyed.sql": "-- @strategy: delta\nSELECT e.k, d.name, count(DISTINCT e.day) AS days, median(e.v) AS middle "
    "FROM raw.events AS e LEFT JOIN seeds.dims AS d ON d.k = e.k GROUP BY ALL\n",
    "models/kept/newest.sql": "-- @strategy: delta\nSELECT id, day, k FROM raw.events QUALIFY row_number() OVER (PARTITION BY day ORDER BY id DESC, k) = 1\n",
    "models/kept/child.sql": "-- @strategy: delta\nSELECT n > 50 AS many, sum(total) AS total, count(*) AS ks FROM kept.grouped GROUP BY ALL\n",
    "models/kept/merged.sql": "-- @strategy: delta\nSELECT k2, count(*) AS n, sum(v) AS total FROM keyed.newest GROUP BY k2\n",
    "models/kept/streamed.sql": "-- @strategy: delta\nSELECT k2, op, count(*) AS n, sum(v) AS total, max(c) AS newest FROM keyed.stream GROUP BY ALL\n",
    "models/kept/swapped.sql": "-- @strategy: delta\nSELECT k1, k2, v + 1 AS more, c FROM keyed.swapped WHERE v % 3 <> 0\n",
    "models/kept/both.sql": "-- @strategy: delta\nSELECT s.k1, s.k2, s.v AS streamed, w.v AS swapped FROM keyed.stream AS s "
    "JOIN keyed.swapped AS w ON w.k1 IS NOT DISTINCT FROM s.k1 AND w.k2 = s.k2\n",
    "models/kept/unmatched.sql": "-- @strategy: delta\nSELECT s.k2, count(*) AS n, count(w.c) AS matched FROM keyed.stream AS s "
    "LEFT JOIN kept.swapped AS w ON w.k2 = s.k2 AND w.c = s.c GROUP BY ALL\n",
    "models/kept/pieces.sql": "-- @strategy: delta\nSELECT p.k, l.name, sum(p.n) AS n FROM raw.files AS p LEFT JOIN kept.linear AS l ON l.id = p.n GROUP BY ALL\n",
    "models/hist/versions.sql": "-- @mode: snapshot\n-- @key: [k1, k2]\n-- @cursor: c\n-- @deleted: {column: op, values: [D]}\n"
    "SELECT k1, k2, c, v, op FROM raw.changes\n",
    "models/hist/buried.sql": "-- @mode: snapshot\n-- @key: [k1, k2]\n-- @cursor: c\n-- @deleted: op = 'D'\n-- @deleted_rows: tombstone\n"
    "SELECT k1, k2, c, v, op FROM raw.changes WHERE k2 IS NOT NULL\n",
    "models/kept/ended.sql": "-- @strategy: delta\nSELECT k2, count(*) AS n, sum(v) AS total, max(valid_to) AS ended FROM hist.versions GROUP BY k2\n",
    "models/marts/lines.sql": "-- @mode: view\nSELECT count(*) AS n, max(c) AS newest FROM log.lines\n",
}


# A part of them in which each way of writing a table is met once.
ONE_OF_EACH = {
    path: text
    for path, text in FILES.items()
    if not path.startswith("models/")
    or path.removeprefix("models/").removesuffix(".sql")
    in (
        "staging/events", "staging/pieces", "inc/days", "inc/batched", "log/lines", "keyed/newest", "keyed/stream",
        "keyed/swapped", "marts/named", "kept/linear", "kept/grouped", "kept/merged",
    )
}  # fmt: skip


def begin(made: Lawful, files: Mapping[str, str] = FILES) -> Lawful:
    """The project with its first data, not built yet."""
    root = made.root
    made.begin(files)
    (root / "data").mkdir()
    _parquet(
        root / "data" / "a.parquet", "SELECT DATE '2024-01-01' + i::INT AS day, i % 3 AS k, i AS n FROM range(30) t(i)"
    )
    made.sql(
        "CREATE SCHEMA ext",
        "CREATE TABLE ext.events AS SELECT i::INT AS id, CASE WHEN i % 17 <> 0 THEN DATE '2024-01-01' + (i % 45)::INT END AS day, "
        "i % 4 AS k, i AS v FROM range(200) t(i)",
        "CREATE TABLE ext.changes AS SELECT CASE WHEN i % 11 <> 0 THEN i % 9 END AS k1, i % 2 AS k2, "
        "TIMESTAMP '2024-01-01' + INTERVAL (i) HOUR AS c, i AS v, CASE WHEN i % 7 = 0 THEN 'D' ELSE 'U' END AS op FROM range(60) t(i)",
        "CREATE TABLE ext.hooked (what VARCHAR)",
    )
    return made


def happen(made: Lawful) -> None:
    """New and late rows, ties, deletes, another file, another seed, and an edited model."""
    root = made.root
    made.sql(
        "INSERT INTO ext.events SELECT 1000 + i, DATE '2024-02-20' + i::INT, i % 4, i FROM range(20) t(i)",
        "INSERT INTO ext.events VALUES (2000, '2023-06-06', 1, 5), (2001, NULL, 2, 6), (2002, '2024-01-05', NULL, NULL)",
        "UPDATE ext.events SET v = v + 1 WHERE id BETWEEN 20 AND 25",
        "UPDATE ext.events SET day = NULL WHERE id = 30",
        "DELETE FROM ext.events WHERE day = '2024-01-09'",
        "INSERT INTO ext.changes SELECT i % 9, i % 2, TIMESTAMP '2024-01-03 10:00:00' + INTERVAL (i) HOUR, 100 + i, "
        "CASE WHEN i % 5 = 0 THEN 'D' ELSE 'U' END FROM range(1, 20) t(i)",
        "INSERT INTO ext.changes VALUES (3, 5, '2024-01-03 11:00:00', 1, 'U'), (NULL, NULL, '2024-01-02 00:00:00', 2, 'U')",
    )
    _parquet(
        root / "data" / "b.parquet", "SELECT DATE '2024-01-20' + i::INT AS day, i % 3 AS k, -i AS n FROM range(9) t(i)"
    )
    _parquet(
        root / "data" / "c.parquet",
        "SELECT DATE '2024-02-01' + i::INT AS day, i % 3 AS k, 1 + i AS n FROM range(9) t(i)",
    )
    made.write({"seeds/dims.csv": "k,name\n0,none\n1,uno\n3,three\n"})
    days = FILES["models/inc/days.sql"].replace("sum(v)", "sum(v + 1)")
    made.write({"models/inc/days.sql": days})


def happen_more(made: Lawful) -> None:
    """What shows whether everything that must be remembered was."""
    made.sql(
        "DELETE FROM ext.events WHERE day = '2024-01-12'",
        "UPDATE ext.events SET v = 77 WHERE day = '2024-01-15' OR day IS NULL",
        "INSERT INTO ext.events VALUES (3000, '2022-02-02', 1, 1)",
        "INSERT INTO ext.changes VALUES (4, 1, '2024-01-01 02:30:00', 9, 'U'), (4, 1, '2024-01-05 02:30:00', 10, 'U')",
    )


def _parquet(path: Path, query: str) -> None:
    with scratch() as connection:
        connection.execute(f"COPY ({query}) TO '{path}' (FORMAT parquet)")


def child(made: Lawful, *arguments: str, **environ: object) -> Child:
    """`sqlflow` in a process of its own, with the engine that can be killed."""
    told = {name: str(value) for name, value in environ.items()}
    environment = {**os.environ, **made.environ(), **told}
    return Child(*arguments, "--project", str(made.root), cwd=made.root, environ=environment, module="killing_engine")


def wait_for_lock(made: Lawful) -> int:
    """The process that holds the build lock of the project's folder."""
    lock = made.root / ".sqlflow" / "build-dev.lock"
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline:
        try:
            return int(json.loads(lock.read_text())["pid"])
        except (OSError, ValueError):
            time.sleep(0.01)
    raise AssertionError("the build did not begin")


@contextmanager
def held(made: Lawful, folder: Path, **environ: object) -> Iterator[Child]:
    """A build that stands still in the middle of its statements as long as the block runs, and then goes on."""
    gate = folder / "gate.hold"
    gate.touch()
    gate.with_suffix(".held").unlink(missing_ok=True)
    process = child(made, "build", HOLD=gate, **environ)
    try:
        deadline = time.monotonic() + 240
        while not gate.with_suffix(".held").exists():
            assert process.poll() is None, process.communicate()[1]
            assert time.monotonic() < deadline, "the build did not come to its middle"
            time.sleep(0.02)
        yield process
    finally:
        gate.unlink()
