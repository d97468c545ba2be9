from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from project.projects import CONFIG, lines, model_problems, problems, read

from sqlflow.core.names import TableName


def test_names_come_from_paths_and_directives(tmp_path: Path) -> None:
    project, found = read(
        tmp_path,
        {
            "models/staging/x.sql": "SELECT 1 AS a",
            "models/orders.sql": "SELECT 1 AS a",
            "models/marts/eu/deep/x.sql": "SELECT 1 AS a",
            'models/marts/it\'s "odd"; ü.x.sql': "SELECT 1 AS a",
            "models/marts/y.SQL": "-- @schema: core\n-- @name: z\nSELECT 1 AS a",
            "seeds/airports.csv": "a\n1\n",
            "seeds/ref/codes.csv": "a\n1\n",
        },
    )
    assert found == []
    assert [str(m.name) for m in project.models] == [
        "marts.x",
        'marts.it\'s "odd"; ü.x',
        "core.z",
        "main.orders",
        "staging.x",
    ]
    assert [(str(s.name), s.path) for s in project.seeds.values()] == [
        ("seeds.airports", "seeds/airports.csv"),
        ("ref.codes", "seeds/ref/codes.csv"),
    ]


def test_one_name_twice_names_both_files(tmp_path: Path) -> None:
    files = {
        "models/a/x.sql": "SELECT 1 AS a",
        "models/a/deep/X.sql": "SELECT 1 AS a",
        "models/b.sql": "-- @schema: seeds\n-- @name: S\nSELECT 1 AS a",
        "seeds/s.csv": "a\n",
        "sources/x.yml": "A.x: {table: ext.x}\n",
        "models/a/off/x.sql": "-- @enabled: false\nSELECT $nope",
    }
    assert problems(tmp_path, files) == [
        "duplicate-name: `a.X` is both a source in `sources/x.yml` and a model `models/a/deep/X.sql`"
        " [models/a/deep/X.sql:1:1+6]",
        "duplicate-name: `a.x` is both a source in `sources/x.yml` and a model `models/a/x.sql` [models/a/x.sql:1:1+6]",
        "duplicate-name: `seeds.S` is both a seed `seeds/s.csv` and a model `models/b.sql` [models/b.sql:2:11+1]",
    ]


@pytest.mark.parametrize("schema", ["_sqlflow", "_SQLFlow_audit", "information_schema", "pg_catalog"])
def test_reserved_schemas_are_refused(tmp_path: Path, schema: str) -> None:
    [found] = problems(tmp_path, {f"models/{schema}/x.sql": "SELECT 1 AS a"})
    assert found.startswith("reserved-name: ")


def test_what_editors_leave_behind_is_skipped(tmp_path: Path) -> None:
    names = (".#x.sql", "x.sql~", ".x.sql.swp", "#x.sql#", ".hidden.sql", ".git/x.sql", "x.sql.bak", "README.txt")
    project, found = read(tmp_path, {f"models/{name}": "nonsense" for name in names})
    assert (project.models, found) == ((), [])


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {
        "models/latin.sql": "SELECT\n 'é'".encode("latin-1"),
        "models/null.sql": b"SELECT 1\0",
    }
    (tmp_path / "models").mkdir()
    (tmp_path / "models/gone.sql").symlink_to("nowhere.sql")
    assert problems(tmp_path, files) == [
        "unreadable-file: `models/gone.sql` is a link to nothing [models/gone.sql:1:1+1]",
        "unreadable-file: `models/latin.sql` is not UTF-8 text: byte 0xe9 in line 2 [models/latin.sql:1:1+1]",
        "unreadable-file: `models/null.sql` is not text: it holds a NUL character [models/null.sql:1:1+1]",
    ]


def test_links_out_of_the_project_are_refused_unless_allowed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    root = tmp_path / "root"
    for folder in (outside, root / "models", root / "macros"):
        folder.mkdir(parents=True)
    (outside / "secret.sql").write_text("SELECT 1 AS a")
    (root / "models/a.sql").symlink_to(outside / "secret.sql")
    (root / "models/folder").symlink_to(outside)
    (root / "models/loop").symlink_to(root / "models")
    (root / "models/inner.sql").symlink_to(root / "models/real.sql")
    files: dict[str, str | bytes] = {"models/real.sql": "SELECT 1 AS a"}
    assert problems(root, files) == [
        "outside-project: `models/a.sql` is a link to a place outside the project [models/a.sql:1:1+1]",
        "outside-project: `models/folder` is a link to a place outside the project [models/folder:1:1+1]",
    ]
    project, found = read(root, {**files, "sqlflow.yml": CONFIG + "allow_outside_paths: true\n"})
    assert found == []
    assert [str(m.name) for m in project.models] == [
        "main.a",
        "folder.secret",
        "main.inner",
        "main.real",
    ]


def test_the_order_of_the_file_system_does_not_matter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files: dict[str, str | bytes] = {f"models/s{n % 3}/m{n}.sql": "SELEC 1" for n in range(20)}
    expected = read(tmp_path, files)[1]
    scandir = os.scandir

    class Shuffled(list[os.DirEntry[str]]):
        def __init__(self, path: str) -> None:
            super().__init__(scandir(path))
            random.Random(1).shuffle(self)

        def __enter__(self) -> Iterator[os.DirEntry[str]]:
            return iter(self)

        def __exit__(self, *_: object) -> None:
            pass

    monkeypatch.setattr(os, "scandir", Shuffled)
    assert read(tmp_path, files)[1] == expected
    assert len(expected) == 20


def test_sources_are_read(tmp_path: Path) -> None:
    project, found = read(
        tmp_path,
        {
            "data/2020/a.parquet": "x",
            "sources/raw.yml": """\
raw.flights: {path: "data/**/*.parquet", columns: {a: INTEGER, b: {type: "DECIMAL(10, 2)", description: x}}}
events: {table: ext.events, time: at, cursor: loaded_at, key: event_id, append_only: true, freshness: {warn: 6h}}
""",
        },
    )
    assert not found
    flights = project.sources[TableName("raw", "flights")]
    assert (flights.path, flights.types) == (
        "data/**/*.parquet",
        {"a": "INTEGER", "b": "DECIMAL(10, 2)"},
    )
    events = project.sources[TableName("main", "events")]
    assert (events.table, events.time, events.cursor) == (
        TableName("ext", "events"),
        "at",
        "loaded_at",
    )
    assert (events.key, events.append_only) == (("event_id",), True)
    assert [check.name for check in events.checks] == ["freshness(loaded_at, warn 6 hours)"]


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("{}", "missing-key: a.b: neither `path` nor `table` is given [sources/s.yml:1:1+3]"),
        (
            "{path: x.csv, table: a.b}",
            "invalid-value: a.b: both `path` and `table` are given [sources/s.yml:1:1+3]",
        ),
        (
            "{path: nope.csv}",
            "no-files: a.b.path: no file matches `nope.csv` [sources/s.yml:1:13+8]",
        ),
        (
            "{path: 'data/*.json'}",
            "no-files: a.b.path: no file matches `data/*.json` [sources/s.yml:1:13+13]",
        ),
        (
            "{path: x.xlsx}",
            "invalid-value: a.b.path: `x.xlsx` is not of a known format [sources/s.yml:1:13+6]",
        ),
        (
            "{path: x.parquet.gz}",
            "invalid-value: a.b.path: `x.parquet.gz` is not of a known format [sources/s.yml:1:13+12]",
        ),
        (
            "{path: ../x.csv}",
            "outside-project: a.b.path: `../x.csv` is outside the project [sources/s.yml:1:13+8]",
        ),
        (
            "{path: link.csv}",
            "outside-project: a.b.path: `link.csv` is outside the project [sources/s.yml:1:13+8]",
        ),
        (
            "{path: data/../../*.csv}",
            "outside-project: a.b.path: `data/../../*.csv` is outside the project [sources/s.yml:1:13+16]",
        ),
        (
            "{path: /etc/x.csv}",
            "outside-project: a.b.path: `/etc/x.csv` is outside the project [sources/s.yml:1:13+10]",
        ),
        (
            "{path: s3://b/x.csv}",
            "outside-project: a.b.path: `s3://b/x.csv` is outside the project [sources/s.yml:1:13+12]",
        ),
        (
            "{table: a.b.c}",
            "invalid-value: a.b.table: `a.b.c` is not a table [sources/s.yml:1:14+5]",
        ),
        (
            "{table: x, append_only: yes}",
            "wrong-type: a.b.append_only: expected `true` or `false`, found `yes` [sources/s.yml:1:30+3]",
        ),
        ("{table: x, tiem: t}", "unknown-key: a.b.tiem: unknown key [sources/s.yml:1:17+4]"),
        (
            "{table: x, columns: {a: DECIMAL(10,2)}}",
            "invalid-value: a.b.columns.a: `DECIMAL(10` is not a type [sources/s.yml:1:30+10]",
        ),
        (
            "{table: x, columns: {a: 'INT); DROP'}}",
            "invalid-value: a.b.columns.a: `INT); DROP` is not a type [sources/s.yml:1:30+12]",
        ),
        (
            "{table: x, columns: {a: 'INT, b INT'}}",
            "invalid-value: a.b.columns.a: `INT, b INT` is not a type [sources/s.yml:1:30+12]",
        ),
    ],
)
def test_what_is_wrong_in_a_source(tmp_path: Path, source: str, problem: str) -> None:
    root = tmp_path / "root"
    (root / "data").mkdir(parents=True)
    for place in (tmp_path / "x.csv", root / "x.csv"):
        place.write_text("a")
    (root / "link.csv").symlink_to(tmp_path / "x.csv")
    assert problem in problems(root, {"sources/s.yml": f"a.b: {source}\n"})


def test_seeds_are_described(tmp_path: Path) -> None:
    files = {
        "seeds/codes.csv": "a\n",
        "seeds/ref/airports.csv": "a\n",
        "seeds/seeds.yml": """\
codes: {columns: {a: VARCHAR, s: "STRUCT(x INTEGER, y VARCHAR[])"}, nulls: [NA, ""], delimiter: ";"}
ref.airports: {description: All airports}
""",
    }
    project, found = read(tmp_path, files)
    assert found == []
    seed = project.seeds[TableName("seeds", "codes")]
    assert seed.types == {"a": "VARCHAR", "s": "STRUCT(x INTEGER, y VARCHAR[])"}
    assert (seed.nulls, seed.delimiter) == (("NA", ""), ";")
    assert project.seeds[TableName("ref", "airports")].description == "All airports"


def test_what_is_wrong_in_seeds_yml(tmp_path: Path) -> None:
    files = {
        "seeds/codes.csv": "a\n",
        "seeds/s.yml": "seeds.cods: {}\ncodes: {delimiter: ';;', nulls: [1], colums: {}}\n",
    }
    _, found = read(tmp_path, files)
    assert lines(found) == [
        "unknown-seed: seeds.cods: there is no CSV file for `seeds.cods` [seeds/s.yml:1:1+10]",
        "wrong-type: codes.delimiter: expected one character, found `;;` [seeds/s.yml:2:20+4]",
        "wrong-type: codes.nulls[0]: expected text, found the number `1` [seeds/s.yml:2:34+1]",
        "unknown-key: codes.colums: unknown key [seeds/s.yml:2:38+6]",
    ]
    assert found[0].hint == "did you mean `seeds.codes`?"


def test_a_yaml_tag_attack_runs_nothing(tmp_path: Path) -> None:
    marker = tmp_path / "pwned"
    attack = f"!!python/object/apply:os.system ['touch {marker}']"
    files = {
        "sources/s.yml": f"a.b: {attack}\n",
        "models/m.sql": f"-- @tags: {attack}\nSELECT 1 AS a",
    }
    codes = [line.split(":")[0] for line in problems(tmp_path, files)]
    assert codes == ["yaml", "yaml"]
    assert not marker.exists()


def test_several_problems_of_one_model_come_together(tmp_path: Path) -> None:
    text = "-- @mdoe: view\n-- @key: a\n-- @tags: a b\nSELECT $a, $b, c -- @notnull\n"
    assert [line.split(":")[0] for line in model_problems(tmp_path, text)] == [
        "unknown-directive",
        "invalid-value",
        "unknown-variable",
        "unknown-variable",
        "unknown-check",
    ]
