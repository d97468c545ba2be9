"""Names of tables that come from paths, and schemas that nobody may build into."""

from __future__ import annotations

from pathlib import PurePath, PurePosixPath

from sqlflow.core.diagnostics import Diagnostic
from sqlflow.core.names import TableName
from sqlflow.core.source import Span


def table_of(path: PurePosixPath, default_schema: str) -> TableName:
    """The table of a file: `models/staging/eu/x.sql` is `staging.x`, `models/x.sql` is in the default schema.

    A query in tests/ makes no table; it is called `tests.x`, in whatever folder it is.
    """
    if is_test(path):
        return TableName("tests", path.stem)
    schema = path.parts[1] if len(path.parts) > 2 else default_schema
    return TableName(schema, path.stem)


def is_test(path: PurePath) -> bool:
    """Whether a file is one of the queries that must return no rows."""
    return path.parts[0] == "tests"


def refuse_reserved_schema(schema: str, span: Span | None, problems: list[Diagnostic]) -> bool:
    """Whether a schema belongs to SQLFlow or the database; then this is a problem."""
    folded = schema.lower()
    if not (folded.startswith("_sqlflow") or folded in ("information_schema", "pg_catalog", "temp", "system")):
        return False
    owner = "SQLFlow" if folded.startswith("_sqlflow") else "the database"
    message = f"the schema `{schema}` belongs to {owner}"
    problems.append(Diagnostic("reserved-name", message, span, "use another schema"))
    return True


def refuse_staging_name(name: TableName, span: Span | None, problems: list[Diagnostic]) -> None:
    """Names that end like the tables that are built batch by batch would meet them."""
    if name.name.lower().endswith("__building"):
        message = f"names that end in `__building` belong to SQLFlow, and this is `{name}`"
        problems.append(Diagnostic("reserved-name", message, span, "use another name"))
