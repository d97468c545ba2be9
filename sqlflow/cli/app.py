"""The commands. Each module of this package is one; they are imported when they are called."""

from __future__ import annotations

import errno
import gc
import os
import platform
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import copy
from functools import cache, partial
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from typer.main import get_command

from sqlflow import __version__
from sqlflow.cli.streams import lasting, open_all
from sqlflow.core.diagnostics import Diagnostic, ProjectError
from sqlflow.core.engine import EngineError, Interrupted

app = typer.Typer(
    name="sqlflow",
    help="Turn plain SQL models into tables, and keep them up to date.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
state_app = typer.Typer(help="Show or mend what SQLFlow remembers of its tables.", no_args_is_help=True)
app.add_typer(state_app, name="state")
migrate_app = typer.Typer(help="Take over a project of another tool.", no_args_is_help=True)
app.add_typer(migrate_app, name="migrate")

Project = Annotated[
    Path | None, typer.Option("--project", "-p", help="Folder of the project; default: the nearest with sqlflow.yml.")
]
Target = Annotated[str | None, typer.Option("--target", "-t", help="Target of sqlflow.yml; default: default_target.")]
Var = Annotated[list[str] | None, typer.Option("--var", help="Value of a variable of sqlflow.yml: name=value.")]
Json = Annotated[bool, typer.Option("--json", help="Machine-readable output on stdout.")]
Selection = Annotated[
    list[str] | None,
    typer.Argument(help="Names, globs, paths, +up, down+, @name, tag:x, owner:x, mode:x, source:x, state:x, git:ref."),
]
Exclude = Annotated[list[str] | None, typer.Option("--exclude", help="Leave these out; same forms as SELECTION.")]
Wait = Annotated[
    float, typer.Option("--wait", help="Seconds to wait while another process holds the database or the build lock.")
]


@app.callback(invoke_without_command=True)
def _top(
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.", is_eager=True)] = False,
) -> None:
    if version:
        print(f"sqlflow {__version__}")
        raise typer.Exit


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(help="Folder to create.")],
    empty: Annotated[
        bool, typer.Option("--empty", help="Only the folders and sqlflow.yml, without the example.")
    ] = False,
) -> None:
    """Make a new project: a working example on real flight data."""
    from sqlflow.cli.init import make_project

    make_project(folder, empty=empty)


@app.command()
def build(
    selection: Selection = None,
    exclude: Exclude = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the plan; write nothing.")] = False,
    sql: Annotated[bool, typer.Option("--sql", help="With --dry-run: print every statement.")] = False,
    full_refresh: Annotated[
        bool, typer.Option("--full-refresh", help="Rebuild the selected tables from scratch.")
    ] = False,
    discard_history: Annotated[
        bool, typer.Option("--discard-history", help="With --full-refresh: throw away what snapshots have kept, too.")
    ] = False,
    start: Annotated[
        str | None, typer.Option("--start", help="Compute intervals again from this date or time.")
    ] = None,
    end: Annotated[str | None, typer.Option("--end", help="Compute intervals again up to here, not included.")] = None,
    threads: Annotated[
        int | None, typer.Option("--threads", min=1, help="Models at a time; default: the cores.")
    ] = None,
    fail_fast: Annotated[bool, typer.Option("--fail-fast", help="Start nothing new after the first failure.")] = False,
    test: Annotated[
        bool, typer.Option("--test", help="First run the unit tests of what will be built; build nothing if one fails.")
    ] = False,
    project: Project = None,
    target: Target = None,
    var: Var = None,
    wait: Wait = 10.0,
    json: Json = False,
) -> None:
    """Bring tables up to date, and do only the work that is needed."""
    from sqlflow.cli import build as command

    if sql and not dry_run:
        raise typer.BadParameter("--sql goes with --dry-run")
    if test and dry_run:
        raise typer.BadParameter("--test runs before a build, and --dry-run builds nothing: use `sqlflow test`")
    if discard_history and not full_refresh:
        raise typer.BadParameter("--discard-history goes with --full-refresh")
    if full_refresh and (start is not None or end is not None):
        raise typer.BadParameter(
            "--full-refresh rebuilds whole tables, --start and --end only an interval: give one of them"
        )
    _exit(
        command.build(
            command.Options(
                selection=tuple(selection or ()),
                exclude=tuple(exclude or ()),
                dry_run=dry_run,
                sql=sql,
                full_refresh=full_refresh,
                discard_history=discard_history,
                start=start,
                end=end,
                threads=threads,
                fail_fast=fail_fast,
                test=test,
                project=project,
                target=target,
                variables=tuple(var or ()),
                wait=wait,
                json=json,
            )
        )
    )


@app.command("compile")
def compile_(
    selection: Selection = None,
    exclude: Exclude = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the plan; write nothing.")] = False,
    sql: Annotated[bool, typer.Option("--sql", help="With --dry-run: print every statement.")] = False,
    project: Project = None,
    target: Target = None,
    var: Var = None,
    wait: Annotated[
        float | None,
        typer.Option("--wait", help="With --dry-run: seconds to wait while another process holds the database."),
    ] = None,
    json: Json = False,
) -> None:
    """Check the project and write the SQL that would run to target/."""
    from sqlflow.cli import build as command
    from sqlflow.cli.compile import compile_project

    if dry_run:
        asked = command.Options(
            selection=tuple(selection or ()), exclude=tuple(exclude or ()), dry_run=True, sql=sql, project=project,
            target=target, variables=tuple(var or ()), wait=10.0 if wait is None else wait, json=json,
        )  # fmt: skip
        _exit(command.build(asked))
    if selection or exclude or sql or wait is not None:
        raise typer.BadParameter("SELECTION, --exclude, --sql and --wait go with --dry-run")
    _exit(compile_project(project, target, var or (), json=json))


@app.command()
def watch(
    selection: Selection = None,
    exclude: Exclude = None,
    build: Annotated[
        bool, typer.Option("--build", help="Build what is selected, or what you edit, into a scratch database.")
    ] = False,
    limit: Annotated[
        int | None, typer.Option("--limit", min=1, help="With --build: only the first rows of each input.")
    ] = None,
    start: Annotated[str | None, typer.Option("--start", help="With --build: only inputs from this time on.")] = None,
    end: Annotated[str | None, typer.Option("--end", help="With --build: only inputs before this time.")] = None,
    rows: Annotated[int, typer.Option("--rows", "-n", min=0, help="Rows of the edited model to show.")] = 10,
    threads: Annotated[
        int | None, typer.Option("--threads", min=1, help="With --build: models at a time; default: the cores.")
    ] = None,
    project: Project = None,
    target: Target = None,
    var: Var = None,
    json: Json = False,
) -> None:
    """Show on each save what is wrong and what a build would do. It also shows what the edit changes below, and the first rows."""
    from sqlflow.cli import watch as command

    if not build and (limit is not None or start is not None or end is not None or threads is not None):
        raise typer.BadParameter("--limit, --start, --end and --threads go with --build")
    asked = command.Options(
        selection=tuple(selection or ()), exclude=tuple(exclude or ()), build=build, limit=limit, start=start, end=end,
        rows=rows, threads=threads, project=project, target=target, variables=tuple(var or ()), json=json,
    )  # fmt: skip
    _exit(command.watch(asked, _bug_in_words))


@app.command("list")
def list_(
    selection: Selection = None,
    exclude: Exclude = None,
    project: Project = None,
    target: Target = None,
    var: Var = None,
    json: Json = False,
) -> None:
    """List models, seeds, sources and queries in tests/."""
    from sqlflow.cli.list import list_project

    _exit(list_project(selection or (), exclude or (), project, target, var or (), json=json))


@app.command()
def lint(project: Project = None, target: Target = None, var: Var = None, json: Json = False) -> None:
    """List what is allowed but worth a look. Such are undeclared sources, and queries that depend on the time or that SQLFlow cannot
    see through."""
    from sqlflow.cli.list import lint_project

    _exit(lint_project(project, target, var or (), json=json))


@app.command()
def show(
    model: Annotated[str, typer.Argument(help="A model, seed, source or query in tests/.")],
    limit: Annotated[int, typer.Option("--limit", "-n", min=0, help="Rows to show.")] = 20,
    profile: Annotated[
        bool,
        typer.Option("--profile", help="Instead of rows: nulls, distinct values, quantiles, histograms, top values."),
    ] = False,
    suggest: Annotated[
        bool, typer.Option("--suggest", help="With --profile: checks that hold today, as lines to paste.")
    ] = False,
    project: Project = None,
    target: Target = None,
    var: Var = None,
    wait: Wait = 10.0,
    json: Json = False,
) -> None:
    """Print rows of a table, or what its values are like."""
    if suggest and not profile:
        raise typer.BadParameter("--suggest goes with --profile")
    if profile:
        from sqlflow.cli.profile import show_profile

        _exit(show_profile(model, project, target, var or (), suggest=suggest, wait=wait, json=json))
    from sqlflow.cli.show import show_rows

    _exit(show_rows(model, limit, project, target, var or (), wait=wait, json=json))


@app.command()
def check(
    selection: Selection = None,
    exclude: Exclude = None,
    project: Project = None,
    target: Target = None,
    var: Var = None,
    failures: Annotated[
        bool, typer.Option("--failures", help="Show the rows that fail, and the SQL that finds all of them.")
    ] = False,
    tag: Annotated[
        list[str] | None, typer.Option("--tag", help="Run only checks with this tag, and queries in tests/ with it.")
    ] = None,
    report: Annotated[
        str | None, typer.Option("--report", help="Print a report with scores: text, json, junit or markdown.")
    ] = None,
    wait: Wait = 10.0,
    json: Json = False,
) -> None:
    """Run the checks on the tables as they stand. These are the checks of models, sources and seeds, and the queries in tests/."""
    from sqlflow.cli.check import run_checks

    if report is not None and report not in ("text", "json", "junit", "markdown"):
        raise typer.BadParameter(f"there is no report `{report}`: it is text, json, junit or markdown")
    if report is not None and (json or failures):
        raise typer.BadParameter("--report is a form of its own: leave out --json and --failures")
    _exit(
        run_checks(
            selection or (), exclude or (), project, target, var or (),
            tags=tag or (), failures=failures, form=report, wait=wait, json=json,
        )
    )  # fmt: skip


@app.command("test")
def unit_tests(
    selection: Annotated[
        list[str] | None,
        typer.Argument(help="Names of tests or their files, or models: names, globs, +up, down+, tag:x and so on."),
    ] = None,
    exclude: Exclude = None,
    threads: Annotated[
        int | None, typer.Option("--threads", min=1, help="Tests at a time; default: the cores.")
    ] = None,
    record: Annotated[
        str | None, typer.Option("--record", help="Write a test of this model from rows that are there; run none.")
    ] = None,
    rows: Annotated[int, typer.Option("--rows", min=1, help="With --record: rows of each input.")] = 5,
    wait: Wait = 10.0,
    project: Project = None,
    target: Target = None,
    var: Var = None,
    json: Json = False,
) -> None:
    """Run the unit tests of models, on the rows that they give. They stand in tests/*.yml. Exit code 1 when one fails."""
    if record is not None:
        from sqlflow.cli.record import record_test

        if selection or exclude or json:
            raise typer.BadParameter("--record writes a test of one model, without SELECTION, --exclude and --json")
        _exit(record_test(record, rows, project, target, var or (), wait=wait))
    from sqlflow.cli.test import run_tests

    _exit(run_tests(selection or (), exclude or (), project, target, var or (), threads=threads, json=json))


@app.command()
def verify(
    selection: Selection = None,
    exclude: Exclude = None,
    release: Annotated[
        bool,
        typer.Option("--release", help="Trust tables again that a self-check distrusts, when they are found equal."),
    ] = False,
    project: Project = None,
    target: Target = None,
    var: Var = None,
    wait: Wait = 10.0,
    json: Json = False,
) -> None:
    """Compare whole tables with what their queries give now. Exit code 1 when any differs."""
    from sqlflow.cli.verify import verify_tables

    _exit(
        verify_tables(
            selection or (), exclude or (), project, target, var or (), release=release, wait=wait, json=json
        )
    )  # fmt: skip


@app.command()
def diff(
    table: Annotated[
        str | None, typer.Argument(help="A table; with --with you may leave it out, for every table of the project.")
    ] = None,
    other: Annotated[
        str | None, typer.Argument(help="The table to compare it with; with --with the same by default.")
    ] = None,
    with_target: Annotated[str | None, typer.Option("--with", help="Compare with this target's database.")] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=0, help="Differing rows to show.")] = 10,
    project: Project = None,
    target: Target = None,
    var: Var = None,
    wait: Wait = 10.0,
    json: Json = False,
) -> None:
    """Compare two tables, or two targets, row for row. Exit code 1 when they differ."""
    from sqlflow.cli.diff import diff_tables

    if other is None and with_target is None:
        raise typer.BadParameter("give two tables, or a target with --with")
    _exit(diff_tables(table, other, with_target, limit, project, target, var or (), wait=wait, json=json))


@app.command()
def lineage(
    name: Annotated[str, typer.Argument(help="A model or one of its columns: marts.delays or marts.delays.avg_delay.")],
    mermaid: Annotated[bool, typer.Option("--mermaid", help="Print a Mermaid diagram.")] = False,
    downstream: Annotated[
        bool, typer.Option("--downstream", help="Show what is made from it, instead of what it is made of.")
    ] = False,
    project: Project = None,
    target: Target = None,
    var: Var = None,
    json: Json = False,
) -> None:
    """Show where a column comes from, through all models."""
    from sqlflow.cli.lineage import show_lineage

    if mermaid and json:
        raise typer.BadParameter("--mermaid and --json are two forms of one answer: give one of them")
    _exit(show_lineage(name, project, target, var or (), mermaid=mermaid, downstream=downstream, json=json))


@app.command()
def clean(
    drop: Annotated[bool, typer.Option("--drop", help="Drop them.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="With --drop: only say what would be dropped.")] = False,
    unclaimed: Annotated[
        bool,
        typer.Option("--unclaimed", help="Also list or drop tables that an older SQLFlow recorded without a project."),
    ] = False,
    discard_history: Annotated[
        bool, typer.Option("--discard-history", help="Also list or drop histories, which cannot be made again.")
    ] = False,
    project: Project = None,
    target: Target = None,
    var: Var = None,
    wait: Wait = 10.0,
    json: Json = False,
) -> None:
    """List tables that no model owns any more; --drop drops them. Only tables that SQLFlow made for this project are looked at."""
    from sqlflow.cli.clean import clean_tables

    _exit(
        clean_tables(
            project,
            target,
            var or (),
            drop=drop,
            dry_run=dry_run,
            also_unclaimed=unclaimed,
            discard_history=discard_history,
            wait=wait,
            json=json,
        )
    )


@app.command()
def runs(
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="How many.")] = 10,
    project: Project = None,
    target: Target = None,
    json: Json = False,
) -> None:
    """List the latest builds and what they did."""
    from sqlflow.cli.state import show_runs

    _exit(show_runs(limit, project, target, json=json))


@app.command()
def explain(code: Annotated[str, typer.Argument(help="The code in an error message, such as cycle.")]) -> None:
    """Explain a diagnostic code: what it means, why, and what to do."""
    from sqlflow.cli.explain import explain_code

    _exit(explain_code(code))


@state_app.command("show")
def state_show(
    model: Annotated[str | None, typer.Argument(help="One table, in full; default: all, a line each.")] = None,
    project: Project = None,
    target: Target = None,
    json: Json = False,
) -> None:
    """Show what is remembered: version, rows, watermark, intervals."""
    from sqlflow.cli.state import show_state

    _exit(show_state(model, project, target, json=json))


@state_app.command("schema")
def state_schema(
    model: Annotated[str, typer.Argument(help="A table.")],
    project: Project = None,
    target: Target = None,
    json: Json = False,
) -> None:
    """Show the columns that a table has had over time."""
    from sqlflow.cli.state import show_schemas

    _exit(show_schemas(model, project, target, json=json))


@state_app.command("rebuild")
def state_rebuild(project: Project = None, target: Target = None, wait: Wait = 10.0) -> None:
    """Make the run-state file anew from the warehouse."""
    from sqlflow.cli.state import rebuild_state

    _exit(rebuild_state(project, target, wait=wait))


@state_app.command("unlock")
def state_unlock(project: Project = None, target: Target = None) -> None:
    """Show who holds the build lock; remove it if its holder is gone."""
    from sqlflow.cli.state import unlock

    _exit(unlock(project, target))


@migrate_app.command("dbt")
def migrate_dbt(
    path: Annotated[Path, typer.Argument(help="Folder of the dbt project.")],
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder of the new project; default: beside it, NAME_sqlflow.")
    ] = None,
    engine: Annotated[
        str | None,
        typer.Option("--target", "-t", help="Engine of the new project: duckdb or postgres; default: as dbt's."),
    ] = None,
    profiles: Annotated[
        Path | None, typer.Option("--profiles", help="Folder of profiles.yml; default: where dbt looks.")
    ] = None,
    profile_target: Annotated[
        str | None, typer.Option("--dbt-target", help="Target of profiles.yml; default: the profile's.")
    ] = None,
    dialect: Annotated[
        str | None,
        typer.Option("--dialect", help="SQL of the dbt project, such as snowflake; default: the profile's type."),
    ] = None,
    variables: Annotated[str, typer.Option("--vars", help="Variables for dbt, as a mapping in YAML.")] = "",
    manifest: Annotated[
        Path | None, typer.Option("--manifest", help="target/manifest.json of dbt, for models that ask the database.")
    ] = None,
    check: Annotated[bool, typer.Option("--check", help="Write nothing; only report.")] = False,
    verify: Annotated[
        bool,
        typer.Option("--verify", help="Build the new project in a copy of dbt's database, and compare all tables."),
    ] = False,
    database: Annotated[
        str | None, typer.Option("--dbt-database", help="File or URL of dbt's database; default: the profile's.")
    ] = None,
    json: Json = False,
) -> None:
    """Make a SQLFlow project from a dbt project. A report says what became of each model."""
    from sqlflow.cli import migrate as command

    if engine not in (None, "duckdb", "postgres"):
        raise typer.BadParameter("--target is duckdb or postgres")
    if verify and check:
        raise typer.BadParameter("--verify builds the new project, and --check writes none")
    _exit(
        command.migrate_dbt(
            command.Options(
                path=path,
                out=out,
                engine=engine,
                profiles=profiles,
                profile_target=profile_target,
                dialect=dialect,
                variables=variables,
                manifest=manifest,
                check=check,
                json=json,
                verify=verify or database is not None,
                database=database,
            )
        )
    )


def _exit(code: int) -> NoReturn:
    raise typer.Exit(code)


def _lean(command: Any) -> Any:
    """The command, and those below it, without converting options that were not given: typer has pydantic do that, whose import
    takes a tenth of a second."""
    listed = command.get_params

    def parameters(ctx: object) -> list[Any]:
        found = list(listed(ctx))  # with --help
        for option in found:
            option.process_value = partial(_converted, option, type(option).process_value)
        return found

    command.get_params = parameters
    for below in getattr(command, "commands", {}).values():
        _lean(below)
    return command


def _converted(option: Any, convert: Callable[[Any, object, object], object], ctx: object, value: object) -> object:
    if option.required or (value is not None and value is not option.default):
        return convert(option, ctx, value)
    if value is None and (option.multiple or option.nargs == -1):
        value = ()
    return value if option.callback is None else option.callback(ctx, option, value)


def main() -> None:
    """The one place where errors end: exit codes are 0 done, 1 project wrong, 2 usage, 3 a bug, 130 interrupted."""
    # Compiling keeps many small objects alive; collecting cycles among them would take half of its time.
    gc.set_threshold(200_000, 50, 50)
    open_all()
    with lasting() as (out, _):
        try:
            signal.signal(signal.SIGTERM, _terminated)
            signal.signal(signal.SIGINT, signal.default_int_handler)
            code = _run()
        except KeyboardInterrupt:
            code = _interrupted()
        with _undisturbed():
            out.flush()
            if out.failed is not None:
                _tell_lost(out.failed)
                # What a build did is done; other commands are there for what they print.
                code = code if code or _made_something() else 1
    raise SystemExit(code)


@cache
def _command_line(first: str) -> Any:
    """The command that the first word names, alone, since making all of them takes longer than many a command; else all."""
    named = [
        info for info in app.registered_commands if info.callback and (info.name or info.callback.__name__) == first
    ]
    part = copy(app)
    if named:
        part.registered_commands, part.registered_groups = named, []
    return _lean(get_command(part))


def _run() -> int:
    try:
        code = _command_line("".join(sys.argv[1:2]))(standalone_mode=False, prog_name="sqlflow")
        return code if isinstance(code, int) else 0
    except (typer.Abort, KeyboardInterrupt):
        return _interrupted()
    except ProjectError as error:
        _show_problems(error)
        return 1
    except EngineError as error:
        if error.code == "statement-failed":  # of ours: what an author wrote is told where it runs
            return _report_bug(error)
        first, *rest = error.message.splitlines()
        return _show_problem(error.code, first, "\n".join(rest) or None)
    except MemoryError:
        return _out_of_memory()
    except OSError as error:
        place = error.filename2 or error.filename  # where it was copied to, where two are named
        named = f"`{place}`: " if place else ""
        said = (error.strerror or str(error)).lower()
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            return _show_problem("disk-full", f"{named}no space is left on the disk", "free some space, and try again")
        return _show_problem("file-error", f"{named}{said}", "check that path and its rights")
    except Exception as error:  # noqa: BLE001 - the top: a bug becomes a report, not a traceback
        show = getattr(error, "show", None)  # wrong usage; typer brings its own click, or uses the installed one
        if callable(show):
            show()
            return int(getattr(error, "exit_code", 2))
        if isinstance(error, Interrupted) or str(error) == "Query interrupted":  # as DuckDB's driver says Ctrl-C
            return _interrupted()
        if any(words in str(error) for words in _NO_MEMORY):
            return _out_of_memory()
        return _report_bug(error)


# How Python, the loader of libraries and DuckDB say it when it is no MemoryError.
_NO_MEMORY = (
    "can't start new thread",
    "failed to map segment",
    "Cannot allocate memory",
    "std::bad_alloc",
    "Out of Memory Error",
)


def _out_of_memory() -> int:
    return _show_problem(
        "out-of-memory",
        "there is not enough memory for SQLFlow itself",
        "build less at once, or give the process more memory",
    )


def _interrupted() -> int:
    with _undisturbed():
        print("interrupted", file=sys.stderr)
    return 130


@contextmanager
def _undisturbed() -> Iterator[None]:
    """The end of a command, which is no place to interrupt any more."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    yield


def _made_something() -> bool:
    return any(word in ("build", "watch", "clean", "init") for word in sys.argv[1:2])


def _tell_lost(error: OSError) -> None:
    why = (error.strerror or str(error)).lower()
    print(f"warning: what was to be printed could not be written: {why}", file=sys.stderr)


def _show_problem(code: str, message: str, hint: str | None) -> int:
    _show_problems(ProjectError([Diagnostic(code, message, None, hint)]))
    return 1


def _terminated(number: int, frame: object) -> None:
    raise KeyboardInterrupt


def _show_problems(error: ProjectError) -> None:
    from sqlflow.cli.render import diagnostics_json, render_diagnostics, to_json

    if "--json" in sys.argv:
        print(to_json({"problems": diagnostics_json(error.diagnostics)}))
    color = sys.stderr.isatty() and "NO_COLOR" not in os.environ
    print(render_diagnostics(error.diagnostics, color=color), file=sys.stderr)


def _report_bug(error: Exception) -> int:
    """Write what is needed to find a bug into a file, and say so."""
    print(_bug_in_words(error), file=sys.stderr)
    return 3


def _bug_in_words(error: Exception) -> str:
    """Write what is needed to find a bug into a file; what to say of it."""
    from sqlflow.cli.opening import command_line, new_run_id

    path = Path.cwd() / f"sqlflow-bug-{new_run_id()}.txt"
    text = (
        f"sqlflow {__version__}, Python {platform.python_version()}, {platform.platform()}\n"
        f"command: {command_line()}\n\n{''.join(traceback.format_exception(error))}"
    )
    where = f"a report is in `{path.name}`; please attach it to an issue"
    try:
        path.write_text(text, encoding="utf-8", errors="backslashreplace")
    except OSError:
        where = text
    return f"bug: SQLFlow failed in a way it should not: {type(error).__name__}: {error}\n{where}"
