"""What a session tells, as JSON and on the screen."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import get_args

import pytest
from msgspec.structs import replace

from sqlflow.cli import watch_text as text
from sqlflow.cli.watch_json import watch_fields
from sqlflow.cli.watch_screen import Sheet
from sqlflow.core.diagnostics import Diagnostic
from sqlflow.core.events import RunFinished, RunStarted, Told
from sqlflow.core.names import TableName
from sqlflow.core.plan import Plan, Reason, ReasonKind, Task
from sqlflow.core.records import Fingerprint, Relation, RunRecord, Status, TableKind, TableRecord
from sqlflow.core.schema import Schema
from sqlflow.core.source import Span
from sqlflow.core.ways import Method
from sqlflow.observe.jsonl import to_json
from sqlflow.observe.text import ansi, uncolored
from sqlflow.watch.events import (
    Building,
    Built,
    Changed,
    ColumnEdit,
    Idle,
    Impact,
    ModelEdit,
    Noted,
    Planned,
    Problems,
    ReachedModel,
    Rows,
    Stopped,
    WatchEvent,
    Watching,
)

GUIDE = Path(__file__).parents[2] / "docs/guides/watch.md"
NOW = datetime(2024, 1, 1, tzinfo=UTC)
NAMES = tuple(TableName("s", f"model_number_{n}") for n in range(30))
SPAN = Span(PurePosixPath("models/s/a.sql"), 3, 5, 4, "    nope AS x")
PROBLEMS = tuple(
    Diagnostic("unknown-column", f"there is no column `c{n}`", replace(SPAN, line=n + 1)) for n in range(20)
)
RECORD = TableRecord(NAMES[0], TableKind.MODEL, Relation.TABLE, Fingerprint("x"), Schema(), 1, "r", NOW)
TASKS = tuple(
    Task(
        str(n),
        n,
        TableKind.MODEL,
        "rebuild table",
        "auto",
        Method.FULL,
        Reason(ReasonKind.INPUT_CHANGED, "why"),
        (),
        RECORD,
    )
    for n in NAMES
)
RUN = RunRecord("r", "dev", "watch", NOW, NOW, Status.DONE)
REACHED = tuple(ReachedModel(name, ("a", "b", "c", "d", "e"), number % 3 == 0) for number, name in enumerate(NAMES))
EDIT = ModelEdit(
    NAMES[0],
    "changed",
    True,
    (ColumnEdit(None, "changed", "", REACHED), ColumnEdit("amount", "type", "INTEGER -> BIGINT", REACHED[:2]), ColumnEdit("x", "added", "DATE")),
    NAMES[1:20],
    NAMES[20:],
)  # fmt: skip
EVENTS: tuple[WatchEvent, ...] = (
    Watching("flights", "/x", "dev", True, "the first 5 rows of each input"),
    Changed(("models/s/a.sql",), 1),
    Noted("a note"),
    Problems(PROBLEMS, 30, NAMES[:3], 0.03, False),
    Impact((EDIT, replace(EDIT, kind="new"), replace(EDIT, kind="written differently")), 9),
    Planned(Plan(tasks=TASKS)),
    Planned(None, "locked", PROBLEMS[:1]),
    Building(RunStarted("r", Plan(tasks=TASKS))),
    Building(Told("watch out")),
    Building(RunFinished(RUN)),
    Built(RUN, ".sqlflow/watch/x/y.duckdb"),
    Built(None, "", "why", PROBLEMS[:1]),
    Rows(NAMES[0], ("amount", "x", "name"), ((1, NOW, "long" * 50),) * 10, "scratch", "", True),
    Rows(NAMES[0], (), None, "query", "why"),
    Idle(),
    Stopped(),
)


def test_every_event_and_field_of_the_json_is_in_the_guide() -> None:
    assert {type(event) for event in EVENTS} == set(get_args(WatchEvent))
    guide = GUIDE.read_text()
    for event in EVENTS:
        fields = watch_fields(event)
        assert f"`{fields['event']}`" in guide
        assert "\n" not in to_json(fields)
        if isinstance(event, Building):
            assert fields["scratch"] is True
            continue
        missing = [name for name in _keys(fields) if f"`{name}`" not in guide]
        # A task of the plan is described where `build --dry-run --json` is.
        assert missing == [] or isinstance(event, Planned), missing


def _keys(value: object) -> set[str]:
    match value:
        case dict():
            return {str(key) for key in value} | {name for item in value.values() for name in _keys(item)}
        case list() | tuple():
            return {name for item in value for name in _keys(item)}
        case _:
            return set()


@pytest.mark.parametrize("rows", [1, 5, 12, 24, 50, 200])
@pytest.mark.parametrize("columns", [10, 40, 80, 200])
def test_the_screen_never_has_more_lines_than_the_terminal(rows: int, columns: int) -> None:
    sheet = Sheet()
    assert len(sheet.frame(columns, rows, ansi)) <= rows
    for event in EVENTS:
        sheet.take(event)
        assert len(sheet.frame(columns, rows, ansi)) <= rows


def test_a_large_screen_has_everything_and_a_small_one_says_what_is_left_out() -> None:
    sheet = Sheet()
    for event in EVENTS[:6]:
        sheet.take(event)
    large = "\n".join(sheet.frame(120, 300, uncolored))
    for words in (
        "notes",
        "problems",
        "edits that are not built yet",
        "plan of a build",
        "unknown-column",
        "20 errors",
    ):
        assert words in large
    small = "\n".join(sheet.frame(80, 24, uncolored))
    assert "… and" in small
    assert "20 errors" in small


def test_impact_in_words() -> None:
    found = text.impact_lines(Impact((EDIT,), 1), 80, uncolored)
    assert found[0] == "s.model_number_0  changed"
    assert found[1] == "  ~ which rows there are"
    assert found[2].startswith("      -> s.model_number_0 (rows), s.model_number_1 (a, b, c and 2 more)"[:60])
    assert "  ~ amount INTEGER -> BIGINT" in found
    assert "  + x DATE  read by nothing" in found
    assert all(len(line) <= 90 for line in found)
    assert any(line.startswith("  not reached: ") for line in found)


def test_what_stays_after_the_session() -> None:
    sheet = Sheet()
    for event in EVENTS:
        sheet.take(event)
    assert sheet.last_line(61) == "watched for 1m 01s, 1 change; 20 errors"
