"""Tables and files from outside, declared in sources/*.yml."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath

from sqlflow.core.checks import CheckSpec
from sqlflow.core.config import Config
from sqlflow.core.diagnostics import Diagnostic
from sqlflow.core.model import Missing, Source
from sqlflow.core.names import TableName
from sqlflow.core.paths import named_by
from sqlflow.core.source import SourceFile
from sqlflow.core.text import MappedText
from sqlflow.project import yaml
from sqlflow.project.checks import read_check, read_checks, read_column_checks
from sqlflow.project.csv_options import one_character, texts
from sqlflow.project.discover import inside, outside
from sqlflow.project.names import refuse_reserved_schema
from sqlflow.project.snippets import Vocabulary, sql_type
from sqlflow.project.values import Given, root_of
from sqlflow.quality.freshness import FRESHNESS

_KEYS = (
    "path",
    "table",
    "time",
    "cursor",
    "key",
    "append_only",
    "freshness",
    "columns",
    "description",
    "delimiter",
    "skip",
    "nulls",
    "date_format",
    "timestamp_format",
    "hive",
    "on_missing_file",
    "on_missing_column",
    "checks",
)
_OF_CSV = ("delimiter", "skip", "nulls", "date_format", "timestamp_format")
_OF_FILES = ("hive", "on_missing_file", "on_missing_column", *_OF_CSV)
_TEXT_FORMATS = ("csv", "tsv", "json", "jsonl", "ndjson")
_EXTENSION = re.compile(rf"\.(?:parquet|(?:{'|'.join(_TEXT_FORMATS)})(?:\.(?:gz|zst))?)", re.IGNORECASE)
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:")


def read_sources(
    files: Iterable[SourceFile], config: Config, vocabulary: Vocabulary, problems: list[Diagnostic]
) -> tuple[Source, ...]:
    """The sources that the files declare, in order."""
    found: list[Source] = []
    for file in files:
        document = yaml.load(MappedText.of(file), problems)
        if document is None or document.value is None:
            continue
        for key, given in root_of(document, problems).entries().items():
            source = _source(key, given, config, vocabulary)
            if source is not None:
                found.append(source)
    return tuple(found)


def _source(key: str, given: Given, config: Config, vocabulary: Vocabulary) -> Source | None:
    name = _table(key, given, config.default_schema, at_key=True)
    if name is not None and refuse_reserved_schema(name.schema, given.key_span, given.problems):
        name = None
    fields = given.fields(_KEYS)
    if not isinstance(given.value, dict):
        return None
    if ("path" in fields) == ("table" in fields):
        both = "path" in fields
        message = "both `path` and `table` are given" if both else "neither `path` nor `table` is given"
        hint = "keep one of them" if both else "write `path: data/file.parquet` or `table: schema.name`"
        given.fail(message, "invalid-value" if both else "missing-key", hint, at_key=True)
    path = _path(fields["path"], config) if "path" in fields else None
    table: TableName | None = None
    if "table" in fields and (text := fields["table"].text()) is not None:
        table = _table(text, fields["table"], config.default_schema)
    time = fields["time"].text() if "time" in fields else None
    cursor = fields["cursor"].text() if "cursor" in fields else None
    columns = fields["key"].names() if "key" in fields else ()
    append_only = fields["append_only"].boolean() if "append_only" in fields else None
    checks = list(read_checks(fields["checks"], vocabulary)) if "checks" in fields else []
    types = _columns(fields["columns"], vocabulary, checks) if "columns" in fields else {}
    description = fields["description"].text() if "description" in fields else None
    if "freshness" in fields:
        checks += _freshness(fields["freshness"], cursor or time, vocabulary)
    for key in _OF_FILES:
        if key in fields and "path" not in fields:
            fields[key].fail(f"{fields[key].label}: only files have it", "invalid-value", "leave it out", at_key=True)
        elif key in fields and key in _OF_CSV and path is not None and extension_of(path) not in ("csv", "tsv"):
            fields[key].fail(
                f"{fields[key].label}: only CSV files have it", "invalid-value", "leave it out", at_key=True
            )
    if name is None:
        return None
    spans = {"path": fields["path"].span} if "path" in fields else {}
    if "columns" in fields and isinstance(fields["columns"].value, dict):
        spans |= {f"columns.{column.lower()}": at.key_span for column, at in fields["columns"].entries().items()}
    return Source(
        name,
        given.key_span,
        path,
        table,
        time,
        cursor,
        columns,
        append_only or False,
        types,
        description or "",
        delimiter=one_character(fields["delimiter"]) if "delimiter" in fields else None,
        skip=fields["skip"].integer() if "skip" in fields else None,
        nulls=texts(fields["nulls"]) if "nulls" in fields else (),
        date_format=fields["date_format"].text() if "date_format" in fields else None,
        timestamp_format=fields["timestamp_format"].text() if "timestamp_format" in fields else None,
        folders=fields["hive"].boolean() if "hive" in fields else None,
        missing_file=_missing(fields, "on_missing_file", Missing.WARN, (Missing.WARN, Missing.FAIL)),
        missing_column=_missing(fields, "on_missing_column", Missing.FAIL, (Missing.FAIL, Missing.NULL)),
        spans=spans,
        checks=tuple(checks),
    )


def _freshness(given: Given, column: str | None, vocabulary: Vocabulary) -> tuple[CheckSpec, ...]:
    """How old the newest row may be: of `cursor` or `time`, or of a column that is named here."""
    names_it = isinstance(given.value, dict) and "column" in given.value
    if column is None and not names_it:
        given.fail("it is not said which column tells the age", "missing-key", "add `column: loaded_at`", at_key=True)
        return ()
    found = read_check(FRESHNESS, given, given, vocabulary, None if names_it else column)
    return () if found is None else (found,)


def _missing(fields: Mapping[str, Given], key: str, default: Missing, known: tuple[Missing, ...]) -> Missing:
    if key in fields and fields[key].value is None and Missing.NULL in known:
        return Missing.NULL  # as YAML takes the word without quotes
    chosen = fields[key].choice("value", known) if key in fields else None
    return Missing(chosen) if chosen is not None else default


def _table(text: str, given: Given, default_schema: str, at_key: bool = False) -> TableName | None:
    parts = [part.strip() for part in text.strip().split(".")]
    if len(parts) > 2 or not all(parts):
        given.fail(f"`{text}` is not a table", "invalid-value", "write `schema.table`", at_key)
        return None
    return TableName(*parts) if len(parts) == 2 else TableName(default_schema, parts[0])


def _path(given: Given, config: Config) -> str | None:
    if (text := given.text()) is None:
        return None
    if not _EXTENSION.search(PurePosixPath(text).name) or not _EXTENSION.fullmatch(_suffix(text)):
        hint = "it ends in .parquet, .csv, .tsv, .json, .jsonl or .ndjson; text may be .gz or .zst"
        given.fail(f"`{text}` is not of a known format", "invalid-value", hint)
        return None
    if _URL.match(text):
        if config.allow_outside_paths:
            return text
        given.problems.append(outside(f"{given.label}: `{text}` is", given.span))
        return None
    matches = named_by(config.root, text)
    if not config.allow_outside_paths:
        places = {Path(os.path.normpath(config.root / text)), *matches}
        if not all(_lies_inside(config.root, place) for place in places):
            given.problems.append(outside(f"{given.label}: `{text}` is", given.span))
            return None
    if not matches:
        given.fail(f"no file matches `{text}`", "no-files", _nearest(config.root, text))
    return text


def extension_of(path: str) -> str:
    """`csv` for `a/b.csv.gz`."""
    return _suffix(path).lower().removesuffix(".gz").removesuffix(".zst").removeprefix(".")


def _suffix(text: str) -> str:
    suffixes = PurePosixPath(text).suffixes
    compressed = bool(suffixes) and suffixes[-1].lower() in (".gz", ".zst")
    return "".join(suffixes[-2:] if compressed else suffixes[-1:])


def _lies_inside(root: Path, place: Path) -> bool:
    """A glob's own path is judged up to its first wildcard."""
    fixed = place
    while glob.has_magic(str(fixed)) and not fixed.exists():
        fixed = fixed.parent
    lexically = Path(os.path.normpath(fixed)).is_relative_to(os.path.normpath(root))
    return inside(root, fixed) and (lexically or fixed.exists())


def _nearest(root: Path, text: str) -> str:
    folder = (root / text).parent
    while not folder.is_dir():
        if folder == folder.parent:
            return "paths start at the project's folder"
        folder = folder.parent
    names = sorted(name for name in os.listdir(folder) if not name.startswith(".") and _EXTENSION.search(name))
    shown = ", ".join(f"`{name}`" for name in names[:3])
    where = folder.relative_to(root) if folder.is_relative_to(root) else folder
    return f"`{where}` holds {shown}" if shown else f"`{where}` holds no data files"


def _columns(given: Given, vocabulary: Vocabulary, checks: list[CheckSpec]) -> dict[str, str]:
    """Column -> type. What is said about the columns only has to be text; what must hold for them is added to `checks`."""
    types: dict[str, str] = {}
    for column, inside_ in given.entries().items():
        if isinstance(inside_.value, dict):
            fields = inside_.fields(("type", "description", "checks"), () if "checks" in inside_.value else ("type",))
            if "checks" in fields:
                checks += read_column_checks(fields["checks"], column, vocabulary)
            if "description" in fields:
                fields["description"].text()
            if "type" not in fields:
                continue
            inside_ = fields["type"]
        if (text := sql_type(inside_, vocabulary.dialect)) is not None:
            types[column] = text
    return types
