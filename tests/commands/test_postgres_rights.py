"""A role that may do no more than docs/targets/postgres.md says."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from markdown_cases import sqlflow
from own_server import OwnServer, own_server

FILES = {
    "sqlflow.yml": "name: flights\ndialect: postgres\ntargets: {prod: {engine: postgres, url: '${DATABASE_URL}'}}\n",
    "sources/raw.yml": "raw.planes: {path: data/planes.csv}\n",
    "data/planes.csv": "id,seats\n1,100\n2,200\n",
    "seeds/carriers.csv": "carrier,name\nUA,United\nDL,Delta\n",
    "models/staging/flights.sql": "-- @mode: view\nSELECT id, day, carrier, delay FROM app.flights\n",
    "models/marts/delays.sql": "-- @mode: incremental\n-- @time: day\n-- @checks:\n--   - not_null: day\n"
    "SELECT day, carrier, count(*) AS n FROM staging.flights GROUP BY day, carrier\n",
    "models/marts/log.sql": "-- @mode: append\n-- @cursor: id\nSELECT id, carrier FROM app.flights\n",
    "models/marts/newest.sql": "-- @mode: merge\n-- @key: carrier\n-- @cursor: id\nSELECT carrier, id FROM app.flights\n",
    "models/marts/named.sql": "SELECT c.name, count(*) AS n FROM app.flights AS f JOIN seeds.carriers AS c USING (carrier) GROUP BY 1\n",
    "models/marts/seats.sql": "SELECT sum(seats) AS seats FROM raw.planes\n",
}
DATA = (
    "CREATE SCHEMA app",
    "CREATE TABLE app.flights (id int, day date, carrier text, delay int)",
    "INSERT INTO app.flights VALUES (1, '2013-01-01', 'UA', 2), (2, '2013-01-01', 'DL', -4), (3, '2013-01-02', 'UA', 33)",
    "CREATE TABLE app.crew AS SELECT 1 AS id",
)
RIGHTS = (
    "GRANT USAGE ON SCHEMA app TO flights",
    "GRANT SELECT ON app.flights TO flights",
    *(f"CREATE SCHEMA {name} AUTHORIZATION flights" for name in ("_sqlflow", "staging", "marts", "seeds", "raw")),
)


@pytest.fixture(scope="module")
def server() -> Iterator[OwnServer]:
    with own_server() as running:
        running.sql("CREATE ROLE flights LOGIN PASSWORD 'change-me'")
        yield running


@pytest.fixture
def project(server: OwnServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    server.sql("CREATE DATABASE warehouse")
    server.sql(*DATA, *RIGHTS, database="warehouse")
    monkeypatch.setenv("DATABASE_URL", server.over_tcp("warehouse", "flights", "change-me"))
    _write(tmp_path, FILES)
    yield tmp_path
    server.sql("DROP DATABASE warehouse WITH (FORCE)")


def _write(project: Path, files: dict[str, str]) -> None:
    for path, text in files.items():
        (project / path).parent.mkdir(parents=True, exist_ok=True)
        (project / path).write_text(text)


def _build(project: Path, code: int) -> str:
    ran = sqlflow(project, "sqlflow build")
    assert ran.code == code, ran.out + ran.err
    return ran.out + ran.err


def test_such_a_role_can_build_and_cannot_write_elsewhere(server: OwnServer, project: Path) -> None:
    _build(project, 0)
    server.sql("INSERT INTO app.flights VALUES (4, '2013-01-01', 'UA', 5)", database="warehouse")
    _build(project, 0)
    assert "nothing to do" in _build(project, 0)
    for command in ("verify", "check", "clean --drop", "diff marts.log marts.log", "state rebuild"):
        assert sqlflow(project, f"sqlflow {command}").code == 0, command
    with psycopg.connect(server.database("warehouse", "flights"), autocommit=True) as connection:
        for statement in ("INSERT INTO app.flights VALUES (5)", "CREATE TABLE app.mine (i int)", "CREATE SCHEMA mine"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement.encode())


@pytest.mark.parametrize(
    ("path", "text", "told"),
    [
        (
            "models/marts/crew.sql",
            "SELECT id FROM app.crew\n",
            ("permission denied for table crew", "`GRANT SELECT ON crew TO ...`"),
        ),
        (
            "models/other/flights.sql",
            "SELECT id FROM app.flights\n",
            ("permission denied for database warehouse", "`CREATE SCHEMA other AUTHORIZATION ...`"),
        ),
        (
            "models/app/mine.sql",
            "SELECT id FROM app.flights\n",
            ("permission denied for schema app", "`GRANT USAGE, CREATE ON SCHEMA app TO ...`"),
        ),
        (
            "models/marts/hooked.sql",
            "-- @before: DELETE FROM app.flights\nSELECT id FROM app.flights\n",
            ("the statement in `@before` failed: permission denied for table flights", "GRANT"),
        ),
        (
            "models/app/crew.sql",
            "SELECT id FROM app.flights\n",
            ("app.crew",),
        ),
    ],
)
def test_what_is_missing_is_told_with_what_to_grant(
    server: OwnServer, project: Path, path: str, text: str, told: tuple[str, ...]
) -> None:
    _write(project, {path: text})
    found = _build(project, 1)
    assert "[missing-privilege]" in found or "[foreign-table]" in found, found
    for part in told:
        assert part in found
    with psycopg.connect(server.database("warehouse")) as connection:
        rows = connection.execute("SELECT count(*) FROM app.flights").fetchall()
    assert rows == [(3,)]


def test_a_role_that_may_not_see_our_memory_does_not_build(
    server: OwnServer, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would take everything for unbuilt, and build beside the role that did."""
    _build(project, 0)
    server.sql("DROP ROLE IF EXISTS other", "CREATE ROLE other LOGIN PASSWORD 'change-me'")
    server.sql("GRANT USAGE ON SCHEMA app TO other", "GRANT SELECT ON app.flights TO other", database="warehouse")
    monkeypatch.setenv("DATABASE_URL", server.over_tcp("warehouse", "other", "change-me"))
    assert "[missing-privilege]" in _build(project, 1)
