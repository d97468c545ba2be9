"""A build that is killed, at any statement or at any time, and run again gives the tables of one that was not.

On PostgreSQL a build takes longer, so that fewer of them are killed in the short run.
"""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from every_mode import FILES, ONE_OF_EACH, begin, child, happen, happen_more
from lawful import Contents, Lawful
from length import at_length
from on_postgres import LawfulPostgres


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


@dataclass(frozen=True, slots=True)
class Scenes:
    """The first build of all, and one after many changes. `share`: of the kills that DuckDB gets."""

    first: Scene
    changed: Scene
    share: float

    def kills(self, number: int) -> int:
        return max(1, round(number * self.share))


@pytest.fixture(scope="module", params=["duckdb", "postgres"])
def scenes(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scenes]:
    """With a table for each way of writing one."""
    with _scenes(request.param, tmp_path_factory.mktemp("scenes"), ONE_OF_EACH) as made:
        yield made


@pytest.fixture(scope="module", params=["duckdb", "postgres"])
def all_scenes(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scenes]:
    """With all that there is."""
    with _scenes(request.param, tmp_path_factory.mktemp("scenes"), FILES) as made:
        yield made


@contextmanager
def _scenes(engine: str, folder: Path, files: Mapping[str, str]) -> Iterator[Scenes]:
    made, share = {"duckdb": (Lawful, 1.0), "postgres": (LawfulPostgres, 0.25)}[engine]
    first = begin(made(folder / "first"), files)
    changed = begin(made(folder / "changed"), files)
    built = changed.build()
    assert built.code == 0, built.told
    assert changed.planned() == []
    happen(changed)
    yield Scenes(_scene(first, folder), _scene(changed, folder), share)
    first.drop()
    changed.drop()


def _scene(project: Lawful, folder: Path) -> Scene:
    undisturbed = project.copy(folder / f"{project.root.name}-undisturbed")
    count = folder / "count"
    started = time.monotonic()
    process = child(undisturbed, "build", "--threads", "2", ALONE=1, COUNT=count)
    _, told = process.communicate(timeout=240)
    seconds = time.monotonic() - started
    assert process.returncode == 0, told
    assert undisturbed.planned() == []
    expected = undisturbed.contents()
    assert len(expected) > 10
    happen_more(undisturbed)
    assert undisturbed.build().code == 0
    later = undisturbed.contents()
    undisturbed.drop()
    return Scene(project, expected, later, int(count.read_text()), seconds)


def _kill(scene: Scene, folder: Path, disturb: Callable[[Lawful], int], *, forget: bool, further: bool = True) -> bool:
    """Disturb a build, build again, and compare; `further` goes on. Whether the build was disturbed before its end."""
    project = scene.project.copy(folder)
    try:
        code = disturb(project)
        assert code in (0, -signal.SIGKILL), code
        if forget:
            project.forget_state()
        built = project.build()
        assert built.code == 0, built.told
        found = project.contents()
        assert list(found) == list(scene.expected), "other tables are there"
        assert found == scene.expected
        assert project.planned() == []
        if not further:
            return code != 0
        happen_more(project)
        built = project.build()
        assert built.code == 0, built.told
        assert project.contents() == scene.later, "something was not remembered"
    finally:
        project.drop()
    return code != 0


def _at(number: int, threads: int) -> Callable[[Lawful], int]:
    def disturb(project: Lawful) -> int:
        process = child(project, "build", "--threads", str(threads), ALONE=1, KILL_AT=number)
        process.communicate(timeout=240)
        return process.wait()

    return disturb


def _after(seconds: float) -> Callable[[Lawful], int]:
    def disturb(project: Lawful) -> int:
        process = child(project, "build")
        time.sleep(seconds)
        process.kill()
        process.communicate(timeout=240)
        return process.wait()

    return disturb


def _everywhere(scenes: Scenes, folder: Path, kills: int, part: int | None = None) -> None:
    """That many kills, spread evenly over the statements of both builds; or a part of them."""
    points = [(scene, number) for scene in (scenes.first, scenes.changed) for number in range(1, scene.statements + 1)]
    chosen = [points[i * len(points) // kills] for i in range(kills)] if kills < len(points) else points
    if part is not None:
        chosen = chosen[part::PARTS]
    killed = sum(
        _kill(
            scene,
            folder / str(position),
            _at(number, 1 + position % 2),
            forget=position // 2 % 2 == 0,
            further=position % 3 == 0,
        )
        for position, (scene, number) in enumerate(chosen)
    )
    assert killed >= 0.8 * len(chosen), "too few builds were really killed"


def _at_any_time(scenes: Scenes, folder: Path, kills: int, chance: random.Random) -> None:
    for number in range(kills):
        scene = scenes.first if number % 2 else scenes.changed
        _kill(
            scene, folder / str(number), _after(chance.uniform(0.3, 1.0) * scene.seconds), forget=chance.random() < 0.5
        )


def test_killed_before_any_statement(scenes: Scenes, tmp_path: Path) -> None:
    _everywhere(scenes, tmp_path, scenes.kills(8))


def _and_then_changed(scenes: Scenes, folder: Path, kills: int) -> None:
    """The data change between the kill and the next build: what is half done must not be taken for done."""
    first, expected = scenes.first, dict(scenes.changed.expected)
    hooked = next(name for name in expected if "hooked" in name)
    del expected[hooked]  # one build more or less has run
    for number in range(kills):
        project = first.project.copy(folder / str(number))
        _at(first.statements * (kills + number) // (2 * kills), 1)(project)
        happen(project)
        built = project.build()
        assert built.code == 0, built.told
        found = project.contents()
        del found[hooked]
        assert found == expected
        project.drop()


def test_killed_and_then_changed(scenes: Scenes, tmp_path: Path) -> None:
    _and_then_changed(scenes, tmp_path, scenes.kills(3))


@pytest.mark.long
def test_killed_and_then_changed_at_length(all_scenes: Scenes, tmp_path: Path) -> None:
    _and_then_changed(all_scenes, tmp_path, all_scenes.kills(at_length(20)))


PARTS = 4


@pytest.mark.long
@pytest.mark.parametrize("part", range(PARTS))
def test_killed_before_many_statements(all_scenes: Scenes, tmp_path: Path, part: int) -> None:
    """Before each of them with SQLFLOW_TEST_LENGTH=10."""
    _everywhere(all_scenes, tmp_path, at_length(120 if all_scenes.share == 1 else 60), part)


@pytest.mark.long
def test_killed_at_many_times(all_scenes: Scenes, tmp_path: Path) -> None:
    _at_any_time(all_scenes, tmp_path, all_scenes.kills(at_length(24)), random.Random())


@pytest.mark.long
def test_killed_again_and_again(all_scenes: Scenes, tmp_path: Path) -> None:
    """Each build gets a little further than the one before, and the next one goes on from there."""
    for scene in (all_scenes.first, all_scenes.changed):
        project = scene.project.copy(tmp_path / scene.project.root.name)
        for number in range(20, scene.statements, max(1, 60 // at_length(1))):
            process = child(project, "build", ALONE=1, KILL_AT=number)
            process.communicate(timeout=240)
        assert project.build().code == 0
        assert project.contents() == scene.expected
        project.drop()
