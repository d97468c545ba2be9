"""From files to a compiled project: read -> parse -> link -> compile, with what each stage found wrong."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import zip_longest
from pathlib import PurePath

from msgspec import Struct, field
from msgspec.structs import replace

from sqlflow.build.keeping import keep_compiled
from sqlflow.build.selecting import Wanted, made_from, needed
from sqlflow.changes.columns import input_columns
from sqlflow.compiler.compile import Trees, compile_models, parse_models
from sqlflow.compiler.shapes import not_followed, shapes_of
from sqlflow.core.compiled import Compiled
from sqlflow.core.diagnostics import Diagnostic, Severity, stop_on_errors
from sqlflow.core.engine import Found
from sqlflow.core.graph import ModelGraph
from sqlflow.core.known import Parsed
from sqlflow.core.later import Later
from sqlflow.core.model import Project
from sqlflow.core.names import TableName
from sqlflow.core.reading import Reading
from sqlflow.core.records import TableRecord
from sqlflow.core.schema import Schema
from sqlflow.core.source import Span
from sqlflow.core.workshop import Workshop
from sqlflow.graph.link import link
from sqlflow.project.fit import unfit
from sqlflow.project.read import (
    Texts,
    broken_macros,
    calls_of,
    place_of_call,
    place_of_definition,
    read_again,
    read_texts,
    settings_of,
    still_known,
    without_files,
)


class Checked(Struct, frozen=True):
    """A project that compiles, its graph, and the warnings about it. `analysed`: the models that were not as they had
    been, so that their queries were judged again, or their judgement looked up. `spoilt`: the sources and seeds whose files
    cannot be read, and why; nothing that is made from them is compiled."""

    compiled: Compiled
    graph: ModelGraph
    warnings: tuple[Diagnostic, ...]
    analysed: tuple[TableName, ...] = ()
    spoilt: Mapping[TableName, tuple[Diagnostic, ...]] = field(default_factory=dict)


class Examined(Struct, frozen=True):
    """All that is known of a project, right or wrong: what each stage made of it, and what each found wrong. `spoilt`: those
    of the problems that are about files with rows, by source or seed."""

    project: Project
    parsed: Mapping[TableName, Later[Parsed]]
    graph: ModelGraph
    compiled: Compiled
    unreadable: tuple[Diagnostic, ...] = ()
    malformed: tuple[Diagnostic, ...] = ()
    unlinked: tuple[Diagnostic, ...] = ()
    unread: tuple[Diagnostic, ...] = ()
    wrong: tuple[Diagnostic, ...] = ()
    unfit: tuple[Diagnostic, ...] = ()
    analysed: tuple[TableName, ...] = ()
    spoilt: Mapping[TableName, tuple[Diagnostic, ...]] = field(default_factory=dict)

    @property
    def problems(self) -> tuple[Diagnostic, ...]:
        return (*self.unreadable, *self.malformed, *self.unlinked, *self.unread, *self.wrong, *self.unfit)


def compile_project(
    workshop: Workshop,
    tables: Mapping[TableName, Found] | None,
    remembered: Mapping[TableName, Schema],
    records: Mapping[TableName, TableRecord],
    wanted: Wanted | None = None,
) -> Checked:
    """Read everything and compile what is wanted; see `examine`. Raises ProjectError with every problem of the project."""
    found = examine(workshop, tables, remembered, records, wanted)
    stop_on_errors(found.problems)
    return Checked(found.compiled, found.graph, found.problems, found.analysed)


def compile_what_can_be_read(
    workshop: Workshop,
    tables: Mapping[TableName, Found] | None,
    records: Mapping[TableName, TableRecord],
    wanted: Wanted | None = None,
) -> Checked:
    """As `compile_project`, but files that cannot be read keep only those models from being compiled that are made from
    them. Raises ProjectError with every problem of the project when a definition is wrong."""
    found = examine(workshop, tables, {}, records, wanted)
    of_files = {problem for problems in found.spoilt.values() for problem in problems}
    others = tuple(problem for problem in found.problems if problem not in of_files)
    if any(problem.severity is Severity.ERROR for problem in others) or not _explained(found, wanted):
        stop_on_errors(found.problems)
    below = made_from(found.spoilt, found.project, found.graph)
    models = {name: model for name, model in found.compiled.models.items() if name not in below}
    order = tuple(name for name in found.compiled.order if name in models)
    return Checked(
        replace(found.compiled, models=models, order=order), found.graph, others, found.analysed, found.spoilt
    )


def _explained(found: Examined, wanted: Wanted | None) -> bool:
    """Whether each model that was not compiled is made from files that cannot be read."""
    asked = needed(wanted, found.project, found.graph)
    names = {model.name for model in found.project.models} if asked is None else asked
    below = made_from(found.spoilt, found.project, found.graph)
    return all(name in found.compiled.models or name in below for name in names)


def examine(
    workshop: Workshop,
    tables: Mapping[TableName, Found] | None,
    remembered: Mapping[TableName, Schema],
    records: Mapping[TableName, TableRecord],
    wanted: Wanted | None = None,
) -> Examined:
    """Read and compile what can be. `tables`: what stands in the database, None when it cannot be asked. `records`: of
    the tables that SQLFlow made; one that nothing in the project makes any more is no source for others. `wanted`: says which
    models are asked for, None for all; others are analysed only if those read them.
    """
    config, cache = workshop.config, workshop.cache
    trees: Trees = {}
    texts = read_texts(config)
    settings = settings_of(config, texts, workshop.version)
    known = cache.known({path: (text.digest, text.file) for path, text in texts.models.items()})
    known = still_known(known, settings, config, texts) if known is not None else None
    read = read_again(config, texts, cache, workshop.version, known)
    project, unreadable = read.project, read.problems
    parsed, malformed = parse_models(
        project,
        workshop,
        trees,
        hopeless(unreadable) | calling_broken_macros(texts, unreadable),
        known,
    )
    malformed = [_at_its_macro(problem, texts) for problem in malformed]
    existing, own = standing_names(tables, remembered, records)
    linked, unlinked = link(project, parsed, existing, config.default_schema, own, cache, known)
    graph = linked.graph
    asked = needed(wanted, project, graph)
    late = without_files(project, unreadable)
    inputs = input_columns(
        project,
        graph.undeclared,
        config,
        workshop.binder,
        tables,
        remembered,
        cache,
        workshop.version,
        _wrong_inputs(project, unreadable, late),
    )
    unlinked += _alike(project, graph, tables or {})
    judged, wrong = compile_models(project, graph, parsed, inputs.columns, workshop, trees, known, asked)
    judged = replace(judged, compiled=replace(judged.compiled, readings=inputs.readings))
    wrong = [_with_its_file(_at_its_macro(problem, texts), project, graph, inputs.readings) for problem in wrong]
    wrong += not_followed(judged.compiled, shapes_of(judged.compiled, workshop))
    found = Examined(
        project,
        parsed,
        graph,
        judged.compiled,
        tuple(unreadable),
        tuple(malformed),
        tuple(unlinked),
        inputs.problems,
        tuple(wrong),
        unfit(project, config, workshop.binder.traits),
        judged.analysed,
        {**late, **inputs.spoilt},
    )
    right = not any(problem.severity is Severity.ERROR for problem in found.problems)
    whole = known is not None and known.linked == linked.digest and len(known.models) == len(project.models)
    if right and (judged.analysed or not whole):
        keep_compiled(cache, settings, texts, read, parsed, linked, judged, known)
    return found


def hopeless(unreadable: Iterable[Diagnostic]) -> set[PurePath]:
    """Files in which something is wrong that makes the engine's judgement of the query worthless."""
    return {p.span.path for p in unreadable if p.span is not None and p.code in _HIDES_THE_QUERY}


# Problems of a file after which the engine's judgement of the query would only repeat or confuse them.
_HIDES_THE_QUERY = frozenset({"unknown-variable", "placeholder", "macro-call", "template", "interval-bounds"})


def calling_broken_macros(texts: Texts, problems: Sequence[Diagnostic]) -> set[PurePath]:
    """Files whose query calls a macro in whose definition something is wrong."""
    names = broken_macros(texts, problems)
    if not names:
        return set()
    return {text.file.path for text in texts.models.values() if not names.isdisjoint(calls_of(text.file.text.lower()))}


def standing_names(
    tables: Mapping[TableName, Found] | None,
    remembered: Mapping[TableName, Schema],
    records: Mapping[TableName, TableRecord],
) -> tuple[set[TableName], set[TableName]]:
    """The tables that are there without the project, and those that SQLFlow made."""
    own = {name for name, record in records.items() if record.made}
    return {*(tables or {}), *remembered} - own, own


def _alike(project: Project, graph: ModelGraph, tables: Mapping[TableName, Found]) -> list[Diagnostic]:
    """Names of which the database has two that differ only in case: SQLFlow takes them for one."""
    doubtful = {name for name, found in tables.items() if found.alike}
    if not doubtful:
        return []
    models = {model.name: model for model in project.models}
    places: dict[TableName, Span | None] = {name: models[name].file.span(0) for name in doubtful & models.keys()}
    places |= {seed.name: seed.span for seed in project.seeds.values() if seed.name in doubtful}
    for source in project.sources.values():
        places |= {name: source.span for name in (source.name, source.table) if name in doubtful}
    for reader in graph.readers:
        for edge in reader.edges:
            if edge.table in doubtful and edge.table not in places:
                places[edge.table] = models[reader.name].query.span(edge.read.start, edge.read.end)
    return [
        Diagnostic(
            "ambiguous-table",
            f"the database has {', '.join(f'`{one}`' for one in tables[name].alike)}, and SQLFlow takes names that differ only in case for one",
            span,
            "rename one of them",
        )
        for name, span in places.items()
    ]


def _at_its_macro(problem: Diagnostic, texts: Texts) -> Diagnostic:
    """What is wrong in the definition of a macro, at that macro; so it is told once."""
    if problem.code == "syntax" and problem.span is not None and str(problem.span.path) in texts.models:
        return _at_its_definition(problem, problem.span, texts)
    if (
        problem.code not in ("unknown-function", "not-translatable")
        or problem.span is None
        or "`" not in problem.message
    ):
        return problem
    name = problem.message.split("`")[1]
    text = texts.models.get(str(problem.span.path))
    if text is None or not name.isidentifier() or name.lower() in calls_of(text.file.text.lower()):
        return problem
    for file in texts.macros:
        if (at := place_of_call(file.text, name)) is not None:
            return replace(problem, span=file.span(at, at + len(name)))
    return problem


def _with_its_file(
    problem: Diagnostic, project: Project, graph: ModelGraph, readings: Mapping[TableName, Reading]
) -> Diagnostic:
    """What is told of a column that only some files of a source have, with these files."""
    if problem.code != "unknown-column" or problem.span is None or "`" not in problem.message:
        return problem
    said = f"the column `{problem.message.split('`')[1]}` of "
    named = {model.name for model in project.models if model.file.path == problem.span.path}
    read = {parent for reader in graph.readers if reader.name in named for parent in reader.parents}
    notes = [note for table in sorted(read & readings.keys()) for note in readings[table].notes]
    return next((replace(problem, hint=note) for note in notes if note.lower().startswith(said.lower())), problem)


def _at_its_definition(problem: Diagnostic, span: Span, texts: Texts) -> Diagnostic:
    """An error of syntax at the macro whose call it was told of; where the word that the engine names stands in an argument
    of the call, it is the author's of the call."""
    call = _CALL.fullmatch(span.text[span.column - 1 : span.column - 1 + span.length])
    near = _NEAR.search(problem.message)
    if call is None or (near is not None and near[1] in call[2]):
        return problem
    for file in texts.macros:
        if (at := place_of_definition(file.text, call[1])) is not None:
            return replace(problem, span=file.span(at, at + len(call[1])))
    return problem


_CALL = re.compile(r'(?:\w+\.)?"?(\w+)"?\s*\((.*)', re.DOTALL)
_NEAR = re.compile(r'at or near "(.*)"$')


def _wrong_inputs(
    project: Project, problems: list[Diagnostic], late: Mapping[TableName, tuple[Diagnostic, ...]]
) -> set[TableName]:
    """Sources and seeds with an error in their definition, or without files: what columns they have is not known then."""
    found = set(late)
    told = {problem for of_one in late.values() for problem in of_one}
    errors = [p.span for p in problems if p.span is not None and p.severity is Severity.ERROR and p not in told]
    defined = [(source.name, source.span) for source in project.sources.values()]
    defined += [(seed.name, seed.span) for seed in project.seeds.values() if seed.span is not None]
    defined.sort(key=lambda item: (str(item[1].path), item[1].line))
    for (name, place), following in zip_longest(defined, defined[1:]):
        last = following[1].line if following is not None and following[1].path == place.path else None
        for span in errors:
            if span.path == place.path and span.line >= place.line and (last is None or span.line < last):
                found.add(name)
    undescribed = [seed for seed in project.seeds.values() if seed.span is None or str(seed.span.path) == seed.path]
    if any(span.path.parts[0] == "seeds" and span.path.suffix != ".csv" for span in errors):
        found |= {seed.name for seed in undescribed}
    return found
