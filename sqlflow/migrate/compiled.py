"""SQL that dbt compiled before: from manifest.json, or from target/compiled."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from sqlflow.core.diagnostics import one_problem
from sqlflow.migrate.dbt import DbtModel, DbtProject
from sqlflow.migrate.models import Compiled


def compiled_by_dbt(project: DbtProject, manifest: Path | None) -> Callable[[DbtModel], Compiled | None]:
    """Finds a model's compiled SQL. Raises ProjectError when a manifest that was asked for cannot be read."""
    target = str(project.main.settings.get("target-path") or "target")
    path = manifest or project.root / target / "manifest.json"
    nodes: Mapping[str, Any] = {}
    try:
        loaded = json.loads(path.read_text(encoding="utf-8"))
        nodes = loaded.get("nodes") or {}
    except (OSError, ValueError, AttributeError) as error:
        if manifest is not None:
            raise one_problem("unreadable-file", f"`{manifest}` is no manifest of dbt: {error}") from None

    def find(node: DbtModel) -> Compiled | None:
        known = nodes.get(f"{node.resource}.{node.package}.{node.name}")
        said = known if isinstance(known, dict) else {}
        text = said.get("compiled_code") or said.get("compiled_sql")
        if isinstance(text, str) and text.strip():
            return Compiled(_without_database(text, str(said.get("database") or "")), path.name)
        inside = node.file.path
        file = project.root / target / "compiled" / node.package / inside
        try:
            text = file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            return None
        return Compiled(_without_database(text, _database(project)), f"{target}/compiled/{node.package}/{inside}")

    return find


def _database(project: DbtProject) -> str:
    said = project.output.said
    for key in ("database", "dbname", "catalog", "project"):
        if said.get(key):
            return str(said[key])
    path = str(said.get("path") or "")
    return Path(path).stem if path else ""


_QUOTES = (('"', '"'), ("`", "`"), ("", ""))


def _without_database(sql: str, database: str) -> str:
    """Names of three parts as names of two: `"shop"."main"."orders"` is `main.orders`."""
    if not database:
        return sql
    for begin, end in _QUOTES:
        part = rf"{begin}(\w+){end}"
        word = rf"{begin}{re.escape(database)}{end}\."
        sql = re.sub(rf"(?<![\w.\"`]){word}{part}\.{part}", r"\1.\2", sql)
    return sql
