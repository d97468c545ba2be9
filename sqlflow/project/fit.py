"""What of a project does not go with its target, or with its sandbox."""

from __future__ import annotations

from pathlib import PurePath, PurePosixPath

from sqlflow.core.config import Config
from sqlflow.core.diagnostics import Diagnostic
from sqlflow.core.engine import Traits
from sqlflow.core.model import Project
from sqlflow.core.source import Span


def unfit(project: Project, config: Config, traits: Traits) -> tuple[Diagnostic, ...]:
    """What does not go with the target or with its sandbox."""
    return (
        *_like_the_database(project, config),
        *_sandbox_hooks(project, config),
        *_names_that_cannot_be(project, traits.longest_name),
    )


def _sandbox_hooks(project: Project, config: Config) -> list[Diagnostic]:
    """Hooks may write anywhere in the database and to files, which is what a sandbox is there to prevent."""
    if not config.sandbox:
        return []
    return [
        Diagnostic(
            "sandbox",
            f"`@{word}` cannot be used in a sandbox",
            model.header.spans.get(word),
            "leave the hook out, or set `sandbox: false` in sqlflow.yml",
        )
        for model in project.models
        for word, statements in (("before", model.header.before), ("after", model.header.after))
        if statements
    ]


def _names_that_cannot_be(project: Project, longest: int | None) -> list[Diagnostic]:
    """Names that the engine would cut, so that two tables could be one, and those that are SQLFlow's own."""
    named = [(model.name, model.place) for model in project.models]
    named += [(seed.name, seed.span or Span(PurePosixPath(seed.path), 1, 1)) for seed in project.seeds.values()]
    named += [(source.name, source.span) for source in project.sources.values()]
    problems: list[Diagnostic] = []
    for table, place in named:
        for part in (table.schema, table.name):
            size = len(part.encode())
            if longest is not None and size > longest:
                message = f"`{part}` has {size} bytes, and the database keeps only {longest} of a name"
                problems.append(Diagnostic("name-too-long", message, place, "give it a shorter name"))
        if table.name.lower().startswith("_sqlflow"):
            message = f"names that begin with `_sqlflow` belong to SQLFlow, and this is `{table}`"
            problems.append(Diagnostic("reserved-name", message, place, "use another name"))
    return problems


def _like_the_database(project: Project, config: Config) -> list[Diagnostic]:
    """DuckDB calls a database by the name of its file, and takes a schema of that name for it."""
    catalog = PurePath(str(config.target.options.get("path", ""))).stem.lower()
    for model in project.models:
        if model.name.schema.lower() == catalog:
            return [
                Diagnostic(
                    "reserved-name",
                    f"the schema `{model.name.schema}` has the name of the database file, and the engine cannot tell them apart",
                    model.query.span(0),
                    f"give the database of the target `{config.target.name}` another `path`, such as `{catalog}_db.duckdb`",
                )
            ]
    return []
