"""Names of tables that come from paths, and schemas that nobody may build into."""

from __future__ import annotations

from pathlib import PurePosixPath

from sqlflow.core.diagnostics import Diagnostic
from sqlflow.core.names import TableName
from sqlflow.core.source import Span


def table_of(path: PurePosixPath, default_schema: str) -> TableName:
    """The table of a file: `models/staging/eu/x.sql` is `staging.x`, `models/x.sql` is in the default schema."""
    schema = path.parts[1] if len(path.parts) > 2 else default_schema
    return TableName(schema, path.stem)


def refuse_reserved_schema(schema: str, span: Span | None, problems: list[Diagnostic]) -> bool:
    """Whether a schema belongs to SQLFlow or the database; then this is a problem."""
    folded = schema.lower()
    if not (folded.startswith("_sqlflow") or folded in ("information_schema", "pg_catalog")):
        return False
    owner = "SQLFlow" if folded.startswith("_sqlflow") else "the database"
    message = f"the schema `{schema}` belongs to {owner}"
    problems.append(Diagnostic("reserved-name", message, span, "use another schema"))
    return True
