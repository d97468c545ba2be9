"""The floor: the same queries in order, by a script of 50 lines. With each of the DuckDBs that the tools use."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from benchmarks.peers.project import LATE_DAYS, LATEST, Model, Project
from benchmarks.peers.tool import Command, File, NextDay, Tool, in_layer

_SCRIPT = str(Path(__file__).resolve().parents[1] / "plain_script.py")


def _files(project: Project) -> Iterator[File]:
    tables = [(in_layer(model), _model_file(project, model)[0]) for model in project.models]
    sources = {f"raw.{source.name}": dict(source.columns) for source in project.sources}
    yield "plan.json", json.dumps({"sources": sources, "tables": tables})


def _model_file(project: Project, model: Model) -> File:
    layers = project.layer_of
    text = model.text(lambda name: f"{layers[name]}.{name}", lambda name: f"raw.{name}")
    return f"models/{model.layer}/{model.name}.sql", text + "\n"


def _next_day(label: str, new: str, gone: str) -> NextDay:
    def model(project: Project) -> Model:
        return replace(project.models[0], query=f"{project.models[0].query}\n{LATEST}")

    first = Command("first", ("python", _SCRIPT, "run"))
    return NextDay(label, model, first, Command("next", ("python", _SCRIPT, "replace", new, gone)), "marts.fct_events")


def _on(duckdb: str, name: str) -> Tool:
    return Tool(
        name=name,
        title=f"plain script, DuckDB {duckdb}",
        installs=((f"duckdb=={duckdb}",),),
        versions=("duckdb",),
        floor=name,
        files=_files,
        model_file=_model_file,
        table=in_layer,
        startup=(Command("import duckdb", ("python", "-c", "import duckdb")),),
        compile=(
            Command(
                "bind",
                ("python", _SCRIPT, "bind"),
                "DuckDB parses and binds each query against empty tables; the order is given, nothing else is done",
            ),
        ),
        finds=(Command("bind", ("python", _SCRIPT, "bind")),),
        build=Command("run", ("python", _SCRIPT, "run"), "CREATE OR REPLACE TABLE for each model, in a given order"),
        rebuild=(Command("run", ("python", _SCRIPT, "run"), "everything again, it knows no change"),),
        next_day=(
            _next_day("delete + insert by key", "updated_at > (select max(updated_at) from {table})", "id"),
            _next_day(
                "delete + insert by day",
                f"event_ts >= (select max(event_date) - {LATE_DAYS - 1} from {{table}})",
                "event_date",
            ),
        ),
    )


ON_DUCKDB_2 = _on("2.0.0", "plain-2")
ON_DUCKDB_1 = _on("1.5.6", "plain-1")
