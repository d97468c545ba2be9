"""Seconds of `sqlflow test` on many simple unit tests: `python benchmarks/unit_tests.py --tests 1000`."""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

MODELS = 100
MODEL = """SELECT c.name, o.day, sum(o.amount) AS spent, count(*) + {number} AS orders
FROM raw.orders AS o JOIN raw.customers AS c ON c.id = o.customer
WHERE o.amount > 0
GROUP BY c.name, o.day
"""
SOURCES = """raw.orders: {table: raw.orders, columns: {id: BIGINT, day: DATE, customer: BIGINT, amount: "DECIMAL(10, 2)"}}
raw.customers: {table: raw.customers, columns: {id: BIGINT, name: VARCHAR}}
"""
TEST = """test {number}:
  model: marts.m{model}
  given:
    raw.orders:
      - {{id: 1, day: 2024-01-01, customer: 1, amount: 1.50}}
      - {{id: 2, day: 2024-01-01, customer: 1, amount: 2.50}}
      - {{id: 3, day: 2024-01-02, customer: 2, amount: -2.50}}
    raw.customers:
      - {{id: 1, name: Ada}}
      - {{id: 2, name: Bob}}
  expect:
    - {{name: Ada, day: 2024-01-01, spent: 4, orders: {orders}}}
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tests", type=int, default=1000)
    parser.add_argument("--repeat", type=int, default=3)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write(root, asked.tests)
        times = [seconds(root) for _ in range(asked.repeat + 1)][1:]  # the first run compiles the project
    print(f"{asked.tests:,} unit tests: {min(times):.1f} s")


def write(root: Path, tests: int) -> None:
    for name in ("models/marts", "tests", "sources"):
        (root / name).mkdir(parents=True)
    (root / "sqlflow.yml").write_text("name: bench\ntargets: {dev: {engine: duckdb, path: bench.duckdb}}\n")
    (root / "sources/raw.yml").write_text(SOURCES)
    for number in range(MODELS):
        (root / f"models/marts/m{number}.sql").write_text(MODEL.format(number=number))
    texts: dict[int, list[str]] = {}
    for number in range(tests):
        model = number % MODELS
        texts.setdefault(model, []).append(TEST.format(number=number, model=model, orders=model + 2))
    for model, found in texts.items():
        (root / f"tests/m{model}.yml").write_text("\n".join(found))


def seconds(root: Path) -> float:
    begun = time.perf_counter()
    subprocess.run([sys.executable, "-m", "sqlflow", "test"], cwd=root, check=True, capture_output=True)
    return time.perf_counter() - begun


if __name__ == "__main__":
    main()
