"""Unit tests of dbt as those of SQLFlow."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

from sqlflow.migrate.configs import as_list, as_mapping
from sqlflow.migrate.dbt import DbtProject, Left, Properties
from sqlflow.migrate.headers import block
from sqlflow.migrate.jinja import NotRendered
from sqlflow.migrate.lookups import Names

_REF = re.compile(r"\s*(ref|source)\s*\(\s*([^)]*)\)\s*")
_WORD = re.compile(r"['\"]([^'\"]+)['\"]")


def unit_tests(project: DbtProject, names: Names, left: list[Left]) -> Mapping[PurePosixPath, str]:
    """A file in tests/ for each YAML file of dbt that has unit tests."""
    found: dict[PurePosixPath, list[str]] = {}
    for one in project.properties:
        if one.kind == "unit_tests" and one.place.path.is_relative_to(project.main.root):
            try:
                test = _one(one, names)
            except NotRendered as wrong:
                left.append(
                    Left(f"unit test {one.name}", one.place, f"it is not converted: {wrong.reason}", wrong.hint)
                )
                continue
            file = PurePosixPath("tests", "unit", one.place.path.with_suffix(".yml").name)
            found.setdefault(file, []).append("\n".join(block({one.name: test})))
    return {path: "\n\n".join(parts) + "\n" for path, parts in found.items()}


def _one(test: Properties, names: Names) -> Mapping[str, Any]:
    said = test.said
    overrides = as_mapping(said.get("overrides"))
    if overrides:
        raise NotRendered(
            "it overrides " + ", ".join(f"`{key}`" for key in overrides),
            "write it by hand, with `now`, `variables` or `steps`",
        )
    model = names.node(None, str(said.get("model")))
    given: dict[str, Any] = {}
    for one in as_list(said.get("given")):
        entry = as_mapping(one)
        given[_input(str(entry.get("input")), names)] = _rows(entry)
    result: dict[str, Any] = {"model": str(model.table)}
    if said.get("description"):
        result["description"] = str(said["description"])
    return {**result, "given": given, "expect": _rows(as_mapping(said.get("expect")))}


def _input(text: str, names: Names) -> str:
    match = _REF.fullmatch(text)
    words = _WORD.findall(match[2]) if match else []
    if match is None or not words:
        raise NotRendered(f"its input is `{text}`", "write it by hand, with `steps`")
    if match[1] == "source":
        relation = names.source(words[0], words[-1])
    else:
        relation = names.ref(words[0] if len(words) > 1 else None, words[-1], None)
    return f"{relation.schema}.{relation.identifier}"


def _rows(said: Mapping[str, Any]) -> object:
    kind = str(said.get("format") or "dict")
    rows = said.get("rows")
    if said.get("fixture"):
        raise NotRendered(f"its rows are in the fixture `{said['fixture']}`", "copy the file, and write `{file: PATH}`")
    if kind == "sql":
        return {"sql": str(rows)}
    if kind == "csv":
        return "\n".join(line.strip() for line in str(rows).strip().splitlines()) + "\n"
    return [dict(one) for one in as_list(rows) if isinstance(one, Mapping)]
