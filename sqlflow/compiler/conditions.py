"""Conditions of directives and checks, judged now that the columns are known that they are about.

A name that is handed to a macro, or to a check of the author's own, must not mean something else inside of it. What the SQL of
another dialect means is told by the types of the columns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace
from sqlglot import exp

from sqlflow.compiler.facts import resolve_query
from sqlflow.compiler.hygiene import BINDS_NAMES, captured, of_other_tables
from sqlflow.core.checks import CHECKED, CheckSpec
from sqlflow.core.diagnostics import Diagnostic
from sqlflow.core.model import Header, Project
from sqlflow.core.names import TableName
from sqlflow.core.schema import Schema
from sqlflow.core.syntax import parse_tree
from sqlflow.core.text import Argument, Snippet
from sqlflow.quality.kinds import kind_of
from sqlflow.translation.translate import Reason, Untranslatable, not_translatable, translated

_TABLE = TableName("", CHECKED.strip('"'))
_ROW = 'SELECT 1 FROM "_sqlflow checked" WHERE (', "\n)"


class Surroundings(Struct, frozen=True):
    """What conditions are judged by: the SQL of their author and of the target, and the columns of tables."""

    dialect: str
    target: str
    tables: Mapping[TableName, Schema]


def judged_header(header: Header, schema: Schema, around: Surroundings, problems: list[Diagnostic]) -> Header:
    """The header with its conditions in the SQL of the target."""
    checks = judged_checks(header.checks, schema, around, problems)
    deleted, index = header.deleted, header.index
    if deleted is not None and deleted.written is not None:
        deleted = replace(deleted, sql=_judged(deleted.written, schema, around, problems) or deleted.sql)
    if any(one.written is not None for one in index):
        index = tuple(
            replace(one, where=_judged(one.written, schema, around, problems) or one.where) if one.written else one
            for one in index
        )
    if checks == header.checks and deleted == header.deleted and index == header.index:
        return header
    return replace(header, checks=checks, deleted=deleted, index=index)


def judged_inputs(
    project: Project, columns: Mapping[TableName, Schema], around: Surroundings, problems: list[Diagnostic]
) -> Project:
    """The project with the checks of sources and seeds in the SQL of the target. What has no columns is wrong in a way that
    is told already."""
    sources = {
        name: replace(source, checks=judged_checks(source.checks, columns[name], around, problems))
        for name, source in project.sources.items()
        if name in columns and any(check.written for check in source.checks)
    }
    seeds = {
        name: replace(seed, checks=judged_checks(seed.checks, columns[name], around, problems))
        for name, seed in project.seeds.items()
        if name in columns and any(check.written for check in seed.checks)
    }
    if not sources and not seeds:
        return project
    return replace(project, sources={**project.sources, **sources}, seeds={**project.seeds, **seeds})


def judged_checks(
    checks: Sequence[CheckSpec], schema: Schema, around: Surroundings, problems: list[Diagnostic]
) -> tuple[CheckSpec, ...]:
    """The checks with their SQL in that of the target, without those that are wrong. `schema`: of the table that they are
    about."""
    judged = (_judged_check(check, schema, around, problems) if check.written else check for check in checks)
    return tuple(check for check in judged if check is not None)


def _judged_check(
    check: CheckSpec, schema: Schema, around: Surroundings, problems: list[Diagnostic]
) -> CheckSpec | None:
    before = len(problems)
    told: dict[str, str] = {}
    beside = next((around.tables.get(table) for table in check.tables), None)
    for word, snippet in check.written.items():
        columns = beside if word in ("other", "other_where") else schema
        found = _judged(snippet, columns, around, problems)
        if found is None:
            continue
        told[word] = found
        if word in kind_of(check).of_both and check.tables and "other" not in check.arguments:
            there = _judged(snippet, beside, around, problems)
            if there is not None and there != found:
                words = f"it is `{_line(found)}` for one table and `{_line(there)}` for the other"
                error = Untranslatable((Reason(words),))
                problems += not_translatable(error, snippet.foreign, around.target, snippet.label, snippet.span)
    if len(problems) > before:
        return None
    return check.in_words(told) if told else check


def _judged(snippet: Snippet, schema: Schema | None, around: Surroundings, problems: list[Diagnostic]) -> str | None:
    """What runs in place of a text, where that was not known before."""
    problems += _captured(snippet, schema, around)
    if not snippet.foreign:
        return None

    def columns(table: exp.Table) -> Schema | None:
        return schema if table.name == _TABLE.name else around.tables.get(TableName(table.db, table.name))

    try:
        return translated(snippet.text, snippet.foreign, around.target, columns, schema)
    except Untranslatable as error:
        problems += not_translatable(error, snippet.foreign, around.target, snippet.label, snippet.span)
        return None


def _line(text: str) -> str:
    return " ".join(text.split())


def _captured(snippet: Snippet, schema: Schema | None, around: Surroundings) -> list[Diagnostic]:
    """The names that are handed to a macro, or to a check of the author's own, and mean something else inside of it."""
    whole = (0, len(snippet.text))
    of_check = [Argument(start, end, whole, whole) for start, end in snippet.parameters]
    if not any(BINDS_NAMES.search(snippet.text, *argument.call) for argument in (*snippet.arguments, *of_check)):
        return []
    before, behind = ("", "") if CHECKED in snippet.text else _ROW
    tree = parse_tree(f"{before}{snippet.text}{behind}", around.dialect)
    if tree is None:
        return []
    tables = {} if schema is None else {_TABLE: schema}
    reads = {("", _TABLE.name): _TABLE}
    for node in tree.find_all(exp.Table):
        table = TableName(node.db, node.name)
        if table in around.tables:
            reads[table.key] = table
            tables[table] = around.tables[table]
    resolved = resolve_query(tree, tables, reads, around.dialect)
    found = [("a macro", one) for one in captured(resolved, _moved(snippet.arguments, len(before)))]
    found += [("a check", one) for one in of_other_tables(captured(resolved, _moved(of_check, len(before))), _TABLE)]
    return [
        Diagnostic(
            "macro-capture",
            f"{snippet.label}: `{one.name}` is handed to {what} inside of which it is {one.what}",
            snippet.span,
            f"give what {what} has inside another name: an alias, a parameter of a lambda, or a column in a subquery",
        )
        for what, one in found
    ]


def _moved(arguments: Sequence[Argument], by: int) -> list[Argument]:
    return [
        replace(one, start=one.start + by, end=one.end + by, call=(one.call[0] + by, one.call[1] + by))
        for one in arguments
    ]
