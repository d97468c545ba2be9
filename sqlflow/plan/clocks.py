"""What the clock shows to a model, and whether that is something else than when it was built."""

from __future__ import annotations

from sqlflow.core.clock import Moving
from sqlflow.core.compiled import CompiledModel
from sqlflow.core.intervals import Grain, floor
from sqlflow.core.plan import Reason, ReasonKind
from sqlflow.core.records import TableRecord
from sqlflow.plan.world import World


def reason(world: World, model: CompiledModel, before: TableRecord) -> Reason | None:
    """Why a table is stale because time went by, if it is."""
    for item in model.stale_by:
        if before.clocks.get(_asked(item)) != _shown(world, item):
            return Reason(ReasonKind.CLOCK, _why(item))
    return None


def shown(world: World, model: CompiledModel) -> dict[str, str]:
    """What the clock shows to a model in this build, by what it asks."""
    return {_asked(item): _shown(world, item) for item in model.stale_by}


def _shown(world: World, item: Moving) -> str:
    if item.every is None:
        return world.run_id
    now = world.now.astimezone(world.zone)
    if item.every is Grain.HOUR:  # with the offset, for there are two of an hour when summer time ends
        return now.replace(minute=0, second=0, microsecond=0).isoformat()
    return floor(world.now, item.every, world.zone).astimezone(world.zone).date().isoformat()


def _asked(item: Moving) -> str:
    return str(item.every) if item.every is not None else item.word


def _why(item: Moving) -> str:
    if item.every is not None:
        return f"the {item.every} has changed"
    if item.word.startswith("@"):
        return f"`{item.word}`"
    return f"its rows depend on `{item.word}`, which may always differ"
