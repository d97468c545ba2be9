"""`sqlflow init`: a project that builds, and builds twice to nothing."""

from __future__ import annotations

from pathlib import Path

from markdown_cases import sqlflow


def test_the_example_builds_and_then_has_nothing_to_do(tmp_path: Path) -> None:
    made = sqlflow(tmp_path, "sqlflow init flights")
    assert made.code == 0
    assert "cd flights" in made.err
    project = tmp_path / "flights"
    built = sqlflow(project, "sqlflow build")
    assert built.code == 0, built.err
    assert "nothing to do" in sqlflow(project, "sqlflow build").err
    assert sqlflow(project, "sqlflow check").code == 0


def test_an_empty_project(tmp_path: Path) -> None:
    assert sqlflow(tmp_path, "sqlflow init --empty 'my project'").code == 0
    project = tmp_path / "my project"
    assert sqlflow(project, "sqlflow build").code == 0
    (project / "models/one.sql").write_text("SELECT 1 AS x")
    assert sqlflow(project, "sqlflow build").code == 0
    assert sqlflow(project, "sqlflow show one").out.split() == ["x", "-", "1"]


def test_two_fresh_projects_have_names_of_their_own(tmp_path: Path) -> None:
    for folder in ("a", "b", "my project", "123", "true"):
        assert sqlflow(tmp_path, f"sqlflow init '{folder}'").code == 0
        assert sqlflow(tmp_path, f"sqlflow init --empty '{folder} empty'").code == 0
        for made in (folder, f"{folder} empty"):
            assert sqlflow(tmp_path / made, "sqlflow list").code == 0, made
    names = [(tmp_path / f / "sqlflow.yml").read_text().partition("name: ")[2].split("\n")[0] for f in ("a", "b")]
    assert names == ["a", "b"]


def test_a_folder_with_something_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there/file").write_text("mine")
    ran = sqlflow(tmp_path, "sqlflow init there")
    assert ran.code == 1
    assert "error[folder-not-empty]" in ran.err
    assert [path.name for path in (tmp_path / "there").iterdir()] == ["file"]


def test_names_with_anything_in_them(tmp_path: Path) -> None:
    assert sqlflow(tmp_path, "sqlflow init --empty 'a: {b'").code == 0
    assert sqlflow(tmp_path / "a: {b", "sqlflow build").code == 0
