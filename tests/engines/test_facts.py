"""What promises rest on, of an engine: each fact is tried, each may stop to hold, and no table is wrong then."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pytest
from lawful import Lawful
from on_postgres import LawfulPostgres

from sqlflow.core.diagnostics import ProjectError
from sqlflow.core.engine import Row
from sqlflow.engines import duckdb_facts, postgres, postgres_facts
from sqlflow.engines.facts import Fact, Fetch, broken_facts, remembered_in
from sqlflow.project.config import read_config

FACTS = {fact.name: fact for fact in duckdb_facts.FACTS}
HERE = f"DuckDB {duckdb.__version__}"


def _tried(root: Path, change: tuple[str, str] = ("", "")) -> frozenset[str]:
    """What is found to be broken of a release that takes one text of a statement for another one."""
    project = Lawful(root)
    project.begin({})

    @contextmanager
    def scratch() -> Iterator[Fetch]:
        with duckdb_facts.scratch() as fetch:

            def other(sql: str, by: int = 0) -> Sequence[Row]:
                return fetch(sql.replace(*change), by)

            yield other

    config = read_config(root, None, {}, {})
    return broken_facts(config, f"DuckDB with {change}", duckdb_facts.FACTS, scratch, keep=False)


def test_every_fact_holds_for_the_version_that_is_installed(tmp_path: Path) -> None:
    assert _tried(tmp_path) == frozenset()


# fact -> what an engine would do to its probe in which it does not hold
RELEASES: Mapping[str, tuple[str, str]] = {
    "row_hash": ("encode(", "lower("),
    "bits": ("signbit(", "isnan("),
    "sums_of_hashes": ("sum(h)", "fsum(h)"),
    "sums": ("sum(b)", "fsum(b)"),
    "averages_divided": ("avg(", "1 + avg("),
    "averages_finished": ("finalize(", "1 + finalize("),
    "rowids": ("rowid AS r", "0 AS r"),
    "null_equality": (" IS NOT DISTINCT FROM ", " = "),
    "collations": ("COLLATE NOCASE", ""),
    "first": ('first("c")', "'y'"),
    "keeps_apart": ("SET n = 2 WHERE id = 1", "SET n = 2 WHERE id = 2"),
    "rolls_back": ("ROLLBACK", "COMMIT"),
    "dates_cut": ("date_trunc('day', d)", "CAST(d AS TIMESTAMPTZ)"),
    "calendar": ("'week'", "'month'"),
    "read_back": (" AS VARCHAR) AS DOUBLE)", " AS VARCHAR) AS FLOAT)"),
    "clock_texts": ("'now'", "'2024-01-01'"),
    "trees": ('"S".t AS x', "t AS x"),
}


def test_every_fact_is_doubted_below() -> None:
    assert set(RELEASES) | {"row_text"} == set(FACTS)


@pytest.mark.parametrize("fact", RELEASES)
def test_a_release_in_which_a_fact_does_not_hold_is_noticed(fact: str, tmp_path: Path) -> None:
    assert fact in _tried(tmp_path, RELEASES[fact])


def test_a_release_in_which_nothing_tells_rows_apart_is_noticed(tmp_path: Path) -> None:
    assert {"row_hash", "row_text"} <= _tried(
        tmp_path, ("_sqlflow_row", "_sqlflow_row JOIN (SELECT 1) AS _one ON FALSE")
    )


# ---------------------------------------------------------------------- builds with a release that differs

MODELS = {
    "models/a/means.sql": "-- @strategy: delta\nSELECT k, avg(v) AS mean, count(*) AS n FROM raw.t GROUP BY k",
    "models/a/alone.sql": "-- @strategy: delta\nSELECT k, avg(v) AS mean FROM raw.t GROUP BY k",
    "models/a/totals.sql": "-- @strategy: delta\nSELECT k, avg(v) AS mean, sum(v) AS s, sum(d) AS d FROM raw.t GROUP BY k",
    "models/a/plain.sql": "-- @strategy: delta\nSELECT id, name, x, d FROM raw.t",
    "models/a/days.sql": "-- @mode: incremental\n-- @time: day\nSELECT day, name, sum(v) AS v, count(x) AS x FROM raw.t GROUP BY day, name",
    "models/a/months.sql": "-- @mode: incremental\n-- @time: month\n-- @grain: month\n"
    "SELECT date_trunc('month', day) AS month, count(*) AS n FROM raw.t GROUP BY 1",
    "models/a/keyed.sql": "-- @mode: merge\n-- @key: [k, name]\n-- @cursor: c\n"
    "SELECT k, name, max(c) AS c, sum(v) AS v FROM raw.t GROUP BY k, name",
    "models/a/log.sql": "-- @mode: append\n-- @cursor: c\nSELECT c, id, name FROM raw.t",
    "models/a/whole.sql": "WITH t AS (SELECT * FROM raw.t) SELECT count(*) AS n, avg(v) AS mean FROM t",
    "models/a/clocked.sql": "SELECT TRY_CAST('now' AS TIMESTAMP) AS at, count(*) AS n FROM raw.t",
    "models/a/people.sql": "-- @strategy: delta\nSELECT id, name FROM raw.people",
    "models/b/above.sql": "-- @strategy: delta\nSELECT k, sum(n) AS n FROM a.means GROUP BY k",
}
PROMISED = {  # what is kept beyond the query, as the rows that must be there
    "a.keyed": "SELECT k, name, max(c) AS c, sum(v) AS v FROM raw.t GROUP BY k, name",
    "a.log": "SELECT c, id, name FROM raw.t",
}
SETUP = (
    "CREATE SCHEMA raw",
    "CREATE TABLE raw.t (id INTEGER, k INTEGER, name VARCHAR, day DATE, c INTEGER, v BIGINT, d DECIMAL(18,2), x DOUBLE)",
    "INSERT INTO raw.t SELECT i, CASE WHEN i % 5 > 0 THEN i % 5 END, CASE WHEN i % 3 > 0 THEN 'name ' || i % 7 END, "
    "DATE '2024-01-28' + CAST(i % 9 AS INTEGER), i, 1000 - i * i % 97, i * 1.01, i % 2 FROM range(60) AS r(i)",
    "CREATE TABLE raw.people (id INTEGER, name VARCHAR COLLATE NOCASE)",
    "INSERT INTO raw.people VALUES (1, 'anna'), (2, 'BEN')",
)
SETUP_OF_POSTGRES = (
    *SETUP[:2],
    "INSERT INTO raw.t SELECT i, CASE WHEN i % 5 > 0 THEN i % 5 END, CASE WHEN i % 3 > 0 THEN 'name ' || (i % 7)::VARCHAR END, "
    "DATE '2024-01-28' + CAST(i % 9 AS INTEGER), i, 1000 - i * i % 97, i * 1.01, i % 2 FROM range(60) AS r(i)",
    "CREATE TABLE raw.people (id INTEGER, name VARCHAR)",
    "INSERT INTO raw.people VALUES (1, 'anna'), (2, 'BEN')",
)
CHANGES = (
    (
        "INSERT INTO raw.t SELECT i, i % 5, 'name ' || i % 7, DATE '2024-02-01', i, 9001, 0.99, -0.0 FROM range(60, 70) AS r(i)",
        "UPDATE raw.people SET name = 'Anna' WHERE id = 1",
    ),
    ("UPDATE raw.t SET x = '-0.0', d = d + 0.01, c = c + 100 WHERE x = 0 AND id % 4 = 0",),
    (
        "DELETE FROM raw.people WHERE id = 2",
        "INSERT INTO raw.t VALUES (90, NULL, NULL, '2024-02-20', 500, 1, 1, 'nan')",
    ),
)


def _say(project: Lawful, *broken: str) -> None:
    """Have the next command believe that this release differs."""
    known = json.loads(remembered_in(read_config(project.root, None, {}, {})).read_text())
    known[HERE]["broken"] = sorted(broken)
    remembered_in(read_config(project.root, None, {}, {})).write_text(json.dumps(known))


def _begun(root: Path) -> Lawful:
    project = Lawful(root)
    project.begin(MODELS)
    project.sql(*SETUP)
    assert project.build("a.people").code == 0  # tries the facts
    return project


def _is_right(project: Lawful) -> None:
    pairs: dict[str, tuple[str, str]] = {}
    for path, text in MODELS.items():
        if not (project.root / path).exists():
            continue
        table = ".".join(Path(path).with_suffix("").parts[-2:])
        query = PROMISED.get(table) or "\n".join(line for line in text.splitlines() if not line.startswith("--"))
        pairs[table] = f"FROM {table}", f"SELECT * FROM ({query})"
        if table == "a.log":  # rows that got another cursor are added again
            pairs[table] = f"({query}) EXCEPT ALL (FROM {table})", f"FROM {table} WHERE false"
    rows = project.rows_of(query for pair in pairs.values() for query in pair)
    for table, kept, wanted in zip(pairs, rows[::2], rows[1::2], strict=True):
        assert sorted(map(repr, kept)) == sorted(map(repr, wanted)), table


SAFE = [fact for fact in duckdb_facts.FACTS if fact.otherwise]
HOPELESS = [fact for fact in duckdb_facts.FACTS if not fact.otherwise and not fact.instead_of]


# What stands in the plan of a table then, and does not otherwise.
SEEN = {
    "row_hash": ("a.keyed", "md5_number_lower("),
    "bits": ("a.plain", "encode(CAST("),
    "sums_of_hashes": ("a.keyed", ") AS HUGEINT)"),
    "averages_divided": ("a.totals", "the engine may round an average of BIGINT differently"),
    "averages_finished": ("a.alone", "the engine may round an average of BIGINT differently"),
    "rowids": ("a.plain", "this version of the engine gives rows no number"),
    "null_equality": ("a.keyed", "] = ["),
    "collations": ("a.plain", "`COLLATE` in `a.plain`"),
    "first": ("a.plain", "list("),
}


def _seen(project: Lawful) -> set[str]:
    """The facts whose safe way is in the plan of a build after a change."""
    project.sql("UPDATE raw.t SET d = d + 1, c = c + 1000, v = v + 1 WHERE id = 7")
    tasks = {task["table"]: json.dumps(task) for task in json.loads(project.plan())["tasks"]}
    return {fact for fact, (table, words) in SEEN.items() if words in tasks[table]}


def test_the_safe_ways_are_not_taken_without_need(built: Lawful, tmp_path: Path) -> None:
    assert _seen(built.copy(tmp_path / "project")) == set()


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Lawful:
    """One table built with a release for which all facts hold."""
    return _begun(tmp_path_factory.mktemp("begun") / "project")


@pytest.fixture(scope="module")
def built(begun: Lawful, tmp_path_factory: pytest.TempPathFactory) -> Lawful:
    """Everything built with it."""
    project = begun.copy(tmp_path_factory.mktemp("built") / "project")
    assert project.build().code == 0
    return project


@pytest.mark.parametrize("fact", SAFE, ids=[fact.name for fact in SAFE])
def test_tables_stay_right_after_an_upgrade_to_a_release_without_a_fact(
    built: Lawful, fact: Fact, tmp_path: Path
) -> None:
    project = built.copy(tmp_path / "project")
    _say(project, fact.name)
    project.sql(*CHANGES[0], *CHANGES[1])
    told = project.build()
    assert told.code == 0, told.told
    assert told.told.count(f"it is not so that {fact.says}: {fact.otherwise}") == 1
    _is_right(project)
    assert {fact.name} & set(SEEN) <= _seen(project)
    assert project.build().code == 0
    _is_right(project)
    assert project.planned() == []


def test_tables_are_right_when_nothing_holds_that_can_be_done_without(tmp_path: Path) -> None:
    project = _begun(tmp_path)
    _say(project, *(fact.name for fact in SAFE))
    for change in ((), *CHANGES):
        project.sql(*change)
        told = project.build()
        assert told.code == 0, told.told
        _is_right(project)
    # and back to a release that is as all others
    _say(project)
    project.sql("UPDATE raw.t SET d = d + 1, c = c + 2000, v = v + 1 WHERE id = 9")
    assert project.build().code == 0
    _is_right(project)


@pytest.mark.parametrize("fact", HOPELESS, ids=[fact.name for fact in HOPELESS])
def test_nothing_is_built_where_nothing_can_be_done(begun: Lawful, fact: Fact, tmp_path: Path) -> None:
    project = begun.copy(tmp_path / "project")
    _say(project, fact.name)
    with pytest.raises(ProjectError, match=r"SQLFlow cannot build with .*, as it is not so that"):
        project.build()
    assert project.rows("SELECT count(*) FROM duckdb_tables() WHERE schema_name = 'b'") == [(0,)]


# ---------------------------------------------------------------------- what is remembered


def test_what_was_found_is_remembered_by_a_build_and_tried_again_when_the_file_is_gone_or_broken(
    built: Lawful, tmp_path: Path
) -> None:
    project = built.copy(tmp_path / "project")
    place = remembered_in(read_config(project.root, None, {}, {}))
    before = place.read_text()
    assert json.loads(before)[HERE]["broken"] == []
    for damage in ("", "{", '{"DuckDB": 3}', "[]"):
        place.write_text(damage)
        project.planned()
        assert place.read_text() == damage, "a command that only looks writes nothing"
        assert project.build().code == 0
        assert json.loads(place.read_text()) == json.loads(before)
    place.unlink()
    assert project.build().code == 0
    assert json.loads(place.read_text()) == json.loads(before)


def test_a_list_of_other_facts_is_tried_anew(built: Lawful, tmp_path: Path) -> None:
    project = built.copy(tmp_path / "project")
    place = remembered_in(read_config(project.root, None, {}, {}))
    place.write_text(json.dumps({HERE: {"by": "an older list", "broken": ["row_hash", "gone"]}}))
    assert "differs from" not in project.build().told


# ---------------------------------------------------------------------- PostgreSQL

RELEASES_OF_POSTGRES: Mapping[str, tuple[str, str]] = {
    "row_hash": ("hashtextextended(", "hashtextextended('', 0) * length("),
    "bits": ("IS NOT DISTINCT FROM", "IS NOT DISTINCT FROM NULL AND NULL IS DISTINCT FROM"),
    "null_equality": ("ARRAY[a.n] = ARRAY[b.n]", "a.n = b.n"),
    "first": ("array_agg(", "array_remove_nulls("),
    "averages": ("CAST(avg(v) AS TEXT)", "CAST(round(avg(v), 2) AS TEXT)"),
    "sums": ("sum(h)", "sum(CAST(h AS FLOAT8))"),
    "rowids": ("found.r = t.ctid", "found.r <> t.ctid"),
    "collations": ("collisdeterministic", "collnormal"),
    "rolls_back": ("ROLLBACK", "COMMIT"),
    "dates_cut": ("date_trunc('day', DATE '2024-03-07')", "TIMESTAMP '2024-03-07'"),
    "calendar": ("'week'", "'month'"),
    "read_back": ("AS VARCHAR", "AS VARCHAR(12)"),
    "locks": ("pg_try_advisory_lock(", "pg_try_advisory_lock_shared(1 + "),
}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LawfulPostgres]:
    project = LawfulPostgres(tmp_path_factory.mktemp("served"))
    os.environ["LAWFUL_URL"] = project.url
    project.begin({path: text for path, text in MODELS.items() if "TRY_CAST" not in text})
    project.sql(*SETUP_OF_POSTGRES)
    assert project.build("a.people").code == 0
    yield project
    project.drop()


def _tried_by(served: LawfulPostgres, change: tuple[str, str]) -> frozenset[str]:
    config = read_config(served.root, None, {}, served.environ())

    @contextmanager
    def scratch() -> Iterator[Fetch]:
        with postgres.scratch(config) as fetch:

            def other(sql: str, by: int = 0) -> Sequence[Row]:
                return fetch(sql.replace(*change), by)

            yield other

    return broken_facts(config, f"PostgreSQL with {change}", postgres_facts.FACTS, scratch, keep=False)


def test_every_fact_holds_for_the_server(served: LawfulPostgres) -> None:
    assert _tried_by(served, ("", "")) == frozenset()
    assert set(RELEASES_OF_POSTGRES) | {"row_text"} == {fact.name for fact in postgres_facts.FACTS}


@pytest.mark.parametrize("fact", RELEASES_OF_POSTGRES)
def test_a_server_for_which_a_fact_does_not_hold_is_noticed(served: LawfulPostgres, fact: str) -> None:
    assert fact in _tried_by(served, RELEASES_OF_POSTGRES[fact])


def _say_of_server(project: LawfulPostgres, *broken: str) -> None:
    place = remembered_in(read_config(project.root, None, {}, project.environ()))
    known = json.loads(place.read_text())
    (server,) = known
    known[server]["broken"] = sorted(broken)
    place.write_text(json.dumps(known))


def test_tables_stay_right_on_servers_for_which_a_fact_does_not_hold(served: LawfulPostgres) -> None:
    """One fact after the other, each with an upgrade to it and one from it, in one database."""
    assert served.build().code == 0
    _is_right(served)
    for number, fact in enumerate(postgres_facts.FACTS):
        if not fact.otherwise:
            continue
        _say_of_server(served, fact.name)
        served.sql(
            f"UPDATE raw.t SET x = -x, d = d + 0.01, c = {1000000 * (number + 1)} + id, v = v + 1 WHERE id % 7 = {number % 7}",
            f"INSERT INTO raw.t VALUES ({1000 + number}, {number % 3}, NULL, '2024-02-{number + 1}', {1000000 * (number + 1)}, NULL, 1.10, 'nan')",
            f"UPDATE raw.people SET name = upper(name) WHERE id = {number}",
        )
        told = served.build()
        assert told.code == 0, told.told
        assert told.told.count(f"it is not so that {fact.says}: {fact.otherwise}") == 1
        _is_right(served)
    _say_of_server(served, "row_hash", "bits", "averages", "collations")
    served.sql("UPDATE raw.t SET d = d + 1, c = 90000000 + id WHERE id % 5 = 0")
    assert served.build().code == 0
    _is_right(served)


@pytest.mark.parametrize("fact", [f.name for f in postgres_facts.FACTS if not f.otherwise and not f.instead_of])
def test_nothing_is_built_into_a_server_where_nothing_can_be_done(served: LawfulPostgres, fact: str) -> None:
    _say_of_server(served, fact)
    with pytest.raises(ProjectError, match=r"SQLFlow cannot build with .*, as it is not so that"):
        served.build()
    _say_of_server(served)
