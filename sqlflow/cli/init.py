"""`sqlflow init`: a new project."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from sqlflow.cli.packaged import packaged
from sqlflow.core.diagnostics import one_problem

_EMPTY = """\
name: {name}
dialect: duckdb
targets:
  dev: {{engine: duckdb, path: {name}.duckdb}}
default_target: dev
"""
_IGNORED = ".sqlflow/\ntarget/\n*.duckdb\n*.duckdb.wal\n"
_LEFT_OUT = shutil.ignore_patterns(".sqlflow", "target", "*.duckdb", "*.duckdb.wal", "__pycache__")


def make_project(folder: Path, *, empty: bool) -> None:
    """Copy the template, or write an empty project, into a folder that holds nothing yet."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise one_problem("folder-not-empty", f"`{folder}` is there already and not empty", None, "choose another name")
    if empty:
        _make_empty(folder)
    else:
        shutil.copytree(packaged("_project_template", "project_template"), folder, dirs_exist_ok=True, ignore=_LEFT_OUT)
    print(f"made `{folder}`", file=sys.stderr)
    print(f"next: cd {folder} && sqlflow build", file=sys.stderr)


def _make_empty(folder: Path) -> None:
    for name in ("models", "sources", "seeds", "macros"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    safe = "".join(c if c.isalnum() or c in "_-" else "_" for c in folder.resolve().name) or "project"
    (folder / "sqlflow.yml").write_text(_EMPTY.format(name=safe), encoding="utf-8")
    (folder / ".gitignore").write_text(_IGNORED, encoding="utf-8")
