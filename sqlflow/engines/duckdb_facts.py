"""What promises rest on, of DuckDB. Found with 2.0.0 and 2.0.1; see `facts.py`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from sqlflow.core.engine import EngineError, Row, Traits
from sqlflow.core.names import TableName
from sqlflow.core.schema import Column, Schema
from sqlflow.core.sql import Ident, Sql, Value, compose, joined
from sqlflow.core.wording import OtherAggregates
from sqlflow.engines.duckdb_sql import DuckDBWording, Holds
from sqlflow.engines.facts import Fact, Fetch

_WHOLE = ("0", "-1", "1", "2", "-2", "100", "-100")
_WIDE = (
    *_WHOLE,
    *(str(n) for n in (2**63 - 1, -(2**63), 2**64, 2**64 + 1, -(2**64), 2**64 - 1, 5 * 2**64 + 7, 7 * 2**64 + 5)),
)
# Values that differ, and that an engine may take for one: by type, as text.
NOTABLE: Mapping[str, Sequence[str]] = {
    "BIGINT": _WHOLE,
    "HUGEINT": (*_WIDE, str(2**127 - 1), str(-(2**127))),
    "UHUGEINT": tuple(n for n in _WIDE if not n.startswith("-")),
    "DECIMAL(38,2)": (*_WIDE, "0.01", "-0.01"),
    "DECIMAL(18,2)": (*_WHOLE, "0.01", "-0.01"),
    "UUID": tuple(f"{a}-0000-{b}-{c}-00000000000{d}" for a in ("00000000", "80000000") for b in ("0000", "0001")
                  for c in ("0000", "8000") for d in (0, 1)),
    "INTERVAL": ("0 days", "1 day", "30 days", "1 month", "1 day 1 month", "1 microsecond", "-1 day", "24 hours", "1 day 1 microsecond"),
    "DOUBLE": ("0", "-0.0", "1", "-1", "inf", "-inf", "nan", "1e-300", "1e300", "0.3", "0.30000000000000004"),
    "FLOAT": ("0", "-0.0", "1", "inf", "nan", "0.1", "0.10000001"),
    "VARCHAR": ("", "a", "A", "aa", "ab", "ba", "0", "a" * 12, "a" * 13, "a" * 12 + "b"),
    "VARCHAR COLLATE NOCASE": ("", "anna", "Anna", "ANNA", "a" * 13, "A" * 13),
    "VARCHAR COLLATE NOACCENT": ("", "a", "ä", "\u00e9", "e\u0301"),
    "BLOB": ("", "a", "\\x00", "\\x00\\x00"),
    "BIT": ("0", "1", "00", "01", "10", "000", "00000000", "000000000"),
    "DATE": ("1970-01-01", "1969-12-31", "infinity", "-infinity"),
    "TIMESTAMP": ("1970-01-01", "1969-12-31 23:59:59.999999"),
    "TIMESTAMP_NS": ("1970-01-01", "1970-01-01 00:00:00.000000001", "1969-12-31 23:59:59.999999999"),
    "TIMETZ": ("00:00:00+00", "01:00:00+01", "00:00:00-15:59"),
    "BIGNUM": ("0", "-1", "1", "255", "-255", "256"),
    "INTEGER[]": ("[]", "[0]", "[0, 0]", "[1]", "[0, 1]", "[1, 0]", "[NULL]", "[NULL, NULL]", "[0, NULL]", "[NULL, 0]"),
    "VARCHAR[]": ("[]", "['']", "['', '']", "[a]", "[A]", "[a, '']", "['', a]", "[a, b]", "[ab]", "['a, b']", "[NULL]", "['NULL']"),
    "INTEGER[][]": ("[]", "[[]]", "[[], []]", "[[0]]", "[[0], [0]]", "[[0, 0]]", "[[1], [0]]", "[[1, 0]]", "[NULL]", "[[NULL]]"),
    "HUGEINT[]": ("[0]", "[-1]", "[0, 1]", "[-1, 1]"),
    "STRUCT(a DOUBLE)": ("{'a': 0.0}", "{'a': -0.0}", "{'a': NULL}"),
    "STRUCT(a INTEGER, b INTEGER)": ("{'a': 0, 'b': 0}", "{'a': NULL, 'b': 0}", "{'a': 0, 'b': NULL}", "{'a': NULL, 'b': NULL}"),
    "STRUCT(a INTEGER[], b INTEGER[])": ("{'a': [0], 'b': [0, 0]}", "{'a': [0, 0], 'b': [0]}", "{'a': [], 'b': [0, 0, 0]}"),
    "STRUCT(a HUGEINT)": ("{'a': 0}", "{'a': -1}"),
    "MAP(VARCHAR, INTEGER)": ("{a=1, b=2}", "{b=2, a=1}"),
    "INTEGER[2]": ("[0, 0]", "[0, 1]", "[1, 0]", "[NULL, 0]", "[0, NULL]"),
}  # fmt: skip


def values_of(kind: str, number: Sql) -> Sql:
    """The notable value of a type by its number; NULL behind the last."""
    plain, _, collation = kind.partition(" COLLATE ")
    text = compose("CAST({texts} AS VARCHAR[])[{n}]", texts=Value(list(NOTABLE[kind])), n=number)
    if collation:
        return compose("{text} COLLATE {collation}", text=text, collation=Ident(collation))
    return compose("CAST({text} AS {kind})", text=text, kind=Sql(plain))


def _kinds(fetch: Fetch) -> Mapping[str, Sequence[str]]:
    """The types that this version has; of others there is no column."""
    try:
        fetch("SELECT CAST(NULL AS BIGNUM)")
    except EngineError:
        return {kind: values for kind, values in NOTABLE.items() if kind != "BIGNUM"}
    return NOTABLE


def _make_values(fetch: Fetch) -> Sequence[tuple[str, int, Schema]]:
    """The table `v` with the values of each type in a column; the name of each, its number of values, and its type."""
    kinds = _kinds(fetch)
    if not fetch("SELECT 1 FROM duckdb_tables() WHERE table_name = 'v'"):  # what another probe has made already
        most = max(map(len, kinds.values())) + 1
        columns = [
            compose("{value} AS {x}", value=values_of(kind, Sql("i")), x=Ident(f"x{n}")) for n, kind in enumerate(kinds)
        ]
        made = compose("SELECT i, {columns} FROM range(1, {most}) AS t(i)", columns=columns, most=most + 1)
        fetch(compose("CREATE TEMP TABLE v AS {made}", made=made))
    return [
        (f"x{n}", len(values) + 1, Schema((Column(f"x{n}", kind.partition(" COLLATE ")[0]),)))
        for n, (kind, values) in enumerate(kinds.items())
    ]


def _apart(fetch: Fetch, holds: Holds) -> bool:
    with _plainly(fetch):
        return _tell_rows_apart(fetch, DuckDBWording(holds))


def _values_apart(fetch: Fetch) -> bool:
    with _plainly(fetch):
        return _tell_values_apart(fetch, DuckDBWording())


@contextmanager
def _plainly(fetch: Fetch) -> Iterator[None]:
    """Without the optimizer, which takes most of the time and has nothing to find here."""
    fetch("PRAGMA disable_optimizer")
    try:
        yield
    finally:
        fetch("PRAGMA enable_optimizer")


def _tell_rows_apart(fetch: Fetch, words: DuckDBWording) -> bool:
    """Whether rows of one notable value have digests of their own, and rows of two texts or lists."""
    found = _make_values(fetch)
    rows = fetch(
        compose("SELECT {digests} FROM v AS _sqlflow_row", digests=[words.row_digest(of) for _, _, of in found])
    )
    for number, (_, values, _) in enumerate(found):
        if len({row[number] for row in rows[:values]}) < values:
            return False
    for name, values, schema in found:
        kind = schema.columns[0].type
        if kind in ("VARCHAR", "VARCHAR[]"):
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


def _tell_values_apart(fetch: Fetch, words: DuckDBWording) -> bool:
    """Whether of all pairs of notable values only equal ones are the same in every bit. Rows of texts, which a collation may
    call equal, are told apart by `row_hash`."""
    ways, most = [], []
    for name, values, schema in _make_values(fetch):
        column, left, right = schema.columns[0], compose("a.{c}", c=Ident(name)), compose("b.{c}", c=Ident(name))
        same = [words.same_bits(left, right, column)]
        if column.type != "VARCHAR":
            finer = words.finer(Sql("a"), Sql("b"), schema)
            same.append(joined(" AND ", [words.same(left, right), *finer]))
        ways += same
        most += [values] * len(same)
    for first, second, *answers in fetch(
        compose("SELECT a.i, b.i, {ways} FROM v AS a JOIN v AS b ON a.i <= b.i", ways=ways)
    ):
        for values, answer in zip(most, answers, strict=True):
            if int(str(first)) <= values and int(str(second)) <= values and answer is not (first == second):
                return False
    return True


def _add_up_hashes(fetch: Fetch) -> bool:
    return fetch(
        "SELECT typeof(sum(h)), CAST(sum(h) AS VARCHAR) FROM (SELECT 18446744073709551615::UBIGINT AS h FROM range(3))"
    ) == [("HUGEINT", "55340232221128654845")]


def _add_up(fetch: Fetch) -> bool:
    return fetch(
        "SELECT typeof(sum(b)), CAST(sum(b) AS VARCHAR), typeof(sum(d)), CAST(sum(d) AS VARCHAR) FROM "
        "(SELECT 9223372036854775807 AS b, 99999999.99::DECIMAL(10,2) AS d FROM range(3))"
    ) == [("HUGEINT", "27670116110564327421", "DECIMAL(38,2)", "299999999.97")]


# Types, and a value of a row by its number `i`, such that the two ways to divide give other last bits.
_AVERAGED: Mapping[str, str] = {
    "BIGINT": "CAST(hash(i) % 9000000000000000000 AS BIGINT)",
    "DECIMAL(18,4)": "CAST(hash(i) % 90000000000000 AS DECIMAL(18,0)) + 0.1234",
}


def _make_numbers(fetch: Fetch) -> None:
    columns = ", ".join(f"CAST({value} AS {kind}) AS v{n}" for n, (kind, value) in enumerate(_AVERAGED.items()))
    fetch(f"CREATE OR REPLACE TEMP TABLE numbers AS SELECT i % 10 AS g, i AS other, {columns} FROM range(120) AS t(i)")  # noqa: S608 - ours


def _averages(fetch: Fetch, ways: Mapping[str, OtherAggregates], kinds: Mapping[str, str]) -> bool:
    """Whether the average is what `Wording.average` says, in each company: `ways` by what the query counts beside it."""
    words = DuckDBWording()
    for number, kind in enumerate(kinds):
        for beside, company in ways.items():
            average = words.average(Sql("s"), Sql("n"), kind, company)
            if average is None:
                return False
            v = f"v{number}"
            keys, using = ("g, ", "GROUP BY g") if company.grouped else ("1 AS g, ", "")
            mean = f"avg({v}) FILTER (other > 10)" if company.filtered else f"avg({v})"
            only = "WHERE other > 10" if company.filtered else ""
            found = fetch(
                f"SELECT count(*) > 0 AND bool_and(mean = made) FROM (SELECT {keys}{mean} AS mean{beside.replace('v', v)} FROM numbers {using}) "  # noqa: S608 - ours
                f"JOIN (SELECT g, {average} AS made FROM (SELECT {keys}sum({v}) AS s, count({v}) AS n FROM numbers {only} {using})) USING (g)"
            )
            if not found[0][0]:
                return False
    return True


_DIVIDED: Mapping[str, OtherAggregates] = {
    ", sum(v) AS s": OtherAggregates(summed=True),
    "": OtherAggregates(grouped=False),
}
_FINISHED: Mapping[str, OtherAggregates] = {"": OtherAggregates(), ", count(*) AS n": OtherAggregates(filtered=True)}


def _averages_divide(fetch: Fetch) -> bool:
    _make_numbers(fetch)
    counted = {", count(v) AS n": OtherAggregates(counted=True)}
    integers = {kind: value for kind, value in _AVERAGED.items() if kind == "BIGINT"}
    return _averages(fetch, _DIVIDED, _AVERAGED) and _averages(fetch, counted, integers)


def _averages_finish(fetch: Fetch) -> bool:
    _make_numbers(fetch)
    return _averages(fetch, _FINISHED, _AVERAGED)


def _number_rows(fetch: Fetch) -> bool:
    fetch("CREATE OR REPLACE TEMP TABLE rows AS SELECT i AS a FROM range(5) AS t(i)")
    fetch("DELETE FROM rows WHERE a = 2")
    fetch("CREATE OR REPLACE TEMP TABLE found AS SELECT rowid AS r, a FROM rows")
    fetch("DELETE FROM rows WHERE rowid IN (SELECT r FROM found WHERE a = 1)")
    fetch("INSERT INTO rows VALUES (7)")
    return fetch("SELECT count(*), count(DISTINCT rows.rowid), count(found.a), bool_and(found.a IS NULL OR found.a = rows.a) "
                 "FROM rows LEFT JOIN found ON found.r = rows.rowid") == [(4, 4, 3, True)]  # fmt: skip


def _equal_nulls(fetch: Fetch) -> bool:
    words = DuckDBWording()
    return fetch(
        compose(
            "WITH v AS (SELECT * FROM (VALUES (1, 1, 'nan'::DOUBLE, 'a'), (2, NULL, NULL, NULL), (3, 3, -0.0, ''), (4, NULL, 0.0, 'b')) "
            "AS t(i, n, d, s)) SELECT (SELECT list([a.i, b.i] ORDER BY a.i, b.i) FROM v AS a JOIN v AS b ON {n}), "
            "(SELECT list([a.i, b.i] ORDER BY a.i, b.i) FROM v AS a JOIN v AS b ON {d}), "
            "(SELECT list([a.i, b.i] ORDER BY a.i, b.i) FROM v AS a JOIN v AS b ON {s})",
            n=words.same(Sql("a.n"), Sql("b.n")),
            d=words.same(Sql("a.d"), Sql("b.d")),
            s=words.same(Sql("a.s"), Sql("b.s")),
        )
    ) == [
        (
            [[1, 1], [2, 2], [2, 4], [3, 3], [4, 2], [4, 4]],
            [[1, 1], [2, 2], [3, 3], [3, 4], [4, 3], [4, 4]],
            [[1, 1], [2, 2], [3, 3], [4, 4]],
        )
    ]


def _show_collations(fetch: Fetch) -> bool:
    fetch("CREATE OR REPLACE TABLE plain (x VARCHAR)")
    fetch("CREATE OR REPLACE TABLE collated (id INTEGER, x VARCHAR COLLATE NOCASE)")
    fetch("CREATE OR REPLACE TABLE collated_too AS SELECT x FROM collated")
    fetch("CREATE OR REPLACE TABLE collated_here AS SELECT x COLLATE NOCASE AS x FROM plain")
    fetch("CREATE OR REPLACE TABLE inside AS SELECT [x] AS l FROM collated")
    fetch("CREATE OR REPLACE TABLE plain_inside AS SELECT {'x': [x]} AS s FROM plain")
    fetch("CREATE OR REPLACE VIEW above AS SELECT x FROM collated")
    suspects = [TableName("main", name) for name in ("inside", "plain_inside", "above")]
    with _plainly(fetch):
        found = {str(name) for _, name in fetch(DuckDBWording().collated(suspects))}
    shown = {"collated", "collated_too", "collated_here", "inside", "above"}
    return shown <= found and not found & {"plain", "plain_inside"}


def _first_values(fetch: Fetch) -> bool:
    words = DuckDBWording()
    return fetch(
        compose(
            "SELECT {a}, {b}, {c} FROM (VALUES (NULL::INTEGER, [1, NULL], 'x'), (NULL, [1, NULL], 'x')) AS t(a, b, c)",
            a=words.first(Column("a", "INTEGER")),
            b=words.first(Column("b", "INTEGER[]")),
            c=words.first(Column("c", "VARCHAR")),
        )
    ) == [(None, [1, None], "x")]


def _roll_back_tables(fetch: Fetch) -> bool:
    fetch("CREATE OR REPLACE TABLE kept AS SELECT 1 AS a")
    fetch("BEGIN TRANSACTION")
    fetch("CREATE TABLE made AS SELECT 2 AS a")
    fetch("DROP TABLE kept")
    fetch("ALTER TABLE made RENAME TO kept")
    fetch("CREATE OR REPLACE TABLE kept AS SELECT 3 AS a")
    inside = fetch("FROM kept")
    fetch("ROLLBACK")
    return (
        inside == [(3,)]
        and fetch("FROM kept") == [(1,)]
        and fetch("SELECT count(*) FROM duckdb_tables() WHERE table_name = 'made'") == [(0,)]
    )


def _cut_dates(fetch: Fetch) -> bool:
    return fetch(
        "SELECT DISTINCT typeof(date_trunc('day', d)), date_trunc('week', d)::VARCHAR FROM (SELECT DATE '2024-03-07' AS d)"
    )[0][0] in ("DATE", "TIMESTAMP")


def _cut_weeks(fetch: Fetch) -> bool:
    return fetch(
        "SELECT CAST(date_trunc('week', DATE '2024-03-10') AS DATE)::VARCHAR, CAST(date_trunc('quarter', DATE '2024-05-31') AS DATE)::VARCHAR, "
        "CAST(date_trunc('day', TIMESTAMP '1969-12-31 23:59:59.999999') AS DATE)::VARCHAR, "
        "epoch_us(TIMESTAMP '1969-12-31 23:59:59.999999'), "
        "CAST(TIMESTAMP '2024-03-07 23:59:59.999999' AS DATE)::VARCHAR"
    ) == [("2024-03-04", "2024-04-01", "1969-12-31", -1, "2024-03-07")]


# Texts that somewhere stand for the time of now when they are cast to one.
CLOCK_TEXTS = ("now", "today", "tomorrow", "yesterday")


def _no_clocks_in_texts(fetch: Fetch) -> bool:
    casts = ", ".join(
        f"TRY_CAST('{text}' AS {kind})" for text in CLOCK_TEXTS for kind in ("DATE", "TIMESTAMP", "TIMESTAMPTZ")
    )
    return all(value is None for value in fetch(f"SELECT {casts}")[0])


# Values by type whose text is written down and read again: the marks of cursors.
_MARKS: Mapping[str, Sequence[str]] = {
    "BIGINT": ("-9223372036854775808", "9223372036854775807"),
    "HUGEINT": (str(2**127 - 1),),
    "DECIMAL(38,10)": ("1234567890123456789012345678.0123456789",),
    "DOUBLE": ("0.30000000000000004", "1.7976931348623157e308", "5e-324", "-0.0", "1e22", "inf"),
    "FLOAT": ("0.10000001", "3.4028235e38"),
    "DATE": ("infinity", "0044-03-15 (BC)", "5881580-07-10"),
    "TIMESTAMP": ("2024-03-07 23:59:59.999999", "infinity", "0044-03-15 (BC) 00:00:00", "294247-01-10 04:00:54.775806"),
    "TIMESTAMP_NS": ("2024-03-07 23:59:59.999999999",),
    "TIMESTAMPTZ": ("2024-03-07 23:59:59.999999+00", "0044-03-15 (BC) 00:00:00+00"),
}  # fmt: skip


def _read_back(fetch: Fetch) -> bool:
    parts = []
    for kind, texts in _MARKS.items():
        for text in texts:
            value = compose("CAST({t} AS {kind})", t=Value(text), kind=Sql(kind))
            parts.append(compose("CAST(CAST({v} AS VARCHAR) AS {kind}) = {v}", v=value, kind=Sql(kind)))
    return bool(fetch(compose("SELECT {all}", all=joined(" AND ", parts)))[0][0])


def _tell_tables(fetch: Fetch) -> bool:
    """Whether the tree of a query has the names and places that `DuckDBBinder.parse` reads out of it."""
    query = 'WITH c AS (SELECT 1) SELECT * FROM "S".t AS x, c, (SELECT * FROM u) WHERE EXISTS (FROM s.v)'
    found = json.loads(str(fetch(compose("SELECT json_serialize_sql({q})", q=Value(query)))[0][0]))
    tables: list[tuple[object, ...]] = []
    ctes: list[object] = []

    def walk(node: object) -> None:
        if isinstance(node, dict):
            if node.get("type") == "BASE_TABLE":
                tables.append((node["schema_name"], node["table_name"], node["alias"], node["query_location"]))
            ctes.extend(entry["key"] for entry in node.get("cte_map", {}).get("map", ()))
        for inner in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
            walk(inner)

    walk(found)
    return ctes == ["c"] and sorted(tables, key=str) == [
        ("", "c", "", 47),
        ("", "u", "", 65),
        ("S", "t", "x", 35),
        ("s", "v", "", 87),
    ]


def _keep_apart(fetch: Fetch) -> bool:
    """Whether a transaction sees one state, and two that write the same rows do not both commit."""
    fetch("CREATE OR REPLACE TABLE shared AS SELECT 1 AS id, 0 AS n")
    fetch("BEGIN TRANSACTION")
    before = fetch("SELECT sum(n), count(*) FROM shared")
    fetch("INSERT INTO shared VALUES (2, 5)", 1)
    same = fetch("SELECT sum(n), count(*) FROM shared") == before
    fetch("BEGIN TRANSACTION", 1)
    fetch("UPDATE shared SET n = 1 WHERE id = 1", 1)
    refused = False
    try:
        fetch("UPDATE shared SET n = 2 WHERE id = 1")
        fetch("COMMIT", 1)
        fetch("COMMIT")
    except EngineError as error:
        refused = "conflict" in error.message.lower()
        fetch("ROLLBACK")
    fetch("ROLLBACK", 1) if refused else None
    return same and refused


FACTS: Sequence[Fact] = (
    Fact(
        "row_hash",
        "`hash` tells rows apart that differ in any bit, with what stands beside their values",
        "finding changed rows and partitions",
        "rows are hashed as text, which takes longer",
        lambda fetch: _apart(fetch, Holds()),
    ),
    Fact(
        "row_text",
        "the text of a row tells it apart from rows that differ in any bit",
        "finding changed rows and partitions",
        "",
        lambda fetch: _apart(fetch, Holds(row_hash=False)),
        instead_of="row_hash",
    ),
    Fact(
        "bits",
        "values that compare as equal are the same in every bit, where SQLFlow counts on it",
        "leaving rows alone that did not change",
        "values are compared as text too, which takes longer",
        _values_apart,
    ),
    Fact(
        "sums_of_hashes",
        "the sum of hashes is exact",
        "finding changed tables and partitions",
        "hashes are added up as HUGEINT",
        _add_up_hashes,
    ),
    Fact("sums", "sums of whole numbers and of decimals are exact", "tables that follow changes", "", _add_up),
    Fact(
        "averages_divided",
        "AVG beside the SUM of the same, or without groups, divides both as DOUBLE",
        "averages that follow changes",
        "such tables are rebuilt",
        _averages_divide,
    ),
    Fact(
        "averages_finished",
        "AVG alone is what `finalize` makes of its sum and count",
        "averages that follow changes",
        "such tables are rebuilt",
        _averages_finish,
    ),
    Fact(
        "rowids",
        "`rowid` tells the rows of a table apart, and stays while nobody writes them",
        "finding the rows of a merge again",
        "they are found by their keys",
        _number_rows,
    ),
    Fact(
        "null_equality",
        "`IS NOT DISTINCT FROM` takes NULL for equal to NULL and to nothing else",
        "keys",
        "keys are compared as lists of one, which takes longer",
        _equal_nulls,
    ),
    Fact(
        "collations",
        "the catalogue shows the collations of columns",
        "not following rows that a collation calls equal",
        "tables with texts are rebuilt instead of following changes",
        _show_collations,
    ),
    Fact(
        "first",
        "`first` gives the value of rows that agree in it, NULL included",
        "tables that follow changes",
        "`list` is asked for the first value",
        _first_values,
    ),
    Fact(
        "keeps_apart",
        "a transaction sees one state, and two do not overwrite each other's rows",
        "building several tables at a time",
        "tables are built one after the other",
        _keep_apart,
    ),
    Fact(
        "rolls_back",
        "making, renaming and dropping tables is undone by ROLLBACK",
        "that a failed task leaves its table as it was",
        "",
        _roll_back_tables,
    ),
    Fact(
        "dates_cut",
        "`date_trunc` of a DATE is a DATE or a TIMESTAMP",
        "intervals of incremental models",
        "days are cut as moments of the project's time zone",
        _cut_dates,
    ),
    Fact(
        "calendar",
        "times are cut downwards, before 1970 too, and weeks begin on Monday",
        "intervals of incremental models",
        "",
        _cut_weeks,
    ),
    Fact(
        "read_back",
        "the text of a number or a time is read back as the same value",
        "the marks of cursors",
        "",
        _read_back,
    ),
    Fact(
        "clock_texts",
        "no text such as 'now' is a time when it is cast to one",
        "knowing which queries depend on the clock",
        "such a text counts as a clock",
        _no_clocks_in_texts,
    ),
    Fact(
        "trees",
        "`json_serialize_sql` tells the tables of a query, and where they stand",
        "the graph of models",
        "SQLFlow's own parser tells them",
        _tell_tables,
    ),
)  # fmt: skip


def traits_with(broken: frozenset[str]) -> Traits:
    """The traits of a version in which these facts do not hold."""
    holds = Holds(
        row_hash="row_hash" not in broken,
        bits="bits" not in broken,
        sums="sums_of_hashes" not in broken,
        averages_divided="averages_divided" not in broken,
        averages_finished="averages_finished" not in broken,
        rowids="rowids" not in broken,
        null_equality="null_equality" not in broken,
        collations="collations" not in broken,
        first="first" not in broken,
    )
    return Traits(
        dialect="duckdb",
        wording=DuckDBWording(holds),
        index_options=False,
        partitioned_tables=False,
        cuts_days="dates_cut" not in broken,
        clock_texts=frozenset(CLOCK_TEXTS) if "clock_texts" in broken else frozenset(),
        side_by_side="keeps_apart" not in broken,
        tells_tables="trees" not in broken,
    )


@contextmanager
def scratch() -> Iterator[Fetch]:
    """An empty database in memory, and two connections to it."""
    import duckdb

    with duckdb.connect(config={"threads": 1}) as first, first.cursor() as second:
        first.execute("SET TimeZone = 'UTC'")

        def fetch(sql: str, by: int = 0) -> Sequence[Row]:
            try:
                return (first, second)[by].execute(sql).fetchall()
            except duckdb.Error as error:
                raise EngineError(str(error)) from error

        yield fetch
