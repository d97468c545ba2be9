"""A session on a terminal: one screen with all that is known now, drawn anew when it changes.

The terminal's other screen is used, so what stood there before the session is back when it ends.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event as Signal
from threading import Lock, Thread
from time import monotonic
from typing import TYPE_CHECKING, TextIO

from msgspec import Struct, field

from sqlflow.cli import watch_text as text
from sqlflow.core.amounts import counted, duration
from sqlflow.core.events import PlanChanged, RunStarted, TaskFinished
from sqlflow.observe.console import Board
from sqlflow.observe.text import Paint, Style, ansi, cut, display_width, visible
from sqlflow.watch.events import (
    Building,
    Built,
    Changed,
    Idle,
    Impact,
    Noted,
    Planned,
    Problems,
    Rows,
    Stopped,
    Tell,
    WatchEvent,
    Watching,
)

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult

_SECONDS_BETWEEN_LOOKS = 0.2  # at the size of the terminal, and at a clock that runs
_LEAST_OF_A_SECTION = 4


@contextmanager
def screen(stream: TextIO) -> Iterator[Tell]:
    """Draws what is told until the block ends, then leaves one line behind. Without a capable terminal: plain lines."""
    from rich.console import Console
    from rich.live import Live

    console = Console(file=stream, highlight=False, markup=False, emoji=False)
    if not console.is_terminal or console.is_dumb_terminal:
        from sqlflow.cli.watch_lines import lines

        yield lines(stream)
        return
    board = Sheet()
    display = Live(
        _Frame(board), console=console, auto_refresh=False, screen=True, redirect_stdout=False, redirect_stderr=False
    )
    dirty, ended = Signal(), Signal()
    dirty.set()

    def tell(event: WatchEvent) -> None:
        board.take(event)
        dirty.set()

    def draw_until_ended() -> None:
        size = console.size
        while not ended.is_set():
            changed = dirty.wait(_SECONDS_BETWEEN_LOOKS)
            dirty.clear()
            if changed or size != console.size or board.moving:
                size = console.size
                display.refresh()

    began = monotonic()
    try:
        with display:
            drawing = Thread(target=draw_until_ended, name="watch screen", daemon=True)
            drawing.start()
            try:
                yield tell
            finally:
                ended.set()
                dirty.set()
                drawing.join()
    finally:
        stream.write(board.last_line(monotonic() - began) + "\n")
        stream.flush()


class _Frame:
    def __init__(self, board: Sheet) -> None:
        self._board = board

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        from rich.text import Text

        lines = self._board.frame(options.max_width - 1, console.height, ansi)
        yield Text.from_ansi("\n".join(lines), no_wrap=True, overflow="crop", end="")


class _Section(Struct):
    title: str
    lines: list[str]
    more: str = "lines"


class Sheet(Struct):
    """The latest of everything that was told. Safe to use from several threads."""

    _lock: Lock = field(default_factory=Lock)
    _watching: Watching | None = None
    _changed: Changed | None = None
    _problems: Problems | None = None
    _impact: Impact | None = None
    _planned: Planned | None = None
    _rows: Rows | None = None
    _built: Built | None = None
    _notes: list[str] = field(default_factory=list)
    _busy: bool = True
    _changes: int = 0
    _running: Board | None = None
    _finished: int = 0
    _tasks: int = 0

    @property
    def moving(self) -> bool:
        """Whether the picture changes without news: a build goes on."""
        return self._running is not None

    def take(self, event: WatchEvent) -> None:
        with self._lock:
            self._take(event)

    def _take(self, event: WatchEvent) -> None:
        match event:
            case Watching():
                self._watching = event
                self._notes.clear()
            case Changed():
                self._changed, self._busy = event, True
                self._changes += 1
                self._notes.clear()
                self._running = None
            case Problems():
                self._problems = event
                if not event.sound:
                    self._built = None
            case Impact():
                self._impact = event
            case Planned():
                self._planned = event
            case Rows():
                self._rows = event
            case Building():
                if isinstance(event.event, RunStarted):
                    self._running, self._finished, self._tasks = Board(monotonic), 0, len(event.event.plan.tasks)
                if isinstance(event.event, PlanChanged):
                    self._tasks = len(event.event.plan.tasks)
                if isinstance(event.event, TaskFinished):
                    self._finished += 1
                if self._running is not None:
                    self._running.take(event.event)
            case Built():
                self._built, self._running = event, None
            case Noted():
                self._notes = [*self._notes[-3:], event.message]
            case Idle():
                self._busy, self._running = False, None
            case Stopped():
                self._busy = False

    def last_line(self, seconds: float) -> str:
        """What stays on the terminal after the session."""
        with self._lock:
            words = f"watched for {duration(seconds)}, {counted(self._changes, 'change')}"
            return words if self._problems is None else f"{words}; {text.verdict(self._problems)[0]}"

    # ------------------------------------------------------------ drawing

    def frame(self, columns: int, rows: int, paint: Paint) -> list[str]:
        """Lines for the whole screen."""
        with self._lock:
            head = [self._head(columns, paint), ""]
            foot = [paint(cut("q quits   r looks at everything again", columns), Style.FAINT)]
            body = _body(self._sections(columns, paint), rows - len(head) - len(foot), columns, paint)
            blank = [""] * max(0, rows - len(head) - len(body) - len(foot))
            return [*head, *body, *blank, *foot][:rows]

    def _head(self, columns: int, paint: Paint) -> str:
        left = "sqlflow watch"
        if self._watching is not None:
            left += f"  {visible(self._watching.project)}, target {visible(self._watching.target)}"
        words, style, work = "compiling", Style.FAINT, ""
        if self._problems is not None:
            words, style = text.verdict(self._problems)
            work = text.work_line(self._problems)
        ways = ((left, f"  {work}" if work else ""), (left, ""), ("", f"  {work}" if work else ""), ("", ""))
        width = columns - display_width(words)
        left, work = next((w for w in ways if display_width(w[0]) + display_width(w[1]) + 2 <= width), ways[-1])
        gap = " " * max(0, width - display_width(left) - display_width(work))
        return f"{paint(left, Style.STRONG)}{gap}{paint(words, style)}{work}"

    def _sections(self, columns: int, paint: Paint) -> list[_Section]:
        found: list[_Section] = []
        problems = self._problems
        files = self._changed.files if self._changed is not None else ()
        if self._notes:
            found.append(_Section("notes", [visible(line) for note in self._notes for line in note.splitlines()]))
        if problems is not None and problems.diagnostics:
            found.append(_Section("problems", text.problem_lines(problems.diagnostics, files, paint)))
        if problems is not None and not problems.models:
            return found  # there is no project to speak of
        if self._impact is not None and self._impact.edits:
            title = "edits that are not built yet" if self._impact.count > 1 else "this edit, not built yet"
            found.append(_Section(title, text.impact_lines(self._impact, columns - 2, paint)))
        if self._planned is not None:
            found.append(_Section("plan of a build", text.plan_lines(self._planned, paint)))
        sample = self._watching.sample if self._watching is not None else ""
        if self._running is not None:
            words = f"{self._finished} of {counted(self._tasks, 'task')}" + (
                f", of a sample: {sample}" if sample else ""
            )
            found.append(_Section("scratch build goes on", [words]))
        elif self._built is not None:
            lines = [line for line in text.built_lines(self._built, sample, paint) if line]
            if lines:
                found.append(_Section("scratch build", lines))
        if self._rows is not None:
            lines = text.rows_lines(self._rows, columns - 2, self._edited_columns(self._rows))
            found.append(_Section(text.rows_title(self._rows, sample), lines, "rows"))
        elif self._changed is None:
            found.append(_Section("rows", ["save a model to see its first rows"]))
        return found

    def _edited_columns(self, rows: Rows) -> list[str]:
        edits = self._impact.edits if self._impact is not None else ()
        found = next((edit for edit in edits if edit.model == rows.model and edit.exact), None)
        return [c.column for c in found.columns if c.column is not None] if found is not None else []


def _body(sections: list[_Section], room: int, columns: int, paint: Paint) -> list[str]:
    """The sections one below the other; when there is no room for all, the longest give way first."""
    sizes = [len(section.lines) for section in sections]
    while sizes and sum(sizes) + 2 * len(sizes) > room:
        longest = max(range(len(sizes)), key=sizes.__getitem__)
        if sizes[longest] > _LEAST_OF_A_SECTION:
            sizes[longest] -= 1
        else:
            sizes.pop()
    lines: list[str] = []
    for section, size in zip(sections, sizes, strict=False):
        lines.append(paint(cut(section.title, columns), Style.FRAME))
        lines += [f"  {line}" for line in text.fitted(section.lines, size, section.more)]
        lines.append("")
    return lines
