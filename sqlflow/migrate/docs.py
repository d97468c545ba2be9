"""Descriptions: text of YAML files, with `{{ doc('name') }}` put in from the Markdown files."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from sqlflow.migrate.blocks import blocks_of
from sqlflow.migrate.dbt import DbtProject, Properties

_DOC = re.compile(r"\{\{\s*doc\(\s*([^)]*)\)\s*\}\}")
_WORD = re.compile(r"['\"]([^'\"]+)['\"]")


class Docs:
    """All blocks `{% docs name %}` of a project."""

    def __init__(self, project: DbtProject) -> None:
        self._texts: dict[str, str] = {}
        for package in reversed(project.packages):
            for file in package.docs:
                for block in blocks_of(file.text, "docs"):
                    self._texts[block.name] = self._texts[f"{package.name}.{block.name}"] = block.body.strip()

    def text(self, said: object) -> str:
        """A description with its blocks put in."""
        if not isinstance(said, str):
            return ""

        def put_in(match: re.Match[str]) -> str:
            words = _WORD.findall(match[1])
            return self._texts.get(".".join(words), self._texts.get(words[-1], match[0])) if words else match[0]

        return _DOC.sub(put_in, said).strip()

    def columns(self, properties: Properties | None) -> Mapping[str, str]:
        """Column -> description."""
        found: dict[str, str] = {}
        said: Any = properties.said.get("columns") if properties is not None else None
        for one in said if isinstance(said, list) else []:
            if isinstance(one, dict) and one.get("name") is not None and (text := self.text(one.get("description"))):
                found[str(one["name"])] = text
        return found
