"""Each kind of check on tables of its own, on every engine: one that passes, one that fails with exactly these rows, NULLs, and
no rows at all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import duckdb
import psycopg
import pytest
from every_engine import ENGINES
from hypothesis import given, settings
from hypothesis import strategies as st
from on_postgres import drop_database, new_database

from sqlflow.core.checks import CheckSpec
from sqlflow.core.diagnostics import Diagnostic
from sqlflow.core.names import TableName
from sqlflow.core.plan import CheckQuery
from sqlflow.core.source import SourceFile
from sqlflow.core.text import MappedText
from sqlflow.project.checks import read_checks
from sqlflow.project.snippets import Vocabulary
from sqlflow.project.values import root_of
from sqlflow.project.yaml import load
from sqlflow.quality.checks import audits
from sqlflow.quality.forms import Rows, Shape
from sqlflow.quality.kinds import CHECKS

NOW = datetime(2026, 1, 10, 12, tzinfo=UTC)
OTHER = "INSERT INTO s.other VALUES (1, 'x'), (2, 'y'), (2, 'y')"


@dataclass(frozen=True)
class Kind:
    """`found`: what fails of `fails`, all of it, of a total its value; `failing`: how many, where that is another number. `nulls`:
    rows with NULL, and how many of them fail; `empty`: how many fail of no rows."""

    check: str
    columns: str
    passes: str
    fails: str
    found: list[tuple[object, ...]]
    nulls: tuple[str, int]
    empty: int = 0
    failing: int | None = None

    @property
    def id(self) -> str:
        return self.check


def _day(day: int) -> datetime:
    return datetime(2026, 1, day)


A, T = "a INTEGER", "a VARCHAR(80)"
KINDS = [
    Kind("not_null: a", A, "(1), (2)", "(1), (NULL)", [(None,)], ("(NULL), (NULL)", 2)),
    Kind(
        "missing: {column: a, values: ['', n/a]}",
        T, "('x')", "('x'), (''), ('n/a'), (NULL)", [("",), ("n/a",), (None,)], ("(NULL)", 1),
    ),
    Kind("not_null_share: {column: a, min: 0.5}", A, "(1), (NULL)", "(1), (NULL), (NULL)", [(1 / 3,)], ("(NULL)", 1)),
    Kind("not_null_share: {column: a, max: 50%}", A, "(1), (NULL)", "(1), (1), (NULL)", [(2 / 3,)], ("(NULL)", 0)),
    Kind("row_count: {min: 1, max: 2}", A, "(1)", "(1), (2), (3)", [(3,)], ("(NULL)", 0), empty=1),
    Kind("at_least_one: a", A, "(NULL), (1)", "(NULL)", [(0,)], ("(NULL)", 1), empty=1),
    Kind("unique: a", A, "(1), (2), (NULL)", "(1), (1), (1), (2)", [(1, 3)], ("(NULL), (NULL)", 0), failing=2),
    Kind(
        "unique: [a, b]",
        "a INTEGER, b INTEGER",
        "(1, 1), (1, 2)", "(1, NULL), (1, NULL), (2, 1)", [(1, None, 2)], ("(NULL, NULL), (NULL, NULL)", 0),
        failing=1,
    ),
    Kind("distinct_count: {column: a, min: 2}", A, "(1), (2)", "(1), (1)", [(1,)], ("(NULL), (1)", 1), empty=1),
    Kind("in: {column: a, values: [x, y]}", T, "('x'), ('y')", "('x'), ('z')", [("z",)], ("(NULL)", 0)),
    Kind("not_in: {column: a, values: [x, y]}", T, "('z')", "('x'), ('z')", [("x",)], ("(NULL)", 0)),
    Kind("in: {column: a, values: [1, 2]}", A, "(1)", "(1), (3)", [(3,)], ("(NULL)", 0)),
    Kind(
        "matches: {column: a, pattern: '[A-Z]{2}|x'}",
        T, "('AB'), ('x')", "('AB'), ('ABC'), ('ab'), ('xx')", [("ABC",), ("ab",), ("xx",)], ("(NULL)", 0),
    ),
    Kind(
        "matches: {column: a, pattern: 'b|c', anywhere: true}",
        T, "('abd'), ('c')", "('c'), ('d')", [("d",)], ("(NULL)", 0),
    ),
    Kind("matches: {column: a, pattern: '[0-9]'}", A, "(1)", "(1), (12)", [(12,)], ("(NULL)", 0)),
    Kind("not_matches: {column: a, pattern: 'x+'}", T, "('ax')", "('x'), ('xx'), ('ax')", [("x",), ("xx",)], ("(NULL)", 0)),
    Kind("range: {column: a, min: 0, max: 10}", A, "(0), (10)", "(-1), (5), (11)", [(-1,), (11,)], ("(NULL)", 0)),
    Kind("range: {column: a, min: 0, exclusive: true}", A, "(1)", "(0), (1)", [(0,)], ("(NULL)", 0)),
    Kind(
        "range: {column: a, min: 0.1, max: 0.3}",
        "a DECIMAL(5, 2)", "(0.1), (0.3)", "(0.31), (0.2)", [(Decimal("0.31"),)], ("(NULL)", 0),
    ),
    Kind(
        "range: {column: a, max: b}",
        "a INTEGER, b INTEGER", "(1, 1)", "(2, 1), (1, 2)", [(2, 1)], ("(NULL, 1), (1, NULL)", 0),
    ),
    Kind(
        "range: {column: a, min: 2026-01-05}",
        "a TIMESTAMP", "('2026-01-05 00:00:00')", "('2026-01-04 23:59:59')", [(datetime(2026, 1, 4, 23, 59, 59),)], ("(NULL)", 0),
    ),
    Kind("length: {column: a, min: 1, max: 2}", T, "('a'), ('äö')", "(''), ('abc')", [("",), ("abc",)], ("(NULL)", 0)),
    Kind(
        "format: {column: a, format: email}",
        T,
        "('a@b.co'), ('first.last+tag@mail.example.org'), ('o''neil@x.ie')",
        "('a@b'), ('a b@c.de'), ('@x.de'), ('a@x..de'), ('a@@x.de'), ('a@x.de ')",
        [("a@b",), ("a b@c.de",), ("@x.de",), ("a@x..de",), ("a@@x.de",), ("a@x.de ",)], ("(NULL)", 0),
    ),
    Kind(
        "format: {column: a, format: uuid}",
        T,
        "('6f1c1c2e-0f5e-4b8e-9d1c-2f3a4b5c6d7e')", "('6f1c1c2e0f5e4b8e9d1c2f3a4b5c6d7e')",
        [("6f1c1c2e0f5e4b8e9d1c2f3a4b5c6d7e",)], ("(NULL)", 0),
    ),
    Kind(
        "format: {column: a, format: url}",
        T,
        "('https://example.org'), ('http://x.org:80/a?b=c#d'), ('https://[::1]/'), ('http://localhost/')",
        "('example.org'), ('https://'), ('https://a b'), ('ftp://x.org')",
        [("example.org",), ("https://",), ("https://a b",), ("ftp://x.org",)], ("(NULL)", 0),
    ),
    Kind(
        "format: {column: a, format: iban}",
        T,
        "('DE89370400440532013000'), ('GB29 NWBK 6016 1331 9268 19'), ('MT84MALT011000012345MTLCAST001S')",
        "('DE88370400440532013000'), ('x'), (''), ('GB29NWBK60161331926891')",
        [("DE88370400440532013000",), ("x",), ("",), ("GB29NWBK60161331926891",)], ("(NULL)", 0),
    ),
    Kind(
        "format: {column: a, format: phone}",
        T, "('+442079460018'), ('+44 (20) 7946-0018')", "('020 7946'), ('+0123456789'), ('+44')",
        [("020 7946",), ("+0123456789",), ("+44",)], ("(NULL)", 0),
    ),
    Kind(
        "format: {column: a, format: ip}",
        T,
        "('10.0.0.255'), ('::'), ('::1'), ('2001:db8::8a2e:370:7334'), ('1:2:3:4:5:6:7:8'), ('::ffff:10.0.0.1'), ('1::')",
        "('10.0.0.256'), ('10.0.0'), ('1:2:3'), ('1::2::3'), (':1'), ('1:2:3:4:5:6:7:8:9')",
        [("10.0.0.256",), ("10.0.0",), ("1:2:3",), ("1::2::3",), (":1",), ("1:2:3:4:5:6:7:8:9",)], ("(NULL)", 0),
    ),
    Kind("format: {column: a, format: ipv4}", T, "('1.2.3.4')", "('::1')", [("::1",)], ("(NULL)", 0)),
    Kind("format: {column: a, format: ipv6}", T, "('::1')", "('1.2.3.4')", [("1.2.3.4",)], ("(NULL)", 0)),
    Kind("format: {column: a, format: country}", T, "('DE'), ('GB')", "('UK'), ('de')", [("UK",), ("de",)], ("(NULL)", 0)),
    Kind("format: {column: a, format: country3}", T, "('DEU')", "('GER')", [("GER",)], ("(NULL)", 0)),
    Kind("format: {column: a, format: currency}", T, "('EUR')", "('DEM')", [("DEM",)], ("(NULL)", 0)),
    Kind("expression: a > b", "a INTEGER, b INTEGER", "(2, 1)", "(1, 1), (2, 1)", [(1, 1)], ("(NULL, 1)", 0)),
    Kind("sum: {column: a, min: 3, max: 5}", A, "(1), (2)", "(1), (1)", [(2,)], ("(NULL)", 0)),
    Kind("avg: {column: a, max: 5}", A, "(4), (6)", "(4), (8)", [(6,)], ("(NULL), (5)", 0)),
    Kind("min: {column: a, min: 0}", A, "(0)", "(-1), (1)", [(-1,)], ("(NULL)", 0)),
    Kind("max: {column: a, max: 2026-01-05}", "a DATE", "('2026-01-05')", "('2026-01-06')", [(_day(6).date(),)], ("(NULL)", 0)),
    Kind("stddev: {column: a, max: 0.5}", A, "(1), (1)", "(1), (2), (3)", [(1.0,)], ("(NULL), (1)", 0)),
    Kind("quantile: {column: a, at: 0.5, max: 2}", A, "(1), (2), (9)", "(1), (3), (9)", [(3.0,)], ("(NULL)", 0)),
    Kind("compare: {value: count(*), equals: 2}", A, "(1), (2)", "(1)", [(1, 2)], ("(NULL), (NULL)", 0), empty=1),
    Kind(
        "compare: {value: sum(a), with: s.other, tolerance: 20%}",
        A, "(4), (2)", "(4), (3)", [(7, 5)], ("(NULL), (5)", 0), empty=1,
    ),
    Kind(
        "compare: {value: max(a), with: s.other, other: min(a), other_where: a > 1, tolerance: 1}",
        A, "(3)", "(4)", [(4, 2)], ("(NULL)", 1), empty=1,
    ),
    Kind(
        "references: {column: a, to: s.other.a}",
        A, "(1), (1), (2)", "(1), (3), (3), (4)", [(3, 2), (4, 1)], ("(NULL)", 0), failing=3,
    ),
    Kind("referenced_by: {column: a, by: s.other.a}", A, "(1), (2)", "(1), (3)", [(3, 1)], ("(NULL)", 0)),
    Kind(
        "same_rows: {as: s.other}",
        "a INTEGER, b VARCHAR(10)", "(2, 'y'), (1, 'x'), (2, 'y')", "(1, 'x'), (2, 'y'), (3, NULL)",
        [(2, "y", -1), (3, None, 1)], ("(2, 'y'), (1, 'x'), (2, 'y'), (NULL, NULL)", 1), empty=3,
    ),
    Kind("same_rows: {as: s.other, columns: [b]}", "b VARCHAR(10)", "('y'), ('y'), ('x')", "('x'), ('y')", [("y", -1)], ("(NULL)", 4), empty=3),
    Kind(
        "no_overlap: {from: b, to: c, per: a}",
        "a INTEGER, b INTEGER, c INTEGER",
        "(1, 1, 5), (1, 5, 9), (2, 3, 4), (1, 9, NULL), (1, 4, 4)",
        "(1, 1, 9), (1, 2, 3), (1, 4, 5), (1, 9, 10), (3, 5, 1)",
        [(1, 2, 3), (1, 4, 5), (3, 5, 1)], ("(1, 1, NULL), (1, 5, 6), (2, NULL, 4), (2, NULL, 5)", 2),
    ),
    Kind("no_gaps: {column: a}", A, "(1), (2), (2), (3)", "(1), (2), (4), (9)", [(2, 4), (4, 9)], ("(NULL), (1)", 0)),
    Kind(
        "no_gaps: {column: a, step: 1 day, per: b}",
        "a DATE, b INTEGER",
        "('2026-01-01', 1), ('2026-01-02', 1), ('2026-01-09', 2)", "('2026-01-01', 1), ('2026-01-03', 1), ('2026-01-02', 2)",
        [(1, _day(1).date(), _day(3).date())], ("(NULL, 1)", 0),
    ),
    Kind(
        "no_gaps: {column: a, step: 1 month}",
        "a DATE", "('2026-01-31'), ('2026-02-28')", "('2026-01-01'), ('2026-03-01')",
        [(_day(1).date(), datetime(2026, 3, 1).date())], ("(NULL)", 0),
    ),
    Kind("freshness: {column: a, error: 1 day}", "a TIMESTAMP", "('2026-01-09 13:00:00')", "('2026-01-09 11:00:00')", [(datetime(2026, 1, 9, 11),)], ("(NULL)", 2), empty=2, failing=2),
    Kind("freshness: {column: a, warn: 6h, error: 2d}", "a TIMESTAMP", "('2026-01-10 07:00:00')", "('2026-01-09 11:00:00')", [(datetime(2026, 1, 9, 11),)], ("(NULL)", 2), empty=2),
    Kind("freshness: {column: a, warn: 1d}", "a DATE", "('2026-01-10')", "('2026-01-08')", [(_day(8).date(),)], ("(NULL)", 1), empty=1),
]  # fmt: skip


@contextmanager
def _database(engine: str) -> Iterator[Any]:
    """A connection with a table `s.other`, and an empty schema `s`."""
    if engine == "duckdb":
        with duckdb.connect() as connection:
            connection.execute("SET TimeZone = 'UTC'; CREATE SCHEMA s; CREATE TABLE s.other (a INTEGER, b VARCHAR)")
            connection.execute(OTHER)
            yield connection
        return
    url = new_database()
    with psycopg.connect(url, autocommit=True) as server:
        server.prepare_threshold = None  # tables change their columns
        server.execute("SET TimeZone = 'UTC'")
        server.execute("CREATE SCHEMA s")
        server.execute("CREATE TABLE s.other (a integer, b varchar)")
        server.execute(OTHER.encode())
        yield psycopg.RawCursor(server)
    drop_database(url)


@pytest.fixture(scope="module", params=ENGINES)
def database(request: pytest.FixtureRequest) -> Iterator[Any]:
    with _database(request.param) as connection:
        yield connection


def read(text: str) -> CheckSpec:
    problems: list[Diagnostic] = []
    document = load(MappedText.of(SourceFile(__file__, f"[{{{text}}}]")), problems)  # type: ignore[arg-type]
    assert document is not None, problems
    [check] = read_checks(root_of(document, problems, "checks"), Vocabulary()) or [None]
    assert check is not None, problems
    return check


def fill(database: Any, columns: str, rows: str) -> None:
    database.execute("DROP TABLE IF EXISTS s.t")
    database.execute(f"CREATE TABLE s.t ({columns})")
    if rows:
        database.execute(f"INSERT INTO s.t VALUES {rows}")


def failing(database: Any, check: CheckSpec, columns: str) -> tuple[int, CheckQuery]:
    names = [part.split()[0] for part in columns.replace("(5, 2)", "").split(",")]
    [audit] = audits(TableName("s", "t"), [check], None, names, NOW)
    [query] = audit.checks
    return int(database.execute(str(audit.sql)).fetchall()[0][0] or 0), query


def rows_of(database: Any, query: CheckQuery) -> list[tuple[object, ...]]:
    return [tuple(row) for row in database.execute(str(query.rows)).fetchall()]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.id)
def test_a_kind_finds_exactly_the_rows_that_fail(database: Any, kind: Kind) -> None:
    check = read(kind.check)
    fill(database, kind.columns, kind.fails)
    count, query = failing(database, check, kind.columns)
    assert sorted(rows_of(database, query), key=repr) == sorted(kind.found, key=repr)
    assert count == (kind.failing or (1 if query.total else len(kind.found)))
    sample = [tuple(row) for row in database.execute(str(query.sample)).fetchall()]
    assert 0 < len(sample) <= 5
    for rows, expected in ((kind.passes, 0), (kind.nulls[0], kind.nulls[1]), ("", kind.empty)):
        fill(database, kind.columns, rows)
        assert (rows, failing(database, check, kind.columns)[0]) == (rows, expected)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.id)
def test_a_kind_looks_only_at_rows_for_which_where_holds(database: Any, kind: Kind) -> None:
    check = read(kind.check)
    if check.tables or "compare" in kind.check:
        return  # what the other side has stays
    word, _, inside = kind.check.partition(": ")
    about = "column" if not inside.startswith("[") else "columns"
    inside = inside[1:-1] if inside.startswith("{") else f"{'sql' if word == 'expression' else about}: {inside}"
    limited = read(f'{word}: {{{inside}, where: "looked_at"}}')
    columns = f"{kind.columns}, looked_at BOOLEAN"
    mixed = [
        rows.replace("), (", f", {mark}), (")[:-1] + f", {mark})"
        for rows, mark in ((kind.passes, "TRUE"), (kind.fails, "FALSE"))
    ]
    fill(database, columns, ", ".join(mixed))
    assert failing(database, limited, columns)[0] == 0


def test_every_kind_is_tried_here() -> None:
    shapes = {kind for kind, check in CHECKS.items() if isinstance(check.judge, Shape)}
    assert {kind.check.partition(":")[0] for kind in KINDS} == {*CHECKS} - shapes


SINGLE = [kind for kind in KINDS if isinstance(CHECKS[kind.check.partition(":")[0]].judge, Rows)]
MEMORY = duckdb.connect()


def _tuples(rows: str) -> list[str]:
    return [f"({row})" for row in rows[1:-1].split("), (")]


@pytest.mark.parametrize("kind", SINGLE, ids=lambda kind: kind.id)
@given(st.data())
@settings(max_examples=8, deadline=None)
def test_a_planted_violation_is_always_found_and_one_that_is_not_there_never(kind: Kind, data: st.DataObject) -> None:
    sound = [row for row in _tuples(kind.passes) if "NULL" not in row]
    check = read(kind.check)
    MEMORY.execute("CREATE SCHEMA IF NOT EXISTS s")
    wrong = [row for row in _tuples(kind.fails) if _fails(check, kind.columns, row)]
    good: Sequence[str] = data.draw(st.lists(st.sampled_from(sound), max_size=20))
    planted: Sequence[str] = data.draw(st.lists(st.sampled_from(wrong), max_size=3))
    rows = data.draw(st.permutations([*good, *planted]))
    fill(MEMORY, kind.columns, ", ".join(rows))
    count, query = failing(MEMORY, check, kind.columns)
    assert count == len(rows_of(MEMORY, query)) == len(planted)


def _fails(check: CheckSpec, columns: str, row: str) -> bool:
    fill(MEMORY, columns, row)
    return failing(MEMORY, check, columns)[0] > 0
