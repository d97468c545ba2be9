"""Unit tests of dbt as those of SQLFlow."""

from __future__ import annotations

import re
from collections.abc import Container, Mapping
from datetime import datetime
from pathlib import PurePosixPath
from typing import Any

from sqlflow.core.names import TableName
from sqlflow.migrate.configs import as_list, as_mapping
from sqlflow.migrate.dbt import DbtProject, Left, Properties
from sqlflow.migrate.headers import block
from sqlflow.migrate.jinja import Failed, NotRendered, Renderer
from sqlflow.migrate.lookups import Names
from sqlflow.migrate.naming import Named

_REF = re.compile(r"\s*(ref|source)\s*\(\s*([^)]*)\)\s*")
_WORD = re.compile(r"['\"]([^'\"]+)['\"]")


def unit_tests(
    project: DbtProject,
    names: Names,
    renderer: Renderer,
    left: list[Left],
    variables: Mapping[TableName, Container[str]],
) -> tuple[Mapping[PurePosixPath, str], Mapping[PurePosixPath, PurePosixPath]]:
    """A file in tests/ for each YAML file of dbt that has unit tests, and the files with rows: new file -> file of dbt.

    `variables`: those that models still have.
    """
    found: dict[PurePosixPath, dict[str, Any]] = {}
    fixtures: dict[PurePosixPath, PurePosixPath] = {}
    taken: dict[str, str] = {}
    for one in project.properties:
        if one.kind != "unit_tests" or not one.place.path.is_relative_to(project.main.root):
            continue
        try:
            test = _one(one, project, names, renderer, fixtures, variables)
        except NotRendered as wrong:
            left.append(Left(f"unit test {one.name}", one.place, f"it is not converted: {wrong.reason}", wrong.hint))
            continue
        # dbt tells apart the tests of two models that have one name; here they are in one list.
        name = one.name if one.name.lower() not in taken else f"{one.name} of {one.said.get('model')}"
        taken[name.lower()] = name
        file = PurePosixPath("tests", "unit", *one.place.path.with_suffix(".yml").parts[1:])
        found.setdefault(file, {})[name] = test
    texts = {
        path: "\n\n".join("\n".join(block({k: v})) for k, v in said.items()) + "\n" for path, said in found.items()
    }
    return texts, fixtures


def _one(
    test: Properties,
    project: DbtProject,
    names: Names,
    renderer: Renderer,
    fixtures: dict[PurePosixPath, PurePosixPath],
    variables: Mapping[TableName, Container[str]],
) -> Mapping[str, Any]:
    said, config = test.said, as_mapping(test.said.get("config"))
    if str(config.get("enabled", said.get("enabled", "true"))).lower() == "false":
        raise NotRendered("it is disabled", "enable it, and migrate again")
    if said.get("versions"):
        raise NotRendered("it tests some versions of a model", "write it by hand, with the version's model")
    model = names.node(None, str(said.get("model")))
    given: dict[str, Any] = {}
    for one in as_list(said.get("given")):
        entry = as_mapping(one)
        given[_input(str(entry.get("input")), names)] = _rows(entry, project, fixtures)
    result: dict[str, Any] = {"model": str(model.table)}
    if said.get("description"):
        result["description"] = str(said["description"])
    if tags := [str(tag) for tag in as_list(config.get("tags"))]:
        result["tags"] = tags
    now, given_values = _overrides(as_mapping(said.get("overrides")), model, renderer, variables.get(model.table, ()))
    if now is not None:
        result["now"] = now
    if given_values:
        result["variables"] = given_values
    return {**result, "given": given, "expect": _rows(as_mapping(said.get("expect")), project, fixtures)}


def _overrides(
    said: Mapping[str, Any], model: Named, renderer: Renderer, variables: Container[str]
) -> tuple[object, Mapping[str, Any]]:
    """What time it is in a test, if it says so, and the values of variables. Raises NotRendered for what only dbt can put in the place of something."""
    now: object = None
    values: dict[str, Any] = {}
    for name, value in as_mapping(said.get("macros")).items():
        bare = str(name).rpartition(".")[2]
        if bare == "is_incremental" and str(value).lower() == "false":
            continue  # without steps, the query of a first build is asked
        if bare in _CLOCKS and (moment := _moment(str(value))) is not None:
            now = moment
            continue
        hint = "write it with `steps`" if bare == "is_incremental" else "write it by hand"
        raise NotRendered(f"it overrides the macro `{name}`", hint)
    for name, value in as_mapping(said.get("vars")).items():
        if str(name) in variables:
            values[str(name)] = value
        elif _rendered(model, renderer) != _rendered(model, renderer, {str(name): value}):
            raise NotRendered(
                f"it overrides the variable `{name}`, whose value is written into the query",
                f"write `${name}` in the query, declare it in sqlflow.yml, and say `variables:` in the test",
            )
    if variables := as_mapping(said.get("env_vars")):
        raise NotRendered(
            "it overrides " + ", ".join(f"the variable `{name}`" for name in variables), "write it by hand"
        )
    return now, values


_CLOCKS = ("current_timestamp", "now", "today", "current_timestamp_backcompat", "current_timestamp_in_utc")
_MOMENT = re.compile(r"\D*(\d{4}-\d\d-\d\d(?:[ T]\d\d:\d\d(?::\d\d)?)?)\D*")


def _moment(text: str) -> datetime | None:
    """The date and time in an expression such as `'2024-01-01'::timestamp`.

    >>> _moment("cast('2024-01-01 10:00' as timestamp)")
    datetime.datetime(2024, 1, 1, 10, 0)
    """
    match = _MOMENT.fullmatch(text)
    return None if match is None else datetime.fromisoformat(match[1])


def _rendered(model: Named, renderer: Renderer, variables: Mapping[str, object] | None = None) -> str | None:
    """The query of a model, with other values for some variables."""
    var = _Variables(renderer, variables or {})
    made = renderer.render(model.node, model.node.file.text, config=model.config, also={"var": var})
    return None if isinstance(made, Failed) else made.text


class _Variables:
    """`var` of a template."""

    def __init__(self, renderer: Renderer, given: Mapping[str, object]) -> None:
        self._renderer, self._given = renderer, given

    def __call__(self, name: str, default: object = None) -> object:
        if name in self._given:
            return self._given[name]
        known, value = self._renderer.variable(name)
        return value if known else default

    def has_var(self, name: str) -> bool:
        return name in self._given or self._renderer.variable(name)[0]


def _input(text: str, names: Names) -> str:
    match = _REF.fullmatch(text)
    words = _WORD.findall(match[2]) if match else []
    if match is None or not words:
        raise NotRendered(f"its input is `{text}`", "write it by hand, with `steps`")
    if match[1] == "source":
        relation = names.source(words[0], words[-1])
    else:
        version = re.search(r"\b(?:v|version)\s*=\s*['\"]?([\w.]+)", match[2])
        words = [word for word in words if version is None or word != version[1]]
        package = words[0] if len(words) > 1 else None
        relation = names.ref(package, words[-1], version[1] if version is not None else None)
    return f"{relation.schema}.{relation.identifier}"


def _rows(said: Mapping[str, Any], project: DbtProject, fixtures: dict[PurePosixPath, PurePosixPath]) -> object:
    kind = str(said.get("format") or "dict")
    rows = said.get("rows")
    if said.get("fixture"):
        return _fixture(str(said["fixture"]), kind, project, fixtures)
    if kind == "sql":
        return {"sql": str(rows)}
    if kind == "csv":
        lines = [line.strip() for line in str(rows or "").strip().splitlines()]
        return "\n".join(lines) + "\n" if lines else []
    found = [one for one in as_list(rows) if isinstance(one, Mapping)]
    if len(found) != len(as_list(rows)) or isinstance(rows, Mapping):
        raise NotRendered("its rows are no list of mappings")
    return [dict(one) for one in found]


def _fixture(name: str, kind: str, project: DbtProject, fixtures: dict[PurePosixPath, PurePosixPath]) -> object:
    tops = as_list(project.main.settings.get("test-paths")) or ["tests"]
    for top in tops:
        for ending in ("csv", "sql"):
            path = PurePosixPath(str(top), "fixtures", f"{name.removesuffix(f'.{ending}')}.{ending}")
            if not (project.root / path).is_file():
                continue
            if ending == "sql":
                return {"sql": (project.root / path).read_text(encoding="utf-8-sig", errors="replace").strip()}
            new = PurePosixPath("tests", "fixtures", path.name)
            fixtures[new] = path
            return {"file": str(new)}
    raise NotRendered(f"its rows are in the fixture `{name}`, which is not in {tops[0]}/fixtures")
