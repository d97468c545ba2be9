"""What an incremental model of dbt does in later runs, as directives of SQLFlow.

Both forms of the query are compared: the one of the first run, and the one of later runs. What the later ones have more is a
filter as a rule, and SQLFlow filters by itself. The query of the first run is the model.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import sqlglot
from msgspec import Struct, structs
from sqlglot import exp
from sqlglot.errors import SqlglotError

from sqlflow.migrate.configs import as_list
from sqlflow.migrate.dialects import sqlglot_name

_COLUMN = re.compile(r"[^\W\d]\w*")


class Filter(Struct, frozen=True):
    """A condition that later runs have more.

    `watermark`: the column of the table whose maximum it asks for. `lookback`: how far before it. `known`: the column of the
    table whose values are left out. `window`: how far before now.
    """

    sql: str
    watermark: str = ""
    lookback: str = ""
    known: str = ""
    window: str = ""
    strict: bool = False


class Later(Struct, frozen=True):
    """What later runs do differently. `other`: they differ in more than filters, or could not be compared."""

    filters: tuple[Filter, ...] = ()
    other: str = ""


class Kept(Struct, frozen=True):
    """The directives that say how a table is kept, and what its reader should know. `by_hand`: why nobody but its author can say."""

    directives: Mapping[str, Any]
    notes: tuple[str, ...] = ()
    by_hand: str = ""
    hint: str = ""


def compare(first: str, later: str, this: str, dialect: str) -> Later:
    """What the query of later runs has more than the one of the first."""
    if " ".join(first.split()) == " ".join(later.split()):
        return Later()
    try:
        one = sqlglot.parse_one(first, read=sqlglot_name(dialect))
        two = sqlglot.parse_one(later, read=sqlglot_name(dialect))
    except (SqlglotError, RecursionError, ValueError):
        return Later((), "one of the two could not be read as SQL")
    found: list[exp.Expr] = []
    other = _walk(one, two, found)
    if other:
        return Later((), other)
    name = this.replace('"', "").replace("`", "").lower()
    return Later(tuple(_filter(condition, name, dialect) for condition in found))


def _walk(one: object, two: object, found: list[exp.Expr]) -> str:
    """Collect the conditions that `two` has more; why it differs in something else, if it does."""
    if isinstance(one, list) and isinstance(two, list):
        if len(one) != len(two):
            return "later runs have other columns, tables or parts"
        for a, b in zip(one, two, strict=True):
            if wrong := _walk(a, b, found):
                return wrong
        return ""
    if not isinstance(one, exp.Expr) or not isinstance(two, exp.Expr):
        return "" if one == two or (not one and not two) else "later runs differ in more than a filter"
    if one == two:
        return ""
    if type(one) is not type(two):
        return "later runs read something else"
    for key in {*one.args, *two.args}:
        a, b = one.args.get(key), two.args.get(key)
        compared = _conditions if key in ("where", "qualify", "having") else _walk
        wrong = compared(a, b, found)
        if wrong:
            return wrong
    return ""


def _conditions(one: object, two: object, found: list[exp.Expr]) -> str:
    first = _conjuncts(one)
    later = _conjuncts(two)
    missing = [condition for condition in first if condition not in later]
    more = [condition for condition in later if condition not in first]
    if len(missing) == len(more) == 1:
        return _walk(missing[0], more[0], found)
    if missing:
        return "the first run has a filter that later runs do not have"
    found += [condition for condition in more if not _always(condition)]
    return ""


def _always(condition: exp.Expr) -> bool:
    return condition.sql() in ("TRUE", "1 = 1")


def _conjuncts(where: object) -> list[exp.Expr]:
    if not isinstance(where, exp.Expr):
        return []
    condition = where.this if isinstance(where, exp.Where | exp.Having | exp.Qualify) else where
    condition = condition.unnest() if isinstance(condition, exp.Paren) else condition
    if isinstance(condition, exp.And):
        return [part for side in (condition.left, condition.right) for part in _conjuncts(side)]
    return [] if _always(condition) else [condition]


def _filter(condition: exp.Expr, this: str, dialect: str) -> Filter:
    sql = condition.sql(dialect=sqlglot_name(dialect))
    bare = condition.unnest() if isinstance(condition, exp.Paren) else condition
    if isinstance(bare, exp.Or) and (inner := [side for side in (bare.left, bare.right) if _reads(side, this)]):
        bare = inner[0].unnest()
    if isinstance(bare, exp.LT | exp.LTE):
        flipped = exp.GT if isinstance(bare, exp.LT) else exp.GTE
        bare = flipped(this=bare.expression.copy(), expression=bare.this.copy())
    if isinstance(bare, exp.GT | exp.GTE):
        strict = isinstance(bare, exp.GT)
        if _reads(bare.expression, this):
            greatest = next(iter(bare.expression.find_all(exp.Max)), None)
            column = greatest.this if greatest is not None else None
            while isinstance(
                column,
                exp.Cast | exp.Date | exp.Paren | exp.TsOrDsToDate | exp.Coalesce | exp.TimestampTrunc | exp.DateTrunc,
            ):
                column = column.this
            if isinstance(column, exp.Column):
                return Filter(sql, column.name, _distance([bare.expression, bare.this]), "", "", strict)
        elif _is_now(bare.expression):
            return Filter(sql, "", "", "", _distance([bare.expression]) or "1 day", strict)
    if isinstance(bare, exp.Not):
        inside = bare.this.unnest() if isinstance(bare.this, exp.Paren) else bare.this
        query = (
            inside.args.get("query")
            if isinstance(inside, exp.In)
            else inside.this
            if isinstance(inside, exp.Exists)
            else None
        )
        if isinstance(inside, exp.In) and isinstance(query, exp.Expr) and _reads(query, this):
            chosen = next((one for one in query.find_all(exp.Select)), None)
            column = chosen.expressions[0] if chosen is not None and len(chosen.expressions) == 1 else None
            return Filter(sql, "", "", column.alias_or_name if column is not None else "")
        if isinstance(inside, exp.Exists) and isinstance(query, exp.Expr) and _reads(query, this):
            for equal in query.find_all(exp.EQ):
                if isinstance(equal.left, exp.Column) and isinstance(equal.right, exp.Column):
                    return Filter(sql, "", "", equal.left.name if equal.left.name == equal.right.name else "")
    return Filter(sql)


def _reads(tree: exp.Expr, this: str) -> bool:
    for table in tree.find_all(exp.Table):
        name = ".".join(part for part in (table.db, table.name) if part).lower()
        if name == this:
            return True
    return False


_NOW = (exp.CurrentDate, exp.CurrentTimestamp, exp.CurrentDatetime, exp.CurrentTime)


def _is_now(tree: exp.Expr) -> bool:
    if any(isinstance(node, _NOW) for node in tree.walk()):
        return not any(isinstance(node, exp.Select) for node in tree.walk())
    return any(
        isinstance(node, exp.Anonymous) and str(node.this).lower() in ("now", "getdate", "sysdate")
        for node in tree.walk()
    )


def _distance(trees: Sequence[exp.Expr]) -> str:
    """How far a computed time lies before another: `3 days`."""
    for tree in trees:
        for node in tree.walk():
            unit = node.args.get("unit")
            amount: object = None
            if isinstance(node, exp.Interval):
                amount = node.this
            elif isinstance(
                node,
                exp.DateAdd
                | exp.DateSub
                | exp.TimestampAdd
                | exp.TimestampSub
                | exp.DatetimeAdd
                | exp.DatetimeSub
                | exp.TsOrDsAdd,
            ):
                amount = node.expression
                if isinstance(amount, exp.Interval):
                    continue
            elif (
                isinstance(node, exp.Sub) and isinstance(node.expression, exp.Literal) and not node.expression.is_string
            ):
                amount, unit = node.expression, exp.Var(this="day")
            if isinstance(amount, exp.Expr):
                text = amount.sql().replace("'", "").replace("(", "").replace(")", "").lstrip("- ").strip()
                words = text.split()
                if len(words) == 2 and words[0].isdigit():
                    return _length(words[0], words[1])
                if text.isdigit() and isinstance(unit, exp.Expr):
                    return _length(text, unit.name or unit.sql())
    return ""


def _length(count: str, unit: str) -> str:
    word = unit.strip("'\" ").lower().rstrip("s")
    return f"{count} {word}s" if word in ("second", "minute", "hour", "day", "week", "month", "year") else ""


# ---------------------------------------------------------------- from configs to directives


_MERGES_BY_DEFAULT = ("snowflake", "bigquery", "databricks", "spark", "trino", "athena", "clickhouse")
_GRAINS = ("hour", "day", "month", "year")


def kept(
    config: Mapping[str, Any],
    later: Later,
    columns: Sequence[str] | None,
    adapter: str,
    unique: Sequence[tuple[str, ...]],
) -> Kept:
    """How SQLFlow keeps a table that dbt keeps so. `columns`: of the result, None when nobody knows. `unique`: what tests hold to be unique."""
    key, told, wrong = key_of(config.get("unique_key"), adapter)
    if wrong:
        return Kept(
            {}, (), wrong, "give the expression a name in the SELECT, and write `-- @mode: merge` and `-- @key: NAME`"
        )
    found = _kept(config, later, columns, adapter, unique, key)
    return structs.replace(found, notes=(*told, *found.notes))


def _kept(
    config: Mapping[str, Any],
    later: Later,
    columns: Sequence[str] | None,
    adapter: str,
    unique: Sequence[tuple[str, ...]],
    key: Sequence[str],
) -> Kept:
    strategy = str(config.get("incremental_strategy") or ("" if key else "append")).lower() or (
        "merge" if adapter in _MERGES_BY_DEFAULT else "delete+insert"
    )
    if strategy == "microbatch":
        return _microbatch(config)
    if config.get("merge_update_columns") or config.get("merge_exclude_columns"):
        named = "merge_update_columns" if config.get("merge_update_columns") else "merge_exclude_columns"
        told = "`merge` of SQLFlow updates all columns of a known key"
        return Kept(
            _merge(key, later, columns),
            (),
            f"`{named}` has no counterpart: {told}",
            "decide which value the other columns shall have, and say it in the query",
        )
    if later.other:
        reason = f"later runs of dbt run another query: {later.other}"
        if key:
            return Kept(
                {"mode": "merge", "key": one_or_list(key)},
                (),
                reason,
                "the query of the first run stands here; say in it what later runs shall give",
            )
        return Kept({}, (), reason, "the query of the first run stands here, and the table equals it")
    partition = _partition(config)
    if strategy in ("insert_overwrite", "replace_where") or (strategy == "delete+insert" and _is_time(key, later)):
        column = (
            partition[0]
            if partition
            else key[0]
            if key
            else next((f.watermark for f in later.filters if f.watermark), "")
        )
        if column and _COLUMN.fullmatch(column) and (partition or _looks_like_time(column)):
            directives = {
                "mode": "incremental",
                "time": column,
                **({"grain": partition[1]} if partition and partition[1] != "day" else {}),
            }
            return Kept(directives, (_replaces(strategy),))
        return Kept(
            {},
            (),
            f"`{strategy}` replaces partitions by something that is no column of time",
            "the table equals the query now; write `-- @mode: incremental` and `-- @time: COLUMN` when it has one",
        )
    if key:
        notes = [*_filter_notes(later)]
        if strategy == "delete+insert" and key and not _is_unique(key, unique):
            named = ", ".join(key)
            notes.append(
                f"dbt deletes and inserts by `{named}`, and keeps all new rows of a key; `merge` keeps one row per key. No test says that `{named}` is unique"
            )
        return Kept(_merge(key, later, columns), tuple(notes))
    known = next((one.known for one in later.filters if one.known), "")
    if known:
        return Kept(
            {"mode": "merge", "key": known, "conflict": "target_wins"},
            (
                f"dbt adds rows whose `{known}` the table does not have; `merge` with `target_wins` does the same, once per `{known}`",
            ),
        )
    cursor = _cursor(later, columns)
    if cursor:
        lookback = next((one.lookback for one in later.filters if one.watermark), "")
        notes = [*_filter_notes(later)]
        if lookback:
            notes.append(f"dbt appends the rows of the last {lookback} again in each run; SQLFlow adds each row once")
        return Kept({"mode": "append", "cursor": cursor, **({"lookback": lookback} if lookback else {})}, tuple(notes))
    if later.filters:
        shown = "; ".join(one.sql for one in later.filters)
        return Kept(
            {},
            (),
            f"later runs add rows by a filter that is no watermark: `{shown}`",
            "the table equals the query now; write `-- @mode: append` and `-- @cursor: COLUMN` to keep rows that the source loses",
        )
    return Kept(
        {},
        (),
        "dbt appends all rows of the query in each run",
        "the table equals the query now; say `-- @mode: append` and `-- @cursor: COLUMN` if it shall gather rows",
    )


def _merge(key: Sequence[str], later: Later, columns: Sequence[str] | None) -> dict[str, Any]:
    cursor = _cursor(later, columns)
    known = any(one.known and [one.known.lower()] == [k.lower() for k in key] for one in later.filters)
    lookback = next((one.lookback for one in later.filters if one.watermark), "")
    return {
        "mode": "merge",
        "key": one_or_list(key),
        **({"cursor": cursor} if cursor else {}),
        **({"lookback": lookback} if cursor and lookback else {}),
        **({"conflict": "target_wins"} if known and not cursor else {}),
    }


def _filter_notes(later: Later) -> Iterator[str]:
    for one in later.filters:
        if one.watermark:
            yield f"the filter of later runs is left out, since SQLFlow filters by itself and also finds late and tied rows: `{one.sql}`"
        elif one.window:
            yield f"later runs of dbt read the last {one.window} alone; SQLFlow reads what changed, however old it is: `{one.sql}`"
        elif one.known:
            yield f"later runs of dbt add only rows whose `{one.known}` is not there yet: `{one.sql}`"
        else:
            yield f"the filter of later runs is left out: all rows are read and merged: `{one.sql}`"


def _cursor(later: Later, columns: Sequence[str] | None) -> str:
    for one in later.filters:
        if one.watermark and (columns is None or one.watermark.lower() in [name.lower() for name in columns]):
            return one.watermark
    return ""


def key_of(value: object, adapter: str) -> tuple[Sequence[str], Sequence[str], str]:
    """The columns of a `unique_key`, what its reader should know, and why it is no key."""
    names: list[str] = []
    notes: list[str] = []
    for one in as_list(value):
        text = str(one).strip()
        parts = text.split(",") if _COLUMN.fullmatch(text.replace(",", "").replace(" ", "")) else [text]
        found: Sequence[str] = [part.strip().strip('"`') for part in parts]
        if not all(_COLUMN.fullmatch(name) for name in found):
            found = _put_together(text, adapter)
            if not found:
                return [], [], f"`unique_key` is no column but `{one}`"
            listed = ", ".join(f"`{name}`" for name in found)
            notes.append(f"dbt's key is a text made of {listed}: `{text}`; here the columns themselves are the key")
        names += [name for name in found if name.lower() not in [known.lower() for known in names]]
    return names, notes, ""


_TOGETHER = (
    exp.DPipe, exp.Concat, exp.ConcatWs, exp.Column, exp.Identifier, exp.Literal, exp.Cast, exp.DataType, exp.Paren,
    exp.Coalesce, exp.MD5, exp.DataTypeParam,
)  # fmt: skip


def _put_together(text: str, adapter: str) -> Sequence[str]:
    """The columns of a text that is put together of columns and constants; none when it is something else."""
    try:
        tree = sqlglot.parse_one(text, read=sqlglot_name(adapter))
    except (SqlglotError, RecursionError, ValueError):
        return []
    if not all(isinstance(node, _TOGETHER) for node in tree.walk()):
        return []
    return list(dict.fromkeys(column.name for column in tree.find_all(exp.Column, bfs=False)))


def one_or_list(key: Sequence[str]) -> object:
    return key[0] if len(key) == 1 else list(key)


def _is_unique(key: Sequence[str], unique: Sequence[tuple[str, ...]]) -> bool:
    wanted = {name.lower() for name in key}
    return any({name.lower() for name in one} <= wanted for one in unique)


def _looks_like_time(column: str) -> bool:
    return bool(re.search(r"(^|_)(date|day|dt|ds|at|time|timestamp|ts|month|week|hour|on)($|_)", column.lower()))


def _is_time(key: Sequence[str], later: Later) -> bool:
    return len(key) == 1 and _looks_like_time(key[0])


def _partition(config: Mapping[str, Any]) -> tuple[str, str] | None:
    said = config.get("partition_by")
    if isinstance(said, dict):
        grain = str(said.get("granularity") or "day").lower()
        kind = str(said.get("data_type") or "date").lower()
        return (
            (str(said.get("field") or ""), grain if grain in _GRAINS else "day")
            if kind in ("date", "timestamp", "datetime")
            else None
        )
    one = as_list(said)
    if len(one) == 1 and isinstance(one[0], str) and _COLUMN.fullmatch(one[0]) and _looks_like_time(one[0]):
        return one[0], "day"
    return None


def _replaces(strategy: str) -> str:
    return (
        f"`{strategy}` replaces whole partitions; `incremental` replaces those whose inputs changed, late rows as well"
    )


def _microbatch(config: Mapping[str, Any]) -> Kept:
    column = config.get("event_time")
    if not column:
        return Kept(
            {},
            (),
            "a microbatch model needs `event_time`; dbt refuses it, too",
            "write `-- @mode: incremental` and `-- @time: COLUMN`",
        )
    grain = str(config.get("batch_size") or "day").lower()
    begin = config.get("begin")
    directives: dict[str, Any] = {"mode": "incremental", "time": str(column)}
    if grain != "day":
        directives["grain"] = grain
    if begin is not None:
        directives["start"] = str(begin).replace("T", " ")
    note = "dbt runs the batches of the last days by the clock; SQLFlow writes the intervals whose inputs changed, so no batch is skipped or lost"
    return Kept(directives, (note,))
