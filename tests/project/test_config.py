from __future__ import annotations

from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from project.projects import CONFIG, config, config_problems, write

from sqlflow.core.diagnostics import ProjectError


def test_a_small_file_is_enough(tmp_path: Path) -> None:
    found = config(write(tmp_path, {}))
    assert (found.name, found.target.name, found.target.engine) == ("tiny", "dev", "duckdb")
    assert found.target.options == {"path": str(tmp_path / "tiny.duckdb")}
    assert (found.dialect, found.default_schema, found.timezone) == ("duckdb", "main", "UTC")


def test_all_keys_are_read(tmp_path: Path) -> None:
    text = """\
name: flights
dialect: duckdb
default_schema: core
timezone: Europe/Berlin
targets:
  dev: {engine: duckdb, path: a.duckdb, memory_limit: 2GB, threads: 4, extensions: [json], storage_version: v1.4.0}
  prod: {engine: postgres, url: "${DATABASE_URL}"}
default_target: dev
variables: {first_day: 2013-01-01, share: 0.5}
defaults:
  models/staging: {mode: view}
sandbox: true
allow_outside_paths: false
verify_every: 7
"""
    write(tmp_path, {"sqlflow.yml": text, "models/staging/a.sql": "SELECT 1"})
    found = config(tmp_path, variables={"share": "1"})
    assert found.target.options["threads"] == 4
    assert found.target.options["extensions"] == ["json"]
    assert found.variables == {"first_day": date(2013, 1, 1), "share": 1.0}
    assert found.defaults["models/staging"]["mode"].value == "view"
    assert found.defaults["models/staging"]["mode"].span.line == 11
    assert found.sandbox
    assert found.verify_every == 7
    assert found.zone.key == "Europe/Berlin"


def test_sizes_and_folders_of_a_target(tmp_path: Path) -> None:
    text = "name: x\ntargets: {dev: {engine: duckdb, path: a.duckdb, %s}}\n"
    options = "memory_limit: 1.5 GB, max_temp_directory_size: 500MiB, temp_directory: spill"
    write(tmp_path, {"sqlflow.yml": text % options})
    found = config(tmp_path).target.options
    assert found["memory_limit"] == "1.5 GB"
    assert found["temp_directory"] == str(tmp_path / "spill")
    wrong = "memory_limit: 2000, max_temp_directory_size: lots, temp_directory: []"
    assert config_problems(tmp_path, text % wrong) == [
        "wrong-type: targets.dev.memory_limit: expected text, found the number `2000` [2:63+4]",
        "invalid-value: targets.dev.max_temp_directory_size: expected a size, found `lots` [2:94+4]",
        "wrong-type: targets.dev.temp_directory: expected text, found a list [2:116+2]",
    ]
    assert config_problems(tmp_path, text % "memory_limit: 0MB") == [
        "invalid-value: targets.dev.memory_limit: expected a size, found `0MB` [2:63+3]"
    ]


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("often", "wrong-type: verify_every: expected a whole number, found `often` [3:15+5]"),
        ("-1", "wrong-type: verify_every: expected a number of at least 0, found the number `-1` [3:15+2]"),
        ("true", "wrong-type: verify_every: expected a whole number, found `true` [3:15+4]"),
    ],
)
def test_the_number_of_runs_between_self_checks_is_a_number(tmp_path: Path, value: str, problem: str) -> None:
    text = f"name: x\ntargets: {{dev: {{engine: duckdb, path: x.duckdb}}}}\nverify_every: {value}\n"
    assert config_problems(tmp_path, text) == [problem]


def test_a_folder_without_sqlflow_yml_is_no_project(tmp_path: Path) -> None:
    with pytest.raises(ProjectError) as error:
        config(tmp_path)
    [problem] = error.value.diagnostics
    assert problem.code == "no-project"
    assert "sqlflow init" in (problem.hint or "")


def test_all_problems_come_at_once_with_the_path_inside_the_file(tmp_path: Path) -> None:
    text = """\
nmae: x
timezone: Europe/Berlni
sandbox: yes
targets:
  dev: {engine: duckdbb, path: x}
  two: {engine: duckdb, path: ":memory:", threads: many, colour: red}
default_target: dev
variables: {start: 1, "a b": 2, m: {}}
defaults: {models/nowhere: {mode: vieww, mdoe: view}}
"""
    assert config_problems(tmp_path, text) == [
        "unknown-key: nmae: unknown key [1:1+4]",
        "missing-key: the key `name` is missing [1:1+7]",
        "wrong-type: sandbox: expected `true` or `false`, found `yes` [3:10+3]",
        "invalid-value: timezone: unknown timezone `Europe/Berlni` [2:11+13]",
        "invalid-value: targets.dev.engine: unknown engine `duckdbb` [5:17+7]",
        "unknown-key: targets.two.colour: unknown key [6:58+6]",
        "invalid-value: targets.two.path: a database in memory is gone after the build, and the state"
        " could not survive it [6:31+10]",
        "wrong-type: targets.two.threads: expected a whole number, found `many` [6:52+4]",
        "reserved-name: variables.start: `$start` is the bound of the interval being built [8:13+5]",
        "invalid-value: variables.a b: not a name that `$name` can use [8:23+5]",
        "missing-key: variables.m: the key `value` is missing [8:33+1]",
        "missing-key: variables.m: the key `type` is missing [8:33+1]",
        "invalid-value: defaults.models/nowhere: there is no folder `models/nowhere` [9:12+14]",
        "unknown-directive: defaults.models/nowhere.mdoe: there is no directive `@mdoe` [9:42+4]",
        "invalid-value: defaults.models/nowhere.mode: unknown mode `vieww` [9:35+5]",
    ]


def test_a_slip_gets_a_hint(tmp_path: Path) -> None:
    write(tmp_path, {"sqlflow.yml": "name: x\ntargets: {dev: {engine: duckdbb, path: x}}\n"})
    with pytest.raises(ProjectError) as error:
        config(tmp_path)
    assert error.value.diagnostics[0].hint == "did you mean `duckdb`?"


def test_only_the_chosen_target_reads_the_environment(tmp_path: Path) -> None:
    text = """\
name: x
targets:
  dev: {engine: duckdb, path: "${DIR:-here}/a.duckdb"}
  prod: {engine: duckdb, path: "${SECRET_PATH}", threads: "${N}"}
default_target: dev
"""
    write(tmp_path, {"sqlflow.yml": text})
    assert config(tmp_path).target.options["path"] == str(tmp_path / "here/a.duckdb")
    found = config(tmp_path, "prod", environ={"SECRET_PATH": "s.duckdb", "N": "3"})
    assert found.target.options == {"path": str(tmp_path / "s.duckdb"), "threads": 3}
    assert config_problems(tmp_path, text, "prod", environ={"N": "1"}) == [
        "environment: targets.prod.path: the environment variable `SECRET_PATH` is not set [4:32+16]"
    ]


def test_a_value_from_the_environment_is_never_shown(tmp_path: Path) -> None:
    text = 'name: x\ntargets: {dev: {engine: "${E}", path: x, threads: "${E}"}}\n'
    found = config_problems(tmp_path, text, environ={"E": "hunter2"})
    assert found
    assert "hunter2" not in " ".join(found)


def test_the_environment_is_refused_outside_of_targets(tmp_path: Path) -> None:
    text = CONFIG + 'variables: {a: "${HOME}"}\n'
    assert config_problems(tmp_path, text, environ={"HOME": "/root"}) == [
        "environment: variables.a: `${HOME}` cannot be used here [3:16+9]"
    ]


def test_the_address_of_a_server_is_looked_at_only_when_its_target_is_chosen(tmp_path: Path) -> None:
    text = """\
name: x
targets:
  dev: {engine: duckdb, path: x.duckdb}
  prod: {engine: postgres, url: "${DATABASE_URL}"}
default_target: dev
"""
    assert config_problems(tmp_path, text) == []
    assert config_problems(tmp_path, text, "prod", environ={"DATABASE_URL": "postgres://u:p@h/d"}) == []
    assert config_problems(tmp_path, text, "prod", environ={"DATABASE_URL": "u:p@h"}) == [
        "invalid-value: targets.prod.url: this is no address of a PostgreSQL database [4:33+17]"
    ]
    assert config_problems(tmp_path, text, "prod") == [
        "environment: targets.prod.url: the environment variable `DATABASE_URL` is not set [4:33+17]"
    ]


def test_the_target_must_be_known(tmp_path: Path) -> None:
    assert config_problems(tmp_path, CONFIG, "prdo") == ["unknown-target: there is no target `prdo` [-]"]
    two = "name: x\ntargets: {a: {engine: duckdb, path: a}, b: {engine: duckdb, path: b}}\n"
    assert config_problems(tmp_path, two) == [
        "missing-key: targets: there are several targets, and no `default_target` [2:1+7]"
    ]


@pytest.mark.parametrize(
    ("declared", "text", "value"),
    [
        ("1", "2", 2),
        ("1.5", "2", Decimal(2)),
        ("abc", "2", "2"),
        ("abc", "yes", "yes"),
        ("true", "false", False),
        ("2020-01-01", "2021-02-03", date(2021, 2, 3)),
        ("null", "7", 7),
        ("[1, 2]", "[3]", [3]),
    ],
)
def test_var_keeps_the_type_of_the_declared_value(tmp_path: Path, declared: str, text: str, value: object) -> None:
    write(tmp_path, {"sqlflow.yml": f"{CONFIG}variables: {{v: {declared}}}\n"})
    found = config(tmp_path, variables={"v": text}).variables["v"]
    assert found == value
    assert type(found) is type(value)


def test_var_of_another_type_or_name_is_refused(tmp_path: Path) -> None:
    text = CONFIG + "variables: {first_day: 2020-01-01, n: 1}\n"
    given = {"first_day": "soon", "n": "true", "frist_day": "2020-01-01"}
    assert config_problems(tmp_path, text, variables=given) == [
        "wrong-type: --var first_day: expected a date as in sqlflow.yml, found `soon` [-]",
        "wrong-type: --var n: expected a whole number as in sqlflow.yml, found `true` [-]",
        "unknown-variable: --var frist_day: there is no variable `frist_day` [-]",
    ]


@pytest.mark.parametrize("zone", ["America", "../etc/passwd", "Nowhere/City", "/etc/localtime"])
def test_a_wrong_timezone_is_a_problem_and_never_a_traceback(tmp_path: Path, zone: str) -> None:
    assert config_problems(tmp_path, CONFIG + f"timezone: {zone}\n") == [
        f"invalid-value: timezone: unknown timezone `{zone}` [3:11+{len(zone)}]"
    ]
