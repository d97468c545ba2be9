"""Each test of dbt that has a like here becomes a check that is read as it was meant."""

from __future__ import annotations

import json

import pytest
from quality.test_every_kind import read

from sqlflow.core.checks import Limit
from sqlflow.core.diagnostics import Severity
from sqlflow.quality.dbt_tests import RULES, Equivalent, Rule, equivalent


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.test)
def test_the_check_in_place_of_a_test_can_be_read(rule: Rule) -> None:
    found = equivalent(rule.test, rule.example)
    assert isinstance(found, Equivalent), found
    assert found.kind == rule.kind
    assert read(f"{found.kind}: {json.dumps(found.arguments)}").kind == rule.kind


def test_arguments_and_settings_may_stand_in_places_of_their_own() -> None:
    found = equivalent(
        "accepted_values", {"column_name": "a", "arguments": {"values": [1]}, "config": {"where": "b > 1"}}
    )
    assert found == Equivalent("in", {"column": "a", "values": [1], "where": "b > 1"})


@pytest.mark.parametrize(
    ("config", "severity", "error", "warn"),
    [
        ({}, Severity.ERROR, Limit(0), Limit(0)),
        ({"severity": "warn"}, Severity.WARNING, None, Limit(0)),
        ({"severity": "warn", "warn_if": ">10"}, Severity.ERROR, None, Limit(10)),
        ({"severity": "warn", "error_if": ">10"}, Severity.WARNING, None, Limit(0)),
        ({"error_if": ">=10"}, Severity.ERROR, Limit(10, inclusive=True), Limit(0)),
        ({"error_if": "> 10", "warn_if": ">5"}, Severity.ERROR, Limit(10), Limit(5)),
        ({"warn_if": "> 10"}, Severity.ERROR, Limit(0), Limit(0)),
        ({"warn_if": "!=0", "error_if": "!= 0"}, Severity.ERROR, Limit(0), Limit(0)),
    ],
)
def test_a_test_stops_and_warns_with_as_many_rows_as_in_dbt(
    config: dict[str, str], severity: Severity, error: Limit | None, warn: Limit
) -> None:
    found = equivalent("not_null", {"column_name": "a", "config": config})
    assert isinstance(found, Equivalent)
    check = read(f"not_null: {json.dumps(found.arguments)}")
    assert (check.severity, check.error, check.warn) == (severity, error, warn)


@pytest.mark.parametrize(
    ("test", "arguments", "why"),
    [
        ("elementary.volume_anomalies", {}, "there is no check like `elementary.volume_anomalies`"),
        (
            "dbt_utils.at_least_one",
            {"column_name": "a", "group_by_columns": ["b"]},
            "`group_by_columns` looks at each group",
        ),
        ("dbt_utils.relationships_where", {"to_condition": "x > 1"}, "`to_condition` limits the other table"),
        ("dbt_utils.recency", {"datepart": "minute"}, "an age in `minute` is too fine"),
    ],
)
def test_what_has_no_like_is_told(test: str, arguments: dict[str, object], why: str) -> None:
    found = equivalent(test, arguments)
    assert isinstance(found, str)
    assert found.startswith(why)
