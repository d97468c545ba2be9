"""What other users of the server do to a build: deadlocks, concurrent updates, timeouts, answers that never come."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg
import pytest
from lawful import Built, Lawful
from on_postgres import LawfulPostgres

from sqlflow.core.engine import EngineError
from sqlflow.engines.postgres import PostgresEngine, open_engine
from sqlflow.project.config import read_config

CONFIG = "name: lawful\ndialect: postgres\ntargets: {dev: {engine: postgres, url: '${LAWFUL_URL}'%s}}\n"


@pytest.fixture
def project(tmp_path: Path) -> Iterator[LawfulPostgres]:
    made = LawfulPostgres(tmp_path)
    made.begin({"sqlflow.yml": CONFIG % ""})
    with psycopg.connect(made.url, autocommit=True) as there:
        there.execute("CREATE SCHEMA ext")
        there.execute("CREATE TABLE ext.a AS SELECT 1 AS n")
        there.execute("CREATE TABLE ext.b AS SELECT 1 AS n")
    yield made
    made.drop()


def _in_background(project: Lawful) -> Callable[[], Built]:
    """Start a build; what is returned waits for it."""
    found: list[Built] = []
    thread = threading.Thread(target=lambda: found.append(project.build()), daemon=True)
    thread.start()

    def wait() -> Built:
        thread.join(60)
        assert found, "the build did not end"
        return found[0]

    return wait


def _wait_until_it_waits(project: LawfulPostgres) -> None:
    """Until the build waits for a lock of somebody else."""
    deadline = time.monotonic() + 30
    with psycopg.connect(project.url, autocommit=True) as there:
        waiting = "SELECT 1 FROM pg_locks WHERE NOT granted AND locktype IN ('relation', 'transactionid', 'tuple')"
        while not there.execute(waiting).fetchall():
            assert time.monotonic() < deadline, "the build does not wait"
            time.sleep(0.01)


def test_a_deadlock_is_tried_again(project: LawfulPostgres) -> None:
    project.write({"models/m.sql": "-- @before: LOCK TABLE ext.a\n-- @after: LOCK TABLE ext.b\nSELECT n FROM ext.a\n"})
    with psycopg.connect(project.url) as other:
        other.execute("SET deadlock_timeout = '60s'")  # so that the build is the one that is told of it
        other.execute("LOCK TABLE ext.b")
        built = _in_background(project)
        _wait_until_it_waits(project)
        other.execute("LOCK TABLE ext.a")
        other.commit()
        assert built().code == 0
    assert project.rows("SELECT n FROM main.m") == [(1,)]


def test_an_update_at_the_same_time_is_tried_again(project: LawfulPostgres) -> None:
    project.write({"models/m.sql": "-- @before: UPDATE ext.b SET n = n + 1\nSELECT n FROM ext.a\n"})
    with psycopg.connect(project.url) as other:
        other.execute("UPDATE ext.b SET n = n + 10")
        built = _in_background(project)
        _wait_until_it_waits(project)
        other.commit()
        assert built().code == 0
    assert project.rows("SELECT n FROM ext.b") == [(12,)]


def test_what_conflicts_again_and_again_is_given_up(project: LawfulPostgres) -> None:
    with psycopg.connect(project.url, autocommit=True) as there:
        there.execute("CREATE SEQUENCE ext.tries")
        there.execute(
            "CREATE FUNCTION ext.fail() RETURNS int LANGUAGE plpgsql AS $$ BEGIN PERFORM nextval('ext.tries'); "
            "RAISE EXCEPTION 'no' USING ERRCODE = '40001'; END $$"
        )
    project.write({"models/m.sql": "-- @before: SELECT ext.fail()\nSELECT n FROM ext.a\n"})
    built = project.build()
    assert built.code == 1
    assert "error[write-conflict]" in built.told
    assert project.rows("SELECT last_value FROM ext.tries") == [(6,)]


def test_a_statement_that_takes_too_long_is_told(project: LawfulPostgres) -> None:
    project.write(
        {
            "sqlflow.yml": CONFIG % ", statement_timeout: 300 ms",
            "models/slow.sql": "SELECT n, pg_sleep(20) IS NULL AS slept FROM ext.a\n",
            "models/fast.sql": "SELECT n FROM ext.a\n",
        }
    )
    built = project.build()
    assert built.code == 1
    assert "error[statement-timeout]: canceling statement due to statement timeout" in built.told
    assert "raise `statement_timeout` of the target" in built.told
    assert project.rows("SELECT n FROM main.fast") == [(1,)]


# ---------------------------------------------------------------- the answer to a COMMIT gets lost


class Wire:
    """Passes bytes between clients and the server, and cuts the wire of the one that commits when it is told to.

    `before`: the server never hears of the COMMIT; otherwise it does, and its answer does not arrive.
    """

    def __init__(self, project: LawfulPostgres) -> None:
        given = psycopg.conninfo.conninfo_to_dict(project.url)
        self._server = str(given["host"]), int(given.get("port") or 5432)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self.cut: str | None = None
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            there = self._connected()
            silent = threading.Event()
            threading.Thread(target=self._forth, args=(client, there, silent), daemon=True).start()
            threading.Thread(target=self._back, args=(there, client, silent), daemon=True).start()

    def _connected(self) -> socket.socket:
        host, port = self._server
        if not host.startswith("/"):
            return socket.create_connection((host, port))
        made = socket.socket(socket.AF_UNIX)
        made.connect(f"{host}/.s.PGSQL.{port}")
        return made

    def _forth(self, client: socket.socket, there: socket.socket, silent: threading.Event) -> None:
        with there, client, suppress(OSError):
            while block := _received(client):
                if self.cut is not None and b"COMMIT" in block:
                    before, self.cut = self.cut == "before", None
                    if not before:
                        silent.set()
                        there.sendall(block)
                        time.sleep(0.5)
                    client.shutdown(socket.SHUT_RDWR)
                    time.sleep(0.5)  # the server notices later
                    return
                there.sendall(block)

    def _back(self, there: socket.socket, client: socket.socket, silent: threading.Event) -> None:
        with suppress(OSError):
            while block := _received(there):
                if not silent.is_set():
                    client.sendall(block)
            client.close()

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


def _received(end: socket.socket) -> bytes:
    try:
        return end.recv(65536)
    except OSError:
        return b""


@contextmanager
def _through_a_wire(project: LawfulPostgres) -> Iterator[tuple[Wire, PostgresEngine]]:
    given = psycopg.conninfo.conninfo_to_dict(project.url)
    wire = Wire(project)
    plain = "gssencmode=disable sslmode=disable"
    url = f"host=127.0.0.1 port={wire.port} user={given['user']} dbname={given['dbname']} {plain}"
    config = read_config(project.root, None, {}, {"LAWFUL_URL": url})
    engine = open_engine(config, writing=True, create=False, wait=0, emit=lambda event: None, files=())
    assert engine is not None
    try:
        yield wire, engine
    finally:
        engine.close()
        wire.close()


def _add_one(engine: PostgresEngine, wire: Wire, cut: str | None) -> None:
    session = engine.session()
    session.begin()
    session.execute("UPDATE ext.a SET n = n + 1")
    wire.cut = cut
    try:
        session.commit()
    except EngineError:
        session.rollback()
        raise
    finally:
        assert wire.cut is None, "the wire was not cut"


def test_a_commit_that_did_not_arrive_may_be_tried_again(project: LawfulPostgres) -> None:
    with _through_a_wire(project) as (wire, engine):
        with pytest.raises(EngineError) as failed:
            _add_one(engine, wire, "before")
        assert failed.value.code == "connection-lost"
        assert failed.value.conflict
        _add_one(engine, wire, None)
    assert project.rows("SELECT n FROM ext.a") == [(2,)]


def test_a_commit_that_was_done_without_an_answer_is_known_to_be_done(project: LawfulPostgres) -> None:
    with _through_a_wire(project) as (wire, engine):
        _add_one(engine, wire, "after")
        _add_one(engine, wire, None)
    assert project.rows("SELECT n FROM ext.a") == [(3,)]


def test_a_commit_of_which_nobody_knows_is_not_tried_again(
    project: LawfulPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sqlflow.engines.postgres._UNSURE_SECONDS", 0.3)
    with _through_a_wire(project) as (wire, engine):
        session = engine.session()
        session.begin()
        session.execute("UPDATE ext.a SET n = n + 1")
        wire.cut = "after"
        wire.close()  # nobody can connect any more
        with pytest.raises(EngineError) as failed:
            session.commit()
        assert failed.value.code == "commit-unknown"
        assert not failed.value.conflict
