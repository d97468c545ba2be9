"""The text that runs: inline models and full names put into what the author wrote."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from sqlflow.compiler.fingerprint import digest
from sqlflow.core.diagnostics import Diagnostic
from sqlflow.core.engine import ReadTable
from sqlflow.core.model import Model
from sqlflow.core.names import TableName
from sqlflow.core.sql import quoted, render
from sqlflow.core.text import Edit, MappedText

Named = Sequence[tuple[ReadTable, TableName]]
"""The tables that a query names, and where."""


class Text(Struct, frozen=True):
    """A model's text with everything put in. `reads`: how each table is written in it -> the table.

    `inlines`: the inline models that it is made of, each behind those that it reads; `copies`: how often their texts would
    stand in it, were they put in where they are read. `body`: the query that reads each of them as a CTE.
    """

    query: MappedText
    parents: tuple[TableName, ...]
    reads: Mapping[tuple[str, str], TableName]
    body: MappedText
    inlines: tuple[TableName, ...] = ()
    copies: int = 0

    @property
    def many(self) -> bool:
        return len(self.inlines) > _FEW


class Texts:
    """Puts the text of each model together, once. `as_it_runs`: its query in the target's SQL, with the tables that it names."""

    def __init__(
        self,
        models: Mapping[TableName, Model],
        inline: Collection[TableName],
        dialect: str,
        as_it_runs: Callable[[Model], tuple[MappedText, Named]],
    ) -> None:
        self._models = models
        self._inline = inline
        self._dialect = dialect
        self._as_it_runs = as_it_runs
        self._known: dict[TableName, Text] = {}

    def of(self, name: TableName) -> Text:
        if name not in self._known:
            self._known[name] = self._made(self._models[name])
        return self._known[name]

    def _made(self, model: Model) -> Text:
        """The query with inline models and full names in place of what the author wrote.

        Inline models stand where they are read, as long as they are few and each is read once. Otherwise they are CTEs
        in front: a text that is put in twice by each of its readers would double at each level.
        """
        edits: list[Edit] = []
        parents: dict[TableName, None] = {}
        reads: dict[tuple[str, str], TableName] = {}
        inlines: dict[TableName, tuple[int, int]] = {}
        copies = 0
        query, found = self._as_it_runs(model)
        for read, table in found:
            if table in self._inline:
                inner = self.of(table)
                alias = "" if read.aliased else f" AS {quoted(read.name)}"
                edits.append(Edit(read.start, read.end, f"{_cte_of(table)}{alias}"))
                parents |= dict.fromkeys(inner.parents)
                reads |= inner.reads
                for name in (*inner.inlines, table):
                    inlines.setdefault(name, (read.start, read.end))
                copies += inner.copies + 1
                continue
            if read.schema is None:
                edits.append(Edit(read.start, read.end, render(table)))
            elif self._is_spelled_otherwise(read, table, query.text):
                written = _NAME_PART.findall(query.text[read.start : read.end])[-1]  # as what names its columns is
                alias = "" if read.aliased else f" AS {written}"
                edits.append(Edit(read.start, read.end, f"{render(table)}{alias}"))
            parents[table] = None
            reads[table.key] = table
        body = query.edit(edits) if edits else query
        if copies == len(inlines) <= _FEW:
            made = query.edit(self._where_they_are_read(edits, found)) if edits else query
        else:
            made = query.edit([*edits, self._in_front(query.text, inlines)])
        return Text(made, tuple(sorted(parents)), reads, body, tuple(inlines), copies)

    def _is_spelled_otherwise(self, read: ReadTable, table: TableName, text: str) -> bool:
        """Whether a name means one table, for which its case does not matter, and none in the target's SQL."""
        if self._dialect != "postgres":
            return False
        parts = [
            part[1:-1].replace('""', '"') if part.startswith('"') else part.lower()
            for part in _NAME_PART.findall(text[read.start : read.end])
        ]
        return parts[-2:] != [table.schema, table.name]

    def by_itself(self, model: Model) -> Text:
        """The query of an inline model as if those that it reads were tables; its readers look at all of it again."""
        query, found = self._as_it_runs(model)
        made = query.edit([Edit(read.start, read.end, render(table)) for read, table in found if read.schema is None])
        return Text(made, tuple(sorted({table for _, table in found})), {t.key: t for _, t in found}, made)

    def _where_they_are_read(self, edits: Sequence[Edit], found: Named) -> Iterator[Edit]:
        tables = {read.start: (read, table) for read, table in found}
        for edit in edits:
            read, table = tables[edit.start]
            if table not in self._inline:
                yield edit
                continue
            alias = "" if read.aliased else f" AS {quoted(read.name)}"
            yield replace(edit, text=f"(\n{self.of(table).query.text}\n){alias}")

    def _in_front(self, text: str, inlines: Mapping[TableName, tuple[int, int]]) -> Edit:
        """Inline models as CTEs, each standing for the place where the first of them is read that needs it."""
        made = ",\n".join(f"{_cte_of(name)} AS (\n{self.of(name).body.text}\n)" for name in inlines)
        place = min(inlines.values())
        match = _BEGINS_WITH.match(text)
        if match is not None:
            return Edit(match.end(), match.end(), f" {made},", place)
        return Edit(0, 0, f"WITH {made}\n", place)


def _cte_of(table: TableName) -> str:
    """The name of the CTE that an inline model becomes: one that nobody gives, and no longer than any engine takes."""
    name = str(table)
    if len(name.encode()) > _LONGEST_NAME:
        name = f"{name.encode()[: _LONGEST_NAME - 17].decode(errors='ignore')} {digest(name)[:16]}"
    return quoted(name)


def too_many_inlines(model: Model, text: Text) -> Diagnostic | None:
    """The problem of a query that is too long to be read, for all that is put into it."""
    inside = len(text.query.text) - len(model.query.text)
    if len(text.inlines) <= _MOST and not len(text.query.text) > _LARGEST < inside:
        return None
    size = f"{len(text.query.text):,} characters"
    return Diagnostic(
        "too-many-inline",
        f"`{model.name}` is made of {len(text.inlines):,} inline models, and with them its query has {size}",
        model.query.span(0),
        f"at most {_MOST:,} and {_LARGEST:,} characters can be put together: make one in the middle a view or a table",
    )


_FEW = 25
_MOST = 500
_LARGEST = 2_000_000  # characters
_LONGEST_NAME = 63
_NAME_PART = re.compile(r'"(?:[^"]|"")*"|[^\s."]+')
_BEGINS_WITH = re.compile(r"WITH(?:\s+RECURSIVE)?\b", re.IGNORECASE)
