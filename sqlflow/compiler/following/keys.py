"""By which columns of the result a change of an input is narrowed down, and how."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlflow.compiler.following.question import Question
from sqlflow.compiler.relations import tables_of
from sqlflow.compiler.scopes import Resolved
from sqlflow.compiler.times.values import Unmapped
from sqlflow.compiler.times.walk import key_mappings
from sqlflow.core.names import ColumnRef
from sqlflow.core.types import ColumnType, Family, parsed


def keys_of(
    question: Question, resolved: Resolved, names: Sequence[str]
) -> tuple[dict[int, dict[str, tuple[str, ...]]], dict[int, bool], tuple[str, ...]]:
    """For each reading, by `id` of its source: column -> expressions; whether it may be narrowed; and the columns
    without which rows may emerge."""
    by_place = {(s.start, s.end): id(s) for s in tables_of(resolved.query)}
    keys: dict[int, dict[str, tuple[str, ...]]] = {}
    narrow: dict[int, bool] = {}
    emerging = []
    for name in names:
        mappings, nulled = key_mappings(resolved, name)
        if nulled:
            emerging.append(name)
        for mapping in mappings.values():
            if isinstance(mapping, Unmapped) or not _same_types(question, mapping.same_type):
                continue
            found: dict[int, list[str]] = {}
            for occurrence in mapping.occurrences:
                place = by_place.get((occurrence.start, occurrence.end))
                if place is None:
                    continue
                found.setdefault(place, []).append(occurrence.expression.sql(question.dialect))
                narrow[place] = narrow.get(place, True) and occurrence.pushable
            for place, expressions in found.items():
                keys.setdefault(place, {})[name] = tuple(dict.fromkeys(expressions))
    return keys, narrow, tuple(emerging)


def _same_types(question: Question, pairs: Iterable[tuple[ColumnRef, ColumnRef]]) -> bool:
    def type_of(ref: ColumnRef) -> str | None:
        column = question.columns[ref.table].find(ref.column) if ref.table in question.columns else None
        return column.type if column is not None else None

    # Floating point numbers may be equal and have different texts: 0.0 and -0.0.
    return all(
        (kind := type_of(one)) is not None and kind == type_of(two) and _equal_is_same(parsed(kind))
        for one, two in pairs
    )


def _equal_is_same(kind: ColumnType) -> bool:
    """Whether values that compare as equal have one text, in a column without a collation."""
    plain = kind.family is Family.ENUM or (kind.family is Family.TIME and not kind.zone)
    return plain or kind.equal_is_same or (kind.is_text and not kind.padded)
