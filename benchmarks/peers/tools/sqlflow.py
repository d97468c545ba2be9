"""SQLFlow, from this repository: an edit of the code is measured without installing it again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from benchmarks.peers.project import LATEST, Model, Project
from benchmarks.peers.tool import Command, File, NextDay, Tool, in_layer

_ROOT = Path(__file__).resolve().parents[3]
_SOURCES_PER_FILE = 100


def _files(project: Project) -> Iterator[File]:
    yield (
        "sqlflow.yml",
        (
            f"name: {project.name}\ndialect: duckdb\ntargets:\n  dev: {{engine: duckdb, path: bench.duckdb}}\n"
            "default_target: dev\nallow_outside_paths: true\n"
        ),
    )
    for start in range(0, len(project.sources), _SOURCES_PER_FILE):
        lines = []
        for source in project.sources[start : start + _SOURCES_PER_FILE]:
            lines += [f"raw.{source.name}:", f"  path: {json.dumps(project.files[source.name])}", "  columns:"]
            lines += [f"    {name}: {kind}" for name, kind in source.columns]
        yield f"sources/raw_{start // _SOURCES_PER_FILE:03d}.yml", "\n".join(lines) + "\n"


def _model_file(project: Project, model: Model) -> File:
    layers = project.layer_of
    text = model.text(lambda name: f"{layers[name]}.{name}", lambda name: f"raw.{name}")
    return f"models/{model.layer}/b{model.number // 100:03d}/{model.name}.sql", text + "\n"


def _next_day(label: str, header: str, query: str) -> NextDay:
    def model(project: Project) -> Model:
        (only,) = project.models
        return replace(only, query=f"{header}{only.query}\n{query}".rstrip())

    build = Command("build", ("sqlflow", "build"))
    return NextDay(label, model, build, build, "marts.fct_events")


TOOL = Tool(
    name="sqlflow",
    title="SQLFlow",
    installs=(("--editable", str(_ROOT)),),
    versions=("sqlflow", "sqlglot", "duckdb"),
    floor="plain-2",
    files=_files,
    model_file=_model_file,
    table=in_layer,
    caches=(".sqlflow", "target"),
    reads_views=False,
    startup=(Command("--version", ("sqlflow", "--version")), Command("--help", ("sqlflow", "--help"))),
    compile=(
        Command(
            "compile --dry-run",
            ("sqlflow", "compile", "--dry-run"),
            "names, types by DuckDB's binder, column lineage, the warehouse read, the plan made and printed; "
            "`compile` has filled the cache before the second run",
            fill=("sqlflow", "compile"),
        ),
        Command(
            "compile",
            ("sqlflow", "compile"),
            "names, types by DuckDB's binder, column lineage; writes the SQL of each model and the manifest",
        ),
    ),
    finds=(Command("compile", ("sqlflow", "compile")),),
    build=Command("build", ("sqlflow", "build"), "compiles as above, plans, builds, records with the data"),
    rebuild=(
        Command("build", ("sqlflow", "build"), "the files of the sources are looked at; an edit is followed by column"),
    ),
    next_day=(
        _next_day("`mode: merge`", "-- @mode: merge\n-- @key: id\n-- @cursor: updated_at\n", ""),
        _next_day(
            "`mode: incremental`",
            "-- @mode: incremental\n-- @time: event_date\n",
            LATEST.replace("partition by id", "partition by id, event_date"),
        ),
        _next_day("`mode: auto`", "", LATEST),
    ),
    developed="sqlflow",
)
