"""Who is told of a build: one line each in `OBSERVERS`, one module each in this folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from importlib import import_module
from pathlib import Path
from typing import Protocol, TextIO

from msgspec import Struct

from sqlflow.core.events import Emit, Event


class Audience(Struct, frozen=True):
    """Where a build is started: `root` is the folder of the project, `json` what the command was asked for."""

    root: Path
    json: bool
    out: TextIO
    err: TextIO
    environ: Mapping[str, str]


class ObserverModule(Protocol):
    def observer(self, audience: Audience) -> AbstractContextManager[Emit]:
        """What is told of each event until the block ends."""
        ...


OBSERVERS: Mapping[str, Callable[[Audience], bool]] = {  # module -> whether it is told
    "jsonl": lambda audience: audience.json,
    "console": lambda audience: not audience.json and audience.err.isatty(),
    "plain": lambda audience: not audience.json and not audience.err.isatty(),
}


@contextmanager
def observed(audience: Audience) -> Iterator[Emit]:
    """Tells all of them."""
    with ExitStack() as stack:
        told = [
            stack.enter_context(_module(name).observer(audience))
            for name, is_told in OBSERVERS.items()
            if is_told(audience)
        ]

        def emit(event: Event) -> None:
            for each in told:
                each(event)

        yield told[0] if len(told) == 1 else emit


def _module(name: str) -> ObserverModule:
    module: ObserverModule = import_module(f"sqlflow.observe.{name}")
    return module
