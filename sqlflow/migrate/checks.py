"""dbt's tests as checks of SQLFlow, and as queries in tests/ where there is no such check."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from msgspec import Struct

from sqlflow.migrate.configs import as_mapping
from sqlflow.migrate.dbt import Place, Properties
from sqlflow.migrate.jinja import NotRendered, Renderer
from sqlflow.migrate.lookups import Names
from sqlflow.migrate.models import Outcome, Remark

_REF = re.compile(r"\s*(?:\{\{)?\s*(ref|source)\s*\(\s*([^)]*)\)\s*(?:\}\})?\s*")
_WORD = re.compile(r"['\"]([^'\"]+)['\"]")


class DbtTest(Struct, frozen=True):
    """A generic test as it is written: its name, arguments, and configuration. `column` is empty for one of the whole table."""

    kind: str
    column: str
    arguments: Mapping[str, Any]
    config: Mapping[str, Any]
    place: Place
    name: str = ""


class Checked(Struct, frozen=True):
    """The checks of a model, and what became of tests that are none."""

    checks: tuple[Mapping[str, Any], ...]
    remarks: tuple[Remark, ...]
    unique: tuple[tuple[str, ...], ...]


_CONFIG = (
    "severity",
    "where",
    "error_if",
    "warn_if",
    "limit",
    "fail_calc",
    "store_failures",
    "store_failures_as",
    "enabled",
    "tags",
    "meta",
)


def tests_of(properties: Properties | None) -> Iterator[DbtTest]:
    """The tests that a YAML entry has for a table and its columns."""
    if properties is None:
        return
    said = properties.said
    yield from _tests_in(said, "", properties.place)
    columns = said.get("columns")
    for column in columns if isinstance(columns, list) else []:
        if isinstance(column, dict) and column.get("name") is not None:
            yield from _tests_in(column, str(column["name"]), properties.place)


def _tests_in(said: Mapping[str, Any], column: str, place: Place) -> Iterator[DbtTest]:
    for key in ("data_tests", "tests"):
        found = said.get(key)
        for one in found if isinstance(found, list) else []:
            if isinstance(one, str):
                yield DbtTest(one, column, {}, {}, place)
            elif isinstance(one, dict):
                yield from _one_test(one, column, place)


def _one_test(said: Mapping[str, Any], column: str, place: Place) -> Iterator[DbtTest]:
    if "test_name" in said:
        kind, inner = str(said["test_name"]), {k: v for k, v in said.items() if k != "test_name"}
    else:
        named = [key for key in said if key not in ("name", "config", "description", *_CONFIG)]
        if not named:
            return
        kind = str(named[0])
        inner = said[named[0]] if isinstance(said[named[0]], dict) else {}
        inner = {**{k: v for k, v in said.items() if k != named[0]}, **inner}
    arguments = as_mapping(inner.get("arguments"))
    config = {**{k: v for k, v in inner.items() if k in _CONFIG}, **as_mapping(inner.get("config"))}
    rest = {k: v for k, v in inner.items() if k not in (*_CONFIG, "config", "arguments", "name", "description")}
    yield DbtTest(kind, column, {**rest, **arguments}, config, place, str(inner.get("name") or ""))


def unique_columns(tests: Sequence[DbtTest]) -> tuple[tuple[str, ...], ...]:
    """Columns that tests hold to be unique."""
    found: list[tuple[str, ...]] = []
    for test in tests:
        if test.kind == "unique" and test.column:
            found.append((test.column,))
        columns = test.arguments.get("combination_of_columns")
        if test.kind.endswith("unique_combination_of_columns") and isinstance(columns, list):
            found.append(tuple(map(str, columns)))
    return tuple(found)


def checks_of(tests: Sequence[DbtTest], names: Names, renderer: Renderer, columns: Sequence[str] | None) -> Checked:
    """Tests as checks. `columns`: those of the table, None when nobody knows them."""
    there = None if columns is None else {name.lower() for name in columns}
    checks: list[Mapping[str, Any]] = []
    remarks: list[Remark] = []
    for test in tests:
        if str(test.config.get("enabled", "true")).lower() == "false":
            continue
        if there is not None and re.fullmatch(r"\w+", test.column) and test.column.lower() not in there:
            remarks.append(
                Remark(
                    Outcome.NOTED,
                    f"the test `{test.kind}` is of `{test.column}`, which is no column of the result",
                    test.place,
                    "mend the name, or delete the test",
                )
            )
            continue
        try:
            found = _check(test, names, renderer)
        except NotRendered as wrong:
            remarks.append(
                Remark(
                    Outcome.NOTED,
                    f"the test `{test.kind}` of `{test.column or 'the table'}` is left out: {wrong.reason}",
                    test.place,
                    wrong.hint,
                )
            )
            continue
        if found is None:
            on = f" of `{test.column}`" if test.column else ""
            remarks.append(
                Remark(
                    Outcome.NOTED,
                    f"the test `{test.kind}`{on} has no counterpart yet, and is left out",
                    test.place,
                    "write it as an `expression`, or as a query in tests/",
                )
            )
            continue
        for key in ("error_if", "warn_if", "fail_calc", "limit", "store_failures"):
            if test.config.get(key) is not None and key in ("error_if", "warn_if", "fail_calc"):
                remarks.append(
                    Remark(
                        Outcome.NOTED,
                        f"`{key}` of the test `{test.kind}` is left out: each failing row counts",
                        test.place,
                    )
                )
        checks.append(found)
    return Checked(tuple(_together(checks)), tuple(remarks), unique_columns(tests))


def _check(test: DbtTest, names: Names, renderer: Renderer) -> Mapping[str, Any] | None:
    more: dict[str, Any] = {}
    if test.config.get("where"):
        more["where"] = str(renderer.value(str(test.config["where"])))
    if str(test.config.get("severity", "error")).lower() == "warn":
        more["severity"] = "warn"
    kind = test.kind.removeprefix("dbt_utils.").removeprefix("dbt.")
    column = str(test.arguments.get("column_name") or test.column).strip('"`')
    if kind == "not_null" and column:
        return {"not_null": {"columns": [column], **more} if more else [column]}
    if kind == "unique" and re.fullmatch(r"\w+", column):
        return {"unique": {"columns": [column], **more} if more else [column]}
    if kind == "accepted_values" and column and isinstance(test.arguments.get("values"), list):
        return {"in": {"column": column, "values": test.arguments["values"], **more}}
    if kind == "relationships" and column and test.arguments.get("field") is not None:
        to = _table(str(test.arguments.get("to") or ""), names)
        field = str(test.arguments["field"]).strip('"`')
        return {"references": {"column": column, "to": f"{to}.{field}", **more}}
    if kind == "unique_combination_of_columns" and isinstance(test.arguments.get("combination_of_columns"), list):
        columns = [str(one).strip('"`') for one in test.arguments["combination_of_columns"]]
        if all(re.fullmatch(r"\w+", one) for one in columns):
            return {"unique": {"columns": columns, **more} if more else columns}
    if kind == "expression_is_true" and test.arguments.get("expression") is not None:
        text = str(renderer.value(str(test.arguments["expression"])))
        return {"expression": {"sql": f"{column} {text}".strip(), **more} if more else f"{column} {text}".strip()}
    return None


def _table(text: str, names: Names) -> str:
    match = _REF.fullmatch(text)
    words = _WORD.findall(match[2]) if match else []
    if match is None or not words:
        raise NotRendered(f"`to: {text}` is no `ref` or `source`")
    if match[1] == "source":
        return str(names.source(words[0], words[1] if len(words) > 1 else ""))
    return str(names.ref(words[0] if len(words) > 1 else None, words[-1], None))


def _together(checks: Sequence[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """Checks for several columns in one where that can be said, each once."""
    together: list[str] = []
    others: list[Mapping[str, Any]] = []
    for check in checks:
        said = check.get("not_null")
        if isinstance(said, list):
            together += [one for one in said if one not in together]
        elif check not in others:
            others.append(check)
    if together:
        yield {"not_null": together}
    yield from others
