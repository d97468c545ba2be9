"""The built wheel in an empty environment: a project is made and built."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def run(*command: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run([str(word) for word in command], cwd=cwd, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    return done


@pytest.mark.long  # an environment of its own, filled by pip
def test_the_wheel_makes_and_builds_a_project_in_an_empty_environment(tmp_path: Path) -> None:
    run(sys.executable, "-m", "build", "--wheel", "--outdir", tmp_path / "dist", ROOT, cwd=tmp_path)
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    venv.create(tmp_path / "env", with_pip=True)
    binaries = tmp_path / "env" / "bin"
    run(binaries / "python", "-m", "pip", "install", "--quiet", wheel, cwd=tmp_path)
    run(binaries / "sqlflow", "init", "x", cwd=tmp_path)
    built = run(binaries / "sqlflow", "build", cwd=tmp_path / "x")
    assert "built 20 models" in built.stderr
    assert "nothing to do" in run(binaries / "sqlflow", "build", cwd=tmp_path / "x").stderr
    assert "circle" in run(binaries / "sqlflow", "explain", "cycle", cwd=tmp_path).stdout
