"""Whatever happens to the files of a source, a table kept over them equals its query over all of them, or the build is
refused with the name of a file."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from every_engine import on_every_engine
from files import Seen, tell
from lawful import Lawful


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    on_every_engine(metafunc)


@pytest.mark.parametrize("seed", range(6))
def test_tables_over_files_equal_their_queries(seed: int, tmp_path: Path) -> None:
    wrong = tell(Lawful(tmp_path / "kept"), Lawful(tmp_path / "fresh"), seed, 5, Seen())
    assert wrong is None, wrong


@pytest.mark.long
def test_many_sources_of_files(tmp_path: Path) -> None:
    """`SQLFLOW_FILES_SECONDS` and `SQLFLOW_FILES_SEED` say how long, and where to begin."""
    seen, ends = Seen(), time.monotonic() + float(os.environ.get("SQLFLOW_FILES_SECONDS", "120"))
    seed = int(os.environ.get("SQLFLOW_FILES_SEED", "1000"))
    while time.monotonic() < ends:
        wrong = tell(Lawful(tmp_path / f"kept{seed}"), Lawful(tmp_path / "fresh"), seed, 8, seen)
        assert wrong is None, f"{wrong}\nafter {seen}"
        seed += 1
    print(f"{seed - 1000} worlds: {seen}")
