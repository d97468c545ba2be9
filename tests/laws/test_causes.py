"""One file of a project is broken: what is told is wrong in that file, and nothing that follows from it.

Each way to break a file is tried on each file that it fits, in a project that was never built and in one that was. Errors that
are placed elsewhere are consequences. A file that is gone has no place: what is told then names what was in it.
"""

from __future__ import annotations

import random
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from markdown_cases import sqlflow
from on_postgres import drop_database, new_database

Break = Callable[[str], str | bytes | None]
TEMPLATE = Path(__file__).parents[2] / "project_template"
FEW = 12  # of all ways and files, when there is no time for all


def replacing(pattern: str, by: str) -> Break:
    def edit(text: str) -> str | None:
        found, count = re.subn(pattern, by, text, count=1, flags=re.DOTALL)
        return found if count else None

    return edit


def holding(text: str) -> Break:
    return lambda _: text


def above(line: str) -> Break:
    return lambda text: line + text


def below(line: str) -> Break:
    return lambda text: text + line


def not_utf8(text: str) -> bytes:
    return text.encode() + b"\n-- caf\xe9\n"


def gone(_: str) -> None:
    raise FileNotFoundError


MODEL: dict[str, Break] = {
    "a bracket is open": replacing(r"SELECT\s", "SELECT count(* AS rides, "),
    "a string is open": below(" WHERE x = 'abc"),
    "Jinja": replacing(r"FROM\s+[\w.]+", "FROM {{ ref('x') }}"),
    "two statements": below(";\nSELECT 1 AS x\n"),
    "nothing": holding(""),
    "only a comment": holding("-- nothing\n"),
    "not UTF-8": not_utf8,
    "a NUL": below("\0"),
    "a definition": holding("CREATE TABLE x AS SELECT 1\n"),
    "an unknown directive": above("-- @mdoe: view\n"),
    "bad YAML": above("-- @tags: [a, {b\n"),
    "a bad mode": above("-- @mode: vieww\n"),
    "an unknown column": replacing(r"SELECT\s", "SELECT no_such_column_x, "),
    "an unknown function": replacing(r"SELECT\s", "SELECT no_such_function_x(1) AS y, "),
    "an unknown table": replacing(r"FROM\s", "FROM no_such.table_x AS nst, "),
    "an unknown variable": replacing(r"SELECT\s", "SELECT $no_such_variable AS v, "),
    "a placeholder": replacing(r"SELECT\s", "SELECT ? AS v, "),
    "a syntax error": replacing(r"FROM\s", "FRM "),
    "it reads itself": holding("SELECT * FROM {self}\n"),
    "a bad check": above("-- @checks:\n--   - unique: no_such_column_x\n"),
    "an unknown dependency": above("-- @depends_on: no_such.table_y\n"),
    "it is gone": gone,
}
SOURCES: dict[str, Break] = {
    "bad YAML": below("\nfoo: [1, 2\n"),
    "a tab": below("\n\tx: 1\n"),
    "not UTF-8": not_utf8,
    "an unknown key": replacing("path:", "pahts:"),
    "no file": replacing(r"path: [^\s,}]+", "path: data/no_such/*.parquet"),
    "a bad format": replacing(r"path: [^\s,}]+", "path: data/x.xlsx"),
    "a bad name": replacing(r"(?m)^raw\.(\w+):", r"raw.a.\1:"),
    "a bad indent": replacing(r"\n  (\w+):", r"\n \1:\n    x"),
    "a cursor that is no column": replacing(r"\n  path:", "\n  cursor: no_such_x\n  path:"),
    "a type that is none": replacing(r": INTEGER", ": NOSUCHTYPE"),
    "everything twice": lambda text: text + "\n" + text,
    "it is gone": gone,
}
SEED: dict[str, Break] = {
    "a line with too many values": below("a,b,c,d,e,f,g,h,i,j,k,l,m,n\n"),
    "two columns of one name": replacing(r"^([^,\n]+),([^,\n]+)", r"\1,\1"),
    "nothing": holding(""),
    "not UTF-8": not_utf8,
    "a quote is open": below('"a\n'),
    "it is gone": gone,
}
SEEDS: dict[str, Break] = {
    "bad YAML": below("\nfoo: [1, 2\n"),
    "an unknown seed": below("\nno_such_seed: {description: x}\n"),
    "a bad type": replacing(r": VARCHAR", ": NOTYPE("),
    "not UTF-8": not_utf8,
}
MACROS: dict[str, Break] = {
    "a bracket is open": replacing("AS ", "AS ("),
    "no CREATE": replacing("CREATE", "CREAT"),
    "an unknown variable": replacing(" AS ", " AS $no_such_v + "),
    "a string is open": below(" 'abc"),
    "not UTF-8": not_utf8,
    "an unknown function": replacing(r"\) AS (?!TABLE)", ") AS no_such_function_y(1) + "),
    "no body": replacing(" AS [^;]+", " AS "),
    "everything twice": lambda text: text + "\n" + text,
    "it is gone": gone,
}
CONFIG: dict[str, Break] = {
    "a bad default": below("\ndefaults: {models/staging: {mode: vieww}}\n"),
    "a default for no folder": below("\ndefaults: {models/stagin: {mode: view}}\n"),
    "bad YAML": below("\nfoo: [1, 2\n"),
    "an unknown key": below("\nvarables: {a: 1}\n"),
}

SMALL = {
    "seeds/airlines.csv": "code,name\nAA,American\nUA,United\n",
    "seeds/seeds.yml": "airlines: {columns: {code: VARCHAR}}\n",
    "sources/raw.yml": "raw.trips:\n  path: data/trips.csv\n  columns: {id: INTEGER, code: VARCHAR}\n"
    "raw.fares: {path: data/fares.csv}\n",
    "sources/more.yml": "raw.stops: {path: data/trips.csv}\n",
    "data/trips.csv": "id,code,fare\n1,AA,2.5\n2,UA,3\n",
    "data/fares.csv": "id,fare\n1,2.5\n",
    "macros/m.sql": "CREATE MACRO doubled(x) AS x * 2;\nCREATE MACRO halved(x) AS x / 2;\n",
    "macros/t.sql": "CREATE MACRO cheap(n) AS TABLE SELECT * FROM raw.fares WHERE fare < n;\n"
    "CREATE MACRO quad(x) AS doubled(doubled(x));\n",
    "models/staging/trips.sql": "SELECT id, code, doubled(fare) AS fare FROM raw.trips WHERE id >= $floor\n",
    "models/staging/fares.sql": "-- @mode: view\nSELECT id, quad(fare) AS fare FROM raw.fares\n",
    "models/staging/small.sql": "-- @mode: inline\nSELECT id, code -- @not_null\nFROM staging.trips\n",
    "models/marts/per_code.sql": "SELECT code, -- @references(seeds.airlines.code)\n"
    " count(*) AS rides FROM small GROUP BY code\n",
    "models/marts/cheap.sql": "SELECT * FROM cheap(10)\n",
    "models/marts/joined.sql": "SELECT p.code, p.rides, a.name\n"
    "FROM marts.per_code AS p JOIN seeds.airlines AS a ON a.code = p.code\n",
    "models/marts/total.sql": "-- @depends_on: staging.fares\nSELECT sum(rides) AS rides FROM joined\n",
    "models/marts/stops.sql": "SELECT s.id, f.fare FROM raw.stops AS s JOIN staging.fares AS f ON s.id = f.id\n",
    "tests/all.sql": "SELECT t.rides FROM marts.total AS t, marts.stops AS s WHERE t.rides < s.id\n",
}


def ways_of(path: str) -> dict[str, Break]:
    match path.partition("/")[0], path.rpartition(".")[2]:
        case (("models" | "tests"), "sql"):
            return MODEL
        case "sources", _:
            return SOURCES
        case "seeds", "csv":
            return SEED
        case "seeds", _:
            return SEEDS
        case "macros", _:
            return MACROS
        case "sqlflow.yml", _:
            return CONFIG
        case _:
            return {}


def told(err: str) -> list[tuple[str, str]]:
    """The errors: file and message."""
    found = re.findall(r"^error\[[\w-]+\]: (.*)\n(?:  .*\n)*? *--> (.*?):\d+:\d+$", err, re.MULTILINE)
    assert len(found) == len(re.findall(r"^error\[", err, re.MULTILINE)), err
    return [(path, message) for message, path in found]


def wrongly_told(root: Path, path: str, way: str, edit: Break) -> list[str]:
    """What is told of a project with one broken file and is not wrong there. Nothing when the way does not fit."""
    file = root / path
    before = file.read_bytes()
    try:
        after = edit(before.decode())
    except FileNotFoundError:
        return _told_of_what_is_gone(root, path)
    if after is None or after == before.decode():
        return []
    if isinstance(after, str):
        after = after.replace("{self}", ".".join(Path(path).with_suffix("").parts[1:])).encode()
    file.write_bytes(after)
    ran = sqlflow(root, "sqlflow build --dry-run")
    file.write_bytes(before)
    errors = told(ran.err)
    if not errors:
        return [] if ran.code == 0 else [f"{path}, {way}: exit code {ran.code} without an error:\n{ran.err}"]
    return [f"{path}, {way}: {place}: {message}" for place, message in errors if place != path]


def _told_of_what_is_gone(root: Path, path: str) -> list[str]:
    """What is told when a file is not there, and does not speak of what was in it."""
    file = root / path
    named = {Path(path).stem.lower(), *re.findall(r"\w+", file.read_text().lower())}
    file.rename(file.with_suffix(".away"))
    ran = sqlflow(root, "sqlflow build --dry-run")
    file.with_suffix(".away").rename(file)
    errors = told(ran.err)
    names = [re.findall(r"[\w.]+", message.split("`")[1])[-1].rpartition(".")[2] for _, message in errors]
    surplus = [
        f"{path}, it is gone: {message}" for (_, message), name in zip(errors, names, strict=True) if name not in named
    ]
    if path.startswith("seeds/") and len(errors) > 1:
        surplus.append(f"{path}, it is gone: {errors}")
    return surplus


def everything(root: Path, seed: int | None) -> Iterator[tuple[str, str, Break]]:
    """All files with all ways to break them, or a few of these."""
    files = sorted(p.relative_to(root).as_posix() for p in root.rglob("*") if p.is_file() and ".sqlflow" not in p.parts)
    found = [(path, way, edit) for path in files for way, edit in ways_of(path).items()]
    yield from found if seed is None else random.Random(seed).sample(found, FEW)


def small(root: Path, target: str) -> Path:
    head = f"name: small\ndialect: duckdb\ntargets: {{dev: {target}}}\nvariables: {{floor: 1}}\n"
    for path, text in {"sqlflow.yml": head, **SMALL}.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    return root


def hold(root: Path, seed: int | None) -> None:
    wrong = [line for path, way, edit in everything(root, seed) for line in wrongly_told(root, path, way, edit)]
    assert not wrong, "\n".join(wrong)


SEEDS_OF_RUNS = [1, pytest.param(None, marks=pytest.mark.long)]


@pytest.mark.parametrize("seed", SEEDS_OF_RUNS)
@pytest.mark.parametrize("built", [False, True])
def test_only_what_is_wrong_in_the_broken_file_is_told(tmp_path: Path, seed: int | None, built: bool) -> None:
    root = small(tmp_path, "{engine: duckdb, path: small.duckdb}")
    if built:
        assert sqlflow(root, "sqlflow build").code == 0
    hold(root, None if seed is None else seed + built)


@pytest.mark.parametrize("seed", SEEDS_OF_RUNS)
def test_only_what_is_wrong_in_the_broken_file_is_told_on_postgres(
    tmp_path: Path, seed: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = new_database()
    monkeypatch.setenv("LAWFUL_URL", url)
    try:
        root = small(tmp_path, "{engine: postgres, url: '${LAWFUL_URL}'}")
        built = sqlflow(root, "sqlflow build")
        assert built.code == 0, built.err
        hold(root, seed)
    finally:
        drop_database(url)


@pytest.mark.long
@pytest.mark.parametrize("built", [False, True])
def test_only_what_is_wrong_in_the_broken_file_of_the_template_is_told(tmp_path: Path, built: bool) -> None:
    root = tmp_path / "flights"
    shutil.copytree(TEMPLATE, root)
    if built:
        assert sqlflow(root, "sqlflow build").code == 0
    hold(root, None)
