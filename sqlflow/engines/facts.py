"""What promises rest on, of an engine: facts that were found by trying it, each with a probe that tries it again.

They are tried when a version of the engine is met for the first time, and what was found is remembered beside the compile
cache: it is found out of nothing but the version, and a file that is gone is made anew by trying again. What rests on a fact
that does not hold is done in another way (`Fact.otherwise`), which the engine's `Traits` and `Wording` choose.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Protocol

from msgspec import Struct

from sqlflow import __version__
from sqlflow.core.codec import decode, encode
from sqlflow.core.config import Config
from sqlflow.core.diagnostics import one_problem
from sqlflow.core.engine import EngineError, Row
from sqlflow.core.events import Emit, Told


class Fetch(Protocol):
    """Runs a statement on one of two scratch connections to the engine; its rows. Raises EngineError."""

    def __call__(self, sql: str, by: int = 0) -> Sequence[Row]: ...


class Fact(Struct, frozen=True):
    """`says`: what the engine does, as a sentence. `rests`: what would be wrong if it did not. `otherwise`: what is done
    where it does not; empty where nothing can be done, and nothing is built. `holds`: the probe; a statement that fails says
    no. `instead_of`: the fact in whose place it is,
    so that nothing rests on it where that one holds."""

    name: str
    says: str
    rests: str
    otherwise: str
    holds: Callable[[Fetch], bool]
    instead_of: str = ""


class Tried(Struct, frozen=True):
    """What was found of one version. `by`: the list of facts, so that another list is tried anew."""

    by: str
    broken: tuple[str, ...] = ()


_found: dict[tuple[str, str], frozenset[str]] = {}


def broken_facts(
    config: Config,
    engine: str,
    facts: Sequence[Fact],
    scratch: Callable[[], AbstractContextManager[Fetch]],
    *,
    keep: bool,
) -> frozenset[str]:
    """The names of the facts that do not hold. `engine`: its name and version. `scratch`: a connection to try them on, opened
    only for a version that was not met before. `keep`: write down what was found."""
    by, place = _list(facts), remembered_in(config)
    tried = _remembered(place).get(engine)
    if tried is not None and tried.by == by:
        return frozenset(tried.broken)
    broken = _found.get((engine, by))
    if broken is None:
        with scratch() as fetch:
            _found[engine, by] = broken = _tried(facts, fetch)
    if keep:
        remember(config, engine, facts, broken)
    return broken


def some_broken(config: Config, engine: str, facts: Sequence[Fact]) -> bool:
    """Whether any version of an engine is known for which some fact does not hold; of one that was not met, nothing is."""
    by = _list(facts)
    here = (tried.broken for name, tried in _remembered(remembered_in(config)).items() if name.startswith(engine))
    return any(here) or any(
        broken for (name, list_), broken in _found.items() if name.startswith(engine) and list_ == by
    )


def remembered_in(config: Config) -> Path:
    return config.root / ".sqlflow" / "cache" / "engines.json"


def remember(config: Config, engine: str, facts: Sequence[Fact], broken: frozenset[str]) -> None:
    """Write down what was found of a version."""
    place = remembered_in(config)
    known = {**_remembered(place), engine: Tried(_list(facts), tuple(sorted(broken)))}
    beside = place.with_name(f"{place.name}.{os.getpid()}")
    with suppress(OSError):  # it is found out again
        place.parent.mkdir(parents=True, exist_ok=True)
        beside.write_text(encode(known))
        beside.replace(place)


def tell(engine: str, facts: Sequence[Fact], broken: frozenset[str], emit: Emit) -> None:
    """Say in one line what does not hold. Raises ProjectError where nothing can be done about it."""
    wrong = [fact for fact in facts if fact.name in broken and (not fact.instead_of or fact.instead_of in broken)]
    hopeless = [fact for fact in wrong if not fact.otherwise]
    if hopeless:
        raise one_problem(
            "engine-differs",
            f"SQLFlow cannot build with {engine}, as it is not so that {'; nor that '.join(fact.says for fact in hopeless)}",
            hint=f"use another version of it: {hopeless[0].rests} rests on this",
        )
    if wrong:
        told = "; ".join(f"it is not so that {fact.says}: {fact.otherwise}" for fact in wrong)
        emit(Told(f"{engine} differs from the versions that SQLFlow was tested with: {told}"))


def _tried(facts: Sequence[Fact], fetch: Fetch) -> frozenset[str]:
    broken: set[str] = set()
    for fact in facts:
        if not fact.instead_of or fact.instead_of in broken:
            try:
                holds = fact.holds(fetch)
            except EngineError as error:
                if error.code != "statement-failed":
                    raise  # the connection was lost: that says nothing of the engine
                holds = False
            if not holds:
                broken.add(fact.name)
    return frozenset(broken)


def _list(facts: Sequence[Fact]) -> str:
    text = "\n".join([__version__, *(f"{fact.name}: {fact.says}" for fact in facts)])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _remembered(place: Path) -> Mapping[str, Tried]:
    try:
        return decode(place.read_bytes(), dict[str, Tried])
    except (OSError, ValueError):
        return {}
