"""The server goes away in the middle of a build, or one connection of it; somebody else is in the way."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from children import Child
from every_mode import ONE_OF_EACH, begin, child, happen, happen_more, held
from lawful import Lawful
from length import at_length
from on_postgres import LawfulPostgres, new_database
from own_server import OwnServer, own_server

from sqlflow.core.diagnostics import ProjectError
from sqlflow.core.engine import EngineError
from sqlflow.core.events import Event
from sqlflow.engines.postgres import PostgresEngine, open_engine
from sqlflow.project.config import read_config


@pytest.fixture(scope="module")
def server() -> Iterator[OwnServer]:
    with own_server() as running:
        yield running


# ---------------------------------------------------------------- the server is stopped


def _crash_during_builds(server: OwnServer, folder: Path, chance: random.Random, rounds: int) -> int:
    """The server is stopped as if its machine had died, at some time of a build, and started again; how many builds
    noticed."""
    whole = begin(LawfulPostgres(folder / "whole"))
    project = begin(LawfulPostgres(folder / "project", url=new_database(like=server.database("template1"))))
    assert whole.build().code == 0
    stopped = 0
    for number in range(rounds):
        (project.root / ".sqlflow" / "build-dev.lock").unlink(missing_ok=True)
        with held(project, folder, ALONE=1, HOLD_AT=chance.randint(10, 90)) as process:
            server.stop("immediate")
            server.start()
        _, told = process.communicate(timeout=240)
        assert process.returncode in (0, 1), told
        assert "Traceback" not in told
        stopped += process.returncode
        if chance.random() < 0.5:
            project.forget_state()
        for one in (project, whole):
            built = one.build()
            assert built.code == 0, built.told
            assert one.planned() == []
        assert project.contents() == whole.contents()
        for one in (project, whole):
            (happen if number == 0 else happen_more)(one)
    for one in (project, whole):
        assert one.build().code == 0
    assert project.contents() == whole.contents()
    whole.drop()
    project.drop()
    return stopped


def test_the_server_crashes_during_a_build(server: OwnServer, tmp_path: Path) -> None:
    assert _crash_during_builds(server, tmp_path, random.Random(11), 2), "no build was really disturbed"


@pytest.mark.long
def test_the_server_crashes_during_many_builds(server: OwnServer, tmp_path: Path) -> None:
    stopped = [
        _crash_during_builds(server, tmp_path / str(number), random.Random(), 3) for number in range(at_length(5))
    ]
    assert sum(stopped) > len(stopped) // 2, "too few builds were really disturbed"


# ---------------------------------------------------------------- connections are lost


@pytest.fixture
def project(tmp_path: Path) -> Iterator[LawfulPostgres]:
    made = LawfulPostgres(tmp_path)
    made.begin({})
    yield made
    made.drop()


@contextmanager
def _engine(project: Lawful, *, writing: bool = True, wait: float = 0) -> Iterator[PostgresEngine]:
    config = read_config(project.root, None, {}, project.environ())
    found = open_engine(config, writing=writing, create=False, wait=wait, emit=_silent, files=())
    assert found is not None
    try:
        yield found
    finally:
        found.close()


def _silent(event: Event) -> None:
    return


def _end_connections(project: Lawful, condition: str) -> None:
    ended = project.rows(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
        f"WHERE datname = current_database() AND pid <> pg_backend_pid() AND ({condition})"
    )
    assert ended, "there was no such connection"


_HOLDS_THE_LOCK = "pid IN (SELECT pid FROM pg_locks WHERE locktype = 'advisory')"
_NO_LOCK = f"NOT {_HOLDS_THE_LOCK}"


def test_a_connection_that_was_lost_between_transactions_is_made_again(project: LawfulPostgres) -> None:
    with _engine(project) as engine:
        session = engine.session()
        session.begin()
        session.execute("CREATE TABLE one (i INT)")
        session.commit()
        _end_connections(project, _NO_LOCK)
        session.begin()
        session.execute("INSERT INTO one VALUES (1)")
        session.commit()
    assert project.rows("SELECT i FROM one") == [(1,)]


def test_a_connection_that_is_lost_in_a_transaction_may_be_tried_again(project: LawfulPostgres) -> None:
    with _engine(project) as engine:
        session = engine.session()
        session.begin()
        session.execute("CREATE TABLE one AS SELECT 1 AS i")
        _end_connections(project, _NO_LOCK)
        with pytest.raises(EngineError) as failed:
            session.execute("INSERT INTO one VALUES (2)")
        assert failed.value.code == "connection-lost"
        assert failed.value.conflict
        session.rollback()
        session.begin()
        session.execute("CREATE TABLE one AS SELECT 1 AS i")
        session.commit()
    assert project.rows("SELECT i FROM one") == [(1,)]


def test_nothing_is_committed_without_the_lock(project: LawfulPostgres) -> None:
    """The transaction began under the lock; another build may have begun since."""
    with _engine(project) as engine:
        session = engine.session()
        session.begin()
        session.execute("CREATE TABLE one (i INT)")
        _end_connections(project, _HOLDS_THE_LOCK)
        with _engine(project):
            with pytest.raises(EngineError) as failed:
                session.commit()
            assert failed.value.code == "lock-lost"
            assert not failed.value.conflict
            session.rollback()
        with pytest.raises(EngineError) as failed:
            session.begin()
        assert failed.value.code == "lock-lost"
    assert project.rows("SELECT to_regclass('one')") == [(None,)]


def test_who_takes_the_lock_waits_for_commits_that_were_allowed(project: LawfulPostgres) -> None:
    with _engine(project) as engine:
        session = engine.session()
        session.begin()
        session.execute("CREATE TABLE one (i INT)")
        # What a commit does first; then it is held up before it does the rest.
        session.execute("SELECT pg_advisory_xact_lock_shared(1397836870, 2)")
        token = engine.token
        _end_connections(project, f"pid IN (SELECT pid FROM pg_locks WHERE objid::bigint = {token})")
        with pytest.raises(ProjectError) as refused, _engine(project, wait=0.3):
            pass
        assert refused.value.diagnostics[0].code == "build-running"
        session.rollback()
        with _engine(project) as other:
            assert other.token is not None


def test_a_build_that_loses_its_lock_stops_and_the_next_one_goes_on(tmp_path: Path) -> None:
    project, whole = (begin(LawfulPostgres(tmp_path / name), ONE_OF_EACH) for name in ("project", "whole"))
    with held(project, tmp_path, ALONE=1, HOLD_AT=150) as process:
        _end_connections(project, _HOLDS_THE_LOCK)
    _, told = process.communicate(timeout=240)
    assert process.returncode == 1, told
    assert "error[lock-lost]" in told
    assert told.count("[lock-lost]") <= 4, "each task says it again"
    assert project.build().code == whole.build().code == 0
    assert project.planned() == []
    assert project.contents() == whole.contents()
    project.drop()
    whole.drop()


def test_a_build_goes_on_when_its_other_connections_are_lost(tmp_path: Path) -> None:
    project, whole = (begin(LawfulPostgres(tmp_path / name), ONE_OF_EACH) for name in ("project", "whole"))
    process = child(project, "build", SLOW=0.01)
    _wait_for(project, "SELECT 1 FROM pg_tables WHERE schemaname = 'seeds'")
    for _ in range(3):
        _end_connections(project, f"{_NO_LOCK} AND application_name LIKE '%pid%' AND state <> 'disabled'")
        made = project.rows("SELECT count(*) FROM pg_tables")[0][0]
        _wait_for(project, f"SELECT 1 FROM pg_tables HAVING count(*) > {made}", process)
    _, told = process.communicate(timeout=240)
    assert process.returncode == 0, told
    assert whole.build().code == 0
    assert project.planned() == []
    assert project.contents() == whole.contents()
    project.drop()
    whole.drop()


def _wait_for(project: Lawful, query: str, unless_ended: Child | None = None) -> None:
    deadline = time.monotonic() + 240
    while not project.rows(query) and (unless_ended is None or unless_ended.poll() is None):
        assert time.monotonic() < deadline, "the build did not come so far"
        time.sleep(0.02)
