"""Texts that are a time of now: `'today'::date`, on an engine that reads them so."""

from __future__ import annotations

import re

from sqlglot import exp

from sqlflow.compiler.functions.natures import words
from sqlflow.core.clock import Moving, Nature
from sqlflow.core.intervals import Grain

TIMES = frozenset(
    {
        exp.DataType.Type.DATE,
        exp.DataType.Type.DATE32,
        exp.DataType.Type.TIME,
        exp.DataType.Type.TIMETZ,
        exp.DataType.Type.TIMESTAMP,
        exp.DataType.Type.TIMESTAMPTZ,
        exp.DataType.Type.TIMESTAMPLTZ,
        exp.DataType.Type.TIMESTAMPNTZ,
        exp.DataType.Type.DATETIME,
    }
)
_TEXTS = re.compile(r"\b(?:now|today|tomorrow|yesterday)\b", re.IGNORECASE)
_CASTING = words("date time timestamp timestamptz timetz")
_STRINGS = (exp.Literal, exp.RawString, exp.National, exp.ByteString, exp.UnicodeString)
_JOINED = (exp.DPipe, exp.Concat, exp.ConcatWs, exp.Lower, exp.Upper, exp.Trim, exp.Replace, exp.Array)
COMPARING = (exp.Predicate, exp.Between, exp.In, exp.Coalesce, exp.Greatest, exp.Least, exp.Add, exp.Sub, exp.Nullif)


def text_of_now(node: exp.Expr) -> Moving | None:
    """What a cast of a text, or a text beside a time, is on an engine where `'now'` is the time when it is read."""
    if isinstance(node, (exp.Cast, exp.TryCast)):
        kind = node.to
        while kind.this == exp.DataType.Type.ARRAY and kind.expressions:
            kind = kind.expressions[0]
        if kind.this not in TIMES:
            return None
        return _of_texts(node.this, dated=kind.this in (exp.DataType.Type.DATE, exp.DataType.Type.DATE32))
    name = str(node.this).lower() if isinstance(node, exp.Anonymous) else node.key
    if isinstance(node, exp.Func) and name in _CASTING:
        found = next(node.iter_expressions(), None)
        return None if found is None else _of_texts(found, dated=name == "date")
    if isinstance(node, exp.Literal) and node.is_string and isinstance(node.parent, COMPARING):
        text = str(node.this).strip().lower()
        if _TEXTS.fullmatch(text):
            return Moving(text, Nature.CLOCK, None if text == "now" else Grain.DAY)
    return None


def _of_texts(node: exp.Expr, *, dated: bool) -> Moving | None:
    while isinstance(node, exp.Paren) or (isinstance(node, exp.Cast) and node.to.this in exp.DataType.TEXT_TYPES):
        node = node.this
    if isinstance(node, _JOINED) and node.find(exp.Column) is None:
        return Moving("now", Nature.CLOCK)  # which text it is, nobody has worked out
    if not isinstance(node, _STRINGS):
        return None
    text = str(node.this)
    words = [found[0].lower() for found in _TEXTS.finditer(text)]
    if not words and not (isinstance(node, (exp.ByteString, exp.UnicodeString)) and "\\" in text):
        return None
    always = not dated and (not words or "now" in words)
    return Moving(words[0] if words else "now", Nature.CLOCK, None if always else Grain.DAY)


CASTS: frozenset[type[exp.Expr]] = frozenset(
    kind
    for kind in vars(exp).values()
    if isinstance(kind, type)
    and issubclass(kind, (*COMPARING, exp.Cast, exp.TryCast, exp.Date, exp.Time, exp.Timestamp))
)
"""Those beside which a text may be the time when it is read."""
