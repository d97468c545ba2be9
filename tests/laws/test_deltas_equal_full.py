"""Law: tables that are kept up to date by deltas equal tables made from scratch, after whatever happened.

The cases, the oracle and how a failing case is made smaller are in tests/fuzz. `make fuzz` runs more of them.
"""

from __future__ import annotations

import os
from itertools import count

import pytest
from fuzz.campaign import SHORT, one, report, seeds_of
from fuzz.cases import loads
from fuzz.faults import FAULTS, Fault, told
from fuzz.shrink import shrink
from fuzz.stories import tell
from fuzz.worlds import Tally
from length import at_length

LONG_BATCHES, LONG_BATCH = at_length(7), 505


def test_tables_kept_by_deltas_equal_their_queries() -> None:
    tally = Tally()
    for seed in seeds_of(SHORT):
        _hold(seed, tally)
    assert tally.refreshes >= 180
    assert tally.unstable == 0
    _mostly_followed(tally)


@pytest.mark.long
@pytest.mark.parametrize("batch", range(LONG_BATCHES))
def test_tables_kept_by_deltas_equal_their_queries_at_length(batch: int) -> None:
    """More than 500 refreshes in each batch; FUZZ_FROM moves on to seeds that were not tried yet."""
    tally = Tally()
    for seed in count(int(os.environ.get("FUZZ_FROM", "1000")) + batch * 100):
        _hold(seed, tally)
        if tally.refreshes >= LONG_BATCH:
            break
    _mostly_followed(tally, 0.4)  # of some six cases


def _hold(seed: int, tally: Tally) -> None:
    case, counted, failure = one(seed)
    tally.add(counted)
    if case is not None and failure is not None:
        case, failure = shrink(case, failure, 60)
        pytest.fail(f"made smaller:\n{report(case.told(), failure)}\n{case.dumps()}")


def _mostly_followed(tally: Tally, part: float = 1.0) -> None:
    """That the tables were not just rebuilt. `part`: of what many cases give on average."""
    assert tally.followed >= part * 0.3 * tally.refreshes, tally
    assert tally.ways["delta"] >= part * 0.1 * tally.refreshes, tally
    assert tally.ways["keys"] >= part * 0.05 * tally.refreshes, tally


@pytest.mark.long
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_fault_is_found_by_the_tests_of_every_day(fault: Fault) -> None:
    assert told(fault)


def test_the_faults_can_still_be_put_in() -> None:
    assert {fault.name: fault.places() for fault in FAULTS} == {f.name: 1 for f in FAULTS}


def test_a_case_survives_being_written_down() -> None:
    case = tell(3)
    assert loads(case.dumps()) == case
