"""What tests of dbt, dbt_utils and dbt_expectations are called here.

`equivalent(test, arguments)` takes one use of a test as dbt's YAML has it, and gives an `Equivalent`: the kind of check and its
arguments, `where`, `severity` and the like among them, ready to be written as `- kind: {arguments}`; or a sentence that says
why there is none.

    equivalent("dbt_utils.accepted_range", {"column_name": "age", "min_value": 0, "inclusive": False})
    -> Equivalent("range", {"column": "age", "min": 0, "exclusive": True})

- `test`: the name with its package, as it is written. `arguments`: what stands below it, and the column as `column_name` where
  the test stands below a column. Newer files have them under `arguments`, and `where`, `severity` and so on under `config`: both
  are looked into.
- What is a relation in dbt (`to`, `compare_model`) must have been resolved: `schema.table`.
- `notes`: what is not quite the same, for the report.

`RULES` is the table; each row has an example, which the reference page and the tests use.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from msgspec import Struct, field
from msgspec.structs import replace

from sqlflow.quality.forms import Rows, Total
from sqlflow.quality.kinds import CHECKS

Given = Mapping[str, object]


class Equivalent(Struct, frozen=True):
    """A check of ours. `notes`: what it does otherwise than dbt's test."""

    kind: str
    arguments: dict[str, object] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


class Rule(Struct, frozen=True):
    """A test of dbt. `renamed`: its arguments -> ours; `fixed`: what ours has besides. `made`: where names are not enough, the
    check, or a sentence why there is none. `passed_over`: arguments that mean nothing here."""

    test: str
    kind: str
    example: Given
    renamed: Mapping[str, str] = field(default_factory=dict)
    fixed: Mapping[str, object] = field(default_factory=dict)
    made: Callable[[Given], Equivalent | str] | None = None
    passed_over: tuple[str, ...] = ()
    note: str = ""


def equivalent(test: str, arguments: Given) -> Equivalent | str:
    """The check that is the same as a test of dbt; or why there is none."""
    rule = _BY_NAME.get(_bare(test))
    if rule is None:
        return f"there is no check like `{test}`: write it as a query in tests/, or as a check in macros/checks/"
    given = _flat(arguments)
    found = _made(rule, given) if rule.made is None else rule.made({k: v for k, v in given.items() if k not in _CONFIG})
    if isinstance(found, str):
        return found
    found = replace(found, notes=(*filter(None, [rule.note]), *found.notes))
    return _configured(found, given)


# ---------------------------------------------------------------------- how a use is read


_CONFIG = frozenset(
    ["where", "severity", "warn_if", "error_if", "name", "tags", "description", "row_condition", "store_failures", "enabled",
     "meta", "limit", "fail_calc", "store_failures_as", "quote_columns", "sql_header", "database", "schema"]
)  # fmt: skip


def _bare(test: str) -> str:
    """A name as the table has it: the four of dbt itself without a package."""
    name = test.strip()
    for package in ("dbt.", "metaplane_"):
        name = name.removeprefix(package)
    return name


def _flat(arguments: Given) -> dict[str, object]:
    inside = arguments.get("arguments")
    config = arguments.get("config")
    flat = {k: v for k, v in arguments.items() if k not in ("arguments", "config")}
    flat |= inside if isinstance(inside, Mapping) else {}
    return flat | (dict(config) if isinstance(config, Mapping) else {})


def _made(rule: Rule, given: Given) -> Equivalent | str:
    """The check where only names differ."""
    made: dict[str, object] = {}
    notes: list[str] = []
    kind = CHECKS[rule.kind]
    if kind.about is not None and "column_name" in given:
        made[kind.about.name] = given["column_name"]
    for name, value in given.items():
        if name in rule.renamed:
            if value is not None:
                made[rule.renamed[name]] = value
        elif name == "strictly":
            made |= {"exclusive": True} if value is True else {}
        elif name in ("group_by", "compare_group_by", "group_by_columns"):
            return f"`{name}` looks at each group by itself: write it as a query in tests/"
        elif name not in (*rule.passed_over, *_CONFIG, "column_name"):
            notes.append(f"`{name}` is left out")
    return Equivalent(rule.kind, {**made, **rule.fixed}, tuple(notes))


_LIMIT = re.compile(r"\s*(>=?)\s*(\d+)\s*")


def _configured(found: Equivalent, given: Given) -> Equivalent:
    """With what dbt says about every test."""
    made, notes = dict(found.arguments), list(found.notes)
    where = given.get("row_condition") or given.get("where")
    if where is not None:
        made["where"] = f"({made['where']}) AND ({where})" if "where" in made else where
    severity = str(given.get("severity") or "error").lower()
    limits: dict[str, str] = {}
    for word in ("warn_if", "error_if"):
        written = str(given.get(word) or "!= 0").strip()
        if re.fullmatch(r"(!=|<>|>)\s*0|>=\s*1", written):
            continue
        match = _LIMIT.fullmatch(written)
        if match is None:
            notes.append(f"`{word}: {written}` has no like")
        else:
            limits[word] = f"{match[1]} {match[2]}"
    kind = CHECKS[found.kind]
    single = not isinstance(kind.judge, Rows) and isinstance(kind.judge, Total)
    if limits and single:
        notes.append(f"`{found.kind}` fails as a whole, so {' and '.join(f'`{word}`' for word in limits)} is left out")
        limits = {}
    if severity == "warn":
        limits.pop("error_if", None)  # dbt does not look at it
        made |= {} if "warn_if" in limits or found.kind == "freshness" else {"severity": "warn"}
        if found.kind == "freshness" and "error" in made:
            made["warn"] = made.pop("error")
    elif "warn_if" in limits and "error_if" not in limits:
        del limits["warn_if"]  # any row is an error, so that nothing is left to be told
    made |= limits
    made |= {word: given[word] for word in ("name", "tags", "description") if given.get(word)}
    for word in ("limit", "fail_calc"):
        if given.get(word) is not None:
            notes.append(f"`{word}` is left out")
    return Equivalent(found.kind, made, tuple(notes))


# ---------------------------------------------------------------------- tests that need more than other names


def _relationship(given: Given) -> Equivalent | str:
    if given.get("to_condition") not in (None, "1=1", "1 = 1"):
        return "`to_condition` limits the other table: make a view of it, and refer to that"
    made = {"column": given.get("column_name"), "to": f"{given.get('to')}.{given.get('field')}"}
    condition = given.get("from_condition")
    return Equivalent("references", made | ({} if condition in (None, "1=1", "1 = 1") else {"where": condition}))


def _expression(given: Given) -> Equivalent | str:
    column, expression = given.get("column_name"), str(given.get("expression") or "").strip()
    sql = f"{column} {expression}" if column else expression
    condition = given.get("condition")
    where = {} if condition in (None, "1=1", "1 = 1", "true") else {"where": condition}
    return Equivalent("expression", {"sql": sql, **where})


def _recent(given: Given) -> Equivalent | str:
    unit, count = str(given.get("datepart")), given.get("interval")
    if unit not in ("hour", "day", "week", "month", "quarter", "year"):
        return f"an age in `{unit}` is too fine: hours are the shortest"
    return Equivalent(
        "freshness", {"column": given.get("field") or given.get("column_name"), "error": f"{count} {unit}s"}
    )


def _range(given: Given) -> Equivalent | str:
    made = {"column": given.get("column_name")}
    made |= {ours: given[theirs] for theirs, ours in _BETWEEN.items() if given.get(theirs) is not None}
    return Equivalent("range", made | ({"exclusive": True} if given.get("inclusive") is False else {}))


def _exclusive_ranges(given: Given) -> Equivalent | str:
    if given.get("gaps", "allowed") != "allowed":
        return f"`gaps: {given['gaps']}` says something about the gaps, too: write it as a query in tests/"
    made = {"from": given.get("lower_bound_column"), "to": given.get("upper_bound_column")}
    return Equivalent("no_overlap", made | ({"per": given["partition_by"]} if given.get("partition_by") else {}))


def _sequence(given: Given) -> Equivalent | str:
    count, unit = given.get("interval") or 1, given.get("datepart")
    made: dict[str, object] = {"column": given.get("column_name"), "step": f"{count} {unit}" if unit else count}
    if given.get("group_by_columns"):
        made["per"] = given["group_by_columns"]
    return Equivalent("no_gaps", made, ("the same value twice is no gap; `unique` refuses it",))


def _not_blank(given: Given) -> Equivalent | str:
    column = given.get("column_name")
    text = f"trim({column})" if given.get("trim_whitespace", True) else f"{column}"
    return Equivalent("expression", {"sql": f"{text} <> ''"})


def _sides(operator: str) -> Callable[[Given], Equivalent | str]:
    def made(given: Given) -> Equivalent | str:
        sign = ">=" if operator == ">" and given.get("or_equal") else operator
        return Equivalent("expression", {"sql": f"{given.get('column_A')} {sign} {given.get('column_B')}"})

    return made


def _like(negated: str) -> Callable[[Given], Equivalent | str]:
    def made(given: Given) -> Equivalent | str:
        pattern = str(given.get("like_pattern")).replace("'", "''")
        return Equivalent("expression", {"sql": f"{given.get('column_name')} {negated}LIKE '{pattern}'"})

    return made


def _is_null(given: Given) -> Equivalent | str:
    return Equivalent("expression", {"sql": f"{given.get('column_name')} IS NULL"})


def _exactly(kind: str, *, above: bool = False) -> Callable[[Given], Equivalent | str]:
    def made(given: Given) -> Equivalent | str:
        value = given.get("value")
        if not isinstance(value, int):
            return f"`value: {value}` is no number"
        column = {"column": given["column_name"]} if "column_name" in given else {}
        return Equivalent(kind, {**column, **({"min": value + 1} if above else {"min": value, "max": value})})

    return made


def _sum_of_columns(given: Given) -> Equivalent | str:
    columns = given.get("column_list")
    total = " + ".join(f"sum({column})" for column in columns) if isinstance(columns, list) else "NULL"
    return Equivalent("compare", {"value": total, "equals": given.get("sum_total")})


def _columns(*, only: bool) -> Callable[[Given], Equivalent | str]:
    def made(given: Given) -> Equivalent | str:
        columns = given.get("column_list") or [given.get("column_name")]
        return Equivalent("schema", {"columns": columns, **({"only": True} if only else {})})

    return made


# ---------------------------------------------------------------------- the table


_BETWEEN = {"min_value": "min", "max_value": "max"}
_A = {"column_name": "a"}
_AB: Given = {**_A, "min_value": 1, "max_value": 9}
_UTILS, _EXPECT = "dbt_utils", "dbt_expectations"
_AS_A_PART = {"anywhere": True}

RULES: tuple[Rule, ...] = (
    Rule("not_null", "not_null", _A),
    Rule("unique", "unique", _A),
    Rule("accepted_values", "in", {**_A, "values": ["x", "y"]}, {"values": "values"}, passed_over=("quote",)),
    Rule("relationships", "references", {**_A, "to": "marts.b", "field": "id"}, made=_relationship),
    Rule(
        f"{_UTILS}.unique_combination_of_columns",
        "unique",
        {"combination_of_columns": ["a", "b"]},
        {"combination_of_columns": "columns"},
    ),
    Rule(f"{_UTILS}.expression_is_true", "expression", {"expression": "a < b"}, made=_expression),
    Rule(f"{_UTILS}.accepted_range", "range", {**_AB, "inclusive": False}, made=_range),
    Rule(f"{_UTILS}.not_null_proportion", "not_null_share", {**_A, "at_least": 0.9}, {"at_least": "min", "at_most": "max"}),
    Rule(f"{_UTILS}.at_least_one", "at_least_one", _A),
    Rule(f"{_UTILS}.not_constant", "distinct_count", _A, fixed={"min": 2}),
    Rule(f"{_UTILS}.not_empty_string", "expression", _A, made=_not_blank),
    Rule(f"{_UTILS}.not_accepted_values", "not_in", {**_A, "values": ["x"]}, {"values": "values"}, passed_over=("quote",)),
    Rule(f"{_UTILS}.relationships_where", "references", {**_A, "to": "marts.b", "field": "id", "from_condition": "a > 1"}, made=_relationship),
    Rule(f"{_UTILS}.recency", "freshness", {"datepart": "day", "field": "a", "interval": 1}, made=_recent),
    Rule(f"{_UTILS}.equal_rowcount", "compare", {"compare_model": "raw.b"}, {"compare_model": "with"}, {"value": "count(*)"}),
    Rule(
        f"{_UTILS}.equality", "same_rows", {"compare_model": "raw.b", "compare_columns": ["a", "b"]},
        {"compare_model": "as", "compare_columns": "columns"}, note="rows that are there more than once must be so in both",
    ),
    Rule(
        f"{_UTILS}.mutually_exclusive_ranges", "no_overlap",
        {"lower_bound_column": "a", "upper_bound_column": "b", "partition_by": "c", "gaps": "allowed"}, made=_exclusive_ranges,
    ),
    Rule(f"{_UTILS}.sequential_values", "no_gaps", {**_A, "interval": 1, "datepart": "day"}, made=_sequence),
    Rule(f"{_EXPECT}.expect_column_to_exist", "schema", _A, made=_columns(only=False)),
    Rule(f"{_EXPECT}.expect_table_columns_to_contain_set", "schema", {"column_list": ["a", "b"]}, made=_columns(only=False)),
    Rule(f"{_EXPECT}.expect_table_columns_to_match_set", "schema", {"column_list": ["a", "b"]}, made=_columns(only=True)),
    Rule(f"{_EXPECT}.expect_column_values_to_be_of_type", "type", {**_A, "column_type": "date"}, {"column_type": "type"}),
    Rule(f"{_EXPECT}.expect_column_values_to_not_be_null", "not_null", _A),
    Rule(f"{_EXPECT}.expect_column_values_to_be_null", "expression", _A, made=_is_null),
    Rule(f"{_EXPECT}.expect_column_values_to_be_unique", "unique", _A),
    Rule(
        f"{_EXPECT}.expect_compound_columns_to_be_unique", "unique", {"column_list": ["a", "b"]}, {"column_list": "columns"},
        passed_over=("ignore_row_if", "quote_columns"),
    ),
    Rule(f"{_EXPECT}.expect_column_values_to_be_in_set", "in", {**_A, "value_set": ["x"]}, {"value_set": "values"}, passed_over=("quote_values",)),
    Rule(f"{_EXPECT}.expect_column_values_to_not_be_in_set", "not_in", {**_A, "value_set": ["x"]}, {"value_set": "values"}, passed_over=("quote_values",)),
    Rule(f"{_EXPECT}.expect_column_values_to_be_between", "range", _AB, _BETWEEN),
    Rule(f"{_EXPECT}.expect_column_value_lengths_to_be_between", "length", _AB, _BETWEEN),
    Rule(f"{_EXPECT}.expect_column_value_lengths_to_equal", "length", {**_A, "value": 2}, made=_exactly("length")),
    Rule(f"{_EXPECT}.expect_column_values_to_match_regex", "matches", {**_A, "regex": "^x"}, {"regex": "pattern"}, _AS_A_PART, passed_over=("is_raw", "flags")),
    Rule(f"{_EXPECT}.expect_column_values_to_not_match_regex", "not_matches", {**_A, "regex": "^x"}, {"regex": "pattern"}, _AS_A_PART, passed_over=("is_raw", "flags")),
    Rule(f"{_EXPECT}.expect_column_values_to_match_like_pattern", "expression", {**_A, "like_pattern": "x%"}, made=_like("")),
    Rule(f"{_EXPECT}.expect_column_values_to_not_match_like_pattern", "expression", {**_A, "like_pattern": "x%"}, made=_like("NOT ")),
    Rule(f"{_EXPECT}.expect_column_min_to_be_between", "min", _AB, _BETWEEN),
    Rule(f"{_EXPECT}.expect_column_max_to_be_between", "max", _AB, _BETWEEN),
    Rule(f"{_EXPECT}.expect_column_sum_to_be_between", "sum", _AB, _BETWEEN),
    Rule(f"{_EXPECT}.expect_column_mean_to_be_between", "avg", _AB, _BETWEEN),
    Rule(f"{_EXPECT}.expect_column_median_to_be_between", "quantile", _AB, _BETWEEN, {"at": 0.5}),
    Rule(f"{_EXPECT}.expect_column_quantile_values_to_be_between", "quantile", {**_AB, "quantile": 0.95}, {**_BETWEEN, "quantile": "at"}),
    Rule(f"{_EXPECT}.expect_column_stdev_to_be_between", "stddev", _AB, _BETWEEN),
    Rule(f"{_EXPECT}.expect_column_unique_value_count_to_be_between", "distinct_count", _AB, _BETWEEN),
    Rule(f"{_EXPECT}.expect_column_distinct_count_to_equal", "distinct_count", {**_A, "value": 3}, made=_exactly("distinct_count")),
    Rule(f"{_EXPECT}.expect_column_distinct_count_to_be_greater_than", "distinct_count", {**_A, "value": 3}, made=_exactly("distinct_count", above=True)),
    Rule(f"{_EXPECT}.expect_table_row_count_to_be_between", "row_count", {"min_value": 1, "max_value": 9}, _BETWEEN),
    Rule(f"{_EXPECT}.expect_table_row_count_to_equal", "row_count", {"value": 3}, made=_exactly("row_count")),
    Rule(f"{_EXPECT}.expect_table_row_count_to_equal_other_table", "compare", {"compare_model": "raw.b"}, {"compare_model": "with"}, {"value": "count(*)"}),
    Rule(f"{_EXPECT}.expect_column_pair_values_to_be_equal", "expression", {"column_A": "a", "column_B": "b"}, made=_sides("=")),
    Rule(f"{_EXPECT}.expect_column_pair_values_A_to_be_greater_than_B", "expression", {"column_A": "a", "column_B": "b", "or_equal": True}, made=_sides(">")),
    Rule(f"{_EXPECT}.expect_multicolumn_sum_to_equal", "compare", {"column_list": ["a", "b"], "sum_total": 10}, made=_sum_of_columns),
    Rule(f"{_EXPECT}.expression_is_true", "expression", {"expression": "a < b"}, made=_expression),
    Rule(f"{_EXPECT}.expect_row_values_to_have_recent_data", "freshness", {**_A, "datepart": "day", "interval": 1}, made=_recent),
)  # fmt: skip

_BY_NAME = {rule.test: rule for rule in RULES}
