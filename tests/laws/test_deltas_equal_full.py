"""Law: tables that are kept up to date by deltas equal tables made from scratch, after whatever happened.

The cases, the oracle and how a failing case is made smaller are in tests/fuzz. `make fuzz` runs more of them.
"""

from __future__ import annotations

import os

import pytest
from fuzz.campaign import one
from fuzz.cases import loads
from fuzz.stories import tell
from fuzz.worlds import Tally

BATCHES, BATCH = 11, 2


@pytest.mark.parametrize("batch", range(BATCHES))
def test_tables_kept_by_deltas_equal_their_queries(batch: int) -> None:
    """About 50 refreshes of tables each."""
    _hold(range(batch * BATCH, (batch + 1) * BATCH), at_least=20)


@pytest.mark.long
@pytest.mark.parametrize("batch", range(40))
def test_tables_kept_by_deltas_equal_their_queries_at_length(batch: int) -> None:
    """More than 20,000 refreshes in all; FUZZ_FROM moves on to seeds that were not tried yet."""
    first = int(os.environ.get("FUZZ_FROM", "1000")) + batch * 20
    _hold(range(first, first + 20), at_least=500)


def _hold(seeds: range, at_least: int) -> None:
    tally = Tally()
    for seed in seeds:
        _, counted, failure = one(seed, shrinking=60)
        tally.add(counted)
        assert failure is None, f"seed {seed}, made smaller:\n{failure[0]}\n{failure[1]}"
    assert tally.refreshes >= at_least, "these cases try too little"


def test_a_case_survives_being_written_down() -> None:
    case = tell(3)
    assert loads(case.dumps()) == case
