"""`sqlflow watch`: compile, plan and show on each save; in the terminal, as lines, or as JSON."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

from msgspec import Struct

from sqlflow.cli.build import _moment
from sqlflow.cli.opening import clock, files_of, new_run_id, owner, project_root, read_settings, versions
from sqlflow.cli.streams import is_dead
from sqlflow.core.config import Config
from sqlflow.core.diagnostics import one_problem
from sqlflow.engines import engine_module
from sqlflow.watch.desk import Desk, WatchRequest
from sqlflow.watch.events import Tell
from sqlflow.watch.session import LookAgain, Quit, WatchSession, session


class Options(Struct, frozen=True):
    """The options of `watch`, as typed."""

    selection: Sequence[str] = ()
    exclude: Sequence[str] = ()
    build: bool = False
    limit: int | None = None
    start: str | None = None
    end: str | None = None
    rows: int = 10
    threads: int | None = None
    project: Path | None = None
    target: str | None = None
    variables: Sequence[str] = ()
    json: bool = False


def watch(asked: Options, report: Callable[[Exception], str]) -> int:
    """Watch until the person quits. The exit code; Ctrl-C is a KeyboardInterrupt."""
    wishes = WatchRequest(
        selection=tuple(asked.selection),
        exclude=tuple(asked.exclude),
        build=asked.build,
        limit=asked.limit,
        start=_moment("--start", asked.start),
        end=_moment("--end", asked.end),
        rows=asked.rows,
        threads=asked.threads or os.cpu_count() or 1,
    )
    if wishes.start is not None and wishes.end is not None and wishes.start >= wishes.end:
        raise one_problem("empty-interval", "--start must be before --end; the end itself is not included")
    root = project_root(asked.project)
    if not (root / "sqlflow.yml").is_file():
        read_settings(asked.project, asked.target, asked.variables)  # says what is missing
    if asked.build:
        _refuse_without_scratch(read_settings(root, asked.target, asked.variables))
    desk = Desk(
        root=root,
        settings=lambda: read_settings(root, asked.target, asked.variables),
        module=lambda config: engine_module(config.target.engine),
        version=versions,
        files=files_of,
        owner=owner,
        clock=clock,
        run_id=new_run_id,
        report=report,
        heard=lambda: not is_dead(sys.stdout if asked.json else sys.stderr),
    )
    with _teller(asked.json) as tell, session(desk, wishes, tell) as found, _keys(found):
        found.run()
    return 0


def _refuse_without_scratch(config: Config) -> None:
    binder = engine_module(config.target.engine).open_binder(config, files=())
    traits = binder.traits
    binder.close()
    if not traits.scratch:
        raise one_problem(
            "not-available-yet",
            f"the target `{config.target.name}` is a database in which `watch --build` cannot make a scratch copy yet",
            hint="leave `--build` out: what is wrong, the impact and the plan are told on each save, and the first rows of the query",
        )


def _teller(json: bool) -> AbstractContextManager[Tell]:
    if json:
        from sqlflow.cli.watch_json import lines_of_json

        return nullcontext(lines_of_json(sys.stdout))
    if sys.stderr.isatty():
        from sqlflow.cli.watch_screen import screen

        return screen(sys.stderr)
    from sqlflow.cli.watch_lines import lines

    return nullcontext(lines(sys.stderr))


@contextmanager
def _keys(found: WatchSession) -> Iterator[None]:
    """`q` quits and `r` looks at everything again, where there is a keyboard. The terminal is as before afterwards."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        yield
        return
    import termios
    import tty

    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)
    tty.setcbreak(descriptor)
    ended = threading.Event()

    def listen() -> None:
        import select

        while not ended.is_set():
            ready, _, _ = select.select([descriptor], [], [], 0.2)
            if not ready:
                continue
            key = os.read(descriptor, 1).lower()
            if key in (b"q", b""):
                found.inbox.post(Quit())
                return
            if key == b"r":
                found.inbox.post(LookAgain())

    listener = threading.Thread(target=listen, name="sqlflow-keys", daemon=True)
    listener.start()
    try:
        yield
    finally:
        ended.set()
        listener.join(1)
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)
