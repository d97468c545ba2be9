"""The cases of tests/cases/ on PostgreSQL: the same files, changes and rows.

What commands print is told by the cases on DuckDB; here how they end, what is planned and why, and what the tables hold.
A case that cannot be the same there is named with the error that is expected, and must fail with it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

import psycopg
import pytest
from every_engine import never, notimpl
from markdown_cases import Block, Case, Runner, plan_of, read_cases
from on_postgres import LawfulPostgres, drop_database, name_of, new_database, of_database, rename_database

from sqlflow.cli.render import render_table
from sqlflow.translation.translate import translated

TARGET = "{engine: postgres, url: '${LAWFUL_URL}'}"
CONFIG = f"name: tiny\ndialect: duckdb\ntargets: {{dev: {TARGET}}}\n"
FILES = (
    "checks",
    "modes",
    "histories",
    "following",
    "strategies",
    "verify",
    "queries_in_tests",
    "unit_tests",
    "profile",
    "clock",
    "equality",
)
LONGER = ("failure_demos", "state", "selection", "commands")
# What the stories are told in: tables without a schema, a function that fails, and DuckDB's catalogue.
PREPARED = (
    "CREATE SCHEMA main",
    "CREATE FUNCTION public.error(message text) RETURNS text LANGUAGE plpgsql AS "
    "$$ BEGIN RAISE EXCEPTION '%', message; END $$",
    "CREATE FUNCTION public.duckdb_tables() RETURNS TABLE (schema_name text, table_name text) LANGUAGE sql AS "
    "'SELECT schemaname, tablename FROM pg_tables'",
    "CREATE FUNCTION public.duckdb_views() RETURNS TABLE (schema_name text, view_name text) LANGUAGE sql AS "
    "'SELECT schemaname, viewname FROM pg_views'",
    "CREATE FUNCTION public.duckdb_indexes() RETURNS TABLE (table_name text) LANGUAGE sql AS "
    "$$ SELECT tablename FROM pg_indexes WHERE schemaname NOT IN ('pg_catalog', '_sqlflow') $$",
)
# Title of a case -> what is different.
DIFFERING = {
    "Names of a type inside of another one do not count: unions in a list, a field called FLOAT": never(
        "there is no type UNION", psycopg.errors.SyntaxError, "UNION"
    ),
    "A column of the source changes its type": never(
        "types have other names", AssertionError, "INTEGER -> DOUBLE PRECISION"
    ),
    "A table with an index of its own is not swapped": never(
        "a table that is written anew keeps its indexes", AssertionError, "'swap' != 'merge'"
    ),
    "A file source is read again when its content changes": never(
        "files are loaded, and only then is it known what is new", AssertionError, "two.csv"
    ),
    "A query that no longer works, and no database": never(
        "the database is there before the first build", AssertionError, "`sqlflow verify` ended with 0, not with 1"
    ),
    "state before the first build": never(
        "the database is there before the first build",
        AssertionError,
        "`sqlflow state rebuild` ended with 0, not with 1",
    ),
    "compile works while somebody holds nothing but a broken database": never(
        "the database is no file", AssertionError, "`sqlflow build` ended with 0, not with 1"
    ),
    "`diff` of two databases leaves out when rows were written, also where it was copied": notimpl(
        "two databases are not compared", AssertionError, r"error\[not-available-yet\]"
    ),
    "diff of two targets": notimpl("two databases are not compared", AssertionError, r"error\[not-available-yet\]"),
}
SLOW = frozenset({"More rows are added at once than the engine keeps in one group"})
# Directives whose value decides what is written; of others it matters only that they are there.
_DECIDING = frozenset(
    {"mode", "strategy", "conflict", "grain", "full_refresh", "incremental", "on_schema_change", "clock"}
)
_TYPES = re.compile(
    r"\b(DOUBLE|FLOAT|DECIMAL|HUGEINT|BIGINT|VARCHAR|DATE|TIMESTAMPTZ|TIMESTAMP|INTERVAL|JSON|UUID|STRUCT|MAP|NULL|NaN|INTEGER\[\]|rowid)"
)


def _decided_by_the_engine(case: Case) -> set[tuple[str, str]]:
    """What a case needs an engine for: kinds of tasks, directives, checks, commands, types and endings."""
    found: set[tuple[str, str]] = set()
    for block in case.blocks:
        text = block.body
        match block.kind:
            case "sql":
                found |= {
                    (n, v if n in _DECIDING else "") for n, v in re.findall(r"^-- @(\w+): *(\S*)", text, re.MULTILINE)
                }
                if "@checks" in text:
                    found |= {("check", name) for name in re.findall(r"\b(\w+): *[\[{]", text)}
            case "run":
                found |= {("command", name) for name in re.findall(r"\bsqlflow (\w+)", text)}
            case "plan":
                found |= {("task", name) for name in re.findall(r"^\S+: ([a-z ]+) \(", text, re.MULTILINE)}
            case "setup" | "sql-change":
                found |= {("type", name) for name in _TYPES.findall(text)}
            case "exit":
                found.add(("exit", block.argument))
            case _:
                pass  # files, and what is expected of them
    return found


def _cases() -> Iterator[object]:
    """Those in which an engine decides something that it did not decide in one before are run every day."""
    unknown = DIFFERING.keys() | SLOW
    decided: set[tuple[str, str]] = set()
    for name in (*FILES, *LONGER):
        for case in read_cases(Path(__file__).parents[1] / "cases" / f"{name}.md"):
            unknown -= {case.title}
            new = _decided_by_the_engine(case) - decided
            longer = name in LONGER or case.title in SLOW or not (new or case.title in DIFFERING)
            decided |= set() if longer else new
            marks = [pytest.mark.long] if longer else []
            if case.title in DIFFERING:
                marks.append(DIFFERING[case.title])
            yield pytest.param(case, id=case.id, marks=marks)
    assert not unknown, f"there is no case {unknown}"


class OnPostgres(Runner):
    """A case whose database is on a server."""

    url: str = ""
    copy: str = ""  # the address of another database, which the story made of this one

    def run(self, blocks: Sequence[Block]) -> None:
        shown = ""
        for number, block in enumerate(blocks):
            match block.kind:
                case "setup" | "sql-change":
                    self._change(block.body)
                case "query":
                    shown = self._rows(block.body)
                case "rows":
                    assert _cells(shown) == _cells(block.body), f"line {block.start + 1}: it is now\n{shown}"
                case "output" | "problems":
                    pass
                case "plan":
                    planned = _without_loads(plan_of(self.root, block.argument))
                    assert planned == _without_loads(block.body.strip()), (
                        f"line {block.start + 1}: it is now\n{planned}"
                    )
                case "shell":
                    self._shell(block)
                case "yaml" if block.argument == "sqlflow.yml":
                    text = re.sub(r"\{engine: duckdb[^}]*\}", lambda _: TARGET, block.body)
                    (self.root / "sqlflow.yml").write_text(f"dialect: duckdb\n{text}\n")
                case _:
                    following = blocks[number + 1 : number + 2] if block.kind == "run" else []
                    Runner.run(self, [block, *(b for b in following if b.kind == "exit")])

    def _shell(self, block: Block) -> None:
        """What is done to the file of a database is done to the one on the server."""
        lines = []
        for line in block.body.splitlines():
            match line.split():
                case ["cp", "tiny.duckdb", "copy.duckdb"]:
                    self.copy = new_database(like=self.url)
                case ["cp", "copy.duckdb", "tiny.duckdb"]:
                    _replace(self.url, self.copy)
                case ["rm", *words] if "tiny.duckdb" in words:
                    _replace(self.url, _empty())
                    words.remove("tiny.duckdb")
                    if any(not word.startswith("-") for word in words):
                        lines.append(" ".join(["rm", *words]))
                case _:
                    lines.append(line)
        Runner.run(self, [Block(block.kind, block.argument, "\n".join(lines), block.start, block.end)])

    def _change(self, sql: str) -> None:
        with psycopg.connect(self.url, autocommit=True) as connection:
            for statement in re.sub(r"\brange\(([^()]*)\)(?! (?:AS )?[a-z])", r"range(\1) AS r(range)", sql).split(";"):
                if statement.strip():
                    psycopg.RawCursor(connection).execute(translated(statement, "duckdb", "postgres"))

    def _rows(self, sql: str) -> str:
        sql = translated(re.sub(r"\brecord(?=\s*->)", "_record", sql), "duckdb", "postgres")
        with psycopg.connect(self.url, autocommit=True) as connection:
            cursor = psycopg.RawCursor(connection).execute(re.sub(r"\b_record\b", "CAST(record AS JSON)", sql))
            names = [column.name for column in cursor.description or ()]
            return render_table(names, cursor.fetchall(), width=None)


_OF_FILES = re.compile(r": (?:load files|create source view) \(")


def _without_loads(plan: str) -> str:
    """A plan without the tasks by which files are read, and what their readers say of it."""
    lines = [line for line in plan.splitlines() if _OF_FILES.search(line) is None]
    return re.sub(r"; what changed in `[^`]+` is not known row by row", "", "\n".join(lines))


@cache
def _prepared() -> str:
    """A database with what the stories are told in, to be copied."""
    url = new_database()
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in PREPARED:
            connection.execute(statement.encode())
    return url


def _empty() -> str:
    """A new database with what the stories are told in."""
    url = new_database(like=_prepared())
    with psycopg.connect(of_database(url, "postgres"), autocommit=True) as connection:
        connection.execute(f"ALTER DATABASE {name_of(url)} SET search_path = main, public".encode())
    return url


def _replace(url: str, by: str) -> None:
    """Put a database in the place of another one."""
    drop_database(url)
    rename_database(by, url)


def _cells(table: str) -> list[object]:
    """The values of a table, whatever its columns are called and how numbers are written."""
    found: list[object] = []
    for cell in " ".join(table.strip().splitlines()[2:]).replace(", ", ",").split():
        try:
            found.append(float(cell))
        except ValueError:
            found.append(cell)
    return found


@pytest.fixture
def there(tmp_path: Path) -> Iterator[LawfulPostgres]:
    project = LawfulPostgres(tmp_path / "project", url=_empty())
    yield project
    project.drop()


@pytest.mark.parametrize("case", list(_cases()))
def test_case(case: Case, there: LawfulPostgres, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAWFUL_URL", there.url)
    there.write({"sqlflow.yml": CONFIG})
    runner = OnPostgres(there.root, update=False, restless=case.title.endswith("(restless)"))
    runner.url = there.url
    runner.run(case.blocks)
