"""`+marts.orders tag:daily,mode:view state:failed+` -> a set of names.

Terms with a space between them are united; terms with a comma between them are intersected. A text that is a name as it
is, blanks and commas included, is that name; so is one in quotes. Each term may have
`+` or `N+` in front (what it is made from, N steps back) and `+` or `+N` behind (what is made from it); `@name` is a
model, all that is made from it, and all that these need.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from msgspec import Struct, field

from sqlflow.core.diagnostics import Diagnostic, did_you_mean
from sqlflow.core.model import Model
from sqlflow.core.names import TableName, unquoted

if TYPE_CHECKING:
    import networkx as nx

Method = Callable[[str], Collection[TableName] | None]

_TERM = re.compile(r"^(?P<at>@)?(?P<up>\d*\+)?(?P<body>[^@+].*?)(?P<down>\+\d*)?$")
_TERMS, _PARTS = re.compile(r'(?:"(?:[^"]|"")*"|[^\s])+'), re.compile(r'(?:"(?:[^"]|"")*"|[^,])+')


class Universe(Struct, frozen=True):
    """What can be selected.

    `graph`: gives arcs from a table to what reads it, with seeds and sources. `methods`: `state`, `git` and the like, which
    need to know more than the project; each gives None for a value that it does not have.
    """

    graph: Callable[[], nx.DiGraph[TableName]]
    models: Mapping[TableName, Model]
    others: Collection[TableName]
    methods: Mapping[str, Method] = field(default_factory=dict)


def select(
    terms: Sequence[str], exclude: Sequence[str], universe: Universe
) -> tuple[frozenset[TableName], list[Diagnostic]]:
    """The names that a selection stands for, and what is wrong with it. No terms: everything."""
    problems: list[Diagnostic] = []
    everything = frozenset(universe.models) | frozenset(universe.others)
    chosen = everything if not terms else _union(terms, universe, problems)
    left_out = _union(exclude, universe, problems) if exclude else frozenset()
    return chosen - left_out, problems


def with_their_tests(chosen: frozenset[TableName], exclude: Sequence[str], universe: Universe) -> frozenset[TableName]:
    """A selection, and the queries in tests/ that read something of it and are not left out; views and inline models are
    looked through."""
    tests = [name for name, model in universe.models.items() if model.header.promise.tests and name not in chosen]
    if not tests:
        return chosen
    graph = universe.graph()
    left_out = _union(exclude, universe, [])
    found = (name for name in tests if name not in left_out and not chosen.isdisjoint(_read_by(name, graph, universe)))
    return chosen | frozenset(found)


def _read_by(test: TableName, graph: nx.DiGraph[TableName], universe: Universe) -> set[TableName]:
    found: set[TableName] = set()
    stack = list(graph.predecessors(test)) if test in graph else []
    while stack:
        name = stack.pop()
        if name in found:
            continue
        found.add(name)
        model = universe.models.get(name)
        if model is not None and model.header.promise.looked_through:
            stack.extend(graph.predecessors(name))
    return found


def _union(terms: Sequence[str], universe: Universe, problems: list[Diagnostic]) -> frozenset[TableName]:
    found: frozenset[TableName] = frozenset()
    for text in terms:
        if _is_name(text, universe):
            found |= _term(text, universe, problems)
            continue
        for term in _TERMS.findall(text):
            parts = [_term(part, universe, problems) for part in _PARTS.findall(term)]
            if parts:
                found |= frozenset.intersection(*parts)
    return found


def _is_name(text: str, universe: Universe) -> bool:
    """Whether a text with blanks or commas is one name as it is, perhaps with pluses: `+marts.net sales`."""
    match = _TERM.match(text) if any(c.isspace() or c == "," for c in text) else None
    if match is None:
        return False
    body = match["body"].removeprefix("path:").removeprefix("source:")
    names = (*universe.models, *universe.others)
    paths = (str(model.file.path) for model in universe.models.values())
    return any(body.lower() in (str(name).lower(), name.name.lower()) for name in names) or body in paths


def _term(text: str, universe: Universe, problems: list[Diagnostic]) -> frozenset[TableName]:
    match = _TERM.match(text)
    if match is None:
        problems.append(
            Diagnostic("unknown-selection", f"`{text}` is not a selection", None, "such as `+marts.orders`")
        )
        return frozenset()
    found = _body(match["body"], universe, problems)
    if match["at"]:
        graph = universe.graph()
        below = found | _reached(graph, found, None)
        return below | _reached(graph.reverse(copy=False), below, None)
    chosen = found
    if not (match["up"] or match["down"]):
        return chosen
    graph = universe.graph()
    if match["up"]:
        steps = match["up"][:-1]
        chosen |= _reached(graph.reverse(copy=False), found, int(steps) if steps else None)
    if match["down"]:
        steps = match["down"][1:]
        chosen |= _reached(graph, found, int(steps) if steps else None)
    return chosen


def _reached(graph: nx.DiGraph[TableName], start: Collection[TableName], steps: int | None) -> frozenset[TableName]:
    import networkx as nx

    found: set[TableName] = set()
    for name in start:
        if name in graph:
            found |= set(nx.single_source_shortest_path_length(graph, name, cutoff=steps))
    return frozenset(found)


def _body(body: str, universe: Universe, problems: list[Diagnostic]) -> frozenset[TableName]:
    method, colon, value = body.partition(":")
    if colon:
        return _by_method(method, value, universe, problems)
    names = frozenset(universe.models) | frozenset(universe.others)
    if "/" in body or body.endswith(".sql"):
        found = _by_path(body, universe)
    else:
        found = frozenset(name for name in names if _named(body, name))
    if not found:
        hint = did_you_mean(body, [str(name) for name in names]) or did_you_mean(body, [name.name for name in names])
        problems.append(
            Diagnostic(
                "unknown-selection", f"nothing in the project is called `{body}`", None, hint or "see `sqlflow list`"
            )
        )
    return found


def _named(pattern: str, name: TableName) -> bool:
    folded = pattern.lower()
    if (plain := unquoted(folded)) != folded:
        return plain in (str(name).lower(), name.name.lower())
    return fnmatchcase(str(name).lower(), folded) or fnmatchcase(name.name.lower(), folded)


def _by_path(pattern: str, universe: Universe) -> frozenset[TableName]:
    wanted = pattern.removeprefix("./").rstrip("/")
    return frozenset(
        name
        for name, model in universe.models.items()
        if fnmatchcase(str(model.file.path), wanted) or str(model.file.path).startswith(wanted + "/")
    )


def _by_method(method: str, value: str, universe: Universe, problems: list[Diagnostic]) -> frozenset[TableName]:
    models = universe.models
    match method:
        case "tag":
            known = {tag for model in models.values() for tag in model.header.tags}
            found = frozenset(n for n, m in models.items() if any(fnmatchcase(tag, value) for tag in m.header.tags))
        case "owner":
            known = {model.header.owner for model in models.values() if model.header.owner}
            found = frozenset(n for n, m in models.items() if m.header.owner and fnmatchcase(m.header.owner, value))
        case "mode":
            known = {str(model.header.mode) for model in models.values()}
            found = frozenset(n for n, m in models.items() if str(m.header.mode) == value)
        case "path":
            known = set()
            found = _by_path(value, universe)
        case "source":
            known = {str(name) for name in universe.others}
            found = frozenset(name for name in universe.others if _named(value, name))
        case _ if method in universe.methods:
            answer = universe.methods[method](value)
            if answer is not None:
                return frozenset(answer)
            if method == "git":
                problems.append(Diagnostic("unknown-selection", f"git knows no commit `{value}` here"))
                return frozenset()
            known, found = {"failed", "modified", "new", "stale"}, frozenset()
        case _:
            methods = ["tag", "owner", "mode", "path", "source", *universe.methods]
            problems.append(
                Diagnostic(
                    "unknown-selection",
                    f"there is no selection method `{method}:`",
                    None,
                    did_you_mean(method, methods) or "the methods are " + ", ".join(f"`{m}:`" for m in methods),
                )
            )
            return frozenset()
    if not found:
        hint = did_you_mean(value, known) or (
            "known: " + ", ".join(f"`{k}`" for k in sorted(known)[:8]) if known else None
        )
        problems.append(Diagnostic("unknown-selection", f"nothing has `{method}:{value}`", None, hint))
    return found
