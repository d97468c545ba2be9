"""Whatever happens to the files of a source, a table kept over them equals its query over all of them, or the build is
refused with the name of a file."""

from __future__ import annotations

import itertools
import os
import time
from pathlib import Path

import pytest
from every_engine import NewProject, on_every_engine
from files import Seen, tell


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    on_every_engine(metafunc)


@pytest.mark.parametrize("seed", [1, *(pytest.param(seed, marks=pytest.mark.long) for seed in (0, 2, 3, 4))])
def test_tables_over_files_equal_their_queries(seed: int, tmp_path: Path, new_project: NewProject) -> None:
    numbers = itertools.count()
    wrong = tell(new_project(tmp_path / "kept"), lambda: new_project(tmp_path / f"new{next(numbers)}"), seed, 5, Seen())
    assert wrong is None, wrong


@pytest.mark.long
def test_many_sources_of_files(tmp_path: Path, new_project: NewProject) -> None:
    """`SQLFLOW_FILES_SECONDS` and `SQLFLOW_FILES_SEED` say how long, and where to begin."""
    seen, ends = Seen(), time.monotonic() + float(os.environ.get("SQLFLOW_FILES_SECONDS", "120"))
    numbers = itertools.count()
    for seed in itertools.count(int(os.environ.get("SQLFLOW_FILES_SEED", "1000"))):
        if time.monotonic() > ends:
            break
        kept = new_project(tmp_path / f"kept{seed}")
        wrong = tell(kept, lambda: new_project(tmp_path / f"new{next(numbers)}"), seed, 8, seen)
        kept.drop()
        assert wrong is None, f"{wrong}\nafter {seen}"
    print(seen)
