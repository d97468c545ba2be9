"""Random cases: sources of every kind, models over them, and what happens to both, all from one seed."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import duckdb
from fuzz.cases import Case, Change, Model, Step
from fuzz.queries import Col, Maker, Query, Rel, Unfit
from fuzz.worlds import Invalid, Oracle

TYPES = {
    "id": ("INTEGER", "int"),
    "k": ("INTEGER", "int"),
    "g": ("VARCHAR", "str"),
    "v": ("BIGINT", "int"),
    "d": ("DECIMAL(10,2)", "dec"),
    "x": ("DOUBLE", "dbl"),
    "b": ("BOOLEAN", "bool"),
    "day": ("DATE", "date"),
    "ts": ("TIMESTAMP", "ts"),
    "c": ("BIGINT", "int"),
    "z": ("INTEGER", "int"),
    "op": ("VARCHAR", "str"),
}
POOLS = {
    "k": ["NULL", "0", "1", "1", "2", "2", "3"],
    "g": ["NULL", "''", "'a'", "'a'", "'A'", "'b'", "'ä'", "'a '"],
    "v": ["NULL", "0", "1", "-1", "5", "7", "9223372036854775807", "-9223372036854775808", "9223372036854775806"],
    "d": ["NULL", "0", "0.01", "-0.01", "1.50", "1.50", "99999999.99", "-99999999.99"],
    "x": ["NULL", "'0.0'", "'-0.0'", "'NaN'", "'0.25'", "'1.5'", "'0.1'", "'0.3'", "'-7.7'", "'inf'", "'1e12'"],
    "b": ["NULL", "true", "false"],
    "day": ["NULL", "'2024-01-01'", "'2024-01-02'", "'2024-01-03'", "'2024-02-29'", "'1969-12-31'"],
    "ts": [
        "NULL",
        "'2024-01-01 00:00:00'",
        "'2024-01-02 23:59:59.999999'",
        "'2024-01-03 12:00:00'",
        "'1900-01-01 00:00:01'",
    ],
    "z": ["NULL", "1", "2"],
    "op": ["'U'", "'U'", "'I'", "'D'"],
}
KINDS = [
    "table",
    "table",
    "table",
    "declared",
    "declared",
    "keyed",
    "cursor",
    "cursor",
    "append",
    "append",
    "parquet",
    "parquet",
    "csv",
    "seed",
    "view",
    "stream",
]
TRACEABLE = ["table", "table", "declared", "declared", "keyed", "cursor", "append", "parquet", "csv", "stream"]
PRODUCTS = frozenset({"join", "grouped_join", "union_all", "semi"})
ROUGH = ["move", "null", "empty", "refill", "rewrite", "all"]


@dataclass(slots=True)
class Source:
    """A source as it is now. `table`: where its rows are in the database; empty for files. `next`: the next id, or cursor.
    `history`: where all events of a stream are, also those that it forgot; for the oracle. `used`: their cursors."""

    name: str
    kind: str
    columns: list[str]
    table: str = ""
    next: int = 1
    parts: dict[int, str] = field(default_factory=dict)
    history: str = ""
    used: set[int] = field(default_factory=set)

    def rel(self) -> Rel:
        return Rel(self.name, tuple(Col(c, TYPES[c][1], wide=c == "v") for c in self.columns))

    def types(self, quote: str = "") -> str:
        return ", ".join(f"{c}: {quote}{TYPES[c][0]}{quote}" for c in self.columns)


class Teller:
    """Makes a case step by step with an oracle beside it, so that every query and change in it can be run.

    Three of four cases are `calm`: sources that can be followed, of some size, and changes of few rows, so that tables
    really are followed and not rebuilt. In the others anything happens.
    """

    def __init__(self, seed: int, most_models: int = 24, steps: int = 8) -> None:
        self.seed = seed
        self.rng = random.Random(seed)
        self.calm = self.chance(0.75)
        self.maker = Maker(self.rng, odd=0.01, favoured=PRODUCTS) if self.calm else Maker(self.rng)
        self.most_models = most_models
        self.count = steps
        self.sources: list[Source] = []
        self.models: dict[str, Model] = {}
        self.cols: dict[str, tuple[Col, ...]] = {}
        self.files: dict[str, str] = {}
        self.inputs: dict[str, str] = {}
        self.all_built = True
        self.touched: set[str] = set()

    def chance(self, share: float) -> bool:
        return self.rng.random() < share

    # ------------------------------------------------------------------ the case

    def tell(self) -> Case:
        with tempfile.TemporaryDirectory(prefix="sqlflow-tell-") as folder:
            self.root = Path(folder)
            setup = self._sources()
            self.oracle = Oracle(self.root, Case(self.seed, {}, self.inputs, (), (), ()))
            try:
                self._happen(setup)
                self.oracle.load()
                first = self._models()
                if not first:
                    raise Invalid("no model")
                if unstable := self.oracle.unstable():
                    raise Invalid(f"no single answer: {unstable}")
                steps = [step for _ in range(self.count) if (step := self._step()) is not None]
            finally:
                self.oracle.close()
        return Case(self.seed, self.files, self.inputs, tuple(setup), tuple(first), tuple(steps))

    def _happen(self, changes: Sequence[Change]) -> None:
        for change in changes:
            if change.what == "file":
                path = self.root / change.name
                path.parent.mkdir(parents=True, exist_ok=True)
                form = "parquet" if path.suffix == ".parquet" else "csv, header true"
                self.oracle.db.execute(f"COPY ({change.text}) TO '{path}' (FORMAT {form})")
            elif change.what == "remove":
                (self.root / change.name).unlink(missing_ok=True)
            else:
                self.oracle.happen(change)

    # ------------------------------------------------------------------ sources

    def _sources(self) -> list[Change]:
        setup: list[Change] = []
        declared = []
        for number in range(self.rng.choice([1, 2, 2, 2, 3, 3])):
            kind = self.rng.choice(TRACEABLE if self.calm else KINDS)
            optional = [c for c in ("g", "v", "d", "x", "b", "day", "ts") if self.chance(0.5)]
            columns = ["id", "k", *optional]
            name = f"raw.s{number}"
            source = Source(name, kind, columns)
            match kind:
                case "table" | "view":
                    source.table = name if kind == "table" else f"ext.v{number}"
                case "declared" | "keyed" | "cursor" | "append" | "stream":
                    source.table = f"ext.t{number}"
                    options = ""
                    if kind == "stream":
                        columns.append("op")
                        source.history = f"ext.h{number}"
                    if kind in ("cursor", "append", "stream"):
                        columns.append("c")
                        options = ", cursor: c" + (", append_only: true" if kind == "append" else "")
                    if kind == "keyed":
                        options = ", key: id"
                    declared.append(f"{name}: {{table: {source.table}{options}}}")
                    self.inputs[name] = source.table
                case "parquet":
                    declared.append(f"{name}: {{path: 'data/s{number}/*.parquet'}}")
                    self.inputs[name] = f"read_parquet('$root/data/s{number}/*.parquet')"
                case "csv":
                    declared.append(f"{name}: {{path: 'data/s{number}/*.csv', columns: {{{source.types(chr(34))}}}}}")
                    types = ", ".join(f"'{c}': '{TYPES[c][0]}'" for c in columns)
                    self.inputs[name] = f"read_csv('$root/data/s{number}/*.csv', types = {{{types}}})"
                case _:
                    source.name = f"seeds.s{number}"
                    self.files[f"seeds/s{number}.yml"] = f"seeds.s{number}: {{columns: {{{source.types(chr(34))}}}}}\n"
                    types = ", ".join(f"'{c}': '{TYPES[c][0]}'" for c in columns)
                    self.inputs[source.name] = (
                        f"read_csv('$root/seeds/s{number}.csv', header = true, types = {{{types}}})"
                    )
            self.sources.append(source)
            if source.table:
                listed = ", ".join(f"{c} {TYPES[c][0]}" for c in columns)
                for table in filter(None, (source.table, source.history)):
                    setup.append(Change("sql", f"CREATE TABLE {table} ({listed})"))
                if kind == "view":
                    setup.append(
                        Change(
                            "sql",
                            f"CREATE VIEW {name} AS SELECT {', '.join(columns)} FROM {source.table} WHERE id % 5 <> 0",
                        )
                    )
                if self.chance(0.9):
                    setup += self._inserted(source, self._size())
            else:
                for part in range(1 if kind == "seed" else self.rng.choice([1, 2])):
                    setup.append(self._file(source, part))
        if declared:
            self.files["sources/raw.yml"] = "\n".join(declared) + "\n"
        return setup

    def _size(self) -> int:
        """The number of rows that a source begins with."""
        return self.rng.randint(12, 24) if self.calm else self.rng.randint(3, 12)

    def _values(self, source: Source, rows: int) -> str:
        """Rows as SQL text: `(1, NULL, 'a'), ...`."""
        return ", ".join(f"({', '.join(self._value(source, c) for c in source.columns)})" for _ in range(rows))

    def _value(self, source: Source, column: str) -> str:
        if column == "id":
            source.next += 1
            if source.kind == "keyed" or self.chance(0.85):
                return str(source.next)
            return self.rng.choice(["NULL", *(str(self.rng.randint(1, source.next)) for _ in range(4))])
        if column == "c" and source.kind == "stream":
            source.next += 3
            free = [c for c in range(1, source.next) if c not in source.used]
            at = self.rng.choice(free) if self.chance(0.3) else source.next
            source.used.add(at)
            return str(at)
        if column == "c":
            source.next += 1
            roll = self.rng.random()
            if roll < 0.08:
                return "NULL"
            if roll < 0.2:
                return str(self.rng.randint(1, source.next))  # it comes late
            return str(source.next - (1 if roll < 0.4 else 0))  # a tie, or not
        return self.rng.choice(POOLS[column])

    def _insert(self, source: Source, rows: int) -> Change:
        return Change(
            "sql", f"INSERT INTO {source.table} ({', '.join(source.columns)}) VALUES {self._values(source, rows)}"
        )

    def _inserted(self, source: Source, rows: int) -> list[Change]:
        """New rows, written down in the history of a stream as well."""
        made = self._insert(source, rows)
        if not source.history:
            return [made]
        return [made, replace(made, text=made.text.replace(source.table, source.history, 1))]

    def _file(self, source: Source, part: int, rows: str = "") -> Change:
        listed = ", ".join(f"CAST({c} AS {TYPES[c][0]}) AS {c}" for c in source.columns)
        values = rows or self._values(source, self.rng.randint(1, 8) if source.parts else self._size())
        source.parts[part] = values
        number = source.name.rpartition("s")[2]
        place = f"seeds/s{number}.csv" if source.kind == "seed" else f"data/s{number}/{part}.{source.kind}"
        return Change("file", f"SELECT {listed} FROM (VALUES {values}) AS t ({', '.join(source.columns)})", place)

    # ------------------------------------------------------------------ models

    def _rels(self, before: str | None = None) -> list[Rel]:
        rels = [source.rel() for source in self.sources]
        for name in self.models:
            if name == before:
                break
            rel = Rel(name, self.cols[name])
            rels += [rel, rel]  # chains are what is most worth trying
            if self.calm:
                rels.append(self.rng.choice(self.sources).rel())
        return rels

    def _models(self) -> list[Model]:
        wanted = self.rng.randint((self.most_models + 1) // 2, self.most_models)
        for number in range(wanted):
            model = self._model(f"{self.rng.choice('aabc')}.m{number}", self._rels())
            if model is not None:
                self.models[model.name] = model
        return list(self.models.values())

    def _model(self, name: str, rels: Sequence[Rel]) -> Model | None:
        for _ in range(12):
            try:
                found = self._shaped(name, rels)
            except Unfit:
                continue
            if found is None:
                continue
            model, query = found
            try:
                self.oracle.make(model)
            except Invalid:
                continue
            rows = int(str(self.oracle.db.execute(f"SELECT count(*) FROM {name}").fetchall()[0][0]))
            if rows > (600 if self.calm else 2000) or (rows == 0 and self.chance(0.9)):
                continue  # too slow, or nothing that could go wrong
            self.oracle.models[name] = model
            self.cols[name] = query.cols
            return replace(model, near=tuple(c.name for c in query.cols if not c.exact))
        self.oracle.models.pop(name, None)
        if name in self.models:
            self.oracle.models[name] = self.models[name]
        return None

    def _shaped(self, name: str, rels: Sequence[Rel]) -> tuple[Model, Query] | None:
        roll = self.rng.random()
        if any(s.kind == "stream" for s in self.sources) and self.chance(0.08):
            return self._stream(name)
        if roll < 0.05:
            return self._append(name)
        if roll < 0.10:
            return self._merge(name, rels)
        if roll < 0.15:
            return self._incremental(name, rels)
        query = self.maker.query(rels)
        near = tuple(c.name for c in query.cols if not c.exact)
        others = ["auto"] * 3 + ["full", "off", "view", "view", "inline", "replace"]
        style = self.rng.choice(["delta"] * (60 if self.calm else 10) + others)
        header: tuple[str, ...] = ()
        mode = "auto"
        match style:
            case "delta":
                header = ("strategy: delta",)
            case "full":
                header = ("strategy: full",)
            case "off":
                header = ("incremental: off",)
            case "view" | "inline" | "replace":
                header, mode = (f"mode: {style}",), style
            case _:
                pass
        return Model(name, header, self._dressed(query.sql), mode, near), query

    def _dressed(self, sql: str) -> str:
        """The same query as people write it."""
        if self.chance(0.06):
            sql = f"{sql} -- that is all"
        elif self.chance(0.06):
            sql = sql.replace(" FROM ", "\nfrom /* here */ ", 1)
        elif self.chance(0.05):
            sql = sql.replace("raw.s0", '"raw"."s0"')
        elif self.chance(0.03) and " ORDER BY " not in sql and " LIMIT " not in sql and "GROUP BY ALL" not in sql:
            sql = f"{sql} ORDER BY 1"
        return sql

    def _append(self, name: str) -> tuple[Model, Query] | None:
        logs = [s for s in self.sources if s.kind in ("cursor", "append")]
        if not logs:
            return None
        source = self.rng.choice(logs)
        sql = f"SELECT {', '.join(source.columns)} FROM {source.name}"
        return Model(name, ("mode: append", "cursor: c"), sql, "append"), Query(sql, source.rel().cols)

    def _stream(self, name: str) -> tuple[Model, Query]:
        """The newest event of each key, as long as that is no deletion: whatever the stream has forgotten."""
        source = self.rng.choice([s for s in self.sources if s.kind == "stream"])
        listed = ", ".join(source.columns)
        key = ["k", "g"] if "g" in source.columns and self.chance(0.3) else ["k"]
        newest = f"row_number() OVER (PARTITION BY {', '.join(key)} ORDER BY c DESC) = 1"
        says = f"SELECT {listed} FROM (SELECT * FROM {source.history} QUALIFY {newest}) WHERE op <> 'D'"
        how: list[tuple[str, ...]] = [("strategy: cdc",), ("conflict: latest_wins",)]
        how += [("conflict: latest_wins", f"strategy: {way}") for way in ("merge", "swap", "cdc")]
        kept = ("mode: merge", f"key: [{', '.join(key)}]", "cursor: c", "deleted: {column: op, values: [D]}")
        sql = f"SELECT {listed} FROM {source.name}"
        header = (*kept, *self.rng.choice(how))
        return Model(name, header, sql, "stream", says=says), Query(sql, source.rel().cols)

    def _merge(self, name: str, rels: Sequence[Rel]) -> tuple[Model, Query] | None:
        rel = self.rng.choice(rels)
        scope = [(c.name, c) for c in rel.cols]
        key = self.maker.pick(scope, "int", "str")
        aggregate, col = self.maker.aggregate(scope)
        sql = f"SELECT {key} AS key, {aggregate} AS n FROM {rel.sql} GROUP BY {key}"
        kind = next(c for text, c in scope if text == key)
        return Model(name, ("mode: merge", "key: key"), sql, "merge"), Query(
            sql, (replace(kind, name="key"), replace(col, name="n"))
        )

    def _incremental(self, name: str, rels: Sequence[Rel]) -> tuple[Model, Query] | None:
        dated = [rel for rel in rels if any(c.name == "day" and c.kind == "date" for c in rel.cols)]
        if not dated:
            return None
        rel = self.rng.choice(dated)
        scope = [(c.name, c) for c in rel.cols]
        if self.chance(0.5):
            aggregate, col = self.maker.aggregate(scope)
            sql = f"SELECT day, {aggregate} AS n FROM {rel.sql} GROUP BY day"
            cols: tuple[Col, ...] = (replace(col, name="n"),)
        else:
            others = [c for c in rel.cols if c.name != "day"]
            sql, cols = f"SELECT day, {', '.join(c.name for c in others)} FROM {rel.sql}", tuple(others)
        near = tuple(c.name for c in cols if not c.exact)
        return Model(name, ("mode: incremental", "time: day"), sql, "incremental", near), Query(
            sql, (Col("day", "date"), *cols)
        )

    # ------------------------------------------------------------------ what happens

    def _step(self) -> Step | None:
        changes: list[Change] = []
        self.touched.clear()
        sources = self.sources if self.calm and self.chance(0.4) else []  # all at once
        count = self.rng.choice([1, 1, 2, 3] if self.calm else [0, 1, 1, 2, 2, 2, 3, 3, 4])
        for number in range(count + len(sources)):
            found = self._change() if number < count else self._data_change(sources[number - count])
            if found and self._possible(found):
                changes += found
        names = list(self.models)
        tables = [n for n, m in self.models.items() if m.mode != "inline"]
        if not tables or any(change.what == "drop" for change in changes):
            return Step(tuple(changes), "all")
        build = self.rng.choice(["all"] * (30 if self.calm else 14) + ["twice", "some", "some", "refresh", "fail"])
        self.all_built = build in ("all", "twice")
        match build:
            case "some" | "refresh":
                if build == "refresh":  # of a stream that forgets, a rebuild knows less
                    tables = [n for n in tables if self.models[n].mode != "stream"] or tables[:0]
                if not tables:
                    return Step(tuple(changes), "all")
                chosen = self.rng.sample(tables, min(len(tables), self.rng.choice([1, 1, 2])))
                return Step(tuple(changes), build, tuple(n for n in names if n in chosen))
            case "fail":
                return Step(tuple(changes), build, (self.rng.choice(tables),))
            case _:
                return Step(tuple(changes), build)

    def _possible(self, changes: Sequence[Change]) -> bool:
        """Whether all queries still run after it; if so, it has happened to the oracle."""
        saved = {source.name: (list(source.columns), dict(source.parts)) for source in self.sources}
        touched = [change for change in changes if change.what in ("sql", "file", "remove", "model")]
        backup = self._backup()
        models = dict(self.oracle.models)
        try:
            self._happen(touched)
            self.oracle.load()
            for model in self.oracle.models.values():
                self.oracle.make(model)
        except Invalid:
            self._restore(backup)
            self.oracle.models = models
            for source in self.sources:
                source.columns, source.parts = saved[source.name]
            return False
        self.models |= {c.model.name: c.model for c in changes if c.model is not None}
        return True

    def _backup(self) -> tuple[dict[str, bytes], list[tuple[str, str]]]:
        files = {str(p): p.read_bytes() for p in self.root.rglob("*") if p.is_file()}
        tables = []
        for (name,) in self.oracle.db.execute(
            "SELECT table_schema || '.' || table_name FROM information_schema.tables WHERE table_type = 'BASE TABLE' AND table_schema IN ('ext', 'raw')"
        ).fetchall():
            copy = f"main.copy_{str(name).replace('.', '_')}"
            self.oracle.db.execute(f"CREATE OR REPLACE TABLE {copy} AS FROM {name}")
            tables.append((str(name), copy))
        return files, tables

    def _restore(self, backup: tuple[dict[str, bytes], list[tuple[str, str]]]) -> None:
        files, tables = backup
        for path in self.root.rglob("*"):
            if path.is_file() and str(path) not in files:
                path.unlink()
        for name, content in files.items():
            Path(name).write_bytes(content)
        for name, copy in tables:
            self.oracle.db.execute(f"CREATE OR REPLACE TABLE {name} AS FROM {copy}")
        self.oracle.load()

    def _change(self) -> list[Change]:
        roll = self.rng.random() * (0.83 if self.calm and self.chance(0.9) else 1)
        if roll < 0.80:
            return self._data_change(self.rng.choice(self.sources))
        if roll < 0.90:
            return self._edit()
        if roll < 0.95:
            return self._redirect()
        if roll < 0.98:
            return self._schema_change()
        if roll < 0.99:
            return [Change("forget")]
        tables = [n for n, m in self.models.items() if m.mode in ("auto", "replace", "incremental")]
        return [Change("drop", name=self.rng.choice(tables))] if tables else []

    def _data_change(self, source: Source) -> list[Change]:
        return self._table_change(source) if source.table else self._file_change(source)

    def _table_change(self, source: Source) -> list[Change]:
        t, columns = source.table, source.columns
        data = [c for c in columns if c not in ("id", "c")]
        if source.kind == "stream":
            return self._events(source)
        insert = self._insert(source, self.rng.choice([1, 1, 2, 5]))
        if source.kind == "append":
            again = ", ".join(str(source.next) if c == "c" else c for c in columns)
            where = self._where(source)
            return [
                insert
                if self.chance(0.7)
                else Change("sql", f"INSERT INTO {t} ({', '.join(columns)}) SELECT {again} FROM {t} WHERE {where}")
            ]
        # With a cursor, whoever changes a row raises its cursor.
        source.next += 1
        raised = f", c = {source.next}" if source.kind == "cursor" else ""
        where = self._where(source)
        column = self.rng.choice(data)
        other = self.rng.choice(data)
        shape = self.rng.choice(
            ["insert"] * 4 + ["update"] * 3 + ["delete"] * 3
            + ["move", "null", "twice", "one_of_two", "swap", "instead", "empty", "refill", "rewrite", "back", "keys", "cancel", "all"]
        )  # fmt: skip
        if self.calm and shape in ROUGH and self.chance(0.8):
            shape = "update"
        match shape:
            case "insert":
                return [insert]
            case "update":
                return [
                    Change("sql", f"UPDATE {t} SET {column} = {self.rng.choice(POOLS[column])}{raised} WHERE {where}")
                ]
            case "delete":
                return [Change("sql", f"DELETE FROM {t} WHERE {where}")]
            case "move":
                return [Change("sql", f"UPDATE {t} SET k = coalesce(k, -1) + 1{raised} WHERE {where}")]
            case "null":
                return [Change("sql", f"UPDATE {t} SET {column} = NULL{raised}")]
            case "twice" if source.kind not in ("keyed", "cursor"):
                return [Change("sql", f"INSERT INTO {t} SELECT * FROM {t} WHERE {where}")]
            case "one_of_two" if source.kind != "cursor":
                return [
                    Change(
                        "sql",
                        f"DELETE FROM {t} WHERE rowid IN (SELECT min(rowid) FROM {t} GROUP BY {', '.join(columns)} HAVING count(*) > 1)",
                    )
                ]
            case "swap" if source.kind != "cursor" and len(data) > 1:
                a, b = self.rng.sample([1, 2, 3], 2)
                return [Change("sql", f"UPDATE {t} SET k = CASE k WHEN {a} THEN {b} WHEN {b} THEN {a} ELSE k END")]
            case "instead":
                return [Change("sql", f"DELETE FROM {t} WHERE {where}"), insert]
            case "empty":
                return [Change("sql", f"{self.rng.choice(['DELETE FROM', 'TRUNCATE'])} {t}")]
            case "refill":
                return [Change("sql", f"DELETE FROM {t}"), self._insert(source, self.rng.randint(1, 8))]
            case "rewrite" if source.kind != "view":
                return [
                    Change("sql", f"CREATE OR REPLACE TABLE {t} AS FROM {t} ORDER BY hash(id), {', '.join(columns)}")
                ]
            case "back" if source.kind != "cursor":
                return [Change("sql", f"UPDATE {t} SET {column} = {column} WHERE {where}")]
            case "keys" if source.kind not in ("keyed", "cursor"):
                return [Change("sql", f"UPDATE {t} SET id = id + 1 WHERE {where}")]
            case "cancel":
                return [insert, Change("sql", f"DELETE FROM {t} WHERE {other} IS NULL OR {where}")]
            case "all":
                return [Change("sql", f"UPDATE {t} SET k = 2{raised}")]
            case _:
                return [insert]

    def _events(self, source: Source) -> list[Change]:
        """New events and late ones; events told again; old events forgotten, once they have been read."""
        t, touched = source.table, source.name in self.touched
        self.touched.add(source.name)
        again = f"INSERT INTO {t} SELECT * FROM {source.history} WHERE"
        new = self._inserted(source, self.rng.choice([1, 1, 2, 4]))
        match self.rng.choice(["new", "new", "new", "again", "window", "window"]):
            case "again":
                return [Change("sql", f"{again} {self._where(source)}")]
            case "window" if self.all_built and not touched:
                forgotten = self.rng.choice(["true", f"c <= {self.rng.randint(1, source.next)}"])
                told = [Change("sql", f"{again} c % 5 = {self.rng.randint(0, 4)}")] if self.chance(0.5) else []
                return [Change("sql", f"DELETE FROM {t} WHERE {forgotten}"), *told, *new]
            case _:
                return new

    def _where(self, source: Source) -> str:
        """Some of the rows, often few."""
        data = [c for c in source.columns if c not in ("id", "c")]
        column = self.rng.choice(data)
        value = self.rng.choice(POOLS[column])
        if self.calm and self.chance(0.6):
            return f"id BETWEEN {(low := self.rng.randint(0, source.next))} AND {low + self.rng.randint(0, 3)}"
        return self.rng.choice(
            [
                f"id = {self.rng.randint(1, max(2, source.next))}",
                f"id % 3 = {self.rng.randint(0, 2)}",
                f"k = {self.rng.randint(0, 3)}",
                f"k IS NOT DISTINCT FROM {self.rng.choice(['NULL', '1', '2'])}",
                f"{column} IS NOT DISTINCT FROM {value}",
                f"id > {self.rng.randint(0, max(1, source.next))}",
            ]
        )

    def _file_change(self, source: Source) -> list[Change]:
        number = source.name.rpartition("s")[2]
        have = sorted(source.parts)
        part = self.rng.choice(have)
        match self.rng.choice(["new"] * (12 if self.calm else 2) + ["change", "remove", "reorder", "more"]):
            case "new" if source.kind != "seed":
                return [self._file(source, max(have) + 1)]
            case "remove" if len(have) > 1:
                del source.parts[part]
                return [Change("remove", name=f"data/s{number}/{part}.{source.kind}")]
            case "reorder":
                rows = _split(source.parts[part])
                return [self._file(source, part, ", ".join(reversed(rows)))]
            case "more":
                return [self._file(source, part, f"{source.parts[part]}, {self._values(source, 1)}")]
            case _:
                return [self._file(source, part)]

    def _edit(self) -> list[Change]:
        """Another query, of the same columns where others read them."""
        name = self.rng.choice(list(self.models))
        old = self.models[name]
        if old.mode in ("append", "merge", "stream"):
            return []
        saved = self.oracle.models.copy(), self.cols.get(name, ())
        if self.chance(0.5):
            predicate = self._predicate(name)
            model: Model | None = None
            if predicate:
                model = replace(old, sql=f"SELECT * FROM ({old.sql.partition(' -- ')[0]}) AS was WHERE {predicate}")
        else:
            model = self._model(name, self._rels(before=name))
        self.oracle.models = saved[0]
        new = self.cols.get(name, ())
        if model is None:
            self.cols[name] = saved[1]
            return []
        if {(c.name, c.kind) for c in new} != {(c.name, c.kind) for c in saved[1]} and any(
            name in other.sql for other in self.models.values() if other.name != name
        ):
            self.cols[name] = saved[1]
            return []
        return [Change("model", model=model)]

    def _predicate(self, name: str) -> str:
        try:
            return self.maker.predicate([(c.name, c) for c in self.cols[name]])
        except Unfit:
            return ""

    def _redirect(self) -> list[Change]:
        """The strategy is switched in the header."""
        models = [m for m in self.models.values() if m.mode == "auto"]
        if not models:
            return []
        model = self.rng.choice(models)
        header = self.rng.choice([("strategy: delta",), ("strategy: full",), (), ("incremental: off",)])
        return [Change("model", model=replace(model, header=header))]

    def _schema_change(self) -> list[Change]:
        tables = [s for s in self.sources if s.table and s.kind in ("table", "declared", "keyed")]
        if not tables:
            return []
        source = self.rng.choice(tables)
        match self.rng.choice(["add", "drop", "type"]):
            case "add" if "z" not in source.columns:
                source.columns.append("z")
                return [
                    Change(
                        "sql", f"ALTER TABLE {source.table} ADD COLUMN z INTEGER{self.rng.choice(['', ' DEFAULT 7'])}"
                    )
                ]
            case "drop" if len(source.columns) > 2:
                gone = source.columns[-1]
                source.columns.remove(gone)
                return [Change("sql", f"ALTER TABLE {source.table} DROP COLUMN {gone}")]
            case _:
                return [Change("sql", f"ALTER TABLE {source.table} ALTER COLUMN k TYPE BIGINT")]


def _split(values: str) -> list[str]:
    """`(1, 2), (3, 4)` as its rows; no value in the pools holds a parenthesis."""
    return [f"({row})" for row in values.removeprefix("(").removesuffix(")").split("), (")]


def tell(seed: int, most_models: int = 24, steps: int = 8) -> Case:
    """The case of a seed. Raises Invalid when the seed gives none."""
    try:
        return Teller(seed, most_models, steps).tell()
    except (duckdb.Error, Unfit) as error:
        raise Invalid(str(error)) from None
