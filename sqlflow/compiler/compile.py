"""`compile_models`: every model, parents first: bind, trace, check the header, fingerprint. Its text is made in `texts`."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from pathlib import PurePath
from typing import TYPE_CHECKING, TypeVar

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from sqlflow.compiler.fingerprint import checks_digest, deciding_columns, digest, header_digest, schema_digest
from sqlflow.compiler.header import check_header, check_input, compares_rows, without_equality
from sqlflow.compiler.required import not_incremental
from sqlflow.compiler.texts import Named, Text, Texts, too_many_inlines
from sqlflow.core.cache import Cache
from sqlflow.core.clock import Moving, Nature, Written, is_fresh
from sqlflow.core.compiled import Compiled, CompiledModel, TimeMapping, Traces
from sqlflow.core.diagnostics import Diagnostic, Severity, did_you_mean
from sqlflow.core.engine import Binder, BindError, ReadTable
from sqlflow.core.graph import ModelGraph, Reader
from sqlflow.core.history import taken_names, with_validity
from sqlflow.core.intervals import Grain
from sqlflow.core.known import Facts, KnownModel, KnownProject, Parsed
from sqlflow.core.later import Later
from sqlflow.core.model import Header, Model, Project, has_snippets
from sqlflow.core.names import TableName
from sqlflow.core.records import Fingerprint
from sqlflow.core.schema import Column, Schema, reserved_columns
from sqlflow.core.source import Span
from sqlflow.core.text import Edit, MappedText
from sqlflow.core.workshop import Workshop
from sqlflow.quality.checks import checks_of_inputs

if TYPE_CHECKING:
    from sqlglot import exp

    from sqlflow.compiler.conditions import Surroundings
    from sqlflow.compiler.scopes import Resolved

# The modules that need sqlglot are imported where a query must really be read: a build that finds everything in the
# cache starts without them.

T = TypeVar("T")

Trees = dict[str, "exp.Query"]
_MOST_TREES = 2000  # one takes about 250 KB


def parse_models(
    project: Project,
    workshop: Workshop,
    trees: Trees,
    hopeless: Collection[PurePath],
    known: KnownProject | None = None,
) -> tuple[dict[TableName, Later[Parsed]], list[Diagnostic]]:
    """What each model's text says by itself; models with syntax errors are left out and told.

    `trees` takes the syntax trees that were made on the way, by text. `hopeless`: files whose query is known to be
    wrong, which are left out without a word. `known`: the project as it was.
    """
    found: dict[TableName, Later[Parsed]] = {}
    problems: list[Diagnostic] = []
    dialect, binder, cache = workshop.config.target_dialect, workshop.binder, workshop.cache
    for model in project.models:
        same = _same(known, model)
        if same is not None:
            found[model.name] = same.parsed
            continue
        if model.file.path in hopeless:
            continue
        text, spoken = model.query.text, model.dialect or dialect
        key = "parse2:" + digest(workshop.version, spoken, text)
        parsed = _cached(cache, key, Parsed)
        if parsed is None:
            from sqlflow.compiler.parse import parse, parse_foreign

            parsed, tree = parse(text, dialect, binder) if not model.dialect else parse_foreign(text, spoken, binder)
            if tree is not None and len(trees) < _MOST_TREES and not model.dialect:
                trees[text] = tree
            if parsed.error is None:
                cache.put(key, msgspec.json.encode(parsed))
        if parsed.error is not None:
            problems.append(_diagnostic(parsed.error, model.query))
        elif parsed.forbidden:
            problems.append(
                Diagnostic(
                    "not-a-query",
                    f"a model is one query, and this one has {parsed.forbidden} inside",
                    model.query.span(0),
                    "models only read; SQLFlow does the writing",
                )
            )
        else:
            found[model.name] = Later.of(parsed)
    return found, problems


class Judged(Struct, frozen=True):
    """A project that was compiled. `keys`: of each model, all that decides what its query gives; `columns`: of each
    table, a hash of its columns; `analysed`: models that were not as they had been; `told`: warnings about each model."""

    compiled: Compiled
    keys: Mapping[TableName, str]
    columns: Mapping[TableName, str]
    analysed: tuple[TableName, ...]
    told: Mapping[TableName, tuple[Diagnostic, ...]]


def compile_models(
    project: Project,
    graph: ModelGraph,
    parsed: Mapping[TableName, Later[Parsed]],
    columns: Mapping[TableName, Schema],
    workshop: Workshop,
    trees: Trees,
    known: KnownProject | None = None,
    wanted: Collection[TableName] | None = None,
) -> tuple[Judged, list[Diagnostic]]:
    """All models of a graph that can be compiled, and every problem found.

    `columns`: of sources, seeds and undeclared tables. `known`: the project as it was. `wanted`: only these models, with all that they read; None for all.
    A model that depends on a broken one is left out without a word of its own.
    """
    compiler = _Compiler(project, graph, parsed, columns, workshop, trees, known)
    told: dict[TableName, tuple[Diagnostic, ...]] = {}
    for name in graph.order:
        if wanted is None or name in wanted:
            before = len(compiler.problems)
            try:
                compiler.add(name)
            except RecursionError:
                compiler.problems.append(_too_deep(compiler.models[name]))
            if len(compiler.problems) > before:
                told[name] = tuple(compiler.problems[before:])
    order = tuple(name for name in graph.order if name in compiler.done)
    compiled = Compiled(compiler.with_inputs(project), compiler.done, order, dict(columns), graph.undeclared)
    judged = Judged(compiled, compiler.keys, compiler.digests, tuple(compiler.analysed), told)
    return judged, [*compiler.problems, *_of_inputs(compiled, workshop.binder), *_unknown_references(compiled)]


def _of_inputs(compiled: Compiled, binder: Binder) -> Iterator[Diagnostic]:
    """What is wrong with the checks of sources and seeds."""
    for name, checks in checks_of_inputs(compiled.project).items():
        schema = compiled.columns.get(name)
        if schema is not None:
            yield from check_input(checks, schema, binder)


def _same(known: KnownProject | None, model: Model) -> KnownModel | None:
    """A model as it was, if its file is what it was."""
    found = known.models.get(str(model.file.path)) if known is not None else None
    return found if found is not None and found.compiled.model is model else None


class _Compiler:
    def __init__(
        self,
        project: Project,
        graph: ModelGraph,
        parsed: Mapping[TableName, Later[Parsed]],
        columns: Mapping[TableName, Schema],
        workshop: Workshop,
        trees: Trees,
        known: KnownProject | None,
    ) -> None:
        self.done: dict[TableName, CompiledModel] = {}
        self.problems: list[Diagnostic] = []
        self.keys: dict[TableName, str] = {}
        self.digests: dict[TableName, str] = {}
        self.analysed: list[TableName] = []
        self.models = {model.name: model for model in project.models}
        self._graph = graph
        self._rows: dict[TableName, Reader] = {}
        self._rows_before: dict[TableName, Reader] = {}
        self._stamps: dict[TableName, str] = {}
        self._inline = {model.name for model in project.models if model.header.promise.inlined}
        self._known = known
        self._parsed = parsed
        self._columns = dict(columns)
        self._spelled = {name: name for name in columns}
        config = workshop.config
        self._dialect = config.target_dialect
        self._authors = config.dialect
        self._zone = config.timezone
        self._binder = workshop.binder
        self._cache = workshop.cache
        self._version = workshop.version
        self._trees = trees
        self._texts = Texts(self.models, self._inline, self._dialect, self._as_it_runs)
        self._told: dict[TableName, str | None] = {}
        self._base = digest(workshop.version, config.target_dialect, config.timezone)
        self._defined: set[TableName] = set()
        self._views: dict[TableName, Resolved | None] = {}

    def add(self, name: TableName) -> None:
        model = self.models[name]
        before = _same(self._known, model)
        if before is not None and self._is_as_before(before):
            self._take(before.compiled, before.key, before.columns)
            self.problems += before.told
            return
        if any(parent in self.models and parent not in self.done for parent in self._reader(name).parents):
            return
        if model.dialect and self._translated(model) is None:
            return
        text = self._texts.of(name)
        if any(parent not in self._columns for parent in text.parents):
            return  # a source that could not be read, which has been told
        self.analysed.append(name)
        if too_long := too_many_inlines(model, text):
            self.problems.append(too_long)
            return
        if model.arguments and not self._is_hygienic(model):
            return
        whole = text
        if text.many and model.header.promise.inlined:
            text = self._texts.by_itself(model)
        bounds, stands_for = self._bounds(model, text)
        opaque = self._parsed[name].get().opaque or text is not whole
        facts = self._facts(model, text, self._plain(text, bounds, stands_for), opaque=opaque)
        time = None if facts is None or not bounds else facts.schema.find(model.header.time or "")
        if time is not None and time.type != stands_for:
            facts = self._facts(model, text, self._plain(text, bounds, time.type), opaque=opaque)
        if facts is None:
            return
        if reserved := reserved_columns(facts.schema, f"`{name}`", model.query.span(0)):
            self.problems += reserved
            return
        if taken := taken_names(model.header, facts.schema, model.query.span(0)):
            self.problems += taken
            return
        schema = with_validity(model.header, facts.schema)
        judged = self._judged_header(model, schema)
        if judged is None:
            return
        model = judged
        by_text = self._by_text(model, facts.schema)
        if not self._header_fits(model, schema, by_text):
            return
        traces = Traces(
            facts.lineage,
            {item.table: self._placed(item.mapping, text, bounds, time or stands_for) for item in facts.times},
            {item.table: frozenset(item.columns) for item in facts.reads},
        )
        self._columns[name] = schema
        clock, written = self._moving(model, text, facts)
        compiled = CompiledModel(
            model=model,
            query=whole.query,
            schema=schema,
            traces=Later.of(traces),
            parents=whole.parents,
            fingerprint=self._fingerprint(model, text, facts),
            clock=clock,
            written=written,
            checked_against=_checked_against(model.header, self._columns),
            ordered_after=self._ordered_after(model),
            bounds=bounds,
            by_text=by_text,
        )
        problem = not_incremental(compiled)
        if problem is None:
            self._take(compiled, self._given(whole.parents), schema_digest(schema))
        else:
            self.problems.append(problem)

    def _take(self, compiled: CompiledModel, key: str, columns: str) -> None:
        name = compiled.model.name
        self.done[name] = compiled
        self.keys[name] = key
        self.digests[name] = columns
        self._columns[name] = compiled.schema

    def _is_as_before(self, before: KnownModel) -> bool:
        """Whether compiling would give again what it gave, for a model whose file and header are what they were."""
        compiled = before.compiled
        name = compiled.model.name
        if self._known is None or not (
            self._graph is self._known.graph or self._reader(name) == self._row_before(name)
        ):
            return False
        put_in = compiled.query is not compiled.model.query
        if put_in or (self._inline and any(edge.table in self._inline for edge in self._reader(name).edges)):
            if any(parent in self.models and parent not in self.done for parent in self._reader(name).parents):
                return False
            if compiled.model.dialect and self._translated(compiled.model) is None:
                return False
            if self._texts.of(name).query.text != compiled.query.text:
                return False
        return all(parent in self._columns for parent in compiled.parents) and before.key == self._given(
            compiled.parents
        )

    def _given(self, parents: Collection[TableName]) -> str:
        """A hash of all that decides what a query gives, besides its text."""
        return digest(self._base, *[self._stamp(parent) for parent in parents])

    def _stamp(self, parent: TableName) -> str:
        """What of a parent decides its children: its columns, and for a view the query that is looked through."""
        found = self._stamps.get(parent)
        if found is None:
            compiled = self.done.get(parent)
            spelled = self._spelled.get(parent, parent) if compiled is None else compiled.model.name
            found = f"{spelled} {self.digests.get(parent) or schema_digest(self._columns[parent])}"
            if compiled is not None and compiled.header.promise.is_view:
                found += f" {self.keys[parent]} {digest(compiled.query.text, compiled.model.file.text)} {compiled.model.file.path}"
            self._stamps[parent] = found
        return found

    def _row_before(self, name: TableName) -> Reader | None:
        if self._known is None:
            return None
        if not self._rows_before:
            self._rows_before = {reader.name: reader for reader in self._known.graph.readers}
        return self._rows_before.get(name)

    def _reader(self, name: TableName) -> Reader:
        if not self._rows:
            self._rows = {reader.name: reader for reader in self._graph.readers}
        return self._rows[name]

    def _placed(
        self, mapping: TimeMapping, text: Text, bounds: tuple[tuple[int, int, str], ...], time: Column | str
    ) -> TimeMapping:
        """A mapping whose reason says where in the files its construct stands."""
        if not mapping.reason:
            return mapping
        query = text.query if mapping.view is None else self._texts.of(mapping.view).query
        if mapping.view is None and bounds:  # offsets are those of the text that was looked at
            value = _stand_in(time if isinstance(time, str) else time.type)
            query = query.edit([Edit(at, to, value) for at, to, _ in bounds])
        where = "" if mapping.view is None else f"in the view `{mapping.view}`"
        if mapping.start is not None:
            span = query.span(mapping.start, mapping.end)
            where = ", ".join(part for part in (f"{span.path}:{span.line}", where) if part)
        return replace(mapping, reason=f"{mapping.reason} ({where})" if where else mapping.reason)

    def _is_hygienic(self, model: Model) -> bool:
        """Whether every name in an argument of a macro means what it means where it was written."""
        from sqlflow.compiler.facts import resolve_query
        from sqlflow.compiler.hygiene import BINDS_NAMES, captured
        from sqlflow.core.syntax import parse_tree

        text, dialect = model.query.text, self._authors
        if not any(BINDS_NAMES.search(text, *argument.call) for argument in model.arguments):
            return True
        reads = {
            ((edge.read.schema or "").lower(), edge.read.name.lower()): edge.table
            for edge in self._reader(model.name).edges
        }
        tree = (self._trees.get(text) if dialect == self._dialect else None) or parse_tree(text, dialect)
        if tree is None:
            return True
        resolved = resolve_query(tree, {name: self._columns[name] for name in reads.values()}, reads, dialect)
        found = captured(resolved, model.arguments)
        for name in found:
            start, end = name.argument.written
            self.problems.append(
                Diagnostic(
                    "macro-capture",
                    f"`{name.name}` is handed to a macro inside of which it is {name.what}",
                    model.file.span(start, end),
                    "write the column with the name of its table in front, or rename what the macro has inside",
                )
            )
        return not found

    def _by_text(self, model: Model, schema: Schema) -> tuple[str, ...]:
        """The columns whose type knows no equality, in lower case, for a model in which rows are held against each other."""
        if not compares_rows(model.header):
            return ()
        key = "by_text:" + digest(self._version, repr(schema))
        if (known := self._cache.get(key)) is not None:
            return tuple(msgspec.json.decode(known, type=list[str]))
        found = without_equality(schema, self._binder)
        self._cache.put(key, msgspec.json.encode(found))
        return found

    def _judged_header(self, model: Model, schema: Schema) -> Model | None:
        """The model with its conditions in the SQL of the target; None, and told, where that cannot be."""
        if not has_snippets(model.header):
            return model
        from sqlflow.compiler.conditions import judged_header

        wrong: list[Diagnostic] = []
        header = judged_header(model.header, schema, self._around(), wrong)
        self.problems += [problem for problem in wrong if problem not in self.problems]  # defaults are of many models
        return None if wrong else replace(model, header=header)

    def with_inputs(self, project: Project) -> Project:
        """The project with the checks of sources and seeds in the SQL of the target."""
        if not any(check.written for checks in checks_of_inputs(project).values() for check in checks):
            return project
        from sqlflow.compiler.conditions import judged_inputs

        return judged_inputs(project, self._columns, self._around(), self.problems)

    def _around(self) -> Surroundings:
        from sqlflow.compiler.conditions import Surroundings

        return Surroundings(self._authors, self._dialect, self._columns)

    def _header_fits(self, model: Model, schema: Schema, by_text: tuple[str, ...]) -> bool:
        """Whether the directives name columns that there are, with conditions that work."""
        header = model.header
        key = "header:" + digest(
            self._version, repr(schema), repr((header.checks, header.deleted, header.key, header.time, header.cursor, header.index, header.partition_by)),
            repr((header.grain, header.lookback, header.mode, sorted(header.columns), header.compare, header.added)),
        )  # fmt: skip
        if self._cache.get(key) is not None:
            return True
        problems = check_header(model, schema, by_text, self._binder)
        self.problems += problems
        if not problems:
            self._cache.put(key, b"1")
        return all(problem.severity is not Severity.ERROR for problem in problems)

    # ------------------------------------------------------------------ the author's SQL in that of the target

    def _as_it_runs(self, model: Model) -> tuple[MappedText, Named]:
        """The query in the target's SQL, and the tables that it names there."""
        edges = self._reader(model.name).edges
        if not model.dialect:
            return model.query, [(edge.read, edge.table) for edge in edges]
        tables = {_written(edge.read): edge.table for edge in edges}
        from sqlflow.translation.align import differences

        told = self._translated(model) or ""
        query = model.query.edit(differences(model.query.text, told))
        found = self._parsed_text(told).tables
        return query, [(read, tables[_written(read)]) for read in found if _written(read) in tables]

    def _translated(self, model: Model) -> str | None:
        """A query in the target's SQL; None, and told, where it cannot be."""
        name = model.name
        if name in self._told:
            return self._told[name]
        edges = self._reader(name).edges
        columns = {_written(edge.read): self._columns.get(edge.table) for edge in edges}
        if None in columns.values():
            return None  # a source that could not be read, which has been told
        given = repr(sorted((str(read), repr(schema)) for read, schema in columns.items()))
        key = "told:" + digest(self._version, model.dialect, self._dialect, model.query.text, given)
        cached = _cached(self._cache, key, str)
        if cached is None:
            from sqlflow.translation.translate import Untranslatable, translated

            try:
                cached = translated(
                    model.query.text,
                    model.dialect,
                    self._dialect,
                    lambda table: columns.get(
                        (".".join(filter(None, (table.catalog, table.db))).lower(), table.name.lower())
                    ),
                )
                self._cache.put(key, msgspec.json.encode(cached))
            except Untranslatable as error:
                for reason in error.reasons:
                    span = model.query.span(
                        reason.start or 0, len(model.query.text) if reason.end is None else reason.end
                    )
                    message = f"this query cannot be translated from {model.dialect} to {self._dialect}: {reason.words}"
                    hint = f"write it in another way, or write the project in the target's SQL: `dialect: {self._dialect}` in sqlflow.yml"
                    self.problems.append(Diagnostic("not-translatable", message, span, hint))
        self._told[name] = cached
        return cached

    def _bounds(self, model: Model, text: Text) -> tuple[tuple[tuple[int, int, str], ...], str]:
        """Where `$start` and `$end` stand, and the type that they probably have."""
        if not self._parsed[model.name].get().bounds:
            return (), ""
        return self._parsed_text(text.query.text).bounds, "TIMESTAMP" if model.header.grain is Grain.HOUR else "DATE"

    def _plain(self, text: Text, bounds: tuple[tuple[int, int, str], ...], stands_for: str) -> str:
        """The query for the binder: a value of the time column's type in place of `$start` and `$end`."""
        if not bounds:
            return text.query.text
        value = _stand_in(stands_for)
        return text.query.edit([Edit(start, end, value) for start, end, _ in bounds]).text

    def _facts(self, model: Model, text: Text, plain: str, *, opaque: bool) -> Facts | None:
        columns = {parent: self._columns[parent] for parent in text.parents}
        time = model.header.time if model.header.promise.timed else None
        key = "facts3:" + digest(
            self._version,
            self._dialect,
            self._zone,
            plain,
            time or "",
            self._given(text.parents),
        )
        cached = _cached(self._cache, key, Facts)
        if cached is not None:
            return cached
        for parent in text.parents:
            if parent not in self._defined:
                self._binder.define(parent, self._columns[parent])
                self._defined.add(parent)
        bound = self._binder.bind(plain)
        from sqlflow.compiler.facts import find_facts, resolve_query

        if text.query is not model.query and plain == text.query.text:
            self._parsed_text(plain)  # asked for below, and it keeps the tree
        tree = None if opaque else self._tree(plain)
        resolved = None if tree is None else resolve_query(tree, columns, text.reads, self._dialect)
        if model.header.promise.is_view and resolved is not None and len(self._views) < _MOST_TREES:
            self._views[model.name] = resolved
        if isinstance(bound, BindError):
            self._refused(model, text, plain, bound, resolved)
            return None
        twice = _twice(bound)
        if twice is not None and not model.header.promise.tests:
            self.problems.append(
                Diagnostic(
                    "duplicate-column",
                    f"the query gives two columns named `{bound.columns[twice].name}`",
                    self._place_of_item(text, plain, resolved, twice),
                    "rename one with AS",
                )
            )
            return None
        for column in bound if not model.header.promise.tests else ():
            if column.type.upper() in ("RECORD", "RECORD[]"):
                message = f"the column `{column.name}` is a record, which no table can hold"
                self.problems.append(
                    Diagnostic(
                        "type-error", message, model.query.span(0), f"write `{column.name}::text`, or leave it out"
                    )
                )
                return None
        settings = self._binder.settings(plain, [*columns.values(), bound])
        if resolved is None:
            facts = Facts(bound, settings=settings)
        else:  # all columns: the mappings look into views
            traits = self._binder.traits
            facts = find_facts(resolved, bound, time, self._columns, self._view, self._zone, traits)
            facts = self._judged(facts, {item.word for item in self._words(model, text)})
            facts = replace(facts, settings=settings)
        self._cache.put(key, msgspec.json.encode(facts))
        return facts

    def _refused(self, model: Model, text: Text, plain: str, bound: BindError, resolved: Resolved | None) -> None:
        """The binder stops at the first problem; names that are wrong can be told all at once."""
        mapped = text.query if plain == text.query.text else replace(text.query, text=plain)
        from sqlflow.compiler.facts import name_problems

        wrong = name_problems(resolved) if resolved is not None else []
        found = [problem for problem in wrong if bound.code in _NAME_CODES]
        end = bound.end if bound.end is not None else bound.start
        same = [
            p for p in found if bound.start is not None and p.start is not None and bound.start <= p.start <= (end or 0)
        ]
        if not same or " in `" in bound.message:  # the engine knows which table an alias stands for
            found = [*(p for p in found if p not in same), bound]
        known = [c for parent in text.parents for c in self._columns[parent].names]
        told = [_diagnostic(problem, mapped, known) for problem in found]
        if model.dialect:
            told = [
                self._of_translation(model, plain, problem, diagnostic)
                for problem, diagnostic in zip(found, told, strict=True)
            ]
        self.problems += told

    def _of_translation(self, model: Model, plain: str, problem: BindError, told: Diagnostic) -> Diagnostic:
        """A problem of a query that nobody wrote: at the word in what was written, if it is there, with the line that runs."""
        if problem.start is None:
            return told
        begin, stop = plain.rfind("\n", 0, problem.start) + 1, plain.find("\n", problem.start)
        line = " ".join(plain[begin : stop if stop >= 0 else None].split())
        message = f"{told.message}, in the translation to {self._dialect}: `{line}`"
        hint = (
            told.hint
            or f"write it in another way, or write the project in the target's SQL: `dialect: {self._dialect}` in sqlflow.yml"
        )
        return replace(told, message=message, hint=hint)

    def _place_of_item(self, text: Text, plain: str, resolved: Resolved | None, place: int) -> Span:
        """Where the item of the SELECT list stands that gives a column; the first word of the query where it is not known."""
        from sqlflow.compiler.scopes import Select
        from sqlflow.core.syntax import place_of

        query = resolved.query if resolved is not None else None
        outputs = query.outputs if isinstance(query, Select) else None
        node = outputs[place].expression.node if outputs is not None and place < len(outputs) else None
        while node is not None and node.parent is not None and node.arg_key != "expressions":
            node = node.parent
        start, end = place_of(node) if node is not None else (None, None)
        mapped = text.query if plain == text.query.text else replace(text.query, text=plain)
        return mapped.span(start or 0, end)

    def _tree(self, text: str) -> exp.Query | None:
        from sqlflow.core.syntax import parse_tree

        return self._trees.pop(text, None) or parse_tree(text, self._dialect)

    def _parsed_text(self, text: str) -> Parsed:
        """What a text says by itself, after other texts were put into it."""
        key = "parse2:" + digest(self._version, self._dialect, text)
        found = _cached(self._cache, key, Parsed)
        if found is None:
            from sqlflow.compiler.parse import parse

            found, tree = parse(text, self._dialect, self._binder)
            if tree is not None and len(self._trees) < _MOST_TREES:
                self._trees[text] = tree
            self._cache.put(key, msgspec.json.encode(found))
        return found

    def _view(self, name: TableName) -> Resolved | None:
        """The resolved query of a parent that is a view, to be looked through."""
        model = self.models.get(name)
        if model is None or not model.header.promise.is_view or name not in self.done:
            return None
        if name not in self._views:
            text = self._texts.of(name)
            from sqlflow.compiler.facts import resolve_query

            tree = self._tree(text.query.text)
            columns = {parent: self._columns[parent] for parent in text.parents}
            self._views[name] = None if tree is None else resolve_query(tree, columns, text.reads, self._dialect)
        return self._views[name]

    def _moving(self, model: Model, text: Text, facts: Facts) -> tuple[tuple[Moving, ...], Written]:
        """What its rows depend on that may be something else in another build, and which columns only tell of it, with the
        views looked through that it reads."""
        read = [self.done[parent] for parent in text.parents if parent in self.done]
        views = [model for model in read if model.header.promise.looked_through]
        rows = {item for view in views for item in view.clock}
        if not facts.lineage.complete:
            rows.update(self._words(model, text))
            rows.update(item for view in views for items in view.written.values() for item in items)
            return tuple(sorted(rows)), {}
        told = {(view.name, name): items for view in views for name, items in view.written.items()}
        rows.update(facts.moving)
        columns: dict[str, set[Moving]] = {name: set(items) for name, items in facts.written.items()}
        if told:
            for refs in facts.lineage.indirect.values():
                for ref in refs:
                    rows.update(told.get((ref.table, ref.column.lower()), ()))
            for column in facts.lineage.columns:
                found = {item for ref in column.direct for item in told.get((ref.table, ref.column.lower()), ())}
                if found:
                    columns.setdefault(column.name.lower(), set()).update(found)
        for name in deciding_columns(model.header, columns):
            rows |= columns.pop(name)
        for name in [name for name, items in columns.items() if any(i.nature is Nature.OUTSIDE for i in items)]:
            rows |= columns.pop(name)
        unknown = {item for items in columns.values() for item in items if item.nature is Nature.UNKNOWN}
        rows |= unknown
        clock = tuple(sorted(rows))
        stale_by = model.header.clock.applied(clock)
        written = {
            name: tuple(sorted(items - unknown))
            for name, items in sorted(columns.items())
            if not all(is_fresh(item, stale_by) for item in items - unknown)
        }
        return clock, written

    def _words(self, model: Model, text: Text) -> tuple[Moving, ...]:
        parsed = self._parsed[model.name].get() if text.query is model.query else self._parsed_text(text.query.text)
        return parsed.clock

    def _judged(self, facts: Facts, words: Collection[str]) -> Facts:
        """With what the engine says of the functions that SQLFlow does not know, and the names that the text has."""
        from sqlflow.compiler.functions.spelled import as_written

        everything = {*facts.moving, *(item for items in facts.written.values() for item in items)}
        steady = {i for i in everything if i.nature is Nature.UNKNOWN and self._binder.steady(i.word)}
        written = {
            name: tuple(as_written(item, words) for item in items if item not in steady)
            for name, items in facts.written.items()
        }
        return replace(
            facts,
            moving=tuple(as_written(item, words) for item in facts.moving if item not in steady),
            written={name: items for name, items in written.items() if items},
        )

    def _ordered_after(self, model: Model) -> tuple[TableName, ...]:
        if not model.header.depends_on:
            return ()
        return self._reader(model.name).parents

    def _fingerprint(self, model: Model, text: Text, facts: Facts) -> Fingerprint:
        untouched = text.query is model.query
        parsed = self._parsed[model.name].get() if untouched else self._parsed_text(text.query.text)
        within = [self.done[p].fingerprint.query for p in text.parents if p in self._inline]
        return Fingerprint(
            query=digest(parsed.meaning, *within) if within else parsed.meaning,
            header=header_digest(model.header),
            checks=checks_digest(model.header),
            columns=facts.columns,
            rows=facts.rows,
            settings=facts.settings,
            spelling=parsed.spelling if facts.spelled else "",
        )


def _written(read: ReadTable) -> tuple[str, str]:
    """How a table is written, whatever the case."""
    return (read.schema or "").lower(), read.name.lower()


def _checked_against(header: Header, columns: Mapping[TableName, Schema]) -> tuple[TableName, ...]:
    return tuple(sorted({table for check in header.checks for table in check.tables}))


def _unknown_references(compiled: Compiled) -> list[Diagnostic]:
    """Checks that read a table or column that is not there."""
    problems: list[Diagnostic] = []
    checks = [check for model in compiled.models.values() for check in model.header.checks]
    checks += [check for of_input in checks_of_inputs(compiled.project).values() for check in of_input]
    references = [(check, column) for check in checks for column in check.reads]
    if not references:
        return problems
    known = {**compiled.columns, **{name: model.schema for name, model in compiled.models.items()}}
    project = compiled.project
    all_names = {*known, *(model.name for model in project.models), *project.seeds, *project.sources, *project.broken}
    doubtful = [text.lower() for text in project.doubtful]
    for check, column in references:
        table = column.table
        schema = known.get(table)
        if schema is None:
            if table not in all_names and not any(table.name.lower() in text for text in doubtful):
                hint = did_you_mean(str(table), [str(name) for name in known])
                problems.append(Diagnostic("unknown-table", f"there is no table `{table}`", check.span, hint))
        elif schema.find(column.column) is None:
            hint = did_you_mean(column.column, schema.names)
            message = f"there is no column `{column.column}` in `{table}`"
            problems.append(Diagnostic("unknown-column", message, check.span, hint))
    return problems


def _diagnostic(error: BindError, text: MappedText, known: list[str] | None = None) -> Diagnostic:
    span = text.span(error.start, error.end) if error.start is not None else text.span(0)
    hint = None
    if error.code == "unknown-function" and error.candidates:
        hint = f"did you mean `{error.candidates[0]}`?"
    elif error.code == "pivot-columns":
        hint = "list the values that become columns: `ON name IN ('a', 'b')`"
    elif error.code in _HINTS:
        hint = _HINTS[error.code]
    elif error.code == "unknown-column":
        word = error.message.split("`")[1] if "`" in error.message else ""
        names = [*error.candidates, *(known or ())]
        same = next((name for name in names if name != word and name.lower() == word.lower()), None)
        hint = did_you_mean(word, names) if same is None else _IN_QUOTES.format(same)
    return Diagnostic(error.code, error.message, span, error.hint or hint)


def _too_deep(model: Model) -> Diagnostic:
    error = BindError("too-deep", "the query is nested more deeply than SQLFlow can read")
    return _diagnostic(error, model.query)


_NAME_CODES = frozenset({"unknown-column", "ambiguous-column"})
_IN_QUOTES = 'write `"{}"`, with quotes: without them the database reads a name in lower case'
_HINTS = {
    "too-deep": "write it with fewer levels: split it into CTEs or models, or put values into a seed and join it",
}


def _stand_in(kind: str) -> str:
    return f"CAST('2000-01-01' AS {kind})"


def _twice(schema: Schema) -> int | None:
    """The place of the first column whose name another one before it has."""
    seen: set[str] = set()
    for place, column in enumerate(schema):
        if column.name.lower() in seen:
            return place
        seen.add(column.name.lower())
    return None


def _cached(cache: Cache, key: str, kind: type[T]) -> T | None:
    """A cached value; None when it is missing or cannot be read."""
    found = cache.get(key)
    if found is None:
        return None
    try:
        return msgspec.json.decode(found, type=kind)
    except (msgspec.DecodeError, ValueError):
        return None
