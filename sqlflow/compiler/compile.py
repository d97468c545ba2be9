"""`compile_models`: every model, parents first: put in inline models, bind, trace, check the header, fingerprint."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import PurePath
from typing import TYPE_CHECKING, TypeVar

import msgspec

from sqlflow.compiler.header import check_header
from sqlflow.compiler.known import Facts, Parsed
from sqlflow.compiler.required import not_incremental
from sqlflow.core.cache import Cache
from sqlflow.core.compiled import Compiled, CompiledModel, TimeMapping
from sqlflow.core.config import Config
from sqlflow.core.diagnostics import Diagnostic, did_you_mean
from sqlflow.core.engine import Binder, BindError
from sqlflow.core.graph import ModelGraph
from sqlflow.core.intervals import Grain
from sqlflow.core.model import CheckKind, Header, Mode, Model, Project
from sqlflow.core.names import TableName
from sqlflow.core.records import Fingerprint
from sqlflow.core.schema import Column, Schema
from sqlflow.core.sql import quoted, render
from sqlflow.core.text import Edit, MappedText

if TYPE_CHECKING:
    from sqlglot import exp

    from sqlflow.compiler.resolve import Resolved

# The modules that need sqlglot are imported where a query must really be read: a build that finds everything in the
# cache starts without them.

T = TypeVar("T")

Trees = dict[str, "exp.Query"]
_MOST_TREES = 3000  # a tree is about 500 bytes per node


def parse_models(
    project: Project,
    dialect: str,
    binder: Binder,
    cache: Cache,
    version: str,
    trees: Trees,
    hopeless: Collection[PurePath],
) -> tuple[dict[TableName, Parsed], list[Diagnostic]]:
    """What each model's text says by itself; models with syntax errors are left out and told.

    `trees` takes the syntax trees that were made on the way, by text. `hopeless`: files whose query is known to be
    wrong, which are left out without a word.
    """
    found: dict[TableName, Parsed] = {}
    problems: list[Diagnostic] = []
    for model in project.models:
        if model.file.path in hopeless:
            continue
        text = model.query.text
        key = "parse:" + _hash(version, dialect, text)
        parsed = _cached(cache, key, Parsed)
        if parsed is None:
            from sqlflow.compiler.parse import parse

            parsed, tree = parse(text, dialect, binder)
            if tree is not None and len(trees) < _MOST_TREES:
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
            found[model.name] = parsed
    return found, problems


def compile_models(
    project: Project,
    graph: ModelGraph,
    parsed: Mapping[TableName, Parsed],
    columns: Mapping[TableName, Schema],
    config: Config,
    binder: Binder,
    cache: Cache,
    version: str,
    trees: Trees,
) -> tuple[Compiled, list[Diagnostic]]:
    """All models of a graph that can be compiled, and every problem found.

    `columns`: of sources, seeds and undeclared tables. `version`: of the programs whose judgement the cache holds.
    A model that depends on a broken one is left out without a word of its own.
    """
    compiler = _Compiler(project, graph, parsed, columns, config, binder, cache, version, trees)
    for name in graph.order:
        compiler.add(name)
    order = tuple(name for name in graph.order if name in compiler.done)
    compiled = Compiled(project, compiler.done, order, dict(columns), graph.undeclared)
    return compiled, [*compiler.problems, *_unknown_references(compiled)]


@dataclass(frozen=True, slots=True)
class _Text:
    """A model's text with everything put in. `reads`: how each table is written in it -> the table."""

    query: MappedText
    parents: tuple[TableName, ...]
    reads: Mapping[tuple[str, str], TableName]


class _Compiler:
    def __init__(
        self,
        project: Project,
        graph: ModelGraph,
        parsed: Mapping[TableName, Parsed],
        columns: Mapping[TableName, Schema],
        config: Config,
        binder: Binder,
        cache: Cache,
        version: str,
        trees: Trees,
    ) -> None:
        self.done: dict[TableName, CompiledModel] = {}
        self.problems: list[Diagnostic] = []
        self._models = {model.name: model for model in project.models}
        self._readers = {reader.name: reader for reader in graph.readers}
        self._parsed = parsed
        self._columns = dict(columns)
        self._dialect = config.dialect
        self._zone = config.timezone
        self._binder = binder
        self._cache = cache
        self._version = version
        self._trees = trees
        self._texts: dict[TableName, _Text] = {}
        self._keys: dict[TableName, str] = {}
        self._defined: set[TableName] = set()
        self._views: dict[TableName, Resolved | None] = {}
        self._clock: dict[TableName, tuple[str, ...]] = {}

    def add(self, name: TableName) -> None:
        model, parsed = self._models[name], self._parsed[name]
        if any(parent in self._models and parent not in self.done for parent in self._readers[name].parents):
            return
        text = self._texts[name] = self._put_in(model)
        if any(parent not in self._columns for parent in text.parents):
            return  # a source that could not be read, which has been told
        bounds, stands_for = self._bounds(model, text)
        facts = self._facts(model, text, self._plain(text, bounds, stands_for), opaque=parsed.opaque)
        time = None if facts is None or not bounds else facts.schema.find(model.header.time or "")
        if time is not None and time.type != stands_for:
            facts = self._facts(model, text, self._plain(text, bounds, time.type), opaque=parsed.opaque)
        if facts is None:
            return
        if not self._header_fits(model, facts.schema):
            return
        self._columns[name] = facts.schema
        compiled = CompiledModel(
            model=model,
            query=text.query,
            schema=facts.schema,
            lineage=facts.lineage,
            parents=text.parents,
            fingerprint=self._fingerprint(model, text, facts),
            times={item.table: self._placed(item.mapping, text, bounds, time or stands_for) for item in facts.times},
            clock=self._clock_of(name),
            checked_against=_checked_against(model.header, self._columns),
            ordered_after=self._ordered_after(model),
            bounds=bounds,
            reads={item.table: frozenset(item.columns) for item in facts.reads},
        )
        problem = not_incremental(compiled)
        if problem is None:
            self.done[name] = compiled
        else:
            self.problems.append(problem)

    def _placed(
        self, mapping: TimeMapping, text: _Text, bounds: tuple[tuple[int, int, str], ...], time: Column | str
    ) -> TimeMapping:
        """A mapping whose reason says where in the files its construct stands."""
        if not mapping.reason:
            return mapping
        query = text.query if mapping.view is None else self._texts[mapping.view].query
        if mapping.view is None and bounds:  # offsets are those of the text that was looked at
            value = _stand_in(time if isinstance(time, str) else time.type)
            query = query.edit([Edit(at, to, value) for at, to, _ in bounds])
        where = "" if mapping.view is None else f"in the view `{mapping.view}`"
        if mapping.start is not None:
            span = query.span(mapping.start, mapping.end)
            where = ", ".join(part for part in (f"{span.path}:{span.line}", where) if part)
        return replace(mapping, reason=f"{mapping.reason} ({where})" if where else mapping.reason)

    def _header_fits(self, model: Model, schema: Schema) -> bool:
        """Whether the directives name columns that there are, with conditions that work."""
        header = model.header
        key = "header:" + _hash(
            self._version, repr(schema), repr((header.checks, header.deleted, header.key, header.time, header.cursor)),
            repr((header.grain, header.lookback, header.mode, sorted(header.columns))),
        )  # fmt: skip
        if self._cache.get(key) is not None:
            return True
        problems = check_header(model, schema, self._binder)
        self.problems += problems
        if not problems:
            self._cache.put(key, b"1")
        return not problems

    def _put_in(self, model: Model) -> _Text:
        """The query with inline models and full names in place of what the author wrote."""
        edits: list[Edit] = []
        parents: dict[TableName, None] = {}
        reads: dict[tuple[str, str], TableName] = {}
        for edge in self._readers[model.name].edges:
            read = edge.read
            if self._is_inline(edge.table):
                inner = self._texts[edge.table]
                alias = "" if read.aliased else f" AS {quoted(read.name)}"
                edits.append(Edit(read.start, read.end, f"(\n{inner.query.text}\n){alias}"))
                parents |= dict.fromkeys(inner.parents)
                reads |= inner.reads
                continue
            if read.schema is None:
                edits.append(Edit(read.start, read.end, render(edge.table)))
            parents[edge.table] = None
            reads[edge.table.key] = edge.table
        return _Text(model.query.edit(edits) if edits else model.query, tuple(sorted(parents)), reads)

    def _is_inline(self, name: TableName) -> bool:
        return name in self._models and self._models[name].header.mode is Mode.INLINE

    def _bounds(self, model: Model, text: _Text) -> tuple[tuple[tuple[int, int, str], ...], str]:
        """Where `$start` and `$end` stand, and the type that they probably have."""
        if not self._parsed[model.name].bounds:
            return (), ""
        return self._parsed_text(text.query.text).bounds, "TIMESTAMP" if model.header.grain is Grain.HOUR else "DATE"

    def _plain(self, text: _Text, bounds: tuple[tuple[int, int, str], ...], stands_for: str) -> str:
        """The query for the binder: a value of the time column's type in place of `$start` and `$end`."""
        if not bounds:
            return text.query.text
        value = _stand_in(stands_for)
        return text.query.edit([Edit(start, end, value) for start, end, _ in bounds]).text

    def _facts(self, model: Model, text: _Text, plain: str, *, opaque: bool) -> Facts | None:
        columns = {parent: self._columns[parent] for parent in text.parents}
        time = model.header.time if model.header.mode is Mode.INCREMENTAL else None
        key = "facts2:" + _hash(
            self._version,
            self._dialect,
            self._zone,
            plain,
            time or "",
            *(part for parent in text.parents for part in self._parent_parts(parent)),
        )
        self._keys[model.name] = key
        cached = _cached(self._cache, key, Facts)
        if cached is not None:
            return cached
        for parent in text.parents:
            if parent not in self._defined:
                self._binder.define(parent, self._columns[parent])
                self._defined.add(parent)
        bound = self._binder.bind(plain)
        from sqlflow.compiler.facts import find_facts, resolve_query

        tree = None if opaque else self._tree(plain)
        resolved = None if tree is None else resolve_query(tree, columns, text.reads, self._dialect)
        if isinstance(bound, BindError):
            self._refused(model, text, plain, bound, resolved)
            return None
        twice = _twice(bound)
        if twice is not None:
            self.problems.append(
                Diagnostic(
                    "duplicate-column",
                    f"the query gives two columns named `{twice}`",
                    model.query.span(0),
                    "rename one with AS",
                )
            )
            return None
        if resolved is None:
            facts = Facts(bound)
        else:  # all columns: the mappings look into views
            facts = find_facts(resolved, bound, time, self._columns, self._view, self._zone)
        self._cache.put(key, msgspec.json.encode(facts))
        return facts

    def _parent_parts(self, parent: TableName) -> list[str]:
        """What of a parent decides a child's facts: its columns, and for a view the query that is looked through."""
        parts = [str(parent), *(f"{column.name} {column.type}" for column in self._columns[parent])]
        model = self._models.get(parent)
        if model is not None and model.header.mode is Mode.VIEW:
            parts.append(self._keys[parent])
        return parts

    def _refused(self, model: Model, text: _Text, plain: str, bound: BindError, resolved: Resolved | None) -> None:
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
        self.problems += [_diagnostic(problem, mapped, known) for problem in found]

    def _tree(self, text: str) -> exp.Query | None:
        from sqlflow.compiler.parse import parse_tree

        return self._trees.pop(text, None) or parse_tree(text, self._dialect)

    def _parsed_text(self, text: str) -> Parsed:
        """What a text says by itself, after other texts were put into it."""
        key = "parse:" + _hash(self._version, self._dialect, text)
        found = _cached(self._cache, key, Parsed)
        if found is None:
            from sqlflow.compiler.parse import parse

            found, _ = parse(text, self._dialect, self._binder)
            self._cache.put(key, msgspec.json.encode(found))
        return found

    def _view(self, name: TableName) -> Resolved | None:
        """The resolved query of a parent that is a view, to be looked through."""
        model = self._models.get(name)
        if model is None or model.header.mode is not Mode.VIEW or name not in self._texts:
            return None
        if name not in self._views:
            text = self._texts[name]
            from sqlflow.compiler.facts import resolve_query

            tree = self._tree(text.query.text)
            columns = {parent: self._columns[parent] for parent in text.parents}
            self._views[name] = None if tree is None else resolve_query(tree, columns, text.reads, self._dialect)
        return self._views[name]

    def _clock_of(self, name: TableName) -> tuple[str, ...]:
        """What in a query depends on the time of the build, also inside the inline models and views it reads."""
        if name not in self._clock:
            found = set(self._parsed[name].clock)
            for edge in self._readers[name].edges:
                model = self._models.get(edge.table)
                if model is not None and model.header.mode in (Mode.INLINE, Mode.VIEW):
                    found |= set(self._clock_of(edge.table))
            self._clock[name] = tuple(sorted(found))
        return self._clock[name]

    def _ordered_after(self, model: Model) -> tuple[TableName, ...]:
        if not model.header.depends_on:
            return ()
        return self._readers[model.name].parents

    def _fingerprint(self, model: Model, text: _Text, facts: Facts) -> Fingerprint:
        if text.query is model.query:
            meant = self._parsed[model.name].meaning
        else:
            meant = self._parsed_text(text.query.text).meaning
        return Fingerprint(
            query=meant,
            header=_hash(*_row_deciding(model.header)),
            checks=_hash(*(repr(_without_place(check)) for check in model.header.checks)),
            columns=facts.columns,
            rows=facts.rows,
        )


_NAME_CODES = frozenset({"unknown-column", "ambiguous-column"})


def _row_deciding(header: Header) -> list[str]:
    """The directives that decide which rows a table has; `auto` and `replace` promise the same rows."""
    mode = Mode.AUTO if header.mode is Mode.REPLACE else header.mode
    parts = [
        mode, header.key, header.time, header.grain, header.cursor, header.start, header.conflict, header.deleted,
        header.before, header.after,
    ]  # fmt: skip
    return [repr(part) for part in parts]


def _without_place(check: object) -> list[object]:
    return [getattr(check, name) for name in check.__dataclass_fields__ if name != "span"]  # type: ignore[attr-defined]


def _checked_against(header: Header, columns: Mapping[TableName, Schema]) -> tuple[TableName, ...]:
    found = {TableName(c.to[0], c.to[1]) for c in header.checks if c.kind is CheckKind.REFERENCES and len(c.to) == 3}
    return tuple(sorted(found))


def _unknown_references(compiled: Compiled) -> list[Diagnostic]:
    """`references` checks that name a table or column that is not there."""
    problems = []
    known = {**compiled.columns, **{name: model.schema for name, model in compiled.models.items()}}
    all_names = {*known, *(model.name for model in compiled.project.models)}
    for model in compiled.models.values():
        for check in model.model.header.checks:
            if check.kind is not CheckKind.REFERENCES:
                continue
            table = TableName(check.to[0], check.to[1])
            schema = known.get(table)
            if schema is None:
                if table not in all_names:
                    hint = did_you_mean(str(table), [str(name) for name in known])
                    problems.append(Diagnostic("unknown-table", f"there is no table `{table}`", check.span, hint))
            elif schema.find(check.to[2]) is None:
                hint = did_you_mean(check.to[2], schema.names)
                message = f"there is no column `{check.to[2]}` in `{table}`"
                problems.append(Diagnostic("unknown-column", message, check.span, hint))
    return problems


def _diagnostic(error: BindError, text: MappedText, known: list[str] | None = None) -> Diagnostic:
    span = text.span(error.start, error.end) if error.start is not None else text.span(0)
    hint = None
    if error.code == "unknown-function" and error.candidates:
        hint = f"did you mean `{error.candidates[0]}`?"
    elif error.code == "unknown-column":
        word = error.message.split("`")[1] if "`" in error.message else ""
        hint = did_you_mean(word, [*error.candidates, *(known or ())])
    return Diagnostic(error.code, error.message, span, hint)


def _stand_in(kind: str) -> str:
    return f"CAST('2000-01-01' AS {kind})"


def _twice(schema: Schema) -> str | None:
    seen: set[str] = set()
    for column in schema:
        if column.name.lower() in seen:
            return column.name
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


def _hash(*parts: str) -> str:
    return hashlib.blake2b("\x1f".join(parts).encode(), digest_size=16).hexdigest()
