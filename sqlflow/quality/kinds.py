"""The table of checks: one row for each kind, and what is near to one."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from difflib import get_close_matches

from sqlflow.core.checks import CheckSpec
from sqlflow.core.diagnostics import did_you_mean
from sqlflow.core.sql import Authors, Sql, compose
from sqlflow.quality import accuracy, completeness, consistency, freshness, uniqueness, validity
from sqlflow.quality.forms import Argument, Asked, Category, Check, Failing, Query, Rows

CHECKS: Mapping[str, Check] = {
    check.kind: check
    for module in (completeness, uniqueness, validity, accuracy, consistency, freshness)
    for check in module.CHECKS
}


def own_kind(name: str, arguments: tuple[Argument, ...], doc: str) -> Check:
    """The kind that a check of the author's own is: used as the others are."""
    example = ", ".join(f"{argument.name}: ..." for argument in arguments)
    about = any(argument.name in ("column", "columns") for argument in arguments)
    return Check(
        name,
        Category.BUSINESS,
        arguments,
        _OWN_CONDITION,
        example=f"{name}: {{{example}}}",
        doc=doc,
        behind=f"@{name}({', '.join(f'{a.name}=...' for a in arguments if a.name not in ('column', 'columns'))})"
        if about
        else "",
    )


def kind_of(check: CheckSpec) -> Check:
    """The kind that a check is of."""
    if not check.own:
        return CHECKS[check.kind]
    judge = _OWN_CONDITION if len(check.own) == 1 else _OWN_QUERY
    return Check(check.kind, Category.BUSINESS, (), judge, example="", doc="")


def _false(check: CheckSpec) -> Sql:
    return compose("NOT ({sql})", sql=Sql(check.own[0]))


def _returned(asked: Asked) -> Failing:
    where = asked.where()
    table = compose("{t}", t=asked.table)
    if where:
        table = compose("(SELECT * FROM {t}{where})", t=asked.table, where=where)
    sql, *rest = (compose("{text}", text=Authors(text)) for text in asked.check.own)
    for text in rest:
        sql = compose("{a}{t}{b}", a=sql, t=table, b=text)
    return Failing(compose("SELECT * FROM ({sql}\n) AS _failing", sql=sql))


_OWN_CONDITION = Rows(_false)
_OWN_QUERY = Query(_returned)

NOT_YET = frozenset(["anomaly"])

_SHORTEST = 5
"""Letters of a word in which a slip can be told from another word."""


def near_check(word: str) -> str | None:
    """A hint when a word is the name of a check with a slip in it."""
    squeezed = {kind.replace("_", ""): kind for kind in CHECKS}
    bare = word.lower().replace("_", "").replace("-", "")
    long = [name for name in squeezed if len(name) >= _SHORTEST]
    near = [bare] if bare in squeezed else get_close_matches(bare, long, n=1, cutoff=0.8)
    return f"did you mean `{squeezed[near[0]]}`?" if near else None


def instead_of(word: str, own: Collection[str] = ()) -> str:
    """A hint for a word that is no check: what it may have been meant as. `own`: checks of the author's own."""
    return (
        near_check(word)
        or did_you_mean(word, [*CHECKS, *own])
        or "checks: " + ", ".join(f"`{kind}`" for kind in CHECKS)
    )
