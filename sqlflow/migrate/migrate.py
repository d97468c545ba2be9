"""The order of a migration: from a dbt project that was read to the files of a SQLFlow project and a report."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from msgspec import Struct

from sqlflow.core.names import TableName
from sqlflow.engines.duckdb import function_names
from sqlflow.migrate.blocks import tags_of
from sqlflow.migrate.checks import Checked, TestQuery, checks_of, queries_of, tests_of, unique_columns
from sqlflow.migrate.comments import without_directives
from sqlflow.migrate.configs import as_list, merged
from sqlflow.migrate.dbt import DbtModel, DbtProject, Left, Place, Properties
from sqlflow.migrate.dialects import columns_read, sqlglot_name, translate, written_in
from sqlflow.migrate.docs import Docs
from sqlflow.migrate.equivalents import EQUIVALENTS
from sqlflow.migrate.headers import header
from sqlflow.migrate.histories import TAKE_OVER, taking_over
from sqlflow.migrate.jinja import Failed, Lookups, Relation, Renderer
from sqlflow.migrate.lookups import Names, by_name, columns_said, source_tables
from sqlflow.migrate.models import Compiled, Converted, convert, hooks
from sqlflow.migrate.models import Names as KeptNames
from sqlflow.migrate.naming import Named, name_node
from sqlflow.migrate.plain_macros import plain_macros
from sqlflow.migrate.remarks import Outcome, Remark
from sqlflow.migrate.report import Entry, Report, entry_of
from sqlflow.migrate.seeds import mended
from sqlflow.migrate.unit_tests import unit_tests
from sqlflow.migrate.unsaid import indexes, line_in_settings, of_nothing, unsaid
from sqlflow.migrate.writing import folder_defaults, model_paths, project_file, seed_settings, source_files


class Migration(Struct, frozen=True):
    """The new project, in memory. `copied`: file of the new project -> file of the dbt project."""

    files: Mapping[PurePosixPath, str]
    copied: Mapping[PurePosixPath, PurePosixPath]
    report: Report
    engine: str


def migrate(
    project: DbtProject,
    engine: str | None,
    target: Path,
    compiled: Callable[[DbtModel], Compiled | None] = lambda _: None,
) -> Migration:
    """A dbt project as a SQLFlow project. `compiled`: SQL that dbt compiled before. `engine`: of the new target, chosen if None."""
    left = list(project.left)
    renderer = Renderer(project, EQUIVALENTS)
    sources = source_tables(project.properties, project, renderer, left)
    named = [_named(node, project, renderer, left) for node in project.nodes]
    names = Names(
        project, {(one.node.package, one.node.name): one for one in named if one.node.resource in _TABLES}, sources, project.output.type,
        called=by_name(one for one in named if one.node.resource in _TABLES),
    )  # fmt: skip
    renderer.answer_with(Lookups(names.ref, names.source, names.this, lambda relation: columns_in(relation)))
    docs = Docs(project)
    # Of two nodes with one table, the one that is enabled counts.
    by_use = sorted(named, key=lambda one: one.enabled)
    tests = {one.table: list(tests_of(one.node.properties)) for one in by_use}
    adapter = project.output.type
    dialect = written_in(adapter)

    models: dict[TableName, Named] = {}
    for node in sorted(
        (one for one in named if one.node.resource in ("model", "snapshot")), key=lambda one: not one.enabled
    ):
        first = models.setdefault(node.table, node)
        if first is not node and node.enabled:
            reason = f"`{first.node.file.path}` makes the same table `{node.table}`; this one is left out, and dbt refuses both"
            left.append(
                Left(f"{node.node.resource} {node.node.name}", node.node.place, reason, "give one of them another name")
            )
        elif first is not node:
            reason = f"it is disabled, and `{first.node.file.path}` makes the same table `{node.table}`; it is left out"
            left.append(Left(f"{node.node.resource} {node.node.name}", node.node.place, reason))
    headings = {one.table: _heading(project, one) for one in named if one.node.resource == "seed"}
    done: dict[TableName, Converted | None] = {}
    own = plain_macros(project.main, dialect, function_names()) if dialect == sqlglot_name(adapter) else {}
    kept_names = KeptNames(own)

    def known(schema: str, name: str) -> Sequence[str] | None:
        table = TableName(schema or project.output.schema, name)
        if table in headings:
            return headings[table]
        made = convert_one(table) if table in models else None
        return None if made is None else made.columns

    documented = {one.table: columns for one in sources.values() if (columns := columns_said(one.said.get("columns")))}

    def columns_in(relation: Relation) -> Sequence[tuple[str, str]] | None:
        """What a template that asks the database for columns gets to know."""
        table = relation_name(relation)
        found = known(table.schema, table.name)
        if found is None and table in documented:
            renderer.note(
                f"the columns of `{table}` are taken from its description in YAML", "compare them with the table"
            )
            return documented[table]
        return None if found is None else [(name, "") for name in found]

    def convert_one(table: TableName) -> Converted | None:
        if table not in done:
            done[table] = None  # for those that read each other in a circle
            one = models[table]
            try:
                done[table] = convert(one, renderer, adapter, unique_columns(tests[table]), compiled, known, kept_names)
            except Exception as error:  # noqa: BLE001 - one model in a thousand shall not keep the others from coming over
                reason = f"it could not be converted: {type(error).__name__}: {error}"[:300]
                done[table] = Converted(one, None, {}, (Remark(Outcome.BY_HAND, reason, one.node.place),))
        return done[table]

    converted = {table: made for table in models if (made := convert_one(table)) is not None}
    parents = {table: [relation_name(one) for one in made.reads] for table, made in converted.items()}
    needs = {table: set(found) for table, found in parents.items()}

    def can_wait_for(table: TableName, other: TableName) -> bool:
        """Whether a table can wait until another one is built, for the sake of a check; from then on it does."""
        reached, left_to_see = {other}, [other]
        while left_to_see:
            new = needs.get(left_to_see.pop(), set()) - reached
            reached |= new
            left_to_see += new
        if table in reached:
            return False
        needs.setdefault(table, set()).add(other)
        return True

    checks = {
        one.table: checks_of(
            tests[one.table], one, names, renderer, known(one.table.schema, one.table.name), can_wait_for
        )
        for one in models.values()
    }
    paths = model_paths((one.named for one in converted.values() if one.sql is not None), project)
    said = {
        paths[table]: {"schema": table.schema, **one.directives, "index": indexes(one.named, engine or dialect) or None}
        for table, one in converted.items()
        if one.sql is not None
    }
    defaults, said_by_path = folder_defaults(said, {"schema": None, "mode": "auto"})
    files: dict[PurePosixPath, str] = {}
    entries: list[Entry] = []
    for table, one in converted.items():
        remarks = [*checks[table].remarks, *unsaid(one.named, adapter, engine or dialect)]
        if one.sql is None:
            entries.append(entry_of(one, "", remarks))
            continue
        path = paths[table]
        files[path] = _model_file(one, said_by_path[path], checks[table], docs, remarks)
        entries.append(entry_of(one, str(path), remarks))
    seeds = {one.table: one for one in named if one.node.resource == "seed" and one.enabled}
    copied = {
        PurePosixPath("seeds", table.schema, f"{table.name}.csv"): one.node.file.path for table, one in seeds.items()
    }
    if text := seed_settings(seeds, docs, project, renderer, left):
        files[PurePosixPath("seeds/seeds.yml")] = text
    for table, seed in seeds.items():
        path = PurePosixPath("seeds", table.schema, f"{table.name}.csv")
        remarks = []
        if better := mended(project.root / seed.node.file.path, str(seed.config.get("delimiter") or ",")):
            files[path] = better[0]
            del copied[path]
            remarks.append(Remark(Outcome.NOTED, f"the file is written otherwise: {better[1]}", seed.node.place))
        for said_in in hooks(seed, renderer, adapter, remarks).values():
            for sql in as_list(said_in):
                reason = f"a hook of a seed is left out: `{' '.join(str(sql).split())[:200]}`"
                remarks.append(
                    Remark(Outcome.NOTED, reason, seed.node.place, "write it as `@before` of a model that reads it")
                )
        entries.append(entry_of(Converted(seed, "", {}, tuple(remarks)), str(path)))
    for table, checked in checks.items():
        for query in checked.queries:
            if table in converted and converted[table].sql is None:
                continue
            _generic(query, adapter, files, left)
    used = frozenset([*converted, *seeds])
    described = [(table, seed.node.name, tests[table]) for table, seed in seeds.items()]
    for source in sources.values():
        if source.enabled:
            said_of = Properties(source.name, "sources", source.said, source.place)
            described.append((source.table, f"{source.source}.{source.name}", list(tests_of(said_of))))
    for table, label, its_tests in described:
        queries, told = queries_of(its_tests, table, label, names, renderer)
        left += told
        for query in queries:
            _generic(query, adapter, files, left)
    tested, fixtures = unit_tests(
        project, names, renderer, left, {one.table: one.variables for one in converted.values()}
    )
    files |= tested
    copied |= fixtures
    outside: list[str] = []

    def relocate(path: str) -> str:
        return _relocated(path, project.root, target, outside)

    def is_whole(table: TableName, columns: frozenset[str]) -> bool:
        for made in converted.values():
            if made.sql is not None and table in parents[made.table]:
                read = columns_read(made.sql, table, dialect)
                if read is None or not read <= columns:
                    return False
        return True

    files |= source_files(list(sources.values()), used, docs, left, renderer, relocate, is_whole)
    outside += [
        text for path, text in files.items() if path.parts[0] == "sources" and "path: " in text and "://" in text
    ]
    written = list(converted.values())
    for test in named:
        if test.node.resource == "test" and test.enabled:
            written.append(_singular(test, renderer, adapter, kept_names, files, entries))
        elif test.node.resource == "analysis":
            left.append(
                Left(
                    f"analysis {test.node.name}",
                    test.node.place,
                    "analyses are not converted: no command of SQLFlow runs them",
                )
            )
    engine = engine or ("postgres" if dialect == "postgres" else "duckdb")
    schemas = {table.schema for table in used}
    variables = {name: value for one in written for name, value in one.variables.items()}
    for macro in {macro.name: macro for one in written for macro in one.macros}.values():
        files[PurePosixPath("macros", f"{macro.name}.sql")] = macro.statement
    kept = [one for one in converted.values() if one.named.node.resource == "snapshot" and one.sql is not None]
    if text := taking_over([one for one in kept if one.named.enabled and one.directives.get("key")], engine):
        files[PurePosixPath(TAKE_OVER)] = text
        reason = (
            f"the versions that dbt gathered are not in the new tables by themselves; `{TAKE_OVER}` puts them there"
        )
        left.append(Left("snapshots", kept[0].named.node.place, reason, "read the first lines of that file"))
    files[PurePosixPath("sqlflow.yml")] = project_file(
        project, dialect, engine, defaults, schemas, variables, outside=bool(outside)
    )
    left += _beside(project)
    left += of_nothing(project)
    for package in project.missing_packages:
        left.append(
            Left(
                f"package {package}",
                Place(PurePosixPath("packages.yml")),
                "it is not in dbt_packages/",
                "run `dbt deps`, and migrate again, if models need more of it than SQLFlow knows",
            )
        )
    report = Report(project.name, adapter, tuple(entries), tuple(dict.fromkeys(left)))
    return Migration(files, copied, report, engine)


_TABLES = ("model", "seed", "snapshot")


_NO_COUNTERPART = {
    "exposures": "who uses a table is not written down; `@owner` and `@tags` say who answers for it",
    "metrics": "there is no semantic layer",
    "semantic_models": "there is no semantic layer",
    "saved_queries": "there is no semantic layer",
    "groups": "there are no groups; `@owner` says who answers for a model",
    "functions": "functions of the database are not converted; a macro may do",
}


def _beside(project: DbtProject) -> Iterator[Left]:
    """What a project has besides models, and what SQLFlow has no word for."""
    for one in project.properties:
        if one.kind in _NO_COUNTERPART:
            yield Left(f"{one.kind.rstrip('s')} {one.name}", one.place, _NO_COUNTERPART[one.kind])
        if one.kind == "models" and isinstance(one.said.get("versions"), list):
            yield Left(
                f"versions of {one.name}",
                one.place,
                "each version is a model of its own; nothing says which is the latest",
            )
    for key in ("on-run-start", "on-run-end"):
        place = line_in_settings(project, f"{key}:")
        for sql in as_list(project.main.settings.get(key)):
            yield Left(
                key,
                place,
                f"left out: `{' '.join(str(sql).split())[:200]}`",
                "a statement that tables need belongs into `@before` or `@after` of a model",
            )
    for file in project.main.macros:
        for tag in tags_of(file.text):
            if tag.kind == "%" and tag.word == "materialization":
                yield Left(
                    tag.inside,
                    Place(file.path),
                    "own materializations have no counterpart",
                    "choose a mode for its models",
                )
    if (project.root / "selectors.yml").is_file():
        yield Left(
            "selectors.yml",
            Place(PurePosixPath("selectors.yml")),
            "selectors have no names here",
            "write the selection on the command line, or use tags",
        )


def _named(node: DbtModel, project: DbtProject, renderer: Renderer, left: list[Left]) -> Named:
    """A node with all of its configuration, and its table."""
    properties: Mapping[str, Any] = {}
    if node.properties is not None:
        said = node.properties.said
        inner = said.get("config")
        properties = merged(
            {key: said[key] for key in ("tags", "meta", "docs", "enabled") if said.get(key) is not None},
            inner if isinstance(inner, dict) else {},
        )
    config = merged(node.folder_config, properties)
    if (
        node.resource in ("model", "snapshot", "test")
        and node.file.path.suffix == ".sql"
        and "config" in node.file.text
    ):
        rendered = renderer.render(node, node.file.text, config=config, execute=False)
        config = merged(config, rendered.config)
        if isinstance(rendered, Failed) and not rendered.config:
            pass  # told when the model itself is converted
    return name_node(node, config, project, renderer, left)


def _relocated(path: str, root: Path, target: Path, outside: list[str]) -> str:
    """A path of the dbt project as one of the new project; those that lead out of it are noted."""
    whole = os.path.normpath(root / path)
    found = whole if os.path.isabs(path) else os.path.relpath(whole, target)
    if found.startswith("..") or os.path.isabs(found):
        outside.append(found)
    return found.replace(os.sep, "/")


def relation_name(relation: Relation) -> TableName:
    return TableName(relation.schema, relation.identifier)


def _heading(project: DbtProject, seed: Named) -> list[str] | None:
    """The columns of a seed, from the first line of its file."""
    try:
        with (project.root / seed.node.file.path).open(encoding="utf-8-sig", newline="") as file:
            return next(csv.reader(file, delimiter=str(seed.config.get("delimiter") or ",")), None)
    except (OSError, UnicodeDecodeError, csv.Error, TypeError):
        return None


def _model_file(
    one: Converted, directives: Mapping[str, Any], checks: Checked, docs: Docs, remarks: list[Remark]
) -> str:
    """The text of a model's file; what does not fit its columns is added to the remarks."""
    properties = one.named.node.properties
    description = docs.text(properties.said.get("description")) if properties is not None else ""
    said = {key: value for key, value in directives.items() if value is not None}
    columns = docs.columns(properties)
    if one.columns is not None:
        there = {name.lower() for name in one.columns}
        gone = [name for name in columns if name.lower() not in there]
        if gone:
            place = properties.place if properties is not None else one.named.node.place
            shown = ", ".join(f"`{name}`" for name in gone)
            remarks.append(
                Remark(
                    Outcome.EXACT,
                    f"described, but no columns of the result: {shown}",
                    place,
                    "mend the names in `@columns`",
                )
            )
        columns = {name: text for name, text in columns.items() if name.lower() in there}
    text = header(description, said, checks.checks if one.directives.get("mode") != "inline" else (), columns)
    sql, words = without_directives(one.sql or "")
    if words:
        listed = ", ".join(f"`@{word}`" for word in words)
        remarks.append(Remark(Outcome.EXACT, f"comments with {listed} are written otherwise", one.named.node.place))
    return f"{text}{sql}\n"


def _singular(
    test: Named,
    renderer: Renderer,
    adapter: str,
    kept_names: KeptNames,
    files: dict[PurePosixPath, str],
    entries: list[Entry],
) -> Converted:
    severity = str(test.config.get("severity", "error")).lower()
    made = convert(test, renderer, adapter, (), lambda _: None, lambda schema, name: None, kept_names)
    path = PurePosixPath("tests", *test.node.fqn[1:-1], f"{test.node.name}.sql")
    if made.sql is None:
        entries.append(entry_of(made, ""))
        return made
    files[path] = header("", {"severity": "warn"} if severity == "warn" else {}, (), {}) + made.sql + "\n"
    entries.append(entry_of(made, str(path)))
    return made


def _generic(query: TestQuery, adapter: str, files: dict[PurePosixPath, str], left: list[Left]) -> None:
    """A generic test as a file in tests/."""
    sql = query.sql
    if written_in(adapter) != sqlglot_name(adapter):
        made = translate(sql, adapter)
        if isinstance(made, str):
            left.append(Left(f"test {query.name}", query.place, f"it could not be translated: {made}"))
            return
        sql = made.sql
    name, number = query.name, 1
    while PurePosixPath("tests", f"{name}.sql") in files:
        number += 1
        name = f"{query.name}_{number}"
    files[PurePosixPath("tests", f"{name}.sql")] = (
        header("", {"severity": "warn"} if query.warns else {}, (), {}) + sql + "\n"
    )
