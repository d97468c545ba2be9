"""The header directives: what each may say, which modes can use it, and how its value is read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, datetime

from msgspec import Struct

from sqlflow.core.clock import ClockRule
from sqlflow.core.diagnostics import Diagnostic, Severity, did_you_mean
from sqlflow.core.intervals import Grain, moment_of
from sqlflow.core.model import (
    ColumnNote,
    Conflict,
    Deleted,
    DeletedRows,
    Incremental,
    Index,
    OnSchemaChange,
    PartitionBy,
    Validity,
)
from sqlflow.core.modes import PROMISES, Mode, Strategy
from sqlflow.project.checks import read_checks
from sqlflow.project.names import refuse_reserved_schema
from sqlflow.project.snippets import Vocabulary, condition, statement
from sqlflow.project.values import Given

Parser = Callable[[Given, Vocabulary], object]


class Directive(Struct, frozen=True):
    """One line of the table. `value` and `doc` are what the reference page says about it.

    `parse` gives the value of the field of `Header` that has the directive's name, or None when it is wrong.
    `modes`: those that can use it, None for all. `prose`: plain text that may contain anything, e.g. a colon.
    """

    value: str
    doc: str
    parse: Parser
    modes: frozenset[Mode] | None = None
    prose: bool = False


def _mode(given: Given, _: Vocabulary) -> object:
    word = given.choice("mode", _MODES)
    return None if word is None else Mode(word)


def _names(given: Given, _: Vocabulary) -> object:
    return given.names() or None


def _name(given: Given, _: Vocabulary) -> object:
    if isinstance(given.value, list):
        given.expected("one column")
        return None
    text = given.text()
    return None if text is None else text.strip()


def _schema(given: Given, _: Vocabulary) -> object:
    text = given.text()
    if text is None or refuse_reserved_schema(text.strip(), given.span, given.problems):
        return None
    return text.strip()


def _grain(given: Given, _: Vocabulary) -> object:
    word = given.choice("grain", tuple(Grain))
    return None if word is None else Grain(word)


def _lookback(given: Given, _: Vocabulary) -> object:
    return given.duration()


def _batch(given: Given, _: Vocabulary) -> object:
    if given.value == "none":
        return NO_BATCH
    length = given.duration()
    if length is not None and length.count == 0:
        given.expected("a length of time above zero")
        return None
    return length


def _start(given: Given, _: Vocabulary) -> object:
    hint = "write a date such as `2024-01-31`"
    if not isinstance(given.value, str | date | datetime):
        given.expected("a date", hint)
        return None
    try:
        return moment_of(given.value)
    except (ValueError, OverflowError):
        given.expected("a date", hint)
        return None


def _conflict(given: Given, _: Vocabulary) -> object:
    word = given.choice("conflict rule", tuple(Conflict))
    return None if word is None else Conflict(word)


def _deleted(given: Given, vocabulary: Vocabulary) -> object:
    if isinstance(given.value, str):
        found = condition(given, vocabulary)
        return None if found is None else Deleted(sql=found.sql, written=found.written)
    if not isinstance(given.value, dict):
        given.expected("a condition or `{column: op, values: [D]}`")
        return None
    fields = given.fields(("column", "values"), ("column", "values"))
    if len(fields) < 2:
        return None
    column = fields["column"].text()
    values = [item.value for item in fields["values"].one_or_more()]
    if not values or not all(isinstance(v, str | int | float | date) for v in values):
        fields["values"].expected("a list of values")
        return None
    return None if column is None else Deleted(column, tuple(values))


def _deleted_rows(given: Given, _: Vocabulary) -> object:
    word = given.choice("rule", tuple(DeletedRows))
    return None if word is None else DeletedRows(word)


def _validity(given: Given, _: Vocabulary) -> object:
    if not isinstance(given.value, dict):
        given.expected("a mapping such as `{from: valid_from, to: valid_to, current: is_current}`")
        return None
    fields = given.fields(("from", "to", "current", "deleted", "open"))
    names = {
        word: text for word in ("from", "to", "current", "deleted") if word in fields and (text := fields[word].text())
    }
    usual = Validity()
    found = Validity(
        names.get("from", usual.start),
        names.get("to", usual.end),
        names.get("current", usual.current),
        names.get("deleted", usual.deleted),
        _open_end(fields["open"]) if "open" in fields else None,
    )
    columns = [name.lower() for name in (found.start, found.end, found.current, found.deleted)]
    if len(set(columns)) < len(columns):
        given.fail("two columns of a snapshot have one name", "invalid-value", "give each another name")
        return None
    return found


def _open_end(given: Given) -> date | None:
    if given.value is None:
        return None
    if isinstance(given.value, date) and not isinstance(given.value, datetime) and given.value.year >= 2100:
        return given.value
    given.expected("`null` or a far date", "write `null`, or a date such as `9999-12-31`")
    return None


def _on_schema_change(given: Given, _: Vocabulary) -> object:
    if given.value in ("evolve", "ignore", "sync"):
        hint = "`rebuild` (the default) and `fail` are available"
        _not_yet(given, f"`{given.value}`", hint)
        return None
    word = given.choice("policy", tuple(OnSchemaChange))
    return None if word is None else OnSchemaChange(word)


def _full_refresh(given: Given, _: Vocabulary) -> object:
    word = given.choice("policy", ("allow", "never"))
    return None if word is None else word == "allow"


_OLD_SWAP = "snapshot"  # a mode that keeps history is called so everywhere else


def _strategy(given: Given, _: Vocabulary) -> object:
    if given.value == _OLD_SWAP:
        message = f"{given.label}: `{_OLD_SWAP}` is called `{Strategy.SWAP}` now"
        hint = f"write `{Strategy.SWAP}`; the old word will be refused in a later version"
        given.problems.append(Diagnostic("old-word", message, given.span, hint, Severity.WARNING))
        return Strategy.SWAP
    word = given.choice("strategy", tuple(Strategy))
    return None if word is None else Strategy(word)


def _incremental(given: Given, _: Vocabulary) -> object:
    if given.value is False:  # YAML reads `off` as a boolean
        return Incremental.OFF
    word = given.choice("value", tuple(Incremental))
    return None if word is None else Incremental(word)


def _clock(given: Given, _: Vocabulary) -> object:
    word = given.choice("rule", tuple(ClockRule))
    return None if word is None else ClockRule(word)


def _index(given: Given, vocabulary: Vocabulary) -> object:
    found = (_one_index(item, vocabulary) for item in given.one_or_more())
    return tuple(dict.fromkeys(index for index in found if index is not None)) or None


def _one_index(given: Given, vocabulary: Vocabulary) -> Index | None:
    if not isinstance(given.value, dict):
        names = given.names()
        return Index(names) if names else None
    fields = given.fields(("columns", "unique", "using", "where"), ("columns",))
    if "columns" not in fields or not (names := fields["columns"].names()):
        return None
    using = fields["using"].choice("index method", _INDEX_METHODS) if "using" in fields else ""
    where = condition(fields["where"], vocabulary) if "where" in fields else None
    unique = "unique" in fields and fields["unique"].boolean() is True
    return Index(names, unique, using or "", where.sql if where else None, where.written if where else None)


def _partition_by(given: Given, _: Vocabulary) -> object:
    if not isinstance(given.value, dict):
        text = given.text()
        return None if text is None else PartitionBy(text.strip(), Grain.MONTH)
    fields = given.fields(("column", "by"), ("column",))
    column = fields["column"].text() if "column" in fields else None
    by = fields["by"].choice("unit of time", tuple(Grain)) if "by" in fields else "month"
    return None if column is None or by is None else PartitionBy(column.strip(), Grain(by))


_INDEX_METHODS = ("btree", "hash", "gin", "gist", "spgist", "brin")


def _later(given: Given, _: Vocabulary) -> object:
    _not_yet(given, "this directive", "leave it out")
    return None


def _checks(given: Given, vocabulary: Vocabulary) -> object:
    return read_checks(given, vocabulary)


def _columns(given: Given, _: Vocabulary) -> object:
    notes: dict[str, ColumnNote] = {}
    for name, inside in given.entries().items():
        if isinstance(inside.value, dict):
            fields = inside.fields(("description", "tags"))
            description = fields["description"].text() if "description" in fields else None
            tags = fields["tags"].names() if "tags" in fields else ()
            notes[name] = ColumnNote(description or "", tags)
        elif (text := inside.text()) is not None:
            notes[name] = ColumnNote(text)
    return notes


def _tags(given: Given, _: Vocabulary) -> object:
    for item in given.one_or_more():
        if isinstance(item.value, str) and any(c.isspace() or c == "," for c in item.value.strip()):
            item.fail("a tag has no spaces or commas", "invalid-value", "write a list: `[a, b]`")
    return frozenset(given.names())


def _prose(given: Given, _: Vocabulary) -> object:
    return given.text()


def _boolean(given: Given, _: Vocabulary) -> object:
    return given.boolean()


def _severity(given: Given, _: Vocabulary) -> object:
    word = given.choice("severity", ("error", "warn"))
    return None if word is None else (Severity.WARNING if word == "warn" else Severity.ERROR)


def _statements(given: Given, vocabulary: Vocabulary) -> object:
    found = (statement(item, vocabulary) for item in given.one_or_more())
    return tuple(sql for sql in found if sql is not None)


def _not_yet(given: Given, what: str, hint: str) -> None:
    given.fail(f"{what} is not available yet", "not-available-yet", hint)


class _NoBatch:
    """`@batch: none`: given, and no limit."""


NO_BATCH = _NoBatch()

_MODES = tuple(mode for mode in Mode if not PROMISES[mode].tests)
_MODELS = frozenset(_MODES)
_TESTS = frozenset(mode for mode in Mode if PROMISES[mode].tests)
_TABLES = frozenset(mode for mode in Mode if PROMISES[mode].is_table)
_OBJECTS = frozenset(mode for mode in Mode if PROMISES[mode].stands)
_TIMED = frozenset(mode for mode in Mode if PROMISES[mode].timed)
_BY_CURSOR = frozenset(mode for mode in Mode if PROMISES[mode].keeps)
_LOOKING_BACK = _TIMED | _BY_CURSOR
_KEYED = frozenset(mode for mode in Mode if PROMISES[mode].keyed)
_HISTORIES = frozenset(mode for mode in Mode if PROMISES[mode].history)

DIRECTIVES: Mapping[str, Directive] = {
    "mode": Directive(
        ", ".join(f"`{mode}`" for mode in _MODES),
        "the promise about the table (default `auto`)",
        _mode,
        _MODELS,
    ),
    "key": Directive("a column or a list", "the identity of a row", _names, _TABLES),
    "time": Directive("a column", "the column of the output that says when a row belongs", _name, _TIMED),
    "grain": Directive(
        ", ".join(f"`{grain}`" for grain in Grain),
        "the size of the partitions of `time` (default `day`)",
        _grain,
        _TIMED,
    ),
    "cursor": Directive("a column", "the column that grows when a row is new or changed", _name, _BY_CURSOR),
    "lookback": Directive("such as `3 days`", "read this much before the watermark again", _lookback, _LOOKING_BACK),
    "start": Directive("a date", "where the first interval begins", _start, _TIMED),
    "batch": Directive(
        "such as `7 days`, or `none`",
        "the longest interval that one statement handles",
        _batch,
        _TIMED,
    ),
    "strategy": Directive(
        ", ".join(f"`{strategy}`" for strategy in Strategy),
        "how a change of the data is applied (default `auto`: SQLFlow chooses, and says why)",
        _strategy,
        _TABLES,
    ),
    "conflict": Directive(
        ", ".join(f"`{rule}`" for rule in Conflict),
        "which of two versions of one key stays (default `source_wins`)",
        _conflict,
        _KEYED - _HISTORIES,
    ),
    "deleted": Directive(
        "a condition, or `{column: op, values: [D]}`",
        'rows that mean "delete this key"',
        _deleted,
        _KEYED,
    ),
    "deleted_rows": Directive(
        ", ".join(f"`{rule}`" for rule in DeletedRows),
        "what a snapshot does with keys that the query does not give any more (default `close`; with `deleted`, `ignore`)",
        _deleted_rows,
        _HISTORIES,
    ),
    "compare": Directive(
        "a column or a list",
        "the columns that make a new version of a row when they change (default: all)",
        _names,
        _HISTORIES,
    ),
    "validity": Directive(
        "`{from, to, current, deleted, open}`",
        "the names of the columns that a snapshot adds, and how the end of a version is written that has none (`open`: `null` or a far date)",
        _validity,
        _HISTORIES,
    ),
    "on_schema_change": Directive(
        ", ".join(f"`{policy}`" for policy in OnSchemaChange),
        "what happens when the columns of the query change (default `rebuild`)",
        _on_schema_change,
        _TABLES,
    ),
    "full_refresh": Directive("`allow`, `never`", "`never` refuses a full rebuild", _full_refresh, _TABLES),
    "incremental": Directive(
        ", ".join(f"`{word}`" for word in Incremental),
        "`off` always rebuilds; `required` refuses a query that cannot be kept up to date in another way",
        _incremental,
        _TABLES,
    ),
    "clock": Directive(
        ", ".join(f"`{rule}`" for rule in ClockRule),
        "when the time of the build makes the table stale (default `auto`: when its rows depend on it)",
        _clock,
        _TABLES,
    ),
    "checks": Directive("a list of checks", "what must hold for the rows", _checks, _OBJECTS),
    "columns": Directive(
        "a mapping of column to text, or to `{description, tags}`",
        "what the columns mean",
        _columns,
        _MODELS,
    ),
    "severity": Directive(
        "`error`, `warn`",
        "of a query in tests/ that returns rows: `error` (the default) fails the build, `warn` is only told",
        _severity,
        _TESTS,
    ),
    "contract": Directive("", "not available yet", _later),
    "tags": Directive("a tag or a list", "for selecting models: `tag:daily`", _tags),
    "owner": Directive("text", "who answers for the model: `owner:team`", _prose, prose=True),
    "description": Directive(
        "text", "what the table is; without it, the first comment of the file", _prose, prose=True
    ),
    "pii": Directive("", "not available yet", _later),
    "enabled": Directive("`true`, `false`", "`false` leaves the model out", _boolean),
    "index": Directive(
        "a column, or a list of columns, lists of columns, and `{columns, unique, using, where}`",
        "indexes on the table: made when it is full, and kept when it is rebuilt",
        _index,
        _TABLES,
    ),
    "partition_by": Directive(
        "a time column, or `{column, by}`",
        "one partition of the table for each `by` of the column (default `month`), on engines that have such tables",
        _partition_by,
        _TABLES - _HISTORIES,
    ),
    "depends_on": Directive("a table or a list", "tables that must be built first, besides those in the query", _names),
    "before": Directive("a statement or a list", "SQL that runs before the table is written", _statements, _OBJECTS),
    "after": Directive("a statement or a list", "SQL that runs after the table is written", _statements, _OBJECTS),
    "schema": Directive("a name", "the schema, in place of the folder's name", _schema, _MODELS),
    "name": Directive("a name", "the table's name, in place of the file's name", _name),
}


def unknown_directive_hint(name: str) -> str:
    """What to say about a directive that there is not."""
    return did_you_mean(name, DIRECTIVES) or "see docs/reference/header.md for all directives"
