"""Whatever is edited, compiling with the cache gives letter by letter what compiling without it gives.

One project is edited at random and compiled after each edit, once with a cache that lives through all edits, and once with
none: manifest, plan and diagnostics must be the same.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from length import at_length
from msgspec import structs

from sqlflow.build.examine import compile_project
from sqlflow.build.prepare import prepare
from sqlflow.build.standing import look_at
from sqlflow.cli.compile import manifest_of
from sqlflow.cli.opening import opened, read_settings, tell
from sqlflow.cli.render import plan_json, render_diagnostics, to_json
from sqlflow.core.cache import NoCache
from sqlflow.core.config import Request
from sqlflow.core.diagnostics import ProjectError
from sqlflow.core.names import TableName
from sqlflow.plan.tiers import with_tiers

Files = dict[str, str]

CONFIG = """\
name: shop
targets:
  dev: {{engine: duckdb, path: shop.duckdb}}
default_target: dev
default_schema: {schema}
variables: {{first: {first}, unused: {unused}}}
defaults:
  models/mid: {{mode: {mode}}}
"""
FIRST: Files = {
    "sqlflow.yml": CONFIG.format(schema="main", first=1, unused=1, mode="auto"),
    "sources/raw.yml": "raw.orders:\n  table: ext.orders\n  columns: {id: BIGINT, day: DATE, price: DOUBLE, note: VARCHAR}\n",
    "macros/money.sql": "CREATE MACRO cents(x) AS round(x * 100);\n",
    "macros/rate.sql": "CREATE MACRO rate(x) AS cents(x) / 2;\n",
    "models/stg/orders.sql": "SELECT id, day, price, note FROM raw.orders WHERE id >= $first\n",
    "models/stg/days.sql": "-- @key: day\nSELECT DISTINCT day, upper(note) AS note FROM raw.orders\n",
    "models/mid/paid.sql": "SELECT id, day, rate(price) AS price FROM stg.orders WHERE price > 0\n",
    "models/mid/noted.sql": "SELECT o.id, d.note, o.day FROM stg.orders AS o JOIN days AS d USING (day)\n",
    "models/mart/daily.sql": (
        "-- @mode: incremental\n-- @time: day\n-- @checks:\n--   - not_null: [day]\n--   - expression: 'price >= 0'\n"
        "SELECT day, sum(price) AS price, count(*) AS n FROM mid.paid GROUP BY day\n"
    ),
    "models/mart/all.sql": "SELECT * FROM mid.paid LEFT JOIN mid.noted USING (id, day)\n",
    "models/mart/top.sql": "SELECT max(price) AS price, current_date AS today FROM daily\n",
    "models/loose.sql": "-- @tags: [x]\nSELECT n + $first AS n -- @not_null\nFROM mart.daily\n",
}
MODELS = sorted(path for path in FIRST if path.startswith("models/"))
WORDS = ("price", "note", "day", "id", "amount")


def _replace(files: Files, path: str, old: str, new: str) -> None:
    if path in files:
        files[path] = files[path].replace(old, new)


def _config(files: Files, schema: str, first: str, unused: int, mode: str) -> None:
    files["sqlflow.yml"] = CONFIG.format(schema=schema, first=first, unused=unused, mode=mode)


def _move(files: Files, path: str, to: str) -> None:
    if path in files:
        files[to] = files.pop(path)


def _restore(files: Files, path: str) -> None:
    files[path] = FIRST[path]


def _header(files: Files, path: str, line: str) -> None:
    if path in files:
        files[path] = f"{line}\n{files[path]}"


Edit = Callable[[Files], None]
models = st.sampled_from(MODELS)
edits: st.SearchStrategy[Edit] = st.one_of(
    st.builds(
        lambda path, old, new: lambda files: _replace(files, path, old, new),
        st.sampled_from(sorted(FIRST)), st.sampled_from(WORDS), st.sampled_from(WORDS),
    ),
    st.builds(
        lambda s, f, u, m: lambda files: _config(files, s, f, u, m),
        st.sampled_from(["main", "mart"]), st.sampled_from(["1", "2", "'x'", "2020-01-01"]), st.integers(1, 2),
        st.sampled_from(["auto", "view", "inline"]),
    ),
    st.builds(
        lambda path, body: lambda files: files.update({path: body}),
        st.sampled_from(["macros/money.sql", "macros/rate.sql", "macros/more.sql"]),
        st.sampled_from([
            "CREATE MACRO cents(x) AS x;\n", "CREATE MACRO rate(x) AS cents(x) + 1;\n", "CREATE MACRO upper(x) AS lower(x);\n",
            "CREATE MACRO /* odd */ cents(x) AS x + 1;\n", "CREATE MACRO rate(x AS;\n", "", "-- a macro of nothing\n",
            "-- @not_null\nCREATE MACRO cents(x) AS x;\n",
            "CREATE MACRO hit(c) AS (SELECT count(*) FROM (SELECT 1 AS id) AS t WHERE t.id = c) > 0;\n",
        ]),
    ),
    st.builds(
        lambda body: lambda files: files.update({"macros/checks/sound.sql": body}),
        st.sampled_from(["-- @parameters: {column: column}\n$column > 0\n", "-- Sound.\n-- see @docs\n-- @parameters: {column: column}\n$column > 1\n"]),
    ),
    st.builds(
        lambda checks: lambda files: files.update({"sources/raw.yml": f"{FIRST['sources/raw.yml']}  checks: [{checks}]\n"}),
        st.sampled_from(["{type: {column: price, type: DATE, severity: warn}}", "{expression: price > 0}", "{sound: {column: id}}"]),
    ),
    st.builds(
        lambda path: lambda files: files.pop(path, None),
        st.sampled_from([*MODELS, "macros/money.sql", "macros/rate.sql"]),
    ),
    st.builds(
        lambda path, to: lambda files: _move(files, path, to),
        models, st.sampled_from(["models/mid/moved.sql", "models/other/paid.sql", "models/mid/deep/orders.sql"]),
    ),
    st.builds(lambda path: lambda files: _restore(files, path), st.sampled_from(sorted(FIRST))),
    st.builds(
        lambda path, line: lambda files: _header(files, path, line),
        models,
        st.sampled_from([
            "-- @mode: view", "-- @mode: inline", "-- @mode: replace", "-- text", "-- @enabled: false", "-- @name: daily",
            "-- @schema: mid", "-- @depends_on: [mart.top]", "-- @checks: [{references: {id: stg.orders.id}}]", "-- @mod: x",
            "-- see @docs", "-- @checks: [{type: {column: price, type: DATE, severity: warn}}]",
            "-- @checks: [{expression: hit(id)}]",
        ]),
    ),
    st.builds(
        lambda kind: lambda files: _replace(files, "sources/raw.yml", "price: DOUBLE", f"price: {kind}"),
        st.sampled_from(["DECIMAL(18,2)", "INTEGER", "TEXT", "NOTYPE"]),
    ),
    st.builds(
        lambda path, query: lambda files: files.update({path: query}),
        models,
        st.sampled_from([
            "SELECT 1 AS id, DATE '2020-01-01' AS day, 2.0 AS price, 'a' AS note\n", "SELECT nothing FROM stg.orders\n",
            "SELECT * FROM stg.orders\n", "SELEC 1\n", "SELECT cents(price) AS price, day, id FROM STG.Orders\n",
            "SELECT n AS id, n AS price, day FROM mart.daily\n",
        ]),
    ),
)  # fmt: skip


@contextmanager
def _project() -> Iterator[Path]:
    folder = tempfile.mkdtemp()
    try:
        yield Path(folder)
    finally:
        shutil.rmtree(folder)


def _write(root: Path, files: Files, before: Files) -> None:
    for path in before.keys() - files.keys():
        (root / path).unlink()
    for path, text in files.items():
        if before.get(path) != text:
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(text)


def _results(root: Path, *, cached: bool) -> tuple[str, ...]:
    """Manifest, plan and warnings; or the problems."""
    try:
        config = read_settings(root, None, ())
        with opened(config, tell, writing=False, without_database=True, caching=cached) as found:
            workshop = found.workshop if cached else structs.replace(found.workshop, cache=NoCache())
            standing = look_at(found.engine, config)
            checked = compile_project(workshop, None, {}, {})
            prepared = prepare(
                workshop, checked, standing, None, Request(), "run", lambda: datetime(2024, 1, 1, tzinfo=UTC)
            )
            plan = with_tiers(prepared.plan, checked.compiled, prepared.shape_of)
    except ProjectError as error:
        return (render_diagnostics(error.diagnostics, color=False),)
    warnings = render_diagnostics(checked.warnings, color=False)
    return to_json(manifest_of(checked)), to_json(plan_json(plan)), warnings


def _law(steps: list[list[Edit]]) -> None:
    with _project() as root:
        files: Files = {}
        now = dict(FIRST)
        for step in [[], *steps]:
            for edit in step:
                edit(now)
            _write(root, now, files)
            files = dict(now)
            expected = _results(root, cached=False)
            assert _results(root, cached=True) == expected  # from what was known before the edit
            assert _results(root, cached=True) == expected  # and with nothing changed


_steps = st.lists(st.lists(edits, min_size=1, max_size=2), min_size=1, max_size=6)


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(_steps)
def test_results_are_the_same_with_and_without_the_cache(steps: list[list[Edit]]) -> None:
    _law(steps)


@pytest.mark.long
@settings(max_examples=at_length(60), deadline=None, suppress_health_check=list(HealthCheck))
@given(_steps)
def test_results_are_the_same_with_and_without_the_cache_for_long(steps: list[list[Edit]]) -> None:
    _law(steps)


WARNED: Files = {
    "sqlflow.yml": CONFIG.format(schema="main", first=1, unused=1, mode="auto")
    + "  models/old: {strategy: snapshot}\n",
    "sources/raw.yml": FIRST["sources/raw.yml"] + "  checks: [{type: {column: price, type: DATE, severity: warn}}]\n",
    "macros/money.sql": "-- @not_null\nCREATE MACRO cents(x) AS round(x * 100);\n",
    "macros/checks/sound.sql": "-- Sound.\n-- see @docs\n-- @parameters: {column: column}\n$column > 0\n",
    "models/mid/orders.sql": "SELECT id, day, price, note FROM raw.orders -- by @nobody, on @time\n",
    "models/old/days.sql": "-- @checks: [{type: {column: day, type: TEXT, severity: warn}}]\nSELECT day FROM mid.orders\n",
    "models/old/prices.sql": "-- @mode: merge\n-- @key: price\n-- @strategy: snapshot\nSELECT cents(price) AS price FROM mid.orders\n",
}


def test_warnings_are_told_each_time_and_nothing_is_read_again_for_them() -> None:
    with _project() as root:
        _write(root, WARNED, {})
        expected = _results(root, cached=False)
        for part in (
            "`@not_null`",
            "`@docs`",
            "`@nobody`",
            "`@time`",
            "sqlflow.yml:",
            "prices.sql:3",
            "days.sql:1",
            "raw.yml:4",
        ):
            assert part in expected[-1], part
        assert _results(root, cached=True) == expected
        assert _results(root, cached=True) == expected
        assert _analysed(root) == ()
        (root / "models/old/days.sql").write_text("SELECT day FROM mid.orders\n")
        assert _results(root, cached=True) == _results(root, cached=False)
        assert "days.sql" not in _results(root, cached=True)[-1]


def test_a_command_that_finds_warnings_in_the_cache_opens_no_reader_of_files() -> None:
    with _project() as root:
        _write(root, WARNED, {})
        run = (
            "import sys; from sqlflow.cli.app import main\nsys.argv = ['sqlflow', 'compile']\n"
            "try: main()\nexcept SystemExit: pass\nprint('sqlflow.project.reader' in sys.modules)"
        )
        command = [sys.executable, "-c", run]
        first, second = (subprocess.run(command, cwd=root, capture_output=True, text=True) for _ in range(2))
        assert (first.stdout.split()[-1], second.stdout.split()[-1]) == ("True", "False")
        assert first.stderr == second.stderr != ""


def _analysed(root: Path) -> tuple[TableName, ...]:
    with opened(read_settings(root, None, ()), tell, writing=False, without_database=True, caching=True) as found:
        return compile_project(found.workshop, None, {}, {}).analysed
