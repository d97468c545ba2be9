"""What is told of a model, and how well it came over because of that."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from sqlflow.migrate.dbt import Place


class Outcome(StrEnum):
    """How well a model came over. The order is from best to worst."""

    EXACT = "exact"
    NOTED = "noted"
    BY_HAND = "by hand"
    UNSUPPORTED = "unsupported"


class Remark(Struct, frozen=True):
    """Something about a model for the report. `outcome`: how well it came over because of this."""

    outcome: Outcome
    reason: str
    place: Place
    hint: str = ""
