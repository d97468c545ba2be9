from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from project.projects import CONFIG, model, model_problems, read

from sqlflow.core.diagnostics import Severity
from sqlflow.core.intervals import Duration, Grain
from sqlflow.core.model import Conflict, Deleted, Header
from sqlflow.core.modes import Mode
from sqlflow.project.directives import DIRECTIVES

FULL = """\
-- Delays per carrier and day.
-- In minutes.
--
-- Not part of it.
-- @mode: incremental
-- @time: flight_date
-- @grain: week
-- @lookback: 3 days
--@start: 2013-01-01
-- @batch: 7 days
-- @key: [flight_date, carrier, CARRIER]

-- @tags: [daily, core]
-- @owner: team: data
-- @full_refresh: never
-- @columns:
--   carrier: IATA code
--   flight_date: {description: "the day", tags: [time]}
-- @checks:
--   - unique: [flight_date, carrier]
--   - not_null: {column: carrier, severity: warn, where: "x > 1"}
--   - row_count: {min: 1}
--   - expression: "avg_delay < 500;"
--   - in: {column: state, values: [on, 'b c', 3]}
--   - references: {column: carrier, to: seeds.airlines.carrier}
-- @before: ["DELETE FROM x"]
SELECT 1 AS carrier
"""


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("bom", ["", "\ufeff"])
def test_every_directive_is_read(tmp_path: Path, newline: str, bom: str) -> None:
    header = model(tmp_path, bom + FULL.replace("\n", newline).replace("500;", "500")).header
    assert header.mode is Mode.INCREMENTAL
    assert (header.time, header.grain, header.lookback) == (
        "flight_date",
        Grain.WEEK,
        Duration(3, Grain.DAY),
    )
    assert header.start == datetime(2013, 1, 1, tzinfo=UTC)
    assert header.batch == Duration(7, Grain.DAY)
    assert header.key == ("flight_date", "carrier")
    assert header.tags == {"daily", "core"}
    assert header.owner == "team: data"
    assert header.full_refresh is False
    assert header.description == "Delays per carrier and day.\nIn minutes."
    assert header.columns["carrier"].description == "IATA code"
    assert header.columns["flight_date"].tags == ("time",)
    assert header.before == ("DELETE FROM x",)
    assert [check.name for check in header.checks] == [
        "unique(flight_date, carrier)",
        "not_null(carrier)",
        "row_count(min 1)",
        "expression(avg_delay < 500)",
        "in(state)",
        "references(carrier -> seeds.airlines.carrier)",
    ]
    assert header.checks[1].severity is Severity.WARNING
    assert header.checks[1].where == "x > 1"
    assert header.checks[4].values == ("on", "b c", 3)
    span = header.checks[2].span
    assert (span.line, span.column, span.length) == (22, 8, 19)
    assert span.text == "--   - row_count: {min: 1}"
    assert (header.spans["key"].line, header.spans["key"].column) == (11, 10)
    assert header.spans["key"].length == len("[flight_date, carrier, CARRIER]")


def test_a_file_without_directives_is_a_model(tmp_path: Path) -> None:
    assert model(tmp_path, "SELECT 1 AS a").header == Header()


def test_block_comments_may_describe_a_model(tmp_path: Path) -> None:
    header = model(tmp_path, "/* Orders,\n * all of them. */\n-- @mode: view\nSELECT 1 AS a").header
    assert (header.description, header.mode) == ("Orders,\nall of them.", Mode.VIEW)


def test_description_and_values_over_several_lines(tmp_path: Path) -> None:
    text = "-- @description: Delays:\n--   by day\n-- @mode: merge\n-- @key:\n--   - a\n--   - b\nSELECT 1 AS a"
    header = model(tmp_path, text).header
    assert header.description == "Delays:\nby day"
    assert header.key == ("a", "b")


def test_deleted_conflict_and_no_batch(tmp_path: Path) -> None:
    text = """\
-- @mode: merge
-- @key: id
-- @cursor: at
-- @conflict: latest_wins
-- @deleted: {column: op, values: [D, X]}
SELECT 1 AS id"""
    header = model(tmp_path, text).header
    assert header.conflict is Conflict.LATEST_WINS
    assert header.deleted == Deleted("op", ("D", "X"))
    text = "-- @mode: incremental\n-- @time: t\n-- @batch: none\nSELECT 1 AS t"
    assert model(tmp_path, text).header.batch is None
    text = "-- @mode: merge\n-- @key: id\n-- @deleted: op = 'D'\nSELECT 1 AS id"
    assert model(tmp_path, text).header.deleted == Deleted(sql="op = 'D'")


@pytest.mark.parametrize(
    ("header", "problem"),
    [
        ("-- @mdoe: view", "unknown-directive: there is no directive `@mdoe` [1:4+5]"),
        ("-- @mode: vieww", "invalid-value: @mode: unknown mode `vieww` [1:11+5]"),
        ("-- @mode: snapshot", "missing-directive: mode `snapshot` needs `@key` [1:11+8]"),
        ("-- @mode: [view]", "wrong-type: @mode: expected text, found a list [1:11+6]"),
        ("-- @mode:", "wrong-type: @mode: has no value [1:4+5]"),
        ("-- @mode view", "malformed-directive: `@mode` has no colon behind it [1:4+5]"),
        (
            "-- @mode: incremental\n-- @time: t\n-- @grain: dya",
            "invalid-value: @grain: unknown grain `dya` [3:12+3]",
        ),
        (
            "-- @enabled: yes",
            "wrong-type: @enabled: expected `true` or `false`, found `yes` [1:14+3]",
        ),
        ("-- @time: a", "invalid-for-mode: `@time` cannot be used with mode `auto` [1:11+1]"),
        ("-- @cursor: a", "invalid-for-mode: `@cursor` cannot be used with mode `auto` [1:13+1]"),
        (
            "-- @mode: append\n-- @cursor: a\n-- @time: a",
            "invalid-for-mode: `@time` cannot be used with mode `append` [3:11+1]",
        ),
        (
            "-- @mode: incremental\n-- @time: t\n-- @cursor: a",
            "invalid-for-mode: `@cursor` cannot be used with mode `incremental` [3:13+1]",
        ),
        (
            "-- @mode: replace\n-- @conflict: latest_wins",
            "invalid-for-mode: `@conflict` cannot be used with mode `replace` [2:15+11]",
        ),
        *(
            (
                f"-- @after: {statement}",
                "sql-syntax: @after: a hook runs inside the model's transaction and cannot be "
                f"`{statement.split()[0].upper()}` [1:12+{len(statement)}]",
            )
            for statement in ("BEGIN", "COMMIT", "rollback", "ATTACH 'x.db' AS x", "SET threads = 1", "USE x")
        ),
        ("-- @mode: incremental", "missing-directive: mode `incremental` needs `@time` [1:11+11]"),
        ("-- @mode: merge", "missing-directive: mode `merge` needs `@key` [1:11+5]"),
        ("-- @mode: append", "missing-directive: mode `append` needs `@cursor` [1:11+6]"),
        (
            "-- @mode: merge\n-- @key: a\n-- @conflict: latest_wins",
            "missing-directive: `latest_wins` needs `@cursor` [3:15+11]",
        ),
        (
            "-- @mode: merge\n-- @key: a\n-- @lookback: 2 days",
            "missing-directive: `@lookback` needs `@cursor` [3:15+6]",
        ),
        (
            "-- @mode: view\n-- @key: a",
            "invalid-for-mode: `@key` cannot be used with mode `view` [2:10+1]",
        ),
        (
            "-- @mode: replace\n-- @lookback: 3 days",
            "invalid-for-mode: `@lookback` cannot be used with mode `replace` [2:15+6]",
        ),
        (
            "-- @mode: incremental\n-- @time: t\n-- @lookback: 3 dyas",
            "invalid-value: @lookback: `3 dyas` is not a length of time such as `3 days` or `2 hours` [3:15+6]",
        ),
        (
            "-- @mode: incremental\n-- @time: t\n-- @lookback: 3",
            "wrong-type: @lookback: expected a length of time, found the number `3` [3:15+1]",
        ),
        (
            "-- @mode: incremental\n-- @time: t\n-- @start: soon",
            "wrong-type: @start: expected a date, found `soon` [3:12+4]",
        ),
        ("-- @mode: view\n-- @mode: view", "duplicate-directive: `@mode` is given twice [2:4+5]"),
        (
            "-- @strategy: merge",
            "invalid-for-mode: the strategy `merge` cannot be used with mode `auto` [1:15+5]",
        ),
        (
            "-- @on_schema_change: sync",
            "not-available-yet: @on_schema_change: `sync` is not available yet [1:23+4]",
        ),
        ("-- @pii: [a]", "not-available-yet: @pii: this directive is not available yet [1:10+3]"),
        (
            "-- @name: orders__building",
            "reserved-name: names that end in `__building` belong to SQLFlow, and this is `main.orders__building` [2:1+6]",
        ),
        ("-- @tags: a b", "invalid-value: @tags: a tag has no spaces or commas [1:11+3]"),
        (
            "-- @schema: _SQLFlow_x",
            "reserved-name: the schema `_SQLFlow_x` belongs to SQLFlow [1:13+10]",
        ),
        (
            "-- @key: !!python/name:os.system x",
            "yaml: @key: the tag `!!python/name:os.system` is not allowed [1:10+25]",
        ),
        (
            "-- @key:\n--   - a\n--\t- b",
            "yaml: @key: not valid YAML: found a tab character that violates indentation [3:3+1]",
        ),
        (
            "-- @checks:\n--   - unique: [a\n--   - x: b",
            "yaml: @checks: not valid YAML: did not find expected ',' or ']' [3:9+1]",
        ),
    ],
)
def test_what_is_wrong_in_a_header(tmp_path: Path, header: str, problem: str) -> None:
    [found] = model_problems(tmp_path, header + "\nSELECT 1 AS a\n")
    assert found.rsplit("+", 1)[0] == problem.rsplit("+", 1)[0]


@pytest.mark.parametrize(
    ("check", "problem"),
    [
        ("uniqe: [a]", "unknown-check: @checks[0].uniqe: there is no check `uniqe` [2:8+5]"),
        ("unique", "invalid-check: @checks[0]: `unique` needs arguments [2:8+6]"),
        (
            "unique: []",
            "wrong-type: @checks[0].unique: expected one name or more, found a list [2:16+2]",
        ),
        (
            "matches: {column: a}",
            "missing-key: @checks[0].matches: the key `pattern` is missing [2:8+7]",
        ),
        ("in: {column: a, vals: [1]}", "unknown-key: @checks[0].in.vals: unknown key [2:24+4]"),
        (
            "row_count: {}",
            "invalid-check: @checks[0].row_count: neither `min` nor `max` is given [2:19+2]",
        ),
        (
            "row_count: {min: 3, max: 1}",
            "invalid-check: @checks[0].row_count: `min` is greater than `max` [2:19+16]",
        ),
        (
            "row_count: {min: -3}",
            "wrong-type: @checks[0].row_count.min: expected a number of at least 0, found the number `-3` [2:25+2]",
        ),
        (
            'expression: "a > 1; DROP TABLE x"',
            "sql-syntax: @checks[0].expression: a condition cannot contain `;` [2:20+21]",
        ),
        ('expression: "a > (1"', "sql-syntax: @checks[0].expression: `(` is never closed [2:20+8]"),
        (
            'expression: "a) OR (b"',
            "sql-syntax: @checks[0].expression: `)` closes nothing [2:20+10]",
        ),
        (
            'expression: "a = \'x"',
            "sql-syntax: @checks[0].expression: a string is never closed [2:20+8]",
        ),
        ('expression: "a > $lmit"', "unknown-variable: there is no variable `$lmit` [2:20+11]"),
        (
            "references: {column: a, to: b.c}",
            "invalid-value: @checks[0].references.to: `b.c` is not a column of a table [2:36+3]",
        ),
        (
            "unique: {column: a, severity: wran}",
            "invalid-value: @checks[0].unique.severity: unknown severity `wran` [2:38+4]",
        ),
    ],
)
def test_what_is_wrong_in_a_check(tmp_path: Path, check: str, problem: str) -> None:
    found = model_problems(tmp_path, f"-- @checks:\n--   - {check}\nSELECT 1 AS a\n")
    assert problem in found


def test_a_condition_cannot_hide_its_end_in_a_comment(tmp_path: Path) -> None:
    header = model(tmp_path, '-- @checks:\n--   - expression: "a > 1 -- )"\nSELECT 1 AS a').header
    assert header.checks[0].sql("sql") == "a > 1"


def test_a_directive_behind_the_beginning_is_misplaced(tmp_path: Path) -> None:
    text = "SELECT 1 AS a -- '@mode: view'\n, '-- @mode: x' AS b\n-- @mode: view\n"
    assert model_problems(tmp_path, text) == [
        "misplaced-directive: the directive `@mode` stands behind the beginning of the query [3:4+5]"
    ]


UNINDENTED = """\
-- @description: Delays of a carrier on a day, with all flights that were to leave, of
-- which some never did.
-- @key: [flight_date,
-- carrier]
-- @columns:
-- carrier: IATA code
-- flight_date: {description: "the
-- day", tags: [time]}
-- @checks:
-- - unique:
-- columns: [flight_date, carrier]
-- severity: warn
-- - expression: "flight_date > '2013-01-01' AND
-- carrier <> ''"
-- - expression: flight_date > DATE '2013-01-01' AND flight_date < DATE '2014-01-01' AND
-- carrier <> ''
--
-- - row_count: {min: 1}
-- This is free text.
-- - unique among lists
SELECT 1 AS carrier, 2 AS flight_date
"""


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_a_formatter_may_take_indentation_away_and_wrap_lines(tmp_path: Path, newline: str) -> None:
    header = model(tmp_path, UNINDENTED.replace("\n", newline)).header
    assert header.description == (
        "Delays of a carrier on a day, with all flights that were to leave, of\nwhich some never did."
    )
    assert header.key == ("flight_date", "carrier")
    assert {name: note.description for name, note in header.columns.items()} == {
        "carrier": "IATA code",
        "flight_date": "the day",
    }
    assert [check.name for check in header.checks] == [
        "unique(flight_date, carrier)",
        "expression(flight_date > '2013-01-01' AND carrier <> '')",
        "expression(flight_date > DATE '2013-01-01' AND flight_date < DATE '2014-01-01' AND carrier <> '')",
        "row_count(min 1)",
    ]
    assert header.checks[0].severity is Severity.WARNING
    assert header.checks[3].span.line == 18


@pytest.mark.parametrize(
    "text",
    [
        "-- @checks:\n--   - unique: a\n-- Free text.\nSELECT 1 AS a",
        "-- @checks:\n-- - unique: a\n-- Free text.\nSELECT 1 AS a",
        "-- Free text.\n\n\n-- @checks: [{unique: a}]\nSELECT 1 AS a",
        "/* Free text. */ -- @checks : [{unique: a}]\nSELECT 1 AS a",
        "/* Free text. /* of two kinds */ */\n--@checks:\n--  - unique: a\nSELECT 1 AS a",
        "-- Free text:\n-- - one thing\n-- - in: the second\n-- @checks: [{unique: a}]\nSELECT 1 AS a",
        "-- -- @mode: view\n-- @todo: more, @anna or a@b.c\n-- @checks: [{unique: a}]\nSELECT 1 AS a",
    ],
)
def test_headers_may_be_written_so(tmp_path: Path, text: str) -> None:
    header = model(tmp_path, text).header
    assert [check.name for check in header.checks] == ["unique(a)"]
    assert header.mode is Mode.AUTO


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("--- @mode: view", "the directive `@mode` stands not at the beginning of its comment, so it is not read [1:5+5]"),
        ("---@mode: view", "the directive `@mode` stands not at the beginning of its comment, so it is not read [1:4+5]"),
        ("-- - @mode: view", "the directive `@mode` stands not at the beginning of its comment, so it is not read [1:6+5]"),
        ("-- Orders. @mode: view", "the directive `@mode` stands not at the beginning of its comment, so it is not read [1:12+5]"),
        ("/* @mode: view */", "the directive `@mode` stands in a block comment, so it is not read [1:4+5]"),
        ("/*\n * @moed : view\n */", "the directive `@moed` stands in a block comment, so it is not read [2:4+5]"),
        ("-- @moed view", "`@moed` has no colon behind it [1:4+5]"),
        ("-- Checks:\n--   - unique: [a]", "this list item belongs to no directive [2:8+11]"),
        ("-- @checks: []\n\n-- - unique: [a]", "this list item belongs to no directive [3:6+11]"),
        ("-- @key: [a]\n-- - b", "this list item belongs to no directive: `@key` has its value already [2:4+3]"),
    ],
)  # fmt: skip
def test_what_looks_like_a_directive_is_told(tmp_path: Path, text: str, problem: str) -> None:
    assert model_problems(tmp_path, text + "\nSELECT 1 AS a") == [f"malformed-directive: {problem}"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("# @mode: view\nSELECT 1 AS a", "not-a-query: `#` does not begin a query [1:1+1]"),
        ("-- @Mode: view\nSELECT 1 AS a", "unknown-directive: there is no directive `@Mode` [1:4+5]"),
        (
            "SELECT 1 AS a -- of @mode: view\n",
            "misplaced-directive: the directive `@mode` stands behind the beginning of the query [1:21+5]",
        ),
        (
            "SELECT 1 AS a\n/* @mode: view */",
            "misplaced-directive: the directive `@mode` stands behind the beginning of the query [2:4+5]",
        ),
        ("SELECT 1 AS a -- @moed: view\n", "unknown-directive: there is no directive `@moed` [1:18+5]"),
    ],
)
def test_a_directive_is_never_passed_over(tmp_path: Path, text: str, problem: str) -> None:
    assert model_problems(tmp_path, text) == [problem]


def test_the_nearest_folder_and_then_the_file_win(tmp_path: Path) -> None:
    files = {
        "sqlflow.yml": CONFIG
        + """\
defaults:
  models: {owner: all, tags: [base], lookback: 3 days, mode: view}
  models/marts: {owner: marts, mode: merge, key: id}
""",
        "models/a.sql": "SELECT 1 AS a",
        "models/marts/deep/b.sql": "SELECT 1 AS id",
        "models/marts/c.sql": "-- @owner: me\n-- @mode: replace\nSELECT 1 AS id",
    }
    project, problems = read(tmp_path, files)
    assert problems == []
    models = {str(m.name): m.header for m in project.models}
    found = {name: (header.owner, header.mode, header.key) for name, header in models.items()}
    assert found == {
        "main.a": ("all", Mode.VIEW, ()),
        "marts.b": ("marts", Mode.MERGE, ("id",)),
        "marts.c": ("me", Mode.REPLACE, ("id",)),
    }
    assert all(m.header.lookback is None for m in project.models)
    assert str(models["marts.b"].spans["owner"].path) == "sqlflow.yml"


def test_a_default_mode_that_lacks_something_is_told_at_the_model(tmp_path: Path) -> None:
    config = CONFIG + "defaults: {models: {mode: append}}\n"
    assert model_problems(tmp_path, "SELECT 1 AS a", {"sqlflow.yml": config}) == [
        "missing-directive: mode `append` needs `@cursor` [1:1+6]"
    ]


def test_the_table_of_directives_documents_itself() -> None:
    assert all(directive.doc for directive in DIRECTIVES.values())


@pytest.mark.parametrize("word", ["SET", "RESET", "PRAGMA", "/* c */ set", "EXPLAIN ANALYZE SET"])
def test_a_hook_cannot_change_how_texts_compare(tmp_path: Path, word: str) -> None:
    found = model_problems(tmp_path, f"-- @before: \"{word} default_collation='NOCASE'\"\nSELECT 1 AS x")
    assert [line.partition(" and cannot")[0] for line in found] == [
        "sql-syntax: @before: a hook runs inside the model's transaction"
    ]
