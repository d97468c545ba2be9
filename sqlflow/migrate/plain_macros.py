"""Macros of a dbt project that are SQL with parameters: they stay macros, as `CREATE MACRO`, where their uses allow it."""

from __future__ import annotations

import ast
import re
from collections.abc import Container, Iterator, Mapping, Sequence

import sqlglot
from msgspec import Struct
from sqlglot import exp
from sqlglot.errors import SqlglotError

from sqlflow.migrate.blocks import Tag, tags_of
from sqlflow.migrate.dbt import Package

_HEAD = re.compile(r"macro\s+([A-Za-z_]\w*)\s*\((.*)\)", re.DOTALL)
_NAME = re.compile(r"[A-Za-z_]\w*")


class PlainMacro(Struct, frozen=True):
    """`body`: a SQL expression in which parameters are names. `parameters`: name -> default, None for one that has none."""

    name: str
    parameters: Mapping[str, str | None]
    body: str

    @property
    def statement(self) -> str:
        listed = ", ".join(
            name if default is None else f"{name} := {default}" for name, default in self.parameters.items()
        )
        return f"CREATE MACRO {self.name}({listed}) AS {self.body};\n"


def plain_macros(package: Package, dialect: str, taken: Container[str]) -> Mapping[str, PlainMacro]:
    """The macros of a package that are an expression with parameters. `taken`: names that functions have."""
    found: dict[str, PlainMacro] = {}
    seen: set[str] = set()
    for file in package.macros:
        for macro in _in_file(file.text, dialect):
            if macro.name not in seen and macro.name.lower() not in taken:
                found[macro.name] = macro
            elif macro.name in seen:
                found.pop(macro.name, None)
            seen.add(macro.name)
    return found


def _in_file(text: str, dialect: str) -> Iterator[PlainMacro]:
    head: Tag | None = None
    inside: list[Tag] = []
    for tag in tags_of(text):
        if tag.kind == "%" and tag.word == "macro":
            head, inside = tag, []
        elif tag.kind == "%" and tag.word == "endmacro" and head is not None:
            made = _macro(head, text, tag, inside, dialect)
            if made is not None:
                yield made
            head = None
        else:
            inside.append(tag)


def _macro(head: Tag, text: str, end: Tag, inside: Sequence[Tag], dialect: str) -> PlainMacro | None:
    said = _HEAD.fullmatch(head.inside)
    parameters = _parameters(said[2]) if said is not None else None
    if said is None or not parameters:
        return None
    pieces: list[str] = []
    position, uses = head.end, 0
    for tag in inside:
        pieces.append(text[position : tag.start])
        position = tag.end
        if tag.kind == "#":
            continue
        if tag.kind != "{" or tag.inside not in parameters or re.search(r"[\w'\"$.]$", text[: tag.start]):
            return None
        if re.match(r"[\w'\"]", text[tag.end :]):
            return None
        pieces.append(tag.inside)
        uses += 1
    body = " ".join("".join([*pieces, text[position : end.start]]).split())
    tree = _expression(body, dialect)
    if tree is None or "--" in body or "/*" in body:
        return None
    columns = list(tree.find_all(exp.Column))
    if len(columns) != uses or any(column.table or column.name not in parameters for column in columns):
        return None
    if tree.find(exp.Query, exp.Window, exp.Star, exp.AggFunc):
        return None
    return PlainMacro(said[1], parameters, body)


def _parameters(text: str) -> dict[str, str | None] | None:
    """`a, b=2, c='x'`: what stands in a default is SQL."""
    try:
        arguments = ast.parse(f"def f({text}): pass").body[0].args  # type: ignore[attr-defined]
    except SyntaxError:
        return None
    names = [one.arg for one in arguments.args]
    defaults: list[str | None] = [None] * (len(names) - len(arguments.defaults))
    for default in arguments.defaults:
        if not isinstance(default, ast.Constant) or isinstance(default.value, bool | None):
            return None
        defaults.append(str(default.value))
    return dict(zip(names, defaults, strict=True))


def _expression(text: str, dialect: str) -> exp.Expr | None:
    try:
        tree = sqlglot.parse_one(f"SELECT {text}", read=dialect)
    except (SqlglotError, RecursionError, ValueError):
        return None
    if not isinstance(tree, exp.Select) or len(tree.expressions) != 1 or set(_said(tree)) != {"expressions"}:
        return None
    found = tree.expressions[0]
    return None if isinstance(found, exp.Alias) else found


def _said(tree: exp.Expr) -> Iterator[str]:
    return (key for key, value in tree.args.items() if value)


# ---------------------------------------------------------------- uses


def with_macros(text: str, macros: Mapping[str, PlainMacro], dialect: str) -> tuple[str, Sequence[PlainMacro]]:
    """A template whose calls of macros are SQL, and the macros that it calls."""
    pieces: list[str] = []
    used: dict[str, PlainMacro] = {}
    position = 0
    for tag in tags_of(text):
        call = re.fullmatch(r"([A-Za-z_]\w*)\s*\((.*)\)", tag.inside, re.DOTALL) if tag.kind == "{" else None
        macro = macros.get(call[1]) if call is not None else None
        if call is None or macro is None:
            continue
        arguments = _arguments(call[2], macro, dialect)
        if arguments is None:
            continue
        pieces += [text[position : tag.start], f"{{% raw %}}{macro.name}({', '.join(arguments)}){{% endraw %}}"]
        used[macro.name], position = macro, tag.end
    return "".join([*pieces, text[position:]]), list(used.values())


def _arguments(text: str, macro: PlainMacro, dialect: str) -> list[str] | None:
    """The arguments of a call as SQL, in the order of the parameters; None for what is more than constants."""
    try:
        call = ast.parse(f"f({text})", mode="eval").body
    except (SyntaxError, ValueError):
        return None
    if not isinstance(call, ast.Call) or len(call.args) > len(macro.parameters):
        return None
    given: dict[str, ast.expr] = dict(zip(macro.parameters, call.args, strict=False))
    for one in call.keywords:
        if one.arg is None or one.arg not in macro.parameters or one.arg in given:
            return None
        given[one.arg] = one.value
    found: list[str | None] = []
    for name, default in macro.parameters.items():
        value = given.get(name)
        if value is None:
            found.append(None if default is not None else "")
            continue
        if not isinstance(value, ast.Constant) or isinstance(value.value, bool | None):
            return None
        sql = str(value.value)
        tree = _expression(sql, dialect)
        if tree is None or isinstance(tree, exp.Binary | exp.Unary | exp.Case | exp.Between | exp.In | exp.Is):
            return None
        found.append(sql)
    if "" in found:
        return None
    while found and found[-1] is None:
        found.pop()
    return None if None in found else [one for one in found if one is not None]


def means_the_same(sql: str, baked: str, macros: Sequence[PlainMacro], dialect: str) -> bool:
    """Whether a query is another one when its macros are expanded."""
    try:
        one, other = sqlglot.parse_one(sql, read=dialect), sqlglot.parse_one(baked, read=dialect)
    except (SqlglotError, RecursionError, ValueError):
        return False
    by_name = {macro.name.lower(): macro for macro in macros}
    for call in list(one.find_all(exp.Anonymous)):
        macro = by_name.get(str(call.this).lower())
        if macro is None:
            continue
        body = _expression(macro.body, dialect)
        values = [
            *call.expressions,
            *(
                _expression(default, dialect)
                for default in list(macro.parameters.values())[len(call.expressions) :]
                if default
            ),
        ]
        if body is None or len(values) != len(macro.parameters):
            return False
        meant = dict(zip(macro.parameters, values, strict=True))
        whole = exp.Paren(this=body)
        for column in list(whole.find_all(exp.Column)):
            value = meant[column.name]
            column.replace(value.copy() if value is not None else exp.null())
        call.replace(whole)
    return bool(_bare(one) == _bare(other))


def _bare(tree: exp.Expr) -> exp.Expr:
    """A tree without parentheses, which are only there for reading."""
    return tree.transform(lambda node: node.unnest() if isinstance(node, exp.Paren) else node)
