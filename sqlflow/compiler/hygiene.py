"""Names in the arguments of macros that would mean something else inside of the macro than where they were written.

A macro is put in as text. An argument that stands inside of a query, a lambda or a CTE of the macro sees the names of
these first: in `rate_of(day)` the word `day` becomes a column of the table that the macro reads, if it has one. Such a
call is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from msgspec import Struct
from sqlglot import exp

from sqlflow.compiler.relations import expressions_of, relations_of
from sqlflow.compiler.scopes import (
    Alias,
    Direct,
    Expression,
    Field,
    Merged,
    Named,
    Reference,
    Relation,
    Resolved,
    Select,
    Several,
    Source,
    SourceKind,
    Unknown,
)
from sqlflow.core.names import TableName
from sqlflow.core.syntax import place_of
from sqlflow.core.text import Argument

BINDS_NAMES = re.compile(r"\b(?:FROM|SELECT|WITH|LAMBDA|FOR)\b|->", re.IGNORECASE)
"""What binds names in SQL: without it nothing is captured."""

_LAMBDA = "a parameter of a lambda"


class Captured(Struct, frozen=True):
    """A `name` in an `argument` that the macro has as well: as a `what`, such as "a column of `ext.rates`", which is that `table`."""

    argument: Argument
    name: str
    what: str
    table: TableName | None = None


def of_other_tables(found: Iterable[Captured], table: TableName) -> list[Captured]:
    """Those of arguments that are meant for a table's columns and stand in a query of it: what surely is none of these."""
    return [one for one in found if one.what == _LAMBDA or (one.table is not None and one.table != table)]


def captured(resolved: Resolved, arguments: Sequence[Argument]) -> list[Captured]:
    """The names in arguments that are bound inside of the macro that they are handed to. Offsets are those of the text that
    was resolved."""
    homes: dict[int, Select] = {}  # of a source or an output, the SELECT that has it
    relations = list(relations_of(resolved.query))
    for relation in relations:
        if isinstance(relation, Select):
            homes |= {id(thing): relation for thing in (*relation.sources, *(relation.outputs or ()))}
    found: dict[tuple[int, int], Captured] = {}
    for expression in _all_expressions(relations):
        for node in expression.node.walk() if expression.node is not None else ():
            start, _ = _own_place(node)
            for argument in arguments if start is not None else ():
                if argument.start <= (start or 0) < argument.end:
                    bound = _bound_inside(node, expression, argument, homes)
                    if bound is not None:
                        found.setdefault((start or 0, argument.start), Captured(argument, _written(node), *bound))
    for table in _cte_readings(relations):
        start, _ = _own_place(table)
        for argument in arguments if start is not None else ():
            cte = _cte_of(table)
            inside = cte is not None and _is_inside(_own_place(cte.args["alias"].this), argument)
            if argument.start <= (start or 0) < argument.end and inside:
                found.setdefault((start or 0, argument.start), Captured(argument, table.name, "a CTE"))
    return list(found.values())


def _all_expressions(relations: Sequence[Relation]) -> Iterator[Expression]:
    for relation in relations:
        if isinstance(relation, Select):
            yield from expressions_of(relation)


def _bound_inside(
    node: exp.Expr, expression: Expression, argument: Argument, homes: dict[int, Select]
) -> tuple[str, TableName | None] | None:
    """As what a name is bound inside of the macro, and of which table it is; None where it is not."""
    bound = expression.bindings.get(id(node))
    if bound is not None:
        inside = (part for part in _parts(bound) if _select_is_inside(homes.get(id(part[0])), argument))
        return next(((what, part.table if isinstance(part, Source) else None) for part, what in inside), None)
    # The parser makes bare identifiers of the names that a lambda binds.
    bare = isinstance(node, exp.Identifier) and not isinstance(node.parent, exp.Column | exp.Alias | exp.TableAlias)
    if not bare and not isinstance(node, exp.Column):
        return None
    name = (node.args.get("table") or node.this).name.lower() if isinstance(node, exp.Column) else node.name.lower()
    around = node.parent
    while around is not None:
        if isinstance(around, exp.Lambda | exp.Comprehension):
            parameters = around.expressions if isinstance(around, exp.Lambda) else [around.args.get("expression")]
            for parameter in parameters:
                if parameter is not None and parameter.name.lower() == name:
                    return (_LAMBDA, None) if _is_inside(place_of(parameter), argument) else None
        around = around.parent
    return None


def _parts(reference: Reference) -> Iterator[tuple[object, str]]:
    """The sources and outputs that a name may be of, each with words for it."""
    match reference:
        case Direct(source, _):
            table = source.table or source.name
            yield source, f"a column of `{table}`" if table else "a column"
        case Merged(left, right, _):
            yield from _parts(left)
            yield from _parts(right)
        case Alias(output):
            yield output, "a column of a SELECT"
        case Field(of, _):
            yield from _parts(of)
        case Several(parts):
            for part in parts:
                yield from _parts(part)
        case Unknown(sources):
            for source in sources:
                yield source, f"a column of `{source.table or source.name}`"
        case Named():
            pass


def _select_is_inside(select: Select | None, argument: Argument) -> bool:
    return select is not None and _is_inside(place_of(select.node), argument)


def _is_inside(place: tuple[int | None, int | None], argument: Argument) -> bool:
    """Whether something stands in what the call became, and not in the argument itself."""
    start, end = place
    if start is None or end is None or not (argument.call[0] <= start and end <= argument.call[1]):
        return False
    return not (argument.start <= start and end <= argument.end)


def _own_place(node: exp.Expr) -> tuple[int | None, int | None]:
    first = node
    if isinstance(node, exp.Column | exp.Table):
        first = next((part for part in node.parts if isinstance(part, exp.Identifier)), node)
    start, end = first.meta.get("start"), first.meta.get("end")
    return (start, end + 1) if isinstance(start, int) and isinstance(end, int) else (None, None)


def _written(node: exp.Expr) -> str:
    return ".".join(part.name for part in node.parts) if isinstance(node, exp.Column) else node.name


def _cte_readings(relations: Sequence[Relation]) -> Iterator[exp.Table]:
    for relation in relations:
        for source in relation.sources if isinstance(relation, Select) else ():
            if source.kind in (SourceKind.CTE, SourceKind.RECURSION) and isinstance(source.node, exp.Table):
                yield source.node


def _cte_of(table: exp.Table) -> exp.CTE | None:
    """The CTE that a name means: the nearest around it."""
    around = table.parent
    while around is not None:
        with_ = around if isinstance(around, exp.With) else around.args.get("with_")
        for cte in with_.expressions if isinstance(with_, exp.With) else ():
            if isinstance(cte, exp.CTE) and cte.alias.lower() == table.name.lower():
                return cte
        around = around.parent
    return None
