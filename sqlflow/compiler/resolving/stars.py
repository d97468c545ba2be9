"""Which columns `*`, `t.*`, `* LIKE` and `COLUMNS(...)` stand for."""

from __future__ import annotations

from msgspec import Struct
from sqlglot import exp

from sqlflow.compiler.resolving.column_tests import name_test
from sqlflow.compiler.resolving.names import Names
from sqlflow.compiler.resolving.scope import Scope
from sqlflow.compiler.scopes import Direct, Reference, Source


class Starred(Struct, frozen=True, eq=False):
    """A column that a star stands for: a column of a source, or what REPLACE puts in the place of one."""

    name: str | None
    column: Reference
    replaced: exp.Expr | None = None


class Stars:
    """Expands stars; None for one whose columns are not known."""

    def __init__(self, names: Names) -> None:
        self._names = names

    def all(self, scope: Scope, star: exp.Expr | None = None) -> list[Starred] | None:
        """`*`, and the columns in reach without any."""
        if scope.blurred or any(source.columns is None for source in scope.visible):
            return None
        columns = [
            (name, source, place)
            for source in scope.visible
            for place, name in enumerate(source.columns or ())
            if (id(source), place) not in scope.hidden
        ]
        return self._expand(columns, star, scope, qualified=False)

    def of_table(self, node: exp.Expr, scope: Scope) -> list[Starred] | None:
        """`t.*`."""
        source = self._names.source_named(node, scope)
        if source is None or source.columns is None:
            return None
        columns = [(name, source, place) for place, name in enumerate(source.columns)]
        return self._expand(columns, node.this, scope, qualified=True)

    def chosen(self, node: exp.Expr, scope: Scope) -> list[Starred] | None:
        """`COLUMNS(...)`; never a star whose REPLACE puts an expression in the place of a column."""
        which = node.this
        if isinstance(which, exp.Star):
            return _plain(self.all(scope, which))
        if isinstance(which, exp.Column) and isinstance(which.this, exp.Star):
            return _plain(self.of_table(which, scope))
        columns = self.all(scope)
        if columns is None or any(column.name is None for column in columns):
            return None
        if isinstance(which, exp.Array):
            by_name = {(column.name or "").lower(): column for column in columns}
            wanted = [literal.name.lower() for literal in which.expressions]
            if not all(name in by_name for name in wanted):
                return None
            return [by_name[name] for name in wanted]
        test = name_test(which)
        if test is None:
            return None
        return [column for column in columns if test(column.name or "")]

    def _expand(
        self,
        columns: list[tuple[str | None, Source, int]],
        star: exp.Expr | None,
        scope: Scope,
        *,
        qualified: bool,
    ) -> list[Starred] | None:
        """The columns of a star, less EXCLUDE, with REPLACE and RENAME."""
        args = star.args if star is not None else {}
        if any(value and key not in _STAR_ARGS for key, value in args.items()):
            return None
        excluded: set[str] = set()
        names = [name.lower() if name is not None else "" for name, _, _ in columns]
        for node in args.get("except_") or ():
            if not isinstance(node, (exp.Column, exp.Identifier)):
                return None
            if node.args.get("table") is not None:
                return None
            if self._listed(node, names, scope):
                excluded.add(node.name.lower())
        replaced: dict[str, exp.Expr] = {}
        for node in args.get("replace") or ():
            if not isinstance(node, exp.Alias) or names.count(node.alias.lower()) > 1:
                return None
            if self._listed(node.args["alias"], names, scope):
                replaced[node.alias.lower()] = node.this
        renamed: dict[str, str] = {}
        for node in args.get("rename") or ():
            if not isinstance(node, exp.Alias) or not isinstance(node.this, exp.Column):
                return None
            if node.this.args.get("table") is not None:
                return None
            if self._listed(node.this, names, scope):
                renamed[node.this.name.lower()] = node.alias
        expanded = []
        for (name, source, place), lower in zip(columns, names, strict=True):
            if lower in excluded:
                continue
            column = Direct(source, place) if qualified else scope.column(source, place)
            if lower in replaced:
                expanded.append(Starred(name, column, replaced[lower]))
            else:
                expanded.append(Starred(renamed.get(lower, name), column))
        return expanded

    def _listed(self, node: exp.Expr, names: list[str], scope: Scope) -> bool:
        if node.name.lower() in names:
            return True
        if "" not in names:
            self._names.unknown(_identifier(node), scope.visible, {})
        return False


def _plain(columns: list[Starred] | None) -> list[Starred] | None:
    if columns is None or any(column.replaced is not None for column in columns):
        return None
    return columns


def _identifier(node: exp.Expr) -> exp.Expr:
    inner = node.this if isinstance(node, exp.Column) else node
    return inner if isinstance(inner, exp.Expr) else node


_STAR_ARGS = frozenset({"except_", "replace", "rename"})
