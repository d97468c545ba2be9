"""The columns that a history has beside those of its query."""

from __future__ import annotations

from sqlflow.core.diagnostics import Diagnostic
from sqlflow.core.model import Header
from sqlflow.core.schema import Column, Schema
from sqlflow.core.source import Span

ZONED = "TIMESTAMP WITH TIME ZONE"


def with_validity(header: Header, schema: Schema) -> Schema:
    """The columns of a table whose query has those of `schema`."""
    if not header.promise.history:
        return schema
    cursor = schema.find(header.cursor) if header.cursor is not None else None
    kind = ZONED if cursor is None or cursor.type == ZONED else "TIMESTAMP"
    types = (kind, kind, "BOOLEAN", "BOOLEAN")
    return Schema((*schema, *(Column(name, of) for name, of in zip(header.added, types, strict=False))))


def taken_names(header: Header, schema: Schema, span: Span) -> list[Diagnostic]:
    """Columns of the query that have the name of one that the history has itself."""
    return [
        Diagnostic(
            "duplicate-column",
            f"the query gives `{found.name}`, and a snapshot has a column of that name itself",
            header.spans.get("validity", span),
            "rename it with AS, or give the snapshot's column another name: `-- @validity: {from: ..., to: ..., current: ...}`",
        )
        for name in header.added
        if (found := schema.find(name)) is not None
    ]
