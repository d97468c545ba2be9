"""`sqlflow init`: a new project."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

from sqlflow.cli.packaged import packaged
from sqlflow.core.diagnostics import one_problem

_EMPTY = """\
name: {name}
dialect: duckdb
targets:
  dev: {{engine: duckdb, path: {file}.duckdb}}
default_target: dev
"""
_IGNORED = ".sqlflow/\ntarget/\n*.duckdb\n*.duckdb.wal\n"
_LEFT_OUT = shutil.ignore_patterns(".sqlflow", "target", "*.duckdb", "*.duckdb.wal", "__pycache__")


def make_project(folder: Path, *, empty: bool) -> None:
    """Copy the template, or write an empty project, into a folder that holds nothing yet."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise one_problem("folder-not-empty", f"`{folder}` is there already and not empty", None, "choose another name")
    was_there = folder.exists()
    try:
        if empty:
            _make_empty(folder)
        else:
            template = packaged("_project_template", "project_template")
            shutil.copytree(template, folder, dirs_exist_ok=True, ignore=_LEFT_OUT, copy_function=_copy)
            _name(folder)
    except _NotCopied as error:
        _remove(folder, itself=not was_there)
        raise error.__cause__ or error from None
    except BaseException:
        _remove(folder, itself=not was_there)  # half a project would be in the way of the next try
        raise
    print(f"made `{folder}`", file=sys.stderr)
    print(f"next: cd {folder} && sqlflow build", file=sys.stderr)


class _NotCopied(Exception):
    """What copytree does not gather: it goes on after errors of the system, with the disk full for each file."""


def _copy(source: str, target: str) -> str:
    try:
        return str(shutil.copy2(source, target))
    except OSError as error:
        raise _NotCopied from error


def _remove(folder: Path, *, itself: bool) -> None:
    """What was made in a folder that had nothing in it."""
    for path in folder.iterdir() if folder.is_dir() else ():
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
    if itself and folder.is_dir():
        folder.rmdir()


def _make_empty(folder: Path) -> None:
    for part in ("models", "sources", "seeds", "macros"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    name = _project_name(folder)
    (folder / "sqlflow.yml").write_text(_EMPTY.format(name=_quoted(name), file=name), encoding="utf-8")
    (folder / ".gitignore").write_text(_IGNORED, encoding="utf-8")


def _name(folder: Path) -> None:
    """Call the project as its folder, so that two fresh ones in one database are two."""
    file = folder / "sqlflow.yml"
    text = re.sub(
        r"(?m)^name: .*$", f"name: {_quoted(_project_name(folder))}", file.read_text(encoding="utf-8"), count=1
    )
    file.write_text(text, encoding="utf-8")


def _project_name(folder: Path) -> str:
    return "".join(c if c.isalnum() or c in "_-" else "_" for c in folder.resolve().name) or "project"


def _quoted(name: str) -> str:
    """A name as YAML reads it as text: `123` and `on` would be something else."""
    plain = re.fullmatch(r"[^\W\d_][\w-]*", name) and name.lower() not in _YAML_WORDS
    return name if plain else f'"{name}"'


_YAML_WORDS = frozenset({"true", "false", "yes", "no", "on", "off", "null", "y", "n"})
