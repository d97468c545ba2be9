"""Jinja2 is an extra: everything but reading dbt projects runs without it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

_WITHOUT = "import sys; sys.modules['jinja2'] = None; sys.argv = ['sqlflow', *sys.argv[1:]]; from sqlflow.cli.app import main; main()"


def _sqlflow(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", _WITHOUT, *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=120)


def test_without_jinja_a_dbt_project_is_not_read_and_what_to_install_is_said(tmp_path: Path) -> None:
    (tmp_path / "dbt_project.yml").write_text("name: t\n", encoding="utf-8")
    ran = _sqlflow(tmp_path, "migrate", "dbt", ".", "--out", "new")
    assert ran.returncode == 1, ran.stderr
    assert "error[missing-package]" in ran.stderr
    assert 'pip install "sqlflow[dbt]"' in ran.stderr
    assert not (tmp_path / "new").exists()


def test_without_jinja_a_project_is_built(tmp_path: Path) -> None:
    (tmp_path / "sqlflow.yml").write_text(
        "name: t\ntargets: {dev: {engine: duckdb, path: t.duckdb}}\n", encoding="utf-8"
    )
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "one.sql").write_text("SELECT 1 AS n\n", encoding="utf-8")
    assert _sqlflow(tmp_path, "build").returncode == 0
