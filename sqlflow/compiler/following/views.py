"""Views looked through: their queries in the place of their names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import PurePosixPath

from sqlflow.compiler.following.question import Reads, resolved_text
from sqlflow.compiler.following.refused import Refused
from sqlflow.compiler.relations import tables_of
from sqlflow.compiler.scopes import Resolved
from sqlflow.core.names import TableName
from sqlflow.core.schema import Schema
from sqlflow.core.source import SourceFile
from sqlflow.core.sql import Ident, Sql, compose, quoted
from sqlflow.core.text import Edit, MappedText

ViewText = Callable[[TableName], str | None]


def own_text(query: str) -> MappedText:
    return MappedText.of(SourceFile(PurePosixPath("query"), query))


def with_views(
    text: MappedText,
    view_text: ViewText,
    reads: Reads,
    columns: Mapping[TableName, Schema],
    dialect: str,
    whole: dict[TableName, str],
    depth: int = 0,
) -> tuple[MappedText, Resolved | None]:
    """The text with the queries of views in the place of their names, and what the names in it stand for
    where it has none. `whole`: the queries of views that were put together before, for others that read them."""
    if depth > 50:
        raise Refused("view", "views are nested too deeply")
    resolved = resolved_text(text.text, reads, columns, dialect)
    edits = []
    for source in tables_of(resolved.query):
        assert source.table is not None
        inner = view_text(source.table)
        if inner is None:
            continue
        if source.start is None or source.end is None or source in resolved.pinned or source.sampled:
            raise Refused("view", f"`{source.table}` is read in a way that its query cannot be put in for")
        if source.table not in whole:
            found, _ = with_views(own_text(inner), view_text, reads, columns, dialect, whole, depth + 1)
            whole[source.table] = found.text
        names = [Ident(name) for name in source.base_columns]
        # The columns are named again: an unnamed one of the view has a name only as a column of it.
        inside = compose("(SELECT {cs} FROM (\n{whole}\n) AS _view({cs}))", cs=names, whole=Sql(whole[source.table]))
        aliased = source.node.args.get("alias") is not None
        edits.append(Edit(source.start, source.end, inside if aliased else f"{inside} AS {quoted(source.name)}"))
    return (text.edit(edits), None) if edits else (text, resolved)
