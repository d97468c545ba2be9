"""What the table of checks says of a kind is how it is read."""

from __future__ import annotations

from datetime import date
from pathlib import Path, PurePosixPath

import pytest
from project.projects import model

from sqlflow.core.checks import (
    Aggregate,
    CheckSpec,
    Columns,
    Condition,
    Flag,
    Length,
    Number,
    OtherColumn,
    OtherTable,
    Tolerance,
    Types,
    Values,
    Word,
)
from sqlflow.core.diagnostics import Diagnostic
from sqlflow.core.intervals import Duration, Grain
from sqlflow.core.names import ColumnRef, TableName
from sqlflow.core.source import SourceFile
from sqlflow.core.sql import Sql
from sqlflow.core.text import MappedText
from sqlflow.project.checks import read_check
from sqlflow.project.snippets import Vocabulary
from sqlflow.project.values import root_of
from sqlflow.project.yaml import load
from sqlflow.quality.forms import COLUMNS, Argument, Category, Check, Form, Rows
from sqlflow.quality.kinds import CHECKS, NOT_YET, near_check

KINDS = sorted(CHECKS)


@pytest.mark.parametrize("kind", KINDS)
def test_the_example_of_a_kind_is_read_as_that_kind(tmp_path: Path, kind: str) -> None:
    [check] = model(tmp_path, f"-- @checks:\n--   - {CHECKS[kind].example}\nSELECT 1 AS a").header.checks
    assert (check.kind, check.name.partition("(")[0]) == (kind, kind)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if CHECKS[kind].behind])
def test_what_is_written_behind_a_column_is_about_that_column(tmp_path: Path, kind: str) -> None:
    [check] = model(tmp_path, f"SELECT a -- {CHECKS[kind].behind}\nFROM t").header.checks
    assert (check.kind, check.columns) == (kind, ("a",))


@pytest.mark.parametrize("kind", KINDS)
def test_a_row_of_the_table_names_its_own_arguments(kind: str) -> None:
    check = CHECKS[kind]
    assert check.doc
    assert not check.short or check.short in [argument.name for argument in check.arguments]
    assert check.kind not in NOT_YET
    assert near_check(kind.replace("_", "-") + "s") == f"did you mean `{kind}`?" or len(kind) < 8


EVERY_FORM = Check(
    "odd",
    Category.BUSINESS,
    (
        COLUMNS,
        Argument("of", Form.COLUMN),
        Argument("values", Form.VALUES),
        Argument("rows", Form.COUNT),
        Argument("factor", Form.NUMBER),
        Argument("sql", Form.SQL),
        Argument("to", Form.OTHER_COLUMN),
        Argument("within", Form.DURATION),
        Argument("share", Form.SHARE),
        Argument("total", Form.AGGREGATE),
        Argument("their", Form.OTHER_AGGREGATE),
        Argument("low", Form.BOUND),
        Argument("high", Form.BOUND),
        Argument("step", Form.STEP),
        Argument("as", Form.TABLE),
        Argument("like", Form.PATTERN),
        Argument("kind", Form.WORD, choices=("hot", "cold")),
        Argument("type", Form.TYPE),
        Argument("all", Form.TYPES),
        Argument("strict", Form.FLAG),
        Argument("off", Form.TOLERANCE),
    ),
    Rows(lambda _: Sql("FALSE")),
    example="odd: {}",
    doc="",
)
ARGUMENTS = {
    "columns": "[a, b]",
    "of": "c",
    "values": "[1, x]",
    "rows": "3",
    "factor": "-0.5",
    "sql": '"a < b"',
    "to": 's."t.x".d',
    "within": "2 days",
    "share": "95%",
    "total": "sum(a)",
    "their": "sum(b)",
    "low": "2026-01-31",
    "high": "a + 1",
    "step": "1 month",
    "as": "s.u",
    "like": "'[a-z]+'",
    "kind": "cold",
    "type": "INTEGER",
    "all": "{a: INTEGER, b: DATE}",
    "strict": "true",
    "off": "1%",
}


def _read(arguments: dict[str, str]) -> tuple[CheckSpec | None, list[str]]:
    problems: list[Diagnostic] = []
    text = "{" + ", ".join(f"{word}: {written}" for word, written in arguments.items()) + "}"
    document = load(MappedText.of(SourceFile(PurePosixPath("m.sql"), text)), problems)
    assert document is not None
    given = root_of(document, problems, "odd")
    return read_check(EVERY_FORM, given, given, Vocabulary()), [problem.message for problem in problems]


def test_every_form_of_argument_is_read() -> None:
    check, problems = _read(ARGUMENTS)
    assert check is not None, problems
    assert check.arguments == {
        "columns": Columns(("a", "b")),
        "of": Columns(("c",)),
        "values": Values((1, "x")),
        "rows": Number(3),
        "factor": Number(-0.5),
        "sql": Condition("a < b"),
        "to": OtherColumn(ColumnRef(TableName("s", "t.x"), "d")),
        "within": Length(Duration(2, Grain.DAY)),
        "share": Number(0.95),
        "total": Aggregate("sum(a)"),
        "their": Aggregate("sum(b)", other=True),
        "low": Values((date(2026, 1, 31),)),
        "high": Condition("a + 1"),
        "step": Length(Duration(1, Grain.MONTH)),
        "as": OtherTable(TableName("s", "u")),
        "like": Word("[a-z]+"),
        "kind": Word("cold"),
        "type": Word("INTEGER"),
        "all": Types({"a": "INTEGER", "b": "DATE"}),
        "strict": Flag(True),
        "off": Tolerance(1, percent=True),
    }
    assert check.name.startswith(
        "odd(a, b, of c, rows 3, factor -0.5, a < b, within 2 days, share 0.95, sum(a), sum(b)"
    )
    assert check.name.endswith("[a-z]+, cold, INTEGER, a, b, strict, off 1.0% -> s.t.x.d -> s.u)")
    assert (check.columns, check.conditions) == (("a", "b", "c"), ("a < b", "a + 1"))
    assert (check.aggregates, check.types) == (("sum(a)",), ("INTEGER", "DATE", "INTEGER"))
    assert check.tables == (TableName("s", "t.x"), TableName("s", "u"))
    assert check.reads == (ColumnRef(TableName("s", "t.x"), "d"),)


@pytest.mark.parametrize(
    ("argument", "written", "problem"),
    [
        ("columns", "[]", "odd.columns: expected one name or more, found a list"),
        ("of", "[a, b]", "odd.of: expected one column, found a list"),
        ("values", "[null]", "odd.values[0]: expected a value, found nothing"),
        ("values", "[{a: 1}]", "odd.values[0]: expected a value, found a mapping"),
        ("rows", "1.5", "odd.rows: expected a whole number, found the number `1.5`"),
        ("factor", "true", "odd.factor: expected a number, found `true`"),
        ("sql", '"a, b"', "odd.sql: expected one expression, found a list"),
        ("to", "d", "odd.to: `d` is not a column of a table"),
        ("within", "soon", "odd.within: `soon` is not a length of time such as `3 days` or `2 hours`"),
        ("share", "1.5", "odd.share: expected a share from 0 to 1, or from 0% to 100%, found the number `1.5`"),
        ("low", "true", "odd.low: expected text, found `true`"),
        ("step", "often", "odd.step: `often` is not a length of time such as `3 days` or `2 hours`"),
        ("as", "u", "odd.as: `u` is not a table"),
        ("kind", "warm", "odd.kind: unknown kind `warm`"),
        ("type", '"a b; c"', "odd.type: `a b; c` is not a type"),
        ("all", "{}", "odd.all: expected one column or more, found a mapping"),
        ("strict", "1", "odd.strict: expected `true` or `false`, found the number `1`"),
        ("off", "-1", "odd.off: expected a number of at least 0, found the number `-1`"),
    ],
)
def test_an_argument_that_is_not_written_so_is_told(argument: str, written: str, problem: str) -> None:
    check, problems = _read({**ARGUMENTS, argument: written})
    assert check is None
    assert problems == [problem]


def test_an_argument_that_is_missing_is_told() -> None:
    assert _read({k: v for k, v in ARGUMENTS.items() if k != "sql"}) == (None, ["odd: the key `sql` is missing"])
    assert _read({k: v for k, v in ARGUMENTS.items() if k != "columns"}) == (None, ["odd: no column is named"])


def test_an_argument_under_both_of_its_names_is_one() -> None:
    check, _ = _read({**ARGUMENTS, "column": "z"})
    assert check is not None
    assert check.arguments["columns"] == Columns(("a", "b", "z"))
