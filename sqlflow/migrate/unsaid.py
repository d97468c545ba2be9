"""Settings of a dbt model that are no part of its query: indexes become `@index`, and what has no word in SQLFlow is told."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from sqlflow.migrate.configs import as_list, as_mapping
from sqlflow.migrate.dbt import DbtProject, Left, Place
from sqlflow.migrate.models import Outcome, Remark
from sqlflow.migrate.naming import Named, quoted, written
from sqlflow.migrate.reading import line_of
from sqlflow.migrate.versions import versions_in


def unsaid(named: Named, dialect: str, engine: str) -> Iterator[Remark]:
    """What a model says that the new project does not. `dialect`: of the dbt project, `engine`: of the new one."""
    config, properties = named.config, named.node.properties
    place = properties.place if properties is not None else named.node.place
    said: Mapping[str, Any] = properties.said if properties is not None else {}
    yield from _grants(named, dialect, engine, place)
    if engine != "postgres" and any(
        isinstance(one, dict) and one.get("unique") for one in as_list(config.get("indexes"))
    ):
        reason = "a unique index becomes a plain one, as SQLFlow makes no others in DuckDB"
        yield Remark(Outcome.NOTED, reason, place, "add the check `unique`")
    if config.get("database"):
        reason = f"dbt writes it into the database `{config['database']}`; SQLFlow has all tables of a target in one"
        yield Remark(Outcome.NOTED, reason, place)
    if predicates := as_list(config.get("incremental_predicates") or config.get("predicates")):
        listed = ", ".join(f"`{one}`" for one in predicates)
        yield Remark(
            Outcome.NOTED,
            f"`incremental_predicates` are left out ({listed}): SQLFlow looks for a key in all rows of the table",
            place,
            "rows of a key that the predicates hid from dbt are replaced, too, and not doubled",
        )
    if any(as_mapping(config.get("persist_docs")).values()):
        reason = "`persist_docs` is left out: descriptions are in the header of the model, and not in the database"
        yield Remark(Outcome.EXACT, reason, place)
    if access := config.get("access") or said.get("access"):
        yield Remark(Outcome.EXACT, f"`access: {access}` is left out: every model may read every other", place)
    if group := config.get("group") or said.get("group"):
        hint = "say who answers for it with `@owner`"
        yield Remark(Outcome.EXACT, f"`group: {group}` is left out: there are no groups", place, hint)
    if date := said.get("deprecation_date"):
        yield Remark(Outcome.EXACT, f"`deprecation_date: {date}` is left out", place, "say it in the description")


def indexes(named: Named, engine: str) -> list[Any]:
    """`indexes` of a table as the value of `@index`. Only PostgreSQL has more than plain ones."""
    if named.materialized not in ("table", "incremental", "materialized_view"):
        return []
    found: list[Any] = []
    for one in as_list(named.config.get("indexes")):
        columns = [str(column) for column in as_list(as_mapping(one).get("columns"))]
        if not columns:
            continue
        unique = {"unique": True} if one.get("unique") is True else {}
        using = {"using": str(one["type"])} if one.get("type") not in (None, "btree") else {}
        more = {**unique, **using} if engine == "postgres" else {}
        found.append({"columns": columns, **more} if more else columns[0] if len(columns) == 1 else columns)
    return found


def _grants(named: Named, dialect: str, engine: str, place: Place) -> Iterator[Remark]:
    for privilege, roles in as_mapping(named.config.get("grants")).items():
        names: Sequence[str] = [str(role) for role in as_list(roles)]
        if not names:
            continue
        word = str(privilege).lstrip("+")
        to = ", ".join(quoted(name, dialect) for name in names)
        statement = f"GRANT {word} ON {written(named.table, dialect)} TO {to}"
        listed = ", ".join(f"`{name}`" for name in names)
        reason = f"the grant of `{word}` to {listed} is left out"
        if engine == "postgres":
            yield Remark(Outcome.NOTED, reason, place, f"write `{statement}` into `@after`")
        else:
            yield Remark(Outcome.EXACT, f"{reason}, since DuckDB has no users", place)


def of_nothing(project: DbtProject) -> Iterator[Left]:
    """Entries in YAML files of models, seeds and snapshots that are not there."""
    there = {(f"{node.resource}s", node.name) for node in project.nodes}
    for one in project.properties:
        if one.kind not in ("models", "seeds", "snapshots") or (one.kind, one.name) in there or versions_in(one.said):
            continue
        if one.place.path.parts[:1] != ("dbt_packages",):
            reason = "nothing in the project has this name, so what is said of it is left out"
            yield Left(f"{one.kind.removesuffix('s')} {one.name}", one.place, reason)


def line_in_settings(project: DbtProject, needle: str) -> Place:
    """Where dbt_project.yml says something."""
    name = next((one for one in ("dbt_project.yml", "dbt_project.yaml") if (project.root / one).is_file()), None)
    if name is None:
        return Place(PurePosixPath("dbt_project.yml"))
    return Place(PurePosixPath(name), line_of((project.root / name).read_text("utf-8-sig", "replace"), needle))
