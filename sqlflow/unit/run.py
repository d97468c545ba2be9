"""Unit tests carried out, several at a time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from enum import StrEnum

from msgspec import Struct

from sqlflow.core.config import Config
from sqlflow.core.diagnostics import Diagnostic, ProjectError
from sqlflow.core.engine import Binder, EngineError
from sqlflow.core.names import TableName
from sqlflow.core.text import MappedText
from sqlflow.core.units import UnitTest
from sqlflow.engines import EngineModule
from sqlflow.unit.bench import Bench, Wrong, first_line, picked
from sqlflow.unit.compare import Difference, difference
from sqlflow.unit.scenario import stage
from sqlflow.unit.tried import Tried


class Outcome(StrEnum):
    PASSED = "passed"
    FAILED = "failed"
    BROKEN = "broken"


class Unlike(Struct, frozen=True):
    """What differs after a step, counted from 1; 0 for a test without steps."""

    step: int
    difference: Difference


class UnitResult(Struct, frozen=True):
    """How a test came out. `problem`: why it could not be carried out."""

    test: UnitTest
    model: TableName
    outcome: Outcome
    seconds: float
    differences: tuple[Unlike, ...] = ()
    problem: Diagnostic | None = None


def run_units(
    tried: Sequence[Tried],
    queries: Callable[[TableName], MappedText],
    config: Config,
    module: EngineModule,
    threads: int,
    done: Callable[[UnitResult], None],
) -> list[UnitResult]:
    """Run tests, each thread on tables of its own; the results in the order of the tests. `queries`: of the models, with the
    places of their parts. `done`: is told of each as it ends."""
    with _Benches(config, module) as benches:

        def one(item: Tried) -> UnitResult:
            begun = time.perf_counter()
            try:
                unlike = tuple(_unlike(item, benches, queries, config, module))
            except Wrong as wrong:
                return _result(item, Outcome.BROKEN, begun, problem=wrong.problem)
            except ProjectError as error:
                return _result(item, Outcome.BROKEN, begun, problem=error.diagnostics[0])
            except EngineError as error:
                message = f"`{item.test.name}` could not be run: {first_line(error)}"
                problem = Diagnostic(error.code, message, item.test.place.span)
                return _result(item, Outcome.BROKEN, begun, problem=problem)
            return _result(item, Outcome.FAILED if unlike else Outcome.PASSED, begun, unlike)

        results: list[UnitResult] = []
        with ThreadPoolExecutor(max_workers=max(1, min(threads, len(tried)))) as pool:
            for result in pool.map(one, tried):
                done(result)
                results.append(result)
    return results


def _result(
    item: Tried,
    outcome: Outcome,
    begun: float,
    unlike: tuple[Unlike, ...] = (),
    problem: Diagnostic | None = None,
) -> UnitResult:
    return UnitResult(item.test, item.model, outcome, time.perf_counter() - begun, unlike, problem)


def _unlike(
    item: Tried,
    benches: _Benches,
    queries: Callable[[TableName], MappedText],
    config: Config,
    module: EngineModule,
) -> list[Unlike]:
    """What differs after each step. A step after one that differs is carried out, too."""
    if item.query is not None:
        bench = benches.mine()
        expect = item.trials[0].expect
        assert expect is not None
        given = picked(bench.asked(item, queries(item.model)), item.schema, expect.columns)
        found = _compared(item, [column.name for column in expect.columns], bench.expected(expect), given)
        return [] if found is None else [Unlike(0, found)]
    unlike: list[Unlike] = []
    with stage(item, config, module, benches.binder()) as played:
        for number, trial in enumerate(item.trials):
            rows = played.play(number)
            if trial.expect is None or rows is None:
                continue
            names = [column.name for column in trial.expect.columns]
            found = _compared(item, names, played.expected(trial.expect), rows)
            if found is not None:
                unlike.append(Unlike(number + 1 if item.test.scenario else 0, found))
    return unlike


def _compared(item: Tried, columns: Sequence[str], expected: Sequence[tuple[object, ...]], given: Sequence[tuple[object, ...]]) -> Difference | None:  # fmt: skip
    return difference(columns, expected, given, tolerance=item.test.tolerance, in_order=item.test.in_order)


class _Benches:
    """A binder and its tables for each thread."""

    def __init__(self, config: Config, module: EngineModule) -> None:
        self._config = config
        self._module = module
        self._mine = threading.local()
        self._opened: list[Binder] = []
        self._opening = threading.Lock()

    def __enter__(self) -> _Benches:
        return self

    def __exit__(self, *error: object) -> None:
        for binder in self._opened:
            binder.close()

    def binder(self) -> Binder:
        if getattr(self._mine, "binder", None) is None:
            with self._opening:
                self._mine.binder = self._module.open_binder(self._config, files=())
                self._opened.append(self._mine.binder)
        binder: Binder = self._mine.binder
        return binder

    def mine(self) -> Bench:
        if getattr(self._mine, "bench", None) is None:
            self._mine.bench = Bench(self.binder())
        bench: Bench = self._mine.bench
        return bench
