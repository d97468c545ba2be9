"""The files of the new project."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from sqlflow.core.names import TableName
from sqlflow.migrate.dbt import DbtProject, Left, Place
from sqlflow.migrate.dialects import translated_type
from sqlflow.migrate.docs import Docs
from sqlflow.migrate.freshness import freshness_of
from sqlflow.migrate.headers import block, flow
from sqlflow.migrate.jinja import NotRendered, Renderer
from sqlflow.migrate.lookups import SourceTable
from sqlflow.migrate.models import Converted
from sqlflow.migrate.naming import Named
from sqlflow.migrate.seeds import types_of

_HOISTED = ("schema", "mode")


def model_paths(nodes: Iterable[Named], project: DbtProject) -> dict[TableName, PurePosixPath]:
    """Where each model goes: the folders of the dbt project, under models/."""
    found: dict[TableName, PurePosixPath] = {}
    taken: set[str] = set()
    for named in nodes:
        folders = named.node.fqn[1:-1]
        if named.node.resource == "snapshot":
            folders = ("snapshots", *folders[:-1])
        if named.node.package != project.name:
            folders = (named.node.package, *folders)
        path = PurePosixPath("models", *folders, f"{named.table.name}.sql")
        if str(path).lower() in taken:
            path = PurePosixPath("models", *folders, f"{named.table.schema}__{named.table.name}.sql")
        taken.add(str(path).lower())
        found[named.table] = path
    return found


def folder_defaults(
    models: Mapping[PurePosixPath, Mapping[str, Any]], root_values: Mapping[str, Any]
) -> tuple[Mapping[str, Mapping[str, Any]], Mapping[PurePosixPath, Mapping[str, Any]]]:
    """Directives that most models of a folder share, as defaults of the folder; and what each model still has to say.

    >>> folder_defaults({PurePosixPath("models/a/x.sql"): {"mode": "view"}}, {"mode": "auto"})
    ({'models': {'mode': 'view'}}, {PurePosixPath('models/a/x.sql'): {}})
    """
    defaults: dict[str, dict[str, Any]] = {}
    left = {path: dict(said) for path, said in models.items()}
    for name in _HOISTED:
        values = {path: said.get(name, root_values.get(name)) for path, said in models.items()}
        _hoist(PurePosixPath("models"), values, root_values.get(name), name, defaults, left)
    return defaults, left


def _hoist(
    folder: PurePosixPath, values: Mapping[PurePosixPath, Any], inherited: Any, name: str,
    defaults: dict[str, dict[str, Any]], left: dict[PurePosixPath, dict[str, Any]],
) -> None:  # fmt: skip
    below = {path: value for path, value in values.items() if folder in path.parents}
    if not below:
        return
    direct = [value for path, value in below.items() if path.parent == folder]
    value, count = Counter(direct or below.values()).most_common(1)[0]
    if value != inherited and count * 2 > len(direct or below):
        defaults.setdefault(str(folder), {})[name] = value
        inherited = value
    for path, own in below.items():
        if path.parent == folder:
            if own == inherited:
                left[path].pop(name, None)
            else:
                left[path][name] = own
    for inner in sorted(
        {path.parents[len(path.parents) - len(folder.parents) - 2] for path in below if path.parent != folder}
    ):
        _hoist(inner, below, inherited, name, defaults, left)


def project_file(
    project: DbtProject,
    dialect: str,
    engine: str,
    defaults: Mapping[str, Mapping[str, Any]],
    schemas: Iterable[str],
    variables: Mapping[str, Any],
    *,
    outside: bool = False,
) -> str:
    """sqlflow.yml. `outside`: whether sources lie outside of the project."""
    name = re.sub(r"\W", "_", project.name)
    stem = name if name.lower() not in {schema.lower() for schema in schemas} else f"{name}_db"
    target: Mapping[str, Any] = {"engine": "duckdb", "path": f"{stem}.duckdb"}
    if engine == "postgres":
        target = {"engine": "postgres", "url": "${DATABASE_URL}"}
    whole: dict[str, Any] = {"name": name}
    if dialect != "duckdb":
        whole["dialect"] = dialect
    if project.output.schema != "main":
        whole["default_schema"] = project.output.schema
    whole["targets"] = {"dev": target}
    if outside:
        whole["allow_outside_paths"] = True
    lines = block({key: value for key, value in whole.items() if key not in ("targets", "variables")})
    lines += ["targets:", f"  dev: {flow(target)}"]
    if variables:
        lines += ["variables:", *block(variables, 2)]
    if defaults:
        lines += ["defaults:", *(f"  {folder}: {flow(said)}" for folder, said in defaults.items())]
    return "\n".join(lines) + "\n"


def source_files(
    sources: Sequence[SourceTable],
    used: frozenset[TableName],
    docs: Docs,
    left: list[Left],
    renderer: Renderer,
    relocate: Callable[[str], str],
    is_whole: Callable[[TableName, frozenset[str]], bool],
) -> Mapping[PurePosixPath, str]:
    """sources/NAME.yml for each source of dbt."""
    by_source: dict[str, dict[str, Any]] = {}
    seen: set[TableName] = set()
    for one in sources:
        if not one.enabled or one.table in used or one.table in seen:
            continue
        seen.add(one.table)
        by_source.setdefault(one.source, {})[str(one.table)] = _source(one, docs, left, renderer, relocate, is_whole)
    return {
        PurePosixPath("sources", re.sub(r"[^\w.-]", "_", name) + ".yml"): _paragraphs(tables)
        for name, tables in by_source.items()
    }


def _paragraphs(entries: Mapping[str, Any]) -> str:
    """A mapping with an empty line between its entries."""
    return "\n".join("\n".join(block({name: said})) + "\n" for name, said in entries.items())


_READER = re.compile(r"\s*read_\w+\(\s*'([^']+)'\s*(,.*)?\)\s*", re.DOTALL)


def _path_of(location: str, one: SourceTable, renderer: Renderer, left: list[Left]) -> str | None:
    """The path of a source that dbt-duckdb reads from files; None when it is more than a path."""
    try:
        text = str(renderer.value(location))
    except NotRendered as wrong:
        left.append(
            Left(
                f"source {one.source}.{one.name}",
                one.place,
                f"its location could not be evaluated: {wrong.reason}",
                wrong.hint,
            )
        )
        return None
    for name, value in (("name", one.name), ("identifier", one.table.name), ("schema", one.table.schema)):
        text = text.replace("{" + name + "}", value)
    call = _READER.fullmatch(text)
    if call is not None and call[2]:
        left.append(
            Left(
                f"source {one.source}.{one.name}",
                one.place,
                f"options of its location are left out: `{text}`",
                "say them in sources/, as `delimiter`, `nulls` and the like",
            )
        )
    if call is None and "(" in text:
        left.append(
            Left(
                f"source {one.source}.{one.name}",
                one.place,
                f"its location is no path: `{text}`",
                "write a model that reads it",
            )
        )
        return None
    return call[1] if call is not None else text.strip().strip("'")


def _source(
    one: SourceTable,
    docs: Docs,
    left: list[Left],
    renderer: Renderer,
    relocate: Callable[[str], str],
    is_whole: Callable[[TableName, frozenset[str]], bool],
) -> Mapping[str, Any]:
    """A source. Its columns are written down when they are all: `is_whole` says whether models read no others."""
    said: dict[str, Any] = {}
    if text := docs.text(one.said.get("description")):
        said["description"] = text
    meta = one.config.get("meta") if isinstance(one.config.get("meta"), dict) else {}
    location = one.config.get("external_location") or (meta or {}).get("external_location")
    path = _path_of(str(location), one, renderer, left) if location else None
    if path is not None:
        said["path"] = path if "://" in path else relocate(path)
    else:
        said["table"] = str(one.table)
    said |= freshness_of(one, left)
    columns: dict[str, Any] = {}
    for column in one.said.get("columns") or [] if isinstance(one.said.get("columns"), list) else []:
        if isinstance(column, dict) and column.get("name") is not None and column.get("data_type"):
            text = docs.text(column.get("description"))
            kind = translated_type(str(column["data_type"]), renderer.adapter_type)
            if kind is None:
                return said
            columns[str(column["name"])] = {"type": kind, "description": text} if text else kind
    if columns and is_whole(one.table, frozenset(name.lower() for name in columns)):
        said["columns"] = columns
    return said


def seed_settings(
    seeds: Mapping[TableName, Named], docs: Docs, project: DbtProject, renderer: Renderer, left: list[Left]
) -> str:
    """seeds/seeds.yml: what is said of seeds."""
    whole: dict[str, Any] = {}
    for table, named in seeds.items():
        said: dict[str, Any] = {}
        properties = named.node.properties
        if properties is not None and (text := docs.text(properties.said.get("description"))):
            said["description"] = text
        delimiter = named.config.get("delimiter")
        if delimiter not in (None, ","):
            said["delimiter"] = delimiter
        types = named.config.get("column_types")
        given = _given_types(types, named, renderer, left) if isinstance(types, dict) else {}
        found = types_of(project.root / named.node.file.path, str(delimiter or ","))
        columns = {name: given.get(name.lower(), kind) for name, kind in (found or {}).items()}
        if columns:
            said["columns"] = columns
        if said:
            whole[str(table)] = said
    return _paragraphs(whole)


def _given_types(
    said: Mapping[object, object], named: Named, renderer: Renderer, left: list[Left]
) -> Mapping[str, str]:
    """`column_types` of a seed in the words of the new project."""
    found: dict[str, str] = {}
    for column, written in said.items():
        try:
            value = str(renderer.value(str(written), named.node)).strip()
            kind = translated_type(value, renderer.adapter_type) if value else None
            reason = "" if kind else f"`{value}` is no type"
        except NotRendered as wrong:
            kind, reason = None, wrong.reason
        if kind:
            found[str(column).lower()] = kind
        else:
            hint = "its type is found out from the file; write another one into seeds/seeds.yml"
            left.append(Left(f"type of {named.node.name}.{column}", named.node.place, reason, hint))
    return found


def singular_test(converted: Converted) -> str:
    return converted.sql or ""


__all__ = [
    "Left",
    "Place",
    "folder_defaults",
    "model_paths",
    "project_file",
    "seed_settings",
    "singular_test",
    "source_files",
]
