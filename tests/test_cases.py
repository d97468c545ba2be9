"""Each heading in tests/cases/*.md is a test; see `markdown_cases`."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from markdown_cases import Case, Correction, read_cases, run_case
from quick import CHOSEN_CASES

CHOSEN = [name for name in os.environ.get(CHOSEN_CASES, "").split(",") if name]
CASES = [
    case
    for path in sorted(Path(__file__).parent.joinpath("cases").glob("*.md"))
    if not CHOSEN or path.stem in CHOSEN
    for case in read_cases(path)
]


@pytest.mark.parametrize("case", CASES, ids=[case.id for case in CASES])
def test_case(case: Case, tmp_path: Path, corrections: list[tuple[Case, list[Correction]]] | None) -> None:
    found = run_case(case, tmp_path, update=corrections is not None)
    if corrections is not None:
        corrections.append((case, found))


def test_headings_are_unique() -> None:
    assert len({case.id for case in CASES}) == len(CASES)
