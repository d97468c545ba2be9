"""What stands for the macros of dbt_date."""

from __future__ import annotations

from collections.abc import Mapping

from sqlflow.migrate import dbt_macros
from sqlflow.migrate.dbt_macros import Macro
from sqlflow.migrate.jinja import NotRendered, Renderer


def _zone(renderer: Renderer, tz: object) -> str:
    known, zone = renderer.variable("dbt_date:time_zone")
    return str(tz or (zone if known else "UTC"))


def convert_timezone(renderer: Renderer, column: object, target_tz: object = None, source_tz: object = None) -> str:
    target = _zone(renderer, target_tz)
    if renderer.adapter_type == "snowflake":
        return f"convert_timezone('{source_tz or 'UTC'}', '{target}', cast({column} as timestamp_ntz))"
    if renderer.adapter_type == "bigquery":
        return f"timestamp(datetime({column}, '{target}'))"
    return f"cast(cast({column} as timestamp) at time zone '{source_tz or 'UTC'}' at time zone '{target}' as timestamp)"


def now(renderer: Renderer, tz: object = None) -> str:
    if renderer.adapter_type in ("duckdb", "motherduck", "postgres"):
        return f"cast(now() at time zone '{_zone(renderer, tz)}' as timestamp)"
    return convert_timezone(renderer, dbt_macros.current_timestamp(renderer), tz)


def today(renderer: Renderer, tz: object = None) -> str:
    return f"cast({now(renderer, tz)} as date)"


def n_days_ago(renderer: Renderer, n: int, date: object = None, tz: object = None) -> str:
    day = f"cast({date} as date)" if date else today(renderer, tz)
    return f"cast({dbt_macros.dateadd(renderer, 'day', -1 * int(n), day)} as date)"


def n_days_away(renderer: Renderer, n: int, date: object = None, tz: object = None) -> str:
    return n_days_ago(renderer, -1 * int(n), date, tz)


def date_part(renderer: Renderer, datepart: str, date: object) -> str:
    return (
        f"extract({datepart} from {date})"
        if renderer.adapter_type == "bigquery"
        else f"date_part('{datepart}', {date})"
    )


def day_of_week(renderer: Renderer, date: object, isoweek: bool = True) -> str:
    if renderer.adapter_type in ("duckdb", "motherduck", "postgres"):
        return f"cast(date_part('{'isodow' if isoweek else 'dow'}', {date}) as int){'' if isoweek else ' + 1'}"
    if renderer.adapter_type == "snowflake":
        return date_part(renderer, "dayofweekiso", date) if isoweek else f"(dayofweek({date}) + 1)"
    raise NotRendered("`dbt_date.day_of_week` is not known for this adapter", "run `dbt deps`, and migrate again")


def day_name(renderer: Renderer, date: object, short: bool = True, *_: object) -> str:
    if renderer.adapter_type in ("duckdb", "motherduck"):
        return f"strftime({date}, '{'%a' if short else '%A'}')"
    return f"to_char({date}, '{'Dy' if short else 'FMDay'}')"


def month_name(renderer: Renderer, date: object, short: bool = True, *_: object) -> str:
    if renderer.adapter_type in ("duckdb", "motherduck"):
        return f"strftime({date}, '{'%b' if short else '%B'}')"
    return f"to_char({date}, '{'Mon' if short else 'FMMonth'}')"


def get_base_dates(
    renderer: Renderer,
    start_date: object = None,
    end_date: object = None,
    n_dateparts: object = None,
    datepart: str = "day",
) -> str:
    if start_date and end_date:
        kind = "timestamp"
        begin, end = f"cast('{start_date}' as {kind})", f"cast('{end_date}' as {kind})"
    elif n_dateparts:
        begin = dbt_macros.dateadd(
            renderer, datepart, f"-{n_dateparts}", dbt_macros.date_trunc(renderer, datepart, today(renderer))
        )
        end = dbt_macros.dateadd(renderer, datepart, 1, dbt_macros.date_trunc(renderer, datepart, today(renderer)))
    else:
        raise NotRendered("`dbt_date.get_base_dates` needs days or a number")
    spine = dbt_macros.date_spine(renderer, datepart, begin, end)
    kind = "date" if datepart in ("day", "week", "month", "quarter", "year") else "timestamp"
    return f"select cast(d.date_{datepart} as {'timestamp' if kind == 'timestamp' else 'date'}) as date_{datepart}\nfrom (\n{spine}\n) as d"


DBT_DATE: Mapping[str, Macro] = {
    "convert_timezone": convert_timezone, "now": now, "today": today, "n_days_ago": n_days_ago, "n_days_away": n_days_away,
    "yesterday": lambda renderer, date=None, tz=None: n_days_ago(renderer, 1, date, tz),
    "tomorrow": lambda renderer, date=None, tz=None: n_days_away(renderer, 1, date, tz),
    "date_part": date_part, "day_of_week": day_of_week, "day_name": day_name, "month_name": month_name, "get_base_dates": get_base_dates,
}  # fmt: skip
