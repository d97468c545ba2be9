"""One test body per behaviour, run on every engine.

A test file parametrises `new_project`: its tests run on DuckDB, and on PostgreSQL too. Those that are not `short` are
`long` there. What cannot be the same there is a strict xfail that names the error: the body must fail, and with it.

- `never`: the engine has no such thing, or means something else by it;
- `notyet`: SQLFlow could do it and does not;
- `notimpl`: refused with a word to the user.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from lawful import Lawful
from on_postgres import LawfulPostgres

ENGINES = ("duckdb", "postgres")


def never(reason: str, error: type[Exception], match: str) -> pytest.MarkDecorator:
    return _differs(f"never: {reason}", error, match)


def notyet(reason: str, error: type[Exception], match: str) -> pytest.MarkDecorator:
    return _differs(f"notyet: {reason}", error, match)


def notimpl(reason: str, error: type[Exception], match: str) -> pytest.MarkDecorator:
    return _differs(f"notimpl: {reason}", error, match)


def _differs(reason: str, error: type[Exception], match: str) -> pytest.MarkDecorator:
    return pytest.mark.xfail(reason=reason, raises=pytest.RaisesExc(error, match=match), strict=True)


Differing = Mapping[str, pytest.MarkDecorator]
"""Name of a test -> what is different on PostgreSQL."""


def on_every_engine(
    metafunc: pytest.Metafunc, *, short: Collection[str] = (), differing: Differing | None = None
) -> None:
    """Parametrise what uses `new_project` and does not say on which engine. To be called by `pytest_generate_tests`."""
    said = any(mark.args[0] == "new_project" for mark in metafunc.definition.iter_markers("parametrize"))
    if said or "new_project" not in metafunc.fixturenames:
        return
    differing = differing or {}
    gone = [name for name in (*short, *differing) if not hasattr(metafunc.module, name)]
    assert not gone, f"there is no test {gone}"
    name = metafunc.function.__name__
    marks = [] if name in short else [pytest.mark.long]
    if name in differing:
        marks.append(differing[name])
    metafunc.parametrize("new_project", ["duckdb", pytest.param("postgres", marks=marks)], indirect=True)


@dataclass(slots=True)
class NewProject:
    """Makes projects whose target is of one engine."""

    engine: str
    _made: list[Lawful] = field(default_factory=list)

    def __call__(self, root: Path, zone: str = "UTC") -> Lawful:
        self._made.append(LawfulPostgres(root, zone) if self.engine == "postgres" else Lawful(root, zone))
        return self._made[-1]

    def drop(self) -> None:
        while self._made:
            made = self._made.pop()
            if isinstance(made, LawfulPostgres):
                made.drop()


@contextmanager
def projects_on(engine: str) -> Iterator[NewProject]:
    """The maker of projects of one engine; its databases are dropped at the end."""
    assert engine in ENGINES, engine
    made = NewProject(engine)
    try:
        yield made
    finally:
        made.drop()
