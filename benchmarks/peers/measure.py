"""One run of a command: wall and CPU seconds, peak memory, and how it ended."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_PAGE, _TICK = os.sysconf("SC_PAGE_SIZE"), os.sysconf("SC_CLK_TCK")
_LOOK_EVERY = 0.1
_HANGS = 10  # a command that takes so many times its limit in wall time, without using it, is stopped as well


@dataclass(frozen=True, slots=True)
class Sample:
    """Seconds, seconds, bytes, exit code. CPU and memory are those of the command and all that it started."""

    wall: float
    cpu: float
    peak: int
    code: int
    stopped: bool


@dataclass(frozen=True, slots=True)
class Kill:
    """`SIGKILL` to all processes, `after` so many seconds: of the start, or of the first change of one of `files`."""

    after: float
    files: tuple[Path, ...] = ()


def run(
    words: Sequence[str],
    folder: Path,
    environment: Mapping[str, str],
    limit: float,
    log: Path,
    kill: Kill | None = None,
) -> Sample:
    """Run a command to its end, or stop it after `limit` seconds of CPU. What it says goes to `log`.

    CPU counts the processes that were waited for, which all of these tools do. The peak is the largest sum of resident
    memory seen ten times a second (shared pages count once for each process), or the largest of one process.
    """
    done, stopped = threading.Event(), threading.Event()
    peak = [0]
    seen = _stamps(kill.files) if kill else ()
    with log.open("wb") as output:
        began = time.perf_counter()
        child = subprocess.Popen(
            words,
            cwd=folder,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

        def watch() -> None:
            while not done.wait(_LOOK_EVERY):
                cpu, memory = _usage(child.pid)
                peak[0] = max(peak[0], memory)
                if cpu >= limit or time.perf_counter() - began >= limit * _HANGS:
                    stopped.set()
                    _end(child.pid)

        def strike(kill: Kill) -> None:
            while kill.files and _stamps(kill.files) == seen:
                if done.wait(0.002):
                    return
            if not done.wait(kill.after):
                _end(child.pid)

        threads = [threading.Thread(target=watch, daemon=True)]
        if kill:
            threads.append(threading.Thread(target=strike, args=(kill,), daemon=True))
        for thread in threads:
            thread.start()
        try:
            _, status, used = os.wait4(child.pid, 0)
        except KeyboardInterrupt:
            _end(child.pid)  # it has a session of its own, and is not told
            raise
        wall = time.perf_counter() - began
        child.returncode = os.waitstatus_to_exitcode(status)
        done.set()
        for thread in threads:
            thread.join()
    largest = used.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return Sample(
        round(wall, 3),
        round(used.ru_utime + used.ru_stime, 3),
        max(peak[0], largest),
        child.returncode,
        stopped.is_set(),
    )


def _usage(session: int) -> tuple[float, int]:
    """CPU seconds and bytes in memory of all processes of a session; nothing where there is no /proc."""
    ticks, pages = 0, 0
    with contextlib.suppress(OSError):
        for name in os.listdir("/proc"):
            if not name.isdigit():
                continue
            with contextlib.suppress(OSError, ValueError, IndexError):
                fields = Path(f"/proc/{name}/stat").read_text().rpartition(")")[2].split()
                if int(fields[3]) == session:
                    ticks += sum(map(int, fields[11:15]))  # its own, and of children that it waited for
                    pages += int(fields[21])
    return ticks / _TICK, pages * _PAGE


def _stamps(paths: Sequence[Path]) -> tuple[tuple[int, int] | None, ...]:
    found: list[tuple[int, int] | None] = []
    for path in paths:
        try:
            status = path.stat()
            found.append((status.st_mtime_ns, status.st_size))
        except OSError:
            found.append(None)
    return tuple(found)


def _end(session: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(session, signal.SIGKILL)
