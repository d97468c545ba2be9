"""A new version of SQLFlow finds what an older one has left behind, and goes on with it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from every_engine import NewProject, on_every_engine
from lawful import Contents, Lawful
from upgraded import KEPT, happen_more, restored

from sqlflow.cli.state import show_runs, show_state


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    short = ("test_nothing_is_rebuilt_after_an_upgrade", "test_after_an_upgrade_only_what_is_new_is_read")
    on_every_engine(metafunc, short=short)


_BY_THE_CLOCK = "marts.today"


def _older(new_project: NewProject, root: Path) -> Lawful:
    return restored(KEPT / "format-2" / new_project.engine, new_project(root))


def _theirs(new_project: NewProject, when: str) -> list[str]:
    """What the older version would have done."""
    return (KEPT / "format-2" / new_project.engine / f"{when}.txt").read_text().splitlines()


def _of_models(planned: list[str]) -> list[str]:
    """The tasks but those of inputs (the files of a source stand in another folder now), and of a table that depends on the
    clock."""
    return sorted(task for task in planned if not task.startswith(("raw.", _BY_THE_CLOCK)))


def _timeless(contents: Contents) -> Contents:
    return {name: rows for name, rows in contents.items() if "today" not in name}


def test_nothing_is_rebuilt_after_an_upgrade(new_project: NewProject, tmp_path: Path) -> None:
    made = _older(new_project, tmp_path / "project")
    before, planned = made.contents(), _of_models(made.planned())
    assert planned == _of_models(_theirs(new_project, "next"))  # what was written while the older version built
    built = made.build()
    assert built.code == 0, built.told
    after = made.contents()
    assert {name for name in before if after[name] != before[name]} <= {
        'keyed."stream"',
        "keyed.stream",
        'marts."today"',
        "marts.today",
    }
    assert made.planned() == []


def test_after_an_upgrade_only_what_is_new_is_read(new_project: NewProject, tmp_path: Path) -> None:
    made = _older(new_project, tmp_path / "project")
    happen_more(made)
    assert _of_models(made.planned()) == _of_models(_theirs(new_project, "later"))
    built = made.build()
    assert built.code == 0, built.told
    kept = _timeless(made.contents())
    rebuilt = made.build("inc.*", "kept.*", "marts.*", full_refresh=True)
    assert rebuilt.code == 0, rebuilt.told
    assert _timeless(made.contents()) == kept


def test_the_history_stays(new_project: NewProject, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = _older(new_project, tmp_path / "project")
    built = made.build()
    assert "the run-state file was upgraded from format" in built.told
    capsys.readouterr()
    show_runs(10, made.root, None, json=True)
    oldest = json.loads(capsys.readouterr().out)[-1]["results"]
    assert {result["table"]: result["strategy"] for result in oldest}["kept.linear"] == "full"
    show_state("keyed.newest", made.root, None, json=True)
    shown = json.loads(capsys.readouterr().out)
    assert (shown["strategy"], shown["watermark"]) == ("merge", "2024-01-02 01:00:00")
    assert "rows_read = 3" in shown["facts"]
