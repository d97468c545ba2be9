"""Carry out a case and hold every table against its query, evaluated from scratch in another database.

The oracle shares no code with SQLFlow. It is an empty DuckDB in memory in which the same statements happen to the sources;
models are made by running their text as it stands, parents first. What `append` and `merge` hold is more than their query
says, so their readers are held against what they hold (tests/laws says what that must be).
"""

from __future__ import annotations

import math
import os
import re
import shutil
import sqlite3
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import duckdb
from fuzz.cases import Case, Change, Model, Step
from lawful import Lawful
from opened import opened

from sqlflow.core.codec import decode
from sqlflow.core.records import RunRecord

SCHEMAS = ("ext", "raw", "seeds", "a", "b", "c")
Row = tuple[object, ...]
Made = tuple[str, tuple[tuple[str, int], ...]]
Shape = list[tuple[str, str]]


class Invalid(Exception):
    """The case itself is wrong: its queries cannot be run, or have no single answer."""


@dataclass(frozen=True, slots=True)
class Failure:
    """What went wrong. `kind`: rows, columns, build, plan, unsound or bug; `step`: 0 is the first build."""

    kind: str
    step: int
    table: str
    told: str


@dataclass(slots=True)
class Tally:
    """`refreshes`: tables that were held against their query after something that they read, or they themselves, had changed.
    `ways`: how many of them were brought up to date in which way, by the records of the runs."""

    builds: int = 0
    refreshes: int = 0
    cases: int = 0
    unstable: int = 0
    ways: Counter[str] = field(default_factory=Counter)

    @property
    def followed(self) -> int:
        """Refreshes by the rows or keys that changed."""
        return self.ways["delta"] + self.ways["keys"]

    def add(self, other: Tally) -> None:
        self.builds += other.builds
        self.refreshes += other.refreshes
        self.cases += other.cases
        self.unstable += other.unstable
        self.ways += other.ways


# ---------------------------------------------------------------------- the oracle


class Oracle:
    """The sources and the models, made from scratch whenever asked."""

    def __init__(self, root: Path, case: Case) -> None:
        self.root = root
        self.db = duckdb.connect(config={"threads": 1})
        self.db.execute("SET TimeZone = 'UTC'")
        for schema in SCHEMAS:
            self.db.execute(f"CREATE SCHEMA {schema}")
        self.inputs = dict(case.inputs)
        self.models = {model.name: model for model in case.models}

    def close(self) -> None:
        self.db.close()

    def happen(self, change: Change) -> None:
        """A change of the sources or models; files are written by the caller, in the project's folder."""
        if change.what == "sql":
            try:
                self.db.execute(change.text)
            except duckdb.Error as error:
                raise Invalid(f"{change.text}: {error}") from None
        elif change.what == "model" and change.model is not None:
            if change.model.says and self.models.get(change.model.name) != change.model:
                raise Invalid(f"{change.model.name} begins when its source has lost events already")
            self.models[change.model.name] = change.model

    def load(self) -> None:
        """The sources whose rows are files or other tables, as they are now."""
        for name, relation in self.inputs.items():
            try:
                self.db.execute(
                    f"CREATE OR REPLACE TABLE {name} AS SELECT * FROM {relation.replace('$root', str(self.root))}"
                )
            except duckdb.Error as error:
                raise Invalid(f"{name}: {error}") from None

    def make(self, model: Model) -> None:
        try:
            self.db.execute(f"CREATE OR REPLACE TABLE {model.name} AS {model.says or model.sql}")
        except duckdb.Error as error:
            raise Invalid(f"{model.name}: {error}") from None

    def take(self, model: Model, built: duckdb.DuckDBPyConnection) -> None:
        """What the database has, in place of what the query says."""
        name = model.name
        try:
            columns, rows = table(built, name)
        except duckdb.CatalogException:
            self.make(model)
            return
        except duckdb.Error as error:  # a view whose inputs have other columns now, and that was not to be made anew
            raise Invalid(f"{name}: {error}") from None
        _fill(self.db, name, columns, rows)

    def sources(self) -> list[str]:
        found = self.db.execute(
            "SELECT table_schema || '.' || table_name FROM information_schema.tables WHERE table_schema IN ('raw', 'seeds') ORDER BY 1"
        ).fetchall()
        return [str(name) for (name,) in found]

    def content(self, name: str) -> int:
        """The columns and the bag of rows, to the last bit, as a number."""
        columns, rows = table(self.db, name)
        return hash((tuple(columns), frozenset(Counter(map(repr, rows)).items())))

    def unstable(self, only: str = "") -> str:
        """The first query that gives another bag of rows when what it reads comes in another order; empty when none does.

        `only`: of this model, given those before it; those after it may not have been made yet.
        """
        other = duckdb.connect(config={"threads": 1})
        try:
            other.execute("SET TimeZone = 'UTC'")
            for schema in SCHEMAS:
                other.execute(f"CREATE SCHEMA {schema}")
            for name in self.sources():
                _copy(name, self.db, other)
            for model in self.models.values():
                if model.mode in ("append", "merge", "stream") or (only and model.name != only):
                    _copy(model.name, self.db, other)
                    continue
                other.execute(f"CREATE TABLE {model.name} AS {model.sql}")
                columns, mine = table(self.db, model.name)
                if difference(mine, table(other, model.name)[1], near_places(columns, model)):
                    return f"{model.name}: {model.sql}"
                if model.name == only:
                    return ""
        except duckdb.Error as error:
            return str(error)
        finally:
            other.close()
        return ""


def _copy(name: str, one: duckdb.DuckDBPyConnection, other: duckdb.DuckDBPyConnection) -> None:
    """The rows of a table in another order."""
    columns, rows = table(one, name)
    _fill(other, name, columns, [row for _, row in sorted(enumerate(rows), key=lambda item: (item[0] * 7919) % 101)])


def _fill(db: duckdb.DuckDBPyConnection, name: str, columns: Shape, rows: Sequence[Row]) -> None:
    listed = ", ".join(f'"{column}" {kind}' for column, kind in columns)
    db.execute(f"CREATE OR REPLACE TABLE {name} ({listed})")
    if rows:
        db.executemany(f"INSERT INTO {name} VALUES ({', '.join('?' for _ in columns)})", rows)


def table(db: duckdb.DuckDBPyConnection, name: str) -> tuple[Shape, list[Row]]:
    """Columns with types, and rows. Raises duckdb.CatalogException where there is no such table."""
    found = db.sql(f"FROM {name}")
    return [(column, str(kind)) for column, kind in zip(found.columns, found.types, strict=True)], found.fetchall()


def near_places(columns: Shape, model: Model) -> tuple[int, ...]:
    return tuple(n for n, (column, _) in enumerate(columns) if column in model.near)


# ---------------------------------------------------------------------- bags of rows


def canonical(row: Sequence[object]) -> Row:
    """Values such that equal rows are equal: NaN is NaN, -0.0 is 0.0, lists can be hashed."""
    return tuple(_canonical(value) for value in row)


def _canonical(value: object) -> object:
    if isinstance(value, bool):
        return f"is {value}"
    if isinstance(value, float):
        return ("double", "nan" if math.isnan(value) else value + 0.0)
    if isinstance(value, list | tuple):
        return tuple(_canonical(item) for item in value)
    if isinstance(value, dict):
        return tuple(sorted((str(k), _canonical(v)) for k, v in value.items()))
    return value


def difference(expected: Sequence[Row], found: Sequence[Row], near: Sequence[int]) -> str:
    """In words what `found` lacks and what it has too much; empty when the bags are equal, rounding aside in `near`."""
    left, right = Counter(canonical(row) for row in expected), Counter(canonical(row) for row in found)
    missing, surplus = list((left - right).elements()), list((right - left).elements())
    if not missing and not surplus:
        return ""
    if near and len(missing) == len(surplus) and _pair_up(missing, surplus, set(near)):
        return ""
    return f"lacks {len(missing)} rows: {_shown(missing)}; has too much {len(surplus)} rows: {_shown(surplus)}"


def _shown(rows: list[Row]) -> str:
    return ", ".join(repr(row) for row in sorted(rows, key=repr)[:6])


def _pair_up(missing: list[Row], surplus: list[Row], near: set[int]) -> bool:
    left = list(surplus)
    for row in missing:
        found = next((other for other in left if _alike(row, other, near)), None)
        if found is None:
            return False
        left.remove(found)
    return True


def _alike(row: Row, other: Row, near: set[int]) -> bool:
    return all(_close(a, b) if n in near else a == b for n, (a, b) in enumerate(zip(row, other, strict=True)))


def _close(a: object, b: object) -> bool:
    if a == b:
        return True
    match a, b:
        case ("double", float(x)), ("double", float(y)):
            return math.isclose(x, y, rel_tol=1e-9, abs_tol=1e-6)
        case _:
            return False


# ---------------------------------------------------------------------- the project


@dataclass(slots=True)
class World:
    """A case on its way. `fresh`: what each table was made of when it last was right, to count refreshes, and for the
    oracle, which need not make a table of the same rows again."""

    project: Lawful
    oracle: Oracle
    tally: Tally
    failing: str | None = None
    fresh: dict[str, Made] = field(default_factory=dict)
    _contents: dict[str, int] = field(default_factory=dict)
    _made: dict[str, Made] = field(default_factory=dict)
    _sources: list[str] = field(default_factory=list)
    _ways: dict[str, str] = field(default_factory=dict)
    _run: str = ""

    def happen(self, changes: Sequence[Change]) -> None:
        """Everything between two builds: in the database with one connection, which is closed then."""
        statements = []
        for change in changes:
            match change.what:
                case "sql":
                    statements.append(change.text)
                case "drop":
                    statements.append(f"DROP TABLE IF EXISTS {change.name}")
                case "file":
                    self._write(change)
                case "remove":
                    (self.project.root / change.name).unlink(missing_ok=True)
                case "model" if change.model is not None:
                    self.project.write({change.model.path: change.model.text()})
                case "forget":
                    self.project.forget_state()
                case _:
                    raise ValueError(change.what)
            self.oracle.happen(change)
        if statements:
            with self.project.connected() as connection:
                for statement in statements:
                    try:
                        connection.execute(statement)
                    except duckdb.Error as error:
                        raise Invalid(f"{statement}: {error}") from None

    def _write(self, change: Change) -> None:
        path = self.project.root / change.name
        path.parent.mkdir(parents=True, exist_ok=True)
        form = "parquet" if path.suffix == ".parquet" else "csv, header true"
        self.oracle.db.execute(f"COPY ({change.text}) TO '{path}' (FORMAT {form})")

    def expect(
        self, selected: Sequence[str] | None, built: duckdb.DuckDBPyConnection, skip: frozenset[str]
    ) -> Iterator[Model]:
        """Make the oracle's tables; gives each model, once made, whose table must equal it."""
        self.oracle.load()
        for model in list(self.oracle.models.values()):
            chosen = (selected is None or model.name in selected) and model.name not in skip
            if model.mode == "inline":
                self._make(model)
            elif model.mode in ("append", "merge") or not chosen:
                self._made.pop(model.name, None)
                self._contents.pop(model.name, None)
                self.oracle.take(model, built)
            else:
                self._make(model)
                yield model

    def _make(self, model: Model) -> None:
        """Make a table of the oracle, unless it is there, of the same query and the same rows."""
        made_of = self._made_of(model)
        if self._made.get(model.name) != made_of:
            self._contents.pop(model.name, None)
            self.oracle.make(model)
            self._made[model.name] = made_of

    def compare(
        self, step: int, selected: Sequence[str] | None = None, skip: frozenset[str] = frozenset()
    ) -> Failure | None:
        self._sources = self.oracle.sources()
        for name in [*self._sources, *(name for name in self._contents if name not in self._made)]:
            self._contents.pop(name, None)
        self._look_at_run()
        with opened(self.project.database, read_only=True) as built:
            built.execute("SET TimeZone = 'UTC'")
            for model in self.expect(selected, built, skip):
                wanted, rows = table(self.oracle.db, model.name)
                try:
                    there, found = table(built, model.name)
                except duckdb.CatalogException:
                    return Failure("rows", step, model.name, "its table is missing")
                if wanted != there:
                    return Failure("columns", step, model.name, f"expected {wanted}, found {there}")
                wrong = difference(rows, found, near_places(wanted, model))
                if wrong:
                    if unstable := self.oracle.unstable(model.name):
                        self.tally.unstable += 1
                        raise Invalid(f"no single answer: {unstable}")
                    return Failure("rows", step, model.name, wrong)
                self._count(model)
        return None

    def _look_at_run(self) -> None:
        """How each table was brought up to date in the last run."""
        with closing(sqlite3.connect(self.project.root / ".sqlflow" / "state.db")) as state:
            newest = state.execute("SELECT run_id, record FROM runs ORDER BY rowid DESC LIMIT 1").fetchone()
        self._ways.clear()
        if newest is not None and newest[0] != self._run:
            self._run, text = newest
            results = decode(text, RunRecord).results
            self._ways.update({str(result.table): result.strategy for result in results if result.task})

    def _made_of(self, model: Model) -> Made:
        text = (model.sql + model.says).replace('"', "")
        read = [n for n in (*self._sources, *self.oracle.models) if n in text and n != model.name]
        return model.sql, tuple((n, self._content(n)) for n in read)

    def _count(self, model: Model) -> None:
        """Whether that was a refresh: the code, or the rows of something that it reads, differ from last time."""
        sql, read = self._made_of(model)
        made_of = f"{model.header} {sql}", read
        if model.mode not in ("view", "inline") and self.fresh.get(model.name, made_of) != made_of:
            self.tally.refreshes += 1
            self.tally.ways[self._ways.get(model.name, "not in the run")] += 1
        self.fresh[model.name] = made_of

    def _content(self, name: str) -> int:
        if name not in self._contents:
            self._contents[name] = self.oracle.content(name)
        return self._contents[name]

    # Builds

    def build(self, step: int, how: Step) -> Failure | None:
        self.tally.builds += 1
        match how.build:
            case "some" | "refresh":
                built = self.project.build(*how.names, full_refresh=how.build == "refresh", threads=1)
                if built.code != 0 or _UNSOUND in built.told:
                    return self._broken(step, built.told)
                return self.compare(step, how.names)
            case "fail":
                return self._fail(step, how.names[0])
            case _:
                built = self.project.build(threads=1 + step % 2)
                if built.code != 0 or _UNSOUND in built.told:
                    return self._broken(step, built.told)
                found = self.compare(step)
                if found is not None or how.build != "twice":
                    return found
                planned = self.project.planned()
                return Failure("plan", step, "", f"a build right after a build plans {planned}") if planned else None

    def _broken(self, step: int, told: str) -> Failure:
        failure = _broken(step, told)
        model = self.oracle.models.get(failure.table)
        if model is not None and "an assertion of DuckDB itself failed" in told:
            with opened(self.project.database, read_only=True) as built:
                try:
                    built.execute(model.sql)
                except duckdb.InternalException as error:
                    raise Invalid(f"{model.name}: {error}") from None
        return failure

    @staticmethod
    def _standing(built: duckdb.DuckDBPyConnection, name: str) -> list[Row] | None:
        try:
            return table(built, name)[1]
        except duckdb.CatalogException:
            return None

    def _fail(self, step: int, name: str) -> Failure | None:
        """A check fails: the table stays as it was, what does not depend on it is right, and the next build makes it good."""
        model = self.oracle.models[name]
        self.project.write({model.path: model.text("checks: [{row_count: {min: 1000000}}]")})
        with opened(self.project.database, read_only=True) as standing:
            before = None if model.mode == "view" else self._standing(standing, name)
        built = self.project.build(threads=1)
        self.project.write({model.path: model.text()})
        if built.code != 1 or name not in built.told:
            return Failure("build", step, name, f"the check of {name} did not fail: {built.told}")
        if before is not None:
            with opened(self.project.database, read_only=True) as standing:
                wrong = difference(before, table(standing, name)[1], ())
            if wrong:
                return Failure("rows", step, name, f"a failed build changed it: {wrong}")
        below = {name}
        for other in self.oracle.models.values():
            if any(parent in other.sql for parent in below):
                below.add(other.name)
        return self.compare(step, skip=frozenset(below))


# A followed table that does not hold what it should is rebuilt, and told. Here nobody else touches tables.
_UNSOUND = "the table was changed outside SQLFlow"


def _broken(step: int, told: str) -> Failure:
    if _UNSOUND in told:
        return Failure("unsound", step, "", told)
    named = re.search(r"^failed: (\S+)", told, re.MULTILINE)
    return Failure("build", step, named[1] if named else "", told)


CONFIG = "name: fuzz\ntimezone: UTC\ntargets: {dev: {engine: duckdb, path: lawful.duckdb}}\n"


@contextmanager
def world(case: Case, tally: Tally) -> Iterator[World]:
    """The project of a case on disk, in memory where there is such a disk; nothing built yet."""
    place = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    folder = Path(tempfile.mkdtemp(prefix="sqlflow-fuzz-", dir=place))
    oracle = None
    try:
        project = Lawful(folder)
        oracle = Oracle(folder, case)
        project.begin({})
        project.write({"sqlflow.yml": CONFIG, **case.files, **{m.path: m.text() for m in case.models}})
        made = World(project, oracle, tally)
        schemas = tuple(Change("sql", f"CREATE SCHEMA IF NOT EXISTS {schema}") for schema in ("ext", "raw"))
        made.happen((*schemas, *case.setup))
        yield made
    finally:
        if oracle is not None:
            oracle.close()
        shutil.rmtree(folder, ignore_errors=True)


def run(case: Case, tally: Tally) -> Failure | None:
    """The first thing that goes wrong. Raises Invalid for a case that cannot be run."""
    with world(case, tally) as made:
        tally.cases += 1
        for number, step in enumerate((Step((), "all"), *case.steps)):
            made.happen(step.changes)
            failed = _guarded(made, number, step)
            if failed is not None:
                return failed
    return None


def _guarded(made: World, number: int, step: Step) -> Failure | None:
    try:
        return made.build(number, step)
    except (Invalid, KeyboardInterrupt):
        raise
    except Exception as error:  # noqa: BLE001  (whatever leaves a build is a finding)
        import traceback

        return Failure("bug", number, "", f"{type(error).__name__}: {error}\n{traceback.format_exc(limit=-6)}")


def only(case: Case, **parts: object) -> Case:
    return replace(case, **parts)  # type: ignore[arg-type]
