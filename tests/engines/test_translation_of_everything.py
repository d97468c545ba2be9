"""All that the engines' catalogues name, translated: it gives the same rows, or is refused before anything runs."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator

import pytest
import statements
from two_engines import Pair, pair_of_engines

_SOME = 900


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    with pair_of_engines(24) as both:
        yield both


@pytest.mark.parametrize("dialect", ["duckdb", "postgres"])
def test_nothing_of_a_sample_comes_out_differently(pair: Pair, dialect: str) -> None:
    _hold(pair, random.Random(7).sample(_all(pair, dialect), _SOME), dialect)


@pytest.mark.long
@pytest.mark.parametrize("dialect", ["duckdb", "postgres"])
def test_nothing_at_all_comes_out_differently(pair: Pair, dialect: str) -> None:
    _hold(pair, _all(pair, dialect), dialect)


def _all(pair: Pair, dialect: str) -> list[str]:
    return statements.of_duckdb(pair.here) if dialect == "duckdb" else statements.of_postgres(pair.there)


def _hold(pair: Pair, lines: list[str], dialect: str) -> None:
    verdicts = [pair.compare(line, dialect) for line in lines]
    wrong = [one for one in verdicts if one.outcome == "different"]
    print(len(lines), Counter(one.outcome for one in verdicts))
    assert not wrong, "\n\n".join(f"{one.line}\n  {one.told}" for one in wrong[:20])
    assert any(one.outcome == "equal" for one in verdicts)
