"""Servers of different versions: which are refused, and what older ones are said not to have."""

from __future__ import annotations

import os
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from on_postgres import CONFIG, LawfulPostgres, new_database

from sqlflow.cli.opening import versions
from sqlflow.core.config import Config
from sqlflow.core.diagnostics import ProjectError
from sqlflow.core.engine import Binder, BindError
from sqlflow.core.schema import Schema
from sqlflow.engines.postgres import PostgresBinder, PostgresEngine, open_binder, open_engine
from sqlflow.engines.postgres_versions import OLDEST, SINCE, too_new, written
from sqlflow.project.config import read_config


@pytest.fixture
def project(tmp_path: Path) -> Iterator[LawfulPostgres]:
    made = LawfulPostgres(tmp_path)
    os.environ["LAWFUL_URL"] = made.url
    made.begin({"sqlflow.yml": CONFIG.format(zone="UTC").replace("dialect: duckdb", "dialect: postgres")})
    yield made
    made.drop()


def _version(project: LawfulPostgres) -> int:
    with psycopg.connect(project.url) as connection:
        return connection.info.server_version


# ---------------------------------------------------------------- servers that are too old


@contextmanager
def _server_that_says(version: str) -> Iterator[int]:
    """The port of a server that lets everybody in, tells its version, and answers nothing more."""

    def serve() -> None:
        client, _ = listener.accept()
        with client:
            (length,) = struct.unpack("!i", client.recv(4, socket.MSG_WAITALL))
            client.recv(length - 4, socket.MSG_WAITALL)
            status = f"server_version\0{version}\0".encode()
            client.sendall(b"R" + struct.pack("!ii", 8, 0))
            client.sendall(b"S" + struct.pack("!i", 4 + len(status)) + status)
            client.sendall(b"Z" + struct.pack("!i", 5) + b"I")
            while client.recv(4096):
                pass

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield int(listener.getsockname()[1])
        thread.join(5)


def _open_at(port: int, folder: Path) -> None:
    url = f"host=127.0.0.1 port={port} user=postgres dbname=postgres sslmode=disable gssencmode=disable"
    (folder / "sqlflow.yml").write_text(CONFIG.format(zone="UTC"))
    config = read_config(folder, None, {}, {"LAWFUL_URL": url})
    open_engine(config, writing=False, create=False, wait=0, emit=lambda event: None, files=())


@pytest.mark.parametrize(("said", "told"), [("13.21", "13"), ("12.4 (Debian 12.4-1)", "12"), ("9.6.24", "9.6")])
def test_a_server_that_is_too_old_is_refused_before_anything_else_is_asked_of_it(
    tmp_path: Path, said: str, told: str
) -> None:
    with _server_that_says(said) as port, pytest.raises(ProjectError) as refused:
        _open_at(port, tmp_path)
    (problem,) = refused.value.diagnostics
    assert problem.code == "database-version"
    assert problem.message == f"the server of the target `dev` is PostgreSQL {told}"
    assert problem.hint == f"SQLFlow needs PostgreSQL {OLDEST} or later"


# ---------------------------------------------------------------- what only newer servers have


@contextmanager
def _binder(project: LawfulPostgres) -> Iterator[Binder]:
    made = open_binder(_config(project), files=())
    yield made
    made.close()


def _config(project: LawfulPostgres) -> Config:
    return read_config(project.root, None, {}, project.environ())


def test_functions_are_in_the_versions_that_are_said_to_have_them(project: LawfulPostgres) -> None:
    with psycopg.connect(project.url) as connection:
        rows = connection.execute(
            "SELECT proname FROM pg_proc WHERE pronamespace = 'pg_catalog'::regnamespace"
        ).fetchall()
    there = {name for (name,) in rows}
    version = _version(project)
    assert {name for name in SINCE if name in there} == {
        name for name, since in SINCE.items() if version >= since * 10000
    }


def test_a_function_of_newer_servers_is_told_with_their_version(project: LawfulPostgres) -> None:
    version = _version(project)
    with _binder(project) as binder:
        for name, since in SINCE.items():
            found = binder.bind(f"SELECT {name}(1, 2, 3, 4, 5, 6, 7, 8, 9)")
            assert isinstance(found, BindError)
            told = f"PostgreSQL {since} and later have `{name}`, and this server is version {written(version)}"
            assert (told in found.message) == (version < since * 10000), found.message


def test_a_query_without_a_name_in_from_is_told_by_servers_that_want_one(project: LawfulPostgres) -> None:
    with _binder(project) as binder:
        for query in ("SELECT a FROM (SELECT 1 AS a)", "SELECT count(*) FROM (VALUES (1))"):
            found = binder.bind(query)
            if _version(project) >= 160000:
                assert not isinstance(found, BindError)
            else:
                assert isinstance(found, BindError)
                assert "must have an alias; before version 16, PostgreSQL wants a name behind it" in found.message


def test_nothing_is_said_of_what_no_version_has() -> None:
    assert too_new("function summ(integer) does not exist", 140023) == ""
    assert too_new("function any_value(integer) does not exist", 160000) == ""
    assert too_new("function any_value(integer) does not exist", 150018) == (
        "PostgreSQL 16 and later have `any_value`, and this server is version 15"
    )
    assert too_new("subquery in FROM must have an alias", 150018).startswith("before version 16")


def test_a_statement_of_newer_servers_is_told_with_their_version(project: LawfulPostgres) -> None:
    project.write(
        {
            "models/m.sql": "-- @after: MERGE INTO main.m USING (SELECT 1 AS k) AS q ON n = k WHEN MATCHED THEN DO NOTHING\nSELECT 1 AS n\n"
        }
    )
    built = project.build()
    assert built.code == (1 if _version(project) < 150000 else 0), built.told
    assert ("PostgreSQL 15 and later have `MERGE`" in built.told) == (_version(project) < 150000)


def test_what_one_server_judged_is_not_taken_for_the_judgement_of_another(project: LawfulPostgres) -> None:
    config = _config(project)
    engine = open_engine(config, writing=False, create=False, wait=0, emit=lambda event: None, files=())
    assert engine is not None
    assert engine.version.startswith(f"{written(_version(project))} ")
    engine.close()
    assert versions(config, "14") != versions(config, "18")


def test_after_an_upgrade_models_are_compiled_again_and_not_built_again(
    project: LawfulPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.write({"models/m.sql": "SELECT 1 AS n\n"})
    assert project.build().code == 0
    bound: list[str] = []
    bind = PostgresBinder.bind

    def remembering(binder: PostgresBinder, query: str) -> Schema | BindError:
        bound.append(query)
        return bind(binder, query)

    monkeypatch.setattr(PostgresBinder, "bind", remembering)
    assert project.planned() == []
    assert bound == []
    monkeypatch.setattr(PostgresEngine, "version", "99")
    assert project.planned() == []
    assert len(bound) == 1


# ---------------------------------------------------------------- what differs


@pytest.mark.parametrize(
    ("since", "item", "unsteady"),
    [
        (16, "JSON_ARRAYAGG(v ORDER BY v)", ""),
        (16, "JSON_OBJECTAGG(v: v WITH UNIQUE KEYS)", "JSON_OBJECT_AGG_UNIQUE"),
        (16, "any_value(v)", "ANY_VALUE"),
        (17, "max(random(1, v))", "random"),
        (18, "max(array_sort(ARRAY[v]))", ""),
        (18, "max(uuidv7()::text)", "uuidv7"),
    ],
)
def test_functions_of_newer_servers_are_judged_like_the_others(
    project: LawfulPostgres, since: int, item: str, unsteady: str
) -> None:
    if _version(project) < since * 10000:
        pytest.skip(f"from version {since} on")
    with _binder(project) as binder:
        found = binder.unsteady(f"SELECT k, {item} AS x FROM (VALUES (1, 2)) AS t(k, v) GROUP BY k")
    assert [one.name for one in found] == ([unsteady] if unsteady else [])


def test_a_line_that_older_servers_take_for_the_end_of_a_file_is_a_value(project: LawfulPostgres) -> None:
    project.write(
        {
            "seeds/marks.csv": 'mark\na\n\\.\n"\\."\nz\n',
            "data/marks.csv": "mark\nb\n\\.\ny\n",
            "sources/raw.yml": "raw.marks: {path: data/marks.csv}\n",
            "models/m.sql": "SELECT mark FROM seeds.marks UNION ALL SELECT mark FROM raw.marks\n",
        }
    )
    built = project.build()
    assert built.code == 0, built.told
    assert sorted(str(row[0]) for row in project.rows("SELECT mark FROM main.m")) == [
        "\\.", "\\.", "\\.", "a", "b", "y", "z",
    ]  # fmt: skip


def test_a_broken_line_that_older_servers_take_for_the_end_of_a_file_is_told(project: LawfulPostgres) -> None:
    project.write(
        {
            "data/marks.csv": "n,mark\n" + "".join(f"{n},x\n" for n in range(30_000)) + "\\.\n1,z\n",
            "sources/raw.yml": "raw.marks: {path: data/marks.csv, columns: {n: INTEGER, mark: TEXT}}\n",
            "models/m.sql": "SELECT n, mark FROM raw.marks\n",
        }
    )
    built = project.build()
    assert built.code == 1, project.rows("SELECT count(*) FROM main.m")
    assert "30002" in built.told


def test_a_transaction_that_the_server_ends_is_not_tried_again(project: LawfulPostgres) -> None:
    if _version(project) < 170000:
        pytest.skip("servers before version 17 have no `transaction_timeout`")
    with psycopg.connect(project.url, autocommit=True) as connection:
        connection.execute(f"ALTER DATABASE {connection.info.dbname} SET transaction_timeout = '300ms'")
    project.write({"models/slow.sql": "SELECT pg_sleep(20) IS NULL AS slept\n"})
    built = project.build()
    assert built.code == 1
    assert "error[statement-timeout]: the server ended a transaction" in built.told
    assert "transaction_timeout" in built.told


def test_unnamed_queries_of_duckdb_are_built_on_all_servers(tmp_path: Path) -> None:
    project = LawfulPostgres(tmp_path, url=new_database())
    project.begin(
        {
            "models/m.sql": "SELECT n, col1 FROM (SELECT 1 AS n) JOIN (VALUES (1, 'x')) ON col0 = n\n",
            "models/k.sql": "-- @checks:\n--   - expression: n IN (SELECT n FROM (FROM main.m))\n"
            "SELECT unnamed_subquery.n FROM (FROM main.m)\n",
        }
    )
    built = project.build()
    assert built.code == 0, built.told
    assert project.rows("SELECT n FROM main.k") == [(1,)]
    project.drop()
