"""A project that was built by an older version of SQLFlow: what it left behind, as text that a person can read.

`python tests/upgraded.py FOLDER` lets the version that is installed build the project, and writes down in FOLDER, for each
engine, the warehouse, the run-state file, and what it would do next, at once and after more changes. It is done before a format changes, once. `restored` makes the project from it
again.
"""

from __future__ import annotations

import contextlib
import sqlite3
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import duckdb
import psycopg
from lawful import Lawful
from on_postgres import LawfulPostgres

KEPT = Path(__file__).parent / "upgrade"

FILES = {
    "sources/raw.yml": """
raw.events: {table: ext.events}
raw.stamped: {table: ext.stamped, cursor: c, key: k}
raw.holes: {table: ext.holes, cursor: c}
raw.log: {table: ext.log, cursor: c, append_only: true}
raw.moving: {table: ext.moving, cursor: c, append_only: true}
raw.swaying: {table: ext.swaying, cursor: c, key: k}
raw.files: {path: "data/*.csv", columns: {day: DATE, n: INTEGER}}
""",
    "seeds/dims.csv": "k,name\n0,none\n1,one\n2,two\n",
    "models/staging/events.sql": "-- @mode: view\nSELECT id, day, k, v FROM raw.events\n",
    "models/inc/days.sql": "-- @mode: incremental\n-- @time: day\nSELECT day, count(*) AS n, sum(v) AS total FROM staging.events GROUP BY ALL\n",
    "models/inc/batched.sql": "-- @mode: incremental\n-- @time: day\n-- @batch: 7 days\nSELECT day, n FROM raw.files\n",
    "models/inc/stamped.sql": "-- @mode: incremental\n-- @time: c\nSELECT c, k, v FROM raw.stamped\n",
    "models/log/lines.sql": "-- @mode: append\n-- @cursor: c\nSELECT c, k, v FROM raw.log\n",
    "models/log/back.sql": "-- @mode: append\n-- @cursor: c\n-- @lookback: 2 days\nSELECT c, k, v FROM raw.holes\n",
    "models/keyed/newest.sql": "-- @mode: merge\n-- @key: k\n-- @cursor: c\nSELECT k, c, v FROM raw.stamped\n",
    "models/keyed/stream.sql": "-- @mode: merge\n-- @key: k\n-- @cursor: c\n-- @strategy: cdc\n-- @deleted: {column: op, values: [D]}\n"
    "SELECT k, c, v, op FROM raw.swaying\n",
    "models/keyed/swapped.sql": "-- @mode: merge\n-- @key: k\n-- @strategy: swap\nSELECT k, max(v) AS v FROM raw.stamped GROUP BY k\n",
    "models/keyed/named.sql": "-- @mode: merge\n-- @key: k\nSELECT k, name FROM seeds.dims\n",
    "models/kept/linear.sql": "-- @strategy: delta\nSELECT e.id, e.day, d.name, e.v FROM staging.events AS e JOIN seeds.dims AS d ON d.k = e.k\n",
    "models/kept/grouped.sql": "-- @strategy: delta\nSELECT k, count(*) AS n, sum(v) AS total FROM raw.events GROUP BY k\n",
    "models/kept/most.sql": "-- @strategy: delta\nSELECT day, max(v) AS most FROM raw.events GROUP BY day\n",
    "models/kept/lines.sql": "-- @strategy: delta\nSELECT k, count(*) AS n, sum(v) AS total FROM raw.log GROUP BY k\n",
    "models/kept/pieces.sql": "-- @strategy: delta\nSELECT day, n + 1 AS n FROM raw.files\n",
    "models/kept/moved.sql": "-- @strategy: delta\n-- @before: INSERT INTO ext.moving SELECT TIMESTAMP '2024-05-05 05:00:00', 5, 5 WHERE "
    "EXISTS (SELECT 1 FROM ext.moving WHERE k = 4) AND NOT EXISTS (SELECT 1 FROM ext.moving WHERE k = 5)\nSELECT k, v, c FROM raw.moving\n",
    "models/kept/swayed.sql": "-- @strategy: delta\n-- @before: INSERT INTO ext.swaying SELECT TIMESTAMP '2024-05-05 05:00:00', 5, 5, 'U' WHERE "
    "EXISTS (SELECT 1 FROM ext.swaying WHERE k = 4) AND NOT EXISTS (SELECT 1 FROM ext.swaying WHERE k = 5)\nSELECT k, v, c FROM raw.swaying\n",
    "models/marts/replaced.sql": "-- @mode: replace\n-- @checks:\n--   - row_count: {min: 1}\nSELECT k, count(*) AS n FROM kept.linear AS l "
    "JOIN seeds.dims AS d ON d.name = l.name GROUP BY ALL\n",
    "models/marts/today.sql": "SELECT id FROM raw.events WHERE day < current_date\n",
    "tests/positive.sql": "SELECT id FROM raw.events WHERE v < 0\n",
}

_TABLES = (
    "CREATE SCHEMA ext",
    "CREATE TABLE ext.events AS SELECT i::INT AS id, CASE WHEN i % 17 <> 0 THEN DATE '2024-01-01' + (i % 9)::INT END AS day, "
    "(i % 3)::INT AS k, i AS v FROM range(24) t(i)",
    "CREATE TABLE ext.stamped AS SELECT TIMESTAMP '2024-01-01' + INTERVAL (i) HOUR AS c, i AS k, i * 2 AS v FROM range(12) t(i)",
    "CREATE TABLE ext.holes AS SELECT CASE WHEN i <> 3 THEN TIMESTAMP '2024-01-01' + INTERVAL (i) DAY END AS c, i AS k, i AS v FROM range(8) t(i)",
    "CREATE TABLE ext.log AS SELECT TIMESTAMP '2024-01-01' + INTERVAL (i) HOUR AS c, i % 3 AS k, i AS v FROM range(12) t(i)",
    "CREATE TABLE ext.moving AS SELECT TIMESTAMP '2024-01-01' + INTERVAL (i) HOUR AS c, i AS k, i AS v FROM range(4) t(i)",
    "CREATE TABLE ext.swaying AS SELECT TIMESTAMP '2024-01-01' + INTERVAL (i) HOUR AS c, i AS k, i AS v, "
    "CASE WHEN i = 2 THEN 'D' ELSE 'U' END AS op FROM range(4) t(i)",
)  # fmt: skip


def begin(made: Lawful) -> None:
    """The project with its first data, not built yet."""
    made.begin(FILES)
    made.write({"data/a.csv": "day,n\n2024-01-01,1\n2024-01-02,2\n", "data/b.csv": "day,n\n2024-01-03,3\n"})
    made.sql(*_TABLES)


def happen(made: Lawful) -> None:
    """What lets every table grow, and some of them change."""
    made.write({"data/c.csv": "day,n\n2024-01-04,4\n2024-02-01,5\n"})
    made.sql(
        "INSERT INTO ext.events VALUES (100, '2024-01-20', 1, 7)",
        "UPDATE ext.events SET v = v + 1 WHERE id = 3",
        "INSERT INTO ext.stamped VALUES ('2024-01-02 00:00:00', 3, 33), ('2024-01-02 01:00:00', 20, 40)",
        "INSERT INTO ext.holes VALUES ('2024-01-09', 30, 33)",
        "INSERT INTO ext.log VALUES ('2024-01-02 00:00:00', 1, 30)",
        "INSERT INTO ext.moving VALUES ('2024-04-04 04:00:00', 4, 4)",
        "INSERT INTO ext.swaying VALUES ('2024-04-04 04:00:00', 4, 4, 'U')",
    )


def happen_more(made: Lawful) -> None:
    """What shows whether everything that must be remembered was."""
    made.write({"data/d.csv": "day,n\n2024-01-09,9\n"})
    made.sql(
        "INSERT INTO ext.events VALUES (200, '2024-02-20', 2, 17)",
        "INSERT INTO ext.stamped VALUES ('2024-01-03 00:00:00', 4, 44)",
        "INSERT INTO ext.holes VALUES ('2024-01-10', 40, 44)",
        "INSERT INTO ext.log VALUES ('2024-01-03 00:00:00', 2, 31)",
        "INSERT INTO ext.moving VALUES ('2024-06-06 06:00:00', 6, 6)",
        "INSERT INTO ext.swaying VALUES ('2024-06-06 06:00:00', 6, 6, 'U')",
    )


def restored(kept: Path, made: Lawful) -> Lawful:
    """The project as the older version left it. Its files are newer and stand in another folder, which is all that differs."""
    made.begin(FILES)
    made.write(_read_files(kept / "data.txt"))
    (made.root / ".sqlflow").mkdir()
    with contextlib.closing(sqlite3.connect(made.root / ".sqlflow" / "state.db")) as state:
        state.executescript((kept / "state.sql").read_text())
    text = (kept / "warehouse.sql").read_text().replace("{root}", str(made.root).replace("'", "''"))
    made.own_sql(*(statement for statement in text.split(";\n") if statement.strip()))
    return made


def write_down(made: Lawful, folder: Path) -> None:
    """The warehouse and the run-state of a project, as text."""
    folder.mkdir(parents=True, exist_ok=True)
    data = [f"== {path.relative_to(made.root)}\n{path.read_text()}" for path in sorted((made.root / "data").iterdir())]
    (folder / "data.txt").write_text("".join(data))
    with contextlib.closing(sqlite3.connect(made.root / ".sqlflow" / "state.db")) as state:
        (folder / "state.sql").write_text("\n".join(state.iterdump()) + "\n")
    told = _tell_postgres(made) if isinstance(made, LawfulPostgres) else _tell_duckdb(made)
    (folder / "warehouse.sql").write_text("".join(f"{line};\n" for line in told).replace(str(made.root), "{root}"))


def _read_files(path: Path) -> dict[str, str]:
    parts = path.read_text().split("== ")[1:]
    return {name: text for name, _, text in (part.partition("\n") for part in parts)}


def _tell_duckdb(made: Lawful) -> Iterator[str]:
    with duckdb.connect(str(made.database)) as here:
        here.execute("SET TimeZone = 'UTC'")
        schemas = here.execute(
            "SELECT schema_name FROM duckdb_schemas() WHERE database_name = current_database() AND NOT internal"
        )
        for (schema,) in schemas.fetchall():
            yield f'CREATE SCHEMA IF NOT EXISTS "{schema}"'
        tables = here.execute(
            "SELECT schema_name, table_name, sql FROM duckdb_tables() WHERE NOT internal ORDER BY ALL"
        ).fetchall()
        for schema, name, sql in tables:
            yield str(sql).rstrip().rstrip(";")
            columns = [row[0] for row in here.execute(f'DESCRIBE "{schema}"."{name}"').fetchall()]
            shown = ", ".join(f'CAST("{column}" AS VARCHAR)' for column in columns)
            yield from _inserts(
                f'"{schema}"."{name}"', here.execute(f'SELECT {shown} FROM "{schema}"."{name}"').fetchall()
            )
        for (sql,) in here.execute("SELECT sql FROM duckdb_views() WHERE NOT internal ORDER BY view_oid").fetchall():
            yield str(sql).rstrip().rstrip(";")


def _tell_postgres(made: LawfulPostgres) -> Iterator[str]:
    with psycopg.connect(made.url) as there:
        there.execute("SET TimeZone = 'UTC'")
        ask = there.execute
        for (schema,) in ask(
            "SELECT nspname FROM pg_namespace WHERE nspname !~ '^(pg_|information_schema|public)' ORDER BY 1"
        ).fetchall():
            yield f'CREATE SCHEMA "{schema}"'
        found = ask(
            "SELECT n.nspname, c.relname, c.relkind::text, pg_get_viewdef(c.oid), array_agg(a.attname::text ORDER BY a.attnum), "
            "array_agg(format_type(a.atttypid, a.atttypmod) ORDER BY a.attnum) FROM pg_class c "
            "JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_attribute a ON a.attrelid = c.oid "
            "WHERE c.relkind IN ('r', 'v') AND a.attnum > 0 AND NOT a.attisdropped "
            "AND n.nspname !~ '^(pg_|information_schema)' GROUP BY c.oid, 1, 2, 3 ORDER BY c.relkind, c.oid"
        ).fetchall()
        for schema, name, kind, view, columns, types in found:
            if kind == "v":
                yield f'CREATE VIEW "{schema}"."{name}" AS {view.rstrip().rstrip(";")}'
                continue
            listed = ", ".join(f'"{column}" {type_}' for column, type_ in zip(columns, types, strict=True))
            yield f'CREATE TABLE "{schema}"."{name}" ({listed})'
            shown = ", ".join(f'"{column}"::text' for column in columns)
            yield from _inserts(f'"{schema}"."{name}"', ask(f'SELECT {shown} FROM "{schema}"."{name}"').fetchall())


def _inserts(table: str, rows: list[tuple[object, ...]]) -> Iterator[str]:
    for row in sorted(rows, key=repr):
        values = ", ".join("NULL" if value is None else "'" + str(value).replace("'", "''") + "'" for value in row)
        yield f"INSERT INTO {table} VALUES ({values})"


def _main(folder: Path) -> None:
    for engine in ("duckdb", "postgres"):
        with tempfile.TemporaryDirectory() as place:
            root = Path(place) / "project"
            made = LawfulPostgres(root) if engine == "postgres" else Lawful(root)
            begin(made)
            for change in (None, happen):
                if change is not None:
                    change(made)
                built = made.build()
                print(built.told, file=sys.stderr)
                assert built.code == 0
            write_down(made, folder / engine)
            (folder / engine / "next.txt").write_text("".join(f"{task}\n" for task in made.planned()))
            happen_more(made)
            (folder / engine / "later.txt").write_text("".join(f"{task}\n" for task in made.planned()))


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    sys.argv = ["sqlflow", "build"]  # which the history tells
    _main(folder)
