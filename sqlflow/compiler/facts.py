"""One query and the columns of what it reads -> its columns, lineage and time mappings, in the form that is cached."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping

from sqlglot import exp

from sqlflow.compiler import lineage as tracing
from sqlflow.compiler.moments import chain
from sqlflow.compiler.resolve import resolve
from sqlflow.compiler.scopes import AmbiguousColumn, Resolved, UnknownColumn
from sqlflow.compiler.times.values import Mapped, MappedRead, Types, Unmapped
from sqlflow.compiler.times.walk import through, time_mappings
from sqlflow.core.compiled import ColumnLineage, Lineage, Occurrence, TimeMapping
from sqlflow.core.engine import BindError, Traits
from sqlflow.core.known import Facts, TableReads, TableTimes
from sqlflow.core.names import ColumnRef, TableName
from sqlflow.core.schema import Schema

ViewOf = Callable[[TableName], Resolved | None]


def resolve_query(
    tree: exp.Query, columns: Mapping[TableName, Schema], reads: Mapping[tuple[str, str], TableName], dialect: str
) -> Resolved:
    """Names of a query -> what they stand for. `reads`: (schema, name) in lower case -> table."""

    def table_of(node: exp.Table) -> TableName | None:
        return reads.get((node.db.lower(), node.name.lower()))

    def type_of(column: ColumnRef) -> str | None:
        found = columns[column.table].find(column.column) if column.table in columns else None
        return found.type if found is not None else None

    return resolve(
        tree, {name: schema.names for name, schema in columns.items()}, table_of, type_of=type_of, dialect=dialect
    )


def name_problems(resolved: Resolved) -> list[BindError]:
    """The names in a query that are surely wrong, all of them."""
    found = []
    for problem in resolved.problems:
        match problem:
            case UnknownColumn(name, start, end, candidates):
                found.append(
                    BindError(
                        "unknown-column",
                        f"there is no column `{name}` in what this query reads",
                        start,
                        end,
                        candidates,
                    )
                )
            case AmbiguousColumn(name, start, end, tables):
                listed = " and ".join(f"`{table}`" for table in tables)
                found.append(BindError("ambiguous-column", f"`{name}` is ambiguous: {listed} have it", start, end))
    return found


def find_facts(
    resolved: Resolved,
    schema: Schema,
    time: str | None,
    columns: Mapping[TableName, Schema],
    view_of: ViewOf,
    zone: str,
    traits: Traits,
) -> Facts:
    """Lineage, and for a `time` column the mappings of all inputs, with views looked through."""
    traced = tracing.trace(resolved)
    outputs = traced.columns or ()
    same = len(outputs) == len(schema) and all(
        (o.name or "").lower() in ("", c.name.lower()) for o, c in zip(outputs, schema, strict=False)
    )
    complete = traced.complete and same and bool(outputs)
    listed = tuple(
        ColumnLineage(column.name, output.kind.name.lower(), tuple(sorted(output.direct)))
        for output, column in (zip(outputs, schema, strict=True) if same else ())
    )
    indirect = {kind: tuple(sorted(refs)) for kind, refs in sorted(traced.indirect.items())}
    reads: dict[TableName, set[str]] = {table: set() for table in traced.tables} if complete else {}
    if complete:
        for output in outputs:
            for ref in output.direct:
                reads.setdefault(ref.table, set()).add(ref.column.lower())
        for refs in traced.indirect.values():
            for ref in refs:
                reads.setdefault(ref.table, set()).add(ref.column.lower())
    prints = {
        column.name.lower(): _hash(output.fingerprint)
        for output, column in (zip(outputs, schema, strict=True) if complete else ())
        if output.fingerprint is not None
    }
    written = {
        column.name.lower(): tuple(sorted(output.moving))
        for output, column in (zip(outputs, schema, strict=True) if complete else ())
        if output.moving
    }
    known = complete and traced.rows_fingerprint is not None and len(prints) == len(schema)
    times: dict[TableName, TimeMapping] = {}
    if time is not None:
        look = _Mappings(columns, view_of, zone, traits, times)
        for table, mapping in time_mappings(resolved, time, look.types).items():
            look.through(table, mapping)
    return Facts(
        schema=schema,
        lineage=Lineage(listed, indirect, complete),
        reads=tuple(TableReads(table, tuple(sorted(names))) for table, names in sorted(reads.items())),
        times=tuple(TableTimes(table, mapping) for table, mapping in sorted(times.items())),
        columns=prints if known else {},
        rows=_hash(traced.rows_fingerprint or "") if known else "",
        spelled=not known or traced.names_seen,
        moving=tuple(sorted(traced.moving)),
        written=written,
    )


class _Mappings:
    """Fills `found` with the mapping of each table, and of what it reads when it is a view."""

    def __init__(
        self,
        columns: Mapping[TableName, Schema],
        view_of: ViewOf,
        zone: str,
        traits: Traits,
        found: dict[TableName, TimeMapping],
    ) -> None:
        self._columns = columns
        self._view_of = view_of
        self._found = found
        self.traits = traits
        self.types = Types(lambda ref: _type_of(ref, columns), zone in _STEADY, traits.cuts_days)

    def through(self, table: TableName, mapping: Mapped | Unmapped | None, view: TableName | None = None) -> None:
        """`view`: the one whose query reads the table, None for the model's own."""
        if mapping is None or isinstance(mapping, Unmapped):
            reason = mapping.reason if mapping else "its rows cannot be traced to the time column"
            if mapping is not None and mapping.construct:
                reason += f": `{mapping.construct}`"
            start, end = (mapping.start, mapping.end) if mapping else (None, None)
            self._skip(table, TimeMapping((), reason, start, end, view))
            return
        if not all(_same_type(left, right, self._columns) for left, right in mapping.same_type):
            self._skip(table, TimeMapping(reason="it is joined on columns of different types", view=view))
            return
        occurrences = tuple(_occurrence(table, o, self._columns, self.traits) for o in mapping.occurrences)
        _add(self._found, table, TimeMapping(occurrences))
        inner = self._view_of(table)
        if inner is not None:
            for read, deeper in through(mapping, inner, self.types).items():
                self.through(read, deeper, table)

    def _skip(self, table: TableName, mapping: TimeMapping) -> None:
        _add(self._found, table, mapping)
        view = self._view_of(table)
        if view is not None:
            for inner in tracing.trace(view).tables:
                self._skip(inner, mapping)


_STEADY = ("UTC", "Etc/UTC", "GMT", "Etc/GMT")


def _type_of(ref: ColumnRef, columns: Mapping[TableName, Schema]) -> str:
    column = columns[ref.table].find(ref.column) if ref.table in columns else None
    return column.type if column is not None else ""


def _add(found: dict[TableName, TimeMapping], table: TableName, mapping: TimeMapping) -> None:
    """A table that is read in several places maps only if it does in each."""
    before = found.get(table)
    if before is None:
        found[table] = mapping
    elif not before.occurrences or not mapping.occurrences:
        found[table] = before if not before.occurrences else mapping
    else:
        found[table] = TimeMapping((*before.occurrences, *mapping.occurrences))


def _same_type(left: ColumnRef, right: ColumnRef, columns: Mapping[TableName, Schema]) -> bool:
    types = [columns[ref.table].find(ref.column) if ref.table in columns else None for ref in (left, right)]
    return types[0] is not None and types[1] is not None and types[0].type == types[1].type


def _occurrence(table: TableName, found: MappedRead, columns: Mapping[TableName, Schema], traits: Traits) -> Occurrence:
    def type_of(node: exp.Expr) -> str | None:
        return _type_of(ColumnRef(table, node.name), columns) if isinstance(node, exp.Column) else None

    made = chain(found.expression, type_of, cuts_days=traits.cuts_days)
    return Occurrence(
        expression=found.expression.sql(traits.dialect),
        column=made.leaf.name if made is not None else None,
        type=made.types[0] if made is not None else "",
        steps=made.steps if made is not None else (),
        reaches=found.reaches,
        name=table.name,
        aliased=found.aliased,
        start=found.start,
        end=found.end,
        # Any other expression might fail on rows that the query itself leaves out.
        pushable=found.pushable and made is not None,
    )


def _hash(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=12).hexdigest()
