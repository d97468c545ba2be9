"""How long the longer runs are (`make test-long`): in their normal form all of them together take less than an hour on two
cores. `SQLFLOW_TEST_LENGTH=10` gives each of them ten times as much, for whoever has a night."""

from __future__ import annotations

import os

_LENGTH = float(os.environ.get("SQLFLOW_TEST_LENGTH", "1"))


def at_length(number: int) -> int:
    """A number of examples, kills, seeds or edits of a longer run."""
    return max(1, round(number * _LENGTH))
