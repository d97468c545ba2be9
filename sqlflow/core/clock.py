"""What in a query may be something else in another build, though neither the query nor its inputs changed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum

from msgspec import Struct

from sqlflow.core.intervals import Grain


class Nature(StrEnum):
    """Why a function may give something else in another build."""

    CLOCK = "clock"  # it depends on the time: the same for a whole statement, or nearly
    CHANCE = "chance"  # another value for each row
    SESSION = "session"  # who runs it, where and how
    OUTSIDE = "outside"  # it reads what SQLFlow does not watch: files, the catalogue, other databases
    UNKNOWN = "unknown"  # neither SQLFlow nor the engine says


class Moving(Struct, frozen=True):
    """Something in a query that may be another thing in another build. `every`: a clock that changes with this unit of the
    project's time zone; None for one that always does."""

    word: str
    nature: Nature
    every: Grain | None = None

    def __lt__(self, other: Moving) -> bool:
        return (self.word, self.nature, self.every or "") < (other.word, other.nature, other.every or "")


class ClockRule(StrEnum):
    """`@clock`: what the author says of the time of the build; see docs/modes.md."""

    AUTO = "auto"
    ALWAYS = "always"
    WRITTEN = "written"
    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    QUARTER = "quarter"
    YEAR = "year"

    def applied(self, found: tuple[Moving, ...]) -> tuple[Moving, ...]:
        """With what a table becomes stale by itself. `found`: what its rows depend on."""
        match self:
            case ClockRule.AUTO:
                # Another draw of chance is no better than the first.
                return tuple(i for i in found if i.nature in (Nature.CLOCK, Nature.SESSION, Nature.OUTSIDE))
            case ClockRule.WRITTEN:
                return ()
            case ClockRule.ALWAYS:
                return (Moving("@clock: always", Nature.CLOCK),)
            case _:
                return (Moving(f"@clock: {self}", Nature.CLOCK, Grain(self.value)),)


Written = Mapping[str, tuple[Moving, ...]]
"""Output column -> what fills it, and decides nothing else: it says when, or by what run, its row was written."""


def words_of(moving: Iterable[Moving]) -> str:
    """`now`, `uuid`: for messages."""
    return ", ".join(f"`{word}`" for word in dict.fromkeys(item.word for item in moving))


def depends_on(moving: Iterable[Moving]) -> str:
    """`the day`, or `` `now` ``: what something depends on, the least steady of them."""
    item = max(moving, key=lambda found: (found.every is None, found))
    return f"the {item.every}" if item.every is not None else f"`{item.word}`"


_PARTS_OF: Mapping[Grain, tuple[Grain, ...]] = {
    Grain.HOUR: (Grain.HOUR,),
    Grain.DAY: (Grain.HOUR, Grain.DAY),
    Grain.WEEK: (Grain.HOUR, Grain.DAY, Grain.WEEK),
    Grain.MONTH: (Grain.HOUR, Grain.DAY, Grain.MONTH),
    Grain.QUARTER: (Grain.HOUR, Grain.DAY, Grain.MONTH, Grain.QUARTER),
    Grain.YEAR: (Grain.HOUR, Grain.DAY, Grain.MONTH, Grain.QUARTER, Grain.YEAR),
}


def is_fresh(item: Moving, stale_by: Iterable[Moving]) -> bool:
    """Whether a table that becomes stale by these is made again whenever `item` changes."""
    every = item.every
    return every is not None and any(other.every is None or other.every in _PARTS_OF[every] for other in stale_by)


def never_the_same(moving: Iterable[Moving]) -> tuple[Moving, ...]:
    """Those that give something else when the same query is run again at once."""
    return tuple(item for item in moving if item.every is None and item.nature is not Nature.UNKNOWN)
