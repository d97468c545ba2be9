"""Every part of the package has tests that `make quick` finds, and what it names is there."""

from __future__ import annotations

from pathlib import Path

from quick import REACH, ROOT, reached

MODULES = sorted(
    str(path.relative_to(ROOT)) for path in (ROOT / "sqlflow").rglob("*.py") if path.parent.name != "sqlflow"
)


def test_what_it_names_is_there() -> None:
    for test in {test for tests in REACH.values() for test in tests}:
        name = test.removeprefix("cases/")
        assert list(ROOT.glob(test) if name == test else (ROOT / "tests/cases").glob(f"{name}.md")), test


def test_a_module_has_tests_that_a_change_of_it_reaches() -> None:
    assert [module for module in MODULES if not reached([module])] == []


def test_the_tests_of_a_package_are_reached_by_its_modules() -> None:
    packages = [path.name for path in (ROOT / "sqlflow").iterdir() if (ROOT / "tests" / path.name).is_dir()]
    unreached = [
        name for name in packages if not any(t.startswith(f"tests/{name}") for t in reached([f"sqlflow/{name}/x.py"]))
    ]
    assert unreached == []


def test_a_test_that_was_changed_is_run() -> None:
    assert reached(["tests/laws/test_traps.py"]) == ["tests/laws/test_traps.py"]
    assert reached(["tests/cases/modes.md"]) == ["cases/modes"]
    assert reached([str(Path("docs/modes.md"))]) == ["tests/test_docs.py"]
