"""The names that are in reach of an expression: tables, columns, aliases and CTEs of one SELECT, and those around it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from typing import Protocol

from msgspec import Struct, field
from sqlglot import exp

from sqlflow.compiler.scopes import Direct, JoinOn, Merged, Output, Reference, Relation, Source, SourceKind


class Cte(Struct, eq=False):
    """A CTE, resolved when it is first read: the engine does not bind those that nobody reads."""

    node: exp.CTE
    ctes: Ctes
    recursive: bool
    relation: Relation | None = None


Ctes = Mapping[str, "Cte | Source"]


class Scope(Struct, eq=False):
    """The names that an expression of one SELECT can reach."""

    parent: Scope | None
    ctes: Ctes
    visible: list[Source] = field(default_factory=list)
    sources: list[Source] = field(default_factory=list)
    joins: list[JoinOn] = field(default_factory=list)
    # What USING did: the first of the shared columns stands for all, the others are hidden.
    merged: dict[tuple[int, int], Merged] = field(default_factory=dict)
    hidden: set[tuple[int, int]] = field(default_factory=set)
    # A NATURAL or USING join over unknown columns: no name is certain any more.
    blurred: bool = False
    aliases: dict[str, Output] = field(default_factory=dict)
    windows: dict[str, exp.Window] = field(default_factory=dict)

    def add(self, source: Source) -> None:
        self.sources.append(source)
        self.visible.append(source)

    def call(self, outputs: Iterable[Output]) -> None:
        """Columns of the SELECT list are in reach by their names; the first of a name counts."""
        for output in outputs:
            if output.name is not None:
                self.aliases.setdefault(output.name.lower(), output)

    def beside(self, visible: list[Source], parent: Scope | None) -> Scope:
        """A scope that sees these of its sources, with what USING did to them."""
        inner = Scope(parent, self.ctes, visible)
        inner.merged, inner.hidden, inner.blurred = self.merged, self.hidden, self.blurred
        return inner

    def outwards(self) -> Iterator[Source]:
        """Every source in reach, the nearest first."""
        scope: Scope | None = self
        while scope is not None:
            yield from scope.visible
            scope = scope.parent

    def own(self, source: Source) -> Iterator[tuple[str, int]]:
        """The columns of a source that USING does not hide: name in lower case, place."""
        for place, name in enumerate(source.columns or ()):
            if name is not None and (id(source), place) not in self.hidden:
                yield name.lower(), place

    def places(self, name: str, sources: Iterable[Source]) -> list[tuple[Source, int]]:
        found = []
        for source in sources:
            place = source.places.get(name)
            if place is not None and (id(source), place) not in self.hidden:
                found.append((source, place))
        return found

    def column(self, source: Source, place: int) -> Reference:
        return self.merged.get((id(source), place)) or Direct(source, place)


class Prefer(StrEnum):
    """What a name means that is both a column and an alias of the SELECT list."""

    COLUMN = "column"
    ALIAS = "alias"
    BOTH = "both"


class Queries(Protocol):
    """Resolves the queries that stand inside of expressions and in FROM."""

    def relation(self, node: exp.Expr, parent: Scope | None, ctes: Ctes) -> Relation: ...

    def of_cte(self, cte: Cte) -> Relation: ...


def with_ctes(with_: exp.Expr, ctes: Ctes) -> Ctes:
    """The CTEs in reach of a query with this WITH clause."""
    recursive = bool(with_.args.get("recursive"))
    inner = dict(ctes)
    for cte in with_.expressions:
        inner[cte.alias.lower()] = Cte(cte, dict(inner), recursive)
    return inner


def in_schema(source: Source, schema: exp.Expr | None) -> bool:
    if schema is None:
        return True
    if source.kind is SourceKind.UNKNOWN:
        return True
    return (
        source.table is not None
        and source.table.schema.lower() == schema.name.lower()
        and source.table.name.lower() == source.name.lower()
    )


def alias_columns(node: exp.Expr) -> tuple[str, ...]:
    """The names that `t AS u(a, b)` gives."""
    alias = node.args.get("alias")
    if not isinstance(alias, exp.TableAlias):
        return ()
    return tuple(column.name for column in alias.args.get("columns") or ())


def renamed(names: tuple[str | None, ...] | None, given: tuple[str, ...]) -> tuple[str | None, ...] | None:
    """`t AS u(a, b)` renames the first columns."""
    if not given or names is None:
        return names
    return (*given, *names[len(given) :])


def seen(names: tuple[str | None, ...] | None, dialect: str) -> tuple[str | None, ...] | None:
    """The names under which the columns of something in FROM are seen. None where PostgreSQL tells `"A"` from `a`,
    as names are compared without their case here."""
    unique = _unique(names)
    return None if dialect == "postgres" and unique != names else unique


def _unique(names: tuple[str | None, ...] | None) -> tuple[str | None, ...] | None:
    """The names under which a query in FROM is seen: the engine numbers the repeated ones."""
    if names is None:
        return None
    used: set[str] = set()
    unique: list[str | None] = []
    for name in names:
        if name is None:
            unique.append(None)
            continue
        candidate, number = name, 0
        while candidate.lower() in used:
            number += 1
            candidate = f"{name}_{number}"
        used.add(candidate.lower())
        unique.append(candidate)
    return tuple(unique)
