"""What both translations share: rules by the class of a node, put to a tree from the inside out."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache

import sqlglot
from sqlglot import exp

from sqlflow.translation.kinds import kind_of

# What stands in the place of a node, or in words why nothing can; None leaves it as it is.
Rule = Callable[[exp.Expr], exp.Expr | str | None]
Refused = tuple[str, exp.Expr]


def fitted(tree: exp.Expr, rule_of: Callable[[exp.Expr], Rule | None]) -> tuple[exp.Expr, list[Refused]]:
    """The tree with the rules applied, and what they refuse, in the order of the text."""
    nothing = [node.parent for node in tree.find_all(exp.Distinct) if node.parent and not node.expressions]
    if empty := [node for node in nothing if isinstance(node, exp.Func)]:
        return tree, [("DISTINCT without an argument, which the engine would not take", node) for node in empty]
    spans = [node for node in tree.find_all(exp.Interval) if node.this is not None and node.args.get("unit") is None]
    # The parser makes a text of the number in `interval + 1`; only one that was written has a place.
    if columns := [
        n for n in spans if not (isinstance(n.this, exp.Literal) and n.this.is_string and "start" in n.this.meta)
    ]:
        return tree, [
            ("`interval` with neither a text nor a unit; put it in quotes if it is a column", n) for n in columns
        ]
    refused: list[Refused] = []
    # Innermost first: a rule finds its arguments done.
    for node in reversed(list(tree.walk())):
        rule = rule_of(node)
        found = rule(node) if rule is not None else None
        if isinstance(found, str):
            refused.append((found, node))
        elif found is not None:
            found.meta.setdefault("kind", kind_of(node))
            if node is tree:
                tree = found
            else:
                node.replace(found)
    return tree, refused[::-1]


def made(dialect: str, template: str, **parts: exp.Expr) -> exp.Expr:
    """SQL of a dialect as a tree, with parts in the place of names."""
    tree = exp.Paren(this=_template(dialect, template).copy())
    for column in list(tree.find_all(exp.Column)):
        part = parts.get(column.name)
        if part is not None:
            copy = part.copy()
            plain = isinstance(copy, (exp.Column, exp.Literal, exp.Func, exp.Paren)) and not isinstance(
                copy, (exp.Binary, exp.Connector)
            )
            column.replace(copy if plain else exp.paren(copy, copy=False))
    found: exp.Expr = tree.this
    found.pop()
    return found


@cache
def _template(dialect: str, text: str) -> exp.Expr:
    select = sqlglot.parse_one(f"SELECT {text}", dialect=dialect)
    found: exp.Expr = select.expressions[0]
    return found


def call(name: str, *arguments: exp.Expr) -> exp.Expr:
    return exp.Anonymous(this=name, expressions=[argument.copy() for argument in arguments])


def shown(node: exp.Expr) -> str:
    """What a construct is called in a message."""
    if isinstance(node, exp.Anonymous):
        return f"`{str(node.this).lower()}`"
    if isinstance(node, exp.Func):
        return f"`{node.sql_name().lower()}`"
    return f"`{node.key.upper()}`"


_PLAIN_REGEX = re.compile(
    r"(?:[\w\s%@#&=:;,<>/'\"~!`-]|\\[d.()\[\]{}*+?|^$/-]|\.|\^|\$|\((?!\?)|\||\)|\[\^?[\w\s.,:;%@#_/-]+\]|[*+?](?![?+])|\{\d+(?:,\d*)?\}(?![?+]))*"
)


def regex(target: str, *, cuts: bool) -> Rule:
    """Regular expressions that RE2 and PostgreSQL read in the same way; `cuts`: which part matches is important."""

    def rule(node: exp.Expr) -> exp.Expr | str | None:
        pattern = node.expression
        if not isinstance(pattern, exp.Literal) or not _PLAIN_REGEX.fullmatch(pattern.name):
            return "a regular expression that the engines may read differently"
        if cuts and "|" in pattern.name:
            return "alternatives in a regular expression: DuckDB takes the first one that fits, PostgreSQL the longest"
        options = node.args.get("modifiers") or node.args.get("flag")
        if cuts and isinstance(node.args.get("replacement"), exp.Literal) and "\\" in node.args["replacement"].name:
            return "a replacement with references to groups"
        if options is not None and options.name not in ("", "g"):
            return "options of a regular expression"
        # A dot is any character but the end of a line to DuckDB, and that one too to PostgreSQL, unless it is told.
        if "." not in re.sub(r"\\.|\[[^\]]*\]", "", pattern.name):
            return None
        if "[^" in pattern.name and target == "postgres":
            return "a regular expression with `.` and `[^`, which the engines read differently at the end of a line"
        copy = node.copy()
        copy.set("expression", exp.Literal.string(f"({'?p' if target == 'postgres' else '?s'}){pattern.name}"))
        return copy

    return rule
