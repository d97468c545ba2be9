"""Cases of the fuzz on PostgreSQL: the same stories, translated; each table is held against its query in the database.

What cannot be translated, or means nothing to PostgreSQL, is left out of the case before it is run.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import duckdb
import psycopg
from fuzz.cases import Case, Change, Model, Step
from fuzz.stories import tell
from fuzz.worlds import Failure, Invalid, Tally, difference
from on_postgres import CONFIG, LawfulPostgres, drop_database, new_database

from sqlflow.translation.translate import Untranslatable, translated

Rows = list[tuple[object, ...]]


def run(case: Case, tally: Tally) -> Failure | None:
    """The first thing that goes wrong. Raises Invalid for a case that cannot be told to PostgreSQL."""
    case = fitted(case)
    folder = Path(tempfile.mkdtemp(prefix="sqlflow-fuzz-"))
    project = LawfulPostgres(folder)
    try:
        project.begin(
            {"sqlflow.yml": CONFIG.format(zone="UTC"), **case.files, **{m.path: m.text() for m in case.models}}
        )
        models = {model.name: model for model in case.models}
        _happen(project, models, (*_SCHEMAS, *case.setup))
        tally.cases += 1
        before: dict[str, object] = {}
        for number, step in enumerate((Step(()), *case.steps)):
            _happen(project, models, step.changes)
            full = step.build == "refresh"
            built = project.build(*(step.names if full else ()), full_refresh=full, threads=1 + number % 2)
            tally.builds += 1
            if built.code != 0:
                if _own_fault(built.told):
                    raise Invalid(built.told)
                return Failure("build", number, "", built.told)
            found = _compare(project, models, number, tally, before, set(step.names) if full else None)
            if found is not None:
                return found
    finally:
        project.drop()
        shutil.rmtree(folder, ignore_errors=True)
    return None


_SCHEMAS = tuple(Change("sql", f"CREATE SCHEMA IF NOT EXISTS {schema}") for schema in ("ext", "raw"))


def _own_fault(told: str) -> bool:
    """Whether the query itself fails on these rows."""
    return any(
        word in told for word in ("out of range", "division by zero", "overflow", "error[unknown-", "cannot cast")
    )


def fitted(case: Case) -> Case:
    """The case without the models that PostgreSQL cannot have; inline models and those with a promise of their own are
    plain ones."""
    url = new_database()
    try:
        with psycopg.connect(url, autocommit=True) as connection:
            for schema in ("ext", "raw", "seeds", "a", "b", "c"):
                connection.execute(f"CREATE SCHEMA {schema}")
            _sources(connection, case)
            kept = [m for model in case.models if (m := _fitted(connection, model)) is not None]
    finally:
        drop_database(url)
    if not kept:
        raise Invalid("no model is left")
    names = {model.name for model in kept}

    def changes(step: Step) -> tuple[Change, ...]:
        return tuple(c for c in step.changes if c.what in ("sql", "file", "remove", "forget") and "ALTER" not in c.text)

    steps = [
        Step(changes(s), "refresh", s.names) if s.build == "refresh" and set(s.names) <= names else Step(changes(s))
        for s in case.steps
    ]
    return replace(case, models=tuple(kept), steps=tuple(steps))


def _sources(connection: psycopg.Connection[tuple[object, ...]], case: Case) -> None:
    """Empty tables with the columns of the sources: what DuckDB makes of the setup tells them."""
    with duckdb.connect() as scratch, tempfile.TemporaryDirectory() as folder:
        for schema in ("ext", "raw", "seeds"):
            scratch.execute(f"CREATE SCHEMA {schema}")
        for change in case.setup:
            if change.what == "sql":
                scratch.execute(change.text)
            elif change.what == "file":
                path = Path(folder) / change.name
                path.parent.mkdir(parents=True, exist_ok=True)
                form = "parquet" if path.suffix == ".parquet" else "csv, header true"
                scratch.execute(f"COPY ({change.text}) TO '{path}' (FORMAT {form})")
        for name, relation in case.inputs.items():
            scratch.execute(f"CREATE TABLE {name} AS SELECT * FROM {relation.replace('$root', folder)}")
        for schema, name in scratch.execute(
            "SELECT table_schema, table_name FROM information_schema.tables WHERE table_schema IN ('raw', 'seeds')"
        ).fetchall():
            found = scratch.sql(f"FROM {schema}.{name}")
            columns = ", ".join(
                f"{column} {_KINDS.get(str(kind), str(kind))}"
                for column, kind in zip(found.columns, found.types, strict=True)
            )
            connection.execute(f"CREATE TABLE {schema}.{name} ({columns})".encode())


_KINDS = {"DOUBLE": "DOUBLE PRECISION", "VARCHAR": "TEXT"}


def _fitted(connection: psycopg.Connection[tuple[object, ...]], model: Model) -> Model | None:
    if any(
        line.startswith(("mode: append", "mode: merge", "mode: incremental"))
        for line in (f"mode: {model.mode}", *model.header)
    ):
        return None  # tests/laws says what these hold
    try:
        text = translated(model.sql, "duckdb", "postgres")
        connection.execute(f"EXPLAIN {text}".encode())  # what cannot be planned, such as some FULL JOIN
        connection.execute(f"CREATE VIEW {model.name} AS {text}".encode())
    except (Untranslatable, psycopg.Error):
        return None
    return replace(model, mode="view", header=("mode: view",)) if model.mode == "inline" else model


def _happen(project: LawfulPostgres, models: dict[str, Model], changes: Sequence[Change]) -> None:
    statements = []
    for change in changes:
        match change.what:
            case "sql":
                statements.append(change.text)
            case "file":
                path = project.root / change.name
                path.parent.mkdir(parents=True, exist_ok=True)
                form = "parquet" if path.suffix == ".parquet" else "csv, header true"
                with duckdb.connect() as scratch:
                    scratch.execute(f"COPY ({change.text}) TO '{path}' (FORMAT {form})")
            case "remove":
                (project.root / change.name).unlink(missing_ok=True)
            case "forget":
                project.forget_state()
            case _:
                raise ValueError(change.what)
    try:
        project.sql(*statements)
    except (Untranslatable, psycopg.Error) as error:
        raise Invalid(str(error)) from None


def _compare(
    project: LawfulPostgres, models: dict[str, Model], number: int, tally: Tally, before: dict[str, object],
    only: set[str] | None,
) -> Failure | None:  # fmt: skip
    for model in models.values():
        if only is not None and model.name not in only:
            continue
        if model.mode == "view":
            continue
        stands: Rows = project.rows(f"SELECT * FROM {model.name}")
        wanted: Rows = project.rows(model.sql)
        with psycopg.connect(project.url) as connection:
            names = [
                c.name for c in connection.execute(f"SELECT * FROM {model.name} LIMIT 0".encode()).description or ()
            ]
        near = tuple(place for place, name in enumerate(names) if name in model.near)
        wrong = difference(wanted, stands, near)
        if wrong:
            return Failure("rows", number, model.name, wrong)
        made_of = sorted(map(repr, wanted))
        tally.refreshes += model.name in before and before[model.name] != made_of
        before[model.name] = made_of
    return None


def main() -> int:
    parser = argparse.ArgumentParser(prog="fuzz.on_postgres", description=__doc__)
    parser.add_argument("--seeds", default="0..19", help="FIRST..LAST, both included")
    asked = parser.parse_args()
    first, _, last = asked.seeds.partition("..")
    tally, failed, left_out = Tally(), 0, 0
    for seed in range(int(first), int(last or first) + 1):
        try:
            case = tell(seed, 8, 6)
            failure = run(case, tally)
        except Invalid:
            left_out += 1
            continue
        if failure is not None:
            failed += 1
            print(
                f"seed {seed}: {failure.kind} after step {failure.step} {failure.table}\n{failure.told[:3000]}",
                flush=True,
            )
            model = {m.name: m for m in case.models}.get(failure.table)
            print(model.text() if model is not None else "", flush=True)
    print(
        f"{tally.cases} cases, {tally.builds} builds, {tally.refreshes} tables that changed, {failed} failing, "
        f"{left_out} left out"
    )
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
