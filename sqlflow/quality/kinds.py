"""The table of checks: one row for each kind, and what is near to one."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches

from sqlflow.core.diagnostics import did_you_mean
from sqlflow.quality import accuracy, completeness, consistency, freshness, uniqueness, validity
from sqlflow.quality.forms import Check

CHECKS: Mapping[str, Check] = {
    check.kind: check
    for module in (completeness, uniqueness, validity, accuracy, consistency, freshness)
    for check in module.CHECKS
}

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


def instead_of(word: str) -> str:
    """A hint for a word that is no check: what it may have been meant as."""
    return near_check(word) or did_you_mean(word, CHECKS) or "checks: " + ", ".join(f"`{kind}`" for kind in CHECKS)
