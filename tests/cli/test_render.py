"""How diagnostics, plans and rows look."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import PurePosixPath

import pytest
from msgspec.structs import replace

from sqlflow.cli.render import (
    diagnostics_json,
    plan_json,
    render_diagnostics,
    render_plan,
    render_table,
    to_json,
)
from sqlflow.core.checks import Limit
from sqlflow.core.diagnostics import Diagnostic, Note, Severity
from sqlflow.core.intervals import EVERYTHING, Interval, IntervalSet
from sqlflow.core.names import TableName
from sqlflow.core.plan import Audit, CheckQuery, Plan, Reason, ReasonKind, Step, StepKind, Task
from sqlflow.core.records import Fingerprint, Relation, TableKind, TableRecord
from sqlflow.core.schema import Schema
from sqlflow.core.source import SourceFile, Span
from sqlflow.core.sql import Sql
from sqlflow.core.ways import Method

NOON = datetime(2024, 1, 1, 12, tzinfo=UTC)


def span(path: str, line: int, text: str, word: str) -> Span:
    return Span(PurePosixPath(path), line, text.index(word) + 1, len(word), text)


def shown(*diagnostics: Diagnostic) -> str:
    return render_diagnostics(diagnostics, color=False)


def body(diagnostic: Diagnostic) -> str:
    """A diagnostic alone, without the counts below."""
    return shown(diagnostic).rsplit("\n\n", 1)[0]


def test_a_problem_shows_its_line_and_what_to_do() -> None:
    where = span("models/marts/delays.sql", 14, "    avg(dep_dly) AS avg_delay", "dep_dly")
    message = "there is no column `dep_dly` in `staging.flights`"
    problem = Diagnostic("unknown-column", message, where, "did you mean `dep_delay`?")
    assert shown(problem) == (
        """\
error[unknown-column]: there is no column `dep_dly` in `staging.flights`
  --> models/marts/delays.sql:14:9
   |
14 |     avg(dep_dly) AS avg_delay
   |         ^^^^^^^
   = hint: did you mean `dep_delay`?

1 error
run `sqlflow explain unknown-column` for more"""
    )


def test_the_edges_of_a_cycle_are_further_snippets() -> None:
    one = span("models/a/one.sql", 1, "SELECT x FROM a.two", "a.two")
    two = span("models/a/two.sql", 10, "SELECT x FROM a.one", "a.one")
    ring = "models read each other in a circle: a.one -> a.two -> a.one"
    notes = (Note("`a.two` reads `a.one` here", two), Note("views count as well"))
    assert body(Diagnostic("cycle", ring, one, notes=notes)) == (
        """\
error[cycle]: models read each other in a circle: a.one -> a.two -> a.one
  --> models/a/one.sql:1:15
   |
 1 | SELECT x FROM a.two
   |               ^^^^^
note: `a.two` reads `a.one` here
  --> models/a/two.sql:10:15
   |
10 | SELECT x FROM a.one
   |               ^^^^^
   = note: views count as well"""
    )


def test_problems_are_sorted_counted_and_told_once() -> None:
    late = Diagnostic("syntax", "second", span("a.sql", 20, "y", "y"))
    early = Diagnostic("unused", "first", span("a.sql", 3, "x", "x"), severity=Severity.WARNING)
    nowhere = Diagnostic("config", "last")
    text = shown(nowhere, late, early, late)
    heads = [line for line in text.splitlines() if line.startswith(("error", "warning"))]
    assert heads == ["warning[unused]: first", "error[syntax]: second", "error[config]: last"]
    assert text.endswith("\n\n2 errors, 1 warning\nrun `sqlflow explain CODE` for more")
    assert [d["message"] for d in diagnostics_json([nowhere, late, early, late])] == [
        "first",
        "second",
        "last",
    ]


def test_no_problems_are_no_text() -> None:
    assert shown() == ""


@pytest.mark.parametrize(
    ("text", "line", "underline"),
    [
        ("\tx,\tbad", "    x,  bad", "        ^^^"),
        ("'東京' AS bad", "'東京' AS bad", "          ^^^"),
        ("'👍' || bad", "'👍' || bad", "        ^^^"),
        ("e\u0301 + bad", "e\u0301 + bad", "    ^^^"),
        ("'\x1b[2J' bad", r"'\x1b[2J' bad", "          ^^^"),
        ("a\u200b bad", r"a\u200b bad", "        ^^^"),
    ],
)
def test_the_underline_stands_below_its_word(text: str, line: str, underline: str) -> None:
    drawn = body(Diagnostic("x", "y", span("a.sql", 1, text, "bad"))).splitlines()
    assert drawn[-2:] == [f"1 | {line}", f"  | {underline}"]


def test_a_wide_word_has_a_wide_underline() -> None:
    drawn = body(Diagnostic("x", "y", span("a.sql", 1, "SELECT 東京", "東京"))).splitlines()
    assert drawn[-1] == "  |        ^^^^"


def test_a_long_line_is_cut_around_the_word() -> None:
    text = "SELECT " + ", ".join(f"column_{n}" for n in range(100)) + " FROM t"
    drawn = body(Diagnostic("x", "y", span("a.sql", 1, text, "column_50"))).splitlines()
    assert drawn[-2] == (
        "1 | …column_47, column_48, column_49, column_50, column_51, column_52, column_53, column_54, column_55, c…"
    )
    start = drawn[-1].index("^")
    assert drawn[-2][start : start + 9] == "column_50"
    assert drawn[-1].count("^") == 9


def test_a_word_longer_than_the_cut_is_underlined_as_far_as_it_is_shown() -> None:
    drawn = body(Diagnostic("x", "y", span("a.sql", 1, "x" * 5000, "x" * 5000))).splitlines()
    assert drawn[-2:] == ["1 | " + "x" * 100 + "…", "  | " + "^" * 100]


@pytest.mark.parametrize("where", [(0, None), (7, None), (8, 9), (99, None)])
def test_every_place_of_a_file_can_be_drawn(where: tuple[int, int | None]) -> None:
    file = SourceFile(PurePosixPath("a.sql"), "SELECT\n\n  1")
    assert " --> a.sql:" in shown(Diagnostic("x", "y", file.span(*where)))


def test_messages_cannot_steer_the_terminal() -> None:
    hostile = Diagnostic("x", "a\x1b[2Jb\nsecond line", hint="c\x07", span=None)
    assert body(hostile) == "error[x]: a\\x1b[2Jb\n  second line\n  = hint: c\\x07"


def test_colour_adds_nothing_but_colour() -> None:
    problem = Diagnostic("x", "y", span("a.sql", 1, "SELECT bad", "bad"), "z")
    colored = render_diagnostics([problem], color=True)
    assert colored.startswith("\x1b[1;31merror[x]\x1b[0m")
    assert "\x1b" not in shown(problem)


def test_diagnostics_and_tables_do_not_load_rich() -> None:
    code = "import sys, sqlflow.cli.render, sqlflow.observe.plain; print('rich' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stdout == "False\n", result.stderr


# Plans


def task(name: str, **facts: object) -> Task:
    table = TableName.parse(name)
    kind = TableKind.MODEL
    record = TableRecord(table, kind, Relation.TABLE, Fingerprint("q"), Schema(), 1, "r1", NOON)
    reason = Reason(ReasonKind.NEW, "the table is not there yet")
    plain = Task(name, table, kind, "create", "replace", Method.FULL, reason, (), record)
    return replace(plain, **facts)


def days(*numbers: int) -> IntervalSet:
    starts = [datetime(2013, 1, n, tzinfo=UTC) for n in numbers]
    return IntervalSet.of(Interval(s, s + timedelta(days=1)) for s in starts)


def up_to_date(*names: str) -> dict[TableName, Reason]:
    reason = Reason(ReasonKind.UP_TO_DATE, "up to date")
    return {TableName.parse(name): reason for name in names}


DELAYS = task(
    "marts.delays",
    action="replace 7 intervals",
    mode="incremental",
    strategy="partition",
    reason=Reason(ReasonKind.INPUT_CHANGED, "`staging.flights` changed in 7 days"),
    intervals=days(1, 3, 5, 7, 9, 11, 13),
    expected_rows=1234,
    expected_seconds=0.42,
    steps=(
        Step(StepKind.WRITE, Sql("DELETE FROM t\nWHERE day = 1")),
        Step(StepKind.GUARD, Sql("SELECT 1;"), message="{rows} are there twice"),
    ),
    audits=(Audit(Sql("SELECT count(*)"), (CheckQuery("unique(day)", Limit(0), Sql("SELECT day")),)),),
    needs=frozenset({"staging.flights"}),
)


def test_a_plan_says_what_will_be_done_and_why() -> None:
    plan = Plan(
        (task("staging.flights", intervals=EVERYTHING), DELAYS),
        {
            **up_to_date("a.b", "a.c"),
            TableName("a", "i"): Reason(ReasonKind.NO_TABLE, "inline: put into its readers"),
        },
        orphans=(TableName("old", "one"),),
    )
    assert render_plan(plan, sql=False, color=False) == (
        """\
staging.flights  create
  mode      replace, strategy full
  why       the table is not there yet
  intervals all of time

marts.delays  replace 7 intervals
  mode      incremental, strategy partition
  why       `staging.flights` changed in 7 days
  intervals 2013-01-01 .. 2013-01-02
            2013-01-03 .. 2013-01-04
            2013-01-05 .. 2013-01-06
            2013-01-07 .. 2013-01-08
            2013-01-09 .. 2013-01-10
            and 2 more
  expected  about 1,234 rows, about 0.4s
  checks    unique(day)

up to date (2): a.b, a.c
no table (1): a.i [inline: put into its readers]
no longer in the project (1): old.one

plan: 2 tasks, 2 up to date, 1 no table"""
    )


def test_a_plan_with_sql_shows_every_statement() -> None:
    text = render_plan(Plan((DELAYS,)), sql=True, color=False)
    assert text[text.index("\n\n") :] == (
        """

  -- write
  DELETE FROM t
  WHERE day = 1;

  -- guard, must find no rows: {rows} are there twice
  SELECT 1;

  -- count the failing rows of unique(day)
  SELECT count(*);

  -- failing rows of unique(day), which blocks
  SELECT day;

plan: 1 task"""
    )


def test_an_empty_plan_says_so() -> None:
    def closing(plan: Plan) -> str:
        return render_plan(plan, sql=False, color=False).splitlines()[-1]

    assert closing(Plan((), up_to_date(*(f"a.t{n}" for n in range(12))))) == (
        "nothing to do: all 12 models are up to date"
    )
    assert closing(Plan()) == "there is nothing to build"
    left_out = {TableName("a", "z"): Reason(ReasonKind.NOT_SELECTED, "not selected")}
    assert closing(Plan((), {**up_to_date("a.b"), **left_out})) == ("nothing to do: 1 up to date, 1 not selected")


def test_a_long_list_of_models_is_shortened() -> None:
    text = render_plan(Plan((), up_to_date(*(f"a.t{n}" for n in range(1, 10)))), sql=False, color=False)
    assert text.splitlines()[0] == "up to date (9): a.t1, a.t2, a.t3, a.t4, a.t5 and 4 more"


def test_a_plan_in_json() -> None:
    plan = Plan((replace(DELAYS, intervals=days(1)),), up_to_date("a.b"), orphans=())
    assert json.loads(to_json(plan_json(plan))) == {
        "tasks": [
            {
                "id": "marts.delays",
                "table": "marts.delays",
                "kind": "model",
                "action": "replace 7 intervals",
                "mode": "incremental",
                "strategy": "partition",
                "reason": {
                    "kind": "input_changed",
                    "detail": "`staging.flights` changed in 7 days",
                },
                "intervals": [["2013-01-01T00:00:00+00:00", "2013-01-02T00:00:00+00:00"]],
                "steps": [
                    {"kind": "write", "sql": "DELETE FROM t\nWHERE day = 1"},
                    {"kind": "guard", "sql": "SELECT 1;"},
                ],
                "checks": [{"name": "unique(day)", "blocking": True, "sample": "SELECT day"}],
                "audits": ["SELECT count(*)"],
                "needs": ["staging.flights"],
                "expected_seconds": 0.42,
                "expected_rows": 1234,
                "ways": [],
                "measured": "",
                "tier": None,
                "refusal": None,
            }
        ],
        "skipped": {"a.b": {"kind": "up_to_date", "detail": "up to date"}},
        "orphans": [],
        "problems": [],
    }


# Tables


def test_rows_are_aligned_below_their_columns() -> None:
    rows = [
        (date(2013, 1, 1), "UA", 12.5, Decimal("1E+3"), True, None),
        (None, "東京", 7.25, None, False, "x\ty\x1b"),
    ]
    assert render_table(["day", "carrier", "delay", "n", "late", "note"], rows, width=None) == (
        r"""
day         carrier  delay     n  late   note
----------  -------  -----  ----  -----  --------
2013-01-01  UA        12.5  1000  true   NULL
NULL        東京      7.25  NULL  false  x\ty\x1b
""".strip()
    )


def test_long_cells_are_cut_to_the_width() -> None:
    rows = [("a" * 50, "b" * 12, 1), ("short", "b", 22)]
    assert render_table(["first", "second", "n"], rows, width=34) == (
        """\
first             second         n
----------------  ------------  --
aaaaaaaaaaaaaaa…  bbbbbbbbbbbb   1
short             b             22"""
    )


@pytest.mark.parametrize("width", [1, 5, 20, 33, 80])
def test_a_table_is_never_wider_than_asked(width: int) -> None:
    text = render_table(["a_long_name", "b", "表表表"], [("x" * 40, 1, "表" * 30)], width=width)
    table = text.splitlines()[:3]
    assert max(len(line) + line.count("表") for line in table) <= width


def test_columns_that_do_not_fit_are_named() -> None:
    names = [f"column_{n}" for n in range(9)]
    assert render_table(names, [range(9)], width=30) == (
        """\
column_0  column_1  column_2
--------  --------  --------
       0         1         2
(6 columns not shown: column_3, column_4, column_5, column_6, column_7, column_8)"""
    )


def test_an_empty_table_shows_its_columns() -> None:
    assert render_table(["a", "b"], [], width=80) == "a  b\n-  -\n(no rows)"
