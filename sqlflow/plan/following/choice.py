"""Whether a model follows the changes of its inputs or is rebuilt, with the numbers behind it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

from msgspec import Struct

from sqlflow.core.amounts import counted, duration
from sqlflow.core.compiled import CompiledModel
from sqlflow.core.following import Refusal, Shape, Tier
from sqlflow.core.model import Header, Incremental
from sqlflow.core.modes import Strategy
from sqlflow.core.names import TableName
from sqlflow.core.plan import Way
from sqlflow.core.records import TableRecord
from sqlflow.core.ways import Method
from sqlflow.plan.following.delta import ChangedRows, Following, products_of
from sqlflow.plan.stale import Version
from sqlflow.plan.world import insists

# First guesses, until a model has been measured: what following costs at least, and what a followed row costs in rows of a
# rebuild; and what it costs besides to write the row down where it came in, which is no part of the model's own time.
_FIXED_SECONDS = 0.02
_ROWS_PER_ADDED = 1.5
_ROWS_PER_REMOVED = 4.0
_ROWS_PER_LOGGED = 1.2
_STAY = 1.25  # the other way must be this much cheaper before the choice changes


class NotFollowed(Struct, frozen=True):
    """Why a change is not followed, in words, and the construct of the query to blame, if it is one."""

    why: str
    refusal: Refusal | None = None


class Followed(Struct, frozen=True):
    """How a change is followed, and the ways there are, best first."""

    following: Following
    ways: tuple[Way, ...]
    strategy: Method


def counters_token(shape: Shape) -> str:
    """What tells whether the counters that are kept are those of this query; empty for a query without counters."""
    if shape.grouping is None:
        return ""
    parts = [shape.body, *(f"{column.name} {column.type}" for column in shape.schema)]
    return hashlib.blake2b("\x1f".join(parts).encode(), digest_size=16).hexdigest()


def follow_or_not(
    model: CompiledModel,
    before: TableRecord,
    shape: Shape,
    changed: Sequence[ChangedRows],
    versions: Mapping[TableName, Version],
    rows: Mapping[TableName, int | None],
) -> Followed | NotFollowed:
    """How a model follows these changes of its inputs.

    `rows`: how many rows the inputs have, where that is known.
    """
    header = model.header
    if shape.tier is Tier.REFUSED:
        return NotFollowed(_words(shape.refusal), shape.refusal)
    if shape.grouping is not None and before.counters != counters_token(shape):
        return NotFollowed("its counters are not kept yet")
    grown = all(versions[item.table].grew is not None and item.after == item.upto - 1 for item in changed)
    tables = tuple(item.table for item in changed)
    blocked = [table for table in tables if table.id in shape.fixed]
    products = () if blocked else products_of(shape, changed, grown=grown)
    keys = shape.key_columns(tables)[:_MOST_KEYS]
    if not products and not keys:
        if blocked:
            refusal = shape.fixed[blocked[0].id]
            return NotFollowed(f"a change of `{blocked[0]}` cannot be followed: {_words(refusal)}", refusal)
        return NotFollowed("it reads what changed in too many places")
    growing = shape.grouping is not None and not shape.grouping.additive
    if products and not growing:
        keys = ()  # removed rows can be multiplied out as well
    known = sum(versions[item.table].grew or 0 for item in changed) if grown else None
    return _weighed(header, before, Following(tuple(changed), products or (), keys), known, grown, rows)


_MOST_KEYS = 4


def _words(refusal: Refusal | None) -> str:
    return "" if refusal is None else f"`{refusal.construct}`: {refusal.reason}"


class _Limit(Struct, frozen=True):
    """Up to how many changed rows following is cheaper than a rebuild, and the numbers behind that."""

    most: int
    per_row: float | None
    weight: float
    fixed: float
    full: float | None
    full_why: str


def _limit(before: TableRecord, name: Method, base: int, known: int | None, grown: bool) -> _Limit:
    """`base`: how many rows a rebuild would read or write; `known`: how many of them are new."""
    full = before.costs.get(Method.FULL)
    then = max(before.rows or 0, base - (known or 0))  # those of which the time is known
    per_row = None if full is None or not then else full / then
    weight = _ROWS_PER_ADDED if grown else _ROWS_PER_REMOVED
    fixed = _FIXED_SECONDS
    last, last_rows = before.costs.get(name), before.followed.get(name)
    if last is not None and last_rows is not None and then:
        fixed = min(last, fixed)
        if per_row and last_rows > 1000:
            weight = max(0.1, (last - fixed) / last_rows / per_row)
    weight += _ROWS_PER_LOGGED
    if full is None or per_row is None:
        return _Limit(int(base / weight), per_row, weight, fixed, full, f"{counted(base, 'row')}, never timed")
    stay = _STAY if before.strategy in (Method.DELTA, Method.KEYS) else 1.0
    most = int(max(0.0, per_row * base * stay - fixed) / (per_row * weight))
    return _Limit(most, per_row, weight, fixed, full, f"took {duration(full)} for {counted(then, 'row')}")


def may_pay(model: CompiledModel, before: TableRecord | None, rows: int | None) -> bool:
    """Whether a model might follow changes of an input that has `rows`, however few they are; False for a table that is
    rebuilt faster than any change is followed."""
    header = model.header
    if before is None or insists(header) or not header.promise.whole or before.costs.get(Method.FULL) is None:
        return True
    base = max(before.rows or 0, rows or 0)
    return any(
        _limit(before, name, base, None, grown=grown).most > 0
        for name in (Method.DELTA, Method.KEYS)
        for grown in (True, False)
    )


def would_follow(model: CompiledModel, before: TableRecord, shape: Shape, added: int, rows: int | None) -> bool:
    """Whether it is worth while to write down rows that were added to an input, which has `rows` now, for this reader."""
    if insists(model.header):
        return True
    if before.distrusted or (shape.grouping is not None and before.counters != counters_token(shape)):
        return False
    base = max(before.rows or 0, rows or 0)
    return added <= max(_limit(before, name, base, added, grown=True).most for name in (Method.DELTA, Method.KEYS))


def _weighed(
    header: Header,
    before: TableRecord,
    following: Following,
    known: int | None,
    grown: bool,
    rows: Mapping[TableName, int | None],
) -> Followed | NotFollowed:
    name = Method.DELTA if following.products else Method.KEYS
    base = max([before.rows or 0, *(rows.get(item.table) or 0 for item in following.changed)])
    limit = _limit(before, name, base, known, grown)
    most, per_row, weight, fixed, full, full_why = (
        limit.most, limit.per_row, limit.weight, limit.fixed, limit.full, limit.full_why,
    )  # fmt: skip
    seconds = None if known is None or per_row is None else fixed + known * weight * per_row
    size = "" if known is None else f"{counted(known, 'row')} added; "
    cheap = f"{size}cheaper up to {counted(most, 'changed row')}"
    ways = (Way(name, seconds, cheap), Way(Method.FULL, full, full_why))
    if header.strategy is Strategy.DELTA or header.incremental is Incremental.REQUIRED:
        return Followed(following, (Way(name, seconds, f"{size}asked for"), ways[1]), name)
    if most <= 0 or (known is not None and known > most):
        return NotFollowed(
            f"a rebuild is cheaper: it {full_why}, and following costs about {duration(seconds or fixed)}"
        )
    limited = Following(following.changed, following.products, following.keys, most)
    return Followed(limited, ways, name)
