"""The file of facts by content: its bound, and several processes at once."""

from __future__ import annotations

import multiprocessing
import sqlite3
from pathlib import Path

from sqlflow.cache.file import open_cache


def test_what_was_not_used_for_the_longest_time_makes_room(tmp_path: Path) -> None:
    for number in range(8):
        cache = open_cache(tmp_path, "dev", writing=True, most_bytes=5_000)
        assert number == 0 or cache.get("0") is not None  # used each time
        cache.put(str(number), b"x" * 1_000)
        cache.close()
    cache = open_cache(tmp_path, "dev", writing=False)
    kept = [number for number in range(8) if cache.get(str(number)) is not None]
    cache.close()
    assert kept[0] == 0
    assert kept[-1] == 7
    assert 1 not in kept
    assert len(kept) <= 5


def _fill(folder: Path, first: int) -> None:
    for round_ in range(5):
        cache = open_cache(folder, "dev", writing=True)
        cache.put(f"{first}-{round_}", b"value")
        cache.close()


def test_several_processes_write_at_once(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_fill, args=(tmp_path, number)) for number in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    cache = open_cache(tmp_path, "dev", writing=False)
    found = [cache.get(f"{number}-{round_}") for number in range(3) for round_ in range(5)]
    cache.close()
    assert found == [b"value"] * 15
    with sqlite3.connect(tmp_path / "facts.db") as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    connection.close()


def test_reading_makes_no_file(tmp_path: Path) -> None:
    cache = open_cache(tmp_path / "none", "dev", writing=False)
    assert cache.get("x") is None
    cache.put("x", b"1")
    cache.close()
    assert list(tmp_path.iterdir()) == []
