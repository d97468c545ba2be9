"""What each model must come after -> the order in which they can be made, and those that cannot."""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterable, Mapping

from msgspec import Struct

from sqlflow.core.diagnostics import Diagnostic
from sqlflow.core.model import Model
from sqlflow.core.names import TableName

Children = Mapping[TableName, Collection[TableName]]


class Arranged(Struct, frozen=True):
    """`order`: parents first, and else by name. `parents`: of each model, with the tables that its checks read. `broken`: what
    cannot be made, and all that is made from it."""

    order: tuple[TableName, ...]
    parents: Mapping[TableName, Collection[TableName]]
    children: Children
    broken: frozenset[TableName]


def arrange(
    models: Mapping[TableName, Model],
    named: Mapping[TableName, Collection[TableName]],
    broken: Collection[TableName],
    problems: list[Diagnostic],
) -> Arranged:
    """`named`: what each model names in its query and header, without circles among those that are not `broken`: wrong by
    themselves."""
    parents = {name: set(tables) for name, tables in named.items()}
    children = children_of(parents)
    nodes = {*parents, *children}
    for model in sorted((m for m in models.values() if m.header.checks), key=lambda m: m.name):
        for check, target in ((c, table) for c in model.header.checks for table in c.tables):
            if target == model.name or target not in nodes or model.name in broken or target in broken:
                continue
            if target in descendants([model.name], children):
                problems.append(
                    Diagnostic(
                        "check-circle",
                        f"the check `{check.name}` reads `{target}`, which is itself made from `{model.name}`",
                        check.span,
                        f"move the check to `{target}`, or to a model that reads both",
                    )
                )
                continue
            # A table that a check reads must be up to date first.
            parents[model.name].add(target)
            children.setdefault(target, set()).add(model.name)
    lost = descendants(broken, children)
    return Arranged(_order(parents, children, lost), parents, children, frozenset(lost))


def has_circles(named: Mapping[TableName, Collection[TableName]]) -> bool:
    return len(_order(named, children_of(named), ())) < len(named)


def children_of(parents: Mapping[TableName, Collection[TableName]]) -> dict[TableName, set[TableName]]:
    """Table -> the models that must come after it."""
    found: dict[TableName, set[TableName]] = {}
    for name, tables in parents.items():
        for table in tables:
            found.setdefault(table, set()).add(name)
    return found


def descendants(names: Iterable[TableName], children: Children) -> set[TableName]:
    """These and all that is made from them."""
    found = set(names)
    stack = list(found)
    while stack:
        for child in children.get(stack.pop(), ()):
            if child not in found:
                found.add(child)
                stack.append(child)
    return found


def _order(
    parents: Mapping[TableName, Collection[TableName]], children: Children, broken: Collection[TableName]
) -> tuple[TableName, ...]:
    waits = {name: len(tables) for name, tables in parents.items() if name not in broken}
    nodes = {*waits, *(table for table in children if table not in parents)}
    ready = [(node.key, node) for node in nodes if not waits.get(node)]
    heapq.heapify(ready)
    order = []
    while ready:
        _, node = heapq.heappop(ready)
        if node in parents:
            order.append(node)
        for child in children.get(node, ()):
            if child in waits:
                waits[child] -= 1
                if not waits[child]:
                    heapq.heappush(ready, (child.key, child))
    return tuple(order)
