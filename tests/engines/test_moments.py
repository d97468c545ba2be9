"""What engines say of the time since a moment, and that an input is told by the same text wherever it is looked at."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from every_engine import NewProject, on_every_engine
from lawful import Lawful
from on_postgres import LawfulPostgres

from sqlflow.changes import signatures
from sqlflow.core.engine import Engine
from sqlflow.core.names import TableName
from sqlflow.core.schema import Column, Schema
from sqlflow.core.sql import Sql
from sqlflow.engines import engine_module
from sqlflow.engines.postgres import PostgresEngine
from sqlflow.project.config import read_config


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    on_every_engine(metafunc, short=["test_rows_are_seen_alike_by_whichever_query"])


def _opened(made: Lawful) -> Engine:
    config = read_config(made.root, None, {}, made.environ())
    engine = engine_module(config.target.engine).open_engine(
        config, writing=False, create=False, wait=0, emit=lambda event: None, files=()
    )
    assert engine is not None
    return engine


SCHEMA = Schema((Column("id", "BIGINT"), Column("c", "BIGINT"), Column("t", "VARCHAR")))


@pytest.mark.parametrize("rows", ["SELECT 1, 2, 'a' WHERE 1 = 0", "SELECT 1, NULL, 'a'", "SELECT 1, 5, 'a' UNION ALL SELECT 2, 5, NULL UNION ALL SELECT 3, 4, 'b'",
                                  "SELECT 1, 5, 'a' UNION ALL SELECT 2, NULL, 'c' UNION ALL SELECT 2, NULL, NULL"])  # fmt: skip
def test_rows_are_seen_alike_by_whichever_query(new_project: NewProject, tmp_path: Path, rows: str) -> None:
    made = new_project(tmp_path)
    made.begin({})
    made.sql("CREATE SCHEMA ext", "CREATE TABLE ext.t (id BIGINT, c BIGINT, t VARCHAR)", f"INSERT INTO ext.t {rows}")
    engine = _opened(made)
    session, relation, cursor = engine.session(), Sql("ext.t"), SCHEMA.columns[1]
    words = engine.traits.wording
    question = signatures.told(words, relation, SCHEMA)
    assert question.answer(session.fetch(question.sql)[0]) == signatures.whole(session, relation, SCHEMA)
    for append_only in (False, True):
        found = signatures.by_cursor(
            session, relation, SCHEMA, cursor, append_only=append_only, before=None, grows=True, stored=True
        )
        question = signatures.told_by_cursor(words, relation, SCHEMA, cursor, append_only=append_only)
        assert question.answer(session.fetch(question.sql)[0]) == found.seen
        grown = signatures.only_added(words, relation, cursor, found.seen, append_only=append_only)
        if grown is not None:
            assert session.fetch(grown) == [(True,)]
    engine.close()


# ---------------------------------------------------------------- a server to which others write


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[tuple[LawfulPostgres, PostgresEngine]]:
    made = LawfulPostgres(tmp_path)
    made.begin({})
    made.own_sql(
        "CREATE SCHEMA ext", "CREATE TABLE ext.t AS SELECT i AS id FROM generate_series(1, 9) AS i", "CREATE TABLE ext.o (id int)"
    )  # fmt: skip
    opened = _opened(made)
    assert isinstance(opened, PostgresEngine)
    yield made, opened
    opened.close()
    made.drop()


TABLE = TableName("ext", "t")


@pytest.mark.parametrize(
    "written",
    ["INSERT INTO ext.t VALUES (10)", "UPDATE ext.t SET id = id WHERE id = 3", "DELETE FROM ext.t WHERE id = 9", "TRUNCATE ext.t",
     "BEGIN; DELETE FROM ext.t; INSERT INTO ext.t SELECT generate_series(1, 9); COMMIT"],
)  # fmt: skip
def test_what_others_write_is_seen(engine: tuple[LawfulPostgres, PostgresEngine], written: str) -> None:
    made, opened = engine
    moment, session = opened.moment(), opened.session()
    assert opened.untouched_since(moment)
    assert session.unwritten(TABLE, 9, moment)
    made.own_sql("INSERT INTO ext.o VALUES (1)")
    assert not opened.untouched_since(moment)
    assert session.unwritten(TABLE, 9, moment)
    made.own_sql(written)
    assert not session.unwritten(TABLE, 9, moment)
    assert session.unwritten(TABLE, session.fetch("SELECT count(*) FROM ext.t")[0][0], opened.moment())  # type: ignore[arg-type]


def test_what_was_begun_before_a_moment_and_ends_after_it_is_seen(
    engine: tuple[LawfulPostgres, PostgresEngine],
) -> None:
    made, opened = engine
    with psycopg.connect(made.url) as other:
        other.execute("INSERT INTO ext.t VALUES (10)")
        moment = opened.moment()
        made.own_sql("INSERT INTO ext.o VALUES (1)")
        assert opened.session().unwritten(TABLE, 9, moment)
        other.commit()
    assert not opened.untouched_since(moment)
    assert not opened.session().unwritten(TABLE, 10, moment)


def test_what_the_build_itself_writes_is_not_others_work(engine: tuple[LawfulPostgres, PostgresEngine]) -> None:
    _, opened = engine
    moment, session = opened.moment(), opened.session()
    session.begin()
    session.execute("INSERT INTO ext.o VALUES (1)")
    session.commit()
    session.begin()
    session.execute("INSERT INTO ext.o VALUES (1)")
    session.rollback()
    assert opened.untouched_since(moment)


def test_rows_that_are_elsewhere_are_not_inside(engine: tuple[LawfulPostgres, PostgresEngine]) -> None:
    made, opened = engine
    made.own_sql(
        "CREATE VIEW ext.v AS SELECT * FROM ext.t", "CREATE TABLE ext.p (id int) PARTITION BY RANGE (id)",
        "CREATE TABLE ext.child () INHERITS (ext.o)", "CREATE TABLE ext.guarded (id int)",
        "ALTER TABLE ext.guarded ENABLE ROW LEVEL SECURITY",
    )  # fmt: skip
    inside = {name.name: found.inside for name, found in opened.tables().items() if name.schema == "ext"}
    assert inside == {"t": True, "o": False, "child": True, "guarded": False, "p": False, "v": False}


def test_one_query_that_fails_is_no_harm_to_a_look(engine: tuple[LawfulPostgres, PostgresEngine]) -> None:
    made, opened = engine
    session = opened.session()
    with session.reading():
        assert session.fetch("SELECT count(*) FROM ext.t") == [(9,)]
        made.own_sql("INSERT INTO ext.t VALUES (10)")
        with pytest.raises(Exception, match="division by zero"):
            session.fetch("SELECT 1 / 0")
        assert session.fetch("SELECT count(*) FROM ext.t") == [(9,)]
    assert session.fetch("SELECT count(*) FROM ext.t") == [(10,)]
