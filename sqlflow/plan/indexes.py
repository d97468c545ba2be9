"""The indexes that `@index` asks for: made when the table is full, kept while it changes, dropped with the directive."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from sqlflow.core.model import Index
from sqlflow.core.names import TableName
from sqlflow.core.plan import Step
from sqlflow.core.sql import Ident, Sql, compose
from sqlflow.plan.subject import Subject, write


def wanted(subject: Subject) -> dict[str, Index]:
    """The indexes of a model by their names, which tell one definition from another."""
    header, name = subject.model.header, subject.table
    return {_name(name, index): index for index in header.index}


def create(subject: Subject, names: Iterable[str]) -> tuple[Step, ...]:
    """Make some of the wanted indexes."""
    all_of_them = wanted(subject)
    return tuple(write(_create(subject.table, name, all_of_them[name])) for name in names)


def drop(table: TableName, names: Iterable[str]) -> tuple[Step, ...]:
    """Drop indexes that were made before."""
    return tuple(write(compose("DROP INDEX IF EXISTS {s}.{n}", s=Ident(table.schema), n=Ident(name))) for name in names)


def _create(table: TableName, name: str, index: Index) -> Sql:
    return compose(
        "CREATE {unique}INDEX IF NOT EXISTS {name} ON {t} {using}({columns}){where}",
        unique=Sql("UNIQUE ") if index.unique else Sql(""),
        name=Ident(name),
        t=table,
        using=compose("USING {method} ", method=Ident(index.using)) if index.using else Sql(""),
        columns=[Ident(column) for column in index.columns],
        where=compose(" WHERE {condition}", condition=Sql(index.where)) if index.where else Sql(""),
    )


def _name(table: TableName, index: Index) -> str:
    """Within the 63 bytes that PostgreSQL keeps of a name, and readable."""
    digest = hashlib.blake2b(repr((table.id, index)).encode(), digest_size=5).hexdigest()
    readable = f"{table.name}_{'_'.join(index.columns)}".encode()[:40].decode(errors="ignore")
    return f"{readable}_sf{digest}"
