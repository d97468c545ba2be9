"""A project of every mode over every kind of source, and somebody who writes to all of them."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from lawful import Lawful
from moving_engine import Act, moving
from opened import scratch

SOURCES = """
raw.ev: {table: ext.ev}
raw.cur: {table: ext.cur, cursor: c}
raw.app: {table: ext.app, cursor: c, append_only: true}
raw.keyed: {table: ext.keyed, cursor: c, key: id}
raw.dim: {table: ext.dim}
raw.v: {table: ext.v}
raw.pieces: {path: pieces/*.parquet, columns: {id: BIGINT, k: BIGINT, v: BIGINT, day: DATE}}
raw.lines: {path: files/lines.csv, columns: {id: BIGINT, k: BIGINT, v: BIGINT, day: DATE}}
raw.docs: {path: files/docs.json, columns: {id: BIGINT, k: BIGINT, v: BIGINT}}
"""

_SUM = "SELECT k, count(*) AS n, CAST(sum(v) AS BIGINT) AS total FROM {} GROUP BY k"
_DAYS = "SELECT day, count(*) AS n, CAST(sum(v) AS BIGINT) AS total FROM {} GROUP BY day"

QUERIES: dict[str, tuple[str, str]] = {
    "a.copy": ("", "SELECT id, k, v FROM raw.ev WHERE v % 7 <> 0"),
    "a.swapped": ("-- @mode: replace\n", "SELECT k, max(v) AS most FROM raw.cur GROUP BY k"),
    "a.of_ev": ("-- @strategy: delta\n", _SUM.format("raw.ev")),
    "a.of_cur": ("-- @strategy: delta\n", _SUM.format("raw.cur")),
    "a.of_app": ("-- @strategy: delta\n", _SUM.format("raw.app")),
    "a.of_keyed": ("-- @strategy: delta\n", _SUM.format("raw.keyed")),
    "a.of_v": ("-- @strategy: delta\n", _SUM.format("raw.v")),
    "a.of_plain": ("-- @strategy: delta\n", _SUM.format("ext.plain")),
    "a.of_pieces": ("-- @strategy: delta\n", _SUM.format("raw.pieces")),
    "a.of_lines": ("", "SELECT * FROM raw.lines"),
    "a.of_docs": ("", _SUM.format("raw.docs")),
    "a.middle": ("-- @strategy: delta\n", "SELECT k, median(v) AS middle FROM raw.app GROUP BY k"),
    "a.selves": (
        "-- @strategy: delta\n",
        "SELECT x.k, count(*) AS n FROM raw.app AS x JOIN raw.app AS y ON x.k = y.k AND x.v < y.v GROUP BY x.k",
    ),
    "a.joined": (
        "-- @strategy: delta\n",
        "SELECT e.id, e.v, d.name FROM raw.app AS e JOIN raw.dim AS d ON d.k = e.k",
    ),
    "a.seeded": ("-- @strategy: delta\n", "SELECT e.id, e.v, d.name FROM raw.cur AS e JOIN seeds.dims AS d ON d.k = e.k"),
    "i.days": ("-- @mode: incremental\n-- @time: day\n", _DAYS.format("raw.ev")),
    "i.joined": (
        "-- @mode: incremental\n-- @time: day\n",
        "SELECT e.day, e.id, e.v, d.name FROM raw.cur AS e LEFT JOIN raw.dim AS d ON d.k = e.k",
    ),
    "i.batched": ("-- @mode: incremental\n-- @time: day\n-- @batch: 2 days\n", "SELECT day, id, k, v FROM raw.ev"),
    "i.lines": ("-- @mode: incremental\n-- @time: day\n", _DAYS.format("raw.lines")),
    "i.grown": ("-- @mode: incremental\n-- @time: day\n", _DAYS.format("raw.app")),
    "i.followed": ("-- @mode: incremental\n-- @time: day\n-- @strategy: delta\n", _DAYS.format("raw.app")),
    "i.months": (
        "-- @mode: incremental\n-- @time: month\n-- @grain: month\n",
        "SELECT CAST(date_trunc('month', day) AS DATE) AS month, CAST(sum(n) AS BIGINT) AS n FROM i.days GROUP BY 1",
    ),
    "l.lines": ("-- @mode: append\n-- @cursor: c\n", "SELECT c, id, v FROM raw.app"),
    "k.newest": ("-- @mode: merge\n-- @key: id\n-- @cursor: c\n", "SELECT id, c, k, v FROM raw.keyed"),
    "k.all": ("-- @mode: merge\n-- @key: id\n", "SELECT id, c, k, v FROM raw.keyed"),
    "k.followed": ("-- @strategy: delta\n", "SELECT k, count(*) AS n, CAST(sum(v) AS BIGINT) AS total FROM k.newest GROUP BY k"),
    "s.seen": ("-- @mode: view\n-- @checks:\n--   - not_null: [id]\n", "SELECT id, k, v + 1 AS v FROM raw.ev"),
    "s.child": ("-- @strategy: delta\n", _SUM.format("s.seen")),
    "t.one": ("", "SELECT k, count(*) AS n FROM raw.ev GROUP BY k"),
    "t.two": ("", "SELECT id, k, v FROM raw.ev WHERE v % 2 = 0"),
    "t.both": ("-- @strategy: delta\n", "SELECT w.id, w.v, o.n FROM t.two AS w JOIN t.one AS o ON o.k = w.k"),
}  # fmt: skip

SETUP = (
    "CREATE SCHEMA ext",
    *(
        f"CREATE TABLE ext.{name} AS SELECT i AS id, i % 4 AS k, (i * 7) % 20 AS v, i AS c, DATE '2024-01-01' + CAST(i % 6 AS INTEGER) AS day FROM range(40) t(i)"
        for name in ("ev", "cur", "app", "keyed", "plain", "below")
    ),
    "CREATE TABLE ext.dim AS SELECT i AS k, 'd' || CAST(i AS VARCHAR) AS name FROM range(4) t(i)",
    "CREATE VIEW ext.v AS SELECT id, k, v FROM ext.below WHERE v > 2",
    *(f"CREATE TABLE ext.keep_{name} AS SELECT * FROM ext.{name}" for name in ("ev", "cur", "app", "keyed", "plain", "below", "dim")),
)  # fmt: skip

TABLES = ("ev", "cur", "app", "keyed", "plain", "below", "dim")


def _with_parents(names: list[str]) -> tuple[str, ...]:
    found = {name for name in QUERIES for wanted in names if name == wanted or f" {name} " in f"{QUERIES[wanted][1]} "}
    return tuple(sorted(found)) if len(found) == len(names) else _with_parents(sorted(found))


@dataclass
class World:
    """The project `made`, and what is about to happen to it."""

    made: Lawful
    seed: int
    only: tuple[str, ...] = ()  # these models
    story: list[str] = field(default_factory=list)
    threads: int = 1
    alone: bool = False  # each task has a transaction of its own

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self.next = 1000
        self.blinking: set[str] = set()
        self.statements = 100
        if not self.only:
            self.only = _with_parents(self.random.sample(sorted(QUERIES), 7))

    # ------------------------------------------------------------ the project

    def begin(self) -> None:
        files = {
            f"models/{n.replace('.', '/')}.sql": head + query + "\n" for n, (head, query) in self.queries().items()
        }
        self.made.begin({"sources/raw.yml": SOURCES, **files})
        for folder in ("pieces", "files", "seeds"):
            (self.made.root / folder).mkdir(exist_ok=True)
        self.write_piece(0)
        self.write_lines(20)
        self.write_docs(10)
        self.write_seed(4)
        self.made.sql(*SETUP)

    def queries(self) -> dict[str, tuple[str, str]]:
        return {name: QUERIES[name] for name in self.only}

    # ------------------------------------------------------------ files

    def _replaced(self, name: str, write: Callable[[Path], None]) -> None:
        """Write a file beside and put it in its place, as most programs do, or write it in place."""
        path = self.made.root / name
        write(path.with_suffix(".tmp"))
        os.replace(path.with_suffix(".tmp"), path)

    def write_piece(self, number: int) -> None:
        rows = self.random.randint(1, 9)

        def write(path: Path) -> None:
            with scratch() as connection:
                connection.execute(
                    f"COPY (SELECT {number * 100} + i AS id, i % 4 AS k, {self.random.randint(0, 99)} AS v, DATE '2024-01-01' + CAST(i % 6 AS INTEGER) AS day "
                    f"FROM range({rows}) t(i)) TO '{path}' (FORMAT parquet)"
                )

        self._replaced(f"pieces/p{number}.parquet", write)

    def write_lines(self, rows: int, first: int = 0) -> None:
        text = "id,k,v,day\n" + "".join(
            f"{i},{i % 4},{(i * 3 + first) % 50},2024-01-0{1 + i % 6}\n" for i in range(first, first + rows)
        )
        (self.made.root / "files/lines.csv").write_text(text)

    def write_docs(self, rows: int) -> None:
        lines = [json.dumps({"id": i, "k": i % 4, "v": (i + rows) % 9}) for i in range(rows)]
        (self.made.root / "files/docs.json").write_text("\n".join(lines) + "\n")

    def write_seed(self, rows: int) -> None:
        text = "k,name\n" + "".join(f"{i},s{self.random.randint(0, 9)}\n" for i in range(rows))
        (self.made.root / "seeds/dims.csv").write_text(text)

    # ------------------------------------------------------------ what happens

    def happening(self) -> Iterator[list[Act]]:
        """Steps of one thing that somebody does, which come one after the other."""
        choice = self.random.random()
        if choice < 0.65:
            yield from self.to_table(self.random.choice(TABLES))
        elif choice < 0.75:
            number = self.random.randint(0, 3)
            there = (self.made.root / f"pieces/p{number}.parquet").exists()
            gone = there and number and self.random.random() < 0.3
            yield [
                self._told(
                    f"piece {number} {'gone' if gone else 'written'}", lambda: self._piece(number, gone=bool(gone))
                )
            ]
        elif choice < 0.87:
            yield from self._to_text(
                "lines",
                "files/lines.csv",
                lambda: self.write_lines(self.random.randint(5, 30), self.random.randint(0, 5)),
            )
        elif choice < 0.94:
            yield from self._to_text("docs", "files/docs.json", lambda: self.write_docs(self.random.randint(3, 12)))
        else:
            yield from self._to_text("seed", "seeds/dims.csv", lambda: self.write_seed(self.random.randint(2, 5)))

    def _piece(self, number: int, *, gone: bool) -> None:
        if gone:
            (self.made.root / f"pieces/p{number}.parquet").unlink(missing_ok=True)
        else:
            self.write_piece(number)

    def _to_text(self, what: str, name: str, write: Callable[[], None]) -> Iterator[list[Act]]:
        path = self.made.root / name
        if self.random.random() < 0.5:
            yield [self._told(f"{what} written", write)]
            return
        kept: list[str] = []

        def blink() -> None:
            kept.append(path.read_text())
            path.write_text("".join(kept[0].splitlines(keepends=True)[:3]))

        def restored() -> None:
            path.write_text(kept[0])

        yield [self._told(f"{what} cut", blink)]
        yield [self._told(f"{what} as it was", restored)]

    def to_table(self, name: str) -> Iterator[list[Act]]:
        kind = self.random.random()
        t = f"ext.{name}"
        if kind < 0.3 and name not in self.blinking:
            self.blinking.add(name)
            yield [f"DELETE FROM ext.keep_{name}", f"INSERT INTO ext.keep_{name} SELECT * FROM {t}", f"TRUNCATE {t}"]
            yield [f"INSERT INTO {t} SELECT * FROM ext.keep_{name}"]
            return
        self.next += 1
        c, v = self.next, self.random.randint(0, 20)
        if name == "dim":
            k = self.random.randint(0, 3)
            yield [f"UPDATE {t} SET name = 'n{v}' WHERE k = {k}"]
        elif name == "app" or kind < 0.6:
            tied = f"(SELECT max(c) FROM {t})" if self.random.random() < 0.2 and name != "keyed" else str(c)
            yield [f"INSERT INTO {t} VALUES ({c}, {c} % 4, {v}, {tied}, DATE '2024-01-0{1 + c % 9}')"]
        elif kind < 0.75 and name != "keyed":
            yield [f"DELETE FROM {t} WHERE id % 11 = {v % 11}"]
        elif kind < 0.85 and name not in ("cur", "keyed"):
            yield [f"UPDATE {t} SET v = v + 100 WHERE id % 7 = {v % 7}"]
            yield [f"UPDATE {t} SET v = v - 100 WHERE id % 7 = {v % 7}"]
        else:
            yield [f"UPDATE {t} SET v = {v}, c = {c} WHERE id % 9 = {v % 9}"]

    def _told(self, what: str, act: Callable[[], None]) -> Callable[[], None]:
        def acted() -> None:
            self.story.append(f"      {what}")
            act()

        return acted

    def acts(self, count: int) -> dict[int, list[Act]]:
        """So many things that happen before statements of the next build."""
        found: dict[int, list[Act]] = {}
        self.blinking.clear()
        for _ in range(count):
            steps = list(self.happening())
            at = 1 if self.random.random() < 0.2 else self.random.randint(1, self.statements)
            for step in steps:
                found.setdefault(at, []).extend(step)
                at += self.random.randint(1, self.statements // 2)
        return found

    def run(self) -> list[str]:
        """Builds that others write beside, and one in quiet; what is wrong after it."""
        self.begin()
        if self.random.random() < 0.5:
            self.story.append(f"first build: {self.made.build(threads=1).code}")
        for _ in range(3):
            for _ in range(self.random.randint(0, 3)):
                self.between()
            self.disturbed(self.random.randint(1, 12))
        built = self.made.build(threads=1)
        self.story.append(f"   last build: {built.told}")
        left = self.made.planned() if built.code == 0 else [built.told]
        return [*self.wrong(), *(f"not done: {text}" for text in left)]

    def disturbed(self, count: int) -> None:
        """A build that others write beside; what they had not done when it ended they do then."""
        acts = self.acts(count)
        self.story += [f"   before {at}: {act}" for at, done in sorted(acts.items()) for act in done]
        with moving(self.made, acts, alone=self.alone) as writer:
            built = self.made.build(threads=self.threads)
            self.statements = max(40, writer.number)
            self.story.append(f"   build: {built.code}, {writer.number} statements\n{built.told}")
            writer.finish()

    def between(self) -> None:
        self.blinking.clear()
        for step in self.happening():
            for act in step:
                self.story.append(f"   between: {act}")
                if callable(act):
                    act()
                else:
                    self.made.sql(act)

    # ------------------------------------------------------------ what must hold

    def wrong(self) -> list[str]:
        """The tables that are not what their queries give."""
        found = []
        queries = {name: query for name, (_, query) in self.queries().items()}
        rows = self.made.rows_of(text for name, query in queries.items() for text in (f"SELECT * FROM {name}", query))
        for number, name in enumerate(queries):
            there, wanted = (sorted(map(repr, found)) for found in rows[2 * number : 2 * number + 2])
            if there != wanted:
                more = [row for row in there if row not in wanted][:3]
                fewer = [row for row in wanted if row not in there][:3]
                found.append(f"{name}: {len(there)} rows for {len(wanted)}; only there {more}; missing {fewer}")
        return found
