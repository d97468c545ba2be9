"""The live display: what stands on the screen at a moment, and what remains at the end."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from io import StringIO
from threading import Thread

import pytest

from sqlflow.core.events import RunFinished, RunStarted, TaskFinished, TaskStarted, Told
from sqlflow.core.names import TableName
from sqlflow.core.plan import Plan, Reason, ReasonKind, Task
from sqlflow.core.records import (
    Fingerprint,
    Relation,
    RunRecord,
    Status,
    TableKind,
    TableRecord,
    TaskResult,
)
from sqlflow.core.schema import Schema
from sqlflow.core.ways import Method
from sqlflow.observe.console import ASCII, Board, live
from sqlflow.observe.text import display_width, uncolored

NOON = datetime(2024, 1, 1, 12, tzinfo=UTC)


class Ticking:
    """A clock that stands still until it is moved."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def task(name: str, seconds: float | None = None) -> Task:
    table = TableName.parse(name)
    kind = TableKind.MODEL
    record = TableRecord(table, kind, Relation.TABLE, Fingerprint("q"), Schema(), 1, "r1", NOON)
    reason = Reason(ReasonKind.NEW, "new model")
    return Task(
        name,
        table,
        kind,
        "create",
        "replace",
        Method.FULL,
        reason,
        (),
        record,
        expected_seconds=seconds,
    )


def ended(name: str, status: Status = Status.DONE) -> TaskResult:
    return TaskResult(name, TableName.parse(name), "create", status, NOON, 0.42, rows=7)


def record(*results: TaskResult) -> RunRecord:
    end = NOON + timedelta(seconds=3)
    return RunRecord("r1", "dev", "build", NOON, end, Status.DONE, results)


def screen(board: Board, columns: int = 80, rows: int = 24) -> str:
    return "\n".join(board.frame(columns, rows, ASCII, uncolored))


def test_running_tasks_stand_above_the_progress() -> None:
    clock = Ticking()
    board = Board(clock)
    tasks = (task("a.one", 2), task("a.three", 4), task("a.four"), task("a.five", 0.1))
    board.take(RunStarted("r1", Plan(tasks)))
    board.take(TaskStarted(tasks[0]))
    clock.now += 2
    board.take(TaskFinished(ended("a.one")))
    board.take(TaskStarted(tasks[1]))
    board.take(TaskStarted(tasks[2]))
    clock.now += 1.25
    assert screen(board) == (
        "| running  a.three  1s of about 4s\n"
        "| running  a.four   1s\n"
        "#######-----------------------  1 of 4 tasks, 3s, about 5s left"
    )
    assert board.news(80, uncolored) == ["done       a.one    create, 7 rows, 0.4s"]
    assert board.news(80, uncolored) == []


def test_failed_and_skipped_tasks_are_counted() -> None:
    board = Board(Ticking())
    board.take(RunStarted("r1", Plan((task("a.one"), task("a.two"), task("a.three")))))
    board.take(TaskFinished(ended("a.one", Status.FAILED)))
    board.take(TaskFinished(ended("a.two", Status.SKIPPED)))
    assert screen(board) == ("####################----------  2 of 3 tasks, 1 failed, 1 skipped, 0s")


def test_many_running_tasks_do_not_fill_the_screen() -> None:
    board = Board(Ticking())
    tasks = tuple(task(f"a.t{n}") for n in range(100))
    board.take(RunStarted("r1", Plan(tasks)))
    for one in tasks:
        board.take(TaskStarted(one))
    assert screen(board, rows=8) == (
        "| running  a.t0   0s\n"
        "| running  a.t1   0s\n"
        "| running  a.t2   0s\n"
        "| running  a.t3   0s\n"
        "  and 96 more running\n"
        "------------------------------  0 of 100 tasks, 0s"
    )


@pytest.mark.parametrize("columns", [12, 20, 40])
def test_nothing_is_wider_than_a_narrow_terminal(columns: int) -> None:
    board = Board(Ticking())
    name = "marts." + "表" * 30
    board.take(RunStarted("r1", Plan((task(name, 3), task("a.b")))))
    board.take(TaskStarted(task(name, 3)))
    board.take(TaskFinished(ended("a.b")))
    lines = [*board.frame(columns, 24, ASCII, uncolored), *board.news(columns, uncolored)]
    assert len(lines) == 3
    assert all(display_width(line) <= columns for line in lines)


class Terminal(StringIO):
    writes = 0

    def write(self, text: str) -> int:
        self.writes += 1
        return super().write(text)

    def isatty(self) -> bool:
        return True


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.delenv("NO_COLOR", raising=False)
    return Terminal()


def remaining(text: str) -> list[str]:
    """The lines without colour and cursor movements."""
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text).replace("\r", "").splitlines()


def test_what_was_said_remains_when_the_display_is_gone(terminal: Terminal) -> None:
    with live(terminal) as emit:
        emit(Told("state repaired: [bold]2 models[/bold]"))
        emit(RunStarted("r1", Plan((task("a.[red]"),))))
        emit(TaskStarted(task("a.[red]")))
        emit(TaskFinished(ended("a.[red]")))
        emit(RunFinished(record(ended("a.[red]"))))
    assert remaining(terminal.getvalue()) == [
        "warning: state repaired: [bold]2 models[/bold]",
        "done       a.[red]  create, 7 rows, 0.4s",
        "built 1 model in 3.0s",
    ]


def test_a_build_that_breaks_off_leaves_the_terminal_as_it_was(terminal: Terminal) -> None:
    def broken_build() -> None:
        with live(terminal) as emit:
            emit(RunStarted("r1", Plan((task("a.b"),))))
            emit(TaskFinished(ended("a.b")))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        broken_build()
    assert "done       a.b  create, 7 rows, 0.4s" in remaining(terminal.getvalue())
    assert terminal.getvalue().count("\x1b[?25l") == terminal.getvalue().count("\x1b[?25h")


def test_hundreds_of_tiny_tasks_from_several_threads_cost_little(terminal: Terminal) -> None:
    tasks = [task(f"a.t{n}") for n in range(500)]

    with live(terminal) as emit:
        emit(RunStarted("r1", Plan(tuple(tasks))))

        def work(mine: list[Task]) -> None:
            for one in mine:
                emit(TaskStarted(one))
                emit(TaskFinished(ended(one.id)))

        threads = [Thread(target=work, args=(tasks[n::4],)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        drawn = terminal.writes
        emit(RunFinished(record(*(ended(one.id) for one in tasks))))

    done = [line for line in remaining(terminal.getvalue()) if line.startswith("done")]
    assert len(set(done)) == 500
    assert drawn < 100  # for 1,000 events: it is drawn now and then, and by nobody who has something to tell


def test_without_a_terminal_the_lines_are_plain() -> None:
    stream = StringIO()
    with live(stream) as emit:
        emit(TaskFinished(ended("a.b")))
    assert stream.getvalue() == "done       a.b  create, 7 rows, 0.4s\n"
