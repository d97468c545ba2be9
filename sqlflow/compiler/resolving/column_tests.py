"""Which columns `COLUMNS(...)` and `* LIKE` name: patterns and lambdas as tests of a name."""

from __future__ import annotations

import re
from collections.abc import Callable

from sqlglot import exp

# COLUMNS('...') is a regular expression of RE2; only what Python reads the same way.
_SAFE_REGEX = re.compile(r"(?:[\w\s^$.|()*+?,-]|\\[dws.]|\[[\w-]+\])*", re.ASCII)


def name_test(which: exp.Expr) -> Callable[[str], bool] | None:
    """The test of names that `COLUMNS('regex')` or `COLUMNS(lambda ...)` stands for."""
    if isinstance(which, exp.Literal) and which.is_string:
        pattern = which.name
        if "(?" in pattern or not _SAFE_REGEX.fullmatch(pattern):
            return None
        try:
            compiled = re.compile(pattern, re.ASCII)
        except re.error:
            return None
        return lambda name: compiled.search(name) is not None
    if isinstance(which, exp.Lambda) and len(which.expressions) == 1:
        return _predicate(which.this, which.expressions[0].name.lower())
    return None


def _predicate(node: exp.Expr, name: str) -> Callable[[str], bool] | None:
    if isinstance(node, exp.Paren):
        return _predicate(node.this, name)
    if isinstance(node, exp.Not):
        inner = _predicate(node.this, name)
        return None if inner is None else lambda text: not inner(text)
    if isinstance(node, (exp.And, exp.Or)):
        left, right = _predicate(node.left, name), _predicate(node.right, name)
        if left is None or right is None:
            return None
        if isinstance(node, exp.And):
            return lambda text: left(text) and right(text)
        return lambda text: left(text) or right(text)
    subject = node.args.get("this")
    if not isinstance(subject, (exp.Identifier, exp.Column)) or subject.name.lower() != name:
        return None
    if isinstance(node, exp.In):
        values = node.expressions
        if not values or not all(is_text(value) for value in values):
            return None
        names = {value.name for value in values}
        return lambda text: text in names
    other = node.args.get("expression")
    if not isinstance(other, exp.Expr) or not is_text(other):
        return None
    value = other.name
    if isinstance(node, exp.EQ):
        return lambda text: text == value
    if isinstance(node, exp.NEQ):
        return lambda text: text != value
    if isinstance(node, exp.StartsWith):
        return lambda text: text.startswith(value)
    if isinstance(node, exp.EndsWith):
        return lambda text: text.endswith(value)
    return like_test(node)


def like_test(node: exp.Expr) -> Callable[[str], bool] | None:
    """The test that `x LIKE 'pattern'` is."""
    pattern = node.args.get("expression")
    if type(node) not in (exp.Like, exp.ILike) or not isinstance(pattern, exp.Expr):
        return None
    if not is_text(pattern) or node.args.get("escape") or node.args.get("negate"):
        return None
    parts = (".*" if letter == "%" else "." if letter == "_" else re.escape(letter) for letter in pattern.name)
    flags = re.DOTALL | (re.IGNORECASE if isinstance(node, exp.ILike) else 0)
    compiled = re.compile("".join(parts), flags)
    return lambda text: compiled.fullmatch(text) is not None


def is_text(node: exp.Expr) -> bool:
    return isinstance(node, exp.Literal) and bool(node.is_string)


def regex_name(alias: str, pattern: exp.Expr, name: str | None) -> str | None:
    r"""`COLUMNS('(a).*') AS '\1'`: the name that a group of the match makes."""
    if not is_text(pattern) or name is None or not re.fullmatch(r"(?:[^\\]|\\\d)*", alias):
        return None
    found = re.search(pattern.name, name, re.ASCII)
    if found is None:
        return None
    try:
        return re.sub(r"\\(\d)", lambda part: found.group(int(part.group(1))) or "", alias)
    except (IndexError, re.error):
        return None
