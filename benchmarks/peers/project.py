"""The generated projects, the same for every tool. The same arguments give the same project.

A query names another model as `<<stg_00001>>` and a source as `<<raw.src_00001>>`; each tool writes that in its own
way. The models are as large as those that people write: staging of some 15 lines, intermediate of some 60 with three to
six CTEs, marts of some 100 with unions, aggregates and windows.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

_MARK = re.compile(r"<<([a-z0-9_.]+)>>")
_REVISION = "0 as bench_rev"
_FACTOR = "qty * 2"


@dataclass(frozen=True, slots=True)
class Source:
    """`rows` is a query that makes its rows, or the glob of its files when they are made elsewhere."""

    name: str
    columns: tuple[tuple[str, str], ...]
    rows: str = ""


@dataclass(frozen=True, slots=True)
class Model:
    name: str
    layer: str
    query: str
    number: int = 0

    def text(self, model: Callable[[str], str], source: Callable[[str], str]) -> str:
        """The query with names as a tool writes them."""
        return _MARK.sub(lambda m: source(m[1][4:]) if m[1].startswith("raw.") else model(m[1]), self.query)

    def edited(self, revision: int) -> Model:
        """Of a staging model: other values of a column that all models above it read."""
        return replace(self, query=self.query.replace(_FACTOR, f"qty * {2 + revision}"))

    def edited_aside(self, revision: int) -> Model:
        """Other values of a column that no model reads."""
        return replace(self, query=self.query.replace(_REVISION, f"{revision} as bench_rev"))

    def broken(self, expression: str) -> Model:
        """One column of the output is this expression, which is wrong."""
        return replace(self, query=self.query.replace(_REVISION, f"{expression} as bench_rev"))


@dataclass(frozen=True, slots=True)
class Project:
    """Models are in topological order. `files` gives the path of a source's Parquet files."""

    name: str
    sources: tuple[Source, ...]
    models: tuple[Model, ...]
    files: dict[str, str]

    @property
    def typical(self) -> Model:
        """The staging model that is edited: of those that any model reads, the middle one by the number of models
        above it."""
        below: dict[str, set[str]] = {}
        above = Counter[str]()
        for model in self.models:
            parents = [name for name in _MARK.findall(model.query) if not name.startswith("raw.")]
            below[model.name] = set(parents).union(*(below[name] for name in parents))
            above.update(below[model.name])
        staging = sorted((m for m in self.models if m.layer == "staging"), key=lambda m: above[m.name])
        read = [model for model in staging if above[model.name]] or staging
        return read[len(read) // 2]

    @property
    def layer_of(self) -> dict[str, str]:
        return {model.name: model.layer for model in self.models}


# ---------------------------------------------------------------- many models

_CORE = (
    "id", "parent_id", "created_at", "event_date", "updated_at", "amount", "quantity", "status", "category",
    "is_active", "region",
)  # fmt: skip
_LESS = ("id", "parent_id", "event_date", "amount", "quantity", "status", "is_active", "metric_a")
_SOURCE_COLUMNS = (
    ("id", "BIGINT"), ("parent_id", "BIGINT"), ("created", "VARCHAR"), ("updated_at", "TIMESTAMP"),
    ("amt", "VARCHAR"), ("qty", "INTEGER"), ("status_cd", "VARCHAR"), ("cat_cd", "INTEGER"),
    ("active_flg", "VARCHAR"), ("region", "VARCHAR"), ("notes", "VARCHAR"), ("_loaded_at", "TIMESTAMP"),
)  # fmt: skip


def layered(count: int, seed: int, rows: int) -> Project:
    """30 % staging on one source each, 40 % intermediate and 30 % marts in three levels each, two to four parents."""
    rnd = random.Random(seed * 1_000_003 + count)
    staging, intermediate = max(2, count * 30 // 100), count * 40 // 100
    names = [f"src_{k:05d}" for k in range(staging)]
    sources = tuple(Source(name, _SOURCE_COLUMNS, _source_rows(k, rows)) for k, name in enumerate(names))
    models = [Model(f"stg_{k:05d}", "staging", _staging(name), k) for k, name in enumerate(names)]
    levels = [[model.name for model in models]]
    shapes: tuple[tuple[str, int, Callable[[Sequence[str], random.Random], str], str], ...] = (
        ("intermediate", intermediate, _intermediate, "int"),
        ("marts", count - staging - intermediate, _mart, "mart"),
    )
    for layer, total, shape, prefix in shapes:
        made = 0
        for step in range(3):
            level = []
            for _ in range(total // 3 if step < 2 else total - 2 * (total // 3)):
                model = Model(f"{prefix}_{made:05d}", layer, shape(_parents(levels, rnd), rnd), len(models))
                made += 1
                models.append(model)
                level.append(model.name)
            levels.append(level)
    return Project(f"layered_{count}_{rows}_{seed}", sources, tuple(models), {})


def _parents(levels: Sequence[Sequence[str]], rnd: random.Random) -> list[str]:
    """Two to four earlier models, most of them of the level just below."""
    chosen: list[str] = []
    wanted = min(rnd.choice([2, 2, 3, 3, 4]), sum(map(len, levels)))
    while len(chosen) < wanted:
        level = levels[-1] if rnd.random() < 0.7 and levels[-1] else levels[rnd.randrange(len(levels))]
        name = rnd.choice(level) if level else levels[0][0]
        if name not in chosen:
            chosen.append(name)
    return chosen


def _source_rows(k: int, rows: int) -> str:
    return f"""select i::bigint as id, (hash(i, {k}) % {rows})::bigint as parent_id,
    strftime(timestamp '2024-01-01' + interval (hash(i, {k}, 1) % 8640000) second, '%Y-%m-%d %H:%M:%S') as created,
    timestamp '2024-05-01' + interval (hash(i, {k}, 2) % 86400) second as updated_at,
    ((hash(i, {k}, 3) % 100000) / 100)::decimal(18, 2)::varchar as amt, (hash(i, {k}, 4) % 50)::integer as qty,
    ' ' || (['NEW', 'OPEN', 'Closed', 'void'])[(hash(i, {k}, 5) % 4 + 1)::int] as status_cd,
    (hash(i, {k}, 6) % 4)::integer as cat_cd, if(hash(i, {k}, 7) % 3 = 0, 'N', 'Y') as active_flg,
    'r' || (hash(i, {k}, 8) % 8) as region, 'note ' || i as notes, timestamp '2024-05-02' as _loaded_at
from range({rows}) t(i)"""


def _staging(source: str) -> str:
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
    cast({_FACTOR} as integer) as metric_a,
    {_REVISION}
from <<raw.{source}>>
where id is not null"""


def _imports(parents: Sequence[str]) -> list[str]:
    """One CTE for each parent: the first gives the core columns, the others some."""
    found = []
    for j, parent in enumerate(parents):
        columns = (*_CORE, "metric_a") if j == 0 else _LESS
        body = ",\n".join("        " + ", ".join(columns[k : k + 4]) for k in range(0, len(columns), 4))
        found.append(f"{'with ' if j == 0 else ''}src_{j} as (\n    select\n{body}\n    from <<{parent}>>\n)")
    return found


def _intermediate(parents: Sequence[str], rnd: random.Random) -> str:
    others = range(1, len(parents))
    joins = "\n".join(
        f"    left join src_{j}\n        on src_{j}.id = deduped.{rnd.choice(['id', 'parent_id'])}" for j in others
    )
    extra = ",\n".join(
        f"        coalesce(src_{j}.amount, 0) as amount_{j},\n        src_{j}.status as status_{j},\n"
        f"        coalesce(src_{j}.metric_a, 0) as metric_{j}"
        for j in others
    )
    total = " + ".join(["amount", *(f"amount_{j}" for j in others)])
    metric = " + ".join(["metric_a", *(f"metric_{j}" for j in others)])
    core = ",\n".join(f"    {column}" for column in _CORE if column not in ("amount", "status"))
    ctes = [
        *_imports(parents),
        """deduped as (
    select *
    from (
        select
            src_0.*,
            row_number() over (partition by src_0.id order by src_0.updated_at desc) as rn
        from src_0
    ) as numbered
    where rn = 1
)""",
        f"joined as (\n    select\n        deduped.*,\n{extra}\n    from deduped\n{joins}\n)",
    ]
    return (
        ",\n\n".join(ctes)
        + f"""

select
{core},
    cast({total} as decimal(18, 2)) % 100000 as amount,
    case when is_active then status else coalesce(status_1, 'void') end as status,
    cast(({metric}) % 1000 as integer) as metric_a,
    {_REVISION}
from joined"""
    )


_MART_CTES = """per_id as (
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
),

monthly as (
    select
        date_trunc('month', event_date) as event_month,
        origin,
        sum(amount) as month_amount,
        count(distinct id) as month_ids
    from all_events
    where event_date is not null
    group by 1, 2
),

monthly_trend as (
    select
        event_month,
        origin,
        month_amount,
        month_ids,
        lag(month_amount) over (partition by origin order by event_month) as previous_amount,
        sum(month_amount) over (partition by origin order by event_month
            rows between unbounded preceding and current row) as running_amount
    from monthly
)"""


def _mart(parents: Sequence[str], rnd: random.Random) -> str:
    union = "\n    union all\n".join(
        f"    select id, event_date, amount, quantity, status, is_active, metric_a, '{parent}' as origin\n    from src_{j}"
        for j, parent in enumerate(parents)
    )
    keep = [column for column in _CORE if column != "amount"]
    base = ",\n".join("        " + ", ".join(f"base.{c}" for c in keep[k : k + 2]) for k in range(0, len(keep), 2))
    outer = ",\n".join("    " + ", ".join(keep[k : k + 5]) for k in range(0, len(keep), 5))
    ctes = [
        *_imports(parents),
        f"all_events as (\n{union}\n)",
        _MART_CTES,
        f"""trend_total as (
    select
        event_month,
        sum(running_amount) as running_amount,
        max(coalesce(month_amount - previous_amount, 0)) as best_growth
    from monthly_trend
    where month_ids > {rnd.randint(0, 3)}
    group by event_month
)""",
        f"""ranked as (
    select
{base},
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
)""",
    ]
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
    {_REVISION}
from ranked"""
    )


# ---------------------------------------------------------------- the next day

FIRST_DAY, NEW_DAY, DAYS, LATE_DAYS = "2024-01-01", "2024-04-10", 100, 7
_EVENT_COLUMNS = (
    ("id", "BIGINT"), ("event_ts", "TIMESTAMP"), ("updated_at", "TIMESTAMP"), ("user_id", "BIGINT"),
    ("kind", "VARCHAR"), ("amount", "DECIMAL(18,2)"), ("payload", "VARCHAR"),
)  # fmt: skip


def events(files: str) -> Project:
    """One model: the latest version of each event. How it is kept up to date is each tool's own, so is its query:
    it is given whole, without the restriction to new rows that some tools want to be written by hand."""
    query = "select id, event_ts, cast(event_ts as date) as event_date, updated_at, user_id, kind, amount, payload\n"
    model = Model("fct_events", "marts", query + "from <<raw.events>>")
    return Project("events", (Source("events", _EVENT_COLUMNS),), (model,), {"events": files})


LATEST = "qualify row_number() over (partition by id order by updated_at desc) = 1"


def event_rows(rows: int) -> tuple[str, str]:
    """Queries for the rows of the first 100 days, and for those that come then: a new day, and new versions of 1 % of
    all rows, spread over the last seven days."""
    per_day = rows // DAYS
    time = (
        f"timestamp '{FIRST_DAY}' + interval ((i // {per_day}) * 86400 + (i % {per_day}) * 86400 // {per_day}) second"
    )
    first = _event_rows(f"select i, {time} as ts from range({rows}) t(i)", "ts + interval 1 minute", 5)
    late = f"select i, {time} as ts from range({rows - LATE_DAYS * per_day}, {rows}, {LATE_DAYS}) t(i)"
    new = f"select i, {time} as ts from range({rows}, {rows + per_day}) t(i)"
    then = (
        _event_rows(late, f"timestamp '{NEW_DAY} 12:00:00'", 6)
        + "\nunion all\n"
        + _event_rows(new, f"timestamp '{NEW_DAY} 23:59:59'", 5)
    )
    return first, then


def _event_rows(query: str, updated: str, salt: int) -> str:
    return f"""select i::bigint as id, ts as event_ts, {updated} as updated_at, (hash(i, 2) % 100000)::bigint as user_id,
    (['view', 'click', 'cart', 'buy'])[(hash(i, 3) % 4 + 1)::int] as kind,
    ((hash(i, {salt}) % 100000) / 100)::decimal(18, 2) as amount, md5(i::varchar || '{salt}') as payload
from ({query})"""
