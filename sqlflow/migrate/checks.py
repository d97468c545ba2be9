"""dbt's tests as checks of SQLFlow, and as queries in tests/ where there is no such check."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from msgspec import Struct, structs

from sqlflow.core.names import TableName
from sqlflow.migrate.configs import as_list, as_mapping
from sqlflow.migrate.dbt import Left, Place, Properties
from sqlflow.migrate.dialects import sqlglot_name, translate_expression, written_in
from sqlflow.migrate.jinja import Failed, NotRendered, Renderer
from sqlflow.migrate.lookups import Names
from sqlflow.migrate.models import Outcome, Remark
from sqlflow.migrate.naming import Named, written
from sqlflow.quality.dbt_tests import Equivalent, equivalent
from sqlflow.quality.forms import Form
from sqlflow.quality.kinds import CHECKS

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


class TestQuery(Struct, frozen=True):
    """A test that is no check: a query for tests/, in the SQL of the dbt project."""

    name: str
    sql: str
    warns: bool
    place: Place


class Checked(Struct, frozen=True):
    """The checks of a model, and what became of tests that are none."""

    checks: tuple[Mapping[str, Any], ...]
    remarks: tuple[Remark, ...]
    queries: tuple[TestQuery, ...] = ()


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
    yield from _constraints(said, "", properties.place)
    columns = said.get("columns")
    for column in columns if isinstance(columns, list) else []:
        if isinstance(column, dict) and column.get("name") is not None:
            yield from _tests_in(column, str(column["name"]), properties.place)
            yield from _constraints(column, str(column["name"]), properties.place)


def _constraints(said: Mapping[str, Any], column: str, place: Place) -> Iterator[DbtTest]:
    """Constraints of a contract as the tests that ask for the same."""
    found = said.get("constraints")
    for one in found if isinstance(found, list) else []:
        if not isinstance(one, dict):
            continue
        columns = [column] if column else [str(name) for name in as_list(one.get("columns"))]
        kind = str(one.get("type"))
        if kind in ("not_null", "primary_key"):
            yield from (DbtTest("not_null", name, {}, {}, place) for name in columns)
        if kind in ("unique", "primary_key") and len(columns) == 1:
            yield DbtTest("unique", columns[0], {}, {}, place)
        elif kind in ("unique", "primary_key"):
            yield DbtTest("dbt_utils.unique_combination_of_columns", "", {"combination_of_columns": columns}, {}, place)
        elif kind == "check" and one.get("expression"):
            yield DbtTest("dbt_utils.expression_is_true", "", {"expression": str(one["expression"])}, {}, place)
        elif kind != "not_null":
            yield DbtTest(f"constraint {kind}", column, {}, {}, place)


def contract_of(named: Named) -> Mapping[str, Any] | None:
    """The check that stands for an enforced contract: names and types of all columns."""
    if not as_mapping(named.config.get("contract")).get("enforced") or named.node.properties is None:
        return None
    columns = named.node.properties.said.get("columns")
    types = {
        str(one["name"]): str(one["data_type"])
        for one in as_list(columns)
        if isinstance(one, dict) and one.get("name") and one.get("data_type")
    }
    return {"schema": {"columns": types, "only": True}} if types else None


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
    config = {
        **{k: v for place in (inner, arguments) for k, v in place.items() if k in _CONFIG},
        **as_mapping(inner.get("config")),
    }
    arguments = {k: v for k, v in arguments.items() if k not in _CONFIG}
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


def checks_of(
    tests: Sequence[DbtTest],
    named: Named,
    names: Names,
    renderer: Renderer,
    columns: Sequence[str] | None,
    can_wait_for: Callable[[TableName, TableName], bool],
) -> Checked:
    """Tests of a table as checks. `columns`: its own, None when nobody knows them. `can_wait_for`: whether a table can wait until another is built."""
    there = None if columns is None else {name.lower() for name in columns}
    checks: list[Mapping[str, Any]] = []
    remarks: list[Remark] = []
    queries: list[TestQuery] = []
    for test in tests:
        if str(test.config.get("enabled", "true")).lower() == "false":
            continue
        if there is not None and re.fullmatch(r"\w+", test.column) and test.column.lower() not in there:
            reason = f"the test `{test.kind}` is of `{test.column}`, which is no column of the result"
            remarks.append(Remark(Outcome.NOTED, reason, test.place, "mend the name, or delete the test"))
            continue
        on = f"the test `{test.kind}`{f' of `{test.column}`' if test.column else ''}"
        try:
            test = _with_own_where(test, named, renderer)
            arguments = _resolved(test, names, renderer)
            own = renderer.macro(f"test_{test.kind}")
            found = f"{on} is the project's own" if own is not None else equivalent(test.kind, arguments)
            if isinstance(found, Equivalent):
                about = CHECKS[found.kind].about
                said = found.arguments.get(about.name) if about is not None else None
                if (about is not None and about.required and not said) or "None" in str(found.arguments.get("to", "")):
                    raise NotRendered("it does not say of which column")
            if isinstance(found, Equivalent) and found.kind == "references":
                other = TableName.parse(str(found.arguments.get("to", "")).rpartition(".")[0], named.table.schema)
                if not can_wait_for(named.table, other):
                    queries.append(_orphans(test, named, found, names))
                    continue
            if isinstance(found, Equivalent):
                if isinstance(found.arguments.get("values"), list | tuple) and not any(
                    one is not None
                    for one in found.arguments["values"]  # type: ignore[attr-defined]
                ):
                    raise NotRendered("it names no value but NULL, so every row passes it")
                found = _in_duckdb(found, names.dialect, on, test, remarks)
                checks.append({found.kind: _short(found)})
                remarks += [Remark(Outcome.NOTED, f"{on}: {note}", test.place) for note in found.notes]
                continue
            query = _rendered_test(test, named, names, renderer)
        except NotRendered as wrong:
            remarks.append(Remark(Outcome.NOTED, f"{on} is left out: {wrong.reason}", test.place, wrong.hint))
            continue
        if query is None:
            remarks.append(Remark(Outcome.NOTED, f"{on} is left out: {found}", test.place))
        else:
            queries.append(query)
    contract = contract_of(named)
    if contract is not None:
        checks.append(contract)
    return Checked(tuple(_together(checks)), tuple(remarks), tuple(queries))


def _with_own_where(test: DbtTest, named: Named, renderer: Renderer) -> DbtTest:
    """A test whose `where` is what the project's own `get_where_subquery` makes of it."""
    if not test.config.get("where") or renderer.macro("get_where_subquery") is None:
        return test
    relation = renderer.this(named.node)
    rendered = renderer.render(
        named.node, "{{ get_where_subquery(sqlflow_relation) }}", config={"where": test.config["where"]}, also={"sqlflow_relation": relation}
    )  # fmt: skip
    if isinstance(rendered, Failed):
        raise NotRendered(rendered.reason, rendered.hint)
    fixed = next((note for note in rendered.notes if note.by_hand), None)
    if fixed is not None:
        raise NotRendered(
            f"its `where` is `{test.config['where']}`, of which `get_where_subquery` makes another one in each run",
            fixed.hint,
        )
    inside = re.fullmatch(
        r"\s*\(\s*select \* from .*? where\s(.*)\)\s*\w*\s*", rendered.text, re.DOTALL | re.IGNORECASE
    )
    if inside is None:
        raise NotRendered("its `where` is made by `get_where_subquery`, and is not understood")
    return structs.replace(test, config={**test.config, "where": " ".join(inside[1].split())})


_OF_SQL = (Form.SQL, Form.AGGREGATE, Form.OTHER_AGGREGATE)


def _in_duckdb(found: Equivalent, adapter: str, on: str, test: DbtTest, remarks: list[Remark]) -> Equivalent:
    """A check whose conditions are in the SQL of the new project."""
    if written_in(adapter) == sqlglot_name(adapter) or not sqlglot_name(adapter):
        return found
    made = dict(found.arguments)
    forms = {one.name: one.form for one in CHECKS[found.kind].arguments}
    for name, value in found.arguments.items():
        if not isinstance(value, str) or (name != "where" and forms.get(name) not in _OF_SQL):
            continue
        translated = translate_expression(value, adapter)
        if isinstance(translated, str):
            reason = f"`{name}` of {on} could not be translated: {translated}"
            remarks.append(Remark(Outcome.BY_HAND, reason, test.place, f"write `{value}` in DuckDB's SQL"))
            continue
        made[name] = translated.sql
        lost = [*translated.lost, *(f"`{one}` is no function of DuckDB" for one in translated.unknown)]
        remarks += [Remark(Outcome.BY_HAND, f"`{name}` of {on}: {one}", test.place) for one in lost]
    return structs.replace(found, arguments=made)


def _resolved(test: DbtTest, names: Names, renderer: Renderer) -> dict[str, Any]:
    """A test's arguments and configuration, without Jinja, and with tables by their names."""
    given: dict[str, Any] = {**test.arguments, **test.config}
    for key, value in given.items():
        if (
            key in ("to", "compare_model", "to_model", "other_table_name")
            and isinstance(value, str)
            and _REF.fullmatch(value)
        ):
            given[key] = _table(value, names)
        elif isinstance(value, str):
            given[key] = renderer.value(value)
            if key in ("values", "value_set", "combination_of_columns"):
                given[key] = _listed(str(given[key]))
        elif isinstance(value, list):
            given[key] = [renderer.value(one) if isinstance(one, str) else one for one in value]
    if test.column:
        given.setdefault("column_name", test.column.strip('"`'))
    for key in ("column_name", "field"):
        if isinstance(given.get(key), str):
            given[key] = given[key].strip('"`')
    if isinstance(given.get("field"), str) and "." in given["field"] and isinstance(given.get("to"), str):
        table, _, field = given["field"].rpartition(".")
        if table.strip('"`') != given["to"].rpartition(".")[2].strip('"`'):
            raise NotRendered(f"`field: {given['field']}` is no column")
        given["field"] = field.strip('"`')
    if test.kind.endswith("relationships") and isinstance(given.get("to"), str) and "." not in given["to"]:
        raise NotRendered(f"`to: {given['to']}` is no `ref` or `source`")
    return given


def _listed(text: str) -> object:
    """A list that Jinja wrote."""
    try:
        found = ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        raise NotRendered(f"`{text[:80]}` is no list") from None
    if not isinstance(found, list | tuple):
        raise NotRendered(f"`{text[:80]}` is no list")
    return list(found)


def _short(found: Equivalent) -> object:
    """The arguments of a check, in the short form where there is one."""
    kind = CHECKS[found.kind]
    said = {name: list(one) if isinstance(one, tuple) else one for name, one in found.arguments.items()}
    if isinstance(values := said.get("values"), list):
        said["values"] = [one for one in values if one is not None]  # NULL passes anyway
    about = kind.about
    if about is not None and about.form is Form.COLUMNS and isinstance(said.get(about.name), str):
        said[about.name] = [said[about.name]]
    if kind.short and set(said) == {kind.short}:
        return said[kind.short]
    return said


def queries_of(
    tests: Sequence[DbtTest], table: TableName, label: str, names: Names, renderer: Renderer
) -> tuple[list[TestQuery], list[Left]]:
    """Tests of a source or a seed, which have no checks of their own, as queries for tests/."""
    queries: list[TestQuery] = []
    left: list[Left] = []
    for test in tests:
        what = f"test {test.kind} of {label}{f'.{test.column}' if test.column else ''}"
        try:
            sql = _plain_query(test, written(table, names.dialect), _resolved(test, names, renderer))
        except NotRendered as wrong:
            left.append(Left(what, test.place, wrong.reason, wrong.hint))
            continue
        if sql is None:
            left.append(
                Left(
                    what, test.place, "checks of sources and seeds have no like of it", "write it as a query in tests/"
                )
            )
            continue
        name = re.sub(r"\W+", "_", test.name or f"{test.kind}_{label}{f'_{test.column}' if test.column else ''}")[
            :63
        ].strip("_")
        queries.append(TestQuery(name, sql, str(test.config.get("severity")).lower() == "warn", test.place))
    return queries, left


def _plain_query(test: DbtTest, table: str, given: Mapping[str, Any]) -> str | None:
    """The rows that a test of dbt's own or of dbt_utils finds wrong."""
    column = given.get("column_name")
    where = f" and ({given['where']})" if given.get("where") else ""
    match test.kind.removeprefix("dbt_utils.").removeprefix("dbt."):
        case "not_null" if column:
            return f"select *\nfrom {table}\nwhere {column} is null{where}"
        case "unique" if column:
            return f"select {column}, count(*) as n\nfrom {table}\nwhere {column} is not null{where}\ngroup by {column}\nhaving count(*) > 1"
        case "unique_combination_of_columns" if isinstance(given.get("combination_of_columns"), list):
            columns = ", ".join(map(str, given["combination_of_columns"]))
            return f"select {columns}, count(*) as n\nfrom {table}\nwhere true{where}\ngroup by {columns}\nhaving count(*) > 1"
        case "accepted_values" if column and isinstance(given.get("values"), list):
            values = ", ".join(
                "'" + str(one).replace("'", "''") + "'" if given.get("quote") is not False else str(one)
                for one in given["values"]
            )
            return f"select *\nfrom {table}\nwhere {column} not in ({values}){where}"
        case "relationships" if column and given.get("field"):
            field = given["field"]
            return (
                f"select *\nfrom {table}\nwhere {column} is not null{where}\n"
                f"  and {column} not in (select {field} from {given['to']} where {field} is not null)"
            )
        case "expression_is_true" if given.get("expression"):
            return f"select *\nfrom {table}\nwhere not ({column or ''} {given['expression']}){where}"
        case _:
            return None


def _orphans(test: DbtTest, named: Named, found: Equivalent, names: Names) -> TestQuery:
    """A `references` that would be a circle, as a query: values without a row in the other table."""
    table, _, field = str(found.arguments["to"]).rpartition(".")
    column = str(found.arguments["column"])
    where = f" and ({found.arguments['where']})" if found.arguments.get("where") else ""
    sql = (
        f"select {column}\nfrom {written(named.table, names.dialect)}\nwhere {column} is not null{where}\n"
        f"  and {column} not in (select {field} from {table} where {field} is not null)"
    )
    return TestQuery(_query_name(test, named), sql, found.arguments.get("severity") == "warn", test.place)


def _query_name(test: DbtTest, named: Named) -> str:
    return re.sub(r"\W+", "_", test.name or f"{test.kind}_{named.node.name}{f'_{test.column}' if test.column else ''}")[
        :63
    ].strip("_")


def _rendered_test(test: DbtTest, named: Named, names: Names, renderer: Renderer) -> TestQuery | None:
    """A generic test of the project or of a package, as the query that it is."""
    package, _, bare = test.kind.rpartition(".")
    if renderer.macro(f"test_{bare}", package or None) is None:
        return None
    model = str(renderer.this(named.node))
    if test.config.get("where"):
        model = f"(select * from {model} where {renderer.value(str(test.config['where']))}) dbt_subquery"
    node = named.node
    if package:
        node = structs.replace(node, package=package)
    arguments = {"model": model, **({"column_name": test.column} if test.column else {}), **test.arguments}
    for key, value in arguments.items():
        if isinstance(value, str) and _REF.fullmatch(value):
            arguments[key] = _table(value, names)
        elif isinstance(value, str) and key != "model":
            arguments[key] = renderer.value(value)
    rendered = renderer.render(node, "{{ sqlflow_test(**sqlflow_arguments) }}", config={}, also={
        "sqlflow_test": renderer.macro(f"test_{bare}", package or None), "sqlflow_arguments": arguments,
    })  # fmt: skip
    if isinstance(rendered, Failed):
        raise NotRendered(rendered.reason, rendered.hint)
    return TestQuery(
        _query_name(test, named), rendered.text.strip(), str(test.config.get("severity")).lower() == "warn", test.place
    )


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
