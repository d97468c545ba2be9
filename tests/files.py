"""Random file sources that grow and change: what a table kept over them is held against a plain query over all of them."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import duckdb
from lawful import Built, Lawful

from sqlflow.core.diagnostics import ProjectError

_NAMES = (
    "a", "b", "export[1]", "export1", "x*y", "xzy", "q?", "{a,b}", "it's", "50%20", "sp ace", "é", "e\u0301", "new\nline",
    "[a-z]", "A", "0", "-d", "c#d", '"q"',
)  # fmt: skip
_DAYS = ("%Y-%m-%d", "%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y", "%Y/%m/%d")
_ODD = ("", "007", "1e3", " 5", "1.50", "0.1", "-0", "nan", "x", "NULL", "true", "12345678901234567890", "ü")

MODELS: Mapping[str, str] = {
    "followed": "-- @strategy: delta\nSELECT id, v::VARCHAR AS v, d::VARCHAR AS d FROM raw.s\n",
    "plain": "SELECT id, v, d::VARCHAR AS d, n::VARCHAR AS n FROM raw.s\n",
    "casts": "SELECT id::VARCHAR AS i, CAST(v AS VARCHAR) || '!' AS v, CAST(n AS VARCHAR) || '' AS n, d::VARCHAR AS d FROM raw.s\n",
    "grouped": "SELECT v::VARCHAR AS v, count(*) AS many, min(n::VARCHAR) AS least FROM raw.s GROUP BY 1\n",
    "filtered": "SELECT d::VARCHAR AS d, n::VARCHAR AS n FROM raw.s WHERE id::VARCHAR <> '2'\n",
    "everything": "SELECT * FROM raw.s\n",
}
KEPT: Mapping[str, str] = {
    "days": "-- @mode: incremental\n-- @time: day\nSELECT CAST(d AS DATE) AS day, count(*) AS many, min(v::VARCHAR) AS v FROM raw.s GROUP BY 1\n",
    "appended": "-- @mode: append\n-- @cursor: id\nSELECT id, v::VARCHAR AS v, d::VARCHAR AS d FROM raw.s\n",
    "merged": "-- @mode: merge\n-- @key: id\n-- @cursor: n\nSELECT id, v::VARCHAR AS v, n FROM raw.s\n",
}


@dataclass(slots=True)
class Seen:
    """What a run did."""

    steps: Counter[str] = field(default_factory=Counter)
    refusals: Counter[str] = field(default_factory=Counter)
    compared: int = 0

    def __str__(self) -> str:
        return f"{self.compared} tables compared; steps {dict(self.steps)}; refused {dict(self.refusals)}"


class World:
    """A source of one format, with models over it. `own`: makes the project, of any engine."""

    def __init__(self, project: Lawful, seed: int, seen: Seen) -> None:
        self.random = random.Random(seed)
        self.project = project
        self.seen = seen
        self.kind = self.random.choice(("csv", "csv", "csv", "json", "parquet"))
        self.declared = self.random.random() < 0.5
        self.folders = self.random.random() < 0.3
        self.odd = self.random.random() < 0.3
        self.format = self.random.choice(_DAYS) if self.kind == "csv" else _DAYS[0]
        self.next = 0
        self.files: dict[str, list[dict[str, str]]] = {}
        place = "data/*/*" if self.folders else "data/*"
        columns = ", columns: {id: INTEGER, v: VARCHAR, d: DATE, n: DOUBLE}" if self.declared else ""
        missing = ", on_missing_column: null" if self.random.random() < 0.3 else ""
        self.may_lack = bool(missing) or self.kind == "json"
        self.source = f'raw.s: {{path: "{place}.{self.kind}"{columns}{missing}}}\n'
        models = dict(MODELS)
        if not self.odd or self.declared:
            models |= KEPT
        self.models = models
        begin(project, {"sources/raw.yml": self.source, **{f"models/m/{n}.sql": q for n, q in models.items()}})

    # ------------------------------------------------------------------ files

    def rows(self, count: int) -> list[dict[str, str]]:
        found = []
        for _ in range(count):
            self.next += 1
            day = f"2024-{self.random.randint(1, 12):02}-{self.random.randint(1, 28):02}"
            v = self.random.choice(_ODD) if self.odd else str(self.random.randint(0, 9) * 10)
            n = self.random.choice(("1", "2.50", "3", "10", "1e2"))
            found.append({"id": str(self.next), "v": v, "d": day, "n": n})
        return found

    def write(self, name: str, rows: list[dict[str, str]], how: str = "") -> None:
        place = self.project.root / name
        place.parent.mkdir(parents=True, exist_ok=True)
        columns = ["id", "v", "d", "n"]
        if how == "order":
            self.random.shuffle(columns)
        if how == "extra":
            columns.insert(self.random.randint(0, 4), "z")
        if how == "missing":
            # A key of NULL comes once at most, and is refused when it comes again.
            columns.remove(self.random.choice([c for c in columns if c != "id" or not self.may_lack]))
        spelled = {c: c.upper() if how == "case" else c for c in columns}
        if self.kind == "json":
            lines = [{spelled[c]: _plain(r.get(c, "7"), c) for c in columns} for r in rows]
            place.write_text("".join(json.dumps(line) + "\n" for line in lines))
        elif self.kind == "parquet":
            self._parquet(place, columns, spelled, rows, how)
        else:
            format_ = self.random.choice(_DAYS) if how == "dates" else self.format
            delimiter = ";" if how == "delimiter" else ","
            lines_ = [delimiter.join(spelled[c] for c in columns)]
            for row in rows:
                lines_.append(delimiter.join(_day(row["d"], format_) if c == "d" else row.get(c, "7") for c in columns))
            place.write_text("\n".join(lines_) + "\n")

    def _parquet(
        self, place: Path, columns: list[str], spelled: Mapping[str, str], rows: list[dict[str, str]], how: str
    ) -> None:
        kinds = {"id": "INTEGER", "v": "VARCHAR", "d": "DATE", "n": "DOUBLE", "z": "INTEGER"}
        if how == "types":
            kinds |= {"id": "BIGINT", "n": "FLOAT", "d": "TIMESTAMP"}
        values = ", ".join("(" + ", ".join(f"'{r.get(c, '7')}'" for c in columns) + ")" for r in rows)
        names = ", ".join(f'"{c}"' for c in columns)
        items = ", ".join(f'"{c}"::{kinds[c]} AS "{spelled[c]}"' for c in columns)
        tail = (
            f"(VALUES {values}) AS t ({names})"
            if rows
            else f"(SELECT {', '.join(f'NULL AS {c}' for c in columns)} LIMIT 0)"
        )
        path = str(place).replace("'", "''")
        duckdb.execute(f"COPY (SELECT {items} FROM {tail}) TO '{path}' (FORMAT parquet)")

    def name(self) -> str:
        folder = "data/"
        if self.folders:
            folder += self.random.choice(("k=1", "k=2", "k=2024-1-5", "k=2024-01-06", "k=abc", "k=a%20b", "j=1")) + "/"
        while True:
            name = f"{folder}{self.random.choice(_NAMES)}{self.random.choice(('', str(self.random.randint(0, 9))))}.{self.kind}"
            if not (self.project.root / name).exists():
                return name

    # ------------------------------------------------------------------ steps

    def step(self) -> str:
        kinds: tuple[str, ...] = (
            "add",
            "add",
            "add",
            "grow",
            "rewrite",
            "remove",
            "order",
            "case",
            "extra",
            "missing",
            "empty",
        )
        kinds += {"csv": ("dates", "delimiter", "header"), "parquet": ("types",)}.get(self.kind, ())
        what = self.random.choice(kinds)
        name = self.random.choice(sorted(self.files)) if self.files else ""
        if what in ("grow", "rewrite", "remove") and len(self.files) < 2:
            what = "add"
        if what == "remove":
            (self.project.root / name).unlink()
            del self.files[name]
        elif what == "grow":
            self.files[name] += self.rows(2)
            self.write(name, self.files[name])
        elif what == "rewrite":
            self.files[name] = self.rows(3)
            self.write(name, self.files[name])
        else:
            name = self.name()
            self.files[name] = [] if what in ("empty", "header") else self.rows(self.random.randint(1, 4))
            self.write(name, self.files[name], what)
            if what == "empty" and self.kind != "parquet":
                (self.project.root / name).write_text("")
        self.seen.steps[what] += 1
        return f"{what} {name!r}"

    def undo(self, before: dict[str, bytes]) -> None:
        """Files as they were, after they were refused."""
        for path in [p for p in (self.project.root / "data").rglob("*") if p.is_file()]:
            if str(path) not in before:
                path.unlink()
        for name, data in before.items():
            Path(name).write_bytes(data)
        self.files = {n: r for n, r in self.files.items() if (self.project.root / n).exists()}

    def standing(self) -> dict[str, bytes]:
        return {str(p): p.read_bytes() for p in (self.project.root / "data").rglob("*") if p.is_file()}


def begin(project: Lawful, files: Mapping[str, str]) -> None:
    """The same text is a query of each engine's own SQL: a DOUBLE as text, say, is not the same text in both."""
    project.begin(files)
    settings = (project.root / "sqlflow.yml").read_text()
    project.write({"sqlflow.yml": settings.replace("dialect: duckdb\n", "dialect: postgres\n")})


def built(project: Lawful) -> Built:
    try:
        return project.build()
    except ProjectError as error:
        return Built(1, "\n".join(f"{d.code}: {d.message}" for d in error.diagnostics))


def tell(project: Lawful, anew: Callable[[], Lawful], seed: int, steps: int, seen: Seen) -> str | None:
    """Make a world, change it, and build after each change. What went wrong; None if nothing did. `anew`: makes an
    empty project beside it."""
    world = World(project, seed, seen)
    story = [world.source.strip()]
    names = {world.name(): None}
    for name in names:
        world.files[name] = world.rows(3)
        world.write(name, world.files[name])
    for number in range(steps + 1):
        before = world.standing()
        if number:
            story.append(world.step())
        ended = built(project)
        if ended.code:
            refused = next((c for c in ("unreadable-source", "unknown-column", "type-error") if c in ended.told), "")
            names_file = any(Path(name).name.replace("\n", "") in ended.told.replace("\n", "") for name in world.files)
            if not number or not refused or (refused == "unreadable-source" and not names_file):
                return "\n".join([f"seed {seed}", *story, "refused without a file:", ended.told])
            seen.refusals[refused] += 1
            story.append(f"  refused: {refused}")
            world.undo(before)
            ended = built(project)
            if ended.code:
                return "\n".join([f"seed {seed}", *story, "refused after the change was undone:", ended.told])
        fresh = anew() if number == steps or world.random.random() < 0.3 else None
        try:
            wrong = _differing(project, fresh, world)
        finally:
            if fresh is not None:
                fresh.drop()
        seen.compared += len(world.models)
        if wrong is not None:
            return "\n".join([f"seed {seed}", *story, wrong])
    return None


def _differing(project: Lawful, fresh: Lawful | None, world: World) -> str | None:
    keeping = {"appended", "merged"}  # they keep what their source does not have any more
    wrong = _anew(project, fresh) if fresh is not None else None
    if wrong is not None:
        return wrong
    for name, model in world.models.items():
        if name in keeping:
            doubled = project.rows(f"SELECT id FROM m.{name} WHERE id IS NOT NULL GROUP BY id HAVING count(*) > 1")
            if doubled:
                return f"m.{name} has rows twice: {doubled}"
            continue
        kept = sorted(map(repr, project.rows(f"SELECT * FROM m.{name}")))
        others = [("its query", project.rows(_query(model)))] if type(project) is Lawful else []
        if fresh is not None:
            others.append(("a new table", fresh.rows(f"SELECT * FROM m.{name}")))
        for what, rows in others:
            if kept != sorted(map(repr, rows)):
                return f"m.{name} differs from {what}: kept {kept[:8]}, not {sorted(map(repr, rows))[:8]}"
    planned = project.planned()
    return f"there is something to do after a build: {planned}" if planned else None


def _anew(project: Lawful, fresh: Lawful) -> str | None:
    """Build the same files and models in an empty database; what keeps them from being built."""
    for place in (p for p in project.root.rglob("*") if p.is_file()):
        at = place.relative_to(project.root)
        if at.parts[0] in ("data", "models", "sources"):
            (fresh.root / at).parent.mkdir(parents=True, exist_ok=True)
            (fresh.root / at).write_bytes(place.read_bytes())
    begin(fresh, {})
    ended = built(fresh)
    return f"the same files are refused in an empty database:\n{ended.told}" if ended.code else None


def _query(model: str) -> str:
    return "\n".join(line for line in model.splitlines() if not line.startswith("--"))


def _plain(text: str, column: str) -> object:
    if column == "d":
        return text
    try:
        return json.loads(text)
    except ValueError:
        return text


def _day(text: str, format_: str) -> str:
    year, month, day = text.split("-")
    return format_.replace("%Y", year).replace("%m", month).replace("%d", day)
