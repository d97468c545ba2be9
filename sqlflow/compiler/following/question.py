"""The query that is asked what it can follow."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct
from msgspec.structs import replace
from sqlglot import exp

from sqlflow.compiler.facts import resolve_query
from sqlflow.compiler.following.refused import Refused
from sqlflow.compiler.scopes import Resolved
from sqlflow.compiler.ties import Keys
from sqlflow.core.engine import Binder
from sqlflow.core.following import Refusal
from sqlflow.core.names import TableName
from sqlflow.core.schema import Schema
from sqlflow.core.syntax import parse_tree, place_of
from sqlflow.core.text import MappedText

Reads = Mapping[tuple[str, str], TableName]


class Question(Struct, frozen=True):
    """A query that is asked what it can follow, with views put in, and all that is known of what it reads. `written`: what is
    never the same in it only fills columns. `keys`: the declared keys of the tables that are read."""

    text: MappedText
    reads: Reads
    columns: Mapping[TableName, Schema]
    dialect: str
    binder: Binder
    written: bool
    keys: Keys

    def resolved(self, text: str) -> Resolved:
        """The names in the query, or in one that is made of it."""
        return resolved_text(text, self.reads, self.columns, self.dialect)

    def placed(self, refusal: Refusal) -> Refusal:
        """A refusal with its place as offsets in the query that the author wrote."""
        if refusal.start is None:
            return refusal
        start, end = self.text.origin(refusal.start)
        if end is None and refusal.end is not None and refusal.end > refusal.start:
            last, last_end = self.text.origin(refusal.end - 1)
            end = last_end if last_end is not None else last + 1
        return replace(refusal, start=start, end=end)

    def refused(
        self, construct: str, reason: str, node: exp.Expr | None, *, volatile: bool = False, loose: bool = False
    ) -> Refused:
        start, end = place_of(node)
        placed = self.placed(Refusal(construct, reason, start, end))
        return Refused(placed.construct, placed.reason, placed.start, placed.end, volatile=volatile, loose=loose)


def resolved_text(text: str, reads: Reads, columns: Mapping[TableName, Schema], dialect: str) -> Resolved:
    tree = parse_tree(text, dialect)
    if tree is None:
        raise Refused("query", "SQLFlow's own parser cannot read it")
    return resolve_query(tree, columns, reads, dialect)
