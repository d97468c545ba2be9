"""Make a SQLFlow project of N small models in layers, and what the plain script needs to run the same SQL.

    python benchmarks/generate.py FOLDER --models 500 [--rows 1000] [--seed 1]

The same arguments give the same files, byte for byte (but for the Parquet files and the database, whose rows are the
same). In FOLDER: `sqlflow.yml`, `models/`, `sources/`, `data/*.parquet`, `seed.duckdb` (the tables that exist before a
build), and for `plain.py` `plain/sources.sql` and `plain/order.txt`.

Every model keeps five columns (id, day, region, amount, n) beside those of its own, and `id` stays unique, so that any
model can read any earlier one and all results are the same in any order of execution.
"""

from __future__ import annotations

import argparse
import random
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb

AREAS = ("sales", "stock", "people", "web", "finance", "support", "shipping")
SOURCES_PER_FILE = 20


@dataclass(frozen=True, slots=True)
class Source:
    """`outside`: it is a table of the database, not a Parquet file."""

    number: int
    area: str
    outside: bool

    @property
    def name(self) -> str:
        return f"{self.area}_{self.number:05d}"


@dataclass(frozen=True, slots=True)
class Model:
    layer: str
    name: str
    area: str
    text: str

    @property
    def path(self) -> str:
        return f"models/{self.layer}/{self.area}/{self.name}.sql"

    @property
    def table(self) -> str:
        return f"{self.layer}.{self.name}"


# ---------------------------------------------------------------- sources

_COLUMNS = (
    ("row_id", "BIGINT"),
    ("happened", "VARCHAR"),
    ("place", "VARCHAR"),
    ("price", "VARCHAR"),
    ("pieces", "INTEGER"),
    ("state", "INTEGER"),
    ("note", "VARCHAR"),
    ("loaded_at", "TIMESTAMP"),
)


def rows_of(source: Source, rows: int) -> str:
    """A query that makes the source's rows: dirty as they come, the id being clean."""
    k = source.number
    return f"""SELECT
    i::BIGINT AS row_id,
    strftime(DATE '2024-01-01' + (hash(i, {k}, 1) % 90)::INTEGER, '%Y-%m-%d') AS happened,
    ' ' || (['North', 'South', 'east', 'West '])[(hash(i, {k}, 2) % 4 + 1)::INTEGER] AS place,
    ((hash(i, {k}, 3) % 100000) / 100)::DECIMAL(12, 2)::VARCHAR AS price,
    (hash(i, {k}, 4) % 50)::INTEGER AS pieces,
    (hash(i, {k}, 5) % 5)::INTEGER AS state,
    'note ' || i AS note,
    TIMESTAMP '2024-04-01' + INTERVAL (i) SECOND AS loaded_at
FROM range({rows}) AS t(i)"""


def source_yaml(source: Source) -> str:
    lines = [f"raw.{source.name}:", f"  description: Rows of {source.area}, delivery {source.number}."]
    if source.outside:
        lines.append(f"  table: ext.{source.name}")
        if source.number % 2:
            lines += ["  cursor: loaded_at", "  key: row_id"]
    else:
        lines.append(f"  path: data/{source.name}.parquet")
    if source.number % 3 == 0:
        lines += ["  columns:", *(f"    {name}: {kind}" for name, kind in _COLUMNS)]
    return "\n".join(lines) + "\n"


# ---------------------------------------------------------------- models


def staging(source: Source) -> str:
    return f"""-- Rows of {source.area}, cleaned.
-- @owner: {source.area}
SELECT
    row_id AS id,                                       -- Identity of the row
    CAST(happened AS DATE) AS day,                      -- Day on which it happened
    lower(trim(place)) AS region,                       -- One of four regions
    CAST(price AS DECIMAL(18, 2)) AS amount,            -- Euro
    CAST(coalesce(pieces, 0) AS BIGINT) AS n,           -- Pieces
    CASE state WHEN 0 THEN 'new' WHEN 1 THEN 'open' WHEN 2 THEN 'paid' ELSE 'closed' END AS state,
    state IN (2, 3) AS is_final,
    loaded_at
FROM raw.{source.name}
WHERE row_id IS NOT NULL
"""


def enrich(parents: Sequence[str], rnd: random.Random) -> str:
    """One parent gives the rows, the others add to them."""
    others = range(1, len(parents))
    added = "".join(f" + coalesce(p{j}.amount, 0)" for j in others)
    columns = "".join(f",\n    p{j}.region AS region_{j},\n    coalesce(p{j}.n, 0) AS n_{j}" for j in others)
    joins = "".join(f"\nLEFT JOIN {parents[j]} AS p{j} ON p{j}.id = p0.id" for j in others)
    return f"""-- Rows with what others know of them.
SELECT
    p0.id,
    p0.day,
    coalesce(p0.region, 'unknown') AS region,
    CAST(p0.amount{added} AS DECIMAL(18, 2)) AS amount,
    p0.n{columns}
FROM {parents[0]} AS p0{joins}
WHERE p0.n % {rnd.randint(40, 60)} <> 0
"""


def combine(parents: Sequence[str], rnd: random.Random) -> str:
    """All parents together, one row for each id."""
    union = "\n    UNION ALL\n".join(
        f"    SELECT id, day, region, amount, n, '{parent}' AS origin\n    FROM {parent}" for parent in parents
    )
    return f"""-- All rows together, one for each id.
WITH everything AS (
{union}
),

counted AS (
    SELECT
        id,
        min(day) AS day,
        max(region) AS region,
        sum(amount) AS amount,
        sum(n) AS n,
        count(DISTINCT origin) AS origins
    FROM everything
    GROUP BY id
)

SELECT
    id,
    day,
    region,
    CAST(amount / {len(parents)} AS DECIMAL(18, 2)) AS amount,
    CAST(n AS BIGINT) AS n,
    origins,
    origins >= {rnd.randint(1, len(parents))} AS is_complete
FROM counted
"""


def history(parents: Sequence[str], rnd: random.Random) -> str:
    """Windows over one parent, filtered by another."""
    return f"""-- Each row beside the one before it.
WITH ordered AS (
    SELECT
        id,
        day,
        region,
        amount,
        n,
        lag(amount) OVER (PARTITION BY region ORDER BY day, id) AS amount_before,
        sum(n) OVER (PARTITION BY region ORDER BY day, id ROWS UNBOUNDED PRECEDING) AS n_so_far,
        row_number() OVER (PARTITION BY region, day ORDER BY amount DESC, id) AS place
    FROM {parents[0]}
)

SELECT
    o.id,
    o.day,
    o.region,
    o.amount,
    o.n,
    coalesce(o.amount - o.amount_before, 0) AS growth,
    CAST(o.n_so_far AS BIGINT) AS n_so_far
FROM ordered AS o
WHERE o.place <= {rnd.randint(10, 20)}
    AND EXISTS (SELECT 1 FROM {parents[-1]} AS other WHERE other.region = o.region)
"""


def summary(parents: Sequence[str], rnd: random.Random) -> str:
    """Totals by day and region."""
    joins = "".join(
        f"\nLEFT JOIN (SELECT day, sum(amount) AS amount FROM {parent} GROUP BY day) AS t{j} ON t{j}.day = base.day"
        for j, parent in enumerate(parents[1:], 1)
    )
    columns = "".join(
        f",\n    CAST(coalesce(max(t{j}.amount), 0) AS DECIMAL(18, 2)) AS total_{j}" for j in range(1, len(parents))
    )
    return f"""-- Totals by day and region.
-- @tags: [report]
SELECT
    min(base.id) AS id,
    base.day,                                           -- Day of the totals
    base.region,
    CAST(sum(base.amount) AS DECIMAL(18, 2)) AS amount, -- Euro, all rows
    CAST(sum(base.n) AS BIGINT) AS n,
    count(*) AS row_count,
    count(*) FILTER (WHERE base.amount > {rnd.randint(100, 900)}) AS large{columns}
FROM {parents[0]} AS base{joins}
GROUP BY base.day, base.region
"""


def ranking(parents: Sequence[str], rnd: random.Random) -> str:
    """The best rows of each region, with a month's total of another model."""
    return f"""-- The best rows of each region.
-- @tags: [report]
WITH monthly AS (
    SELECT date_trunc('month', day) AS month, region, sum(amount) AS month_amount, avg(n) AS month_n
    FROM {parents[-1]}
    GROUP BY ALL
),

ranked AS (
    SELECT
        base.*,
        rank() OVER (PARTITION BY base.region ORDER BY base.amount DESC, base.id) AS region_rank
    FROM {parents[0]} AS base
)

SELECT
    r.id,
    r.day,
    r.region,
    r.amount,
    r.n,
    r.region_rank,
    CAST(coalesce(m.month_amount, 0) AS DECIMAL(18, 2)) AS month_amount,
    round(m.month_n, 2) AS month_n,
    CASE WHEN r.region_rank <= 3 THEN 'top' WHEN r.region_rank <= 10 THEN 'good' ELSE 'other' END AS band
FROM ranked AS r
LEFT JOIN monthly AS m
    ON m.month = date_trunc('month', r.day)
    AND m.region = r.region
WHERE r.region_rank <= {rnd.randint(50, 200)}
"""


Shape = Callable[[Sequence[str], random.Random], str]
_LAYERS: tuple[tuple[str, str, tuple[Shape, ...]], ...] = (
    ("intermediate", "int", (enrich, combine, history)),
    ("marts", "mart", (summary, ranking, combine)),
)
_STEPS = 3  # how many levels a layer has


def make_models(count: int, seed: int) -> tuple[list[Source], list[Model]]:
    """Sources, and models parents first: 3/10 staging, 4/10 intermediate, 3/10 marts, seven levels in all."""
    rnd = random.Random(f"{seed} {count}")
    first = max(2, count * 3 // 10)
    sources = [Source(number, AREAS[number % len(AREAS)], number % 4 == 3) for number in range(first)]
    models = [Model("staging", f"stg_{s.name}", s.area, staging(s)) for s in sources]
    levels = [[model.table for model in models]]
    left = {"intermediate": (count - first) * 4 // 7}
    left["marts"] = count - first - left["intermediate"]
    for layer, prefix, shapes in _LAYERS:
        made = 0
        for step in range(_STEPS):
            level = []
            for _ in range((left[layer] - made) // (_STEPS - step)):
                area = rnd.choice(AREAS)
                name = f"{prefix}_{area}_{made:05d}"
                model = Model(layer, name, area, rnd.choice(shapes)(_parents(levels, rnd), rnd))
                made += 1
                models.append(model)
                level.append(model.table)
            levels.append(level)
    return sources, models


def _parents(levels: Sequence[Sequence[str]], rnd: random.Random) -> list[str]:
    """Two to four earlier models, most of them of the level just below."""
    there = [level for level in levels if level]
    chosen: dict[str, None] = {}
    for _ in range(rnd.choice((2, 2, 2, 3, 3, 4))):
        level = there[-1] if rnd.random() < 0.7 else rnd.choice(there)
        chosen[rnd.choice(level)] = None
    return list(chosen)


# ---------------------------------------------------------------- files


def write_project(folder: Path, count: int, rows: int, seed: int) -> None:
    if folder.exists():
        shutil.rmtree(folder)
    sources, models = make_models(count, seed)
    for sub in ("sources", "data", "plain"):
        (folder / sub).mkdir(parents=True)
    (folder / "sqlflow.yml").write_text(
        f"name: bench_{count}\ndialect: duckdb\ntargets:\n  dev: {{engine: duckdb, path: warehouse.duckdb}}\n"
        "default_target: dev\ndefaults:\n  models/marts: {owner: analytics}\n"
    )
    for start in range(0, len(sources), SOURCES_PER_FILE):
        part = sources[start : start + SOURCES_PER_FILE]
        (folder / f"sources/raw_{start // SOURCES_PER_FILE:03d}.yml").write_text("\n".join(map(source_yaml, part)))
    for model in models:
        path = folder / model.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(model.text)
    with duckdb.connect(str(folder / "seed.duckdb")) as database:
        database.execute("CREATE SCHEMA ext")
        database.execute("BEGIN")
        for source in sources:
            query = rows_of(source, rows)
            if source.outside:
                database.execute(f"CREATE TABLE ext.{source.name} AS {query}")
            else:
                target = str(folder / f"data/{source.name}.parquet").replace("'", "''")
                database.execute(f"COPY ({query}) TO '{target}' (FORMAT parquet)")
        database.execute("COMMIT")
    views = "".join(
        f"CREATE OR REPLACE VIEW raw.{s.name} AS SELECT * FROM "
        + (f"ext.{s.name};\n" if s.outside else f"read_parquet('data/{s.name}.parquet');\n")
        for s in sources
    )
    (folder / "plain/sources.sql").write_text(views)
    (folder / "plain/order.txt").write_text("".join(f"{model.table} {model.path}\n" for model in models))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else None)
    parser.add_argument("folder", type=Path, help="where the project goes; what is there is replaced")
    parser.add_argument("--models", type=int, default=100, help="how many (default %(default)s)")
    parser.add_argument("--rows", type=int, default=1000, help="rows of each source (default %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="another number, another graph (default %(default)s)")
    asked = parser.parse_args()
    if asked.models < 2:
        parser.error("--models must be at least 2")
    folder: Path = asked.folder
    if folder.exists() and any(folder.iterdir()) and not (folder / "plain/order.txt").exists():
        parser.error(f"{folder} is not empty and was not made by this script")
    write_project(folder, asked.models, asked.rows, asked.seed)
    print(f"{asked.models} models in {folder}")


if __name__ == "__main__":
    main()
