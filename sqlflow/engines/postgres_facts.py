"""What promises rest on, of PostgreSQL. Found with 14 to 18; see `facts.py`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlflow.core.engine import Traits
from sqlflow.core.names import LONGEST
from sqlflow.core.schema import Column, Schema
from sqlflow.core.sql import Ident, Sql, Value, compose, joined
from sqlflow.core.wording import OtherAggregates
from sqlflow.engines.facts import Fact, Fetch
from sqlflow.engines.postgres_sql import Holds, PostgresWording

# Values that differ, and that an engine may take for one: by type, as text.
NOTABLE: Mapping[str, Sequence[str]] = {
    "BIGINT": ("0", "-1", "1", "2", "-2", "100", "-100"),
    "UUID": tuple(f"{a}-0000-{b}-{c}-00000000000{d}" for a in ("00000000", "80000000") for b in ("0000", "0001")
                  for c in ("0000", "8000") for d in (0, 1)),
    "TIMESTAMP": ("1970-01-01", "1969-12-31 23:59:59.999999"),
    "DECIMAL": ("0", "-1", "1", "0.0", "0.00", "-0.01", "18446744073709551617", "NaN", "Infinity"),
    "DECIMAL(10,2)": ("0", "0.01", "-0.01", "NaN"),
    "DOUBLE PRECISION": ("0", "-0.0", "1", "-1", "inf", "-inf", "nan", "1e-300", "1e300", "0.1", "0.10000000000000002"),
    "REAL": ("0", "-0.0", "0.1", "0.10000001"),
    "TEXT": ("", " ", "a", "A", "aa", ",", '"', "\\", "(", ")", "NULL", "null", '""', ",,", "a,", ",a"),
    "BYTEA": ("", "a", "\\x00", "\\x0000"),
    "DATE": ("1970-01-01", "infinity", "-infinity", "0001-01-01 BC"),
    "INTERVAL": ("0 days", "1 day", "30 days", "1 month", "24 hours", "-1 day", "1 day 1 microsecond"),
    "TIMETZ": ("00:00:00+00", "01:00:00+01", "00:00:00-15:59"),
    "TEXT[]": ("{}", '{""}', '{"",""}', "{a}", "{a,b}", '{"a,b"}', "{NULL}", '{"NULL"}', "{{a},{b}}", "{{a,b}}"),
    "INTEGER[]": ("{}", "{NULL}", "{0}", "{0,0}", "{{1},{2}}", "{{1,2}}"),
    "JSON": ("1", "1.0", "[]", "[ ]", "{}", '{"a":1,"a":1}', '{"a":1}'),
}  # fmt: skip


def _make_values(fetch: Fetch) -> Sequence[tuple[str, int, Schema]]:
    """The table `v` with the values of each type in a column, NULL behind the last; the name of each, its number of values,
    and its type."""
    most = max(map(len, NOTABLE.values())) + 1
    columns = [
        compose(
            "CAST((CAST({texts} AS TEXT[]))[i] AS {kind}) AS {x}",
            texts=_array(values),
            kind=Sql(kind),
            x=Ident(f"x{n}"),
        )
        for n, (kind, values) in enumerate(NOTABLE.items())
    ]
    fetch("DROP TABLE IF EXISTS pg_temp.v")
    fetch(
        compose(
            "CREATE TEMP TABLE v AS SELECT i, {columns} FROM generate_series(1, {most}) AS t(i)",
            columns=columns,
            most=most,
        )
    )
    return [
        (f"x{n}", len(values) + 1, Schema((Column(f"x{n}", kind),))) for n, (kind, values) in enumerate(NOTABLE.items())
    ]


def _array(texts: Sequence[str]) -> Sql:
    return compose("ARRAY[{texts}]", texts=joined(", ", [compose("{t}", t=Value(text)) for text in texts]))


def _tell_rows_apart(fetch: Fetch, holds: Holds) -> bool:
    words = PostgresWording(holds)
    found = _make_values(fetch)
    rows = fetch(
        compose(
            "SELECT {digests} FROM v AS _sqlflow_row ORDER BY i", digests=[words.row_digest(of) for _, _, of in found]
        )
    )
    for number, (_, values, _) in enumerate(found):
        if len({row[number] for row in rows[:values]}) < values:
            return False
    for name, values, schema in found:
        kind = schema.columns[0].type
        if kind in ("TEXT", "TEXT[]"):
            pair = Schema((Column("x", kind), Column("y", kind)))
            pairs = compose(
                "(SELECT a.{x} AS x, b.{x} AS y FROM v AS a, v AS b WHERE a.i <= {n} AND b.i <= {n})",
                x=Ident(name),
                n=values,
            )
            digests = fetch(
                compose("SELECT {digest} FROM {pairs} AS _sqlflow_row", digest=words.row_digest(pair), pairs=pairs)
            )
            if len(set(digests)) < values * values:
                return False
    return True


def _tell_values_apart(fetch: Fetch) -> bool:
    """Whether of all pairs of notable values only equal ones are the same in every bit."""
    words = PostgresWording()
    ways, most = [], []
    for name, values, schema in _make_values(fetch):
        left, right = compose("a.{c}", c=Ident(name)), compose("b.{c}", c=Ident(name))
        ways.append(words.same_bits(left, right, schema.columns[0]))
        most.append(values)
    for first, second, *answers in fetch(
        compose("SELECT a.i, b.i, {ways} FROM v AS a JOIN v AS b ON a.i <= b.i", ways=ways)
    ):
        for values, answer in zip(most, answers, strict=True):
            if int(str(second)) <= values and answer is not (first == second):
                return False
    return True


def _equal_nulls(fetch: Fetch) -> bool:
    same = PostgresWording().same(Sql("a.n"), Sql("b.n"))
    return fetch(
        compose(
            "WITH v(i, n) AS (VALUES (1, 1.0::float8), (2, NULL), (3, 'NaN'), (4, NULL), (5, -0.0), (6, 0)) "
            "SELECT array_agg(a.i * 10 + b.i ORDER BY a.i, b.i) FROM v AS a JOIN v AS b ON {same}",
            same=same,
        )
    ) == [([11, 22, 24, 33, 42, 44, 55, 56, 65, 66],)]


def _first_values(fetch: Fetch) -> bool:
    words = PostgresWording()
    firsts = [
        words.first(Column("a", "INTEGER")),
        words.first(Column("b", "INTEGER[]")),
        words.first(Column("c", "TEXT")),
    ]
    return fetch(
        compose(
            "SELECT {firsts} FROM (VALUES (NULL::int, ARRAY[1, NULL], 'x'), (NULL, ARRAY[1, NULL], 'x')) AS t(a, b, c)",
            firsts=firsts,
        )
    ) == [(None, [1, None], "x")]


def _averages(fetch: Fetch) -> bool:
    words = PostgresWording()
    parts = []
    for kind, value in {"INTEGER": "i", "BIGINT": "i * 9000000000000000", "DECIMAL(10,2)": "i / 7.0"}.items():
        made = words.average(Sql("sum(v)"), Sql("count(v)"), kind, OtherAggregates())
        if made is None:
            return False
        parts.append(
            compose(
                "(SELECT bool_and(a = b) FROM (SELECT CAST(avg(v) AS TEXT) AS a, CAST({made} AS TEXT) AS b FROM "
                "(SELECT i % 5 AS g, CAST({value} AS {kind}) AS v FROM generate_series(1, 60) AS t(i)) AS t GROUP BY g) AS q)",
                made=made,
                value=Sql(value),
                kind=Sql(kind),
            )
        )
    return all(fetch(compose("SELECT {parts}", parts=parts))[0])


def _add_up(fetch: Fetch) -> bool:
    return fetch(
        "SELECT CAST(pg_typeof(sum(h)) AS TEXT), CAST(sum(h) AS TEXT), CAST(sum(d) AS TEXT) FROM "
        "(SELECT CAST(9223372036854775807 AS BIGINT) AS h, CAST(99999999.99 AS DECIMAL(10,2)) AS d FROM generate_series(1, 3)) AS t"
    ) == [("numeric", "27670116110564327421", "299999999.97")]


def _number_rows(fetch: Fetch) -> bool:
    words = PostgresWording()
    number = words.row_id("t", Schema(()), None) or Sql("NULL")
    fetch("DROP TABLE IF EXISTS pg_temp.t, pg_temp.found")
    fetch("CREATE TEMP TABLE t AS SELECT i AS a FROM generate_series(1, 5) AS r(i)")
    fetch(compose("CREATE TEMP TABLE found AS SELECT {n} AS r, a FROM t", n=number))
    fetch(compose("DELETE FROM t WHERE {n} IN (SELECT r FROM found WHERE a = 2)", n=number))
    return fetch(
        compose(
            "SELECT count(*), count(DISTINCT {n}), bool_and(found.a = t.a) FROM t JOIN found ON found.r = {n}", n=number
        )
    ) == [(4, 4, True)]


def _show_collations(fetch: Fetch) -> bool:
    fetch(PostgresWording().collated(()))
    return fetch("SELECT count(*) FROM pg_collation WHERE collisdeterministic IS NULL") == [(0,)]


def _roll_back_tables(fetch: Fetch) -> bool:
    fetch("DROP TABLE IF EXISTS pg_temp.kept")
    fetch("CREATE TEMP TABLE kept AS SELECT 1 AS a")
    fetch("BEGIN")
    fetch("TRUNCATE kept")
    fetch("INSERT INTO kept VALUES (2)")
    fetch("CREATE TEMP TABLE made AS SELECT 3 AS a")
    fetch("DROP TABLE kept")
    fetch("ALTER TABLE made RENAME TO kept")
    inside = fetch("SELECT a FROM kept")
    fetch("ROLLBACK")
    return inside == [(3,)] and fetch("SELECT a FROM kept") == [(1,)]


def _cut_dates(fetch: Fetch) -> bool:
    return fetch("SELECT CAST(pg_typeof(date_trunc('day', DATE '2024-03-07')) AS TEXT)") == [
        ("timestamp with time zone",)
    ]


def _cut_times(fetch: Fetch) -> bool:
    return fetch(
        "SELECT CAST(CAST(date_trunc('week', TIMESTAMP '2024-03-10') AS DATE) AS TEXT), "
        "CAST(CAST(date_trunc('day', TIMESTAMP '1969-12-31 23:59:59.999999') AS DATE) AS TEXT), "
        "CAST(extract(epoch FROM TIMESTAMP '1969-12-31 23:59:59.999999') * 1000000 AS BIGINT), "
        "CAST(CAST('2024-03-07 23:59:59.5' AS TIMESTAMP(0)) AS TEXT), CAST(CAST('2024-03-07 23:59:59.499999' AS TIMESTAMP(0)) AS TEXT)"
    ) == [("2024-03-04", "1969-12-31", -1, "2024-03-08 00:00:00", "2024-03-07 23:59:59")]


# Values by type whose text is written down and read again: the marks of cursors.
_MARKS: Mapping[str, Sequence[str]] = {
    "BIGINT": ("-9223372036854775808",),
    "DECIMAL": ("1234567890123456789012345678.0123456789", "1.00"),
    "DOUBLE PRECISION": ("0.30000000000000004", "1.7976931348623157e308", "5e-324", "-0.0", "inf"),
    "REAL": ("0.10000001",),
    "DATE": ("infinity", "0044-03-15 BC", "5874897-12-31"),
    "TIMESTAMP": ("2024-03-07 23:59:59.999999", "infinity", "0044-03-15 00:00:00 BC"),
    "TIMESTAMPTZ": ("2024-03-07 23:59:59.999999+00", "0044-03-15 00:00:00+00 BC"),
}  # fmt: skip


def _read_back(fetch: Fetch) -> bool:
    parts = []
    for kind, texts in _MARKS.items():
        for text in texts:
            value = compose("CAST({t} AS {kind})", t=Value(text), kind=Sql(kind))
            parts.append(compose("CAST(CAST({v} AS VARCHAR) AS {kind}) = {v}", v=value, kind=Sql(kind)))
    return bool(fetch(compose("SELECT {all}", all=joined(" AND ", parts)))[0][0])


def _show_locks(fetch: Fetch) -> bool:
    """Whether a lock is seen by its two numbers, and not had by another connection."""
    fetch("SELECT pg_advisory_lock(1397836102, 77001)")
    try:
        seen = fetch(
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND classid::bigint = 1397836102 AND objid::bigint = 77001 AND granted",
            1,
        )
        return seen == [(1,)] and fetch("SELECT pg_try_advisory_lock(1397836102, 77001)", 1) == [(False,)]
    finally:
        fetch("SELECT pg_advisory_unlock(1397836102, 77001)")


FACTS: Sequence[Fact] = (
    Fact(
        "row_hash",
        "`hashtextextended` tells rows apart that differ in any bit",
        "finding changed rows and partitions",
        "rows are hashed by `md5`, which takes longer",
        lambda fetch: _tell_rows_apart(fetch, Holds()),
    ),
    Fact(
        "row_text",
        "the text of a row tells it apart from rows that differ in any bit",
        "finding changed rows and partitions",
        "",
        lambda fetch: _tell_rows_apart(fetch, Holds(row_hash=False)),
        instead_of="row_hash",
    ),
    Fact(
        "bits",
        "values that compare as equal are the same in every bit, where SQLFlow counts on it",
        "leaving rows alone that did not change",
        "values are compared as text too, which takes longer",
        _tell_values_apart,
    ),
    Fact(
        "null_equality",
        "arrays with NULL in them are equal",
        "keys",
        "keys are compared by `IS NOT DISTINCT FROM`, which takes longer",
        _equal_nulls,
    ),
    Fact(
        "first",
        "`array_agg` keeps NULL, and its first element is a value of the rows",
        "tables that follow changes",
        "values are taken by their text",
        _first_values,
    ),
    Fact(
        "averages",
        "AVG is the sum as DECIMAL divided by the count, to the last digit",
        "averages that follow changes",
        "such tables are rebuilt",
        _averages,
    ),
    Fact("sums", "sums of whole numbers, of decimals and of hashes are exact", "tables that follow changes", "", _add_up),
    Fact(
        "rowids",
        "`ctid` tells the rows of a table apart, and stays while nobody writes them",
        "removing rows from tables that follow changes",
        "such tables are rebuilt",
        _number_rows,
    ),
    Fact(
        "collations",
        "the catalogue shows which collations take different texts for equal",
        "not following rows that a collation calls equal",
        "tables with texts are rebuilt instead of following changes",
        _show_collations,
    ),
    Fact(
        "rolls_back",
        "emptying, making, renaming and dropping tables is undone by ROLLBACK",
        "that a failed task leaves its table as it was",
        "",
        _roll_back_tables,
    ),
    Fact(
        "dates_cut",
        "`date_trunc` of a DATE is a TIMESTAMP WITH TIME ZONE",
        "intervals of incremental models",
        "days are cut as days",
        _cut_dates,
    ),
    Fact(
        "calendar",
        "times are cut downwards, before 1970 too, weeks begin on Monday, and fewer digits are the nearest",
        "intervals of incremental models",
        "",
        _cut_times,
    ),
    Fact(
        "read_back",
        "the text of a number or a time is read back as the same value",
        "the marks of cursors",
        "",
        _read_back,
    ),
    Fact(
        "locks",
        "an advisory lock is seen by others, and held by one",
        "that only one build writes",
        "",
        _show_locks,
    ),
)  # fmt: skip


def traits_with(broken: frozenset[str]) -> Traits:
    """The traits of a server for which these facts do not hold."""
    holds = Holds(
        row_hash="row_hash" not in broken,
        bits="bits" not in broken,
        null_equality="null_equality" not in broken,
        first="first" not in broken,
        averages="averages" not in broken,
        rowids="rowids" not in broken,
        collations="collations" not in broken,
    )
    return Traits(
        dialect="postgres",
        wording=PostgresWording(holds),
        reads_files=False,
        scratch=False,
        cuts_days="dates_cut" in broken,
        loose_decimals=True,
        longest_name=LONGEST,
        clock_texts=frozenset({"now", "today", "tomorrow", "yesterday"}),
    )
