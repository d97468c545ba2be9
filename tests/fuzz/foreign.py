"""Projects as the world writes them: every type of an engine, odd names, macros, friendly SQL, edits and settings that change.

`python -m fuzz.foreign --engine duckdb --seeds 0..499 --seconds 3600` with `tests` on the path. After each build every table
is held against its own query, run in the database over the tables that it reads. Rows are compared as the text that the
engine makes of them. What SQLFlow refuses with a message is counted by its code and taken out of the project.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import re
import shutil
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import psycopg
from lawful import CONFIG as DUCKDB_CONFIG
from lawful import Lawful
from on_postgres import LawfulPostgres

from sqlflow.core.diagnostics import ProjectError, Severity

POSTGRES_CONFIG = "name: lawful\ntimezone: {zone}\ndialect: postgres\ntargets: {{dev: {{engine: postgres, url: '${{LAWFUL_URL}}'}}}}\n"
ZONES = ("UTC", "Pacific/Auckland", "America/St_Johns")

# Type -> values. The family says which expressions fit: `plain` values are equal only if their texts are.
INTEGERS = ["NULL", "0", "1", "1", "2", "-1", "7"]
TEXTS = ["NULL", "''", "'a'", "'a'", "'A'", "'a '", "'ä'", "'it''s'", "'x%y_z'", "'NULL'", "'1'", "'line\nbreak'"]
DAYS = ["NULL", "'2024-01-01'", "'2024-01-31'", "'2024-02-29'", "'1969-12-31'"]
TIMES = [
    "NULL",
    "'2024-01-01 00:00:00'",
    "'2024-03-31 02:30:00'",
    "'2024-01-02 23:59:59.999999'",
    "'1900-01-01 00:00:01'",
]
UUIDS = ["NULL", "'00000000-0000-0000-0000-000000000001'", "'ffffffff-ffff-ffff-ffff-ffffffffffff'"]
DUCKDB_TYPES: dict[str, tuple[str, list[str]]] = {
    "TINYINT": ("number", INTEGERS), "SMALLINT": ("number", INTEGERS), "INTEGER": ("number", INTEGERS),
    "BIGINT": ("number", [*INTEGERS, "4611686018427387904"]), "HUGEINT": ("number", [*INTEGERS, "170141183460469231731687303715884105726"]),
    "UTINYINT": ("number", ["NULL", "0", "1", "200"]), "UBIGINT": ("number", ["NULL", "0", "1", "9223372036854775809"]),
    "UHUGEINT": ("plain", ["NULL", "0", "1"]),
    "DECIMAL(4,1)": ("number", ["NULL", "0", "1.5", "-0.1"]), "DECIMAL(38,10)": ("number", ["NULL", "0", "0.0000000001", "-1.5"]),
    "FLOAT": ("loose", ["NULL", "0", "'-0.0'", "1.5", "'nan'", "'inf'"]), "DOUBLE": ("loose", ["NULL", "0", "'-0.0'", "0.1", "'nan'", "'-inf'"]),
    "VARCHAR": ("text", TEXTS), "BLOB": ("plain", ["NULL", "''", "'\\x00'", "'\\xFFa'"]), "BIT": ("plain", ["NULL", "'1'", "'01'", "'101010101'"]),
    "BOOLEAN": ("plain", ["NULL", "true", "false"]), "DATE": ("date", [*DAYS, "'infinity'"]), "TIME": ("plain", ["NULL", "'00:00:00'", "'23:59:59.999999'"]),
    "TIMESTAMP": ("date", TIMES), "TIMESTAMP_S": ("plain", TIMES[:3]), "TIMESTAMP_MS": ("plain", TIMES[:3]), "TIMESTAMP_NS": ("plain", TIMES[:3]),
    "TIMESTAMPTZ": ("date", [f"{t[:-1]}+00'" if t != "NULL" else t for t in TIMES]), "TIMETZ": ("loose", ["NULL", "'12:00:00+01'", "'11:00:00+00'"]),
    "INTERVAL": ("loose", ["NULL", "'1 month'", "'30 days'", "'1 day'", "'24 hours'", "'-1 year'"]),
    "UUID": ("plain", UUIDS), "JSON": ("json", ["NULL", "'{\"a\": 1}'", "'{\"a\":1}'", "'[1, null]'", "'\"x\"'"]),
    "INTEGER[]": ("list", ["NULL", "[]", "[1]", "[1, NULL]", "[2, 1]"]), "VARCHAR[]": ("list", ["NULL", "[]", "['a']", "['a', NULL]"]),
    "INTEGER[2]": ("plain", ["NULL", "[1, 2]", "[2, NULL]"]), "STRUCT(a INTEGER, b VARCHAR)": ("struct", ["NULL", "{'a': 1, 'b': 'x'}", "{'a': NULL, 'b': ''}"]),
    "MAP(VARCHAR, INTEGER)": ("loose", ["NULL", "MAP {}", "MAP {'a': 1}"]), "STRUCT(l INTEGER[], s STRUCT(\"b c\" DATE))": ("plain", ["NULL", "{'l': [1], 's': {'b c': '2024-01-01'}}"]),
    "ENUM('small', 'big')": ("plain", ["NULL", "'small'", "'big'"]), "UNION(n INTEGER, t VARCHAR)": ("loose", ["NULL", "1", "'x'"]),
    "VARCHAR COLLATE NOCASE": ("loose", TEXTS),
}  # fmt: skip
POSTGRES_TYPES: dict[str, tuple[str, list[str]]] = {
    "smallint": ("number", INTEGERS), "integer": ("number", INTEGERS), "bigint": ("number", [*INTEGERS, "4611686018427387904"]),
    "numeric": ("loose", ["NULL", "0", "1.0", "1.00", "'NaN'", "'Infinity'", "-0.1"]), "numeric(10,2)": ("number", ["NULL", "0", "1.50", "-0.01"]),
    "real": ("loose", ["NULL", "0", "'-0'", "'NaN'", "1.5"]), "double precision": ("loose", ["NULL", "0", "'-0'", "0.1", "'Infinity'"]),
    "text": ("text", TEXTS), "varchar(20)": ("text", TEXTS), "char(5)": ("loose", ["NULL", "'a'", "'ab'"]), "bytea": ("plain", ["NULL", "''", "'\\x00ff'"]),
    "boolean": ("plain", ["NULL", "true", "false"]), "date": ("date", [*DAYS, "'infinity'"]), "time": ("plain", ["NULL", "'00:00'", "'23:59:59.999999'"]),
    "timetz": ("loose", ["NULL", "'12:00+01'", "'11:00+00'"]), "timestamp": ("date", TIMES), "timestamp(0)": ("plain", TIMES[:3]),
    "timestamptz": ("date", [f"{t[:-1]}+00'" if t != "NULL" else t for t in TIMES]),
    "interval": ("loose", ["NULL", "'1 month'", "'30 days'", "'24 hours'", "'1 day'"]), "uuid": ("plain", UUIDS),
    "json": ("opaque", ["NULL", "'{\"a\": 1}'", "'{\"a\":1}'", "'[1, null]'"]), "jsonb": ("plain", ["NULL", "'{\"a\": 1}'", "'[1, null]'"]),
    "integer[]": ("plain", ["NULL", "'{}'", "'{1}'", "'{1,NULL}'"]), "text[]": ("plain", ["NULL", "'{}'", "'{a}'"]), "json[]": ("opaque", ["NULL", "'{}'"]),
    "inet": ("loose", ["NULL", "'10.0.0.1'", "'10.0.0.0/8'"]), "cidr": ("plain", ["NULL", "'10.0.0.0/8'"]), "macaddr": ("plain", ["NULL", "'08:00:2b:01:02:03'"]),
    "int4range": ("plain", ["NULL", "'[1,3)'", "'empty'"]), "tstzrange": ("plain", ["NULL", "'[2024-01-01 00:00+00,)'"]), "money": ("plain", ["NULL", "1.5"]),
    "point": ("opaque", ["NULL", "'(1,2)'"]), "box": ("opaque", ["NULL", "'(1,2),(3,4)'"]), "bit(3)": ("plain", ["NULL", "'101'"]), "tsvector": ("plain", ["NULL", "'a b'"]),
    "ext.mood": ("plain", ["NULL", "'sad'", "'happy'"]), "ext.positive": ("number", ["NULL", "1", "2"]), "ext.pair": ("loose", ["NULL", "'(1,x)'"]),
}  # fmt: skip
COMPARED = ("number", "text", "date", "plain")
ODD_NAMES = [
    "user", "order", "group", "select", "table", "date", "value", "key", "Name", "user id", "a.b", 'say "hi"', "ä", "naïve", "1st", "_x", "x$", "current_date",
    "end", "start", "rows", "type", "t", "n", "count", "sum", "row", "%d", "it's", "emoji 🙂", "long" * 14,
]  # fmt: skip
MACROS = """CREATE MACRO twice(x) AS x + x;
CREATE MACRO shown(x, fallback := '?') AS coalesce(CAST(x AS VARCHAR), fallback);
CREATE MACRO either(a, b) AS CASE WHEN a IS NULL THEN b ELSE a END;
"""
WORDS = re.compile(
    r"\b(SELECT|FROM|WHERE|GROUP BY|JOIN|LEFT|ON|AS|AND|CASE|WHEN|THEN|END|IS|NOT|NULL|UNION ALL|WITH|DISTINCT|OVER)\b"
)


@dataclass(slots=True)
class Column:
    name: str
    kind: str
    family: str


@dataclass(slots=True)
class Table:
    name: str  # as it is written in SQL
    columns: list[Column]
    values: dict[str, list[str]] = field(default_factory=dict)


@dataclass(slots=True)
class Written:
    """A model: its path, header and query, and what it gives."""

    path: str
    header: str
    query: str
    table: Table
    mode: str = "auto"


class Refused(Exception):
    """SQLFlow refuses the project. `codes`: of the errors; `paths`: where they are."""

    def __init__(self, error: ProjectError) -> None:
        errors = [d for d in error.diagnostics if d.severity is Severity.ERROR]
        super().__init__("; ".join(f"{d.code}: {d.message}" for d in errors))
        self.codes = [d.code for d in errors]
        self.paths = {str(d.span.path) for d in errors if d.span is not None}


@dataclass(slots=True)
class Story:
    """One project on its way, all from one seed."""

    seed: int
    engine: str
    rng: random.Random = field(init=False)
    project: Lawful = field(init=False)
    sources: list[Table] = field(default_factory=list)
    models: list[Written] = field(default_factory=list)
    zone: str = "UTC"
    low: int = 0
    told: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.rng = random.Random(self.seed)

    # ------------------------------------------------------------------ names and tables

    def q(self, name: str) -> str:
        plain = name.isidentifier() and name.islower() and name not in _RESERVED and self.rng.random() < 0.8
        return name if plain else '"' + name.replace('"', '""') + '"'

    def odd(self, used: set[str]) -> str:
        while True:
            name = self.rng.choice(ODD_NAMES) if self.rng.random() < 0.5 else f"c{self.rng.randint(1, 99)}"
            if name.lower() not in used:
                used.add(name.lower())
                return name

    def source(self, number: int) -> tuple[Table, list[str]]:
        types = DUCKDB_TYPES if self.engine == "duckdb" else POSTGRES_TYPES
        used = {"id", "k"}
        table = Table(f"ext.{self.q(self.rng.choice([f't{number}', f'Orders {number}', f'größe{number}']))}", [])
        columns = [Column("id", "INTEGER", "number"), Column("k", "INTEGER", "number")]
        table.values = {"id": [str(n) for n in range(40)], "k": INTEGERS}
        for _ in range(self.rng.randint(2, 6)):
            kind = self.rng.choice(list(types))
            name = self.odd(used)
            columns.append(Column(name, kind, types[kind][0]))
            table.values[name] = types[kind][1]
        table.columns = columns
        listed = ", ".join(f"{_quoted(c.name)} {c.kind}" for c in columns)
        return table, [f"CREATE TABLE {table.name} ({listed})", self.insert(table, self.rng.randint(4, 15))]

    def insert(self, table: Table, rows: int) -> str:
        made = [f"({', '.join(self.rng.choice(table.values[c.name]) for c in table.columns)})" for _ in range(rows)]
        return f"INSERT INTO {table.name} VALUES {', '.join(made)}"

    # ------------------------------------------------------------------ queries

    def expression(self, column: Column, of: str = "") -> tuple[str, str]:
        """SQL over a column, and the family of what it gives."""
        c = of + self.q(column.name)
        ways: list[tuple[str, str]] = [(c, column.family), (c, column.family), (f"{c} IS NULL", "plain")]
        ways.append((f"CASE WHEN {of}id > $low THEN {c} END", column.family))
        ways.append((f"CAST({c} AS VARCHAR)", "text"))
        match column.family:
            case "number":
                ways += [(f"{c} > 1", "plain"), (f"CAST({c} AS DECIMAL(38, 10)) + 1", "number")]
            case "text":
                ways += [
                    (f"upper({c})", "text"),
                    (f"length({c})", "number"),
                    (f"{c} || 'x'", "text"),
                    (f"{c} LIKE 'a%'", "plain"),
                ]
            case "date":
                ways += [
                    (f"extract(year FROM {c})", "loose"),
                    (f"date_trunc('month', {c})", "date"),
                    (f"CAST({c} AS DATE)", "date"),
                ]
            case _:
                pass
        if self.engine == "duckdb":
            ways += [(f"shown({c})", "text"), (f"either({c}, {c})", column.family)]
            match column.family:
                case "list":
                    ways += [(f"len({c})", "number"), (f"{c}[1]", "plain"), (f"list_sort({c})", "list")]
                case "struct":
                    ways += [(f"{c}.a", "number"), (f"struct_extract({c}, 'b')", "text")]
                case "json":
                    ways.append((f"{c} ->> 'a'", "text"))
                case "text":
                    ways.append((f"{c}.upper().lower()", "text"))
                case _:
                    pass
        return self.rng.choice(ways)

    def items(self, table: Table, of: str = "", most: int = 5) -> tuple[list[str], list[Column]]:
        used: set[str] = set()
        listed, columns = [], []
        for column in self.rng.sample(table.columns, min(len(table.columns), self.rng.randint(1, most))):
            sql, family = self.expression(column, of)
            name = self.odd(used)
            listed.append(f"{sql} AS {self.q(name)}")
            columns.append(Column(name, "", family))
        return listed, columns

    def query(self) -> tuple[str, list[Column]]:
        readable: list[Table] = [*self.sources, *(m.table for m in self.models if m.mode != "append")]
        table = self.rng.choice(readable)
        ids = any(c.name == "id" for c in table.columns)
        where = " WHERE id > $low" if ids and self.rng.random() < 0.4 else ""
        shape = self.rng.choice(
            ["plain", "plain", "group", "group", "join", "union", "cte", "star", "distinct", "window", "own"]
        )
        keys = [c for c in table.columns if c.family in COMPARED]
        if not ids:
            table = self.rng.choice(self.sources)
            where = ""
            keys = [c for c in table.columns if c.family in COMPARED]
        match shape:
            case "group":
                key = self.rng.choice(keys)
                items = [f"{self.q(key.name)} AS key", "count(*) AS n"]
                columns = [Column("key", "", key.family), Column("n", "", "number")]
                for number, column in enumerate(self.rng.sample(table.columns, min(3, len(table.columns)))):
                    c = self.q(column.name)
                    ways = [f"count({c})"]
                    if column.family in COMPARED:
                        ways += [f"count(DISTINCT {c})"]
                    if column.family in ("number", "text", "date"):
                        ways += [f"max({c})", f"min({c})"]
                    if column.family == "number":
                        ways += [f"sum({c})", f"avg({c})", f"sum({c}) FILTER (WHERE id > $low)"]
                    items.append(f"{self.rng.choice(ways)} AS a{number}")
                    columns.append(Column(f"a{number}", "", "loose"))
                return (
                    f"SELECT {', '.join(items)} FROM {table.name}{where} GROUP BY {self.rng.choice(['1', self.q(key.name)])}",
                    columns,
                )
            case "join":
                other = self.rng.choice(self.sources)
                left, columns = self.items(table, "l.")
                key = self.rng.choice(other.columns)
                how = self.rng.choice(["JOIN", "LEFT JOIN", "JOIN"])
                return (
                    f"SELECT l.id AS id, {', '.join(left)}, r.{self.q(key.name)} AS right_one FROM {table.name} AS l {how} {other.name} AS r ON l.id = r.id",
                    [Column("id", "", "number"), *columns, Column("right_one", "", "loose")],
                )
            case "union":
                items, columns = self.items(table, most=3)
                text = f"SELECT id, {', '.join(items)} FROM {table.name}"
                return f"{text} WHERE id > $low UNION ALL {text}", [Column("id", "", "number"), *columns]
            case "cte":
                items, columns = self.items(table)
                return (
                    f"WITH src AS (SELECT * FROM {table.name}{where}), final AS (SELECT id, {', '.join(items)} FROM src) SELECT * FROM final",
                    [Column("id", "", "number"), *columns],
                )
            case "star":
                return f"SELECT * FROM {table.name}{where}", list(table.columns)
            case "distinct":
                key = self.rng.choice(keys)
                return f"SELECT DISTINCT {self.q(key.name)} AS only FROM {table.name}{where}", [
                    Column("only", "", key.family)
                ]
            case "window":
                items, columns = self.items(table, most=2)
                return (
                    f"SELECT id, {', '.join(items)}, count(*) OVER (PARTITION BY id) AS n FROM {table.name}",
                    [Column("id", "", "number"), *columns, Column("n", "", "number")],
                )
            case "own" if self.engine == "duckdb":
                return self.rng.choice(
                    [
                        (f"FROM {table.name} SELECT id, COLUMNS(* EXCLUDE (id))", list(table.columns)),
                        (
                            f"SELECT id, count(COLUMNS(* EXCLUDE (id))) FROM {table.name} GROUP BY id",
                            [Column(c.name, "", "number") for c in table.columns],
                        ),
                        (
                            f"SELECT id, twice(id) AS two, id.twice() AS dot FROM {table.name}",
                            [Column("id", "", "number"), Column("two", "", "number"), Column("dot", "", "number")],
                        ),
                        (f"SELECT * REPLACE (id + 1 AS id) FROM {table.name}", list(table.columns)),
                        (
                            f"SELECT to_json(t) AS j, t.id AS id FROM (SELECT id, id AS userId FROM {table.name}) AS t",
                            [Column("j", "", "loose"), Column("id", "", "number")],
                        ),
                        (
                            f"SELECT id, list(id ORDER BY id) AS l FROM {table.name} GROUP BY ALL",
                            [Column("id", "", "number"), Column("l", "", "list")],
                        ),
                    ]
                )
            case _:
                items, columns = self.items(table)
                return f"SELECT id, {', '.join(items)} FROM {table.name}{where}", [Column("id", "", "number"), *columns]

    def model(self, number: int) -> Written:
        query, columns = self.query()
        name = self.rng.choice(
            [
                f"m{number}",
                f"m{number}",
                f"M{number}",
                f"my model {number}",
                f"größe_{number}",
                f"m{number}_" + "x" * 40,
            ]
        )
        mode = self.rng.choice(["auto"] * 8 + ["view", "inline"])
        header = {"auto": self.rng.choice(["-- @strategy: delta\n"] * 3 + ["", "-- @incremental: off\n"])}.get(
            mode, f"-- @mode: {mode}\n"
        )
        return Written(f"models/a/{name}.sql", header, query, Table(f"a.{_quoted(name)}", columns), mode)

    # ------------------------------------------------------------------ the project

    def files(self) -> Mapping[str, str]:
        config = (DUCKDB_CONFIG if self.engine == "duckdb" else POSTGRES_CONFIG).format(zone=self.zone)
        files = {"sqlflow.yml": config + f"variables: {{low: {self.low}}}\n"}
        if self.engine == "duckdb":
            files["macros/m.sql"] = MACROS
        return files | {m.path: m.header + m.query + "\n" for m in self.models}

    def write(self) -> None:
        shutil.rmtree(self.project.root / "models", ignore_errors=True)
        self.project.write(self.files())

    @contextlib.contextmanager
    def database(self) -> Iterator[Any]:
        if isinstance(self.project, LawfulPostgres):
            with psycopg.connect(self.project.url, autocommit=True) as connection:
                connection.execute(f"SET TimeZone = '{self.zone}'".encode())
                yield connection
        else:
            with duckdb.connect(str(self.project.database)) as own:
                own.execute(f"SET TimeZone = '{self.zone}'")
                yield own

    def happen(self, *statements: str) -> None:
        with self.database() as connection:
            for statement in statements:
                self.told.append(statement)
                connection.execute(
                    statement if isinstance(connection, duckdb.DuckDBPyConnection) else statement.encode()
                )

    def plain(self, model: Written) -> str:
        """The query as the database runs it: macros and variables in it; inline models are not read here."""
        return model.query.replace("$low", str(self.low))

    def rows(self, connection: Any, query: str) -> list[str]:
        text = f"SELECT CAST(_row AS {'VARCHAR' if self.engine == 'duckdb' else 'TEXT'}) FROM ({query}\n) AS _row"
        found = connection.execute(text if self.engine == "duckdb" else text.encode()).fetchall()
        return sorted(str(row[0]) for row in found)

    def build(self) -> str:
        """Builds, and says what went wrong; empty when nothing did. Raises Refused."""
        try:
            built = self.project.build()
        except ProjectError as error:
            raise Refused(error) from None
        self.counts["builds"] += 1
        return "" if built.code == 0 else built.told

    def compare(self) -> str:
        inline = {m.table.name for m in self.models if m.mode == "inline"}
        with self.database() as connection:
            if self.engine == "duckdb":
                for macro in MACROS.split(";\n"):
                    if macro.strip():
                        connection.execute(macro.replace("CREATE MACRO", "CREATE TEMP MACRO"))
            for model in self.models:
                if model.mode in ("inline", "view") or any(name in model.query for name in inline):
                    continue
                wanted = self.rows(connection, self.plain(model))
                found = self.rows(connection, f"SELECT * FROM {model.table.name}")
                self.counts["tables"] += 1
                if wanted != found:
                    lacks, much = Counter(wanted) - Counter(found), Counter(found) - Counter(wanted)
                    return f"{model.path}: lacks {list(lacks)[:4]}, has too much {list(much)[:4]}"
        return ""

    # ------------------------------------------------------------------ what happens

    def change(self) -> None:
        table = self.rng.choice(self.sources)
        column = self.rng.choice(table.columns)
        value = self.rng.choice(table.values[column.name])
        c = _quoted(column.name)
        n = self.rng.randint(0, 39)
        ways = [
            lambda: self.happen(self.insert(table, self.rng.randint(1, 4))),
            lambda: self.happen(self.insert(table, self.rng.randint(1, 4))),
            lambda: self.happen(f"UPDATE {table.name} SET {c} = {value} WHERE id % 5 = {n % 5}"),
            lambda: self.happen(f"UPDATE {table.name} SET {c} = {value} WHERE id = {n}"),
            lambda: self.happen(f"DELETE FROM {table.name} WHERE id = {n} OR id = {n + 1}"),
            lambda: self.happen(f"DELETE FROM {table.name} WHERE {c} IS NULL"),
            lambda: self.happen(f"DELETE FROM {table.name}", self.insert(table, 5)),
            self.edit,
            self.edit,
            self.setting,
        ]
        self.rng.choice(ways)()

    def setting(self) -> None:
        if self.rng.random() < 0.5:
            self.zone = self.rng.choice(ZONES)
        else:
            self.low = self.rng.choice([0, 1, 5, 20])
        self.told.append(f"settings: {self.zone}, low = {self.low}")

    def edit(self) -> None:
        """The text of a model changes: some edits mean something, others nothing."""
        model = self.rng.choice(self.models)
        old = model.query
        match self.rng.choice(["case", "comment", "quote", "space", "spelling", "header", "constant", "names"]):
            case "case":
                model.query = WORDS.sub(lambda word: self.rng.choice([word[0], word[0].lower(), word[0].title()]), old)
            case "comment":
                model.query = old.replace(" FROM ", " -- it's a comment; /* not closed\nFROM /* 'here' */ ", 1)
            case "quote":
                model.query = re.sub(r"\bid\b(?! \w*\()", '"id"', old, count=1)
            case "space":
                model.query = old.replace(", ", "\n  , ")
            case "spelling":
                model.query = old.replace("userId", self.rng.choice(["userID", "USERID", "other"]))
            case "header":
                model.header = (
                    self.rng.choice(["-- @strategy: delta\n", "", "-- @incremental: off\n"])
                    if model.mode == "auto"
                    else model.header
                )
            case "constant":
                model.query = old.replace("'x'", "'y'").replace("> 1", "> 0")
            case _:
                model.query = re.sub(r"\bAS key\b", 'AS "key"', old)
        self.told.append(f"{model.path} := {model.header}{model.query}")
        if self.engine == "duckdb" and model.query != old:
            with contextlib.suppress(duckdb.Error), self.database() as connection:
                connection.execute(f"EXPLAIN {self.plain(model)}")

    def run(self) -> str:
        """What went wrong first; empty when nothing did."""
        folder = Path(tempfile.mkdtemp(prefix="sqlflow-foreign-"))
        self.project = Lawful(folder) if self.engine == "duckdb" else LawfulPostgres(folder)
        try:
            self.project.begin({})
            return self._run()
        except Exception as error:  # noqa: BLE001  (whatever leaves a build is a finding)
            return f"bug: {type(error).__name__}: {error}\n{traceback.format_exc(limit=-5)}"
        finally:
            self.project.drop()

    def _run(self) -> str:
        setup = ["CREATE SCHEMA ext"]
        if self.engine == "postgres":
            setup += [
                "CREATE TYPE ext.mood AS ENUM ('sad', 'happy')",
                "CREATE DOMAIN ext.positive AS integer CHECK (VALUE > 0)",
                "CREATE TYPE ext.pair AS (a integer, b text)",
            ]
        for number in range(self.rng.randint(1, 3)):
            table, statements = self.source(number)
            self.sources.append(table)
            setup += statements
        self.happen(*setup)
        self._add_models()
        before: tuple[list[tuple[str, str]], str, int] = ([], self.zone, self.low)
        for step in range(7):
            if step:
                before = [(m.header, m.query) for m in self.models], self.zone, self.low
                for _ in range(self.rng.choice([1, 1, 2, 3])):
                    self.change()
            self.write()
            try:
                wrong = self.build()
            except Refused as refused:
                self.counts.update(f"refused {code}" for code in refused.codes)
                if not step:
                    return f"refused at first: {refused}"
                for model, (header, query) in zip(self.models, before[0], strict=True):
                    model.header, model.query = header, query
                self.zone, self.low = before[1], before[2]
                self.told.append("refused: the edits are taken back")
                self.write()
                wrong = self.build()
            if wrong and not all(self._runs(m) for m in self.models if m.mode != "inline"):
                self.counts["queries that fail by themselves"] += 1
                return ""
            if wrong:
                return f"step {step}: build: {wrong}"
            if wrong := self.compare():
                return f"step {step}: rows: {wrong}"
            if self.rng.random() < 0.3 and (planned := self.project.planned()):
                return f"step {step}: plan right after a build: {planned}"
        return ""

    def _add_models(self) -> None:
        """Models that SQLFlow takes and the engine runs: those that one of them refuses are not kept."""
        for number in range(self.rng.randint(4, 10)):
            self.models.append(self.model(number))
        while self.models:
            self.write()
            try:
                wrong = self.build()
            except Refused as refused:
                bad = [m for m in self.models if m.path in refused.paths]
                self.counts.update(f"refused {code}" for code in refused.codes)
                self.counts["models refused"] += len(bad)
                if not bad:
                    raise AssertionError(f"nothing to blame: {refused}") from None
                self.told += [f"refused: {m.path}: {m.query}: {refused}" for m in bad]
                self._keep([m for m in self.models if m not in bad])
                continue
            failing = [m for m in self.models if m.mode != "inline" and not self._runs(m)] if wrong else []
            if wrong and not failing:
                raise AssertionError(wrong)
            if not wrong:
                break
            self._keep([m for m in self.models if m not in failing])
        self.counts["models"] += len(self.models)
        if not self.models:
            self.models = [Written("models/a/one.sql", "", "SELECT 1 AS id", Table("a.one", []))]

    def _keep(self, models: list[Written]) -> None:
        """These, without those that read one that is gone."""
        while True:
            gone = {m.table.name for m in self.models} - {m.table.name for m in models}
            left = [m for m in models if not any(name in m.query for name in gone)]
            self.models = models
            if len(left) == len(models):
                return
            models = left

    def _runs(self, model: Written) -> bool:
        with self.database() as connection:
            try:
                if self.engine == "duckdb":
                    for macro in MACROS.split(";\n"):
                        if macro.strip():
                            connection.execute(macro.replace("CREATE MACRO", "CREATE TEMP MACRO"))
                self.rows(connection, self.plain(model))
            except (duckdb.Error, psycopg.Error):
                return False
        return True

    def report(self, wrong: str) -> str:
        files = "\n".join(f"--- {path}\n{text.rstrip()}" for path, text in self.files().items())
        happened = "\n".join(self.told)
        return f"######## {self.engine} seed {self.seed}\n{files}\n=== what happened\n{happened}\n=== {wrong}"


_RESERVED = {
    "user", "order", "group", "select", "table", "end", "start", "rows", "type", "current_date", "row", "date", "value", "key", "count", "sum",
}  # fmt: skip


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="fuzz.foreign", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--engine", choices=["duckdb", "postgres"], default="duckdb")
    parser.add_argument("--seeds", default="0..19", help="FIRST..LAST, both included")
    parser.add_argument("--seconds", type=float, default=1e9, help="start no new project after that time")
    parser.add_argument("--stop-after", type=int, default=20, help="failures")
    asked = parser.parse_args(arguments)
    first, _, last = asked.seeds.partition("..")
    total: Counter[str] = Counter()
    failed, started, number = 0, time.monotonic(), 0
    for seed in range(int(first), int(last or first) + 1):
        if time.monotonic() - started > asked.seconds or failed >= asked.stop_after:
            break
        number += 1
        story = Story(seed, asked.engine)
        wrong = story.run()
        total += story.counts
        if wrong:
            failed += 1
            print(story.report(wrong), flush=True)
        if number % 20 == 0:
            print(f"{number} projects, {failed} failing, {dict(total)}", file=sys.stderr, flush=True)
    print(f"{number} projects, {failed} failing, {time.monotonic() - started:.0f} s: {dict(total)}")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
