"""Random projects on PostgreSQL: after every build each table equals its query. `python -m fuzz.on_postgres` runs more."""

from __future__ import annotations

import pytest
from fuzz.on_postgres import run
from fuzz.stories import tell
from fuzz.worlds import Invalid, Tally
from length import at_length


def _holds(seed: int, models: int, steps: int) -> None:
    try:
        failure = run(tell(seed, models, steps), Tally())
    except Invalid as error:
        pytest.skip(f"the seed gives no case: {str(error)[:80]}")
    assert failure is None, failure


@pytest.mark.parametrize("seed", [1, 3])
def test_tables_equal_their_queries(seed: int) -> None:
    _holds(seed, 6, 4)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(100, 100 + at_length(40)))
def test_tables_equal_their_queries_at_length(seed: int) -> None:
    _holds(seed, 10, 8)
