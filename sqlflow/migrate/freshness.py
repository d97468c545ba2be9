"""How old the rows of a dbt source may be, as `freshness` of a source."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from sqlflow.migrate.configs import as_mapping
from sqlflow.migrate.dbt import Left
from sqlflow.migrate.lookups import SourceTable

_COLUMN = re.compile(r"[^\W\d]\w*")


def freshness_of(source: SourceTable, left: list[Left]) -> Mapping[str, Any]:
    """The directives of a source that say how old it may be; none where dbt does not look."""
    what = f"`freshness` of {source.source}.{source.name}"
    ages = _ages(source)
    if not ages:
        return {}
    column = _said(source, "loaded_at_field")
    if column is None or not _COLUMN.fullmatch(str(column).strip('"`')):
        query = _said(source, "loaded_at_query")
        by = f"`{column}`" if column is not None else "a query" if query else "the metadata of the warehouse"
        hint = "give the column of a view, or of the table, as `column` of `freshness`"
        left.append(Left(what, source.place, f"it is told by {by}, and not by a column", hint))
        return {}
    told = {"column": str(column).strip('"`'), **ages}
    condition = _freshness_said(source).get("filter")
    return {"checks": [{"freshness": {**told, "where": str(condition)}}]} if condition else {"freshness": told}


def _ages(source: SourceTable) -> dict[str, str]:
    said = _freshness_said(source)
    found: dict[str, str] = {}
    for key, word in (("warn_after", "warn"), ("error_after", "error")):
        one = as_mapping(said.get(key))
        count, period = one.get("count"), str(one.get("period") or "")
        if isinstance(count, int) and period in ("minute", "hour", "day"):
            found[word] = f"{count} {period}{'s' * (count != 1)}"
    return found


def _freshness_said(source: SourceTable) -> Mapping[str, Any]:
    """What is said of the table comes before what is said of its source; `null` says that dbt does not look."""
    whole: dict[str, Any] = {}
    for place in (
        source.above,
        as_mapping(source.above.get("config")),
        source.said,
        as_mapping(source.said.get("config")),
    ):
        if "freshness" in place:
            said = place["freshness"]
            whole = {} if said is None else {**whole, **as_mapping(said)}
    return whole


def _said(source: SourceTable, key: str) -> object:
    for place in (
        as_mapping(source.said.get("config")),
        source.said,
        as_mapping(source.above.get("config")),
        source.above,
    ):
        if place.get(key) is not None:
            return place[key]
    return None
