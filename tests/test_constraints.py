"""The tested and the oldest versions are those that pyproject.toml speaks of."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
DIRECT = [
    Requirement(text)
    for text in (*PROJECT["dependencies"], *(t for more in PROJECT["optional-dependencies"].values() for t in more))
]


def _pinned(file: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in (ROOT / file).read_text(encoding="utf-8").splitlines():
        requirement = Requirement(line)
        (pin,) = requirement.specifier
        assert pin.operator == "==", line
        found.setdefault(canonicalize_name(requirement.name), []).append(pin.version)
    return found


@pytest.mark.parametrize("file", ["constraints.txt", "constraints-oldest.txt"])
def test_every_dependency_has_a_version_that_is_allowed(file: str) -> None:
    pinned = _pinned(file)
    for requirement in DIRECT:
        versions = pinned[canonicalize_name(requirement.name)]
        assert all(requirement.specifier.contains(version) for version in versions), requirement


def test_the_oldest_versions_are_the_lower_bounds() -> None:
    pinned = _pinned("constraints-oldest.txt")
    for requirement in DIRECT:
        (oldest,) = pinned[canonicalize_name(requirement.name)]
        bounds = [pin for pin in requirement.specifier if pin.operator == ">="]
        assert not bounds or Requirement(f"x=={bounds[0].version}").specifier.contains(oldest), requirement
