"""Writes the references that are made from the code: `python docs/generate.py` (or `make docs`).

tests/test_docs.py holds the files against what this makes.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer
import yaml

from sqlflow.cli.app import app
from sqlflow.core.modes import Mode
from sqlflow.engines import duckdb_facts, postgres_facts
from sqlflow.project.directives import DIRECTIVES, Directive
from sqlflow.quality.dbt_tests import RULES, Equivalent, equivalent
from sqlflow.quality.forms import Argument, Category, Check, Query, Total
from sqlflow.quality.kinds import CHECKS, NOT_YET

HERE = Path(__file__).parent
MADE = "<!-- Made by docs/generate.py; do not edit. -->"


def pages() -> dict[str, str]:
    """File name in docs/reference/ -> its text."""
    return {
        "header.md": header(),
        "checks.md": checks(),
        "dbt-tests.md": dbt_tests(),
        "commands.md": commands(),
        "facts.md": facts(),
    }


# ---------------------------------------------------------------- facts


def facts() -> str:
    parts = [MADE, FACTS]
    for engine, known in (("DuckDB", duckdb_facts.FACTS), ("PostgreSQL", postgres_facts.FACTS)):
        rows = [
            f"| `{fact.name}` | {_cell(fact.says)} | {_cell(fact.rests)} | {_cell(fact.otherwise) or '**nothing is built**'} |"
            for fact in known
        ]
        table = "| fact | what the engine does | what rests on it | where it does not |\n|---|---|---|---|\n"
        parts += [f"## {engine}", table + "\n".join(rows)]
    return "\n\n".join(parts) + "\n"


FACTS = """# Facts about engines

What promises rest on. Each is tried when a version is met for the first time; see [engine releases](../engine-releases.md)."""


# ---------------------------------------------------------------- header


def header() -> str:
    rows = [
        f"| [`{name}`](#{name}) | {_cell(directive.value) or '-'} | {_modes(directive)} | {_cell(directive.doc)} |"
        for name, directive in sorted(DIRECTIVES.items())
        if not _later(directive)
    ]
    later = ", ".join(f"`{name}`" for name, directive in sorted(DIRECTIVES.items()) if _later(directive))
    sections = [_section(name, DIRECTIVES[name]) for name in sorted(DETAILS)]
    table = "| directive | value | modes | meaning |\n|---|---|---|---|\n" + "\n".join(rows)
    return "\n\n".join([MADE, HEADER, table, f"Not available yet: {later}. Using one is an error.", *sections]) + "\n"


def _section(name: str, directive: Directive) -> str:
    return f"## {name}\n\n{DETAILS[name].strip()}"


def _later(directive: Directive) -> bool:
    return directive.doc == "not available yet"


def _modes(directive: Directive) -> str:
    if directive.modes == {Mode.TEST}:
        return "queries in `tests/`"
    if directive.modes is None:
        return "all, and queries in `tests/`"
    missing = [f"`{mode}`" for mode in Mode if mode not in directive.modes and mode is not Mode.TEST]
    if len(directive.modes) > 3:
        return "all but " + ", ".join(missing) if missing else "all"
    return ", ".join(f"`{mode}`" for mode in Mode if mode in directive.modes)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


HEADER = """\
# Header directives

The comment lines at the top of a model are its header. A line `-- @name: value` is a directive; the value is YAML.
Lines after it whose text is indented by two spaces or more continue the value. All other comments are free text, and
the first paragraph of it is the model's description. A file without directives is a model too. What looks like a directive
and is none is an error ([`malformed-directive`](../hints/malformed-directive.md)).

```sql
-- Delays per carrier and day.
-- @mode: incremental
-- @time: flight_date
-- @key: [flight_date, carrier]
-- @checks:
--   - expression: "avg_delay < 500"
SELECT
    flight_date,             -- @not_null  Day of the scheduled departure
    carrier,                 -- @not_null @references(seeds.airlines.carrier)  IATA code
    avg(dep_delay) AS avg_delay
FROM staging.flights
GROUP BY ALL
```

A comment behind a column of the outermost `SELECT` list is that column's documentation. In it, `@check` or
`@check(arguments)` is a [check](checks.md), and any other `@word` is a tag of the column. See
[comments on columns](#comments-on-columns).

Directives can be given for a folder under [`defaults`](project-file.md#defaults) in `sqlflow.yml`. The nearest folder
wins, and the file wins over its folders. A default that the model's mode cannot use is passed over; in the file itself it
is an error ([`invalid-for-mode`](../hints/invalid-for-mode.md)).

## Comments on columns

A comment belongs to a column when it stands

- behind the column, before or after its comma,
- on a line of its own directly above the column, or above the last line of its expression,
- on a line of its expression. Free text there counts only on lines of its own, outside of brackets and `CASE`, when there is no other.

```sql
SELECT
    -- @not_null  Day of the scheduled departure
    flight_date,
    carrier,  -- @not_null  IATA code
    avg(      -- @not_null
        dep_delay
    ) AS avg_delay  -- Minutes
```

Free text above a column is its documentation only when none stands behind it. A heading that an empty line sets off is no
documentation, nor is a line of dashes with what stands above it. A comment in a comment is switched off: `-- , seats  -- @not_null`.

The columns are those of the result. Behind `SELECT * FROM final` or `FROM final` they are the columns of the CTE or subquery
`final`. In a `UNION` each branch may carry comments: a column of the second branch is the one in the same place of the first.

An `@check` that belongs to no column is an error ([`misplaced-check`](../hints/misplaced-check.md)); a tag that belongs to none is
a warning, and so is any `@word` in `macros/`. A tag cannot be called like a directive: `-- @key` behind a column is an error
([`misplaced-directive`](../hints/misplaced-directive.md)). An `@` in an address or in quotes is text, and so are `@todo`, `@param` and a
variable such as `day >= @first_day`.

## Formatters

`sqlfluff` and `sqlfmt` move comments and wrap them; checks, documentation and directives stay what they are. For that, a
comment line without indentation goes on with a directive when its value cannot be complete: when nothing stands behind the
colon, a bracket or a string is open, a list goes on with `-- - item`, or the line above is so long that it was wrapped. Leave
sqlfluff's `trailing_comments` at `before`; with `after` it moves a comment to the next column."""

DETAILS = {
    "after": """
One statement, or a list. They run in the transaction of the table, behind the writing and before the checks. When one
fails, the table stays as it was. Variables and macros may be used. When the statements change, the table is rebuilt.
They do not run when the model is up to date, nor when only its checks are run. What would end the transaction or reach
beyond the database is refused: `BEGIN`, `COMMIT`, `ROLLBACK`, `ATTACH`, `USE`, `SET` and the like. In a
[sandbox](../hints/sandbox.md) there are no hooks.
""",
    "batch": """
The longest interval that one statement handles. Each batch is a transaction of its own, oldest first. A first build in
batches fills a table beside the old one (`NAME__building`) and swaps it in when it is complete; a build that was killed
goes on where it was. Without it, a model that would read more than the memory that may be used is cut into batches by
itself ([rows and memory](../performance.md#rows-and-memory)). `none` forbids that, and takes a folder's default back.
""",
    "before": "As [`after`](#after), ahead of the writing.",
    "checks": "What must hold for the rows; see the [guide](../checks.md) and the [reference](checks.md).",
    "clock": """
When the time of the build makes the table stale. `auto`: when its rows depend on it. `always`: in every build. `written`: never.
`hour`, `day`, `week`, `month`, `quarter`, `year`: when that unit changes in the project's time zone. See
[the clock](../modes.md#the-clock).
""",
    "columns": """
```sql
-- @columns:
--   carrier: IATA code of the airline
--   tail_number: {description: Registration, tags: [aircraft]}
```

The same can be said in a comment behind the column.
""",
    "conflict": "See [modes](../modes.md#conflict).",
    "cursor": """
`append` and `merge` read rows with a cursor at or beyond the greatest one that they have read. It may be a date, a
timestamp or a number. `append` needs one. `snapshot` takes it for the time when a row became what it is, so there it is a date
or a timestamp. Other modes refuse it. See [modes](../modes.md#append).
""",
    "deleted": """
Rows that mean "remove this key": a condition over the columns of the result, or a column with the values that say so.

```sql
-- @deleted: {column: op, values: [D]}
-- @deleted: "removed_at IS NOT NULL"
```
""",
    "partition_by": """
```sql
-- @partition_by: {column: day, by: month}
```

A partitioned table, on engines that have such (PostgreSQL: declarative partitioning by range): one partition for each hour,
day, week, month, quarter or year of the column, and one for rows without a time. Partitions are made when rows come. With
mode `incremental` and the column of `time`, a partition of which all rows are replaced is detached and dropped, and the new one
is filled and attached. Adding, changing or removing the directive rebuilds the table.
""",
    "index": """
```sql
-- @index: [customer, [day, customer], {columns: id, unique: true}, {columns: day, using: brin, where: amount > 0}]
```

Indexes on the table, of one column or of several. On PostgreSQL an index may also be unique, be of another kind than a B-tree, or hold
some rows only. SQLFlow makes the indexes when the table is full. It drops them before it writes the whole table, makes them again
after that, and leaves them while only some rows change. Another directive drops and makes only what differs. Indexes that somebody else made on
the table are left alone.
""",
    "depends_on": """
Tables that must be built first though the query does not name them, for example because a hook reads them. It orders;
a change of theirs does not rebuild this model.
""",
    "description": "Text in one line, or in several that are indented. It wins over the first free comment.",
    "enabled": """
`false` leaves the model out of the project. Its table stays; it counts as one that [nobody owns](../state.md#tables-that-nobody-owns).
""",
    "full_refresh": """
`never` refuses each build that would make the whole table anew, with [`refused-rebuild`](../hints/refused-rebuild.md).
The first build, and a build whose table is missing, are allowed.
""",
    "compare": """
`snapshot` without `cursor`: a row is a new version when one of these columns has another value. The other columns are
written with each version, and a change in them alone is left out. Without `compare` all columns count, but for those that
only say [when a row was written](../modes.md#the-clock). With a `cursor` it is refused.
""",
    "deleted_rows": """
`snapshot`: what happens when the query does not give a key any more. `close`: its version ends. `ignore`: it stays current.
`tombstone`: its version ends, and a row with `is_deleted` follows it. The default is `close`; with
[`deleted`](#deleted) it is `ignore`, because rows say themselves what was deleted. See [histories](../guides/history.md).
""",
    "validity": """
`snapshot`: the columns that the table has beside those of the query. `{from: valid_from, to: valid_to, current: is_current,
deleted: is_deleted, open: null}` is what you get without it; name only what you want otherwise. `open: 9999-12-31` writes
this day as the end of a version that has none. `deleted` is there with `deleted_rows: tombstone` alone. Another name, or
another `open`, is another history: a table that stands is not changed for it
([`history-lost`](../hints/history-lost.md)).
""",
    "grain": "Partitions of the time column; weeks begin on Monday. `hour` needs a timestamp.",
    "incremental": """
`off`: all is read and written anew at each change. `required`: a query without a proven incremental way is refused
([`not-incremental`](../hints/not-incremental.md)). What that means for each mode is told in
[strategies](../strategies.md#incremental-off-and-required).
""",
    "key": """
The identity of a row. `merge` and `snapshot` need it: one keeps one row per key, the other its versions; NULL is a value like any other. In the other modes it is
a `unique` check on these columns that stops the build. To be warned only, leave `key` out and write the check.
""",
    "lookback": """
`append`, `merge` and `snapshot`: read so much before the watermark again; the cursor must be a date or a timestamp. `incremental`:
whenever an input has changed, the intervals from the watermark less this are rewritten too. SQLFlow finds late rows
without it, so it is needed seldom; see [incremental models](../guides/incremental.md#lookback).
""",
    "name": "Replaces the file's name. It may not end in `__building`.",
    "mode": "See [modes](../modes.md).",
    "on_schema_change": """
`rebuild`: when the columns of the result change, the table is built anew. `fail`: it is an error
([`schema-changed`](../hints/schema-changed.md)). It does not matter who changed them: an edit of the model's own query
counts, and so does one of what it reads, or of the table by hand. An edit that keeps names, types and order of the columns is built.
A `snapshot` is never built anew: without `fail` its table [gets new columns and wider types](../guides/history.md#columns-that-change). `evolve`, `sync` and `ignore` are not available yet.
""",
    "owner": "Select by it with `owner:NAME`.",
    "schema": "Replaces the first folder under `models/`. `_sqlflow`, the database's own schemas, and one that is called like the database file are refused.",
    "severity": """
Of a [query in `tests/`](../checks.md#queries-in-tests) that returns rows: `error` (the default) fails the build, `warn` is
only told. Checks of models have a `severity` of their own.
""",
    "start": """
Rows of earlier times are not in the table. For a TIMESTAMPTZ column it is a wall clock in the project's time zone.
""",
    "strategy": """
`auto` takes the cheapest way by what it counts. `delta` applies the rows that changed, `partition` writes the intervals that changed,
and `full` rebuilds the table at each change. `merge`, `cdc` and `swap` are ways of a `merge`, and `append` is the way of an `append`.
All ways of a mode give the same table; [strategies](../strategies.md) lists those of each mode.
""",
    "tags": "Words without spaces. Select by them with `tag:NAME`. A file's tags replace those of its folder.",
    "time": """
The column of the result that says when a row belongs: DATE, TIMESTAMP or TIMESTAMPTZ. `incremental` needs it, and
other modes refuse it. See [incremental models](../guides/incremental.md).
""",
}


# ---------------------------------------------------------------- checks


def checks() -> str:
    parts = [MADE, CHECKS_HEAD]
    for category in Category:
        found = [check for check in CHECKS.values() if check.category is category]
        if not found:
            continue
        parts += [f"## {str(category).capitalize()}", *(_check_text(check) for check in found)]
    tail = CHECKS_TAIL.format(
        whole=_listed(
            [
                k
                for k, c in CHECKS.items()
                if isinstance(c.judge, Total) or (isinstance(c.judge, Query) and c.judge.whole)
            ]
        ),
        later=_listed(sorted(NOT_YET), ", "),
    )
    return "\n\n".join([*parts, CHECKS_MORE, tail]) + "\n"


def _check_text(check: Check) -> str:
    lines = [f"### `{check.kind}`", f"{check.doc[0].upper()}{check.doc[1:]}."]
    if check.null:
        lines[-1] += f" NULL {check.null}."
    behind = f"SELECT\n    a, -- {check.behind}" if check.behind else ""
    lines.append("\n".join(["```sql", "-- @checks:", f"--   - {check.example}", *([behind] if behind else []), "```"]))
    rows = [f"| {_listed(list(a.names), ', ')} | {_argument_form(a)} | {_argument_text(a)} |" for a in check.arguments]
    lines.append("| argument | written as | |\n|---|---|---|\n" + "\n".join(rows))
    if check.short:
        lines.append(f"The short form is the value of `{check.short}` alone.")
    return "\n\n".join(lines)


def _argument_form(argument: Argument) -> str:
    return _listed(list(argument.choices), ", ") if argument.choices else _cell(str(argument.form))


def _argument_text(argument: Argument) -> str:
    default = "" if argument.required else f"; may be left out{f' ({argument.default})' if argument.default else ''}"
    return _cell(argument.doc + default)


def dbt_tests() -> str:
    rows = []
    for rule in RULES:
        found = equivalent(rule.test, rule.example)
        assert isinstance(found, Equivalent)
        theirs = yaml.safe_dump({rule.test: dict(rule.example)}, default_flow_style=True, sort_keys=False, width=1000)
        ours = yaml.safe_dump({found.kind: found.arguments}, default_flow_style=True, sort_keys=False, width=1000)
        rows.append(f"| `{_cell(theirs.strip()[1:-1])}` | `{_cell(ours.strip()[1:-1])}` | {'; '.join(found.notes)} |")
    table = "| in dbt | here | |\n|---|---|---|\n" + "\n".join(rows)
    return "\n\n".join([MADE, DBT_HEAD, table]) + "\n"


DBT_HEAD = """\
# Tests of dbt

What tests of dbt, `dbt_utils` and `dbt_expectations` are called here. `column_name` is the column under which a test stands in
dbt. `where`, `severity`, `warn_if` and `error_if` have the same names; `row_condition` is `where`. The
[guide](../guides/testing.md) says what else is different."""


def _listed(words: list[str], last: str = " and ") -> str:
    shown = [f"`{word}`" for word in words]
    return last.join([part for part in (", ".join(shown[:-1]), shown[-1]) if part])


CHECKS_HEAD = """\
# Checks

The [guide](../guides/testing.md) begins with an example, and [checks](../checks.md) says when they run and what a failure does. A
check is an item of the header's `@checks`, or an `@word` in the comment behind a column. It belongs to one of the categories below."""

CHECKS_MORE = """\
## What every check may have

| argument | |
|---|---|
| `where` | a condition; only rows for which it holds are looked at |
| `severity` | `error` (the default) stops the build of the table, `warn` tells |
| `error_if` | how many failing rows are too many, such as `"> 10"` or `"> 1%"`; fewer are told |
| `warn_if` | how many failing rows are told; alone, the check never stops a build |
| `name` | what the check is called in messages |
| `tags` | words to find it by: `sqlflow check --tag money` runs the checks that have it |
| `description` | what it is for; messages and reports say it when the check fails |

```sql
-- @checks:
--   - not_null: {columns: [arrival_delay], where: "NOT cancelled", warn_if: "> 0.5%", error_if: "> 5%"}
```

Behind a column, arguments stand in brackets, by their names or in the order of the tables above:
`@range(min=0, max=10)`, `@range(0, 10)`, `@not_null(severity=warn)`, `@in(open, closed, warn_if="> 3")`."""

CHECKS_TAIL = """\
## What they look at

After an incremental build {whole} look at the whole table, and every other check at the rows that were just written.

Not available yet: {later}. Using one is an error."""


# ---------------------------------------------------------------- commands


def commands() -> str:
    parts = [MADE, COMMANDS]
    parts += [_command(name, command) for name, command in _walk("sqlflow", typer.main.get_command(app))]
    return "\n\n".join(parts) + "\n"


COMMANDS = """\
# Commands

Data goes to stdout, everything else to stderr. With `--json` the data is JSON; a build prints one JSON object a line.

| exit code | meaning |
|---:|---|
| 0 | done |
| 1 | the project or the data is wrong: diagnostics, failed models or checks; for `diff` and `verify`: something differs |
| 2 | the command was called wrongly |
| 3 | a bug in SQLFlow; a report file is written into the current folder |
| 130 | interrupted |

`SELECTION` is explained in [selecting models](../selection.md). `--help` works behind every command."""


def _walk(name: str, command: Any) -> Iterator[tuple[str, Any]]:
    inner = getattr(command, "commands", None)
    if inner is None:
        yield name, command
        return
    for word, below in inner.items():
        yield from _walk(f"{name} {word}", below)


def _command(name: str, command: Any) -> str:
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    options = [p for p in command.params if p.param_type_name == "option" and p.name != "help"]
    words = [_shown(argument) for argument in arguments]
    usage = " ".join([name, *(["[OPTIONS]"] if options else []), *words])
    rows = [f"| `{_named(a)}` | {_cell(_help(a))} |" for a in arguments]
    rows += [f"| {_spelled(o)} | {_cell(_help(o))}{_default(o)} |" for o in options]
    table = "|  |  |\n|---|---|\n" + "\n".join(rows)
    return "\n\n".join([f"## `{name}`", command.help or "", f"    {usage}", *([table] if rows else [])])


def _named(argument: Any) -> str:
    return str(argument.name).upper()


def _shown(argument: Any) -> str:
    word = _named(argument) + ("..." if argument.nargs < 0 else "")
    return word if argument.required else f"[{word}]"


def _help(parameter: Any) -> str:
    return str(getattr(parameter, "help", "") or "")


def _spelled(option: Any) -> str:
    shown = ", ".join(f"`{text}`" for text in option.opts)
    return shown if _is_flag(option) else f"{shown} {str(option.name).upper()}"


def _is_flag(option: Any) -> bool:
    return bool(getattr(option, "is_flag", False))


def _default(option: Any) -> str:
    value = option.default
    return f" Default: {value:g}." if isinstance(value, int | float) and not _is_flag(option) else ""


if __name__ == "__main__":
    for file_name, text in pages().items():
        (HERE / "reference" / file_name).write_text(text, encoding="utf-8")
