"""What is said of types of columns, tried in both engines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import product

import duckdb
import psycopg
import pytest
from laboratory import Lab, duckdb_lab, postgres_lab

from sqlflow.core.types import Family, parsed, widens
from sqlflow.engines.postgres_types import spelled

# By type: values at its ends, and such as are near to each other.
_WHOLE = {
    bits: (str(-(2 ** (bits - 1))), "-1", "0", "1", str(2 ** (bits - 1) - 2), str(2 ** (bits - 1) - 1))
    for bits in (8, 16, 32, 64, 128)
}
_COUNT = {bits: ("0", "1", str(2**bits - 2), str(2**bits - 1)) for bits in (8, 16, 32, 64, 128)}
_FLOAT = ("-3.4028234663852886e38", "1e-45", "0.1", "16777216", "16777215", "3.4028234663852886e38", "inf", "nan")
_DOUBLE = (
    "-1.7976931348623157e308",
    "5e-324",
    "0.1",
    "0.30000000000000004",
    "9007199254740991",
    "9007199254740992",
    "inf",
    "nan",
)
_DAYS = ("0001-01-01", "1969-12-31", "1970-01-01", "9999-12-31", "infinity", "-infinity")
_DUCKDB: Mapping[str, tuple[str, ...]] = {
    "TINYINT": _WHOLE[8], "SMALLINT": _WHOLE[16], "INTEGER": _WHOLE[32], "BIGINT": _WHOLE[64], "HUGEINT": _WHOLE[128],
    "UTINYINT": _COUNT[8], "USMALLINT": _COUNT[16], "UINTEGER": _COUNT[32], "UBIGINT": _COUNT[64], "UHUGEINT": _COUNT[128],
    "DECIMAL(3,0)": ("-999", "0", "999"), "DECIMAL(5,2)": ("-999.99", "0.01", "0.02", "999.99"),
    "DECIMAL(10,0)": ("-9999999999", "0", "9999999999"), "DECIMAL(10,5)": ("-99999.99999", "0.00001", "99999.99999"),
    "DECIMAL(38,10)": ("-9999999999999999999999999999.9999999999", "0.0000000001"), "DECIMAL(38,0)": ("9" * 38, "-" + "9" * 38),
    "FLOAT": _FLOAT, "DOUBLE": _DOUBLE, "VARCHAR": ("", "a", "B", "10", "9"), "DATE": _DAYS,
    "TIMESTAMP": ("1969-12-31 23:59:59.999999", "infinity"), "TIMESTAMP_MS": ("1969-12-31 23:59:59.999",), "TIMESTAMP_S": ("1969-12-31 23:59:59",),
    "TIMESTAMP_NS": ("1969-12-31 23:59:59.999999999", "1969-12-31 23:59:59.999999998"), "TIMESTAMP WITH TIME ZONE": ("1969-12-31 23:59:59.999999+00",),
    "TIME": ("00:00:00", "23:59:59.999999"), "BOOLEAN": ("true", "false"), "INTEGER[]": ("[1, -2147483648]", "[]", "[NULL]"), "BIGINT[]": ("[9223372036854775807]",),
    "INTEGER[2]": ("[1, 2]",), "STRUCT(a INTEGER, b VARCHAR)": ("{'a': 2147483647, 'b': 'x'}", "{'a': NULL, 'b': NULL}"),
    "STRUCT(a BIGINT, b VARCHAR)": ("{'a': 9223372036854775807, 'b': 'x'}",), "MAP(VARCHAR, INTEGER)": ("{x=2147483647}",), "MAP(VARCHAR, BIGINT)": ("{x=1}",),
    "ENUM('b', 'a')": ("a", "b"), "UUID": ("00000000-0000-0000-0000-000000000001",),
}  # fmt: skip
_POSTGRES: Mapping[str, tuple[str, ...]] = {
    "SMALLINT": _WHOLE[16], "INTEGER": _WHOLE[32], "BIGINT": _WHOLE[64],
    "DECIMAL(5,0)": ("-99999", "0", "99999", "NaN"), "DECIMAL(5,2)": ("-999.99", "0.01", "0.02", "999.99", "NaN"),
    "DECIMAL(10,0)": ("-9999999999", "9999999999"), "DECIMAL(10,5)": ("-99999.99999", "0.00001", "99999.99999"),
    "DECIMAL(19,0)": ("9" * 19, "-" + "9" * 19), "DECIMAL": ("1e-40", "1e100", "Infinity", "NaN"),
    "REAL": _FLOAT, "DOUBLE PRECISION": _DOUBLE, "TEXT": ("", "a", "B", "10", "9", "x" * 20), "VARCHAR(5)": ("", "a", "a ", "abcde"), "VARCHAR(10)": ("", "abcdefghij"),
    "CHAR(5)": ("", "a", "abcde"), "CHAR(10)": ("", "abcdefghij"), "DATE": _DAYS, "TIMESTAMP": ("1969-12-31 23:59:59.999999", "infinity"),
    "TIMESTAMP(3)": ("1969-12-31 23:59:59.999",), "TIMESTAMP(0)": ("1969-12-31 23:59:59",), "TIMESTAMP WITH TIME ZONE": ("1969-12-31 23:59:59.999999+00",),
    "TIMESTAMP(3) WITH TIME ZONE": ("1969-12-31 23:59:59.999+00",), "TIME": ("00:00:00", "23:59:59.999999"), "TIME(3)": ("23:59:59.999",), "BOOLEAN": ("true", "false"),
    "INTEGER[]": ("{1,-2147483648}", "{}", "{NULL}"), "BIGINT[]": ("{9223372036854775807}",), "UUID": ("00000000-0000-0000-0000-000000000001",), "BYTEA": ("\\x00", "\\x"),
}  # fmt: skip


@pytest.fixture(params=["duckdb", "postgres"])
def lab(request: pytest.FixtureRequest) -> Iterator[Lab]:
    with duckdb_lab() if request.param == "duckdb" else postgres_lab() as made:
        yield made


def _values(lab: Lab) -> Mapping[str, tuple[str, ...]]:
    return _DUCKDB if lab.traits.dialect == "duckdb" else _POSTGRES


def _keeps_all(lab: Lab, old: str, new: str) -> bool:
    """Whether the values of one type are those of another one: there and back again, in the same order."""
    rows = ", ".join("('" + value.replace("'", "''") + "')" for value in _values(lab)[old])
    values = f"(SELECT CAST(v AS {old}) AS v FROM (VALUES {rows}) AS _t(v))"
    there = f"SELECT bool_and(CAST(CAST(v AS {new}) AS {old}) IS NOT DISTINCT FROM v) FROM {values} AS _v"
    order = (
        f"SELECT bool_and((a.v < b.v) IS NOT DISTINCT FROM (CAST(a.v AS {new}) < CAST(b.v AS {new}))) "
        f"FROM {values} AS a, {values} AS b"
    )
    try:
        return all(lab.rows(query) == [(True,)] for query in (there, order))
    except (duckdb.Error, psycopg.Error):
        return False  # the cast does not succeed


def test_a_type_is_widened_only_where_every_value_stays_what_it_is(lab: Lab) -> None:
    kinds = _values(lab)
    wrong = [
        (old, new)
        for old, new in product(kinds, kinds)
        if widens(parsed(old), parsed(new)) and not _keeps_all(lab, old, new)
    ]
    assert wrong == []


def test_numbers_are_widened_wherever_they_can_be(lab: Lab) -> None:
    kinds = [kind for kind in _values(lab) if parsed(kind).is_number]
    missed = [
        (old, new)
        for old, new in product(kinds, kinds)
        if not widens(parsed(old), parsed(new)) and _keeps_all(lab, old, new)
    ]
    # A DECIMAL that reads back as it was is no integer for that, and no floating-point number: its quotients and sums are others.
    assert [(old, new) for old, new in missed if parsed(old).family is not Family.DECIMAL] == []


def test_every_spelling_of_the_engine_is_read() -> None:
    with duckdb.connect() as connection:
        for kind in _DUCKDB:
            connection.execute(f"CREATE OR REPLACE TABLE t (c {kind})")
            (spelled,) = connection.execute(
                "SELECT data_type FROM duckdb_columns() WHERE table_name = 't'"
            ).fetchone() or ("",)
            assert parsed(spelled).family is not Family.OTHER, spelled
            assert parsed(spelled) == parsed(kind)


def test_types_without_equality_are_those_of_the_catalogue() -> None:
    with postgres_lab() as lab:
        listed = lab.rows(
            "SELECT format_type(oid, NULL) FROM pg_type WHERE typtype IN ('b', 'r', 'm') AND typnamespace = 'pg_catalog'::regnamespace "
            "AND typcategory NOT IN ('P', 'Z') AND typname NOT LIKE '%pg\\_%' AND typname <> '_cstring' ORDER BY 1"
        )
        wrong = []
        for kind in (str(row[0]) for row in listed):
            try:
                lab.rows(f"SELECT CAST(NULL AS {kind}) AS c GROUP BY c")
                equal = True
            except psycopg.errors.UndefinedFunction:
                equal = False
            if parsed(spelled(kind)).has_equality is not equal:
                wrong.append(kind)
    assert wrong == [], " ".join(wrong)


@pytest.mark.parametrize(
    ("spelled", "family"),
    [
        ("DATERANGE", Family.OTHER), ("BIGNUM", Family.OTHER), ('"date"', Family.OTHER), ("shop.integer_or_text", Family.OTHER),
        ("BIT VARYING(3)", Family.BITS), ("INTERVAL(3)", Family.INTERVAL), ("VARCHAR COLLATE NOCASE", Family.TEXT),
        ("ENUM('FLOAT', 'a, b', 'it''s')", Family.ENUM), ("UNION(a INTEGER, b VARCHAR)[]", Family.LIST), ('STRUCT("DOUBLE ""x""" INTEGER)', Family.STRUCT),
    ],
)  # fmt: skip
def test_names_that_look_like_another_type(spelled: str, family: Family) -> None:
    assert parsed(spelled).family is family
    assert not parsed(spelled).has_float


def test_what_is_inside_is_found() -> None:
    kind = parsed("STRUCT(a INTEGER, b MAP(VARCHAR, STRUCT(c TIMESTAMP WITH TIME ZONE, d DOUBLE[])))")
    assert (kind.has_zone, kind.has_float, kind.has_text, kind.is_nested) == (True, True, True, True)
    assert not parsed("STRUCT(a INTEGER)[]").has_zone
