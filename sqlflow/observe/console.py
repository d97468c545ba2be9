"""A build on a terminal: finished models scroll by, running ones stay below them with a progress bar."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from math import ceil
from threading import Event as Signal
from threading import Lock, Thread
from time import monotonic
from typing import TYPE_CHECKING, TextIO

from msgspec import Struct

from sqlflow.core.amounts import counted, whole_seconds
from sqlflow.core.events import (
    Emit,
    Event,
    PlanChanged,
    RunFinished,
    RunStarted,
    TaskFinished,
    TaskStarted,
    Told,
)
from sqlflow.core.plan import Plan, Task
from sqlflow.core.records import Status, TaskResult
from sqlflow.observe.observers import Audience
from sqlflow.observe.plain import name_width, plain
from sqlflow.observe.text import (
    STATUS_STYLES,
    Paint,
    Style,
    ansi,
    check_warning_lines,
    cut,
    display_width,
    padded,
    summary_lines,
    task_line,
    told_lines,
    visible,
)

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult

_SECONDS_BETWEEN_FRAMES = 0.1
_MOST_RUNNING = 10
_WIDEST_BAR = 30


class Symbols(Struct, frozen=True):
    """The drawing characters that a terminal has."""

    spinner: str
    full: str
    empty: str


UNICODE = Symbols("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏", "━", "─")
ASCII = Symbols("|/-\\", "#", "-")


def observer(audience: Audience) -> AbstractContextManager[Emit]:
    return live(audience.err)


@contextmanager
def live(stream: TextIO) -> Iterator[Emit]:
    """An emitter that keeps a display on a terminal up to date until the block ends.

    Events only change the board; a thread of its own draws it, so an event costs microseconds.
    """
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    console = Console(file=stream, highlight=False, markup=False, emoji=False)
    if not console.is_terminal or console.is_dumb_terminal:
        yield plain(stream)
        return

    board = Board(monotonic)
    display = Live(
        _Frame(board),
        console=console,
        auto_refresh=False,
        transient=True,
        redirect_stdout=False,  # stdout is for data, which may go elsewhere
    )
    ended = Signal()

    def draw() -> None:
        # In this order, so that no frame is drawn below the summary.
        lines = board.news(console.width - 1, ansi)
        building = board.building
        if building and not display.is_started:
            display.start()
        elif display.is_started and not building:
            display.stop()
        if lines:
            console.print(Text.from_ansi("\n".join(lines)), soft_wrap=True)
        elif display.is_started:
            display.refresh()

    def draw_until_ended() -> None:
        while not ended.wait(_SECONDS_BETWEEN_FRAMES):
            draw()

    drawing = Thread(target=draw_until_ended, name="live display", daemon=True)
    drawing.start()
    try:
        yield board.take
    finally:
        ended.set()
        drawing.join()
        board.close()
        draw()


class _Frame:
    """The board as something that rich draws anew for each frame."""

    def __init__(self, board: Board) -> None:
        self._board = board

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        from rich.text import Text

        symbols = ASCII if options.ascii_only else UNICODE
        lines = self._board.frame(options.max_width - 1, console.height, symbols, ansi)
        yield Text.from_ansi("\n".join(lines), no_wrap=True, overflow="crop")


class Board:
    """What is known of a build from its events: what is new since the last look, and what goes on.

    Safe to use from several threads.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = Lock()
        self._news: list[TaskFinished | RunFinished | Told] = []
        self._building = False
        self._start(Plan())

    def _start(self, plan: Plan) -> None:
        self._started = self._clock()
        self._total = len(plan.tasks)
        self._names = name_width(plan)
        self._running: dict[str, tuple[Task, float]] = {}
        self._count: Counter[Status] = Counter()
        self._kept_out = 0  # what has ended without being a task of the plan
        self._work = _work(plan)
        self._work_left = sum(self._work.values())
        self._work_done = 0.0

    def _change(self, plan: Plan) -> None:
        """Some tasks of the new plan have ended: those that no longer ran count by what is left."""
        self._total = len(plan.tasks)
        self._names = name_width(plan)
        self._work = _work(plan)
        self._work_left = max(0.0, sum(self._work.values()) - self._work_done)

    @property
    def building(self) -> bool:
        """Whether there is something to look at: between `RunStarted` and `RunFinished`."""
        return self._building

    def take(self, event: Event) -> None:
        """Note what has happened."""
        with self._lock:
            match event:
                case RunStarted():
                    self._start(event.plan)
                    self._building = bool(event.plan.tasks)
                case PlanChanged():
                    self._change(event.plan)
                case TaskStarted():
                    self._running[event.task.id] = event.task, self._clock()
                case TaskFinished():
                    self._finish(event.result)
                    self._news.append(event)
                case Told():
                    self._news.append(event)
                case RunFinished():
                    self._building = False
                    self._news.append(event)

    def _finish(self, result: TaskResult) -> None:
        self._running.pop(result.task, None)
        self._count[result.status] += 1
        self._kept_out += result.task not in self._work
        work = self._work.get(result.task, 0.0)
        self._work_left -= work
        if result.status in (Status.DONE, Status.FAILED):
            self._work_done += work

    def close(self) -> None:
        """There will be no more frames, also when the build broke off without `RunFinished`."""
        with self._lock:
            self._building = False

    def news(self, columns: int, paint: Paint) -> list[str]:
        """Lines for what has happened since the last call. Those of tasks are cut to `columns`."""
        with self._lock:
            events, self._news = self._news, []
        lines: list[str] = []
        for event in events:
            match event:
                case TaskFinished(result):
                    line = cut(task_line(result, min(self._names, columns // 2)), columns)
                    end = len(result.status)
                    lines.append(paint(line[:end], STATUS_STYLES[result.status]) + line[end:])
                    lines += check_warning_lines(result, paint)
                case Told():
                    lines += told_lines(event, paint)
                case RunFinished(record):
                    lines += summary_lines(record, paint)
        return lines

    def frame(self, columns: int, rows: int, symbols: Symbols, paint: Paint) -> list[str]:
        """What is going on now, in lines of at most `columns`: the running tasks, then the progress."""
        with self._lock:
            now = self._clock()
            running = list(self._running.values())
            most = max(1, min(_MOST_RUNNING, rows - 4))
            names = min(self._names, columns // 2)
            lines = []
            for task, since in running[:most]:
                spinner = symbols.spinner[int((now - since) * 10) % len(symbols.spinner)]
                name = padded(cut(visible(str(task.table)), names), names)
                line = cut(f"{spinner} running  {name}  {_times(task, now - since)}", columns)
                lines.append(paint(line[:1], Style.HINT) + line[1:])
            if len(running) > most:
                lines.append(cut(f"  and {len(running) - most} more running", columns))
            lines.append(self._progress(now, columns, symbols, paint))
        return lines

    def _progress(self, now: float, columns: int, symbols: Symbols, paint: Paint) -> str:
        finished, total = self._count.total(), self._total + self._kept_out
        parts = [f"{finished:,} of {counted(total, 'task')}"]
        parts += [
            f"{self._count[status]:,} {status}"
            for status in (Status.FAILED, Status.SKIPPED, Status.CANCELLED)
            if self._count[status]
        ]
        parts.append(whole_seconds(now - self._started))
        left = self._seconds_left(now)
        if left is not None:
            parts.append(f"about {whole_seconds(ceil(left))} left")
        words = ", ".join(parts)
        room = min(_WIDEST_BAR, columns - display_width(words) - 2)
        if room < 5:
            return cut(words, columns)
        full = room * finished // max(1, total)
        style = Style.ERROR if self._count[Status.FAILED] else Style.GOOD
        bar = paint(symbols.full * full, style) + paint(symbols.empty * (room - full), Style.FAINT)
        return f"{bar}  {words}"

    def _seconds_left(self, now: float) -> float | None:
        """By the pace so far, in which running tasks count as far as they should have come."""
        begun = sum(
            min(now - since, 0.9 * task.expected_seconds)
            for task, since in self._running.values()
            if task.expected_seconds is not None
        )
        elapsed = now - self._started
        done = self._work_done + begun
        if elapsed < 1 or done <= 0 or self._work_left <= 0:
            return None
        return elapsed * max(0.0, self._work_left - begun) / done


def _work(plan: Plan) -> dict[str, float]:
    """The seconds each task should take; for those nobody has seen run, as long as the others do."""
    known = [task.expected_seconds for task in plan.tasks if task.expected_seconds is not None]
    usual = (sum(known) / len(known) if known else 0.0) or 1.0
    return {task.id: usual if task.expected_seconds is None else task.expected_seconds for task in plan.tasks}


def _times(task: Task, seconds: float) -> str:
    if task.expected_seconds is None or task.expected_seconds < 1:
        return whole_seconds(seconds)
    return f"{whole_seconds(seconds)} of about {whole_seconds(task.expected_seconds)}"
