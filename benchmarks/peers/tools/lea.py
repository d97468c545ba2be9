"""lea. `lea run --dry-run` does make tables on DuckDB, so what stands for compiling is loading the project."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from dataclasses import replace

from benchmarks.peers.project import LATE_DAYS, LATEST, NEW_DAY, Model, Project
from benchmarks.peers.tool import Command, File, NextDay, Tool, in_layer

_LOAD = Command(
    "Conductor('scripts')",
    ("python", "-c", "import lea; lea.Conductor('scripts')"),
    "parses the SQL, makes the graph; columns and types are not looked at",
)
_RUN = ("lea", "run", "--scripts", "scripts", "--production")


def _files(project: Project) -> Iterator[File]:
    return iter(())


def _model_file(project: Project, model: Model) -> File:
    layers = project.layer_of
    text = model.text(lambda name: f"{layers[name]}.{name}", lambda name: f"raw.{name}")
    return f"scripts/{model.layer}/{model.name}.sql", text + "\n"


def _by_day(project: Project) -> Model:
    """The column is marked by a comment above it."""
    (only,) = project.models
    columns = (
        "select\n    id,\n    event_ts,\n    -- #INCREMENTAL\n    cast(event_ts as date) as event_date,\n    updated_at"
    )
    start = "select id, event_ts, cast(event_ts as date) as event_date, updated_at"
    return replace(only, query=f"{only.query.replace(start, columns)}\n{LATEST}")


def _days() -> tuple[str, ...]:
    """lea replaces the values that it is told."""
    last = datetime.date.fromisoformat(NEW_DAY)
    days = [str(last - datetime.timedelta(days=back)) for back in range(LATE_DAYS + 1)]
    return tuple(word for day in days for word in ("--incremental", "event_date", day))


TOOL = Tool(
    name="lea",
    title="lea",
    installs=(("lea-cli==0.19.*",),),
    versions=("lea-cli", "sqlglot", "duckdb"),
    floor="plain-1",
    files=_files,
    model_file=_model_file,
    table=in_layer,
    caches=("scripts/.lea_cache",),
    startup=(Command("--help", ("lea", "--help")),),
    compile=(_LOAD,),
    finds=(_LOAD,),
    build=Command("run", _RUN, "loads as above, builds every model into audit tables, then publishes them"),
    rebuild=(Command("run", _RUN, "everything again, it knows no change"),),
    next_day=(
        NextDay(
            "#INCREMENTAL",
            _by_day,
            Command("run", _RUN),
            Command("run --incremental", (*_RUN, *_days())),
            "marts.fct_events",
        ),
    ),
    environment=lambda: {"LEA_WAREHOUSE": "duckdb", "LEA_DUCKDB_PATH": "bench.duckdb", "LEA_USERNAME": "bench"},
)
