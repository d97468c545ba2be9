"""What all tests share."""

from __future__ import annotations

import os
from collections.abc import Iterator

import hypothesis
import pytest
from every_engine import NewProject, projects_on
from length import at_length
from markdown_cases import Case, Correction, apply_corrections

hypothesis.settings.register_profile("ci", derandomize=True, deadline=None, print_blob=True)
hypothesis.settings.register_profile("here", deadline=None)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "here")

CORRECTIONS = pytest.StashKey[list[tuple[Case, list[Correction]]]]()


def pytest_xdist_auto_num_workers() -> int:
    """Of `-n auto`: half as many again as there are processors, for tests wait for servers and processes a third of the time."""
    return (os.cpu_count() or 1) * 3 // 2


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-cases", action="store_true", help="Write what happened into tests/cases/*.md.")


def pytest_configure(config: pytest.Config) -> None:
    config.stash[CORRECTIONS] = []


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A longer run takes what it takes."""
    for item in items:
        if item.get_closest_marker("long"):
            item.add_marker(pytest.mark.timeout(at_length(1800)))


@pytest.fixture
def corrections(pytestconfig: pytest.Config) -> list[tuple[Case, list[Correction]]] | None:
    """Where corrections of cases are gathered; None when cases are to be compared."""
    return pytestconfig.stash[CORRECTIONS] if pytestconfig.getoption("update_cases") else None


def pytest_sessionfinish(session: pytest.Session) -> None:
    """All at once, because a correction moves the lines below it."""
    by_path: dict[str, list[Correction]] = {}
    paths = {}
    for case, found in session.config.stash[CORRECTIONS]:
        by_path.setdefault(str(case.path), []).extend(found)
        paths[str(case.path)] = case.path
    for name, found in by_path.items():
        apply_corrections(paths[name], found)


@pytest.fixture
def new_project(request: pytest.FixtureRequest) -> Iterator[NewProject]:
    """See `every_engine`."""
    with projects_on(request.param) as made:
        yield made
