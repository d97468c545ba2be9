"""SQL of PostgreSQL that is valid there and beyond SQLFlow's own parser, from the command line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import psycopg
import pytest
from lawful import Built
from on_postgres import LawfulPostgres

from sqlflow.core.diagnostics import ProjectError

TREE = (
    "WITH RECURSIVE t AS (SELECT id, up FROM o WHERE up IS NULL "
    "UNION ALL SELECT o.id, o.up FROM ext.o AS o JOIN t ON t.id = o.up) "
)


@pytest.fixture
def there(tmp_path: Path) -> Iterator[LawfulPostgres]:
    project = LawfulPostgres(tmp_path)
    project.begin({})
    config = project.root / "sqlflow.yml"
    config.write_text(config.read_text().replace("dialect: duckdb", "dialect: postgres"))
    project.own_sql(
        "CREATE SCHEMA ext",
        "CREATE TABLE ext.o (id int PRIMARY KEY, up int, name text, v int, j jsonb)",
        "CREATE TABLE ext.p (id int, pid int, PRIMARY KEY (id, pid))",
        """INSERT INTO ext.o VALUES (1, NULL, 'anna', 3, '{"x": 1}'), (2, 1, 'ben', 1, '{"y": 1}')""",
        "INSERT INTO ext.p VALUES (1, 1), (1, 2), (2, 1)",
    )
    project.write({"sources/o.yml": "raw.o: {table: ext.o}\n"})
    yield project
    project.drop()


def _rows(project: LawfulPostgres, query: str) -> Sequence[tuple[object, ...]]:
    with psycopg.connect(project.url) as connection:
        return sorted(connection.execute(query.encode()).fetchall(), key=repr)


def _built(project: LawfulPostgres, query: str) -> Built:
    project.write({"models/m/one.sql": query})
    return project.build()


def _told(project: LawfulPostgres, query: str) -> list[str]:
    """The problems of a project: code, place and message."""
    with pytest.raises(ProjectError) as caught:
        _built(project, query)
    return [
        f"{p.code} {p.span.line}:{p.span.column} {p.message}" if p.span is not None else p.message
        for p in caught.value.diagnostics
    ]


QUERIES = [
    "SELECT id FROM {o} WHERE j ? 'x'",
    "SELECT id, j ?| ARRAY['x', 'z'] AS a, (j) ? 'x' AS b, j->'x' ? 'x' AS c, j::jsonb ? 'y' AS d, '[]'::jsonb?'a' AS e FROM {o}",
    "SELECT o.id, o.name, count(*) AS n FROM {o} AS o JOIN ext.p AS p ON p.id = o.id GROUP BY o.id",
    "SELECT o.*, count(p.pid) AS n FROM {o} AS o LEFT JOIN ext.p AS p USING (id) GROUP BY o.id",
    "SELECT p.id, p.pid, count(o.id) AS n FROM ext.p AS p LEFT JOIN {o} AS o USING (id) GROUP BY p.pid, p.id",
    "{tree} SEARCH DEPTH FIRST BY id SET ord SELECT id, up, ord::text AS ord FROM t",
    "{tree} SEARCH BREADTH FIRST BY id, up SET ord, u AS (SELECT 1 AS one) SELECT t.id, u.one FROM t, u ORDER BY ord LIMIT 2",
    "{tree} CYCLE id SET c USING path SELECT id, c, path::text AS path FROM t",
    "{tree} CYCLE id, up SET c TO 'y' DEFAULT 'n' USING path SELECT id, c FROM t",
    "{tree} SEARCH DEPTH FIRST BY id SET ord CYCLE id SET c TO 1 DEFAULT 0 USING path SELECT id, c FROM t ORDER BY ord",
    "VALUES ((SELECT max(id) FROM {o}), 2), (3, 4)",
    "WITH a AS (SELECT max(id) AS m FROM {o}) VALUES ((SELECT m FROM a)), (3)",
    "SELECT id FROM {o} UNION ALL VALUES (7)",
    "SELECT k.id, o.name FROM {o} AS o JOIN ext.p AS p USING (id) AS k",
    "SELECT k.id, q.id AS b FROM {o} AS q JOIN ext.p USING (id) AS k LEFT JOIN ext.p AS r ON r.id = k.id",
    "SELECT id, v FROM {o} ORDER BY v USING > LIMIT 1",
    "SELECT max(id) AS m, array_agg(v ORDER BY v USING OPERATOR(pg_catalog.<) NULLS LAST, id) AS vs FROM {o}",
    "SELECT id, row_number() OVER (ORDER BY v USING >, id USING <) AS n FROM {o}",
    "SELECT id, name ~>=~ 'b' AS a, point(v, 1) <<| point(1, 2) AS b FROM {o}",
]


def test_what_only_the_server_can_read_is_built_and_follows_its_parents(there: LawfulPostgres) -> None:
    """Each query in a model of its own, in one project."""
    there.write({"models/m/o.sql": "SELECT * FROM ext.o WHERE id > 0", "sources/o.yml": "{}\n"})
    queries = {}
    for number, query in enumerate(QUERIES):
        parent = "ext.o" if "GROUP BY" in query else "o"  # tables of models have no primary key
        tree = TREE.replace("FROM o", f"FROM {parent}").replace("ext.o AS", f"{parent} AS")
        text = query.replace("{tree}", tree).replace("{o}", parent)
        there.write({f"models/m/q{number}.sql": text})
        queries[f"m.q{number}"] = query.replace("{tree}", TREE.replace("FROM o", "FROM ext.o")).replace("{o}", "ext.o")

    def wrong() -> dict[str, str]:
        pairs = ((name, query, f"SELECT * FROM ({query}) AS q") for name, query in queries.items())
        return {n: query for n, query, wanted in pairs if _rows(there, f"SELECT * FROM {n}") != _rows(there, wanted)}

    assert there.build().code == 0
    assert "nothing to do" in there.build().told
    assert wrong() == {}
    there.own_sql(
        """INSERT INTO ext.o VALUES (5, 2, 'eve', 2, '{"x": 5, "y": 6}')""",
        "UPDATE ext.o SET v = 9, name = 'bernd' WHERE id = 2",
        "INSERT INTO ext.p VALUES (5, 1)",
    )
    assert there.build().code == 0
    assert wrong() == {}
    assert "nothing to do" in there.build().told
    there.write({"models/m/o.sql": "SELECT * FROM ext.o WHERE id > 1"})
    assert there.build().code == 0
    there.own_sql("DELETE FROM ext.o WHERE id <= 1")
    assert there.build().code == 0  # those that read it themselves
    assert wrong() == {}


def test_a_catalogue_is_read_by_its_usual_name_and_told_as_what_it_is(there: LawfulPostgres) -> None:
    there.write({"models/m/two.sql": "SELECT count(*) AS n FROM pg_tables WHERE schemaname = 'ext'"})
    query = "SELECT relname::text AS t FROM pg_class WHERE relname IN ('o', 'x') AND relkind = 'r'"
    assert _built(there, query).code == 0
    there.own_sql("CREATE TABLE ext.x (id int)")
    assert there.build().code == 0
    assert _rows(there, "SELECT t FROM m.one") == [("o",), ("x",)]
    assert _rows(there, "SELECT n FROM m.two") == [(3,)]


def test_a_catalogue_that_there_is_not_is_told_at_its_place(there: LawfulPostgres) -> None:
    assert _told(there, "SELECT 1 AS one\nFROM pg_clas") == ["unknown-table 2:6 there is no table `pg_clas`"]


def test_a_table_of_the_search_path_that_is_called_like_a_catalogue_is_no_lost_input(there: LawfulPostgres) -> None:
    name = there.url.split("?")[0].rsplit("/", 1)[1]
    there.own_sql("CREATE TABLE ext.pg_mine (id int)", f"ALTER DATABASE {name} SET search_path = ext")
    assert _told(there, "SELECT id FROM pg_mine")[0].startswith("syntax 1:1 this query reads `ext.pg_mine`")


def test_what_cannot_be_read_is_told_with_its_word_and_what_to_do(there: LawfulPostgres) -> None:
    with pytest.raises(ProjectError) as caught:
        _built(there, "SELECT k.id,\n  collation for (o.name) AS a\nFROM ext.o JOIN ext.p USING (id) AS k")
    problem = caught.value.diagnostics[0]
    assert problem.span is not None
    assert (problem.code, problem.span.line) == ("syntax", 2)
    assert "view of the database" in (problem.hint or "")


def test_a_placeholder_is_still_refused_where_a_value_stands(there: LawfulPostgres) -> None:
    queries = [
        "SELECT ? AS a",
        "SELECT 1 AS a WHERE 1 = ?",
        "SELECT id FROM ext.o WHERE j ? ?",
        "SELECT id FROM ext.o LIMIT ?",
    ]
    for query in queries:
        assert [told.partition(" ")[0] for told in _told(there, query)] == ["placeholder"], query


def test_a_record_is_refused_before_anything_is_built(there: LawfulPostgres) -> None:
    told = _told(there, TREE.replace("FROM o", "FROM ext.o") + "CYCLE id SET c USING path SELECT id, path FROM t")
    assert told[0].startswith("type-error 1:1 the column `path` is a record")


def test_grouping_by_a_primary_key_in_a_view_and_in_parts(there: LawfulPostgres) -> None:
    there.write(
        {
            "models/m/seen.sql": "-- @mode: view\nSELECT o.id, o.name, count(*) AS n FROM ext.o AS o JOIN ext.p AS p USING (id) GROUP BY o.id",
            "models/m/inside.sql": "-- @mode: inline\nSELECT o.id, o.v, count(*) AS n FROM ext.o AS o GROUP BY o.id",
            "models/m/two.sql": "SELECT id, v, n FROM inside WHERE n > 0",
        }
    )
    assert _built(there, "SELECT name, sum(n) AS n FROM seen GROUP BY name").code == 0
    there.own_sql("INSERT INTO ext.p VALUES (2, 7)", "UPDATE ext.o SET name = 'bea', v = 5 WHERE id = 2")
    assert there.build().code == 0
    assert _rows(there, "SELECT name, n FROM m.one") == [("anna", 2), ("bea", 2)]
    assert (2, 5, 1) in _rows(there, "SELECT id, v, n FROM m.two")
    assert "nothing to do" in there.build().told
