"""The peer benchmark, with SQLFlow's part run end to end on a tiny project."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent


def peers(work: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benchmarks.peers", *words, "--work", str(work)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


def run(work: Path, *words: str) -> list[dict[str, Any]]:
    """What `run` has measured of SQLFlow in this Python's environment, one dict for each line of the results."""
    here = [f"--python={tool}={sys.executable}" for tool in ("sqlflow", "plain-1")]
    small = ("--sizes=10", "--build-sizes=10", "--rows=20", "--events=2000", "--repeat=1", "--kills=1")
    done = peers(work, "run", "--tools=sqlflow", *here, *small, *words)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in (work / "results.jsonl").read_text().splitlines()]


@pytest.mark.long  # a benchmark, though a short one
def test_sqlflow_s_part_of_the_peer_benchmark_runs_and_its_tables_are_right(tmp_path: Path) -> None:
    work = tmp_path / "work"
    run(work, "--cases=compile,build")
    lines = run(work, "--cases=next-day", "--only=merge")
    assert not [line for line in lines if line["sample"]["code"]]
    measured = [(line["key"]["case"], line["key"]["command"], line["key"]["state"]) for line in lines]
    compiled = ("cold", "nothing changed", "one file edited")
    assert measured == [
        *(("compile", "compile --dry-run", state) for state in compiled),
        *(("compile", "compile", state) for state in compiled),
        ("build", "build", "from nothing"),
        ("build", "build", "nothing changed"),
        ("build", "build", "edited, a column nobody reads"),
        ("build", "build", "edited, a column all read"),
        ("next-day", "`mode: merge`", "100 days"),
        ("next-day", "`mode: merge`", "the next day"),
        ("next-day", "`mode: merge`", "once more"),
        ("next-day", "`mode: merge`", "killed"),
    ]
    assert [line["facts"]["wrong"] for line in lines if line["key"]["case"] == "build"] == [0, 0, 0, 0]
    assert all(line["facts"]["right"] for line in lines[-3:])
    assert run(work, "--cases=compile,build") == lines, "nothing is measured twice"

    page = tmp_path / "page.md"
    marks = ("<!-- peers: written by `python -m benchmarks.peers report` -->", "<!-- peers: end -->")
    page.write_text(f"before\n{marks[0]}\nold\n{marks[1]}\nafter\n")
    assert peers(work, "report", f"--into={page}").returncode == 0
    text = page.read_text()
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "\nold\n" not in text
    assert "| SQLFlow: `compile --dry-run` | cold |" in text


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("run", "--tools=sqlflow,dbtt"), "dbtt is none of sqlflow, dbt-v2"),
        (("run", "--python=sqlflow=nowhere"), "a tool and the path of a Python"),
        (("report",), "nothing was measured yet"),
    ],
)
def test_wrong_usage_of_the_peer_benchmark_is_said(tmp_path: Path, words: tuple[str, ...], said: str) -> None:
    done = peers(tmp_path, *words)
    assert done.returncode != 0
    assert said in done.stderr
    assert "Traceback" not in done.stderr
