"""File events become batches: real files, real events."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import pytest
from watching import replace, write

from sqlflow.watch.files import Batch, Inbox, Watch, git_is_busy

PATIENCE = 30.0


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write(tmp_path, {"sqlflow.yml": "name: x\n", "models/a/one.sql": "SELECT 1", "models/b/two.sql": "SELECT 2"})


@pytest.fixture
def inbox(root: Path) -> Iterator[Inbox[str]]:
    found: Inbox[str] = Inbox(git_is_busy(root))
    watch = Watch(root, found, found.post)
    yield found
    watch.stop()


def batch(inbox: Inbox[str]) -> Batch:
    found = inbox.take(PATIENCE)
    assert isinstance(found, Batch), found
    return found


def paths(found: Batch) -> list[str]:
    return [str(path) for path in sorted(found.paths)]


def test_a_save_is_one_batch(root: Path, inbox: Inbox[str]) -> None:
    began = time.monotonic()
    (root / "models/a/one.sql").write_text("SELECT 3")
    found = batch(inbox)
    assert paths(found) == ["models/a/one.sql"]
    assert not found.everything
    assert began - 0.1 <= found.began <= time.monotonic()
    assert inbox.take(0.3) is None


def test_a_file_that_is_renamed_over_another_is_one_batch_too(root: Path, inbox: Inbox[str]) -> None:
    replace(root / "models/a/one.sql", "SELECT 3")
    assert paths(batch(inbox)) == ["models/a/one.sql"]
    assert inbox.take(0.3) is None


def test_a_file_with_another_name_is_two_paths(root: Path, inbox: Inbox[str]) -> None:
    (root / "models/a/one.sql").rename(root / "models/b/uno.sql")
    assert paths(batch(inbox)) == ["models/a/one.sql", "models/b/uno.sql"]


def test_the_project_file_is_watched_and_what_is_none_of_ours_is_not(root: Path, inbox: Inbox[str]) -> None:
    write(root, {"notes.sql": "x", "models/a/.one.sql.swp": "x", "models/a/readme.txt": "x", "models/a/one.sql~": "x"})
    assert inbox.take(0.5) is None
    replace(root / "sqlflow.yml", "name: y\n")
    assert paths(batch(inbox)) == ["sqlflow.yml"]


def test_a_folder_that_comes_or_goes_means_everything(root: Path, inbox: Inbox[str]) -> None:
    shutil.rmtree(root / "models/b")
    assert batch(inbox).everything
    write(root, {"models/c/d/three.sql": "SELECT 3"})
    assert batch(inbox).everything


def test_many_files_are_one_batch_and_everything(root: Path, inbox: Inbox[str]) -> None:
    for number in range(500):
        (root / f"models/a/m{number}.sql").write_text("SELECT 1")
    assert batch(inbox).everything
    assert inbox.take(0.5) is None


def test_while_git_holds_its_lock_a_batch_of_many_waits(root: Path, inbox: Inbox[str]) -> None:
    (root / ".git").mkdir()
    lock = root / ".git/index.lock"
    lock.touch()
    busy: Inbox[str] = Inbox(git_is_busy(root))
    for number in range(20):
        busy.note(PurePosixPath(f"models/m{number}.sql"))
    assert busy.take(1.0) is None
    lock.unlink()
    assert len(batch(busy).paths) == 20


def test_a_file_that_is_held_open_by_its_writer_is_waited_for(root: Path, inbox: Inbox[str]) -> None:
    with (root / "models/a/one.sql").open("w") as file:
        file.write("SELECT ")
        file.flush()
        assert inbox.take(0.1) is None
        file.write("4")
    assert paths(batch(inbox)) == ["models/a/one.sql"]
    assert inbox.take(0.7) is None


def test_messages_come_before_batches_that_are_not_quiet_yet() -> None:
    inbox: Inbox[str] = Inbox()
    inbox.note(PurePosixPath("models/a.sql"))
    inbox.post("hello")
    assert inbox.take() == "hello"
    assert paths(batch(inbox)) == ["models/a.sql"]
