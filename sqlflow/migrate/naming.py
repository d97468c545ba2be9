"""What dbt calls each table: schema and alias, by the project's own rules where it has some."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from sqlflow.core.names import TableName
from sqlflow.migrate.dbt import DbtModel, DbtProject, Left, Place
from sqlflow.migrate.jinja import NotRendered, Relation, Renderer

_PLAIN = re.compile(r"[^\W\d]\w*")
_RESERVED = frozenset(
    [
        "all",
        "analyse",
        "analyze",
        "and",
        "any",
        "array",
        "as",
        "asc",
        "both",
        "case",
        "cast",
        "check",
        "collate",
        "column",
        "constraint",
        "create",
        "default",
        "desc",
        "distinct",
        "do",
        "else",
        "end",
        "except",
        "false",
        "fetch",
        "for",
        "foreign",
        "from",
        "grant",
        "group",
        "having",
        "in",
        "initially",
        "intersect",
        "into",
        "join",
        "lateral",
        "leading",
        "left",
        "like",
        "limit",
        "natural",
        "not",
        "null",
        "offset",
        "on",
        "only",
        "or",
        "order",
        "outer",
        "pivot",
        "placing",
        "primary",
        "qualify",
        "references",
        "returning",
        "right",
        "select",
        "show",
        "some",
        "summarize",
        "symmetric",
        "table",
        "then",
        "to",
        "trailing",
        "true",
        "union",
        "unique",
        "unpivot",
        "user",
        "using",
        "values",
        "when",
        "where",
        "window",
        "with",
    ]
)


class Named(Struct, frozen=True):
    """A node with its table. `config`: all that is known of its configuration."""

    node: DbtModel
    table: TableName
    config: Mapping[str, Any]
    database: str = ""

    @property
    def enabled(self) -> bool:
        return self.config.get("enabled") is not False and str(self.config.get("enabled", "true")).lower() != "false"

    @property
    def materialized(self) -> str:
        if self.node.resource in ("seed", "snapshot"):
            return self.node.resource
        return str(self.config.get("materialized") or "view")


def name_node(
    node: DbtModel, config: Mapping[str, Any], project: DbtProject, renderer: Renderer, left: list[Left]
) -> Named:
    """The table of a node, as `generate_schema_name` and `generate_alias_name` say."""
    custom = (
        config.get("target_schema")
        if node.resource == "snapshot" and config.get("target_schema")
        else config.get("schema")
    )
    custom = _text(custom, renderer, node, left)
    plain = project.output.schema if custom is None else f"{project.output.schema}_{custom.strip()}"
    schema = plain
    if node.resource == "snapshot" and config.get("target_schema"):
        schema = str(custom)
    elif renderer.macro("generate_schema_name") is not None:
        schema = _asked(renderer, "generate_schema_name", node, plain, left, custom)
    alias = _text(config.get("alias"), renderer, node, left)
    name = _version_name(node) if alias is None else alias.strip()
    if renderer.macro("generate_alias_name") is not None:
        name = _asked(renderer, "generate_alias_name", node, name, left, alias)
    database = _text(config.get("database") or config.get("target_database"), renderer, node, left)
    return Named(
        node, TableName(schema.strip() or project.output.schema, name.strip() or node.name), config, database or ""
    )


def _version_name(node: DbtModel) -> str:
    return node.name


def _text(value: object, renderer: Renderer, node: DbtModel, left: list[Left]) -> str | None:
    if value is None:
        return None
    try:
        return str(renderer.value(str(value), node))
    except NotRendered as wrong:
        reason = f"`{value}` could not be evaluated, and is left out: {wrong.reason}"
        left.append(Left("config", Place(node.file.path), reason, wrong.hint))
        return None


def _asked(renderer: Renderer, macro: str, node: DbtModel, otherwise: str, left: list[Left], given: str | None) -> str:
    try:
        found = str(renderer.call(macro, node, given, _node_of(node)) or "").strip()
    except Exception as error:  # noqa: BLE001 - a macro of the project may raise anything
        reason = getattr(error, "reason", None) or f"{type(error).__name__}: {error}"
        left.append(
            Left("macro", Place(node.file.path), f"`{macro}` could not be evaluated, `{otherwise}` is taken: {reason}")
        )
        return otherwise
    return found or otherwise


def _node_of(node: DbtModel) -> dict[str, Any]:
    """What such a macro gets to know of a node."""
    return {
        "name": node.name, "resource_type": node.resource, "package_name": node.package, "fqn": list(node.fqn),
        "path": str(node.file.path), "original_file_path": str(node.file.path), "config": _Gets(node.folder_config),
        "version": None, "unique_id": f"{node.resource}.{node.package}.{node.name}", "tags": [], "meta": {}, "alias": node.name,
    }  # fmt: skip


class _Gets(dict[str, Any]):
    def __getattr__(self, name: str) -> Any:
        return self.get(name)


def written(table: TableName, dialect: str) -> str:
    """The table's name in SQL, quoted where it must be."""
    return f"{quoted(table.schema, dialect)}.{quoted(table.name, dialect)}"


def quoted(name: str, dialect: str) -> str:
    if _PLAIN.fullmatch(name) and name.lower() not in _RESERVED:
        return name
    mark = "`" if dialect in ("bigquery", "spark", "databricks", "mysql") else '"'
    return f"{mark}{name.replace(mark, mark * 2)}{mark}"


def relation_of(named: Named, dialect: str) -> Relation:
    kind = "view" if named.materialized == "view" else "table"
    return Relation(written(named.table, dialect), named.database, named.table.schema, named.table.name, kind)
