"""Whether a migrated project gives the tables that dbt gave: it is built in a copy of dbt's database, and held against them."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import quote, urlsplit

from msgspec import Struct
from msgspec.structs import replace

from sqlflow.build.examine import Checked, compile_what_can_be_read
from sqlflow.build.prepare import prepare
from sqlflow.build.run import run
from sqlflow.build.standing import Standing, look_at
from sqlflow.core.amounts import counted
from sqlflow.core.cache import NoCache
from sqlflow.core.config import Config, Request
from sqlflow.core.diagnostics import Diagnostic, ProjectError, Severity, one_problem
from sqlflow.core.engine import Binder, Engine, EngineError, Found
from sqlflow.core.events import Clock, Event
from sqlflow.core.modes import Mode
from sqlflow.core.names import TableName
from sqlflow.core.records import Status, TaskResult
from sqlflow.core.schema import Schema
from sqlflow.core.sql import Sql, compose, render
from sqlflow.core.workshop import Workshop
from sqlflow.engines import EngineModule
from sqlflow.migrate.dbt import Output
from sqlflow.migrate.histories import History, put_in
from sqlflow.project.read import read_project
from sqlflow.proof.judge import written_columns
from sqlflow.proof.tables import Difference, Table, difference, told
from sqlflow.quality.checks import identities
from sqlflow.state.file import open_state

SHOWN = 3  # rows of each table that differ


class Verdict(StrEnum):
    EQUAL = "equal"
    DIFFERS = "differs"
    NOT_BUILT = "not built"
    MISSING = "missing"  # in the database of dbt
    NO_TABLE = "no table"
    TAKEN_OVER = "taken over"


class Verified(Struct, frozen=True):
    """How a table of the new project compares with the one of dbt. `why`: why they were not compared."""

    table: TableName
    verdict: Verdict
    found: Difference | None = None
    why: str = ""


class Proof(Struct, frozen=True):
    """What was compared with what. `where`: the tables of dbt, in words."""

    where: str
    tables: tuple[Verified, ...]

    @property
    def proven(self) -> bool:
        """Whether all tables that dbt has are there, with the same rows."""
        good = bool(self.of(Verdict.EQUAL)) or bool(self.of(Verdict.TAKEN_OVER))
        return good and not self.of(Verdict.DIFFERS) and not self.of(Verdict.NOT_BUILT)

    def of(self, verdict: Verdict) -> Sequence[Verified]:
        return [one for one in self.tables if one.verdict is verdict]


def database_of(output: Output, root: Path, given: str | None, profiles: Path | None) -> tuple[str, str]:
    """The database in which dbt built, and what it is called: the one that is given, or the one of the profile. Raises ProjectError."""
    if output.type in _POSTGRES:
        return _url(output, given)
    if given is not None:
        if Path(given).is_file():
            return _file(Path(given).resolve())
        raise one_problem("no-database", f"there is no file `{given}`", None, "give the file that dbt wrote to")
    if output.type != "duckdb":
        raise one_problem(
            "not-available-yet",
            f"`--verify` compares with tables in DuckDB or PostgreSQL, and dbt's are in {output.type}",
            None,
            "copy dbt's tables into a DuckDB file, and name it with `--dbt-database`",
        )
    said = str(output.said.get("path") or "")
    folders = [root, *([profiles if profiles.is_dir() else profiles.parent] if profiles is not None else [])]
    for folder in folders:
        if said and (folder / said).is_file():
            return _file((folder / said).resolve())
    message = f"the database of dbt, `{said}`, is not there" if said else "the profile names no database file"
    raise one_problem("no-database", message, None, "run `dbt build` first, or name the file with `--dbt-database`")


_POSTGRES = ("postgres", "alloydb", "greenplum")


def _file(path: Path) -> tuple[str, str]:
    changed = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    return str(path), f"{path.name}, last written {changed:%Y-%m-%d %H:%M} UTC"


def _url(output: Output, given: str | None) -> tuple[str, str]:
    """The URL of a PostgreSQL database."""
    if given is not None and "://" in given:
        return given, f"the database `{urlsplit(given).path.lstrip('/')}`"
    said = output.said
    name = str(given or said.get("dbname") or said.get("database") or "")
    if not name or not said.get("host"):
        hint = "give its URL with `--dbt-database postgresql://user:password@host/name`"
        raise one_problem("no-database", "the profile names no database", None, hint)
    user, password = (quote(str(said.get(key) or ""), safe="") for key in ("user", "password"))
    password = password or quote(str(said.get("pass") or ""), safe="")
    account = f"{user}:{password}@" if password else f"{user}@" if user else ""
    return (
        f"postgresql://{account}{quote(str(said['host']), safe='')}:{said.get('port') or 5432}/{quote(name, safe='')}",
        f"the database `{name}`",
    )


def verify(
    config: Config,
    module: EngineModule,
    tables: Sequence[TableName],
    database: str,
    where: str,
    files: Sequence[str],
    clock: Clock,
) -> Proof:
    """Build the project in a copy of dbt's database, and compare `tables` with those that dbt built. `where`: that database, in
    words. Raises ProjectError."""
    project, _ = read_project(config)
    made = {*(model.name for model in project.models), *project.seeds}
    # Tables of models that were not converted stay in the copy, for those that read them.
    with _bench(config, module, [name for name in tables if name in made], database, files) as bench:
        results = bench.build(clock)
        return Proof(where, tuple(bench.compare(name, results) for name in tables))


class _Bench:
    """A copy of dbt's database without what dbt built, and beside it the database itself."""

    def __init__(
        self,
        config: Config,
        module: EngineModule,
        engine: Engine,
        folder: Path,
        files: Sequence[str],
        there: Callable[[TableName], tuple[Sql, Schema] | None],
        beside: Callable[[], Path],
    ) -> None:
        self._config, self._module, self._engine, self._folder, self._files = config, module, engine, folder, files
        self._session = engine.session()
        self._there = there
        self._checked: Checked | None = None
        self._made: Mapping[TableName, Found] = {}
        self._versions: dict[TableName, int] = {}
        self._beside = beside
        self._copy: Path | None = None
        self.left_out: dict[TableName, str] = {}

    def build(self, clock: Clock) -> Mapping[TableName, TaskResult]:
        """Build everything, with the versions in its histories that dbt gathered. How each task ended."""
        histories = self._built((f"+mode:{Mode.SNAPSHOT}",), clock)
        self._take_over()
        return {**histories, **self._built((), clock)}

    def _built(self, selection: Sequence[str], clock: Clock) -> Mapping[TableName, TaskResult]:
        binder = self._module.open_binder(self._config, files=self._files)
        store = open_state(self._folder / "state.db", self._config.target.name, _silent, writing=True)
        assert store is not None
        try:
            workshop, standing, self._checked = self._what_compiles(binder)
            if selection and not any(one.header.promise.history for one in self._checked.compiled.models.values()):
                return {}
            request = Request(tuple(selection), threads=2)
            prepared = prepare(workshop, self._checked, standing, store, request, "verify", clock)
            record = run(
                prepared, self._engine, store, request, "migrate", self._config.target.name, "verify", _silent, clock,
                self._config,
            )  # fmt: skip
        finally:
            store.close()
            binder.close()
        self._made = self._engine.tables()
        return {result.table: result for result in record.results}

    def _what_compiles(self, binder: Binder) -> tuple[Workshop, Standing, Checked]:
        """The project without the models that are wrong. dbt's tables stand in for them."""
        while True:
            workshop, standing = Workshop(self._config, binder, NoCache(), ""), look_at(self._engine, self._config)
            try:
                return workshop, standing, compile_what_can_be_read(workshop, standing.tables, standing.records)
            except ProjectError as error:
                if not self._leave_out(error.diagnostics):
                    raise

    def _leave_out(self, problems: Sequence[Diagnostic]) -> bool:
        """Leave the files out in which something is wrong, from a copy of the project beside it. False where none is a query."""
        wrong = {
            problem.span.path: problem.message
            for problem in reversed(problems)
            if problem.severity is Severity.ERROR
            and problem.span is not None
            and problem.span.path.parts[0] in ("models", "tests")
        }
        if not wrong or (self._copy is not None and not any((self._copy / path).exists() for path in wrong)):
            return False
        project, _ = read_project(self._config)
        if self._copy is None:
            self._copy = self._beside()
            ignored = shutil.ignore_patterns("*.duckdb", "*.wal", ".sqlflow")
            shutil.copytree(self._config.root, self._copy, ignore=ignored, dirs_exist_ok=True)
            self._config = replace(self._config, root=self._copy)
        for path in wrong:
            (self._copy / path).unlink(missing_ok=True)
        for model in project.models:
            if model.file.path in wrong and model.name not in self.left_out:
                self.left_out[model.name] = wrong[model.file.path]
                if (found := self._there(model.name)) is not None:
                    self._session.execute(compose("CREATE TABLE {t} AS SELECT * FROM {r}", t=model.name, r=found[0]))
        return True

    def _take_over(self) -> None:
        """Put the versions that dbt gathered into the histories."""
        assert self._checked is not None
        for name, model in self._checked.compiled.models.items():
            header = model.header
            found = self._there(name) if header.promise.history and name in self._made else None
            if found is None:
                continue
            there, theirs = found
            validity = header.validity
            deleted = validity.deleted if validity.deleted in header.added else ""
            history = History(
                header.key,
                header.cursor is not None,
                validity.start,
                validity.end,
                validity.current,
                deleted,
                validity.open,
            )
            columns = [one.name for one in model.queried if theirs.find(one.name) is not None]
            for sql in put_in(history, render(name), render(there), columns, (), self._config.target.engine):
                self._session.execute(Sql(sql))
            rows = self._session.fetch(compose("SELECT count(*) FROM {t}", t=there))
            self._versions[name] = int(str(rows[0][0]))

    def compare(self, name: TableName, results: Mapping[TableName, TaskResult]) -> Verified:
        assert self._checked is not None
        compiled = self._checked.compiled
        model = compiled.models.get(name)
        if model is not None and model.header.promise.inlined:
            return Verified(name, Verdict.NO_TABLE, why="it is part of the queries that read it")
        result = results.get(name)
        if name in self.left_out:
            return Verified(name, Verdict.NOT_BUILT, why=self.left_out[name])
        if model is None and name not in compiled.project.seeds:
            return Verified(name, Verdict.NOT_BUILT, why=_why(name, result, self._checked))
        if name not in self._made or (result is not None and result.status is not Status.DONE):
            return Verified(name, Verdict.NOT_BUILT, why=_why(name, result, self._checked))
        if name in self._versions:
            return Verified(name, Verdict.TAKEN_OVER, why=f"{counted(self._versions[name], 'version')} of dbt")
        of_dbt = self._there(name)
        if of_dbt is None:
            return Verified(name, Verdict.MISSING, why="dbt's database has no such table")
        header = model.header if model is not None else None
        key = () if header is None else header.key or next(iter(identities(header.checks)), ())
        mine = Table(Sql(render(name)), self._made[name].schema)
        try:
            found = difference(
                self._session, ("SQLFlow", "dbt"), mine, Table(*of_dbt), key,
                written_columns(compiled).get(name, frozenset()), SHOWN,
            )  # fmt: skip
        except EngineError as error:
            return Verified(name, Verdict.DIFFERS, why=f"they cannot be compared: {error.message.splitlines()[0]}")
        return Verified(name, Verdict.EQUAL if found.equal else Verdict.DIFFERS, found)


@contextmanager
def _bench(
    config: Config, module: EngineModule, tables: Sequence[TableName], database: str, files: Sequence[str]
) -> Iterator[_Bench]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="sqlflow-verify-")))
        own = stack.enter_context(module.copied_target(config, folder, database))
        engine = module.open_engine(own, writing=True, create=True, wait=0, emit=_silent, files=files)
        assert engine is not None
        stack.callback(engine.close)
        there = module.set_aside(engine, own, database, tables)
        yield _Bench(own, module, engine, folder, files, there, lambda: Path(stack.enter_context(_beside(config.root))))


def _beside(root: Path) -> TemporaryDirectory[str]:
    """A folder beside the project, so that paths that lead out of it lead to the same files."""
    return TemporaryDirectory(prefix=f".{root.name}-verify-", dir=root.parent)


def _why(name: TableName, result: TaskResult | None, checked: Checked) -> str:
    if result is not None and result.error is not None:
        return result.error.message.splitlines()[0]
    if result is not None and result.blame is not None:
        return f"it is made from `{result.blame}`, which failed"
    if name in checked.spoilt:
        return checked.spoilt[name][0].message
    return "it is not in the new project"


# ---------------------------------------------------------------- told


def summary(proof: Proof) -> str:
    """One line: how many tables are equal."""
    equal, differ, unbuilt, missing = (
        len(proof.of(verdict)) for verdict in (Verdict.EQUAL, Verdict.DIFFERS, Verdict.NOT_BUILT, Verdict.MISSING)
    )
    told = f"{counted(equal + differ, 'table')} compared with dbt's: {equal} equal, {differ} different"
    histories = len(proof.of(Verdict.TAKEN_OVER))
    more = [f"{counted(histories, 'snapshot')} taken over"] * bool(histories)
    more += [f"{unbuilt} not built"] * bool(unbuilt) + [f"{missing} missing in dbt's database"] * bool(missing)
    return "; ".join([told, *more])


def markdown(proof: Proof, table: Callable[[Sequence[str], Sequence[Sequence[object]]], str]) -> str:
    """The evidence as a part of the report. `table`: rows as text."""
    lines = [
        "## Compared with the tables of dbt",
        "",
        f"{summary(proof)}. dbt's tables are those in {proof.where}; dbt was not run again.",
        "Rows are compared both ways, in any order. `-` is a row that only SQLFlow has, `+` one that only dbt has.",
        "",
    ]
    for one in sorted(proof.tables, key=lambda one: (one.verdict is Verdict.EQUAL, one.verdict is Verdict.NO_TABLE)):
        lines += _told(one, table)
    return "\n".join(lines) + "\n"


def _told(one: Verified, table: Callable[[Sequence[str], Sequence[Sequence[object]]], str]) -> Iterator[str]:
    found = one.found
    if found is None:
        yield f"- {one.verdict}: `{one.table}`: {one.why}"
        return
    if found.equal:
        yield f"- equal: `{one.table}`: {counted(found.rows, 'row')}"
    elif not (found.left or found.right or found.changed):
        yield f"- differs: `{one.table}`: other columns, and no other rows in those that both have"
    else:
        changed = f", {counted(found.changed, 'row')} with other values" if found.changed else ""
        yield f"- differs: `{one.table}`: {counted(found.left, 'row')} only here (-), {found.right:,} only in dbt (+){changed}"
    for text in (
        *(f"column {c}" for c in found.columns), *(f"other values in {c}" for c in told(found)), *found.notes
    ):  # fmt: skip
        yield f"  - {text}"
    if found.sample:
        yield from (
            "",
            "  ```text",
            *(f"  {line}" for line in table(found.names, found.sample).splitlines()),
            "  ```",
            "",
        )


def as_json(proof: Proof) -> dict[str, object]:
    return {"database": proof.where, "proven": proof.proven, "tables": [_json(one) for one in proof.tables]}


def _json(one: Verified) -> dict[str, Any]:
    said: dict[str, Any] = {"table": str(one.table), "verdict": str(one.verdict), "why": one.why or None}
    found = one.found
    if found is None:
        return said
    return {
        **said, "rows": found.rows, "only_here": found.left, "only_in_dbt": found.right, "changed": found.changed,
        "columns": list(found.columns), "cells": dict(found.cells), "notes": list(found.notes),
        "names": list(found.names), "sample": [list(row) for row in found.sample],
    }  # fmt: skip


def _silent(event: Event) -> None:
    """The report tells what is worth telling."""
