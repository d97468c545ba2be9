"""What `ref` and `source` mean in a project: every node and every source with its table."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from msgspec import Struct

from sqlflow.core.names import TableName
from sqlflow.migrate.configs import merged
from sqlflow.migrate.dbt import DbtModel, DbtProject, Left, Place, Properties
from sqlflow.migrate.jinja import NotRendered, Relation, Renderer
from sqlflow.migrate.naming import Named, relation_of, written
from sqlflow.migrate.versions import file_names, latest


class SourceTable(Struct, frozen=True):
    """A table of a dbt source, under the name that it gets."""

    source: str
    name: str
    table: TableName
    said: Mapping[str, Any]  # the table's entry
    above: Mapping[str, Any]  # the source's entry
    place: Place
    database: str = ""
    config: Mapping[str, Any] = {}

    @property
    def enabled(self) -> bool:
        return str(self.config.get("enabled", "true")).lower() != "false"


def by_name(nodes: Iterable[Named]) -> Mapping[str, Sequence[Named]]:
    """Nodes by their names, those of the project first."""
    found: dict[str, list[Named]] = {}
    for one in nodes:
        found.setdefault(one.node.name, []).append(one)
    return found


class Names(Struct, frozen=True):
    """All tables of a project by what templates call them."""

    project: DbtProject
    nodes: Mapping[tuple[str, str], Named]  # package and name
    sources: Mapping[tuple[str, str], SourceTable]
    dialect: str
    called: Mapping[str, Sequence[Named]] = {}  # the nodes by name alone

    def ref(self, package: str | None, name: str, version: object) -> Relation:
        return relation_of(self.node(package, name, version), self.dialect)

    def node(self, package: str | None, name: str, version: object = None) -> Named:
        for one in self._files(name, version):
            found = [named for named in self.called.get(one, ()) if package is None or named.node.package == package]
            enabled = [named for named in found if named.enabled]
            if enabled:
                return enabled[0]
            if found:
                raise NotRendered(f"`{name}` is read, which is disabled", "enable it, or disable this one as well")
        near = difflib.get_close_matches(name, self.called, n=1)
        hint = f"did you mean `{near[0]}`?" if near else "if it is of a package, run `dbt deps`, and migrate again"
        raise NotRendered(f"`ref('{name}')`: there is no such model, seed or snapshot", hint)

    def _files(self, name: str, version: object) -> Sequence[str]:
        """What the file may be called that `ref` means: of a model with versions that of the latest one comes first."""
        said = next((one.said for one in self.project.properties if one.kind == "models" and one.name == name), {})
        if version is None:
            newest = latest(said)
            return [name] if newest is None else [*file_names(name, said, newest), name]
        return file_names(name, said, version)

    def source(self, source: str, name: str) -> Relation:
        found = self.sources.get((source, name))
        if found is None:
            same = [table for of, table in self.sources if of == source]
            near = difflib.get_close_matches(name, same, n=1)
            hint = f"did you mean `{near[0]}`?" if near else "declare it in a YAML file"
            raise NotRendered(f"`source('{source}', '{name}')` is declared nowhere", hint)
        return Relation(written(found.table, self.dialect), found.database, found.table.schema, found.table.name)

    def this(self, node: DbtModel) -> Relation:
        named = self.nodes.get((node.package, node.name))
        if named is None:
            return Relation(node.name, "", self.project.output.schema, node.name)
        return relation_of(named, self.dialect)


def source_tables(
    properties: Iterable[Properties], project: DbtProject, renderer: Renderer, left: list[Left]
) -> Mapping[tuple[str, str], SourceTable]:
    """The tables of all sources, with schema and identifier evaluated."""
    found: dict[tuple[str, str], SourceTable] = {}
    for one in properties:
        if one.kind != "sources":
            continue
        tables = one.said.get("tables")
        for entry in tables if isinstance(tables, list) else []:
            if not isinstance(entry, dict) or entry.get("name") is None:
                continue
            name = str(entry["name"])
            schema = _evaluated(one.said.get("schema"), one, renderer, left) or one.name
            identifier = _evaluated(entry.get("identifier"), one, renderer, left) or name
            database = _evaluated(one.said.get("database"), one, renderer, left) or ""
            config = merged(
                _mapping(one.said.get("config")),
                {"meta": _mapping(one.said.get("meta"))},
                _mapping(entry.get("config")),
                {"meta": _mapping(entry.get("meta"))},
            )
            config = {
                **config,
                **{k: v for k, v in (("enabled", entry.get("enabled", one.said.get("enabled"))),) if v is not None},
            }
            found[one.name, name] = SourceTable(
                one.name, name, TableName(schema, identifier), entry, one.said, one.place, database, config
            )
    return _apart(found)


def columns_said(said: object) -> Sequence[tuple[str, str]]:
    """The columns of a table that a YAML file describes, with their types where it says them."""
    return [
        (str(one["name"]).strip('"`'), str(one.get("data_type") or ""))
        for one in (said if isinstance(said, list) else ())
        if isinstance(one, dict) and one.get("name") is not None
    ]


def _apart(found: dict[tuple[str, str], SourceTable]) -> Mapping[tuple[str, str], SourceTable]:
    """Tables of the same name in two databases under two names."""
    by_name: dict[TableName, set[str]] = {}
    for one in found.values():
        by_name.setdefault(one.table, set()).add(one.database.lower())
    return {
        key: one
        if len(by_name[one.table]) < 2 or not one.database
        else SourceTable(
            one.source, one.name, TableName(f"{one.database}_{one.table.schema}".lower(), one.table.name), one.said, one.above, one.place,
            one.database, one.config,
        )
        for key, one in found.items()
    }  # fmt: skip


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _evaluated(value: object, said: Properties, renderer: Renderer, left: list[Left]) -> str | None:
    if value is None:
        return None
    try:
        return str(renderer.value(str(value))).strip() or None
    except NotRendered as wrong:
        left.append(
            Left(f"source {said.name}", said.place, f"`{value}` could not be evaluated: {wrong.reason}", wrong.hint)
        )
        return None
