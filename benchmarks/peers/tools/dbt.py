"""dbt-core with dbt-duckdb, and dbt 2 (the Rust engine): the same project, the same commands."""

from __future__ import annotations

import ctypes.util
import sysconfig
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from benchmarks.peers.project import FIRST_DAY, LATE_DAYS, LATEST, NEW_DAY, Model, Project
from benchmarks.peers.tool import Command, File, NextDay, Tool

_STATE = ("--select", "state:modified+", "--state", "state")
_DAY_AFTER = "2024-04-11"


def _files(project: Project) -> Iterator[File]:
    yield (
        "dbt_project.yml",
        (
            "name: bench\nversion: '1.0'\nprofile: bench\nmodel-paths: [models]\n"
            "flags: {send_anonymous_usage_stats: false}\nmodels: {bench: {+materialized: table}}\n"
        ),
    )
    yield (
        "profiles.yml",
        ("bench:\n  target: dev\n  outputs:\n    dev: {type: duckdb, path: bench.duckdb, schema: main, threads: 2}\n"),
    )
    lines = ["version: 2", "sources:", "  - name: raw", "    schema: raw", "    tables:"]
    for source in project.sources:
        lines.append(f"      - name: {source.name}")
        if source.name == "events":
            lines.append("        config: {event_time: event_ts}")
        lines.append("        columns:")
        lines += [f'          - {{name: {name}, data_type: "{kind}"}}' for name, kind in source.columns]
    yield "models/sources.yml", "\n".join(lines) + "\n"


def _model_file(_: Project, model: Model) -> File:
    text = model.text(lambda name: f"{{{{ ref('{name}') }}}}", lambda name: f"{{{{ source('raw', '{name}') }}}}")
    return f"models/{model.layer}/b{model.number // 100:03d}/{model.name}.sql", text + "\n"


def _dbt(*words: str, does: str = "") -> Command:
    return Command(" ".join(words), ("dbt", *words, "--profiles-dir", "."), does)


def _keep_manifest(root: Path) -> None:
    """What `state:modified` compares with: the manifest of the build before."""
    (root / "state").mkdir(exist_ok=True)
    (root / "state/manifest.json").write_bytes((root / "target/manifest.json").read_bytes())


def _model(config: str, where: str) -> Callable[[Project], Model]:
    def model(project: Project) -> Model:
        (only,) = project.models
        new = f"{{% if is_incremental() %}}where {where}{{% endif %}}\n" if where else ""
        return replace(
            only, query=f"{{{{ config(materialized='incremental', {config}) }}}}\n{only.query}\n{new}{LATEST}"
        )

    return model


_NEW_ROWS = "updated_at > (select max(updated_at) from {{ this }})"
_NEW_DAYS = f"event_ts >= (select max(event_date) - {LATE_DAYS - 1} from {{{{ this }}}})"
_FROM_START = ("--event-time-start", FIRST_DAY, "--event-time-end", NEW_DAY)
_FROM_LATE = ("--event-time-start", "2024-04-03", "--event-time-end", _DAY_AFTER)


def _next_day(label: str, config: str, where: str, first: tuple[str, ...] = (), then: tuple[str, ...] = ()) -> NextDay:
    return NextDay(label, _model(config, where), _dbt("run", *first), _dbt("run", *then), "main.fct_events")


_NEXT_DAY = (
    _next_day("delete+insert by key", "incremental_strategy='delete+insert', unique_key='id'", _NEW_ROWS),
    _next_day("merge", "incremental_strategy='merge', unique_key='id'", _NEW_ROWS),
    _next_day("delete+insert by day", "incremental_strategy='delete+insert', unique_key='event_date'", _NEW_DAYS),
    _next_day(
        "microbatch",
        "incremental_strategy='microbatch', event_time='event_ts', batch_size='day', "
        f"begin='{FIRST_DAY}', lookback={LATE_DAYS - 1}",
        "",
        _FROM_START,
        _FROM_LATE,
    ),
)

# dbt-core 1.12.6 wants a parser package whose newest source release fetches a binary while it is installed; the last
# one with a wheel does, and the default parser does not use it.
CORE = Tool(
    name="dbt-core",
    title="dbt-core + dbt-duckdb",
    installs=(
        ("dbt-core==1.12.0", "dbt-core-experimental-parser==2.0.0a4", "dbt-duckdb==1.11.*"),
        ("--no-deps", "dbt-core==1.12.6"),
    ),
    versions=("dbt-core", "dbt-duckdb", "duckdb"),
    floor="plain-2",
    files=_files,
    model_file=_model_file,
    table=lambda model: f"main.{model.name}",
    caches=("target", "logs", "state"),
    startup=(Command("--version", ("dbt", "--version")), Command("--help", ("dbt", "--help"))),
    compile=(
        _dbt("parse", does="renders the templates, makes the graph of `ref`s; the SQL is not looked at"),
        _dbt(
            "compile", does="the same, and the rendered SQL is written; the SQL is not looked at, the database is read"
        ),
    ),
    finds=(_dbt("compile"),),
    build=_dbt("run", does="parses as above, builds every model"),
    rebuild=(
        _dbt("run", does="everything again, it knows no change"),
        _dbt("run", *_STATE, does="what differs from the manifest kept of the build before, and all below it"),
    ),
    before_rebuild=_keep_manifest,
    next_day=_NEXT_DAY,
)


def _link_duckdb(environment: Path) -> None:
    """dbt 2 fetches its DuckDB driver from outside the package index, but looks first for lib/libduckdb.so. The
    module of the `duckdb` wheel has the same entry point; `_libpython` gives it the symbols of Python."""
    module = next((environment / "lib").glob("python*/site-packages/_duckdb*.so"))
    (environment / "lib/libduckdb.so").symlink_to(module.relative_to(environment / "lib"))


def _libpython() -> dict[str, str]:
    for variable in ("LDLIBRARY", "INSTSONAME"):
        path = Path(sysconfig.get_config_var("LIBDIR") or "") / (sysconfig.get_config_var(variable) or "none")
        if path.suffix != ".a" and path.exists():
            return {"LD_PRELOAD": str(path)}
    found = ctypes.util.find_library(f"python{sysconfig.get_python_version()}")
    return {"LD_PRELOAD": found} if found else {}


# The newest release with a wheel; later ones fetch their binary while they are installed.
V2 = replace(
    CORE,
    name="dbt-v2",
    title="dbt 2 (Rust)",
    installs=(("dbt==2.0.0rc196", "duckdb==1.5.6"),),
    versions=("dbt", "duckdb"),
    floor="plain-1",
    compile=(
        _dbt("parse", does="renders the templates, makes the graph of `ref`s; the SQL is not looked at"),
        _dbt(
            "compile",
            does="the same, and parses the SQL for the static analysis of the open build; see below what it finds",
        ),
    ),
    finds=(_dbt("compile"), _dbt("compile", "--static-analysis", "strict")),
    environment=_libpython,
    after_install=_link_duckdb,
)
