"""Names in queries -> edges between models. Unknown names and circles are diagnostics."""

from __future__ import annotations

import hashlib
import posixpath
import re
from collections.abc import Collection, Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from sqlflow import __version__
from sqlflow.core.cache import Cache
from sqlflow.core.codec import decode, encode
from sqlflow.core.diagnostics import Diagnostic, Note, did_you_mean
from sqlflow.core.engine import ReadTable, may_be_catalogue
from sqlflow.core.graph import Edge, ModelGraph, Reader
from sqlflow.core.known import KnownProject, Parsed
from sqlflow.core.later import Later
from sqlflow.core.model import Model, Project
from sqlflow.core.names import TableName
from sqlflow.core.source import Span
from sqlflow.graph.arrange import arrange, has_circles

_FORM = f"sqlflow {__version__}"
_WORD = re.compile(r"\w+")
_OF_DATA = (".csv", ".tsv", ".parquet", ".json", ".jsonl", ".ndjson", ".xlsx", ".gz", ".zst")
_OWN_SCHEMAS = frozenset({"information_schema", "pg_catalog"})


def link(
    project: Project,
    parsed: Mapping[TableName, Later[Parsed]],
    existing: Collection[TableName],
    default_schema: str,
    gone: Collection[TableName],
    cache: Cache,
    known: KnownProject | None,
) -> tuple[Linked, list[Diagnostic]]:
    """The graph of a project.

    `parsed`: what each model's query says by itself; models that are not in it are broken. `existing`: what is in
    the database. `gone`: tables that were made from models which are no more. `known`: the project as it was.
    Gives the graph and everything that is wrong with it. A graph without a problem is kept in the cache, and networkx
    is not needed to read it back.
    """
    by_model = {model.name: _contributed(model, parsed.get(model.name), known) for model in project.models}
    digest = _digest(project, by_model, existing, default_schema)
    if known is not None and known.linked == digest:
        return Linked(known.graph, digest, by_model), []
    key = "graph:" + digest
    kept = cache.get(key)
    if kept is not None:
        try:
            return Linked(_decoded(kept), digest, by_model), []
        except ValueError:
            pass  # an entry that cannot be read is made again
    reads = {name: found.get().tables for name, found in parsed.items()}
    graph, problems = _link(project, reads, existing, default_schema, gone)
    if not problems:
        cache.put(key, encode((graph.readers, graph.order, graph.broken, graph.undeclared)).encode())
    return Linked(graph, digest, by_model), problems


class Linked(Struct, frozen=True):
    """A graph. `digest`: of all that decides it; `by_model`: of what each model contributes to that."""

    graph: ModelGraph
    digest: str
    by_model: Mapping[TableName, str]


def _decoded(kept: bytes) -> ModelGraph:
    names = tuple[TableName, ...]
    readers, order, broken, undeclared = decode(kept, tuple[tuple[Reader, ...], names, names, names])
    return ModelGraph(Later.of(readers), order, broken, undeclared)


def _contributed(model: Model, parsed: Later[Parsed] | None, known: KnownProject | None) -> str:
    """All of a model that decides a graph without problems; where things stand in its file does not."""
    same = known.models.get(str(model.file.path)) if known is not None else None
    if same is not None and same.compiled.model is model:
        return same.linked
    references = [(check.reads, check.tables) for check in model.header.checks if check.tables]
    reads = None if parsed is None else parsed.get().tables
    return _hash(str(model.name), repr(reads), repr((model.header.depends_on, references)))


def _digest(
    project: Project, by_model: Mapping[TableName, str], existing: Collection[TableName], default_schema: str
) -> str:
    parts = [_FORM, default_schema, *by_model.values()]
    parts += ["|", *sorted(map(str, (*project.sources, *project.seeds))), "|"]
    parts += [*map(str, project.broken), *project.doubtful, "|"]
    parts += sorted(
        str(n) for n in existing if n not in by_model and n not in project.sources and n not in project.seeds
    )
    return _hash(*parts)


def _hash(*parts: str) -> str:
    return hashlib.blake2b("\x1f".join(parts).encode(), digest_size=16).hexdigest()


def _link(
    project: Project,
    reads: Mapping[TableName, tuple[ReadTable, ...]],
    existing: Collection[TableName],
    default_schema: str,
    gone: Collection[TableName],
) -> tuple[ModelGraph, list[Diagnostic]]:
    models = {model.name: model for model in project.models}
    names = _Names(project, existing, default_schema, gone)
    edges: dict[TableName, tuple[Edge, ...]] = {}
    broken = {name for name in models if name not in reads}
    undeclared: set[TableName] = set()
    named: dict[TableName, set[TableName]] = {name: set() for name in sorted(models)}
    for name in sorted(reads):
        model = models[name]
        found: list[Edge] = []
        for read in reads[name]:
            table = names.resolve(read, model.query.span(read.start, read.end), model)
            if table is None:
                if (read.schema or "").lower() not in _OWN_SCHEMAS and not names.is_catalogue(read):
                    broken.add(name)
                continue
            found.append(Edge(table, read))
            if table not in names.project:
                undeclared.add(table)
            named[name].add(table)
        edges[name] = tuple(found)
        named[name] |= _depends_on(model, names)
    problems = names.problems()
    if has_circles(named):
        circling, drawn = _circles(named, models, edges)
        broken |= circling
        problems += drawn
    arranged = arrange(models, named, broken, problems)
    readers = tuple(Reader(name, edges.get(name, ()), tuple(sorted(arranged.parents[name]))) for name in named)
    broken_and_below = tuple(sorted(arranged.broken))
    return ModelGraph(Later.of(readers), arranged.order, broken_and_below, tuple(sorted(undeclared))), problems


class _Names:
    """What a name in a query may stand for."""

    def __init__(
        self, project: Project, existing: Collection[TableName], default_schema: str, gone: Collection[TableName]
    ) -> None:
        self._gone = set(gone)
        self._disabled = dict(project.disabled)
        self._tests = {model.name: model for model in project.models if model.header.promise.tests}
        models = {model.name for model in project.models if model.name not in self._tests}
        self.project = models | set(project.sources) | set(project.seeds)
        self._files = {posixpath.normpath(s.path): ("source", s.name) for s in project.sources.values() if s.path}
        self._files |= {seed.path: ("seed", seed.name) for seed in project.seeds.values()}
        self._problems: list[Diagnostic] = []
        self._made_before: dict[TableName, list[tuple[TableName, Span]]] = {}
        self._nowhere: dict[str, list[tuple[Span, str | None]]] = {}
        self._broken = set(project.broken)
        self._doubtful = [set(_WORD.findall(text.lower())) for text in project.doubtful]
        self.existing = set(existing)
        self._spelled = {name: name for name in existing}  # as the database does
        self._default = default_schema
        self._by_name: dict[str, list[TableName]] = {}
        for name in sorted(self.project):
            self._by_name.setdefault(name.name.lower(), []).append(name)

    def _may_be_defined(self, *parts: str) -> bool:
        """Whether a text that is wrong names it: that it is unknown only follows from what is told of that text."""
        words = {word for part in parts for word in _WORD.findall(part.lower())}
        return any(words <= text for text in self._doubtful)

    def resolve(self, read: ReadTable, span: Span, model: Model) -> TableName | None:
        """The table; None where there is none, which is a problem, or where its definition is wrong, which was told."""
        if read.schema is not None:
            if read.schema.lower() in _OWN_SCHEMAS:
                return None
            table = TableName(read.schema, read.name)
            if table in self._broken:
                return None
            if table in self.project or table in self.existing:
                return self._as_defined(table)
            if table in self._tests:
                self._problems.append(self._no_table(self._tests[table], span))
            elif self._may_be_defined(table.schema, table.name) or (self._doubtful and table in self._gone):
                pass
            elif table in self._gone and table not in self._disabled:
                self._made_before.setdefault(table, []).append((model.name, span))
            else:
                self._unknown(str(table), span, self._suggestion(table, model))
            return None
        if any(name.name.lower() == read.name.lower() for name in self._broken):
            return None
        candidates = self._by_name.get(read.name.lower(), [])
        if len(candidates) > 1:
            listed = " or ".join(f"`{name}`" for name in candidates)
            message = f"`{read.name}` is ambiguous: it may be {listed}"
            self._problems.append(Diagnostic("ambiguous-table", message, span, "write the schema in front of it"))
            return None
        if candidates:
            return candidates[0]
        for schema in (self._default, "main"):
            if (there := self._spelled.get(TableName(schema, read.name))) is not None:
                return there
        if not self.is_catalogue(read) and not self._may_be_defined(read.name):
            self._unknown(read.name, span, self._suggestion(TableName(self._default, read.name), model))
        return None

    def is_catalogue(self, read: ReadTable) -> bool:
        """Whether a name without a schema is left to the engine, which says so if it has no such table either."""
        return may_be_catalogue(read) and read.name.lower() not in self._by_name

    def problems(self) -> list[Diagnostic]:
        """What is wrong with the names that were looked up; one problem for each cause."""
        found = list(self._problems)
        for table, reads in self._made_before.items():
            message = f"`{table}` was made from a file of the project that is gone, so it would never change again"
            hint = did_you_mean(str(table), [str(name) for name in sorted(self.project - {name for name, _ in reads})])
            notes = tuple(Note("also read here", span) for _, span in reads[1:])
            found.append(
                Diagnostic(
                    "gone-table",
                    message,
                    reads[0][1],
                    hint or "read what took its place, or put the file back",
                    notes=notes,
                )
            )
        far = {name: at for name, at in self._nowhere.items() if all(hint is None for _, hint in at)}
        if self.existing or len(far) < _MANY:
            far = {}
        else:
            found.append(_no_tables(far))
        for name, at in self._nowhere.items():
            each = [_unknown(name, span, hint) for span, hint in at if name not in far]
            found += each if len(each) < _MANY else [_at_all(each)]
        return found

    def _unknown(self, name: str, span: Span, hint: str | None) -> None:
        self._nowhere.setdefault(name, []).append((span, hint))

    @staticmethod
    def _no_table(test: Model, span: Span) -> Diagnostic:
        message = f"`{test.name}` is the query in `{test.file.path}`, which makes no table"
        return Diagnostic("unknown-table", message, span, "a query that others read is a model: move it into models/")

    def _as_defined(self, table: TableName) -> TableName:
        same = [name for name in self._by_name.get(table.name.lower(), ()) if name == table]
        return same[0] if same else self._spelled.get(table, table)

    def _suggestion(self, table: TableName, reader: Model) -> str | None:
        if table in self._disabled:
            return f"`{self._disabled[table]}` is switched off by `enabled: false`"
        if (hint := self._of_a_file(table.name)) is not None:
            return hint
        known = sorted((self.project | self.existing) - {reader.name})
        other = [str(name) for name in known if name.name.lower() == table.name.lower()]
        if other:
            return "did you mean " + " or ".join(f"`{name}`" for name in other[:3]) + "?"
        return did_you_mean(str(table), [str(name) for name in known])

    def _of_a_file(self, text: str) -> str | None:
        """What to write in place of the name of a file."""
        path = posixpath.normpath(text)
        if path in self._files:
            what, name = self._files[path]
            return f"the file is the {what} `{name}`: write `FROM {name}`"
        if "/" in text or path.lower().endswith(_OF_DATA):
            return "files are declared in sources/*.yml, so that changes in them are seen; a CSV file in seeds/ is the table `seeds.NAME`"
        return None


_MANY = 4


def _no_tables(unknown: Mapping[str, Sequence[tuple[Span, str | None]]]) -> Diagnostic:
    """Many tables that are nowhere, and a database without a single one: that is one cause."""
    names = sorted(unknown)
    listed = ", ".join(f"`{name}`" for name in names[:5]) + (f" and {len(names) - 5:,} more" if len(names) > 5 else "")
    places = [(name, unknown[name][0][0]) for name in names]
    return Diagnostic(
        "no-database",
        f"the database is empty or not there yet, and {len(names):,} tables are read that nothing in the project makes: {listed}",
        places[0][1],
        "load them first, or name another target; or declare them in sources/*.yml, with their `columns`",
        notes=tuple(Note(f"`{name}` is read here", span) for name, span in places[1:5]),
    )


def _at_all(each: Sequence[Diagnostic]) -> Diagnostic:
    """One problem for a name that many read: most probably its definition is missing."""
    shown = tuple(Note("also read here", problem.span) for problem in each[1:5])
    more = (Note(f"and at {len(each) - 5:,} more places"),) if len(each) > 5 else ()
    return replace(each[0], notes=(*shown, *more))


def _unknown(name: str, span: Span, hint: str | None) -> Diagnostic:
    hint = hint or "it is no model, seed or source of the project, and the database has no such table of its own"
    return Diagnostic("unknown-table", f"there is no table `{name}`", span, hint)


def _depends_on(model: Model, names: _Names) -> set[TableName]:
    found = set()
    for text in model.header.depends_on:
        schema, _, name = text.rpartition(".")
        span = model.header.spans.get("depends_on") or model.place
        table = names.resolve(ReadTable(schema or None, name, 0, 0), span, model)
        if table is not None:
            found.add(table)
    return found


def _circles(
    named: Mapping[TableName, Collection[TableName]],
    models: Mapping[TableName, Model],
    edges: Mapping[TableName, tuple[Edge, ...]],
) -> tuple[set[TableName], list[Diagnostic]]:
    """The models in circles, and one diagnostic per circle, drawn as a ring, with the line that makes each edge."""
    import networkx as nx

    graph: nx.DiGraph[TableName] = nx.DiGraph()
    graph.add_nodes_from(named)
    graph.add_edges_from((table, name) for name, tables in named.items() for table in tables)
    problems = []
    components = [c for c in nx.strongly_connected_components(graph) if len(c) > 1]
    components += [{name} for name in graph if graph.has_edge(name, name)]
    for component in sorted(components, key=min):
        ring = [arc[0] for arc in nx.find_cycle(graph.subgraph(component), source=min(component))]
        first = ring.index(min(ring))
        ring = [ring[first], *reversed(ring[first + 1 :] + ring[:first])]  # each reads the one after it
        notes = []
        for reader, read in zip(ring, [*ring[1:], ring[0]], strict=True):
            span = _where(models[reader], read, edges.get(reader, ()))
            notes.append(Note(f"`{reader}` reads `{read}`", span))
        shown = " -> ".join(str(name) for name in [*ring, ring[0]])
        message = f"models read each other in a circle: {shown}" if len(ring) > 1 else f"`{ring[0]}` reads itself"
        problems.append(
            Diagnostic("cycle", message, notes[0].span, "one of these must read something else", notes=tuple(notes))
        )
    return {name for component in components for name in component}, problems


def _where(reader: Model, read: TableName, edges: tuple[Edge, ...]) -> Span | None:
    for edge in edges:
        if edge.table == read:
            return reader.query.span(edge.read.start, edge.read.end)
    return reader.header.spans.get("depends_on")
