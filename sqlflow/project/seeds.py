"""CSV files of the project that become tables, with what seeds/*.yml says about them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath

from sqlflow.core.diagnostics import Diagnostic, Note, did_you_mean
from sqlflow.core.model import Seed
from sqlflow.core.names import TableName
from sqlflow.core.source import SourceFile, Span
from sqlflow.core.text import MappedText
from sqlflow.project import yaml
from sqlflow.project.checks import read_checks, read_column_checks
from sqlflow.project.csv_options import one_character, texts
from sqlflow.project.names import refuse_reserved_schema, table_of
from sqlflow.project.snippets import Vocabulary, sql_type
from sqlflow.project.values import Given, root_of

_FOLDER = "seeds"
_KEYS = ("columns", "nulls", "delimiter", "date_format", "timestamp_format", "description", "checks")


def read_seeds(
    paths: Iterable[PurePosixPath],
    settings: Iterable[SourceFile],
    vocabulary: Vocabulary,
    problems: list[Diagnostic],
) -> tuple[Seed, ...]:
    """The seeds, in the order of their paths. `settings`: the files that describe them."""
    tables = [(table_of(path, _FOLDER), path) for path in paths]
    tables = [
        (name, path) for name, path in tables if not refuse_reserved_schema(name.schema, Span(path, 1, 1), problems)
    ]
    described = _described(settings, {name for name, _ in tables}, problems)
    return tuple(_seed(name, path, described.get(name), vocabulary, problems) for name, path in tables)


def _described(
    settings: Iterable[SourceFile], known: set[TableName], problems: list[Diagnostic]
) -> Mapping[TableName, Given]:
    found: dict[TableName, Given] = {}
    for file in settings:
        document = yaml.load(MappedText.of(file), problems)
        if document is None or document.value is None:
            continue
        for key, given in root_of(document, problems).entries().items():
            name = TableName.parse(key, _FOLDER)
            if name not in known:
                hint = did_you_mean(str(name), sorted(map(str, known)))
                given.fail(
                    f"there is no CSV file for `{name}`",
                    "unknown-seed",
                    hint or f"add `seeds/{name.schema}/{name.name}.csv`",
                    at_key=True,
                )
            elif name in found:
                note = Note("first described here", found[name].key_span)
                message = f"the seed `{name}` is described twice"
                problems.append(Diagnostic("duplicate-name", message, given.key_span, notes=(note,)))
            else:
                found[name] = given
    return found


def _seed(
    name: TableName,
    path: PurePosixPath,
    given: Given | None,
    vocabulary: Vocabulary,
    problems: list[Diagnostic],
) -> Seed:
    if given is None or given.value is None:
        return Seed(name, str(path), span=Span(path, 1, 1))
    fields = given.fields(_KEYS)
    types: dict[str, str] = {}
    checks = list(read_checks(fields["checks"], vocabulary)) if "checks" in fields else []
    if "columns" in fields:
        for column, inside in fields["columns"].entries().items():
            if isinstance(inside.value, dict):
                of_column = inside.fields(("type", "description", "checks"))
                if "description" in of_column:
                    of_column["description"].text()
                if "checks" in of_column:
                    checks += read_column_checks(of_column["checks"], column, vocabulary)
                if "type" not in of_column:
                    continue
                inside = of_column["type"]
            if (text := sql_type(inside, vocabulary.dialect)) is not None:
                types[column] = text
    nulls = texts(fields["nulls"]) if "nulls" in fields else ()
    delimiter = one_character(fields["delimiter"]) if "delimiter" in fields else None
    dates = fields["date_format"].text() if "date_format" in fields else None
    moments = fields["timestamp_format"].text() if "timestamp_format" in fields else None
    description = fields["description"].text() if "description" in fields else None
    return Seed(
        name, str(path), types, nulls, delimiter, description or "", given.key_span, dates, moments, tuple(checks)
    )
