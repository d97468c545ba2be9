"""The table of `sqlflow show --profile` in terminals of different widths."""

from __future__ import annotations

from sqlflow.cli.profile import profile_table

ROW = (
    "flight_date",
    "DATE",
    "0",
    "181",
    "2013-01-01",
    "2013-02-14",
    "2013-04-01",
    "2013-05-16",
    "2013-06-30",
    "▇▇▇▇▇▇▇▇▇▇▇▇",
)


def test_a_wide_terminal_shows_all_columns() -> None:
    heads = profile_table([ROW], 120).splitlines()[0].split()
    assert heads == ["column", "type", "nulls", "distinct", "least", "25%", "50%", "75%", "greatest", "histogram"]


def test_a_narrow_terminal_goes_without_quantiles_before_names_and_values_are_cut() -> None:
    table = profile_table([ROW], 90)
    assert "flight_date" in table
    assert "2013-06-30" in table
    assert "…" not in table
    assert table.splitlines()[0].split() == [
        "column",
        "type",
        "nulls",
        "distinct",
        "least",
        "50%",
        "greatest",
        "histogram",
    ]
    assert table.splitlines()[-1] == "(2 columns not shown: 25%, 75%)"


def test_a_very_narrow_terminal_cuts_what_is_left() -> None:
    table = profile_table([ROW], 60)
    assert max(map(len, table.splitlines()[:3])) <= 60
    assert table.splitlines()[-1] == "(3 columns not shown: 25%, 50%, 75%)"
