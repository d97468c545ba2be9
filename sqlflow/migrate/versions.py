"""Versions of a model in dbt: each is a file of its own, with what the entry says of all and what it says of this one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from sqlflow.migrate.configs import as_list, as_mapping, merged
from sqlflow.migrate.dbt import Properties


def versions_in(said: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    return [one for one in as_list(said.get("versions")) if isinstance(one, dict) and one.get("v") is not None]


def file_names(name: str, said: Mapping[str, Any], version: object) -> Sequence[str]:
    """What the file of a version may be called, without its ending.

    >>> file_names("orders", {"versions": [{"v": 1, "defined_in": "old"}, {"v": 2}]}, 1)
    ['old', 'orders_v1', 'orders.v1']
    """
    defined = [
        str(one["defined_in"]) for one in versions_in(said) if _same(one["v"], version) and one.get("defined_in")
    ]
    return [*defined, f"{name}_v{version}", f"{name}.v{version}"]


def latest(said: Mapping[str, Any]) -> object:
    """The version that a `ref` without one means: None for a model without versions.

    >>> latest({"versions": [{"v": 9}, {"v": 10}]})
    10
    """
    known = [one["v"] for one in versions_in(said)]
    if not known:
        return None
    if said.get("latest_version") is not None:
        return said["latest_version"]
    try:
        return max(known, key=float)
    except (TypeError, ValueError):
        return max(known, key=str)


def each_version(properties: Iterable[Properties]) -> Iterator[Properties]:
    """The entries of all versions, under the names of their files."""
    for one in properties:
        for version in versions_in(one.said) if one.kind == "models" else ():
            number = version["v"]
            named = {"alias": f"{one.name}_v{number}"}
            own = {key: value for key, value in version.items() if key not in ("v", "defined_in", "columns", "config")}
            said = {
                **{key: value for key, value in one.said.items() if key not in ("versions", "latest_version")},
                **own,
                "config": merged(named, as_mapping(one.said.get("config")), as_mapping(version.get("config"))),
                "columns": list(_columns(as_list(one.said.get("columns")), version.get("columns"))),
            }
            for name in file_names(one.name, one.said, number):
                yield Properties(name, one.kind, said, one.place)


def _columns(general: Sequence[Any], own: object) -> Iterator[Any]:
    """The columns of all versions, less those that this one leaves out, and its own."""
    if own is None:
        yield from general
        return
    said = as_list(own)
    rules = [one for one in said if isinstance(one, dict) and "include" in one]
    mine = [one for one in said if not (isinstance(one, dict) and "include" in one)]
    names = {one.get("name") for one in mine if isinstance(one, dict)}
    for rule in rules or [{"include": "all"}]:
        wanted, without = rule.get("include"), as_list(rule.get("exclude"))
        for column in general:
            name = column.get("name") if isinstance(column, dict) else None
            if (wanted in ("all", "*") or name in as_list(wanted)) and name not in without and name not in names:
                yield column
    yield from mine


def _same(one: object, other: object) -> bool:
    return str(one) == str(other)
