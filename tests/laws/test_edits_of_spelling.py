"""An edit of letter case or of quotes is an edit where rows may show it, and none where they cannot."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest
from lawful import Lawful
from on_postgres import LawfulPostgres

# Before, after, and whether the rows may be others.
EDITS_ON_DUCKDB = [
    ("SELECT to_json(t) AS j FROM (SELECT id AS userId FROM ext.t) AS t", "userId", "userID", True),
    ("SELECT to_json(t) AS j FROM (SELECT id AS userId FROM ext.t) AS t", "userId", "other", True),
    ("WITH c AS (SELECT id AS userId FROM ext.t) SELECT to_json(c) AS j FROM c", "userId", "userID", True),
    ("SELECT t::VARCHAR AS v FROM (SELECT id AS userId FROM ext.t) AS t", "userId", "USERID", True),
    ("SELECT to_json({userId: id}) AS j FROM ext.t", "userId", "userID", True),
    ("SELECT to_json(struct_pack(userId := id)) AS j FROM ext.t", "userId", "userID", True),
    (
        "SELECT alias(userId) AS j FROM (SELECT id AS userId FROM ext.t)",
        "SELECT id AS userId",
        "SELECT id AS userID",
        True,
    ),
    (
        "SELECT what, v FROM (UNPIVOT (SELECT id AS userId FROM ext.t) ON userId INTO NAME what VALUE v)",
        "id AS userId",
        "id AS userID",
        True,
    ),
    (
        "SELECT max(COLUMNS('User')) AS m FROM (SELECT id AS aUser, -id AS buser FROM ext.t)",
        "aUser, -id AS buser",
        "auser, -id AS bUser",
        True,
    ),
    ("SELECT 'userId' AS name, id FROM ext.t", "userId", "userID", True),
    ("SELECT id, user FROM ext.t", "user", '"user"', True),
    ("SELECT id AS number FROM ext.t AS t WHERE t.id > 0", "AS t WHERE t.id", "AS T WHERE T.ID", False),
    ('SELECT "id" AS number FROM ext.t', '"id"', "id", False),
    ("SELECT sum(id) AS number FROM ext.t", "sum(id)", "SUM(ID)", False),
    ("WITH c AS (SELECT id AS userId FROM ext.t) SELECT userId + 1 AS n FROM c", "userId", "userid", False),
]
EDITS_ON_POSTGRES = [
    ("SELECT id, user::text AS who FROM ext.t", "user::", '"user"::', True),
    ('SELECT id, "A" AS a FROM ext.t', '"A"', '"a"', True),
    ('SELECT to_json(t)::text AS j FROM (SELECT id AS "userId" FROM ext.t) AS t', "userId", "userID", True),
    ("SELECT row_to_json(t)::text AS j FROM (SELECT id AS user_id FROM ext.t) AS t", "user_id", "other_id", True),
    ("SELECT id AS number FROM ext.t", "id AS", '"id" AS', False),
    ("SELECT id AS number FROM ext.t", "id AS", "ID AS", False),
]


def rows(project: Lawful, query: str) -> list[str]:
    """The rows of a query in the engine's own SQL."""
    if not isinstance(project, LawfulPostgres):
        return sorted(map(repr, project.rows(query)))
    with psycopg.connect(project.url) as connection:
        return sorted(map(repr, connection.execute(query.encode()).fetchall()))


def edited(project: Lawful, query: str, before: str, after: str, matters: bool) -> None:
    """Edits the model, and holds it and a child of it against fresh tables."""
    assert before in query
    child = "SELECT * FROM a.parent"
    project.write({"models/a/parent.sql": query, "models/a/child.sql": child})
    built = project.build()
    assert built.code == 0, built.told
    project.write({"models/a/parent.sql": query.replace(before, after)})
    if not matters:
        assert project.planned() == []
        return
    built = project.build()
    assert built.code == 0, built.told
    wanted = rows(project, query.replace(before, after))
    assert rows(project, "SELECT * FROM a.parent") == wanted
    assert rows(project, "SELECT * FROM a.child") == wanted
    assert project.planned() == []


@pytest.mark.parametrize(("query", "before", "after", "matters"), EDITS_ON_DUCKDB)
def test_on_duckdb(tmp_path: Path, query: str, before: str, after: str, matters: bool) -> None:
    project = Lawful(tmp_path)
    project.begin({})
    project.sql(
        "CREATE SCHEMA ext",
        'CREATE TABLE ext.t (id INTEGER, "user" VARCHAR)',
        "INSERT INTO ext.t VALUES (1, 'x'), (2, NULL)",
    )
    edited(project, query, before, after, matters)


@pytest.mark.parametrize(("query", "before", "after", "matters"), EDITS_ON_POSTGRES)
def test_on_postgres(tmp_path: Path, query: str, before: str, after: str, matters: bool) -> None:
    project = LawfulPostgres(tmp_path)
    try:
        project.begin({})
        config = (tmp_path / "sqlflow.yml").read_text().replace("dialect: duckdb", "dialect: postgres")
        (tmp_path / "sqlflow.yml").write_text(config)
        project.own_sql(
            "CREATE SCHEMA ext",
            'CREATE TABLE ext.t (id INTEGER, "user" TEXT, "A" INTEGER, a INTEGER)',
            "INSERT INTO ext.t VALUES (1, 'x', 1, 2), (2, NULL, 3, 4)",
        )
        edited(project, query, before, after, matters)
    finally:
        project.drop()
