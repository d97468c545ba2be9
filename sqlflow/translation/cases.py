"""Columns whose names have capitals, read in any case: DuckDB does not mind, PostgreSQL does."""

from __future__ import annotations

from collections.abc import Iterator

from sqlglot import exp

from sqlflow.core.schema import Column, Schema
from sqlflow.translation.kinds import Columns, kind_of_type


def in_any_case(tree: exp.Expr, columns: Columns) -> exp.Expr:
    """A query of DuckDB in which each name finds its column in PostgreSQL as well.

    A name without quotes is one in lower case there. Where such a name is that of a column with capitals, the query reads its
    tables by selections that give all columns in lower case, and all names are so. A query in which every name is spelled as
    its column stays as it is, and so do the names that the query itself gives to its result.
    """
    read = [(table, schema) for table in tree.find_all(exp.Table) if (schema := columns(table)) is not None]
    odd = {c.name.lower(): c.name for _, schema in read for c in schema if c.name != c.name.lower()}
    if not odd or not isinstance(tree, exp.Query):
        return tree
    spelled = {c.name for _, schema in read for c in schema}
    names = list(_names(tree))
    if all(not _means_another(name, odd, spelled) for name in names):
        return tree
    kept = {id(item.args["alias"]) for item in tree.selects if isinstance(item, exp.Alias)}
    for name in names:
        if name.name.lower() in odd and id(name) not in kept:
            name.set("this", name.name.lower())
    for table, schema in read:
        if any(column.name.lower() in odd for column in schema) and not table.args.get("joins"):
            _read_in_lower_case(table, schema)
    return tree


def _means_another(name: exp.Identifier, odd: dict[str, str], spelled: set[str]) -> bool:
    """Whether a name is that of a column with capitals, and PostgreSQL would not find it."""
    if name.name.lower() not in odd:
        return False
    return name.name not in spelled if name.args.get("quoted") else True


def _names(tree: exp.Expr) -> Iterator[exp.Identifier]:
    """The names of columns in a query: where they are read, and where they are given."""
    for node in tree.walk():
        match node:
            case exp.Column() | exp.Alias():
                found = [node.args.get("alias") if isinstance(node, exp.Alias) else node.this]
            case exp.TableAlias():
                found = list(node.args.get("columns") or ())
            case exp.Join():
                found = [one.this if isinstance(one, exp.Column) else one for one in node.args.get("using") or ()]
            case exp.Star():
                found = [one for key in ("except_", "except") for one in node.args.get(key) or ()]
            case _:
                continue
        yield from (one for one in found if isinstance(one, exp.Identifier))


def _read_in_lower_case(table: exp.Table, schema: Schema) -> None:
    alias = table.args.get("alias")
    name = alias.copy() if alias is not None else exp.TableAlias(this=table.this.copy())
    inner = table.copy()
    inner.set("alias", None)
    query = exp.Select(expressions=[_item(column) for column in schema])
    query.set("from_", exp.From(this=inner))
    table.replace(exp.Subquery(this=query, alias=name))


def _item(column: Column) -> exp.Expr:
    found = exp.column(exp.to_identifier(column.name, quoted=True))
    found.meta["kind"] = kind_of_type(column.type)
    if column.name == column.name.lower():
        return found
    given = exp.alias_(found, exp.to_identifier(column.name.lower(), quoted=True), copy=False)
    given.meta["kind"] = found.meta["kind"]
    return given
