"""What all readings of a resolved query share: its relations, its expressions, and when two are the same."""

from __future__ import annotations

from collections.abc import Iterator

from sqlflow.compiler.prints import canonical
from sqlflow.compiler.scopes import (
    Alias,
    Direct,
    Expression,
    Merged,
    Opaque,
    Reference,
    Relation,
    Select,
    SetOperation,
    Source,
    ValuesList,
)


def relations_of(query: Relation) -> Iterator[Relation]:
    """Every relation of a query, each once."""
    seen: set[int] = set()
    stack = [query]
    while stack:
        relation = stack.pop()
        if id(relation) in seen:
            continue
        seen.add(id(relation))
        yield relation
        match relation:
            case Select():
                stack += [s.relation for s in relation.sources if s.relation is not None]
                for expression in expressions_of(relation):
                    stack += expression.nested.values()
            case SetOperation():
                stack += [relation.left, relation.right]
                for expression in (*relation.limit, *relation.order):
                    stack += expression.nested.values()
            case ValuesList():
                for row in relation.rows:
                    for expression in row:
                        stack += expression.nested.values()
            case Opaque():
                pass


def expressions_of(select: Select) -> list[Expression]:
    """Every expression of a SELECT."""
    found = [output.expression for output in select.outputs or ()]
    found += select.hidden
    found += [join.on for join in select.joins if join.on is not None]
    found += [clause for clause in (select.where, select.having, select.qualify) if clause is not None]
    for several in (select.group or (), select.distinct_on, select.order, select.limit):
        found += several
    for source in select.sources:
        found += source.arguments
    return found


def tables_of(query: Relation) -> list[Source]:
    """Every place where a query reads a table, in the order of its text."""
    found: dict[int, Source] = {}
    for relation in relations_of(query):
        sources = relation.sources if isinstance(relation, Select | Opaque) else ()
        for source in sources:
            if source.table is not None:
                found[id(source)] = source
    return sorted(found.values(), key=lambda source: source.start or 0)


def plain_column(reference: Reference | None) -> Direct | None:
    """The one column that a name is; the left one of a USING that cannot null it."""
    if isinstance(reference, Direct):
        return reference
    if isinstance(reference, Merged) and reference.side in ("", "LEFT"):
        return plain_column(reference.left)
    return None


def same_text(expression: Expression) -> str | None:
    """A text that expressions share which give the same in each row; None where there is none."""
    return canonical(expression, reference_text, lambda relation: None)


def reference_text(reference: Reference) -> str | None:
    """The same of a name."""
    match reference:
        case Direct(source, index):
            return f"{id(source)}.{index}"
        case Merged(left, _, side) if side in ("", "LEFT"):
            return reference_text(left)
        case Alias(output):
            return same_text(output.expression)
        case _:
            return None
