"""Words that are functions without brackets in one SQL, reserved in another, and names of columns in a third: a name stays a
name in a translation, wherever it stands."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from two_engines import Pair, pair_of_engines

from sqlflow.translation.duckdb_to_postgres import RESERVED

# `$` is the word.
PLACES = """
SELECT $, count(*) AS n FROM (SELECT a AS $ FROM t) AS q GROUP BY $
SELECT q.$ FROM (SELECT a AS $ FROM t) AS q WHERE q.$ > 1
SELECT $ + 1 AS c FROM (SELECT a AS $ FROM t) AS q WHERE $ > 1 ORDER BY $ LIMIT 3
SELECT max($) AS c FROM (SELECT a AS $, b FROM t) AS q GROUP BY b HAVING max($) > 0
SELECT sum($) OVER (PARTITION BY $ ORDER BY id) AS c FROM (SELECT a AS $, id FROM t) AS q
SELECT a AS $ FROM t
SELECT $.a FROM t AS $
WITH $ AS (SELECT a FROM t) SELECT a FROM $
WITH $ AS (SELECT a AS $ FROM t) SELECT $.$ FROM $
WITH q($) AS (SELECT a FROM t) SELECT $ FROM q
SELECT id FROM t JOIN (SELECT id AS $ FROM t) AS q ON t.id = $
SELECT * FROM (SELECT id AS $ FROM t) AS p JOIN (SELECT id AS $ FROM t) AS q USING ($)
SELECT id FROM t WHERE a IN (SELECT $ FROM (SELECT b AS $ FROM t) AS q)
SELECT (SELECT max(b) FROM t AS o WHERE o.a = q.$) AS c FROM (SELECT a AS $ FROM t) AS q
SELECT CASE WHEN $ IS NULL THEN 0 ELSE $ END AS c FROM (SELECT a AS $ FROM t) AS q
SELECT $ FROM (SELECT a AS $ FROM t) AS q UNION ALL SELECT $ FROM (SELECT b AS $ FROM t) AS q
""".strip().splitlines()
BARE = (
    "user", "current_user", "session_user", "current_role", "current_catalog", "current_schema", "current_date",
    "current_time", "current_timestamp", "localtime", "localtimestamp", "system_user", "current_database",
)  # fmt: skip


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    with pair_of_engines(16) as both:
        yield both


def test_the_reserved_words_are_those_of_the_server(pair: Pair) -> None:
    words = pair.rows("postgres", "SELECT word FROM pg_get_keywords() WHERE catcode IN ('R', 'T')")
    assert {str(word) for (word,) in words} <= RESERVED


@pytest.mark.parametrize("word", BARE)
def test_a_column_keeps_its_meaning_where_the_target_has_a_function_of_that_name(pair: Pair, word: str) -> None:
    _hold(pair, word, "duckdb")


@pytest.mark.parametrize("share", [pytest.param(12, id="some"), pytest.param(1, id="all", marks=pytest.mark.long)])
def test_every_word_of_both_catalogues_is_a_name_where_it_is_one(pair: Pair, share: int) -> None:
    known = pair.rows("postgres", "SELECT word FROM pg_get_keywords()")
    known += pair.rows("duckdb", "SELECT keyword_name FROM duckdb_keywords()")
    for word in sorted({str(word) for (word,) in known} - set(BARE))[::share]:
        _hold(pair, word, "duckdb")
        _hold(pair, word, "postgres")
        _hold(pair, f'"{word}"', "postgres")


def _hold(pair: Pair, word: str, dialect: str) -> None:
    for place in PLACES:
        found = pair.compare(place.replace("$", word), dialect)
        assert found.outcome in ("equal", "failed", "refused", "refused by the engine"), (found.line, found.told)
        if dialect == "duckdb" and word in BARE:
            assert found.outcome in ("equal", "failed"), (found.line, found.told)


@pytest.mark.parametrize("dialect", ["duckdb", "postgres"])
@pytest.mark.parametrize("word", ["user", "current_user", "session_user", "current_catalog", "current_schema"])
def test_who_asks_is_another_one_there_and_so_refused(pair: Pair, word: str, dialect: str) -> None:
    assert pair.compare(f"SELECT id, {word} AS who FROM t", dialect).outcome == "refused"
