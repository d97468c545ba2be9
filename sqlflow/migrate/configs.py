"""dbt's configs: what folders in dbt_project.yml say, and how several places are put together.

The folders of dbt_project.yml are weakest, the nearest of them wins; a model's `config:` in YAML comes next, and `config()` in
its own file is strongest. Tags and hooks add up, `meta` is merged, everything else is replaced.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlflow.migrate.dbt import Package

_SECTIONS = {"model": "models", "seed": "seeds", "snapshot": "snapshots", "test": "data_tests", "analysis": "models"}
_MAPPINGS = frozenset(
    [
        "meta",
        "persist_docs",
        "labels",
        "grants",
        "column_types",
        "docs",
        "contract",
        "partition_by",
        "hadoop",
        "options",
        "file_format_options",
    ]
)
"""Configs whose value is a mapping, so that a key without a `+` is no folder."""
_ADDED = ("tags", "pre_hook", "post_hook")
_MERGED = ("meta", "docs")


def folder_config(fqn: tuple[str, ...], resource: str, package: Package, main: Package) -> Mapping[str, Any]:
    """What dbt_project.yml says for a node; the main project's file wins over the one of the node's package."""
    section = _SECTIONS.get(resource, resource)
    levels: list[Mapping[str, Any]] = []
    for one in dict.fromkeys((package.name, main.name)):
        settings = package.settings if one == package.name else main.settings
        found = settings.get(section)
        if section == "data_tests" and found is None:
            found = settings.get("tests")
        if isinstance(found, dict):
            levels += _levels(found, fqn)
    return merged(*levels)


def _levels(tree: Mapping[str, Any], fqn: tuple[str, ...]) -> list[Mapping[str, Any]]:
    """The configs of each folder on the way to a node, the farthest first."""
    levels: list[Mapping[str, Any]] = []
    for place, name in enumerate((*fqn, "")):
        below = tree.get(name) if name else None
        levels.append(
            {
                str(key).lstrip("+"): value
                for key, value in tree.items()
                if str(key).startswith("+")
                or not isinstance(value, dict)
                or (key in _MAPPINGS and key not in fqn[place:])
            }
        )
        if not isinstance(below, dict):
            break
        tree = below
    return levels


def merged(*levels: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """Configs put together, the last being the strongest."""
    whole: dict[str, Any] = {}
    for level in levels:
        for written, value in (level or {}).items():
            key = written.replace("-", "_")
            if key in _ADDED:
                whole[key] = [*whole.get(key, []), *as_list(value)]
            elif key in _MERGED and isinstance(value, dict) and isinstance(whole.get(key), dict):
                whole[key] = {**whole[key], **value}
            else:
                whole[key] = value
    return whole


def as_mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def as_list(value: object) -> list[Any]:
    """What dbt takes as one or several."""
    if value is None:
        return []
    return list(value) if isinstance(value, list | tuple) else [value]
