"""SQLMesh with its DuckDB engine and its state in the same database, as a new project has it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from benchmarks.peers.project import FIRST_DAY, LATE_DAYS, LATEST, NEW_DAY, Model, Project
from benchmarks.peers.tool import Command, File, NextDay, Tool, in_layer

_CONFIG = (
    "gateways: {local: {connection: {type: duckdb, database: bench.duckdb}}}\ndefault_gateway: local\n"
    f"model_defaults: {{dialect: duckdb, start: {FIRST_DAY}}}\ndisable_anonymized_analytics: true\n"
)
_RULES = "linter: {enabled: true, rules: [ambiguousorinvalidcolumn, invalidselectstarexpansion]}\n"
_LAST_FIRST_DAY = "2024-04-09"


def _files(project: Project) -> Iterator[File]:
    yield "config.yaml", _CONFIG
    lines = []
    for source in project.sources:
        lines += [f"- name: raw.{source.name}", "  columns:", *(f"    {name}: {kind}" for name, kind in source.columns)]
    yield "external_models.yaml", "\n".join(lines) + "\n"


def _model_file(project: Project, model: Model) -> File:
    layers = project.layer_of
    text = model.text(lambda name: f"{layers[name]}.{name}", lambda name: f"raw.{name}")
    if not text.startswith("MODEL"):
        text = f"MODEL (name {in_layer(model)}, kind FULL);\n\n{text}"
    return f"models/{model.layer}/{model.name}.sql", text + "\n"


_PLAN = ("sqlmesh", "plan", "--auto-apply", "--no-prompts", "--no-diff")
_EXPLAIN = Command(
    "plan --explain",
    ("sqlmesh", "plan", "--explain", "--no-prompts", "--no-diff"),
    "the same, and fingerprints, the difference to the state in the database, what would be built",
)


def _next_day(label: str, kind: str, column: str) -> NextDay:
    def model(project: Project) -> Model:
        (only,) = project.models
        header = f"MODEL (name marts.fct_events, kind {kind}, start '{FIRST_DAY}', cron '@daily');\n\n"
        return replace(only, query=f"{header}{only.query}\nwhere {column} between @start_ts and @end_ts\n{LATEST}")

    plan = ("sqlmesh", "plan", "dev", "--auto-apply", "--no-prompts", "-s", FIRST_DAY, "-e", _LAST_FIRST_DAY)
    run = ("sqlmesh", "run", "dev", "-s", FIRST_DAY, "-e", NEW_DAY, "--skip-janitor", "--ignore-cron")
    first = Command("plan", (*plan, "--execution-time", f"{NEW_DAY} 00:00:00"))
    return NextDay(label, model, first, Command("run", run), "marts__dev.fct_events")


TOOL = Tool(
    name="sqlmesh",
    title="SQLMesh",
    installs=(("sqlmesh==0.236.*",),),
    versions=("sqlmesh", "sqlglot", "duckdb"),
    floor="plain-1",
    files=_files,
    model_file=_model_file,
    table=in_layer,
    caches=(".cache", "logs"),
    startup=(Command("--version", ("sqlmesh", "--version")), Command("--help", ("sqlmesh", "--help"))),
    compile=(
        Command(
            "info --skip-connection",
            ("sqlmesh", "info", "--skip-connection"),
            "loads the project: parses and renders the SQL, names and types by SQLGlot; no column lineage, no database",
        ),
        _EXPLAIN,
    ),
    finds=(_EXPLAIN, Command("lint, with rules", ("sqlmesh", "lint"), files=(("config.yaml", _CONFIG + _RULES),))),
    build=Command("plan", _PLAN, "loads as above, plans, builds every model, makes the environment's views"),
    rebuild=(
        Command(
            "plan", _PLAN, "compares fingerprints; rows of the sources are not looked at, an edit rebuilds all below it"
        ),
    ),
    next_day=(
        _next_day("INCREMENTAL_BY_UNIQUE_KEY", "INCREMENTAL_BY_UNIQUE_KEY (unique_key id)", "updated_at"),
        _next_day(
            "INCREMENTAL_BY_TIME_RANGE",
            f"INCREMENTAL_BY_TIME_RANGE (time_column event_date, lookback {LATE_DAYS})",
            "event_ts",
        ),
    ),
)
