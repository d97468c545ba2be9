"""The words that all displays share, and what keeps a terminal safe from what is shown on it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import PurePosixPath

import pytest

from sqlflow.core.amounts import counted, duration, whole_seconds
from sqlflow.core.diagnostics import Diagnostic
from sqlflow.core.events import Told
from sqlflow.core.names import TableName
from sqlflow.core.records import CheckResult, CheckStatus, RunRecord, Status, TaskResult
from sqlflow.core.source import Span
from sqlflow.observe.text import (
    cut,
    display_width,
    padded,
    summary,
    summary_lines,
    task_line,
    told_lines,
    visible,
)

NOON = datetime(2024, 1, 1, 12, tzinfo=UTC)


def ended(name: str, status: Status = Status.DONE, **facts: object) -> TaskResult:
    return TaskResult(name, TableName.parse(name), "replace", status, NOON, 0.42, **facts)  # type: ignore[arg-type]


def run(*results: TaskResult, status: Status = Status.DONE, up_to_date: int = 0) -> RunRecord:
    end = NOON + timedelta(seconds=3.4)
    return RunRecord("r1", "dev", "build", NOON, end, status, results, up_to_date)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0ms"),
        (0.003, "3ms"),
        (0.0994, "99ms"),
        (0.0999, "0.1s"),
        (0.42, "0.4s"),
        (59.94, "59.9s"),
        (59.96, "1m 00s"),
        (62, "1m 02s"),
        (3599.6, "1h 00m"),
        (7500, "2h 05m"),
    ],
)
def test_a_duration_is_as_exact_as_a_reader_wants(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_a_running_time_has_no_fractions() -> None:
    assert [whole_seconds(s) for s in (0.4, 59.4, 59.6, 3700)] == ["0s", "59s", "1m 00s", "1h 01m"]


def test_numbers_have_their_nouns() -> None:
    assert [counted(n, "row") for n in (0, 1, 1234)] == ["0 rows", "1 row", "1,234 rows"]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain ünïcode 表 👍🏽", "plain ünïcode 表 👍🏽"),
        ("\x1b[31mred\x1b[0m", r"\x1b[31mred\x1b[0m"),
        ("a\nb\tc\x00", r"a\nb\tc\x00"),
        ("user\u202etxt.exe", r"user\u202etxt.exe"),
        ("zero\u200bwidth", r"zero\u200bwidth"),
        ("\x9b2J", r"\x9b2J"),
        ("lone \udc80", r"lone \udc80"),
        ("family 👨\u200d👩", "family 👨\u200d👩"),
    ],
)
def test_control_characters_are_written_out(text: str, shown: str) -> None:
    assert visible(text) == shown


def test_wide_characters_count_as_two_columns_and_accents_as_none() -> None:
    assert [display_width(t) for t in ("abc", "表a", "e\u0301", "👍")] == [3, 3, 1, 2]
    assert padded("表", 4) + "|" == "表  |"


def test_a_long_text_is_cut_to_its_columns() -> None:
    assert [cut("abcdef", n) for n in (6, 5, 1, 0)] == ["abcdef", "abcd…", "…", "…"]
    assert cut("表表表", 4) == "表…"


def test_one_line_tells_how_a_task_ended() -> None:
    wrong = Diagnostic("conversion", "could not convert 'x'\nto INTEGER")
    lines = [
        task_line(ended("marts.delays", rows=1234), 14),
        task_line(ended("marts.bad", Status.FAILED, error=wrong), 14),
        task_line(ended("marts.worse", Status.SKIPPED, blame=TableName("marts", "bad")), 14),
        task_line(ended("marts.last", Status.CANCELLED), 14),
    ]
    assert "\n".join(lines) == (
        "done       marts.delays    replace, 1,234 rows, 0.4s\n"
        "failed     marts.bad       after 0.4s: could not convert 'x'\n"
        "skipped    marts.worse     because of `marts.bad`\n"
        "cancelled  marts.last      after 0.4s"
    )


def test_the_summary_counts_tables() -> None:
    results = [
        ended("a.a"),
        ended("a.b"),
        ended("a.b"),  # a second batch
        ended("a.c", Status.FAILED),
        ended("a.d", Status.SKIPPED),
    ]
    assert summary(run(*results, status=Status.FAILED, up_to_date=30)) == (
        "built 2 models in 3.4s, 1 failed, 1 skipped, 30 up to date"
    )
    assert summary(run(ended("a.a"))) == "built 1 model in 3.4s"
    assert summary(run(up_to_date=12)) == "nothing to do: all 12 models are up to date"
    assert summary(run(up_to_date=1)) == "nothing to do: the only model is up to date"
    assert summary(run()) == "there is nothing to build"


def test_a_table_is_not_built_when_one_of_its_batches_failed() -> None:
    results = [ended("a.b"), ended("a.b", Status.FAILED), ended("a.b", Status.SKIPPED)]
    assert summary(run(*results, status=Status.FAILED)) == "built 0 models in 3.4s, 1 failed"


def test_failures_are_repeated_in_full_with_what_to_do_next() -> None:
    line = "    avg(dep_dly) AS avg_delay"
    wrong = Diagnostic(
        "statement-failed",
        "could not convert 'x' to INTEGER",
        Span(PurePosixPath("models/marts/bad.sql"), 14, 9, 7, line),
        "use `try_cast`",
    )
    duplicate = CheckResult("unique(day)", CheckStatus.FAILED, 3, ("(2013-01-01)", "(\x1b[2J)"))
    results = [
        ended("marts.bad", Status.FAILED, error=wrong),
        ended("marts.twice", Status.FAILED, checks=(duplicate,)),
    ]
    assert "\n".join(summary_lines(run(*results, status=Status.FAILED))) == (
        r"""
failed: marts.bad
  error[statement-failed]: could not convert 'x' to INTEGER
    --> models/marts/bad.sql:14:9
     |
  14 |     avg(dep_dly) AS avg_delay
     |         ^^^^^^^
     = hint: use `try_cast`

failed: marts.twice
  error: check `unique(day)` has 3 failing rows, such as
    (2013-01-01)
    (\x1b[2J)

built 0 models in 3.4s, 2 failed
when the cause is mended, go on with `sqlflow build state:failed+`"""
    )


def test_an_interrupted_build_says_how_to_go_on() -> None:
    record = run(ended("a.a"), ended("a.b", Status.CANCELLED), status=Status.CANCELLED)
    assert summary_lines(record) == [
        "interrupted: built 1 model in 3.4s, 1 cancelled",
        "to go on, run the same command again: what is done stays done",
    ]


def test_hundreds_of_failures_do_not_bury_the_summary() -> None:
    results = [ended(f"a.t{n}", Status.FAILED) for n in range(300)]
    lines = summary_lines(run(*results, status=Status.FAILED))
    assert len(lines) < 50
    assert "and 280 more failed" in lines


def test_a_warning_of_several_lines_is_indented() -> None:
    assert told_lines(Told("waiting for\nprocess 42")) == ["warning: waiting for", "  process 42"]
