"""A mode that is added to `Mode` and forgotten somewhere is found here."""

from __future__ import annotations

from pathlib import Path

import pytest
from every_mode import FILES

from sqlflow.core.model import Header
from sqlflow.core.modes import PROMISES, Mode, Strategy, promised
from sqlflow.plan.modes import MODES
from sqlflow.project.directives import DIRECTIVES

ROOT = Path(__file__).parents[2]
WRITTEN = [mode for mode in Mode if mode is not Mode.TEST]


def test_every_mode_has_a_promise_and_nothing_else_has_one() -> None:
    assert list(PROMISES) == list(Mode)
    assert not promised("seed").stands


def test_every_mode_that_is_run_has_a_file_with_what_it_does_and_what_proves_it() -> None:
    assert list(MODES) == [mode for mode in Mode if not PROMISES[mode].inlined]
    for mode in MODES.values():
        assert all(callable(function) for function in (mode.update, mode.rebuild, mode.proofs))


@pytest.mark.parametrize("mode", WRITTEN)
def test_every_mode_is_in_the_project_that_is_killed_and_raced(mode: Mode) -> None:
    headers = " ".join(text for path, text in FILES.items() if path.startswith("models/"))
    assert mode is Mode.AUTO or f"@mode: {mode}" in headers


@pytest.mark.parametrize("mode", WRITTEN)
def test_every_mode_is_told_in_the_manual(mode: Mode) -> None:
    page = (ROOT / "docs/modes.md").read_text().splitlines()
    headings = [line.strip("# ").split(" and ") for line in page if line.startswith("## ")]
    anchors = ["-and-".join(names) for names in headings if mode in names]
    assert len(anchors) == 1, f"docs/modes.md needs a heading for {mode}"
    (row,) = (line for line in page if line.startswith(f"| [`{mode}`](#{anchors[0]})"))
    needed = ", ".join(f"`{name}`" for name in PROMISES[mode].needs)
    assert row.split("|")[-2].strip() == needed


@pytest.mark.parametrize("mode", Mode)
def test_a_mode_needs_only_directives_that_it_can_have(mode: Mode) -> None:
    promise = PROMISES[mode]
    for name in promise.needs:
        modes = DIRECTIVES[name].modes
        assert modes is None or mode in modes
        assert hasattr(Header(), name)


@pytest.mark.parametrize("mode", Mode)
def test_a_mode_that_is_written_has_strategies_and_the_first_is_to_choose(mode: Mode) -> None:
    promise = PROMISES[mode]
    assert promise.is_table == bool(promise.strategies)
    assert promise.strategies[:1] in ((), (Strategy.AUTO,))


@pytest.mark.parametrize("mode", Mode)
def test_the_facts_of_a_promise_do_not_contradict_each_other(mode: Mode) -> None:
    promise = PROMISES[mode]
    assert promise.is_table or not (promise.keyed or promise.timed or promise.keeps or promise.follows)
    assert not (promise.timed and promise.keeps)
    assert not promise.stands or not (promise.inlined or promise.tests)
