"""A build that is killed, at any statement or at any time, and run again gives the tables of one that was not."""

from __future__ import annotations

import random
import shutil
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from every_mode import Contents, begin, child, contents, happen, happen_more
from lawful import Lawful


@dataclass(frozen=True, slots=True)
class Scene:
    """A project that is about to be built, and what an undisturbed build makes of it.

    `later`: the tables after a further change and a further build. `statements`: how many boundaries the build has.
    """

    project: Lawful
    expected: Contents
    later: Contents
    statements: int
    seconds: float


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Scene]:
    """The first build of all, and one after many changes."""
    folder = tmp_path_factory.mktemp("scenes")
    first = begin(Lawful(folder / "first"))
    changed = begin(Lawful(folder / "changed"))
    built = changed.build()
    assert built.code == 0, built.told
    assert changed.planned() == []
    happen(changed)
    return {"first": _scene(first, folder), "changed": _scene(changed, folder)}


def _scene(project: Lawful, folder: Path) -> Scene:
    undisturbed = _copy(project, folder / f"{project.root.name}-undisturbed")
    count = folder / "count"
    started = time.monotonic()
    process = child(undisturbed, "build", "--threads", "2", ALONE=1, COUNT=count)
    _, told = process.communicate(timeout=60)
    seconds = time.monotonic() - started
    assert process.returncode == 0, told
    assert undisturbed.planned() == []
    expected = contents(undisturbed)
    assert len(expected) > 12
    happen_more(undisturbed)
    assert undisturbed.build().code == 0
    return Scene(project, expected, contents(undisturbed), int(count.read_text()), seconds)


def _copy(project: Lawful, to: Path) -> Lawful:
    shutil.copytree(project.root, to)
    return Lawful(to)


def _kill(scene: Scene, folder: Path, disturb: Callable[[Lawful], int], *, forget: bool, further: bool = True) -> bool:
    """Disturb a build, build again, and compare; `further` goes on. Whether the build was disturbed before its end."""
    project = _copy(scene.project, folder)
    try:
        code = disturb(project)
        assert code in (0, -signal.SIGKILL), code
        if forget:
            project.forget_state()
        built = project.build()
        assert built.code == 0, built.told
        found = contents(project)
        assert list(found) == list(scene.expected), "other tables are there"
        assert found == scene.expected
        assert project.planned() == []
        if not further:
            return code != 0
        happen_more(project)
        built = project.build()
        assert built.code == 0, built.told
        assert contents(project) == scene.later, "something was not remembered"
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return code != 0


def _at(number: int, threads: int) -> Callable[[Lawful], int]:
    def disturb(project: Lawful) -> int:
        process = child(project, "build", "--threads", str(threads), ALONE=1, KILL_AT=number)
        process.communicate(timeout=60)
        return process.returncode

    return disturb


def _after(seconds: float) -> Callable[[Lawful], int]:
    def disturb(project: Lawful) -> int:
        process = child(project, "build")
        time.sleep(seconds)
        process.kill()
        process.communicate(timeout=60)
        return process.returncode

    return disturb


def _everywhere(scenes: dict[str, Scene], folder: Path, kills: int) -> None:
    """That many kills, spread evenly over the statements of both builds."""
    points = [(name, number) for name, scene in scenes.items() for number in range(1, scene.statements + 1)]
    chosen = [points[i * len(points) // kills] for i in range(kills)] if kills < len(points) else points
    killed = sum(
        _kill(
            scenes[name],
            folder / str(number),
            _at(number, 1 + position % 2),
            forget=position // 2 % 2 == 0,
            further=position % 3 == 0,
        )
        for position, (name, number) in enumerate(chosen)
    )
    assert killed > 0.9 * len(chosen), "too few builds were really killed"


def _at_any_time(scenes: dict[str, Scene], folder: Path, kills: int, chance: random.Random) -> None:
    for number in range(kills):
        scene = scenes["first" if number % 2 else "changed"]
        _kill(
            scene, folder / str(number), _after(chance.uniform(0.3, 1.0) * scene.seconds), forget=chance.random() < 0.5
        )


def test_killed_before_any_statement(scenes: dict[str, Scene], tmp_path: Path) -> None:
    _everywhere(scenes, tmp_path, 24)


def test_killed_at_any_time(scenes: dict[str, Scene], tmp_path: Path) -> None:
    _at_any_time(scenes, tmp_path, 6, random.Random(7))


def _and_then_changed(scenes: dict[str, Scene], folder: Path, kills: int) -> None:
    """The data change between the kill and the next build: what is half done must not be taken for done."""
    first, expected = scenes["first"], dict(scenes["changed"].expected)
    del expected['ext."hooked"']  # one build more or less has run
    for number in range(kills):
        project = _copy(first.project, folder / str(number))
        _at(first.statements * (kills + number) // (2 * kills), 1)(project)
        happen(project)
        built = project.build()
        assert built.code == 0, built.told
        found = contents(project)
        del found['ext."hooked"']
        assert found == expected
        shutil.rmtree(project.root)


def test_killed_and_then_changed(scenes: dict[str, Scene], tmp_path: Path) -> None:
    _and_then_changed(scenes, tmp_path, 6)


@pytest.mark.long
def test_killed_and_then_changed_at_length(scenes: dict[str, Scene], tmp_path: Path) -> None:
    _and_then_changed(scenes, tmp_path, 60)


@pytest.mark.long
def test_killed_before_every_statement(scenes: dict[str, Scene], tmp_path: Path) -> None:
    _everywhere(scenes, tmp_path, 100_000)


@pytest.mark.long
def test_killed_at_many_times(scenes: dict[str, Scene], tmp_path: Path) -> None:
    _at_any_time(scenes, tmp_path, 100, random.Random())


@pytest.mark.long
def test_killed_again_and_again(scenes: dict[str, Scene], tmp_path: Path) -> None:
    """Each build gets a little further than the one before, and the next one goes on from there."""
    for name, scene in scenes.items():
        project = _copy(scene.project, tmp_path / name)
        for number in range(20, scene.statements, 25):
            process = child(project, "build", ALONE=1, KILL_AT=number)
            process.communicate(timeout=60)
        assert project.build().code == 0
        assert contents(project) == scene.expected
