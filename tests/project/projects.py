"""Tiny projects for tests: files by path, and what is wrong with them as short lines."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from sqlflow.core.config import Config
from sqlflow.core.diagnostics import Diagnostic, ProjectError
from sqlflow.core.model import Model, Project
from sqlflow.project.config import read_config
from sqlflow.project.read import read_project

CONFIG = "name: tiny\ntargets: {dev: {engine: duckdb, path: tiny.duckdb}}\n"


def write(root: Path, files: Mapping[str, str | bytes]) -> Path:
    """The files under `root`, with a sqlflow.yml if there is none among them."""
    for path, content in {"sqlflow.yml": CONFIG, **files}.items():
        place = root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content if isinstance(content, bytes) else content.encode())
    return root


def config(
    root: Path,
    target: str | None = None,
    variables: Mapping[str, str] | None = None,
    environ: Mapping[str, str] | None = None,
) -> Config:
    return read_config(root, target, variables or {}, environ or {})


def config_problems(
    root: Path,
    text: str,
    target: str | None = None,
    variables: Mapping[str, str] | None = None,
    environ: Mapping[str, str] | None = None,
) -> list[str]:
    """What is wrong with a sqlflow.yml."""
    write(root, {"sqlflow.yml": text})
    try:
        config(root, target, variables, environ)
    except ProjectError as error:
        return lines(error.diagnostics)
    return []


def read(root: Path, files: Mapping[str, str | bytes]) -> tuple[Project, list[Diagnostic]]:
    return read_project(config(write(root, files)))


def problems(root: Path, files: Mapping[str, str | bytes]) -> list[str]:
    return lines(read(root, files)[1])


def model(root: Path, text: str, files: Mapping[str, str | bytes] | None = None) -> Model:
    """The one model `models/m.sql` of a project without problems."""
    project, found = read(root, {**(files or {}), "models/m.sql": text})
    assert lines(found) == []
    return next(m for m in project.models if m.name.name == "m")


def model_problems(root: Path, text: str, files: Mapping[str, str | bytes] | None = None) -> list[str]:
    return problems(root, {**(files or {}), "models/m.sql": text})


def lines(diagnostics: Iterable[Diagnostic]) -> list[str]:
    """Each problem as `code: message [line:column+length]`, with the file when it is not models/m.sql."""
    return [f"{d.code}: {d.message} [{_place(d)}]" for d in diagnostics]


def _place(problem: Diagnostic) -> str:
    if problem.span is None:
        return "-"
    span = problem.span
    file = "" if str(span.path) in ("models/m.sql", "sqlflow.yml") else f"{span.path}:"
    return f"{file}{span.line}:{span.column}+{span.length}"
