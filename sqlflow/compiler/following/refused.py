"""Why a query, or a table that it reads, is not followed."""

from __future__ import annotations

from sqlglot import exp

from sqlflow.core.following import Refusal
from sqlflow.core.syntax import place_of


class Refused(Exception):
    def __init__(
        self,
        construct: str,
        reason: str,
        start: int | None = None,
        end: int | None = None,
        *,
        volatile: bool = False,
        loose: bool = False,
    ) -> None:
        super().__init__(reason)
        self.refusal = Refusal(construct, reason, start, end, volatile, loose)


def refusal_at(node: exp.Expr | None, construct: str, reason: str) -> Refusal:
    return Refusal(construct, reason, *place_of(node))
