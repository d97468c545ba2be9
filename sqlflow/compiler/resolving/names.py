"""What a name means: a column, a field, a whole row, an alias; and the problem of one that means nothing, or several things."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from difflib import get_close_matches

from sqlglot import exp

from sqlflow.compiler.resolving.scope import Prefer, Scope, in_schema
from sqlflow.compiler.scopes import (
    Alias,
    AmbiguousColumn,
    Direct,
    Field,
    Output,
    Problem,
    Reference,
    Several,
    Source,
    SourceKind,
    Unknown,
    UnknownColumn,
)
from sqlflow.core.syntax import VALUES_WITHOUT_BRACKETS


class Names:
    """Looks names up.

    `problems`: the names that are wrong. `pinned`: the tables whose own name the query needs (`main.t.a`, `rowid`).
    """

    def __init__(self, dialect: str) -> None:
        self.dialect = dialect
        self.problems: list[Problem] = []
        self.pinned: set[Source] = set()

    @contextmanager
    def quietly(self) -> Iterator[None]:
        """Without the problems of what is looked up a second time."""
        before = len(self.problems)
        yield
        del self.problems[before:]

    def lookup(self, node: exp.Expr, scope: Scope, prefer: Prefer) -> Reference | None:
        """What a column node means; None for what is no column (`current_user`)."""
        args = node.args
        table = args.get("table")
        if table is None:
            if self._is_value(args["this"]):
                return None
            return self._name(args["this"], scope, prefer)
        parts = [args.get("catalog"), args.get("db"), table, args["this"]]
        names = [part for part in parts if part is not None]
        qualified = self._qualified(names, scope)
        if qualified is not None:
            return qualified
        # Not a table: the first part may be a struct, and the rest its fields.
        struct = self.find(names[0], scope, prefer)
        if struct is not None:
            return _field(struct, names[1:])
        self._unknown_qualified(names, scope)
        return Unknown(tuple(scope.visible))

    def find(self, identifier: exp.Expr, scope: Scope, prefer: Prefer, *, report: bool = True) -> Reference | None:
        """The column or alias that a name means; None if nothing in reach can have it."""
        name = identifier.name.lower()
        alias = scope.aliases.get(name)
        if alias is not None and prefer is Prefer.ALIAS:
            return Alias(alias)
        own = self._column(name, identifier, scope, report=report)
        if own is not None:
            if alias is not None and (prefer is Prefer.BOTH or isinstance(own, Unknown)):
                return Several((own, Alias(alias)))
            return own
        outer = self._outer(name, identifier, scope, report=report)
        if alias is not None:
            return Alias(alias) if outer is None else Several((Alias(alias), outer))
        return outer

    def source_named(self, node: exp.Expr, scope: Scope) -> Source | None:
        """The source that the table of `t.*` names."""
        table = node.args.get("table")
        if table is None or node.args.get("catalog") is not None:
            return None
        name = table.name.lower()
        schema = node.args.get("db")
        around: Scope | None = scope
        while around is not None:
            for source in around.visible:
                if source.name.lower() == name and in_schema(source, schema):
                    if schema is not None:
                        self.pinned.add(source)
                    return source
            around = around.parent
        return None

    def _is_value(self, identifier: exp.Expr) -> bool:
        """Whether a word is never a column: PostgreSQL's `user`, which is the role even beside a column of that name."""
        return (
            self.dialect == "postgres"
            and not identifier.args.get("quoted")
            and identifier.name.lower() in VALUES_WITHOUT_BRACKETS
        )

    def _qualified(self, names: list[exp.Expr], scope: Scope) -> Reference | None:
        around: Scope | None = scope
        wild: Reference | None = None
        while around is not None:
            for depth in range(min(len(names) - 1, 3), 0, -1):
                table = names[depth - 1].name.lower()
                schema = names[depth - 2] if depth > 1 else None
                column = names[depth].name.lower()
                for source in around.visible:
                    if source.name.lower() != table or not in_schema(source, schema):
                        continue
                    place = source.places.get(column)
                    if place is not None:
                        if depth > 1:
                            self.pinned.add(source)
                        return _field(Direct(source, place), names[depth + 1 :])
                    if column == "rowid" and source.kind is SourceKind.TABLE:
                        self.pinned.add(source)
                        return Unknown((source,))
                    if source.open and wild is None:
                        if depth > 1:
                            self.pinned.add(source)
                        wild = Unknown((source,))
            if wild is not None:
                return wild
            around = around.parent
        return None

    def _name(self, identifier: exp.Expr, scope: Scope, prefer: Prefer) -> Reference | None:
        """What a name without a table means; None for what is no column."""
        found = self.find(identifier, scope, prefer)
        if found is not None:
            return found
        name = identifier.name.lower()
        if name in VALUES_WITHOUT_BRACKETS:
            return None
        row = _whole_row(name, scope)
        if row is not None:
            return row
        self.unknown(identifier, list(scope.outwards()), scope.aliases)
        return Unknown(tuple(scope.visible))

    def _column(self, name: str, identifier: exp.Expr, scope: Scope, *, report: bool) -> Reference | None:
        found = scope.places(name, scope.visible)
        if len(found) == 1:
            source, place = found[0]
            if scope.blurred and len(scope.visible) > 1:
                return Unknown(tuple(scope.visible))
            return scope.column(source, place)
        if found:
            if report and not scope.blurred:
                self.ambiguous(identifier, [source for source, _ in found])
            return Unknown(tuple(source for source, _ in found))
        # A source with columns that are not known may be what is meant.
        candidates = tuple(source for source in scope.visible if source.open)
        if name == "rowid":
            self.pinned.update(scope.visible)
            return Unknown(tuple(scope.visible)) if scope.visible else None
        return Unknown(candidates) if candidates else None

    def _outer(self, name: str, identifier: exp.Expr, scope: Scope, *, report: bool) -> Reference | None:
        around = scope.parent
        while around is not None:
            found = self._column(name, identifier, around, report=report)
            if found is not None:
                return found
            alias = around.aliases.get(name)
            if alias is not None:
                return Alias(alias)
            around = around.parent
        return None

    # Problems

    def unknown(self, identifier: exp.Expr, sources: Iterable[Source], aliases: Mapping[str, Output]) -> None:
        spelled = {name.lower(): name for source in sources for name in source.columns or () if name is not None}
        spelled.update((name, output.name or name) for name, output in aliases.items())
        close = get_close_matches(identifier.name.lower(), spelled, 3, 0.5)
        start, end = _offsets(identifier, identifier)
        self.problems.append(UnknownColumn(identifier.name, start, end, tuple(spelled[name] for name in close)))

    def ambiguous(self, identifier: exp.Expr, sources: Iterable[Source]) -> None:
        start, end = _offsets(identifier, identifier)
        tables = tuple(source.name or "subquery" for source in sources)
        self.problems.append(AmbiguousColumn(identifier.name, start, end, tables))

    def _unknown_qualified(self, names: list[exp.Expr], scope: Scope) -> None:
        table = names[-2].name.lower()
        named = [source for source in scope.outwards() if source.name.lower() == table]
        if named:
            self.unknown(names[-1], named, {})
            return
        known = [source.name for source in scope.outwards() if source.name]
        close = get_close_matches(table, [name.lower() for name in known], 3, 0.5)
        candidates = [name for name in known if name.lower() in close]
        start, end = _offsets(names[0], names[-1])
        self.problems.append(
            UnknownColumn(
                ".".join(part.name for part in names),
                start,
                end,
                tuple(f"{name}.{names[-1].name}" for name in dict.fromkeys(candidates)),
            )
        )


def row_of(source: Source) -> Reference:
    """All columns of a source."""
    if source.columns is None:
        return Unknown((source,))
    return Several(tuple(Direct(source, place) for place in range(len(source.columns))))


def _whole_row(name: str, scope: Scope) -> Reference | None:
    around: Scope | None = scope
    while around is not None:
        for source in around.visible:
            if source.name.lower() == name:
                return row_of(source)
            if source.kind is SourceKind.UNNEST and name == "unnest" and not source.open:
                return row_of(source)
        around = around.parent
    return None


def _field(reference: Reference, path: list[exp.Expr]) -> Reference:
    if not path or isinstance(reference, Unknown):
        return reference
    return Field(reference, tuple(part.name for part in path))


def _offsets(first: exp.Expr, last: exp.Expr) -> tuple[int, int]:
    start, end = first.meta.get("start"), last.meta.get("end")
    return (start, end + 1) if isinstance(start, int) and isinstance(end, int) else (0, 0)
