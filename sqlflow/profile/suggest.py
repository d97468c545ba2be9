"""Checks that the values of a table pass today, each with what speaks for it."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator

from msgspec import Struct

from sqlflow.core.amounts import counted
from sqlflow.core.types import parsed
from sqlflow.profile.scan import ColumnProfile, Profile

_FEW = 5  # as many values as are counted one by one
_MANY_ROWS = 20  # below that, what is so may be so by chance
_WORD = re.compile(r"[A-Za-z_][\w-]*", re.ASCII)


class Suggestion(Struct, frozen=True):
    """`check`: as it is written behind the column. `evidence`: what was seen."""

    column: str
    check: str
    evidence: str


def suggestions(profile: Profile, known: Collection[tuple[str, str]]) -> Iterator[Suggestion]:
    """`known`: kinds of checks that are there already, with their columns in lower case."""
    if profile.rows == 0:
        return
    for column in profile.columns:
        for kind, check, evidence in _of(column):
            if (kind, column.column.name.lower()) not in known:
                yield Suggestion(column.column.name, check, evidence)


def _of(found: ColumnProfile) -> Iterator[tuple[str, str, str]]:
    rows = counted(found.rows, "row")
    if found.nulls == 0:
        yield "not_null", "@not_null", f"no NULL in {rows}"
    if found.distinct == found.rows and found.rows > 1:
        yield "unique", "@unique", f"{counted(found.distinct, 'value')} in {rows}"
    type_ = parsed(found.column.type)
    values = [value for value, _ in found.top]
    plain = all(_WORD.fullmatch(value) for value in values)
    if type_.is_text and 1 < found.distinct <= _FEW and found.rows >= _MANY_ROWS and plain:
        yield "in", f"@in({', '.join(sorted(values))})", f"{counted(found.distinct, 'value')} in {rows}"
    if type_.is_number and found.rows >= _MANY_ROWS and found.least is not None and not found.least.startswith("-"):
        yield "range", "@range(min=0)", f"the least value is {found.least}"
