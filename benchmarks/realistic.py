"""Write a SQLFlow project of N models as long as real ones are: staging ~15 lines, intermediate ~60, marts ~100.

    python benchmarks/realistic.py FOLDER --models 10000 [--rows 0]

30 % staging over a source each, 40 % intermediate with three to six CTEs, 30 % marts with unions, aggregates and windows; seven
levels, 2.2 parents on average; the same arguments give the same project. Sources are tables of the database with
declared columns; with `--rows` they are written, as Parquet files that the sources name.
"""

from __future__ import annotations

import argparse
import random
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_MARK = re.compile(r"<<([a-z0-9_.]+)>>")
SOURCES_PER_FILE = 20


@dataclass(frozen=True, slots=True)
class Model:
    """`sql`: another model stands in it as <<name>>, a source as <<raw.name>>."""

    name: str
    layer: str
    sql: str


CORE = [
    "id",
    "parent_id",
    "created_at",
    "event_date",
    "updated_at",
    "amount",
    "quantity",
    "status",
    "category",
    "is_active",
    "region",
]
SOURCE_COLUMNS = [
    ("id", "BIGINT"),
    ("parent_id", "BIGINT"),
    ("created", "VARCHAR"),
    ("updated_at", "TIMESTAMP"),
    ("amt", "VARCHAR"),
    ("qty", "INTEGER"),
    ("status_cd", "VARCHAR"),
    ("cat_cd", "INTEGER"),
    ("active_flg", "VARCHAR"),
    ("region", "VARCHAR"),
    ("notes", "VARCHAR"),
    ("_loaded_at", "TIMESTAMP"),
]


def _rows_of(k: int, rows: int) -> str:
    return f"""select i::bigint as id, (hash(i, {k}) % {rows})::bigint as parent_id,
  strftime(timestamp '2024-01-01' + interval (hash(i, {k}, 1) % 8640000) second, '%Y-%m-%d %H:%M:%S') as created,
  timestamp '2024-05-01' + interval (hash(i, {k}, 2) % 86400) second as updated_at,
  ((hash(i, {k}, 3) % 100000) / 100)::decimal(18,2)::varchar as amt, (hash(i, {k}, 4) % 50)::integer as qty,
  ' ' || (['NEW','OPEN','Closed','void'])[(hash(i, {k}, 5) % 4 + 1)::int] as status_cd,
  (hash(i, {k}, 6) % 4)::integer as cat_cd, if(hash(i, {k}, 7) % 3 = 0, 'N', 'Y') as active_flg,
  'r' || (hash(i, {k}, 8) % 8) as region, 'note ' || i as notes, timestamp '2024-05-02' as _loaded_at
from range({rows}) t(i)"""


def _staging(src: str) -> str:
    return f"""select
    cast(id as bigint) as id,
    cast(parent_id as bigint) as parent_id,
    cast(created as timestamp) as created_at,
    cast(created as date) as event_date,
    cast(updated_at as timestamp) as updated_at,
    cast(amt as decimal(18, 2)) as amount,
    coalesce(cast(qty as integer), 0) as quantity,
    lower(trim(status_cd)) as status,
    case cat_cd when 1 then 'retail' when 2 then 'wholesale' when 3 then 'online' else 'other' end as category,
    active_flg = 'Y' as is_active,
    region,
    cast(qty * 2 as integer) as metric_a,
    0 as bench_rev
from <<raw.{src}>>
where id is not null"""


def _imports(deps: Sequence[str]) -> list[str]:
    """Import CTEs. The first dependency gives the core columns, the others a few."""
    out = []
    for j, d in enumerate(deps):
        cols = (
            [*CORE, "metric_a"]
            if j == 0
            else ["id", "parent_id", "event_date", "amount", "quantity", "status", "is_active", "metric_a"]
        )
        body = ",\n".join("        " + ", ".join(cols[k : k + 4]) for k in range(0, len(cols), 4))
        out.append(f"{'with ' if j == 0 else ''}src_{j} as (\n    select\n{body}\n    from <<{d}>>\n)")
    return out


def _intermediate(deps: Sequence[str], rnd: random.Random) -> str:
    ctes = _imports(deps)
    ctes.append("""deduped as (
    select *
    from (
        select
            src_0.*,
            row_number() over (partition by src_0.id order by src_0.updated_at desc) as rn
        from src_0
    ) as numbered
    where rn = 1
)""")
    joins, extra = [], []
    for j in range(1, len(deps)):
        on = f"src_{j}.id = deduped.{rnd.choice(['id', 'parent_id'])}"
        joins.append(f"    left join src_{j}\n        on {on}")
        extra += [
            f"        coalesce(src_{j}.amount, 0) as amount_{j}",
            f"        src_{j}.status as status_{j}",
            f"        coalesce(src_{j}.metric_a, 0) as metric_{j}",
        ]
    ctes.append(
        "joined as (\n    select\n        deduped.*,\n"
        + ",\n".join(extra)
        + "\n    from deduped\n"
        + "\n".join(joins)
        + "\n)"
    )
    total = " + ".join(["amount"] + [f"amount_{j}" for j in range(1, len(deps))])
    metric = " + ".join(["metric_a"] + [f"metric_{j}" for j in range(1, len(deps))])
    core = ",\n".join(f"    {c}" for c in CORE if c not in ("amount", "status"))
    return (
        ",\n\n".join(ctes)
        + f"""

select
{core},
    cast({total} as decimal(18, 2)) % 100000 as amount,
    case when is_active then status else coalesce(status_1, 'void') end as status,
    cast(({metric}) % 1000 as integer) as metric_a,
    0 as bench_rev
from joined"""
    )


def _mart(deps: Sequence[str], rnd: random.Random) -> str:
    ctes = _imports(deps)
    unions = "\n    union all\n".join(
        f"    select id, event_date, amount, quantity, status, is_active, metric_a, '{d}' as origin\n    from src_{j}"
        for j, d in enumerate(deps)
    )
    ctes.append(f"all_events as (\n{unions}\n)")
    ctes.append("""per_id as (
    select
        id,
        count(*) as n_events,
        sum(amount) as total_amount,
        avg(quantity) as avg_quantity,
        max(event_date) as last_event_date,
        count(*) filter (where is_active) as n_active,
        sum(case when status = 'open' then amount else 0 end) as open_amount
    from all_events
    group by id
)""")
    ctes.append("""monthly as (
    select
        date_trunc('month', event_date) as event_month,
        origin,
        sum(amount) as month_amount,
        count(distinct id) as month_ids
    from all_events
    where event_date is not null
    group by 1, 2
)""")
    ctes.append("""monthly_trend as (
    select
        event_month,
        origin,
        month_amount,
        month_ids,
        lag(month_amount) over (partition by origin order by event_month) as previous_amount,
        sum(month_amount) over (partition by origin order by event_month
            rows between unbounded preceding and current row) as running_amount
    from monthly
)""")
    ctes.append(f"""trend_total as (
    select
        event_month,
        sum(running_amount) as running_amount,
        max(coalesce(month_amount - previous_amount, 0)) as best_growth
    from monthly_trend
    where month_ids > {rnd.randint(0, 3)}
    group by event_month
)""")
    keep = [c for c in CORE if c != "amount"]
    core = ",\n".join("        " + ", ".join(f"base.{c}" for c in keep[k : k + 2]) for k in range(0, len(keep), 2))
    outer = ",\n".join("    " + ", ".join(keep[k : k + 5]) for k in range(0, len(keep), 5))
    ctes.append(f"""ranked as (
    select
{core},
        per_id.total_amount,
        per_id.avg_quantity,
        per_id.n_active,
        per_id.open_amount,
        trend_total.running_amount,
        trend_total.best_growth,
        rank() over (partition by base.category order by per_id.total_amount desc, base.id) as category_rank,
        ntile(10) over (order by per_id.total_amount) as amount_decile
    from src_0 as base
    inner join per_id
        on per_id.id = base.id
    left join trend_total
        on trend_total.event_month = date_trunc('month', base.event_date)
)""")
    return (
        ",\n\n".join(ctes)
        + f"""

select
{outer},
    cast(total_amount % 100000 as decimal(18, 2)) as amount,
    cast(category_rank % 1000 as integer) as metric_a,
    amount_decile,
    n_active,
    round(avg_quantity, 2) as avg_quantity,
    coalesce(running_amount, 0) as running_amount,
    coalesce(best_growth, 0) as best_growth,
    case
        when open_amount > {rnd.randint(100, 900)} then 'high'
        when open_amount > 0 then 'low'
        else 'none'
    end as open_band,
    0 as bench_rev
from ranked"""
    )


def make_models(n: int, seed: int) -> tuple[list[str], list[Model]]:
    """Names of sources, and models parents first."""
    rnd = random.Random(seed * 1_000_003 + n)
    n_staging, n_middle = max(2, n * 30 // 100), n * 40 // 100
    sources = [f"src_{k:05d}" for k in range(n_staging)]
    models = [Model(f"stg_{k:05d}", "staging", _staging(source)) for k, source in enumerate(sources)]
    levels = [[model.name for model in models]]
    layers = (("intermediate", n_middle, _intermediate, "int"), ("marts", n - n_staging - n_middle, _mart, "mart"))
    for layer, total, make, prefix in layers:
        made = 0
        for part in range(3):
            names: list[str] = []
            for _ in range(total // 3 if part < 2 else total - 2 * (total // 3)):
                name = f"{prefix}_{made:05d}"
                made += 1
                models.append(Model(name, layer, make(_parents(levels, rnd), rnd)))
                names.append(name)
            levels.append(names)
    return sources, models


def _parents(levels: Sequence[Sequence[str]], rnd: random.Random) -> list[str]:
    """Two to four models, mostly of the level just below, sometimes of any lower one."""
    want = min(rnd.choice([2, 2, 3, 3, 4]), sum(map(len, levels)))
    found: dict[str, None] = {}
    while len(found) < want:
        level = levels[-1] if rnd.random() < 0.7 and levels[-1] else rnd.choice([level for level in levels if level])
        found[rnd.choice(level)] = None
    return list(found)


def write_project(folder: Path, count: int, rows: int, seed: int = 1) -> None:
    """What is in the folder is replaced."""
    if folder.exists():
        shutil.rmtree(folder)
    sources, models = make_models(count, seed)
    for sub in ("sources", *(f"models/{layer}" for layer in ("staging", "intermediate", "marts"))):
        (folder / sub).mkdir(parents=True)
    (folder / "sqlflow.yml").write_text(
        f"name: realistic_{count}\ndialect: duckdb\ntargets:\n  dev: {{engine: duckdb, path: warehouse.duckdb}}\n"
        "default_target: dev\n"
    )
    columns = "".join(f"    {name}: {kind}\n" for name, kind in SOURCE_COLUMNS)
    for start in range(0, len(sources), SOURCES_PER_FILE):
        text = ""
        for source in sources[start : start + SOURCES_PER_FILE]:
            place = f"path: data/{source}.parquet" if rows else f"table: raw.{source}"
            text += f"raw.{source}:\n  {place}\n" + ("" if rows else f"  columns:\n{columns}")
        (folder / f"sources/raw_{start // SOURCES_PER_FILE:04d}.yml").write_text(text)
    layer_of = {model.name: model.layer for model in models}

    def table(found: re.Match[str]) -> str:
        return found[1] if found[1].startswith("raw.") else f"{layer_of[found[1]]}.{found[1]}"

    for model in models:
        (folder / f"models/{model.layer}/{model.name}.sql").write_text(_MARK.sub(table, model.sql) + "\n")
    if rows:
        _write_sources(folder, sources, rows)


def _write_sources(folder: Path, sources: Sequence[str], rows: int) -> None:
    import duckdb

    (folder / "data").mkdir()
    with duckdb.connect() as database:
        for number, source in enumerate(sources):
            target = str(folder / f"data/{source}.parquet").replace("'", "''")
            database.execute(f"COPY ({_rows_of(number, rows)}) TO '{target}' (FORMAT parquet)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else None)
    parser.add_argument("folder", type=Path, help="where the project goes; what is there is replaced")
    parser.add_argument("--models", type=int, default=1000, help="how many (default %(default)s)")
    parser.add_argument("--rows", type=int, default=0, help="rows of each source; 0: sources are only declared")
    parser.add_argument("--seed", type=int, default=1, help="another number, another graph (default %(default)s)")
    asked = parser.parse_args()
    folder: Path = asked.folder
    if folder.exists() and any(folder.iterdir()) and not (folder / "sqlflow.yml").exists():
        parser.error(f"{folder} is not empty and was not made by this script")
    write_project(folder, asked.models, asked.rows, asked.seed)
    print(f"{asked.models} models in {folder}")


if __name__ == "__main__":
    main()
